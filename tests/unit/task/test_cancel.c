/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cancellation is level-triggered and goes by moment: on entry nothing starts, on wake-up what had
 * completed wins (runtime-semantics 3.3, T24 to T30). Names are claims.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include <weir/scope.h>
#include <weir/task.h>

#include "tests/unit/support/support.h"

struct probe {
    weir_future *future;
    weir_code first, second, third;
    int depth;
    bool ran;
};

static weir_error *await_it(void *arg)
{
    struct probe *probe = arg;
    weir_error *error = weir_await(probe->future);

    probe->ran = true;
    probe->first = weir_error_code(error);
    weir_error_unref(error);
    error = weir_sleep(WEIR_MS(0));
    probe->second = weir_error_code(error);
    weir_error_unref(error);
    error = weir_sleep(WEIR_S(100));
    probe->third = weir_error_code(error);
    return error;
}

/* T24 */
static weir_error *
T24_C1_task_cancelled_before_its_first_step_runs_and_fails_at_its_first_call(void *arg)
{
    weir_auto(weir_task) t = NULL;
    weir_auto(weir_future) f = NULL;
    struct probe probe = {0};

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    probe.future = f;
    CHECK_OK(weir_spawn(await_it, &probe, &t));
    CHECK(weir_task_cancel(t));
    CHECK_CODE(weir_task_await(t), WEIR_ECANCELED);
    CHECK(probe.ran && probe.first == WEIR_ECANCELED);
    CHECK(weir_future_cancelled(weir_task_future(t)));
    CHECK(!weir_task_cancel(t));
    return NULL;
}

/* T25 */
static weir_error *T25_C1_waiting_task_is_woken_and_stays_cancelled(void *arg)
{
    weir_auto(weir_task) t = NULL;
    weir_auto(weir_future) f = NULL;
    struct probe probe = {0};

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    probe.future = f;
    CHECK_OK(weir_spawn(await_it, &probe, &t));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(t));
    CHECK(weir_task_cancelling(t) == 1);
    CHECK_CODE(weir_task_await(t), WEIR_ECANCELED);
    CHECK(probe.first == WEIR_ECANCELED);
    CHECK(probe.second == WEIR_ECANCELED); /* T27: level-triggered */
    CHECK(!weir_future_done(f));           /* T30: shared work goes on */
    return NULL;
}

/* T25: completion wins on wake-up, the cancellation stays */
static weir_error *T25_value_that_was_there_at_wake_up_is_not_lost(void *arg)
{
    weir_auto(weir_task) t = NULL;
    weir_auto(weir_future) f = NULL;
    struct probe probe = {0};

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    probe.future = f;
    CHECK_OK(weir_spawn(await_it, &probe, &t));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK_OK(weir_future_set_result(f, NULL, NULL));
    CHECK(weir_task_cancel(t));
    CHECK_CODE(weir_task_await(t), WEIR_ECANCELED);
    CHECK(probe.first == 0);
    CHECK(probe.second == WEIR_ECANCELED);
    return NULL;
}

static weir_error *T25_value_that_comes_between_cancel_and_wake_up_wins_too(void *arg)
{
    weir_auto(weir_task) t = NULL;
    weir_auto(weir_future) f = NULL;
    struct probe probe = {0};

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    probe.future = f;
    CHECK_OK(weir_spawn(await_it, &probe, &t));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(t));
    CHECK_OK(weir_future_set_result(f, NULL, NULL));
    CHECK_CODE(weir_task_await(t), WEIR_ECANCELED);
    CHECK(probe.first == 0);
    CHECK(probe.second == WEIR_ECANCELED);
    return NULL;
}

static weir_error *await_done_for_ever(void *arg)
{
    weir_auto(weir_future) f = NULL;

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_future_set_result(f, NULL, NULL));
    for (;;)
        WEIR_TRY(weir_await(f));
}

/* T25b */
static weir_error *T25b_task_that_never_has_to_wait_is_cancelled_at_its_next_call(void *arg)
{
    weir_auto(weir_task) t = NULL;

    (void)arg;
    CHECK_OK(weir_spawn(await_done_for_ever, NULL, &t));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(t));
    CHECK_CODE(weir_task_await(t), WEIR_ECANCELED);
    return NULL;
}

static weir_error *cancel_myself_then_return(void *arg)
{
    (void)arg;
    CHECK(weir_task_cancel(weir_task_current()));
    CHECK_CODE(weir_check_cancelled(), WEIR_ECANCELED);
    return NULL;
}

/* T26 */
static weir_error *T26_task_that_cancels_itself_and_returns_has_succeeded(void *arg)
{
    weir_auto(weir_task) t = NULL;

    (void)arg;
    CHECK_OK(weir_spawn(cancel_myself_then_return, NULL, &t));
    CHECK_OK(weir_task_await(t));
    CHECK(!weir_future_cancelled(weir_task_future(t)));
    return NULL;
}

