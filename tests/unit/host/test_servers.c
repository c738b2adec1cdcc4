/* SPDX-License-Identifier: Apache-2.0 */
/* Which server is picked, with the clock in the test's hand. */
#include <errno.h>
#include <string.h>

#include "host/generation/durable.h"
#include "host/upstream/upstream.h"
#include "tests/unit/host/host_test.h"

#define SECOND ((int64_t)1000000000)

static struct durable_map *durables;
static weir_upstream *upstream;

static weir_upstream *make(const char *name, size_t n)
{
    static const char *const addresses[] = {"a:1", "b:1", "c:1"};
    struct upstream_spec spec = {
        .name = name, .addresses = addresses, .n_addresses = n, .n_loops = 2};
    weir_upstream *made = NULL;

    assert_string_equal(message_of(weir__upstream_new(&spec, durables, &made)), "");
    return made;
}

static int set_up(void **state)
{
    (void)state;
    assert_string_equal(message_of(weir__durable_map_new(&durables)), "");
    upstream = make("app", 3);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    weir__upstream_unref(upstream);
    weir__durable_map_free(durables);
    return 0;
}

/* The address's letter; '-' when all were tried. */
static char pick_except(const struct tried_servers *tried, int64_t now)
{
    struct pick how = {.tried = *tried, .now = now};
    size_t index;

    if (!weir__upstream_pick(upstream, 0, &how, &index))
        return '-';
    return upstream->servers[index]->address[0];
}

static char pick(int64_t now)
{
    return pick_except(&(struct tried_servers){{0}}, now);
}

static void servers_take_turns(void **state)
{
    (void)state;
    assert_int_equal(pick(1), 'a');
    assert_int_equal(pick(1), 'b');
    assert_int_equal(pick(1), 'c');
    assert_int_equal(pick(1), 'a');
}

static void each_loop_has_its_own_turn(void **state)
{
    size_t index = 9;

    (void)state;
    assert_int_equal(pick(1), 'a');
    assert_true(weir__upstream_pick(upstream, 1, &(struct pick){.now = 1}, &index));
    assert_int_equal(index, 0);
}

static void a_failed_server_is_passed_over_for_ten_seconds(void **state)
{
    (void)state;
    assert_true(weir__server_failed(upstream->servers[1], SECOND));
    assert_false(weir__server_failed(upstream->servers[1], SECOND));
    assert_int_equal(pick(SECOND), 'a');
    assert_int_equal(pick(SECOND), 'c');
    assert_int_equal(pick(11 * SECOND - 1), 'a');
    assert_int_equal(pick(11 * SECOND - 1), 'c');
    assert_int_equal(pick(11 * SECOND), 'a');
    assert_int_equal(pick(11 * SECOND), 'b');
}

static void after_its_time_one_caller_alone_tries_it(void **state)
{
    struct server *b = upstream->servers[1];

    (void)state;
    weir__server_failed(b, SECOND);
    assert_true(weir__server_usable(b, 11 * SECOND));
    assert_false(weir__server_usable(b, 11 * SECOND));
    assert_false(weir__server_usable(b, 20 * SECOND));
    assert_true(weir__server_usable(b, 21 * SECOND));
    assert_true(weir__server_worked(b));
    assert_true(weir__server_usable(b, 11 * SECOND));
    assert_true(weir__server_usable(b, 11 * SECOND));
    assert_false(weir__server_worked(b));
}

static void when_all_fail_the_oldest_failure_is_tried(void **state)
{
    (void)state;
    weir__server_failed(upstream->servers[0], 3 * SECOND);
    weir__server_failed(upstream->servers[1], 1 * SECOND);
    weir__server_failed(upstream->servers[2], 2 * SECOND);
    assert_int_equal(pick(4 * SECOND), 'b');
    assert_int_equal(pick(4 * SECOND), 'b');
}

