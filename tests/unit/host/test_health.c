/* SPDX-License-Identifier: Apache-2.0 */
/* Health checks against real servers on loopback: when a server changes sides, and what outlives what. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/future.h>
#include <weir/scope.h>
#include <weir/server.h>
#include <weir/task.h>

#include "host/generation/durable.h"
#include "host/health/health.h"
#include "tests/unit/host/host_test.h"

/* Of each test: what it makes is released after it. */
static struct durable_map *durables;
static struct health *health;
static weir_upstream *upstream, *next; /* `next`: of the reload */
static struct server *server;          /* the first of `upstream`, once it is checked */

/* The check of the tests: connects, and is told by the test what to answer. */

struct asked {
    unsigned begun, left, under_way;
    bool pass, silent, refuse;
    weir_probe *last;
};

static struct asked asked;

static weir_error *ask(weir_probe *probe, weir_transport *transport)
{
    asked.begun++;
    asked.under_way++;
    weir_probe_says(probe, "PING");
    if (asked.refuse) {
        asked.under_way--;
        return weir_raise(WEIR_EPROTOCOL, "cannot be asked");
    }
    if (asked.silent) {
        *(unsigned *)weir_probe_state(probe) = 7;
        if (weir_transport_probe(transport) != probe)
            abort();
        return NULL;
    }
    asked.under_way--;
    weir_probe_end(probe, asked.pass, "%s", asked.pass ? "PONG" : "HUH");
    return NULL;
}

static void leave(weir_probe *probe, weir_transport *transport)
{
    (void)transport;
    asked.left++;
    asked.under_way--;
    if (*(unsigned *)weir_probe_state(probe) != 7)
        abort();
}

static const weir_protocol quiet = {WEIR_SIZED(weir_protocol), .name = "quiet"};
static const weir_health_check way = {
    .head = {.size = sizeof way, .name = "test", .state_size = sizeof(unsigned)},
    .protocol = &quiet,
    .ask = ask,
    .leave = leave};

static const struct health_spec quick = {
    .way = &way, .interval = {5000000}, .timeout = {2000000000}, .rise = 2, .fall = 3};

static weir_error *make(const char *name, const char *const *addresses, size_t n,
                        const struct health_spec *spec, weir_upstream **ret)
{
    struct upstream_spec made = {
        .name = name, .addresses = addresses, .n_addresses = n, .health = spec, .n_loops = 1};

    return weir__upstream_new(&made, durables, ret);
}

static weir_error *in_force(weir_upstream *it)
{
    return weir__health_set(health, &it, it ? 1 : 0);
}

/* Until it is as said; the deadline of the claim ends it otherwise. */
static weir_error *until_down(const struct server *it, bool down)
{
    while (it->checked_down != down)
        WEIR_TRY(weir_sleep(WEIR_MS(1)));
    return NULL;
}

static weir_error *until_asked(unsigned n)
{
    unsigned from = asked.begun;

    while (asked.begun < from + n)
        WEIR_TRY(weir_sleep(WEIR_MS(1)));
    return NULL;
}

struct claim {
    weir_error *(*body)(const char *address);
};

static weir_error *run_claim(void *arg)
{
    const struct claim *claim = arg;
    weir_server *listening;
    weir_error *error;
    WEIR_TIMEOUT(all, WEIR_S(20));

    memset(&asked, 0, sizeof asked);
    asked.pass = true;
    WEIR_TRY(weir__durable_map_new(&durables));
    WEIR_TRY(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &quiet, NULL, &listening));
    WEIR_TRY(weir__health_new(weir_loop_current(), &health));
    error = claim->body(weir_server_name(listening));
    weir__health_free(health);
    weir__upstream_unref(WEIR_TAKE(upstream));
    weir__upstream_unref(WEIR_TAKE(next));
    weir_server_close(listening);
    weir_server_abort_connections(listening);
    weir_ignore(weir_server_wait_closed(listening));
    weir_server_unref(listening);
    return error;
}

