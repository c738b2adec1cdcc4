/* SPDX-License-Identifier: Apache-2.0 */
/* Connections in memory behave as those of the kernel do. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weir/tls.h>

#include "tests/unit/net/test_certificate.h"
#include "tests/unit/testing/testing_test.h"

/* A protocol that writes down what it is told. */
struct diary {
    char text[512];
    size_t received;
    unsigned pauses, resumes;
    bool keep_open;
    weir_transport *transport;
};

static void note(struct diary *diary, const char *format, ...) WEIR_PRINTF(2, 3);

static void note(struct diary *diary, const char *format, ...)
{
    size_t used = strlen(diary->text);
    va_list args;

    va_start(args, format);
    vsnprintf(diary->text + used, sizeof(diary->text) - used, format, args);
    va_end(args);
}

static struct diary *diary_of(weir_transport *t)
{
    return (struct diary *)(uintptr_t)weir_transport_config(t);
}

static weir_error *on_made(weir_transport *t, void *state, const void *config)
{
    (void)state;
    (void)config;
    diary_of(t)->transport = t;
    note(diary_of(t), "made ");
    return NULL;
}

static weir_error *on_data(weir_transport *t, void *state, weir_slice data)
{
    (void)state;
    diary_of(t)->received += data.len;
    if (data.len < 16)
        note(diary_of(t), "data(%.*s) ", (int)data.len, (const char *)data.data);
    return NULL;
}

static weir_error *on_eof(weir_transport *t, void *state, bool *ret_keep_open)
{
    (void)state;
    note(diary_of(t), "eof ");
    *ret_keep_open = diary_of(t)->keep_open;
    return NULL;
}

static void on_pause(weir_transport *t, void *state)
{
    (void)state;
    diary_of(t)->pauses++;
}

static void on_resume(weir_transport *t, void *state)
{
    (void)state;
    diary_of(t)->resumes++;
}

static void on_lost(weir_transport *t, void *state, const weir_error *reason)
{
    (void)state;
    note(diary_of(t), "lost(%s)", reason ? weir_code_name(weir_error_code(reason)) : "");
    diary_of(t)->transport = NULL;
}

static const weir_protocol diarist = {
    WEIR_SIZED(weir_protocol),   .name = "diarist",          .connection_made = on_made,
    .data_received = on_data,    .eof_received = on_eof,     .pause_writing = on_pause,
    .resume_writing = on_resume, .connection_lost = on_lost,
};

static weir_slice text(const char *bytes)
{
    return weir_slice_of(bytes, strlen(bytes));
}

static void pair_of(weir_test *test, struct diary *a, struct diary *b)
{
    WEIR_TEST_OK(weir_test_pair(test, &diarist, a, &diarist, b, NULL, NULL));
}

static void bytes_and_the_end_arrive_in_order(void **state)
{
    struct diary a = {.keep_open = true}, b = {.keep_open = true};
    weir_test *test = KIT_NEW();

    (void)state;
    pair_of(test, &a, &b);
    WEIR_TEST_OK(weir_transport_write(a.transport, text("one")));
    WEIR_TEST_OK(weir_transport_write_eof(a.transport));
    weir_test_idle(test);
    assert_string_equal(b.text, "made data(one) eof ");
    /* The other direction goes on. */
    WEIR_TEST_OK(weir_transport_write(b.transport, text("two")));
    weir_test_idle(test);
    assert_string_equal(a.text, "made data(two) ");
    WEIR_TEST_OK(weir_transport_write_eof(b.transport));
    weir_test_idle(test);
    assert_string_equal(a.text, "made data(two) eof lost()");
    assert_string_equal(b.text, "made data(one) eof lost()");
    weir_test_end(test);
}

static void closing_is_the_end_and_aborting_a_reset(void **state)
{
    struct diary a = {.received = 0}, b = {.received = 0}, c = {.received = 0}, d = {.received = 0};
    weir_test *test = KIT_NEW();

    (void)state;
    pair_of(test, &a, &b);
    WEIR_TEST_OK(weir_transport_write(a.transport, text("bye")));
    weir_transport_close(a.transport);
    weir_test_idle(test);
    assert_string_equal(b.text, "made data(bye) eof lost()");

    pair_of(test, &c, &d);
    WEIR_TEST_OK(weir_transport_write(c.transport, text("bye")));
    weir_transport_abort(c.transport, NULL);
    weir_test_idle(test);
    assert_string_equal(c.text, "made lost()");
    assert_string_equal(d.text, "made data(bye) lost(ECONNRESET)");
    weir_test_end(test);
}

