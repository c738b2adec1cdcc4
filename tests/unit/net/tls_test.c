/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/unit/net/tls_test.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/net/tls_engine.h"

struct test_certificate ca, ec, rsa, other, wild, expired, stranger;

int tls_test_begin(void **state)
{
    (void)state;
    return test_certificate_make(&ca, "ca.test", false, NULL, 10) &&
                   test_certificate_make(&ec, "a.test,127.0.0.1", false, &ca, 10) &&
                   test_certificate_make(&rsa, "a.test,127.0.0.1", true, &ca, 10) &&
                   test_certificate_make(&other, "b.test", false, &ca, 10) &&
                   test_certificate_make(&wild, "*.wild.test", false, &ca, 10) &&
                   test_certificate_make(&expired, "a.test", false, &ca, -1) &&
                   test_certificate_make(&stranger, "a.test", false, NULL, 10)
               ? 0
               : 1;
}

int tls_test_end(void **state)
{
    struct test_certificate *all[] = {&ca, &ec, &rsa, &other, &wild, &expired, &stranger};

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        test_certificate_done(all[i]);
    return 0;
}

weir_tls_certificate pair_of(const struct test_certificate *certificate)
{
    return (weir_tls_certificate){.certificate = certificate->certificate,
                                  .key = certificate->private_key};
}

weir_error *server_context(const struct test_certificate *certificate, weir_tls_context **ret)
{
    weir_tls_certificate pair = pair_of(certificate);
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .certificates = &pair,
                                .certificate_count = 1};

    return weir_tls_server_context_new(&options, ret);
}

weir_error *client_context(const char *ca_text, weir_tls_context **ret)
{
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .ca_file = ca_text};

    return weir_tls_client_context_new(&options, ret);
}

weir_error *serve_tls(weir_tls_context *context, const weir_protocol *protocol, const void *config,
                      weir_server **ret)
{
    weir_server_options options = {WEIR_SIZED(weir_server_options), .tls = context};

    return weir_serve(weir_loop_current(), "127.0.0.1:0", &options, protocol, config, ret);
}

weir_error *connect_tls(weir_server *server, weir_tls_context *context, const char *name,
                        weir_stream **ret)
{
    weir_connect_options options = {WEIR_SIZED(weir_connect_options), .tls = context,
                                    .server_name = name};

    return weir_connect(weir_server_name(server), &options, ret);
}

/* Echoes until the end, then says goodbye. */
static weir_error *echo(weir_stream *stream, const void *config)
{
    (void)config;
    for (;;) {
        weir_slice slice;

        WEIR_TRY(weir_stream_read_slice(stream, &slice));
        if (!slice.len)
            return weir_stream_write(stream, "bye", 3);
        WEIR_TRY(weir_stream_write_slice(stream, slice));
    }
}

const weir_protocol echo_protocol = {WEIR_SIZED(weir_protocol), .name = "echo", .serve = echo};

static weir_error *say_again(weir_transport *t, void *state, weir_slice data)
{
    (void)state;
    return weir_transport_write(t, data);
}

const weir_protocol echo_at_once = {WEIR_SIZED(weir_protocol), .name = "echo",
                                    .data_received = say_again};

void check_refusal(weir_error *take_error, const char *wanted)
{
    char text[512];

    assert_non_null(take_error);
    weir_error_message(take_error, text, sizeof(text));
    weir_error_unref(take_error);
    if (!strstr(text, wanted))
        fail_msg("\"%s\" does not say \"%s\"", text, wanted);
}

weir_error *peer_is(weir_server *server, const char *name, const struct test_certificate *wanted)
{
    weir_tls_options options = {WEIR_SIZED(weir_tls_options), .no_verify = true};
    weir_tls_context *client;
    weir_stream *s;
    X509 *peer;
    bool same;

    CHECK_OK(weir_tls_client_context_new(&options, &client));
    CHECK_OK(connect_tls(server, client, name, &s));
    peer = SSL_get1_peer_certificate(weir_stream_transport(s)->tls->ssl);
    same = peer && X509_cmp(peer, wanted->x509) == 0;
    X509_free(peer);
    CHECK_OK(weir_stream_close(s));
    weir_tls_context_unref(client);
    CHECK(same);
    return NULL;
}

weir_error *both_begin(struct both *both, const struct test_certificate *certificate,
                       const weir_protocol *protocol, const void *config)
{
    CHECK_OK(server_context(certificate, &both->server_side));
    CHECK_OK(client_context(ca.certificate, &both->client_side));
    CHECK_OK(serve_tls(both->server_side, protocol, config, &both->server));
    return NULL;
}

weir_error *both_end(struct both *both)
{
    CHECK_OK(end_server(both->server));
    weir_tls_context_unref(both->server_side);
    weir_tls_context_unref(both->client_side);
    return NULL;
}

/* A client over a bare descriptor */

bool raw_tls_begin(struct raw_tls *raw, const char *server, int version)
{
    *raw = (struct raw_tls){.fd = raw_connect(server)};
    raw->ctx = SSL_CTX_new(TLS_client_method());
    raw->ssl = raw->ctx ? SSL_new(raw->ctx) : NULL;
    raw->in = BIO_new(BIO_s_mem());
    raw->out = BIO_new(BIO_s_mem());
    if (raw->fd < 0 || !raw->ssl || !raw->in || !raw->out)
        return false;
    BIO_set_mem_eof_return(raw->in, -1);
    SSL_set_bio(raw->ssl, raw->in, raw->out);
    SSL_set_connect_state(raw->ssl);
    if (version)
        SSL_set_max_proto_version(raw->ssl, version);
    SSL_do_handshake(raw->ssl);
    return BIO_pending(raw->out) > 0;
}

bool raw_tls_send(struct raw_tls *raw, size_t most)
{
    char *data;
    size_t n = (size_t)BIO_get_mem_data(raw->out, &data), sent = 0;

    if (most && n > most)
        n = most;
    while (sent < n) {
        ssize_t done = send(raw->fd, data + sent, n - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (done < 0)
            break;
        sent += (size_t)done;
    }
    for (size_t left = sent; left;) {
        char gone[4096];
        int step = BIO_read(raw->out, gone, (int)(left < sizeof gone ? left : sizeof gone));

        if (step <= 0)
            return false;
        left -= (size_t)step;
    }
    return BIO_pending(raw->out) == 0;
}

bool raw_tls_receive(struct raw_tls *raw)
{
    char bytes[16384];
    ssize_t n = recv(raw->fd, bytes, sizeof bytes, MSG_DONTWAIT);

    if (n > 0)
        BIO_write(raw->in, bytes, (int)n);
    if (n == 0)
        raw->ended = true;
    if (n < 0 && errno != EAGAIN)
        raw->error = errno;
    return n > 0;
}

bool raw_tls_handshake(struct raw_tls *raw)
{
    bool done;

    raw_tls_send(raw, 0);
    raw_tls_receive(raw);
    done = SSL_do_handshake(raw->ssl) == 1;
    raw_tls_send(raw, 0);
    return done && BIO_pending(raw->out) == 0;
}

void raw_tls_end(struct raw_tls *raw)
{
    SSL_free(raw->ssl);
    SSL_CTX_free(raw->ctx);
    if (raw->fd >= 0)
        close(raw->fd);
    raw->fd = -1;
}
