/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said in the words of Appendix E about coroutines never awaited (G), errors never retrieved
 * (H) and tasks pending at a forced close (J). Names are claims.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/combinators.h>
#include <weir/debug.h>
#include <weir/log.h>
#include <weir/weir.h>

#include "core/base/symbol.h"
#include "core/base/text.h"
#include "core/task/task.h"
#include "tests/unit/support/support.h"

static char logged[65536];

/* This file as reports write it. */
static const char *here(void)
{
    static const weir_site site = {.file = __FILE__};

    return text_site_file(&site);
}

/* Debug information stays open once it was read. */
static int read_debug_information(void **state)
{
    void *address = (void *)(uintptr_t)here;
    struct frame frame;

    (void)state;
    return weir__symbols_find(&address, 1, false, &frame, 1) ? 0 : -1;
}

/* Lines, so that expectations below are made from them. */
static int co_line, spawn_line, wait_line, future_line, raise_line;

static weir_error *test(void *arg)
{
    (void)arg;
    return NULL;
}

static weir_error *drop_a_coroutine(void *arg)
{
    weir_co *co;

    (void)arg;
    co_line = __LINE__ + 1;
    co = weir_co(test, NULL);
    (void)co;
    return NULL;
}

static void run_logged(weir_fn fn, bool debug)
{
    weir_loop *loop = NULL;
    weir_task *task = NULL;
    weir_loop_options options = {WEIR_SIZED(weir_loop_options), .debug = debug};

    weir_warnings_set(WEIR_WARNING_RUNTIME, WEIR_WARNING_ALWAYS);
    capture_log_begin();
    assert_ok(weir_loop_new(&options, &loop));
    assert_ok(weir__spawn(loop, WEIR_HERE, "main_task", fn, NULL, &task));
    weir_ignore(weir_loop_run_until_complete(loop, weir_task_future(task)));
    weir_task_unref(task);
    weir_loop_close_force(loop, WEIR_MS(10));
    weir_loop_unref(loop);
    capture_log_end(logged, sizeof logged);
    weir_warnings_set(WEIR_WARNING_RUNTIME, WEIR_WARNING_ONCE);
    raise_recorded();
}

