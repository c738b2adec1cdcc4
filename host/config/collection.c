/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of every shape: single ones, maps, lists and named maps, and the shorthands between them.
 *
 * A list of one may be written as its element. A map may be written as the value of one of its
 * fields, which the option names (`shorthand`) or the field says of itself (`primary`), or as text
 * that a function understands (`parse`). A key with nothing behind it is an empty map or list.
 */
#include <config.h>
#include <string.h>

#include "host/config/effective.h"

static const char *shape_name(const weir_config_node *node)
{
    return node->kind == WEIR_NODE_MAP    ? "a map"
           : node->kind == WEIR_NODE_LIST ? "a list"
                                          : "a single value";
}

static bool refuse_shape(weir_config_context *c, const weir_option *option,
                         const weir_config_node *key, const weir_config_node *node,
                         const char *wanted)
{
    bool at_key = key && key->span.source && node->kind != WEIR_NODE_SCALAR && !node->flow;
    const char *name = key ? key->text : option->name;
    struct diagnostic *d =
        weir__diagnose(c, CONFIG_SHAPE, at_key ? key->span : node->span,
                       *name ? "`%s` takes %s, not %s" : "%s%s is expected, not %s", name, wanted,
                       shape_name(node));

    weir__diagnostic_label(c, d, "expected %s", wanted);
    return false;
}

static bool refuse_empty(weir_config_context *c, const weir_option *option,
                         const weir_config_node *key, const weir_config_node *node)
{
    const char *name = key ? key->text : option->name;
    struct diagnostic *d =
        weir__diagnose(c, CONFIG_NO_VALUE, key && key->span.source ? key->span : node->span,
                       "`%s` has nothing behind it", *name ? name : "-");

    weir__diagnostic_label(c, d, "a value is missing");
    return false;
}

static bool refuse_recursion(weir_config_context *c, const weir_config_node *node)
{
    struct diagnostic *d = weir__value_error(c, CONFIG_ALIAS, node, "this alias contains itself");

    weir__diagnostic_label(c, d, "its anchor is not finished here");
    return false;
}

/* The field that a value which is not a map sets; NULL when there is none. */
static const weir_option *primary_of(weir_config_context *c, const weir_option *option,
                                     const weir_option *const *fields, size_t *ret_index)
{
    const weir_option *field;

    for (size_t i = 0; (field = weir__option_at(c, fields, i)) != NULL; i++) {
        if (option->shorthand ? strcmp(field->name, option->shorthand) == 0 : field->primary) {
            *ret_index = i;
            return field;
        }
    }
    return NULL;
}

/* A struct from a map, a shorthand, or nothing. */
static bool fill_struct(weir_config_context *c, const weir_option *option,
                        const weir_config_node *key, const weir_config_node *node, void *base,
                        const char *name)
{
    const weir_config_node *map = node->kind == WEIR_NODE_MAP ? node : NULL;
    const weir_option *primary;
    struct frame frame;
    size_t index = 0;
    bool ok = true;

    primary = primary_of(c, option, option->fields, &index);
    if (weir__node_is_empty(node) && (option->parse || primary) && !name)
        return refuse_empty(c, option, key, node);
    if (!map && !weir__node_is_empty(node) && option->parse) {
        if (node->kind == WEIR_NODE_SCALAR && !weir__expand(c, (weir_config_node *)node, false))
            return false;
        return option->parse(c, node, base);
    }
    if (!map && !weir__node_is_empty(node) && !primary)
        return refuse_shape(c, option, key, node, "a map of keys");
    weir__frame_push(c, &frame, map, key, option->kind, name ? name : option->name);
    weir__frame_add(&frame, option->fields, base, NULL);
    if (!map && !weir__node_is_empty(node)) {
        frame.parts[0].seen[index / 64] |= UINT64_C(1) << (index % 64);
        ok = weir__fill_value(c, primary, key, node, (char *)base + primary->offset);
    }
    if (option->extend)
        option->extend(c, node, base);
    ok = weir__fill_map(c, &frame) && ok;
    weir__frame_pop(c);
    return ok;
}