#define CLAIM(name)                         \
    static void name(void **state)          \
    {                                       \
        struct claim claim = {name##_body}; \
                                            \
        (void)state;                        \
        run_task(run_claim, &claim);        \
        weir__durable_map_free(durables);   \
    }

static weir_error *checked(const char *address, const struct health_spec *spec)
{
    WEIR_TRY(make("app", &address, 1, spec, &upstream));
    server = upstream->servers[0];
    return in_force(upstream);
}

static weir_error *a_server_is_up_until_fall_checks_in_a_row_failed_body(const char *address)
{

    asked.pass = false;
    WEIR_TRY(checked(address, &quick));
    CHECK(!server->checked_down);
    while (server->check->failed < 2)
        WEIR_TRY(weir_sleep(WEIR_MS(1)));
    CHECK(server->check->failed > 2 || !server->checked_down);
    WEIR_TRY(until_down(server, true));
    CHECK(server->checks_failed >= 3 && server->checks_passed == 0);
    CHECK(!strcmp(weir__server_story(server, &server->check_story).why, "PING → HUH (3 of 3)"));
    return NULL;
}
CLAIM(a_server_is_up_until_fall_checks_in_a_row_failed)

static weir_error *a_server_comes_back_after_rise_checks_in_a_row_body(const char *address)
{
    uint64_t before;

    asked.pass = false;
    WEIR_TRY(checked(address, &quick));
    WEIR_TRY(until_down(server, true));
    asked.pass = true;
    before = server->checks_passed;
    WEIR_TRY(until_down(server, false));
    CHECK(server->checks_passed - before == 2);
    CHECK(server->up_since != 0);
    CHECK(!strcmp(weir__server_story(server, &server->check_story).why, "PING → PONG (2 of 2)"));
    return NULL;
}
CLAIM(a_server_comes_back_after_rise_checks_in_a_row)

static weir_error *a_check_that_hangs_is_a_failure_when_its_time_is_up_body(const char *address)
{
    struct health_spec spec = quick;

    spec.timeout = WEIR_MS(20);
    spec.fall = 1;
    asked.silent = true;
    WEIR_TRY(checked(address, &spec));
    WEIR_TRY(until_down(server, true));
    CHECK(asked.left >= 1);
    CHECK(!strcmp(weir__server_story(server, &server->check_story).why,
                  "PING: no answer within 20 ms (1 of 1)"));
    return NULL;
}
CLAIM(a_check_that_hangs_is_a_failure_when_its_time_is_up)

static weir_error *a_server_that_refuses_connections_goes_down_body(const char *address)
{
    static const char *const nobody[] = {"127.0.0.1:1"};
    struct health_spec spec = quick;
    struct server_story story;

    (void)address;
    spec.way = &weir__health_tcp;
    WEIR_TRY(make("app", nobody, 1, &spec, &upstream));
    WEIR_TRY(in_force(upstream));
    WEIR_TRY(until_down(upstream->servers[0], true));
    story = weir__server_story(upstream->servers[0], &upstream->servers[0]->check_story);
    CHECK(strstr(story.why, "connection refused (3 of 3)"));
    return NULL;
}
CLAIM(a_server_that_refuses_connections_goes_down)

static weir_error *the_tcp_check_is_content_with_a_connection_body(const char *address)
{
    struct health_spec spec = quick;

    spec.way = &weir__health_tcp;
    WEIR_TRY(checked(address, &spec));
    while (server->checks_passed < 3)
        WEIR_TRY(weir_sleep(WEIR_MS(1)));
    CHECK(!server->checked_down && !strcmp(server->check->last, "connected"));
    return NULL;
}
CLAIM(the_tcp_check_is_content_with_a_connection)

static weir_error *a_check_may_ask_at_a_port_of_its_own_body(const char *address)
{
    static const char *const nobody[] = {"127.0.0.1:1"};
    struct health_spec spec = quick;

    spec.port = (unsigned)strtoul(strrchr(address, ':') + 1, NULL, 10);
    WEIR_TRY(make("app", nobody, 1, &spec, &upstream));
    WEIR_TRY(in_force(upstream));
    while (upstream->servers[0]->checks_passed < 1)
        WEIR_TRY(weir_sleep(WEIR_MS(1)));
    return NULL;
}
CLAIM(a_check_may_ask_at_a_port_of_its_own)

static weir_error *a_question_that_cannot_be_asked_has_failed_body(const char *address)
{

    asked.refuse = true;
    WEIR_TRY(checked(address, &quick));
    WEIR_TRY(until_down(server, true));
    CHECK(!strcmp(server->check->last, "PING: cannot be asked"));
    return NULL;
}
CLAIM(a_question_that_cannot_be_asked_has_failed)

static weir_error *a_new_definition_keeps_what_was_found_and_counts_on_body(const char *address)
{
    struct health_spec spec = quick;
    struct check *check;

    asked.pass = false;
    WEIR_TRY(checked(address, &quick));
    WEIR_TRY(until_down(server, true));
    check = server->check;
    spec.rise = 1;
    WEIR_TRY(make("app", (const char *const *)&server->address, 1, &spec, &next));
    CHECK(next->servers[0] == server);
    WEIR_TRY(in_force(next));
    weir__upstream_unref(WEIR_TAKE(upstream));
    CHECK(server->checked_down && server->check == check && check->upstream == next);
    asked.pass = true;
    WEIR_TRY(until_down(server, false));
    CHECK(check->passed >= 1);
    return NULL;
}
CLAIM(a_new_definition_keeps_what_was_found_and_counts_on)

static weir_error *a_server_that_is_checked_no_more_is_taken_as_well_body(const char *address)
{

    asked.pass = false;
    WEIR_TRY(checked(address, &quick));
    WEIR_TRY(until_down(server, true));
    asked.silent = true;
    WEIR_TRY(until_asked(1));
    WEIR_TRY(make("app", (const char *const *)&server->address, 1, NULL, &next));
    WEIR_TRY(in_force(next));
    CHECK(!server->checked_down && !server->check && health->n_checks == 0);
    CHECK(asked.under_way == 0 && health->n_probes == 0);
    return NULL;
}
CLAIM(a_server_that_is_checked_no_more_is_taken_as_well)

static weir_error *
an_operator_who_forgives_is_believed_until_the_next_failures_body(const char *address)
{
    uint64_t before;

    asked.pass = false;
    WEIR_TRY(checked(address, &quick));
    WEIR_TRY(until_down(server, true));
    before = server->checks_failed;
    weir__server_forgive(server);
    weir__health_forgive(server);
    CHECK(!server->checked_down);
    WEIR_TRY(until_down(server, true));
    CHECK(server->checks_failed - before >= 3);
    return NULL;
}
CLAIM(an_operator_who_forgives_is_believed_until_the_next_failures)

/* What operators say. */

static weir_error *weighted(const char *address, uint32_t weight, weir_upstream **ret)
{
    struct upstream_spec spec = {
        .name = "app", .addresses = &address, .weights = &weight, .n_addresses = 1, .n_loops = 1};

    return weir__upstream_new(&spec, durables, ret);
}

static weir_error *what_operators_said_outlives_reloads_of_the_same_server_body(const char *address)
{

    WEIR_TRY(weighted(address, 2, &upstream));
    server = upstream->servers[0];
    WEIR_TRY(in_force(upstream));
    WEIR_TRY(weir__override_state(&health->overrides, upstream, 0, SERVER_DRAINED, "alice"));
    WEIR_TRY(weir__override_weight(&health->overrides, upstream, 0, 50, "bob"));
    WEIR_TRY(weighted(address, 2, &next));
    WEIR_TRY(in_force(next));
    weir__upstream_unref(WEIR_TAKE(upstream));
    CHECK(server->override == SERVER_DRAINED && weir__server_weight(next, 0) == 50);
    CHECK(!strcmp(server->said->state.by, "alice") && !strcmp(server->said->weight.by, "bob"));
    WEIR_TRY(weir__override_state(&health->overrides, next, 0, SERVER_NO_OVERRIDE, "carol"));
    CHECK(server->override == SERVER_NO_OVERRIDE && server->said);
    weir__override_reset(server);
    CHECK(!server->said && weir__server_weight(next, 0) == 2);
    return NULL;
}
CLAIM(what_operators_said_outlives_reloads_of_the_same_server)

static weir_error *an_override_ends_when_the_servers_line_changes_body(const char *address)
{

    WEIR_TRY(weighted(address, 2, &upstream));
    server = upstream->servers[0];
    WEIR_TRY(in_force(upstream));
    WEIR_TRY(weir__override_state(&health->overrides, upstream, 0, SERVER_DISABLED, "alice"));
    WEIR_TRY(weighted(address, 3, &next));
    WEIR_TRY(in_force(next));
    weir__upstream_unref(WEIR_TAKE(upstream));
    CHECK(server->override == SERVER_NO_OVERRIDE && !server->said);
    return NULL;
}
CLAIM(an_override_ends_when_the_servers_line_changes)

static weir_error *an_override_ends_when_the_server_leaves_the_file_body(const char *address)
{

    WEIR_TRY(weighted(address, 1, &upstream));
    server = upstream->servers[0];
    WEIR_TRY(in_force(upstream));
    WEIR_TRY(weir__override_weight(&health->overrides, upstream, 0, 7, "alice"));
    WEIR_TRY(in_force(NULL));
    CHECK(!server->weight_override && !server->said);
    return NULL;
}
CLAIM(an_override_ends_when_the_server_leaves_the_file)

static weir_error *the_weight_of_the_file_is_no_override_body(const char *address)
{

    WEIR_TRY(weighted(address, 4, &upstream));
    WEIR_TRY(in_force(upstream));
    WEIR_TRY(weir__override_weight(&health->overrides, upstream, 0, 9, "alice"));
    WEIR_TRY(weir__override_weight(&health->overrides, upstream, 0, 4, "alice"));
    CHECK(!upstream->servers[0]->weight_override && !upstream->servers[0]->said);
    return NULL;
}
CLAIM(the_weight_of_the_file_is_no_override)

#define MANY 1000

/* The longest that the loop was away from a callback which asks to be called all the time. */
static int64_t longest, last_turn;
static bool turning;

static weir_error *turn(void *arg)
{
    int64_t now = weir_now().ns;

    (void)arg;
    if (last_turn && now - last_turn > longest)
        longest = now - last_turn;
    last_turn = now;
    return turning ? weir_loop_call_later(weir_loop_current(), WEIR_MS(1), turn, NULL, NULL, NULL)
                   : NULL;
}

static weir_error *a_thousand_servers_are_checked_without_a_stumble_body(const char *address)
{
    struct health_spec spec = quick;
    weir_upstream *upstreams[4];
    static char texts[MANY][40];
    const char *addresses[MANY];
    const char *port = strrchr(address, ':');
    size_t checked_all = 0;

    spec.interval = WEIR_MS(500);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "127.0.%d.%d%s", i / 250, i % 250 + 1, port);
        addresses[i] = texts[i];
    }
    for (int i = 0; i < 4; i++) {
        char name[20];

        (void)snprintf(name, sizeof name, "app%d", i);
        WEIR_TRY(make(name, addresses + i * 250, 250, &spec, &upstreams[i]));
    }
    turning = true;
    longest = last_turn = 0;
    WEIR_TRY(turn(NULL));
    /* Nobody but 127.0.0.1 answers: most are refused. */
    WEIR_TRY(weir__health_set(health, upstreams, 4));
    CHECK(health->n_checks == MANY);
    while (checked_all < MANY) {
        checked_all = 0;
        for (int i = 0; i < MANY; i++) {
            const struct server *one = upstreams[i / 250]->servers[i % 250];

            checked_all += one->checks_failed + one->checks_passed >= 2;
        }
        WEIR_TRY(weir_sleep(WEIR_MS(20)));
    }
    turning = false;
    WEIR_TRY(weir_sleep(WEIR_MS(2)));
    print_message("the longest turn of the loop: %.1f ms\n", (double)longest / 1e6);
    CHECK(longest < 250000000);
    for (int i = 0; i < 4; i++)
        weir__upstream_unref(upstreams[i]);
    return NULL;
}
CLAIM(a_thousand_servers_are_checked_without_a_stumble)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_is_up_until_fall_checks_in_a_row_failed),
        cmocka_unit_test(a_server_comes_back_after_rise_checks_in_a_row),
        cmocka_unit_test(a_check_that_hangs_is_a_failure_when_its_time_is_up),
        cmocka_unit_test(a_server_that_refuses_connections_goes_down),
        cmocka_unit_test(the_tcp_check_is_content_with_a_connection),
        cmocka_unit_test(a_check_may_ask_at_a_port_of_its_own),
        cmocka_unit_test(a_question_that_cannot_be_asked_has_failed),
        cmocka_unit_test(a_new_definition_keeps_what_was_found_and_counts_on),
        cmocka_unit_test(a_server_that_is_checked_no_more_is_taken_as_well),
        cmocka_unit_test(an_operator_who_forgives_is_believed_until_the_next_failures),
        cmocka_unit_test(what_operators_said_outlives_reloads_of_the_same_server),
        cmocka_unit_test(an_override_ends_when_the_servers_line_changes),
        cmocka_unit_test(an_override_ends_when_the_server_leaves_the_file),
        cmocka_unit_test(the_weight_of_the_file_is_no_override),
        cmocka_unit_test(a_thousand_servers_are_checked_without_a_stumble),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
