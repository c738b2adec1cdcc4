/* SPDX-License-Identifier: Apache-2.0 */
/* The order of a protocol's callbacks, and who may end a connection how. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include <weir/chunk.h>

#include "tests/unit/net/net_test.h"

/* Order */

static weir_error *T55_made_then_data_then_eof_then_lost(void *arg)
{
    static struct record record = {0};
    int peer;

    (void)arg;
    CHECK(pair_transport(&recording, &record, &peer));
    CHECK(send_all(peer, "hello"));
    CHECK(shutdown(peer, SHUT_WR) == 0);
    UNTIL(record.lost);

    CHECK_EVENTS(&record, "made data(hello) eof lost ");
    close(peer);
    return NULL;
}
IN_LOOP(T55_made_then_data_then_eof_then_lost)

static weir_error *error_in_data_received_aborts_with_that_reason(void *arg)
{
    static struct record record = {.data_fails = EPERM};
    int peer;

    (void)arg;
    CHECK(pair_transport(&recording, &record, &peer));
    CHECK(send_all(peer, "x"));
    UNTIL(record.lost);

    CHECK_EVENTS(&record, "made data(x) lost(EPERM) ");
    close(peer);
    return NULL;
}
IN_LOOP(error_in_data_received_aborts_with_that_reason)

static weir_error *error_in_connection_made_aborts(void *arg)
{
    static struct record record = {.made_fails = EPERM};
    int peer;

    (void)arg;
    CHECK(pair_transport(&recording, &record, &peer));
    CHECK_EVENTS(&record, "made ");
    UNTIL(record.lost);

    CHECK_EVENTS(&record, "made lost(EPERM) ");
    close(peer);
    return NULL;
}
IN_LOOP(error_in_connection_made_aborts)

static weir_error *reset_by_the_peer_is_the_reason(void *arg)
{
    static struct record record = {0}, other = {.keep_open = true};
    weir_server *server;
    int peer;

    (void)arg;
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &recording, &record, &server));
    peer = raw_connect(weir_server_name(server));
    CHECK(peer >= 0);
    UNTIL(record.made);
    close_with_reset(peer);
    UNTIL(record.lost);

    CHECK_EVENTS(&record, "made lost(ECONNRESET) ");
    (void)other;
    weir_server_close(server);
    weir_server_unref(server);
    return NULL;
}
IN_LOOP(reset_by_the_peer_is_the_reason)

/* Closing */

static weir_error *T59_close_flushes_and_then_ends_in_order(void *arg)
{
    static struct record record = {0};
    char text[8] = "";
    int peer;
    weir_transport *t;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    CHECK_OK(weir_transport_write(t, WEIR_SLICE("bye")));
    weir_transport_close(t);
    CHECK(weir_transport_is_closing(t));
    CHECK(!record.lost);
    UNTIL(record.lost);

    CHECK_EVENTS(&record, "made lost ");
    CHECK(receive_some(peer, text, sizeof(text)) == 3);
    CHECK(receive_some(peer, text, sizeof(text)) == 0);
    close(peer);
    return NULL;
}
IN_LOOP(T59_close_flushes_and_then_ends_in_order)

static weir_error *T59_abort_inside_data_received_is_the_last_callback(void *arg);

static weir_error *abort_with_reason(weir_transport *t, struct record *record, weir_slice data)
{
    (void)data;
    weir_transport_abort(t, weir_raise(EBUSY, "enough"));
    weir_transport_abort(t, NULL);
    CHECK(!record->lost);
    return NULL;
}

static weir_error *T59_abort_inside_data_received_is_the_last_callback(void *arg)
{
    static struct record record = {.on_data = abort_with_reason};
    int peer;

    (void)arg;
    CHECK(pair_transport(&recording, &record, &peer));
    CHECK(send_all(peer, "a"));
    UNTIL(record.lost);
    SETTLE();

    CHECK_EVENTS(&record, "made data(a) lost(EBUSY) ");
    close(peer);
    return NULL;
}
IN_LOOP(T59_abort_inside_data_received_is_the_last_callback)

