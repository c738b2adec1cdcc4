/* SPDX-License-Identifier: Apache-2.0 */
/* Upstreams and their servers: how they are, since when and why. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "host/health/health.h"
#include "host/status/status.h"

static const char *const balance_names[] = {"round_robin", "least_conn", "random", "hash",
                                            "ip_hash"};

/* Of one loop: idle connections of each server of each upstream. The rest may be read from here. */
static json_t *upstreams_of_loop(const struct question *question, struct traffic_thread *thread)
{
    const struct generation *g = question->generation;
    json_t *list = json_array();

    for (size_t i = 0; i < g->n_upstreams; i++) {
        const weir_upstream *upstream = g->upstreams[i];
        json_t *idle = json_array();

        for (size_t k = 0; k < upstream->n_servers; k++)
            json_array_append_new(
                idle, json_integer(upstream->servers[k]->pools[thread->traffic.index].n_idle));
        json_array_append_new(list, idle);
    }
    return list;
}

static json_int_t sum_idle(json_t *const *shares, unsigned n, size_t upstream, size_t server)
{
    json_int_t sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += json_integer_value(json_array_get(json_array_get(shares[i], upstream), server));
    return sum;
}

/* A counter of all pools of the server, at this place of a pool. */
static json_int_t sum_pools(const struct server *server, size_t offset)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < server->n_pools; i++)
        sum += __atomic_load_n(
            (const uint64_t *)(const void *)((const char *)&server->pools[i] + offset),
            __ATOMIC_RELAXED);
    return (json_int_t)sum;
}

static json_int_t sum_loops(const weir_upstream *upstream, size_t offset)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < upstream->n_loops; i++)
        sum += __atomic_load_n(
            (const uint64_t *)(const void *)((const char *)&upstream->loops[i] + offset),
            __ATOMIC_RELAXED);
    return (json_int_t)sum;
}

static json_t *age_of(weir_instant since)
{
    return weir__status_seconds(weir_now().ns - since.ns);
}

/* State, and why it is not in use. */
static void add_state(json_t *one, struct server *server)
{
    int override = __atomic_load_n(&server->override, __ATOMIC_RELAXED);
    int64_t down = __atomic_load_n(&server->down_until, __ATOMIC_RELAXED), now = weir_now().ns;
    struct server_story story = {.since = {0}};
    const char *state = "up";

    if (server->checked_down) {
        state = "down";
        story = weir__server_story(server, &server->check_story);
    } else if (down) {
        state = "down";
        story = weir__server_story(server, &server->passive_story);
        json_object_set_new(one, "next_try", weir__status_seconds(down > now ? down - now : 0));
    }
    if (override)
        state = override == SERVER_DRAINED ? "drained" : "disabled";
    json_object_set_new(one, "state", json_string(state));
    if (story.since.ns) {
        json_object_set_new(one, "since", age_of(story.since));
        json_object_set_new(one, "reason", json_string(story.why));
    }
}

static void add_override(json_t *one, const struct server *server)
{
    const struct server_said *said = server->said;

    if (!said)
        return;
    if (server->override) {
        json_object_set_new(
            one, "override",
            json_string(server->override == SERVER_DRAINED ? "drained" : "disabled"));
        json_object_set_new(one, "override_by", json_string(said->state.by));
        json_object_set_new(one, "override_age", age_of(said->state.since));
    }
    if (server->weight_override) {
        json_object_set_new(one, "weight_override", json_integer(server->weight_override - 1));
        json_object_set_new(one, "weight_by", json_string(said->weight.by));
        json_object_set_new(one, "weight_age", age_of(said->weight.since));
    }
}

static json_t *check_json(const struct server *server)
{
    const struct check *check = server->check;
    json_t *one;

    if (!check)
        return json_null();
    one = json_pack("{s:s, s:I, s:I}", "type", check->upstream->health->way->head.name, "passed",
                    (json_int_t)server->checks_passed, "failed", (json_int_t)server->checks_failed);
    if (*check->last) {
        json_object_set_new(one, "last", json_string(check->last));
        json_object_set_new(one, "last_passed", json_boolean(check->last_passed));
        json_object_set_new(one, "took", weir__status_seconds(check->took.ns));
    }
    return one;
}

