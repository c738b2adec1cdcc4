/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text written into a fixed buffer. It always ends with a NUL, never overflows, and knows how long
 * it would have been, as snprintf does.
 */
#ifndef WEIR_CORE_BASE_TEXT_H
#define WEIR_CORE_BASE_TEXT_H

#include <stdarg.h>
#include <string.h>

#include <weir/base.h>

struct text {
    char *data;
    size_t size; /* of the buffer, 0 allowed */
    size_t len;  /* wanted so far, without the NUL; may be more than fits */
};

/* Over a char array. */
#define TEXT_INIT(array)                       \
    {                                          \
        .data = (array), .size = sizeof(array) \
    }

static inline struct text text_over(char *data, size_t size);
void text_add_bytes(struct text *text, const char *bytes, size_t len);
static inline void text_add(struct text *text, const char *string);
void text_printf(struct text *text, const char *format, ...) WEIR_PRINTF(2, 3);
void text_vprintf(struct text *text, const char *format, va_list args) WEIR_PRINTF(2, 0);
/* "function (file.c:12)"; leading "../" of out-of-tree builds left out. */
void text_add_site(struct text *text, const weir_site *site);
/* The file name of a site as text_add_site() shows it. */
const char *text_site_file(const weir_site *site);
/* Control characters, DEL and bytes that are not UTF-8 as \n, \t, \x1b, …; `also` are characters to
   put a backslash before. */
void text_add_escaped(struct text *text, const char *bytes, size_t len, const char *also);
/* Between quotes, as JSON wants it; invalid UTF-8 becomes U+FFFD. */
void text_add_json(struct text *text, const char *bytes, size_t len);
/* Bytes in the buffer. */
static inline size_t text_length(const struct text *text);
static inline bool text_truncated(const struct text *text);
/* The length of the valid UTF-8 sequence at the start, 0 when there is none. */
size_t weir__utf8_length(const char *bytes, size_t len);

/* inline definitions */

static inline struct text text_over(char *data, size_t size)
{
    struct text text = {.data = data, .size = size};

    if (size)
        data[0] = '\0';
    return text;
}

static inline void text_add(struct text *text, const char *string)
{
    text_add_bytes(text, string, strlen(string));
}

static inline size_t text_length(const struct text *text)
{
    if (!text->size)
        return 0;
    return text->len < text->size ? text->len : text->size - 1;
}

static inline bool text_truncated(const struct text *text)
{
    return text->len >= text->size;
}

#endif
