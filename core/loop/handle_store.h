/* SPDX-License-Identifier: Apache-2.0 */
/* The common cases of making and giving back a handle, inlined into call_soon and its run. */
#ifndef WEIR_CORE_LOOP_HANDLE_STORE_H
#define WEIR_CORE_LOOP_HANDLE_STORE_H

#include "core/loop/context.h"
#include "core/loop/internal.h"

static inline weir_handle *handle_pop(struct handle_stack *stack)
{
    weir_handle *handle = stack->first;

    if (handle) {
        stack->first = handle->next;
        stack->count--;
    }
    return handle;
}

static inline void handle_push(struct handle_stack *stack, weir_handle *handle)
{
    handle->next = stack->first;
    stack->first = handle;
    stack->count++;
}

/* All that every use needs; `whole`, and the job's function, stay as they were made. */
static inline void handle_fill(weir_handle *handle, weir_loop *loop, const weir_site *site,
                               const char *name, weir_fn fn, void *arg, weir_drop_fn drop)
{
    handle->drop = drop;
    handle->loop = loop;
    handle->name = name;
    handle->magic = HANDLE_MAGIC;
    handle->refs = 1;
    atomic_init(&handle->state, HANDLE_QUEUED);
    handle->timed = false;
    handle->rare = 0;
    handle->fn = fn;
    handle->arg = arg;
    handle->timer.job.site = site;
}

/* On the loop's thread, open, with an unused handle, nothing to remember beside it. */
static inline bool handle_is_simple(const weir_loop *loop)
{
    return loop == weir__thread_loop && loop->free_soon.first && !weir__context &&
           !atomic_load_explicit(&loop->debug, memory_order_relaxed) &&
           !atomic_load_explicit(&loop->closed, memory_order_relaxed);
}

/* After its run, when nobody else has it: what weir__handle_free() would do. */
static inline bool handle_give_back(weir_handle *handle)
{
    weir_loop *loop = weir__thread_loop;

    if (handle->refs != 1 || handle->rare || handle->whole || loop->free_soon.count >= HANDLES_KEPT)
        return false;
    weir_magic_clear(handle);
    handle_push(&loop->free_soon, handle);
    return true;
}

#endif
