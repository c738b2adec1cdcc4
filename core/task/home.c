/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tasks of one loop share, hung on the loop by a slot and made on first use. It is
 * counted: futures and tasks that somebody still references when the loop has closed keep it (and
 * the stacks that they lie in) alive, with no loop.
 *
 * A loop that is closed over tasks that would not end names them (live() gives the names) and leaves
 * the home alone, with its stacks: leaked rather than freed under their frames.
 */
#include "config.h"

#include <stdio.h>

#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/task/task.h"

_Atomic size_t weir__task_homes;

static void home_free(struct task_home *home)
{
    weir__stack_pool_done(&home->stacks);
    weir__overflow_watch_free(home->overflow);
    weir__free(home);
    weir__task_homes--;
}

void weir__task_home_unref(struct task_home *home)
{
    if (--home->refs == 0)
        home_free(home);
}

static void cancel_all(weir_loop *loop, void *state)
{
    struct task_home *home = state;

    (void)loop;
    weir__task_report_pending(home, false);
    weir_list_foreach(task, &home->tasks, weir_task, link) {
        if (!task->cancelling)
            (void)weir_task_cancel_at(NULL, task);
    }
}

void weir_loop_cancel_tasks(weir_loop *loop)
{
    struct task_home *home;

    if (!weir__loop_allows(loop))
        return;
    home = weir__loop_slot(loop, LOOP_SLOT_TASKS);
    if (!home)
        return;
    weir_list_foreach(task, &home->tasks, weir_task, link) {
        if (!task->cancelling)
            (void)weir_task_cancel_at(NULL, task);
    }
}

static size_t live(weir_loop *loop, void *state, char *buffer, size_t size)
{
    struct task_home *home = state;
    size_t used = 0;

    (void)loop;
    if (size)
        buffer[0] = '\0';
    weir_list_foreach(task, &home->tasks, weir_task, link) {
        int n;

        if (used >= size)
            break;
        n = snprintf(buffer + used, size - used, "%stask '%s' (%s at %s:%d)", used ? ", " : "",
                     weir_task_name(task), task->fn_name, text_site_file(task->future.site),
                     task->future.site->line);
        used += n > 0 ? (size_t)n : 0;
    }
    return home->live;
}

/* No task lives. */
static void destroy(weir_loop *loop, void *state)
{
    struct task_home *home = state;

    (void)loop;
    weir__co_home_closed(home);
    weir__future_home_closed(home);
    home->loop = NULL;
    weir__task_home_unref(home);
}

/* Those that were asked to end and ignored it. */
static void abandon(weir_loop *loop, void *state)
{
    (void)loop;
    weir__task_report_pending(state, true);
}

static const struct loop_slot_ops slot_ops = {
    .cancel_all = cancel_all,
    .live = live,
    .abandon = abandon,
    .destroy = destroy,
};

static weir_error *home_new(weir_loop *loop, struct task_home **ret)
{
    struct task_home *home = weir__calloc(1, sizeof *home);
    weir_error *error;

    if (!home)
        return weir_raise(WEIR_ENOMEM, "tasks");
    error = weir__overflow_watch_new(&home->overflow);
    if (error) {
        weir__free(home);
        return error;
    }
    weir__task_homes++;
    weir__job_kind_register(&weir__task_kind);
    home->loop = loop;
    home->refs = 1;
    list_init(&home->tasks);
    list_init(&home->cos);
    list_init(&home->scheduled);
    weir__stack_pool_init(&home->stacks, weir__loop_stack_size(loop),
                          weir__loop_stack_guards(loop));
    weir__loop_set_slot(loop, LOOP_SLOT_TASKS, home, &slot_ops);
    *ret = home;
    return NULL;
}

weir_error *weir__task_home_of(weir_loop *loop, struct task_home **ret)
{
    struct task_home *home = weir__loop_slot(loop, LOOP_SLOT_TASKS);

    if (__builtin_expect(!home, 0))
        WEIR_TRY(home_new(loop, &home));
    *ret = home;
    return NULL;
}

weir_error *weir__task_home_here(struct task_home **ret)
{
    weir_loop *loop = weir__thread_loop;

    if (!loop)
        return weir_raise(WEIR_ETHREAD, "no loop belongs to this thread");
    return weir__task_home_of(loop, ret);
}

weir_error *weir__task_home_check_call(const struct task_home *home, const char *operation,
                                       const weir_site *site)
{
    if (weir__task_home_is_here(home))
        return NULL;
    return weir__loop_wrong_thread(__atomic_load_n(&home->loop, __ATOMIC_RELAXED), operation, site);
}
