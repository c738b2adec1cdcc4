/* SPDX-License-Identifier: Apache-2.0 */
/* Groups (runtime-semantics 3.4.3, T38). Names are claims. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <weir/scope.h>

#include "tests/unit/support/support.h"

static int ended, cancelled;

static weir_error *child_sleeps(void *arg)
{
    weir_error *error = weir_sleep(*(weir_duration *)arg);

    ended++;
    cancelled += weir_error_is(error, WEIR_ECANCELED);
    return error;
}

static weir_error *child_fails(void *arg)
{
    (void)arg;
    WEIR_TRY(weir_sleep(WEIR_MS(0)));
    return weir_raise(ENOENT, "the child has no luck");
}

static weir_error *child_fails_when_cancelled(void *arg)
{
    (void)arg;
    weir_ignore(weir_sleep(WEIR_S(100)));
    return weir_raise(EIO, "the other fails in its clean-up");
}

static weir_duration brief = {1000000};
static weir_duration endless = {INT64_MAX};

static weir_error *join_waits_for_all_children(void *arg)
{
    (void)arg;
    ended = cancelled = 0;
    {
        WEIR_GROUP(group);
        CHECK_OK(weir_group_spawn(&group, child_sleeps, &brief, NULL));
        CHECK_OK(weir_group_spawn(&group, child_sleeps, &brief, NULL));
        CHECK_OK(weir_group_join(&group));
        CHECK(ended == 2 && cancelled == 0);
        CHECK_OK(weir_group_spawn(&group, child_sleeps, &brief, NULL));
        CHECK_OK(weir_group_join(&group));
    }
    CHECK(ended == 3);
    return NULL;
}

static weir_error *T38_leaving_cancels_and_joins(void *arg)
{
    (void)arg;
    ended = cancelled = 0;
    {
        WEIR_GROUP(group);
        CHECK_OK(weir_group_spawn(&group, child_sleeps, &endless, NULL));
        CHECK_OK(weir_group_spawn(&group, child_sleeps, &endless, NULL));
        CHECK_OK(weir_sleep(WEIR_MS(0)));
    }
    CHECK(ended == 2 && cancelled == 2);
    return NULL;
}

static weir_error *body_with_a_failing_child(void *arg)
{
    weir_code *during = arg;
    WEIR_GROUP(group);
    weir_error *error;

    WEIR_TRY(weir_group_spawn(&group, child_sleeps, &endless, NULL));
    WEIR_TRY(weir_group_spawn(&group, child_fails, NULL, NULL));
    error = weir_sleep(WEIR_S(100));
    *during = weir_error_code(error);
    weir_ignore(error);
    CHECK_CODE(weir_group_spawn(&group, child_sleeps, &brief, NULL), ENOENT);
    WEIR_TRY(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static weir_error *
T38_C3_first_error_of_a_child_reaches_the_body_and_cancels_the_siblings(void *arg)
{
    weir_code during = 0;

    (void)arg;
    ended = cancelled = 0;
    CHECK_CODE(body_with_a_failing_child(&during), ENOENT);
    CHECK(during == ENOENT);
    CHECK(ended == 1 && cancelled == 1);
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(reports() == 0);
    return NULL;
}

static weir_error *T38_join_returns_the_first_error_with_the_others_attached(void *arg)
{
    char text[1024];
    weir_auto(weir_error) error = NULL;

    (void)arg;
    {
        WEIR_GROUP(group);
        CHECK_OK(weir_group_spawn(&group, child_fails_when_cancelled, NULL, NULL));
        CHECK_OK(weir_group_spawn(&group, child_fails, NULL, NULL));
        error = weir_group_join(&group);
    }
    CHECK(weir_error_is(error, ENOENT));
    weir_error_print(error, text, sizeof text);
    CHECK(strstr(text, "the child has no luck") != NULL);
    CHECK(strstr(text, "the other fails in its clean-up") != NULL);
    CHECK(reports() == 0);
    return NULL;
}

static weir_error *T38_H1_error_of_a_child_nobody_took_is_reported(void *arg)
{
    (void)arg;
    {
        WEIR_GROUP(group);
        CHECK_OK(weir_group_spawn(&group, child_fails_when_cancelled, NULL, NULL));
        CHECK_OK(weir_sleep(WEIR_MS(0)));
    }
    CHECK(reports() == 1);
    CHECK(strstr(last_report(), "test_group.c") != NULL);
    return NULL;
}

static weir_error *child_cancels_itself(void *arg)
{
    (void)arg;
    (void)weir_task_cancel(weir_task_current());
    return weir_sleep(WEIR_MS(0));
}

static weir_error *T38_cancelled_child_is_no_error(void *arg)
{
    WEIR_GROUP(group);

    (void)arg;
    ended = cancelled = 0;
    CHECK_OK(weir_group_spawn(&group, child_cancels_itself, NULL, NULL));
    CHECK_OK(weir_group_spawn(&group, child_sleeps, &brief, NULL));
    CHECK_OK(weir_group_join(&group));
    CHECK(ended == 1 && cancelled == 0);
    return NULL;
}

static weir_error *T38_group_cancel_ends_the_children_without_error(void *arg)
{
    WEIR_GROUP(group);

    (void)arg;
    ended = cancelled = 0;
    CHECK_OK(weir_group_spawn(&group, child_sleeps, &endless, NULL));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    weir_group_cancel(&group);
    CHECK_OK(weir_group_join(&group));
    CHECK(cancelled == 1);
    CHECK_CODE(weir_group_spawn(&group, child_sleeps, &brief, NULL), WEIR_ECLOSED);
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static weir_error *join_for_ever(void *arg)
{
    WEIR_GROUP(group);

    (void)arg;
    CHECK_OK(weir_group_spawn(&group, child_sleeps, &endless, NULL));
    WEIR_TRY(weir_group_join(&group));
    return NULL;
}

static weir_error *T38_C3_cancellation_from_outside_ends_the_join_and_the_children(void *arg)
{
    weir_auto(weir_task) t = NULL;

    (void)arg;
    ended = cancelled = 0;
    CHECK_OK(weir_spawn(join_for_ever, NULL, &t));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(t));
    CHECK_CODE(weir_task_await(t), WEIR_ECANCELED);
    CHECK(ended == 1 && cancelled == 1);
    return NULL;
}

static weir_error *child_cleans_up_slowly(void *arg)
{
    weir_error *error = weir_sleep(WEIR_S(100));

    (void)arg;
    {
        WEIR_SHIELD(shield, WEIR_S(10));
        CHECK_OK(weir_sleep(WEIR_MS(2)));
    }
    ended++;
    return error;
}

static weir_error *leave_at_once(void *arg)
{
    WEIR_GROUP(group);

    (void)arg;
    CHECK_OK(weir_group_spawn(&group, child_cleans_up_slowly, NULL, NULL));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static weir_error *T38_join_of_leaving_cannot_be_cancelled(void *arg)
{
    weir_auto(weir_task) t = NULL;

    (void)arg;
    ended = 0;
    CHECK_OK(weir_spawn(leave_at_once, NULL, &t));
    for (int i = 0; i < 4; i++)
        CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(t)); /* it is in its cleanup */
    CHECK_OK(weir_task_await(t));
    CHECK(ended == 1);
    return NULL;
}

