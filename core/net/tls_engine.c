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
        e->wait->result = weir__tls_classify();
    weir__tls_reason(e->ssl, reason, sizeof(reason));
    return weir_raise(WEIR_ETLS, "%s: %s", what, reason);
}

/* Waiting */

static weir_error *timer_fired(struct job *job)
{
    struct tls_wait *wait = container_of(job, struct tls_wait, timer.job);
    struct tls_engine *e = wait->engine;

    if (weir__tls_close_expired(e))
        return NULL;
    if (!e->handshaking) {
        weir__tls_run(e);
        return NULL;
    }
    wait->result = WEIR_TLS_TIMEOUT;
    weir__tls_fail(e, weir_raise(ETIMEDOUT, "TLS handshake: not done after %lld ms",
                                 (long long)(wait->limit.ns / 1000000)));
    return NULL;
}

static bool wait_new(struct tls_engine *e)
{
    struct tls_wait *wait = weir__calloc(1, sizeof(*wait));

    if (!wait)
        return false;
    wait->engine = e;
    list_init(&wait->link);
    weir__timer_init(&wait->timer, timer_fired, e->transport->file.site);
    e->wait = wait;
    return true;
}

static void wait_free(struct tls_engine *e)
{
    struct tls_wait *wait = WEIR_TAKE(e->wait);

    if (!wait)
        return;
    list_remove(&wait->link);
    weir__free(wait->problem);
    weir__free(wait);
}

bool weir__tls_wait_start(struct tls_engine *e, weir_duration limit)
{
    weir_loop *loop = e->transport->net->loop;
    weir_error *error;

    if (!e->wait && !wait_new(e))
        return false;
    weir__timer_stop(loop, &e->wait->timer);
    error =
        weir__timer_start(loop, &e->wait->timer, weir_instant_after(weir_loop_time(loop), limit));
    weir_ignore(error);
    return !error;
}

/* Handshake */

static weir_tls_info agreement(const struct tls_engine *e)
{
    weir_tls_info info = {
        .version = SSL_get_version(e->ssl),
        .cipher = SSL_get_cipher_name(e->ssl),
        .alpn = weir__tls_alpn_selected(e->context, e->ssl),
        .resumed = SSL_session_reused(e->ssl) != 0,
    };

    if (e->context->server)
        info.server_name = e->server_name;
    return info;
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
             (double)(weir_now().ns - e->wait->started) / 1e6, SSL_get_version(e->ssl),
             SSL_get_cipher_name(e->ssl));
}

static char *copy_of(const char *name)
{
    return name ? weir__strdup(name) : NULL;
}

static void handshake_complete(struct tls_engine *e)
{
    weir_transport *t = e->transport;
    struct tls_wait *wait = e->wait;
    tls_done_fn done = wait->done;

    e->handshaking = false;
    wait->done = NULL;
    wait->result = WEIR_TLS_DONE;
    weir__timer_stop(t->net->loop, &wait->timer);
    if (e->context->server) /* copied: it is to be there as long as the transport */
        e->server_name = copy_of(SSL_get_servername(e->ssl, TLSEXT_NAMETYPE_host_name));
    trace_handshake(e);
    if (wait->upgrade) {
        weir__transport_set_state(t, TRANSPORT_OPEN);
        weir__transport_unstop(t, 0);
    }
    done(t, NULL, wait->arg);
    if (!timer_running(&wait->timer)) /* it may have been closed */
        wait_free(e);
}

/* They can wait for what the protocol has to say, and be sent with it. */
static bool only_tickets_are_queued(const struct tls_engine *e)
{
    return e->context->server && SSL_version(e->ssl) == TLS1_3_VERSION;
}

