/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Includes: several files make one tree.
 *
 * Files are equal: maps merge deeply by name, and setting a value in two of them is an error that
 * shows both, so the order of files means nothing but the order of keys. Lists are values here; only
 * those of `tests` are joined. Merging makes new maps where both sides have one and shares the rest.
 */
#include <config.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"

static bool skip_name(const char *path)
{
    static const char *const marks[] = {".dpkg-", ".rpm"};
    size_t len = strlen(path);
    const char *base = strrchr(path, '/');

    base = base ? base + 1 : path;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        if (strstr(base, marks[i]))
            return true;
    }
    return (len > 0 && path[len - 1] == '~') || (len > 4 && strcmp(path + len - 4, ".bak") == 0);
}

static void conflict(weir_config_context *c, const weir_config_node *key,
                     const weir_config_node *first_key, const char *path)
{
    struct diagnostic *d =
        weir__diagnose(c, CONFIG_CONFLICT, key->span, "`%s` is set in two files", path);

    weir__diagnostic_label(c, d, "set again here");
    weir__diagnostic_also(c, d, first_key->span, "first set here");
    weir__diagnostic_help(c, d, "remove one of them; files have no order of precedence");
}

static weir_config_node *merge_maps(weir_config_context *c, const weir_config_node *a,
                                    const weir_config_node *b, const char *path);

static weir_config_node *join_lists(weir_config_context *c, const weir_config_node *a,
                                    const weir_config_node *b)
{
    weir_config_node *joined = weir__node_new(c, WEIR_NODE_LIST, a->span);

    for (size_t i = 0; i < a->count; i++)
        weir__node_append(c, joined, a->items[i]);
    for (size_t i = 0; i < b->count; i++)
        weir__node_append(c, joined, b->items[i]);
    return joined;
}

static weir_config_node *merge_values(weir_config_context *c, const weir_config_node *map, size_t i,
                                      const weir_config_node *key, weir_config_node *value,
                                      const char *path)
{
    weir_config_node *ours = map->items[i];

    if (weir__node_is_empty(value))
        return ours;
    if (weir__node_is_empty(ours))
        return value;
    if (ours->kind == WEIR_NODE_MAP && value->kind == WEIR_NODE_MAP && !ours->recursive &&
        !value->recursive)
        return merge_maps(c, ours, value, path);
    if (strcmp(path, "tests") == 0 && ours->kind == WEIR_NODE_LIST && value->kind == WEIR_NODE_LIST)
        return join_lists(c, ours, value);
    if (strcmp(path, "version") != 0 || strcmp(ours->text, value->text) != 0)
        conflict(c, key, map->keys[i], path);
    return ours;
}

static weir_config_node *merge_maps(weir_config_context *c, const weir_config_node *a,
                                    const weir_config_node *b, const char *path)
{
    weir_config_node *merged = weir__node_new(c, WEIR_NODE_MAP, a->span);

    for (size_t i = 0; i < a->count; i++)
        weir__node_put(c, merged, a->keys[i], a->items[i]);
    for (size_t i = 0; i < b->count; i++) {
        const char *name = b->keys[i]->text;
        ptrdiff_t at = weir__node_index(a, name);
        const char *below;

        if (strncmp(name, "x-", 2) == 0 || (!*path && strcmp(name, "include") == 0))
            continue;
        if (at < 0 || b->keys[i]->duplicate_of) {
            weir__node_put(c, merged, b->keys[i], b->items[i]);
            continue;
        }
        below = *path ? weir__arena_format(&c->arena, "%s.%s", path, name) : name;
        merged->items[at] = merge_values(c, a, (size_t)at, b->keys[i], b->items[i], below);
    }
    return merged;
}

static weir_config_node *load(weir_config_context *c, struct source *source, unsigned depth);

static bool already_open(weir_config_context *c, const struct source *from, const char *path,
                         const struct span *at)
{
    char real[PATH_MAX];

    if (!realpath(path, real))
        return false;
    for (const struct source *s = from; s; s = s->parent) {
        if (s->real && strcmp(s->real, real) == 0) {
            struct diagnostic *d =
                weir__diagnose(c, CONFIG_INCLUDE, *at, "`%s` includes itself", s->name);

            weir__diagnostic_label(c, d, "this file is being read already");
            return true;
        }
    }
    return false;
}

/* "conf.d/a.yaml" as the including file's own name would have it: relative stays relative. */
static const char *shown_name(weir_config_context *c, const struct source *from, const char *path)
{
    size_t len = strlen(from->folder);
    const char *slash = strrchr(from->name, '/');

    if (strncmp(path, from->folder, len) != 0 || path[len] != '/' || from->name[0] == '/')
        return path;
    if (!slash)
        return path + len + 1;
    return weir__arena_format(&c->arena, "%.*s%s", (int)(slash - from->name), from->name,
                              path + len);
}

