/* SPDX-License-Identifier: Apache-2.0 */
/* How names are resolved, and what of it the core is told. */
#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/resolver.h>

#include "host/schema/schema.h"

#define DNS_PORT 53

/* In the order of weir_resolver_prefer. */
static const char *const prefers[] = {"auto", "ipv4", "ipv6", NULL};

/* "53" and nothing else; false: it is no port. */
static bool parse_port(const char *text, unsigned *ret)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || !port || port > 65535)
        return false;
    *ret = (unsigned)port;
    return true;
}

/* Address and port of "10.0.0.1", "10.0.0.1:53", "::1", "[::1]" and "[::1]:53". */
static bool parse_address(const char *text, char host[INET6_ADDRSTRLEN], bool *ret_v6,
                          unsigned *ret_port)
{
    const char *end = text + strlen(text), *port = NULL, *colon = strchr(text, ':');
    unsigned char bytes[16];
    size_t len;

    *ret_port = DNS_PORT;
    *ret_v6 = *text == '[' || (colon && strchr(colon + 1, ':'));
    if (*text == '[') {
        end = strchr(++text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return false;
        port = end[1] ? end + 2 : NULL;
    } else if (!*ret_v6 && colon) {
        end = colon;
        port = colon + 1;
    }
    len = (size_t)(end - text);
    if (len >= INET6_ADDRSTRLEN)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    return inet_pton(*ret_v6 ? AF_INET6 : AF_INET, host, bytes) == 1 &&
           (!port || parse_port(port, ret_port));
}

static bool parse_server(weir_config_context *context, const weir_config_node *node, void *field)
{
    char host[INET6_ADDRSTRLEN], whole[INET6_ADDRSTRLEN + 16];
    const char *text = weir_config_node_text(node);
    unsigned port;
    bool v6;

    if (weir_config_node_get_kind(node) != WEIR_NODE_SCALAR ||
        !parse_address(text, host, &v6, &port)) {
        weir_config_error_at(context, node, "`%s` is no address of a name server",
                             text ? text : "");
        weir_config_help(context, "write it in numbers, as in 10.0.0.1, 10.0.0.1:5353 or [::1]:53");
        return false;
    }
    snprintf(whole, sizeof whole, v6 ? "[%s]:%u" : "%s:%u", host, port);
    *(const char **)field = weir_config_strdup(context, whole);
    return true;
}

WEIR_OPTIONS(cache_options,
             WEIR_OPTION_SIZE(struct resolver_cache_config, max_entries, "10000",
                              "Names kept at most, by each loop", .max = 100000000),
             WEIR_OPTION_DURATION(struct resolver_cache_config, min_ttl, "1s", "Kept at least"),
             WEIR_OPTION_DURATION(struct resolver_cache_config, max_ttl, "1h", "Kept at most"),
             WEIR_OPTION_DURATION(struct resolver_cache_config, negative_ttl, "10s",
                                  "How long a name that does not exist is remembered"),
             WEIR_OPTION_DURATION(struct resolver_cache_config, max_stale, "1d",
                                  "How long what has expired is still given while the name servers "
                                  "fail; off: never"));

const weir_option *const weir__resolver_options[] = {
    WEIR_OPTION_LIST(struct resolver_config, servers, const char *,
                     WEIR_ELEMENT(WEIR_TYPE_CUSTOM, const char *, .parse = parse_server), NULL,
                     "Name servers; those of /etc/resolv.conf when not set", .optional = true,
                     .max = RESOLVER_MAX_SERVERS, .example = "[10.0.0.1, 10.0.0.2:5353]"),
    WEIR_OPTION_DURATION(struct resolver_config, timeout, "2s", "Of one try",
                         .min = WEIR_OPTION_MS(10), .max = WEIR_OPTION_S(3600)),
    WEIR_OPTION_INT(struct resolver_config, tries, "3", "Tries at most", .min = 1, .max = 100),
    WEIR_OPTION_MAP(struct resolver_config, cache, cache_options, "What is remembered"),
    WEIR_OPTION_ENUM(struct resolver_config, prefer, prefers, "auto",
                     "Which addresses are tried first; auto is by RFC 6724"),
    NULL,
};

/* To the core 0 is its default; `off` is as short as can be, but of max_ttl. */
static weir_duration or_nothing(weir_duration said)
{
    return weir_is_forever(said) ? WEIR_NS(1) : said;
}

weir_error *weir__resolver_configure(const struct resolver_config *said, weir_loop *loop)
{
    const struct resolver_cache_config *cache = &said->cache;
    weir_resolver_options options = {
        WEIR_SIZED(weir_resolver_options), .timeout = said->timeout, .tries = said->tries,
        /* 0 is the core's default; one is as little as none. */
        .cache_entries = cache->max_entries ? cache->max_entries : 1,
        .min_ttl = or_nothing(cache->min_ttl), .max_ttl = cache->max_ttl,
        .negative_ttl = or_nothing(cache->negative_ttl),
        .prefer = (weir_resolver_prefer)said->prefer,
        .max_stale = weir_is_forever(cache->max_stale) ? WEIR_NS(-1) : cache->max_stale};
    const char *const *servers = said->servers.items;
    char list[RESOLVER_MAX_SERVERS * (INET6_ADDRSTRLEN + 16)];
    size_t used = 0;

    for (size_t i = 0; i < said->servers.count; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? "," : "", servers[i]);
    options.servers = used ? list : NULL;
    return weir_resolver_configure(loop, &options);
}
