/* SPDX-License-Identifier: Apache-2.0 */
/**
 * TLS contexts (OpenSSL). Immutable after creation, but for weir_tls_context_replace(); reference counts
 * are atomic: any thread. A context goes into weir_server_options, weir_connect_options or weir_stream_start_tls().
 *
 * Example:
 *
 *     static weir_error *make_context(void *arg)
 *     {
 *         const weir_tls_certificate certificate = {.certificate = "/etc/app/cert.pem",
 *                                                    .key = "/etc/app/key.pem"};
 *         const weir_tls_options options = {
 *             WEIR_SIZED(weir_tls_options),
 *             .certificates = &certificate,
 *             .certificate_count = 1,
 *         };
 *
 *         return weir_tls_server_context_new(&options, (weir_tls_context **)arg);
 *     }
 */
#ifndef WEIR_TLS_H
#define WEIR_TLS_H

#include <weir/error.h>
#include <weir/transport.h>

WEIR_BEGIN_DECLS

typedef enum weir_tls_profile {
    WEIR_TLS_INTERMEDIATE, /**< TLS 1.2 and 1.3, forward secrecy and AEAD only */
    WEIR_TLS_MODERN,       /**< TLS 1.3 */
    WEIR_TLS_CUSTOM,       /**< what weir_tls_options says; where it says nothing, intermediate */
} weir_tls_profile;

typedef enum weir_tls_version { WEIR_TLS_1_2 = 0x0303, WEIR_TLS_1_3 = 0x0304 } weir_tls_version;

/** A certificate chain and its key; each a path, or PEM text when it contains "-----BEGIN". */
typedef struct weir_tls_certificate {
    const char *certificate; /**< the server's own first, then whoever signed it, upwards */
    const char *key;         /**< NULL: in the certificate's file */
    const char *password;    /**< of an encrypted key; NULL: none */
    const char *ocsp; /**< of a server: path of an OCSP response (DER) to staple; NULL: none */
} weir_tls_certificate;

/** What is known of a certificate that was read. Times are seconds since 1970, UTC. */
typedef struct weir_tls_certificate_info {
    int64_t not_before, not_after;
    int64_t ocsp_until; /**< when its OCSP response is out of date; 0: there is none, or no date */
    char subject[128];
    char issuer[128];
    char key[32];      /**< "EC P-256", "RSA 2048" */
    char warning[256]; /**< what clients will stumble over: expired, not valid yet, a chain in the
                            wrong order; empty: nothing */
} weir_tls_certificate_info;

/**
 * Reads a certificate with everything that belongs to it, as making a context would. Blocks: off the
 * loop. Any thread. Errors name the file and what is wrong: unreadable, not PEM, an encrypted key,
 * a key of another certificate, a bad OCSP response.
 */
WEIR_PUBLIC weir_error *
weir_tls_certificate_check(const weir_tls_certificate *certificate,
                           weir_tls_certificate_info *ret_info) WEIR_MUST_USE;

/**
 * Keys of session tickets, for all contexts that shall take each other's sessions. A new key is made
 * each `interval` (0: 12 hours); the one before it is accepted still, and replaced at the client.
 * With them are kept sessions by id, of clients of TLS 1.2 that take no tickets and of contexts with
 * no_tickets: 4,096, the oldest make room. So sessions outlive a context that is replaced when the newer
 * one shares this. Any thread; reference counts are atomic.
 */
typedef struct weir_tls_tickets weir_tls_tickets;
WEIR_PUBLIC weir_error *weir_tls_tickets_new(weir_duration interval,
                                             weir_tls_tickets **ret) WEIR_MUST_USE;
WEIR_PUBLIC weir_tls_tickets *weir_tls_tickets_ref(weir_tls_tickets *tickets);
WEIR_PUBLIC void weir_tls_tickets_unref(weir_tls_tickets *tickets);
/** Makes a new key now. */
WEIR_PUBLIC weir_error *weir_tls_tickets_rotate(weir_tls_tickets *tickets) WEIR_MUST_USE;

