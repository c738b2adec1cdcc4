/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks: starting, results, reports, fairness, coroutines that nobody started. Names are claims. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/log.h>
#include <weir/scope.h>

#include "core/base/alloc.h"
#include "core/base/symbol.h"
#include "core/task/task.h"
#include "tests/unit/support/support.h"

static int drops;
static int steps;
static char order[16];

static void count_drop(void *value)
{
    (void)value;
    drops++;
}

static void note(char letter)
{
    size_t length = strlen(order);

    order[length] = letter;
    order[length + 1] = '\0';
}

static weir_error *note_twice(void *letter)
{
    note(*(const char *)letter);
    WEIR_TRY(weir_sleep(WEIR_MS(0)));
    note(*(const char *)letter);
    return NULL;
}

static weir_error *tasks_start_in_the_next_iteration_in_order(void *arg)
{
    weir_auto(weir_task) a = NULL;
    weir_auto(weir_task) b = NULL;

    (void)arg;
    order[0] = '\0';
    CHECK_OK(weir_spawn(note_twice, "a", &a));
    CHECK_OK(weir_spawn(note_twice, "b", &b));
    CHECK(order[0] == '\0');
    CHECK_OK(weir_task_await(a));
    CHECK_OK(weir_task_await(b));
    CHECK(strcmp(order, "abab") == 0);
    return NULL;
}

static weir_error *give_value(void *arg)
{
    weir_task_set_result(arg, count_drop);
    weir_task_set_result(arg, count_drop);
    return NULL;
}

static weir_error *value_of_a_task_is_taken_from_its_future(void *arg)
{
    weir_auto(weir_task) t = NULL;
    void *value = NULL;
    int number = 3;

    (void)arg;
    drops = 0;
    CHECK_OK(weir_spawn(give_value, &number, &t));
    CHECK_OK(weir_task_await(t));
    CHECK(drops == 1); /* the first of two */
    CHECK_OK(weir_future_take_result(weir_task_future(t), &value));
    CHECK(value == &number);
    return NULL;
}

static weir_error *give_value_and_fail(void *arg)
{
    weir_task_set_result(arg, count_drop);
    return weir_raise(ENOENT, "no luck");
}

static weir_error *value_of_a_failed_task_is_dropped(void *arg)
{
    weir_auto(weir_task) t = NULL;

    (void)arg;
    drops = 0;
    CHECK_OK(weir_spawn(give_value_and_fail, &drops, &t));
    CHECK_CODE(weir_task_await(t), ENOENT);
    CHECK(drops == 1);
    return NULL;
}

/* T21 */
static weir_error *T21_H1_error_of_a_detached_task_is_reported(void *arg)
{
    (void)arg;
    CHECK_OK(weir_spawn(give_value_and_fail, NULL, NULL));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(reports() == 1);
    CHECK(strstr(last_report(), "give_value_and_fail") != NULL);
    CHECK(strstr(last_report(), "test_task.c") != NULL);
    return NULL;
}

static weir_error *T47_await_of_a_task_that_waits_for_itself_is_refused(void *arg)
{
    (void)arg;
    CHECK_CODE(weir_task_await(weir_task_current()), WEIR_EDEADLK);
    return NULL;
}

static weir_error *count_steps(void *arg)
{
    bool *stop = arg;

    while (!*stop) {
        steps++;
        WEIR_TRY(weir_sleep(WEIR_MS(0)));
    }
    return NULL;
}

static weir_error *D2_fast_path_yields_every_64_calls(void *arg)
{
    weir_auto(weir_future) done = NULL;
    weir_auto(weir_task) other = NULL;
    bool stop = false;

    (void)arg;
    steps = 0;
    CHECK_OK(weir_future_new(&done));
    CHECK_OK(weir_future_set_result(done, NULL, NULL));
    CHECK_OK(weir_spawn(count_steps, &stop, &other));
    for (int i = 0; i < TASK_BUDGET - 1; i++)
        CHECK_OK(weir_await(done));
    CHECK(steps == 0);
    CHECK_OK(weir_await(done));
    CHECK(steps == 1);
    for (int i = 0; i < 10 * TASK_BUDGET; i++)
        CHECK_OK(weir_await(done));
    CHECK(steps == 11);
    stop = true;
    CHECK_OK(weir_task_await(other));
    return NULL;
}

