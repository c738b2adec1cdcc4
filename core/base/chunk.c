/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunks of one loop, cut from one reserved address range:
 *
 *     base                                                       base + max * 16 KiB
 *     | chunk 0 | chunk 1 | …          | usable … (PROT_NONE)            |
 *     headers:  [0] [1] …              a table apart, so that data is a full 16 KiB, page-aligned
 *     stack:    | trimmed … | cold … | hot |<- top
 *
 * The number of an address is a subtraction and a shift, so weir_chunk_of() needs no look-up. Free
 * chunks are a stack of numbers: the one used last is the one used next, and its cache lines are
 * warm. What stays below the stack's low-water mark for a whole trim period was not needed: its
 * memory goes back to the kernel, from the bottom up, in batches. Memory becomes accessible in steps
 * of GROW_CHUNKS; the range is never unmapped in parts, so it costs two mappings.
 *
 * Under AddressSanitizer a free chunk is poisoned; the pool stays one range, so address arithmetic
 * holds there too.
 */
#include "config.h"

#include "core/base/chunk.h"

#include <errno.h>
#include <sys/mman.h>

#include "core/base/alloc.h"
#include "core/base/invariant.h"
#include "core/base/poison.h"

#define GROW_CHUNKS 64

__thread struct chunk_pool *weir__thread_pool;

static void *reserve(size_t size, int protection)
{
    void *range;

    if (weir__alloc_planned_failure())
        return NULL;
    range = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return range == MAP_FAILED ? NULL : range;
}

static void release(void *range, size_t size)
{
    if (range)
        munmap(range, size);
}

static void pool_destroy(struct chunk_pool *pool)
{
    if (pool->base)
        mem_unpoison(pool->base, pool->usable * WEIR_CHUNK_SIZE);
    release(pool->base, pool->max * WEIR_CHUNK_SIZE);
    release(pool->headers, pool->max * sizeof(pool->headers[0]));
    release(pool->stack, pool->max * sizeof(pool->stack[0]));
    weir__free(pool);
}

weir_error *weir__chunk_pool_new(size_t max, struct chunk_pool **ret)
{
    struct chunk_pool *pool;

    if (max > CHUNK_LIMIT_MAX)
        return weir_raise(WEIR_ELIMIT, "a chunk pool holds at most %zu chunks, not %zu",
                          CHUNK_LIMIT_MAX, max);
    pool = weir__calloc(1, sizeof(*pool));
    if (!pool)
        return weir_raise(WEIR_ENOMEM, " ");
    pool->max = max ? max : CHUNK_DEFAULT_MAX;
    pool->base = reserve(pool->max * WEIR_CHUNK_SIZE, PROT_NONE);
    pool->headers = reserve(pool->max * sizeof(pool->headers[0]), PROT_READ | PROT_WRITE);
    pool->stack = reserve(pool->max * sizeof(pool->stack[0]), PROT_READ | PROT_WRITE);
    if (!pool->base || !pool->headers || !pool->stack) {
        pool_destroy(pool);
        return weir_raise(WEIR_ENOMEM, " ");
    }
    *ret = pool;
    return NULL;
}

void weir__chunk_pool_free(struct chunk_pool *pool)
{
    if (!pool)
        return;
    pool->orphan = true;
    if (pool->live == 0)
        pool_destroy(pool);
}

/* Makes the next chunks accessible and puts them under the stack's top, lowest number on top. */
static bool pool_grow(struct chunk_pool *pool)
{
    size_t n = pool->max - pool->usable < GROW_CHUNKS ? pool->max - pool->usable : GROW_CHUNKS;
    char *start = pool->base + pool->usable * WEIR_CHUNK_SIZE;

    if (n == 0 || weir__alloc_planned_failure() ||
        mprotect(start, n * WEIR_CHUNK_SIZE, PROT_READ | PROT_WRITE) != 0)
        return false;
    mem_poison(start, n * WEIR_CHUNK_SIZE);
    for (size_t i = n; i-- > 0;)
        pool->stack[pool->depth++] = (uint32_t)(pool->usable + i);
    pool->usable += n;
    /* Never touched: the kernel has their memory already. */
    pool->trimmed = pool->low = pool->depth;
    return true;
}

