/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The iteration. Its order is the one that weir/loop.h promises:
 *
 *     wait (collects) -> what was queued -> completions -> due timers -> whom those woke -> …
 *
 * Each list is gone once through, by moving it to a list of its own first: what a callback schedules goes to
 * the new queue and waits for the next iteration, after another poll, so that no chain of call_soon
 * starves a socket. The last phase exists only when the queue was empty before the completions, so
 * that waking a task costs no poll of its own; it is one snapshot too. A job is unlinked before it
 * runs; it may free itself, and whoever runs before it may unlink it.
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

int64_t weir__loop_read_clock(weir_loop *loop)
{
    if (weir_unlikely(loop->clock != NULL))
        return loop->clock->now(loop->clock);
    return weir_now().ns;
}

weir_instant weir_loop_time(const weir_loop *loop)
{
    /* Between runs no iteration reads the clock. */
    if (!loop->running && loop == weir__thread_loop && !loop->closed)
        ((weir_loop *)loop)->head.now = weir__loop_read_clock((weir_loop *)loop);
    return (weir_instant){loop->head.now};
}

static weir_error *run_measured(weir_loop *loop, struct job *job)
{
    struct job_note note;
    weir_error *error;

    weir__job_note(&note, job);
    loop->note = &note;
    weir__loop_step_began(loop);
    error = job->run(job);
    weir__loop_step_ended(loop, &note);
    loop->note = NULL;
    weir__job_note_done(&note);
    return error;
}

static inline void run_job(weir_loop *loop, struct job *job)
{
    const weir_site *site = job->site;
    weir_error *error;

    step_begin(&loop->step, job, site);
    if (weir_unlikely(loop->debug))
        error = run_measured(loop, job);
    else
        error = job->run(job);
    if (weir_unlikely(error != NULL))
        weir__callback_failed(loop, loop->named_job == job ? loop->job_name : NULL, site, NULL,
                              error);
}

void weir__loop_run_job(weir_loop *loop, struct job *job)
{
    run_job(loop, job);
}

