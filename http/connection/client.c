/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client side of an HTTP/1.1 connection: one request at a time, its response as events.
 *
 * Between requests it is small: what a response under way needs is a block of the per-thread pool
 * (block.c). A connection is reusable when request and response are complete, both sides keep it,
 * and not a byte came that nobody asked for.
 */
#include "config.h"

#include "http/connection/exchange.h"

/* Of a trailer section in pieces; the parser's own limit is lower. */
#define PENDING_LIMIT ((size_t)256 * 1024)

/* A response under way. */
struct response {
    struct block block; /* first: it is one */
    struct collected collected;
    weir_http_body body;
    weir_http_limits limits;
    weir_http_head head;
    weir_http_field fields[];
};

struct weir_http_client {
    weir_transport *transport;
    struct response *response;             /* NULL: no request is under way */
    const weir_http_client_events *events; /* NULL: nobody listens */
    void *arg;
    weir_timer timer;
    weir_duration timeout;
    uint64_t request_left; /* LENGTH: bytes of the request's body to come */
    uint8_t method;        /* weir_http_method */
    uint8_t request_framing;
    bool upgrade, request_sent, answered, head_done;
    bool paused, unusable, need_more;
    unsigned generation;  /* counts ends of requests: tells whether a callback ended this one */
    weir_buffer *pending; /* bytes of a trailer section that came in pieces; NULL: none */
};

/* Takes the block of the response that ends; the caller gives it back. */
static struct response *take_response(weir_http_client *client)
{
    struct response *response = client->response;

    client->events = NULL;
    client->response = NULL;
    client->need_more = false;
    client->generation++;
    if (client->paused) {
        client->paused = false;
        weir_transport_resume_reading(client->transport);
    }
    return response;
}

static void free_response(struct response *response)
{
    if (!response)
        return;
    weir__http_collected_done(&response->collected);
    weir__http_block_put(response);
}

/* The one end of a request without a whole response. Always takes the reason. */
static void fail(weir_http_client *client, weir_outcome outcome, weir_error *take_reason)
{
    const weir_http_client_events *events = client->events;
    void *arg = client->arg;
    struct response *response = take_response(client);

    client->unusable = true;
    weir_transport_abort(client->transport, NULL);
    if (events)
        events->failed(arg, outcome, take_reason);
    free_response(response);
    weir_ignore(take_reason);
}

/* Whether the connection is as good as new after this, its last byte. */
static void judge(weir_http_client *client, bool bytes_left)
{
    if (bytes_left || !client->request_sent || !client->response->head.keep_alive ||
        client->response->body.framing == WEIR_HTTP_UNTIL_CLOSE)
        client->unusable = true;
}

/* The next piece of body and, when nothing but the last chunk follows it, the end with it. */
static weir_http_result next_piece(weir_http_client *client, weir_slice *data, weir_slice *ret)
{
    weir_http_body *body = &client->response->body;
    weir_http_result result = WEIR_HTTP_MORE;
    weir_slice none;
    size_t used;

    *ret = weir_slice_of(NULL, 0);
    while (ret->len == 0 && result == WEIR_HTTP_MORE) {
        result = weir_http_body_decode(body, *data, &used, ret);
        *data = weir_slice_skip(*data, used);
        if (used == 0)
            return result;
    }
    while (result == WEIR_HTTP_MORE && weir_http_body_ahead(body) == 0 &&
           (weir_slice_equal(*data, WEIR_SLICE("\r\n0\r\n\r\n")) ||
            weir_slice_equal(*data, WEIR_HTTP_LAST_CHUNK) ||
            weir_slice_equal(*data, WEIR_SLICE("\r\n")))) {
        result = weir_http_body_decode(body, *data, &used, &none);
        *data = weir_slice_skip(*data, used);
        if (used == 0)
            break;
    }
    return result;
}

