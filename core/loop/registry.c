/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All loops of the process that are not closed: for the watchdog, for the warning at exit, and for
 * fork(), whose child owns none of them. The lock is held across fork(), so that the child does not
 * inherit it locked.
 */
#include "config.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/base/error.h"
#include "core/loop/internal.h"

int weir__fork_generation;

static struct list loops = LIST_INIT(loops);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void weir__loops_add(weir_loop *loop)
{
    pthread_mutex_lock(&lock);
    list_append(&loops, &loop->live);
    pthread_mutex_unlock(&lock);
}

void weir__loops_remove(weir_loop *loop)
{
    pthread_mutex_lock(&lock);
    list_remove(&loop->live);
    pthread_mutex_unlock(&lock);
}

void weir__loops_each(void (*fn)(weir_loop *loop, void *arg), void *arg)
{
    pthread_mutex_lock(&lock);
    weir_list_foreach(loop, &loops, weir_loop, live)
        fn(loop, arg);
    pthread_mutex_unlock(&lock);
}

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void in_parent(void)
{
    pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
    list_init(&loops);
    pthread_mutex_unlock(&lock);
    weir__fork_generation++;
    weir__thread_loop = NULL;
    weir__thread_pool = NULL;
    weir__thread_debug = false;
    weir__signals_forked();
}

/* At exit: what a thread still runs is not forgotten, only cut short. */
static void warn_unclosed(void)
{
    bool warned = false;

    pthread_mutex_lock(&lock);
    weir_list_foreach(loop, &loops, weir_loop, live) {
        if (__atomic_load_n(&loop->running, __ATOMIC_RELAXED))
            continue;
        weir__loop_warn_unclosed(loop);
        warned = true;
    }
    pthread_mutex_unlock(&lock);
    if (warned)
        weir_log_flush(WEIR_S(1));
}

void weir__loops_init(void)
{
    pthread_atfork(before_fork, in_parent, in_child);
    atexit(warn_unclosed);
}
