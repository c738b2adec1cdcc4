/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/unit/net/test_certificate.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static bool add_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool ok;

    X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    ok = extension && X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
    return ok;
}

/* "a.test,127.0.0.1" → "DNS:a.test,IP:127.0.0.1" */
static void alternatives(const char *names, char *text, size_t size)
{
    size_t len = 0;

    text[0] = '\0';
    while (*names) {
        size_t n = strcspn(names, ",");
        bool ip = strspn(names, "0123456789.:") == n;

        len += (size_t)snprintf(text + len, size - len, "%s%s:%.*s", len ? "," : "",
                                ip ? "IP" : "DNS", (int)n, names);
        names += n + (names[n] == ',');
    }
}

static bool fill(X509 *x509, EVP_PKEY *key, const char *names,
                 const struct test_certificate *issuer, int days)
{
    static long serial = 1000;
    X509_NAME *subject = X509_get_subject_name(x509);
    char text[512];

    alternatives(names, text, sizeof(text));
    return X509_set_version(x509, 2) && ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial) &&
           X509_gmtime_adj(X509_getm_notBefore(x509), days < 0 ? days * 172800L : -86400) &&
           X509_gmtime_adj(X509_getm_notAfter(x509), days * 86400L) && X509_set_pubkey(x509, key) &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                      (const unsigned char *)(issuer ? "leaf" : "test CA"), -1, -1,
                                      0) &&
           X509_set_issuer_name(x509, issuer ? X509_get_subject_name(issuer->x509) : subject) &&
           add_extension(x509, issuer ? issuer->x509 : x509, NID_subject_alt_name, text) &&
           (issuer || add_extension(x509, x509, NID_basic_constraints, "critical,CA:TRUE")) &&
           X509_sign(x509, issuer ? issuer->key : key, EVP_sha256());
}

static bool pem(struct test_certificate *certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int n = -1, k = -1;

    if (bio && PEM_write_bio_X509(bio, certificate->x509))
        n = BIO_read(bio, certificate->certificate, TEST_PEM_SIZE - 1);
    if (bio && PEM_write_bio_PrivateKey(bio, certificate->key, NULL, NULL, 0, NULL, NULL))
        k = BIO_read(bio, certificate->private_key, TEST_PEM_SIZE - 1);
    BIO_free(bio);
    return n > 0 && k > 0;
}

bool test_certificate_make(struct test_certificate *ret, const char *names, bool rsa,
                           const struct test_certificate *issuer, int days)
{
    memset(ret, 0, sizeof(*ret));
    ret->key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    ret->x509 = X509_new();
    return ret->key && ret->x509 && fill(ret->x509, ret->key, names, issuer, days) && pem(ret);
}

void test_certificate_done(struct test_certificate *certificate)
{
    X509_free(certificate->x509);
    EVP_PKEY_free(certificate->key);
}
