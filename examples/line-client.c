/* SPDX-License-Identifier: Apache-2.0 */
/* A client in straight-line style: sends a line, prints the answer. line-client ADDRESS TEXT */
#include <stdio.h>
#include <string.h>

#include <weir/weir.h>

static weir_error *run(void *arg)
{
    char *const *argv = arg;
    weir_auto(weir_stream) stream = NULL;
    char line[4096];
    size_t n;

    WEIR_TIMEOUT(limit, WEIR_S(10));
    WEIR_TRY(weir_connect(argv[1], NULL, &stream));
    WEIR_TRY(weir_stream_printf(stream, "%s\n", argv[2]));
    WEIR_TRY(weir_stream_read_line(stream, line, sizeof line, &n));
    printf("%s\n", line);
    return weir_stream_close(WEIR_TAKE(stream));
}

int main(int argc, char **argv)
{
    weir_error *error;
    char text[1024];

    if (argc != 3) {
        fprintf(stderr, "usage: line-client ADDRESS TEXT\n");
        return 64;
    }
    error = weir_run(run, argv, NULL);
    if (!error)
        return 0;
    weir_error_print(error, text, sizeof text);
    weir_error_unref(error);
    fprintf(stderr, "%s\n", text);
    return 1;
}
