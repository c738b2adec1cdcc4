/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of parts: collected while everything is parsed, looked up when it is. A name that does not
 * exist is reported with the nearest one and where those that exist were written.
 */
#include <config.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"

static struct config_reference *add(weir_config_context *c, const char *kind,
                                    const weir_config_node *node, void **field)
{
    struct config_reference *reference = CONFIG_NEW(c, struct config_reference);

    reference->field = field;
    reference->kind = kind;
    reference->node = node;
    reference->scheme = reference->url_path = "";
    c->references = weir__arena_grow(&c->arena, c->references, c->n_references, &c->references_room,
                                     sizeof(struct config_reference *));
    c->references[c->n_references++] = reference;
    return reference;
}

/* "http://host:port/path" and the like; NULL, or what is wrong. */
static const char *parse_target(weir_config_context *c, const char *text,
                                struct config_reference *reference)
{
    const char *authority = text, *slash;
    const char *host;

    if (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0) {
        bool https = text[4] == 's';

        reference->scheme = https ? "https" : "http";
        authority = text + (https ? 8 : 7);
        slash = strchr(authority, '/');
        if (strncmp(authority, "unix:", 5) == 0)
            slash = NULL;
        host = weir__arena_dup(&c->arena, authority,
                               slash ? (size_t)(slash - authority) : strlen(authority));
        reference->url_path = slash ? slash : "";
        if (!*host)
            return "a host is missing";
        if (strncmp(host, "unix:", 5) != 0 &&
            !strchr(*host == '[' && strchr(host, ']') ? strchr(host, ']') : host, ':'))
            host = weir__arena_format(&c->arena, "%s:%d", host, https ? 443 : 80);
        return weir__address_parse(c, host, false, &reference->address);
    }
    if (strstr(text, "://"))
        return "only http:// and https:// are known";
    return weir__address_parse(c, text, false, &reference->address);
}

bool weir__fill_reference(weir_config_context *c, const weir_option *option,
                          const weir_config_node *node, void **field)
{
    struct config_reference *reference;
    const char *problem;

    *field = NULL;
    if (!option->address || !strpbrk(node->text, ":/")) {
        reference = add(c, option->kind, node, field);
        reference->name = node->text;
        return true;
    }
    reference = add(c, option->kind, node, field);
    problem = parse_target(c, node->text, reference);
    if (!problem)
        return true;
    c->n_references--;
    weir__diagnostic_label(c,
                           weir__value_error(c, CONFIG_ADDRESS, node,
                                             "`%s` is neither a name nor an address",
                                             weir__node_shown(c, node)),
                           "%s", problem);
    return false;
}

void weir__config_define(weir_config_context *c, const char *kind, const char *name,
                         const void *target)
{
    struct definition *definition;

    c->definitions = weir__arena_grow(&c->arena, c->definitions, c->n_definitions,
                                      &c->definitions_room, sizeof *c->definitions);
    definition = &c->definitions[c->n_definitions++];
    definition->kind = weir__arena_dup(&c->arena, kind, strlen(kind));
    definition->name = weir__arena_dup(&c->arena, name, strlen(name));
    definition->target = target;
    c->definitions_sorted = false;
}

static int compare(const void *left, const void *right)
{
    const struct definition *a = left, *b = right;
    int order = strcmp(a->kind, b->kind);

    return order ? order : strcmp(a->name, b->name);
}

static const struct definition *find(weir_config_context *c, const char *kind, const char *name)
{
    struct definition wanted = {.kind = kind, .name = name};

    if (!c->definitions_sorted && c->n_definitions > 0)
        qsort(c->definitions, c->n_definitions, sizeof wanted, compare);
    c->definitions_sorted = true;
    if (c->n_definitions == 0)
        return NULL;
    return bsearch(&wanted, c->definitions, c->n_definitions, sizeof wanted, compare);
}

/* "app (line 16), pg_a (conf.d/pg.yaml:3)" */
static const char *list_defined(weir_config_context *c, const char *kind, const struct source *here,
                                size_t *ret_count)
{
    const char *text = "";
    size_t n = 0;

    for (size_t i = 0; i < c->n_definitions; i++) {
        const struct definition *definition = &c->definitions[i];
        struct span span;

        if (strcmp(definition->kind, kind) != 0 || ++n > 8)
            continue;
        span = weir__position_find(c, definition->target);
        text = weir__arena_format(&c->arena, "%s%s%s", text, n > 1 ? ", " : "", definition->name);
        if (span.source == here)
            text = weir__arena_format(&c->arena, "%s (line %u)", text, span.line + 1);
        else if (span.source)
            text =
                weir__arena_format(&c->arena, "%s (%s:%u)", text, span.source->name, span.line + 1);
    }
    if (n > 8)
        text = weir__arena_format(&c->arena, "%s and %zu more", text, n - 8);
    *ret_count = n;
    return text;
}

static void report_missing(weir_config_context *c, const struct config_reference *reference)
{
    const weir_config_node *node = reference->node;
    const char *defined;
    struct suggestion s;
    struct diagnostic *d;
    size_t n;

    d = weir__value_error(c, CONFIG_NO_SUCH_PART, node, "%s `%s` does not exist", reference->kind,
                          weir__node_shown(c, node));
    if (d == &c->scratch) /* above the limit: nobody sees what would be suggested */
        return;
    weir__diagnostic_label(c, d, "no such %s", reference->kind);
    weir__suggest_begin(&s, reference->name);
    for (size_t i = 0; i < c->n_definitions; i++) {
        if (strcmp(c->definitions[i].kind, reference->kind) == 0)
            weir__suggest_offer(&s, c->definitions[i].name);
    }
    defined = list_defined(c, reference->kind, node->span.source, &n);
    if (s.best)
        weir__diagnostic_help(c, d, "did you mean `%s`? defined: %s", s.best, defined);
    else if (n > 0)
        weir__diagnostic_help(c, d, "defined: %s", defined);
    else
        weir__diagnostic_help(c, d, "no %s is defined", reference->kind);
}

static bool is_lost(const weir_config_context *c, const char *kind)
{
    for (size_t i = 0; i < c->n_lost; i++) {
        if (strcmp(c->lost[i], kind) == 0)
            return true;
    }
    return false;
}

bool weir__config_resolve(weir_config_context *c)
{
    bool ok = true;

    for (size_t i = 0; i < c->n_references; i++) {
        struct config_reference *reference = c->references[i];
        const struct definition *definition;

        if (!reference->name || reference->target)
            continue;
        definition = find(c, reference->kind, reference->name);
        if (definition) {
            reference->target = definition->target;
            continue;
        }
        ok = false;
        if (!c->incomplete && !is_lost(c, reference->kind))
            report_missing(c, reference);
    }
    return ok;
}

size_t weir__config_reference_count(const weir_config_context *c)
{
    return c->n_references;
}

struct config_reference *weir__config_reference_at(weir_config_context *c, size_t index)
{
    return index < c->n_references ? c->references[index] : NULL;
}
