/* SPDX-License-Identifier: Apache-2.0 */
/* Process pools from inside; see process_pool.c. */
#ifndef WEIR_CORE_EXEC_PROCESS_POOL_H
#define WEIR_CORE_EXEC_PROCESS_POOL_H

#include <weir/process-pool.h>

#include "core/exec/named.h"

#define POOL_MODULE_SELF "self"

/* A worker process, of one thread of the pool. */
struct pool_worker {
    int pid; /* 0: none */
    int pidfd, fd;
    unsigned jobs; /* that it has run */
};

struct weir_process_pool {
    weir_executor *executor;
    pthread_mutex_t lock; /* below the executor's */
    struct list running;  /* of named_call whose pidfd is set */
    atomic_bool killing;  /* shutdown's limit is over */
    char *module, *program, *argv0;
    bool kill_on_cancel;
    unsigned retries, jobs_per_worker;
    size_t limit;
    weir_duration start_limit;
};

/* pool_worker.c; on the pool's thread. */
weir_error *weir__pool_worker_start(weir_process_pool *pool,
                                    struct pool_worker *worker) WEIR_MUST_USE;
/* Closes the socket, gives it `limit` to leave, then kills; reaps. Its return code. */
int weir__pool_worker_end(struct pool_worker *worker, weir_duration limit);
bool weir__pool_worker_alive(const struct pool_worker *worker);

/* Whether main began with weir_worker_main(). */
extern bool weir__worker_main_called;

#endif
