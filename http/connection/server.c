/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server side of an HTTP/1.1 connection: bytes to exchanges, one at a time.
 *
 *   idle ──first byte──▶ head ──▶ body ──▶ (answered and complete) ──▶ idle
 *                          │        │
 *                          └─ refused or answered early ──▶ linger: the answer is flushed, what
 *                             still comes is dropped for a while, then the connection closes
 *
 * One deadline, the connection's, serves for all; it is put off, never stopped, so that a steady
 * connection does not touch the heap. Whether the transport reads is not switched here and there but follows from
 * the state, in weir__http_server_update_reading().
 */
#include "config.h"

#include "http/connection/exchange.h"

static const weir_protocol server_protocol;

/* At a multiple of 16, and what comes before it may end at one of 8. */
_Static_assert(sizeof(struct server) + 8 <= WEIR_HTTP_SERVER_ROOM, "as the header promises");

static void arm_idle(struct server *server)
{
    weir_transport_set_deadline(server->transport,
                                http_or_default(server->options->idle_timeout, WEIR_S(75)));
}

static void arm_write(struct server *server)
{
    server->sent_at_check = (uint32_t)weir_transport_bytes_sent(server->transport);
    weir_transport_set_deadline(server->transport,
                                http_or_default(server->options->write_timeout, WEIR_S(30)));
}

void weir__http_server_enter(struct server *server)
{
    server->depth++;
}

void weir__http_server_update_reading(struct server *server)
{
    const struct exchange *exchange = server->exchange;
    bool paused =
        ((server->pending && !server->need_more) || (exchange && exchange->request_paused)) &&
        !server->lingering;

    if (paused == server->reading_paused || server->lost || (exchange && exchange->tunnel))
        return;
    server->reading_paused = paused;
    if (paused)
        weir_transport_pause_reading(server->transport);
    else
        weir_transport_resume_reading(server->transport);
}

/* The client has sent its last byte, and all of them were looked at. */
static void input_ended(struct server *server)
{
    struct exchange *exchange = server->exchange;

    if (!exchange) {
        weir_transport_close(server->transport);
    } else if (exchange->request_phase != REQUEST_COMPLETE && !exchange->aborted) {
        if (exchange->outcome == WEIR_OUTCOME_OK)
            exchange->outcome = WEIR_OUTCOME_CLIENT_GONE;
        weir_transport_abort(server->transport,
                             weir_raise(WEIR_EINCOMPLETE, "the client left inside its request"));
    }
}

/* The answer is out and the connection is not to be used again. */
static void finish_connection(struct server *server, bool request_complete)
{
    if ((request_complete && !server->pending) || server->eof) {
        weir_transport_close(server->transport);
        return;
    }
    /* Closing with unread bytes would reset the connection and could take the answer with it. */
    server->lingering = true;
    weir__http_server_drop_pending(server);
    weir_ignore(weir_transport_write_eof(server->transport));
    server->sent_at_check = (uint32_t)weir_transport_bytes_sent(server->transport);
    weir_transport_set_deadline(server->transport, WEIR_S(LINGER_SECONDS));
}

/* Ends a connection whose response cannot be completed, so that the client notices: where only the
   end of the connection would end the body, by a reset. */
static void give_up(struct server *server, struct exchange *exchange)
{
    weir__http_file_stop(exchange);
    if (exchange->response_framing == AS_CLOSE)
        weir_transport_abort(server->transport, weir_raise(WEIR_EINCOMPLETE, "response cut short"));
    else
        weir_transport_close(server->transport);
}

/* Ends the exchange and what comes with that; false: the connection ends too. */
static bool end_exchange(struct server *server, struct exchange *exchange)
{
    bool close = exchange->close_after || server->draining;
    bool complete = exchange->request_phase == REQUEST_COMPLETE;

    weir__http_exchange_end(exchange, NULL);
    if (close)
        finish_connection(server, complete);
    else
        arm_idle(server);
    return !close;
}

/* Ends what has ended and begins what is waiting. Only at depth 1, so nothing comes in between. */
static void settle(struct server *server)
{
    struct exchange *exchange;

    while ((exchange = server->exchange)) {
        if (exchange->tunnel)
            return;
        if (exchange->aborted) {
            give_up(server, exchange);
            return;
        }
        if (exchange->response_phase == RESPONSE_ENDED)
            exchange->request_paused = false;
        if (weir__http_exchange_finished(exchange) ? !end_exchange(server, exchange)
                                                   : !weir__http_server_pending(server))
            break;
        if (!server->exchange)
            weir__http_server_pending(server);
    }
    if (server->eof && !server->pending && !server->lingering)
        input_ended(server);
    weir__http_server_update_reading(server);
}

