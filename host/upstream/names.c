/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers that are given by name: each loop looks the name up again when its TTL is over, whether or
 * not there is traffic. What it finds decides which idle connections are kept: one to an address that
 * left the name ends, and is not kept when its lease does. Nothing waits for a name: connections are
 * made by name (weir_connect_start), so a name that appears late is found by the next request at the
 * latest, and while servers of DNS fail the last addresses hold.
 *
 * What the first loop finds is logged, and published for whoever wants to look.
 */
#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/log.h>
#include <weir/resolver.h>

#include "host/upstream/upstream.h"

/* Between look-ups: at least, at most, after a failure, and of what hosts says. */
#define REFRESH_MIN    WEIR_S(1)
#define REFRESH_MAX    WEIR_S(3600)
#define REFRESH_FAILED WEIR_S(5)
#define REFRESH_HOSTS  WEIR_S(10)

struct pool_names {
    weir_loop *loop;
    struct pool *pool;
    struct server *server;
    bool tells; /* the first loop: logs and publishes */
    bool failing;
    weir_duration interval; /* said in the configuration; 0: as long as answers are good */
    weir_timer timer;
    weir_resolving *resolving;
    weir_addresses *addresses; /* the last known; NULL: none yet */
    uint16_t port;
    char host[];
};

static weir_logger *logger(void)
{
    return weir_logger_get("weir.upstream");
}

/* The host of "name:port"; 0 for sockets, literals and localhost, which never change. */
static size_t name_length(const char *address)
{
    const char *colon = strrchr(address, ':');
    unsigned char bytes[16];
    char host[256];
    size_t len = colon ? (size_t)(colon - address) : 0;

    if (!len || len >= sizeof host || address[0] == '[' || strncmp(address, "unix:", 5) == 0)
        return 0;
    memcpy(host, address, len);
    host[len] = '\0';
    if (inet_pton(AF_INET, host, bytes) == 1 || strcmp(host, "localhost") == 0)
        return 0;
    return len;
}

/* Publishing */

static void addresses_text(const weir_addresses *addresses, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < weir_addresses_count(addresses) && used < size; i++) {
        size_t length;
        const struct sockaddr *address = weir_addresses_get(addresses, i, &length);
        const void *bytes =
            address->sa_family == AF_INET6
                ? (const void *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr
                : (const void *)&((const struct sockaddr_in *)(const void *)address)->sin_addr;
        char one[INET6_ADDRSTRLEN] = "";

        inet_ntop(address->sa_family, bytes, one, sizeof one);
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", one);
    }
}

static void publish(struct pool_names *names, const char *error, weir_duration next)
{
    struct server_name_state *state = &names->server->name_state;

    pthread_mutex_lock(&names->server->mutex);
    state->is_name = true;
    state->lookups++;
    state->looked_at = weir_now();
    state->next_at = weir_instant_after(state->looked_at, next);
    (void)snprintf(state->error, sizeof state->error, "%s", error);
    if (names->addresses) {
        state->n_addresses = weir_addresses_count(names->addresses);
        addresses_text(names->addresses, state->addresses, sizeof state->addresses);
    }
    pthread_mutex_unlock(&names->server->mutex);
}

bool weir__server_name_state(struct server *server, struct server_name_state *ret)
{
    pthread_mutex_lock(&server->mutex);
    *ret = server->name_state;
    pthread_mutex_unlock(&server->mutex);
    return ret->is_name;
}

/* Looking up */

static void look_up(struct pool_names *names);

static weir_error *refresh(void *arg)
{
    look_up(arg);
    return NULL;
}

static void note_failed(struct pool_names *names, weir_error *take_error)
{
    char text[160];

    weir_error_message(take_error, text, sizeof text);
    if (names->tells) {
        if (!names->failing)
            weir_log(logger(), WEIR_LOG_WARNING, "upstream %s: server %s: %s; %s",
                     names->server->upstream, names->server->address, text,
                     names->addresses ? "its last addresses hold" : "weir goes on and looks again");
        publish(names, text, REFRESH_FAILED);
    }
    names->failing = true;
    weir_error_unref(take_error);
    weir_timer_start(&names->timer, REFRESH_FAILED);
}

