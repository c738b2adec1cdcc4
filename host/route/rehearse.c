/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What weir itself answers, for `tests:` that expect a status or a header.
 *
 * A listener is made for it, with the protocol and the settings of the one that was found and a single
 * route to the action that was found (or none), on a socket of its own on the loopback; then a client
 * asks it. Action and protocol get instances of their own: those in force, their counters, logs and
 * durable state are not touched. The client's address is told by a PROXY header.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weir/scope.h>
#include <weir/stream.h>
#include <weir/tls.h>

#include "host/route/explain.h"

#define REHEARSAL_LIMIT WEIR_S(10)

struct stage {
    const struct explanation *e;
    struct rehearsal *result;
    struct durable_map *durables;
    struct connection_limit limit;
    weir_executor *executor;
    weir_instance *protocol, *action;
    weir_listener *listener;
    weir_network trusted;
    struct traffic traffic;
};

static weir_error *new_instance(struct stage *stage, const weir_instance_ops *ops,
                                struct plugin *plugin, const void *config, weir_instance **ret)
{
    WEIR_TRY(weir__instance_new(ops, plugin, config, "tests", ret));
    (*ret)->durables = stage->durables;
    (*ret)->executor = weir_executor_ref(stage->executor);
    return weir__instance_start(*ret, NULL, 1);
}

static weir_error *make_routes(struct stage *stage)
{
    const struct explained_route *from = stage->e->route;
    weir_routes *routes;
    weir_route *route;

    WEIR_TRY(weir__routes_new(&routes));
    stage->listener->routes = routes;
    if (!from)
        return weir__routes_seal(routes);
    WEIR_TRY(weir__routes_add(routes, from->name, &route));
    route->action = from->route->action;
    route->instance = stage->action;
    route->filters = from->route->filters;
    route->n_filters = from->route->n_filters;
    return weir__routes_seal(routes);
}

static weir_error *make_listener(struct stage *stage)
{
    const struct listener_config *said = stage->e->listener->said;
    const weir_listener *model = stage->e->listener->part;
    weir_listener *listener;

    WEIR_TRY(weir__listener_new(said->name, 1, 1, stage->durables, &stage->limit, &listener));
    stage->listener = listener;
    listener->protocol = said->protocol;
    listener->protocol_config = said->protocol_config;
    listener->listener_config = said->listener_config;
    listener->handshake_timeout = said->timeouts.handshake;
    listener->backlog = 1;
    listener->instance = stage->protocol;
    listener->addresses[0].redirects = stage->e->listener->redirects;
    listener->tls =
        model->tls && !listener->addresses[0].redirects ? weir_tls_context_ref(model->tls) : NULL;
    WEIR_TRY(weir_network_parse("127.0.0.0/8", &stage->trusted));
    listener->proxy = (weir_proxy_policy){WEIR_SIZED(weir_proxy_policy), .trusted = &stage->trusted,
                                          .n_trusted = 1};
    WEIR_TRY(make_routes(stage));
    return weir__listener_bind(listener, 0, "127.0.0.1:0");
}

static weir_error *set_up(struct stage *stage)
{
    const struct explanation *e = stage->e;
    const struct listener_config *said = e->listener->said;
    const struct provided *provided = e->route ? e->route->said->action.host : NULL;
    weir_executor_options pool = {WEIR_SIZED(weir_executor_options), .name = "tests", .threads = 1};

    WEIR_TRY(weir__durable_map_new(&stage->durables));
    WEIR_TRY(weir_executor_new(&pool, &stage->executor));
    WEIR_TRY(new_instance(stage, said->protocol->instance, said->plugin, said->protocol_config,
                          &stage->protocol));
    if (provided)
        WEIR_TRY(new_instance(stage, provided->head->instance, provided->plugin,
                              e->route->said->action.config, &stage->action));
    return make_listener(stage);
}

