/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts that generations share: from a configuration and one in which a single thing is different,
 * which parts are the same objects, and which are not. Each row is a mutation.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/host.h>

#include "host/generation/generation.h"
#include "tests/unit/host/host_test.h"

static char *folder, *plugins;
static weir_host *host;
static struct generation *next;

static const char first[] = "version: 1\n"
                            "upstreams:\n"
                            "  app: { servers: ['127.0.0.1:1001', '127.0.0.1:1002'] }\n"
                            "  other: { servers: ['127.0.0.1:1003'] }\n"
                            "executors: { default: { threads: 2 } }\n"
                            "listeners:\n"
                            "  web:\n"
                            "    bind: 127.0.0.1:0\n"
                            "    routes:\n"
                            "      - { match: { path: /files/* }, static: { root: FOLDER } }\n"
                            "      - { proxy: app }\n"
                            "  second:\n"
                            "    bind: 127.0.0.1:0\n"
                            "    routes: [ { proxy: other } ]\n"
                            "  third:\n"
                            "    bind: 127.0.0.1:0\n"
                            "    protocol: tcp\n"
                            "    routes: [ { proxy: 'http://127.0.0.1:1004' } ]\n";

static char *replaced(const char *text, const char *what, const char *with)
{
    const char *at = strstr(text, what);
    char *result;

    assert_non_null(at);
    assert_true(asprintf(&result, "%.*s%s%s", (int)(at - text), text, with, at + strlen(what)) > 0);
    return result;
}

