/* SPDX-License-Identifier: Apache-2.0 */
/* Transports and streams over pipes, and tasks that wait for bare descriptors. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <weir/pipe.h>
#include <weir/scope.h>

#include "tests/unit/net/net_test.h"

struct pipe_ends {
    int read, write;
};

static bool make_pipe(struct pipe_ends *ends)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) != 0)
        return false;
    *ends = (struct pipe_ends){fds[0], fds[1]};
    return true;
}

static bool put(int fd, const char *text)
{
    return write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool is_nonblocking(int fd)
{
    return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

/* Readers */

static weir_error *D12_a_reader_receives_then_sees_the_end_and_is_lost(void *arg)
{
    static struct record record;
    struct pipe_ends ends;
    weir_transport *t;

    (void)arg;
    record = (struct record){0};
    CHECK(make_pipe(&ends));
    CHECK_OK(weir_pipe_reader(weir_loop_current(), ends.read, &recording, &record, &t));
    CHECK_EVENTS(&record, "made ");
    CHECK(put(ends.write, "one"));
    UNTIL(record.received == 3);
    CHECK(strncmp(weir_transport_peer_name(t), "pipe:[", 6) == 0);
    CHECK_CODE(weir_transport_write(t, WEIR_SLICE("x")), WEIR_EUNSUPPORTED);
    CHECK(put(ends.write, "two"));
    close(ends.write);
    UNTIL(record.lost);
    CHECK_EVENTS(&record, "made data(one) data(two) eof lost ");
    return NULL;
}
IN_LOOP(D12_a_reader_receives_then_sees_the_end_and_is_lost)

static weir_error *D12_a_paused_reader_receives_nothing_until_resumed(void *arg)
{
    static struct record record;
    struct pipe_ends ends;
    weir_transport *t;

    (void)arg;
    record = (struct record){0};
    CHECK(make_pipe(&ends));
    CHECK_OK(weir_pipe_reader(weir_loop_current(), ends.read, &recording, &record, &t));
    weir_transport_pause_reading(t);
    CHECK(put(ends.write, "kept"));
    SETTLE();
    CHECK_EVENTS(&record, "made ");
    weir_transport_resume_reading(t);
    UNTIL(record.received == 4);
    weir_transport_close(t);
    UNTIL(record.lost);
    CHECK_EVENTS(&record, "made data(kept) lost ");
    close(ends.write);
    return NULL;
}
IN_LOOP(D12_a_paused_reader_receives_nothing_until_resumed)

static weir_error *D12_a_fifo_is_read_as_a_stream(void *arg)
{
    char folder[] = "/tmp/weir-pipe-XXXXXX", path[64], line[16];
    weir_stream *stream;
    int reader, writer;
    size_t n;

    (void)arg;
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/fifo", folder);
    CHECK(mkfifo(path, 0600) == 0);
    reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    writer = open(path, O_WRONLY | O_CLOEXEC);
    CHECK(reader >= 0 && writer >= 0);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
    CHECK_OK(weir_pipe_reader_stream(reader, &stream));
    CHECK_CODE(weir_stream_write(stream, "x", 1), WEIR_EUNSUPPORTED);
    CHECK(put(writer, "first\nlast"));
    close(writer);
    CHECK_OK(weir_stream_read_line(stream, line, sizeof(line), &n));
    CHECK(strcmp(line, "first") == 0);
    CHECK_OK(weir_stream_read_line(stream, line, sizeof(line), &n));
    CHECK(strcmp(line, "last") == 0);
    CHECK_CODE(weir_stream_read_line(stream, line, sizeof(line), &n), WEIR_EEOF);
    return weir_stream_close(stream);
}
IN_LOOP(D12_a_fifo_is_read_as_a_stream)

/* Writers */

static weir_error *D12_a_writer_sends_and_write_eof_closes_it(void *arg)
{
    static struct record record;
    struct pipe_ends ends;
    weir_transport *t;
    char got[16];

    (void)arg;
    record = (struct record){0};
    CHECK(make_pipe(&ends));
    CHECK_OK(weir_pipe_writer(weir_loop_current(), ends.write, &recording, &record, &t));
    CHECK_OK(weir_transport_write(t, WEIR_SLICE("hello")));
    CHECK_OK(weir_transport_write_eof(t));
    UNTIL(record.lost);
    CHECK_EVENTS(&record, "made lost ");
    CHECK(read(ends.read, got, sizeof(got)) == 5 && memcmp(got, "hello", 5) == 0);
    CHECK(read(ends.read, got, sizeof(got)) == 0);
    close(ends.read);
    return NULL;
}
IN_LOOP(D12_a_writer_sends_and_write_eof_closes_it)

