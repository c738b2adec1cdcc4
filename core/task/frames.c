/* SPDX-License-Identifier: Apache-2.0 */
/* The frames of suspended tasks as text, for call graphs. */
#include "config.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/symbol.h"
#include "core/task/graph.h"
#include "core/task/unwind.h"

#define CACHED   256 /* a power of two */
#define INLINED  4   /* frames of one address that are kept */
#define KEPT_MAX 128

struct cached_address {
    void *address;
    size_t count;
    struct frame frames[INLINED];
};

struct frame_cache {
    struct cached_address addresses[CACHED];
};

struct frame_cache *weir__frame_cache_new(void)
{
    return weir__calloc(1, sizeof(struct frame_cache));
}

void weir__frame_cache_free(struct frame_cache *cache)
{
    weir__free(cache);
}

static const struct cached_address *look_up(struct frame_cache *cache, void *address)
{
    struct cached_address *entry =
        &cache->addresses[(uintptr_t)address * 0x9E3779B97F4A7C15u >> 56 & (CACHED - 1)];

    if (entry->address != address) {
        entry->address = address;
        entry->count = weir__task_symbols(&address, 1, true, entry->frames, INLINED);
    }
    return entry;
}

/* Moves those that the limit asks for to the front; how many. */
static size_t apply_limit(struct frame *frames, size_t count, int limit)
{
    size_t wanted = limit < 0 ? (size_t)0 - (size_t)(long)limit : (size_t)limit;

    if (wanted >= count)
        return count;
    if (limit < 0)
        memmove(frames, frames + count - wanted, wanted * sizeof *frames);
    return wanted;
}

/* Returns what follows its end. */
static char *add_string(char *to, const char *text)
{
    size_t size = strlen(text) + 1;

    memcpy(to, text, size);
    return to + size;
}

static weir_error *copy_frames(const struct frame *frames, size_t count, weir_call_frame **ret)
{
    size_t bytes = count * sizeof(weir_call_frame);
    weir_call_frame *copies;
    char *strings;

    for (size_t i = 0; i < count; i++)
        bytes += strlen(frames[i].function) + strlen(frames[i].file) + 2;
    copies = weir__malloc(bytes);
    if (!copies)
        return weir_raise(WEIR_ENOMEM, "call graph");
    strings = (char *)(copies + count);
    for (size_t i = 0; i < count; i++) {
        copies[i].function = strings;
        strings = add_string(strings, frames[i].function);
        copies[i].file = strings;
        strings = add_string(strings, frames[i].file);
        copies[i].line = frames[i].line;
    }
    *ret = copies;
    return NULL;
}

static size_t collect(struct frame_cache *cache, const weir_task *task, struct frame *frames)
{
    void *addresses[UNWIND_MAX];
    size_t count = weir__task_frames(task, addresses, UNWIND_MAX), kept = 0;

    for (size_t i = 0; i < count; i++) {
        const struct cached_address *entry = look_up(cache, addresses[i]);

        for (size_t j = 0; j < entry->count && kept < KEPT_MAX; j++) {
            if (!entry->frames[j].internal && !entry->frames[j].system)
                frames[kept++] = entry->frames[j];
        }
    }
    return kept;
}

weir_error *weir__frames_capture(struct frame_cache *cache, const weir_task *task, int limit,
                                 weir_call_frame **ret, size_t *ret_count)
{
    struct frame *frames;
    weir_error *error = NULL;
    size_t count;

    *ret = NULL;
    *ret_count = 0;
    if (!cache || limit == 0)
        return NULL;
    frames = weir__malloc(KEPT_MAX * sizeof *frames);
    if (!frames)
        return weir_raise(WEIR_ENOMEM, "call graph");
    count = apply_limit(frames, collect(cache, task, frames), limit);
    if (count)
        error = copy_frames(frames, count, ret);
    if (!error)
        *ret_count = count;
    weir__free(frames);
    return error;
}
