/* SPDX-License-Identifier: Apache-2.0 */
/* TLS with a peer that takes its time, leaves, keeps silent, says too much, or changes its keys. */
#include "config.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/loop/loop.h"
#include "core/net/tls_engine.h"
#include "tests/unit/net/tls_test.h"

static weir_error *serve_with(weir_duration handshake, weir_duration shutdown,
                              const weir_protocol *protocol, const void *config, weir_server **ret)
{
    weir_tls_certificate pair = pair_of(&ec);
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .certificates = &pair,
                                .certificate_count = 1, .shutdown_timeout = shutdown};
    weir_server_options server = {WEIR_SIZED(weir_server_options), .handshake_timeout = handshake};
    weir_error *error;

    CHECK_OK(weir_tls_server_context_new(&options, &server.tls));
    error = weir_serve(weir_loop_current(), "127.0.0.1:0", &server, protocol, config, ret);
    weir_tls_context_unref(server.tls);
    return error;
}

/* Handshakes */

static weir_error *half_a_hello(bool leave, const char *wanted)
{
    struct record record = {0};
    weir_server *server;
    struct raw_tls raw;
    char log[4096], byte;

    capture_log_begin();
    CHECK_OK(serve_with(leave ? WEIR_S(60) : WEIR_MS(50), WEIR_S(1), &recording, &record, &server));
    CHECK(raw_tls_begin(&raw, weir_server_name(server), 0));
    CHECK(!raw_tls_send(&raw, 100));
    UNTIL(weir_server_connections(server) == 1);
    if (leave)
        close(raw.fd);
    else
        UNTIL(receive_some(raw.fd, &byte, 1) == 0);
    UNTIL(weir_server_connections(server) == 0);
    raw.fd = leave ? -1 : raw.fd;
    raw_tls_end(&raw);
    CHECK_OK(end_server(server));
    capture_log_end(log, sizeof(log));
    CHECK(strstr(log, wanted));
    CHECK_EVENTS(&record, "");
    return NULL;
}

static weir_error *T70_half_a_hello_is_given_up_at_the_deadline(void *arg)
{
    (void)arg;
    return half_a_hello(false, "TLS handshake: not done after 50 ms");
}
IN_LOOP(T70_half_a_hello_is_given_up_at_the_deadline)

static weir_error *T70_peer_that_leaves_in_the_handshake_is_no_connection(void *arg)
{
    (void)arg;
    return half_a_hello(true, "TLS handshake: the peer left");
}
IN_LOOP(T70_peer_that_leaves_in_the_handshake_is_no_connection)

static weir_error *T70_hello_of_single_bytes_is_a_hello(void *arg)
{
    struct record record = {0};
    weir_server *server;
    struct raw_tls raw;
    size_t steps = 0;

    (void)arg;
    CHECK_OK(serve_with(WEIR_S(10), WEIR_S(1), &recording, &record, &server));
    CHECK(raw_tls_begin(&raw, weir_server_name(server), 0));
    while (!raw_tls_send(&raw, 1)) {
        CHECK_OK(weir_sleep(WEIR_NS(0)));
        steps++;
    }
    CHECK(steps > 100);
    UNTIL(raw_tls_handshake(&raw));
    UNTIL(record.made);
    SSL_shutdown(raw.ssl);
    UNTIL(raw_tls_send(&raw, 0));
    UNTIL(record.lost);
    CHECK_EVENTS(&record, "made eof lost ");
    raw_tls_end(&raw);
    return end_server(server);
}
IN_LOOP(T70_hello_of_single_bytes_is_a_hello)

static weir_error *T76_alert_reaches_a_peer_that_goes_on_sending(void *arg)
{
    struct record record = {0};
    weir_server *server;
    uint8_t answer[64];
    ssize_t n = 0;
    char log[4096], more[32768];
    int raw;

    (void)arg;
    capture_log_begin();
    CHECK_OK(serve_with(WEIR_S(10), WEIR_S(1), &recording, &record, &server));
    raw = raw_connect(weir_server_name(server));
    CHECK(send(raw, "\x16\x03\x01\x00\x05hello", 10, MSG_NOSIGNAL) == 10);
    while (n < 7) {
        ssize_t more_of_it = -1;

        UNTIL((more_of_it = receive_some(raw, answer + n, sizeof(answer) - (size_t)n)) != -1);
        CHECK(more_of_it > 0);
        n += more_of_it;
    }
    CHECK(n == 7 && answer[0] == 21 && answer[5] == 2); /* an alert, fatal */
    memset(more, 'x', sizeof(more));
    CHECK(send(raw, more, sizeof(more), MSG_NOSIGNAL | MSG_DONTWAIT) > 0);
    UNTIL((n = receive_some(raw, answer, sizeof(answer))) != -1);
    CHECK(n == 0); /* the end, not a reset */
    close(raw);
    UNTIL(weir_server_connections(server) == 0);
    CHECK_OK(end_server(server));
    capture_log_end(log, sizeof(log));
    CHECK(strstr(log, "unexpected message"));
    CHECK_EVENTS(&record, "");
    return NULL;
}
IN_LOOP(T76_alert_reaches_a_peer_that_goes_on_sending)

