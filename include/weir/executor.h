/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Executors run blocking work off the loop: named thread pools with bounded queues (rows D9, E2).
 *
 * A job is a plain function in a thread that it shares with no other job. It must not use what
 * belongs to a loop; weir_loop_call_soon_threadsafe() is its way back. Threads are started when a
 * job finds none idle, up to the maximum, and stay until the shutdown. A job queues at most once:
 * cancelling a queued one removes it, cancelling a running one only asks (weir_job_cancelled()).
 *
 * Pools whose jobs share nothing with the program: isolate.h (threads), process-pool.h (processes).
 *
 * Example:
 *
 *     static weir_error *count_words(void *arg)        // in a thread: may block, may not suspend
 *     {
 *         size_t *words = arg;
 *
 *         for (size_t i = 0; i < 1000 && !weir_job_cancelled(); i++)
 *             ++*words;
 *         return NULL;
 *     }
 *
 *     static weir_error *report(void *arg)             // a task
 *     {
 *         size_t words = 0;
 *
 *         (void)arg;
 *         WEIR_TRY(weir_to_thread(count_words, &words));
 *         return words == 1000 ? NULL : weir_raise(WEIR_EINCOMPLETE, "%zu words", words);
 *     }
 */
#ifndef WEIR_EXECUTOR_H
#define WEIR_EXECUTOR_H

#include <weir/future.h>

WEIR_BEGIN_DECLS

typedef struct weir_executor weir_executor;

typedef struct weir_executor_options {
    size_t size;
    const char *name;      /**< in thread names and logs; copied; NULL: "default" */
    unsigned threads;      /**< at most; grown on demand; 0: processors + 4, at most 32 */
    size_t queue;          /**< jobs that wait; 0: 1024 */
    bool reject_when_full; /**< submit fails with WEIR_EREJECTED; else call() waits for room */
    /** First in each new thread; may be NULL. Its error breaks the executor: jobs that wait and jobs
     *  that come fail with it (its code, its message in theirs), running ones go on. */
    weir_error *(*thread_start)(void *arg);
    void *arg;                      /**< of thread_start and thread_stop */
    void (*thread_stop)(void *arg); /**< last in each thread whose start succeeded; may be NULL */
    weir_duration stuck_after;      /**< a job that runs longer is logged, once; 0: 60 s */
} weir_executor_options;

/** Makes an executor without threads yet; one reference for the caller. `options` NULL: all
 *  defaults. Any thread. Errors: WEIR_ENOMEM. */
WEIR_PUBLIC weir_error *weir_executor_new(const weir_executor_options *options,
                                          weir_executor **ret) WEIR_MUST_USE;

/** How busy an executor is at this moment. */
typedef struct weir_executor_stats {
    size_t size;
    unsigned threads, threads_max; /**< that live; at most */
    unsigned busy;                 /**< threads with a job */
    size_t queued, queue_max;      /**< jobs that wait for a thread; at most */
    size_t waiting;                /**< callers that wait for room in the queue */
    bool broken;                   /**< a thread_start failed: no job is taken any more */
} weir_executor_stats;

/** Fills `ret`, as much of it as its `size` says. Any thread. */
WEIR_PUBLIC void weir_executor_get_stats(const weir_executor *executor, weir_executor_stats *ret);
/** Any thread. */
WEIR_PUBLIC weir_executor *weir_executor_ref(weir_executor *executor);
/** The last reference shuts down without waiting. Any thread. */
WEIR_PUBLIC void weir_executor_unref(weir_executor *executor);
/**
 * No new jobs (WEIR_ECLOSED), queued ones are cancelled, running ones are asked to end; waits at most
 * `limit` for them. Any thread, also twice. Blocks: in a task use weir_executor_join().
 * Errors: WEIR_ETIMEDOUT jobs still run; a RUNTIME warning names each: function, site, duration.
 */
WEIR_PUBLIC weir_error *weir_executor_shutdown(weir_executor *executor,
                                               weir_duration limit) WEIR_MUST_USE;
/** As weir_executor_shutdown(), suspending the task. A cancellation ends neither the wait nor the
 *  shutdown before `limit`. Errors: as there; WEIR_ENOTASK; WEIR_ECANCELED nothing was done. */
WEIR_PUBLIC weir_error *weir_executor_join(weir_executor *executor,
                                           weir_duration limit) WEIR_MUST_USE;

