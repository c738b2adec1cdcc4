/* SPDX-License-Identifier: Apache-2.0 */
/* Families of loops and what belongs to them: tasks, executors, names. */
#include "config.h"

#include <string.h>

#include <weir/debug.h>

#include "host/metrics/families.h"
#include "host/status/status.h"

/* Loops and what belongs to them. */

static json_t *loops_of(const struct metrics_view *view)
{
    return weir__metric_list(&weir__ask_loops, view, "loops", "loops");
}

static void loop_busy(struct exposition *e, const struct metrics_view *view)
{
    weir__metric_each(e, loops_of(view), "loop", "busy");
}

static void loop_slow(struct exposition *e, const struct metrics_view *view)
{
    weir__metric_each(e, loops_of(view), "loop", "slow_callbacks");
}

static void loop_iterations(struct exposition *e, const struct metrics_view *view)
{
    weir__metric_each(e, loops_of(view), "loop", "iterations");
}

static void tasks(struct exposition *e, const struct metrics_view *view)
{
    weir__metric_each(e, loops_of(view), "loop", "tasks");
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
                weir__exposition_sample(e, "_bucket",
                                        METRIC_LABELS("loop", name, "le", last ? "+Inf" : bound),
                                        (double)below);
        }
        weir__exposition_sample(e, "_sum", METRIC_LABELS("loop", name),
                                weir__metric_number(view->shares[i], "lag_total"));
        weir__exposition_sample(e, "_count", METRIC_LABELS("loop", name), (double)below);
    }
}

static double dns_sum(const struct metrics_view *view, const char *key)
{
    json_t *list = weir__metric_list(&weir__ask_dns, view, "dns", "dns");
    const json_t *one;
    double sum = 0;
    size_t i;

    json_array_foreach(list, i, one) sum += weir__metric_number(one, key);
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

        weir__exposition_sample(e, "", METRIC_LABELS("result", results[i]), n);
        rest -= n;
    }
    rest -= dns_sum(view, "in_flight");
    weir__exposition_sample(e, "", METRIC_LABELS("result", "ok"), rest > 0 ? rest : 0);
}

static void dns_hits(struct exposition *e, const struct metrics_view *view)
{
    weir__exposition_sample(e, "", NULL, dns_sum(view, "hits"));
}

static void executor_queue(struct exposition *e, const struct metrics_view *view)
{
    weir__metric_each(e, weir__metric_list(&weir__ask_executors, view, NULL, "executors"),
                      "executor", "queued");
}

static void executor_busy(struct exposition *e, const struct metrics_view *view)
{
    weir__metric_each(e, weir__metric_list(&weir__ask_executors, view, NULL, "executors"),
                      "executor", "busy");
}

static const struct metric_family families[] = {
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
};

const struct metric_families weir__metrics_of_loops = {families,
                                                       sizeof families / sizeof *families};
