/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stream has collected: a ring of segments, each a range of a chunk. The first few chunks are
 * referenced as they came; if small pieces fill those places, later ones are copied together into
 * chunks of the stream's own, so that a peer that sends single bytes pins no memory.
 */
#include "config.h"

#include <string.h>

#include "core/base/chunk.h"
#include "core/net/stream.h"

static struct segment *segment_at(const weir_stream *stream, unsigned index)
{
    return (struct segment *)&stream->segments[(stream->first + index) % STREAM_SEGMENTS];
}

static char *segment_data(const struct segment *segment)
{
    return chunk_bytes(segment->chunk) + segment->offset;
}

static bool reference(weir_stream *stream, weir_slice data)
{
    weir_chunk *chunk = weir_chunk_of(data);
    struct segment *segment;

    if (!chunk || stream->count >= STREAM_REFERENCES)
        return false;
    segment = segment_at(stream, stream->count++);
    segment->chunk = weir_chunk_ref(chunk);
    segment->offset = (uint16_t)((const char *)data.data - chunk_bytes(chunk));
    segment->len = (uint16_t)data.len;
    segment->own = false;
    stream->size += data.len;
    return true;
}

static struct segment *own_segment(weir_stream *stream)
{
    struct segment *last = stream->count ? segment_at(stream, stream->count - 1u) : NULL;
    weir_chunk *chunk;

    if (last && last->own && last->offset + last->len < WEIR_CHUNK_SIZE)
        return last;
    if (stream->count == STREAM_SEGMENTS)
        return NULL;
    chunk = weir__chunk_take(net_pool(stream->transport->net));
    if (!chunk)
        return NULL;
    last = segment_at(stream, stream->count++);
    *last = (struct segment){.chunk = chunk, .own = true};
    return last;
}

bool weir__stream_collect(weir_stream *stream, weir_slice data)
{
    if (!data.len || reference(stream, data))
        return true;
    while (data.len) {
        struct segment *segment = own_segment(stream);
        size_t room, n;

        if (!segment)
            return false;
        room = WEIR_CHUNK_SIZE - segment->offset - segment->len;
        n = data.len < room ? data.len : room;
        memcpy(segment_data(segment) + segment->len, data.data, n);
        segment->len = (uint16_t)(segment->len + n);
        stream->size += n;
        data = weir_slice_skip(data, n);
    }
    return true;
}

void weir__stream_consume(weir_stream *stream, size_t n)
{
    stream->size -= n;
    stream->scanned = stream->scanned > n ? stream->scanned - n : 0;
    while (n) {
        struct segment *segment = segment_at(stream, 0);

        if (segment->len > n) {
            segment->offset = (uint16_t)(segment->offset + n);
            segment->len = (uint16_t)(segment->len - n);
            return;
        }
        n -= segment->len;
        weir_chunk_unref(segment->chunk);
        stream->first = (uint8_t)((stream->first + 1) % STREAM_SEGMENTS);
        stream->count--;
    }
}

void weir__stream_copy(const weir_stream *stream, void *buffer, size_t n)
{
    char *place = buffer;

    for (unsigned i = 0; n; i++) {
        const struct segment *segment = segment_at(stream, i);
        size_t part = n < segment->len ? n : segment->len;

        memcpy(place, segment_data(segment), part);
        place += part;
        n -= part;
    }
}

weir_slice weir__stream_first(const weir_stream *stream)
{
    const struct segment *segment = segment_at(stream, 0);

    return weir_slice_of(segment_data(segment), segment->len);
}

unsigned char weir__stream_byte(const weir_stream *stream, size_t position)
{
    for (unsigned i = 0;; i++) {
        const struct segment *segment = segment_at(stream, i);

        if (position < segment->len)
            return (unsigned char)segment_data(segment)[position];
        position -= segment->len;
    }
}

static bool matches_at(const weir_stream *stream, size_t position, weir_slice separator)
{
    const unsigned char *wanted = separator.data;

    if (position + separator.len > stream->size)
        return false;
    for (size_t i = 1; i < separator.len; i++) {
        if (weir__stream_byte(stream, position + i) != wanted[i])
            return false;
    }
    return true;
}

/* The first place in one segment, which starts at `start` of the stream. */
static size_t find_in(const weir_stream *stream, const struct segment *segment, size_t start,
                      size_t from, weir_slice separator)
{
    const char *data = segment_data(segment);
    size_t at = from > start ? from - start : 0;

    while (at < segment->len) {
        const char *hit =
            memchr(data + at, *(const unsigned char *)separator.data, segment->len - at);

        if (!hit)
            break;
        at = (size_t)(hit - data);
        if (matches_at(stream, start + at, separator))
            return start + at;
        at++;
    }
    return SIZE_MAX;
}

size_t weir__stream_find(const weir_stream *stream, size_t from, weir_slice separator)
{
    size_t start = 0;

    for (unsigned i = 0; i < stream->count; i++) {
        const struct segment *segment = segment_at(stream, i);

        if (start + segment->len > from) {
            size_t position = find_in(stream, segment, start, from, separator);

            if (position != SIZE_MAX)
                return position;
        }
        start += segment->len;
    }
    return SIZE_MAX;
}
