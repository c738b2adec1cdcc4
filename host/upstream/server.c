/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server: durable, found by its upstream's name and its address, as long as an upstream has it: of a
 * generation in force, of the one before, of those that connections run with.
 *
 * Passive health: a failed connect, or several failed responses in a row, pass the server over for a
 * while. When the while is over, one caller wins the right to try (a compare-and-swap moves the end of
 * the while on), so that a server that is still dead costs one request per while, not all. What checks
 * find (host/health) stands beside it: a server that is down by its checks gets nothing at all.
 * Health is shared by the loops and written only when it changes.
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
    pthread_mutex_init(&server->mutex, NULL);
    server->hash = weir__hash_bytes(weir_slice_str(server->address));
    server->n_pools = spec->n_loops;
    for (unsigned i = 0; i < spec->n_loops; i++)
        hlist_init(&server->pools[i].idle);
    return NULL;
}

static void server_drop(void *state)
{
    struct server *server = state;

    pthread_mutex_destroy(&server->mutex);
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
    if (!__atomic_exchange_n(&server->down_until, 0, __ATOMIC_RELAXED))
        return false;
    weir__server_back(server);
    return true;
}

void weir__server_back(struct server *server)
{
    __atomic_store_n(&server->up_since, weir_now().ns, __ATOMIC_RELAXED);
}

void weir__server_check_says(struct server *server, bool down, const char *why)
{
    weir__server_tell(server, &server->check_story, why);
    if (!down) {
        /* Whoever asks the server now finds it as its check did: what users saw before is past. */
        __atomic_store_n(&server->down_until, 0, __ATOMIC_RELAXED);
        weir__server_back(server);
    }
    __atomic_store_n(&server->checked_down, down, __ATOMIC_RELEASE);
}

void weir__server_forgive(struct server *server)
{
    __atomic_store_n(&server->bad_responses, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&server->down_until, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&server->checked_down, false, __ATOMIC_RELAXED);
}

void weir__server_tell(struct server *server, struct server_story *story, const char *why)
{
    pthread_mutex_lock(&server->mutex);
    story->since = weir_now();
    (void)snprintf(story->why, sizeof story->why, "%s", why);
    pthread_mutex_unlock(&server->mutex);
}

struct server_story weir__server_story(struct server *server, const struct server_story *story)
{
    struct server_story copy;

    pthread_mutex_lock(&server->mutex);
    copy = *story;
    pthread_mutex_unlock(&server->mutex);
    return copy;
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