void weir__http_server_leave(struct server *server)
{
    if (server->depth == 1 && !server->lost)
        settle(server);
    server->depth--;
}

weir_error *weir__http_settle_later(void *arg)
{
    struct exchange *exchange = arg;
    struct server *server = exchange->server;

    weir__http_server_enter(server);
    weir__http_server_leave(server);
    return NULL;
}

void weir__http_server_settle(struct exchange *exchange)
{
    if (exchange->server->depth == 0)
        weir_callback_schedule(&exchange->settle);
}

static weir_error *server_data_received(weir_transport *transport, void *state, weir_slice data)
{
    struct server *server = state;
    weir_error *error;

    (void)transport;
    weir__http_server_enter(server);
    error = weir__http_server_input(server, data);
    weir__http_server_leave(server);
    return error ? weir_error_trace(error, WEIR_HERE) : NULL;
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
    weir__http_server_leave(server);
    return NULL;
}

static void server_pause_writing(weir_transport *transport, void *state)
{
    struct server *server = state;
    struct exchange *exchange = server->exchange;

    (void)transport;
    server->write_paused = true;
    arm_write(server);
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
    if (!exchange)
        weir__http_server_pending(server);
    weir__http_server_leave(server);
}

static void server_connection_lost(weir_transport *transport, void *state, const weir_error *reason)
{
    struct server *server = state;
    struct exchange *exchange = server->exchange;
    weir_error *left = NULL;

    server->lost = true;
    if (exchange && !weir__http_exchange_finished(exchange)) {
        if (exchange->outcome == WEIR_OUTCOME_OK)
            exchange->outcome = WEIR_OUTCOME_CLIENT_GONE;
        if (!reason && !exchange->reason)
            reason = left = weir_raise(WEIR_ECLOSED, "the connection ended before the exchange");
    }
    if (exchange)
        weir__http_exchange_end(exchange, exchange->reason ? NULL : reason);
    weir_ignore(left);
    weir__http_server_drop_pending(server);
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

/* Output waits for a client that does not take it. */
static void write_stalls(struct server *server)
{
    struct exchange *exchange = server->exchange;

    if ((uint32_t)weir_transport_bytes_sent(server->transport) != server->sent_at_check) {
        arm_write(server);
        return;
    }
    if (exchange && exchange->outcome == WEIR_OUTCOME_OK)
        exchange->outcome = WEIR_OUTCOME_CLIENT_TIMEOUT;
    weir_transport_abort(server->transport,
                         weir_raise(WEIR_ETIMEDOUT, "the client does not take its response"));
}

static weir_error *server_deadline_reached(weir_transport *transport, void *state)
{
    struct server *server = state;
    struct exchange *exchange = server->exchange;

    (void)transport;
    if (server->write_paused ||
        (server->lingering && weir_transport_write_buffer_size(server->transport))) {
        write_stalls(server);
    } else if (server->lingering || !exchange) {
        weir_transport_close(server->transport);
    } else if (exchange->aborted) {
        weir_transport_abort(server->transport, NULL);
    } else if (exchange->request_phase != REQUEST_COMPLETE && !exchange->request_paused) {
        request_timed_out(server, exchange);
    } else {
        /* The response is its action's to bound; look again, so that a request is seen later. */
        arm_idle(server);
    }
    return NULL;
}

static void server_drain(weir_transport *transport, void *state)
{
    (void)state;
    weir_http_server_drain(transport);
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
    .deadline_reached = server_deadline_reached,
    .drain = server_drain,
};

weir_error *weir_http_serve(weir_transport *transport, const weir_http_server_options *options,
                            const weir_http_server_events *events, void *arg, weir_slice rest)
{
    struct server *server;
    void *state;

    WEIR_TRY(weir_transport_set_protocol(transport, &server_protocol, options,
                                         weir_slice_of(NULL, 0), &state));
    server = state;
    server->transport = transport;
    server->options = options;
    server->events = events;
    server->arg = arg;
    arm_idle(server);
    weir_transport_resume_reading(transport);
    if (rest.len)
        WEIR_TRY(server_data_received(transport, server, rest));
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
    if (server->exchange) {
        server->exchange->close_after = true;
        weir__http_server_settle(server->exchange);
    } else if (!server->lingering) {
        weir_transport_close(transport);
    }
}