static int set_up(void **state)
{
    char path[300], *text;

    (void)state;
    folder = new_folder();
    plugins = new_plugin_folder();
    text = replaced(first, "FOLDER", folder);
    write_file(folder, "weir.yaml", text);
    free(text);
    (void)snprintf(path, sizeof path, "%s/weir.yaml", folder);
    assert_string_equal(
        message_of(weir_host_new(&(weir_host_options){WEIR_SIZED(weir_host_options),
                                                      .config_path = path, .plugin_dir = plugins},
                                 &host)),
        "");
    if (!weir_host_load(host) || !weir_host_prepare(host))
        weir_host_report(host, stderr, WEIR_HOST_TEXT, false);
    assert_int_equal(weir_host_exit_code(host), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    weir__generation_free(next);
    next = NULL;
    weir_host_free(host);
    remove_folder(folder);
    remove_folder(plugins);
    return 0;
}

/* The next generation, of a file in which `what` is `with`. */
static void build(const char *what, const char *with)
{
    char *text = replaced(first, "FOLDER", folder), *changed = replaced(text, what, with);

    write_file(folder, "weir.yaml", changed);
    assert_string_equal(
        message_of(weir__generation_new(host, host->generation, &host->config_settings, &next)),
        "");
    if (!weir__generation_load(next))
        weir__config_report(next->config, stderr, CONFIG_FORMAT_TEXT, false);
    assert_true(next->loaded);
    weir__generation_prepare(next);
    assert_int_equal(weir__config_error_count(next->config), 0);
    free(text);
    free(changed);
}

static bool same(const struct part_kind *kind, const char *key)
{
    const struct part *a = weir__part_find(&host->generation->parts, kind, key);
    const struct part *b = weir__part_find(&next->parts, kind, key);

    assert_non_null(a);
    assert_non_null(b);
    return a == b && a->object == b->object;
}

#define LISTENER(name) same(&weir__listener_part, name)
#define UPSTREAM(name) same(&weir__upstream_part, name)
#define FILES          same(&weir__instance_part, "listeners.web.routes[0]")

static void what_did_not_change_is_the_same_object(void **state)
{
    (void)state;
    build("version: 1\n", "# a comment\nversion:    1\nx-mine: 1\n");
    assert_true(LISTENER("web") && LISTENER("second") && LISTENER("third"));
    assert_true(UPSTREAM("app") && UPSTREAM("other") && UPSTREAM("127.0.0.1:1004"));
    assert_true(FILES);
    assert_ptr_equal(next->executor, host->generation->executor);
    assert_int_equal(next->n_new_sockets, 0);
}

static void a_changed_route_is_another_listener_and_leaves_the_rest(void **state)
{
    (void)state;
    build("{ proxy: app }", "{ match: { host: a.b }, proxy: app }\n      - { respond: 404 }");
    assert_false(LISTENER("web"));
    assert_true(LISTENER("second") && LISTENER("third"));
    assert_true(UPSTREAM("app") && UPSTREAM("other"));
    assert_true(FILES); /* with its cache */
    assert_ptr_equal(next->listeners[0]->addresses[0].socket,
                     host->generation->listeners[0]->addresses[0].socket);
}

static void a_changed_action_is_another_instance(void **state)
{
    (void)state;
    build("/files/* }, static: {", "/files/* }, static: { index: a.html, ");
    assert_false(LISTENER("web"));
    assert_false(FILES);
    assert_true(UPSTREAM("app"));
}

static void a_changed_upstream_is_another_for_those_who_refer_to_it(void **state)
{
    (void)state;
    build("'127.0.0.1:1002'] }", "'127.0.0.1:1002'], retries: 2 }");
    assert_false(UPSTREAM("app"));
    assert_false(LISTENER("web"));
    assert_true(UPSTREAM("other"));
    assert_true(LISTENER("second") && LISTENER("third"));
    assert_true(FILES);
    /* Its servers are the same, with their health and their pools. */
    assert_ptr_equal(next->upstreams[0]->servers[0], host->generation->upstreams[0]->servers[0]);
}

static void a_changed_executor_is_another_for_all_who_run_in_it(void **state)
{
    (void)state;
    build("threads: 2", "threads: 3");
    assert_ptr_not_equal(next->executor, host->generation->executor);
    assert_false(LISTENER("web") || FILES || LISTENER("third"));
}

static void a_generation_that_is_given_up_leaves_the_other_as_it_was(void **state)
{
    struct part *part = weir__part_find(&host->generation->parts, &weir__listener_part, "second");
    unsigned refs = part->refs;

    (void)state;
    build("{ proxy: app }", "{ respond: 200 }");
    assert_int_equal(part->refs, refs + 1);
    weir__generation_free(next);
    next = NULL;
    assert_int_equal(part->refs, refs);
}

static weir_instance *files_of(const struct generation *g)
{
    return weir__part_find(&g->parts, &weir__instance_part, "listeners.web.routes[0]")->object;
}

static void a_state_of_a_plugin_goes_with_the_last_instance_that_asked(void **state)
{
    size_t before = weir__durable_count(host->durables);
    void *states[2];

    (void)state;
    assert_null(weir_durable_get(files_of(host->generation), "k", "x", 8, NULL, NULL, &states[0]));
    build("/files/* }, static: {", "/files/* }, static: { index: a.html, ");
    for (int i = 0; i < 3; i++)
        assert_null(weir_durable_get(files_of(next), "k", "x", 8, NULL, NULL, &states[1]));
    assert_ptr_equal(states[0], states[1]);
    assert_null(weir_durable_get(files_of(next), "k", "y", 8, NULL, NULL, &states[1]));
    assert_int_equal(weir__durable_count(host->durables), before + 2);
    weir__generation_free(next);
    next = NULL;
    assert_int_equal(weir__durable_count(host->durables), before + 1);
}

static void generations_that_change_nothing_are_no_chain(void **state)
{
    struct origin *origin = host->generation->origin;
    unsigned refs = origin->refs;

    (void)state;
    for (int i = 0; i < 50; i++) {
        build("version: 1\n", "# again\nversion: 1\n");
        weir__generation_free(next);
        next = NULL;
    }
    assert_int_equal(origin->refs, refs);
}

static char ended[8];

static void end_letter(void *object)
{
    size_t len = strlen(ended);

    assert_true(len + 1 < sizeof ended);
    ended[len] = *(const char *)object;
    ended[len + 1] = 0;
}

static const struct part_kind letter_part = {.name = "letter", .destroy = end_letter};

static struct part *letter(char *name, struct hlist *parts)
{
    struct content content = {0};
    struct part *part;

    assert_null(
        weir__part_new(&letter_part, name, &content, host->generation->origin, 1, name, &part));
    part->used = true;
    part->present = 1;
    hlist_append(parts, &part->link);
    return part;
}

/* A connection kept the first, which has the second, its neighbour, and the fourth; the third is free. */
static void what_only_connections_kept_goes_with_what_it_points_at(void **state)
{
    char names[] = "a\0b\0c\0d";
    struct hlist parts, dead;
    struct part *all[4];

    (void)state;
    hlist_init(&parts);
    hlist_init(&dead);
    for (int i = 0; i < 4; i++)
        all[i] = letter(names + 2 * i, &parts);
    assert_null(weir__part_add_below(all[0], all[1]));
    assert_null(weir__part_add_below(all[0], all[3]));
    for (int i = 0; i < 4; i++)
        weir__part_unref(all[i], &dead);
    assert_true(hlist_empty(&dead));
    ended[0] = 0;
    weir__parts_leave_all(&parts, &dead);
    assert_true(hlist_empty(&parts));
    weir__parts_destroy(&dead);
    assert_string_equal(ended, "abcd"); /* each once, after who points at it */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_did_not_change_is_the_same_object),
        TEST(a_changed_route_is_another_listener_and_leaves_the_rest),
        TEST(a_changed_action_is_another_instance),
        TEST(a_changed_upstream_is_another_for_those_who_refer_to_it),
        TEST(a_changed_executor_is_another_for_all_who_run_in_it),
        TEST(a_generation_that_is_given_up_leaves_the_other_as_it_was),
        TEST(a_state_of_a_plugin_goes_with_the_last_instance_that_asked),
        TEST(generations_that_change_nothing_are_no_chain),
        TEST(what_only_connections_kept_goes_with_what_it_points_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
