/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program as a process of its own, with pipes as streams; its end is an event of the loop.  Prints
 *
 *     sort says: apple banana cherry (exit code 0)
 *     sh exited with code 3
 */
#include <stdio.h>

#include <weir/weir.h>

static weir_error *sort_words(void)
{
    static const char *const argv[] = {"sort", NULL};
    weir_process_options options = {WEIR_SIZED(weir_process_options), .argv = argv,
                                    .input = WEIR_STDIO_PIPE, .output = WEIR_STDIO_PIPE};
    weir_auto(weir_process) process = NULL;
    weir_stream *in, *out;
    char a[16], b[16], c[16];
    size_t n;
    int code;

    WEIR_TRY(weir_process_spawn(&options, &process));
    in = weir_process_stream(process, 0);
    out = weir_process_stream(process, 1);
    WEIR_TRY(weir_stream_printf(in, "cherry\napple\nbanana\n"));
    WEIR_TRY(weir_stream_write_eof(in));
    WEIR_TRY(weir_stream_read_line(out, a, sizeof(a), &n));
    WEIR_TRY(weir_stream_read_line(out, b, sizeof(b), &n));
    WEIR_TRY(weir_stream_read_line(out, c, sizeof(c), &n));
    WEIR_TRY(weir_process_wait(process, &code));
    printf("sort says: %s %s %s (exit code %d)\n", a, b, c, code);
    return NULL;
}

static weir_error *run(void *arg)
{
    weir_process_options options = {WEIR_SIZED(weir_process_options), .shell = "exit 3"};
    weir_auto(weir_process) process = NULL;
    int code;

    WEIR_TRY(sort_words());
    WEIR_TRY(weir_process_spawn(&options, &process));
    WEIR_TRY(weir_process_wait(process, &code));
    printf("sh exited with code %d\n", code);
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
