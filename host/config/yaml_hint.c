/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saying what libyaml means.
 *
 * Its messages name what its scanner wanted, at the place where it gave up, which is often a line
 * after the mistake. Each hint recognises one usual mistake from the message and the text around,
 * moves the caret to it and says what to write. What no hint knows is shown in libyaml's words.
 *
 * A file that does not parse has no table to say what is secret in it, so lines are shown up to their
 * value only, except where the value is the mistake and its key does not look secret.
 */
#include <config.h>
#include <ctype.h>
#include <string.h>

#include "host/config/internal.h"

struct spot {
    weir_config_context *c;
    const struct source *source;
    const struct yaml_problem *problem;
    weir_slice line; /* of the problem */
};

static struct span place(const struct spot *s, uint32_t line, uint32_t column, uint32_t width)
{
    struct span span = {s->source, line, column, line, column + width};

    return span;
}

/* The byte offset of a column in a line. */
static size_t offset_of(weir_slice line, uint32_t column)
{
    const unsigned char *text = line.data;
    size_t i = 0;

    while (column > 0 && i < line.len) {
        i++;
        while (i < line.len && (text[i] & 0xc0) == 0x80)
            i++;
        column--;
    }
    return i;
}

/* The byte at a column of a line, 0 past its end. */
static char char_at(const struct spot *s, uint32_t line, uint32_t column)
{
    weir_slice text = weir__source_line(s->source, line);
    size_t at = offset_of(text, column);

    return at < text.len ? ((const char *)text.data)[at] : '\0';
}

static uint32_t indent_of(weir_slice line)
{
    const char *text = line.data;
    uint32_t n = 0;

    while (n < line.len && text[n] == ' ')
        n++;
    return n;
}

static bool is_blank(weir_slice line)
{
    uint32_t n = indent_of(line);

    return n == line.len || ((const char *)line.data)[n] == '#';
}

/* The line before `line` that holds something; false when there is none. */
static bool line_before(const struct spot *s, uint32_t line, uint32_t *ret)
{
    while (line > 0) {
        if (!is_blank(weir__source_line(s->source, --line))) {
            *ret = line;
            return true;
        }
    }
    return false;
}

static bool looks_secret(weir_slice line)
{
    static const char *const words[] = {"key", "secret", "passw", "token", "credential", "auth"};
    const char *text = line.data;

    for (size_t i = 0; i < line.len; i++) {
        for (size_t w = 0; w < sizeof words / sizeof words[0]; w++) {
            size_t len = strlen(words[w]);

            if (len <= line.len - i && strncasecmp(text + i, words[w], len) == 0)
                return true;
        }
    }
    return false;
}

/* The bytes of the value that begins at a column: to the end of the line, or inside brackets to the
 * comma or the bracket that ends it. */
static weir_slice value_at(const struct spot *s, uint32_t line, uint32_t column)
{
    weir_slice text = weir__source_line(s->source, line);
    const char *bytes = text.data;
    size_t from = offset_of(text, column), to = from;
    int flow = 0, depth = 0;

    for (size_t i = 0; i < from; i++)
        flow += bytes[i] == '{' || bytes[i] == '['   ? 1
                : bytes[i] == '}' || bytes[i] == ']' ? -1
                                                     : 0;
    for (; to < text.len; to++) {
        char b = bytes[to];

        if (b == ' ' && to + 1 < text.len && (bytes[to + 1] == '#' || flow > 0))
            break;
        if (b == '{' || b == '[')
            depth++;
        if ((b == '}' || b == ']') && depth-- == 0 && flow > 0)
            break;
        if (b == ',' && flow > 0 && depth == 0)
            break;
    }
    while (to > from && bytes[to - 1] == ' ')
        to--;
    return weir_slice_of(bytes + from, to - from);
}

static void say_quote(const struct spot *s, uint32_t line, uint32_t column, uint32_t width,
                      const char *message)
{
    weir_slice value = value_at(s, line, column);
    weir_slice text = weir__source_line(s->source, line);
    struct diagnostic *d =
        weir__diagnose(s->c, CONFIG_QUOTES, place(s, line, column, width), "%s", message);

    d->cut = looks_secret(text);
    if (d->cut)
        weir__diagnostic_label(s->c, d, "put the value in quotes");
    else if (memchr(value.data, '"', value.len))
        weir__diagnostic_label(s->c, d, "put it in quotes: '%.*s'", (int)value.len,
                               (const char *)value.data);
    else
        weir__diagnostic_label(s->c, d, "put it in quotes: \"%.*s\"", (int)value.len,
                               (const char *)value.data);
}

