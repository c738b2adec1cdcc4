/* SPDX-License-Identifier: Apache-2.0 */
/* Paths: one form for every spelling, and nothing above the root. */
#include "config.h"

#include <weir/http-values.h>

#include "tests/unit/http/message.h"

static void expect_path(const char *text, const char *expected)
{
    char other[200], same[200];
    size_t len = strlen(text);
    weir_slice path;

    assert_true(weir_http_path_normalise(weir_slice_str(text), other, len, &path));
    assert_int_equal(path.len, strlen(expected));
    assert_memory_equal(path.data, expected, path.len);
    memcpy(same, text, len);
    assert_true(weir_http_path_normalise(weir_slice_of(same, len), same, len, &path));
    assert_int_equal(path.len, strlen(expected));
    assert_memory_equal(same, expected, path.len);
}

static void expect_no_path(weir_slice text)
{
    char memory[200];
    weir_slice path;

    assert_false(weir_http_path_normalise(text, memory, sizeof(memory), &path));
}

static void a_plain_path_stays_as_it_is(void **state)
{
    (void)state;
    expect_path("/", "/");
    expect_path("/a", "/a");
    expect_path("/a/b.c/", "/a/b.c/");
    expect_path("/a;v=1/...x/..y/.z", "/a;v=1/...x/..y/.z");
    expect_path("/...", "/...");
}

static void dots_are_resolved(void **state)
{
    (void)state;
    expect_path("/.", "/");
    expect_path("/a/.", "/a/");
    expect_path("/a/./b", "/a/b");
    expect_path("/a/..", "/");
    expect_path("/a/../", "/");
    expect_path("/a/b/..", "/a/");
    expect_path("/a/b/../../c", "/c");
    expect_path("/a//../b", "/b");
}

static void encoded_dots_are_dots(void **state)
{
    (void)state;
    expect_path("/a/%2e%2e/b", "/b");
    expect_path("/a/.%2E/b", "/b");
    expect_path("/a/%2e/b", "/a/b");
}

static void empty_segments_are_merged(void **state)
{
    (void)state;
    expect_path("//", "/");
    expect_path("//evil.test//a///b//", "/evil.test/a/b/");
}

static void unreserved_characters_are_decoded_and_others_kept_in_upper_case(void **state)
{
    (void)state;
    expect_path("/%61%7e%2D%5f", "/a~-_");
    expect_path("/%c3%a9%20%3f%25", "/%C3%A9%20%3F%25");
}

static void an_encoded_slash_makes_no_segment(void **state)
{
    (void)state;
    expect_path("/a%2fb", "/a%2Fb");
    expect_path("/a/..%2f../b", "/a/..%2F../b");
}

static void nothing_is_decoded_twice(void **state)
{
    (void)state;
    expect_path("/a/%252e%252e/b", "/a/%252e%252e/b");
    expect_path("/a/%c0%ae%c0%ae/b", "/a/%C0%AE%C0%AE/b");
}

static void no_path_climbs_above_the_root(void **state)
{
    (void)state;
    expect_no_path(WEIR_SLICE("/.."));
    expect_no_path(WEIR_SLICE("/../a"));
    expect_no_path(WEIR_SLICE("/a/../.."));
    expect_no_path(WEIR_SLICE("/%2e%2e/a"));
    expect_no_path(WEIR_SLICE("/a/.././../b"));
    expect_no_path(WEIR_SLICE("//.."));
}

static void broken_encodings_nul_and_odd_characters_are_refused(void **state)
{
    (void)state;
    expect_no_path(WEIR_SLICE(""));
    expect_no_path(WEIR_SLICE("a"));
    expect_no_path(WEIR_SLICE("*"));
    expect_no_path(WEIR_SLICE("/%"));
    expect_no_path(WEIR_SLICE("/%4"));
    expect_no_path(WEIR_SLICE("/%zz"));
    expect_no_path(WEIR_SLICE("/a%00b"));
    expect_no_path(WEIR_SLICE("/a\0b"));
    expect_no_path(WEIR_SLICE("/a b"));
    expect_no_path(WEIR_SLICE("/a?b"));
    expect_no_path(WEIR_SLICE("/a\xe9"));
}

static void a_path_that_does_not_fit_is_refused(void **state)
{
    char memory[3];
    weir_slice path;

    (void)state;
    assert_true(weir_http_path_normalise(WEIR_SLICE("/a/b/../."), memory, 3, &path) == false);
    assert_true(weir_http_path_normalise(WEIR_SLICE("/ab"), memory, 3, &path));
    assert_false(weir_http_path_normalise(WEIR_SLICE("/ab/"), memory, 3, &path));
}

static void a_file_name_is_decoded_completely(void **state)
{
    char memory[20];
    weir_slice path;

    (void)state;
    assert_true(weir_http_path_decode(WEIR_SLICE("/a%20b/%C3%A9%25"), memory, 20, &path));
    assert_slice(path, "/a b/\xc3\xa9%");
}

static void a_file_name_never_gains_a_separator_or_an_end(void **state)
{
    char memory[20];
    weir_slice path;

    (void)state;
    assert_false(weir_http_path_decode(WEIR_SLICE("/a%2Fb"), memory, 20, &path));
    assert_false(weir_http_path_decode(WEIR_SLICE("/a%5Cb"), memory, 20, &path));
    assert_false(weir_http_path_decode(WEIR_SLICE("/a\\b"), memory, 20, &path));
    assert_false(weir_http_path_decode(WEIR_SLICE("/a%00"), memory, 20, &path));
    assert_false(weir_http_path_decode(WEIR_SLICE("/a%2"), memory, 20, &path));
    assert_false(weir_http_path_decode(WEIR_SLICE("/abc"), memory, 3, &path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_path_stays_as_it_is),
        cmocka_unit_test(dots_are_resolved),
        cmocka_unit_test(encoded_dots_are_dots),
        cmocka_unit_test(empty_segments_are_merged),
        cmocka_unit_test(unreserved_characters_are_decoded_and_others_kept_in_upper_case),
        cmocka_unit_test(an_encoded_slash_makes_no_segment),
        cmocka_unit_test(nothing_is_decoded_twice),
        cmocka_unit_test(no_path_climbs_above_the_root),
        cmocka_unit_test(broken_encodings_nul_and_odd_characters_are_refused),
        cmocka_unit_test(a_path_that_does_not_fit_is_refused),
        cmocka_unit_test(a_file_name_is_decoded_completely),
        cmocka_unit_test(a_file_name_never_gains_a_separator_or_an_end),
    };

    return cmocka_run_group_tests_name("http/path", tests, NULL, NULL);
}
