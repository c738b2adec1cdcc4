/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of streams that hold for every split, limit and moment: separators, ends, memory, cancels. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include <weir/scope.h>

#include "core/base/chunk.h"
#include "core/net/stream.h"
#include "tests/unit/net/net_test.h"

static void iterate(unsigned times)
{
    while (times-- > 0)
        weir_ignore(weir_sleep(WEIR_NS(0)));
}

/* Separators */

/* Sends `text` in pieces that end at `cuts`. */
struct feeder {
    int fd;
    const char *text;
    size_t cuts[3];
};

static weir_error *feeds(void *arg)
{
    const struct feeder *feeder = arg;
    size_t at = 0;

    for (int i = 0; i < 3; i++) {
        size_t len = feeder->cuts[i] - at;

        if (len)
            CHECK(send(feeder->fd, feeder->text + at, len, MSG_NOSIGNAL) == (ssize_t)len);
        at = feeder->cuts[i];
        iterate(2);
    }
    return NULL;
}

static weir_error *read_split(weir_stream *s, struct feeder *feeder, weir_slice separator,
                              size_t wanted)
{
    size_t n, len = strlen(feeder->text);
    weir_task *task;
    char got[64];

    WEIR_TIMEOUT(patience, WEIR_S(10));
    CHECK_OK(weir_spawn(feeds, feeder, &task));
    CHECK_OK(weir_stream_read_until(s, separator, got, sizeof(got), &n));
    CHECK(n == wanted && memcmp(got, feeder->text, n) == 0);
    CHECK_OK(weir_stream_read_exactly(s, got, len - wanted));
    CHECK(memcmp(got, feeder->text + wanted, len - wanted) == 0);
    CHECK_OK(weir_task_await(task));
    weir_task_unref(task);
    return NULL;
}

static weir_error *T77_read_until_finds_a_separator_across_every_split(void *arg)
{
    static const struct {
        const char *text, *separator;
        size_t end;
    } cases[] = {
        {"one\ntwo", "\n", 4},
        {"head\r\n\r\nbody", "\r\n\r\n", 8},
        {"\r\n\r\r\n\r\n\r\n", "\r\n\r\n", 7},
        {"aaaab-aab", "aab", 5},
        {"xababac", "ababac", 7},
        {"END", "END", 3},
    };
    struct feeder feeder;
    weir_stream *s;

    (void)arg;
    s = pair_stream(&feeder.fd);
    CHECK(s);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = strlen(cases[i].text);

        feeder.text = cases[i].text;
        for (size_t first = 0; first <= len; first++) {
            for (size_t second = first; second <= len; second++) {
                feeder.cuts[0] = first;
                feeder.cuts[1] = second;
                feeder.cuts[2] = len;
                CHECK_OK(read_split(s, &feeder,
                                    weir_slice_of(cases[i].separator, strlen(cases[i].separator)),
                                    cases[i].end));
            }
        }
    }
    weir_stream_abort(s);
    close(feeder.fd);
    return NULL;
}
IN_LOOP(T77_read_until_finds_a_separator_across_every_split)

/* A message of `len` bytes that ends in ';', into a buffer of `size`. */
static weir_error *read_message(size_t len, size_t size, weir_code code)
{
    static char sent[WEIR_STREAM_LIMIT + 16], got[2 * WEIR_STREAM_LIMIT];
    weir_stream *s;
    size_t n = 0;
    int peer;

    memset(sent, 'x', len);
    sent[len - 1] = ';';
    s = pair_stream(&peer);
    CHECK(s);
    CHECK(send(peer, sent, len, MSG_NOSIGNAL) == (ssize_t)len);
    CHECK_CODE(weir_stream_read_until(s, WEIR_SLICE(";"), got, size, &n), code);
    if (!code)
        CHECK(n == len && memcmp(got, sent, n) == 0);
    else
        CHECK_OK(weir_stream_read_exactly(s, got, len));
    CHECK(memcmp(got, sent, len) == 0);
    weir_stream_abort(s);
    close(peer);
    return NULL;
}

static weir_error *T77_read_until_keeps_its_limit_to_the_byte(void *arg)
{
    (void)arg;
    CHECK_OK(read_message(99, 100, 0));
    CHECK_OK(read_message(100, 100, 0));
    CHECK_OK(read_message(101, 100, WEIR_ELIMIT));
    CHECK_OK(read_message(WEIR_STREAM_LIMIT - 1, 2 * WEIR_STREAM_LIMIT, 0));
    CHECK_OK(read_message(WEIR_STREAM_LIMIT, 2 * WEIR_STREAM_LIMIT, 0));
    CHECK_OK(read_message(WEIR_STREAM_LIMIT + 1, 2 * WEIR_STREAM_LIMIT, WEIR_ELIMIT));
    return NULL;
}
IN_LOOP(T77_read_until_keeps_its_limit_to_the_byte)

