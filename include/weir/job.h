/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Jobs by name: what isolate.h and process-pool.h run (rows D10, D11).
 *
 * Such a job shares nothing with its caller: its argument is a copy, its result is bytes that are
 * copied back, and of its error come code and message. A program or module lists its jobs in one
 * table, so that a worker process finds them by name.
 *
 * Example:
 *
 *     static weir_error *reverse(weir_slice argument, weir_buffer *result)
 *     {
 *         const char *bytes = argument.data;
 *
 *         for (size_t i = argument.len; i > 0; i--)
 *             WEIR_TRY(weir_buffer_append(result, weir_slice_of(bytes + i - 1, 1)));
 *         return NULL;
 *     }
 *
 *     static const weir_named_job jobs[] = {{"reverse", reverse}, {NULL, NULL}};
 *     WEIR_WORKER_JOBS(.jobs = jobs);
 */
#ifndef WEIR_JOB_H
#define WEIR_JOB_H

#include <weir/chunk.h>
#include <weir/error.h>

WEIR_BEGIN_DECLS

typedef struct weir_named_job {
    const char *name;
    /** Both are borrowed. `argument` is a copy of the caller's bytes; `result` has the pool's limit
     *  (WEIR_ELIMIT). weir_job_cancelled() says whether it was asked to end. */
    weir_error *(*run)(weir_slice argument, weir_buffer *result);
} weir_named_job;

/** Static. Grows at its end. */
typedef struct weir_job_table {
    size_t size;
    const weir_named_job *jobs; /**< ended by a NULL name */
    /** First in each worker; its state is weir_isolate_state() there. NULL: nothing to do. */
    weir_error *(*start)(void **ret_state);
    void (*stop)(void *state); /**< last in each worker that started; may be NULL */
} weir_job_table;

/** The table of a module or program, at file scope: `WEIR_WORKER_JOBS(.jobs = jobs);`. One each. */
#define WEIR_WORKER_JOBS(...)                                    \
    extern WEIR_PUBLIC const weir_job_table weir_worker_jobs_v1; \
    const weir_job_table weir_worker_jobs_v1 = {WEIR_SIZED(weir_job_table), __VA_ARGS__}

/** What `start` made in this worker; NULL elsewhere. Any thread. */
WEIR_PUBLIC void *weir_isolate_state(void);

WEIR_END_DECLS

#endif
