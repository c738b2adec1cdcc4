/* SPDX-License-Identifier: Apache-2.0 */
/* A canary: a task fails and nobody takes its error. The runtime must log it, as an ERROR, with the
 * text of the error and the place that raised it. */
#include "config.h"

#include <weir/log.h>
#include <weir/time.h>

#include "tests/unit/support/support.h"

static weir_error *sing(void *arg)
{
    (void)arg;
    return weir_raise(WEIR_EINVAL, "the canary sings");
}

static weir_error *spawn_and_forget(void *arg)
{
    weir_task *task = NULL;

    (void)arg;
    WEIR_TRY(weir_spawn(sing, NULL, &task));
    WEIR_TRY(weir_sleep(WEIR_MS(0)));
    weir_task_unref(task);
    return NULL;
}

int main(void)
{
    weir_error *error = weir_run(spawn_and_forget, NULL, NULL);

    weir_log_shutdown(WEIR_MS(1000));
    return error ? 1 : 0;
}