static const char *expect(char *buffer, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static const char *expect(char *buffer, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(buffer, size, format, args);
    va_end(args);
    if (!strstr(logged, buffer))
        fail_msg("missing: %s\n--- in:\n%s", buffer, logged);
    return buffer;
}

static void T20_G1_coroutine_never_awaited_is_a_warning_with_its_site(void **state)
{
    char text[512];

    (void)state;
    run_logged(drop_a_coroutine, false);
    expect(text, sizeof text, "WARNING weir: coroutine 'test' was never awaited, created at %s:%d",
           here(), co_line);
    assert_null(strstr(logged, "Coroutine created at"));
}

static void T20_G2_debug_mode_says_where_the_coroutine_was_created(void **state)
{
    char text[512];

    (void)state;
    run_logged(drop_a_coroutine, true);
    expect(text, sizeof text, "WARNING weir: coroutine 'test' was never awaited, created at");
    expect(text, sizeof text, "Coroutine created at (most recent call last)\n");
    expect(text, sizeof text, "#0 drop_a_coroutine");
}

static weir_error *discard_a_coroutine(void *arg)
{
    (void)arg;
    weir_co_discard(weir_co(test, NULL));
    return NULL;
}

static void T20_G1_coroutine_that_was_discarded_is_silent(void **state)
{
    (void)state;
    run_logged(discard_a_coroutine, true);
    assert_null(strstr(logged, "never awaited"));
}

static weir_error *await_and_spawn_coroutines(void *arg)
{
    (void)arg;
    CHECK_OK(weir_co_await(weir_co(test, NULL)));
    CHECK_OK(weir_co_spawn(weir_co(test, NULL), NULL));
    return NULL;
}

static void T20_G1_coroutines_that_were_started_are_silent(void **state)
{
    (void)state;
    run_logged(await_and_spawn_coroutines, true);
    assert_null(strstr(logged, "never awaited"));
}

static weir_error *bug(void *arg)
{
    (void)arg;
    raise_line = __LINE__ + 1;
    return weir_raise(EIO, "not consumed");
}

static weir_error *drop_a_failed_task(void *arg)
{
    (void)arg;
    spawn_line = __LINE__ + 1;
    CHECK_OK(weir_spawn(bug, NULL, NULL));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

/* As it was logged: gcc says the line of the head, clang that of the first statement. */
static int bug_line(void)
{
    const char *at = strstr(logged, " fn=bug at ");
    int line = at ? (int)strtol(strchr(at, ':') + 1, NULL, 10) : 0;

    assert_in_range(line, raise_line - 3, raise_line - 1);
    return line;
}

static void T21_H1_error_of_a_task_that_nobody_took_is_logged_with_its_sites(void **state)
{
    char text[512];

    (void)state;
    run_logged(drop_a_failed_task, false);
    expect(text, sizeof text, "ERROR   weir: Task exception was never retrieved\n");
    expect(text, sizeof text, "task: <Task finished name='Task-");
    expect(text, sizeof text, " fn=bug at %s:%d error=EIO('not consumed') created at %s:%d>",
           here(), bug_line(), here(), spawn_line);
    expect(text, sizeof text, "at bug (%s:%d)", here(), raise_line);
    assert_null(strstr(logged, "source_traceback"));
}

static void T21_H2_debug_mode_says_where_the_task_was_created(void **state)
{
    char text[512];

    (void)state;
    run_logged(drop_a_failed_task, true);
    expect(text, sizeof text, "Task exception was never retrieved");
    expect(text, sizeof text, "source_traceback: Object created at (most recent call last):\n");
    expect(text, sizeof text, "#0 drop_a_failed_task %s:%d", here(), spawn_line);
}

static weir_error *fails(void *arg)
{
    (void)arg;
    return weir_raise(ENOENT, "nobody");
}

static weir_error *turn(void)
{
    WEIR_TRY(weir_sleep(WEIR_MS(0)));
    WEIR_TRY(weir_sleep(WEIR_MS(0)));
    return weir_sleep(WEIR_MS(0));
}

static weir_error *T21_H1_error_is_reported_when_the_last_handle_goes(void *arg)
{
    weir_task *t;

    (void)arg;
    CHECK_OK(weir_spawn(fails, NULL, &t));
    CHECK_OK(turn());
    CHECK(reports() == 0); /* somebody may still ask */
    weir_task_unref(t);
    CHECK(reports() == 1);
    CHECK(strncmp(last_report(), "Task exception was never retrieved\ntask: <Task finished", 55) ==
          0);
    return NULL;
}

static weir_error *T21_H1_error_that_was_asked_for_is_not_reported(void *arg)
{
    weir_task *t;

    (void)arg;
    CHECK_OK(weir_spawn(fails, NULL, &t));
    CHECK_OK(turn());
    CHECK(weir_error_is(weir_future_error(weir_task_future(t)), ENOENT));
    weir_task_unref(t);
    CHECK(reports() == 0);
    return NULL;
}

static weir_error *T21_H1_C1_cancel_after_the_failure_silences_it(void *arg)
{
    weir_future *f;
    weir_task *t;

    (void)arg;
    CHECK_OK(weir_spawn(fails, NULL, &t));
    CHECK_OK(turn());
    CHECK(!weir_task_cancel(t));
    weir_task_unref(t);
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_future_set_error(f, weir_raise(EIO, "x")));
    CHECK(!weir_future_cancel(f));
    weir_future_unref(f);
    CHECK(reports() == 0);
    return NULL;
}

static weir_error *T21_H1_error_of_a_future_is_reported_as_a_future(void *arg)
{
    char site[256];
    weir_future *f;

    (void)arg;
    snprintf(site, sizeof site, "created at %s:%d>", here(), __LINE__ + 1);
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_future_set_error(f, weir_raise(EIO, "lost")));
    weir_future_unref(f);
    CHECK(reports() == 1);
    CHECK(strstr(last_report(), "Future exception was never retrieved\nfuture: <Future finished "
                                "error=EIO('lost') ") == last_report());
    CHECK(strstr(last_report(), site) != NULL);
    return NULL;
}

