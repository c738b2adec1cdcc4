/* SPDX-License-Identifier: Apache-2.0 */
/* Groups (runtime-semantics 3.4.3, T38). Names are claims. */
#include "config.h"

#include <errno.h>
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

static weir_error *leaving_cancels_and_joins(void *arg)
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

static weir_error *first_error_of_a_child_reaches_the_body_and_cancels_the_siblings(void *arg)
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

static weir_error *join_returns_the_first_error_with_the_others_attached(void *arg)
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

static weir_error *error_of_a_child_nobody_took_is_reported(void *arg)
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

static weir_error *cancelled_child_is_no_error(void *arg)
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

static weir_error *group_cancel_ends_the_children_without_error(void *arg)
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

static weir_error *cancellation_from_outside_ends_the_join_and_the_children(void *arg)
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

static weir_error *join_of_leaving_cannot_be_cancelled(void *arg)
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

static weir_error *children_may_add_siblings_while_the_body_joins(void *arg)
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

static weir_error *error_of_an_outer_group_ends_the_inner_one(void *arg)
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

IN_LOOP(join_waits_for_all_children)
IN_LOOP(leaving_cancels_and_joins)
IN_LOOP(first_error_of_a_child_reaches_the_body_and_cancels_the_siblings)
IN_LOOP(join_returns_the_first_error_with_the_others_attached)
IN_LOOP(error_of_a_child_nobody_took_is_reported)
IN_LOOP(cancelled_child_is_no_error)
IN_LOOP(group_cancel_ends_the_children_without_error)
IN_LOOP(cancellation_from_outside_ends_the_join_and_the_children)
IN_LOOP(join_of_leaving_cannot_be_cancelled)
IN_LOOP(next_gives_children_as_they_end_then_null)
IN_LOOP(children_without_handle_or_value_are_released_when_they_end)
IN_LOOP(children_may_add_siblings_while_the_body_joins)
IN_LOOP(error_of_an_outer_group_ends_the_inner_one)
IN_LOOP(timeout_around_a_group_carries_timed_out)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(join_waits_for_all_children),
        IN_LOOP_TEST(leaving_cancels_and_joins),
        IN_LOOP_TEST(first_error_of_a_child_reaches_the_body_and_cancels_the_siblings),
        IN_LOOP_TEST(join_returns_the_first_error_with_the_others_attached),
        IN_LOOP_TEST(error_of_a_child_nobody_took_is_reported),
        IN_LOOP_TEST(cancelled_child_is_no_error),
        IN_LOOP_TEST(group_cancel_ends_the_children_without_error),
        IN_LOOP_TEST(cancellation_from_outside_ends_the_join_and_the_children),
        IN_LOOP_TEST(join_of_leaving_cannot_be_cancelled),
        IN_LOOP_TEST(next_gives_children_as_they_end_then_null),
        IN_LOOP_TEST(children_without_handle_or_value_are_released_when_they_end),
        IN_LOOP_TEST(children_may_add_siblings_while_the_body_joins),
        IN_LOOP_TEST(error_of_an_outer_group_ends_the_inner_one),
        IN_LOOP_TEST(timeout_around_a_group_carries_timed_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
