/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading from a stream. Bytes leave it only when a call succeeds; read_exactly() of more than the
 * stream collects is the one that cannot wait for all of it, and marks the stream broken meanwhile.
 */
#include "config.h"

#include <string.h>

#include "core/net/stream.h"

static weir_error *enter(weir_stream *stream, const char *operation)
{
    WEIR_TRY(weir__stream_enter(stream, &stream->reader, operation));
    if (weir_unlikely(stream->transport->write_only))
        return WEIR_RAISE_FAST(WEIR_EUNSUPPORTED, "read on a pipe's writing side");
    weir__stream_consume(stream, stream->lent);
    stream->lent = 0;
    return NULL;
}

/* Suspends until more has come; the caller has seen that there is no end yet. */
static weir_error *wait_for_more(weir_stream *stream)
{
    if (stream->lost)
        return weir__stream_lost(stream);
    weir_transport_resume_reading(stream->transport);
    return weir__stream_wait(&stream->reader);
}

/* After taking bytes. */
static void taken(weir_stream *stream, size_t n)
{
    weir__stream_consume(stream, n);
    if (stream->size < WEIR_STREAM_LIMIT / 2)
        weir_transport_resume_reading(stream->transport);
    weir__task_budget();
}

/* Some bytes, or the end. */
static weir_error *wait_for_any(weir_stream *stream)
{
    while (!stream->size && !stream->eof)
        WEIR_TRY(wait_for_more(stream));
    return NULL;
}

weir_error *weir_stream_read(weir_stream *stream, void *buffer, size_t size, size_t *ret_n)
{
    size_t n;

    WEIR_TRY(enter(stream, __func__));
    if (size)
        WEIR_TRY(wait_for_any(stream));
    n = size < stream->size ? size : stream->size;
    weir__stream_copy(stream, buffer, n);
    taken(stream, n);
    *ret_n = n;
    return NULL;
}

weir_error *weir_stream_read_slice(weir_stream *stream, weir_slice *ret)
{
    WEIR_TRY(enter(stream, __func__));
    WEIR_TRY(wait_for_any(stream));
    if (!stream->size) {
        *ret = weir_slice_of("", 0);
        return NULL;
    }
    *ret = weir__stream_first(stream);
    stream->lent = ret->len;
    weir__task_budget();
    return NULL;
}

static weir_error *ended(bool inside)
{
    if (inside)
        return WEIR_RAISE_FAST(WEIR_EINCOMPLETE, "the stream ended before what was asked for");
    return weir_raise(WEIR_EEOF, "end");
}

static weir_error *read_all(weir_stream *stream, char *buffer, size_t size)
{
    while (stream->size < size) {
        if (stream->eof)
            return ended(stream->size > 0);
        WEIR_TRY(wait_for_more(stream));
    }
    weir__stream_copy(stream, buffer, size);
    taken(stream, size);
    return NULL;
}

/* More than the stream holds: in parts. */
static weir_error *read_parts(weir_stream *stream, char *buffer, size_t size)
{
    size_t done = 0;

    while (done < size) {
        size_t n;

        WEIR_TRY(wait_for_any(stream));
        if (!stream->size)
            return ended(done > 0);
        stream->broken = true;
        n = size - done < stream->size ? size - done : stream->size;
        weir__stream_copy(stream, buffer + done, n);
        taken(stream, n);
        done += n;
    }
    stream->broken = false;
    return NULL;
}

weir_error *weir_stream_read_exactly(weir_stream *stream, void *buffer, size_t size)
{
    WEIR_TRY(enter(stream, __func__));
    if (size > WEIR_STREAM_LIMIT)
        return read_parts(stream, buffer, size);
    return read_all(stream, buffer, size);
}

static weir_error *line_too_long(size_t size)
{
    return WEIR_RAISE_FAST(WEIR_ELIMIT, "a line longer than %lld bytes", (int64_t)size);
}

