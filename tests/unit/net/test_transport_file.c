/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir_transport_send_file(): files from protocols that are made of callbacks. What goes where, who
 * hears of it and when, and what sendfile(2) may do meanwhile.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <weir/executor.h>

#include "core/net/send_file.h"
#include "tests/unit/net/net_test.h"
#include "tests/unit/net/tls_test.h"

#define SIZE ((size_t)1024 * 1024 + 777)

/* A file under way to a peer. */
struct sending {
    struct record record;
    weir_transport *t;
    int fd, peer;
    unsigned told;
    bool lost_before; /* connection_lost came first */
    uint64_t sent;
    weir_code code;
    void (*then)(struct sending *sending);
    size_t got; /* by the peer */
    char bytes[SIZE + 100];
};

static void on_done(weir_transport *t, uint64_t sent, weir_error *take_error, void *arg)
{
    struct sending *sending = arg;

    EXPECT(t == sending->t);
    sending->told++;
    sending->sent = sent;
    sending->code = take_error ? weir_error_code(take_error) : 0;
    sending->lost_before = sending->record.lost;
    weir_ignore(take_error);
    if (sending->then)
        sending->then(sending);
}

static weir_error *send_part(struct sending *sending, uint64_t offset, uint64_t length)
{
    weir_send_file_options options = {WEIR_SIZED(weir_send_file_options),
                                      .fd = sending->fd,
                                      .offset = offset,
                                      .length = length,
                                      .done = on_done,
                                      .arg = sending};

    return weir_transport_send_file(sending->t, &options);
}

/* A connection, and an open file that is `size` bytes long. */
static weir_error *begin(struct sending **ret, size_t size)
{
    struct sending *sending = calloc(1, sizeof(*sending));

    CHECK(sending);
    sending->record.no_text = true;
    sending->fd = pattern_file(size);
    sending->t = pair_transport(&recording, &sending->record, &sending->peer);
    CHECK(sending->fd >= 0 && sending->t);
    weir_transport_ref(sending->t);
    *ret = sending;
    return NULL;
}

static weir_error *end(struct sending *sending)
{
    weir_transport_abort(sending->t, NULL);
    UNTIL(sending->record.lost);
    CHECK(!sending->lost_before);
    weir_transport_unref(sending->t);
    close(sending->fd);
    close(sending->peer);
    free(sending);
    return NULL;
}

static size_t got(struct sending *sending)
{
    return receive_more(sending->peer, sending->bytes, sizeof(sending->bytes), &sending->got);
}

static bool peer_sees_end(const struct sending *sending)
{
    char byte;

    return receive_some(sending->peer, &byte, 1) == 0;
}

static weir_error *T68_a_protocol_sends_any_part_and_is_told_later(void *arg)
{
    static const struct {
        uint64_t offset, length, wanted;
    } parts[] = {
        {0, SIZE, SIZE},  {0, INT64_MAX, SIZE}, {1, 100000, 100000}, {4097, 65536, 65536},
        {SIZE - 1, 1, 1}, {1000, 0, 0},         {SIZE - 5, SIZE, 5}, {SIZE + 1, 10, 0},
    };

    (void)arg;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct sending *sending;

        CHECK_OK(begin(&sending, SIZE));
        CHECK(lseek(sending->fd, 4711, SEEK_SET) == 4711);
        CHECK_OK(send_part(sending, parts[i].offset, parts[i].length));
        CHECK(!sending->told);
        UNTIL(got(sending) >= parts[i].wanted && sending->told);
        CHECK(sending->sent == parts[i].wanted && !sending->code && sending->told == 1);
        SETTLE();
        CHECK(got(sending) == parts[i].wanted);
        CHECK(is_pattern(sending->bytes, sending->got, parts[i].offset));
        CHECK(lseek(sending->fd, 0, SEEK_CUR) == 4711);
        UNTIL(weir_transport_bytes_sent(sending->t) == parts[i].wanted);
        CHECK(sending->record.pauses == sending->record.resumes && sending->record.pauses < 2);
        CHECK_OK(end(sending));
    }
    return NULL;
}
IN_LOOP(T68_a_protocol_sends_any_part_and_is_told_later)

static unsigned released;

static void on_release(void *owner)
{
    (void)owner;
    released++;
}

