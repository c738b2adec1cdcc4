/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole files through the host: what is right is accepted, what is planned is one error at its key,
 * and the list of what is planned is the one in tests/config/not-built.txt.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/debug.h>
#include <weir/host.h>

#include "host/generation/generation.h"
#include "host/schema/schema.h"
#include "tests/unit/host/host_test.h"

/* Whether line `n` (from 0) of the report begins, behind the file's name, like this. */
static void expect_line(size_t n, const char *start)
{
    const char *line = loaded.report;
    size_t skip;

    for (; n > 0 && line; n--) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    skip = line ? strcspn(line, ":") + 1 : 0;
    if (!line || strncmp(line + skip, start, strlen(start)) != 0)
        fail_msg("expected `%s` at line %zu of:\n%s", start, n, loaded.report);
}

static size_t count_lines(void)
{
    size_t n = 0;

    for (const char *at = loaded.report; *at; at++)
        n += *at == '\n';
    return n;
}

static void the_smallest_file_is_a_version(void **state)
{
    const weir_host_settings *settings;

    (void)state;
    assert_true(loaded_text("version: 1\n"));
    settings = weir_host_settings_of(loaded.host);
    assert_string_equal(loaded.report, "");
    assert_int_equal(weir_host_exit_code(loaded.host), 0);
    assert_int_equal(settings->shutdown_grace.ns, WEIR_S(30).ns);
    assert_true(settings->threads >= 1);
    assert_false(settings->debug);
}

static void a_file_without_version_is_refused(void **state)
{
    (void)state;
    assert_false(loaded_text("log: { level: debug }\n"));
    assert_int_equal(count_lines(), 1);
    assert_non_null(strstr(loaded.report, "needs `version`"));
    assert_int_equal(weir_host_exit_code(loaded.host), 78);
}

static void a_missing_file_is_66(void **state)
{
    (void)state;
    assert_false(loaded_file("/nonexistent/weir.yaml"));
    assert_int_equal(weir_host_exit_code(loaded.host), 66);
}

static void settings_are_read(void **state)
{
    const struct config_top *top;

    (void)state;
    assert_true(loaded_text(
        "version: 1\n"
        "log: { level: debug, levels: { tls: trace, plugin.good: off }, format: json }\n"
        "debug: { slow_callback: 50ms, backtrace_depth: 5, warnings: abort }\n"
        "runtime: { threads: 3, shutdown_grace: 5s, limits: { connections: 100 } }\n"
        "resolver: { servers: 10.0.0.1, cache: { max_ttl: 5m } }\n"
        "executors: { default: { threads: 2, on_full: reject } }\n"));
    top = loaded.host->generation->top;
    assert_int_equal(weir__log_level_at(top->log.level), WEIR_LOG_DEBUG);
    assert_int_equal(top->log.levels.count, 2);
    assert_int_equal(top->log.format, LOG_FORMAT_JSON);
    assert_string_equal(top->log.output, "auto");
    assert_true(top->debug->enabled);
    assert_int_equal(top->debug->slow_callback.ns, WEIR_MS(50).ns);
    assert_int_equal(top->debug->backtrace_depth, 5);
    assert_int_equal(top->debug->warnings, WEIR_WARNING_ABORT);
    assert_int_equal(weir_host_settings_of(loaded.host)->threads, 3);
    assert_int_equal(top->runtime.limits.connections, 100);
    assert_int_equal(top->resolver.servers.count, 1);
    assert_int_equal(top->resolver.cache.max_ttl.ns, WEIR_MIN(5).ns);
    assert_int_equal(top->executors.count, 1);
}

