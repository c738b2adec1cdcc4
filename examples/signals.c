/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals arrive as callbacks of the loop, between other callbacks, not inside of them.  Here SIGHUP
 * is counted and SIGTERM ends the program in an orderly way.  SIGKILL cannot be caught, and a loop of
 * another thread than the main one is refused.  Prints
 *
 *     SIGKILL: WEIR_EINVAL
 *     SIGHUP arrived
 *     SIGTERM: ending
 */
#include <signal.h>
#include <stdio.h>

#include <weir/weir.h>

static weir_error *hangup(void *arg)
{
    printf("SIGHUP arrived\n");
    return arg;
}

static weir_error *terminate(void *task)
{
    printf("SIGTERM: ending\n");
    (void)weir_task_cancel(task);
    return NULL;
}

static weir_error *run(void *arg)
{
    weir_loop *loop = weir_loop_current();
    weir_error *error = weir_loop_add_signal_handler(loop, SIGKILL, hangup, NULL);

    printf("SIGKILL: %s\n", weir_code_name(weir_error_code(error)));
    weir_error_unref(error);
    WEIR_TRY(weir_loop_add_signal_handler(loop, SIGHUP, hangup, NULL));
    WEIR_TRY(weir_loop_add_signal_handler(loop, SIGTERM, terminate, weir_task_current()));
    raise(SIGHUP);
    WEIR_TRY(weir_sleep(WEIR_MS(10)));
    raise(SIGTERM);
    WEIR_TRY(weir_sleep(WEIR_FOREVER)); /* until the cancellation */
    return arg;
}

int main(void)
{
    weir_error *error = weir_run(run, NULL, NULL);
    int status = weir_error_is(error, WEIR_ECANCELED) ? 0 : 1;

    weir_error_unref(error);
    return status;
}
