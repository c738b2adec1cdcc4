/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The families. Their names are operation.md's; what has no source in the code is not here, and
 * weir-metrics(7) says so. Values come from the same places as those of `weirctl status`.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <weir/debug.h>
#include <weir/log.h>
#include <weir/plugin.h>

#include "host/access/access.h"
#include "host/metrics/metrics.h"
#include "host/status/status.h"

#define LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Answers of other questions, as lists. */

static json_t *list_of(const struct question_kind *kind, const struct metrics_view *view,
                       const char *share, const char *key)
{
    struct question question = {.host = view->host, .generation = view->host->generation};
    json_t **shares = calloc(view->n_shares + 1, sizeof *shares), *answer, *list;

    for (unsigned i = 0; shares && share && i < view->n_shares; i++)
        shares[i] = json_object_get(view->shares[i], share);
    answer = kind->finish(&question, shares, shares ? view->n_shares : 0);
    list = json_incref(json_object_get(answer, key));
    json_decref(answer);
    free(shares);
    return list;
}

static const char *text_in(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static double number_in(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* One sample for each element, labelled by its name. */
static void each(struct exposition *e, json_t *take_list, const char *label, const char *key)
{
    size_t i;
    const json_t *one;

    json_array_foreach(take_list, i, one)
        weir__exposition_sample(e, "", LABELS(label, text_in(one, "name")), number_in(one, key));
    json_decref(take_list);
}

/* The program and its configuration. */

static void build_info(struct exposition *e, const struct metrics_view *view)
{
    char abi[32];

    (void)view;
    (void)snprintf(abi, sizeof abi, "%d.%d", WEIR_ABI_MAJOR, WEIR_ABI_MINOR);
    weir__exposition_sample(e, "", LABELS("version", weir_version(), "abi", abi), 1);
}

static void config_generation(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_count(e, NULL, weir__metrics_reload().generation);
}

static void config_successful(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_count(e, NULL, weir__metrics_reload().accepted);
}

static void config_time(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_sample(e, "", NULL, weir__metrics_reload().time);
}

static void log_dropped(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_count(e, NULL, weir_log_dropped());
}

static void access_records(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_count(e, NULL, weir__access_records());
}

static void access_dropped(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_count(e, NULL, weir__access_dropped());
}

/* Listeners. */

static void listener_key(struct exposition *e, const struct metrics_view *view, const char *key)
{
    each(e, list_of(&weir__ask_listeners, view, NULL, "listeners"), "listener", key);
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
            weir__exposition_count(
                e, LABELS("listener", slot->name, "outcome", weir_outcome_name((weir_outcome)o)),
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
        weir__exposition_count(e, LABELS("listener", slot->name), sum);
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
                                   LABELS("listener", listener->name, "version", versions[k / 2],
                                          "resumed", resumed[k % 2], "result", "done"),
                                   sum.done[k / 2][k % 2]);
        for (unsigned k = 1; listener->tls && k < WEIR_TLS_RESULT_COUNT; k++)
            weir__exposition_count(e,
                                   LABELS("listener", listener->name, "version", "", "resumed", "",
                                          "result", weir_tls_result_name((weir_tls_result)k)),
                                   sum.failed[k]);
    }
}

static void not_after(struct exposition *e, const struct metrics_view *view)
{
    const struct generation *g = view->host->generation;

    for (size_t i = 0; i < g->n_listeners; i++)
        if (g->listeners[i]->tls)
            weir__exposition_sample(e, "", LABELS("listener", g->listeners[i]->name),
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
                                   LABELS("listener", block->group, "route", block->name, "method",
                                          weir__metric_method(block->cells[c].key), "code",
                                          code_text(block->cells[c].key, code, sizeof code)),
                                   block->cells[c].count);
        if (block->others)
            weir__exposition_count(e,
                                   LABELS("listener", block->group, "route", block->name, "method",
                                          "_OTHER", "code", "_OTHER"),
                                   block->others);
    }
}

