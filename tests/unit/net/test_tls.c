/* SPDX-License-Identifier: Apache-2.0 */
/* TLS: what is agreed on, what is refused in which words, and how connections end. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <weir/scope.h>
#include <weir/tls.h>

#include "core/base/chunk.h"
#include "core/net/stream.h"
#include "core/net/tls_engine.h"
#include "tests/unit/net/tls_test.h"

static weir_error *T71_echo_over_tls_ends_with_close_notify_both_ways(void *arg)
{
    struct both both;
    weir_tls_info info;
    weir_stream *s;
    char text[8];
    size_t n;

    (void)arg;
    WEIR_TRY(both_begin(&both, &ec, &echo_protocol, NULL));
    CHECK_OK(connect_tls(both.server, both.client_side, NULL, &s));
    CHECK(weir_transport_tls_info(weir_stream_transport(s), &info));
    CHECK(strcmp(info.version, "TLSv1.3") == 0 && info.cipher && !info.alpn);
    CHECK_OK(weir_stream_write(s, "ping", 4));
    CHECK_OK(weir_stream_read_exactly(s, text, 4));
    CHECK(memcmp(text, "ping", 4) == 0);
    /* Half-closed: the answer to the end still comes. */
    CHECK_OK(weir_stream_write_eof(s));
    CHECK_OK(weir_stream_read_exactly(s, text, 3));
    CHECK(memcmp(text, "bye", 3) == 0);
    CHECK_OK(weir_stream_read(s, text, sizeof(text), &n));
    CHECK(n == 0);
    CHECK_OK(weir_stream_close(s));
    return both_end(&both);
}
IN_LOOP(T71_echo_over_tls_ends_with_close_notify_both_ways)

static weir_error *B6_debug_mode_tells_how_long_a_handshake_took(void *arg)
{
    weir_logger *logger = weir_logger_get("weir.tls");
    char log[8192];
    struct both both;
    weir_stream *s;

    (void)arg;
    capture_log_begin();
    weir_logger_set_level(logger, WEIR_LOG_DEBUG);
    weir_loop_set_debug(weir_loop_current(), true);
    WEIR_TRY(both_begin(&both, &ec, &echo_protocol, NULL));
    CHECK_OK(connect_tls(both.server, both.client_side, NULL, &s));
    weir_loop_set_debug(weir_loop_current(), false);
    weir_logger_set_level(logger, 0);
    CHECK_OK(weir_stream_close(s));
    CHECK_OK(both_end(&both));
    capture_log_end(log, sizeof(log));
    CHECK(strstr(log, "weir.tls") && strstr(log, "TLS handshake took ") &&
          strstr(log, " ms: TLSv1.3, "));
    return NULL;
}
IN_LOOP(B6_debug_mode_tells_how_long_a_handshake_took)

static weir_error *connection_made_comes_after_the_handshake(void *arg)
{
    struct record record = {0};
    struct both both;
    weir_tls_info info;
    weir_stream *s;
    int raw;

    (void)arg;
    WEIR_TRY(both_begin(&both, &ec, &recording, &record));
    raw = raw_connect(weir_server_name(both.server));
    UNTIL(weir_server_connections(both.server) == 1);
    SETTLE();
    CHECK(!record.made);
    close(raw);
    UNTIL(weir_server_connections(both.server) == 0);
    CHECK_EVENTS(&record, "");
    CHECK_OK(connect_tls(both.server, both.client_side, "a.test", &s));
    UNTIL(record.made);
    CHECK(weir_transport_tls_info(record.transport, &info));
    CHECK(strcmp(info.server_name, "a.test") == 0);
    CHECK_OK(weir_stream_write(s, "x", 1));
    UNTIL(record.received == 1);
    CHECK_OK(weir_stream_close(s));
    UNTIL(record.lost);
    CHECK_EVENTS(&record, "made data(x) eof lost ");
    return both_end(&both);
}
IN_LOOP(connection_made_comes_after_the_handshake)

