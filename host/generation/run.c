/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traffic loops: a thread each, started together, drained together.
 *
 *   start:  each thread makes its loop, starts its share of every instance, serves every socket
 *   drain:  servers stop accepting, idle connections end, the last connection's end ends the loop
 *   grace:  when it is over connections are aborted; what ignores even that is left to the loop's
 *           own forced close
 *
 * The control loop asks by thread-safe calls and is told the same way; the threads are joined there.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/executor.h>
#include <weir/log.h>

#include "host/generation/change.h"
#include "host/generation/generation.h"
#include "host/generation/tls_watch.h"
#include "host/health/health.h"

/* After connections were aborted, their ends have this long to be noticed. */
#define ABORT_GRACE WEIR_S(5)
#define CLOSE_GRACE WEIR_S(2)

static weir_logger *logger(void)
{
    return weir_logger_get("weir.host");
}

/* On a traffic loop: the beginning. */

static weir_error *begin_work(struct traffic_thread *thread)
{
    struct change_share share = {.change = thread->host->first, .thread = thread};
    bool more = true;

    thread->generation = thread->host->generation;
    WEIR_TRY(weir__loop_settings(thread, NULL, thread->generation));
    while (more)
        WEIR_TRY(weir__loop_enter(&share, &more));
    return NULL;
}

static void tell_ready(struct traffic_thread *thread, weir_error *take_error)
{
    pthread_mutex_lock(&thread->host->mutex);
    if (!thread->told) {
        thread->error = take_error ? weir_error_detach(take_error) : NULL;
        thread->host->n_ready++;
        thread->told = true;
    } else if (take_error) {
        weir_log_error(logger(), WEIR_LOG_ERROR, take_error, "traffic loop %u ended",
                       thread->traffic.index);
    }
    pthread_cond_signal(&thread->host->ready);
    pthread_mutex_unlock(&thread->host->mutex);
}

static weir_error *begin(void *arg)
{
    struct traffic_thread *thread = arg;
    weir_error *error = begin_work(thread);

    /* After a failure it waits for drain() as the others do. */
    tell_ready(thread, error);
    return NULL;
}

/* On a traffic loop: the end. */

void weir__loop_finish(struct traffic_thread *thread)
{
    weir__loop_leave_all(thread);
    weir_loop_stop(thread->traffic.loop);
}

static weir_error *drain(void *arg)
{
    struct traffic_thread *thread = arg;

    if (thread->traffic.draining)
        return NULL;
    thread->traffic.draining = true;
    weir__loop_drain(thread);
    return NULL;
}

static weir_error *abort_all(void *arg)
{
    struct traffic_thread *thread = arg;

    thread->traffic.aborting = true;
    weir__loop_abort_connections(thread);
    return NULL;
}

/* The thread. */

static weir_error *thread_ended(void *arg);

static weir_error *run_loop(struct traffic_thread *thread)
{
    const struct runtime_config *runtime = &thread->host->generation->top->runtime;
    char name[32];
    weir_loop_options options = {
        WEIR_SIZED(weir_loop_options), .backend = thread->host->generation->settings.backend,
        .stack_size = runtime->limits.coroutine_stack, .name = name,
        .debug = thread->host->generation->settings.debug ? WEIR_DEBUG_ON : WEIR_DEBUG_OFF};

    weir__affinity_pin(&runtime->cpu_affinity, thread->traffic.index);
    snprintf(name, sizeof name, "traffic-%u", thread->traffic.index);
    WEIR_TRY(weir_loop_new(&options, &thread->traffic.loop));
    if (thread->traffic.index == 0)
        weir_log(logger(), WEIR_LOG_INFO, "runtime.backend: %s (%s)",
                 weir_loop_backend(thread->traffic.loop),
                 weir_loop_backend_reason(thread->traffic.loop));
    WEIR_TRY(weir_loop_call_soon(thread->traffic.loop, begin, thread, NULL, NULL));
    return weir_loop_run_forever(thread->traffic.loop);
}

