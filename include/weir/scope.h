/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Scopes bound work to a block: WEIR_TIMEOUT, WEIR_SHIELD, WEIR_GROUP declare and enter one, and
 * the end of the block (or a WEIR_TRY out of it) leaves it. They are stack objects of frozen size,
 * entering cannot fail, and outside a task a scope is inert.
 *
 *     WEIR_TIMEOUT(idle, WEIR_S(30));
 *     WEIR_TRY(weir_stream_read_line(stream, line, sizeof line, &n));     // WEIR_ETIMEDOUT
 *
 * An expired deadline makes suspending calls return WEIR_ETIMEDOUT, a cancellation from outside
 * WEIR_ECANCELED; the outside one wins when both are pending.
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
WEIR_PUBLIC void weir_timeout_leave(weir_timeout *scope);
/** Whether this scope's deadline has passed; to be asked inside the block. */
WEIR_PUBLIC bool weir_timeout_expired(const weir_timeout *scope);
/** A new deadline, counted from now; takes an expiry back that no call has returned yet. */
WEIR_PUBLIC void weir_timeout_reschedule(weir_timeout *scope, weir_duration duration);

/** What WEIR_SHIELD() calls, at its place and at the end of the block. */
WEIR_PUBLIC void weir_shield_enter(weir_shield *scope, weir_duration duration,
                                   const weir_site *site);
WEIR_PUBLIC void weir_shield_leave(weir_shield *scope);

/** What WEIR_GROUP() calls, at its place and at the end of the block. */
WEIR_PUBLIC void weir_group_enter(weir_group *group, const weir_site *site);
WEIR_PUBLIC void weir_group_leave(weir_group *group);
/**
 * Starts a child, from the body or from another child. `ret_task` NULL: the group keeps the only
 * reference, and releases a child that left no value when it ends, so that a group may live long.
 * When a child fails, its siblings are cancelled and suspending calls of the group's body return
 * that child's error; a child that ends cancelled has not failed.
 * Errors: as weir_spawn(); WEIR_ECLOSED the group is cancelled; in the body, the error of a child
 * that failed before; WEIR_ENOTASK.
 */
#define weir_group_spawn(group, fn, arg, ret_task) \
    weir_group_spawn_at(WEIR_HERE, #fn, (group), (fn), (arg), (ret_task))
WEIR_PUBLIC weir_error *weir_group_spawn_at(const weir_site *site, const char *name,
                                            weir_group *group, weir_fn fn, void *arg,
                                            weir_task **ret_task) WEIR_MUST_USE;
/** Suspends until a further child has ended that was started with a handle or left a value; NULL in
 *  `ret` when none is left. A reference. */
WEIR_PUBLIC weir_error *weir_group_next(weir_group *group, weir_task **ret_task) WEIR_MUST_USE;
/** Suspends until all children have ended; returns the first error, further ones attached. */
WEIR_PUBLIC weir_error *weir_group_join(weir_group *group) WEIR_MUST_USE;
/** Cancels the children, not the body; that is no error. */
WEIR_PUBLIC void weir_group_cancel(weir_group *group);

WEIR_END_DECLS

#endif
