/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backends, each by the same tests: completions, their order, what is held and what is fair.
 * Without io_uring here only epoll's part runs.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/chunk.h"
#include "core/io/epoll.h"
#include "tests/unit/loop/loop_test.h"

/* One end of a connection as a transport would hold it. */
struct end {
    struct io_file file;
    size_t received;
    int receives; /* completions */
    int ended;    /* -1: not yet */
    ssize_t sent;
    int connected;
    int hangups;
    int accepted[64];
    int naccepted;
    struct end *victim; /* closed by the first completion */
    bool stops;         /* the receive stops itself */
    char last[32];
};

static struct io_backend *io;
static const char *backend; /* of this test */

static void close_end(struct end *end)
{
    io->ops->close(io, &end->file, false);
}

static void close_victim(struct end *end)
{
    if (end->victim)
        close_end(end->victim);
    end->victim = NULL;
}

static void on_received(struct io_file *file, weir_chunk *chunk, size_t offset, size_t len)
{
    struct end *end = container_of(file, struct end, file);
    size_t n = len < sizeof(end->last) - 1 ? len : sizeof(end->last) - 1;

    memcpy(end->last, (char *)weir_chunk_data(chunk) + offset, n);
    end->last[n] = '\0';
    end->received += len;
    end->receives++;
    weir_chunk_unref(chunk);
    if (end->stops)
        io->ops->receive_stop(io, file);
    close_victim(end);
}

static void on_receive_ended(struct io_file *file, int result)
{
    struct end *end = container_of(file, struct end, file);

    end->ended = -result;
    close_victim(end);
}

static void on_accepted(struct io_file *file, int result, const struct sockaddr *peer,
                        socklen_t length)
{
    struct end *end = container_of(file, struct end, file);

    (void)peer;
    (void)length;
    end->accepted[end->naccepted++] = result;
}

static void on_connected(struct io_file *file, int result)
{
    container_of(file, struct end, file)->connected = result;
}

static void on_sent(struct io_file *file, ssize_t result)
{
    container_of(file, struct end, file)->sent = result;
}

static void on_hangup(struct io_file *file)
{
    container_of(file, struct end, file)->hangups++;
}

static const struct io_file_ops end_ops = {
    .received = on_received,
    .receive_ended = on_receive_ended,
    .accepted = on_accepted,
    .connected = on_connected,
    .sent = on_sent,
    .hangup = on_hangup,
};

static void end_init(struct end *end, int fd)
{
    *end = (struct end){.ended = -1, .connected = 1, .sent = 1};
    io_file_init(&end->file, &end_ops, fd, WEIR_HERE);
    OK(io->ops->add(io, &end->file));
}

static void loop_open(size_t max_chunks)
{
    weir_loop_options options = {WEIR_SIZED(weir_loop_options), .backend = backend,
                                 .max_chunks = max_chunks};

    OK(weir_loop_new(&options, &test.loop));
    io = weir__loop_io(test.loop);
}

static int io_setup(void **state)
{
    backend = *state;
    memset(&test, 0, sizeof(test));
    loop_open(0);
    return 0;
}

static void small_pool(size_t max_chunks)
{
    OK(weir_loop_close(test.loop));
    weir_loop_unref(test.loop);
    loop_open(max_chunks);
}

static bool on_uring(void)
{
    return strcmp(backend, "io_uring") == 0;
}

/* A registered end and the other descriptor. */
static int pair_open(struct end *end)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    end_init(end, fds[0]);
    return fds[1];
}