static weir_error *child_gives(void *arg)
{
    WEIR_TRY(weir_sleep(*(weir_duration *)arg));
    weir_task_set_result(arg, NULL);
    return NULL;
}

static weir_error *next_gives_children_as_they_end_then_null(void *arg)
{
    weir_duration slow = WEIR_MS(4), fast = WEIR_MS(1);
    void *value = NULL;
    WEIR_GROUP(group);

    (void)arg;
    CHECK_OK(weir_group_spawn(&group, child_gives, &slow, NULL));
    CHECK_OK(weir_group_spawn(&group, child_gives, &fast, NULL));
    {
        weir_auto(weir_task) first = NULL;
        weir_auto(weir_task) second = NULL;
        weir_auto(weir_task) third = NULL;

        CHECK_OK(weir_group_next(&group, &first));
        CHECK_OK(weir_future_get_result(weir_task_future(first), &value));
        CHECK(value == &fast);
        CHECK_OK(weir_group_next(&group, &second));
        CHECK_OK(weir_future_get_result(weir_task_future(second), &value));
        CHECK(value == &slow);
        CHECK_OK(weir_group_next(&group, &third));
        CHECK(third == NULL);
    }
    return NULL;
}

static weir_error *children_without_handle_or_value_are_released_when_they_end(void *arg)
{
    weir_auto(weir_task) wanted = NULL;
    weir_auto(weir_task) given = NULL;
    weir_auto(weir_task) none = NULL;
    WEIR_GROUP(group);

    (void)arg;
    ended = 0;
    CHECK_OK(weir_group_spawn(&group, child_sleeps, &brief, NULL));
    CHECK_OK(weir_group_spawn(&group, child_sleeps, &brief, &wanted));
    CHECK_OK(weir_group_join(&group));
    CHECK(ended == 2);
    CHECK_OK(weir_group_next(&group, &given));
    CHECK(given == wanted);
    CHECK_OK(weir_group_next(&group, &none));
    CHECK(none == NULL);
    return NULL;
}

