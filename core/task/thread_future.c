/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a task of a loop from another thread, and waiting for its end there.
 *
 *     any thread ── post ──> loop: spawn carry() ── fn(arg), drop(arg) ── settle ──> any thread
 *
 * One record is shared by both sides and counted atomically. `task` belongs to the loop's side, the
 * outcome is written once under the lock. A post that its loop never runs (it closed) settles as
 * WEIR_ECLOSED from the post's drop function.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "core/base/alloc.h"
#include "core/task/task.h"

struct settled_callback {
    struct settled_callback *next;
    void (*fn)(weir_thread_future *, void *);
    void *arg;
};

struct weir_thread_future {
    atomic_uint refs; /* the caller's, and one of the loop's side until it has settled */
    pthread_mutex_t lock;
    pthread_cond_t settled_cond;
    const weir_site *site;
    const char *name;
    weir_loop *loop;
    weir_fn fn;
    void *arg;
    weir_drop_fn drop;
    weir_task *task; /* the loop's side; while it runs */
    bool cancelled;  /* the loop's side, before the task is there */
    bool settled;
    void *value;
    weir_drop_fn value_drop;
    weir_error *error;                                   /* fit for any thread */
    struct settled_callback *callbacks, **callbacks_end; /* until it has settled */
};

weir_thread_future *weir_thread_future_ref(weir_thread_future *future)
{
    if (future)
        atomic_fetch_add(&future->refs, 1);
    return future;
}

void weir_thread_future_unref(weir_thread_future *future)
{
    if (!future || atomic_fetch_sub(&future->refs, 1) != 1)
        return;
    if (future->value_drop)
        future->value_drop(future->value);
    weir_ignore(future->error);
    weir_loop_unref(future->loop);
    pthread_cond_destroy(&future->settled_cond);
    pthread_mutex_destroy(&future->lock);
    weir__free(future);
}

/* Ends the loop's side. Takes the error and the value. */
static void settle(weir_thread_future *future, weir_error *take_error, void *take_value,
                   weir_drop_fn drop)
{
    weir_error *error = take_error ? weir_error_detach(take_error) : NULL;
    struct settled_callback *callbacks;

    if (future->drop)
        future->drop(future->arg);
    pthread_mutex_lock(&future->lock);
    future->error = error;
    future->value = take_value;
    future->value_drop = drop;
    future->settled = true;
    callbacks = WEIR_TAKE(future->callbacks);
    pthread_cond_broadcast(&future->settled_cond);
    pthread_mutex_unlock(&future->lock);
    while (callbacks) {
        struct settled_callback *next = callbacks->next;

        callbacks->fn(future, callbacks->arg);
        weir__free(callbacks);
        callbacks = next;
    }
    weir_thread_future_unref(future);
}

bool weir_thread_future_done(weir_thread_future *future)
{
    bool settled;

    pthread_mutex_lock(&future->lock);
    settled = future->settled;
    pthread_mutex_unlock(&future->lock);
    return settled;
}

weir_error *weir_thread_future_add_done_callback(weir_thread_future *future,
                                                 void (*fn)(weir_thread_future *, void *),
                                                 void *arg)
{
    struct settled_callback *callback = weir__calloc(1, sizeof *callback);
    bool settled;

    if (!callback)
        return weir_raise(WEIR_ENOMEM, "done callback");
    callback->fn = fn;
    callback->arg = arg;
    pthread_mutex_lock(&future->lock);
    settled = future->settled;
    if (!settled) {
        *future->callbacks_end = callback;
        future->callbacks_end = &callback->next;
    }
    pthread_mutex_unlock(&future->lock);
    if (settled) {
        weir__free(callback);
        fn(future, arg);
    }
    return NULL;
}

