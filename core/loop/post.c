/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door from other threads: a stack of jobs that posters push with one compare-and-swap, and
 * that the loop takes whole and reverses, so calls of one thread keep their order.
 *
 * Waking is coalesced: only who finds the stack empty, while the loop waits or is about to, writes
 * to the eventfd. The loop says `polling` first and looks at the stack then; the poster pushes first
 * and looks at `polling` then: one of the two sees the other. A poster counts itself as a visitor
 * while it touches the loop, and close waits for the visitors before the eventfd goes.
 */
#include "config.h"

#include <sched.h>

#include "core/loop/post_block.h"

static struct job posts_closed_mark;
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

/* Posts are linked through their jobs, which are not queued yet. */
static void post_link(struct job *job, struct job *next)
{
    job->link.next = next ? &next->link : NULL;
}

static struct job *post_next(const struct job *job)
{
    return job->link.next ? container_of(job->link.next, struct job, link) : NULL;
}

bool weir__post_push(weir_loop *loop, struct job *job)
{
    struct job *newest = atomic_load_explicit(&loop->posts, memory_order_relaxed);

    do {
        if (newest == POSTS_CLOSED)
            return false;
        post_link(job, newest);
    } while (!atomic_compare_exchange_weak(&loop->posts, &newest, job));
    if (!newest)
        wake_if_polling(loop);
    return true;
}

static weir_error *refused(const weir_loop *loop)
{
    return weir_raise(WEIR_ECLOSED, "loop \"%s\" is closed", loop->name);
}

/* One that may be cancelled, or whose creation debug mode remembers. */
static weir_error *post_handle(const weir_site *site, const char *name, weir_loop *loop, weir_fn fn,
                               void *take_arg, weir_drop_fn drop, weir_handle **ret_handle)
{
    weir_handle *handle = weir__handle_new(loop, HANDLE_POSTED, site, name, fn, take_arg, drop);

    if (!handle)
        return weir_raise(WEIR_ENOMEM, " ");
    if (ret_handle) {
        handle->shared = true;
        handle->refs = 2;
    }
    if (loop == weir__thread_loop && !loop->closed) {
        /* Nobody can come between: it joins the queue here, in order with call_soon. */
        list_init(&handle->timer.job.link);
        weir__loop_ready(loop, &handle->timer.job);
        loop->metrics.posts++;
    } else if (!weir__post_push(loop, &handle->timer.job)) {
        list_init(&handle->timer.job.link);
        handle->refs = 1;
        weir_handle_unref(handle);
        return refused(loop);
    }
    if (ret_handle)
        *ret_handle = handle;
    return NULL;
}

weir_error *weir_loop_call_soon_threadsafe_at(const weir_site *site, const char *name,
                                              weir_loop *loop, weir_fn fn, void *take_arg,
                                              weir_drop_fn drop, weir_handle **ret_handle)
{
    struct post *post = NULL;

    if (weir_unlikely(!fn))
        return weir_raise(WEIR_EINVAL, "a callback is needed, not NULL");
    if (weir_unlikely(loop->fork_generation != weir__fork_generation))
        return weir__loop_wrong_thread(loop, __func__, site);
    if (weir_likely(!ret_handle && loop != weir__thread_loop &&
                    !atomic_load_explicit(&loop->debug, memory_order_relaxed)))
        post = weir__post_take(loop);
    if (weir_unlikely(!post))
        return post_handle(site, name, loop, fn, take_arg, drop, ret_handle);
    post->job.run = weir__post_run;
    post->job.site = site;
    post->fn = fn;
    post->arg = take_arg;
    post->drop = drop;
    post->name = name;
    if (weir_likely(weir__post_push(loop, &post->job)))
        return NULL;
    weir__post_untake(loop, post);
    return refused(loop);
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

/* Appends what was posted, newest first, to a list in the order of the posts: one pass, from the back. */
static size_t append_in_order(struct list *to, struct job *newest)
{
    struct list batch;
    size_t count = 0;

    list_init(&batch);
    for (; newest; count++) {
        struct job *next = post_next(newest);

        list_prepend(&batch, &newest->link);
        newest = next;
    }
    list_splice(to, &batch);
    return count;
}

void weir__posts_drain(weir_loop *loop)
{
    if (!atomic_load_explicit(&loop->posts, memory_order_relaxed))
        return;
    loop->metrics.posts += append_in_order(&loop->ready, atomic_exchange(&loop->posts, NULL));
}

void weir__posts_close(weir_loop *loop)
{
    struct job *newest = atomic_exchange(&loop->posts, POSTS_CLOSED);
    struct list posts;

    if (newest == POSTS_CLOSED)
        return;
    list_init(&posts);
    (void)append_in_order(&posts, newest);
    weir__jobs_drop(&posts);
    /* Each visit is a few instructions and at most one write to an eventfd. */
    while (atomic_load(&loop->visitors) > 0)
        sched_yield();
}
