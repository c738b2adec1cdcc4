/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS on a connection that is open. Either plaintext was spoken before, as with STARTTLS: then a byte
 * that came before TLS is an error. Or its first bytes were looked at and handed on untouched: they are
 * the beginning of the handshake.
 */
#include "config.h"

#include "core/base/error.h"
#include "core/net/tls_engine.h"

static weir_error *begin(weir_transport *t, const struct tls_start *start)
{
    weir_error *error;

    weir__transport_set_state(t, TRANSPORT_HANDSHAKE);
    error = weir__tls_start(t, start);
    if (error) {
        weir__transport_set_state(t, TRANSPORT_OPEN);
        return error;
    }
    t->tls->wait->upgrade = true;
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

    WEIR_TRY(weir__transport_writable(t, __func__));
    if (t->tls)
        return weir_raise(WEIR_EINVALSTATE, "TLS is on already");
    if (t->input)
        return weir_raise(WEIR_EPROTOCOL, "plaintext arrived before TLS started");
    WEIR_TRY(begin(t, &start));
    return NULL;
}

weir_error *weir_transport_accept_tls(
    weir_transport *t, weir_tls_context *context, weir_duration timeout,
    void (*done)(weir_transport *transport, weir_error *take_error, void *arg), void *arg)
{
    struct tls_start start = {
        .context = context,
        .timeout = timeout.ns ? timeout : TLS_HANDSHAKE_TIMEOUT,
        .done = done,
        .arg = arg,
    };

    WEIR_TRY(weir__transport_writable(t, __func__));
    if (!context->server)
        return weir_raise(WEIR_EINVAL, "accept_tls: this is a context of clients");
    if (t->tls)
        return weir_raise(WEIR_EINVALSTATE, "TLS is on already");
    WEIR_TRY(begin(t, &start));
    t->tls->input = WEIR_TAKE(t->input);
    if (t->eof_seen) { /* the engine finds it again */
        t->eof_seen = t->eof_told = false;
        t->stops &= (uint8_t)~STOP_EOF;
    }
    weir__transport_unstop(t, STOP_HANDOVER);
    return NULL;
}

weir_tls_result weir_transport_tls_result(const weir_transport *t, weir_duration *ret_took)
{
    weir_check(t, TRANSPORT_MAGIC);
    weir_require(t->tls && t->tls->wait, WEIR_TLS_FAILED);
    return weir__tls_result(t->tls, ret_took);
}