/* Delivers one piece of body, the head before the first; returns what is left of the data. */
static weir_slice deliver(weir_http_client *client, weir_slice data, bool with_head)
{
    struct response *response = client->response, *done = NULL;
    const weir_http_client_events *events = client->events;
    unsigned generation = client->generation;
    void *arg = client->arg;
    weir_slice piece;
    weir_http_result result = next_piece(client, &data, &piece);
    bool last = result == WEIR_HTTP_DONE;

    if (last) {
        judge(client, data.len > 0);
        done = take_response(client);
    }
    if (events && with_head)
        events->response(arg, &response->head, piece, last);
    else if (events && (piece.len || last))
        events->body(arg, piece, last);
    free_response(done);
    if (last || client->generation != generation)
        return weir_slice_of(NULL, 0);
    if (result == WEIR_HTTP_BAD) {
        fail(client, WEIR_OUTCOME_UPSTREAM_RESPONSE_BAD,
             weir_raise(WEIR_EPROTOCOL, "bad response: %s",
                        weir_http_error_text(response->body.error)));
        return weir_slice_of(NULL, 0);
    }
    /* Nothing came of these bytes: they make sense only with more behind them. */
    client->need_more = !piece.len && data.len;
    return data;
}

/* The final head is there, `rest` follows it. */
static weir_slice response_begins(weir_http_client *client, weir_slice rest)
{
    struct response *response = client->response;
    const weir_http_client_events *events = client->events;
    void *arg = client->arg;

    client->head_done = true;
    weir_http_body_init(&response->body, &response->head, &response->limits);
    if (response->head.framing != WEIR_HTTP_TUNNEL)
        return deliver(client, rest, true);
    client->unusable = true;
    take_response(client);
    weir_timer_stop(&client->timer); /* the connection gets another protocol, maybe now */
    if (events)
        events->response(arg, &response->head, rest, true);
    free_response(response);
    return weir_slice_of(NULL, 0);
}

/* Takes bytes of a head; returns what is left. */
static weir_slice take_head(weir_http_client *client, weir_slice data)
{
    struct response *response = client->response;
    weir_http_head *head = &response->head;
    size_t before = response->collected.len;
    unsigned generation = client->generation;
    weir_slice so_far = data;

    if (before) {
        if (!weir__http_collect(&response->collected, data)) {
            fail(client, WEIR_OUTCOME_UPSTREAM_RESPONSE_BAD, weir_raise(WEIR_ENOMEM, "head"));
            return weir_slice_of(NULL, 0);
        }
        so_far = weir_slice_of(response->collected.data, response->collected.len);
    }
    switch (
        weir_http_parse_response(head, so_far, (weir_http_method)client->method, client->upgrade)) {
    case WEIR_HTTP_MORE:
        if (!before && !weir__http_collect(&response->collected, data))
            fail(client, WEIR_OUTCOME_UPSTREAM_RESPONSE_BAD, weir_raise(WEIR_ENOMEM, "head"));
        return weir_slice_of(NULL, 0);
    case WEIR_HTTP_BAD:
        fail(client, WEIR_OUTCOME_UPSTREAM_RESPONSE_BAD,
             weir_raise(WEIR_EPROTOCOL, "bad response: %s", weir_http_error_text(head->error)));
        return weir_slice_of(NULL, 0);
    case WEIR_HTTP_DONE:
        break;
    }
    data = weir_slice_skip(data, head->length - before);
    if (head->status >= 200 || head->status == 101)
        return response_begins(client, data);
    if (client->events && client->events->interim)
        client->events->interim(client->arg, head);
    if (client->generation != generation)
        return weir_slice_of(NULL, 0);
    response->collected.len = 0;
    weir_http_head_init(head, response->fields, head->field_capacity, &response->limits);
    return data;
}