static bool fill_map_option(weir_config_context *c, const weir_option *option,
                            const weir_config_node *key, const weir_config_node *node, void *field)
{
    void *base = field;

    if (option->element_size > 0) {
        base = weir__arena_alloc(&c->arena, option->element_size);
        memcpy(field, &base, sizeof base);
        weir__position_record(c, base, key, node);
    }
    return fill_struct(c, option, key, node, base, NULL);
}

static bool check_count(weir_config_context *c, const weir_option *option,
                        const weir_config_node *key, const weir_config_node *node, size_t count)
{
    struct span span = key && key->span.source ? key->span : node->span;
    struct diagnostic *d;

    if (count == 0 && option->required) {
        if (c->incomplete)
            return false;
        d = weir__diagnose(c, CONFIG_MISSING_KEY, span, "`%s` is empty", option->name);
        weir__diagnostic_label(c, d, "at least one is needed");
        return false;
    }
    if (option->max > 0 && count > (uint64_t)option->max) {
        d = weir__diagnose(c, CONFIG_VALUE, span, "`%s` has %zu elements", option->name, count);
        weir__diagnostic_label(c, d, "at most %lld", (long long)option->max);
        return false;
    }
    return true;
}

/* Options of tables last as long as the trace; one on the stack does not. */
const weir_option *weir__option_keep(weir_config_context *c, const weir_option *on_stack)
{
    weir_option *copy;

    if (!c->effective)
        return on_stack;
    copy = CONFIG_NEW(c, weir_option);
    *copy = *on_stack;
    return copy;
}

static bool fill_list(weir_config_context *c, const weir_option *option,
                      const weir_config_node *key, const weir_config_node *node, weir_array *ret)
{
    bool many = node->kind == WEIR_NODE_LIST, ok = true;
    size_t count = many ? node->count : weir__node_is_empty(node) ? 0 : 1;
    char *items = weir__arena_alloc(&c->arena, count * option->element_size);
    weir_option named = *option->element;
    const weir_option *kept;

    if (!check_count(c, option, key, node, count))
        return false;
    named.kind = named.kind ? named.kind : option->kind;
    if (!many)
        named.name = option->name;
    kept = weir__option_keep(c, &named);
    for (size_t i = 0; i < count; i++) {
        const weir_config_node *item = many ? node->items[i] : node;

        if (many && weir__node_is_empty(item))
            ok = refuse_empty(c, option, NULL, item);
        else
            ok = weir__fill_value(c, kept, many ? NULL : key, item,
                                  items + i * option->element_size + named.offset) &&
                 ok;
    }
    ret->items = items;
    ret->count = count;
    return ok;
}

static bool check_name(weir_config_context *c, const weir_option *option,
                       const weir_config_node *key)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    struct diagnostic *d;

    if (option->any_name ? *key->text != '\0'
                         : *key->text >= 'a' && *key->text <= 'z' &&
                               strspn(key->text, allowed) == strlen(key->text))
        return true;
    d = weir__diagnose(c, CONFIG_NAME, key->span, "`%s` is not a name", key->text);
    weir__diagnostic_label(c, d, "expected a-z first, then a-z, 0-9, `_` and `-`");
    return false;
}

static bool fill_named_entry(weir_config_context *c, const weir_option *option,
                             const weir_config_node *key, const weir_config_node *value,
                             void *entry)
{
    const char *name = key->text;
    struct effective *before;
    bool ok;

    memcpy(entry, &name, sizeof name);
    if (key->duplicate_of) {
        struct diagnostic *d = weir__diagnose(c, CONFIG_DUPLICATE, key->span,
                                              "`%s` stands twice in `%s`", name, option->name);

        weir__diagnostic_label(c, d, "again here");
        weir__diagnostic_also(c, d, key->duplicate_of->span, "first here");
        return false;
    }
    if (option->kind)
        weir__config_define(c, option->kind, name, entry);
    ok = check_name(c, option, key);
    weir__position_record(c, entry, key, key);
    if (value->recursive)
        return refuse_recursion(c, value);
    if (!option->element) {
        weir_option as_map = *option;

        as_map.type = WEIR_TYPE_MAP;
        as_map.element_size = 0;
        as_map.name = name;
        as_map.kind = option->kind ? option->kind : NULL;
        before = weir__effective_begin(c, weir__option_keep(c, &as_map), key, value);
        ok = fill_struct(c, &as_map, key, value, entry, name) && ok;
        weir__effective_end(c, before, entry, ok);
        return ok;
    }
    return weir__fill_value(c, option->element, key, value,
                            (char *)entry + option->element->offset) &&
           ok;
}

