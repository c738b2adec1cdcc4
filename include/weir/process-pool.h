/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Process pools (row D11): jobs in worker processes, which are exec'd, load a named module and look
 * the job up by name. So a pool may be made after threads exist and after a reload, and a job that
 * crashes takes nothing along but its worker: its call fails with the signal named, the worker is
 * replaced, the others go on.
 *
 * The worker is this program itself, when its main begins with weir_worker_main(), or an installed
 * helper that loads the module. A worker has no descriptor but its standard ones and its socket, no
 * signal mask, and ends with its parent.
 *
 * Example:
 *
 *     static weir_error *shout(weir_slice argument, weir_buffer *result)
 *     {
 *         WEIR_TRY(weir_buffer_append(result, argument));
 *         return weir_buffer_append(result, WEIR_SLICE("!"));
 *     }
 *
 *     static const weir_named_job jobs[] = {{"shout", shout}, {NULL, NULL}};
 *     WEIR_WORKER_JOBS(.jobs = jobs);
 *
 *     static weir_error *run(void *arg)
 *     {
 *         weir_auto(weir_process_pool) pool = NULL;
 *         weir_auto(weir_buffer) result = NULL;
 *
 *         (void)arg;
 *         WEIR_TRY(weir_process_pool_new(NULL, &pool));
 *         WEIR_TRY(weir_process_pool_call(pool, "shout", WEIR_SLICE("hello"), &result));
 *         return weir_process_pool_join(pool, WEIR_S(5));
 *     }
 *
 *     int main(int argc, char **argv)
 *     {
 *         weir_error *error;
 *
 *         weir_worker_main(argc, argv);
 *         error = weir_run(run, NULL, NULL);
 *         weir_ignore(error);
 *         return error != NULL;
 *     }
 */
#ifndef WEIR_PROCESS_POOL_H
#define WEIR_PROCESS_POOL_H

#include <weir/executor.h>
#include <weir/job.h>

WEIR_BEGIN_DECLS

typedef struct weir_process_pool weir_process_pool;

typedef struct weir_process_pool_options {
    size_t size;
    const char *name;    /**< in logs and errors; copied; NULL: "processes" */
    const char *module;  /**< path of a shared object with WEIR_WORKER_JOBS; NULL: the program */
    const char *program; /**< the worker's; NULL: this one, or the installed helper with a module */
    unsigned processes;  /**< at most; started on demand; 0: one for each processor */
    size_t queue;        /**< jobs that wait; 0: 1024 */
    bool reject_when_full;
    bool kill_on_cancel;       /**< cancelling a running job kills its worker; else it is asked */
    unsigned retries;          /**< how often a job is run again whose worker died; 0 */
    unsigned jobs_per_worker;  /**< a worker is replaced after so many; 0: never */
    size_t result_limit;       /**< bytes of an argument or a result; 0: 16 MiB */
    weir_duration start_limit; /**< for a worker to be ready; 0: 10 s */
    weir_duration stuck_after; /**< as of executors */
} weir_process_pool_options;

/**
 * Makes a pool, without workers yet. `options` NULL: all defaults. Any thread.
 * Errors: WEIR_EINVALSTATE the program itself is to be the worker, but its main did not begin with
 * weir_worker_main(); WEIR_ENOMEM.
 */
WEIR_PUBLIC weir_error *weir_process_pool_new(const weir_process_pool_options *options,
                                              weir_process_pool **ret) WEIR_MUST_USE;
/** Any thread. */
WEIR_PUBLIC weir_process_pool *weir_process_pool_ref(weir_process_pool *pool);
/** The last reference shuts down without waiting: workers end with their job. Any thread. */
WEIR_PUBLIC void weir_process_pool_unref(weir_process_pool *pool);
/**
 * No new jobs, queued ones are cancelled, running ones are asked to end (weir_job_cancelled() in the
 * worker); what still runs after `limit` is killed. Any thread; blocks. No worker is left after it.
 * Errors: WEIR_ETIMEDOUT jobs were killed; a RUNTIME warning names them.
 */
WEIR_PUBLIC weir_error *weir_process_pool_shutdown(weir_process_pool *pool,
                                                   weir_duration limit) WEIR_MUST_USE;
/** The same, suspending the task. */
WEIR_PUBLIC weir_error *weir_process_pool_join(weir_process_pool *pool,
                                               weir_duration limit) WEIR_MUST_USE;

/**
 * Runs the job of this name in a worker, with a copy of `argument`, and suspends the task until it
 * has ended. The result is the caller's; `ret_result` may be NULL.
 * Errors: the job's code and message; WEIR_EWORKER its worker was killed or exited (which, by what,
 * in the message); WEIR_ENONAME no such job; WEIR_EPLUGIN the module does not load; WEIR_ELIMIT;
 * errno no worker could be started; WEIR_ECANCELED it did not run, or was killed; as
 * weir_executor_call().
 */
#define weir_process_pool_call(pool, name, argument, ret_result) \
    weir_process_pool_call_at(WEIR_HERE, (pool), (name), (argument), (ret_result))
WEIR_PUBLIC weir_error *weir_process_pool_call_at(const weir_site *site, weir_process_pool *pool,
                                                  const char *name, weir_slice argument,
                                                  weir_buffer **ret_result) WEIR_MUST_USE;
/** Queues it; the future's value is the weir_buffer. Errors: as weir_executor_submit(). */
#define weir_process_pool_submit(pool, name, argument, ret) \
    weir_process_pool_submit_at(WEIR_HERE, (pool), (name), (argument), (ret))
WEIR_PUBLIC weir_error *weir_process_pool_submit_at(const weir_site *site, weir_process_pool *pool,
                                                    const char *name, weir_slice argument,
                                                    weir_future **ret) WEIR_MUST_USE;

/** To be called first in main: serves and exits when this process was started as a worker, else
 *  returns at once. The program's own jobs are those of its WEIR_WORKER_JOBS, if it has one. */
#define weir_worker_main(argc, argv) weir_worker_main_with((argc), (argv), &weir_worker_jobs_v1)
extern const weir_job_table weir_worker_jobs_v1 __attribute__((weak));
/** What weir_worker_main() calls; `table` may be NULL. */
WEIR_PUBLIC void weir_worker_main_with(int argc, char **argv, const weir_job_table *table);

WEIR_DEFINE_CLEANUP(weir_process_pool, weir_process_pool_unref)

WEIR_END_DECLS

#endif
