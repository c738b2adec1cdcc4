/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task that blocks its thread holds up its loop, and a report after the fact may never come.  The
 * watchdog, a thread beside the loops, says while it lasts which task it is and on which line:
 *
 *     ERROR   weir.watchdog: loop 'main' blocked for 0.2 s in task 'report' (fn=report …); stack: …
 *
 * Its limits are 250 ms for a warning and 5 s for an error; here 50 and 200 ms.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include <weir/weir.h>

static weir_error *report(void *arg)
{
    struct timespec end;

    weir_task_set_name(weir_task_current(), "report");
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += 1;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
        ; /* blocks the thread, not only this task */
    printf("blocked for a second\n");
    return arg;
}

static weir_error *run(void *arg)
{
    weir_watchdog_options limits = {WEIR_SIZED(weir_watchdog_options), .warn = WEIR_MS(50),
                                    .error = WEIR_MS(200)};
    weir_auto(weir_task) task = NULL;

    (void)arg;
    WEIR_TRY(weir_watchdog_start(&limits));
    WEIR_TRY(weir_spawn(report, NULL, &task));
    WEIR_TRY(weir_task_await(task));
    weir_watchdog_stop();
    return NULL;
}

int main(void)
{
    weir_loop_options loop = {WEIR_SIZED(weir_loop_options), .name = "main"};
    weir_run_options options = {WEIR_SIZED(weir_run_options), .loop = &loop};
    weir_error *error = weir_run(run, NULL, &options);

    if (!error)
        return 0;
    weir_log_error(weir_logger_get("example"), WEIR_LOG_ERROR, error, "run failed");
    return 1;
}
