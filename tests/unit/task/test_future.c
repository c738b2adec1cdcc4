/* SPDX-License-Identifier: Apache-2.0 */
/* Futures: completion, results, callbacks, awaiting. Names are claims. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include <weir/future.h>

#include "tests/unit/support/support.h"

static int drops;
static char order[16];

static void count_drop(void *value)
{
    (void)value;
    drops++;
}

static weir_error *note(weir_future *future, void *letter)
{
    size_t length = 0;

    EXPECT(weir_future_done(future));
    while (order[length])
        length++;
    order[length] = *(const char *)letter;
    order[length + 1] = '\0';
    return NULL;
}

static weir_error *result_is_borrowed_then_taken_once(void *arg)
{
    weir_auto(weir_future) f = NULL;
    void *value = NULL;
    int number = 7;

    (void)arg;
    drops = 0;
    CHECK_OK(weir_future_new(&f));
    CHECK_CODE(weir_future_get_result(f, &value), WEIR_ENOTREADY);
    CHECK_OK(weir_future_set_result(f, &number, count_drop));
    CHECK_OK(weir_await(f));
    CHECK_OK(weir_future_get_result(f, &value));
    CHECK(value == &number);
    CHECK_OK(weir_future_take_result(f, &value));
    CHECK_CODE(weir_future_take_result(f, &value), WEIR_EINVALSTATE);
    CHECK_CODE(weir_future_get_result(f, &value), WEIR_EINVALSTATE);
    weir_future_unref(WEIR_TAKE(f));
    CHECK(drops == 0);
    return NULL;
}

static weir_error *result_nobody_takes_is_dropped(void *arg)
{
    weir_auto(weir_future) f = NULL;

    (void)arg;
    drops = 0;
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_future_set_result(f, &drops, count_drop));
    weir_future_unref(WEIR_TAKE(f));
    CHECK(drops == 1);
    return NULL;
}

/* T41 */
static weir_error *second_completion_leaves_the_value_with_the_caller(void *arg)
{
    weir_auto(weir_future) f = NULL;

    (void)arg;
    drops = 0;
    CHECK_OK(weir_future_new(&f));
    CHECK(weir_future_cancel(f));
    CHECK(!weir_future_cancel(f));
    CHECK(weir_future_cancelled(f));
    CHECK_CODE(weir_future_set_result(f, &drops, count_drop), WEIR_EINVALSTATE);
    CHECK(drops == 0);
    CHECK(!weir_future_try_set_result(f, &drops, count_drop));
    CHECK(drops == 1);
    CHECK(!weir_future_try_set_error(f, weir_raise(ENOENT, "late")));
    return NULL;
}

static weir_error *each_waiter_of_a_failed_future_gets_an_error_of_its_own(void *arg)
{
    weir_auto(weir_future) f = NULL;
    weir_auto(weir_error) one = NULL;
    weir_auto(weir_error) two = NULL;

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_future_set_error(f, weir_raise(ENOENT, "gone")));
    one = weir_await(f);
    two = weir_await(f);
    CHECK(weir_error_is(one, ENOENT) && weir_error_is(two, ENOENT));
    CHECK(one != two);
    CHECK(weir_error_cause(one) == weir_error_cause(two));
    return NULL;
}

static weir_error *callbacks_run_in_order_and_never_inside_the_call(void *arg)
{
    weir_auto(weir_future) f = NULL;

    (void)arg;
    order[0] = '\0';
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_future_add_done_callback(f, note, "a"));
    CHECK_OK(weir_future_add_done_callback(f, note, "b"));
    CHECK_OK(weir_future_add_done_callback(f, note, "c"));
    CHECK_OK(weir_future_set_result(f, NULL, NULL));
    CHECK_OK(weir_future_add_done_callback(f, note, "d"));
    CHECK(order[0] == '\0');
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(strcmp(order, "abcd") == 0);
    return NULL;
}

static weir_error *removed_callbacks_do_not_run(void *arg)
{
    weir_auto(weir_future) f = NULL;
    static char letter[] = "x";

    (void)arg;
    order[0] = '\0';
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_future_add_done_callback(f, note, letter));
    CHECK_OK(weir_future_add_done_callback(f, note, letter));
    CHECK(weir_future_remove_done_callback(f, note, letter) == 2);
    CHECK(weir_future_remove_done_callback(f, note, letter) == 0);
    CHECK_OK(weir_future_set_result(f, NULL, NULL));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(order[0] == '\0');
    return NULL;
}

