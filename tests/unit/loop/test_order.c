/* SPDX-License-Identifier: Apache-2.0 */
/* The order of an iteration, what one iteration may do, and how often the kernel is asked. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <weir/callback.h>

#include "tests/unit/loop/loop_test.h"

#ifdef WEIR_SANITIZE
#    define MANY 20000
#else
#    define MANY 1000000
#endif

static int ends[2];

static int order_setup(void **state)
{
    loop_setup(state);
    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    return 0;
}

static int order_teardown(void **state)
{
    (void)weir_loop_remove_reader(test.loop, ends[0]);
    close(ends[0]);
    close(ends[1]);
    return loop_teardown(state);
}

static void put(const char *text)
{
    assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
}

static weir_error *reads_one(void *arg)
{
    char byte;

    (void)arg;
    note(read(ends[0], &byte, 1) == 1 ? byte : '0');
    return NULL;
}

static uint64_t iterations(void)
{
    weir_loop_metrics metrics = {WEIR_SIZED(weir_loop_metrics)};

    weir_loop_metrics_get(test.loop, &metrics);
    return metrics.iterations;
}

static weir_error *schedules_both(void *arg)
{
    (void)arg;
    note('a');
    later(0, note_arg, "m");
    soon(note_arg, "n");
    return NULL;
}

static void T2_the_order_is_queued_then_io_then_timers_then_the_next_iteration(void **state)
{
    (void)state;
    OK(weir_loop_add_reader(test.loop, ends[0], reads_one, NULL));
    later(0, note_arg, "t");
    put("r");
    soon(schedules_both, NULL);
    soon(note_arg, "b");
    iterate(1);
    assert_string_equal(test.journal, "abrt");
    iterate(1);

    assert_string_equal(test.journal, "abrtnm");
}

static weir_error *reads_and_schedules(void *arg)
{
    (void)reads_one(arg);
    soon(note_arg, "w");
    return NULL;
}

static void T2_whom_io_wakes_runs_without_another_poll_when_nobody_waited(void **state)
{
    (void)state;
    OK(weir_loop_add_reader(test.loop, ends[0], reads_and_schedules, NULL));
    put("r");
    iterate(1);

    assert_string_equal(test.journal, "rw");
}

static weir_error *schedules_z(void *arg)
{
    soon(note_arg, "z");
    return note_arg(arg);
}

static void T2_whom_io_wakes_waits_behind_what_was_scheduled_before(void **state)
{
    (void)state;
    OK(weir_loop_add_reader(test.loop, ends[0], reads_and_schedules, NULL));
    put("r");
    soon(schedules_z, "a");
    iterate(1);
    assert_string_equal(test.journal, "ar");
    iterate(1);

    assert_string_equal(test.journal, "arzw");
}

static weir_error *wakes_again(void *arg)
{
    note('w');
    return weir_loop_call_soon(test.loop, wakes_again, arg, NULL, NULL);
}

static weir_error *wakes_first(void *arg)
{
    later(0, note_arg, "t");
    return wakes_again(arg);
}

static void T2_what_those_who_were_woken_schedule_waits_for_a_poll(void **state)
{
    (void)state;
    later(0, wakes_first, NULL);
    iterate(1);
    assert_string_equal(test.journal, "ww"); /* the timer, and whom it woke, once */
    iterate(1);

    assert_string_equal(test.journal, "wwwt");
}

static unsigned long chain_left;

static weir_error *chain(void *arg)
{
    if (--chain_left == 0) {
        weir_loop_stop(test.loop);
        return NULL;
    }
    return weir_loop_call_soon(test.loop, chain, arg, NULL, NULL);
}

static unsigned long served_at;

static weir_error *served(void *arg)
{
    (void)arg;
    served_at = chain_left;
    (void)weir_loop_remove_reader(test.loop, ends[0]);
    return NULL;
}

static void T1_a_chain_of_a_million_callbacks_lets_a_ready_socket_have_its_turn(void **state)
{
    uint64_t before = iterations();

    (void)state;
    chain_left = MANY;
    soon(chain, NULL);
    put("r");
    OK(weir_loop_add_reader(test.loop, ends[0], served, NULL));
    OK(weir_loop_run_forever(test.loop));

    assert_int_equal(served_at, MANY - 1); /* in the first iteration */
    assert_int_equal(iterations() - before, MANY);
}

static weir_error *stops_and_schedules(void *arg)
{
    weir_loop_stop(test.loop);
    soon(note_arg, "z");
    return note_arg(arg);
}

static void T3_a_stop_lets_the_iteration_end_and_a_second_run_goes_on(void **state)
{
    (void)state;
    soon(stops_and_schedules, "a");
    soon(note_arg, "b");
    OK(weir_loop_run_forever(test.loop));
    assert_string_equal(test.journal, "ab");
    soon(stop_loop, NULL);
    OK(weir_loop_run_forever(test.loop));

    assert_string_equal(test.journal, "abz");
}

