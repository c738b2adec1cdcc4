/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a connection's TLS. */
#ifndef WEIR_CORE_NET_TLS_ENGINE_H
#define WEIR_CORE_NET_TLS_ENGINE_H

#include "core/net/tls.h"
#include "core/net/transport.h"

/* What is needed while the peer is waited for: during the handshake, and at the end. */
struct tls_wait {
    struct tls_engine *engine;
    struct timer timer; /* the limit; of an open connection: no chunk was free */
    struct list link;   /* handshakes of its server that are under way */
    int64_t started;    /* when the handshake began, by the loop's time */
    weir_duration limit;
    tls_done_fn done; /* NULL once called */
    void *arg;
    char *problem;          /* why the peer's certificate did not verify */
    weir_tls_result result; /* of the handshake */
    bool upgrade;           /* started on an open connection */
};

/* What an idle connection holds, beside OpenSSL's. */
struct tls_engine {
    weir_transport *transport; /* whose `tls` this is */
    SSL *ssl;                  /* NULL once the connection is lost */
    weir_tls_context *context;
    struct input *input;   /* received ciphertext */
    struct tls_wait *wait; /* NULL: none */
    weir_tls_info *past;   /* what was agreed on, once it is lost */
    char *server_name; /* that the client asked for; of a client: what its session is good for */
    bool handshaking;
    bool running;     /* inside weir__tls_run() */
    bool ended;       /* the TCP stream has ended */
    bool peer_closed; /* close_notify has come */
    bool notified;    /* ours is queued */
    bool wrote;       /* OpenSSL has written something in this call */
    bool failed;      /* refused the peer, and says why before the connection is lost */
    bool waits;       /* for the peer's end; what comes is thrown away */
};

/* OpenSSL's callbacks get no more than this; a place among its "ex data" costs twice the memory. */
static inline struct tls_engine *tls_engine_of(const SSL *ssl)
{
    return BIO_get_data(SSL_get_rbio(ssl));
}

/* The limit of a wait that begins now; false: no memory. */
bool weir__tls_wait_start(struct tls_engine *e, weir_duration limit);
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
