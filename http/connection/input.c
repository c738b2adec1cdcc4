/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client sends: bytes to heads and bodies.
 *
 * Bytes that come while they are not wanted (pipelining, a paused action, a client that does not
 * read its responses) are kept in a buffer, and reading stops; so does not reading when it is more
 * bytes that are waited for. process() is the one place that decides whether bytes are wanted, and
 * does not run inside itself: who unpauses from within is served by the loop around it.
 */
#include "config.h"

#include "http/connection/exchange.h"

#define PENDING_LIMIT ((size_t)1024 * 1024)
#define SHORT_HEAD    ((size_t)1024)

/* Answers a request that cannot be taken, and closes. */
static void refuse(struct exchange *exchange, int status, weir_error *take_error)
{
    exchange->close_after = true;
    weir_http_fail(&exchange->root, status, WEIR_OUTCOME_CLIENT_BAD_REQUEST, take_error);
}

static void refuse_parse(struct exchange *exchange, weir_http_error error)
{
    refuse(exchange, weir_http_error_status(error),
           weir_raise(WEIR_EPROTOCOL, "bad request: %s", weir_http_error_text(error)));
}

static void refuse_large(struct exchange *exchange)
{
    refuse(exchange, 413, weir_raise(WEIR_ELIMIT, "bad request: body is larger than max_body"));
}

bool weir__http_canonicalise(struct exchange *exchange)
{
    const weir_http_head *head = &exchange->head;
    char *host = weir__http_arena_take(&exchange->arena, head->host.len + head->path.len + 2);
    char *path = host ? host + head->host.len + 1 : NULL;

    if (!host)
        return false;
    exchange->authority_room = host;
    exchange->path = head->path;
    return head->path.len == 0 ||
           weir_http_path_normalise(head->path, path, head->path.len + 1, &exchange->path);
}

void weir__http_server_arm_body(struct server *server)
{
    weir_transport_set_deadline(server->transport,
                                http_or_default(server->options->body_timeout, WEIR_S(30)));
}

/* Hands body on; an error is the action's. */
static void give_body(struct exchange *exchange, weir_slice data, bool last)
{
    weir_error *error = weir__http_exchange_body(exchange, data, last);

    if (error)
        weir_http_fail(&exchange->end, 500, WEIR_OUTCOME_PLUGIN_ERROR, error);
}

/* The head is complete: asks the owner where the request goes. */
static void request_begins(struct server *server, struct exchange *exchange)
{
    const weir_http_head *head = &exchange->head;
    uint64_t max_body = server->options->max_body;
    weir_http_limits limits = weir__http_limits(server->options);
    weir_error *error;

    exchange->request_phase = REQUEST_BODY;
    exchange->continue_pending = head->expect_continue;
    /* After a CONNECT the client may send what is meant for somebody else. */
    if (!head->keep_alive || server->draining || head->method == WEIR_HTTP_CONNECT)
        exchange->close_after = true;
    weir_http_body_init(&exchange->body, head, &limits);
    if (!weir__http_canonicalise(exchange)) {
        refuse(exchange, 400, weir_raise(WEIR_EPROTOCOL, "bad request: invalid path"));
        return;
    }
    if (max_body && head->framing == WEIR_HTTP_LENGTH && head->content_length > max_body) {
        refuse_large(exchange);
        return;
    }
    error = server->events->request(&exchange->root, server->arg);
    if (error)
        weir_http_fail(exchange->begun ? &exchange->end : &exchange->root, 500,
                       WEIR_OUTCOME_PLUGIN_ERROR, weir_error_trace(error, WEIR_HERE));
    if (head->framing == WEIR_HTTP_NO_BODY ||
        (head->framing == WEIR_HTTP_LENGTH && head->content_length == 0))
        give_body(exchange, weir_slice_of(NULL, 0), true);
    else
        weir__http_server_arm_body(server);
}

static weir_http_result parse_collected(struct exchange *exchange)
{
    return weir_http_parse_request(
        &exchange->head, weir_slice_of(exchange->collected.data, exchange->collected.len));
}

/* A first piece of a head that is not whole, or bad: keeps it, and reads it again from where it
   stays, so that nothing of the head points to bytes that go away. */
static weir_http_result keep_first_piece(struct server *server, struct exchange *exchange,
                                         weir_slice data)
{
    weir_http_head *head = &exchange->head;
    weir_http_limits limits = weir__http_limits(server->options);

    weir_transport_set_deadline(server->transport,
                                http_or_default(server->options->header_timeout, WEIR_S(10)));
    weir_http_head_init(head, exchange->fields, head->field_capacity, &limits);
    return weir__http_collect(&exchange->collected, data) ? parse_collected(exchange)
                                                          : WEIR_HTTP_BAD;
}

/* A whole head in one piece. The bytes are the transport's until we return; the head is needed up
   to the end. */
static bool keep_head(struct exchange *exchange, weir_slice data)
{
    char *kept = weir__http_arena_take(&exchange->arena, exchange->head.length);

    if (!kept)
        return false;
    memcpy(kept, data.data, exchange->head.length);
    weir_http_head_moved(&exchange->head, kept);
    return true;
}

