/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a loop, shared by the files of core/loop only. */
#ifndef WEIR_CORE_LOOP_INTERNAL_H
#define WEIR_CORE_LOOP_INTERNAL_H

#include <stdatomic.h>
#include <sys/types.h>

#include "core/base/chunk.h"
#include "core/base/invariant.h"
#include "core/loop/context.h"
#include "core/loop/loop.h"

#define LOOP_MAGIC   WEIR_MAGIC('W', 'l', 'o', 'p')
#define HANDLE_MAGIC WEIR_MAGIC('W', 'h', 'd', 'l')

/* Freed handles kept for the next call_soon, and how long unused chunks keep their memory. */
#define HANDLES_KEPT     256 /* unused ones of each kind */
#define TRIM_PERIOD_NS   ((int64_t)5 * 1000000000)
#define SLOW_CALLBACK_NS ((int64_t)100 * 1000000)
#define OVERSHOOT_NS     ((int64_t)100 * 1000000)

struct heap_entry {
    int64_t deadline;
    uint32_t sequence;
    struct timer *timer;
};

/* A 4-ary heap; entries[0] is the first. */
struct timer_heap {
    struct heap_entry *entries;
    size_t count, capacity;
    uint32_t sequence;
};

enum handle_state { HANDLE_QUEUED, HANDLE_PARKED, HANDLE_RUNNING, HANDLE_RAN, HANDLE_CANCELLED };

/*
 * What a run touches lies together, from `magic` to the job, 64 bytes. `timer` is there only in
 * handles that were made with a time: all others end after its job (HANDLE_SOON_SIZE).
 */
struct weir_handle {
    weir_drop_fn drop;
    weir_loop *loop;
    const char *name;        /* of fn */
    weir_context *context;   /* of who scheduled it; when `in_context` */
    weir_backtrace *created; /* when `debug` */
    weir_handle *next;       /* of unused handles */

    uint32_t magic;
    uint32_t refs;
    _Atomic unsigned char state; /* enum handle_state */
    bool whole;                  /* it has all of `timer` */
    bool timed;                  /* `timer` is in use, else its job alone */

    union {
        struct {
            bool shared;     /* between threads */
            bool in_context; /* somebody had set a variable when it was scheduled */
            bool debug;      /* made in debug mode: its repr shows the argument */
        };

        uint32_t rare; /* 0: none of these */
    };

    weir_fn fn;
    void *arg;
    struct timer timer;
};

#define HANDLE_SOON_SIZE (offsetof(struct weir_handle, timer) + sizeof(struct job))
WEIR_STATIC_ASSERT(HANDLE_SOON_SIZE - offsetof(struct weir_handle, magic) <= 64, "one cache line");

/* Unused handles. */
struct handle_stack {
    weir_handle *first;
    size_t count;
};

struct watch;
struct post_block;

/* One wait of the backend. */
struct poll {
    int64_t timeout; /* ns as asked for; -1: for ever; 0: did not wait */
    int64_t began;   /* 0: not read, it did not wait */
    int events;
};

struct loop_slot_state {
    void *state;
    const struct loop_slot_ops *ops;
};

struct weir_loop {
    struct loop_head head; /* magic and now */
    atomic_uint refs;
    bool running;
    bool named;         /* by its options */
    atomic_bool closed; /* read by any thread */
    atomic_bool debug;
    int fork_generation;
    pid_t tid;
    uint64_t id; /* of all loops that there were */

    struct step step;            /* what runs now */
    const struct job *named_job; /* whose name is `job_name`; compared only */
    const char *job_name;
    struct list live; /* in the list of all loops */
    uint64_t shuffle; /* state of the random order; 0: FIFO */
    atomic_size_t externals;

    struct list ready;  /* of jobs, for the next run phase */
    struct list batch;  /* the snapshot that runs now */
    struct list due;    /* timers that this iteration fires, after its I/O */
    struct list parked; /* handles that wait for ever, to be dropped at close */
    struct timer_heap timers;
    struct io_backend *io;
    struct chunk_pool *pool;
    struct timer trim;
    struct loop_clock *clock;
    struct handle_stack free_soon, free_timed;

    /* From other threads. */
    _Atomic(struct job *) posts;     /* newest first; POSTS_CLOSED after close */
    struct post_block *blocks_left;  /* under the lock of the list of loops */
    struct post_block *blocks_empty; /* the loop's */
    size_t nblocks_empty;
    _Atomic(struct post_block *) blocks_spare; /* for whoever posts next */
    atomic_bool stop;
    atomic_bool polling;        /* is or is about to be in the backend's wait */
    atomic_bool signals_raised; /* some signal of ours is pending */
    atomic_ullong wakeups;      /* that posters and stop caused */
    atomic_uint visitors;       /* foreign threads inside post or stop */

