/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line being put together in a fixed buffer. What does not fit is cut; the last byte is kept free for
 * the newline. Values from outside come in by an escape only.
 */
#ifndef WEIR_HOST_ACCESS_LINE_H
#define WEIR_HOST_ACCESS_LINE_H

#include <stdint.h>
#include <string.h>

#include <weir/slice.h>

#define LINE_SHORT 24

struct line {
    char *at, *end; /* `end` is the place of the newline */
};

static inline void line_put(struct line *line, const void *bytes, size_t len);
/* At most LINE_SHORT bytes, out of memory of which so many can be read: without a call. */
static inline void line_put_short(struct line *line, const char *bytes, size_t len);
static inline void line_char(struct line *line, char c);
void line_number(struct line *line, uint64_t number);
/* Nanoseconds as milliseconds with three decimals: "12.345". */
void line_milliseconds(struct line *line, uint64_t ns);
/* At most `max` bytes are written for the value.
 * JSON: between quotes; what is not UTF-8 becomes U+FFFD. */
void line_json(struct line *line, weir_slice value, size_t max);
/* Control characters and what is not UTF-8 as \xHH, `"` and `\` with a backslash in front. */
void line_escaped(struct line *line, weir_slice value, size_t max);
/* As it is where it has neither spaces nor anything to escape, else between quotes. */
void line_logfmt(struct line *line, weir_slice value, size_t max);
/* Bytes of the valid UTF-8 sequence at the start; 0: none. */
size_t weir__access_utf8(const unsigned char *p, size_t len);

static inline void line_put(struct line *line, const void *bytes, size_t len)
{
    size_t room = (size_t)(line->end - line->at), n = len < room ? len : room;

    memcpy(line->at, bytes, n);
    line->at += n;
}

static inline void line_put_short(struct line *line, const char *bytes, size_t len)
{
    if (len > LINE_SHORT || (size_t)(line->end - line->at) < LINE_SHORT) {
        line_put(line, bytes, len);
        return;
    }
    memcpy(line->at, bytes, LINE_SHORT);
    line->at += len;
}

static inline void line_char(struct line *line, char c)
{
    if (line->at < line->end)
        *line->at++ = c;
}

#endif
