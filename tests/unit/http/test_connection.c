/* SPDX-License-Identifier: Apache-2.0 */
/* The server side of connections: what clients get for what they send, byte for byte. */
#include "config.h"

#include <errno.h>
#include <sys/socket.h>

#include "tests/unit/http/serving.h"

/* Answers at once, whatever body comes. */
static weir_error *hello_start(weir_http *x)
{
    return weir_http_respond(x, 200, WEIR_SLICE("text/plain"), WEIR_SLICE("hello"));
}

static const weir_http_action hello = {WEIR_SIZED(weir_http_action), .name = "hello",
                                       .start = hello_start};

static weir_error *denied_start(weir_http *x)
{
    return weir_http_respond(x, 403, WEIR_SLICE("text/plain"), WEIR_SLICE("no"));
}

static const weir_http_action denied = {WEIR_SIZED(weir_http_action), .name = "denied",
                                        .start = denied_start};

/* Streams the request's body back under an unknown length. */
static weir_error *back_start(weir_http *x)
{
    return weir_http_respond_head(x, 200, -1);
}

static weir_error *back_body(weir_http *x, weir_slice data, bool last)
{
    if (data.len)
        WEIR_TRY(weir_http_pass(x, WEIR_HTTP_RESPONSE, data));
    return last ? weir_http_respond_end(x) : NULL;
}

static const weir_http_action back = {WEIR_SIZED(weir_http_action), .name = "back",
                                      .start = back_start, .on_request_body = back_body};

/* Takes memory for as long as the exchange lives: more than its block has. */
static char *noted[3];

static weir_error *note_start(weir_http *x)
{
    for (size_t i = 0; i < 3; i++) {
        noted[i] = weir_http_alloc(x, 4000);
        assert_non_null(noted[i]);
        for (size_t byte = 0; byte < 4000; byte++)
            assert_int_equal(noted[i][byte], 0);
        memset(noted[i], 'a' + (int)i, 4000);
    }
    return weir_http_respond(x, 204, weir_slice_of(NULL, 0), weir_slice_of(NULL, 0));
}

static void note_ended(weir_http *x, const weir_error *reason)
{
    (void)x;
    assert_null(reason);
    for (size_t i = 0; i < 3; i++)
        assert_true(noted[i][0] == 'a' + (int)i && noted[i][3999] == 'a' + (int)i);
}

static const weir_http_action note = {WEIR_SIZED(weir_http_action), .name = "note",
                                      .start = note_start, .ended = note_ended};

/* Counts the body, answers when it is complete. */
struct counted {
    uint64_t bytes;
    unsigned pieces, lasts;
};

static weir_error *count_body(weir_http *x, weir_slice data, bool last)
{
    struct counted *counted = weir_http_state(x);
    char text[64];
    int len;

    counted->bytes += data.len;
    counted->lasts += last;
    if (!last)
        return NULL;
    len = snprintf(text, sizeof text, "%llu bytes, %u end", (unsigned long long)counted->bytes,
                   counted->lasts);
    return weir_http_respond(x, 200, weir_slice_of(NULL, 0), weir_slice_of(text, (size_t)len));
}

static weir_error *nothing_at_start(weir_http *x)
{
    (void)x;
    return NULL;
}

static const weir_http_action count = {WEIR_SIZED(weir_http_action), .name = "count",
                                       .state_size = sizeof(struct counted),
                                       .start = nothing_at_start, .on_request_body = count_body};

/* A body where none may stand. */
static weir_error *no_content_start(weir_http *x)
{
    return weir_http_respond(x, 204, weir_slice_of(NULL, 0), WEIR_SLICE("never sent"));
}

static const weir_http_action no_content = {WEIR_SIZED(weir_http_action), .name = "no content",
                                            .start = no_content_start};

static weir_error *not_modified_start(weir_http *x)
{
    WEIR_TRY(weir_http_set_header(x, WEIR_HTTP_RESPONSE, "ETag", WEIR_SLICE("\"1\"")));
    return weir_http_respond(x, 304, weir_slice_of(NULL, 0), WEIR_SLICE("never sent"));
}

static const weir_http_action not_modified = {WEIR_SIZED(weir_http_action), .name = "not modified",
                                              .start = not_modified_start};

/* Fails: in start, and after the head of each framing. */
static weir_error *fails_start(weir_http *x)
{
    WEIR_TRY(weir_http_set_header(x, WEIR_HTTP_RESPONSE, "X-Left", WEIR_SLICE("over")));
    return weir_raise(EIO, "on purpose");
}

