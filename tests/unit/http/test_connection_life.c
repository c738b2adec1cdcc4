/* SPDX-License-Identifier: Apache-2.0 */
/* The life of connections: pauses, clients that leave, wait or do not read, and the server's end. */
#include "config.h"

#include <sys/socket.h>

#include "tests/unit/http/serving.h"

#define CLOSE_TEXT "Connection: close\r\n"

/* Answers at once, whatever body comes. */
static weir_error *hello_start(weir_http *x)
{
    return weir_http_respond(x, 200, WEIR_SLICE("text/plain"), WEIR_SLICE("hello"));
}

static const weir_http_action hello = {WEIR_SIZED(weir_http_action), .name = "hello",
                                       .start = hello_start};

/* Answers later, by hand. */
static weir_http *waiting;
static weir_code waiting_ended;
static bool waiting_is_paused, waiting_unpaused;
static uint64_t waiting_bytes;

static weir_error *wait_start(weir_http *x)
{
    waiting = x;
    waiting_bytes = 0;
    waiting_is_paused = waiting_unpaused = false;
    return NULL;
}

static weir_error *wait_paused_start(weir_http *x)
{
    weir_http_pause(x, WEIR_HTTP_REQUEST);
    return wait_start(x);
}

static weir_error *wait_body(weir_http *x, weir_slice data, bool last)
{
    (void)x;
    (void)last;
    waiting_bytes += data.len;
    return NULL;
}

static void wait_pause(weir_http *x, weir_http_side side)
{
    (void)x;
    assert_int_equal(side, WEIR_HTTP_RESPONSE);
    waiting_is_paused = true;
}

static void wait_unpause(weir_http *x, weir_http_side side)
{
    (void)x;
    assert_int_equal(side, WEIR_HTTP_RESPONSE);
    waiting_is_paused = false;
    waiting_unpaused = true;
}

static void wait_ended(weir_http *x, const weir_error *reason)
{
    assert_ptr_equal(x, waiting);
    waiting_ended = weir_error_code(reason);
    /* Too late for anything, and harmless. */
    weir_http_unpause(x, WEIR_HTTP_REQUEST);
    weir_http_fail(x, 500, WEIR_OUTCOME_PLUGIN_ERROR, NULL);
    {
        weir_error *error = weir_http_respond(x, 200, WEIR_SLICE(""), WEIR_SLICE(""));

        assert_int_equal(weir_error_code(error), WEIR_ECLOSED);
        weir_error_unref(error);
    }
    waiting = NULL;
}

static const weir_http_action wait_ = {WEIR_SIZED(weir_http_action), .name = "wait",
                                       .start = wait_start,          .on_request_body = wait_body,
                                       .pause = wait_pause,          .unpause = wait_unpause,
                                       .ended = wait_ended};
static const weir_http_action wait_paused = {
    WEIR_SIZED(weir_http_action), .name = "wait paused", .start = wait_paused_start,
    .on_request_body = wait_body, .pause = wait_pause,   .unpause = wait_unpause,
    .ended = wait_ended};

/* 100 KiB at once. */
static weir_error *big_start(weir_http *x)
{
    static char bytes[100 * 1024];

    memset(bytes, 'b', sizeof bytes);
    return weir_http_respond(x, 200, weir_slice_of(NULL, 0), weir_slice_of(bytes, sizeof bytes));
}

static const weir_http_action big = {WEIR_SIZED(weir_http_action), .name = "big",
                                     .start = big_start};

const struct serving_action serving_actions[] = {
    {"/hello", &hello}, {"/wait", &wait_}, {"/paused", &wait_paused}, {"/big", &big}, {NULL, NULL},
};

