/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resolver from inside. Per loop:
 *
 *     weir_resolving ──ask AAAA──┐                 one for each who wants addresses
 *                    ──ask A────┐│
 *     weir_dns_querying ──ask──┐││
 *                           lookup (name, type)    one question under way, however many ask
 *                               │
 *                              dns                 c-ares: sockets by the backend's poll, one timer
 *     cache: (name, type) → answer                 hosts: name → addresses
 *
 * An answer is immutable and shared by the cache and all who got it.
 */
#ifndef WEIR_CORE_NET_RESOLVER_H
#define WEIR_CORE_NET_RESOLVER_H

#include <ares.h>

#include <weir/resolver.h>

#include "core/base/invariant.h"
#include "core/loop/loop.h"
#include "core/net/address.h"

/* Records of one answer; further ones are left out. Addresses of one name: both families. */
#define RESOLVER_RECORDS   64
#define RESOLVER_ADDRESSES ((size_t)2 * RESOLVER_RECORDS)
#define RESOLVER_ALIASES   16
#define RESOLVER_CACHE     10000
#define RESOLVER_QUERIES   4096
/* How long hosts and resolv.conf count as fresh before they are looked at again. */
#define RESOLVER_FILES_FRESH WEIR_S(5)
/* How long an answer that expired is good for when the servers have failed, before they are asked
   again, and how long one who asks waits for them before (RFC 8767 §5). */
#define RESOLVER_STALE_TTL  WEIR_S(5)
#define RESOLVER_STALE_WAIT WEIR_MS(1800)
/* How long IPv4 addresses wait for the IPv6 ones (RFC 8305 §3). */
#define RESOLVER_DELAY WEIR_MS(50)

struct weir_addresses {
    uint32_t refs;
    uint32_t count;
    weir_duration ttl;
    union address_small list[];
};

struct address_list {
    size_t count;
    union address_small list[RESOLVER_ADDRESSES];
};

/* NULL without memory. `port` in host order. */
struct weir_addresses *weir__addresses_new(const struct address_list *list, uint16_t port,
                                           weir_duration ttl);
/* Whether two name the same machine: family, address and scope. */
bool weir__address_same(const struct sockaddr *a, const struct sockaddr *b);

/* Answers */

struct weir_dns_records {
    uint32_t refs;
    uint16_t type;
    weir_code code;  /* 0, WEIR_ENONAME, WEIR_EDNS, WEIR_ETIMEDOUT, … */
    const char *why; /* of WEIR_EDNS; static */
    uint32_t ttl; /* seconds: the least on the way to the records, or the SOA's; UINT32_MAX none */
    uint32_t count;
    weir_dns_record list[]; /* then their bytes */
};

typedef struct weir_dns_records answer;

static inline answer *answer_ref(answer *a)
{
    a->refs++;
    return a;
}

/* Without records; NULL without memory. */
answer *weir__answer_failed(uint16_t type, weir_code code, const char *why);
/* What a message (of a server, or worse) says about the name and type, in lower case without the last
   dot. NULL without memory; a message that makes no sense is WEIR_EDNS (resolver_wire.c). */
answer *weir__answer_parse(const unsigned char *message, size_t len, const char *name,
                           uint16_t type);

/* Cache (resolver_cache.c): least recently used goes first. */
struct cache_entry {
    struct cache_entry *next; /* in the chain */
    struct list use;
    uint64_t hash;
    int64_t expires;  /* good until then */
    int64_t dead;     /* kept until then */
    int64_t retry_at; /* 0; the servers failed: as good until then */
    answer *answer;
    char name[];
};

struct cache {
    size_t max, count, buckets; /* buckets: a power of two */
    uint64_t evicted;
    struct list uses; /* least recent first */
    struct cache_entry *table[];
};

struct cache *weir__cache_new(size_t max);
void weir__cache_free(struct cache *cache);
/* What is kept at `now`, expired or not; NULL: nothing. */
struct cache_entry *weir__cache_find(struct cache *cache, const char *name, uint16_t type,
                                     int64_t now);
/* Keeps a reference; without memory it keeps nothing. */
void weir__cache_put(struct cache *cache, const char *name, answer *a, int64_t expires,
                     int64_t dead);
/* Returns how many; `name` NULL: all. */
size_t weir__cache_drop(struct cache *cache, const char *name);
/* Drops what is more than `max`, and keeps no more from now on. */
void weir__cache_limit(struct cache *cache, size_t max);
/* The servers changed: "no such name" is dropped, the rest is good until it can be asked again. */
void weir__cache_expire(struct cache *cache, int64_t now);
uint64_t weir__name_hash(const char *name, uint16_t type);

/* hosts and resolv.conf (resolver_files.c); read in an executor. */
struct hosts_line {
    union address_small address;
    char *name; /* lower case */
    size_t line;
};

struct file_mark {
    uint64_t device, inode, size;
    int64_t modified_ns;
};

struct name_files {
    struct hosts_line *hosts; /* by name, those of a name in the file's order */
    size_t host_count, host_room;
    char servers[1024]; /* "10.0.0.1:53,[::1]:53" for c-ares; "" none */
    char *domains[6];   /* `search` */
    int domain_count;
    int ndots;
    struct file_mark hosts_mark, resolv_mark;
};

