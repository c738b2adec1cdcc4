/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Name resolution that never blocks a loop: c-ares for DNS, /etc/hosts read in an executor. Literals,
 * "localhost" and names of the hosts file need no server; answers are kept as long as their TTL says,
 * within bounds. One look-up per name serves all who ask. Calls belong to the thread of the loop (B2).
 * In debug mode the logger weir.dns tells how long each look-up took, from 100 ms on at INFO (B6).
 *
 * Example:
 *
 *     static weir_error *count_addresses(void *arg)
 *     {
 *         weir_auto(weir_addresses) addresses = NULL;
 *
 *         WEIR_TRY(weir_resolve("example.org", 443, &addresses));
 *         *(size_t *)arg = weir_addresses_count(addresses);
 *         return NULL;
 *     }
 */
#ifndef WEIR_RESOLVER_H
#define WEIR_RESOLVER_H

#include <weir/task.h>

struct sockaddr;

WEIR_BEGIN_DECLS

typedef struct weir_resolver_options {
    size_t size;
    const char *servers;   /**< "10.0.0.1,10.0.0.2:5353"; NULL: resolv.conf. Copied */
    weir_duration timeout; /**< of one try; 0: 2 s */
    unsigned tries;        /**< 0: 3 */
    size_t cache_entries;  /**< 0: 10,000 */
    weir_duration min_ttl, max_ttl, negative_ttl; /**< 0: 1 s, 1 h, 10 s */
} weir_resolver_options;

/** Addresses of a name, in the order to try. Immutable, reference-counted on its loop. */
typedef struct weir_addresses weir_addresses;

typedef struct weir_resolving weir_resolving;

/** How this loop resolves; to be called before its first look-up. */
WEIR_PUBLIC weir_error *weir_resolver_configure(weir_loop *loop,
                                                const weir_resolver_options *options) WEIR_MUST_USE;

/**
 * Looks up A and AAAA of `host` (a literal is answered without DNS). Calls `done` exactly once,
 * never inside this call; it owns both arguments.
 * Errors for `done`: WEIR_ENONAME, WEIR_EDNS, WEIR_ETIMEDOUT.
 */
WEIR_PUBLIC weir_error *weir_resolve_start(weir_loop *loop, const char *host, uint16_t port,
                                           void (*done)(weir_addresses *take,
                                                        weir_error *take_error, void *arg),
                                           void *arg, weir_resolving **ret) WEIR_MUST_USE;
/** Detaches: `done` is not called. Not after `done`. */
WEIR_PUBLIC void weir_resolving_cancel(weir_resolving *resolving);
/** Suspends the task. */
WEIR_PUBLIC weir_error *weir_resolve(const char *host, uint16_t port,
                                     weir_addresses **ret) WEIR_MUST_USE;

/** Addresses in the order in which to try them. Borrowed; `index` is less than the count. */
WEIR_PUBLIC size_t weir_addresses_count(const weir_addresses *addresses);
WEIR_PUBLIC const struct sockaddr *weir_addresses_get(const weir_addresses *addresses, size_t index,
                                                      size_t *ret_length);
WEIR_PUBLIC weir_addresses *weir_addresses_ref(weir_addresses *addresses);
WEIR_PUBLIC void weir_addresses_unref(weir_addresses *addresses);

WEIR_DEFINE_CLEANUP(weir_addresses, weir_addresses_unref)

WEIR_END_DECLS

#endif
