/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `--set PATH=VALUE`: the one thing that goes before what files say.
 *
 * PATH is keys with dots between them; a key that holds a dot is quoted ("plugin.echo"), a number is
 * a place in a list. VALUE is YAML. Maps on the way are copied, since aliases may share them.
 */
#include <config.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"

#define MAX_STEPS 32

struct path {
    struct span spans[MAX_STEPS];
    const char *steps[MAX_STEPS];
    size_t count;
};

/* Cuts the text before `=` into steps. NULL, or what is wrong. */
static const char *cut(weir_config_context *c, const struct source *source, const char *text,
                       const char *end, struct path *ret)
{
    const char *at = text;

    ret->count = 0;
    for (;;) {
        const char *from = at, *to;
        uint32_t column;

        if (*at == '"') {
            from = ++at;
            to = memchr(from, '"', (size_t)(end - from));
            if (!to)
                return "a quote is never closed";
            at = to + 1;
        } else {
            to = memchr(at, '.', (size_t)(end - at));
            to = at = to ? to : end;
        }
        if (to == from || ret->count == MAX_STEPS)
            return to == from ? "a key is missing" : "too many keys";
        column = (uint32_t)(from - text);
        ret->spans[ret->count] =
            (struct span){source, 0, column, 0, column + (uint32_t)(to - from)};
        ret->steps[ret->count++] = weir__arena_dup(&c->arena, from, (size_t)(to - from));
        if (at == end)
            return NULL;
        if (*at++ != '.')
            return "a dot is missing";
    }
}

static weir_config_node *copy_of(weir_config_context *c, const weir_config_node *node,
                                 struct span span)
{
    weir_config_node *copy;

    if (!node || node->kind == WEIR_NODE_SCALAR || node->recursive)
        return weir__node_new(c, WEIR_NODE_MAP, span);
    copy = weir__node_new(c, node->kind, node->span);
    copy->flow = node->flow;
    for (size_t i = 0; i < node->count; i++) {
        if (node->kind == WEIR_NODE_LIST)
            weir__node_append(c, copy, node->items[i]);
        else
            weir__node_put(c, copy, node->keys[i], node->items[i]);
    }
    return copy;
}

static weir_config_node *set(weir_config_context *c, const weir_config_node *node,
                             const struct path *path, size_t step, weir_config_node *value)
{
    weir_config_node *copy, *key;
    struct span span;
    ptrdiff_t at;

    if (step == path->count)
        return value;
    span = path->spans[step];
    copy = copy_of(c, node, span);
    if (copy->kind == WEIR_NODE_LIST) {
        char *end;
        unsigned long index = strtoul(path->steps[step], &end, 10);

        if (*end || index >= copy->count) {
            weir__diagnose(c, CONFIG_OVERLAY, span, "the list has %zu elements, numbered from 0",
                           copy->count);
            return copy;
        }
        copy->items[index] = set(c, copy->items[index], path, step + 1, value);
        return copy;
    }
    at = weir__node_index(copy, path->steps[step]);
    if (at >= 0) {
        if (step + 1 == path->count) {
            copy->keys[at] = weir__node_new(c, WEIR_NODE_SCALAR, span);
            copy->keys[at]->text = path->steps[step];
            copy->keys[at]->len = strlen(path->steps[step]);
        }
        copy->items[at] = set(c, copy->items[at], path, step + 1, value);
        return copy;
    }
    key = weir__node_new(c, WEIR_NODE_SCALAR, span);
    key->text = path->steps[step];
    key->len = strlen(key->text);
    weir__node_put(c, copy, key, set(c, NULL, path, step + 1, value));
    return copy;
}

/* Parses the setting with spaces for everything before the value, so that columns stay right. */
static weir_config_node *parse_value(weir_config_context *c, struct source *source, size_t skip)
{
    const char *whole = source->text;
    char *padded = weir__arena_dup(&c->arena, source->text, source->len);
    struct span end = {source, 0, (uint32_t)skip, 0, (uint32_t)skip};
    bool incomplete = c->incomplete;
    weir_config_node *node;

    memset(padded, ' ', skip);
    source->text = padded;
    node = weir__document_parse(c, source);
    source->text = whole;
    c->incomplete = incomplete;
    if (source->broken)
        return NULL;
    if (!node) {
        node = weir__node_new(c, WEIR_NODE_SCALAR, end);
        node->plain = true;
    }
    return node;
}

void weir__overlay_apply(weir_config_context *c, const char *setting, const char *name)
{
    struct source *source = weir__source_text(c, name, setting, ORIGIN_CLI);
    const char *equals = strchr(setting, '=');
    weir_config_node *value;
    const char *problem;
    struct path path;

    if (!source)
        return;
    problem = equals ? cut(c, source, source->text, source->text + (equals - setting), &path)
                     : "`=VALUE` is missing";
    if (problem) {
        struct span span = {source, 0, 0, 0, (uint32_t)source->len};
        struct diagnostic *d =
            weir__diagnose(c, CONFIG_OVERLAY, span, "not PATH=VALUE: %s", problem);

        weir__diagnostic_help(c, d, "for example: --set log.level=debug");
        return;
    }
    value = parse_value(c, source, (size_t)(equals + 1 - setting));
    if (value)
        c->root = set(c, c->root, &path, 0, value);
}
