/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Response heads: the status line, then the field lines (head.c), then how its body is delimited,
 * which depends on the request (RFC 9112 6.3).
 *
 *     HTTP/1.x SP 3DIGIT [ SP reason ] CR LF
 */
#include "config.h"

#include "http/message/head.h"
#include "http/message/names.h"
#include "http/message/scan.h"

#define STATUS_END 12 /* length of "HTTP/1.1 200" */

static bool status_byte(weir_http_head *head, size_t at, char c)
{
    static const char pattern[] = "HTTP/1.? ";

    if (at == 7) {
        head->minor_version = (uint8_t)(c - '0');
        return c == '0' || c == '1';
    }
    if (at < 9)
        return c == pattern[at];
    head->status = (uint16_t)(head->status * 10 + (c - '0'));
    return weir__is(c, WEIR__DIGIT) && (at != 9 || c != '0');
}

static weir_http_result status(weir_http_head *head, const char *end)
{
    const char *p = head->base_ + head->at_;

    if (p == head->base_ && end - p > STATUS_END && memcmp(p, "HTTP/1.1 ", 9) == 0) {
        head->minor_version = 1; /* as the loop would, byte by byte */
        p += 9;
    }
    for (; p < head->base_ + STATUS_END; p++) {
        if (p == end)
            return weir__head_wait(head, p);
        if (!status_byte(head, (size_t)(p - head->base_), *p))
            return weir__head_fail(head, WEIR_HTTP_BAD_STATUS_LINE);
    }
    if (p == end)
        return weir__head_wait(head, p);
    if (*p != ' ' && *p != '\r')
        return weir__head_fail(head, WEIR_HTTP_BAD_STATUS_LINE);
    p += *p == ' ';
    head->at_ = head->mark_ = (uint32_t)(p - head->base_);
    head->state_ = WEIR__HEAD_REASON;
    return WEIR_HTTP_DONE;
}

static weir_http_result reason(weir_http_head *head, const char *end)
{
    const char *begin = head->base_ + head->mark_;
    const char *p = weir__scan_value(head->base_ + head->at_, end);

    if (p == end)
        return weir__head_wait(head, p);
    if (*p != '\r')
        return weir__head_fail(head, weir__head_bad_byte(*p, WEIR_HTTP_BAD_STATUS_LINE));
    if (end - p < 2)
        return weir__head_wait(head, p);
    if (p[1] != '\n')
        return weir__head_fail(head, WEIR_HTTP_BAD_BARE_CR);
    head->reason = weir_slice_of(begin, (size_t)(p - begin));
    head->at_ = head->fields_begin = (uint32_t)(p + 2 - head->base_);
    head->state_ = WEIR__HEAD_FIELD;
    return WEIR_HTTP_DONE;
}

static weir_http_result status_line(weir_http_head *head, weir_slice so_far)
{
    size_t len = so_far.len < head->line_limit_ ? so_far.len : head->line_limit_;
    const char *end = head->base_ + len;
    weir_http_result result = WEIR_HTTP_DONE;

    if (head->state_ == WEIR__HEAD_START)
        head->state_ = WEIR__HEAD_STATUS;
    if (head->state_ == WEIR__HEAD_STATUS)
        result = status(head, end);
    if (result == WEIR_HTTP_DONE && head->state_ == WEIR__HEAD_REASON)
        result = reason(head, end);
    if (result == WEIR_HTTP_MORE && len >= head->line_limit_)
        return weir__head_fail(head, WEIR_HTTP_BAD_LINE_LONG);
    return result;
}

static weir_http_error switching(weir_http_head *head)
{
    if (!head->upgrade_offered_ || !head->upgrade_asked)
        return WEIR_HTTP_BAD_SWITCH_UNASKED;
    head->framing = WEIR_HTTP_TUNNEL;
    head->keep_alive = false;
    return WEIR_HTTP_BAD_NONE;
}

/* Statuses whose message ends with the head. Some senders announce a body all the same and send
 * it: then the connection cannot be trusted afterwards, and an interim response not at all. */
static weir_http_error bodiless(weir_http_head *head, bool chunked)
{
    bool announced = chunked || head->content_length > 0;

    head->framing = WEIR_HTTP_NO_BODY;
    if (announced && head->status < 200)
        return chunked ? WEIR_HTTP_BAD_CODING : WEIR_HTTP_BAD_LENGTH;
    if (announced && head->status == 204)
        head->keep_alive = false;
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
    if (head->status == 101)
        return switching(head);
    if (head->status < 200 || head->status == 204 || head->status == 304 ||
        head->method == WEIR_HTTP_HEAD)
        return bodiless(head, chunked);
    if (head->method == WEIR_HTTP_CONNECT && head->status < 300)
        head->framing = WEIR_HTTP_TUNNEL;
    else if (chunked)
        head->framing = WEIR_HTTP_CHUNKED;
    else if (head->has_content_length)
        head->framing = WEIR_HTTP_LENGTH;
    else
        head->framing = WEIR_HTTP_UNTIL_CLOSE;
    if (head->framing == WEIR_HTTP_TUNNEL || head->framing == WEIR_HTTP_UNTIL_CLOSE)
        head->keep_alive = false;
    return WEIR_HTTP_BAD_NONE;
}

static weir_http_result understand(weir_http_head *head)
{
    weir_http_error error = weir__head_connection(head);

    if (!error)
        error = understand_framing(head);
    return error ? weir__head_fail(head, error) : WEIR_HTTP_DONE;
}

weir_http_result weir_http_parse_response(weir_http_head *head, weir_slice so_far,
                                          weir_http_method request_method, bool request_upgrades)
{
    weir_http_result result = WEIR_HTTP_DONE;
    size_t len = so_far.len < head->head_limit_ ? so_far.len : head->head_limit_;

    if (!weir__head_resume(head, so_far))
        return WEIR_HTTP_BAD;
    if (head->state_ == WEIR__HEAD_DONE)
        return WEIR_HTTP_DONE;
    head->method = (uint8_t)request_method;
    head->upgrade_offered_ = request_upgrades;
    if (head->state_ < WEIR__HEAD_FIELD)
        result = status_line(head, so_far);
    if (result == WEIR_HTTP_DONE)
        result = weir__head_fields(head, head->base_ + len, 0);
    if (result == WEIR_HTTP_MORE && len >= head->head_limit_)
        return weir__head_fail(head, WEIR_HTTP_BAD_HEAD_LARGE);
    return result == WEIR_HTTP_DONE ? understand(head) : result;
}
