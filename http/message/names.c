/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Known field names by perfect hash: length, first and the last two letters choose one slot, and
 * one comparison confirms it. Where letters are compared, both sides have bit 5 set, which folds
 * case and maps no other token character onto a letter, digit or `-` of a known name.
 *
 * `slots` was found by search. tests/unit/http/test_names.c checks that every name of the list is
 * found, and when one is not (a name was added) it searches and prints new multipliers and slots.
 */
#include "config.h"

#include "http/message/names.h"

#include "http/message/chars.h"

#define FOLD UINT64_C(0x2020202020202020)

static const struct {
    uint8_t len;
    char text[31];
} names[WEIR_HTTP_NAME_COUNT] = {{0, ""},

#define NAME(name, text, hop) {sizeof(text) - 1, text},
                                 WEIR_HTTP_NAMES(NAME)
#undef NAME
};

_Static_assert(WEIR_HTTP_NAME_COUNT <= 64, "a set of known names is one word");

const uint64_t weir__http_hop_names =
#define HOP(name, text, hop) ((uint64_t)(hop) << WEIR_HTTP_##name) |
    WEIR_HTTP_NAMES(HOP)
#undef HOP
        0;

/* clang-format off */
static const uint8_t slots[256] = {
    0, 0, 9, 0, 0, 40, 0, 0, 0, 0, 0, 33, 0, 0, 0, 0, 0, 47, 49, 0, 0, 0, 0, 0, 29, 59, 0, 0,
    0, 0, 0, 0, 0, 0, 11, 0, 32, 0, 8, 0, 0, 0, 0, 0, 0, 22, 10, 0, 0, 0, 0, 0, 24, 0, 0, 0, 3,
    25, 0, 7, 38, 0, 0, 0, 0, 0, 0, 0, 53, 0, 21, 0, 41, 52, 0, 20, 0, 55, 13, 0, 5, 0, 1, 18,
    0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 42, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 43, 0, 0, 61, 16, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 36, 0, 58, 0, 0, 0, 0, 0, 0, 39, 0, 0, 0, 0, 0, 0,
    0, 0, 2, 0, 0, 0, 0, 0, 31, 0, 0, 0, 0, 0, 0, 56, 19, 0, 17, 0, 0, 0, 0, 0, 0, 44, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 15, 0, 34, 0, 0, 0, 0, 48, 0, 37, 0, 0, 30, 0, 0, 0, 0, 0, 0, 50, 0, 0,
    0, 51, 0, 0, 0, 0, 0, 28, 0, 60, 14, 0, 0, 12, 57, 0, 0, 0, 46, 0, 0, 23, 26, 0, 27, 45, 35,
};

/* clang-format on */

static uint64_t load(const char *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return word | FOLD;
}

static bool same(const char *name, const char *text, size_t len)
{
    if (len < 8) {
        for (size_t i = 0; i < len; i++) {
            if ((name[i] | 0x20) != text[i])
                return false;
        }
        return true;
    }
    for (size_t i = 0; i + 8 < len; i += 8) {
        if (load(name + i) != load(text + i))
            return false;
    }
    return load(name + len - 8) == load(text + len - 8);
}

weir_http_name weir__http_name_of(const char *name, size_t len)
{
    unsigned id;

    if (len < 2)
        return WEIR_HTTP_UNKNOWN;
    id = slots[((unsigned)(name[0] | 0x20) * 6 + (unsigned)(name[len - 1] | 0x20) * 22 +
                (unsigned)(name[len - 2] | 0x20) * 2 + (unsigned)len) &
               255];
    if (names[id].len != len || !same(name, names[id].text, len))
        return WEIR_HTTP_UNKNOWN;
    return (weir_http_name)id;
}

weir_http_name weir_http_name_of(weir_slice text)
{
    const char *p = text.data;

    for (size_t i = 0; i < text.len; i++) {
        if (!weir__is(p[i], WEIR__TOKEN))
            return WEIR_HTTP_UNKNOWN;
    }
    return weir__http_name_of(p, text.len);
}

const char *weir_http_name_text(weir_http_name name)
{
    return names[(unsigned)name < WEIR_HTTP_NAME_COUNT ? name : WEIR_HTTP_UNKNOWN].text;
}
