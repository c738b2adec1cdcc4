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
#include <pthread.h>
#include <stdatomic.h>

#include <weir/server.h>
#include <weir/tls.h>

#include "core/base/invariant.h"

#define TLS_CONTEXT_MAGIC     WEIR_MAGIC('t', 'l', 's', 'c')
#define TLS_HANDSHAKE_TIMEOUT WEIR_S(10)
#define TLS_SHUTDOWN_TIMEOUT  WEIR_S(5)
#define TLS_ALPN_MAX          64

struct tls_ocsp {
    X509 *certificate; /* of the SSL_CTX */
    unsigned char *response;
    int len;
    int64_t until; /* 0: no date */
};

#define TLS_KEY_TYPES 2 /* of one identity: EC, and another */

/* Certificates for the same names: one RSA and one ECDSA, of which OpenSSL picks. */
struct tls_identity {
    SSL_CTX *ctx;
    char **names; /* lower case; "*.example.org" */
    size_t name_count;
    unsigned key_types; /* that it has: TLS_KEY_… */
    struct tls_ocsp ocsp[TLS_KEY_TYPES];
};

#define TLS_KEY_EC    1u
#define TLS_KEY_OTHER 2u

/* Names of all identities, hashed (tls_names.c). */
struct tls_names {
    struct tls_name {
        const char *name; /* NULL: free */
        const struct tls_identity *identity;
    } * slots;

    size_t mask;
};

/* A certificate, for who asks. */
struct tls_leaf {
    X509 *certificate;
    int64_t ocsp_until;
    char warning[sizeof(((weir_tls_certificate_info *)0)->warning)]; /* of its chain */
};

struct tls_sessions;

struct weir_tls_context {
    uint32_t magic;
    atomic_uint refs;
    bool server;
    struct tls_identity *identities; /* a client has one; the first is the default */
    size_t identity_count;
    struct tls_leaf *leaves; /* in the order in which they were given */
    size_t leaf_count;
    struct tls_names names;
    unsigned char *alpn; /* as on the wire: length, bytes, … */
    unsigned alpn_len;
    char *alpn_names; /* the same in the same order, each with its NUL */
    weir_duration shutdown_timeout;
    int64_t not_after; /* of the first that expires */
    weir_tls_tickets *tickets;
    struct tls_sessions *sessions; /* of a client; NULL: none are kept */
    char *ca_name;                 /* for messages */
    int key_log;                   /* descriptor; -1 */
    pthread_mutex_t lock;          /* of newer */
    weir_tls_context *newer;       /* what handshakes use instead; a reference */
};

/* What a handshake that begins now shall use: a reference. */
weir_tls_context *weir__tls_context_current(weir_tls_context *context);

/* The protocol that was agreed on, one of the context's names; NULL: none. */
const char *weir__tls_alpn_selected(const weir_tls_context *context, const SSL *ssl);

/* Whether "tls" is a word of the list (tls_kernel.c). */
bool weir__tls_listed(const char *list);

/* Versions, ciphers and groups of a profile (tls_profile.c). */
weir_error *weir__tls_profile_use(SSL_CTX *ctx, const weir_tls_options *options) WEIR_MUST_USE;

/* Choosing by name (tls_names.c). The first identity that has a name keeps it. */
weir_error *weir__tls_names_build(weir_tls_context *context) WEIR_MUST_USE;
const struct tls_identity *weir__tls_names_find(const struct tls_names *names, const char *asked);
void weir__tls_names_free(struct tls_names *names);

/* Sessions (tls_session.c). */
/* Without sealing, what tickets would hold is kept here. */
weir_error *weir__tls_tickets_use(weir_tls_context *context, bool seals,
                                  SSL_CTX *ctx) WEIR_MUST_USE;
weir_error *weir__tls_sessions_new(weir_tls_context *context, SSL_CTX *ctx) WEIR_MUST_USE;
void weir__tls_sessions_free(struct tls_sessions *sessions);
/* Before the handshake: offers the session that the name had last. */
void weir__tls_sessions_offer(struct tls_sessions *sessions, SSL *ssl);

/* Verifying the peer (tls_verify.c): the words for what is wrong go to the engine. */
int weir__tls_verify(int good, X509_STORE_CTX *store);
/* Stapling, and the key log. */
int weir__tls_staple(SSL *ssl, void *arg);
void weir__tls_log_key(const SSL *ssl, const char *line);

/* Handshakes of a server that are under way (tls_limit.c). NULL: they are not counted. */
struct tls_limit;
weir_error *weir__tls_limit_new(const weir_server_options *options,
                                struct tls_limit **ret) WEIR_MUST_USE;
/* Accepting has to rest. */
bool weir__tls_limit_reached(const weir_server *server);
/* WEIR_ELIMIT: too many of the peer's address. */
weir_error *weir__tls_limit_check(const weir_server *server, const weir_transport *t) WEIR_MUST_USE;
void weir__tls_limit_enter(weir_server *server, weir_transport *t);
void weir__tls_limit_leave(weir_server *server, weir_transport *t);

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
/* How the handshake ended, and how long it took. For `done`. */
weir_tls_result weir__tls_result(const struct tls_engine *engine, weir_duration *ret_took);

/* What OpenSSL has to say about the last failure of this thread, in words; empties its queue. */
void weir__tls_reason(const SSL *ssl, char *buffer, size_t size);

#endif
