/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies, decoded in place: what comes out are slices of what went in.
 *
 *     chunk     size in hex [ ;extension ] CR LF  data  CR LF
 *     the end   0 [ ;extension ] CR LF  trailer fields  CR LF
 *
 * A step takes framing bytes until it has data to give out, and after the data the framing that
 * follows, so that the last piece of a body comes together with DONE. Framing is a state per byte;
 * only the trailer section, which nearly every body leaves empty, waits for a contiguous whole and
 * is read by the same code as the fields of a head.
 */
#include "config.h"

#include "http/message/head.h"
#include "http/message/names.h"
#include "http/message/scan.h"

#define SIZE_DIGITS_MAX 16

enum {
    SIZE_FIRST, /* needs a digit */
    SIZE,
    BEFORE_EXTENSION, /* white space after the size: `;` must follow */
    EXTENSION,
    SIZE_LF,
    CHUNK_DATA,
    DATA_CR,
    DATA_LF,
    TRAILER,
    COUNTED, /* LENGTH */
    ENDLESS, /* until close, or a tunnel */
    ENDED,
    FAILED,
};

/* What may not stand in a trailer, RFC 9110 6.5.1: framing, routing, authentication, modifiers of
 * the request, and what says how to read the content. */
static const uint64_t forbidden =
    WEIR__NAME_BIT(HOST) | WEIR__NAME_BIT(CONNECTION) | WEIR__NAME_BIT(CONTENT_LENGTH) |
    WEIR__NAME_BIT(TRANSFER_ENCODING) | WEIR__NAME_BIT(TE) | WEIR__NAME_BIT(TRAILER) |
    WEIR__NAME_BIT(UPGRADE) | WEIR__NAME_BIT(KEEP_ALIVE) | WEIR__NAME_BIT(PROXY_CONNECTION) |
    WEIR__NAME_BIT(HTTP2_SETTINGS) | WEIR__NAME_BIT(EXPECT) | WEIR__NAME_BIT(FORWARDED) |
    WEIR__NAME_BIT(X_FORWARDED_FOR) | WEIR__NAME_BIT(X_FORWARDED_HOST) |
    WEIR__NAME_BIT(X_FORWARDED_PROTO) | WEIR__NAME_BIT(X_FORWARDED_PORT) |
    WEIR__NAME_BIT(X_REAL_IP) | WEIR__NAME_BIT(RANGE) | WEIR__NAME_BIT(IF_RANGE) |
    WEIR__NAME_BIT(IF_MATCH) | WEIR__NAME_BIT(IF_NONE_MATCH) | WEIR__NAME_BIT(IF_MODIFIED_SINCE) |
    WEIR__NAME_BIT(IF_UNMODIFIED_SINCE) | WEIR__NAME_BIT(CONTENT_TYPE) |
    WEIR__NAME_BIT(CONTENT_ENCODING) | WEIR__NAME_BIT(CONTENT_RANGE) | WEIR__NAME_BIT(COOKIE) |
    WEIR__NAME_BIT(SET_COOKIE) | WEIR__NAME_BIT(AUTHORIZATION) |
    WEIR__NAME_BIT(PROXY_AUTHORIZATION) | WEIR__NAME_BIT(PROXY_AUTHENTICATE) |
    WEIR__NAME_BIT(WWW_AUTHENTICATE) | WEIR__NAME_BIT(CACHE_CONTROL) | WEIR__NAME_BIT(AGE) |
    WEIR__NAME_BIT(DATE) | WEIR__NAME_BIT(EXPIRES) | WEIR__NAME_BIT(LOCATION) |
    WEIR__NAME_BIT(RETRY_AFTER) | WEIR__NAME_BIT(VARY) | WEIR__NAME_BIT(MAX_FORWARDS);

/* What only chunked bodies need, which is most of the struct. */
static void init_chunked(weir_http_body *body, const weir_http_limits *limits)
{
    body->state_ = SIZE_FIRST;
    body->extension_limit_ = limits && limits->extension ? limits->extension : 16384;
    weir_http_head_init(&body->trailer, NULL, 0, NULL);
    body->trailer.head_limit_ = limits && limits->trailer ? limits->trailer : 8192;
    body->trailer.state_ = WEIR__HEAD_FIELD;
}

