/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams: how calls of a task meet callbacks of a transport. A call that cannot go on leaves a
 * stream_wait in the stream and suspends; the callback that changes things wakes it, and the call
 * looks again. A wait that is interrupted takes itself out of the stream before it returns.
 */
#include "config.h"

#include "core/net/stream.h"

#include <errno.h>

#include "core/base/error.h"
#include "core/net/tls.h"

weir_error *weir__stream_enter(weir_stream *stream, struct stream_wait *const *place,
                               const char *operation)
{
    weir_error *error;

    weir_check(stream, STREAM_MAGIC);
    if (!stream->transport->net->loop)
        return WEIR_RAISE_FAST(WEIR_ECLOSED, "the stream's loop is closed");
    error = weir__loop_check_call(stream->transport->net->loop, operation, NULL);
    if (!error)
        error = weir__wait_check();
    if (error)
        return error;
    if (stream->broken)
        return WEIR_RAISE_FAST(WEIR_EBROKEN, "the stream is broken by an unfinished call");
    if (place && *place)
        return WEIR_RAISE_FAST(WEIR_EBUSY, "another task waits in this direction of the stream");
    return NULL;
}

static bool detach(struct waiter *waiter)
{
    struct stream_wait *wait = container_of(waiter, struct stream_wait, waiter);

    if (wait->place)
        *wait->place = NULL;
    list_remove(&wait->link);
    return true;
}

weir_error *weir__stream_wait(struct stream_wait **place)
{
    struct stream_wait wait = {.place = place};
    weir_error *error = weir__wait_begin(&wait.waiter);

    if (error)
        return error;
    list_init(&wait.link);
    *place = &wait;
    error = weir__wait(&wait.waiter, detach);
    *place = NULL;
    return error;
}

void weir__stream_wake(struct stream_wait *wait)
{
    if (wait)
        weir__wait_wake(&wait->waiter);
}

weir_error *weir__stream_wait_to_write(weir_stream *stream)
{
    struct stream_wait wait = {.place = NULL};

    WEIR_TRY(weir__wait_begin(&wait.waiter));
    list_append(&stream->writers, &wait.link);
    WEIR_TRY(weir__wait(&wait.waiter, detach));
    list_remove(&wait.link);
    return NULL;
}

void weir__stream_wake_writers(const weir_stream *stream)
{
    weir_list_foreach(wait, &stream->writers, struct stream_wait, link)
        weir__wait_wake(&wait->waiter);
}

weir_error *weir__stream_lost(const weir_stream *stream)
{
    const weir_error *reason = stream->transport->reason;

    if (reason)
        return weir_error_share(reason);
    return WEIR_RAISE_FAST(WEIR_ECLOSED, "the stream is closed");
}

/* The protocol */

static weir_error *serve_connection(void *arg)
{
    weir_stream *stream = arg;
    weir_transport *t = stream->transport;
    weir_error *error = stream->protocol->serve(stream, t->config);

    if (!stream->dropped) {
        if (stream->broken)
            weir_transport_abort(t, NULL);
        else
            weir_transport_close(t);
        weir__stream_consume(stream, stream->size);
    }
    return error;
}

static weir_error *stream_connection_made(weir_transport *t, void *state, const void *config)
{
    weir_stream *stream = state;
    const weir_protocol *protocol = stream->protocol;

    (void)config;
    stream->magic = STREAM_MAGIC;
    stream->transport = t;
    list_init(&stream->writers);
    if (protocol)
        return weir_transport_spawn_at(t->file.site, protocol->name ? protocol->name : "serve", t,
                                       serve_connection, stream);
    return NULL;
}

static weir_error *stream_data_received(weir_transport *t, void *state, weir_slice data)
{
    weir_stream *stream = state;

    if (stream->dropped)
        return NULL;
    if (!weir__stream_collect(stream, data))
        return WEIR_RAISE_FAST(WEIR_EFULL, "no memory to collect received bytes");
    if (stream->size >= WEIR_STREAM_LIMIT)
        weir_transport_pause_reading(t);
    weir__stream_wake(stream->reader);
    return NULL;
}

static weir_error *stream_eof_received(weir_transport *t, void *state, bool *ret_keep_open)
{
    weir_stream *stream = state;

    (void)t;
    stream->eof = true;
    *ret_keep_open = !stream->dropped;
    weir__stream_wake(stream->reader);
    return NULL;
}

static void stream_resume_writing(weir_transport *t, void *state)
{
    weir_stream *stream = state;

    (void)t;
    weir__stream_wake_writers(stream);
}

static void stream_connection_lost(weir_transport *t, void *state, const weir_error *reason)
{
    weir_stream *stream = state;

    (void)t;
    (void)reason;
    stream->lost = true;
    weir__stream_wake(stream->reader);
    weir__stream_wake_writers(stream);
    weir__stream_wake(stream->closer);
    weir__stream_wake(stream->upgrader);
}

