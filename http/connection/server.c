/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server side of an HTTP/1.1 connection: bytes to exchanges, one at a time.
 *
 *   idle ──first byte──▶ head ──▶ body ──▶ (answered and complete) ──▶ idle
 *                          │        │
 *                          └─ refused or answered early ──▶ linger: the answer is flushed, what
 *                             still comes is dropped for a while, then the connection closes
 *
 * Bytes that come while they are not wanted (pipelining, a paused action) are put aside in a buffer
 * and reading stops. One timer serves all deadlines; it is restarted, never stopped, so that a
 * steady connection does not touch the heap.
 */
#include "config.h"

#include "http/connection/exchange.h"

#define PENDING_LIMIT ((size_t)1024 * 1024)

static const weir_protocol server_protocol;

static weir_duration or_default(weir_duration given, weir_duration otherwise)
{
    return given.ns > 0 ? given : otherwise;
}

static void arm_idle(struct server *server)
{
    weir_timer_start(&server->timer, or_default(server->options->idle_timeout, WEIR_S(75)));
}

void weir__http_server_enter(struct server *server)
{
    server->depth++;
}

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

/* The authority in lower case and the path as routes see it. */
static bool canonicalise(struct exchange *exchange)
{
    const weir_http_head *head = &exchange->head;
    char *host = weir__http_arena_alloc(&exchange->arena, head->host.len + head->path.len + 2);
    char *path = host ? host + head->host.len + 1 : NULL;
    const char *from = head->host.data;

    if (!host)
        return false;
    for (size_t i = 0; i < head->host.len; i++)
        host[i] = from[i] >= 'A' && from[i] <= 'Z' ? (char)(from[i] | 0x20) : from[i];
    exchange->authority = weir_slice_of(host, head->host.len);
    exchange->path = head->path;
    return head->path.len == 0 ||
           weir_http_path_normalise(head->path, path, head->path.len + 1, &exchange->path);
}

/* The head is complete: asks the owner where the request goes. */
static void request_begins(struct server *server, struct exchange *exchange)
{
    const weir_http_head *head = &exchange->head;
    const weir_http_server_options *options = server->options;
    weir_http_limits limits = weir__http_limits(options);
    weir_error *error;

    exchange->request_phase = REQUEST_BODY;
    exchange->continue_pending = head->expect_continue;
    if (!head->keep_alive || server->draining)
        exchange->close_after = true;
    weir_http_body_init(&exchange->body, head, &limits);
    if (!canonicalise(exchange)) {
        refuse(exchange, 400, weir_raise(WEIR_EPROTOCOL, "bad request: invalid path"));
        return;
    }
    if (options->max_body && head->framing == WEIR_HTTP_LENGTH &&
        head->content_length > options->max_body) {
        refuse(exchange, 413, weir_raise(WEIR_ELIMIT, "bad request: body is larger than max_body"));
        return;
    }
    error = server->events->request(&exchange->root, server->arg);
    if (error)
        weir_http_fail(exchange->begun ? &exchange->end : &exchange->root, 500,
                       WEIR_OUTCOME_PLUGIN_ERROR, weir_error_trace(error, WEIR_HERE));
    if (head->framing == WEIR_HTTP_NO_BODY ||
        (head->framing == WEIR_HTTP_LENGTH && head->content_length == 0)) {
        error = weir__http_exchange_body(exchange, weir_slice_of(NULL, 0), true);
        if (error)
            weir_http_fail(&exchange->end, 500, WEIR_OUTCOME_PLUGIN_ERROR, error);
    } else {
        weir_timer_start(&server->timer, or_default(options->body_timeout, WEIR_S(30)));
    }
}

/* Takes bytes of a head; returns how many. */
static size_t take_head(struct server *server, struct exchange *exchange, weir_slice data)
{
    weir_http_head *head = &exchange->head;
    size_t before = exchange->collected.len;
    weir_slice so_far = data;
    char *kept;

    if (before) {
        if (!weir__http_collect(&exchange->collected, data)) {
            refuse(exchange, 503, weir_raise(WEIR_ENOMEM, "head of a request"));
            return data.len;
        }
        so_far = weir_slice_of(exchange->collected.data, exchange->collected.len);
    }
    switch (weir_http_parse_request(head, so_far)) {
    case WEIR_HTTP_MORE:
        if (before)
            return data.len;
        weir_timer_start(&server->timer, or_default(server->options->header_timeout, WEIR_S(10)));
        if (!weir__http_collect(&exchange->collected, data))
            refuse(exchange, 503, weir_raise(WEIR_ENOMEM, "head of a request"));
        return data.len;
    case WEIR_HTTP_BAD:
        refuse_parse(exchange, head->error);
        return data.len;
    case WEIR_HTTP_DONE:
        break;
    }
    if (!before) {
        /* The bytes are the transport's until we return; the head is needed up to the end. */
        kept = weir__http_arena_alloc(&exchange->arena, head->length);
        if (!kept) {
            refuse(exchange, 503, weir_raise(WEIR_ENOMEM, "head of a request"));
            return data.len;
        }
        memcpy(kept, data.data, head->length);
        weir_http_head_moved(head, kept);
    }
    exchange->bytes_in += head->length;
    request_begins(server, exchange);
    return head->length - before;
}

