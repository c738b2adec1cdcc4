/* SPDX-License-Identifier: Apache-2.0 */
/* Marks memory as not to be touched, where AddressSanitizer is there to see it. */
#ifndef WEIR_CORE_BASE_POISON_H
#define WEIR_CORE_BASE_POISON_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#    define WEIR_ASAN 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer)
#        define WEIR_ASAN 1
#    endif
#endif

#ifdef WEIR_ASAN
#    include <sanitizer/asan_interface.h>
#endif

static inline void mem_poison(const void *memory, size_t size)
{
#ifdef WEIR_ASAN
    ASAN_POISON_MEMORY_REGION(memory, size);
#else
    (void)memory;
    (void)size;
#endif
}

static inline void mem_unpoison(const void *memory, size_t size)
{
#ifdef WEIR_ASAN
    ASAN_UNPOISON_MEMORY_REGION(memory, size);
#else
    (void)memory;
    (void)size;
#endif
}

#endif
