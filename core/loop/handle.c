/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handles: the public callbacks of call_soon, call_later and call_at. A handle is a timer with a
 * function; call_soon uses only the job inside. The queue holds one reference and `ret_handle`
 * another.
 *
 * The argument moves into `fn` when it starts, else `drop` gets it: at cancel or at close.
 *
 * Handles of call_soon_threadsafe are `shared`: counted and cancelled by several threads, so their
 * state changes by compare-and-swap, and who comes while the callback runs waits for its end.
 */
#include "config.h"

#include <pthread.h>

#include "core/base/alloc.h"
#include "core/base/backtrace.h"
#include "core/base/error.h"
#include "core/base/text.h"
#include "core/loop/context.h"
#include "core/loop/handle_store.h"

static weir_handle *handle_of(struct job *job)
{
    return container_of(job, weir_handle, timer.job);
}

bool weir__job_is_handle(const struct job *job)
{
    return job->run == weir__handle_run || job->run == weir__handle_fire;
}

weir_handle *weir_handle_ref(weir_handle *handle)
{
    if (!handle)
        return NULL;
    weir_check(handle, HANDLE_MAGIC);
    if (handle->shared)
        __atomic_add_fetch(&handle->refs, 1, __ATOMIC_RELAXED);
    else
        handle->refs++;
    return handle;
}

void weir_handle_unref(weir_handle *handle)
{
    uint32_t left;

    if (!handle)
        return;
    weir_check(handle, HANDLE_MAGIC);
    if (handle->shared)
        left = __atomic_sub_fetch(&handle->refs, 1, __ATOMIC_ACQ_REL);
    else
        left = --handle->refs;
    if (left == 0)
        weir__handle_free(handle);
}

/* Shared handles */

static pthread_mutex_t end_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t end_said = PTHREAD_COND_INITIALIZER;

static enum handle_state state_of(const weir_handle *handle)
{
    return atomic_load(&handle->state);
}

static bool state_change(weir_handle *handle, unsigned char from, unsigned char to)
{
    return atomic_compare_exchange_strong(&handle->state, &from, to);
}

/* False: somebody cancelled it. */
static bool run_begins(weir_handle *handle)
{
    if (weir_likely(!handle->shared)) {
        atomic_store_explicit(&handle->state, HANDLE_RAN, memory_order_relaxed);
        return true;
    }
    return state_change(handle, HANDLE_QUEUED, HANDLE_RUNNING);
}

static void run_ends(weir_handle *handle)
{
    if (weir_likely(!handle->shared))
        return;
    pthread_mutex_lock(&end_lock);
    atomic_store(&handle->state, HANDLE_RAN);
    pthread_cond_broadcast(&end_said);
    pthread_mutex_unlock(&end_lock);
}

static void wait_for_end(weir_handle *handle)
{
    pthread_mutex_lock(&end_lock);
    while (state_of(handle) == HANDLE_RUNNING)
        pthread_cond_wait(&end_said, &end_lock);
    pthread_mutex_unlock(&end_lock);
}

/* From any thread. What it was queued for finds it cancelled at its turn. */
static bool cancel_shared(weir_handle *handle)
{
    if (state_change(handle, HANDLE_QUEUED, HANDLE_CANCELLED)) {
        if (handle->drop)
            handle->drop(handle->arg);
        return true;
    }
    if (handle->loop != weir__thread_loop)
        wait_for_end(handle);
    return false;
}

/* Running, cancelling */

static weir_error *call_in_context(weir_handle *handle)
{
    weir_context *before =
        weir_context_enter(handle->in_context ? WEIR_TAKE(handle->context) : NULL);
    weir_error *error;

    handle->in_context = false;
    error = handle->fn(handle->arg);
    weir_context_leave(before);
    return error;
}

/* Shared, posted, with a context, or in debug mode. */
static weir_error *call_rare(weir_handle *handle)
{
    weir_error *error;

    if (!run_begins(handle)) {
        weir_handle_unref(handle);
        return NULL;
    }
    error = call_in_context(handle);
    if (weir_unlikely(error != NULL))
        weir__callback_failed(weir__thread_loop, handle->name, handle->timer.job.site, handle,
                              error);
    run_ends(handle);
    weir_handle_unref(handle);
    return NULL;
}

static inline weir_error *handle_call(weir_handle *handle)
{
    weir_error *error;

    weir_check(handle, HANDLE_MAGIC);
    if (weir_unlikely(handle->rare || weir__context))
        return call_rare(handle);
    atomic_store_explicit(&handle->state, HANDLE_RAN, memory_order_relaxed);
    error = handle->fn(handle->arg);
    if (weir_unlikely(error != NULL))
        weir__callback_failed(weir__thread_loop, handle->name, handle->timer.job.site, handle,
                              error);
    if (weir_unlikely(weir__context != NULL))
        weir_context_leave(NULL); /* what the callback set ends with it */
    if (weir_unlikely(!handle_give_back(handle)))
        weir_handle_unref(handle);
    return NULL;
}

weir_error *weir__handle_run(struct job *job)
{
    return handle_call(handle_of(job));
}

weir_error *weir__handle_fire(struct job *job)
{
    return handle_call(container_of(job, weir_handle, timer.job));
}

void weir__handle_drop(weir_handle *handle)
{
    if (state_of(handle) == HANDLE_PARKED)
        atomic_store(&handle->state, HANDLE_CANCELLED);
    else if (!state_change(handle, HANDLE_QUEUED, HANDLE_CANCELLED))
        goto out; /* a shared one that was cancelled while it was queued */
    if (handle->drop)
        handle->drop(handle->arg);
out:
    weir_handle_unref(handle);
}