static bool hint_tab(const struct spot *s)
{
    const struct yaml_problem *p = s->problem;
    uint32_t column = p->column;
    weir_slice text = weir__source_line(s->source, p->line);
    struct diagnostic *d;

    if (char_at(s, p->line, column) != '\t' && !strstr(p->problem, "tab character"))
        return false;
    for (uint32_t i = 0; i < text.len && i <= p->column; i++) {
        if (((const char *)text.data)[i] == '\t') {
            column = i;
            break;
        }
    }
    d = weir__diagnose(s->c, CONFIG_TAB, place(s, p->line, column, 1),
                       "a tab is used for indentation");
    weir__diagnostic_label(s->c, d, "indent with spaces");
    d->cut = true;
    return true;
}

static bool hint_alias(const struct spot *s)
{
    const struct yaml_problem *p = s->problem;

    if (!p->context || !strstr(p->problem, "alphabetic or numeric"))
        return false;
    say_quote(s, p->context_line, p->context_column, 1,
              strstr(p->context, "anchor") ? "`&` starts a YAML anchor here"
                                           : "`*` starts a YAML alias here");
    return true;
}

static bool hint_first_character(const struct spot *s)
{
    const struct yaml_problem *p = s->problem;
    char b = char_at(s, p->line, p->column);
    char message[64];

    if (!strstr(p->problem, "cannot start any token"))
        return false;
    snprintf(message, sizeof message, "`%c` cannot begin a value in YAML", b ? b : '?');
    say_quote(s, p->line, p->column, 1, message);
    return true;
}

/* `bind: [::]:443` and `{bind: :443}`. */
static bool hint_address(const struct spot *s)
{
    const struct yaml_problem *p = s->problem;
    uint32_t column = p->column;

    if (!strstr(p->problem, "expected node content") || char_at(s, p->line, column) != ':')
        return false;
    if (column > 0 && char_at(s, p->line, column - 1) == '[') {
        say_quote(s, p->line, column - 1, 1, "`[` starts a YAML list here");
        return true;
    }
    say_quote(s, p->line, column, 1, "`:` cannot begin a value inside `{}` or `[]`");
    return true;
}

/* `{ level: ${env:LEVEL} }`: the inner brace is YAML's. */
static bool hint_expansion(const struct spot *s)
{
    const struct yaml_problem *p = s->problem;
    uint32_t column = p->column;

    if (!strstr(p->problem, "did not find expected ','") || column == 0 ||
        char_at(s, p->line, column) != '{' || char_at(s, p->line, column - 1) != '$')
        return false;
    column--;
    while (column > 0 && !strchr(" ,[{", char_at(s, p->line, column - 1)))
        column--;
    say_quote(s, p->line, column, 2, "`${…}` inside `{}` or `[]` needs quotes");
    return true;
}

/* A key with no space behind its colon; the place of the colon. */
static bool tight_colon(weir_slice line, uint32_t *ret_column)
{
    const char *text = line.data;
    uint32_t i = indent_of(line);

    while (i + 1 < line.len && text[i] == '-' && text[i + 1] == ' ')
        i += 2;
    while (i < line.len && (isalnum((unsigned char)text[i]) || strchr("_-.", text[i])))
        i++;
    if (i + 1 >= line.len || text[i] != ':' || text[i + 1] == ' ')
        return false;
    *ret_column = i;
    return true;
}

static bool hint_colon(const struct spot *s)
{
    const struct yaml_problem *p = s->problem;
    uint32_t line = p->line, column;
    struct diagnostic *d;
    bool found = false;

    if (strstr(p->problem, "could not find expected ':'"))
        found = tight_colon(weir__source_line(s->source, line = p->context_line), &column);
    else if (strstr(p->problem, "mapping values are not allowed") && line_before(s, line, &line))
        found = tight_colon(weir__source_line(s->source, line), &column);
    if (!found)
        return false;
    d = weir__diagnose(s->c, CONFIG_SYNTAX, place(s, line, column, 1),
                       "a space is missing after `:`");
    weir__diagnostic_label(s->c, d, "write `: `");
    d->cut = true;
    return true;
}

static bool hint_second_colon(const struct spot *s)
{
    const struct yaml_problem *p = s->problem;
    const char *text = s->line.data;
    size_t end = offset_of(s->line, p->column);
    struct diagnostic *d;

    if (!strstr(p->problem, "mapping values are not allowed"))
        return false;
    for (size_t i = 0; i + 1 < end; i++) {
        if (text[i] != ':' || text[i + 1] != ' ')
            continue;
        d = weir__diagnose(s->c, CONFIG_SYNTAX, place(s, p->line, p->column, 1),
                           "a second `: ` on this line");
        weir__diagnostic_label(s->c, d, "put the value in quotes, or begin a new line");
        d->cut = true;
        return true;
    }
    return false;
}

