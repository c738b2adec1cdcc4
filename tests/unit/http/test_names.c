/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and methods. The table of names is a perfect hash found by search; when a name was added
 * the first test fails and prints the numbers that names.c needs.
 */
#include "config.h"

#include <stdio.h>

#include "tests/unit/http/message.h"

static const char *const names[] = {NULL,
#define TEXT(name, text, hop) text,
                                    WEIR_HTTP_NAMES(TEXT)
#undef TEXT
};

static unsigned slot(const char *name, unsigned a, unsigned b, unsigned c)
{
    size_t len = strlen(name);

    return ((unsigned)name[0] * a + (unsigned)name[len - 1] * b + (unsigned)name[len - 2] * c +
            (unsigned)len) &
           255;
}

static bool perfect(unsigned a, unsigned b, unsigned c, unsigned char slots[256])
{
    memset(slots, 0, 256);
    for (int i = 1; i < WEIR_HTTP_NAME_COUNT; i++) {
        unsigned char *place = &slots[slot(names[i], a, b, c)];

        if (*place)
            return false;
        *place = (unsigned char)i;
    }
    return true;
}

static void print_better_table(void)
{
    unsigned char slots[256];

    for (unsigned n = 0; n < 256 * 256 * 64; n++) {
        if (!perfect(n & 255, n >> 8 & 255, n >> 16, slots))
            continue;
        print_message("multipliers %u %u %u\n", n & 255, n >> 8 & 255, n >> 16);
        for (int i = 0; i < 256; i++)
            print_message("%d,%s", slots[i], i % 24 == 23 ? "\n" : " ");
        print_message("\n");
        return;
    }
    print_message("no multipliers found: another letter has to take part\n");
}

static void every_name_of_the_list_is_found(void **state)
{
    bool all = true;

    (void)state;
    for (int i = 1; i < WEIR_HTTP_NAME_COUNT; i++)
        all = all && weir_http_name_of(weir_slice_str(names[i])) == (weir_http_name)i;
    if (!all)
        print_better_table();
    assert_true(all);
}

static void names_are_found_in_upper_case(void **state)
{
    (void)state;
    for (int i = 1; i < WEIR_HTTP_NAME_COUNT; i++) {
        char upper[40];
        size_t len = strlen(names[i]);

        for (size_t k = 0; k < len; k++)
            upper[k] =
                (char)(names[i][k] >= 'a' && names[i][k] <= 'z' ? names[i][k] - 32 : names[i][k]);
        assert_int_equal(weir_http_name_of(weir_slice_of(upper, len)), i);
        assert_string_equal(weir_http_name_text((weir_http_name)i), names[i]);
    }
}

static void a_name_with_one_letter_changed_is_unknown(void **state)
{
    (void)state;
    for (int i = 1; i < WEIR_HTTP_NAME_COUNT; i++) {
        for (size_t k = 0; k < strlen(names[i]); k++) {
            char changed[40] = {0};

            memcpy(changed, names[i], strlen(names[i]));
            changed[k] = '_';
            assert_int_equal(weir_http_name_of(weir_slice_str(changed)), WEIR_HTTP_UNKNOWN);
        }
    }
}

static void what_is_near_a_name_is_unknown(void **state)
{
    (void)state;
    assert_int_equal(weir_http_name_of(WEIR_SLICE("")), WEIR_HTTP_UNKNOWN);
    assert_int_equal(weir_http_name_of(WEIR_SLICE("t")), WEIR_HTTP_UNKNOWN);
    assert_int_equal(weir_http_name_of(WEIR_SLICE("transfer_encoding")), WEIR_HTTP_UNKNOWN);
    assert_int_equal(weir_http_name_of(WEIR_SLICE("transfer\rencoding")), WEIR_HTTP_UNKNOWN);
    assert_int_equal(weir_http_name_of(WEIR_SLICE("content-length ")), WEIR_HTTP_UNKNOWN);
    assert_int_equal(weir_http_name_of(WEIR_SLICE("hosts")), WEIR_HTTP_UNKNOWN);
    assert_string_equal(weir_http_name_text(WEIR_HTTP_UNKNOWN), "");
}

static void methods_are_told_apart(void **state)
{
    (void)state;
    for (int i = 1; i < WEIR_HTTP_METHOD_COUNT; i++) {
        const char *name = weir_http_method_name((weir_http_method)i);

        assert_int_equal(weir_http_method_of(weir_slice_str(name)), i);
    }
    assert_int_equal(weir_http_method_of(WEIR_SLICE("get")), WEIR_HTTP_OTHER);
    assert_int_equal(weir_http_method_of(WEIR_SLICE("GETS")), WEIR_HTTP_OTHER);
    assert_int_equal(weir_http_method_of(WEIR_SLICE("")), WEIR_HTTP_OTHER);
    assert_string_equal(weir_http_method_name(WEIR_HTTP_OTHER), "OTHER");
}

static void only_idempotent_methods_may_be_repeated(void **state)
{
    (void)state;
    assert_true(weir_http_method_is_idempotent(WEIR_HTTP_GET));
    assert_true(weir_http_method_is_idempotent(WEIR_HTTP_PUT));
    assert_true(weir_http_method_is_idempotent(WEIR_HTTP_DELETE));
    assert_false(weir_http_method_is_idempotent(WEIR_HTTP_POST));
    assert_false(weir_http_method_is_idempotent(WEIR_HTTP_PATCH));
    assert_false(weir_http_method_is_idempotent(WEIR_HTTP_CONNECT));
    assert_false(weir_http_method_is_idempotent(WEIR_HTTP_OTHER));
    assert_false(weir_http_method_is_safe(WEIR_HTTP_PUT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_of_the_list_is_found),
        cmocka_unit_test(names_are_found_in_upper_case),
        cmocka_unit_test(a_name_with_one_letter_changed_is_unknown),
        cmocka_unit_test(what_is_near_a_name_is_unknown),
        cmocka_unit_test(methods_are_told_apart),
        cmocka_unit_test(only_idempotent_methods_may_be_repeated),
    };

    return cmocka_run_group_tests_name("http/names", tests, NULL, NULL);
}
