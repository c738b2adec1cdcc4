/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every contender of `make bench-runtime` shares: the clocks around a row, the one line that
 * says the result, and the same random numbers for all.
 *
 *     contender ROW COUNT        prints "operations cpu_ns wall_ns"
 *     contender echo PORT        serves until it is killed; the runner counts its CPU time
 */
#ifndef WEIR_BENCH_MEASURE_H
#define WEIR_BENCH_MEASURE_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    CALLBACKS = 1000,     /* that take turns in the row "callbacks" */
    TIMERS = 1000 * 1000, /* pending in the row "timers" */
    MESSAGE = 64,         /* bytes of an echo */
    ECHO_BUFFER = 65536,  /* what a server receives into */
};

struct measure {
    int64_t cpu, wall;
};

static inline int64_t measure_clock(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline struct measure measure_begin(void)
{
    return (struct measure){measure_clock(CLOCK_PROCESS_CPUTIME_ID),
                            measure_clock(CLOCK_MONOTONIC)};
}

static inline void measure_end(struct measure began, uint64_t operations)
{
    printf("%" PRIu64 " %" PRId64 " %" PRId64 "\n", operations,
           measure_clock(CLOCK_PROCESS_CPUTIME_ID) - began.cpu,
           measure_clock(CLOCK_MONOTONIC) - began.wall);
    fflush(stdout);
}

/* xorshift: equal in all contenders, and cheap beside what is measured. */
static inline uint64_t measure_random(void)
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* A deadline far enough that no timer of the bench fires: 100 s to an hour, in ms. */
static inline uint64_t measure_timeout_ms(void)
{
    return 100000 + measure_random() % 3500000;
}

static inline void measure_fail(const char *what)
{
    perror(what);
    exit(1);
}

#endif
