/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three ways to run what never_awaited.c forgets: call it (a plain call is the await of a stackful
 * task), await a coroutine made of it, or start it as a task of its own.  Prints "scheduled" for each.
 */
#include <stdio.h>

#include <weir/weir.h>

static weir_error *test(void *arg)
{
    printf("scheduled: %s\n", (const char *)arg);
    return NULL;
}

static weir_error *run(void *arg)
{
    weir_auto(weir_task) task = NULL;

    (void)arg;
    WEIR_TRY(test("called"));
    WEIR_TRY(weir_co_await(weir_co(test, "awaited")));
    WEIR_TRY(weir_spawn(test, "as a task", &task));
    return weir_task_await(task);
}

int main(void)
{
    weir_error *error = weir_run(run, NULL, NULL);

    if (!error)
        return 0;
    weir_log_error(weir_logger_get("example"), WEIR_LOG_ERROR, error, "run failed");
    return 1;
}
