/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rest of core sees of the loop: intrusive jobs and timers, so that nothing on a steady
 * path allocates. Jobs and timers are embedded in their users and unlinked before those are freed.
 */
#ifndef WEIR_CORE_LOOP_LOOP_H
#define WEIR_CORE_LOOP_LOOP_H

#include <sys/types.h>

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
   old one is due. Equal deadlines fire in the order of their starts. */
struct timer {
    struct job job;    /* what it does; queued from the moment it is due until it fires */
    int64_t deadline;  /* ns, what was asked for */
    uint32_t sequence; /* of the last start; it may wrap around */
    uint32_t position; /* in the heap, 1-based; 0: not in it */
};

static inline void job_init(struct job *job, weir_error *(*run)(struct job *),
                            const weir_site *site)
{
    list_init(&job->link);
    job->run = run;
    job->site = site;
}

/*
 * How jobs are described in reports: looked up by `run` when a report may be due, so that a job
 * carries nothing for it and runs at no cost. Either of
 *
 *   name                      "handler": of what will run, a string that outlives the job
 *   hold, describe, release   for objects with references: "<Task pending name='Task-2' …>"
 */
struct job_kind {
    weir_error *(*run)(struct job *job);
    const char *label; /* "Callback": of the default "<Callback name() …>" */
    const char *(*name)(const struct job *job);
    void (*hold)(struct job *job); /* before it runs, in debug mode: keeps it describable */
    void (*release)(struct job *job);
    size_t (*describe)(const struct job *job, char *buffer, size_t size); /* as snprintf */
    const weir_backtrace *(*source)(const struct job *job); /* may be NULL: where it was made */
    struct job_kind *next;
    bool registered;
};

/* Static kinds, any thread; a second time does nothing. */
void weir__job_kind_register(struct job_kind *kind);
/* NULL: none. */
const struct job_kind *weir__job_kind_of(const struct job *job);

/* What of a job stays true while it runs. */
struct job_note {
    const struct job_kind *kind;
    struct job *job; /* only with kind->hold */
    const char *name;
    const weir_site *site;
};

void weir__job_note(struct job_note *note, struct job *job);
/* As snprintf: "<Task …>", "<Callback name() created at t.c:3>". */
size_t weir__job_note_describe(const struct job_note *note, char *buffer, size_t size);
void weir__job_note_done(struct job_note *note);
/* Where it was made; NULL: not known. */
const weir_backtrace *weir__job_note_source(const struct job_note *note);

/* Appends to the ready queue for the next iteration; nothing happens when it is queued. */
void weir__loop_ready(weir_loop *loop, struct job *job);
/* Unlinks; nothing happens when it is not queued. */
void weir__job_cancel(struct job *job);

static inline bool job_queued(const struct job *job)
{
    return !list_empty(&job->link);
}

/* `fire` gets the timer's job. */
static inline void weir__timer_init(struct timer *timer, weir_error *(*fire)(struct job *job),
                                    const weir_site *site)
{
    *timer = (struct timer){.position = 0};
    job_init(&timer->job, fire, site);
}

/* Starts or restarts. WEIR_ENOMEM only when the heap cannot grow. */
weir_error *weir__timer_start(weir_loop *loop, struct timer *timer,
                              weir_instant when) WEIR_MUST_USE;
void weir__timer_stop(weir_loop *loop, struct timer *timer);
/* For a timer whose job has other uses too: its job is left alone, and runs when the time has come
   (`position` is 0 then) or when somebody queued it. */
weir_error *weir__timer_arm(weir_loop *loop, struct timer *timer, weir_instant when) WEIR_MUST_USE;
void weir__timer_disarm(weir_loop *loop, struct timer *timer);

static inline bool timer_running(const struct timer *timer)
{
    return timer->position != 0 || job_queued(&timer->job);
}

struct io_backend *weir__loop_io(weir_loop *loop);
/* Puts a backend around the loop's own, which the new one ends in its destroy(); for tests, before
   anything has used the loop. */
void weir__loop_set_io(weir_loop *loop, struct io_backend *io);
/* Whether add_reader (`write`: add_writer) is in force for a descriptor. */
bool weir__loop_watched(const weir_loop *loop, int fd, bool write);
size_t weir__loop_stack_size(const weir_loop *loop); /* of the options; 0: the default */
bool weir__loop_stack_guards(const weir_loop *loop);
const char *weir__loop_name(const weir_loop *loop);
bool weir__loop_closed(const weir_loop *loop);
static inline int64_t weir__loop_now(const weir_loop *loop); /* ns, of this iteration */

/* One iteration that waits at most `max_wait_ns` (-1: as long as it takes). For close_force, tests
   and whoever drives a loop from outside; the loop must not be running. */
weir_error *weir__loop_run_once(weir_loop *loop, int64_t max_wait_ns) WEIR_MUST_USE;

/* The callbacks of an iteration run in an order drawn from the seed; 0: in FIFO order again. */
void weir__loop_set_shuffle(weir_loop *loop, uint64_t seed);
/* Something outside owes this loop an event: an executor's job, a process, a future of another
   thread. Any thread. The deadlock detector of the test kit asks for the number. */
void weir__loop_external_begin(weir_loop *loop);
void weir__loop_external_end(weir_loop *loop);
size_t weir__loop_externals(const weir_loop *loop);
/* Descriptors whose events the loop waits for. */
size_t weir__loop_interests(const weir_loop *loop);

