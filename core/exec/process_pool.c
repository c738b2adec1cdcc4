/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process pools: a thread pool in which each thread drives one worker process over a socket and
 * waits for its answer. Queue, limits, cancellation and shutdown are the executor's; the thread
 * costs little beside the process, and the pool belongs to no loop.
 *
 *     task ── call ──> executor ──> thread ══ socket ══> worker process ── job by name
 *
 * A worker that dies ends the socket: the thread reaps it, says how it died in the error of the job,
 * and starts another for the next one. Being asked to end reaches the worker as SIGTERM (or SIGKILL
 * with kill_on_cancel) through its pidfd, while `running` says whose it is.
 */
#include "config.h"

#include "core/exec/process_pool.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <weir/debug.h>
#include <weir/log.h>

#include "core/base/alloc.h"
#include "core/exec/spawn.h"
#include "core/exec/wire.h"

#define START_DEFAULT WEIR_S(10)
#define LEAVE_LIMIT   WEIR_S(2) /* for an idle worker to run its `stop` */
#define DYING_LIMIT   WEIR_MS(100)
#define KILLED_LIMIT  WEIR_S(10)
#define TEXT_LIMIT    ((uint64_t)NAMED_ERROR_MAX)

static __thread struct pool_worker worker;

/* Under the pool's lock. */
static void ask_locked(weir_process_pool *pool, const struct named_call *call)
{
    if (call->pidfd < 0)
        return;
    if (pool->killing || pool->kill_on_cancel)
        (void)weir__spawn_signal(call->pidfd, SIGKILL);
    else
        weir__spawn_ask(call->pidfd, call->number);
}

static struct named_call *call_of(struct exec_job *job);

static void ask(struct exec_job *job)
{
    struct named_call *call = call_of(job);
    weir_process_pool *pool = call->pool;

    pthread_mutex_lock(&pool->lock);
    ask_locked(pool, call);
    pthread_mutex_unlock(&pool->lock);
}

static void set_running(struct named_call *call, int pidfd)
{
    weir_process_pool *pool = call->pool;

    pthread_mutex_lock(&pool->lock);
    call->pidfd = pidfd;
    list_remove(&call->link);
    if (pidfd >= 0) {
        list_append(&pool->running, &call->link);
        if (weir_job_cancelled() || pool->killing)
            ask_locked(pool, call); /* asked before there was whom to ask */
    }
    pthread_mutex_unlock(&pool->lock);
}

/* A worker for the next job. */
static weir_error *need_worker(weir_process_pool *pool)
{
    bool worn = pool->jobs_per_worker && worker.jobs >= pool->jobs_per_worker;

    if (worker.pid && !worn && weir__pool_worker_alive(&worker))
        return NULL;
    (void)weir__pool_worker_end(&worker, LEAVE_LIMIT);
    if (pool->killing)
        return weir_raise(WEIR_ECANCELED, "cancelled");
    return weir__pool_worker_start(pool, &worker);
}

/* The worker has gone, or talks nonsense. */
static weir_error *worker_lost(struct named_call *call, int result)
{
    weir_process_pool *pool = call->pool;
    int pid = worker.pid;
    char how[64];

    set_running(call, -1);
    weir__spawn_describe(
        weir__pool_worker_end(&worker, result == -EPROTO ? WEIR_NS(0) : DYING_LIMIT), how,
        sizeof(how));
    if (weir_job_cancelled() || pool->killing)
        return weir_raise(WEIR_ECANCELED, "cancelled");
    if (result == -EPROTO)
        return weir_raise(WEIR_EPROTOCOL, "job \"%s\": worker process %d of pool %s talks nonsense",
                          call->name, pid, pool->executor->name);
    weir_log(weir_logger_get("weir.executor"), WEIR_LOG_WARNING,
             "pool %s: worker process %d %s during job \"%s\"", pool->executor->name, pid, how,
             call->name);
    return weir_raise(WEIR_EWORKER, "job \"%s\": worker process %d of pool %s %s", call->name, pid,
                      pool->executor->name, how);
}

