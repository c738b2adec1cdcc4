/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading certificate chains and keys. Each source is a path, or PEM text itself; messages name the
 * path and what is wrong with it, since a wrong file is the usual mistake.
 */
#include "config.h"

#include "core/net/tls_certificate.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "core/base/alloc.h"

#define PEM_MARK "-----BEGIN"

static const char *source_name(const char *source)
{
    return strstr(source, PEM_MARK) ? "PEM text" : source;
}

static weir_error *open_source(const char *what, const char *source, BIO **ret)
{
    BIO *bio;

    if (!source)
        return weir_raise(WEIR_EINVAL, "TLS: no %s was given", what);
    if (strstr(source, PEM_MARK)) {
        bio = BIO_new_mem_buf(source, -1);
    } else {
        errno = 0;
        bio = BIO_new_file(source, "r");
        if (!bio && errno) {
            int code = errno;

            ERR_clear_error();
            return weir_raise(code, "cannot read the %s %s: %s", what, source,
                              weir_code_text(code));
        }
    }
    if (!bio)
        return weir_raise(WEIR_ENOMEM, "TLS");
    *ret = bio;
    return NULL;
}

static weir_error *bad_source(const char *what, const char *source, const char *problem)
{
    char reason[256];

    weir__tls_reason(NULL, reason, sizeof(reason));
    return weir_raise(WEIR_ETLS, "the %s %s %s (%s)", what, source_name(source), problem, reason);
}

/* No password is ever asked for at the terminal. */
static int no_password(char *buffer, int size, int writing, void *arg)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)arg;
    return 0;
}

static weir_error *load_chain(const char *source, struct tls_pair *pair)
{
    weir_error *error = NULL;
    X509 *certificate;
    BIO *bio;

    WEIR_TRY(open_source("certificate", source, &bio));
    pair->leaf = PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL);
    pair->chain = sk_X509_new_null();
    if (!pair->leaf)
        error = bad_source("certificate", source, "holds no certificate in PEM form");
    while (!error && pair->chain &&
           (certificate = PEM_read_bio_X509(bio, NULL, no_password, NULL))) {
        if (!sk_X509_push(pair->chain, certificate)) {
            X509_free(certificate);
            error = weir_raise(WEIR_ENOMEM, "TLS");
        }
    }
    ERR_clear_error(); /* the end of the file is an error to OpenSSL */
    BIO_free(bio);
    return error;
}

static weir_error *load_key(const char *source, struct tls_pair *pair)
{
    weir_error *error = NULL;
    BIO *bio;

    WEIR_TRY(open_source("private key", source, &bio));
    pair->key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    if (!pair->key)
        error = bad_source("private key", source,
                           "holds no private key in PEM form, or one with a password");
    BIO_free(bio);
    return error;
}

static bool add_name(struct tls_pair *pair, const unsigned char *text, size_t len)
{
    char **names;
    char *name;

    if (!len || memchr(text, '\0', len))
        return true;
    name = weir__calloc(1, len + 1);
    names = weir__reallocarray(pair->names, pair->name_count + 1, sizeof(*names));
    if (names)
        pair->names = names;
    if (!names || !name) {
        weir__free(name);
        return false;
    }
    for (size_t i = 0; i < len; i++)
        name[i] = (char)tolower(text[i]);
    for (size_t i = 0; i < pair->name_count; i++) {
        if (strcmp(pair->names[i], name) == 0) {
            weir__free(name);
            return true;
        }
    }
    pair->names[pair->name_count++] = name;
    return true;
}

static bool add_common_name(struct tls_pair *pair)
{
    const X509_NAME *subject = X509_get_subject_name(pair->leaf);
    int index = X509_NAME_get_index_by_NID((X509_NAME *)(uintptr_t)subject, NID_commonName, -1);
    const ASN1_STRING *text;

    if (index < 0)
        return true;
    text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, index));
    return add_name(pair, ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
}

static weir_error *find_names(struct tls_pair *pair)
{
    GENERAL_NAMES *alternatives = X509_get_ext_d2i(pair->leaf, NID_subject_alt_name, NULL, NULL);
    int count = alternatives ? sk_GENERAL_NAME_num(alternatives) : 0;
    bool ok = true;

    for (int i = 0; ok && i < count; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(alternatives, i);

        if (name->type == GEN_DNS)
            ok = add_name(pair, ASN1_STRING_get0_data(name->d.dNSName),
                          (size_t)ASN1_STRING_length(name->d.dNSName));
    }
    GENERAL_NAMES_free(alternatives);
    if (ok && !pair->name_count)
        ok = add_common_name(pair);
    return ok ? NULL : weir_raise(WEIR_ENOMEM, "TLS");
}

static weir_error *load(const weir_tls_certificate *source, struct tls_pair *pair)
{
    WEIR_TRY(load_chain(source->certificate, pair));
    WEIR_TRY(load_key(source->key ? source->key : source->certificate, pair));
    if (X509_check_private_key(pair->leaf, pair->key) != 1) {
        ERR_clear_error();
        return weir_raise(WEIR_ETLS, "the private key %s does not belong to the certificate %s",
                          source_name(source->key ? source->key : source->certificate),
                          source_name(source->certificate));
    }
    return find_names(pair);
}

weir_error *weir__tls_pair_load(const weir_tls_certificate *source, struct tls_pair *ret)
{
    struct tls_pair pair = {0};
    weir_error *error = load(source, &pair);

    if (error)
        weir__tls_pair_done(&pair);
    else
        *ret = pair;
    return error;
}

void weir__tls_pair_done(struct tls_pair *pair)
{
    X509_free(pair->leaf);
    sk_X509_pop_free(pair->chain, X509_free);
    EVP_PKEY_free(pair->key);
    for (size_t i = 0; i < pair->name_count; i++)
        weir__free(pair->names[i]);
    weir__free(pair->names);
    *pair = (struct tls_pair){0};
}

weir_error *weir__tls_trust_load(SSL_CTX *ctx, const char *ca_file)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    X509 *certificate;
    size_t count = 0;
    BIO *bio;

    WEIR_TRY(open_source("CA file", ca_file, &bio));
    while ((certificate = PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL))) {
        count += X509_STORE_add_cert(store, certificate) == 1;
        X509_free(certificate);
    }
    BIO_free(bio);
    if (!count)
        return bad_source("CA file", ca_file, "holds no certificate in PEM form");
    ERR_clear_error();
    return NULL;
}
