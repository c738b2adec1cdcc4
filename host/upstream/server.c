/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which server gets the next connection.
 *
 * Health is passive: a failed connect, or several failed responses in a row, pass the server over
 * for a while. When the while is over, one caller wins the right to try (a compare-and-swap moves
 * the end of the while on), so that a server that is still dead costs one request per while, not
 * all. Health is shared by the loops and written only when it changes; the position of the round
 * robin belongs to each loop.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/generation/durable.h"
#include "host/upstream/upstream.h"

struct server_spec {
    const char *upstream, *address;
    unsigned n_loops;
};

static weir_error *server_make(void *state, void *arg)
{
    struct server *server = state;
    const struct server_spec *spec = arg;

    server->upstream = strdup(spec->upstream);
    server->address = strdup(spec->address);
    if (!server->upstream || !server->address) {
        free(server->upstream);
        free(server->address);
        return weir_raise(WEIR_ENOMEM, "server");
    }
    pthread_mutex_init(&server->name_mutex, NULL);
    server->n_pools = spec->n_loops;
    for (unsigned i = 0; i < spec->n_loops; i++)
        hlist_init(&server->pools[i].idle);
    return NULL;
}

static void server_drop(void *state)
{
    struct server *server = state;

    pthread_mutex_destroy(&server->name_mutex);
    free(server->upstream);
    free(server->address);
}

weir_error *weir__server_get(struct durable_map *durables, const char *upstream,
                             const char *address, unsigned n_loops, struct server **ret)
{
    struct server_spec spec = {upstream, address, n_loops};
    char *identity;
    void *state;
    weir_error *error;

    if (asprintf(&identity, "%s %s", upstream, address) < 0)
        return weir_raise(WEIR_ENOMEM, "server");
    error = weir__durable_get(
        durables,
        &(struct durable_spec){"server", identity,
                               sizeof(struct server) + n_loops * sizeof(struct pool), server_make,
                               &spec, server_drop},
        &state);
    free(identity);
    WEIR_TRY(error);
    *ret = state;
    return NULL;
}

bool weir__server_usable(struct server *server, int64_t now)
{
    int64_t down_until = __atomic_load_n(&server->down_until, __ATOMIC_RELAXED);

    if (!down_until)
        return true;
    if (now < down_until)
        return false;
    return __atomic_compare_exchange_n(&server->down_until, &down_until, now + SERVER_FAIL_TIME_NS,
                                       false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

bool weir__server_failed(struct server *server, int64_t now)
{
    return __atomic_exchange_n(&server->down_until, now + SERVER_FAIL_TIME_NS, __ATOMIC_RELAXED) ==
           0;
}

bool weir__server_worked(struct server *server)
{
    /* Read first: the line stays shared between the caches while all is well. */
    if (!__atomic_load_n(&server->down_until, __ATOMIC_RELAXED))
        return false;
    return __atomic_exchange_n(&server->down_until, 0, __ATOMIC_RELAXED) != 0;
}

static bool is_servers_fault(weir_outcome outcome)
{
    return outcome == WEIR_OUTCOME_UPSTREAM_RESPONSE_TIMEOUT ||
           outcome == WEIR_OUTCOME_UPSTREAM_RESPONSE_TRUNCATED ||
           outcome == WEIR_OUTCOME_UPSTREAM_RESPONSE_BAD || outcome == WEIR_OUTCOME_UPSTREAM_RESET;
}

bool weir__server_response(struct server *server, weir_outcome outcome, int64_t now)
{
    if (outcome == WEIR_OUTCOME_OK) {
        if (__atomic_load_n(&server->bad_responses, __ATOMIC_RELAXED))
            __atomic_store_n(&server->bad_responses, 0, __ATOMIC_RELAXED);
        return false;
    }
    if (!is_servers_fault(outcome) ||
        __atomic_add_fetch(&server->bad_responses, 1, __ATOMIC_RELAXED) < SERVER_MAX_BAD_RESPONSES)
        return false;
    __atomic_store_n(&server->bad_responses, 0, __ATOMIC_RELAXED);
    return weir__server_failed(server, now);
}

/* An operator took it out of use. */
static bool is_out(struct server *server)
{
    return __atomic_load_n(&server->override, __ATOMIC_RELAXED) >= SERVER_DRAINED;
}

static bool was_tried(const struct tried_servers *tried, size_t index)
{
    return tried->bits[index / 64] >> (index % 64) & 1;
}

/* Everything is failing: the server whose failure is oldest has had most time to recover. */
static bool pick_least_recently_failed(const weir_upstream *upstream,
                                       const struct tried_servers *tried, size_t *ret_index)
{
    int64_t oldest = INT64_MAX;
    bool found = false;

    for (size_t i = 0; i < upstream->n_servers; i++) {
        int64_t down = __atomic_load_n(&upstream->servers[i]->down_until, __ATOMIC_RELAXED);

        if (was_tried(tried, i) || (found && down >= oldest) || is_out(upstream->servers[i]))
            continue;
        oldest = down;
        *ret_index = i;
        found = true;
    }
    return found;
}

bool weir__upstream_pick(const weir_upstream *upstream, struct upstream_loop *local,
                         const struct tried_servers *tried, int64_t now, size_t *ret_index)
{
    size_t n = upstream->n_servers, first = local->next < n ? local->next : 0;

    for (size_t k = 0; k < n; k++) {
        size_t i = first + k < n ? first + k : first + k - n;

        /* With one server there is nothing to pass over to. */
        if (was_tried(tried, i) || is_out(upstream->servers[i]) ||
            (n > 1 && !weir__server_usable(upstream->servers[i], now)))
            continue;
        local->next = (unsigned)(i + 1);
        *ret_index = i;
        return true;
    }
    return pick_least_recently_failed(upstream, tried, ret_index);
}
