/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where handles come from and go to, so that scheduling a callback does not allocate.
 *
 *     call_soon, call_at    the loop keeps unused ones: taken and given back on its thread
 *     posts                 made by one thread, done by another, which is what malloc is slowest at.
 *                           The loop returns them in batches: a poster that has none takes them all
 *                           with one exchange and keeps them for its next posts.
 */
#include "config.h"

#include "core/loop/handle_store.h"

#include <pthread.h>

#include "core/base/alloc.h"
#include "core/base/backtrace.h"
#include "core/loop/context.h"

/* Returned handles that this thread posts next. */
static __thread weir_handle *spare;

static pthread_key_t spare_key;
static pthread_once_t spare_once = PTHREAD_ONCE_INIT;
static bool spare_kept; /* threads that end free theirs */

static void free_all(weir_handle *handle)
{
    while (handle) {
        weir_handle *next = handle->next;

        weir__free(handle);
        handle = next;
    }
}

static void thread_ends(void *unused)
{
    (void)unused;
    free_all(WEIR_TAKE(spare));
}

static void make_key(void)
{
    spare_kept = pthread_key_create(&spare_key, thread_ends) == 0;
}

static weir_handle *take_spare(weir_loop *loop)
{
    weir_handle *handle;

    if (!spare && atomic_load_explicit(&loop->returned, memory_order_relaxed)) {
        pthread_once(&spare_once, make_key);
        if (!spare_kept || pthread_setspecific(spare_key, &spare_key) != 0)
            return NULL;
        spare = atomic_exchange(&loop->returned, NULL);
    }
    handle = spare;
    if (handle)
        spare = handle->next;
    return handle;
}

static weir_handle *take(weir_loop *loop, enum handle_kind kind)
{
    if (kind == HANDLE_POSTED)
        return take_spare(loop);
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
    handle->posted = kind == HANDLE_POSTED;
    handle->debug = atomic_load_explicit(&loop->debug, memory_order_relaxed);
    if (weir_unlikely(handle->debug))
        handle->created = weir__backtrace_capture();
    if (weir_unlikely(weir__context != NULL) && loop == weir__thread_loop) {
        handle->context = weir_context_ref(weir__context);
        handle->in_context = true;
    }
    return handle;
}

/* Back to those who post, when they have used up what they got before. */
static void give_back(weir_loop *loop, weir_handle *handle)
{
    handle_push(&loop->returning, handle);
    if (loop->returning.count < RETURNS_BATCH ||
        atomic_load_explicit(&loop->returned, memory_order_relaxed))
        return;
    atomic_store(&loop->returned, loop->returning.first);
    loop->returning = (struct handle_stack){0};
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
    /* One that threads share may end in any of them. */
    if (weir_unlikely(!loop || (handle->shared && handle->loop != loop))) {
        weir__free(handle);
        return;
    }
    if (handle->posted) {
        if (loop->returning.count < RETURNS_KEPT)
            give_back(loop, handle);
        else
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
    free_all(loop->returning.first);
    free_all(atomic_exchange(&loop->returned, NULL));
    loop->free_soon = loop->free_timed = loop->returning = (struct handle_stack){0};
}
