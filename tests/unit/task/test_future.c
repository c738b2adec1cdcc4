/* SPDX-License-Identifier: Apache-2.0 */
/* Futures: completion, results, callbacks, awaiting. Names are claims. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
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

static pthread_barrier_t barrier;
static char logged[8192];

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
static weir_error *T41_second_completion_leaves_the_value_with_the_caller(void *arg)
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
static weir_error *T21_H1_error_nobody_took_is_reported_with_its_site(void *arg)
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

static weir_error *T21_H1_taken_or_cancelled_errors_are_not_reported(void *arg)
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

static weir_error *T41_C4_set_on_a_done_future_names_who_came_first(void *arg)
{
    weir_auto(weir_future) f = NULL;
    weir_auto(weir_future) g = NULL;
    char text[512], wanted[64];
    weir_error *error;
    int value = 0;

    (void)arg;
    drops = 0;
    CHECK_OK(weir_future_new(&f));
    snprintf(wanted, sizeof wanted, "test_future.c:%d", __LINE__ + 1);
    CHECK(weir_future_cancel(f));
    error = weir_future_set_result(f, &value, count_drop);
    weir_error_message(error, text, sizeof text);
    CHECK(strstr(text, "future was cancelled at ") != NULL && strstr(text, wanted) != NULL);
    CHECK_CODE(error, WEIR_EINVALSTATE);
    CHECK(drops == 0); /* the caller keeps it */
    CHECK_OK(weir_future_new(&g));
    snprintf(wanted, sizeof wanted, "test_future.c:%d", __LINE__ + 1);
    CHECK_OK(weir_future_set_result(g, NULL, NULL));
    error = weir_future_set_error(g, NULL);
    weir_error_message(error, text, sizeof text);
    CHECK(strstr(text, "future was completed at ") != NULL && strstr(text, wanted) != NULL);
    CHECK_CODE(error, WEIR_EINVALSTATE);
    CHECK_CODE(weir_future_set_result(weir_task_future(weir_task_current()), NULL, NULL),
               WEIR_EINVAL);
    return NULL;
}

static weir_error *T41_C5_first_of_two_tries_wins(void *arg)
{
    weir_auto(weir_future) f = NULL;
    void *value = NULL;
    int a, b;

    (void)arg;
    drops = 0;
    CHECK_OK(weir_future_new(&f));
    CHECK(weir_future_try_set_result(f, &a, NULL));
    CHECK(!weir_future_try_set_result(f, &b, count_drop));
    CHECK(drops == 1);
    CHECK(!weir_future_try_set_error(f, weir_raise(EIO, "too late")));
    CHECK_OK(weir_future_get_result(f, &value));
    CHECK(value == &a);
    return NULL;
}

static weir_error *set_it(void *future)
{
    return weir_future_set_result((weir_future *)future, NULL, NULL);
}

static weir_error *C5_scheduled_set_on_a_cancelled_future_goes_to_the_handler(void *arg)
{
    weir_auto(weir_future) f = NULL;

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_loop_call_soon(weir_loop_current(), set_it, f, NULL, NULL));
    CHECK(weir_future_cancel(f));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(reports() == 1);
    CHECK(strstr(last_report(), "WEIR_EINVALSTATE (future was cancelled at ") != NULL);
    return NULL;
}

static weir_error *C5_posted_result_does_nothing_to_a_cancelled_future(void *arg)
{
    weir_auto(weir_future) f = NULL;
    weir_auto(weir_future) g = NULL;
    void *value = NULL;
    int number;

    (void)arg;
    drops = 0;
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_future_post_result(f, &number, count_drop));
    CHECK(!weir_future_done(f));
    CHECK(weir_future_cancel(f));
    CHECK_OK(weir_future_new(&g));
    CHECK_OK(weir_future_post_result(g, &number, NULL));
    CHECK_OK(weir_await(g));
    CHECK_OK(weir_future_get_result(g, &value));
    CHECK(value == &number);
    CHECK(drops == 1 && weir_future_cancelled(f));
    CHECK(reports() == 0);
    return NULL;
}

