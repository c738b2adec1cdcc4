/* SPDX-License-Identifier: Apache-2.0 */
/* The straight-line side: what a read consumes, what a write waits for, what ends a stream. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <weir/scope.h>

#include "core/base/chunk.h"
#include "core/net/stream.h"
#include "tests/unit/net/net_test.h"

static weir_error *reads_give_what_came_then_the_end(void *arg)
{
    weir_stream *s;
    char text[16];
    size_t n = 99;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    CHECK(send_all(peer, "hello"));
    for (size_t got = 0; got < 5; got += n)
        CHECK_OK(weir_stream_read(s, text + got, sizeof(text) - got, &n));
    CHECK((n == 5 || faults_wanted()) && memcmp(text, "hello", 5) == 0);
    CHECK(shutdown(peer, SHUT_WR) == 0);
    CHECK_OK(weir_stream_read(s, text, sizeof(text), &n));
    CHECK(n == 0);
    CHECK_OK(weir_stream_read(s, text, sizeof(text), &n));
    CHECK(n == 0);
    CHECK_OK(weir_stream_close(s));
    close(peer);
    return NULL;
}
IN_LOOP(reads_give_what_came_then_the_end)

static weir_error *lines_come_without_their_end_and_a_last_one_without_counts(void *arg)
{
    weir_stream *s;
    char line[16];
    size_t n;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    CHECK(send_all(peer, "one\r\ntwo\n\nla"));
    CHECK_OK(weir_stream_read_line(s, line, sizeof(line), &n));
    CHECK(n == 3 && strcmp(line, "one") == 0);
    CHECK_OK(weir_stream_read_line(s, line, sizeof(line), &n));
    CHECK(n == 3 && strcmp(line, "two") == 0);
    CHECK_OK(weir_stream_read_line(s, line, sizeof(line), &n));
    CHECK(n == 0 && line[0] == '\0');
    CHECK(send_all(peer, "st"));
    CHECK(shutdown(peer, SHUT_WR) == 0);
    CHECK_OK(weir_stream_read_line(s, line, sizeof(line), &n));
    CHECK(strcmp(line, "last") == 0);
    CHECK_CODE(weir_stream_read_line(s, line, sizeof(line), &n), WEIR_EEOF);
    weir_stream_abort(s);
    close(peer);
    return NULL;
}
IN_LOOP(lines_come_without_their_end_and_a_last_one_without_counts)

static weir_error *a_line_longer_than_the_buffer_stays_unread(void *arg)
{
    weir_stream *s;
    char line[6], big[32];
    size_t n;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    CHECK(send_all(peer, "123456\r\n12345\r\n"));
    CHECK_CODE(weir_stream_read_line(s, line, sizeof(line), &n), WEIR_ELIMIT);
    CHECK_OK(weir_stream_read_line(s, big, sizeof(big), &n));
    CHECK(strcmp(big, "123456") == 0);
    CHECK_OK(weir_stream_read_line(s, line, sizeof(line), &n));
    CHECK(strcmp(line, "12345") == 0);
    CHECK(send_all(peer, "no end of line in here"));
    CHECK_CODE(weir_stream_read_line(s, line, sizeof(line), &n), WEIR_ELIMIT);
    weir_stream_abort(s);
    close(peer);
    return NULL;
}
IN_LOOP(a_line_longer_than_the_buffer_stays_unread)

static weir_error *T78_read_exactly_tells_a_boundary_from_the_inside(void *arg)
{
    weir_stream *s;
    char text[8];
    size_t n;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    CHECK(send_all(peer, "12345"));
    CHECK_OK(weir_stream_read_exactly(s, text, 3));
    CHECK(memcmp(text, "123", 3) == 0);
    CHECK(shutdown(peer, SHUT_WR) == 0);
    CHECK_CODE(weir_stream_read_exactly(s, text, 3), WEIR_EINCOMPLETE);
    CHECK_OK(weir_stream_read(s, text, sizeof(text), &n));
    CHECK(n == 2 && memcmp(text, "45", 2) == 0);
    CHECK_CODE(weir_stream_read_exactly(s, text, 1), WEIR_EEOF);
    weir_stream_abort(s);
    close(peer);
    return NULL;
}
IN_LOOP(T78_read_exactly_tells_a_boundary_from_the_inside)

static weir_error *T77_separator_across_pieces_is_found(void *arg)
{
    weir_stream *s;
    char text[32];
    size_t n;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    CHECK(send_all(peer, "a\r\r"));
    CHECK_CODE(weir_stream_read_until(s, WEIR_SLICE("\r\n\r\n"), text, 2, &n), WEIR_ELIMIT);
    CHECK(send_all(peer, "\n\r"));
    SETTLE();
    CHECK(send_all(peer, "\nrest"));
    CHECK_OK(weir_stream_read_until(s, WEIR_SLICE("\r\n\r\n"), text, sizeof(text), &n));
    CHECK(n == 6 && memcmp(text, "a\r\r\n\r\n", 6) == 0);
    CHECK_OK(weir_stream_read(s, text, sizeof(text), &n));
    CHECK(n == 4);
    weir_stream_abort(s);
    close(peer);
    return NULL;
}
IN_LOOP(T77_separator_across_pieces_is_found)

static weir_error *a_slice_is_valid_until_the_next_read(void *arg)
{
    weir_stream *s;
    weir_slice slice;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    CHECK(send_all(peer, "abc"));
    CHECK_OK(weir_stream_read_slice(s, &slice));
    CHECK(weir_slice_equal(slice, WEIR_SLICE("abc")));
    CHECK(weir_chunk_of(slice));
    CHECK(send_all(peer, "de"));
    SETTLE();
    CHECK(weir_slice_equal(slice, WEIR_SLICE("abc")));
    CHECK_OK(weir_stream_read_slice(s, &slice));
    CHECK(weir_slice_equal(slice, WEIR_SLICE("de")));
    CHECK(shutdown(peer, SHUT_WR) == 0);
    CHECK_OK(weir_stream_read_slice(s, &slice));
    CHECK(slice.len == 0);
    weir_stream_abort(s);
    close(peer);
    return NULL;
}
IN_LOOP(a_slice_is_valid_until_the_next_read)

static weir_error *single_bytes_pin_few_chunks_and_stay_in_order(void *arg)
{
    weir_stream *s;
    char text[600];
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    weir_transport_resume_reading(s->transport);
    for (int i = 0; i < 500; i++) {
        char byte[2] = {(char)('a' + i % 26), 0};

        CHECK(send_all(peer, byte));
        UNTIL(s->size == (size_t)i + 1);
    }
    CHECK(s->transport->net->io->pool->live <= STREAM_REFERENCES + 1);
    CHECK_OK(weir_stream_read_exactly(s, text, 500));
    for (int i = 0; i < 500; i++)
        CHECK(text[i] == (char)('a' + i % 26));
    CHECK(s->transport->net->io->pool->live == 0);
    weir_stream_abort(s);
    close(peer);
    return NULL;
}
IN_LOOP(single_bytes_pin_few_chunks_and_stay_in_order)

static weir_error *T79_stream_stops_receiving_at_its_limit(void *arg)
{
    static char block[16384];
    weir_stream *s;
    size_t sent = 0, n, total = 0;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    for (int i = 0; i < 100; i++) {
        ssize_t k = send(peer, block, sizeof(block), MSG_NOSIGNAL | MSG_DONTWAIT);

        sent += k > 0 ? (size_t)k : 0;
        SETTLE();
    }
    CHECK(s->size <= WEIR_STREAM_LIMIT + WEIR_CHUNK_SIZE);
    while (total < sent) {
        CHECK_OK(weir_stream_read(s, block, sizeof(block), &n));
        total += n;
    }
    weir_stream_abort(s);
    close(peer);
    return NULL;
}
IN_LOOP(T79_stream_stops_receiving_at_its_limit)

static weir_error *T40_cancelled_read_consumes_nothing(void *arg)
{
    weir_stream *s;
    char text[8];
    size_t n;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    CHECK(send_all(peer, "12"));
    {
        WEIR_TIMEOUT(soon, WEIR_MS(5));
        CHECK_CODE(weir_stream_read_exactly(s, text, 4), WEIR_ETIMEDOUT);
        CHECK_CODE(weir_stream_read(s, text, sizeof(text), &n), WEIR_ETIMEDOUT);
    }
    CHECK(send_all(peer, "34"));
    CHECK_OK(weir_stream_read_exactly(s, text, 4));
    CHECK(memcmp(text, "1234", 4) == 0);
    weir_stream_abort(s);
    close(peer);
    return NULL;
}
IN_LOOP(T40_cancelled_read_consumes_nothing)

static weir_error *read_past_the_limit_cut_short_breaks_the_stream(void *arg)
{
    static char big[WEIR_STREAM_LIMIT + 1];
    weir_stream *s;
    size_t n;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    CHECK(send_all(peer, "start"));
    {
        WEIR_TIMEOUT(soon, WEIR_MS(5));
        CHECK_CODE(weir_stream_read_exactly(s, big, sizeof(big)), WEIR_ETIMEDOUT);
    }
    CHECK_CODE(weir_stream_read(s, big, 1, &n), WEIR_EBROKEN);
    CHECK_OK(weir_stream_close(s));
    close(peer);
    return NULL;
}
IN_LOOP(read_past_the_limit_cut_short_breaks_the_stream)

static weir_error *reads_one(void *arg)
{
    char byte;
    size_t n;

    return weir_stream_read(arg, &byte, 1, &n);
}

static weir_error *T80_a_second_reader_is_refused(void *arg)
{
    weir_task *task;
    weir_stream *s;
    char byte;
    size_t n;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    CHECK_OK(weir_spawn(reads_one, s, &task));
    SETTLE();
    CHECK_CODE(weir_stream_read(s, &byte, 1, &n), WEIR_EBUSY);
    CHECK(send_all(peer, "x"));
    CHECK_OK(weir_task_await(task));
    weir_task_unref(task);
    weir_stream_abort(s);
    close(peer);
    return NULL;
}
IN_LOOP(T80_a_second_reader_is_refused)

/* Writing */

