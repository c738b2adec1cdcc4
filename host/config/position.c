/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the address of a field to the place it was written at.
 *
 * Every filled field is recorded with its key and value. A struct and its first member share an
 * address: what is written goes before what is defaulted, a scalar before a map, and then the later
 * record, that of the inner one. What was defaulted is at the nearest map around it that is written.
 * The records are sorted when one is first looked for: in a file without errors none is.
 */
#include <config.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"

void weir__position_record(weir_config_context *c, const void *field, const weir_config_node *key,
                           const weir_config_node *node)
{
    bool defaulted = false;
    struct position *position;

    if (!node || !node->span.source || node->span.source->origin == ORIGIN_DEFAULT) {
        const struct frame *frame = c->frame;

        defaulted = true;
        while (frame && !frame->key && !(frame->node && frame->node->span.source))
            frame = frame->parent;
        key = frame ? frame->key : NULL;
        node = frame ? frame->node : NULL;
        if (key) /* the name of the map rather than all of it */
            node = key;
    }
    if (!node)
        return;
    c->positions = weir__arena_grow(&c->arena, c->positions, c->n_positions, &c->positions_room,
                                    sizeof *c->positions);
    position = &c->positions[c->n_positions];
    position->field = field;
    position->key = key;
    position->node = node;
    position->rank = defaulted ? 0 : node->kind == WEIR_NODE_SCALAR ? 2 : 1;
    position->order = (unsigned)c->n_positions++;
    c->positions_sorted = false;
}

static int compare(const void *left, const void *right)
{
    const struct position *a = left, *b = right;

    if (a->field != b->field)
        return (uintptr_t)a->field < (uintptr_t)b->field ? -1 : 1;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static struct span span_of(const struct position *position)
{
    const weir_config_node *node = position->node, *key = position->key;

    if (key && key->span.source && node->kind != WEIR_NODE_SCALAR && !node->flow)
        return key->span;
    if (key && key->span.source && node->span.line == node->span.end_line &&
        node->span.column == node->span.end_column)
        return key->span; /* nothing behind the key */
    return node->span;
}

static void sort(weir_config_context *c)
{
    pthread_mutex_lock(&c->positions_lock);
    if (!c->positions_sorted && c->n_positions > 0)
        qsort(c->positions, c->n_positions, sizeof *c->positions, compare);
    c->positions_sorted = true;
    pthread_mutex_unlock(&c->positions_lock);
}

static const struct position *find(weir_config_context *c, const void *field)
{
    size_t low = 0, high = c->n_positions;

    if (!field)
        return NULL;
    sort(c);
    while (low < high) { /* the last record of this address */
        size_t middle = low + (high - low) / 2;

        if ((uintptr_t)c->positions[middle].field <= (uintptr_t)field)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && c->positions[low - 1].field == field ? &c->positions[low - 1] : NULL;
}

struct span weir__position_find(const weir_config_context *context, const void *field)
{
    weir_config_context *c = (weir_config_context *)context;
    const struct position *found = find(c, field);
    struct span nowhere = {NULL, 0, 0, 0, 0};

    for (const struct checked *at = c->checking; !found && at; at = at->outer)
        found = find(c, at->field);
    return found ? span_of(found) : nowhere;
}

const char *weir__config_where(const weir_config_context *c, const void *field, char *buffer,
                               size_t size)
{
    struct span none = {NULL, 0, 0, 0, 0};

    weir__span_name(field ? weir__position_find(c, field) : none, buffer, size);
    return buffer;
}

const char *weir__config_where_node(const weir_config_context *c, const weir_config_node *node,
                                    char *buffer, size_t size)
{
    (void)c;
    weir__span_name(node->span, buffer, size);
    return buffer;
}