/* What is short is copied before it is parsed, so that nothing has to be moved afterwards. */
static weir_http_result parse_first_piece(struct server *server, struct exchange *exchange,
                                          weir_slice data, bool *ret_kept)
{
    char *copy = data.len <= SHORT_HEAD ? weir__http_arena_take(&exchange->arena, data.len) : NULL;
    weir_http_result result;

    if (copy)
        memcpy(copy, data.data, data.len);
    result =
        weir_http_parse_request(&exchange->head, weir_slice_of(copy ? copy : data.data, data.len));
    *ret_kept = true;
    if (result != WEIR_HTTP_DONE)
        return keep_first_piece(server, exchange, data);
    if (!copy)
        *ret_kept = keep_head(exchange, data);
    return result;
}

/* Takes bytes of a head; returns how many. */
static size_t take_head(struct server *server, struct exchange *exchange, weir_slice data)
{
    weir_http_head *head = &exchange->head;
    size_t before = exchange->collected.len;
    weir_http_result result;
    bool kept = true;

    if (before) {
        kept = weir__http_collect(&exchange->collected, data);
        result = kept ? parse_collected(exchange) : WEIR_HTTP_BAD;
    } else {
        result = parse_first_piece(server, exchange, data, &kept);
    }
    if (!kept || (result == WEIR_HTTP_BAD && !head->error)) {
        refuse(exchange, 503, weir_raise(WEIR_ENOMEM, "head of a request"));
        return data.len;
    }
    if (result == WEIR_HTTP_MORE)
        return data.len;
    if (result == WEIR_HTTP_BAD) {
        refuse_parse(exchange, head->error);
        return data.len;
    }
    exchange->bytes_in += head->length;
    request_begins(server, exchange);
    return head->length - before;
}

static size_t take_body(struct server *server, struct exchange *exchange, weir_slice data)
{
    uint64_t max_body = server->options->max_body;
    size_t used;
    weir_slice piece;
    weir_http_result result = weir_http_body_decode(&exchange->body, data, &used, &piece);

    if (result == WEIR_HTTP_BAD) {
        refuse_parse(exchange, exchange->body.error);
        return data.len;
    }
    exchange->bytes_in += used;
    exchange->continue_pending = false;
    if (max_body && exchange->body.received > max_body) {
        refuse_large(exchange);
        return data.len;
    }
    if (result == WEIR_HTTP_MORE && used == 0) {
        server->need_more = true;
        return 0;
    }
    if (piece.len == 0 && result == WEIR_HTTP_MORE)
        return used;
    weir__http_server_arm_body(server);
    give_body(exchange, piece, result == WEIR_HTTP_DONE);
    return used;
}

/* Looks at received bytes; returns how many it took, 0 when it takes none now. */
static size_t process(struct server *server, weir_slice data)
{
    struct exchange *exchange = server->exchange;

    if (server->lingering) {
        if (data.len > LINGER_BYTES - server->lingered)
            weir_transport_close(server->transport);
        else
            server->lingered += (uint32_t)data.len;
        return data.len;
    }
    if (!exchange) {
        /* Who does not take his responses gets no further ones. */
        if (server->write_paused)
            return 0;
        exchange = server->exchange = weir__http_exchange_new(server);
        if (!exchange) {
            weir_transport_abort(server->transport, weir_raise(WEIR_ENOMEM, "exchange"));
            return data.len;
        }
    }
    if (exchange->request_paused || exchange->tunnel || exchange->aborted ||
        weir__http_exchange_finished(exchange))
        return 0;
    if (exchange->request_phase == REQUEST_HEAD)
        return take_head(server, exchange, data);
    if (exchange->request_phase == REQUEST_BODY)
        return take_body(server, exchange, data);
    return 0;
}

/* Everything that is wanted now; returns the rest. */
static weir_slice process_all(struct server *server, weir_slice data)
{
    size_t used = 1;

    server->processing = true;
    server->need_more = false;
    while (data.len && used) {
        used = process(server, data);
        data = weir_slice_skip(data, used);
    }
    server->processing = false;
    return data;
}

void weir__http_server_drop_pending(struct server *server)
{
    weir_buffer_unref(server->pending);
    server->pending = NULL;
    server->need_more = false;
}

weir_error *weir__http_server_input(struct server *server, weir_slice data)
{
    bool first = !server->pending;

    if (first)
        data = process_all(server, data);
    if (!data.len)
        return NULL;
    if (first)
        WEIR_TRY(weir_buffer_new(PENDING_LIMIT, &server->pending));
    WEIR_TRY(weir_buffer_append(server->pending, data));
    if (!first)
        weir__http_server_pending(server);
    return NULL;
}

bool weir__http_server_pending(struct server *server)
{
    weir_slice data, rest;
    weir_error *error;

    if (!server->pending || server->processing)
        return false;
    error = weir_buffer_linear(server->pending, &data);
    if (error) {
        weir_transport_abort(server->transport, error);
        return false;
    }
    rest = process_all(server, data);
    if (rest.len)
        weir_buffer_consume(server->pending, data.len - rest.len);
    else
        weir__http_server_drop_pending(server);
    return rest.len < data.len;
}