static void put(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void wait_for(int64_t ns)
{
    int events;

    OK(io->ops->wait(io, ns, &events));
    io->ops->dispatch(io);
}

static void wait_once(void)
{
    wait_for(1000000000);
}

static void wait_none(void)
{
    wait_for(0);
}

/* What one send moved, or -errno, now or when it has been done. */
static ssize_t send_out(struct end *end, const struct iovec *iov, int count)
{
    ssize_t n = io->ops->send(io, &end->file, iov, count);

    if (n != -EINPROGRESS)
        return n;
    end->sent = 1 << 30;
    while (end->sent == 1 << 30)
        wait_once();
    return end->sent;
}

static struct iovec piece(const char *text)
{
    return (struct iovec){(void *)(uintptr_t)text, strlen(text)};
}

static void bytes_arrive_in_a_chunk(void **state)
{
    struct end a;
    int peer = pair_open(&a);

    (void)state;
    io->ops->receive_start(io, &a.file);
    put(peer, "hello");
    wait_once();
    assert_string_equal(a.last, "hello");
    put(peer, "again");
    wait_once();

    assert_string_equal(a.last, "again");
    assert_int_equal(a.receives, 2);
    close_end(&a);
    close(peer);
}

static void the_end_of_the_stream_follows_the_last_bytes(void **state)
{
    struct end a;
    int peer = pair_open(&a);

    (void)state;
    io->ops->receive_start(io, &a.file);
    put(peer, "bye");
    close(peer);
    wait_once();

    assert_string_equal(a.last, "bye");
    assert_int_equal(a.ended, 0);
    close_end(&a);
}

static void a_half_closed_peer_is_an_end_too(void **state)
{
    struct end a;
    int peer = pair_open(&a);

    (void)state;
    io->ops->receive_start(io, &a.file);
    wait_none();
    put(peer, "x");
    wait_once();
    assert_int_equal(a.ended, -1);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    wait_once();

    assert_int_equal(a.ended, 0);
    close_end(&a);
    close(peer);
}

static void a_stopped_receive_delivers_nothing_until_it_starts_again(void **state)
{
    struct end a;
    int peer = pair_open(&a);

    (void)state;
    put(peer, "kept");
    wait_none();
    assert_int_equal(a.receives, 0);
    io->ops->receive_start(io, &a.file);
    assert_int_equal(a.receives, 0); /* never from inside the call */
    wait_none();
    assert_string_equal(a.last, "kept");
    io->ops->receive_stop(io, &a.file);
    put(peer, "more");
    wait_once();
    wait_none();
    assert_int_equal(a.receives, 1);
    io->ops->receive_start(io, &a.file);
    wait_none();

    assert_string_equal(a.last, "more");
    close_end(&a);
    close(peer);
}

static void a_receive_that_stops_itself_leaves_the_rest(void **state)
{
    static char bytes[3 * WEIR_CHUNK_SIZE];
    struct end a;
    int peer = pair_open(&a);

    (void)state;
    a.stops = true;
    io->ops->receive_start(io, &a.file);
    assert_int_equal(write(peer, bytes, sizeof(bytes)), sizeof(bytes));
    wait_once();
    wait_none();
    assert_int_equal(a.received, WEIR_CHUNK_SIZE);
    a.stops = false;
    io->ops->receive_start(io, &a.file);
    wait_none();

    assert_int_equal(a.received, sizeof(bytes));
    close_end(&a);
    close(peer);
}

static void set_buffers(int fd, int size)
{
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
}

static void a_fast_sender_does_not_keep_the_others_waiting(void **state)
{
    static char bytes[2 * IO_RECEIVE_BUDGET];
    struct end fast, slow;
    int fast_peer = pair_open(&fast), slow_peer = pair_open(&slow);
    ssize_t written;

    (void)state;
    set_buffers(fast_peer, sizeof(bytes));
    io->ops->receive_start(io, &fast.file);
    io->ops->receive_start(io, &slow.file);
    wait_none();
    written = write(fast_peer, bytes, sizeof(bytes));
    if (written <= (ssize_t)IO_RECEIVE_BUDGET)
        skip(); /* the kernel's maximum is less than the budget */
    put(slow_peer, "me too");
    wait_once();
    assert_in_range(fast.received, IO_RECEIVE_BUDGET, IO_RECEIVE_BUDGET + WEIR_CHUNK_SIZE);
    assert_string_equal(slow.last, "me too");
    wait_none();
    wait_none();

    assert_int_equal(fast.received, written);
    close_end(&fast);
    close_end(&slow);
    close(fast_peer);
    close(slow_peer);
}

static void close_and_free(struct io_file *file, weir_chunk *chunk, size_t offset, size_t len)
{
    struct end *end = container_of(file, struct end, file);

    (void)offset;
    (void)len;
    weir_chunk_unref(chunk);
    note('f');
    close_end(end);
    free(end);
}

static const struct io_file_ops freeing_ops = {.received = close_and_free};

static void a_file_may_be_closed_and_freed_in_its_own_completion(void **state)
{
    struct end *a = malloc(sizeof(*a));
    int peer = pair_open(a);

    (void)state;
    a->file.ops = &freeing_ops;
    io->ops->receive_start(io, &a->file);
    put(peer, "x");
    close(peer);
    wait_once();

    assert_string_equal(test.journal, "f");
}

static void a_neighbour_of_the_same_batch_may_be_closed(void **state)
{
    struct end a, b;
    int peer_a = pair_open(&a), peer_b = pair_open(&b);

    (void)state;
    a.victim = &b;
    b.victim = &a;
    io->ops->receive_start(io, &a.file);
    io->ops->receive_start(io, &b.file);
    put(peer_a, "x");
    put(peer_b, "x");
    wait_once();

    assert_int_equal(a.receives + b.receives, 1);
    close_end(a.receives ? &a : &b);
    close(peer_a);
    close(peer_b);
}

static void T15_an_event_of_an_earlier_user_of_the_descriptor_is_ignored(void **state)
{
    struct end a, b;
    int peer = pair_open(&a), shared = dup(a.file.fd), second;

    (void)state;
    /* The description lives on in `shared`, as it does in a forked child. */
    close_end(&a);
    second = pair_open(&b);
    wait_none();
    close(peer); /* hangs up the dead one */
    wait_none();
    assert_int_equal(b.hangups, 0);
    io->ops->receive_start(io, &b.file);
    put(second, "for b");
    wait_once();

    assert_string_equal(b.last, "for b");
    close_end(&b);
    close(second);
    close(shared);
}

/* Sending */

static void what_fits_is_sent_as_one(void **state)
{
    struct end a;
    int peer = pair_open(&a);
    struct iovec iov[2] = {piece("two "), piece("parts")};
    char text[16] = "";

    (void)state;
    assert_int_equal(send_out(&a, iov, 2), 9);
    assert_int_equal(read(peer, text, sizeof(text) - 1), 9);

    assert_string_equal(text, "two parts");
    close_end(&a);
    close(peer);
}

static void what_does_not_fit_is_sent_when_there_is_room(void **state)
{
    static char bytes[1 << 20], sink[1 << 20];
    struct end a;
    int peer = pair_open(&a);
    struct iovec iov = {bytes, sizeof(bytes)};
    ssize_t first = send_out(&a, &iov, 1), n;

    (void)state;
    a.sent = 1;
    assert_true(first > 0 && first < (ssize_t)sizeof(bytes));
    iov.iov_len = 100;
    assert_int_equal(io->ops->send(io, &a.file, &iov, 1), -EINPROGRESS);
    wait_none();
    assert_int_equal(a.sent, 1);
    while ((n = read(peer, sink, sizeof(sink))) > 0) {
    }
    while (a.sent == 1)
        wait_once();

    assert_int_equal(a.sent, 100);
    close_end(&a);
    close(peer);
}

static void a_send_to_a_closed_peer_fails_without_a_signal(void **state)
{
    struct end a;
    int peer = pair_open(&a);
    struct iovec iov = piece("x");

    (void)state;
    close(peer);

    assert_int_equal(send_out(&a, &iov, 1), -EPIPE);
    close_end(&a);
}

static void the_hangup_of_a_stopped_file_is_reported(void **state)
{
    struct end a;
    int peer = pair_open(&a);

    (void)state;
    wait_none();
    close(peer);
    wait_once();

    assert_int_equal(a.hangups, 1);
    assert_int_equal(a.receives, 0);
    close_end(&a);
}

static void pipes_are_files_too(void **state)
{
    struct end in, out;
    struct iovec iov = piece("through a pipe");
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    end_init(&in, fds[0]);
    end_init(&out, fds[1]);
    io->ops->receive_start(io, &in.file);
    assert_int_equal(io->ops->send(io, &out.file, &iov, 1), 14); /* pipes: at once */
    wait_once();
    assert_string_equal(in.last, "through a pipe");
    close_end(&out);
    while (in.ended == -1)
        wait_once();

    assert_int_equal(in.ended, 0);
    close_end(&in);
}

/* Listening and connecting */

static void listener_open(struct end *end, struct sockaddr_in *ret_address)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    end_init(end, fd);
    *ret_address = address;
}

