/* SPDX-License-Identifier: Apache-2.0 */
/* wait, as_completed and shield: waiting for what belongs to others. Nothing here cancels it. */
#include "config.h"

#include "core/base/alloc.h"
#include "core/task/joint.h"

/* For FIRST_ERROR: who looks at an error has taken it. */
static bool failed_and_seen(weir_future *future)
{
    if (future->state != FUTURE_ERROR || weir_future_cancelled(future))
        return false;
    future->error_seen = true;
    (void)weir_error_code(future->error);
    return true;
}

static bool first_completed(struct joint *joint, struct joint_entry *ended)
{
    (void)joint;
    (void)ended;
    return true;
}

static bool first_error(struct joint *joint, struct joint_entry *ended)
{
    bool failed = failed_and_seen(ended->future);

    return failed || joint->pending == 0;
}

static bool all_completed(struct joint *joint, struct joint_entry *ended)
{
    (void)ended;
    return joint->pending == 0;
}

static bool (*const enough_for[])(struct joint *, struct joint_entry *) = {
    [WEIR_FIRST_COMPLETED] = first_completed,
    [WEIR_FIRST_ERROR] = first_error,
    [WEIR_ALL_COMPLETED] = all_completed,
};

/* Those that are done count while they are hung up, before the task may be woken. */
static bool hang_up(struct joint *joint, weir_future *const *futures)
{
    bool enough = false;

    for (size_t i = 0; i < joint->count; i++)
        weir__joint_watch(joint, &joint->entries[i], futures[i]);
    for (size_t i = 0; i < joint->count && !enough; i++)
        enough = joint->entries[i].ended && joint->enough(joint, &joint->entries[i]);
    return enough;
}

weir_error *weir_wait_at(const weir_site *site, weir_future *const *futures, size_t count,
                         weir_duration limit, weir_wait_until until, size_t *ret_done)
{
    struct joint joint;
    struct waiter waiter;
    weir_error *error = NULL;

    if (!count || (unsigned)until > WEIR_ALL_COMPLETED)
        return weir_raise(WEIR_EINVAL, "weir_wait() needs futures and a condition");
    WEIR_TRY(weir__joint_check(__func__, site, futures, count));
    WEIR_TRY(weir__wait_begin(&waiter));
    WEIR_TRY(weir__joint_init(&joint, count, enough_for[until]));
    joint.waiter = waiter;
    joint.site = site;
    if (hang_up(&joint, futures) || limit.ns <= 0)
        weir__task_budget();
    else
        error = weir__joint_wait(
            &joint, weir_instant_after(weir_loop_time(waiter.task->future.home->loop), limit),
            weir__joint_leave);
    if (!error && ret_done)
        *ret_done = joint.done;
    weir__joint_done(&joint);
    return error;
}

struct weir_as_completed {
    struct joint joint;
    struct task_home *home; /* a reference */
    size_t given;
    weir_instant deadline;
};

static bool is_among(weir_future *const *futures, size_t count, const weir_future *future)
{
    for (size_t i = 0; i < count; i++)
        if (futures[i] == future)
            return true;
    return false;
}

/* Each future once, in front of the array. */
static void watch_distinct(struct joint *joint, weir_future *const *futures)
{
    size_t distinct = 0;

    for (size_t i = 0; i < joint->count; i++)
        if (!is_among(futures, i, futures[i]))
            weir__joint_watch(joint, &joint->entries[distinct++], futures[i]);
}

weir_error *weir_as_completed_new(weir_future *const *futures, size_t count, weir_duration limit,
                                  weir_as_completed **ret)
{
    weir_as_completed *iterator;
    struct task_home *home;
    weir_error *error;

    WEIR_TRY(weir__task_home_here(&home));
    WEIR_TRY(weir__joint_check(__func__, NULL, futures, count));
    iterator = weir__calloc(1, sizeof *iterator);
    if (!iterator)
        return weir_raise(WEIR_ENOMEM, "as_completed");
    error = weir__joint_init(&iterator->joint, count, first_completed);
    if (error) {
        weir__free(iterator);
        return error;
    }
    iterator->home = home;
    home->refs++;
    iterator->deadline = weir_instant_after(weir_loop_time(home->loop), limit);
    watch_distinct(&iterator->joint, futures);
    *ret = iterator;
    return NULL;
}

/* The one whose turn it is; NULL: it is not done. */
static struct joint_entry *next_ended(struct joint *joint, size_t order)
{
    for (size_t i = 0; i < joint->count; i++)
        if (joint->entries[i].ended && joint->entries[i].order == order)
            return &joint->entries[i];
    return NULL;
}

static weir_error *wait_for_next(weir_as_completed *iterator)
{
    struct joint *joint = &iterator->joint;

    if (iterator->given < joint->done || !joint->pending) {
        weir__task_budget();
        return NULL;
    }
    WEIR_TRY(weir__joint_wait(joint, iterator->deadline, weir__joint_leave));
    if (iterator->given == joint->done)
        return weir_raise(WEIR_ETIMEDOUT, "as_completed");
    return NULL;
}

weir_error *weir_as_completed_next_at(const weir_site *site, weir_as_completed *iterator,
                                      weir_future **ret_future)
{
    struct joint *joint = &iterator->joint;
    struct joint_entry *entry;
    struct waiter waiter;

    WEIR_TRY(weir__task_home_check_call(iterator->home, __func__, site));
    WEIR_TRY(weir__wait_begin(&waiter));
    if (joint->waiting)
        return weir_raise(WEIR_EBUSY, "another task waits for the next one");
    joint->waiter = waiter;
    joint->site = site;
    WEIR_TRY(wait_for_next(iterator));
    entry = next_ended(joint, iterator->given);
    if (entry)
        iterator->given++;
    *ret_future = entry ? WEIR_TAKE(entry->future) : NULL;
    return NULL;
}

static weir_error *free_at_home(void *iterator)
{
    weir_as_completed_free(iterator);
    return NULL;
}

void weir_as_completed_free(weir_as_completed *take_iterator)
{
    struct task_home *home;

    if (!take_iterator)
        return;
    home = take_iterator->home;
    if (!weir__task_home_is_here(home)) {
        weir_ignore(weir_loop_call_soon_threadsafe(home->loop, free_at_home, take_iterator, NULL));
        return;
    }
    weir__joint_done(&take_iterator->joint);
    weir__free(take_iterator);
    weir__task_home_unref(home);
}

static weir_error *report_shielded(weir_future *future, void *arg)
{
    (void)arg;
    if (future->state != FUTURE_ERROR || future->error_seen || weir_future_cancelled(future))
        return NULL;
    weir__task_report(future, "exception in shielded future");
    future->error_seen = true;
    return NULL;
}

weir_error *weir_shield_await_at(const weir_site *site, weir_task *task)
{
    weir_error *error = weir_task_await_at(site, task);

    if (error && !weir_task_done(task)) /* the waiter's own: it leaves */
        weir_ignore(weir_future_add_done_callback(weir_task_future(task), report_shielded, NULL));
    if (error)
        return weir_error_trace(error, WEIR_HERE);
    return NULL;
}