static weir_error *what_was_agreed_on_is_known_as_long_as_the_transport(void *arg)
{
    struct record record = {0};
    weir_tls_info before, after;
    weir_transport *t;
    struct both both;
    weir_stream *s;

    (void)arg;
    WEIR_TRY(both_begin(&both, &ec, &recording, &record));
    CHECK_OK(connect_tls(both.server, both.client_side, "a.test", &s));
    UNTIL(record.made);
    t = weir_transport_ref(record.transport);
    CHECK(weir_transport_tls_info(t, &before));
    CHECK_OK(weir_stream_close(s));
    UNTIL(record.lost);
    CHECK(weir_transport_tls_info(t, &after));
    CHECK(strcmp(before.server_name, "a.test") == 0 && strcmp(after.server_name, "a.test") == 0);
    CHECK(strcmp(after.version, "TLSv1.3") == 0 && strcmp(after.cipher, before.cipher) == 0);
    CHECK(!after.alpn && !after.resumed);
    weir_transport_unref(t);
    return both_end(&both);
}
IN_LOOP(what_was_agreed_on_is_known_as_long_as_the_transport)

static weir_error *T71_an_end_without_close_notify_is_truncation(void *arg)
{
    struct record record = {0};
    struct both both;
    weir_stream *s;

    (void)arg;
    WEIR_TRY(both_begin(&both, &ec, &recording, &record));
    CHECK_OK(connect_tls(both.server, both.client_side, NULL, &s));
    CHECK_OK(weir_stream_write(s, "x", 1));
    UNTIL(record.received == 1);
    CHECK(shutdown(weir_stream_transport(s)->file.fd, SHUT_WR) == 0);
    UNTIL(record.lost);
    CHECK_EVENTS(&record, "made data(x) lost(WEIR_ETLSTRUNCATED) ");
    weir_stream_abort(s);
    return both_end(&both);
}
IN_LOOP(T71_an_end_without_close_notify_is_truncation)

/* Refusals */

static weir_error *refused(const struct test_certificate *certificate, const char *name,
                           const char *wanted)
{
    struct both both;
    weir_error *error;
    weir_stream *s;
    char text[512], log[4096];

    capture_log_begin();
    WEIR_TRY(both_begin(&both, certificate, &echo_protocol, NULL));
    error = connect_tls(both.server, both.client_side, name, &s);
    CHECK(error);
    CHECK(weir_error_is(error, WEIR_ETLS));
    weir_error_message(error, text, sizeof(text));
    weir_error_unref(error);
    UNTIL(weir_server_connections(both.server) == 0);
    WEIR_TRY(both_end(&both));
    capture_log_end(log, sizeof(log));
    if (!strstr(text, wanted) || strncmp(text, "connect to 127.0.0.1:", 21) != 0)
        return check_failed(WEIR_HERE, text);
    CHECK(strstr(log, "INFO") && strstr(log, "TLS handshake failed with 127.0.0.1:"));
    return NULL;
}

static weir_error *T76_unverifiable_certificates_are_refused_in_words(void *arg)
{
    (void)arg;
    CHECK_OK(refused(&stranger, "a.test", "certificate verify failed: self-signed certificate"));
    CHECK_OK(refused(&expired, "a.test", "certificate verify failed: certificate has expired"));
    CHECK_OK(refused(&ec, "c.test", "certificate verify failed: hostname mismatch"));
    CHECK_OK(refused(&other, NULL, "certificate verify failed: IP address mismatch"));
    return NULL;
}
IN_LOOP(T76_unverifiable_certificates_are_refused_in_words)

static weir_error *T70_garbage_instead_of_a_hello_is_refused(void *arg)
{
    struct record record = {0};
    struct both both;
    char log[4096], byte[64];
    int raw;

    (void)arg;
    capture_log_begin();
    WEIR_TRY(both_begin(&both, &ec, &recording, &record));
    raw = raw_connect(weir_server_name(both.server));
    CHECK(send_all(raw, "GET / HTTP/1.1\r\n\r\n"));
    UNTIL(receive_some(raw, byte, sizeof(byte)) != -1);
    UNTIL(weir_server_connections(both.server) == 0);
    close(raw);
    WEIR_TRY(both_end(&both));
    capture_log_end(log, sizeof(log));
    CHECK(strstr(log, "http request"));
    CHECK_EVENTS(&record, "");
    return NULL;
}
IN_LOOP(T70_garbage_instead_of_a_hello_is_refused)

