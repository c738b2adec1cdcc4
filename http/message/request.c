/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request heads: the request line, then the field lines (head.c), then what the whole means.
 *
 *     METHOD SP target SP HTTP/1.x CR LF
 *
 * The line is checked as it comes, so that a TLS hello or an SMTP greeting on this port fails with
 * its first odd byte. Meaning is taken only from a complete head.
 */
#include "config.h"

#include <weir/http-values.h>

#include "http/message/head.h"
#include "http/message/names.h"
#include "http/message/scan.h"

#define METHOD_MAX 32

static weir_http_result start(weir_http_head *head, const char *end)
{
    const char *p = head->base_;

    if (p == end)
        return weir__head_wait(head, p);
    if (*p == '\r') {
        if (end - p < 2)
            return weir__head_wait(head, p);
        if (p[1] != '\n')
            return weir__head_fail(head, WEIR_HTTP_BAD_BARE_CR);
        p += 2;
    }
    head->at_ = head->mark_ = (uint32_t)(p - head->base_);
    head->state_ = WEIR__HEAD_METHOD;
    return WEIR_HTTP_DONE;
}

static weir_http_result method(weir_http_head *head, const char *end)
{
    const char *begin = head->base_ + head->mark_;
    const char *limit = end - begin > METHOD_MAX + 1 ? begin + METHOD_MAX + 1 : end;
    const char *p = weir__scan_class(head->base_ + head->at_, limit, WEIR__TOKEN);

    if (p - begin > METHOD_MAX)
        return weir__head_fail(head, WEIR_HTTP_BAD_METHOD_LONG);
    if (p == end)
        return weir__head_wait(head, p);
    if (*p != ' ' || p == begin)
        return weir__head_fail(head, WEIR_HTTP_BAD_METHOD);
    head->method_text = weir_slice_of(begin, (size_t)(p - begin));
    head->method = (uint8_t)weir_http_method_of(head->method_text);
    head->at_ = head->mark_ = (uint32_t)(p + 1 - head->base_);
    head->state_ = WEIR__HEAD_TARGET;
    return WEIR_HTTP_DONE;
}

static weir_http_result target(weir_http_head *head, const char *end)
{
    const char *begin = head->base_ + head->mark_;
    const char *p = weir__scan_class(head->base_ + head->at_, end, WEIR__TARGET);

    if (p == end)
        return weir__head_wait(head, p);
    if (*p == '#')
        return weir__head_fail(head, WEIR_HTTP_BAD_TARGET_FRAGMENT);
    if (*p == '\r' || *p == '\n')
        return weir__head_fail(head, WEIR_HTTP_BAD_VERSION);
    if (*p != ' ' || p == begin)
        return weir__head_fail(head, WEIR_HTTP_BAD_TARGET);
    head->target = weir_slice_of(begin, (size_t)(p - begin));
    head->at_ = head->mark_ = (uint32_t)(p + 1 - head->base_);
    head->state_ = WEIR__HEAD_VERSION;
    return WEIR_HTTP_DONE;
}

/* One byte of `HTTP/1.x CR LF` at its place; NONE when it fits. */
static weir_http_error version_byte(weir_http_head *head, size_t at, char c)
{
    static const char pattern[] = "HTTP/1.1\r\n";

    switch (at) {
    case 5:
        return weir__is(c, WEIR__DIGIT) ? WEIR_HTTP_BAD_NONE : WEIR_HTTP_BAD_VERSION;
    case 7:
        if (!weir__is(c, WEIR__DIGIT))
            return WEIR_HTTP_BAD_VERSION;
        head->minor_version = (uint8_t)(c - '0');
        if (head->base_[head->mark_ + 5] != '1' || head->minor_version > 1)
            return WEIR_HTTP_BAD_VERSION_UNSUPPORTED;
        return WEIR_HTTP_BAD_NONE;
    case 8:
        if (c == '\n')
            return WEIR_HTTP_BAD_LINE_END;
        break;
    case 9:
        return c == '\n' ? WEIR_HTTP_BAD_NONE : WEIR_HTTP_BAD_BARE_CR;
    default:
        break;
    }
    return c == pattern[at] ? WEIR_HTTP_BAD_NONE : WEIR_HTTP_BAD_VERSION;
}

