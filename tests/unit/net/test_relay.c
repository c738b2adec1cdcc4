/* SPDX-License-Identifier: Apache-2.0 */
/* Relays: two connections of the loop joined, with the test at both far ends. */
#include "config.h"

#include <sys/socket.h>
#include <unistd.h>

#include <weir/relay.h>

#include "tests/unit/http/wire.h"

static weir_server *server;
static weir_transport *accepted[2];
static struct wire *ends[2];
static unsigned count, dones;
static int first;
static weir_code reason;

static weir_error *made(weir_transport *transport, void *state, const void *config)
{
    (void)state;
    (void)config;
    weir_transport_pause_reading(transport);
    accepted[count++] = weir_transport_ref(transport);
    return NULL;
}

static const weir_protocol waits = {WEIR_SIZED(weir_protocol), .name = "waits",
                                    .connection_made = made};

static bool all_accepted(void *arg)
{
    return count == *(unsigned *)arg;
}

static void done(void *arg, int which, const weir_error *why)
{
    assert_ptr_equal(arg, &dones);
    dones++;
    first = which;
    reason = weir_error_code(why);
}

static bool is_done(void *arg)
{
    (void)arg;
    return dones > 0;
}

static int setup(void **state)
{
    weir_server_options options = {WEIR_SIZED(weir_server_options)};

    if (wire_setup(state))
        return -1;
    count = dones = 0;
    first = -1;
    reason = 0;
    assert_done(weir_serve(wire_loop, "127.0.0.1:0", &options, &waits, NULL, &server));
    for (unsigned i = 0; i < 2; i++) {
        unsigned wanted = i + 1;

        ends[i] = wire_connect(server);
        turn_until(all_accepted, &wanted);
    }
    return 0;
}

static int teardown(void **state)
{
    for (int i = 0; i < 2; i++) {
        weir_transport_abort(accepted[i], NULL);
        weir_transport_unref(accepted[i]);
        wire_free(ends[i]);
    }
    weir_server_close(server);
    turn();
    weir_server_unref(server);
    return wire_teardown(state);
}

static void start_with(const char *rest_a, const char *rest_b, weir_duration idle)
{
    weir_relay_options options = {
        .size = sizeof options, .idle_timeout = idle, .done = done, .arg = &dones};

    assert_done(weir_relay_start(accepted[0], weir_slice_str(rest_a), accepted[1],
                                 weir_slice_str(rest_b), &options));
}

static void start(void)
{
    start_with(NULL, NULL, WEIR_NS(0));
}

static void bytes_pass_both_ways(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < 10; i++) {
        wire_say(ends[0], "ping");
        wire_until(ends[1], "ping");
        wire_say(ends[1], "pong");
        wire_until(ends[0], "pong");
        wire_clear(ends[0]);
        wire_clear(ends[1]);
    }
    assert_int_equal(dones, 0);
}

static void rest_bytes_come_first(void **state)
{
    (void)state;
    wire_say(ends[0], " and more");
    start_with("from a", "from b", WEIR_NS(0));
    wire_until(ends[1], "from a and more");
    wire_until(ends[0], "from b");
    assert_int_equal(ends[0]->len, 6);
}

static void each_side_may_end_by_itself(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        wire_say(ends[i], i ? "b" : "a");
    start();
    shutdown(ends[0]->fd, SHUT_WR);
    wire_until_end(ends[1]);
    assert_true(ends[1]->ended);
    assert_string_equal(ends[1]->data, "a");
    /* the other way still works */
    wire_say(ends[1], "still here");
    wire_until(ends[0], "still here");
    assert_int_equal(dones, 0);
    shutdown(ends[1]->fd, SHUT_WR);
    wire_until_end(ends[0]);
    assert_true(ends[0]->ended);
    turn_until(is_done, NULL);
    assert_int_equal(dones, 1);
    assert_int_equal(reason, 0);
}

