/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thread pools with bounded queues. Threads are started when a job finds none idle, up to the
 * maximum, and stay. A call whose job finds the queue full waits for room in a list of its own: it
 * costs nothing but the frame of its task, which waits anyway.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weir/debug.h>

#include "core/base/alloc.h"
#include "core/exec/exec.h"

#define THREADS_MORE        4
#define THREADS_DEFAULT_MAX 32
#define STUCK_DEFAULT       WEIR_S(60)

static unsigned default_threads(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = (processors > 0 ? (unsigned)processors : 1) + THREADS_MORE;

    return threads < THREADS_DEFAULT_MAX ? threads : THREADS_DEFAULT_MAX;
}

static void init_locks(weir_executor *executor)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&executor->lock, NULL);
    pthread_cond_init(&executor->work, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&executor->drained, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* What the caller's struct was compiled with; the rest are defaults. */
static void read_options(weir_executor_options *options, const weir_executor_options *given)
{
    *options = (weir_executor_options){WEIR_SIZED(weir_executor_options)};
    if (given)
        memcpy(options, given, given->size < sizeof(*options) ? given->size : sizeof(*options));
    if (!options->threads)
        options->threads = default_threads();
    if (options->threads > EXECUTOR_THREADS_MAX)
        options->threads = EXECUTOR_THREADS_MAX;
    if (!options->queue)
        options->queue = EXECUTOR_QUEUE_DEFAULT;
    if (options->stuck_after.ns <= 0)
        options->stuck_after = STUCK_DEFAULT;
}

weir_error *weir_executor_new(const weir_executor_options *given, weir_executor **ret)
{
    weir_executor_options options;
    weir_executor *executor = weir__calloc(1, sizeof *executor);

    if (!executor)
        return weir_raise(WEIR_ENOMEM, "executor");
    read_options(&options, given);
    executor->name = weir__strdup(options.name ? options.name : "default");
    if (!executor->name) {
        weir__free(executor);
        return weir_raise(WEIR_ENOMEM, "executor");
    }
    executor->magic = EXECUTOR_MAGIC;
    executor->generation = weir__fork_generation;
    atomic_init(&executor->refs, 1);
    init_locks(executor);
    list_init(&executor->queue);
    list_init(&executor->waiting);
    list_init(&executor->workers);
    list_init(&executor->ended);
    executor->threads_max = options.threads;
    executor->queue_max = options.queue;
    executor->reject_when_full = options.reject_when_full;
    executor->thread_start = options.thread_start;
    executor->thread_stop = options.thread_stop;
    executor->arg = options.arg;
    executor->stuck_after = options.stuck_after;
    *ret = executor;
    return NULL;
}

void weir__executor_free(weir_executor *executor)
{
    weir__workers_join(executor);
    pthread_cond_destroy(&executor->drained);
    pthread_cond_destroy(&executor->work);
    pthread_mutex_destroy(&executor->lock);
    weir_magic_clear(executor);
    if (executor->freed)
        executor->freed(executor->arg);
    weir__free(executor->name);
    weir__free(executor);
}

weir_executor *weir_executor_ref(weir_executor *executor)
{
    if (executor) {
        weir_check(executor, EXECUTOR_MAGIC);
        atomic_fetch_add(&executor->refs, 1);
    }
    return executor;
}

/* With the lock held: what waits goes to `dropped`. */
static void empty_locked(weir_executor *executor, struct list *dropped)
{
    list_init(dropped);
    list_splice(dropped, &executor->queue);
    list_splice(dropped, &executor->waiting);
    executor->queued = 0;
    weir_list_foreach(job, dropped, struct exec_job, link)
        job->state = JOB_ENDED;
}

/* With the lock held: no new jobs, what waits goes to `dropped`, what runs is asked to end. */
static void close_locked(weir_executor *executor, struct list *dropped)
{
    empty_locked(executor, dropped);
    executor->closed = true;
    weir__workers_ask_to_end(executor);
    pthread_cond_broadcast(&executor->work);
}

static weir_error *broken_error(const weir_executor *executor)
{
    return weir_raise(executor->broken, "executor %s is broken, a thread did not start: %s",
                      executor->name, executor->broken_text);
}

/* Without the lock. */
static void deliver_dropped(weir_executor *executor, struct list *dropped)
{
    while (!list_empty(dropped)) {
        struct exec_job *job = container_of(dropped->next, struct exec_job, link);

        list_remove(&job->link);
        job->error =
            executor->broken ? broken_error(executor) : weir_raise(WEIR_ECANCELED, "cancelled");
        job->error = weir_error_detach(job->error);
        weir__exec_port_deliver(job);
    }
}

void weir__executor_break(weir_executor *executor, const weir_error *error)
{
    struct list dropped;

    pthread_mutex_lock(&executor->lock);
    if (!executor->broken) {
        weir_error_message(error, executor->broken_text, sizeof(executor->broken_text));
        executor->broken = weir_error_code(error);
    }
    empty_locked(executor, &dropped);
    pthread_cond_broadcast(&executor->work);
    pthread_mutex_unlock(&executor->lock);
    deliver_dropped(executor, &dropped);
}

void weir_executor_unref(weir_executor *executor)
{
    struct list dropped;
    bool last;

    if (!executor)
        return;
    weir_check(executor, EXECUTOR_MAGIC);
    if (atomic_fetch_sub(&executor->refs, 1) != 1)
        return;
    pthread_mutex_lock(&executor->lock);
    close_locked(executor, &dropped);
    executor->abandoned = true;
    last = executor->threads == 0;
    pthread_mutex_unlock(&executor->lock);
    deliver_dropped(executor, &dropped);
    if (last)
        weir__executor_free(executor);
}

static struct timespec timespec_of(weir_instant instant)
{
    return (struct timespec){.tv_sec = (time_t)(instant.ns / 1000000000),
                             .tv_nsec = (long)(instant.ns % 1000000000)};
}

void weir__executor_close(weir_executor *executor)
{
    struct list dropped;

    pthread_mutex_lock(&executor->lock);
    close_locked(executor, &dropped);
    pthread_mutex_unlock(&executor->lock);
    deliver_dropped(executor, &dropped);
}

bool weir__executor_wait(weir_executor *executor, weir_duration limit)
{
    struct timespec until = timespec_of(weir_instant_after(weir_now(), limit));
    int result = 0;
    bool left;

    pthread_mutex_lock(&executor->lock);
    while (executor->threads && result != ETIMEDOUT) {
        if (weir_is_forever(limit))
            pthread_cond_wait(&executor->drained, &executor->lock);
        else
            result = pthread_cond_timedwait(&executor->drained, &executor->lock, &until);
    }
    left = executor->threads > 0;
    pthread_mutex_unlock(&executor->lock);
    weir__workers_join(executor);
    return !left;
}

weir_error *weir_executor_shutdown(weir_executor *executor, weir_duration limit)
{
    char jobs[512] = "";
    struct text text = TEXT_INIT(jobs);
    unsigned count;

    weir_check(executor, EXECUTOR_MAGIC);
    if (executor->generation != weir__fork_generation)
        return weir_raise(WEIR_EFORKED, "executor %s", executor->name);
    weir__executor_close(executor);
    if (weir__executor_wait(executor, limit))
        return NULL;
    count = weir__workers_describe(executor, &text);
    weir_warn_at(NULL, WEIR_WARNING_RUNTIME, NULL,
                 "executor '%s' did not end within %.3f seconds: %u %s: %s", executor->name,
                 (double)limit.ns / 1e9, count, count == 1 ? "job still runs" : "jobs still run",
                 jobs);
    return weir_raise(WEIR_ETIMEDOUT, "jobs still run");
}

static weir_error *need_thread(weir_executor *executor)
{
    weir_error *error;

    if (executor->idle > executor->queued || executor->threads >= executor->threads_max)
        return NULL;
    error = weir__worker_start(executor);
    if (!error || executor->threads == 0)
        return error;
    weir_ignore(error); /* the others will come to it */
    return NULL;
}

static weir_error *enqueue_locked(weir_executor *executor, struct exec_job *job, bool may_wait)
{
    bool full = executor->queued >= executor->queue_max;

    if (executor->closed)
        return weir_raise(WEIR_ECLOSED, "executor %s is shut down", executor->name);
    if (executor->broken)
        return broken_error(executor);
    if (full && (!may_wait || executor->reject_when_full))
        return WEIR_RAISE_FAST(WEIR_EREJECTED, "%lld jobs wait in the executor's queue",
                               (int64_t)executor->queued);
    WEIR_TRY(need_thread(executor));
    if (full) {
        job->state = JOB_WAITING;
        list_append(&executor->waiting, &job->link);
        return NULL;
    }
    job->state = JOB_QUEUED;
    list_append(&executor->queue, &job->link);
    executor->queued++;
    pthread_cond_signal(&executor->work);
    return NULL;
}

weir_error *weir__executor_enqueue(weir_executor *executor, struct exec_job *job, bool may_wait)
{
    weir_error *error;

    weir_check(executor, EXECUTOR_MAGIC);
    if (executor->generation != weir__fork_generation)
        return weir_raise(WEIR_EFORKED,
                          "executor %s belongs to the parent process: make a new one after fork()",
                          executor->name);
    pthread_mutex_lock(&executor->lock);
    error = enqueue_locked(executor, job, may_wait);
    pthread_mutex_unlock(&executor->lock);
    return error;
}

void weir__executor_fill(weir_executor *executor)
{
    struct exec_job *job;

    if (list_empty(&executor->waiting))
        return;
    job = container_of(executor->waiting.next, struct exec_job, link);
    list_remove(&job->link);
    job->state = JOB_QUEUED;
    list_append(&executor->queue, &job->link);
    executor->queued++;
}

bool weir__executor_withdraw(weir_executor *executor, struct exec_job *job)
{
    bool queued;

    pthread_mutex_lock(&executor->lock);
    queued = job->state <= JOB_QUEUED;
    if (queued) {
        list_remove(&job->link);
        if (job->state == JOB_QUEUED) {
            executor->queued--;
            weir__executor_fill(executor);
        }
        job->state = JOB_ENDED;
    } else {
        weir__exec_job_ask(job);
    }
    pthread_mutex_unlock(&executor->lock);
    return queued;
}

void weir_executor_get_stats(const weir_executor *executor, weir_executor_stats *ret)
{
    weir_executor *locked = (weir_executor *)executor;
    weir_executor_stats stats = {.size = ret->size};
    size_t size = ret->size < sizeof stats ? ret->size : sizeof stats;

    pthread_mutex_lock(&locked->lock);
    stats.threads = locked->threads;
    stats.threads_max = locked->threads_max;
    stats.busy = locked->threads - locked->idle;
    stats.queued = locked->queued;
    stats.queue_max = locked->queue_max;
    for (struct list *link = locked->waiting.next; link != &locked->waiting; link = link->next)
        stats.waiting++;
    stats.broken = locked->broken != 0;
    pthread_mutex_unlock(&locked->lock);
    memcpy(ret, &stats, size);
}