/* The task's body. */
static weir_error *carry(void *arg)
{
    weir_thread_future *future = arg;
    weir_task *task = weir__current_task;
    weir_error *error = future->fn(future->arg);
    void *value = NULL;
    weir_drop_fn drop = NULL;

    if (error) {
        weir__future_drop_value(&task->future);
    } else {
        value = WEIR_TAKE(task->future.value);
        drop = WEIR_TAKE(task->future.drop);
    }
    future->task = NULL;
    settle(future, error, value, drop);
    return NULL;
}

static weir_error *start(void *arg)
{
    weir_thread_future *future = arg;
    weir_error *error =
        weir__spawn(weir__thread_loop, future->site, future->name, carry, future, &future->task);

    if (error) {
        settle(future, error, NULL, NULL);
        return NULL;
    }
    if (future->cancelled)
        (void)weir_task_cancel(future->task);
    weir_task_unref(future->task); /* it lives until carry() clears the pointer */
    return NULL;
}

static void never_started(void *arg)
{
    settle(arg, weir_raise(WEIR_ECLOSED, "the loop was closed"), NULL, NULL);
}

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

weir_error *weir_run_coroutine_threadsafe_at(const weir_site *site, const char *name,
                                             weir_loop *loop, weir_fn fn, void *take_arg,
                                             weir_drop_fn drop, weir_thread_future **ret)
{
    weir_thread_future *future = weir__calloc(1, sizeof *future);
    weir_error *error;

    if (!future)
        return weir_raise_at(site, WEIR_ENOMEM, "thread future");
    atomic_init(&future->refs, 2);
    future->callbacks_end = &future->callbacks;
    pthread_mutex_init(&future->lock, NULL);
    init_condition(&future->settled_cond);
    future->site = site;
    future->name = name;
    future->loop = weir_loop_ref(loop);
    future->fn = fn;
    future->arg = take_arg;
    future->drop = drop;
    error =
        weir_loop_call_soon_threadsafe_at(site, "start", loop, start, future, never_started, NULL);
    if (error) { /* arg stays with the caller */
        future->drop = NULL;
        atomic_store(&future->refs, 1);
        weir_thread_future_unref(future);
        return error;
    }
    if (ret)
        *ret = future;
    else
        weir_thread_future_unref(future);
    return NULL;
}

static struct timespec timespec_of(weir_instant instant)
{
    return (struct timespec){.tv_sec = (time_t)(instant.ns / 1000000000),
                             .tv_nsec = (long)(instant.ns % 1000000000)};
}

/* With the lock held. */
static bool wait_settled(weir_thread_future *future, weir_duration limit)
{
    struct timespec until = timespec_of(weir_instant_after(weir_now(), limit));

    while (!future->settled) {
        if (weir_is_forever(limit))
            pthread_cond_wait(&future->settled_cond, &future->lock);
        else if (pthread_cond_timedwait(&future->settled_cond, &future->lock, &until) == ETIMEDOUT)
            return future->settled;
    }
    return true;
}

weir_error *weir_thread_future_result(weir_thread_future *future, weir_duration limit,
                                      void **ret_value)
{
    weir_error *error = NULL;

    pthread_mutex_lock(&future->lock);
    if (!future->settled && future->loop == weir__thread_loop)
        error = weir_raise(WEIR_EDEADLK, "the loop's own thread would wait for its task %s",
                           future->name);
    else if (!wait_settled(future, limit))
        error = weir_raise(WEIR_ETIMEDOUT, "timed out");
    else if (future->error)
        error = weir_error_share(future->error);
    else if (ret_value)
        *ret_value = future->value;
    pthread_mutex_unlock(&future->lock);
    return error;
}

static weir_error *cancel_here(void *arg)
{
    weir_thread_future *future = arg;

    if (future->task)
        (void)weir_task_cancel(future->task);
    else
        future->cancelled = true;
    weir_thread_future_unref(future);
    return NULL;
}

static void drop_reference(void *future)
{
    weir_thread_future_unref(future);
}

