/* SPDX-License-Identifier: Apache-2.0 */
/* What structs hold after parsing: units, shorthands, defaults, merges, overlays, references. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"
#include "tests/unit/host/config_tables.h"

struct sample {
    weir_config_context *c;
    struct test_top *top;
};

static struct sample load(const char *text)
{
    struct sample s;

    s.c = test_config_text(text, &s.top);
    if (weir__config_error_count(s.c) > 0) {
        char *report = test_config_report(s.c, CONFIG_FORMAT_TEXT);

        print_error("%s", report);
        free(report);
    }
    assert_int_equal(weir__config_error_count(s.c), 0);
    assert_non_null(s.top);
    return s;
}

static const struct test_upstream *upstream(const struct sample *s, size_t i)
{
    assert_true(i < s->top->upstreams.count);
    return (const struct test_upstream *)s->top->upstreams.items + i;
}

static const struct test_listener *listener(const struct sample *s)
{
    assert_int_equal(s->top->listeners.count, 1);
    return s->top->listeners.items;
}

static void what_is_absent_has_its_default(void **state)
{
    struct sample s = load("version: 1\n");

    (void)state;
    assert_int_equal(s.top->log.level, 2);
    assert_false(s.top->debug.enabled);
    assert_int_equal(s.top->debug.slow_callback.ns, 100000000);
    assert_int_equal(s.top->debug.backtrace_depth, 8);
    assert_int_equal(s.top->runtime.threads, WEIR_INT_WORD(0));
    assert_true(s.top->runtime.memory == WEIR_SIZE_WORD(0));
    assert_int_equal(s.top->upstreams.count, 0);
    weir__config_unref(s.c);
}

static void units_become_numbers(void **state)
{
    struct sample s = load("version: 1\n"
                           "debug: { slow_callback: 1m30s }\n"
                           "runtime: { memory: 1.5MiB, threads: 4, ratio: 25%, rate: 100/m }\n"
                           "upstreams:\n"
                           "  a: { servers: h:1, connect_timeout: 0 }\n"
                           "  b: { servers: h:1, connect_timeout: off }\n"
                           "  c: { servers: h:1, connect_timeout: 1.5h }\n");

    (void)state;
    assert_int_equal(s.top->debug.slow_callback.ns, INT64_C(90000000000));
    assert_int_equal(s.top->runtime.memory, 1572864);
    assert_int_equal(s.top->runtime.threads, 4);
    assert_true(s.top->runtime.ratio == 0.25);
    assert_int_equal(s.top->runtime.rate.count, 100);
    assert_int_equal(s.top->runtime.rate.per.ns, INT64_C(60000000000));
    assert_true(weir_is_forever(upstream(&s, 0)->connect_timeout));
    assert_true(weir_is_forever(upstream(&s, 1)->connect_timeout));
    assert_int_equal(upstream(&s, 2)->connect_timeout.ns, INT64_C(5400000000000));
    weir__config_unref(s.c);
}

static void a_map_given_without_its_switch_is_on(void **state)
{
    struct sample on = load("version: 1\ndebug: { backtrace_depth: 2 }\n");
    struct sample shorthand = load("version: 1\ndebug: yes\n");

    (void)state;
    assert_true(on.top->debug.enabled);
    assert_int_equal(on.top->debug.backtrace_depth, 2);
    assert_true(shorthand.top->debug.enabled);
    assert_int_equal(shorthand.top->debug.backtrace_depth, 8);
    weir__config_unref(on.c);
    weir__config_unref(shorthand.c);
}

static void an_element_stands_for_a_list_of_one(void **state)
{
    struct sample s = load("version: 1\n"
                           "upstreams:\n"
                           "  a: { servers: h:80 }\n"
                           "  b: { servers: { address: \"[::1]:81\", weight: 3 } }\n");
    const struct test_server *a = upstream(&s, 0)->servers.items;
    const struct test_server *b = upstream(&s, 1)->servers.items;

    (void)state;
    assert_int_equal(upstream(&s, 0)->servers.count, 1);
    assert_string_equal(a->address.text, "h:80");
    assert_int_equal(a->weight, 1);
    assert_string_equal(b->address.host, "::1");
    assert_string_equal(b->address.text, "[::1]:81");
    assert_int_equal(b->weight, 3);
    weir__config_unref(s.c);
}

static void listen_addresses_have_all_their_forms(void **state)
{
    struct sample s = load("version: 1\nlisteners: { w: { routes: { reject: {} }, bind: "
                           "[443, \"127.0.0.1:0\", \"unix:/r/x\", systemd:web, fd:3] } }\n");
    const weir_option_address *a = listener(&s)->bind.items;

    (void)state;
    assert_int_equal(listener(&s)->bind.count, 5);
    assert_string_equal(a[0].text, "*:443");
    assert_int_equal(a[1].port, 0);
    assert_int_equal(a[2].kind, WEIR_ADDRESS_UNIX);
    assert_string_equal(a[2].name, "/r/x");
    assert_int_equal(a[3].kind, WEIR_ADDRESS_SYSTEMD);
    assert_string_equal(a[3].name, "web");
    assert_int_equal(a[4].kind, WEIR_ADDRESS_FD);
    assert_int_equal(a[4].port, 3);
    weir__config_unref(s.c);
}

static void an_optional_map_is_null_until_it_is_written(void **state)
{
    struct sample s = load("version: 1\nupstreams:\n  a: { servers: h:1 }\n"
                           "  b: { servers: h:1, health_check: }\n"
                           "  c: { servers: h:1, health_check: { type: tcp } }\n");

    (void)state;
    assert_null(upstream(&s, 0)->health_check);
    assert_string_equal(upstream(&s, 1)->health_check->path, "/");
    assert_int_equal(upstream(&s, 2)->health_check->type, 1);
    weir__config_unref(s.c);
}

static void merge_keys_give_what_the_map_does_not_set(void **state)
{
    struct sample s = load("version: 1\n"
                           "x-d: &d { keepalive: 7, balance: least_conn }\n"
                           "x-e: &e { keepalive: 9, connect_timeout: 1s }\n"
                           "upstreams:\n"
                           "  a: { <<: *d, servers: h:1, keepalive: 5 }\n"
                           "  b: { <<: [*d, *e], servers: h:1 }\n");

    (void)state;
    assert_int_equal(upstream(&s, 0)->keepalive, 5);
    assert_int_equal(upstream(&s, 0)->balance, 1);
    assert_int_equal(upstream(&s, 1)->keepalive, 7);
    assert_int_equal(upstream(&s, 1)->connect_timeout.ns, 1000000000);
    weir__config_unref(s.c);
}

static void two_tables_fill_one_map(void **state)
{
    struct sample s = load("version: 1\nlisteners: { w: { bind: 80, max_body: 1MB, timeouts: "
                           "{ handshake: 1s, header: 2s }, routes: { reject: {} } } }\n");

    (void)state;
    assert_int_equal(listener(&s)->timeouts.handshake.ns, 1000000000);
    assert_int_equal(listener(&s)->http->timeouts.header.ns, 2000000000);
    assert_int_equal(listener(&s)->http->timeouts.body.ns, INT64_C(30000000000));
    assert_int_equal(listener(&s)->http->max_body, 1000000);
    weir__config_unref(s.c);
}

static void routes_hold_their_matchers_filters_and_action(void **state)
{
    struct sample s = load("version: 1\nupstreams: { app: { servers: h:1 } }\n"
                           "listeners: { w: { bind: 80, routes: [\n"
                           "  { match: { path: [/a, /b] }, use: headers, proxy: app },\n"
                           "  { use: [ { headers: { set: { A: b } } } ], static: { root: s } },\n"
                           "  { proxy: \"https://[::1]/x\" } ] } }\n");
    const struct test_route *routes = listener(&s)->routes.items;
    const weir_choice *match = routes[0].match.items, *use = routes[1].use.items;
    const struct test_proxy *proxy = routes[0].action.config;
    const struct test_headers *headers = use->config;
    const weir_array *paths = match->config;
    const struct config_reference *address = weir__config_reference_at(s.c, 1);

    (void)state;
    assert_string_equal(match->name, "path");
    assert_string_equal(((const char *const *)paths->items)[1], "/b");
    assert_string_equal(routes[0].action.name, "proxy");
    assert_int_equal(proxy->idle_timeout.ns, INT64_C(75000000000));
    assert_int_equal(headers->set.count, 1);
    assert_string_equal(((const struct test_header *)headers->set.items)->value, "b");
    assert_ptr_equal(weir__config_reference_at(s.c, 0)->target, upstream(&s, 0));
    assert_ptr_equal(weir__config_reference_at(s.c, 0)->field, &proxy->upstream);
    assert_null(address->name);
    assert_string_equal(address->scheme, "https");
    assert_string_equal(address->address.text, "[::1]:443");
    assert_string_equal(address->url_path, "/x");
    assert_int_equal(weir__config_choice_count(s.c), 6);
    weir__config_unref(s.c);
}

static void the_command_line_goes_before_files(void **state)
{
    static const char *const sets[] = {
        "log.level=debug", "log.level=error", "upstreams.a.servers=[h:2, h:3]",
        "log.levels.\"plugin.echo\"=trace", "upstreams.b.servers.0.address=h:9"};
    struct config_settings settings = {
        .path = "w.yaml",
        .text = "version: 1\nlog: { level: info }\nx-a: &s [ { address: h:1 } ]\n"
                "upstreams: { a: { servers: h:1 }, b: { servers: *s }, c: { servers: *s } }\n",
        .sets = sets,
        .n_sets = 5,
        .version = 1};
    struct sample s;
    char where[64];

    (void)state;
    s.c = test_config_load(&settings, &s.top);
    assert_int_equal(weir__config_error_count(s.c), 0);
    assert_int_equal(s.top->log.level, 5);
    assert_string_equal(weir__config_where(s.c, &s.top->log.level, where, sizeof where),
                        "--set:1:11");
    assert_int_equal(upstream(&s, 0)->servers.count, 2);
    assert_string_equal(((const struct test_level *)s.top->log.levels.items)->name, "plugin.echo");
    assert_string_equal(((const struct test_server *)upstream(&s, 1)->servers.items)->address.text,
                        "h:9");
    assert_string_equal(((const struct test_server *)upstream(&s, 2)->servers.items)->address.text,
                        "h:1");
    weir__config_unref(s.c);
}

static const char *fake_environment(void *arg, const char *name)
{
    (void)arg;
    return strcmp(name, "SET") == 0 ? "h:80" : strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static void expansion_gives_text_never_yaml(void **state)
{
    struct config_settings settings = {
        .path = "w.yaml",
        .text = "version: 1\nupstreams:\n  a: { servers: \"${env:SET}\", password: \"a$$b${x\" }\n",
        .getenv = fake_environment,
        .version = 1};
    struct sample s;

    (void)state;
    settings.text = "version: 1\nupstreams:\n  a: { servers: \"${env:SET}\", password: "
                    "\"[$$x, $y${env:EMPTY:-d}]\" }\n";
    s.c = test_config_load(&settings, &s.top);
    assert_int_equal(weir__config_error_count(s.c), 0);
    assert_string_equal(((const struct test_server *)upstream(&s, 0)->servers.items)->address.text,
                        "h:80");
    assert_string_equal(upstream(&s, 0)->password, "[$x, $yd]");
    weir__config_unref(s.c);
}

static void an_address_of_a_field_finds_its_place_at_any_depth(void **state)
{
    struct sample s = load("version: 1\n"
                           "upstreams:\n"
                           "  a:\n"
                           "    servers:\n"
                           "      - h:1\n"
                           "      - { address: h:2, weight: 7 }\n");
    const struct test_server *servers = upstream(&s, 0)->servers.items;
    char where[64];

    (void)state;
    assert_string_equal(weir__config_where(s.c, &servers[1].weight, where, sizeof where),
                        "weir.yaml:6:33");
    assert_string_equal(weir__config_where(s.c, &servers[0].address, where, sizeof where),
                        "weir.yaml:5:9");
    assert_string_equal(weir__config_where(s.c, upstream(&s, 0), where, sizeof where),
                        "weir.yaml:3:3");
    assert_string_equal(weir__config_where(s.c, &upstream(&s, 0)->keepalive, where, sizeof where),
                        "weir.yaml:3:3");
    assert_string_equal(weir__config_where(s.c, &upstream(&s, 0)->servers, where, sizeof where),
                        "weir.yaml:4:5");
    weir__config_unref(s.c);
}

static void a_billion_laughs_are_refused(void **state)
{
    char text[4096] = "version: 1\nx-0: &a0 [ha]\n";
    struct sample s;

    (void)state;
    for (int i = 1; i < 20; i++) {
        char line[128];

        snprintf(line, sizeof line, "x-%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1,
                 i - 1, i - 1, i - 1, i - 1, i - 1);
        memcpy(text + strlen(text), line, strlen(line) + 1);
    }
    s.c = test_config_text(text, &s.top);
    assert_int_equal(weir__config_error_count(s.c), 1);
    weir__config_unref(s.c);
}

static void depth_has_a_limit(void **state)
{
    char text[256] = "version: 1\nx-a: ";
    struct sample s;

    (void)state;
    memset(text + strlen(text), '[', 100);
    s.c = test_config_text(text, &s.top);
    assert_int_equal(weir__config_error_count(s.c), 1);
    weir__config_unref(s.c);
}

static void exit_codes_tell_what_was_wrong(void **state)
{
    static const char *const sets[] = {"log.level=debgu"};
    struct config_settings cli = {.path = "w", .text = "version: 1\n", .sets = sets, .n_sets = 1};
    struct config_settings none = {.path = "/nowhere/weir.yaml"};
    struct test_top *top;
    weir_config_context *c = test_config_load(&cli, &top);

    (void)state;
    assert_int_equal(weir__config_exit_code(c), 64);
    weir__config_unref(c);
    c = test_config_load(&none, &top);
    assert_int_equal(weir__config_exit_code(c), 66);
    assert_null(top);
    weir__config_unref(c);
    c = test_config_text("version: 1\nlog: 5\n", &top);
    assert_int_equal(weir__config_exit_code(c), 78);
    weir__config_unref(c);
}

static void a_thousand_routes_parse(void **state)
{
    size_t room = 200000, len;
    char *text = calloc(1, room);
    struct sample s;

    (void)state;
    assert_non_null(text);
    len = (size_t)snprintf(text, room,
                           "version: 1\nupstreams: { app: { servers: h:1 } }\n"
                           "listeners:\n  w:\n    bind: 80\n    routes:\n");
    for (int i = 0; i < 1000; i++)
        len += (size_t)snprintf(text + len, room - len,
                                "      - match: { path: /p%d/* }\n        proxy: app\n", i);
    s = load(text);
    assert_int_equal(listener(&s)->routes.count, 1000);
    weir__config_unref(s.c);
    free(text);
}

/* Two maps of `n` keys each, one merged into the other, with one key twice. */
static char *large_maps(size_t n, size_t *ret_len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_len);

    assert_non_null(out);
    fputs("version: 1\nx-a: &a\n", out);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "  a%zu: 1\n", i);
    fputs("x-b:\n  <<: *a\n", out);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "  b%zu: 1\n", i);
    fputs("upstreams: { app: { servers: h:1, keepalive: 1, servers: h:2 } }\n", out);
    fclose(out);
    return text;
}

