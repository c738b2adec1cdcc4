/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request in words, for `weir route` and the configuration's tests: made into the head that a client
 * would send, and parsed as that would be, so that matchers see what they see of a real one.
 *
 *     GET https://example.com/a?b          GET /a?b HTTP/1.1
 *     X-Version: 2                    ──▶  Host: example.com
 *                                          X-Version: 2
 */
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "plugins/http/http.h"

#define REQUEST_MAX ((size_t)64 * 1024)

struct request_subject {
    weir_subject subject;
    weir_http *x;
};

/* "GET https://example.com/a" in parts; slices of `line`. */
struct words {
    weir_slice method, authority, target;
};

static weir_slice span(const char *from, const char *to)
{
    return weir_slice_of(from, (size_t)(to - from));
}

static weir_error *cut(const char *line, const char *end, struct words *ret)
{
    const char *space = memchr(line, ' ', (size_t)(end - line));
    const char *url = space ? space + 1 : line, *at = strstr(url, "://"), *rest, *mark;

    ret->method = space ? span(line, space) : WEIR_SLICE("GET");
    if (!at || at >= end)
        return weir_raise(WEIR_EINVAL, "a URL begins with http:// or https://");
    at += 3;
    rest = at + strcspn(at, "/?#\n");
    if (memchr(at, '@', (size_t)(rest - at)))
        return weir_raise(WEIR_EINVAL, "a URL with a user name is no target of requests");
    ret->authority = span(at, rest);
    mark = memchr(rest, '#', (size_t)(end - rest));
    ret->target = span(rest, mark ? mark : end);
    return NULL;
}

static weir_error *append(weir_buffer *buffer, weir_slice text)
{
    return weir_buffer_append(buffer, text);
}

/* Whether one of the lines is a field of that name. */
static bool has_field(const char *lines, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = lines; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
        if (strncasecmp(at, name, len) == 0 && at[len] == ':')
            return true;
    return false;
}

static weir_error *write_head(weir_buffer *buffer, const struct words *words, const char *lines)
{
    bool rooted = words->target.len && *(const char *)words->target.data == '/';

    WEIR_TRY(append(buffer, words->method));
    WEIR_TRY(append(buffer, rooted ? WEIR_SLICE(" ") : WEIR_SLICE(" /")));
    WEIR_TRY(append(buffer, words->target));
    WEIR_TRY(append(buffer, WEIR_SLICE(" HTTP/1.1\r\n")));
    if (!has_field(lines, "Host")) {
        WEIR_TRY(append(buffer, WEIR_SLICE("Host: ")));
        WEIR_TRY(append(buffer, words->authority));
        WEIR_TRY(append(buffer, WEIR_SLICE("\r\n")));
    }
    while (*lines) {
        size_t len = strcspn(lines, "\n");

        WEIR_TRY(append(buffer, weir_slice_of(lines, len)));
        WEIR_TRY(append(buffer, WEIR_SLICE("\r\n")));
        lines += len + (lines[len] == '\n');
    }
    return append(buffer, WEIR_SLICE("\r\n"));
}

static weir_error *request_head(const char *request, weir_buffer **ret)
{
    size_t len = strcspn(request, "\n");
    weir_auto(weir_buffer) buffer = NULL;
    struct words words;

    WEIR_TRY(cut(request, request + len, &words));
    WEIR_TRY(weir_buffer_new(REQUEST_MAX, &buffer));
    WEIR_TRY(write_head(buffer, &words, request + len + (request[len] == '\n')));
    *ret = WEIR_TAKE(buffer);
    return NULL;
}

void http_subject_free(weir_subject *take_subject)
{
    struct request_subject *self = (struct request_subject *)(void *)take_subject;

    if (!self)
        return;
    weir_http_request_free(self->x);
    free(self);
}

weir_error *http_subject_of(const char *request, weir_subject **ret)
{
    weir_auto(weir_buffer) buffer = NULL;
    struct request_subject *self;
    weir_slice head;
    weir_http *x;

    WEIR_TRY(request_head(request, &buffer));
    WEIR_TRY(weir_buffer_linear(buffer, &head));
    WEIR_TRY(weir_http_request_new(head, &x));
    self = calloc(1, sizeof *self);
    if (!self) {
        weir_http_request_free(x);
        return weir_raise(WEIR_ENOMEM, "request");
    }
    self->x = x;
    self->subject = (weir_subject){WEIR_SIZED(weir_subject), .message = x};
    *ret = &self->subject;
    return NULL;
}

/* The tests of a configuration, as a client. */

static weir_error *read_head(weir_stream *stream, weir_buffer *received, weir_http_head *head)
{
    weir_slice piece;

    for (;;) {
        weir_slice so_far;

        WEIR_TRY(weir_stream_read_slice(stream, &piece));
        if (!piece.len)
            return weir_raise(WEIR_EINCOMPLETE, "the connection ended without a response");
        WEIR_TRY(weir_buffer_append(received, piece));
        WEIR_TRY(weir_buffer_linear(received, &so_far));
        switch (weir_http_parse_response(head, so_far, WEIR_HTTP_GET, false)) {
        case WEIR_HTTP_DONE:
            return NULL;
        case WEIR_HTTP_BAD:
            return weir_raise(WEIR_EPROTOCOL, "not a response: %s",
                              weir_http_error_text(head->error));
        case WEIR_HTTP_MORE:
            break;
        }
    }
}

static weir_error *write_fields(const weir_http_head *head, weir_buffer *into)
{
    for (size_t i = 0; i < head->field_count; i++) {
        WEIR_TRY(append(into, weir_http_field_name(&head->fields[i])));
        WEIR_TRY(append(into, WEIR_SLICE(": ")));
        WEIR_TRY(append(into, weir_http_field_value(&head->fields[i])));
        WEIR_TRY(append(into, WEIR_SLICE("\n")));
    }
    return NULL;
}

weir_error *http_ask(weir_stream *stream, const char *request, int *ret_status,
                     weir_buffer **ret_fields)
{
    weir_auto(weir_buffer) sent = NULL;
    weir_auto(weir_buffer) received = NULL;
    weir_auto(weir_buffer) into = NULL;
    weir_http_field fields[100];
    weir_http_head head;
    weir_slice bytes;

    WEIR_TRY(request_head(request, &sent));
    WEIR_TRY(weir_buffer_linear(sent, &bytes));
    WEIR_TRY(weir_stream_write_slice(stream, bytes));
    WEIR_TRY(weir_buffer_new(REQUEST_MAX, &received));
    WEIR_TRY(weir_buffer_new(REQUEST_MAX, &into));
    weir_http_head_init(&head, fields, sizeof fields / sizeof *fields, NULL);
    WEIR_TRY(read_head(stream, received, &head));
    WEIR_TRY(write_fields(&head, into));
    *ret_status = head.status;
    *ret_fields = WEIR_TAKE(into);
    return NULL;
}
