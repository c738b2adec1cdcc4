/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be asked of a transport and set on it, and its idle timeout. Names are made when first
 * asked for and kept. The timeout costs a store per byte burst: the timer looks at the time of the
 * last activity when it fires, and goes on for the rest. The deadline is the protocol's: its timer is
 * the one whose job does what a connection puts off, so that it needs next to no room of its own.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/backtrace.h"
#include "core/net/server.h"
#include "core/net/stream.h"
#include "core/net/tls.h"
#include "core/net/transport.h"

static weir_error *idle_fired(struct job *job);

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

void weir__transport_extra_free(weir_transport *t)
{
    if (!t->extra)
        return;
    weir__free(t->extra->local_name);
    weir__free(t->extra->proxy);
    weir__backtrace_free(t->extra->created);
    weir__free(t->extra);
    t->extra = NULL;
}

/* Idle timeout */

static void start_idle(weir_transport *t)
{
    weir_instant when = weir_instant_after((weir_instant){t->last_activity}, t->extra->idle_limit);
    weir_error *error = weir__timer_start(t->net->loop, &t->extra->idle, when);

    if (error)
        weir__transport_lose(t, error);
}

static weir_error *idle_fired(struct job *job)
{
    struct transport_extra *extra = container_of(job, struct transport_extra, idle.job);
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
    if (!transport_allows(t) || t->status >= TRANSPORT_LOST)
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

/* The protocol's deadline */

void weir__transport_stop_deadline(weir_transport *t)
{
    if (!t->timed)
        return;
    t->timed = false;
    weir__timer_disarm(t->net->loop, &t->timer);
}

void weir_transport_set_deadline(weir_transport *t, weir_duration after)
{
    weir_loop *loop = t->net->loop;
    weir_instant when;
    weir_error *error;

    weir_check(t, TRANSPORT_MAGIC);
    if (!transport_allows(t) || t->status >= TRANSPORT_LOST)
        return;
    if (weir_is_forever(after)) {
        weir__transport_stop_deadline(t);
        return;
    }
    when = weir_instant_after((weir_instant){weir__loop_now(loop)}, after);
    error = weir__timer_arm(loop, &t->timer, when);
    if (weir_unlikely(error != NULL))
        weir__transport_lose(t, error);
    else
        t->timed = true;
}

/* Names */

/* Where the IP stands in "192.0.2.1:80" or "[::1]:80"; 0 for other names. */
static void find_ip(struct peer_name *name, sa_family_t family)
{
    const char *end = strrchr(name->text, ':');

    if ((family != AF_INET && family != AF_INET6) || !end)
        return;
    name->ip_at = name->text[0] == '[';
    name->ip_len = (uint8_t)(end - name->text - (name->ip_at ? 2 : 0));
}

static const struct peer_name *keep_name(weir_transport *t, const char *text, sa_family_t family)
{
    size_t size = strlen(text) + 1;

    t->peer_name = weir__transport_room(t, sizeof(*t->peer_name) + size, 1);
    if (!t->peer_name)
        t->peer_name = weir__calloc(1, sizeof(*t->peer_name) + size);
    if (!t->peer_name)
        return NULL;
    memcpy(t->peer_name->text, text, size);
    find_ip(t->peer_name, family);
    return t->peer_name;
}

static const struct peer_name *keep_peer_name(weir_transport *t, const struct sockaddr *address,
                                              socklen_t length)
{
    char text[ADDRESS_NAME_MAX];

    weir__address_name(address, length, text, sizeof(text));
    return keep_name(t, text, address->sa_family);
}

/* "pipe:[4711]", "/dev/pts/3": what the kernel calls the descriptor. */
static const char *pipe_name(weir_transport *t)
{
    const struct peer_name *name;
    char path[40], text[128];
    ssize_t n = -1;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", t->file.fd);
    if (!t->file.closed)
        n = readlink(path, text, sizeof(text) - 1);
    if (n < 0)
        return "pipe:";
    text[n] = '\0';
    name = keep_name(t, text, AF_UNSPEC);
    return name ? name->text : "?";
}

const char *weir_transport_peer_name(weir_transport *t)
{
    struct address address = {.length = sizeof(address.un)};
    const struct peer_name *name;

    weir_check(t, TRANSPORT_MAGIC);
    if (!transport_allows(t))
        return "?";
    if (t->peer_name)
        return t->peer_name->text;
    if (t->file.no_socket)
        return pipe_name(t);
    if (t->peer.any.sa_family == AF_INET || t->peer.any.sa_family == AF_INET6)
        name = keep_peer_name(t, &t->peer.any, sizeof(t->peer));
    else if (t->file.closed || getpeername(t->file.fd, &address.any, &address.length) != 0)
        return "unix:";
    else
        name = keep_peer_name(t, &address.any, address.length);
    return name ? name->text : "?";
}

const char *weir_transport_local_name(weir_transport *t)
{
    struct address address = {.length = sizeof(address.un)};
    struct transport_extra *extra;
    char name[ADDRESS_NAME_MAX];

    weir_check(t, TRANSPORT_MAGIC);
    if (!transport_allows(t))
        return "?";
    if (t->extra && t->extra->local_name)
        return t->extra->local_name;
    if (t->file.closed || getsockname(t->file.fd, &address.any, &address.length) != 0)
        return t->server ? weir_server_name(t->server) : "?";
    weir__address_name(&address.any, address.length, name, sizeof(name));
    extra = weir__transport_extra(t);
    if (extra)
        extra->local_name = weir__strdup(name);
    return extra && extra->local_name ? extra->local_name : "?";
}

weir_slice weir_transport_peer_ip(weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    if (!transport_allows(t))
        return weir_slice_of("", 0);
    if (weir_unlikely(!t->peer_name))
        (void)weir_transport_peer_name(t);
    if (!t->peer_name)
        return weir_slice_of("", 0);
    return weir_slice_of(t->peer_name->text + t->peer_name->ip_at, t->peer_name->ip_len);
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
    if (t->protocol == &weir__stream_protocol && ((const weir_stream *)t->state)->protocol)
        return ((const weir_stream *)t->state)->protocol;
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
    if (transport_allows(t))
        t->instance = instance;
}

void weir_transport_set_config(weir_transport *t, const void *config)
{
    weir_check(t, TRANSPORT_MAGIC);
    if (transport_allows(t))
        t->config = config;
}

void weir_transport_set_context(weir_transport *t, void *context, weir_drop_fn drop)
{
    weir_check(t, TRANSPORT_MAGIC);
    if (!transport_allows(t))
        return;
    if (t->context_drop)
        t->context_drop(t->context);
    t->context = context;
    t->context_drop = drop;
}

void *weir_transport_context_of(const weir_transport *t, weir_drop_fn drop)
{
    weir_check(t, TRANSPORT_MAGIC);
    return t->context_drop == drop ? t->context : NULL;
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
