/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts of TLS: sessions, replacing, what is found out about certificates, and who may come in. */
#include "config.h"

#include <fcntl.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/net/tls_engine.h"
#include "tests/unit/net/tls_test.h"

static weir_error *exchange(weir_server *server, weir_tls_context *context, const char *name,
                            bool *ret_resumed)
{
    weir_tls_info info;
    weir_stream *s;
    char text[4];

    CHECK_OK(connect_tls(server, context, name, &s));
    CHECK_OK(weir_stream_write(s, "ping", 4));
    CHECK_OK(weir_stream_read_exactly(s, text, 4));
    CHECK(weir_transport_tls_info(weir_stream_transport(s), &info));
    *ret_resumed = info.resumed;
    return weir_stream_close(s);
}

/* Sessions */

static weir_error *client_comes_back_with_its_session(void *arg)
{
    struct both both;
    bool resumed;

    (void)arg;
    WEIR_TRY(both_begin(&both, &ec, &echo_protocol, NULL));
    CHECK_OK(exchange(both.server, both.client_side, "a.test", &resumed));
    CHECK(!resumed);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(exchange(both.server, both.client_side, "a.test", &resumed));
        CHECK(resumed);
    }
    /* Another name was not verified: a full handshake. */
    CHECK_OK(exchange(both.server, both.client_side, "127.0.0.1", &resumed));
    CHECK(!resumed);
    return both_end(&both);
}
IN_LOOP(client_comes_back_with_its_session)

static weir_error *tickets_are_good_at_all_who_share_their_keys_up_to_one_rotation(void *arg)
{
    weir_tls_certificate pairs[] = {pair_of(&ec), pair_of(&rsa)};
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .certificate_count = 1};
    weir_tls_context *one, *two, *client;
    weir_server *first, *second;
    bool resumed;

    (void)arg;
    CHECK_OK(weir_tls_tickets_new(WEIR_NS(0), &options.tickets));
    options.certificates = &pairs[0];
    CHECK_OK(weir_tls_server_context_new(&options, &one));
    options.certificates = &pairs[1];
    CHECK_OK(weir_tls_server_context_new(&options, &two));
    CHECK_OK(serve_tls(one, &echo_protocol, NULL, &first));
    CHECK_OK(serve_tls(two, &echo_protocol, NULL, &second));
    CHECK_OK(client_context(ca.certificate, &client));
    CHECK_OK(exchange(first, client, "a.test", &resumed));
    CHECK(!resumed);
    CHECK_OK(exchange(second, client, "a.test", &resumed));
    CHECK(resumed);
    CHECK_OK(weir_tls_tickets_rotate(options.tickets));
    CHECK_OK(exchange(first, client, "a.test", &resumed));
    CHECK(resumed); /* and it has a ticket of the new key now */
    CHECK_OK(weir_tls_tickets_rotate(options.tickets));
    CHECK_OK(exchange(first, client, "a.test", &resumed));
    CHECK(resumed);
    CHECK_OK(weir_tls_tickets_rotate(options.tickets));
    CHECK_OK(weir_tls_tickets_rotate(options.tickets));
    CHECK_OK(exchange(first, client, "a.test", &resumed));
    CHECK(!resumed);
    CHECK_OK(end_server(first));
    CHECK_OK(end_server(second));
    weir_tls_context_unref(one);
    weir_tls_context_unref(two);
    weir_tls_context_unref(client);
    weir_tls_tickets_unref(options.tickets);
    return NULL;
}
IN_LOOP(tickets_are_good_at_all_who_share_their_keys_up_to_one_rotation)

