/* SPDX-License-Identifier: Apache-2.0 */
/* Families of what passes through: listeners, requests, upstreams and their servers. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "host/metrics/families.h"
#include "host/status/status.h"

/* Listeners. */

static void listener_key(struct exposition *e, const struct metrics_view *view, const char *key)
{
    weir__metric_each(e, weir__metric_list(&weir__ask_listeners, view, NULL, "listeners"),
                      "listener", key);
}

static void listener_connections(struct exposition *e, const struct metrics_view *view)
{
    listener_key(e, view, "connections");
}

static void listener_accepted(struct exposition *e, const struct metrics_view *view)
{
    listener_key(e, view, "accepted");
}

static void listener_rejected(struct exposition *e, const struct metrics_view *view)
{
    listener_key(e, view, "refused");
}

static void listener_received(struct exposition *e, const struct metrics_view *view)
{
    listener_key(e, view, "bytes_in");
}

static void listener_sent(struct exposition *e, const struct metrics_view *view)
{
    listener_key(e, view, "bytes_out");
}

static void outcomes(struct exposition *e, const struct metrics_view *view)
{
    const struct generation *g = view->host->generation;

    for (size_t i = 0; i < g->n_listeners; i++) {
        const struct slot *slot = g->listeners[i]->slot;

        for (unsigned o = 0; o < WEIR_OUTCOME_COUNT; o++) {
            uint64_t sum = 0;

            for (unsigned k = 0; k < slot->n_loops; k++)
                sum += __atomic_load_n(&slot->loops[k].counters.outcomes[o], __ATOMIC_RELAXED);
            weir__exposition_count(e,
                                   METRIC_LABELS("listener", slot->name, "outcome",
                                                 weir_outcome_name((weir_outcome)o)),
                                   sum);
        }
    }
}

static void in_flight(struct exposition *e, const struct metrics_view *view)
{
    const struct generation *g = view->host->generation;

    for (size_t i = 0; i < g->n_listeners; i++) {
        const struct slot *slot = g->listeners[i]->slot;
        uint64_t sum = 0;

        for (unsigned k = 0; k < slot->n_loops; k++)
            sum += __atomic_load_n(&slot->loops[k].counters.requests, __ATOMIC_RELAXED);
        weir__exposition_count(e, METRIC_LABELS("listener", slot->name), sum);
    }
}

static void handshakes(struct exposition *e, const struct metrics_view *view)
{
    static const char *const versions[] = {"1.2", "1.3"}, *const resumed[] = {"false", "true"};
    const struct generation *g = view->host->generation;

    for (size_t i = 0; i < g->n_listeners; i++) {
        const weir_listener *listener = g->listeners[i];
        struct listener_handshakes sum = weir__slot_handshakes(listener->slot);

        for (unsigned k = 0; listener->tls && k < 4; k++)
            weir__exposition_count(e,
                                   METRIC_LABELS("listener", listener->name, "version",
                                                 versions[k / 2], "resumed", resumed[k % 2],
                                                 "result", "done"),
                                   sum.done[k / 2][k % 2]);
        for (unsigned k = 1; listener->tls && k < WEIR_TLS_RESULT_COUNT; k++)
            weir__exposition_count(e,
                                   METRIC_LABELS("listener", listener->name, "version", "",
                                                 "resumed", "", "result",
                                                 weir_tls_result_name((weir_tls_result)k)),
                                   sum.failed[k]);
    }
}

static void not_after(struct exposition *e, const struct metrics_view *view)
{
    const struct generation *g = view->host->generation;

    for (size_t i = 0; i < g->n_listeners; i++)
        if (g->listeners[i]->tls)
            weir__exposition_sample(e, "", METRIC_LABELS("listener", g->listeners[i]->name),
                                    (double)weir_tls_context_not_after(g->listeners[i]->tls));
}

/* Requests. */

