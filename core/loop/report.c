/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a loop tells people: errors of callbacks through the exception handler, calls from the wrong
 * thread, and in debug mode what took long. Reports are made on the stack: a loop without memory can
 * still say so.
 *
 *     call_exception_handler -> the custom handler --failed--> the default one, with its error
 *                            \-> the default handler --failed--> one line in the log
 */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include <weir/event.h>

#include "core/base/backtrace.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/mutate.h"
#include "core/base/sites.h"
#include "core/base/text.h"
#include "core/loop/internal.h"

/* Handlers whose reports are reported, and so on; then the log has it. */
#define REPORTS_NESTED_MAX 8

weir_logger *weir__loop_logger;

void weir__loop_report_init(void)
{
    if (!weir__loop_logger)
        __atomic_store_n(&weir__loop_logger, weir_logger_get("weir"), __ATOMIC_RELAXED);
}

static void add_traceback(struct text *text, const char *title, const weir_backtrace *trace)
{
    if (!trace)
        return;
    text_printf(text, "%s created at (most recent call last):\n", title);
    weir__backtrace_defer(text, trace);
}

/* The subject's own line, the tracebacks, then what else the subject has (where a task is suspended). */
static void add_subject(struct text *text, const weir_exception_context *context)
{
    const char *more = context->subject ? strchr(context->subject, '\n') : NULL;
    size_t first = more ? (size_t)(more - context->subject) : 0;

    if (context->subject)
        text_printf(text, "%s: ", context->subject_key ? context->subject_key : "object");
    if (context->subject && more)
        text_add_bytes(text, context->subject, first);
    else if (context->subject)
        text_add(text, context->subject);
    else if (context->site)
        text_printf(text, "created at %s:%d", text_site_file(context->site), context->site->line);
    if (context->subject || context->site)
        text_add(text, "\n");
    add_traceback(text, "handle_traceback: Handle", context->handle_traceback);
    add_traceback(text, "source_traceback: Object", context->source_traceback);
    if (more)
        text_printf(text, "%s\n", more + 1);
}

static weir_error *log_context(weir_loop *loop, const weir_exception_context *context)
{
    const char *message = context->message ? context->message : "Unhandled exception in event loop";
    char body[2048] = "";
    struct text text = TEXT_INIT(body);

    (void)loop;
    add_subject(&text, context);
    if (context->future && weir_error_site(context->error))
        text_printf(&text, "error raised at %s:%d in %s()\n",
                    text_site_file(weir_error_site(context->error)),
                    weir_error_site(context->error)->line,
                    weir_error_site(context->error)->function);
    weir__log_body(weir__loop_logger, WEIR_LOG_ERROR, weir_error_ref(context->error), body, "%s",
                   message);
    return NULL;
}

void weir_loop_default_exception_handler(weir_loop *loop, const weir_exception_context *context)
{
    weir_ignore(log_context(loop, context));
}

void weir_loop_set_exception_handler(weir_loop *loop, weir_exception_handler handler, void *arg)
{
    if (!weir__loop_allows(loop))
        return;
    loop->handler = handler;
    loop->handler_arg = arg;
}

void weir__loop_set_default_handler(weir_loop *loop,
                                    weir_error *(*handler)(weir_loop *,
                                                           const weir_exception_context *))
{
    loop->default_handler = handler;
}

static void call_default(weir_loop *loop, const weir_exception_context *context, const char *when)
{
    weir_error *error =
        (loop->default_handler ? loop->default_handler : log_context)(loop, context);

    if (error && weir__error_peek_code(error) == WEIR_EFATAL)
        weir__loop_abort(loop, error);
    else if (error)
        weir_log_error(weir__loop_logger, WEIR_LOG_ERROR, error,
                       "Exception in default exception handler%s", when);
}

/* The handler's own failure, with what it had been told below. */
static void handler_failed(weir_loop *loop, const weir_exception_context *original,
                           weir_error *take_error)
{
    weir_exception_context context = {
        WEIR_SIZED(weir_exception_context),
        .message = "Unhandled error in exception handler",
        .error = take_error,
        .subject_key = "context",
        .subject = original->message,
    };

    if (weir__error_peek_code(take_error) == WEIR_EFATAL) {
        weir__loop_abort(loop, take_error);
        return;
    }
    call_default(loop, &context, " while handling an unexpected error in custom exception handler");
    weir_ignore(take_error);
    call_default(loop, original, "");
}