static void *cancel_from_a_thread(void *future)
{
    if (weir_future_cancel((weir_future *)future)) /* refused: it touches nothing */
        return NULL;
    return weir_future_cancel_threadsafe((weir_future *)future) ? NULL : future;
}

static weir_error *B2_D4_future_is_cancelled_from_another_thread_through_the_door(void *arg)
{
    weir_auto(weir_future) f = NULL;
    pthread_t thread;
    void *result = NULL;

    (void)arg;
    weir_loop_set_debug(weir_loop_current(), true);
    CHECK_OK(weir_future_new(&f));
    capture_log_begin();
    CHECK(pthread_create(&thread, NULL, cancel_from_a_thread, f) == 0);
    CHECK_CODE(weir_await(f), WEIR_ECANCELED); /* it wakes the loop */
    CHECK(pthread_join(thread, &result) == 0);
    capture_log_end(logged, sizeof logged);
    CHECK(strstr(logged,
                 "Non-thread-safe operation invoked on an event loop other than the current "
                 "one: weir_future_cancel() from tid ") != NULL);
    CHECK(strstr(logged, "test_future.c:") != NULL);
    CHECK(result == f);
    return NULL;
}

struct mutation {
    weir_future *future;
    char letters[3];
};

static weir_error *note_and_add(weir_future *future, void *arg)
{
    struct mutation *mutation = arg;

    WEIR_TRY(note(future, &mutation->letters[0]));
    CHECK(weir_future_remove_done_callback(future, note, &mutation->letters[1]) ==
          0); /* too late */
    CHECK_OK(weir_future_add_done_callback(future, note, &mutation->letters[2]));
    return NULL;
}

static weir_error *T42_callbacks_that_change_the_list_while_it_is_scheduled(void *arg)
{
    weir_auto(weir_future) f = NULL;
    struct mutation mutation = {.letters = {'a', 'b', 'c'}};

    (void)arg;
    order[0] = 0;
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_future_add_done_callback(f, note_and_add, &mutation));
    CHECK_OK(weir_future_add_done_callback(f, note, &mutation.letters[1]));
    CHECK_OK(weir_future_set_result(f, NULL, NULL));
    CHECK(order[0] == 0);
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(strcmp(order, "ab") == 0); /* what a callback adds waits for the next iteration */
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(strcmp(order, "abc") == 0);
    return NULL;
}

static weir_error *fail_in_a_callback(weir_future *future, void *arg)
{
    (void)future;
    (void)arg;
    return weir_raise(EIO, "callback");
}

static weir_error *error_of_a_callback_does_not_touch_the_next(void *arg)
{
    weir_auto(weir_future) f = NULL;
    char letter = 'z';

    (void)arg;
    order[0] = 0;
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_future_add_done_callback(f, fail_in_a_callback, NULL));
    CHECK_OK(weir_future_add_done_callback(f, note, &letter));
    CHECK_OK(weir_future_set_result(f, NULL, NULL));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(strcmp(order, "z") == 0);
    CHECK(reports() == 1 && strstr(last_report(), "fail_in_a_callback()") != NULL);
    return NULL;
}

static void *make_elsewhere(void *ret)
{
    weir_loop *loop = NULL;

    if (weir_loop_new(NULL, &loop) || weir_future_new((weir_future **)ret))
        return NULL;
    return loop;
}

static weir_error *close_elsewhere_is_not_possible(void *future)
{
    CHECK_CODE(weir_await((weir_future *)future), WEIR_ETHREAD);
    return NULL;
}

static void *other_loop_thread(void *arg)
{
    struct mutation *shared = arg;
    weir_loop *loop = make_elsewhere(&shared->future);

    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    weir_future_unref(shared->future);
    weir_ignore(weir_loop_close(loop));
    weir_loop_unref(loop);
    return NULL;
}

