/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Routes, the matchers that protocols provide for them, and inspectors of first bytes.
 *
 * A route tests its match keys and leads to exactly one action; the first route that matches wins.
 * `host` indexes routes by what their matchers compiled, so that a look-up costs the length of the
 * values plus the candidates, whatever the number of routes.
 *
 * Example:
 *
 *     // A matcher: `tenant: acme` by what stands before the first dot of the server name.
 *     static bool compile(weir_config_context *context, weir_slice parameter, weir_slice text,
 *                         weir_match_key *ret_key, void **ret_compiled)
 *     {
 *         (void)context, (void)parameter, (void)ret_compiled;
 *         *ret_key = (weir_match_key){WEIR_MATCH_EXACT, text};
 *         return true;
 *     }
 *
 *     static bool extract(const weir_subject *subject, weir_slice parameter, weir_slice *ret_value)
 *     {
 *         (void)subject, (void)parameter;
 *         *ret_value = WEIR_SLICE("acme");
 *         return true;
 *     }
 *
 *     static const weir_matcher tenant = {
 *         WEIR_SIZED(weir_matcher), .name = "tenant", .modes = WEIR_MATCH_EXACT,
 *         .doc = "Customer: acme",  .compile = compile, .extract = extract};
 */
#ifndef WEIR_ROUTE_H
#define WEIR_ROUTE_H

#include <weir/option.h>
#include <weir/transport.h>

WEIR_BEGIN_DECLS

/** What matchers look at. Slices are borrowed for the look-up; empty where unknown. */
struct weir_subject {
    size_t size;
    weir_slice client_ip; /**< as text */
    weir_slice sni, alpn, protocol;
    const void *message; /**< of the protocol that routes, for its own matchers */
};

typedef enum weir_match_mode {
    WEIR_MATCH_EXACT = 1,
    WEIR_MATCH_PREFIX = 2,
    WEIR_MATCH_SUFFIX = 4,
    WEIR_MATCH_CIDR = 8,
    WEIR_MATCH_TEST = 16, /**< linear fallback: calls `test` */
} weir_match_mode;

/** What a match text compiled to; `key` lives as long as the routes. For CIDR: 17 bytes, the IPv6
 *  (mapped) address and the length of the prefix in bits. */
typedef struct weir_match_key {
    weir_match_mode mode;
    weir_slice key;
} weir_match_key;

/** Provides a key of `match:`. Static. */
typedef struct weir_matcher {
    size_t size;
    const char *name;     /**< "host"; the key in YAML */
    const char *protocol; /**< the protocol it belongs to; NULL: any */
    unsigned modes;       /**< or-ed weir_match_mode that compile may give */
    unsigned rank;        /**< the index of the highest rank is asked first */
    bool parameter;       /**< a map in YAML: `header: { Name: value }` */
    const char *doc;
    /** Compiles one text; memory from weir_config_alloc(). False: reported an error. */
    bool (*compile)(weir_config_context *context, weir_slice parameter, weir_slice text,
                    weir_match_key *ret_key, void **ret_compiled);
    weir_drop_fn drop; /**< of ret_compiled; may be NULL */
    /** The value to look up, canonicalised as compile does. False: it has none. */
    bool (*extract)(const weir_subject *subject, weir_slice parameter, weir_slice *ret_value);
    bool (*test)(const weir_subject *subject, weir_slice parameter, const void *compiled);
} weir_matcher;

/** The route table of a listener. Immutable. */
typedef struct weir_routes weir_routes;
typedef struct weir_route weir_route;

/** The first route that matches; NULL when none does. Allocates nothing. */
WEIR_PUBLIC const weir_route *weir_routes_find(const weir_routes *routes,
                                               const weir_subject *subject);
/** The table (its weir_extension's) and the instance of the route's action. */
WEIR_PUBLIC const void *weir_route_action(const weir_route *route, weir_instance **ret_instance);
/** The i-th filter, outermost first; NULL past the last. */
WEIR_PUBLIC const void *weir_route_filter(const weir_route *route, size_t index,
                                          weir_instance **ret_instance);
/** Its `name`, or "routes[2]". */
WEIR_PUBLIC const char *weir_route_name(const weir_route *route);

/** A look at first bytes under way. */
typedef struct weir_inspection weir_inspection;

typedef enum weir_look { WEIR_LOOK_NO, WEIR_LOOK_YES, WEIR_LOOK_MORE, WEIR_LOOK_AGAIN } weir_look;

typedef enum weir_fact { WEIR_FACT_SNI, WEIR_FACT_ALPN, WEIR_FACT_PROTOCOL } weir_fact;

/**
 * Looks at contiguous first bytes before routing (`inspect:`). Static. Those of a list are asked in
 * order, the first that does not say no decides: YES makes it the connection's protocol (unless it
 * has published another), MORE waits; at its limit MORE is NO. AGAIN, after it consumed or replied:
 * the list is asked anew with what is left. It is asked again with the same and more bytes, so it keeps
 * nothing but facts.
 */
typedef struct weir_inspector {
    size_t size;
    const char *name;
    size_t limit; /**< bytes it wants at most */
    const char *doc;
    /** `first_bytes` is not empty. */
    weir_look (*look)(weir_inspection *inspection, weir_slice first_bytes);
} weir_inspector;

/** Publishes a fact; copied. */
WEIR_PUBLIC weir_error *weir_inspection_set(weir_inspection *inspection, weir_fact fact,
                                            weir_slice value) WEIR_MUST_USE;
/** What has been published; empty: nothing. Borrowed until it is published again. */
WEIR_PUBLIC weir_slice weir_inspection_fact(const weir_inspection *inspection, weir_fact fact);
/** Answers the client, then WEIR_LOOK_AGAIN. */
WEIR_PUBLIC weir_error *weir_inspection_reply(weir_inspection *inspection,
                                              weir_slice data) WEIR_MUST_USE;
/** Drops bytes from the front. */
WEIR_PUBLIC void weir_inspection_consume(weir_inspection *inspection, size_t n);
/** What is to be sent to the upstream before the client's bytes, and the answer to expect. */
WEIR_PUBLIC weir_error *weir_inspection_preamble(weir_inspection *inspection, weir_slice send,
                                                 weir_slice expect) WEIR_MUST_USE;

WEIR_END_DECLS

#endif
