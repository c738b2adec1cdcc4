/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol `tcp`: passes bytes between a client and a server of an upstream.
 *
 *   connection_made → route → action `proxy`: lease a connection → relay until both ends are done
 *
 * Reading from the client waits for the server, so nothing is buffered before there is one.
 */
#include <weir/config.h>
#include <weir/plugin.h>
#include <weir/proxy-protocol.h>

typedef struct {
    weir_upstream *upstream;
    weir_duration idle_timeout;
    int proxy_protocol; /* weir_proxy_version; 0: off */
} proxy_config;

static const char *const proxy_versions[] = {"off", "v1", "v2", NULL};

WEIR_OPTIONS(proxy_options,
             WEIR_OPTION_REF(proxy_config, upstream, "upstream", NULL,
                             "Upstream, or address of a server", .address = true),
             WEIR_OPTION_DURATION(proxy_config, idle_timeout, "1h",
                                  "Close after this long without a byte in either direction"),
             WEIR_OPTION_ENUM(proxy_config, proxy_protocol, proxy_versions, "off",
                              "Tell the server who the client is, in a PROXY header"));

/* What hangs on the client's connection. */
struct tunnel {
    weir_transport *client;
    weir_listener *listener;
    const weir_route *route;
    const proxy_config *config;
    weir_lease *lease;
    weir_instant started;
    int64_t connected_ns;
    bool relaying;
};

/* Gives back what the tunnel holds, and tells how it went. */
static void finish(struct tunnel *tunnel, weir_outcome outcome, const weir_error *reason)
{
    weir_lease *lease = tunnel->lease;
    weir_access_record record = {
        .size = sizeof record,
        .outcome = outcome,
        .reason = reason,
        .route = tunnel->route ? weir_route_name(tunnel->route) : NULL,
        .upstream = tunnel->config ? weir_upstream_name(tunnel->config->upstream) : NULL,
        .server = lease ? weir_lease_server(lease) : NULL,
        .bytes_in = weir_transport_bytes_received(tunnel->client),
        .bytes_out = weir_transport_bytes_sent(tunnel->client),
        .duration_ns = weir_loop_time(weir_transport_loop(tunnel->client)).ns - tunnel->started.ns,
        .connect_ns = tunnel->connected_ns,
        .retries = lease ? weir_lease_retries(lease) : 0,
    };

    if (!tunnel->listener)
        return;
    weir_listener_record(tunnel->listener, tunnel->client, &record);
    tunnel->lease = NULL;
    if (lease)
        weir_lease_release(lease, outcome, false);
    weir_listener_release(tunnel->listener);
    tunnel->listener = NULL;
}

static void relay_done(void *arg, int first, const weir_error *reason)
{
    struct tunnel *tunnel = arg;
    weir_transport *client = tunnel->client;
    weir_outcome outcome = WEIR_OUTCOME_OK;

    if (reason)
        outcome = first == 0 ? WEIR_OUTCOME_CLIENT_GONE : WEIR_OUTCOME_UPSTREAM_RESET;
    finish(tunnel, outcome, reason);
    weir_transport_unref(client);
}

static weir_error *introduce(const struct tunnel *tunnel, weir_transport *server)
{
    if (!tunnel->config->proxy_protocol)
        return NULL;
    return weir_proxy_introduce(server, (weir_proxy_version)tunnel->config->proxy_protocol,
                                tunnel->client);
}

