/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a loop for one result: until a future is done, or for a main task with everything around
 * it (signals, the end of what is left, closing).
 */
#include "config.h"

#include <signal.h>
#include <string.h>

#include <weir/callback.h>

#include "core/base/alloc.h"
#include "core/loop/watchdog.h"
#include "core/task/task.h"

#define GRACE_DEFAULT WEIR_S(30)

/* The loop stops a turn after the future's end, as a done callback would: what was ready before that
   end still runs. */
struct stop_when_done {
    struct future_link link;
    weir_callback stop;
};

static weir_error *stop_loop(void *loop)
{
    weir_loop_stop(loop);
    return NULL;
}

static void stop_soon(struct future_link *link)
{
    weir_callback_schedule(&container_of(link, struct stop_when_done, link)->stop);
}

weir_error *weir_loop_run_until_complete(weir_loop *loop, weir_future *future)
{
    weir_auto(weir_future) held = NULL;
    struct stop_when_done stop = {.link.done = stop_soon};
    weir_error *error;

    WEIR_TRY(weir__loop_check_thread(loop));
    if (future->home->loop != loop)
        return weir_raise(WEIR_EINVAL, "the future belongs to another loop");
    if (future->state != FUTURE_PENDING)
        return weir__future_error(future);
    held = weir_future_ref(future);
    weir_callback_init(&stop.stop, loop, stop_loop, loop);
    list_append(&future->links, &stop.link.link);
    error = weir_loop_run_forever(loop);
    list_remove(&stop.link.link);
    (void)weir_callback_cancel(&stop.stop);
    if (error)
        return error;
    if (future->state == FUTURE_PENDING)
        return weir_raise(WEIR_EINVALSTATE, "the loop was stopped before its future was done");
    return weir__future_error(future);
}

/* Signals: the first SIGINT or SIGTERM cancels main, the second does what it did before. */

struct interrupts {
    weir_loop *loop;
    weir_task *task;
    bool sigint, sigterm; /* caught */
};

static void interrupts_end(struct interrupts *interrupts)
{
    if (interrupts->sigint)
        (void)weir_loop_remove_signal_handler(interrupts->loop, SIGINT);
    if (interrupts->sigterm)
        (void)weir_loop_remove_signal_handler(interrupts->loop, SIGTERM);
    interrupts->sigint = interrupts->sigterm = false;
}

static weir_error *interrupt_main(void *arg)
{
    struct interrupts *interrupts = arg;

    interrupts_end(interrupts);
    (void)weir_task_cancel(interrupts->task);
    return NULL;
}

/* A program started with the signal ignored (nohup, a shell's background job) goes on ignoring it. */
static weir_error *catch (struct interrupts *interrupts, int signum, bool *ret_caught)
{
    struct sigaction now;

    if (sigaction(signum, NULL, &now) != 0 || now.sa_handler != SIG_DFL)
        return NULL;
    WEIR_TRY(weir__loop_add_signal_once(interrupts->loop, signum, interrupt_main, interrupts));
    *ret_caught = true;
    return NULL;
}

static weir_error *interrupts_begin(struct interrupts *interrupts, const weir_run_options *options)
{
    if (!weir__loop_is_main(interrupts->loop))
        return NULL;
    if (!options->keep_sigint)
        WEIR_TRY(catch (interrupts, SIGINT, &interrupts->sigint));
    if (!options->keep_sigterm)
        WEIR_TRY(catch (interrupts, SIGTERM, &interrupts->sigterm));
    return NULL;
}

/* The end of what main left behind */

struct rest {
    weir_task **tasks; /* a reference each */
    size_t count;
};

static void rest_take(struct rest *rest, struct task_home *home)
{
    *rest = (struct rest){.tasks = weir__calloc(home->live + 1, sizeof(weir_task *))};
    if (!rest->tasks)
        return; /* their errors are reported as never retrieved, then */
    weir_list_foreach(task, &home->tasks, weir_task, link)
        rest->tasks[rest->count++] = weir_task_ref(task);
}