static weir_error *see_nothing(weir_future *future, void *arg)
{
    (void)arg;
    return weir_future_done(future) ? NULL : weir_raise(EIO, "not done");
}

static weir_error *T21_H1_callback_that_does_not_ask_does_not_take_the_error(void *arg)
{
    weir_future *f;

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_future_add_done_callback(f, see_nothing, NULL));
    CHECK_OK(weir_future_set_error(f, weir_raise(EIO, "lost")));
    CHECK_OK(turn());
    weir_future_unref(f);
    CHECK(reports() == 1);
    return NULL;
}

static weir_error *T21_H1_group_takes_the_errors_of_its_children(void *arg)
{
    (void)arg;
    {
        WEIR_GROUP(group);

        CHECK_OK(weir_group_spawn(&group, fails, NULL, NULL));
        CHECK_CODE(weir_group_join(&group), ENOENT);
    }
    CHECK(reports() == 0);
    return NULL;
}

static weir_error *T21_H1_wait_alone_does_not_take_the_error(void *arg)
{
    weir_task *t;
    weir_future *f;

    (void)arg;
    CHECK_OK(weir_spawn(fails, NULL, &t));
    f = weir_task_future(t);
    CHECK_OK(weir_wait(&f, 1, WEIR_FOREVER, WEIR_ALL_COMPLETED, NULL));
    weir_task_unref(t);
    CHECK(reports() == 1);
    return NULL;
}

static weir_error *T21_H1_detached_task_is_reported_as_soon_as_it_fails(void *arg)
{
    weir_task *t;

    (void)arg;
    CHECK_OK(weir_spawn(fails, NULL, &t));
    weir_task_detach(t);
    CHECK(reports() == 0);
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(reports() == 1);
    return NULL;
}

static weir_error *T21_H1_cancelled_task_is_no_report(void *arg)
{
    weir_task *t;

    (void)arg;
    CHECK_OK(weir_spawn(fails, NULL, &t));
    CHECK(weir_task_cancel(t));
    CHECK_CODE(weir_task_await(t), ENOENT);
    weir_task_unref(t);
    CHECK(reports() == 0);
    return NULL;
}

/* The three calls of the documentation's example; their pauses in units of 10 ms. */
static char happened[128];

static void note(const char *what)
{
    size_t used = strlen(happened);

    snprintf(happened + used, sizeof happened - used, "%s", what);
}

static weir_error *create(void *arg)
{
    WEIR_TRY(weir_sleep(*(weir_duration *)arg));
    note("(1) create file ");
    return NULL;
}

static weir_error *write_it(void *arg)
{
    (void)arg;
    WEIR_TRY(weir_sleep(WEIR_MS(10)));
    note("(2) write into file ");
    return NULL;
}

static weir_error *close_it(void *arg)
{
    (void)arg;
    note("(3) close file ");
    return NULL;
}

static weir_duration create_pause;

static weir_error *start_all_and_leave(void *arg)
{
    (void)arg;
    create_pause = WEIR_S(1000);
    CHECK_OK(weir_spawn(create, &create_pause, NULL));
    CHECK_OK(weir_spawn(write_it, NULL, NULL));
    CHECK_OK(weir_spawn(close_it, NULL, NULL));
    /* This one, and create that is pending. */
    while (weir_loop_task_count(weir_loop_current()) > 2)
        WEIR_TRY(weir_sleep(WEIR_MS(1)));
    return NULL;
}

