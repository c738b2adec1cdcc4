/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Tasks: stackful coroutines. Plain C that may suspend anywhere down its call stack.
 *
 * A spawned task always starts, so `arg` always moves into its body. Cancellation is
 * level-triggered: while one is pending and not shielded, a suspending call returns WEIR_ECANCELED
 * at once, starts nothing and consumes nothing; an operation that had completed when the task wakes
 * returns its result, and the cancellation stays for the next call. Returning the error at once is
 * always right; a suspended stack is never freed.
 *
 * The loop owns its tasks until they are done: a handle is optional. A task that fails without
 * anybody taking its error is reported ("Task exception was never retrieved"), at once when nobody
 * holds its handle, else when the last handle goes.
 *
 * Example:
 *
 *     static weir_error *count(void *arg)
 *     {
 *         for (int *n = arg; *n < 3; ++*n)
 *             WEIR_TRY(weir_sleep(WEIR_MS(1)));
 *         return NULL;
 *     }
 *
 *     static weir_error *main_task(void *arg)
 *     {
 *         weir_auto(weir_task) counter = NULL;
 *         int n = 0;
 *
 *         (void)arg;
 *         WEIR_TRY(weir_spawn(count, &n, &counter)); // runs beside this task
 *         WEIR_TRY(weir_task_await(counter));
 *         return NULL;
 *     }
 *
 *     int main(void)
 *     {
 *         weir_error *error = weir_run(main_task, NULL, NULL);
 *
 *         weir_error_unref(error);
 *         return error != NULL;
 *     }
 */
#ifndef WEIR_TASK_H
#define WEIR_TASK_H

#include <weir/context.h>
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
/**
 * As weir_spawn(), and runs the body inside this call up to its first suspension; a body that never
 * suspends is done when this returns, without a turn of the loop. The spawner is not suspended: it
 * goes on when the new task suspends or ends. Outside of tasks, too.
 */
