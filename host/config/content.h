/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stretch of the configuration says, whatever the place it says it in: equal contents mean the
 * same. Comments, order of files and positions do not count; the order of keys, and the folder that
 * relative paths begin at, do.
 */
#ifndef WEIR_HOST_CONFIG_CONTENT_H
#define WEIR_HOST_CONFIG_CONTENT_H

#include "host/config/config.h"

struct content {
    uint64_t a, b;
};

bool weir__content_equal(const struct content *a, const struct content *b);
void weir__content_begin(struct content *content);
void weir__content_bytes(struct content *content, const void *bytes, size_t len);
void weir__content_text(struct content *content, const char *text); /* NULL counts too */
void weir__content_number(struct content *content, uint64_t number);
/* An object that lives as long as the process. */
void weir__content_pointer(struct content *content, const void *pointer);

/* What references in the tree mean. */
struct content_notes;

weir_error *weir__content_notes_new(size_t room, struct content_notes **ret) WEIR_MUST_USE;
void weir__content_notes_free(struct content_notes *notes);
/* The node at which something is named: its content counts with the node's. `mark` may be NULL. */
void weir__content_note(struct content_notes *notes, const weir_config_node *node,
                        const struct content *content, void *mark);
/* A node with all below it, but for keys `x-…`; NULL counts too. After everything was parsed.
 * `notes` may be NULL. */
void weir__content_node(struct content *content, const struct content_notes *notes,
                        const weir_config_node *node);
/* The same, and tells of each mark that it meets. */
void weir__content_node_met(struct content *content, const struct content_notes *notes,
                            const weir_config_node *node, void (*meet)(void *arg, void *mark),
                            void *arg);

#endif
