/* SPDX-License-Identifier: Apache-2.0 */
/* Actions in straight-line style: `handle` as a task of the connection. */
#include "config.h"

#include <errno.h>

#include <weir/task.h>

#include "tests/unit/http/serving.h"

static weir_code handled; /* what the last handler saw */
static unsigned returned;

static weir_error *seen(weir_error *error)
{
    handled = weir_error_code(error);
    returned++;
    return error;
}

/* Reads all, answers with it. */
static weir_error *collect(weir_http *x)
{
    weir_slice all;

    WEIR_TRY(seen(weir_http_read_all(x, WEIR_HTTP_REQUEST, 64, &all)));
    return weir_http_respond(x, 200, weir_slice_of(NULL, 0), all);
}

static const weir_http_action collects = {WEIR_SIZED(weir_http_action), .name = "collects",
                                          .handle = collect};

/* Reads and writes by turns. */
static weir_error *copy(weir_http *x)
{
    weir_slice piece;

    WEIR_TRY(weir_http_respond_head(x, 200, -1));
    for (;;) {
        WEIR_TRY(weir_http_read(x, WEIR_HTTP_REQUEST, &piece));
        if (!piece.len)
            return seen(NULL); /* the end of the response is the library's */
        WEIR_TRY(weir_http_write(x, piece));
        WEIR_TRY(weir_sleep(WEIR_MS(0)));
    }
}

static const weir_http_action copies = {WEIR_SIZED(weir_http_action), .name = "copies",
                                        .handle = copy};

static weir_error *pour(weir_http *x)
{
    static char block[3 * 1024 * 1024];

    memset(block, 'x', sizeof block);
    WEIR_TRY(weir_http_respond_head(x, 200, 4 * sizeof block));
    for (int i = 0; i < 4; i++) {
        weir_error *error = weir_http_write(x, weir_slice_of(block, sizeof block));

        if (error)
            return seen(error);
    }
    return seen(weir_http_respond_end(x));
}

static const weir_http_action pours = {WEIR_SIZED(weir_http_action), .name = "pours",
                                       .handle = pour};

static weir_error *be_silent(weir_http *x)
{
    (void)x;
    return seen(NULL);
}

static const weir_http_action is_silent = {WEIR_SIZED(weir_http_action), .name = "is silent",
                                           .handle = be_silent};

static weir_error *fail_now(weir_http *x)
{
    (void)x;
    return weir_raise(EIO, "on purpose");
}

static const weir_http_action fails = {WEIR_SIZED(weir_http_action), .name = "fails",
                                       .handle = fail_now};

static weir_error *fail_late(weir_http *x)
{
    WEIR_TRY(weir_http_respond_head(x, 200, -1));
    WEIR_TRY(weir_http_write(x, WEIR_SLICE("part")));
    return weir_raise(EIO, "on purpose");
}

static const weir_http_action fails_late = {WEIR_SIZED(weir_http_action), .name = "fails late",
                                            .handle = fail_late};

/* Answers without a look at the body, then lingers. */
static weir_error *answer_early(weir_http *x)
{
    WEIR_TRY(weir_http_respond(x, 200, weir_slice_of(NULL, 0), WEIR_SLICE("early")));
    WEIR_TRY(weir_sleep(WEIR_MS(20)));
    return seen(NULL);
}

static const weir_http_action answers_early = {WEIR_SIZED(weir_http_action),
                                               .name = "answers early", .handle = answer_early};

/* Takes one piece and leaves the rest. */
static weir_error *take_one(weir_http *x)
{
    weir_slice piece;

    WEIR_TRY(weir_http_read(x, WEIR_HTTP_REQUEST, &piece));
    return weir_http_respond(x, 200, weir_slice_of(NULL, 0), WEIR_SLICE("one is enough"));
}

static const weir_http_action takes_one = {WEIR_SIZED(weir_http_action), .name = "takes one",
                                           .handle = take_one};

static weir_error *sleep_long(weir_http *x)
{
    weir_error *error = weir_sleep(WEIR_S(3600));
    weir_slice piece;

    if (error)
        weir_ignore(weir_http_read(x, WEIR_HTTP_REQUEST, &piece));
    return seen(error);
}

static const weir_http_action sleeps = {WEIR_SIZED(weir_http_action), .name = "sleeps",
                                        .handle = sleep_long};

const struct serving_action serving_actions[] = {
    {"/collect", &collects},    {"/copy", &copies},
    {"/pour", &pours},          {"/silent", &is_silent},
    {"/fails", &fails},         {"/late", &fails_late},
    {"/early", &answers_early}, {"/one", &takes_one},
    {"/sleep", &sleeps},        {NULL, NULL},
};