static weir_http_result version(weir_http_head *head, const char *end)
{
    const char *begin = head->base_ + head->mark_;
    const char *p = head->base_ + head->at_;

    if (end - begin >= 10 && memcmp(begin, "HTTP/1.1\r\n", 10) == 0) {
        head->minor_version = 1;
        p = begin + 10;
    }
    for (; p < begin + 10; p++) {
        weir_http_error error;

        if (p == end)
            return weir__head_wait(head, p);
        error = version_byte(head, (size_t)(p - begin), *p);
        if (error)
            return weir__head_fail(head, error);
    }
    head->at_ = head->fields_begin = (uint32_t)(p - head->base_);
    head->state_ = WEIR__HEAD_FIELD;
    return WEIR_HTTP_DONE;
}

/* Up to the first field line. */
static weir_http_result request_line(weir_http_head *head, weir_slice so_far)
{
    size_t len = so_far.len < head->line_limit_ ? so_far.len : head->line_limit_;
    const char *end = head->base_ + len;
    weir_http_result result = WEIR_HTTP_DONE;

    if (head->state_ == WEIR__HEAD_START)
        result = start(head, end);
    if (result == WEIR_HTTP_DONE && head->state_ == WEIR__HEAD_METHOD)
        result = method(head, end);
    if (result == WEIR_HTTP_DONE && head->state_ == WEIR__HEAD_TARGET)
        result = target(head, end);
    if (result == WEIR_HTTP_DONE && head->state_ == WEIR__HEAD_VERSION)
        result = version(head, end);
    if (result == WEIR_HTTP_MORE && len >= head->line_limit_)
        return weir__head_fail(head, WEIR_HTTP_BAD_LINE_LONG);
    return result;
}

static void split_path(weir_http_head *head, const char *begin, const char *end)
{
    const char *mark = memchr(begin, '?', (size_t)(end - begin));

    head->has_query = mark != NULL;
    if (mark) {
        head->query = weir_slice_of(mark + 1, (size_t)(end - mark - 1));
        end = mark;
    }
    head->path = weir_slice_of(begin, (size_t)(end - begin));
}

static bool has_prefix_nocase(weir_slice text, weir_slice prefix)
{
    return text.len >= prefix.len &&
           weir_slice_equal_nocase(weir_slice_of(text.data, prefix.len), prefix);
}

/* http://authority[/path][?query] */
static weir_http_error absolute_form(weir_http_head *head)
{
    const char *begin = head->target.data, *end = begin + head->target.len, *p;

    if (has_prefix_nocase(head->target, WEIR_SLICE("http://")))
        begin += 7;
    else if (has_prefix_nocase(head->target, WEIR_SLICE("https://")))
        begin += 8;
    else
        return memchr(begin, ':', head->target.len) ? WEIR_HTTP_BAD_TARGET_SCHEME
                                                    : WEIR_HTTP_BAD_TARGET_FORM;
    for (p = begin; p < end && *p != '/' && *p != '?'; p++) {
        if (*p == '@')
            return WEIR_HTTP_BAD_TARGET_USERINFO;
    }
    head->form = WEIR_HTTP_ABSOLUTE_FORM;
    head->host = weir_slice_of(begin, (size_t)(p - begin));
    if (!weir_http_is_host(head->host))
        return WEIR_HTTP_BAD_TARGET;
    split_path(head, p, end);
    if (head->path.len == 0) /* RFC 9112 3.2.4: OPTIONS without a path asks about the server */
        head->path = head->method == WEIR_HTTP_OPTIONS && !head->has_query ? WEIR_SLICE("*")
                                                                           : WEIR_SLICE("/");
    return WEIR_HTTP_BAD_NONE;
}

static weir_http_error authority_form(weir_http_head *head)
{
    weir_slice name;
    int port;

    if (!weir_http_is_host(head->target))
        return WEIR_HTTP_BAD_TARGET_FORM;
    weir_http_host_split(head->target, &name, &port);
    if (port < 0)
        return WEIR_HTTP_BAD_TARGET_FORM;
    head->form = WEIR_HTTP_AUTHORITY_FORM;
    head->host = head->target;
    return WEIR_HTTP_BAD_NONE;
}