static weir_error *client_data_received(weir_transport *transport, void *state, weir_slice data)
{
    weir_http_client *client = state;
    weir_auto(weir_buffer) pending = WEIR_TAKE(client->pending);
    unsigned generation;
    weir_slice all = data;

    (void)transport;
    if (!client->response) {
        /* Nobody asked: what comes next could be taken for an answer. */
        client->unusable = true;
        weir_transport_abort(client->transport, NULL);
        return NULL;
    }
    client->answered = true;
    if (pending) {
        WEIR_TRY(weir_buffer_append(pending, data));
        WEIR_TRY(weir_buffer_linear(pending, &all));
        client->need_more = false;
    }
    generation = client->generation;
    while (all.len && client->generation == generation && !client->need_more)
        all = client->head_done ? deliver(client, all, false) : take_head(client, all);
    if (client->generation != generation)
        return NULL; /* the response has ended; the timer finds nothing to do */
    weir_timer_start(&client->timer, client->timeout);
    if (client->need_more) {
        WEIR_TRY(weir_buffer_new(PENDING_LIMIT, &client->pending));
        WEIR_TRY(weir_buffer_append(client->pending, all));
    }
    return NULL;
}

static weir_error *client_eof_received(weir_transport *transport, void *state, bool *ret_keep_open)
{
    weir_http_client *client = state;
    const weir_http_client_events *events = client->events;
    void *arg = client->arg;

    (void)transport;
    (void)ret_keep_open;
    client->unusable = true;
    if (!client->response)
        return NULL;
    if (!client->head_done || weir_http_body_eof(&client->response->body) != WEIR_HTTP_DONE) {
        fail(client, WEIR_OUTCOME_UPSTREAM_RESPONSE_TRUNCATED,
             weir_raise(WEIR_EINCOMPLETE, client->answered
                                              ? "the origin closed inside its response"
                                              : "the origin closed without a response"));
        return NULL;
    }
    free_response(take_response(client));
    if (events)
        events->body(arg, weir_slice_of(NULL, 0), true);
    return NULL;
}

static void client_pause_writing(weir_transport *transport, void *state)
{
    weir_http_client *client = state;

    (void)transport;
    if (client->events && client->events->pause)
        client->events->pause(client->arg);
}

static void client_resume_writing(weir_transport *transport, void *state)
{
    weir_http_client *client = state;

    (void)transport;
    if (client->events && client->events->unpause)
        client->events->unpause(client->arg);
}

static void client_connection_lost(weir_transport *transport, void *state, const weir_error *reason)
{
    weir_http_client *client = state;
    weir_outcome outcome = WEIR_OUTCOME_UPSTREAM_RESET;

    (void)transport;
    client->unusable = true;
    weir_timer_stop(&client->timer);
    weir_buffer_unref(client->pending);
    client->pending = NULL;
    if (!client->response)
        return;
    if (weir_error_is(reason, WEIR_ETIMEDOUT))
        outcome = WEIR_OUTCOME_UPSTREAM_RESPONSE_TIMEOUT;
    else if (weir_error_is(reason, WEIR_ETLSTRUNCATED) || !reason)
        outcome = WEIR_OUTCOME_UPSTREAM_RESPONSE_TRUNCATED;
    fail(client, outcome,
         reason ? weir_error_share(reason)
                : weir_raise(WEIR_EINCOMPLETE, "the connection to the origin ended"));
}

static weir_error *client_timer(void *arg)
{
    weir_http_client *client = arg;

    if (!client->response)
        return NULL;
    if (client->paused) {
        weir_timer_start(&client->timer, client->timeout);
        return NULL;
    }
    fail(client, WEIR_OUTCOME_UPSTREAM_RESPONSE_TIMEOUT,
         weir_raise(WEIR_ETIMEDOUT, "the origin did not answer in time"));
    return NULL;
}

static weir_error *client_connection_made(weir_transport *transport, void *state,
                                          const void *config)
{
    weir_http_client *client = state;

    (void)config;
    client->transport = transport;
    weir_timer_init(&client->timer, weir_transport_loop(transport), client_timer, client);
    return NULL;
}

const weir_protocol weir_http_client_protocol = {
    WEIR_SIZED(weir_protocol),
    .name = "http/1.1 client",
    .state_size = sizeof(weir_http_client),
    .connection_made = client_connection_made,
    .data_received = client_data_received,
    .eof_received = client_eof_received,
    .pause_writing = client_pause_writing,
    .resume_writing = client_resume_writing,
    .connection_lost = client_connection_lost,
};