static weir_error *keys_of_tickets_age(void *arg)
{
    weir_tls_certificate pair = pair_of(&ec);
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .certificates = &pair,
                                .certificate_count = 1};
    weir_tls_context *server_side, *client;
    weir_server *server;
    bool resumed;

    (void)arg;
    /* Each use is later than two intervals: nothing opens. */
    CHECK_OK(weir_tls_tickets_new(WEIR_NS(1), &options.tickets));
    CHECK_OK(weir_tls_server_context_new(&options, &server_side));
    CHECK_OK(serve_tls(server_side, &echo_protocol, NULL, &server));
    CHECK_OK(client_context(ca.certificate, &client));
    CHECK_OK(exchange(server, client, "a.test", &resumed));
    CHECK_OK(exchange(server, client, "a.test", &resumed));
    CHECK(!resumed);
    CHECK_OK(end_server(server));
    weir_tls_context_unref(server_side);
    weir_tls_context_unref(client);
    weir_tls_tickets_unref(options.tickets);
    return NULL;
}
IN_LOOP(keys_of_tickets_age)

static weir_error *raw_exchange(struct raw_tls *raw, weir_server *server, SSL_SESSION *session)
{
    char text[4];

    CHECK(raw_tls_begin(raw, weir_server_name(server), TLS1_2_VERSION));
    SSL_CTX_set_options(raw->ctx, SSL_OP_NO_TICKET);
    SSL_free(raw->ssl);
    raw->ssl = SSL_new(raw->ctx);
    raw->in = BIO_new(BIO_s_mem());
    raw->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(raw->in, -1);
    SSL_set_bio(raw->ssl, raw->in, raw->out);
    SSL_set_connect_state(raw->ssl);
    SSL_set_max_proto_version(raw->ssl, TLS1_2_VERSION);
    if (session)
        CHECK(SSL_set_session(raw->ssl, session) == 1);
    SSL_do_handshake(raw->ssl);
    UNTIL(raw_tls_handshake(raw));
    CHECK(SSL_write(raw->ssl, "ping", 4) == 4);
    UNTIL(raw_tls_send(raw, 0));
    UNTIL(raw_tls_receive(raw) && SSL_read(raw->ssl, text, 4) == 4);
    return NULL;
}

