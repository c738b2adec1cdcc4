/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes: scalars, lists and maps.
 *
 * A map with many keys has a hash table, so that a file of a hundred thousand keys, merged or
 * included, costs no more than its length. The hash is keyed by the process: nobody can write a file
 * whose keys all meet.
 */
#include <config.h>
#include <string.h>
#include <sys/auxv.h>

#include "host/config/internal.h"

#define LINEAR 16 /* keys that are compared one by one */

weir_config_node *weir__node_new(weir_config_context *c, weir_config_node_kind kind,
                                 struct span span)
{
    weir_config_node *node = CONFIG_NEW(c, weir_config_node);

    node->kind = kind;
    node->span = span;
    node->text = "";
    node->weight = 1;
    return node;
}

static void adopt(weir_config_node *parent, const weir_config_node *child)
{
    parent->weight += child->weight;
    if (child->height + 1 > parent->height)
        parent->height = (uint16_t)(child->height + 1);
}

void weir__node_append(weir_config_context *c, weir_config_node *list, weir_config_node *item)
{
    list->items = weir__arena_grow(&c->arena, list->items, list->count, &list->capacity,
                                   sizeof(weir_config_node *));
    list->items[list->count++] = item;
    adopt(list, item);
}

static size_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325), key = 0;
    const void *random = (const void *)(uintptr_t)getauxval(AT_RANDOM);

    if (random)
        memcpy(&key, random, sizeof key);
    hash ^= key;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    hash ^= hash >> 29;
    return (size_t)(hash * UINT64_C(0x9e3779b97f4a7c15) >> 20);
}

/* Where the key stands in the table, or would. */
static uint32_t *slot_of(const weir_config_node *map, const char *key)
{
    size_t at = hash_of(key) & (map->n_slots - 1);

    while (map->slots[at] && strcmp(map->keys[map->slots[at] - 1]->text, key) != 0)
        at = (at + 1) & (map->n_slots - 1);
    return &map->slots[at];
}

static void index_at(weir_config_node *map, size_t index)
{
    uint32_t *slot = slot_of(map, map->keys[index]->text);

    if (!*slot) /* of duplicates, the first */
        *slot = (uint32_t)index + 1;
}

/* After a key was added. */
static void index_key(weir_config_context *c, weir_config_node *map)
{
    if (map->count * 2 <= map->n_slots) {
        index_at(map, map->count - 1);
        return;
    }
    map->n_slots = map->n_slots ? map->n_slots * 2 : (size_t)LINEAR * 4;
    map->slots = weir__arena_alloc(&c->arena, map->n_slots * sizeof *map->slots);
    for (size_t i = 0; i < map->count; i++)
        index_at(map, i);
}

void weir__node_put(weir_config_context *c, weir_config_node *map, weir_config_node *key,
                    weir_config_node *value)
{
    size_t room = map->capacity;

    map->items = weir__arena_grow(&c->arena, map->items, map->count, &map->capacity,
                                  sizeof(weir_config_node *));
    map->keys =
        weir__arena_grow(&c->arena, map->keys, map->count, &room, sizeof(weir_config_node *));
    map->keys[map->count] = key;
    map->items[map->count++] = value;
    adopt(map, value);
    map->weight++;
    if (map->count > LINEAR)
        index_key(c, map);
}

ptrdiff_t weir__node_index(const weir_config_node *map, const char *key)
{
    if (!map || map->kind != WEIR_NODE_MAP)
        return -1;
    if (map->slots) {
        size_t found = *slot_of(map, key);

        return found && found <= map->count ? (ptrdiff_t)found - 1 : -1;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->keys[i]->text, key) == 0)
            return (ptrdiff_t)i;
    }
    return -1;
}

bool weir__node_is_empty(const weir_config_node *node)
{
    return node->kind == WEIR_NODE_SCALAR && node->plain && node->len == 0 && !node->expanded;
}