static void call_handlers(weir_loop *loop, const weir_exception_context *context)
{
    weir_error *error;

    if (!loop->handler || loop->reporting > REPORTS_NESTED_MAX) {
        call_default(loop, context, "");
        return;
    }
    error = loop->handler(loop, context, loop->handler_arg);
    if (error)
        handler_failed(loop, context, error);
}

void weir_loop_call_exception_handler(weir_loop *loop, const weir_exception_context *context)
{
    weir_exception_context full = {0};

    if (!weir__loop_allows(loop))
        return;
    memcpy(&full, context, context->size < sizeof(full) ? context->size : sizeof(full));
    full.size = sizeof(full);
    if (loop->debug && !full.source_traceback && !full.handle_traceback && loop->note)
        full.handle_traceback = weir__job_note_source(loop->note);
    loop->reporting++;
    call_handlers(loop, &full);
    loop->reporting--;
}

void weir__loop_report(weir_loop *loop, const weir_site *site, const char *message,
                       weir_error *take_error)
{
    weir_exception_context context = {
        WEIR_SIZED(weir_exception_context),
        .message = message,
        .error = take_error,
        .site = site,
    };

    weir_loop_call_exception_handler(loop, &context);
    weir_ignore(take_error);
}

void weir__callback_failed(weir_loop *loop, const char *name, const weir_site *site,
                           const weir_handle *handle, weir_error *take_error)
{
    char message[512], subject[256], reason[256];
    struct text text = TEXT_INIT(message);
    weir_exception_context context = {
        WEIR_SIZED(weir_exception_context),
        .message = message,
        .error = take_error,
        .site = site,
    };

    if (weir__error_peek_code(take_error) == WEIR_EFATAL) {
        weir__loop_abort(loop, take_error);
        return;
    }
    message[0] = '\0';
    weir__error_own_message(take_error, reason, sizeof(reason));
    text_add(&text, "Exception in callback");
    if (name)
        text_printf(&text, " %s()", name);
    if (site)
        text_printf(&text, " scheduled at %s:%d", text_site_file(site), site->line);
    text_printf(&text, ": %s", weir_code_name(weir__error_peek_code(take_error)));
    if (reason[0])
        text_printf(&text, " (%s)", reason);
    if (handle) {
        weir_handle_repr(handle, subject, sizeof(subject));
        context.subject_key = "handle";
        context.subject = subject;
        context.source_traceback = handle->debug ? handle->created : NULL;
    }
    weir_loop_call_exception_handler(loop, &context);
    weir_ignore(take_error);
}

/* Calls from the wrong thread */

#define WRONG_THREAD \
    "Non-thread-safe operation invoked on an event loop other than the current one: "

/* "weir_loop_call_soon_at" is what the caller wrote without "_at". */
static void add_operation(struct text *text, const char *operation)
{
    size_t len = strlen(operation);

    if (len > 3 && strcmp(operation + len - 3, "_at") == 0)
        len -= 3;
    text_printf(text, "%.*s()", (int)len, operation);
}

static void report_thread(const weir_loop *loop, const char *operation, const weir_site *site)
{
    char message[512] = "", body[2048] = "";
    struct text text = TEXT_INIT(message), lines = TEXT_INIT(body);
    const weir_site *step = atomic_load_explicit(&loop->step.site, memory_order_relaxed);
    weir_backtrace *here = loop->debug ? weir__backtrace_capture() : NULL;

    text_add(&text, WRONG_THREAD);
    add_operation(&text, operation);
    text_printf(&text, " from tid %d", (int)gettid());
    if (site)
        text_printf(&text, " at %s:%d", text_site_file(site), site->line);
    text_printf(&text, ", loop runs in tid %d", (int)loop->tid);
    if (here)
        text_add(&lines, "called at (most recent call last):\n");
    weir__backtrace_defer(&lines, here);
    if (loop->debug && step && atomic_load_explicit(&loop->step.number, memory_order_relaxed) & 1)
        text_printf(&lines, "the loop runs what was created at %s:%d\n", text_site_file(step),
                    step->line);
    weir__log_body(weir__loop_logger, WEIR_LOG_ERROR, NULL, body, "%s", message);
    weir__backtrace_free(here);
}

