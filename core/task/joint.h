/* SPDX-License-Identifier: Apache-2.0 */
/* One task that waits for several futures: what the combinators are made of. */
#ifndef WEIR_CORE_TASK_JOINT_H
#define WEIR_CORE_TASK_JOINT_H

#include <weir/combinators.h>

#include "core/task/task.h"

struct joint;

struct joint_entry {
    struct future_link link;
    struct joint *joint;
    weir_future *future; /* a reference; NULL: not watched */
    size_t order;        /* of its end, from 0 */
    bool ended;
};

struct joint {
    const weir_site *site; /* of the suspending call */
    struct waiter waiter;
    bool waiting;     /* the task sleeps, or will look again before it does */
    bool interrupted; /* it was told to leave */
    struct joint_entry *entries;
    size_t count;
    size_t pending; /* watched and not done */
    size_t done;
    /* Told each end; whether the task is to be woken for it. */
    bool (*enough)(struct joint *joint, struct joint_entry *ended);
    struct joint_entry few[4]; /* the entries, when they fit */
};

/* Entries for `count` futures, unwatched. The joint may not move. */
weir_error *weir__joint_init(struct joint *joint, size_t count,
                             bool (*enough)(struct joint *, struct joint_entry *)) WEIR_MUST_USE;
/* Lets go of what is watched. */
void weir__joint_done(struct joint *joint);

/* Watches one more, with a reference of its own; one that is done counts at once. */
void weir__joint_watch(struct joint *joint, struct joint_entry *entry, weir_future *future);
void weir__joint_unwatch(struct joint_entry *entry);
/* WEIR_ETHREAD: one belongs to another loop than the running task. */
weir_error *weir__joint_check(const char *operation, const weir_site *site,
                              weir_future *const *futures, size_t count) WEIR_MUST_USE;

/* Suspends until `enough` says so, at the latest at `when`; joint->waiter has begun. */
weir_error *weir__joint_wait(struct joint *joint, weir_instant when,
                             wait_interrupt_fn interrupt) WEIR_MUST_USE;
/* Asks the watched tasks to end; for `interrupt` of who must see them end. */
void weir__joint_cancel(struct joint *joint);
bool weir__joint_leave(struct waiter *waiter);
bool weir__joint_cancel_and_stay(struct waiter *waiter);
/* Cancels and waits for all, whatever is pending. */
void weir__joint_end(struct joint *joint);

/* The error of the entry that failed first, those of the others attached and all counted as taken;
   NULL: none. */
weir_error *weir__joint_error(struct joint *joint) WEIR_MUST_USE;

/* Drops calls that will not start. */
void weir__co_discard_all(weir_co *const *take_cos, size_t count);

#endif
