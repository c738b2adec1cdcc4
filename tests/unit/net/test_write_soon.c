/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small writes of one dispatch: three connections get a byte each before the loop looks, so what the
 * first of them writes has two deliveries before it.
 */
#include "config.h"

#include <sys/socket.h>

#include "tests/unit/net/net_test.h"

#define THREE 3

static struct three {
    struct record records[THREE];
    weir_transport *transports[THREE];
    int peers[THREE];
    unsigned delivered;
    bool left_early; /* the first one's bytes, when the second was delivered */
} three;

static char large[3 * WEIR_CHUNK_SIZE];

static bool on_epoll(void)
{
    return strcmp(weir_loop_backend(weir_loop_current()), "epoll") == 0;
}

static bool make_three(weir_error *(*on_data)(weir_transport *, struct record *, weir_slice))
{
    memset(&three, 0, sizeof(three));
    for (int i = 0; i < THREE; i++) {
        three.records[i].on_data = on_data;
        three.transports[i] = pair_transport(&recording, &three.records[i], &three.peers[i]);
        if (!three.transports[i])
            return false;
    }
    return true;
}

static bool ask_all(void)
{
    bool sent = true;

    for (int i = 0; i < THREE; i++)
        sent = sent && send_all(three.peers[i], "?");
    return sent;
}

static void end_three(void)
{
    for (int i = 0; i < THREE; i++) {
        if (!three.records[i].lost)
            weir_transport_abort(three.transports[i], NULL);
        close(three.peers[i]);
    }
}

static weir_error *answer(weir_transport *t, struct record *record, weir_slice data)
{
    (void)record;
    (void)data;
    if (three.delivered++ > 0)
        three.left_early = unread(three.peers[0]) > 0;
    WEIR_TRY(weir_transport_write(t, WEIR_SLICE("head ")));
    return weir_transport_write(t, WEIR_SLICE("body"));
}

static weir_error *answers_of_one_dispatch_leave_after_the_last_delivery(void *arg)
{
    char text[16];

    (void)arg;
    CHECK(make_three(answer));
    CHECK(ask_all());
    UNTIL(three.delivered == THREE);
    CHECK(!on_epoll() || !three.left_early);
    for (int i = 0; i < THREE; i++) {
        SENT(three.transports[i]);
        UNTIL(unread(three.peers[i]) == 9);
        CHECK(receive_some(three.peers[i], text, sizeof(text)) == 9);
        CHECK(memcmp(text, "head body", 9) == 0);
        CHECK(weir_transport_bytes_sent(three.transports[i]) == 9);
    }
    end_three();
    return NULL;
}
IN_LOOP(answers_of_one_dispatch_leave_after_the_last_delivery)

/* The last delivery has nobody to wait for. */
static weir_error *write_of_the_only_delivery_leaves_at_once(void *arg)
{
    static struct record record;
    weir_transport *t;
    int peer;

    (void)arg;
    memset(&three, 0, sizeof(three));
    record = (struct record){.on_data = answer};
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    CHECK(send_all(peer, "?"));
    UNTIL(three.delivered == 1);
    CHECK(!on_epoll() || t->net->soon.count == 0);
    UNTIL(unread(peer) == 9);
    weir_transport_abort(t, NULL);
    close(peer);
    return NULL;
}
IN_LOOP(write_of_the_only_delivery_leaves_at_once)

static weir_error *small_then_large(weir_transport *t, struct record *record, weir_slice data)
{
    (void)record;
    (void)data;
    three.delivered++;
    WEIR_TRY(weir_transport_write(t, weir_slice_of(large, 100)));
    return weir_transport_write(t, weir_slice_of(large + 100, sizeof(large) - 100));
}

static weir_error *large_write_after_a_waiting_one_keeps_the_order(void *arg)
{
    static char seen[sizeof(large)];

    (void)arg;
    fill_pattern(large, sizeof(large), 0);
    CHECK(make_three(small_then_large));
    CHECK(ask_all());
    for (int i = 0; i < THREE; i++) {
        size_t got = 0;

        UNTIL(receive_more(three.peers[i], seen, sizeof(seen), &got) == sizeof(seen));
        CHECK(is_pattern(seen, sizeof(seen), 0));
    }
    end_three();
    return NULL;
}
IN_LOOP(large_write_after_a_waiting_one_keeps_the_order)