static int receive_body(struct named_call *call, const struct wire_head *head, char **ret)
{
    size_t len = (size_t)head->len;
    char *body;
    int result;

    if ((head->kind != WIRE_RESULT && head->kind != WIRE_ERROR) ||
        head->len > (head->kind == WIRE_RESULT ? call->limit : TEXT_LIMIT))
        return -EPROTO;
    body = weir__malloc(len + 1);
    if (!body)
        return -ENOMEM;
    result = weir__wire_receive(worker.fd, body, len);
    body[len] = '\0';
    if (result)
        weir__free(body);
    else
        *ret = body;
    return result;
}

static weir_error *take_answer(struct named_call *call, const struct wire_head *head, char *body)
{
    if (head->kind == WIRE_ERROR)
        return weir__named_restore(head->code, body, "a worker process");
    WEIR_TRY(weir_buffer_new(call->limit, &call->result));
    return weir_buffer_append(call->result, weir_slice_of(body, (size_t)head->len));
}

static weir_error *run_once(struct named_call *call)
{
    weir_process_pool *pool = call->pool;
    struct wire_head head;
    char *body = NULL;
    weir_error *error;
    int result;

    WEIR_TRY(need_worker(pool));
    call->number = (int)++worker.jobs;
    set_running(call, worker.pidfd);
    result = weir__wire_send(worker.fd, WIRE_CALL, call->number, weir_slice_str(call->name),
                             weir_slice_of(call->argument, call->len), call->limit);
    if (!result)
        result = weir__wire_receive_head(worker.fd, &head);
    if (!result)
        result = receive_body(call, &head, &body);
    if (result)
        return worker_lost(call, result);
    set_running(call, -1);
    error = take_answer(call, &head, body);
    weir__free(body);
    return error;
}

static weir_error *run(void *arg)
{
    struct named_call *call = arg;
    weir_process_pool *pool = call->pool;

    for (unsigned tries = 0;; tries++) {
        weir_error *error = run_once(call);

        if (tries >= pool->retries || !weir_error_is(error, WEIR_EWORKER) || weir_job_cancelled())
            return error;
        weir_ignore(error);
    }
}

/* Submits wrap the call (named.c). */
static struct named_call *call_of(struct exec_job *job)
{
    return job->fn == run ? job->arg : weir__named_submitted(job->arg);
}

static void thread_stop(void *arg)
{
    weir_process_pool *pool = arg;

    (void)weir__pool_worker_end(&worker, pool->killing ? WEIR_NS(0) : LEAVE_LIMIT);
}

static void pool_free(void *arg)
{
    weir_process_pool *pool = arg;

    pthread_mutex_destroy(&pool->lock);
    weir__free(pool->module);
    weir__free(pool->program);
    weir__free(pool->argv0);
    weir__free(pool);
}

static const char *program_of(const weir_process_pool_options *o)
{
    if (o->program)
        return o->program;
    return weir__worker_main_called ? "/proc/self/exe" : WEIR_WORKER_PATH;
}

static weir_error *make_executor(weir_process_pool *pool, const weir_process_pool_options *o)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = processors > 0 ? (unsigned)processors : 1;
    weir_executor_options options = {WEIR_SIZED(weir_executor_options),
                                     .name = o->name ? o->name : "processes",
                                     .threads = o->processes ? o->processes : threads,
                                     .queue = o->queue,
                                     .reject_when_full = o->reject_when_full,
                                     .thread_stop = thread_stop,
                                     .arg = pool,
                                     .stuck_after = o->stuck_after};

    pool->module = weir__strdup(o->module ? o->module : POOL_MODULE_SELF);
    pool->program = weir__strdup(program_of(o));
    pool->argv0 = weir__strdup(o->program ? o->program : program_invocation_name);
    if (!pool->module || !pool->program || !pool->argv0)
        return weir_raise(WEIR_ENOMEM, "process pool");
    return weir_executor_new(&options, &pool->executor);
}

