/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Scopes bound work to a block: WEIR_TIMEOUT, WEIR_SHIELD, WEIR_GROUP declare and enter one, and
 * the end of the block (or a WEIR_TRY out of it) leaves it. They are stack objects of frozen size,
 * entering cannot fail, and outside a task a scope is inert.
 *
 * An expired deadline makes suspending calls return WEIR_ETIMEDOUT, a cancellation from outside
 * WEIR_ECANCELED; the outside one wins when both are pending. Nothing is converted at the end of a
 * block: weir_timeout_expired() tells, inside of it, whose deadline it was.
 *
 * A scope belongs to the task that entered it. From another thread its calls change nothing and are
 * reported (WEIR_ETHREAD where they return an error).
 *
 * Example:
 *
 *     static weir_error *child(void *arg)
 *     {
 *         return weir_sleep(*(weir_duration *)arg);
 *     }
 *
 *     weir_error *both_within_a_second(void *arg)
 *     {
 *         weir_duration one = WEIR_MS(1), other = WEIR_MS(2);
 *         WEIR_TIMEOUT(limit, WEIR_S(1));
 *         WEIR_GROUP(group);
 *         (void)arg;
 *         WEIR_TRY(weir_group_spawn(&group, child, &one, NULL));
 *         WEIR_TRY(weir_group_spawn(&group, child, &other, NULL));
 *         WEIR_TRY(weir_group_join(&group)); // WEIR_ETIMEDOUT: the children are cancelled
 *         return NULL;
 *     }
 */
#ifndef WEIR_SCOPE_H
#define WEIR_SCOPE_H

#include <weir/task.h>

#if defined(__GNUC__) && !defined(__clang__) && !defined(__cplusplus)
/* A jump into the block of a scope would skip its entry. */
#    pragma GCC diagnostic error "-Wjump-misses-init"
#endif

WEIR_BEGIN_DECLS

typedef struct weir_timeout {
    uint64_t opaque[8];
} weir_timeout;

typedef struct weir_shield {
    uint64_t opaque[8];
} weir_shield;

typedef struct weir_group {
    uint64_t opaque[12];
} weir_group;

#define WEIR_SCOPE_(type, name) __attribute__((cleanup(type##_leave))) type name

/** A deadline for this block. A duration of 0 has expired at once. */
#define WEIR_TIMEOUT(name, duration)         \
    WEIR_SCOPE_(weir_timeout, name) = {{0}}; \
    weir_timeout_enter(&name, (duration), WEIR_HERE)
/** As WEIR_TIMEOUT, until a weir_instant of the monotonic clock; one that has passed has expired. */
#define WEIR_TIMEOUT_AT(name, instant)       \
    WEIR_SCOPE_(weir_timeout, name) = {{0}}; \
    weir_timeout_enter_at(&name, (instant), WEIR_HERE)
/** Masks cancellation and outer deadlines for this block, at most `duration`: for clean-up. When
 *  that is over it masks nothing and counts as an expired deadline itself. */
#define WEIR_SHIELD(name, duration)         \
    WEIR_SCOPE_(weir_shield, name) = {{0}}; \
    weir_shield_enter(&name, (duration), WEIR_HERE)
/** A group of child tasks. Leaving cancels what still runs and joins it, uncancellably. What
 *  children use is declared before the group. */
#define WEIR_GROUP(name)                   \
    WEIR_SCOPE_(weir_group, name) = {{0}}; \
    weir_group_enter(&name, WEIR_HERE)

/** What WEIR_TIMEOUT() calls, at its place and at the end of the block. */
WEIR_PUBLIC void weir_timeout_enter(weir_timeout *scope, weir_duration duration,
                                    const weir_site *site);
WEIR_PUBLIC void weir_timeout_enter_at(weir_timeout *scope, weir_instant when,
                                       const weir_site *site);
WEIR_PUBLIC void weir_timeout_leave(weir_timeout *scope);
/** Whether this scope's deadline has passed; to be asked inside the block. */
WEIR_PUBLIC bool weir_timeout_expired(const weir_timeout *scope);
/** The deadline; ns is INT64_MAX when there is none, or outside of tasks. */
WEIR_PUBLIC weir_instant weir_timeout_when(const weir_timeout *scope);
/** A new deadline, counted from now: shorter, longer, or none (WEIR_FOREVER). Takes an expiry back that
 *  no call has returned yet; after one has, it changes nothing. */
