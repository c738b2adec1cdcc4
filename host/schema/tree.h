/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every setting there is, as one tree: what the option tables of the host and of the plugins that are
 * loaded describe, with what their `extend` functions would add. The JSON Schema, the manual page and
 * `weir explain KEY.PATH` are made from it.
 */
#ifndef WEIR_HOST_SCHEMA_TREE_H
#define WEIR_HOST_SCHEMA_TREE_H

#include <stdio.h>

#include "host/schema/schema.h"

struct setting {
    const char *name;
    const weir_option *option;
    const char *owner;       /* "plugin `http`"; NULL: weir's own */
    struct setting *element; /* of a list, or of a map of names */
    struct setting *first, *last, *next;
    bool choice;    /* its keys are entries of a kind: any of them, or one */
    bool recursive; /* a list of the routes that it stands in */
};

/* Of everything in the registry. The tree is the context's. */
const struct setting *weir__settings_tree(weir_config_context *c, struct registry *registry);
/* The setting at "upstreams.retries" or "upstreams.app.retries"; NULL when there is none, then
 * `ret_near` is the last one that there is and `ret_word` what it does not have. */
const struct setting *weir__settings_find(const struct setting *root, const char *path,
                                          const struct setting **ret_near, const char **ret_word);
/* "duration", "one of: a, b", "map of names" */
const char *weir__setting_type(weir_config_context *c, const struct setting *setting);
void weir__settings_json(weir_config_context *c, const struct setting *root, FILE *out);
void weir__setting_explain(weir_config_context *c, const struct setting *setting, const char *path,
                           FILE *out);

#endif
