/* SPDX-License-Identifier: Apache-2.0 */
/* Locks and semaphores (runtime-semantics 2.5, T43, T45, T47). Names are claims. */
#include "config.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <weir/scope.h>
#include <weir/sync.h>

#include "tests/unit/support/support.h"

static weir_lock lock;
static weir_semaphore semaphore;
static char order[32];
static size_t ends;
static int line_of_acquire;

/* What the tasks below do, and what they are called in `order`. */
struct actor {
    char name;
    weir_duration hold;
    weir_code code;
};

static void note(char name)
{
    if (ends + 1 < sizeof order)
        order[ends++] = name;
    order[ends] = '\0';
}

static void reset(void)
{
    weir_lock_init(&lock);
    weir_semaphore_init(&semaphore, 0);
    ends = 0;
    order[0] = '\0';
}

static weir_error *locker(void *arg)
{
    struct actor *actor = arg;
    weir_error *error;

    line_of_acquire = __LINE__ + 1;
    error = weir_lock_acquire(&lock);
    actor->code = weir_error_code(error);
    if (error)
        return error;
    note(actor->name);
    weir_ignore(weir_sleep(actor->hold));
    (void)weir_lock_release(&lock);
    return NULL;
}

static weir_error *let_others_run(int times)
{
    for (int i = 0; i < times; i++)
        WEIR_TRY(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static weir_error *T43_lock_is_given_in_the_order_of_arrival(void *arg)
{
    struct actor actors[] = {{'a', WEIR_MS(0), 0}, {'b', WEIR_MS(0), 0}, {'c', WEIR_MS(0), 0}};
    WEIR_GROUP(group);

    (void)arg;
    reset();
    CHECK_OK(weir_lock_acquire(&lock));
    for (int i = 0; i < 3; i++)
        CHECK_OK(weir_group_spawn(&group, locker, &actors[i], NULL));
    CHECK_OK(let_others_run(3));
    CHECK(weir_lock_locked(&lock) && ends == 0);
    CHECK(weir_lock_release(&lock));
    CHECK_OK(weir_group_join(&group));
    CHECK(strcmp(order, "abc") == 0);
    CHECK(!weir_lock_locked(&lock));
    return NULL;
}

/* bpo-27585: who comes while a waiter was already chosen must queue up behind it. */
static weir_error *T43_nobody_slips_in_between_a_release_and_the_waiter(void *arg)
{
    struct actor waiter = {'w', WEIR_MS(0), 0};
    WEIR_GROUP(group);

    (void)arg;
    reset();
    CHECK_OK(weir_lock_acquire(&lock));
    CHECK_OK(weir_group_spawn(&group, locker, &waiter, NULL));
    CHECK_OK(let_others_run(2));
    CHECK(weir_lock_release(&lock));
    CHECK(weir_lock_locked(&lock));
    CHECK(!weir_lock_try_acquire(&lock));
    CHECK_OK(weir_lock_acquire(&lock));
    note('m');
    CHECK(weir_lock_release(&lock));
    CHECK_OK(weir_group_join(&group));
    CHECK(strcmp(order, "wm") == 0);
    return NULL;
}

/* bpo-32734: a waiter that is cancelled must not leave the lock locked, nor block those behind. */
static weir_error *T43_cancelled_waiter_leaves_the_row(void *arg)
{
    struct actor actors[] = {{'a', WEIR_MS(0), 0}, {'b', WEIR_MS(0), 0}, {'c', WEIR_MS(0), 0}};
    weir_auto(weir_task) second = NULL;
    WEIR_GROUP(group);

    (void)arg;
    reset();
    CHECK_OK(weir_lock_acquire(&lock));
    CHECK_OK(weir_group_spawn(&group, locker, &actors[0], NULL));
    CHECK_OK(weir_group_spawn(&group, locker, &actors[1], &second));
    CHECK_OK(weir_group_spawn(&group, locker, &actors[2], NULL));
    CHECK_OK(let_others_run(2));
    CHECK(weir_task_cancel(second));
    CHECK_OK(let_others_run(2));
    CHECK(actors[1].code == WEIR_ECANCELED);
    CHECK(weir_lock_release(&lock));
    CHECK_OK(weir_group_join(&group));
    CHECK(strcmp(order, "ac") == 0);
    CHECK(!weir_lock_locked(&lock));
    return NULL;
}

/* bpo-31061: woken and cancelled in the same tick. It holds the lock, and passes it on. */
static weir_error *T43_waiter_cancelled_after_the_release_has_the_lock(void *arg)
{
    struct actor actors[] = {{'a', WEIR_MS(0), 0}, {'b', WEIR_MS(0), 0}};
    weir_auto(weir_task) first = NULL;
    WEIR_GROUP(group);

    (void)arg;
    reset();
    CHECK_OK(weir_lock_acquire(&lock));
    CHECK_OK(weir_group_spawn(&group, locker, &actors[0], &first));
    CHECK_OK(weir_group_spawn(&group, locker, &actors[1], NULL));
    CHECK_OK(let_others_run(2));
    CHECK(weir_lock_release(&lock));
    CHECK(weir_task_cancel(first));
    CHECK_OK(weir_group_join(&group));
    CHECK(actors[0].code == 0);
    CHECK(strcmp(order, "ab") == 0);
    CHECK(!weir_lock_locked(&lock));
    return NULL;
}

static weir_error *T43_release_in_the_tick_of_the_cancellation_wins(void *arg)
{
    struct actor actors[] = {{'a', WEIR_MS(0), 0}, {'b', WEIR_MS(0), 0}};
    weir_auto(weir_task) first = NULL;
    WEIR_GROUP(group);

    (void)arg;
    reset();
    CHECK_OK(weir_lock_acquire(&lock));
    CHECK_OK(weir_group_spawn(&group, locker, &actors[0], &first));
    CHECK_OK(let_others_run(2));
    CHECK(weir_task_cancel(first));
    CHECK(weir_lock_release(&lock)); /* it has not run since: it is still in the row */
    CHECK_OK(weir_group_spawn(&group, locker, &actors[1], NULL));
    CHECK_OK(weir_group_join(&group));
    CHECK(!weir_lock_locked(&lock));
    CHECK(actors[0].code == 0 && actors[1].code == 0);
    return NULL;
}

static weir_error *task_that_waits_says_where(void *arg)
{
    struct actor actor = {'a', WEIR_MS(0), 0};
    weir_auto(weir_task) task = NULL;
    char text[512], place[64];

    (void)arg;
    reset();
    CHECK_OK(weir_lock_acquire(&lock));
    CHECK_OK(weir_spawn(locker, &actor, &task));
    CHECK_OK(let_others_run(2));
    weir_task_repr(task, text, sizeof text);
    snprintf(place, sizeof place, "test_lock.c:%d", line_of_acquire);
    CHECK(strstr(text, "suspended at ") && strstr(strstr(text, "suspended at "), place));
    CHECK(weir_lock_release(&lock));
    CHECK_OK(weir_task_await(task));
    return NULL;
}

static weir_error *deadline_ends_the_wait_for_a_lock(void *arg)
{
    (void)arg;
    reset();
    CHECK_OK(weir_lock_acquire(&lock));
    {
        WEIR_TIMEOUT(limit, WEIR_MS(1));
        CHECK_CODE(weir_lock_acquire(&lock), WEIR_ETIMEDOUT);
    }
    CHECK(weir_lock_release(&lock));
    CHECK(!weir_lock_locked(&lock));
    return NULL;
}

static weir_error *cancelled_task_acquires_nothing_that_is_free(void *arg)
{
    (void)arg;
    reset();
    weir_semaphore_init(&semaphore, 1);
    (void)weir_task_cancel(weir_task_current());
    CHECK_CODE(weir_lock_acquire(&lock), WEIR_ECANCELED);
    CHECK_CODE(weir_semaphore_acquire(&semaphore), WEIR_ECANCELED);
    (void)weir_task_uncancel(weir_task_current());
    CHECK(!weir_lock_locked(&lock));
    CHECK(weir_semaphore_value(&semaphore) == 1);
    return NULL;
}

static weir_error *hold_and_fail(void)
{
    WEIR_TRY(weir_lock_acquire(&lock));
    WEIR_UNLOCK_AT_END(held, &lock);
    CHECK(weir_lock_locked(&lock));
    return weir_raise(WEIR_EINVAL, "on its way out");
}

static weir_error *lock_is_released_at_the_end_of_the_block(void *arg)
{
    (void)arg;
    reset();
    CHECK_CODE(hold_and_fail(), WEIR_EINVAL);
    CHECK(!weir_lock_locked(&lock));
    return NULL;
}

static weir_error *release_of_what_is_not_locked_is_logged(void *arg)
{
    char text[512];
    bool released;

    (void)arg;
    reset();
    capture_log_begin();
    released = weir_lock_release(&lock);
    capture_log_end(text, sizeof text);
    CHECK(!released);
    CHECK(strstr(text, "release of a lock that is not locked") != NULL);
    CHECK(strstr(text, "test_lock.c:") != NULL);
    return NULL;
}

static weir_error *taker(void *arg)
{
    struct actor *actor = arg;
    weir_error *error = weir_semaphore_acquire(&semaphore);

    actor->code = weir_error_code(error);
    if (!error)
        note(actor->name);
    return error;
}

static weir_error *T45_semaphore_serves_in_the_order_of_arrival(void *arg)
{
    struct actor actors[] = {{'a', WEIR_MS(0), 0}, {'b', WEIR_MS(0), 0}, {'c', WEIR_MS(0), 0}};
    WEIR_GROUP(group);

    (void)arg;
    reset();
    weir_semaphore_init(&semaphore, 1);
    for (int i = 0; i < 3; i++)
        CHECK_OK(weir_group_spawn(&group, taker, &actors[i], NULL));
    CHECK_OK(let_others_run(2));
    CHECK(strcmp(order, "a") == 0);
    CHECK(weir_semaphore_locked(&semaphore));
    CHECK(weir_semaphore_release(&semaphore));
    CHECK(weir_semaphore_release(&semaphore));
    CHECK(weir_semaphore_locked(&semaphore)); /* both were handed over */
    CHECK(!weir_semaphore_try_acquire(&semaphore));
    CHECK_OK(weir_group_join(&group));
    CHECK(strcmp(order, "abc") == 0);
    CHECK(weir_semaphore_value(&semaphore) == 0);
    return NULL;
}

/* gh-90155: after a cancelled waiter the others must not hang. */
static weir_error *T45_cancelled_waiters_neither_hang_nor_eat_permits(void *arg)
{
    struct actor actors[] = {
        {'a', WEIR_MS(0), 0}, {'b', WEIR_MS(0), 0}, {'c', WEIR_MS(0), 0}, {'d', WEIR_MS(0), 0}};
    weir_task *tasks[4];
    WEIR_GROUP(group);

    (void)arg;
    reset();
    for (int i = 0; i < 4; i++)
        CHECK_OK(weir_group_spawn(&group, taker, &actors[i], &tasks[i]));
    CHECK_OK(let_others_run(2));
    CHECK(weir_task_cancel(tasks[0])); /* waits */
    CHECK_OK(let_others_run(2));
    CHECK(weir_semaphore_release(&semaphore));
    CHECK(weir_task_cancel(tasks[1])); /* has been given the permit */
    CHECK(weir_semaphore_release(&semaphore));
    CHECK(weir_semaphore_release(&semaphore));
    CHECK_OK(weir_group_join(&group));
    CHECK(strcmp(order, "bcd") == 0);
    CHECK(actors[0].code == WEIR_ECANCELED && actors[1].code == 0);
    CHECK(weir_semaphore_value(&semaphore) == 0);
    for (int i = 0; i < 4; i++)
        weir_task_unref(tasks[i]);
    return NULL;
}

static weir_error *T45_release_without_waiters_frees_a_permit(void *arg)
{
    (void)arg;
    reset();
    CHECK(weir_semaphore_locked(&semaphore));
    CHECK(weir_semaphore_release(&semaphore));
    CHECK(weir_semaphore_release(&semaphore));
    CHECK(weir_semaphore_value(&semaphore) == 2);
    CHECK_OK(weir_semaphore_acquire(&semaphore));
    CHECK(weir_semaphore_try_acquire(&semaphore));
    CHECK(weir_semaphore_locked(&semaphore));
    return NULL;
}

static weir_error *T45_bounded_semaphore_refuses_a_release_too_many(void *arg)
{
    char text[512];
    bool released;

    (void)arg;
    weir_semaphore_init_bounded(&semaphore, 2);
    {
        CHECK_OK(weir_semaphore_acquire(&semaphore));
        WEIR_RELEASE_AT_END(permit, &semaphore);
        CHECK(weir_semaphore_value(&semaphore) == 1);
    }
    capture_log_begin();
    released = weir_semaphore_release(&semaphore);
    capture_log_end(text, sizeof text);
    CHECK(!released);
    CHECK(weir_semaphore_value(&semaphore) == 2);
    CHECK(strstr(text, "more often than it was acquired") != NULL);
    return NULL;
}

/* A task which never has to wait lets others run from time to time. */
static weir_error *uncontended_acquire_cannot_starve_the_loop(void *arg)
{
    struct actor other = {'o', WEIR_MS(0), 0};
    WEIR_GROUP(group);

    (void)arg;
    reset();
    weir_semaphore_init(&semaphore, 1000);
    CHECK_OK(weir_group_spawn(&group, taker, &other, NULL));
    for (int i = 0; i < 200; i++) {
        CHECK_OK(weir_lock_acquire(&lock));
        CHECK(weir_lock_release(&lock));
    }
    CHECK(ends == 1);
    CHECK_OK(weir_group_join(&group));
    return NULL;
}

static weir_error *use_from_another_loop(void *arg)
{
    (void)arg;
    CHECK_CODE(weir_lock_acquire(&lock), WEIR_ETHREAD);
    CHECK(!weir_lock_try_acquire(&lock));
    CHECK_CODE(weir_semaphore_acquire(&semaphore), WEIR_ETHREAD);
    return NULL;
}

static void *run_other_loop(void *arg)
{
    weir_ignore(weir_run(use_from_another_loop, arg, NULL));
    return NULL;
}

static weir_error *T47_T11_use_from_another_loop_is_refused(void *arg)
{
    char text[1024];
    pthread_t thread;

    (void)arg;
    reset();
    weir_semaphore_init(&semaphore, 1);
    CHECK_OK(weir_lock_acquire(&lock));
    CHECK_OK(weir_semaphore_acquire(&semaphore));
    CHECK(pthread_create(&thread, NULL, run_other_loop, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(weir_lock_locked(&lock));
    capture_log_begin();
    capture_log_end(text, sizeof text);
    CHECK(weir_lock_release(&lock));
    CHECK(weir_semaphore_release(&semaphore));
    return NULL;
}

static void *release_in_thread(void *arg)
{
    *(bool *)arg = weir_lock_release(&lock) || weir_semaphore_release(&semaphore);
    return NULL;
}

static weir_error *T47_T11_release_from_another_thread_is_reported_and_does_nothing(void *arg)
{
    char text[1024];
    bool released = true;
    pthread_t thread;

    (void)arg;
    reset();
    CHECK_OK(weir_lock_acquire(&lock));
    CHECK(weir_semaphore_release(&semaphore));
    capture_log_begin();
    CHECK(pthread_create(&thread, NULL, release_in_thread, &released) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    capture_log_end(text, sizeof text);
    CHECK(!released);
    CHECK(weir_lock_locked(&lock) && weir_semaphore_value(&semaphore) == 1);
    CHECK(strstr(text, "bound to a different event loop") != NULL);
    return NULL;
}

static void T47_lock_outside_of_tasks_cannot_wait(void **state)
{
    (void)state;
    reset();
    assert_code(weir_lock_acquire(&lock), WEIR_ENOTASK);
    assert_false(weir_lock_try_acquire(&lock)); /* there is no loop either */
    assert_false(weir_lock_locked(&lock));
}

IN_LOOP(T43_lock_is_given_in_the_order_of_arrival)
IN_LOOP(T43_nobody_slips_in_between_a_release_and_the_waiter)
IN_LOOP(T43_cancelled_waiter_leaves_the_row)
IN_LOOP(T43_waiter_cancelled_after_the_release_has_the_lock)
IN_LOOP(T43_release_in_the_tick_of_the_cancellation_wins)
IN_LOOP(task_that_waits_says_where)
IN_LOOP(deadline_ends_the_wait_for_a_lock)
IN_LOOP(cancelled_task_acquires_nothing_that_is_free)
IN_LOOP(lock_is_released_at_the_end_of_the_block)
IN_LOOP(release_of_what_is_not_locked_is_logged)
IN_LOOP(T45_semaphore_serves_in_the_order_of_arrival)
IN_LOOP(T45_cancelled_waiters_neither_hang_nor_eat_permits)
IN_LOOP(T45_release_without_waiters_frees_a_permit)
IN_LOOP(T45_bounded_semaphore_refuses_a_release_too_many)
IN_LOOP(uncontended_acquire_cannot_starve_the_loop)
IN_LOOP(T47_T11_use_from_another_loop_is_refused)
IN_LOOP(T47_T11_release_from_another_thread_is_reported_and_does_nothing)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T43_lock_is_given_in_the_order_of_arrival),
        IN_LOOP_TEST(T43_nobody_slips_in_between_a_release_and_the_waiter),
        IN_LOOP_TEST(T43_cancelled_waiter_leaves_the_row),
        IN_LOOP_TEST(T43_waiter_cancelled_after_the_release_has_the_lock),
        IN_LOOP_TEST(T43_release_in_the_tick_of_the_cancellation_wins),
        IN_LOOP_TEST(task_that_waits_says_where),
        IN_LOOP_TEST(deadline_ends_the_wait_for_a_lock),
        IN_LOOP_TEST(cancelled_task_acquires_nothing_that_is_free),
        IN_LOOP_TEST(lock_is_released_at_the_end_of_the_block),
        IN_LOOP_TEST(release_of_what_is_not_locked_is_logged),
        IN_LOOP_TEST(T45_semaphore_serves_in_the_order_of_arrival),
        IN_LOOP_TEST(T45_cancelled_waiters_neither_hang_nor_eat_permits),
        IN_LOOP_TEST(T45_release_without_waiters_frees_a_permit),
        IN_LOOP_TEST(T45_bounded_semaphore_refuses_a_release_too_many),
        IN_LOOP_TEST(uncontended_acquire_cannot_starve_the_loop),
        IN_LOOP_TEST(T47_T11_use_from_another_loop_is_refused),
        IN_LOOP_TEST(T47_T11_release_from_another_thread_is_reported_and_does_nothing),
        ON_MAIN_TEST(T47_lock_outside_of_tasks_cannot_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
