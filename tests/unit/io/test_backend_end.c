/* SPDX-License-Identifier: Apache-2.0 */
/* The backends: closing with something under way, what is held and what is fair, hangups, waking. */
#include "config.h"

#include "tests/unit/io/backend_test.h"

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

int main(void)
{
    const struct CMUnitTest each[] = {
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

    return run_on_each_backend(each, sizeof(each) / sizeof(each[0]),
                               "backends: closing and fairness");
}
