/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chunk pool of a loop. See chunk.c for its layout. Calls belong to the thread of the pool.
 */
#ifndef WEIR_CORE_BASE_CHUNK_H
#define WEIR_CORE_BASE_CHUNK_H

#include <weir/chunk.h>
#include <weir/error.h>

#define CHUNK_DEFAULT_MAX ((size_t)16384)
#define CHUNK_LIMIT_MAX   ((size_t)1 << 24) /* 256 GiB of addresses */
/* Free chunks that are never given back to the kernel, and how many are in one batch. */
#define CHUNK_KEEP       16
#define CHUNK_TRIM_BATCH 64

struct chunk_pool;

struct weir_chunk {
    struct chunk_pool *pool;
    uint32_t refs; /* 0: free */
};

struct chunk_pool {
    char *base;          /* the reserved range of data */
    weir_chunk *headers; /* one for each chunk, apart from the data */
    uint32_t *stack;     /* numbers of the free chunks, last used on top */
    size_t max;
    size_t usable;  /* chunks whose memory is accessible: [0, usable) */
    size_t depth;   /* of the stack */
    size_t trimmed; /* chunks at the bottom of the stack whose memory the kernel has */
    size_t low;     /* least depth since the last trim */
    size_t live;    /* chunks that somebody holds */
    bool orphan;    /* its loop is gone; freed with the last chunk */
};

/* The pool of this thread's loop. */
extern __thread struct chunk_pool *weir__thread_pool __attribute__((tls_model("initial-exec")));

/* `max` chunks, 0 the default. Errors: WEIR_ENOMEM, WEIR_ELIMIT. */
weir_error *weir__chunk_pool_new(size_t max, struct chunk_pool **ret) WEIR_MUST_USE;
/* Frees the pool, or leaves it to the last of the chunks that are still held. */
void weir__chunk_pool_free(struct chunk_pool *pool);

/* NULL when the pool is used up or the kernel gives no memory. */
weir_chunk *weir__chunk_take(struct chunk_pool *pool);
static inline bool chunk_pool_has_room(const struct chunk_pool *pool);
static inline char *chunk_bytes(const weir_chunk *chunk);

/* To be called from time to time: gives a batch of the chunks which were not used since the last
   call back to the kernel. */
void weir__chunk_pool_trim(struct chunk_pool *pool);
/* Is there anything that trimming may still give back? */
static inline bool chunk_pool_trimmable(const struct chunk_pool *pool);

/* inline definitions */

static inline bool chunk_pool_has_room(const struct chunk_pool *pool)
{
    return pool->depth > 0 || pool->usable < pool->max;
}

static inline char *chunk_bytes(const weir_chunk *chunk)
{
    const struct chunk_pool *pool = chunk->pool;

    return pool->base + (size_t)(chunk - pool->headers) * WEIR_CHUNK_SIZE;
}

static inline bool chunk_pool_trimmable(const struct chunk_pool *pool)
{
    return pool->depth > pool->trimmed + CHUNK_KEEP;
}

#endif
