/* SPDX-License-Identifier: Apache-2.0 */
/* The client side of connections: what a request leads to, whatever the origin sends. */
#include "config.h"

#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/http/wire.h"

/* What the events told: heads, then the body put together, then how it ended. */
struct told {
    char text[4096];
    size_t len;
    uint64_t body;
    unsigned interims, heads, lasts, failures, pauses, unpauses;
    weir_outcome outcome;
    bool detach;   /* at the head */
    char rest[64]; /* first bytes of a tunnel */
};

static struct told told;
static int listening;
static char address[64];
static weir_transport *transport;
static weir_http_client *client;

static void tell(weir_slice text)
{
    size_t n =
        text.len < sizeof told.text - 1 - told.len ? text.len : sizeof told.text - 1 - told.len;

    if (n)
        memcpy(told.text + told.len, text.data, n);
    told.len += n;
    told.text[told.len] = '\0';
}

static void on_interim(void *arg, const weir_http_head *head)
{
    (void)arg;
    told.interims += head->status;
}

static void on_response(void *arg, const weir_http_head *head, weir_slice first, bool last)
{
    char line[32];
    int len = snprintf(line, sizeof line, "%d ", head->status);

    (void)arg;
    told.heads++;
    told.lasts += last;
    tell(weir_slice_of(line, (size_t)len));
    tell(head->reason);
    tell(WEIR_SLICE(" "));
    if (told.detach) {
        weir_http_client_detach(client);
        return;
    }
    if (head->framing == WEIR_HTTP_TUNNEL)
        snprintf(told.rest, sizeof told.rest, "%.*s", (int)first.len,
                 first.len ? (const char *)first.data : "");
    else
        tell(first);
    told.body += first.len;
}

static void on_body(void *arg, weir_slice data, bool last)
{
    (void)arg;
    assert_int_equal(told.lasts, 0);
    told.lasts += last;
    told.body += data.len;
    tell(data);
}

static void on_failed(void *arg, weir_outcome outcome, const weir_error *reason)
{
    (void)arg;
    assert_non_null(reason);
    told.failures++;
    told.outcome = outcome;
}

static void on_pause(void *arg)
{
    (void)arg;
    told.pauses++;
}

static void on_unpause(void *arg)
{
    (void)arg;
    told.unpauses++;
}

static const weir_http_client_events events = {.size = sizeof events,
                                               .interim = on_interim,
                                               .response = on_response,
                                               .body = on_body,
                                               .failed = on_failed,
                                               .pause = on_pause,
                                               .unpause = on_unpause};

static void connected(weir_transport *made, weir_error *take_error, void *arg)
{
    (void)arg;
    assert_done(take_error);
    transport = weir_transport_ref(made);
    client = weir_transport_state(made);
}

static bool is_connected(void *arg)
{
    (void)arg;
    return transport != NULL;
}

/* A fresh connection; the raw origin of it. */
static struct wire *origin(void)
{
    memset(&told, 0, sizeof told);
    transport = NULL;
    assert_done(weir_connect_start(wire_loop, address, NULL, &weir_http_client_protocol, NULL,
                                   connected, NULL, NULL));
    turn_until(is_connected, NULL);
    return wire_accept(listening);
}

static void leave(struct wire *wire)
{
    weir_transport_abort(transport, NULL);
    weir_transport_unref(transport);
    transport = NULL;
    turn();
    wire_free(wire);
}

static weir_http_client_request request_of(weir_http_method method)
{
    return (weir_http_client_request){.size = sizeof(weir_http_client_request),
                                      .method = method,
                                      .framing = WEIR_HTTP_NO_BODY,
                                      .upgrade = true};
}

static void send_get(void)
{
    weir_http_client_request request = request_of(WEIR_HTTP_GET);

    assert_done(weir_http_client_send(client, &request,
                                      WEIR_SLICE("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
                                      weir_slice_of(NULL, 0), true, &events, NULL));
}

static bool is_over(void *arg)
{
    (void)arg;
    return told.lasts || told.failures;
}

struct response {
    const char *bytes;
    const char *text; /* what is told of it */
    bool reusable, until_close;
};

static const struct response responses[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200 OK hello", true, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 OK ", true, false},
    {"HTTP/1.1 204 No\r\n\r\n", "204 No ", true, false},
    {"HTTP/1.1 304 \r\nContent-Length: 50\r\n\r\n", "304  ", true, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", "200 OK hello",
     false, false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200 OK hello", false, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x\r\ndefg\r\n0\r\n\r\n",
     "200 OK abcdefg", true, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "200 OK ", true, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: 1\r\nU: 2\r\n\r\n",
     "200 OK a", true, false},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
     "200 OK ok", true, false},
    {"HTTP/1.1 200 OK\r\n\r\nuntil the end", "200 OK until the end", false, true},
};

