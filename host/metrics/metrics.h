/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics: what is counted by each loop, added up by whoever looks, and written as Prometheus reads it.
 *
 *   count.c     what is counted of each request: blocks by route and by server, of each loop
 *   families.c  families of the program and its process, and what these files share
 *   families_traffic.c, families_loops.c   the others: a table each, and the values
 *   collect.c   the question "metrics": what only a loop may look at, then all of it as text
 *   text.c      the exposition format
 *
 * Label values come from the configuration or from fixed sets, never from clients; so there are as many
 * series as the configuration has parts.
 */
#ifndef WEIR_HOST_METRICS_METRICS_H
#define WEIR_HOST_METRICS_METRICS_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include <weir/listener.h>

#include "host/generation/traffic.h"

struct slot;
struct question_kind;

#define METRIC_CELLS  32 /* pairs of method and status in a block; more are counted as others */
#define METRIC_BOUNDS 14

/* 0.005 to 10 s, in ns: those that OpenTelemetry advises for requests. */
extern const int64_t weir__metric_bounds[METRIC_BOUNDS];

/* Written by its loop, read by any thread. */
struct metric_histogram {
    uint64_t counts[METRIC_BOUNDS + 1]; /* of each bucket alone; the last: all above */
    uint64_t sum_ns;
};

enum metric_kind { METRIC_ROUTE, METRIC_SERVER };

/* Of a route: how long requests took. Of a server: the phases. */
enum { METRIC_TOTAL, METRIC_CONNECT, METRIC_FIRST_BYTE, METRIC_HISTOGRAMS };

struct metric_cell {
    uint32_t key; /* method in the upper half, status in the lower */
    uint64_t count;
};

struct metric_block {
    struct metric_block *next; /* atomic */
    enum metric_kind kind;
    char *group, *name;         /* listener and route, or upstream and server */
    uint32_t n_cells;           /* atomic */
    struct metric_cell *latest; /* that was counted last: its loop's */
    struct metric_cell cells[METRIC_CELLS];
    uint64_t others; /* found no cell */
    uint64_t retries;
    struct metric_histogram histograms[METRIC_HISTOGRAMS];
};

struct metric_table;

/* Counts by the first part of the record, on a traffic loop. */
void weir__metrics_count(struct traffic *traffic, const struct slot *slot,
                         const weir_access_record *record);
/* The blocks of a loop; any thread. */
const struct metric_block *weir__metrics_first(const struct traffic *traffic);
void weir__metrics_free(struct traffic *traffic);
/* "GET"; "_OTHER" for what is no method of HTTP's own. */
const char *weir__metric_method(uint32_t key);

/* A configuration came into force, with its number, or one was rejected. Control loop. */
void weir__metrics_loaded(uint64_t generation, bool accepted);

struct metric_reload {
    uint64_t generation;
    bool accepted;
    double time; /* of the last one that was accepted, seconds since 1970 */
};

struct metric_reload weir__metrics_reload(void);

/* A text being written. */
struct exposition {
    FILE *out;
    const char *family;
};

/* The lines that begin a family. */
void weir__exposition_family(struct exposition *e, const char *name, const char *type,
                             const char *help);
/* `labels`: pairs of names and values, ended by NULL; `suffix`: "", "_bucket" and so on. */
void weir__exposition_sample(struct exposition *e, const char *suffix, const char *const *labels,
                             double value);
void weir__exposition_count(struct exposition *e, const char *const *labels, uint64_t value);
void weir__exposition_histogram(struct exposition *e, const char *const *labels,
                                const struct metric_histogram *histogram);

/* All that there is to say, by a host; `shares` are what loops gave, NULL for one that did not. */
struct metrics_view {
    struct weir_host *host;
    json_t *const *shares;
    unsigned n_shares;
    /* Added up over loops, sorted by kind, group and name. */
    struct metric_block *blocks;
    size_t n_blocks;
};

struct metric_family {
    const char *name, *type, *help;
    const char *labels; /* "listener, route"; for the manual */
    void (*write)(struct exposition *e, const struct metrics_view *view);
};

struct metric_families {
    const struct metric_family *families;
    size_t count;
};

extern const struct metric_families weir__metrics_of_program, weir__metrics_of_traffic,
    weir__metrics_of_loops;

size_t weir__process_open_fds(void);
/* The time of the start of this process, seconds since 1970. */
double weir__process_start_time(void);

#endif
