/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys from files or text. Blocks on files. */
#ifndef WEIR_CORE_NET_TLS_CERTIFICATE_H
#define WEIR_CORE_NET_TLS_CERTIFICATE_H

#include "core/net/tls.h"

struct tls_pair {
    X509 *leaf;
    STACK_OF(X509) * chain; /* above the leaf */
    EVP_PKEY *key;
    char **names; /* lower case, each once */
    size_t name_count;
    unsigned char *ocsp; /* DER */
    int ocsp_len;
    int64_t ocsp_until;
};

/* A distinguished name in one line. */
void weir__tls_name_text(const X509_NAME *name, char *buffer, size_t size);
int64_t weir__tls_time(const ASN1_TIME *time);

/* Errors: WEIR_ETLS with the file and what is wrong; errno values. */
weir_error *weir__tls_pair_load(const weir_tls_certificate *source,
                                struct tls_pair *ret) WEIR_MUST_USE;
void weir__tls_pair_done(struct tls_pair *pair);
/* What a chain does not keep: which one of it did not sign the one before it; "": all did. */
void weir__tls_chain_warning(const struct tls_pair *pair, char *buffer, size_t size);
/* `chain`: the warning about it. */
void weir__tls_describe(X509 *leaf, int64_t ocsp_until, const char *chain,
                        weir_tls_certificate_info *ret);
/* The trust anchors of a file, or of PEM text. */
weir_error *weir__tls_trust_load(SSL_CTX *ctx, const char *ca_file) WEIR_MUST_USE;
/* Adds what the file, or text, says. */
weir_error *weir__tls_trust_digest(const char *ca_file, EVP_MD_CTX *into) WEIR_MUST_USE;

#endif