/* Key by key against all others this would be 10^10 comparisons. */
static void maps_of_a_hundred_thousand_keys_merge(void **state)
{
    size_t len;
    char *text = large_maps(100000, &len);
    struct test_top *top;
    weir_config_context *c = test_config_text(text, &top);
    ptrdiff_t at = weir__node_index(weir__config_root(c), "x-b");
    const weir_config_node *map = weir__config_root(c)->items[at];

    (void)state;
    assert_int_equal(map->count, 200000);
    assert_int_equal(weir__node_index(map, "b99999"), 99999);
    assert_int_equal(weir__node_index(map, "a99999"), 199999);
    assert_int_equal(weir__node_index(map, "c1"), -1);
    assert_int_equal(weir__config_error_count(c), 1);
    weir__config_unref(c);
    free(text);
}

static void load_in_guard(void *arg)
{
    weir_config_context *c = arg;

    assert_true(weir__config_load(c));
}

static void want_of_memory_is_a_diagnostic(void **state)
{
    size_t len;
    char *text = large_maps(10000, &len), *report;
    struct config_settings settings = {
        .path = "weir.yaml", .text = text, .version = 1, .memory_limit = (size_t)1 << 20};
    weir_config_context *c;

    (void)state;
    assert_null(weir__config_new(&settings, &c));
    assert_false(weir__config_guard(c, load_in_guard, c));
    report = test_config_report(c, CONFIG_FORMAT_TEXT);
    assert_string_equal(report,
                        "error[W0012]: the configuration needs more memory than it may have\n\n");
    assert_int_equal(weir__config_exit_code(c), 71);
    free(report);
    weir__config_unref(c);
    free(text);
}

