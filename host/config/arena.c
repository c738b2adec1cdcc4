/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of a configuration: many small pieces that all go at once, with its last reference.
 *
 * Blocks are chained; a piece larger than a block gets one of its own. Pieces are zeroed and aligned
 * for any type. Growing an array takes a new piece and leaves the old one behind, which at most
 * doubles what the array needs.
 */
#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"

#define BLOCK_SIZE ((size_t)64 * 1024 - 64)
#define ALIGNMENT  _Alignof(max_align_t)

struct arena_block {
    struct arena_block *next;
    max_align_t data[];
};

void weir__arena_exhausted(struct arena *arena, size_t size)
{
    if (arena->escape)
        longjmp(*arena->escape, 1);
    fprintf(stderr, "weir: out of memory: %zu bytes for the configuration\n", size);
    abort();
}

static void *new_block(struct arena *arena, size_t size)
{
    struct arena_block *block = NULL;

    if (!arena->limit || size <= arena->limit - arena->total)
        block = calloc(1, sizeof *block + size);
    if (!block)
        weir__arena_exhausted(arena, size);
    arena->total += size;
    block->next = arena->blocks;
    arena->blocks = block;
    return block->data;
}

void *weir__arena_alloc(struct arena *arena, size_t size)
{
    unsigned char *piece;

    if (size > SIZE_MAX / 2)
        weir__arena_exhausted(arena, size);
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (size == 0)
        size = ALIGNMENT;
    if (size > BLOCK_SIZE / 4) {
        struct arena_block *current = arena->blocks;
        void *large = new_block(arena, size);

        if (current) { /* keep filling the block that was current */
            struct arena_block *block = arena->blocks;

            arena->blocks = current;
            block->next = current->next;
            current->next = block;
        }
        return large;
    }
    if (!arena->blocks || size > arena->room - arena->used) {
        new_block(arena, BLOCK_SIZE);
        arena->used = 0;
        arena->room = BLOCK_SIZE;
    }
    piece = (unsigned char *)arena->blocks->data + arena->used;
    arena->used += size;
    return piece;
}

char *weir__arena_dup(struct arena *arena, const char *text, size_t len)
{
    char *copy = weir__arena_alloc(arena, len + 1);

    if (len)
        memcpy(copy, text, len);
    return copy;
}

char *weir__arena_vformat(struct arena *arena, const char *format, va_list args)
{
    va_list again;
    char *text;
    int len;

    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (len < 0)
        return weir__arena_dup(arena, format, strlen(format));
    text = weir__arena_alloc(arena, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, args);
    return text;
}

char *weir__arena_format(struct arena *arena, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = weir__arena_vformat(arena, format, args);
    va_end(args);
    return text;
}

void *weir__arena_grow(struct arena *arena, void *items, size_t count, size_t *capacity,
                       size_t element)
{
    void *larger;

    if (count < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 4;
    larger = weir__arena_alloc(arena, *capacity * element);
    if (count)
        memcpy(larger, items, count * element);
    return larger;
}

void weir__arena_done(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *next = arena->blocks->next;

        free(arena->blocks);
        arena->blocks = next;
    }
    arena->used = arena->room = 0;
}
