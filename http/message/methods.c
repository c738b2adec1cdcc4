/* SPDX-License-Identifier: Apache-2.0 */
/* Request methods: told apart by length, then by their text, which is case-sensitive. */
#include "config.h"

#include <weir/http-message.h>

static const weir_slice names[WEIR_HTTP_METHOD_COUNT] = {WEIR_SLICE_INIT("OTHER"),
#define METHOD(name) WEIR_SLICE_INIT(#name),
                                                         WEIR_HTTP_METHODS(METHOD)
#undef METHOD
};

const char *weir_http_method_name(weir_http_method method)
{
    return names[(unsigned)method < WEIR_HTTP_METHOD_COUNT ? method : WEIR_HTTP_OTHER].data;
}

static weir_http_method if_equal(weir_slice text, weir_http_method method)
{
    return memcmp(text.data, names[method].data, names[method].len) == 0 ? method : WEIR_HTTP_OTHER;
}

weir_http_method weir_http_method_of(weir_slice text)
{
    const char *p = text.data;

    switch (text.len) {
    case 3:
        return if_equal(text, *p == 'G' ? WEIR_HTTP_GET : WEIR_HTTP_PUT);
    case 4:
        return if_equal(text, *p == 'H' ? WEIR_HTTP_HEAD : WEIR_HTTP_POST);
    case 5:
        return if_equal(text, *p == 'P' ? WEIR_HTTP_PATCH : WEIR_HTTP_TRACE);
    case 6:
        return if_equal(text, WEIR_HTTP_DELETE);
    case 7:
        return if_equal(text, *p == 'O' ? WEIR_HTTP_OPTIONS : WEIR_HTTP_CONNECT);
    default:
        return WEIR_HTTP_OTHER;
    }
}