/* The server is there, or it will not be. */
static void lease_done(weir_lease *lease, weir_error *take_error, void *arg)
{
    struct tunnel *tunnel = arg;
    weir_transport *client = tunnel->client;
    weir_relay_options options = {.size = sizeof options,
                                  .idle_timeout = tunnel->config->idle_timeout,
                                  .done = relay_done,
                                  .arg = tunnel};
    weir_slice none = {NULL, 0};

    if (!take_error) {
        tunnel->connected_ns = weir_loop_time(weir_transport_loop(client)).ns - tunnel->started.ns;
        tunnel->relaying = true;
        weir_transport_ref(client);
        take_error = introduce(tunnel, weir_lease_transport(lease));
        if (!take_error)
            take_error =
                weir_relay_start(client, none, weir_lease_transport(lease), none, &options);
        if (!take_error)
            return;
        tunnel->relaying = false;
        weir_transport_unref(client);
    } else {
        weir_error *refused = weir_lease_retry(lease, weir_outcome_of_connect(take_error));

        if (!refused) {
            weir_ignore(take_error);
            return;
        }
        weir_ignore(refused);
    }
    finish(tunnel, weir_outcome_of_connect(take_error), take_error);
    weir_transport_close(client);
    weir_ignore(take_error);
}

static const weir_protocol server_side = {WEIR_SIZED(weir_protocol), .name = "tcp server"};
static const weir_upstream_protocol upstream_protocol = {WEIR_SIZED(weir_upstream_protocol),
                                                         .name = "tcp", .protocol = &server_side};

static weir_error *start_proxy(struct tunnel *tunnel, const void *config)
{
    weir_lease_options options = {
        .size = sizeof options, .protocol = &upstream_protocol, .fresh = true};

    tunnel->config = config;
    if (weir_upstream_hash_key(tunnel->config->upstream))
        options.balance_key = weir_transport_peer_ip(tunnel->client);
    WEIR_TRY(
        weir_lease_start(tunnel->config->upstream, &options, lease_done, tunnel, &tunnel->lease));
    return NULL;
}

static void check_proxy(weir_config_context *context, const void *said)
{
    const proxy_config *config = said;
    const weir_hash_key *key = config->upstream ? weir_upstream_hash_key(config->upstream) : NULL;

    if (!key || strcmp(key->source, "client_ip") == 0)
        return;
    weir_config_error(
        context, &config->upstream, "upstream `%s` balances by `%s%s`, which tcp does not know",
        weir_upstream_name(config->upstream), key->source, key->name ? key->name : "");
    weir_config_help(context, "tcp knows `client_ip`");
}

static const weir_instance_ops proxy_instance = {WEIR_SIZED(weir_instance_ops),
                                                 .check = check_proxy};

/* What `tcp.action` entries are: the head, then how to begin. */
struct tcp_action {
    weir_extension_head head;
    weir_error *(*start)(struct tunnel *tunnel, const void *config);
};

static weir_error *connection_made(weir_transport *transport, void *state, const void *config)
{
    struct tunnel *tunnel = state;
    weir_subject subject = {.size = sizeof subject, .client_ip = weir_transport_peer_ip(transport)};
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
    tunnel->route = weir_routes_find(weir_listener_routes(tunnel->listener), &subject);
    if (!tunnel->route) {
        finish(tunnel, WEIR_OUTCOME_ROUTE_NONE, NULL);
        weir_transport_abort(transport, NULL);
        return NULL;
    }
    action = weir_route_action(tunnel->route, &instance);
    error = action->start(tunnel, weir_instance_config(instance));
    if (error)
        finish(tunnel, WEIR_OUTCOME_PLUGIN_ERROR, error);
    return error;
}

/* Only while there is no relay yet. */
static void connection_lost(weir_transport *transport, void *state, const weir_error *reason)
{
    (void)transport;
    finish(state, WEIR_OUTCOME_CLIENT_GONE, reason);
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

static const struct tcp_action proxy = {
    .head = {.size = sizeof proxy,
             .name = "proxy",
             .options = proxy_options,
             .config_size = sizeof(proxy_config),
             .instance = &proxy_instance,
             .shorthand = "upstream"},
    .start = start_proxy,
};

static const weir_extension proxy_action = {WEIR_SIZED(weir_extension), .kind = "tcp.action",
                                            .name = "proxy", .table = &proxy};

WEIR_PLUGIN(.name = "tcp", .version = "0.1.0", .summary = "Passes bytes to a server",
            .protocols = WEIR_LIST(&tcp), .upstream_protocols = WEIR_LIST(&upstream_protocol),
            .extensions = WEIR_LIST(&proxy_action));
