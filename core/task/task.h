/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Futures, tasks and scopes from inside. Everything here belongs to one loop's thread.
 *
 *     loop ── slot ──> task_home ── tasks ──> weir_task (at the top of its own stack)
 *                        │                       ├ future: its result, and who waits for it
 *                        ├ stacks                ├ scope: innermost, linked outwards
 *                        └ cos                   └ group: whose child it is
 *
 * The home outlives the loop while futures or tasks are referenced; its `loop` is then NULL.
 */
#ifndef WEIR_CORE_TASK_TASK_H
#define WEIR_CORE_TASK_TASK_H

#include <weir/scope.h>

#include "core/base/backtrace.h"
#include "core/base/error.h"
#include "core/base/invariant.h"
#include "core/base/list.h"
#include "core/loop/loop.h"
#include "core/task/fiber.h"
#include "core/task/stack.h"
#include "core/task/wait.h"

#define FUTURE_MAGIC WEIR_MAGIC('f', 'u', 't', 'u')
#define CO_MAGIC     WEIR_MAGIC('c', 'o', 'r', 'o')

struct task_home {
    weir_loop *loop; /* NULL once it is closed */
    unsigned refs;   /* the loop's slot, and one for each future, task and co */
    struct fiber main;
    struct list tasks; /* not done */
    size_t live;
    struct list cos;       /* made outside of tasks, or whose maker ended */
    struct list scheduled; /* done callbacks that the ready queue holds */
    struct stack_pool stacks;
    struct overflow_watch *overflow;
};

/* How many exist, in all threads. One that outlives its loop means that a future, task or co leaks. */
extern _Atomic size_t weir__task_homes;

/* The home of this thread's loop. Errors: WEIR_ETHREAD there is no loop; WEIR_ENOMEM. */
weir_error *weir__task_home_here(struct task_home **ret_home) WEIR_MUST_USE;
weir_error *weir__task_home_of(weir_loop *loop, struct task_home **ret_home) WEIR_MUST_USE;
void weir__task_home_unref(struct task_home *home);
/* NULL when the calling thread is the home's. */
#define weir__task_home_check(home) weir__task_home_check_call((home), __func__, NULL)
/* The same for reports that name the public call and where it was made (NULL: not known). */
weir_error *weir__task_home_check_call(const struct task_home *home, const char *operation,
                                       const weir_site *site) WEIR_MUST_USE;
/* For calls that return no error: reports the wrong thread, in every mode, and says no. */
#define weir__task_home_allows(home) \
    (weir__task_home_is_here(home) || weir__loop_refuses((home)->loop, WEIR_HERE))

/* Also when the loop is closed: then whoever holds the last references may. */
static inline bool weir__task_home_is_here(const struct task_home *home)
{
    const weir_loop *loop = __atomic_load_n(&home->loop, __ATOMIC_RELAXED);

    return __builtin_expect(loop == weir__thread_loop || !loop, 1);
}

enum future_state { FUTURE_PENDING, FUTURE_RESULT, FUTURE_ERROR };

/* Somebody who waits for a future. `done` unlinks nothing and runs no foreign code. */
struct future_link {
    struct list link;
    void (*done)(struct future_link *link);
    /* For call graphs: the task (as a future) that waits here, or the outer future of a combinator,
       whose own links lead on. NULL: nobody in particular. Valid while linked. */
    weir_future *waiter;
};

struct weir_future {
    uint32_t magic;
    unsigned refs;
    struct task_home *home;
    const weir_site *site;
    const weir_site *done_site; /* of the call that completed or cancelled it; may be NULL */
    weir_backtrace *origin;     /* debug mode: of the creation */
    struct list links;
    void *value;
    weir_drop_fn drop;
    weir_error *error;
    void (*on_cancel)(weir_future *future, void *arg); /* told once, when cancelled from outside */
    void *on_cancel_arg;
    unsigned char state; /* enum future_state */
    bool is_task;
    bool taken;      /* the value has moved out */
    bool error_seen; /* somebody took the error */
};

/* Where objects are made, in debug mode; else NULL. */
static inline weir_backtrace *weir__origin_here(void)
{
    return __builtin_expect(weir__thread_debug, 0) ? weir__backtrace_capture() : NULL;
}

void weir__future_init(weir_future *future, struct task_home *home, const weir_site *site);
/* Takes what is not NULL: an error ends it as failed, else with the value that it holds. */
void weir__future_complete(weir_future *future, weir_error *take_error);
/* The error as one more waiter gets it; marks it seen. NULL: none. */
weir_error *weir__future_error(weir_future *future) WEIR_MUST_USE;
/* Drops value, error and name of a future that nobody references; reports an error nobody took. */
void weir__future_release(weir_future *future);
void weir__future_drop_value(weir_future *future);
struct text;
/* " cb=[a(), <2 more>, z()]", or nothing. */
void weir__future_add_callbacks(const weir_future *future, struct text *text);
void weir__future_home_closed(struct task_home *home);

/* "Task-" and 20 digits. */
#define TASK_NAME_MAX 26

enum task_state { TASK_READY, TASK_RUNNING, TASK_WAITING, TASK_DONE };

struct scope;
struct group;

