/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small writes of one dispatch go to the kernel in a row. A write that would go at once waits, as a
 * copy in the queue, while the loop has more to deliver: the peers on the other side of a proxy are
 * then woken together and find their work waiting, instead of going to sleep between two sends.
 * A backend that sends together by itself never asks for this.
 *
 * Copies of many transports share a chunk; each entry holds a reference.
 */
#include "config.h"

#include <string.h>

#include "core/base/chunk.h"
#include "core/net/transport.h"

/* Whether so many bytes should wait. */
static bool waits(const weir_transport *t, size_t total)
{
    return t->net->io->undelivered && total <= SOON_SIZE &&
           (t->soon || t->net->soon.count < SOON_MAX) && t->high >= SOON_SIZE &&
           !t->file.no_socket && !t->corks && !t->sending;
}

static void enlist(weir_transport *t)
{
    struct soon *soon = &t->net->soon;

    if (t->soon)
        return;
    t->soon = true;
    soon->transports[soon->count++] = t;
}

void weir__transport_flush_soon(weir_transport *t)
{
    if (t->soon)
        return;
    if (waits(t, t->queued))
        enlist(t);
    else
        weir__transport_flush(t);
}

bool weir__transport_write_soon(weir_transport *t, const weir_slice *slices, size_t count,
                                size_t total)
{
    struct soon *soon = &t->net->soon;
    char *place;

    if (!waits(t, total))
        return false;
    if (!soon->chunk || WEIR_CHUNK_SIZE - soon->used < total) {
        weir_chunk *chunk = weir__chunk_take(net_pool(t->net));

        if (!chunk)
            return false;
        weir_chunk_unref(soon->chunk);
        soon->chunk = chunk;
        soon->used = 0;
    }
    place = chunk_bytes(soon->chunk) + soon->used;
    if (!weir__queue_add_shared(t, soon->chunk, weir_slice_of(place, total)))
        return false;
    soon->used += total;
    for (size_t i = 0; i < count; i++) {
        if (slices[i].len)
            memcpy(place, slices[i].data, slices[i].len);
        place += slices[i].len;
    }
    enlist(t);
    return true;
}

void weir__transport_not_soon(weir_transport *t)
{
    struct soon *soon = &t->net->soon;

    for (unsigned i = 0; t->soon && i < soon->count; i++) {
        if (soon->transports[i] == t)
            soon->transports[i] = NULL;
    }
    t->soon = false;
}

void weir__net_send_soon(void *arg)
{
    struct net *net = arg;
    struct soon *soon = &net->soon;

    for (unsigned i = 0; i < soon->count; i++) {
        weir_transport *t = soon->transports[i];

        if (!t)
            continue;
        t->soon = false;
        if (!t->queue)
            continue;
        step_begin(net->io->step, NULL, t->file.site);
        weir__transport_flush(t);
        weir__transport_marks(t);
    }
    soon->count = 0;
    weir_chunk_unref(WEIR_TAKE(soon->chunk));
}