static weir_error *D12_an_idle_writer_notices_that_the_reader_closed(void *arg)
{
    static struct record record;
    struct pipe_ends ends;
    weir_transport *t;

    (void)arg;
    record = (struct record){0};
    CHECK(make_pipe(&ends));
    CHECK_OK(weir_pipe_writer(weir_loop_current(), ends.write, &recording, &record, &t));
    SETTLE();
    CHECK_EVENTS(&record, "made ");
    close(ends.read);
    UNTIL(record.lost);
    CHECK_EVENTS(&record, "made lost ");
    return NULL;
}
IN_LOOP(D12_an_idle_writer_notices_that_the_reader_closed)

static weir_error *D12_a_writer_with_bytes_queued_is_lost_with_EPIPE(void *arg)
{
    static char bytes[256 * 1024];
    static struct record record;
    struct pipe_ends ends;
    weir_transport *t;

    (void)arg;
    record = (struct record){0};
    signal(SIGPIPE, SIG_IGN);
    CHECK(make_pipe(&ends));
    CHECK_OK(weir_pipe_writer(weir_loop_current(), ends.write, &recording, &record, &t));
    CHECK_OK(weir_transport_write(t, weir_slice_of(bytes, sizeof(bytes))));
    CHECK(weir_transport_write_buffer_size(t) > 0);
    close(ends.read);
    UNTIL(record.lost);
    CHECK_EVENTS(&record, "made lost(EPIPE) ");
    return NULL;
}
IN_LOOP(D12_a_writer_with_bytes_queued_is_lost_with_EPIPE)

static weir_error *D12_a_socket_writer_survives_that_the_peer_half_closes(void *arg)
{
    static struct record record;
    weir_transport *t;
    int ends[2];
    char got[8];

    (void)arg;
    record = (struct record){0};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK_OK(weir_pipe_writer(weir_loop_current(), ends[0], &recording, &record, &t));
    CHECK(shutdown(ends[1], SHUT_WR) == 0);
    SETTLE();
    CHECK_OK(weir_transport_write(t, WEIR_SLICE("still")));
    SENT(t);
    CHECK(recv(ends[1], got, sizeof(got), MSG_DONTWAIT) == 5);
    close(ends[1]);
    UNTIL(record.lost);
    CHECK_EVENTS(&record, "made lost ");
    return NULL;
}
IN_LOOP(D12_a_socket_writer_survives_that_the_peer_half_closes)

static weir_error *reads_slowly(void *arg)
{
    weir_stream *in = arg;
    static char bytes[WEIR_STREAM_LIMIT];
    size_t n, total = 0;

    do {
        CHECK_OK(weir_stream_read(in, bytes, 3000, &n));
        CHECK(is_pattern(bytes, n, total));
        total += n;
    } while (n);
    CHECK(total == (size_t)1024 * 1024);
    return weir_stream_close(in);
}

static weir_error *D12_a_mebibyte_passes_a_pipe_between_two_tasks(void *arg)
{
    static char bytes[4096];
    weir_stream *in, *out;
    struct pipe_ends ends;
    weir_task *reader;

    (void)arg;
    CHECK(make_pipe(&ends));
    CHECK_OK(weir_pipe_reader_stream(ends.read, &in));
    CHECK_OK(weir_pipe_writer_stream(ends.write, &out));
    CHECK_CODE(weir_stream_read(out, bytes, 1, &(size_t){0}), WEIR_EUNSUPPORTED);
    CHECK_OK(weir_spawn(reads_slowly, in, &reader));
    for (size_t at = 0; at < (size_t)1024 * 1024; at += sizeof(bytes)) {
        fill_pattern(bytes, sizeof(bytes), at);
        CHECK_OK(weir_stream_write(out, bytes, sizeof(bytes)));
    }
    CHECK_OK(weir_stream_close(out));
    CHECK_OK(weir_task_await(reader));
    weir_task_unref(reader);
    return NULL;
}
IN_LOOP(D12_a_mebibyte_passes_a_pipe_between_two_tasks)

