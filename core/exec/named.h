/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs by name: what pools of isolated threads and of processes have in common. */
#ifndef WEIR_CORE_EXEC_NAMED_H
#define WEIR_CORE_EXEC_NAMED_H

#include <weir/job.h>

#include "core/exec/exec.h"

#define NAMED_LIMIT_DEFAULT ((size_t)16 * 1024 * 1024)
#define NAMED_ERROR_MAX     1024

/* A call on its way: name and argument are copies. */
struct named_call {
    void *pool;
    const weir_named_job *job; /* isolated threads */
    struct list link;          /* processes: in running of the pool */
    int pidfd;                 /* processes: of the worker that runs it; -1: none */
    int number;                /* processes: among the jobs of that worker */
    size_t limit;              /* of the result */
    weir_buffer *result;
    const char *name;
    size_t len; /* of the argument */
    char *argument;
    _Alignas(16) char data[]; /* the argument, then the name: aligned as from malloc() */
};

/* NULL: there is none. */
const weir_named_job *weir__named_find(const weir_job_table *table, const char *name);

/* Errors: WEIR_ELIMIT, WEIR_ENOMEM. */
weir_error *weir__named_call_new(void *pool, const char *name, weir_slice argument, size_t limit,
                                 struct named_call **ret) WEIR_MUST_USE;
void weir__named_call_free(void *arg);

/* `run` gets the struct named_call. */
weir_error *weir__named_call(weir_executor *executor, const weir_site *site, weir_fn run,
                             void (*ask)(struct exec_job *job), struct named_call *take_call,
                             weir_buffer **ret_result) WEIR_MUST_USE;
weir_error *weir__named_submit(weir_executor *executor, const weir_site *site, weir_fn run,
                               void (*ask)(struct exec_job *job), struct named_call *take_call,
                               weir_future **ret) WEIR_MUST_USE;

/* The call inside of the argument of a job that weir__named_submit() made. */
struct named_call *weir__named_submitted(void *arg);

/* Code and "message\nfile:line in function()" of an error; ends it. */
weir_code weir__named_flatten(weir_error *take_error, char *text, size_t size);
/* And back. `where` names the worker. */
weir_error *weir__named_restore(weir_code code, char *text, const char *where) WEIR_MUST_USE;

/* What weir_isolate_state() gives in this thread. */
extern __thread void *weir__isolate_state;

#endif
