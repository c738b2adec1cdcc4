/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The action `proxy`: leases a connection to a server of an upstream, sends the request on, and
 * passes the response back as it comes.
 *
 *   start ──▶ lease ──▶ send head ──▶ response head ──▶ body ──▶ end, connection back to its pool
 *     ▲         │            │
 *     └─ retry ─┴────────────┘   nothing was sent, or nothing came back and the request may be
 *                                sent twice
 *
 * Bodies are never collected: the client's request is paused until there is a connection and while
 * the origin does not read; the origin's response is paused while the client does not.
 */
#include <stdlib.h>

#include <weir/callback.h>
#include <weir/config.h>
#include <weir/proxy-protocol.h>

#include "plugins/http/http.h"

struct proxy_config {
    weir_upstream *upstream;
    weir_duration idle_timeout;
    int proxy_protocol; /* weir_proxy_version; 0: off */
};

static const char *const proxy_versions[] = {"off", "v1", "v2", NULL};

WEIR_OPTIONS(proxy_options,
             WEIR_OPTION_REF(struct proxy_config, upstream, "upstream", NULL,
                             "Upstream, or address or URL of a server", .address = true),
             WEIR_OPTION_DURATION(struct proxy_config, idle_timeout, "1h",
                                  "Close an upgraded connection after this long without a byte"),
             WEIR_OPTION_ENUM(struct proxy_config, proxy_protocol, proxy_versions, "off",
                              "Tell the server who the client is, in a PROXY header: each request "
                              "then has a connection of its own"));

const weir_upstream_protocol http_upstream_protocol = {
    WEIR_SIZED(weir_upstream_protocol), .name = "http", .protocol = &weir_http_client_protocol,
    .hash_keys = http_hash_keys};

/* The state of an exchange. */
struct proxy {
    weir_http *x;
    struct http_connection *connection;
    weir_loop *loop;
    weir_lease *lease;
    weir_http_client *client; /* a request is under way on it */
    int64_t started_ns;
    bool has_body;   /* the request has one, so it can be sent only once */
    bool body_begun; /* some of it was taken from the client */
    bool cork_end;   /* the end of the response takes bytes of its own */
    bool expects;    /* the client waits for 100; then the timer is initialised */
    weir_timer patience;
};

static const weir_http_client_events client_events;

static int64_t now_ns(const struct proxy *proxy)
{
    return weir_loop_time(proxy->loop).ns;
}

static int status_of(weir_outcome outcome)
{
    switch (outcome) {
    case WEIR_OUTCOME_UPSTREAM_CONNECT_TIMEOUT:
    case WEIR_OUTCOME_UPSTREAM_RESPONSE_TIMEOUT:
        return 504;
    case WEIR_OUTCOME_UPSTREAM_NONE_AVAILABLE:
    case WEIR_OUTCOME_LIMIT_CONNECTIONS:
        return 503;
    default:
        return 502;
    }
}

/* Gives the connection back. */
static void release(struct proxy *proxy, weir_outcome outcome)
{
    weir_lease *lease = proxy->lease;
    weir_http_client *client = proxy->client;
    bool reusable = false;

    proxy->lease = NULL;
    proxy->client = NULL;
    if (!lease)
        return;
    proxy->connection->notes->retries = weir_lease_retries(lease);
    if (client) {
        reusable = weir_http_client_reusable(client);
        if (!reusable)
            weir_http_client_detach(client);
        else if (((const struct proxy_config *)weir_http_config(proxy->x))->proxy_protocol)
            weir_transport_close(weir_lease_transport(lease)); /* it belongs to one client */
    }
    weir_lease_release(lease, outcome, reusable);
}

static void give_up(struct proxy *proxy, weir_outcome outcome, weir_error *take_error)
{
    release(proxy, outcome);
    weir_http_fail(proxy->x, status_of(outcome), outcome, take_error);
}

