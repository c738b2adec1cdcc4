/* SPDX-License-Identifier: Apache-2.0 */
/* Each fault happens, is counted, and leaves the bytes intact that it should; over memory and over the
   kernel's sockets alike. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/testing/testing_test.h"

#define TOTAL ((size_t)100000)

/* An echo of bytes, whatever their number, up to the end. */
static weir_error *echo_bytes(weir_stream *stream, const void *config)
{
    weir_slice data;

    (void)config;
    for (;;) {
        WEIR_TRY(weir_stream_read_slice(stream, &data));
        if (!data.len)
            return NULL;
        WEIR_TRY(weir_stream_write_slice(stream, data));
    }
}

static const weir_protocol echoing = {
    WEIR_SIZED(weir_protocol),
    .name = "echo",
    .serve = echo_bytes,
};

static unsigned char byte_at(size_t position)
{
    return (unsigned char)(position * 2654435761u >> 13);
}

struct exchange {
    weir_test *test;
    weir_server *server;
    weir_stream *peer;
    size_t total, received;
    const char *backend; /* over its sockets; NULL: in memory */
    weir_code ended;     /* of the reader */
};

/* Each kind of connection: in memory, and over the sockets of each backend that works here. */
static const char *const kinds[] = {NULL, "epoll", "io_uring"};
#define EACH_KIND(backend)                                                        \
    for (size_t kind_ = 0; kind_ < 3 && (kind_ < 2 || io_uring_works()); kind_++) \
        for (const char *backend = kinds[kind_], *once_ = ""; once_; once_ = NULL)

static bool io_uring_works(void)
{
    weir_loop_options options = {WEIR_SIZED(weir_loop_options), .backend = "io_uring"};
    weir_loop *loop;
    weir_error *error = weir_loop_new(&options, &loop);

    weir_ignore(error);
    if (error)
        return false;
    weir_loop_close_force(loop, WEIR_NS(0));
    weir_loop_unref(loop);
    return true;
}

static weir_error *send_pattern(void *arg)
{
    struct exchange *exchange = arg;
    unsigned char bytes[1000];

    for (size_t sent = 0; sent < exchange->total; sent += sizeof(bytes)) {
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = byte_at(sent + i);
        WEIR_TRY(weir_stream_write(exchange->peer, bytes, sizeof(bytes)));
    }
    WEIR_TRY(weir_stream_write_eof(exchange->peer));
    return NULL;
}

static weir_error *receive_pattern(struct exchange *exchange)
{
    unsigned char bytes[4096];
    size_t n = 1;

    while (n) {
        WEIR_TRY(weir_stream_read(exchange->peer, bytes, sizeof(bytes), &n));
        for (size_t i = 0; i < n; i++)
            WEIR_CHECK_INT(bytes[i], byte_at(exchange->received + i));
        exchange->received += n;
    }
    return NULL;
}

static weir_error *open_peer(struct exchange *exchange)
{
    if (exchange->backend)
        WEIR_CHECK_OK(weir_connect(weir_server_name(exchange->server), NULL, &exchange->peer));
    else if (exchange->server)
        WEIR_CHECK_OK(weir_test_connect(exchange->test, exchange->server, &exchange->peer));
    else
        WEIR_CHECK_OK(weir_test_peer(exchange->test, &echoing, NULL, &exchange->peer));
    return NULL;
}

static weir_error *exchange_bytes(void *arg)
{
    struct exchange *exchange = arg;
    weir_task *sender = NULL;
    weir_error *error;

    WEIR_TRY(open_peer(exchange));
    WEIR_CHECK_OK(weir_spawn(send_pattern, exchange, &sender));
    error = receive_pattern(exchange);
    exchange->ended = weir_error_code(error);
    weir_ignore(error);
    (void)weir_task_cancel(sender);
    weir_ignore(weir_task_await(sender));
    weir_task_unref(sender);
    weir_stream_abort(exchange->peer);
    return NULL;
}

static weir_test_fault_counts exchanged(struct exchange *exchange, const weir_test_faults *faults)
{
    weir_test_fault_counts counts;

    exchange->test =
        KIT_NEW(.seed = 3, .loop = &(weir_loop_options){WEIR_SIZED(weir_loop_options),
                                                        .backend = exchange->backend, .debug = -1});
    exchange->total = exchange->total ? exchange->total : TOTAL;
    exchange->received = 0;
    weir_test_set_faults(exchange->test, faults);
    if (exchange->backend)
        WEIR_TEST_OK(weir_serve(weir_test_loop(exchange->test), "127.0.0.1:0", NULL, &echoing, NULL,
                                &exchange->server));
    weir_test_run(exchange->test, exchange_bytes, exchange);
    counts = weir_test_faults_seen(exchange->test);
    if (exchange->backend) {
        weir_server_close(exchange->server);
        weir_server_unref(exchange->server);
    }
    weir_test_end(exchange->test);
    return counts;
}

