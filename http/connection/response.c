/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Responses: heads made anew or after another message's, bodies framed as the client can take them.
 *
 *   length known              Content-Length
 *   unknown, HTTP/1.1         chunked
 *   unknown, HTTP/1.0         until close
 *   HEAD, 204, 304            no body, whatever is passed
 *
 * A response that cannot be completed ends in an abort: the client sees a missing last chunk, too
 * few bytes, or a reset, never a whole response.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <weir/relay.h>

#include "http/connection/exchange.h"

/* The end of a head, after its status line and the fields that somebody else wants in it. */
struct head_plan {
    bool has_date, has_server, has_length;
    int64_t length; /* -1: unknown */
};

static weir_error *check_open(const struct exchange *exchange, enum response_phase phase)
{
    if (!exchange_is_live(exchange) || exchange->aborted || exchange->tunnel)
        return weir_raise(WEIR_ECLOSED, "the exchange has ended");
    if (exchange->response_phase != phase)
        return weir_raise(WEIR_EINVALSTATE, "not the time for this part of a response");
    return NULL;
}

static bool has_no_body(const struct exchange *exchange, int status)
{
    return exchange->head.method == WEIR_HTTP_HEAD || status == 204 || status == 304 ||
           status < 200;
}

/* Whether to be rid of what is still to come of the request means to close. Otherwise it is read
   and dropped, when it is short and sure to come. */
static bool rest_is_costly(const struct exchange *exchange)
{
    uint8_t framing = exchange->head.framing;

    return exchange->request_phase != REQUEST_COMPLETE && framing != WEIR_HTTP_NO_BODY &&
           (exchange->continue_pending || framing != WEIR_HTTP_LENGTH ||
            weir_http_body_ahead(&exchange->body) > LINGER_BYTES);
}

/* Decides the framing, and whether the connection can live on. */
static void plan_framing(struct exchange *exchange, int status, int64_t length)
{
    exchange->status = status;
    if (has_no_body(exchange, status)) {
        exchange->response_framing = AS_NOTHING;
    } else if (length >= 0) {
        exchange->response_framing = AS_LENGTH;
        exchange->response_left = (uint64_t)length;
    } else if (exchange->head.minor_version >= 1) {
        exchange->response_framing = AS_CHUNKED;
    } else {
        exchange->response_framing = AS_CLOSE;
        exchange->close_after = true;
    }
    /* A response of success may begin while its request is read; others are the last word. */
    if (exchange->server->draining || exchange->server->eof ||
        (status >= 300 && rest_is_costly(exchange)))
        exchange->close_after = true;
}

/* Whether a change to the response replaces or removes this field. */
static bool is_changed(const struct exchange *exchange, weir_slice name)
{
    for (const struct change *change = exchange->changes; change; change = change->next)
        if (change->side == WEIR_HTTP_RESPONSE && change->kind != CHANGE_ADD &&
            weir_slice_equal_nocase(change->name, name))
            return true;
    return false;
}

static bool has_response_changes(const struct exchange *exchange)
{
    for (const struct change *change = exchange->changes; change; change = change->next)
        if (change->side == WEIR_HTTP_RESPONSE)
            return true;
    return false;
}

static void write_changes(weir_http_writer *writer, const struct exchange *exchange,
                          struct head_plan *plan)
{
    for (const struct change *change = exchange->changes; change; change = change->next) {
        if (change->side != WEIR_HTTP_RESPONSE || change->kind == CHANGE_REMOVE ||
            change->id == WEIR_HTTP_CONTENT_LENGTH || change->id == WEIR_HTTP_TRANSFER_ENCODING ||
            change->id == WEIR_HTTP_CONNECTION)
            continue;
        plan->has_date |= change->id == WEIR_HTTP_DATE;
        plan->has_server |= change->id == WEIR_HTTP_SERVER;
        weir_http_write_field(writer, change->name, change->value);
    }
}

/* "Date: … CR LF", made once a second by the loop's time. */
static weir_slice date_field(const struct exchange *exchange)
{
    static __thread char line[6 + WEIR_HTTP_DATE_LEN + 2];
    static __thread int64_t made_ns, good_ns; /* when, and for how long */
    int64_t now_ns = weir_loop_time(weir_transport_loop(exchange->server->transport)).ns;

    if (now_ns - made_ns >= good_ns || now_ns < made_ns) {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        memcpy(line, "Date: ", 6);
        weir_http_date_format(line + 6, now.tv_sec);
        memcpy(line + 6 + WEIR_HTTP_DATE_LEN, "\r\n", 2);
        made_ns = now_ns;
        good_ns = 1000000000 - now.tv_nsec;
    }
    return weir_slice_of(line, sizeof line);
}

