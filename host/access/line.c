/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Escapes. Most values are printable ASCII without quotes: such a value is copied and looked at in one
 * go, sixteen bytes at a time where there is SSE2, and only what is else is looked at closely.
 */
#include "config.h"

#include "host/access/line.h"

#include <stdbool.h>
#ifdef __SSE2__
#    include <emmintrin.h>
#endif

static const char hex[] = "0123456789abcdef";

/* Up to before `end`; where they begin. */
static char *write_digits(char *end, uint64_t number)
{
    do
        *--end = (char)('0' + number % 10);
    while ((number /= 10));
    return end;
}

void line_number(struct line *line, uint64_t number)
{
    char digits[20 + LINE_SHORT];
    const char *start = write_digits(digits + 20, number);

    line_put_short(line, start, (size_t)(digits + 20 - start));
}

void line_milliseconds(struct line *line, uint64_t ns)
{
    char text[24 + LINE_SHORT], *start;
    uint64_t us = ns / 1000;
    unsigned rest = (unsigned)(us % 1000);

    text[20] = '.';
    text[21] = (char)('0' + rest / 100);
    text[22] = (char)('0' + rest / 10 % 10);
    text[23] = (char)('0' + rest % 10);
    start = write_digits(text + 20, us / 1000);
    line_put_short(line, start, (size_t)(text + 24 - start));
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

enum { PLAIN = 1, BARE = 2 };

/* Plain: needs no look in any style, printable ASCII but `"` and `\`. Bare: neither space nor `=` either. */
static const unsigned char kinds[256] = {
    [' '] = PLAIN, ['!'] = PLAIN | BARE,         ['#' ... '<'] = PLAIN | BARE,
    ['='] = PLAIN, ['>' ... '['] = PLAIN | BARE, [']' ... '~'] = PLAIN | BARE,
};

#ifdef __SSE2__
static inline __m128i any_of(__m128i bytes, char c)
{
    return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(c));
}

/* A bit for each byte that is not of the kind. */
static inline unsigned others(__m128i bytes, int kind)
{
    /* unsigned bytes <= 0x1f are those that min() leaves alone */
    __m128i bad = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);

    bad = _mm_or_si128(bad, bytes); /* above 0x7f: the highest bit is what is asked below */
    bad = _mm_or_si128(bad, _mm_or_si128(any_of(bytes, '"'), any_of(bytes, '\\')));
    bad = _mm_or_si128(bad, any_of(bytes, 0x7f));
    if (kind == BARE)
        bad = _mm_or_si128(bad, _mm_or_si128(any_of(bytes, ' '), any_of(bytes, '=')));
    return (unsigned)_mm_movemask_epi8(bad);
}

static inline unsigned copy_16(char *to, const unsigned char *from, int kind)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)from);

    _mm_storeu_si128((__m128i *)(void *)to, bytes);
    return others(bytes, kind);
}

static inline unsigned copy_8(char *to, const unsigned char *from, int kind)
{
    __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)from);

    _mm_storel_epi64((__m128i *)(void *)to, bytes);
    return others(bytes, kind) & 0xff;
}

/* The last bytes are looked at together with some before them. */
static inline bool copy_long(char *to, const unsigned char *bytes, size_t len, int kind)
{
    size_t i = 0;

    if (len < 16)
        return !(copy_8(to, bytes, kind) | copy_8(to + len - 8, bytes + len - 8, kind));
    for (; len - i >= 16; i += 16)
        if (copy_16(to + i, bytes + i, kind))
            return false;
    return i == len || !copy_16(to + len - 16, bytes + len - 16, kind);
}
#endif

/* Copies and looks in one go. False: not all is of the kind, or it does not fit, and nothing is put. */
static inline bool put_kind(struct line *line, weir_slice value, size_t max, int kind)
{
    const unsigned char *bytes = value.data;
    char *to = line->at;
    size_t i = 0;

    if (value.len > max || value.len > (size_t)(line->end - to))
        return false;
#ifdef __SSE2__
    if (value.len >= 8) {
        if (!copy_long(to, bytes, value.len, kind))
            return false;
        i = value.len;
    }
#endif
    for (; i < value.len; i++) {
        if (!(kinds[bytes[i]] & kind))
            return false;
        to[i] = (char)bytes[i];
    }
    line->at += value.len;
    return true;
}

static size_t plain_run(const unsigned char *bytes, size_t len)
{
    size_t n = 0;

    while (n < len && kinds[bytes[n]] & PLAIN)
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

    if (put_kind(line, value, max, PLAIN))
        return;
    max = max < room ? max : room;
    for (size_t i = 0; i < value.len;) {
        size_t run = plain_run(bytes + i, value.len - i), len;
        char out[12];

        run = run < max - written ? run : max - written;
        line_put(line, bytes + i, run);
        written += run;
        i += run;
        if (i >= value.len || kinds[bytes[i]] & PLAIN)
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
    if (value.len && put_kind(line, value, max, BARE))
        return;
    line_char(line, '"');
    put_escaped(line, value, max, false);
    line_char(line, '"');
}
