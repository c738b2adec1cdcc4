/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of effective values, grown while structs are filled.
 *
 * weir__fill_value() is where every value passes, so it begins and ends a node of the tree there;
 * what several tables fill of one map is one node. A value that is not a map but a shorthand for one
 * thus comes out written in full.
 */
#include "host/config/effective.h"

#include <config.h>
#include <string.h>

struct effective *weir__effective_child(const struct effective *parent, const char *name)
{
    struct effective *child = parent ? parent->first : NULL;

    while (child && (!child->name || strcmp(child->name, name) != 0))
        child = child->next;
    return child;
}

/* A map of ten thousand names must not be searched for each of them: only maps of keys are. */
static struct effective *find_again(const struct effective *parent, const char *name)
{
    if (!name || parent->is_list || (parent->option && parent->option->type == WEIR_TYPE_NAMED))
        return NULL;
    return weir__effective_child(parent, name);
}

static bool is_written(const weir_config_node *node)
{
    return node && node->span.source && node->span.source->origin != ORIGIN_DEFAULT;
}

/* The keys of such a map are the file's or a registry's, not those of a table. */
static bool takes_names(const struct effective *e)
{
    return e->option && (e->option->type == WEIR_TYPE_NAMED || e->option->type == WEIR_TYPE_ANY_OF);
}

struct effective *weir__effective_begin(weir_config_context *c, const weir_option *option,
                                        const weir_config_node *key, const weir_config_node *node)
{
    struct effective *parent = c->effective, *e;
    const char *name;

    if (!parent)
        return NULL;
    if (parent->is_list)
        name = NULL;
    else if (key && (takes_names(parent) || !*option->name))
        name = key->text;
    else
        name = option->name;
    e = find_again(parent, name);
    if (!e) {
        e = CONFIG_NEW(c, struct effective);
        e->name = name;
        e->parent = parent;
        if (parent->last)
            parent->last->next = e;
        else
            parent->first = e;
        parent->last = e;
        parent->count++;
    }
    e->option = option;
    e->node = node;
    e->is_list = option->type == WEIR_TYPE_LIST;
    for (struct effective *up = e; is_written(node) && up && !up->is_set; up = up->parent)
        up->is_set = true;
    c->effective = e;
    return parent;
}

static const char *text_of(weir_config_context *c, const struct effective *e, const void *field)
{
    const weir_option *option = e->option;
    const char *path;

    if (e->node->redaction)
        return weir__arena_format(&c->arena, "<redacted: %s>", e->node->redaction);
    if (e->node->secret)
        return "<redacted>";
    switch (option->type) {
    case WEIR_TYPE_BOOL:
        return *(const bool *)field ? "true" : "false";
    case WEIR_TYPE_ADDRESS:
        return ((const weir_option_address *)field)->text;
    case WEIR_TYPE_PATH:
        memcpy(&path, field, sizeof path);
        return path;
    case WEIR_TYPE_PEM:
        path = ((const weir_pem *)field)->path;
        return path ? path : e->node->text;
    default:
        return e->node->kind == WEIR_NODE_SCALAR ? e->node->text : "";
    }
}

static bool has_children(weir_option_type type)
{
    return type == WEIR_TYPE_MAP || type == WEIR_TYPE_LIST || type == WEIR_TYPE_NAMED ||
           type == WEIR_TYPE_ONE_OF || type == WEIR_TYPE_ANY_OF;
}

void weir__effective_end(weir_config_context *c, struct effective *before, const void *field,
                         bool ok)
{
    struct effective *e = c->effective;

    if (!before)
        return;
    if (ok && !has_children(e->option->type) && e->option->type != WEIR_TYPE_ANY)
        e->text = text_of(c, e, field);
    c->effective = before;
}

const char *weir__effective_origin(weir_config_context *c, const struct effective *e)
{
    const weir_config_node *node = e->node;
    char where[600];

    if (!is_written(node))
        return "default";
    if (node->span.source->origin == ORIGIN_CLI)
        return node->span.source->name;
    weir__span_name(node->span, where, sizeof where);
    if (node->variable && !node->redaction)
        return weir__arena_format(&c->arena, "env %s (%s)", node->variable, where);
    return weir__arena_dup(&c->arena, where, strlen(where));
}
