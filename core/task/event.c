/* SPDX-License-Identifier: Apache-2.0 */
/* Event, condition and barrier: many wait, one call lets them go. */
#include "config.h"

#include <string.h>

#include <weir/sync.h>

#include "core/base/invariant.h"
#include "core/task/sync.h"

struct event {
    struct sync sync;
    bool set;
} __attribute__((may_alias));

WEIR_STATIC_ASSERT(sizeof(struct event) <= sizeof(weir_event), "frozen size of weir_event");

static struct event *event_of(weir_event *event)
{
    return (struct event *)(void *)event;
}

void weir_event_init(weir_event *event)
{
    memset(event, 0, sizeof *event);
}

weir_error *weir_event_wait_at(const weir_site *site, weir_event *opaque)
{
    struct event *event = event_of(opaque);
    struct sync_wait wait;

    WEIR_TRY(weir__wait_begin(&wait.waiter));
    WEIR_TRY(weir__sync_bind(&event->sync, "event", __func__, site));
    if (event->set) {
        weir__task_budget();
        return NULL;
    }
    WEIR_TRY(weir__sync_wait(&event->sync, &wait, site));
    return NULL;
}

void weir_event_set_at(const weir_site *site, weir_event *opaque)
{
    struct event *event = event_of(opaque);

    if (!weir__sync_bound(&event->sync, "event", __func__, site))
        return;
    event->set = true;
    weir__sync_grant_all(&event->sync, 0);
}

void weir_event_clear_at(const weir_site *site, weir_event *opaque)
{
    struct event *event = event_of(opaque);

    if (weir__sync_bound(&event->sync, "event", __func__, site))
        event->set = false;
}

bool weir_event_is_set(const weir_event *opaque)
{
    return ((const struct event *)(const void *)opaque)->set;
}

struct condition {
    struct sync sync;
    struct lock *lock;
} __attribute__((may_alias));

WEIR_STATIC_ASSERT(sizeof(struct condition) <= sizeof(weir_condition),
                   "frozen size of weir_condition");

static struct condition *condition_of(weir_condition *condition)
{
    return (struct condition *)(void *)condition;
}

void weir_condition_init(weir_condition *condition, weir_lock *lock)
{
    memset(condition, 0, sizeof *condition);
    condition_of(condition)->lock = (struct lock *)(void *)lock;
}

weir_error *weir_condition_wait_at(const weir_site *site, weir_condition *opaque)
{
    struct condition *condition = condition_of(opaque);
    struct sync_wait wait;
    weir_error *error;

    WEIR_TRY(weir__wait_begin(&wait.waiter));
    WEIR_TRY(weir__sync_bind(&condition->sync, "condition", __func__, site));
    WEIR_TRY(weir__sync_bind(&condition->lock->sync, "lock of the condition", __func__, site));
    if (!condition->lock->locked)
        return weir_raise(WEIR_EINVALSTATE, "wait on a condition whose lock is not held");
    weir__lock_pass_on(condition->lock);
    error = weir__sync_wait(&condition->sync, &wait, site);
    weir__lock_acquire_masked(condition->lock, site);
    if (error)
        return weir_error_trace(error, WEIR_HERE);
    return NULL;
}

weir_error *weir_condition_wait_for_at(const weir_site *site, weir_condition *condition,
                                       bool (*predicate)(void *), void *arg)
{
    WEIR_TRY(weir__sync_bind(&condition_of(condition)->lock->sync, "lock of the condition",
                             __func__, site));
    while (!predicate(arg))
        WEIR_TRY(weir_condition_wait_at(site, condition));
    return NULL;
}

bool weir_condition_notify_at(const weir_site *site, weir_condition *opaque, size_t count)
{
    struct condition *condition = condition_of(opaque);

    if (!weir__sync_bound(&condition->sync, "condition", __func__, site))
        return false;
    if (!condition->lock->locked) {
        weir__sync_misuse(site, "notify of a condition whose lock is not held");
        return false;
    }
    while (count-- && weir__sync_grant(&condition->sync))
        continue;
    return true;
}

struct barrier {
    struct sync sync;
    size_t parties;
    size_t waiting;
    bool broken;
} __attribute__((may_alias));

WEIR_STATIC_ASSERT(sizeof(struct barrier) <= sizeof(weir_barrier), "frozen size of weir_barrier");

static struct barrier *barrier_of(weir_barrier *barrier)
{
    return (struct barrier *)(void *)barrier;
}

void weir_barrier_init(weir_barrier *barrier, size_t parties)
{
    memset(barrier, 0, sizeof *barrier);
    barrier_of(barrier)->parties = parties ? parties : 1;
}

/* Lets the round go. They leave it here and now, so the next round fills at once. */
static void let_go(struct barrier *barrier)
{
    struct sync_wait *wait;
    size_t index = 0;

    barrier->waiting = 0;
    while ((wait = weir__sync_grant(&barrier->sync)))
        wait->index = index++;
}

static void fail_round(struct barrier *barrier)
{
    barrier->waiting = 0;
    weir__sync_grant_all(&barrier->sync, WEIR_EBROKEN);
}

static weir_error *wait_for_the_others(struct barrier *barrier, struct sync_wait *wait,
                                       const weir_site *site)
{
    weir_error *error;

    barrier->waiting++;
    error = weir__sync_wait(&barrier->sync, wait, site);
    if (error) {
        barrier->waiting--;
        return error;
    }
    if (wait->failed)
        return weir_raise(wait->failed, "the barrier was reset or aborted");
    return NULL;
}

weir_error *weir_barrier_wait_at(const weir_site *site, weir_barrier *opaque, size_t *ret_index)
{
    struct barrier *barrier = barrier_of(opaque);
    struct sync_wait wait;

    WEIR_TRY(weir__wait_begin(&wait.waiter));
    WEIR_TRY(weir__sync_bind(&barrier->sync, "barrier", __func__, site));
    if (barrier->broken)
        return weir_raise(WEIR_EBROKEN, "the barrier is broken");
    wait.index = barrier->parties - 1;
    if (barrier->waiting + 1 == barrier->parties) {
        let_go(barrier);
        weir__task_budget();
    } else {
        WEIR_TRY(wait_for_the_others(barrier, &wait, site));
    }
    if (ret_index)
        *ret_index = wait.index;
    return NULL;
}

void weir_barrier_reset_at(const weir_site *site, weir_barrier *opaque)
{
    struct barrier *barrier = barrier_of(opaque);

    if (!weir__sync_bound(&barrier->sync, "barrier", __func__, site))
        return;
    barrier->broken = false;
    fail_round(barrier);
}

void weir_barrier_abort_at(const weir_site *site, weir_barrier *opaque)
{
    struct barrier *barrier = barrier_of(opaque);

    if (!weir__sync_bound(&barrier->sync, "barrier", __func__, site))
        return;
    barrier->broken = true;
    fail_round(barrier);
}

bool weir_barrier_broken(const weir_barrier *opaque)
{
    return ((const struct barrier *)(const void *)opaque)->broken;
}

size_t weir_barrier_waiting(const weir_barrier *opaque)
{
    return ((const struct barrier *)(const void *)opaque)->waiting;
}

size_t weir_barrier_parties(const weir_barrier *opaque)
{
    return ((const struct barrier *)(const void *)opaque)->parties;
}
