/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said about futures and tasks that ended badly: errors nobody took (row H), tasks that were
 * not done when their loop was closed by force (row J). Through the loop's exception handler, or,
 * when the loop is gone, to the log in the same words.
 */
#include "config.h"

#include <weir/log.h>

#include "core/base/log.h"
#include "core/base/mutate.h"
#include "core/base/text.h"
#include "core/task/task.h"
#include "core/task/unwind.h"

#define SUBJECT_MAX 4096

static void report_to_log(const weir_exception_context *context)
{
    char body[SUBJECT_MAX + 256] = "";
    struct text text = TEXT_INIT(body);

    if (context->subject)
        text_printf(&text, "%s: %s\n", context->subject_key, context->subject);
    if (context->source_traceback) {
        text_add(&text, "source_traceback: Object created at (most recent call last):\n");
        weir__backtrace_defer(&text, context->source_traceback);
    }
    weir__log_body(weir_logger_get("weir"), WEIR_LOG_ERROR, weir_error_ref(context->error), body,
                   "%s", context->message);
}

static void report(struct task_home *home, weir_exception_context *context)
{
    if (home->loop)
        weir_loop_call_exception_handler(home->loop, context);
    else
        report_to_log(context);
}

static void report_future(weir_future *future, const char *message, const char *subject,
                          const weir_backtrace *origin)
{
    weir_exception_context context = {
        WEIR_SIZED(weir_exception_context),
        .message = message,
        .error = future->error,
        .site = future->site,
        .task = future->is_task ? task_of(future) : NULL,
        .future = future,
        .subject_key = future->is_task ? "task" : "future",
        .subject = subject,
        .source_traceback = origin,
    };
    uint64_t before;

    before = weir__error_about(future->is_task ? task_of(future)->number : 0);
    report(future->home, &context);
    weir__error_about(before);
}

void weir__task_report(weir_future *future, const char *message)
{
    char subject[SUBJECT_MAX];

    weir_future_repr(future, subject, sizeof subject);
    report_future(future, message, subject, MUTATED(H2) ? NULL : future->origin);
}

void weir__task_report_error(struct task_home *home, const char *message, const weir_site *site,
                             const weir_error *error)
{
    char text[256];
    weir_exception_context context = {WEIR_SIZED(weir_exception_context), .message = text,
                                      .error = error, .site = site};
    struct text line = TEXT_INIT(text);

    text_printf(&line, "%s, created at %s:%d", message, text_site_file(site), site->line);
    report(home, &context);
}

static void report_pending(weir_task *task)
{
    char subject[SUBJECT_MAX];
    struct text text = text_over(subject, sizeof subject);

    text.len = weir_task_repr(task, subject, sizeof subject);
    if (!MUTATED(J2) && weir__thread_debug) {
        text_add(&text, "\nsuspended stack (most recent call last):\n");
        weir__task_print_stack(&text, task);
        if (text_length(&text) && subject[text_length(&text) - 1] == '\n')
            subject[text_length(&text) - 1] = '\0';
    }
    report_future(&task->future, "Task was destroyed but it is pending!", subject,
                  MUTATED(J2) ? NULL : task->future.origin);
}

void weir__task_report_pending(struct task_home *home, bool all)
{
    if (MUTATED(J1))
        return;
    weir_list_foreach_safe(task, &home->tasks, weir_task, link) {
        if (all || !task->cancelling)
            report_pending(task);
    }
}
