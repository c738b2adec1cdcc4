/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies. Each is decoded whole and cut in two at every position; data, end and error must be the
 * same. The unconsumed rest of the first piece is presented again, as a connection does.
 */
#include "config.h"

#include "tests/unit/http/message.h"

#define MAX 512

struct decoded {
    weir_http_result result;
    weir_http_error error;
    char data[MAX];
    size_t len;
    size_t used;
    weir_http_body body;
    weir_http_field trailers[4];
};

static void start(struct decoded *d, weir_http_framing framing, uint64_t length,
                  const weir_http_limits *limits, bool keep_trailers)
{
    weir_http_head head;

    weir_http_head_init(&head, NULL, 0, NULL);
    head.framing = (uint8_t)framing;
    head.content_length = length;
    weir_http_body_init(&d->body, &head, limits);
    if (keep_trailers)
        weir_http_body_keep_trailers(&d->body, d->trailers, 4);
    d->len = d->used = 0;
    d->result = WEIR_HTTP_MORE;
}

/* Gives the decoder text[used, end) until it is content. */
static void feed(struct decoded *d, const char *text, size_t end)
{
    size_t used;
    weir_slice data;

    do {
        weir_slice in = weir_slice_of(text + d->used, end - d->used);

        d->result = weir_http_body_decode(&d->body, in, &used, &data);
        assert_true(used <= in.len);
        assert_true(d->len + data.len <= MAX);
        if (data.len)
            memcpy(d->data + d->len, data.data, data.len);
        d->len += data.len;
        d->used += used;
    } while (d->result == WEIR_HTTP_MORE && used > 0);
    d->error = d->body.error;
}

static void decode_chunked(struct decoded *d, const weir_http_limits *limits, const char *text,
                           size_t len)
{
    struct decoded cut;

    start(d, WEIR_HTTP_CHUNKED, 0, limits, false);
    feed(d, text, len);
    for (size_t at = 0; at < len; at++) {
        start(&cut, WEIR_HTTP_CHUNKED, 0, limits, false);
        feed(&cut, text, at);
        if (cut.result == WEIR_HTTP_MORE)
            feed(&cut, text, len);
        assert_int_equal(cut.result, d->result);
        assert_string_equal(weir_http_error_name(cut.error), weir_http_error_name(d->error));
        assert_int_equal(cut.len, d->len);
        assert_memory_equal(cut.data, d->data, d->len);
        if (d->result == WEIR_HTTP_DONE)
            assert_int_equal(cut.used, d->used);
    }
}

static void expect_body(const char *text, const char *body, size_t used)
{
    struct decoded d;

    decode_chunked(&d, NULL, text, strlen(text));
    assert_string_equal(weir_http_error_name(d.error), "NONE");
    assert_int_equal(d.result, WEIR_HTTP_DONE);
    assert_int_equal(d.len, strlen(body));
    assert_memory_equal(d.data, body, d.len);
    assert_int_equal(d.body.received, d.len);
    assert_int_equal(d.used, used);
}

