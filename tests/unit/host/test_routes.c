/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index against the rule that it implements: the first route whose every key matches. The
 * reference below walks the table from the top and knows nothing of the index.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/route/routes.h"
#include "tests/unit/host/host_test.h"

struct message {
    weir_slice host, path, method;
};

static bool extract_host(const weir_subject *subject, weir_slice parameter, weir_slice *ret)
{
    (void)parameter;
    *ret = ((const struct message *)subject->message)->host;
    return ret->len > 0;
}

static bool extract_path(const weir_subject *subject, weir_slice parameter, weir_slice *ret)
{
    (void)parameter;
    *ret = ((const struct message *)subject->message)->path;
    return true;
}

static bool extract_method(const weir_subject *subject, weir_slice parameter, weir_slice *ret)
{
    (void)parameter;
    *ret = ((const struct message *)subject->message)->method;
    return true;
}

/* True for paths of even length. */
static bool test_even(const weir_subject *subject, weir_slice parameter, const void *compiled)
{
    (void)parameter;
    (void)compiled;
    return ((const struct message *)subject->message)->path.len % 2 == 0;
}

static const weir_matcher host = {WEIR_SIZED(weir_matcher), .name = "host",
                                  .modes = WEIR_MATCH_EXACT | WEIR_MATCH_SUFFIX, .rank = 100,
                                  .extract = extract_host};
static const weir_matcher path = {WEIR_SIZED(weir_matcher), .name = "path",
                                  .modes = WEIR_MATCH_EXACT | WEIR_MATCH_PREFIX, .rank = 90,
                                  .extract = extract_path};
static const weir_matcher method = {WEIR_SIZED(weir_matcher), .name = "method",
                                    .modes = WEIR_MATCH_EXACT, .rank = 5,
                                    .extract = extract_method};
static const weir_matcher even = {WEIR_SIZED(weir_matcher), .name = "even",
                                  .modes = WEIR_MATCH_TEST, .test = test_even};

static weir_routes *table;

static weir_route *add_route(void)
{
    weir_route *route = NULL;

    assert_null(weir__routes_add(table, "r", &route));
    return route;
}

static void add_key(weir_route *route, const weir_matcher *matcher, weir_match_mode mode,
                    const char *const *texts, size_t n)
{
    struct match_test *test = NULL;

    assert_null(weir__route_add_test(table, route, matcher, weir_slice_of(NULL, 0), n, &test));
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(texts[i]);
        char *key = weir__routes_alloc(table, len + 18);
        bool loose;

        if (mode == WEIR_MATCH_CIDR) {
            assert_true(weir__cidr_parse(texts[i], len, (unsigned char *)key, &loose));
            len = 17;
        } else {
            memcpy(key, texts[i], len);
        }
        test->texts[i].key = (weir_match_key){mode, weir_slice_of(key, len)};
    }
}

static void add_one(weir_route *route, const weir_matcher *matcher, weir_match_mode mode,
                    const char *text)
{
    add_key(route, matcher, mode, &text, 1);
}

static int find_number(const char *h, const char *p, const char *m, const char *ip)
{
    struct message message = {weir_slice_str(h), weir_slice_str(p), weir_slice_str(m)};
    weir_subject subject = {WEIR_SIZED(weir_subject), .client_ip = weir_slice_str(ip),
                            .message = &message};
    const weir_route *route = weir_routes_find(table, &subject);

    return route ? (int)route->number : -1;
}

static int set_up(void **state)
{
    (void)state;
    weir_error *error = weir__routes_new(&table);

    weir_ignore(error);
    return error ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    weir__routes_free(table);
    table = NULL;
    return 0;
}

static void an_empty_table_has_no_match(void **state)
{
    (void)state;
    assert_null(weir__routes_seal(table));
    assert_int_equal(find_number("a", "/", "GET", ""), -1);
}

static void a_route_without_keys_takes_everything_after_it(void **state)
{
    (void)state;
    add_route();
    add_one(add_route(), &path, WEIR_MATCH_EXACT, "/");
    assert_null(weir__routes_seal(table));
    assert_int_equal(find_number("a", "/", "GET", ""), 0);
}

