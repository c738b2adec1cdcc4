/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scopes: a list of stack objects from the innermost outwards. What a suspending call may not do is
 * found by walking it:
 *
 *     task ──> timeout ──> group ──> shield ──> timeout ──> (the task: cancelled?)
 *
 * The outermost one that has something to say wins, a cancellation of the task over all of them. A
 * shield whose time is not over ends the walk: nothing outside of it is heard. When its time is
 * over it masks nothing any more and counts as an expired deadline itself.
 */
#include "config.h"

#include "core/base/invariant.h"
#include "core/task/task.h"

void weir__scope_enter(struct scope *scope, enum scope_kind kind, weir_duration duration,
                       const weir_site *site)
{
    weir_task *task = weir__current_task;

    scope->kind = (unsigned char)kind;
    scope->site = site;
    scope->deadline = INT64_MAX;
    scope->task = task;
    if (!task)
        return;
    scope->deadline = weir_instant_after(weir_loop_time(task->future.home->loop), duration).ns;
    scope->outer = task->scope;
    task->scope = scope;
}

void weir__scope_leave(struct scope *scope)
{
    if (!scope->task)
        return;
    weir_assert(scope->task->scope == scope);
    scope->task->scope = scope->outer;
    scope->task = NULL;
}

static bool has_expired(const struct scope *scope, int64_t now)
{
    return scope->seen || now >= scope->deadline;
}

/* A group tells its body that a child has failed. */
static bool fails(const struct scope *scope)
{
    return !scope->joining && !scope->collects &&
           ((const struct group *)(const void *)scope)->error;
}

/* What is to be said, by whom. A NULL scope: the task is cancelled. */
static bool find_pending(const weir_task *task, struct scope **ret)
{
    struct scope *found = NULL;
    int64_t now;

    if (!task->scope) {
        *ret = NULL;
        return task->cancelling > 0;
    }
    now = weir__loop_now(task->future.home->loop);
    for (struct scope *scope = task->scope; scope; scope = scope->outer) {
        if (scope->kind == SCOPE_GROUP) {
            if (fails(scope))
                found = scope;
        } else if (has_expired(scope, now)) {
            found = scope;
        } else if (scope->kind == SCOPE_SHIELD) {
            *ret = found;
            return found != NULL;
        }
    }
    *ret = task->cancelling ? NULL : found;
    return task->cancelling || found;
}

bool weir__task_pending(const weir_task *task)
{
    struct scope *by;

    return find_pending(task, &by);
}

weir_error *weir__task_pending_error(weir_task *task)
{
    struct scope *by;

    if (!find_pending(task, &by))
        return NULL;
    if (!by)
        return weir_raise(WEIR_ECANCELED, "cancelled");
    by->seen = true;
    if (by->kind == SCOPE_GROUP)
        return weir_error_ref(((struct group *)(void *)by)->error);
    return weir_raise(WEIR_ETIMEDOUT, "timed out");
}

int64_t weir__task_deadline(const weir_task *task)
{
    int64_t deadline = INT64_MAX;

    for (struct scope *scope = task->scope; scope; scope = scope->outer) {
        if (scope->deadline < deadline)
            deadline = scope->deadline;
        if (scope->kind == SCOPE_SHIELD)
            break; /* what lies outside is heard when the shield has ended */
    }
    return deadline;
}

void weir_timeout_enter(weir_timeout *scope, weir_duration duration, const weir_site *site)
{
    weir__scope_enter((struct scope *)(void *)scope, SCOPE_TIMEOUT, duration, site);
}

void weir_timeout_enter_at(weir_timeout *opaque, weir_instant when, const weir_site *site)
{
    struct scope *scope = (struct scope *)(void *)opaque;

    weir__scope_enter(scope, SCOPE_TIMEOUT, WEIR_FOREVER, site);
    if (scope->task)
        scope->deadline = when.ns;
}

/* Of an inert one, and in the thread of its task. */
#define allows(opaque)                                        \
    (!((const struct scope *)(const void *)(opaque))->task || \
     weir__task_home_allows(((const struct scope *)(const void *)(opaque))->task->future.home))

void weir_timeout_leave(weir_timeout *scope)
{
    if (!allows(scope))
        return;
    weir__scope_leave((struct scope *)(void *)scope);
}

bool weir_timeout_expired(const weir_timeout *opaque)
{
    const struct scope *scope = (const struct scope *)(const void *)opaque;

    if (!scope->task)
        return false;
    return has_expired(scope, weir__loop_now(scope->task->future.home->loop));
}

weir_instant weir_timeout_when(const weir_timeout *opaque)
{
    const struct scope *scope = (const struct scope *)(const void *)opaque;

    return (weir_instant){scope->task ? scope->deadline : INT64_MAX};
}

void weir_timeout_reschedule_at(weir_timeout *opaque, weir_instant when)
{
    struct scope *scope = (struct scope *)(void *)opaque;

    if (!scope->task || !weir__task_home_allows(scope->task->future.home) || scope->seen)
        return;
    scope->deadline = when.ns;
    weir__task_rearm(scope->task);
}

void weir_timeout_reschedule(weir_timeout *opaque, weir_duration duration)
{
    struct scope *scope = (struct scope *)(void *)opaque;

    if (scope->task && weir__task_home_allows(scope->task->future.home))
        weir_timeout_reschedule_at(
            opaque, weir_instant_after(weir_loop_time(scope->task->future.home->loop), duration));
}

void weir_shield_enter(weir_shield *scope, weir_duration duration, const weir_site *site)
{
    weir__scope_enter((struct scope *)(void *)scope, SCOPE_SHIELD, duration, site);
}

void weir_shield_leave(weir_shield *scope)
{
    if (!allows(scope))
        return;
    weir__scope_leave((struct scope *)(void *)scope);
}
