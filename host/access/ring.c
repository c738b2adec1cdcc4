/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of bytes for each thread that has records: whole lines, which may wrap. Only the thread moves
 * `head`, only the writer moves `tail`; both count for ever. Rings are made at a thread's first record
 * and stay; a thread that ends leaves its ring to the next new one, as soon as it is written out.
 */
#include "config.h"

#include <pthread.h>
#include <stdlib.h>

#include "host/access/access.h"

enum { RING_FREE, RING_USED, RING_LEFT };

static _Atomic(struct access_ring *) rings;
static __thread struct access_ring *mine;
static pthread_key_t key;
static bool has_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void leave(void *data)
{
    struct access_ring *ring = data;

    mine = NULL;
    atomic_store_explicit(&ring->state, RING_LEFT, memory_order_release);
}

static void make_key(void)
{
    has_key = pthread_key_create(&key, leave) == 0;
}

struct access_ring *weir__access_rings(void)
{
    return atomic_load_explicit(&rings, memory_order_acquire);
}

/* One that nobody has any more, and that is written out. */
static struct access_ring *reuse(void)
{
    for (struct access_ring *ring = weir__access_rings(); ring; ring = ring->next) {
        int left = RING_LEFT;

        if (atomic_load(&ring->head) == atomic_load(&ring->tail) &&
            atomic_compare_exchange_strong(&ring->state, &left, RING_USED))
            return ring;
    }
    return NULL;
}

static struct access_ring *make(void)
{
    struct access_ring *ring = malloc(sizeof *ring);

    if (!ring)
        return NULL;
    /* All but the large arrays, which need not be touched now. */
    memset(ring, 0, offsetof(struct access_ring, scratch));
    atomic_init(&ring->state, RING_USED);
    ring->random = 0x9E3779B97F4A7C15ULL ^ (uint64_t)(uintptr_t)ring;
    ring->next = atomic_load(&rings);
    while (!atomic_compare_exchange_weak(&rings, &ring->next, ring)) {
    }
    return ring;
}

struct access_ring *weir__access_ring(void)
{
    if (mine)
        return mine;
    pthread_once(&once, make_key);
    mine = reuse();
    if (!mine)
        mine = make();
    if (mine && has_key)
        pthread_setspecific(key, mine);
    return mine;
}

bool weir__access_ring_put(struct access_ring *ring, const char *line, size_t len)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    size_t at = head % ACCESS_RING_SIZE;
    size_t first = len < ACCESS_RING_SIZE - at ? len : ACCESS_RING_SIZE - at;

    if (head - tail + len > ACCESS_RING_SIZE) {
        atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
        return false;
    }
    memcpy(ring->data + at, line, first);
    memcpy(ring->data, line + first, len - first);
    atomic_fetch_add_explicit(&ring->records, 1, memory_order_relaxed);
    /* Seen by the writer before it sleeps, or it is seen asleep: see weir__access_writer_poke(). */
    atomic_store(&ring->head, head + len);
    return true;
}
