/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code that blocks belongs in an executor, a pool of threads: the task waits for it like for anything
 * else, and the loop goes on.  A clock ticks every 10 ms meanwhile.  Prints
 *
 *     the job ran in another thread: yes
 *     the clock ticked meanwhile: yes
 */
#include <stdio.h>
#include <time.h>

#include <weir/weir.h>

static weir_error *blocking(void *arg) /* in a thread: may block, may not suspend */
{
    struct timespec pause = {.tv_nsec = 200000000};

    nanosleep(&pause, NULL);
    *(bool *)arg = weir_loop_current() == NULL;
    return NULL;
}

static weir_error *tick(void *arg)
{
    for (;;) {
        WEIR_TRY(weir_sleep(WEIR_MS(10)));
        ++*(int *)arg;
    }
}

static weir_error *run(void *arg)
{
    bool elsewhere = false;
    int ticks = 0;
    WEIR_GROUP(clock);

    (void)arg;
    WEIR_TRY(weir_group_spawn(&clock, tick, &ticks, NULL));
    WEIR_TRY(weir_to_thread(blocking, &elsewhere));
    printf("the job ran in another thread: %s\n", elsewhere ? "yes" : "no");
    printf("the clock ticked meanwhile: %s\n", ticks >= 2 ? "yes" : "no");
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
