/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolver from inside. Per loop:
 *
 *     lookup (name) ──waiters──> weir_resolving …      one at a time per name, however many ask
 *         ├── query AAAA ┐
 *         └── query A    ┴ c-ares channel ── sockets by the backend's poll, one timer
 *     cache (name → entry), hosts (name → addresses), both without ports
 */
#ifndef WEIR_CORE_NET_RESOLVER_H
#define WEIR_CORE_NET_RESOLVER_H

#include <ares.h>

#include <weir/resolver.h>

#include "core/base/invariant.h"
#include "core/loop/loop.h"
#include "core/net/address.h"

/* Addresses of one name that are kept; more in an answer are left out. */
#define RESOLVER_ADDRESSES     32
#define RESOLVER_CACHE_DEFAULT 10000
/* Names that are looked up at the same time by one loop. */
#define RESOLVER_LOOKUPS_MAX 4096
/* How long hosts and resolv.conf count as fresh. */
#define RESOLVER_FILES_FRESH WEIR_S(10)

struct weir_addresses {
    uint32_t refs;
    uint32_t count;
    union address_small list[];
};

/* NULL without memory. `port` in host order. */
struct weir_addresses *weir__addresses_new(const union address_small *list, size_t count,
                                           uint16_t port);

struct resolver;

/* What a name was found to be: addresses, or why there are none. */
struct found {
    weir_code code; /* 0, WEIR_ENONAME, WEIR_EDNS, WEIR_ETIMEDOUT */
    size_t count;
    union address_small list[RESOLVER_ADDRESSES];
    int64_t ttl_ns;
    char why[80]; /* for errors: "SERVFAIL", … */
};

/* Cache (resolver_cache.c): least recently used goes first. */
struct cache;
struct cache *weir__cache_new(size_t max);
void weir__cache_free(struct cache *cache);
/* False: nothing fresh at `now`. */
bool weir__cache_get(struct cache *cache, const char *name, int64_t now, struct found *ret);
void weir__cache_put(struct cache *cache, const char *name, int64_t expires,
                     const struct found *found);

/* hosts and resolv.conf (resolver_files.c); read in an executor. */
struct hosts_line {
    union address_small address;
    char *name; /* lower case */
};

struct name_files {
    struct hosts_line *hosts;
    size_t host_count, host_room;
    char servers[1024]; /* "10.0.0.1:53,[::1]:53" for c-ares; "" none */
    char *domains[6];   /* `search` */
    int domain_count;
    int ndots;
};

struct name_files *weir__name_files_read(const char *hosts_path, const char *resolv_path);
void weir__name_files_free(struct name_files *files);
/* How many addresses the hosts file has for a name. */
size_t weir__name_files_find(const struct name_files *files, const char *name, struct found *ret);

/* Asking servers (resolver_ares.c). */
struct dns;
typedef void (*dns_done_fn)(void *arg, const struct found *found);

weir_error *weir__dns_new(weir_loop *loop, const weir_resolver_options *options,
                          const struct name_files *files, struct dns **ret) WEIR_MUST_USE;
/* Outstanding queries end with WEIR_ECANCELED. */
void weir__dns_free(struct dns *dns);
/* Both families; `done` once, possibly from inside. */
void weir__dns_ask(struct dns *dns, const char *name, dns_done_fn done, void *arg);

/* The order of RFC 6724 as far as it matters here: families alternate, v6 first unless this machine
   has no v6 address to send from. */
void weir__addresses_order(struct found *found);

/* Paths of the files; tests set them. Process-wide, before the first look-up. */
extern const char *weir__hosts_path, *weir__resolv_path;

#endif