/* A connection of this kind delivers everything under these faults. */
static weir_test_fault_counts whole(const weir_test_faults *faults, const char *backend)
{
    struct exchange exchange = {.backend = backend};
    weir_test_fault_counts counts = exchanged(&exchange, faults);

    assert_int_equal(exchange.ended, 0);
    assert_int_equal(exchange.received, TOTAL);
    return counts;
}

static void without_faults_none_are_counted(void **state)
{
    (void)state;
    EACH_KIND(backend)
    {
        weir_test_fault_counts counts = whole(NULL, backend),
                               none = {WEIR_SIZED(weir_test_fault_counts)};

        assert_memory_equal(&counts, &none, sizeof(counts));
    }
}

static void short_reads_are_put_together(void **state)
{
    (void)state;
    EACH_KIND(backend)
    {
        /* 200,000 bytes in pieces of 1 to 1,999 */
        assert_true(whole(KIT_FAULTS(.max_read = 1999, .vary = true), backend).shortened > 100);
    }
}

static void short_writes_are_gone_on_with(void **state)
{
    (void)state;
    EACH_KIND(backend)
    {
        weir_test_fault_counts counts = whole(KIT_FAULTS(.max_write = 333), backend);

        assert_true(counts.shortened >= 300);
        assert_true(counts.refused >= 300);
    }
}

static void refused_sends_are_tried_again(void **state)
{
    (void)state;
    EACH_KIND(backend)
    assert_true(whole(KIT_FAULTS(.refuse = 5), backend).refused >= 5);
}

static void receives_without_a_buffer_come_again(void **state)
{
    (void)state;
    EACH_KIND(backend)
    assert_true(whole(KIT_FAULTS(.starve_every = 2), backend).starved > 3);
}

static void interrupted_waits_lose_nothing(void **state)
{
    (void)state;
    EACH_KIND(backend)
    assert_true(whole(KIT_FAULTS(.interrupt_every = 2), backend).interrupted > 3);
}

static void a_small_window_stops_the_sender(void **state)
{
    weir_test_fault_counts counts = whole(KIT_FAULTS(.window = 100), NULL);

    (void)state;
    assert_int_equal(counts.shortened, 0); /* a full window is no fault */
}

static void all_at_once_leave_the_bytes_intact(void **state)
{
    const weir_test_faults *faults =
        KIT_FAULTS(.max_read = 700, .vary = true, .delay = WEIR_MS(3), .starve_every = 3,
                   .max_write = 500, .refuse = 2, .window = 2000, .interrupt_every = 3);

    (void)state;
    EACH_KIND(backend)
    {
        weir_test_fault_counts counts = whole(faults, backend);

        assert_true(counts.shortened && counts.delayed && counts.refused && counts.starved &&
                    counts.interrupted);
    }
}

/* Time */

static weir_error *measure_delay(void *arg)
{
    struct exchange *exchange = arg;
    weir_loop *loop = weir_loop_current();
    int64_t began;
    char byte;

    WEIR_TRY(open_peer(exchange));
    began = weir_loop_time(loop).ns;
    WEIR_CHECK_OK(weir_stream_write(exchange->peer, "x", 1));
    WEIR_CHECK_OK(weir_stream_read_exactly(exchange->peer, &byte, 1));
    WEIR_CHECK_INT(weir_loop_time(loop).ns - began, 2 * 250000000ll);
    weir_stream_abort(exchange->peer);
    return NULL;
}

static void a_delay_is_virtual_and_exact_in_each_direction(void **state)
{
    struct exchange exchange = {.test = KIT_NEW()};

    (void)state;
    weir_test_set_faults(exchange.test, KIT_FAULTS(.delay = WEIR_MS(250)));
    weir_test_run(exchange.test, measure_delay, &exchange);
    assert_int_equal(weir_test_faults_seen(exchange.test).delayed, 2);
    weir_test_end(exchange.test);
}

static weir_error *measure_bandwidth(void *arg)
{
    struct exchange *exchange = arg;
    weir_auto(weir_stream) a = NULL;
    weir_auto(weir_stream) b = NULL;
    weir_loop *loop = weir_loop_current();
    int64_t began = weir_loop_time(loop).ns;
    char bytes[3000] = "";

    WEIR_CHECK_OK(weir_test_streams(exchange->test, &a, &b));
    /* One direction only. */
    weir_test_set_transport_faults(exchange->test, weir_stream_transport(b),
                                   KIT_FAULTS(.bytes_per_second = 1000));
    WEIR_CHECK_OK(weir_stream_write(a, bytes, 1000));
    WEIR_CHECK_OK(weir_stream_write(a, bytes, 2000));
    WEIR_CHECK_OK(weir_stream_read_exactly(b, bytes, 3000));
    WEIR_CHECK_INT(weir_loop_time(loop).ns - began, 3000000000ll);
    WEIR_CHECK_OK(weir_stream_write(b, bytes, 3000));
    WEIR_CHECK_OK(weir_stream_read_exactly(a, bytes, 3000));
    WEIR_CHECK_INT(weir_loop_time(loop).ns - began, 3000000000ll);
    return NULL;
}

