/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals: one table for the process. The handler, on whatever thread it interrupts, marks the
 * signal as raised, tells the loop that owns it and wakes that loop by its eventfd; the callback
 * runs on the loop as any other job. No thread's mask changes. Several deliveries before the loop
 * looks are one callback.
 *
 * A handler counts itself in and out, so that removing one can wait until no thread is inside with
 * the loop in its hands. fork() puts back what was there before: a child that has not exec'd yet must
 * not wake its parent, whose eventfd it shares.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "core/loop/internal.h"

struct signal_slot {
    struct job job;
    _Atomic(weir_loop *) loop; /* NULL: free */
    atomic_bool raised;
    const char *name;
    weir_fn fn;
    void *arg;
    struct sigaction old;
};

static struct signal_slot table[NSIG];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint inside;

static void on_signal(int signum)
{
    int saved = errno;
    struct signal_slot *slot = &table[signum];
    weir_loop *loop;

    atomic_fetch_add(&inside, 1);
    loop = atomic_load(&slot->loop);
    if (loop) {
        atomic_store(&slot->raised, true);
        atomic_store(&loop->signals_raised, true);
        if (atomic_load(&loop->polling))
            loop->io->ops->wake(loop->io);
    }
    atomic_fetch_sub(&inside, 1);
    errno = saved;
}

static weir_error *signal_run(struct job *job)
{
    struct signal_slot *slot = container_of(job, struct signal_slot, job);

    return slot->fn(slot->arg);
}

static weir_error *install(int signum)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};

    sigemptyset(&action.sa_mask);
    if (sigaction(signum, &action, &table[signum].old) != 0)
        return weir_raise(WEIR_EINVAL, "signal %d cannot be caught", signum);
    return NULL;
}

static weir_error *take_slot(weir_loop *loop, int signum)
{
    struct signal_slot *slot = &table[signum];
    weir_loop *owner = atomic_load(&slot->loop);
    weir_error *error;

    if (owner == loop)
        return NULL;
    if (owner)
        return weir_raise(WEIR_EBUSY, "another loop handles signal %d (%s)", signum,
                          sigabbrev_np(signum) ? sigabbrev_np(signum) : "real-time");
    job_init(&slot->job, signal_run, NULL);
    atomic_store(&slot->raised, false);
    atomic_store(&slot->loop, loop);
    error = install(signum);
    if (error)
        atomic_store(&slot->loop, NULL);
    return error;
}

weir_error *weir_loop_add_signal_handler_at(const weir_site *site, const char *name,
                                            weir_loop *loop, int signum, weir_fn fn, void *arg)
{
    weir_error *error;

    WEIR_TRY(weir__loop_check_thread(loop));
    if (loop->closed)
        return weir_raise(WEIR_ECLOSED, "loop \"%s\" is closed", loop->name);
    if (!fn)
        return weir_raise(WEIR_EINVAL, "a callback is needed, not NULL");
    if (signum < 1 || signum >= NSIG)
        return weir_raise(WEIR_EINVAL, "there is no signal %d", signum);
    if (signum == SIGKILL || signum == SIGSTOP)
        return weir_raise(WEIR_EINVAL, "signal %d cannot be caught", signum);
    pthread_mutex_lock(&table_lock);
    error = take_slot(loop, signum);
    if (!error) {
        table[signum].fn = fn;
        table[signum].arg = arg;
        table[signum].name = name;
        table[signum].job.site = site;
    }
    pthread_mutex_unlock(&table_lock);
    return error;
}

static void free_slot(int signum)
{
    struct signal_slot *slot = &table[signum];

    sigaction(signum, &slot->old, NULL);
    atomic_store(&slot->loop, NULL);
    /* A handler that had read the loop is out in a few instructions. */
    while (atomic_load(&inside) > 0)
        sched_yield();
    weir__job_cancel(&slot->job);
}

bool weir_loop_remove_signal_handler(weir_loop *loop, int signum)
{
    bool found;

    if (signum < 1 || signum >= NSIG)
        return false;
    pthread_mutex_lock(&table_lock);
    found = atomic_load(&table[signum].loop) == loop;
    if (found)
        free_slot(signum);
    pthread_mutex_unlock(&table_lock);
    return found;
}

void weir__signals_collect(weir_loop *loop)
{
    if (!atomic_load_explicit(&loop->signals_raised, memory_order_relaxed))
        return;
    atomic_store(&loop->signals_raised, false);
    for (int signum = 1; signum < NSIG; signum++) {
        struct signal_slot *slot = &table[signum];

        if (atomic_load(&slot->loop) == loop && atomic_exchange(&slot->raised, false))
            weir__loop_ready(loop, &slot->job);
    }
}

void weir__signals_close(weir_loop *loop)
{
    for (int signum = 1; signum < NSIG; signum++)
        weir_loop_remove_signal_handler(loop, signum);
}

void weir__signals_forked(void)
{
    pthread_mutex_init(&table_lock, NULL);
    atomic_store(&inside, 0);
    for (int signum = 1; signum < NSIG; signum++) {
        struct signal_slot *slot = &table[signum];

        if (atomic_load(&slot->loop))
            sigaction(signum, &slot->old, NULL);
        atomic_store(&slot->loop, NULL);
        atomic_store(&slot->raised, false);
    }
}

static const char *signal_name(const struct job *job)
{
    return container_of((struct job *)(uintptr_t)job, struct signal_slot, job)->name;
}

static struct job_kind signal_kind = {
    .run = signal_run,
    .label = "Handle",
    .name = signal_name,
};

void weir__signal_kinds_register(void)
{
    weir__job_kind_register(&signal_kind);
}