static void a_protocol_brings_its_tables(void **state)
{
    weir_host_counts counts;
    const weir_route *route;
    weir_subject subject = {WEIR_SIZED(weir_subject), .client_ip = WEIR_SLICE("10.1.1.1")};

    (void)state;
    assert_true(loaded_text("version: 1\n"
                            "listeners:\n"
                            "  a:\n"
                            "    bind: 127.0.0.1:0\n"
                            "    protocol: good\n"
                            "    good: { greeting: hi }\n"
                            "    routes:\n"
                            "      - match: { client_ip: 10.0.0.0/8 }\n"
                            "        say: ten\n"
                            "      - { name: rest, say: { word: other } }\n"));
    counts = weir_host_counts_of(loaded.host);
    assert_int_equal(counts.listeners, 1);
    assert_int_equal(counts.routes, 2);
    route = weir_routes_find(loaded.host->generation->listeners[0]->routes, &subject);
    assert_string_equal(weir_route_name(route), "routes[0]");
    subject.client_ip = WEIR_SLICE("11.0.0.1");
    route = weir_routes_find(loaded.host->generation->listeners[0]->routes, &subject);
    assert_string_equal(weir_route_name(route), "rest");
}

static void instances_know_their_configuration_and_place(void **state)
{
    weir_instance *instance = NULL;
    const weir_route *route;
    const char *const *word;

    (void)state;
    assert_true(loaded_text("version: 1\n"
                            "listeners: { a: { protocol: good, routes: { say: ten } } }\n"));
    route = weir_routes_find(loaded.host->generation->listeners[0]->routes,
                             &(weir_subject){WEIR_SIZED(weir_subject)});
    assert_non_null(weir_route_action(route, &instance));
    word = weir_instance_config(instance);
    assert_string_equal(*word, "ten");
    assert_string_equal(weir_instance_path(instance), "listeners.a.routes[0]");
    assert_string_equal(weir_logger_name(weir_instance_logger(instance)), "plugin.good");
}

static void nested_routes_need_what_is_around_them(void **state)
{
    const weir_routes *routes;
    weir_subject subject = {WEIR_SIZED(weir_subject), .client_ip = WEIR_SLICE("10.1.2.3")};

    (void)state;
    assert_true(loaded_text("version: 1\n"
                            "listeners:\n"
                            "  a:\n"
                            "    protocol: good\n"
                            "    routes:\n"
                            "      - match: { client_ip: 10.0.0.0/8 }\n"
                            "        routes:\n"
                            "          - { match: { client_ip: 10.9.0.0/16 }, say: nine }\n"
                            "          - { match: { client_ip: '::/0' }, say: inside }\n"
                            "      - say: outside\n"));
    routes = loaded.host->generation->listeners[0]->routes;
    assert_string_equal(weir_route_name(weir_routes_find(routes, &subject)), "routes[0].routes[1]");
    subject.client_ip = WEIR_SLICE("10.9.0.1");
    assert_string_equal(weir_route_name(weir_routes_find(routes, &subject)), "routes[0].routes[0]");
    subject.client_ip = WEIR_SLICE("11.0.0.1");
    assert_string_equal(weir_route_name(weir_routes_find(routes, &subject)), "routes[1]");
}

static void mistakes_are_all_shown_at_their_places(void **state)
{
    (void)state;
    assert_false(loaded_text("version: 1\n"
                             "upstreams:\n"
                             "  app: { servers: [10.0.0.1:80], retries: many }\n"
                             "listeners:\n"
                             "  a:\n"
                             "    protocol: good\n"
                             "    routes:\n"
                             "      - match: { client_ip: 10.0.0.0/40 }\n"
                             "        say: ten\n"
                             "      - { sya: x }\n"
                             "  b: { protocol: goood }\n"));
    expect_line(0, "3:43:");
    expect_line(1, "8:29:");
    expect_line(2, "10:11:");
    expect_line(3, "11:18:");
    assert_non_null(strstr(loaded.report, "there is no protocol `goood`"));
    assert_int_equal(count_lines(), 4);
    assert_int_equal(weir_host_exit_code(loaded.host), 78);
}

static void a_plugin_that_cannot_be_loaded_is_shown_at_its_name(void **state)
{
    (void)state;
    assert_false(loaded_text("version: 1\nplugins:\n  old: {}\n"));
    expect_line(0, "3:3: error: plugin `old` was built for weir ABI");
    assert_int_equal(count_lines(), 1);
    assert_true(loaded_text("version: 1\nplugins:\n  old: { optional: true, config: { x: y } }\n"));
    expect_line(0, "3:3: warning: plugin `old`");
}