static weir_error *tls_1_2_resumes_by_id_without_tickets(void *arg)
{
    struct both both;
    struct raw_tls raw;
    SSL_SESSION *session;

    (void)arg;
    WEIR_TRY(both_begin(&both, &ec, &echo_protocol, NULL));
    WEIR_TRY(raw_exchange(&raw, both.server, NULL));
    CHECK(!SSL_session_reused(raw.ssl));
    session = SSL_get1_session(raw.ssl);
    CHECK(!SSL_SESSION_has_ticket(session));
    SSL_set_shutdown(raw.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    raw_tls_end(&raw);
    WEIR_TRY(raw_exchange(&raw, both.server, session));
    CHECK(SSL_session_reused(raw.ssl));
    SSL_SESSION_free(session);
    raw_tls_end(&raw);
    return both_end(&both);
}
IN_LOOP(tls_1_2_resumes_by_id_without_tickets)

/* Replacing */

static weir_error *replacing_certificates_drops_nobody(void *arg)
{
    weir_tls_context *newer, *newest;
    struct both both;
    struct raw_tls half;
    weir_stream *s;
    char text[4];

    (void)arg;
    WEIR_TRY(both_begin(&both, &ec, &echo_protocol, NULL));
    CHECK_OK(server_context(&rsa, &newer));
    CHECK_OK(server_context(&other, &newest));
    CHECK_OK(connect_tls(both.server, both.client_side, "a.test", &s));
    CHECK(raw_tls_begin(&half, weir_server_name(both.server), 0));
    CHECK(!raw_tls_send(&half, 60));
    UNTIL(weir_server_connections(both.server) == 2);
    CHECK_OK(weir_tls_context_replace(both.server_side, newer));
    CHECK_OK(peer_is(both.server, "a.test", &rsa));
    CHECK_OK(weir_tls_context_replace(both.server_side, newest));
    CHECK_OK(peer_is(both.server, "a.test", &other));
    weir_tls_context_unref(newer);
    weir_tls_context_unref(newest);
    /* What was under way goes on with what it began with. */
    UNTIL(raw_tls_handshake(&half));
    CHECK(X509_cmp(SSL_get0_peer_certificate(half.ssl), ec.x509) == 0);
    CHECK_OK(weir_stream_write(s, "ping", 4));
    CHECK_OK(weir_stream_read_exactly(s, text, 4));
    raw_tls_end(&half);
    CHECK_OK(weir_stream_close(s));
    return both_end(&both);
}
IN_LOOP(replacing_certificates_drops_nobody)

/* Verification */

static weir_error *T76_refusals_say_whose_certificate_and_why(void *arg)
{
    weir_tls_certificate pair = pair_of(&ec), mine = pair_of(&stranger);
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .certificates = &pair,
                                .certificate_count = 1,       .verify_client = true,
                                .ca_file = ca.certificate,    .verify_client_if_given = true};
    weir_tls_options with = {WEIR_SIZED(weir_tls_options), .certificates = &mine,
                             .certificate_count = 1, .ca_file = ca.certificate};
    weir_tls_context *server_side, *client_side;
    char log[8192], text[512];
    weir_server *server;
    weir_error *error;
    weir_stream *s;
    bool resumed;
    size_t n;

    (void)arg;
    capture_log_begin();
    CHECK_OK(weir_tls_server_context_new(&options, &server_side));
    CHECK_OK(serve_tls(server_side, &echo_protocol, NULL, &server));
    CHECK_OK(client_context(ca.certificate, &client_side));
    CHECK_OK(exchange(server, client_side, "a.test", &resumed)); /* none is as good */
    weir_tls_context_unref(client_side);
    CHECK_OK(weir_tls_client_context_new(&with, &client_side));
    CHECK_OK(connect_tls(server, client_side, "a.test", &s));
    error = weir_stream_read(s, text, sizeof(text), &n);
    CHECK(error);
    weir_error_message(error, text, sizeof(text));
    weir_error_unref(error);
    weir_stream_abort(s);
    UNTIL(weir_server_connections(server) == 0);
    CHECK_OK(end_server(server));
    weir_tls_context_unref(client_side);
    weir_tls_context_unref(server_side);
    capture_log_end(log, sizeof(log));
    if (!strstr(text, "the peer refused with the alert \"unknown CA\""))
        return check_failed(WEIR_HERE, text);
    if (!strstr(log, "certificate verify failed: self-signed certificate (certificate CN=test CA, "
                     "issued by CN=test CA, depth 0; CA file"))
        return check_failed(WEIR_HERE, log);
    return NULL;
}
IN_LOOP(T76_refusals_say_whose_certificate_and_why)

/* What is known of certificates */

static void certificates_are_described(void **state)
{
    weir_tls_certificate pair = pair_of(&rsa);
    weir_tls_certificate_info info;
    char both[2 * TEST_PEM_SIZE];

    (void)state;
    assert_ok(weir_tls_certificate_check(&pair, &info));
    assert_string_equal(info.subject, "CN=leaf");
    assert_string_equal(info.issuer, "CN=test CA");
    assert_string_equal(info.key, "RSA 2048");
    assert_string_equal(info.warning, "");
    assert_true(llabs(info.not_after - time(NULL) - 10 * 86400) < 100);
    pair = pair_of(&ec);
    assert_ok(weir_tls_certificate_check(&pair, &info));
    assert_string_equal(info.key, "EC prime256v1");
    pair = pair_of(&expired);
    assert_ok(weir_tls_certificate_check(&pair, &info));
    assert_string_equal(info.warning, "it expired 1 days ago");
    pair = pair_of(&ec);
    snprintf(both, sizeof(both), "%s%s", ec.certificate, other.certificate);
    pair.certificate = both;
    assert_ok(weir_tls_certificate_check(&pair, &info));
    assert_non_null(strstr(info.warning, "certificate 2 of its chain did not sign"));
    snprintf(both, sizeof(both), "%s%s", ca.certificate, ec.certificate);
    check_refusal(weir_tls_certificate_check(&pair, &info),
                  "belongs to certificate 2 of PEM text: it must be the first");
}

