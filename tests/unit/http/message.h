/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the tests of http/message/ look at the parser: every message is parsed three ways, whole, one
 * byte at a time, and one byte at a time in memory that moves with each byte. All three must agree.
 * The bytes stand in heap blocks of exactly their size, so that ASan sees a read past the end.
 */
#ifndef WEIR_TESTS_UNIT_HTTP_MESSAGE_H
#define WEIR_TESTS_UNIT_HTTP_MESSAGE_H

/* cmocka.h needs the others before it */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
/* clang-format on */

#include <weir/http-message.h>

#define FIELDS 20

struct parsed {
    weir_http_result result;
    weir_http_head head;
    weir_http_field fields[FIELDS];
    char *bytes;
};

/* what a test says about the message before it is parsed */
struct how {
    bool response;
    weir_http_method request_method; /* of a response */
    bool request_upgrades;
    weir_http_limits limits;
};

enum way { WHOLE, DRIPPED, MOVED };

/* cmocka's comparison tells what differs, but knows only NUL-ended strings */
#define assert_slice(slice, text)                                       \
    do {                                                                \
        weir_slice slice_ = (slice);                                    \
        assert_int_equal(slice_.len, sizeof(text) - 1);                 \
        if (slice_.len)                                                 \
            assert_memory_equal(slice_.data, (text), sizeof(text) - 1); \
    } while (0)

void parse(struct parsed *parsed, const struct how *how, enum way way, const void *text,
           size_t len);
void parsed_done(struct parsed *parsed);

/* Parses in all ways, asserts that they agree, leaves the last one in `parsed`. */
void parse_all_ways(struct parsed *parsed, const struct how *how, const void *text, size_t len);

void expect_refused(const struct how *how, weir_http_error error, const void *text, size_t len);

/* A test that a request is refused with an error, in all ways of cutting it. */
#define REFUSED(claim, reason, text)                                          \
    static void claim(void **state)                                           \
    {                                                                         \
        const struct how how = {0};                                           \
                                                                              \
        (void)state;                                                          \
        expect_refused(&how, WEIR_HTTP_BAD_##reason, text, sizeof(text) - 1); \
    }

#endif