#define weir_spawn_eager(fn, arg, ret_task) \
    weir_spawn_eager_at(WEIR_HERE, #fn, (fn), (arg), (ret_task))
WEIR_PUBLIC weir_error *weir_spawn_eager_at(const weir_site *site, const char *name, weir_fn fn,
                                            void *arg, weir_task **ret_task) WEIR_MUST_USE;

typedef struct weir_spawn_options {
    size_t size;
    const char *name; /**< copied; NULL: "Task-N" */
    bool eager;       /**< as weir_spawn_eager() */
    weir_context
        *context; /**< borrowed; it runs in this one instead of its spawner's; NULL: that */
} weir_spawn_options;

/** As weir_spawn(), with options (NULL: none). */
#define weir_spawn_with(fn, arg, options, ret_task) \
    weir_spawn_with_at(WEIR_HERE, #fn, (fn), (arg), (options), (ret_task))
WEIR_PUBLIC weir_error *weir_spawn_with_at(const weir_site *site, const char *name, weir_fn fn,
                                           void *arg, const weir_spawn_options *options,
                                           weir_task **ret_task) WEIR_MUST_USE;
WEIR_PUBLIC weir_task *weir_task_ref(weir_task *task);
/** Any thread. */
WEIR_PUBLIC void weir_task_unref(weir_task *task);
/** Drops the handle: the task runs on, and an error of it is reported at once. */
WEIR_PUBLIC void weir_task_detach(weir_task *take_task);

/** The task that runs now; NULL outside of tasks. Borrowed. Any thread. */
WEIR_PUBLIC weir_task *weir_task_current(void);
/** Its future, borrowed. */
WEIR_PUBLIC weir_future *weir_task_future(weir_task *task);
/** Suspends until the task ends; returns its error. A cancellation of the waiting task does not
 *  reach this one. Errors: as weir_await(); WEIR_EDEADLK it is the running task itself. */
#define weir_task_await(task) weir_task_await_at(WEIR_HERE, (task))
WEIR_PUBLIC weir_error *weir_task_await_at(const weir_site *site, weir_task *task) WEIR_MUST_USE;
/** Requests the task to end: one request more is pending. False: it is done; an error that it ended
 *  with counts as taken. (row C1) */
#define weir_task_cancel(task) weir_task_cancel_at(WEIR_HERE, (task))
WEIR_PUBLIC bool weir_task_cancel_at(const weir_site *site, weir_task *task);
WEIR_PUBLIC bool weir_task_done(const weir_task *task);
/** How many cancellation requests are pending. */
WEIR_PUBLIC unsigned weir_task_cancelling(const weir_task *task);
/** Takes one request back; returns what remains. At 0 suspending calls work again. */
WEIR_PUBLIC unsigned weir_task_uncancel(weir_task *task);
/** "Task-N" with a number of the process until one is set. Valid until the next one is set. */
WEIR_PUBLIC const char *weir_task_name(const weir_task *task);
/** "<Task pending name='Task-1' fn=kill_me at t.c:5 suspended at t.c:6 wait_for=<Future …> created at
 *  t.c:15>", as snprintf. pending, cancelling, finished or cancelled. Slow: it reads debug
 *  information. */
WEIR_PUBLIC size_t weir_task_repr(const weir_task *task, char *buffer, size_t size);
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
#define weir_sleep(duration) weir_sleep_at(WEIR_HERE, (duration))
WEIR_PUBLIC weir_error *weir_sleep_at(const weir_site *site, weir_duration duration) WEIR_MUST_USE;
/** Returns a pending cancellation or expiry without suspending; NULL outside of tasks. The cheap
 *  question of a long computation, before work that nobody wants any more. (row C6) */
WEIR_PUBLIC weir_error *weir_check_cancelled(void) WEIR_MUST_USE;
/** Lets everything that is ready run, then returns a cancellation or expiry that is pending: for
 *  loops that compute. Errors: as weir_sleep(). (row C6) */
#define weir_checkpoint() weir_checkpoint_at(WEIR_HERE)
WEIR_PUBLIC weir_error *weir_checkpoint_at(const weir_site *site) WEIR_MUST_USE;

/**
 * A section of the running task in which nothing may suspend: what it works on must not be seen half
 * done by other tasks. A suspending call in it fails with WEIR_EDEADLK, which names the section; leave
 * it on every path. Sections nest; outside of tasks they do nothing. (T90)
 */
#define weir_no_suspend_begin() weir_no_suspend_begin_at(WEIR_HERE)
WEIR_PUBLIC void weir_no_suspend_begin_at(const weir_site *site);
WEIR_PUBLIC void weir_no_suspend_end(void);
/**
 * Tell that the running task took or gave back a lock of another library, say a mutex. A task that
 * suspends with one is reported as an ERROR (other tasks of the thread would dead-lock on it), with
 * its stack. libweir-mutexwatch.so, preloaded, tells this of every pthread mutex of the program:
 * `LD_PRELOAD=libweir-mutexwatch.so program`. (T90)
 */
WEIR_PUBLIC void weir_lock_taken(const void *lock);
WEIR_PUBLIC void weir_lock_released(const void *lock);

/** Calls `fn(task, arg)` for each task of the loop that is not done, the running one included, in
 *  the order of their starts. What `fn` starts is not visited. Errors: WEIR_ETHREAD, WEIR_ENOMEM. */
WEIR_PUBLIC weir_error *weir_loop_foreach_task(weir_loop *loop,
                                               void (*fn)(weir_task *task, void *arg),
                                               void *arg) WEIR_MUST_USE;
/** How many tasks of the loop are not done. */
WEIR_PUBLIC size_t weir_loop_task_count(const weir_loop *loop);
/** Asks every task of the loop to end that was not asked yet. weir_loop_close_force() reports tasks
 *  that nobody had asked. */
WEIR_PUBLIC void weir_loop_cancel_tasks(weir_loop *loop);

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
/** Blocks the thread for at most `limit`; a time-out does not cancel: the task goes on, and its value
 *  can be asked for later. The value is borrowed until the last reference goes; `ret_value` may be
 *  NULL. Any thread but the loop's.
 *  Errors: the task's; WEIR_ETIMEDOUT; WEIR_EDEADLK called on the loop's own thread; WEIR_ECLOSED
 *  the loop closed before the task was started. (row D6) */
WEIR_PUBLIC weir_error *weir_thread_future_result(weir_thread_future *future, weir_duration limit,
                                                  void **ret_value) WEIR_MUST_USE;
/** As weir_thread_future_result(), but a time-out cancels the task and waits for its end; the error
 *  is WEIR_ETIMEDOUT then, unless the task ended with a value or another error all the same. */
WEIR_PUBLIC weir_error *weir_thread_future_wait_or_cancel(weir_thread_future *future,
                                                          weir_duration limit,
                                                          void **ret_value) WEIR_MUST_USE;
/** Whether the outcome is there. Any thread. */
WEIR_PUBLIC bool weir_thread_future_done(weir_thread_future *future);
/** Asks the task to end. Any thread. An outcome that comes later is dropped with its drop
 *  function. False: it was done. */
WEIR_PUBLIC bool weir_thread_future_cancel(weir_thread_future *future);
/** Calls `fn(future, arg)` in the thread that completes it (the loop's), or at once, in this one,
 *  when it is done. It must neither block nor suspend. Any thread. Errors: WEIR_ENOMEM. */
WEIR_PUBLIC weir_error *weir_thread_future_add_done_callback(
    weir_thread_future *future, void (*fn)(weir_thread_future *, void *), void *arg) WEIR_MUST_USE;
/** A future of this thread's loop that ends as the thread future does. Its value is borrowed from the
 *  thread future, which is to be kept while the value is used. Cancelling it cancels the task. Errors:
 *  WEIR_ETHREAD this thread has no loop, WEIR_ENOMEM. */
#define weir_thread_future_wrap(future, ret) weir_thread_future_wrap_at(WEIR_HERE, (future), (ret))
WEIR_PUBLIC weir_error *weir_thread_future_wrap_at(const weir_site *site,
                                                   weir_thread_future *future,
                                                   weir_future **ret) WEIR_MUST_USE;
WEIR_PUBLIC weir_thread_future *weir_thread_future_ref(weir_thread_future *future);
WEIR_PUBLIC void weir_thread_future_unref(weir_thread_future *future);

WEIR_DEFINE_CLEANUP(weir_task, weir_task_unref)
WEIR_DEFINE_CLEANUP(weir_thread_future, weir_thread_future_unref)

WEIR_END_DECLS

#endif