static weir_error *handshakes_of_an_address_are_limited(void *arg)
{
    weir_tls_certificate pair = pair_of(&ec);
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .certificates = &pair,
                                .certificate_count = 1};
    weir_server_options with = {WEIR_SIZED(weir_server_options), .max_handshakes = 3,
                                .max_handshakes_per_address = 2};
    struct raw_tls raws[3];
    weir_server *server;
    char log[4096], byte;

    (void)arg;
    capture_log_begin();
    CHECK_OK(weir_tls_server_context_new(&options, &with.tls));
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", &with, &echo_protocol, NULL, &server));
    for (size_t i = 0; i < 3; i++)
        CHECK(raw_tls_begin(&raws[i], weir_server_name(server), 0));
    UNTIL(weir_server_connections(server) == 2);
    UNTIL(receive_some(raws[2].fd, &byte, 1) == 0);
    raw_tls_end(&raws[2]);
    UNTIL(raw_tls_handshake(&raws[0]));
    CHECK(SSL_write(raws[0].ssl, "x", 1) == 1);
    UNTIL(raw_tls_send(&raws[0], 0));
    UNTIL((raw_tls_receive(&raws[0]), SSL_read(raws[0].ssl, &byte, 1) == 1));
    /* One is done: there is room for another. */
    CHECK(raw_tls_begin(&raws[2], weir_server_name(server), 0));
    UNTIL(raw_tls_handshake(&raws[2]));
    UNTIL(raw_tls_handshake(&raws[1]));
    for (size_t i = 0; i < 3; i++)
        raw_tls_end(&raws[i]);
    UNTIL(weir_server_connections(server) == 0);
    CHECK_OK(end_server(server));
    weir_tls_context_unref(with.tls);
    capture_log_end(log, sizeof(log));
    CHECK(strstr(log, "2 TLS handshakes of this address are under way"));
    return NULL;
}
IN_LOOP(handshakes_of_an_address_are_limited)

static weir_error *accepting_rests_at_the_limit_of_handshakes(void *arg)
{
    weir_tls_certificate pair = pair_of(&ec);
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .certificates = &pair,
                                .certificate_count = 1};
    weir_server_options with = {WEIR_SIZED(weir_server_options), .max_handshakes = 1};
    struct raw_tls one, two;
    weir_server *server;

    (void)arg;
    CHECK_OK(weir_tls_server_context_new(&options, &with.tls));
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", &with, &echo_protocol, NULL, &server));
    CHECK(raw_tls_begin(&one, weir_server_name(server), 0));
    UNTIL(weir_server_connections(server) == 1);
    CHECK(raw_tls_begin(&two, weir_server_name(server), 0));
    SETTLE();
    CHECK(weir_server_connections(server) == 1);
    UNTIL(raw_tls_handshake(&one));
    UNTIL(raw_tls_handshake(&two));
    CHECK(weir_server_connections(server) == 2);
    raw_tls_end(&one);
    raw_tls_end(&two);
    UNTIL(weir_server_connections(server) == 0);
    CHECK_OK(end_server(server));
    weir_tls_context_unref(with.tls);
    return NULL;
}
IN_LOOP(accepting_rests_at_the_limit_of_handshakes)

/* Ends */

#define BIG ((size_t)3 * 1024 * 1024)

static weir_error *write_much_and_close(weir_transport *t, void *state, const void *config)
{
    char *big = malloc(BIG);
    weir_error *error;

    (void)state;
    (void)config;
    if (!big)
        return weir_raise(WEIR_ENOMEM, "test");
    fill_pattern(big, BIG, 0);
    error = weir_transport_write(t, weir_slice_of(big, BIG));
    free(big);
    weir_transport_close(t);
    return error;
}

