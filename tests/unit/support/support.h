/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For unit tests that run tasks. cmocka leaves a failing assertion by longjmp, which from a task's
 * stack would leave the loop inside of the task; so tasks use the macros below, which record, cancel
 * the task and return (the checks of <weir/testing.h>); the failure is raised on the main stack by
 * run_in_loop(), which runs a loop as a program does, in real time.
 *
 *     static weir_error *sleeps(void *arg)
 *     {
 *         CHECK_OK(weir_sleep(WEIR_MS(1)));
 *         CHECK_CODE(weir_await(future), WEIR_ECANCELED);
 *         CHECK(count == 1);
 *         return NULL;
 *     }
 *
 *     static void a_sleep_ends(void **state) { run_in_loop(sleeps, NULL); }
 *
 *     cmocka_unit_test_setup_teardown(a_sleep_ends, leaks_setup, leaks_teardown)
 */
#ifndef WEIR_TESTS_SUPPORT_H
#define WEIR_TESTS_SUPPORT_H

/* cmocka.h needs the others before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <weir/testing.h>

/* The checks of the test kit, by shorter names. CHECK, CHECK_OK and CHECK_CODE in functions that return
   weir_error *; EXPECT anywhere. */
#define CHECK      WEIR_CHECK
#define CHECK_OK   WEIR_CHECK_OK
#define CHECK_CODE WEIR_CHECK_CODE
#define EXPECT     WEIR_EXPECT

#define check_failed weir_test_check_failed
#define check_code   weir_test_check_code
/* Fails the test when something was recorded; for tests that drive a loop themselves. */
#define raise_recorded weir_test_raise_recorded

/* On the main stack. Runs `fn(arg)` as the first task of a new loop until it ends, cancels and joins
   what is left, closes. Fails the test when a check failed or `fn` returned an error.
   With WEIR_TEST_FAULTS in the environment every descriptor of the loop meets faults of that kind, on
   whatever backend WEIR_BACKEND names: "short" receives and sends of 1 to 1000 bytes, "again" sends
   that are refused five times, "interrupt" every second wait ends with nothing, "enobufs" every second
   receive finds no buffer, or "all". */
void run_in_loop(weir_fn fn, void *arg);
/* Whether WEIR_TEST_FAULTS is there: for claims about what the kernel alone does. */
bool faults_wanted(void);
/* Likewise; returns the code with which `fn` ended. */
weir_code run_in_loop_for_code(weir_fn fn, void *arg);
/* As run_in_loop(), with the clock of the test kit: it jumps to the next timer when all wait. */
void run_in_virtual_time(weir_fn fn, void *arg);
/* Fails the test when `take_error` is one; with its text. */
void assert_ok(weir_error *take_error);
void assert_code(weir_error *take_error, weir_code code);

/* A table entry for a body that runs as a task of a fresh loop, with leak counts:
 *     IN_LOOP(sleep_of_zero_yields_once)         // before main
 *     IN_LOOP_TEST(sleep_of_zero_yields_once),   // in the table
 */
#define IN_LOOP(body)                        \
    static void in_loop_##body(void **state) \
    {                                        \
        (void)state;                         \
        run_in_loop(body, NULL);             \
    }
/* The same in time that jumps when every task waits, for claims about who is first. */
#define IN_VIRTUAL_TIME(body)                \
    static void in_loop_##body(void **state) \
    {                                        \
        (void)state;                         \
        run_in_virtual_time(body, NULL);     \
    }
#define IN_LOOP_TEST(body)                                       \
    {                                                            \
#        body, in_loop_##body, leaks_setup, leaks_teardown, NULL \
    }
#define ON_MAIN_TEST(test) cmocka_unit_test_setup_teardown(test, leaks_setup, leaks_teardown)

/* Reports to the exception handler of the loops that run_in_loop() makes, since the setup: the
   message, and the subject on the next line. */
size_t reports(void);
const char *last_report(void);

/* What is logged from begin to end, as text, into `text`. */
void capture_log_begin(void);
void capture_log_end(char *text, size_t size);

/* Descriptors, loops, and homes of tasks (hence futures, tasks, coroutines) before and after. */
int leaks_setup(void **state);
int leaks_teardown(void **state);
/* Open descriptors of the process. */
size_t count_descriptors(void);

#endif