static void write_tail(weir_http_writer *writer, const struct exchange *exchange,
                       const struct head_plan *plan)
{
    const char *server = exchange->server->options->server_name;

    if (!plan->has_date)
        weir_http_write_raw(writer, date_field(exchange));
    if (!plan->has_server && !server)
        weir_http_write_raw(writer, WEIR_SLICE("Server: weir\r\n"));
    else if (!plan->has_server && *server)
        weir_http_write_field(writer, WEIR_SLICE("Server"), weir_slice_str(server));
    if (!plan->has_length && plan->length >= 0 && exchange->status != 204 &&
        exchange->status != 304 && exchange->status >= 200)
        weir_http_write_field_uint(writer, WEIR_SLICE("Content-Length"), (uint64_t)plan->length);
    if (exchange->response_framing == AS_CHUNKED)
        weir_http_write_raw(writer, WEIR_SLICE("Transfer-Encoding: chunked\r\n"));
    if (exchange->close_after)
        weir_http_write_raw(writer, WEIR_SLICE("Connection: close\r\n"));
    else if (exchange->head.minor_version == 0)
        weir_http_write_raw(writer, WEIR_SLICE("Connection: keep-alive\r\n"));
    weir_http_write_end(writer);
}

/* Frames and writes body bytes behind `head` (may be empty), in one call to the transport. */
static weir_error *write_out(struct exchange *exchange, weir_slice head, weir_slice body)
{
    char chunk_head[WEIR_HTTP_CHUNK_HEAD_MAX];
    weir_slice out[4];
    size_t n = 0;

    if (exchange->response_framing == AS_NOTHING)
        body.len = 0;
    if (exchange->response_framing == AS_LENGTH) {
        if (body.len > exchange->response_left)
            return weir_raise(WEIR_EINVAL, "more body than the response announced");
        exchange->response_left -= body.len;
    }
    if (head.len)
        out[n++] = head;
    if (body.len && exchange->response_framing == AS_CHUNKED) {
        out[n++] = weir_slice_of(chunk_head, weir_http_chunk_head(chunk_head, body.len));
        out[n++] = body;
        out[n++] = WEIR_SLICE("\r\n");
    } else if (body.len) {
        out[n++] = body;
    }
    if (n == 0)
        return NULL;
    exchange->head_bytes_out += head.len;
    WEIR_TRY(weir__http_write(exchange->server->transport, out, n, &exchange->bytes_out));
    return NULL;
}

/* What composes a head into a writer. */
typedef void (*compose_fn)(weir_http_writer *writer, struct exchange *exchange, const void *from,
                           struct head_plan *plan);

/* Composes a head on the stack, or in memory for a large one, and writes it with `body`. */
static weir_error *send_head(struct exchange *exchange, size_t estimate, compose_fn compose,
                             const void *from, struct head_plan plan, weir_slice body)
{
    char small[SMALL_HEAD], *large = NULL;
    weir_http_writer writer;
    weir_error *error;

    for (const struct change *change = exchange->changes; change; change = change->next)
        estimate += change->name.len + change->value.len + 4;
    estimate += 256;
    if (estimate > sizeof small) {
        large = malloc(estimate);
        if (!large)
            return weir_raise(WEIR_ENOMEM, "head of a response");
    }
    weir_http_writer_init(&writer, large ? large : small, large ? estimate : sizeof small);
    compose(&writer, exchange, from, &plan);
    if (exchange->changes)
        write_changes(&writer, exchange, &plan);
    write_tail(&writer, exchange, &plan);
    if (weir_http_writer_failed(&writer)) {
        error = weir_raise(WEIR_EINVAL, "the head of the response cannot be written");
    } else {
        exchange->response_phase = RESPONSE_BODY;
        error = write_out(exchange, weir_http_writer_slice(&writer), body);
    }
    free(large);
    return error ? weir_error_trace(error, WEIR_HERE) : NULL;
}

static void compose_status(weir_http_writer *writer, struct exchange *exchange, const void *from,
                           struct head_plan *plan)
{
    const weir_slice *type = from;

    (void)plan;
    weir_http_write_status(writer, exchange->status, weir_slice_of(NULL, 0));
    if (type->len)
        weir_http_write_field(writer, WEIR_SLICE("Content-Type"), *type);
}

static void compose_message(weir_http_writer *writer, struct exchange *exchange, const void *from,
                            struct head_plan *plan)
{
    const weir_http_head *head = from;

