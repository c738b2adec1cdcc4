/* SPDX-License-Identifier: Apache-2.0 */
/* Opening plugins: what is right is used, what is wrong is refused in words. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/plugin/plugin.h"
#include "tests/unit/host/host_test.h"

static char *folder;
static struct registry *registry;

static int set_up(void **state)
{
    (void)state;
    folder = new_plugin_folder();
    assert_string_equal(message_of(weir__registry_new(folder, false, &registry)), "");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    weir__registry_free(registry);
    remove_folder(folder);
    return 0;
}

static const char *load(const char *name)
{
    struct plugin *plugin;

    return message_of(weir__registry_load(registry, name, NULL, &plugin));
}

static void a_plugin_is_loaded_by_name_and_found_again(void **state)
{
    struct plugin *first = NULL, *second = NULL, *of = NULL;

    (void)state;
    assert_string_equal(message_of(weir__registry_load(registry, "good", NULL, &first)), "");
    assert_string_equal(message_of(weir__registry_load(registry, "good", NULL, &second)), "");
    assert_ptr_equal(first, second);
    assert_non_null(weir__registry_protocol(registry, "good", &of));
    assert_ptr_equal(of, first);
    assert_null(weir__registry_protocol(registry, "other", &of));
}

static void the_same_build_is_the_same_code(void **state)
{
    const weir_plugin *first = NULL, *second = NULL;
    char path[300];

    (void)state;
    snprintf(path, sizeof path, "%s/good.so", folder);
    assert_string_equal(message_of(weir__plugin_open("good", path, false, &first)), "");
    assert_string_equal(message_of(weir__plugin_open("good", path, false, &second)), "");
    assert_ptr_equal(first, second);
}

static void a_replaced_file_is_loaded_beside_the_old_code(void **state)
{
    const weir_plugin *first = NULL, *second = NULL;
    char path[300], command[1000];

    (void)state;
    snprintf(path, sizeof path, "%s/copy.so", folder);
    snprintf(command, sizeof command, "cp %s/good.so %s", folder, path);
    assert_int_equal(system(command), 0);
    assert_string_equal(message_of(weir__plugin_open("good", path, false, &first)), "");
    /* Overwriting in place would change mapped code, had it not been copied. */
    assert_int_equal(truncate(path, 0), 0);
    assert_string_equal(first->version, "2.1");
    snprintf(command, sizeof command, "(cat %s/good.so; echo another) > %s", folder, path);
    assert_int_equal(system(command), 0);
    assert_string_equal(message_of(weir__plugin_open("good", path, false, &second)), "");
    assert_ptr_not_equal(first, second);
    assert_string_equal(second->name, "good");
}

static void a_copy_of_the_file_is_the_same_build(void **state)
{
    const weir_plugin *first = NULL, *second = NULL;
    char path[300], command[1000];

    (void)state;
    snprintf(path, sizeof path, "%s/good.so", folder);
    assert_string_equal(message_of(weir__plugin_open("good", path, false, &first)), "");
    snprintf(command, sizeof command, "cp %s %s/copy.so", path, folder);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/copy.so", folder);
    assert_string_equal(message_of(weir__plugin_open("good", path, false, &second)), "");
    assert_ptr_equal(first, second);
}

/* The last claim: there are as many then. */
static void the_builds_of_a_plugin_have_a_limit(void **state)
{
    const weir_plugin *first = NULL, *opened = NULL;
    char path[300], command[1000];
    const char *said = "";
    int n = 0;

    (void)state;
    snprintf(path, sizeof path, "%s/good.so", folder);
    assert_string_equal(message_of(weir__plugin_open("good", path, false, &first)), "");
    for (; n < 9 && !*said; n++) {
        snprintf(command, sizeof command, "echo %d >> %s", n, path);
        assert_int_equal(system(command), 0);
        said = message_of(weir__plugin_open("good", path, false, &opened));
    }
    assert_non_null(strstr(said, "good.so is another build, and 8 builds of it are loaded already, "
                                 "which stay until weir ends: restart weir to load it"));
    /* What is loaded is found as before. */
    snprintf(command, sizeof command, "truncate -s -%d %s", 2 * n, path);
    assert_int_equal(system(command), 0);
    assert_string_equal(message_of(weir__plugin_open("good", path, false, &opened)), "");
    assert_ptr_equal(opened, first);
}

static void a_missing_file_is_named(void **state)
{
    char expected[400];

    (void)state;
    snprintf(expected, sizeof expected, "plugin `geo`: no such file: %s/geo.so", folder);
    assert_string_equal(load("geo"), expected);
}