#define BAD_CHUNK(claim, reason, text)                               \
    static void claim##_is_refused(void **state)                     \
    {                                                                \
        struct decoded d;                                            \
                                                                     \
        (void)state;                                                 \
        decode_chunked(&d, NULL, text, sizeof(text) - 1);            \
        assert_string_equal(weir_http_error_name(d.error), #reason); \
        assert_int_equal(d.result, WEIR_HTTP_BAD);                   \
    }

static void chunks_are_put_together(void **state)
{
    (void)state;
    expect_body("5\r\nhello\r\n1\r\n \r\nA\r\nWORLDWORLD\r\n0\r\n\r\n", "hello WORLDWORLD", 36);
}

static void what_follows_the_last_chunk_is_left(void **state)
{
    (void)state;
    expect_body("5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n", "hello", 15);
}

static void a_body_may_be_empty(void **state)
{
    (void)state;
    expect_body("0\r\n\r\n", "", 5);
}

static void size_digits_may_be_of_any_case_and_lead_with_zeros(void **state)
{
    (void)state;
    expect_body("a\r\n0123456789\r\nA\r\n0123456789\r\n0000000000000001\r\nx\r\n0000\r\n\r\n",
                "01234567890123456789x", 59);
}

static void chunk_extensions_are_skipped(void **state)
{
    (void)state;
    expect_body("5;a=\"x;y z\"\r\nhello\r\n1 \t;b\r\n!\r\n0;last\r\n\r\n", "hello!", 40);
}

static void data_that_looks_like_framing_is_data(void **state)
{
    (void)state;
    expect_body("7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", "\r\n0\r\n\r\n", 17);
}

static void the_last_data_comes_with_the_end(void **state)
{
    static const char text[] = "5\r\nhello\r\n0\r\n\r\n";
    struct decoded d;
    size_t used;
    weir_slice data;

    (void)state;
    start(&d, WEIR_HTTP_CHUNKED, 0, NULL, false);

    assert_int_equal(
        weir_http_body_decode(&d.body, WEIR_SLICE("5\r\nhello\r\n0\r\n\r\n"), &used, &data),
        WEIR_HTTP_DONE);
    assert_int_equal(used, strlen(text));
    assert_slice(data, "hello");
}

static void trailer_fields_are_checked_and_dropped(void **state)
{
    (void)state;
    expect_body("1\r\nx\r\n0\r\nX-A: 1\r\nContent-Length: 5\r\n\r\n", "x", 38);
}

static void trailer_fields_are_kept_on_demand_but_for_forbidden_ones(void **state)
{
    static const char text[] =
        "0\r\nX-A: 1\r\nContent-Length: 5\r\nHost: evil\r\nEtag: \"x\"\r\n\r\n";
    struct decoded d;

    (void)state;
    start(&d, WEIR_HTTP_CHUNKED, 0, NULL, true);
    feed(&d, text, 10);
    feed(&d, text, sizeof(text) - 1);

    assert_int_equal(d.result, WEIR_HTTP_DONE);
    assert_int_equal(d.body.trailer.field_count, 2);
    assert_slice(weir_http_field_name(&d.trailers[0]), "X-A");
    assert_slice(weir_http_field_value(&d.trailers[1]), "\"x\"");
    assert_ptr_equal(weir_http_head_field(&d.body.trailer, WEIR_HTTP_ETAG), &d.trailers[1]);
}

static void more_trailer_fields_than_storage_are_refused(void **state)
{
    static const char text[] = "0\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n";
    struct decoded d;

    (void)state;
    start(&d, WEIR_HTTP_CHUNKED, 0, NULL, true);
    feed(&d, text, sizeof(text) - 1);

    assert_int_equal(d.error, WEIR_HTTP_BAD_FIELDS_MANY);
}

static void a_trailer_section_has_a_limit(void **state)
{
    const weir_http_limits fits = {.trailer = 9}, tight = {.trailer = 8};
    struct decoded d;

    (void)state;
    decode_chunked(&d, &fits, "0\r\nA: 12\r\n\r\n", 12);
    assert_int_equal(d.result, WEIR_HTTP_DONE);
    decode_chunked(&d, &tight, "0\r\nA: 12\r\n\r\n", 12);
    assert_int_equal(d.error, WEIR_HTTP_BAD_TRAILER_LARGE);
}

static void extensions_have_a_limit_over_all_chunks(void **state)
{
    const weir_http_limits fits = {.extension = 6}, tight = {.extension = 5};
    struct decoded d;

    (void)state;
    decode_chunked(&d, &fits, "1;aa\r\nx\r\n0;bb\r\n\r\n", 18);
    assert_int_equal(d.result, WEIR_HTTP_DONE);
    decode_chunked(&d, &tight, "1;aa\r\nx\r\n0;bb\r\n\r\n", 18);
    assert_int_equal(d.error, WEIR_HTTP_BAD_CHUNK_EXTENSIONS_LARGE);
}

static void semicolons_alone_count_as_extensions(void **state)
{
    const weir_http_limits tight = {.extension = 1};
    struct decoded d;

    (void)state;
    decode_chunked(&d, &tight, "1;\r\nx\r\n1;\r\nx\r\n0\r\n\r\n", 20);
    assert_int_equal(d.error, WEIR_HTTP_BAD_CHUNK_EXTENSIONS_LARGE);
}

BAD_CHUNK(size_with_a_minus, CHUNK_SIZE, "-5\r\nhello\r\n0\r\n\r\n")
BAD_CHUNK(size_with_a_plus, CHUNK_SIZE, "+5\r\nhello\r\n0\r\n\r\n")
BAD_CHUNK(size_with_0x, CHUNK_SIZE, "0x5\r\nhello\r\n0\r\n\r\n")
BAD_CHUNK(size_that_is_no_hex, CHUNK_SIZE, "g\r\nhello\r\n0\r\n\r\n")
BAD_CHUNK(size_with_an_underscore, CHUNK_SIZE, "0_5\r\nhello\r\n0\r\n\r\n")
BAD_CHUNK(size_with_a_space_before_it, CHUNK_SIZE, " 5\r\nhello\r\n0\r\n\r\n")
BAD_CHUNK(size_with_a_space_after_it, CHUNK_SIZE, "5 \r\nhello\r\n0\r\n\r\n")
BAD_CHUNK(size_with_a_comma, CHUNK_SIZE, "5,5\r\nhello\r\n0\r\n\r\n")
BAD_CHUNK(size_of_nothing, CHUNK_SIZE, "\r\nhello\r\n0\r\n\r\n")
BAD_CHUNK(extension_without_a_size, CHUNK_SIZE, ";a\r\nhello\r\n0\r\n\r\n")
BAD_CHUNK(size_with_nul, CHUNK_SIZE, "5\0\r\nhello\r\n0\r\n\r\n")
BAD_CHUNK(size_of_17_digits, CHUNK_LARGE, "00000000000000005\r\nhello\r\n0\r\n\r\n")
BAD_CHUNK(size_that_wraps, CHUNK_LARGE, "10000000000000005\r\nhello\r\n0\r\n\r\n")
BAD_CHUNK(size_of_two_to_the_63, CHUNK_LARGE, "8000000000000000\r\nhello\r\n0\r\n\r\n")
BAD_CHUNK(size_line_that_ends_in_lf, LINE_END, "5\nhello\r\n0\r\n\r\n")
BAD_CHUNK(size_line_that_ends_in_cr, BARE_CR, "5\rhello\r\n0\r\n\r\n")
BAD_CHUNK(extension_with_a_bare_cr, BARE_CR, "5;a\rb\r\nhello\r\n0\r\n\r\n")
BAD_CHUNK(extension_with_lf, CHUNK_EXTENSION, "5;a\nhello\r\n0\r\n\r\n")
BAD_CHUNK(extension_with_nul, CHUNK_EXTENSION, "5;a\0b\r\nhello\r\n0\r\n\r\n")
BAD_CHUNK(chunk_without_an_end, CHUNK_END, "5\r\nhello0\r\n\r\n")
BAD_CHUNK(chunk_that_is_too_long, CHUNK_END, "3\r\nhello\r\n0\r\n\r\n")
BAD_CHUNK(chunk_that_ends_in_lf, CHUNK_END, "5\r\nhello\n0\r\n\r\n")
BAD_CHUNK(chunk_that_ends_in_cr, CHUNK_END, "5\r\nhello\r0\r\n\r\n")
BAD_CHUNK(chunk_that_ends_in_two_other_bytes, CHUNK_END, "5\r\nhelloXX0\r\n\r\n")
BAD_CHUNK(trailer_line_without_a_colon, FIELD_SPACE, "0\r\nbad trailer\r\n\r\n")
BAD_CHUNK(trailer_line_that_ends_in_lf, LINE_END, "0\r\nX-T: 1\n\nGET /smug HTTP/1.1\r\n\r\n")
BAD_CHUNK(last_chunk_that_ends_in_lf, FIELD_NAME, "0\r\n\001\r\n\r\n")
BAD_CHUNK(empty_trailer_that_ends_in_cr, BARE_CR, "0\r\n\rX")
BAD_CHUNK(folded_trailer, FOLD, "0\r\nX-T: 1\r\n 2\r\n\r\n")

static void what_came_before_an_error_is_given_out_first(void **state)
{
    struct decoded d;

    (void)state;
    decode_chunked(&d, NULL, "5\r\nhelloXX", 10);

    assert_int_equal(d.result, WEIR_HTTP_BAD);
    assert_int_equal(d.len, 5);
}

static void a_length_counts_down_over_pieces(void **state)
{
    struct decoded d;

    (void)state;
    start(&d, WEIR_HTTP_LENGTH, 5, NULL, false);
    assert_int_equal(weir_http_body_ahead(&d.body), 5);
    feed(&d, "helloGET", 2);
    assert_int_equal(d.result, WEIR_HTTP_MORE);
    assert_int_equal(weir_http_body_ahead(&d.body), 3);
    feed(&d, "helloGET", 8);

    assert_int_equal(d.result, WEIR_HTTP_DONE);
    assert_int_equal(d.used, 5);
    assert_memory_equal(d.data, "hello", 5);
}

static void a_length_of_zero_is_done_at_once(void **state)
{
    struct decoded d;

    (void)state;
    start(&d, WEIR_HTTP_LENGTH, 0, NULL, false);
    feed(&d, "GET", 3);

    assert_int_equal(d.result, WEIR_HTTP_DONE);
    assert_int_equal(d.used, 0);
}

static void no_body_is_done_at_once(void **state)
{
    struct decoded d;

    (void)state;
    start(&d, WEIR_HTTP_NO_BODY, 0, NULL, false);
    feed(&d, "GET", 3);

    assert_int_equal(d.result, WEIR_HTTP_DONE);
    assert_int_equal(d.used, 0);
}

static void a_body_until_close_ends_with_the_stream(void **state)
{
    struct decoded d;

    (void)state;
    start(&d, WEIR_HTTP_UNTIL_CLOSE, 0, NULL, false);
    feed(&d, "0\r\n\r\n", 5);

    assert_int_equal(d.result, WEIR_HTTP_MORE);
    assert_int_equal(d.len, 5);
    assert_int_equal(weir_http_body_eof(&d.body), WEIR_HTTP_DONE);
}

static void any_other_body_is_cut_short_by_the_end_of_the_stream(void **state)
{
    struct decoded d;

    (void)state;
    start(&d, WEIR_HTTP_LENGTH, 5, NULL, false);
    feed(&d, "hell", 4);
    assert_int_equal(weir_http_body_eof(&d.body), WEIR_HTTP_BAD);
    assert_int_equal(d.body.error, WEIR_HTTP_BAD_CUT_SHORT);
    start(&d, WEIR_HTTP_CHUNKED, 0, NULL, false);
    feed(&d, "5\r\nhello\r\n0\r\n", 13);
    assert_int_equal(weir_http_body_eof(&d.body), WEIR_HTTP_BAD);
    assert_int_equal(d.body.error, WEIR_HTTP_BAD_CUT_SHORT);
}

static void a_complete_body_is_not_cut_by_the_end_of_the_stream(void **state)
{
    struct decoded d;

    (void)state;
    start(&d, WEIR_HTTP_CHUNKED, 0, NULL, false);
    feed(&d, "0\r\n\r\n", 5);

    assert_int_equal(weir_http_body_eof(&d.body), WEIR_HTTP_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_put_together),
        cmocka_unit_test(what_follows_the_last_chunk_is_left),
        cmocka_unit_test(a_body_may_be_empty),
        cmocka_unit_test(size_digits_may_be_of_any_case_and_lead_with_zeros),
        cmocka_unit_test(chunk_extensions_are_skipped),
        cmocka_unit_test(data_that_looks_like_framing_is_data),
        cmocka_unit_test(the_last_data_comes_with_the_end),
        cmocka_unit_test(trailer_fields_are_checked_and_dropped),
        cmocka_unit_test(trailer_fields_are_kept_on_demand_but_for_forbidden_ones),
        cmocka_unit_test(more_trailer_fields_than_storage_are_refused),
        cmocka_unit_test(a_trailer_section_has_a_limit),
        cmocka_unit_test(extensions_have_a_limit_over_all_chunks),
        cmocka_unit_test(semicolons_alone_count_as_extensions),
        cmocka_unit_test(size_with_a_minus_is_refused),
        cmocka_unit_test(size_with_a_plus_is_refused),
        cmocka_unit_test(size_with_0x_is_refused),
        cmocka_unit_test(size_that_is_no_hex_is_refused),
        cmocka_unit_test(size_with_an_underscore_is_refused),
        cmocka_unit_test(size_with_a_space_before_it_is_refused),
        cmocka_unit_test(size_with_a_space_after_it_is_refused),
        cmocka_unit_test(size_with_a_comma_is_refused),
        cmocka_unit_test(size_of_nothing_is_refused),
        cmocka_unit_test(extension_without_a_size_is_refused),
        cmocka_unit_test(size_with_nul_is_refused),
        cmocka_unit_test(size_of_17_digits_is_refused),
        cmocka_unit_test(size_that_wraps_is_refused),
        cmocka_unit_test(size_of_two_to_the_63_is_refused),
        cmocka_unit_test(size_line_that_ends_in_lf_is_refused),
        cmocka_unit_test(size_line_that_ends_in_cr_is_refused),
        cmocka_unit_test(extension_with_a_bare_cr_is_refused),
        cmocka_unit_test(extension_with_lf_is_refused),
        cmocka_unit_test(extension_with_nul_is_refused),
        cmocka_unit_test(chunk_without_an_end_is_refused),
        cmocka_unit_test(chunk_that_is_too_long_is_refused),
        cmocka_unit_test(chunk_that_ends_in_lf_is_refused),
        cmocka_unit_test(chunk_that_ends_in_cr_is_refused),
        cmocka_unit_test(chunk_that_ends_in_two_other_bytes_is_refused),
        cmocka_unit_test(trailer_line_without_a_colon_is_refused),
        cmocka_unit_test(trailer_line_that_ends_in_lf_is_refused),
        cmocka_unit_test(last_chunk_that_ends_in_lf_is_refused),
        cmocka_unit_test(empty_trailer_that_ends_in_cr_is_refused),
        cmocka_unit_test(folded_trailer_is_refused),
        cmocka_unit_test(what_came_before_an_error_is_given_out_first),
        cmocka_unit_test(a_length_counts_down_over_pieces),
        cmocka_unit_test(a_length_of_zero_is_done_at_once),
        cmocka_unit_test(no_body_is_done_at_once),
        cmocka_unit_test(a_body_until_close_ends_with_the_stream),
        cmocka_unit_test(any_other_body_is_cut_short_by_the_end_of_the_stream),
        cmocka_unit_test(a_complete_body_is_not_cut_by_the_end_of_the_stream),
    };

    return cmocka_run_group_tests_name("http/body", tests, NULL, NULL);
}
