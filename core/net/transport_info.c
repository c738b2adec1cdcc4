/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be asked of a transport and set on it, and its idle timeout. Names are made when first
 * asked for and kept. The timeout costs a store per byte burst: the timer looks at the time of the
 * last activity when it fires, and goes on for the rest.
 */
#include "config.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/net/server.h"
#include "core/net/tls.h"
#include "core/net/transport.h"

static weir_error *idle_fired(struct timer *timer);

struct transport_extra *weir__transport_extra(weir_transport *t)
{
    if (!t->extra) {
        t->extra = weir__calloc(1, sizeof(*t->extra));
        if (!t->extra)
            return NULL;
        t->extra->transport = t;
        weir__timer_init(&t->extra->idle, idle_fired, t->file.site);
        list_init(&t->extra->tasks);
    }
    return t->extra;
}

/* Idle timeout */

static void start_idle(weir_transport *t)
{
    weir_instant when = weir_instant_after((weir_instant){t->last_activity}, t->extra->idle_limit);
    weir_error *error = weir__timer_start(t->net->loop, &t->extra->idle, when);

    if (error)
        weir__transport_lose(t, error);
}

static weir_error *idle_fired(struct timer *timer)
{
    struct transport_extra *extra = container_of(timer, struct transport_extra, idle);
    weir_transport *t = extra->transport;

    if (weir__loop_now(t->net->loop) - t->last_activity >= extra->idle_limit.ns)
        weir__transport_lose(t, weir_raise(WEIR_ETIMEDOUT, "idle"));
    else
        start_idle(t);
    return NULL;
}

void weir_transport_set_idle_timeout(weir_transport *t, weir_duration limit)
{
    weir_check(t, TRANSPORT_MAGIC);
    if (t->status >= TRANSPORT_LOST)
        return;
    if (weir_is_forever(limit)) {
        if (t->extra)
            weir__timer_stop(t->net->loop, &t->extra->idle);
        return;
    }
    if (!weir__transport_extra(t)) {
        weir__transport_lose(t, weir_raise(WEIR_ENOMEM, "idle timeout"));
        return;
    }
    t->extra->idle_limit = limit;
    transport_active(t);
    start_idle(t);
}

/* Names */

/* The kept name of the peer, or of our side. */
static const char *keep_name(weir_transport *t, bool local, const struct sockaddr *address,
                             socklen_t length)
{
    struct transport_extra *extra = weir__transport_extra(t);
    char name[ADDRESS_NAME_MAX];
    char *kept;

    weir__address_name(address, length, name, sizeof(name));
    kept = extra ? weir__strdup(name) : NULL;
    if (!kept)
        return "?";
    if (local)
        extra->local_name = kept;
    else
        extra->peer_name = kept;
    return kept;
}

const char *weir_transport_peer_name(weir_transport *t)
{
    struct address address = {.length = sizeof(address.un)};

    weir_check(t, TRANSPORT_MAGIC);
    if (t->extra && t->extra->peer_name)
        return t->extra->peer_name;
    if (t->peer.any.sa_family == AF_INET || t->peer.any.sa_family == AF_INET6)
        return keep_name(t, false, &t->peer.any, sizeof(t->peer));
    if (t->file.closed || getpeername(t->file.fd, &address.any, &address.length) != 0)
        return "unix:";
    return keep_name(t, false, &address.any, address.length);
}

const char *weir_transport_local_name(weir_transport *t)
{
    struct address address = {.length = sizeof(address.un)};

    weir_check(t, TRANSPORT_MAGIC);
    if (t->extra && t->extra->local_name)
        return t->extra->local_name;
    if (t->file.closed || getsockname(t->file.fd, &address.any, &address.length) != 0)
        return t->server ? weir_server_name(t->server) : "?";
    return keep_name(t, true, &address.any, address.length);
}

/* A part of the name: "192.0.2.1" of "192.0.2.1:80", "::1" of "[::1]:80". */
weir_slice weir_transport_peer_ip(weir_transport *t)
{
    const char *name, *end;

    weir_check(t, TRANSPORT_MAGIC);
    if (t->peer.any.sa_family != AF_INET && t->peer.any.sa_family != AF_INET6)
        return weir_slice_of("", 0);
    name = weir_transport_peer_name(t);
    end = strrchr(name, ':');
    if (!end)
        return weir_slice_of("", 0);
    if (name[0] == '[')
        return weir_slice_of(name + 1, (size_t)(end - name) - 2);
    return weir_slice_of(name, (size_t)(end - name));
}

const struct sockaddr *weir_transport_peer_address(const weir_transport *t, size_t *ret_length)
{
    weir_check(t, TRANSPORT_MAGIC);
    switch (t->peer.any.sa_family) {
    case AF_INET:
        *ret_length = sizeof(t->peer.in);
        break;
    case AF_INET6:
        *ret_length = sizeof(t->peer.in6);
        break;
    default:
        *ret_length = sizeof(sa_family_t);
    }
    return &t->peer.any;
}

/* Plain members */

weir_loop *weir_transport_loop(const weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    return t->net->loop;
}

const weir_protocol *weir_transport_protocol(const weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    return t->protocol;
}

void *weir_transport_state(const weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    return t->state;
}

const void *weir_transport_config(const weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    return t->config;
}

weir_instance *weir_transport_instance(const weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    return t->instance;
}

void weir_transport_set_instance(weir_transport *t, weir_instance *instance)
{
    weir_check(t, TRANSPORT_MAGIC);
    t->instance = instance;
}

void weir_transport_set_context(weir_transport *t, void *context, weir_drop_fn drop)
{
    weir_check(t, TRANSPORT_MAGIC);
    if (t->context_drop)
        t->context_drop(t->context);
    t->context = context;
    t->context_drop = drop;
}

void *weir_transport_context(const weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    return t->context;
}

uint64_t weir_transport_bytes_received(const weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    return t->received;
}

uint64_t weir_transport_bytes_sent(const weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    return t->sent;
}

uint64_t weir_transport_id(const weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    return t->id;
}

bool weir_transport_tls_info(const weir_transport *t, weir_tls_info *ret)
{
    weir_check(t, TRANSPORT_MAGIC);
    *ret = (weir_tls_info){0};
    return t->tls && weir__tls_info(t->tls, ret);
}