static bool fill_named(weir_config_context *c, const weir_option *option,
                       const weir_config_node *key, const weir_config_node *node, weir_array *ret)
{
    const weir_config_node *map = node->kind == WEIR_NODE_MAP ? node : NULL;
    size_t count = 0;
    bool ok = true;
    char *items;

    if (!map && !weir__node_is_empty(node))
        return refuse_shape(c, option, key, node, "a map of names");
    items = weir__arena_alloc(&c->arena, (map ? map->count : 0) * option->element_size);
    for (size_t i = 0; map && i < map->count; i++) {
        /* Where any name goes, as those of headers do, `x-…` is one. */
        if (!option->any_name && strncmp(map->keys[i]->text, "x-", 2) == 0)
            continue;
        ok = fill_named_entry(c, option, map->keys[i], map->items[i],
                              items + count++ * option->element_size) &&
             ok;
    }
    ret->items = items;
    ret->count = count;
    return check_count(c, option, key, node, count) && ok;
}

static bool is_container(weir_option_type type)
{
    return type == WEIR_TYPE_MAP || type == WEIR_TYPE_LIST || type == WEIR_TYPE_NAMED ||
           type == WEIR_TYPE_ONE_OF || type == WEIR_TYPE_ANY_OF || type == WEIR_TYPE_ANY;
}

static bool fill_single(weir_config_context *c, const weir_option *option,
                        const weir_config_node *key, const weir_config_node *node, void *field)
{
    bool ok;
    size_t before = c->n_errors;

    if (!weir__expand(c, (weir_config_node *)node, option->type == WEIR_TYPE_TEMPLATE))
        return false;
    if (option->type == WEIR_TYPE_CUSTOM)
        return option->parse(c, node, field);
    if (node->kind != WEIR_NODE_SCALAR)
        return refuse_shape(c, option, key, node, "a single value");
    if (weir__node_is_empty(node))
        return refuse_empty(c, option, key, node);
    ok = weir__fill_scalar(c, option, node, field);
    if (ok && option->parse)
        return option->parse(c, node, field);
    if (!ok && option->help && c->n_errors > before && c->last)
        weir__diagnostic_help(c, c->last, "%s", option->help);
    return ok;
}

static bool fill_container(weir_config_context *c, const weir_option *option,
                           const weir_config_node *key, const weir_config_node *node, void *field)
{
    switch (option->type) {
    case WEIR_TYPE_MAP:
        return fill_map_option(c, option, key, node, field);
    case WEIR_TYPE_LIST:
        return fill_list(c, option, key, node, field);
    case WEIR_TYPE_NAMED:
        return fill_named(c, option, key, node, field);
    case WEIR_TYPE_ONE_OF:
        return weir__fill_one_of(c, option, node, field);
    case WEIR_TYPE_ANY_OF:
        return weir__fill_any_of(c, option, node, field);
    default:
        return true;
    }
}

bool weir__fill_value(weir_config_context *c, const weir_option *option,
                      const weir_config_node *key, const weir_config_node *node, void *field)
{
    struct effective *before;
    bool ok;

    if (option->type != WEIR_TYPE_ANY)
        weir__position_record(c, field, key, node);
    if (node->recursive)
        return refuse_recursion(c, node);
    if (option->secret && option->type != WEIR_TYPE_PEM)
        weir__redact(c, (weir_config_node *)node);
    before = weir__effective_begin(c, option, key, node);
    ok = is_container(option->type) ? fill_container(c, option, key, node, field)
                                    : fill_single(c, option, key, node, field);
    weir__effective_end(c, before, field, ok);
    return ok;
}