static void a_body_is_read_whole_however_it_was_cut(void **state)
{
    static const char request[] =
        "POST /collect HTTP/1.1\r\nHost: a\r\n" CLOSE_TEXT "Transfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n4\r\ndefg\r\n0\r\nT: 1\r\n\r\n";

    (void)state;
    for (size_t cut = 1; cut < sizeof request - 1; cut++) {
        struct wire *wire = wire_connect(serving.server);

        wire_send(wire, request, cut);
        turn();
        wire_say(wire, request + cut);
        wire_until_end(wire);
        strip_dates(wire);
        assert_string_equal(wire->data,
                            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n" CLOSE_TEXT "\r\nabcdefg");
        wire_free(wire);
    }
}

static void a_request_without_body_reads_as_empty(void **state)
{
    struct wire *wire = ask("GET /collect HTTP/1.1\r\nHost: a\r\n" CLOSE_TEXT "\r\n");

    (void)state;
    assert_string_equal(wire->data, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" CLOSE_TEXT "\r\n");
    wire_free(wire);
}

static void more_than_the_limit_is_an_error(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    wire_say(wire, "POST /collect HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
                   "0123456789012345678901234567890123456789012345678901234567890123456789");
    wire_until(wire, "500 Internal Server Error\n");
    assert_int_equal(handled, WEIR_ELIMIT);
    wire_say(wire, "012345678901234567890123456789GET /collect HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_until(wire, "HTTP/1.1 200 OK");
    wire_free(wire);
}

static void reading_tells_the_client_to_go_on(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    wire_say(wire, "POST /collect HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                   "Expect: 100-continue\r\n\r\n");
    wire_until(wire, "HTTP/1.1 100 Continue\r\n\r\n");
    wire_say(wire, "abc");
    wire_until(wire, "abc");
    assert_int_equal(count_of(wire->data, "100 Continue"), 1);
    assert_null(strstr(wire->data, CLOSE_TEXT));
    wire_free(wire);
}

static void pieces_are_copied_as_they_come(void **state)
{
    struct wire *wire = wire_connect(serving.server);
    static char block[512 * 1024];

    (void)state;
    wire_say(wire, "POST /copy HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    wire_say(wire, "3\r\nabc\r\n");
    wire_until(wire, "3\r\nabc\r\n");
    wire_say(wire, "80000\r\n");
    wire_send(wire, block, sizeof block);
    wire_say(wire, "\r\n0\r\n\r\nPOST /copy HTTP/1.1\r\nHost: a\r\n" CLOSE_TEXT
                   "Content-Length: 4\r\n\r\nlast");
    wire_until_end(wire);
    assert_true(wire->len > sizeof block);
    assert_non_null(memmem(wire->data, wire->len, "4\r\nlast\r\n0\r\n\r\n", 14));
    assert_int_equal(serving.ended, 2);
    assert_int_equal(returned, 2);
    wire_free(wire);
}

static void writing_waits_for_the_client(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    wire_say(wire, "GET /pour HTTP/1.1\r\nHost: a\r\n" CLOSE_TEXT "\r\n");
    for (int i = 0; i < 100; i++)
        turn();
    assert_int_equal(returned, 0);
    wire_until_end(wire);
    assert_true(wire->len > (size_t)12 * 1024 * 1024);
    assert_int_equal(returned, 1);
    wire_free(wire);
}

static bool has_returned(void *arg)
{
    (void)arg;
    return returned > 0;
}

static void a_client_that_leaves_wakes_its_handler(void **state)
{
    static const char *const requests[] = {
        "GET /pour HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /collect HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n01",
    };

    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct wire *wire = wire_connect(serving.server);

        returned = 0;
        wire_say(wire, requests[i]);
        turn();
        turn();
        wire_free(wire);
        turn_until(has_returned, NULL);
        assert_true(handled == WEIR_ECLOSED || handled == WEIR_ECANCELED);
    }
    assert_int_equal(serving.ended, 2);
}

static void a_lost_connection_cancels_its_handler(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    wire_say(wire, "GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n");
    while (!serving.begun)
        turn();
    turn();
    weir_transport_abort(serving.last, NULL);
    turn_until(has_returned, NULL);
    assert_int_equal(handled, WEIR_ECANCELED);
    wire_free(wire);
}

static void who_does_not_answer_is_answered_for(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    wire_say(wire, "GET /silent HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_until(wire, "500 Internal Server Error\n");
    wire_clear(wire);
    wire_say(wire, "GET /fails HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_until(wire, "500 Internal Server Error\n");
    assert_int_equal(serving.reason, EIO);
    wire_clear(wire);
    wire_say(wire, "GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_until_end(wire);
    assert_non_null(strstr(wire->data, "4\r\npart\r\n"));
    assert_null(strstr(wire->data, "\r\n0\r\n"));
    wire_free(wire);
}

static void the_next_request_waits_for_the_handlers_return(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    wire_say(wire, "GET /early HTTP/1.1\r\nHost: a\r\n\r\nGET /early HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_until(wire, "early");
    assert_int_equal(serving.ended, 0);
    assert_int_equal(count_of(wire->data, "early"), 1);
    until_ended(2);
    assert_int_equal(returned, 2);
    wire_until(wire, "early");
    wire_free(wire);
}

static void body_that_was_not_read_does_not_stop_the_next_request(void **state)
{
    static char block[100 * 1024];
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    memset(block, 'y', sizeof block);
    for (int i = 0; i < 3; i++) {
        wire_clear(wire);
        wire_say(wire, "POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 102400\r\n\r\n");
        wire_send(wire, block, sizeof block);
        wire_until(wire, "one is enough");
        assert_null(strstr(wire->data, CLOSE_TEXT));
    }
    wire_free(wire);
}

static int setup(void **state)
{
    handled = 0;
    returned = 0;
    return serving_setup(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, serving_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_body_is_read_whole_however_it_was_cut),
        TEST(a_request_without_body_reads_as_empty),
        TEST(more_than_the_limit_is_an_error),
        TEST(reading_tells_the_client_to_go_on),
        TEST(pieces_are_copied_as_they_come),
        TEST(writing_waits_for_the_client),
        TEST(a_client_that_leaves_wakes_its_handler),
        TEST(a_lost_connection_cancels_its_handler),
        TEST(who_does_not_answer_is_answered_for),
        TEST(the_next_request_waits_for_the_handlers_return),
        TEST(body_that_was_not_read_does_not_stop_the_next_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