static const weir_protocol much = {WEIR_SIZED(weir_protocol), .name = "much",
                                   .connection_made = write_much_and_close};

static weir_error *T72_what_is_queued_arrives_before_the_end(void *arg)
{
    static char bytes[16384];
    weir_server *server;
    struct raw_tls raw;
    size_t total = 0;
    int n;

    (void)arg;
    CHECK_OK(serve_with(WEIR_S(10), WEIR_S(10), &much, NULL, &server));
    CHECK(raw_tls_begin(&raw, weir_server_name(server), 0));
    UNTIL(raw_tls_handshake(&raw));
    SETTLE();
    CHECK(weir_server_connections(server) == 1);
    while (!(SSL_get_shutdown(raw.ssl) & SSL_RECEIVED_SHUTDOWN)) {
        UNTIL(raw_tls_receive(&raw) || raw.ended || raw.error);
        while ((n = SSL_read(raw.ssl, bytes, sizeof(bytes))) > 0) {
            CHECK(is_pattern(bytes, (size_t)n, total));
            total += (size_t)n;
        }
        CHECK(!raw.ended && !raw.error);
    }
    CHECK(total == BIG);
    UNTIL(raw_tls_receive(&raw) || raw.ended || raw.error);
    CHECK(raw.ended);
    /* It waits for our end. */
    SETTLE();
    CHECK(weir_server_connections(server) == 1);
    raw_tls_end(&raw);
    UNTIL(weir_server_connections(server) == 0);
    return end_server(server);
}
IN_LOOP(T72_what_is_queued_arrives_before_the_end)

static weir_error *T72_what_follows_close_notify_is_ignored(void *arg)
{
    struct record record = {0};
    weir_server *server;
    struct raw_tls raw;
    char bytes[512];

    (void)arg;
    CHECK_OK(serve_with(WEIR_S(10), WEIR_S(10), &recording, &record, &server));
    CHECK(raw_tls_begin(&raw, weir_server_name(server), 0));
    UNTIL(raw_tls_handshake(&raw));
    CHECK(SSL_write(raw.ssl, "x", 1) == 1);
    SSL_shutdown(raw.ssl);
    CHECK(BIO_write(raw.out, "trailing data that is no record at all", 38) == 38);
    UNTIL(raw_tls_send(&raw, 0));
    UNTIL(record.lost);
    CHECK_EVENTS(&record, "made data(x) eof lost ");
    while (!raw.ended && !raw.error)
        UNTIL(raw_tls_receive(&raw) || raw.ended || raw.error);
    CHECK(SSL_read(raw.ssl, bytes, sizeof(bytes)) == 0);
    CHECK(SSL_get_shutdown(raw.ssl) & SSL_RECEIVED_SHUTDOWN);
    raw_tls_end(&raw);
    return end_server(server);
}
IN_LOOP(T72_what_follows_close_notify_is_ignored)

static weir_error *T73_silent_peer_is_left_at_the_deadline(void *arg)
{
    struct record record = {0};
    weir_loop *loop = weir_loop_current();
    weir_server *server;
    struct raw_tls raw;

    (void)arg;
    CHECK_OK(serve_with(WEIR_S(10), WEIR_MS(40), &recording, &record, &server));
    CHECK(weir__loop_next_deadline(loop) == INT64_MAX);
    CHECK(raw_tls_begin(&raw, weir_server_name(server), 0));
    UNTIL(raw_tls_handshake(&raw));
    UNTIL(record.made);
    weir_transport_close(record.transport);
    UNTIL(record.lost);
    CHECK_EVENTS(&record, "made lost(ETIMEDOUT) ");
    CHECK(weir__loop_next_deadline(loop) == INT64_MAX);
    raw_tls_end(&raw);
    return end_server(server);
}
IN_LOOP(T73_silent_peer_is_left_at_the_deadline)

static weir_error *T73_end_of_the_peer_ends_the_wait(void *arg)
{
    struct record record = {0};
    weir_loop *loop = weir_loop_current();
    weir_server *server;
    struct raw_tls raw;

    (void)arg;
    CHECK_OK(serve_with(WEIR_S(10), WEIR_S(60), &recording, &record, &server));
    CHECK(raw_tls_begin(&raw, weir_server_name(server), 0));
    UNTIL(raw_tls_handshake(&raw));
    UNTIL(record.made);
    weir_transport_close(record.transport);
    while (!raw.ended)
        UNTIL(raw_tls_receive(&raw) || raw.ended);
    /* What it still sends is thrown away. */
    CHECK(SSL_write(raw.ssl, "late", 4) == 4);
    UNTIL(raw_tls_send(&raw, 0));
    SETTLE();
    CHECK(!record.lost);
    raw_tls_end(&raw);
    UNTIL(record.lost);
    CHECK_EVENTS(&record, "made lost ");
    CHECK(weir__loop_next_deadline(loop) == INT64_MAX);
    return end_server(server);
}
IN_LOOP(T73_end_of_the_peer_ends_the_wait)

