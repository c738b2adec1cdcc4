/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS contexts: what a server or a client of TLS is made from.
 *
 * A server has one SSL_CTX per set of names; certificates for the same names with keys of different
 * types share one, and OpenSSL serves whichever the client can verify. The name that a client asks
 * for picks one: exactly, then by wildcard, else the first. All of them share what the first was
 * set up with, so tickets of one are good for the others.
 */
#include "config.h"

#include <ctype.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/net/address.h"
#include "core/net/tls_certificate.h"

#define CIPHERS_INTERMEDIATE                                     \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define KEY_EXCHANGE_GROUPS "X25519:P-256:P-384"
/* Sessions of TLS 1.2 clients that are kept for those without tickets. */
#define SESSION_CACHE_SIZE 4096

void weir__tls_reason(const SSL *ssl, char *buffer, size_t size)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    long verified = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;

    if (ssl && verified != X509_V_OK && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
        snprintf(buffer, size, "certificate verify failed: %s",
                 X509_verify_cert_error_string(verified));
    else if (text)
        snprintf(buffer, size, "%s", text);
    else
        snprintf(buffer, size, code ? "error %lx" : "no reason given", code);
    ERR_clear_error();
}

/* Choosing by name */

static bool wildcard_matches(const char *pattern, const char *name)
{
    const char *dot = strchr(name, '.');

    return pattern[0] == '*' && pattern[1] == '.' && dot && dot != name &&
           strcmp(pattern + 1, dot) == 0;
}

static const struct tls_identity *find_identity(const weir_tls_context *context, const char *name)
{
    const struct tls_identity *wildcard = NULL;

    for (size_t i = 0; i < context->identity_count; i++) {
        const struct tls_identity *identity = &context->identities[i];

        for (size_t j = 0; j < identity->name_count; j++) {
            if (strcmp(identity->names[j], name) == 0)
                return identity;
            if (!wildcard && wildcard_matches(identity->names[j], name))
                wildcard = identity;
        }
    }
    return wildcard;
}

