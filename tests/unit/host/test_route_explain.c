/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Explanations: which listener fits a URL, which route takes the request and why each other one does
 * not, and the configuration's own `tests`. The protocol is the bundled http, which has a libweir-host
 * of its own: what is asked over a connection is tested with the installed weir.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/host.h>

#include "host/route/explain.h"
#include "tests/unit/host/host_test.h"

static struct explanation *e;

static int set_up(void **state)
{
    return loaded_set_up(state);
}

static int tear_down(void **state)
{
    weir__explanation_free(e);
    e = NULL;
    return loaded_tear_down(state);
}

static void load(const char *text)
{
    if (!loaded_has("http"))
        skip();
    if (!loaded_text(text))
        fail_msg("%s", loaded.report);
}

static const char *explain_from(const char *request, const char *from, const char *fields)
{
    struct route_question question = {request, from, fields};
    weir_error *error;

    weir__explanation_free(e);
    e = NULL;
    error = weir__route_explain(loaded.host->generation, &question, &e);
    return message_of(error);
}

/* "web/admin" for listener and route. */
static const char *taken(const char *request)
{
    static char text[300];

    assert_string_equal(explain_from(request, NULL, NULL), "");
    snprintf(text, sizeof text, "%s/%s", e->listener ? e->listener->said->name : "-",
             e->route ? e->route->name : "-");
    return text;
}

static const char site[] = "version: 1\n"
                           "upstreams:\n"
                           "  app: { servers: [10.0.0.1:80, 10.0.0.2:80] }\n"
                           "listeners:\n"
                           "  web:\n"
                           "    bind: 8080\n"
                           "    routes:\n"
                           "      - match: { path: /assets/* }\n"
                           "        respond: { status: 204 }\n"
                           "      - name: admin\n"
                           "        match: { path: /admin/*, client_ip: 10.0.0.0/8 }\n"
                           "        proxy: app\n"
                           "      - match: { host: a.test }\n"
                           "        routes:\n"
                           "          - match: { header: { x-version: [v2, v3] } }\n"
                           "            respond: 202\n"
                           "          - name: inner\n"
                           "            proxy: http://127.0.0.1:3000\n"
                           "      - match: { method: [GET, POST] }\n"
                           "        proxy: app\n"
                           "  one:\n"
                           "    bind: 127.0.0.1:8081\n"
                           "    routes: { respond: 200 }\n"
                           "  two:\n"
                           "    bind: [127.0.0.2:8081, 'unix:/tmp/x']\n"
                           "    routes: { respond: 200 }\n"
                           "  handed:\n"
                           "    bind: systemd:handed\n"
                           "    routes: { respond: 200 }\n";

static void the_listener_is_the_one_whose_port_fits(void **state)
{
    (void)state;
    load(site);
    assert_string_equal(taken("http://x.test:8080/"), "web/routes[3]");
    assert_string_equal(taken("http://127.0.0.1:8081/"), "one/routes[0]");
    assert_string_equal(taken("http://127.0.0.2:8081/"), "two/routes[0]");
    /* Where nobody is known to listen, a socket that is handed in may. */
    assert_string_equal(taken("http://x.test/"), "handed/routes[0]");
    assert_string_equal(taken("https://x.test:8080/"), "-/-");
    assert_int_equal(e->listeners[0].fit, LISTENER_IS_PLAIN);
    assert_string_equal(taken("tcp://x.test:8080"), "-/-");
    assert_int_equal(e->listeners[0].fit, LISTENER_OTHER_PROTOCOL);
}

static void routes_are_found_and_the_others_say_why_not(void **state)
{
    char why[300], place[300];

    (void)state;
    load(site);
    assert_string_equal(taken("GET http://x.test:8080/admin/x"), "web/routes[3]");
    assert_int_equal(e->n_routes, 5);
    weir__explain_route(&e->routes[0], why, sizeof why);
    assert_string_equal(why, "path is `/admin/x`, not `/assets/*`");
    weir__explain_route(&e->routes[1], why, sizeof why);
    assert_string_equal(why, "client_ip is `127.0.0.1`, not `10.0.0.0/8`");
    weir__config_where(loaded.host->generation->config, e->routes[1].field, place, sizeof place);
    assert_non_null(strstr(place, "weir.yaml:11:45"));
    /* The key that keeps an inner route from it stands around it. */
    weir__explain_route(&e->routes[3], why, sizeof why);
    assert_string_equal(why, "host is `x.test`, not `a.test`");
    assert_string_equal(e->routes[3].name, "inner");
    weir__config_where(loaded.host->generation->config, e->routes[3].field, place, sizeof place);
    assert_non_null(strstr(place, "weir.yaml:13:24"));
    assert_true(e->routes[4].fits);
}

