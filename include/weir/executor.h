/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Executors run blocking work off the loop: thread pools with bounded queues.
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
    weir_error *(*thread_start)(void *arg); /**< in each new thread; may be NULL */
    void *arg;
} weir_executor_options;

/** Any thread. */
WEIR_PUBLIC weir_error *weir_executor_new(const weir_executor_options *options,
                                          weir_executor **ret) WEIR_MUST_USE;
WEIR_PUBLIC weir_executor *weir_executor_ref(weir_executor *executor);
/** The last reference shuts down without waiting. Any thread. */
WEIR_PUBLIC void weir_executor_unref(weir_executor *executor);
/** No new jobs, queued ones are cancelled, running ones are asked to end; waits at most `limit`.
 *  Blocks: not on a loop thread. Errors: WEIR_ETIMEDOUT jobs still run. */
WEIR_PUBLIC weir_error *weir_executor_shutdown(weir_executor *executor,
                                               weir_duration limit) WEIR_MUST_USE;

/**
 * Runs `fn(arg)` in a thread and suspends the task until it has ended, so `arg` may live on the
 * caller's stack. A cancellation removes a queued job, and only asks a running one.
 * Errors: the job's; WEIR_ECANCELED, WEIR_ETIMEDOUT the job did not run; WEIR_EREJECTED;
 * WEIR_ECLOSED; WEIR_ENOTASK.
 */
WEIR_PUBLIC weir_error *weir_executor_call(weir_executor *executor, weir_fn fn,
                                           void *arg) WEIR_MUST_USE;
/**
 * Queues `fn(take_arg)`; the future gets its error or the value of weir_job_set_result(). `drop`
 * runs after the job, or instead of it. The future belongs to the current loop and may be dropped.
 * Errors: WEIR_EREJECTED the queue is full, WEIR_ECLOSED, WEIR_ETHREAD this thread has no loop.
 */
WEIR_PUBLIC weir_error *weir_executor_submit(weir_executor *executor, weir_fn fn, void *take_arg,
                                             weir_drop_fn drop, weir_future **ret) WEIR_MUST_USE;
/** Whether the running job was asked to end. In a job; false elsewhere. */
WEIR_PUBLIC bool weir_job_cancelled(void);
/** The value of the running job. Always takes. */
WEIR_PUBLIC void weir_job_set_result(void *take_value, weir_drop_fn drop);

/** The executor of this loop for the library's own blocking work, made on first use. Borrowed. */
WEIR_PUBLIC weir_error *weir_loop_default_executor(weir_loop *loop,
                                                   weir_executor **ret) WEIR_MUST_USE;
/** Shares an executor between loops; takes a reference of its own. */
WEIR_PUBLIC void weir_loop_set_default_executor(weir_loop *loop, weir_executor *executor);

WEIR_DEFINE_CLEANUP(weir_executor, weir_executor_unref)

WEIR_END_DECLS

#endif