/* A list's items, each with a comma behind it, for one more to follow. */
static size_t list_size(const weir_http_head *head, weir_http_name name)
{
    size_t size = 0;

    for (const weir_http_field *field = NULL; (field = weir_http_head_next(head, name, field));)
        size += field->value_len + 2;
    return size;
}

static char *put_list(char *to, const weir_http_head *head, weir_http_name name)
{
    for (const weir_http_field *field = NULL; (field = weir_http_head_next(head, name, field));) {
        to = weir_http_put(to, weir_http_field_value(field));
        to = weir_http_put(to, WEIR_SLICE(", "));
    }
    return to;
}

/* Longest constant text in what says who the client is. */
#define FORWARDED_TEXT                                                                \
    (sizeof "X-Forwarded-For: \r\nX-Forwarded-Host: \r\nX-Forwarded-Proto: https\r\n" \
            "Forwarded: for=\"[]\";proto=https\r\nVia: 1.1 weir\r\n")

/* Who the client is, for the origin. Everything here was checked when it was parsed. */
static void write_forwarded(weir_http_writer *writer, const struct proxy *proxy,
                            const weir_http_head *head)
{
    weir_slice ip = weir_transport_peer_ip(proxy->connection->transport);
    bool tls = weir_http_request_scheme(proxy->x).len == 5;
    bool trusted = http_peer_is_trusted(proxy->connection);
    bool v6 = ip.len && memchr(ip.data, ':', ip.len);
    size_t lists =
        trusted ? list_size(head, WEIR_HTTP_X_FORWARDED_FOR) + list_size(head, WEIR_HTTP_FORWARDED)
                : 0;
    char *to;

    if (!ip.len)
        ip = WEIR_SLICE("unknown");
    to = weir_http_writer_room(writer, FORWARDED_TEXT + lists + 2 * ip.len + head->host.len);
    if (!to)
        return;
    to = weir_http_put(to, WEIR_SLICE("X-Forwarded-For: "));
    if (trusted)
        to = put_list(to, head, WEIR_HTTP_X_FORWARDED_FOR);
    to = weir_http_put(to, ip);
    if (head->host.len) {
        to = weir_http_put(to, WEIR_SLICE("\r\nX-Forwarded-Host: "));
        to = weir_http_put(to, head->host);
    }
    to = weir_http_put(to, WEIR_SLICE("\r\nX-Forwarded-Proto: http"));
    to = weir_http_put(to, tls ? WEIR_SLICE("s\r\nForwarded: ") : WEIR_SLICE("\r\nForwarded: "));
    if (trusted)
        to = put_list(to, head, WEIR_HTTP_FORWARDED);
    to = weir_http_put(to, v6 ? WEIR_SLICE("for=\"[") : WEIR_SLICE("for="));
    to = weir_http_put(to, ip);
    if (v6)
        to = weir_http_put(to, WEIR_SLICE("]\""));
    to = weir_http_put(to, WEIR_SLICE(";proto=http"));
    if (tls)
        *to++ = 's';
    to = weir_http_put(to, WEIR_SLICE("\r\nVia: 1."));
    *to++ = head->minor_version ? '1' : '0';
    weir_http_writer_done(writer, weir_http_put(to, WEIR_SLICE(" weir\r\n")));
}

/* Whether the request may switch protocols. Never to HTTP/2 (RFC 7540 3.2), whose requests would
   pass by routes and filters unseen. */
static bool may_upgrade(const weir_http_head *head)
{
    weir_slice rest = head->upgrade, item;

    if (!head->upgrade_asked)
        return false;
    while (weir_http_list_next(&rest, &item))
        if (weir_slice_equal_nocase(item, WEIR_SLICE("h2c")) ||
            weir_slice_equal_nocase(item, WEIR_SLICE("h2")) ||
            weir_slice_starts_with(item, WEIR_SLICE("HTTP/")))
            return false;
    return true;
}

