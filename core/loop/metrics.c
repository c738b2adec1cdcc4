/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a loop counts about itself, in every mode: two readings of the clock around a wait that may
 * sleep, one otherwise, and some additions. From the same readings comes the report of waits that
 * returned too late, which is no fault of a callback: the machine is overloaded, or slept.
 */
#include "config.h"

#include <string.h>

#include "core/base/mutate.h"
#include "core/loop/internal.h"

/* In debug mode at most this often a wait is logged. */
#define POLL_LOG_PERIOD_NS ((int64_t)100 * 1000000)

void weir__loop_count(weir_histogram *histogram, int64_t ns)
{
    uint64_t us = ns > 0 ? (uint64_t)ns / 1000 : 0;
    unsigned bucket = us ? 64u - (unsigned)__builtin_clzll(us) : 0;

    if (bucket >= WEIR_HISTOGRAM_BUCKETS)
        bucket = WEIR_HISTOGRAM_BUCKETS - 1;
    histogram->counts[bucket]++;
}

static double ms(int64_t ns)
{
    return (double)ns / 1e6;
}

/* Of a wait whose end could be foreseen: by how much it missed it. */
static int64_t overshoot_of(const weir_loop *loop, const struct poll *poll, int64_t took)
{
    if (poll->timeout < 0 || (loop->clock && loop->clock->before_wait))
        return 0;
    return took - poll->timeout;
}

static void report_overshoot(weir_loop *loop, const struct poll *poll, int64_t took,
                             int64_t overshoot)
{
    loop->metrics.overshoots++;
    weir_log(weir__loop_logger, WEIR_LOG_WARNING,
             "poll %.3f ms took %.3f ms: %d events (overshoot %.3f ms)", ms(poll->timeout),
             ms(took), poll->events, ms(overshoot));
}

static void log_poll(weir_loop *loop, const struct poll *poll, int64_t took)
{
    if (loop->head.now - loop->poll_logged < POLL_LOG_PERIOD_NS) {
        loop->polls_unlogged++;
        return;
    }
    loop->poll_logged = loop->head.now;
    if (poll->timeout < 0)
        weir_log(weir__loop_logger, WEIR_LOG_DEBUG,
                 "poll took %.3f ms: %d events (%llu polls not shown)", ms(took), poll->events,
                 (unsigned long long)loop->polls_unlogged);
    else
        weir_log(weir__loop_logger, WEIR_LOG_DEBUG,
                 "poll %.3f ms took %.3f ms: %d events (%llu polls not shown)", ms(poll->timeout),
                 ms(took), poll->events, (unsigned long long)loop->polls_unlogged);
    loop->polls_unlogged = 0;
}

void weir__loop_polled(weir_loop *loop, const struct poll *poll)
{
    int64_t now = loop->head.now, took = poll->began ? now - poll->began : 0;
    int64_t worked = now - took - loop->poll_ended, overshoot;

    loop->metrics.iterations++;
    loop->metrics.events += (uint64_t)poll->events;
    loop->metrics.idle.ns += took;
    loop->metrics.busy.ns += worked;
    weir__loop_count(&loop->metrics.work, worked);
    loop->poll_ended = now;
    if (!poll->began)
        return;
    weir__loop_count(&loop->metrics.wait, took);
    overshoot = overshoot_of(loop, poll, took);
    if (!MUTATED(B3) && weir_unlikely(overshoot > loop->overshoot_ns))
        report_overshoot(loop, poll, took, overshoot);
    if (weir_unlikely(loop->debug) && poll->timeout != 0 &&
        weir_logger_enabled(weir__loop_logger, WEIR_LOG_DEBUG))
        log_poll(loop, poll, took);
}

void weir_loop_set_poll_overshoot(weir_loop *loop, weir_duration limit)
{
    if (!weir__loop_allows(loop))
        return;
    loop->overshoot_ns = limit.ns;
}

void weir_loop_metrics_get(const weir_loop *loop, weir_loop_metrics *ret_metrics)
{
    size_t size = ret_metrics->size;
    weir_loop_metrics metrics;

    if (!weir__loop_allows(loop))
        return;
    metrics = loop->metrics;
    metrics.size = size;
    metrics.wakeups = atomic_load_explicit(&loop->wakeups, memory_order_relaxed);
    memcpy(ret_metrics, &metrics, size < sizeof(metrics) ? size : sizeof(metrics));
}