static void a_paused_request_waits_and_then_comes_whole(void **state)
{
    static char block[1024 * 1024];
    struct wire *wire = wire_connect(serving.server);
    size_t sent = 0;

    (void)state;
    wire_say(wire, "POST /paused HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n");
    turn();
    for (int i = 0; i < 50 && sent < sizeof block; i++) {
        ssize_t n = send(wire->fd, block + sent, sizeof block - sent, MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        turn();
    }
    assert_non_null(waiting);
    assert_int_equal(waiting_bytes, 0);
    weir_http_unpause(waiting, WEIR_HTTP_REQUEST);
    wire_send(wire, block + sent, sizeof block - sent);
    while (waiting_bytes < sizeof block)
        turn();
    assert_done(weir_http_respond(waiting, 200, WEIR_SLICE(""), WEIR_SLICE("got it")));
    wire_until(wire, "got it");
    assert_int_equal(serving.summary.outcome, WEIR_OUTCOME_OK);
    wire_free(wire);
}

static void a_request_left_paused_by_its_answer_does_not_stop_the_next(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    wire_say(wire, "POST /paused HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n01");
    while (!waiting)
        turn();
    assert_done(weir_http_respond(waiting, 200, WEIR_SLICE(""), WEIR_SLICE("early")));
    wire_until(wire, "early");
    wire_say(wire, "234GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_until(wire, "hello");
    wire_free(wire);
}

static void a_complete_request_left_paused_does_not_stop_the_next(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    wire_say(wire, "GET /paused HTTP/1.1\r\nHost: a\r\n\r\n");
    while (!waiting)
        turn();
    turn();
    assert_done(weir_http_respond(waiting, 200, WEIR_SLICE(""), WEIR_SLICE("first")));
    wire_until(wire, "first");
    wire_say(wire, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_until(wire, "hello");
    wire_free(wire);
}

static void a_client_that_has_ended_its_side_gets_its_answer(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    wire_say(wire, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(wire->fd, SHUT_WR);
    while (!waiting)
        turn();
    turn();
    assert_done(weir_http_respond(waiting, 200, WEIR_SLICE(""), WEIR_SLICE("late")));
    wire_until_end(wire);
    assert_true(wire->ended);
    assert_non_null(strstr(wire->data, CLOSE_TEXT));
    assert_non_null(strstr(wire->data, "late"));
    assert_int_equal(serving.summary.outcome, WEIR_OUTCOME_OK);
    wire_free(wire);
}

static void a_client_that_leaves_inside_its_request_ends_the_exchange(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    wire_say(wire, "POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n01");
    while (!waiting)
        turn();
    waiting_ended = 0;
    wire_free(wire);
    until_ended(1);
    assert_int_equal(waiting_ended, WEIR_EINCOMPLETE);
    assert_int_equal(serving.summary.outcome, WEIR_OUTCOME_CLIENT_GONE);
    /* inside its head */
    wire = wire_connect(serving.server);
    wire_say(wire, "GET /hello HTT");
    turn();
    wire_free(wire);
    until_ended(2);
    assert_int_equal(serving.summary.outcome, WEIR_OUTCOME_CLIENT_GONE);
}

static void the_time_in_which_an_action_pauses_is_not_the_clients(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    serving.options.body_timeout = WEIR_MS(30);
    wire_say(wire, "POST /paused HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n01234");
    turn_for(60);
    assert_non_null(waiting);
    weir_http_unpause(waiting, WEIR_HTTP_REQUEST);
    turn();
    assert_int_equal(waiting_bytes, 5);
    assert_done(weir_http_respond(waiting, 200, WEIR_SLICE(""), WEIR_SLICE("fine")));
    wire_until(wire, "fine");
    assert_memory_equal(wire->data, "HTTP/1.1 200 ", 13);
    wire_free(wire);
}

static void a_client_that_takes_nothing_is_given_up(void **state)
{
    struct wire *wire = wire_connect(serving.server);
    static char block[256 * 1024];

    (void)state;
    serving.options.write_timeout = WEIR_MS(40);
    wire_say(wire, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    while (!waiting)
        turn();
    assert_done(weir_http_respond_head(waiting, 200, -1));
    /* A send may leave with the iteration: paused is who is still paused some turns later. */
    for (int paused = 0; waiting && paused < 10; paused++) {
        turn();
        if (waiting && !waiting_is_paused) {
            assert_done(
                weir_http_pass(waiting, WEIR_HTTP_RESPONSE, weir_slice_of(block, sizeof block)));
            paused = 0;
        }
    }
    until_ended(1);
    assert_int_equal(serving.summary.outcome, WEIR_OUTCOME_CLIENT_TIMEOUT);
    assert_int_equal(serving.reason, WEIR_ETIMEDOUT);
    wire_free(wire);
}

static void an_action_hears_when_the_client_does_not_keep_up(void **state)
{
    struct wire *wire = wire_connect(serving.server);
    static char block[256 * 1024];
    size_t sent = 0;

    (void)state;
    wire_say(wire, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    while (!waiting)
        turn();
    assert_done(weir_http_respond_head(waiting, 200, -1));
    while (!waiting_is_paused) {
        assert_done(
            weir_http_pass(waiting, WEIR_HTTP_RESPONSE, weir_slice_of(block, sizeof block)));
        sent += sizeof block;
    }
    while (!waiting_unpaused) {
        turn();
        wire_take(wire);
    }
    assert_done(weir_http_respond_end(waiting));
    wire_until(wire, "\r\n0\r\n\r\n");
    assert_true(wire->len > sent);
    wire_free(wire);
}

static void who_pipelines_and_does_not_read_is_not_served_ahead(void **state)
{
    struct wire *wire = wire_connect(serving.server);
    unsigned stalled;

    (void)state;
    for (int i = 0; i < 400; i++)
        wire_say(wire, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int i = 0; i < 100; i++)
        turn();
    stalled = serving.ended;
    assert_true(stalled < 200);
    for (int i = 0; i < 50; i++)
        turn();
    assert_int_equal(serving.ended, stalled);
    wire_until_bytes(wire, (size_t)400 * 100 * 1024);
    until_ended(400);
    wire_free(wire);
}

static void draining_ends_idle_connections_and_lets_the_busy_finish(void **state)
{
    struct wire *idle = wire_connect(serving.server), *busy;

    (void)state;
    wire_say(idle, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_until(idle, "hello");
    weir_http_server_drain(serving.last);
    wire_until_end(idle);
    assert_true(idle->ended);
    busy = wire_connect(serving.server);
    wire_say(busy, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    while (!waiting)
        turn();
    weir_http_server_drain(serving.last);
    turn();
    assert_done(weir_http_respond(waiting, 200, WEIR_SLICE(""), WEIR_SLICE("last")));
    wire_until_end(busy);
    assert_non_null(strstr(busy->data, CLOSE_TEXT));
    assert_non_null(strstr(busy->data, "last"));
    wire_free(idle);
    wire_free(busy);
}

static void a_server_that_closes_its_connections_ends_their_exchanges(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    wire_say(wire, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    while (!waiting)
        turn();
    waiting_ended = 0;
    weir_server_close_connections(serving.server);
    until_ended(1);
    assert_int_equal(waiting_ended, WEIR_ECLOSED);
    wire_free(wire);
}

static int setup(void **state)
{
    waiting = NULL;
    return serving_setup(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, serving_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_paused_request_waits_and_then_comes_whole),
        TEST(a_request_left_paused_by_its_answer_does_not_stop_the_next),
        TEST(a_complete_request_left_paused_does_not_stop_the_next),
        TEST(a_client_that_has_ended_its_side_gets_its_answer),
        TEST(a_client_that_leaves_inside_its_request_ends_the_exchange),
        TEST(the_time_in_which_an_action_pauses_is_not_the_clients),
        TEST(a_client_that_takes_nothing_is_given_up),
        TEST(an_action_hears_when_the_client_does_not_keep_up),
        TEST(who_pipelines_and_does_not_read_is_not_served_ahead),
        TEST(draining_ends_idle_connections_and_lets_the_busy_finish),
        TEST(a_server_that_closes_its_connections_ends_their_exchanges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
