/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a connection's TLS. */
#ifndef WEIR_CORE_NET_TLS_ENGINE_H
#define WEIR_CORE_NET_TLS_ENGINE_H

#include "core/net/tls.h"
#include "core/net/transport.h"

struct tls_engine {
    weir_transport *transport; /* whose `tls` this is */
    SSL *ssl;                  /* NULL once the connection is lost */
    weir_tls_context *context;
    struct input *input; /* received ciphertext */
    struct timer timer;  /* the handshake's limit; later: no chunk was free */
    int64_t started;     /* debug mode: when the handshake began */
    weir_duration limit;
    tls_done_fn done; /* NULL once called */
    void *arg;
    weir_tls_info info;
    char *server_name, *alpn; /* what info points at */
    bool handshaking;
    bool upgrade;     /* started on an open connection */
    bool running;     /* inside weir__tls_run() */
    bool ended;       /* the TCP stream has ended */
    bool peer_closed; /* close_notify has come */
    bool notified;    /* ours is queued */
};

#endif
