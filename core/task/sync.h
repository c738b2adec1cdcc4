/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lock, event, condition, semaphore, barrier and queue share: tasks that wait in a row, and the
 * loop they belong to. Who takes a waiter out of the row has granted it what it waited for.
 */
#ifndef WEIR_CORE_TASK_SYNC_H
#define WEIR_CORE_TASK_SYNC_H

#include "core/base/list.h"
#include "core/task/wait.h"

/* Zeroed: not used yet. The loop is compared, never looked into: it may be gone. */
struct sync {
    const void *loop;
    struct list waiters;
};

struct sync_wait {
    struct waiter waiter;
    struct list link;
    weir_code failed; /* granted nothing but this error */
    size_t index;     /* barrier: its number in the round */
};

/* Binds what is new to this thread's loop. WEIR_ETHREAD: it belongs to another. `what`: "lock". */
weir_error *weir__sync_bind(struct sync *sync, const char *what, const char *operation,
                            const weir_site *site) WEIR_MUST_USE;
/* The same for calls that return no error: false, and logged. `site` may be NULL. */
bool weir__sync_bound(struct sync *sync, const char *what, const char *operation,
                      const weir_site *site);
/* Logs what a caller did wrong. */
void weir__sync_misuse(const weir_site *site, const char *what);

/* Queues up until granted. `wait` has begun (weir__wait_begin). `site`: of the suspending call. */
weir_error *weir__sync_wait(struct sync *sync, struct sync_wait *wait,
                            const weir_site *site) WEIR_MUST_USE;
/* Cannot be cancelled. */
void weir__sync_wait_masked(struct sync *sync, struct sync_wait *wait, const weir_site *site);
/* Takes the first one out of the row and wakes it; NULL: nobody waits. It may be written to until
   the loop goes on. */
struct sync_wait *weir__sync_grant(struct sync *sync);
void weir__sync_grant_all(struct sync *sync, weir_code failed);

/* The lock as the condition sees it. */
struct lock {
    struct sync sync;
    bool locked;
} __attribute__((may_alias));

void weir__lock_acquire_masked(struct lock *lock, const weir_site *site);
void weir__lock_pass_on(struct lock *lock);

#endif