struct drinker {
    int fd;
    size_t total;
    bool stop;
};

static weir_error *drinks(void *arg)
{
    struct drinker *drinker = arg;
    static char buffer[30000];

    while (!drinker->stop) {
        ssize_t n = receive_some(drinker->fd, buffer, sizeof(buffer));

        if (n == 0 || n == -2)
            return NULL;
        if (n > 0) {
            EXPECT(is_pattern(buffer, (size_t)n, drinker->total));
            drinker->total += (size_t)n;
        }
        WEIR_TRY(weir_sleep(WEIR_NS(0)));
    }
    return NULL;
}

static weir_error *write_above_the_hard_limit_goes_in_parts(void *arg)
{
    const size_t size = 20 * 1000 * 1000;
    struct drinker drinker = {0};
    weir_task *task;
    weir_stream *s;
    char *big = malloc(size);

    (void)arg;
    s = pair_stream(&drinker.fd);
    CHECK(s && big);
    fill_pattern(big, size, 0);
    CHECK_OK(weir_spawn(drinks, &drinker, &task));
    CHECK_OK(weir_stream_write(s, big, size));
    free(big);
    CHECK_OK(weir_stream_close(s));
    CHECK_OK(weir_task_await(task));
    weir_task_unref(task);
    CHECK(drinker.total == size);
    close(drinker.fd);
    return NULL;
}
IN_LOOP(write_above_the_hard_limit_goes_in_parts)

