/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS contexts: what a server or a client of TLS is made from.
 *
 * A server has one SSL_CTX per set of names; certificates for the same names with keys of different
 * types share one, and OpenSSL serves whichever the client can verify. The name that a client asks
 * for picks one: exactly, then by wildcard, else the first. Tickets of one are good for the others.
 *
 * A context does not change; what its holders use can be replaced by a newer one, which every
 * handshake asks for when it begins.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/net/tls_certificate.h"

/* Choosing */

static int choose_identity(SSL *ssl, int *alert, void *arg)
{
    const weir_tls_context *context = arg;
    const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct tls_identity *identity;

    (void)alert;
    if (!asked || !*asked)
        return SSL_TLSEXT_ERR_NOACK;
    identity = weir__tls_names_find(&context->names, asked);
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
    weir_error *error;

    if (!ctx)
        return openssl_failed("a new context");
    error = weir__tls_profile_use(ctx, options);
    if (error) {
        SSL_CTX_free(ctx);
        return error;
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (context->key_log >= 0)
        SSL_CTX_set_keylog_callback(ctx, weir__tls_log_key);
    *ret = ctx;
    return NULL;
}

/*
 * A session is good for contexts that ask the same of clients: the one of a client that needed no
 * certificate, or showed one of an authority that is trusted no more, must not open the door elsewhere.
 * And that allow the same: one of TLS 1.2 keeps its cipher, which OpenSSL compares with nothing of ours.
 */
static weir_error *set_session_context(const weir_tls_options *options, SSL_CTX *ctx)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char asks = !options->verify_client ? 'n' : options->verify_client_if_given ? 'o' : 'r';
    bool lists = options->profile == WEIR_TLS_CUSTOM && options->ciphers;
    const char *ciphers = lists ? options->ciphers : "";
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    weir_error *error = NULL;
    unsigned len = 0;
    bool ok;

    ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) &&
         EVP_DigestUpdate(md, ciphers, strlen(ciphers) + 1) && EVP_DigestUpdate(md, &asks, 1);
    if (ok && options->verify_client)
        error = weir__tls_trust_digest(options->ca_file, md);
    ok = ok && EVP_DigestFinal_ex(md, digest, &len) == 1 &&
         SSL_CTX_set_session_id_context(ctx, digest, SSL_MAX_SID_CTX_LENGTH) == 1;
    EVP_MD_CTX_free(md);
    return error || ok ? error : openssl_failed("sessions");
}

static weir_error *set_server_callbacks(weir_tls_context *context, const weir_tls_options *options,
                                        SSL_CTX *ctx)
{
    SSL_CTX_set_tlsext_servername_callback(ctx, choose_identity);
    SSL_CTX_set_tlsext_servername_arg(ctx, context);
    if (context->alpn_len)
        SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, context);
    if (options->verify_client && !options->ca_file)
        return weir_raise(WEIR_EINVAL, "TLS: verify_client needs a ca_file");
    WEIR_TRY(set_session_context(options, ctx));
    WEIR_TRY(weir__tls_tickets_use(context, !options->no_tickets, ctx));
    if (!options->verify_client)
        return NULL;
    SSL_CTX_set_verify(ctx,
                       SSL_VERIFY_PEER |
                           (options->verify_client_if_given ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT),
                       weir__tls_verify);
    return weir__tls_trust_load(ctx, options->ca_file);
}

static weir_error *set_client_checks(weir_tls_context *context, const weir_tls_options *options,
                                     SSL_CTX *ctx)
{
    if (context->alpn_len && SSL_CTX_set_alpn_protos(ctx, context->alpn, context->alpn_len) != 0)
        return openssl_failed("ALPN");
    if (!options->no_resumption)
        WEIR_TRY(weir__tls_sessions_new(context, ctx));
    if (options->no_verify)
        return NULL;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, weir__tls_verify);
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

static void add_leaf(weir_tls_context *context, const struct tls_pair *pair)
{
    struct tls_leaf *leaf = &context->leaves[context->leaf_count++];

    X509_up_ref(pair->leaf);
    leaf->certificate = pair->leaf;
    leaf->ocsp_until = pair->ocsp_until;
    weir__tls_chain_warning(pair, leaf->warning, sizeof(leaf->warning));
}

static weir_error *use_pair(weir_tls_context *context, struct tls_identity *identity,
                            struct tls_pair *pair, const char *what)
{
    bool ec = EVP_PKEY_get_base_id(pair->key) == EVP_PKEY_EC;
    int64_t not_after = weir__tls_time(X509_get0_notAfter(pair->leaf));

    if (SSL_CTX_use_cert_and_key(identity->ctx, pair->leaf, pair->key, pair->chain, 0) != 1)
        return openssl_failed(what);
    identity->key_types |= ec ? TLS_KEY_EC : TLS_KEY_OTHER;
    add_leaf(context, pair);
    if (not_after < context->not_after)
        context->not_after = not_after;
    if (!pair->ocsp)
        return NULL;
    identity->ocsp[ec] = (struct tls_ocsp){.certificate = SSL_CTX_get0_certificate(identity->ctx),
                                           .response = WEIR_TAKE(pair->ocsp),
                                           .len = pair->ocsp_len,
                                           .until = pair->ocsp_until};
    SSL_CTX_set_tlsext_status_cb(identity->ctx, weir__tls_staple);
    SSL_CTX_set_tlsext_status_arg(identity->ctx, identity);
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
    return use_pair(context, identity, pair, what);
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
    context->alpn_names = weir__malloc(len);
    if (!context->alpn || !context->alpn_names)
        return weir_raise(WEIR_ENOMEM, "TLS");
    for (size_t i = 0; protocols[i]; i++) {
        size_t n = strlen(protocols[i]);

        memcpy(context->alpn_names + context->alpn_len, protocols[i], n + 1);
        context->alpn[context->alpn_len++] = (unsigned char)n;
        memcpy(context->alpn + context->alpn_len, protocols[i], n);
        context->alpn_len += (unsigned)n;
    }
    return NULL;
}