static void encrypted_keys_need_their_password(void **state)
{
    weir_tls_certificate pair = pair_of(&ec);
    weir_tls_certificate_info info;
    char key[TEST_PEM_SIZE] = "";
    BIO *bio = BIO_new(BIO_s_mem());

    (void)state;
    assert_true(
        PEM_write_bio_PKCS8PrivateKey(bio, ec.key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL));
    assert_true(BIO_read(bio, key, sizeof(key) - 1) > 0);
    BIO_free(bio);
    pair.key = key;
    check_refusal(weir_tls_certificate_check(&pair, &info),
                  "is encrypted, and no password was given");
    pair.password = "wrong";
    check_refusal(weir_tls_certificate_check(&pair, &info), "does not open with its password");
    pair.password = "secret";
    assert_ok(weir_tls_certificate_check(&pair, &info));
}

static void context_knows_what_expires_first(void **state)
{
    weir_tls_certificate pairs[] = {pair_of(&ec), pair_of(&expired)};
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .certificates = pairs,
                                .certificate_count = 2};
    weir_tls_context *context;

    (void)state;
    assert_ok(weir_tls_server_context_new(&options, &context));
    assert_true(llabs(weir_tls_context_not_after(context) - time(NULL) + 86400) < 100);
    weir_tls_context_unref(context);
}

static void context_tells_of_each_certificate_in_force(void **state)
{
    weir_tls_certificate pairs[] = {pair_of(&other), pair_of(&expired)}, newer = pair_of(&rsa);
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .certificates = pairs,
                                .certificate_count = 2};
    weir_tls_certificate_info info;
    weir_tls_context *context, *after;

    (void)state;
    assert_ok(weir_tls_server_context_new(&options, &context));
    assert_true(weir_tls_context_certificate(context, 0, &info));
    assert_string_equal(info.subject, "CN=leaf");
    assert_string_equal(info.key, "EC prime256v1");
    assert_string_equal(info.warning, "");
    assert_true(weir_tls_context_certificate(context, 1, &info));
    assert_non_null(strstr(info.warning, "it expired 1 days ago"));
    assert_false(weir_tls_context_certificate(context, 2, &info));
    options.certificates = &newer;
    options.certificate_count = 1;
    assert_ok(weir_tls_server_context_new(&options, &after));
    assert_ok(weir_tls_context_replace(context, after));
    weir_tls_context_unref(after);
    assert_true(weir_tls_context_certificate(context, 0, &info));
    assert_string_equal(info.key, "RSA 2048");
    assert_false(weir_tls_context_certificate(context, 1, &info));
    weir_tls_context_unref(context);
}

/* A response about `subject`, in a file; `status` V_OCSP_CERTSTATUS_…. */
static bool write_ocsp(const char *path, const struct test_certificate *subject, int status)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), subject->x509, ca.x509);
    ASN1_TIME *from = X509_gmtime_adj(NULL, -60), *until = X509_gmtime_adj(NULL, 3600);
    OCSP_RESPONSE *response = NULL;
    BIO *bio = BIO_new_file(path, "w");
    bool ok = basic && id && bio &&
              OCSP_basic_add1_status(basic, id, status, 0, from, from, until) &&
              OCSP_basic_sign(basic, ca.x509, ca.key, EVP_sha256(), NULL, 0) &&
              (response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic)) &&
              i2d_OCSP_RESPONSE_bio(bio, response) > 0;

    BIO_free(bio);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    return ok;
}

