/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies that are files. The transport sends them (weir_transport_send_file()); here stand the
 * accounts of the exchange: what was announced has to come, and who the sending belongs to may end
 * before it.
 */
#include "config.h"

#include "http/connection/exchange.h"

static void fail(struct exchange *exchange, weir_error *take_error)
{
    weir_http_fail(&exchange->root, 500, WEIR_OUTCOME_PLUGIN_ERROR, take_error);
}

/* A connection that is lost says so itself. */
static void end_body(struct exchange *exchange, weir_error *take_error)
{
    if (take_error && weir_transport_is_closing(exchange->server->transport))
        weir_ignore(take_error);
    else if (take_error)
        fail(exchange, take_error);
    else if (exchange->response_left)
        fail(exchange, weir_raise(WEIR_EINCOMPLETE, "a file became shorter while it was sent"));
    else
        weir_ignore(weir_http_respond_end(&exchange->root));
}

static void file_sent(weir_transport *transport, uint64_t sent, weir_error *take_error, void *arg)
{
    struct exchange *exchange = arg;
    struct server *server = exchange->server;

    (void)transport;
    exchange->file = false;
    exchange->bytes_out += sent;
    exchange->response_left -= sent;
    weir__http_server_enter(server);
    end_body(exchange, take_error);
    weir__http_server_leave(server);
}

void weir__http_file_stop(struct exchange *exchange)
{
    if (!exchange->file)
        return;
    exchange->file = false;
    exchange->bytes_out += weir_transport_cancel_file(exchange->server->transport);
}

weir_error *weir_http_respond_file(weir_http *x, int fd, uint64_t offset)
{
    struct exchange *exchange = x->exchange;
    weir_send_file_options options = {
        WEIR_SIZED(weir_send_file_options), .fd = fd,          .offset = offset,
        .length = exchange->response_left,  .done = file_sent, .arg = exchange};

    /* Is it the time for a body? */
    WEIR_TRY(weir_http_pass(x, WEIR_HTTP_RESPONSE, weir_slice_of(NULL, 0)));
    if (exchange->response_framing != AS_LENGTH && exchange->response_framing != AS_NOTHING)
        return weir_raise(WEIR_EINVAL, "a file as the body of a response without a length");
    if (exchange->response_framing == AS_NOTHING || !exchange->response_left)
        return weir_http_respond_end(x);
    WEIR_TRY(weir_transport_send_file(exchange->server->transport, &options));
    exchange->file = true;
    return NULL;
}
