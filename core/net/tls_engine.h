/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a connection's TLS. */
#ifndef WEIR_CORE_NET_TLS_ENGINE_H
#define WEIR_CORE_NET_TLS_ENGINE_H

#include "core/net/tls.h"
#include "core/net/transport.h"

struct tls_engine {
    weir_transport *transport; /* whose `tls` this is */
    struct list link;          /* handshakes of its server that are under way */
    SSL *ssl;                  /* NULL once the connection is lost */
    weir_tls_context *context;
    struct input *input; /* received ciphertext */
    struct timer timer;  /* the handshake's limit; later: no chunk was free */
    int64_t started;     /* when the handshake began, by the loop's time */
    weir_duration limit;
    tls_done_fn done; /* NULL once called */
    void *arg;
    weir_tls_info info;
    weir_tls_result result;   /* of the handshake */
    char *server_name, *alpn; /* what info points at */
    char *problem;            /* why the peer's certificate did not verify */
    bool handshaking;
    bool upgrade;     /* started on an open connection */
    bool running;     /* inside weir__tls_run() */
    bool ended;       /* the TCP stream has ended */
    bool peer_closed; /* close_notify has come */
    bool notified;    /* ours is queued */
    bool wrote;       /* OpenSSL has written something in this call */
    bool failed;      /* refused the peer, and says why before the connection is lost */
    bool waits;       /* for the peer's end; what comes is thrown away */
};

/* What the last failure of this thread means for the handshake; leaves OpenSSL's queue as it is. */
weir_tls_result weir__tls_classify(void);
/* Ends the connection for this reason; what OpenSSL wrote in this call, the alert, is sent first. */
void weir__tls_fail(struct tls_engine *e, weir_error *take_error);
void weir__tls_drop_input(struct tls_engine *e);
/* The limit of a wait for the peer has passed, if that is what the timer was for. */
bool weir__tls_close_expired(struct tls_engine *e);
/* NULL: out of memory. */
BIO *weir__tls_bio_new(struct tls_engine *e);

#endif
