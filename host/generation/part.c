/* SPDX-License-Identifier: Apache-2.0 */
/* Counting parts, finding them by key, entering and leaving loops. */
#include "config.h"

#include "host/generation/part.h"

#include <stdlib.h>
#include <string.h>

#include "host/plugin/plugin.h"

/* Origins */

struct origin *weir__origin_ref(struct origin *origin)
{
    __atomic_add_fetch(&origin->refs, 1, __ATOMIC_RELAXED);
    return origin;
}

void weir__origin_unref(struct origin *origin)
{
    if (!origin || __atomic_sub_fetch(&origin->refs, 1, __ATOMIC_ACQ_REL))
        return;
    weir__config_unref(origin->config);
    weir__registry_free(origin->registry);
    free(origin);
}

/* Counts */

weir_error *weir__part_new(const struct part_kind *kind, const char *key,
                           const struct content *content, struct origin *origin, unsigned n_loops,
                           void *object, struct part **ret)
{
    size_t size = sizeof(struct part) + n_loops * sizeof(struct part_loop);
    struct part *part = aligned_alloc(HOST_CACHE_LINE, (size + HOST_CACHE_LINE - 1) &
                                                           ~(size_t)(HOST_CACHE_LINE - 1));

    if (!part)
        return weir_raise(WEIR_ENOMEM, "part of the configuration");
    memset(part, 0, size);
    part->kind = kind;
    part->object = object;
    part->content = *content;
    part->refs = 1;
    part->n_loops = n_loops;
    part->key = strdup(key);
    if (!part->key) {
        free(part);
        return weir_raise(WEIR_ENOMEM, "part of the configuration");
    }
    hlist_init(&part->link);
    for (unsigned i = 0; i < n_loops; i++)
        hlist_init(&part->loops[i].link);
    for (unsigned i = 0; i < n_loops; i++)
        part->loops[i].part = part;
    part->origin = weir__origin_ref(origin);
    *ret = part;
    return NULL;
}

weir_error *weir__part_add_below(struct part *part, struct part *below)
{
    if (part->n_below == part->room) {
        size_t room = part->room ? part->room * 2 : 4;
        void *grown = realloc(part->below, room * sizeof(struct part *));

        if (!grown)
            return weir_raise(WEIR_ENOMEM, "part of the configuration");
        part->below = grown;
        part->room = room;
    }
    part->below[part->n_below++] = weir__part_ref(below);
    return NULL;
}

struct part *weir__part_ref(struct part *part)
{
    __atomic_add_fetch(&part->refs, 1, __ATOMIC_RELAXED);
    return part;
}

void weir__part_unref(struct part *part, struct hlist *dead)
{
    if (!part)
        return;
    if (__atomic_sub_fetch(&part->refs, 1, __ATOMIC_ACQ_REL) == 0)
        weir__part_bury(part, dead);
}

void weir__part_bury(struct part *part, struct hlist *dead)
{
    if (__atomic_load_n(&part->refs, __ATOMIC_ACQUIRE) || part->active || part->present)
        return;
    hlist_remove(&part->link);
    hlist_append(dead, &part->link);
    /* Last first, as they came. */
    while (part->n_below)
        weir__part_unref(part->below[--part->n_below], dead);
}

/* Burying one may bury others, wherever they are in the list: so all of it is held meanwhile. */
void weir__parts_leave_all(struct hlist *parts, struct hlist *dead)
{
    struct hlist *next;

    for (struct hlist *node = parts->next; node != parts; node = node->next) {
        struct part *part = weir__part_ref(HLIST_ENTRY(node, struct part, link));

        part->active = part->present = 0;
    }
    for (struct hlist *node = parts->next; node != parts; node = next) {
        next = node->next;
        weir__part_unref(HLIST_ENTRY(node, struct part, link), dead);
    }
}

void weir__parts_destroy(struct hlist *dead)
{
    while (!hlist_empty(dead)) {
        struct part *part = HLIST_ENTRY(dead->next, struct part, link);

        hlist_remove(&part->link);
        part->kind->destroy(part->object);
        weir__origin_unref(part->origin);
        free(part->below);
        free(part->key);
        free(part);
    }
}

bool weir__part_activate(struct part *part)
{
    return part->active++ == 0;
}

bool weir__part_deactivate(struct part *part)
{
    return --part->active == 0;
}

/* Loops */

weir_error *weir__part_enter(struct part *part, struct traffic *traffic)
{
    struct part_loop *local = &part->loops[traffic->index];

    if (local->entered)
        return NULL;
    if (part->kind->enter)
        WEIR_TRY(part->kind->enter(part->object, traffic));
    local->entered = true;
    traffic->names++;
    hlist_append(&traffic->parts, &local->link);
    return NULL;
}

void weir__part_leave(struct part *part, struct traffic *traffic)
{
    struct part_loop *local = &part->loops[traffic->index];

    if (!local->entered)
        return;
    local->entered = false;
    hlist_remove(&local->link);
    if (part->kind->leave)
        part->kind->leave(part->object, traffic);
}

/* Tables */

static size_t slot_of(const struct part_table *table, const struct part_kind *kind, const char *key)
{
    struct content hash;
    size_t at;

    weir__content_begin(&hash);
    weir__content_pointer(&hash, kind);
    weir__content_text(&hash, key);
    at = (size_t)hash.a & (table->n_slots - 1);
    while (table->slots[at] &&
           (table->slots[at]->kind != kind || strcmp(table->slots[at]->key, key) != 0))
        at = (at + 1) & (table->n_slots - 1);
    return at;
}

struct part *weir__part_find(const struct part_table *table, const struct part_kind *kind,
                             const char *key)
{
    return table->n_slots ? table->slots[slot_of(table, kind, key)] : NULL;
}

static weir_error *grow(struct part_table *table)
{
    struct part_table larger = {.n_slots = table->n_slots ? table->n_slots * 2 : 64};
    void *items = realloc(table->items, larger.n_slots / 2 * sizeof(struct part *));

    if (items)
        table->items = items;
    larger.slots = items ? calloc(larger.n_slots, sizeof(struct part *)) : NULL;
    if (!larger.slots)
        return weir_raise(WEIR_ENOMEM, "parts of the configuration");
    for (size_t i = 0; i < table->count; i++) {
        struct part *part = table->items[i];

        larger.slots[slot_of(&larger, part->kind, part->key)] = part;
    }
    free(table->slots);
    table->slots = larger.slots;
    table->n_slots = larger.n_slots;
    table->room = larger.n_slots / 2;
    return NULL;
}

weir_error *weir__part_table_add(struct part_table *table, struct part *part)
{
    size_t at;

    if (table->count == table->room)
        WEIR_TRY(grow(table));
    at = slot_of(table, part->kind, part->key);
    if (table->slots[at])
        return table->slots[at] == part ? NULL
                                        : weir_raise(WEIR_EINVALSTATE, "two parts are %s `%s`",
                                                     part->kind->name, part->key);
    table->slots[at] = table->items[table->count++] = weir__part_ref(part);
    return NULL;
}

void weir__part_table_done(struct part_table *table, struct hlist *dead)
{
    while (table->count)
        weir__part_unref(table->items[--table->count], dead);
    free(table->items);
    free(table->slots);
    *table = (struct part_table){0};
}
