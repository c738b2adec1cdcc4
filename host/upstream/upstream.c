/* SPDX-License-Identifier: Apache-2.0 */
/* The immutable part: what the configuration says of an upstream. */
#include "config.h"

#include "host/upstream/upstream.h"

#include <stdlib.h>
#include <string.h>

#include <weir/tls.h>

#include "host/generation/durable.h"
#include "host/generation/tls_watch.h"
#include "host/health/health.h"

static void upstream_free(weir_upstream *upstream)
{
    for (size_t i = 0; i < upstream->n_servers; i++)
        weir__durable_unref(upstream->servers[i]);
    free(upstream->name);
    free(upstream->server_name);
    free(upstream->servers);
    free(upstream->weights);
    free(upstream->credits);
    free(upstream->health);
    free((char *)upstream->hash_key.source);
    free((char *)upstream->hash_key.name);
    free(upstream->protocol_configs);
    weir__tls_watched_end(upstream->tls_watched);
    if (upstream->tls)
        weir_tls_context_unref(upstream->tls);
    free(upstream);
}

static weir_error *copy_balance(weir_upstream *upstream, const struct upstream_spec *spec)
{
    /* Credits of a loop begin on a cache line of their own. */
    size_t n = spec->n_addresses, row = (n + 7) & ~(size_t)7;

    upstream->weights = calloc(n + 1, sizeof *upstream->weights);
    upstream->credits = aligned_alloc(HOST_CACHE_LINE, (row * spec->n_loops + 8) * sizeof(int64_t));
    if (spec->hash_key.source)
        upstream->hash_key.source = strdup(spec->hash_key.source);
    if (spec->hash_key.name)
        upstream->hash_key.name = strdup(spec->hash_key.name);
    if (!upstream->weights || !upstream->credits ||
        (spec->hash_key.source && !upstream->hash_key.source) ||
        (spec->hash_key.name && !upstream->hash_key.name))
        return weir_raise(WEIR_ENOMEM, "upstream");
    memset(upstream->credits, 0, (row * spec->n_loops + 8) * sizeof(int64_t));
    for (unsigned i = 0; i < spec->n_loops; i++) {
        upstream->loops[i].credit = upstream->credits + row * i;
        upstream->loops[i].random = spec->seed + i;
    }
    for (size_t i = 0; i < n; i++) {
        upstream->weights[i] = spec->weights ? spec->weights[i] : 1;
        upstream->uneven |= upstream->weights[i] != upstream->weights[0] || !upstream->weights[i];
    }
    if (spec->health) {
        upstream->health = malloc(sizeof *upstream->health);
        if (!upstream->health)
            return weir_raise(WEIR_ENOMEM, "upstream");
        *upstream->health = *spec->health;
    }
    upstream->speaks_tls = spec->speaks_tls;
    upstream->balance = spec->balance;
    upstream->slow_start = spec->slow_start;
    upstream->resolve_interval = spec->resolve_interval;
    return NULL;
}

static weir_error *copy_spec(weir_upstream *upstream, const struct upstream_spec *spec)
{
    upstream->name = strdup(spec->name);
    upstream->server_name = spec->server_name ? strdup(spec->server_name) : NULL;
    upstream->servers = calloc(spec->n_addresses + 1, sizeof *upstream->servers);
    upstream->protocol_configs =
        calloc(spec->n_protocol_configs + 1, sizeof *upstream->protocol_configs);
    if (!upstream->name || (spec->server_name && !upstream->server_name) || !upstream->servers ||
        !upstream->protocol_configs)
        return weir_raise(WEIR_ENOMEM, "upstream");
    for (size_t i = 0; i < spec->n_protocol_configs; i++)
        upstream->protocol_configs[i] = spec->protocol_configs[i];
    upstream->n_protocol_configs = spec->n_protocol_configs;
    upstream->connect_timeout = spec->connect_timeout;
    upstream->response_timeout = spec->response_timeout;
    upstream->idle_timeout = spec->idle_timeout;
    upstream->keepalive = spec->keepalive;
    upstream->retries = spec->retries;
    if (spec->tls)
        upstream->tls = weir_tls_context_ref(spec->tls);
    return NULL;
}