static weir_error *T68_until_it_is_done_nothing_else_is_written(void *arg)
{
    weir_slice word = WEIR_SLICE("word");
    struct sending *sending;

    (void)arg;
    CHECK_OK(begin(&sending, SIZE));
    CHECK_OK(weir_transport_write(sending->t, WEIR_SLICE("before")));
    CHECK_OK(send_part(sending, 0, SIZE));
    CHECK(sending->record.pauses == 1 && !sending->record.resumes);
    released = 0;
    CHECK_CODE(weir_transport_write(sending->t, word), WEIR_EBUSY);
    CHECK_CODE(weir_transport_writev(sending->t, &word, 1), WEIR_EBUSY);
    CHECK_CODE(weir_transport_write_owned(sending->t, word, on_release, NULL), WEIR_EBUSY);
    CHECK(released == 1);
    CHECK_CODE(weir_transport_write_eof(sending->t), WEIR_EBUSY);
    CHECK_CODE(send_part(sending, 0, 1), WEIR_EBUSY);
    CHECK_CODE(
        weir_transport_set_protocol(sending->t, &recording, &sending->record, WEIR_SLICE(""), NULL),
        WEIR_EBUSY);
    CHECK(!weir_transport_is_closing(sending->t));
    UNTIL(got(sending) >= 6 + SIZE && sending->told);
    UNTIL(sending->record.resumes == 1);
    CHECK_OK(weir_transport_write(sending->t, WEIR_SLICE("after")));
    UNTIL(got(sending) >= 6 + SIZE + 5);
    CHECK(memcmp(sending->bytes, "before", 6) == 0 && is_pattern(sending->bytes + 6, SIZE, 0));
    CHECK(memcmp(sending->bytes + 6 + SIZE, "after", 5) == 0);
    CHECK(sending->told == 1 && sending->record.pauses == 1);
    CHECK_OK(end(sending));
    return NULL;
}
IN_LOOP(T68_until_it_is_done_nothing_else_is_written)

static weir_error *T68_what_is_corked_leaves_before_it(void *arg)
{
    struct sending *sending;

    (void)arg;
    for (size_t length = 1000; length <= SIZE; length += SIZE - 1000) {
        CHECK_OK(begin(&sending, SIZE));
        weir_transport_cork(sending->t);
        CHECK_OK(weir_transport_write(sending->t, WEIR_SLICE("head")));
        CHECK_OK(send_part(sending, 0, length));
        SETTLE();
        CHECK(got(sending) == 0);
        weir_transport_uncork(sending->t);
        UNTIL(got(sending) >= 4 + length && sending->told);
        CHECK(memcmp(sending->bytes, "head", 4) == 0);
        CHECK(is_pattern(sending->bytes + 4, length, 0));
        CHECK_OK(end(sending));
    }
    return NULL;
}
IN_LOOP(T68_what_is_corked_leaves_before_it)

static void sends_the_first_byte(struct sending *sending)
{
    sending->then = NULL;
    EXPECT(!send_part(sending, 0, 1));
}

static weir_error *T68_the_next_one_may_begin_where_the_last_was_told(void *arg)
{
    struct sending *sending;

    (void)arg;
    CHECK_OK(begin(&sending, SIZE));
    sending->then = sends_the_first_byte;
    CHECK_OK(send_part(sending, 0, SIZE));
    UNTIL(got(sending) >= SIZE + 1 && sending->told == 2);
    UNTIL(sending->record.resumes == 1);
    CHECK(sending->sent == 1 && sending->record.pauses == 1);
    CHECK_OK(end(sending));
    return NULL;
}
IN_LOOP(T68_the_next_one_may_begin_where_the_last_was_told)

static weir_error *T68_close_sends_it_to_its_end_first(void *arg)
{
    struct sending *sending;

    (void)arg;
    CHECK_OK(begin(&sending, SIZE));
    CHECK_OK(send_part(sending, 0, SIZE));
    weir_transport_close(sending->t);
    CHECK(weir_transport_is_closing(sending->t) && !sending->told);
    CHECK_CODE(weir_transport_write(sending->t, WEIR_SLICE("x")), WEIR_ECLOSED);
    UNTIL(got(sending) >= SIZE);
    UNTIL(sending->record.lost);
    CHECK(peer_sees_end(sending) && is_pattern(sending->bytes, SIZE, 0));
    CHECK(sending->told == 1 && !sending->code && sending->sent == SIZE);
    CHECK(!sending->record.reason);
    CHECK_OK(end(sending));
    return NULL;
}
IN_LOOP(T68_close_sends_it_to_its_end_first)