static const weir_http_action fails = {WEIR_SIZED(weir_http_action), .name = "fails",
                                       .start = fails_start};

static weir_error *breaks_start(weir_http *x)
{
    WEIR_TRY(weir_http_respond_head(x, 200, -1));
    WEIR_TRY(weir_http_pass(x, WEIR_HTTP_RESPONSE, WEIR_SLICE("part")));
    return weir_raise(EIO, "on purpose");
}

static const weir_http_action breaks = {WEIR_SIZED(weir_http_action), .name = "breaks",
                                        .start = breaks_start};

static weir_error *short_start(weir_http *x)
{
    WEIR_TRY(weir_http_respond_head(x, 200, 10));
    WEIR_TRY(weir_http_pass(x, WEIR_HTTP_RESPONSE, WEIR_SLICE("part")));
    return weir_http_respond_end(x);
}

static const weir_http_action short_ = {WEIR_SIZED(weir_http_action), .name = "short",
                                        .start = short_start};

static weir_error *long_start(weir_http *x)
{
    WEIR_TRY(weir_http_respond_head(x, 200, 3));
    return weir_http_pass(x, WEIR_HTTP_RESPONSE, WEIR_SLICE("part"));
}

static const weir_http_action long_ = {WEIR_SIZED(weir_http_action), .name = "long",
                                       .start = long_start};

const struct serving_action serving_actions[] = {
    {"/note", &note},     {"/hello", &hello},    {"/denied", &denied},    {"/back", &back},
    {"/count", &count},   {"/204", &no_content}, {"/304", &not_modified}, {"/fails", &fails},
    {"/breaks", &breaks}, {"/short", &short_},   {"/long", &long_},       {NULL, NULL},
};

static void memory_of_an_exchange_lives_until_it_has_ended(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    for (unsigned i = 1; i <= 2; i++) {
        wire_say(wire, "GET /note HTTP/1.1\r\nHost: a\r\n\r\n");
        wire_until(wire, "\r\n\r\n");
        wire_clear(wire);
        assert_int_equal(serving.ended, i);
    }
    wire_free(wire);
}