/* Max-Forwards, which counts for OPTIONS and TRACE only (RFC 9110 7.6.2); -1: none. */
static int64_t forwards_left(const weir_http_head *head)
{
    const weir_http_field *field = weir_http_head_field(head, WEIR_HTTP_MAX_FORWARDS);
    int64_t left = 0;

    if (!field || (head->method != WEIR_HTTP_OPTIONS && head->method != WEIR_HTTP_TRACE) ||
        field->value_len == 0 || field->value_len > 18)
        return -1;
    for (uint32_t i = 0; i < field->value_len; i++) {
        if (field->value[i] < '0' || field->value[i] > '9')
            return -1;
        left = left * 10 + (field->value[i] - '0');
    }
    return left;
}

/* How long a client that waits for 100 is left to the origin, which may not know of it. */
#define EXPECT_PATIENCE WEIR_S(1)

#define BIT(name) (UINT64_C(1) << WEIR_HTTP_##name)
/* What we say ourselves. */
#define REPLACED                                                                 \
    (BIT(HOST) | BIT(FORWARDED) | BIT(X_FORWARDED_FOR) | BIT(X_FORWARDED_HOST) | \
     BIT(X_FORWARDED_PROTO) | BIT(X_FORWARDED_PORT) | BIT(X_REAL_IP))

/* With the target as received (RFC 9110 7.7), not as routes saw it, in origin form; and Host. */
static void write_request_line(weir_http_writer *writer, const weir_http_head *head,
                               weir_slice host)
{
    char *to =
        weir_http_writer_room(writer, head->method_text.len + head->path.len + head->query.len +
                                          host.len + sizeof " ? HTTP/1.1\r\nHost: \r\n");

    if (!to)
        return;
    to = weir_http_put(to, head->method_text);
    *to++ = ' ';
    to = weir_http_put(to, head->path);
    if (head->has_query) {
        *to++ = '?';
        to = weir_http_put(to, head->query);
    }
    to = weir_http_put(to, WEIR_SLICE(" HTTP/1.1\r\nHost: "));
    to = weir_http_put(to, host);
    weir_http_writer_done(writer, weir_http_put(to, WEIR_SLICE("\r\n")));
}

static void write_request(weir_http_writer *writer, const struct proxy *proxy)
{
    const weir_http_head *head = weir_http_request_head(proxy->x);
    int64_t forwards = forwards_left(head);

    write_request_line(writer, head,
                       head->host.len ? head->host
                                      : weir_slice_str(weir_lease_server(proxy->lease)));
    weir_http_write_end_to_end(writer, head,
                               forwards > 0 ? REPLACED | BIT(MAX_FORWARDS) : REPLACED);
    if (forwards > 0)
        weir_http_write_field_uint(writer, WEIR_SLICE("Max-Forwards"), (uint64_t)forwards - 1);
    write_forwarded(writer, proxy, head);
    if (head->framing == WEIR_HTTP_CHUNKED)
        weir_http_write_raw(writer, WEIR_SLICE("Transfer-Encoding: chunked\r\n"));
    if (may_upgrade(head)) {
        weir_http_write_raw(writer, WEIR_SLICE("Connection: upgrade\r\n"));
        weir_http_write_field(writer, WEIR_SLICE("Upgrade"), head->upgrade);
    }
    weir_http_write_end(writer);
}

