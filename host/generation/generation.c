/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a generation: made, loaded from files, counted, given up. */
#include "config.h"

#include "host/generation/generation.h"

#include <stdlib.h>
#include <time.h>

#include "host/access/access.h"

static weir_error *init(struct generation *g, const struct config_settings *settings)
{
    weir_host *host = g->host;
    struct config_lookup lookup;

    g->origin = calloc(1, sizeof *g->origin);
    if (!g->origin)
        return weir_raise(WEIR_ENOMEM, "generation");
    g->origin->refs = 1;
    WEIR_TRY(weir__registry_new(host->plugin_dir, host->plugins_in_place, &g->origin->registry));
    WEIR_TRY(weir__config_new(settings, &g->origin->config));
    g->config = g->origin->config;
    g->registry = g->origin->registry;
    lookup = weir__registry_lookup(g->registry);
    weir__config_set_lookup(g->config, &lookup);
    return NULL;
}

weir_error *weir__generation_new(weir_host *host, const struct generation *from,
                                 const struct config_settings *settings, struct generation **ret)
{
    struct generation *g = calloc(1, sizeof *g);
    weir_error *error;

    if (!g)
        return weir_raise(WEIR_ENOMEM, "generation");
    g->refs = 1;
    g->host = host;
    g->from = from;
    g->made_end = &g->made;
    error = init(g, settings);
    if (error) {
        weir__generation_free(g);
        return error;
    }
    *ret = g;
    return NULL;
}

struct generation *weir__generation_ref(struct generation *g)
{
    g->refs++;
    return g;
}

void weir__generation_unref(struct generation *g, struct hlist *dead)
{
    if (!g || --g->refs)
        return;
    weir__part_table_done(&g->parts, dead);
    weir__access_discard(g->access);
    if (g->executor)
        weir_executor_unref(g->executor);
    if (g->top)
        WEIR_ARRAY_EACH(struct executor_config, executor, g->top->executors)
    if (executor->made)
        weir_executor_unref(executor->made);
    free(g->listeners);
    free(g->upstreams);
    free(g->upstream_configs);
    weir__content_notes_free(g->notes);
    weir__origin_unref(g->origin);
    free(g);
}

void weir__generation_free(struct generation *g)
{
    struct hlist dead;

    hlist_init(&dead);
    weir__generation_unref(g, &dead);
    weir__parts_destroy(&dead);
}

/* In a guard: whatever allocates from the configuration may end it. */
static void load(void *arg)
{
    struct generation *g = arg;

    if (!weir__config_load(g->config))
        return;
    g->top = weir_config_alloc(g->config, sizeof *g->top);
    weir__schema_load_plugins(g->config, weir__config_root(g->config));
    weir__config_parse(g->config, weir__config_root(g->config), weir__top_options, g->top);
    weir__generation_settle(g);
    weir__generation_build(g);
    g->loaded = weir__config_error_count(g->config) == 0;
}

bool weir__generation_load(struct generation *g)
{
    weir__schema_begin(g->registry);
    (void)weir__config_guard(g->config, load, g);
    weir__schema_begin(NULL);
    return g->loaded;
}

void weir__generation_committed(struct generation *g, const struct generation *before)
{
    struct timespec now;

    if (!g->number)
        g->origin->generation = g->number = ++g->host->last_number;
    clock_gettime(CLOCK_REALTIME, &now);
    g->loaded_at = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    for (size_t i = 0; i < g->parts.count; i++) {
        struct part *part = g->parts.items[i];
        const struct part *old;

        if (part->kind != &weir__instance_part)
            continue;
        old = before ? weir__part_find(&before->parts, part->kind, part->key) : NULL;
        weir__instance_commit(part->object, old && old != part ? old->object : NULL);
    }
}
