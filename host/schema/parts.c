/* SPDX-License-Identifier: Apache-2.0 */
/* Plugins, upstreams, listeners and routes: the tables that protocols add to. */
#include "config.h"

#include <string.h>

#include "host/schema/schema.h"

/* In the order of enum balance. */
static const char *const balancers[] = {"round_robin", "least_conn", "random",
                                        "hash",        "ip_hash",    NULL};

const weir_option *const weir__plugin_options[] = {
    WEIR_OPTION_PATH(struct plugin_config, path, NULL,
                     "The file; NAME.so of the plugin folder when not set", .optional = true),
    WEIR_OPTION_REF(struct plugin_config, executor, "executor", NULL,
                    "For its blocking work; the default one when not set", .optional = true),
    WEIR_OPTION_BOOL(struct plugin_config, optional, "false",
                     "Go on without it when it cannot be loaded"),
    NULL,
};

WEIR_OPTIONS(
    server_options,
    WEIR_OPTION_ADDRESS(struct server_config, address, NULL, "host:port or unix:/path",
                        .primary = true),
    WEIR_OPTION_INT(struct server_config, weight, "1",
                    "Its share of the connections, beside the weights of the others; 0: none",
                    .min = 0, .max = 1000));

static bool is_hash_key(const char *const *keys, const char *text)
{
    for (; keys && *keys; keys++) {
        size_t len = strlen(*keys);

        if ((*keys)[len - 1] == ':' ? !strncmp(*keys, text, len) && text[len]
                                    : !strcmp(*keys, text))
            return true;
    }
    return false;
}

static bool parse_hash_key(weir_config_context *context, const weir_config_node *node, void *field)
{
    static const char *const own[] = {"client_ip", NULL};
    const char *text = weir_config_node_text(node), *colon = strchr(text, ':');
    weir_hash_key *key = field;
    bool known = is_hash_key(own, text);
    char *source;

    for (struct plugin *p = weir__schema_registry()->plugins; p && !known; p = p->next)
        for (const weir_upstream_protocol *const *u = p->descriptor->upstream_protocols;
             u && *u && !known; u++)
            known = is_hash_key((*u)->hash_keys, text);
    if (!known) {
        weir_config_error_at(context, node, "`%s` is nothing to hash", text);
        weir_config_help(context, "write client_ip, or for HTTP host, path, uri, header:NAME, "
                                  "cookie:NAME or query:NAME");
        return false;
    }
    source = weir_config_alloc(context, strlen(text) + 1);
    memcpy(source, text, colon ? (size_t)(colon - text) + 1 : strlen(text));
    *key = (weir_hash_key){source, colon ? weir_config_strdup(context, colon + 1) : NULL};
    return true;
}

const weir_option *const weir__upstream_options[] = {
    WEIR_OPTION_LIST(struct upstream_config, servers, struct server_config,
                     WEIR_ELEMENT(WEIR_TYPE_MAP, struct server_config, .fields = server_options),
                     NULL, "Addresses of the servers, each with its port", .required = true,
                     .max = UPSTREAM_MAX_SERVERS, .example = "[10.0.0.11:8080]"),
    WEIR_OPTION_ENUM(
        struct upstream_config, balance, balancers, "round_robin",
        "Which server gets the next request or connection: in turn, the one with the "
        "fewest in use, the better of two by chance, the one that belongs to hash_key, or "
        "the one that belongs to the client's address"),
    WEIR_OPTION_CUSTOM(struct upstream_config, hash_key, parse_hash_key, NULL,
                       "What `balance: hash` looks at: client_ip, and of HTTP host, path, uri, "
                       "header:NAME, cookie:NAME, query:NAME",
                       .optional = true, .example = "cookie:session"),
    WEIR_OPTION_DURATION(struct upstream_config, slow_start, "off",
                         "A server that came back gets its share by and by, within this time",
                         .max = WEIR_OPTION_S(86400)),
    WEIR_OPTION_DURATION(
        struct upstream_config, resolve_interval, NULL,
        "How often names of servers are looked up; as their answers say when not set",
        .optional = true, .min = WEIR_OPTION_MS(100)),
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
                             weir__upstream_tls_options, "TLS to the servers", .optional = true),
    WEIR_OPTION_OPTIONAL_MAP(struct upstream_config, health_check, struct health_check_config,
                             weir__health_options,
                             "Asks each server whether it is well; without it only requests that "
                             "fail tell",
                             .optional = true, .extend = weir__health_extend),
    NULL,
};

