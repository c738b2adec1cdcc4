/* SPDX-License-Identifier: Apache-2.0 */
/* Loops, their tasks and resolvers, debug mode, and whether they turn at all. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include <weir/debug.h>
#include <weir/introspection.h>
#include <weir/resolver.h>

#include "host/status/status.h"

static json_t *site_json(const weir_site *site)
{
    char text[300];

    if (!site)
        return json_null();
    (void)snprintf(text, sizeof text, "%s:%d", site->file, site->line);
    return json_string(text);
}

/* The time below which that share of a histogram lies, in seconds. */
static double percentile(const weir_histogram *histogram, double share)
{
    uint64_t all = 0, seen = 0;

    for (int i = 0; i < WEIR_HISTOGRAM_BUCKETS; i++)
        all += histogram->counts[i];
    for (int i = 0; all && i < WEIR_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if ((double)seen >= share * (double)all)
            return (double)((uint64_t)1 << i) / 1e6;
    }
    return 0;
}

static json_t *loop_json(weir_loop *loop, const char *name)
{
    weir_loop_metrics m = {WEIR_SIZED(weir_loop_metrics)};
    double busy, idle;

    weir_loop_metrics_get(loop, &m);
    busy = (double)m.busy.ns / 1e9;
    idle = (double)m.idle.ns / 1e9;
    return json_pack("{s:s, s:s, s:b, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
                     "name", name, "backend", weir_loop_backend(loop), "debug",
                     weir_loop_get_debug(loop), "busy", busy, "idle", idle, "busy_share",
                     busy + idle > 0 ? busy / (busy + idle) : 0.0, "lag_p50",
                     percentile(&m.lag, 0.5), "lag_p99", percentile(&m.lag, 0.99), "iterations",
                     (json_int_t)m.iterations, "callbacks", (json_int_t)m.callbacks, "events",
                     (json_int_t)m.events, "timers", (json_int_t)m.timers, "posts",
                     (json_int_t)m.posts, "slow_callbacks", (json_int_t)m.slow_callbacks, "tasks",
                     (json_int_t)weir_loop_task_count(loop));
}

static json_t *loop_of_thread(const struct question *question, struct traffic_thread *thread)
{
    char name[32];

    (void)question;
    (void)snprintf(name, sizeof name, "traffic-%u", thread->traffic.index);
    return json_pack("[o]", loop_json(thread->traffic.loop, name));
}

static json_t *loops(const struct question *question, json_t *const *shares, unsigned n)
{
    json_t *all = weir__status_join(shares, n);

    json_array_insert_new(all, 0, loop_json(question->host->control, "control"));
    return json_pack("{s:o}", "loops", all);
}

const struct question_kind weir__ask_loops = {
    .question = {.name = "loops"},
    .on_loop = loop_of_thread,
    .finish = loops,
};

/* Tasks. */

static json_t *frames_json(const weir_task_info *info)
{
    json_t *frames = json_array();

    for (size_t i = 0; i < info->frame_count; i++)
        json_array_append_new(
            frames, json_pack("{s:s, s:s, s:i}", "function", info->frames[i].function, "file",
                              info->frames[i].file, "line", info->frames[i].line));
    return frames;
}

static json_t *task_json(const weir_task_list *list, size_t index, unsigned loop, bool stack)
{
    const weir_task_info *info = &list->tasks[index];
    json_t *waiters = json_array(), *one;

    for (size_t i = 0; i < info->awaited_by_count; i++)
        json_array_append_new(waiters,
                              json_integer((json_int_t)list->tasks[info->awaited_by[i]].id));
    one = json_pack("{s:I, s:s, s:s, s:s, s:i, s:o, s:o, s:o}", "id", (json_int_t)info->id, "name",
                    info->name, "function", info->function, "state", info->state, "loop", (int)loop,
                    "created", site_json(info->created), "waits_at", site_json(info->waits_at),
                    "awaited_by", waiters);
    if (stack)
        json_object_set_new(one, "stack", frames_json(info));
    return one;
}

static json_t *tasks_of_loop(const struct question *question, struct traffic_thread *thread)
{
    bool stack = json_is_true(json_object_get(question->params, "stack"));
    json_t *all = json_array();
    weir_task_list *list;
    weir_error *error =
        weir_task_list_capture(thread->traffic.loop, stack ? WEIR_CALL_GRAPH_ALL : 0, &list);

    if (error) {
        weir_ignore(error);
        return all;
    }
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(all, task_json(list, i, thread->traffic.index, stack));
    weir_task_list_free(list);
    return all;
}