void weir__loop_abort(weir_loop *loop, weir_error *take_error)
{
    if (loop->fatal)
        weir__loop_report(loop, loop->site, "a second error that ends the run", take_error);
    else
        loop->fatal = take_error;
    /* What has not run yet waits in front of the queue, for whoever runs the loop next. */
    list_splice(&loop->batch, &loop->ready);
    list_splice(&loop->ready, &loop->batch);
    atomic_store(&loop->stop, true);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* For tests that look for a dependence on the order. */
static void shuffle(weir_loop *loop, struct list *batch)
{
    struct list shuffled;
    size_t count = 0;

    list_init(&shuffled);
    weir_list_foreach(job, batch, struct job, link)
        count++;
    for (; count > 0; count--) {
        struct list *node = batch->next;

        for (size_t skip = next_random(&loop->shuffle) % count; skip > 0; skip--)
            node = node->next;
        list_remove(node);
        list_append(&shuffled, node);
    }
    list_splice(batch, &shuffled);
}

void weir__loop_set_shuffle(weir_loop *loop, uint64_t seed)
{
    loop->shuffle = seed;
}

/* Once through: what is scheduled meanwhile waits. weir__loop_abort() empties the batch. */
static void run_list(weir_loop *loop, struct list *jobs)
{
    struct list *batch = &loop->batch;
    uint64_t count = 0;

    if (list_empty(jobs))
        return;
    list_splice(batch, jobs);
    if (weir_unlikely(loop->shuffle != 0))
        shuffle(loop, batch);
    while (!list_empty(batch)) {
        struct job *job = container_of(batch->next, struct job, link);

        list_remove(&job->link);
        count++;
        run_job(loop, job);
    }
    step_end(&loop->step);
    loop->metrics.callbacks += count;
}

/* How long nothing is due from `now` on, at most `max_ns` when that is not -1. */
static int64_t time_to_wait(weir_loop *loop, int64_t now, int64_t max_ns)
{
    int64_t timeout = -1, deadline = weir__loop_next_deadline(loop);

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

static bool must_not_wait(weir_loop *loop)
{
    return !list_empty(&loop->ready) || atomic_load_explicit(&loop->stop, memory_order_relaxed);
}

/* See post.c: say that we are going to wait first, then look whether somebody wants us. */
static int64_t say_polling(weir_loop *loop, int64_t timeout)
{
    atomic_store(&loop->polling, true);
    if (weir__posts_pending(loop) || atomic_load(&loop->stop) || atomic_load(&loop->signals_raised))
        return 0;
    return timeout;
}

/* The first phase. The clock is read once after the wait, for the whole iteration, and before a wait
   that may take time, since callbacks take theirs and a timer must not be late by it. */
static void collect(weir_loop *loop, int64_t max_ns)
{
    struct poll poll = {0};
    weir_error *error;

    if (!must_not_wait(loop)) {
        poll.began = weir__loop_read_clock(loop);
        poll.timeout = time_to_wait(loop, poll.began, max_ns);
        if (poll.timeout != 0)
            poll.timeout = say_polling(loop, poll.timeout);
    } else if (weir_unlikely(loop->debug)) {
        poll.began = weir__loop_read_clock(loop);
    }
    error = loop->io->ops->wait(loop->io, poll.timeout, &poll.events);
    atomic_store_explicit(&loop->polling, false, memory_order_release);
    loop->head.now = weir__loop_read_clock(loop);
    weir__loop_polled(loop, &poll);
    if (weir_unlikely(error != NULL))
        weir__loop_report(loop, loop->site, "the backend's wait failed", error);
    weir__posts_drain(loop);
    weir__signals_collect(loop);
}

static weir_error *trim_pool(struct job *job)
{
    weir_loop *loop = container_of(job, weir_loop, trim.job);

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
    bool quiet;

    collect(loop, max_wait_ns);
    weir__timers_due(loop, loop->head.now);
    run_list(loop, &loop->ready);
    quiet = list_empty(&loop->ready);
    loop->io->ops->dispatch(loop->io);
    run_list(loop, &loop->due);
    /* Nobody was waiting: whom I/O and timers woke need not wait for a poll that brings nothing. */
    if (quiet && !atomic_load_explicit(&loop->stop, memory_order_relaxed))
        run_list(loop, &loop->ready);
    keep_trimming(loop);
}

static weir_error *check_run(const weir_loop *loop, const char *operation)
{
    WEIR_TRY(weir__loop_check_call(loop, operation, NULL));
    if (loop->closed)
        return weir_raise(WEIR_ECLOSED, "loop \"%s\" is closed", loop->name);
    if (loop->running)
        return weir_raise(WEIR_EBUSY, "loop \"%s\" is running already", loop->name);
    return NULL;
}

static void enter(weir_loop *loop)
{
    weir_loop_ref(loop);
    __atomic_store_n(&loop->running, true, __ATOMIC_RELAXED);
    weir__thread_debug = loop->debug;
}

/* The fatal error that ended the run, if any. */
static weir_error *leave(weir_loop *loop)
{
    weir_error *fatal = WEIR_TAKE(loop->fatal);

    if (fatal) /* its stop was for this run */
        atomic_store(&loop->stop, false);
    __atomic_store_n(&loop->running, false, __ATOMIC_RELAXED);
    weir_loop_unref(loop);
    return fatal;
}

weir_error *weir_loop_run_forever(weir_loop *loop)
{
    WEIR_TRY(check_run(loop, __func__));
    enter(loop);
    /* A stop that came before the run grants one iteration, as in asyncio. */
    do {
        weir__loop_iterate(loop, -1);
    } while (!atomic_load_explicit(&loop->stop, memory_order_relaxed));
    atomic_store(&loop->stop, false);
    return leave(loop);
}

weir_error *weir__loop_run_once(weir_loop *loop, int64_t max_wait_ns)
{
    WEIR_TRY(check_run(loop, __func__));
    enter(loop);
    weir__loop_iterate(loop, max_wait_ns);
    return leave(loop);
}