/* Changes under way */

static weir_error *T75_keys_change_under_load(void *arg)
{
    static char block[64000], got[64000];
    struct both both;
    weir_stream *s;

    (void)arg;
    fill_pattern(block, sizeof(block), 0);
    WEIR_TRY(both_begin(&both, &ec, &echo_protocol, NULL));
    CHECK_OK(connect_tls(both.server, both.client_side, NULL, &s));
    for (int i = 0; i < 20; i++) {
        SSL *ssl = weir_stream_transport(s)->tls->ssl;

        CHECK(SSL_key_update(ssl, i % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED));
        CHECK_OK(weir_stream_write(s, block, sizeof(block)));
        CHECK_OK(weir_stream_read_exactly(s, got, sizeof(got)));
        CHECK(memcmp(block, got, sizeof(got)) == 0);
    }
    CHECK_OK(weir_stream_close(s));
    return both_end(&both);
}
IN_LOOP(T75_keys_change_under_load)

static weir_error *T75_renegotiation_is_refused(void *arg)
{
    struct record record = {0};
    weir_server *server;
    struct raw_tls raw;
    char byte;

    (void)arg;
    CHECK_OK(serve_with(WEIR_S(10), WEIR_S(1), &recording, &record, &server));
    CHECK(raw_tls_begin(&raw, weir_server_name(server), TLS1_2_VERSION));
    UNTIL(raw_tls_handshake(&raw));
    UNTIL(record.made);
    CHECK(SSL_renegotiate(raw.ssl) == 1);
    SSL_do_handshake(raw.ssl);
    UNTIL(raw_tls_send(&raw, 0));
    /* OpenSSL takes the warning for an error. */
    UNTIL(raw_tls_receive(&raw) && SSL_read(raw.ssl, &byte, 1) <= 0 &&
          SSL_get_error(raw.ssl, -1) == SSL_ERROR_SSL);
    CHECK(ERR_GET_REASON(ERR_get_error()) == SSL_R_NO_RENEGOTIATION);
    raw_tls_end(&raw);
    UNTIL(record.lost);
    CHECK(strncmp(record.events, "made lost", 9) == 0);
    return end_server(server);
}
IN_LOOP(T75_renegotiation_is_refused)

static weir_error *T75_tls_within_tls_is_refused_in_words(void *arg)
{
    struct both both;
    weir_stream *s;

    (void)arg;
    WEIR_TRY(both_begin(&both, &ec, &echo_protocol, NULL));
    CHECK_OK(connect_tls(both.server, both.client_side, NULL, &s));
    CHECK_CODE(weir_stream_start_tls(s, both.client_side, "a.test"), WEIR_EINVALSTATE);
    CHECK_OK(weir_stream_close(s));
    return both_end(&both);
}
IN_LOOP(T75_tls_within_tls_is_refused_in_words)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T70_half_a_hello_is_given_up_at_the_deadline),
        IN_LOOP_TEST(T70_peer_that_leaves_in_the_handshake_is_no_connection),
        IN_LOOP_TEST(T70_hello_of_single_bytes_is_a_hello),
        IN_LOOP_TEST(T76_alert_reaches_a_peer_that_goes_on_sending),
        IN_LOOP_TEST(handshakes_of_an_address_are_limited),
        IN_LOOP_TEST(accepting_rests_at_the_limit_of_handshakes),
        IN_LOOP_TEST(T72_what_is_queued_arrives_before_the_end),
        IN_LOOP_TEST(T72_what_follows_close_notify_is_ignored),
        IN_LOOP_TEST(T73_silent_peer_is_left_at_the_deadline),
        IN_LOOP_TEST(T73_end_of_the_peer_ends_the_wait),
        IN_LOOP_TEST(T75_keys_change_under_load),
        IN_LOOP_TEST(T75_renegotiation_is_refused),
        IN_LOOP_TEST(T75_tls_within_tls_is_refused_in_words),
    };

    return cmocka_run_group_tests_name("tls_end", tests, tls_test_begin, tls_test_end);
}