bool weir_handle_cancel(weir_handle *handle)
{
    weir_require(handle != NULL, false);
    weir_check(handle, HANDLE_MAGIC);
    if (handle->shared)
        return cancel_shared(handle);
    if (state_of(handle) != HANDLE_QUEUED && state_of(handle) != HANDLE_PARKED)
        return false;
    if (!weir__loop_allows(handle->loop))
        return false;
    if (handle->timed)
        weir__timer_stop(handle->loop, &handle->timer);
    else
        weir__job_cancel(&handle->timer.job);
    weir__handle_drop(handle);
    return true;
}

bool weir_handle_cancelled(const weir_handle *handle)
{
    weir_require(handle != NULL, false);
    weir_check(handle, HANDLE_MAGIC);
    return state_of(handle) == HANDLE_CANCELLED;
}

static weir_error *check_call(const weir_site *site, const char *operation, const weir_loop *loop,
                              weir_fn fn)
{
    weir_error *error = weir__loop_check_call(loop, operation, site);

    if (weir_unlikely(error != NULL))
        return error;
    if (weir_unlikely(loop->closed))
        return weir_raise(WEIR_ECLOSED, "loop \"%s\" is closed", loop->name);
    if (weir_unlikely(!fn))
        return weir_raise(WEIR_EINVAL, "a callback is needed, not NULL");
    return NULL;
}

static void give(weir_handle *handle, weir_handle **ret_handle)
{
    if (ret_handle)
        *ret_handle = weir_handle_ref(handle);
}

weir_error *weir_loop_call_soon_at(const weir_site *site, const char *name, weir_loop *loop,
                                   weir_fn fn, void *arg, weir_drop_fn drop,
                                   weir_handle **ret_handle)
{
    weir_handle *handle;

    if (weir_likely(fn && handle_is_simple(loop))) {
        handle = handle_pop(&loop->free_soon);
        handle_fill(handle, loop, site, name, fn, arg, drop);
        list_append(&loop->ready, &handle->timer.job.link);
        give(handle, ret_handle);
        return NULL;
    }
    WEIR_TRY(check_call(site, __func__, loop, fn));
    handle = weir__handle_new(loop, HANDLE_SOON, site, name, fn, arg, drop);
    if (!handle)
        return weir_raise(WEIR_ENOMEM, " ");
    give(handle, ret_handle);
    weir__loop_ready(loop, &handle->timer.job);
    return NULL;
}

weir_error *weir_loop_call_at_at(const weir_site *site, const char *name, weir_loop *loop,
                                 weir_instant when, weir_fn fn, void *arg, weir_drop_fn drop,
                                 weir_handle **ret_handle)
{
    weir_handle *handle;
    weir_error *error;

    WEIR_TRY(check_call(site, __func__, loop, fn));
    handle = weir__handle_new(loop, HANDLE_TIMED, site, name, fn, arg, drop);
    if (!handle)
        return weir_raise(WEIR_ENOMEM, " ");
    if (when.ns == INT64_MAX) {
        atomic_store(&handle->state, HANDLE_PARKED);
        list_append(&loop->parked, &handle->timer.job.link);
    } else {
        handle->timed = true;
        weir__timer_init(&handle->timer, weir__handle_fire, site);
        error = weir__timer_start(loop, &handle->timer, when);
        if (error) {
            weir_handle_unref(handle);
            return error;
        }
    }
    give(handle, ret_handle);
    return NULL;
}

weir_error *weir_loop_call_later_at(const weir_site *site, const char *name, weir_loop *loop,
                                    weir_duration delay, weir_fn fn, void *arg, weir_drop_fn drop,
                                    weir_handle **ret_handle)
{
    WEIR_TRY(check_call(site, __func__, loop, fn));
    return weir_loop_call_at_at(site, name, loop, weir_instant_after(weir_loop_time(loop), delay),
                                fn, arg, drop, ret_handle);
}

size_t weir_handle_repr(const weir_handle *handle, char *buffer, size_t size)
{
    struct text text = text_over(buffer, size);
    const weir_site *site = handle->timer.job.site;

    text_printf(&text, "<%s", handle->timed ? "TimerHandle" : "Handle");
    if (state_of(handle) == HANDLE_CANCELLED)
        text_add(&text, " cancelled");
    if (handle->timed)
        text_printf(&text, " when=%.9f", (double)handle->timer.deadline / 1e9);
    text_printf(&text, " %s(", handle->name);
    if (handle->debug)
        text_printf(&text, "%p", handle->arg);
    text_printf(&text, ") created at %s:%d>", text_site_file(site), site->line);
    return text.len;
}

/* In reports */

static void job_hold(struct job *job)
{
    weir_handle_ref(handle_of(job));
}

static void job_release(struct job *job)
{
    weir_handle_unref(handle_of(job));
}

static size_t job_describe(const struct job *job, char *buffer, size_t size)
{
    return weir_handle_repr(handle_of((struct job *)(uintptr_t)job), buffer, size);
}

static const weir_backtrace *job_source(const struct job *job)
{
    const weir_handle *handle = handle_of((struct job *)(uintptr_t)job);

    return handle->debug ? handle->created : NULL;
}

static struct job_kind soon_kind = {
    .run = weir__handle_run,
    .hold = job_hold,
    .release = job_release,
    .describe = job_describe,
    .source = job_source,
};

static struct job_kind timed_kind = {
    .run = weir__handle_fire,
    .hold = job_hold,
    .release = job_release,
    .describe = job_describe,
    .source = job_source,
};

void weir__handle_kinds_register(void)
{
    weir__job_kind_register(&soon_kind);
    weir__job_kind_register(&timed_kind);
}
