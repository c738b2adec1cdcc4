/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Name resolution that never blocks a loop and never uses a pool for look-ups: c-ares for DNS; hosts
 * and resolv.conf are read in the loop's DNS executor and read again when they have changed.
 *
 * A name goes through: literal ("192.0.2.7", "fe80::1%eth0"), localhost, the hosts file, then DNS by
 * the search list and `ndots` of resolv.conf; a trailing dot says that the name is complete. Each
 * question (name and type) is asked once however many want its answer, and is kept as long as its TTL
 * says, within min_ttl and max_ttl. When servers fail, an answer that has expired is better than none:
 * it is given for up to max_stale more while the servers are asked again in the background.
 * Addresses come in the order of RFC 6724, by the source addresses that this machine would use.
 *
 * Calls belong to the thread of the loop (B2). Limits: names of 253 bytes, 64 records of an answer,
 * 16 aliases in a row, max_queries questions at a time. Cancelling detaches the one who asked; the
 * question goes on for the others and for the cache. In debug mode the logger weir.dns tells how long
 * each look-up took, from 100 ms on at INFO (B6).
 *
 * Example:
 *
 *     static weir_error *look_around(void *arg)
 *     {
 *         weir_auto(weir_addresses) addresses = NULL;
 *         weir_auto(weir_dns_records) records = NULL;
 *
 *         WEIR_TRY(weir_resolve("example.org", 443, &addresses));
 *         *(size_t *)arg = weir_addresses_count(addresses);
 *         WEIR_TRY(weir_dns_query("_https._tcp.example.org", WEIR_DNS_SRV, &records));
 *         for (size_t i = 0; i < weir_dns_records_count(records); i++) {
 *             const weir_dns_record *srv = weir_dns_records_get(records, i);
 *
 *             weir_log(weir_logger_get("app"), WEIR_LOG_INFO, "%s:%u", (const char *)srv->data.data,
                      srv->port);
 *         }
 *         return NULL;
 *     }
 */
#ifndef WEIR_RESOLVER_H
#define WEIR_RESOLVER_H

#include <weir/slice.h>
#include <weir/task.h>
#include <weir/time.h>

struct sockaddr;

WEIR_BEGIN_DECLS

/** Which family comes first. */
typedef enum weir_resolver_prefer {
    WEIR_PREFER_AUTO, /**< as RFC 6724 orders them */
    WEIR_PREFER_IPV4,
    WEIR_PREFER_IPV6
} weir_resolver_prefer;

typedef struct weir_resolver_options {
    size_t size;
    const char *servers;   /**< "10.0.0.1,10.0.0.2:5353,[::1]:53"; NULL: resolv.conf. Copied */
    weir_duration timeout; /**< of one try, doubled for each further one; 0: 2 s */
    unsigned tries;        /**< of each server; 0: 3 */
    size_t cache_entries;  /**< answers kept; 0: 10,000 */
    weir_duration min_ttl, max_ttl; /**< 0: 1 s, 1 h */
    weir_duration negative_ttl;     /**< "no such name" is kept at most that long; 0: 10 s */
    weir_resolver_prefer prefer;
    weir_duration max_stale; /**< 0: 1 day; negative: never */
    size_t max_queries;      /**< questions asked at a time; 0: 4096 */
} weir_resolver_options;

/** Addresses of a name, in the order to try. Immutable, reference-counted on its loop. */
typedef struct weir_addresses weir_addresses;

typedef struct weir_resolving weir_resolving;

/** How this loop resolves, from now on: questions under way end as they began; with other servers
 *  what is kept counts as expired. Errors: WEIR_EINVAL a server is no address; WEIR_ETHREAD,
 *  WEIR_ENOMEM. */
WEIR_PUBLIC weir_error *weir_resolver_configure(weir_loop *loop,
                                                const weir_resolver_options *options) WEIR_MUST_USE;

/**
 * Looks up the addresses of `host`, both families. Calls `done` exactly once, never inside this call;
 * it owns both arguments. `ret` NULL: not cancellable. Errors: WEIR_EINVAL no host name.
 * Errors for `done`: WEIR_ENONAME there is no address; WEIR_EDNS the servers failed; WEIR_ETIMEDOUT
 * they are silent; WEIR_EFULL max_queries; WEIR_ECANCELED the loop closes; WEIR_ENOMEM.
 */
WEIR_PUBLIC weir_error *weir_resolve_start(weir_loop *loop, const char *host, uint16_t port,
                                           void (*done)(weir_addresses *take,
                                                        weir_error *take_error, void *arg),
                                           void *arg, weir_resolving **ret) WEIR_MUST_USE;
/** Detaches: `done` is not called. Not after `done`. */
WEIR_PUBLIC void weir_resolving_cancel(weir_resolving *resolving);
/** Suspends the task, at most until the deadline of its scopes. Errors: as `done` above. */
WEIR_PUBLIC weir_error *weir_resolve(const char *host, uint16_t port,
                                     weir_addresses **ret) WEIR_MUST_USE;

