/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and texts of codes. Weir's own come from the X-macro of error.h; those of errno from libc,
 * with a small first letter, so that they read well after a colon.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <weir/error.h>

#define ERRNO_CODES 160
#define ERRNO_TEXT  64

static char errno_texts[ERRNO_CODES][ERRNO_TEXT];
static pthread_once_t errno_texts_once = PTHREAD_ONCE_INIT;

static bool is_small(char c)
{
    return c >= 'a' && c <= 'z';
}

static void make_errno_texts(void)
{
    for (int code = 1; code < ERRNO_CODES; code++) {
        const char *text = strerrordesc_np(code);
        char *mine = errno_texts[code];

        if (!text)
            continue;
        snprintf(mine, ERRNO_TEXT, "%s", text);
        /* "Connection refused", but not "RFS specific error". */
        if (mine[0] >= 'A' && mine[0] <= 'Z' && (is_small(mine[1]) || mine[1] == ' '))
            mine[0] = (char)(mine[0] | 0x20);
    }
}

const char *weir_code_name(weir_code code)
{
    const char *name;

    switch (code) {
    case 0:
        return "OK";
#define CODE_NAME(name_, number, errno_, text) \
    case name_:                                \
        return #name_;
        WEIR_ERROR_CODES(CODE_NAME)
#undef CODE_NAME
    default:
        name = strerrorname_np(code);
        return name ? name : "UNKNOWN";
    }
}

const char *weir_code_text(weir_code code)
{
    switch (code) {
    case 0:
        return "success";
#define CODE_TEXT(name_, number, errno_, text_) \
    case name_:                                 \
        return text_;
        WEIR_ERROR_CODES(CODE_TEXT)
#undef CODE_TEXT
    default:
        pthread_once(&errno_texts_once, make_errno_texts);
        if (code > 0 && code < ERRNO_CODES && errno_texts[code][0])
            return errno_texts[code];
        return "unknown error";
    }
}

int weir_code_errno(weir_code code)
{
    switch (code) {
#define CODE_ERRNO(name_, number, errno_, text) \
    case name_:                                 \
        return errno_;
        WEIR_ERROR_CODES(CODE_ERRNO)
#undef CODE_ERRNO
    default:
        return code >= 0 && code < 2000 ? code : EIO;
    }
}