static void a_peer_that_does_not_read_pauses_the_writer(void **state)
{
    static const char block[40 * 1024];
    struct diary a = {.received = 0}, b = {.received = 0};
    weir_test *test = KIT_NEW();

    (void)state;
    pair_of(test, &a, &b);
    weir_transport_pause_reading(b.transport);
    for (int i = 0; i < 5; i++)
        WEIR_TEST_OK(weir_transport_write(a.transport, weir_slice_of(block, sizeof(block))));
    weir_test_idle(test);
    assert_int_equal(b.received, 0);
    assert_int_equal(a.pauses, 1);
    /* 64 KiB are on their way, the rest is the transport's. */
    assert_int_equal(weir_transport_write_buffer_size(a.transport), 5 * 40960 - 65536);
    weir_transport_resume_reading(b.transport);
    weir_test_idle(test);
    assert_int_equal(b.received, 5 * 40960);
    assert_int_equal(a.resumes, 1);
    weir_transport_close(a.transport);
    weir_test_idle(test);
    weir_test_end(test);
}

static void a_paused_transport_learns_that_its_peer_left(void **state)
{
    struct diary a = {.received = 0}, b = {.received = 0}, c = {.received = 0}, d = {.received = 0};
    weir_test *test = KIT_NEW();

    (void)state;
    pair_of(test, &a, &b);
    weir_transport_pause_reading(b.transport);
    weir_transport_abort(a.transport, NULL);
    weir_test_idle(test);
    assert_string_equal(b.text, "made lost(EPIPE)");

    /* What came before is kept. */
    pair_of(test, &c, &d);
    weir_transport_pause_reading(d.transport);
    WEIR_TEST_OK(weir_transport_write(c.transport, text("last")));
    weir_transport_close(c.transport);
    weir_test_idle(test);
    assert_string_equal(d.text, "made ");
    weir_transport_resume_reading(d.transport);
    weir_test_idle(test);
    assert_string_equal(d.text, "made data(last) eof lost()");
    weir_test_end(test);
}

static void a_connection_can_be_reset_in_the_middle(void **state)
{
    struct diary a = {.received = 0}, b = {.received = 0};
    weir_test *test = KIT_NEW();

    (void)state;
    pair_of(test, &a, &b);
    WEIR_TEST_OK(weir_transport_write(a.transport, text("half")));
    weir_test_reset(test, a.transport);
    weir_test_idle(test);
    assert_string_equal(a.text, "made lost(ECONNRESET)");
    assert_string_equal(b.text, "made data(half) lost(ECONNRESET)");
    assert_int_equal(weir_test_faults_seen(test).reset, 1);
    weir_test_end(test);
}

/* Streams */

static weir_error *echo(weir_stream *stream, const void *config)
{
    char line[128];
    size_t n;

    (void)config;
    for (;;) {
        WEIR_TRY(weir_stream_read_line(stream, line, sizeof(line) - 1, &n));
        line[n] = '\n';
        WEIR_TRY(weir_stream_write(stream, line, n + 1));
    }
}

static const weir_protocol echoing = {WEIR_SIZED(weir_protocol), .name = "echo", .serve = echo};

static weir_error *talk(weir_stream *stream, const char *word)
{
    char line[128], answer[128];
    size_t n;

    snprintf(line, sizeof(line), "%s\n", word);
    WEIR_CHECK_OK(weir_stream_write(stream, line, strlen(line)));
    WEIR_CHECK_OK(weir_stream_read_line(stream, answer, sizeof(answer), &n));
    WEIR_CHECK_TEXT(answer, word);
    return NULL;
}

static weir_error *talks_to_an_echo(void *arg)
{
    weir_auto(weir_stream) peer = NULL;

    WEIR_CHECK_OK(weir_test_peer(arg, &echoing, NULL, &peer));
    WEIR_TRY(talk(peer, "weir"));
    WEIR_TRY(talk(peer, "again"));
    WEIR_CHECK_OK(weir_stream_close(WEIR_TAKE(peer)));
    return NULL;
}

static void a_stream_talks_to_a_protocol(void **state)
{
    weir_test *test = KIT_NEW();

    (void)state;
    weir_test_run(test, talks_to_an_echo, test);
    weir_test_end(test);
}

