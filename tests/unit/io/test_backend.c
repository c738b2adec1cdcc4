/* SPDX-License-Identifier: Apache-2.0 */
/* The backends, each by the same tests: completions and their order, resources. */
#include "config.h"

#include "tests/unit/io/backend_test.h"

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
    int cut = 0;

    (void)state;
    if (on_uring())
        return;
    weir__epoll_forget_pwait2(io);
    for (int i = 0; i < 5; i++) {
        int64_t start = weir_now().ns;

        wait_for(1200000); /* 1.2 ms: rounded up to 2 */
        cut += weir_now().ns - start < 1200000;
    }

    assert_true(cut <= 1); /* a signal, or a stop of the process, may end one */
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
    };

    return run_on_each_backend(each, sizeof(each) / sizeof(each[0]), "backends");
}
