/* SPDX-License-Identifier: Apache-2.0 */
/* Upstreams and their servers; what an operator says of a server (a runtime override). */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weir/log.h>

#include "host/status/status.h"

static const char *const override_names[] = {"back in use", "enabled", "drained", "disabled"};

/* Of one loop: leases of each upstream and idle connections of each of its servers. */
static json_t *upstreams_of_loop(const struct question *question, struct traffic_thread *thread)
{
    const struct generation *g = question->host->generation;
    json_t *list = json_array();

    for (size_t i = 0; i < g->n_upstreams; i++) {
        const weir_upstream *upstream = g->upstreams[i];
        json_t *idle = json_array();

        for (size_t k = 0; k < upstream->n_servers; k++)
            json_array_append_new(
                idle, json_integer(upstream->servers[k]->pools[thread->traffic.index].n_idle));
        json_array_append_new(
            list, json_pack("{s:o, s:o}", "leases",
                            weir__status_count(upstream->loops[thread->traffic.index].leases),
                            "idle", idle));
    }
    return list;
}

static json_int_t sum_idle(json_t *const *shares, unsigned n, size_t upstream, size_t server)
{
    json_int_t sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += json_integer_value(
            json_array_get(json_object_get(json_array_get(shares[i], upstream), "idle"), server));
    return sum;
}

static json_int_t sum_leases(json_t *const *shares, unsigned n, size_t upstream)
{
    json_int_t sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += json_integer_value(json_object_get(json_array_get(shares[i], upstream), "leases"));
    return sum;
}

static json_t *server_json(const struct server *server, json_int_t idle)
{
    int override = __atomic_load_n(&server->override, __ATOMIC_RELAXED);
    int64_t down = __atomic_load_n(&server->down_until, __ATOMIC_RELAXED), now = weir_now().ns;
    const char *state = override == SERVER_DRAINED    ? "drained"
                        : override == SERVER_DISABLED ? "disabled"
                        : down                        ? "down"
                                                      : "up";
    json_t *one =
        json_pack("{s:s, s:s, s:I}", "address", server->address, "state", state, "idle", idle);

    if (down)
        json_object_set_new(one, "next_try", weir__status_seconds(down > now ? down - now : 0));
    if (override)
        json_object_set_new(one, "override", json_string(override_names[override]));
    return one;
}

static json_t *upstream_json(const struct question *question, json_t *const *shares, unsigned n,
                             size_t index)
{
    const struct generation *g = question->host->generation;
    const weir_upstream *upstream = g->upstreams[index];
    json_t *servers = json_array();
    size_t up = 0;

    for (size_t i = 0; i < upstream->n_servers; i++) {
        json_t *one = server_json(upstream->servers[i], sum_idle(shares, n, index, i));

        up += strcmp(json_string_value(json_object_get(one, "state")), "up") == 0;
        json_array_append_new(servers, one);
    }
    return json_pack("{s:s, s:i, s:i, s:I, s:b, s:o, s:o}", "name", upstream->name, "up", (int)up,
                     "of", (int)upstream->n_servers, "leases", sum_leases(shares, n, index), "tls",
                     upstream->tls != NULL, "servers", servers, "where",
                     weir__status_where(question->host, g->upstream_configs[index]));
}

static json_t *upstreams(const struct question *question, json_t *const *shares, unsigned n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < question->host->generation->n_upstreams; i++)
        json_array_append_new(list, upstream_json(question, shares, n, i));
    return json_pack("{s:o}", "upstreams", list);
}

const struct question_kind weir__ask_upstreams = {
    .question = {.name = "upstreams"},
    .on_loop = upstreams_of_loop,
    .finish = upstreams,
};

/* Overrides. */

/* "app/10.0.0.11:8080" */
static weir_error *find_server(struct question *question)
{
    const struct generation *g = question->host->generation;
    const char *name = json_string_value(json_object_get(question->params, "server"));
    const char *slash = name ? strchr(name, '/') : NULL;

    if (!slash)
        return weir_raise(WEIR_EINVAL, "server is UPSTREAM/ADDRESS, as in app/10.0.0.11:8080");
    for (size_t i = 0; i < g->n_upstreams; i++) {
        const weir_upstream *upstream = g->upstreams[i];

        if (strlen(upstream->name) != (size_t)(slash - name) ||
            strncmp(upstream->name, name, (size_t)(slash - name)) != 0)
            continue;
        for (size_t k = 0; k < upstream->n_servers; k++)
            if (strcmp(upstream->servers[k]->address, slash + 1) == 0)
                return question->found = upstream->servers[k], NULL;
        return weir_raise(ENOENT, "upstream `%s` has no server %s", upstream->name, slash + 1);
    }
    return weir_raise(ENOENT, "there is no upstream `%.*s`", (int)(slash - name), name);
}

static weir_error * override(struct question *question, int value)
{
    struct server *server;

    WEIR_TRY(find_server(question));
    server = question->found;
    __atomic_store_n(&server->override, value, __ATOMIC_RELAXED);
    weir_log(weir_logger_get("weir.upstream"), WEIR_LOG_INFO,
             "server %s/%s is %s, says an operator", server->upstream, server->address,
             override_names[value]);
    return NULL;
}

static weir_error *drain(struct question *question)
{
    return override(question, SERVER_DRAINED);
}

static weir_error *disable(struct question *question)
{
    return override(question, SERVER_DISABLED);
}

/* Back to what its health says, which starts anew. */
static weir_error *enable(struct question *question)
{
    WEIR_TRY(override(question, SERVER_NO_OVERRIDE));
    __atomic_store_n(&((struct server *)question->found)->down_until, 0, __ATOMIC_RELAXED);
    return NULL;
}

/* Connections that nobody uses need not be kept. */
static json_t *clear_pool(const struct question *question, struct traffic_thread *thread)
{
    struct pool *pool = &((struct server *)question->found)->pools[thread->traffic.index];
    struct hlist *next;

    for (struct hlist *node = pool->idle.next; node != &pool->idle; node = next) {
        next = node->next;
        weir_upstream_discard(HLIST_ENTRY(node, struct upconn, link)->transport);
    }
    return json_true();
}

static json_t *override_finish(const struct question *question, json_t *const *shares, unsigned n)
{
    const struct server *server = question->found;
    json_t *one = server_json(server, 0);

    (void)shares, (void)n;
    json_object_del(one, "idle");
    json_object_set_new(one, "upstream", json_string(server->upstream));
    return one;
}

const struct question_kind weir__ask_drain = {
    .question = {.name = "drain", .role = WEIR_HOST_OPERATOR, .changes = true},
    .begin = drain,
    .on_loop = clear_pool,
    .finish = override_finish,
};
const struct question_kind weir__ask_disable = {
    .question = {.name = "disable", .role = WEIR_HOST_OPERATOR, .changes = true},
    .begin = disable,
    .on_loop = clear_pool,
    .finish = override_finish,
};
const struct question_kind weir__ask_enable = {
    .question = {.name = "enable", .role = WEIR_HOST_OPERATOR, .changes = true},
    .begin = enable,
    .finish = override_finish,
};

static weir_error *no_weights(struct question *question)
{
    WEIR_TRY(find_server(question));
    return weir_raise(WEIR_EUNSUPPORTED, "weights of servers are not built yet");
}

const struct question_kind weir__ask_weight = {
    .question = {.name = "weight", .role = WEIR_HOST_OPERATOR, .changes = true},
    .begin = no_weights,
    .finish = override_finish,
};
