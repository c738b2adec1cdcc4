/* SPDX-License-Identifier: Apache-2.0 */
/* Sections that must not suspend, and locks that a task holds while it does. */
#include "config.h"

#include <weir/log.h>

#include "core/base/log.h"
#include "core/base/text.h"
#include "core/task/task.h"
#include "core/task/unwind.h"

void weir_no_suspend_begin_at(const weir_site *site)
{
    weir_task *task = weir__current_task;

    if (task && task->no_suspend++ == 0)
        task->no_suspend_site = site;
}

void weir_no_suspend_end(void)
{
    weir_task *task = weir__current_task;

    if (task && task->no_suspend)
        task->no_suspend--;
}

void weir_lock_taken(const void *lock)
{
    weir_task *task = weir__current_task;

    if (!task)
        return;
    task->locks++;
    task->lock = lock;
}

void weir_lock_released(const void *lock)
{
    weir_task *task = weir__current_task;

    (void)lock;
    if (task && task->locks)
        task->locks--;
}

void weir__task_report_locks(const weir_task *task)
{
    char body[1024] = "";
    struct text text = TEXT_INIT(body);

    text_add(&text, "suspending at (most recent call last):\n");
    weir__task_print_stack(&text, task);
    weir__log_body(weir_logger_get("weir"), WEIR_LOG_ERROR, NULL, body,
                   "Task '%s' (fn=%s created at %s:%d) suspends while it holds %u lock%s, the last "
                   "one at %p",
                   weir_task_name(task), task->fn_name, text_site_file(task->future.site),
                   task->future.site->line, task->locks, task->locks == 1 ? "" : "s", task->lock);
}