    struct watch **watches; /* by descriptor */
    size_t nwatches;
    struct watch *delivering; /* whose callbacks run; NULL once it was removed */

    weir_exception_handler handler;
    void *handler_arg;
    weir_error *(*default_handler)(weir_loop *, const weir_exception_context *);
    unsigned reporting;          /* depth of reports in reports */
    const struct job_note *note; /* of the callback that runs, debug mode */
    weir_error *fatal;           /* ends the run */
    int64_t slow_ns;
    int64_t overshoot_ns;
    int64_t poll_ended;  /* when the last wait returned */
    int64_t poll_logged; /* when a wait was last logged, debug mode */
    uint64_t polls_unlogged;
    weir_loop_metrics metrics;
    int64_t step_started; /* ns, debug mode */
    struct io_observer observer;

    struct loop_slot_state slots[LOOP_SLOTS];
    const weir_site *site;
    weir_backtrace *created;
    size_t stack_size;
    bool no_stack_guards;
    char name[];
};

/* timer.c */

/* Restarting with a later deadline, which is what busy connections do: the entry stays where it is
   and moves when the old deadline is due. False: not that case. */
static inline bool timer_put_off(struct timer_heap *heap, struct timer *timer, int64_t when)
{
    if (!timer->position || when < heap->entries[timer->position - 1].deadline)
        return false;
    timer->sequence = ++heap->sequence;
    timer->deadline = when;
    return true;
}

void weir__timers_done(struct timer_heap *heap);
/* Moves what is due at `now` to the list of due ones. */
void weir__timers_due(weir_loop *loop, int64_t now);

/* handle.c */
/* Whether this queued job is a handle, soon or timed. */
bool weir__job_is_handle(const struct job *job);
weir_error *weir__handle_run(struct job *job);
weir_error *weir__handle_fire(struct job *job);

void weir__handle_kinds_register(void);
/* Ends a queued handle as cancelled, without running it; its drop function runs. */
void weir__handle_drop(weir_handle *handle);

/* handle_store.c */
enum handle_kind { HANDLE_SOON, HANDLE_TIMED, HANDLE_POSTED };

/* Of call_soon, of call_at, or (from any thread) of a post. NULL without memory. */
weir_handle *weir__handle_new(weir_loop *loop, enum handle_kind kind, const weir_site *site,
                              const char *name, weir_fn fn, void *arg, weir_drop_fn drop);
/* Without its last reference, from any thread. */
void weir__handle_free(weir_handle *handle);
void weir__handles_free(weir_loop *loop);

/* Ends queued callbacks, which never ran; jobs of others are their owners' and only unlinked. */
void weir__jobs_drop(struct list *queue);

/* post.c */
void weir__posts_drain(weir_loop *loop);
/* From now on posts are refused; drops what had not been drained and waits for visitors. */
void weir__posts_close(weir_loop *loop);
bool weir__posts_pending(weir_loop *loop);

/* watch.c */
void weir__watches_close(weir_loop *loop);

/* signal.c */
void weir__signals_collect(weir_loop *loop);
void weir__signals_close(weir_loop *loop);
/* In a forked child: what was there before our handlers is there again. */
void weir__signals_forked(void);

/* loop.c */
void weir__loop_warn_unclosed(const weir_loop *loop);

/* registry.c */
void weir__loops_init(void);
void weir__loops_add(weir_loop *loop);
void weir__loops_remove(weir_loop *loop);

/* The kinds of jobs that core/loop makes. */
void weir__callback_kinds_register(void);
void weir__watch_kinds_register(void);
void weir__signal_kinds_register(void);

/* report.c */
extern weir_logger *weir__loop_logger;
void weir__loop_report_init(void);
void weir__loop_step_began(weir_loop *loop);
void weir__loop_step_ended(weir_loop *loop, const struct job_note *note);
void weir__loop_observe(weir_loop *loop);
/* For tests: what stands for the default exception handler; NULL: it. */
void weir__loop_set_default_handler(weir_loop *loop,
                                    weir_error *(*handler)(weir_loop *,
                                                           const weir_exception_context *));

/* metrics.c */
/* After a wait, the clock read: counts it, and reports it when it was late. */
void weir__loop_polled(weir_loop *loop, const struct poll *poll);
void weir__loop_count(weir_histogram *histogram, int64_t ns);

/* run.c */
int64_t weir__loop_read_clock(weir_loop *loop);
/* Runs a job as one step: published, measured in debug mode, its error reported. */
void weir__loop_run_job(weir_loop *loop, struct job *job);
void weir__loop_iterate(weir_loop *loop, int64_t max_wait_ns);
extern int weir__fork_generation;

#endif
