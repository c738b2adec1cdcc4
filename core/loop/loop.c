/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a loop. It is bound to the thread that makes it: `weir__thread_loop` is set from here
 * to the close, and a function that is called elsewhere finds it different. A forked child finds it
 * NULL, so inherited loops answer WEIR_EFORKED there and the parent's epoll instance stays untouched.
 *
 * Closing goes from the top down: upper layers hang their state on slots and are asked what lives
 * (WEIR_EBUSY names it), then destroyed, then callbacks that never ran are dropped, then descriptors
 * and memory go.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weir/debug.h>

#include "core/base/alloc.h"
#include "core/base/backtrace.h"
#include "core/base/crash.h"
#include "core/base/error.h"
#include "core/base/mutate.h"
#include "core/base/text.h"
#include "core/loop/internal.h"
#include "core/loop/post_block.h"

/* What was aborted late gets so many iterations to end. */
#define SWEEP_ITERATIONS 3

__thread weir_loop *weir__thread_loop;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_once(void)
{
    weir__loops_init();
    weir__handle_kinds_register();
    weir__post_kind_register();
    weir__callback_kinds_register();
    weir__watch_kinds_register();
    weir__signal_kinds_register();
    weir__loop_report_init();
    weir__dev_start();
}

/* Fields that the caller's struct was compiled with; the others keep their defaults. */
static weir_loop_options full_options(const weir_loop_options *given)
{
    weir_loop_options options = {.backend = "auto"};

    if (given)
        memcpy(&options, given, given->size < sizeof(options) ? given->size : sizeof(options));
    if (!options.backend)
        options.backend = "auto";
    if (!options.name)
        options.name = "loop";
    return options;
}

static atomic_ullong loops_made = 1;

static bool debug_of(const weir_loop_options *options)
{
    if (options->debug != WEIR_DEBUG_DEFAULT)
        return options->debug == WEIR_DEBUG_ON;
    return weir_debug_default();
}

static void loop_setup(weir_loop *loop, const weir_site *site, const weir_loop_options *options)
{
    loop->head.magic = LOOP_MAGIC;
    atomic_init(&loop->refs, 1);
    loop->fork_generation = weir__fork_generation;
    loop->tid = gettid();
    loop->id = atomic_fetch_add(&loops_made, 1);
    list_init(&loop->live);
    list_init(&loop->ready);
    list_init(&loop->batch);
    list_init(&loop->due);
    list_init(&loop->parked);
    weir__timer_init(&loop->trim, NULL, site);
    loop->debug = debug_of(options);
    loop->slow_ns = SLOW_CALLBACK_NS;
    loop->overshoot_ns = OVERSHOOT_NS;
    loop->stack_size = options->stack_size;
    loop->no_stack_guards = options->no_stack_guards;
    loop->site = site;
    loop->created = loop->debug ? weir__backtrace_capture() : NULL;
}

weir_error *weir_loop_new_at(const weir_site *site, const weir_loop_options *given, weir_loop **ret)
{
    weir_loop_options options = full_options(given);
    size_t name_size = strlen(options.name) + 1;
    weir_error *error;
    weir_loop *loop;

    pthread_once(&once, init_once);
    if (weir__thread_loop)
        return weir_raise(WEIR_EBUSY, "this thread has loop \"%s\" already",
                          weir__thread_loop->name);
    loop = weir__calloc(1, sizeof(*loop) + name_size);
    if (!loop)
        return weir_raise(WEIR_ENOMEM, " ");
    memcpy(loop->name, options.name, name_size);
    loop->named = given && given->name;
    loop_setup(loop, site, &options);
    error = weir__chunk_pool_new(options.max_chunks, &loop->pool);
    if (error)
        goto fail;
    error = weir__io_backend_new(options.backend, &loop->io);
    if (error)
        goto fail;
    loop->io->pool = loop->pool;
    loop->io->step = &loop->step;
    weir__thread_loop = loop;
    weir__thread_pool = loop->pool;
    weir__thread_debug = loop->debug;
    weir__loop_observe(loop);
    loop->poll_ended = loop->head.now = weir_now().ns;
    weir__loops_add(loop);
    *ret = loop;
    return NULL;

fail:
    weir__backtrace_free(loop->created);
    weir__chunk_pool_free(loop->pool);
    weir__free(loop);
    return weir_error_trace(error, WEIR_HERE);
}

weir_loop *weir_loop_ref(weir_loop *loop)
{
    if (loop)
        atomic_fetch_add_explicit(&loop->refs, 1, memory_order_relaxed);
    return loop;
}

void weir__loop_warn_unclosed(const weir_loop *loop)
{
    char repr[256];

    if (MUTATED(K2))
        return;
    weir_loop_repr(loop, repr, sizeof(repr));
    weir_warn_at(loop->site, WEIR_WARNING_RESOURCE, loop->created,
                 "unclosed event loop %s created at %s:%d", repr, text_site_file(loop->site),
                 loop->site->line);
}