static weir_error *call_one_after_the_other(void *arg)
{
    (void)arg;
    create_pause = WEIR_MS(30);
    WEIR_TRY(create(&create_pause));
    WEIR_TRY(write_it(NULL));
    WEIR_TRY(close_it(NULL));
    CHECK(weir_loop_task_count(weir_loop_current()) == 1);
    return NULL;
}

static void I1_tasks_that_nobody_awaits_are_not_sequential(void **state)
{
    char text[256];

    (void)state;
    happened[0] = '\0';
    run_logged(start_all_and_leave, false);
    assert_string_equal(happened, "(3) close file (2) write into file ");
    expect(text, sizeof text, "Task was destroyed but it is pending!");
    expect(text, sizeof text, " fn=create at %s:", here());
}

static void I1_plain_calls_run_one_after_the_other(void **state)
{
    (void)state;
    happened[0] = '\0';
    run_logged(call_one_after_the_other, false);
    assert_string_equal(happened, "(1) create file (2) write into file (3) close file ");
    assert_null(strstr(logged, "pending"));
}

static weir_future *waited_for;

static weir_error *kill_me(void *arg)
{
    (void)arg;
    wait_line = __LINE__ + 1;
    WEIR_TRY(weir_await(waited_for));
    return NULL;
}

#define KILL_ME_LINE (wait_line - 3)

static weir_error *leave_a_pending_task(void *arg)
{
    (void)arg;
    future_line = __LINE__ + 1;
    CHECK_OK(weir_future_new(&waited_for));
    spawn_line = __LINE__ + 1;
    CHECK_OK(weir_spawn(kill_me, NULL, NULL));
    return weir_sleep(WEIR_MS(0));
}

static void T22_J1_I1_pending_task_at_a_forced_close_lists_where_it_waits(void **state)
{
    char text[512];

    (void)state;
    run_logged(leave_a_pending_task, false);
    weir_future_unref(waited_for);
    expect(text, sizeof text, "ERROR   weir: Task was destroyed but it is pending!\n");
    expect(text, sizeof text, "task: <Task pending name='Task-");
    expect(text, sizeof text,
           " fn=kill_me at %s:%d suspended at %s:%d wait_for=<Future pending created at %s:%d> "
           "created at %s:%d>",
           here(), KILL_ME_LINE, here(), wait_line, here(), future_line, here(), spawn_line);
    assert_null(strstr(logged, "suspended stack"));
    assert_null(strstr(logged, "source_traceback"));
}

static void T22_J2_debug_mode_shows_the_stack_of_the_pending_task(void **state)
{
    char text[512];

    (void)state;
    run_logged(leave_a_pending_task, true);
    weir_future_unref(waited_for);
    expect(text, sizeof text, "Task was destroyed but it is pending!\n");
    expect(text, sizeof text, "suspended stack (most recent call last):\n");
    expect(text, sizeof text, "#0 kill_me %s:%d", here(), wait_line);
    expect(text, sizeof text, "source_traceback: Object created at (most recent call last):\n");
    expect(text, sizeof text, "#0 leave_a_pending_task %s:%d", here(), spawn_line);
}

static weir_error *leave_tasks(void *arg)
{
    (void)arg;
    CHECK_OK(weir_spawn(kill_me, NULL, NULL));
    return weir_sleep(WEIR_MS(0));
}

static weir_error *make_the_future(void *arg)
{
    CHECK_OK(weir_future_new(&waited_for));
    WEIR_TRY(leave_tasks(arg));
    weir_future_unref(waited_for); /* the task's own reference keeps it */
    return NULL;
}

static void J1_weir_run_ends_what_is_left_without_a_report(void **state)
{
    (void)state;
    capture_log_begin();
    assert_ok(weir_run(make_the_future, NULL, NULL));
    capture_log_end(logged, sizeof logged);
    assert_null(strstr(logged, "pending"));
    raise_recorded();
}

