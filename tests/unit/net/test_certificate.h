/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for tests, made when they run: nothing expires in the tree. */
#ifndef WEIR_TESTS_NET_TEST_CERTIFICATE_H
#define WEIR_TESTS_NET_TEST_CERTIFICATE_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>

#define TEST_PEM_SIZE 4096

struct test_certificate {
    X509 *x509;
    EVP_PKEY *key;
    char certificate[TEST_PEM_SIZE]; /* PEM */
    char private_key[TEST_PEM_SIZE];
};

/* `names`: "a.test,*.b.test,127.0.0.1". `issuer` NULL: signed by itself, and a CA. `days` before and
   after now that it is valid: negative is expired. */
bool test_certificate_make(struct test_certificate *ret, const char *names, bool rsa,
                           const struct test_certificate *issuer, int days);
void test_certificate_done(struct test_certificate *certificate);

#endif