static weir_error *send_request(struct proxy *proxy)
{
    const struct proxy_config *config = weir_http_config(proxy->x);
    const weir_http_head *head = weir_http_request_head(proxy->x);
    weir_http_client_request request = {
        .size = sizeof request,
        .method = (weir_http_method)head->method,
        .upgrade = may_upgrade(head),
        .framing = (weir_http_framing)head->framing,
        .content_length = head->content_length,
        .response_timeout = weir_upstream_response_timeout(config->upstream),
    };
    char small[4096], *large = NULL;
    size_t size = head->length + 2 * head->host.len + 512;
    weir_http_writer writer;
    weir_error *error;

    /* Lists put together from several fields; what they take twice is room enough for the rest. */
    if (weir_http_head_has(head, WEIR_HTTP_X_FORWARDED_FOR) ||
        weir_http_head_has(head, WEIR_HTTP_FORWARDED))
        size += head->length;
    if (size > sizeof small) {
        large = malloc(size);
        if (!large)
            return weir_raise(WEIR_ENOMEM, "head of a request");
    }
    weir_http_writer_init(&writer, large ? large : small, large ? size : sizeof small);
    write_request(&writer, proxy);
    if (weir_http_writer_failed(&writer))
        error = weir_raise(WEIR_EINVAL, "the head of the request cannot be written");
    else
        error =
            weir_http_client_send(proxy->client, &request, weir_http_writer_slice(&writer),
                                  weir_slice_of(NULL, 0), !proxy->has_body, &client_events, proxy);
    free(large);
    return error ? weir_error_trace(error, WEIR_HERE) : NULL;
}

/* Who the client is, before the first byte of the request. */
static weir_error *introduce(const struct proxy *proxy)
{
    const struct proxy_config *config = weir_http_config(proxy->x);

    if (!config->proxy_protocol)
        return NULL;
    return weir_proxy_introduce(weir_lease_transport(proxy->lease),
                                (weir_proxy_version)config->proxy_protocol,
                                proxy->connection->transport);
}

static void lease_done(weir_lease *lease, weir_error *take_error, void *arg)
{
    struct proxy *proxy = arg;
    struct http_connection *connection = proxy->connection;
    weir_error *refused;
    weir_outcome outcome;

    connection->notes->server = weir_lease_server(lease);
    if (!take_error) {
        connection->notes->connect_ns = now_ns(proxy) - proxy->started_ns;
        proxy->client = weir_lease_state(lease);
        take_error = introduce(proxy);
        if (!take_error)
            take_error = send_request(proxy);
        if (!take_error) {
            if (proxy->expects)
                weir_timer_start(&proxy->patience, EXPECT_PATIENCE);
            if (proxy->has_body)
                weir_http_unpause(proxy->x, WEIR_HTTP_REQUEST);
            return;
        }
        proxy->client = NULL;
        outcome = WEIR_OUTCOME_UPSTREAM_RESET;
    } else {
        outcome = weir_outcome_of_connect(take_error);
    }
    /* Nothing of the request has reached a server, so any may be sent elsewhere. */
    refused = weir_lease_retry(lease, outcome);
    if (!refused) {
        weir_ignore(take_error);
        return;
    }
    weir_ignore(refused);
    give_up(proxy, outcome, take_error);
}

static void on_interim(void *arg, const weir_http_head *head)
{
    struct proxy *proxy = arg;

    weir_ignore(weir_http_respond_interim(proxy->x, head));
}

/* A write to the client failed: it is gone, and the exchange ends by itself. */
static void drop_client(struct proxy *proxy, weir_error *take_error)
{
    give_up(proxy, WEIR_OUTCOME_CLIENT_GONE, take_error);
}

static void respond_end(struct proxy *proxy)
{
    weir_error *error;

    release(proxy, WEIR_OUTCOME_OK);
    error = weir_http_respond_end(proxy->x);
    if (error)
        weir_ignore(error);
}

/* The origin switched: the connections are joined. */
static void upgrade(struct proxy *proxy, const weir_http_head *head, weir_slice first_bytes)
{
    const struct proxy_config *config = weir_http_config(proxy->x);
    weir_transport *origin = weir_lease_transport(proxy->lease);
    weir_error *error;

    proxy->client = NULL;
    weir_transport_set_idle_timeout(origin, config->idle_timeout);
    error = weir_http_upgrade(proxy->x, head, origin, first_bytes);
    if (error)
        give_up(proxy, WEIR_OUTCOME_UPSTREAM_RESPONSE_BAD, error);
}

