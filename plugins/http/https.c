/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `redirect_from` answers: 308 to the same host and target by https, at the port of the listener.
 * It is an action like others, but no route leads to it.
 */
#include <stdio.h>

#include "plugins/http/http.h"

static weir_error *start(weir_http *x)
{
    weir_auto(weir_buffer) target = NULL;
    weir_slice host, whole, uri = http_uri_of(x);
    unsigned port = 0;
    char number[16];
    int ignored;

    (void)weir_listener_redirected(weir_http_transport(x), &port);
    weir_http_host_split(weir_http_request_authority(x), &host, &ignored);
    if (!host.len) {
        weir_http_fail(x, 400, WEIR_OUTCOME_CLIENT_BAD_REQUEST, NULL);
        return NULL;
    }
    snprintf(number, sizeof number, ":%u", port);
    WEIR_TRY(weir_buffer_new(65536, &target));
    WEIR_TRY(weir_buffer_append(target, WEIR_SLICE("https://")));
    WEIR_TRY(weir_buffer_append(target, host));
    if (port && port != 443)
        WEIR_TRY(weir_buffer_append(target, weir_slice_str(number)));
    /* `OPTIONS *` asks about no target. */
    WEIR_TRY(weir_buffer_append(
        target, weir_slice_starts_with(uri, WEIR_SLICE("/")) ? uri : WEIR_SLICE("/")));
    WEIR_TRY(weir_buffer_linear(target, &whole));
    WEIR_TRY(weir_http_set_header(x, WEIR_HTTP_RESPONSE, "Location", whole));
    return weir_http_respond(x, 308, weir_slice_of(NULL, 0), weir_slice_of(NULL, 0));
}

const weir_http_action http_to_https = {WEIR_SIZED(weir_http_action), .name = "redirect_from",
                                        .start = start};
