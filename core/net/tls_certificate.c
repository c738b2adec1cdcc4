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
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

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

struct password {
    const char *text; /* NULL: there is none */
    bool asked;
};

/* Never asked for at the terminal. */
static int give_password(char *buffer, int size, int writing, void *arg)
{
    struct password *password = arg;
    size_t len;

    (void)writing;
    if (!password)
        return 0;
    password->asked = true;
    len = password->text ? strlen(password->text) : 0;
    if (len > (size_t)size)
        return 0;
    if (len)
        memcpy(buffer, password->text, len);
    return (int)len;
}

static weir_error *load_chain(const char *source, struct tls_pair *pair)
{
    weir_error *error = NULL;
    X509 *certificate;
    BIO *bio;

    WEIR_TRY(open_source("certificate", source, &bio));
    pair->leaf = PEM_read_bio_X509_AUX(bio, NULL, give_password, NULL);
    pair->chain = sk_X509_new_null();
    if (!pair->leaf)
        error = bad_source("certificate", source, "holds no certificate in PEM form");
    while (!error && pair->chain &&
           (certificate = PEM_read_bio_X509(bio, NULL, give_password, NULL))) {
        if (!sk_X509_push(pair->chain, certificate)) {
            X509_free(certificate);
            error = weir_raise(WEIR_ENOMEM, "TLS");
        }
    }
    ERR_clear_error(); /* the end of the file is an error to OpenSSL */
    BIO_free(bio);
    return error;
}

static weir_error *load_key(const char *source, const char *text, struct tls_pair *pair)
{
    struct password password = {.text = text};
    weir_error *error = NULL;
    BIO *bio;

    WEIR_TRY(open_source("private key", source, &bio));
    pair->key = PEM_read_bio_PrivateKey(bio, NULL, give_password, &password);
    if (!pair->key && password.asked)
        error = bad_source("private key", source,
                           text ? "does not open with its password"
                                : "is encrypted, and no password was given");
    else if (!pair->key)
        error = bad_source("private key", source, "holds no private key in PEM form");
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

int64_t weir__tls_time(const ASN1_TIME *time)
{
    struct tm tm;

    return time && ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* The response is to be about this certificate, and good. */
static const char *ocsp_problem(OCSP_BASICRESP *basic, struct tls_pair *pair)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(pair->leaf);

    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        const OCSP_CERTID *id = OCSP_SINGLERESP_get0_id(single);
        ASN1_GENERALIZEDTIME *until = NULL;
        ASN1_INTEGER *number = NULL;

        OCSP_id_get0_info(NULL, NULL, NULL, &number, (OCSP_CERTID *)(uintptr_t)id);
        if (!number || ASN1_INTEGER_cmp(number, serial) != 0)
            continue;
        if (OCSP_single_get0_status(single, NULL, NULL, NULL, &until) != V_OCSP_CERTSTATUS_GOOD)
            return "does not say that the certificate is good";
        pair->ocsp_until = weir__tls_time(until);
        return NULL;
    }
    return "is about another certificate";
}

static weir_error *load_ocsp(const char *path, struct tls_pair *pair)
{
    OCSP_RESPONSE *response = NULL;
    OCSP_BASICRESP *basic = NULL;
    const char *problem;
    BIO *bio;

    WEIR_TRY(open_source("OCSP response", path, &bio));
    response = d2i_OCSP_RESPONSE_bio(bio, NULL);
    BIO_free(bio);
    if (response && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
        basic = OCSP_response_get1_basic(response);
    problem = basic ? ocsp_problem(basic, pair) : "holds no OCSP response in DER form";
    if (!problem)
        pair->ocsp_len = i2d_OCSP_RESPONSE(response, &pair->ocsp);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    if (!problem && pair->ocsp_len > 0)
        return NULL;
    return weir_raise(WEIR_ETLS, "the OCSP response %s %s", path,
                      problem ? problem : "cannot be used");
}

/* The key may be that of another certificate of the file: then the order is wrong. */
static weir_error *wrong_key(const weir_tls_certificate *source, const struct tls_pair *pair)
{
    const char *key = source_name(source->key ? source->key : source->certificate);
    weir_error *error = NULL;

    for (int i = 0; !error && i < sk_X509_num(pair->chain); i++) {
        if (X509_check_private_key(sk_X509_value(pair->chain, i), pair->key) == 1)
            error = weir_raise(WEIR_ETLS,
                               "the private key %s belongs to certificate %d of %s: it must be "
                               "the first, then the one that signed it, upwards",
                               key, i + 2, source_name(source->certificate));
    }
    ERR_clear_error();
    return error ? error
                 : weir_raise(WEIR_ETLS, "the private key %s does not belong to the certificate %s",
                              key, source_name(source->certificate));
}

static weir_error *load(const weir_tls_certificate *source, struct tls_pair *pair)
{
    WEIR_TRY(load_chain(source->certificate, pair));
    WEIR_TRY(load_key(source->key ? source->key : source->certificate, source->password, pair));
    if (X509_check_private_key(pair->leaf, pair->key) != 1)
        return wrong_key(source, pair);
    if (source->ocsp)
        WEIR_TRY(load_ocsp(source->ocsp, pair));
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
    OPENSSL_free(pair->ocsp);
    for (size_t i = 0; i < pair->name_count; i++)
        weir__free(pair->names[i]);
    weir__free(pair->names);
    *pair = (struct tls_pair){0};
}

/* What is known of it */

void weir__tls_name_text(const X509_NAME *name, char *buffer, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int n = -1;

    if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0)
        n = BIO_read(bio, buffer, (int)size - 1);
    buffer[n > 0 ? n : 0] = '\0';
    BIO_free(bio);
}