static void client_address_and_fields_count(void **state)
{
    char why[300];

    (void)state;
    load(site);
    assert_string_equal(explain_from("http://x:8080/admin/", "10.1.1.1", NULL), "");
    assert_string_equal(e->route->name, "admin");
    assert_string_equal(e->servers->name, "app");
    assert_string_equal(explain_from("http://a.test:8080/", NULL, "X-Version: v3\n"), "");
    assert_string_equal(e->route->name, "routes[2].routes[0]");
    assert_string_equal(explain_from("http://a.test:8080/", NULL, "X-Version: v4\n"), "");
    assert_string_equal(e->route->name, "inner");
    weir__explain_route(&e->routes[2], why, sizeof why);
    assert_string_equal(why, "header x-version is `v4`, not `v2` or `v3`");
    assert_string_equal(explain_from("http://a.test:8080/", NULL, NULL), "");
    weir__explain_route(&e->routes[2], why, sizeof why);
    assert_string_equal(why, "the request has no header x-version; it takes `v2` or `v3`");
    /* The Host that is said goes before the URL's. */
    assert_string_equal(explain_from("http://x:8080/", NULL, "Host: a.test\n"), "");
    assert_string_equal(e->route->name, "inner");
}

static void an_address_in_a_route_is_an_upstream_of_that_name(void **state)
{
    (void)state;
    load(site);
    assert_string_equal(taken("http://a.test:8080/"), "web/inner");
    assert_string_equal(e->servers->name, "127.0.0.1:3000");
}

static void a_request_that_nobody_takes_has_a_listener_and_no_route(void **state)
{
    (void)state;
    load(site);
    assert_string_equal(taken("DELETE http://x.test:8080/"), "web/-");
}

/* Connections are routed by what is known before their first bytes are opened. */
static void a_connection_is_routed_by_sni_and_protocol_and_handed_over(void **state)
{
    (void)state;
    load(
        "version: 1\n"
        "tls: { certificates: { site: { certificate: /c.pem, key: /k.pem } } }\n"
        "listeners:\n"
        "  mux:\n"
        "    bind: 443\n"
        "    protocol: tcp\n"
        "    inspect: [tls]\n"
        "    routes:\n"
        "      - match: { sni: vpn.test }\n"
        "        proxy: 10.0.9.9:443\n"
        "      - match: { protocol: tls }\n"
        "        handoff: web\n"
        "      - match: { protocol: ssh }\n"
        "        proxy: 10.0.9.9:22\n"
        "  web: { tls: { certificates: [site] }, routes: [ { match: { path: /a }, respond: 200 } ] }\n"
        "tests: { request: 'https://a.test/a', expect: { listener: web, route: 'routes[0]' } }\n");
    assert_string_equal(taken("https://vpn.test/"), "mux/routes[0]");
    assert_string_equal(e->servers->name, "10.0.9.9:443");
    assert_string_equal(taken("ssh://x.test:443"), "mux/routes[2]");
    assert_string_equal(taken("tcp://x.test:443"), "mux/-");
    assert_string_equal(taken("https://a.test/a"), "mux/routes[1]");
    assert_non_null(e->handed_to);
    assert_string_equal(weir__explanation_end(e)->listener->said->name, "web");
    assert_non_null(weir__explanation_end(e)->route);
    assert_string_equal(taken("https://a.test/b"), "mux/routes[1]");
    assert_null(weir__explanation_end(e)->route);
    assert_true(weir_host_test(loaded.host));
}

static void what_is_no_request_is_refused_in_words(void **state)
{
    (void)state;
    load(site);
    assert_non_null(strstr(explain_from("x.test/", NULL, NULL), "no URL"));
    assert_non_null(strstr(explain_from("Http://x.test/", NULL, NULL), "no URL"));
    assert_non_null(strstr(explain_from("ftp://x.test/", NULL, NULL), "needs a port"));
    assert_non_null(strstr(explain_from("GET http://x:99999/", NULL, NULL), "no port"));
    assert_non_null(strstr(explain_from("GET http://[::1/", NULL, NULL), "no `]`"));
    assert_non_null(strstr(explain_from("GET http:///a", NULL, NULL), "no host"));
    assert_non_null(strstr(explain_from("GET tcp://a", NULL, NULL), "needs a port"));
    assert_non_null(strstr(explain_from("GET http://a:8080/ HTTP/1.1", NULL, NULL), "METHOD URL"));
    assert_non_null(strstr(explain_from("GET http://a:8080/\r\nX: y", NULL, NULL), "one line"));
    assert_non_null(strstr(explain_from("http://a:8080/", "10.0.0", NULL), "no IP address"));
    assert_non_null(strstr(explain_from("G(T http://a:8080/", NULL, NULL), "not a request"));
    assert_non_null(strstr(explain_from("http://u@a:8080/", NULL, NULL), "user name"));
    assert_non_null(strstr(explain_from("http://a:8080/../..", NULL, NULL), "invalid path"));
}

static void an_ipv6_host_in_a_url_is_taken_out_of_its_brackets(void **state)
{
    (void)state;
    load("version: 1\n"
         "listeners:\n"
         "  one: { bind: ['[::1]:80'], routes: { respond: 200 } }\n"
         "  all: { bind: '*:81', routes: { respond: 200 } }\n");
    assert_string_equal(taken("http://[::1]/"), "one/routes[0]");
    assert_string_equal(taken("http://[::1]:81/"), "all/routes[0]");
}

