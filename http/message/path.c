/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths, RFC 3986 section 6.2.2: one form for all the spellings of a place, made segment by segment
 *
 *     /a/%62/./../c//d   →   /a/c/d
 *
 * so that a route or a file is never found by one spelling and guarded by another. The output is
 * never longer than the input and never ahead of it, which is why it may be written over it.
 */
#include "config.h"

#include <weir/http-values.h>

#include "http/message/scan.h"

struct path {
    char *out;
    size_t len;
    size_t capacity;
};

static bool add(struct path *path, char c)
{
    if (path->len == path->capacity)
        return false;
    path->out[path->len++] = c;
    return true;
}

/* The value of %XX at [p, end), or -1. */
static int percent(const char *p, const char *end)
{
    if (end - p < 3 || !weir__is(p[1], WEIR__HEX) || !weir__is(p[2], WEIR__HEX))
        return -1;
    return (int)(weir__hex_value(p[1]) << 4 | weir__hex_value(p[2]));
}

/* Copies one segment; returns its end or NULL. */
static const char *segment(struct path *path, const char *p, const char *end)
{
    while (p < end && *p != '/') {
        int code;

        if (*p != '%') {
            if (!weir__is(*p, WEIR__TARGET) || *p == '?' || !add(path, *p++))
                return NULL;
            continue;
        }
        code = percent(p, end);
        if (code <= 0)
            return NULL;
        p += 3;
        if (weir__is((char)code, WEIR__UNRESERVED)) {
            if (!add(path, (char)code))
                return NULL;
        } else if (!add(path, '%') || !add(path, "0123456789ABCDEF"[code >> 4]) ||
                   !add(path, "0123456789ABCDEF"[code & 15])) {
            return NULL;
        }
    }
    return p;
}

/* What was written behind `begin` (which stands after a slash) is a whole segment: resolves it.
 * False when it climbs above the root. */
static bool resolve(struct path *path, size_t begin)
{
    size_t len = path->len - begin;
    const char *text = path->out + begin;

    if (len == 1 && text[0] == '.') {
        path->len = begin;
    } else if (len == 2 && text[0] == '.' && text[1] == '.') {
        if (begin == 1)
            return false;
        path->len = begin - 1;
        while (path->out[path->len - 1] != '/')
            path->len--;
    }
    return true;
}

bool weir_http_path_normalise(weir_slice text, char *buffer, size_t capacity, weir_slice *ret_path)
{
    const char *p = text.data, *end = p + text.len;
    struct path path = {buffer, 0, capacity};

    if (p == end || *p != '/')
        return false;
    while (p < end) { /* at a slash */
        p++;
        if ((path.len == 0 || path.out[path.len - 1] != '/') && !add(&path, '/'))
            return false;
        size_t begin = path.len;

        p = segment(&path, p, end);
        if (!p || !resolve(&path, begin))
            return false;
    }
    *ret_path = weir_slice_of(buffer, path.len);
    return true;
}

bool weir_http_path_decode(weir_slice text, char *buffer, size_t capacity, weir_slice *ret_path)
{
    const char *p = text.data, *end = p + text.len;
    struct path path = {buffer, 0, capacity};

    while (p < end) {
        int code = *p == '%' ? percent(p, end) : (unsigned char)*p;

        if (code <= 0 || code == '\\' || (code == '/' && *p == '%') || !add(&path, (char)code))
            return false;
        p += *p == '%' ? 3 : 1;
    }
    *ret_path = weir_slice_of(buffer, path.len);
    return true;
}
