/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the plugin `tcp`: the protocol (tcp.c), its action `proxy` (proxy.c). */
#ifndef WEIR_PLUGINS_TCP_TCP_H
#define WEIR_PLUGINS_TCP_TCP_H

#include <weir/plugin.h>
#include <weir/proxy-protocol.h>

struct proxy_config {
    weir_upstream *upstream;
    weir_duration idle_timeout;
    int proxy_protocol; /* weir_proxy_version; 0: off */
};

/* What hangs on the client's connection. */
struct tunnel {
    weir_transport *client;
    weir_listener *listener; /* NULL: it is over */
    const weir_route *route;
    const struct proxy_config *config; /* NULL: it is not proxied */
    weir_lease *lease;
    weir_timer patience; /* for the server's part of a preamble */
    bool waits;          /* for that */
    weir_instant started;
    int64_t connected_ns;
};

/* Gives back what the tunnel holds, and tells how it went. */
void tcp_finish(struct tunnel *tunnel, weir_outcome outcome, const weir_error *reason);

/* The server's answer is not waited for any more. */
void tcp_stop_waiting(struct tunnel *tunnel);

/* What `tcp.action` entries are: the head, then how to begin. An error ends the connection. */
struct tcp_action {
    weir_extension_head head;
    weir_error *(*start)(struct tunnel *tunnel, const void *config);
};

extern const struct tcp_action tcp_proxy;
extern const weir_upstream_protocol tcp_upstream_protocol;

#endif
