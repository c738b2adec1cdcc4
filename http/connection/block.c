/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of messages under way: blocks of one size in a per-thread free list, so that a request
 * allocates nothing once the thread has seen its peak, an arena over a block, bytes that come and
 * go in pieces.
 */
#include "config.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>

#include "http/connection/exchange.h"

#if defined(__has_feature)
#    if __has_feature(address_sanitizer)
#        define BLOCKS_ARE_POOLED false
#    endif
#endif
#ifdef __SANITIZE_ADDRESS__
#    define BLOCKS_ARE_POOLED false
#endif
#ifndef BLOCKS_ARE_POOLED
#    define BLOCKS_ARE_POOLED true
#endif

static __thread struct block *free_blocks;
static __thread unsigned free_count;
static pthread_key_t thread_end;
static pthread_once_t thread_end_once = PTHREAD_ONCE_INIT;
static __thread bool thread_end_set;

static void free_list(void *unused)
{
    (void)unused;
    while (free_blocks) {
        struct block *block = free_blocks;

        free_blocks = block->next;
        free(block);
    }
    free_count = 0;
    thread_end_set = false;
}

static void make_thread_end(void)
{
    (void)pthread_key_create(&thread_end, free_list);
}

void *weir__http_block_get(size_t size)
{
    struct block *block;

    if (size <= BLOCK_SIZE)
        size = BLOCK_SIZE;
    if (size == BLOCK_SIZE && free_blocks) {
        block = free_blocks;
        free_blocks = block->next;
        free_count--;
    } else {
        block = malloc(size);
        if (!block)
            return NULL;
        block->size = size;
    }
    block->next = NULL;
    return block;
}

void weir__http_block_put(void *pointer)
{
    struct block *block = pointer;

    if (!BLOCKS_ARE_POOLED || block->size != BLOCK_SIZE || free_count >= BLOCK_POOL_MAX) {
        free(block);
        return;
    }
    if (!thread_end_set) {
        pthread_once(&thread_end_once, make_thread_end);
        pthread_setspecific(thread_end, &free_blocks);
        thread_end_set = true;
    }
    block->next = free_blocks;
    free_blocks = block;
    free_count++;
}

void *weir__http_arena_take(struct arena *arena, size_t size)
{
    void *memory;

    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (size > (size_t)(arena->end - arena->at)) {
        size_t head =
            (sizeof(struct block) + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
        struct block *block = weir__http_block_get(head + size);

        if (!block)
            return NULL;
        block->next = arena->more;
        arena->more = block;
        arena->at = (char *)block + head;
        arena->end = (char *)block + block->size;
    }
    memory = arena->at;
    arena->at += size;
    return memory;
}

void *weir__http_arena_alloc(struct arena *arena, size_t size)
{
    void *memory = weir__http_arena_take(arena, size);

    return memory ? memset(memory, 0, size) : NULL;
}

void weir__http_arena_done(struct arena *arena)
{
    while (arena->more) {
        struct block *block = arena->more;

        arena->more = block->next;
        weir__http_block_put(block);
    }
}

bool weir__http_collect(struct collected *collected, weir_slice data)
{
    if (data.len > collected->capacity - collected->len) {
        size_t capacity = collected->capacity ? collected->capacity : 2048;
        char *grown;

        while (capacity - collected->len < data.len)
            capacity *= 2;
        grown = realloc(collected->data, capacity);
        if (!grown)
            return false;
        collected->data = grown;
        collected->capacity = capacity;
    }
    memcpy(collected->data + collected->len, data.data, data.len);
    collected->len += data.len;
    return true;
}

void weir__http_collected_done(struct collected *collected)
{
    free(collected->data);
    *collected = (struct collected){0};
}

weir_error *weir__http_write(weir_transport *transport, const weir_slice *slices, size_t count,
                             uint64_t *total)
{
    char together[TOGETHER];
    size_t len = 0, at = 0;

    for (size_t i = 0; i < count; i++)
        len += slices[i].len;
    if (total)
        *total += len;
    if (count == 1 || len > sizeof together)
        return weir_transport_writev(transport, slices, count);
    for (size_t i = 0; i < count; i++) {
        memcpy(together + at, slices[i].data, slices[i].len);
        at += slices[i].len;
    }
    return weir_transport_write(transport, weir_slice_of(together, len));
}
