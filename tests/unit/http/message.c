/* SPDX-License-Identifier: Apache-2.0 */
/* One message, parsed in three ways that must agree; see message.h. */
#include "config.h"

#include "tests/unit/http/message.h"

static weir_http_result step(struct parsed *parsed, const struct how *how, const char *bytes,
                             size_t len)
{
    weir_slice so_far = weir_slice_of(bytes, len);

    if (how->response)
        return weir_http_parse_response(&parsed->head, so_far, how->request_method,
                                        how->request_upgrades);
    return weir_http_parse_request(&parsed->head, so_far);
}

static char *copy(const void *text, size_t len)
{
    char *bytes = malloc(len ? len : 1);

    assert_non_null(bytes);
    if (len)
        memcpy(bytes, text, len);
    return bytes;
}

void parse(struct parsed *parsed, const struct how *how, enum way way, const void *text, size_t len)
{
    weir_http_head_init(&parsed->head, parsed->fields, FIELDS, &how->limits);
    parsed->bytes = copy(text, len);
    if (way == WHOLE) {
        parsed->result = step(parsed, how, parsed->bytes, len);
        return;
    }
    parsed->result = WEIR_HTTP_MORE;
    for (size_t n = 1; n <= len && parsed->result == WEIR_HTTP_MORE; n++) {
        if (way == MOVED) {
            char *moved = copy(text, n);

            free(parsed->bytes);
            parsed->bytes = moved;
        }
        parsed->result = step(parsed, how, parsed->bytes, n);
    }
}

void parsed_done(struct parsed *parsed)
{
    free(parsed->bytes);
}

static void assert_same_place(weir_slice a, const struct parsed *pa, weir_slice b,
                              const struct parsed *pb)
{
    assert_int_equal(a.len, b.len);
    if (!a.data)
        assert_null(b.data);
    else if (a.data == b.data) /* constant text: the path that an absolute target left out */
        assert_int_equal(a.len, 1);
    else
        assert_int_equal((const char *)a.data - pa->bytes, (const char *)b.data - pb->bytes);
}

static void assert_same_fields(const struct parsed *a, const struct parsed *b)
{
    assert_int_equal(a->head.field_count, b->head.field_count);
    for (size_t i = 0; i < a->head.field_count; i++) {
        const weir_http_field *x = &a->fields[i], *y = &b->fields[i];

        assert_same_place(weir_http_field_name(x), a, weir_http_field_name(y), b);
        assert_same_place(weir_http_field_value(x), a, weir_http_field_value(y), b);
        assert_int_equal(x->id, y->id);
        assert_int_equal(x->flags, y->flags);
    }
}

static void assert_same(const struct parsed *a, const struct parsed *b)
{
    const weir_http_head *x = &a->head, *y = &b->head;

    assert_int_equal(a->result, b->result);
    assert_string_equal(weir_http_error_name(x->error), weir_http_error_name(y->error));
    if (a->result != WEIR_HTTP_DONE)
        return;
    assert_same_fields(a, b);
    assert_same_place(x->method_text, a, y->method_text, b);
    assert_same_place(x->target, a, y->target, b);
    assert_same_place(x->host, a, y->host, b);
    assert_same_place(x->path, a, y->path, b);
    assert_same_place(x->query, a, y->query, b);
    assert_same_place(x->reason, a, y->reason, b);
    assert_same_place(x->upgrade, a, y->upgrade, b);
    assert_int_equal(x->length, y->length);
    assert_int_equal(x->fields_begin, y->fields_begin);
    assert_int_equal(x->framing, y->framing);
    assert_int_equal(x->content_length, y->content_length);
    assert_int_equal(x->present, y->present);
    assert_int_equal(x->repeated, y->repeated);
}

void parse_all_ways(struct parsed *parsed, const struct how *how, const void *text, size_t len)
{
    struct parsed whole, dripped;

    parse(&whole, how, WHOLE, text, len);
    parse(&dripped, how, DRIPPED, text, len);
    parse(parsed, how, MOVED, text, len);
    assert_same(&whole, &dripped);
    assert_same(&whole, parsed);
    parsed_done(&whole);
    parsed_done(&dripped);
}

void expect_refused(const struct how *how, weir_http_error error, const void *text, size_t len)
{
    struct parsed parsed;

    parse_all_ways(&parsed, how, text, len);
    assert_string_equal(weir_http_error_name(parsed.head.error), weir_http_error_name(error));
    assert_int_equal(parsed.result, WEIR_HTTP_BAD);
    parsed_done(&parsed);
}
