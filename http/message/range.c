/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Range: bytes=first-last, first-, -suffix, … (RFC 9110 14.1.2). A client may ask for many small
 * or overlapping pieces, which costs far more to answer than to ask; such a value is ignored, as is
 * one that is malformed: the answer is then the whole.
 */
#include "config.h"

#include <weir/http-values.h>

#include "http/message/scan.h"

/* Digits at the front of [p, end), at most UINT64_MAX. Returns their end. */
static const char *number(const char *p, const char *end, uint64_t *ret)
{
    uint64_t value = 0;
    bool large = false;

    for (; p < end && weir__is(*p, WEIR__DIGIT); p++) {
        large = large || __builtin_mul_overflow(value, 10, &value) ||
                __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value);
    }
    *ret = large ? UINT64_MAX : value;
    return p;
}

/* One element. IGNORE: malformed. */
static weir_http_range_result one(weir_slice item, uint64_t size, weir_http_range *ret)
{
    const char *p = item.data, *end = p + item.len;
    uint64_t first, last;
    const char *dash = number(p, end, &first), *q;

    if (dash == end || *dash != '-')
        return WEIR_HTTP_RANGE_IGNORE;
    q = number(dash + 1, end, &last);
    if (q != end || (dash == p && q == dash + 1) || (dash > p && q > dash + 1 && last < first))
        return WEIR_HTTP_RANGE_IGNORE;
    if (dash == p) { /* the last so many bytes */
        first = last < size ? size - last : 0;
        if (last == 0)
            return WEIR_HTTP_RANGE_UNSATISFIABLE;
        last = UINT64_MAX;
    } else if (q == dash + 1) {
        last = UINT64_MAX;
    }
    if (first >= size)
        return WEIR_HTTP_RANGE_UNSATISFIABLE;
    ret->first = first;
    ret->last = last < size ? last : size - 1;
    return WEIR_HTTP_RANGE_OK;
}

static bool overlaps(const weir_http_range *ranges, size_t count, const weir_http_range *range)
{
    for (size_t i = 0; i < count; i++) {
        if (range->first <= ranges[i].last && ranges[i].first <= range->last)
            return true;
    }
    return false;
}

weir_http_range_result weir_http_range_parse(weir_slice value, uint64_t size,
                                             weir_http_range *ret_ranges, size_t capacity,
                                             size_t *ret_count)
{
    weir_slice rest = weir_slice_skip(value, 6), item;
    size_t count = 0, seen = 0;

    if (value.len < 6 ||
        !weir_slice_equal_nocase(weir_slice_of(value.data, 6), WEIR_SLICE("bytes=")))
        return WEIR_HTTP_RANGE_IGNORE;
    while (weir_http_list_next(&rest, &item)) {
        weir_http_range range;
        weir_http_range_result result = one(item, size, &range);

        if (result == WEIR_HTTP_RANGE_IGNORE || ++seen > capacity)
            return WEIR_HTTP_RANGE_IGNORE;
        if (result == WEIR_HTTP_RANGE_UNSATISFIABLE)
            continue;
        if (overlaps(ret_ranges, count, &range))
            return WEIR_HTTP_RANGE_IGNORE;
        ret_ranges[count++] = range;
    }
    if (seen == 0)
        return WEIR_HTTP_RANGE_IGNORE;
    if (count == 0)
        return WEIR_HTTP_RANGE_UNSATISFIABLE;
    *ret_count = count;
    return WEIR_HTTP_RANGE_OK;
}