/**
 * Runs `fn(arg)` in a thread and suspends the task until it has ended, so `arg` may live on the
 * caller's stack. A cancellation removes a queued job, and only asks a running one, whose outcome
 * wins. A full queue is waited for, unless it rejects. A value of weir_job_set_result() is dropped.
 * Errors: the job's; WEIR_ECANCELED, WEIR_ETIMEDOUT the job did not run; WEIR_EREJECTED;
 * WEIR_ECLOSED; WEIR_EFORKED the executor is the parent process's; that of thread_start; errno no
 * thread could be started; WEIR_ENOTASK.
 */
#define weir_executor_call(executor, fn, arg) \
    weir_executor_call_at(WEIR_HERE, #fn, (executor), (fn), (arg))
WEIR_PUBLIC weir_error *weir_executor_call_at(const weir_site *site, const char *name,
                                              weir_executor *executor, weir_fn fn,
                                              void *arg) WEIR_MUST_USE;
/** weir_executor_call() with the default executor of the task's loop. */
#define weir_to_thread(fn, arg) weir_to_thread_at(WEIR_HERE, #fn, (fn), (arg))
WEIR_PUBLIC weir_error *weir_to_thread_at(const weir_site *site, const char *name, weir_fn fn,
                                          void *arg) WEIR_MUST_USE;
/**
 * Queues `fn(take_arg)`; the future gets its error or the value of weir_job_set_result(). `drop`
 * (may be NULL) runs after the job, or instead of it. The future belongs to the current loop and may
 * be dropped (`ret` NULL: at once); cancelling it cancels the job, and what a running one still
 * brings is dropped. On failure `take_arg` stays with the caller.
 * Errors: WEIR_EREJECTED the queue is full; WEIR_ECLOSED; WEIR_EFORKED; that of thread_start;
 * WEIR_ETHREAD this thread has no loop; WEIR_ENOMEM.
 */
#define weir_executor_submit(executor, fn, take_arg, drop, ret) \
    weir_executor_submit_at(WEIR_HERE, #fn, (executor), (fn), (take_arg), (drop), (ret))
WEIR_PUBLIC weir_error *weir_executor_submit_at(const weir_site *site, const char *name,
                                                weir_executor *executor, weir_fn fn, void *take_arg,
                                                weir_drop_fn drop, weir_future **ret) WEIR_MUST_USE;
/** Whether the running job was asked to end. In a job, also of worker processes; false elsewhere. */
WEIR_PUBLIC bool weir_job_cancelled(void);
/** The value of the running job; a second one replaces the first. Always takes; dropped at once
 *  outside of jobs. */
WEIR_PUBLIC void weir_job_set_result(void *take_value, weir_drop_fn drop);

/** What the pools of a loop are for: work of one kind never waits for work of another. */
typedef enum weir_executor_class {
    WEIR_EXECUTOR_DEFAULT, /**< weir_to_thread(): processors + 4 threads, at most 32 */
    WEIR_EXECUTOR_FILE,    /**< reading, opening, syncing: as many */
    WEIR_EXECUTOR_DNS,     /**< hosts, resolv.conf, blocking look-ups: 4 */
    WEIR_EXECUTOR_CPU,     /**< computing: one for each processor */
    WEIR_EXECUTOR_CLASSES
} weir_executor_class;

/** The executor of a class, made on first use and shut down when the loop closes. Borrowed. Thread
 *  of the loop. Errors: WEIR_EINVAL no such class; WEIR_ETHREAD; WEIR_ENOMEM. */
WEIR_PUBLIC weir_error *weir_loop_executor(weir_loop *loop, weir_executor_class which,
                                           weir_executor **ret) WEIR_MUST_USE;
/** Shares an executor between loops; takes a reference of its own, so the loop does not shut it down.
 *  NULL: a new one is made on next use. Thread of the loop. */
WEIR_PUBLIC void weir_loop_set_executor(weir_loop *loop, weir_executor_class which,
                                        weir_executor *executor);
/** weir_loop_executor() of WEIR_EXECUTOR_DEFAULT. */
WEIR_PUBLIC weir_error *weir_loop_default_executor(weir_loop *loop,
                                                   weir_executor **ret) WEIR_MUST_USE;
/** weir_loop_set_executor() of WEIR_EXECUTOR_DEFAULT. */
WEIR_PUBLIC void weir_loop_set_default_executor(weir_loop *loop, weir_executor *executor);

WEIR_DEFINE_CLEANUP(weir_executor, weir_executor_unref)

WEIR_END_DECLS

#endif