static weir_error *T40_write_waits_for_room_cancellably_and_then_queues_nothing(void *arg)
{
    static char block[300000];
    weir_stream *s;
    size_t queued, before, written = 0;
    int peer, rests = 0;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    CHECK_OK(weir_stream_write(s, block, sizeof(block)));
    CHECK_OK(weir_stream_write_eof(s) ? weir_raise(EPERM, "eof") : NULL);
    weir_stream_abort(s);
    close(peer);
    s = pair_stream(&peer);
    CHECK(s);
    do {
        CHECK_OK(weir_stream_write(s, block, sizeof(block)));
        written += sizeof(block);
        /* Until the kernel takes no more, however little it takes at once. */
        for (before = 0, rests = 0; rests < 20; before = queued) {
            SETTLE();
            queued = weir_transport_write_buffer_size(s->transport);
            rests = queued == before ? rests + 1 : 0;
        }
    } while (queued <= 64 * 1024);
    {
        WEIR_TIMEOUT(soon, WEIR_MS(5));
        CHECK_CODE(weir_stream_write(s, "x", 1), WEIR_ETIMEDOUT);
    }
    CHECK(weir_transport_write_buffer_size(s->transport) == queued);
    CHECK(weir_transport_bytes_sent(s->transport) + queued == written);
    weir_stream_abort(s);
    close(peer);
    return NULL;
}
IN_LOOP(T40_write_waits_for_room_cancellably_and_then_queues_nothing)