/* The last reference of a loop that nobody closed. */
static void close_forgotten(weir_loop *loop)
{
    weir__loop_warn_unclosed(loop);
    if (loop != weir__thread_loop)
        return; /* only its own thread may; it is leaked */
    atomic_store(&loop->refs, 1);
    weir_loop_close_force(loop, WEIR_NS(0));
    atomic_fetch_sub(&loop->refs, 1);
}

void weir_loop_unref(weir_loop *loop)
{
    if (!loop)
        return;
    weir_assert(loop->head.magic == LOOP_MAGIC);
    if (atomic_fetch_sub_explicit(&loop->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (loop->fork_generation != weir__fork_generation)
        return; /* the parent's: its descriptors and threads are not ours to end */
    if (!loop->closed)
        close_forgotten(loop);
    if (!loop->closed || atomic_load(&loop->refs) != 0)
        return;
    loop->head.magic = 0;
    weir__backtrace_free(loop->created);
    weir__free(loop);
}

weir_loop *weir_loop_current(void)
{
    weir_loop *loop = weir__thread_loop;

    return loop && loop->running ? loop : NULL;
}

const char *weir_loop_backend(const weir_loop *loop)
{
    return loop->io ? loop->io->ops->name : "closed";
}

const char *weir_loop_backend_reason(const weir_loop *loop)
{
    return loop->io && loop->io->why ? loop->io->why : "closed";
}

struct io_backend *weir__loop_io(weir_loop *loop)
{
    return loop->io;
}

void weir__loop_set_io(weir_loop *loop, struct io_backend *io)
{
    io->pool = loop->pool;
    loop->io = io;
    weir__loop_observe(loop);
}

size_t weir__loop_stack_size(const weir_loop *loop)
{
    return loop->stack_size;
}

bool weir__loop_stack_guards(const weir_loop *loop)
{
    return !loop->no_stack_guards;
}

const char *weir__loop_name(const weir_loop *loop)
{
    return loop->name;
}

bool weir__loop_closed(const weir_loop *loop)
{
    return loop->closed;
}

const struct step *weir__loop_step(const weir_loop *loop)
{
    return &loop->step;
}

pid_t weir__loop_tid(const weir_loop *loop)
{
    return loop->tid;
}

bool weir__loop_polling(const weir_loop *loop)
{
    return atomic_load_explicit(&loop->polling, memory_order_relaxed);
}

void weir__loop_external_begin(weir_loop *loop)
{
    atomic_fetch_add(&loop->externals, 1);
}

void weir__loop_external_end(weir_loop *loop)
{
    atomic_fetch_sub(&loop->externals, 1);
}

size_t weir__loop_externals(const weir_loop *loop)
{
    return atomic_load(&loop->externals);
}

size_t weir__loop_interests(const weir_loop *loop)
{
    return loop->io ? loop->io->ops->interests(loop->io) : 0;
}

size_t weir_loop_repr(const weir_loop *loop, char *buffer, size_t size)
{
    struct text text = text_over(buffer, size);

    text_add(&text, "<Loop ");
    if (loop->named)
        text_printf(&text, "name='%s' ", loop->name);
    text_printf(&text, "running=%d closed=%d debug=%d>", loop->running, (int)loop->closed,
                (int)loop->debug);
    return text.len;
}

void weir__loop_set_clock(weir_loop *loop, struct loop_clock *clock)
{
    loop->clock = clock;
    loop->poll_ended = loop->head.now = clock ? clock->now(clock) : weir_now().ns;
}

void *weir__loop_slot(const weir_loop *loop, enum loop_slot slot)
{
    return loop->slots[slot].state;
}

void weir__loop_set_slot(weir_loop *loop, enum loop_slot slot, void *state,
                         const struct loop_slot_ops *ops)
{
    loop->slots[slot] = (struct loop_slot_state){state, ops};
}

/* What upper layers still have; names of some of it in `names`. */
static size_t count_live(weir_loop *loop, char *names, size_t size)
{
    struct text text = text_over(names, size);
    size_t live = 0;

    for (int i = LOOP_SLOTS; i-- > 0;) {
        struct loop_slot_state *slot = &loop->slots[i];
        char some[256] = "";
        size_t n = slot->ops && slot->ops->live
                       ? slot->ops->live(loop, slot->state, some, sizeof(some))
                       : 0;

        if (n && some[0]) {
            if (text.len)
                text_add(&text, "; ");
            text_add(&text, some);
        }
        live += n;
    }
    return live;
}

static void destroy_slots(weir_loop *loop)
{
    for (int i = LOOP_SLOTS; i-- > 0;) {
        struct loop_slot_state slot = loop->slots[i];
        char names[64];

        loop->slots[i] = (struct loop_slot_state){0};
        if (!slot.ops || !slot.ops->destroy)
            continue;
        /* Somebody's stack or buffers may still be in there: leaked rather than corrupted. */
        if (slot.ops->live && slot.ops->live(loop, slot.state, names, sizeof(names)) > 0) {
            weir_loop_ref(loop);
            if (slot.ops->abandon)
                slot.ops->abandon(loop, slot.state);
            continue;
        }
        slot.ops->destroy(loop, slot.state);
    }
}

void weir__jobs_drop(struct list *queue)
{
    while (!list_empty(queue)) {
        struct job *job = container_of(queue->next, struct job, link);

        list_remove(&job->link);
        if (weir__job_is_handle(job))
            weir__handle_drop(container_of(job, weir_handle, timer.job));
        else
            weir__post_drop(job);
    }
}

static void drop_timers(weir_loop *loop)
{
    while (loop->timers.count > 0) {
        struct timer *timer = loop->timers.entries[0].timer;

        weir__timer_stop(loop, timer);
        if (timer->job.run == weir__handle_fire)
            weir__handle_drop(container_of(timer, weir_handle, timer));
    }
    weir__timers_done(&loop->timers);
}

static void close_now(weir_loop *loop)
{
    char repr[256];

    if (loop->debug && weir_logger_enabled(weir__loop_logger, WEIR_LOG_DEBUG)) {
        weir_loop_repr(loop, repr, sizeof(repr));
        weir_log(weir__loop_logger, WEIR_LOG_DEBUG, "Close %s", repr);
    }
    weir_loop_ref(loop);
    destroy_slots(loop);
    loop->closed = true;
    weir__posts_close(loop);
    weir__jobs_drop(&loop->ready);
    /* Now that nothing posted is left: threads that end look here (post_block.c). */
    weir__loops_remove(loop);
    weir__post_blocks_free(loop);
    weir_assert(list_empty(&loop->batch) && list_empty(&loop->due));
    drop_timers(loop);
    weir__jobs_drop(&loop->parked);
    weir__watches_close(loop);
    weir__signals_close(loop);
    weir__handles_free(loop);
    weir__thread_loop = NULL;
    weir__thread_debug = false;
    loop->io->ops->destroy(loop->io); /* may hold chunks */
    weir__thread_pool = NULL;
    loop->io = NULL;
    weir__chunk_pool_free(loop->pool);
    loop->pool = NULL;
    weir_loop_unref(loop);
}

weir_error *weir_loop_close(weir_loop *loop)
{
    char names[512] = "";
    size_t live;

    if (loop->closed)
        return NULL;
    WEIR_TRY(weir__loop_check_thread(loop));
    if (loop->running)
        return weir_raise(WEIR_EBUSY, "loop \"%s\" is running: stop it first", loop->name);
    live = count_live(loop, names, sizeof(names));
    if (live)
        return weir_raise(WEIR_EBUSY, "loop \"%s\" still has %zu live: %s", loop->name, live,
                          names);
    close_now(loop);
    return NULL;
}

static void cancel_all(weir_loop *loop)
{
    for (int i = 0; i < LOOP_SLOTS; i++) {
        struct loop_slot_state *slot = &loop->slots[i];

        if (slot->ops && slot->ops->cancel_all)
            slot->ops->cancel_all(loop, slot->state);
    }
}

static bool has_tasks(weir_loop *loop)
{
    const struct loop_slot_state *slot = &loop->slots[LOOP_SLOT_TASKS];
    char names[64];

    return slot->ops && slot->ops->live &&
           slot->ops->live(loop, slot->state, names, sizeof(names)) > 0;
}

/* What nobody closed, once no task is left that could close it (`late`: although some are left). */
static void sweep(weir_loop *loop, bool *done, bool late)
{
    if (*done || (!late && has_tasks(loop)))
        return;
    *done = true;
    for (int i = 0; i < LOOP_SLOTS; i++) {
        struct loop_slot_state *slot = &loop->slots[i];

        if (slot->ops && slot->ops->sweep)
            slot->ops->sweep(loop, slot->state);
    }
    for (int i = 0; i < SWEEP_ITERATIONS; i++)
        weir_ignore(weir__loop_run_once(loop, 0));
}

/* ns until `end`; -1: for ever. */
static int64_t time_left(const weir_loop *loop, weir_instant end)
{
    int64_t now = weir_loop_time(loop).ns;

    if (end.ns == INT64_MAX)
        return -1;
    return end.ns > now ? end.ns - now : 0;
}

void weir_loop_close_force(weir_loop *loop, weir_duration grace)
{
    char names[512] = "";
    weir_instant end;
    bool swept = false;
    size_t live;

    if (loop->closed)
        return;
    if (!weir__loop_allows(loop))
        return;
    weir_require(!loop->running);
    end = weir_instant_after(weir_loop_time(loop), grace);
    cancel_all(loop);
    /* What was cancelled mostly ends in the first iteration, which does not wait. */
    weir_ignore(weir__loop_run_once(loop, 0));
    sweep(loop, &swept, false);
    while (count_live(loop, names, sizeof(names)) && time_left(loop, end) != 0) {
        weir_ignore(weir__loop_run_once(loop, time_left(loop, end)));
        sweep(loop, &swept, false);
    }
    sweep(loop, &swept, true);
    live = count_live(loop, names, sizeof(names));
    if (live)
        weir_log(weir__loop_logger, WEIR_LOG_ERROR,
                 "loop \"%s\" is closed, and these ignored it and are leaked: %s", loop->name,
                 names);
    close_now(loop);
}