static weir_error *sleeper(void *arg)
{
    WEIR_TRY(weir_sleep(WEIR_MS(*(int *)arg)));
    note((char)('0' + *(int *)arg));
    return NULL;
}

static weir_error *sleeps_end_in_the_order_of_their_deadlines(void *arg)
{
    weir_auto(weir_task) a = NULL;
    weir_auto(weir_task) b = NULL;
    weir_auto(weir_task) c = NULL;
    int three = 3, one = 1, two = 2;

    (void)arg;
    order[0] = '\0';
    CHECK_OK(weir_spawn(sleeper, &three, &a));
    CHECK_OK(weir_spawn(sleeper, &one, &b));
    CHECK_OK(weir_spawn(sleeper, &two, &c));
    CHECK_OK(weir_task_await(a));
    CHECK_OK(weir_task_await(b));
    CHECK_OK(weir_task_await(c));
    CHECK(strcmp(order, "123") == 0);
    return NULL;
}

static weir_error *name_of_a_task_is_its_number_until_it_is_set(void *arg)
{
    weir_auto(weir_task) t = NULL;
    int one = 1;

    (void)arg;
    order[0] = '\0';
    CHECK_OK(weir_spawn(sleeper, &one, &t));
    CHECK(strncmp(weir_task_name(t), "Task-", 5) == 0);
    weir_task_set_name(t, "a better name");
    CHECK(strcmp(weir_task_name(t), "a better name") == 0);
    CHECK_OK(weir_task_await(t));
    CHECK(weir_task_done(t));
    return NULL;
}

static weir_error *spawn_without_memory_leaves_the_argument_with_the_caller(void *arg)
{
    weir_error *error = NULL;
    int spawned = 0;

    (void)arg;
    drops = 0;
    while (!error) { /* until a slab is needed */
        weir__alloc_fail_nth = 1;
        error = weir_spawn(give_value, NULL, NULL);
        spawned += !error;
    }
    weir__alloc_fail_nth = 0;
    CHECK(weir_error_is(error, WEIR_ENOMEM));
    weir_error_unref(error);
    CHECK(drops == 0);
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(drops == 2 * spawned);
    return NULL;
}

static weir_error *make_and_forget(void *arg)
{
    weir_co **ret = arg;
    weir_co *co = weir_co(note_twice, "z");

    if (ret)
        *ret = co;
    return NULL;
}

/* T20, G1 */
static weir_error *coroutine_nobody_starts_is_reported_when_its_maker_ends(void *arg)
{
    weir_auto(weir_task) t = NULL;
    static char text[2048];

    (void)arg;
    capture_log_begin();
    CHECK_OK(weir_spawn(make_and_forget, NULL, &t));
    CHECK_OK(weir_task_await(t));
    capture_log_end(text, sizeof text);
    CHECK(strstr(text, "coroutine 'note_twice' was never awaited") != NULL);
    CHECK(strstr(text, "test_task.c") != NULL);
    return NULL;
}

static weir_error *coroutine_that_outlives_its_maker_may_still_be_started(void *arg)
{
    weir_auto(weir_task) t = NULL;
    weir_co *co = NULL;
    static char text[2048];

    (void)arg;
    order[0] = '\0';
    capture_log_begin();
    CHECK_OK(weir_spawn(make_and_forget, &co, &t));
    CHECK_OK(weir_task_await(t));
    capture_log_end(text, sizeof text);
    CHECK_OK(weir_co_await(co));
    CHECK(strcmp(order, "zz") == 0);
    return NULL;
}

static weir_error *started_or_discarded_coroutines_are_not_reported(void *arg)
{
    weir_auto(weir_task) t = NULL;
    static char text[2048];

    (void)arg;
    order[0] = '\0';
    capture_log_begin();
    CHECK_OK(weir_co_await(weir_co(note_twice, "a")));
    CHECK_OK(weir_co_spawn(weir_co(note_twice, "b"), &t));
    CHECK_OK(weir_task_await(t));
    weir_co_discard(weir_co(note_twice, "c"));
    capture_log_end(text, sizeof text);
    CHECK(strcmp(order, "aabb") == 0);
    CHECK(strstr(text, "never awaited") == NULL);
    return NULL;
}

