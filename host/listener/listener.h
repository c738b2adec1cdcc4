/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners: the part of a configuration (weir_listener, immutable), and the durable thing of that
 * name (struct slot) with the counters, and for each loop the part in force and the connections.
 */
#ifndef WEIR_HOST_LISTENER_LISTENER_H
#define WEIR_HOST_LISTENER_LISTENER_H

#include <sys/types.h>

#include <weir/listener.h>
#include <weir/plugin.h>
#include <weir/server.h>

#include "host/generation/list.h"
#include "host/generation/traffic.h"
#include "host/route/routes.h"

struct durable_map;
struct inspect_facts;
struct inspect_plan;
struct part;

/* What all listeners share; one for the process. */
struct connection_limit {
    uint64_t limit;     /* 0: none */
    uint64_t open;      /* atomic */
    int64_t complained; /* when the log said so last; atomic */
    bool memory_full;   /* runtime.limits.memory is reached; atomic */
};

/* Written by the loop that owns them, read by any thread. */
struct listener_counters {
    uint64_t accepted, refused, open;
    uint64_t requests; /* under way */
    uint64_t bytes_in, bytes_out;
    uint64_t outcomes[WEIR_OUTCOME_COUNT];
};

/* Of TLS. Likewise. */
struct listener_handshakes {
    uint64_t done[2][2];                    /* TLS 1.2, 1.3; full, resumed */
    uint64_t failed[WEIR_TLS_RESULT_COUNT]; /* the first is not used */
    uint64_t nanoseconds;                   /* that those which are done took, together */
};

struct slot_loop {
    struct slot *slot;
    weir_listener *current;   /* the part in force on this loop */
    struct hlist connections; /* struct connection */
    struct hlist datagrams;   /* sockets that serve (datagram.c) */
    struct listener_counters counters;
    struct listener_handshakes handshakes;
} __attribute__((aligned(HOST_CACHE_LINE)));

/* Durable, found by the listener's name. */
struct slot {
    char *name;
    unsigned n_loops;
    struct connection_limit *limit;
    uint64_t open;      /* over all loops, for max_connections; atomic */
    int64_t complained; /* when the log said that they are all open; atomic */
    struct slot_loop loops[];
};

/* A client's connection: the transport's context, in its room. They idle by the thousand. */
struct connection {
    weir_transport *transport;
    struct slot_loop *local;
    weir_listener *part; /* that it runs with */
    struct hlist link;
    struct inspect_facts *facts; /* what inspection found out; NULL: there was none */
    uint64_t since_us : 54;      /* monotonic */
    uint64_t handoffs : 8;       /* from one listener to another */
    uint64_t redirected : 1;     /* it came to an address of `redirect_from` */
    uint64_t alone : 1;          /* there was no room, it has a block of its own */
};

/* Nanoseconds. */
static inline int64_t weir__connection_age(const struct connection *connection, int64_t now)
{
    return now - (int64_t)connection->since_us * 1000;
}

/* Of one loop: written by it, read by any thread. */
struct listener_uses {
    uint64_t count;       /* connections, requests, and one while it is in force */
    uint64_t connections; /* that it serves */
} __attribute__((aligned(HOST_CACHE_LINE)));

/* A listening socket, which generations hand on. The count is atomic. */
struct bound_socket {
    unsigned refs;
    int fd;         /* -1: it was closed */
    char *text;     /* what asked for it */
    char name[128]; /* with the port that the kernel chose */
    dev_t device;   /* of a Unix socket's file; 0: none */
    ino_t inode;
    bool inherited; /* the process was started with it */
    bool kept;      /* by somebody else, when this process has closed it */
    bool datagram;
    unsigned wanted; /* by the generation of this number; the control loop's */
    int *more;       /* sockets of the loops after the first, with `reuse_port` */
    unsigned n_more;
    struct serving *served[]; /* by each loop; NULL: not. Written by the loop */
};

struct bound_address {
    const void *field;           /* where it is written */
    struct bound_socket *socket; /* NULL: not bound */
    bool redirects;              /* of `redirect_from`: no TLS, and nobody stays */
};

