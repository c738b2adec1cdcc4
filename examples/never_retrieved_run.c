/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second way to take the error that never_retrieved.c loses: whoever runs the loop until the task
 * is done gets its error, from weir_run() as from weir_loop_run_until_complete().
 * Prints "exception consumed" twice.
 */
#include <errno.h>
#include <stdio.h>

#include <weir/weir.h>

static weir_error *bug(void *arg)
{
    (void)arg;
    return weir_raise(EIO, "not consumed");
}

static weir_error *with_a_loop_of_its_own(void)
{
    weir_auto(weir_loop) loop = NULL;
    weir_auto(weir_task) task = NULL;
    weir_error *error;

    WEIR_TRY(weir_loop_new(NULL, &loop));
    WEIR_TRY(weir_spawn(bug, NULL, &task));
    error = weir_loop_run_until_complete(loop, weir_task_future(task));
    if (!weir_error_is(error, EIO))
        return error;
    weir_error_unref(error);
    printf("exception consumed\n");
    weir_task_unref(WEIR_TAKE(task));
    return weir_loop_close(loop);
}

int main(void)
{
    weir_error *error = weir_run(bug, NULL, NULL);

    if (weir_error_is(error, EIO))
        printf("exception consumed\n");
    weir_error_unref(error);
    error = with_a_loop_of_its_own();
    if (!error)
        return 0;
    weir_log_error(weir_logger_get("example"), WEIR_LOG_ERROR, error, "run failed");
    return 1;
}
