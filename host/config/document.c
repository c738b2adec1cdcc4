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

struct anchor {
    const char *name;
    weir_config_node *node;
    bool finished;
};

struct reader {
    weir_config_context *c;
    struct source *source;
    yaml_parser_t parser;
    struct anchor *anchors;
    size_t n_anchors, anchors_room;
    size_t written; /* nodes of this file */
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

weir_config_node *weir__node_new(weir_config_context *c, weir_config_node_kind kind,
                                 struct span span)
{
    weir_config_node *node = CONFIG_NEW(c, weir_config_node);

    node->kind = kind;
    node->span = span;
    node->text = "";
    node->weight = 1;
    return node;
}

static void adopt(weir_config_node *parent, const weir_config_node *child)
{
    parent->weight += child->weight;
    if (child->height + 1 > parent->height)
        parent->height = (uint16_t)(child->height + 1);
}

void weir__node_append(weir_config_context *c, weir_config_node *list, weir_config_node *item)
{
    list->items = weir__arena_grow(&c->arena, list->items, list->count, &list->capacity,
                                   sizeof(weir_config_node *));
    list->items[list->count++] = item;
    adopt(list, item);
}

void weir__node_put(weir_config_context *c, weir_config_node *map, weir_config_node *key,
                    weir_config_node *value)
{
    size_t room = map->capacity;

    map->items = weir__arena_grow(&c->arena, map->items, map->count, &map->capacity,
                                  sizeof(weir_config_node *));
    map->keys =
        weir__arena_grow(&c->arena, map->keys, map->count, &room, sizeof(weir_config_node *));
    map->keys[map->count] = key;
    map->items[map->count++] = value;
    adopt(map, value);
    map->weight++;
}

static bool next(struct reader *r, yaml_event_t *event)
{
    struct yaml_problem problem;

    if (r->failed)
        return false;
    if (yaml_parser_parse(&r->parser, event))
        return true;
    r->failed = true;
    if (r->parser.error == YAML_MEMORY_ERROR) {
        fprintf(stderr, "weir: out of memory while reading %s\n", r->source->name);
        abort();
    }
    problem.problem = r->parser.problem ? r->parser.problem : "cannot be read";
    problem.context = r->parser.context;
    problem.line = (uint32_t)r->parser.problem_mark.line;
    problem.column = (uint32_t)r->parser.problem_mark.column;
    problem.context_line = (uint32_t)r->parser.context_mark.line;
    problem.context_column = (uint32_t)r->parser.context_mark.column;
    problem.has_context = r->parser.context != NULL;
    weir__yaml_report(r->c, r->source, &problem);
    return false;
}

static void refuse(struct reader *r, int code, struct span span, const char *message,
                   const char *label)
{
    struct diagnostic *d = weir__diagnose(r->c, code, span, "%s", message);

    weir__diagnostic_label(r->c, d, "%s", label);
    d->cut = true;
    r->failed = true;
}

static struct anchor *find_anchor(struct reader *r, const char *name)
{
    for (size_t i = r->n_anchors; i > 0; i--) {
        if (strcmp(r->anchors[i - 1].name, name) == 0)
            return &r->anchors[i - 1];
    }
    return NULL;
}

/* The anchor's place in the array; SIZE_MAX without one. */
static size_t add_anchor(struct reader *r, const yaml_char_t *name, weir_config_node *node)
{
    struct anchor *anchor;

    if (!name)
        return SIZE_MAX;
    r->anchors = weir__arena_grow(&r->c->arena, r->anchors, r->n_anchors, &r->anchors_room,
                                  sizeof *r->anchors);
    anchor = &r->anchors[r->n_anchors];
    anchor->name = weir__arena_dup(&r->c->arena, (const char *)name, strlen((const char *)name));
    anchor->node = node;
    anchor->finished = false;
    return r->n_anchors++;
}

static void finish_anchor(struct reader *r, size_t index)
{
    if (index != SIZE_MAX)
        r->anchors[index].finished = true;
}

static weir_config_node *compose_alias(struct reader *r, const yaml_event_t *event, unsigned depth)
{
    const char *name = (const char *)event->data.alias.anchor;
    struct anchor *anchor = find_anchor(r, name);
    struct span span = span_of(r, event);
    weir_config_node *node;

    if (!anchor) {
        struct suggestion s;
        struct diagnostic *d =
            weir__diagnose(r->c, CONFIG_ALIAS, span, "`*%s` names no anchor of this file", name);

        weir__suggest_begin(&s, name);
        for (size_t i = 0; i < r->n_anchors; i++)
            weir__suggest_offer(&s, r->anchors[i].name);
        weir__diagnostic_label(r->c, d, "no `&%s` before this", name);
        if (s.best)
            weir__diagnostic_help(r->c, d, "did you mean `*%s`?", s.best);
        r->failed = true;
        return NULL;
    }
    if (!anchor->finished) {
        node = weir__node_new(r->c, WEIR_NODE_MAP, span);
        node->recursive = true;
        return node;
    }
    if (depth + anchor->node->height > CONFIG_MAX_DEPTH ||
        r->written + anchor->node->weight > CONFIG_MAX_NODES) {
        refuse(r, CONFIG_TOO_LARGE, span, "this alias expands to too much",
               "more than 1,000,000 values or 64 levels");
        return NULL;
    }
    r->written += anchor->node->weight;
    return anchor->node;
}

static weir_config_node *compose_scalar(struct reader *r, const yaml_event_t *event)
{
    weir_config_node *node = weir__node_new(r->c, WEIR_NODE_SCALAR, span_of(r, event));

    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->len = event->data.scalar.length;
    node->text = weir__arena_dup(&r->c->arena, (const char *)event->data.scalar.value, node->len);
    finish_anchor(r, add_anchor(r, event->data.scalar.anchor, node));
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
    size_t anchor = add_anchor(r, start->data.sequence_start.anchor, list);
    yaml_event_t event;

    list->flow = start->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
    while (next(r, &event)) {
        weir_config_node *item;

        if (event.type == YAML_SEQUENCE_END_EVENT) {
            end_span(list, &event);
            yaml_event_delete(&event);
            break;
        }
        item = compose(r, &event, depth + 1);
        yaml_event_delete(&event);
        if (item)
            weir__node_append(r->c, list, item);
    }
    if (r->failed)
        drop_last(list);
    finish_anchor(r, anchor);
    return list;
}

static int compare_keys(const void *left, const void *right)
{
    const weir_config_node *a = *(weir_config_node *const *)left;
    const weir_config_node *b = *(weir_config_node *const *)right;
    int order = strcmp(a->text, b->text);

    if (order)
        return order;
    if (a->span.line != b->span.line)
        return a->span.line < b->span.line ? -1 : 1;
    return a->span.column < b->span.column ? -1 : a->span.column > b->span.column;
}

static void mark_duplicates(weir_config_context *c, weir_config_node *map)
{
    weir_config_node **keys;

    if (map->count < 2)
        return;
    if (map->count <= 8) {
        for (size_t i = 1; i < map->count; i++) {
            for (size_t j = 0; j < i && !map->keys[i]->duplicate_of; j++) {
                if (strcmp(map->keys[i]->text, map->keys[j]->text) == 0)
                    map->keys[i]->duplicate_of = map->keys[j];
            }
        }
        return;
    }
    keys = weir__arena_alloc(&c->arena, map->count * sizeof *keys);
    memcpy(keys, map->keys, map->count * sizeof *keys);
    qsort(keys, map->count, sizeof *keys, compare_keys);
    for (size_t i = 1; i < map->count; i++) {
        if (strcmp(keys[i]->text, keys[i - 1]->text) == 0)
            keys[i]->duplicate_of =
                keys[i - 1]->duplicate_of ? keys[i - 1]->duplicate_of : keys[i - 1];
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
        if (weir__node_index(map, from->keys[i]->text) < 0)
            weir__node_put(r->c, map, from->keys[i], from->items[i]);
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
    size_t anchor = add_anchor(r, start->data.mapping_start.anchor, map);
    weir_config_node *merged = NULL;
    yaml_event_t event;

    map->flow = start->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
    while (next(r, &event)) {
        weir_config_node *key, *value = NULL;

        if (event.type == YAML_MAPPING_END_EVENT) {
            end_span(map, &event);
            yaml_event_delete(&event);
            break;
        }
        key = compose_key(r, &event, depth);
        yaml_event_delete(&event);
        if (!key || !next(r, &event))
            break;
        value = compose(r, &event, depth + 1);
        yaml_event_delete(&event);
        if (!value)
            break;
        if (key->plain && strcmp(key->text, "<<") == 0 && !merged)
            merged = value;
        else
            weir__node_put(r->c, map, key, value);
    }
    if (r->failed)
        drop_last(map);
    mark_duplicates(r->c, map);
    if (merged)
        merge(r, map, merged);
    finish_anchor(r, anchor);
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
    if (depth > CONFIG_MAX_DEPTH || ++r->written > CONFIG_MAX_NODES) {
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
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT)
            break;
    }
    return root;
}

weir_config_node *weir__document_parse(weir_config_context *c, struct source *source)
{
    struct reader r = {.c = c, .source = source};
    weir_config_node *root;

    if (source->broken)
        return NULL;
    if (!yaml_parser_initialize(&r.parser)) {
        fprintf(stderr, "weir: out of memory while reading %s\n", source->name);
        abort();
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)source->text, source->len);
    root = read_documents(&r);
    yaml_parser_delete(&r.parser);
    if (r.failed) {
        source->broken = true;
        c->incomplete = true;
    }
    return root;
}

/* Public view of nodes. */

ptrdiff_t weir__node_index(const weir_config_node *map, const char *key)
{
    if (map && map->kind == WEIR_NODE_MAP) {
        for (size_t i = 0; i < map->count; i++) {
            if (strcmp(map->keys[i]->text, key) == 0)
                return (ptrdiff_t)i;
        }
    }
    return -1;
}

bool weir__node_is_empty(const weir_config_node *node)
{
    return node->kind == WEIR_NODE_SCALAR && node->plain && node->len == 0 && !node->expanded;
}