static weir_error *drain_waits_for_the_low_mark(void *arg)
{
    static char block[1000000];
    struct drinker drinker = {0};
    weir_task *task;
    weir_stream *s;

    (void)arg;
    s = pair_stream(&drinker.fd);
    CHECK(s);
    fill_pattern(block, sizeof(block), 0);
    CHECK_OK(weir_stream_write(s, block, sizeof(block)));
    CHECK(weir_transport_write_buffer_size(s->transport) > 16 * 1024);
    CHECK_OK(weir_spawn(drinks, &drinker, &task));
    CHECK_OK(weir_stream_drain(s));
    CHECK(weir_transport_write_buffer_size(s->transport) <= 16 * 1024);
    CHECK_OK(weir_stream_printf(s, "%s", ""));
    CHECK_OK(weir_stream_close(s));
    CHECK_OK(weir_task_await(task));
    weir_task_unref(task);
    close(drinker.fd);
    return NULL;
}
IN_LOOP(drain_waits_for_the_low_mark)

/* The end */

static weir_error *T78_reader_learns_of_a_reset(void *arg)
{
    weir_stream *s;
    char byte;
    size_t n;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    weir_transport_abort(s->transport, weir_raise(ECONNRESET, "gone"));
    CHECK_CODE(weir_stream_read(s, &byte, 1, &n), ECONNRESET);
    CHECK_CODE(weir_stream_write(s, "x", 1), ECONNRESET);
    CHECK_CODE(weir_stream_close(s), ECONNRESET);
    close(peer);
    return NULL;
}
IN_LOOP(T78_reader_learns_of_a_reset)

static weir_error *close_entered_cancelled_aborts(void *arg)
{
    weir_stream *s;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    weir_transport_ref(s->transport);
    {
        weir_transport *t = s->transport;
        WEIR_TIMEOUT(now, WEIR_NS(0));

        CHECK_CODE(weir_stream_close(s), WEIR_ETIMEDOUT);
        CHECK(t->status >= TRANSPORT_LOST);
        weir_transport_unref(t);
    }
    close(peer);
    return NULL;
}
IN_LOOP(close_entered_cancelled_aborts)

static void calls_outside_of_tasks_are_refused(void **state)
{
    weir_loop *loop;
    weir_stream *s = NULL;

    (void)state;
    assert_ok(weir_loop_new(NULL, &loop));
    assert_code(weir_connect("127.0.0.1:1", NULL, &s), WEIR_ENOTASK);
    assert_ok(weir_loop_close(loop));
    weir_loop_unref(loop);
}

/* serve */

static weir_error *echo(weir_stream *stream, const void *config)
{
    (void)config;
    for (;;) {
        weir_slice slice;

        WEIR_TRY(weir_stream_read_slice(stream, &slice));
        if (!slice.len)
            return NULL;
        WEIR_TRY(weir_stream_write_slice(stream, slice));
    }
}

static const weir_protocol echo_protocol = {WEIR_SIZED(weir_protocol), .name = "echo",
                                            .serve = echo};

static weir_error *T81_straight_line_echo_serves_and_closes_on_return(void *arg)
{
    weir_server *server;
    weir_stream *s;
    char text[8];
    size_t n;

    (void)arg;
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &echo_protocol, NULL, &server));
    CHECK_OK(weir_connect(weir_server_name(server), NULL, &s));
    CHECK_OK(weir_stream_write(s, "ping", 4));
    CHECK_OK(weir_stream_read_exactly(s, text, 4));
    CHECK(memcmp(text, "ping", 4) == 0);
    CHECK_OK(weir_stream_write_eof(s));
    CHECK_OK(weir_stream_read(s, text, sizeof(text), &n));
    CHECK(n == 0);
    CHECK_OK(weir_stream_close(s));
    weir_server_close(server);
    CHECK_OK(weir_server_wait_closed(server));
    weir_server_unref(server);
    return NULL;
}
IN_LOOP(T81_straight_line_echo_serves_and_closes_on_return)