static void on_response(void *arg, const weir_http_head *head, weir_slice first_body, bool last)
{
    struct proxy *proxy = arg;
    struct http_connection *connection = proxy->connection;
    /* With a length the end takes no bytes; else the last chunk goes with the data. */
    bool cork = head->framing == WEIR_HTTP_CHUNKED || head->framing == WEIR_HTTP_UNTIL_CLOSE;
    weir_error *error;

    connection->notes->first_byte_ns = now_ns(proxy) - proxy->started_ns;
    if (head->framing == WEIR_HTTP_TUNNEL) {
        upgrade(proxy, head, first_body);
        return;
    }
    proxy->cork_end = cork;
    if (last && cork)
        weir_transport_cork(connection->transport);
    error = weir_http_respond_message(proxy->x, head, first_body);
    if (!error && last)
        respond_end(proxy);
    if (last && cork)
        weir_transport_uncork(connection->transport);
    if (error)
        drop_client(proxy, error);
}

static void on_body(void *arg, weir_slice data, bool last)
{
    struct proxy *proxy = arg;
    weir_transport *transport = proxy->connection->transport;
    bool cork = last && proxy->cork_end;
    weir_error *error = NULL;

    if (cork)
        weir_transport_cork(transport);
    if (data.len)
        error = weir_http_pass(proxy->x, WEIR_HTTP_RESPONSE, data);
    if (!error && last)
        respond_end(proxy);
    if (cork)
        weir_transport_uncork(transport);
    if (error)
        drop_client(proxy, error);
}

/* Whether the request may be sent again after the connection died without an answer. */
static bool may_resend(const struct proxy *proxy, weir_outcome outcome)
{
    const weir_http_head *head = weir_http_request_head(proxy->x);

    return !weir_http_client_answered(proxy->client) && !proxy->body_begun &&
           (outcome == WEIR_OUTCOME_UPSTREAM_RESET ||
            outcome == WEIR_OUTCOME_UPSTREAM_RESPONSE_TRUNCATED) &&
           weir_http_method_is_idempotent((weir_http_method)head->method);
}

static void on_failed(void *arg, weir_outcome outcome, const weir_error *reason)
{
    struct proxy *proxy = arg;
    bool resend = may_resend(proxy, outcome);
    weir_error *refused;

    proxy->client = NULL;
    if (resend) {
        if (proxy->has_body)
            weir_http_pause(proxy->x, WEIR_HTTP_REQUEST);
        refused = weir_lease_retry(proxy->lease, outcome);
        if (!refused)
            return;
        weir_ignore(refused);
    }
    give_up(proxy, outcome, reason ? weir_error_share(reason) : NULL);
}

static void on_pause(void *arg)
{
    struct proxy *proxy = arg;

    weir_http_pause(proxy->x, WEIR_HTTP_REQUEST);
}

static void on_unpause(void *arg)
{
    struct proxy *proxy = arg;

    weir_http_unpause(proxy->x, WEIR_HTTP_REQUEST);
}

static const weir_http_client_events client_events = {
    .size = sizeof client_events,
    .interim = on_interim,
    .response = on_response,
    .body = on_body,
    .failed = on_failed,
    .pause = on_pause,
    .unpause = on_unpause,
};

/* The origin says neither go on nor no: as its client we may go on without. */
static weir_error *patience_ends(void *arg)
{
    struct proxy *proxy = arg;

    weir_ignore(weir_http_respond_interim(proxy->x, NULL));
    return NULL;
}

