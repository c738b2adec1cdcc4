/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs from the loop's side: call and submit. They come back through the port (port.c).
 *
 * A call keeps its job in its own frame, so it returns only when the job has ended: a cancellation
 * withdraws a queued job and asks a running one, whose outcome then wins over the cancellation.
 */
#include "config.h"

#include "core/base/alloc.h"
#include "core/exec/exec.h"
#include "core/task/task.h"

struct submit {
    struct list link; /* in the port; the loop's thread only */
    struct exec_job job;
    weir_future *future; /* a reference; NULL: the loop has closed or nobody waits */
    weir_drop_fn drop;
};

void weir__exec_job_init(struct exec_job *job, struct exec_port *port, const weir_site *site,
                         const char *name)
{
    *job = (struct exec_job){.port = port, .site = site, .name = name};
    list_init(&job->link);
    list_init(&job->home);
    atomic_init(&job->cancelled, false);
}

void weir__exec_job_drop_value(struct exec_job *job)
{
    weir_drop_fn drop = WEIR_TAKE(job->value_drop);

    if (drop)
        drop(job->value);
}

struct call {
    struct waiter waiter;
    struct exec_job job;
};

static void call_ended(struct exec_job *job, bool orphan)
{
    struct call *call = container_of(job, struct call, job);

    if (orphan) /* a loop that closed over its tasks never runs them again */
        return;
    weir__exec_port_settled(job);
    weir__wait_wake(&call->waiter);
}

static bool call_interrupt(struct waiter *waiter)
{
    struct call *call = container_of(waiter, struct call, waiter);

    if (!weir__executor_withdraw(call->job.executor, &call->job))
        return false;
    weir__exec_port_settled(&call->job);
    return true;
}

weir_error *weir__executor_call(weir_executor *executor, const weir_site *site, const char *name,
                                weir_fn fn, void *arg, void (*ask)(struct exec_job *job))
{
    weir_auto(weir_executor) held = NULL;
    struct exec_port *port = NULL;
    struct call call;
    weir_error *error;

    WEIR_TRY(weir__wait_begin(&call.waiter));
    WEIR_TRY(weir__exec_port_here(&port));
    weir__exec_job_init(&call.job, port, site, name);
    call.job.fn = fn;
    call.job.arg = arg;
    call.job.ask = ask;
    call.job.ended = call_ended;
    call.job.executor = held = weir_executor_ref(executor);
    WEIR_TRY(weir_context_copy(&call.job.context));
    error = weir__executor_enqueue(executor, &call.job, true);
    if (!error) {
        weir__exec_port_expect(&call.job);
        error = weir__wait(&call.waiter, call_interrupt);
    }
    weir_context_unref(call.job.context); /* of a job that did not run */
    WEIR_TRY(error);
    weir__exec_job_drop_value(&call.job);
    return call.job.error;
}

weir_error *weir_executor_call_at(const weir_site *site, const char *name, weir_executor *executor,
                                  weir_fn fn, void *arg)
{
    return weir__executor_call(executor, site, name, fn, arg, NULL);
}

weir_error *weir_to_thread_at(const weir_site *site, const char *name, weir_fn fn, void *arg)
{
    weir_executor *executor = NULL;

    WEIR_TRY(weir__wait_check());
    WEIR_TRY(weir_loop_default_executor(weir__thread_loop, &executor));
    return weir__executor_call(executor, site, name, fn, arg, NULL);
}

struct join {
    weir_executor *executor;
    weir_duration limit;
};

static weir_error *shut_down(void *arg)
{
    struct join *join = arg;

    return weir_executor_shutdown(join->executor, join->limit);
}

weir_error *weir__executor_aside(weir_fn fn, void *arg)
{
    weir_executor_options options = {WEIR_SIZED(weir_executor_options), .name = "join",
                                     .threads = 1, .stuck_after = WEIR_FOREVER};
    weir_auto(weir_executor) helper = NULL;

    WEIR_TRY(weir__wait_check());
    WEIR_TRY(weir_executor_new(&options, &helper));
    return weir_executor_call(helper, fn, arg);
}

weir_error *weir_executor_join(weir_executor *executor, weir_duration limit)
{
    struct join join = {executor, limit};

    return weir__executor_aside(shut_down, &join);
}

