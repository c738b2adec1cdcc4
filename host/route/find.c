/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Look-ups. Values are extracted once and kept on the stack; keys of every length that occurs are
 * found by hashing the value once, forwards for exact and prefix, backwards for suffix. Nothing is
 * allocated, and what has been found so far cuts off everything that comes later in the table.
 */
#include "config.h"

#include <string.h>

#include "host/route/routes.h"

struct look {
    const weir_routes *routes;
    const weir_subject *subject;
    uint32_t best;
    uint32_t known, has; /* bits of slots */
    weir_slice values[ROUTES_CACHED_VALUES];
};

static bool bits_equal(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    if (memcmp(a, b, bits / 8))
        return false;
    return bits % 8 == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - bits % 8) == 0;
}

bool weir__match_text(const weir_match_key *key, weir_slice value)
{
    const char *end = (const char *)value.data + value.len;

    switch (key->mode) {
    case WEIR_MATCH_EXACT:
        return weir_slice_equal(key->key, value);
    case WEIR_MATCH_PREFIX:
        return weir_slice_starts_with(value, key->key);
    case WEIR_MATCH_SUFFIX:
        return value.len >= key->key.len &&
               (!key->key.len || !memcmp(end - key->key.len, key->key.data, key->key.len));
    case WEIR_MATCH_CIDR:
        return value.len == 16 && key->key.len == 17 &&
               bits_equal(value.data, key->key.data, ((const unsigned char *)key->key.data)[16]);
    case WEIR_MATCH_TEST:
        break;
    }
    return false;
}

static bool value_of(struct look *look, const weir_matcher *matcher, weir_slice parameter,
                     unsigned slot, weir_slice *ret)
{
    bool has;

    if (slot >= ROUTES_CACHED_VALUES)
        return matcher->extract && matcher->extract(look->subject, parameter, ret);
    if (!(look->known >> slot & 1)) {
        has = matcher->extract && matcher->extract(look->subject, parameter, &look->values[slot]);
        look->known |= 1u << slot;
        look->has |= (uint32_t)has << slot;
    }
    *ret = look->values[slot];
    return look->has >> slot & 1;
}

static bool test_passes(struct look *look, const struct match_test *test)
{
    weir_slice value = {NULL, 0};
    bool has = value_of(look, test->matcher, test->parameter, test->slot, &value);

    for (size_t i = 0; i < test->n_texts; i++) {
        const struct compiled_text *text = &test->texts[i];

        if (text->key.mode == WEIR_MATCH_TEST) {
            if (test->matcher->test &&
                test->matcher->test(look->subject, test->parameter, text->compiled))
                return true;
        } else if (has && weir__match_text(&text->key, value)) {
            return true;
        }
    }
    return false;
}

static bool route_passes(struct look *look, const struct candidate *candidate)
{
    uint32_t verified = candidate->verified;

    for (const struct match_test *test = look->routes->routes[candidate->route]->tests; test;
         test = test->next, verified >>= 1)
        if (!(verified & 1) && !test_passes(look, test))
            return false;
    return true;
}

bool weir__route_test(const weir_routes *routes, const weir_subject *subject,
                      const struct match_test *test, bool *ret_has, weir_slice *ret_value)
{
    struct look look = {.routes = routes, .subject = subject, .best = ROUTES_NONE};
    bool passes = test_passes(&look, test);

    *ret_has = value_of(&look, test->matcher, test->parameter, test->slot, ret_value);
    return passes;
}

static void walk(struct look *look, const struct route_node *node);

static void probe(struct look *look, const struct route_node *node, weir_match_mode mode,
                  uint64_t hash, weir_slice key)
{
    size_t mask = node->n_buckets - 1;

    for (size_t i = hash & mask; node->groups[i].below; i = (i + 1) & mask) {
        const struct route_group *group = &node->groups[i];

        if (group->hash == hash && group->mode == mode && weir_slice_equal(group->key, key)) {
            walk(look, group->below);
            return;
        }
    }
}