static weir_error *never_ends(void *arg)
{
    (void)arg;
    WEIR_TRY(weir_sleep(WEIR_FOREVER));
    return NULL;
}

static void close_of_a_loop_with_tasks_is_refused_by_name(void **state)
{
    weir_loop *loop = NULL;
    weir_error *error;
    char text[512];

    (void)state;
    assert_ok(weir_loop_new(NULL, &loop));
    assert_ok(weir_spawn(never_ends, NULL, NULL));
    error = weir_loop_close(loop);
    assert_true(weir_error_is(error, WEIR_EBUSY));
    weir_error_message(error, text, sizeof text);
    assert_non_null(strstr(text, "never_ends"));
    weir_error_unref(error);
    weir_loop_close_force(loop, WEIR_S(5));
    weir_loop_unref(loop);
}

static weir_error *fails(void *arg)
{
    (void)arg;
    return weir_raise(ENOENT, "no luck");
}

static void H4_run_returns_the_error_of_main(void **state)
{
    (void)state;
    assert_code(weir_run(fails, NULL, NULL), ENOENT);
}

static weir_error *leaves_a_task(void *arg)
{
    (void)arg;
    CHECK_OK(weir_spawn(never_ends, NULL, NULL));
    return NULL;
}

static void run_cancels_and_joins_what_is_left(void **state)
{
    (void)state;
    assert_ok(weir_run(leaves_a_task, NULL, NULL));
    raise_recorded();
}

static weir_error *stop_the_loop(void *loop)
{
    weir_loop_stop(loop);
    return NULL;
}

static void run_until_complete_says_when_the_loop_was_stopped_before(void **state)
{
    weir_loop *loop = NULL;
    weir_future *f = NULL;

    (void)state;
    assert_ok(weir_loop_new(NULL, &loop));
    assert_ok(weir_future_new(&f));
    assert_ok(weir_spawn(stop_the_loop, loop, NULL));
    assert_code(weir_loop_run_until_complete(loop, f), WEIR_EINVALSTATE);
    weir_future_unref(f);
    assert_ok(weir_loop_close(loop));
    weir_loop_unref(loop);
}

static weir_error *interrupt_me(void *arg)
{
    (void)arg;
    CHECK(raise(SIGINT) == 0);
    CHECK_CODE(weir_sleep(WEIR_S(100)), WEIR_ECANCELED);
    return weir_sleep(WEIR_S(100));
}

static void sigint_cancels_main(void **state)
{
    (void)state;
    assert_code(weir_run(interrupt_me, NULL, NULL), WEIR_ECANCELED);
    raise_recorded();
}

static weir_error *hide_from_cancellation(void *arg)
{
    WEIR_SHIELD(shield, WEIR_S(1000));

    (void)arg;
    WEIR_TRY(weir_sleep(WEIR_S(1000)));
    return NULL;
}

/* What it logs goes to the pipe of the parent. */
static void close_over_a_task_that_hides(int log)
{
    weir_loop *loop = NULL;

    dup2(log, STDERR_FILENO);
    weir_ignore(weir_loop_new(NULL, &loop));
    weir_ignore(weir_spawn(hide_from_cancellation, NULL, NULL));
    weir_loop_close_force(loop, WEIR_MS(1));
    weir_log_flush(WEIR_S(10));
}