static weir_error *child_spawns_a_sibling(void *arg)
{
    CHECK_OK(weir_group_spawn((weir_group *)arg, child_sleeps, &brief, NULL));
    return NULL;
}

static weir_error *T38_children_may_add_siblings_while_the_body_joins(void *arg)
{
    WEIR_GROUP(group);

    (void)arg;
    ended = 0;
    CHECK_OK(weir_group_spawn(&group, child_spawns_a_sibling, &group, NULL));
    CHECK_OK(weir_group_join(&group));
    CHECK(ended == 1);
    return NULL;
}

static weir_error *nested_body(void *arg)
{
    WEIR_GROUP(outer);

    (void)arg;
    WEIR_TRY(weir_group_spawn(&outer, child_fails, NULL, NULL));
    {
        WEIR_GROUP(inner);
        WEIR_TRY(weir_group_spawn(&inner, child_sleeps, &endless, NULL));
        WEIR_TRY(weir_group_join(&inner));
    }
    return NULL;
}

static weir_error *T38_error_of_an_outer_group_ends_the_inner_one(void *arg)
{
    (void)arg;
    ended = cancelled = 0;
    CHECK_CODE(nested_body(NULL), ENOENT);
    CHECK(ended == 1 && cancelled == 1);
    return NULL;
}

static weir_error *timeout_around_a_group_carries_timed_out(void *arg)
{
    (void)arg;
    ended = cancelled = 0;
    {
        WEIR_TIMEOUT(limit, WEIR_MS(1));
        CHECK_CODE(join_for_ever(NULL), WEIR_ETIMEDOUT);
        CHECK(weir_timeout_expired(&limit));
    }
    CHECK(ended == 1 && cancelled == 1);
    return NULL;
}

static weir_error *body_that_fails(weir_code code)
{
    WEIR_GROUP(group);

    CHECK_OK(weir_group_spawn(&group, child_sleeps, &endless, NULL));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return weir_raise(code, "the body has no luck");
}

static weir_error *T38_error_of_the_body_cancels_and_joins_the_children(void *arg)
{
    (void)arg;
    ended = cancelled = 0;
    CHECK_CODE(body_that_fails(EPERM), EPERM);
    CHECK(ended == 1 && cancelled == 1);
    CHECK(reports() == 0);
    CHECK(weir_task_cancelling(weir_task_current()) == 0);
    return NULL;
}

static weir_error *body_that_fails_over_a_failing_child(void *arg)
{
    WEIR_GROUP(group);

    (void)arg;
    CHECK_OK(weir_group_spawn(&group, child_fails_when_cancelled, NULL, NULL));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return weir_raise(EPERM, "the body has no luck");
}

