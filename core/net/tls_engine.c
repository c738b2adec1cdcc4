/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of one connection. OpenSSL reads ciphertext straight from the received chunks and writes it
 * straight into chunks of the transport's write queue, through a BIO of our own: there are no memory
 * BIOs, and an idle connection holds no buffer.
 *
 * Decryption happens on demand: while the protocol takes data. Ciphertext that waits keeps the
 * transport from receiving more, so back-pressure reaches the peer. Output is always taken at once
 * and bounded by the transport's hard limit.
 *
 * An end of the TCP stream without the peer's close_notify is WEIR_ETLSTRUNCATED, never an end.
 */
#include "config.h"

#include "core/net/tls_engine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/chunk.h"

/* Without a free chunk: when to look again. */
#define STARVED_RETRY WEIR_MS(10)

static weir_error *tls_error(struct tls_engine *e, const char *what)
{
    char reason[600];

    if (e->handshaking)
        e->result = weir__tls_classify();
    weir__tls_reason(e->ssl, reason, sizeof(reason));
    weir__free(e->problem);
    e->problem = NULL;
    return weir_raise(WEIR_ETLS, "%s: %s", what, reason);
}

/* Handshake */

static void note_agreement(struct tls_engine *e)
{
    const char *name = SSL_get_servername(e->ssl, TLSEXT_NAMETYPE_host_name);
    const unsigned char *alpn;
    unsigned len;

    e->info.version = SSL_get_version(e->ssl);
    e->info.cipher = SSL_get_cipher_name(e->ssl);
    e->info.resumed = SSL_session_reused(e->ssl) != 0;
    if (e->context->server && name)
        e->info.server_name = e->server_name = weir__strdup(name);
    SSL_get0_alpn_selected(e->ssl, &alpn, &len);
    if (len) {
        e->alpn = weir__calloc(1, (size_t)len + 1);
        if (e->alpn)
            memcpy(e->alpn, alpn, len);
        e->info.alpn = e->alpn;
    }
}

static void trace_handshake(const struct tls_engine *e)
{
    weir_logger *logger;
    char repr[256];

    if (weir_likely(!weir__thread_debug))
        return;
    logger = weir_logger_get("weir.tls");
    if (!weir_logger_enabled(logger, WEIR_LOG_DEBUG))
        return;
    weir_transport_repr(e->transport, repr, sizeof(repr));
    weir_log(logger, WEIR_LOG_DEBUG, "%s TLS handshake took %.1f ms: %s, %s", repr,
             (double)(weir_now().ns - e->started) / 1e6, e->info.version, e->info.cipher);
}

static void handshake_complete(struct tls_engine *e)
{
    weir_transport *t = e->transport;
    tls_done_fn done = e->done;

    e->handshaking = false;
    e->done = NULL;
    e->result = WEIR_TLS_DONE;
    weir__timer_stop(t->net->loop, &e->timer);
    note_agreement(e);
    trace_handshake(e);
    if (e->upgrade) {
        weir__transport_set_state(t, TRANSPORT_OPEN);
        weir__transport_unstop(t, 0);
    }
    done(t, NULL, e->arg);
}

static void handshake(struct tls_engine *e)
{
    int result, error;

    ERR_clear_error();
    e->wrote = false;
    result = SSL_do_handshake(e->ssl);
    if (result == 1) {
        weir__transport_flush(e->transport);
        if (e->transport->status == TRANSPORT_HANDSHAKE)
            handshake_complete(e);
        return;
    }
    error = SSL_get_error(e->ssl, result);
    if (e->ended && (error == SSL_ERROR_WANT_READ || !e->input)) {
        e->result = WEIR_TLS_LEFT;
        weir__tls_fail(e, weir_raise(WEIR_ETLS, "TLS handshake: the peer left"));
    } else if (error != SSL_ERROR_WANT_READ) {
        weir__tls_fail(e, tls_error(e, "TLS handshake"));
    } else {
        weir__transport_flush(e->transport);
    }
}

/* Reading */

static void starved(struct tls_engine *e)
{
    weir_loop *loop = e->transport->net->loop;
    weir_error *error =
        weir__timer_start(loop, &e->timer, weir_instant_after(weir_loop_time(loop), STARVED_RETRY));

    if (error)
        weir__tls_fail(e, error);
}

/* SSL_read gave nothing: why. */
static void read_stopped(struct tls_engine *e, int error)
{
    weir_transport *t = e->transport;

    if (error == SSL_ERROR_ZERO_RETURN) {
        e->peer_closed = true;
        weir__transport_eof(t);
    } else if (e->ended && !e->input) {
        weir__transport_lose(
            t, WEIR_RAISE_FAST(WEIR_ETLSTRUNCATED, "the peer ended without close_notify"));
    } else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
        weir__tls_fail(e, tls_error(e, "TLS"));
    }
}

