/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing to a stream: wait until the transport wants more, then queue all of it. What is larger
 * than a transport may queue goes in parts, and a write cut short between them breaks the stream.
 * Several tasks may write: each write stays together, in parts or not.
 */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/base/alloc.h"
#include "core/net/stream.h"

#define WRITE_PART      ((size_t)1024 * 1024)
#define PRINTF_ON_STACK 512

weir_error *weir__stream_wait_for_room(weir_stream *stream)
{
    while (!stream->lost && stream->transport->write_paused)
        WEIR_TRY(weir__stream_wait_to_write(stream));
    return stream->lost ? weir__stream_lost(stream) : NULL;
}

weir_error *weir__stream_enter_write(weir_stream *stream, const char *operation)
{
    WEIR_TRY(weir__stream_enter(stream, NULL, operation));
    while (stream->writing && !stream->lost)
        WEIR_TRY(weir__stream_wait_to_write(stream));
    if (stream->broken)
        return WEIR_RAISE_FAST(WEIR_EBROKEN, "another task's write was cut short");
    return NULL;
}

static weir_error *write_in_turn(weir_stream *stream, weir_slice data)
{
    bool begun = false;

    while (data.len) {
        weir_slice part = weir_slice_of(data.data, data.len < WRITE_PART ? data.len : WRITE_PART);
        weir_error *error = weir__stream_wait_for_room(stream);

        if (!error)
            error = weir_transport_write(stream->transport, part);
        if (error) {
            stream->broken = begun;
            return error;
        }
        begun = true;
        data = weir_slice_skip(data, part.len);
    }
    return NULL;
}

static weir_error *write_parts(weir_stream *stream, const weir_slice *slices, size_t count)
{
    weir_error *error = NULL;

    stream->writing = true;
    for (size_t i = 0; i < count && !error; i++) {
        error = write_in_turn(stream, slices[i]);
        if (error && i > 0)
            stream->broken = true;
    }
    stream->writing = false;
    weir__stream_wake_writers(stream);
    return error;
}

weir_error *weir_stream_writev(weir_stream *stream, const weir_slice *slices, size_t count)
{
    size_t total = 0;

    WEIR_TRY(weir__stream_enter_write(stream, __func__));
    for (size_t i = 0; i < count; i++) {
        if (__builtin_add_overflow(total, slices[i].len, &total))
            return weir_raise(WEIR_EINVAL, "write of more than the address space");
    }
    if (total > stream->transport->hard / 2)
        return write_parts(stream, slices, count);
    WEIR_TRY(weir__stream_wait_for_room(stream));
    WEIR_TRY(weir_transport_writev(stream->transport, slices, count));
    weir__task_budget();
    return NULL;
}

weir_error *weir_stream_write_slice(weir_stream *stream, weir_slice data)
{
    return weir_stream_writev(stream, &data, 1);
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

    WEIR_TRY(weir__stream_enter_write(stream, __func__));
    t = stream->transport;
    /* Between the marks nobody would tell us. */
    if (!stream->lost && t->queued > t->low)
        t->write_paused = true;
    WEIR_TRY(weir__stream_wait_for_room(stream));
    weir__task_budget();
    return NULL;
}

weir_error *weir_stream_write_eof(weir_stream *stream)
{
    WEIR_TRY(weir__stream_enter_write(stream, __func__));
    if (stream->lost)
        return weir__stream_lost(stream);
    return weir_transport_write_eof(stream->transport);
}