static weir_error *T56_calls_on_a_lost_transport_return_closed_and_touch_nothing(void *arg)
{
    static struct record record = {0};
    weir_transport *t;
    void *state;
    int peer;

    (void)arg;
    t = weir_transport_ref(pair_transport(&recording, &record, &peer));
    CHECK(t);
    weir_transport_abort(t, NULL);
    CHECK_CODE(weir_transport_write(t, WEIR_SLICE("x")), WEIR_ECLOSED);
    UNTIL(record.lost);

    CHECK_CODE(weir_transport_write(t, WEIR_SLICE("x")), WEIR_ECLOSED);
    CHECK_CODE(weir_transport_write_eof(t), WEIR_ECLOSED);
    CHECK_CODE(weir_transport_set_protocol(t, &recording, &record, weir_slice_of("", 0), &state),
               WEIR_ECLOSED);
    weir_transport_close(t);
    weir_transport_abort(t, NULL);
    weir_transport_resume_reading(t);
    weir_transport_pause_reading(t);
    weir_transport_set_idle_timeout(t, WEIR_S(1));
    SETTLE();
    CHECK_EVENTS(&record, "made lost ");
    weir_transport_unref(t);
    close(peer);
    return NULL;
}
IN_LOOP(T56_calls_on_a_lost_transport_return_closed_and_touch_nothing)

/* Half-close */

static weir_error *T58_eof_kept_open_still_writes(void *arg)
{
    static struct record record = {.keep_open = true};
    char text[8] = "";
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    CHECK(shutdown(peer, SHUT_WR) == 0);
    UNTIL(record.eof);
    CHECK_OK(weir_transport_write(t, WEIR_SLICE("late")));
    SENT(t);
    CHECK(receive_some(peer, text, sizeof(text)) == 4);
    CHECK(!record.lost);
    weir_transport_close(t);
    UNTIL(record.lost);

    CHECK_EVENTS(&record, "made eof lost ");
    close(peer);
    return NULL;
}
IN_LOOP(T58_eof_kept_open_still_writes)

static weir_error *T58_write_eof_still_receives_and_both_ends_close_it(void *arg)
{
    static struct record record = {.keep_open = true};
    char text[8] = "";
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    CHECK_OK(weir_transport_write(t, WEIR_SLICE("q")));
    CHECK_OK(weir_transport_write_eof(t));
    CHECK_CODE(weir_transport_write(t, WEIR_SLICE("x")), WEIR_ECLOSED);
    SENT(t);
    CHECK(receive_some(peer, text, sizeof(text)) == 1);
    CHECK(receive_some(peer, text, sizeof(text)) == 0);
    CHECK(send_all(peer, "answer"));
    UNTIL(record.received == 6);
    CHECK(!record.lost);
    CHECK(shutdown(peer, SHUT_WR) == 0);
    UNTIL(record.lost);

    CHECK_EVENTS(&record, "made data(answer) eof lost ");
    close(peer);
    return NULL;
}
IN_LOOP(T58_write_eof_still_receives_and_both_ends_close_it)

/* Pausing */

static weir_error *T60_nothing_is_delivered_while_reading_is_paused(void *arg)
{
    static struct record record = {0};
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    weir_transport_pause_reading(t);
    weir_transport_pause_reading(t);
    CHECK(!weir_transport_is_reading(t));
    CHECK(send_all(peer, "x"));
    CHECK(shutdown(peer, SHUT_WR) == 0);
    SETTLE();
    CHECK_EVENTS(&record, "made ");
    weir_transport_resume_reading(t);
    UNTIL(record.lost);

    CHECK_EVENTS(&record, "made data(x) eof lost ");
    close(peer);
    return NULL;
}
IN_LOOP(T60_nothing_is_delivered_while_reading_is_paused)

