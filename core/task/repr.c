/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How futures and tasks are written in reports and call graphs:
 *
 *     <Future finished error=ENOENT('no luck') created at t.c:7>
 *     <Task pending name='Task-1' fn=kill_me at t.c:5 suspended at t.c:6 wait_for=<Future pending
 *      created at t.c:7> created at t.c:15>
 *
 * What a task waits for is written without what that waits for in turn, so that cycles end.
 */
#include "config.h"

#include <string.h>

#include "core/base/text.h"
#include "core/task/graph.h"
#include "core/task/task.h"
#include "core/task/unwind.h"

#define MESSAGE_SHOWN 120

const char *weir__future_state_name(const weir_future *future)
{
    if (future->state == FUTURE_PENDING)
        return future->is_task && task_of((weir_future *)future)->cancelling ? "cancelling"
                                                                             : "pending";
    if (future->state == FUTURE_ERROR && weir__error_peek_code(future->error) == WEIR_ECANCELED)
        return "cancelled";
    return "finished";
}

/* WEIR_ENOTREADY('the future is not done yet') */
static void add_error(struct text *text, const weir_error *error)
{
    char message[MESSAGE_SHOWN];

    weir__error_own_message(error, message, sizeof message);
    text_printf(text, " error=%s('", weir_code_name(weir__error_peek_code(error)));
    text_add_escaped(text, message, strlen(message), "'");
    text_add(text, "')");
}

static void add_place(struct text *text, const char *what, const weir_site *site)
{
    if (site)
        text_printf(text, " %s %s:%d", what, text_site_file(site), site->line);
}

static void add_outcome(struct text *text, const weir_future *future)
{
    if (future->state == FUTURE_ERROR && weir__error_peek_code(future->error) != WEIR_ECANCELED)
        add_error(text, future->error);
}

static void add_future(struct text *text, const weir_future *future)
{
    text_printf(text, "<Future %s", weir__future_state_name(future));
    add_outcome(text, future);
    if (future->state == FUTURE_RESULT && future->value)
        text_printf(text, " result=%p", future->value);
    weir__future_add_callbacks(future, text);
    add_place(text, "created at", future->site);
    text_add(text, ">");
}

static void add_suspension(struct text *text, const weir_task *task)
{
    struct code_place place;

    if (task->state != TASK_WAITING)
        return;
    if (task->wait_site)
        add_place(text, "suspended at", task->wait_site);
    else if (weir__task_suspended_at(task, &place))
        text_printf(text, " suspended at %s:%d", place.file, place.line);
}

static void add_task(struct text *text, const weir_task *task, bool deep)
{
    struct code_place place;

    text_printf(text, "<Task %s name='%s' fn=%s", weir__future_state_name(&task->future),
                weir_task_name(task), task->fn_name);
    if (weir__code_place((const void *)(uintptr_t)task->fn, true, &place))
        text_printf(text, " at %s:%d", place.file, place.line);
    if (deep)
        add_suspension(text, task);
    if (deep && task->wait_for) {
        text_add(text, " wait_for=");
        if (task->wait_for->is_task)
            add_task(text, task_of(task->wait_for), false);
        else
            add_future(text, task->wait_for);
    }
    add_outcome(text, &task->future);
    add_place(text, "created at", task->future.site);
    text_add(text, ">");
}

size_t weir_future_repr(const weir_future *future, char *buffer, size_t size)
{
    struct text text = text_over(buffer, size);

    if (future->is_task)
        add_task(&text, task_of((weir_future *)future), true);
    else
        add_future(&text, future);
    return text.len;
}

size_t weir_task_repr(const weir_task *task, char *buffer, size_t size)
{
    return weir_future_repr(&task->future, buffer, size);
}