void weir_http_body_init(weir_http_body *body, const weir_http_head *head,
                         const weir_http_limits *limits)
{
    body->size = sizeof(*body);
    body->error = WEIR_HTTP_BAD_NONE;
    body->framing = head->framing;
    body->digits_ = 0;
    body->keep_trailers_ = false;
    body->remaining_ = body->received = 0;
    body->extension_ = 0;
    switch (body->framing) {
    case WEIR_HTTP_LENGTH:
        body->remaining_ = head->content_length;
        body->state_ = body->remaining_ ? COUNTED : ENDED;
        break;
    case WEIR_HTTP_CHUNKED:
        init_chunked(body, limits);
        break;
    case WEIR_HTTP_UNTIL_CLOSE:
    case WEIR_HTTP_TUNNEL:
        body->state_ = ENDLESS;
        break;
    default:
        body->state_ = ENDED;
    }
}

void weir_http_body_keep_trailers(weir_http_body *body, weir_http_field *fields, uint16_t capacity)
{
    body->keep_trailers_ = capacity > 0;
    body->trailer.fields = fields;
    body->trailer.field_capacity = capacity;
}

static void fail(weir_http_body *body, weir_http_error error)
{
    body->error = error;
    body->state_ = FAILED;
}

static void expect(weir_http_body *body, bool fits, weir_http_error error, uint8_t next)
{
    if (fits)
        body->state_ = next;
    else
        fail(body, error);
}

static void before_extension_byte(weir_http_body *body, char c)
{
    if (++body->extension_ > body->extension_limit_)
        fail(body, WEIR_HTTP_BAD_CHUNK_EXTENSIONS_LARGE);
    else if (c == ';')
        body->state_ = EXTENSION;
    else if (!weir__is_blank(c))
        fail(body, WEIR_HTTP_BAD_CHUNK_SIZE);
}

static void size_byte(weir_http_body *body, char c)
{
    if (weir__is(c, WEIR__HEX)) {
        if (++body->digits_ > SIZE_DIGITS_MAX)
            fail(body, WEIR_HTTP_BAD_CHUNK_LARGE);
        body->remaining_ = body->remaining_ << 4 | weir__hex_value(c);
    } else if (c == '\r') {
        body->state_ = SIZE_LF;
    } else if (c == ';' || weir__is_blank(c)) {
        body->state_ = BEFORE_EXTENSION;
        before_extension_byte(body, c);
    } else {
        fail(body, c == '\n' ? WEIR_HTTP_BAD_LINE_END : WEIR_HTTP_BAD_CHUNK_SIZE);
    }
    if (body->remaining_ > INT64_MAX)
        fail(body, WEIR_HTTP_BAD_CHUNK_LARGE);
}

/* A first digit does the same as the others, but nothing else may stand there. */
static void size_first_byte(weir_http_body *body, char c)
{
    body->digits_ = 0;
    body->remaining_ = 0;
    if (!weir__is(c, WEIR__HEX)) {
        fail(body, WEIR_HTTP_BAD_CHUNK_SIZE);
        return;
    }
    body->state_ = SIZE;
    size_byte(body, c);
}

/* Extensions mean nothing to us and are never forwarded: only their end matters. */
static const char *extension(weir_http_body *body, const char *p, const char *end)
{
    size_t room = body->extension_limit_ - body->extension_;
    const char *limit = (size_t)(end - p) > room ? p + room : end;
    const char *q = weir__scan_value(p, limit);

    body->extension_ += (uint32_t)(q - p);
    if (q == end)
        return q;
    if (*q == '\r')
        body->state_ = SIZE_LF;
    else if (weir__is(*q, WEIR__VALUE))
        fail(body, WEIR_HTTP_BAD_CHUNK_EXTENSIONS_LARGE);
    else
        fail(body, WEIR_HTTP_BAD_CHUNK_EXTENSION);
    return q + 1;
}

