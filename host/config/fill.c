/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filling structs from maps, by tables.
 *
 * A map is described by one or several parts, each a table and the struct it fills: the host's own,
 * and those that protocols add through `extend`. A key is looked up in all of them; where several
 * know it as a map, all get it. What is absent is filled from its default through the same code, so
 * that a struct is complete when this returns true. Errors are reported where they are found, and
 * the rest of the map is still parsed.
 */
#include <config.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/effective.h"

struct match {
    struct table_use *part;
    const weir_option *option;
};

const weir_option *weir__option_at(weir_config_context *c, const weir_option *const *options,
                                   size_t index)
{
    const weir_option *option = options ? options[index] : NULL;
    weir_option *copy;

    if (!option || option->size == sizeof *option)
        return option;
    copy = CONFIG_NEW(c, weir_option);
    memcpy(copy, option, option->size < sizeof *option ? option->size : sizeof *option);
    return copy;
}

void weir__frame_push(weir_config_context *c, struct frame *frame, const weir_config_node *node,
                      const weir_config_node *key, const char *kind, const char *name)
{
    memset(frame, 0, sizeof *frame);
    frame->parent = c->frame;
    frame->node = node;
    frame->key = key;
    frame->kind = kind;
    frame->name = name;
    frame->scope = c->frame ? c->frame->scope : NULL;
    c->frame = frame;
}

void weir__frame_pop(weir_config_context *c)
{
    c->frame = c->frame->parent;
}

void weir__frame_add(struct frame *frame, const weir_option *const *options, void *base,
                     const char *owner)
{
    if (!options)
        return;
    if (frame->n_parts == CONFIG_MAX_PARTS) { /* a mistake of the host, never of the file */
        fprintf(stderr, "weir: more than %d tables describe one map\n", CONFIG_MAX_PARTS);
        abort();
    }
    frame->parts[frame->n_parts].options = options;
    frame->parts[frame->n_parts].base = base;
    frame->parts[frame->n_parts++].owner = owner;
}

void weir_config_add_options(weir_config_context *c, const weir_option *const *options, void *base,
                             const char *owner)
{
    if (c->frame)
        weir__frame_add(c->frame, options, base, owner);
}

void weir_config_set_scope(weir_config_context *c, const char *scope)
{
    if (c->frame)
        c->frame->scope = weir__arena_dup(&c->arena, scope, strlen(scope));
}

static bool is_seen(const struct table_use *part, size_t index)
{
    return index < CONFIG_MAX_FIELDS && part->seen[index / 64] >> (index % 64) & 1;
}

static void mark_seen(struct table_use *part, size_t index)
{
    if (index < CONFIG_MAX_FIELDS)
        part->seen[index / 64] |= UINT64_C(1) << (index % 64);
}

/* The options of this name, marked as seen. */
static size_t find_options(weir_config_context *c, struct frame *frame, const char *name,
                           struct match *ret)
{
    size_t n = 0;

    for (size_t p = 0; p < frame->n_parts; p++) {
        const weir_option *const *options = frame->parts[p].options;
        const weir_option *option;

        for (size_t i = 0; (option = weir__option_at(c, options, i)) != NULL; i++) {
            if (option->inlined || strcmp(option->name, name) != 0)
                continue;
            mark_seen(&frame->parts[p], i);
            ret[n++] = (struct match){&frame->parts[p], option};
        }
        if (n == CONFIG_MAX_PARTS)
            break;
    }
    return n;
}

static void *field_of(const struct match *match)
{
    return (char *)match->part->base + match->option->offset;
}

static bool is_embedded(const weir_option *option)
{
    return option->type == WEIR_TYPE_MAP && option->element_size == 0;
}

/* One map that several tables describe. */
static bool fill_merged(weir_config_context *c, const struct match *matches, size_t n,
                        const weir_config_node *key, const weir_config_node *node)
{
    const weir_config_node *map = node && node->kind == WEIR_NODE_MAP ? node : NULL;
    struct effective *before;
    struct frame frame;
    bool ok;

    if (node && !map && !weir__node_is_empty(node)) {
        struct diagnostic *d =
            weir__value_error(c, CONFIG_SHAPE, node, "`%s` takes a map", matches[0].option->name);

        weir__diagnostic_label(c, d, "expected a map of keys");
        return false;
    }
    before = weir__effective_begin(c, matches[0].option, key, node);
    weir__frame_push(c, &frame, map, key, NULL, matches[0].option->name);
    for (size_t i = 0; i < n; i++)
        weir__frame_add(&frame, matches[i].option->fields, field_of(&matches[i]),
                        matches[i].part->owner);
    ok = weir__fill_map(c, &frame);
    weir__frame_pop(c);
    weir__effective_end(c, before, NULL, ok);
    return ok;
}