static weir_error *T77_read_line_keeps_its_limit_to_the_byte(void *arg)
{
    char line[8];
    weir_stream *s;
    size_t n;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    CHECK(send_all(peer, "123456\n1234567\n1234567\r\n12345678\n"));
    CHECK_OK(weir_stream_read_line(s, line, sizeof(line), &n));
    CHECK(n == 6 && strcmp(line, "123456") == 0);
    CHECK_OK(weir_stream_read_line(s, line, sizeof(line), &n));
    CHECK(n == 7 && strcmp(line, "1234567") == 0);
    CHECK_OK(weir_stream_read_line(s, line, sizeof(line), &n));
    CHECK(n == 7 && strcmp(line, "1234567") == 0);
    CHECK_CODE(weir_stream_read_line(s, line, sizeof(line), &n), WEIR_ELIMIT);
    CHECK_OK(weir_stream_read(s, line, sizeof(line), &n));
    CHECK(n == 8 && memcmp(line, "12345678", 8) == 0);
    weir_stream_abort(s);
    close(peer);
    return NULL;
}
IN_LOOP(T77_read_line_keeps_its_limit_to_the_byte)

static weir_error *T77_of_several_separators_the_first_end_wins(void *arg)
{
    static const weir_slice separators[] = {WEIR_SLICE("\r\n"), WEIR_SLICE("\n"),
                                            WEIR_SLICE("END")};
    char got[32];
    size_t n, which;
    weir_stream *s;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    CHECK(send_all(peer, "a\r\nb\ncEND\n"));
    CHECK_OK(weir_stream_read_until_any(s, separators, 3, got, sizeof(got), &n, &which));
    CHECK(n == 3 && which == 0);
    CHECK_OK(weir_stream_read_until_any(s, separators, 3, got, sizeof(got), &n, &which));
    CHECK(n == 2 && which == 1);
    CHECK_OK(weir_stream_read_until_any(s, separators, 3, got, sizeof(got), &n, &which));
    CHECK(n == 4 && which == 2 && memcmp(got, "cEND", 4) == 0);
    weir_stream_abort(s);
    close(peer);
    return NULL;
}
IN_LOOP(T77_of_several_separators_the_first_end_wins)

/* Ends */

static weir_error *T78_what_came_before_a_failure_is_read_first(void *arg)
{
    char got[16];
    weir_stream *s;
    size_t n;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    CHECK(send_all(peer, "abc"));
    UNTIL(s->size == 3);
    weir_transport_abort(s->transport, weir_raise(ECONNRESET, "made to fail"));
    iterate(2);
    CHECK_CODE(weir_stream_read_line(s, got, sizeof(got), &n), ECONNRESET);
    CHECK_CODE(weir_stream_read_until(s, WEIR_SLICE(";"), got, sizeof(got), &n), ECONNRESET);
    CHECK_CODE(weir_stream_read_exactly(s, got, 4), ECONNRESET);
    CHECK(!weir_stream_at_eof(s));
    CHECK_OK(weir_stream_read_exactly(s, got, 2));
    CHECK_OK(weir_stream_read(s, got, sizeof(got), &n));
    CHECK(n == 1 && got[0] == 'c');
    CHECK(weir_stream_at_eof(s));
    CHECK_CODE(weir_stream_read(s, got, sizeof(got), &n), ECONNRESET);
    CHECK_CODE(weir_stream_read(s, got, sizeof(got), &n), ECONNRESET);
    CHECK_CODE(weir_stream_write(s, "x", 1), ECONNRESET);
    CHECK_CODE(weir_stream_drain(s), ECONNRESET);
    CHECK_CODE(weir_stream_wait_closed(s), ECONNRESET);
    CHECK_CODE(weir_stream_close(s), ECONNRESET);
    close(peer);
    return NULL;
}
IN_LOOP(T78_what_came_before_a_failure_is_read_first)

