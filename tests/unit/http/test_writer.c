/* SPDX-License-Identifier: Apache-2.0 */
/* Composing heads: exact bytes, nothing in half, nothing injected. */
#include "config.h"

#include "tests/unit/http/message.h"

#define S(text) WEIR_SLICE(text)

static void a_request_head_is_written(void **state)
{
    char memory[256];
    weir_http_writer w;

    (void)state;
    weir_http_writer_init(&w, memory, sizeof(memory));
    weir_http_write_request(&w, S("GET"), S("/a?b"));
    weir_http_write_field(&w, S("Host"), S("a.test"));
    weir_http_write_field(&w, S("X-Empty"), S(""));
    weir_http_write_field_uint(&w, S("Content-Length"), 18446744073709551615U);
    weir_http_write_field_uint(&w, S("Age"), 0);
    weir_http_write_end(&w);

    assert_false(weir_http_writer_failed(&w));
    assert_slice(weir_http_writer_slice(&w),
                 "GET /a?b HTTP/1.1\r\nHost: a.test\r\nX-Empty: \r\n"
                 "Content-Length: 18446744073709551615\r\nAge: 0\r\n\r\n");
}

static void a_target_is_put_together_from_path_and_query(void **state)
{
    char memory[256];
    weir_http_writer w;

    (void)state;
    weir_http_writer_init(&w, memory, sizeof(memory));
    weir_http_write_request_path(&w, S("GET"), S("/"), true, S("q=1"));
    weir_http_write_request_path(&w, S("GET"), S("/a"), true, S(""));
    weir_http_write_request_path(&w, S("GET"), S("/a"), false, S(""));

    assert_slice(weir_http_writer_slice(&w),
                 "GET /?q=1 HTTP/1.1\r\nGET /a? HTTP/1.1\r\nGET /a HTTP/1.1\r\n");
}

