/* SPDX-License-Identifier: Apache-2.0 */
/* A loop that blocks is named while it blocks; one that waits is not. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/debug.h>
#include <weir/log.h>
#include <weir/task.h>

#include "core/base/text.h"
#include "core/loop/watchdog.h"
#include "tests/unit/loop/loop_test.h"

#define WARN  WEIR_MS(60)
#define ERROR WEIR_MS(250)

static int log_fd;
static char logged[1 << 17];
static int blocked_line;
static volatile unsigned spins;

static int dog_setup(void **state)
{
    (void)state;
    log_fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(log_fd >= 0);
    OK(weir_log_configure(&(weir_log_options){WEIR_SIZED(weir_log_options), .fd = log_fd}));
    OK(weir_watchdog_start(
        &(weir_watchdog_options){WEIR_SIZED(weir_watchdog_options), .warn = WARN, .error = ERROR}));
    return 0;
}

static int dog_teardown(void **state)
{
    (void)state;
    weir_watchdog_stop();
    OK(weir_log_configure(&(weir_log_options){WEIR_SIZED(weir_log_options), .fd = 2}));
    close(log_fd);
    return 0;
}

static const char *read_log(void)
{
    ssize_t n = pread(log_fd, logged, sizeof(logged) - 1, 0);

    logged[n > 0 ? n : 0] = '\0';
    return logged;
}

static bool wait_for_words(const char *words)
{
    for (int i = 0; i < 1000; i++) {
        if (strstr(read_log(), words))
            return true;
        poll(NULL, 0, 10);
    }
    return false;
}

static double clock_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Never lets go of the loop before the words are in the log: so they came while it blocked. */
static __attribute__((noinline)) bool spin_until(const char *words)
{
    double end = clock_seconds() + 20;

    while (!strstr(read_log(), words)) {
        if (clock_seconds() > end)
            return false;
        for (int i = 0; i < 100000; i++)
            spins++;
    }
    return true;
}

static bool seen;

static weir_error *endless(void *arg)
{
    seen = spin_until(arg);
    return NULL;
}

static void run_task(weir_fn fn, const char *arg)
{
    weir_loop_options named = {WEIR_SIZED(weir_loop_options), .name = "main", .debug = -1};
    weir_run_options options = {WEIR_SIZED(weir_run_options), .loop = &named};
    weir_error *error = weir_run(fn, (void *)(uintptr_t)arg, &options);

    OK(error);
}

static const char *line_of(const char *words)
{
    const char *at = strstr(read_log(), words);

    assert_non_null(at);
    while (at > logged && at[-1] != '\n')
        at--;
    return at;
}

static void T54_E1_an_endless_loop_is_reported_while_it_still_runs(void **state)
{
    const char *line;

    (void)state;
    seen = false;
    run_task(endless, " blocked for ");
    assert_true(seen);
    line = line_of(" blocked for ");
    assert_non_null(strstr(line, " WARNING weir.watchdog: loop 'main' blocked for 0."));
    assert_non_null(strstr(line, " s in task 'Task-"));
#ifdef HAVE_LIBDW
    assert_non_null(strstr(line, "test_watchdog.c:"));
    assert_non_null(strstr(line, "; stack:\n"));
    assert_non_null(strstr(line, " endless "));
#endif
}

static void T54_E1_it_is_reported_again_as_an_error_and_once_when_it_ends(void **state)
{
    (void)state;
    seen = false;
    run_task(endless, " ERROR   weir.watchdog: loop 'main' blocked for ");
    assert_true(seen);
    assert_true(wait_for_words(" was blocked for "));
    assert_non_null(strstr(logged, " ERROR   weir.watchdog: loop 'main' was blocked for 0."));
    assert_null(strstr(strstr(logged, " was blocked for ") + 10, "blocked for"));
}

static __attribute__((noinline)) void report(void)
{
    struct timespec left = {0, 400000000};

    blocked_line = __LINE__ + 1;
    while (nanosleep(&left, &left) != 0)
        assert_int_equal(errno, EINTR);
    spins++;
}

static weir_error *sleeps_on_the_loop(void *arg)
{
    (void)arg;
    report();
    spins++;
    return NULL;
}

static void T53_E1_a_sleep_on_the_loop_is_named_with_function_and_line(void **state)
{
    char wanted[256];

    (void)state;
    run_task(sleeps_on_the_loop, NULL);
    assert_true(wait_for_words(" was blocked for "));
    snprintf(wanted, sizeof(wanted), "' (fn=report at %s:%d); stack:\n",
             text_site_file(&(weir_site){.file = __FILE__}), blocked_line);
    assert_non_null(strstr(logged, " s in task 'Task-"));
#ifdef HAVE_LIBDW
    assert_non_null(strstr(logged, wanted));
    assert_non_null(strstr(logged, " sleeps_on_the_loop "));
#endif
}

