/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A coroutine that is made and forgotten never runs.  weir says so when the task that made it ends:
 *
 *     WARNING weir: coroutine 'test' was never awaited, created at never_awaited.c:23
 *
 * In debug mode (WEIR_DEBUG=1) with the call stack that made it.  never_awaited_fixed.c is right.
 */
#include <stdio.h>

#include <weir/weir.h>

static weir_error *test(void *arg)
{
    (void)arg;
    printf("never scheduled\n");
    return NULL;
}

static weir_error *run(void *arg)
{
    weir_co *forgotten;

    (void)arg;
    forgotten = weir_co(test, NULL); /* should be given to weir_co_await() or weir_co_spawn() */
    return forgotten ? NULL : weir_raise(WEIR_ENOMEM, "no coroutine");
}

int main(void)
{
    weir_error *error = weir_run(run, NULL, NULL);

    if (!error)
        return 0;
    weir_log_error(weir_logger_get("example"), WEIR_LOG_ERROR, error, "run failed");
    return 1;
}