static weir_error *T78_the_end_inside_a_message_leaves_what_came(void *arg)
{
    char got[16];
    weir_stream *s;
    size_t n;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    CHECK(send_all(peer, "half"));
    CHECK(shutdown(peer, SHUT_WR) == 0);
    CHECK_CODE(weir_stream_read_until(s, WEIR_SLICE(";"), got, sizeof(got), &n), WEIR_EINCOMPLETE);
    CHECK_CODE(weir_stream_read_exactly(s, got, 5), WEIR_EINCOMPLETE);
    CHECK(!weir_stream_at_eof(s));
    CHECK_OK(weir_stream_read_line(s, got, sizeof(got), &n));
    CHECK(n == 4 && strcmp(got, "half") == 0);
    CHECK(weir_stream_at_eof(s));
    CHECK_CODE(weir_stream_read_until(s, WEIR_SLICE(";"), got, sizeof(got), &n), WEIR_EEOF);
    CHECK_CODE(weir_stream_read_exactly(s, got, 1), WEIR_EEOF);
    CHECK_OK(weir_stream_read(s, got, sizeof(got), &n));
    CHECK(n == 0);
    CHECK_OK(weir_stream_write(s, "still", 5));
    CHECK_OK(weir_stream_close(s));
    close(peer);
    return NULL;
}
IN_LOOP(T78_the_end_inside_a_message_leaves_what_came)

static weir_error *waits_for_the_end(void *arg)
{
    return weir_stream_wait_closed(arg);
}

static weir_error *wait_closed_tells_another_task_how_it_ended(void *arg)
{
    weir_task *task;
    weir_stream *s;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    CHECK_OK(weir_spawn(waits_for_the_end, s, &task));
    iterate(2);
    CHECK_CODE(weir_stream_wait_closed(s), WEIR_EBUSY);
    weir_transport_close(s->transport);
    CHECK_OK(weir_task_await(task));
    weir_task_unref(task);
    CHECK_OK(weir_stream_close(s));
    close(peer);
    return NULL;
}
IN_LOOP(wait_closed_tells_another_task_how_it_ended)

/* Several writers */

struct writer {
    weir_stream *stream;
    char mark;
    size_t size;
    unsigned times;
};

static weir_error *writes(void *arg)
{
    static char bytes['z' + 1][600000];
    const struct writer *writer = arg;
    char *mine = bytes[(unsigned char)writer->mark];

    memset(mine, writer->mark, writer->size);
    for (unsigned i = 0; i < writer->times; i++)
        WEIR_TRY(weir_stream_write(writer->stream, mine, writer->size));
    return weir_stream_drain(writer->stream);
}

/* Reads `size` bytes that must all be one letter. */
static weir_error *read_run(weir_stream *s, size_t size, char *ret_letter)
{
    static char got[600000];

    CHECK_OK(weir_stream_read_exactly(s, got, size));
    for (size_t i = 1; i < size; i++)
        CHECK(got[i] == got[0]);
    *ret_letter = got[0];
    return NULL;
}

static weir_error *write_from_three_tasks(size_t size, size_t hard)
{
    struct writer writers[3];
    unsigned seen['z' + 1] = {0};
    weir_stream *s, *reader;
    weir_task *tasks[3];
    int fd;

    s = pair_stream(&fd);
    CHECK(s);
    weir_transport_set_write_limits(s->transport, 64 * 1024, 16 * 1024, hard);
    reader = weir__stream_adopt(fd_transport(&weir__stream_protocol, NULL, fd));
    for (int i = 0; i < 3; i++) {
        writers[i] = (struct writer){s, (char)('a' + i), size, 4};
        CHECK_OK(weir_spawn(writes, &writers[i], &tasks[i]));
    }
    for (int i = 0; i < 12; i++) {
        char letter = 0;

        CHECK_OK(read_run(reader, size, &letter));
        seen[(unsigned char)letter]++;
    }
    CHECK(seen['a'] == 4 && seen['b'] == 4 && seen['c'] == 4);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(weir_task_await(tasks[i]));
        weir_task_unref(tasks[i]);
    }
    CHECK_OK(weir_stream_close(s));
    weir_stream_abort(reader);
    return NULL;
}

static weir_error *writes_of_several_tasks_stay_together(void *arg)
{
    (void)arg;
    CHECK_OK(write_from_three_tasks(90000, 0));
    return write_from_three_tasks(600000, 800000);
}
IN_LOOP(writes_of_several_tasks_stay_together)

static weir_error *writev_sends_the_pieces_as_one(void *arg)
{
    const weir_slice pieces[] = {WEIR_SLICE("one "), WEIR_SLICE(""), WEIR_SLICE("two "),
                                 WEIR_SLICE("three")};
    char got[32];
    weir_stream *s;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    CHECK_OK(weir_stream_writev(s, pieces, 4));
    SENT(s->transport);
    CHECK(receive_some(peer, got, sizeof(got)) == 13 && memcmp(got, "one two three", 13) == 0);
    CHECK_OK(weir_stream_writev(s, NULL, 0));
    weir_stream_abort(s);
    close(peer);
    return NULL;
}
IN_LOOP(writev_sends_the_pieces_as_one)

/* Memory */

#define PROXIED ((size_t)24 * 1024 * 1024)