static weir_error *answer_and_close(weir_transport *t, struct record *record, weir_slice data)
{
    WEIR_TRY(answer(t, record, data));
    weir_transport_close(t);
    return NULL;
}

static weir_error *close_sends_what_waits(void *arg)
{
    char text[16];

    (void)arg;
    CHECK(make_three(answer_and_close));
    CHECK(ask_all());
    for (int i = 0; i < THREE; i++) {
        size_t got = 0;

        UNTIL(three.records[i].lost);
        CHECK(three.records[i].reason == 0);
        CHECK(receive_more(three.peers[i], text, sizeof(text), &got) == 9);
        CHECK(receive_some(three.peers[i], text, sizeof(text)) == 0);
    }
    end_three();
    return NULL;
}
IN_LOOP(close_sends_what_waits)

/* The second one ends the first, whose bytes wait. */
static weir_error *abort_the_first(weir_transport *t, struct record *record, weir_slice data)
{
    WEIR_TRY(answer(t, record, data));
    if (three.delivered == 2)
        weir_transport_abort(three.transports[0], NULL);
    return NULL;
}

static weir_error *abort_drops_what_waits(void *arg)
{
    (void)arg;
    CHECK(make_three(abort_the_first));
    CHECK(ask_all());
    UNTIL(three.records[0].lost);
    CHECK(!on_epoll() || unread(three.peers[0]) == 0);
    for (int i = 1; i < THREE; i++)
        UNTIL(unread(three.peers[i]) == 9);
    end_three();
    return NULL;
}
IN_LOOP(abort_drops_what_waits)

static weir_error *second_peer_left(weir_transport *t, struct record *record, weir_slice data)
{
    WEIR_TRY(answer(t, record, data));
    if (t == three.transports[0]) {
        close(three.peers[0]);
        three.peers[0] = -1;
    }
    return NULL;
}

static weir_error *failed_send_of_what_waits_is_the_reason(void *arg)
{
    (void)arg;
    CHECK(make_three(second_peer_left));
    CHECK(ask_all());
    UNTIL(three.records[0].lost);
    for (int i = 1; i < THREE; i++)
        UNTIL(unread(three.peers[i]) == 9);
    end_three();
    return NULL;
}
IN_LOOP(failed_send_of_what_waits_is_the_reason)

/* What the kernel does not take stays queued, with the chunk that the copies share. */
static weir_error *what_does_not_fit_is_sent_later(void *arg)
{
    static char seen[WEIR_CHUNK_SIZE];
    size_t filled = 0, got = 0;
    int size = 4096;

    (void)arg;
    CHECK(make_three(answer));
    CHECK(setsockopt(three.transports[0]->file.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) ==
          0);
    for (ssize_t n = 1; n > 0; filled += n > 0 ? (size_t)n : 0)
        n = send(three.transports[0]->file.fd, large, 512, MSG_DONTWAIT);
    CHECK(ask_all());
    UNTIL(three.delivered == THREE);
    SETTLE();
    CHECK(weir_transport_write_buffer_size(three.transports[0]) == 9);
    CHECK(filled + 9 <= sizeof(seen));
    UNTIL(receive_more(three.peers[0], seen, sizeof(seen), &got) == filled + 9);
    CHECK(memcmp(seen + filled, "head body", 9) == 0);
    end_three();
    return NULL;
}
IN_LOOP(what_does_not_fit_is_sent_later)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(answers_of_one_dispatch_leave_after_the_last_delivery),
        IN_LOOP_TEST(write_of_the_only_delivery_leaves_at_once),
        IN_LOOP_TEST(large_write_after_a_waiting_one_keeps_the_order),
        IN_LOOP_TEST(close_sends_what_waits),
        IN_LOOP_TEST(abort_drops_what_waits),
        IN_LOOP_TEST(failed_send_of_what_waits_is_the_reason),
        IN_LOOP_TEST(what_does_not_fit_is_sent_later),
    };

    return cmocka_run_group_tests_name("write_soon", tests, NULL, NULL);
}
