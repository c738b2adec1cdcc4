/* SPDX-License-Identifier: Apache-2.0 */
/* Response heads: how the body is delimited given the request, and what is not a response. */
#include "config.h"

#include "tests/unit/http/message.h"

#define OK "HTTP/1.1 200 OK\r\n"

static void accept_after(struct parsed *parsed, weir_http_method method, const char *text)
{
    struct how how = {.response = true};

    how.request_method = method;
    parse_all_ways(parsed, &how, text, strlen(text));
    assert_string_equal(weir_http_error_name(parsed->head.error), "NONE");
    assert_int_equal(parsed->result, WEIR_HTTP_DONE);
}

static void expect_framing(weir_http_method method, const char *text, weir_http_framing framing,
                           bool keep_alive)
{
    struct parsed p;

    accept_after(&p, method, text);
    assert_int_equal(p.head.framing, framing);
    assert_int_equal(p.head.keep_alive, keep_alive);
    parsed_done(&p);
}

#define BAD_RESPONSE(claim, reason, text)                                     \
    static void claim##_is_refused(void **state)                              \
    {                                                                         \
        struct how how = {.response = true};                                  \
                                                                              \
        (void)state;                                                          \
        how.request_method = WEIR_HTTP_GET;                                   \
        expect_refused(&how, WEIR_HTTP_BAD_##reason, text, sizeof(text) - 1); \
    }

static void a_status_line_is_understood(void **state)
{
    struct parsed p;

    (void)state;
    accept_after(&p, WEIR_HTTP_GET, "HTTP/1.1 404 Not \xe9here\r\nContent-Length: 2\r\n\r\nok");

    assert_int_equal(p.head.status, 404);
    assert_slice(p.head.reason, "Not \xe9here");
    assert_int_equal(p.head.framing, WEIR_HTTP_LENGTH);
    assert_int_equal(p.head.content_length, 2);
    assert_int_equal(p.head.length,
                     strlen("HTTP/1.1 404 Not \xe9here\r\nContent-Length: 2\r\n\r\n"));
    parsed_done(&p);
}

static void a_reason_may_be_empty_or_missing(void **state)
{
    struct parsed empty, missing;

    (void)state;
    accept_after(&empty, WEIR_HTTP_GET, "HTTP/1.1 200 \r\n\r\n");
    accept_after(&missing, WEIR_HTTP_GET, "HTTP/1.0 999\r\n\r\n");

    assert_slice(empty.head.reason, "");
    assert_int_equal(missing.head.status, 999);
    parsed_done(&empty);
    parsed_done(&missing);
}

static void length_chunked_and_close_frame_a_response(void **state)
{
    (void)state;
    expect_framing(WEIR_HTTP_GET, OK "Content-Length: 0\r\n\r\n", WEIR_HTTP_LENGTH, true);
    expect_framing(WEIR_HTTP_GET, OK "Transfer-Encoding: chunked\r\n\r\n", WEIR_HTTP_CHUNKED, true);
    expect_framing(WEIR_HTTP_GET, OK "\r\n", WEIR_HTTP_UNTIL_CLOSE, false);
}

static void connection_decides_what_follows(void **state)
{
    (void)state;
    expect_framing(WEIR_HTTP_GET, OK "Connection: close\r\nContent-Length: 1\r\n\r\n",
                   WEIR_HTTP_LENGTH, false);
    expect_framing(WEIR_HTTP_GET, "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", WEIR_HTTP_LENGTH,
                   false);
    expect_framing(WEIR_HTTP_GET,
                   "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n",
                   WEIR_HTTP_LENGTH, true);
}

static void a_response_to_head_has_no_body_but_may_say_its_length(void **state)
{
    struct parsed p;

    (void)state;
    accept_after(&p, WEIR_HTTP_HEAD, OK "Content-Length: 5\r\n\r\n");

    assert_int_equal(p.head.framing, WEIR_HTTP_NO_BODY);
    assert_true(p.head.has_content_length);
    assert_int_equal(p.head.content_length, 5);
    assert_true(p.head.keep_alive);
    parsed_done(&p);
    expect_framing(WEIR_HTTP_HEAD, OK "Transfer-Encoding: chunked\r\n\r\n", WEIR_HTTP_NO_BODY,
                   true);
    expect_framing(WEIR_HTTP_HEAD, OK "\r\n", WEIR_HTTP_NO_BODY, true);
}

static void some_statuses_have_no_body(void **state)
{
    (void)state;
    expect_framing(WEIR_HTTP_GET, "HTTP/1.1 100 Continue\r\n\r\n", WEIR_HTTP_NO_BODY, true);
    expect_framing(WEIR_HTTP_GET, "HTTP/1.1 204 None\r\n\r\n", WEIR_HTTP_NO_BODY, true);
    expect_framing(WEIR_HTTP_GET, "HTTP/1.1 204 None\r\nContent-Length: 0\r\n\r\n",
                   WEIR_HTTP_NO_BODY, true);
    expect_framing(WEIR_HTTP_GET, "HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n",
                   WEIR_HTTP_NO_BODY, true);
}

static void a_204_that_announces_a_body_spoils_its_connection(void **state)
{
    (void)state;
    expect_framing(WEIR_HTTP_GET, "HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\n",
                   WEIR_HTTP_NO_BODY, false);
    expect_framing(WEIR_HTTP_GET, "HTTP/1.1 204 None\r\nTransfer-Encoding: chunked\r\n\r\n",
                   WEIR_HTTP_NO_BODY, false);
}

static void a_successful_connect_is_a_tunnel_and_a_refused_one_is_not(void **state)
{
    (void)state;
    expect_framing(WEIR_HTTP_CONNECT, OK "\r\n", WEIR_HTTP_TUNNEL, false);
    expect_framing(WEIR_HTTP_CONNECT, OK "Content-Length: 5\r\n\r\n", WEIR_HTTP_TUNNEL, false);
    expect_framing(WEIR_HTTP_CONNECT, "HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\n",
                   WEIR_HTTP_LENGTH, true);
}

static void a_101_is_a_tunnel_only_when_asked_for(void **state)
{
    static const char text[] =
        "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    const struct how asked = {.response = true, .request_upgrades = true};
    const struct how unasked = {.response = true};
    struct parsed p;

    (void)state;
    parse_all_ways(&p, &asked, text, strlen(text));
    assert_int_equal(p.result, WEIR_HTTP_DONE);
    assert_int_equal(p.head.framing, WEIR_HTTP_TUNNEL);
    assert_slice(p.head.upgrade, "websocket");
    parsed_done(&p);
    expect_refused(&unasked, WEIR_HTTP_BAD_SWITCH_UNASKED, text, strlen(text));
    expect_refused(&asked, WEIR_HTTP_BAD_SWITCH_UNASKED, "HTTP/1.1 101 Go\r\n\r\n", 19);
}

BAD_RESPONSE(text, STATUS_LINE, "just text\n")
BAD_RESPONSE(http_2, STATUS_LINE, "HTTP/2.0 200 OK\r\n\r\n")
BAD_RESPONSE(http_1_2, STATUS_LINE, "HTTP/1.2 200 OK\r\n\r\n")
BAD_RESPONSE(lower_case_version, STATUS_LINE, "http/1.1 200 OK\r\n\r\n")
BAD_RESPONSE(version_without_numbers, STATUS_LINE, "HTTP/x.y 200 OK\r\n\r\n")
BAD_RESPONSE(empty_line_before_a_response, STATUS_LINE, "\r\n" OK "\r\n")
BAD_RESPONSE(status_of_four_digits, STATUS_LINE, "HTTP/1.1 2000 OK\r\n\r\n")
BAD_RESPONSE(status_of_two_digits, STATUS_LINE, "HTTP/1.1 20 OK\r\n\r\n")
BAD_RESPONSE(status_of_letters, STATUS_LINE, "HTTP/1.1 2xx OK\r\n\r\n")
BAD_RESPONSE(status_below_100, STATUS_LINE, "HTTP/1.1 099 OK\r\n\r\n")
BAD_RESPONSE(two_spaces_before_the_status, STATUS_LINE, "HTTP/1.1  200 OK\r\n\r\n")
BAD_RESPONSE(control_character_in_the_reason, STATUS_LINE, "HTTP/1.1 200 O\001K\r\n\r\n")
BAD_RESPONSE(nul_in_the_reason, NUL, "HTTP/1.1 200 O\0K\r\n\r\n")
BAD_RESPONSE(status_line_that_ends_in_lf, LINE_END, "HTTP/1.1 200 OK\n\r\n")
BAD_RESPONSE(status_line_that_ends_in_cr, BARE_CR, "HTTP/1.1 200 OK\rX: 1\r\n\r\n")
BAD_RESPONSE(space_before_a_colon, FIELD_SPACE, OK "Transfer-Encoding : chunked\r\n\r\n")
BAD_RESPONSE(folded_field, FOLD, OK "X-A: 1\r\n 2\r\n\r\n")
BAD_RESPONSE(length_and_coding, LENGTH_AND_CODING,
             OK "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n")
BAD_RESPONSE(unknown_coding, CODING, OK "Transfer-Encoding: foo\r\n\r\n")
BAD_RESPONSE(chunked_twice, CODING,
             OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n")
BAD_RESPONSE(coding_in_1_0, CODING_VERSION, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
BAD_RESPONSE(length_with_a_plus, LENGTH, OK "Content-Length: +2\r\n\r\n")
BAD_RESPONSE(length_list, LENGTH, OK "Content-Length: 2, 3\r\n\r\n")
BAD_RESPONSE(two_lengths, LENGTH_REPEATED, OK "Content-Length: 2\r\nContent-Length: 2\r\n\r\n")
BAD_RESPONSE(bad_length_of_a_304, LENGTH, "HTTP/1.1 304 Same\r\nContent-Length: x\r\n\r\n")
BAD_RESPONSE(interim_response_with_a_body, LENGTH, "HTTP/1.1 100 Go\r\nContent-Length: 5\r\n\r\n")
BAD_RESPONSE(interim_response_with_a_coding, CODING,
             "HTTP/1.1 103 Hints\r\nTransfer-Encoding: chunked\r\n\r\n")

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_status_line_is_understood),
        cmocka_unit_test(a_reason_may_be_empty_or_missing),
        cmocka_unit_test(length_chunked_and_close_frame_a_response),
        cmocka_unit_test(connection_decides_what_follows),
        cmocka_unit_test(a_response_to_head_has_no_body_but_may_say_its_length),
        cmocka_unit_test(some_statuses_have_no_body),
        cmocka_unit_test(a_204_that_announces_a_body_spoils_its_connection),
        cmocka_unit_test(a_successful_connect_is_a_tunnel_and_a_refused_one_is_not),
        cmocka_unit_test(a_101_is_a_tunnel_only_when_asked_for),
        cmocka_unit_test(text_is_refused),
        cmocka_unit_test(http_2_is_refused),
        cmocka_unit_test(http_1_2_is_refused),
        cmocka_unit_test(lower_case_version_is_refused),
        cmocka_unit_test(version_without_numbers_is_refused),
        cmocka_unit_test(empty_line_before_a_response_is_refused),
        cmocka_unit_test(status_of_four_digits_is_refused),
        cmocka_unit_test(status_of_two_digits_is_refused),
        cmocka_unit_test(status_of_letters_is_refused),
        cmocka_unit_test(status_below_100_is_refused),
        cmocka_unit_test(two_spaces_before_the_status_is_refused),
        cmocka_unit_test(control_character_in_the_reason_is_refused),
        cmocka_unit_test(nul_in_the_reason_is_refused),
        cmocka_unit_test(status_line_that_ends_in_lf_is_refused),
        cmocka_unit_test(status_line_that_ends_in_cr_is_refused),
        cmocka_unit_test(space_before_a_colon_is_refused),
        cmocka_unit_test(folded_field_is_refused),
        cmocka_unit_test(length_and_coding_is_refused),
        cmocka_unit_test(unknown_coding_is_refused),
        cmocka_unit_test(chunked_twice_is_refused),
        cmocka_unit_test(coding_in_1_0_is_refused),
        cmocka_unit_test(length_with_a_plus_is_refused),
        cmocka_unit_test(length_list_is_refused),
        cmocka_unit_test(two_lengths_is_refused),
        cmocka_unit_test(bad_length_of_a_304_is_refused),
        cmocka_unit_test(interim_response_with_a_body_is_refused),
        cmocka_unit_test(interim_response_with_a_coding_is_refused),
    };

    return cmocka_run_group_tests_name("http/response", tests, NULL, NULL);
}
