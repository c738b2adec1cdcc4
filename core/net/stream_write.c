/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing to a stream: wait until the transport wants more, then queue all of it. What is larger
 * than a transport may queue goes in parts, and a write cut short between them breaks the stream.
 */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/base/alloc.h"
#include "core/net/stream.h"

#define WRITE_PART      ((size_t)1024 * 1024)
#define PRINTF_ON_STACK 512

static weir_error *wait_for_room(weir_stream *stream)
{
    while (!stream->lost && stream->transport->write_paused)
        WEIR_TRY(weir__stream_wait(&stream->writer));
    return stream->lost ? weir__stream_lost(stream) : NULL;
}

static weir_error *write_parts(weir_stream *stream, weir_slice data)
{
    while (data.len) {
        weir_slice part = weir_slice_of(data.data, data.len < WRITE_PART ? data.len : WRITE_PART);

        WEIR_TRY(wait_for_room(stream));
        WEIR_TRY(weir_transport_write(stream->transport, part));
        data = weir_slice_skip(data, part.len);
        stream->broken = data.len > 0;
    }
    return NULL;
}

weir_error *weir_stream_write_slice(weir_stream *stream, weir_slice data)
{
    WEIR_TRY(weir__stream_enter(stream, &stream->writer));
    if (data.len > stream->transport->hard / 2)
        return write_parts(stream, data);
    WEIR_TRY(wait_for_room(stream));
    WEIR_TRY(weir_transport_write(stream->transport, data));
    weir__task_budget();
    return NULL;
}

weir_error *weir_stream_write(weir_stream *stream, const void *data, size_t len)
{
    return weir_stream_write_slice(stream, weir_slice_of(data, len));
}

weir_error *weir_stream_printf(weir_stream *stream, const char *format, ...)
{
    char small[PRINTF_ON_STACK];
    weir_error *error;
    va_list args;
    char *large;
    int n;

    va_start(args, format);
    n = vsnprintf(small, sizeof(small), format, args);
    va_end(args);
    if (n < 0)
        return weir_raise(WEIR_EINVAL, "weir_stream_printf: bad format");
    if ((size_t)n < sizeof(small))
        return weir_stream_write(stream, small, (size_t)n);
    large = weir__malloc((size_t)n + 1);
    if (!large)
        return weir_raise(WEIR_ENOMEM, "printf");
    va_start(args, format);
    vsnprintf(large, (size_t)n + 1, format, args);
    va_end(args);
    error = weir_stream_write(stream, large, (size_t)n);
    weir__free(large);
    return error;
}

weir_error *weir_stream_drain(weir_stream *stream)
{
    weir_transport *t;

    WEIR_TRY(weir__stream_enter(stream, &stream->writer));
    t = stream->transport;
    /* Between the marks nobody would tell us. */
    if (!stream->lost && t->queued > t->low)
        t->write_paused = true;
    WEIR_TRY(wait_for_room(stream));
    weir__task_budget();
    return NULL;
}

weir_error *weir_stream_write_eof(weir_stream *stream)
{
    WEIR_TRY(weir__stream_enter(stream, &stream->writer));
    if (stream->lost)
        return weir__stream_lost(stream);
    return weir_transport_write_eof(stream->transport);
}