const char *weir__tls_alpn_selected(const weir_tls_context *context, const SSL *ssl)
{
    const unsigned char *name;
    unsigned len;

    SSL_get0_alpn_selected(ssl, &name, &len);
    for (unsigned at = 0; len && at < context->alpn_len; at += 1u + context->alpn[at]) {
        if (context->alpn[at] == len && memcmp(context->alpn + at + 1, name, len) == 0)
            return context->alpn_names + at;
    }
    return NULL;
}

static weir_error *open_key_log(weir_tls_context *context, const char *path)
{
    if (!path)
        return NULL;
    context->key_log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (context->key_log < 0)
        return weir_raise(errno, "TLS: cannot open the key log %s", path);
    return NULL;
}

static weir_error *context_fill(weir_tls_context *context, const weir_tls_options *options)
{
    size_t room = context->server ? options->certificate_count : 1;

    WEIR_TRY(wire_alpn(context, options->alpn));
    WEIR_TRY(open_key_log(context, options->key_log));
    if (options->ca_file && !strstr(options->ca_file, "-----BEGIN"))
        context->ca_name = weir__strdup(options->ca_file);
    if (!room)
        return weir_raise(WEIR_EINVAL, "TLS: a server needs a certificate");
    context->identities = weir__calloc(room, sizeof(*context->identities));
    context->leaves = weir__calloc(room, sizeof(*context->leaves));
    if (!context->identities || !context->leaves)
        return weir_raise(WEIR_ENOMEM, "TLS");
    if (context->server) {
        WEIR_TRY(load_identities(context, options));
        return weir__tls_names_build(context);
    }
    WEIR_TRY(new_ctx(context, options, &context->identities[0].ctx));
    context->identity_count = 1;
    if (options->certificate_count) {
        struct tls_pair pair;
        weir_error *error;

        WEIR_TRY(weir__tls_pair_load(&options->certificates[0], &pair));
        error = use_pair(context, &context->identities[0], &pair, "the client's certificate");
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
    context->not_after = INT64_MAX;
    context->key_log = -1;
    context->tickets = weir_tls_tickets_ref(mine.tickets);
    pthread_mutex_init(&context->lock, NULL);
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
        for (size_t j = 0; j < TLS_KEY_TYPES; j++)
            OPENSSL_free(identity->ocsp[j].response);
    }
    for (size_t i = 0; i < context->leaf_count; i++)
        X509_free(context->leaves[i].certificate);
    weir__free(context->leaves);
    if (context->key_log >= 0)
        close(context->key_log);
    weir__tls_names_free(&context->names);
    weir__tls_sessions_free(context->sessions);
    weir_tls_tickets_unref(context->tickets);
    weir_tls_context_unref(context->newer);
    pthread_mutex_destroy(&context->lock);
    weir__free(context->ca_name);
    weir__free(context->identities);
    weir__free(context->alpn);
    weir__free(context->alpn_names);
    weir_magic_clear(context);
    weir__free(context);
}

/* Replacing */

weir_tls_context *weir__tls_context_current(weir_tls_context *context)
{
    weir_tls_context *current;

    weir_check(context, TLS_CONTEXT_MAGIC);
    pthread_mutex_lock(&context->lock);
    current = weir_tls_context_ref(context->newer ? context->newer : context);
    pthread_mutex_unlock(&context->lock);
    return current;
}

weir_error *weir_tls_context_replace(weir_tls_context *context, weir_tls_context *newer)
{
    weir_tls_context *old, *use;

    weir_check(context, TLS_CONTEXT_MAGIC);
    weir_check(newer, TLS_CONTEXT_MAGIC);
    if (context->server != newer->server)
        return weir_raise(WEIR_EINVAL, "TLS: a server's context replaces a server's");
    use = weir__tls_context_current(newer); /* which has no newer one: no cycles */
    if (use == context)
        weir_tls_context_unref(WEIR_TAKE(use));
    pthread_mutex_lock(&context->lock);
    old = context->newer;
    context->newer = use;
    pthread_mutex_unlock(&context->lock);
    weir_tls_context_unref(old);
    return NULL;
}

int64_t weir_tls_context_not_after(weir_tls_context *context)
{
    weir_tls_context *current = weir__tls_context_current(context);
    int64_t not_after = current->not_after;

    weir_tls_context_unref(current);
    return not_after;
}

bool weir_tls_context_certificate(weir_tls_context *context, size_t index,
                                  weir_tls_certificate_info *ret_info)
{
    weir_tls_context *current = weir__tls_context_current(context);
    bool found = index < current->leaf_count;

    if (found) {
        const struct tls_leaf *leaf = &current->leaves[index];

        weir__tls_describe(leaf->certificate, leaf->ocsp_until, leaf->warning, ret_info);
    }
    weir_tls_context_unref(current);
    return found;
}
