/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Route tables: built once by adding routes and their tests, sealed into an index, then only read.
 *
 * The index is a tree with one level for each of the matchers of highest rank (host, then path, …).
 * A level groups routes by what their keys compiled to; routes without such a key are in `any`.
 * A look-up walks every group that the subject's values select and tests, in each leaf, the route
 * numbers below the best one so far.
 */
#ifndef WEIR_HOST_ROUTE_ROUTES_H
#define WEIR_HOST_ROUTE_ROUTES_H

#include <weir/error.h>
#include <weir/plugin.h>
#include <weir/route.h>

#define ROUTES_LEVELS        3
#define ROUTES_CACHED_VALUES 16
#define ROUTES_NONE          UINT32_MAX

struct compiled_text {
    weir_match_key key;
    void *compiled;
};

/* One match key of a route: true when any of its texts is. */
struct match_test {
    const weir_matcher *matcher;
    weir_slice parameter;
    unsigned slot; /* of (matcher, parameter), for values that were extracted */
    struct compiled_text *texts;
    size_t n_texts;
    bool shared; /* the texts belong to the test of a route around this one */
    struct match_test *next;
};

struct route_filter {
    const void *table;
    weir_instance *instance;
};

struct weir_route {
    uint32_t number;
    const char *name;
    const void *action;
    weir_instance *instance;
    struct route_filter *filters;
    size_t n_filters;
    struct match_test *tests;
    weir_route *next_holder;
};

/* A route in a leaf; the i-th bit of `verified` says that the index answers its i-th test. */
struct candidate {
    uint32_t route, verified;
};

struct route_group {
    uint64_t hash;
    weir_match_mode mode;
    weir_slice key;
    struct route_node *below; /* NULL: an empty bucket */
};

struct route_node {
    uint32_t first; /* lowest route number below */
    /* A leaf: */
    struct candidate *candidates;
    size_t n_candidates;
    /* A level: */
    const weir_matcher *matcher; /* NULL: a leaf */
    unsigned slot;
    struct route_node *any;
    struct route_group *groups; /* open addressing */
    size_t n_buckets;           /* a power of two */
    bool has_exact;
    uint16_t *prefixes, *suffixes, *cidrs; /* lengths that occur, ascending */
    size_t n_prefixes, n_suffixes, n_cidrs;
};

struct route_memory;

struct weir_routes {
    struct route_memory *memory;
    struct weir_route **routes;
    size_t n_routes, room;
    struct weir_route *holders;
    struct route_node *root;
    const weir_matcher *levels[ROUTES_LEVELS];
    size_t n_levels;

    struct {
        const weir_matcher *matcher;
        weir_slice parameter;
    } * slots;

    unsigned n_slots, slots_room;
};

weir_error *weir__routes_new(weir_routes **ret) WEIR_MUST_USE;
void weir__routes_free(weir_routes *routes);
/* Memory that goes with the table, zeroed; NULL without memory. */
void *weir__routes_alloc(weir_routes *routes, size_t size);
/* Adds a route after the others; strings are copied. */
weir_error *weir__routes_add(weir_routes *routes, const char *name, weir_route **ret) WEIR_MUST_USE;
/* A route that is never found, for the tests that the routes nested in it share. */
weir_error *weir__routes_add_holder(weir_routes *routes, weir_route **ret) WEIR_MUST_USE;
/* Adds a test; the texts (room for `n_texts`) are filled by the caller, their `compiled` then
 * belongs to the table, which drops it. */
weir_error *weir__route_add_test(weir_routes *routes, weir_route *route,
                                 const weir_matcher *matcher, weir_slice parameter, size_t n_texts,
                                 struct match_test **ret) WEIR_MUST_USE;
/* Copies a test, its compiled texts shared, for a route nested in the one that has it. */
weir_error *weir__route_share_test(weir_routes *routes, weir_route *route,
                                   const struct match_test *test) WEIR_MUST_USE;
/* Builds the index. */
weir_error *weir__routes_seal(weir_routes *routes) WEIR_MUST_USE;

/* Whether a subject passes one test, and the value that was looked at, if it has one. */
bool weir__route_test(const weir_routes *routes, const weir_subject *subject,
                      const struct match_test *test, bool *ret_has, weir_slice *ret_value);
/* Whether one text of a test fits a value that was extracted. */
bool weir__match_text(const weir_match_key *key, weir_slice value);
uint64_t weir__route_hash_step(uint64_t hash, unsigned char byte);
uint64_t weir__route_hash(weir_match_mode mode, weir_slice key);

/* client_ip.c: the matcher that host/ itself provides. */
extern const weir_matcher weir__client_ip_matcher;
/* facts.c: likewise. */
extern const weir_matcher weir__sni_matcher, weir__alpn_matcher, weir__protocol_matcher;
/* Parses "10.0.0.0/8" to 17 bytes. `ret_loose`: bits behind the prefix were set. */
bool weir__cidr_parse(const char *text, size_t len, unsigned char ret_key[17], bool *ret_loose);

#endif