static weir_http_error understand_target(weir_http_head *head)
{
    const char *begin = head->target.data;

    if (head->method == WEIR_HTTP_CONNECT)
        return authority_form(head);
    if (*begin == '/') {
        head->form = WEIR_HTTP_ORIGIN_FORM;
        split_path(head, begin, begin + head->target.len);
        return WEIR_HTTP_BAD_NONE;
    }
    if (*begin == '*' && head->target.len == 1 && head->method == WEIR_HTTP_OPTIONS) {
        head->form = WEIR_HTTP_ASTERISK_FORM;
        head->path = head->target;
        return WEIR_HTTP_BAD_NONE;
    }
    return absolute_form(head);
}

/* The host of the target replaces the field (RFC 9112 3.2.2), which must be sound all the same. */
static weir_http_error understand_host(weir_http_head *head)
{
    const weir_http_field *field = weir_http_head_field(head, WEIR_HTTP_HOST);

    if (!field)
        return head->minor_version == 0 ? WEIR_HTTP_BAD_NONE : WEIR_HTTP_BAD_HOST_MISSING;
    if (head->repeated & WEIR__NAME_BIT(HOST))
        return WEIR_HTTP_BAD_HOST_REPEATED;
    if (!weir_http_is_host(weir_http_field_value(field)))
        return WEIR_HTTP_BAD_HOST;
    if (!head->host.data)
        head->host = weir_http_field_value(field);
    return WEIR_HTTP_BAD_NONE;
}

static weir_http_error understand_framing(weir_http_head *head)
{
    bool chunked;
    weir_http_error error = weir__head_codings(head, &chunked);

    if (!error)
        error = weir__head_length(head);
    if (error)
        return error;
    if (head->method == WEIR_HTTP_CONNECT && (chunked || head->content_length))
        return WEIR_HTTP_BAD_CONNECT_CONTENT;
    if (chunked)
        head->framing = WEIR_HTTP_CHUNKED;
    else if (head->has_content_length)
        head->framing = WEIR_HTTP_LENGTH;
    else
        head->framing = WEIR_HTTP_NO_BODY;
    return WEIR_HTTP_BAD_NONE;
}

static weir_http_error understand_expectation(weir_http_head *head)
{
    const weir_http_field *field = weir_http_head_field(head, WEIR_HTTP_EXPECT);
    const weir_http_field *te = weir_http_head_field(head, WEIR_HTTP_TE);

    head->te_trailers = te && weir_http_list_has(weir_http_field_value(te), WEIR_SLICE("trailers"));
    if (!field || head->minor_version == 0)
        return WEIR_HTTP_BAD_NONE;
    if ((head->repeated & WEIR__NAME_BIT(EXPECT)) ||
        !weir_slice_equal_nocase(weir_http_field_value(field), WEIR_SLICE("100-continue")))
        return WEIR_HTTP_BAD_EXPECTATION;
    head->expect_continue = head->framing == WEIR_HTTP_CHUNKED || head->content_length > 0;
    return WEIR_HTTP_BAD_NONE;
}

static weir_http_result understand(weir_http_head *head)
{
    weir_http_error error = understand_target(head);

    if (!error)
        error = understand_host(head);
    if (!error)
        error = understand_framing(head);
    if (!error)
        error = weir__head_connection(head);
    if (!error)
        error = understand_expectation(head);
    return error ? weir__head_fail(head, error) : WEIR_HTTP_DONE;
}

weir_http_result weir_http_parse_request(weir_http_head *head, weir_slice so_far)
{
    weir_http_result result = WEIR_HTTP_DONE;
    size_t len = so_far.len < head->head_limit_ ? so_far.len : head->head_limit_;

    if (!weir__head_resume(head, so_far))
        return WEIR_HTTP_BAD;
    if (head->state_ == WEIR__HEAD_DONE)
        return WEIR_HTTP_DONE;
    if (head->state_ < WEIR__HEAD_FIELD)
        result = request_line(head, so_far);
    if (result == WEIR_HTTP_DONE)
        result = weir__head_fields(head, head->base_ + len, 0);
    if (result == WEIR_HTTP_MORE && len >= head->head_limit_)
        return weir__head_fail(head, WEIR_HTTP_BAD_HEAD_LARGE);
    return result == WEIR_HTTP_DONE ? understand(head) : result;
}
