/* SPDX-License-Identifier: Apache-2.0 */
/* Timeouts and shields (runtime-semantics 3.3, 3.4.2, T31 to T35). Names are claims. */
#include "config.h"

#include <errno.h>

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

/* T33 */
static weir_error *timeout_of_0_has_expired_at_the_first_call(void *arg)
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

/* T32 */
static weir_error *inner_expiry_leaves_the_outer_scope_alone(void *arg)
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

static weir_error *outer_expiry_ends_the_inner_scope_too(void *arg)
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

/* T34 */
static weir_error *reschedule_moves_the_deadline_both_ways(void *arg)
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

static weir_error *reschedule_reaches_a_task_that_waits(void *arg)
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

/* T31 */
static weir_error *cancellation_from_outside_wins_over_an_expired_deadline(void *arg)
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

/* T35 */
static weir_error *shield_masks_a_cancellation_for_clean_up(void *arg)
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

static weir_error *shield_masks_outer_deadlines(void *arg)
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

static weir_error *shield_is_over_at_its_own_deadline(void *arg)
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

static weir_error *cancellation_is_heard_when_the_shield_is_over(void *arg)
{
    weir_auto(weir_task) t = NULL;

    (void)arg;
    CHECK_OK(weir_spawn(hide_too_long, NULL, &t));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(t));
    CHECK_OK(weir_task_await(t));
    return NULL;
}

static void scopes_outside_a_task_are_inert(void **state)
{
    (void)state;
    WEIR_TIMEOUT(timeout, WEIR_MS(0));
    WEIR_SHIELD(shield, WEIR_MS(0));
    WEIR_GROUP(group);
    assert_false(weir_timeout_expired(&timeout));
    weir_timeout_reschedule(&timeout, WEIR_MS(1));
    assert_code(weir_group_spawn(&group, hide_too_long, NULL, NULL), WEIR_ENOTASK);
    assert_ok(weir_check_cancelled());
}

IN_LOOP(expired_deadline_carries_timed_out_through_the_scope)
IN_LOOP(timeout_of_0_has_expired_at_the_first_call)
IN_LOOP(expiry_is_level_triggered_and_ends_with_the_scope)
IN_LOOP(inner_expiry_leaves_the_outer_scope_alone)
IN_LOOP(outer_expiry_ends_the_inner_scope_too)
IN_LOOP(reschedule_moves_the_deadline_both_ways)
IN_LOOP(reschedule_reaches_a_task_that_waits)
IN_LOOP(completion_wins_over_a_deadline_of_the_same_moment)
IN_LOOP(cancellation_from_outside_wins_over_an_expired_deadline)
IN_LOOP(shield_masks_a_cancellation_for_clean_up)
IN_LOOP(shield_masks_outer_deadlines)
IN_LOOP(shield_is_over_at_its_own_deadline)
IN_LOOP(cancellation_is_heard_when_the_shield_is_over)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(expired_deadline_carries_timed_out_through_the_scope),
        IN_LOOP_TEST(timeout_of_0_has_expired_at_the_first_call),
        IN_LOOP_TEST(expiry_is_level_triggered_and_ends_with_the_scope),
        IN_LOOP_TEST(inner_expiry_leaves_the_outer_scope_alone),
        IN_LOOP_TEST(outer_expiry_ends_the_inner_scope_too),
        IN_LOOP_TEST(reschedule_moves_the_deadline_both_ways),
        IN_LOOP_TEST(reschedule_reaches_a_task_that_waits),
        IN_LOOP_TEST(completion_wins_over_a_deadline_of_the_same_moment),
        IN_LOOP_TEST(cancellation_from_outside_wins_over_an_expired_deadline),
        IN_LOOP_TEST(shield_masks_a_cancellation_for_clean_up),
        IN_LOOP_TEST(shield_masks_outer_deadlines),
        IN_LOOP_TEST(shield_is_over_at_its_own_deadline),
        IN_LOOP_TEST(cancellation_is_heard_when_the_shield_is_over),
        ON_MAIN_TEST(scopes_outside_a_task_are_inert),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