typedef struct weir_tls_options {
    size_t size;
    const weir_tls_certificate *certificates; /**< of a server: the first is the default, the others
                                                 are chosen by SNI and key type */
    size_t certificate_count;
    weir_tls_profile profile;
    const char *const *alpn; /**< in order of preference, NULL-ended; NULL: none */
    const char *ca_file;     /**< to verify the peer with; NULL: the system's (client) */
    bool verify_client;      /**< server: ask for and require a certificate that ca_file signed */
    bool no_verify;          /**< client: accept any certificate */
    weir_duration shutdown_timeout; /**< how long a close waits for the peer's end; 0: 5 s */
    bool verify_client_if_given;    /**< server: likewise, but a client may have none */
    bool no_tickets;                /**< server: sessions are kept here only, by id */
    bool no_resumption;             /**< client: each handshake is a full one */
    weir_tls_tickets *tickets;      /**< server: shared, referenced; NULL: of its own */
    const char *key_log; /**< for debugging: secrets of each session are appended to this file, as
                              SSLKEYLOGFILE of browsers; whoever reads it reads the traffic. NULL */
    /* Of WEIR_TLS_CUSTOM; lists as OpenSSL writes them, "A:B:C", by preference; of a server its own
       counts. NULL and 0: those of the intermediate profile. */
    const char *ciphers;      /**< of TLS 1.2 */
    const char *ciphersuites; /**< of TLS 1.3 */
    const char *groups;       /**< for the key exchange, "X25519:P-256" */
    weir_tls_version min_version, max_version;
} weir_tls_options;

/** Blocks: reads files, so off the loop. Any thread. Errors name the file and what is wrong. */
WEIR_PUBLIC weir_error *weir_tls_server_context_new(const weir_tls_options *options,
                                                    weir_tls_context **ret) WEIR_MUST_USE;
WEIR_PUBLIC weir_error *weir_tls_client_context_new(const weir_tls_options *options,
                                                    weir_tls_context **ret) WEIR_MUST_USE;
WEIR_PUBLIC weir_tls_context *weir_tls_context_ref(weir_tls_context *context);
WEIR_PUBLIC void weir_tls_context_unref(weir_tls_context *context);
/**
 * From now on handshakes with `context` use `newer` (references it), a context of the same kind: new
 * certificates for those who hold the old one. Handshakes that have begun, and connections, keep what
 * they began with. Any thread.
 */
WEIR_PUBLIC weir_error *weir_tls_context_replace(weir_tls_context *context,
                                                 weir_tls_context *newer) WEIR_MUST_USE;
/** When the first of its certificates expires: seconds since 1970, UTC; INT64_MAX: it has none. */
WEIR_PUBLIC int64_t weir_tls_context_not_after(weir_tls_context *context);
/** What is known of its certificate `index`, in the order in which they were given, as handshakes that
 *  begin now show it; false: there are not so many. Any thread. */
WEIR_PUBLIC bool weir_tls_context_certificate(weir_tls_context *context, size_t index,
                                              weir_tls_certificate_info *ret_info);

/**
 * Whether the kernel offers TLS of its own, the "tls" protocol over TCP. It is not used
 * (docs/internals/tls.md). `ret_words`: the same in words, that stay; may be NULL. Looked up once; any
 * thread.
 */
WEIR_PUBLIC bool weir_tls_kernel(const char **ret_words);

/**
 * Puts TLS on an open connection, as its server. What was received and no protocol has taken, as the
 * `rest` of weir_transport_set_protocol(), is the beginning of the handshake: for connections whose
 * first bytes were looked at, never after plaintext was spoken. `timeout` is the handshake's; 0: 10 s.
 * `done` comes exactly once, not inside this call, and owns the error; after one the connection is
 * lost. Until then the protocol hears nothing but connection_lost, and cannot write.
 * Errors: WEIR_EINVAL a client's context, WEIR_EINVALSTATE it has TLS, WEIR_ECLOSED, WEIR_ENOMEM.
 */
WEIR_PUBLIC weir_error *weir_transport_accept_tls(weir_transport *transport,
                                                  weir_tls_context *context, weir_duration timeout,
                                                  void (*done)(weir_transport *transport,
                                                               weir_error *take_error, void *arg),
                                                  void *arg) WEIR_MUST_USE;

WEIR_DEFINE_CLEANUP(weir_tls_context, weir_tls_context_unref)
WEIR_DEFINE_CLEANUP(weir_tls_tickets, weir_tls_tickets_unref)

WEIR_END_DECLS

#endif
