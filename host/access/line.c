/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Escapes. Most values are printable ASCII without quotes: runs of such bytes are copied at once, and
 * only what is else is looked at closely.
 */
#include "config.h"

#include "host/access/line.h"

#include <stdbool.h>

static const char hex[] = "0123456789abcdef";

void line_number(struct line *line, uint64_t number)
{
    char digits[20];
    size_t n = sizeof digits;

    do
        digits[--n] = (char)('0' + number % 10);
    while ((number /= 10));
    line_put(line, digits + n, sizeof digits - n);
}

void line_milliseconds(struct line *line, uint64_t ns)
{
    uint64_t us = ns / 1000, rest = us % 1000;
    char decimals[4] = {'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10),
                        (char)('0' + rest % 10)};

    line_number(line, us / 1000);
    line_put(line, decimals, sizeof decimals);
}

size_t weir__access_utf8(const unsigned char *p, size_t len)
{
    unsigned char low = 0x80, high = 0xBF;
    size_t need = 0;

    if (!len)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        need = 2;
    else if (p[0] >= 0xE0 && p[0] <= 0xEF)
        need = 3;
    else if (p[0] >= 0xF0 && p[0] <= 0xF4)
        need = 4;
    /* Overlong forms, surrogates and what lies above U+10FFFF differ in the second byte. */
    low = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : low;
    high = p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : high;
    if (!need || len < need || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return need;
}

/* Bytes that need no look in any style. */
static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

static size_t plain_run(const unsigned char *bytes, size_t len)
{
    size_t n = 0;

    while (n < len && is_plain(bytes[n]))
        n++;
    return n;
}

/* C1 controls are obeyed by terminals, in UTF-8 too. */
static bool is_c1(const unsigned char *bytes, size_t len)
{
    return len == 2 && bytes[0] == 0xC2 && bytes[1] < 0xA0;
}

static size_t json_escape(unsigned char c, char *out)
{
    static const char names[] = "\b\t\n\f\r\"\\", letters[] = "btnfr\"\\";
    const char *name = c ? strchr(names, c) : NULL;

    out[0] = '\\';
    if (name) {
        out[1] = letters[name - names];
        return 2;
    }
    memcpy(out + 1, "u00", 3);
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

static size_t text_escape(unsigned char c, char *out)
{
    out[0] = '\\';
    if (c == '"' || c == '\\') {
        out[1] = (char)c;
        return 2;
    }
    out[1] = 'x';
    out[2] = hex[c >> 4];
    out[3] = hex[c & 15];
    return 4;
}

/* One sequence that is not plain: its bytes as they are, or escaped. The length of what was read. */
static size_t escape_one(const unsigned char *at, size_t len, bool json, char *out, size_t *ret_len)
{
    size_t n = weir__access_utf8(at, len);

    if (n > 1 && !is_c1(at, n)) {
        memcpy(out, at, n);
        *ret_len = n;
        return n;
    }
    if (json && !n) {
        memcpy(out, "\\ufffd", 6);
        *ret_len = 6;
        return 1;
    }
    if (json && n == 2) {
        *ret_len = json_escape(at[1], out); /* U+0080 to U+009F */
        return 2;
    }
    *ret_len = json ? json_escape(at[0], out) : text_escape(at[0], out);
    if (!json && n == 2)
        *ret_len += text_escape(at[1], out + *ret_len);
    return n ? n : 1;
}

static void put_escaped(struct line *line, weir_slice value, size_t max, bool json)
{
    const unsigned char *bytes = value.data;
    size_t room = (size_t)(line->end - line->at), written = 0;

    max = max < room ? max : room;
    for (size_t i = 0; i < value.len;) {
        size_t run = plain_run(bytes + i, value.len - i), len;
        char out[12];

        run = run < max - written ? run : max - written;
        line_put(line, bytes + i, run);
        written += run;
        i += run;
        if (i >= value.len || is_plain(bytes[i]))
            return; /* done, or full */
        i += escape_one(bytes + i, value.len - i, json, out, &len);
        if (written + len > max)
            return; /* nothing is cut in the middle */
        line_put(line, out, len);
        written += len;
    }
}

void line_json(struct line *line, weir_slice value, size_t max)
{
    line_char(line, '"');
    put_escaped(line, value, max, true);
    line_char(line, '"');
}

void line_escaped(struct line *line, weir_slice value, size_t max)
{
    put_escaped(line, value, max, false);
}

void line_logfmt(struct line *line, weir_slice value, size_t max)
{
    const unsigned char *bytes = value.data;
    bool plain = value.len > 0 && value.len <= max && plain_run(bytes, value.len) == value.len &&
                 !memchr(bytes, ' ', value.len) && !memchr(bytes, '=', value.len);

    if (plain) {
        line_put(line, bytes, value.len);
        return;
    }
    line_char(line, '"');
    put_escaped(line, value, max, false);
    line_char(line, '"');
}
