/* SPDX-License-Identifier: Apache-2.0 */
/* What the operator reads: excerpts, carets, secrets, formats, includes. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/host/config_tables.h"

static void assert_report(weir_config_context *c, enum config_format format, const char *expected)
{
    char *text = test_config_report(c, format);

    assert_string_equal(text, expected);
    free(text);
    weir__config_unref(c);
}

static void an_unknown_key_is_shown_as_the_design_page_has_it(void **state)
{
    struct test_top *top;

    (void)state;
    assert_report(test_config_text("version: 1\n"
                                   "\n"
                                   "upstreams:\n"
                                   "  app:\n"
                                   "    balance: least_conn\n"
                                   "    servers: [h:80]\n"
                                   "    healthcheck: { path: /healthz }\n",
                                   &top),
                  CONFIG_FORMAT_TEXT,
                  "error[W0103]: unknown key `healthcheck` in upstream `app`\n"
                  "  --> weir.yaml:7:5\n"
                  "   |\n"
                  " 4 |   app:\n"
                  "   |   --- in this upstream\n"
                  " 7 |     healthcheck: { path: /healthz }\n"
                  "   |     ^^^^^^^^^^^ not a setting of an upstream\n"
                  "   = help: did you mean `health_check`?\n"
                  "   = see:  weir explain W0103\n"
                  "\n");
}

static void a_yaml_error_shows_what_to_write(void **state)
{
    struct test_top *top;

    (void)state;
    assert_report(test_config_text("version: 1\nlisteners:\n  web:\n    routes:\n"
                                   "    - match: { sni: *.example.com }\n",
                                   &top),
                  CONFIG_FORMAT_TEXT,
                  "error[W0005]: `*` starts a YAML alias here\n"
                  "  --> weir.yaml:5:21\n"
                  " 5 |     - match: { sni: *.example.com }\n"
                  "   |                     ^ put it in quotes: \"*.example.com\"\n"
                  "\n");
}

static void carets_stand_right_after_tabs_and_wide_letters(void **state)
{
    struct test_top *top;

    (void)state;
    assert_report(
        test_config_text("version: 1\nlog: {\t\"level\": \"日本\" ,\tformat: no }\n", &top),
        CONFIG_FORMAT_TEXT,
        "error[W0107]: `日本` is not a word of `level`\n"
        "  --> weir.yaml:2:17\n"
        " 2 | log: {  \"level\": \"日本\" ,   format: no }\n"
        "   |                  ^^^^^^ expected trace, debug, info, notice, warning, error, "
        "critical\n"
        "\n"
        "error[W0107]: `no` is not a word of `format`\n"
        "  --> weir.yaml:2:32\n"
        " 2 | log: {  \"level\": \"日本\" ,   format: no }\n"
        "   |                                     ^^ expected auto, text, json\n"
        "\n");
}

static void secrets_are_never_shown(void **state)
{
    struct test_top *top;
    weir_config_context *c = test_config_text("version: 1\n"
                                              "upstreams:\n"
                                              "  a: { servers: h, password: hunter2, x: 1 }\n"
                                              "  b: { servers: h:1, password: [hunter2] }\n"
                                              "  c: { servers: h:1, pasword: hunter2 }\n"
                                              "  d:\n"
                                              "    servers: h:1\n"
                                              "    password: hunter2\n"
                                              "    password: hunter2\n",
                                              &top);
    char *text = test_config_report(c, CONFIG_FORMAT_TEXT);

    (void)state;
    assert_int_equal(weir__config_error_count(c), 5);
    assert_null(strstr(text, "hunter2"));
    assert_non_null(strstr(text, " 3 |   a: { servers: h, password: <redacted>, x: 1 }\n"
                                 "   |                 ^ a port is missing"));
    free(text);
    weir__config_unref(c);
}

static void a_secret_in_a_file_that_does_not_parse_is_not_shown(void **state)
{
    struct test_top *top;
    weir_config_context *c =
        test_config_text("version: 1\nupstreams: { a: { password: @hunter2 } }\n", &top);
    char *text = test_config_report(c, CONFIG_FORMAT_TEXT);

    (void)state;
    assert_int_equal(weir__config_error_count(c), 1);
    assert_null(strstr(text, "hunter2"));
    free(text);
    weir__config_unref(c);
}

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[256];
    FILE *out;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void credentials_are_read_and_redacted(void **state)
{
    char folder[] = "/tmp/weir-config-XXXXXX", path[64];
    struct test_top *top;
    weir_config_context *c;
    char *text;

    (void)state;
    assert_non_null(mkdtemp(folder));
    write_file(folder, "db", "hunter2\n");
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    c = test_config_text("version: 1\nupstreams:\n"
                         "  a: { servers: h:1, password: \"${cred:db}\" }\n"
                         "  b: { servers: h:1, keepalive: \"${cred:db}\" }\n",
                         &top);
    text = test_config_report(c, CONFIG_FORMAT_TEXT);
    assert_string_equal(((const struct test_upstream *)top->upstreams.items)->password, "hunter2");
    assert_int_equal(weir__config_error_count(c), 1);
    assert_non_null(strstr(text, "`keepalive` takes a number, not `<redacted: cred:db>`"));
    assert_null(strstr(text, "hunter2"));
    free(text);
    weir__config_unref(c);
    unsetenv("CREDENTIALS_DIRECTORY");
    snprintf(path, sizeof path, "%s/db", folder);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void two_files_that_set_one_value_are_both_shown(void **state)
{
    char folder[] = "/tmp/weir-config-XXXXXX", a[64], b[64], expected[1024];
    struct config_settings settings = {.path = a, .version = 1};
    struct test_top *top;
    weir_config_context *c;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(a, sizeof a, "%s/a.yaml", folder);
    snprintf(b, sizeof b, "%s/b.yaml", folder);
    write_file(folder, "a.yaml", "version: 1\ninclude: b.yaml\nlog: { level: info }\n");
    write_file(folder, "b.yaml", "log:\n  level: debug\n  format: text\n");
    c = test_config_load(&settings, &top);
    assert_int_equal(top->log.level, 2);
    assert_int_equal(top->log.format, 1);
    assert_int_equal(weir__config_file_count(c), 2);
    snprintf(expected, sizeof expected,
             "error[W0020]: `log.level` is set in two files\n"
             "  --> %s:2:3\n"
             " 2 |   level: debug\n"
             "   |   ^^^^^ set again here\n"
             "  ::: %s:3:8\n"
             " 3 | log: { level: info }\n"
             "   |        ----- first set here\n"
             "   = help: remove one of them; files have no order of precedence\n"
             "\n",
             b, a);
    assert_report(c, CONFIG_FORMAT_TEXT, expected);
    assert_int_equal(unlink(a), 0);
    assert_int_equal(unlink(b), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void editors_get_one_line_each(void **state)
{
    struct test_top *top;

    (void)state;
    assert_report(test_config_text("version: 1\nlog: { level: inf }\ndebug: 3\n", &top),
                  CONFIG_FORMAT_GCC,
                  "weir.yaml:2:15: error: `inf` is not a word of `level` [W0107]\n"
                  "weir.yaml:3:8: error: `enabled` takes true or false, not `3` [W0102]\n");
}

static void json_names_every_place(void **state)
{
    struct test_top *top;

    (void)state;
    assert_report(
        test_config_text("version: 1\nlog: { level: inf }\n", &top), CONFIG_FORMAT_JSON,
        "{\"severity\":\"error\",\"code\":\"W0107\",\"message\":\"`inf` is not a word of "
        "`level`\",\"at\":{\"file\":\"weir.yaml\",\"line\":2,\"column\":15,\"end_line\":2,"
        "\"end_column\":18,\"label\":\"expected trace, debug, info, notice, warning, error, "
        "critical\"},\"also\":[],\"help\":[\"did you mean `info`?\"]}\n");
}

static void check_range(weir_config_context *c, const void *config)
{
    const struct test_upstream *upstream = config;
    const struct test_server *servers = upstream->servers.items;

    weir_config_error(c, &servers[1].weight, "too heavy");
    weir_config_label(c, "at most 5");
    weir_config_label_also(c, &servers[0].weight, "this is %d", servers[0].weight);
    weir_config_help(c, "use 5");
    weir_config_error(c, NULL, "as a whole");
}

static void a_check_points_at_fields_at_any_depth(void **state)
{
    struct test_top *top;
    weir_config_context *c = test_config_text("version: 1\nupstreams:\n  a:\n    servers:\n"
                                              "      - { address: h:1, weight: 2 }\n"
                                              "      - { address: h:2, weight: 9 }\n",
                                              &top);

    (void)state;
    weir__config_check(c, check_range, top->upstreams.items, top->upstreams.items);
    assert_report(c, CONFIG_FORMAT_TEXT,
                  "error[W0301]: as a whole\n"
                  "  --> weir.yaml:3:3\n"
                  " 3 |   a:\n"
                  "   |   ^\n"
                  "\n"
                  "error[W0301]: too heavy\n"
                  "  --> weir.yaml:6:33\n"
                  "   |\n"
                  " 5 |       - { address: h:1, weight: 2 }\n"
                  "   |                                 - this is 2\n"
                  " 6 |       - { address: h:2, weight: 9 }\n"
                  "   |                                 ^ at most 5\n"
                  "   = help: use 5\n"
                  "\n");
}

static void no_more_than_twenty_errors_are_shown(void **state)
{
    char text[2048] = "version: 1\n";
    struct test_top *top;
    weir_config_context *c;
    unsigned shown = 0;
    char *report;

    (void)state;
    for (int i = 0; i < 30; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "zzzzzzzz%d: 1\n", i);
    c = test_config_text(text, &top);
    report = test_config_report(c, CONFIG_FORMAT_TEXT);
    for (const char *s = report; (s = strstr(s, "error[")) != NULL; s++)
        shown++;
    assert_int_equal(shown, 20);
    assert_int_equal(weir__config_error_count(c), 30);
    free(report);
    weir__config_unref(c);
}

static void the_last_line_sums_up(void **state)
{
    struct test_top *top;
    weir_config_context *c = test_config_text("version: 1\nlog: 5\n", &top);
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    assert_non_null(out);
    weir__config_summary(c, out, "nothing was changed");
    fclose(out);
    assert_string_equal(text, "weir: 1 error, 0 warnings in 1 file; nothing was changed\n");
    free(text);
    weir__config_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_key_is_shown_as_the_design_page_has_it),
        cmocka_unit_test(a_yaml_error_shows_what_to_write),
        cmocka_unit_test(carets_stand_right_after_tabs_and_wide_letters),
        cmocka_unit_test(secrets_are_never_shown),
        cmocka_unit_test(a_secret_in_a_file_that_does_not_parse_is_not_shown),
        cmocka_unit_test(credentials_are_read_and_redacted),
        cmocka_unit_test(two_files_that_set_one_value_are_both_shown),
        cmocka_unit_test(editors_get_one_line_each),
        cmocka_unit_test(json_names_every_place),
        cmocka_unit_test(a_check_points_at_fields_at_any_depth),
        cmocka_unit_test(no_more_than_twenty_errors_are_shown),
        cmocka_unit_test(the_last_line_sums_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
