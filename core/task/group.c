/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups: child tasks that end before the block does.
 *
 *     live ──ended──> ended (by next(), when a handle was asked for or a value is there), or
 * released
 *
 * The first child that fails makes the group's error; its siblings are cancelled, and suspending
 * calls of the body return that error like an expired deadline (scope.c). Errors that follow are
 * attached to it, as long as somebody will see them there; else they are reported. A group that
 * collects only keeps them, until a join hands them over. Leaving cancels what still runs and waits
 * for it, whatever else is pending: children may use the frames above the group.
 */
#include "config.h"

#include "core/base/error.h"
#include "core/task/task.h"

#define ATTACHED_MAX 16

static struct group *group_of(weir_group *group)
{
    return (struct group *)(void *)group;
}

static void cancel_children(struct group *group)
{
    if (group->scope.cancelled)
        return;
    group->scope.cancelled = true;
    weir_list_foreach(child, &group->live, weir_task, sibling)
        (void)weir_task_cancel(child);
}

/* The body's: of a group that collects it moves out, so that the next join has its own. */
static weir_error *give_error(struct group *group)
{
    if (!group->error)
        return NULL;
    if (group->scope.collects) {
        group->attached = 0;
        return WEIR_TAKE(group->error);
    }
    group->scope.seen = true;
    return weir_error_ref(group->error);
}

/* Who holds the group's error, or will be given it, finds further ones there. */
static bool bears_more(const struct group *group)
{
    const weir_error *error = group->error;

    return error->kind != ERROR_STATIC && group->attached < ATTACHED_MAX &&
           !(group->scope.seen && error->refs == 1);
}

static void report(struct group *group, const weir_site *site, const weir_error *error)
{
    weir__task_report_error(group->scope.task->future.home,
                            "a child of a group failed and nobody took its error", site, error);
}

static void child_failed(struct group *group, const weir_site *site, weir_error *take_error)
{
    if (!group->error) {
        group->error = take_error;
        if (group->scope.collects)
            return;
        cancel_children(group);
        weir__task_poke(group->scope.task);
    } else if (bears_more(group)) {
        group->attached++;
        weir_error_attach(group->error, take_error);
    } else {
        report(group, site, take_error);
        weir_ignore(take_error);
    }
}

static bool may_go_on(const struct group *group)
{
    return list_empty(&group->live) || (!group->scope.joining && !list_empty(&group->ended));
}

void weir__group_child_ended(weir_task *child)
{
    struct group *group = child->group;

    child->group = NULL;
    list_remove(&child->sibling);
    if (child->future.state == FUTURE_ERROR && !weir_future_cancelled(&child->future) &&
        !(group->scope.collects && child->wanted))
        child_failed(group, child->future.site, weir__future_error(&child->future));
    if (child->wanted || child->future.value) {
        (void)weir_task_ref(child);
        list_append(&group->ended, &child->sibling);
    }
    if (group->joiner && may_go_on(group))
        weir__wait_wake(group->joiner);
}

static bool detach_joiner(struct waiter *waiter)
{
    (void)waiter; /* the caller clears it, on every path */
    return true;
}

static weir_error *wait_for_children(struct group *group, struct waiter *waiter,
                                     wait_interrupt_fn interrupt, const weir_site *site)
{
    weir_error *error = NULL;

    if (may_go_on(group)) {
        if (interrupt)
            weir__task_budget();
        return NULL;
    }
    group->joiner = waiter;
    waiter->task->wait_site = site;
    error = weir__wait(waiter, interrupt);
    waiter->task->wait_site = NULL;
    group->joiner = NULL;
    return error;
}

void weir_group_enter(weir_group *opaque, const weir_site *site)
{
    struct group *group = group_of(opaque);

    list_init(&group->live);
    list_init(&group->ended);
    weir__scope_enter(&group->scope, SCOPE_GROUP, WEIR_FOREVER, site);
}

