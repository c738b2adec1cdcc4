/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting. Every suspending call of the library ends in weir__wait_until(), where the rule of
 * cancellation by moment stands once:
 *
 *     entry     something pending? its error, nothing starts           (weir__wait_begin)
 *     asleep    a cancellation, deadline or failed child makes the task ready, no more
 *     wake-up   woken by the operation: it has completed, that wins;
 *               else detach it, and the error of what is pending
 *
 * A task has one timer, for the earliest of its own wake-up and the deadlines of its scopes. It is
 * set when the task suspends, so entering and leaving scopes costs nothing; a deadline that moved
 * to a later time is O(1) (core/loop/loop.h), one that went away is stopped at the next suspension.
 */
#include "config.h"

#include <errno.h>

#include "core/base/invariant.h"
#include "core/task/task.h"

weir_error *weir__wait_check(void)
{
    weir_task *task = weir__current_task;

    if (__builtin_expect(!task, 0))
        return weir_raise(WEIR_ENOTASK, "suspending call outside a task");
    if (__builtin_expect(!task->scope && !task->cancelling && !task->no_suspend, 1))
        return NULL;
    if (task->no_suspend)
        return weir_raise(WEIR_EDEADLK,
                          "suspending call in a section that must not suspend, begun "
                          "at %s:%d",
                          task->no_suspend_site->file, task->no_suspend_site->line);
    return weir__task_pending_error(task);
}

void weir__wait_begin_masked(struct waiter *waiter)
{
    waiter->task = weir__current_task;
    waiter->woken = false;
}

weir_error *weir__wait_begin(struct waiter *waiter)
{
    weir_error *error = weir__wait_check();

    if (__builtin_expect(error != NULL, 0))
        return error;
    weir__wait_begin_masked(waiter);
    return NULL;
}

void weir__wait_wake(struct waiter *waiter)
{
    weir_task *task = waiter->task;

    if (waiter->woken)
        return;
    waiter->woken = true;
    if (task->waiter == waiter)
        weir__loop_ready(task->future.home->loop, &task->job);
}

void weir__task_poke(weir_task *task)
{
    if (task->state == TASK_WAITING && task->interruptible && weir__task_pending(task))
        weir__loop_ready(task->future.home->loop, &task->job);
}

static weir_error *arm(weir_task *task)
{
    weir_loop *loop = task->future.home->loop;
    int64_t deadline = task->wake_at;

    if (task->interruptible) {
        int64_t scopes = weir__task_deadline(task);

        if (scopes < deadline)
            deadline = scopes;
    }
    if (deadline == INT64_MAX) {
        if (timer_running(&task->timer))
            weir__timer_stop(loop, &task->timer);
        return NULL;
    }
    if (timer_running(&task->timer) && task->timer.deadline == deadline)
        return NULL;
    return weir__timer_start(loop, &task->timer, (weir_instant){deadline});
}

void weir__task_rearm(weir_task *task)
{
    weir_error *error;

    if (task->state != TASK_WAITING)
        return;
    error = arm(task);
    if (error) { /* without a timer it cannot be told in time: the task looks for itself, now */
        weir_ignore(error);
        weir__loop_ready(task->future.home->loop, &task->job);
    }
    weir__task_poke(task);
}

static void sleep_until_ready(weir_task *task, struct waiter *waiter)
{
    int saved_errno = errno; /* other tasks of this thread have theirs meanwhile */

    if (__builtin_expect(task->locks > 0, 0))
        weir__task_report_locks(task);
    task->waiter = waiter;
    task->state = TASK_WAITING;
    weir__task_suspend(task);
    task->waiter = NULL;
    errno = saved_errno;
}

weir_error *weir__wait_until(struct waiter *waiter, weir_instant when, wait_interrupt_fn interrupt)
{
    weir_task *task = waiter->task;

    weir_assert(task == weir__current_task);
    task->wake_at = when.ns;
    task->interruptible = interrupt != NULL;
    while (!waiter->woken) {
        weir_error *error = arm(task);

        if (error && task->interruptible && interrupt(waiter))
            return error;
        if (error) { /* what cannot be stopped is waited for, if need be without its deadline */
            weir_ignore(error);
            task->interruptible = false;
        }
        sleep_until_ready(task, waiter);
        task->budget = 0;
        if (waiter->woken || !task->interruptible || !weir__task_pending(task))
            continue;
        if (interrupt(waiter))
            return weir__task_pending_error(task);
        task->interruptible = false;
    }
    return NULL;
}

