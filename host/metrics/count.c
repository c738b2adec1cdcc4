/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting requests. Each loop has a table of blocks, one for each route and each server that it met:
 * the first request allocates it, all others find it by the addresses of its names, which stay as long
 * as the configuration does. A later configuration may use an address for something else: the loop has a
 * number for that (struct traffic, `names`), which changes before anything new is in force on it, and the
 * first request after a change compares the names once. Blocks are never removed: counters outlive
 * reloads.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "host/listener/listener.h"
#include "host/metrics/metrics.h"

#define FIRST_SLOTS 64
#define NO_KEY      UINT32_MAX

const int64_t weir__metric_bounds[METRIC_BOUNDS] = {
    5000000,   10000000,  25000000,   50000000,   75000000,   100000000,  250000000,
    500000000, 750000000, 1000000000, 2500000000, 5000000000, 7500000000, 10000000000};

struct place {
    const void *group, *name;
    struct metric_block *block; /* NULL: free */
    uint32_t names;             /* of the loop, when the addresses were last seen to mean this */
};

/* What the request before was counted by: most are as that. */
struct same {
    const void *slot, *route, *upstream, *server;
    uint32_t names;
    struct metric_block *of_route, *of_server;
};

struct metric_table {
    struct metric_block *first; /* atomic */
    struct same same;
    struct place *places;
    size_t n_places, used; /* a power of two; at most half of it */
};

