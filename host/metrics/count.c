/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting requests. Each loop has a table of blocks, one for each route and each server that it met:
 * the first request allocates it, all others find it by the addresses of its names, which stay as long
 * as the configuration does. Names are compared too, so that an address which a later configuration uses
 * for something else leads to the right block. Blocks are never removed: counters outlive reloads.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "host/listener/listener.h"
#include "host/metrics/metrics.h"

#define FIRST_SLOTS 64

const int64_t weir__metric_bounds[METRIC_BOUNDS] = {
    5000000,   10000000,  25000000,   50000000,   75000000,   100000000,  250000000,
    500000000, 750000000, 1000000000, 2500000000, 5000000000, 7500000000, 10000000000};

struct place {
    const void *group, *name;
    struct metric_block *block; /* NULL: free */
};

struct metric_table {
    struct metric_block *first; /* atomic */
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

static uint32_t method_of(weir_slice method)
{
    for (uint32_t i = 1; i < METHOD_COUNT; i++)
        if (weir_slice_equal(method, weir_slice_str(methods[i])))
            return i;
    return 0;
}

static size_t hash_of(const void *group, const void *name)
{
    uint64_t a = (uint64_t)(uintptr_t)group, b = (uint64_t)(uintptr_t)name;

    return (size_t)(((a >> 4) * 0x9E3779B97F4A7C15ULL ^ (b >> 3) * 0xC2B2AE3D27D4EB4FULL) >> 24);
}

static struct place *place_of(struct metric_table *table, const void *group, const void *name)
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

static struct metric_block *find_or_make(struct metric_table *table, enum metric_kind kind,
                                         const char *group, const char *name)
{
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
    *place = (struct place){group, name, block};
    return block;
}

static struct metric_block *block_of(struct traffic *traffic, enum metric_kind kind,
                                     const char *group, const char *name)
{
    struct metric_table *table = traffic->metrics;
    const struct place *place;

    if (!table) {
        table = calloc(1, sizeof *table);
        if (!table)
            return NULL;
        __atomic_store_n(&traffic->metrics, table, __ATOMIC_RELEASE);
    }
    if (table->n_places) {
        place = place_of(table, group, name);
        if (place->block && is_block(place->block, kind, group, name))
            return place->block;
    }
    return find_or_make(table, kind, group, name);
}

static void count_cell(struct metric_block *block, uint32_t key)
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
    HOST_COUNT(block->cells[i].count, 1);
}

static void observe(struct metric_histogram *histogram, int64_t ns)
{
    unsigned i = 0;

    while (i < METRIC_BOUNDS && ns > weir__metric_bounds[i])
        i++;
    HOST_COUNT(histogram->counts[i], 1);
    HOST_COUNT(histogram->sum_ns, ns > 0 ? (uint64_t)ns : 0);
}

static void count_server(struct traffic *traffic, const weir_access_record *record, bool request)
{
    struct metric_block *block =
        block_of(traffic, METRIC_SERVER, record->upstream, record->server ? record->server : "");

    if (!block)
        return;
    if (record->retries)
        HOST_COUNT(block->retries, record->retries);
    if (record->connect_ns > 0)
        observe(&block->histograms[METRIC_CONNECT], record->connect_ns);
    if (!request)
        return;
    /* What came from the server: not the 502 that says that nothing came. */
    count_cell(block, record->first_byte_ns > 0 ? (uint32_t)record->status & 0xFFFF : 0);
    if (record->first_byte_ns > 0)
        observe(&block->histograms[METRIC_FIRST_BYTE], record->first_byte_ns);
    observe(&block->histograms[METRIC_TOTAL], record->duration_ns);
}

void weir__metrics_count(struct traffic *traffic, const struct slot *slot,
                         const weir_access_record *record)
{
    bool request = record->method.len || record->status;

    if (request) {
        struct metric_block *block =
            block_of(traffic, METRIC_ROUTE, slot->name, record->route ? record->route : "");

        if (block) {
            count_cell(block,
                       method_of(record->method) << 16 | ((uint32_t)record->status & 0xFFFF));
            observe(&block->histograms[METRIC_TOTAL], record->duration_ns);
        }
    }
    if (record->upstream)
        count_server(traffic, record, request);
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
