/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather: all of several calls or futures.
 *
 * It returns when all have ended, also after a first error: what it started uses frames of its caller.
 * asyncio's returns at the first error and leaves the siblings without owner; a caller who wants
 * that waits (weir_wait) for tasks of its own.
 */
#include "config.h"

#include "core/base/error.h"
#include "core/task/joint.h"

static bool all_ended(struct joint *joint, struct joint_entry *ended)
{
    (void)ended;
    return joint->pending == 0;
}

static bool any_failed(const struct joint *joint)
{
    for (size_t i = 0; i < joint->count; i++)
        if (joint->entries[i].future->state == FUTURE_ERROR)
            return true;
    return false;
}

/* Nobody fails any more. `move`: the values leave the futures. */
static void give(struct joint *joint, void **ret_values, weir_error **ret_errors, bool move)
{
    for (size_t i = 0; i < joint->count; i++) {
        weir_future *future = joint->entries[i].future;
        void *value = NULL;

        if (ret_errors)
            ret_errors[i] = weir__future_error(future);
        if (!ret_values)
            continue;
        if (future->state == FUTURE_RESULT)
            weir_ignore(move ? weir_future_take_result(future, &value)
                             : weir_future_get_result(future, &value));
        ret_values[i] = value;
    }
}

/* All have ended. */
static weir_error *outcome(struct joint *joint, void **ret_values, weir_error **ret_errors,
                           bool move)
{
    if (joint->interrupted && any_failed(joint))
        WEIR_TRY(weir__task_pending_error(joint->waiter.task));
    if (!ret_errors)
        WEIR_TRY(weir__joint_error(joint));
    give(joint, ret_values, ret_errors, move);
    return NULL;
}

/* Always takes. */
static weir_error *start_all(struct joint *joint, weir_co *const *take_cos)
{
    for (size_t i = 0; i < joint->count; i++) {
        weir_auto(weir_task) task = NULL;
        weir_error *error = weir_co_spawn(take_cos[i], &task);

        if (error) {
            weir__co_discard_all(take_cos + i + 1, joint->count - i - 1);
            weir__joint_end(joint);
            return error;
        }
        weir__joint_watch(joint, &joint->entries[i], weir_task_future(task));
    }
    return NULL;
}

static weir_error *gather(struct joint *joint, weir_co *const *take_cos, void **ret_values,
                          weir_error **ret_errors)
{
    WEIR_TRY(start_all(joint, take_cos));
    if (joint->pending)
        WEIR_TRY(weir__joint_wait(joint, (weir_instant){INT64_MAX}, weir__joint_cancel_and_stay));
    return outcome(joint, ret_values, ret_errors, true);
}

weir_error *weir_gather_at(const weir_site *site, weir_co *const *take_cos, size_t count,
                           void **ret_values, weir_error **ret_errors)
{
    struct joint joint;
    struct waiter waiter;
    weir_error *error = weir__wait_begin(&waiter);

    if (!error)
        error = weir__joint_init(&joint, count, all_ended);
    if (error) {
        weir__co_discard_all(take_cos, count);
        return error;
    }
    joint.waiter = waiter;
    joint.site = site;
    error = gather(&joint, take_cos, ret_values, ret_errors);
    weir__joint_done(&joint);
    return error;
}

weir_error *weir_gather_futures_at(const weir_site *site, weir_future *const *futures, size_t count,
                                   void **ret_borrowed_values, weir_error **ret_errors)
{
    struct joint joint;
    struct waiter waiter;
    weir_error *error = NULL;

    WEIR_TRY(weir__joint_check(__func__, site, futures, count));
    WEIR_TRY(weir__wait_begin(&waiter));
    WEIR_TRY(weir__joint_init(&joint, count, all_ended));
    joint.waiter = waiter;
    joint.site = site;
    for (size_t i = 0; i < count; i++)
        weir__joint_watch(&joint, &joint.entries[i], futures[i]);
    if (joint.pending)
        error = weir__joint_wait(&joint, (weir_instant){INT64_MAX}, weir__joint_leave);
    else
        weir__task_budget();
    if (!error)
        error = outcome(&joint, ret_borrowed_values, ret_errors, false);
    weir__joint_done(&joint);
    return error;
}