static void the_first_match_wins_over_a_longer_prefix_below_it(void **state)
{
    (void)state;
    add_one(add_route(), &path, WEIR_MATCH_PREFIX, "/a");
    add_one(add_route(), &path, WEIR_MATCH_PREFIX, "/a/b");
    add_one(add_route(), &path, WEIR_MATCH_EXACT, "/c");
    assert_null(weir__routes_seal(table));
    assert_int_equal(find_number("x", "/a/b/c", "GET", ""), 0);
    assert_int_equal(find_number("x", "/c", "GET", ""), 2);
    assert_int_equal(find_number("x", "/c/", "GET", ""), -1);
    assert_int_equal(find_number("x", "", "GET", ""), -1);
}

static void a_host_suffix_and_a_path_must_both_fit(void **state)
{
    weir_route *route;

    (void)state;
    route = add_route();
    add_one(route, &host, WEIR_MATCH_SUFFIX, ".example.com");
    add_one(route, &path, WEIR_MATCH_PREFIX, "/api/");
    route = add_route();
    add_one(route, &host, WEIR_MATCH_EXACT, "www.example.com");
    add_route();
    assert_null(weir__routes_seal(table));
    assert_int_equal(find_number("www.example.com", "/api/x", "GET", ""), 0);
    assert_int_equal(find_number("www.example.com", "/", "GET", ""), 1);
    assert_int_equal(find_number("example.com", "/api/x", "GET", ""), 2);
    assert_int_equal(find_number("", "/api/x", "GET", ""), 2);
}

static void networks_match_addresses_of_both_families(void **state)
{
    static const char *const nets[] = {"10.0.0.0/8", "fd00::/8", "192.0.2.7"};

    (void)state;
    add_key(add_route(), &weir__client_ip_matcher, WEIR_MATCH_CIDR, nets, 3);
    assert_null(weir__routes_seal(table));
    assert_int_equal(find_number("", "/", "", "10.255.0.1"), 0);
    assert_int_equal(find_number("", "/", "", "11.0.0.1"), -1);
    assert_int_equal(find_number("", "/", "", "fdff::1"), 0);
    assert_int_equal(find_number("", "/", "", "::ffff:10.1.2.3"), 0);
    assert_int_equal(find_number("", "/", "", "192.0.2.7"), 0);
    assert_int_equal(find_number("", "/", "", "192.0.2.6"), -1);
    assert_int_equal(find_number("", "/", "", ""), -1);
}

static void addresses_that_are_none_are_refused(void **state)
{
    static const char *const wrong[] = {"",          "10.0.0", "10.0.0.0/33",
                                        "10.0.0.0/", "::/129", "10.0.0.0/8x",
                                        "/8",        "host",   "1.2.3.4/-1"};
    unsigned char key[17];
    bool loose;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(weir__cidr_parse(wrong[i], strlen(wrong[i]), key, &loose));
    assert_true(weir__cidr_parse("10.0.0.1/8", 10, key, &loose));
    assert_true(loose);
    assert_true(weir__cidr_parse("::/0", 4, key, &loose));
    assert_false(loose);
    assert_int_equal(key[16], 0);
}

/* The reference. */

static bool reference_text(const struct match_test *test, const struct compiled_text *text,
                           const weir_subject *subject)
{
    weir_slice value;

    if (text->key.mode == WEIR_MATCH_TEST)
        return test->matcher->test(subject, test->parameter, text->compiled);
    return test->matcher->extract(subject, test->parameter, &value) &&
           weir__match_text(&text->key, value);
}

static int reference(const weir_subject *subject)
{
    for (size_t i = 0; i < table->n_routes; i++) {
        bool all = true;

        for (struct match_test *test = table->routes[i]->tests; test; test = test->next) {
            bool any = false;

            for (size_t t = 0; t < test->n_texts; t++)
                any |= reference_text(test, &test->texts[t], subject);
            all &= any;
        }
        if (all)
            return (int)i;
    }
    return -1;
}

