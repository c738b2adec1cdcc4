/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The character classes, each written once as the rule of its RFC and expanded by the compiler
 * into a table of 256 bytes.
 */
#include "config.h"

#include "http/message/chars.h"

#define ALPHA(c)      (((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z'))
#define DIGIT(c)      ((c) >= '0' && (c) <= '9')
#define HEX(c)        (DIGIT(c) || ((c) >= 'a' && (c) <= 'f') || ((c) >= 'A' && (c) <= 'F'))
#define UNRESERVED(c) (ALPHA(c) || DIGIT(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~')
#define TOKEN(c)                                                                            \
    (UNRESERVED(c) || (c) == '!' || (c) == '#' || (c) == '$' || (c) == '%' || (c) == '&' || \
     (c) == '\'' || (c) == '*' || (c) == '+' || (c) == '^' || (c) == '`' || (c) == '|')
#define VALUE(c)  ((c) == '\t' || ((c) >= 0x20 && (c) != 0x7f))
#define TARGET(c) ((c) > 0x20 && (c) < 0x7f && (c) != '#')
/* A comma would be the mark of two Host fields that somebody joined, so it is left out. */
#define REG_NAME(c)                                                                          \
    (UNRESERVED(c) || (c) == '!' || (c) == '$' || (c) == '&' || (c) == '\'' || (c) == '(' || \
     (c) == ')' || (c) == '*' || (c) == '+' || (c) == ';' || (c) == '=')
#define ETAG(c) ((c) == 0x21 || ((c) >= 0x23 && (c) != 0x7f))

#define C(c)                                                                                \
    (uint8_t)((TOKEN(c) ? WEIR__TOKEN : 0) | (VALUE(c) ? WEIR__VALUE : 0) |                 \
              (TARGET(c) ? WEIR__TARGET : 0) | (HEX(c) ? WEIR__HEX : 0) |                   \
              (UNRESERVED(c) ? WEIR__UNRESERVED : 0) | (REG_NAME(c) ? WEIR__REG_NAME : 0) | \
              (DIGIT(c) ? WEIR__DIGIT : 0) | (ETAG(c) ? WEIR__ETAG : 0))
#define C4(c)  C(c), C((c) + 1), C((c) + 2), C((c) + 3)
#define C16(c) C4(c), C4((c) + 4), C4((c) + 8), C4((c) + 12)
#define C64(c) C16(c), C16((c) + 16), C16((c) + 32), C16((c) + 48)

const uint8_t weir__http_class[256] = {C64(0), C64(64), C64(128), C64(192)};