static void an_address_that_two_listeners_bind_is_one_error(void **state)
{
    (void)state;
    assert_false(loaded_text("version: 1\n"
                             "listeners:\n"
                             "  a: { protocol: good, bind: 127.0.0.1:81 }\n"
                             "  b: { protocol: good, bind: [127.0.0.1:82, 127.0.0.1:81] }\n"));
    expect_line(0, "4:45: error: 127.0.0.1:81 is listened on twice");
    assert_int_equal(count_lines(), 1);
}

static void a_taken_port_is_71_with_its_place(void **state)
{
    char text[300], name[100];
    int fd;

    (void)state;
    assert_string_equal(message_of(weir_listen_socket("127.0.0.1:0", NULL, &fd)), "");
    assert_string_equal(message_of(weir_socket_name(fd, name, sizeof name)), "");
    snprintf(text, sizeof text, "version: 1\nlisteners:\n  a:\n    protocol: good\n    bind: %s\n",
             name);
    assert_true(loaded_text(text));
    assert_false(weir_host_prepare(loaded.host));
    assert_int_equal(weir_host_exit_code(loaded.host), 71);
    close(fd);
}

static void a_certificate_that_is_missing_is_78_with_its_place(void **state)
{
    FILE *out;
    size_t size;

    (void)state;
    assert_true(
        loaded_text("version: 1\n"
                    "tls: { certificates: { site: { certificate: a.pem, key: b.pem } } }\n"
                    "listeners:\n"
                    "  a: { protocol: good, bind: 127.0.0.1:0, tls: { certificates: site } }\n"));
    assert_false(weir_host_prepare(loaded.host));
    free(loaded.report);
    out = open_memstream(&loaded.report, &size);
    weir_host_report(loaded.host, out, WEIR_HOST_GCC, false);
    fclose(out);
    expect_line(0, "2:45: error:");
    assert_int_equal(count_lines(), 1);
    assert_int_equal(weir_host_exit_code(loaded.host), 78);
}

static void a_name_that_does_not_exist_is_reported(void **state)
{
    (void)state;
    assert_false(
        loaded_text("version: 1\n"
                    "listeners:\n"
                    "  a: { protocol: good, tls: { certificates: [sight] } }\n"
                    "tls: { certificates: { site: { certificate: a.pem, key: b.pem } } }\n"));
    expect_line(0, "3:46: error: certificate `sight` does not exist");
    assert_int_equal(count_lines(), 1);
}

static void servers_of_the_resolver_are_addresses(void **state)
{
    (void)state;
    assert_true(loaded_text(
        "version: 1\n"
        "resolver: { servers: [10.0.0.1, 10.0.0.2:5353, \"::1\", \"[::1]\", \"[fe80::1]:53\"],\n"
        "            cache: { max_stale: off, min_ttl: 0 } }\n"));
    assert_false(loaded_text(
        "version: 1\n"
        "resolver:\n"
        "  servers: [dns.example.org, 10.0.0.1:0, \"10.0.0.1:\", \"[::1\", 10.0.0.256,\n"
        "            \"[::1]:x\", 10.0.0.1:65536, [10.0.0.1], \"\"]\n"));
    expect_line(0, "3:13: error: `dns.example.org` is no address of a name server");
    expect_line(1, "3:30: error: `10.0.0.1:0` is no address of a name server");
    expect_line(2, "3:42: error: `10.0.0.1:` is no address");
    expect_line(3, "3:55: error: `[::1` is no address");
    expect_line(4, "3:63: error: `10.0.0.256` is no address");
    expect_line(5, "4:13: error: `[::1]:x` is no address");
    expect_line(6, "4:24: error: `10.0.0.1:65536` is no address");
    expect_line(7, "4:40: error:");
    expect_line(8, "4:52: error: `` is no address");
    assert_int_equal(count_lines(), 9);
}