/* One byte of framing, any state that has such. */
static void framing_byte(weir_http_body *body, char c)
{
    switch (body->state_) {
    case SIZE_FIRST:
        size_first_byte(body, c);
        break;
    case SIZE:
        size_byte(body, c);
        break;
    case BEFORE_EXTENSION:
        before_extension_byte(body, c);
        break;
    case SIZE_LF:
        expect(body, c == '\n', WEIR_HTTP_BAD_BARE_CR, body->remaining_ ? CHUNK_DATA : TRAILER);
        break;
    case DATA_CR:
        expect(body, c == '\r', WEIR_HTTP_BAD_CHUNK_END, DATA_LF);
        break;
    default: /* DATA_LF */
        expect(body, c == '\n', WEIR_HTTP_BAD_CHUNK_END, SIZE_FIRST);
    }
}

/* The section as a whole, or nothing. Returns how much of [p, end) it took. */
static size_t trailer(weir_http_body *body, const char *p, const char *end)
{
    weir_http_head *head = &body->trailer;
    uint64_t drop = body->keep_trailers_ ? forbidden : WEIR__NAME_BIT(UNKNOWN);
    size_t len = (size_t)(end - p);
    weir_http_result result;

    if (!body->keep_trailers_) { /* also a field that is not kept needs a place to be read */
        head->fields = &body->scratch_;
        head->field_capacity = 1;
    }
    if (!weir__head_resume(head, weir_slice_of(p, len))) {
        fail(body, head->error);
        return 0;
    }
    if (len > head->head_limit_)
        len = head->head_limit_;
    result = weir__head_fields(head, p + len, drop);
    if (result == WEIR_HTTP_DONE) {
        body->state_ = ENDED;
        return head->length;
    }
    if (result == WEIR_HTTP_BAD)
        fail(body, head->error);
    else if (len >= head->head_limit_)
        fail(body, WEIR_HTTP_BAD_TRAILER_LARGE);
    return 0;
}

/* Data at the front of [p, end); returns its end. */
static const char *data(weir_http_body *body, const char *p, const char *end, weir_slice *ret_data)
{
    size_t len = (size_t)(end - p);

    if (body->state_ != ENDLESS) {
        if (len > body->remaining_)
            len = (size_t)body->remaining_;
        body->remaining_ -= len;
        if (body->remaining_ == 0)
            body->state_ = body->state_ == COUNTED ? ENDED : DATA_CR;
    }
    body->received += len;
    *ret_data = weir_slice_of(p, len);
    return p + len;
}

weir_http_result weir_http_body_decode(weir_http_body *body, weir_slice in, size_t *ret_used,
                                       weir_slice *ret_data)
{
    const char *begin = in.data, *p = begin, *end = begin + in.len;

    *ret_data = weir_slice_of(begin, 0);
    while (p < end && body->state_ < ENDED && body->state_ != TRAILER) {
        bool has_data = body->state_ == CHUNK_DATA || body->state_ >= COUNTED;

        if (has_data && ret_data->len > 0)
            break;
        if (has_data)
            p = data(body, p, end, ret_data);
        else if (body->state_ == EXTENSION)
            p = extension(body, p, end);
        else
            framing_byte(body, *p++);
    }
    if (body->state_ == TRAILER && p < end)
        p += trailer(body, p, end);
    if (body->state_ == FAILED && ret_data->len > 0) { /* what was sound first, blame next time */
        *ret_used = (size_t)((const char *)ret_data->data + ret_data->len - begin);
        return WEIR_HTTP_MORE;
    }
    if (body->state_ == FAILED) {
        *ret_used = 0;
        return WEIR_HTTP_BAD;
    }
    *ret_used = (size_t)(p - begin);
    return body->state_ == ENDED ? WEIR_HTTP_DONE : WEIR_HTTP_MORE;
}

weir_http_result weir_http_body_eof(weir_http_body *body)
{
    if (body->state_ == ENDLESS)
        body->state_ = ENDED;
    if (body->state_ == ENDED)
        return WEIR_HTTP_DONE;
    if (body->state_ != FAILED)
        fail(body, WEIR_HTTP_BAD_CUT_SHORT);
    return WEIR_HTTP_BAD;
}