static void *thread_main(void *arg)
{
    struct traffic_thread *thread = arg;
    weir_error *error;
    char name[16];

    snprintf(name, sizeof name, "traffic-%u", thread->traffic.index & 0xfff);
    pthread_setname_np(pthread_self(), name);
    weir__traffic_enter(&thread->traffic);
    error = run_loop(thread);
    if (error)
        tell_ready(thread, error);
    if (thread->traffic.loop) {
        weir__loop_forget_servers(thread);
        weir_loop_cancel_tasks(thread->traffic.loop);
        weir_loop_close_force(thread->traffic.loop, CLOSE_GRACE);
    }
    weir__traffic_leave(&thread->traffic);
    /* A start that fails joins its threads itself. */
    if (__atomic_load_n(&thread->host->serving, __ATOMIC_ACQUIRE))
        weir_ignore(
            weir_loop_call_soon_threadsafe(thread->host->control, thread_ended, thread, NULL));
    return NULL;
}

/* On the control loop. */

static void post(weir_host *host, weir_fn fn)
{
    for (unsigned i = 0; i < host->n_threads; i++) {
        struct traffic_thread *thread = &host->threads[i];

        if (thread->started && !thread->ended && thread->traffic.loop)
            weir_ignore(weir_loop_call_soon_threadsafe(thread->traffic.loop, fn, thread, NULL));
    }
}

static void join(struct traffic_thread *thread)
{
    pthread_join(thread->thread, NULL);
    /* Closed by its thread; other threads may have posted to it until now. */
    if (thread->traffic.loop)
        weir_loop_unref(thread->traffic.loop);
    thread->traffic.loop = NULL;
    thread->ended = true;
    thread->host->n_ended++;
}

static weir_error *thread_ended(void *arg)
{
    struct traffic_thread *thread = arg;
    weir_host *host = thread->host;

    join(thread);
    if (host->n_ended < host->n_threads)
        return NULL;
    if (host->has_deadline)
        weir_timer_stop(&host->deadline);
    host->state = HOST_STOPPED;
    return host->stopped ? host->stopped(host->stopped_arg) : NULL;
}

static weir_error *grace_is_over(void *arg)
{
    weir_host *host = arg;

    if (!host->aborted) {
        uint64_t open = weir_host_connections(host);

        host->aborted = true;
        if (open)
            weir_log(logger(), WEIR_LOG_WARNING, "the grace is over: %llu connections are aborted",
                     (unsigned long long)open);
        post(host, abort_all);
        weir_timer_start(&host->deadline, ABORT_GRACE);
        return NULL;
    }
    weir_log(logger(), WEIR_LOG_ERROR, "%u traffic loops do not end; they are stopped",
             host->n_threads - host->n_ended);
    for (unsigned i = 0; i < host->n_threads; i++)
        if (host->threads[i].started && !host->threads[i].ended)
            weir_loop_stop(host->threads[i].traffic.loop);
    return NULL;
}

/* The first error of the threads; the others are dropped. */
static weir_error *wait_ready(weir_host *host)
{
    weir_error *first = NULL;

    pthread_mutex_lock(&host->mutex);
    while (host->n_ready < host->n_threads)
        pthread_cond_wait(&host->ready, &host->mutex);
    pthread_mutex_unlock(&host->mutex);
    for (unsigned i = 0; i < host->n_threads; i++) {
        weir_error *error = WEIR_TAKE(host->threads[i].error);

        if (!first)
            first = error;
        else
            weir_ignore(error);
    }
    return first;
}

