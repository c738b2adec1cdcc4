/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What every weir header shares: visibility, call sites, cleanup, sized structs.
 *
 * Conventions of all public headers:
 *   ret_x     an output, set on success only; last parameters
 *   take_x    ownership moves in: on success, or always where the call cannot fail
 *   others    borrowed for the call
 *   _new gives the caller one reference, _ref adds one, _unref drops one (NULL in, NULL out)
 *   Thread    unless a comment says "any thread", a call belongs to the thread of its loop
 *
 * Example:
 *
 *     struct request {
 *         size_t size;
 *         const char *path; // members may be added below; `size` tells which are there
 *     };
 *
 *     static struct request root = {WEIR_SIZED(struct request), .path = "/"};
 *
 *     static const char *where(void)
 *     {
 *         return WEIR_HERE->function; // "where"; file and line beside it
 *     }
 */
#ifndef WEIR_BASE_H
#define WEIR_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#    define WEIR_BEGIN_DECLS extern "C" {
#    define WEIR_END_DECLS   }
#else
#    define WEIR_BEGIN_DECLS
#    define WEIR_END_DECLS
#endif

#define WEIR_PUBLIC              __attribute__((visibility("default")))
#define WEIR_MUST_USE            __attribute__((warn_unused_result))
#define WEIR_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))

/** A place in source code. Static, never freed. */
typedef struct weir_site {
    const char *file;
    const char *function;
    int line;
} weir_site;

/** The address of a static record of this file, line and function. */
#define WEIR_HERE                                                           \
    (__extension__({                                                        \
        static const weir_site weir_here_ = {__FILE__, __func__, __LINE__}; \
        &weir_here_;                                                        \
    }))

/** First member of every struct that may grow: `{ WEIR_SIZED(weir_protocol), .name = … }`. */
#define WEIR_SIZED(type) .size = sizeof(type)

/** A NULL-ended array of pointers for a descriptor: `.protocols = WEIR_LIST(&hello)`. C and C++20 */
#define WEIR_LIST(first, ...) ((const __typeof__(*(first)) *const[]){(first), ##__VA_ARGS__, NULL})

/**
 * Declares a variable that drops its reference at the end of its block:
 * `weir_auto(weir_future) f = NULL;`. WEIR_TAKE(f) moves the value out and leaves NULL.
 */
#define weir_auto(type) __attribute__((cleanup(type##_cleanup_), unused)) type *
#define WEIR_TAKE(pointer)                           \
    (__extension__({                                 \
        __typeof__(pointer) weir_taken_ = (pointer); \
        (pointer) = NULL;                            \
        weir_taken_;                                 \
    }))
#define WEIR_DEFINE_CLEANUP(type, drop)                      \
    static inline void type##_cleanup_(type **weir_pointer_) \
    {                                                        \
        if (*weir_pointer_)                                  \
            drop(*weir_pointer_);                            \
    }

WEIR_BEGIN_DECLS

typedef struct weir_error weir_error;

/** Callbacks, tasks and jobs share one type. The error is owned by whoever called. */
typedef weir_error *(*weir_fn)(void *arg);

/** Gives back a value whose ownership moved into the library. Must not fail or suspend. */
typedef void (*weir_drop_fn)(void *value);

/** The library's version, "0.1.0". Any thread. */
WEIR_PUBLIC const char *weir_version(void);

WEIR_END_DECLS

#endif