static size_t take_body(struct server *server, struct exchange *exchange, weir_slice data)
{
    const weir_http_server_options *options = server->options;
    size_t used;
    weir_slice piece;
    weir_http_result result = weir_http_body_decode(&exchange->body, data, &used, &piece);
    weir_error *error;

    if (result == WEIR_HTTP_BAD) {
        refuse_parse(exchange, exchange->body.error);
        return data.len;
    }
    exchange->bytes_in += used;
    exchange->continue_pending = false;
    if (options->max_body && exchange->body.received > options->max_body) {
        refuse(exchange, 413, weir_raise(WEIR_ELIMIT, "bad request: body is larger than max_body"));
        return data.len;
    }
    if (result == WEIR_HTTP_MORE && used == 0) {
        server->need_more = true;
        return 0;
    }
    if (piece.len == 0 && result == WEIR_HTTP_MORE)
        return used;
    weir_timer_start(&server->timer, or_default(options->body_timeout, WEIR_S(30)));
    error = weir__http_exchange_body(exchange, piece, result == WEIR_HTTP_DONE);
    if (error)
        weir_http_fail(&exchange->end, 500, WEIR_OUTCOME_PLUGIN_ERROR, error);
    return used;
}

/* Looks at received bytes; returns how many it took, 0 when it takes none now. */
static size_t process(struct server *server, weir_slice data)
{
    struct exchange *exchange = server->exchange;

    if (server->lingering) {
        server->lingered += data.len;
        if (server->lingered > LINGER_BYTES)
            weir_transport_abort(server->transport, NULL);
        return data.len;
    }
    if (!exchange) {
        exchange = server->exchange = weir__http_exchange_new(server);
        if (!exchange) {
            weir_transport_abort(server->transport, weir_raise(WEIR_ENOMEM, "exchange"));
            return data.len;
        }
    }
    if (exchange->request_paused || exchange->tunnel)
        return 0;
    if (exchange->request_phase == REQUEST_HEAD)
        return take_head(server, exchange, data);
    if (exchange->request_phase == REQUEST_BODY)
        return take_body(server, exchange, data);
    return 0;
}

/* Keeps bytes for later; stops reading unless it is more bytes that are waited for. */
static weir_error *put_aside(struct server *server, weir_slice data)
{
    if (!server->pending)
        WEIR_TRY(weir_buffer_new(PENDING_LIMIT, &server->pending));
    WEIR_TRY(weir_buffer_append(server->pending, data));
    if (server->need_more)
        return NULL;
    server->reading_paused = true;
    weir_transport_pause_reading(server->transport);
    return NULL;
}

static weir_error *server_data_received(weir_transport *transport, void *state, weir_slice data)
{
    struct server *server = state;
    weir_error *error = NULL;

    (void)transport;
    weir__http_server_enter(server);
    while (data.len && !server->pending) {
        size_t used = process(server, data);

        if (used == 0)
            break;
        data = weir_slice_skip(data, used);
        /* A complete exchange ends before the next begins. */
        if (data.len && server->exchange && weir__http_exchange_finished(server->exchange))
            break;
    }
    if (data.len)
        error = put_aside(server, data);
    if (!error && server->need_more)
        weir__http_server_continue(server);
    weir__http_server_leave(server);
    return error ? weir_error_trace(error, WEIR_HERE) : NULL;
}

/* One step through what was put aside; false when nothing moves any more. */
static bool process_pending(struct server *server)
{
    weir_slice data;
    size_t used;

    if (!server->pending)
        return false;
    data = weir_buffer_first(server->pending);
    if (server->need_more) {
        weir_error *error = weir_buffer_linear(server->pending, &data);

        server->need_more = false;
        if (error) {
            weir_transport_abort(server->transport, error);
            return false;
        }
    }
    used = data.len ? process(server, data) : 0;
    if (used && server->pending)
        weir_buffer_consume(server->pending, used);
    if (server->pending && weir_buffer_size(server->pending) == 0) {
        weir_buffer_unref(server->pending);
        server->pending = NULL;
        return false;
    }
    return used > 0;
}