static weir_error *repr_of_each_state(void *arg)
{
    weir_auto(weir_future) f = NULL;
    weir_auto(weir_future) g = NULL;
    char text[512], wanted[512];

    (void)arg;
    future_line = __LINE__ + 1;
    CHECK_OK(weir_future_new(&f));
    snprintf(wanted, sizeof wanted, "<Future pending created at %s:%d>", here(), future_line);
    CHECK(weir_future_repr(f, text, sizeof text) == strlen(wanted));
    CHECK(strcmp(text, wanted) == 0);
    CHECK(weir_future_repr(f, text, 8) == strlen(wanted) && strcmp(text, "<Future") == 0);
    CHECK_OK(weir_future_add_done_callback(f, see_nothing, NULL));
    weir_future_repr(f, text, sizeof text);
    CHECK(strstr(text, "<Future pending cb=[see_nothing()] created") == text);
    CHECK_OK(weir_future_add_done_callback(f, see_nothing, NULL));
    weir_future_repr(f, text, sizeof text);
    CHECK(strstr(text, "cb=[see_nothing(), see_nothing()]") != NULL);
    for (int i = 0; i < 5; i++)
        CHECK_OK(weir_future_add_done_callback(f, see_nothing, NULL));
    weir_future_repr(f, text, sizeof text);
    CHECK(strstr(text, "cb=[see_nothing(), <5 more>, see_nothing()]") != NULL);
    CHECK(weir_future_cancel(f));
    weir_future_repr(f, text, sizeof text);
    CHECK(strstr(text, "<Future cancelled created") == text);
    CHECK_OK(weir_future_new(&g));
    CHECK_OK(weir_future_set_result(g, NULL, NULL));
    weir_future_repr(g, text, sizeof text);
    CHECK(strstr(text, "<Future finished created") == text);
    return NULL;
}

static weir_error *wait_for_the_other(void *arg)
{
    return weir_task_await(*(weir_task **)arg);
}

static weir_error *repr_of_tasks_in_a_circle_ends(void *arg)
{
    weir_task *a = NULL, *b = NULL;
    char text[1024];

    (void)arg;
    CHECK_OK(weir_spawn(wait_for_the_other, &b, &a));
    CHECK_OK(weir_spawn(wait_for_the_other, &a, &b));
    weir_task_set_name(a, "a");
    weir_task_set_name(b, "b");
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    weir_task_repr(a, text, sizeof text);
    CHECK(strstr(text, "<Task pending name='a' fn=wait_for_the_other at ") == text);
    CHECK(strstr(text, "wait_for=<Task pending name='b'") != NULL);
    CHECK(strstr(strstr(text, "wait_for=") + 1, "wait_for=") == NULL);
    CHECK(weir_task_cancel(a));
    weir_task_repr(a, text, sizeof text);
    CHECK(strstr(text, "<Task cancelling name='a'") == text);
    CHECK_CODE(weir_task_await(a), WEIR_ECANCELED);
    weir_task_repr(a, text, sizeof text);
    CHECK(strstr(text, "<Task cancelled name='a'") == text);
    CHECK_CODE(weir_task_await(b), WEIR_ECANCELED);
    weir_task_unref(a);
    weir_task_unref(b);
    return NULL;
}

IN_LOOP(T21_H1_error_is_reported_when_the_last_handle_goes)
IN_LOOP(T21_H1_error_that_was_asked_for_is_not_reported)
IN_LOOP(T21_H1_C1_cancel_after_the_failure_silences_it)
IN_LOOP(T21_H1_error_of_a_future_is_reported_as_a_future)
IN_LOOP(T21_H1_callback_that_does_not_ask_does_not_take_the_error)
IN_LOOP(T21_H1_group_takes_the_errors_of_its_children)
IN_LOOP(T21_H1_wait_alone_does_not_take_the_error)
IN_LOOP(T21_H1_detached_task_is_reported_as_soon_as_it_fails)
IN_LOOP(T21_H1_cancelled_task_is_no_report)
IN_LOOP(repr_of_each_state)
IN_LOOP(repr_of_tasks_in_a_circle_ends)

/* Slow steps of tasks */

static int slow_line;