weir_error *weir__upstream_new(const struct upstream_spec *spec, struct durable_map *durables,
                               weir_upstream **ret)
{
    size_t size = sizeof(weir_upstream) + spec->n_loops * sizeof(struct upstream_loop);
    weir_upstream *upstream;
    weir_error *error;

    if (spec->n_addresses > UPSTREAM_MAX_SERVERS)
        return weir_raise(WEIR_ELIMIT, "upstream `%s` has more than %d servers", spec->name,
                          UPSTREAM_MAX_SERVERS);
    upstream = aligned_alloc(HOST_CACHE_LINE,
                             (size + HOST_CACHE_LINE - 1) & ~(size_t)(HOST_CACHE_LINE - 1));
    if (!upstream)
        return weir_raise(WEIR_ENOMEM, "upstream");
    memset(upstream, 0, size);
    upstream->refs = 1;
    upstream->n_loops = spec->n_loops;
    error = copy_spec(upstream, spec);
    if (!error)
        error = copy_balance(upstream, spec);
    for (size_t i = 0; !error && i < spec->n_addresses; i++) {
        error = weir__server_get(durables, spec->name, spec->addresses[i], spec->n_loops,
                                 &upstream->servers[i]);
        upstream->n_servers += !error;
    }
    if (error) {
        upstream_free(upstream);
        return error;
    }
    *ret = upstream;
    return NULL;
}

weir_upstream *weir__upstream_ref(weir_upstream *upstream)
{
    __atomic_add_fetch(&upstream->refs, 1, __ATOMIC_RELAXED);
    return upstream;
}

void weir__upstream_unref(weir_upstream *upstream)
{
    if (upstream && __atomic_sub_fetch(&upstream->refs, 1, __ATOMIC_ACQ_REL) == 0)
        upstream_free(upstream);
}

static void leave_server(struct server *server, const struct traffic *traffic)
{
    struct pool *pool = &server->pools[traffic->index];

    if (pool->users && --pool->users == 0)
        weir__pool_clear(pool);
}

weir_error *weir__upstream_enter(weir_upstream *upstream, const struct traffic *traffic)
{
    for (size_t i = 0; i < upstream->n_servers; i++) {
        struct server *server = upstream->servers[i];
        struct pool *pool = &server->pools[traffic->index];
        weir_error *error =
            weir__pool_names_start(pool, server, upstream->resolve_interval, traffic);

        if (error) {
            while (i > 0)
                leave_server(upstream->servers[--i], traffic);
            return error;
        }
        pool->users++;
        weir__pool_secure(pool, upstream->security);
    }
    return NULL;
}

void weir__upstream_leave(weir_upstream *upstream, const struct traffic *traffic)
{
    for (size_t i = 0; i < upstream->n_servers; i++)
        leave_server(upstream->servers[i], traffic);
}

void weir__upstream_clear_pools(weir_upstream *upstream, const struct traffic *traffic)
{
    for (size_t i = 0; i < upstream->n_servers; i++)
        weir__pool_clear(&upstream->servers[i]->pools[traffic->index]);
}

const char *weir_upstream_name(const weir_upstream *upstream)
{
    return upstream->name;
}

weir_duration weir_upstream_response_timeout(const weir_upstream *upstream)
{
    return upstream->response_timeout;
}

const void *weir_upstream_config(const weir_upstream *upstream, const weir_protocol *protocol)
{
    for (size_t i = 0; i < upstream->n_protocol_configs; i++)
        if (upstream->protocol_configs[i].protocol == protocol)
            return upstream->protocol_configs[i].config;
    return NULL;
}

const weir_hash_key *weir_upstream_hash_key(const weir_upstream *upstream)
{
    return upstream->hash_key.source ? &upstream->hash_key : NULL;
}

bool weir_upstream_tls(const weir_upstream *upstream)
{
    return upstream->speaks_tls || upstream->tls;
}
