/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A traffic loop as the rest of host/ sees it: its number selects this thread's share of every part
 * (uses, counters, pools), so that nothing on the way of a request is shared between threads.
 */
#ifndef WEIR_HOST_GENERATION_TRAFFIC_H
#define WEIR_HOST_GENERATION_TRAFFIC_H

#include <weir/loop.h>

#include "host/generation/list.h"

#define HOST_MAX_LOOPS  256
#define HOST_CACHE_LINE 64

struct lease_cache {
    struct weir_lease *free;
    unsigned count;
};

struct traffic {
    unsigned index;
    weir_loop *loop;
    bool draining;
    bool aborting;      /* the grace is over: what still runs is ended */
    bool rehearsal;     /* of a configuration's tests: nothing is recorded */
    struct hlist parts; /* entered on this loop, in order */
    struct lease_cache leases;
    struct metric_table *metrics; /* atomic; outlives the loop's thread */
    uint32_t names;               /* changes when an address may have become another part's name */
};

struct part;

/* This loop uses the part no more: tells the control loop. */
void weir__part_left(struct part *part, struct traffic *traffic);

/* The traffic loop of this thread; NULL elsewhere. */
struct traffic *weir__traffic(void);
void weir__traffic_enter(struct traffic *traffic);
/* Gives back what the loop had cached. */
void weir__traffic_leave(struct traffic *traffic);

/* A counter with one writing thread that others read. */
#define HOST_COUNT(counter, n)                                                        \
    __atomic_store_n(&(counter), __atomic_load_n(&(counter), __ATOMIC_RELAXED) + (n), \
                     __ATOMIC_RELAXED)

#endif
