/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffered protocols. A backend receives into chunks whoever reads, as it must not ask a protocol for
 * memory before it knows that there are bytes; so they are copied once, to where the protocol wants
 * them, in as many pieces as its buffers are small. What is left when it pauses, or hands over to
 * another protocol, between two pieces is put back in front of what waits.
 */
#include "config.h"

#include <string.h>

#include "core/base/error.h"
#include "core/net/transport.h"

static weir_error *fill_one(weir_transport *t, weir_slice data, size_t *ret_n)
{
    size_t size = 0, n;
    void *buffer = NULL;
    weir_error *error;

    WEIR_TRY(t->protocol->get_buffer(t, t->state, data.len, &buffer, &size));
    if (t->status >= TRANSPORT_CLOSING) {
        *ret_n = data.len;
        return NULL;
    }
    if (!buffer || !size)
        return weir_raise(WEIR_EINVAL, "get_buffer() returned an empty buffer");
    n = data.len < size ? data.len : size;
    memcpy(buffer, data.data, n);
    error = t->protocol->buffer_updated(t, t->state, n);
    *ret_n = n;
    return error;
}

weir_error *weir__transport_fill(weir_transport *t, weir_slice data)
{
    const weir_protocol *calls = t->protocol;
    const void *state = t->state;
    size_t n = 0;

    while (data.len && t->status == TRANSPORT_OPEN && t->protocol == calls && t->state == state &&
           !(t->stops & (STOP_PROTOCOL | STOP_CHUNKS))) {
        WEIR_TRY(fill_one(t, data, &n));
        data = weir_slice_skip(data, n);
    }
    if (!data.len || t->status != TRANSPORT_OPEN)
        return NULL;
    WEIR_TRY(weir__transport_put_back(t, data));
    weir__transport_stop(t, STOP_HANDOVER);
    if (!(t->stops & (STOP_PROTOCOL | STOP_CHUNKS)))
        weir__loop_ready(t->net->loop, &t->timer.job);
    return NULL;
}