static void T3_a_stop_before_the_run_is_one_iteration_that_does_not_wait(void **state)
{
    uint64_t before = iterations();

    (void)state;
    OK(weir_loop_call_later(test.loop, WEIR_S(3600), note_arg, "t", NULL, NULL));
    weir_loop_stop(test.loop);
    OK(weir_loop_run_forever(test.loop)); /* would last an hour */

    assert_int_equal(iterations() - before, 1);
    assert_string_equal(test.journal, "");
}

static void T5_cancelled_timers_are_gone(void **state)
{
    weir_handle *handle;
    uint64_t before = iterations();

    (void)state;
    for (int i = 0; i < MANY; i++) {
        OK(weir_loop_call_later(test.loop, WEIR_S(60), note_arg, "a", NULL, &handle));
        assert_true(weir_handle_cancel(handle));
        weir_handle_unref(handle);
    }
    assert_int_equal(weir__loop_next_deadline(test.loop), INT64_MAX);
    soon(stop_loop, NULL);
    OK(weir_loop_run_forever(test.loop));

    assert_int_equal(iterations() - before, 1);
}

static void T6_a_timer_of_a_millisecond_takes_two_polls_at_most(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        uint64_t before = iterations();

        later(1, stop_loop, NULL);
        OK(weir_loop_run_forever(test.loop));
        assert_in_range(iterations() - before, 1, 2);
    }
}

static struct loop_clock far_clock;
static int64_t far_now, longest_wait;

static int64_t read_far(struct loop_clock *clock)
{
    (void)clock;
    return far_now;
}

static int64_t step_far(struct loop_clock *clock, int64_t timeout)
{
    (void)clock;
    if (timeout > longest_wait)
        longest_wait = timeout;
    far_now += timeout;
    return 0;
}

static weir_error *notes_time(void *arg)
{
    *(int64_t *)arg = far_now;
    weir_loop_stop(test.loop);
    return NULL;
}

static void T7_a_timer_of_two_days_fires_at_its_nanosecond(void **state)
{
    const int64_t day = (int64_t)24 * 3600 * 1000000000;
    int64_t fired = 0;

    (void)state;
    far_now = 1;
    longest_wait = 0;
    far_clock = (struct loop_clock){.now = read_far, .before_wait = step_far};
    weir__loop_set_clock(test.loop, &far_clock);
    OK(weir_loop_call_later(test.loop, WEIR_S(2 * 24 * 3600), notes_time, &fired, NULL, NULL));
    OK(weir_loop_run_forever(test.loop));
    weir__loop_set_clock(test.loop, NULL);

    assert_int_equal(fired, 1 + 2 * day); /* due when it is exactly now */
    assert_int_equal(longest_wait, day);
}

static weir_error *fails(void *arg)
{
    note_arg(arg);
    return weir_raise(EIO, "failed");
}

static weir_error *swallows(weir_loop *loop, const weir_exception_context *context, void *arg)
{
    (void)loop;
    (void)arg;
    (void)weir_error_code(context->error);
    note('e');
    return NULL;
}

static void T8_an_error_does_not_end_the_run(void **state)
{
    (void)state;
    weir_loop_set_exception_handler(test.loop, swallows, NULL);
    soon(fails, "a");
    soon(note_arg, "b");
    later(0, fails, "t");
    soon(stop_loop, NULL);
    OK(weir_loop_run_forever(test.loop));

    assert_string_equal(test.journal, "aebte");
}

static void T1_D3_posts_of_the_loops_own_thread_join_the_same_queue(void **state)
{
    weir_handle *handle;

    (void)state;
    soon(note_arg, "a");
    OK(weir_loop_call_soon_threadsafe(test.loop, note_arg, "b", NULL));
    soon(note_arg, "c");
    OK(weir_loop_call_soon_threadsafe_handle(test.loop, note_arg, "d", NULL, &handle));
    soon(note_arg, "e");
    OK(weir_loop_call_soon_threadsafe_handle(test.loop, note_arg, "f", NULL, NULL));
    assert_true(weir_handle_cancel(handle));
    iterate(1);

    assert_string_equal(test.journal, "abcef");
    weir_handle_unref(handle);
}

static weir_error *fatal(void *arg)
{
    note_arg(arg);
    return weir_raise(WEIR_EFATAL, "enough");
}

static void T8_a_fatal_error_ends_the_run_and_leaves_the_loop_usable(void **state)
{
    (void)state;
    weir_loop_set_exception_handler(test.loop, swallows, NULL);
    soon(fatal, "a");
    soon(note_arg, "b");
    FAILS(weir_loop_run_forever(test.loop), WEIR_EFATAL);
    assert_string_equal(test.journal, "a");
    soon(stop_loop, NULL);
    OK(weir_loop_run_forever(test.loop));

    assert_string_equal(test.journal, "ab");
}