static weir_error *swallow_one_cancellation(void *arg)
{
    (void)arg;
    CHECK_CODE(weir_sleep(WEIR_S(100)), WEIR_ECANCELED);
    CHECK(weir_task_uncancel(weir_task_current()) == 1); /* T28: two, one wake-up */
    CHECK_CODE(weir_sleep(WEIR_MS(0)), WEIR_ECANCELED);
    CHECK(weir_task_uncancel(weir_task_current()) == 0);
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static weir_error *T27_T28_uncancelled_task_goes_on(void *arg)
{
    weir_auto(weir_task) t = NULL;

    (void)arg;
    CHECK_OK(weir_spawn(swallow_one_cancellation, NULL, &t));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(t));
    CHECK(weir_task_cancel(t));
    CHECK_OK(weir_task_await(t));
    return NULL;
}

static weir_error *wait_for_a_cancel_taken_back(void *arg)
{
    CHECK_OK(weir_await(*(weir_future **)arg));
    return NULL;
}

static weir_error *T28_cancellation_taken_back_before_the_wake_up_never_happened(void *arg)
{
    weir_auto(weir_task) t = NULL;
    weir_auto(weir_future) f = NULL;

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_spawn(wait_for_a_cancel_taken_back, &f, &t));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(t));
    CHECK(weir_task_uncancel(t) == 0);
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(!weir_task_done(t));
    CHECK_OK(weir_future_set_result(f, NULL, NULL));
    CHECK_OK(weir_task_await(t));
    return NULL;
}

static weir_error *descend(struct probe *probe)
{
    if (probe->depth++ == 100)
        return weir_sleep(WEIR_FOREVER);
    WEIR_TRY(descend(probe));
    return NULL;
}

static weir_error *descend_from_the_top(void *arg)
{
    return descend(arg);
}

/* T29 */
static weir_error *T29_cancellation_reaches_through_a_hundred_calls(void *arg)
{
    weir_auto(weir_task) t = NULL;
    struct probe probe = {0};

    (void)arg;
    CHECK_OK(weir_spawn(descend_from_the_top, &probe, &t));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(t));
    CHECK_CODE(weir_task_await(t), WEIR_ECANCELED);
    CHECK(probe.depth == 101);
    return NULL;
}

static weir_error *await_a_task(void *arg)
{
    WEIR_TRY(weir_task_await(arg));
    return NULL;
}

static weir_error *sleep_a_little(void *arg)
{
    (void)arg;
    WEIR_TRY(weir_sleep(WEIR_MS(2)));
    return NULL;
}

/* T30 */
static weir_error *T30_C3_cancelled_waiter_does_not_cancel_the_shared_task(void *arg)
{
    weir_auto(weir_task) shared = NULL;
    weir_auto(weir_task) waiter = NULL;

    (void)arg;
    CHECK_OK(weir_spawn(sleep_a_little, NULL, &shared));
    CHECK_OK(weir_spawn(await_a_task, shared, &waiter));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(waiter));
    CHECK_CODE(weir_task_await(waiter), WEIR_ECANCELED);
    CHECK_OK(weir_task_await(shared));
    return NULL;
}

static void *released;

static void release(void *value)
{
    released = value;
}

static weir_error *own_the_argument(void *arg)
{
    weir_error *error = weir_sleep(WEIR_MS(0));

    release(arg);
    return error;
}

static weir_error *
T24_argument_of_a_task_cancelled_before_its_start_is_released_by_its_body(void *arg)
{
    weir_auto(weir_task) t = NULL;
    int owned;

    (void)arg;
    released = NULL;
    CHECK_OK(weir_spawn(own_the_argument, &owned, &t));
    CHECK(weir_task_cancel(t));
    CHECK_CODE(weir_task_await(t), WEIR_ECANCELED);
    CHECK(released == &owned);
    return NULL;
}

static weir_error *compute(void *arg)
{
    struct probe *probe = arg;

    for (probe->depth = 0; probe->depth < 1000; probe->depth++)
        WEIR_TRY(weir_checkpoint());
    return NULL;
}

static weir_error *C6_checkpoint_lets_others_run_and_tells_of_a_cancellation(void *arg)
{
    weir_auto(weir_task) t = NULL;
    struct probe probe = {0};

    (void)arg;
    CHECK_OK(weir_spawn(compute, &probe, &t));
    for (int i = 0; i < 5; i++)
        CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(probe.depth > 0 && probe.depth < 10); /* a turn each */
    CHECK(weir_task_cancel(t));
    CHECK_CODE(weir_task_await(t), WEIR_ECANCELED);
    CHECK(probe.depth < 12);
    return NULL;
}

static weir_error *compute_blindly(void *arg)
{
    struct probe *probe = arg;

    WEIR_TRY(weir_sleep(WEIR_MS(0)));
    probe->first = weir_error_code(weir_check_cancelled());
    return NULL;
}