    weir_http_write_status_of(writer, head);
    plan->has_date = weir_http_head_has(head, WEIR_HTTP_DATE);
    plan->has_server = weir_http_head_has(head, WEIR_HTTP_SERVER);
    plan->has_length = head->has_content_length;
    if (!has_response_changes(exchange)) {
        /* A 204 has no length (RFC 9110 8.6). */
        weir_http_write_end_to_end(
            writer, head, head->status == 204 ? UINT64_C(1) << WEIR_HTTP_CONTENT_LENGTH : 0);
        return;
    }
    for (uint16_t i = 0; i < head->field_count; i++) {
        const weir_http_field *field = &head->fields[i];

        if (!(field->flags & WEIR_HTTP_FIELD_HOP) &&
            !(head->status == 204 && field->id == WEIR_HTTP_CONTENT_LENGTH) &&
            !is_changed(exchange, weir_http_field_name(field)))
            weir_http_write_field(writer, weir_http_field_name(field),
                                  weir_http_field_value(field));
    }
}

weir_error *weir_http_respond_head(weir_http *x, int status, int64_t length)
{
    struct exchange *exchange = x->exchange;
    weir_slice no_type = {NULL, 0};

    WEIR_TRY(check_open(exchange, RESPONSE_NONE));
    plan_framing(exchange, status, length);
    WEIR_TRY(send_head(exchange, 0, compose_status, &no_type, (struct head_plan){.length = length},
                       no_type));
    return NULL;
}

weir_error *weir_http_respond_end(weir_http *x)
{
    struct exchange *exchange = x->exchange;
    weir_error *error = NULL;

    WEIR_TRY(check_open(exchange, RESPONSE_BODY));
    if (exchange->response_framing == AS_LENGTH && exchange->response_left) {
        weir_http_fail(x, 502, exchange->outcome,
                       weir_raise(WEIR_EINCOMPLETE, "the response is shorter than announced"));
        return weir_raise(WEIR_EINCOMPLETE, "the response is shorter than announced");
    }
    if (exchange->response_framing == AS_CHUNKED) {
        exchange->bytes_out += WEIR_HTTP_LAST_CHUNK.len;
        error = weir_transport_write(exchange->server->transport, WEIR_HTTP_LAST_CHUNK);
    }
    exchange->response_phase = RESPONSE_ENDED;
    if (rest_is_costly(exchange))
        exchange->close_after = true;
    weir__http_server_settle(exchange);
    return error ? weir_error_trace(error, WEIR_HERE) : NULL;
}

weir_error *weir_http_respond(weir_http *x, int status, weir_slice type, weir_slice body)
{
    struct exchange *exchange = x->exchange;
    int64_t length = (int64_t)body.len;

    WEIR_TRY(check_open(exchange, RESPONSE_NONE));
    plan_framing(exchange, status, length);
    WEIR_TRY(send_head(exchange, type.len, compose_status, &type,
                       (struct head_plan){.length = length}, body));
    WEIR_TRY(weir_http_respond_end(x));
    return NULL;
}

weir_error *weir_http_respond_message(weir_http *x, const weir_http_head *head,
                                      weir_slice first_body)
{
    struct exchange *exchange = x->exchange;
    int64_t length = head->has_content_length && head->content_length <= INT64_MAX
                         ? (int64_t)head->content_length
                         : -1;

    WEIR_TRY(check_open(exchange, RESPONSE_NONE));
    plan_framing(exchange, head->status, length);
    WEIR_TRY(send_head(exchange, head->length, compose_message, head,
                       (struct head_plan){.length = length}, first_body));
    return NULL;
}

weir_error *weir_http_pass(weir_http *x, weir_http_side side, weir_slice data)
{
    struct exchange *exchange = x->exchange;

    if (side != WEIR_HTTP_RESPONSE)
        return weir_raise(WEIR_EINVAL, "nothing stands behind the action");
    WEIR_TRY(check_open(exchange, RESPONSE_BODY));
    WEIR_TRY(write_out(exchange, weir_slice_of(NULL, 0), data));
    return NULL;
}