/* Closes what the same wait brought events for, and uses its number again. */
static weir_error *reuses_the_descriptor(void *arg)
{
    int fd = ends[0];

    (void)arg;
    assert_true(weir_loop_remove_reader(test.loop, fd));
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    assert_int_equal(ends[0], fd);
    OK(weir_loop_add_reader(test.loop, fd, note_arg, "x"));
    return NULL;
}

static void T15_what_was_collected_for_a_closed_descriptor_does_not_reach_the_next(void **state)
{
    (void)state;
    OK(weir_loop_add_reader(test.loop, ends[0], note_arg, "o"));
    put("r");
    soon(reuses_the_descriptor, NULL); /* runs between the wait and the delivery */
    iterate(2);
    assert_string_equal(test.journal, "");
    put("n");
    iterate(1);

    assert_string_equal(test.journal, "x");
}

static void a_seed_shuffles_the_queue_the_same_way_each_time(void **state)
{
    static const char letters[] = "abcdefgh";
    char first[16];

    (void)state;
    for (int round = 0; round < 2; round++) {
        memset(test.journal, 0, sizeof(test.journal));
        weir__loop_set_shuffle(test.loop, 42);
        for (int i = 0; i < 8; i++)
            soon(note_arg, &letters[i]);
        iterate(1);
        if (round == 0)
            memcpy(first, test.journal, sizeof(first));
    }
    weir__loop_set_shuffle(test.loop, 0);

    assert_int_equal(strlen(first), 8);
    assert_string_not_equal(first, letters);
    assert_string_equal(test.journal, first);
}

static void interests_and_externals_are_counted(void **state)
{
    (void)state;
    assert_int_equal(weir__loop_interests(test.loop), 0);
    OK(weir_loop_add_reader(test.loop, ends[0], reads_one, NULL));
    weir__loop_external_begin(test.loop);

    assert_int_equal(weir__loop_interests(test.loop), 1);
    assert_int_equal(weir__loop_externals(test.loop), 1);
    weir__loop_external_end(test.loop);
    assert_int_equal(weir__loop_externals(test.loop), 0);
}

static void metrics_count_what_was_done(void **state)
{
    weir_loop_metrics metrics = {WEIR_SIZED(weir_loop_metrics)};

    (void)state;
    later(1, stop_loop, NULL);
    soon(note_arg, "a");
    OK(weir_loop_call_soon_threadsafe(test.loop, note_arg, "b", NULL));
    OK(weir_loop_run_forever(test.loop));
    weir_loop_metrics_get(test.loop, &metrics);

    assert_int_equal(metrics.callbacks, 3);
    assert_int_equal(metrics.timers, 1);
    assert_int_equal(metrics.posts, 1);
    assert_true(metrics.idle.ns > 500000);
    assert_int_equal(metrics.size, sizeof(metrics));
}

#define ORDER_TEST(name) cmocka_unit_test_setup_teardown(name, order_setup, order_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ORDER_TEST(T1_a_chain_of_a_million_callbacks_lets_a_ready_socket_have_its_turn),
        ORDER_TEST(T2_the_order_is_queued_then_io_then_timers_then_the_next_iteration),
        ORDER_TEST(T2_whom_io_wakes_runs_without_another_poll_when_nobody_waited),
        ORDER_TEST(T2_whom_io_wakes_waits_behind_what_was_scheduled_before),
        ORDER_TEST(T2_what_those_who_were_woken_schedule_waits_for_a_poll),
        ORDER_TEST(T3_a_stop_lets_the_iteration_end_and_a_second_run_goes_on),
        ORDER_TEST(T3_a_stop_before_the_run_is_one_iteration_that_does_not_wait),
        ORDER_TEST(T5_cancelled_timers_are_gone),
        ORDER_TEST(T6_a_timer_of_a_millisecond_takes_two_polls_at_most),
        ORDER_TEST(T7_a_timer_of_two_days_fires_at_its_nanosecond),
        LOOP_TEST(T1_D3_posts_of_the_loops_own_thread_join_the_same_queue),
        ORDER_TEST(T8_an_error_does_not_end_the_run),
        ORDER_TEST(T8_a_fatal_error_ends_the_run_and_leaves_the_loop_usable),
        ORDER_TEST(T15_what_was_collected_for_a_closed_descriptor_does_not_reach_the_next),
        ORDER_TEST(a_seed_shuffles_the_queue_the_same_way_each_time),
        ORDER_TEST(interests_and_externals_are_counted),
        ORDER_TEST(metrics_count_what_was_done),
    };

    return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
