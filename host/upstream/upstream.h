/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upstreams inside host/: a part of the configuration (weir_upstream, immutable) over servers,
 * which are durable: found by the upstream's name and their address, with their health (shared,
 * atomic) and one pool of idle connections for each loop.
 */
#ifndef WEIR_HOST_UPSTREAM_UPSTREAM_H
#define WEIR_HOST_UPSTREAM_UPSTREAM_H

#include <pthread.h>

#include <weir/callback.h>
#include <weir/upstream.h>

#include "host/generation/list.h"
#include "host/generation/traffic.h"

struct durable_map;
struct health_spec;
struct part;

/* A server that failed is passed over for this long; then one connection tries it again. */
#define SERVER_FAIL_TIME_NS ((int64_t)10 * 1000 * 1000 * 1000)
/* So many failed responses in a row are a failure of the server. */
#define SERVER_MAX_BAD_RESPONSES 3
#define UPSTREAM_MAX_SERVERS     256

/* Idle connections of one loop to one server, the latest used first. */
struct pool {
    struct hlist idle;
    uint64_t security; /* of the connections that it keeps */
    unsigned users;    /* upstreams of this loop that have the server */
    unsigned n_idle;
    /* Written by the loop, read by others. */
    uint64_t active;                     /* leases that are there, or on their way */
    uint64_t leases, connects, failures; /* leases given; connections made, or not */
    weir_duration idle_timeout;
    bool has_timer;
    weir_timer timer;
    struct pool_names *names; /* NULL: the server is given by address */
} __attribute__((aligned(HOST_CACHE_LINE)));

/* What an operator said of a server. It outlives reloads, as its health does. */
enum server_override {
    SERVER_NO_OVERRIDE,
    SERVER_DRAINED,  /* no new connections nor requests; those in flight end by themselves */
    SERVER_DISABLED, /* the same, said to be for longer */
};

/* What the name of a server was found to be last. */
struct server_name_state {
    bool is_name;        /* false: an address, or not looked up yet */
    uint64_t lookups;    /* ended, by the first loop */
    size_t n_addresses;  /* 0: never found */
    char addresses[512]; /* "10.0.0.1, 2001:db8::1" */
    char error[160];     /* of the last look-up; "" it succeeded */
    weir_instant looked_at, next_at;
};

/* Why a server is as it is. */
struct server_story {
    weir_instant since;
    char why[200]; /* "GET /healthz → 503 (3 of 3)" */
};

struct server {
    char *upstream, *address;
    uint64_t hash; /* of the address */
    unsigned n_pools;
    pthread_mutex_t mutex; /* of the next three */
    struct server_name_state name_state;
    struct server_story passive_story, check_story;
    /* Shared by all loops, atomic. */
    int64_t down_until; /* passive health; 0: in order */
    int64_t up_since;   /* when it came back; 0: it never was away */
    unsigned bad_responses;
    bool checked_down;        /* its checks say so */
    int override;             /* enum server_override */
    uint32_t weight_override; /* one more than the weight; 0: none */
    uint64_t checks_passed, checks_failed;
    /* Of the control loop. */
    struct check *check; /* host/health; NULL: it is not checked */
    struct server_said *said;
    struct pool pools[] __attribute__((aligned(HOST_CACHE_LINE)));
};

/* The record of a connection to a server: the transport's context. */
struct upconn {
    const void *kind;          /* &weir__upconn_kind: contexts of other transports differ */
    weir_transport *transport; /* not a reference: the record goes with the transport */
    struct server *server;
    struct pool *pool;
    struct hlist link; /* in pool->idle */
    weir_lease *lease; /* NULL: idle */
    const weir_upstream_protocol *protocol;
    int64_t idle_since;
    uint64_t security;
    bool discarded;
};

extern const char weir__upconn_kind;

/* In the order of the words of `balance`. */
enum balance {
    BALANCE_ROUND_ROBIN,
    BALANCE_LEAST_CONN,
    BALANCE_RANDOM,
    BALANCE_HASH,
    BALANCE_IP_HASH
};

struct upstream_loop {
    unsigned next; /* whose turn it is */
    unsigned kept; /* one more than the choice that was not used; 0: none */
    uint64_t kept_key;
    uint64_t random; /* the last random number's seed */
    int64_t *credit; /* of each server, for turns by weight */
    uint64_t leases, retries;
} __attribute__((aligned(HOST_CACHE_LINE)));

struct upstream_protocol_config {
    const weir_protocol *protocol;
    const void *config;
};

struct weir_upstream {
    unsigned refs;     /* atomic */
    struct part *part; /* NULL: it is not a generation's */
    char *name;
    struct server **servers;
    uint32_t *weights; /* of each */
    size_t n_servers;
    enum balance balance;
    bool uneven;                    /* weights differ */
    weir_hash_key hash_key;         /* `source` NULL: none */
    weir_duration slow_start;       /* 0: none */
    weir_duration resolve_interval; /* 0: as long as its answer is good */
    weir_duration connect_timeout, response_timeout, idle_timeout;
    unsigned keepalive, retries;
    int64_t *credits;           /* of all loops */
    struct health_spec *health; /* NULL: no checks */
    bool speaks_tls;            /* its context may come later */
    weir_tls_context *tls;
    struct tls_watched *tls_watched; /* of its files, until its part has it */
    uint64_t security;               /* how servers are spoken to: another number, another way */
    char *server_name;               /* NULL: each server's host */
    struct upstream_protocol_config *protocol_configs;
    size_t n_protocol_configs;
    unsigned n_loops;
    struct upstream_loop loops[];
};

