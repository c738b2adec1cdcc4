/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a loop tells people: errors of callbacks, through the exception handler, and in debug mode
 * what took long.
 */
#include "config.h"

#include "core/base/error.h"
#include "core/base/text.h"
#include "core/loop/internal.h"

weir_logger *weir__loop_logger;

void weir__loop_report_init(void)
{
    if (!weir__loop_logger)
        __atomic_store_n(&weir__loop_logger, weir_logger_get("weir"), __ATOMIC_RELAXED);
}

static void log_context(const weir_exception_context *context)
{
    const char *message = context->message ? context->message : "unhandled exception in event loop";
    char where[256] = "";
    struct text text = TEXT_INIT(where);

    if (context->site) {
        text_add(&text, ", created at ");
        text_add_site(&text, context->site);
    }
    weir_log_error(weir__loop_logger, WEIR_LOG_ERROR, weir_error_ref(context->error), "%s%s",
                   message, where);
}

void weir_loop_set_exception_handler(weir_loop *loop,
                                     void (*handler)(weir_loop *, const weir_exception_context *,
                                                     void *),
                                     void *arg)
{
    weir_require(loop == weir__thread_loop);
    loop->handler = handler;
    loop->handler_arg = arg;
}

void weir_loop_call_exception_handler(weir_loop *loop, const weir_exception_context *context)
{
    weir_require(loop == weir__thread_loop);
    if (loop->handler)
        loop->handler(loop, context, loop->handler_arg);
    else
        log_context(context);
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

void weir__loop_step_began(weir_loop *loop)
{
    loop->step_started = weir_now().ns;
}

void weir__loop_step_ended(weir_loop *loop, const struct job_note *note)
{
    int64_t took = weir_now().ns - loop->step_started;
    char what[512];

    if (took < loop->slow_ns)
        return;
    weir__job_note_describe(note, what, sizeof(what));
    weir_log(weir__loop_logger, WEIR_LOG_WARNING, "Executing %s took %.3f seconds", what,
             (double)took / 1e9);
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

static weir_error *set_debug_on(void *arg)
{
    weir_loop *loop = arg;

    loop->debug = weir__thread_debug = true;
    weir__loop_observe(loop);
    return NULL;
}

static weir_error *set_debug_off(void *arg)
{
    weir_loop *loop = arg;

    loop->debug = weir__thread_debug = false;
    weir__loop_observe(loop);
    return NULL;
}

void weir_loop_set_debug(weir_loop *loop, bool on)
{
    weir_fn set = on ? set_debug_on : set_debug_off;

    if (loop->closed)
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

void weir_loop_set_slow_callback(weir_loop *loop, weir_duration limit)
{
    weir_require(loop == weir__thread_loop);
    loop->slow_ns = limit.ns;
}
