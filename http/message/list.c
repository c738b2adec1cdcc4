/* SPDX-License-Identifier: Apache-2.0 */
/* Comma lists (RFC 9110 5.6.1) and the two questions asked of their elements. */
#include "config.h"

#include <weir/http-values.h>

#include "http/message/scan.h"

/* The comma that ends the element at `p`, or `end`. */
static const char *element_end(const char *p, const char *end)
{
    bool quoted = false;

    for (; p < end; p++) {
        if (quoted && *p == '\\' && p + 1 < end)
            p++;
        else if (*p == '"')
            quoted = !quoted;
        else if (*p == ',' && !quoted)
            break;
    }
    return p;
}

bool weir_http_list_next(weir_slice *list, weir_slice *ret_item)
{
    const char *p = list->data, *end = p + list->len, *last;

    while (p < end && (*p == ',' || weir__is_blank(*p)))
        p++;
    if (p == end) {
        *list = weir_slice_of(end, 0);
        return false;
    }
    last = element_end(p, end);
    *list = weir_slice_of(last, (size_t)(end - last));
    while (weir__is_blank(last[-1]))
        last--;
    *ret_item = weir_slice_of(p, (size_t)(last - p));
    return true;
}

bool weir_http_list_has(weir_slice list, weir_slice token)
{
    weir_slice item;

    while (weir_http_list_next(&list, &item)) {
        if (weir_slice_equal_nocase(item, token))
            return true;
    }
    return false;
}

bool weir_http_is_token(weir_slice text)
{
    const char *begin = text.data, *end = begin + text.len;

    return text.len > 0 && weir__scan_class(begin, end, WEIR__TOKEN) == end;
}

bool weir_http_is_value(weir_slice text)
{
    const char *begin = text.data, *end = begin + text.len;

    return weir__scan_value(begin, end) == end;
}
