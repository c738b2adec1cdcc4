/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A collector of bytes with a limit: a queue of parts.
 *
 *     part   a range of a chunk (a reference)   bytes that were a large share of one
 *            a block of our own                 smaller ones, copied together
 *
 * A referenced part is at least SHARE_MIN long, so what a buffer pins is at most 4 times what it
 * holds; blocks double up to a chunk's size. Parts stand in one growing array used as a queue.
 */
#include "config.h"

#include <string.h>

#include <weir/chunk.h>
#include <weir/error.h>

#include "core/base/alloc.h"
#include "core/base/invariant.h"

#define BUFFER_MAGIC WEIR_MAGIC('W', 'b', 'u', 'f')
#define SHARE_MIN    (WEIR_CHUNK_SIZE / 4)
#define BLOCK_MIN    ((size_t)256)
#define BLOCK_MAX    WEIR_CHUNK_SIZE

struct part {
    char *data;
    size_t len;
    size_t room;       /* of a block: bytes from `data` to its end */
    weir_chunk *chunk; /* or */
    char *block;
};

struct weir_buffer {
    uint32_t magic;
    size_t limit, size;
    struct part *parts;
    size_t first, end, capacity; /* parts [first, end) are in use */
};

weir_error *weir_buffer_new(size_t limit, weir_buffer **ret)
{
    weir_buffer *buffer = weir__calloc(1, sizeof(*buffer));

    if (!buffer)
        return weir_raise(WEIR_ENOMEM, " ");
    buffer->magic = BUFFER_MAGIC;
    buffer->limit = limit;
    *ret = buffer;
    return NULL;
}

static void part_done(struct part *part)
{
    weir_chunk_unref(part->chunk);
    weir__free(part->block);
}

void weir_buffer_unref(weir_buffer *buffer)
{
    if (!buffer)
        return;
    weir_check(buffer, BUFFER_MAGIC);
    weir_buffer_consume(buffer, buffer->size);
    weir__free(buffer->parts);
    weir_magic_clear(buffer);
    weir__free(buffer);
}

/* Room for one more part behind the last one. */
static bool make_place(weir_buffer *buffer)
{
    size_t used = buffer->end - buffer->first;
    size_t capacity = buffer->capacity ? buffer->capacity * 2 : 4;
    struct part *parts;

    if (buffer->end < buffer->capacity)
        return true;
    if (buffer->first > 0 && used <= buffer->capacity / 2) {
        memmove(buffer->parts, buffer->parts + buffer->first, used * sizeof(buffer->parts[0]));
        buffer->first = 0;
        buffer->end = used;
        return true;
    }
    parts = weir__reallocarray(buffer->parts, capacity, sizeof(parts[0]));
    if (!parts)
        return false;
    buffer->parts = parts;
    buffer->capacity = capacity;
    return true;
}

static struct part *last_part(weir_buffer *buffer)
{
    return buffer->end > buffer->first ? &buffer->parts[buffer->end - 1] : NULL;
}

static weir_error *append_reference(weir_buffer *buffer, weir_slice data, weir_chunk *chunk)
{
    if (!make_place(buffer))
        return weir_raise(WEIR_ENOMEM, " ");
    buffer->parts[buffer->end++] =
        (struct part){.data = (char *)data.data, .len = data.len, .chunk = weir_chunk_ref(chunk)};
    buffer->size += data.len;
    return NULL;
}

static void copy_to(struct part *part, const void *data, size_t n)
{
    memcpy(part->data + part->len, data, n);
    part->len += n;
}

static weir_error *append_copy(weir_buffer *buffer, weir_slice data)
{
    struct part *last = last_part(buffer);
    size_t fits = last && last->block ? last->room - last->len : 0;
    size_t rest = data.len > fits ? data.len - fits : 0;

    if (rest) {
        size_t room = last && last->block ? last->room * 2 : BLOCK_MIN;
        char *block;

        if (room > BLOCK_MAX)
            room = BLOCK_MAX;
        if (room < rest)
            room = rest;
        if (!make_place(buffer))
            return weir_raise(WEIR_ENOMEM, " ");
        block = weir__malloc(room);
        if (!block)
            return weir_raise(WEIR_ENOMEM, " ");
        last = last_part(buffer); /* make_place() may have moved it */
        buffer->parts[buffer->end++] = (struct part){.data = block, .room = room, .block = block};
        copy_to(&buffer->parts[buffer->end - 1], (const char *)data.data + (data.len - rest), rest);
    }
    if (data.len > rest)
        copy_to(last, data.data, data.len - rest);
    buffer->size += data.len;
    return NULL;
}

weir_error *weir_buffer_append(weir_buffer *buffer, weir_slice data)
{
    weir_chunk *chunk;

    weir_check(buffer, BUFFER_MAGIC);
    if (data.len == 0)
        return NULL;
    if (data.len > buffer->limit - buffer->size)
        return WEIR_RAISE_FAST(WEIR_ELIMIT, "%lld bytes do not fit: %lld of %lld are in use",
                               (int64_t)data.len, (int64_t)buffer->size, (int64_t)buffer->limit);
    chunk = data.len >= SHARE_MIN ? weir_chunk_of(data) : NULL;
    if (chunk)
        return append_reference(buffer, data, chunk);
    return append_copy(buffer, data);
}

size_t weir_buffer_size(const weir_buffer *buffer)
{
    weir_check(buffer, BUFFER_MAGIC);
    return buffer->size;
}

weir_slice weir_buffer_first(const weir_buffer *buffer)
{
    weir_check(buffer, BUFFER_MAGIC);
    if (buffer->first == buffer->end)
        return weir_slice_of(NULL, 0);
    return weir_slice_of(buffer->parts[buffer->first].data, buffer->parts[buffer->first].len);
}

void weir_buffer_consume(weir_buffer *buffer, size_t n)
{
    weir_check(buffer, BUFFER_MAGIC);
    if (n > buffer->size)
        n = buffer->size;
    buffer->size -= n;
    while (n > 0) {
        struct part *part = &buffer->parts[buffer->first];

        if (n < part->len) {
            part->data += n;
            part->len -= n;
            part->room -= part->block ? n : 0;
            return;
        }
        n -= part->len;
        part_done(part);
        buffer->first++;
    }
    if (buffer->first == buffer->end)
        buffer->first = buffer->end = 0;
}

weir_error *weir_buffer_linear(weir_buffer *buffer, weir_slice *ret_all)
{
    size_t size;
    char *block, *p;

    weir_check(buffer, BUFFER_MAGIC);
    if (buffer->end - buffer->first > 1) {
        size = buffer->size;
        block = p = weir__malloc(size);
        if (!block)
            return weir_raise(WEIR_ENOMEM, " ");
        for (size_t i = buffer->first; i < buffer->end; i++) {
            memcpy(p, buffer->parts[i].data, buffer->parts[i].len);
            p += buffer->parts[i].len;
            part_done(&buffer->parts[i]);
        }
        buffer->first = 0;
        buffer->end = 1;
        buffer->parts[0] = (struct part){.data = block, .len = size, .room = size, .block = block};
    }
    *ret_all = weir_buffer_first(buffer);
    return NULL;
}
