/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded text and its escapes. What comes from a peer reaches a terminal or a log only through
 * text_add_escaped() or text_add_json(): no control character, no broken UTF-8.
 */
#include "config.h"

#include "core/base/text.h"

#include <stdio.h>

void text_add_bytes(struct text *text, const char *bytes, size_t len)
{
    if (text->len + 1 < text->size) {
        size_t room = text->size - 1 - text->len;
        size_t n = len < room ? len : room;

        memcpy(text->data + text->len, bytes, n);
        text->data[text->len + n] = '\0';
    }
    text->len += len;
}

void text_vprintf(struct text *text, const char *format, va_list args)
{
    size_t used = text_length(text);
    bool fits = text->len + 1 < text->size;
    int n = vsnprintf(fits ? text->data + used : NULL, fits ? text->size - used : 0, format, args);

    if (n > 0)
        text->len += (size_t)n;
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    text_vprintf(text, format, args);
    va_end(args);
}

const char *text_site_file(const weir_site *site)
{
    const char *file = site->file;

    for (;;) {
        if (strncmp(file, "../", 3) == 0)
            file += 3;
        else if (strncmp(file, "./", 2) == 0)
            file += 2;
        else
            return file;
    }
}

void text_add_site(struct text *text, const weir_site *site)
{
    text_printf(text, "%s (%s:%d)", site->function, text_site_file(site), site->line);
}

size_t weir__utf8_length(const char *bytes, size_t len)
{
    const unsigned char *p = (const unsigned char *)bytes;
    unsigned char low = 0x80, high = 0xBF;
    size_t need;

    if (len == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        need = 2;
    else if (p[0] >= 0xE0 && p[0] <= 0xEF)
        need = 3;
    else if (p[0] >= 0xF0 && p[0] <= 0xF4)
        need = 4;
    else
        return 0;
    /* Overlong forms, surrogates and what lies above U+10FFFF differ in the second byte. */
    if (p[0] == 0xE0)
        low = 0xA0;
    else if (p[0] == 0xED)
        high = 0x9F;
    else if (p[0] == 0xF0)
        low = 0x90;
    else if (p[0] == 0xF4)
        high = 0x8F;
    if (len < need || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    }
    return need;
}

/* C0, DEL and the C1 controls, which terminals obey in UTF-8 too. */
static bool is_control(const unsigned char *p, size_t n)
{
    return p[0] < 0x20 || p[0] == 0x7F || (n == 2 && p[0] == 0xC2 && p[1] < 0xA0);
}

static void add_escape(struct text *text, unsigned char byte)
{
    if (byte == '\n')
        text_add(text, "\\n");
    else if (byte == '\t')
        text_add(text, "\\t");
    else if (byte == '\r')
        text_add(text, "\\r");
    else
        text_printf(text, "\\x%02x", byte);
}

void text_add_escaped(struct text *text, const char *bytes, size_t len, const char *also)
{
    size_t start = 0, i = 0;

    while (i < len) {
        size_t n = weir__utf8_length(bytes + i, len - i);
        bool plain = n && !is_control((const unsigned char *)bytes + i, n);

        if (plain && !(n == 1 && strchr(also, bytes[i]))) {
            i += n;
            continue;
        }
        text_add_bytes(text, bytes + start, i - start);
        if (plain) {
            text_add_bytes(text, "\\", 1);
            text_add_bytes(text, bytes + i, 1);
        } else {
            add_escape(text, (unsigned char)bytes[i]);
            if (n == 2)
                add_escape(text, (unsigned char)bytes[i + 1]);
        }
        i += n ? n : 1;
        start = i;
    }
    text_add_bytes(text, bytes + start, len - start);
}

static void add_json_byte(struct text *text, unsigned char byte)
{
    if (byte == '"' || byte == '\\')
        text_printf(text, "\\%c", byte);
    else if (byte == '\n')
        text_add(text, "\\n");
    else if (byte == '\t')
        text_add(text, "\\t");
    else
        text_printf(text, "\\u%04x", byte);
}

void text_add_json(struct text *text, const char *bytes, size_t len)
{
    size_t start = 0, i = 0;

    text_add_bytes(text, "\"", 1);
    while (i < len) {
        unsigned char byte = (unsigned char)bytes[i];
        size_t n = weir__utf8_length(bytes + i, len - i);

        if (n && byte >= 0x20 && byte != 0x7F && byte != '"' && byte != '\\') {
            i += n;
            continue;
        }
        text_add_bytes(text, bytes + start, i - start);
        if (n)
            add_json_byte(text, byte);
        else
            text_add(text, "\\ufffd");
        i++;
        start = i;
    }
    text_add_bytes(text, bytes + start, len - start);
    text_add_bytes(text, "\"", 1);
}