static weir_error *T68_an_abort_is_told_before_connection_lost(void *arg)
{
    struct sending *sending;

    (void)arg;
    CHECK_OK(begin(&sending, SIZE));
    CHECK_OK(send_part(sending, 0, SIZE));
    weir_transport_abort(sending->t, weir_raise(EIO, "enough"));
    CHECK(!sending->told);
    UNTIL(sending->record.lost);
    CHECK(sending->told == 1 && sending->code == EIO && sending->sent < SIZE);
    CHECK_CODE(send_part(sending, 0, 1), WEIR_ECLOSED);
    CHECK(weir_transport_cancel_file(sending->t) == 0);
    CHECK_OK(end(sending));
    return NULL;
}
IN_LOOP(T68_an_abort_is_told_before_connection_lost)

/* In order and by a reset, before anything has been read and in the middle. */
static weir_error *T68_a_peer_that_leaves_is_told_once(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < 4; i++) {
        struct sending *sending;

        CHECK_OK(begin(&sending, SIZE));
        CHECK_OK(send_part(sending, 0, SIZE));
        UNTIL(got(sending) >= (i % 2 ? SIZE / 2 : 0));
        if (i < 2)
            close(sending->peer);
        else
            close_with_reset(sending->peer);
        sending->peer = -1;
        UNTIL(sending->told);
        CHECK(sending->code && sending->sent < SIZE);
        UNTIL(sending->record.lost);
        CHECK(sending->told == 1);
        CHECK_OK(end(sending));
    }
    return NULL;
}
IN_LOOP(T68_a_peer_that_leaves_is_told_once)

/* Read from or not: a failed send is told at once. */
static weir_error *T68_a_peer_that_leaves_a_connection_that_is_not_read(void *arg)
{
    struct sending *sending;

    (void)arg;
    CHECK_OK(begin(&sending, SIZE));
    weir_transport_pause_reading(sending->t);
    CHECK_OK(send_part(sending, 0, SIZE));
    close(sending->peer);
    sending->peer = -1;
    UNTIL(sending->record.lost);
    CHECK(sending->told == 1 && sending->code);
    CHECK_OK(end(sending));
    return NULL;
}
IN_LOOP(T68_a_peer_that_leaves_a_connection_that_is_not_read)

static weir_error *T68_a_file_that_becomes_shorter_gives_fewer_bytes(void *arg)
{
    struct sending *sending;

    (void)arg;
    CHECK_OK(begin(&sending, SIZE));
    CHECK_OK(send_part(sending, 0, SIZE));
    CHECK(!sending->told);
    CHECK(ftruncate(sending->fd, 5) == 0);
    UNTIL(got(sending) <= SIZE && sending->told);
    UNTIL(weir_transport_write_buffer_size(sending->t) == 0);
    CHECK(!sending->code && sending->sent < SIZE && got(sending) == sending->sent);
    CHECK_OK(weir_transport_write(sending->t, WEIR_SLICE("on")));
    CHECK_OK(end(sending));
    return NULL;
}
IN_LOOP(T68_a_file_that_becomes_shorter_gives_fewer_bytes)

/* One byte more is promised than there is. */
static weir_error *promises_too_much(weir_transport *t, void *state, const void *config)
{
    struct sending *sending = (struct sending *)(uintptr_t)config;

    (void)state;
    sending->t = t;
    WEIR_TRY(send_part(sending, 0, SIZE + 1));
    weir_transport_close(t);
    return NULL;
}

static const weir_protocol promising = {WEIR_SIZED(weir_protocol), .name = "promising",
                                        .connection_made = promises_too_much};

static weir_error *T68_a_cut_file_does_not_end_in_order(void *arg)
{
    static struct sending sending;
    weir_server *server;
    ssize_t n;

    (void)arg;
    memset(&sending, 0, sizeof(sending));
    sending.fd = pattern_file(SIZE);
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &promising, &sending, &server));
    sending.peer = raw_connect(weir_server_name(server));
    CHECK(sending.fd >= 0 && sending.peer >= 0);
    UNTIL((n = receive_some(sending.peer, sending.bytes, sizeof(sending.bytes))) == 0 || n == -2);
    CHECK(n == -2);
    CHECK(sending.told == 1 && !sending.code && sending.sent == SIZE);
    close(sending.peer);
    close(sending.fd);
    CHECK_OK(end_server(server));
    return NULL;
}
IN_LOOP(T68_a_cut_file_does_not_end_in_order)