static weir_error *T47_future_of_another_loop_is_refused(void *arg)
{
    struct mutation shared = {0};
    pthread_t thread;

    (void)arg;
    CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, other_loop_thread, &shared) == 0);
    pthread_barrier_wait(&barrier);
    CHECK_OK(close_elsewhere_is_not_possible(shared.future));
    CHECK_CODE(weir_future_set_result(shared.future, NULL, NULL), WEIR_ETHREAD);
    CHECK_CODE(weir_future_add_done_callback(shared.future, note, NULL), WEIR_ETHREAD);
    pthread_barrier_wait(&barrier);
    CHECK(pthread_join(thread, NULL) == 0);
    pthread_barrier_destroy(&barrier);
    return NULL;
}

IN_LOOP(result_is_borrowed_then_taken_once)
IN_LOOP(result_nobody_takes_is_dropped)
IN_LOOP(T41_second_completion_leaves_the_value_with_the_caller)
IN_LOOP(each_waiter_of_a_failed_future_gets_an_error_of_its_own)
IN_LOOP(callbacks_run_in_order_and_never_inside_the_call)
IN_LOOP(removed_callbacks_do_not_run)
IN_LOOP(future_may_lose_its_last_reference_in_its_callback)
IN_LOOP(T21_H1_error_nobody_took_is_reported_with_its_site)
IN_LOOP(T21_H1_taken_or_cancelled_errors_are_not_reported)
IN_LOOP(T41_C4_set_on_a_done_future_names_who_came_first)
IN_LOOP(T41_C5_first_of_two_tries_wins)
IN_LOOP(C5_scheduled_set_on_a_cancelled_future_goes_to_the_handler)
IN_LOOP(C5_posted_result_does_nothing_to_a_cancelled_future)
IN_LOOP(B2_D4_future_is_cancelled_from_another_thread_through_the_door)
IN_LOOP(T42_callbacks_that_change_the_list_while_it_is_scheduled)
IN_LOOP(error_of_a_callback_does_not_touch_the_next)
IN_LOOP(T47_future_of_another_loop_is_refused)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(result_is_borrowed_then_taken_once),
        IN_LOOP_TEST(result_nobody_takes_is_dropped),
        IN_LOOP_TEST(T41_second_completion_leaves_the_value_with_the_caller),
        IN_LOOP_TEST(each_waiter_of_a_failed_future_gets_an_error_of_its_own),
        IN_LOOP_TEST(callbacks_run_in_order_and_never_inside_the_call),
        IN_LOOP_TEST(removed_callbacks_do_not_run),
        IN_LOOP_TEST(future_may_lose_its_last_reference_in_its_callback),
        IN_LOOP_TEST(T21_H1_error_nobody_took_is_reported_with_its_site),
        IN_LOOP_TEST(T21_H1_taken_or_cancelled_errors_are_not_reported),
        IN_LOOP_TEST(T41_C4_set_on_a_done_future_names_who_came_first),
        IN_LOOP_TEST(T41_C5_first_of_two_tries_wins),
        IN_LOOP_TEST(C5_scheduled_set_on_a_cancelled_future_goes_to_the_handler),
        IN_LOOP_TEST(C5_posted_result_does_nothing_to_a_cancelled_future),
        IN_LOOP_TEST(B2_D4_future_is_cancelled_from_another_thread_through_the_door),
        IN_LOOP_TEST(T42_callbacks_that_change_the_list_while_it_is_scheduled),
        IN_LOOP_TEST(error_of_a_callback_does_not_touch_the_next),
        IN_LOOP_TEST(T47_future_of_another_loop_is_refused),
        ON_MAIN_TEST(future_outlives_its_loop),
        ON_MAIN_TEST(without_a_loop_there_is_no_future),
        ON_MAIN_TEST(await_outside_a_task_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