static void a_retry_does_not_go_where_it_was(void **state)
{
    struct tried_servers tried = {{1 << 0}};

    (void)state;
    assert_int_equal(pick_except(&tried, 1), 'b');
    tried.bits[0] = 3;
    weir__server_failed(upstream->servers[2], 1);
    assert_int_equal(pick_except(&tried, 1), 'c');
    tried.bits[0] = 7;
    assert_int_equal(pick_except(&tried, 1), '-');
}

static void a_single_server_is_never_passed_over(void **state)
{
    weir_upstream *three = upstream;

    (void)state;
    upstream = make("alone", 1);
    weir__server_failed(upstream->servers[0], SECOND);
    assert_int_equal(pick(SECOND), 'a');
    assert_int_equal(pick(2 * SECOND), 'a');
    weir__upstream_unref(three);
}

static void bad_responses_in_a_row_are_a_failure(void **state)
{
    struct server *a = upstream->servers[0];

    (void)state;
    assert_false(weir__server_response(a, WEIR_OUTCOME_UPSTREAM_RESET, 1));
    assert_false(weir__server_response(a, WEIR_OUTCOME_UPSTREAM_RESPONSE_BAD, 1));
    assert_false(weir__server_response(a, WEIR_OUTCOME_OK, 1));
    assert_false(weir__server_response(a, WEIR_OUTCOME_UPSTREAM_RESET, 1));
    assert_false(weir__server_response(a, WEIR_OUTCOME_UPSTREAM_RESPONSE_TIMEOUT, 1));
    assert_true(weir__server_response(a, WEIR_OUTCOME_UPSTREAM_RESPONSE_TRUNCATED, 1));
    assert_false(weir__server_usable(a, 2));
}

static void what_clients_do_does_not_hurt_a_server(void **state)
{
    struct server *a = upstream->servers[0];

    (void)state;
    for (int i = 0; i < 10; i++)
        assert_false(weir__server_response(a, WEIR_OUTCOME_CLIENT_GONE, 1));
    assert_true(weir__server_usable(a, 1));
}

static void health_outlives_the_configuration(void **state)
{
    weir_upstream *before = upstream;

    (void)state;
    weir__server_failed(upstream->servers[0], SECOND);
    upstream = make("app", 2); /* the next is made while the one before is in force */
    weir__upstream_unref(before);
    assert_int_equal(pick(SECOND), 'b');
    assert_int_equal(pick(SECOND), 'b');
}

static void outcomes_have_the_words_of_the_list(void **state)
{
    (void)state;
    assert_string_equal(weir_outcome_name(WEIR_OUTCOME_OK), "ok");
    assert_string_equal(weir_outcome_name(WEIR_OUTCOME_UPSTREAM_CONNECT_REFUSED),
                        "upstream.connect.refused");
    assert_string_equal(weir_outcome_name(WEIR_OUTCOME_COUNT), "unknown");
}

static weir_outcome outcome_of(weir_code code)
{
    weir_error *error = weir_raise(code, "for the test");
    weir_outcome outcome = weir_outcome_of_connect(error);

    weir_error_unref(error);
    return outcome;
}

static void failed_connects_are_named_by_cause(void **state)
{
    (void)state;
    assert_int_equal(outcome_of(ECONNREFUSED), WEIR_OUTCOME_UPSTREAM_CONNECT_REFUSED);
    assert_int_equal(outcome_of(EHOSTUNREACH), WEIR_OUTCOME_UPSTREAM_CONNECT_REFUSED);
    assert_int_equal(outcome_of(WEIR_ETIMEDOUT), WEIR_OUTCOME_UPSTREAM_CONNECT_TIMEOUT);
    assert_int_equal(outcome_of(ETIMEDOUT), WEIR_OUTCOME_UPSTREAM_CONNECT_TIMEOUT);
    assert_int_equal(outcome_of(WEIR_ENONAME), WEIR_OUTCOME_UPSTREAM_DNS);
    assert_int_equal(outcome_of(WEIR_ETLS), WEIR_OUTCOME_UPSTREAM_TLS);
    assert_int_equal(outcome_of(WEIR_ENOSERVER), WEIR_OUTCOME_UPSTREAM_NONE_AVAILABLE);
    assert_int_equal(outcome_of(EMFILE), WEIR_OUTCOME_LIMIT_CONNECTIONS);
    assert_int_equal(weir_outcome_of_connect(NULL), WEIR_OUTCOME_OK);
}

