/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How TLS ends. Closing sends what is queued, then close_notify, then closes the writing side of the
 * socket, and waits for the peer to end, throwing away what still comes: a socket that is closed with
 * bytes unread, or that gets some afterwards, answers with a reset, which may cost the peer the last
 * of what was sent. The same wait brings the alert to a peer whose handshake or record was refused.
 * Both waits have their limit.
 */
#include "config.h"

#include <errno.h>
#include <openssl/err.h>

#include "core/net/tls_engine.h"

/* For the alert to reach a peer that was refused. */
#define ALERT_LINGER WEIR_S(1)

void weir__tls_drop_input(struct tls_engine *e)
{
    while (e->input) {
        struct input *input = e->input;

        e->input = input->next;
        weir__input_free(input);
    }
}

void weir__tls_close_notify(struct tls_engine *e)
{
    if (!e->ssl || e->handshaking || e->notified)
        return;
    e->notified = true;
    ERR_clear_error();
    if (SSL_shutdown(e->ssl) < 0)
        ERR_clear_error();
}

/* From here on what comes is thrown away; the queue is empty. */
static bool begin_wait(struct tls_engine *e)
{
    weir_transport *t = e->transport;

    e->waits = true;
    weir__tls_drop_input(e);
    if (!t->eof_sent) {
        t->eof_sent = true;
        t->net->io->ops->shutdown(t->net->io, &t->file);
    }
    weir__transport_discard(t);
    return t->status == TRANSPORT_CLOSING;
}

bool weir__tls_waits_for_end(struct tls_engine *e)
{
    if (e->waits)
        return true;
    if (e->ended || e->peer_closed)
        return false;
    if (e->failed)
        return begin_wait(e);
    return e->notified && weir__tls_wait_start(e, e->context->shutdown_timeout) && begin_wait(e);
}

bool weir__tls_close_expired(struct tls_engine *e)
{
    weir_error *error;

    if (!e->waits && !e->failed)
        return false;
    error = e->failed ? NULL
                      : weir_raise(ETIMEDOUT, "TLS shutdown: the peer did not end within %lld ms",
                                   (long long)(e->context->shutdown_timeout.ns / 1000000));
    weir__transport_lose(e->transport, error);
    return true;
}

void weir__tls_fail(struct tls_engine *e, weir_error *take_error)
{
    weir_transport *t = e->transport;

    if (!e->wrote || e->ended || t->status > TRANSPORT_OPEN ||
        !weir__tls_wait_start(e, ALERT_LINGER)) {
        weir__transport_lose(t, take_error);
        return;
    }
    if (t->reason)
        weir_ignore(take_error);
    else
        t->reason = take_error;
    e->failed = true;
    weir__transport_set_state(t, TRANSPORT_CLOSING);
    weir__transport_drop_input(t);
    weir__tls_drop_input(e);
    weir__transport_stop(t, 0);
    t->corks = 0;
    weir__transport_flush(t);
}
