/* SPDX-License-Identifier: Apache-2.0 */
/* Timeouts and shields (runtime-semantics 3.3, 3.4.2, T31 to T35). Names are claims. */
#include "config.h"

#include <errno.h>
#include <pthread.h>

#include <weir/scope.h>

#include "core/task/task.h"
#include "tests/unit/support/support.h"

static weir_error *sleep_in_a_timeout(weir_duration limit, weir_duration sleep)
{
    WEIR_TIMEOUT(scope, limit);
    WEIR_TRY(weir_sleep(sleep));
    return NULL;
}

static weir_error *expired_deadline_carries_timed_out_through_the_scope(void *arg)
{
    (void)arg;
    CHECK_CODE(sleep_in_a_timeout(WEIR_MS(1), WEIR_S(100)), WEIR_ETIMEDOUT);
    CHECK_OK(sleep_in_a_timeout(WEIR_S(100), WEIR_MS(1)));
    CHECK_OK(sleep_in_a_timeout(WEIR_FOREVER, WEIR_MS(1)));
    CHECK(weir__current_task->scope == NULL);
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static weir_error *T33_timeout_of_0_has_expired_at_the_first_call(void *arg)
{
    (void)arg;
    {
        WEIR_TIMEOUT(scope, WEIR_MS(0));
        CHECK(weir_timeout_expired(&scope));
        CHECK_CODE(weir_sleep(WEIR_MS(0)), WEIR_ETIMEDOUT);
        CHECK_CODE(weir_sleep(WEIR_S(100)), WEIR_ETIMEDOUT);
    }
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static weir_error *expiry_is_level_triggered_and_ends_with_the_scope(void *arg)
{
    (void)arg;
    {
        WEIR_TIMEOUT(scope, WEIR_MS(1));
        CHECK(!weir_timeout_expired(&scope));
        CHECK_CODE(weir_sleep(WEIR_S(100)), WEIR_ETIMEDOUT);
        CHECK(weir_timeout_expired(&scope));
        CHECK_CODE(weir_sleep(WEIR_MS(0)), WEIR_ETIMEDOUT);
        weir_timeout_reschedule(&scope, WEIR_S(100)); /* too late: it was seen */
        CHECK_CODE(weir_sleep(WEIR_MS(0)), WEIR_ETIMEDOUT);
    }
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static weir_error *T32_inner_expiry_leaves_the_outer_scope_alone(void *arg)
{
    WEIR_TIMEOUT(outer, WEIR_S(100));

    (void)arg;
    {
        WEIR_TIMEOUT(inner, WEIR_MS(1));
        CHECK_CODE(weir_sleep(WEIR_S(200)), WEIR_ETIMEDOUT);
        CHECK(weir_timeout_expired(&inner));
        CHECK(!weir_timeout_expired(&outer));
    }
    CHECK_OK(weir_sleep(WEIR_MS(1)));
    return NULL;
}

static weir_error *T32_outer_expiry_ends_the_inner_scope_too(void *arg)
{
    WEIR_TIMEOUT(outer, WEIR_MS(1));

    (void)arg;
    {
        WEIR_TIMEOUT(inner, WEIR_S(100));
        CHECK_CODE(weir_sleep(WEIR_S(200)), WEIR_ETIMEDOUT);
        CHECK(!weir_timeout_expired(&inner));
        CHECK(weir_timeout_expired(&outer));
    }
    CHECK_CODE(weir_sleep(WEIR_MS(0)), WEIR_ETIMEDOUT);
    return NULL;
}

static weir_error *T34_reschedule_moves_the_deadline_both_ways(void *arg)
{
    WEIR_TIMEOUT(scope, WEIR_MS(0));

    (void)arg;
    weir_timeout_reschedule(&scope, WEIR_S(100)); /* nobody has seen the expiry */
    CHECK(!weir_timeout_expired(&scope));
    CHECK_OK(weir_sleep(WEIR_MS(1)));
    weir_timeout_reschedule(&scope, WEIR_MS(1));
    CHECK_CODE(weir_sleep(WEIR_S(50)), WEIR_ETIMEDOUT);
    return NULL;
}

static weir_error *reschedule_it(void *scope)
{
    weir_timeout_reschedule(scope, WEIR_MS(1));
    return NULL;
}

static weir_error *T34_reschedule_reaches_a_task_that_waits(void *arg)
{
    WEIR_TIMEOUT(scope, WEIR_FOREVER);

    (void)arg;
    CHECK_OK(weir_loop_call_soon(weir_loop_current(), reschedule_it, &scope, NULL, NULL));
    CHECK_CODE(weir_sleep(WEIR_FOREVER), WEIR_ETIMEDOUT);
    return NULL;
}

static weir_error *completion_wins_over_a_deadline_of_the_same_moment(void *arg)
{
    WEIR_TIMEOUT(scope, WEIR_MS(1));

    (void)arg;
    CHECK_OK(weir_sleep(WEIR_MS(1)));
    CHECK_CODE(weir_sleep(WEIR_MS(0)), WEIR_ETIMEDOUT);
    return NULL;
}

static weir_error *expire_in_a_timeout(void *arg)
{
    weir_code *code = arg;
    weir_error *error;
    WEIR_TIMEOUT(scope, WEIR_MS(0));

    error = weir_sleep(WEIR_S(1));
    *code = weir_error_code(error);
    return error;
}

static weir_error *T31_cancellation_from_outside_wins_over_an_expired_deadline(void *arg)
{
    weir_auto(weir_task) t = NULL;
    weir_code code = 0;

    (void)arg;
    CHECK_OK(weir_spawn(expire_in_a_timeout, &code, &t));
    CHECK(weir_task_cancel(t));
    CHECK_CODE(weir_task_await(t), WEIR_ECANCELED);
    CHECK(code == WEIR_ECANCELED);
    CHECK(weir_task_cancelling(t) == 1);
    return NULL;
}

static weir_error *clean_up_in_a_shield(void *arg)
{
    int *cleaned = arg;
    weir_error *error = weir_sleep(WEIR_S(100));

    {
        WEIR_SHIELD(shield, WEIR_S(100));
        CHECK_OK(weir_check_cancelled());
        CHECK_OK(weir_sleep(WEIR_MS(1)));
        ++*cleaned;
    }
    CHECK_CODE(weir_check_cancelled(), WEIR_ECANCELED);
    return error;
}

static weir_error *T35_shield_masks_a_cancellation_for_clean_up(void *arg)
{
    weir_auto(weir_task) t = NULL;
    int cleaned = 0;

    (void)arg;
    CHECK_OK(weir_spawn(clean_up_in_a_shield, &cleaned, &t));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(t));
    CHECK_CODE(weir_task_await(t), WEIR_ECANCELED);
    CHECK(cleaned == 1);
    return NULL;
}

static weir_error *T35_shield_masks_outer_deadlines(void *arg)
{
    WEIR_TIMEOUT(outer, WEIR_MS(0));

    (void)arg;
    {
        WEIR_SHIELD(shield, WEIR_S(100));
        CHECK_OK(weir_sleep(WEIR_MS(1)));
        {
            WEIR_TIMEOUT(inner, WEIR_MS(1)); /* not one inside */
            CHECK_CODE(weir_sleep(WEIR_S(100)), WEIR_ETIMEDOUT);
        }
    }
    CHECK_CODE(weir_sleep(WEIR_MS(0)), WEIR_ETIMEDOUT);
    return NULL;
}

static weir_error *T35_shield_is_over_at_its_own_deadline(void *arg)
{
    (void)arg;
    {
        WEIR_SHIELD(shield, WEIR_MS(1));
        CHECK_CODE(weir_sleep(WEIR_S(100)), WEIR_ETIMEDOUT);
        CHECK_CODE(weir_sleep(WEIR_MS(0)), WEIR_ETIMEDOUT);
    }
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static weir_error *hide_too_long(void *arg)
{
    WEIR_SHIELD(shield, WEIR_MS(1));

    (void)arg;
    CHECK_CODE(weir_sleep(WEIR_S(100)), WEIR_ECANCELED);
    return NULL;
}

static weir_error *T35_cancellation_is_heard_when_the_shield_is_over(void *arg)
{
    weir_auto(weir_task) t = NULL;

    (void)arg;
    CHECK_OK(weir_spawn(hide_too_long, NULL, &t));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(t));
    CHECK_OK(weir_task_await(t));
    return NULL;
}

static weir_error *sleep_until(weir_instant when, weir_duration sleep)
{
    WEIR_TIMEOUT_AT(scope, when);
    CHECK(weir_timeout_when(&scope).ns == when.ns);
    WEIR_TRY(weir_sleep(sleep));
    return NULL;
}

static weir_error *deadline_may_be_an_instant(void *arg)
{
    weir_instant now = weir_now();

    (void)arg;
    CHECK_CODE(sleep_until(weir_instant_after(now, WEIR_MS(2)), WEIR_S(100)), WEIR_ETIMEDOUT);
    CHECK(weir_now().ns - now.ns >= WEIR_MS(2).ns);
    CHECK_CODE(sleep_until((weir_instant){1}, WEIR_MS(0)), WEIR_ETIMEDOUT); /* long past */
    CHECK_OK(sleep_until((weir_instant){INT64_MAX}, WEIR_MS(1)));
    return NULL;
}

static weir_error *T34_reschedule_to_none_shorter_and_an_instant(void *arg)
{
    weir_instant soon;
    WEIR_TIMEOUT(scope, WEIR_MS(1));

    (void)arg;
    weir_timeout_reschedule(&scope, WEIR_FOREVER);
    CHECK(weir_timeout_when(&scope).ns == INT64_MAX);
    CHECK_OK(weir_sleep(WEIR_MS(3)));
    weir_timeout_reschedule(&scope, WEIR_S(100));
    CHECK_OK(weir_sleep(WEIR_MS(1)));
    soon = weir_instant_after(weir_now(), WEIR_MS(2));
    weir_timeout_reschedule_at(&scope, soon);
    CHECK(weir_timeout_when(&scope).ns == soon.ns);
    CHECK_CODE(weir_sleep(WEIR_S(50)), WEIR_ETIMEDOUT);
    CHECK(weir_timeout_expired(&scope));
    return NULL;
}

static weir_error *T32_busy_loop_past_both_deadlines_expires_both(void *arg)
{
    WEIR_TIMEOUT(outer, WEIR_MS(2));

    (void)arg;
    {
        WEIR_TIMEOUT(inner, WEIR_MS(1));
        weir_instant end = weir_instant_after(weir_now(), WEIR_MS(4));

        while (weir_now().ns < end.ns)
            continue;
        CHECK_CODE(weir_sleep(WEIR_S(100)), WEIR_ETIMEDOUT);
        CHECK(weir_timeout_expired(&inner) && weir_timeout_expired(&outer));
    }
    CHECK_CODE(weir_sleep(WEIR_S(100)), WEIR_ETIMEDOUT);
    return NULL;
}

static weir_error *T33_body_of_timeout_0_runs_to_its_first_suspending_call(void *arg)
{
    int steps = 0;

    (void)arg;
    {
        WEIR_TIMEOUT(scope, WEIR_MS(0));
        steps++;
        if (!weir_check_cancelled()) /* static: nothing to free */
            steps++;
        CHECK_CODE(weir_sleep(WEIR_S(1)), WEIR_ETIMEDOUT);
    }
    CHECK(steps == 1);
    {
        WEIR_TIMEOUT(scope, WEIR_MS(0)); /* left without suspending: nobody is told */
        steps++;
    }
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

struct tick {
    weir_task *task;
    weir_code code;
};

static weir_error *expire_while_asleep(void *arg)
{
    struct tick *tick = arg;
    weir_error *error;

    {
        WEIR_TIMEOUT(scope, WEIR_MS(1));
        error = weir_sleep(WEIR_S(100));
        tick->code = weir_error_code(error);
        CHECK(weir_timeout_expired(&scope));
    }
    CHECK_CODE(weir_sleep(WEIR_MS(0)), WEIR_ECANCELED);
    return error;
}

static weir_error *cancel_it(void *arg)
{
    struct tick *tick = arg;

    CHECK(weir_task_cancel(tick->task));
    return NULL;
}

static weir_error *T31_C3_timeout_and_cancellation_in_the_same_tick_is_a_cancellation(void *arg)
{
    weir_instant when;
    struct tick tick = {0};

    (void)arg;
    CHECK_OK(weir_spawn(expire_while_asleep, &tick, &tick.task));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    when = weir_instant_after(weir_loop_time(weir_loop_current()), WEIR_US(500));
    CHECK_OK(weir_loop_call_at(weir_loop_current(), when, cancel_it, &tick, NULL, NULL));
    while (weir_now().ns < when.ns + WEIR_MS(3).ns)
        continue; /* so that both are due in one iteration */
    CHECK_CODE(weir_task_await(tick.task), WEIR_ECANCELED);
    CHECK(tick.code == WEIR_ECANCELED);
    CHECK(weir_task_cancelling(tick.task) == 1);
    weir_task_unref(tick.task);
    return NULL;
}

static weir_error *T35_shields_nest_and_the_inner_deadline_counts(void *arg)
{
    (void)arg;
    (void)weir_task_cancel(weir_task_current());
    {
        WEIR_SHIELD(outer, WEIR_S(100));
        {
            WEIR_SHIELD(inner, WEIR_MS(1));
            CHECK_CODE(weir_sleep(WEIR_S(100)),
                       WEIR_ETIMEDOUT); /* not cancelled: the outer holds */
        }
        CHECK_OK(weir_sleep(WEIR_MS(1)));
    }
    CHECK_CODE(weir_sleep(WEIR_MS(0)), WEIR_ECANCELED);
    CHECK(weir_task_uncancel(weir_task_current()) == 0);
    return NULL;
}

static void *reschedule_elsewhere(void *scope)
{
    weir_timeout_reschedule(scope, WEIR_MS(0));
    return NULL;
}

static weir_error *T11_other_threads_cannot_move_a_deadline(void *arg)
{
    weir_instant before;
    pthread_t thread;
    WEIR_TIMEOUT(scope, WEIR_S(100));

    (void)arg;
    before = weir_timeout_when(&scope);
    CHECK(pthread_create(&thread, NULL, reschedule_elsewhere, &scope) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(weir_timeout_when(&scope).ns == before.ns);
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static void scopes_outside_a_task_are_inert(void **state)
{
    (void)state;
    WEIR_TIMEOUT(timeout, WEIR_MS(0));
    WEIR_SHIELD(shield, WEIR_MS(0));
    WEIR_GROUP(group);
    assert_false(weir_timeout_expired(&timeout));
    assert_int_equal(weir_timeout_when(&timeout).ns, INT64_MAX);
    weir_timeout_reschedule(&timeout, WEIR_MS(1));
    assert_code(weir_group_spawn(&group, hide_too_long, NULL, NULL), WEIR_ENOTASK);
    assert_ok(weir_check_cancelled());
}

IN_LOOP(expired_deadline_carries_timed_out_through_the_scope)
IN_LOOP(T33_timeout_of_0_has_expired_at_the_first_call)
IN_LOOP(expiry_is_level_triggered_and_ends_with_the_scope)
IN_LOOP(T32_inner_expiry_leaves_the_outer_scope_alone)
IN_LOOP(T32_outer_expiry_ends_the_inner_scope_too)
IN_LOOP(T34_reschedule_moves_the_deadline_both_ways)
IN_LOOP(T34_reschedule_reaches_a_task_that_waits)
IN_LOOP(completion_wins_over_a_deadline_of_the_same_moment)
IN_LOOP(T31_cancellation_from_outside_wins_over_an_expired_deadline)
IN_LOOP(T35_shield_masks_a_cancellation_for_clean_up)
IN_LOOP(T35_shield_masks_outer_deadlines)
IN_LOOP(T35_shield_is_over_at_its_own_deadline)
IN_LOOP(T35_cancellation_is_heard_when_the_shield_is_over)
IN_LOOP(deadline_may_be_an_instant)
IN_LOOP(T34_reschedule_to_none_shorter_and_an_instant)
IN_LOOP(T32_busy_loop_past_both_deadlines_expires_both)
IN_LOOP(T33_body_of_timeout_0_runs_to_its_first_suspending_call)
IN_LOOP(T31_C3_timeout_and_cancellation_in_the_same_tick_is_a_cancellation)
IN_LOOP(T35_shields_nest_and_the_inner_deadline_counts)
IN_LOOP(T11_other_threads_cannot_move_a_deadline)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(expired_deadline_carries_timed_out_through_the_scope),
        IN_LOOP_TEST(T33_timeout_of_0_has_expired_at_the_first_call),
        IN_LOOP_TEST(expiry_is_level_triggered_and_ends_with_the_scope),
        IN_LOOP_TEST(T32_inner_expiry_leaves_the_outer_scope_alone),
        IN_LOOP_TEST(T32_outer_expiry_ends_the_inner_scope_too),
        IN_LOOP_TEST(T34_reschedule_moves_the_deadline_both_ways),
        IN_LOOP_TEST(T34_reschedule_reaches_a_task_that_waits),
        IN_LOOP_TEST(completion_wins_over_a_deadline_of_the_same_moment),
        IN_LOOP_TEST(T31_cancellation_from_outside_wins_over_an_expired_deadline),
        IN_LOOP_TEST(T35_shield_masks_a_cancellation_for_clean_up),
        IN_LOOP_TEST(T35_shield_masks_outer_deadlines),
        IN_LOOP_TEST(T35_shield_is_over_at_its_own_deadline),
        IN_LOOP_TEST(T35_cancellation_is_heard_when_the_shield_is_over),
        IN_LOOP_TEST(deadline_may_be_an_instant),
        IN_LOOP_TEST(T34_reschedule_to_none_shorter_and_an_instant),
        IN_LOOP_TEST(T32_busy_loop_past_both_deadlines_expires_both),
        IN_LOOP_TEST(T33_body_of_timeout_0_runs_to_its_first_suspending_call),
        IN_LOOP_TEST(T31_C3_timeout_and_cancellation_in_the_same_tick_is_a_cancellation),
        IN_LOOP_TEST(T35_shields_nest_and_the_inner_deadline_counts),
        IN_LOOP_TEST(T11_other_threads_cannot_move_a_deadline),
        ON_MAIN_TEST(scopes_outside_a_task_are_inert),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