static weir_error *T60_a_paused_transport_learns_that_its_peer_left(void *arg)
{
    struct record record = {0};
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    weir_transport_pause_reading(t);
    CHECK(shutdown(peer, SHUT_WR) == 0);
    SETTLE();
    CHECK_EVENTS(&record, "made ");
    close(peer);
    UNTIL(record.lost);
    CHECK_EVENTS(&record, "made lost(EPIPE) ");
    return NULL;
}
IN_LOOP(T60_a_paused_transport_learns_that_its_peer_left)

static weir_error *T60_a_paused_transport_keeps_what_came_before_its_peer_left(void *arg)
{
    struct record record = {0};
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    weir_transport_pause_reading(t);
    CHECK(send_all(peer, "last words"));
    close(peer);
    SETTLE();
    CHECK_EVENTS(&record, "made ");
    weir_transport_resume_reading(t);
    UNTIL(record.lost);
    CHECK_EVENTS(&record, "made data(last words) eof lost ");
    return NULL;
}
IN_LOOP(T60_a_paused_transport_keeps_what_came_before_its_peer_left)

/* The peer's end after ours hangs the socket up. */
static weir_error *T58_T60_a_paused_half_closed_connection_ends_in_order(void *arg)
{
    struct record record = {.keep_open = true};
    weir_server *server;
    char byte;
    int client;

    (void)arg;
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &recording, &record, &server));
    client = raw_connect(weir_server_name(server));
    UNTIL(record.made);
    CHECK_OK(weir_transport_write_eof(record.transport));
    UNTIL(receive_some(client, &byte, 1) == 0);
    CHECK(send_all(client, "all"));
    UNTIL(record.received == 3);
    weir_transport_pause_reading(record.transport);
    SETTLE();
    close(client);
    SETTLE();
    CHECK_EVENTS(&record, "made data(all) ");
    weir_transport_resume_reading(record.transport);
    UNTIL(record.lost);
    CHECK_EVENTS(&record, "made data(all) eof lost ");
    weir_server_close(server);
    weir_server_unref(server);
    return NULL;
}
IN_LOOP(T58_T60_a_paused_half_closed_connection_ends_in_order)

static weir_error *T60_a_paused_connection_learns_of_a_reset(void *arg)
{
    struct record record = {0};
    weir_server *server;
    int client;

    (void)arg;
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &recording, &record, &server));
    client = raw_connect(weir_server_name(server));
    UNTIL(record.made);
    weir_transport_pause_reading(record.transport);
    close_with_reset(client);
    UNTIL(record.lost);
    CHECK_EVENTS(&record, "made lost(ECONNRESET) ");
    weir_server_close(server);
    weir_server_unref(server);
    return NULL;
}
IN_LOOP(T60_a_paused_connection_learns_of_a_reset)

/* Handing over */

/* After four bytes. */
static weir_error *hand_over(weir_transport *t, struct record *record, weir_slice data)
{
    if (record->received < 4)
        return NULL;
    return weir_transport_set_protocol(
        t, &recording, record->arg, weir_slice_skip(data, data.len - (record->received - 4)), NULL);
}

static weir_error *T63_new_protocol_receives_the_rest_of_the_slice_first(void *arg)
{
    static struct record second = {0};
    static struct record first = {.on_data = hand_over, .arg = &second};
    int peer;

    (void)arg;
    CHECK(pair_transport(&recording, &first, &peer));
    CHECK(send_all(peer, "headrest"));
    UNTIL(second.received == 4);
    CHECK(send_all(peer, "more"));
    UNTIL(second.received == 8);
    close(peer);
    UNTIL(second.lost);

    if (!faults_wanted())
        CHECK_EVENTS(&first, "made data(headrest) ");
    CHECK_EVENTS(&second, "made data(rest) data(more) eof lost ");
    return NULL;
}
IN_LOOP(T63_new_protocol_receives_the_rest_of_the_slice_first)

