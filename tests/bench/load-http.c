/* SPDX-License-Identifier: Apache-2.0 */
/* Requests on kept connections. A response is right when it is a 200 with as many fields as the origin
 * wrote, and its body is the pattern, all of it and nothing after it.
 */
#include <strings.h>

#include "tests/bench/load.h"

static char buffer[256 * 1024];

/* Up to and with the line end `end`, put together when it comes in pieces. NULL: more is needed, or
 * it is too long, which `failure` then says. */
static const char *take_until(struct response *in, const char **data, size_t *size, const char *end,
                              size_t *ret_size)
{
    size_t end_size = strlen(end), n;
    const char *found = in->head_size ? NULL : memmem(*data, *size, end, end_size);

    if (found) {
        const char *start = *data;

        *ret_size = (size_t)(found - start) + end_size;
        *data += *ret_size;
        *size -= *ret_size;
        return start;
    }
    for (n = 0; n < *size; n++) {
        if (in->head_size == sizeof in->head) {
            fail("a response's head is too long");
            return NULL;
        }
        in->head[in->head_size++] = (*data)[n];
        if (in->head_size >= end_size &&
            memcmp(in->head + in->head_size - end_size, end, end_size) == 0) {
            *data += n + 1;
            *size -= n + 1;
            *ret_size = in->head_size;
            in->head_size = 0;
            return in->head;
        }
    }
    *size = 0;
    return NULL;
}

/* Where the body ends, from the head's fields. */
static enum progress read_head(struct response *in, const char *head, size_t size)
{
    const char *at, *end;
    unsigned fields = 0;
    bool framed = false;

    if (size < 15 || memcmp(head, "HTTP/1.1 200", 12) != 0)
        return fail("a response is not a 200");
    for (at = (const char *)memchr(head, '\n', size) + 1; *at != '\r'; at = end + 1) {
        end = memchr(at, '\n', size - (size_t)(at - head));
        fields++;
        if (strncasecmp(at, "content-length:", 15) == 0) {
            in->at = IN_LENGTH;
            in->left = strtoull(at + 15, NULL, 10);
            framed = in->left == options.body;
        } else if (strncasecmp(at, "transfer-encoding: chunked\r", 27) == 0) {
            in->at = IN_CHUNK_SIZE;
            framed = true;
        }
    }
    if (!framed)
        return fail("a response has another length, or none");
    return fields < options.fields ? fail("a response lost fields") : GOING;
}

static enum progress take_body(struct response *in, const char **data, size_t *size)
{
    size_t n = *size < in->left ? *size : (size_t)in->left;

    if (!bench_is_pattern(in->body, *data, n))
        return fail("a body has wrong bytes");
    in->body += n;
    in->left -= n;
    received += n;
    *data += n;
    *size -= n;
    if (in->left)
        return GOING;
    if (in->at == IN_LENGTH)
        return DONE;
    in->at = IN_CHUNK_END;
    return GOING;
}

static enum progress take_chunk_line(struct response *in, const char *line, size_t size)
{
    char *end;

    if (in->at == IN_CHUNK_END || in->at == IN_END) {
        if (size != 2)
            return fail("a chunk does not end where it should");
        if (in->at == IN_END)
            return in->body == options.body ? DONE : fail("a chunked body has another length");
        in->at = IN_CHUNK_SIZE;
        return GOING;
    }
    in->left = strtoull(line, &end, 16);
    if (end == line)
        return fail("a chunk has no length");
    in->at = in->left ? IN_CHUNK : IN_END;
    return GOING;
}

static enum progress take(struct response *in, const char *data, size_t size)
{
    enum progress progress = GOING;

    while (progress == GOING && size) {
        const char *text;
        size_t text_size;

        if (in->at == IN_LENGTH || in->at == IN_CHUNK) {
            progress = take_body(in, &data, &size);
            continue;
        }
        text = take_until(in, &data, &size, in->at == IN_HEAD ? "\r\n\r\n" : "\r\n", &text_size);
        if (!text)
            return failure ? FAILED : GOING;
        progress = in->at == IN_HEAD ? read_head(in, text, text_size)
                                     : take_chunk_line(in, text, text_size);
    }
    return progress == DONE && size ? fail("something follows a response") : progress;
}

static enum progress http_ready(struct client *client)
{
    enum progress progress = GOING;

    if (client->ssl && !client->secure && (progress = tls_shake(client)) != DONE)
        return progress;
    if (client->written < options.request_size &&
        (progress = client_push(client, options.request, options.request_size)) != DONE)
        return progress;
    for (;;) {
        ssize_t n = client_pull(client, buffer, sizeof buffer);

        if (n < 0)
            return fail("a connection ended inside a response");
        if (n == 0)
            return GOING;
        progress = take(&client->in, buffer, (size_t)n);
        if (progress != GOING || (!client->ssl && (size_t)n < sizeof buffer))
            return progress;
    }
}

static enum progress http_begin(struct client *client)
{
    client->written = 0;
    client->in.at = IN_HEAD;
    client->in.body = client->in.head_size = 0;
    if (client->fd < 0) {
        client_connect(client, SOCK_STREAM);
        if (use_tls)
            tls_attach(client);
        return GOING;
    }
    return client_push(client, options.request, options.request_size) == FAILED ? FAILED : GOING;
}

const struct mode mode_http = {"http", http_begin, http_ready};
