/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks are cut from slabs of 64, each stack with its guard at the low end:
 *
 *     | guard | stack 0 | guard | stack 1 | …        a slab is one mmap, never a huge page
 *
 * A guard is MADV_GUARD_INSTALL where the kernel has it (6.13): it costs no mapping, so a slab
 * stays one. Elsewhere it is mprotect, which cuts the mapping in two; half of vm.max_map_count is
 * left to the rest of the process, and a stack past that budget is refused in words. Guards stay
 * when a stack is given back. Some given-back stacks keep their pages; those beyond are returned
 * with madvise and found again by a bit map outside of them, so that an idle stack holds no page.
 *
 * Without guards that page stays as the kernel gave it, and its upper end is the canary: reading it
 * maps the kernel's page of zeros, so that a check costs no memory.
 */
#include "config.h"

#include "core/task/stack.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/alloc.h"

#if defined(__has_include)
#    if __has_include(<valgrind/valgrind.h>)
#        include <valgrind/valgrind.h>
#    endif
#endif
#ifndef VALGRIND_STACK_REGISTER
#    define VALGRIND_STACK_REGISTER(start, end) 0
#    define VALGRIND_STACK_DEREGISTER(id)       (void)(id)
#endif

#ifndef MADV_GUARD_INSTALL
#    define MADV_GUARD_INSTALL 102
#endif

/* What a switch looks at: 512 bytes. A frame that leaps over them without writing is not seen. */
#define CANARY_WORDS 64

#define MAX_MAP_COUNT_DEFAULT 65530
/* A guard and what lies above it. */
#define MAPPINGS_PER_GUARD 2

struct stack_slab {
    struct list link;
    char *base;
    uint64_t free;    /* by index: not in use and without pages */
    uint64_t guarded; /* by index: has its guard */
    size_t mappings;  /* charged to the budget */
    unsigned valgrind_ids[STACKS_PER_SLAB];
};

struct stack_limits weir__stack_limits;

/* Mappings that the guards of all loops cost, and whether the kernel refused guard advice. */
static _Atomic size_t mappings_used;
static _Atomic bool advice_refused;

void weir__stack_pool_init(struct stack_pool *pool, size_t size, bool guarded)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (size == 0)
        size = STACK_SIZE_DEFAULT;
    if (size < STACK_SIZE_MIN)
        size = STACK_SIZE_MIN;
    if (size > STACK_SIZE_MAX)
        size = STACK_SIZE_MAX;
    pool->guard = page;
    pool->guarded = guarded;
    pool->stride = (size + page - 1) / page * page;
    if (page > 4096) /* a guard of one large page would eat the stack */
        pool->stride += page;
    list_init(&pool->slabs);
    pool->warm_count = 0;
}

static void slab_free(struct stack_pool *pool, struct stack_slab *slab)
{
    list_remove(&slab->link);
    for (unsigned i = 0; i < STACKS_PER_SLAB; i++) {
        if (slab->guarded & UINT64_C(1) << i)
            VALGRIND_STACK_DEREGISTER(slab->valgrind_ids[i]);
    }
    munmap(slab->base, pool->stride * STACKS_PER_SLAB);
    atomic_fetch_sub(&mappings_used, slab->mappings);
    weir__free(slab);
}

void weir__stack_pool_done(struct stack_pool *pool)
{
    weir_list_foreach_safe(slab, &pool->slabs, struct stack_slab, link)
        slab_free(pool, slab);
    pool->warm_count = 0;
}

static weir_error *slab_new(struct stack_pool *pool, struct stack_slab **ret)
{
    struct stack_slab *slab = weir__calloc(1, sizeof *slab);
    size_t size = pool->stride * STACKS_PER_SLAB;

    if (!slab)
        return weir_raise(WEIR_ENOMEM, "stacks");
    slab->base = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (slab->base == MAP_FAILED) {
        weir__free(slab);
        return weir_raise(WEIR_ENOMEM, "stacks");
    }
    madvise(slab->base, size, MADV_NOHUGEPAGE); /* one touched page must not become 512 */
    slab->free = ~UINT64_C(0);
    list_prepend(&pool->slabs, &slab->link);
    *ret = slab;
    return NULL;
}

static size_t read_mapping_budget(void)
{
    long count = MAX_MAP_COUNT_DEFAULT;
    char text[32];
    FILE *file;

    if (weir__stack_limits.mapping_budget)
        return weir__stack_limits.mapping_budget;
    file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file) {
        if (fgets(text, sizeof text, file))
            count = strtol(text, NULL, 10);
        fclose(file);
    }
    return (size_t)(count > 0 ? count : MAX_MAP_COUNT_DEFAULT) / 2;
}

