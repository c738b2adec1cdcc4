/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Task-local context: variables that follow a task and what it starts, such as a request's id.
 *
 * A variable is a static object, its address is the key. A task inherits what its spawner had set
 * when it was spawned, as a snapshot: what either sets later the other does not see. A callback runs
 * in the context in which it was scheduled. Values are shared by snapshots and dropped with the last
 * one; they are read-only by convention. Where nothing was set, a variable has its default.
 *
 * A context belongs to its loop's thread. What crosses threads is a copy of the values that the
 * variables say how to copy (weir_context_copy(), weir_context_enter()); others stay behind.
 *
 * Example:
 *
 *     static weir_context_var request_id = WEIR_CONTEXT_VAR("request_id", NULL);
 *
 *     static weir_error *log_line(void *arg)
 *     {
 *         const char *id = weir_context_get(&request_id); // "r-17", inherited
 *
 *         (void)arg;
 *         return id ? NULL : weir_raise(WEIR_EINVAL, "no request");
 *     }
 *
 *     weir_error *handle_request(void *arg);
 *     weir_error *handle_request(void *arg)
 *     {
 *         weir_auto(weir_task) child = NULL;
 *
 *         (void)arg;
 *         WEIR_TRY(weir_context_set(&request_id, "r-17", NULL));
 *         WEIR_TRY(weir_spawn(log_line, NULL, &child));
 *         WEIR_TRY(weir_task_await(child));
 *         return NULL;
 *     }
 */
#ifndef WEIR_CONTEXT_H
#define WEIR_CONTEXT_H

#include <weir/base.h>

WEIR_BEGIN_DECLS

/** A key. Static; fill it in with WEIR_CONTEXT_VAR(). */
typedef struct weir_context_var {
    const char *name;
    void *initial;               /**< where nothing is set; borrowed for ever */
    void *(*copy)(const void *); /**< for another thread; NULL: the value stays in its thread */
    weir_drop_fn drop_copy;      /**< drops what `copy` made; may be NULL */
} weir_context_var;

#define WEIR_CONTEXT_VAR(name_, initial_) \
    {                                     \
        (name_), (initial_), NULL, NULL   \
    }
/** One whose values can be taken to another thread. */
#define WEIR_CONTEXT_VAR_COPIED(name_, initial_, copy_, drop_copy_) \
    {                                                               \
        (name_), (initial_), (copy_), (drop_copy_)                  \
    }

/** A snapshot of all variables. */
typedef struct weir_context weir_context;

/** The value in the running context, borrowed while that has it; else the initial one. Any thread. */
WEIR_PUBLIC void *weir_context_get(const weir_context_var *var);
/** Sets it for the running task (or callback) and what it starts from now on. `drop` (may be NULL)
 *  runs on the loop's thread when the last snapshot goes. Errors: WEIR_ENOMEM: `take_value` stays
 *  with the caller. */
WEIR_PUBLIC weir_error *weir_context_set(const weir_context_var *var, void *take_value,
                                         weir_drop_fn drop) WEIR_MUST_USE;
/** Takes the value out of the running context; the variable is as if never set. False: it was not.
 *  Without memory for the changed snapshot it stays. */
WEIR_PUBLIC bool weir_context_reset(const weir_context_var *var);

/** The running context, as a reference; NULL when it is empty. Of this thread only. */
WEIR_PUBLIC weir_context *weir_context_current(void);
WEIR_PUBLIC weir_context *weir_context_ref(weir_context *context);
WEIR_PUBLIC void weir_context_unref(weir_context *context);

/** A new context with copies of those values of the running one that can be copied; it may be moved
 *  to another thread, once. NULL in `ret` when there are none. Errors: WEIR_ENOMEM. */
WEIR_PUBLIC weir_error *weir_context_copy(weir_context **ret) WEIR_MUST_USE;
/** Runs what follows in this thread in `take_context`, until the matching leave; gives the context
 *  that ran before, to be handed to weir_context_leave(). For jobs of executors, and for callbacks
 *  that a library runs on behalf of somebody. */
WEIR_PUBLIC weir_context *weir_context_enter(weir_context *take_context);
WEIR_PUBLIC void weir_context_leave(weir_context *take_before);

WEIR_DEFINE_CLEANUP(weir_context, weir_context_unref)

WEIR_END_DECLS

#endif
