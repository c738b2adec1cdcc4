/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions that a server keeps itself: of TLS 1.2 for clients without tickets, and all where tickets
 * are off. They stand beside the keys of tickets, for they are shared by the same contexts, go on when
 * a certificate is renewed, and open nothing that a ticket would not: OpenSSL compares the session's
 * context (set_session_context()) with both. So many are kept; the oldest makes room.
 */
#include "config.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/base/list.h"
#include "core/net/tls_engine.h"
#include "core/net/tls_session.h"

#define BUCKETS 1024u

struct kept {
    struct list in_bucket, in_order;
    SSL_SESSION *session; /* a reference */
};

struct tls_cache {
    pthread_mutex_t lock;
    size_t count;
    struct list order; /* the oldest first */
    struct list buckets[BUCKETS];
};

struct tls_cache *weir__tls_cache_new(void)
{
    struct tls_cache *cache = weir__calloc(1, sizeof(*cache));

    if (!cache)
        return NULL;
    pthread_mutex_init(&cache->lock, NULL);
    list_init(&cache->order);
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&cache->buckets[i]);
    return cache;
}

/* The ids of what is kept are random, and ours. */
static struct list *bucket_of(struct tls_cache *cache, const unsigned char *id, unsigned len)
{
    uint32_t hash = 0;

    memcpy(&hash, id, len < sizeof(hash) ? len : sizeof(hash));
    return &cache->buckets[hash % BUCKETS];
}

/* Under the lock, as the next. */
static struct kept *find(struct tls_cache *cache, const unsigned char *id, unsigned len)
{
    weir_list_foreach(kept, bucket_of(cache, id, len), struct kept, in_bucket) {
        unsigned n;
        const unsigned char *its = SSL_SESSION_get_id(kept->session, &n);

        if (n == len && memcmp(its, id, len) == 0)
            return kept;
    }
    return NULL;
}

static void drop(struct tls_cache *cache, struct kept *kept)
{
    list_remove(&kept->in_bucket);
    list_remove(&kept->in_order);
    cache->count--;
    SSL_SESSION_free(kept->session);
    weir__free(kept);
}

void weir__tls_cache_free(struct tls_cache *cache)
{
    if (!cache)
        return;
    weir_list_foreach_safe(kept, &cache->order, struct kept, in_order)
        drop(cache, kept);
    pthread_mutex_destroy(&cache->lock);
    weir__free(cache);
}

bool weir__tls_cache_add(struct tls_cache *cache, SSL_SESSION *session)
{
    struct kept *kept = weir__calloc(1, sizeof(*kept)), *old;
    unsigned len;
    const unsigned char *id = SSL_SESSION_get_id(session, &len);

    if (!kept)
        return false;
    kept->session = session;
    pthread_mutex_lock(&cache->lock);
    old = find(cache, id, len);
    if (!old && cache->count >= TLS_CACHE_SIZE)
        old = LIST_ENTRY_OR_NULL(cache->order.next, &cache->order, struct kept, in_order);
    if (old)
        drop(cache, old);
    list_append(bucket_of(cache, id, len), &kept->in_bucket);
    list_append(&cache->order, &kept->in_order);
    cache->count++;
    pthread_mutex_unlock(&cache->lock);
    return true;
}

SSL_SESSION *weir__tls_cache_find(struct tls_cache *cache, const unsigned char *id, unsigned len)
{
    SSL_SESSION *session = NULL;
    const struct kept *kept;

    pthread_mutex_lock(&cache->lock);
    kept = find(cache, id, len);
    if (kept && SSL_SESSION_up_ref(kept->session))
        session = kept->session;
    pthread_mutex_unlock(&cache->lock);
    return session;
}

void weir__tls_cache_remove(struct tls_cache *cache, const SSL_SESSION *session)
{
    unsigned len;
    const unsigned char *id = SSL_SESSION_get_id(session, &len);
    struct kept *kept;

    pthread_mutex_lock(&cache->lock);
    kept = find(cache, id, len);
    if (kept && kept->session == session)
        drop(cache, kept);
    pthread_mutex_unlock(&cache->lock);
}

/* OpenSSL's callbacks */

static struct tls_cache *cache_of(const SSL *ssl)
{
    return weir__tls_tickets_cache(tls_engine_of(ssl)->context->tickets);
}

/* 1 keeps the reference. It comes for sessions that went into tickets too. */
static int session_made(SSL *ssl, SSL_SESSION *take)
{
    if (SSL_version(ssl) == TLS1_3_VERSION && !(SSL_get_options(ssl) & SSL_OP_NO_TICKET))
        return 0;
    return weir__tls_cache_add(cache_of(ssl), take);
}

static SSL_SESSION *session_asked_for(SSL *ssl, const unsigned char *id, int len, int *ret_copy)
{
    *ret_copy = 0; /* the reference is taken already */
    return weir__tls_cache_find(cache_of(ssl), id, (unsigned)len);
}

/* It is too old, or something was wrong with its connection. */
static void session_dropped(SSL_CTX *ctx, SSL_SESSION *session)
{
    weir__tls_cache_remove(SSL_CTX_get_app_data(ctx), session);
}

void weir__tls_cache_use(struct tls_cache *cache, SSL_CTX *ctx)
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_app_data(ctx, cache);
    SSL_CTX_sess_set_new_cb(ctx, session_made);
    SSL_CTX_sess_set_get_cb(ctx, session_asked_for);
    SSL_CTX_sess_set_remove_cb(ctx, session_dropped);
}
