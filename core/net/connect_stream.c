/* SPDX-License-Identifier: Apache-2.0 */
/* weir_connect(): weir_connect_start() for tasks. An interrupted one ends the attempt. */
#include "config.h"

#include "core/net/stream.h"

struct connect_wait {
    struct waiter waiter;
    weir_connecting *connecting;
    weir_stream *stream;
    weir_error *error;
};

static void connected(weir_transport *transport, weir_error *take_error, void *arg)
{
    struct connect_wait *wait = arg;

    wait->connecting = NULL;
    wait->error = take_error;
    if (transport)
        wait->stream = weir__stream_adopt(transport);
    weir__wait_wake(&wait->waiter);
}

static bool detach(struct waiter *waiter)
{
    struct connect_wait *wait = container_of(waiter, struct connect_wait, waiter);

    weir_connecting_cancel(wait->connecting);
    return true;
}

weir_error *weir_connect_at(const weir_site *site, const char *target,
                            const weir_connect_options *options, weir_stream **ret)
{
    struct connect_wait wait = {0};

    WEIR_TRY(weir__wait_begin(&wait.waiter));
    WEIR_TRY(weir_connect_start_at(site, weir_loop_current(), target, options,
                                   &weir__stream_protocol, NULL, connected, &wait,
                                   &wait.connecting));
    WEIR_TRY(weir__wait(&wait.waiter, detach));
    if (wait.error)
        return weir_error_trace(wait.error, WEIR_HERE);
    *ret = wait.stream;
    return NULL;
}