struct weir_listener {
    struct part *part; /* NULL: it is not a generation's yet */
    char *name;
    struct slot *slot;
    const weir_protocol *protocol;
    const void *protocol_config, *listener_config;
    weir_instance *instance;         /* of the part, or among its own */
    weir_instance *own;              /* instances that live and die with it */
    weir_routes *routes;             /* owned */
    weir_tls_context *tls;           /* owned; NULL: plain */
    struct tls_watched *tls_watched; /* of its files, until its part has it */
    weir_duration handshake_timeout;
    size_t max_handshakes, max_handshakes_per_address; /* 0: no limit */
    int backlog;
    weir_proxy_policy proxy;            /* n_trusted 0: no headers */
    const struct inspect_plan *inspect; /* NULL: nothing is looked at */
    uint64_t max_connections;           /* 0: no limit of its own */
    bool reuse_port;                    /* a socket for each loop */
    struct bound_address *addresses;
    size_t n_addresses;
    unsigned n_loops;
    struct listener_uses uses[];
};

weir_error *weir__listener_new(const char *name, size_t n_addresses, unsigned n_loops,
                               struct durable_map *durables, struct connection_limit *limit,
                               weir_listener **ret) WEIR_MUST_USE;
void weir__listener_free(weir_listener *listener);
/* Binds an address. Errors: as weir_listen_socket(). */
weir_error *weir__listener_bind(weir_listener *listener, size_t index,
                                const char *text) WEIR_MUST_USE;
/* Uses a socket that is bound already, in place of what the address had. */
void weir__listener_share(weir_listener *listener, size_t index, struct bound_socket *socket);
/* "" when it is not bound; -1. */
const char *weir__address_name(const struct bound_address *address);
int weir__address_fd(const struct bound_address *address);
/* Nobody listens there any more, whoever has a reference. */
void weir__socket_close(struct bound_socket *socket);
void weir__listener_close_sockets(weir_listener *listener);
/* Puts a part into force on a loop, on its thread; NULL: the listener is gone, its connections drain. */
void weir__slot_set(struct slot *slot, weir_listener *listener, struct traffic *traffic);
/* Whether the servers of one do for the other. */
bool weir__listener_serves_alike(const weir_listener *a, const weir_listener *b);
/* Serves one of its addresses on this loop. */
weir_error *weir__listener_serve(weir_listener *listener, size_t index, struct traffic *traffic,
                                 weir_server **ret) WEIR_MUST_USE;
/* reuse_port.c: the sockets of the other loops. What was handed in, and Unix sockets, are alone. */
weir_error *weir__socket_multiply(struct bound_socket *socket,
                                  const weir_listener *listener) WEIR_MUST_USE;
/* That of a loop. */
int weir__socket_fd_of(const struct bound_socket *socket, unsigned loop);
/* datagram.c: the same for protocols of datagrams. Serves all addresses, and no others any more. */
weir_error *weir__datagrams_bind(struct bound_socket *socket,
                                 const weir_listener *listener) WEIR_MUST_USE;
weir_error *weir__datagrams_serve(weir_listener *listener, struct traffic *traffic) WEIR_MUST_USE;
/* False: there was none. Their connection_lost comes from the loop. */
bool weir__datagrams_close(struct slot *slot, struct traffic *traffic);
/* Calls what connections of this loop left for the moment when draining begins. */
void weir__slot_drain(struct slot *slot, struct traffic *traffic);
uint64_t weir__slot_open(const struct slot *slot);
/* record.c: a line of the access log for a connection that was closed at once. */
void weir__record_refused(const struct slot *slot, weir_transport *transport);
/* One more use on this loop; weir_listener_release() is the end of it. */
void weir__listener_use(weir_listener *listener, unsigned loop);
/* The part that a connection runs with: it lives as long as that. NULL: none any more. */
void weir__connection_pin(struct connection *connection, weir_listener *listener);
/* The record of a client's connection; NULL: it is somebody else's. */
struct connection *weir__connection_of(const weir_transport *transport);
/* limit.c: counts one more connection. Errors: WEIR_ELIMIT; that is counted, and the log says so. */
weir_error *weir__slot_admit(struct slot *slot, struct slot_loop *local) WEIR_MUST_USE;
/* handshakes.c: counts one; `slot` is its listener's. */
void weir__listener_handshake_over(weir_transport *transport, weir_tls_result result,
                                   weir_duration took, void *slot);
struct listener_handshakes weir__slot_handshakes(const struct slot *slot);

#endif