void weir__loop_report_foreign(const char *what, const char *operation, const weir_site *site)
{
    char message[512] = "";
    struct text text = TEXT_INIT(message);

    if (MUTATED(B2) || (site && !weir__thread_debug && !weir__site_first_time(site)))
        return;
    text_add(&text, WRONG_THREAD);
    add_operation(&text, operation);
    text_printf(&text, " from tid %d", (int)gettid());
    if (site)
        text_printf(&text, " at %s:%d", text_site_file(site), site->line);
    weir_log(weir__loop_logger, WEIR_LOG_ERROR, "%s, the %s is bound to a different event loop",
             message, what);
}

weir_error *weir__loop_wrong_thread(const weir_loop *loop, const char *operation,
                                    const weir_site *site)
{
    if (!loop)
        return weir_raise(WEIR_EINVAL, "a loop is needed, not NULL");
    if (loop->fork_generation != weir__fork_generation)
        return weir_raise(WEIR_EFORKED,
                          "loop \"%s\" belongs to the parent process: make a new one after fork()",
                          loop->name);
    if (loop->closed)
        return weir_raise(WEIR_ECLOSED, "loop \"%s\" is closed", loop->name);
    if (!MUTATED(B2) && (loop->debug || (site && weir__site_first_time(site))))
        report_thread(loop, operation, site);
    return weir_raise(WEIR_ETHREAD,
                      "loop \"%s\" belongs to thread %d: use weir_loop_call_soon_threadsafe()",
                      loop->name, (int)loop->tid);
}

/* Of a call that returns nothing by which it could say so. */
bool weir__loop_refuses(const weir_loop *loop, const weir_site *operation)
{
    weir_error *error = weir__loop_wrong_thread(loop, operation->function, NULL);

    if (weir_error_is(error, WEIR_ETHREAD) && !loop->debug && weir__site_first_time(operation))
        report_thread(loop, operation->function, NULL);
    weir_error_unref(error);
    return false;
}

/* Slow callbacks */

void weir__loop_step_began(weir_loop *loop)
{
    loop->step_started = weir__loop_read_clock(loop);
}

void weir__loop_step_ended(weir_loop *loop, const struct job_note *note)
{
    int64_t took = weir__loop_read_clock(loop) - loop->step_started;
    char what[512];

    weir__loop_count(&loop->metrics.step, took);
    if (took < loop->slow_ns || MUTATED(B4))
        return;
    loop->metrics.slow_callbacks++;
    weir__job_note_describe(note, what, sizeof(what));
    weir_log_with(weir__loop_logger, WEIR_LOG_WARNING,
                  WEIR_LOG_FIELDS({"message_id", WEIR_EVENT_SLOW_CALLBACK}),
                  "Executing %s took %.3f seconds", what, (double)took / 1e9);
}

static void observe_before(void *arg)
{
    weir__loop_step_began(arg);
}

static void observe_after(void *arg, const weir_site *site)
{
    static const struct job_kind completion = {.label = "Completion"};
    struct job_note note = {.kind = &completion, .site = site};

    weir__loop_step_ended(arg, &note);
}

void weir__loop_observe(weir_loop *loop)
{
    loop->observer = (struct io_observer){.before = observe_before, .after = observe_after};
    loop->io->observer = loop->debug ? &loop->observer : NULL;
    loop->io->observer_arg = loop;
}

void weir_loop_set_slow_callback(weir_loop *loop, weir_duration limit)
{
    if (weir__loop_allows(loop))
        loop->slow_ns = limit.ns < 0 ? 0 : limit.ns;
}

/* Debug mode */

static weir_error *set_debug(weir_loop *loop, bool on)
{
    loop->debug = weir__thread_debug = on;
    weir__loop_observe(loop);
    return NULL;
}

static weir_error *set_debug_on(void *arg)
{
    return set_debug(arg, true);
}

static weir_error *set_debug_off(void *arg)
{
    return set_debug(arg, false);
}

void weir_loop_set_debug(weir_loop *loop, bool on)
{
    weir_fn set = on ? set_debug_on : set_debug_off;

    if (loop->closed || loop->fork_generation != weir__fork_generation)
        return;
    if (loop == weir__thread_loop)
        weir_ignore(set(loop));
    else
        weir_ignore(weir_loop_call_soon_threadsafe(loop, set, loop, NULL));
}

bool weir_loop_get_debug(const weir_loop *loop)
{
    return loop->debug;
}
