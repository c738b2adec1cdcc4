/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of TLS share: certificates, a server and a client of it, a peer that misbehaves. */
#ifndef WEIR_TESTS_NET_TLS_TEST_H
#define WEIR_TESTS_NET_TLS_TEST_H

#include <openssl/ssl.h>

#include <weir/tls.h>

#include "tests/unit/net/net_test.h"
#include "tests/unit/net/test_certificate.h"

/* Of our CA: ec and rsa for a.test and 127.0.0.1, other for b.test, wild for *.wild.test, expired for
   a.test. Of nobody: stranger, for a.test. */
extern struct test_certificate ca, ec, rsa, other, wild, expired, stranger;

/* Of the group. */
int tls_test_begin(void **state);
int tls_test_end(void **state);

weir_tls_certificate pair_of(const struct test_certificate *certificate);
weir_error *server_context(const struct test_certificate *certificate, weir_tls_context **ret);
weir_error *client_context(const char *ca_text, weir_tls_context **ret);
weir_error *serve_tls(weir_tls_context *context, const weir_protocol *protocol, const void *config,
                      weir_server **ret);
weir_error *connect_tls(weir_server *server, weir_tls_context *context, const char *name,
                        weir_stream **ret);

/* Echoes until the end, then says "bye". */
extern const weir_protocol echo_protocol;
/* Echoes, with no task. */
extern const weir_protocol echo_at_once;

/* The error says so. */
void check_refusal(weir_error *take_error, const char *wanted);
/* The certificate for a client that asks for this name (NULL: for none). */
weir_error *peer_is(weir_server *server, const char *name, const struct test_certificate *wanted);

/* A server of one certificate and a client that trusts our CA. */
struct both {
    weir_tls_context *server_side, *client_side;
    weir_server *server;
};

weir_error *both_begin(struct both *both, const struct test_certificate *certificate,
                       const weir_protocol *protocol, const void *config);
weir_error *both_end(struct both *both);

/* A client of OpenSSL's alone over a bare descriptor, that does only what it is told to. */
struct raw_tls {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
    int fd, error; /* of receiving */
    bool ended;
};

/* Its first message waits to be sent. `version`: at most; 0: the newest. */
bool raw_tls_begin(struct raw_tls *raw, const char *server, int version);
/* Sends what OpenSSL wrote, at most so much (0: all); true when nothing is left. */
bool raw_tls_send(struct raw_tls *raw, size_t most);
/* Gives OpenSSL what has come; false: nothing now. */
bool raw_tls_receive(struct raw_tls *raw);
/* A step of it; true when it is over and all is sent. For UNTIL(). */
bool raw_tls_handshake(struct raw_tls *raw);
void raw_tls_end(struct raw_tls *raw);

#endif
