/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file: libyaml's events into our tree of nodes.
 *
 * Aliases share the node of their anchor. What a hostile file could make of that is bounded by two
 * numbers that each node carries: its height, and its weight, which counts an alias as often as it
 * is used. Merge keys `<<` are resolved when their map ends. Duplicate keys and aliases of something
 * unfinished are only marked here, and reported by whoever reads the map: under an unused `x-` key
 * nobody does.
 *
 * After a syntax error the tree holds what was complete before it.
 */
#include <config.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "host/config/internal.h"

struct reader {
    weir_config_context *c;
    struct source *source;
    yaml_parser_t *parser;     /* the context knows it too, for the guard */
    weir_config_node *anchors; /* a map: the last node of each name */
    bool failed;
};

static weir_config_node *compose(struct reader *r, yaml_event_t *event, unsigned depth);

static struct span span_of(const struct reader *r, const yaml_event_t *event)
{
    struct span span = {r->source, (uint32_t)event->start_mark.line,
                        (uint32_t)event->start_mark.column, (uint32_t)event->end_mark.line,
                        (uint32_t)event->end_mark.column};

    return span;
}

static bool next(struct reader *r, yaml_event_t *event)
{
    struct yaml_problem problem;

    if (r->failed)
        return false;
    if (yaml_parser_parse(r->parser, event)) {
        r->c->events[r->c->n_events++] = *event;
        return true;
    }
    r->failed = true;
    if (r->parser->error == YAML_MEMORY_ERROR)
        weir__arena_exhausted(&r->c->arena, 0);
    problem.problem = r->parser->problem ? r->parser->problem : "cannot be read";
    problem.context = r->parser->context;
    problem.line = (uint32_t)r->parser->problem_mark.line;
    problem.column = (uint32_t)r->parser->problem_mark.column;
    problem.context_line = (uint32_t)r->parser->context_mark.line;
    problem.context_column = (uint32_t)r->parser->context_mark.column;
    problem.has_context = r->parser->context != NULL;
    weir__yaml_report(r->c, r->source, &problem);
    return false;
}

static void drop(struct reader *r, yaml_event_t *event)
{
    r->c->n_events--;
    yaml_event_delete(event);
}

static void refuse(struct reader *r, int code, struct span span, const char *message,
                   const char *label)
{
    struct diagnostic *d = weir__diagnose(r->c, code, span, "%s", message);

    weir__diagnostic_label(r->c, d, "%s", label);
    d->cut = true;
    r->failed = true;
}

/* What `*name` stands for from here on, up to the next anchor of that name. */
static void add_anchor(struct reader *r, const yaml_char_t *name, weir_config_node *node)
{
    weir_config_node *key;
    ptrdiff_t at;

    if (!name)
        return;
    node->open = true;
    at = weir__node_index(r->anchors, (const char *)name);
    if (at >= 0) {
        r->anchors->items[at] = node;
        return;
    }
    key = weir__node_new(r->c, WEIR_NODE_SCALAR, node->span);
    key->len = strlen((const char *)name);
    key->text = weir__arena_dup(&r->c->arena, (const char *)name, key->len);
    weir__node_put(r->c, r->anchors, key, node);
}

static weir_config_node *compose_alias(struct reader *r, const yaml_event_t *event, unsigned depth)
{
    const char *name = (const char *)event->data.alias.anchor;
    ptrdiff_t at = weir__node_index(r->anchors, name);
    struct span span = span_of(r, event);
    weir_config_node *node;

    if (at < 0) {
        struct suggestion s;
        struct diagnostic *d =
            weir__diagnose(r->c, CONFIG_ALIAS, span, "`*%s` names no anchor of this file", name);

        weir__suggest_begin(&s, name);
        for (size_t i = 0; i < r->anchors->count; i++)
            weir__suggest_offer(&s, r->anchors->keys[i]->text);
        weir__diagnostic_label(r->c, d, "no `&%s` before this", name);
        if (s.best)
            weir__diagnostic_help(r->c, d, "did you mean `*%s`?", s.best);
        r->failed = true;
        return NULL;
    }
    if (r->anchors->items[at]->open) {
        node = weir__node_new(r->c, WEIR_NODE_MAP, span);
        node->recursive = true;
        return node;
    }
    node = r->anchors->items[at];
    if (depth + node->height > CONFIG_MAX_DEPTH ||
        r->c->written + node->weight > CONFIG_MAX_NODES) {
        refuse(r, CONFIG_TOO_LARGE, span, "this alias expands to too much",
               "more than 1,000,000 values or 64 levels");
        return NULL;
    }
    r->c->written += node->weight;
    return node;
}

