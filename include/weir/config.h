/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Reporting on a configuration, for `check` functions, matchers and options with a `parse` function.
 *
 *     static void check(weir_config_context *c, const void *config)
 *     {
 *         const my_config *conf = config;
 *         if (conf->low > conf->high)
 *             weir_config_error(c, &conf->low, "`low` is above `high`");
 *     }
 *
 * The caret goes under the value that filled the field, at any depth. Reports are collected and shown
 * together; any error keeps the configuration from being used. None of these calls fails.
 * Thread: the one that runs the check.
 *
 * Example:
 *
 *     typedef struct {
 *         int64_t low, high;
 *     } my_config;
 *
 *     static void check(weir_config_context *context, const void *config)
 *     {
 *         const my_config *conf = config;
 *
 *         if (conf->low > conf->high) { // the caret goes under the value of `low`
 *             weir_config_error(context, &conf->low, "`low` is above `high`");
 *             weir_config_help(context, "leave out `low` for no lower bound");
 *         }
 *     }
 */
#ifndef WEIR_CONFIG_H
#define WEIR_CONFIG_H

#include <weir/option.h>

WEIR_BEGIN_DECLS

/** Reports an error at the value that filled `field`, an address inside the parsed
 * configuration. The address of a NAMED entry or its `name` is the entry's key; a field that was
 * defaulted is shown at the map it would stand in. NULL is the thing being checked as a whole. */
WEIR_PUBLIC void weir_config_error(weir_config_context *context, const void *field,
                                   const char *format, ...) WEIR_PRINTF(3, 4);
WEIR_PUBLIC void weir_config_warning(weir_config_context *context, const void *field,
                                     const char *format, ...) WEIR_PRINTF(3, 4);
/** Reports at a value of the document, from a `parse` function. */
WEIR_PUBLIC void weir_config_error_at(weir_config_context *context, const weir_config_node *node,
                                      const char *format, ...) WEIR_PRINTF(3, 4);
/** The key or value is known, what stands behind it is not built: "`what` is not built yet". */
WEIR_PUBLIC void weir_config_not_built(weir_config_context *context, const void *field,
                                       const char *what);
/** Adds to the report just made: the words under the caret, a second place, what to do. */
WEIR_PUBLIC void weir_config_label(weir_config_context *context, const char *format, ...)
    WEIR_PRINTF(2, 3);
WEIR_PUBLIC void weir_config_label_also(weir_config_context *context, const void *field,
                                        const char *format, ...) WEIR_PRINTF(3, 4);
WEIR_PUBLIC void weir_config_help(weir_config_context *context, const char *format, ...)
    WEIR_PRINTF(2, 3);

/** Zeroed memory that lives as long as the configuration. Never NULL. */
WEIR_PUBLIC void *weir_config_alloc(weir_config_context *context, size_t size);
WEIR_PUBLIC const char *weir_config_strdup(weir_config_context *context, const char *text);

typedef enum weir_config_node_kind {
    WEIR_NODE_SCALAR,
    WEIR_NODE_LIST,
    WEIR_NODE_MAP
} weir_config_node_kind;

/** What the document has in this place. */
WEIR_PUBLIC weir_config_node_kind weir_config_node_get_kind(const weir_config_node *node);
/** A scalar's text; "" for lists and maps. `${…}` is expanded in the node that a `parse` function
 *  gets; in nodes found below it once weir_config_parse() read them. */
WEIR_PUBLIC const char *weir_config_node_text(const weir_config_node *node);
/** Elements of a list, pairs of a map; 0 for a scalar. */
WEIR_PUBLIC size_t weir_config_node_count(const weir_config_node *node);
/** The element, or the value of the pair. */
WEIR_PUBLIC const weir_config_node *weir_config_node_item(const weir_config_node *node,
                                                          size_t index);
/** The key of the pair. */
WEIR_PUBLIC const weir_config_node *weir_config_node_key(const weir_config_node *node,
                                                         size_t index);
/** The value at a key; NULL when it is not a map or has no such key. */
WEIR_PUBLIC const weir_config_node *weir_config_node_find(const weir_config_node *node,
                                                          const char *key);

/** Parses a node by one option into `field` (offset not added). False when it reported errors. */
WEIR_PUBLIC bool weir_config_parse(weir_config_context *context, const weir_config_node *node,
                                   const weir_option *option, void *field);

/** In an `extend` function: the map is also described by `options`, which fill `base`. `owner`
 * names the provider in messages ("plugin `http`"). */
WEIR_PUBLIC void weir_config_add_options(weir_config_context *context,
                                         const weir_option *const *options, void *base,
                                         const char *owner);
/** In an `extend` function: what stands in front of kinds that begin with a dot, in this map and
 * below: "http" makes ".filter" "http.filter". */
WEIR_PUBLIC void weir_config_set_scope(weir_config_context *context, const char *scope);

WEIR_END_DECLS

#endif