static weir_error *two_streams(void *arg)
{
    weir_auto(weir_stream) a = NULL;
    weir_auto(weir_stream) b = NULL;
    char bytes[8];
    size_t n;

    WEIR_CHECK_OK(weir_test_streams(arg, &a, &b));
    WEIR_CHECK_OK(weir_stream_write(a, "ping", 4));
    WEIR_CHECK_OK(weir_stream_read_exactly(b, bytes, 4));
    WEIR_CHECK(memcmp(bytes, "ping", 4) == 0);
    WEIR_CHECK_OK(weir_stream_write_eof(a));
    WEIR_CHECK_OK(weir_stream_read(b, bytes, sizeof(bytes), &n));
    WEIR_CHECK_INT(n, 0);
    WEIR_CHECK_OK(weir_stream_write(b, "pong", 4));
    WEIR_CHECK_OK(weir_stream_read_exactly(a, bytes, 4));
    return NULL;
}

static void both_ends_may_be_streams(void **state)
{
    weir_test *test = KIT_NEW();

    (void)state;
    weir_test_run(test, two_streams, test);
    weir_test_end(test);
}

/* Servers */

struct serving {
    weir_test *test;
    weir_server *server;
    weir_tls_context *client;
};

static weir_error *three_clients(void *arg)
{
    struct serving *serving = arg;

    for (int i = 0; i < 3; i++) {
        weir_auto(weir_stream) peer = NULL;

        WEIR_CHECK_OK(weir_test_connect(serving->test, serving->server, &peer));
        WEIR_TRY(talk(peer, "hello"));
        WEIR_CHECK_INT(weir_server_connections(serving->server), 1);
        WEIR_CHECK_OK(weir_stream_close(WEIR_TAKE(peer)));
        WEIR_CHECK_OK(weir_sleep(WEIR_MS(1)));
    }
    weir_server_close(serving->server);
    WEIR_CHECK_OK(weir_server_wait_closed(serving->server));
    return NULL;
}

static void a_server_in_memory_accepts_and_lets_time_jump(void **state)
{
    struct serving serving = {.test = KIT_NEW()};

    (void)state;
    WEIR_TEST_OK(weir_test_serve(serving.test, NULL, &echoing, NULL, &serving.server));
    weir_test_run(serving.test, three_clients, &serving);
    weir_server_unref(serving.server);
    weir_test_end(serving.test);
}

static void any_server_of_the_loop_takes_connections_in_memory(void **state)
{
    struct serving serving = {.test = KIT_NEW()};

    (void)state;
    WEIR_TEST_OK(weir_serve(weir_test_loop(serving.test), "127.0.0.1:0", NULL, &echoing, NULL,
                            &serving.server));
    weir_test_run(serving.test, three_clients, &serving);
    weir_server_unref(serving.server);
    weir_test_end(serving.test);
}

static weir_error *two_at_a_time(void *arg)
{
    struct serving *serving = arg;
    weir_auto(weir_stream) first = NULL;
    weir_auto(weir_stream) second = NULL;

    WEIR_CHECK_OK(weir_test_connect(serving->test, serving->server, &first));
    WEIR_CHECK_OK(weir_test_connect(serving->test, serving->server, &second));
    WEIR_TRY(talk(first, "first"));
    WEIR_CHECK_INT(weir_server_connections(serving->server), 1);
    WEIR_CHECK_OK(weir_stream_close(WEIR_TAKE(first)));
    WEIR_TRY(talk(second, "second"));
    WEIR_CHECK_OK(weir_stream_close(WEIR_TAKE(second)));
    return NULL;
}

static void a_full_server_accepts_when_there_is_room(void **state)
{
    weir_server_options options = {WEIR_SIZED(weir_server_options), .max_connections = 1};
    struct serving serving = {.test = KIT_NEW()};

    (void)state;
    WEIR_TEST_OK(weir_test_serve(serving.test, &options, &echoing, NULL, &serving.server));
    weir_test_run(serving.test, two_at_a_time, &serving);
    weir_server_close(serving.server);
    weir_server_unref(serving.server);
    weir_test_end(serving.test);
}

static weir_error *one_client_without_descriptors(void *arg)
{
    struct serving *serving = arg;
    weir_auto(weir_stream) lost = NULL;
    weir_auto(weir_stream) peer = NULL;
    char byte;

    /* Accepting the first fails: its connection is gone, and the server rests for 100 ms. */
    WEIR_CHECK_OK(weir_test_connect(serving->test, serving->server, &lost));
    WEIR_CHECK_CODE(weir_stream_read_exactly(lost, &byte, 1), WEIR_EEOF);
    WEIR_CHECK_OK(weir_test_connect(serving->test, serving->server, &peer));
    WEIR_TRY(talk(peer, "patience"));
    WEIR_CHECK_OK(weir_stream_close(WEIR_TAKE(peer)));
    return NULL;
}