static uint64_t seed;

static unsigned choose(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static const char *const hosts[] = {"a.x", "b.x", "c.b.x", "a.y", "x", "y", ".x", ".b.x", ".y"};
static const char *const paths[] = {"/", "/a", "/a/", "/a/b", "/b", "/b/c/d", "", "/a/b/c"};
static const char *const methods[] = {"GET", "PUT", "POST"};
static const char *const nets[] = {"10.0.0.0/8", "10.1.0.0/16", "::/0", "10.1.2.3", "fd00::/9"};
static const char *const addresses[] = {"10.1.2.3", "10.1.9.9", "10.9.9.9",
                                        "fd00::1",  "9.9.9.9",  ""};

#define PICK(list) (list)[choose(sizeof(list) / sizeof *(list))]

static void random_route(void)
{
    weir_route *route = add_route();
    const char *two[2];

    if (choose(3)) {
        two[0] = PICK(hosts);
        two[1] = PICK(hosts);
        add_key(route, &host, two[0][0] == '.' ? WEIR_MATCH_SUFFIX : WEIR_MATCH_EXACT, two,
                1 + choose(2));
    }
    if (choose(3)) {
        two[0] = PICK(paths);
        two[1] = two[0];
        add_key(route, &path, choose(2) ? WEIR_MATCH_PREFIX : WEIR_MATCH_EXACT, two, 1 + choose(2));
    }
    if (!choose(3))
        add_one(route, &method, WEIR_MATCH_EXACT, PICK(methods));
    if (!choose(3))
        add_one(route, &weir__client_ip_matcher, WEIR_MATCH_CIDR, PICK(nets));
    if (!choose(5))
        add_one(route, &even, WEIR_MATCH_TEST, "");
    if (!choose(5)) /* a key that stands twice, as in nested routes */
        add_one(route, &path, WEIR_MATCH_PREFIX, PICK(paths));
}

static void the_index_agrees_with_a_walk_from_the_top(void **state)
{
    (void)state;
    for (seed = 1; seed % 1000 != 0 && table; seed++) {
        uint64_t start = seed;
        unsigned n = choose(40);

        for (unsigned i = 0; i < n; i++)
            random_route();
        assert_null(weir__routes_seal(table));
        for (unsigned i = 0; i < 50; i++) {
            struct message message = {weir_slice_str(PICK(hosts)), weir_slice_str(PICK(paths)),
                                      weir_slice_str(PICK(methods))};
            weir_subject subject = {WEIR_SIZED(weir_subject),
                                    .client_ip = weir_slice_str(PICK(addresses)),
                                    .message = &message};
            const weir_route *route = weir_routes_find(table, &subject);
            int found = route ? (int)route->number : -1;

            if (found != reference(&subject))
                fail_msg("seed %llu: index says %d, the walk %d", (unsigned long long)start, found,
                         reference(&subject));
        }
        seed = start;
        tear_down(NULL);
        set_up(NULL);
    }
}

static void ten_thousand_routes_are_found_by_host(void **state)
{
    char name[32];

    (void)state;
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "h%d.example", i);
        add_one(add_route(), &host, WEIR_MATCH_EXACT, name);
    }
    assert_null(weir__routes_seal(table));
    for (int i = 0; i < 10000; i += 7) {
        snprintf(name, sizeof name, "h%d.example", i);
        assert_int_equal(find_number(name, "/", "GET", ""), i);
    }
    assert_int_equal(find_number("h10000.example", "/", "GET", ""), -1);
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CLAIM(an_empty_table_has_no_match),
        CLAIM(a_route_without_keys_takes_everything_after_it),
        CLAIM(the_first_match_wins_over_a_longer_prefix_below_it),
        CLAIM(a_host_suffix_and_a_path_must_both_fit),
        CLAIM(networks_match_addresses_of_both_families),
        CLAIM(addresses_that_are_none_are_refused),
        CLAIM(the_index_agrees_with_a_walk_from_the_top),
        CLAIM(ten_thousand_routes_are_found_by_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
