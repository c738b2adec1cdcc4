/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir_run() from outside: each test is a child process of its own, whose standard error and end are
 * looked at, so that signals may end it and the end of the process may be part of it.
 */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/weir.h>

#include "tests/unit/base/base_test.h"

struct child {
    pid_t pid;
    int out; /* its standard error */
    int status;
    char text[16384];
};

static void say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));

    (void)ignored;
}

static void child_start(struct child *child, void (*body)(void))
{
    int ends[2];

    memset(child, 0, sizeof(*child));
    assert_int_equal(pipe(ends), 0);
    child->pid = fork();
    if (child->pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        alarm(60); /* should the parent fail */
        unsetenv("WEIR_DEBUG");
        unsetenv("WEIR_DEV");
        body();
        exit(0);
    }
    close(ends[1]);
    child->out = ends[0];
}

/* Reads until it has said `what`; NULL: to its end. */
static void child_read(struct child *child, const char *what)
{
    size_t len = strlen(child->text);

    while (!what || !strstr(child->text, what)) {
        ssize_t n = read(child->out, child->text + len, sizeof(child->text) - 1 - len);

        if (n <= 0)
            break;
        len += (size_t)n;
    }
    if (what && !strstr(child->text, what))
        fail_msg("the child said \"%s\", not %s", child->text, what);
}

/* Until it waits: thread sanitizer keeps a signal that comes just before, until the next one. */
static void child_rests(const struct child *child)
{
    char path[64], text[512];
    const char *state;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)child->pid);
    do {
        FILE *file = fopen(path, "re");
        size_t n = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

        if (file)
            fclose(file);
        text[n] = '\0';
        state = strrchr(text, ')');
        assert_non_null(state);
    } while (state[2] != 'S');
}

static void child_end(struct child *child)
{
    child_read(child, NULL);
    assert_int_equal(waitpid(child->pid, &child->status, 0), child->pid);
    close(child->out);
}

static bool said(const struct child *child, const char *what)
{
    return strstr(child->text, what) != NULL;
}

/* Signals */

static weir_error *sleeps(void *arg)
{
    (void)arg;
    say("ready ");
    return weir_sleep(WEIR_S(3600));
}

static void runs_sleeps(void)
{
    weir_error *error = weir_run(sleeps, NULL, NULL);

    say(weir_error_is(error, WEIR_ECANCELED) ? "cancelled" : "something else");
    weir_error_unref(error);
}

static void T83_D7_the_first_signal_cancels_main(void **state)
{
    static const int signals[] = {SIGINT, SIGTERM};
    struct child child;

    (void)state;
    for (int i = 0; i < 2; i++) {
        child_start(&child, runs_sleeps);
        child_read(&child, "ready");
        child_rests(&child);
        kill(child.pid, signals[i]);
        child_end(&child);
        assert_true(WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0);
        assert_string_equal(child.text, "ready cancelled");
    }
}

static weir_error *is_stubborn(void *arg)
{
    (void)arg;
    say("ready ");
    weir_ignore(weir_sleep(WEIR_S(3600)));
    (void)weir_task_uncancel(weir_task_current());
    say("stubborn ");
    return weir_sleep(WEIR_S(3600));
}

static void runs_stubborn(void)
{
    weir_ignore(weir_run(is_stubborn, NULL, NULL));
    say("survived");
}

static void T83_D7_a_second_signal_ends_the_process_at_once(void **state)
{
    static const int firsts[] = {SIGTERM, SIGINT, SIGINT};
    static const int seconds[] = {SIGTERM, SIGINT, SIGTERM};
    struct child child;

    (void)state;
    for (int i = 0; i < 3; i++) {
        child_start(&child, runs_stubborn);
        child_read(&child, "ready");
        child_rests(&child);
        kill(child.pid, firsts[i]);
        child_read(&child, "stubborn");
        child_rests(&child);
        kill(child.pid, seconds[i]);
        child_end(&child);
        assert_true(WIFSIGNALED(child.status));
        assert_int_equal(WTERMSIG(child.status), seconds[i]);
        assert_string_equal(child.text, "ready stubborn ");
    }
}

