/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that the protocol puts directly on a listener, and the networks that are trusted.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <weir/config.h>

#include "plugins/http/http.h"

/* "10.0.0.0/8", "::1", "192.0.2.1". */
static bool parse_cidr(weir_config_context *context, const weir_config_node *node, void *field)
{
    struct cidr *cidr = field;
    const char *text = weir_config_node_text(node);
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    char address[INET6_ADDRSTRLEN + 1], *end = NULL;
    bool v4;

    if (len < sizeof address) {
        unsigned long bits;

        memcpy(address, text, len);
        address[len] = '\0';
        memset(cidr->address, 0, 10);
        cidr->address[10] = cidr->address[11] = 0xff;
        v4 = inet_pton(AF_INET, address, cidr->address + 12) == 1;
        if (v4 || inet_pton(AF_INET6, address, cidr->address) == 1) {
            bits = slash ? strtoul(slash + 1, &end, 10) : (v4 ? 32 : 128);
            if ((!slash || (end != slash + 1 && !*end)) && bits <= (v4 ? 32 : 128)) {
                cidr->bits = (unsigned)bits + (v4 ? 96 : 0);
                return true;
            }
        }
    }
    weir_config_error_at(context, node, "`%s` is not an address or network", text);
    weir_config_help(context, "write an address or a network: `10.0.0.0/8`, `\"fd00::/8\"`");
    return false;
}

static bool cidr_holds(const struct cidr *cidr, const uint8_t address[16])
{
    unsigned whole = cidr->bits / 8, rest = cidr->bits % 8;
    uint8_t mask = (uint8_t)(0xff00 >> rest);

    return memcmp(cidr->address, address, whole) == 0 &&
           (rest == 0 || ((cidr->address[whole] ^ address[whole]) & mask) == 0);
}

bool http_peer_is_trusted(const struct http_connection *connection)
{
    weir_array trusted = http_listener_of(connection)->trusted_proxies;
    const struct sockaddr *peer;
    uint8_t address[16] = {[10] = 0xff, [11] = 0xff};
    size_t len;

    if (trusted.count == 0)
        return false;
    peer = weir_transport_peer_address(connection->transport, &len);
    if (!peer)
        return false;
    if (peer->sa_family == AF_INET)
        memcpy(address + 12, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
    else if (peer->sa_family == AF_INET6)
        memcpy(address, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, 16);
    else
        return true; /* a Unix socket: whoever may open its file */
    WEIR_ARRAY_EACH(const struct cidr, cidr, trusted)
    if (cidr_holds(cidr, address))
        return true;
    return false;
}

WEIR_OPTIONS(timeout_options,
             WEIR_OPTION_AS(weir_http_server_options, header_timeout, "header", WEIR_TYPE_DURATION,
                            .default_text = "10s",
                            .doc = "From the first byte of a request to the end of its head"),
             WEIR_OPTION_AS(weir_http_server_options, body_timeout, "body", WEIR_TYPE_DURATION,
                            .default_text = "30s", .doc = "Between reads of a request's body"),
             WEIR_OPTION_AS(weir_http_server_options, idle_timeout, "idle", WEIR_TYPE_DURATION,
                            .default_text = "75s", .doc = "Between requests of a connection"),
             WEIR_OPTION_AS(weir_http_server_options, write_timeout, "write", WEIR_TYPE_DURATION,
                            .default_text = "30s",
                            .doc = "Without progress of a response that is being sent"));

static const char *const off[] = {"off", NULL};

const weir_option *const http_listener_options[] = {
    WEIR_OPTION_AS(struct http_listener, server, "timeouts", WEIR_TYPE_MAP,
                   .fields = timeout_options, .doc = "How long a client may take"),
    WEIR_OPTION_AS(struct http_listener, server.max_header, "max_header", WEIR_TYPE_SIZE,
                   .default_text = "32KiB", .doc = "Largest head of a request", .min = 1024,
                   .max = 1048576),
    WEIR_OPTION_AS(struct http_listener, server.max_body, "max_body", WEIR_TYPE_SIZE, .words = off,
                   .default_text = "off", .doc = "Largest body of a request"),
    WEIR_OPTION_LIST(struct http_listener, trusted_proxies, struct cidr,
                     WEIR_ELEMENT(WEIR_TYPE_CUSTOM, struct cidr, .parse = parse_cidr), "[]",
                     "Peers whose X-Forwarded-* and Forwarded fields are believed"),
    NULL,
};
