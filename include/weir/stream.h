/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Streams: the straight-line side of a connection. Calls suspend the task; outside of tasks they
 * return WEIR_ENOTASK. All belong to the thread of the stream's loop (WEIR_ETHREAD).
 *
 * Reads consume nothing unless they succeed: a cancelled or failed read may be repeated, as another
 * kind of read too. What came before a failure of the connection is read first, then the failure is
 * returned. A write waits for room, cancellably, then queues everything at once; memory that is not a
 * chunk is done with when it returns. What cannot be all or nothing (a write above half the hard
 * limit, a read_exactly past WEIR_STREAM_LIMIT, a handshake) marks the stream broken when it is cut
 * short: its next calls return WEIR_EBROKEN and its close aborts.
 *
 * One task reads at a time; a second reader gets WEIR_EBUSY. Several tasks may write: each write
 * stays together. One may read while another writes.
 *
 * A stream that weir_connect(), weir_stream_of() or pipe.h made belongs to its caller, who ends it
 * with weir_stream_close() or weir_stream_abort(); one that is still open when its loop closes is
 * reported (K1). The stream of a protocol's `serve` belongs to its task: when `serve` returns, it is
 * closed.
 *
 * What TCP and TLS know of the connection is asked of weir_stream_transport(): its peer's and local
 * name, what the handshake agreed on, how much was sent.
 *
 * Example:
 *
 *     static weir_error *ask(void *arg)
 *     {
 *         weir_auto(weir_stream) stream = NULL;
 *         char line[256];
 *         size_t n;
 *
 *         WEIR_TIMEOUT(patience, WEIR_S(5));
 *         WEIR_TRY(weir_connect((const char *)arg, NULL, &stream));
 *         WEIR_TRY(weir_stream_printf(stream, "HELO %s\r\n", "example.org"));
 *         WEIR_TRY(weir_stream_read_line(stream, line, sizeof(line), &n));
 *         return weir_stream_close(WEIR_TAKE(stream));
 *     }
 */
#ifndef WEIR_STREAM_H
#define WEIR_STREAM_H

#include <weir/scope.h>
#include <weir/task.h>
#include <weir/transport.h>

WEIR_BEGIN_DECLS

/** Bytes a stream collects before it stops reading; the longest line, and the longest message of
 *  read_until(). At twice as much at most the peer is stopped. */
#define WEIR_STREAM_LIMIT ((size_t)64 * 1024)

/**
 * Connects and suspends until it is done; the stream belongs to the caller. Targets and options as
 * of weir_connect_start(). A cancellation ends the attempt and leaves nothing behind.
 * Errors: as of weir_connect_start(); WEIR_ECANCELED, WEIR_ETIMEDOUT.
 */
#define weir_connect(target, options, ret) weir_connect_at(WEIR_HERE, (target), (options), (ret))
WEIR_PUBLIC weir_error *weir_connect_at(const weir_site *site, const char *target,
                                        const weir_connect_options *options,
                                        weir_stream **ret) WEIR_MUST_USE;
/** Turns a transport into a stream, which first reads `rest`. The protocol is called no more. Does
 *  not suspend. Errors: WEIR_ECLOSED, WEIR_ENOMEM. */
WEIR_PUBLIC weir_error *weir_stream_of(weir_transport *transport, weir_slice rest,
                                       weir_stream **ret) WEIR_MUST_USE;
/** How it looks in reports, as snprintf: `<Stream [broken] [eof] buffered=12 transport=<Socket …>>`. */
WEIR_PUBLIC size_t weir_stream_repr(const weir_stream *stream, char *buffer, size_t size);
/** Borrowed; valid as long as the stream. */
WEIR_PUBLIC weir_transport *weir_stream_transport(weir_stream *stream);

/**
 * At least one byte, at most `size`; `ret_n` 0 at the end of the stream, and at once for a `size` of
 * 0. Errors of all reads: the connection's (ECONNRESET, WEIR_ETLSTRUNCATED, …), WEIR_ECLOSED it was
 * closed by us, WEIR_ECANCELED, WEIR_ETIMEDOUT, WEIR_EBUSY another task reads, WEIR_EBROKEN,
 * WEIR_EUNSUPPORTED the writing side of a pipe.
 */
WEIR_PUBLIC weir_error *weir_stream_read(weir_stream *stream, void *buffer, size_t size,
                                         size_t *ret_n) WEIR_MUST_USE;
/** What has come, without a copy, empty at the end; valid until the next read on this stream. */
WEIR_PUBLIC weir_error *weir_stream_read_slice(weir_stream *stream, weir_slice *ret) WEIR_MUST_USE;
/** All of `size` bytes, however many. Errors: WEIR_EEOF the end at a boundary, WEIR_EINCOMPLETE the
 *  end inside: what came stays to be read. */
WEIR_PUBLIC weir_error *weir_stream_read_exactly(weir_stream *stream, void *buffer,
                                                 size_t size) WEIR_MUST_USE;
/** A line without its "\n" or "\r\n", NUL-ended in `buffer`; a last line without an end counts.
 *  Errors: WEIR_EEOF, WEIR_ELIMIT the line is longer than the buffer and stays unread. */
