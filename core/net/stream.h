/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream is the state of a protocol of our own, inside the transport's allocation. Its callbacks
 * collect what comes and wake the tasks that wait in its calls.
 */
#ifndef WEIR_CORE_NET_STREAM_H
#define WEIR_CORE_NET_STREAM_H

#include <weir/stream.h>

#include "core/net/transport.h"
#include "core/task/wait.h"

#define STREAM_MAGIC WEIR_MAGIC('s', 't', 'r', 'm')

/* Received chunks that a stream holds by reference; what comes beyond is copied together. */
#define STREAM_REFERENCES CHUNK_LIMIT
/* With the copies of WEIR_STREAM_LIMIT bytes and of what was on its way. */
#define STREAM_SEGMENTS 12

struct segment {
    weir_chunk *chunk;
    uint16_t offset, len;
    bool own; /* filled by the stream */
};

/* A task that waits in a call of the stream. */
struct stream_wait {
    struct waiter waiter;
    struct stream_wait **place; /* where the stream has it; NULL: in the list of writers */
    struct list link;
};

struct weir_stream {
    uint32_t magic;
    uint8_t first, count; /* segments in use, from `first`, around the end */
    bool owned;           /* by a caller, with a reference to the transport; else by its task */
    bool dropped;
    bool eof;
    bool lost;
    bool broken;
    size_t size;    /* bytes in the segments */
    size_t lent;    /* of them, at the front: given out by read_slice() */
    size_t scanned; /* of them: known to have no end of line */
    weir_transport *transport;
    const weir_protocol *protocol; /* whose `serve` has it; NULL: nobody's */
    struct stream_wait *reader, *closer, *upgrader;
    struct list writers; /* of stream_wait */
    bool writing;        /* a write in parts is under way */
    weir_error *upgrade_error;
    struct segment segments[STREAM_SEGMENTS];
};

/* Serves protocols with `serve` and clients alike. */
extern const weir_protocol weir__stream_protocol;

/* Begins a call that waits: cancelled, broken, or somebody waits at `place` (NULL: any may). */
weir_error *weir__stream_enter(weir_stream *stream, struct stream_wait *const *place,
                               const char *operation) WEIR_MUST_USE;
/* Suspends until weir__stream_wake() of `place`. */
weir_error *weir__stream_wait(struct stream_wait **place) WEIR_MUST_USE;
void weir__stream_wake(struct stream_wait *wait);
/* Likewise among the writers. */
weir_error *weir__stream_wait_to_write(weir_stream *stream) WEIR_MUST_USE;
/* Begins a write: until no other task is inside of one in parts. */
weir_error *weir__stream_enter_write(weir_stream *stream, const char *operation) WEIR_MUST_USE;
/* Until the transport wants more. */
weir_error *weir__stream_wait_for_room(weir_stream *stream) WEIR_MUST_USE;
void weir__stream_wake_writers(const weir_stream *stream);
/* Why nothing can be read or written any more. */
weir_error *weir__stream_lost(const weir_stream *stream) WEIR_MUST_USE;
/* The stream of a transport, for its new owner. */
weir_stream *weir__stream_adopt(weir_transport *transport);

/* Collected bytes (stream_buffer.c) */

bool weir__stream_collect(weir_stream *stream, weir_slice data);
void weir__stream_consume(weir_stream *stream, size_t n);
/* Copies the first `n` bytes. */
void weir__stream_copy(const weir_stream *stream, void *buffer, size_t n);
weir_slice weir__stream_first(const weir_stream *stream);
unsigned char weir__stream_byte(const weir_stream *stream, size_t position);
/* Position of `separator` at or after `from`; SIZE_MAX: none. */
size_t weir__stream_find(const weir_stream *stream, size_t from, weir_slice separator);

#endif