void weir_group_leave(weir_group *opaque)
{
    struct group *group = group_of(opaque);
    struct waiter waiter;

    if (!group->scope.task || !weir__task_home_allows(group->scope.task->future.home))
        return;
    cancel_children(group);
    group->scope.joining = true;
    weir__wait_begin_masked(&waiter);
    weir_ignore(wait_for_children(group, &waiter, NULL, group->scope.site));
    weir_list_foreach_safe(child, &group->ended, weir_task, sibling) {
        list_remove(&child->sibling);
        weir_task_unref(child);
    }
    if (group->error && !group->scope.seen)
        report(group, group->scope.site, group->error);
    weir_ignore(WEIR_TAKE(group->error));
    weir__scope_leave(&group->scope);
}

static weir_error *spawn(struct group *group, struct spawn *child, const char *operation,
                         weir_task **ret_task)
{
    const weir_site *site = child->site;

    if (!group->scope.task)
        return weir_raise_at(site, WEIR_ENOTASK, "the group was entered outside a task");
    WEIR_TRY(weir__task_home_check_call(group->scope.task->future.home, operation, site));
    if (weir__current_task == group->scope.task && !group->scope.collects)
        WEIR_TRY(give_error(group));
    if (group->scope.cancelled)
        return weir_raise_at(site, WEIR_ECLOSED, "the group is cancelled");
    child->group = group;
    child->wanted = ret_task != NULL;
    return weir__spawn_with(group->scope.task->future.home->loop, child, ret_task);
}

weir_error *weir_group_spawn_at(const weir_site *site, const char *name, weir_group *group,
                                weir_fn fn, void *arg, weir_task **ret_task)
{
    struct spawn child = {.site = site, .fn_name = name, .fn = fn, .arg = arg};

    return spawn(group_of(group), &child, __func__, ret_task);
}

weir_error *weir_group_spawn_with_at(const weir_site *site, const char *name, weir_group *group,
                                     weir_fn fn, void *arg, const weir_spawn_options *options,
                                     weir_task **ret_task)
{
    struct spawn child = {.site = site, .fn_name = name, .fn = fn, .arg = arg};

    weir__spawn_read_options(&child, options);
    return spawn(group_of(group), &child, __func__, ret_task);
}

weir_error *weir_group_spawn_co(weir_group *group, weir_co *take_co, weir_task **ret_task)
{
    struct spawn child = {
        .site = take_co->site, .fn_name = take_co->name, .fn = take_co->fn, .arg = take_co->arg};
    weir_error *error = spawn(group_of(group), &child, __func__, ret_task);

    weir_co_discard(take_co);
    return error;
}

/* One waiter at most, and no child waits for itself. */
static weir_error *check_body(const struct group *group, const char *operation,
                              const weir_site *site)
{
    if (group->scope.task)
        WEIR_TRY(weir__task_home_check_call(group->scope.task->future.home, operation, site));
    if (weir__current_task && weir__current_task != group->scope.task)
        return weir_raise(WEIR_EDEADLK, "only the task that entered a group waits for it");
    return NULL;
}

weir_error *weir_group_next_at(const weir_site *site, weir_group *opaque, weir_task **ret_task)
{
    struct group *group = group_of(opaque);
    struct waiter waiter;
    weir_task *child = NULL;

    WEIR_TRY(check_body(group, __func__, site));
    WEIR_TRY(weir__wait_begin(&waiter));
    WEIR_TRY(wait_for_children(group, &waiter, detach_joiner, site));
    if (!list_empty(&group->ended)) {
        child = container_of(group->ended.next, weir_task, sibling);
        list_remove(&child->sibling);
    }
    *ret_task = child;
    return NULL;
}

weir_error *weir_group_join_at(const weir_site *site, weir_group *opaque)
{
    struct group *group = group_of(opaque);
    struct waiter waiter;
    weir_error *error;

    WEIR_TRY(check_body(group, __func__, site));
    group->scope.joining = true;
    error = weir__wait_begin(&waiter);
    if (!error)
        error = wait_for_children(group, &waiter, detach_joiner, site);
    group->scope.joining = false;
    return error ? error : give_error(group);
}

void weir_group_set_policy(weir_group *opaque, weir_group_policy policy)
{
    struct group *group = group_of(opaque);

    if (!group->scope.task || weir__task_home_allows(group->scope.task->future.home))
        group->scope.collects = policy == WEIR_GROUP_COLLECT;
}

void weir_group_cancel(weir_group *opaque)
{
    struct group *group = group_of(opaque);

    if (group->scope.task && weir__task_home_allows(group->scope.task->future.home))
        cancel_children(group);
}
