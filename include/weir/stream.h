/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Streams: the straight-line side of a connection. Calls suspend the task; outside of tasks they
 * return WEIR_ENOTASK.
 *
 * Reads consume nothing unless they succeed. A write waits for room, cancellably, then queues
 * everything at once; memory that is not a chunk is done with when it returns. What cannot be all
 * or nothing (a write above the hard limit, a read past the limit, a handshake) marks the stream
 * broken when it is cut short: its next calls return WEIR_EBROKEN and its close aborts. One reader
 * and one writer at a time.
 */
#ifndef WEIR_STREAM_H
#define WEIR_STREAM_H

#include <weir/task.h>
#include <weir/transport.h>

WEIR_BEGIN_DECLS

/** Bytes a stream collects before it stops reading, and the longest line. */
#define WEIR_STREAM_LIMIT ((size_t)64 * 1024)

/** Connects and suspends until it is done; the stream belongs to the caller. */
#define weir_connect(target, options, ret) weir_connect_at(WEIR_HERE, (target), (options), (ret))
WEIR_PUBLIC weir_error *weir_connect_at(const weir_site *site, const char *target,
                                        const weir_connect_options *options,
                                        weir_stream **ret) WEIR_MUST_USE;
/** Turns a transport into a stream, which first reads `rest`. The protocol is called no more. */
WEIR_PUBLIC weir_error *weir_stream_of(weir_transport *transport, weir_slice rest,
                                       weir_stream **ret) WEIR_MUST_USE;
/** How it looks in reports, as snprintf: `<Stream [broken] [eof] buffered=12 transport=<Socket …>>`. */
WEIR_PUBLIC size_t weir_stream_repr(const weir_stream *stream, char *buffer, size_t size);
/** Borrowed. */
WEIR_PUBLIC weir_transport *weir_stream_transport(weir_stream *stream);

/** At least one byte, at most `size`; `ret_n` 0 at the end of the stream. */
WEIR_PUBLIC weir_error *weir_stream_read(weir_stream *stream, void *buffer, size_t size,
                                         size_t *ret_n) WEIR_MUST_USE;
/** What has come, without a copy, empty at the end; valid until the next read on this stream. */
WEIR_PUBLIC weir_error *weir_stream_read_slice(weir_stream *stream, weir_slice *ret) WEIR_MUST_USE;
/** Errors: WEIR_EEOF the end at a boundary, WEIR_EINCOMPLETE the end inside. */
WEIR_PUBLIC weir_error *weir_stream_read_exactly(weir_stream *stream, void *buffer,
                                                 size_t size) WEIR_MUST_USE;
/** A line without its "\n" or "\r\n", NUL-ended in `buffer`; a last line without an end counts.
 *  Errors: WEIR_EEOF, WEIR_ELIMIT the line is longer than the buffer and stays unread. */
WEIR_PUBLIC weir_error *weir_stream_read_line(weir_stream *stream, char *buffer, size_t size,
                                              size_t *ret_n) WEIR_MUST_USE;
/** Up to and including `separator`, into `buffer`. Errors: as read_line; WEIR_EINCOMPLETE. */
WEIR_PUBLIC weir_error *weir_stream_read_until(weir_stream *stream, weir_slice separator,
                                               void *buffer, size_t size,
                                               size_t *ret_n) WEIR_MUST_USE;

/** Queues bytes, and suspends while more is queued than the high water mark. A slice in the loop's
 *  pool is not copied. Errors: the connection's; WEIR_ECANCELED, WEIR_ETIMEDOUT. */
WEIR_PUBLIC weir_error *weir_stream_write(weir_stream *stream, const void *data,
                                          size_t len) WEIR_MUST_USE;
WEIR_PUBLIC weir_error *weir_stream_write_slice(weir_stream *stream, weir_slice data) WEIR_MUST_USE;
WEIR_PUBLIC weir_error *weir_stream_printf(weir_stream *stream, const char *format, ...)
    WEIR_PRINTF(2, 3) WEIR_MUST_USE;
/** Suspends until what is queued is at most the low water mark. */
WEIR_PUBLIC weir_error *weir_stream_drain(weir_stream *stream) WEIR_MUST_USE;
WEIR_PUBLIC weir_error *weir_stream_write_eof(weir_stream *stream) WEIR_MUST_USE;

/** Upgrades to TLS as a client (context of a client, `server_name` verified) or as a server.
 *  Plaintext already received is WEIR_EPROTOCOL. */
WEIR_PUBLIC weir_error *weir_stream_start_tls(weir_stream *stream, weir_tls_context *context,
                                              const char *server_name) WEIR_MUST_USE;

/** Flushes, closes, waits for the end and drops the stream. Entered cancelled it aborts and
 *  returns the cancellation. Always takes. */
WEIR_PUBLIC weir_error *weir_stream_close(weir_stream *take_stream) WEIR_MUST_USE;
/** Closes at once and drops the stream. Does not suspend. */
WEIR_PUBLIC void weir_stream_abort(weir_stream *take_stream);

WEIR_DEFINE_CLEANUP(weir_stream, weir_stream_abort)

WEIR_END_DECLS

#endif
