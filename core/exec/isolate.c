/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools of isolated threads: a thread pool whose threads have a state, and a loop when asked for.
 * A pool lives as long as its executor, which its references are.
 */
#include "config.h"

#include <string.h>

#include <weir/isolate.h>

#include "core/base/alloc.h"
#include "core/base/chunk.h"
#include "core/exec/named.h"
#include "core/task/wait.h"

#define GRACE WEIR_S(1) /* for tasks that a job left behind in its thread's loop */

struct weir_isolate_pool {
    weir_executor *executor;
    const weir_job_table *table;
    size_t limit;
    bool with_loop;
};

static __thread weir_loop *own_loop;

static weir_error *start(void *arg)
{
    weir_isolate_pool *pool = arg;
    weir_error *error = NULL;

    if (pool->with_loop)
        WEIR_TRY(weir_loop_new(NULL, &own_loop));
    if (pool->table->start)
        error = pool->table->start(&weir__isolate_state);
    if (error && own_loop) {
        weir_loop_close_force(own_loop, GRACE);
        weir_loop_unref(WEIR_TAKE(own_loop));
    }
    return error;
}

static void stop(void *arg)
{
    weir_isolate_pool *pool = arg;

    if (own_loop) {
        weir_loop_close_force(own_loop, GRACE);
        weir_loop_unref(WEIR_TAKE(own_loop));
    }
    if (pool->table->stop)
        pool->table->stop(WEIR_TAKE(weir__isolate_state));
}

static weir_error *run_job(void *arg)
{
    struct named_call *call = arg;

    return call->job->run(weir_slice_of(call->argument, call->len), call->result);
}

static weir_error *run_as_task(struct named_call *call)
{
    weir_auto(weir_task) task = NULL;

    WEIR_TRY(weir__spawn(own_loop, WEIR_HERE, call->name, run_job, call, &task));
    return weir_loop_run_until_complete(own_loop, weir_task_future(task));
}

/* Out of the chunks of this thread's loop, which nobody else may hold. */
static weir_error *copy_out_of_chunks(struct named_call *call)
{
    struct chunk_pool *chunks = weir__thread_pool;
    weir_buffer *copy = NULL;
    weir_slice all;
    weir_error *error;

    if (!chunks)
        return NULL;
    WEIR_TRY(weir_buffer_linear(call->result, &all));
    WEIR_TRY(weir_buffer_new(call->limit, &copy));
    weir__thread_pool = NULL; /* so that it copies */
    error = weir_buffer_append(copy, all);
    weir__thread_pool = chunks;
    weir_buffer_unref(call->result);
    call->result = copy;
    return error;
}

static weir_error *run(void *arg)
{
    struct named_call *call = arg;
    char text[NAMED_ERROR_MAX];
    weir_error *error;
    weir_code code;

    WEIR_TRY(weir_buffer_new(call->limit, &call->result));
    error = own_loop ? run_as_task(call) : run_job(call);
    if (!error)
        error = copy_out_of_chunks(call);
    if (!error)
        return NULL;
    weir_buffer_unref(WEIR_TAKE(call->result)); /* it may hold chunks of this thread's loop */
    code = weir__named_flatten(error, text, sizeof(text));
    return weir__named_restore(code, text, "an isolated thread");
}

static void pool_free(void *pool)
{
    weir__free(pool);
}

weir_error *weir_isolate_pool_new(const weir_isolate_options *given, weir_isolate_pool **ret)
{
    weir_isolate_options o = {WEIR_SIZED(weir_isolate_options)};
    weir_isolate_pool *pool;
    weir_error *error;

    memcpy(&o, given, given->size < sizeof(o) ? given->size : sizeof(o));
    if (!o.table || !o.table->jobs)
        return weir_raise(WEIR_EINVAL, "an isolate pool needs a table of jobs");
    pool = weir__calloc(1, sizeof(*pool));
    if (!pool)
        return weir_raise(WEIR_ENOMEM, "isolate pool");
    pool->table = o.table;
    pool->with_loop = o.with_loop;
    pool->limit = o.result_limit ? o.result_limit : NAMED_LIMIT_DEFAULT;
    error = weir_executor_new(
        &(weir_executor_options){
            WEIR_SIZED(weir_executor_options), .name = o.name ? o.name : "isolate",
            .threads = o.threads, .queue = o.queue, .reject_when_full = o.reject_when_full,
            .thread_start = start, .thread_stop = stop, .arg = pool, .stuck_after = o.stuck_after},
        &pool->executor);
    if (error) {
        weir__free(pool);
        return error;
    }
    pool->executor->freed = pool_free;
    *ret = pool;
    return NULL;
}

weir_isolate_pool *weir_isolate_pool_ref(weir_isolate_pool *pool)
{
    if (pool)
        weir_executor_ref(pool->executor);
    return pool;
}

void weir_isolate_pool_unref(weir_isolate_pool *pool)
{
    if (pool)
        weir_executor_unref(pool->executor);
}

weir_error *weir_isolate_pool_shutdown(weir_isolate_pool *pool, weir_duration limit)
{
    return weir_executor_shutdown(pool->executor, limit);
}

weir_error *weir_isolate_pool_join(weir_isolate_pool *pool, weir_duration limit)
{
    return weir_executor_join(pool->executor, limit);
}

static weir_error *prepare(weir_isolate_pool *pool, const char *name, weir_slice argument,
                           struct named_call **ret)
{
    const weir_named_job *job = weir__named_find(pool->table, name);

    if (!job)
        return weir_raise(WEIR_ENONAME, "job \"%s\" of pool %s", name, pool->executor->name);
    WEIR_TRY(weir__named_call_new(pool, name, argument, pool->limit, ret));
    (*ret)->job = job;
    return NULL;
}

weir_error *weir_isolate_call_at(const weir_site *site, weir_isolate_pool *pool, const char *name,
                                 weir_slice argument, weir_buffer **ret_result)
{
    struct named_call *call = NULL;

    WEIR_TRY(prepare(pool, name, argument, &call));
    return weir__named_call(pool->executor, site, run, NULL, call, ret_result);
}

weir_error *weir_isolate_submit_at(const weir_site *site, weir_isolate_pool *pool, const char *name,
                                   weir_slice argument, weir_future **ret)
{
    struct named_call *call = NULL;

    WEIR_TRY(prepare(pool, name, argument, &call));
    return weir__named_submit(pool->executor, site, run, NULL, call, ret);
}
