/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers by name and type for as long as they are good, and a while longer for when servers fail: a
 * hash table with chains and a list by last use. The size is bounded; what was not used for longest
 * goes first.
 */
#include "config.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/net/resolver.h"

uint64_t weir__name_hash(const char *name, uint16_t type)
{
    uint64_t hash = 0xcbf29ce484222325u ^ type;

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

static struct cache_entry **place_of(struct cache *cache, const char *name, uint16_t type,
                                     uint64_t hash)
{
    struct cache_entry **place = &cache->table[hash & (cache->buckets - 1)];

    while (*place && ((*place)->hash != hash || (*place)->answer->type != type ||
                      strcmp((*place)->name, name) != 0))
        place = &(*place)->next;
    return place;
}

static void remove_at(struct cache *cache, struct cache_entry **place)
{
    struct cache_entry *entry = *place;

    *place = entry->next;
    list_remove(&entry->use);
    cache->count--;
    weir_dns_records_unref(entry->answer);
    weir__free(entry);
}

static void remove_entry(struct cache *cache, struct cache_entry *entry)
{
    remove_at(cache, place_of(cache, entry->name, entry->answer->type, entry->hash));
}

void weir__cache_free(struct cache *cache)
{
    if (!cache)
        return;
    weir__cache_drop(cache, NULL);
    weir__free(cache);
}

struct cache_entry *weir__cache_find(struct cache *cache, const char *name, uint16_t type,
                                     int64_t now)
{
    struct cache_entry **place = place_of(cache, name, type, weir__name_hash(name, type));
    struct cache_entry *entry = *place;

    if (!entry)
        return NULL;
    if (entry->dead <= now) {
        remove_at(cache, place);
        return NULL;
    }
    list_remove(&entry->use);
    list_append(&cache->uses, &entry->use);
    return entry;
}

void weir__cache_put(struct cache *cache, const char *name, answer *a, int64_t expires,
                     int64_t dead)
{
    uint64_t hash = weir__name_hash(name, a->type);
    struct cache_entry **place = place_of(cache, name, a->type, hash);
    struct cache_entry *entry;

    if (*place)
        remove_at(cache, place);
    if (cache->count >= cache->max) {
        remove_entry(cache, container_of(cache->uses.next, struct cache_entry, use));
        cache->evicted++;
    }
    entry = weir__calloc(1, sizeof(*entry) + strlen(name) + 1);
    if (!entry)
        return;
    memcpy(entry->name, name, strlen(name) + 1);
    entry->hash = hash;
    entry->expires = expires;
    entry->dead = dead;
    entry->answer = answer_ref(a);
    place = &cache->table[hash & (cache->buckets - 1)];
    entry->next = *place;
    *place = entry;
    list_append(&cache->uses, &entry->use);
    cache->count++;
}

size_t weir__cache_drop(struct cache *cache, const char *name)
{
    size_t n = 0;

    weir_list_foreach_safe(entry, &cache->uses, struct cache_entry, use) {
        if (!name || strcmp(entry->name, name) == 0) {
            remove_entry(cache, entry);
            n++;
        }
    }
    return n;
}

void weir__cache_limit(struct cache *cache, size_t max)
{
    cache->max = max;
    while (cache->count > max) {
        remove_entry(cache, container_of(cache->uses.next, struct cache_entry, use));
        cache->evicted++;
    }
}

void weir__cache_expire(struct cache *cache, int64_t now)
{
    weir_list_foreach_safe(entry, &cache->uses, struct cache_entry, use) {
        if (!entry->answer->count)
            remove_entry(cache, entry);
        else if (entry->expires > now)
            entry->expires = now;
    }
}
