/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many handshakes may be under way: a handshake costs a thousand times what a connection does, and
 * anybody can begin one. At the server's limit accepting rests; past an address's the connection is
 * refused. IPv6 counts by /64, which is what one subscriber has.
 */
#include "config.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/net/server.h"
#include "core/net/tls_engine.h"

#define BUCKETS 64

struct tls_limit {
    size_t count;
    struct list buckets[BUCKETS]; /* of engines, by the peer's address */
};

/* 0: no address, which is never limited. */
static uint64_t key_of(const weir_transport *t)
{
    uint64_t key = 0;

    if (t->peer.any.sa_family == AF_INET)
        key = (uint64_t)1 << 32 | t->peer.in.sin_addr.s_addr;
    else if (t->peer.any.sa_family == AF_INET6)
        memcpy(&key, &t->peer.in6.sin6_addr, sizeof(key));
    return key;
}

static struct list *bucket_of(struct tls_limit *limit, uint64_t key)
{
    return &limit->buckets[(key * 0x9E3779B97F4A7C15u) >> 58];
}

weir_error *weir__tls_limit_new(const weir_server_options *options, struct tls_limit **ret)
{
    struct tls_limit *limit;

    if (!options->tls || (!options->max_handshakes && !options->max_handshakes_per_address))
        return NULL;
    limit = weir__calloc(1, sizeof(*limit));
    if (!limit)
        return weir_raise(WEIR_ENOMEM, "server");
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&limit->buckets[i]);
    *ret = limit;
    return NULL;
}

bool weir__tls_limit_reached(const weir_server *server)
{
    return server->handshakes && server->options.max_handshakes &&
           server->handshakes->count >= server->options.max_handshakes;
}

weir_error *weir__tls_limit_check(const weir_server *server, const weir_transport *t)
{
    size_t max = server->options.max_handshakes_per_address, count = 0;
    uint64_t key = key_of(t);

    if (!server->handshakes || !max || !key)
        return NULL;
    weir_list_foreach(wait, bucket_of(server->handshakes, key), struct tls_wait, link)
        count += key_of(wait->engine->transport) == key;
    if (count < max)
        return NULL;
    return WEIR_RAISE_FAST(WEIR_ELIMIT, "%lld TLS handshakes of this address are under way",
                           (int64_t)count);
}

void weir__tls_limit_enter(weir_server *server, weir_transport *t)
{
    if (!server->handshakes)
        return;
    server->handshakes->count++;
    list_append(bucket_of(server->handshakes, key_of(t)), &t->tls->wait->link);
}

void weir__tls_limit_leave(weir_server *server, weir_transport *t)
{
    if (!server->handshakes)
        return;
    server->handshakes->count--;
    list_remove(&t->tls->wait->link);
    weir__server_update_accepting(server);
}