struct weir_task {
    struct weir_future future; /* first: a task is a future */
    struct job job;
    struct timer timer; /* the next deadline of a wait: of its scopes or its own */
    struct fiber fiber;
    struct fiber *back; /* whom a suspension goes on with: the loop's side, or an eager spawner */
    struct list link;   /* in home->tasks */
    struct stack stack;
    struct waiter *waiter;      /* what it waits for */
    weir_future *wait_for;      /* the future among that */
    const weir_site *wait_site; /* of the suspending call, when it told */
    int64_t wake_at;            /* when that wait has completed by itself; INT64_MAX: never */
    struct scope *scope;        /* innermost */
    struct group *group;        /* whose child it is; NULL: nobody's */
    struct list sibling;
    struct list cos; /* made by it, not started */
    weir_fn fn;
    void *arg;
    const char *fn_name;
    char *own_name;  /* the copy, when it was set */
    uint64_t number; /* of the default name, "Task-3" */
    char default_name[TASK_NAME_MAX];
    weir_context *context; /* what it runs in, while it does not run */
    unsigned cancelling;
    unsigned no_suspend;              /* sections that must not suspend */
    unsigned locks;                   /* mutexes that it holds, as far as somebody told */
    const weir_site *no_suspend_site; /* of the outermost section */
    const void *lock;                 /* the last one taken */
    unsigned budget;                  /* suspending calls in a row that did not suspend */
    unsigned char state;              /* enum task_state */
    bool interruptible;
    bool wanted;       /* child of a group: its handle was asked for */
    size_t list_index; /* while all tasks are listed */
};

/* What a spawn may say beyond its function. */
struct spawn {
    const weir_site *site;
    const char *fn_name;
    weir_fn fn;
    void *arg;
    const char *name;      /* NULL: "Task-N" */
    weir_context *context; /* borrowed; NULL: the spawner's */
    struct group *group;   /* NULL: nobody's child */
    bool wanted;           /* of a group: somebody asks for the handle */
    bool eager;            /* the body runs inside of the spawn up to its first suspension */
};

/* Starts a task; the general form of weir__spawn() in wait.h. */
weir_error *weir__spawn_with(weir_loop *loop, const struct spawn *spawn,
                             weir_task **ret_task) WEIR_MUST_USE;
/* NULL: none. */
void weir__spawn_read_options(struct spawn *spawn, const weir_spawn_options *given);

extern struct job_kind weir__task_kind;
extern __thread weir_task *weir__current_task __attribute__((tls_model("initial-exec")));

static inline weir_task *task_of(weir_future *future)
{
    return (weir_task *)(void *)future;
}

/* Wakes a waiting task when there is something to tell it: a cancellation, a deadline, a child. */
void weir__task_poke(weir_task *task);
/* The deadline that a wait must not outlast; INT64_MAX: none. */
int64_t weir__task_deadline(const weir_task *task);
/* Whether a suspending call must fail now. */
bool weir__task_pending(const weir_task *task);
/* The error it fails with; NULL: none. */
weir_error *weir__task_pending_error(weir_task *task) WEIR_MUST_USE;
/* Lets the loop run until the task is made ready. Only by the running task. */
void weir__task_suspend(weir_task *task);
/* The deadline of a task that waits may have changed. */
void weir__task_rearm(weir_task *task);

/* The public scopes are these in disguise, hence may_alias. */
enum scope_kind { SCOPE_NONE, SCOPE_TIMEOUT, SCOPE_SHIELD, SCOPE_GROUP };

struct scope {
    struct scope *outer;
    weir_task *task; /* NULL: inert */
    const weir_site *site;
    int64_t deadline;   /* INT64_MAX: none */
    unsigned char kind; /* enum scope_kind */
    bool seen;          /* an expiry, or the error of a child, was given to the task */
    bool joining;       /* group: its own error does not end the wait for its children */
    bool cancelled;     /* group: the children are asked to end */
    bool collects;      /* group: an error of a child is kept until a join, and ends nobody */
} __attribute__((may_alias));

struct group {
    struct scope scope;
    struct list live;  /* children, by `sibling` */
    struct list ended; /* children to be given by next(), a reference each */
    weir_error *error; /* of the first child that failed */
    struct waiter *joiner;
    size_t attached; /* further errors that `error` bears */
} __attribute__((may_alias));

WEIR_STATIC_ASSERT(sizeof(struct scope) <= sizeof(weir_timeout), "frozen size of weir_timeout");
WEIR_STATIC_ASSERT(sizeof(struct scope) <= sizeof(weir_shield), "frozen size of weir_shield");
WEIR_STATIC_ASSERT(sizeof(struct group) <= sizeof(weir_group), "frozen size of weir_group");

void weir__scope_enter(struct scope *scope, enum scope_kind kind, weir_duration duration,
                       const weir_site *site);
void weir__scope_leave(struct scope *scope);
/* Tells the group of a task that it is done. */
void weir__group_child_ended(weir_task *child);

struct weir_co {
    uint32_t magic;
    struct list link; /* of its maker, or of the home */
    struct task_home *home;
    const weir_site *site;
    weir_backtrace *origin; /* debug mode */
    const char *name;
    weir_fn fn;
    void *arg;
    bool reported;
};

/* Reports what `maker` made and nobody started; the home keeps them, in case somebody still does.
 */
void weir__co_maker_ended(weir_task *maker);
void weir__co_home_closed(struct task_home *home);

/* Reports to the loop's exception handler, or to the log when the loop is closed. Borrows.
   `future`: whose error nobody took, or which is pending; its repr is the report's subject. */
void weir__task_report(weir_future *future, const char *message);
void weir__task_report_error(struct task_home *home, const char *message, const weir_site *site,
                             const weir_error *error);
/* Row J: for each task that is not done (`all` false: only those nobody asked to end). */
void weir__task_report_pending(struct task_home *home, bool all);

/* It suspends with a mutex held. */
void weir__task_report_locks(const weir_task *task);
/* Of the census, when one is taken: a stack before its task starts, and after it has ended. */
void weir__census_paint(const weir_task *task);
void weir__census_count(const weir_task *task);
extern _Atomic bool weir__census_on;

/* "a future was cancelled at t.c:43"; for errors about a future that is done. */
void weir__future_describe_end(const weir_future *future, char *buffer, size_t size);

#endif