static void read_plaintext(struct tls_engine *e)
{
    weir_transport *t = e->transport;
    weir_chunk *chunk = NULL;

    while (!e->peer_closed && weir__transport_may_deliver(t) && weir__tls_has_input(e)) {
        size_t n;

        if (!chunk)
            chunk = weir__chunk_take(net_pool(t->net));
        if (!chunk) {
            starved(e);
            return;
        }
        ERR_clear_error();
        e->wrote = false;
        if (SSL_read_ex(e->ssl, chunk_bytes(chunk), WEIR_CHUNK_SIZE, &n) != 1) {
            read_stopped(e, SSL_get_error(e->ssl, 0));
            break;
        }
        weir__transport_deliver(t, weir_slice_of(chunk_bytes(chunk), n));
        if (chunk->refs > 1) {
            weir_chunk_unref(chunk);
            chunk = NULL;
        }
        if (t->input)
            break;
    }
    weir_chunk_unref(chunk);
}

void weir__tls_run(struct tls_engine *e)
{
    weir_transport *t = e->transport;

    if (e->running || !e->ssl || t->status >= TRANSPORT_CLOSING)
        return;
    e->running = true;
    weir_transport_ref(t);
    if (e->handshaking)
        handshake(e);
    if (!e->handshaking && t->status == TRANSPORT_OPEN)
        read_plaintext(e);
    e->running = false;
    if (t->status == TRANSPORT_OPEN) {
        if (t->queue)
            weir__transport_flush(t);
        weir__transport_marks(t);
    }
    weir_transport_unref(t);
}

bool weir__tls_has_input(const struct tls_engine *e)
{
    return e->input || e->ended || (e->ssl && SSL_has_pending(e->ssl));
}

void weir__tls_received(struct tls_engine *e, weir_chunk *take_chunk, size_t offset, size_t len)
{
    struct input *input = weir__input_new(take_chunk, offset, len);

    if (!input) {
        weir__transport_lose(e->transport, weir_raise(WEIR_ENOMEM, "TLS"));
        return;
    }
    weir__input_append(&e->input, input);
    weir__tls_run(e);
}

void weir__tls_ended(struct tls_engine *e)
{
    e->ended = true;
    weir__tls_run(e);
}

/* Writing */

static weir_error *encrypt(struct tls_engine *e, weir_slice data)
{
    size_t n;

    if (!data.len)
        return NULL;
    ERR_clear_error();
    if (SSL_write_ex(e->ssl, data.data, data.len, &n) != 1)
        return tls_error(e, "TLS write");
    return NULL;
}

/* Small pieces become one record. */
static weir_error *encrypt_together(struct tls_engine *e, const weir_slice *slices, size_t count,
                                    weir_chunk *chunk)
{
    size_t len = 0;

    for (size_t i = 0; i < count; i++) {
        if (slices[i].len)
            memcpy(chunk_bytes(chunk) + len, slices[i].data, slices[i].len);
        len += slices[i].len;
    }
    return encrypt(e, weir_slice_of(chunk_bytes(chunk), len));
}

weir_error *weir__tls_write(struct tls_engine *e, const weir_slice *slices, size_t count,
                            size_t total)
{
    weir_transport *t = e->transport;
    weir_chunk *chunk = NULL;
    weir_error *error = NULL;

    if (count > 1 && total <= WEIR_CHUNK_SIZE)
        chunk = weir__chunk_take(net_pool(t->net));
    if (chunk)
        error = encrypt_together(e, slices, count, chunk);
    for (size_t i = 0; !chunk && !error && i < count; i++)
        error = encrypt(e, slices[i]);
    weir_chunk_unref(chunk);
    if (error) {
        weir__transport_lose(t, weir_error_share(error));
        return error;
    }
    if (!e->running)
        weir__transport_flush_soon(t);
    weir__transport_marks(t);
    return NULL;
}

/* Life */

static weir_error *timer_fired(struct job *job)
{
    struct tls_engine *e = container_of(job, struct tls_engine, timer.job);

    if (weir__tls_close_expired(e))
        return NULL;
    if (!e->handshaking) {
        weir__tls_run(e);
        return NULL;
    }
    e->result = WEIR_TLS_TIMEOUT;
    weir__tls_fail(e, weir_raise(ETIMEDOUT, "TLS handshake: not done after %lld ms",
                                 (long long)(e->limit.ns / 1000000)));
    return NULL;
}

static weir_error *set_verification(struct tls_engine *e, const char *server_name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(e->ssl);
    bool verifies = SSL_get_verify_mode(e->ssl) & SSL_VERIFY_PEER;
    unsigned char ip[16];

    if (!server_name || !*server_name) {
        if (verifies)
            return weir_raise(WEIR_EINVAL, "TLS: there is no server name to verify");
        return NULL;
    }
    if (inet_pton(AF_INET, server_name, ip) == 1 || inet_pton(AF_INET6, server_name, ip) == 1) {
        if (X509_VERIFY_PARAM_set1_ip_asc(param, server_name) != 1)
            return weir_raise(WEIR_ENOMEM, "TLS");
        return NULL;
    }
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_set_tlsext_host_name(e->ssl, server_name) != 1 ||
        X509_VERIFY_PARAM_set1_host(param, server_name, 0) != 1)
        return weir_raise(WEIR_EINVAL, "TLS: \"%s\" is no server name", server_name);
    return NULL;
}