static weir_error *drop_the_last_reference(weir_future *future, void *arg)
{
    (void)arg;
    weir_future_unref(future);
    return NULL;
}

static weir_error *future_may_lose_its_last_reference_in_its_callback(void *arg)
{
    weir_future *f = NULL;

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_future_add_done_callback(f, drop_the_last_reference, NULL));
    CHECK_OK(weir_future_set_result(f, NULL, NULL));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

/* T21 */
static weir_error *error_nobody_took_is_reported_with_its_site(void *arg)
{
    weir_auto(weir_future) f = NULL;

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_future_set_error(f, weir_raise(ENOENT, "gone")));
    CHECK(reports() == 0);
    weir_future_unref(WEIR_TAKE(f));
    CHECK(reports() == 1);
    CHECK(strstr(last_report(), "Future exception was never retrieved") != NULL);
    CHECK(strstr(last_report(), "test_future.c") != NULL);
    return NULL;
}

static weir_error *taken_or_cancelled_errors_are_not_reported(void *arg)
{
    weir_auto(weir_future) read = NULL;
    weir_auto(weir_future) cancelled = NULL;
    void *value = NULL;

    (void)arg;
    CHECK_OK(weir_future_new(&read));
    CHECK_OK(weir_future_set_error(read, weir_raise(ENOENT, "gone")));
    CHECK_CODE(weir_future_get_result(read, &value), ENOENT);
    CHECK_OK(weir_future_new(&cancelled));
    CHECK(weir_future_cancel(cancelled));
    weir_future_unref(WEIR_TAKE(read));
    weir_future_unref(WEIR_TAKE(cancelled));
    CHECK(reports() == 0);
    return NULL;
}

static weir_error *take_a_future_out(void *ret)
{
    weir_future **ret_future = ret;

    CHECK_OK(weir_future_new(ret_future));
    return NULL;
}

static void future_outlives_its_loop(void **state)
{
    weir_future *f = NULL;

    (void)state;
    run_in_loop(take_a_future_out, &f);
    drops = 0;
    assert_ok(weir_future_set_result(f, &drops, count_drop));
    assert_true(weir_future_done(f));
    weir_future_unref(f);
    assert_int_equal(drops, 1);
}

static void without_a_loop_there_is_no_future(void **state)
{
    weir_future *f = NULL;

    (void)state;
    assert_code(weir_future_new(&f), WEIR_ETHREAD);
    assert_null(f);
}

static void await_outside_a_task_is_refused(void **state)
{
    weir_loop *loop = NULL;
    weir_future *f = NULL;

    (void)state;
    assert_ok(weir_loop_new(NULL, &loop));
    assert_ok(weir_future_new(&f));
    assert_code(weir_await(f), WEIR_ENOTASK);
    assert_code(weir_sleep(WEIR_MS(1)), WEIR_ENOTASK);
    weir_future_unref(f);
    assert_ok(weir_loop_close(loop));
    weir_loop_unref(loop);
}

IN_LOOP(result_is_borrowed_then_taken_once)
IN_LOOP(result_nobody_takes_is_dropped)
IN_LOOP(second_completion_leaves_the_value_with_the_caller)
IN_LOOP(each_waiter_of_a_failed_future_gets_an_error_of_its_own)
IN_LOOP(callbacks_run_in_order_and_never_inside_the_call)
IN_LOOP(removed_callbacks_do_not_run)
IN_LOOP(future_may_lose_its_last_reference_in_its_callback)
IN_LOOP(error_nobody_took_is_reported_with_its_site)
IN_LOOP(taken_or_cancelled_errors_are_not_reported)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(result_is_borrowed_then_taken_once),
        IN_LOOP_TEST(result_nobody_takes_is_dropped),
        IN_LOOP_TEST(second_completion_leaves_the_value_with_the_caller),
        IN_LOOP_TEST(each_waiter_of_a_failed_future_gets_an_error_of_its_own),
        IN_LOOP_TEST(callbacks_run_in_order_and_never_inside_the_call),
        IN_LOOP_TEST(removed_callbacks_do_not_run),
        IN_LOOP_TEST(future_may_lose_its_last_reference_in_its_callback),
        IN_LOOP_TEST(error_nobody_took_is_reported_with_its_site),
        IN_LOOP_TEST(taken_or_cancelled_errors_are_not_reported),
        ON_MAIN_TEST(future_outlives_its_loop),
        ON_MAIN_TEST(without_a_loop_there_is_no_future),
        ON_MAIN_TEST(await_outside_a_task_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
