/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Excerpts: the lines a diagnostic is about, with carets under the right characters.
 *
 * Columns of spans are code points; carets need display columns. So each line is laid out once into
 * cells: tabs become spaces, wide characters count two, combining ones none, and a secret value
 * becomes `<redacted>`; the layout says for every column where it came to stand.
 */
#include <config.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"

#define TAB_WIDTH    4
#define LONGEST_LINE 200
#define REDACTED     "<redacted>"

struct layout {
    char *text;     /* what is printed */
    unsigned *at;   /* display column of each code point, and of the end */
    size_t columns; /* code points */
};

static unsigned width_of(uint32_t c)
{
    static const struct {
        uint32_t first, last;
        unsigned width;
    } ranges[] = {{0x300, 0x36f, 0},    {0x200b, 0x200f, 0},   {0xfe00, 0xfe0f, 0},
                  {0x1100, 0x115f, 2},  {0x2e80, 0xa4cf, 2},   {0xac00, 0xd7a3, 2},
                  {0xf900, 0xfaff, 2},  {0xfe30, 0xfe6f, 2},   {0xff00, 0xff60, 2},
                  {0xffe0, 0xffe6, 2},  {0x1f300, 0x1f64f, 2}, {0x1f900, 0x1f9ff, 2},
                  {0x20000, 0x3fffd, 2}};

    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (c >= ranges[i].first && c <= ranges[i].last)
            return ranges[i].width;
    }
    return 1;
}

/* The sequence length and value at `s`; a byte that is not UTF-8 is one of its own. */
static size_t step(const unsigned char *s, size_t len, uint32_t *ret)
{
    size_t n = s[0] < 0xc0 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

    if (n > len)
        n = 1;
    *ret = n == 1 ? s[0] : s[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            *ret = s[0];
            return 1;
        }
        *ret = *ret << 6 | (s[i] & 0x3f);
    }
    return n;
}

/* The first redacted stretch of this line that ends after `column`; false when there is none. */
static bool hidden_at(const weir_config_context *c, const struct source *source, size_t line,
                      uint32_t column, uint32_t *ret_end)
{
    for (size_t i = 0; i < c->n_redacted; i++) {
        const struct span *s = &c->redacted[i];
        uint32_t from = s->line == line ? s->column : 0;
        uint32_t to = s->end_line == line ? s->end_column : UINT32_MAX;

        if (s->source != source || line < s->line || line > s->end_line)
            continue;
        if (s->line != line && s->end_line == line && s->end_column == 0)
            continue;
        if (column >= from && column < to) {
            *ret_end = to;
            return true;
        }
    }
    return false;
}

static size_t cut_length(weir_slice line)
{
    const char *text = line.data;

    for (size_t i = 0; i < line.len; i++) {
        if (text[i] == ':' && (i + 1 == line.len || text[i + 1] == ' '))
            return i + 1;
    }
    return line.len;
}

static void lay_out(const weir_config_context *c, const struct source *source, size_t line,
                    bool cut, struct layout *ret)
{
    weir_slice text = weir__source_line(source, line);
    const unsigned char *s = text.data;
    size_t visible = cut ? cut_length(text) : text.len, len = 0;
    unsigned column = 0;
    uint32_t hidden_end = 0;
    bool was_hidden = false;

    ret->text = calloc(1, text.len * 12 + 64);
    ret->at = calloc(text.len + 2, sizeof *ret->at);
    ret->columns = 0;
    if (!ret->text || !ret->at)
        abort();
    for (size_t i = 0, n; i < text.len; i += n) {
        uint32_t value;
        bool hidden;

        n = step(s + i, text.len - i, &value);
        ret->at[ret->columns] = column;
        hidden = hidden_at(c, source, line, (uint32_t)ret->columns, &hidden_end);
        ret->columns++;
        if (hidden && !was_hidden) {
            memcpy(ret->text + len, REDACTED, sizeof REDACTED - 1);
            len += sizeof REDACTED - 1;
            column += sizeof REDACTED - 1;
        }
        was_hidden = hidden;
        if (hidden || i >= visible || column > LONGEST_LINE) {
            if (i >= visible && !hidden)
                column++;
            continue;
        }
        if (value == '\t') {
            do {
                ret->text[len++] = ' ';
                column++;
            } while (column % TAB_WIDTH);
            continue;
        }
        if (n == 1 && (value < 0x20 || value >= 0x7f)) {
            ret->text[len++] = '?';
            column++;
            continue;
        }
        memcpy(ret->text + len, s + i, n);
        len += n;
        column += width_of(value);
    }
    ret->at[ret->columns] = column;
    if (visible < text.len)
        memcpy(ret->text + len, " …", sizeof " …");
}

