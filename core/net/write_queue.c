/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that wait to be sent: a list of entries, each a piece of memory and what it takes to give it
 * back. A slice of the chunk pool is referenced. Other memory is copied into private chunks, which
 * later copies fill up; what does not fit one, or finds the pool used up, is copied to the heap, so
 * that a piece always lies in one place (a send that is pending points at it). The hard limit of the
 * transport bounds all of it.
 *
 * A chunk that was received by a connection and is queued, here or on another connection, counts
 * against the chunk limit of who received it: `origin`.
 */
#include "config.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/chunk.h"
#include "core/net/transport.h"

/* In a queue with this many entries, pieces up to this size are copied together instead of holding
   a chunk each. */
#define MANY_ENTRIES 16
#define SMALL_PIECE  ((size_t)1024)

static void append(weir_transport *t, struct write_entry *entry)
{
    *t->queue_end = entry;
    t->queue_end = &entry->next;
    t->queued += entry->len;
    t->entries++;
}

/* The last entry; the queue is not empty. */
static struct write_entry *last_entry(weir_transport *t)
{
    return (struct write_entry *)(void *)((char *)t->queue_end -
                                          offsetof(struct write_entry, next));
}

static void charge(weir_transport *t, struct write_entry *entry)
{
    weir_transport *origin = t->net->delivering;

    if (!origin || origin->held == UINT8_MAX)
        return;
    entry->origin = weir_transport_ref(origin);
    if (++origin->held >= CHUNK_LIMIT)
        weir__transport_stop(origin, STOP_CHUNKS);
}

static void discharge(weir_transport *origin)
{
    if (--origin->held < CHUNK_LIMIT && (origin->stops & STOP_CHUNKS))
        weir__transport_unstop(origin, STOP_CHUNKS);
    weir_transport_unref(origin);
}

static void entry_done(weir_transport *t, struct write_entry *entry)
{
    weir_chunk *chunk = entry->chunk;
    weir_transport *origin = entry->origin;
    weir_drop_fn release = entry->release;
    void *owner = entry->owner;

    t->entries--;
    weir__net_entry_free(t->net, entry);
    weir_chunk_unref(chunk);
    if (release)
        release(owner);
    if (origin)
        discharge(origin);
}

/* Bytes of a chunk; one that was received is charged to who received it. */
static bool add_part(weir_transport *t, weir_chunk *chunk, weir_slice data, bool received)
{
    struct write_entry *last = t->queue ? last_entry(t) : NULL;
    struct write_entry *entry;

    if (last && last->chunk == chunk && last->data + last->len == (const char *)data.data &&
        !last->room) {
        last->len += data.len;
        t->queued += data.len;
        return true;
    }
    entry = weir__net_entry(t->net);
    if (!entry)
        return false;
    entry->data = data.data;
    entry->len = data.len;
    entry->chunk = weir_chunk_ref(chunk);
    if (received && (!last || last->chunk != chunk))
        charge(t, entry);
    append(t, entry);
    return true;
}

bool weir__queue_add_shared(weir_transport *t, weir_chunk *chunk, weir_slice data)
{
    return add_part(t, chunk, data, false);
}

static const void *add_heap_copy(weir_transport *t, weir_slice data)
{
    struct write_entry *entry = weir__net_entry(t->net);
    char *copy = weir__malloc(data.len);

    if (!entry || !copy) {
        weir__free(copy);
        if (entry)
            weir__net_entry_free(t->net, entry);
        return NULL;
    }
    memcpy(copy, data.data, data.len);
    entry->data = copy;
    entry->len = data.len;
    entry->release = weir__free;
    entry->owner = copy;
    append(t, entry);
    return copy;
}

static const void *add_copy(weir_transport *t, weir_slice data)
{
    struct write_entry *entry = t->queue ? last_entry(t) : NULL;
    weir_chunk *chunk;
    char *place;

    if (entry && entry->room >= data.len) {
        place = (char *)entry->data + entry->len;
        memcpy(place, data.data, data.len);
        entry->len += data.len;
        entry->room -= data.len;
        t->queued += data.len;
        return place;
    }
    chunk = data.len <= WEIR_CHUNK_SIZE ? weir__chunk_take(net_pool(t->net)) : NULL;
    if (!chunk)
        return add_heap_copy(t, data);
    entry = weir__net_entry(t->net);
    if (!entry) {
        weir_chunk_unref(chunk);
        return NULL;
    }
    place = chunk_bytes(chunk);
    memcpy(place, data.data, data.len);
    entry->data = place;
    entry->len = data.len;
    entry->room = WEIR_CHUNK_SIZE - data.len;
    entry->chunk = chunk;
    append(t, entry);
    return place;
}

const void *weir__queue_add(weir_transport *t, weir_slice data)
{
    weir_chunk *chunk = weir_chunk_of(data);

    if (chunk && (t->entries < MANY_ENTRIES || data.len > SMALL_PIECE))
        return add_part(t, chunk, data, true) ? data.data : NULL;
    return add_copy(t, data);
}

weir_error *weir__queue_add_owned(weir_transport *t, weir_slice data, weir_drop_fn release,
                                  void *owner)
{
    struct write_entry *entry = weir__net_entry(t->net);

    if (!entry)
        return weir_raise(WEIR_ENOMEM, "write");
    entry->data = data.data;
    entry->len = data.len;
    entry->release = release;
    entry->owner = owner;
    append(t, entry);
    return NULL;
}

bool weir__queue_copy(weir_transport *t, const void *data, size_t len)
{
    const char *bytes = data;

    while (len) {
        struct write_entry *last = t->queue ? last_entry(t) : NULL;
        size_t room = last && last->room ? last->room : WEIR_CHUNK_SIZE;
        size_t n = len < room ? len : room;

        if (!add_copy(t, weir_slice_of(bytes, n)))
            return false;
        bytes += n;
        len -= n;
    }
    return true;
}

void weir__queue_consume(weir_transport *t, size_t n)
{
    t->queued -= n;
    while (n) {
        struct write_entry *entry = t->queue;

        if (entry->len > n) {
            entry->data += n;
            entry->len -= n;
            return;
        }
        n -= entry->len;
        t->queue = entry->next;
        if (!t->queue)
            t->queue_end = &t->queue;
        entry_done(t, entry);
    }
}

void weir__queue_drop(weir_transport *t)
{
    struct write_entry *entry = t->queue;

    t->queue = NULL;
    t->queue_end = &t->queue;
    t->queued = 0;
    while (entry) {
        struct write_entry *next = entry->next;

        entry_done(t, entry);
        entry = next;
    }
}

int weir__queue_vector(const weir_transport *t, struct iovec *iov)
{
    int count = 0;

    for (const struct write_entry *entry = t->queue; entry && count < SEND_VECTORS;
         entry = entry->next) {
        iov[count].iov_base = (void *)(uintptr_t)entry->data;
        iov[count].iov_len = entry->len;
        count++;
    }
    return count;
}