weir_chunk *weir__chunk_take(struct chunk_pool *pool)
{
    weir_chunk *chunk;
    size_t number;

    if (weir_unlikely(pool->depth == 0) && !pool_grow(pool))
        return NULL;
    number = pool->stack[--pool->depth];
    if (pool->depth < pool->low) {
        pool->low = pool->depth;
        if (pool->depth < pool->trimmed)
            pool->trimmed = pool->depth;
    }
    chunk = &pool->headers[number];
    chunk->pool = pool;
    chunk->refs = 1;
    pool->live++;
    mem_unpoison(pool->base + number * WEIR_CHUNK_SIZE, WEIR_CHUNK_SIZE);
    return chunk;
}

static void chunk_give(weir_chunk *chunk)
{
    struct chunk_pool *pool = chunk->pool;
    size_t number = (size_t)(chunk - pool->headers);

    mem_poison(chunk_bytes(chunk), WEIR_CHUNK_SIZE);
    pool->live--;
    if (weir_unlikely(pool->orphan)) {
        if (pool->live == 0)
            pool_destroy(pool);
        return;
    }
    pool->stack[pool->depth++] = (uint32_t)number;
}

void weir__chunk_pool_trim(struct chunk_pool *pool)
{
    size_t end = pool->low > CHUNK_KEEP ? pool->low - CHUNK_KEEP : 0;

    if (end > pool->trimmed + CHUNK_TRIM_BATCH)
        end = pool->trimmed + CHUNK_TRIM_BATCH;
    for (; pool->trimmed < end; pool->trimmed++)
        madvise(pool->base + (size_t)pool->stack[pool->trimmed] * WEIR_CHUNK_SIZE, WEIR_CHUNK_SIZE,
                MADV_DONTNEED);
    pool->low = pool->depth;
}

weir_chunk *weir_chunk_of(weir_slice slice)
{
    struct chunk_pool *pool = weir__thread_pool;
    size_t offset;
    weir_chunk *chunk;

    if (!pool || slice.len == 0)
        return NULL;
    offset = (uintptr_t)slice.data - (uintptr_t)pool->base; /* below base: wraps to a huge one */
    if (offset >= pool->usable * WEIR_CHUNK_SIZE)
        return NULL;
    chunk = &pool->headers[offset / WEIR_CHUNK_SIZE];
    return chunk->refs ? chunk : NULL;
}

weir_error *weir_chunk_new(size_t size, weir_chunk **ret)
{
    weir_chunk *chunk;

    if (size > WEIR_CHUNK_SIZE)
        return WEIR_RAISE_FAST(WEIR_ELIMIT, "a chunk holds 16384 bytes, not %lld", (int64_t)size);
    if (!weir__thread_pool)
        return WEIR_RAISE_FAST(WEIR_ETHREAD, "chunks belong to a loop, and this thread has none");
    chunk = weir__chunk_take(weir__thread_pool);
    if (!chunk)
        return WEIR_RAISE_FAST(WEIR_EFULL, "all %lld chunks of the loop are in use",
                               (int64_t)weir__thread_pool->max);
    *ret = chunk;
    return NULL;
}

void *weir_chunk_data(weir_chunk *chunk)
{
    return chunk_bytes(chunk);
}

size_t weir_chunk_capacity(const weir_chunk *chunk)
{
    (void)chunk;
    return WEIR_CHUNK_SIZE;
}

weir_chunk *weir_chunk_ref(weir_chunk *chunk)
{
    if (chunk) {
        weir_assert_hot(chunk->refs > 0);
        chunk->refs++;
    }
    return chunk;
}

void weir_chunk_unref(weir_chunk *chunk)
{
    if (!chunk)
        return;
    weir_assert(chunk->refs > 0);
    /* Counts are not atomic: from a foreign thread the chunk is leaked rather than torn. */
    weir_require(chunk->pool == weir__thread_pool || chunk->pool->orphan);
    if (--chunk->refs == 0)
        chunk_give(chunk);
}