static void report_duplicate(weir_config_context *c, const weir_config_node *key)
{
    struct diagnostic *d = weir__diagnose(c, CONFIG_DUPLICATE, key->span,
                                          "the key `%s` stands twice in this map", key->text);

    weir__diagnostic_label(c, d, "again here");
    weir__diagnostic_also(c, d, key->duplicate_of->span, "first here");
}

/* A key that an inlined ONE_OF takes: `proxy:` in a route. 1 filled, 0 not its key, -1 reported. */
static int fill_inlined(weir_config_context *c, struct frame *frame, const weir_config_node *key,
                        const weir_config_node *value)
{
    for (size_t p = 0; p < frame->n_parts; p++) {
        struct table_use *part = &frame->parts[p];
        const weir_option *option;

        for (size_t i = 0; (option = weir__option_at(c, part->options, i)) != NULL; i++) {
            weir_choice *choice = (weir_choice *)(void *)((char *)part->base + option->offset);
            struct config_entry entry;
            const char *kind;

            if (!option->inlined || option->type != WEIR_TYPE_ONE_OF)
                continue;
            kind = weir__full_kind(c, option->kind);
            if (!weir__find_entry(c, kind, key->text, &entry))
                continue;
            if (is_seen(part, i)) {
                struct diagnostic *d =
                    weir__diagnose(c, CONFIG_CHOICE, key->span, "`%s` is a second action of %s",
                                   key->text, weir__frame_name(c, frame));

                weir__diagnostic_label(c, d, "only one of them can be done");
                weir__diagnostic_also(c, d, weir__position_find(c, choice), "the first");
                return -1;
            }
            mark_seen(part, i);
            if (entry.planned) {
                weir__not_built(c, key->span, key->text);
                return -1;
            }
            weir__position_record(c, choice, key, key);
            return weir__fill_entry(c, kind, &entry, key, value, choice) ? 1 : -1;
        }
    }
    return 0;
}

static bool fill_pair(weir_config_context *c, struct frame *frame, const weir_config_node *key,
                      const weir_config_node *value)
{
    struct match matches[CONFIG_MAX_PARTS];
    const weir_option *option;
    size_t n;
    int inlined;

    if (strncmp(key->text, "x-", 2) == 0)
        return true;
    if (!frame->parent)
        c->section = key->text;
    n = find_options(c, frame, key->text, matches);
    if (n > 0 && matches[0].option->secret && key->duplicate_of)
        weir__redact(c, (weir_config_node *)value);
    if (key->duplicate_of) {
        report_duplicate(c, key);
        return false;
    }
    if (n == 0) {
        inlined = fill_inlined(c, frame, key, value);
        if (inlined == 0)
            weir__unknown_key(c, frame, key);
        return inlined > 0;
    }
    option = matches[0].option;
    if (option->planned) {
        weir__not_built(c, key->span, key->text);
        return false;
    }
    if (option->deprecated) {
        struct diagnostic *d = weir__diagnose(c, CONFIG_DEPRECATED, key->span,
                                              "`%s` will go in a later version", key->text);
        if (option->help)
            weir__diagnostic_help(c, d, "%s", option->help);
    }
    if (n > 1 && is_embedded(option))
        return fill_merged(c, matches, n, key, value);
    return weir__fill_value(c, option, key, value, field_of(&matches[0]));
}

static void report_missing(weir_config_context *c, struct frame *frame, const weir_option *option)
{
    struct diagnostic *d;

    if (c->incomplete)
        return;
    d = weir__diagnose(c, CONFIG_MISSING_KEY, weir__frame_span(c, frame), "%s needs `%s`",
                       frame->parent ? weir__frame_name(c, frame) : "the configuration",
                       option->name);
    weir__diagnostic_label(c, d, "`%s` is missing", option->name);
    if (option->example)
        weir__diagnostic_help(c, d, "for example: %s: %s", option->name, option->example);
}

