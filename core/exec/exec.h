/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executors from inside. Three kinds of thread meet here:
 *
 *     loop thread ── enqueue ──> executor (lock: queue, waiting) ──> worker threads
 *          └──────── reap <── one post a batch ── exec_port (lock: ended jobs) <──┘
 *
 * A job lies in the frame of the task that called it, or in a submit. The worker touches it last
 * when it puts it into the port of its loop; the loop's thread ends it from there.
 */
#ifndef WEIR_CORE_EXEC_EXEC_H
#define WEIR_CORE_EXEC_EXEC_H

#include <pthread.h>
#include <stdatomic.h>

#include <weir/executor.h>

#include "core/base/invariant.h"
#include "core/base/list.h"

#define EXECUTOR_MAGIC         WEIR_MAGIC('e', 'x', 'e', 'c')
#define EXECUTOR_QUEUE_DEFAULT 1024
#define EXECUTOR_THREADS_MAX   1024

/* WAITING: beyond the limit of the queue. */
enum exec_job_state { JOB_WAITING, JOB_QUEUED, JOB_RUNNING, JOB_ENDED };

struct exec_port;

struct exec_job {
    struct list link; /* queue or waiting of the executor, then ended of the port */
    weir_fn fn;
    void *arg;
    struct exec_port *port;
    /* On the loop's thread, or on the worker's when the loop has closed (`orphan`). */
    void (*ended)(struct exec_job *job, bool orphan);
    enum exec_job_state state; /* under the executor's lock */
    atomic_bool cancelled;     /* asked to end */
    weir_error *error;         /* fit for any thread */
    void *value;
    weir_drop_fn value_drop;
};

struct weir_executor {
    uint32_t magic;
    atomic_uint refs;
    pthread_mutex_t lock;
    pthread_cond_t work;    /* the queue is not empty, or it closes */
    pthread_cond_t drained; /* a thread has ended */
    struct list queue;      /* of exec_job; at most `queue_max` */
    size_t queued;
    struct list waiting; /* jobs of calls that wait for room */
    struct list workers; /* that live */
    struct list ended;   /* workers to be joined */
    unsigned threads, idle, threads_max;
    size_t queue_max;
    bool reject_when_full;
    bool closed;
    bool abandoned; /* nobody holds a reference: the last thread frees it */
    char *name;
    weir_error *(*thread_start)(void *arg);
    void *arg;
};

/* Where jobs come back to their loop. One per loop, shared with the workers that run its jobs. */
struct exec_port {
    atomic_uint refs;
    pthread_mutex_t lock;
    struct list ended;
    bool posted;         /* the loop will come */
    struct list submits; /* whose futures the loop's thread must give up when it closes */
    weir_loop *loop;     /* NULL once it is closed */
    weir_executor *standard;
    bool own_standard; /* made here, not given by weir_loop_set_default_executor() */
};

/* The port of this thread's loop. Errors: WEIR_ETHREAD, WEIR_ENOMEM. */
weir_error *weir__exec_port_here(struct exec_port **ret_port) WEIR_MUST_USE;
weir_error *weir__exec_port_of(weir_loop *loop, struct exec_port **ret_port) WEIR_MUST_USE;
struct exec_port *weir__exec_port_ref(struct exec_port *port);
void weir__exec_port_unref(struct exec_port *port);
/* Brings an ended job home. Any thread. */
void weir__exec_port_deliver(struct exec_job *job);

/* Queues a job. `may_wait`: it may stand beyond the limit of the queue.
   Errors: WEIR_EREJECTED, WEIR_ECLOSED, errno no thread could be started. */
weir_error *weir__executor_enqueue(weir_executor *executor, struct exec_job *job,
                                   bool may_wait) WEIR_MUST_USE;
/* True: it was still queued and nobody will run it. False: it runs (and is asked to end) or ended. */
bool weir__executor_withdraw(weir_executor *executor, struct exec_job *job);

/* With the lock held: the oldest job that waits for room takes a place that became free. */
void weir__executor_fill(weir_executor *executor);
void weir__executor_free(weir_executor *executor);

/* Worker threads (worker.c); the first two with the executor's lock held, join without. */
weir_error *weir__worker_start(weir_executor *executor) WEIR_MUST_USE;
void weir__workers_ask_to_end(weir_executor *executor);
void weir__workers_join(weir_executor *executor);

#endif
