/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What OpenSSL says, in words: which certificate did not verify, whose it is, how far up the chain it
 * stands and with what it was checked; which alert the peer sent. Likewise what it asks for during a
 * handshake: the stapled OCSP response, and where secrets are logged.
 */
#include "config.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/net/tls_certificate.h"
#include "core/net/tls_engine.h"

#define PROBLEM_SIZE 512

int weir__tls_verify(int good, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_wait *wait = ssl ? tls_engine_of(ssl)->wait : NULL;
    const X509 *x509 = X509_STORE_CTX_get_current_cert(store);
    char subject[128] = "none", issuer[128] = "none";
    const char *ca_name;

    if (good || !wait || wait->problem)
        return good;
    if (x509) {
        weir__tls_name_text(X509_get_subject_name(x509), subject, sizeof(subject));
        weir__tls_name_text(X509_get_issuer_name(x509), issuer, sizeof(issuer));
    }
    ca_name = wait->engine->context->ca_name;
    wait->problem = weir__malloc(PROBLEM_SIZE);
    if (wait->problem)
        snprintf(wait->problem, PROBLEM_SIZE,
                 "%s (certificate %s, issued by %s, depth %d; CA file %s)",
                 X509_verify_cert_error_string(X509_STORE_CTX_get_error(store)), subject, issuer,
                 X509_STORE_CTX_get_error_depth(store), ca_name ? ca_name : "of the system");
    return good;
}

static bool is_alert(int reason)
{
    return reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256;
}

/* Of TLS 1.3 OpenSSL's list of descriptions misses some that its list of errors has. */
static const char *alert_text(unsigned long code)
{
    const char *text = SSL_alert_desc_string_long(ERR_GET_REASON(code) - SSL_AD_REASON_OFFSET);
    const char *reason = ERR_reason_error_string(code), *words;

    if (strcmp(text, "unknown") != 0 || !reason)
        return text;
    words = strstr(reason, "alert ");
    return words ? words + strlen("alert ") : reason;
}

weir_tls_result weir__tls_classify(void)
{
    unsigned long code = ERR_peek_last_error();

    if (ERR_GET_LIB(code) != ERR_LIB_SSL)
        return WEIR_TLS_FAILED;
    if (is_alert(ERR_GET_REASON(code)))
        return WEIR_TLS_REFUSED;
    switch (ERR_GET_REASON(code)) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return WEIR_TLS_UNVERIFIED;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
        return WEIR_TLS_NOTHING_IN_COMMON;
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_BAD_RECORD_TYPE:
        return WEIR_TLS_NOT_TLS;
    default:
        return WEIR_TLS_FAILED;
    }
}

const char *weir_tls_result_name(weir_tls_result result)
{
    static const char *const names[] = {
        "done",    "timeout", "left",    "refused", "unverified", "nothing_in_common",
        "not_tls", "limited", "aborted", "failed"};

    _Static_assert(sizeof(names) / sizeof(names[0]) == WEIR_TLS_RESULT_COUNT, "each has a name");
    weir_require((unsigned)result < WEIR_TLS_RESULT_COUNT, "unknown");
    return names[result];
}

void weir__tls_reason(const SSL *ssl, char *buffer, size_t size)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    const struct tls_wait *wait = ssl ? tls_engine_of(ssl)->wait : NULL;

    if (wait && wait->problem && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
        snprintf(buffer, size, "certificate verify failed: %s", wait->problem);
    else if (ssl && ERR_GET_LIB(code) == ERR_LIB_SSL && is_alert(ERR_GET_REASON(code)))
        snprintf(buffer, size, "the peer refused with the alert \"%s\"", alert_text(code));
    else if (text)
        snprintf(buffer, size, "%s", text);
    else
        snprintf(buffer, size, code ? "error %lx" : "no reason given", code);
    ERR_clear_error();
}

int weir__tls_staple(SSL *ssl, void *arg)
{
    const struct tls_identity *identity = arg;
    const X509 *shown = SSL_get_certificate(ssl);
    int64_t now = (int64_t)time(NULL);

    for (size_t i = 0; i < TLS_KEY_TYPES; i++) {
        const struct tls_ocsp *ocsp = &identity->ocsp[i];
        unsigned char *copy;

        if (!ocsp->response || ocsp->certificate != shown || (ocsp->until && ocsp->until <= now))
            continue;
        copy = OPENSSL_memdup(ocsp->response, (size_t)ocsp->len);
        if (!copy)
            break;
        SSL_set_tlsext_status_ocsp_resp(ssl, copy, ocsp->len);
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

void weir__tls_log_key(const SSL *ssl, const char *line)
{
    const weir_tls_context *context = tls_engine_of(ssl)->context;
    char text[512];
    int n = snprintf(text, sizeof(text), "%s\n", line);

    if (n > 0 && (size_t)n < sizeof(text) && write(context->key_log, text, (size_t)n) < 0)
        return; /* a debugging aid: no reason to lose the connection */
}