static weir_config_node *include_file(weir_config_context *c, const struct source *from,
                                      const char *path, const struct span *at, unsigned depth)
{
    struct source *source;

    if (already_open(c, from, path, at))
        return NULL;
    if (c->n_files >= CONFIG_MAX_FILES) {
        weir__diagnose(c, CONFIG_TOO_LARGE, *at, "more than %d files", CONFIG_MAX_FILES);
        return NULL;
    }
    source = weir__source_read(c, path, shown_name(c, from, path), at);
    if (!source)
        return NULL;
    source->parent = from;
    return load(c, source, depth + 1);
}

static weir_config_node *merge_roots(weir_config_context *c, weir_config_node *root,
                                     weir_config_node *more)
{
    return !more ? root : !root ? more : merge_maps(c, root, more, "");
}

static int compare_paths(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static void note_skipped(weir_config_context *c, const struct source *from, const char *path)
{
    c->skipped = weir__arena_grow(&c->arena, c->skipped, c->n_skipped, &c->skipped_room,
                                  sizeof(const char *));
    c->skipped[c->n_skipped++] =
        shown_name(c, from, weir__arena_dup(&c->arena, path, strlen(path)));
}

static weir_config_node *include_pattern(weir_config_context *c, const struct source *from,
                                         const weir_config_node *node, weir_config_node *root,
                                         unsigned depth)
{
    const char *text = node->text;
    bool wild = strpbrk(text, "*?[") != NULL;
    const char *path =
        *text == '/' ? text : weir__arena_format(&c->arena, "%s/%s", from->folder, text);
    struct found *found = CONFIG_NEW(c, struct found);
    glob_t *files = &found->glob;

    if (!wild)
        return merge_roots(c, root, include_file(c, from, path, &node->span, depth));
    if (glob(path, GLOB_NOSORT, NULL, files) != 0)
        return root;
    found->outer = c->found;
    c->found = found;
    /* bytewise, whatever the locale */
    qsort(files->gl_pathv, files->gl_pathc, sizeof *files->gl_pathv, compare_paths);
    for (size_t i = 0; i < files->gl_pathc; i++) {
        if (skip_name(files->gl_pathv[i]))
            note_skipped(c, from, files->gl_pathv[i]);
        else
            root = merge_roots(c, root,
                               include_file(c, from,
                                            weir__arena_dup(&c->arena, files->gl_pathv[i],
                                                            strlen(files->gl_pathv[i])),
                                            &node->span, depth));
    }
    c->found = found->outer;
    globfree(files);
    return root;
}

static weir_config_node *include_value(weir_config_context *c, const struct source *from,
                                       weir_config_node *node, weir_config_node *root,
                                       unsigned depth)
{
    struct diagnostic *d;

    if (weir__node_is_empty(node))
        return root;
    if (node->kind == WEIR_NODE_LIST) {
        for (size_t i = 0; i < node->count; i++)
            root = include_value(c, from, node->items[i], root, depth);
        return root;
    }
    if (node->kind != WEIR_NODE_SCALAR) {
        d = weir__diagnose(c, CONFIG_SHAPE, node->span, "`include` takes a path or a list of them");
        weir__diagnostic_label(c, d, "a map");
        return root;
    }
    if (depth > CONFIG_MAX_INCLUDE_DEPTH) {
        d = weir__diagnose(c, CONFIG_INCLUDE, node->span, "includes are nested more than %d deep",
                           CONFIG_MAX_INCLUDE_DEPTH);
        weir__diagnostic_label(c, d, "not followed");
        return root;
    }
    if (!weir__expand(c, node, false))
        return root;
    return include_pattern(c, from, node, root, depth);
}

static weir_config_node *load(weir_config_context *c, struct source *source, unsigned depth)
{
    weir_config_node *root = weir__document_parse(c, source);
    weir_config_node *include = NULL;
    ptrdiff_t at;

    if (!root)
        return NULL;
    if (weir__node_is_empty(root))
        return NULL;
    if (root->kind != WEIR_NODE_MAP) {
        if (!source->broken) {
            struct diagnostic *d = weir__diagnose(c, CONFIG_SHAPE, root->span,
                                                  "a configuration file is a map of keys");

            weir__diagnostic_label(c, d, "%s",
                                   root->kind == WEIR_NODE_LIST ? "a list" : "a single value");
            d->cut = true;
            c->incomplete = true;
        }
        return NULL;
    }
    at = weir__node_index(root, "include");
    if (at >= 0)
        include = root->items[at];
    return include ? include_value(c, source, include, root, depth) : root;
}

weir_config_node *weir__include_all(weir_config_context *c, struct source *main_source)
{
    return load(c, main_source, 1);
}