#define EACH_RESPONSE(r)                       \
    for (const struct response *r = responses; \
         r < responses + sizeof responses / sizeof responses[0]; r++)

static void check_told(const struct response *r)
{
    turn_until(is_over, NULL);
    assert_int_equal(told.failures, 0);
    assert_int_equal(told.heads, 1);
    assert_int_equal(told.lasts, 1);
    assert_string_equal(told.text, r->text);
    assert_int_equal(told.interims, strstr(r->bytes, "103") ? 203 : 0);
    assert_int_equal(weir_http_client_reusable(client), r->reusable);
}

static void responses_cut_anywhere_are_told_the_same(void **state)
{
    (void)state;
    EACH_RESPONSE(r)
    for (size_t cut = 0; cut < strlen(r->bytes); cut++) {
        struct wire *wire = origin();

        send_get();
        wire_send(wire, r->bytes, cut);
        turn();
        assert_int_equal(told.lasts, 0);
        wire_say(wire, r->bytes + cut);
        if (r->until_close)
            shutdown(wire->fd, SHUT_WR);
        check_told(r);
        leave(wire);
    }
}

static void responses_byte_by_byte_are_told_the_same(void **state)
{
    (void)state;
    EACH_RESPONSE(r)
    {
        struct wire *wire = origin();

        send_get();
        for (const char *at = r->bytes; *at; at++) {
            wire_send(wire, at, 1);
            turn();
        }
        if (r->until_close)
            shutdown(wire->fd, SHUT_WR);
        check_told(r);
        leave(wire);
    }
}

static void a_response_truncated_anywhere_fails(void **state)
{
    (void)state;
    EACH_RESPONSE(r)
    for (size_t cut = 0; cut < strlen(r->bytes); cut++) {
        struct wire *wire = origin();
        bool whole = r->until_close && strstr(r->bytes, "\r\n\r\n") + 4 <= r->bytes + cut;

        send_get();
        wire_send(wire, r->bytes, cut);
        shutdown(wire->fd, SHUT_WR);
        turn_until(is_over, NULL);
        assert_int_equal(told.failures, !whole);
        assert_int_equal(told.lasts, whole);
        if (!whole)
            assert_int_equal(told.outcome, WEIR_OUTCOME_UPSTREAM_RESPONSE_TRUNCATED);
        assert_int_equal(weir_http_client_answered(client), cut > 0);
        assert_false(weir_http_client_reusable(client));
        leave(wire);
    }
}