static weir_error *T38_errors_of_body_and_child_are_both_told(void *arg)
{
    (void)arg;
    CHECK_CODE(body_that_fails_over_a_failing_child(NULL), EPERM);
    CHECK(reports() == 1); /* the child's */
    return NULL;
}

static weir_error *join_a_failing_child(void *arg)
{
    WEIR_GROUP(group);

    (void)arg;
    CHECK_OK(weir_group_spawn(&group, child_fails_when_cancelled, NULL, NULL));
    CHECK_OK(weir_group_spawn(&group, child_fails, NULL, NULL));
    WEIR_TRY(weir_group_join(&group));
    return NULL;
}

static weir_error *T38_C3_cancellation_wins_over_the_error_of_a_child(void *arg)
{
    weir_auto(weir_task) task = NULL;

    (void)arg;
    CHECK_OK(weir_spawn(join_a_failing_child, NULL, &task));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(task)); /* a child fails in the same moment */
    CHECK_CODE(weir_task_await(task), WEIR_ECANCELED);
    CHECK(reports() == 1); /* and is not lost */
    CHECK(weir_task_cancelling(task) == 1);
    return NULL;
}

static weir_code refused;

static weir_error *child_spawns_in_its_clean_up(void *arg)
{
    weir_error *error = weir_sleep(WEIR_S(100)), *late;
    char text[512];

    capture_log_begin();
    late = weir_group_spawn_co(arg, weir_co(child_sleeps, &brief), NULL);
    capture_log_end(text, sizeof text);
    refused = weir_error_code(late);
    weir_ignore(late);
    CHECK(strstr(text, "never awaited") == NULL);
    return error;
}

static weir_error *T38_T20_G1_call_refused_by_a_group_that_ends_is_dropped_silently(void *arg)
{
    (void)arg;
    refused = 0;
    ended = 0;
    {
        WEIR_GROUP(group);
        CHECK_OK(weir_group_spawn_co(&group, weir_co(child_spawns_in_its_clean_up, &group), NULL));
        CHECK_OK(weir_sleep(WEIR_MS(0)));
    }
    CHECK(refused == WEIR_ECLOSED && ended == 0);
    return NULL;
}

