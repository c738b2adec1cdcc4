/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration as a whole: made, read, parsed by tables, kept as long as a generation needs it.
 */
#include <config.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "host/config/effective.h"

weir_error *weir__config_new(const struct config_settings *settings, weir_config_context **ret)
{
    weir_config_context *c = calloc(1, sizeof *c);

    if (!c)
        return weir_raise(WEIR_ENOMEM, "configuration");
    atomic_init(&c->refs, 1);
    pthread_mutex_init(&c->positions_lock, NULL);
    c->settings = *settings;
    c->arena.limit = settings->memory_limit ? settings->memory_limit : CONFIG_MAX_MEMORY;
    *ret = c;
    return NULL;
}

weir_config_context *weir__config_ref(weir_config_context *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void weir__config_unref(weir_config_context *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    weir__arena_done(&c->arena);
    pthread_mutex_destroy(&c->positions_lock);
    free(c);
}

bool weir__config_guard(weir_config_context *c, void (*fn)(void *arg), void *arg)
{
    const struct checked *checking = c->checking;
    jmp_buf here, *outer = c->arena.escape;

    if (setjmp(here) == 0) {
        c->arena.escape = &here;
        fn(arg);
        c->arena.escape = outer;
        return !c->memory_problem;
    }
    c->arena.escape = outer;
    while (c->n_events > 0)
        yaml_event_delete(&c->events[--c->n_events]);
    if (c->parser)
        yaml_parser_delete(c->parser);
    c->parser = NULL;
    for (; c->found; c->found = c->found->outer)
        globfree(&c->found->glob);
    c->frame = NULL;
    c->effective = NULL;
    c->checking = checking;
    if (!c->memory_problem)
        c->n_errors++;
    c->memory_problem = "out of memory while the configuration was read";
    if (c->arena.total >= c->arena.limit / 8 * 7)
        c->memory_problem = "the configuration needs more memory than it may have";
    return false;
}

void weir__config_set_lookup(weir_config_context *c, const struct config_lookup *lookup)
{
    c->lookup = *lookup;
}

void *weir__config_lookup_arg(const weir_config_context *c)
{
    return c->lookup.arg;
}

static void check_version(weir_config_context *c, const struct source *main_source)
{
    ptrdiff_t at = weir__node_index(c->root, "version");
    const weir_config_node *node = at < 0 ? NULL : c->root->items[at];
    struct diagnostic *d;
    char *end;
    long value;

    if (!node)
        return;
    if (c->root->keys[at]->span.source != main_source &&
        c->root->keys[at]->span.source->origin == ORIGIN_FILE) {
        d = weir__diagnose(c, CONFIG_VERSION, c->root->keys[at]->span,
                           "`version` must stand in the main file too");
        weir__diagnostic_label(c, d, "here it is in an included one");
        return;
    }
    value = strtol(node->text, &end, 10);
    if (node->kind == WEIR_NODE_SCALAR && node->len && !*end && value == c->settings.version)
        return;
    d = weir__diagnose(c, CONFIG_VERSION, node->span, "version `%s` of the format is not known",
                       node->text);
    weir__diagnostic_label(c, d, "this weir understands %lld", (long long)c->settings.version);
}

bool weir__config_load(weir_config_context *c)
{
    struct source *source;

    if (c->settings.text) {
        source = weir__source_text(c, c->settings.path ? c->settings.path : "-", c->settings.text,
                                   ORIGIN_FILE);
        c->n_files++;
    } else {
        source = weir__source_read(c, c->settings.path, c->settings.path, NULL);
        c->no_main = !source;
    }
    if (!source)
        return false;
    c->root = weir__include_all(c, source);
    for (size_t i = 0; i < c->settings.n_sets; i++)
        weir__overlay_apply(
            c, c->settings.sets[i],
            c->settings.set_names && c->settings.set_names[i] ? c->settings.set_names[i] : "--set");
    if (!c->root && source->broken)
        return false;
    if (!c->root)
        c->root = weir__node_new(c, WEIR_NODE_MAP, weir__span_file(source));
    if (c->settings.version)
        check_version(c, source);
    return true;
}

const weir_config_node *weir__config_root(const weir_config_context *c)
{
    return c->root;
}

bool weir__config_parse(weir_config_context *c, const weir_config_node *map,
                        const weir_option *const *options, void *base)
{
    struct frame frame;
    bool ok;

    if (map && map->kind != WEIR_NODE_MAP && !weir__node_is_empty(map)) {
        weir__value_error(c, CONFIG_SHAPE, map, "a map of keys is expected here");
        return false;
    }
    if (c->settings.trace && map && map == c->root) {
        if (!c->effective_root)
            c->effective_root = CONFIG_NEW(c, struct effective);
        c->effective = c->effective_root;
    }
    weir__frame_push(c, &frame, map && map->kind == WEIR_NODE_MAP ? map : NULL, NULL, NULL, NULL);
    weir__frame_add(&frame, options, base, NULL);
    ok = weir__fill_map(c, &frame);
    c->effective = NULL;
    weir__frame_pop(c);
    return ok;
}

bool weir__config_parse_key(weir_config_context *c, const weir_config_node *map,
                            const weir_option *const *options, const char *key, void *base)
{
    weir_config_node *only = weir__node_new(c, WEIR_NODE_MAP, weir__span_file(NULL));
    const weir_option *picked[2] = {NULL, NULL};
    ptrdiff_t at = weir__node_index(map, key);

    for (size_t i = 0; options[i]; i++) {
        if (strcmp(options[i]->name, key) == 0)
            picked[0] = options[i];
    }
    if (!picked[0])
        return true;
    if (at >= 0)
        weir__node_put(c, only, map->keys[at], map->items[at]);
    return weir__config_parse(c, only, picked, base);
}

bool weir_config_parse(weir_config_context *c, const weir_config_node *node,
                       const weir_option *option, void *field)
{
    struct effective *effective = c->effective;
    bool ok;

    c->effective = NULL; /* what a function looks at is not what is filled */
    ok = weir__fill_value(c, option, NULL, node, field);
    c->effective = effective;
    return ok;
}

void weir__config_check(weir_config_context *c, void (*check)(weir_config_context *, const void *),
                        const void *config, const void *field)
{
    struct checked checked = {c->checking, field};

    c->checking = &checked;
    check(c, config);
    c->checking = checked.outer;
}

size_t weir__config_choice_count(const weir_config_context *c)
{
    return c->n_choices;
}

const struct config_choice *weir__config_choice_at(const weir_config_context *c, size_t index)
{
    return index < c->n_choices ? &c->choices[index] : NULL;
}

void *weir_config_alloc(weir_config_context *c, size_t size)
{
    return weir__arena_alloc(&c->arena, size);
}

const char *weir_config_strdup(weir_config_context *c, const char *text)
{
    return weir__arena_dup(&c->arena, text, strlen(text));
}

/* Reading nodes. */

weir_config_node_kind weir_config_node_get_kind(const weir_config_node *node)
{
    return node->kind;
}

const char *weir_config_node_text(const weir_config_node *node)
{
    return node->kind == WEIR_NODE_SCALAR ? node->text : "";
}

size_t weir_config_node_count(const weir_config_node *node)
{
    return node->kind == WEIR_NODE_SCALAR || node->recursive ? 0 : node->count;
}

const weir_config_node *weir_config_node_item(const weir_config_node *node, size_t index)
{
    return index < weir_config_node_count(node) ? node->items[index] : NULL;
}

const weir_config_node *weir_config_node_key(const weir_config_node *node, size_t index)
{
    return node->kind == WEIR_NODE_MAP && index < node->count ? node->keys[index] : NULL;
}

const weir_config_node *weir_config_node_find(const weir_config_node *node, const char *key)
{
    ptrdiff_t at = weir__node_index(node, key);

    return at < 0 ? NULL : node->items[at];
}
