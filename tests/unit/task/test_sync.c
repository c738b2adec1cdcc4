/* SPDX-License-Identifier: Apache-2.0 */
/* Events, conditions and barriers (runtime-semantics 2.5, T44, T47). Names are claims. */
#include "config.h"

#include <string.h>

#include <weir/scope.h>
#include <weir/sync.h>

#include "tests/unit/support/support.h"

static weir_event event;
static weir_lock lock;
static weir_condition condition;
static weir_barrier barrier;
static int woken, failed, items;

static void reset(void)
{
    weir_event_init(&event);
    weir_lock_init(&lock);
    weir_condition_init(&condition, &lock);
    woken = failed = items = 0;
}

static weir_error *let_others_run(int times)
{
    for (int i = 0; i < times; i++)
        WEIR_TRY(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static weir_error *event_waiter(void *arg)
{
    (void)arg;
    WEIR_TRY(weir_event_wait(&event));
    woken++;
    return NULL;
}

static weir_error *event_wakes_all_who_wait(void *arg)
{
    WEIR_GROUP(group);

    (void)arg;
    reset();
    for (int i = 0; i < 3; i++)
        CHECK_OK(weir_group_spawn(&group, event_waiter, NULL, NULL));
    CHECK_OK(let_others_run(2));
    CHECK(woken == 0 && !weir_event_is_set(&event));
    weir_event_set(&event);
    weir_event_set(&event);
    CHECK(weir_event_is_set(&event));
    CHECK_OK(weir_group_join(&group));
    CHECK(woken == 3);
    CHECK_OK(weir_event_wait(&event)); /* a level, not an edge */
    return NULL;
}

static weir_error *event_set_and_cleared_wakes_who_waited(void *arg)
{
    WEIR_GROUP(group);

    (void)arg;
    reset();
    CHECK_OK(weir_group_spawn(&group, event_waiter, NULL, NULL));
    CHECK_OK(let_others_run(2));
    weir_event_set(&event);
    weir_event_clear(&event);
    CHECK_OK(weir_group_join(&group));
    CHECK(woken == 1 && !weir_event_is_set(&event));
    {
        WEIR_TIMEOUT(limit, WEIR_MS(1));
        CHECK_CODE(weir_event_wait(&event), WEIR_ETIMEDOUT);
    }
    return NULL;
}

static weir_error *consumer(void *arg)
{
    weir_error *error;

    (void)arg;
    WEIR_TRY(weir_lock_acquire(&lock));
    WEIR_UNLOCK_AT_END(held, &lock);
    while (!items) {
        error = weir_condition_wait(&condition);
        EXPECT(weir_lock_locked(&lock));
        if (error) {
            failed++;
            return error;
        }
    }
    items--;
    woken++;
    return NULL;
}

static weir_error *produce(int count)
{
    WEIR_TRY(weir_lock_acquire(&lock));
    WEIR_UNLOCK_AT_END(held, &lock);
    items += count;
    CHECK(weir_condition_notify(&condition, (size_t)count));
    return NULL;
}

static weir_error *T44_notify_wakes_that_many_in_order(void *arg)
{
    WEIR_GROUP(group);

    (void)arg;
    reset();
    for (int i = 0; i < 4; i++)
        CHECK_OK(weir_group_spawn(&group, consumer, NULL, NULL));
    CHECK_OK(let_others_run(3));
    CHECK_OK(produce(1));
    CHECK_OK(let_others_run(3));
    CHECK(woken == 1 && items == 0);
    CHECK_OK(produce(3));
    CHECK_OK(weir_group_join(&group));
    CHECK(woken == 4 && items == 0);
    CHECK(!weir_lock_locked(&lock));
    return NULL;
}

static weir_error *T44_cancelled_waiter_holds_the_lock_when_it_returns(void *arg)
{
    weir_auto(weir_task) task = NULL;
    WEIR_GROUP(group);

    (void)arg;
    reset();
    CHECK_OK(weir_group_spawn(&group, consumer, NULL, &task));
    CHECK_OK(let_others_run(2));
    CHECK_OK(weir_lock_acquire(&lock)); /* somebody else has it meanwhile */
    CHECK(weir_task_cancel(task));
    CHECK_OK(let_others_run(3));
    CHECK(!weir_task_done(task) && failed == 0); /* it queues up, and cannot be cancelled there */
    CHECK(weir_task_cancel(task));
    CHECK_OK(let_others_run(3));
    CHECK(!weir_task_done(task));
    CHECK(weir_lock_release(&lock));
    CHECK_OK(weir_group_join(&group));
    CHECK(failed == 1 && woken == 0);
    CHECK(!weir_lock_locked(&lock));
    return NULL;
}

/* gh-98539 and its kin: notified and cancelled in the same tick. */
static weir_error *T44_no_wake_up_is_lost_to_a_cancelled_waiter(void *arg)
{
    weir_auto(weir_task) first = NULL;
    WEIR_GROUP(group);

    (void)arg;
    for (int order = 0; order < 2; order++) {
        reset();
        CHECK_OK(weir_group_spawn(&group, consumer, NULL, &first));
        CHECK_OK(weir_group_spawn(&group, consumer, NULL, NULL));
        CHECK_OK(let_others_run(2));
        if (order)
            CHECK(weir_task_cancel(first));
        CHECK_OK(produce(1));
        if (!order)
            CHECK(weir_task_cancel(first));
        CHECK_OK(let_others_run(4));
        CHECK(woken == 1 && items == 0); /* one of them has taken the item */
        CHECK_OK(produce(1));
        CHECK_OK(weir_group_join(&group));
        CHECK(woken + failed == 2);
        weir_task_unref(WEIR_TAKE(first));
    }
    return NULL;
}

static weir_error *T44_deadline_ends_a_wait_with_the_lock_held(void *arg)
{
    (void)arg;
    reset();
    CHECK_OK(weir_lock_acquire(&lock));
    {
        WEIR_TIMEOUT(limit, WEIR_MS(1));
        CHECK_CODE(weir_condition_wait(&condition), WEIR_ETIMEDOUT);
    }
    CHECK(weir_lock_locked(&lock));
    CHECK(weir_lock_release(&lock));
    return NULL;
}

static weir_error *T44_misuse_without_the_lock_is_an_error(void *arg)
{
    char text[512];
    bool notified;

    (void)arg;
    reset();
    CHECK_CODE(weir_condition_wait(&condition), WEIR_EINVALSTATE);
    CHECK(!weir_lock_locked(&lock));
    capture_log_begin();
    notified = weir_condition_notify_all(&condition);
    capture_log_end(text, sizeof text);
    CHECK(!notified);
    CHECK(strstr(text, "notify of a condition whose lock is not held") != NULL);
    return NULL;
}

static bool has_two(void *arg)
{
    return *(int *)arg >= 2;
}

static weir_error *wait_for_two(void *arg)
{
    WEIR_TRY(weir_lock_acquire(&lock));
    WEIR_UNLOCK_AT_END(held, &lock);
    WEIR_TRY(weir_condition_wait_for(&condition, has_two, arg));
    woken++;
    return NULL;
}

static weir_error *T44_wait_for_asks_after_each_notification(void *arg)
{
    WEIR_GROUP(group);

    (void)arg;
    reset();
    CHECK_OK(weir_group_spawn(&group, wait_for_two, &items, NULL));
    CHECK_OK(let_others_run(2));
    CHECK_OK(produce(1));
    CHECK_OK(let_others_run(3));
    CHECK(woken == 0);
    CHECK_OK(produce(1));
    CHECK_OK(weir_group_join(&group));
    CHECK(woken == 1);
    return NULL;
}

static unsigned indexes;

static weir_error *barrier_waiter(void *arg)
{
    size_t index = 0;
    weir_error *error = weir_barrier_wait(&barrier, &index);

    (void)arg;
    if (error) {
        failed += weir_error_is(error, WEIR_EBROKEN);
        weir_ignore(error);
        return NULL;
    }
    indexes |= 1U << index;
    woken++;
    return NULL;
}

static weir_error *barrier_lets_a_round_go_together(void *arg)
{
    WEIR_GROUP(group);

    (void)arg;
    reset();
    weir_barrier_init(&barrier, 3);
    CHECK(weir_barrier_parties(&barrier) == 3);
    for (int round = 0; round < 2; round++) {
        indexes = 0;
        woken = 0;
        for (int i = 0; i < 2; i++)
            CHECK_OK(weir_group_spawn(&group, barrier_waiter, NULL, NULL));
        CHECK_OK(let_others_run(2));
        CHECK(woken == 0 && weir_barrier_waiting(&barrier) == 2);
        CHECK_OK(weir_group_spawn(&group, barrier_waiter, NULL, NULL));
        CHECK_OK(weir_group_join(&group));
        CHECK(woken == 3 && indexes == 7 && weir_barrier_waiting(&barrier) == 0);
    }
    return NULL;
}

/* The draining state of asyncio: who comes while a round leaves belongs to the next one. */
static weir_error *barrier_fills_again_while_a_round_leaves(void *arg)
{
    WEIR_GROUP(group);

    (void)arg;
    reset();
    weir_barrier_init(&barrier, 2);
    CHECK_OK(weir_group_spawn(&group, barrier_waiter, NULL, NULL));
    CHECK_OK(let_others_run(2));
    CHECK_OK(weir_barrier_wait(&barrier, NULL)); /* the other is woken, and has not run */
    CHECK(woken == 0);
    {
        WEIR_TIMEOUT(limit, WEIR_MS(1));
        CHECK_CODE(weir_barrier_wait(&barrier, NULL), WEIR_ETIMEDOUT);
    }
    CHECK(woken == 1 && weir_barrier_waiting(&barrier) == 0);
    return NULL;
}

static weir_error *cancelled_waiter_leaves_the_barrier_as_it_was(void *arg)
{
    weir_auto(weir_task) task = NULL;
    WEIR_GROUP(group);

    (void)arg;
    reset();
    indexes = 0;
    weir_barrier_init(&barrier, 2);
    CHECK_OK(weir_group_spawn(&group, barrier_waiter, NULL, &task));
    CHECK_OK(let_others_run(2));
    CHECK(weir_task_cancel(task));
    CHECK_OK(let_others_run(2));
    CHECK(weir_task_done(task) && weir_barrier_waiting(&barrier) == 0);
    CHECK(!weir_barrier_broken(&barrier));
    CHECK_OK(weir_group_spawn(&group, barrier_waiter, NULL, NULL));
    CHECK_OK(weir_group_spawn(&group, barrier_waiter, NULL, NULL));
    CHECK_OK(weir_group_join(&group));
    CHECK(woken == 2 && indexes == 3);
    return NULL;
}

static weir_error *reset_fails_who_waits_and_abort_who_comes(void *arg)
{
    WEIR_GROUP(group);

    (void)arg;
    reset();
    weir_barrier_init(&barrier, 2);
    weir_barrier_reset(&barrier); /* nobody waits: nothing happens */
    CHECK_OK(weir_group_spawn(&group, barrier_waiter, NULL, NULL));
    CHECK_OK(let_others_run(2));
    weir_barrier_reset(&barrier);
    CHECK_OK(weir_group_join(&group));
    CHECK(failed == 1 && !weir_barrier_broken(&barrier));

    CHECK_OK(weir_group_spawn(&group, barrier_waiter, NULL, NULL));
    CHECK_OK(let_others_run(2));
    weir_barrier_abort(&barrier);
    CHECK_OK(weir_group_join(&group));
    CHECK(failed == 2 && weir_barrier_broken(&barrier));
    CHECK_CODE(weir_barrier_wait(&barrier, NULL), WEIR_EBROKEN);

    weir_barrier_reset(&barrier);
    CHECK_OK(weir_group_spawn(&group, barrier_waiter, NULL, NULL));
    CHECK_OK(weir_barrier_wait(&barrier, NULL));
    CHECK_OK(weir_group_join(&group));
    CHECK(woken == 1);
    return NULL;
}

static weir_error *abort_after_the_round_went_does_not_reach_it(void *arg)
{
    WEIR_GROUP(group);

    (void)arg;
    reset();
    weir_barrier_init(&barrier, 2);
    CHECK_OK(weir_group_spawn(&group, barrier_waiter, NULL, NULL));
    CHECK_OK(let_others_run(2));
    CHECK_OK(weir_barrier_wait(&barrier, NULL));
    weir_barrier_abort(&barrier);
    CHECK_OK(weir_group_join(&group));
    CHECK(woken == 1 && failed == 0);
    return NULL;
}

static weir_error *barrier_of_one_never_waits(void *arg)
{
    size_t index = 7;

    (void)arg;
    weir_barrier_init(&barrier, 0);
    CHECK(weir_barrier_parties(&barrier) == 1);
    CHECK_OK(weir_barrier_wait(&barrier, &index));
    CHECK(index == 0);
    return NULL;
}

static weir_error *use_event(void *arg)
{
    (void)arg;
    weir_event_init(&event);
    weir_event_set(&event);
    CHECK_OK(weir_event_wait(&event));
    return NULL;
}

static void T47_init_binds_to_a_new_loop(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        run_in_loop(use_event, NULL);
}

IN_LOOP(event_wakes_all_who_wait)
IN_LOOP(event_set_and_cleared_wakes_who_waited)
IN_LOOP(T44_notify_wakes_that_many_in_order)
IN_LOOP(T44_cancelled_waiter_holds_the_lock_when_it_returns)
IN_LOOP(T44_no_wake_up_is_lost_to_a_cancelled_waiter)
IN_LOOP(T44_deadline_ends_a_wait_with_the_lock_held)
IN_LOOP(T44_misuse_without_the_lock_is_an_error)
IN_LOOP(T44_wait_for_asks_after_each_notification)
IN_LOOP(barrier_lets_a_round_go_together)
IN_LOOP(barrier_fills_again_while_a_round_leaves)
IN_LOOP(cancelled_waiter_leaves_the_barrier_as_it_was)
IN_LOOP(reset_fails_who_waits_and_abort_who_comes)
IN_LOOP(abort_after_the_round_went_does_not_reach_it)
IN_LOOP(barrier_of_one_never_waits)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(event_wakes_all_who_wait),
        IN_LOOP_TEST(event_set_and_cleared_wakes_who_waited),
        IN_LOOP_TEST(T44_notify_wakes_that_many_in_order),
        IN_LOOP_TEST(T44_cancelled_waiter_holds_the_lock_when_it_returns),
        IN_LOOP_TEST(T44_no_wake_up_is_lost_to_a_cancelled_waiter),
        IN_LOOP_TEST(T44_deadline_ends_a_wait_with_the_lock_held),
        IN_LOOP_TEST(T44_misuse_without_the_lock_is_an_error),
        IN_LOOP_TEST(T44_wait_for_asks_after_each_notification),
        IN_LOOP_TEST(barrier_lets_a_round_go_together),
        IN_LOOP_TEST(barrier_fills_again_while_a_round_leaves),
        IN_LOOP_TEST(cancelled_waiter_leaves_the_barrier_as_it_was),
        IN_LOOP_TEST(reset_fails_who_waits_and_abort_who_comes),
        IN_LOOP_TEST(abort_after_the_round_went_does_not_reach_it),
        IN_LOOP_TEST(barrier_of_one_never_waits),
        ON_MAIN_TEST(T47_init_binds_to_a_new_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
