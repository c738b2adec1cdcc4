/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Lock, event, condition, semaphore and barrier between the tasks of one loop.
 *
 * They live inside your own state, are of frozen size, allocate nothing and need no end; only nobody
 * may wait when their memory goes. Zeroed memory is an unlocked lock and a cleared event; the others
 * have an _init. Each belongs to the loop on which it is used first; another loop's tasks and threads
 * get WEIR_ETHREAD. An _init (or zeroing) makes it new, for another loop too.
 *
 * Waiting is cancellable and goes by moment: WEIR_ECANCELED, WEIR_ETIMEDOUT and the error of a
 * group's child mean that nothing was taken; what was handed to a waiter is kept, even when a
 * cancellation came in the same iteration. So no permit and no wake-up is lost. Waiters are served
 * in the order of arrival, and what is released goes straight to the first of them: nobody who comes
 * later can slip in between.
 *
 * Errors of everything that suspends: WEIR_ENOTASK outside a task, WEIR_ETHREAD, those above.
 * Releasing, setting and notifying never suspend and are allowed in callbacks. What cannot be done
 * (wrong thread, not locked) is logged by `weir` as an ERROR with the place of the call and changes
 * nothing.
 *
 * Example:
 *
 *     static weir_lock file_lock; // zeroed: unlocked
 *
 *     weir_error *append_record(void *record)
 *     {
 *         WEIR_TRY(weir_lock_acquire(&file_lock));
 *         WEIR_UNLOCK_AT_END(held, &file_lock);
 *         (void)record; // write it: suspending calls, WEIR_TRY, return
 *         WEIR_TRY(weir_sleep(WEIR_MS(1)));
 *         return NULL;
 *     }
 */
#ifndef WEIR_SYNC_H
#define WEIR_SYNC_H

#include <weir/task.h>

WEIR_BEGIN_DECLS

/* Lock */

/** Mutual exclusion. Not owned by a task: whoever holds it may release it from elsewhere; a task
 *  that acquires it twice waits for itself. */
typedef struct weir_lock {
    uint64_t opaque[6];
} weir_lock;

/** Unlocked, new. Cannot fail. Any thread. */
WEIR_PUBLIC void weir_lock_init(weir_lock *lock);
/** Suspends until the lock is this task's. */
#define weir_lock_acquire(lock) weir_lock_acquire_at(WEIR_HERE, (lock))
WEIR_PUBLIC weir_error *weir_lock_acquire_at(const weir_site *site, weir_lock *lock) WEIR_MUST_USE;
/** Takes it when nobody holds it or waits for it. False: it did not. Does not suspend. */
WEIR_PUBLIC bool weir_lock_try_acquire(weir_lock *lock) WEIR_MUST_USE;
/** Gives it to the first waiter, else unlocks. False: it was not locked, or the wrong thread; that
 *  is logged. */
#define weir_lock_release(lock) weir_lock_release_at(WEIR_HERE, (lock))
WEIR_PUBLIC bool weir_lock_release_at(const weir_site *site, weir_lock *lock);
/** Whether somebody holds it. */
WEIR_PUBLIC bool weir_lock_locked(const weir_lock *lock);

/** Releases the lock at the end of the block, on every way out of it. After a weir_lock_acquire() that
 *  succeeded; `name` is the variable that it declares. */
#define WEIR_UNLOCK_AT_END(name, lock) \
    __attribute__((cleanup(weir_lock_cleanup_), unused)) weir_lock *name = (lock)

static inline void weir_lock_cleanup_(weir_lock **weir_pointer_);

/* Event */

/** A flag to wait for. */
typedef struct weir_event {
    uint64_t opaque[6];
} weir_event;

/** Cleared, new. Any thread. */
WEIR_PUBLIC void weir_event_init(weir_event *event);
/** Suspends until the event is set. Who waited when it was set is woken, also when it was cleared
 *  since. */
#define weir_event_wait(event) weir_event_wait_at(WEIR_HERE, (event))
WEIR_PUBLIC weir_error *weir_event_wait_at(const weir_site *site, weir_event *event) WEIR_MUST_USE;
/** Sets the flag and wakes all who wait. */
#define weir_event_set(event) weir_event_set_at(WEIR_HERE, (event))
WEIR_PUBLIC void weir_event_set_at(const weir_site *site, weir_event *event);
#define weir_event_clear(event) weir_event_clear_at(WEIR_HERE, (event))
WEIR_PUBLIC void weir_event_clear_at(const weir_site *site, weir_event *event);
WEIR_PUBLIC bool weir_event_is_set(const weir_event *event);

/* Condition */

/** Waiting for a change of state that a lock guards. */
typedef struct weir_condition {
    uint64_t opaque[6];
} weir_condition;

/** `lock` is borrowed and must live as long; several conditions may share one. Any thread. */
WEIR_PUBLIC void weir_condition_init(weir_condition *condition, weir_lock *lock);
/**
 * Releases the lock, suspends until notified, and acquires the lock again; that last step cannot be
 * cancelled, so the lock is held after every return, with or without error. Who was notified
 * returns NULL even when cancelled at the same moment: look at the state, then go on.
 * Errors: WEIR_EINVALSTATE the lock is not held; it stays that way.
 */
#define weir_condition_wait(condition) weir_condition_wait_at(WEIR_HERE, (condition))
WEIR_PUBLIC weir_error *weir_condition_wait_at(const weir_site *site,
                                               weir_condition *condition) WEIR_MUST_USE;