/* What is refused, and what stays as it was */

static weir_error *D12_other_kinds_are_refused_in_words_and_stay_the_callers(void *arg)
{
    char path[] = "/tmp/weir-pipe-XXXXXX", text[512];
    int file = mkstemp(path), null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int datagram = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int folder = open("/", O_RDONLY | O_CLOEXEC);
    struct pipe_ends ends;
    weir_stream *stream;
    weir_error *error;

    (void)arg;
    CHECK(file >= 0 && unlink(path) == 0 && null >= 0 && datagram >= 0 && make_pipe(&ends));
    error = weir_pipe_reader_stream(file, &stream);
    weir_error_print(error, text, sizeof(text));
    CHECK_CODE(error, WEIR_EINVAL);
    CHECK(strstr(text, "a regular file") && strstr(text, "weir_executor_call()"));
    CHECK_CODE(weir_pipe_reader_stream(folder, &stream), WEIR_EINVAL);
    CHECK_CODE(weir_pipe_duplex_stream(datagram, &stream), WEIR_EINVAL);
    CHECK_CODE(weir_pipe_writer_stream(null, &stream), EPERM);
    CHECK_CODE(weir_pipe_writer_stream(ends.read, &stream), WEIR_EINVAL);
    CHECK_CODE(weir_pipe_reader_stream(ends.write, &stream), WEIR_EINVAL);
    CHECK_CODE(weir_pipe_reader_stream(-1, &stream), EBADF);
    CHECK(close(file) == 0 && close(null) == 0 && close(datagram) == 0 && close(folder) == 0);
    CHECK(close(ends.read) == 0 && close(ends.write) == 0);
    return NULL;
}
IN_LOOP(D12_other_kinds_are_refused_in_words_and_stay_the_callers)

static weir_error *D12_others_who_share_a_pipe_see_it_blocking_still(void *arg)
{
    struct pipe_ends ends;
    weir_stream *stream;
    int shared;

    (void)arg;
    CHECK(make_pipe(&ends));
    shared = dup(ends.read);
    CHECK_OK(weir_pipe_reader_stream(ends.read, &stream));
    CHECK(!is_nonblocking(shared));
    CHECK(weir_stream_transport(stream)->file.fd == ends.read && is_nonblocking(ends.read));
    CHECK(fcntl(ends.read, F_GETFD) & FD_CLOEXEC);
    weir_stream_abort(stream);
    close(shared);
    close(ends.write);
    return NULL;
}
IN_LOOP(D12_others_who_share_a_pipe_see_it_blocking_still)

static weir_error *D12_the_shells_terminal_is_not_made_non_blocking(void *arg)
{
    int master, terminal, shared;
    weir_stream *stream;
    char line[16];
    size_t n;

    (void)arg;
    CHECK(openpty(&master, &terminal, NULL, NULL, NULL) == 0);
    shared = dup(terminal);
    CHECK_OK(weir_pipe_duplex_stream(terminal, &stream));
    CHECK(!is_nonblocking(shared));
    CHECK(strncmp(weir_transport_peer_name(weir_stream_transport(stream)), "/dev/pts/", 9) == 0);
    CHECK(put(master, "typed\n"));
    CHECK_OK(weir_stream_read_line(stream, line, sizeof(line), &n));
    CHECK(strcmp(line, "typed") == 0);
    CHECK_OK(weir_stream_write(stream, "shown", 5));
    CHECK_OK(weir_stream_close(stream));
    close(shared);
    close(master);
    return NULL;
}
IN_LOOP(D12_the_shells_terminal_is_not_made_non_blocking)

/* Bare descriptors */

struct fd_task {
    int fd;
    weir_error *(*wait)(int fd);
    bool ready;
};

static weir_error *until_readable(int fd)
{
    return weir_fd_wait_readable(fd);
}

static weir_error *until_writable(int fd)
{
    return weir_fd_wait_writable(fd);
}

static weir_error *waits_for_fd(void *arg)
{
    struct fd_task *task = arg;

    WEIR_TRY(task->wait(task->fd));
    task->ready = true;
    return NULL;
}