static weir_error *rest_waits_while_the_new_protocol_pauses(void *arg)
{
    static struct record second = {0};
    static struct record first = {0};
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &first, &peer);
    CHECK(t);
    weir_transport_pause_reading(t);
    CHECK_OK(weir_transport_set_protocol(t, &recording, &second, WEIR_SLICE("kept"), NULL));
    CHECK(send_all(peer, "next"));
    SETTLE();
    CHECK_EVENTS(&second, "made ");
    weir_transport_resume_reading(t);
    UNTIL(second.received == 8);

    CHECK_EVENTS(&second, "made data(kept) data(next) ");
    weir_transport_abort(t, NULL);
    UNTIL(second.lost);
    CHECK_EVENTS(&first, "made ");
    close(peer);
    return NULL;
}
IN_LOOP(rest_waits_while_the_new_protocol_pauses)

static weir_error *rest_of_a_second_hand_over_comes_before_what_waits(void *arg)
{
    static struct record first = {0}, second = {0}, third = {0};
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &first, &peer);
    CHECK(t);
    weir_transport_pause_reading(t);
    CHECK_OK(weir_transport_set_protocol(t, &recording, &second, WEIR_SLICE("later"), NULL));
    CHECK_OK(weir_transport_set_protocol(t, &recording, &third, WEIR_SLICE("sooner"), NULL));
    weir_transport_resume_reading(t);
    UNTIL(third.received == 11);

    CHECK_EVENTS(&third, "made data(sooner) data(later) ");
    CHECK_EVENTS(&second, "made ");
    weir_transport_abort(t, NULL);
    close(peer);
    return NULL;
}
IN_LOOP(rest_of_a_second_hand_over_comes_before_what_waits)

static weir_error *hand_over_at_eof(weir_transport *t, void *state, bool *ret_keep_open)
{
    const struct record *record = weir_transport_config(t);

    (void)state;
    *ret_keep_open = true;
    return weir_transport_set_protocol(t, &recording, record->arg, WEIR_SLICE("kept"), NULL);
}

static const weir_protocol hands_over_at_eof = {WEIR_SIZED(weir_protocol), .name = "hands over",
                                                .eof_received = hand_over_at_eof};

static weir_error *end_is_told_to_the_new_protocol_after_the_rest(void *arg)
{
    static struct record second = {0};
    static struct record first = {.arg = &second};
    int peer;

    (void)arg;
    CHECK(pair_transport(&hands_over_at_eof, &first, &peer));
    CHECK(shutdown(peer, SHUT_WR) == 0);
    UNTIL(second.lost);
    CHECK_EVENTS(&second, "made data(kept) eof lost ");
    close(peer);
    return NULL;
}
IN_LOOP(end_is_told_to_the_new_protocol_after_the_rest)

/* State */

struct own_state {
    char bytes[100];
    unsigned seen;
};

static weir_error *own_data(weir_transport *t, void *state, weir_slice data)
{
    struct own_state *own = state;

    (void)t;
    own->seen += (unsigned)data.len;
    return NULL;
}

static const weir_protocol with_state = {
    WEIR_SIZED(weir_protocol),
    .name = "with_state",
    .state_size = sizeof(struct own_state),
    .data_received = own_data,
};

static weir_error *state_is_zeroed_and_lives_as_long_as_the_transport(void *arg)
{
    static const char zeros[100];
    struct own_state *own;
    weir_transport *t;
    int peer;

    (void)arg;
    t = weir_transport_ref(pair_transport(&with_state, NULL, &peer));
    CHECK(t);
    own = weir_transport_state(t);
    CHECK(memcmp(own->bytes, zeros, sizeof(zeros)) == 0);
    CHECK((uintptr_t)own % 16 == 0);
    CHECK(send_all(peer, "1234"));
    UNTIL(own->seen == 4);
    close(peer);
    UNTIL(t->status == TRANSPORT_DEAD);

    CHECK(own->seen == 4);
    weir_transport_unref(t);
    return NULL;
}
IN_LOOP(state_is_zeroed_and_lives_as_long_as_the_transport)

