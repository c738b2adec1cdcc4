/* SPDX-License-Identifier: Apache-2.0 */
/* Character classes of HTTP and URIs: one table look-up each. Hidden symbols, this library only. */
#ifndef WEIR_HTTP_MESSAGE_CHARS_H
#define WEIR_HTTP_MESSAGE_CHARS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WEIR__TOKEN = 1,       /* tchar of RFC 9110 5.6.2 */
    WEIR__VALUE = 2,       /* field content: HTAB, SP, VCHAR, obs-text */
    WEIR__TARGET = 4,      /* visible ASCII but `#`: no fragment ever travels */
    WEIR__HEX = 8,         /* 0-9 a-f A-F */
    WEIR__UNRESERVED = 16, /* RFC 3986: never needs percent-encoding */
    WEIR__REG_NAME = 32,   /* of a host name, `%` apart */
    WEIR__DIGIT = 64,
    WEIR__ETAG = 128, /* inside the quotes of an entity tag */
};

extern const uint8_t weir__http_class[256];

static inline bool weir__is(char c, unsigned classes)
{
    return (weir__http_class[(unsigned char)c] & classes) != 0;
}

static inline bool weir__is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* 0 … 15; only for characters of class WEIR__HEX */
static inline unsigned weir__hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

#endif
