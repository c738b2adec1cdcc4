/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol `udp`: passes datagrams between clients and servers of an upstream. The first datagram of
 * a client is routed; those that follow, and the answers, go the way of the first (session.c).
 */
#include "plugins/udp/udp.h"

#include <string.h>

#include <weir/config.h>

WEIR_OPTIONS(udp_options,
             WEIR_OPTION_DURATION(struct udp_config, idle_timeout, "30s",
                                  "A client is forgotten after this long without a datagram of "
                                  "either side"));

/* The action `proxy`. */

WEIR_OPTIONS(proxy_options, WEIR_OPTION_REF(struct udp_proxy_config, upstream, "upstream", NULL,
                                            "Upstream, or address of a server", .address = true));

static bool start_proxy(struct udp_session *session, const void *config)
{
    return udp_session_connect(session, config);
}

static void check_proxy(weir_config_context *context, const void *said)
{
    const struct udp_proxy_config *config = said;
    const weir_hash_key *key = config->upstream ? weir_upstream_hash_key(config->upstream) : NULL;

    if (!config->upstream)
        return;
    if (key && strcmp(key->source, "client_ip") != 0) {
        weir_config_error(
            context, &config->upstream, "upstream `%s` balances by `%s%s`, which udp does not know",
            weir_upstream_name(config->upstream), key->source, key->name ? key->name : "");
        weir_config_help(context, "udp knows `client_ip`");
    }
    if (weir_upstream_tls(config->upstream))
        weir_config_error(context, &config->upstream,
                          "upstream `%s` has TLS, which datagrams cannot carry",
                          weir_upstream_name(config->upstream));
}

static const weir_instance_ops proxy_instance = {WEIR_SIZED(weir_instance_ops),
                                                 .check = check_proxy};

static const struct udp_action proxy = {
    .head = {.size = sizeof proxy,
             .name = "proxy",
             .options = proxy_options,
             .config_size = sizeof(struct udp_proxy_config),
             .instance = &proxy_instance,
             .shorthand = "upstream"},
    .start = start_proxy,
};

/* The action `reject`: not a byte is answered. */

static bool start_reject(struct udp_session *session, const void *config)
{
    (void)config;
    udp_session_end(session, WEIR_OUTCOME_DENIED, NULL);
    return false;
}

static const struct udp_action reject = {
    .head = {.size = sizeof reject, .name = "reject"},
    .start = start_reject,
};

/* The protocol. */

static weir_error *connection_made(weir_datagram *datagram, void *state, const void *config)
{
    (void)config;
    udp_sessions_begin(state, datagram);
    return NULL;
}

static struct udp_session *route(struct udp_socket *socket, const weir_datagram_info *info)
{
    weir_listener *listener = weir_listener_acquire_socket(socket->socket);
    weir_subject subject = {.size = sizeof subject};
    struct udp_session *session;
    const struct udp_action *action;
    weir_instance *instance;

    if (!listener)
        return NULL;
    session = udp_session_begin(socket, info, listener);
    if (!session)
        return NULL;
    subject.client_ip = weir_slice_str(session->ip);
    session->route = weir_routes_find(weir_listener_routes(listener), &subject);
    if (!session->route) {
        udp_session_end(session, WEIR_OUTCOME_ROUTE_NONE, NULL);
        return NULL;
    }
    action = weir_route_action(session->route, &instance);
    return action->start(session, weir_instance_config(instance)) ? session : NULL;
}

static weir_error *datagram_received(weir_datagram *datagram, void *state, weir_slice data,
                                     const weir_datagram_info *info)
{
    struct udp_session *session;

    (void)datagram;
    if (info->truncated)
        return NULL;
    session = udp_session_find(state, &info->peer, &info->local);
    if (!session)
        session = route(state, info);
    if (session)
        udp_session_forward(session, data);
    return NULL;
}

static void connection_lost(weir_datagram *datagram, void *state, const weir_error *reason)
{
    (void)datagram;
    (void)reason;
    udp_sessions_end(state);
}

static const weir_datagram_protocol listening = {
    WEIR_SIZED(weir_datagram_protocol),      .name = "udp",
    .state_size = sizeof(struct udp_socket), .connection_made = connection_made,
    .datagram_received = datagram_received,  .connection_lost = connection_lost,
};

static const weir_protocol udp = {
    WEIR_SIZED(weir_protocol),   .name = "udp",
    .options = udp_options,      .config_size = sizeof(struct udp_config),
    .action_kind = "udp.action", .routes_required = true,
    .datagram = &listening,
};

static const weir_extension proxy_action = {WEIR_SIZED(weir_extension), .kind = "udp.action",
                                            .name = "proxy", .table = &proxy};
static const weir_extension reject_action = {WEIR_SIZED(weir_extension), .kind = "udp.action",
                                             .name = "reject", .table = &reject};

WEIR_PLUGIN(.name = "udp", .version = "0.1.0", .summary = "Passes datagrams to a server",
            .protocols = WEIR_LIST(&udp), .extensions = WEIR_LIST(&proxy_action, &reject_action));
