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

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/invariant.h"
#include "core/base/text.h"
#include "core/loop/context.h"

#define CACHE_LINE 64
/* Objects of eight neighbours start 128 bytes apart. */
#define COLOURS     8
#define COLOUR_STEP 128
/* Of the numbers of default names. */
#define NUMBER_BLOCK 64

__thread weir_task *weir__current_task __attribute__((tls_model("initial-exec")));

/* Its frame is gone, children may still use it: nothing can be put right. */
static __attribute__((noinline, noreturn)) void scope_left_open(const weir_task *task)
{
    fprintf(stderr,
            "weir: task '%s' (%s, created at %s:%d) returned from inside a scope or group that it "
            "had entered without leaving it\n",
            weir_task_name(task), task->fn_name, text_site_file(task->future.site),
            task->future.site->line);
    weir__panic(task->future.site, "a task leaves its scopes before it returns");
}

/* The loop runs again although a task of it neither suspended nor ended. */
static __attribute__((noinline, noreturn)) void left_by_longjmp(const weir_task *task)
{
    fprintf(stderr, "weir: task '%s' (%s, created at %s:%d) was left by longjmp\n",
            weir_task_name(task), task->fn_name, text_site_file(task->future.site),
            task->future.site->line);
    weir__panic(task->future.site, "a task is left by suspending or returning only");
}

static void task_entry(void *arg)
{
    weir_task *task = arg;
    weir_error *error;

    fiber_entered(task->back);
    error = task->fn(task->arg);
    if (__builtin_expect(task->scope != NULL,
                         0)) /* cleanup leaves every scope, unless gone round */
        scope_left_open(task);
    task->state = TASK_DONE;
    task->future.error = error; /* held here until the loop's side completes the future */
    fiber_switch(&task->fiber, task->back, true);
    abort();
}

void weir__task_suspend(weir_task *task)
{
    fiber_switch(&task->fiber, task->back, false);
}

/* The run ends with it, whoever waits for the task; it counts as taken. */
static void end_run(struct task_home *home, weir_future *future)
{
    if (home->loop)
        weir__loop_abort(home->loop, weir__future_error(future));
}

static void finish(weir_task *task)
{
    struct task_home *home = task->future.home;
    weir_error *error = WEIR_TAKE(task->future.error);

    fiber_done(&task->fiber);
    if (__builtin_expect(atomic_load_explicit(&weir__census_on, memory_order_relaxed), 0))
        weir__census_count(task);
    weir_context_unref(WEIR_TAKE(task->context));
    if (timer_running(&task->timer))
        weir__timer_stop(home->loop, &task->timer);
    list_remove(&task->link);
    home->live--;
    weir__co_maker_ended(task);
    weir__future_complete(&task->future, error);
    if (task->group)
        weir__group_child_ended(task);
    if (__builtin_expect(error && weir__error_peek_code(error) == WEIR_EFATAL, 0))
        end_run(home, &task->future);
    weir_task_unref(task);
}

/* Goes on with the task until it suspends or ends. `from` is the stack that runs now. */
static void run(weir_task *task, struct fiber *from)
{
    const struct task_home *home = task->future.home;
    weir_task *task_before = weir__current_task;
    weir_context *context_before = weir__context;

    weir__current_task = task;
    weir__context = WEIR_TAKE(task->context);
    task->state = TASK_RUNNING;
    task->back = from;
    fiber_switch(from, &task->fiber, false);
    if (__builtin_expect(!home->stacks.guarded, 0) &&
        !weir__stack_is_whole(&home->stacks, task->stack))
        weir__overflow_found(task);
    task->context = weir__context;
    weir__context = context_before;
    weir__current_task = task_before;
    if (task->state == TASK_DONE)
        finish(task);
}

static weir_error *step(struct job *job)
{
    weir_task *task = container_of(job, weir_task, job);

    if (__builtin_expect(weir__current_task != NULL, 0))
        left_by_longjmp(weir__current_task);
    fiber_adopt(&task->future.home->main);
    run(task, &task->future.home->main);
    return NULL;
}

static void hold_task(struct job *job)
{
    (void)weir_task_ref(container_of(job, weir_task, job));
}

