/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task fails, and nobody awaits it or looks at its error.  The error does not vanish:
 *
 *     ERROR   weir: Task exception was never retrieved
 *         task: <Task finished name='Task-2' fn=bug … error=EIO('not consumed') created at …>
 *         error raised at never_retrieved.c:18 in bug()
 *
 * In debug mode also with the call stack that started the task, and the one that raised the error.
 */
#include <errno.h>

#include <weir/weir.h>

static weir_error *bug(void *arg)
{
    (void)arg;
    return weir_raise(EIO, "not consumed");
}

static weir_error *run(void *arg)
{
    weir_auto(weir_task) task = NULL;

    (void)arg;
    WEIR_TRY(weir_spawn(bug, NULL, &task)); /* and nobody awaits it */
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