static void handshake(struct tls_engine *e)
{
    int result, error;

    ERR_clear_error();
    e->wrote = false;
    result = SSL_do_handshake(e->ssl);
    if (result == 1) {
        if (!only_tickets_are_queued(e))
            weir__transport_flush(e->transport);
        if (e->transport->status == TRANSPORT_HANDSHAKE)
            handshake_complete(e);
        return;
    }
    error = SSL_get_error(e->ssl, result);
    if (e->ended && (error == SSL_ERROR_WANT_READ || !e->input)) {
        e->wait->result = WEIR_TLS_LEFT;
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
    if (!weir__tls_wait_start(e, STARVED_RETRY))
        weir__tls_fail(e, weir_raise(WEIR_ENOMEM, "TLS"));
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
    BIO *bio;

    e->ssl = SSL_new(e->context->identities[0].ctx);
    bio = weir__tls_bio_new(e);
    if (!e->ssl || !bio) {
        BIO_free(bio);
        return weir_raise(WEIR_ENOMEM, "TLS");
    }
    SSL_set_bio(e->ssl, bio, bio);
    if (start->context->server) {
        SSL_set_accept_state(e->ssl);
    } else {
        SSL_set_connect_state(e->ssl);
        WEIR_TRY(set_verification(e, start->server_name));
        e->server_name = weir__strdup(start->server_name ? start->server_name : "");
        if (e->context->sessions && e->server_name)
            weir__tls_sessions_offer(e->context->sessions, e->ssl);
    }
    if (!weir_is_forever(start->timeout) && !weir__tls_wait_start(e, start->timeout))
        return weir_raise(WEIR_ENOMEM, "TLS");
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
    e->handshaking = true;
    if (!wait_new(e)) {
        weir__tls_free(e);
        return weir_raise(WEIR_ENOMEM, "TLS");
    }
    e->wait->done = start->done;
    e->wait->arg = start->arg;
    e->wait->limit = start->timeout;
    e->wait->started = weir_loop_time(t->net->loop).ns;
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

void weir__tls_stop(struct tls_engine *e)
{
    if (e->wait)
        weir__timer_stop(e->transport->net->loop, &e->wait->timer);
    weir__tls_drop_input(e);
}

/* For who asks later. Without memory there is nothing to be told. */
static void remember(struct tls_engine *e)
{
    e->past = weir__malloc(sizeof(*e->past));
    if (e->past)
        *e->past = agreement(e);
}

static void tell_of_loss(struct tls_engine *e, const weir_error *reason)
{
    struct tls_wait *wait = e->wait;
    tls_done_fn done = WEIR_TAKE(wait->done);
    weir_error *error;

    if (wait->result == WEIR_TLS_DONE) /* the transport ended, with or without an error */
        wait->result = reason ? WEIR_TLS_LEFT : WEIR_TLS_ABORTED;
    error =
        reason ? weir_error_share(reason) : weir_raise(WEIR_ETLS, "closed during the handshake");
    done(e->transport, error, wait->arg);
}

void weir__tls_lost(struct tls_engine *e, const weir_error *reason)
{
    if (!e->handshaking)
        remember(e);
    /* A session stays resumable however its connection ended (RFC 5246, 7.2.1). */
    SSL_set_shutdown(e->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(e->ssl);
    e->ssl = NULL;
    if (e->wait && e->wait->done)
        tell_of_loss(e, reason);
    wait_free(e);
}

void weir__tls_free(struct tls_engine *e)
{
    if (!e)
        return;
    SSL_free(e->ssl);
    weir_tls_context_unref(e->context);
    wait_free(e);
    weir__free(e->past);
    weir__free(e->server_name);
    weir__free(e);
}

bool weir__tls_info(const struct tls_engine *e, weir_tls_info *ret)
{
    if (e->handshaking || (!e->ssl && !e->past))
        return false;
    *ret = e->ssl ? agreement(e) : *e->past;
    return true;
}

weir_tls_result weir__tls_result(const struct tls_engine *e, weir_duration *ret_took)
{
    *ret_took = WEIR_NS(weir_loop_time(e->transport->net->loop).ns - e->wait->started);
    return e->wait->result;
}
