/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entity tags, RFC 9110 8.8.3 and 13.1: `"x"` is strong, `W/"x"` weak. Their quotes know no
 * escapes, so the general list iterator would read a tag with a backslash wrongly.
 */
#include "config.h"

#include <weir/http-values.h>

#include "http/message/scan.h"

/* Takes a tag from the front of `*text` into opaque part (with quotes) and weakness. */
static bool take_tag(weir_slice *text, weir_slice *ret_opaque, bool *ret_weak)
{
    const char *p = text->data, *end = p + text->len, *quote;
    bool weak = text->len >= 2 && p[0] == 'W' && p[1] == '/';

    if (weak)
        p += 2;
    if (p == end || *p != '"')
        return false;
    quote = weir__scan_class(p + 1, end, WEIR__ETAG);
    if (quote == end || *quote != '"')
        return false;
    *ret_opaque = weir_slice_of(p, (size_t)(quote + 1 - p));
    *ret_weak = weak;
    *text = weir_slice_of(quote + 1, (size_t)(end - quote - 1));
    return true;
}

bool weir_http_is_etag(weir_slice text)
{
    weir_slice opaque;
    bool weak;

    return take_tag(&text, &opaque, &weak) && text.len == 0;
}

/* Skips white space and commas; false when neither a comma nor the end was there. */
static bool next_element(weir_slice *list, bool first)
{
    const char *p = list->data, *end = p + list->len;
    bool comma = first;

    for (; p < end && (*p == ',' || weir__is_blank(*p)); p++)
        comma = comma || *p == ',';
    *list = weir_slice_of(p, (size_t)(end - p));
    return comma && p < end;
}

bool weir_http_etag_matches(weir_slice list, weir_slice etag, bool weak)
{
    weir_slice mine, theirs;
    bool mine_weak, theirs_weak;

    if (weir_slice_equal(list, WEIR_SLICE("*")))
        return true;
    if (!take_tag(&etag, &mine, &mine_weak))
        return false;
    for (bool first = true; next_element(&list, first); first = false) {
        if (!take_tag(&list, &theirs, &theirs_weak))
            return false;
        if (weir_slice_equal(mine, theirs) && (weak || (!mine_weak && !theirs_weak)))
            return true;
    }
    return false;
}