static void release_task(struct job *job)
{
    weir_task_unref(container_of(job, weir_task, job));
}

static size_t describe_task(const struct job *job, char *buffer, size_t size)
{
    return weir_task_repr(container_of((struct job *)job, weir_task, job), buffer, size);
}

static const weir_backtrace *task_source(const struct job *job)
{
    return container_of((struct job *)job, weir_task, job)->future.origin;
}

struct job_kind weir__task_kind = {.run = step,
                                   .hold = hold_task,
                                   .release = release_task,
                                   .describe = describe_task,
                                   .source = task_source};

static weir_error *deadline_passed(struct job *job)
{
    weir_task *task = container_of(job, weir_task, timer.job);

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

/* Numbers are taken in blocks, so that threads do not share a line of cache at each spawn. */
static uint64_t next_number(void)
{
    static _Atomic uint64_t blocks;
    static __thread uint64_t next, left;

    if (left == 0) {
        next = atomic_fetch_add_explicit(&blocks, NUMBER_BLOCK, memory_order_relaxed) + 1;
        left = NUMBER_BLOCK;
    }
    left--;
    return next++;
}

static void init_task(weir_task *task, const struct spawn *spawn)
{
    task->future.is_task = true;
    job_init(&task->job, step, spawn->site);
    weir__timer_init(&task->timer, deadline_passed, spawn->site);
    list_init(&task->link);
    list_init(&task->sibling);
    list_init(&task->cos);
    task->fn = spawn->fn;
    task->arg = spawn->arg;
    task->fn_name = spawn->fn_name;
    task->number = next_number();
    task->state = TASK_READY;
    task->context = weir_context_ref(spawn->context ? spawn->context : weir__context);
    task->group = spawn->group;
    task->wanted = spawn->wanted;
    if (spawn->group)
        list_append(&spawn->group->live, &task->sibling);
    if (spawn->name)
        weir_task_set_name(task, spawn->name);
}

static void run_eagerly(weir_task *task, struct task_home *home)
{
    if (weir__current_task) {
        run(task, &weir__current_task->fiber);
        return;
    }
    fiber_adopt(&home->main);
    run(task, &home->main);
}

weir_error *weir__spawn_with(weir_loop *loop, const struct spawn *spawn, weir_task **ret_task)
{
    struct task_home *home;
    struct stack stack;
    weir_task *task;

    WEIR_TRY(weir__loop_check_thread(loop));
    WEIR_TRY(weir__task_home_of(loop, &home));
    WEIR_TRY(weir__stack_take(&home->stacks, &stack));
    task = place_task(home, stack);
    weir__future_init(&task->future, home, spawn->site);
    task->stack = stack;
    init_task(task, spawn);
    if (__builtin_expect(atomic_load_explicit(&weir__census_on, memory_order_relaxed), 0))
        weir__census_paint(task);
    fiber_make(&task->fiber, weir__stack_base(&home->stacks, stack) + home->stacks.guard, task,
               task_entry, task);
    list_append(&home->tasks, &task->link);
    home->live++;
    if (ret_task)
        *ret_task = weir_task_ref(task);
    if (spawn->eager)
        run_eagerly(task, home);
    else
        weir__loop_ready(loop, &task->job);
    return NULL;
}

weir_error *weir__spawn(weir_loop *loop, const weir_site *site, const char *name, weir_fn fn,
                        void *arg, weir_task **ret_task)
{
    struct spawn spawn = {.site = site, .fn_name = name, .fn = fn, .arg = arg};

    return weir__spawn_with(loop, &spawn, ret_task);
}

static weir_error *spawn_here(const struct spawn *spawn, weir_task **ret_task)
{
    if (!weir__thread_loop)
        return weir_raise_at(spawn->site, WEIR_ETHREAD,
                             "spawn of %s: no loop belongs to this thread", spawn->fn_name);
    return weir__spawn_with(weir__thread_loop, spawn, ret_task);
}

weir_error *weir_spawn_at(const weir_site *site, const char *name, weir_fn fn, void *arg,
                          weir_task **ret_task)
{
    struct spawn spawn = {.site = site, .fn_name = name, .fn = fn, .arg = arg};

    return spawn_here(&spawn, ret_task);
}

weir_error *weir_spawn_eager_at(const weir_site *site, const char *name, weir_fn fn, void *arg,
                                weir_task **ret_task)
{
    struct spawn spawn = {.site = site, .fn_name = name, .fn = fn, .arg = arg, .eager = true};

    return spawn_here(&spawn, ret_task);
}

void weir__spawn_read_options(struct spawn *spawn, const weir_spawn_options *given)
{
    weir_spawn_options options = {0};

    if (!given)
        return;
    memcpy(&options, given, given->size < sizeof options ? given->size : sizeof options);
    spawn->name = options.name;
    spawn->eager = options.eager;
    spawn->context = options.context;
}

weir_error *weir_spawn_with_at(const weir_site *site, const char *name, weir_fn fn, void *arg,
                               const weir_spawn_options *options, weir_task **ret_task)
{
    struct spawn spawn = {.site = site, .fn_name = name, .fn = fn, .arg = arg};

    weir__spawn_read_options(&spawn, options);
    return spawn_here(&spawn, ret_task);
}

weir_task *weir_task_ref(weir_task *task)
{
    if (!task || !weir__task_home_allows(task->future.home))
        return NULL;
    return task_of(weir_future_ref(&task->future));
}

void weir_task_unref(weir_task *task)
{
    if (task)
        weir_future_unref(&task->future);
}

void weir_task_detach(weir_task *take_task)
{
    weir_task_unref(take_task);
}

weir_task *weir_task_current(void)
{
    return weir__current_task;
}

weir_future *weir_task_future(weir_task *task)
{
    return &task->future;
}

bool weir_task_cancel_at(const weir_site *site, weir_task *task)
{
    weir_error *error = weir__task_home_check_call(task->future.home, __func__, site);

    if (error) {
        weir_ignore(error);
        return false;
    }
    if (task->state == TASK_DONE) {
        task->future.error_seen = true;
        return false;
    }
    if (task->cancelling++ == 0)
        task->future.done_site = site;
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
    if (weir__task_home_allows(task->future.home) && task->cancelling)
        task->cancelling--;
    return task->cancelling;
}

const char *weir_task_name(const weir_task *task)
{
    weir_task *named = (weir_task *)task;

    if (task->own_name)
        return task->own_name;
    if (!named->default_name[0])
        snprintf(named->default_name, sizeof named->default_name, "Task-%" PRIu64, task->number);
    return named->default_name;
}

void weir_task_set_name(weir_task *task, const char *name)
{
    char *copy;

    if (!weir__task_home_allows(task->future.home))
        return;
    copy = weir__strdup(name);
    if (!copy)
        return; /* a name is not worth an error */
    weir__free(task->own_name);
    task->own_name = copy;
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

/* The tasks as they are now, a reference each. */
static weir_task **hold_tasks(struct task_home *home, size_t *ret_count)
{
    weir_task **tasks = weir__calloc(home->live, sizeof(weir_task *));
    size_t count = 0;

    if (!tasks)
        return NULL;
    weir_list_foreach(task, &home->tasks, weir_task, link)
        tasks[count++] = weir_task_ref(task);
    *ret_count = count;
    return tasks;
}

weir_error *weir_loop_foreach_task(weir_loop *loop, void (*fn)(weir_task *, void *), void *arg)
{
    struct task_home *home;
    weir_task **tasks;
    size_t count = 0;

    WEIR_TRY(weir__loop_check_thread(loop));
    home = weir__loop_slot(loop, LOOP_SLOT_TASKS);
    if (!home || home->live == 0)
        return NULL;
    tasks = hold_tasks(home, &count);
    if (!tasks)
        return weir_raise(WEIR_ENOMEM, "tasks");
    for (size_t i = 0; i < count; i++) {
        if (tasks[i]->state != TASK_DONE)
            fn(tasks[i], arg);
        weir_task_unref(tasks[i]);
    }
    weir__free(tasks);
    return NULL;
}

size_t weir_loop_task_count(const weir_loop *loop)
{
    const struct task_home *home = weir__loop_slot(loop, LOOP_SLOT_TASKS);

    return home ? home->live : 0;
}
