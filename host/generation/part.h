/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts: what a configuration became, counted, so that generations share what did not change.
 *
 * A part has a key (what it is) and a content (what the configuration says of it, and of what it
 * refers to). When the next generation wants a part of the same key and content it takes this one.
 *
 *   refs     who keeps the object: generations, and parts that point at it; atomic
 *   active   why it is on the traffic loops: generations in force, listeners that are used there
 *   present  loops that have not told that they are through with it
 *
 * Without references and present nowhere it is destroyed, in a thread that may wait. The other two
 * counts belong to the control loop.
 */
#ifndef WEIR_HOST_GENERATION_PART_H
#define WEIR_HOST_GENERATION_PART_H

#include "host/config/content.h"
#include "host/generation/list.h"
#include "host/generation/traffic.h"

struct registry;

/* What one load made, and parts point into. The count is atomic. */
struct origin {
    unsigned refs;
    unsigned generation; /* its number */
    weir_config_context *config;
    struct registry *registry;
};

struct origin *weir__origin_ref(struct origin *origin);
void weir__origin_unref(struct origin *origin);

struct part_kind {
    const char *name;
    /* On a loop; both may be NULL. */
    weir_error *(*enter)(void *object, struct traffic *traffic);
    void (*leave)(void *object, struct traffic *traffic);
    /* Whoever drops the last reference of a part that was never active, else the host's own thread. */
    void (*destroy)(void *object);
};

struct part;

struct part_loop {
    struct hlist link; /* in the loop's list */
    struct part *part;
    bool entered;
} __attribute__((aligned(HOST_CACHE_LINE)));

struct part {
    const struct part_kind *kind;
    void *object;
    char *key;
    struct content content;
    struct origin *origin;
    unsigned refs, active, present;
    unsigned met;        /* by whom last, while a generation is built */
    bool used;           /* was active once */
    struct hlist link;   /* of those that were active */
    struct part **below; /* what it points at */
    size_t n_below, room;
    unsigned n_loops;
    struct part_loop loops[];
};

/* One reference; takes `object` when it succeeds. References `origin`. */
weir_error *weir__part_new(const struct part_kind *kind, const char *key,
                           const struct content *content, struct origin *origin, unsigned n_loops,
                           void *object, struct part **ret) WEIR_MUST_USE;
/* `part` points at `below`, takes a reference to it. */
weir_error *weir__part_add_below(struct part *part, struct part *below) WEIR_MUST_USE;
struct part *weir__part_ref(struct part *part);
/* Drops a reference. What has none left, and is on no loop, goes to `dead`, with what only it kept. */
void weir__part_unref(struct part *part, struct hlist *dead);
/* The same for a part that is left by the last loop. */
void weir__part_bury(struct part *part, struct hlist *dead);
/* No loop runs any more: parts of this list that only the loops kept go to `dead`. */
void weir__parts_leave_all(struct hlist *parts, struct hlist *dead);
/* Destroys what is in the list. */
void weir__parts_destroy(struct hlist *dead);

/* One more reason to be on the loops. True: it was the first. */
bool weir__part_activate(struct part *part);
/* One less. True: it was the last, the loops are to leave it. */
bool weir__part_deactivate(struct part *part);

/* On a loop. */
weir_error *weir__part_enter(struct part *part, struct traffic *traffic) WEIR_MUST_USE;
void weir__part_leave(struct part *part, struct traffic *traffic);

/* Parts in the order in which they came, and by kind and key. */
struct part_table {
    struct part **items;
    size_t count, room;
    struct part **slots; /* a hash table */
    size_t n_slots;
};

struct part *weir__part_find(const struct part_table *table, const struct part_kind *kind,
                             const char *key);
/* Takes a reference, unless the table has it. */
weir_error *weir__part_table_add(struct part_table *table, struct part *part) WEIR_MUST_USE;
/* Drops the references, the last first. */
void weir__part_table_done(struct part_table *table, struct hlist *dead);

#endif
