/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The iteration. Its order is the one that weir/loop.h promises:
 *
 *     clock -> due timers -> ready queue --(once through)--> backend waits -> completions -> …
 *
 * "Once through" is done by moving the queue to a private list first: what a callback schedules goes
 * to the new queue and waits for the next iteration, after I/O had its turn, so that no chain of
 * call_soon starves a socket. A job is unlinked before it runs; it may free itself, and whoever runs
 * before it may unlink it.
 */
#include "config.h"

#include "core/base/error.h"
#include "core/loop/internal.h"

/* The kernel is asked again at least once a day; clocks and sleeps of years are not trusted. */
#define WAIT_MAX_NS ((int64_t)24 * 3600 * 1000000000)

void weir__loop_ready(weir_loop *loop, struct job *job)
{
    if (list_empty(&job->link))
        list_append(&loop->ready, &job->link);
}

void weir__job_cancel(struct job *job)
{
    list_remove(&job->link);
}

static int64_t read_clock(weir_loop *loop)
{
    if (weir_unlikely(loop->clock != NULL))
        return loop->clock->now(loop->clock);
    return weir_now().ns;
}

weir_instant weir_loop_time(const weir_loop *loop)
{
    /* Between runs no iteration reads the clock. */
    if (!loop->running && loop == weir__thread_loop && !loop->closed)
        ((weir_loop *)loop)->head.now = read_clock((weir_loop *)loop);
    return (weir_instant){loop->head.now};
}

static weir_error *run_measured(weir_loop *loop, struct job *job)
{
    struct job_note note;
    weir_error *error;

    weir__job_note(&note, job);
    weir__loop_step_began(loop);
    error = job->run(job);
    weir__loop_step_ended(loop, &note);
    weir__job_note_done(&note);
    return error;
}

static void run_job(weir_loop *loop, struct job *job)
{
    const weir_site *site = job->site;
    weir_error *error;

    step_begin(&loop->step, job, site);
    if (weir_unlikely(loop->debug))
        error = run_measured(loop, job);
    else
        error = job->run(job);
    step_end(&loop->step);
    if (weir_unlikely(error != NULL))
        weir__loop_report(loop, site, "error in a callback", error);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Some job of the batch, for tests that look for a dependence on the order. */
static struct job *any_job(weir_loop *loop, struct list *batch)
{
    struct list *node = batch->next;
    size_t count = 0;

    weir_list_foreach(job, batch, struct job, link)
        count++;
    for (size_t skip = next_random(&loop->shuffle) % count; skip > 0; skip--)
        node = node->next;
    return container_of(node, struct job, link);
}

void weir__loop_set_shuffle(weir_loop *loop, uint64_t seed)
{
    loop->shuffle = seed;
}

/* False: nothing was ready. */
static bool run_ready(weir_loop *loop)
{
    struct list batch;

    if (list_empty(&loop->ready))
        return false;
    list_init(&batch);
    list_splice(&batch, &loop->ready);
    while (!list_empty(&batch)) {
        struct job *job = container_of(batch.next, struct job, link);

        if (weir_unlikely(loop->shuffle != 0))
            job = any_job(loop, &batch);
        list_remove(&job->link);
        run_job(loop, job);
    }
    return true;
}

/* How long nothing is due, at most `max_ns` when that is not -1. */
static int64_t time_to_wait(weir_loop *loop, int64_t now, int64_t max_ns)
{
    int64_t timeout = -1, deadline;

    if (!list_empty(&loop->ready) || atomic_load_explicit(&loop->stop, memory_order_relaxed))
        return 0;
    deadline = weir__loop_next_deadline(loop);
    if (deadline != INT64_MAX) {
        timeout = deadline - now;
        if (timeout <= 0)
            return 0;
        if (timeout > WAIT_MAX_NS)
            timeout = WAIT_MAX_NS;
    }
    if (max_ns >= 0 && (timeout < 0 || max_ns < timeout))
        timeout = max_ns;
    if (weir_unlikely(loop->clock && loop->clock->before_wait))
        timeout = loop->clock->before_wait(loop->clock, timeout);
    return timeout;
}

static void wait_for_io(weir_loop *loop, int64_t now, int64_t max_ns)
{
    int64_t timeout = time_to_wait(loop, now, max_ns);
    weir_error *error;

    if (timeout != 0) {
        /* See post.c: say it first, look then. */
        atomic_store(&loop->polling, true);
        if (weir__posts_pending(loop) || atomic_load(&loop->stop) ||
            atomic_load(&loop->signals_raised))
            timeout = 0;
    }
    error = loop->io->ops->wait(loop->io, timeout);
    atomic_store_explicit(&loop->polling, false, memory_order_release);
    if (weir_unlikely(error != NULL))
        weir__loop_report(loop, loop->site, "the backend's wait failed", error);
    weir__posts_drain(loop);
    weir__signals_collect(loop);
}

static weir_error *trim_pool(struct timer *timer)
{
    weir_loop *loop = container_of(timer, weir_loop, trim);

    weir__chunk_pool_trim(loop->pool);
    return NULL;
}

/* While chunks lie unused a timer gives them back; an idle loop that has none is not woken. */
static void keep_trimming(weir_loop *loop)
{
    if (weir_unlikely(chunk_pool_trimmable(loop->pool)) && !timer_running(&loop->trim)) {
        weir__timer_init(&loop->trim, trim_pool, loop->site);
        weir_ignore(
            weir__timer_start(loop, &loop->trim, (weir_instant){loop->head.now + TRIM_PERIOD_NS}));
    }
}

void weir__loop_iterate(weir_loop *loop, int64_t max_wait_ns)
{
    int64_t now;

    now = loop->head.now = read_clock(loop);
    weir__timers_due(loop, now);
    /* Callbacks take their time; a timer must not be late by it. */
    if (run_ready(loop) && loop->timers.count > 0 && list_empty(&loop->ready))
        now = read_clock(loop);
    keep_trimming(loop);
    wait_for_io(loop, now, max_wait_ns);
}

static weir_error *check_run(weir_loop *loop)
{
    WEIR_TRY(weir__loop_check_thread(loop));
    if (loop->closed)
        return weir_raise(WEIR_ECLOSED, "loop \"%s\" is closed", loop->name);
    if (loop->running)
        return weir_raise(WEIR_EBUSY, "loop \"%s\" is running already", loop->name);
    return NULL;
}

static void enter(weir_loop *loop)
{
    weir_loop_ref(loop);
    loop->running = true;
    weir__thread_debug = loop->debug;
    weir__posts_drain(loop);
    weir__signals_collect(loop);
}

static void leave(weir_loop *loop)
{
    loop->running = false;
    weir_loop_unref(loop);
}

weir_error *weir_loop_run_forever(weir_loop *loop)
{
    WEIR_TRY(check_run(loop));
    enter(loop);
    /* A stop that came before the run grants one iteration, as in asyncio. */
    do {
        weir__loop_iterate(loop, -1);
    } while (!atomic_load_explicit(&loop->stop, memory_order_relaxed));
    atomic_store(&loop->stop, false);
    leave(loop);
    return NULL;
}

weir_error *weir__loop_run_once(weir_loop *loop, int64_t max_wait_ns)
{
    WEIR_TRY(check_run(loop));
    enter(loop);
    weir__loop_iterate(loop, max_wait_ns);
    leave(loop);
    return NULL;
}

void weir__loop_wait_once(weir_loop *loop, int64_t max_wait_ns)
{
    enter(loop);
    loop->head.now = read_clock(loop);
    wait_for_io(loop, loop->head.now, max_wait_ns);
    leave(loop);
}