static void bandwidth_is_of_one_direction(void **state)
{
    struct exchange exchange = {.test = KIT_NEW()};

    (void)state;
    weir_test_run(exchange.test, measure_bandwidth, &exchange);
    weir_test_end(exchange.test);
}

/* The end before the end */

static void a_reset_ends_an_exchange_at_its_byte(void **state)
{
    (void)state;
    EACH_KIND(backend)
    {
        struct exchange exchange = {.total = 50000, .backend = backend};
        /* The echo is reset when it has sent so many, or its peer when it has. */
        weir_test_fault_counts counts = exchanged(&exchange, KIT_FAULTS(.reset_after_sent = 12345));

        assert_int_equal(exchange.ended, ECONNRESET);
        assert_true(exchange.received <= 12345);
        assert_true(counts.reset >= 1);
    }
}

static void a_reset_after_bytes_received_delivers_exactly_those(void **state)
{
    (void)state;
    EACH_KIND(backend)
    {
        struct exchange exchange = {.total = 50000, .backend = backend};
        weir_test_fault_counts counts =
            exchanged(&exchange, KIT_FAULTS(.reset_after_received = 12345, .max_read = 1000));

        assert_int_equal(exchange.ended, ECONNRESET);
        assert_true(exchange.received <= 12345);
        assert_true(counts.reset >= 1);
    }
}

static weir_error *receive_up_to_a_reset(void *arg)
{
    struct exchange *exchange = arg;
    weir_auto(weir_stream) a = NULL;
    weir_auto(weir_stream) b = NULL;
    char bytes[100] = "";

    WEIR_CHECK_OK(weir_test_streams(exchange->test, &a, &b));
    weir_test_set_transport_faults(exchange->test, weir_stream_transport(a),
                                   KIT_FAULTS(.reset_after_sent = 60));
    WEIR_CHECK_OK(weir_stream_write(a, bytes, 40));
    WEIR_CHECK_OK(weir_stream_read_exactly(b, bytes, 40));
    WEIR_CHECK_OK(weir_stream_write(a, bytes, 40));
    WEIR_CHECK_OK(weir_stream_read_exactly(b, bytes, 20));
    WEIR_CHECK_CODE(weir_stream_read_exactly(b, bytes, 1), ECONNRESET);
    WEIR_CHECK_CODE(weir_stream_read_exactly(a, bytes, 1), ECONNRESET);
    return NULL;
}

static void a_reset_at_byte_n_is_seen_by_both_ends(void **state)
{
    struct exchange exchange = {.test = KIT_NEW()};

    (void)state;
    weir_test_run(exchange.test, receive_up_to_a_reset, &exchange);
    assert_int_equal(weir_test_faults_seen(exchange.test).reset, 1);
    weir_test_end(exchange.test);
}

static weir_error *fail_operations(void *arg)
{
    struct exchange *exchange = arg;
    weir_auto(weir_stream) a = NULL;
    weir_auto(weir_stream) b = NULL;
    char byte;

    WEIR_CHECK_OK(weir_test_streams(exchange->test, &a, &b));
    weir_test_set_transport_faults(exchange->test, weir_stream_transport(a),
                                   KIT_FAULTS(.fail_send = 3, .code = ENOBUFS));
    for (int i = 0; i < 2; i++) {
        WEIR_CHECK_OK(weir_stream_write(a, "x", 1));
        WEIR_CHECK_OK(weir_stream_read_exactly(b, &byte, 1));
    }
    weir_ignore(weir_stream_write(a, "x", 1));
    WEIR_CHECK_CODE(weir_stream_read_exactly(a, &byte, 1), ENOBUFS);
    return NULL;
}

static void the_nth_send_fails_with_the_code(void **state)
{
    struct exchange exchange = {.test = KIT_NEW()};

    (void)state;
    weir_test_run(exchange.test, fail_operations, &exchange);
    assert_int_equal(weir_test_faults_seen(exchange.test).failed, 1);
    weir_test_end(exchange.test);
}

