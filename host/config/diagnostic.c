/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diagnostics: what is wrong, collected while everything is read, shown together at the end.
 *
 * A diagnostic has a code of codes.h, one sentence, a primary place with a few words under its caret,
 * further places, and help where we are sure. A cap on how many are kept bounds memory; what comes
 * above it is counted only.
 */
#include <config.h>
#include <string.h>

#include "host/config/internal.h"

/* An anchor that is merged into several maps has its mistake once. */
static bool is_known(const weir_config_context *c, int code, struct span span, const char *message)
{
    for (size_t i = 0; span.source && i < c->n_diagnostics; i++) {
        const struct diagnostic *d = c->diagnostics[i];

        if (d->code == code && d->primary.span.source == span.source &&
            d->primary.span.line == span.line && d->primary.span.column == span.column &&
            (code == CONFIG_UNKNOWN_KEY || strcmp(d->message, message) == 0))
            return true;
    }
    return false;
}

struct diagnostic *weir__diagnose_v(weir_config_context *c, int code, struct span span,
                                    const char *format, va_list args)
{
    struct diagnostic *d = &c->scratch;

    memset(d, 0, sizeof *d);
    if (c->n_diagnostics < CONFIG_MAX_KEPT) {
        const char *message = weir__arena_vformat(&c->arena, format, args);

        if (is_known(c, code, span, message))
            return d;
        d = CONFIG_NEW(c, struct diagnostic);
        c->diagnostics = weir__arena_grow(&c->arena, c->diagnostics, c->n_diagnostics,
                                          &c->diagnostics_room, sizeof(struct diagnostic *));
        d->order = (unsigned)c->n_diagnostics;
        c->diagnostics[c->n_diagnostics++] = d;
        d->message = message;
    }
    d->code = code;
    d->primary.span = span;
    d->warning =
        code == CONFIG_DEPRECATED || code == CONFIG_SUSPICIOUS || code == CONFIG_SECRET_FILE;
    if (d->warning) {
        c->n_warnings++;
    } else {
        c->n_errors++;
        if (span.source && span.source->origin == ORIGIN_CLI)
            c->n_cli_errors++;
    }
    c->last = d;
    return d;
}

void weir__config_forget_errors(weir_config_context *c)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->n_diagnostics; i++)
        if (c->diagnostics[i]->warning)
            c->diagnostics[kept++] = c->diagnostics[i];
    c->n_diagnostics = kept;
    c->n_errors = c->n_cli_errors = 0;
    c->last = NULL;
}

struct diagnostic *weir__diagnose(weir_config_context *c, int code, struct span span,
                                  const char *format, ...)
{
    struct diagnostic *d;
    va_list args;

    va_start(args, format);
    d = weir__diagnose_v(c, code, span, format, args);
    va_end(args);
    return d;
}

void weir__diagnostic_label(weir_config_context *c, struct diagnostic *d, const char *format, ...)
{
    va_list args;

    if (d == &c->scratch)
        return;
    va_start(args, format);
    d->primary.text = weir__arena_vformat(&c->arena, format, args);
    va_end(args);
}

void weir__diagnostic_also(weir_config_context *c, struct diagnostic *d, struct span span,
                           const char *format, ...)
{
    va_list args;

    if (d == &c->scratch || d->n_also == DIAGNOSTIC_LABELS || !span.source)
        return;
    va_start(args, format);
    d->also[d->n_also].span = span;
    d->also[d->n_also++].text = weir__arena_vformat(&c->arena, format, args);
    va_end(args);
}

void weir__diagnostic_help(weir_config_context *c, struct diagnostic *d, const char *format, ...)
{
    va_list args;

    if (d == &c->scratch || d->n_help == DIAGNOSTIC_HELPS)
        return;
    va_start(args, format);
    d->help[d->n_help++] = weir__arena_vformat(&c->arena, format, args);
    va_end(args);
}

