/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation of the core. A test may fail the Nth allocation of its thread:
 *
 *     weir__alloc_fail_nth = 3;       // the third from now fails, once
 */
#ifndef WEIR_CORE_BASE_ALLOC_H
#define WEIR_CORE_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* Counts down to the failure; 0: none planned. Of this thread only, so that tests are exact. */
extern __thread unsigned long weir__alloc_fail_nth;

/* NULL without memory. Size 0 gives a block of one byte. */
void *weir__malloc(size_t size) __attribute__((malloc, warn_unused_result));
/* Zeroed; NULL when `count * size` overflows too. */
void *weir__calloc(size_t count, size_t size) __attribute__((malloc, warn_unused_result));
/* An array of `count` elements; the old one stays when this fails. */
void *weir__reallocarray(void *old, size_t count, size_t size) __attribute__((warn_unused_result));
char *weir__strdup(const char *text) __attribute__((malloc, warn_unused_result));
void weir__free(void *memory);

/* For tests, in a child process that allocates nothing of its parent's afterwards. */
void weir__alloc_guard(bool on);

/* For mmap and its kin, which fail by the same plan. */
int weir__alloc_planned_failure(void);

#endif
