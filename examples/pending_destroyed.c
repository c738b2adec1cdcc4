/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task waits for a future that nobody will complete, and its loop is closed.  weir says which task,
 * where it waits and for what, then cancels it and lets it end, so that it can clean up:
 *
 *     ERROR   weir: Task was destroyed but it is pending!
 *         task: <Task pending name='Task-1' fn=kill_me … wait_for=<Future pending …> created at …>
 */
#include <stdio.h>

#include <weir/weir.h>

static weir_error *kill_me(void *arg)
{
    weir_auto(weir_future) never = NULL;
    weir_error *error;

    (void)arg;
    WEIR_TRY(weir_future_new(&never));
    error = weir_await(never);
    if (weir_error_is(error, WEIR_ECANCELED))
        printf("cancelled, cleaned up\n");
    return error;
}

static weir_error *stop(void *loop)
{
    weir_loop_stop(loop);
    return NULL;
}

int main(void)
{
    weir_auto(weir_loop) loop = NULL;

    weir_ignore(weir_loop_new(NULL, &loop));
    weir_ignore(weir_spawn(kill_me, NULL, NULL));
    weir_ignore(weir_loop_call_later(loop, WEIR_MS(10), stop, loop, NULL, NULL));
    weir_ignore(weir_loop_run_forever(loop));
    weir_loop_close_force(loop, WEIR_S(1));
    return 0;
}