/* The routes of the index and the reasons agree: a route is taken exactly when it is the first of which
 * every key fits. */
static void the_route_that_is_taken_is_the_first_that_fits(void **state)
{
    static const char *const hosts[] = {"a.test", "x.test"},
                             *const paths[] = {"", "assets/", "admin/"},
                             *const methods[] = {"GET", "DELETE"},
                             *const fields[] = {"", "X-Version: v2\n", "X-Version: v9\n"},
                             *const clients[] = {"10.1.1.1", "::1"};

    (void)state;
    load(site);
    for (unsigned i = 0; i < 72; i++) {
        const struct explained_route *first = NULL;
        char request[100];

        snprintf(request, sizeof request, "%s http://%s:8080/%s", methods[i / 36], hosts[i % 2],
                 paths[i / 2 % 3]);
        assert_string_equal(explain_from(request, clients[i / 18 % 2], fields[i / 6 % 3]), "");
        for (size_t k = 0; k < e->n_routes && !first; k++)
            first = e->routes[k].fits ? &e->routes[k] : NULL;
        assert_ptr_equal(e->route, first);
    }
}

static void tests_that_hold_are_silent(void **state)
{
    (void)state;
    load(
        "version: 1\n"
        "upstreams: { app: { servers: [10.0.0.1:80] } }\n"
        "listeners:\n"
        "  web:\n"
        "    bind: 8080\n"
        "    routes:\n"
        "      - { match: { host: old.test }, redirect: 'https://new.test${uri}' }\n"
        "      - { match: { path: /no, client_ip: 2001:db8::/32 }, respond: 403 }\n"
        "      - { name: rest, match: { method: GET }, proxy: app }\n"
        "tests:\n"
        "  - { request: 'http://a:8080/', expect: { listener: web, route: rest, upstream: app } }\n"
        "  - { request: 'http://old.test:8080/a?b=c', expect: { route: 'routes[0]' } }\n"
        "  - request: POST http://a:8080/no\n"
        "    from: 2001:db8::1\n"
        "    expect: { route: 'routes[1]' }\n");
    assert_true(weir_host_test(loaded.host));
    assert_string_equal(loaded_report(), "");
}

static void each_test_that_fails_is_one_error_at_its_expectation(void **state)
{
    static const char *const expected[] = {
        ":11:56: error: `http://a:8080/` comes to listener `web`, not `wab` [W0304]",
        ":12:53: error: `http://a:8080/` is taken by route `rest`, not `no` [W0304]",
        ":13:56: error: `http://a:8080/` goes to upstream `app`, not `ap` [W0304]",
        ":14:54: error: `http://a:8080/` is answered by upstream `app`, not by weir itself [W0304]",
        ":15:16: error: `ftp://a`: ftp:// needs a port",
        ":16:42: error: `http://a:8080/`: nothing is expected [W0304]",
        ":17:56: error: `http://a:9090/` comes to no listener, not `web` [W0304]",
        ":18:16: error: `http://a:8080/`: `me` is no IP address",
    };
    const char *line;
    size_t n = 0;

    (void)state;
    load("version: 1\n"
         "upstreams: { app: { servers: [10.0.0.1:80] } }\n"
         "listeners:\n"
         "  web:\n"
         "    bind: 8080\n"
         "    routes:\n"
         "      - { name: no, match: { path: /no }, respond: { status: 403, body: no } }\n"
         "      - { name: rest, match: { method: GET }, proxy: app }\n"
         "\n"
         "tests:\n"
         "  - { request: 'http://a:8080/', expect: { listener:   wab } }\n"
         "  - { request: 'http://a:8080/', expect: { route:   no } }\n"
         "  - { request: 'http://a:8080/', expect: { upstream:   ap } }\n"
         "  - { request: 'http://a:8080/', expect: { status:   200 } }\n"
         "  - { request: 'ftp://a', expect: { listener: web } }\n"
         "  - { request: 'http://a:8080/', expect: {} }\n"
         "  - { request: 'http://a:9090/', expect: { listener:   web } }\n"
         "  - { request: 'http://a:8080/', from: me, expect: { listener: web } }\n");
    assert_false(weir_host_test(loaded.host));
    assert_int_equal(weir_host_exit_code(loaded.host), 78);
    line = loaded_report();
    for (const char *at = line; (at = strstr(at, " error: ")); at++)
        n++;
    assert_int_equal(n, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const char *wanted = strstr(expected[i], "error: ");

        if (!strstr(line, wanted))
            fail_msg("missing: %s\nin:\n%s", wanted, line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_listener_is_the_one_whose_port_fits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(routes_are_found_and_the_others_say_why_not, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(client_address_and_fields_count, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_address_in_a_route_is_an_upstream_of_that_name, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_request_that_nobody_takes_has_a_listener_and_no_route,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_connection_is_routed_by_sni_and_protocol_and_handed_over,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_request_is_refused_in_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_ipv6_host_in_a_url_is_taken_out_of_its_brackets, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_route_that_is_taken_is_the_first_that_fits, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(tests_that_hold_are_silent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_test_that_fails_is_one_error_at_its_expectation,
                                        set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