/* T22, J1; in a child process, since what ignores its cancellation is leaked on purpose */
static void task_that_ignores_its_cancellation_is_named_at_the_forced_close(void **state)
{
    char text[4096];
    size_t used = 0;
    ssize_t n;
    int ends[2];
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        close_over_a_task_that_hides(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    while (used < sizeof text - 1 && (n = read(ends[0], text + used, sizeof text - 1 - used)) > 0)
        used += (size_t)n;
    text[used] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_non_null(strstr(text, "hide_from_cancellation"));
    assert_non_null(strstr(text, "test_task.c"));
}

static void *use_from_elsewhere(void *arg)
{
    weir_task *task = arg;
    weir_task *other = NULL;
    weir_future *future = NULL;

    (void)check_code(WEIR_HERE, "spawn", weir_spawn(never_ends, NULL, &other), WEIR_ETHREAD);
    (void)check_code(WEIR_HERE, "future", weir_future_new(&future), WEIR_ETHREAD);
    EXPECT(!weir_task_cancel(task));
    return NULL;
}

/* T11 */
static weir_error *calls_from_another_thread_are_refused(void *arg)
{
    weir_auto(weir_task) t = NULL;
    pthread_t thread;

    (void)arg;
    CHECK_OK(weir_spawn(never_ends, NULL, &t));
    CHECK(pthread_create(&thread, NULL, use_from_elsewhere, t) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(weir_task_cancelling(t) == 0);
    return NULL;
}

static void *unref_elsewhere(void *future)
{
    weir_future_unref(future);
    return NULL;
}

static weir_error *reference_dropped_on_another_thread_is_released_on_the_loops(void *arg)
{
    weir_future *f = NULL;
    pthread_t thread;

    (void)arg;
    drops = 0;
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_future_set_result(f, &drops, count_drop));
    CHECK(pthread_create(&thread, NULL, unref_elsewhere, f) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(drops == 0);
    CHECK_OK(weir_sleep(WEIR_MS(1)));
    CHECK(drops == 1);
    return NULL;
}

IN_LOOP(calls_from_another_thread_are_refused)
IN_LOOP(reference_dropped_on_another_thread_is_released_on_the_loops)
IN_LOOP(tasks_start_in_the_next_iteration_in_order)
IN_LOOP(value_of_a_task_is_taken_from_its_future)
IN_LOOP(value_of_a_failed_task_is_dropped)
IN_LOOP(T21_H1_error_of_a_detached_task_is_reported)
IN_LOOP(T47_await_of_a_task_that_waits_for_itself_is_refused)
IN_LOOP(D2_fast_path_yields_every_64_calls)
IN_LOOP(sleeps_end_in_the_order_of_their_deadlines)
IN_LOOP(name_of_a_task_is_its_number_until_it_is_set)
IN_LOOP(spawn_without_memory_leaves_the_argument_with_the_caller)
IN_LOOP(coroutine_nobody_starts_is_reported_when_its_maker_ends)
IN_LOOP(coroutine_that_outlives_its_maker_may_still_be_started)
IN_LOOP(started_or_discarded_coroutines_are_not_reported)

/* Debug information stays open once a report has read it. */
static int read_debug_information(void **state)
{
    void *address = (void *)(uintptr_t)note_twice;
    struct frame frame;

    (void)state;
    return weir__symbols_find(&address, 1, false, &frame, 1) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(calls_from_another_thread_are_refused),
        IN_LOOP_TEST(reference_dropped_on_another_thread_is_released_on_the_loops),
        ON_MAIN_TEST(sigint_cancels_main),
        ON_MAIN_TEST(task_that_ignores_its_cancellation_is_named_at_the_forced_close),
        IN_LOOP_TEST(tasks_start_in_the_next_iteration_in_order),
        IN_LOOP_TEST(value_of_a_task_is_taken_from_its_future),
        IN_LOOP_TEST(value_of_a_failed_task_is_dropped),
        IN_LOOP_TEST(T21_H1_error_of_a_detached_task_is_reported),
        IN_LOOP_TEST(T47_await_of_a_task_that_waits_for_itself_is_refused),
        IN_LOOP_TEST(D2_fast_path_yields_every_64_calls),
        IN_LOOP_TEST(sleeps_end_in_the_order_of_their_deadlines),
        IN_LOOP_TEST(name_of_a_task_is_its_number_until_it_is_set),
        IN_LOOP_TEST(spawn_without_memory_leaves_the_argument_with_the_caller),
        IN_LOOP_TEST(coroutine_nobody_starts_is_reported_when_its_maker_ends),
        IN_LOOP_TEST(coroutine_that_outlives_its_maker_may_still_be_started),
        IN_LOOP_TEST(started_or_discarded_coroutines_are_not_reported),
        ON_MAIN_TEST(close_of_a_loop_with_tasks_is_refused_by_name),
        ON_MAIN_TEST(H4_run_returns_the_error_of_main),
        ON_MAIN_TEST(run_cancels_and_joins_what_is_left),
        ON_MAIN_TEST(run_until_complete_says_when_the_loop_was_stopped_before),
    };

    /* A shell leaves it ignored for what runs in the background. */
    (void)signal(SIGINT, SIG_DFL);
    return cmocka_run_group_tests(tests, read_debug_information, NULL);
}