static const char *code_text(uint32_t key, char *buffer, size_t size)
{
    if (!(key & 0xFFFF))
        return "none";
    (void)snprintf(buffer, size, "%u", key & 0xFFFF);
    return buffer;
}

static void requests(struct exposition *e, const struct metrics_view *view)
{
    char code[16];

    for (size_t i = 0; i < view->n_blocks; i++) {
        const struct metric_block *block = &view->blocks[i];

        if (block->kind != METRIC_ROUTE)
            continue;
        for (uint32_t c = 0; c < block->n_cells; c++)
            weir__exposition_count(e,
                                   METRIC_LABELS("listener", block->group, "route", block->name,
                                                 "method", weir__metric_method(block->cells[c].key),
                                                 "code",
                                                 code_text(block->cells[c].key, code, sizeof code)),
                                   block->cells[c].count);
        if (block->others)
            weir__exposition_count(e,
                                   METRIC_LABELS("listener", block->group, "route", block->name,
                                                 "method", "_OTHER", "code", "_OTHER"),
                                   block->others);
    }
}

static void request_duration(struct exposition *e, const struct metrics_view *view)
{
    for (size_t i = 0; i < view->n_blocks; i++)
        if (view->blocks[i].kind == METRIC_ROUTE)
            weir__exposition_histogram(
                e, METRIC_LABELS("listener", view->blocks[i].group, "route", view->blocks[i].name),
                &view->blocks[i].histograms[METRIC_TOTAL]);
}

/* Upstreams. */

static void upstream_requests(struct exposition *e, const struct metrics_view *view)
{
    char code[16];

    for (size_t i = 0; i < view->n_blocks; i++) {
        const struct metric_block *block = &view->blocks[i];

        for (uint32_t c = 0; block->kind == METRIC_SERVER && c < block->n_cells; c++)
            weir__exposition_count(e,
                                   METRIC_LABELS("upstream", block->group, "server", block->name,
                                                 "code",
                                                 code_text(block->cells[c].key, code, sizeof code)),
                                   block->cells[c].count);
    }
}

static void upstream_duration(struct exposition *e, const struct metrics_view *view)
{
    static const char *const phases[] = {"total", "connect", "first_byte"};

    for (size_t i = 0; i < view->n_blocks; i++)
        for (unsigned p = 0; view->blocks[i].kind == METRIC_SERVER && p < METRIC_HISTOGRAMS; p++)
            weir__exposition_histogram(e,
                                       METRIC_LABELS("upstream", view->blocks[i].group, "server",
                                                     view->blocks[i].name, "phase", phases[p]),
                                       &view->blocks[i].histograms[p]);
}

static void upstream_retries(struct exposition *e, const struct metrics_view *view)
{
    uint64_t sum = 0;

    /* Blocks of an upstream stand together. */
    for (size_t i = 0; i < view->n_blocks; i++) {
        const struct metric_block *block = &view->blocks[i];

        if (block->kind != METRIC_SERVER)
            continue;
        sum += block->retries;
        if (i + 1 < view->n_blocks && strcmp(view->blocks[i + 1].group, block->group) == 0)
            continue;
        weir__exposition_count(e, METRIC_LABELS("upstream", block->group), sum);
        sum = 0;
    }
}

static void server_up(struct exposition *e, const struct metrics_view *view)
{
    json_t *list = weir__metric_list(&weir__ask_upstreams, view, "upstreams", "upstreams");
    const json_t *upstream, *server;
    size_t i, k;

    json_array_foreach(list, i, upstream)
        json_array_foreach(json_object_get(upstream, "servers"), k, server)
            weir__exposition_sample(e, "",
                                    METRIC_LABELS("upstream", weir__metric_text(upstream, "name"),
                                                  "server", weir__metric_text(server, "address")),
                                    strcmp(weir__metric_text(server, "state"), "up") == 0);
    json_decref(list);
}