WEIR_PUBLIC weir_error *weir_stream_read_line(weir_stream *stream, char *buffer, size_t size,
                                              size_t *ret_n) WEIR_MUST_USE;
/** Up to and including `separator`, into `buffer`, which may be WEIR_STREAM_LIMIT bytes at most.
 *  Errors: WEIR_ELIMIT it would take more than the buffer, and stays unread; WEIR_EEOF the end with
 *  nothing before it, WEIR_EINCOMPLETE with something, which stays to be read; WEIR_EINVAL. */
WEIR_PUBLIC weir_error *weir_stream_read_until(weir_stream *stream, weir_slice separator,
                                               void *buffer, size_t size,
                                               size_t *ret_n) WEIR_MUST_USE;
/** Likewise up to the separator that ends first. `ret_which` (may be NULL) tells which it was. */
WEIR_PUBLIC weir_error *weir_stream_read_until_any(weir_stream *stream,
                                                   const weir_slice *separators, size_t count,
                                                   void *buffer, size_t size, size_t *ret_n,
                                                   size_t *ret_which) WEIR_MUST_USE;
/** The peer has ended, or the connection is lost, and all that came has been read. */
WEIR_PUBLIC bool weir_stream_at_eof(const weir_stream *stream);

/**
 * Waits while more is queued than the high water mark, then queues the bytes. A slice in the loop's
 * pool is not copied. Errors of all writes: the connection's, WEIR_ECLOSED, WEIR_ECANCELED,
 * WEIR_ETIMEDOUT (then nothing is queued), WEIR_EBROKEN, WEIR_EUNSUPPORTED the reading side of a pipe.
 */
WEIR_PUBLIC weir_error *weir_stream_write(weir_stream *stream, const void *data,
                                          size_t len) WEIR_MUST_USE;
WEIR_PUBLIC weir_error *weir_stream_write_slice(weir_stream *stream, weir_slice data) WEIR_MUST_USE;
/** Several pieces as one write, in one system call where possible. */
WEIR_PUBLIC weir_error *weir_stream_writev(weir_stream *stream, const weir_slice *slices,
                                           size_t count) WEIR_MUST_USE;
/** Text as of printf(3), without a NUL. Errors: also WEIR_EINVAL the format, WEIR_ENOMEM. */
WEIR_PUBLIC weir_error *weir_stream_printf(weir_stream *stream, const char *format, ...)
    WEIR_PRINTF(2, 3) WEIR_MUST_USE;
/**
 * Sends `len` bytes of the open file `fd` from `offset`, or up to its end if that comes first (a
 * `len` of INT64_MAX - `offset` means that). The place of the descriptor is neither used nor moved.
 * Never waits for a disk on this thread: what is in memory goes by sendfile(2) or through chunks, the
 * rest is read by the loop's executor for files. Suspends until all is sent or queued; at most the
 * water mark is queued. Another task's write waits until it is over. `ret_sent` (may be NULL): bytes
 * that were sent or queued.
 * Errors: of all writes (cut short after some bytes it breaks the stream); of reading, EISDIR
 * included; WEIR_EINVAL no such place.
 */
WEIR_PUBLIC weir_error *weir_stream_send_file(weir_stream *stream, int fd, uint64_t offset,
                                              uint64_t len, uint64_t *ret_sent) WEIR_MUST_USE;
/** Suspends until what is queued is at most the low water mark. Several tasks may. */
WEIR_PUBLIC weir_error *weir_stream_drain(weir_stream *stream) WEIR_MUST_USE;
/** Half-close: the peer sees the end after what is queued; reading goes on. With TLS: close_notify. */
WEIR_PUBLIC weir_error *weir_stream_write_eof(weir_stream *stream) WEIR_MUST_USE;

/**
 * Upgrades to TLS as a client (context of a client, `server_name` verified) or as a server (context of
 * a server; `server_name` NULL). Suspends until the handshake is done, 10 s at most.
 * Errors: WEIR_EPROTOCOL plaintext has already been received, which nobody may take for protected;
 * WEIR_ETLS, ETIMEDOUT, and those of a connection: the stream is broken then; WEIR_EBUSY another task
 * reads or writes.
 */
WEIR_PUBLIC weir_error *weir_stream_start_tls(weir_stream *stream, weir_tls_context *context,
                                              const char *server_name) WEIR_MUST_USE;

/** Suspends until the connection is lost, by whomever. Errors: why, unless it ended in order. */
WEIR_PUBLIC weir_error *weir_stream_wait_closed(weir_stream *stream) WEIR_MUST_USE;
/** Flushes, closes, waits for the end and drops the stream; what kept the last bytes from being sent
 *  is returned. Entered cancelled, or cancelled meanwhile, it aborts and returns the cancellation.
 *  Always takes. */
WEIR_PUBLIC weir_error *weir_stream_close(weir_stream *take_stream) WEIR_MUST_USE;
/** Closes at once, drops what is queued, and drops the stream. Does not suspend. */
WEIR_PUBLIC void weir_stream_abort(weir_stream *take_stream);

WEIR_DEFINE_CLEANUP(weir_stream, weir_stream_abort)

WEIR_END_DECLS

#endif
