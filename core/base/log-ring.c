/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One ring of bytes per thread. Only its thread moves `head`, only the writer moves `tail`; both
 * count bytes for ever, and their difference is what is queued. A record does not wrap: where the
 * rest of the ring is too short, a mark says so and the record starts at the beginning.
 *
 * Rings are made at a thread's first record and linked for ever. A thread that ends leaves its ring;
 * the writer empties it and the next new thread takes it over. So there are as many rings as there
 * were ever threads at one time.
 */
#include "config.h"

#include <pthread.h>

#include "core/base/alloc.h"
#include "core/base/invariant.h"
#include "core/base/log.h"

static _Atomic(struct log_ring *) rings;
static _Atomic(uint64_t) lost; /* records of threads without a ring */
static __thread struct log_ring *mine;
static __thread bool ended; /* this thread's ring was left; its last words are counted */
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void leave(void *data)
{
    struct log_ring *ring = data;

    mine = NULL;
    ended = true;
    atomic_store_explicit(&ring->state, LOG_RING_LEFT, memory_order_release);
    weir__log_writer_wake();
}

static void make_key(void)
{
    if (pthread_key_create(&key, leave) != 0)
        weir__panic(WEIR_HERE, "pthread_key_create");
}

struct log_ring *weir__log_rings(void)
{
    return atomic_load_explicit(&rings, memory_order_acquire);
}

static struct log_ring *reuse(void)
{
    for (struct log_ring *ring = weir__log_rings(); ring; ring = ring->next) {
        int state = LOG_RING_FREE;

        if (atomic_compare_exchange_strong(&ring->state, &state, LOG_RING_USED))
            return ring;
    }
    return NULL;
}

static struct log_ring *make(void)
{
    struct log_ring *ring = weir__malloc(sizeof(*ring));

    if (!ring)
        return NULL;
    atomic_init(&ring->state, LOG_RING_USED);
    atomic_init(&ring->head, 0);
    atomic_init(&ring->tail, 0);
    atomic_init(&ring->dropped, 0);
    ring->read = ring->reported = 0;
    ring->next = atomic_load(&rings);
    while (!atomic_compare_exchange_weak(&rings, &ring->next, ring)) {
    }
    return ring;
}

struct log_ring *weir__log_ring(void)
{
    if (weir_likely(mine != NULL))
        return mine;
    if (ended)
        return NULL;
    pthread_once(&once, make_key);
    mine = reuse();
    if (!mine)
        mine = make();
    if (mine)
        pthread_setspecific(key, mine);
    return mine;
}

struct log_record *weir__log_ring_reserve(struct log_ring *ring, size_t size, bool urgent,
                                          uint64_t *ret_head)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    size_t at = head % LOG_RING_SIZE, rest = LOG_RING_SIZE - at;
    size_t skip = rest < size ? rest : 0;
    size_t room = LOG_RING_SIZE - (size_t)(head - tail);

    /* The last of the room is for errors: they are not dropped for what came before them. */
    if (skip + size + (urgent ? 0 : LOG_RING_RESERVE) > room) {
        atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
        return NULL;
    }
    if (skip) {
        /* The rest may be shorter than a whole head; these two words are in its first 8 bytes. */
        struct log_record *mark = (struct log_record *)(void *)(ring->data + at);

        mark->size = (uint32_t)skip;
        mark->nfields = LOG_WRAP;
        at = 0;
    }
    *ret_head = head + skip + size;
    return (struct log_record *)(void *)(ring->data + at);
}

void weir__log_ring_commit(struct log_ring *ring, uint64_t head)
{
    /* seq_cst: pairs with the writer, which says that it sleeps and then looks here. */
    atomic_store(&ring->head, head);
}

const struct log_record *weir__log_ring_peek(struct log_ring *ring)
{
    uint64_t head = atomic_load(&ring->head);
    const struct log_record *record;

    if (ring->read == head)
        return NULL;
    record = (const void *)(ring->data + ring->read % LOG_RING_SIZE);
    if (record->nfields != LOG_WRAP)
        return record;
    ring->read += record->size;
    return (const void *)ring->data;
}

void weir__log_ring_advance(struct log_ring *ring, const struct log_record *record)
{
    ring->read += record->size;
}

void weir__log_rings_forked(void)
{
    for (struct log_ring *ring = weir__log_rings(); ring; ring = ring->next) {
        uint64_t head = atomic_load(&ring->head);

        atomic_store(&ring->tail, head);
        atomic_store(&ring->dropped, 0);
        ring->read = head;
        ring->reported = 0;
        atomic_store(&ring->state, ring == mine ? LOG_RING_USED : LOG_RING_FREE);
    }
    atomic_store(&lost, 0);
}

void weir__log_count_lost(void)
{
    atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed);
}

uint64_t weir__log_lost(void)
{
    return atomic_load_explicit(&lost, memory_order_relaxed);
}
