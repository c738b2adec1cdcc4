/* SPDX-License-Identifier: Apache-2.0 */
/* Checks inside tasks and leak counts; see support.h. */
#include "config.h"

#include "tests/unit/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <weir/log.h>

#include "core/loop/loop.h"
#include "core/task/task.h"
#include "core/testing/kit.h"

static size_t report_count;
static char report_text[4096];
static size_t descriptors_before, homes_before;
static int log_fd = -1;

static void fail_in_cmocka(const char *text)
{
    fail_msg("%s", text);
}

__attribute__((constructor)) static void take_failures(void)
{
    weir_test_set_failure(fail_in_cmocka);
}

void assert_code(weir_error *take_error, weir_code code)
{
    (void)check_code(WEIR_HERE, "assert_code", take_error, code);
    raise_recorded();
}

void assert_ok(weir_error *take_error)
{
    assert_code(take_error, 0);
}

static weir_error *count_report(weir_loop *loop, const weir_exception_context *context, void *arg)
{
    (void)loop;
    (void)arg;
    report_count++;
    snprintf(report_text, sizeof report_text, "%s%s%s%s%s", context->message,
             context->subject ? "\n" : "", context->subject ? context->subject_key : "",
             context->subject ? ": " : "", context->subject ? context->subject : "");
    (void)weir_error_code(context->error);
    return NULL;
}

size_t reports(void)
{
    return report_count;
}

const char *last_report(void)
{
    return report_text;
}

static bool faulty(const char *kind)
{
    const char *wanted = getenv("WEIR_TEST_FAULTS");

    return wanted && (strcmp(wanted, kind) == 0 || strcmp(wanted, "all") == 0);
}

bool faults_wanted(void)
{
    return getenv("WEIR_TEST_FAULTS") != NULL;
}

/* Every descriptor of the loop meets faults that a program must not notice. */
static void add_faults(weir_loop *loop)
{
    struct kit_io *io;

    if (!faults_wanted())
        return;
    assert_true(faulty("short") || faulty("again") || faulty("interrupt") || faulty("enobufs"));
    assert_ok(weir__kit_io_new(loop, 1, &io));
    io->faults.vary = true;
    if (faulty("short"))
        io->faults.max_read = io->faults.max_write = 1000;
    if (faulty("again"))
        io->faults.refuse = 5;
    if (faulty("interrupt"))
        io->faults.interrupt_every = 2;
    if (faulty("enobufs"))
        io->faults.starve_every = 2;
}

weir_code run_in_loop_for_code(weir_fn fn, void *arg)
{
    weir_loop *loop = NULL;
    weir_task *task = NULL;
    weir_error *error;
    weir_code code;

    assert_ok(weir_loop_new(NULL, &loop));
    add_faults(loop);
    weir_loop_set_exception_handler(loop, count_report, NULL);
    assert_ok(weir__spawn(loop, WEIR_HERE, "test", fn, arg, &task));
    error = weir_loop_run_until_complete(loop, weir_task_future(task));
    code = weir_error_code(error);
    if (code && code != WEIR_ECANCELED) {
        char text[256];

        weir_error_message(error, text, sizeof text);
        print_message("the test's task ended with: %s\n", text);
    }
    weir_ignore(error);
    weir_task_unref(task);
    weir_loop_cancel_tasks(loop);
    weir_loop_close_force(loop, WEIR_S(10));
    weir_loop_unref(loop);
    raise_recorded();
    return code;
}

void run_in_loop(weir_fn fn, void *arg)
{
    weir_code code = run_in_loop_for_code(fn, arg);

    if (code)
        fail_msg("the test's task ended with %s", weir_code_name(code));
}

void run_in_virtual_time(weir_fn fn, void *arg)
{
    weir_test *test = weir_test_new(NULL);

    weir_loop_set_exception_handler(weir_test_loop(test), count_report, NULL);
    weir_test_run(test, fn, arg);
    weir_test_drop(test);
}

void capture_log_begin(void)
{
    weir_log_options options = {WEIR_SIZED(weir_log_options)};

    log_fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(log_fd >= 0);
    options.fd = log_fd;
    assert_ok(weir_log_configure(&options));
}

void capture_log_end(char *text, size_t size)
{
    weir_log_options options = {WEIR_SIZED(weir_log_options), .fd = STDERR_FILENO};
    ssize_t n;

    assert_true(weir_log_flush(WEIR_S(10)));
    n = pread(log_fd, text, size - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    assert_ok(weir_log_configure(&options));
    close(log_fd);
    log_fd = -1;
}

size_t count_descriptors(void)
{
    return weir__kit_descriptors();
}

static weir_error *nothing(void *arg)
{
    (void)arg;
    return NULL;
}

int leaks_setup(void **state)
{
    (void)state;
    weir_ignore(weir_run(nothing, NULL, NULL)); /* what is made once in a process */
    weir_log_flush(WEIR_S(10));
    weir_test_forget_failure();
    report_count = 0;
    report_text[0] = '\0';
    homes_before = weir__task_homes;
    descriptors_before = count_descriptors();
    return 0;
}

int leaks_teardown(void **state)
{
    size_t descriptors = count_descriptors();

    (void)state;
    if (weir__thread_loop) {
        print_error("a loop is left\n");
        return -1;
    }
    if (descriptors != descriptors_before) {
        print_error("%zu descriptors before, %zu after\n", descriptors_before, descriptors);
        return -1;
    }
    if (weir__task_homes != homes_before) {
        print_error("a future, task or coroutine is left\n");
        return -1;
    }
    return 0;
}