weir_error *weir__wait(struct waiter *waiter, wait_interrupt_fn interrupt)
{
    return weir__wait_until(waiter, (weir_instant){INT64_MAX}, interrupt);
}

/* Steps back for one iteration; cannot be cut short. */
static void yield_once(weir_task *task)
{
    struct waiter waiter = {.task = task};

    task->wake_at = INT64_MAX;
    task->interruptible = false;
    weir__loop_ready(task->future.home->loop, &task->job);
    sleep_until_ready(task, &waiter);
    task->budget = 0;
}

void weir__task_budget(void)
{
    weir_task *task = weir__current_task;

    if (task && ++task->budget >= TASK_BUDGET && !task->no_suspend && !task->locks)
        yield_once(task);
}

static bool nothing_to_detach(struct waiter *waiter)
{
    (void)waiter;
    return true;
}

weir_error *weir_sleep_at(const weir_site *site, weir_duration duration)
{
    struct waiter waiter;
    weir_error *error;
    weir_loop *loop;

    WEIR_TRY(weir__wait_begin(&waiter));
    waiter.task->wait_site = site;
    if (duration.ns <= 0) {
        yield_once(waiter.task);
        waiter.task->wait_site = NULL;
        return NULL;
    }
    loop = waiter.task->future.home->loop;
    error = weir__wait_until(&waiter, weir_instant_after(weir_loop_time(loop), duration),
                             nothing_to_detach);
    waiter.task->wait_site = NULL;
    return error;
}

weir_error *weir_checkpoint_at(const weir_site *site)
{
    WEIR_TRY(weir_sleep_at(site, WEIR_NS(0)));
    return weir__wait_check();
}

weir_error *weir_check_cancelled(void)
{
    weir_task *task = weir__current_task;

    return task ? weir__task_pending_error(task) : NULL;
}

struct await {
    struct waiter waiter;
    struct future_link link;
};

static void await_done(struct future_link *link)
{
    weir__wait_wake(&container_of(link, struct await, link)->waiter);
}

static bool await_detach(struct waiter *waiter)
{
    list_remove(&container_of(waiter, struct await, waiter)->link.link);
    return true;
}

static weir_error *check_awaitable(const char *operation, const weir_site *site,
                                   const weir_future *future)
{
    const weir_task *task = weir__current_task;

    if (!task)
        return NULL; /* said by the wait */
    WEIR_TRY(weir__task_home_check_call(future->home, operation, site));
    if (task->future.home != future->home)
        return weir_raise(WEIR_ETHREAD, "the future belongs to another loop: made at %s:%d",
                          future->site->file, future->site->line);
    if (&task->future == future)
        return weir_raise(WEIR_EDEADLK, "task '%s' would wait for itself", weir_task_name(task));
    return NULL;
}

weir_error *weir_await_at(const weir_site *site, weir_future *future)
{
    weir_auto(weir_future) held = NULL;
    struct await await;
    weir_error *error;

    WEIR_TRY(check_awaitable(__func__, site, future));
    WEIR_TRY(weir__wait_begin(&await.waiter));
    if (future->state != FUTURE_PENDING) {
        weir__task_budget();
        return weir__future_error(future);
    }
    held = weir_future_ref(future);
    await.link.done = await_done;
    await.link.waiter = &await.waiter.task->future;
    list_append(&future->links, &await.link.link);
    await.waiter.task->wait_site = site;
    await.waiter.task->wait_for = future;
    error = weir__wait(&await.waiter, await_detach);
    await.waiter.task->wait_site = NULL;
    await.waiter.task->wait_for = NULL;
    if (error)
        return error;
    return weir__future_error(future);
}

weir_error *weir_task_await_at(const weir_site *site, weir_task *task)
{
    return weir_await_at(site, &task->future);
}
