/* SPDX-License-Identifier: Apache-2.0 */
/* Sending files: whole and in part, over TLS too, to peers that are slow or leave. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/net/stream.h"
#include "tests/unit/net/net_test.h"
#include "tests/unit/net/tls_test.h"

#define SIZE ((size_t)3 * 1024 * 1024 + 777)

/* Reads everything that a peer gets up to the end. */
struct sink {
    int fd;
    size_t total, from; /* `from`: where in the pattern it begins */
    bool wrong;
    unsigned pauses; /* turns of the loop between two reads */
};

static weir_error *sinks(void *arg)
{
    static char bytes[100000];
    struct sink *sink = arg;
    ssize_t n;

    while ((n = receive_some(sink->fd, bytes, sizeof(bytes))) != 0) {
        if (n < -1)
            return NULL;
        if (n > 0) {
            sink->wrong |= !is_pattern(bytes, (size_t)n, sink->from + sink->total);
            sink->total += (size_t)n;
        }
        for (unsigned i = 0; i <= sink->pauses; i++)
            CHECK_OK(weir_sleep(WEIR_NS(0)));
    }
    return NULL;
}

struct part {
    uint64_t offset, len, wanted;
};

static weir_error *send_part(int fd, const struct part *part, unsigned pauses)
{
    struct sink sink = {.from = part->offset, .pauses = pauses};
    uint64_t sent = UINT64_MAX;
    weir_stream *s = pair_stream(&sink.fd);
    weir_task *task;

    CHECK(s);
    CHECK_OK(weir_spawn(sinks, &sink, &task));
    CHECK_OK(weir_stream_send_file(s, fd, part->offset, part->len, &sent));
    CHECK(sent == part->wanted);
    CHECK(weir_transport_write_buffer_size(s->transport) <= WRITE_HIGH_DEFAULT + 65536);
    CHECK(s->transport->high == WRITE_HIGH_DEFAULT && s->transport->low == WRITE_HIGH_DEFAULT / 4);
    CHECK_OK(weir_stream_close(s));
    CHECK_OK(weir_task_await(task));
    weir_task_unref(task);
    CHECK(sink.total == part->wanted && !sink.wrong);
    close(sink.fd);
    return NULL;
}

/* The last three: nothing, the end comes first, behind the end. */
static weir_error *T68_any_part_of_a_file_is_sent_and_its_place_is_not_moved(void *arg)
{
    static const struct part parts[] = {
        {0, SIZE, SIZE},  {0, INT64_MAX, SIZE}, {1, 100000, 100000},       {4097, 65536, 65536},
        {SIZE - 1, 1, 1}, {1000, 0, 0},         {SIZE - 5000, SIZE, 5000}, {SIZE + 1, 10, 0},
    };
    int fd = pattern_file(SIZE);

    (void)arg;
    CHECK(fd >= 0 && lseek(fd, 4711, SEEK_SET) == 4711);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        CHECK_OK(send_part(fd, &parts[i], i % 2 * 3));
    CHECK(lseek(fd, 0, SEEK_CUR) == 4711);
    close(fd);
    return NULL;
}
IN_LOOP(T68_any_part_of_a_file_is_sent_and_its_place_is_not_moved)

static weir_error *T68_what_is_not_in_memory_is_read_off_the_loop(void *arg)
{
    static const struct part whole = {0, SIZE, SIZE};
    int fd = pattern_file(SIZE);

    (void)arg;
    CHECK(fd >= 0 && fsync(fd) == 0);
    CHECK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
    CHECK_OK(send_part(fd, &whole, 0));
    CHECK(posix_fadvise(fd, 4096 * 100, 4096 * 100, POSIX_FADV_DONTNEED) == 0);
    CHECK_OK(send_part(fd, &whole, 0));
    close(fd);
    return NULL;
}
IN_LOOP(T68_what_is_not_in_memory_is_read_off_the_loop)

/* sendfile() would raise a signal that ends the program. */
static weir_error *T68_without_sigpipe_ignored_it_goes_by_chunks(void *arg)
{
    static const struct part whole = {0, SIZE, SIZE};
    int fd = pattern_file(SIZE);
    weir_error *error;

    (void)arg;
    signal(SIGPIPE, SIG_DFL);
    error = send_part(fd, &whole, 1);
    signal(SIGPIPE, SIG_IGN);
    close(fd);
    return error;
}
IN_LOOP(T68_without_sigpipe_ignored_it_goes_by_chunks)

struct writer {
    weir_stream *stream;
    bool done;
};

static weir_error *writes_a_word(void *arg)
{
    struct writer *writer = arg;

    WEIR_TRY(weir_stream_write(writer->stream, "after", 5));
    writer->done = true;
    return NULL;
}

static weir_error *sends_it(void *arg)
{
    int fd = pattern_file(SIZE);
    uint64_t sent;
    weir_error *error = weir_stream_send_file(arg, fd, 0, SIZE, &sent);

    close(fd);
    return error;
}

static weir_error *T68_other_writes_come_before_or_after_it(void *arg)
{
    static char got[SIZE + 20];
    struct writer writer = {0};
    weir_task *sending, *writing;
    size_t n = 0;
    int peer;

    (void)arg;
    writer.stream = pair_stream(&peer);
    CHECK(writer.stream);
    CHECK_OK(weir_stream_write(writer.stream, "before", 6));
    CHECK_OK(weir_spawn(sends_it, writer.stream, &sending));
    CHECK_OK(weir_sleep(WEIR_NS(0)));
    CHECK_OK(weir_spawn(writes_a_word, &writer, &writing));
    SETTLE();
    CHECK(!writer.done);
    UNTIL(receive_more(peer, got, sizeof(got), &n) >= SIZE + 11);
    CHECK_OK(weir_task_await(sending));
    CHECK_OK(weir_task_await(writing));
    weir_task_unref(sending);
    weir_task_unref(writing);
    CHECK(memcmp(got, "before", 6) == 0 && is_pattern(got + 6, SIZE, 0));
    CHECK(memcmp(got + 6 + SIZE, "after", 5) == 0);
    CHECK_OK(weir_stream_close(writer.stream));
    close(peer);
    return NULL;
}
IN_LOOP(T68_other_writes_come_before_or_after_it)

