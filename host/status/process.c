/* SPDX-License-Identifier: Apache-2.0 */
/* What is of the process as a whole: executors, plugins, and the counts of the first screen. */
#include "config.h"

#include <stdlib.h>

#include "host/status/status.h"

static json_t *executor_json(const char *name, const weir_executor *executor)
{
    weir_executor_stats s = {WEIR_SIZED(weir_executor_stats)};

    weir_executor_get_stats(executor, &s);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name", name, "threads",
                     (json_int_t)s.threads, "threads_max", (json_int_t)s.threads_max, "busy",
                     (json_int_t)s.busy, "queued", (json_int_t)s.queued, "queue_max",
                     (json_int_t)s.queue_max, "waiting", (json_int_t)s.waiting, "broken",
                     (json_int_t)s.broken);
}

static json_t *executors(const struct question *question, json_t *const *shares, unsigned n)
{
    const weir_host *host = question->host;
    json_t *list = json_array();
    bool has_default = false;

    (void)shares, (void)n;
    WEIR_ARRAY_EACH(const struct executor_config, said, host->generation->top->executors)
    {
        if (!said->made)
            continue;
        has_default |= said->made == host->generation->executor;
        json_array_append_new(list, executor_json(said->name, said->made));
    }
    if (!has_default)
        json_array_insert_new(list, 0, executor_json("default", host->generation->executor));
    return json_pack("{s:o}", "executors", list);
}

const struct question_kind weir__ask_executors = {
    .question = {.name = "executors"},
    .finish = executors,
};

static json_t *provided_by(const struct registry *registry, const struct plugin *plugin)
{
    json_t *list = json_array();

    for (const struct provided *p = registry->provided; p; p = p->next)
        if (p->plugin == plugin)
            json_array_append_new(list, json_sprintf("%s %s", p->extension->kind, p->head->name));
    return list;
}

static json_t *plugins(const struct question *question, json_t *const *shares, unsigned n)
{
    const struct registry *registry = question->generation->registry;
    json_t *list = json_array();

    (void)shares, (void)n;
    for (const struct plugin *plugin = registry->plugins; plugin; plugin = plugin->next) {
        const weir_plugin *d = plugin->descriptor;
        json_t *protocols = json_array();

        for (size_t i = 0; d->protocols && d->protocols[i]; i++)
            json_array_append_new(protocols, json_string(d->protocols[i]->name));
        json_array_append_new(list,
                              json_pack("{s:s, s:s?, s:s?, s:o, s:o}", "name", d->name, "version",
                                        d->version, "summary", d->summary, "protocols", protocols,
                                        "provides", provided_by(registry, plugin)));
    }
    return json_pack("{s:o}", "plugins", list);
}

const struct question_kind weir__ask_plugins = {
    .question = {.name = "plugins"},
    .finish = plugins,
};

/* The host's part of `status`: lists of the other questions, and counts. */

static json_t *summary(const struct question *question, json_t *const *shares, unsigned n)
{
    const struct question_kind *parts[] = {&weir__ask_listeners, &weir__ask_executors};
    weir_host *host = question->host;
    json_t *answer = json_pack("{s:o, s:o, s:b, s:s}", "connections",
                               weir__status_count(weir_host_connections(host)), "connections_max",
                               weir__status_count(host->limit.limit), "draining",
                               host->state == HOST_STOPPING, "config", host->config_path);
    json_t *loops = json_array(), *part;
    json_t **upstream_shares = calloc(n + 1, sizeof *upstream_shares);

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        part = parts[i]->finish(question, NULL, 0);
        json_object_update(answer, part);
        json_decref(part);
    }
    for (unsigned i = 0; i < n && upstream_shares; i++) {
        json_array_extend(loops, json_object_get(shares[i], "loops"));
        upstream_shares[i] = json_object_get(shares[i], "upstreams");
    }
    json_object_set_new(answer, "loops", loops);
    json_object_set_new(answer, "generations", weir__status_generations(host));
    json_object_set_new(answer, "durable_states",
                        weir__status_count(weir__durable_count(host->durables)));
    if (upstream_shares) {
        part = weir__ask_upstreams.finish(question, upstream_shares, n);
        json_object_update(answer, part);
        json_decref(part);
    }
    free(upstream_shares);
    return answer;
}

static json_t *summary_of_loop(const struct question *question, struct traffic_thread *thread)
{
    return json_pack("{s:o, s:o}", "loops", weir__ask_loops.on_loop(question, thread), "upstreams",
                     weir__ask_upstreams.on_loop(question, thread));
}

const struct question_kind weir__ask_summary = {
    .question = {.name = "summary"},
    .on_loop = summary_of_loop,
    .finish = summary,
};
