/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From another thread, call_soon_threadsafe() is the door to a loop: it queues a callback and wakes
 * the loop.  What belongs to the loop is touched by such callbacks only; here one prints, and one
 * cancels a future.  Prints
 *
 *     callback in the thread of the loop: yes
 *     the future was cancelled
 */
#include <pthread.h>
#include <stdio.h>

#include <weir/weir.h>

static weir_loop *the_loop;
static weir_future *future;

static weir_error *callback(void *arg)
{
    printf("callback in the thread of the loop: %s\n", weir_loop_current() ? "yes" : "no");
    return arg;
}

static weir_error *cancel(void *arg)
{
    (void)weir_future_cancel(future); /* weir_future_cancel_threadsafe() is the short form */
    return arg;
}

static void *in_another_thread(void *arg)
{
    weir_ignore(weir_loop_call_soon_threadsafe(the_loop, callback, NULL, NULL));
    weir_ignore(weir_loop_call_soon_threadsafe(the_loop, cancel, NULL, NULL));
    return arg;
}

static weir_error *run(void *arg)
{
    pthread_t thread;

    the_loop = weir_loop_current();
    WEIR_TRY(weir_future_new(&future));
    if (pthread_create(&thread, NULL, in_another_thread, arg) != 0)
        return weir_raise(WEIR_ENOMEM, "no thread");
    if (weir_error_is(weir_await(future), WEIR_ECANCELED))
        printf("the future was cancelled\n");
    pthread_join(thread, NULL);
    weir_future_unref(future);
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