/* A peer that leaves: before anything, and in the middle. */
static weir_error *T68_a_peer_that_leaves_ends_it_with_an_error(void *arg)
{
    (void)arg;
    for (size_t at = 0; at < 2; at++) {
        static char got[500000];
        weir_stream *s;
        weir_task *task;
        weir_error *error;
        weir_code code;
        size_t n = 0;
        int peer;

        s = pair_stream(&peer);
        CHECK(s);
        CHECK_OK(weir_spawn(sends_it, s, &task));
        while (at && n < sizeof(got)) {
            (void)receive_more(peer, got, sizeof(got), &n);
            CHECK_OK(weir_sleep(WEIR_NS(0)));
        }
        close(peer);
        error = weir_task_await(task);
        code = weir_error_code(error);
        weir_ignore(error);
        CHECK(code == EPIPE || code == ECONNRESET || code == WEIR_ECLOSED);
        weir_task_unref(task);
        weir_stream_abort(s);
    }
    return NULL;
}
IN_LOOP(T68_a_peer_that_leaves_ends_it_with_an_error)

static weir_error *T40_T68_cancelled_in_the_middle_it_breaks_the_stream(void *arg)
{
    weir_stream *s;
    weir_task *task;
    int peer;

    (void)arg;
    s = pair_stream(&peer);
    CHECK(s);
    CHECK_OK(weir_spawn(sends_it, s, &task));
    UNTIL(unread(peer) > 0);
    SETTLE();
    CHECK(weir_task_cancel(task));
    CHECK_CODE(weir_task_await(task), WEIR_ECANCELED);
    weir_task_unref(task);
    CHECK_CODE(weir_stream_write(s, "x", 1), WEIR_EBROKEN);
    weir_stream_abort(s);
    close(peer);
    return NULL;
}
IN_LOOP(T40_T68_cancelled_in_the_middle_it_breaks_the_stream)

static weir_error *T68_what_cannot_be_read_is_an_error(void *arg)
{
    int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), peer;
    weir_stream *s = pair_stream(&peer);

    (void)arg;
    CHECK(s && folder >= 0);
    CHECK_CODE(weir_stream_send_file(s, folder, 0, 10, NULL), EISDIR);
    CHECK_CODE(weir_stream_send_file(s, -1, 0, 10, NULL), EBADF);
    CHECK_CODE(weir_stream_send_file(s, folder, UINT64_MAX, 10, NULL), WEIR_EINVAL);
    CHECK_OK(weir_stream_write(s, "x", 1)); /* nothing had been sent: the stream is whole */
    CHECK_OK(weir_stream_close(s));
    close(folder);
    close(peer);
    return NULL;
}
IN_LOOP(T68_what_cannot_be_read_is_an_error)

/* Over TLS, and over TCP. */

static weir_error *serves_it(weir_stream *stream, const void *config)
{
    uint64_t sent;

    WEIR_TRY(weir_stream_send_file(stream, *(const int *)config, 0, SIZE, &sent));
    return NULL;
}

static const weir_protocol serving = {WEIR_SIZED(weir_protocol), .name = "files",
                                      .serve = serves_it};

static weir_error *fetched(weir_stream *s)
{
    static char got[SIZE];
    size_t n;

    CHECK_OK(weir_stream_read_exactly(s, got, SIZE));
    CHECK(is_pattern(got, SIZE, 0));
    CHECK_OK(weir_stream_read(s, got, 1, &n));
    CHECK(n == 0);
    return weir_stream_close(s);
}

static weir_error *T68_over_tcp_and_over_tls(void *arg)
{
    int fd = pattern_file(SIZE);
    weir_server *server;
    struct both both;
    weir_stream *s;

    (void)arg;
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &serving, &fd, &server));
    CHECK_OK(weir_connect(weir_server_name(server), NULL, &s));
    CHECK_OK(fetched(s));
    CHECK_OK(end_server(server));
    CHECK_OK(both_begin(&both, &ec, &serving, &fd));
    CHECK_OK(connect_tls(both.server, both.client_side, "a.test", &s));
    CHECK_OK(fetched(s));
    CHECK_OK(both_end(&both));
    close(fd);
    return NULL;
}
IN_LOOP(T68_over_tcp_and_over_tls)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T68_any_part_of_a_file_is_sent_and_its_place_is_not_moved),
        IN_LOOP_TEST(T68_what_is_not_in_memory_is_read_off_the_loop),
        IN_LOOP_TEST(T68_without_sigpipe_ignored_it_goes_by_chunks),
        IN_LOOP_TEST(T68_other_writes_come_before_or_after_it),
        IN_LOOP_TEST(T68_a_peer_that_leaves_ends_it_with_an_error),
        IN_LOOP_TEST(T40_T68_cancelled_in_the_middle_it_breaks_the_stream),
        IN_LOOP_TEST(T68_what_cannot_be_read_is_an_error),
        IN_LOOP_TEST(T68_over_tcp_and_over_tls),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("send file", tests, tls_test_begin, tls_test_end);
}