/* Reads the setting only when the last known value is used up. */
static weir_error *charge_mappings(void)
{
    static _Atomic size_t known_budget;
    size_t used = atomic_fetch_add(&mappings_used, MAPPINGS_PER_GUARD) + MAPPINGS_PER_GUARD;

    if (used > atomic_load(&known_budget) || weir__stack_limits.mapping_budget)
        atomic_store(&known_budget, read_mapping_budget());
    if (used <= atomic_load(&known_budget))
        return NULL;
    atomic_fetch_sub(&mappings_used, MAPPINGS_PER_GUARD);
    return weir_error_hint(weir_raise(WEIR_EFULL,
                                      "no more guarded stacks: %zu of %zu mappings used",
                                      used - MAPPINGS_PER_GUARD, atomic_load(&known_budget)),
                           "raise vm.max_map_count (half of it is for stacks), or run Linux 6.13 "
                           "or newer, where guards cost no mappings");
}

/* Emulators say yes to advice that they do not know. A signal set that cannot be read is EFAULT. */
static bool is_guarded(const void *base)
{
    static _Atomic bool known;

    if (!atomic_load_explicit(&known, memory_order_relaxed))
        atomic_store(&known,
                     syscall(SYS_rt_sigprocmask, -1, base, NULL, (size_t)8) < 0 && errno == EFAULT);
    return atomic_load_explicit(&known, memory_order_relaxed);
}

static weir_error *install_guard(struct stack_pool *pool, struct stack_slab *slab, char *base)
{
    if (!weir__stack_limits.no_guard_advice && !atomic_load(&advice_refused)) {
        if (madvise(base, pool->guard, MADV_GUARD_INSTALL) == 0 && is_guarded(base))
            return NULL;
        atomic_store(&advice_refused, true);
    }
    WEIR_TRY(charge_mappings());
    if (mprotect(base, pool->guard, PROT_NONE) < 0) {
        int error = errno;

        atomic_fetch_sub(&mappings_used, MAPPINGS_PER_GUARD);
        if (error == ENOMEM)
            return weir_raise(WEIR_EFULL, "no more guarded stacks: vm.max_map_count is reached");
        return weir_raise(error, "guard of a stack");
    }
    slab->mappings += MAPPINGS_PER_GUARD;
    return NULL;
}

static weir_error *slab_with_room(struct stack_pool *pool, struct stack_slab **ret)
{
    if (!list_empty(&pool->slabs)) {
        struct stack_slab *first = container_of(pool->slabs.next, struct stack_slab, link);

        if (first->free) {
            *ret = first;
            return NULL;
        }
    }
    return slab_new(pool, ret);
}

static weir_error *take_cold(struct stack_pool *pool, struct stack *ret)
{
    struct stack_slab *slab = NULL;
    struct stack stack;
    uint64_t bit;

    WEIR_TRY(slab_with_room(pool, &slab));
    stack.slab = slab;
    stack.index = (unsigned)__builtin_ctzll(slab->free);
    bit = UINT64_C(1) << stack.index;
    if (!(slab->guarded & bit)) {
        char *base = weir__stack_base(pool, stack);

        if (pool->guarded)
            WEIR_TRY(install_guard(pool, slab, base));
        slab->guarded |= bit;
        slab->valgrind_ids[stack.index] =
            VALGRIND_STACK_REGISTER(base + pool->guard, base + pool->stride - 1);
    }
    slab->free &= ~bit;
    if (!slab->free) { /* full slabs stand at the end */
        list_remove(&slab->link);
        list_append(&pool->slabs, &slab->link);
    }
    *ret = stack;
    return NULL;
}

weir_error *weir__stack_take(struct stack_pool *pool, struct stack *ret)
{
    if (pool->warm_count)
        *ret = pool->warm[--pool->warm_count];
    else
        WEIR_TRY(take_cold(pool, ret));
#ifdef WEIR_ASAN
    /* The frames of the former task's end never returned. */
    __asan_unpoison_memory_region(weir__stack_base(pool, *ret) + pool->guard,
                                  pool->stride - pool->guard);
#endif
    return NULL;
}

void weir__stack_give(struct stack_pool *pool, struct stack stack)
{
    char *base = weir__stack_base(pool, stack);

    if (pool->warm_count < STACK_WARM) {
        pool->warm[pool->warm_count++] = stack;
        return;
    }
    madvise(base + pool->guard, pool->stride - pool->guard, MADV_DONTNEED);
    stack.slab->free |= UINT64_C(1) << stack.index;
    list_remove(&stack.slab->link);
    list_prepend(&pool->slabs, &stack.slab->link);
}

char *weir__stack_base(const struct stack_pool *pool, struct stack stack)
{
    return stack.slab->base + pool->stride * stack.index;
}

bool weir__stack_is_whole(const struct stack_pool *pool, struct stack stack)
{
    const char *end = weir__stack_base(pool, stack) + pool->guard;
    const uint64_t *canary = (const void *)(end - CANARY_WORDS * sizeof(uint64_t));
    uint64_t touched = 0;

    for (size_t i = 0; i < CANARY_WORDS; i++)
        touched |= canary[i];
    return touched == 0;
}
