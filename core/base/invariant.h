/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words for what must hold (style.md 22, 23):
 *
 *   weir_assert(e)            our own invariant; stays on; a failure ends the process with its site
 *   weir_assert_hot(e)        the same in per-byte paths; only with --enable-development
 *   weir_require(e, ret)      misuse by a caller; logged once per site, the function returns `ret`
 *   weir_check(object, WORD)  the object's first member is the magic number of its type
 *   WEIR_STATIC_ASSERT(e, w)  a fact about layout
 */
#ifndef WEIR_CORE_BASE_INVARIANT_H
#define WEIR_CORE_BASE_INVARIANT_H

#include <weir/base.h>

#define weir_likely(e)   __builtin_expect(!!(e), 1)
#define weir_unlikely(e) __builtin_expect(!!(e), 0)

#define weir_assert(e)                  \
    do {                                \
        if (weir_unlikely(!(e)))        \
            weir__panic(WEIR_HERE, #e); \
    } while (0)

#ifdef WEIR_DEVELOPMENT
#    define weir_assert_hot(e) weir_assert(e)
#else
#    define weir_assert_hot(e) \
        do {                   \
            if (0)             \
                (void)(e);     \
        } while (0)
#endif

#define weir_require(e, ...)             \
    do {                                 \
        if (weir_unlikely(!(e))) {       \
            weir__misuse(WEIR_HERE, #e); \
            return __VA_ARGS__;          \
        }                                \
    } while (0)

#define WEIR_STATIC_ASSERT(e, why) _Static_assert(e, why)

/* Magic numbers: four letters that are found in a core dump. Zeroed when the object is freed. */
#define WEIR_MAGIC(a, b, c, d) \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

#define weir_check(object, word) weir_assert((object)->magic == (word))
#define weir_magic_clear(object) (*(volatile uint32_t *)&(object)->magic = 0)

/* Writes what failed and where to standard error and aborts. */
void weir__panic(const weir_site *site, const char *what) __attribute__((noreturn, cold));
void weir__misuse(const weir_site *site, const char *what) __attribute__((cold));

#endif
