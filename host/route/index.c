/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building the index: at each level the candidates are spread over (mode, key) entries, the entries
 * sorted so that equal ones stand together, and each run of equal ones becomes a group with an
 * index of the next level below.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "host/route/routes.h"

uint64_t weir__route_hash_step(uint64_t hash, unsigned char byte)
{
    return (hash ^ byte) * 0x100000001b3u;
}

uint64_t weir__route_hash(weir_match_mode mode, weir_slice key)
{
    const unsigned char *bytes = key.data;
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < key.len; i++)
        hash = weir__route_hash_step(hash,
                                     mode == WEIR_MATCH_SUFFIX ? bytes[key.len - 1 - i] : bytes[i]);
    return hash;
}

struct entry {
    weir_match_key key;
    struct candidate candidate;
};

static int entry_compare(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order;

    if (x->key.mode != y->key.mode)
        return x->key.mode < y->key.mode ? -1 : 1;
    if (x->key.key.len != y->key.key.len)
        return x->key.key.len < y->key.key.len ? -1 : 1;
    order = x->key.key.len ? memcmp(x->key.key.data, y->key.key.data, x->key.key.len) : 0;
    if (order)
        return order;
    return x->candidate.route < y->candidate.route ? -1 : x->candidate.route > y->candidate.route;
}

static bool same_group(const struct entry *a, const struct entry *b)
{
    return a->key.mode == b->key.mode && weir_slice_equal(a->key.key, b->key.key);
}

/* The test that a level can answer for the route, and its place; NULL: none. */
static const struct match_test *indexable(const weir_route *route, const weir_matcher *matcher,
                                          unsigned *ret_place)
{
    unsigned place = 0;

    for (const struct match_test *test = route->tests; test; test = test->next, place++) {
        bool fits = test->matcher == matcher && !test->parameter.len && place < 32;

        for (size_t i = 0; fits && i < test->n_texts; i++)
            fits = test->texts[i].key.mode != WEIR_MATCH_TEST && test->texts[i].key.key.len < 65536;
        if (!fits)
            continue;
        *ret_place = place;
        return test;
    }
    return NULL;
}

static weir_error *build(weir_routes *routes, size_t level, const struct candidate *candidates,
                         size_t n, struct route_node **ret);

static weir_error *build_leaf(weir_routes *routes, const struct candidate *candidates, size_t n,
                              struct route_node **ret)
{
    struct route_node *node = weir__routes_alloc(routes, sizeof *node);

    if (node)
        node->candidates = weir__routes_alloc(routes, n * sizeof *candidates);
    if (!node || !node->candidates)
        return weir_raise(WEIR_ENOMEM, "routes");
    memcpy(node->candidates, candidates, n * sizeof *candidates);
    node->n_candidates = n;
    node->first = candidates[0].route;
    *ret = node;
    return NULL;
}

static void insert_group(struct route_node *node, const weir_match_key *key,
                         struct route_node *below)
{
    uint64_t hash = weir__route_hash(key->mode, key->key);
    size_t i = hash & (node->n_buckets - 1);

    while (node->groups[i].below)
        i = (i + 1) & (node->n_buckets - 1);
    node->groups[i] = (struct route_group){hash, key->mode, key->key, below};
}

static void add_length(uint16_t *lengths, size_t *count, size_t length)
{
    /* Entries come sorted by length, but for networks, whose length is in the key. */
    for (size_t i = 0; i < *count; i++)
        if (lengths[i] == length)
            return;
    lengths[(*count)++] = (uint16_t)length;
}

static void note_length(struct route_node *node, const weir_match_key *key)
{
    switch (key->mode) {
    case WEIR_MATCH_EXACT:
        node->has_exact = true;
        break;
    case WEIR_MATCH_PREFIX:
        add_length(node->prefixes, &node->n_prefixes, key->key.len);
        break;
    case WEIR_MATCH_SUFFIX:
        add_length(node->suffixes, &node->n_suffixes, key->key.len);
        break;
    case WEIR_MATCH_CIDR:
        add_length(node->cidrs, &node->n_cidrs, ((const unsigned char *)key->key.data)[16]);
        break;
    case WEIR_MATCH_TEST:
        break;
    }
}

/* How many lengths of a mode can occur: entries are sorted, so runs of one length are counted. */
static size_t count_lengths(const struct entry *entries, size_t n, weir_match_mode mode)
{
    size_t count = 0, last = SIZE_MAX;

    for (size_t i = 0; i < n; i++) {
        if (entries[i].key.mode != mode || entries[i].key.key.len == last)
            continue;
        last = entries[i].key.key.len;
        count++;
    }
    return count;
}

/* How many prefix lengths of networks can occur: there are 129. */
static size_t count_networks(const struct entry *entries, size_t n)
{
    size_t count = 0;

    for (size_t i = 0; i < n && count < 129; i++)
        count += entries[i].key.mode == WEIR_MATCH_CIDR;
    return count;
}

static weir_error *make_room(weir_routes *routes, struct route_node *node,
                             const struct entry *entries, size_t n)
{
    size_t n_groups = 0;

    for (size_t i = 0; i < n; i++)
        n_groups += i == 0 || !same_group(&entries[i - 1], &entries[i]);
    node->n_buckets = 2;
    while (node->n_buckets < n_groups * 2)
        node->n_buckets *= 2;
    node->groups = weir__routes_alloc(routes, node->n_buckets * sizeof *node->groups);
    node->prefixes = weir__routes_alloc(routes, (count_lengths(entries, n, WEIR_MATCH_PREFIX) + 1) *
                                                    sizeof(uint16_t));
    node->suffixes = weir__routes_alloc(routes, (count_lengths(entries, n, WEIR_MATCH_SUFFIX) + 1) *
                                                    sizeof(uint16_t));
    node->cidrs = weir__routes_alloc(routes, count_networks(entries, n) * sizeof(uint16_t));
    if (!node->groups || !node->prefixes || !node->suffixes || !node->cidrs)
        return weir_raise(WEIR_ENOMEM, "routes");
    return NULL;
}

