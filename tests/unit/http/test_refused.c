/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that must be refused, each for its reason, however they are cut. Most are ways in which
 * a proxy and an origin could come to see different messages in the same bytes.
 */
#include "config.h"

#include "tests/unit/http/message.h"

#define LINE      "GET /a HTTP/1.1\r\n"
#define HOST      "Host: a.test\r\n"
#define NINE      "A: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\nA: 5\r\nA: 6\r\nA: 7\r\nA: 8\r\nA: 9\r\n"
#define TEN       NINE "B: 0\r\n"
#define OPTIONS8  "a,a,a,a,a,a,a,a"
#define OPTIONS32 OPTIONS8 "," OPTIONS8 "," OPTIONS8 "," OPTIONS8

REFUSED(method_of_no_characters_is_refused, METHOD, " /a HTTP/1.1\r\n" HOST "\r\n")
REFUSED(method_with_at_sign_is_refused, METHOD, "G@T /a HTTP/1.1\r\n" HOST "\r\n")
REFUSED(method_with_colon_is_refused, METHOD, "GET: /a HTTP/1.1\r\n" HOST "\r\n")
REFUSED(method_with_nul_is_refused, METHOD, "G\0T /a HTTP/1.1\r\n" HOST "\r\n")
REFUSED(method_and_nothing_else_is_refused, METHOD, "GET\r\n\r\n")
REFUSED(method_that_is_too_long_is_refused, METHOD_LONG,
        "ABCDEFGHIJABCDEFGHIJABCDEFGHIJABC /a HTTP/1.1\r\n" HOST "\r\n")
REFUSED(tls_hello_is_refused, METHOD, "\x16\x03\x01\0/\x01")
REFUSED(second_empty_line_before_the_request_is_refused, METHOD, "\r\n\r\n" LINE HOST "\r\n")
REFUSED(lf_before_the_request_is_refused, METHOD, "\n" LINE HOST "\r\n")
REFUSED(bare_cr_before_the_request_is_refused, BARE_CR, "\rGET /a HTTP/1.1\r\n" HOST "\r\n")
REFUSED(two_spaces_before_the_target_is_refused, TARGET, "GET  /a HTTP/1.1\r\n" HOST "\r\n")
REFUSED(tab_before_the_target_is_refused, METHOD, "GET\t/a HTTP/1.1\r\n" HOST "\r\n")
REFUSED(two_spaces_after_the_target_is_refused, VERSION, "GET /a  HTTP/1.1\r\n" HOST "\r\n")
REFUSED(space_in_the_target_is_refused, VERSION, "GET /a b HTTP/1.1\r\n" HOST "\r\n")
REFUSED(version_twice_is_refused, VERSION, "GET /a HTTP/1.1 HTTP/1.1\r\n" HOST "\r\n")
REFUSED(control_character_in_the_target_is_refused, TARGET, "GET /a\001b HTTP/1.1\r\n" HOST "\r\n")
REFUSED(vertical_tab_for_a_space_is_refused, TARGET, "GET /a\vHTTP/1.1\r\n" HOST "\r\n")
REFUSED(del_in_the_target_is_refused, TARGET, "GET /a\177b HTTP/1.1\r\n" HOST "\r\n")
REFUSED(obs_text_in_the_target_is_refused, TARGET, "GET /caf\xe9 HTTP/1.1\r\n" HOST "\r\n")
REFUSED(fragment_is_refused, TARGET_FRAGMENT, "GET /a#f HTTP/1.1\r\n" HOST "\r\n")
REFUSED(target_without_a_slash_is_refused, TARGET_FORM, "GET a HTTP/1.1\r\n" HOST "\r\n")
REFUSED(asterisk_with_get_is_refused, TARGET_FORM, "GET * HTTP/1.1\r\n" HOST "\r\n")
REFUSED(asterisk_and_more_is_refused, TARGET_FORM, "OPTIONS *a HTTP/1.1\r\n" HOST "\r\n")
REFUSED(ftp_target_is_refused, TARGET_SCHEME, "GET ftp://a.test/ HTTP/1.1\r\n" HOST "\r\n")
REFUSED(user_information_in_the_target_is_refused, TARGET_USERINFO,
        "GET http://u:p@a.test/ HTTP/1.1\r\n" HOST "\r\n")