static weir_error *C6_check_costs_no_suspension(void *arg)
{
    weir_auto(weir_task) t = NULL;
    struct probe probe = {0};

    (void)arg;
    CHECK_OK(weir_check_cancelled());
    CHECK_OK(weir_spawn(compute_blindly, &probe, &t));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(t)); /* its yield has completed: that wins */
    CHECK_OK(weir_task_await(t));
    CHECK(probe.first == WEIR_ECANCELED);
    return NULL;
}

static weir_error *await_the_next(void *arg)
{
    struct probe *probe = arg;
    weir_auto(weir_task) t = NULL;

    if (probe->depth++ == 100)
        return weir_await(probe->future);
    WEIR_TRY(weir_spawn(await_the_next, probe, &t));
    WEIR_TRY(weir_task_await(t));
    return NULL;
}

static weir_error *T29_T30_cancel_of_the_last_of_a_hundred_awaits_ends_them_all(void *arg)
{
    weir_auto(weir_task) t = NULL;
    weir_auto(weir_future) f = NULL;
    struct probe probe = {0};

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    probe.future = f;
    CHECK_OK(weir_spawn(await_the_next, &probe, &t));
    while (probe.depth < 101)
        CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_future_cancel(f));
    CHECK_CODE(weir_task_await(t), WEIR_ECANCELED);
    CHECK(weir_loop_task_count(weir_loop_current()) == 1);
    return NULL;
}

static weir_error *cancel_myself_then_block(void *arg)
{
    struct probe *probe = arg;

    CHECK(weir_task_cancel(weir_task_current()));
    probe->ran = true;
    return weir_sleep(WEIR_S(100));
}

static weir_error *T26_task_that_cancels_itself_and_blocks_is_cancelled(void *arg)
{
    weir_auto(weir_task) t = NULL;
    struct probe probe = {0};

    (void)arg;
    CHECK_OK(weir_spawn(cancel_myself_then_block, &probe, &t));
    CHECK_CODE(weir_task_await(t), WEIR_ECANCELED);
    CHECK(probe.ran);
    return NULL;
}

IN_LOOP(T24_C1_task_cancelled_before_its_first_step_runs_and_fails_at_its_first_call)
IN_LOOP(T25_C1_waiting_task_is_woken_and_stays_cancelled)
IN_LOOP(T25_value_that_was_there_at_wake_up_is_not_lost)
IN_LOOP(T25_value_that_comes_between_cancel_and_wake_up_wins_too)
IN_LOOP(T25b_task_that_never_has_to_wait_is_cancelled_at_its_next_call)
IN_LOOP(T26_task_that_cancels_itself_and_returns_has_succeeded)
IN_LOOP(T27_T28_uncancelled_task_goes_on)
IN_LOOP(T28_cancellation_taken_back_before_the_wake_up_never_happened)
IN_LOOP(T29_cancellation_reaches_through_a_hundred_calls)
IN_LOOP(T30_C3_cancelled_waiter_does_not_cancel_the_shared_task)
IN_LOOP(T24_argument_of_a_task_cancelled_before_its_start_is_released_by_its_body)
IN_LOOP(C6_checkpoint_lets_others_run_and_tells_of_a_cancellation)
IN_LOOP(C6_check_costs_no_suspension)
IN_LOOP(T29_T30_cancel_of_the_last_of_a_hundred_awaits_ends_them_all)
IN_LOOP(T26_task_that_cancels_itself_and_blocks_is_cancelled)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T24_C1_task_cancelled_before_its_first_step_runs_and_fails_at_its_first_call),
        IN_LOOP_TEST(T25_C1_waiting_task_is_woken_and_stays_cancelled),
        IN_LOOP_TEST(T25_value_that_was_there_at_wake_up_is_not_lost),
        IN_LOOP_TEST(T25_value_that_comes_between_cancel_and_wake_up_wins_too),
        IN_LOOP_TEST(T25b_task_that_never_has_to_wait_is_cancelled_at_its_next_call),
        IN_LOOP_TEST(T26_task_that_cancels_itself_and_returns_has_succeeded),
        IN_LOOP_TEST(T27_T28_uncancelled_task_goes_on),
        IN_LOOP_TEST(T28_cancellation_taken_back_before_the_wake_up_never_happened),
        IN_LOOP_TEST(T29_cancellation_reaches_through_a_hundred_calls),
        IN_LOOP_TEST(T30_C3_cancelled_waiter_does_not_cancel_the_shared_task),
        IN_LOOP_TEST(T24_argument_of_a_task_cancelled_before_its_start_is_released_by_its_body),
        IN_LOOP_TEST(C6_checkpoint_lets_others_run_and_tells_of_a_cancellation),
        IN_LOOP_TEST(C6_check_costs_no_suspension),
        IN_LOOP_TEST(T29_T30_cancel_of_the_last_of_a_hundred_awaits_ends_them_all),
        IN_LOOP_TEST(T26_task_that_cancels_itself_and_blocks_is_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