static weir_error *build_groups(weir_routes *routes, size_t level, struct route_node *node,
                                const struct entry *entries, size_t n)
{
    struct candidate *run = calloc(n, sizeof *run);
    weir_error *error = run ? NULL : weir_raise(WEIR_ENOMEM, "routes");

    for (size_t i = 0, end; !error && i < n; i = end) {
        struct route_node *below = NULL;
        size_t count = 0;

        for (end = i; end < n && same_group(&entries[i], &entries[end]); end++)
            /* A route that names a text twice is one candidate. */
            if (!count || run[count - 1].route != entries[end].candidate.route)
                run[count++] = entries[end].candidate;
        error = build(routes, level + 1, run, count, &below);
        if (!error) {
            note_length(node, &entries[i].key);
            insert_group(node, &entries[i].key, below);
        }
    }
    free(run);
    return error;
}

static size_t spread(weir_routes *routes, const weir_matcher *matcher,
                     const struct candidate *candidates, size_t n, struct entry *entries,
                     struct candidate *any, size_t *ret_any)
{
    size_t n_entries = 0, n_any = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned place;
        const struct match_test *test =
            indexable(routes->routes[candidates[i].route], matcher, &place);

        if (!test) {
            if (any)
                any[n_any] = candidates[i];
            n_any++;
            continue;
        }
        for (size_t t = 0; t < test->n_texts; t++, n_entries++) {
            if (!entries)
                continue;
            entries[n_entries].key = test->texts[t].key;
            entries[n_entries].candidate =
                (struct candidate){candidates[i].route, candidates[i].verified | 1u << place};
        }
    }
    *ret_any = n_any;
    return n_entries;
}

/* The candidates of a level, spread. */
struct level {
    size_t number;
    uint32_t first;
    struct entry *entries;
    struct candidate *any;
    size_t n_entries, n_any;
};

static weir_error *build_level(weir_routes *routes, const struct level *level,
                               struct route_node **ret)
{
    const weir_matcher *matcher = routes->levels[level->number];
    struct route_node *node = weir__routes_alloc(routes, sizeof *node);

    if (!node)
        return weir_raise(WEIR_ENOMEM, "routes");
    qsort(level->entries, level->n_entries, sizeof *level->entries, entry_compare);
    node->matcher = matcher;
    node->first = level->first;
    for (unsigned i = 0; i < routes->n_slots; i++)
        if (routes->slots[i].matcher == matcher && !routes->slots[i].parameter.len)
            node->slot = i;
    WEIR_TRY(make_room(routes, node, level->entries, level->n_entries));
    WEIR_TRY(build_groups(routes, level->number, node, level->entries, level->n_entries));
    if (level->n_any)
        WEIR_TRY(build(routes, level->number + 1, level->any, level->n_any, &node->any));
    *ret = node;
    return NULL;
}

static weir_error *build(weir_routes *routes, size_t level, const struct candidate *candidates,
                         size_t n, struct route_node **ret)
{
    struct level l = {.number = level, .first = candidates[0].route};
    const weir_matcher *matcher;
    weir_error *error;

    if (level == routes->n_levels)
        return build_leaf(routes, candidates, n, ret);
    matcher = routes->levels[level];
    l.n_entries = spread(routes, matcher, candidates, n, NULL, NULL, &l.n_any);
    if (!l.n_entries)
        return build(routes, level + 1, candidates, n, ret);
    l.entries = calloc(l.n_entries, sizeof *l.entries);
    l.any = calloc(l.n_any + 1, sizeof *l.any);
    if (l.entries && l.any) {
        spread(routes, matcher, candidates, n, l.entries, l.any, &l.n_any);
        error = build_level(routes, &l, ret);
    } else {
        error = weir_raise(WEIR_ENOMEM, "routes");
    }
    free(l.entries);
    free(l.any);
    return error;
}

/* The matchers of highest rank that some route uses in an indexable way. */
static void choose_levels(weir_routes *routes)
{
    for (unsigned i = 0; i < routes->n_slots; i++) {
        const weir_matcher *matcher = routes->slots[i].matcher;
        size_t at;

        if (routes->slots[i].parameter.len || !(matcher->modes & ~(unsigned)WEIR_MATCH_TEST))
            continue;
        for (at = routes->n_levels; at > 0 && routes->levels[at - 1]->rank < matcher->rank; at--)
            if (at < ROUTES_LEVELS)
                routes->levels[at] = routes->levels[at - 1];
        if (at == ROUTES_LEVELS)
            continue;
        routes->levels[at] = matcher;
        if (routes->n_levels < ROUTES_LEVELS)
            routes->n_levels++;
    }
}

weir_error *weir__routes_seal(weir_routes *routes)
{
    struct candidate *all;
    weir_error *error;

    if (!routes->n_routes)
        return NULL;
    choose_levels(routes);
    all = calloc(routes->n_routes, sizeof *all);
    if (!all)
        return weir_raise(WEIR_ENOMEM, "routes");
    for (size_t i = 0; i < routes->n_routes; i++)
        all[i].route = (uint32_t)i;
    error = build(routes, 0, all, routes->n_routes, &routes->root);
    free(all);
    return error;
}
