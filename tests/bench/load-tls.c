/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of TLS, and the units that are handshakes: connect, shake hands, say goodbye, wait
 * until the server has closed. With that the server has done all of its part too, tickets included.
 */
#include <errno.h>
#include <openssl/err.h>

#include "tests/bench/load.h"

bool use_tls;
static SSL_CTX *context;
static SSL_SESSION *ticket; /* of the first connection */

/* True: the session is ours. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    if (ticket)
        return 0;
    ticket = session;
    return 1;
}

void tls_begin(const char *ca)
{
    use_tls = true;
    context = SSL_CTX_new(TLS_client_method());
    if (!context || SSL_CTX_load_verify_locations(context, ca, NULL) != 1)
        bench_die("TLS");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_session);
}

void tls_attach(struct client *client)
{
    client->ssl = SSL_new(context);
    if (!client->ssl || SSL_set_fd(client->ssl, client->fd) != 1 ||
        SSL_set1_host(client->ssl, "localhost") != 1 ||
        SSL_set_tlsext_host_name(client->ssl, "localhost") != 1)
        bench_die("TLS");
    SSL_set_connect_state(client->ssl);
}

enum progress tls_shake(struct client *client)
{
    int result = SSL_do_handshake(client->ssl), error;

    if (result == 1) {
        client->secure = true;
        return DONE;
    }
    error = SSL_get_error(client->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return GOING;
    ERR_print_errors_fp(stderr);
    return fail("a handshake failed");
}

static enum progress begin_full(struct client *client)
{
    client_connect(client, SOCK_STREAM);
    tls_attach(client);
    return GOING;
}

static enum progress begin_resumed(struct client *client)
{
    SSL_SESSION *session;

    begin_full(client);
    if (warming)
        return GOING;
    if (!ticket)
        return fail("no session was offered");
    /* OpenSSL uses a session of TLS 1.3 once; the server takes it as often as we like. */
    session = SSL_SESSION_dup(ticket);
    SSL_set_session(client->ssl, session);
    SSL_SESSION_free(session);
    return GOING;
}

/* Tickets come with the first answer at the latest. */
static enum progress fetch_ticket(struct client *client)
{
    char byte;
    ssize_t n;

    if (client->written < options.request_size &&
        client_push(client, options.request, options.request_size) == FAILED)
        return FAILED;
    n = client_pull(client, &byte, 1);
    return n == 0 ? GOING : n > 0 ? DONE : fail("a connection ended before its answer");
}

static enum progress shake(struct client *client, bool resumed)
{
    if (!client->secure) {
        enum progress progress = tls_shake(client);

        if (progress != DONE)
            return progress;
        if (!warming && SSL_session_reused(client->ssl) != resumed)
            return fail(resumed ? "a session was not resumed" : "a session was resumed");
        client->written = 0;
    }
    return warming && resumed ? fetch_ticket(client) : DONE;
}

/* What the server sends behind its handshake is not looked at, and not by OpenSSL, which would ditch
 * it and could leave the end in its buffer. */
static enum progress shake_and_leave(struct client *client, bool resumed)
{
    static char rest[16384];
    ssize_t n;

    if (!client->leaving) {
        enum progress progress = shake(client, resumed);

        if (progress != DONE)
            return progress;
        SSL_shutdown(client->ssl);
        client->leaving = true;
    }
    do
        n = recv(client->fd, rest, sizeof rest, 0);
    while (n > 0);
    if (n < 0 && errno == EAGAIN)
        return GOING;
    client_close(client);
    return DONE;
}

static enum progress ready_full(struct client *client)
{
    return shake_and_leave(client, false);
}

static enum progress ready_resumed(struct client *client)
{
    return shake_and_leave(client, true);
}

const struct mode mode_handshake = {"handshake", begin_full, ready_full};
const struct mode mode_resumption = {"resumption", begin_resumed, ready_resumed};