static void probe_forwards(struct look *look, const struct route_node *node, weir_slice value)
{
    const unsigned char *bytes = value.data;
    uint64_t hash = weir__route_hash(WEIR_MATCH_EXACT, weir_slice_of(NULL, 0));
    size_t next = 0;

    if (!node->has_exact && !node->n_prefixes)
        return;
    for (size_t i = 0;; i++) {
        if (next < node->n_prefixes && node->prefixes[next] == i) {
            probe(look, node, WEIR_MATCH_PREFIX, hash, weir_slice_of(bytes, i));
            next++;
        }
        if (i == value.len || (!node->has_exact && next == node->n_prefixes))
            break;
        hash = weir__route_hash_step(hash, bytes[i]);
    }
    if (node->has_exact)
        probe(look, node, WEIR_MATCH_EXACT, hash, value);
}

static void probe_backwards(struct look *look, const struct route_node *node, weir_slice value)
{
    const unsigned char *end = (const unsigned char *)value.data + value.len;
    uint64_t hash = weir__route_hash(WEIR_MATCH_EXACT, weir_slice_of(NULL, 0));
    size_t done = 0;

    for (size_t i = 0; i < node->n_suffixes && node->suffixes[i] <= value.len; i++) {
        while (done < node->suffixes[i]) {
            done++;
            hash = weir__route_hash_step(hash, *(end - done));
        }
        probe(look, node, WEIR_MATCH_SUFFIX, hash, weir_slice_of(end - done, done));
    }
}

static void probe_networks(struct look *look, const struct route_node *node, weir_slice value)
{
    unsigned char key[17];

    if (value.len != 16)
        return;
    for (size_t i = 0; i < node->n_cidrs; i++) {
        unsigned bits = node->cidrs[i];

        memset(key, 0, sizeof key);
        memcpy(key, value.data, (bits + 7) / 8);
        if (bits % 8)
            key[bits / 8] &= (unsigned char)(0xff00u >> (bits % 8));
        key[16] = (unsigned char)bits;
        probe(look, node, WEIR_MATCH_CIDR,
              weir__route_hash(WEIR_MATCH_CIDR, weir_slice_of(key, sizeof key)),
              weir_slice_of(key, sizeof key));
    }
}

static void walk_leaf(struct look *look, const struct route_node *node)
{
    for (size_t i = 0; i < node->n_candidates; i++) {
        const struct candidate *candidate = &node->candidates[i];

        if (candidate->route >= look->best)
            return;
        if (route_passes(look, candidate)) {
            look->best = candidate->route;
            return;
        }
    }
}

static void walk(struct look *look, const struct route_node *node)
{
    weir_slice value;

    if (!node || node->first >= look->best)
        return;
    if (!node->matcher) {
        walk_leaf(look, node);
        return;
    }
    if (value_of(look, node->matcher, weir_slice_of(NULL, 0), node->slot, &value)) {
        probe_forwards(look, node, value);
        probe_backwards(look, node, value);
        probe_networks(look, node, value);
    }
    walk(look, node->any);
}

const weir_route *weir_routes_find(const weir_routes *routes, const weir_subject *subject)
{
    struct look look;

    /* Not the values: they are written before they are read. */
    look.routes = routes;
    look.subject = subject;
    look.best = ROUTES_NONE;
    look.known = look.has = 0;
    walk(&look, routes->root);
    return look.best == ROUTES_NONE ? NULL : routes->routes[look.best];
}

const void *weir_route_action(const weir_route *route, weir_instance **ret_instance)
{
    if (ret_instance)
        *ret_instance = route->instance;
    return route->action;
}

const void *weir_route_filter(const weir_route *route, size_t index, weir_instance **ret_instance)
{
    if (index >= route->n_filters)
        return NULL;
    if (ret_instance)
        *ret_instance = route->filters[index].instance;
    return route->filters[index].table;
}

const char *weir_route_name(const weir_route *route)
{
    return route->name;
}
