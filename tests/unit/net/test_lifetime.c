/* SPDX-License-Identifier: Apache-2.0 */
/* The end of connections and servers, wherever it is asked for; and what a peer can make us hold. */
#include "config.h"

#include <sys/socket.h>

#include "core/base/chunk.h"
#include "tests/unit/net/net_test.h"

static weir_loop *loop(void)
{
    return weir_loop_current();
}

enum moment { IN_MADE, IN_DATA, IN_EOF, IN_PAUSE, IN_RESUME, IN_LOST, MOMENTS };

/* Ends its transport in one callback, and gives its last reference back there. */
struct ender {
    enum moment moment;
    bool aborts, unrefs, late;
    unsigned lost;
    weir_transport *held;
};

static struct ender *ender_of(weir_transport *t)
{
    return (struct ender *)(uintptr_t)weir_transport_config(t);
}

static void at(weir_transport *t, enum moment moment)
{
    struct ender *ender = ender_of(t);

    ender->late |= ender->lost > 0; /* nothing comes after connection_lost */
    if (moment != ender->moment)
        return;
    if (ender->aborts)
        weir_transport_abort(t, NULL);
    else
        weir_transport_close(t);
    if (ender->unrefs)
        weir_transport_unref(WEIR_TAKE(ender->held));
}

static weir_error *on_made(weir_transport *t, void *state, const void *config)
{
    (void)state;
    (void)config;
    ender_of(t)->held = weir_transport_ref(t);
    weir_transport_set_write_limits(t, 0, 0, 0);
    at(t, IN_MADE);
    return NULL;
}

static weir_error *on_data(weir_transport *t, void *state, weir_slice data)
{
    static const char much[1 << 20];

    (void)state;
    (void)data;
    at(t, IN_DATA);
    if (ender_of(t)->moment != IN_DATA)
        weir_ignore(weir_transport_write(t, weir_slice_of(much, sizeof(much))));
    return NULL;
}

static weir_error *on_eof(weir_transport *t, void *state, bool *ret_keep_open)
{
    (void)state;
    (void)ret_keep_open;
    at(t, IN_EOF);
    return NULL;
}

static void on_pause(weir_transport *t, void *state)
{
    (void)state;
    at(t, IN_PAUSE);
}

static void on_resume(weir_transport *t, void *state)
{
    (void)state;
    at(t, IN_RESUME);
}

static void on_lost(weir_transport *t, void *state, const weir_error *reason)
{
    (void)state;
    (void)reason;
    at(t, IN_LOST);
    ender_of(t)->lost++;
}

static const weir_protocol ending = {
    WEIR_SIZED(weir_protocol),   .name = "ending",           .connection_made = on_made,
    .data_received = on_data,    .eof_received = on_eof,     .pause_writing = on_pause,
    .resume_writing = on_resume, .connection_lost = on_lost,
};

static weir_error *T59_closing_in_any_callback_ends_it_once(void *arg)
{
    (void)arg;
    for (int i = 0; i < MOMENTS * 4; i++) {
        struct ender ender = {
            .moment = (enum moment)(i / 4), .aborts = i & 1, .unrefs = (i & 2) != 0};
        static char bytes[65536];
        int peer = -1;

        CHECK(pair_transport(&ending, &ender, &peer) != NULL);
        CHECK(send(peer, "x", 1, MSG_NOSIGNAL) == 1 || ender.moment == IN_MADE);
        for (int turns = 0; turns < 1000000 && !ender.lost; turns++) {
            if (turns == 20)
                shutdown(peer, SHUT_WR);
            if (turns > 10)
                (void)receive_some(peer, bytes, sizeof(bytes));
            CHECK_OK(weir_sleep(WEIR_NS(0)));
        }
        SETTLE();
        CHECK(ender.lost == 1 && !ender.late);
        weir_transport_unref(ender.held);
        close(peer);
    }
    return NULL;
}
IN_LOOP(T59_closing_in_any_callback_ends_it_once)

