/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rest of core sees of the loop: intrusive jobs and timers, so that nothing on a steady
 * path allocates. Jobs and timers are embedded in their users and unlinked before those are freed.
 */
#ifndef WEIR_CORE_LOOP_LOOP_H
#define WEIR_CORE_LOOP_LOOP_H

#include <weir/loop.h>

#include "core/base/list.h"
#include "core/io/io.h"

/* A callback of the ready queue. `run` may free the struct around it. */
struct job {
    struct list link;
    weir_error *(*run)(struct job *job);
    const weir_site *site;
};

/* An entry of the timer heap. Restarting with a later deadline is O(1): the entry moves when the
   old one fires. Equal deadlines fire in the order of their starts. */
struct timer {
    int64_t deadline;      /* ns, what was asked for */
    int64_t heap_deadline; /* ns, the key in the heap; never later than `deadline` */
    uint64_t sequence;
    size_t position; /* in the heap, 1-based; 0: stopped */
    weir_error *(*fire)(struct timer *timer);
    const weir_site *site;
};

static inline void job_init(struct job *job, weir_error *(*run)(struct job *),
                            const weir_site *site)
{
    list_init(&job->link);
    job->run = run;
    job->site = site;
}

/* Appends to the ready queue for the next iteration; nothing happens when it is queued. */
void weir__loop_ready(weir_loop *loop, struct job *job);
/* Unlinks; nothing happens when it is not queued. */
void weir__job_cancel(struct job *job);
static inline bool job_queued(const struct job *job)
{
    return !list_empty(&job->link);
}

void weir__timer_init(struct timer *timer, weir_error *(*fire)(struct timer *),
                      const weir_site *site);
/* Starts or restarts. WEIR_ENOMEM only when the heap cannot grow. */
weir_error *weir__timer_start(weir_loop *loop, struct timer *timer, weir_instant when) WEIR_MUST_USE;
void weir__timer_stop(weir_loop *loop, struct timer *timer);
static inline bool timer_running(const struct timer *timer)
{
    return timer->position != 0;
}

struct io_backend *weir__loop_io(weir_loop *loop);

/* The loop of this thread, running or not, that owns the calling thread; NULL: none. */
extern __thread weir_loop *weir__thread_loop;

/* NULL when the calling thread is the loop's, else WEIR_ETHREAD / WEIR_EFORKED. */
weir_error *weir__loop_check_thread(const weir_loop *loop) WEIR_MUST_USE;

/* Slots by which upper layers hang their per-loop state on the loop without its knowing them. */
enum loop_slot { LOOP_SLOT_TASKS, LOOP_SLOT_EXECUTOR, LOOP_SLOT_NET, LOOP_SLOT_RESOLVER, LOOP_SLOTS };

struct loop_slot_ops {
    /* Cancels or aborts what lives (weir_loop_close_force). */
    void (*cancel_all)(weir_loop *loop, void *state);
    /* How much still lives; writes names of some of it to `buffer`. */
    size_t (*live)(weir_loop *loop, void *state, char *buffer, size_t size);
    /* Last call at close; frees the state. */
    void (*destroy)(weir_loop *loop, void *state);
};

void *weir__loop_slot(const weir_loop *loop, enum loop_slot slot);
void weir__loop_set_slot(weir_loop *loop, enum loop_slot slot, void *state,
                         const struct loop_slot_ops *ops);

/* Hands an error of a callback to the exception handler; always takes. */
void weir__loop_report(weir_loop *loop, const weir_site *site, const char *message,
                       weir_error *take_error);

#endif