/** Addresses in the order in which to try them. Borrowed; `index` is less than the count. */
WEIR_PUBLIC size_t weir_addresses_count(const weir_addresses *addresses);
WEIR_PUBLIC const struct sockaddr *weir_addresses_get(const weir_addresses *addresses, size_t index,
                                                      size_t *ret_length);
/** Whether `address` is one of them; ports do not count. */
WEIR_PUBLIC bool weir_addresses_has(const weir_addresses *addresses,
                                    const struct sockaddr *address);
/** How long they were good when they were handed out; WEIR_FOREVER: a literal, localhost or hosts. */
WEIR_PUBLIC weir_duration weir_addresses_ttl(const weir_addresses *addresses);
WEIR_PUBLIC weir_addresses *weir_addresses_ref(weir_addresses *addresses);
WEIR_PUBLIC void weir_addresses_unref(weir_addresses *addresses);

/** Types of records, by their numbers in DNS. */
typedef enum weir_dns_type {
    WEIR_DNS_A = 1,
    WEIR_DNS_PTR = 12,
    WEIR_DNS_TXT = 16,
    WEIR_DNS_AAAA = 28,
    WEIR_DNS_SRV = 33
} weir_dns_type;

typedef struct weir_dns_record {
    uint32_t ttl;                    /**< in seconds, as the server gave it */
    uint16_t priority, weight, port; /**< of SRV */
    /** A, AAAA: 4 or 16 bytes. PTR, SRV: a name in lower case without its last dot. TXT: its strings,
     *  joined. A NUL follows in each case. */
    weir_slice data;
} weir_dns_record;

/** The records of an answer, SRV by priority. Immutable, reference-counted on its loop. */
typedef struct weir_dns_records weir_dns_records;
typedef struct weir_dns_querying weir_dns_querying;

/**
 * Asks DNS for the records of exactly this name (no search list, no hosts file), aliases followed. PTR
 * takes an address too: "192.0.2.7" asks for 7.2.0.192.in-addr.arpa. `done` and errors as for
 * weir_resolve_start(); WEIR_EINVAL also for another type.
 */
WEIR_PUBLIC weir_error *weir_dns_query_start(weir_loop *loop, const char *name, weir_dns_type type,
                                             void (*done)(weir_dns_records *take,
                                                          weir_error *take_error, void *arg),
                                             void *arg, weir_dns_querying **ret) WEIR_MUST_USE;
/** Detaches: `done` is not called. Not after `done`. */
WEIR_PUBLIC void weir_dns_querying_cancel(weir_dns_querying *querying);
/** Suspends the task, at most until the deadline of its scopes. */
WEIR_PUBLIC weir_error *weir_dns_query(const char *name, weir_dns_type type,
                                       weir_dns_records **ret) WEIR_MUST_USE;
WEIR_PUBLIC size_t weir_dns_records_count(const weir_dns_records *records);
/** Borrowed; `index` is less than the count. */
WEIR_PUBLIC const weir_dns_record *weir_dns_records_get(const weir_dns_records *records,
                                                        size_t index);
WEIR_PUBLIC weir_dns_records *weir_dns_records_ref(weir_dns_records *records);
WEIR_PUBLIC void weir_dns_records_unref(weir_dns_records *records);

/** What the resolver of a loop did since it was made, in questions of one type each. */
typedef struct weir_resolver_stats {
    uint64_t queries;  /**< asked of servers */
    uint64_t hits;     /**< answered by the cache */
    uint64_t shared;   /**< joined a question that was being asked */
    uint64_t stale;    /**< answered by the cache past the TTL, for the servers failed */
    uint64_t no_name;  /**< answers: nothing by that name and type */
    uint64_t failed;   /**< servers failed or refused */
    uint64_t timeouts; /**< servers were silent */
    uint64_t evicted;  /**< answers dropped for lack of room */
    uint64_t files;    /**< hosts or resolv.conf were read */
    size_t in_flight, entries;
} weir_resolver_stats;

/** Zeroes when the loop has resolved nothing yet. Thread of the loop. */
WEIR_PUBLIC void weir_resolver_get_stats(weir_loop *loop, weir_resolver_stats *ret);

/** An answer of the cache. */
typedef struct weir_dns_cached {
    const char *name;
    weir_dns_type type;
    weir_code code;                  /**< 0, or WEIR_ENONAME */
    const weir_dns_records *records; /**< none when there is a code */
    weir_duration left;              /**< of its TTL; negative: expired, kept for lack of better */
} weir_dns_cached;

/** Visits the cache, least recently used first; `visit` returns false to end it and must not use the
 *  resolver. What it is given is borrowed for the call. Thread of the loop. */
WEIR_PUBLIC void weir_resolver_each(weir_loop *loop,
                                    bool (*visit)(const weir_dns_cached *cached, void *arg),
                                    void *arg);
/** Forgets the answers of a name, or all (NULL). Returns how many. Thread of the loop. */
WEIR_PUBLIC size_t weir_resolver_flush(weir_loop *loop, const char *name);

WEIR_DEFINE_CLEANUP(weir_addresses, weir_addresses_unref)
WEIR_DEFINE_CLEANUP(weir_dns_records, weir_dns_records_unref)

WEIR_END_DECLS

#endif