static json_t *server_json(const weir_upstream *upstream, size_t index)
{
    struct server *server = upstream->servers[index];
    json_t *one =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "address", server->address, "weight",
                  (json_int_t)weir__server_weight(upstream, index), "connections",
                  sum_pools(server, offsetof(struct pool, active)), "leases",
                  sum_pools(server, offsetof(struct pool, leases)), "connects",
                  sum_pools(server, offsetof(struct pool, connects)), "connect_failures",
                  sum_pools(server, offsetof(struct pool, failures)), "check", check_json(server));

    add_state(one, server);
    add_override(one, server);
    return one;
}

static json_t *upstream_json(const struct question *question, json_t *const *shares, unsigned n,
                             size_t index)
{
    const struct generation *g = question->generation;
    const weir_upstream *upstream = g->upstreams[index];
    json_t *servers = json_array();
    size_t up = 0;

    for (size_t i = 0; i < upstream->n_servers; i++) {
        json_t *one = server_json(upstream, i);

        json_object_set_new(one, "idle", json_integer(sum_idle(shares, n, index, i)));
        up += strcmp(json_string_value(json_object_get(one, "state")), "up") == 0;
        json_array_append_new(servers, one);
    }
    return json_pack("{s:s, s:i, s:i, s:s, s:I, s:I, s:b, s:o, s:o}", "name", upstream->name, "up",
                     (int)up, "of", (int)upstream->n_servers, "balance",
                     balance_names[upstream->balance], "leases",
                     sum_loops(upstream, offsetof(struct upstream_loop, leases)), "retries",
                     sum_loops(upstream, offsetof(struct upstream_loop, retries)), "tls",
                     upstream->tls != NULL, "servers", servers, "where",
                     weir__status_where(question->host, g->upstream_configs[index]));
}

static json_t *upstreams(const struct question *question, json_t *const *shares, unsigned n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < question->generation->n_upstreams; i++)
        json_array_append_new(list, upstream_json(question, shares, n, i));
    return json_pack("{s:o}", "upstreams", list);
}

const struct question_kind weir__ask_upstreams = {
    .question = {.name = "upstreams"},
    .on_loop = upstreams_of_loop,
    .finish = upstreams,
};

weir_error *weir__status_find_server(const struct question *question, weir_upstream **ret_upstream,
                                     size_t *ret_index)
{
    const struct generation *g = question->generation;
    const char *name = json_string_value(json_object_get(question->params, "server"));

    /* Names of upstreams that a URL stands for have slashes of their own. */
    for (const char *slash = name ? strchr(name, '/') : NULL; slash;
         slash = strchr(slash + 1, '/')) {
        for (size_t i = 0; i < g->n_upstreams; i++) {
            weir_upstream *upstream = g->upstreams[i];

            if (strlen(upstream->name) != (size_t)(slash - name) ||
                strncmp(upstream->name, name, (size_t)(slash - name)) != 0)
                continue;
            for (size_t k = 0; k < upstream->n_servers; k++) {
                if (strcmp(upstream->servers[k]->address, slash + 1) != 0)
                    continue;
                *ret_upstream = upstream;
                *ret_index = k;
                return NULL;
            }
            return weir_raise(ENOENT, "upstream `%s` has no server %s", upstream->name, slash + 1);
        }
    }
    if (!name || !strchr(name, '/'))
        return weir_raise(WEIR_EINVAL, "server is UPSTREAM/ADDRESS, as in app/10.0.0.11:8080");
    return weir_raise(ENOENT, "there is no upstream `%.*s`", (int)strcspn(name, "/"), name);
}

json_t *weir__status_server(const struct question *question)
{
    weir_upstream *upstream = NULL;
    size_t index = 0;
    weir_error *error = weir__status_find_server(question, &upstream, &index);
    json_t *one;

    if (error) { /* it left while it was asked for */
        weir_ignore(error);
        return json_object();
    }
    one = server_json(upstream, index);
    json_object_set_new(one, "upstream", json_string(upstream->name));
    return one;
}