static weir_error *T38_group_may_be_cancelled_before_any_child_and_twice(void *arg)
{
    weir_auto(weir_task) none = NULL;
    WEIR_GROUP(group);

    (void)arg;
    weir_group_cancel(&group);
    weir_group_cancel(&group);
    CHECK_CODE(weir_group_spawn(&group, child_sleeps, &brief, NULL), WEIR_ECLOSED);
    CHECK_OK(weir_group_next(&group, &none));
    CHECK(none == NULL);
    CHECK_OK(weir_group_join(&group));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static weir_error *child_joins_its_group(void *arg)
{
    weir_auto(weir_task) none = NULL;

    CHECK_CODE(weir_group_join(arg), WEIR_EDEADLK);
    CHECK_CODE(weir_group_next(arg, &none), WEIR_EDEADLK);
    return NULL;
}

static weir_error *only_the_body_joins(void *arg)
{
    WEIR_GROUP(group);

    (void)arg;
    CHECK_OK(weir_group_spawn(&group, child_joins_its_group, &group, NULL));
    CHECK_OK(weir_group_join(&group));
    return NULL;
}

static weir_error *child_fails_late(void *arg)
{
    (void)arg;
    weir_ignore(weir_sleep(WEIR_S(100)));
    {
        WEIR_SHIELD(shield, WEIR_S(100));
        CHECK_OK(weir_sleep(WEIR_MS(1)));
    }
    return weir_raise(EIO, "the other fails in its clean-up");
}

static weir_error *T38_error_that_comes_when_the_first_is_gone_is_reported(void *arg)
{
    (void)arg;
    {
        WEIR_GROUP(group);
        CHECK_OK(weir_group_spawn(&group, child_fails_late, NULL, NULL));
        CHECK_OK(weir_group_spawn(&group, child_fails, NULL, NULL));
        CHECK_CODE(weir_sleep(WEIR_S(100)), ENOENT); /* taken, read, let go */
        CHECK(reports() == 0);
    }
    CHECK(reports() == 1);
    return NULL;
}

static weir_error *T38_group_that_collects_lets_siblings_go_on(void *arg)
{
    weir_error *error;
    char text[1024];

    (void)arg;
    ended = cancelled = 0;
    {
        WEIR_GROUP(group);
        weir_group_set_policy(&group, WEIR_GROUP_COLLECT);
        CHECK_OK(weir_group_spawn(&group, child_fails, NULL, NULL));
        CHECK_OK(weir_group_spawn(&group, child_sleeps, &brief, NULL));
        CHECK_OK(weir_sleep(WEIR_US(100)));
        CHECK_OK(weir_sleep(WEIR_MS(0))); /* the body is not told */
        CHECK_OK(weir_group_spawn(&group, child_fails, NULL, NULL));
        error = weir_group_join(&group);
        CHECK(ended == 1 && cancelled == 0);
        weir_error_print(error, text, sizeof text);
        CHECK(weir_error_is(error, ENOENT));
        weir_error_unref(error);
        CHECK(strstr(strstr(text, "no luck") + 1, "no luck") != NULL);
        CHECK_OK(weir_group_join(&group)); /* handed over */
        CHECK_OK(weir_group_spawn(&group, child_fails, NULL, NULL));
        CHECK_CODE(weir_group_join(&group), ENOENT);
    }
    CHECK(reports() == 0);
    return NULL;
}

static weir_error *T38_supervisor_gets_failed_children_from_next(void *arg)
{
    (void)arg;
    {
        weir_task *child;
        int failures = 0;
        WEIR_GROUP(group);

        weir_group_set_policy(&group, WEIR_GROUP_COLLECT);
        for (int i = 0; i < 3; i++) {
            CHECK_OK(weir_group_spawn(&group, child_fails, NULL, &child));
            weir_task_unref(child);
        }
        for (;;) {
            CHECK_OK(weir_group_next(&group, &child));
            if (!child)
                break;
            CHECK_CODE(weir_task_await(child), ENOENT);
            weir_task_unref(child);
            failures++;
        }
        CHECK(failures == 3);
        CHECK_OK(weir_group_join(&group));
    }
    CHECK(reports() == 0);
    return NULL;
}

static weir_error *T38_collected_errors_are_bounded_and_none_is_lost(void *arg)
{
    weir_auto(weir_error) error = NULL;
    WEIR_GROUP(group);

    (void)arg;
    weir_group_set_policy(&group, WEIR_GROUP_COLLECT);
    for (int i = 0; i < 20; i++)
        CHECK_OK(weir_group_spawn(&group, child_fails, NULL, NULL));
    error = weir_group_join(&group);
    CHECK(weir_error_is(error, ENOENT));
    CHECK(reports() == 3); /* the first bears 16 */
    return NULL;
}

static void *use_group_elsewhere(void *group)
{
    weir_group_cancel(group);
    assert_code(weir_group_spawn((weir_group *)group, child_sleeps, &brief, NULL), WEIR_ETHREAD);
    return NULL;
}

static weir_error *T11_other_threads_change_nothing_in_a_group(void *arg)
{
    pthread_t thread;
    WEIR_GROUP(group);

    (void)arg;
    ended = cancelled = 0;
    CHECK_OK(weir_group_spawn(&group, child_sleeps, &brief, NULL));
    CHECK(pthread_create(&thread, NULL, use_group_elsewhere, &group) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_OK(weir_group_join(&group));
    CHECK(ended == 1 && cancelled == 0);
    return NULL;
}

IN_LOOP(join_waits_for_all_children)
IN_LOOP(T38_leaving_cancels_and_joins)
IN_LOOP(T38_C3_first_error_of_a_child_reaches_the_body_and_cancels_the_siblings)
IN_LOOP(T38_join_returns_the_first_error_with_the_others_attached)
IN_LOOP(T38_H1_error_of_a_child_nobody_took_is_reported)
IN_LOOP(T38_cancelled_child_is_no_error)
IN_LOOP(T38_group_cancel_ends_the_children_without_error)
IN_LOOP(T38_C3_cancellation_from_outside_ends_the_join_and_the_children)
IN_LOOP(T38_join_of_leaving_cannot_be_cancelled)
IN_LOOP(next_gives_children_as_they_end_then_null)
IN_LOOP(children_without_handle_or_value_are_released_when_they_end)
IN_LOOP(T38_children_may_add_siblings_while_the_body_joins)
IN_LOOP(T38_error_of_an_outer_group_ends_the_inner_one)
IN_LOOP(timeout_around_a_group_carries_timed_out)
IN_LOOP(T38_error_of_the_body_cancels_and_joins_the_children)
IN_LOOP(T38_errors_of_body_and_child_are_both_told)
IN_LOOP(T38_C3_cancellation_wins_over_the_error_of_a_child)
IN_LOOP(T38_T20_G1_call_refused_by_a_group_that_ends_is_dropped_silently)
IN_LOOP(T38_group_may_be_cancelled_before_any_child_and_twice)
IN_LOOP(only_the_body_joins)
IN_LOOP(T38_error_that_comes_when_the_first_is_gone_is_reported)
IN_LOOP(T38_group_that_collects_lets_siblings_go_on)
IN_LOOP(T38_supervisor_gets_failed_children_from_next)
IN_LOOP(T38_collected_errors_are_bounded_and_none_is_lost)
IN_LOOP(T11_other_threads_change_nothing_in_a_group)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(join_waits_for_all_children),
        IN_LOOP_TEST(T38_leaving_cancels_and_joins),
        IN_LOOP_TEST(T38_C3_first_error_of_a_child_reaches_the_body_and_cancels_the_siblings),
        IN_LOOP_TEST(T38_join_returns_the_first_error_with_the_others_attached),
        IN_LOOP_TEST(T38_H1_error_of_a_child_nobody_took_is_reported),
        IN_LOOP_TEST(T38_cancelled_child_is_no_error),
        IN_LOOP_TEST(T38_group_cancel_ends_the_children_without_error),
        IN_LOOP_TEST(T38_C3_cancellation_from_outside_ends_the_join_and_the_children),
        IN_LOOP_TEST(T38_join_of_leaving_cannot_be_cancelled),
        IN_LOOP_TEST(next_gives_children_as_they_end_then_null),
        IN_LOOP_TEST(children_without_handle_or_value_are_released_when_they_end),
        IN_LOOP_TEST(T38_children_may_add_siblings_while_the_body_joins),
        IN_LOOP_TEST(T38_error_of_an_outer_group_ends_the_inner_one),
        IN_LOOP_TEST(timeout_around_a_group_carries_timed_out),
        IN_LOOP_TEST(T38_error_of_the_body_cancels_and_joins_the_children),
        IN_LOOP_TEST(T38_errors_of_body_and_child_are_both_told),
        IN_LOOP_TEST(T38_C3_cancellation_wins_over_the_error_of_a_child),
        IN_LOOP_TEST(T38_T20_G1_call_refused_by_a_group_that_ends_is_dropped_silently),
        IN_LOOP_TEST(T38_group_may_be_cancelled_before_any_child_and_twice),
        IN_LOOP_TEST(only_the_body_joins),
        IN_LOOP_TEST(T38_error_that_comes_when_the_first_is_gone_is_reported),
        IN_LOOP_TEST(T38_group_that_collects_lets_siblings_go_on),
        IN_LOOP_TEST(T38_supervisor_gets_failed_children_from_next),
        IN_LOOP_TEST(T38_collected_errors_are_bounded_and_none_is_lost),
        IN_LOOP_TEST(T11_other_threads_change_nothing_in_a_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