weir_hash_key weir__upstream_hash_key_of(const struct upstream_config *upstream)
{
    if (upstream->balance == BALANCE_IP_HASH)
        return (weir_hash_key){"client_ip", NULL};
    return upstream->balance == BALANCE_HASH ? upstream->hash_key : (weir_hash_key){NULL, NULL};
}

void weir__upstream_check(weir_config_context *context, const struct upstream_config *upstream)
{
    const struct server_config *servers = upstream->servers.items;
    uint64_t sum = 0;

    if (upstream->balance == BALANCE_HASH && !upstream->hash_key.source) {
        weir_config_error(context, &upstream->balance, "`balance: hash` needs a `hash_key`");
        weir_config_help(context, "say what to hash, as in `hash_key: cookie:session`");
    }
    if (upstream->balance != BALANCE_HASH && upstream->hash_key.source) {
        weir_config_error(context, &upstream->hash_key, "`hash_key` is for `balance: hash`");
        weir_config_help(context, "write `balance: hash` too, or leave `hash_key` out");
    }
    for (size_t i = 0; i < upstream->servers.count; i++)
        sum += servers[i].weight;
    if (!sum)
        weir_config_error(context, &servers[0].weight, "no server of upstream `%s` has a weight",
                          upstream->name);
}

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
                             weir__listener_tls_options, "TLS with clients", .optional = true),
    WEIR_OPTION_MAP(struct listener_config, timeouts, timeouts_options, "Time limits"),
    WEIR_OPTION_INT(struct listener_config, backlog, "4096",
                    "Connections that wait to be accepted; the kernel has a limit too", .min = 1,
                    .max = 65535, .reload = WEIR_RELOAD_SOCKET),
    WEIR_OPTION_LIST(struct listener_config, redirect_from, weir_option_address,
                     WEIR_ELEMENT(WEIR_TYPE_ADDRESS, weir_option_address, .listen = true), "[]",
                     "Addresses in the clear whose clients are sent here: plain HTTP is answered "
                     "by a 308 to https, with TLS and HTTP only",
                     .reload = WEIR_RELOAD_SOCKET, .example = "80"),
    WEIR_OPTION_LIST(struct listener_config, inspect, const char *,
                     WEIR_ELEMENT(WEIR_TYPE_STRING, const char *), "[]",
                     "What looks at the first bytes before routes are asked, in order: tls, ssh, "
                     "postgres, or a protocol that can tell its own",
                     .example = "[tls, ssh]"),
    WEIR_OPTION_DURATION(struct listener_config, inspect_timeout, "5s",
                         "How long first bytes may take; then routes are asked with what is known"),
    WEIR_OPTION_LIST(struct listener_config, accept_proxy_protocol, weir_network,
                     WEIR_ELEMENT(WEIR_TYPE_CUSTOM, weir_network, .parse = parse_network), "[]",
                     "Balancers, as networks, whose connections begin with a PROXY header (v1, v2)",
                     .example = "[10.0.0.0/8]"),
    WEIR_OPTION_PLANNED("use", "Filters"),
    WEIR_OPTION_INT(struct listener_config, max_connections, "0",
                    "Connections at most; further ones are closed. 0: no limit but "
                    "runtime.limits.connections",
                    .min = 0),
    WEIR_OPTION_BOOL(struct listener_config, reuse_port, "false",
                     "A socket for each loop at each address, over which the kernel spreads "
                     "connections, instead of one that all loops share",
                     .reload = WEIR_RELOAD_RESTART),
    NULL,
};
