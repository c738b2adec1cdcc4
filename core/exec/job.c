/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs from the loop's side: call, submit, and the port through which they come back.
 *
 * The worker that puts the first ended job into an empty port posts one callback to the loop, which
 * takes all that are there by then. When the loop has closed, the port says so, and the worker ends
 * the job itself ("orphan"): nobody waits for it any more, what it owns is dropped.
 *
 * A call keeps its job in its own frame, so it returns only when the job has ended: a cancellation
 * withdraws a queued job and asks a running one, whose outcome then wins over the cancellation.
 */
#include "config.h"

#include <weir/log.h>

#include "core/base/alloc.h"
#include "core/exec/exec.h"
#include "core/task/task.h"

/* How long the closing of a loop waits for jobs of its own executor. */
#define SHUTDOWN_LIMIT WEIR_S(5)

struct exec_port *weir__exec_port_ref(struct exec_port *port)
{
    atomic_fetch_add(&port->refs, 1);
    return port;
}

void weir__exec_port_unref(struct exec_port *port)
{
    if (atomic_fetch_sub(&port->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&port->lock);
    weir__free(port);
}

static void end_all(struct list *ended, bool orphan)
{
    while (!list_empty(ended)) {
        struct exec_job *job = container_of(ended->next, struct exec_job, link);

        list_remove(&job->link);
        job->ended(job, orphan);
    }
}

static void take_ended(struct exec_port *port, struct list *ended)
{
    list_init(ended);
    pthread_mutex_lock(&port->lock);
    list_splice(ended, &port->ended);
    port->posted = false;
    pthread_mutex_unlock(&port->lock);
}

static weir_error *reap(void *arg)
{
    struct exec_port *port = arg;
    struct list ended;

    take_ended(port, &ended);
    end_all(&ended, false);
    weir__exec_port_unref(port);
    return NULL;
}

static void forget_post(void *port)
{
    weir__exec_port_unref(port);
}

/* With the port's lock held, under which the loop exists while port->loop is set. */
static bool post_reap(struct exec_port *port)
{
    weir_error *error;

    weir__exec_port_ref(port);
    error = weir_loop_call_soon_threadsafe(port->loop, reap, port, forget_post);
    if (!error)
        return true;
    weir_ignore(error);
    weir__exec_port_unref(port);
    return false;
}

void weir__exec_port_deliver(struct exec_job *job)
{
    struct exec_port *port = weir__exec_port_ref(job->port);
    bool orphan;

    pthread_mutex_lock(&port->lock);
    orphan = !port->loop;
    if (!orphan) { /* a post that fails for memory is made up for by the next job's */
        port->posted = port->posted || post_reap(port);
        list_append(&port->ended, &job->link);
    }
    pthread_mutex_unlock(&port->lock);
    if (orphan)
        job->ended(job, true);
    weir__exec_port_unref(port);
}

struct submit {
    struct list link; /* in the port; the loop's thread only */
    struct exec_job job;
    weir_executor *executor; /* a reference, for the withdrawal */
    weir_future *future;     /* a reference; NULL: the loop has closed or nobody waits */
    weir_drop_fn drop;
};

/* The last moment at which the loop's thread may touch what the jobs own. */
static void give_up_futures(struct exec_port *port)
{
    weir_list_foreach_safe(submit, &port->submits, struct submit, link) {
        weir_future *future = WEIR_TAKE(submit->future);

        list_remove(&submit->link);
        future->on_cancel = NULL;
        (void)weir_future_cancel(future);
        weir_future_unref(future);
    }
}

static void close_port(weir_loop *loop, void *state)
{
    struct exec_port *port = state;
    weir_executor *standard = WEIR_TAKE(port->standard);
    struct list ended;

    (void)loop;
    if (port->own_standard) {
        weir_error *error = weir_executor_shutdown(standard, SHUTDOWN_LIMIT);

        if (error)
            weir_log_error(weir_logger_get("weir.executor"), WEIR_LOG_WARNING, error,
                           "a loop was closed over jobs of its executor");
    }
    weir_executor_unref(standard);
    give_up_futures(port);
    pthread_mutex_lock(&port->lock);
    port->loop = NULL;
    pthread_mutex_unlock(&port->lock);
    take_ended(port, &ended);
    end_all(&ended, true);
    weir__exec_port_unref(port);
}

/* Its jobs live in tasks or may be abandoned: nothing of its own keeps a loop from closing. */
static void cancel_nothing(weir_loop *loop, void *state)
{
    (void)loop;
    (void)state;
}

static size_t nothing_lives(weir_loop *loop, void *state, char *buffer, size_t size)
{
    (void)loop;
    (void)state;
    (void)buffer;
    (void)size;
    return 0;
}

static const struct loop_slot_ops slot_ops = {
    .cancel_all = cancel_nothing,
    .live = nothing_lives,
    .destroy = close_port,
};

weir_error *weir__exec_port_of(weir_loop *loop, struct exec_port **ret)
{
    struct exec_port *port = weir__loop_slot(loop, LOOP_SLOT_EXECUTOR);

    if (!port) {
        port = weir__calloc(1, sizeof *port);
        if (!port)
            return weir_raise(WEIR_ENOMEM, "executor");
        atomic_init(&port->refs, 1);
        pthread_mutex_init(&port->lock, NULL);
        list_init(&port->ended);
        list_init(&port->submits);
        port->loop = loop;
        weir__loop_set_slot(loop, LOOP_SLOT_EXECUTOR, port, &slot_ops);
    }
    *ret = port;
    return NULL;
}

weir_error *weir__exec_port_here(struct exec_port **ret)
{
    if (!weir__thread_loop)
        return weir_raise(WEIR_ETHREAD, "no loop belongs to this thread");
    return weir__exec_port_of(weir__thread_loop, ret);
}

weir_error *weir_loop_default_executor(weir_loop *loop, weir_executor **ret)
{
    struct exec_port *port = NULL;

    WEIR_TRY(weir__loop_check_thread(loop));
    WEIR_TRY(weir__exec_port_of(loop, &port));
    if (!port->standard) {
        WEIR_TRY(weir_executor_new(NULL, &port->standard));
        port->own_standard = true;
    }
    *ret = port->standard;
    return NULL;
}

void weir_loop_set_default_executor(weir_loop *loop, weir_executor *executor)
{
    struct exec_port *port = NULL;
    weir_error *error = weir__loop_check_thread(loop);

    if (!error)
        error = weir__exec_port_of(loop, &port);
    if (error) {
        weir_ignore(error);
        return;
    }
    weir_executor_unref(port->standard);
    port->standard = weir_executor_ref(executor);
    port->own_standard = false;
}

static void job_init_common(struct exec_job *job, struct exec_port *port, weir_fn fn, void *arg)
{
    *job = (struct exec_job){.fn = fn, .arg = arg, .port = port};
    list_init(&job->link);
    atomic_init(&job->cancelled, false);
}

static void drop_job_value(struct exec_job *job)
{
    weir_drop_fn drop = WEIR_TAKE(job->value_drop);

    if (drop)
        drop(job->value);
}

struct call {
    struct waiter waiter;
    struct exec_job job;
    weir_executor *executor;
};

static void call_ended(struct exec_job *job, bool orphan)
{
    struct call *call = container_of(job, struct call, job);

    if (!orphan) /* a loop that closed over its tasks never runs them again */
        weir__wait_wake(&call->waiter);
}

static bool call_interrupt(struct waiter *waiter)
{
    struct call *call = container_of(waiter, struct call, waiter);

    return weir__executor_withdraw(call->executor, &call->job);
}

weir_error *weir_executor_call(weir_executor *executor, weir_fn fn, void *arg)
{
    weir_auto(weir_executor) held = NULL;
    struct exec_port *port = NULL;
    struct call call;

    WEIR_TRY(weir__wait_begin(&call.waiter));
    WEIR_TRY(weir__exec_port_here(&port));
    job_init_common(&call.job, port, fn, arg);
    call.job.ended = call_ended;
    call.executor = held = weir_executor_ref(executor);
    WEIR_TRY(weir__executor_enqueue(executor, &call.job, true));
    WEIR_TRY(weir__wait(&call.waiter, call_interrupt));
    drop_job_value(&call.job);
    return call.job.error;
}

static void submit_free(struct submit *submit)
{
    if (submit->drop)
        submit->drop(submit->job.arg);
    drop_job_value(&submit->job);
    weir_ignore(submit->job.error);
    weir_executor_unref(submit->executor);
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
    if (!weir__executor_withdraw(submit->executor, &submit->job))
        return;
    list_remove(&submit->link);
    weir_future_unref(WEIR_TAKE(submit->future)); /* the caller of cancel holds another */
    submit_free(submit);
}

static weir_error *submit_new(struct exec_port *port, weir_fn fn, void *arg,
                              struct submit **ret_submit)
{
    struct submit *submit = weir__calloc(1, sizeof *submit);
    weir_error *error;

    if (!submit)
        return weir_raise(WEIR_ENOMEM, "job");
    error = weir_future_new(&submit->future);
    if (error) {
        weir__free(submit);
        return error;
    }
    job_init_common(&submit->job, weir__exec_port_ref(port), fn, arg);
    submit->job.ended = submit_ended;
    *ret_submit = submit;
    return NULL;
}

weir_error *weir_executor_submit(weir_executor *executor, weir_fn fn, void *take_arg,
                                 weir_drop_fn drop, weir_future **ret)
{
    struct exec_port *port = NULL;
    struct submit *submit = NULL;
    weir_future *future;
    weir_error *error;

    WEIR_TRY(weir__exec_port_here(&port));
    WEIR_TRY(submit_new(port, fn, take_arg, &submit));
    submit->executor = weir_executor_ref(executor);
    future = weir_future_ref(submit->future);
    error = weir__executor_enqueue(executor, &submit->job, false);
    if (error) { /* arg stays with the caller */
        weir_future_unref(WEIR_TAKE(submit->future));
        weir_future_unref(future);
        submit_free(submit);
        return error;
    }
    submit->drop = drop;
    list_append(&port->submits, &submit->link);
    future->on_cancel = submit_cancelled;
    future->on_cancel_arg = submit;
    if (ret)
        *ret = future;
    else
        weir_future_unref(future);
    return NULL;
}