/* What it runs at this moment. Readable from any thread and signal handler while the loop lives. */
const struct step *weir__loop_step(const weir_loop *loop);
pid_t weir__loop_tid(const weir_loop *loop);
bool weir__loop_polling(const weir_loop *loop); /* is in, or about to be in, the backend's wait */
/* Calls for each loop of the process that is not closed, under a lock: no loop is made or closed
   meanwhile. Any thread, not in a signal handler. */
void weir__loops_each(void (*fn)(weir_loop *loop, void *arg), void *arg);

/* Where a loop takes its time from; tests put a virtual clock here. */
struct loop_clock {
    int64_t (*now)(struct loop_clock *clock);
    /* Asked before each wait that could block until the next timer (-1: no timer): returns how long
       the backend may really wait. A virtual clock may step forward here. */
    int64_t (*before_wait)(struct loop_clock *clock, int64_t timeout_ns);
};

/* NULL: the monotonic clock again. */
void weir__loop_set_clock(weir_loop *loop, struct loop_clock *clock);
/* Deadline of the next timer, ns; INT64_MAX: none. May be early for restarted timers. */
int64_t weir__loop_next_deadline(const weir_loop *loop);

/* The loop of this thread, running or not, that owns the calling thread; NULL: none. */
extern __thread weir_loop *weir__thread_loop __attribute__((tls_model("initial-exec")));

/* NULL when the calling thread is the loop's, else WEIR_ETHREAD / WEIR_EFORKED. */
#define weir__loop_check_thread(loop) weir__loop_check_call((loop), __func__, NULL)
/* The same for reports that name the public call and where it was made (NULL: not known). */
static inline weir_error *weir__loop_check_call(const weir_loop *loop, const char *operation,
                                                const weir_site *site) WEIR_MUST_USE;
weir_error *weir__loop_wrong_thread(const weir_loop *loop, const char *operation,
                                    const weir_site *site) WEIR_MUST_USE;
/* For calls that return no error: reports the wrong thread, in every mode, and says no:
   `if (!weir__loop_allows(loop)) return;` */
/* The same for what knows its loop by address only: "the lock" belongs to another one. */
void weir__loop_report_foreign(const char *what, const char *operation, const weir_site *site);
#define weir__loop_allows(loop) \
    (__builtin_expect((loop) == weir__thread_loop, 1) || weir__loop_refuses((loop), WEIR_HERE))
bool weir__loop_refuses(const weir_loop *loop, const weir_site *operation);

/* Slots by which upper layers hang their per-loop state on the loop without its knowing them. */
enum loop_slot {
    LOOP_SLOT_TASKS,
    LOOP_SLOT_EXECUTOR,
    LOOP_SLOT_NET,
    LOOP_SLOT_RESOLVER,
    LOOP_SLOT_PROCESSES,
    LOOP_SLOTS
};

/* All but `destroy` may be NULL: there is nothing to do. */
struct loop_slot_ops {
    /* Cancels or aborts what lives (weir_loop_close_force). */
    void (*cancel_all)(weir_loop *loop, void *state);
    /* Reports and aborts what nobody closed: once, when the tasks have ended or the grace is over. */
    void (*sweep)(weir_loop *loop, void *state);
    /* How much still lives; writes names of some of it to `buffer`. */
    size_t (*live)(weir_loop *loop, void *state, char *buffer, size_t size);
    /* Last call at a forced close over what still lives, which is leaked. */
    void (*abandon)(weir_loop *loop, void *state);
    /* Last call at close; frees the state. */
    void (*destroy)(weir_loop *loop, void *state);
};

void *weir__loop_slot(const weir_loop *loop, enum loop_slot slot);
void weir__loop_set_slot(weir_loop *loop, enum loop_slot slot, void *state,
                         const struct loop_slot_ops *ops);

bool weir__loop_is_main(const weir_loop *loop);
/* For one delivery: the disposition is the default one again before the callback runs. */
weir_error *weir__loop_add_signal_once(weir_loop *loop, int signum, weir_fn fn,
                                       void *arg) WEIR_MUST_USE;

/* Reports the error of a callback, of which `name`, `site` and `handle` may be NULL; takes it. */
void weir__callback_failed(weir_loop *loop, const char *name, const weir_site *site,
                           const weir_handle *handle, weir_error *take_error);
/* Ends the run with this error, which run_forever returns. */
void weir__loop_abort(weir_loop *loop, weir_error *take_error);
/* Hands an error of a callback to the exception handler; always takes. */
void weir__loop_report(weir_loop *loop, const weir_site *site, const char *message,
                       weir_error *take_error);

/* inline definitions */

/* The first words of every loop, for the two inline functions below. */
struct loop_head {
    uint32_t magic;
    int64_t now;
};

static inline int64_t weir__loop_now(const weir_loop *loop)
{
    return ((const struct loop_head *)loop)->now;
}

/* One compare: in a forked child weir__thread_loop is NULL. */
static inline weir_error *weir__loop_check_call(const weir_loop *loop, const char *operation,
                                                const weir_site *site)
{
    if (__builtin_expect(loop == weir__thread_loop, 1))
        return NULL;
    return weir__loop_wrong_thread(loop, operation, site);
}

#endif