static weir_error *fails(weir_stream *stream, const void *config)
{
    weir_code code = *(const weir_code *)config;

    (void)stream;
    return weir_raise(code, "as asked");
}

static const weir_protocol failing = {WEIR_SIZED(weir_protocol), .name = "failing", .serve = fails};

static weir_error *serve_once(weir_code code, char *log, size_t size)
{
    weir_server *server;
    char byte;
    size_t n;
    weir_stream *s;

    capture_log_begin();
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &failing, &code, &server));
    CHECK_OK(weir_connect(weir_server_name(server), NULL, &s));
    CHECK_OK(weir_stream_read(s, &byte, 1, &n));
    CHECK_OK(weir_stream_close(s));
    weir_server_close(server);
    CHECK_OK(weir_server_wait_closed(server));
    weir_server_unref(server);
    capture_log_end(log, size);
    return NULL;
}

static weir_error *T81_only_errors_that_are_ours_are_logged(void *arg)
{
    char log[4096];

    (void)arg;
    CHECK_OK(serve_once(EPERM, log, sizeof(log)));
    CHECK(strstr(log, "weir.net"));
    CHECK(strstr(log, "failing"));
    CHECK(strstr(log, "as asked"));
    CHECK_OK(serve_once(WEIR_EEOF, log, sizeof(log)));
    CHECK(!strstr(log, "weir.net"));
    CHECK_OK(serve_once(ECONNRESET, log, sizeof(log)));
    CHECK(!strstr(log, "weir.net"));
    return NULL;
}
IN_LOOP(T81_only_errors_that_are_ours_are_logged)

static weir_error *callbacks_then_stream_first_reads_the_rest(void *arg)
{
    struct record record = {0};
    weir_transport *t;
    weir_stream *s;
    char text[16];
    int peer;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    CHECK_OK(weir_stream_of(t, WEIR_SLICE("rest,"), &s));
    CHECK(send_all(peer, "more"));
    CHECK_OK(weir_stream_read_exactly(s, text, 9));
    CHECK(memcmp(text, "rest,more", 9) == 0);
    CHECK_OK(weir_stream_close(s));
    CHECK_EVENTS(&record, "made ");
    close(peer);
    return NULL;
}
IN_LOOP(callbacks_then_stream_first_reads_the_rest)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(reads_give_what_came_then_the_end),
        IN_LOOP_TEST(lines_come_without_their_end_and_a_last_one_without_counts),
        IN_LOOP_TEST(a_line_longer_than_the_buffer_stays_unread),
        IN_LOOP_TEST(T78_read_exactly_tells_a_boundary_from_the_inside),
        IN_LOOP_TEST(T77_separator_across_pieces_is_found),
        IN_LOOP_TEST(a_slice_is_valid_until_the_next_read),
        IN_LOOP_TEST(single_bytes_pin_few_chunks_and_stay_in_order),
        IN_LOOP_TEST(T79_stream_stops_receiving_at_its_limit),
        IN_LOOP_TEST(T40_cancelled_read_consumes_nothing),
        IN_LOOP_TEST(read_past_the_limit_cut_short_breaks_the_stream),
        IN_LOOP_TEST(T80_a_second_reader_is_refused),
        IN_LOOP_TEST(write_above_the_hard_limit_goes_in_parts),
        IN_LOOP_TEST(T40_write_waits_for_room_cancellably_and_then_queues_nothing),
        IN_LOOP_TEST(drain_waits_for_the_low_mark),
        IN_LOOP_TEST(T78_reader_learns_of_a_reset),
        IN_LOOP_TEST(close_entered_cancelled_aborts),
        ON_MAIN_TEST(calls_outside_of_tasks_are_refused),
        IN_LOOP_TEST(T81_straight_line_echo_serves_and_closes_on_return),
        IN_LOOP_TEST(T81_only_errors_that_are_ours_are_logged),
        IN_LOOP_TEST(callbacks_then_stream_first_reads_the_rest),
    };

    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