static weir_error *D12_two_tasks_wait_for_one_descriptor_in_both_directions(void *arg)
{
    int ends[2];
    char bytes[4096] = "";
    struct fd_task reading = {.wait = until_readable}, writing = {.wait = until_writable};
    weir_task *reader, *writer;

    (void)arg;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    while (write(ends[0], bytes, sizeof(bytes)) > 0)
        continue;
    reading.fd = writing.fd = ends[0];
    CHECK_OK(weir_spawn(waits_for_fd, &reading, &reader));
    CHECK_OK(weir_spawn(waits_for_fd, &writing, &writer));
    SETTLE();
    CHECK(!reading.ready && !writing.ready);
    CHECK_CODE(weir_fd_wait_readable(ends[0]), WEIR_EBUSY);
    CHECK(put(ends[1], "x"));
    CHECK_OK(weir_task_await(reader));
    CHECK(reading.ready && !writing.ready);
    while (read(ends[1], bytes, sizeof(bytes)) > 0)
        continue;
    CHECK_OK(weir_task_await(writer));
    weir_task_unref(reader);
    weir_task_unref(writer);
    close(ends[0]);
    close(ends[1]);
    return NULL;
}
IN_LOOP(D12_two_tasks_wait_for_one_descriptor_in_both_directions)

static weir_error *T40_D12_a_cancelled_wait_for_a_descriptor_leaves_nothing(void *arg)
{
    struct pipe_ends ends;
    struct fd_task waiting = {.wait = until_readable};
    weir_task *task;

    (void)arg;
    CHECK(make_pipe(&ends));
    waiting.fd = ends.read;
    CHECK_OK(weir_spawn(waits_for_fd, &waiting, &task));
    SETTLE();
    CHECK(weir_task_cancel(task));
    CHECK_CODE(weir_task_await(task), WEIR_ECANCELED);
    weir_task_unref(task);
    CHECK(!weir__loop_watched(weir_loop_current(), ends.read, false));
    {
        WEIR_TIMEOUT(limit, WEIR_MS(1));
        CHECK_CODE(weir_fd_wait_readable(ends.read), WEIR_ETIMEDOUT);
    }
    CHECK(put(ends.write, "x"));
    CHECK_OK(weir_fd_wait_readable(ends.read));
    close(ends.read);
    close(ends.write);
    return NULL;
}
IN_LOOP(T40_D12_a_cancelled_wait_for_a_descriptor_leaves_nothing)

static weir_error *D12_a_regular_file_cannot_be_waited_for(void *arg)
{
    char path[] = "/tmp/weir-pipe-XXXXXX";
    int file = mkstemp(path);

    (void)arg;
    CHECK(file >= 0 && unlink(path) == 0);
    CHECK_CODE(weir_fd_wait_readable(file), EPERM);
    CHECK_CODE(weir_fd_wait_writable(-1), EBADF);
    close(file);
    return NULL;
}
IN_LOOP(D12_a_regular_file_cannot_be_waited_for)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(D12_a_reader_receives_then_sees_the_end_and_is_lost),
        IN_LOOP_TEST(D12_a_paused_reader_receives_nothing_until_resumed),
        IN_LOOP_TEST(D12_a_fifo_is_read_as_a_stream),
        IN_LOOP_TEST(D12_a_writer_sends_and_write_eof_closes_it),
        IN_LOOP_TEST(D12_an_idle_writer_notices_that_the_reader_closed),
        IN_LOOP_TEST(D12_a_writer_with_bytes_queued_is_lost_with_EPIPE),
        IN_LOOP_TEST(D12_a_socket_writer_survives_that_the_peer_half_closes),
        IN_LOOP_TEST(D12_a_mebibyte_passes_a_pipe_between_two_tasks),
        IN_LOOP_TEST(D12_other_kinds_are_refused_in_words_and_stay_the_callers),
        IN_LOOP_TEST(D12_others_who_share_a_pipe_see_it_blocking_still),
        IN_LOOP_TEST(D12_the_shells_terminal_is_not_made_non_blocking),
        IN_LOOP_TEST(D12_two_tasks_wait_for_one_descriptor_in_both_directions),
        IN_LOOP_TEST(T40_D12_a_cancelled_wait_for_a_descriptor_leaves_nothing),
        IN_LOOP_TEST(D12_a_regular_file_cannot_be_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
