/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another thread starts a coroutine on the loop and waits for its value; with a limit, the wait may
 * time out while the task goes on, and the value can still be had.  Prints three results:
 * "OK, 42", "WEIR_ETIMEDOUT, 0" and, later, "OK, 42".
 */
#include <stdio.h>

#include <weir/weir.h>

static weir_loop *the_loop;

static weir_error *coro_func(void *arg)
{
    static int answer = 42;

    WEIR_TRY(weir_sleep(WEIR_MS(50)));
    weir_task_set_result(&answer, NULL);
    return arg;
}

static void show(const char *what, weir_thread_future *future, weir_duration limit)
{
    void *value = NULL;
    weir_error *error = weir_thread_future_result(future, limit, &value);

    printf("%s: %s, %d\n", what, weir_code_name(weir_error_code(error)), value ? *(int *)value : 0);
    weir_error_unref(error);
}

static weir_error *in_another_thread(void *arg)
{
    weir_auto(weir_thread_future) first = NULL;
    weir_auto(weir_thread_future) second = NULL;

    WEIR_TRY(weir_run_coroutine_threadsafe(the_loop, coro_func, NULL, NULL, &first));
    show("result", first, WEIR_FOREVER);
    WEIR_TRY(weir_run_coroutine_threadsafe(the_loop, coro_func, NULL, NULL, &second));
    show("result within 5 ms", second, WEIR_MS(5));
    show("result later", second, WEIR_S(10));
    return arg;
}

static weir_error *run(void *arg)
{
    the_loop = weir_loop_current();
    return weir_to_thread(in_another_thread, arg);
}

int main(void)
{
    weir_error *error = weir_run(run, NULL, NULL);

    if (!error)
        return 0;
    weir_log_error(weir_logger_get("example"), WEIR_LOG_ERROR, error, "run failed");
    return 1;
}