/* The client has sent its last byte, and all of them were looked at. */
static void input_ended(struct server *server)
{
    struct exchange *exchange = server->exchange;

    if (exchange && exchange->request_phase != REQUEST_COMPLETE && !exchange->failed) {
        exchange->outcome = WEIR_OUTCOME_CLIENT_GONE;
        weir_transport_abort(server->transport,
                             weir_raise(WEIR_EINCOMPLETE, "the client left inside its request"));
    } else if (!exchange) {
        weir_transport_close(server->transport);
    }
}

static void resume_reading(struct server *server)
{
    if ((server->pending && !server->need_more) ||
        (server->exchange && server->exchange->request_paused))
        return;
    server->reading_paused = false;
    weir_transport_resume_reading(server->transport);
}

void weir__http_server_continue(struct server *server)
{
    weir__http_server_enter(server);
    while (process_pending(server))
        if (server->exchange && weir__http_exchange_finished(server->exchange))
            break;
    resume_reading(server);
    if (server->eof && !server->pending)
        input_ended(server);
    weir__http_server_leave(server);
}

/* The answer is out and the connection is not to be used again. */
static void finish_connection(struct server *server, bool request_complete)
{
    if (request_complete || server->eof) {
        weir_transport_close(server->transport);
        return;
    }
    /* Closing with unread bytes would reset the connection and could take the answer with it. */
    server->lingering = true;
    if (server->pending) {
        weir_buffer_unref(server->pending);
        server->pending = NULL;
    }
    weir_ignore(weir_transport_write_eof(server->transport));
    weir_transport_resume_reading(server->transport);
    weir_timer_start(&server->timer, WEIR_S(LINGER_SECONDS));
}

/* Ends a connection whose response cannot be completed, so that the client notices: where only the
   end of the connection would end the body, by a reset. */
static void give_up(struct server *server, struct exchange *exchange)
{
    if (exchange->response_framing == AS_CLOSE)
        weir_transport_abort(server->transport, weir_raise(WEIR_EINCOMPLETE, "response cut short"));
    else
        weir_transport_close(server->transport);
}

/* Ends what has ended and begins what is waiting. Only at depth 0. */
static void settle(struct server *server)
{
    for (;;) {
        struct exchange *exchange = server->exchange;
        bool close, complete;

        if (!exchange || exchange->tunnel || server->lost)
            return;
        if (exchange->aborted) {
            give_up(server, exchange);
            return;
        }
        if (!weir__http_exchange_finished(exchange))
            return;
        close = exchange->close_after || server->draining;
        complete = exchange->request_phase == REQUEST_COMPLETE;
        weir__http_exchange_end(exchange, NULL);
        if (close) {
            finish_connection(server, complete);
            return;
        }
        arm_idle(server);
        if (!server->pending && !server->reading_paused && !server->eof)
            return;
        server->depth++;
        weir__http_server_continue(server);
        server->depth--;
    }
}

void weir__http_server_leave(struct server *server)
{
    if (server->depth == 1)
        settle(server);
    server->depth--;
}

static weir_error *settle_later(void *arg)
{
    struct server *server = arg;

    weir__http_server_enter(server);
    weir__http_server_leave(server);
    return NULL;
}

void weir__http_server_settle(struct server *server)
{
    if (server->depth == 0)
        weir_callback_schedule(&server->settle);
}

static weir_error *server_eof_received(weir_transport *transport, void *state, bool *ret_keep_open)
{
    struct server *server = state;

    (void)transport;
    server->eof = true;
    if (server->lingering || (!server->exchange && !server->pending))
        return NULL;
    *ret_keep_open = true;
    weir__http_server_enter(server);
    if (!server->pending)
        input_ended(server);
    weir__http_server_leave(server);
    return NULL;
}

static void server_pause_writing(weir_transport *transport, void *state)
{
    struct server *server = state;
    struct exchange *exchange = server->exchange;

    server->write_paused = true;
    server->sent_at_check = weir_transport_bytes_sent(transport);
    weir_timer_start(&server->timer, or_default(server->options->write_timeout, WEIR_S(30)));
    if (exchange && exchange->begun && exchange->end.action->pause)
        exchange->end.action->pause(&exchange->end, WEIR_HTTP_RESPONSE);
}

