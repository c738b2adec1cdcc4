/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public face of jobs and timers: opaque words inside the caller's state, so that scheduling
 * allocates nothing. The site of the init is the one that reports name.
 */
#include "config.h"

#include <weir/callback.h>

#include "core/loop/internal.h"

struct callback {
    struct job job;
    weir_loop *loop;
    const char *name; /* of fn */
    weir_fn fn;
    void *arg;
};

struct public_timer {
    struct timer timer;
    weir_loop *loop;
    const char *name; /* of fn */
    weir_fn fn;
    void *arg;
};

WEIR_STATIC_ASSERT(sizeof(struct callback) <= sizeof(weir_callback), "fits its opaque words");
WEIR_STATIC_ASSERT(sizeof(struct public_timer) <= sizeof(weir_timer), "fits its opaque words");

static struct callback *callback_of(weir_callback *callback)
{
    return (struct callback *)(void *)callback;
}

static struct public_timer *timer_of(const weir_timer *timer)
{
    return (struct public_timer *)(uintptr_t)timer;
}

/* `fn` may free what it is embedded in: its name is left with the loop, for when it fails. */
static weir_error *call(weir_loop *loop, const struct job *job, const char *name, weir_fn fn,
                        void *arg)
{
    loop->named_job = job;
    loop->job_name = name;
    return fn(arg);
}

static weir_error *callback_run(struct job *job)
{
    struct callback *mine = container_of(job, struct callback, job);

    return call(mine->loop, job, mine->name, mine->fn, mine->arg);
}

static weir_error *timer_fire(struct job *job)
{
    struct public_timer *mine = container_of(job, struct public_timer, timer.job);

    return call(mine->loop, job, mine->name, mine->fn, mine->arg);
}

void weir_callback_init_at(const weir_site *site, const char *name, weir_callback *callback,
                           weir_loop *loop, weir_fn fn, void *arg)
{
    struct callback *mine = callback_of(callback);

    *mine = (struct callback){.loop = loop, .name = name, .fn = fn, .arg = arg};
    job_init(&mine->job, callback_run, site);
}

void weir_callback_schedule(weir_callback *callback)
{
    struct callback *mine = callback_of(callback);

    if (!weir__loop_allows(mine->loop))
        return;
    weir__loop_ready(mine->loop, &mine->job);
}

bool weir_callback_cancel(weir_callback *callback)
{
    struct callback *mine = callback_of(callback);

    if (!job_queued(&mine->job) || !weir__loop_allows(mine->loop))
        return false;
    weir__job_cancel(&mine->job);
    return true;
}

void weir_timer_init_at(const weir_site *site, const char *name, weir_timer *timer, weir_loop *loop,
                        weir_fn fn, void *arg)
{
    struct public_timer *mine = timer_of(timer);

    *mine = (struct public_timer){.loop = loop, .name = name, .fn = fn, .arg = arg};
    weir__timer_init(&mine->timer, timer_fire, site);
}

void weir_timer_start(weir_timer *timer, weir_duration after)
{
    struct public_timer *mine = timer_of(timer);
    weir_loop *loop = mine->loop;
    weir_instant when;
    weir_error *error;

    if (!weir__loop_allows(loop))
        return;
    if (weir_is_forever(after)) {
        weir__timer_stop(loop, &mine->timer);
        return;
    }
    when = weir_instant_after(
        weir_likely(loop->running) ? (weir_instant){loop->head.now} : weir_loop_time(loop), after);
    if (timer_put_off(&loop->timers, &mine->timer, when.ns))
        return;
    error = weir__timer_start(loop, &mine->timer, when);
    if (error)
        weir__loop_report(loop, mine->timer.job.site, "a timer could not be started", error);
}

bool weir_timer_stop(weir_timer *timer)
{
    struct public_timer *mine = timer_of(timer);

    if (!timer_running(&mine->timer) || !weir__loop_allows(mine->loop))
        return false;
    weir__timer_stop(mine->loop, &mine->timer);
    return true;
}

bool weir_timer_running(const weir_timer *timer)
{
    return timer_running(&timer_of(timer)->timer);
}

/* In reports */

static const char *callback_name(const struct job *job)
{
    return container_of((struct job *)(uintptr_t)job, struct callback, job)->name;
}

static const char *timer_name(const struct job *job)
{
    return container_of((struct job *)(uintptr_t)job, struct public_timer, timer.job)->name;
}

static struct job_kind callback_kind = {
    .run = callback_run,
    .label = "Callback",
    .name = callback_name,
};

static struct job_kind timer_kind = {
    .run = timer_fire,
    .label = "Timer",
    .name = timer_name,
};

void weir__callback_kinds_register(void)
{
    weir__job_kind_register(&callback_kind);
    weir__job_kind_register(&timer_kind);
}
