/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the plugin `udp`: the protocol (udp.c), sessions (session.c). */
#ifndef WEIR_PLUGINS_UDP_UDP_H
#define WEIR_PLUGINS_UDP_UDP_H

#include <weir/plugin.h>

struct udp_config {
    weir_duration idle_timeout;
};

struct udp_proxy_config {
    weir_upstream *upstream;
};

struct udp_link {
    struct udp_link *next, *previous;
};

/* What a client's datagrams and their answers have in common. */
struct udp_session {
    struct udp_link link; /* in udp_socket.idle, the one that is longest without a datagram first */
    struct udp_session *chained; /* in its bucket */
    struct udp_socket *socket;
    weir_address client, local; /* who it is, which of our addresses it asks */
    weir_listener *listener;    /* acquired */
    const weir_route *route;
    const struct udp_proxy_config *config;
    weir_server_use *use;
    weir_datagram *server;
    weir_instant began, active;
    uint64_t bytes_in, bytes_out;
    char ip[WEIR_ADDRESS_TEXT_SIZE];
    bool answered;
};

/* Of each socket that is listened on: all of one loop. */
struct udp_socket {
    weir_datagram *socket;
    struct udp_session **buckets; /* a power of two */
    size_t n_buckets, n_sessions;
    struct udp_link idle;
    weir_timer timer;
};

void udp_sessions_begin(struct udp_socket *socket, weir_datagram *datagram);
void udp_sessions_end(struct udp_socket *socket);
/* The client's session; NULL: it has none. */
struct udp_session *udp_session_find(const struct udp_socket *socket, const weir_address *client,
                                     const weir_address *local);
/* Takes the listener. NULL: it was refused, and that is recorded. */
struct udp_session *udp_session_begin(struct udp_socket *socket, const weir_datagram_info *info,
                                      weir_listener *take_listener);
void udp_session_end(struct udp_session *session, weir_outcome outcome, const weir_error *reason);
/* Sends it on to the server. */
void udp_session_forward(struct udp_session *session, weir_slice data);

/* What `udp.action` entries are: the head, then how a session begins. False: it was ended. */
struct udp_action {
    weir_extension_head head;
    bool (*start)(struct udp_session *session, const void *config);
};

bool udp_session_connect(struct udp_session *session, const struct udp_proxy_config *config);

#endif