static weir_error *spin_in_callback(void *arg)
{
    (void)arg;
    seen = spin_until(" blocked for ");
    weir_loop_stop(weir_loop_current());
    return NULL;
}

static void E1_a_callback_is_named_too(void **state)
{
    weir_loop *loop;

    (void)state;
    seen = false;
    OK(weir_loop_new(NULL, &loop));
    OK(weir_loop_call_soon(loop, spin_in_callback, NULL, NULL, NULL));
    OK(weir_loop_run_forever(loop));
    OK(weir_loop_close(loop));
    weir_loop_unref(loop);
    assert_true(seen);
    assert_non_null(strstr(logged, " s in a callback ("));
}

static weir_error *idle(void *arg)
{
    (void)arg;
    return weir_sleep(WEIR_MS(500));
}

static weir_error *busy_in_short_steps(void *arg)
{
    double end = clock_seconds() + 0.5;

    (void)arg;
    while (clock_seconds() < end) {
        for (int i = 0; i < 1000; i++)
            spins++;
        WEIR_TRY(weir_sleep(WEIR_NS(0)));
    }
    return NULL;
}

static void T54_E1_a_loop_that_waits_or_works_in_short_steps_is_not_reported(void **state)
{
    (void)state;
    run_task(idle, NULL);
    run_task(busy_in_short_steps, NULL);
    weir_log_flush(WEIR_S(5));
    assert_string_equal(read_log(), "");
}

static atomic_int urgent;

static void on_urgent(int signum)
{
    (void)signum;
    atomic_fetch_add(&urgent, 1);
}

static void E1_a_handler_of_the_program_for_SIGURG_gets_its_own_signals(void **state)
{
    struct sigaction action = {.sa_handler = on_urgent}, ours;

    (void)state;
    sigaction(SIGURG, &action, &ours);
    seen = false;
    run_task(endless, " blocked for "); /* the watchdog puts its handler before the program's */
    assert_true(seen);
    assert_int_equal(atomic_load(&urgent), 0);
    raise(SIGURG);
    kill(getpid(), SIGURG);
    assert_true(atomic_load(&urgent) >= 1);
}

static void limits_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    FAILS(weir_watchdog_start(
              &(weir_watchdog_options){WEIR_SIZED(weir_watchdog_options), .warn = WEIR_MS(1)}),
          WEIR_EINVAL);
    FAILS(weir_watchdog_start(&(weir_watchdog_options){WEIR_SIZED(weir_watchdog_options),
                                                       .warn = WEIR_S(2), .error = WEIR_S(1)}),
          WEIR_EINVAL);
}

static void it_runs_while_somebody_holds_it(void **state)
{
    (void)state;
    weir_watchdog_stop();
    weir_watchdog_stop();
    for (int i = 0; i < 3; i++)
        OK(weir__watchdog_hold());
    for (int i = 0; i < 3; i++)
        weir__watchdog_release();
    OK(weir_watchdog_start(NULL));
}

static void a_forked_child_starts_its_own(void **state)
{
    int status;
    pid_t child;

    (void)state;
#ifdef WEIR_SANITIZE
    print_message("sanitizers lock what their threads in a forked child need\n");
    skip();
#endif
    child = fork();
    if (child == 0) {
        weir_watchdog_stop(); /* the parent's thread is not here to be joined */
        weir_ignore(weir_watchdog_start(NULL));
        weir_watchdog_stop();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

#define DOG_TEST(name) cmocka_unit_test_setup_teardown(name, dog_setup, dog_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DOG_TEST(T54_E1_an_endless_loop_is_reported_while_it_still_runs),
        DOG_TEST(T54_E1_it_is_reported_again_as_an_error_and_once_when_it_ends),
        DOG_TEST(T53_E1_a_sleep_on_the_loop_is_named_with_function_and_line),
        DOG_TEST(E1_a_callback_is_named_too),
        DOG_TEST(T54_E1_a_loop_that_waits_or_works_in_short_steps_is_not_reported),
        DOG_TEST(E1_a_handler_of_the_program_for_SIGURG_gets_its_own_signals),
        DOG_TEST(limits_that_make_no_sense_are_refused),
        DOG_TEST(it_runs_while_somebody_holds_it),
        DOG_TEST(a_forked_child_starts_its_own),
    };

    return cmocka_run_group_tests_name("watchdog", tests, NULL, NULL);
}