static bool is_default(int signum)
{
    struct sigaction now;

    sigaction(signum, NULL, &now);
    return now.sa_handler == SIG_DFL;
}

/* Never gives the loop its turn; the first signal is seen by what it leaves. It comes while this waits
   for it and at no other moment, so that none is missed. */
static weir_error *blocks(void *arg)
{
    sigset_t term, usual;

    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, &usual);
    say("ready ");
    while (!is_default(SIGTERM))
        sigsuspend(&usual);
    say("hit ");
    while (is_default(SIGTERM))
        sigsuspend(&usual);
    return arg;
}

static void runs_blocks(void)
{
    weir_ignore(weir_run(blocks, NULL, NULL));
}

static void T83_D7_a_second_signal_ends_a_blocked_loop_too(void **state)
{
    struct child child;

    (void)state;
    child_start(&child, runs_blocks);
    child_read(&child, "ready");
    kill(child.pid, SIGTERM);
    child_read(&child, "hit");
    kill(child.pid, SIGTERM);
    child_end(&child);

    assert_true(WIFSIGNALED(child.status));
    assert_int_equal(WTERMSIG(child.status), SIGTERM);
}

static void say_disposition(int signum)
{
    struct sigaction now;

    sigaction(signum, NULL, &now);
    if (now.sa_handler == SIG_IGN)
        say("ignored ");
    else
        say(now.sa_handler == SIG_DFL ? "default " : "caught ");
}

static weir_error *looks_at_signals(void *arg)
{
    say_disposition(SIGINT);
    say_disposition(SIGTERM);
    say_disposition(SIGPIPE);
    return arg;
}

static void runs_with_dispositions(void)
{
    weir_run_options keep = {WEIR_SIZED(weir_run_options), .keep_sigint = true,
                             .keep_sigterm = true, .keep_sigpipe = true};

    weir_ignore(weir_run(looks_at_signals, NULL, &keep));
    weir_ignore(weir_run(looks_at_signals, NULL, NULL));
    weir_ignore(looks_at_signals(NULL)); /* afterwards */
    signal(SIGINT, SIG_IGN);
    weir_ignore(weir_run(looks_at_signals, NULL, NULL));
}

static void T82_D7_weir_run_restores_dispositions_and_leaves_ignored_ones(void **state)
{
    struct child child;

    (void)state;
    child_start(&child, runs_with_dispositions);
    child_end(&child);

    assert_string_equal(child.text, "default default default "
                                    "caught caught ignored "
                                    "default default ignored "
                                    "ignored caught ignored ");
}

/* The end of a run */

static weir_error *fails_when_cancelled(void *arg)
{
    (void)arg;
    weir_ignore(weir_sleep(WEIR_S(3600)));
    return weir_raise(EIO, "cleanup failed");
}

static weir_error *is_cancelled(void *arg)
{
    (void)arg;
    WEIR_TRY(weir_sleep(WEIR_S(3600)));
    return NULL;
}

static weir_error *leaves_tasks(void *arg)
{
    WEIR_TRY(weir_spawn(fails_when_cancelled, arg, NULL));
    WEIR_TRY(weir_spawn(is_cancelled, arg, NULL));
    return weir_sleep(WEIR_MS(1));
}

static void runs_leaves_tasks(void)
{
    weir_ignore(weir_run(leaves_tasks, NULL, NULL));
}

static void J1_what_main_left_is_cancelled_joined_and_its_errors_reported(void **state)
{
    struct child child;

    (void)state;
    child_start(&child, runs_leaves_tasks);
    child_end(&child);

    assert_true(said(&child, " ERROR   weir: unhandled exception during weir_run() shutdown\n"
                             "    task: <Task finished "));
    assert_true(said(&child, "fn=fails_when_cancelled"));
    assert_true(said(&child, "cleanup failed (EIO)"));
    assert_false(said(&child, "is_cancelled"));
    assert_false(said(&child, "never retrieved"));
}

static weir_error *fails(void *arg)
{
    (void)arg;
    return weir_raise(ENOENT, "main failed");
}

static weir_error *stops(void *arg)
{
    weir_loop_stop(weir_loop_current());
    WEIR_TRY(weir_sleep(WEIR_S(3600)));
    return arg;
}