static void server_resume_writing(weir_transport *transport, void *state)
{
    struct server *server = state;
    struct exchange *exchange = server->exchange;

    (void)transport;
    server->write_paused = false;
    weir__http_server_enter(server);
    if (exchange && exchange->reader)
        weir__http_reader_unpause(exchange);
    if (exchange && exchange->begun && exchange->end.action->unpause)
        exchange->end.action->unpause(&exchange->end, WEIR_HTTP_RESPONSE);
    weir__http_server_leave(server);
}

static void server_connection_lost(weir_transport *transport, void *state, const weir_error *reason)
{
    struct server *server = state;
    struct exchange *exchange = server->exchange;

    (void)transport;
    server->lost = true;
    weir_timer_stop(&server->timer);
    weir_callback_cancel(&server->settle);
    if (exchange && (exchange->request_phase != REQUEST_HEAD || exchange->collected.len)) {
        if (exchange->outcome == WEIR_OUTCOME_OK && exchange->response_phase != RESPONSE_ENDED)
            exchange->outcome = WEIR_OUTCOME_CLIENT_GONE;
    }
    if (exchange)
        weir__http_exchange_end(exchange, reason);
    weir_buffer_unref(server->pending);
    server->pending = NULL;
    if (server->events->closed)
        server->events->closed(transport, server->arg);
}

/* A client that is too slow with its request. */
static void request_timed_out(struct server *server, struct exchange *exchange)
{
    exchange->close_after = true;
    weir__http_server_enter(server);
    weir_http_fail(exchange->begun ? &exchange->end : &exchange->root, 408,
                   WEIR_OUTCOME_CLIENT_TIMEOUT,
                   weir_raise(WEIR_ETIMEDOUT, "the client did not finish its request in time"));
    weir__http_server_leave(server);
}

static weir_error *server_timer(void *arg)
{
    struct server *server = arg;
    struct exchange *exchange = server->exchange;
    uint64_t sent = weir_transport_bytes_sent(server->transport);

    if (server->write_paused) {
        if (sent == server->sent_at_check) {
            if (exchange && exchange->outcome == WEIR_OUTCOME_OK)
                exchange->outcome = WEIR_OUTCOME_CLIENT_TIMEOUT;
            weir_transport_abort(server->transport, weir_raise(WEIR_ETIMEDOUT, "write"));
            return NULL;
        }
        server->sent_at_check = sent;
        weir_timer_start(&server->timer, or_default(server->options->write_timeout, WEIR_S(30)));
    } else if (server->lingering) {
        weir_transport_abort(server->transport, NULL);
    } else if (!exchange) {
        weir_transport_close(server->transport);
    } else if (exchange->aborted) {
        weir_transport_abort(server->transport, NULL);
    } else if (exchange->request_phase != REQUEST_COMPLETE && !exchange->request_paused) {
        request_timed_out(server, exchange);
    } else if (exchange->response_phase != RESPONSE_ENDED) {
        /* The response is its action's to bound; look again, so that a paused request is seen. */
        arm_idle(server);
    }
    return NULL;
}

static const weir_protocol server_protocol = {
    WEIR_SIZED(weir_protocol),
    .name = "http/1.1",
    .state_size = sizeof(struct server),
    .data_received = server_data_received,
    .eof_received = server_eof_received,
    .pause_writing = server_pause_writing,
    .resume_writing = server_resume_writing,
    .connection_lost = server_connection_lost,
};

weir_error *weir_http_serve(weir_transport *transport, const weir_http_server_options *options,
                            const weir_http_server_events *events, void *arg, weir_slice rest)
{
    weir_loop *loop = weir_transport_loop(transport);
    struct server *server;
    void *state;

    WEIR_TRY(weir_transport_set_protocol(transport, &server_protocol, options,
                                         weir_slice_of(NULL, 0), &state));
    server = state;
    server->transport = transport;
    server->options = options;
    server->events = events;
    server->arg = arg;
    weir_timer_init(&server->timer, loop, server_timer, server);
    weir_callback_init(&server->settle, loop, settle_later, server);
    arm_idle(server);
    if (rest.len)
        WEIR_TRY(server_data_received(transport, server, rest));
    if (!server->reading_paused)
        weir_transport_resume_reading(transport);
    return NULL;
}

void weir_http_server_set_options(weir_http *x, const weir_http_server_options *options)
{
    if (x->exchange->server)
        x->exchange->server->options = options;
}

void weir_http_server_drain(weir_transport *transport)
{
    struct server *server;

    if (weir_transport_protocol(transport) != &server_protocol)
        return;
    server = weir_transport_state(transport);
    if (server->lost)
        return;
    server->draining = true;
    if (!server->exchange && !server->lingering)
        weir_transport_close(transport);
    else if (server->exchange)
        server->exchange->close_after = true;
}