const weir_protocol weir__stream_protocol = {
    WEIR_SIZED(weir_protocol),
    .name = "stream",
    .state_size = sizeof(weir_stream),
    .connection_made = stream_connection_made,
    .data_received = stream_data_received,
    .eof_received = stream_eof_received,
    .resume_writing = stream_resume_writing,
    .connection_lost = stream_connection_lost,
};

/* Life */

weir_stream *weir__stream_adopt(weir_transport *transport)
{
    weir_stream *stream = weir_transport_state(transport);

    weir_check(stream, STREAM_MAGIC);
    stream->owned = true;
    weir_transport_ref(transport);
    return stream;
}

weir_error *weir_stream_of(weir_transport *transport, weir_slice rest, weir_stream **ret)
{
    WEIR_TRY(weir_transport_set_protocol(transport, &weir__stream_protocol, NULL, rest, NULL));
    *ret = weir__stream_adopt(transport);
    return NULL;
}

weir_transport *weir_stream_transport(weir_stream *stream)
{
    weir_check(stream, STREAM_MAGIC);
    return stream->transport;
}

weir_error *weir_stream_wait_closed(weir_stream *stream)
{
    WEIR_TRY(weir__stream_enter(stream, &stream->closer, __func__));
    if (!stream->lost)
        WEIR_TRY(weir__stream_wait(&stream->closer));
    return stream->transport->reason ? weir__stream_lost(stream) : NULL;
}

static void drop(weir_stream *stream)
{
    stream->dropped = true;
    weir__stream_consume(stream, stream->size);
    if (stream->owned)
        weir_transport_unref(stream->transport);
}

static void drop_stream(void *stream)
{
    weir_stream_abort(stream);
}

static weir_error *release_stream(void *stream)
{
    weir_stream_abort(stream);
    return NULL;
}

void weir_stream_abort(weir_stream *stream)
{
    const struct net *net;

    weir_check(stream, STREAM_MAGIC);
    net = stream->transport->net;
    if (net->loop && !weir__loop_allows(net->loop)) {
        weir__net_release_elsewhere(net, release_stream, drop_stream, stream);
        return;
    }
    weir_transport_abort(stream->transport, NULL);
    drop(stream);
}

weir_error *weir_stream_close(weir_stream *stream)
{
    weir_error *error;

    weir_check(stream, STREAM_MAGIC);
    if (stream->transport->net->loop)
        error = weir__loop_check_thread(stream->transport->net->loop);
    else
        error = NULL;
    if (weir_error_is(error, WEIR_ETHREAD)) {
        weir__net_release_elsewhere(stream->transport->net, release_stream, drop_stream, stream);
        return error;
    }
    if (!error)
        error = weir__wait_check();
    if (error || stream->broken) {
        weir_stream_abort(stream);
        return error;
    }
    if (stream->lost) {
        error = stream->transport->reason ? weir__stream_lost(stream) : NULL;
        drop(stream);
        return error;
    }
    weir_transport_close(stream->transport);
    error = weir__stream_wait(&stream->closer);
    if (error)
        weir_transport_abort(stream->transport, NULL);
    else if (stream->transport->reason)
        error = weir__stream_lost(stream);
    drop(stream);
    return error;
}

/* TLS */

static void upgraded(weir_transport *t, weir_error *take_error, void *arg)
{
    weir_stream *stream = arg;

    (void)t;
    if (!stream->upgrader) {
        weir_ignore(take_error);
        return;
    }
    stream->upgrade_error = take_error;
    weir__stream_wake(stream->upgrader);
}

weir_error *weir_stream_start_tls(weir_stream *stream, weir_tls_context *context,
                                  const char *server_name)
{
    weir_error *error;

    WEIR_TRY(weir__stream_enter(stream, &stream->upgrader, __func__));
    if (stream->reader || stream->writing || !list_empty(&stream->writers))
        return weir_raise(WEIR_EBUSY, "start_tls: another task reads or writes");
    if (stream->lost)
        return weir__stream_lost(stream);
    weir__stream_consume(stream, stream->lent);
    stream->lent = 0;
    if (stream->size || stream->eof)
        return weir_raise(WEIR_EPROTOCOL, "plaintext arrived before TLS started: %zu bytes",
                          stream->size);
    WEIR_TRY(weir__transport_start_tls(stream->transport, context, server_name, upgraded, stream));
    error = weir__stream_wait(&stream->upgrader);
    if (!error)
        error = WEIR_TAKE(stream->upgrade_error);
    if (error || stream->lost)
        stream->broken = true;
    return error || !stream->lost ? error : weir__stream_lost(stream);
}