void weir__redact(weir_config_context *c, weir_config_node *node)
{
    if (node->kind != WEIR_NODE_SCALAR) {
        for (size_t i = 0; i < node->count; i++) {
            if (!node->recursive)
                weir__redact(c, node->items[i]);
        }
        return;
    }
    if (node->secret)
        return;
    node->secret = true;
    if (node->redaction) /* the file shows `${cred:…}`, which is no secret */
        return;
    c->redacted = weir__arena_grow(&c->arena, c->redacted, c->n_redacted, &c->redacted_room,
                                   sizeof(struct span));
    c->redacted[c->n_redacted++] = node->span;
}

/* Public calls: the place is found from the address of the field. */

void weir_config_error(weir_config_context *c, const void *field, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    weir__diagnose_v(c, CONFIG_REFUSED, weir__position_find(c, field), format, args);
    va_end(args);
}

void weir_config_warning(weir_config_context *c, const void *field, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    weir__diagnose_v(c, CONFIG_SUSPICIOUS, weir__position_find(c, field), format, args);
    va_end(args);
}

void weir_config_error_at(weir_config_context *c, const weir_config_node *node, const char *format,
                          ...)
{
    va_list args;

    va_start(args, format);
    weir__diagnose_v(c, CONFIG_REFUSED, node ? node->span : weir__position_find(c, NULL), format,
                     args);
    va_end(args);
}

void weir__config_error_code(weir_config_context *c, int code, const void *field,
                             const char *format, ...)
{
    va_list args;

    va_start(args, format);
    weir__diagnose_v(c, code, weir__position_find(c, field), format, args);
    va_end(args);
}

void weir__not_built(weir_config_context *c, struct span span, const char *what)
{
    struct diagnostic *d;

    /* An anchor may bring the same key to several places; it is still one key. */
    for (size_t i = 0; span.source && i < c->n_diagnostics; i++)
        if (c->diagnostics[i]->code == CONFIG_NOT_BUILT &&
            memcmp(&c->diagnostics[i]->primary.span, &span, sizeof span) == 0)
            return;
    d = weir__diagnose(c, CONFIG_NOT_BUILT, span, "`%s` is not built yet", what);
    weir__diagnostic_label(c, d, "known, but this weir does not have it yet");
}

void weir_config_not_built(weir_config_context *c, const void *field, const char *what)
{
    weir__not_built(c, weir__position_find(c, field), what);
}

void weir_config_label(weir_config_context *c, const char *format, ...)
{
    va_list args;

    if (!c->last || c->last == &c->scratch)
        return;
    va_start(args, format);
    c->last->primary.text = weir__arena_vformat(&c->arena, format, args);
    va_end(args);
}

void weir_config_label_also(weir_config_context *c, const void *field, const char *format, ...)
{
    char *text;
    va_list args;

    if (!c->last)
        return;
    va_start(args, format);
    text = weir__arena_vformat(&c->arena, format, args);
    va_end(args);
    weir__diagnostic_also(c, c->last, weir__position_find(c, field), "%s", text);
}

void weir_config_help(weir_config_context *c, const char *format, ...)
{
    char *text;
    va_list args;

    if (!c->last)
        return;
    va_start(args, format);
    text = weir__arena_vformat(&c->arena, format, args);
    va_end(args);
    weir__diagnostic_help(c, c->last, "%s", text);
}

static const struct {
    int code;
    const char *text;
} explanations[] = {

#define CONFIG_CODE_ROW(number, name, text) {number, text},
    CONFIG_CODES(CONFIG_CODE_ROW)
#undef CONFIG_CODE_ROW
};

#define EXPLANATIONS (sizeof explanations / sizeof explanations[0])

const char *weir__config_explain(int code)
{
    for (size_t i = 0; i < EXPLANATIONS; i++) {
        if (explanations[i].code == code)
            return explanations[i].text;
    }
    return NULL;
}

int weir__config_code_at(size_t index)
{
    return index < EXPLANATIONS ? explanations[index].code : 0;
}