static weir_error *T70_silent_client_is_given_up_after_the_handshake_timeout(void *arg)
{
    weir_server_options options = {WEIR_SIZED(weir_server_options),
                                   .handshake_timeout = WEIR_MS(30)};
    struct record record = {0};
    weir_server *server;
    char log[2048], byte;
    int raw;

    (void)arg;
    capture_log_begin();
    CHECK_OK(server_context(&ec, &options.tls));
    CHECK_OK(
        weir_serve(weir_loop_current(), "127.0.0.1:0", &options, &recording, &record, &server));
    raw = raw_connect(weir_server_name(server));
    UNTIL(receive_some(raw, &byte, 1) == 0);
    close(raw);
    CHECK_OK(end_server(server));
    weir_tls_context_unref(options.tls);
    capture_log_end(log, sizeof(log));
    CHECK(strstr(log, "not done after 30 ms"));
    CHECK_EVENTS(&record, "");
    return NULL;
}
IN_LOOP(T70_silent_client_is_given_up_after_the_handshake_timeout)

/* Choosing */

static weir_error *agreed(weir_tls_context *server_side, const weir_tls_options *client_options,
                          const char *name, weir_tls_info *ret_info)
{
    weir_tls_context *client_side;
    weir_server *server;
    weir_stream *s;
    weir_error *error;

    CHECK_OK(weir_tls_client_context_new(client_options, &client_side));
    CHECK_OK(serve_tls(server_side, &echo_protocol, NULL, &server));
    error = connect_tls(server, client_side, name, &s);
    if (!error) {
        static char alpn[16];

        CHECK(weir_transport_tls_info(weir_stream_transport(s), ret_info));
        if (ret_info->alpn) {
            snprintf(alpn, sizeof(alpn), "%s", ret_info->alpn);
            ret_info->alpn = alpn;
        }
        CHECK_OK(weir_stream_close(s));
    }
    CHECK_OK(end_server(server));
    weir_tls_context_unref(client_side);
    return error;
}

static weir_error *shown(weir_tls_context *server_side, const char *name,
                         const struct test_certificate *wanted)
{
    weir_server *server;

    CHECK_OK(serve_tls(server_side, &echo_protocol, NULL, &server));
    CHECK_OK(peer_is(server, name, wanted));
    return end_server(server);
}

static weir_error *name_asked_for_chooses_the_certificate(void *arg)
{
    weir_tls_certificate pairs[] = {pair_of(&ec), pair_of(&other), pair_of(&wild)};
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .certificates = pairs,
                                .certificate_count = 3};
    weir_tls_context *context;

    (void)arg;
    CHECK_OK(weir_tls_server_context_new(&options, &context));
    CHECK_OK(shown(context, "b.test", &other));
    CHECK_OK(shown(context, "B.TEST", &other));
    CHECK_OK(shown(context, "x.wild.test", &wild));
    CHECK_OK(shown(context, "wild.test", &ec));
    CHECK_OK(shown(context, "y.x.wild.test", &ec));
    CHECK_OK(shown(context, "unknown.test", &ec));
    CHECK_OK(shown(context, NULL, &ec));
    weir_tls_context_unref(context);
    return NULL;
}
IN_LOOP(name_asked_for_chooses_the_certificate)

