/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where handles come from and go to: the loop keeps unused ones, so that scheduling a callback does
 * not allocate. Those that cross threads are allocated one by one.
 */
#include "config.h"

#include "core/loop/handle_store.h"

#include "core/base/alloc.h"
#include "core/base/backtrace.h"
#include "core/loop/context.h"

static void free_all(weir_handle *handle)
{
    while (handle) {
        weir_handle *next = handle->next;

        weir__free(handle);
        handle = next;
    }
}

static weir_handle *take(weir_loop *loop, enum handle_kind kind)
{
    if (kind == HANDLE_POSTED)
        return NULL;
    return handle_pop(kind == HANDLE_TIMED ? &loop->free_timed : &loop->free_soon);
}

static weir_handle *make(enum handle_kind kind)
{
    bool whole = kind == HANDLE_TIMED;
    weir_handle *handle = weir__malloc(whole ? sizeof(*handle) : HANDLE_SOON_SIZE);

    if (!handle)
        return NULL;
    handle->whole = whole;
    job_init(&handle->timer.job, weir__handle_run, NULL);
    return handle;
}

weir_handle *weir__handle_new(weir_loop *loop, enum handle_kind kind, const weir_site *site,
                              const char *name, weir_fn fn, void *arg, weir_drop_fn drop)
{
    weir_handle *handle = take(loop, kind);

    if (weir_unlikely(!handle)) {
        handle = make(kind);
        if (!handle)
            return NULL;
    }
    handle_fill(handle, loop, site, name, fn, arg, drop);
    handle->debug = atomic_load_explicit(&loop->debug, memory_order_relaxed);
    if (weir_unlikely(handle->debug))
        handle->created = weir__backtrace_capture();
    if (weir_unlikely(weir__context != NULL) && loop == weir__thread_loop) {
        handle->context = weir_context_ref(weir__context);
        handle->in_context = true;
    }
    return handle;
}

/* The rare parts. */
static void drop_extras(weir_handle *handle)
{
    if (handle->debug)
        weir__backtrace_free(WEIR_TAKE(handle->created));
    if (handle->in_context)
        weir_context_unref(WEIR_TAKE(handle->context));
}

void weir__handle_free(weir_handle *handle)
{
    weir_loop *loop = weir__thread_loop;
    struct handle_stack *stack;

    weir_magic_clear(handle);
    if (weir_unlikely(handle->debug || handle->in_context))
        drop_extras(handle);
    /* One that came from another thread may end in any. */
    if (weir_unlikely(!loop || handle->loop != loop)) {
        weir__free(handle);
        return;
    }
    stack = handle->whole ? &loop->free_timed : &loop->free_soon;
    if (stack->count < HANDLES_KEPT)
        handle_push(stack, handle);
    else
        weir__free(handle);
}

void weir__handles_free(weir_loop *loop)
{
    free_all(loop->free_soon.first);
    free_all(loop->free_timed.first);
    loop->free_soon = loop->free_timed = (struct handle_stack){0};
}