static weir_error *proxy_start(weir_http *x)
{
    const struct proxy_config *config = weir_http_config(x);
    const weir_http_head *head = weir_http_request_head(x);
    struct proxy *proxy = weir_http_state(x);
    weir_lease_options options = {.size = sizeof options,
                                  .protocol = &http_upstream_protocol,
                                  .fresh = config->proxy_protocol != 0};

    proxy->x = x;
    proxy->connection = weir_http_context(x);
    proxy->loop = weir_transport_loop(proxy->connection->transport);
    proxy->started_ns = now_ns(proxy);
    proxy->has_body = head->framing == WEIR_HTTP_CHUNKED ||
                      (head->framing == WEIR_HTTP_LENGTH && head->content_length > 0);
    if (forwards_left(head) == 0 && head->method == WEIR_HTTP_OPTIONS)
        return weir_http_respond(x, 204, weir_slice_of(NULL, 0), weir_slice_of(NULL, 0));
    if (forwards_left(head) == 0 || head->method == WEIR_HTTP_CONNECT)
        return weir_http_respond(x, 405, WEIR_SLICE("text/plain"),
                                 WEIR_SLICE("405 Method Not Allowed\n"));
    proxy->connection->notes->upstream = weir_upstream_name(config->upstream);
    if (proxy->has_body)
        weir_http_pause(x, WEIR_HTTP_REQUEST);
    if (head->expect_continue && proxy->has_body) {
        proxy->expects = true;
        weir_timer_init(&proxy->patience, proxy->loop, patience_ends, proxy);
    }
    if (weir_upstream_hash_key(config->upstream))
        options.balance_key = http_balance_key(x, weir_upstream_hash_key(config->upstream));
    if (weir_lease_try(config->upstream, &options, lease_done, proxy, &proxy->lease))
        lease_done(proxy->lease, NULL, proxy);
    else
        WEIR_TRY(weir_lease_start(config->upstream, &options, lease_done, proxy, &proxy->lease));
    return NULL;
}

static weir_error *proxy_request_body(weir_http *x, weir_slice data, bool last)
{
    struct proxy *proxy = weir_http_state(x);
    weir_error *error;

    if (!proxy->has_body)
        return NULL;
    proxy->body_begun = true;
    if (!proxy->client)
        return NULL;
    error = weir_http_client_send_body(proxy->client, data, last);
    /* An origin that has answered, or is gone, needs no more of it; its events tell which. */
    if (weir_error_is(error, WEIR_ECLOSED)) {
        weir_ignore(error);
        error = NULL;
    }
    return error ? weir_error_trace(error, WEIR_HERE) : NULL;
}

static void proxy_pause(weir_http *x, weir_http_side side)
{
    struct proxy *proxy = weir_http_state(x);

    if (side == WEIR_HTTP_RESPONSE && proxy->client)
        weir_http_client_pause(proxy->client);
}

static void proxy_unpause(weir_http *x, weir_http_side side)
{
    struct proxy *proxy = weir_http_state(x);

    if (side == WEIR_HTTP_RESPONSE && proxy->client)
        weir_http_client_unpause(proxy->client);
}

static void proxy_ended(weir_http *x, const weir_error *reason)
{
    struct proxy *proxy = weir_http_state(x);

    if (proxy->expects)
        weir_timer_stop(&proxy->patience);
    release(proxy, reason ? WEIR_OUTCOME_CLIENT_GONE : WEIR_OUTCOME_OK);
}

static void check_proxy(weir_config_context *context, const void *said)
{
    const struct proxy_config *config = said;

    if (!config->proxy_protocol || !config->upstream || !weir_upstream_tls(config->upstream))
        return;
    weir_config_error(context, &config->proxy_protocol,
                      "a PROXY header stands before TLS, which upstream `%s` speaks",
                      weir_upstream_name(config->upstream));
    weir_config_help(context, "leave `proxy_protocol` out: X-Forwarded-For says the same");
}

static const weir_instance_ops proxy_instance = {WEIR_SIZED(weir_instance_ops),
                                                 .check = check_proxy};

const weir_http_action http_proxy = {
    WEIR_SIZED(weir_http_action),
    .name = "proxy",
    .options = proxy_options,
    .config_size = sizeof(struct proxy_config),
    .state_size = sizeof(struct proxy),
    .instance = &proxy_instance,
    .shorthand = "upstream",
    .start = proxy_start,
    .on_request_body = proxy_request_body,
    .pause = proxy_pause,
    .unpause = proxy_unpause,
    .ended = proxy_ended,
};