static bool rest_done(const struct rest *rest)
{
    for (size_t i = 0; i < rest->count; i++) {
        if (!weir_task_done(rest->tasks[i]))
            return false;
    }
    return true;
}

static void rest_report(const struct rest *rest)
{
    for (size_t i = 0; i < rest->count; i++) {
        weir_future *future = &rest->tasks[i]->future;

        if (future->state != FUTURE_ERROR || future->error_seen)
            continue;
        future->error_seen = true;
        if (!weir_error_is(future->error, WEIR_ECANCELED))
            weir__task_report(future, "unhandled exception during weir_run() shutdown");
    }
}

static void rest_drop(struct rest *rest)
{
    for (size_t i = 0; i < rest->count; i++)
        weir_task_unref(rest->tasks[i]);
    weir__free(rest->tasks);
}

static int64_t left_until(weir_instant end)
{
    int64_t now = weir_now().ns;

    if (end.ns == INT64_MAX)
        return -1;
    return end.ns > now ? end.ns - now : 0;
}

/* Cancels and joins what main left; what does not end in time is for weir_loop_close_force(). */
static void gather_rest(weir_loop *loop, weir_instant end)
{
    struct task_home *home = weir__loop_slot(loop, LOOP_SLOT_TASKS);
    struct rest rest;

    if (!home || home->live == 0)
        return;
    rest_take(&rest, home);
    weir_loop_cancel_tasks(loop);
    weir_ignore(weir__loop_run_once(loop, 0));
    while (!rest_done(&rest) && left_until(end) != 0)
        weir_ignore(weir__loop_run_once(loop, left_until(end)));
    rest_report(&rest);
    rest_drop(&rest);
}

static weir_error *run_main(weir_loop *loop, weir_task *task, const weir_run_options *options)
{
    struct interrupts interrupts = {.loop = loop, .task = task};
    weir_error *error = interrupts_begin(&interrupts, options);

    if (!error)
        error = weir_loop_run_until_complete(loop, &task->future);
    interrupts_end(&interrupts);
    return error;
}

static weir_error *loop_for(const weir_site *site, const weir_run_options *options,
                            weir_loop **ret_loop)
{
    weir_loop_options with = {WEIR_SIZED(weir_loop_options)};

    if (options->loop)
        memcpy(&with, options->loop,
               options->loop->size < sizeof with ? options->loop->size : sizeof with);
    with.size = sizeof with;
    if (options->debug != WEIR_DEBUG_DEFAULT)
        with.debug = options->debug;
    return weir_loop_new_at(site, &with, ret_loop);
}

/* In debug mode the watchdog looks on; without a thread for it there is none. */
static bool watchdog_on(const weir_loop *loop)
{
    weir_error *error = NULL;

    if (!weir_loop_get_debug(loop))
        return false;
    error = weir__watchdog_hold();
    if (!error)
        return true;
    weir_ignore(error);
    return false;
}

weir_error *weir_run_at(const weir_site *site, const char *name, weir_fn main, void *arg,
                        const weir_run_options *given)
{
    weir_run_options options = {.grace = GRACE_DEFAULT};
    weir_auto(weir_loop) loop = NULL;
    weir_auto(weir_task) task = NULL;
    weir_error *error;
    weir_instant end;
    bool watched;

    if (given)
        memcpy(&options, given, given->size < sizeof options ? given->size : sizeof options);
    if (options.grace.ns <= 0)
        options.grace = GRACE_DEFAULT;
    WEIR_TRY(loop_for(site, &options, &loop));
    if (!options.keep_sigpipe)
        signal(SIGPIPE, SIG_IGN);
    watched = watchdog_on(loop);
    error = weir__spawn(loop, site, name, main, arg, &task);
    if (!error)
        error = run_main(loop, task, &options);
    end = weir_instant_after(weir_now(), options.grace);
    gather_rest(loop, end);
    weir_loop_cancel_tasks(loop); /* nothing unexpected: they are no report */
    weir_loop_close_force(loop, left_until(end) < 0 ? WEIR_FOREVER : WEIR_NS(left_until(end)));
    if (watched)
        weir__watchdog_release();
    return error;
}
