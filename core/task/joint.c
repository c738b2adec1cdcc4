/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A joint hangs one link on each of several futures. Each end is counted, and told to the combinator,
 * which says whether its task has seen enough.
 */
#include "config.h"

#include "core/task/joint.h"

#include "core/base/alloc.h"
#include "core/base/error.h"

#define FEW (sizeof((struct joint *)0)->few / sizeof(struct joint_entry))

weir_error *weir__joint_init(struct joint *joint, size_t count,
                             bool (*enough)(struct joint *, struct joint_entry *))
{
    *joint = (struct joint){.count = count, .enough = enough, .entries = joint->few};
    if (count > FEW) {
        joint->entries = weir__calloc(count, sizeof *joint->entries);
        if (!joint->entries)
            return weir_raise(WEIR_ENOMEM, "combinator");
    }
    return NULL;
}

void weir__joint_done(struct joint *joint)
{
    for (size_t i = 0; i < joint->count; i++)
        weir__joint_unwatch(&joint->entries[i]);
    if (joint->entries != joint->few)
        weir__free(joint->entries);
}

static void count_end(struct joint_entry *entry)
{
    struct joint *joint = entry->joint;

    entry->ended = true;
    entry->order = joint->done++;
    joint->pending--;
    if (joint->enough(joint, entry) && joint->waiting)
        weir__wait_wake(&joint->waiter);
}

static void link_done(struct future_link *link)
{
    count_end(container_of(link, struct joint_entry, link));
}

void weir__joint_watch(struct joint *joint, struct joint_entry *entry, weir_future *future)
{
    entry->joint = joint;
    entry->future = weir_future_ref(future);
    entry->link.done = link_done;
    entry->link.waiter = weir__current_task ? &weir__current_task->future : NULL;
    list_init(&entry->link.link);
    joint->pending++;
    if (future->state == FUTURE_PENDING)
        list_append(&future->links, &entry->link.link);
    else
        count_end(entry);
}

void weir__joint_unwatch(struct joint_entry *entry)
{
    if (!entry->future)
        return;
    list_remove(&entry->link.link);
    weir_future_unref(WEIR_TAKE(entry->future));
}

weir_error *weir__joint_check(const char *operation, const weir_site *site,
                              weir_future *const *futures, size_t count)
{
    const weir_task *task = weir__current_task;

    for (size_t i = 0; i < count; i++) {
        WEIR_TRY(weir__task_home_check_call(futures[i]->home, operation, site));
        if (!task)
            continue;
        if (futures[i]->home != task->future.home)
            return weir_raise(WEIR_ETHREAD, "the future belongs to another loop");
        if (futures[i] == &task->future)
            return weir_raise(WEIR_EDEADLK, "task %s would wait for itself", weir_task_name(task));
    }
    return NULL;
}

weir_error *weir__joint_wait(struct joint *joint, weir_instant when, wait_interrupt_fn interrupt)
{
    weir_error *error;

    joint->waiting = true;
    joint->waiter.task->wait_site = joint->site;
    error = weir__wait_until(&joint->waiter, when, interrupt);
    joint->waiter.task->wait_site = NULL;
    joint->waiting = false;
    return error;
}

void weir__joint_cancel(struct joint *joint)
{
    for (size_t i = 0; i < joint->count; i++) {
        if (joint->entries[i].future && !joint->entries[i].ended)
            (void)weir_future_cancel(joint->entries[i].future);
    }
}

bool weir__joint_leave(struct waiter *waiter)
{
    (void)waiter; /* weir__joint_done() unlinks */
    return true;
}

bool weir__joint_cancel_and_stay(struct waiter *waiter)
{
    struct joint *joint = container_of(waiter, struct joint, waiter);

    joint->interrupted = true;
    weir__joint_cancel(joint);
    return false;
}

void weir__joint_end(struct joint *joint)
{
    weir__joint_cancel(joint);
    while (joint->pending) {
        weir__wait_begin_masked(&joint->waiter);
        weir_ignore(weir__joint_wait(joint, (weir_instant){INT64_MAX}, NULL));
    }
}

static bool failed(const struct joint_entry *entry)
{
    return entry->future && entry->future->state == FUTURE_ERROR;
}

static struct joint_entry *first_to_fail(const struct joint *joint)
{
    struct joint_entry *first = NULL;

    for (size_t i = 0; i < joint->count; i++) {
        struct joint_entry *entry = &joint->entries[i];

        if (failed(entry) && (!first || entry->order < first->order))
            first = entry;
    }
    return first;
}

weir_error *weir__joint_error(struct joint *joint)
{
    struct joint_entry *first = first_to_fail(joint);
    weir_error *error;

    if (!first)
        return NULL;
    error = weir__future_error(first->future);
    if (error->kind == ERROR_STATIC)
        return error; /* bears nothing: who dies with an error that is not seen reports it */
    for (size_t i = 0; i < joint->count; i++) {
        struct joint_entry *entry = &joint->entries[i];

        if (entry == first || !failed(entry) || entry->future == first->future ||
            weir_future_cancelled(entry->future))
            continue;
        weir_error_attach(error, weir__future_error(entry->future));
    }
    return error;
}

void weir__co_discard_all(weir_co *const *take_cos, size_t count)
{
    for (size_t i = 0; i < count; i++)
        weir_co_discard(take_cos[i]);
}
