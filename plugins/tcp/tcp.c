/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol `tcp`: a connection is routed as it comes, by what is known of it, and then belongs to
 * the action of its route.
 *
 *   proxy    passes bytes to a server of an upstream (proxy.c)
 *   handoff  the connection goes on in another listener
 *   reject   it is ended
 */
#include "plugins/tcp/tcp.h"

void tcp_finish(struct tunnel *tunnel, weir_outcome outcome, const weir_error *reason)
{
    weir_lease *lease = tunnel->lease;
    weir_subject subject = {.size = sizeof subject};
    weir_access_record record = {
        .size = sizeof record,
        .outcome = outcome,
        .reason = reason,
        .route = tunnel->route ? weir_route_name(tunnel->route) : NULL,
        .upstream = tunnel->config ? weir_upstream_name(tunnel->config->upstream) : NULL,
        .server = lease ? weir_lease_server(lease) : NULL,
        .connect_ns = tunnel->connected_ns,
        .retries = lease ? weir_lease_retries(lease) : 0,
    };

    if (!tunnel->listener)
        return;
    tcp_stop_waiting(tunnel);
    weir_listener_describe(tunnel->client, &subject);
    record.sni = subject.sni;
    record.alpn = subject.alpn;
    record.bytes_in = weir_transport_bytes_received(tunnel->client);
    record.bytes_out = weir_transport_bytes_sent(tunnel->client);
    record.duration_ns =
        weir_loop_time(weir_transport_loop(tunnel->client)).ns - tunnel->started.ns;
    weir_listener_record(tunnel->listener, tunnel->client, &record);
    tunnel->lease = NULL;
    if (lease)
        weir_lease_release(lease, outcome, false);
    weir_listener_release(tunnel->listener);
    tunnel->listener = NULL;
}

/* The action `handoff`. */

struct handoff_config {
    const weir_handoff *listener;
};

WEIR_OPTIONS(
    handoff_options,
    WEIR_OPTION_REF(struct handoff_config, listener, "listener", NULL,
                    "Listener in which the connection goes on, as if it had come there; it "
                    "needs no `bind`"));

/* The record is that listener's to make. */
static weir_error *start_handoff(struct tunnel *tunnel, const void *config)
{
    const struct handoff_config *said = config;
    weir_listener *listener = tunnel->listener;
    weir_error *error;

    /* Nothing is ours any more once it is handed over. */
    tunnel->listener = NULL;
    error = weir_listener_hand_over(tunnel->client, said->listener);
    if (!error) {
        weir_listener_release(listener);
        return NULL;
    }
    tunnel->listener = listener;
    tcp_finish(tunnel,
               weir_error_is(error, WEIR_ELIMIT)    ? WEIR_OUTCOME_LIMIT_CONNECTIONS
               : weir_error_is(error, WEIR_ECLOSED) ? WEIR_OUTCOME_DRAINING
                                                    : WEIR_OUTCOME_PLUGIN_ERROR,
               error);
    weir_transport_close(tunnel->client);
    weir_ignore(error);
    return NULL;
}

static const struct tcp_action handoff = {
    .head = {.size = sizeof handoff,
             .name = "handoff",
             .options = handoff_options,
             .config_size = sizeof(struct handoff_config),
             .shorthand = "listener"},
    .start = start_handoff,
};

/* The action `reject`. */

struct reject_config {
    bool reset;
};

WEIR_OPTIONS(reject_options,
             WEIR_OPTION_BOOL(struct reject_config, reset, "false",
                              "End the connection by a TCP reset instead of closing it"));

static weir_error *start_reject(struct tunnel *tunnel, const void *config)
{
    const struct reject_config *said = config;
    weir_transport *client = tunnel->client;

    tcp_finish(tunnel, WEIR_OUTCOME_DENIED, NULL);
    if (said->reset)
        weir_transport_abort(client, NULL);
    else
        weir_transport_close(client);
    return NULL;
}

static const struct tcp_action reject = {
    .head = {.size = sizeof reject,
             .name = "reject",
             .options = reject_options,
             .config_size = sizeof(struct reject_config)},
    .start = start_reject,
};

/* The protocol. */

static void end_unrouted(struct tunnel *tunnel)
{
    weir_transport *client = tunnel->client;
    weir_outcome outcome;
    weir_error *reason = weir_listener_unrouted(client, &outcome);

    tcp_finish(tunnel, outcome, reason);
    weir_ignore(reason);
    weir_transport_abort(client, NULL);
}

static weir_error *connection_made(weir_transport *transport, void *state, const void *config)
{
    struct tunnel *tunnel = state;
    weir_subject subject = {.size = sizeof subject};
    const struct tcp_action *action;
    weir_instance *instance;
    weir_error *error;

    (void)config;
    weir_transport_pause_reading(transport);
    tunnel->client = transport;
    tunnel->started = weir_loop_time(weir_transport_loop(transport));
    tunnel->listener = weir_listener_acquire(transport);
    if (!tunnel->listener)
        return weir_raise(WEIR_ECLOSED, "the listener is gone");
    weir_listener_describe(transport, &subject);
    tunnel->route = weir_routes_find(weir_listener_routes(tunnel->listener), &subject);
    if (!tunnel->route) {
        end_unrouted(tunnel);
        return NULL;
    }
    action = weir_route_action(tunnel->route, &instance);
    error = action->start(tunnel, weir_instance_config(instance));
    if (error)
        tcp_finish(tunnel, WEIR_OUTCOME_PLUGIN_ERROR, error);
    return error;
}

/* Only while there is no relay yet. */
static void connection_lost(weir_transport *transport, void *state, const weir_error *reason)
{
    (void)transport;
    tcp_finish(state, WEIR_OUTCOME_CLIENT_GONE, reason);
}

static const weir_protocol tcp = {
    WEIR_SIZED(weir_protocol),
    .name = "tcp",
    .state_size = sizeof(struct tunnel),
    .connection_made = connection_made,
    .connection_lost = connection_lost,
    .action_kind = "tcp.action",
    .routes_required = true,
};

#define ACTION(id, table_)                                                                       \
    static const weir_extension id##_action = {WEIR_SIZED(weir_extension), .kind = "tcp.action", \
                                               .name = #id, .table = &(table_)}
ACTION(proxy, tcp_proxy);
ACTION(handoff, handoff);
ACTION(reject, reject);

WEIR_PLUGIN(.name = "tcp", .version = "0.1.0", .summary = "Passes bytes to a server",
            .protocols = WEIR_LIST(&tcp), .upstream_protocols = WEIR_LIST(&tcp_upstream_protocol),
            .extensions = WEIR_LIST(&proxy_action, &handoff_action, &reject_action));
