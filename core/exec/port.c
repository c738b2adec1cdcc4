/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The port through which jobs come back to their loop, and the pools that a loop owns.
 *
 * The worker that puts the first ended job into an empty port posts one callback to the loop, which
 * takes all that are there by then. When the loop has closed, the port says so, and the worker ends
 * the job itself ("orphan"): nobody waits for it any more, what it owns is dropped.
 *
 * While jobs are out, one timer of the loop watches for those that run too long. It is of the loop
 * because every loop that hands in jobs is awake to see it, and costs nothing without jobs.
 */
#include "config.h"

#include <unistd.h>

#include <weir/log.h>

#include "core/base/alloc.h"
#include "core/exec/exec.h"

#define DNS_THREADS 4

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

/* When the job will have run too long, on the real clock; INT64_MAX: never, or it was logged. */
static int64_t look_at(struct exec_job *job, int64_t now)
{
    weir_executor *executor = job->executor;
    int64_t limit = executor->stuck_after.ns, started;
    bool running;

    if (job->stuck_logged || weir_is_forever(executor->stuck_after))
        return INT64_MAX;
    pthread_mutex_lock(&executor->lock);
    running = job->state == JOB_RUNNING;
    started = job->started;
    pthread_mutex_unlock(&executor->lock);
    if (!running)
        return now + limit;
    if (now - started < limit)
        return started + limit;
    job->stuck_logged = true;
    weir_log(weir_logger_get("weir.executor"), WEIR_LOG_WARNING,
             "executor %s: job %s() at %s:%d has been running for %.3f seconds", executor->name,
             job->name, text_site_file(job->site), job->site->line, (double)(now - started) / 1e9);
    return INT64_MAX;
}

static weir_error *watch_fired(struct job *job)
{
    struct exec_port *port = container_of(job, struct exec_port, watch.job);
    int64_t now = weir_now().ns, next = INT64_MAX;

    weir_list_foreach(job, &port->outstanding, struct exec_job, home) {
        int64_t when = look_at(job, now);

        if (when < next)
            next = when;
    }
    if (next == INT64_MAX)
        return NULL;
    return weir__timer_start(port->loop, &port->watch,
                             (weir_instant){weir__loop_now(port->loop) + (next - now)});
}

void weir__exec_port_expect(struct exec_job *job)
{
    struct exec_port *port = job->port;
    weir_duration limit = job->executor->stuck_after;
    weir_instant when;

    list_append(&port->outstanding, &job->home);
    weir__loop_external_begin(port->loop);
    if (weir_is_forever(limit))
        return;
    when = (weir_instant){weir__loop_now(port->loop) + limit.ns};
    if (timer_running(&port->watch) && port->watch.deadline <= when.ns)
        return;
    weir_ignore(weir__timer_start(port->loop, &port->watch, when)); /* no memory: no report */
}

void weir__exec_port_settled(struct exec_job *job)
{
    struct exec_port *port = job->port;

    list_remove(&job->home);
    weir__loop_external_end(port->loop);
    if (list_empty(&port->outstanding) && timer_running(&port->watch))
        weir__timer_stop(port->loop, &port->watch);
}

static void end_pool(struct exec_port *port, unsigned which)
{
    weir_executor *executor = WEIR_TAKE(port->pools[which]);

    if (executor && port->own[which])
        weir_ignore(weir_executor_shutdown(executor, SHUTDOWN_LIMIT)); /* warns itself */
    weir_executor_unref(executor);
}

static void close_port(weir_loop *loop, void *state)
{
    struct exec_port *port = state;
    struct list ended;

    for (unsigned i = 0; i < WEIR_EXECUTOR_CLASSES; i++) /* asked together, awaited in turn */
        if (port->pools[i] && port->own[i])
            weir__executor_close(port->pools[i]);
    for (unsigned i = 0; i < WEIR_EXECUTOR_CLASSES; i++)
        end_pool(port, i);
    weir__exec_port_give_up(port);
    weir__timer_stop(loop, &port->watch);
    pthread_mutex_lock(&port->lock);
    port->loop = NULL;
    pthread_mutex_unlock(&port->lock);
    take_ended(port, &ended);
    end_all(&ended, true);
    weir__exec_port_unref(port);
}

/* Its jobs live in tasks or may be abandoned: nothing of its own keeps a loop from closing. */
static const struct loop_slot_ops slot_ops = {.destroy = close_port};

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
        list_init(&port->outstanding);
        weir__timer_init(&port->watch, watch_fired, WEIR_HERE);
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

static weir_error *make_pool(weir_executor_class which, weir_executor **ret)
{
    static const char *const names[] = {"default", "file", "dns", "cpu"};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    weir_executor_options options = {WEIR_SIZED(weir_executor_options), .name = names[which]};

    if (which == WEIR_EXECUTOR_DNS)
        options.threads = DNS_THREADS;
    else if (which == WEIR_EXECUTOR_CPU)
        options.threads = processors > 0 ? (unsigned)processors : 1;
    return weir_executor_new(&options, ret);
}

weir_error *weir_loop_executor(weir_loop *loop, weir_executor_class which, weir_executor **ret)
{
    struct exec_port *port = NULL;

    WEIR_TRY(weir__loop_check_thread(loop));
    if ((unsigned)which >= WEIR_EXECUTOR_CLASSES)
        return weir_raise(WEIR_EINVAL, "executor class %d", (int)which);
    WEIR_TRY(weir__exec_port_of(loop, &port));
    if (!port->pools[which]) {
        WEIR_TRY(make_pool(which, &port->pools[which]));
        port->own[which] = true;
    }
    *ret = port->pools[which];
    return NULL;
}

weir_error *weir_loop_default_executor(weir_loop *loop, weir_executor **ret)
{
    return weir_loop_executor(loop, WEIR_EXECUTOR_DEFAULT, ret);
}

void weir_loop_set_executor(weir_loop *loop, weir_executor_class which, weir_executor *executor)
{
    struct exec_port *port = NULL;
    weir_error *error;

    if (!weir__loop_allows(loop))
        return;
    error = weir__exec_port_of(loop, &port);
    if (error || (unsigned)which >= WEIR_EXECUTOR_CLASSES) {
        weir_ignore(error);
        return;
    }
    weir_executor_ref(executor);
    weir_executor_unref(port->pools[which]);
    port->pools[which] = executor;
    port->own[which] = false;
}

void weir_loop_set_default_executor(weir_loop *loop, weir_executor *executor)
{
    weir_loop_set_executor(loop, WEIR_EXECUTOR_DEFAULT, executor);
}
