/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins, upstreams, listeners and routes: the tables that protocols add to. */
#include "config.h"

#include "host/schema/schema.h"

static const char *const balancers[] = {"round_robin", NULL};
static const char *const balancers_planned[] = {"least_conn", "random", "hash", "ip_hash", NULL};
static const char *const client_auths[] = {"off", "optional", "required", NULL};
static const char *const tls_versions[] = {"1.2", "1.3", NULL};

const weir_option *const weir__plugin_options[] = {
    WEIR_OPTION_PATH(struct plugin_config, path, NULL,
                     "The file; NAME.so of the plugin folder when not set", .optional = true),
    WEIR_OPTION_REF(struct plugin_config, executor, "executor", NULL,
                    "For its blocking work; the default one when not set", .optional = true),
    WEIR_OPTION_BOOL(struct plugin_config, optional, "false",
                     "Go on without it when it cannot be loaded"),
    NULL,
};

WEIR_OPTIONS(server_options,
             WEIR_OPTION_ADDRESS(struct server_config, address, NULL, "host:port or unix:/path",
                                 .primary = true),
             WEIR_OPTION_PLANNED("weight", "Share of the connections"));

WEIR_OPTIONS(upstream_tls_options,
             WEIR_OPTION_BOOL(struct upstream_tls_config, enabled, "true",
                              "Speak TLS to the servers", .primary = true),
             WEIR_OPTION_PATH(struct upstream_tls_config, ca, NULL,
                              "Authorities to verify with; the system's when not set",
                              .optional = true),
             WEIR_OPTION_STRING(struct upstream_tls_config, server_name, NULL,
                                "Name to ask for and verify; the server's host when not set",
                                .optional = true),
             WEIR_OPTION_BOOL(struct upstream_tls_config, verify, "true",
                              "Refuse servers whose certificate does not verify"));

const weir_option *const weir__upstream_options[] = {
    WEIR_OPTION_LIST(struct upstream_config, servers, struct server_config,
                     WEIR_ELEMENT(WEIR_TYPE_MAP, struct server_config, .fields = server_options),
                     NULL, "Addresses of the servers, each with its port", .required = true,
                     .max = UPSTREAM_MAX_SERVERS, .example = "[10.0.0.11:8080]"),
    WEIR_OPTION_ENUM(struct upstream_config, balance, balancers, "round_robin",
                     "Which server gets the next connection", .planned_words = balancers_planned),
    WEIR_OPTION_DURATION(struct upstream_config, connect_timeout, "5s",
                         "For name, connect and TLS together; people wait behind a dead host",
                         .min = WEIR_OPTION_MS(1)),
    WEIR_OPTION_DURATION(struct upstream_config, response_timeout, "60s",
                         "Until the head of the response, and between parts of its body"),
    WEIR_OPTION_DURATION(struct upstream_config, idle_timeout, "60s",
                         "How long an idle connection is kept"),
    WEIR_OPTION_INT(struct upstream_config, keepalive, "64",
                    "Idle connections that each loop keeps to each server", .min = 0, .max = 65536),
    WEIR_OPTION_INT(struct upstream_config, retries, "1",
                    "Further tries of a request that no server has seen, or that is idempotent",
                    .min = 0, .max = 100),
    WEIR_OPTION_OPTIONAL_MAP(struct upstream_config, tls, struct upstream_tls_config,
                             upstream_tls_options, "TLS to the servers", .optional = true),
    WEIR_OPTION_PLANNED("health_check", "Active health checks"),
    WEIR_OPTION_PLANNED("hash_key", "What balancing by hash looks at"),
    WEIR_OPTION_PLANNED("slow_start", "A server that came back gets its share by and by"),
    WEIR_OPTION_PLANNED("resolve_interval", "How often names are looked up"),
    NULL,
};

WEIR_OPTIONS(listener_tls_options,
             WEIR_OPTION_LIST(struct listener_tls_config, certificates, struct certificate_config *,
                              WEIR_ELEMENT(WEIR_TYPE_REF, struct certificate_config *,
                                           .kind = "certificate"),
                              NULL, "Names of tls.certificates; the first is the default",
                              .required = true, .example = "[site]"),
             WEIR_OPTION_ENUM(struct listener_tls_config, min_version, tls_versions, "1.2",
                              "Oldest version accepted"),
             WEIR_OPTION_LIST(struct listener_tls_config, alpn, const char *,
                              WEIR_ELEMENT(WEIR_TYPE_STRING, const char *), NULL,
                              "Protocols to agree on, by preference", .optional = true,
                              .example = "[http/1.1]"),
             WEIR_OPTION_PATH(struct listener_tls_config, client_ca, NULL,
                              "Who signs certificates of clients", .optional = true),
             WEIR_OPTION_ENUM(struct listener_tls_config, client_auth, client_auths, "off",
                              "Whether clients need a certificate that client_ca signed"));

WEIR_OPTIONS(timeouts_options,
             WEIR_OPTION_DURATION(struct listener_timeouts_config, handshake, "10s",
                                  "For the TLS handshake", .min = WEIR_OPTION_MS(1)));

static bool parse_network(weir_config_context *context, const weir_config_node *node, void *field)
{
    weir_error *error = weir_network_parse(weir_config_node_text(node), field);
    char text[200];

    if (!error)
        return true;
    weir_error_message(error, text, sizeof text);
    weir_config_error_at(context, node, "%s", text);
    weir_ignore(error);
    return false;
}

const weir_option *const weir__listener_options[] = {
    WEIR_OPTION_LIST(struct listener_config, bind, weir_option_address,
                     WEIR_ELEMENT(WEIR_TYPE_ADDRESS, weir_option_address, .listen = true), NULL,
                     "Addresses to listen on: 443, 127.0.0.1:8080, [::1]:8080, unix:/path, or "
                     "sockets handed in: systemd:NAME, fd:3",
                     .optional = true, .reload = WEIR_RELOAD_SOCKET),
    WEIR_OPTION_AS(struct listener_config, protocol_name, "protocol", WEIR_TYPE_STRING,
                   .default_text = "http", .doc = "What is spoken: http, tcp, or a plugin's"),
    WEIR_OPTION_OPTIONAL_MAP(struct listener_config, tls, struct listener_tls_config,
                             listener_tls_options, "TLS with clients", .optional = true),
    WEIR_OPTION_MAP(struct listener_config, timeouts, timeouts_options, "Time limits"),
    WEIR_OPTION_INT(struct listener_config, backlog, "4096",
                    "Connections that wait to be accepted; the kernel has a limit too", .min = 1,
                    .max = 65535, .reload = WEIR_RELOAD_SOCKET),
    WEIR_OPTION_PLANNED("redirect_from", "Ports that are redirected here"),
    WEIR_OPTION_PLANNED("inspect", "What looks at the first bytes"),
    WEIR_OPTION_PLANNED("inspect_timeout", "How long first bytes may take"),
    WEIR_OPTION_LIST(struct listener_config, accept_proxy_protocol, weir_network,
                     WEIR_ELEMENT(WEIR_TYPE_CUSTOM, weir_network, .parse = parse_network), "[]",
                     "Balancers, as networks, whose connections begin with a PROXY header (v1, v2)",
                     .example = "[10.0.0.0/8]"),
    WEIR_OPTION_PLANNED("use", "Filters"),
    WEIR_OPTION_PLANNED("max_connections", "Connections at most"),
    WEIR_OPTION_PLANNED("reuse_port", "A socket for each loop"),
    NULL,
};