static void ciphers_groups_and_versions_are_checked_by_name(void **state)
{
    (void)state;
    assert_true(loaded_text("version: 1\n"
                            "tls:\n"
                            "  profile: custom\n"
                            "  protocols: [1.2, 1.3]\n"
                            "  ciphers: [TLS_AES_128_GCM_SHA256, ECDHE-RSA-AES128-GCM-SHA256]\n"
                            "  groups: [X25519, P-256]\n"));
    assert_false(loaded_text("version: 1\n"
                             "tls:\n"
                             "  profile: custom\n"
                             "  protocols: [1.1, 1.3]\n"
                             "  ciphers: [ECDHE-RSA-AES128-GCM-SHA255, \"HIGH:!aNULL\"]\n"
                             "  groups: [X25518]\n"));
    expect_line(0, "4:15: error: `1.1`");
    expect_line(1, "5:13: error: `ECDHE-RSA-AES128-GCM-SHA255`");
    expect_line(2, "5:42: error: `HIGH:!aNULL`");
    expect_line(3, "6:12: error: `X25518`");
    assert_int_equal(count_lines(), 4);
}

static void lists_of_ones_own_need_the_custom_profile(void **state)
{
    (void)state;
    assert_false(loaded_text("version: 1\n"
                             "tls:\n"
                             "  protocols: [1.3]\n"
                             "  ciphers: [TLS_AES_128_GCM_SHA256]\n"
                             "  groups: [X25519]\n"));
    expect_line(0, "3:14: error: `protocols` is for `profile: custom`");
    expect_line(1, "4:12: error: `ciphers` is for `profile: custom`");
    expect_line(2, "5:11: error: `groups` is for `profile: custom`");
    assert_int_equal(count_lines(), 3);
}

/* The examples of the design: exactly one error for each use of what is planned. */

struct expectation {
    const char *at, *key;
};

static void expect_planned(const char *name, const struct expectation *expected, size_t n)
{
    char path[300], text[300], command[1000];

    snprintf(path, sizeof path, "tests/config/examples/%s", name);
    if (!loaded_has("http") || !loaded_has("tcp") || !loaded_has("echo"))
        skip(); /* bundled plugins are not built in this tree */
    /* Beside the files that it names. */
    snprintf(command, sizeof command, "cp %s %s && mkdir -p %s/public", source_path(path),
             loaded.folder, loaded.folder);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/%s", loaded.folder, name);
    if (loaded_file(path) != (n == 0))
        fail_msg("not as expected:\n%s", loaded.report);
    for (size_t i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%s: error: `%s` is not built yet", expected[i].at,
                 expected[i].key);
        expect_line(i, text);
    }
    if (count_lines() != n)
        fail_msg("%zu lines expected:\n%s", n, loaded.report);
}

static void the_quickstart_example_loads(void **state)
{
    (void)state;
    expect_planned("quickstart.yaml", NULL, 0);
}

