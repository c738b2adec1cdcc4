/* SPDX-License-Identifier: Apache-2.0 */
/* The lock and the semaphore: what is released belongs to the first waiter at once. */
#include "config.h"

#include <string.h>

#include <weir/sync.h>

#include "core/base/invariant.h"
#include "core/task/sync.h"

WEIR_STATIC_ASSERT(sizeof(struct lock) <= sizeof(weir_lock), "frozen size of weir_lock");

static struct lock *lock_of(weir_lock *lock)
{
    return (struct lock *)(void *)lock;
}

void weir_lock_init(weir_lock *lock)
{
    memset(lock, 0, sizeof *lock);
}

weir_error *weir_lock_acquire_at(const weir_site *site, weir_lock *opaque)
{
    struct lock *lock = lock_of(opaque);
    struct sync_wait wait;

    WEIR_TRY(weir__wait_begin(&wait.waiter));
    WEIR_TRY(weir__sync_bind(&lock->sync, "lock", __func__, site));
    if (!lock->locked) { /* then nobody waits */
        lock->locked = true;
        weir__task_budget();
        return NULL;
    }
    WEIR_TRY(weir__sync_wait(&lock->sync, &wait, site));
    return NULL;
}

bool weir_lock_try_acquire(weir_lock *opaque)
{
    struct lock *lock = lock_of(opaque);

    if (!weir__sync_bound(&lock->sync, "lock", __func__, NULL) || lock->locked)
        return false;
    lock->locked = true;
    return true;
}

void weir__lock_acquire_masked(struct lock *lock, const weir_site *site)
{
    struct sync_wait wait;

    if (!lock->locked) {
        lock->locked = true;
        return;
    }
    weir__wait_begin_masked(&wait.waiter);
    weir__sync_wait_masked(&lock->sync, &wait, site);
}

void weir__lock_pass_on(struct lock *lock)
{
    if (!weir__sync_grant(&lock->sync))
        lock->locked = false;
}

bool weir_lock_release_at(const weir_site *site, weir_lock *opaque)
{
    struct lock *lock = lock_of(opaque);

    if (!weir__sync_bound(&lock->sync, "lock", __func__, site))
        return false;
    if (!lock->locked) {
        weir__sync_misuse(site, "release of a lock that is not locked");
        return false;
    }
    weir__lock_pass_on(lock);
    return true;
}

bool weir_lock_locked(const weir_lock *opaque)
{
    return ((const struct lock *)(const void *)opaque)->locked;
}

struct semaphore {
    struct sync sync;
    size_t value;
    size_t limit; /* SIZE_MAX: none */
} __attribute__((may_alias));

WEIR_STATIC_ASSERT(sizeof(struct semaphore) <= sizeof(weir_semaphore),
                   "frozen size of weir_semaphore");

static struct semaphore *semaphore_of(weir_semaphore *semaphore)
{
    return (struct semaphore *)(void *)semaphore;
}

static void semaphore_init(weir_semaphore *opaque, size_t permits, size_t limit)
{
    memset(opaque, 0, sizeof *opaque);
    semaphore_of(opaque)->value = permits;
    semaphore_of(opaque)->limit = limit;
}

void weir_semaphore_init(weir_semaphore *semaphore, size_t permits)
{
    semaphore_init(semaphore, permits, SIZE_MAX);
}

void weir_semaphore_init_bounded(weir_semaphore *semaphore, size_t permits)
{
    semaphore_init(semaphore, permits, permits);
}

weir_error *weir_semaphore_acquire_at(const weir_site *site, weir_semaphore *opaque)
{
    struct semaphore *semaphore = semaphore_of(opaque);
    struct sync_wait wait;

    WEIR_TRY(weir__wait_begin(&wait.waiter));
    WEIR_TRY(weir__sync_bind(&semaphore->sync, "semaphore", __func__, site));
    if (semaphore->value) { /* then nobody waits */
        semaphore->value--;
        weir__task_budget();
        return NULL;
    }
    WEIR_TRY(weir__sync_wait(&semaphore->sync, &wait, site));
    return NULL;
}

bool weir_semaphore_try_acquire(weir_semaphore *opaque)
{
    struct semaphore *semaphore = semaphore_of(opaque);

    if (!weir__sync_bound(&semaphore->sync, "semaphore", __func__, NULL) || !semaphore->value)
        return false;
    semaphore->value--;
    return true;
}

bool weir_semaphore_release_at(const weir_site *site, weir_semaphore *opaque)
{
    struct semaphore *semaphore = semaphore_of(opaque);

    if (!weir__sync_bound(&semaphore->sync, "semaphore", __func__, site))
        return false;
    if (weir__sync_grant(&semaphore->sync))
        return true;
    if (semaphore->value >= semaphore->limit) {
        weir__sync_misuse(site, "release of a bounded semaphore more often than it was acquired");
        return false;
    }
    semaphore->value++;
    return true;
}

size_t weir_semaphore_value(const weir_semaphore *opaque)
{
    return ((const struct semaphore *)(const void *)opaque)->value;
}

bool weir_semaphore_locked(const weir_semaphore *opaque)
{
    return weir_semaphore_value(opaque) == 0;
}