static weir_error *pours(weir_stream *stream, const void *config)
{
    static char block[256 * 1024];

    (void)config;
    for (size_t done = 0; done < PROXIED; done += sizeof(block)) {
        fill_pattern(block, sizeof(block), done);
        WEIR_TRY(weir_stream_write(stream, block, sizeof(block)));
    }
    return NULL;
}

static weir_error *proxies(weir_stream *stream, const void *config)
{
    weir_auto(weir_stream) origin = NULL;
    weir_slice slice;

    WEIR_TRY(weir_connect(config, NULL, &origin));
    for (;;) {
        WEIR_TRY(weir_stream_read_slice(origin, &slice));
        if (!slice.len)
            return weir_stream_close(WEIR_TAKE(origin));
        WEIR_TRY(weir_stream_write_slice(stream, slice));
    }
}

static const weir_protocol origin_protocol = {WEIR_SIZED(weir_protocol), .name = "origin",
                                              .serve = pours};
static const weir_protocol proxy_protocol = {WEIR_SIZED(weir_protocol), .name = "proxy",
                                             .serve = proxies};

static weir_error *T79_a_slow_reader_bounds_the_memory_of_a_proxy(void *arg)
{
    weir_server *origin, *proxy;
    const struct chunk_pool *pool;
    size_t n, total = 0, most = 0;
    static char got[7000];
    weir_stream *s;

    (void)arg;
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &origin_protocol, NULL, &origin));
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &proxy_protocol,
                        weir_server_name(origin), &proxy));
    CHECK_OK(weir_connect(weir_server_name(proxy), NULL, &s));
    pool = s->transport->net->io->pool;
    do {
        CHECK_OK(weir_stream_read(s, got, sizeof(got), &n));
        CHECK(is_pattern(got, n, total));
        total += n;
        most = pool->live > most ? pool->live : most;
        iterate(total % 5 == 0 ? 3 : 0);
    } while (n);
    CHECK(total == PROXIED);
    /* Three connections: what each collects and what each has queued, of 1,536 chunks in all. */
    CHECK(most <= 64 + 2 * chunks_in_ring());
    CHECK_OK(weir_stream_close(s));
    CHECK_OK(weir_server_shutdown(proxy, WEIR_S(5)));
    CHECK_OK(weir_server_shutdown(origin, WEIR_S(5)));
    weir_server_unref(proxy);
    weir_server_unref(origin);
    return NULL;
}
IN_LOOP(T79_a_slow_reader_bounds_the_memory_of_a_proxy)

static weir_error *T79_a_reader_that_stops_stops_the_whole_chain(void *arg)
{
    weir_server *origin, *proxy;
    const struct chunk_pool *pool;
    weir_stream *s;
    char byte;

    (void)arg;
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &origin_protocol, NULL, &origin));
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &proxy_protocol,
                        weir_server_name(origin), &proxy));
    CHECK_OK(weir_connect(weir_server_name(proxy), NULL, &s));
    CHECK_OK(weir_stream_read_exactly(s, &byte, 1));
    CHECK_OK(weir_sleep(WEIR_MS(30)));
    pool = s->transport->net->io->pool;
    CHECK(pool->live <= 64 + 2 * chunks_in_ring());
    weir_stream_abort(s);
    CHECK_OK(weir_server_shutdown(proxy, WEIR_S(5)));
    CHECK_OK(weir_server_shutdown(origin, WEIR_S(5)));
    weir_server_unref(proxy);
    weir_server_unref(origin);
    CHECK(pool->live == 0);
    return NULL;
}
IN_LOOP(T79_a_reader_that_stops_stops_the_whole_chain)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T77_read_until_finds_a_separator_across_every_split),
        IN_LOOP_TEST(T77_read_until_keeps_its_limit_to_the_byte),
        IN_LOOP_TEST(T77_read_line_keeps_its_limit_to_the_byte),
        IN_LOOP_TEST(T77_of_several_separators_the_first_end_wins),
        IN_LOOP_TEST(T78_what_came_before_a_failure_is_read_first),
        IN_LOOP_TEST(T78_the_end_inside_a_message_leaves_what_came),
        IN_LOOP_TEST(wait_closed_tells_another_task_how_it_ended),
        IN_LOOP_TEST(writes_of_several_tasks_stay_together),
        IN_LOOP_TEST(writev_sends_the_pieces_as_one),
        IN_LOOP_TEST(T79_a_slow_reader_bounds_the_memory_of_a_proxy),
        IN_LOOP_TEST(T79_a_reader_that_stops_stops_the_whole_chain),
    };

    return cmocka_run_group_tests_name("stream rules", tests, NULL, NULL);
}