static weir_error *T68_what_cannot_be_read_leaves_the_connection_open(void *arg)
{
    struct sending *sending;
    int file;

    (void)arg;
    CHECK_OK(begin(&sending, SIZE));
    file = sending->fd;
    sending->fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_OK(send_part(sending, 0, 10));
    UNTIL(sending->told);
    CHECK(sending->code == EISDIR && sending->sent == 0);
    close(sending->fd);
    sending->fd = -1;
    CHECK_OK(send_part(sending, 0, 10));
    UNTIL(sending->told == 2);
    CHECK(sending->code == EBADF);
    sending->fd = file;
    CHECK_CODE(send_part(sending, UINT64_MAX, 1), WEIR_EINVAL);
    CHECK_CODE(send_part(sending, 1, INT64_MAX), WEIR_EINVAL);
    CHECK_OK(send_part(sending, 0, 10));
    UNTIL(sending->told == 3 && got(sending) == 10);
    CHECK_OK(end(sending));
    return NULL;
}
IN_LOOP(T68_what_cannot_be_read_leaves_the_connection_open)

static weir_error *T68_cancelled_it_tells_nobody_and_how_much_went(void *arg)
{
    struct sending *sending;
    uint64_t sent;

    (void)arg;
    CHECK_OK(begin(&sending, SIZE));
    CHECK_OK(send_part(sending, 0, SIZE));
    UNTIL(got(sending) > 0);
    sent = weir_transport_cancel_file(sending->t);
    CHECK(sent >= sending->got && sent < SIZE);
    UNTIL(got(sending) == sent && sending->record.pauses == sending->record.resumes);
    CHECK_OK(weir_transport_write(sending->t, WEIR_SLICE("x")));
    UNTIL(got(sending) == sent + 1);
    CHECK(!sending->told && sending->record.pauses == sending->record.resumes);
    CHECK(weir_transport_cancel_file(sending->t) == 0);
    CHECK_OK(end(sending));
    return NULL;
}
IN_LOOP(T68_cancelled_it_tells_nobody_and_how_much_went)

/* What sendfile(2) may do. */

static unsigned calls;
static int failure; /* of each second call; 0: it moves little */

static ssize_t faulty_sendfile(int out, int in, off_t *offset, size_t count)
{
    if (failure && calls++ % 2 == 0) {
        errno = failure;
        return -1;
    }
    calls += !failure;
    return sendfile(out, in, offset, count < 10007 ? count : 10007);
}

static weir_error *T68_sendfile_may_move_little_be_interrupted_or_refuse(void *arg)
{
    /* All but EINTR: it is left to reading and sending. A small buffer brings EAGAIN by itself. */
    static const int failures[] = {0, EINTR, EINVAL, ENOSYS, EIO};
    int little = 4096;

    (void)arg;
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        struct sending *sending;

        calls = 0;
        failure = failures[i];
        weir__file_sendfile = faulty_sendfile;
        CHECK_OK(begin(&sending, SIZE));
        CHECK(setsockopt(sending->t->file.fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)) == 0);
        CHECK_OK(send_part(sending, 0, SIZE));
        UNTIL(got(sending) >= SIZE && sending->told);
        weir__file_sendfile = sendfile;
        CHECK(sending->sent == SIZE && !sending->code && is_pattern(sending->bytes, SIZE, 0));
        UNTIL(weir_transport_bytes_sent(sending->t) == SIZE);
        CHECK_OK(end(sending));
    }
    return NULL;
}
IN_LOOP(T68_sendfile_may_move_little_be_interrupted_or_refuse)

/* Reading elsewhere: procfs has no reading without waiting. */

static weir_error *holds(void *arg)
{
    char byte;

    return read(*(int *)arg, &byte, 1) == 0 ? NULL : weir_raise(EIO, "a pipe");
}

static bool holds_one(const weir_executor *executor)
{
    weir_executor_stats stats = {WEIR_SIZED(weir_executor_stats)};

    weir_executor_get_stats(executor, &stats);
    return stats.busy == 1 && !stats.queued;
}

