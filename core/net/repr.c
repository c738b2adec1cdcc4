/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How transports, streams and servers look in reports (Appendix C of the semantics), and what is
 * said of those that nobody closed.
 */
#include "config.h"

#include <stdio.h>

#include <weir/debug.h>

#include "core/base/error.h"
#include "core/base/mutate.h"
#include "core/base/text.h"
#include "core/net/datagram.h"
#include "core/net/server.h"
#include "core/net/stream.h"

#define REPR_SIZE 256

static const char *kind_of(const weir_transport *t)
{
    if (t->read_only)
        return "PipeReader";
    if (t->write_only)
        return "PipeWriter";
    if (t->file.no_socket)
        return "Pipe";
    return t->tls ? "TLS" : "Socket";
}

size_t weir_transport_repr(const weir_transport *t, char *buffer, size_t size)
{
    struct text text = text_over(buffer, size);

    weir_check(t, TRANSPORT_MAGIC);
    text_printf(&text, "<%s ", kind_of(t));
    if (t->status >= TRANSPORT_CLOSING)
        text_add(&text, t->status == TRANSPORT_CLOSING ? "closing " : "closed ");
    /* The name is made when first asked for, which changes nothing that anybody sees. */
    text_printf(&text, "fd=%d peer=%s read=%s write=<%s, bufsize=%zu>>", t->file.fd,
                weir_transport_peer_name((weir_transport *)(uintptr_t)t),
                t->file.receiving ? "polling" : "idle", t->sending ? "polling" : "idle", t->queued);
    return text.len;
}

size_t weir_stream_repr(const weir_stream *stream, char *buffer, size_t size)
{
    struct text text = text_over(buffer, size);
    char transport[REPR_SIZE];

    weir_check(stream, STREAM_MAGIC);
    text_add(&text, "<Stream ");
    if (stream->broken)
        text_add(&text, "broken ");
    if (stream->eof)
        text_add(&text, "eof ");
    weir_transport_repr(stream->transport, transport, sizeof(transport));
    text_printf(&text, "buffered=%zu transport=%s>", stream->size, transport);
    return text.len;
}

size_t weir_server_repr(const weir_server *server, char *buffer, size_t size)
{
    struct text text = text_over(buffer, size);
    const char *state = "resting";

    weir_check(server, SERVER_MAGIC);
    if (server->closed)
        state = "closed";
    else if (server->file.accepting || server->net->closing)
        state = "serving";
    text_printf(&text, "<Server %s fd=%d address=%s connections=%zu>", state, server->file.fd,
                server->name, server->count);
    return text.len;
}

size_t weir_datagram_repr(const weir_datagram *d, char *buffer, size_t size)
{
    struct text text = text_over(buffer, size);
    char name[WEIR_ADDRESS_TEXT_SIZE];

    weir_check(d, DATAGRAM_MAGIC);
    text_add(&text, "<Datagram ");
    if (d->status != DATAGRAM_OPEN)
        text_add(&text, d->status == DATAGRAM_CLOSING ? "closing " : "closed ");
    weir_address_text(&d->local, name, sizeof(name));
    text_printf(&text, "fd=%d local=%s ", d->file.fd, name);
    weir_address_text(&d->remote, name, sizeof(name));
    if (d->remote.length)
        text_printf(&text, "peer=%s ", name);
    text_printf(&text, "queued=%zu>", d->queued);
    return text.len;
}

void weir__transport_trace(const weir_transport *t, const char *format, ...)
{
    char repr[REPR_SIZE], what[128];
    va_list args;

    if (!weir_logger_enabled(t->net->trace, WEIR_LOG_DEBUG))
        return;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    weir_transport_repr(t, repr, sizeof(repr));
    weir_log(t->net->trace, WEIR_LOG_DEBUG, "%s %s", repr, what);
}

static void warn_unclosed(const char *what, const weir_site *site, const weir_backtrace *created,
                          const char *repr)
{
    if (MUTATED(K1))
        return;
    if (site)
        weir_warn_at(site, WEIR_WARNING_RESOURCE, created, "unclosed %s %s created at %s:%d", what,
                     repr, text_site_file(site), site->line);
    else
        weir_warn_at(site, WEIR_WARNING_RESOURCE, created, "unclosed %s %s", what, repr);
}

void weir__transport_warn_unclosed(const weir_transport *t)
{
    char repr[REPR_SIZE];

    if (t->status != TRANSPORT_OPEN || t->reason || t->owned)
        return;
    weir_transport_repr(t, repr, sizeof(repr));
    warn_unclosed("transport", t->file.site, t->extra ? t->extra->created : NULL, repr);
}

void weir__server_warn_unclosed(const weir_server *server)
{
    char repr[REPR_SIZE];

    weir_server_repr(server, repr, sizeof(repr));
    warn_unclosed("server", server->file.site, server->created, repr);
}

void weir__datagram_warn_unclosed(const weir_datagram *d)
{
    char repr[REPR_SIZE * 2];

    if (d->status != DATAGRAM_OPEN)
        return;
    weir_datagram_repr(d, repr, sizeof(repr));
    warn_unclosed("socket", d->file.site, d->created, repr);
}

/* For reports of slow callbacks and of the watchdog */

static weir_transport *transport_of_job(const struct job *job)
{
    return container_of((struct job *)(uintptr_t)job, weir_transport, timer.job);
}

static void hold_transport(struct job *job)
{
    (void)weir_transport_ref(transport_of_job(job));
}

static void release_transport(struct job *job)
{
    weir_transport_unref(transport_of_job(job));
}

static size_t describe_transport(const struct job *job, char *buffer, size_t size)
{
    return weir_transport_repr(transport_of_job(job), buffer, size);
}

static struct job_kind transport_kind = {
    .run = weir__transport_run_deferred,
    .label = "Transport",
    .hold = hold_transport,
    .release = release_transport,
    .describe = describe_transport,
};

void weir__net_kinds_register(void)
{
    weir__job_kind_register(&transport_kind);
}
