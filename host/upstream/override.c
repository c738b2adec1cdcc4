/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What operators say of servers at run time: in use or not, and a weight. It holds through reloads
 * until the server's settings in the file change, the server leaves the file, or it is reset; who said
 * it and when is kept, so that nobody has to remember. Control loop; traffic loops read the two numbers
 * in the server.
 */
#include "config.h"

#include "host/upstream/override.h"

#include <stdio.h>
#include <stdlib.h>

#include <weir/log.h>

static weir_logger *logger(void)
{
    return weir_logger_get("weir.upstream");
}

void weir__overrides_init(struct overrides *overrides)
{
    hlist_init(&overrides->said);
}

static void forget(struct server_said *said)
{
    hlist_remove(&said->link);
    said->server->said = NULL;
    free(said);
}

void weir__overrides_free(struct overrides *overrides)
{
    while (!hlist_empty(&overrides->said))
        forget(HLIST_ENTRY(overrides->said.next, struct server_said, link));
}

static void set_state(struct server *server, int state)
{
    __atomic_store_n(&server->override, state, __ATOMIC_RELAXED);
}

/* -1: none. */
static void set_weight(struct server *server, int64_t weight)
{
    uint32_t before =
        __atomic_exchange_n(&server->weight_override, (uint32_t)(weight + 1), __ATOMIC_RELAXED);

    weir__weight_overrides_add((weight >= 0) - (before != 0));
}

static weir_error *said_of(struct overrides *overrides, struct server *server, uint32_t configured,
                           struct server_said **ret)
{
    struct server_said *said = server->said;

    if (!said) {
        said = calloc(1, sizeof *said);
        if (!said)
            return weir_raise(WEIR_ENOMEM, "runtime override");
        said->server = server;
        said->configured = configured;
        said->epoch = overrides->epoch;
        hlist_append(&overrides->said, &said->link);
        server->said = said;
    }
    *ret = said;
    return NULL;
}

static void forget_if_nothing(struct server *server)
{
    if (server->said && server->override == SERVER_NO_OVERRIDE && !server->weight_override)
        forget(server->said);
}

static void sign(struct override_note *note, const char *by)
{
    note->since = weir_now();
    (void)snprintf(note->by, sizeof note->by, "%s", by);
}

weir_error *weir__override_state(struct overrides *overrides, const weir_upstream *upstream,
                                 size_t index, enum server_override state, const char *by)
{
    struct server *server = upstream->servers[index];
    struct server_said *said = NULL;

    if (state != SERVER_NO_OVERRIDE) {
        WEIR_TRY(said_of(overrides, server, upstream->weights[index], &said));
        sign(&said->state, by);
    }
    set_state(server, (int)state);
    forget_if_nothing(server);
    return NULL;
}

weir_error *weir__override_weight(struct overrides *overrides, const weir_upstream *upstream,
                                  size_t index, uint32_t weight, const char *by)
{
    struct server *server = upstream->servers[index];
    struct server_said *said = NULL;

    if (weight == upstream->weights[index]) {
        set_weight(server, -1);
        forget_if_nothing(server);
        return NULL;
    }
    WEIR_TRY(said_of(overrides, server, upstream->weights[index], &said));
    sign(&said->weight, by);
    set_weight(server, weight);
    return NULL;
}

void weir__override_reset(struct server *server)
{
    set_state(server, SERVER_NO_OVERRIDE);
    set_weight(server, -1);
    forget_if_nothing(server);
}

static void keep(struct overrides *overrides, const weir_upstream *upstream, size_t index)
{
    struct server *server = upstream->servers[index];

    if (!server->said)
        return;
    server->said->epoch = overrides->epoch;
    if (server->said->configured == upstream->weights[index])
        return;
    weir_log(logger(), WEIR_LOG_WARNING,
             "server %s/%s has other settings now: what an operator said of it ends",
             server->upstream, server->address);
    weir__override_reset(server);
}

void weir__overrides_follow(struct overrides *overrides, weir_upstream *const *upstreams, size_t n)
{
    struct hlist *next;

    overrides->epoch++;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < upstreams[i]->n_servers; k++)
            keep(overrides, upstreams[i], k);
    for (struct hlist *at = overrides->said.next; at != &overrides->said; at = next) {
        struct server_said *said = HLIST_ENTRY(at, struct server_said, link);

        next = at->next;
        if (said->epoch == overrides->epoch)
            continue;
        weir_log(logger(), WEIR_LOG_INFO,
                 "server %s/%s is gone, and with it what an operator said of it",
                 said->server->upstream, said->server->address);
        weir__override_reset(said->server);
    }
}