static void request_duration(struct exposition *e, const struct metrics_view *view)
{
    for (size_t i = 0; i < view->n_blocks; i++)
        if (view->blocks[i].kind == METRIC_ROUTE)
            weir__exposition_histogram(
                e, LABELS("listener", view->blocks[i].group, "route", view->blocks[i].name),
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
                                   LABELS("upstream", block->group, "server", block->name, "code",
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
                                       LABELS("upstream", view->blocks[i].group, "server",
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
        weir__exposition_count(e, LABELS("upstream", block->group), sum);
        sum = 0;
    }
}

static void server_up(struct exposition *e, const struct metrics_view *view)
{
    json_t *list = list_of(&weir__ask_upstreams, view, "upstreams", "upstreams");
    const json_t *upstream, *server;
    size_t i, k;

    json_array_foreach(list, i, upstream)
        json_array_foreach(json_object_get(upstream, "servers"), k, server) weir__exposition_sample(
            e, "",
            LABELS("upstream", text_in(upstream, "name"), "server", text_in(server, "address")),
            strcmp(text_in(server, "state"), "up") == 0);
    json_decref(list);
}

static void upstream_connections(struct exposition *e, const struct metrics_view *view)
{
    json_t *list = list_of(&weir__ask_upstreams, view, "upstreams", "upstreams");
    const json_t *upstream, *server;
    size_t i, k;

    json_array_foreach(list, i, upstream)
    {
        double idle = 0;

        json_array_foreach(json_object_get(upstream, "servers"), k, server) idle +=
            number_in(server, "idle");
        weir__exposition_sample(e, "",
                                LABELS("upstream", text_in(upstream, "name"), "state", "active"),
                                number_in(upstream, "leases"));
        weir__exposition_sample(
            e, "", LABELS("upstream", text_in(upstream, "name"), "state", "idle"), idle);
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

            weir__exposition_count(
                e,
                LABELS("upstream", upstream->name, "server", server->address, "result", "passed"),
                __atomic_load_n(&server->checks_passed, __ATOMIC_RELAXED));
            weir__exposition_count(
                e,
                LABELS("upstream", upstream->name, "server", server->address, "result", "failed"),
                __atomic_load_n(&server->checks_failed, __ATOMIC_RELAXED));
        }
    }
}

/* Loops and what belongs to them. */

static json_t *loops_of(const struct metrics_view *view)
{
    return list_of(&weir__ask_loops, view, "loops", "loops");
}

static void loop_busy(struct exposition *e, const struct metrics_view *view)
{
    each(e, loops_of(view), "loop", "busy");
}

static void loop_slow(struct exposition *e, const struct metrics_view *view)
{
    each(e, loops_of(view), "loop", "slow_callbacks");
}

static void loop_iterations(struct exposition *e, const struct metrics_view *view)
{
    each(e, loops_of(view), "loop", "iterations");
}

static void tasks(struct exposition *e, const struct metrics_view *view)
{
    each(e, loops_of(view), "loop", "tasks");
}

/* The loop's own buckets are powers of two microseconds: those from 0.000128 to 1.048576 s. */
static void loop_lag(struct exposition *e, const struct metrics_view *view)
{
    for (unsigned i = 0; i < view->n_shares; i++) {
        const json_t *lag = json_object_get(view->shares[i], "lag");
        json_int_t below = 0;
        char name[32], bound[32];

        if (!lag)
            continue;
        (void)snprintf(name, sizeof name, "traffic-%u", i);
        for (size_t k = 0; k < json_array_size(lag); k++) {
            bool last = k + 1 == json_array_size(lag);

            below += json_integer_value(json_array_get(lag, k));
            (void)snprintf(bound, sizeof bound, "%g", (double)(UINT64_C(1) << k) / 1e6);
            if (last || (k >= 7 && k <= 20))
                weir__exposition_sample(
                    e, "_bucket", LABELS("loop", name, "le", last ? "+Inf" : bound), (double)below);
        }
        weir__exposition_sample(e, "_sum", LABELS("loop", name),
                                number_in(view->shares[i], "lag_total"));
        weir__exposition_sample(e, "_count", LABELS("loop", name), (double)below);
    }
}

static double dns_sum(const struct metrics_view *view, const char *key)
{
    json_t *list = list_of(&weir__ask_dns, view, "dns", "dns");
    const json_t *one;
    double sum = 0;
    size_t i;

    json_array_foreach(list, i, one) sum += number_in(one, key);
    json_decref(list);
    return sum;
}

static void dns_queries(struct exposition *e, const struct metrics_view *view)
{
    static const char *const keys[] = {"no_name", "failed", "timeouts"};
    static const char *const results[] = {"no_name", "failed", "timeout"};
    double rest = dns_sum(view, "queries");

    for (unsigned i = 0; i < 3; i++) {
        double n = dns_sum(view, keys[i]);

        weir__exposition_sample(e, "", LABELS("result", results[i]), n);
        rest -= n;
    }
    rest -= dns_sum(view, "in_flight");
    weir__exposition_sample(e, "", LABELS("result", "ok"), rest > 0 ? rest : 0);
}

static void dns_hits(struct exposition *e, const struct metrics_view *view)
{
    weir__exposition_sample(e, "", NULL, dns_sum(view, "hits"));
}

static void executor_queue(struct exposition *e, const struct metrics_view *view)
{
    each(e, list_of(&weir__ask_executors, view, NULL, "executors"), "executor", "queued");
}

static void executor_busy(struct exposition *e, const struct metrics_view *view)
{
    each(e, list_of(&weir__ask_executors, view, NULL, "executors"), "executor", "busy");
}

/* The process. */

static void process_cpu(struct exposition *e, const struct metrics_view *view)
{
    struct rusage usage;

    (void)view;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        weir__exposition_sample(e, "", NULL,
                                (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                                    (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) /
                                        1e6);
}

/* The n-th number of /proc/self/statm, in pages. */
static double pages(unsigned n)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long values[2] = {0, 0};

    if (!file)
        return 0;
    if (fscanf(file, "%llu %llu", &values[0], &values[1]) != 2)
        values[n] = 0;
    fclose(file);
    return (double)values[n] * (double)sysconf(_SC_PAGESIZE);
}

static void process_resident(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_sample(e, "", NULL, pages(1));
}

static void process_virtual(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_sample(e, "", NULL, pages(0));
}

static void process_open_fds(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_sample(e, "", NULL, (double)weir__process_open_fds());
}

static void process_max_fds(struct exposition *e, const struct metrics_view *view)
{
    struct rlimit files;

    (void)view;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        weir__exposition_sample(e, "", NULL, (double)files.rlim_cur);
}

static void process_start(struct exposition *e, const struct metrics_view *view)
{
    (void)view;
    weir__exposition_sample(e, "", NULL, weir__process_start_time());
}

#define COUNTER   "counter"
#define GAUGE     "gauge"
#define HISTOGRAM "histogram"

const struct metric_family weir__metric_families[] = {
    {"weir_build_info", GAUGE, "Version of weir and of its plugin ABI; always 1.", "version, abi",
     build_info},
    {"weir_config_generation", GAUGE, "Number of the configuration in force.", "",
     config_generation},
    {"weir_config_last_reload_successful", GAUGE, "0: the last reload was rejected.", "",
     config_successful},
    {"weir_config_last_reload_success_timestamp_seconds", GAUGE,
     "When the configuration in force was loaded.", "", config_time},
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
    {"weir_loop_lag_seconds", HISTOGRAM, "How late timers run.", "loop", loop_lag},
    {"weir_loop_busy_seconds_total", COUNTER, "Time that the loop did not sleep.", "loop",
     loop_busy},
    {"weir_loop_iterations_total", COUNTER, "Turns of the loop.", "loop", loop_iterations},
    {"weir_loop_slow_callbacks_total", COUNTER,
     "Callbacks at or above debug.slow_callback; counted in debug mode.", "loop", loop_slow},
    {"weir_tasks", GAUGE, "Tasks that are not done.", "loop", tasks},
    {"weir_executor_queue_length", GAUGE, "Jobs that wait for a thread.", "executor",
     executor_queue},
    {"weir_executor_busy_threads", GAUGE, "Threads with a job.", "executor", executor_busy},
    {"weir_dns_queries_total", COUNTER, "Questions to name servers, by how they ended.", "result",
     dns_queries},
    {"weir_dns_cache_hits_total", COUNTER, "Questions answered from the cache.", "", dns_hits},
    {"weir_log_dropped_total", COUNTER, "Records of the log that were dropped.", "", log_dropped},
    {"weir_access_records_total", COUNTER, "Records of the access log.", "", access_records},
    {"weir_access_dropped_total", COUNTER,
     "Records of the access log that were dropped, for its output did not take them.", "",
     access_dropped},
    {"process_cpu_seconds_total", COUNTER, "Processor time, user and system.", "", process_cpu},
    {"process_resident_memory_bytes", GAUGE, "Resident memory.", "", process_resident},
    {"process_virtual_memory_bytes", GAUGE, "Virtual memory.", "", process_virtual},
    {"process_open_fds", GAUGE, "Open file descriptors.", "", process_open_fds},
    {"process_max_fds", GAUGE, "Most file descriptors that may be open.", "", process_max_fds},
    {"process_start_time_seconds", GAUGE, "When the process began, in seconds since 1970.", "",
     process_start},
};

const size_t weir__metric_family_count =
    sizeof weir__metric_families / sizeof *weir__metric_families;