void weir__print_clean(FILE *out, const char *text)
{
    for (; *text; text++)
        fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, out);
}

static void put_repeated(FILE *out, char c, unsigned count)
{
    while (count-- > 0)
        fputc(c, out);
}

/* One line of carets and the words behind them. */
static void put_marks(const struct layout *layout, const struct label *label, bool primary,
                      int gutter, FILE *out, bool colour)
{
    const struct span *s = &label->span;
    size_t first = s->column < layout->columns ? s->column : layout->columns;
    size_t last =
        s->end_line > s->line || s->end_column > layout->columns ? layout->columns : s->end_column;
    unsigned from = layout->at[first] + (unsigned)(s->column - first);
    unsigned to = last > first ? layout->at[last] : from;

    fprintf(out, "%*s | ", gutter, "");
    put_repeated(out, ' ', from);
    if (colour)
        fputs(primary ? "\033[1;31m" : "\033[1;34m", out);
    put_repeated(out, primary ? '^' : '-', to > from ? to - from : 1);
    if (label->text && *label->text) {
        fputc(' ', out);
        weir__print_clean(out, label->text);
    }
    if (colour)
        fputs("\033[0m", out);
    fputc('\n', out);
}

/* The labels of one source, in order of their lines. */
static size_t collect(const struct diagnostic *d, const struct source *source,
                      const struct label **ret)
{
    size_t n = 0;

    if (d->primary.span.source == source)
        ret[n++] = &d->primary;
    for (size_t i = 0; i < d->n_also; i++) {
        if (d->also[i].span.source == source)
            ret[n++] = &d->also[i];
    }
    for (size_t i = 1; i < n; i++) {
        for (size_t j = i; j > 0 && ret[j]->span.line < ret[j - 1]->span.line; j--) {
            const struct label *swap = ret[j];

            ret[j] = ret[j - 1];
            ret[j - 1] = swap;
        }
    }
    return n;
}

static void put_source(const weir_config_context *c, const struct diagnostic *d,
                       const struct source *source, FILE *out, bool colour)
{
    const struct label *labels[DIAGNOSTIC_LABELS + 1];
    size_t n = collect(d, source, labels);
    uint32_t last_line = labels[n - 1]->span.line + 1;
    int gutter = last_line > 9999 ? 6 : last_line > 999 ? 4 : last_line > 99 ? 3 : 2;

    if (n > 1)
        fprintf(out, "%*s |\n", gutter, "");
    for (size_t i = 0; i < n; i++) {
        uint32_t line = labels[i]->span.line;
        struct layout layout;

        lay_out(c, source, line, d->cut && labels[i] == &d->primary, &layout);
        if (i == 0 || labels[i - 1]->span.line != line)
            fprintf(out, "%*u | %s\n", gutter, line + 1, layout.text);
        put_marks(&layout, labels[i], labels[i] == &d->primary, gutter, out, colour);
        free(layout.text);
        free(layout.at);
    }
}

void weir__excerpt_print(const weir_config_context *c, const struct diagnostic *d, FILE *out,
                         bool colour)
{
    const struct source *source = d->primary.span.source;
    char where[512];

    if (!source)
        return;
    weir__span_name(d->primary.span, where, sizeof where);
    fputs("  --> ", out);
    weir__print_clean(out, where);
    fputc('\n', out);
    put_source(c, d, source, out, colour);
    for (size_t i = 0; i < d->n_also; i++) {
        const struct source *other = d->also[i].span.source;
        bool shown = other == source;

        for (size_t j = 0; j < i; j++)
            shown = shown || d->also[j].span.source == other;
        if (shown)
            continue;
        weir__span_name(d->also[i].span, where, sizeof where);
        fputs("  ::: ", out);
        weir__print_clean(out, where);
        fputc('\n', out);
        put_source(c, d, other, out, colour);
    }
}