static json_t *tasks(const struct question *question, json_t *const *shares, unsigned n)
{
    (void)question;
    return json_pack("{s:o}", "tasks", weir__status_join(shares, n));
}

const struct question_kind weir__ask_tasks = {
    .question = {.name = "tasks"},
    .on_loop = tasks_of_loop,
    .finish = tasks,
};

/* Names. */

static bool add_cached(const weir_dns_cached *cached, void *arg)
{
    json_t *one =
        json_pack("{s:s, s:i, s:i, s:f}", "name", cached->name, "type", (int)cached->type,
                  "records", cached->records ? (int)weir_dns_records_count(cached->records) : 0,
                  "left", (double)cached->left.ns / 1e9);

    json_array_append_new(arg, one);
    return true;
}

static json_t *dns_of_loop(const struct question *question, struct traffic_thread *thread)
{
    weir_resolver_stats s;
    json_t *one;
    char name[32];

    weir_resolver_get_stats(thread->traffic.loop, &s);
    (void)snprintf(name, sizeof name, "traffic-%u", thread->traffic.index);
    one =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "loop", name, "queries",
                  (json_int_t)s.queries, "hits", (json_int_t)s.hits, "shared", (json_int_t)s.shared,
                  "stale", (json_int_t)s.stale, "no_name", (json_int_t)s.no_name, "failed",
                  (json_int_t)s.failed, "timeouts", (json_int_t)s.timeouts, "in_flight",
                  (json_int_t)s.in_flight, "entries", (json_int_t)s.entries);
    if (json_is_true(json_object_get(question->params, "cache"))) {
        json_t *cache = json_array();

        weir_resolver_each(thread->traffic.loop, add_cached, cache);
        json_object_set_new(one, "cache", cache);
    }
    return json_pack("[o]", one);
}

static json_t *dns(const struct question *question, json_t *const *shares, unsigned n)
{
    (void)question;
    return json_pack("{s:o}", "dns", weir__status_join(shares, n));
}

const struct question_kind weir__ask_dns = {
    .question = {.name = "dns"},
    .on_loop = dns_of_loop,
    .finish = dns,
};

static json_t *flush_loop(const struct question *question, struct traffic_thread *thread)
{
    const char *name = json_string_value(json_object_get(question->params, "name"));

    return json_integer((json_int_t)weir_resolver_flush(thread->traffic.loop, name));
}

static json_t *flushed(const struct question *question, json_t *const *shares, unsigned n)
{
    json_int_t sum = 0;

    (void)question;
    for (unsigned i = 0; i < n; i++)
        sum += json_integer_value(shares[i]);
    return json_pack("{s:I}", "flushed", sum);
}

const struct question_kind weir__ask_dns_flush = {
    .question = {.name = "dns.flush", .role = WEIR_HOST_OPERATOR, .changes = true},
    .on_loop = flush_loop,
    .finish = flushed,
};

/* Debug mode. */

static weir_error *set_debug(struct question *question)
{
    weir_host *host = question->host;
    const json_t *on = json_object_get(question->params, "on");

    if (!json_is_boolean(on))
        return weir_raise(WEIR_EINVAL, "on is true or false");
    for (unsigned i = 0; i < host->n_threads; i++)
        if (host->threads[i].started && !host->threads[i].ended && host->threads[i].traffic.loop)
            weir_loop_set_debug(host->threads[i].traffic.loop, json_is_true(on));
    weir_loop_set_debug(host->control, json_is_true(on));
    host->generation->settings.debug = json_is_true(on);
    return NULL;
}

static json_t *debug_is(const struct question *question, json_t *const *shares, unsigned n)
{
    (void)shares, (void)n;
    return json_pack("{s:b}", "debug", question->host->generation->settings.debug);
}

const struct question_kind weir__ask_debug = {
    .question = {.name = "debug", .role = WEIR_HOST_OPERATOR, .changes = true},
    .begin = set_debug,
    .finish = debug_is,
};

/* Whether every loop turns: feeds systemd's watchdog. */

static json_t *turned(const struct question *question, struct traffic_thread *thread)
{
    (void)question, (void)thread;
    return json_true();
}

static json_t *nothing(const struct question *question, json_t *const *shares, unsigned n)
{
    (void)question, (void)shares;
    return json_pack("{s:i}", "loops", (int)n);
}

const struct question_kind weir__ask_ping = {
    .question = {.name = "ping"},
    .on_loop = turned,
    .finish = nothing,
};
