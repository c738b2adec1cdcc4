/* SPDX-License-Identifier: Apache-2.0 */
/* What cannot work of inspection, handoff and redirects is told at its place; what can is accepted. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/host.h>

#include "tests/unit/host/host_test.h"

static char *folder, *plugins, *report;

static int set_up(void **state)
{
    (void)state;
    folder = new_folder();
    plugins = new_plugin_folder();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(report);
    report = NULL;
    remove_folder(plugins);
    remove_folder(folder);
    return 0;
}

/* `report` has a line for each diagnostic. */
static bool load(const char *listeners)
{
    char path[300], text[4000];
    weir_host_options options = {WEIR_SIZED(weir_host_options), .config_path = path,
                                 .plugin_dir = plugins};
    weir_host *host;
    size_t size;
    FILE *out;
    bool ok;

    snprintf(path, sizeof path, "%s/weir.yaml", folder);
    snprintf(
        text, sizeof text,
        "version: 1\nplugins: { echo: {} }\ntls: { certificates: { site: { certificate: c, key: k } } }\n"
        "listeners:\n%s",
        listeners);
    write_file(folder, "weir.yaml", text);
    assert_string_equal(message_of(weir_host_new(&options, &host)), "");
    ok = weir_host_load(host);
    free(report);
    out = open_memstream(&report, &size);
    weir_host_report(host, out, WEIR_HOST_GCC, false);
    fclose(out);
    weir_host_free(host);
    return ok;
}

/* One error, at that place (of the whole file: listeners begin in line 5). */
static void expect_error(const char *listeners, const char *at, const char *words)
{
    const char *colon;

    assert_false(load(listeners));
    colon = strchr(report, ':');
    if (!colon || strncmp(colon + 1, at, strlen(at)) != 0 || !strstr(report, words))
        fail_msg("expected %s … %s in:\n%s", at, words, report);
}

#define TCP "  a: { bind: 1, protocol: tcp, "

static void names_of_inspectors_are_checked(void **state)
{
    (void)state;
    expect_error(TCP "inspect: [tls, posgres], routes: { reject: {} } }\n", "5:47",
                 "there is no inspector `posgres`");
    expect_error(TCP "inspect: [tls, tls], routes: { reject: {} } }\n", "5:47",
                 "`tls` stands in `inspect` twice");
    expect_error(TCP "inspect: tcp, routes: { reject: {} } }\n", "5:41",
                 "there is no inspector `tcp`");
}

static void names_to_match_are_checked(void **state)
{
    (void)state;
    expect_error(TCP "routes: { match: { sni: \"a.*.b\" }, reject: {} } }\n", "5:56",
                 "has a `*` where none can stand");
    expect_error(TCP "routes: { match: { sni: \"*\" }, reject: {} } }\n", "5:56",
                 "stands for any name");
    expect_error(TCP "routes: { match: { sni: \"a b\" }, reject: {} } }\n", "5:56",
                 "is no server name");
    expect_error(TCP "routes: { match: { alpn: \"h2,h3\" }, reject: {} } }\n", "5:57",
                 "is no name of a protocol");
}

static void handoff_leads_to_a_listener_that_can_take_it(void **state)
{
    (void)state;
    expect_error(TCP "routes: { handoff: b } }\n", "5:51", "listener `b` does not exist");
    expect_error(TCP "routes: { handoff: a } }\n", "5:51", "in a circle");
    expect_error(TCP "routes: { handoff: b } }\n  b: { protocol: tcp, routes: { handoff: a } }\n",
                 "6:42", "in a circle");
    expect_error(TCP "routes: { handoff: b } }\n  b: { protocol: udp, routes: { reject: {} } }\n",
                 "5:51", "takes datagrams");
    expect_error(TCP "tls: { certificates: site }, routes: { handoff: b } }\n"
                     "  b: { protocol: tcp, routes: { handoff: c } }\n"
                     "  c: { protocol: echo, tls: { certificates: site } }\n",
                 "6:42", "would put TLS into TLS");
    assert_true(load(TCP "routes: { handoff: b } }\n"
                         "  b: { protocol: tcp, routes: { handoff: c } }\n"
                         "  c: { protocol: echo, tls: { certificates: site } }\n"));
}

static void listener_that_nobody_reaches_is_a_warning(void **state)
{
    (void)state;
    assert_true(load(TCP "routes: { reject: {} } }\n  b: { protocol: echo }\n"));
    assert_non_null(strstr(report, "listener `b` is reached by nobody"));
}

static void redirects_need_tls_http_and_an_address(void **state)
{
    (void)state;
    expect_error("  a: { bind: 1, redirect_from: 2, routes: { respond: 200 } }\n", "5:32",
                 "has no `tls`");
    expect_error(
        "  a: { redirect_from: 2, tls: { certificates: site }, routes: { respond: 200 } }\n",
        "5:23", "has no `bind`");
    expect_error(TCP "redirect_from: 2, tls: { certificates: site }, routes: { reject: {} } }\n",
                 "5:47", "sends nobody elsewhere");
    expect_error("  a: { bind: 1, redirect_from: 1, tls: { certificates: site }, "
                 "routes: { respond: 200 } }\n",
                 "5:32", "is listened on twice");
}

static void datagrams_have_no_tls(void **state)
{
    (void)state;
    expect_error("  a: { bind: 1, protocol: udp, tls: { certificates: site }, "
                 "routes: { reject: {} } }\n",
                 "5:37", "not for datagrams");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_inspectors_are_checked),
        cmocka_unit_test(names_to_match_are_checked),
        cmocka_unit_test(handoff_leads_to_a_listener_that_can_take_it),
        cmocka_unit_test(listener_that_nobody_reaches_is_a_warning),
        cmocka_unit_test(redirects_need_tls_http_and_an_address),
        cmocka_unit_test(datagrams_have_no_tls),
    };

    return cmocka_run_group_tests_name("inspect_config", tests, set_up, tear_down);
}