static void client_open(struct end *end, const struct sockaddr_in *address)
{
    end_init(end, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    io->ops->connect(io, &end->file, (const struct sockaddr *)address, sizeof(*address));
}

static void a_connection_is_accepted_and_carries_bytes(void **state)
{
    struct sockaddr_in address;
    struct end listener, client, server;
    struct iovec iov = piece("ping");

    (void)state;
    listener_open(&listener, &address);
    io->ops->accept_start(io, &listener.file);
    client_open(&client, &address);
    assert_int_equal(client.connected, 1);
    while (client.connected == 1 || listener.naccepted == 0)
        wait_once();
    assert_int_equal(client.connected, 0);
    assert_true(fcntl(listener.accepted[0], F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(listener.accepted[0], F_GETFD) & FD_CLOEXEC);
    end_init(&server, listener.accepted[0]);
    io->ops->receive_start(io, &server.file);
    assert_int_equal(send_out(&client, &iov, 1), 4);
    while (!server.receives)
        wait_once();

    assert_string_equal(server.last, "ping");
    close_end(&server);
    close_end(&client);
    close_end(&listener);
}

static void a_refused_connection_is_reported(void **state)
{
    struct sockaddr_in address;
    struct end listener, client;

    (void)state;
    listener_open(&listener, &address);
    close_end(&listener);
    client_open(&client, &address);
    while (client.connected == 1)
        wait_once();

    assert_int_equal(client.connected, -ECONNREFUSED);
    close_end(&client);
}

static void a_connect_that_fails_at_once_is_reported_later(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/nonexistent/weir"};
    struct end client;

    (void)state;
    end_init(&client, socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    io->ops->connect(io, &client.file, (struct sockaddr *)&address, sizeof(address));
    assert_int_equal(client.connected, 1);
    wait_none();

    assert_int_equal(client.connected, -ENOENT);
    close_end(&client);
}

static void a_stopped_listener_leaves_connections_in_the_queue(void **state)
{
    struct sockaddr_in address;
    struct end listener, client;

    (void)state;
    listener_open(&listener, &address);
    io->ops->accept_start(io, &listener.file);
    io->ops->accept_stop(io, &listener.file);
    client_open(&client, &address);
    while (client.connected == 1)
        wait_once();
    wait_none();
    assert_int_equal(listener.naccepted, 0);
    io->ops->accept_start(io, &listener.file);
    wait_once();

    assert_int_equal(listener.naccepted, 1);
    close(listener.accepted[0]);
    close_end(&client);
    close_end(&listener);
}

static void running_out_of_descriptors_is_told_once_and_stops(void **state)
{
    struct sockaddr_in address;
    struct end listener, client, second;
    struct rlimit old, low;

    (void)state;
    listener_open(&listener, &address);
    client_open(&client, &address);
    while (client.connected == 1)
        wait_once();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = 3; /* less than what is open: the next one fails */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    io->ops->accept_start(io, &listener.file);
    wait_none();
    wait_none();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(listener.naccepted, 1);
    assert_int_equal(listener.accepted[0], -EMFILE);
    /* A second one: valgrind, which keeps the limit itself, has closed the first. */
    client_open(&second, &address);
    while (second.connected == 1)
        wait_once();
    io->ops->accept_start(io, &listener.file);
    wait_once();

    assert_in_range(listener.naccepted, 2, 3);
    for (int i = 1; i < listener.naccepted; i++)
        close(listener.accepted[i]);
    close_end(&client);
    close_end(&second);
    close_end(&listener);
}

/* Resources */

static void a_pool_that_runs_dry_serves_in_order_when_chunks_return(void **state)
{
    weir_chunk *held = NULL;
    struct end a;
    int peer;

    (void)state;
    small_pool(1);
    peer = pair_open(&a);
    OK(weir_chunk_new(1, &held));
    io->ops->receive_start(io, &a.file);
    put(peer, "patience");
    wait_once();
    wait_none();
    assert_int_equal(a.receives, 0);
    weir_chunk_unref(held);
    wait_none();

    assert_string_equal(a.last, "patience");
    close_end(&a);
    close(peer);
}

static void a_descriptor_is_registered_once_only(void **state)
{
    struct end a, twin;
    int peer = pair_open(&a);

    (void)state;
    twin = (struct end){0};
    io_file_init(&twin.file, &end_ops, a.file.fd, WEIR_HERE);
    FAILS(io->ops->add(io, &twin.file), WEIR_EBUSY);

    close_end(&a);
    close(peer);
}

static void timers_wait_no_less_than_asked_without_pwait2(void **state)
{
    int64_t start = weir_now().ns;

    (void)state;
    if (on_uring())
        return;
    weir__epoll_forget_pwait2(io);
    wait_for(1200000); /* 1.2 ms: rounded up to 2 */

    assert_true(weir_now().ns - start >= 1200000);
}

static weir_error *make_backend(void)
{
    struct io_backend *made;

    WEIR_TRY(weir__io_backend_new(backend, &made));
    made->ops->destroy(made);
    return NULL;
}

static void each_allocation_of_a_backend_may_fail(void **state)
{
    unsigned long failures;

    (void)state;
    FAIL_EACH_ALLOCATION(make_backend(), WEIR_ENOMEM, &failures);

    assert_int_equal(failures, 1);
}

/* Closing */

/* What the owner does with the bytes after the close is nothing to the peer. */
static void a_close_with_a_send_in_flight_lets_go_of_its_bytes(void **state)
{
    const size_t size = 1 << 20;
    char *bytes = malloc(size), seen[65536];
    struct iovec iov = {bytes, size};
    struct end a;
    int peer = pair_open(&a);
    ssize_t n;

    (void)state;
    memset(bytes, 'o', size);
    assert_true(send_out(&a, &iov, 1) > 0); /* the peer's buffer is full */
    iov.iov_len = 1000;
    assert_int_equal(io->ops->send(io, &a.file, &iov, 1), -EINPROGRESS);
    wait_none();
    close_end(&a);
    memset(bytes, 'n', size);
    wait_none();
    while ((n = read(peer, seen, sizeof(seen))) > 0)
        assert_null(memchr(seen, 'n', (size_t)n));

    assert_int_equal(n, 0);
    free(bytes);
    close(peer);
}

static void a_closed_file_gets_nothing_that_was_under_way(void **state)
{
    struct end a;
    int peer = pair_open(&a);
    struct iovec iov = piece("late");

    (void)state;
    io->ops->receive_start(io, &a.file);
    wait_none();
    put(peer, "too late");
    (void)io->ops->send(io, &a.file, &iov, 1);
    close_end(&a);
    wait_none();
    wait_none();

    assert_int_equal(a.receives, 0);
    assert_int_equal(a.ended, -1);
    assert_int_equal(a.sent, 1);
    close(peer);
}

static void the_address_of_a_closed_listener_is_free_at_once(void **state)
{
    struct sockaddr_in address;
    struct end listener;
    int again;

    (void)state;
    listener_open(&listener, &address);
    io->ops->accept_start(io, &listener.file);
    wait_none();
    close_end(&listener);
    again = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(again, (struct sockaddr *)&address, sizeof(address)), 0);

    assert_int_equal(listen(again, 1), 0);
    close(again);
}

/* Many at once */

#define MANY 400 /* more than the submission queue takes */

static void more_sends_than_the_queue_takes_carry_what_was_meant(void **state)
{
    static struct end ends[MANY];
    static char texts[MANY][16], copies[MANY][16];
    static struct iovec iovs[MANY];
    static int peers[MANY];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        peers[i] = pair_open(&ends[i]);
        snprintf(texts[i], sizeof(texts[i]), "%07d", i);
        iovs[i] = piece(texts[i]);
        if (io->ops->send(io, &ends[i].file, &iovs[i], 1) == -EINPROGRESS) {
            /* As a write does: the bytes move to where they may stay. */
            memcpy(copies[i], texts[i], sizeof(copies[i]));
            iovs[i].iov_base = copies[i];
        }
        memset(texts[i], 'x', sizeof(texts[i]));
    }
    wait_none();
    wait_none();
    for (int i = 0; i < MANY; i++) {
        char wanted[16], seen[16] = "";

        snprintf(wanted, sizeof(wanted), "%07d", i);
        assert_int_equal(read(peers[i], seen, sizeof(seen)), 7);
        assert_string_equal(seen, wanted);
        close_end(&ends[i]);
        close(peers[i]);
    }
}

static void receives_that_found_no_buffer_have_their_turns(void **state)
{
    static struct end ends[8];
    int peers[8];

    (void)state;
    small_pool(2);
    for (int i = 0; i < 8; i++) {
        peers[i] = pair_open(&ends[i]);
        io->ops->receive_start(io, &ends[i].file);
        put(peers[i], "one");
    }
    for (int i = 0; i < 20; i++)
        wait_none();
    for (int i = 0; i < 8; i++) {
        assert_string_equal(ends[i].last, "one");
        close_end(&ends[i]);
        close(peers[i]);
    }
}

/* What a stopped file may hold: on io_uring what had completed before it was stopped. */
#define RING_CHUNKS 128

static void
a_peer_that_sends_without_pause_is_bounded_and_the_others_keep_their_latency(void **state)
{
    static char bytes[64 * 1024];
    struct end fast, slow;
    int fast_peer = pair_open(&fast), slow_peer = pair_open(&slow);
    struct chunk_pool *pool = io->pool;
    size_t most = 0, seen;

    (void)state;
    set_buffers(fast_peer, 4 << 20);
    io->ops->receive_start(io, &fast.file);
    io->ops->receive_start(io, &slow.file);
    wait_none();
    for (int i = 0; i < 200; i++) {
        while (write(fast_peer, bytes, sizeof(bytes)) > 0) {
        }
        if (i % 2)
            io->ops->receive_start(io, &fast.file);
        else
            io->ops->receive_stop(io, &fast.file);
        seen = slow.received;
        put(slow_peer, "me");
        wait_none();
        if (slow.received == seen)
            wait_none(); /* held up by one iteration at most: no buffer was left */
        assert_int_equal(slow.received, seen + 2);
        most = pool->live > most ? pool->live : most;
    }
    assert_true(fast.received > 0);

    assert_in_range(most, 0, on_uring() ? RING_CHUNKS : 1);
    close_end(&fast);
    close_end(&slow);
    assert_int_equal(pool->live, 0);
    close(fast_peer);
    close(slow_peer);
}

/* Hangups of stopped files */

static void a_half_closed_peer_that_leaves_is_two_hangups(void **state)
{
    struct end a;
    int peer = pair_open(&a), seen;

    (void)state;
    wait_none();
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    wait_once();
    assert_true(a.hangups >= 1);
    for (int i = 0; i < 5; i++)
        wait_none();
    seen = a.hangups;
    wait_none();
    assert_int_equal(a.hangups, seen); /* told once, not in each iteration */
    close(peer);
    wait_once();

    assert_true(a.hangups > seen);
    close_end(&a);
}

static void a_reset_of_a_stopped_file_is_a_hangup_with_its_code(void **state)
{
    struct linger linger = {.l_onoff = 1};
    struct sockaddr_in address;
    struct end listener, client;
    socklen_t length = sizeof(int);
    int code = 0;

    (void)state;
    listener_open(&listener, &address);
    io->ops->accept_start(io, &listener.file);
    client_open(&client, &address);
    while (client.connected == 1 || listener.naccepted == 0)
        wait_once();
    io->ops->receive_start(io, &client.file);
    wait_none();
    io->ops->receive_stop(io, &client.file);
    assert_int_equal(
        setsockopt(listener.accepted[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    close(listener.accepted[0]);
    while (client.hangups == 0)
        wait_once();
    assert_int_equal(getsockopt(client.file.fd, SOL_SOCKET, SO_ERROR, &code, &length), 0);

    assert_int_equal(code ? code : -client.file.result, ECONNRESET);
    close_end(&client);
    close_end(&listener);
}

static void what_came_and_was_not_received_is_known(void **state)
{
    struct end a, b;
    int peer_a = pair_open(&a), peer_b = pair_open(&b);

    (void)state;
    io->ops->receive_start(io, &a.file);
    wait_none();
    wait_none();
    put(peer_a, "read");
    wait_once();
    put(peer_b, "not read");
    wait_none();
    assert_false(io->ops->has_unread(io, &a.file));

    assert_true(io->ops->has_unread(io, &b.file));
    close_end(&a);
    close_end(&b);
    close(peer_a);
    close(peer_b);
}

/* Waking */

static void *wakes(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        io->ops->wake(io);
    return NULL;
}

static void another_thread_ends_a_wait(void **state)
{
    int64_t start = weir_now().ns;
    pthread_t thread;

    (void)state;
    wait_none();
    assert_int_equal(pthread_create(&thread, NULL, wakes, NULL), 0);
    wait_for(30000000000);
    assert_int_equal(pthread_join(thread, NULL), 0);
    wait_for(1000000);

    assert_true(weir_now().ns - start < 20000000000);
}

/* Each test for each backend that works here. */
#define TESTS_MAX 128

static struct CMUnitTest tests[TESTS_MAX];
static size_t ntests;

static void add_tests(const struct CMUnitTest *given, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        char *full;

        assert_true(ntests < TESTS_MAX);
        assert_true(asprintf(&full, "%s_on_%s", given[i].name, name) > 0);
        tests[ntests] = given[i];
        tests[ntests].name = full;
        tests[ntests++].initial_state = (void *)(uintptr_t)name;
    }
}

#define IO_TEST(name) cmocka_unit_test_setup_teardown(name, io_setup, loop_teardown)

static bool io_works(const char *name)
{
    struct io_backend *made;
    weir_error *error = weir__io_backend_new(name, &made);

    if (!error)
        made->ops->destroy(made);
    weir_ignore(error);
    return !error;
}

int main(void)
{
    const struct CMUnitTest each[] = {
        IO_TEST(bytes_arrive_in_a_chunk),
        IO_TEST(the_end_of_the_stream_follows_the_last_bytes),
        IO_TEST(a_half_closed_peer_is_an_end_too),
        IO_TEST(a_stopped_receive_delivers_nothing_until_it_starts_again),
        IO_TEST(a_receive_that_stops_itself_leaves_the_rest),
        IO_TEST(a_fast_sender_does_not_keep_the_others_waiting),
        IO_TEST(a_file_may_be_closed_and_freed_in_its_own_completion),
        IO_TEST(a_neighbour_of_the_same_batch_may_be_closed),
        IO_TEST(T15_an_event_of_an_earlier_user_of_the_descriptor_is_ignored),
        IO_TEST(what_fits_is_sent_as_one),
        IO_TEST(what_does_not_fit_is_sent_when_there_is_room),
        IO_TEST(a_send_to_a_closed_peer_fails_without_a_signal),
        IO_TEST(the_hangup_of_a_stopped_file_is_reported),
        IO_TEST(pipes_are_files_too),
        IO_TEST(a_connection_is_accepted_and_carries_bytes),
        IO_TEST(a_refused_connection_is_reported),
        IO_TEST(a_connect_that_fails_at_once_is_reported_later),
        IO_TEST(a_stopped_listener_leaves_connections_in_the_queue),
        IO_TEST(running_out_of_descriptors_is_told_once_and_stops),
        IO_TEST(a_pool_that_runs_dry_serves_in_order_when_chunks_return),
        IO_TEST(a_descriptor_is_registered_once_only),
        IO_TEST(timers_wait_no_less_than_asked_without_pwait2),
        IO_TEST(each_allocation_of_a_backend_may_fail),
        IO_TEST(a_close_with_a_send_in_flight_lets_go_of_its_bytes),
        IO_TEST(a_closed_file_gets_nothing_that_was_under_way),
        IO_TEST(the_address_of_a_closed_listener_is_free_at_once),
        IO_TEST(more_sends_than_the_queue_takes_carry_what_was_meant),
        IO_TEST(receives_that_found_no_buffer_have_their_turns),
        IO_TEST(a_peer_that_sends_without_pause_is_bounded_and_the_others_keep_their_latency),
        IO_TEST(a_half_closed_peer_that_leaves_is_two_hangups),
        IO_TEST(a_reset_of_a_stopped_file_is_a_hangup_with_its_code),
        IO_TEST(what_came_and_was_not_received_is_known),
        IO_TEST(another_thread_ends_a_wait),
    };

    int failed;

    add_tests(each, sizeof(each) / sizeof(each[0]), "epoll");
    if (io_works("io_uring"))
        add_tests(each, sizeof(each) / sizeof(each[0]), "io_uring");
    failed = _cmocka_run_group_tests("backends", tests, ntests, NULL, NULL);
    for (size_t i = 0; i < ntests; i++)
        free((void *)(uintptr_t)tests[i].name);
    return failed;
}
