/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way to suspend a task, for everything that waits: streams, executors, futures, sleep.
 *
 *     struct my_wait { struct waiter waiter; struct stream *stream; };
 *
 *     WEIR_TRY(weir__wait_begin(&wait.waiter));        // cancelled, timed out, no task: nothing
 * starts stream->reader = &wait.waiter;                   // start the operation
 *     WEIR_TRY(weir__wait(&wait.waiter, detach));      // suspends
 *
 * and on the side of the loop, once, when the operation has completed:
 *
 *     weir__wait_wake(stream->reader);
 *
 * The rule goes by moment. On entry a pending cancellation or an expired deadline is returned and
 * nothing starts. On wake-up an operation that had completed wins, whatever else is pending; else
 * `interrupt` detaches it, on the task's own stack, and the error of the scope is returned.
 */
#ifndef WEIR_CORE_TASK_WAIT_H
#define WEIR_CORE_TASK_WAIT_H

#include <weir/task.h>

/* Lives on the stack of the waiting task; its address stays until weir__wait() returns. */
struct waiter {
    weir_task *task;
    bool woken;
};

/* Detaches what was started, so that nobody touches the waiter again: true. False: it cannot be
   stopped now; the wait goes on, uninterruptibly, until weir__wait_wake(). Runs in the task. */
typedef bool (*wait_interrupt_fn)(struct waiter *waiter);

/* What a suspending call returns on entry: WEIR_ENOTASK, WEIR_ECANCELED, WEIR_ETIMEDOUT, the error
   of a group's child; else NULL. */
weir_error *weir__wait_check(void) WEIR_MUST_USE;

/* weir__wait_check(), then prepares the waiter. From here on weir__wait_wake() may be called. */
weir_error *weir__wait_begin(struct waiter *waiter) WEIR_MUST_USE;

/* As begin, without the check: for what must be waited for. Only in a task. */
void weir__wait_begin_masked(struct waiter *waiter);

/* Suspends until the waiter is woken; returns at once when it has been. `interrupt` NULL: nothing
   but weir__wait_wake() ends it. */
weir_error *weir__wait(struct waiter *waiter, wait_interrupt_fn interrupt) WEIR_MUST_USE;

/* As weir__wait(), and counts as woken when the loop's clock reaches `when`. */
weir_error *weir__wait_until(struct waiter *waiter, weir_instant when,
                             wait_interrupt_fn interrupt) WEIR_MUST_USE;

/* Completes the wait: the task runs in the next iteration. Loop thread only; a second call does
   nothing, but the waiter must still exist. */
void weir__wait_wake(struct waiter *waiter);

/* To be called by each suspending call that succeeded without suspending: after TASK_BUDGET of
   those in a row the task steps back for one iteration, so that it cannot starve its loop. */
#define TASK_BUDGET 64
void weir__task_budget(void);

/* weir_spawn() on a loop that need not run yet. */
weir_error *weir__spawn(weir_loop *loop, const weir_site *site, const char *name, weir_fn fn,
                        void *arg, weir_task **ret_task) WEIR_MUST_USE;

#endif
