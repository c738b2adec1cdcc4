/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions about a running host, and their answers as JSON.
 *
 *   control loop: begin() checks the parameters ──▶ each traffic loop: on_loop() looks
 *   control loop: finish() puts what came together   (at the limit: without those that are silent)
 */
#ifndef WEIR_HOST_STATUS_STATUS_H
#define WEIR_HOST_STATUS_STATUS_H

#include <jansson.h>

#include <weir/inspect.h>

#include "host/generation/generation.h"

struct question {
    weir_host *host;
    struct generation *generation; /* in force when it was asked */
    const json_t *params;          /* an object */
    void *found;                   /* what begin() looked up for the others */
};

struct question_kind {
    weir_host_question question;
    /* Each may be NULL; with no on_loop the loops are not asked. Outputs are new references. */
    weir_error *(*begin)(struct question *question);
    json_t *(*on_loop)(const struct question *question, struct traffic_thread *thread);
    /* `shares[i]` is NULL for a loop that gave nothing. */
    json_t *(*finish)(const struct question *question, json_t *const *shares, unsigned n);
};

extern const struct question_kind weir__ask_listeners, weir__ask_routes, weir__ask_upstreams,
    weir__ask_conns, weir__ask_conn, weir__ask_tls, weir__ask_tasks, weir__ask_loops,
    weir__ask_executors, weir__ask_dns, weir__ask_dns_flush, weir__ask_plugins, weir__ask_server,
    weir__ask_drain, weir__ask_enable, weir__ask_disable, weir__ask_weight, weir__ask_debug,
    weir__ask_ping, weir__ask_summary, weir__ask_metrics, weir__ask_route, weir__ask_memory;

/* The server of the parameter `server`, "app/10.0.0.11:8080". */
weir_error *weir__status_find_server(const struct question *question, weir_upstream **ret_upstream,
                                     size_t *ret_index) WEIR_MUST_USE;
/* All that is to be said of it. */
json_t *weir__status_server(const struct question *question);
/* route.c: who would serve a request; also without a running host. */
weir_error *weir__status_route(const struct generation *g, const json_t *params,
                               json_t **ret) WEIR_MUST_USE;
/* One array of what the arrays of all loops have. */
json_t *weir__status_join(json_t *const *shares, unsigned n);
/* Nanoseconds as seconds. */
json_t *weir__status_seconds(int64_t ns);
/* Where the configuration says so: "weir.yaml:12:5". */
json_t *weir__status_where(const weir_host *host, const void *field);
/* generations.c */
json_t *weir__status_generations(const weir_host *host);
/* An unsigned counter. */
json_t *weir__status_count(uint64_t count);

#endif
