/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task that computes for long without suspending holds up everything else on its loop.  In debug
 * mode a step that takes 100 ms or more is reported; the limit here is 20 ms:
 *
 *     WARNING weir: Executing <Task name='report' fn=slow … > took 0.030 seconds
 */
#include <stdio.h>

#include <weir/weir.h>

static weir_error *slow(void *arg)
{
    weir_instant end = weir_instant_after(weir_now(), WEIR_MS(30));

    weir_task_set_name(weir_task_current(), "report");
    while (weir_now().ns < end.ns)
        ; /* computing */
    printf("computed for 30 ms\n");
    return arg;
}

static weir_error *run(void *arg)
{
    weir_auto(weir_task) task = NULL;

    (void)arg;
    weir_loop_set_slow_callback(weir_loop_current(), WEIR_MS(20));
    WEIR_TRY(weir_spawn(slow, NULL, &task));
    WEIR_TRY(weir_task_await(task));
    return NULL;
}

int main(void)
{
    weir_error *error = weir_run(run, NULL, NULL);

    if (!error)
        return 0;
    weir_log_error(weir_logger_get("example"), WEIR_LOG_ERROR, error, "run failed");
    return 1;
}