static weir_error *is_slow(void *arg)
{
    (void)arg;
    return weir_sleep(WEIR_MS(0));
}

static weir_error *spawn_slow(void *arg)
{
    weir_spawn_options options = {WEIR_SIZED(weir_spawn_options), .name = "slow one"};
    weir_auto(weir_task) task = NULL;

    (void)arg;
    weir_loop_set_debug(weir_loop_current(), true);
    weir_loop_set_slow_callback(weir_loop_current(), WEIR_NS(0)); /* any step is */
    slow_line = __LINE__ + 1;
    CHECK_OK(weir_spawn_with(is_slow, NULL, &options, &task));
    CHECK_OK(weir_task_await(task));
    weir_loop_set_debug(weir_loop_current(), false);
    return NULL;
}

static void T18_B4_slow_step_of_a_task_is_logged_with_name_function_and_sites(void **state)
{
    static char log[16384];
    char made[80], *line, *end;

    (void)state;
    capture_log_begin();
    run_in_loop(spawn_slow, NULL);
    capture_log_end(log, sizeof log);
    snprintf(made, sizeof made, "test_reports.c:%d> took 0.0", slow_line);
    line = strstr(log, "Executing <Task pending name='slow one' fn=is_slow at ");
    assert_non_null(line);
    end = strchr(line, '\n');
    assert_non_null(end);
    *end = '\0';
    assert_non_null(strstr(line, " suspended at "));
    assert_non_null(strstr(line, " created at "));
    assert_non_null(strstr(line, made));
    assert_non_null(strstr(line, " seconds"));
    assert_non_null(strstr(end + 1, "Executing <Task finished name='slow one' fn=is_slow at "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_MAIN_TEST(T18_B4_slow_step_of_a_task_is_logged_with_name_function_and_sites),
        ON_MAIN_TEST(T20_G1_coroutine_never_awaited_is_a_warning_with_its_site),
        ON_MAIN_TEST(T20_G2_debug_mode_says_where_the_coroutine_was_created),
        ON_MAIN_TEST(T20_G1_coroutine_that_was_discarded_is_silent),
        ON_MAIN_TEST(T20_G1_coroutines_that_were_started_are_silent),
        ON_MAIN_TEST(T21_H1_error_of_a_task_that_nobody_took_is_logged_with_its_sites),
        ON_MAIN_TEST(T21_H2_debug_mode_says_where_the_task_was_created),
        IN_LOOP_TEST(T21_H1_error_is_reported_when_the_last_handle_goes),
        IN_LOOP_TEST(T21_H1_error_that_was_asked_for_is_not_reported),
        IN_LOOP_TEST(T21_H1_C1_cancel_after_the_failure_silences_it),
        IN_LOOP_TEST(T21_H1_error_of_a_future_is_reported_as_a_future),
        IN_LOOP_TEST(T21_H1_callback_that_does_not_ask_does_not_take_the_error),
        IN_LOOP_TEST(T21_H1_group_takes_the_errors_of_its_children),
        IN_LOOP_TEST(T21_H1_wait_alone_does_not_take_the_error),
        IN_LOOP_TEST(T21_H1_detached_task_is_reported_as_soon_as_it_fails),
        IN_LOOP_TEST(T21_H1_cancelled_task_is_no_report),
        ON_MAIN_TEST(I1_tasks_that_nobody_awaits_are_not_sequential),
        ON_MAIN_TEST(I1_plain_calls_run_one_after_the_other),
        ON_MAIN_TEST(T22_J1_I1_pending_task_at_a_forced_close_lists_where_it_waits),
        ON_MAIN_TEST(T22_J2_debug_mode_shows_the_stack_of_the_pending_task),
        ON_MAIN_TEST(J1_weir_run_ends_what_is_left_without_a_report),
        IN_LOOP_TEST(repr_of_each_state),
        IN_LOOP_TEST(repr_of_tasks_in_a_circle_ends),
    };

    return cmocka_run_group_tests(tests, read_debug_information, NULL);
}