static const char *const methods[] = {"_OTHER", "GET",     "HEAD",    "POST",  "PUT",
                                      "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};

#define METHOD_COUNT (sizeof methods / sizeof *methods)

const char *weir__metric_method(uint32_t key)
{
    return methods[key >> 16 < METHOD_COUNT ? key >> 16 : 0];
}

static uint32_t known(weir_slice method, uint32_t index)
{
    return memcmp(method.data, methods[index], method.len) == 0 ? index : 0;
}

/* By length first; of two that are as long as each other, by the first letter that differs. */
static uint32_t method_of(weir_slice method)
{
    const char *text = method.data;

    switch (method.len) {
    case 3:
        return known(method, text[0] == 'G' ? 1 : 4);
    case 4:
        return known(method, text[0] == 'H' ? 2 : 3);
    case 5:
        return known(method, text[0] == 'T' ? 8 : 9);
    case 6:
        return known(method, 5);
    case 7:
        return known(method, text[0] == 'C' ? 6 : 7);
    default:
        return 0;
    }
}

static inline bool is_request(const weir_access_record *record)
{
    return record->method.len || record->status;
}

static inline size_t hash_of(const void *group, const void *name)
{
    uint64_t mixed = (uint64_t)(uintptr_t)name + ((uint64_t)(uintptr_t)group << 7);

    return (size_t)((mixed >> 3) * 0x9E3779B97F4A7C15ULL >> 32);
}

static inline struct place *place_of(struct metric_table *table, const void *group,
                                     const void *name)
{
    size_t mask = table->n_places - 1, at = hash_of(group, name) & mask;

    while (table->places[at].block &&
           (table->places[at].group != group || table->places[at].name != name))
        at = (at + 1) & mask;
    return &table->places[at];
}

static bool is_block(const struct metric_block *block, enum metric_kind kind, const char *group,
                     const char *name)
{
    return block->kind == kind && strcmp(block->name, name) == 0 &&
           strcmp(block->group, group) == 0;
}

static struct metric_block *block_new(struct metric_table *table, enum metric_kind kind,
                                      const char *group, const char *name)
{
    struct metric_block *block = calloc(1, sizeof *block);

    if (!block)
        return NULL;
    block->kind = kind;
    block->group = strdup(group);
    block->name = strdup(name);
    if (!block->group || !block->name) {
        free(block->group);
        free(block->name);
        free(block);
        return NULL;
    }
    block->latest = &block->cells[0];
    block->cells[0].key = NO_KEY;
    block->next = table->first;
    __atomic_store_n(&table->first, block, __ATOMIC_RELEASE);
    return block;
}

/* Twice the places; what was known by addresses of old configurations only is forgotten. */
static bool make_room(struct metric_table *table)
{
    size_t n = table->n_places, blocks = 0;
    struct place *places;

    if (table->used * 2 < n)
        return true;
    for (const struct metric_block *block = table->first; block; block = block->next)
        blocks++;
    n = n < FIRST_SLOTS ? FIRST_SLOTS : blocks * 4 > n ? n * 2 : n;
    places = calloc(n, sizeof *places);
    if (!places)
        return false;
    free(table->places);
    table->places = places;
    table->n_places = n;
    table->used = 0;
    return true;
}

/* The first time, or an address that meant something else until now. */
static struct metric_block *find_or_make(struct traffic *traffic, enum metric_kind kind,
                                         const char *group, const char *name)
{
    struct metric_table *table = traffic->metrics;
    struct metric_block *block = table->first;
    struct place *place;

    while (block && !is_block(block, kind, group, name))
        block = block->next;
    if (!block)
        block = block_new(table, kind, group, name);
    if (!block || !make_room(table))
        return block;
    place = place_of(table, group, name);
    table->used += !place->block;
    *place = (struct place){group, name, block, traffic->names};
    return block;
}

static struct metric_block *block_of(struct traffic *traffic, enum metric_kind kind,
                                     const char *group, const char *name)
{
    struct metric_table *table = traffic->metrics;
    struct place *place;

    if (table->n_places) {
        place = place_of(table, group, name);
        if (place->block && place->block->kind == kind &&
            (place->names == traffic->names || is_block(place->block, kind, group, name))) {
            place->names = traffic->names;
            return place->block;
        }
    }
    return find_or_make(traffic, kind, group, name);
}

/* The blocks of what the record names. NULL: no memory. */
static const struct same *look_again(struct traffic *traffic, const struct slot *slot,
                                     const weir_access_record *record)
{
    struct metric_table *table = traffic->metrics;
    struct same *same;

    if (!table) {
        table = calloc(1, sizeof *table);
        if (!table)
            return NULL;
        __atomic_store_n(&traffic->metrics, table, __ATOMIC_RELEASE);
    }
    same = &table->same;
    *same = (struct same){.names = traffic->names - 1};
    if (is_request(record))
        same->of_route =
            block_of(traffic, METRIC_ROUTE, slot->name, record->route ? record->route : "");
    if (record->upstream)
        same->of_server = block_of(traffic, METRIC_SERVER, record->upstream,
                                   record->server ? record->server : "");
    /* What is no request has no block of a route: it is not what the next one can be like. */
    if (is_request(record) && same->of_route && (same->of_server || !record->upstream)) {
        same->slot = slot;
        same->route = record->route;
        same->upstream = record->upstream;
        same->server = record->server;
        same->names = traffic->names;
    }
    return same;
}

static inline const struct same *blocks_of(struct traffic *traffic, const struct slot *slot,
                                           const weir_access_record *record)
{
    const struct metric_table *table = traffic->metrics;

    if (table && table->same.server == record->server && table->same.route == record->route &&
        table->same.upstream == record->upstream && table->same.slot == slot &&
        table->same.names == traffic->names)
        return &table->same;
    return look_again(traffic, slot, record);
}

static void count_other_cell(struct metric_block *block, uint32_t key)
{
    uint32_t n = block->n_cells, i = 0;

    while (i < n && block->cells[i].key != key)
        i++;
    if (i == n) {
        if (n == METRIC_CELLS) {
            HOST_COUNT(block->others, 1);
            return;
        }
        block->cells[i].key = key;
        __atomic_store_n(&block->n_cells, n + 1, __ATOMIC_RELEASE);
    }
    block->latest = &block->cells[i];
    HOST_COUNT(block->latest->count, 1);
}

static inline void count_cell(struct metric_block *block, uint32_t key)
{
    struct metric_cell *cell = block->latest;

    if (cell->key == key)
        HOST_COUNT(cell->count, 1);
    else
        count_other_cell(block, key);
}

static inline unsigned bucket_of(int64_t ns)
{
    unsigned i = 0;

    while (i < METRIC_BOUNDS && ns > weir__metric_bounds[i])
        i++;
    return i;
}

static inline void observe(struct metric_histogram *histogram, unsigned bucket, int64_t ns)
{
    HOST_COUNT(histogram->counts[bucket], 1);
    HOST_COUNT(histogram->sum_ns, (uint64_t)(ns > 0 ? ns : 0));
}

static inline void count_server(struct metric_block *block, const weir_access_record *record,
                                unsigned bucket)
{
    uint32_t status = 0; /* nothing came from the server: the 502 that says so is no answer of it */

    if (record->retries)
        HOST_COUNT(block->retries, record->retries);
    if (record->connect_ns > 0)
        observe(&block->histograms[METRIC_CONNECT], bucket_of(record->connect_ns),
                record->connect_ns);
    if (!is_request(record))
        return;
    if (record->first_byte_ns > 0) {
        status = (uint32_t)record->status & 0xFFFF;
        observe(&block->histograms[METRIC_FIRST_BYTE], bucket_of(record->first_byte_ns),
                record->first_byte_ns);
    }
    count_cell(block, status);
    observe(&block->histograms[METRIC_TOTAL], bucket, record->duration_ns);
}

void weir__metrics_count(struct traffic *traffic, const struct slot *slot,
                         const weir_access_record *record)
{
    const struct same *same = blocks_of(traffic, slot, record);
    unsigned bucket = bucket_of(record->duration_ns);

    if (!same)
        return;
    if (same->of_route && is_request(record)) {
        count_cell(same->of_route,
                   method_of(record->method) << 16 | ((uint32_t)record->status & 0xFFFF));
        observe(&same->of_route->histograms[METRIC_TOTAL], bucket, record->duration_ns);
    }
    if (same->of_server)
        count_server(same->of_server, record, bucket);
}

const struct metric_block *weir__metrics_first(const struct traffic *traffic)
{
    const struct metric_table *table = __atomic_load_n(&traffic->metrics, __ATOMIC_ACQUIRE);

    return table ? __atomic_load_n(&table->first, __ATOMIC_ACQUIRE) : NULL;
}

void weir__metrics_free(struct traffic *traffic)
{
    struct metric_table *table = WEIR_TAKE(traffic->metrics);

    if (!table)
        return;
    for (struct metric_block *block = table->first, *next; block; block = next) {
        next = block->next;
        free(block->group);
        free(block->name);
        free(block);
    }
    free(table->places);
    free(table);
}
