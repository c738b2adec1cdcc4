/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first way to take the error that never_retrieved.c loses: a task around the one that fails, in
 * which the error arrives as the value of a plain call.  Prints "exception consumed: not consumed".
 */
#include <errno.h>
#include <stdio.h>

#include <weir/weir.h>

static weir_error *bug(void *arg)
{
    (void)arg;
    return weir_raise(EIO, "not consumed");
}

static weir_error *handle_exception(void *arg)
{
    weir_error *error = bug(arg);
    char text[256];

    if (!weir_error_is(error, EIO))
        return error;
    weir_error_message(error, text, sizeof(text));
    printf("exception consumed: %s\n", text);
    weir_error_unref(error);
    return NULL;
}

static weir_error *run(void *arg)
{
    (void)arg;
    return weir_spawn(handle_exception, NULL, NULL);
}

int main(void)
{
    weir_error *error = weir_run(run, NULL, NULL);

    if (!error)
        return 0;
    weir_log_error(weir_logger_get("example"), WEIR_LOG_ERROR, error, "run failed");
    return 1;
}