static void the_end_may_come_from_b_first(void **state)
{
    (void)state;
    start();
    shutdown(ends[1]->fd, SHUT_WR);
    wire_until_end(ends[0]);
    wire_say(ends[0], "tail");
    wire_until(ends[1], "tail");
    shutdown(ends[0]->fd, SHUT_WR);
    wire_until_end(ends[1]);
    turn_until(is_done, NULL);
    assert_int_equal(reason, 0);
}

static void a_failure_resets_the_other_side(void **state)
{
    struct linger hard = {.l_onoff = 1};

    (void)state;
    start();
    wire_say(ends[0], "x");
    wire_until(ends[1], "x");
    setsockopt(ends[0]->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(ends[0]->fd);
    ends[0]->fd = dup(ends[1]->fd);
    wire_until_end(ends[1]);
    assert_true(ends[1]->reset);
    turn_until(is_done, NULL);
    assert_int_equal(first, 0);
    assert_int_not_equal(reason, 0);
}

static void who_does_not_read_stops_the_sender(void **state)
{
    static char block[1024 * 1024];
    size_t sent = 0;

    (void)state;
    start();
    for (int idle = 0; idle < 20 && sent < 64 * sizeof block;) {
        ssize_t n = send(ends[0]->fd, block, sizeof block, MSG_NOSIGNAL);

        idle = n > 0 ? 0 : idle + 1;
        sent += n > 0 ? (size_t)n : 0;
        turn();
    }
    /* what the kernel holds on both ways, and not much more */
    assert_true(sent < 63 * sizeof block);
    assert_true(weir_transport_write_buffer_size(accepted[1]) < (size_t)256 * 1024);
    wire_until_bytes(ends[1], sent);
    wire_say(ends[0], "the end");
    wire_until(ends[1], "the end");
    assert_int_equal(ends[1]->len, sent + 7);
}

static void what_is_queued_at_the_end_is_still_sent(void **state)
{
    static char block[4 * 1024 * 1024];

    (void)state;
    start();
    memset(block, 'q', sizeof block);
    for (size_t sent = 0; sent < sizeof block;) {
        ssize_t n = send(ends[0]->fd, block + sent, sizeof block - sent, MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        turn();
        if (n <= 0)
            wire_take(ends[1]);
    }
    shutdown(ends[0]->fd, SHUT_WR);
    shutdown(ends[1]->fd, SHUT_WR);
    wire_until_end(ends[1]);
    assert_true(ends[1]->ended);
    assert_int_equal(ends[1]->len, sizeof block);
    turn_until(is_done, NULL);
    assert_int_equal(reason, 0);
}

static void silence_ends_it(void **state)
{
    (void)state;
    start_with(NULL, NULL, WEIR_MS(20));
    turn_until(is_done, NULL);
    assert_int_equal(reason, WEIR_ETIMEDOUT);
    wire_until_end(ends[0]);
    wire_until_end(ends[1]);
}

static void a_closed_side_is_refused_and_nothing_is_taken_over(void **state)
{
    weir_slice none = {NULL, 0};
    weir_error *error;

    (void)state;
    weir_transport_close(accepted[1]);
    error = weir_relay_start(accepted[0], none, accepted[1], none, NULL);
    assert_int_equal(weir_error_code(error), WEIR_ECLOSED);
    weir_error_unref(error);
    assert_ptr_equal(weir_transport_protocol(accepted[0]), &waits);
}

static void an_aborted_side_ends_both(void **state)
{
    (void)state;
    start();
    weir_transport_abort(accepted[1], weir_raise(WEIR_ECANCELED, "by hand"));
    turn_until(is_done, NULL);
    assert_int_equal(dones, 1);
    assert_int_equal(first, 1);
    wire_until_end(ends[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_pass_both_ways),
        TEST(rest_bytes_come_first),
        TEST(each_side_may_end_by_itself),
        TEST(the_end_may_come_from_b_first),
        TEST(a_failure_resets_the_other_side),
        TEST(who_does_not_read_stops_the_sender),
        TEST(what_is_queued_at_the_end_is_still_sent),
        TEST(silence_ends_it),
        TEST(a_closed_side_is_refused_and_nothing_is_taken_over),
        TEST(an_aborted_side_ends_both),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
