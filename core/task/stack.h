/* SPDX-License-Identifier: Apache-2.0 */
/* Guarded stacks for tasks, cut from slabs. One pool per loop; its loop's thread only. */
#ifndef WEIR_CORE_TASK_STACK_H
#define WEIR_CORE_TASK_STACK_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/error.h>
#include <weir/loop.h>

#include "core/base/list.h"
#include "core/task/fiber.h"

#if defined(WEIR_ASAN) || defined(WEIR_TSAN)
#    define STACK_SIZE_DEFAULT ((size_t)256 * 1024)
#else
#    define STACK_SIZE_DEFAULT ((size_t)64 * 1024)
#endif
#define STACK_SIZE_MIN ((size_t)16 * 1024)
#define STACK_SIZE_MAX ((size_t)64 * 1024 * 1024)

/* Given-back stacks that keep their pages, for the next spawns. */
#define STACK_WARM 32
/* As many as there are bits in a slab's map. */
#define STACKS_PER_SLAB 64

struct stack_slab;

struct stack {
    struct stack_slab *slab;
    unsigned index;
};

struct stack_pool {
    size_t stride; /* guard included */
    size_t guard;
    struct list slabs; /* those with free stacks first */
    struct stack warm[STACK_WARM];
    unsigned warm_count;
    bool guarded; /* else the guard is a canary: zero as long as nobody ran over */
};

/* `size` 0: the default. */
void weir__stack_pool_init(struct stack_pool *pool, size_t size, bool guarded);
/* Unmaps everything; no stack is in use. */
void weir__stack_pool_done(struct stack_pool *pool);

/* Errors: WEIR_ENOMEM, WEIR_EFULL the budget of guards is used up. */
weir_error *weir__stack_take(struct stack_pool *pool, struct stack *ret_stack) WEIR_MUST_USE;
void weir__stack_give(struct stack_pool *pool, struct stack stack);

/* The guard lies in [base, base + guard), the stack in [base + guard, base + stride). */
char *weir__stack_base(const struct stack_pool *pool, struct stack stack);

/* Whether the canary below an unguarded stack is untouched. */
bool weir__stack_is_whole(const struct stack_pool *pool, struct stack stack);

/* Process-wide; tests set them before the first spawn. */
extern struct stack_limits {
    bool no_guard_advice;  /* do without MADV_GUARD_INSTALL */
    size_t mapping_budget; /* mappings that guards by mprotect may cost; 0: from vm.max_map_count */
} weir__stack_limits;

/* Reports a fault in a guard by task and size (overflow.c). Once per thread that runs tasks. */
struct overflow_watch;
weir_error *weir__overflow_watch_new(struct overflow_watch **ret_watch) WEIR_MUST_USE;
void weir__overflow_watch_free(struct overflow_watch *watch);
/* Says the same of a task that ran over an unguarded stack, and aborts. */
void weir__overflow_found(const weir_task *task) __attribute__((noreturn, cold));

#endif
