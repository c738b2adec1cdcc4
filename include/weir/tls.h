/* SPDX-License-Identifier: Apache-2.0 */
/**
 * TLS contexts (OpenSSL). Immutable after creation; reference counts are atomic: any thread. A context
 * goes into weir_server_options, weir_connect_options or weir_stream_start_tls().
 *
 * Example:
 *
 *     static weir_error *make_context(void *arg)
 *     {
 *         const weir_tls_certificate certificate = {"/etc/app/cert.pem", "/etc/app/key.pem"};
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
} weir_tls_profile;

/** A certificate chain and its key; each a path, or PEM text when it contains "-----BEGIN". */
typedef struct weir_tls_certificate {
    const char *certificate;
    const char *key;
} weir_tls_certificate;

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
} weir_tls_options;

/** Blocks: reads files, so off the loop. Any thread. Errors name the file and what is wrong. */
WEIR_PUBLIC weir_error *weir_tls_server_context_new(const weir_tls_options *options,
                                                    weir_tls_context **ret) WEIR_MUST_USE;
WEIR_PUBLIC weir_error *weir_tls_client_context_new(const weir_tls_options *options,
                                                    weir_tls_context **ret) WEIR_MUST_USE;
WEIR_PUBLIC weir_tls_context *weir_tls_context_ref(weir_tls_context *context);
WEIR_PUBLIC void weir_tls_context_unref(weir_tls_context *context);

WEIR_DEFINE_CLEANUP(weir_tls_context, weir_tls_context_unref)

WEIR_END_DECLS

#endif