static weir_error *spawn_threads(weir_host *host)
{
    host->threads = calloc(host->generation->settings.threads, sizeof *host->threads);
    if (!host->threads)
        return weir_raise(WEIR_ENOMEM, "traffic loops");
    for (unsigned i = 0; i < host->generation->settings.threads; i++) {
        struct traffic_thread *thread = &host->threads[i];
        int code;

        thread->host = host;
        thread->traffic.index = i;
        hlist_init(&thread->traffic.parts);
        hlist_init(&thread->servings);
        code = pthread_create(&thread->thread, NULL, thread_main, thread);
        if (code)
            return weir_raise(code, "cannot start thread %u of %u", i + 1,
                              host->generation->settings.threads);
        thread->started = true;
        host->n_threads++;
    }
    return NULL;
}

static void log_addresses(const weir_host *host)
{
    const struct generation *g = host->generation;

    for (size_t i = 0; i < g->n_listeners; i++) {
        const weir_listener *listener = g->listeners[i];

        for (size_t k = 0; k < listener->n_addresses; k++)
            weir_log(logger(), WEIR_LOG_INFO, "listener %s: %s on %s%s", listener->name,
                     listener->protocol->name, weir__address_name(&listener->addresses[k]),
                     listener->tls ? " with TLS" : "");
    }
}

static void watch_memory(weir_host *host)
{
    weir_error *error =
        weir__memory_watch_new(host->control, host->generation->top->runtime.limits.memory,
                               &host->limit.memory_full, &host->memory);

    if (error)
        weir_log_error(logger(), WEIR_LOG_ERROR, error, "runtime.limits.memory is not watched");
}

weir_error *weir_host_start(weir_host *host, weir_loop *control)
{
    weir_error *error, *failed;

    if (host->state != HOST_PREPARED)
        return weir_raise(WEIR_EINVALSTATE, "the configuration is not prepared");
    host->control = control;
    /* Checks of servers look names up here; whoever looked before has set the loop up. */
    weir_ignore(weir__resolver_configure(&host->generation->top->resolver, control));
    host->n_loops = host->generation->n_loops;
    WEIR_TRY(weir__change_new(host, NULL, host->generation, &host->first));
    error = spawn_threads(host);
    failed = wait_ready(host);
    if (error)
        weir_ignore(failed);
    else
        error = failed;
    if (error) {
        host->state = HOST_STOPPING;
        post(host, drain);
        for (unsigned i = 0; i < host->n_threads; i++)
            join(&host->threads[i]);
        host->state = HOST_STOPPED;
        weir__change_free(WEIR_TAKE(host->first));
        return error;
    }
    weir__change_free(WEIR_TAKE(host->first));
    weir__generation_committed(host->generation, NULL);
    __atomic_store_n(&host->serving, true, __ATOMIC_RELEASE);
    host->state = HOST_RUNNING;
    weir__tls_watch_start(host->tls, control, host->generation->executor);
    watch_memory(host);
    log_addresses(host);
    error = weir__health_new(control, &host->health);
    if (!error)
        error = weir__health_set(host->health, host->generation->upstreams,
                                 host->generation->n_upstreams);
    if (error)
        weir_log_error(logger(), WEIR_LOG_ERROR, error, "not all servers are checked");
    return NULL;
}

void weir_host_stop(weir_host *host, weir_duration grace, weir_fn stopped, void *arg)
{
    if (host->state != HOST_RUNNING && host->state != HOST_STOPPING)
        return;
    if (!host->has_deadline) {
        weir_timer_init(&host->deadline, host->control, grace_is_over, host);
        host->has_deadline = true;
    }
    if (host->state == HOST_RUNNING) {
        host->state = HOST_STOPPING;
        host->stopped = stopped;
        host->stopped_arg = arg;
        weir__tls_watch_stop(host->tls);
        weir__memory_watch_free(WEIR_TAKE(host->memory));
        weir__health_free(WEIR_TAKE(host->health));
        for (size_t i = 0; i < host->generation->n_listeners; i++)
            weir__listener_close_sockets(host->generation->listeners[i]);
        post(host, drain);
    }
    if (!host->aborted)
        weir_timer_start(&host->deadline, grace);
}