static weir_error *T60_pausing_and_resuming_when_it_does_not_matter(void *arg)
{
    struct record record = {0};
    weir_transport *t;
    int peer = -1;

    (void)arg;
    t = weir_transport_ref(pair_transport(&recording, &record, &peer));
    weir_transport_pause_reading(t);
    weir_transport_pause_reading(t);
    weir_transport_resume_reading(t);
    weir_transport_resume_reading(t);
    CHECK(send_all(peer, "a"));
    UNTIL(record.received == 1);
    weir_transport_pause_reading(t);
    weir_transport_close(t);
    weir_transport_resume_reading(t);
    CHECK(!weir_transport_is_reading(t));
    UNTIL(record.lost);
    weir_transport_resume_reading(t);
    weir_transport_pause_reading(t);
    SETTLE();
    CHECK_EVENTS(&record, "made data(a) lost ");
    weir_transport_unref(t);
    close(peer);
    return NULL;
}
IN_LOOP(T60_pausing_and_resuming_when_it_does_not_matter)

/* Each combination of closed or not, and connections or none. */
static weir_error *T65_the_truth_table_of_wait_closed(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++) {
        struct record record = {0};
        bool closed = i & 1, connected = (i & 2) != 0;
        weir_server *server;
        weir_error *error;
        int peer = -1;

        CHECK_OK(weir_serve(loop(), "127.0.0.1:0", NULL, &recording, &record, &server));
        if (connected) {
            peer = raw_connect(weir_server_name(server));
            UNTIL(record.made);
        }
        if (closed)
            weir_server_close(server);
        {
            WEIR_TIMEOUT(patience, WEIR_MS(20));

            error = weir_server_wait_closed(server);
        }
        if (closed && !connected)
            CHECK_OK(error);
        else
            CHECK_CODE(error, WEIR_ETIMEDOUT);
        weir_server_close(server);
        weir_server_abort_connections(server);
        CHECK_OK(weir_server_wait_closed(server));
        CHECK_OK(weir_server_wait_closed(server));
        CHECK(!connected || record.lost);
        weir_server_unref(server);
        if (peer >= 0)
            close(peer);
    }
    return NULL;
}
IN_LOOP(T65_the_truth_table_of_wait_closed)

static size_t live_chunks(void)
{
    return weir__loop_io(loop())->pool->live;
}

/* A peer that sends without pause to one that is paused; others keep their turn. */
static weir_error *T60_a_flood_to_a_paused_consumer_is_bounded_and_others_are_served(void *arg)
{
    struct record flooded = {.no_text = true}, other = {.no_text = true};
    static const char bytes[65536];
    size_t before = live_chunks(), most = 0;
    weir_transport *t;
    int peer = -1, fine = -1;

    (void)arg;
    t = pair_transport(&recording, &flooded, &peer);
    CHECK(t && pair_transport(&recording, &other, &fine));
    CHECK(send(peer, bytes, sizeof(bytes), MSG_DONTWAIT) > 0);
    UNTIL(flooded.received > 0);
    weir_transport_pause_reading(t);
    SETTLE();
    flooded.received = 0;
    for (size_t i = 1; i <= 200; i++) {
        (void)send(peer, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
        CHECK(send(fine, "x", 1, MSG_DONTWAIT) == 1);
        for (int turns = 0; turns < 20 && other.received < i; turns++)
            CHECK_OK(weir_sleep(WEIR_NS(0)));
        CHECK(other.received == i); /* in this many turns of the loop at most */
        if (live_chunks() > most)
            most = live_chunks();
    }
    CHECK(flooded.received == 0);
    /* On io_uring what had completed before the cancel, at most the ring. */
    CHECK(most <= before + CHUNK_LIMIT + 2 * 128);
    CHECK(strcmp(weir__loop_io(loop())->ops->name, "epoll") != 0 || most <= before + CHUNK_LIMIT);
    weir_transport_resume_reading(t);
    UNTIL(flooded.received > 0);
    close(peer);
    close(fine);
    UNTIL(flooded.lost && other.lost);
    return NULL;
}
IN_LOOP(T60_a_flood_to_a_paused_consumer_is_bounded_and_others_are_served)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T59_closing_in_any_callback_ends_it_once),
        IN_LOOP_TEST(T60_pausing_and_resuming_when_it_does_not_matter),
        IN_LOOP_TEST(T65_the_truth_table_of_wait_closed),
        IN_LOOP_TEST(T60_a_flood_to_a_paused_consumer_is_bounded_and_others_are_served),
    };

    return cmocka_run_group_tests_name("lifetime", tests, NULL, NULL);
}