WEIR_PUBLIC void weir_timeout_reschedule(weir_timeout *scope, weir_duration duration);
WEIR_PUBLIC void weir_timeout_reschedule_at(weir_timeout *scope, weir_instant when);

/** What WEIR_SHIELD() calls, at its place and at the end of the block. */
WEIR_PUBLIC void weir_shield_enter(weir_shield *scope, weir_duration duration,
                                   const weir_site *site);
WEIR_PUBLIC void weir_shield_leave(weir_shield *scope);

/** What WEIR_GROUP() calls, at its place and at the end of the block. */
WEIR_PUBLIC void weir_group_enter(weir_group *group, const weir_site *site);
WEIR_PUBLIC void weir_group_leave(weir_group *group);

typedef enum weir_group_policy {
    /** The first child that fails cancels its siblings, and suspending calls of the body return its
     *  error. The default. */
    WEIR_GROUP_FAIL,
    /** An error of a child ends nobody: for supervisors. Of a child with a handle it stays with the
     *  handle, for who gets it from weir_group_next(); those of others are kept for
     *  weir_group_join(), which hands them over. More than 16 of these are reported at once. */
    WEIR_GROUP_COLLECT,
} weir_group_policy;

/** To be set before the first child. */
WEIR_PUBLIC void weir_group_set_policy(weir_group *group, weir_group_policy policy);

/**
 * Starts a child, from the body or from another child, also while the body joins. `ret_task` NULL: the
 * group keeps the only reference, and releases a child that left no value when it ends, so that a
 * group may live long. A child that ends cancelled has not failed.
 * Errors: as weir_spawn(); WEIR_ECLOSED the group is cancelled or being left; in the body, the error
 * of a child that failed before; WEIR_ENOTASK the group was entered outside a task.
 */
#define weir_group_spawn(group, fn, arg, ret_task) \
    weir_group_spawn_at(WEIR_HERE, #fn, (group), (fn), (arg), (ret_task))
WEIR_PUBLIC weir_error *weir_group_spawn_at(const weir_site *site, const char *name,
                                            weir_group *group, weir_fn fn, void *arg,
                                            weir_task **ret_task) WEIR_MUST_USE;
/** As weir_group_spawn(), with options (NULL: none), as of weir_spawn_with(). An eager child runs up to its
 *  first suspension inside of this call, and may have ended when it returns. */
#define weir_group_spawn_with(group, fn, arg, options, ret_task) \
    weir_group_spawn_with_at(WEIR_HERE, #fn, (group), (fn), (arg), (options), (ret_task))
WEIR_PUBLIC weir_error *weir_group_spawn_with_at(const weir_site *site, const char *name,
                                                 weir_group *group, weir_fn fn, void *arg,
                                                 const weir_spawn_options *options,
                                                 weir_task **ret_task) WEIR_MUST_USE;
/** As weir_group_spawn(), of a call that was made before. Always takes; one that is refused is dropped
 *  without report. */
WEIR_PUBLIC weir_error *weir_group_spawn_co(weir_group *group, weir_co *take_co,
                                            weir_task **ret_task) WEIR_MUST_USE;
/** Suspends until a further child has ended that was started with a handle or left a value, and gives
 *  a reference to it, in the order in which they end; NULL in `ret` when no child is left. Only in the
 *  body. Errors: of a child that failed (WEIR_GROUP_FAIL), WEIR_ECANCELED, WEIR_ETIMEDOUT;
 *  WEIR_EDEADLK called by another task. */
#define weir_group_next(group, ret_task) weir_group_next_at(WEIR_HERE, (group), (ret_task))
WEIR_PUBLIC weir_error *weir_group_next_at(const weir_site *site, weir_group *group,
                                           weir_task **ret_task) WEIR_MUST_USE;
/** Suspends until all children have ended; returns the first error, further ones attached. Only in
 *  the body. Errors: also WEIR_ECANCELED, WEIR_ETIMEDOUT, upon which the children go on until the
 *  block is left; WEIR_EDEADLK called by another task. */
#define weir_group_join(group) weir_group_join_at(WEIR_HERE, (group))
WEIR_PUBLIC weir_error *weir_group_join_at(const weir_site *site, weir_group *group) WEIR_MUST_USE;
/** Cancels the children, not the body; that is no error, and the group takes no more. Twice is as
 *  once. From the body or a child. */
WEIR_PUBLIC void weir_group_cancel(weir_group *group);

WEIR_END_DECLS

#endif
