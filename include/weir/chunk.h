/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Chunks: reference-counted, loop-local blocks in which received bytes live.
 *
 * A callback's slice is valid until it returns. To keep it: `weir_chunk_ref(weir_chunk_of(slice))`,
 * later weir_chunk_unref(). A loop's pool is one reserved address range, so the chunk of a slice is
 * found from its address. A transport write of a slice in this loop's pool takes a reference and
 * copies nothing; any other memory is copied. To collect bytes use a weir_buffer: it has a limit
 * and never pins mostly empty chunks.
 *
 * Example:
 *
 *     // Collects everything that a connection sends, at most 1 MiB.
 *     static weir_error *data_received(weir_transport *transport, void *state, weir_slice data)
 *     {
 *         weir_buffer **all = state;
 *
 *         (void)transport;
 *         if (!*all)
 *             WEIR_TRY(weir_buffer_new((size_t)1 << 20, all));
 *         WEIR_TRY(weir_buffer_append(*all, data)); // WEIR_ELIMIT: more than that
 *         return NULL;
 *     }
 */
#ifndef WEIR_CHUNK_H
#define WEIR_CHUNK_H

#include <weir/slice.h>

WEIR_BEGIN_DECLS

typedef struct weir_chunk weir_chunk;
typedef struct weir_buffer weir_buffer;

/** Usable bytes of a chunk of the pool. */
#define WEIR_CHUNK_SIZE ((size_t)16 * 1024)

/** The chunk that holds the slice's first byte; NULL for memory outside this loop's pool. */
WEIR_PUBLIC weir_chunk *weir_chunk_of(weir_slice slice);

/**
 * An empty chunk of the current loop's pool, one reference.
 * `size` is what the caller needs, at most WEIR_CHUNK_SIZE.
 * Errors: WEIR_EFULL the pool is at its maximum, WEIR_ELIMIT `size` is too large, WEIR_ETHREAD no
 * loop runs here.
 */
WEIR_PUBLIC weir_error *weir_chunk_new(size_t size, weir_chunk **ret) WEIR_MUST_USE;
/** Where its bytes are; writable by the owner until the first slice of it was handed out. */
WEIR_PUBLIC void *weir_chunk_data(weir_chunk *chunk);
WEIR_PUBLIC size_t weir_chunk_capacity(const weir_chunk *chunk);
WEIR_PUBLIC weir_chunk *weir_chunk_ref(weir_chunk *chunk);
WEIR_PUBLIC void weir_chunk_unref(weir_chunk *chunk);

/** A collector with a limit in bytes. Not bound to a loop until the first append. */
WEIR_PUBLIC weir_error *weir_buffer_new(size_t limit, weir_buffer **ret) WEIR_MUST_USE;
WEIR_PUBLIC void weir_buffer_unref(weir_buffer *buffer);
/** Adds bytes (by reference where they are a large part of a chunk, else copied).
 *  Errors: WEIR_ELIMIT nothing was added; WEIR_ENOMEM. */
WEIR_PUBLIC weir_error *weir_buffer_append(weir_buffer *buffer, weir_slice data) WEIR_MUST_USE;
WEIR_PUBLIC size_t weir_buffer_size(const weir_buffer *buffer);
/** The first contiguous part; empty when the buffer is. Valid until the next call. */
WEIR_PUBLIC weir_slice weir_buffer_first(const weir_buffer *buffer);
/** Drops `n` bytes from the front (all when there are fewer). */
WEIR_PUBLIC void weir_buffer_consume(weir_buffer *buffer, size_t n);
/** Everything as one slice, copied together when it is not. Valid until the next call. */
WEIR_PUBLIC weir_error *weir_buffer_linear(weir_buffer *buffer, weir_slice *ret_all) WEIR_MUST_USE;

WEIR_DEFINE_CLEANUP(weir_chunk, weir_chunk_unref)
WEIR_DEFINE_CLEANUP(weir_buffer, weir_buffer_unref)

WEIR_END_DECLS

#endif