weir_error *weir_stream_read_line(weir_stream *stream, char *buffer, size_t size, size_t *ret_n)
{
    size_t end, n;

    WEIR_TRY(enter(stream, __func__));
    for (;;) {
        end = weir__stream_find(stream, stream->scanned, WEIR_SLICE("\n"));
        if (end != SIZE_MAX || stream->eof)
            break;
        stream->scanned = stream->size;
        /* The line without its end takes size - 1 bytes at most, its "\r\n" two more. */
        if (stream->size >= WEIR_STREAM_LIMIT || stream->size > size)
            return line_too_long(size);
        WEIR_TRY(wait_for_more(stream));
    }
    if (end == SIZE_MAX && !stream->size)
        return ended(false);
    n = end == SIZE_MAX ? stream->size : end;
    if (end != SIZE_MAX && n && weir__stream_byte(stream, n - 1) == '\r')
        n--;
    if (n >= size || n > WEIR_STREAM_LIMIT)
        return line_too_long(size);
    weir__stream_copy(stream, buffer, n);
    buffer[n] = '\0';
    taken(stream, end == SIZE_MAX ? stream->size : end + 1);
    stream->scanned = 0;
    *ret_n = n;
    return NULL;
}

/* A message found in what has come: where it ends, and by which separator. */
struct match {
    size_t end; /* SIZE_MAX: none */
    size_t which;
};

static struct match find_first_end(const weir_stream *stream, const weir_slice *separators,
                                   size_t count, size_t from)
{
    struct match match = {.end = SIZE_MAX};

    for (size_t i = 0; i < count; i++) {
        size_t at = weir__stream_find(stream, from, separators[i]);

        if (at != SIZE_MAX && at + separators[i].len < match.end)
            match = (struct match){at + separators[i].len, i};
    }
    return match;
}

static size_t longest_of(const weir_slice *separators, size_t count)
{
    size_t longest = 0;

    for (size_t i = 0; i < count; i++) {
        if (!separators[i].len)
            return 0;
        if (separators[i].len > longest)
            longest = separators[i].len;
    }
    return longest;
}

weir_error *weir_stream_read_until_any(weir_stream *stream, const weir_slice *separators,
                                       size_t count, void *buffer, size_t size, size_t *ret_n,
                                       size_t *ret_which)
{
    size_t limit = size < WEIR_STREAM_LIMIT ? size : WEIR_STREAM_LIMIT, from = 0;
    size_t longest = longest_of(separators, count);
    struct match match;

    WEIR_TRY(enter(stream, __func__));
    weir_require(longest > 0, weir_raise(WEIR_EINVAL, "read_until: an empty separator"));
    for (;;) {
        match = find_first_end(stream, separators, count, from);
        if (match.end != SIZE_MAX)
            break;
        if (stream->size >= limit)
            return WEIR_RAISE_FAST(WEIR_ELIMIT, "no separator in %lld bytes", (int64_t)limit);
        if (stream->eof)
            return ended(stream->size > 0);
        from = stream->size >= longest ? stream->size - longest + 1 : 0;
        WEIR_TRY(wait_for_more(stream));
    }
    if (match.end > limit)
        return WEIR_RAISE_FAST(WEIR_ELIMIT, "what ends in the separator takes %lld bytes",
                               (int64_t)match.end);
    weir__stream_copy(stream, buffer, match.end);
    *ret_n = match.end;
    if (ret_which)
        *ret_which = match.which;
    taken(stream, match.end);
    return NULL;
}

weir_error *weir_stream_read_until(weir_stream *stream, weir_slice separator, void *buffer,
                                   size_t size, size_t *ret_n)
{
    return weir_stream_read_until_any(stream, &separator, 1, buffer, size, ret_n, NULL);
}

bool weir_stream_at_eof(const weir_stream *stream)
{
    weir_check(stream, STREAM_MAGIC);
    return (stream->eof || stream->lost) && stream->size == stream->lent;
}
