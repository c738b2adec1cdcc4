/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How errors read. One line for a sentence, several for a person who debugs:
 *
 *     error: upstream "app": no server could be reached (EHOSTUNREACH)
 *           at start_upstream (use.c:9)
 *       because: connect to 10.0.0.11:8080 refused (ECONNREFUSED)
 *           at dial (use.c:7)
 *           at resolve_and_dial (use.c:8)
 *       also: …                        an attached error
 *       hint: is the application running?
 *     error raised at (most recent call last):     debug mode
 *       #0 dial use.c:7
 *
 * An error made by weir_error_share() is no step of its own: it prints as its cause, whose trace goes
 * on with the sites that the sharer's own way added. Control characters of messages are escaped.
 */
#include "config.h"

#include <stdio.h>

#include "core/base/backtrace.h"
#include "core/base/error.h"
#include "core/base/text.h"

#define CAUSES_MAX   32 /* printed; further ones are counted */
#define ATTACHED_MAX 8  /* printed for one error */
#define DEPTH_MAX    4  /* attached to attached to … */

static void mark_chain_read(const weir_error *error)
{
    for (; error; error = error->cause)
        (void)weir_error_code(error);
}

size_t weir__error_own_message(const weir_error *error, char *buffer, size_t size)
{
    struct text text = text_over(buffer, size);
    const int64_t *a = error->args;

    if (!error->format || !error->format[0]) {
        text_add(&text, weir_code_text(error->code));
    } else if (error->format == error->text) {
        text_add(&text, error->text);
    } else {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        /* A literal with at most four %lld, by the contract of weir_raise_fast_at(). */
        text_printf(&text, error->format, (long long)a[0], (long long)a[1], (long long)a[2],
                    (long long)a[3]);
#pragma GCC diagnostic pop
    }
    return text.len;
}

static void add_message(struct text *text, const weir_error *error)
{
    char message[ERROR_MESSAGE_MAX];

    weir__error_own_message(error, message, sizeof(message));
    text_add_escaped(text, message, strlen(message), "");
}

/* The error whose message this one shows. */
static const weir_error *origin_of(const weir_error *error)
{
    while (error->shares && error->cause)
        error = error->cause;
    return error;
}

size_t weir_error_message(const weir_error *error, char *buffer, size_t size)
{
    struct text text = text_over(buffer, size);

    mark_chain_read(error);
    if (!error)
        text_add(&text, weir_code_text(0));
    for (int n = 0; error && n < CAUSES_MAX; n++) {
        error = origin_of(error);
        if (n)
            text_add(&text, ": ");
        add_message(&text, error);
        error = error->cause;
    }
    return text.len;
}

static void add_indent(struct text *text, int indent)
{
    text_printf(text, "\n%*s", indent, "");
}

/* Of a static error, what debug mode kept. */
static void add_way(struct text *text, const weir_error *error, int indent)
{
    const weir_site *sites[ERROR_TRACE_MAX];
    size_t count = weir__error_way(error, sites, ERROR_TRACE_MAX);

    for (size_t i = 0; i < count; i++) {
        add_indent(text, indent);
        text_add(text, "at ");
        text_add_site(text, sites[i]);
    }
}

static void add_trace(struct text *text, const weir_error *error, int indent)
{
    if (error->kind == ERROR_STATIC) {
        add_way(text, error, indent);
        return;
    }
    /* A sharer continues the way of what it shares. */
    if (error->shares && error->cause) {
        add_trace(text, error->cause, indent);
    } else if (error->site) {
        add_indent(text, indent);
        text_add(text, "at ");
        text_add_site(text, error->site);
    }
    for (int i = 0; i < error->ntrace; i++) {
        add_indent(text, indent);
        text_add(text, "at ");
        text_add_site(text, error->trace[i]);
    }
    if (error->omitted) {
        add_indent(text, indent);
        text_printf(text, "at %u more", error->omitted);
    }
}

static void add_step(struct text *text, const weir_error *error, int indent)
{
    const weir_error *origin = origin_of(error);

    add_message(text, origin);
    text_printf(text, " (%s)", weir_code_name(origin->code));
    add_trace(text, error, indent + 6);
}

static void add_extras(struct text *text, const weir_error *error, int indent, int depth);

static void add_chain(struct text *text, const weir_error *error, int indent, int depth)
{
    int n = 0;

    add_step(text, error, indent);
    add_extras(text, error, indent, depth);
    for (error = origin_of(error)->cause; error; error = origin_of(error)->cause) {
        add_indent(text, indent + 2);
        if (++n == CAUSES_MAX) {
            text_add(text, "because: …");
            return;
        }
        text_add(text, "because: ");
        add_step(text, error, indent);
        add_extras(text, error, indent, depth);
    }
}

static void add_extras(struct text *text, const weir_error *error, int indent, int depth)
{
    int n = 0;

    for (;; error = error->cause) {
        for (const weir_error *more = error->more; more; more = more->next) {
            add_indent(text, indent + 2);
            if (++n > ATTACHED_MAX || depth == DEPTH_MAX) {
                text_add(text, "also: …");
                break;
            }
            text_add(text, "also: ");
            mark_chain_read(more);
            add_chain(text, more, indent + 2, depth + 1);
        }
        if (error->hint) {
            add_indent(text, indent + 2);
            text_add(text, "hint: ");
            text_add_escaped(text, error->hint, strlen(error->hint), "");
        }
        if (!error->shares || !error->cause)
            return;
    }
}

/* The one made first is the one to look for. */
static const weir_backtrace *raised_of(const weir_error *error)
{
    const weir_backtrace *raised = NULL;

    for (; error; error = error->cause) {
        if (error->raised)
            raised = error->raised;
    }
    return raised;
}

void weir__error_print(struct text *text, const weir_error *error,
                       void (*add_backtrace)(struct text *, const weir_backtrace *))
{
    const weir_backtrace *raised;

    if (!error) {
        text_add(text, "no error");
        return;
    }
    mark_chain_read(error);
    text_add(text, "error: ");
    add_chain(text, error, 0, 0);
    raised = raised_of(error);
    if (raised) {
        text_add(text, "\nerror raised at (most recent call last):\n");
        add_backtrace(text, raised);
    }
}

size_t weir_error_print(const weir_error *error, char *buffer, size_t size)
{
    struct text text = text_over(buffer, size);

    weir__error_print(&text, error, weir__backtrace_print);
    return text.len;
}