static weir_config_node *compose_scalar(struct reader *r, const yaml_event_t *event)
{
    weir_config_node *node = weir__node_new(r->c, WEIR_NODE_SCALAR, span_of(r, event));

    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->len = event->data.scalar.length;
    node->text = weir__arena_dup(&r->c->arena, (const char *)event->data.scalar.value, node->len);
    add_anchor(r, event->data.scalar.anchor, node);
    node->open = false;
    return node;
}

static void end_span(weir_config_node *node, const yaml_event_t *event)
{
    node->span.end_line = (uint32_t)event->end_mark.line;
    node->span.end_column = (uint32_t)event->end_mark.column;
}

/* The value that a syntax error follows is not what was meant: "info format" for want of a colon. */
static void drop_last(weir_config_node *parent)
{
    if (parent->count > 0 && parent->items[parent->count - 1]->kind == WEIR_NODE_SCALAR)
        parent->count--;
}

static weir_config_node *compose_list(struct reader *r, const yaml_event_t *start, unsigned depth)
{
    weir_config_node *list = weir__node_new(r->c, WEIR_NODE_LIST, span_of(r, start));
    yaml_event_t event;

    add_anchor(r, start->data.sequence_start.anchor, list);
    list->flow = start->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
    while (next(r, &event)) {
        weir_config_node *item;

        if (event.type == YAML_SEQUENCE_END_EVENT) {
            end_span(list, &event);
            drop(r, &event);
            break;
        }
        item = compose(r, &event, depth + 1);
        drop(r, &event);
        if (item)
            weir__node_append(r->c, list, item);
    }
    if (r->failed)
        drop_last(list);
    list->open = false;
    return list;
}

static void mark_duplicates(weir_config_node *map)
{
    for (size_t i = 1; i < map->count; i++) {
        const weir_config_node *first = map->keys[weir__node_index(map, map->keys[i]->text)];

        if (first != map->keys[i])
            map->keys[i]->duplicate_of = first;
    }
}

static void merge_one(struct reader *r, weir_config_node *map, const weir_config_node *from)
{
    if (from->kind != WEIR_NODE_MAP || from->recursive) {
        struct diagnostic *d =
            weir__diagnose(r->c, CONFIG_MERGE, from->span, "`<<` takes a map or a list of maps");

        weir__diagnostic_label(r->c, d, "%s",
                               from->recursive ? "this map contains itself" : "not a map");
        return;
    }
    for (size_t i = 0; i < from->count; i++) {
        weir_config_node *key = from->keys[i];
        ptrdiff_t at = weir__node_index(map, key->text);

        /* What stands twice in there does so here. */
        if (at < 0 || (key->duplicate_of && map->keys[at] == key->duplicate_of))
            weir__node_put(r->c, map, key, from->items[i]);
    }
}

static void merge(struct reader *r, weir_config_node *map, const weir_config_node *value)
{
    if (value->kind != WEIR_NODE_LIST) {
        merge_one(r, map, value);
        return;
    }
    for (size_t i = 0; i < value->count; i++)
        merge_one(r, map, value->items[i]);
}

/* A key that is not a scalar, or NULL after an error. */
static weir_config_node *compose_key(struct reader *r, yaml_event_t *event, unsigned depth)
{
    weir_config_node *key = compose(r, event, depth + 1);

    if (key && key->kind != WEIR_NODE_SCALAR) {
        struct span span = key->span;

        if (key->flow && key->count > 0 && key->kind == WEIR_NODE_MAP && key->keys[0]->len > 0)
            refuse(r, CONFIG_UNSUPPORTED, span, "a map cannot be a key",
                   "put it in quotes if it is meant as text");
        else
            refuse(r, CONFIG_UNSUPPORTED, span, "a list or map cannot be a key",
                   "put it in quotes if it is meant as text");
        return NULL;
    }
    return key;
}