static void durable_state_is_found_by_kind_and_identity(void **state)
{
    struct durable_spec spec = {"k", "x", 64, NULL, NULL, NULL};
    void *first, *again, *other;

    (void)state;
    assert_null(weir__durable_get(durables, &spec, &first));
    assert_null(weir__durable_get(durables, &spec, &again));
    assert_ptr_equal(first, again);
    spec.kind = "kx";
    spec.identity = "";
    assert_null(weir__durable_get(durables, &spec, &other));
    assert_ptr_not_equal(first, other);
    spec.size = 65;
    assert_true(*message_of(weir__durable_get(durables, &spec, &again)));
}

static unsigned dropped;

static void count_drop(void *state)
{
    (void)state;
    dropped++;
}

static void durable_state_goes_with_its_last_reference(void **state)
{
    struct durable_spec spec = {"k", "x", 64, NULL, NULL, count_drop};
    size_t before = weir__durable_count(durables);
    unsigned char *made;
    void *again, *other;

    (void)state;
    dropped = 0;
    assert_null(weir__durable_get(durables, &spec, (void **)&made));
    assert_null(weir__durable_get(durables, &spec, &again));
    spec.identity = "y";
    assert_null(weir__durable_get(durables, &spec, &other));
    made[0] = 1;
    weir__durable_unref(made);
    assert_int_equal(weir__durable_count(durables), before + 2);
    weir__durable_unref(made);
    assert_int_equal(dropped, 1);
    assert_int_equal(weir__durable_count(durables), before + 1);
    weir__durable_unref(NULL);
    spec.identity = "x";
    assert_null(weir__durable_get(durables, &spec, (void **)&made));
    assert_int_equal(made[0], 0); /* made anew */
    weir__durable_unref(other);
    assert_int_equal(weir__durable_count(durables), before + 1); /* its map drops the rest */
}

static void a_server_goes_with_the_last_upstream_that_has_it(void **state)
{
    weir_upstream *again = make("app", 2), *other = make("other", 1);

    (void)state;
    assert_int_equal(weir__durable_count(durables), 4);
    assert_ptr_equal(again->servers[1], upstream->servers[1]);
    weir__upstream_unref(other);
    assert_int_equal(weir__durable_count(durables), 3);
    weir__upstream_unref(upstream);
    assert_int_equal(weir__durable_count(durables), 2);
    upstream = again;
    assert_string_equal(upstream->servers[1]->address, "b:1");
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CLAIM(servers_take_turns),
        CLAIM(each_loop_has_its_own_turn),
        CLAIM(a_failed_server_is_passed_over_for_ten_seconds),
        CLAIM(after_its_time_one_caller_alone_tries_it),
        CLAIM(when_all_fail_the_oldest_failure_is_tried),
        CLAIM(a_retry_does_not_go_where_it_was),
        CLAIM(a_single_server_is_never_passed_over),
        CLAIM(durable_state_goes_with_its_last_reference),
        CLAIM(a_server_goes_with_the_last_upstream_that_has_it),
        CLAIM(bad_responses_in_a_row_are_a_failure),
        CLAIM(what_clients_do_does_not_hurt_a_server),
        CLAIM(health_outlives_the_configuration),
        CLAIM(outcomes_have_the_words_of_the_list),
        CLAIM(failed_connects_are_named_by_cause),
        CLAIM(durable_state_is_found_by_kind_and_identity),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
