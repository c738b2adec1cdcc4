/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of a generation: each is looked for in the generation before, and made when it is not
 * there with the same content.
 */
#include "config.h"

#include "host/generation/generation.h"

#define ORIGINS_MAX 8

/* Kinds of parts. Listeners enter a loop when their slot is set, and leave it with their last use. */

static void destroy_listener(void *object)
{
    weir__listener_free(object);
}

static weir_error *enter_upstream(void *object, struct traffic *traffic)
{
    return weir__upstream_enter(object, traffic);
}

static void leave_upstream(void *object, struct traffic *traffic)
{
    weir__upstream_leave(object, traffic);
}

static void destroy_upstream(void *object)
{
    weir__upstream_unref(object);
}

static weir_error *enter_instance(void *object, struct traffic *traffic)
{
    return weir__instance_loop_start(object, traffic);
}

static void leave_instance(void *object, struct traffic *traffic)
{
    weir__instance_loop_stop(object, traffic);
}

static void destroy_instance(void *object)
{
    weir__instance_free(object);
}

const struct part_kind weir__listener_part = {.name = "listener", .destroy = destroy_listener};
const struct part_kind weir__upstream_part = {"upstream", enter_upstream, leave_upstream,
                                              destroy_upstream};
const struct part_kind weir__instance_part = {"instance", enter_instance, leave_instance,
                                              destroy_instance};

struct content weir__generation_content(const struct generation *g, const weir_config_node *node)
{
    struct content content = g->base;

    weir__content_node(&content, g->notes, node);
    return content;
}

struct part *weir__generation_same(const struct generation *g, const struct part_kind *kind,
                                   const char *key, const struct content *content)
{
    struct part *part = g->from ? weir__part_find(&g->from->parts, kind, key) : NULL;

    return part && (!g->too_old || part->origin->generation > g->too_old) &&
                   weir__content_equal(&part->content, content)
               ? part
               : NULL;
}

/* Each part keeps the memory of the load that made it, so the loads that live have a limit. */
void weir__generation_limit_origins(struct generation *g)
{
    const struct origin *seen[ORIGINS_MAX];
    unsigned oldest = 0;
    size_t n = 0;

    for (size_t i = 0; g->from && i < g->from->parts.count; i++) {
        const struct origin *origin = g->from->parts.items[i]->origin;
        size_t k = 0;

        while (k < n && seen[k] != origin)
            k++;
        if (!oldest || origin->generation < oldest)
            oldest = origin->generation;
        if (k < n)
            continue;
        if (n == ORIGINS_MAX) {
            g->too_old = oldest;
            continue;
        }
        seen[n++] = origin;
    }
    if (g->too_old)
        g->too_old = oldest;
}

bool weir__generation_made(const struct generation *g, const struct part *part)
{
    return part->origin == g->origin;
}

weir_error *weir__generation_take(struct generation *g, struct part *part)
{
    WEIR_TRY(weir__part_table_add(&g->parts, part));
    for (size_t i = 0; i < part->n_below; i++)
        WEIR_TRY(weir__generation_take(g, part->below[i]));
    return NULL;
}

weir_error *weir__generation_add_part(struct generation *g, const struct part_kind *kind,
                                      const char *key, const struct content *content,
                                      void *take_object, struct part **ret)
{
    struct part *part;
    weir_error *error =
        weir__part_new(kind, key, content, g->origin, g->n_loops, take_object, &part);

    if (error) {
        kind->destroy(take_object);
        return error;
    }
    error = weir__part_table_add(&g->parts, part);
    if (error) {
        struct hlist dead;

        hlist_init(&dead);
        weir__part_unref(part, &dead);
        weir__parts_destroy(&dead);
        return error;
    }
    part->refs--; /* the table's is the one that is left */
    *ret = part;
    return NULL;
}

/* Instances */

static weir_error *make_instance(struct generation *g, const struct instance_spec *spec,
                                 weir_instance **ret)
{
    WEIR_TRY(weir__instance_new(spec->ops, spec->plugin, spec->config, spec->path, ret));
    (*ret)->durables = g->host->durables;
    *g->made_end = *ret;
    g->made_end = &(*ret)->next;
    return NULL;
}

static void unmake_instance(struct generation *g, const weir_instance *instance)
{
    weir_instance **end = &g->made;

    while (*end && *end != instance)
        end = &(*end)->next;
    *end = NULL;
    g->made_end = end;
}

/* One with a life of its own: a part. */
static weir_error *add_living(struct generation *g, const struct instance_spec *spec,
                              struct part **ret)
{
    struct content content = weir__generation_content(g, spec->node);
    struct part *part;
    weir_instance *instance = NULL;
    weir_error *error;

    weir__content_pointer(&content, spec->ops);
    part = weir__generation_same(g, &weir__instance_part, spec->path, &content);
    if (part) {
        *ret = part;
        return weir__part_table_add(&g->parts, part);
    }
    WEIR_TRY(make_instance(g, spec, &instance));
    error =
        weir__generation_add_part(g, &weir__instance_part, spec->path, &content, instance, &part);
    if (error) {
        unmake_instance(g, instance);
        return error;
    }
    instance->part = part;
    *ret = part;
    return NULL;
}

weir_error *weir__generation_add_instance(struct generation *g, const struct instance_spec *spec,
                                          weir_instance **ret)
{
    struct part *part = NULL;

    if (spec->owner && !weir__instance_has_life(spec->ops)) {
        WEIR_TRY(make_instance(g, spec, ret));
        (*ret)->next_own = spec->owner->own;
        spec->owner->own = *ret;
        return NULL;
    }
    WEIR_TRY(add_living(g, spec, &part));
    *ret = part->object;
    return spec->owner ? weir__part_add_below(spec->owner->part, part) : NULL;
}

const weir_config_node *weir__generation_node(const struct generation *g, const char *section,
                                              const char *name)
{
    const weir_config_node *root = weir__config_root(g->config);
    const weir_config_node *map = root ? weir_config_node_find(root, section) : NULL;

    return map && name ? weir_config_node_find(map, name) : map;
}

const weir_instance *weir__generation_replaced(const struct generation *g,
                                               const weir_instance *instance)
{
    const struct part *part =
        g->from && instance->part
            ? weir__part_find(&g->from->parts, &weir__instance_part, instance->part->key)
            : NULL;

    return part && part->object != instance ? part->object : NULL;
}