static void a_server_rests_when_accepting_fails(void **state)
{
    struct serving serving = {.test = KIT_NEW()};
    weir_loop *loop = weir_test_loop(serving.test);
    int64_t began = weir_loop_time(loop).ns;

    (void)state;
    weir_test_log_begin();
    WEIR_TEST_OK(weir_test_serve(serving.test, NULL, &echoing, NULL, &serving.server));
    weir_test_set_server_faults(serving.test, serving.server,
                                KIT_FAULTS(.fail_accept = 1, .code = EMFILE));
    weir_test_run(serving.test, one_client_without_descriptors, &serving);
    assert_int_equal(weir_loop_time(loop).ns - began, 100000000);
    assert_int_equal(weir_test_logged("weir.net", WEIR_LOG_ERROR, "EMFILE"), 1);
    weir_test_log_end();
    weir_server_close(serving.server);
    weir_server_unref(serving.server);
    weir_test_end(serving.test);
}

/* TLS */

static weir_error *one_client_over_tls(void *arg)
{
    struct serving *serving = arg;
    weir_auto(weir_stream) peer = NULL;
    weir_tls_info info;

    WEIR_CHECK_OK(weir_test_connect(serving->test, serving->server, &peer));
    WEIR_CHECK_OK(weir_stream_start_tls(peer, serving->client, "kit.test"));
    WEIR_CHECK(weir_transport_tls_info(weir_stream_transport(peer), &info));
    WEIR_TRY(talk(peer, "secret"));
    WEIR_CHECK_OK(weir_stream_close(WEIR_TAKE(peer)));
    return NULL;
}

static void over_tls(const weir_test_faults *faults)
{
    struct serving serving = {.test = KIT_NEW()};
    struct test_certificate ca, own;
    weir_tls_certificate pair;
    weir_server_options server = {WEIR_SIZED(weir_server_options)};

    assert_true(test_certificate_make(&ca, "ca.test", false, NULL, 10));
    assert_true(test_certificate_make(&own, "kit.test", false, &ca, 10));
    pair = (weir_tls_certificate){.certificate = own.certificate, .key = own.private_key};
    WEIR_TEST_OK(weir_tls_server_context_new(&(weir_tls_options){WEIR_SIZED(weir_tls_options),
                                                                 .certificates = &pair,
                                                                 .certificate_count = 1},
                                             &server.tls));
    WEIR_TEST_OK(weir_tls_client_context_new(
        &(weir_tls_options){WEIR_SIZED(weir_tls_options), .ca_file = ca.certificate},
        &serving.client));
    weir_test_set_faults(serving.test, faults);
    WEIR_TEST_OK(weir_test_serve(serving.test, &server, &echoing, NULL, &serving.server));
    weir_test_run(serving.test, one_client_over_tls, &serving);
    weir_server_close(serving.server);
    weir_server_unref(serving.server);
    weir_tls_context_unref(server.tls);
    weir_tls_context_unref(serving.client);
    test_certificate_done(&ca);
    test_certificate_done(&own);
    weir_test_end(serving.test);
}

static void tls_works_over_memory(void **state)
{
    (void)state;
    over_tls(NULL);
}

static void tls_works_byte_by_byte(void **state)
{
    (void)state;
    over_tls(KIT_FAULTS(.max_read = 1, .max_write = 7, .vary = true, .refuse = 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(bytes_and_the_end_arrive_in_order),
        KIT_TEST(closing_is_the_end_and_aborting_a_reset),
        KIT_TEST(a_peer_that_does_not_read_pauses_the_writer),
        KIT_TEST(a_paused_transport_learns_that_its_peer_left),
        KIT_TEST(a_connection_can_be_reset_in_the_middle),
        KIT_TEST(a_stream_talks_to_a_protocol),
        KIT_TEST(both_ends_may_be_streams),
        KIT_TEST(a_server_in_memory_accepts_and_lets_time_jump),
        KIT_TEST(any_server_of_the_loop_takes_connections_in_memory),
        KIT_TEST(a_full_server_accepts_when_there_is_room),
        KIT_TEST(a_server_rests_when_accepting_fails),
        KIT_TEST(tls_works_over_memory),
        KIT_TEST(tls_works_byte_by_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