static void another_abi_is_refused_with_both_numbers(void **state)
{
    char expected[400];

    (void)state;
    snprintf(expected, sizeof expected,
             "plugin `old` was built for weir ABI %d.7; this weir %s offers ABI %d.%d: rebuild it "
             "here",
             WEIR_ABI_MAJOR, weir_version(), WEIR_ABI_MAJOR, WEIR_ABI_MINOR);
    assert_string_equal(load("old"), expected);
}

static void a_descriptor_of_another_size_is_refused(void **state)
{
    char expected[400];

    (void)state;
    snprintf(expected, sizeof expected,
             "plugin `small`: its descriptor has %zu bytes, this weir's (%s) has %zu: rebuild it "
             "here",
             sizeof(weir_plugin) - 8, weir_version(), sizeof(weir_plugin));
    assert_string_equal(load("small"), expected);
}

static void a_protocol_of_another_size_is_refused(void **state)
{
    (void)state;
    assert_non_null(strstr(load("resized"), "its `weir_protocol` has another size"));
}

static void a_file_with_another_plugin_is_refused(void **state)
{
    (void)state;
    assert_string_equal(load("other"), "plugin `other`: the file holds a plugin named `good`");
}

static void a_library_that_is_no_plugin_is_refused(void **state)
{
    (void)state;
    assert_non_null(strstr(load("none"), "is not a weir plugin: it exports no `weir_plugin_v1`"));
}

static void a_file_that_is_no_library_is_refused_without_the_name_of_the_copy(void **state)
{
    const char *text;

    (void)state;
    write_file(folder, "text.so", "not a library\n");
    text = load("text");
    assert_non_null(strstr(text, "cannot be loaded"));
    assert_null(strstr(text, "/proc/self"));
}

static void a_folder_is_refused(void **state)
{
    struct plugin *plugin;

    (void)state;
    assert_non_null(
        strstr(message_of(weir__registry_load(registry, "x", folder, &plugin)), "is not a file"));
}

static const weir_protocol taken = {WEIR_SIZED(weir_protocol), .name = "good"};
static const weir_plugin second = {WEIR_SIZED(weir_plugin),
                                   .abi_major = WEIR_ABI_MAJOR,
                                   .abi_minor = WEIR_ABI_MINOR,
                                   .name = "second",
                                   .version = "1",
                                   .summary = "s",
                                   .protocols = WEIR_LIST(&taken)};

static void two_plugins_cannot_provide_the_same_protocol(void **state)
{
    struct plugin *plugin;

    (void)state;
    assert_string_equal(load("good"), "");
    assert_string_equal(message_of(weir__registry_add(registry, &second, &plugin)),
                        "plugin `second`: protocol `good` is provided by plugin `good` already");
}

static void the_front_end_finds_extensions_matchers_and_planned_names(void **state)
{
    struct config_lookup lookup = weir__registry_lookup(registry);
    struct config_entry entry;

    (void)state;
    assert_string_equal(load("good"), "");
    assert_true(lookup.find(lookup.arg, "good.action", "say", &entry));
    assert_string_equal(entry.owner, "plugin `good`");
    assert_false(entry.planned);
    assert_false(lookup.find(lookup.arg, "good.action", "sing", &entry));
    assert_false(lookup.find(lookup.arg, "good.action", "mirror", &entry));
    assert_true(lookup.find(lookup.arg, "good.match", "client_ip", &entry));
    assert_false(entry.planned);
    assert_true(lookup.find(lookup.arg, "good.match", "path_regex", &entry));
    assert_true(entry.planned);
    assert_string_equal(lookup.name_at(lookup.arg, "good.action", 0), "say");
    assert_null(lookup.name_at(lookup.arg, "good.action", 1));
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CLAIM(a_plugin_is_loaded_by_name_and_found_again),
        CLAIM(the_same_build_is_the_same_code),
        CLAIM(a_replaced_file_is_loaded_beside_the_old_code),
        CLAIM(a_missing_file_is_named),
        CLAIM(another_abi_is_refused_with_both_numbers),
        CLAIM(a_descriptor_of_another_size_is_refused),
        CLAIM(a_protocol_of_another_size_is_refused),
        CLAIM(a_file_with_another_plugin_is_refused),
        CLAIM(a_library_that_is_no_plugin_is_refused),
        CLAIM(a_file_that_is_no_library_is_refused_without_the_name_of_the_copy),
        CLAIM(a_folder_is_refused),
        CLAIM(two_plugins_cannot_provide_the_same_protocol),
        CLAIM(the_front_end_finds_extensions_matchers_and_planned_names),
        CLAIM(a_copy_of_the_file_is_the_same_build),
        CLAIM(the_builds_of_a_plugin_have_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