static weir_config_node *compose_map(struct reader *r, const yaml_event_t *start, unsigned depth)
{
    weir_config_node *map = weir__node_new(r->c, WEIR_NODE_MAP, span_of(r, start));
    weir_config_node *merged = NULL;
    yaml_event_t event;

    add_anchor(r, start->data.mapping_start.anchor, map);
    map->flow = start->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
    while (next(r, &event)) {
        weir_config_node *key, *value = NULL;

        if (event.type == YAML_MAPPING_END_EVENT) {
            end_span(map, &event);
            drop(r, &event);
            break;
        }
        key = compose_key(r, &event, depth);
        drop(r, &event);
        if (!key || !next(r, &event))
            break;
        value = compose(r, &event, depth + 1);
        drop(r, &event);
        if (!value)
            break;
        if (key->plain && strcmp(key->text, "<<") == 0 && !merged)
            merged = value;
        else
            weir__node_put(r->c, map, key, value);
    }
    if (r->failed)
        drop_last(map);
    mark_duplicates(map);
    if (merged)
        merge(r, map, merged);
    map->open = false;
    return map;
}

static bool check_tag(struct reader *r, const yaml_event_t *event)
{
    const yaml_char_t *tag =
        event->type == YAML_SCALAR_EVENT           ? event->data.scalar.tag
        : event->type == YAML_SEQUENCE_START_EVENT ? event->data.sequence_start.tag
        : event->type == YAML_MAPPING_START_EVENT  ? event->data.mapping_start.tag
                                                   : NULL;
    struct span span = span_of(r, event);

    if (!tag)
        return true;
    span.end_line = span.line;
    span.end_column = span.column + 1;
    refuse(r, CONFIG_UNSUPPORTED, span, "YAML tags (`!…`) are not used in weir's configuration",
           "put the value in quotes if the `!` belongs to it");
    return false;
}

static weir_config_node *compose(struct reader *r, yaml_event_t *event, unsigned depth)
{
    if (!check_tag(r, event))
        return NULL;
    if (depth > CONFIG_MAX_DEPTH || ++r->c->written > CONFIG_MAX_NODES) {
        refuse(r, CONFIG_TOO_LARGE, span_of(r, event),
               depth > CONFIG_MAX_DEPTH ? "nested more than 64 levels deep"
                                        : "more than 1,000,000 values",
               "here");
        return NULL;
    }
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return compose_alias(r, event, depth);
    case YAML_SCALAR_EVENT:
        return compose_scalar(r, event);
    case YAML_SEQUENCE_START_EVENT:
        return compose_list(r, event, depth);
    case YAML_MAPPING_START_EVENT:
        return compose_map(r, event, depth);
    default:
        return NULL;
    }
}

static weir_config_node *read_documents(struct reader *r)
{
    weir_config_node *root = NULL;
    unsigned documents = 0;
    yaml_event_t event;

    while (next(r, &event)) {
        yaml_event_type_t type = event.type;

        if (type == YAML_DOCUMENT_START_EVENT && ++documents == 2)
            refuse(r, CONFIG_UNSUPPORTED, span_of(r, &event), "a second document begins here",
                   "one file holds one document");
        else if (type != YAML_STREAM_START_EVENT && type != YAML_STREAM_END_EVENT &&
                 type != YAML_DOCUMENT_START_EVENT && type != YAML_DOCUMENT_END_EVENT)
            root = compose(r, &event, 1);
        drop(r, &event);
        if (type == YAML_STREAM_END_EVENT)
            break;
    }
    return root;
}

weir_config_node *weir__document_parse(weir_config_context *c, struct source *source)
{
    struct reader r = {.c = c, .source = source};
    yaml_parser_t *parser;
    weir_config_node *root;

    if (source->broken)
        return NULL;
    r.anchors = weir__node_new(c, WEIR_NODE_MAP, weir__span_file(source));
    if (!c->events) /* each level holds what began it and what is being read */
        c->events = weir__arena_alloc(&c->arena, (2 * CONFIG_MAX_DEPTH + 8) * sizeof *c->events);
    parser = CONFIG_NEW(c, yaml_parser_t);
    if (!yaml_parser_initialize(parser))
        weir__arena_exhausted(&c->arena, 0);
    c->parser = r.parser = parser;
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(parser, (const unsigned char *)source->text, source->len);
    root = read_documents(&r);
    c->parser = NULL;
    yaml_parser_delete(parser);
    if (r.failed) {
        source->broken = true;
        c->incomplete = true;
    }
    return root;
}