static weir_error *an_unset_eof_received_flushes_and_closes(void *arg)
{
    weir_transport *t;
    int peer;

    (void)arg;
    t = weir_transport_ref(pair_transport(&with_state, NULL, &peer));
    CHECK(t);
    CHECK(shutdown(peer, SHUT_WR) == 0);
    UNTIL(t->status == TRANSPORT_DEAD);
    weir_transport_unref(t);
    close(peer);
    return NULL;
}
IN_LOOP(an_unset_eof_received_flushes_and_closes)

static void count_drop(void *context)
{
    ++*(int *)context;
}

static weir_error *context_is_dropped_with_the_last_reference(void *arg)
{
    static struct record record = {0};
    int drops = 0, peer;
    weir_transport *t;

    (void)arg;
    t = weir_transport_ref(pair_transport(&recording, &record, &peer));
    CHECK(t);
    weir_transport_set_context(t, &drops, count_drop);
    CHECK(weir_transport_context(t) == &drops);
    weir_transport_abort(t, NULL);
    UNTIL(record.lost);
    SETTLE();
    CHECK(drops == 0);
    weir_transport_unref(t);
    CHECK(drops == 1);
    close(peer);
    return NULL;
}
IN_LOOP(context_is_dropped_with_the_last_reference)

/* Timeout, tasks, names */

static weir_error *idle_connection_is_aborted_as_timed_out(void *arg)
{
    static struct record record = {0};
    weir_instant start = weir_now();
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    weir_transport_set_idle_timeout(t, WEIR_MS(30));
    UNTIL(record.lost);

    CHECK_EVENTS(&record, "made lost(WEIR_ETIMEDOUT) ");
    CHECK(weir_now().ns - start.ns >= 30 * 1000000);
    close(peer);
    return NULL;
}
IN_LOOP(idle_connection_is_aborted_as_timed_out)

static weir_error *activity_postpones_the_idle_timeout(void *arg)
{
    static struct record record = {.no_text = true};
    bool stalled = false;
    weir_instant start;
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    start = weir_loop_time(weir_loop_current());
    weir_transport_set_idle_timeout(t, WEIR_MS(100));
    while (weir_now().ns - start.ns < 150 * 1000000 && !record.lost) {
        int64_t before = weir_now().ns;

        (void)send_all(peer, ".");
        CHECK_OK(weir_sleep(WEIR_MS(5)));
        stalled |= weir_now().ns - before > 80 * 1000000; /* a busy machine: it really was idle */
    }
    CHECK(!record.lost || stalled);
    UNTIL(record.lost);

    CHECK(record.reason == WEIR_ETIMEDOUT);
    close(peer);
    return NULL;
}
IN_LOOP(activity_postpones_the_idle_timeout)

static weir_error *sleeps_long(void *arg)
{
    weir_error *error = weir_sleep(WEIR_S(1000));

    *(weir_code *)arg = weir_error_code(error);
    return error;
}

static weir_error *task_of_a_connection_is_cancelled_when_it_is_lost(void *arg)
{
    static struct record record = {0};
    weir_code ended = 0;
    weir_transport *t;
    int peer;

    (void)arg;
    t = pair_transport(&recording, &record, &peer);
    CHECK(t);
    CHECK_OK(weir_transport_spawn(t, sleeps_long, &ended));
    SETTLE();
    CHECK(!ended);
    weir_transport_abort(t, NULL);
    UNTIL(ended);

    CHECK(ended == WEIR_ECANCELED);
    close(peer);
    return NULL;
}
IN_LOOP(task_of_a_connection_is_cancelled_when_it_is_lost)