struct upstream_spec {
    const char *name;
    const char *const *addresses;
    const uint32_t *weights; /* of each; NULL: 1 */
    size_t n_addresses;
    enum balance balance;
    weir_hash_key hash_key; /* copied */
    weir_duration slow_start, resolve_interval;
    uint64_t seed;                    /* of chance */
    const struct health_spec *health; /* NULL: no checks; copied, but for its config */
    weir_duration connect_timeout, response_timeout, idle_timeout;
    unsigned keepalive, retries;
    bool speaks_tls;
    weir_tls_context *tls; /* referenced */
    const char *server_name;
    const struct upstream_protocol_config *protocol_configs; /* copied */
    size_t n_protocol_configs;
    unsigned n_loops;
};

weir_error *weir__upstream_new(const struct upstream_spec *spec, struct durable_map *durables,
                               weir_upstream **ret) WEIR_MUST_USE;
weir_upstream *weir__upstream_ref(weir_upstream *upstream);
void weir__upstream_unref(weir_upstream *upstream);

/* server.c: health. `now` is a reading of the monotonic clock. */
weir_error *weir__server_get(struct durable_map *durables, const char *upstream,
                             const char *address, unsigned n_loops,
                             struct server **ret) WEIR_MUST_USE;
/* Whether it may be used; after its time of being passed over, true for one caller only until it
 * worked or failed again. */
bool weir__server_usable(struct server *server, int64_t now);
/* True: it was in order before. */
bool weir__server_failed(struct server *server, int64_t now);
/* True: it was passed over before. */
bool weir__server_worked(struct server *server);
/* A response ended that way. True: the server has failed now. */
bool weir__server_response(struct server *server, weir_outcome outcome, int64_t now);

/* It came back: slow_start begins. */
void weir__server_back(struct server *server);
/* Its checks say that it is down, or up again. Control loop. */
void weir__server_check_says(struct server *server, bool down, const char *why);
/* Whatever it did is forgotten. */
void weir__server_forgive(struct server *server);
void weir__server_tell(struct server *server, struct server_story *story, const char *why);
struct server_story weir__server_story(struct server *server, const struct server_story *story);

/* balance.c */
struct tried_servers {
    uint64_t bits[UPSTREAM_MAX_SERVERS / 64];
};

struct pick {
    struct tried_servers tried;
    int64_t now;
    bool has_key;
    uint64_t key;
};

/* The server for the next connection; when none is usable, the one that has been failing longest.
 * False: all were tried, or are down by their checks, or taken out. */
bool weir__upstream_pick(weir_upstream *upstream, unsigned loop, const struct pick *pick,
                         size_t *ret_index);
/* A choice that was not used: the next one of the same key is this. */
void weir__upstream_keep(weir_upstream *upstream, unsigned loop, const struct pick *pick,
                         size_t index);
/* An operator's, or that of the configuration. */
uint32_t weir__server_weight(const weir_upstream *upstream, size_t index);
/* So many more servers have a weight of an operator. */
void weir__weight_overrides_add(int n);
uint64_t weir__hash_bytes(weir_slice bytes);
uint64_t weir__hash_mix(uint64_t x);

/* pool.c */
struct upconn *weir__pool_take(struct pool *pool, const weir_upstream_protocol *protocol);
/* Keeps the connection, or closes it when `limit` are kept. */
void weir__pool_put(struct pool *pool, struct upconn *conn, weir_duration idle_timeout,
                    unsigned limit);
/* Closes what is idle. */
void weir__pool_close_idle(struct pool *pool);
/* From now on it keeps connections made that way only. */
void weir__pool_secure(struct pool *pool, uint64_t security);
/* Closes what this loop keeps, and looks no names up any more. */
void weir__pool_clear(struct pool *pool);
/* Closes what it keeps to addresses that the server's name has no more. */
void weir__pool_drop_left(struct pool *pool);
/* For the loop's beginning: names of servers are looked up from now on, until the pools are cleared. */
weir_error *weir__upstream_enter(weir_upstream *upstream,
                                 const struct traffic *traffic) WEIR_MUST_USE;
/* The other end of it: what no other upstream of this loop has to do with any more is closed. */
void weir__upstream_leave(weir_upstream *upstream, const struct traffic *traffic);
/* Closes what the loop keeps of every server, when the loop ends. */
void weir__upstream_clear_pools(weir_upstream *upstream, const struct traffic *traffic);

/* names.c */
/* `interval` 0: as long as answers are good. Names that are looked up already take the new interval. */
weir_error *weir__pool_names_start(struct pool *pool, struct server *server, weir_duration interval,
                                   const struct traffic *traffic) WEIR_MUST_USE;
void weir__pool_names_stop(struct pool *pool);
/* Whether the server's name is known not to have the connection's address any more. */
bool weir__pool_address_left(const struct pool *pool, weir_transport *transport);
/* Any thread. False: the server is given by address, or has not been looked up yet. */
bool weir__server_name_state(struct server *server, struct server_name_state *ret);

/* lease.c */
void weir__lease_cache_free(struct lease_cache *cache);

#endif