REFUSED(absolute_target_without_a_host_is_refused, TARGET, "GET http:///a HTTP/1.1\r\n" HOST "\r\n")
REFUSED(absolute_target_with_a_bad_port_is_refused, TARGET,
        "GET http://a.test:x/a HTTP/1.1\r\n" HOST "\r\n")
REFUSED(absolute_target_without_host_field_is_refused, HOST_MISSING,
        "GET http://a.test/a HTTP/1.1\r\n\r\n")
REFUSED(connect_to_a_path_is_refused, TARGET_FORM, "CONNECT /a HTTP/1.1\r\n" HOST "\r\n")
REFUSED(connect_without_a_port_is_refused, TARGET_FORM, "CONNECT a.test HTTP/1.1\r\n" HOST "\r\n")
REFUSED(connect_with_a_body_is_refused, CONNECT_CONTENT,
        "CONNECT a.test:1 HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n")
REFUSED(connect_with_a_chunked_body_is_refused, CONNECT_CONTENT,
        "CONNECT a.test:1 HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n")
REFUSED(http_0_9_is_refused, VERSION, "GET /a\r\n\r\n")
REFUSED(line_that_ends_after_the_target_and_lf_is_refused, VERSION, "GET /a\n\n")
REFUSED(version_2_0_is_refused, VERSION_UNSUPPORTED, "GET /a HTTP/2.0\r\n" HOST "\r\n")
REFUSED(http_2_preface_is_refused, VERSION_UNSUPPORTED, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
REFUSED(version_1_2_is_refused, VERSION_UNSUPPORTED, "GET /a HTTP/1.2\r\n" HOST "\r\n")
REFUSED(version_0_9_is_refused, VERSION_UNSUPPORTED, "GET /a HTTP/0.9\r\n" HOST "\r\n")
REFUSED(version_in_lower_case_is_refused, VERSION, "GET /a http/1.1\r\n" HOST "\r\n")
REFUSED(version_without_a_minor_number_is_refused, VERSION, "GET /a HTTP/1.\r\n" HOST "\r\n")
REFUSED(version_with_a_comma_is_refused, VERSION, "GET /a HTTP/1,1\r\n" HOST "\r\n")
REFUSED(version_with_a_long_major_number_is_refused, VERSION,
        "GET /a HTTP/4294967297.1\r\n" HOST "\r\n")
REFUSED(version_with_a_long_minor_number_is_refused, VERSION, "GET /a HTTP/1.10\r\n" HOST "\r\n")
REFUSED(version_of_another_name_is_refused, VERSION, "GET /a HTP/1.1\r\n" HOST "\r\n")
REFUSED(space_after_the_version_is_refused, VERSION, "GET /a HTTP/1.1 \r\n" HOST "\r\n")
REFUSED(request_line_that_ends_in_lf_is_refused, LINE_END, "GET /a HTTP/1.1\n" HOST "\r\n")
REFUSED(request_line_that_ends_in_cr_is_refused, BARE_CR, "GET /a HTTP/1.1\rHost: a.test\r\n\r\n")
REFUSED(field_line_that_ends_in_lf_is_refused, LINE_END, LINE "Host: a.test\n\r\n")
REFUSED(empty_line_that_is_lf_is_refused, LINE_END, LINE HOST "\n")
REFUSED(empty_line_that_is_cr_is_refused, BARE_CR, LINE HOST "\rX")
REFUSED(cr_in_a_value_is_refused, BARE_CR, LINE HOST "X-A: a\rX-B: 1\r\n\r\n")
REFUSED(cr_cr_lf_after_a_value_is_refused, BARE_CR, LINE HOST "X-A: a\r\r\n\r\n")
REFUSED(nul_in_a_value_is_refused, NUL, LINE HOST "X-A: a\0b\r\n\r\n")
REFUSED(control_character_in_a_value_is_refused, FIELD_VALUE, LINE HOST "X-A: a\001b\r\n\r\n")
REFUSED(del_in_a_value_is_refused, FIELD_VALUE, LINE HOST "X-A: a\177b\r\n\r\n")
REFUSED(control_character_far_into_a_value_is_refused, FIELD_VALUE,
        LINE HOST "X-A: 0123456789abcdef0123456789abcdef0123456789\037\r\n\r\n")
REFUSED(space_before_the_colon_is_refused, FIELD_SPACE, LINE HOST "X-A : b\r\n\r\n")
REFUSED(tab_before_the_colon_is_refused, FIELD_SPACE, LINE HOST "X-A\t: b\r\n\r\n")
REFUSED(space_inside_a_name_is_refused, FIELD_SPACE, LINE HOST "X A: b\r\n\r\n")
REFUSED(field_without_a_colon_is_refused, FIELD_NO_COLON, LINE HOST "X-A\r\n\r\n")
REFUSED(empty_name_is_refused, FIELD_NAME, LINE HOST ": b\r\n\r\n")
REFUSED(name_with_a_parenthesis_is_refused, FIELD_NAME, LINE HOST "X(A: b\r\n\r\n")
REFUSED(name_with_obs_text_is_refused, FIELD_NAME, LINE HOST "X\xe9: b\r\n\r\n")
REFUSED(nul_in_a_name_is_refused, NUL, LINE HOST "Content-Length\0: 4\r\n\r\n")
REFUSED(vertical_tab_in_a_name_is_refused, FIELD_NAME, LINE HOST "\vContent-Length: 4\r\n\r\n")
REFUSED(folded_value_is_refused, FOLD, LINE HOST "X-A: 1\r\n 2\r\n\r\n")
REFUSED(value_folded_with_tab_is_refused, FOLD, LINE HOST "Content-Length: 1\r\n\t0\r\n\r\n")
REFUSED(indented_first_field_is_refused, FOLD, LINE " Host: a.test\r\n" HOST "\r\n")
REFUSED(missing_host_is_refused, HOST_MISSING, LINE "X-A: 1\r\n\r\n")
REFUSED(two_hosts_is_refused, HOST_REPEATED, LINE HOST HOST "\r\n")
REFUSED(two_hosts_in_1_0_is_refused, HOST_REPEATED,
        "GET /a HTTP/1.0\r\n" HOST "hOST: b.test\r\n\r\n")
REFUSED(empty_host_is_refused, HOST, LINE "Host:\r\n\r\n")
REFUSED(bad_host_beside_an_absolute_target_is_refused, HOST,
        "GET http://a.test/ HTTP/1.1\r\nHost: u@a.test\r\n\r\n")
REFUSED(host_list_is_refused, HOST, LINE "Host: a.test,b.test\r\n\r\n")
REFUSED(length_with_a_plus_is_refused, LENGTH, LINE HOST "Content-Length: +5\r\n\r\n")
REFUSED(length_with_a_minus_is_refused, LENGTH, LINE HOST "Content-Length: -5\r\n\r\n")
REFUSED(length_in_hex_is_refused, LENGTH, LINE HOST "Content-Length: 0x5\r\n\r\n")
REFUSED(length_with_a_fraction_is_refused, LENGTH, LINE HOST "Content-Length: 5.0\r\n\r\n")
REFUSED(length_with_a_space_is_refused, LENGTH, LINE HOST "Content-Length: 5 5\r\n\r\n")
REFUSED(length_of_nothing_is_refused, LENGTH, LINE HOST "Content-Length:\r\n\r\n")
REFUSED(length_list_is_refused, LENGTH, LINE HOST "Content-Length: 5, 5\r\n\r\n")
REFUSED(length_of_two_to_the_63_is_refused, LENGTH,
        LINE HOST "Content-Length: 9223372036854775808\r\n\r\n")
REFUSED(length_that_wraps_is_refused, LENGTH,
        LINE HOST "Content-Length: 18446744073709551621\r\n\r\n")
REFUSED(two_lengths_is_refused, LENGTH_REPEATED,
        LINE HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n")
REFUSED(length_and_coding_is_refused, LENGTH_AND_CODING,
        LINE HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")
REFUSED(coding_and_length_is_refused, LENGTH_AND_CODING,
        LINE HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n")
REFUSED(coding_of_nothing_is_refused, CODING, LINE HOST "Transfer-Encoding:\r\n\r\n")
REFUSED(coding_of_commas_is_refused, CODING, LINE HOST "Transfer-Encoding: ,,\r\n\r\n")
REFUSED(unknown_coding_is_refused, CODING, LINE HOST "Transfer-Encoding: foo\r\n\r\n")
REFUSED(identity_is_refused, CODING, LINE HOST "Transfer-Encoding: identity\r\n\r\n")
REFUSED(chunked_twice_is_refused, CODING, LINE HOST "Transfer-Encoding: chunked, chunked\r\n\r\n")
REFUSED(chunked_in_two_fields_is_refused, CODING,
        LINE HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n")
REFUSED(chunked_before_another_is_refused, CODING,
        LINE HOST "Transfer-Encoding: chunked, gzip\r\n\r\n")
REFUSED(chunked_with_a_vertical_tab_is_refused, FIELD_VALUE,
        LINE HOST "Transfer-Encoding: \vchunked\r\n\r\n")
REFUSED(chunked_with_a_hard_space_is_refused, CODING,
        LINE HOST "Transfer-Encoding: \xa0"
                  "chunked\r\n\r\n")
REFUSED(chunked_with_a_parameter_is_refused, CODING,
        LINE HOST "Transfer-Encoding: chunked;\r\n\r\n")
REFUSED(chunked_in_quotes_is_refused, CODING, LINE HOST "Transfer-Encoding: \"chunked\"\r\n\r\n")
REFUSED(another_coding_before_chunked_is_refused, CODING_UNSUPPORTED,
        LINE HOST "Transfer-Encoding: gzip;q=1, chunked\r\n\r\n")
REFUSED(another_coding_in_a_field_before_chunked_is_refused, CODING_UNSUPPORTED,
        LINE HOST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
REFUSED(coding_in_1_0_is_refused, CODING_VERSION,
        "POST /a HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n")
REFUSED(coding_with_two_colons_is_refused, CODING, LINE HOST "Transfer-Encoding:: chunked\r\n\r\n")
REFUSED(connection_option_that_is_no_token_is_refused, CONNECTION,
        LINE HOST "Connection: a b\r\n\r\n")
REFUSED(expectation_we_do_not_know_is_refused, EXPECTATION,
        LINE HOST "Expect: y 100-continue\r\nContent-Length: 1\r\n\r\n")
REFUSED(expectation_twice_is_refused, EXPECTATION,
        LINE HOST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n")

static void expect_refused_within(weir_http_limits limits, weir_http_error error, const char *text)
{
    struct how how = {0};

    how.limits = limits;
    expect_refused(&how, error, text, strlen(text));
}

static void expect_accepted_within(weir_http_limits limits, const char *text)
{
    struct how how = {0};
    struct parsed parsed;

    how.limits = limits;
    parse_all_ways(&parsed, &how, text, strlen(text));
    assert_int_equal(parsed.result, WEIR_HTTP_DONE);
    parsed_done(&parsed);
}

static void a_request_line_has_a_limit(void **state)
{
    (void)state;
    expect_accepted_within((weir_http_limits){.line = 17}, LINE HOST "\r\n");
    expect_refused_within((weir_http_limits){.line = 16}, WEIR_HTTP_BAD_LINE_LONG,
                          LINE HOST "\r\n");
    expect_refused_within((weir_http_limits){.line = 5}, WEIR_HTTP_BAD_LINE_LONG,
                          "GET /aaaaaaaaaaaaaaaa");
}

static void a_head_has_a_limit(void **state)
{
    (void)state;
    expect_accepted_within((weir_http_limits){.head = 33}, LINE HOST "\r\n");
    expect_refused_within((weir_http_limits){.head = 32}, WEIR_HTTP_BAD_HEAD_LARGE,
                          LINE HOST "\r\n");
    expect_refused_within((weir_http_limits){.head = 32}, WEIR_HTTP_BAD_HEAD_LARGE,
                          LINE HOST "X: 1234567");
}

static void fields_have_a_limit(void **state)
{
    (void)state;
    expect_accepted_within((weir_http_limits){0}, LINE HOST TEN NINE "\r\n");
    expect_refused_within((weir_http_limits){0}, WEIR_HTTP_BAD_FIELDS_MANY,
                          LINE HOST TEN TEN "\r\n");
}

static void nominations_have_a_limit(void **state)
{
    (void)state;
    expect_accepted_within((weir_http_limits){0}, LINE HOST "Connection: " OPTIONS32 "\r\n\r\n");
    expect_refused_within((weir_http_limits){0}, WEIR_HTTP_BAD_CONNECTION,
                          LINE HOST "Connection: " OPTIONS32 ",b\r\n\r\n");
}

static void a_refused_head_stays_refused(void **state)
{
    const struct how how = {0};
    struct parsed p;

    (void)state;
    parse(&p, &how, WHOLE, "@", 1);

    assert_int_equal(p.result, WEIR_HTTP_BAD);
    assert_int_equal(weir_http_parse_request(&p.head, weir_slice_str("GET / HTTP/1.0\r\n\r\n")),
                     WEIR_HTTP_BAD);
    parsed_done(&p);
}

static void fewer_bytes_than_before_are_an_error(void **state)
{
    const struct how how = {0};
    struct parsed p;

    (void)state;
    parse(&p, &how, WHOLE, "GET /a", 6);

    assert_int_equal(weir_http_parse_request(&p.head, weir_slice_of(p.bytes, 3)), WEIR_HTTP_BAD);
    assert_int_equal(p.head.error, WEIR_HTTP_BAD_CUT_SHORT);
    parsed_done(&p);
}

static void every_error_has_a_status_and_a_text(void **state)
{
    (void)state;
    for (int i = 1; i < WEIR_HTTP_ERROR_COUNT; i++) {
        assert_in_range(weir_http_error_status((weir_http_error)i), 400, 599);
        assert_true(strlen(weir_http_error_text((weir_http_error)i)) > 5);
    }
    assert_int_equal(weir_http_error_status(WEIR_HTTP_BAD_LINE_LONG), 414);
    assert_int_equal(weir_http_error_status(WEIR_HTTP_BAD_HEAD_LARGE), 431);
    assert_int_equal(weir_http_error_status(WEIR_HTTP_BAD_VERSION_UNSUPPORTED), 505);
    assert_int_equal(weir_http_error_status(WEIR_HTTP_BAD_CODING_UNSUPPORTED), 501);
    assert_int_equal(weir_http_error_status(WEIR_HTTP_BAD_EXPECTATION), 417);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(method_of_no_characters_is_refused),
    cmocka_unit_test(method_with_at_sign_is_refused),
    cmocka_unit_test(method_with_colon_is_refused),
    cmocka_unit_test(method_with_nul_is_refused),
    cmocka_unit_test(method_and_nothing_else_is_refused),
    cmocka_unit_test(method_that_is_too_long_is_refused),
    cmocka_unit_test(tls_hello_is_refused),
    cmocka_unit_test(second_empty_line_before_the_request_is_refused),
    cmocka_unit_test(lf_before_the_request_is_refused),
    cmocka_unit_test(bare_cr_before_the_request_is_refused),
    cmocka_unit_test(two_spaces_before_the_target_is_refused),
    cmocka_unit_test(tab_before_the_target_is_refused),
    cmocka_unit_test(two_spaces_after_the_target_is_refused),
    cmocka_unit_test(space_in_the_target_is_refused),
    cmocka_unit_test(version_twice_is_refused),
    cmocka_unit_test(control_character_in_the_target_is_refused),
    cmocka_unit_test(vertical_tab_for_a_space_is_refused),
    cmocka_unit_test(del_in_the_target_is_refused),
    cmocka_unit_test(obs_text_in_the_target_is_refused),
    cmocka_unit_test(fragment_is_refused),
    cmocka_unit_test(target_without_a_slash_is_refused),
    cmocka_unit_test(asterisk_with_get_is_refused),
    cmocka_unit_test(asterisk_and_more_is_refused),
    cmocka_unit_test(ftp_target_is_refused),
    cmocka_unit_test(user_information_in_the_target_is_refused),
    cmocka_unit_test(absolute_target_without_a_host_is_refused),
    cmocka_unit_test(absolute_target_with_a_bad_port_is_refused),
    cmocka_unit_test(absolute_target_without_host_field_is_refused),
    cmocka_unit_test(connect_to_a_path_is_refused),
    cmocka_unit_test(connect_without_a_port_is_refused),
    cmocka_unit_test(connect_with_a_body_is_refused),
    cmocka_unit_test(connect_with_a_chunked_body_is_refused),
    cmocka_unit_test(http_0_9_is_refused),
    cmocka_unit_test(line_that_ends_after_the_target_and_lf_is_refused),
    cmocka_unit_test(version_2_0_is_refused),
    cmocka_unit_test(http_2_preface_is_refused),
    cmocka_unit_test(version_1_2_is_refused),
    cmocka_unit_test(version_0_9_is_refused),
    cmocka_unit_test(version_in_lower_case_is_refused),
    cmocka_unit_test(version_without_a_minor_number_is_refused),
    cmocka_unit_test(version_with_a_comma_is_refused),
    cmocka_unit_test(version_with_a_long_major_number_is_refused),
    cmocka_unit_test(version_with_a_long_minor_number_is_refused),
    cmocka_unit_test(version_of_another_name_is_refused),
    cmocka_unit_test(space_after_the_version_is_refused),
    cmocka_unit_test(request_line_that_ends_in_lf_is_refused),
    cmocka_unit_test(request_line_that_ends_in_cr_is_refused),
    cmocka_unit_test(field_line_that_ends_in_lf_is_refused),
    cmocka_unit_test(empty_line_that_is_lf_is_refused),
    cmocka_unit_test(empty_line_that_is_cr_is_refused),
    cmocka_unit_test(cr_in_a_value_is_refused),
    cmocka_unit_test(cr_cr_lf_after_a_value_is_refused),
    cmocka_unit_test(nul_in_a_value_is_refused),
    cmocka_unit_test(control_character_in_a_value_is_refused),
    cmocka_unit_test(del_in_a_value_is_refused),
    cmocka_unit_test(control_character_far_into_a_value_is_refused),
    cmocka_unit_test(space_before_the_colon_is_refused),
    cmocka_unit_test(tab_before_the_colon_is_refused),
    cmocka_unit_test(space_inside_a_name_is_refused),
    cmocka_unit_test(field_without_a_colon_is_refused),
    cmocka_unit_test(empty_name_is_refused),
    cmocka_unit_test(name_with_a_parenthesis_is_refused),
    cmocka_unit_test(name_with_obs_text_is_refused),
    cmocka_unit_test(nul_in_a_name_is_refused),
    cmocka_unit_test(vertical_tab_in_a_name_is_refused),
    cmocka_unit_test(folded_value_is_refused),
    cmocka_unit_test(value_folded_with_tab_is_refused),
    cmocka_unit_test(indented_first_field_is_refused),
    cmocka_unit_test(missing_host_is_refused),
    cmocka_unit_test(two_hosts_is_refused),
    cmocka_unit_test(two_hosts_in_1_0_is_refused),
    cmocka_unit_test(empty_host_is_refused),
    cmocka_unit_test(bad_host_beside_an_absolute_target_is_refused),
    cmocka_unit_test(host_list_is_refused),
    cmocka_unit_test(length_with_a_plus_is_refused),
    cmocka_unit_test(length_with_a_minus_is_refused),
    cmocka_unit_test(length_in_hex_is_refused),
    cmocka_unit_test(length_with_a_fraction_is_refused),
    cmocka_unit_test(length_with_a_space_is_refused),
    cmocka_unit_test(length_of_nothing_is_refused),
    cmocka_unit_test(length_list_is_refused),
    cmocka_unit_test(length_of_two_to_the_63_is_refused),
    cmocka_unit_test(length_that_wraps_is_refused),
    cmocka_unit_test(two_lengths_is_refused),
    cmocka_unit_test(length_and_coding_is_refused),
    cmocka_unit_test(coding_and_length_is_refused),
    cmocka_unit_test(coding_of_nothing_is_refused),
    cmocka_unit_test(coding_of_commas_is_refused),
    cmocka_unit_test(unknown_coding_is_refused),
    cmocka_unit_test(identity_is_refused),
    cmocka_unit_test(chunked_twice_is_refused),
    cmocka_unit_test(chunked_in_two_fields_is_refused),
    cmocka_unit_test(chunked_before_another_is_refused),
    cmocka_unit_test(chunked_with_a_vertical_tab_is_refused),
    cmocka_unit_test(chunked_with_a_hard_space_is_refused),
    cmocka_unit_test(chunked_with_a_parameter_is_refused),
    cmocka_unit_test(chunked_in_quotes_is_refused),
    cmocka_unit_test(another_coding_before_chunked_is_refused),
    cmocka_unit_test(another_coding_in_a_field_before_chunked_is_refused),
    cmocka_unit_test(coding_in_1_0_is_refused),
    cmocka_unit_test(coding_with_two_colons_is_refused),
    cmocka_unit_test(connection_option_that_is_no_token_is_refused),
    cmocka_unit_test(expectation_we_do_not_know_is_refused),
    cmocka_unit_test(expectation_twice_is_refused),
    cmocka_unit_test(a_request_line_has_a_limit),
    cmocka_unit_test(a_head_has_a_limit),
    cmocka_unit_test(fields_have_a_limit),
    cmocka_unit_test(nominations_have_a_limit),
    cmocka_unit_test(a_refused_head_stays_refused),
    cmocka_unit_test(fewer_bytes_than_before_are_an_error),
    cmocka_unit_test(every_error_has_a_status_and_a_text),
};

int main(void)
{
    return cmocka_run_group_tests_name("http/refused", tests, NULL, NULL);
}
