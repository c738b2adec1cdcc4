/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the rows of a thread matrix; see matrix.h. */
#include "config.h"

#include "tests/unit/support/matrix.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/sites.h"
#include "core/task/wait.h"

#define LOG_MAX ((size_t)256 * 1024)

struct intrusion {
    const struct matrix *matrix;
    bool in_task; /* of another loop; else of a thread without one */
};

static __thread const struct matrix_row *row_now;
static __thread bool row_in_task;

bool matrix_refused(weir_error *take_error)
{
    weir_code code = weir_error_code(take_error);

    weir_ignore(take_error);
    if (code == WEIR_ENOTASK)
        return row_now->kind == MATRIX_SUSPENDS && !row_in_task;
    return code == WEIR_ETHREAD;
}

static weir_error *make_calls(void *arg)
{
    const struct intrusion *intrusion = arg;

    row_in_task = intrusion->in_task;
    for (size_t i = 0; i < intrusion->matrix->count; i++) {
        row_now = &intrusion->matrix->rows[i];
        if (row_now->kind == MATRIX_HERE && row_in_task)
            continue;
        if (!row_now->refused()) {
            print_error("%s was not refused\n", row_now->operation);
            weir_ignore(check_failed(WEIR_HERE, row_now->operation));
        }
    }
    return NULL;
}

static void *intrude(void *arg)
{
    struct intrusion *intrusion = arg;

    if (intrusion->in_task)
        weir_ignore(weir_run(make_calls, intrusion, NULL));
    else
        weir_ignore(make_calls(intrusion));
    return NULL;
}

/* This thread stands still meanwhile. */
static weir_error *stand_still(void *matrix)
{
    struct intrusion plain = {matrix, false}, task = {matrix, true};
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, intrude, &plain) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(pthread_create(&thread, NULL, intrude, &task) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return NULL;
}

static void run_task(weir_loop *loop, weir_fn fn, void *arg)
{
    weir_task *task;

    assert_ok(weir__spawn(loop, WEIR_HERE, "test", fn, arg, &task));
    assert_ok(weir_loop_run_until_complete(loop, weir_task_future(task)));
    weir_task_unref(task);
    raise_recorded();
}

static void check_reports(const struct matrix *matrix, bool debug, const char *log)
{
    size_t missing = 0;

    for (size_t i = 0; i < matrix->count; i++) {
        const struct matrix_row *row = &matrix->rows[i];
        char line[160];

        if (row->kind == MATRIX_HERE || (!debug && row->kind != MATRIX_IGNORES))
            continue;
        snprintf(line, sizeof(line),
                 "Non-thread-safe operation invoked on an event loop other than the current one: "
                 "%s from tid ",
                 row->operation);
        if (strstr(log, line))
            continue;
        print_error("%s was not reported\n", row->operation);
        missing++;
    }
    assert_int_equal(missing, 0);
}

void matrix_run(const struct matrix *matrix, bool debug, bool running)
{
    static char log[LOG_MAX];
    weir_loop *loop;

    weir__site_forget();
    assert_ok(weir_loop_new(NULL, &loop));
    weir_loop_set_debug(loop, debug);
    weir_loop_set_slow_callback(loop, WEIR_FOREVER);
    run_task(loop, matrix->set_up, NULL);
    capture_log_begin();
    if (running)
        run_task(loop, stand_still, (void *)(uintptr_t)matrix);
    else
        assert_ok(stand_still((void *)(uintptr_t)matrix));
    raise_recorded();
    capture_log_end(log, sizeof(log));
    check_reports(matrix, debug, log);
    run_task(loop, matrix->unharmed, NULL);
    run_task(loop, matrix->tear_down, NULL);
    assert_ok(weir_loop_close(loop));
    weir_loop_unref(loop);
}
