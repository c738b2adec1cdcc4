/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door from other threads: a stack of handles that posters push with one compare-and-swap, and
 * that the loop takes whole and reverses, so calls of one thread keep their order.
 *
 * Waking is coalesced: only who finds the stack empty, while the loop waits or is about to, writes
 * to the eventfd. The loop says `polling` first and looks at the stack then; the poster pushes first
 * and looks at `polling` then: one of the two sees the other. A poster counts itself as a visitor
 * while it touches the loop, and close waits for the visitors before the eventfd goes.
 */
#include "config.h"

#include <sched.h>

#include "core/loop/internal.h"

static weir_handle posts_closed_mark;
#define POSTS_CLOSED (&posts_closed_mark)

/* A visitor while it touches the backend, which close waits for. */
static void wake_if_polling(weir_loop *loop)
{
    if (!atomic_load(&loop->polling))
        return;
    atomic_fetch_add(&loop->visitors, 1);
    if (atomic_load(&loop->posts) != POSTS_CLOSED) {
        loop->io->ops->wake(loop->io);
        atomic_fetch_add_explicit(&loop->wakeups, 1, memory_order_relaxed);
    }
    atomic_fetch_sub(&loop->visitors, 1);
}

/* Posts are linked through their jobs, which are not queued yet: the line of the cache that a run
   touches anyway. */
static void post_link(weir_handle *handle, weir_handle *next)
{
    handle->timer.job.link.next = next ? &next->timer.job.link : NULL;
}

static weir_handle *post_next(const weir_handle *handle)
{
    struct list *link = handle->timer.job.link.next;

    return link ? container_of(link, weir_handle, timer.job.link) : NULL;
}

/* False: the loop is closed. */
static bool push(weir_loop *loop, weir_handle *handle)
{
    weir_handle *newest = atomic_load_explicit(&loop->posts, memory_order_relaxed);

    do {
        if (newest == POSTS_CLOSED)
            return false;
        post_link(handle, newest);
    } while (!atomic_compare_exchange_weak(&loop->posts, &newest, handle));
    if (!newest)
        wake_if_polling(loop);
    return true;
}

weir_error *weir_loop_call_soon_threadsafe_at(const weir_site *site, const char *name,
                                              weir_loop *loop, weir_fn fn, void *take_arg,
                                              weir_drop_fn drop, weir_handle **ret_handle)
{
    weir_handle *handle;

    if (weir_unlikely(!fn))
        return weir_raise(WEIR_EINVAL, "a callback is needed, not NULL");
    if (weir_unlikely(loop->fork_generation != weir__fork_generation))
        return weir__loop_wrong_thread(loop, __func__, site);
    handle = weir__handle_new(loop, HANDLE_POSTED, site, name, fn, take_arg, drop);
    if (!handle)
        return weir_raise(WEIR_ENOMEM, " ");
    if (ret_handle) {
        handle->shared = true;
        handle->refs = 2;
    }
    if (!push(loop, handle)) {
        list_init(&handle->timer.job.link);
        handle->refs = 1;
        weir_handle_unref(handle);
        return weir_raise(WEIR_ECLOSED, "loop \"%s\" is closed", loop->name);
    }
    if (ret_handle)
        *ret_handle = handle;
    return NULL;
}

void weir_loop_stop(weir_loop *loop)
{
    if (loop->fork_generation != weir__fork_generation)
        return;
    atomic_store(&loop->stop, true);
    wake_if_polling(loop);
}

bool weir__posts_pending(weir_loop *loop)
{
    return atomic_load(&loop->posts) != NULL;
}

static weir_handle *in_order(weir_handle *newest)
{
    weir_handle *oldest = NULL;

    while (newest) {
        weir_handle *next = post_next(newest);

        /* It lies in the cache of whoever posted it. */
        __builtin_prefetch(next);
        post_link(newest, oldest);
        oldest = newest;
        newest = next;
    }
    return oldest;
}

void weir__posts_drain(weir_loop *loop)
{
    weir_handle *handle;

    if (!atomic_load_explicit(&loop->posts, memory_order_relaxed))
        return;
    for (handle = in_order(atomic_exchange(&loop->posts, NULL)); handle;) {
        weir_handle *next = post_next(handle);

        list_append(&loop->ready, &handle->timer.job.link);
        loop->metrics.posts++;
        handle = next;
    }
}

void weir__posts_close(weir_loop *loop)
{
    weir_handle *handle = atomic_exchange(&loop->posts, POSTS_CLOSED);

    if (handle == POSTS_CLOSED)
        return;
    for (handle = in_order(handle); handle;) {
        weir_handle *next = post_next(handle);

        list_init(&handle->timer.job.link);
        weir__handle_drop(handle);
        handle = next;
    }
    /* Each visit is a few instructions and at most one write to an eventfd. */
    while (atomic_load(&loop->visitors) > 0)
        sched_yield();
}
