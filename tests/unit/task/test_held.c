/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a task must not hold while it suspends (T90). core/task/mutexwatch.c is linked in, as preloading
 * would put it in front of the C library; not under sanitizers, which stand there themselves.
 */
#include "config.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <weir/log.h>
#include <weir/task.h>

#include "core/base/symbol.h"
#include "tests/unit/support/support.h"

static char logged[16384];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static weir_error *suspend_with_the_mutex(void *arg)
{
    pthread_mutex_lock(&mutex);
    WEIR_TRY(weir_sleep(*(weir_duration *)arg));
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static weir_error *suspend_without_it(void *arg)
{
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
    if (pthread_mutex_trylock(&mutex) == 0)
        pthread_mutex_unlock(&mutex);
    return weir_sleep(*(weir_duration *)arg);
}

static weir_error *lock_told(void *arg)
{
    weir_lock_taken(arg);
    WEIR_TRY(weir_sleep(WEIR_MS(0)));
    weir_lock_released(arg);
    return weir_sleep(WEIR_MS(0));
}

static void run_logged(weir_fn fn, void *arg)
{
    capture_log_begin();
    run_in_loop(fn, arg);
    capture_log_end(logged, sizeof logged);
}

static void T90_task_that_suspends_with_a_lock_is_reported(void **state)
{
    char *first;

    (void)state;
    run_logged(lock_told, &mutex);
    first = strstr(logged, "suspends while it holds 1 lock, the last one at ");
    assert_non_null(first);
    assert_non_null(strstr(first, "#0 lock_told "));
    assert_null(strstr(first + 1, "suspends while")); /* once: not when it was given back */
}

static void T90_mutex_held_across_a_suspension_is_seen_by_the_watch(void **state)
{
    weir_duration pause = WEIR_MS(0);

    (void)state;
#ifdef WEIR_SANITIZE
    print_message("sanitizers replace the functions of mutexes\n");
    skip();
#endif
    run_logged(suspend_with_the_mutex, &pause);
    assert_non_null(strstr(logged, "(fn=test created at "));
    assert_non_null(strstr(logged, "suspends while it holds 1 lock"));
    assert_non_null(strstr(logged, "#0 suspend_with_the_mutex "));
}

static void T90_mutex_given_back_before_is_no_report(void **state)
{
    weir_duration pause = WEIR_MS(0);

    (void)state;
    run_logged(suspend_without_it, &pause);
    assert_null(strstr(logged, "suspends while"));
}

static weir_error *T90_section_that_must_not_suspend_refuses_suspending_calls(void *arg)
{
    weir_error *error;
    char text[256], wanted[64];

    (void)arg;
    snprintf(wanted, sizeof wanted, "test_held.c:%d", __LINE__ + 1);
    weir_no_suspend_begin();
    weir_no_suspend_begin();
    weir_no_suspend_end();
    error = weir_sleep(WEIR_MS(0));
    weir_error_message(error, text, sizeof text);
    weir_no_suspend_end();
    CHECK_CODE(error, WEIR_EDEADLK);
    CHECK(strstr(text, wanted) != NULL);
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static int read_debug_information(void **state)
{
    void *address = (void *)(uintptr_t)lock_told;
    struct frame frame;

    (void)state;
    return weir__symbols_find(&address, 1, false, &frame, 1) ? 0 : -1;
}

IN_LOOP(T90_section_that_must_not_suspend_refuses_suspending_calls)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_MAIN_TEST(T90_task_that_suspends_with_a_lock_is_reported),
        ON_MAIN_TEST(T90_mutex_held_across_a_suspension_is_seen_by_the_watch),
        ON_MAIN_TEST(T90_mutex_given_back_before_is_no_report),
        IN_LOOP_TEST(T90_section_that_must_not_suspend_refuses_suspending_calls),
    };

    return cmocka_run_group_tests(tests, read_debug_information, NULL);
}
