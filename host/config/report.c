/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is shown of the diagnostics: as text with excerpts, one line each for editors (gcc's format),
 * or JSON; and the line that sums up. Sorted by file, then line; errors and warnings together.
 */
#include <config.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/effective.h"

void weir__span_name(struct span span, char *buffer, size_t size)
{
    if (!span.source)
        snprintf(buffer, size, "%s", "");
    else
        snprintf(buffer, size, "%s:%u:%u", span.source->name, span.line + 1, span.column + 1);
}

struct span weir__span_file(const struct source *source)
{
    struct span span = {source, 0, 0, 0, 0};

    return span;
}

static size_t source_rank(const weir_config_context *c, const struct source *source)
{
    for (size_t i = 0; i < c->n_sources; i++) {
        if (c->sources[i] == source)
            return i + 1;
    }
    return 0;
}

/* qsort has no argument for the context, so the ranks are laid beside the pointers. */
struct ranked {
    const struct diagnostic *d;
    size_t rank;
};

static int compare(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;
    const struct span *sa = &a->d->primary.span, *sb = &b->d->primary.span;

    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (sa->line != sb->line)
        return sa->line < sb->line ? -1 : 1;
    if (sa->column != sb->column)
        return sa->column < sb->column ? -1 : 1;
    return a->d->order < b->d->order ? -1 : 1;
}

static void sort(const weir_config_context *c, struct ranked *all)
{
    for (size_t i = 0; i < c->n_diagnostics; i++) {
        all[i].d = c->diagnostics[i];
        all[i].rank = source_rank(c, all[i].d->primary.span.source);
    }
    qsort(all, c->n_diagnostics, sizeof *all, compare);
}

static void print_text(const weir_config_context *c, const struct diagnostic *d, FILE *out,
                       bool colour)
{
    const char *word = d->warning ? "warning" : "error";

    if (colour)
        fprintf(out, "\033[1;%dm%s[W%04d]\033[0m\033[1m: ", d->warning ? 33 : 31, word, d->code);
    else
        fprintf(out, "%s[W%04d]: ", word, d->code);
    weir__print_clean(out, d->message);
    fputs(colour ? "\033[0m\n" : "\n", out);
    weir__excerpt_print(c, d, out, colour);
    for (size_t i = 0; i < d->n_help; i++) {
        fputs("   = help: ", out);
        weir__print_clean(out, d->help[i]);
        fputc('\n', out);
    }
    if (d->see)
        fprintf(out, "   = see:  weir explain W%04d\n", d->code);
    fputc('\n', out);
}

static void print_gcc(const struct diagnostic *d, FILE *out)
{
    char where[512];

    weir__span_name(d->primary.span, where, sizeof where);
    weir__print_clean(out, *where ? where : "weir");
    fprintf(out, ": %s: ", d->warning ? "warning" : "error");
    weir__print_clean(out, d->message);
    fprintf(out, " [W%04d]\n", d->code);
}

static void json_span(FILE *out, const struct label *label)
{
    fputs("{\"file\":", out);
    weir__json_string(out, label->span.source->name);
    fprintf(out, ",\"line\":%u,\"column\":%u,\"end_line\":%u,\"end_column\":%u,\"label\":",
            label->span.line + 1, label->span.column + 1, label->span.end_line + 1,
            label->span.end_column + 1);
    weir__json_string(out, label->text);
    fputc('}', out);
}

static void print_json(const struct diagnostic *d, FILE *out)
{
    fprintf(out, "{\"severity\":\"%s\",\"code\":\"W%04d\",\"message\":",
            d->warning ? "warning" : "error", d->code);
    weir__json_string(out, d->message);
    if (d->primary.span.source) {
        fputs(",\"at\":", out);
        json_span(out, &d->primary);
    }
    fputs(",\"also\":[", out);
    for (size_t i = 0; i < d->n_also; i++) {
        if (i > 0)
            fputc(',', out);
        json_span(out, &d->also[i]);
    }
    fputs("],\"help\":[", out);
    for (size_t i = 0; i < d->n_help; i++) {
        if (i > 0)
            fputc(',', out);
        weir__json_string(out, d->help[i]);
    }
    fputs("]}\n", out);
}

/* Made without memory, so it is no diagnostic among the others. */
static void print_memory(const weir_config_context *c, FILE *out, enum config_format format)
{
    struct diagnostic d = {.code = CONFIG_MEMORY, .message = c->memory_problem};

    if (format == CONFIG_FORMAT_GCC)
        print_gcc(&d, out);
    else if (format == CONFIG_FORMAT_JSON)
        print_json(&d, out);
    else
        fprintf(out, "error[W%04d]: %s\n\n", d.code, d.message);
}

void weir__config_report(weir_config_context *c, FILE *out, enum config_format format, bool colour)
{
    const char *no_colour = getenv("NO_COLOR");
    struct ranked all[CONFIG_MAX_KEPT];
    size_t shown_errors = 0;

    colour = colour && !(no_colour && *no_colour);
    sort(c, all);
    for (size_t i = 0; i < c->n_diagnostics; i++) {
        const struct diagnostic *d = all[i].d;

        if (!d->warning && shown_errors++ >= CONFIG_MAX_SHOWN)
            continue;
        if (format == CONFIG_FORMAT_GCC)
            print_gcc(d, out);
        else if (format == CONFIG_FORMAT_JSON)
            print_json(d, out);
        else
            print_text(c, d, out, colour);
    }
    if (c->n_errors > CONFIG_MAX_SHOWN && format == CONFIG_FORMAT_TEXT)
        fprintf(out, "the first %d errors are shown\n\n", CONFIG_MAX_SHOWN);
    for (size_t i = 0; i < c->n_skipped && format == CONFIG_FORMAT_TEXT; i++) {
        fputs("note: ", out);
        weir__print_clean(out, c->skipped[i]);
        fputs(" is skipped: its name is that of a copy\n\n", out);
    }
    if (c->memory_problem)
        print_memory(c, out, format);
}

void weir__config_summary(const weir_config_context *c, FILE *out, const char *consequence)
{
    fprintf(out, "weir: %zu error%s, %zu warning%s in %zu file%s%s%s\n", c->n_errors,
            c->n_errors == 1 ? "" : "s", c->n_warnings, c->n_warnings == 1 ? "" : "s", c->n_files,
            c->n_files == 1 ? "" : "s", consequence ? "; " : "", consequence ? consequence : "");
}

int weir__config_exit_code(const weir_config_context *c)
{
    if (c->n_errors == 0)
        return 0;
    if (c->no_main)
        return 66;
    if (c->memory_problem)
        return 71;
    return c->n_cli_errors == c->n_errors ? 64 : 78;
}

size_t weir__config_error_count(const weir_config_context *c)
{
    return c->n_errors;
}

size_t weir__config_warning_count(const weir_config_context *c)
{
    return c->n_warnings;
}

size_t weir__config_file_count(const weir_config_context *c)
{
    return c->n_files;
}