static void take_down(struct stage *stage)
{
    weir__listener_free(stage->listener);
    weir__instance_free(stage->action);
    weir__instance_free(stage->protocol);
    if (stage->executor) {
        weir_ignore(weir_executor_shutdown(stage->executor, WEIR_S(5)));
        weir_executor_unref(stage->executor);
    }
    if (stage->durables)
        weir__durable_map_free(stage->durables);
}

/* Who asks, as a balancer would say it. */
static weir_error *introduce(const struct stage *stage, weir_transport *transport)
{
    weir_address source, destination;
    char header[WEIR_PROXY_WRITE_MAX], text[80];
    bool v6 = strchr(stage->e->from, ':') != NULL;
    size_t n;

    (void)snprintf(text, sizeof text, v6 ? "[%s]:40000" : "%s:40000", stage->e->from);
    WEIR_TRY(weir_address_parse(text, &source));
    (void)snprintf(text, sizeof text, v6 ? "[::1]:%u" : "127.0.0.1:%u", stage->e->request.port);
    WEIR_TRY(weir_address_parse(text, &destination));
    WEIR_TRY(weir_proxy_write(WEIR_PROXY_V1, &source, &destination, header, sizeof header, &n));
    return weir_transport_write(transport, weir_slice_of(header, n));
}

static weir_error *ask(const struct stage *stage)
{
    const char *address = weir__address_name(&stage->listener->addresses[0]);
    weir_auto(weir_stream) stream = NULL;

    WEIR_TRY(weir_connect(address, NULL, &stream));
    WEIR_TRY(introduce(stage, weir_stream_transport(stream)));
    if (stage->listener->tls) {
        weir_tls_options options = {WEIR_SIZED(weir_tls_options), .no_verify = true};
        weir_auto(weir_tls_context) tls = NULL;

        WEIR_TRY(weir_tls_client_context_new(&options, &tls));
        WEIR_TRY(weir_stream_start_tls(stream, tls, stage->e->request.host));
    }
    return stage->listener->protocol->ask(stream, stage->e->request.words, &stage->result->status,
                                          &stage->result->fields);
}

static weir_error *start_loop(struct stage *stage)
{
    if (stage->action)
        WEIR_TRY(weir__instance_loop_start(stage->action, &stage->traffic));
    return weir__instance_loop_start(stage->protocol, &stage->traffic);
}

static weir_error *perform(void *arg)
{
    struct stage *stage = arg;
    weir_auto(weir_server) server = NULL;
    weir_error *error;

    stage->traffic.loop = weir_loop_current();
    stage->traffic.rehearsal = true;
    weir_loop_set_default_executor(stage->traffic.loop, stage->executor);
    weir__traffic_enter(&stage->traffic);
    error = start_loop(stage);
    if (!error) {
        weir__slot_set(stage->listener->slot, stage->listener, &stage->traffic);
        error = weir__listener_serve(stage->listener, 0, &stage->traffic, &server);
    }
    if (!error) {
        WEIR_TIMEOUT(limit, REHEARSAL_LIMIT);
        error = ask(stage);
    }
    if (server)
        weir_ignore(weir_server_shutdown(server, WEIR_NS(0)));
    if (stage->action)
        weir__instance_loop_stop(stage->action, &stage->traffic);
    weir__instance_loop_stop(stage->protocol, &stage->traffic);
    weir__traffic_leave(&stage->traffic);
    return error;
}

weir_error *weir__rehearse(const struct explanation *explanation, struct rehearsal *ret)
{
    weir_run_options options = {WEIR_SIZED(weir_run_options), .keep_sigpipe = true,
                                .keep_sigint = true, .keep_sigterm = true};
    struct stage stage = {.e = weir__explanation_end(explanation)};
    struct rehearsal result = {0};
    weir_error *error;

    stage.result = &result;
    if (!stage.e->listener || !stage.e->listener->said->protocol->ask)
        return weir_raise(WEIR_EUNSUPPORTED, "the listener's protocol cannot be asked");
    error = set_up(&stage);
    if (!error)
        error = weir_run(perform, &stage, &options);
    take_down(&stage);
    if (error) {
        weir_buffer_unref(result.fields);
        return error;
    }
    *ret = result;
    return NULL;
}