static void what_is_printed_says_where_it_came_from_and_no_secret(void **state)
{
    struct config_settings settings = {.path = "weir.yaml",
                                       .version = 1,
                                       .trace = true,
                                       .text = "version: 1\n"
                                               "log: { level: \"${env:CONFIG_TEST_LEVEL}\" }\n"
                                               "upstreams:\n"
                                               "  app: { servers: h:1 }\n"};
    struct config_print how = {.path = "log"};
    struct test_top *top;
    char *text = NULL;
    size_t len;
    weir_config_context *c;
    FILE *out;

    (void)state;
    setenv("CONFIG_TEST_LEVEL", "debug", 1);
    c = test_config_load(&settings, &top);
    out = open_memstream(&text, &len);
    assert_true(weir__config_print(c, out, &how));
    fclose(out);
    assert_non_null(strstr(text, "level: debug"));
    assert_non_null(strstr(text, "# env CONFIG_TEST_LEVEL (weir.yaml:2:15)\n"));
    free(text);
    how.path = "upstreams.app.servers[0]";
    out = open_memstream(&text, &len);
    assert_true(weir__config_print(c, out, &how));
    fclose(out);
    assert_non_null(strstr(text, "# weir.yaml:4:19\n"));
    free(text);
    how.path = "upstreams.none";
    assert_false(weir__config_print(c, stderr, &how));
    weir__config_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_absent_has_its_default),
        cmocka_unit_test(units_become_numbers),
        cmocka_unit_test(a_map_given_without_its_switch_is_on),
        cmocka_unit_test(an_element_stands_for_a_list_of_one),
        cmocka_unit_test(listen_addresses_have_all_their_forms),
        cmocka_unit_test(an_optional_map_is_null_until_it_is_written),
        cmocka_unit_test(merge_keys_give_what_the_map_does_not_set),
        cmocka_unit_test(two_tables_fill_one_map),
        cmocka_unit_test(routes_hold_their_matchers_filters_and_action),
        cmocka_unit_test(the_command_line_goes_before_files),
        cmocka_unit_test(expansion_gives_text_never_yaml),
        cmocka_unit_test(an_address_of_a_field_finds_its_place_at_any_depth),
        cmocka_unit_test(a_billion_laughs_are_refused),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(exit_codes_tell_what_was_wrong),
        cmocka_unit_test(a_thousand_routes_parse),
        cmocka_unit_test(maps_of_a_hundred_thousand_keys_merge),
        cmocka_unit_test(want_of_memory_is_a_diagnostic),
        cmocka_unit_test(what_is_printed_says_where_it_came_from_and_no_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
