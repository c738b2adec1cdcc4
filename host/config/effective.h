/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a configuration means, as it was filled: every setting with its value, where the value came
 * from and the option that read it. Kept only when config_settings.trace asks for it.
 */
#ifndef WEIR_HOST_CONFIG_EFFECTIVE_H
#define WEIR_HOST_CONFIG_EFFECTIVE_H

#include "host/config/internal.h"

struct effective {
    const char *name; /* NULL: an element of a list */
    const weir_option *option;
    const weir_config_node *node; /* what was written; without a source: a default */
    const char *text;             /* of a scalar, canonical, secrets redacted; NULL for the rest */
    bool is_list, is_set;         /* is_set: it or something in it was written */
    struct effective *parent, *first, *last, *next;
    size_t count;
};

/* A value begins to be filled: what is filled up to the matching end belongs to it. Both do nothing
 * when no trace is kept. */
struct effective *weir__effective_begin(weir_config_context *c, const weir_option *option,
                                        const weir_config_node *key, const weir_config_node *node);
void weir__effective_end(weir_config_context *c, struct effective *before, const void *field,
                         bool ok);
struct effective *weir__effective_child(const struct effective *parent, const char *name);
/* "weir.yaml:6:10", "default", "--set", "env NAME (weir.yaml:6:10)" */
const char *weir__effective_origin(weir_config_context *c, const struct effective *e);
void weir__json_string(FILE *out, const char *text);

#endif