static void runs_fails_and_stops(void)
{
    weir_error *error = weir_run(fails, NULL, NULL);

    say(weir_error_is(error, ENOENT) ? "its error " : "? ");
    weir_error_unref(error);
    error = weir_run(stops, NULL, NULL);
    say(weir_error_is(error, WEIR_EINVALSTATE) ? "stopped" : "?");
    weir_error_unref(error);
}

static void H4_the_error_of_main_is_returned_and_an_early_stop_is_one(void **state)
{
    struct child child;

    (void)state;
    child_start(&child, runs_fails_and_stops);
    child_end(&child);

    assert_string_equal(child.text, "its error stopped");
}

static weir_error *runs_nested(void *arg)
{
    weir_error *error = weir_run(fails, NULL, NULL);

    say(weir_error_is(error, WEIR_EBUSY) ? "refused" : "?");
    weir_error_unref(error);
    return arg;
}

static void runs_runs_nested(void)
{
    weir_ignore(weir_run(runs_nested, NULL, NULL));
}

static void T9_D1_a_run_inside_a_run_is_refused(void **state)
{
    struct child child;

    (void)state;
    child_start(&child, runs_runs_nested);
    child_end(&child);

    assert_string_equal(child.text, "refused");
}

/* Debug mode */

static weir_error *says_debug(void *arg)
{
    say(weir_loop_get_debug(weir_loop_current()) ? "1" : "0");
    return arg;
}

static void runs_debug_matrix(void)
{
    static const char *const values[] = {NULL, "1", "0"};

    for (int v = 0; v < 3; v++) {
        if (values[v])
            setenv("WEIR_DEBUG", values[v], 1);
        for (int way = -1; way <= 1; way++) { /* off, as the environment says, on */
            weir_loop_options loop = {WEIR_SIZED(weir_loop_options), .debug = way};
            weir_run_options by_run = {WEIR_SIZED(weir_run_options), .debug = way};
            weir_run_options by_loop = {WEIR_SIZED(weir_run_options), .loop = &loop};

            weir_ignore(weir_run(says_debug, NULL, &by_run));
            weir_ignore(weir_run(says_debug, NULL, &by_loop));
        }
        weir_ignore(weir_run(says_debug, NULL, NULL));
        say(" ");
    }
}

static void T17_A0_A1_A3_an_option_overrides_the_environment_and_none_does_not(void **state)
{
    struct child child;

    (void)state;
    child_start(&child, runs_debug_matrix);
    child_end(&child);

    /*                                 off env on, twice each, none */
    assert_string_equal(child.text, "0000110 0011111 0000110 ");
}

static void forgets_a_loop(void)
{
    weir_loop *loop;

    weir_ignore(weir_loop_new(NULL, &loop));
}

static void T23_K2_the_end_of_the_process_reports_loops_that_nobody_closed(void **state)
{
    struct child child;

    (void)state;
    child_start(&child, forgets_a_loop);
    child_end(&child);

    assert_true(said(&child, "unclosed event loop <Loop running=0 closed=0 debug=0> created at "));
    assert_true(said(&child, "test_run.c:"));
    assert_int_equal(WEXITSTATUS(child.status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(T83_D7_the_first_signal_cancels_main),
        cmocka_unit_test(T83_D7_a_second_signal_ends_the_process_at_once),
        cmocka_unit_test(T83_D7_a_second_signal_ends_a_blocked_loop_too),
        cmocka_unit_test(T82_D7_weir_run_restores_dispositions_and_leaves_ignored_ones),
        cmocka_unit_test(J1_what_main_left_is_cancelled_joined_and_its_errors_reported),
        cmocka_unit_test(H4_the_error_of_main_is_returned_and_an_early_stop_is_one),
        cmocka_unit_test(T9_D1_a_run_inside_a_run_is_refused),
        cmocka_unit_test(T17_A0_A1_A3_an_option_overrides_the_environment_and_none_does_not),
        cmocka_unit_test(T23_K2_the_end_of_the_process_reports_loops_that_nobody_closed),
    };

    /* A shell leaves it ignored for what runs in the background. */
    (void)signal(SIGINT, SIG_DFL);
    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
