/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash map with chains under one mutex: used while configurations are prepared, and by plugins
 * that keep the pointer afterwards; never on the way of a request.
 */
#include "config.h"

#include "host/generation/durable.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define LINE 64 /* shares of loops begin on cache lines of their own */

/* In front of its state. */
struct durable {
    struct durable_map *map;
    struct durable *next_in_bucket, *older, *newer;
    uint64_t hash;
    size_t size, refs;
    weir_drop_fn drop;
    char *key; /* kind, NUL, identity */
    size_t key_len;
    _Alignas(LINE) unsigned char state[];
};

struct durable_map {
    pthread_mutex_t mutex;
    struct durable **buckets;
    size_t n_buckets, count;
    struct durable *latest;
};

static uint64_t hash_bytes(const char *bytes, size_t len)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    return hash;
}

weir_error *weir__durable_map_new(struct durable_map **ret)
{
    struct durable_map *map = calloc(1, sizeof *map);
    pthread_mutexattr_t attributes;

    if (!map)
        return weir_raise(WEIR_ENOMEM, "durable map");
    map->n_buckets = 64;
    map->buckets = calloc(map->n_buckets, sizeof *map->buckets);
    if (!map->buckets) {
        free(map);
        return weir_raise(WEIR_ENOMEM, "durable map");
    }
    /* Recursive: what makes or drops a state may ask for another, or let go of it. */
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&map->mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    *ret = map;
    return NULL;
}

static struct durable *entry_of(void *state)
{
    return (struct durable *)(void *)((unsigned char *)state - offsetof(struct durable, state));
}

static void durable_free(struct durable *entry)
{
    free(entry->key);
    free(entry);
}

void weir__durable_map_free(struct durable_map *map)
{
    if (!map)
        return;
    for (struct durable *entry = map->latest, *older; entry; entry = older) {
        older = entry->older;
        if (entry->drop)
            entry->drop(entry->state);
        durable_free(entry);
    }
    pthread_mutex_destroy(&map->mutex);
    free(map->buckets);
    free(map);
}

static void grow(struct durable_map *map)
{
    size_t n = map->n_buckets * 2;
    struct durable **buckets = calloc(n, sizeof *buckets);

    if (!buckets)
        return; /* longer chains, nothing worse */
    for (struct durable *entry = map->latest; entry; entry = entry->older) {
        entry->next_in_bucket = buckets[entry->hash & (n - 1)];
        buckets[entry->hash & (n - 1)] = entry;
    }
    free(map->buckets);
    map->buckets = buckets;
    map->n_buckets = n;
}

static void add(struct durable_map *map, struct durable *entry)
{
    if (map->count >= map->n_buckets)
        grow(map);
    entry->next_in_bucket = map->buckets[entry->hash & (map->n_buckets - 1)];
    map->buckets[entry->hash & (map->n_buckets - 1)] = entry;
    entry->older = map->latest;
    if (entry->older)
        entry->older->newer = entry;
    map->latest = entry;
    map->count++;
}

static struct durable *find(struct durable_map *map, const char *key, size_t len, uint64_t hash)
{
    struct durable *entry = map->buckets[hash & (map->n_buckets - 1)];

    while (entry && (entry->hash != hash || entry->key_len != len || memcmp(entry->key, key, len)))
        entry = entry->next_in_bucket;
    return entry;
}

static void take_out(struct durable_map *map, struct durable *entry)
{
    struct durable **at = &map->buckets[entry->hash & (map->n_buckets - 1)];

    while (*at != entry)
        at = &(*at)->next_in_bucket;
    *at = entry->next_in_bucket;
    if (entry->newer)
        entry->newer->older = entry->older;
    else
        map->latest = entry->older;
    if (entry->older)
        entry->older->newer = entry->newer;
    map->count--;
}

static weir_error *make_entry(char *take_key, size_t len, uint64_t hash, size_t size,
                              struct durable **ret)
{
    size_t whole = (sizeof(struct durable) + size + LINE) & ~(size_t)(LINE - 1);
    struct durable *entry = aligned_alloc(LINE, whole);

    if (!entry) {
        free(take_key);
        return weir_raise(WEIR_ENOMEM, "durable state");
    }
    memset(entry, 0, whole);
    entry->key = take_key;
    entry->key_len = len;
    entry->hash = hash;
    entry->size = size;
    *ret = entry;
    return NULL;
}

static weir_error *get_locked(struct durable_map *map, char *take_key, size_t len,
                              const struct durable_spec *spec, void **ret)
{
    uint64_t hash = hash_bytes(take_key, len);
    struct durable *entry = find(map, take_key, len, hash);
    weir_error *error;

    if (entry) {
        free(take_key);
        if (entry->size != spec->size)
            return weir_raise(WEIR_EINVALSTATE,
                              "durable state `%s` was made with %zu bytes, not %zu", spec->identity,
                              entry->size, spec->size);
        entry->refs++;
        *ret = entry->state;
        return NULL;
    }
    WEIR_TRY(make_entry(take_key, len, hash, spec->size, &entry));
    error = spec->make ? spec->make(entry->state, spec->arg) : NULL;
    if (error) {
        durable_free(entry);
        return error;
    }
    entry->drop = spec->drop;
    entry->map = map;
    entry->refs = 1;
    add(map, entry);
    *ret = entry->state;
    return NULL;
}

weir_error *weir__durable_get(struct durable_map *map, const struct durable_spec *spec, void **ret)
{
    size_t kind_len = strlen(spec->kind) + 1, identity_len = strlen(spec->identity) + 1;
    char *key = malloc(kind_len + identity_len);
    weir_error *error;

    if (!key)
        return weir_raise(WEIR_ENOMEM, "durable state");
    memcpy(key, spec->kind, kind_len);
    memcpy(key + kind_len, spec->identity, identity_len);
    pthread_mutex_lock(&map->mutex);
    error = get_locked(map, key, kind_len + identity_len, spec, ret);
    pthread_mutex_unlock(&map->mutex);
    return error;
}

void weir__durable_unref(void *state)
{
    struct durable *entry = state ? entry_of(state) : NULL;
    struct durable_map *map = entry ? entry->map : NULL;

    if (!entry)
        return;
    pthread_mutex_lock(&map->mutex);
    if (--entry->refs == 0) {
        take_out(map, entry);
        if (entry->drop)
            entry->drop(entry->state);
        durable_free(entry);
    }
    pthread_mutex_unlock(&map->mutex);
}

size_t weir__durable_count(struct durable_map *map)
{
    size_t count;

    pthread_mutex_lock(&map->mutex);
    count = map->count;
    pthread_mutex_unlock(&map->mutex);
    return count;
}
