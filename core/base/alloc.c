/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One door to malloc, so that every allocation of the core can be made to fail by a test and, later,
 * be counted for its owner. The plan is a thread-local countdown: one load when nothing is planned.
 */
#include "config.h"

#include "core/base/alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

__thread unsigned long weir__alloc_fail_nth;

int weir__alloc_planned_failure(void)
{
    if (__builtin_expect(weir__alloc_fail_nth == 0, 1))
        return 0;
    return --weir__alloc_fail_nth == 0;
}

void *weir__malloc(size_t size)
{
    if (weir__alloc_planned_failure())
        return NULL;
    return malloc(size ? size : 1);
}

void *weir__calloc(size_t count, size_t size)
{
    if (weir__alloc_planned_failure())
        return NULL;
    return calloc(count ? count : 1, size ? size : 1);
}

void *weir__reallocarray(void *old, size_t count, size_t size)
{
    size_t bytes;

    if (weir__alloc_planned_failure() || __builtin_mul_overflow(count, size, &bytes))
        return NULL;
    return realloc(old, bytes ? bytes : 1);
}

char *weir__strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = weir__malloc(size);

    return copy ? memcpy(copy, text, size) : NULL;
}

void weir__free(void *memory)
{
    free(memory);
}
