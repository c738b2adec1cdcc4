/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Callbacks and timers that live inside your own state, so that scheduling one allocates nothing
 * and cannot fail. Cancel or stop them before their memory goes; both are allowed inside `fn`.
 *
 * Example:
 *
 *     struct poller {
 *         weir_timer timer; // inside one's own state: starting it allocates nothing
 *         unsigned polls;
 *     };
 *
 *     static weir_error *poll_again(void *arg)
 *     {
 *         struct poller *poller = arg;
 *
 *         if (++poller->polls < 10)
 *             weir_timer_start(&poller->timer, WEIR_MS(100));
 *         return NULL;
 *     }
 *
 *     static void poller_begin(struct poller *poller, weir_loop *loop)
 *     {
 *         weir_timer_init(&poller->timer, loop, poll_again, poller);
 *         weir_timer_start(&poller->timer, WEIR_MS(100));
 *     }
 */
#ifndef WEIR_CALLBACK_H
#define WEIR_CALLBACK_H

#include <weir/loop.h>

WEIR_BEGIN_DECLS

typedef struct weir_callback {
    uint64_t opaque[8];
} weir_callback;

typedef struct weir_timer {
    uint64_t opaque[10];
} weir_timer;

/** `fn(arg)` will run by this loop each time it was scheduled. */
#define weir_callback_init(callback, loop, fn, arg) \
    weir_callback_init_at(WEIR_HERE, #fn, (callback), (loop), (fn), (arg))
WEIR_PUBLIC void weir_callback_init_at(const weir_site *site, const char *name,
                                       weir_callback *callback, weir_loop *loop, weir_fn fn,
                                       void *arg);
/** Runs it once in the next iteration; scheduling it again before that changes nothing. */
WEIR_PUBLIC void weir_callback_schedule(weir_callback *callback);
/** False: it was not scheduled. */
WEIR_PUBLIC bool weir_callback_cancel(weir_callback *callback);

/** Prepares a timer that will call `fn(arg)` on the loop; it does not run yet. */
#define weir_timer_init(timer, loop, fn, arg) \
    weir_timer_init_at(WEIR_HERE, #fn, (timer), (loop), (fn), (arg))
WEIR_PUBLIC void weir_timer_init_at(const weir_site *site, const char *name, weir_timer *timer,
                                    weir_loop *loop, weir_fn fn, void *arg);
/** Starts or restarts it; WEIR_FOREVER stops it. Restarting with a later deadline costs O(1). */
WEIR_PUBLIC void weir_timer_start(weir_timer *timer, weir_duration after);
/** False: it was not running. */
WEIR_PUBLIC bool weir_timer_stop(weir_timer *timer);
WEIR_PUBLIC bool weir_timer_running(const weir_timer *timer);

WEIR_END_DECLS

#endif
