/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a context offers and accepts: versions, ciphers and groups. The profiles are those of Mozilla's
 * recommendations; all six ciphers of the intermediate one are good, and the client knows best which
 * its machine is fast at, so its order counts. Of a custom list the order is somebody's will.
 */
#include "config.h"

#include <openssl/err.h>
#include <string.h>

#include "core/net/tls.h"

#define CIPHERS_INTERMEDIATE                                     \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GROUPS "X25519:P-256:P-384"

static weir_error *refused(const char *what, const char *list)
{
    char reason[256];

    weir__tls_reason(NULL, reason, sizeof(reason));
    return weir_raise(WEIR_ETLS, "TLS: OpenSSL does not take the %s %s (%s)", what, list, reason);
}

static size_t names_in(const char *list)
{
    size_t count = 1;

    for (; (list = strchr(list, ':')); list++)
        count++;
    return count;
}

/* OpenSSL passes over names that it does not know, or has switched off, as long as it knows one. */
static bool all_there(SSL_CTX *ctx, const char *list, bool of_1_3)
{
    STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(ctx);
    size_t found = 0;

    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        const char *version = SSL_CIPHER_get_version(sk_SSL_CIPHER_value(ciphers, i));

        found += (strcmp(version, "TLSv1.3") == 0) == of_1_3;
    }
    return found == names_in(list);
}

static weir_error *use_custom(SSL_CTX *ctx, const weir_tls_options *options)
{
    const char *ciphers = options->ciphers, *suites = options->ciphersuites;

    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    if (suites && (!SSL_CTX_set_ciphersuites(ctx, suites) || !all_there(ctx, suites, true)))
        return refused("ciphers", suites);
    if (ciphers && (!SSL_CTX_set_cipher_list(ctx, ciphers) || !all_there(ctx, ciphers, false)))
        return refused("ciphers", ciphers);
    /* Parameters for those of the DHE ciphers; as strong as the key of the certificate. */
    SSL_CTX_set_dh_auto(ctx, 1);
    if (options->groups && !SSL_CTX_set1_groups_list(ctx, options->groups))
        return refused("groups", options->groups);
    if (options->min_version && !SSL_CTX_set_min_proto_version(ctx, (int)options->min_version))
        return refused("version", "that min_version says");
    if (options->max_version && !SSL_CTX_set_max_proto_version(ctx, (int)options->max_version))
        return refused("version", "that max_version says");
    return NULL;
}

weir_error *weir__tls_profile_use(SSL_CTX *ctx, const weir_tls_options *options)
{
    bool modern = options->profile == WEIR_TLS_MODERN;

    if (!SSL_CTX_set_min_proto_version(ctx, modern ? TLS1_3_VERSION : TLS1_2_VERSION) ||
        !SSL_CTX_set_cipher_list(ctx, CIPHERS_INTERMEDIATE) ||
        !SSL_CTX_set1_groups_list(ctx, GROUPS))
        return refused("settings", "of the profile");
    return options->profile == WEIR_TLS_CUSTOM ? use_custom(ctx, options) : NULL;
}