static weir_error *rsa_and_ecdsa_stand_side_by_side(void *arg)
{
    weir_tls_certificate pairs[] = {pair_of(&rsa), pair_of(&ec), pair_of(&other)};
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .certificates = pairs,
                                .certificate_count = 3};
    weir_tls_context *context;

    (void)arg;
    CHECK_OK(weir_tls_server_context_new(&options, &context));
    CHECK(context->identity_count == 2);
    CHECK(context->identities[0].key_types == (TLS_KEY_EC | TLS_KEY_OTHER));
    CHECK_OK(shown(context, "a.test", &ec));
    weir_tls_context_unref(context);
    return NULL;
}
IN_LOOP(rsa_and_ecdsa_stand_side_by_side)

static weir_error *alpn_goes_by_the_servers_preference(void *arg)
{
    const char *server_protocols[] = {"h2", "http/1.1", NULL};
    const char *client_protocols[] = {"http/1.1", "h2", NULL};
    const char *strange_protocols[] = {"smtp", NULL};
    weir_tls_certificate pair = pair_of(&ec);
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .certificates = &pair,
                                .certificate_count = 1, .alpn = server_protocols};
    weir_tls_options client = {WEIR_SIZED(weir_tls_options), .no_verify = true,
                               .alpn = client_protocols};
    weir_tls_context *context;
    weir_tls_info info;

    (void)arg;
    CHECK_OK(weir_tls_server_context_new(&options, &context));
    CHECK_OK(agreed(context, &client, "a.test", &info));
    CHECK(info.alpn && strcmp(info.alpn, "h2") == 0);
    client.alpn = strange_protocols;
    CHECK_CODE(agreed(context, &client, "a.test", &info), WEIR_ETLS);
    client.alpn = NULL;
    CHECK_OK(agreed(context, &client, "a.test", &info));
    CHECK(!info.alpn);
    weir_tls_context_unref(context);
    return NULL;
}
IN_LOOP(alpn_goes_by_the_servers_preference)

static weir_error *client_certificate_is_required_when_asked_for(void *arg)
{
    weir_tls_certificate pair = pair_of(&ec), mine = pair_of(&other);
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .certificates = &pair,
                                .certificate_count = 1,       .verify_client = true,
                                .ca_file = ca.certificate,    .profile = WEIR_TLS_MODERN};
    weir_tls_options with = {WEIR_SIZED(weir_tls_options), .certificates = &mine,
                             .certificate_count = 1, .ca_file = ca.certificate};
    weir_tls_context *server_side, *client_side;
    weir_server *server;
    weir_stream *s;
    char text[4];
    size_t n;

    (void)arg;
    CHECK_OK(weir_tls_server_context_new(&options, &server_side));
    CHECK_OK(serve_tls(server_side, &echo_protocol, NULL, &server));
    CHECK_OK(client_context(ca.certificate, &client_side));
    /* In TLS 1.3 a client is done before its certificate is judged. */
    CHECK_OK(connect_tls(server, client_side, NULL, &s));
    CHECK_CODE(weir_stream_read(s, text, sizeof(text), &n), WEIR_ETLS);
    weir_stream_abort(s);
    weir_tls_context_unref(client_side);
    CHECK_OK(weir_tls_client_context_new(&with, &client_side));
    CHECK_OK(connect_tls(server, client_side, NULL, &s));
    CHECK_OK(weir_stream_write(s, "ok", 2));
    CHECK_OK(weir_stream_read_exactly(s, text, 2));
    CHECK_OK(weir_stream_close(s));
    weir_tls_context_unref(client_side);
    weir_tls_context_unref(server_side);
    return end_server(server);
}
IN_LOOP(client_certificate_is_required_when_asked_for)

/* Volume */

struct reader {
    weir_stream *stream;
    size_t total, size;
};

static weir_error *reads_pattern(void *arg)
{
    struct reader *reader = arg;

    while (reader->total < reader->size) {
        weir_slice slice;

        WEIR_TRY(weir_stream_read_slice(reader->stream, &slice));
        EXPECT(slice.len > 0);
        EXPECT(is_pattern(slice.data, slice.len, reader->total));
        if (!slice.len)
            return NULL;
        reader->total += slice.len;
    }
    return NULL;
}