static void say_indent(const struct spot *s, uint32_t line, uint32_t above, const char *what)
{
    weir_slice here = weir__source_line(s->source, line);
    uint32_t column = indent_of(here);
    uint32_t other = indent_of(weir__source_line(s->source, above));
    struct diagnostic *d =
        weir__diagnose(s->c, CONFIG_INDENT, place(s, line, column, 1), "%s", what);

    weir__diagnostic_label(s->c, d, "this begins in column %u", column + 1);
    weir__diagnostic_also(s->c, d, place(s, above, other, 1), "this in column %u", other + 1);
    weir__diagnostic_help(s->c, d, "keys of one map begin in the same column");
    d->cut = true;
}

static bool hint_indent(const struct spot *s)
{
    const struct yaml_problem *p = s->problem;
    bool deeper = strstr(p->problem, "mapping values are not allowed") != NULL;
    uint32_t indent = indent_of(s->line), above = p->line;
    weir_slice line;

    if (!deeper && (!strstr(p->problem, "did not find expected key") || p->column != indent))
        return false;
    if (!line_before(s, p->line, &above))
        return false;
    if (deeper && indent_of(weir__source_line(s->source, above)) >= indent)
        return false;
    if (deeper) {
        say_indent(s, p->line, above, "this line is indented deeper than the one above it");
        return true;
    }
    for (uint32_t i = above;; i = above) { /* the shallowest line above that is still deeper */
        line = weir__source_line(s->source, i);
        if (indent_of(line) <= indent || !line_before(s, i, &above))
            break;
        if (indent_of(weir__source_line(s->source, above)) <= indent) {
            above = i;
            break;
        }
    }
    say_indent(s, p->line, above, "this line is indented like none above it");
    return true;
}

static bool hint_list(const struct spot *s)
{
    const struct yaml_problem *p = s->problem;
    struct diagnostic *d;

    if (!strstr(p->problem, "expected '-' indicator"))
        return false;
    d = weir__diagnose(s->c, CONFIG_INDENT, place(s, p->line, p->column, 1),
                       "a list ends here without being indented back");
    weir__diagnostic_label(s->c, d, "a key among the elements of a list");
    weir__diagnostic_also(s->c, d, place(s, p->context_line, p->context_column, 1),
                          "the list begins here, in column %u", p->context_column + 1);
    d->cut = true;
    return true;
}

static bool hint_after_quote(const struct spot *s)
{
    const struct yaml_problem *p = s->problem;
    struct diagnostic *d;

    if (!strstr(p->problem, "did not find expected key") || p->column <= indent_of(s->line))
        return false;
    d = weir__diagnose(s->c, CONFIG_SYNTAX, place(s, p->line, p->column, 1),
                       "text follows a value that is complete");
    weir__diagnostic_label(s->c, d, "the value ended before this");
    weir__diagnostic_help(s->c, d, "a quote inside '…' is written twice: 'it''s'");
    d->cut = true;
    return true;
}

static bool hint_unclosed(const struct spot *s)
{
    const struct yaml_problem *p = s->problem;
    bool quote = strstr(p->problem, "end of stream") != NULL;
    struct diagnostic *d;
    char opening;

    if (!p->has_context || (!quote && !strstr(p->problem, "did not find expected ',' or")))
        return false;
    if (!quote && p->line == p->context_line)
        return false;
    opening = char_at(s, p->context_line, p->context_column);
    d = weir__diagnose(s->c, CONFIG_SYNTAX, place(s, p->context_line, p->context_column, 1),
                       "`%c` is never closed", opening ? opening : '?');
    weir__diagnostic_label(s->c, d, "opened here");
    d->cut = true;
    return true;
}

void weir__yaml_report(weir_config_context *c, struct source *source,
                       const struct yaml_problem *problem)
{
    static bool (*const hints[])(const struct spot *) = {
        hint_tab,       hint_alias,       hint_first_character, hint_address,
        hint_expansion, hint_colon,       hint_second_colon,    hint_indent,
        hint_list,      hint_after_quote, hint_unclosed,
    };
    struct spot s = {c, source, problem, weir__source_line(source, problem->line)};
    struct diagnostic *d;

    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        if (hints[i](&s))
            return;
    }
    d = weir__diagnose(c, CONFIG_SYNTAX, place(&s, problem->line, problem->column, 1),
                       "this is not valid YAML: %s", problem->problem);
    weir__diagnostic_label(c, d, "here");
    d->cut = true;
    if (problem->has_context && problem->context_line != problem->line)
        weir__diagnostic_also(c, d, place(&s, problem->context_line, problem->context_column, 1),
                              "%s", problem->context);
}