static void report_no_choice(weir_config_context *c, struct frame *frame, const weir_option *option)
{
    const char *kind = weir__full_kind(c, option->kind), *names = "", *name;
    struct diagnostic *d;

    if (c->incomplete)
        return;
    for (size_t i = 0; c->lookup.name_at && (name = c->lookup.name_at(c->lookup.arg, kind, i)); i++)
        names = weir__arena_format(&c->arena, i == 0 ? "%s%s" : "%s, %s", names, name);
    d = weir__diagnose(c, CONFIG_CHOICE, weir__frame_span(c, frame), "%s does nothing",
                       weir__frame_name(c, frame));
    weir__diagnostic_label(c, d, "%s", *names ? "one of its actions is missing" : "no action");
    if (*names)
        weir__diagnostic_help(c, d, "give it one of: %s", names);
}

static bool fill_default(weir_config_context *c, const weir_option *option, void *field)
{
    struct span none = {NULL, 0, 0, 0, 0};
    weir_config_node *node;

    if (!strpbrk(option->default_text, "[]{}\"'&*|>#\n")) {
        node = weir__node_new(c, WEIR_NODE_SCALAR, none);
        node->text = option->default_text;
        node->len = strlen(option->default_text);
    } else {
        struct source *source =
            weir__source_text(c, "default", option->default_text, ORIGIN_DEFAULT);

        node = source ? weir__document_parse(c, source) : NULL;
        if (!node)
            return false;
    }
    return weir__fill_value(c, option, NULL, node, field);
}

static bool fill_absent(weir_config_context *c, struct frame *frame, struct table_use *part,
                        const weir_option *option)
{
    void *field = (char *)part->base + option->offset;
    struct match match = {part, option};

    if (option->planned)
        return true;
    if (option->inlined && option->type == WEIR_TYPE_ONE_OF) {
        if (option->optional || frame->excused)
            return true;
        report_no_choice(c, frame, option);
        return false;
    }
    if (option->type == WEIR_TYPE_ANY) {
        if (!option->optional)
            report_missing(c, frame, option);
        return option->optional;
    }
    weir__position_record(c, field, NULL, NULL);
    if (option->default_text)
        return fill_default(c, option, field);
    if (option->optional)
        return true;
    if (option->type == WEIR_TYPE_MAP)
        return option->element_size > 0 || fill_merged(c, &match, 1, NULL, NULL);
    if ((option->type == WEIR_TYPE_LIST || option->type == WEIR_TYPE_NAMED ||
         option->type == WEIR_TYPE_ANY_OF) &&
        !option->required)
        return true;
    report_missing(c, frame, option);
    return false;
}

bool weir__fill_map(weir_config_context *c, struct frame *frame)
{
    const weir_config_node *map = frame->node;
    const weir_option *option;
    bool ok = true;

    for (size_t i = 0; map && i < map->count; i++)
        ok = fill_pair(c, frame, map->keys[i], map->items[i]) && ok;
    for (size_t p = 0; p < frame->n_parts; p++) {
        struct table_use *part = &frame->parts[p];

        for (size_t i = 0; (option = weir__option_at(c, part->options, i)) != NULL; i++) {
            if (!is_seen(part, i))
                ok = fill_absent(c, frame, part, option) && ok;
        }
    }
    return ok;
}

static const char *last_word(const char *kind)
{
    const char *dot = kind ? strrchr(kind, '.') : NULL;

    return dot ? dot + 1 : kind;
}

const char *weir__frame_name(weir_config_context *c, const struct frame *frame)
{
    const char *kind = last_word(frame->kind);

    if (kind && frame->name && *frame->name)
        return weir__arena_format(&c->arena, "%s `%s`", kind, frame->name);
    if (kind)
        return weir__arena_format(&c->arena, "this %s", kind);
    if (frame->name && *frame->name)
        return weir__arena_format(&c->arena, "`%s`", frame->name);
    return frame->parent ? "this map" : "the top level";
}

struct span weir__frame_span(weir_config_context *c, const struct frame *frame)
{
    for (; frame; frame = frame->parent) {
        if (frame->key && frame->key->span.source)
            return frame->key->span;
        if (frame->node && frame->node->span.source) {
            const weir_config_node *node = frame->node;

            if (!frame->parent && c->n_sources > 0)
                break;
            return node->kind == WEIR_NODE_MAP && node->count > 0 && !node->flow
                       ? node->keys[0]->span
                       : node->span;
        }
    }
    return c->n_sources > 0 ? weir__span_file(c->sources[0]) : weir__span_file(NULL);
}
