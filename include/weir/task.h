/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Tasks: stackful coroutines. Plain C that may suspend anywhere down its call stack.
 *
 * A spawned task always starts, so `arg` always moves into its body. Cancellation is
 * level-triggered: while one is pending and not shielded, a suspending call returns WEIR_ECANCELED
 * at once, starts nothing and consumes nothing; an operation that had completed when the task wakes
 * returns its result, and the cancellation stays for the next call. Returning the error at once is
 * always right; a suspended stack is never freed.
 */
#ifndef WEIR_TASK_H
#define WEIR_TASK_H

#include <weir/future.h>

WEIR_BEGIN_DECLS

/** A call that has not started, for combinators. One that nobody starts is reported. */
typedef struct weir_co weir_co;

/**
 * Starts `fn(arg)` as a task of this thread's loop, in its next iteration. `ret_task` NULL: detached,
 * its error is logged. When the spawn fails the caller keeps `arg`.
 * Errors: WEIR_ETHREAD, WEIR_ECLOSED, WEIR_ENOMEM, WEIR_EFULL no more guarded stacks.
 */
#define weir_spawn(fn, arg, ret_task) weir_spawn_at(WEIR_HERE, #fn, (fn), (arg), (ret_task))
WEIR_PUBLIC weir_error *weir_spawn_at(const weir_site *site, const char *name, weir_fn fn,
                                      void *arg, weir_task **ret_task) WEIR_MUST_USE;
WEIR_PUBLIC weir_task *weir_task_ref(weir_task *task);
WEIR_PUBLIC void weir_task_unref(weir_task *task);

/** The task that runs now; NULL outside of tasks. Borrowed. Any thread. */
WEIR_PUBLIC weir_task *weir_task_current(void);
/** Its future, borrowed. */
WEIR_PUBLIC weir_future *weir_task_future(weir_task *task);
/** Suspends until the task ends; returns its error. */
WEIR_PUBLIC weir_error *weir_task_await(weir_task *task) WEIR_MUST_USE;
/** Requests the task to end. False: it is done. */
WEIR_PUBLIC bool weir_task_cancel(weir_task *task);
WEIR_PUBLIC bool weir_task_done(const weir_task *task);
/** How many cancellation requests are pending. */
WEIR_PUBLIC unsigned weir_task_cancelling(const weir_task *task);
/** Takes one request back; returns what remains. */
WEIR_PUBLIC unsigned weir_task_uncancel(weir_task *task);
WEIR_PUBLIC const char *weir_task_name(const weir_task *task);
/** `name` is copied. */
WEIR_PUBLIC void weir_task_set_name(weir_task *task, const char *name);
/** Sets the value of the running task's future, kept until the body returns without error.
 *  Always takes; a second value replaces the first. */
WEIR_PUBLIC void weir_task_set_result(void *take_value, weir_drop_fn drop);

/** Makes a call to be started by a combinator or weir_co_await(). Never NULL: without memory it
 *  is a call that fails with WEIR_ENOMEM. */
#define weir_co(fn, arg) weir_co_at(WEIR_HERE, #fn, (fn), (arg))
WEIR_PUBLIC weir_co *weir_co_at(const weir_site *site, const char *name, weir_fn fn,
                                void *arg) WEIR_MUST_USE;
/** Runs it in this task. Always takes. Errors: its own; WEIR_ENOTASK it did not run. */
WEIR_PUBLIC weir_error *weir_co_await(weir_co *take_co) WEIR_MUST_USE;
/** Starts it as a task. Always takes. Errors: as weir_spawn(). */
WEIR_PUBLIC weir_error *weir_co_spawn(weir_co *take_co, weir_task **ret_task) WEIR_MUST_USE;
/** Drops it unstarted, without report. */
WEIR_PUBLIC void weir_co_discard(weir_co *take_co);

/** Suspends for a while; 0 or less yields once. */
WEIR_PUBLIC weir_error *weir_sleep(weir_duration duration) WEIR_MUST_USE;
/** Returns a pending cancellation or expiry without suspending; NULL outside of tasks. */
WEIR_PUBLIC weir_error *weir_check_cancelled(void) WEIR_MUST_USE;

/** A result in another thread. */
typedef struct weir_thread_future weir_thread_future;

/** Starts `fn(take_arg)` as a task of `loop`, from any thread. `drop` runs on the loop's thread after
 *  the task or when the loop closes first. `ret` NULL: abandoned. Errors: WEIR_ECLOSED, WEIR_ENOMEM. */
#define weir_run_coroutine_threadsafe(loop, fn, arg, drop, ret) \
    weir_run_coroutine_threadsafe_at(WEIR_HERE, #fn, (loop), (fn), (arg), (drop), (ret))
WEIR_PUBLIC weir_error *weir_run_coroutine_threadsafe_at(const weir_site *site, const char *name,
                                                         weir_loop *loop, weir_fn fn,
                                                         void *take_arg, weir_drop_fn drop,
                                                         weir_thread_future **ret) WEIR_MUST_USE;
/** Blocks the thread for at most `limit`; the task goes on after WEIR_ETIMEDOUT. The value is
 *  borrowed until the last reference goes; `ret_value` may be NULL. Any thread.
 *  Errors: the task's; WEIR_ETIMEDOUT; WEIR_EDEADLK called on the loop's own thread. */
WEIR_PUBLIC weir_error *weir_thread_future_result(weir_thread_future *future, weir_duration limit,
                                                  void **ret_value) WEIR_MUST_USE;
/** Asks the task to end. Any thread. */
WEIR_PUBLIC void weir_thread_future_cancel(weir_thread_future *future);
WEIR_PUBLIC void weir_thread_future_unref(weir_thread_future *future);

WEIR_DEFINE_CLEANUP(weir_task, weir_task_unref)
WEIR_DEFINE_CLEANUP(weir_thread_future, weir_thread_future_unref)

WEIR_END_DECLS

#endif
