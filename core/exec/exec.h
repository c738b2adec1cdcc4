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

#include <weir/context.h>
#include <weir/executor.h>

#include "core/base/invariant.h"
#include "core/base/list.h"
#include "core/base/text.h"
#include "core/loop/loop.h"

#define EXECUTOR_MAGIC         WEIR_MAGIC('e', 'x', 'e', 'c')
#define EXECUTOR_QUEUE_DEFAULT 1024
#define EXECUTOR_THREADS_MAX   1024
#define EXECUTOR_BROKEN_MAX    256 /* bytes of what a failed thread_start said */

/* WAITING: beyond the limit of the queue. */
enum exec_job_state { JOB_WAITING, JOB_QUEUED, JOB_RUNNING, JOB_ENDED };

struct exec_port;

struct exec_job {
    struct list link; /* queue or waiting of the executor, then ended of the port */
    struct list home; /* in outstanding of the port; the loop's thread only */
    weir_fn fn;
    void *arg;
    const weir_site *site; /* where it was handed in */
    const char *name;      /* of its function; static */
    weir_context *context; /* a copy of the caller's, until the job starts; NULL: empty */
    struct exec_port *port;
    weir_executor *executor; /* a reference of whoever holds the job */
    /* Told that it is asked to end, under the executor's lock, while it runs; may be NULL. */
    void (*ask)(struct exec_job *job);
    /* On the loop's thread, or on the worker's when the loop has closed (`orphan`). */
    void (*ended)(struct exec_job *job, bool orphan);
    enum exec_job_state state; /* under the executor's lock */
    int64_t started;           /* likewise; ns */
    bool stuck_logged;         /* the loop's thread only */
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
    bool abandoned;           /* nobody holds a reference: the last thread frees it */
    _Atomic weir_code broken; /* of a thread_start that failed; 0: none did */
    char broken_text[EXECUTOR_BROKEN_MAX];
    int generation; /* weir__fork_generation where it was made */
    char *name;
    weir_error *(*thread_start)(void *arg);
    void (*thread_stop)(void *arg);
    void *arg;
    void (*freed)(void *arg); /* last of all; NULL: nothing hangs on it */
    weir_duration stuck_after;
};

/* Where jobs come back to their loop. One per loop, shared with the workers that run its jobs. */
struct exec_port {
    atomic_uint refs;
    pthread_mutex_t lock;
    struct list ended;
    bool posted;             /* the loop will come */
    struct list submits;     /* whose futures the loop's thread must give up when it closes */
    struct list outstanding; /* jobs that have not come home, oldest first */
    struct timer watch;      /* for jobs that run too long */
    weir_loop *loop;         /* NULL once it is closed */
    weir_executor *pools[WEIR_EXECUTOR_CLASSES];
    bool own[WEIR_EXECUTOR_CLASSES]; /* made here, not given by weir_loop_set_executor() */
};

/* The port of this thread's loop. Errors: WEIR_ETHREAD, WEIR_ENOMEM. */
weir_error *weir__exec_port_here(struct exec_port **ret_port) WEIR_MUST_USE;
weir_error *weir__exec_port_of(weir_loop *loop, struct exec_port **ret_port) WEIR_MUST_USE;
struct exec_port *weir__exec_port_ref(struct exec_port *port);
void weir__exec_port_unref(struct exec_port *port);
/* On the loop's thread: the loop is owed the end of a job, and no longer. */
void weir__exec_port_expect(struct exec_job *job);
void weir__exec_port_settled(struct exec_job *job);
/* Cancels the futures of submits: the last moment at which the loop's thread may touch them. */
void weir__exec_port_give_up(struct exec_port *port);
/* Brings an ended job home. Any thread. */
void weir__exec_port_deliver(struct exec_job *job);

/* Queues a job. `may_wait`: it may stand beyond the limit of the queue.
   Errors: WEIR_EREJECTED, WEIR_ECLOSED, errno no thread could be started. */
weir_error *weir__executor_enqueue(weir_executor *executor, struct exec_job *job,
                                   bool may_wait) WEIR_MUST_USE;
/* Prepares a job that nobody has handed in. */
void weir__exec_job_init(struct exec_job *job, struct exec_port *port, const weir_site *site,
                         const char *name);
void weir__exec_job_drop_value(struct exec_job *job);
/* With the executor's lock held: asks a job to end, in case it runs. */
void weir__exec_job_ask(struct exec_job *job);

/* As weir_executor_call_at(), with a hook for the moment at which a running job is asked to end. */
weir_error *weir__executor_call(weir_executor *executor, const weir_site *site, const char *name,
                                weir_fn fn, void *arg,
                                void (*ask)(struct exec_job *job)) WEIR_MUST_USE;
/* Runs fn(arg), which blocks, in a thread of its own and suspends the task until it has ended. */
weir_error *weir__executor_aside(weir_fn fn, void *arg) WEIR_MUST_USE;
weir_error *weir__executor_submit(weir_executor *executor, const weir_site *site, const char *name,
                                  weir_fn fn, void *take_arg, weir_drop_fn drop,
                                  void (*ask)(struct exec_job *job),
                                  weir_future **ret) WEIR_MUST_USE;

/* True: it was still queued and nobody will run it. False: it runs (and is asked to end) or ended. */
bool weir__executor_withdraw(weir_executor *executor, struct exec_job *job);

/* With the lock held: the oldest job that waits for room takes a place that became free. */
void weir__executor_fill(weir_executor *executor);
void weir__executor_free(weir_executor *executor);
/* No new jobs, queued ones are cancelled, running ones asked to end; does not wait. */
void weir__executor_close(weir_executor *executor);
/* Waits for the threads; true: none is left. */
bool weir__executor_wait(weir_executor *executor, weir_duration limit);
/* Its threads do not start: what waits fails with `error` (borrowed), and what comes. */
void weir__executor_break(weir_executor *executor, const weir_error *error);

/* Worker threads (worker.c); the first two with the executor's lock held, join without. */
weir_error *weir__worker_start(weir_executor *executor) WEIR_MUST_USE;
void weir__workers_ask_to_end(weir_executor *executor);
void weir__workers_join(weir_executor *executor);
/* "work() at f.c:12 for 3.2 s" of each running job, with ", " between; returns how many. */
unsigned weir__workers_describe(weir_executor *executor, struct text *text);

/* In a worker process: the numbers of its job and of the job that was asked to end. */
extern atomic_int weir__worker_job, weir__worker_asked;

/* How often this process is the child of a fork() (core/loop). */
extern int weir__fork_generation;

#endif
