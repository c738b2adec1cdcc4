/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS between the backend and the protocol of one transport, and the contexts it is made from.
 *
 *     backend ──chunks──> cipher list ──BIO──> SSL ──plaintext──> weir__transport_deliver()
 *     weir__tls_write() ──plaintext──> SSL ──BIO──> the transport's write queue ──> backend
 */
#ifndef WEIR_CORE_NET_TLS_H
#define WEIR_CORE_NET_TLS_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include <weir/tls.h>

#include "core/base/invariant.h"

#define TLS_CONTEXT_MAGIC     WEIR_MAGIC('t', 'l', 's', 'c')
#define TLS_HANDSHAKE_TIMEOUT WEIR_S(10)
#define TLS_SHUTDOWN_TIMEOUT  WEIR_S(5)
#define TLS_ALPN_MAX          64

/* Certificates for the same names: one RSA and one ECDSA, of which OpenSSL picks. */
struct tls_identity {
    SSL_CTX *ctx;
    char **names; /* lower case; "*.example.org" */
    size_t name_count;
    unsigned key_types; /* that it has: TLS_KEY_… */
};

#define TLS_KEY_EC    1u
#define TLS_KEY_OTHER 2u

struct weir_tls_context {
    uint32_t magic;
    atomic_uint refs;
    bool server;
    struct tls_identity *identities; /* a client has one; the first is the default */
    size_t identity_count;
    unsigned char *alpn; /* as on the wire: length, bytes, … */
    unsigned alpn_len;
    weir_duration shutdown_timeout;
};

struct tls_engine;

/* The handshake has ended; called once. Takes the error; after one the transport is lost. */
typedef void (*tls_done_fn)(weir_transport *t, weir_error *take_error, void *arg);

struct tls_start {
    weir_tls_context *context;
    const char *server_name; /* to verify (client); NULL: none */
    weir_duration timeout;   /* of the handshake; WEIR_FOREVER: none */
    tls_done_fn done;
    void *arg;
};

/* Puts TLS on a transport in state HANDSHAKE and begins; errors leave it without TLS. */
weir_error *weir__tls_start(weir_transport *t, const struct tls_start *start) WEIR_MUST_USE;
/* On an OPEN transport: back to HANDSHAKE first. */
weir_error *weir__transport_start_tls(weir_transport *t, weir_tls_context *context,
                                      const char *server_name, tls_done_fn done,
                                      void *arg) WEIR_MUST_USE;

void weir__tls_received(struct tls_engine *engine, weir_chunk *take_chunk, size_t offset,
                        size_t len);
/* The peer's TCP stream has ended. */
void weir__tls_ended(struct tls_engine *engine);
/* Goes on with what waits, as far as the transport lets it. */
void weir__tls_run(struct tls_engine *engine);
bool weir__tls_has_input(const struct tls_engine *engine);
weir_error *weir__tls_write(struct tls_engine *engine, const weir_slice *slices, size_t count,
                            size_t total) WEIR_MUST_USE;
/* Queues close_notify. */
void weir__tls_close_notify(struct tls_engine *engine);
/* Everything is sent: whether the end of the peer is to be waited for, and begins to. */
bool weir__tls_waits_for_end(struct tls_engine *engine);
/* Nothing comes any more: timers and input go; then, from phase two, `done` if it waits. */
void weir__tls_stop(struct tls_engine *engine);
void weir__tls_lost(struct tls_engine *engine, const weir_error *reason);
void weir__tls_free(struct tls_engine *engine);
bool weir__tls_info(const struct tls_engine *engine, weir_tls_info *ret);

/* What OpenSSL has to say about the last failure of this thread, in words; empties its queue. */
void weir__tls_reason(const SSL *ssl, char *buffer, size_t size);

#endif