static weir_error *ocsp_response_is_stapled(void *arg)
{
    char path[] = "/tmp/weir-ocsp-XXXXXX";
    weir_tls_certificate pair = pair_of(&ec);
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .certificates = &pair,
                                .certificate_count = 1};
    weir_tls_certificate_info info;
    weir_tls_context *context;
    const unsigned char *response;
    weir_server *server;
    struct raw_tls raw;
    int fd = mkstemp(path);

    (void)arg;
    CHECK(fd >= 0);
    close(fd);
    pair.ocsp = path;
    check_refusal(weir_tls_server_context_new(&options, &context), "holds no OCSP response in DER");
    CHECK(write_ocsp(path, &other, V_OCSP_CERTSTATUS_GOOD));
    check_refusal(weir_tls_server_context_new(&options, &context), "is about another certificate");
    CHECK(write_ocsp(path, &ec, V_OCSP_CERTSTATUS_UNKNOWN));
    check_refusal(weir_tls_server_context_new(&options, &context), "does not say that");
    CHECK(write_ocsp(path, &ec, V_OCSP_CERTSTATUS_GOOD));
    CHECK_OK(weir_tls_certificate_check(&pair, &info));
    CHECK(llabs(info.ocsp_until - time(NULL) - 3600) < 100);
    CHECK_OK(weir_tls_server_context_new(&options, &context));
    unlink(path);
    CHECK_OK(serve_tls(context, &echo_protocol, NULL, &server));
    CHECK(raw_tls_begin(&raw, weir_server_name(server), 0));
    SSL_free(raw.ssl);
    raw.ssl = SSL_new(raw.ctx);
    raw.in = BIO_new(BIO_s_mem());
    raw.out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(raw.in, -1);
    SSL_set_bio(raw.ssl, raw.in, raw.out);
    SSL_set_tlsext_status_type(raw.ssl, TLSEXT_STATUSTYPE_ocsp);
    SSL_set_connect_state(raw.ssl);
    SSL_do_handshake(raw.ssl);
    UNTIL(raw_tls_handshake(&raw));
    CHECK(SSL_get_tlsext_status_ocsp_resp(raw.ssl, &response) > 100);
    raw_tls_end(&raw);
    CHECK_OK(end_server(server));
    weir_tls_context_unref(context);
    return NULL;
}
IN_LOOP(ocsp_response_is_stapled)

static weir_error *key_log_tells_secrets_when_asked_to(void *arg)
{
    char path[] = "/tmp/weir-keys-XXXXXX", text[4096];
    weir_tls_certificate pair = pair_of(&ec);
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .certificates = &pair,
                                .certificate_count = 1, .key_log = path};
    weir_tls_context *context, *client;
    weir_server *server;
    int fd = mkstemp(path);
    bool resumed;
    ssize_t n;

    (void)arg;
    CHECK(fd >= 0);
    CHECK_OK(weir_tls_server_context_new(&options, &context));
    CHECK_OK(client_context(ca.certificate, &client));
    CHECK_OK(serve_tls(context, &echo_protocol, NULL, &server));
    CHECK_OK(exchange(server, client, "a.test", &resumed));
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    unlink(path);
    CHECK(n > 0);
    text[n] = '\0';
    CHECK(strstr(text, "CLIENT_HANDSHAKE_TRAFFIC_SECRET ") && text[n - 1] == '\n');
    CHECK_OK(end_server(server));
    weir_tls_context_unref(context);
    weir_tls_context_unref(client);
    return NULL;
}
IN_LOOP(key_log_tells_secrets_when_asked_to)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(client_comes_back_with_its_session),
        IN_LOOP_TEST(tickets_are_good_at_all_who_share_their_keys_up_to_one_rotation),
        IN_LOOP_TEST(keys_of_tickets_age),
        IN_LOOP_TEST(tls_1_2_resumes_by_id_without_tickets),
        IN_LOOP_TEST(replacing_certificates_drops_nobody),
        IN_LOOP_TEST(T76_refusals_say_whose_certificate_and_why),
        ON_MAIN_TEST(certificates_are_described),
        ON_MAIN_TEST(encrypted_keys_need_their_password),
        ON_MAIN_TEST(context_knows_what_expires_first),
        ON_MAIN_TEST(context_tells_of_each_certificate_in_force),
        IN_LOOP_TEST(ocsp_response_is_stapled),
        IN_LOOP_TEST(key_log_tells_secrets_when_asked_to),
    };

    return cmocka_run_group_tests_name("tls_context", tests, tls_test_begin, tls_test_end);
}