static weir_error *T68_a_full_executor_is_asked_again(void *arg)
{
    weir_executor_options options = {WEIR_SIZED(weir_executor_options), .threads = 1, .queue = 1,
                                     .reject_when_full = true};
    char text[300] = "";
    struct sending *sending;
    weir_executor *executor;
    int ends[2], version = open("/proc/version", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(version, text, sizeof(text));

    (void)arg;
    CHECK(n > 0 && pipe2(ends, O_CLOEXEC) == 0);
    CHECK_OK(weir_executor_new(&options, &executor));
    weir_loop_set_executor(weir_loop_current(), WEIR_EXECUTOR_FILE, executor);
    CHECK_OK(weir_executor_submit(executor, holds, &ends[0], NULL, NULL));
    UNTIL(holds_one(executor));
    CHECK_OK(weir_executor_submit(executor, holds, &ends[0], NULL, NULL));
    CHECK_OK(begin(&sending, 1));
    close(sending->fd);
    sending->fd = version;
    CHECK_OK(send_part(sending, 0, INT64_MAX));
    SETTLE();
    CHECK(!sending->told);
    close(ends[1]);
    UNTIL(sending->told);
    CHECK(!sending->code && sending->sent == (uint64_t)n);
    UNTIL(got(sending) == (size_t)n);
    CHECK(memcmp(sending->bytes, text, (size_t)n) == 0);
    CHECK_OK(end(sending));
    CHECK_OK(weir_executor_join(executor, WEIR_S(10)));
    weir_executor_unref(executor);
    close(ends[0]);
    return NULL;
}
IN_LOOP(T68_a_full_executor_is_asked_again)

/* Lost, or cancelled, while a thread reads for it. */
static weir_error *T68_it_may_end_while_a_thread_reads(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        struct sending *sending;

        CHECK_OK(begin(&sending, 1));
        close(sending->fd);
        sending->fd = open("/proc/version", O_RDONLY | O_CLOEXEC);
        CHECK_OK(send_part(sending, 0, 100));
        if (i == 0)
            CHECK(weir_transport_cancel_file(sending->t) == 0);
        CHECK_OK(end(sending));
    }
    return NULL;
}
IN_LOOP(T68_it_may_end_while_a_thread_reads)

/* Over TLS. */

static void closes(weir_transport *t, uint64_t sent, weir_error *take_error, void *arg)
{
    (void)arg;
    EXPECT(!take_error && sent == SIZE);
    weir_transport_close(t);
}

static weir_error *serves_a_file(weir_transport *t, void *state, const void *config)
{
    weir_send_file_options options = {WEIR_SIZED(weir_send_file_options),
                                      .fd = *(const int *)config, .length = SIZE, .done = closes};
    weir_error *error = weir_transport_send_file(t, &options);

    (void)state;
    return error;
}

static weir_error *serves_a_file_and_closes(weir_transport *t, void *state, const void *config)
{
    WEIR_TRY(serves_a_file(t, state, config));
    weir_transport_close(t);
    return NULL;
}

static const weir_protocol serving = {WEIR_SIZED(weir_protocol), .name = "files",
                                      .connection_made = serves_a_file};
static const weir_protocol closing = {WEIR_SIZED(weir_protocol), .name = "files",
                                      .connection_made = serves_a_file_and_closes};

/* The end of TLS comes after it. */
static weir_error *T68_over_tls_from_callbacks(void *arg)
{
    static char bytes[SIZE];
    int fd = pattern_file(SIZE);

    (void)arg;
    for (int i = 0; i < 2; i++) {
        struct both both;
        weir_stream *s;
        size_t n;

        CHECK_OK(both_begin(&both, &ec, i ? &closing : &serving, &fd));
        CHECK_OK(connect_tls(both.server, both.client_side, "a.test", &s));
        CHECK_OK(weir_stream_read_exactly(s, bytes, SIZE));
        CHECK(is_pattern(bytes, SIZE, 0));
        CHECK_OK(weir_stream_read(s, bytes, 1, &n));
        CHECK(n == 0);
        CHECK_OK(weir_stream_close(s));
        CHECK_OK(both_end(&both));
    }
    close(fd);
    return NULL;
}
IN_LOOP(T68_over_tls_from_callbacks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T68_a_protocol_sends_any_part_and_is_told_later),
        IN_LOOP_TEST(T68_until_it_is_done_nothing_else_is_written),
        IN_LOOP_TEST(T68_what_is_corked_leaves_before_it),
        IN_LOOP_TEST(T68_the_next_one_may_begin_where_the_last_was_told),
        IN_LOOP_TEST(T68_close_sends_it_to_its_end_first),
        IN_LOOP_TEST(T68_an_abort_is_told_before_connection_lost),
        IN_LOOP_TEST(T68_a_peer_that_leaves_is_told_once),
        IN_LOOP_TEST(T68_a_peer_that_leaves_a_connection_that_is_not_read),
        IN_LOOP_TEST(T68_a_file_that_becomes_shorter_gives_fewer_bytes),
        IN_LOOP_TEST(T68_a_cut_file_does_not_end_in_order),
        IN_LOOP_TEST(T68_what_cannot_be_read_leaves_the_connection_open),
        IN_LOOP_TEST(T68_cancelled_it_tells_nobody_and_how_much_went),
        IN_LOOP_TEST(T68_sendfile_may_move_little_be_interrupted_or_refuse),
        IN_LOOP_TEST(T68_a_full_executor_is_asked_again),
        IN_LOOP_TEST(T68_it_may_end_while_a_thread_reads),
        IN_LOOP_TEST(T68_over_tls_from_callbacks),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("transport file", tests, tls_test_begin, tls_test_end);
}