void weir__tls_chain_warning(const struct tls_pair *pair, char *buffer, size_t size)
{
    X509 *below = pair->leaf;

    buffer[0] = '\0';
    for (int i = 0; !*buffer && i < sk_X509_num(pair->chain); i++) {
        X509 *above = sk_X509_value(pair->chain, i);

        if (X509_check_issued(above, below) != X509_V_OK)
            snprintf(buffer, size,
                     "certificate %d of its chain did not sign the one before it: the order is "
                     "wrong, or one is missing",
                     i + 2);
        below = above;
    }
    ERR_clear_error();
}

static void date_warning(weir_tls_certificate_info *info)
{
    int64_t now = (int64_t)time(NULL);

    if (info->not_after <= now)
        snprintf(info->warning, sizeof(info->warning), "it expired %lld days ago",
                 (long long)(now - info->not_after) / 86400);
    else if (info->not_before > now)
        snprintf(info->warning, sizeof(info->warning), "it is not valid before %lld hours from now",
                 (long long)(info->not_before - now) / 3600 + 1);
    else if (info->ocsp_until && info->ocsp_until <= now)
        snprintf(info->warning, sizeof(info->warning),
                 "its OCSP response is out of date since %lld hours and not stapled any more",
                 (long long)(now - info->ocsp_until) / 3600);
}

void weir__tls_describe(X509 *leaf, int64_t ocsp_until, const char *chain,
                        weir_tls_certificate_info *ret)
{
    const EVP_PKEY *key = X509_get0_pubkey(leaf);
    char group[16] = "";

    *ret = (weir_tls_certificate_info){
        .not_before = weir__tls_time(X509_get0_notBefore(leaf)),
        .not_after = weir__tls_time(X509_get0_notAfter(leaf)),
        .ocsp_until = ocsp_until,
    };
    weir__tls_name_text(X509_get_subject_name(leaf), ret->subject, sizeof(ret->subject));
    weir__tls_name_text(X509_get_issuer_name(leaf), ret->issuer, sizeof(ret->issuer));
    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
        EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1)
        snprintf(ret->key, sizeof(ret->key), "EC %s", group);
    else
        snprintf(ret->key, sizeof(ret->key), "%s %d", EVP_PKEY_get0_type_name(key),
                 EVP_PKEY_get_bits(key));
    date_warning(ret);
    if (!*ret->warning)
        snprintf(ret->warning, sizeof(ret->warning), "%s", chain);
}

weir_error *weir_tls_certificate_check(const weir_tls_certificate *certificate,
                                       weir_tls_certificate_info *ret_info)
{
    char chain[sizeof(ret_info->warning)];
    struct tls_pair pair;

    WEIR_TRY(weir__tls_pair_load(certificate, &pair));
    weir__tls_chain_warning(&pair, chain, sizeof(chain));
    weir__tls_describe(pair.leaf, pair.ocsp_until, chain, ret_info);
    weir__tls_pair_done(&pair);
    return NULL;
}

weir_error *weir__tls_trust_load(SSL_CTX *ctx, const char *ca_file)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    X509 *certificate;
    size_t count = 0;
    BIO *bio;

    WEIR_TRY(open_source("CA file", ca_file, &bio));
    while ((certificate = PEM_read_bio_X509_AUX(bio, NULL, give_password, NULL))) {
        count += X509_STORE_add_cert(store, certificate) == 1;
        X509_free(certificate);
    }
    BIO_free(bio);
    if (!count)
        return bad_source("CA file", ca_file, "holds no certificate in PEM form");
    ERR_clear_error();
    return NULL;
}

weir_error *weir__tls_trust_digest(const char *ca_file, EVP_MD_CTX *into)
{
    char bytes[4096];
    bool ok = true;
    BIO *bio;
    int n;

    WEIR_TRY(open_source("CA file", ca_file, &bio));
    while (ok && (n = BIO_read(bio, bytes, sizeof(bytes))) > 0)
        ok = EVP_DigestUpdate(into, bytes, (size_t)n) == 1;
    BIO_free(bio);
    ERR_clear_error();
    return ok ? NULL : weir_raise(WEIR_ENOMEM, "TLS");
}