static void the_l4_example_loads(void **state)
{
    (void)state;
    write_file(loaded.folder, "site.crt", "-----BEGIN CERTIFICATE-----\n");
    write_file(loaded.folder, "site.key", "-----BEGIN PRIVATE KEY-----\n");
    setenv("CREDENTIALS_DIRECTORY", loaded.folder, 1);
    expect_planned("l4.yaml", NULL, 0);
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void the_site_example_misses_only_what_is_planned(void **state)
{
    static const struct expectation expected[] = {
        {"26:5", "use"},
        {"35:9", "use"},
        {"41:33", "dashboard"},
    };

    (void)state;
    expect_planned("site.yaml", expected, sizeof expected / sizeof *expected);
}

/* The list of what is planned. */

static char *planned;
static size_t planned_len;
static FILE *planned_out;

static void list_words(const char *path, const weir_option *option)
{
    for (const char *const *word = option->planned_words; word && *word; word++)
        fprintf(planned_out, "%s: %s\n", path, *word);
}

static void list_planned(const char *prefix, const weir_option *const *options)
{
    for (; options && *options; options++) {
        const weir_option *option = *options;
        const char *entry = option->type == WEIR_TYPE_NAMED ? ".NAME" : "";
        char path[300];

        snprintf(path, sizeof path, "%s%s%s%s", prefix, *prefix ? "." : "", option->name, entry);
        if (option->planned)
            fprintf(planned_out, "%s\n", path);
        list_words(path, option);
        if (option->element)
            list_words(path, option->element);
        list_planned(path, option->fields);
        if (option->element)
            list_planned(path, option->element->fields);
    }
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_lines(char *text, char **lines, size_t limit, size_t *ret_n)
{
    size_t n = 0;

    for (char *line = strtok_r(text, "\n", &text); line; line = strtok_r(NULL, "\n", &text))
        if (*line != '#' && n < limit)
            lines[n++] = line;
    qsort(lines, n, sizeof *lines, compare_lines);
    *ret_n = n;
}

static void the_list_of_what_is_planned_is_the_one_in_the_tree(void **state)
{
    char *ours[500], *listed[500];
    size_t n_ours, n_listed, size = 65536;
    char *text = calloc(1, size);
    FILE *file = fopen(source_path("tests/config/not-built.txt"), "r");

    (void)state;
    assert_non_null(file);
    assert_true(fread(text, 1, size - 1, file) > 0);
    fclose(file);
    planned_out = open_memstream(&planned, &planned_len);
    list_planned("", weir__top_options);
    fclose(planned_out);
    if (getenv("WEIR_PRINT_PLANNED"))
        fputs(planned, stderr);
    sort_lines(planned, ours, 500, &n_ours);
    sort_lines(text, listed, 500, &n_listed);
    for (size_t i = 0; i < n_ours || i < n_listed; i++)
        if (i >= n_ours || i >= n_listed || strcmp(ours[i], listed[i]) != 0)
            fail_msg("planned: %s, listed: %s", i < n_ours ? ours[i] : "-",
                     i < n_listed ? listed[i] : "-");
    free(planned);
    free(text);
}

static void quotas_of_cgroups_are_rounded_up(void **state)
{
    (void)state;
    assert_int_equal(weir__cpu_quota("max 100000"), 0);
    assert_int_equal(weir__cpu_quota("200000 100000"), 2);
    assert_int_equal(weir__cpu_quota("250000 100000"), 3);
    assert_int_equal(weir__cpu_quota("1000 100000"), 1);
    assert_int_equal(weir__cpu_quota(""), 0);
    assert_int_equal(weir__cpu_quota("100000 0"), 0);
    assert_true(weir__processor_count() >= 1);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, loaded_set_up, loaded_tear_down)
    const struct CMUnitTest tests[] = {
        CLAIM(the_smallest_file_is_a_version),
        CLAIM(a_file_without_version_is_refused),
        CLAIM(a_missing_file_is_66),
        CLAIM(settings_are_read),
        CLAIM(a_protocol_brings_its_tables),
        CLAIM(instances_know_their_configuration_and_place),
        CLAIM(nested_routes_need_what_is_around_them),
        CLAIM(mistakes_are_all_shown_at_their_places),
        CLAIM(a_plugin_that_cannot_be_loaded_is_shown_at_its_name),
        CLAIM(an_address_that_two_listeners_bind_is_one_error),
        CLAIM(a_taken_port_is_71_with_its_place),
        CLAIM(a_certificate_that_is_missing_is_78_with_its_place),
        CLAIM(a_name_that_does_not_exist_is_reported),
        CLAIM(servers_of_the_resolver_are_addresses),
        CLAIM(ciphers_groups_and_versions_are_checked_by_name),
        CLAIM(lists_of_ones_own_need_the_custom_profile),
        CLAIM(the_quickstart_example_loads),
        CLAIM(the_l4_example_loads),
        CLAIM(the_site_example_misses_only_what_is_planned),
        CLAIM(the_list_of_what_is_planned_is_the_one_in_the_tree),
        CLAIM(quotas_of_cgroups_are_rounded_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
