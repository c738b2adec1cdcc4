/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs to a loop must be called in its thread.  Elsewhere the call does nothing, in every
 * build and mode, returns WEIR_ETHREAD, and says where it came from:
 *
 *     ERROR   weir: Non-thread-safe operation invoked on an event loop other than the current one:
 *             weir_loop_call_soon() from tid 4711 at wrong_thread.c:24, loop runs in tid 4700
 */
#include <pthread.h>
#include <stdio.h>

#include <weir/weir.h>

static weir_error *callback(void *arg)
{
    printf("never called\n");
    return arg;
}

static void *in_another_thread(void *arg)
{
    weir_loop *loop = arg;
    weir_error *error = weir_loop_call_soon(loop, callback, NULL, NULL, NULL);

    printf("weir_loop_call_soon() returned %s\n", weir_code_name(weir_error_code(error)));
    weir_error_unref(error);
    return NULL;
}

static weir_error *run(void *arg)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, in_another_thread, weir_loop_current()) == 0)
        pthread_join(thread, NULL);
    return arg;
}

int main(void)
{
    weir_error *error = weir_run(run, NULL, NULL);

    if (!error)
        return 0;
    weir_log_error(weir_logger_get("example"), WEIR_LOG_ERROR, error, "run failed");
    return 1;
}
