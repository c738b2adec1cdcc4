/* SPDX-License-Identifier: Apache-2.0 */
/* Request heads: what is accepted and what it is taken to mean. Refusals: test_refused.c. */
#include "config.h"

#include "tests/unit/http/message.h"

#define LINE "GET /a HTTP/1.1\r\n"
#define HOST "Host: a.test\r\n"

static void accept_request(struct parsed *parsed, const char *text)
{
    const struct how how = {0};

    parse_all_ways(parsed, &how, text, strlen(text));
    assert_string_equal(weir_http_error_name(parsed->head.error), "NONE");
    assert_int_equal(parsed->result, WEIR_HTTP_DONE);
}

static void a_plain_get_is_understood(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, "GET /a/b?x=1&y=? HTTP/1.1\r\nHost: a.test:80\r\nX-A:1\r\n\r\n");

    assert_int_equal(p.head.method, WEIR_HTTP_GET);
    assert_slice(p.head.target, "/a/b?x=1&y=?");
    assert_int_equal(p.head.form, WEIR_HTTP_ORIGIN_FORM);
    assert_slice(p.head.path, "/a/b");
    assert_true(p.head.has_query);
    assert_slice(p.head.query, "x=1&y=?");
    assert_slice(p.head.host, "a.test:80");
    assert_int_equal(p.head.minor_version, 1);
    assert_int_equal(p.head.framing, WEIR_HTTP_NO_BODY);
    assert_true(p.head.keep_alive);
    assert_int_equal(p.head.field_count, 2);
    parsed_done(&p);
}

static void the_length_excludes_what_follows_the_head(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, LINE HOST "\r\nGET /next HTTP/1.1\r\n");

    assert_int_equal(p.head.length, strlen(LINE HOST "\r\n"));
    assert_int_equal(p.head.fields_begin, strlen(LINE));
    parsed_done(&p);
}

static void one_empty_line_before_a_request_is_skipped(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, "\r\n" LINE HOST "\r\n");

    assert_slice(p.head.method_text, "GET");
    assert_int_equal(p.head.length, strlen("\r\n" LINE HOST "\r\n"));
    parsed_done(&p);
}

static void an_unknown_method_is_other_and_keeps_its_text(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, "get /a HTTP/1.1\r\n" HOST "\r\n");

    assert_int_equal(p.head.method, WEIR_HTTP_OTHER);
    assert_slice(p.head.method_text, "get");
    parsed_done(&p);
}

static void white_space_around_a_value_is_not_part_of_it(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, LINE HOST "X-A: \t a \tb \t\r\nX-B:\r\nX-C: \r\nX-D: d\r\n\r\n");

    assert_slice(weir_http_field_value(&p.fields[1]), "a \tb");
    assert_int_equal(p.fields[1].flags, 0);
    assert_slice(weir_http_field_value(&p.fields[2]), "");
    assert_int_equal(p.fields[2].flags, 0);
    assert_slice(weir_http_field_value(&p.fields[3]), "");
    assert_int_equal(p.fields[3].flags, WEIR_HTTP_FIELD_PLAIN);
    assert_slice(weir_http_field_run(&p.fields[3], &p.fields[4]), "X-C: \r\nX-D: d\r\n");
    parsed_done(&p);
}

static void obs_text_and_every_token_character_are_allowed(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, LINE HOST "X!#$%&'*+-.^_`|~9: caf\xe9\xff\x80\r\n\r\n");

    assert_slice(weir_http_field_name(&p.fields[1]), "X!#$%&'*+-.^_`|~9");
    assert_slice(weir_http_field_value(&p.fields[1]), "caf\xe9\xff\x80");
    parsed_done(&p);
}

static void known_fields_are_found_whatever_their_case(void **state)
{
    struct parsed p;
    const weir_http_field *range;

    (void)state;
    accept_request(&p,
                   LINE "X-A: 1\r\nhOsT: a.test\r\nrANGE: bytes=0-1\r\nRange: x\r\nx-a: 3\r\n\r\n");

    range = weir_http_head_field(&p.head, WEIR_HTTP_RANGE);
    assert_ptr_equal(range, &p.fields[2]);
    assert_ptr_equal(weir_http_head_next(&p.head, WEIR_HTTP_RANGE, range), &p.fields[3]);
    assert_null(weir_http_head_next(&p.head, WEIR_HTTP_RANGE, &p.fields[3]));
    assert_null(weir_http_head_field(&p.head, WEIR_HTTP_VIA));
    assert_null(weir_http_head_field(&p.head, WEIR_HTTP_UNKNOWN));
    assert_ptr_equal(weir_http_head_find(&p.head, WEIR_SLICE("X-a")), &p.fields[0]);
    assert_ptr_equal(weir_http_head_find(&p.head, WEIR_SLICE("HOST")), &p.fields[1]);
    assert_null(weir_http_head_find(&p.head, WEIR_SLICE("x-b")));
    parsed_done(&p);
}

