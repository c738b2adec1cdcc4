/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP action in straight-line style: answers with the request's body in capital letters.
 *
 *     routes: [ { match: { path: /shout }, shout: { limit: 64KiB } } ]
 */
#include <ctype.h>

#include <weir/http.h>
#include <weir/plugin.h>

typedef struct {
    uint64_t limit;
} shout_config;

WEIR_OPTIONS(shout_options,
             WEIR_OPTION_SIZE(shout_config, limit, "64KiB", "Largest body that is answered"));

static weir_error *handle(weir_http *x)
{
    const shout_config *conf = weir_http_config(x);
    weir_slice body;
    weir_auto(weir_buffer) loud = NULL;

    WEIR_TRY(weir_http_read_all(x, WEIR_HTTP_REQUEST, conf->limit, &body));
    WEIR_TRY(weir_buffer_new(conf->limit + 1, &loud));
    for (size_t i = 0; i < body.len; i++) {
        char c = (char)toupper(((const unsigned char *)body.data)[i]);

        WEIR_TRY(weir_buffer_append(loud, weir_slice_of(&c, 1)));
    }
    WEIR_TRY(weir_buffer_linear(loud, &body));
    return weir_http_respond(x, 200, WEIR_SLICE("text/plain"), body);
}

static const weir_http_action shout = {
    WEIR_SIZED(weir_http_action),        .name = "shout",  .options = shout_options,
    .config_size = sizeof(shout_config), .handle = handle,
};

static const weir_extension shout_action = {WEIR_SIZED(weir_extension), .kind = "http.action",
                                            .name = "shout", .table = &shout};

WEIR_PLUGIN(.name = "shout", .version = "0.1.0", .summary = "Answers in capital letters",
            .extensions = WEIR_LIST(&shout_action));