static weir_error *fail_receives(void *arg)
{
    struct exchange *exchange = arg;
    weir_auto(weir_stream) a = NULL;
    weir_auto(weir_stream) b = NULL;
    char byte;

    WEIR_CHECK_OK(weir_test_streams(exchange->test, &a, &b));
    weir_test_set_transport_faults(exchange->test, weir_stream_transport(b),
                                   KIT_FAULTS(.fail_receive = 2, .code = ETIMEDOUT));
    WEIR_CHECK_OK(weir_stream_write(a, "x", 1));
    WEIR_CHECK_OK(weir_stream_read_exactly(b, &byte, 1));
    WEIR_CHECK_OK(weir_stream_write(a, "x", 1));
    WEIR_CHECK_CODE(weir_stream_read_exactly(b, &byte, 1), ETIMEDOUT);
    return NULL;
}

static void the_nth_receive_fails_with_the_code(void **state)
{
    struct exchange exchange = {.test = KIT_NEW()};

    (void)state;
    weir_test_run(exchange.test, fail_receives, &exchange);
    assert_int_equal(weir_test_faults_seen(exchange.test).failed, 1);
    weir_test_end(exchange.test);
}

static weir_error *connect_and_fail(void *arg)
{
    struct exchange *exchange = arg;
    weir_stream *peer = NULL;

    WEIR_CHECK_CODE(weir_connect(weir_server_name(exchange->server), NULL, &peer), EHOSTUNREACH);
    return NULL;
}

static void connecting_fails_with_the_code(void **state)
{
    struct exchange exchange = {.test = KIT_NEW()};

    (void)state;
    WEIR_TEST_OK(weir_serve(weir_test_loop(exchange.test), "127.0.0.1:0", NULL, &echoing, NULL,
                            &exchange.server));
    weir_test_set_faults(exchange.test, KIT_FAULTS(.fail_connect = true, .code = EHOSTUNREACH));
    weir_test_run(exchange.test, connect_and_fail, &exchange);
    weir_server_close(exchange.server);
    weir_server_unref(exchange.server);
    weir_test_end(exchange.test);
}

/* The pieces of a connection, and when they came. */
struct pieces {
    size_t sizes[400];
    size_t count;
};

static weir_error *note_piece(weir_transport *t, void *state, weir_slice data)
{
    struct pieces *pieces = (struct pieces *)(uintptr_t)weir_transport_config(t);

    (void)state;
    if (pieces->count < 400)
        pieces->sizes[pieces->count++] = data.len;
    return NULL;
}

static const weir_protocol counting = {
    WEIR_SIZED(weir_protocol),
    .name = "counting",
    .data_received = note_piece,
};

static void pieces_under(uint64_t seed, struct pieces *pieces)
{
    static const char bytes[20000];
    weir_test *test = KIT_NEW(.seed = seed);
    weir_transport *a;

    *pieces = (struct pieces){.count = 0};
    weir_test_set_faults(test, KIT_FAULTS(.max_read = 500, .max_write = 300, .vary = true));
    WEIR_TEST_OK(weir_test_pair(test, &counting, pieces, &counting, pieces, &a, NULL));
    WEIR_TEST_OK(weir_transport_write(a, weir_slice_of(bytes, sizeof(bytes))));
    weir_transport_close(a);
    weir_test_idle(test);
    weir_test_end(test);
}

static void T94_varying_faults_repeat_under_their_seed(void **state)
{
    static struct pieces first, again, other;

    (void)state;
    pieces_under(7, &first);
    pieces_under(7, &again);
    pieces_under(8, &other);
    assert_true(first.count > 40);
    assert_memory_equal(&first, &again, sizeof(first));
    assert_memory_not_equal(&first, &other, sizeof(first));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(without_faults_none_are_counted),
        KIT_TEST(short_reads_are_put_together),
        KIT_TEST(short_writes_are_gone_on_with),
        KIT_TEST(refused_sends_are_tried_again),
        KIT_TEST(receives_without_a_buffer_come_again),
        KIT_TEST(interrupted_waits_lose_nothing),
        KIT_TEST(a_small_window_stops_the_sender),
        KIT_TEST(all_at_once_leave_the_bytes_intact),
        KIT_TEST(a_delay_is_virtual_and_exact_in_each_direction),
        KIT_TEST(bandwidth_is_of_one_direction),
        KIT_TEST(a_reset_ends_an_exchange_at_its_byte),
        KIT_TEST(a_reset_after_bytes_received_delivers_exactly_those),
        KIT_TEST(a_reset_at_byte_n_is_seen_by_both_ends),
        KIT_TEST(the_nth_send_fails_with_the_code),
        KIT_TEST(the_nth_receive_fails_with_the_code),
        KIT_TEST(connecting_fails_with_the_code),
        KIT_TEST(T94_varying_faults_repeat_under_their_seed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