/* The last moment at which the loop's thread may touch what the jobs own. */
void weir__exec_port_give_up(struct exec_port *port)
{
    weir_list_foreach_safe(submit, &port->submits, struct submit, link) {
        weir_future *future = WEIR_TAKE(submit->future);

        list_remove(&submit->link);
        future->on_cancel = NULL;
        (void)weir_future_cancel(future);
        weir_future_unref(future);
    }
}

static void submit_free(struct submit *submit)
{
    if (submit->drop)
        submit->drop(submit->job.arg);
    weir__exec_job_drop_value(&submit->job);
    weir_ignore(submit->job.error);
    weir_context_unref(submit->job.context); /* of a job that did not run */
    weir_executor_unref(submit->job.executor);
    weir__exec_port_unref(submit->job.port);
    weir__free(submit);
}

static void submit_ended(struct exec_job *job, bool orphan)
{
    struct submit *submit = container_of(job, struct submit, job);
    weir_future *future = submit->future;

    if (orphan) {
        submit_free(submit);
        return;
    }
    weir__exec_port_settled(job);
    list_remove(&submit->link);
    submit->future = NULL;
    future->on_cancel = NULL;
    if (future->state == FUTURE_PENDING && job->error) {
        weir__future_complete(future, WEIR_TAKE(job->error));
    } else if (future->state == FUTURE_PENDING) {
        future->value = WEIR_TAKE(job->value);
        future->drop = WEIR_TAKE(job->value_drop);
        weir__future_complete(future, NULL);
    }
    submit_free(submit);
    weir_future_unref(future);
}

/* A queued job goes at once; a running one is asked to end, and its outcome is dropped later. */
static void submit_cancelled(weir_future *future, void *arg)
{
    struct submit *submit = arg;

    future->on_cancel = NULL;
    if (!weir__executor_withdraw(submit->job.executor, &submit->job))
        return;
    weir__exec_port_settled(&submit->job);
    list_remove(&submit->link);
    weir_future_unref(WEIR_TAKE(submit->future)); /* the caller of cancel holds another */
    submit_free(submit);
}

static weir_error *submit_new(struct exec_port *port, const weir_site *site, const char *name,
                              struct submit **ret_submit)
{
    struct submit *submit = weir__calloc(1, sizeof *submit);
    weir_error *error;

    if (!submit)
        return weir_raise(WEIR_ENOMEM, "job");
    error = weir_future_new_at(site, &submit->future);
    if (error) {
        weir__free(submit);
        return error;
    }
    weir__exec_job_init(&submit->job, weir__exec_port_ref(port), site, name);
    submit->job.ended = submit_ended;
    *ret_submit = submit;
    return NULL;
}

weir_error *weir__executor_submit(weir_executor *executor, const weir_site *site, const char *name,
                                  weir_fn fn, void *take_arg, weir_drop_fn drop,
                                  void (*ask)(struct exec_job *job), weir_future **ret)
{
    struct exec_port *port = NULL;
    struct submit *submit = NULL;
    weir_future *future;
    weir_error *error;

    WEIR_TRY(weir__exec_port_here(&port));
    WEIR_TRY(submit_new(port, site, name, &submit));
    submit->job.fn = fn;
    submit->job.arg = take_arg;
    submit->job.ask = ask;
    submit->job.executor = weir_executor_ref(executor);
    future = weir_future_ref(submit->future);
    error = weir_context_copy(&submit->job.context);
    if (!error)
        error = weir__executor_enqueue(executor, &submit->job, false);
    if (error) { /* arg stays with the caller */
        weir_future_unref(WEIR_TAKE(submit->future));
        weir_future_unref(future);
        submit_free(submit);
        return error;
    }
    submit->drop = drop;
    list_append(&port->submits, &submit->link);
    weir__exec_port_expect(&submit->job);
    future->on_cancel = submit_cancelled;
    future->on_cancel_arg = submit;
    if (ret)
        *ret = future;
    else
        weir_future_unref(future);
    return NULL;
}

weir_error *weir_executor_submit_at(const weir_site *site, const char *name,
                                    weir_executor *executor, weir_fn fn, void *take_arg,
                                    weir_drop_fn drop, weir_future **ret)
{
    return weir__executor_submit(executor, site, name, fn, take_arg, drop, NULL, ret);
}