static int choose_identity(SSL *ssl, int *alert, void *arg)
{
    const weir_tls_context *context = arg;
    const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct tls_identity *identity;
    char name[HOST_NAME_SIZE];
    size_t len = 0;

    (void)alert;
    for (; asked && asked[len] && len < sizeof(name) - 1; len++)
        name[len] = (char)tolower((unsigned char)asked[len]);
    name[len] = '\0';
    if (!len)
        return SSL_TLSEXT_ERR_NOACK;
    identity = find_identity(context, name);
    if (identity)
        SSL_set_SSL_CTX(ssl, identity->ctx);
    return SSL_TLSEXT_ERR_OK;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *arg)
{
    const weir_tls_context *context = arg;
    unsigned char *chosen;

    (void)ssl;
    if (SSL_select_next_proto(&chosen, out_len, context->alpn, context->alpn_len, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* Making an SSL_CTX */

static weir_error *openssl_failed(const char *what)
{
    char reason[256];

    weir__tls_reason(NULL, reason, sizeof(reason));
    return weir_raise(WEIR_ETLS, "TLS: %s: %s", what, reason);
}

static weir_error *new_ctx(const weir_tls_context *context, const weir_tls_options *options,
                           SSL_CTX **ret)
{
    SSL_CTX *ctx = SSL_CTX_new(context->server ? TLS_server_method() : TLS_client_method());
    bool modern = options->profile == WEIR_TLS_MODERN;

    if (!ctx)
        return openssl_failed("a new context");
    if (!SSL_CTX_set_min_proto_version(ctx, modern ? TLS1_3_VERSION : TLS1_2_VERSION) ||
        !SSL_CTX_set_cipher_list(ctx, CIPHERS_INTERMEDIATE) ||
        !SSL_CTX_set1_groups_list(ctx, KEY_EXCHANGE_GROUPS)) {
        SSL_CTX_free(ctx);
        return openssl_failed("settings of the profile");
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx,
                                   context->server ? SSL_SESS_CACHE_SERVER : SSL_SESS_CACHE_OFF);
    SSL_CTX_sess_set_cache_size(ctx, SESSION_CACHE_SIZE);
    *ret = ctx;
    return NULL;
}

static weir_error *set_server_callbacks(weir_tls_context *context, const weir_tls_options *options,
                                        SSL_CTX *ctx)
{
    static const unsigned char session_context[] = "weir";

    SSL_CTX_set_tlsext_servername_callback(ctx, choose_identity);
    SSL_CTX_set_tlsext_servername_arg(ctx, context);
    if (context->alpn_len)
        SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, context);
    SSL_CTX_set_session_id_context(ctx, session_context, sizeof(session_context) - 1);
    if (!options->verify_client)
        return NULL;
    if (!options->ca_file)
        return weir_raise(WEIR_EINVAL, "TLS: verify_client needs a ca_file");
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return weir__tls_trust_load(ctx, options->ca_file);
}

static weir_error *set_client_checks(const weir_tls_context *context,
                                     const weir_tls_options *options, SSL_CTX *ctx)
{
    if (context->alpn_len && SSL_CTX_set_alpn_protos(ctx, context->alpn, context->alpn_len) != 0)
        return openssl_failed("ALPN");
    if (options->no_verify)
        return NULL;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (options->ca_file)
        return weir__tls_trust_load(ctx, options->ca_file);
    if (SSL_CTX_set_default_verify_paths(ctx) != 1)
        return openssl_failed("the system's certificate authorities");
    return NULL;
}

/* Identities */

static bool same_names(const struct tls_identity *identity, const struct tls_pair *pair)
{
    if (identity->name_count != pair->name_count)
        return false;
    for (size_t i = 0; i < pair->name_count; i++) {
        size_t j = 0;

        while (j < identity->name_count && strcmp(identity->names[j], pair->names[i]) != 0)
            j++;
        if (j == identity->name_count)
            return false;
    }
    return true;
}

/* The identity for these names that has no key of this type yet. */
static struct tls_identity *joinable(weir_tls_context *context, const struct tls_pair *pair)
{
    int type = EVP_PKEY_get_base_id(pair->key);

    for (size_t i = 0; i < context->identity_count; i++) {
        struct tls_identity *identity = &context->identities[i];

        if (same_names(identity, pair) &&
            !(identity->key_types & (type == EVP_PKEY_EC ? TLS_KEY_EC : TLS_KEY_OTHER)))
            return identity;
    }
    return NULL;
}

static weir_error *use_pair(struct tls_identity *identity, const struct tls_pair *pair,
                            const char *what)
{
    int type = EVP_PKEY_get_base_id(pair->key);

    if (SSL_CTX_use_cert_and_key(identity->ctx, pair->leaf, pair->key, pair->chain, 0) != 1)
        return openssl_failed(what);
    identity->key_types |= type == EVP_PKEY_EC ? TLS_KEY_EC : TLS_KEY_OTHER;
    return NULL;
}

static weir_error *add_identity(weir_tls_context *context, const weir_tls_options *options,
                                struct tls_pair *pair, const char *what)
{
    struct tls_identity *identity = joinable(context, pair);

    if (!identity) {
        identity = &context->identities[context->identity_count];
        WEIR_TRY(new_ctx(context, options, &identity->ctx));
        context->identity_count++;
        WEIR_TRY(set_server_callbacks(context, options, identity->ctx));
        identity->names = pair->names;
        identity->name_count = pair->name_count;
        pair->names = NULL;
        pair->name_count = 0;
    }
    return use_pair(identity, pair, what);
}

static weir_error *load_identities(weir_tls_context *context, const weir_tls_options *options)
{
    for (size_t i = 0; i < options->certificate_count; i++) {
        const weir_tls_certificate *source = &options->certificates[i];
        const char *what = strstr(source->certificate, "-----BEGIN")
                               ? "the certificate given as text"
                               : source->certificate;
        struct tls_pair pair;
        weir_error *error;

        WEIR_TRY(weir__tls_pair_load(source, &pair));
        error = add_identity(context, options, &pair, what);
        weir__tls_pair_done(&pair);
        WEIR_TRY(error);
    }
    return NULL;
}

/* One key for tickets, so that they are good whichever name the client comes back with. */
static weir_error *share_ticket_keys(weir_tls_context *context)
{
    unsigned char keys[256];
    long size = SSL_CTX_get_tlsext_ticket_keys(context->identities[0].ctx, NULL, 0);

    if (size <= 0 || (size_t)size > sizeof(keys) || RAND_bytes(keys, (int)size) != 1)
        return openssl_failed("ticket keys");
    for (size_t i = 0; i < context->identity_count; i++)
        SSL_CTX_set_tlsext_ticket_keys(context->identities[i].ctx, keys, size);
    OPENSSL_cleanse(keys, sizeof(keys));
    return NULL;
}

/* Contexts */

static weir_error *wire_alpn(weir_tls_context *context, const char *const *protocols)
{
    size_t len = 0;

    for (size_t i = 0; protocols && protocols[i]; i++) {
        size_t n = strlen(protocols[i]);

        if (n == 0 || n > 255 || i >= TLS_ALPN_MAX)
            return weir_raise(WEIR_EINVAL, "TLS: \"%s\" is no ALPN protocol name", protocols[i]);
        len += n + 1;
    }
    if (!len)
        return NULL;
    context->alpn = weir__malloc(len);
    if (!context->alpn)
        return weir_raise(WEIR_ENOMEM, "TLS");
    for (size_t i = 0; protocols[i]; i++) {
        size_t n = strlen(protocols[i]);

        context->alpn[context->alpn_len++] = (unsigned char)n;
        memcpy(context->alpn + context->alpn_len, protocols[i], n);
        context->alpn_len += (unsigned)n;
    }
    return NULL;
}

static weir_error *context_fill(weir_tls_context *context, const weir_tls_options *options)
{
    size_t room = context->server ? options->certificate_count : 1;

    WEIR_TRY(wire_alpn(context, options->alpn));
    if (!room)
        return weir_raise(WEIR_EINVAL, "TLS: a server needs a certificate");
    context->identities = weir__calloc(room, sizeof(*context->identities));
    if (!context->identities)
        return weir_raise(WEIR_ENOMEM, "TLS");
    if (context->server) {
        WEIR_TRY(load_identities(context, options));
        return share_ticket_keys(context);
    }
    WEIR_TRY(new_ctx(context, options, &context->identities[0].ctx));
    context->identity_count = 1;
    if (options->certificate_count) {
        struct tls_pair pair;
        weir_error *error;

        WEIR_TRY(weir__tls_pair_load(&options->certificates[0], &pair));
        error = use_pair(&context->identities[0], &pair, "the client's certificate");
        weir__tls_pair_done(&pair);
        WEIR_TRY(error);
    }
    return set_client_checks(context, options, context->identities[0].ctx);
}

static weir_error *context_new(const weir_tls_options *options, bool server, weir_tls_context **ret)
{
    weir_tls_options mine = {0};
    weir_tls_context *context;
    weir_error *error;

    if (options)
        memcpy(&mine, options,
               options->size && options->size < sizeof(mine) ? options->size : sizeof(mine));
    context = weir__calloc(1, sizeof(*context));
    if (!context)
        return weir_raise(WEIR_ENOMEM, "TLS");
    context->magic = TLS_CONTEXT_MAGIC;
    atomic_init(&context->refs, 1);
    context->server = server;
    context->shutdown_timeout =
        mine.shutdown_timeout.ns ? mine.shutdown_timeout : TLS_SHUTDOWN_TIMEOUT;
    error = context_fill(context, &mine);
    if (error)
        weir_tls_context_unref(context);
    else
        *ret = context;
    return error;
}

weir_error *weir_tls_server_context_new(const weir_tls_options *options, weir_tls_context **ret)
{
    return context_new(options, true, ret);
}

weir_error *weir_tls_client_context_new(const weir_tls_options *options, weir_tls_context **ret)
{
    return context_new(options, false, ret);
}

weir_tls_context *weir_tls_context_ref(weir_tls_context *context)
{
    if (context) {
        weir_check(context, TLS_CONTEXT_MAGIC);
        atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
    }
    return context;
}

void weir_tls_context_unref(weir_tls_context *context)
{
    if (!context)
        return;
    weir_check(context, TLS_CONTEXT_MAGIC);
    if (atomic_fetch_sub_explicit(&context->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < context->identity_count; i++) {
        struct tls_identity *identity = &context->identities[i];

        SSL_CTX_free(identity->ctx);
        for (size_t j = 0; j < identity->name_count; j++)
            weir__free(identity->names[j]);
        weir__free(identity->names);
    }
    weir__free(context->identities);
    weir__free(context->alpn);
    weir_magic_clear(context);
    weir__free(context);
}