static void an_absolute_target_replaces_the_host_field(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, "GET HTTP://Other.test:8080/a?b HTTP/1.1\r\n" HOST "\r\n");

    assert_int_equal(p.head.form, WEIR_HTTP_ABSOLUTE_FORM);
    assert_slice(p.head.host, "Other.test:8080");
    assert_slice(p.head.path, "/a");
    assert_slice(p.head.query, "b");
    parsed_done(&p);
}

static void an_absolute_target_without_a_path_means_the_root(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, "GET https://a.test?q=/ HTTP/1.1\r\n" HOST "\r\n");

    assert_slice(p.head.host, "a.test");
    assert_slice(p.head.path, "/");
    assert_slice(p.head.query, "q=/");
    parsed_done(&p);
}

static void options_of_an_absolute_target_without_a_path_asks_about_the_server(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, "OPTIONS http://a.test HTTP/1.1\r\n" HOST "\r\n");

    assert_slice(p.head.path, "*");
    parsed_done(&p);
}

static void options_asterisk_is_understood(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n");

    assert_int_equal(p.head.form, WEIR_HTTP_ASTERISK_FORM);
    assert_slice(p.head.path, "*");
    parsed_done(&p);
}

static void connect_names_an_authority(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n");

    assert_int_equal(p.head.form, WEIR_HTTP_AUTHORITY_FORM);
    assert_slice(p.head.host, "[2001:db8::1]:443");
    assert_int_equal(p.head.framing, WEIR_HTTP_NO_BODY);
    parsed_done(&p);
}

static void a_path_that_looks_like_a_host_is_a_path(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, "GET //evil.test/a HTTP/1.1\r\n" HOST "\r\n");

    assert_slice(p.head.path, "//evil.test/a");
    assert_slice(p.head.host, "a.test");
    parsed_done(&p);
}

static void content_length_frames_the_body(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, "POST /a HTTP/1.1\r\n" HOST "Content-Length:\t0042 \t\r\n\r\n");

    assert_int_equal(p.head.framing, WEIR_HTTP_LENGTH);
    assert_int_equal(p.head.content_length, 42);
    parsed_done(&p);
}

static void the_largest_length_is_two_to_the_63_less_one(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, "POST /a HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775807\r\n\r\n");

    assert_true(p.head.content_length == INT64_MAX);
    parsed_done(&p);
}

static void chunked_frames_the_body_in_any_case_of_letters(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, "POST /a HTTP/1.1\r\n" HOST "TRANSFER-ENCODING: \tcHuNkEd \t\r\n\r\n");

    assert_int_equal(p.head.framing, WEIR_HTTP_CHUNKED);
    parsed_done(&p);
}

static void connection_close_is_found_in_any_list(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, LINE HOST "Connection: foo,  ClOsE ,bar\r\n\r\n");

    assert_true(p.head.close_seen);
    assert_false(p.head.keep_alive);
    parsed_done(&p);
}

static void http_1_0_closes_unless_it_asks_to_keep_alive(void **state)
{
    struct parsed closes, keeps;

    (void)state;
    accept_request(&closes, "GET /a HTTP/1.0\r\n\r\n");
    accept_request(&keeps, "GET /a HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");

    assert_int_equal(closes.head.minor_version, 0);
    assert_false(closes.head.keep_alive);
    assert_null(closes.head.host.data);
    assert_true(keeps.head.keep_alive);
    parsed_done(&closes);
    parsed_done(&keeps);
}

static void hop_by_hop_fields_and_nominated_ones_are_marked(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, LINE HOST "Connection: x-secret, X-B\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nTE: "
                                 "gzip\r\nX-Keep: 2\r\nx-secret: 3\r\n\r\n");

    assert_int_equal(p.fields[0].flags & WEIR_HTTP_FIELD_HOP, 0);
    assert_int_equal(p.fields[1].flags & WEIR_HTTP_FIELD_HOP, WEIR_HTTP_FIELD_HOP);
    assert_int_equal(p.fields[2].flags & WEIR_HTTP_FIELD_HOP, WEIR_HTTP_FIELD_HOP);
    assert_int_equal(p.fields[3].flags & WEIR_HTTP_FIELD_HOP, WEIR_HTTP_FIELD_HOP);
    assert_int_equal(p.fields[4].flags & WEIR_HTTP_FIELD_HOP, WEIR_HTTP_FIELD_HOP);
    assert_int_equal(p.fields[5].flags & WEIR_HTTP_FIELD_HOP, 0);
    assert_int_equal(p.fields[6].flags & WEIR_HTTP_FIELD_HOP, WEIR_HTTP_FIELD_HOP);
    parsed_done(&p);
}

static void end_to_end_fields_cannot_be_nominated_away(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, LINE HOST "Connection: Host, Authorization\r\nAuthorization: x\r\n\r\n");

    assert_int_equal(p.fields[0].flags & WEIR_HTTP_FIELD_HOP, 0);
    assert_int_equal(p.fields[2].flags & WEIR_HTTP_FIELD_HOP, 0);
    parsed_done(&p);
}