static void upstream_connections(struct exposition *e, const struct metrics_view *view)
{
    json_t *list = weir__metric_list(&weir__ask_upstreams, view, "upstreams", "upstreams");
    const json_t *upstream, *server;
    size_t i, k;

    json_array_foreach(list, i, upstream)
    {
        double idle = 0;

        json_array_foreach(json_object_get(upstream, "servers"), k, server) idle +=
            weir__metric_number(server, "idle");
        weir__exposition_sample(
            e, "",
            METRIC_LABELS("upstream", weir__metric_text(upstream, "name"), "state", "active"),
            weir__metric_number(upstream, "leases"));
        weir__exposition_sample(
            e, "", METRIC_LABELS("upstream", weir__metric_text(upstream, "name"), "state", "idle"),
            idle);
    }
    json_decref(list);
}

static void health_checks(struct exposition *e, const struct metrics_view *view)
{
    const struct generation *g = view->host->generation;

    for (size_t i = 0; i < g->n_upstreams; i++) {
        const weir_upstream *upstream = g->upstreams[i];

        for (size_t k = 0; upstream->health && k < upstream->n_servers; k++) {
            const struct server *server = upstream->servers[k];

            weir__exposition_count(e,
                                   METRIC_LABELS("upstream", upstream->name, "server",
                                                 server->address, "result", "passed"),
                                   __atomic_load_n(&server->checks_passed, __ATOMIC_RELAXED));
            weir__exposition_count(e,
                                   METRIC_LABELS("upstream", upstream->name, "server",
                                                 server->address, "result", "failed"),
                                   __atomic_load_n(&server->checks_failed, __ATOMIC_RELAXED));
        }
    }
}

static const struct metric_family families[] = {
    {"weir_listener_connections", GAUGE, "Connections of clients that are open.", "listener",
     listener_connections},
    {"weir_listener_accepted_total", COUNTER, "Connections accepted.", "listener",
     listener_accepted},
    {"weir_listener_rejected_total", COUNTER, "Connections closed at once, for a limit.",
     "listener", listener_rejected},
    {"weir_listener_received_bytes_total", COUNTER,
     "Bytes from clients, counted when a connection ends.", "listener", listener_received},
    {"weir_listener_sent_bytes_total", COUNTER, "Bytes to clients, counted when a connection ends.",
     "listener", listener_sent},
    {"weir_outcomes_total", COUNTER, "Requests and connections, by how they ended.",
     "listener, outcome", outcomes},
    {"weir_tls_handshakes_total", COUNTER, "TLS handshakes with clients, by how they ended.",
     "listener, version, resumed, result", handshakes},
    {"weir_tls_certificate_not_after_timestamp_seconds", GAUGE,
     "When the first certificate of the listener expires.", "listener", not_after},
    {"weir_http_requests_total", COUNTER, "Requests that have ended.",
     "listener, route, method, code", requests},
    {"weir_http_request_duration_seconds", HISTOGRAM,
     "From the first byte of a request to the end of its response.", "listener, route",
     request_duration},
    {"weir_http_requests_in_flight", GAUGE, "Requests under way.", "listener", in_flight},
    {"weir_upstream_requests_total", COUNTER,
     "Requests passed to a server, by its answer; none: it gave none.", "upstream, server, code",
     upstream_requests},
    {"weir_upstream_request_duration_seconds", HISTOGRAM,
     "Until there was a new connection, until the first byte of the response, and to its end.",
     "upstream, server, phase", upstream_duration},
    {"weir_upstream_server_up", GAUGE, "1: the server gets requests.", "upstream, server",
     server_up},
    {"weir_upstream_health_checks_total", COUNTER, "Active health checks, by how they ended.",
     "upstream, server, result", health_checks},
    {"weir_upstream_connections", GAUGE, "Connections to servers: lent to requests, and idle.",
     "upstream, state", upstream_connections},
    {"weir_upstream_retries_total", COUNTER, "Further tries of requests.", "upstream",
     upstream_retries},
};

const struct metric_families weir__metrics_of_traffic = {families,
                                                         sizeof families / sizeof *families};