static weir_error *large_transfer_arrives_whole_with_back_pressure(void *arg)
{
    const size_t size = 12 * 1000 * 1000;
    char *big = malloc(size);
    struct reader reader = {.size = size};
    struct both both;
    weir_task *task;
    weir_stream *s;
    size_t idle;

    (void)arg;
    WEIR_TRY(both_begin(&both, &ec, &echo_protocol, NULL));
    CHECK_OK(connect_tls(both.server, both.client_side, NULL, &s));
    idle = s->transport->net->io->pool->live; /* what a ring holds, with io_uring */
    fill_pattern(big, size, 0);
    reader.stream = s;
    CHECK_OK(weir_spawn(reads_pattern, &reader, &task));
    for (size_t done = 0; done < size; done += 100000)
        CHECK_OK(weir_stream_write(s, big + done, 100000));
    CHECK_OK(weir_task_await(task));
    weir_task_unref(task);
    free(big);
    CHECK(reader.total == size);
    CHECK(s->transport->net->io->pool->live < idle + 64);
    CHECK_OK(weir_stream_close(s));
    return both_end(&both);
}
IN_LOOP(large_transfer_arrives_whole_with_back_pressure)

static weir_error *paused_reader_stops_the_peer(void *arg)
{
    static char block[100000];
    struct record record = {.no_text = true};
    struct both both;
    weir_stream *s;
    size_t sent = 0, idle;

    (void)arg;
    WEIR_TRY(both_begin(&both, &ec, &recording, &record));
    CHECK_OK(connect_tls(both.server, both.client_side, NULL, &s));
    UNTIL(record.made);
    idle = record.transport->net->io->pool->live;
    weir_transport_pause_reading(record.transport);
    for (;;) {
        WEIR_TIMEOUT(soon, WEIR_MS(30));
        weir_error *error = weir_stream_write(s, block, sizeof(block));

        if (error) {
            CHECK_CODE(error, WEIR_ETIMEDOUT);
            break;
        }
        sent += sizeof(block);
        CHECK(sent < 64u * 1024 * 1024);
    }
    CHECK(record.received == 0);
    CHECK(record.transport->net->io->pool->live < idle + 40);
    weir_transport_resume_reading(record.transport);
    UNTIL(record.received == sent);
    CHECK_OK(weir_stream_close(s));
    return both_end(&both);
}
IN_LOOP(paused_reader_stops_the_peer)

/* Upgrading */

static weir_error *starttls(weir_stream *stream, const void *config)
{
    char line[32];
    size_t n;

    WEIR_TRY(weir_stream_read_line(stream, line, sizeof(line), &n));
    WEIR_TRY(weir_stream_write(stream, "go\n", 3));
    WEIR_TRY(weir_stream_start_tls(stream, (weir_tls_context *)(uintptr_t)config, NULL));
    WEIR_TRY(weir_stream_read_line(stream, line, sizeof(line), &n));
    return weir_stream_printf(stream, "%s yourself\n", line);
}

static const weir_protocol starttls_protocol = {WEIR_SIZED(weir_protocol), .name = "starttls",
                                                .serve = starttls};

static weir_error *T74_stream_upgrades_to_tls(void *arg)
{
    weir_tls_context *server_side, *client_side;
    weir_server *server;
    weir_stream *s;
    char line[32];
    size_t n;

    (void)arg;
    CHECK_OK(server_context(&ec, &server_side));
    CHECK_OK(client_context(ca.certificate, &client_side));
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &starttls_protocol, server_side,
                        &server));
    CHECK_OK(weir_connect(weir_server_name(server), NULL, &s));
    CHECK_OK(weir_stream_write(s, "STARTTLS\n", 9));
    CHECK_OK(weir_stream_read_line(s, line, sizeof(line), &n));
    CHECK_OK(weir_stream_start_tls(s, client_side, "a.test"));
    CHECK_OK(weir_stream_printf(s, "hello\n"));
    CHECK_OK(weir_stream_read_line(s, line, sizeof(line), &n));
    CHECK(strcmp(line, "hello yourself") == 0);
    CHECK_OK(weir_stream_close(s));
    CHECK_OK(end_server(server));
    weir_tls_context_unref(server_side);
    weir_tls_context_unref(client_side);
    return NULL;
}
IN_LOOP(T74_stream_upgrades_to_tls)