/* Frames and writes body bytes behind `head` (may be empty). */
static weir_error *write_request(weir_http_client *client, weir_slice head, weir_slice data,
                                 bool last)
{
    char chunk_head[WEIR_HTTP_CHUNK_HEAD_MAX];
    weir_slice out[5];
    size_t n = 0;
    bool chunked = client->request_framing == WEIR_HTTP_CHUNKED;

    if (client->request_framing == WEIR_HTTP_LENGTH) {
        if (data.len > client->request_left || (last && data.len < client->request_left))
            return weir_raise(WEIR_EINVAL, "request body of another length than announced");
        client->request_left -= data.len;
    } else if (client->request_framing == WEIR_HTTP_NO_BODY && data.len) {
        return weir_raise(WEIR_EINVAL, "body of a request that announced none");
    }
    if (head.len)
        out[n++] = head;
    if (data.len && chunked)
        out[n++] = weir_slice_of(chunk_head, weir_http_chunk_head(chunk_head, data.len));
    if (data.len)
        out[n++] = data;
    if (data.len && chunked)
        out[n++] = WEIR_SLICE("\r\n");
    if (last && chunked)
        out[n++] = WEIR_HTTP_LAST_CHUNK;
    if (last)
        client->request_sent = true;
    return n ? weir__http_write(client->transport, out, n, NULL) : NULL;
}

weir_error *weir_http_client_send(weir_http_client *client, const weir_http_client_request *request,
                                  weir_slice head, weir_slice first_body, bool last,
                                  const weir_http_client_events *events, void *arg)
{
    uint16_t capacity = request->max_fields ? request->max_fields : DEFAULT_FIELDS;
    struct response *response;

    if (client->response)
        return weir_raise(WEIR_EBUSY, "a request is under way");
    if (client->unusable)
        return weir_raise(WEIR_ECLOSED, "the connection is at its end");
    response = weir__http_block_get(sizeof *response + capacity * sizeof(weir_http_field));
    if (!response)
        return weir_raise(WEIR_ENOMEM, "response");
    response->collected = (struct collected){0};
    response->limits = request->limits ? *request->limits : (weir_http_limits){0};
    weir_http_head_init(&response->head, response->fields, capacity, &response->limits);
    client->method = (uint8_t)request->method;
    client->upgrade = request->upgrade;
    client->request_framing = (uint8_t)request->framing;
    client->request_left = request->content_length;
    client->request_sent = client->answered = client->head_done = client->paused = false;
    client->timeout = request->response_timeout.ns > 0 ? request->response_timeout : WEIR_S(60);
    client->response = response;
    client->events = events;
    client->arg = arg;
    {
        weir_error *error = write_request(client, head, first_body, last);

        if (error) {
            client->unusable = true;
            free_response(take_response(client));
            return weir_error_trace(error, WEIR_HERE);
        }
    }
    weir_timer_start(&client->timer, client->timeout);
    weir_transport_resume_reading(client->transport);
    return NULL;
}

weir_error *weir_http_client_send_body(weir_http_client *client, weir_slice data, bool last)
{
    if (!client->response)
        return weir_raise(WEIR_ECLOSED, "no request is under way");
    weir_timer_start(&client->timer, client->timeout);
    WEIR_TRY(write_request(client, weir_slice_of(NULL, 0), data, last));
    return NULL;
}

void weir_http_client_pause(weir_http_client *client)
{
    if (!client->response)
        return;
    client->paused = true;
    weir_transport_pause_reading(client->transport);
}

void weir_http_client_unpause(weir_http_client *client)
{
    if (!client->paused)
        return;
    client->paused = false;
    weir_timer_start(&client->timer, client->timeout);
    weir_transport_resume_reading(client->transport);
}

void weir_http_client_detach(weir_http_client *client)
{
    if (!client->response)
        return;
    client->unusable = true;
    free_response(take_response(client));
}

bool weir_http_client_reusable(const weir_http_client *client)
{
    return !client->unusable && !client->response;
}

bool weir_http_client_answered(const weir_http_client *client)
{
    return client->answered;
}