static bool same(const weir_addresses *a, const weir_addresses *b)
{
    bool all = a && weir_addresses_count(a) == weir_addresses_count(b);

    for (size_t i = 0; all && i < weir_addresses_count(b); i++) {
        size_t length;

        all = weir_addresses_has(a, weir_addresses_get(b, i, &length));
    }
    return all;
}

static weir_duration until_next(const struct pool_names *names)
{
    weir_duration ttl = weir_addresses_ttl(names->addresses);

    if (names->interval.ns)
        return names->interval;
    if (weir_is_forever(ttl))
        return REFRESH_HOSTS;
    if (ttl.ns < REFRESH_MIN.ns)
        return REFRESH_MIN;
    return ttl.ns > REFRESH_MAX.ns ? REFRESH_MAX : ttl;
}

static void note_found(struct pool_names *names, weir_addresses *take)
{
    bool changed = !same(names->addresses, take);
    bool news = names->failing || (names->addresses && changed);
    char text[512];

    weir_addresses_unref(names->addresses);
    names->addresses = take;
    names->failing = false;
    if (changed)
        weir__pool_drop_left(names->pool);
    if (names->tells) {
        addresses_text(take, text, sizeof text);
        if (changed || news)
            weir_log(logger(), news ? WEIR_LOG_INFO : WEIR_LOG_DEBUG,
                     "upstream %s: server %s is %s", names->server->upstream,
                     names->server->address, text);
        publish(names, "", until_next(names));
    }
    weir_timer_start(&names->timer, until_next(names));
}

static void resolved(weir_addresses *take, weir_error *take_error, void *arg)
{
    struct pool_names *names = arg;

    names->resolving = NULL;
    if (take_error)
        note_failed(names, take_error);
    else
        note_found(names, take);
}

static void look_up(struct pool_names *names)
{
    weir_error *error;

    /* Asked for by the clock: an answer that is kept longer does not do. */
    if (names->interval.ns)
        (void)weir_resolver_flush(names->loop, names->host);
    error = weir_resolve_start(names->loop, names->host, names->port, resolved, names,
                               &names->resolving);
    if (error)
        note_failed(names, error);
}

/* What the pool asks */

bool weir__pool_address_left(const struct pool *pool, weir_transport *transport)
{
    const struct pool_names *names = pool->names;
    const struct sockaddr *peer;
    size_t length;

    if (!names || !names->addresses)
        return false;
    peer = weir_transport_peer_address(transport, &length);
    return peer && length && !weir_addresses_has(names->addresses, peer);
}

weir_error *weir__pool_names_start(struct pool *pool, struct server *server, weir_duration interval,
                                   const struct traffic *traffic)
{
    size_t len = name_length(server->address);
    struct pool_names *names;

    if (pool->names)
        pool->names->interval = interval;
    if (!len || pool->names)
        return NULL;
    names = calloc(1, sizeof *names + len + 1);
    if (!names)
        return weir_raise(WEIR_ENOMEM, "names of servers");
    names->loop = traffic->loop;
    names->pool = pool;
    names->server = server;
    names->interval = interval;
    names->tells = traffic->index == 0;
    memcpy(names->host, server->address, len);
    weir_timer_init(&names->timer, names->loop, refresh, names);
    pool->names = names;
    look_up(names);
    return NULL;
}

void weir__pool_names_stop(struct pool *pool)
{
    struct pool_names *names = pool->names;

    if (!names)
        return;
    pool->names = NULL;
    if (names->resolving)
        weir_resolving_cancel(names->resolving);
    weir_timer_stop(&names->timer);
    weir_addresses_unref(names->addresses);
    free(names);
}