/* NULL without memory. */
struct name_files *weir__name_files_read(const char *hosts_path, const char *resolv_path);
void weir__name_files_free(struct name_files *files);
/* Whether the files are still those that were read. */
bool weir__name_files_current(const struct file_mark *hosts, const struct file_mark *resolv,
                              const char *hosts_path, const char *resolv_path);
/* Fills `ret` with the addresses that the hosts file has for a name, in its order. */
size_t weir__name_files_find(const struct name_files *files, const char *name,
                             struct address_list *ret);
/* The n-th name to ask DNS for when `name` was wanted, by the search list; false: there is none. */
bool weir__name_candidate(const struct name_files *files, const char *name, unsigned n,
                          char ret[HOST_NAME_SIZE]);

/* Asking servers (resolver_ares.c). */
struct dns;
/* Owns `take`; NULL: no memory. */
typedef void (*dns_done_fn)(void *arg, answer *take);

/* Set-up of c-ares, once. */
weir_error *weir__dns_library(void) WEIR_MUST_USE;
weir_error *weir__dns_new(weir_loop *loop, const weir_resolver_options *options,
                          const struct name_files *files, struct dns **ret) WEIR_MUST_USE;
/* Outstanding queries end with WEIR_ECANCELED. */
void weir__dns_free(struct dns *dns);
/* Likewise once its queries have ended; it may be asked nothing more. Until then it is in the list. */
void weir__dns_retire(struct dns *dns, struct list *retired);
void weir__dns_free_retired(struct list *retired);
/* `done` once, possibly from inside. */
void weir__dns_ask(struct dns *dns, const char *name, uint16_t type, dns_done_fn done, void *arg);

/* Order (resolver_order.c): RFC 6724 §6. `source_of` says which address of ours would be used for a
   destination; false: none. NULL: asks the kernel. */
typedef bool (*source_fn)(const union address_small *destination, union address_small *ret);
void weir__addresses_sort(struct address_list *list, weir_resolver_prefer prefer,
                          source_fn source_of);

/* The resolver of a loop (resolver_lookup.c). */
struct resolver {
    weir_loop *loop;
    weir_resolver_options options;
    char *servers; /* the options' copy */
    struct cache *cache;
    struct dns *dns;
    struct list retired; /* channels whose queries still run */
    struct name_files *files;
    weir_future *loading;
    int64_t looked_at;        /* at the files */
    struct list unstarted;    /* resolvings and queryings that wait for the files */
    struct list asking;       /* that wait for answers */
    struct list ended;        /* whose job is queued */
    struct list lookups[256]; /* by hash */
    size_t lookup_count;
    weir_resolver_stats stats;
    bool closing;
};

/* Who waits for an answer. */
struct ask {
    struct list link; /* in a lookup; empty: nothing is asked */
    void (*answered)(struct ask *ask);
    answer *answer; /* a reference; NULL: not yet */
    int64_t good_until;
};

static inline bool ask_pending(const struct ask *ask)
{
    return !list_empty(&ask->link);
}

/* Detaches and forgets. */
void weir__ask_end(struct ask *ask);
/* From the cache: the answer is there on return. Else it is pending, and `answered` will be called
   from inside of c-ares or a timer, so it must only note and schedule. Errors: WEIR_EFULL,
   WEIR_ENOMEM, WEIR_EDNS there can be no channel. */
weir_error *weir__ask(struct resolver *r, const char *name, uint16_t type,
                      struct ask *ask) WEIR_MUST_USE;
void weir__lookups_free(struct resolver *r);

weir_error *weir__resolver_of(weir_loop *loop, struct resolver **ret) WEIR_MUST_USE;

/* One who wants something: the common part of resolvings and queryings (resolver.c). */
struct wanting {
    struct list link; /* in one of the resolver's lists */
    struct resolver *resolver;
    struct job job; /* tells */
    bool queued;    /* the job is */
    /* Knows the files now. */
    void (*start)(struct wanting *w);
    /* Its outcome is this error; by the job. */
    void (*fail)(struct wanting *w, weir_error *take_error);
    void (*free)(struct wanting *w);
};

/* Makes the resolver ready and calls `start` now, or when the files have been read. */
weir_error *weir__wanting_begin(struct wanting *w) WEIR_MUST_USE;
/* Queues the job. */
void weir__wanting_tell(struct wanting *w);
/* Whether it can be a name: labels of 1 to 63 bytes, 253 in all, a last dot. */
weir_error *weir__name_check(const char *name, size_t *ret_len) WEIR_MUST_USE;
weir_error *weir__answer_error(const answer *a, const char *name);

/* As weir_resolve_start(), and `some` is told once of addresses that are known before all are: IPv6
   ones at once, IPv4 ones after RESOLVER_DELAY. Loop thread, from the loop's callbacks. */
struct resolve_request {
    const char *host;
    uint16_t port;
    void (*some)(weir_addresses *take, void *arg); /* may be NULL */
    void (*done)(weir_addresses *take, weir_error *take_error, void *arg);
    void *arg;
};

weir_error *weir__resolve_start(weir_loop *loop, const struct resolve_request *request,
                                weir_resolving **ret) WEIR_MUST_USE;

/* Paths of the files; tests set them. Process-wide, before the first look-up. */
extern const char *weir__hosts_path, *weir__resolv_path;

#endif