static void an_upgrade_needs_both_the_option_and_the_field(void **state)
{
    struct parsed both, only_field, only_option, old;

    (void)state;
    accept_request(&both,
                   LINE HOST "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n");
    accept_request(&only_field, LINE HOST "Upgrade: websocket\r\n\r\n");
    accept_request(&only_option, LINE HOST "Connection: upgrade\r\n\r\n");
    accept_request(&old, "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");

    assert_true(both.head.upgrade_asked);
    assert_slice(both.head.upgrade, "websocket");
    assert_false(only_field.head.upgrade_asked);
    assert_false(only_option.head.upgrade_asked);
    assert_false(old.head.upgrade_asked);
    parsed_done(&both);
    parsed_done(&only_field);
    parsed_done(&only_option);
    parsed_done(&old);
}

static void expect_continue_counts_only_with_a_body_and_in_1_1(void **state)
{
    struct parsed asked, no_body, old;

    (void)state;
    accept_request(&asked, LINE HOST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n");
    accept_request(&no_body, LINE HOST "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n");
    accept_request(&old, "GET / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");

    assert_true(asked.head.expect_continue);
    assert_false(no_body.head.expect_continue);
    assert_false(old.head.expect_continue);
    parsed_done(&asked);
    parsed_done(&no_body);
    parsed_done(&old);
}

static void te_trailers_is_noticed(void **state)
{
    struct parsed p;

    (void)state;
    accept_request(&p, LINE HOST "TE: deflate, trailers\r\nConnection: TE\r\n\r\n");

    assert_true(p.head.te_trailers);
    parsed_done(&p);
}

static void every_beginning_of_a_request_waits_for_more(void **state)
{
    static const char text[] = LINE HOST "\r\n";
    const struct how how = {0};
    struct parsed p;

    (void)state;
    parse(&p, &how, WHOLE, "", 0);
    assert_int_equal(p.result, WEIR_HTTP_MORE);
    parsed_done(&p);
    for (size_t n = 1; n < sizeof(text) - 1; n++) {
        parse(&p, &how, WHOLE, text, n);
        assert_int_equal(p.result, WEIR_HTTP_MORE);
        parsed_done(&p);
    }
}

static void a_finished_head_stays_finished_and_can_be_moved(void **state)
{
    static const char text[] = "GET /a?b HTTP/1.1\r\n" HOST "\r\n";
    const struct how how = {0};
    struct parsed p;
    char *moved = malloc(sizeof(text));

    (void)state;
    assert_non_null(moved);
    memcpy(moved, text, sizeof(text));
    parse(&p, &how, WHOLE, text, sizeof(text) - 1);
    free(p.bytes);
    weir_http_head_moved(&p.head, moved);

    assert_ptr_equal(p.head.method_text.data, moved);
    assert_slice(p.head.query, "b");
    assert_slice(p.head.host, "a.test");
    assert_slice(weir_http_field_name(&p.fields[0]), "Host");
    assert_int_equal(weir_http_parse_request(&p.head, weir_slice_of(moved, sizeof(text) - 1)),
                     WEIR_HTTP_DONE);
    free(moved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_get_is_understood),
        cmocka_unit_test(the_length_excludes_what_follows_the_head),
        cmocka_unit_test(one_empty_line_before_a_request_is_skipped),
        cmocka_unit_test(an_unknown_method_is_other_and_keeps_its_text),
        cmocka_unit_test(white_space_around_a_value_is_not_part_of_it),
        cmocka_unit_test(obs_text_and_every_token_character_are_allowed),
        cmocka_unit_test(known_fields_are_found_whatever_their_case),
        cmocka_unit_test(an_absolute_target_replaces_the_host_field),
        cmocka_unit_test(an_absolute_target_without_a_path_means_the_root),
        cmocka_unit_test(options_of_an_absolute_target_without_a_path_asks_about_the_server),
        cmocka_unit_test(options_asterisk_is_understood),
        cmocka_unit_test(connect_names_an_authority),
        cmocka_unit_test(a_path_that_looks_like_a_host_is_a_path),
        cmocka_unit_test(content_length_frames_the_body),
        cmocka_unit_test(the_largest_length_is_two_to_the_63_less_one),
        cmocka_unit_test(chunked_frames_the_body_in_any_case_of_letters),
        cmocka_unit_test(connection_close_is_found_in_any_list),
        cmocka_unit_test(http_1_0_closes_unless_it_asks_to_keep_alive),
        cmocka_unit_test(hop_by_hop_fields_and_nominated_ones_are_marked),
        cmocka_unit_test(end_to_end_fields_cannot_be_nominated_away),
        cmocka_unit_test(an_upgrade_needs_both_the_option_and_the_field),
        cmocka_unit_test(expect_continue_counts_only_with_a_body_and_in_1_1),
        cmocka_unit_test(te_trailers_is_noticed),
        cmocka_unit_test(every_beginning_of_a_request_waits_for_more),
        cmocka_unit_test(a_finished_head_stays_finished_and_can_be_moved),
    };

    return cmocka_run_group_tests_name("http/request", tests, NULL, NULL);
}
