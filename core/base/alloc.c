/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One door to malloc, so that every allocation of the core can be made to fail by a test and, later,
 * be counted for its owner. The plan is a thread-local countdown: one load when nothing is planned.
 *
 * Under WEIR_DEV blocks are guarded (AddressSanitizer does it better, so not with it):
 *
 *     | size | word | user's bytes ... | word |
 *
 * A block whose words are not what they were when it is freed was written out of its bounds. Freed
 * bytes are overwritten with 0xDB, and the last freed blocks are kept for a while: one that changes
 * meanwhile was written after it was freed. Either ends the process, with the words below.
 */
#include "config.h"

#include "core/base/alloc.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/env.h"
#include "core/base/invariant.h"

#define GUARD_BEFORE UINT64_C(0x7265697742454647)
#define GUARD_AFTER  UINT64_C(0x6C6C617752454941)
#define GUARD_FREED  UINT64_C(0x6465657246524549)
#define FILL_NEW     0xDA
#define FILL_FREED   0xDB
#define KEPT         256  /* freed blocks that are watched for a while */
#define KEPT_SIZE    4096 /* larger ones are not */

__thread unsigned long weir__alloc_fail_nth;

struct guard {
    uint64_t size;
    uint64_t word;
};

enum guard_mode { GUARD_UNKNOWN, GUARD_OFF, GUARD_ON };

static atomic_int mode;
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static struct guard *kept[KEPT];
static size_t kept_next;

int weir__alloc_planned_failure(void)
{
    if (__builtin_expect(weir__alloc_fail_nth == 0, 1))
        return 0;
    return --weir__alloc_fail_nth == 0;
}

/* Once for the process: a block must be freed as it was made. */
static __attribute__((noinline, cold)) bool decide(void)
{
    int unknown = GUARD_UNKNOWN;
    const char *text = secure_getenv("WEIR_DEV");
    bool on = false;

#ifndef WEIR_SANITIZE_ADDRESS
    /* Not weir__env_dev(), which may log, which allocates. */
    if (text && !weir__flag_parse(text, &on))
        on = false;
#else
    (void)text;
#endif
    atomic_compare_exchange_strong(&mode, &unknown, on ? GUARD_ON : GUARD_OFF);
    return atomic_load(&mode) == GUARD_ON;
}

static inline bool guarded(void)
{
    int now = atomic_load_explicit(&mode, memory_order_relaxed);

    if (weir_likely(now == GUARD_OFF))
        return false;
    return now == GUARD_ON || decide();
}

static void *guard_new(size_t size)
{
    const uint64_t after = GUARD_AFTER;
    struct guard *guard;

    if (size > SIZE_MAX - sizeof(*guard) - sizeof(after))
        return NULL;
    guard = malloc(sizeof(*guard) + size + sizeof(after));
    if (!guard)
        return NULL;
    *guard = (struct guard){size, GUARD_BEFORE};
    memset(guard + 1, FILL_NEW, size);
    memcpy((char *)(guard + 1) + size, &after, sizeof(after));
    return guard + 1;
}

static void check_kept(const struct guard *guard)
{
    const unsigned char *bytes = (const unsigned char *)(guard + 1);

    for (size_t i = 0; i < guard->size; i++) {
        if (bytes[i] != FILL_FREED)
            weir__panic(WEIR_HERE, "memory was written after it was freed");
    }
}

/* Behind the last freed ones; the one that makes room is checked and given back. */
static void keep(struct guard *guard)
{
    struct guard *oldest;

    pthread_mutex_lock(&kept_lock);
    oldest = kept[kept_next];
    kept[kept_next] = guard;
    kept_next = (kept_next + 1) % KEPT;
    pthread_mutex_unlock(&kept_lock);
    if (oldest)
        check_kept(oldest);
    free(oldest);
}

static struct guard *guard_check(void *memory)
{
    struct guard *guard = (struct guard *)memory - 1;
    uint64_t after;

    if (guard->word == GUARD_FREED)
        weir__panic(WEIR_HERE, "memory was freed twice");
    if (guard->word != GUARD_BEFORE)
        weir__panic(WEIR_HERE, "memory was written before its begin, or is not weir's to free");
    memcpy(&after, (char *)memory + guard->size, sizeof(after));
    if (after != GUARD_AFTER)
        weir__panic(WEIR_HERE, "memory was written past its end");
    return guard;
}

static void guard_free(void *memory)
{
    struct guard *guard;

    if (!memory)
        return;
    guard = guard_check(memory);
    guard->word = GUARD_FREED;
    memset(memory, FILL_FREED, guard->size);
    if (guard->size <= KEPT_SIZE)
        keep(guard);
    else
        free(guard);
}

static void *guard_resize(void *old, size_t size)
{
    void *memory = guard_new(size);
    size_t old_size;

    if (!memory || !old)
        return memory;
    old_size = guard_check(old)->size;
    memcpy(memory, old, old_size < size ? old_size : size);
    guard_free(old);
    return memory;
}

void *weir__malloc(size_t size)
{
    if (weir__alloc_planned_failure())
        return NULL;
    size = size ? size : 1;
    return weir_unlikely(guarded()) ? guard_new(size) : malloc(size);
}

void *weir__calloc(size_t count, size_t size)
{
    size_t bytes;
    void *memory;

    if (weir__alloc_planned_failure())
        return NULL;
    if (!weir_unlikely(guarded()))
        return calloc(count ? count : 1, size ? size : 1);
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    bytes = bytes ? bytes : 1;
    memory = guard_new(bytes);
    return memory ? memset(memory, 0, bytes) : NULL;
}

void *weir__reallocarray(void *old, size_t count, size_t size)
{
    size_t bytes;

    if (weir__alloc_planned_failure() || __builtin_mul_overflow(count, size, &bytes))
        return NULL;
    bytes = bytes ? bytes : 1;
    return weir_unlikely(guarded()) ? guard_resize(old, bytes) : realloc(old, bytes);
}

char *weir__strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = weir__malloc(size);

    return copy ? memcpy(copy, text, size) : NULL;
}

void weir__free(void *memory)
{
    if (weir_unlikely(guarded()))
        guard_free(memory);
    else
        free(memory);
}

void weir__alloc_guard(bool on)
{
    atomic_store(&mode, on ? GUARD_ON : GUARD_OFF);
}