static weir_error *T74_plaintext_injected_before_tls_is_a_protocol_error(void *arg)
{
    weir_tls_context *server_side;
    weir_server *server;
    char log[4096], byte[16];
    size_t got = 0;
    int raw;

    (void)arg;
    capture_log_begin();
    CHECK_OK(server_context(&ec, &server_side));
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &starttls_protocol, server_side,
                        &server));
    raw = raw_connect(weir_server_name(server));
    CHECK(send_all(raw, "STARTTLS\nMAIL FROM:<evil>\n"));
    UNTIL(receive_more(raw, byte, 3, &got) == 3);
    UNTIL(receive_some(raw, byte, sizeof(byte)) != -1);
    close(raw);
    CHECK_OK(end_server(server));
    weir_tls_context_unref(server_side);
    capture_log_end(log, sizeof(log));
    CHECK(strstr(log, "plaintext arrived before TLS started"));
    return NULL;
}
IN_LOOP(T74_plaintext_injected_before_tls_is_a_protocol_error)

/* Contexts */

static void bad_files_are_named_with_what_is_wrong(void **state)
{
    weir_tls_certificate pair = {.certificate = "/nowhere/cert.pem", .key = "/nowhere/key.pem"};
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .certificates = &pair,
                                .certificate_count = 1};
    weir_tls_context *context = NULL;

    (void)state;
    check_refusal(weir_tls_server_context_new(&options, &context),
                  "cannot read the certificate /nowhere/cert.pem: no such file or directory");
    pair.certificate = "/dev/null";
    check_refusal(weir_tls_server_context_new(&options, &context),
                  "the certificate /dev/null holds no certificate in PEM form");
    pair.certificate = ec.certificate;
    check_refusal(weir_tls_server_context_new(&options, &context),
                  "cannot read the private key /nowhere/key.pem: no such file or directory");
    pair.key = rsa.private_key;
    check_refusal(weir_tls_server_context_new(&options, &context),
                  "the private key PEM text does not belong to the certificate PEM text");
    options.certificate_count = 0;
    check_refusal(weir_tls_server_context_new(&options, &context), "needs a certificate");
    assert_null(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T71_echo_over_tls_ends_with_close_notify_both_ways),
        IN_LOOP_TEST(B6_debug_mode_tells_how_long_a_handshake_took),
        IN_LOOP_TEST(connection_made_comes_after_the_handshake),
        IN_LOOP_TEST(what_was_agreed_on_is_known_as_long_as_the_transport),
        IN_LOOP_TEST(T71_an_end_without_close_notify_is_truncation),
        IN_LOOP_TEST(T76_unverifiable_certificates_are_refused_in_words),
        IN_LOOP_TEST(T70_garbage_instead_of_a_hello_is_refused),
        IN_LOOP_TEST(T70_silent_client_is_given_up_after_the_handshake_timeout),
        IN_LOOP_TEST(name_asked_for_chooses_the_certificate),
        IN_LOOP_TEST(rsa_and_ecdsa_stand_side_by_side),
        IN_LOOP_TEST(alpn_goes_by_the_servers_preference),
        IN_LOOP_TEST(client_certificate_is_required_when_asked_for),
        IN_LOOP_TEST(large_transfer_arrives_whole_with_back_pressure),
        IN_LOOP_TEST(paused_reader_stops_the_peer),
        IN_LOOP_TEST(T74_stream_upgrades_to_tls),
        IN_LOOP_TEST(T74_plaintext_injected_before_tls_is_a_protocol_error),
        ON_MAIN_TEST(bad_files_are_named_with_what_is_wrong),
    };

    return cmocka_run_group_tests_name("tls", tests, tls_test_begin, tls_test_end);
}
