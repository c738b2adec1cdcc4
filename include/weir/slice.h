/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Borrowed bytes. Two words for ever; a slice owns nothing (see chunk.h for keeping bytes).
 *
 * Example:
 *
 *     static bool is_get(weir_slice line, weir_slice *ret_rest)
 *     {
 *         if (!weir_slice_starts_with(line, WEIR_SLICE("GET ")))
 *             return false;
 *         *ret_rest = weir_slice_skip(line, 4); // borrows from `line`
 *         return true;
 *     }
 */
#ifndef WEIR_SLICE_H
#define WEIR_SLICE_H

#include <string.h>

#include <weir/base.h>

WEIR_BEGIN_DECLS

typedef struct weir_slice {
    const void *data;
    size_t len;
} weir_slice;

/** A slice of a string literal, without its NUL. */
#ifdef __cplusplus
#    define WEIR_SLICE(literal) (weir_slice{"" literal, sizeof(literal) - 1})
#else
#    define WEIR_SLICE(literal) ((weir_slice){"" literal, sizeof(literal) - 1})
#endif
/** For a static initialiser. */
#define WEIR_SLICE_INIT(literal)        \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    }

static inline weir_slice weir_slice_of(const void *data, size_t len);
/** Of a NUL-ended string; NULL gives an empty slice. */
static inline weir_slice weir_slice_str(const char *text);
static inline bool weir_slice_equal(weir_slice a, weir_slice b);
/** ASCII case-insensitive. */
static inline bool weir_slice_equal_nocase(weir_slice a, weir_slice b);
static inline bool weir_slice_starts_with(weir_slice slice, weir_slice prefix);
/** Without its first `n` bytes (all of them when it has fewer). */
static inline weir_slice weir_slice_skip(weir_slice slice, size_t n);

/* inline definitions */

static inline weir_slice weir_slice_of(const void *data, size_t len)
{
    weir_slice slice;

    slice.data = data;
    slice.len = len;
    return slice;
}

static inline weir_slice weir_slice_str(const char *text)
{
    return weir_slice_of(text, text ? strlen(text) : 0);
}

static inline bool weir_slice_equal(weir_slice a, weir_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool weir_slice_equal_nocase(weir_slice a, weir_slice b)
{
    const unsigned char *x = (const unsigned char *)a.data;
    const unsigned char *y = (const unsigned char *)b.data;

    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        unsigned char p = x[i], q = y[i];

        if (p >= 'A' && p <= 'Z')
            p |= 0x20;
        if (q >= 'A' && q <= 'Z')
            q |= 0x20;
        if (p != q)
            return false;
    }
    return true;
}

static inline bool weir_slice_starts_with(weir_slice slice, weir_slice prefix)
{
    return slice.len >= prefix.len &&
           (prefix.len == 0 || memcmp(slice.data, prefix.data, prefix.len) == 0);
}

static inline weir_slice weir_slice_skip(weir_slice slice, size_t n)
{
    if (n > slice.len)
        n = slice.len;
    slice.data = (const char *)slice.data + n;
    slice.len -= n;
    return slice;
}

WEIR_END_DECLS

#endif
