/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signals: one table for the process. The handler, on whatever thread it interrupts, marks the
 * signal as raised, tells the loop that owns it and wakes that loop by its eventfd; the callback
 * runs on the loop as any other job. No thread's mask changes. Several deliveries before the loop
 * looks are one callback; all are counted.
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
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/loop/internal.h"

struct signal_slot {
    struct job job;
    _Atomic(weir_loop *) loop; /* NULL: free */
    atomic_bool raised;
    atomic_ullong count; /* of deliveries */
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
        atomic_fetch_add(&slot->count, 1);
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
    const weir_site *site = job->site;
    const char *name = slot->name;
    weir_error *error = slot->fn(slot->arg);

    if (weir_unlikely(error != NULL))
        weir__callback_failed(weir__thread_loop, name, site, NULL, error);
    return NULL;
}

/* "9 (SIGKILL)" */
static const char *name_of(int signum, char *buffer, size_t size)
{
    const char *name = sigabbrev_np(signum);

    snprintf(buffer, size, name ? "%d (SIG%s)" : "%d", signum, name);
    return buffer;
}

static weir_error *cannot_be_caught(int signum)
{
    char name[32];

    return weir_raise(WEIR_EINVAL, "signal %s cannot be caught",
                      name_of(signum, name, sizeof(name)));
}

static weir_error *install(int signum, int flags)
{
    struct sigaction action = {.sa_handler = on_signal,
                               .sa_flags = SA_RESTART | SA_ONSTACK | flags};

    sigemptyset(&action.sa_mask);
    if (sigaction(signum, &action, &table[signum].old) != 0)
        return cannot_be_caught(signum);
    return NULL;
}

static weir_error *take_slot(weir_loop *loop, int signum, int flags)
{
    struct signal_slot *slot = &table[signum];
    weir_loop *owner = atomic_load(&slot->loop);
    weir_error *error;
    char name[32];

    if (owner == loop)
        return NULL;
    if (owner)
        return weir_raise(WEIR_EBUSY, "another loop handles signal %s",
                          name_of(signum, name, sizeof(name)));
    job_init(&slot->job, signal_run, NULL);
    atomic_store(&slot->raised, false);
    atomic_store(&slot->count, 0);
    atomic_store(&slot->loop, loop);
    error = install(signum, flags);
    if (error)
        atomic_store(&slot->loop, NULL);
    return error;
}

static weir_error *add(const weir_site *site, const char *name, weir_loop *loop, int signum,
                       int flags, weir_fn fn, void *arg)
{
    weir_error *error;

    if (!fn)
        return weir_raise(WEIR_EINVAL, "a callback is needed, not NULL");
    if (signum < 1 || signum >= NSIG)
        return weir_raise(WEIR_EINVAL, "there is no signal %d", signum);
    if (signum == SIGKILL || signum == SIGSTOP)
        return cannot_be_caught(signum);
    pthread_mutex_lock(&table_lock);
    error = take_slot(loop, signum, flags);
    if (!error) {
        table[signum].fn = fn;
        table[signum].arg = arg;
        table[signum].name = name;
        table[signum].job.site = site;
    }
    pthread_mutex_unlock(&table_lock);
    return error;
}

bool weir__loop_is_main(const weir_loop *loop)
{
    return loop->tid == getpid();
}

weir_error *weir_loop_add_signal_handler_at(const weir_site *site, const char *name,
                                            weir_loop *loop, int signum, weir_fn fn, void *arg)
{
    WEIR_TRY(weir__loop_check_call(loop, __func__, site));
    if (!weir__loop_is_main(loop))
        return weir_error_hint(
            weir_raise(WEIR_ENOTMAIN, "loop \"%s\" is not the main thread's", loop->name),
            "weir_loop_forward_signal() forwards a signal to a loop of another thread");
    return add(site, name, loop, signum, 0, fn, arg);
}

weir_error *weir_loop_forward_signal_at(const weir_site *site, const char *name, weir_loop *loop,
                                        int signum, weir_fn fn, void *arg)
{
    WEIR_TRY(weir__loop_check_call(loop, __func__, site));
    return add(site, name, loop, signum, 0, fn, arg);
}

weir_error *weir__loop_add_signal_once(weir_loop *loop, int signum, weir_fn fn, void *arg)
{
    return add(WEIR_HERE, "fn", loop, signum, (int)SA_RESETHAND, fn, arg);
}

uint64_t weir_loop_signal_count(const weir_loop *loop, int signum)
{
    if (signum < 1 || signum >= NSIG || atomic_load(&table[signum].loop) != loop)
        return 0;
    return atomic_load(&table[signum].count);
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

    if (!loop->closed && !weir__loop_allows(loop))
        return false;
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
