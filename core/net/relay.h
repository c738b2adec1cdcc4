/* SPDX-License-Identifier: Apache-2.0 */
/* A relay from inside. A direction is named by the side that it comes from. */
#ifndef WEIR_CORE_NET_RELAY_H
#define WEIR_CORE_NET_RELAY_H

#include <weir/relay.h>

#include "core/net/transport.h"

/* Bulky chunks before a direction is spliced, where another undoes two of them: what takes less is not
   worth two descriptors. */
#define RELAY_SPLICE_AFTER 32
#define RELAY_BULKY        (WEIR_CHUNK_SIZE / 2)

struct relay_splice;

struct relay {
    weir_transport *sides[2]; /* NULL once lost */
    weir_error *reason;       /* of the first that failed */
    int first;                /* which side ended first; -1: none yet */
    bool started;
    bool no_splice;       /* it failed once */
    bool write_paused[2]; /* that side's queue is above its mark */
    bool wants_splice[2]; /* as soon as nothing comes by chunks, and what is queued has been sent */
    bool drained[2];      /* nothing comes by chunks from that side */
    uint32_t high[2], low[2]; /* of that side, to be restored */
    uint8_t bulk[2];          /* chunks that speak for splicing */
    struct relay_splice *splices[2];
    void (*done)(void *arg, int first, const weir_error *reason);
    void *arg;
};

/* The protocol's state on each transport. */
struct relay_side {
    struct relay *relay;
    int index;
};

/* So much is spliced at once at most; tests make it less. */
extern size_t weir__relay_piece_max;
/* Bytes went by: decides whether the direction is to be spliced. */
void weir__relay_carried(struct relay *relay, int from, weir_transport *transport, size_t len);
/* For transports of relays only: nothing comes by chunks any more; splicing is worth another try. */
void weir__relay_drained(weir_transport *t);
void weir__relay_usable(weir_transport *t, unsigned events);
/* The receiver's queue is empty. True: spliced from now on, and reading stays paused. */
bool weir__relay_splice_start(struct relay *relay, int from);
/* One side is lost: nothing is moved any more. */
void weir__relay_splice_end(struct relay *relay);

#endif
