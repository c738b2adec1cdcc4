/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks: stackful coroutines, each with its own object at the top of its stack:
 *
 *     base                                                                top
 *      | guard |            … frames of the body, growing down | weir_task | colour
 *
 * so that a task which suspends early touches one page. The colour moves the objects of
 * neighbouring stacks into different cache sets, which equal offsets would share.
 *
 *     READY ──step──> RUNNING ──wait──> WAITING ──wake, poke──> (job queued) ──step──> RUNNING
 *                        └──────────────return of the body──────────────────> DONE
 *
 * A task runs as a job of the ready queue, always from the loop's stack, and switches back to it. A
 * body that returned switches back once more and the loop's side ends it: nobody frees the stack he
 * stands on.
 */
#include "config.h"

#include "core/task/task.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/invariant.h"

#define CACHE_LINE 64
/* Objects of eight neighbours start 128 bytes apart. */
#define COLOURS     8
#define COLOUR_STEP 128

__thread weir_task *weir__current_task __attribute__((tls_model("initial-exec")));

static void task_entry(void *arg)
{
    weir_task *task = arg;
    weir_error *error;

    fiber_entered(&task->future.home->main);
    error = task->fn(task->arg);
    weir_assert(!task->scope); /* cleanup leaves every scope */
    task->state = TASK_DONE;
    task->future.error = error; /* held here until the loop's side completes the future */
    fiber_switch(&task->fiber, &task->future.home->main, true);
    abort();
}

void weir__task_suspend(weir_task *task)
{
    fiber_switch(&task->fiber, &task->future.home->main, false);
}

static void finish(weir_task *task)
{
    struct task_home *home = task->future.home;
    weir_error *error = WEIR_TAKE(task->future.error);

    fiber_done(&task->fiber);
    if (timer_running(&task->timer))
        weir__timer_stop(home->loop, &task->timer);
    list_remove(&task->link);
    home->live--;
    weir__co_maker_ended(task);
    weir__future_complete(&task->future, error);
    if (task->group)
        weir__group_child_ended(task);
    weir_task_unref(task);
}

static weir_error *step(struct job *job)
{
    weir_task *task = container_of(job, weir_task, job);

    weir__current_task = task;
    task->state = TASK_RUNNING;
    fiber_adopt(&task->future.home->main);
    fiber_switch(&task->future.home->main, &task->fiber, false);
    weir__current_task = NULL;
    if (task->state == TASK_DONE)
        finish(task);
    return NULL;
}

static weir_error *deadline_passed(struct timer *timer)
{
    weir_task *task = container_of(timer, weir_task, timer);

    if (task->state != TASK_WAITING)
        return NULL;
    if (weir__loop_now(task->future.home->loop) >= task->wake_at)
        weir__wait_wake(task->waiter);
    else
        weir__task_poke(task);
    return NULL;
}

/* The object at the top of its stack. */
static weir_task *place_task(struct task_home *home, struct stack stack)
{
    char *top = weir__stack_base(&home->stacks, stack) + home->stacks.stride;
    char *place = top - sizeof(weir_task) - (size_t)stack.index % COLOURS * COLOUR_STEP;

    place -= (uintptr_t)place % CACHE_LINE;
    memset(place, 0, sizeof(weir_task));
    return (weir_task *)(void *)place;
}

weir_error *weir__spawn(weir_loop *loop, const weir_site *site, const char *name, weir_fn fn,
                        void *arg, weir_task **ret_task)
{
    struct task_home *home;
    struct stack stack;
    weir_task *task;

    WEIR_TRY(weir__loop_check_thread(loop));
    WEIR_TRY(weir__task_home_of(loop, &home));
    WEIR_TRY(weir__stack_take(&home->stacks, &stack));
    task = place_task(home, stack);
    weir__future_init(&task->future, home, site);
    task->future.is_task = true;
    task->stack = stack;
    job_init(&task->job, step, site);
    weir__timer_init(&task->timer, deadline_passed, site);
    list_init(&task->link);
    list_init(&task->sibling);
    list_init(&task->cos);
    task->fn = fn;
    task->arg = arg;
    task->name = name;
    task->state = TASK_READY;
    fiber_make(&task->fiber, weir__stack_base(&home->stacks, stack) + home->stacks.guard, task,
               task_entry, task);
    list_append(&home->tasks, &task->link);
    home->live++;
    weir__loop_ready(loop, &task->job);
    if (ret_task)
        *ret_task = weir_task_ref(task);
    return NULL;
}

weir_error *weir_spawn_at(const weir_site *site, const char *name, weir_fn fn, void *arg,
                          weir_task **ret_task)
{
    if (!weir__thread_loop)
        return weir_raise_at(site, WEIR_ETHREAD, "spawn of %s: no loop belongs to this thread",
                             name);
    return weir__spawn(weir__thread_loop, site, name, fn, arg, ret_task);
}

weir_task *weir_task_ref(weir_task *task)
{
    if (task)
        (void)weir_future_ref(&task->future);
    return task;
}

void weir_task_unref(weir_task *task)
{
    if (task)
        weir_future_unref(&task->future);
}

weir_task *weir_task_current(void)
{
    return weir__current_task;
}

weir_future *weir_task_future(weir_task *task)
{
    return &task->future;
}

bool weir_task_cancel(weir_task *task)
{
    weir_error *error = weir__task_home_check(task->future.home);

    if (error) {
        weir_ignore(error);
        return false;
    }
    if (task->state == TASK_DONE)
        return false;
    task->cancelling++;
    weir__task_poke(task);
    return true;
}

bool weir_task_done(const weir_task *task)
{
    return task->state == TASK_DONE;
}

unsigned weir_task_cancelling(const weir_task *task)
{
    return task->cancelling;
}

unsigned weir_task_uncancel(weir_task *task)
{
    if (task->cancelling)
        task->cancelling--;
    return task->cancelling;
}

const char *weir_task_name(const weir_task *task)
{
    return task->name;
}

void weir_task_set_name(weir_task *task, const char *name)
{
    char *copy = weir__strdup(name);

    if (!copy)
        return; /* a name is not worth an error */
    weir__free(task->own_name);
    task->name = task->own_name = copy;
}

void weir_task_set_result(void *take_value, weir_drop_fn drop)
{
    weir_task *task = weir__current_task;

    if (!task) {
        if (drop)
            drop(take_value);
        return;
    }
    weir__future_drop_value(&task->future);
    task->future.value = take_value;
    task->future.drop = drop;
}
