/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers by name for as long as they are good: a hash table with chains and a list by last use.
 * The size is bounded; what was not used for longest goes first.
 */
#include "config.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/net/resolver.h"

struct cache_entry {
    struct cache_entry *next; /* in the chain */
    struct list use;
    uint64_t hash;
    int64_t expires;
    weir_code code;
    uint32_t count;
    union address_small *list;
    char name[];
};

struct cache {
    size_t max, count, buckets; /* buckets: a power of two */
    struct list uses;           /* least recent first */
    struct cache_entry *table[];
};

static uint64_t hash_of(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return hash ^ hash >> 29;
}

struct cache *weir__cache_new(size_t max)
{
    size_t buckets = 16;
    struct cache *cache;

    while (buckets < max && buckets < 65536)
        buckets *= 2;
    cache = weir__calloc(1, sizeof(*cache) + buckets * sizeof(cache->table[0]));
    if (!cache)
        return NULL;
    cache->max = max;
    cache->buckets = buckets;
    list_init(&cache->uses);
    return cache;
}

static struct cache_entry **place_of(struct cache *cache, const char *name, uint64_t hash)
{
    struct cache_entry **place = &cache->table[hash & (cache->buckets - 1)];

    while (*place && ((*place)->hash != hash || strcmp((*place)->name, name) != 0))
        place = &(*place)->next;
    return place;
}

static void remove_at(struct cache *cache, struct cache_entry **place)
{
    struct cache_entry *entry = *place;

    *place = entry->next;
    list_remove(&entry->use);
    cache->count--;
    weir__free(entry->list);
    weir__free(entry);
}

static void remove_oldest(struct cache *cache)
{
    struct cache_entry *entry = container_of(cache->uses.next, struct cache_entry, use);

    remove_at(cache, place_of(cache, entry->name, entry->hash));
}

void weir__cache_free(struct cache *cache)
{
    if (!cache)
        return;
    while (cache->count)
        remove_oldest(cache);
    weir__free(cache);
}

bool weir__cache_get(struct cache *cache, const char *name, int64_t now, struct found *ret)
{
    struct cache_entry **place = place_of(cache, name, hash_of(name));
    struct cache_entry *entry = *place;

    if (!entry)
        return false;
    if (entry->expires <= now) {
        remove_at(cache, place);
        return false;
    }
    list_remove(&entry->use);
    list_append(&cache->uses, &entry->use);
    ret->code = entry->code;
    ret->count = entry->count;
    ret->why[0] = '\0';
    if (entry->count)
        memcpy(ret->list, entry->list, entry->count * sizeof(entry->list[0]));
    return true;
}

void weir__cache_put(struct cache *cache, const char *name, int64_t expires,
                     const struct found *found)
{
    uint64_t hash = hash_of(name);
    struct cache_entry **place = place_of(cache, name, hash);
    size_t bytes = found->count * sizeof(found->list[0]);
    struct cache_entry *entry;

    if (*place)
        remove_at(cache, place);
    if (cache->count >= cache->max)
        remove_oldest(cache);
    entry = weir__calloc(1, sizeof(*entry) + strlen(name) + 1);
    if (!entry)
        return;
    if (bytes) {
        entry->list = weir__malloc(bytes);
        if (!entry->list) {
            weir__free(entry);
            return;
        }
        memcpy(entry->list, found->list, bytes);
    }
    memcpy(entry->name, name, strlen(name) + 1);
    entry->hash = hash;
    entry->expires = expires;
    entry->code = found->code;
    entry->count = (uint32_t)found->count;
    place = place_of(cache, name, hash);
    entry->next = *place;
    *place = entry;
    list_append(&cache->uses, &entry->use);
    cache->count++;
}
