/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the connections of one loop share: the list of what is open, pools of queue entries and send
 * vectors, and whose bytes are being delivered right now. Hangs on the loop's NET slot.
 */
#ifndef WEIR_CORE_NET_NET_H
#define WEIR_CORE_NET_NET_H

#include <weir/transport.h>

#include "core/base/error.h"
#include "core/base/invariant.h"
#include "core/base/list.h"
#include "core/loop/loop.h"

/* iovecs in one send. */
#define SEND_VECTORS 64
/* Entries and vectors that a loop keeps for the next partial send. */
#define NET_KEEP_ENTRIES 1024
#define NET_KEEP_VECTORS 16
/* Connection ids that a loop takes at a time from the process. */
#define NET_ID_BATCH 4096

/* Writes up to this size, of so many transports at a time, may wait for the end of a dispatch. */
#define SOON_SIZE ((size_t)2048)
#define SOON_MAX  64

struct send_vector {
    struct send_vector *next; /* free */
    struct iovec iov[SEND_VECTORS];
};

/* Queued bytes and who gives them back. */
struct write_entry {
    struct write_entry *next;
    const char *data;
    size_t len;
    size_t room;       /* bytes after the data that may still be filled; private chunks only */
    weir_chunk *chunk; /* one reference; NULL: owned memory */
    weir_drop_fn release;
    void *owner;
    weir_transport *origin; /* whose chunk limit it counts against; a reference */
};

/* Transports whose small writes wait for the end of the dispatch (transport_soon.c). */
struct soon {
    unsigned count;
    size_t used;                          /* of the chunk */
    weir_chunk *chunk;                    /* where their bytes are; NULL: none yet */
    weir_transport *transports[SOON_MAX]; /* NULL: it was lost */
};

struct net {
    weir_loop *loop;
    struct io_backend *io;
    struct soon soon;
    struct list transports; /* of no server */
    struct list servers;
    struct list datagrams;
    struct datagram_batch *batch; /* of the loop's first datagram socket; NULL: none yet */
    struct list connecting;       /* of weir_connecting */
    size_t live;                  /* transports not dead */
    weir_transport *delivering;   /* inside whose data_received the loop is */
    struct write_entry *entries;
    struct send_vector *vectors;
    unsigned entries_kept, vectors_kept;
    bool closing;  /* the loop is: nothing is accepted any more */
    unsigned refs; /* the slot, and each transport and server: they may outlive the loop */
    uint64_t next_id, last_id;
    weir_logger *logger;
    weir_logger *trace; /* weir.transport: what happens to connections, in debug mode */
};

/* The state of a loop, made on first use. Errors: WEIR_ETHREAD, WEIR_ENOMEM, WEIR_ECLOSED. */
weir_error *weir__net_of(weir_loop *loop, struct net **ret) WEIR_MUST_USE;
struct net *weir__net_ref(struct net *net);
void weir__net_unref(struct net *net);

/* How our jobs are described in reports (repr.c). */
void weir__net_kinds_register(void);

/* From another thread: `release(object)` will run on the loop, or `drop(object)` when that closes. */
void weir__net_release_elsewhere(const struct net *net, weir_fn release, weir_drop_fn drop,
                                 void *object);

uint64_t weir__net_id(struct net *net);

/* NULL without memory. */
struct write_entry *weir__net_entry(struct net *net);
void weir__net_entry_free(struct net *net, struct write_entry *entry);
struct send_vector *weir__net_vector(struct net *net);
void weir__net_vector_free(struct net *net, struct send_vector *vector);

/* Whether an error of a connection says no more than that the peer or we ended it. Marks it read. */
bool weir__net_is_quiet(const weir_error *error);

/* A line of debug mode about a connection: "<Socket …> received EOF". Costs a load when off. */
#define TRANSPORT_TRACE(t, ...)                       \
    do {                                              \
        if (weir_unlikely(weir__thread_debug))        \
            weir__transport_trace(t, "" __VA_ARGS__); \
    } while (0)
void weir__transport_trace(const weir_transport *t, const char *format, ...) WEIR_PRINTF(2, 3);

static inline struct chunk_pool *net_pool(const struct net *net)
{
    return net->io->pool;
}

#endif