/** Waits until `predicate(arg)` is true, which is asked with the lock held: at once, then after each
 *  notification. */
#define weir_condition_wait_for(condition, predicate, arg) \
    weir_condition_wait_for_at(WEIR_HERE, (condition), (predicate), (arg))
WEIR_PUBLIC weir_error *weir_condition_wait_for_at(const weir_site *site, weir_condition *condition,
                                                   bool (*predicate)(void *),
                                                   void *arg) WEIR_MUST_USE;
/** Wakes up to `count` of those who wait, in order. False: the lock is not held, or the wrong thread;
 *  that is logged. */
#define weir_condition_notify(condition, count) \
    weir_condition_notify_at(WEIR_HERE, (condition), (count))
WEIR_PUBLIC bool weir_condition_notify_at(const weir_site *site, weir_condition *condition,
                                          size_t count);
#define weir_condition_notify_all(condition) weir_condition_notify((condition), SIZE_MAX)

/* Semaphore */

/** A number of permits. */
typedef struct weir_semaphore {
    uint64_t opaque[6];
} weir_semaphore;

/** `permits` of them are free; more may be released than were acquired. Any thread. */
WEIR_PUBLIC void weir_semaphore_init(weir_semaphore *semaphore, size_t permits);
/** There are never more than `permits`: a release too many is logged and does nothing. */
WEIR_PUBLIC void weir_semaphore_init_bounded(weir_semaphore *semaphore, size_t permits);
/** Suspends until a permit is this task's. */
#define weir_semaphore_acquire(semaphore) weir_semaphore_acquire_at(WEIR_HERE, (semaphore))
WEIR_PUBLIC weir_error *weir_semaphore_acquire_at(const weir_site *site,
                                                  weir_semaphore *semaphore) WEIR_MUST_USE;
/** Takes one when it is free and nobody waits. False: it did not. Does not suspend. */
WEIR_PUBLIC bool weir_semaphore_try_acquire(weir_semaphore *semaphore) WEIR_MUST_USE;
/** Gives a permit to the first waiter, else frees it. False: too many of a bounded one, or the wrong
 *  thread; that is logged. */
#define weir_semaphore_release(semaphore) weir_semaphore_release_at(WEIR_HERE, (semaphore))
WEIR_PUBLIC bool weir_semaphore_release_at(const weir_site *site, weir_semaphore *semaphore);
/** Free permits. */
WEIR_PUBLIC size_t weir_semaphore_value(const weir_semaphore *semaphore);
/** Whether weir_semaphore_acquire() would suspend: no permit is free, or somebody waits. */
WEIR_PUBLIC bool weir_semaphore_locked(const weir_semaphore *semaphore);

/** Releases a permit at the end of the block, as WEIR_UNLOCK_AT_END() does a lock. */
#define WEIR_RELEASE_AT_END(name, semaphore) \
    __attribute__((cleanup(weir_semaphore_cleanup_), unused)) weir_semaphore *name = (semaphore)

static inline void weir_semaphore_cleanup_(weir_semaphore **weir_pointer_);

/* Barrier */

/** A number of tasks that go on together. Used again for the next round at once. */
typedef struct weir_barrier {
    uint64_t opaque[8];
} weir_barrier;

/** For `parties` tasks, at least 1 (0 counts as 1). Any thread. */
WEIR_PUBLIC void weir_barrier_init(weir_barrier *barrier, size_t parties);
/**
 * Suspends until `parties` tasks wait, then all go on. `ret_index` (may be NULL) gets a number of
 * 0…parties-1 that no other of this round has, so that one of them can do what is left to one. A
 * waiter that is cancelled leaves the round; the others go on waiting.
 * Errors: WEIR_EBROKEN the barrier is or was aborted, or was reset while this waited.
 */
#define weir_barrier_wait(barrier, ret_index) \
    weir_barrier_wait_at(WEIR_HERE, (barrier), (ret_index))
WEIR_PUBLIC weir_error *weir_barrier_wait_at(const weir_site *site, weir_barrier *barrier,
                                             size_t *ret_index) WEIR_MUST_USE;
/** Those who wait fail with WEIR_EBROKEN; then the barrier is as new. */
#define weir_barrier_reset(barrier) weir_barrier_reset_at(WEIR_HERE, (barrier))
WEIR_PUBLIC void weir_barrier_reset_at(const weir_site *site, weir_barrier *barrier);
/** Those who wait and those who come fail with WEIR_EBROKEN, until a reset. */
#define weir_barrier_abort(barrier) weir_barrier_abort_at(WEIR_HERE, (barrier))
WEIR_PUBLIC void weir_barrier_abort_at(const weir_site *site, weir_barrier *barrier);
WEIR_PUBLIC bool weir_barrier_broken(const weir_barrier *barrier);
/** How many wait in this round. */
WEIR_PUBLIC size_t weir_barrier_waiting(const weir_barrier *barrier);
WEIR_PUBLIC size_t weir_barrier_parties(const weir_barrier *barrier);

/* inline definitions */

static inline void weir_lock_cleanup_(weir_lock **weir_pointer_)
{
    (void)weir_lock_release(*weir_pointer_);
}

static inline void weir_semaphore_cleanup_(weir_semaphore **weir_pointer_)
{
    (void)weir_semaphore_release(*weir_pointer_);
}

WEIR_END_DECLS

#endif
