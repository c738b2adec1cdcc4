/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection that is opened and never closed.  When its loop closes, weir says which one and where it
 * was made, in every mode (the action for RESOURCE warnings decides; "once" is the default):
 *
 *     WARNING weir [RESOURCE]: unclosed transport <Socket fd=6 peer=127.0.0.1:… read=… write=…>
 *             created at unclosed_transport.c:29
 */
#include <stdio.h>
#include <unistd.h>

#include <weir/weir.h>

static weir_error *run(void *arg)
{
    weir_stream *stream;
    char name[64];

    WEIR_TRY(weir_socket_name(*(int *)arg, name, sizeof(name)));
    WEIR_TRY(weir_connect(name, NULL, &stream));
    WEIR_TRY(weir_stream_write(stream, "hello", 5));
    printf("wrote a greeting\n");
    return NULL; /* without weir_stream_close(stream) */
}

int main(void)
{
    int listening;
    weir_error *error = weir_listen_socket("127.0.0.1:0", NULL, &listening);

    if (!error) {
        error = weir_run(run, &listening, NULL);
        close(listening);
    }
    if (!error)
        return 0;
    weir_log_error(weir_logger_get("example"), WEIR_LOG_ERROR, error, "run failed");
    return 1;
}
