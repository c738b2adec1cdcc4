/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Durations and the monotonic clock. A duration is a struct, so `weir_sleep(5)` does not compile.
 *
 * Example:
 *
 *     static weir_error *every_second(void *arg)
 *     {
 *         weir_instant end = weir_instant_after(weir_now(), WEIR_MIN(5));
 *
 *         while (weir_now().ns < end.ns)
 *             WEIR_TRY(weir_sleep(WEIR_S(1)));
 *         return arg;
 *     }
 */
#ifndef WEIR_TIME_H
#define WEIR_TIME_H

#include <weir/base.h>

WEIR_BEGIN_DECLS

/** Nanoseconds. Negative counts as 0, which has expired at once. */
typedef struct weir_duration {
    int64_t ns;
} weir_duration;

/** A point on the monotonic clock, in nanoseconds. */
typedef struct weir_instant {
    int64_t ns;
} weir_instant;

#ifdef __cplusplus
#    define WEIR_NS(n) (weir_duration{static_cast<int64_t>(n)})
#else
#    define WEIR_NS(n) ((weir_duration){(int64_t)(n)})
#endif
#define WEIR_US(n)  WEIR_NS((int64_t)(n)*1000)
#define WEIR_MS(n)  WEIR_NS((int64_t)(n)*1000000)
#define WEIR_S(n)   WEIR_NS((int64_t)(n)*1000000000)
#define WEIR_MIN(n) WEIR_S((int64_t)(n)*60)
/** No deadline. The option parser stores `0` and `off` as this. */
#define WEIR_FOREVER WEIR_NS(INT64_MAX)

static inline bool weir_is_forever(weir_duration duration);
/** `start + duration`, saturating; WEIR_FOREVER gives an instant that never comes. */
static inline weir_instant weir_instant_after(weir_instant start, weir_duration duration);

/** The monotonic clock, read now. Inside a loop weir_loop_time() is cheaper. Any thread. */
WEIR_PUBLIC weir_instant weir_now(void);

/* inline definitions */

static inline bool weir_is_forever(weir_duration duration)
{
    return duration.ns == INT64_MAX;
}

static inline weir_instant weir_instant_after(weir_instant start, weir_duration duration)
{
    weir_instant sum;

    if (duration.ns < 0)
        duration.ns = 0;
    if (__builtin_add_overflow(start.ns, duration.ns, &sum.ns))
        sum.ns = INT64_MAX;
    return sum;
}

WEIR_END_DECLS

#endif
