/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Isolated-thread pools: the counterpart of an interpreter pool (row D10). Each worker thread has a
 * state of its own (weir_isolate_state(): an embedded VM, an arena, a connection) and, when asked
 * for, a loop of its own, in which jobs run as tasks. Arguments and results are bytes, copied.
 *
 * Example:
 *
 *     static weir_error *length(weir_slice argument, weir_buffer *result)
 *     {
 *         return weir_buffer_append(result, weir_slice_of(&argument.len, sizeof(argument.len)));
 *     }
 *
 *     static weir_error *measure(void *arg)
 *     {
 *         static const weir_named_job jobs[] = {{"length", length}, {NULL, NULL}};
 *         static const weir_job_table table = {WEIR_SIZED(weir_job_table), .jobs = jobs};
 *         weir_isolate_options options = {WEIR_SIZED(weir_isolate_options), .table = &table};
 *         weir_auto(weir_isolate_pool) pool = NULL;
 *         weir_auto(weir_buffer) result = NULL;
 *
 *         (void)arg;
 *         WEIR_TRY(weir_isolate_pool_new(&options, &pool));
 *         WEIR_TRY(weir_isolate_call(pool, "length", WEIR_SLICE("four"), &result));
 *         return weir_isolate_pool_join(pool, WEIR_S(5));
 *     }
 */
#ifndef WEIR_ISOLATE_H
#define WEIR_ISOLATE_H

#include <weir/executor.h>
#include <weir/job.h>

WEIR_BEGIN_DECLS

typedef struct weir_isolate_pool weir_isolate_pool;

typedef struct weir_isolate_options {
    size_t size;
    const char *name;            /**< copied; NULL: "isolate" */
    const weir_job_table *table; /**< static; its `start` failing breaks the pool */
    unsigned threads;            /**< at most; grown on demand; 0: processors + 4, at most 32 */
    size_t queue;                /**< jobs that wait; 0: 1024 */
    bool reject_when_full;
    bool with_loop;            /**< each thread has a loop, and a job may suspend */
    size_t result_limit;       /**< bytes of a result; 0: 16 MiB */
    weir_duration stuck_after; /**< as of executors */
} weir_isolate_options;

/** Makes a pool, without threads yet. Any thread. Errors: WEIR_EINVAL no table; WEIR_ENOMEM. */
WEIR_PUBLIC weir_error *weir_isolate_pool_new(const weir_isolate_options *options,
                                              weir_isolate_pool **ret) WEIR_MUST_USE;
/** Any thread. */
WEIR_PUBLIC weir_isolate_pool *weir_isolate_pool_ref(weir_isolate_pool *pool);
/** The last reference shuts down without waiting. Any thread. */
WEIR_PUBLIC void weir_isolate_pool_unref(weir_isolate_pool *pool);
/** As weir_executor_shutdown() (blocks) and weir_executor_join() (suspends). */
WEIR_PUBLIC weir_error *weir_isolate_pool_shutdown(weir_isolate_pool *pool,
                                                   weir_duration limit) WEIR_MUST_USE;
WEIR_PUBLIC weir_error *weir_isolate_pool_join(weir_isolate_pool *pool,
                                               weir_duration limit) WEIR_MUST_USE;

/**
 * Runs the job of this name with a copy of `argument` and suspends the task until it has ended. The
 * result is the caller's; `ret_result` may be NULL. Cancellation as of weir_executor_call().
 * Errors: WEIR_ENONAME no such job; the job's code and message; as weir_executor_call().
 */
#define weir_isolate_call(pool, name, argument, ret_result) \
    weir_isolate_call_at(WEIR_HERE, (pool), (name), (argument), (ret_result))
WEIR_PUBLIC weir_error *weir_isolate_call_at(const weir_site *site, weir_isolate_pool *pool,
                                             const char *name, weir_slice argument,
                                             weir_buffer **ret_result) WEIR_MUST_USE;
/** Queues it; the future's value is the weir_buffer. Errors: WEIR_ENONAME; as weir_executor_submit(). */
#define weir_isolate_submit(pool, name, argument, ret) \
    weir_isolate_submit_at(WEIR_HERE, (pool), (name), (argument), (ret))
WEIR_PUBLIC weir_error *weir_isolate_submit_at(const weir_site *site, weir_isolate_pool *pool,
                                               const char *name, weir_slice argument,
                                               weir_future **ret) WEIR_MUST_USE;

WEIR_DEFINE_CLEANUP(weir_isolate_pool, weir_isolate_pool_unref)

WEIR_END_DECLS

#endif