static void a_status_line_is_written_with_its_reason(void **state)
{
    char memory[256];
    weir_http_writer w;

    (void)state;
    weir_http_writer_init(&w, memory, sizeof(memory));
    weir_http_write_status(&w, 404, S(""));
    weir_http_write_status(&w, 200, S("Fine"));
    weir_http_write_status(&w, 799, S(""));
    weir_http_write_date(&w, 784111777);

    assert_slice(weir_http_writer_slice(&w),
                 "HTTP/1.1 404 Not Found\r\nHTTP/1.1 200 Fine\r\nHTTP/1.1 799 \r\n"
                 "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
}

static void the_status_line_of_a_response_is_passed_on_as_http_1_1(void **state)
{
    static const struct {
        const char *head, *line;
    } cases[] = {
        {"HTTP/1.0 200 So be it\r\n\r\n", "HTTP/1.1 200 So be it\r\n"},
        {"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\n", "HTTP/1.1 404 Not Found\r\n"},
        {"HTTP/1.1 503 \r\n\r\n", "HTTP/1.1 503 Service Unavailable\r\n"},
        {"HTTP/1.1 503\r\n\r\n", "HTTP/1.1 503 Service Unavailable\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char memory[64];
        weir_http_field field;
        weir_http_head head;
        weir_http_writer w;

        weir_http_head_init(&head, &field, 1, NULL);
        assert_int_equal(
            weir_http_parse_response(&head, weir_slice_str(cases[i].head), WEIR_HTTP_GET, false),
            WEIR_HTTP_DONE);
        weir_http_writer_init(&w, memory, sizeof(memory));
        weir_http_write_status_of(&w, &head);
        assert_true(weir_slice_equal(weir_http_writer_slice(&w), weir_slice_str(cases[i].line)));
        weir_http_writer_init(&w, memory, 8);
        weir_http_write_status_of(&w, &head);
        assert_true(weir_http_writer_failed(&w));
    }
}

static void reasons_are_those_of_the_registry(void **state)
{
    (void)state;
    assert_string_equal(weir_http_reason(101), "Switching Protocols");
    assert_string_equal(weir_http_reason(206), "Partial Content");
    assert_string_equal(weir_http_reason(308), "Permanent Redirect");
    assert_string_equal(weir_http_reason(400), "Bad Request");
    assert_string_equal(weir_http_reason(417), "Expectation Failed");
    assert_string_equal(weir_http_reason(421), "Misdirected Request");
    assert_string_equal(weir_http_reason(426), "Upgrade Required");
    assert_string_equal(weir_http_reason(429), "Too Many Requests");
    assert_string_equal(weir_http_reason(431), "Request Header Fields Too Large");
    assert_string_equal(weir_http_reason(451), "Unavailable For Legal Reasons");
    assert_string_equal(weir_http_reason(504), "Gateway Timeout");
    assert_string_equal(weir_http_reason(511), "Network Authentication Required");
    assert_string_equal(weir_http_reason(418), "");
    assert_string_equal(weir_http_reason(-1), "");
    assert_string_equal(weir_http_reason(99), "");
    assert_string_equal(weir_http_reason(600), "");
}

static void a_head_that_does_not_fit_stays_whole_up_to_the_last_line(void **state)
{
    char memory[30];
    weir_http_writer w;

    (void)state;
    weir_http_writer_init(&w, memory, sizeof(memory));
    weir_http_write_status(&w, 200, S("OK"));
    weir_http_write_field(&w, S("X-A"), S("1234567"));
    weir_http_write_end(&w);

    assert_true(w.overflow);
    assert_false(w.invalid);
    assert_slice(weir_http_writer_slice(&w), "HTTP/1.1 200 OK\r\n");
}

static void pieces_put_into_room_are_written_or_none_of_them(void **state)
{
    char memory[16], *to;
    weir_http_writer w;

    (void)state;
    weir_http_writer_init(&w, memory, sizeof(memory));
    weir_http_write_raw(&w, S("Via: "));
    to = weir_http_writer_room(&w, 11);
    assert_ptr_equal(to, memory + 5);
    to = weir_http_put(weir_http_put(weir_http_put(to, S("1.1")), S("")), S(" a"));
    weir_http_writer_done(&w, to);
    weir_http_write_end(&w);
    assert_slice(weir_http_writer_slice(&w), "Via: 1.1 a\r\n");
    assert_null(weir_http_writer_room(&w, 5));
    assert_true(weir_http_writer_failed(&w));
    assert_null(weir_http_writer_room(&w, 1));
    assert_slice(weir_http_writer_slice(&w), "Via: 1.1 a\r\n");
}

static void a_head_may_fill_its_memory_to_the_last_byte(void **state)
{
    char memory[19];
    weir_http_writer w;

    (void)state;
    weir_http_writer_init(&w, memory, sizeof(memory));
    weir_http_write_status(&w, 200, S("OK"));
    weir_http_write_end(&w);

    assert_false(weir_http_writer_failed(&w));
    assert_int_equal(w.len, 19);
}

static void expect_invalid(weir_slice name, weir_slice value)
{
    char memory[64];
    weir_http_writer w;

    weir_http_writer_init(&w, memory, sizeof(memory));
    weir_http_write_field(&w, name, value);
    assert_true(w.invalid);
    assert_int_equal(w.len, 0);
}

static void fields_cannot_inject_lines(void **state)
{
    (void)state;
    expect_invalid(S("X-A"), S("a\r\nX-B: 1"));
    expect_invalid(S("X-A"), S("a\nb"));
    expect_invalid(S("X-A"), S("a\rb"));
    expect_invalid(S("X-A"), S("a\0b"));
    expect_invalid(S("X A"), S("a"));
    expect_invalid(S("X-A:"), S("a"));
    expect_invalid(S(""), S("a"));
}

static void request_lines_and_reasons_cannot_inject_either(void **state)
{
    char memory[64];
    weir_http_writer w;

    (void)state;
    weir_http_writer_init(&w, memory, sizeof(memory));
    weir_http_write_request(&w, S("GET"), S("/a HTTP/1.1\r\n"));
    assert_true(w.invalid);
    weir_http_writer_init(&w, memory, sizeof(memory));
    weir_http_write_request(&w, S("GE T"), S("/a"));
    assert_true(w.invalid);
    weir_http_writer_init(&w, memory, sizeof(memory));
    weir_http_write_request(&w, S("GET"), S(""));
    assert_true(w.invalid);
    weir_http_writer_init(&w, memory, sizeof(memory));
    weir_http_write_status(&w, 200, S("a\r\n"));
    assert_true(w.invalid);
    weir_http_writer_init(&w, memory, sizeof(memory));
    weir_http_write_status(&w, 1000, S(""));
    assert_true(w.invalid);
    assert_int_equal(w.len, 0);
}

static void forwarding_drops_hop_by_hop_and_chosen_fields_and_evens_spaces(void **state)
{
    static const char text[] =
        "GET /a HTTP/1.1\r\nHost: a.test\r\nA: 1\r\nConnection: b\r\nB: 2\r\n"
        "C:  3 \r\nVia: x\r\nD: 4\r\nUser-Agent: u\r\n\r\n";
    const struct how how = {0};
    struct parsed p;
    char memory[256];
    weir_http_writer w;

    (void)state;
    parse(&p, &how, WHOLE, text, sizeof(text) - 1);
    weir_http_writer_init(&w, memory, sizeof(memory));
    weir_http_write_end_to_end(&w, &p.head,
                               UINT64_C(1) << WEIR_HTTP_HOST | UINT64_C(1) << WEIR_HTTP_VIA);

    assert_slice(weir_http_writer_slice(&w), "A: 1\r\nC: 3\r\nD: 4\r\nUser-Agent: u\r\n");
    parsed_done(&p);
}

static void expect_chunk_head(uint64_t size, const char *text)
{
    char memory[WEIR_HTTP_CHUNK_HEAD_MAX];

    assert_int_equal(weir_http_chunk_head(memory, size), strlen(text));
    assert_memory_equal(memory, text, strlen(text));
}

static void chunk_heads_are_hex(void **state)
{
    (void)state;
    expect_chunk_head(1, "1\r\n");
    expect_chunk_head(15, "f\r\n");
    expect_chunk_head(16, "10\r\n");
    expect_chunk_head(0x1f2e, "1f2e\r\n");
    expect_chunk_head(UINT64_MAX, "ffffffffffffffff\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_head_is_written),
        cmocka_unit_test(a_target_is_put_together_from_path_and_query),
        cmocka_unit_test(a_status_line_is_written_with_its_reason),
        cmocka_unit_test(the_status_line_of_a_response_is_passed_on_as_http_1_1),
        cmocka_unit_test(reasons_are_those_of_the_registry),
        cmocka_unit_test(a_head_that_does_not_fit_stays_whole_up_to_the_last_line),
        cmocka_unit_test(pieces_put_into_room_are_written_or_none_of_them),
        cmocka_unit_test(a_head_may_fill_its_memory_to_the_last_byte),
        cmocka_unit_test(fields_cannot_inject_lines),
        cmocka_unit_test(request_lines_and_reasons_cannot_inject_either),
        cmocka_unit_test(forwarding_drops_hop_by_hop_and_chosen_fields_and_evens_spaces),
        cmocka_unit_test(chunk_heads_are_hex),
    };

    return cmocka_run_group_tests_name("http/writer", tests, NULL, NULL);
}
