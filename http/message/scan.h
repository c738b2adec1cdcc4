/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scanners: the first byte in [p, end) that is not of a class, or end.
 *
 * Methods and targets are short: a table look-up per byte. Field values can be long, and names
 * consist of letters and dashes; x86-64 always has SSE2, so both are checked 16 bytes at a time
 * there. What that is worth stands in docs/internals/http-parse.md (tests/bench/bench-http-parse);
 * that they agree with their scalar twins is what tests/fuzz/fuzz-scan.c checks.
 */
#ifndef WEIR_HTTP_MESSAGE_SCAN_H
#define WEIR_HTTP_MESSAGE_SCAN_H

#ifdef __SSE2__
#    include <emmintrin.h>
#endif

#include "http/message/chars.h"

static inline const char *weir__scan_class(const char *p, const char *end, unsigned classes)
{
    while (p < end && weir__is(*p, classes))
        p++;
    return p;
}

static inline const char *weir__scan_value_scalar(const char *p, const char *end)
{
    return weir__scan_class(p, end, WEIR__VALUE);
}

#ifdef __SSE2__
static inline const char *weir__scan_value_sse2(const char *p, const char *end)
{
    const __m128i low = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8('\t'), del = _mm_set1_epi8(0x7f);

    while (end - p >= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* unsigned bytes <= 0x1f are those that min() leaves alone */
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, low), bytes);
        __m128i bad = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), control),
                                   _mm_cmpeq_epi8(bytes, del));
        int mask = _mm_movemask_epi8(bad);

        if (mask)
            return p + __builtin_ctz((unsigned)mask);
        p += 16;
    }
    return weir__scan_value_scalar(p, end);
}

/* Letters and dashes 16 at a time; what else a name may have is left to the scalar twin. */
static inline const char *weir__scan_name_sse2(const char *p, const char *end)
{
    const __m128i fold = _mm_set1_epi8(0x20), a = _mm_set1_epi8('a'), span = _mm_set1_epi8(25);
    const __m128i dash = _mm_set1_epi8('-');

    while (end - p >= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i letter = _mm_sub_epi8(_mm_or_si128(bytes, fold), a); /* 0 … 25, unsigned */
        __m128i good = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(letter, span), letter),
                                    _mm_cmpeq_epi8(bytes, dash));
        unsigned mask = (unsigned)_mm_movemask_epi8(good);

        if (mask != 0xffff) {
            p += __builtin_ctz(~mask);
            break;
        }
        p += 16;
    }
    return weir__scan_class(p, end, WEIR__TOKEN);
}
#endif

/* Of a field name: tokens. */
static inline const char *weir__scan_name(const char *p, const char *end)
{
#if defined(__SSE2__) && !defined(WEIR__SCAN_SCALAR)
    return weir__scan_name_sse2(p, end);
#else
    return weir__scan_class(p, end, WEIR__TOKEN);
#endif
}

static inline const char *weir__scan_value(const char *p, const char *end)
{
#if defined(__SSE2__) && !defined(WEIR__SCAN_SCALAR)
    return weir__scan_value_sse2(p, end);
#else
    return weir__scan_value_scalar(p, end);
#endif
}

#endif
