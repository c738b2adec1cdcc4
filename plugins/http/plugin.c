/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol `http`: requests find their route among those of the listener in force, and go to
 * its action. What speaks HTTP is libweir-http; this is where it meets listeners and routes.
 */
#include "plugins/http/http.h"

/* Follows a reload: each request is served by the listener as it is now. */
static bool take_current_listener(struct http_connection *connection)
{
    weir_listener *now = weir_listener_acquire(connection->transport);

    if (!now)
        return connection->listener != NULL;
    if (connection->listener)
        weir_listener_release(connection->listener);
    connection->listener = now;
    return true;
}

static weir_error *on_request(weir_http *x, void *arg)
{
    struct http_connection *connection = arg;
    weir_listener *before = connection->listener;
    weir_subject subject = {.size = sizeof subject, .message = x};
    const weir_http_action *action;
    const weir_route *route;
    weir_instance *instance;
    unsigned port;

    if (!take_current_listener(connection))
        return weir_raise(WEIR_ECLOSED, "the listener is gone");
    connection->notes = weir_http_alloc(x, sizeof *connection->notes);
    if (!connection->notes)
        return weir_raise(WEIR_ENOMEM, "request");
    weir_listener_request_begins(connection->listener);
    if (connection->listener != before)
        weir_http_server_set_options(x, &http_listener_of(connection)->server);
    if (weir_listener_redirected(connection->transport, &port))
        return weir_http_begin(x, &http_to_https, NULL, NULL, connection);
    weir_listener_describe(connection->transport, &subject);
    route = weir_routes_find(weir_listener_routes(connection->listener), &subject);
    if (!route) {
        weir_http_fail(x, 404, WEIR_OUTCOME_ROUTE_NONE, NULL);
        return NULL;
    }
    connection->notes->route = route;
    action = weir_route_action(route, &instance);
    return weir_http_begin(x, action, weir_instance_config(instance), instance, connection);
}

static weir_slice field_of(const weir_http_head *head, weir_http_name name)
{
    const weir_http_field *field = weir_http_head_field(head, name);

    return field ? weir_http_field_value(field) : weir_slice_of(NULL, 0);
}

/* What only a log wants to know. */
static void log_whole(const struct http_connection *connection, const weir_http *x,
                      const weir_http_summary *summary, weir_access_record *record)
{
    const weir_http_head *head = weir_http_request_head(x);

    record->reason = summary->reason;
    record->host = weir_http_request_authority(x);
    record->path = head->path;
    record->query = head->query;
    record->proto = head->minor_version ? WEIR_SLICE("HTTP/1.1") : WEIR_SLICE("HTTP/1.0");
    record->referer = field_of(head, WEIR_HTTP_REFERER);
    record->user_agent = field_of(head, WEIR_HTTP_USER_AGENT);
    record->request_id = field_of(head, WEIR_HTTP_X_REQUEST_ID);
    record->bytes_in = summary->bytes_in;
    record->bytes_out = summary->bytes_out;
    record->head_bytes_out = summary->head_bytes_out;
    weir_listener_log(connection->listener, connection->transport, record);
}

static void on_ended(weir_http *x, const weir_http_summary *summary, void *arg)
{
    static const struct http_notes nothing;
    struct http_connection *connection = arg;
    const struct http_notes *notes = connection->notes ? connection->notes : &nothing;
    weir_access_record record = {
        .size = sizeof record,
        .outcome = summary->outcome,
        .status = summary->status,
        .route = notes->route ? weir_route_name(notes->route) : NULL,
        .upstream = notes->upstream,
        .server = notes->server,
        .method = weir_http_request_head(x)->method_text,
        .duration_ns = summary->duration_ns,
        .connect_ns = notes->connect_ns,
        .first_byte_ns = notes->first_byte_ns,
        .retries = notes->retries,
    };

    if (connection->notes)
        weir_listener_request_ends(connection->listener);
    if (connection->listener && !weir_listener_count(connection->listener, &record))
        log_whole(connection, x, summary, &record);
    connection->notes = NULL;
}

static void on_closed(weir_transport *transport, void *arg)
{
    struct http_connection *connection = arg;

    (void)transport;
    if (connection->listener)
        weir_listener_release(connection->listener);
    connection->listener = NULL;
}

static const weir_http_server_events server_events = {
    .size = sizeof server_events, .request = on_request, .ended = on_ended, .closed = on_closed};

static weir_error *connection_made(weir_transport *transport, void *state, const void *config)
{
    struct http_connection *connection = state;
    weir_error *error;

    (void)config;
    connection->transport = transport;
    if (!take_current_listener(connection))
        return weir_raise(WEIR_ECLOSED, "the listener is gone");
    error = weir_http_serve(transport, &http_listener_of(connection)->server, &server_events,
                            connection, weir_slice_of(NULL, 0));
    if (error)
        on_closed(transport, connection);
    return error;
}

static const weir_protocol http = {
    WEIR_SIZED(weir_protocol),
    .name = "http",
    .state_size = sizeof(struct http_connection),
    .room = WEIR_HTTP_SERVER_ROOM,
    .connection_made = connection_made,
    .listener_options = http_listener_options,
    .listener_config_size = sizeof(struct http_listener),
    .action_kind = "http.action",
    .filter_kind = "http.filter",
    .redirects = true,
    .routes_required = true,
    .detect_limit = 64,
    .detect = http_detect,
    .subject_of = http_subject_of,
    .subject_free = http_subject_free,
    .ask = http_ask,
};

#define ACTION(action)                                                                           \
    (&(const weir_extension){WEIR_SIZED(weir_extension), .kind = "http.action", .name = #action, \
                             .table = &http_##action})

static const weir_extension health_check = {WEIR_SIZED(weir_extension), .kind = "health_check",
                                            .name = "http", .table = &http_health_check};

WEIR_PLUGIN(.name = "http", .version = "0.1.0", .summary = "HTTP reverse proxy and file server",
            .protocols = WEIR_LIST(&http),
            .matchers = WEIR_LIST(&http_match_host, &http_match_path, &http_match_method,
                                  &http_match_header, &http_match_query),
            .upstream_protocols = WEIR_LIST(&http_upstream_protocol),
            .extensions = WEIR_LIST(ACTION(proxy), ACTION(static), ACTION(redirect),
                                    ACTION(respond), &health_check));