static weir_error *names_and_counters_tell_of_both_ends(void *arg)
{
    static struct record record = {0};
    weir_server *server;
    weir_transport *t;
    size_t length;
    char name[64];
    int peer;

    (void)arg;
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &recording, &record, &server));
    peer = raw_connect(weir_server_name(server));
    CHECK(peer >= 0);
    CHECK(send_all(peer, "12345"));
    UNTIL(record.received == 5);
    t = record.transport;
    CHECK_OK(weir_transport_write(t, WEIR_SLICE("123")));
    SENT(t);

    CHECK_OK(weir_socket_name(peer, name, sizeof(name)));
    CHECK(strcmp(weir_transport_peer_name(t), name) == 0);
    CHECK(strcmp(weir_transport_local_name(t), weir_server_name(server)) == 0);
    CHECK(weir_slice_equal(weir_transport_peer_ip(t), WEIR_SLICE("127.0.0.1")));
    CHECK(weir_transport_peer_address(t, &length)->sa_family == AF_INET);
    CHECK(weir_transport_bytes_received(t) == 5);
    CHECK(weir_transport_bytes_sent(t) == 3);
    CHECK(weir_transport_id(t) > 0);
    weir_transport_abort(t, NULL);
    UNTIL(record.lost);
    close(peer);
    weir_server_close(server);
    weir_server_unref(server);
    return NULL;
}
IN_LOOP(names_and_counters_tell_of_both_ends)

static void an_idle_transport_is_small(void **state)
{
    (void)state;
    assert_true(sizeof(struct weir_transport) <= 416);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T55_made_then_data_then_eof_then_lost),
        IN_LOOP_TEST(error_in_data_received_aborts_with_that_reason),
        IN_LOOP_TEST(error_in_connection_made_aborts),
        IN_LOOP_TEST(reset_by_the_peer_is_the_reason),
        IN_LOOP_TEST(T59_close_flushes_and_then_ends_in_order),
        IN_LOOP_TEST(T59_abort_inside_data_received_is_the_last_callback),
        IN_LOOP_TEST(T56_calls_on_a_lost_transport_return_closed_and_touch_nothing),
        IN_LOOP_TEST(T58_eof_kept_open_still_writes),
        IN_LOOP_TEST(T58_write_eof_still_receives_and_both_ends_close_it),
        IN_LOOP_TEST(T60_nothing_is_delivered_while_reading_is_paused),
        IN_LOOP_TEST(T60_a_paused_transport_learns_that_its_peer_left),
        IN_LOOP_TEST(T60_a_paused_transport_keeps_what_came_before_its_peer_left),
        IN_LOOP_TEST(T58_T60_a_paused_half_closed_connection_ends_in_order),
        IN_LOOP_TEST(T60_a_paused_connection_learns_of_a_reset),
        IN_LOOP_TEST(T63_new_protocol_receives_the_rest_of_the_slice_first),
        IN_LOOP_TEST(rest_of_a_second_hand_over_comes_before_what_waits),
        IN_LOOP_TEST(end_is_told_to_the_new_protocol_after_the_rest),
        IN_LOOP_TEST(rest_waits_while_the_new_protocol_pauses),
        IN_LOOP_TEST(state_is_zeroed_and_lives_as_long_as_the_transport),
        IN_LOOP_TEST(an_unset_eof_received_flushes_and_closes),
        IN_LOOP_TEST(context_is_dropped_with_the_last_reference),
        IN_LOOP_TEST(idle_connection_is_aborted_as_timed_out),
        IN_LOOP_TEST(activity_postpones_the_idle_timeout),
        IN_LOOP_TEST(task_of_a_connection_is_cancelled_when_it_is_lost),
        IN_LOOP_TEST(names_and_counters_tell_of_both_ends),
        cmocka_unit_test(an_idle_transport_is_small),
    };

    return cmocka_run_group_tests_name("transport", tests, NULL, NULL);
}