/* A head that is not the last one: only what the origin said, no framing. */
static weir_error *write_bare_head(struct exchange *exchange, const weir_http_head *head,
                                   bool upgrade)
{
    char small[SMALL_HEAD];
    weir_http_writer writer;

    weir_http_writer_init(&writer, small, sizeof small);
    weir_http_write_status_of(&writer, head);
    weir_http_write_end_to_end(&writer, head, UINT64_C(1) << WEIR_HTTP_CONTENT_LENGTH);
    if (upgrade && head->upgrade.len) {
        weir_http_write_raw(&writer, WEIR_SLICE("Connection: upgrade\r\n"));
        weir_http_write_field(&writer, WEIR_SLICE("Upgrade"), head->upgrade);
    }
    weir_http_write_end(&writer);
    if (weir_http_writer_failed(&writer))
        return weir_raise(WEIR_ELIMIT, "head of an interim response");
    exchange->bytes_out += writer.len;
    exchange->head_bytes_out += writer.len;
    return weir_transport_write(exchange->server->transport, weir_http_writer_slice(&writer));
}

weir_error *weir_http_respond_interim(weir_http *x, const weir_http_head *head)
{
    struct exchange *exchange = x->exchange;

    WEIR_TRY(check_open(exchange, RESPONSE_NONE));
    if (exchange->head.minor_version == 0 || (!head && !exchange->continue_pending) ||
        (head && head->status == 100 && exchange->continued))
        return NULL;
    if (!head || head->status == 100) {
        exchange->continue_pending = false;
        exchange->continued = true;
    }
    if (head) {
        WEIR_TRY(write_bare_head(exchange, head, false));
    } else {
        weir_slice go_on = WEIR_SLICE("HTTP/1.1 100 Continue\r\n\r\n");

        exchange->bytes_out += go_on.len;
        exchange->head_bytes_out += go_on.len;
        WEIR_TRY(weir_transport_write(exchange->server->transport, go_on));
    }
    return NULL;
}

static void tunnel_done(void *arg, int first, const weir_error *reason)
{
    struct exchange *exchange = arg;
    struct server *server = exchange->server;
    weir_transport *transport = server->transport;

    (void)first;
    exchange->tunnel = false;
    exchange->bytes_in = weir_transport_bytes_received(transport);
    exchange->bytes_out = weir_transport_bytes_sent(transport);
    server->lost = true;
    weir__http_exchange_end(exchange, reason);
    if (server->events->closed)
        server->events->closed(transport, server->arg);
    weir_transport_unref(transport);
}

weir_error *weir_http_upgrade(weir_http *x, const weir_http_head *head, weir_transport *other,
                              weir_slice rest)
{
    struct exchange *exchange = x->exchange;
    struct server *server = exchange->server;
    weir_slice early = {NULL, 0};
    weir_relay_options options = {.size = sizeof options, .done = tunnel_done, .arg = exchange};
    weir_error *error;

    WEIR_TRY(check_open(exchange, RESPONSE_NONE));
    if (exchange->request_phase != REQUEST_COMPLETE || server->processing)
        return weir_raise(WEIR_EBUSY, "an upgrade inside of the request");
    exchange->status = head->status;
    exchange->response_phase = RESPONSE_BODY;
    WEIR_TRY(write_bare_head(exchange, head, true));
    if (server->pending)
        WEIR_TRY(weir_buffer_linear(server->pending, &early));
    weir_transport_ref(server->transport);
    error = weir_relay_start(server->transport, early, other, rest, &options);
    if (error) {
        weir_transport_unref(server->transport);
        return weir_error_trace(error, WEIR_HERE);
    }
    exchange->tunnel = true;
    weir_transport_set_deadline(server->transport, WEIR_FOREVER);
    weir_callback_cancel(&exchange->settle);
    weir__http_server_drop_pending(server);
    return NULL;
}

void weir_http_fail(weir_http *x, int status, weir_outcome outcome, weir_error *take_error)
{
    struct exchange *exchange = x->exchange;
    char text[96];
    int len;
    weir_error *error;

    if (!exchange_is_live(exchange) || exchange->failed || exchange->tunnel) {
        weir_ignore(take_error);
        return;
    }
    exchange->failed = true;
    exchange->outcome = outcome;
    exchange->reason = take_error;
    if (exchange->response_phase == RESPONSE_NONE) {
        /* What was prepared for the response that does not come says nothing about this one. */
        exchange->changes = NULL;
        exchange->changes_tail = &exchange->changes;
        len = snprintf(text, sizeof text, "%d %s\n", status, weir_http_reason(status));
        error = weir_http_respond(&exchange->root, status, WEIR_SLICE("text/plain"),
                                  weir_slice_of(text, (size_t)len));
        if (!error)
            return;
        weir_ignore(error);
    }
    exchange->close_after = true;
    if (exchange->response_phase != RESPONSE_ENDED)
        exchange->aborted = true;
    weir__http_server_settle(exchange);
}
