/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slow operation asks early whether anybody still wants its result, and completes a future only
 * when it was not cancelled.  The third line is the wrong way: a callback that completes the future
 * without asking, which was cancelled before it ran.  weir reports that one:
 *
 *     ERROR   weir: Exception in callback set_result() scheduled at slow_operation.c:53:
 *             WEIR_EINVALSTATE (future was cancelled at slow_operation.c:54)
 */
#include <stdio.h>

#include <weir/weir.h>

static weir_error *slow_operation(void *arg)
{
    weir_future *future = arg;

    if (weir_future_cancelled(future)) {
        printf("cancelled before the work began\n");
        return NULL;
    }
    WEIR_TRY(weir_sleep(WEIR_MS(20)));
    if (!weir_future_done(future))
        WEIR_TRY(weir_future_set_result(future, "done", NULL));
    return NULL;
}

static weir_error *set_result(void *future) /* wrong: should be try_set_result, or ask first */
{
    return weir_future_set_result(future, "done", NULL);
}

static weir_error *run(void *arg)
{
    weir_auto(weir_future) wanted = NULL;
    weir_auto(weir_future) unwanted = NULL;
    void *result = arg;

    WEIR_TRY(weir_future_new(&wanted));
    WEIR_TRY(weir_future_new(&unwanted));
    WEIR_TRY(slow_operation(wanted));
    WEIR_TRY(weir_future_get_result(wanted, &result));
    printf("%s\n", (const char *)result);

    WEIR_TRY(weir_loop_call_soon(weir_loop_current(), set_result, unwanted, NULL, NULL));
    (void)weir_future_cancel(unwanted);
    WEIR_TRY(slow_operation(unwanted));
    return weir_sleep(WEIR_MS(1));
}

int main(void)
{
    weir_error *error = weir_run(run, NULL, NULL);

    if (!error)
        return 0;
    weir_log_error(weir_logger_get("example"), WEIR_LOG_ERROR, error, "run failed");
    return 1;
}
