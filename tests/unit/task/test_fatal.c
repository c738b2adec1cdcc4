/* SPDX-License-Identifier: Apache-2.0 */
/* An error that ends the run (WEIR_EFATAL) of a task: nobody needs to wait for it (T8). */
#include "config.h"

#include "core/task/wait.h"
#include "tests/unit/support/support.h"

static int went_on, ended;

static weir_error *fails_for_all(void *arg)
{
    (void)arg;
    WEIR_TRY(weir_sleep(WEIR_NS(0)));
    return weir_raise(WEIR_EFATAL, "enough");
}

static weir_error *goes_on(void *arg)
{
    (void)arg;
    went_on++;
    return NULL;
}

static weir_error *waits_for_ever(void *arg)
{
    weir_error *error;

    (void)arg;
    error = weir_sleep(WEIR_S(3600));
    ended++;
    return error;
}

/* Its own first turn, then that of the fatal task. */
static weir_error *detaches(void *arg)
{
    (void)arg;
    CHECK_OK(weir_spawn(fails_for_all, NULL, NULL));
    return waits_for_ever(NULL);
}

static weir_error *groups(void *arg)
{
    WEIR_GROUP(group);

    (void)arg;
    CHECK_OK(weir_group_spawn(&group, waits_for_ever, NULL, NULL));
    CHECK_OK(weir_group_spawn(&group, fails_for_all, NULL, NULL));
    CHECK_CODE(weir_group_join(&group), WEIR_EFATAL);
    ended++;
    return NULL;
}

static weir_error *returns_it(void *arg)
{
    (void)arg;
    return weir_raise(WEIR_EFATAL, "mine");
}

/* Nothing is cut off by longer than its end needs: a run that goes on would take an hour. */
static void run_ends_with_it(weir_fn main, int wanted_ends)
{
    weir_instant began = weir_now();

    went_on = ended = 0;
    assert_code(weir_run(main, NULL, NULL), WEIR_EFATAL);
    assert_int_equal(ended, wanted_ends);
    assert_true(weir_now().ns - began.ns < WEIR_S(10).ns);
}

static void T8_fatal_error_of_a_task_without_handle_ends_the_run(void **state)
{
    (void)state;
    run_ends_with_it(detaches, 1);
}

static void T8_fatal_error_of_a_child_ends_the_run_and_reaches_the_body(void **state)
{
    (void)state;
    run_ends_with_it(groups, 2);
}

static void T8_fatal_error_of_main_is_that_of_the_run(void **state)
{
    (void)state;
    run_ends_with_it(returns_it, 0);
}

static weir_error *stops(void *loop)
{
    weir_loop_stop(loop);
    return NULL;
}

static void T8_loop_is_usable_after_a_task_has_ended_its_run(void **state)
{
    weir_loop *loop;

    (void)state;
    went_on = 0;
    assert_ok(weir_loop_new(NULL, &loop));
    assert_ok(weir__spawn(loop, WEIR_HERE, "fails_for_all", fails_for_all, NULL, NULL));
    assert_code(weir_loop_run_forever(loop), WEIR_EFATAL);
    assert_ok(weir__spawn(loop, WEIR_HERE, "goes_on", goes_on, NULL, NULL));
    assert_ok(weir_loop_call_later(loop, WEIR_MS(1), stops, loop, NULL, NULL));
    assert_ok(weir_loop_run_forever(loop));
    assert_int_equal(went_on, 1);
    assert_ok(weir_loop_close(loop));
    weir_loop_unref(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_MAIN_TEST(T8_fatal_error_of_a_task_without_handle_ends_the_run),
        ON_MAIN_TEST(T8_fatal_error_of_a_child_ends_the_run_and_reaches_the_body),
        ON_MAIN_TEST(T8_fatal_error_of_main_is_that_of_the_run),
        ON_MAIN_TEST(T8_loop_is_usable_after_a_task_has_ended_its_run),
    };

    return cmocka_run_group_tests_name("fatal errors of tasks", tests, NULL, NULL);
}