static weir_error *engine_setup(struct tls_engine *e, const struct tls_start *start)
{
    weir_loop *loop = e->transport->net->loop;
    BIO *bio;

    e->ssl = SSL_new(e->context->identities[0].ctx);
    bio = weir__tls_bio_new(e);
    if (!e->ssl || !bio) {
        BIO_free(bio);
        return weir_raise(WEIR_ENOMEM, "TLS");
    }
    SSL_set_bio(e->ssl, bio, bio);
    SSL_set_app_data(e->ssl, e);
    if (start->context->server) {
        SSL_set_accept_state(e->ssl);
    } else {
        SSL_set_connect_state(e->ssl);
        WEIR_TRY(set_verification(e, start->server_name));
        e->server_name = weir__strdup(start->server_name ? start->server_name : "");
        if (e->context->sessions && e->server_name)
            weir__tls_sessions_offer(e->context->sessions, e->ssl);
    }
    if (!weir_is_forever(start->timeout))
        WEIR_TRY(weir__timer_start(loop, &e->timer,
                                   weir_instant_after(weir_loop_time(loop), start->timeout)));
    return NULL;
}

weir_error *weir__tls_start(weir_transport *t, const struct tls_start *start)
{
    struct tls_engine *e = weir__calloc(1, sizeof(*e));
    weir_error *error;

    if (!e)
        return weir_raise(WEIR_ENOMEM, "TLS");
    e->transport = t;
    e->context = weir__tls_context_current(start->context);
    e->done = start->done;
    e->arg = start->arg;
    e->limit = start->timeout;
    e->handshaking = true;
    list_init(&e->link);
    e->started = weir_loop_time(t->net->loop).ns;
    weir__timer_init(&e->timer, timer_fired, t->file.site);
    error = engine_setup(e, start);
    if (error) {
        weir__tls_free(e);
        return error;
    }
    t->tls = e;
    weir__transport_unstop(t, 0);
    if (!start->context->server)
        weir__tls_run(e);
    return NULL;
}

weir_error *weir__transport_start_tls(weir_transport *t, weir_tls_context *context,
                                      const char *server_name, tls_done_fn done, void *arg)
{
    struct tls_start start = {
        .context = context,
        .server_name = server_name,
        .timeout = TLS_HANDSHAKE_TIMEOUT,
        .done = done,
        .arg = arg,
    };
    weir_error *error;

    WEIR_TRY(weir__transport_writable(t, __func__));
    if (t->tls)
        return weir_raise(WEIR_EINVALSTATE, "TLS is on already");
    if (t->input)
        return weir_raise(WEIR_EPROTOCOL, "plaintext arrived before TLS started");
    weir__transport_set_state(t, TRANSPORT_HANDSHAKE);
    error = weir__tls_start(t, &start);
    if (error) {
        weir__transport_set_state(t, TRANSPORT_OPEN);
        return weir_error_trace(error, WEIR_HERE);
    }
    t->tls->upgrade = true;
    return NULL;
}

void weir__tls_stop(struct tls_engine *e)
{
    weir__timer_stop(e->transport->net->loop, &e->timer);
    weir__tls_drop_input(e);
}

void weir__tls_lost(struct tls_engine *e, const weir_error *reason)
{
    tls_done_fn done = e->done;
    weir_error *error;

    /* A session stays resumable however its connection ended (RFC 5246, 7.2.1). */
    SSL_set_shutdown(e->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(e->ssl);
    e->ssl = NULL;
    e->done = NULL;
    if (!done)
        return;
    if (e->result == WEIR_TLS_DONE) /* the transport ended, with or without an error */
        e->result = reason ? WEIR_TLS_LEFT : WEIR_TLS_ABORTED;
    error =
        reason ? weir_error_share(reason) : weir_raise(WEIR_ETLS, "closed during the handshake");
    done(e->transport, error, e->arg);
}

void weir__tls_free(struct tls_engine *e)
{
    if (!e)
        return;
    SSL_free(e->ssl);
    weir_tls_context_unref(e->context);
    weir__free(e->server_name);
    weir__free(e->alpn);
    weir__free(e->problem);
    list_remove(&e->link);
    weir__free(e);
}

bool weir__tls_info(const struct tls_engine *e, weir_tls_info *ret)
{
    if (e->handshaking)
        return false;
    *ret = e->info;
    return true;
}

weir_tls_result weir__tls_result(const struct tls_engine *e, weir_duration *ret_took)
{
    *ret_took = WEIR_NS(weir_loop_time(e->transport->net->loop).ns - e->started);
    return e->result;
}
