/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker threads: take the oldest job, run it, bring it home, again. They block all signals that
 * have to do with the process, so that those reach the loops' threads. A worker takes the job's
 * place in the queue over to the oldest call that waits for room.
 *
 * A thread that ends leaves its record to be joined, by a shutdown or by whoever frees the executor;
 * the last thread of an executor that nobody holds any more does that itself. Only threads that have
 * left are joined, so a stuck job never blocks a shutdown beyond its limit.
 */
#include "config.h"

#include <signal.h>
#include <stdio.h>

#include <weir/log.h>

#include "core/base/alloc.h"
#include "core/exec/exec.h"

#define THREAD_NAME_MAX 16
#define WORKER_STACK    ((size_t)1024 * 1024)

struct worker {
    struct list link; /* in workers or ended of the executor */
    pthread_t thread;
    weir_executor *executor;
    struct exec_job *job; /* under the executor's lock */
    unsigned number;
};

static __thread struct exec_job *current_job;

bool weir_job_cancelled(void)
{
    if (current_job)
        return atomic_load_explicit(&current_job->cancelled, memory_order_relaxed);
    return atomic_load(&weir__worker_asked) != 0 &&
           atomic_load(&weir__worker_asked) == atomic_load(&weir__worker_job);
}

void weir_job_set_result(void *take_value, weir_drop_fn drop)
{
    struct exec_job *job = current_job;

    if (!job) {
        if (drop)
            drop(take_value);
        return;
    }
    if (job->value_drop)
        job->value_drop(job->value);
    job->value = take_value;
    job->value_drop = drop;
}

/* With the lock held; NULL: the executor is closed or broken. */
static struct exec_job *next_job(weir_executor *executor)
{
    struct exec_job *job;

    while (list_empty(&executor->queue)) {
        if (executor->closed || executor->broken)
            return NULL;
        executor->idle++;
        pthread_cond_wait(&executor->work, &executor->lock);
        executor->idle--;
    }
    job = container_of(executor->queue.next, struct exec_job, link);
    list_remove(&job->link);
    executor->queued--;
    weir__executor_fill(executor);
    return job;
}

/* Without the lock. The job may be gone on return. */
static void run_job(struct worker *worker, struct exec_job *job)
{
    weir_executor *executor = worker->executor;
    weir_context *before = weir_context_enter(WEIR_TAKE(job->context));
    weir_error *error;

    current_job = job;
    error = job->fn(job->arg);
    current_job = NULL;
    weir_context_leave(before);
    job->error = error ? weir_error_detach(error) : NULL;
    pthread_mutex_lock(&executor->lock);
    worker->job = NULL;
    job->state = JOB_ENDED;
    pthread_mutex_unlock(&executor->lock);
    weir__exec_port_deliver(job);
}

static void work(struct worker *worker)
{
    weir_executor *executor = worker->executor;
    struct exec_job *job;

    pthread_mutex_lock(&executor->lock);
    while ((job = next_job(executor))) {
        job->state = JOB_RUNNING;
        job->started = weir_now().ns;
        worker->job = job;
        pthread_mutex_unlock(&executor->lock);
        run_job(worker, job);
        pthread_mutex_lock(&executor->lock);
    }
    pthread_mutex_unlock(&executor->lock);
}

static void leave(struct worker *worker)
{
    weir_executor *executor = worker->executor;
    bool last;

    pthread_mutex_lock(&executor->lock);
    list_remove(&worker->link);
    last = --executor->threads == 0 && executor->abandoned;
    if (!last)
        list_append(&executor->ended, &worker->link);
    pthread_cond_broadcast(&executor->drained);
    pthread_mutex_unlock(&executor->lock);
    if (last) {
        pthread_detach(pthread_self());
        weir__free(worker);
        weir__executor_free(executor);
    }
}

void weir__workers_join(weir_executor *executor)
{
    struct list ended = LIST_INIT(ended);

    pthread_mutex_lock(&executor->lock);
    list_splice(&ended, &executor->ended);
    pthread_mutex_unlock(&executor->lock);
    weir_list_foreach_safe(worker, &ended, struct worker, link) {
        pthread_join(worker->thread, NULL);
        weir__free(worker);
    }
}

/* False: the executor is broken now. */
static bool start(weir_executor *executor)
{
    weir_error *error = executor->thread_start ? executor->thread_start(executor->arg) : NULL;

    if (!error)
        return true;
    weir__executor_break(executor, error);
    weir_log_error(weir_logger_get("weir.executor"), WEIR_LOG_ERROR, error,
                   "executor %s is broken: a thread did not start", executor->name);
    return false;
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    weir_executor *executor = worker->executor;
    char name[THREAD_NAME_MAX];

    snprintf(name, sizeof name, "%.10s-%u", executor->name, worker->number % 1000);
    pthread_setname_np(pthread_self(), name);
    if (start(executor)) {
        work(worker);
        if (executor->thread_stop)
            executor->thread_stop(executor->arg);
    }
    leave(worker);
    return NULL;
}

static int create_thread(struct worker *worker)
{
    pthread_attr_t attributes;
    sigset_t all, old;
    int result;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, WORKER_STACK);
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    result = pthread_create(&worker->thread, &attributes, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return result;
}

weir_error *weir__worker_start(weir_executor *executor)
{
    struct worker *worker = weir__calloc(1, sizeof *worker);
    int result;

    if (!worker)
        return weir_raise(WEIR_ENOMEM, "executor thread");
    worker->executor = executor;
    worker->number = executor->threads;
    list_append(&executor->workers, &worker->link);
    executor->threads++;
    result = create_thread(worker);
    if (result == 0)
        return NULL;
    executor->threads--;
    list_remove(&worker->link);
    weir__free(worker);
    return weir_raise(result, "executor %s: a thread cannot be started", executor->name);
}

void weir__exec_job_ask(struct exec_job *job)
{
    if (atomic_exchange_explicit(&job->cancelled, true, memory_order_relaxed))
        return;
    if (job->ask && job->state == JOB_RUNNING)
        job->ask(job);
}

void weir__workers_ask_to_end(weir_executor *executor)
{
    weir_list_foreach(worker, &executor->workers, struct worker, link) {
        if (worker->job)
            weir__exec_job_ask(worker->job);
    }
}

unsigned weir__workers_describe(weir_executor *executor, struct text *text)
{
    int64_t now = weir_now().ns;
    unsigned count = 0;

    pthread_mutex_lock(&executor->lock);
    weir_list_foreach(worker, &executor->workers, struct worker, link) {
        const struct exec_job *job = worker->job;

        if (!job)
            continue;
        text_printf(text, "%s%s() at %s:%d for %.1f s", count ? ", " : "", job->name,
                    text_site_file(job->site), job->site->line, (double)(now - job->started) / 1e9);
        count++;
    }
    pthread_mutex_unlock(&executor->lock);
    return count;
}
