/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a loop for one result: until a future is done, or for a main task with everything around
 * it (signals, the end of what is left, closing).
 */
#include "config.h"

#include <signal.h>

#include "core/task/task.h"

#define GRACE_DEFAULT WEIR_S(30)

struct stop_when_done {
    struct future_link link;
    weir_loop *loop;
};

static void stop_loop(struct future_link *link)
{
    weir_loop_stop(container_of(link, struct stop_when_done, link)->loop);
}

weir_error *weir_loop_run_until_complete(weir_loop *loop, weir_future *future)
{
    weir_auto(weir_future) held = NULL;
    struct stop_when_done stop = {.link.done = stop_loop, .loop = loop};
    weir_error *error;

    WEIR_TRY(weir__loop_check_thread(loop));
    if (future->home->loop != loop)
        return weir_raise(WEIR_EINVAL, "the future belongs to another loop");
    if (future->state != FUTURE_PENDING)
        return weir__future_error(future);
    held = weir_future_ref(future);
    list_append(&future->links, &stop.link.link);
    error = weir_loop_run_forever(loop);
    list_remove(&stop.link.link);
    if (error)
        return error;
    if (future->state == FUTURE_PENDING)
        return weir_raise(WEIR_EINVALSTATE, "the loop was stopped before its future was done");
    return weir__future_error(future);
}

static weir_error *interrupt_main(void *task)
{
    (void)weir_task_cancel(task);
    return NULL;
}

static weir_error *run_main(weir_loop *loop, weir_task *task, bool catch_sigint)
{
    weir_error *error;

    if (catch_sigint)
        WEIR_TRY(weir_loop_add_signal_handler(loop, SIGINT, interrupt_main, task));
    error = weir_loop_run_until_complete(loop, &task->future);
    if (catch_sigint)
        (void)weir_loop_remove_signal_handler(loop, SIGINT);
    return error;
}

weir_error *weir_run_at(const weir_site *site, const char *name, weir_fn main, void *arg,
                        const weir_run_options *options)
{
    weir_auto(weir_loop) loop = NULL;
    weir_auto(weir_task) task = NULL;
    weir_duration grace = GRACE_DEFAULT;
    weir_error *error;

    if (options && options->grace.ns > 0)
        grace = options->grace;
    WEIR_TRY(weir_loop_new(options ? options->loop : NULL, &loop));
    if (!(options && options->keep_sigpipe))
        signal(SIGPIPE, SIG_IGN);
    error = weir__spawn(loop, site, name, main, arg, &task);
    if (!error)
        error = run_main(loop, task, !(options && options->keep_sigint));
    weir_loop_cancel_tasks(loop); /* nothing unexpected: they are no report */
    weir_loop_close_force(loop, grace);
    return error;
}
