/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends each line back: the example of a protocol in straight-line style. One task per connection;
 * calls suspend, they never block the loop.
 */
#include <weir/plugin.h>

#define LINE_MAX_SIZE 4096

typedef struct {
    const char *greeting;
    weir_duration idle;
} echo_config;

WEIR_OPTIONS(echo_options,
             WEIR_OPTION_STRING(echo_config, greeting, "", "First line sent to each client"),
             WEIR_OPTION_DURATION(echo_config, idle, "30s",
                                  "Close after this long without a line"));

static weir_error *serve(weir_stream *stream, const void *config)
{
    const echo_config *conf = config;
    char line[LINE_MAX_SIZE];
    size_t n;

    if (*conf->greeting)
        WEIR_TRY(weir_stream_printf(stream, "%s\n", conf->greeting));
    for (;;) {
        WEIR_TIMEOUT(idle, conf->idle);
        WEIR_TRY(weir_stream_read_line(stream, line, sizeof line, &n));
        WEIR_TRY(weir_stream_printf(stream, "%.*s\n", (int)n, line));
    }
}

/* A line of text; other bytes are somebody else's. */
static weir_verdict detect(weir_slice first_bytes)
{
    for (size_t i = 0; i < first_bytes.len; i++) {
        unsigned char c = ((const unsigned char *)first_bytes.data)[i];

        if (c == '\n')
            return WEIR_VERDICT_YES;
        if ((c < ' ' && c != '\t' && c != '\r') || c == 127)
            return WEIR_VERDICT_NO;
    }
    return WEIR_VERDICT_MORE;
}

static const weir_protocol echo = {
    WEIR_SIZED(weir_protocol),
    .name = "echo",
    .options = echo_options,
    .config_size = sizeof(echo_config),
    .serve = serve,
    .detect_limit = LINE_MAX_SIZE,
    .detect = detect,
};

WEIR_PLUGIN(.name = "echo", .version = "0.1.0", .summary = "Sends each line back",
            .protocols = WEIR_LIST(&echo));