static void a_reset_is_told_as_one(void **state)
{
    struct linger hard = {.l_onoff = 1};
    struct wire *wire = origin();

    (void)state;
    send_get();
    wire_until(wire, "\r\n\r\n");
    wire_say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
    turn();
    setsockopt(wire->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(wire->fd);
    wire->fd = dup(listening);
    turn_until(is_over, NULL);
    assert_int_equal(told.failures, 1);
    assert_int_equal(told.outcome, WEIR_OUTCOME_UPSTREAM_RESET);
    leave(wire);
}

static void what_is_no_response_fails(void **state)
{
    static const char *const texts[] = {
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (size_t cut = 0; cut < strlen(texts[i]); cut++) {
            struct wire *wire = origin();

            send_get();
            wire_send(wire, texts[i], cut);
            turn();
            wire_say(wire, texts[i] + cut);
            turn_until(is_over, NULL);
            assert_int_equal(told.failures, 1);
            assert_int_equal(told.lasts, 0);
            assert_int_equal(told.outcome, WEIR_OUTCOME_UPSTREAM_RESPONSE_BAD);
            leave(wire);
        }
}

static void a_connection_serves_one_request_after_the_other(void **state)
{
    struct wire *wire = origin();

    (void)state;
    for (int i = 0; i < 5; i++) {
        const struct response *r = &responses[i % 2 ? 0 : 6];

        memset(&told, 0, sizeof told);
        send_get();
        wire_until(wire, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        wire_clear(wire);
        wire_say(wire, r->bytes);
        check_told(r);
    }
    leave(wire);
}

static void a_second_request_at_a_time_is_refused(void **state)
{
    weir_http_client_request request = request_of(WEIR_HTTP_GET);
    struct wire *wire = origin();
    weir_error *error;

    (void)state;
    send_get();
    error = weir_http_client_send(client, &request, WEIR_SLICE("x"), weir_slice_of(NULL, 0), true,
                                  &events, NULL);
    assert_int_equal(weir_error_code(error), WEIR_EBUSY);
    weir_error_unref(error);
    leave(wire);
}

static void bytes_that_nobody_asked_for_end_the_connection(void **state)
{
    struct wire *wire = origin();

    (void)state;
    send_get();
    wire_say(wire, responses[0].bytes);
    check_told(&responses[0]);
    wire_say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    wire_until_end(wire);
    assert_false(weir_http_client_reusable(client));
    leave(wire);
}

static void bytes_behind_a_response_make_the_connection_unusable(void **state)
{
    struct wire *wire = origin();

    (void)state;
    send_get();
    wire_say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n");
    turn_until(is_over, NULL);
    assert_string_equal(told.text, "200 OK ok");
    assert_false(weir_http_client_reusable(client));
    leave(wire);
}

static void an_upgrade_hands_over_its_first_bytes(void **state)
{
    static const char head[] =
        "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    struct wire *wire = origin();

    (void)state;
    send_get();
    wire_send(wire, head, sizeof head - 10);
    turn();
    wire_say(wire, head + sizeof head - 10);
    turn_until(is_over, NULL);
    assert_string_equal(told.text, "101 Switching ");
    assert_string_equal(told.rest, "");
    leave(wire);
    wire = origin();
    send_get();
    wire_say(wire, "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhi");
    turn_until(is_over, NULL);
    assert_string_equal(told.rest, "hi");
    assert_false(weir_http_client_reusable(client));
    leave(wire);
}

static void a_response_to_head_has_no_body(void **state)
{
    weir_http_client_request request = request_of(WEIR_HTTP_HEAD);
    struct wire *wire = origin();

    (void)state;
    assert_done(weir_http_client_send(client, &request, WEIR_SLICE("HEAD / HTTP/1.1\r\n\r\n"),
                                      weir_slice_of(NULL, 0), true, &events, NULL));
    wire_say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    turn_until(is_over, NULL);
    assert_string_equal(told.text, "200 OK ");
    assert_true(weir_http_client_reusable(client));
    leave(wire);
}

static void a_body_is_sent_as_announced(void **state)
{
    weir_http_client_request request = request_of(WEIR_HTTP_POST);
    struct wire *wire = origin();
    weir_error *error;

    (void)state;
    request.framing = WEIR_HTTP_CHUNKED;
    assert_done(weir_http_client_send(client, &request, WEIR_SLICE("HEAD\r\n\r\n"),
                                      WEIR_SLICE("abc"), false, &events, NULL));
    assert_done(weir_http_client_send_body(client, WEIR_SLICE("defg"), false));
    assert_done(weir_http_client_send_body(client, weir_slice_of(NULL, 0), true));
    wire_until(wire, "HEAD\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
    wire_say(wire, responses[0].bytes);
    check_told(&responses[0]);

    memset(&told, 0, sizeof told);
    request.framing = WEIR_HTTP_LENGTH;
    request.content_length = 5;
    assert_done(weir_http_client_send(client, &request, WEIR_SLICE("HEAD\r\n\r\n"),
                                      WEIR_SLICE("abc"), false, &events, NULL));
    error = weir_http_client_send_body(client, WEIR_SLICE("def"), true);
    assert_int_equal(weir_error_code(error), WEIR_EINVAL);
    weir_error_unref(error);
    error = weir_http_client_send_body(client, WEIR_SLICE("d"), true);
    assert_int_equal(weir_error_code(error), WEIR_EINVAL);
    weir_error_unref(error);
    assert_done(weir_http_client_send_body(client, WEIR_SLICE("de"), true));
    wire_until(wire, "HEAD\r\n\r\nabcde");
    wire_say(wire, responses[0].bytes);
    check_told(&responses[0]);
    leave(wire);
}

static void an_answer_before_the_end_of_its_request_ends_the_connection(void **state)
{
    weir_http_client_request request = request_of(WEIR_HTTP_POST);
    struct wire *wire = origin();

    (void)state;
    request.framing = WEIR_HTTP_CHUNKED;
    assert_done(weir_http_client_send(client, &request, WEIR_SLICE("HEAD\r\n\r\n"),
                                      WEIR_SLICE("abc"), false, &events, NULL));
    wire_say(wire, responses[0].bytes);
    turn_until(is_over, NULL);
    assert_string_equal(told.text, "200 OK hello");
    assert_false(weir_http_client_reusable(client));
    leave(wire);
}

static void an_origin_that_does_not_read_pauses_and_unpauses(void **state)
{
    static char block[1024 * 1024];
    weir_http_client_request request = request_of(WEIR_HTTP_POST);
    struct wire *wire = origin();

    (void)state;
    request.framing = WEIR_HTTP_CHUNKED;
    assert_done(weir_http_client_send(client, &request, WEIR_SLICE("HEAD\r\n\r\n"),
                                      weir_slice_of(NULL, 0), false, &events, NULL));
    while (!told.pauses)
        assert_done(weir_http_client_send_body(client, weir_slice_of(block, sizeof block), false));
    while (!told.unpauses) {
        turn();
        wire_take(wire);
    }
    leave(wire);
    assert_int_equal(told.failures, 1);
}

static void a_paused_response_waits_and_its_end_unpauses(void **state)
{
    struct wire *wire = origin();

    (void)state;
    send_get();
    wire_say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
    while (!told.heads)
        turn();
    weir_http_client_pause(client);
    wire_say(wire, "llo");
    for (int i = 0; i < 20; i++)
        turn();
    assert_int_equal(told.lasts, 0);
    weir_http_client_unpause(client);
    check_told(&responses[0]);
    weir_http_client_pause(client); /* nothing to pause: its end is still seen */
    shutdown(wire->fd, SHUT_WR);
    wire_until_end(wire);
    leave(wire);
}

static void detached_in_its_own_event_nothing_more_is_told(void **state)
{
    (void)state;
    EACH_RESPONSE(r)
    {
        struct wire *wire = origin();

        told.detach = true;
        send_get();
        wire_say(wire, r->bytes);
        while (!told.heads)
            turn();
        turn();
        assert_int_equal(told.failures, 0);
        if (told.lasts == 0)
            assert_false(weir_http_client_reusable(client));
        leave(wire);
        assert_int_equal(told.failures, 0);
    }
}

static void an_origin_that_is_silent_times_out(void **state)
{
    weir_http_client_request request = request_of(WEIR_HTTP_GET);
    struct wire *wire = origin();

    (void)state;
    request.response_timeout = WEIR_MS(20);
    assert_done(weir_http_client_send(client, &request, WEIR_SLICE("GET / HTTP/1.1\r\n\r\n"),
                                      weir_slice_of(NULL, 0), true, &events, NULL));
    turn_until(is_over, NULL);
    assert_int_equal(told.outcome, WEIR_OUTCOME_UPSTREAM_RESPONSE_TIMEOUT);
    leave(wire);
    wire = origin();
    assert_done(weir_http_client_send(client, &request, WEIR_SLICE("GET / HTTP/1.1\r\n\r\n"),
                                      weir_slice_of(NULL, 0), true, &events, NULL));
    wire_say(wire, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
    turn_until(is_over, NULL);
    assert_int_equal(told.heads, 1);
    assert_int_equal(told.outcome, WEIR_OUTCOME_UPSTREAM_RESPONSE_TIMEOUT);
    leave(wire);
}

static int setup(void **state)
{
    int result = wire_setup(state);

    listening = wire_listen(address);
    return result;
}

static int teardown(void **state)
{
    close(listening);
    return wire_teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(responses_cut_anywhere_are_told_the_same),
        TEST(responses_byte_by_byte_are_told_the_same),
        TEST(a_response_truncated_anywhere_fails),
        TEST(a_reset_is_told_as_one),
        TEST(what_is_no_response_fails),
        TEST(a_connection_serves_one_request_after_the_other),
        TEST(a_second_request_at_a_time_is_refused),
        TEST(bytes_that_nobody_asked_for_end_the_connection),
        TEST(bytes_behind_a_response_make_the_connection_unusable),
        TEST(an_upgrade_hands_over_its_first_bytes),
        TEST(a_response_to_head_has_no_body),
        TEST(a_body_is_sent_as_announced),
        TEST(an_answer_before_the_end_of_its_request_ends_the_connection),
        TEST(an_origin_that_does_not_read_pauses_and_unpauses),
        TEST(a_paused_response_waits_and_its_end_unpauses),
        TEST(detached_in_its_own_event_nothing_more_is_told),
        TEST(an_origin_that_is_silent_times_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