weir_error *weir_process_pool_new(const weir_process_pool_options *given, weir_process_pool **ret)
{
    weir_process_pool_options o = {WEIR_SIZED(weir_process_pool_options)};
    weir_process_pool *pool;
    weir_error *error;

    if (given)
        memcpy(&o, given, given->size < sizeof(o) ? given->size : sizeof(o));
    if (!o.program && !o.module && !weir__worker_main_called)
        return weir_raise(
            WEIR_EINVALSTATE,
            "a program that is its own worker calls weir_worker_main() first in main");
    pool = weir__calloc(1, sizeof(*pool));
    if (!pool)
        return weir_raise(WEIR_ENOMEM, "process pool");
    pthread_mutex_init(&pool->lock, NULL);
    list_init(&pool->running);
    pool->kill_on_cancel = o.kill_on_cancel;
    pool->retries = o.retries;
    pool->jobs_per_worker = o.jobs_per_worker;
    pool->limit = o.result_limit ? o.result_limit : NAMED_LIMIT_DEFAULT;
    pool->start_limit = o.start_limit.ns > 0 ? o.start_limit : START_DEFAULT;
    error = make_executor(pool, &o);
    if (error) {
        pool_free(pool);
        return error;
    }
    pool->executor->freed = pool_free;
    *ret = pool;
    return NULL;
}

weir_process_pool *weir_process_pool_ref(weir_process_pool *pool)
{
    if (pool)
        weir_executor_ref(pool->executor);
    return pool;
}

void weir_process_pool_unref(weir_process_pool *pool)
{
    if (pool)
        weir_executor_unref(pool->executor);
}

static void kill_running(weir_process_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->killing = true;
    weir_list_foreach(call, &pool->running, struct named_call, link)
        ask_locked(pool, call);
    pthread_mutex_unlock(&pool->lock);
}

weir_error *weir_process_pool_shutdown(weir_process_pool *pool, weir_duration limit)
{
    char jobs[512] = "";
    struct text text = TEXT_INIT(jobs);
    unsigned count;

    if (pool->executor->generation != weir__fork_generation)
        return weir_raise(WEIR_EFORKED, "process pool %s", pool->executor->name);
    weir__executor_close(pool->executor);
    if (weir__executor_wait(pool->executor, limit))
        return NULL;
    count = weir__workers_describe(pool->executor, &text);
    kill_running(pool);
    weir_warn_at(NULL, WEIR_WARNING_RUNTIME, NULL,
                 "process pool '%s' did not end within %.3f seconds: %u %s killed: %s",
                 pool->executor->name, (double)limit.ns / 1e9, count,
                 count == 1 ? "job was" : "jobs were", jobs);
    (void)weir__executor_wait(pool->executor, KILLED_LIMIT);
    return weir_raise(WEIR_ETIMEDOUT, "jobs were killed");
}

struct join {
    weir_process_pool *pool;
    weir_duration limit;
};

static weir_error *shut_down(void *arg)
{
    struct join *join = arg;

    return weir_process_pool_shutdown(join->pool, join->limit);
}

weir_error *weir_process_pool_join(weir_process_pool *pool, weir_duration limit)
{
    struct join join = {pool, limit};

    return weir__executor_aside(shut_down, &join);
}

weir_error *weir_process_pool_call_at(const weir_site *site, weir_process_pool *pool,
                                      const char *name, weir_slice argument,
                                      weir_buffer **ret_result)
{
    struct named_call *call = NULL;

    WEIR_TRY(weir__named_call_new(pool, name, argument, pool->limit, &call));
    return weir__named_call(pool->executor, site, run, ask, call, ret_result);
}

weir_error *weir_process_pool_submit_at(const weir_site *site, weir_process_pool *pool,
                                        const char *name, weir_slice argument, weir_future **ret)
{
    struct named_call *call = NULL;

    WEIR_TRY(weir__named_call_new(pool, name, argument, pool->limit, &call));
    return weir__named_submit(pool->executor, site, run, ask, call, ret);
}