static void a_request_is_answered_and_the_connection_stays(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    for (unsigned i = 1; i <= 3; i++) {
        wire_say(wire, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        wire_until(wire, "hello");
        strip_dates(wire);
        assert_string_equal(
            wire->data,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello");
        assert_int_equal(serving.ended, i);
        assert_int_equal(serving.summary.status, 200);
        assert_int_equal(serving.summary.outcome, WEIR_OUTCOME_OK);
        assert_int_equal(serving.reason, 0);
        assert_string_equal(serving.target, "/hello");
        wire_clear(wire);
    }
    wire_free(wire);
}

static const char conversation[] =
    "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
    "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789"
    "POST /back HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: 1\r\n\r\n"
    "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n"
    "\r\nGET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
    "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    "GET /204 HTTP/1.1\r\nHost: a\r\n\r\n"
    "GET /304 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

static const char hello_text[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n";

/* What the conversation leads to, but for how the echoed body was cut. */
static void check_conversation(struct wire *wire)
{
    static const char *const parts[] = {
        hello_text, "hello", "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n10 bytes, 1 end",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"};
    static const char tail[] =
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n"
        "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\n"
        "404 Not Found\n"
        "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n0 bytes, 1 end"
        "HTTP/1.1 204 No Content\r\n\r\n"
        "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n" CLOSE_TEXT "\r\n";
    const char *at = wire->data;
    char body[16] = "";

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        assert_memory_equal(at, parts[i], strlen(parts[i]));
        at += strlen(parts[i]);
    }
    for (;;) {
        char *end;
        unsigned long size = strtoul(at, &end, 16);
        assert_memory_equal(end, "\r\n", 2);
        if (size == 0)
            break;
        assert_true(size < 8);
        memcpy(body + strlen(body), end + 2, size);
        at = end + 2 + size + 2;
    }
    assert_string_equal(body, "abcdefg");
    assert_memory_equal(at, "0\r\n\r\n", 5);
    assert_string_equal(at + 5, tail);
}

static void a_conversation_in_one_piece(void **state)
{
    struct wire *wire = ask(conversation);

    (void)state;
    assert_true(wire->ended);
    check_conversation(wire);
    assert_int_equal(serving.ended, 8);
    wire_free(wire);
}

static void a_conversation_cut_anywhere_leads_to_the_same(void **state)
{
    (void)state;
    for (size_t cut = 1; cut < sizeof conversation - 1; cut++) {
        struct wire *wire = wire_connect(serving.server);

        wire_send(wire, conversation, cut);
        turn();
        wire_say(wire, conversation + cut);
        wire_until_end(wire);
        strip_dates(wire);
        check_conversation(wire);
        wire_free(wire);
    }
}

static void a_conversation_byte_by_byte_leads_to_the_same(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    for (size_t i = 0; i < sizeof conversation - 1; i++) {
        wire_send(wire, conversation + i, 1);
        turn();
        wire_take(wire);
    }
    wire_until_end(wire);
    strip_dates(wire);
    check_conversation(wire);
    wire_free(wire);
}

static void an_old_client_gets_the_end_of_the_connection_for_an_unknown_length(void **state)
{
    struct wire *wire = ask("POST /back HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc");

    (void)state;
    assert_string_equal(wire->data, "HTTP/1.1 200 OK\r\n" CLOSE_TEXT "\r\nabc");
    assert_true(wire->ended);
    wire_free(wire);
}

static void an_old_client_may_keep_its_connection(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    wire_say(wire, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    wire_until(wire, "Connection: keep-alive\r\n\r\nhello");
    wire_clear(wire);
    wire_say(wire, "GET /hello HTTP/1.0\r\n\r\n");
    wire_until_end(wire);
    assert_non_null(strstr(wire->data, CLOSE_TEXT));
    wire_free(wire);
}

static void a_refused_request_is_answered_and_its_head_can_be_recorded(void **state)
{
    static const char *const requests[] = {
        "GET /hello HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n",
        "GET /hello HTTP/1.1\r\n\r\n",
        "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET /../x HTTP/1.1\r\nHost: a\r\n\r\n",
        "G\x01T / HTTP/1.1\r\n\r\n",
        "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct wire *wire = ask(requests[i]);

        assert_memory_equal(wire->data, "HTTP/1.1 400 Bad Request\r\n", 26);
        assert_non_null(strstr(wire->data, CLOSE_TEXT));
        assert_int_equal(serving.summary.outcome, WEIR_OUTCOME_CLIENT_BAD_REQUEST);
        assert_int_equal(serving.reason, WEIR_EPROTOCOL);
        wire_free(wire);
        /* and in two pieces */
        wire = wire_connect(serving.server);
        wire_send(wire, requests[i], 7);
        turn();
        wire_say(wire, requests[i] + 7);
        wire_until_end(wire);
        assert_memory_equal(wire->data, "HTTP/1.1 400 Bad Request\r\n", 26);
        wire_free(wire);
    }
}

static void an_early_no_to_a_long_upload_arrives_and_closes(void **state)
{
    static char block[64 * 1024];
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    wire_say(wire, "POST /denied HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
    wire_send(wire, block, sizeof block);
    wire_send(wire, block, sizeof block);
    wire_until_end(wire);
    assert_true(wire->ended);
    assert_memory_equal(wire->data, "HTTP/1.1 403 Forbidden\r\n", 24);
    assert_non_null(strstr(wire->data, CLOSE_TEXT));
    assert_string_equal(wire->data + wire->len - 4, "\r\nno");
    wire_free(wire);
}

static void an_early_no_to_a_short_upload_keeps_the_connection(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    wire_say(wire, "POST /denied HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    wire_until(wire, "\r\n\r\nno");
    assert_null(strstr(wire->data, CLOSE_TEXT));
    wire_say(wire, "0123456789GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_until(wire, "hello");
    wire_free(wire);
}

static void an_early_yes_to_a_chunked_upload_closes(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    wire_say(wire, "POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n");
    wire_until_end(wire);
    assert_true(wire->ended);
    wire_free(wire);
}

static void who_expects_continue_and_is_refused_must_close(void **state)
{
    struct wire *wire = ask("POST /denied HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                            "Expect: 100-continue\r\n\r\n");

    (void)state;
    assert_memory_equal(wire->data, "HTTP/1.1 403 Forbidden\r\n", 24);
    assert_non_null(strstr(wire->data, CLOSE_TEXT));
    wire_free(wire);
}

static void pipelined_requests_of_a_client_that_has_ended_are_all_answered(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    for (int i = 0; i < 5; i++)
        wire_say(wire, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(wire->fd, SHUT_WR);
    wire_until_end(wire);
    assert_true(wire->ended);
    assert_int_equal(count_of(wire->data, "hello"), 5);
    wire_free(wire);
}

static void a_failure_before_the_head_is_answered_with_a_clean_page(void **state)
{
    struct wire *wire = wire_connect(serving.server);

    (void)state;
    wire_say(wire, "GET /fails HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_until(wire, "500 Internal Server Error\n");
    assert_null(strstr(wire->data, "X-Left"));
    assert_int_equal(serving.summary.outcome, WEIR_OUTCOME_PLUGIN_ERROR);
    assert_int_equal(serving.reason, EIO);
    wire_say(wire, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    wire_until(wire, "hello");
    wire_free(wire);
}

static void a_failure_inside_the_body_never_looks_complete(void **state)
{
    struct wire *wire = ask("GET /breaks HTTP/1.1\r\nHost: a\r\n\r\n");

    (void)state;
    assert_non_null(strstr(wire->data, "4\r\npart\r\n"));
    assert_null(strstr(wire->data, "\r\n0\r\n"));
    wire_free(wire);
    wire = ask("GET /breaks HTTP/1.0\r\n\r\n");
    assert_true(wire->reset);
    wire_free(wire);
    wire = ask("GET /short HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_non_null(strstr(wire->data, "Content-Length: 10\r\n"));
    assert_string_equal(wire->data + wire->len - 8, "\r\n\r\npart");
    wire_free(wire);
    wire = ask("GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_string_equal(wire->data + wire->len - 4, "\r\n\r\n");
    wire_free(wire);
    assert_int_equal(serving.ended, 4);
}

static void a_body_over_the_limit_is_refused(void **state)
{
    struct wire *wire;

    (void)state;
    serving.options.max_body = 8;
    wire = ask("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    assert_memory_equal(wire->data, "HTTP/1.1 413 ", 13);
    wire_free(wire);
    wire = ask("POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
               "5\r\n01234\r\n4\r\n5678\r\n0\r\n\r\n");
    assert_memory_equal(wire->data, "HTTP/1.1 413 ", 13);
    wire_free(wire);
    wire =
        ask("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n" CLOSE_TEXT "\r\n01234567");
    assert_non_null(strstr(wire->data, "8 bytes, 1 end"));
    wire_free(wire);
}

static void slow_clients_are_told_and_idle_ones_closed(void **state)
{
    struct wire *wire;

    (void)state;
    serving.options.header_timeout = serving.options.body_timeout = WEIR_MS(20);
    serving.options.idle_timeout = WEIR_MS(60);
    wire = ask("GET /hello HT");
    assert_memory_equal(wire->data, "HTTP/1.1 408 ", 13);
    assert_int_equal(serving.summary.outcome, WEIR_OUTCOME_CLIENT_TIMEOUT);
    assert_string_equal(serving.target, "/hello");
    wire_free(wire);
    wire = ask("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n012");
    assert_memory_equal(wire->data, "HTTP/1.1 408 ", 13);
    wire_free(wire);
    wire = ask("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_non_null(strstr(wire->data, "hello"));
    assert_null(strstr(wire->data, CLOSE_TEXT));
    assert_true(wire->ended);
    wire_free(wire);
    wire = ask("");
    assert_int_equal(wire->len, 0);
    wire_free(wire);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, serving_setup, serving_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(memory_of_an_exchange_lives_until_it_has_ended),
        TEST(a_request_is_answered_and_the_connection_stays),
        TEST(a_conversation_in_one_piece),
        TEST(a_conversation_cut_anywhere_leads_to_the_same),
        TEST(a_conversation_byte_by_byte_leads_to_the_same),
        TEST(an_old_client_gets_the_end_of_the_connection_for_an_unknown_length),
        TEST(an_old_client_may_keep_its_connection),
        TEST(a_refused_request_is_answered_and_its_head_can_be_recorded),
        TEST(an_early_no_to_a_long_upload_arrives_and_closes),
        TEST(an_early_no_to_a_short_upload_keeps_the_connection),
        TEST(an_early_yes_to_a_chunked_upload_closes),
        TEST(who_expects_continue_and_is_refused_must_close),
        TEST(pipelined_requests_of_a_client_that_has_ended_are_all_answered),
        TEST(a_failure_before_the_head_is_answered_with_a_clean_page),
        TEST(a_failure_inside_the_body_never_looks_complete),
        TEST(a_body_over_the_limit_is_refused),
        TEST(slow_clients_are_told_and_idle_ones_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