bool weir_thread_future_cancel(weir_thread_future *future)
{
    weir_error *error;

    if (weir_thread_future_done(future))
        return false;
    error = weir_loop_call_soon_threadsafe(future->loop, cancel_here,
                                           weir_thread_future_ref(future), drop_reference);
    if (error) {
        weir_ignore(error); /* closed: it has ended or never will */
        weir_thread_future_unref(future);
    }
    return !error;
}

weir_error *weir_thread_future_wait_or_cancel(weir_thread_future *future, weir_duration limit,
                                              void **ret_value)
{
    weir_error *error = weir_thread_future_result(future, limit, ret_value);

    if (weir_thread_future_done(future) || !weir_error_is(error, WEIR_ETIMEDOUT))
        return error;
    if (!weir_thread_future_cancel(future) && !weir_thread_future_done(future))
        return error;
    weir_ignore(error);
    error = weir_thread_future_result(future, WEIR_FOREVER, ret_value);
    if (!weir_error_is(error, WEIR_ECANCELED))
        return error;
    weir_ignore(error);
    return weir_raise(WEIR_ETIMEDOUT, "timed out");
}

/* A thread future as a future of a loop: belongs to the thread that completes, then to the post that
   it sends. References of each. */
struct bridge {
    weir_thread_future *source;
    weir_loop *loop;
    weir_future *target;
};

static void bridge_free(struct bridge *bridge)
{
    weir_thread_future_unref(bridge->source);
    weir_loop_unref(bridge->loop);
    weir__free(bridge);
}

static void bridge_close(struct bridge *bridge)
{
    weir_future *target = WEIR_TAKE(bridge->target);

    target->on_cancel = NULL;
    weir__loop_external_end(bridge->loop);
    weir_future_unref(target);
}

static weir_error *bridge_arrived(void *arg)
{
    struct bridge *bridge = arg;
    weir_future *target = bridge->target;
    void *value = NULL;
    weir_error *error = weir_thread_future_result(bridge->source, WEIR_NS(0), &value);

    if (error)
        (void)weir_future_try_set_error_at(bridge->source->site, target, error);
    else
        (void)weir_future_try_set_result_at(bridge->source->site, target, value, NULL);
    bridge_close(bridge);
    bridge_free(bridge);
    return NULL;
}

static void bridge_dropped(void *arg)
{
    bridge_close(arg);
    bridge_free(arg);
}

/* In the thread that completes it. */
static void bridge_settled(weir_thread_future *source, void *arg)
{
    struct bridge *bridge = arg;
    weir_error *error =
        weir_loop_call_soon_threadsafe(bridge->loop, bridge_arrived, bridge, bridge_dropped);

    (void)source;
    if (error) {
        weir_ignore(error);
        bridge_dropped(bridge);
    }
}

static void bridge_cancelled(weir_future *target, void *arg)
{
    struct bridge *bridge = arg;

    (void)target;
    (void)weir_thread_future_cancel(bridge->source);
}

weir_error *weir_thread_future_wrap_at(const weir_site *site, weir_thread_future *source,
                                       weir_future **ret)
{
    weir_auto(weir_future) target = NULL;
    struct bridge *bridge;
    weir_error *error;

    WEIR_TRY(weir_future_new_at(site, &target));
    bridge = weir__calloc(1, sizeof *bridge);
    if (!bridge)
        return weir_raise_at(site, WEIR_ENOMEM, "bridge of a future");
    bridge->source = weir_thread_future_ref(source);
    bridge->loop = weir_loop_ref(target->home->loop);
    bridge->target = weir_future_ref(target);
    weir__loop_external_begin(bridge->loop);
    target->on_cancel = bridge_cancelled;
    target->on_cancel_arg = bridge;
    error = weir_thread_future_add_done_callback(source, bridge_settled, bridge);
    if (error) {
        bridge_dropped(bridge);
        return error;
    }
    *ret = WEIR_TAKE(target);
    return NULL;
}
