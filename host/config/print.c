/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `weir config print`: the effective configuration as YAML, with a comment behind each value that
 * says where it came from, or as JSON. What is printed as YAML loads again and means the same, but
 * for secrets, which are not shown.
 */
#include <config.h>
#include <string.h>

#include "host/config/effective.h"

#define COMMENT_COLUMN 40

struct printer {
    weir_config_context *c;
    FILE *out;
    bool only_set;
};

static bool is_skipped(const struct printer *p, const struct effective *e)
{
    if (p->only_set && !e->is_set)
        return true;
    if (e->option && e->option->type == WEIR_TYPE_ANY)
        return true;
    return !e->text && !e->first && (!e->option || e->option->type == WEIR_TYPE_MAP) && !e->is_set;
}

static bool is_redacted(const struct effective *e)
{
    return e->node && (e->node->secret || e->node->redaction);
}

/* Whether YAML takes the text for itself without quotes, in brackets too. */
static bool is_plain(const char *text)
{
    static const char first[] = "-?:,[]{}#&*!|>'\"%@`<";

    if (!*text || strchr(first, *text) || text[strlen(text) - 1] == ' ' || *text == ' ')
        return false;
    for (const char *s = text; *s; s++) {
        if ((unsigned char)*s < 0x20 || strchr(",[]{}\\", *s) ||
            (*s == ':' && (s[1] == ' ' || !s[1])) || (*s == '#' && s > text && s[-1] == ' '))
            return false;
    }
    return true;
}

/* A `$` of the value is one of the text again only when it is doubled. */
static unsigned put_text(FILE *out, const struct effective *e, const char *text)
{
    bool template_words = e->option && e->option->type == WEIR_TYPE_TEMPLATE;
    bool plain = is_redacted(e) || is_plain(text);
    unsigned width = plain ? 0 : 2;

    if (!plain)
        fputc('"', out);
    for (; *text; text++) {
        unsigned char ch = (unsigned char)*text;

        if (ch == '\n')
            width += (unsigned)fprintf(out, "\\n");
        else if (ch < 0x20 || ch == 0x7f)
            width += (unsigned)fprintf(out, "\\x%02x", ch);
        else if (!plain && (ch == '"' || ch == '\\'))
            width += (unsigned)fprintf(out, "\\%c", ch);
        else if (ch == '$' && !template_words)
            width += (unsigned)fprintf(out, "$$");
        else
            width += (fputc(ch, out), (ch & 0xc0) != 0x80);
    }
    if (!plain)
        fputc('"', out);
    return width;
}

static unsigned put_name(FILE *out, const char *name)
{
    struct effective plain = {.option = NULL};

    return put_text(out, &plain, name) + (unsigned)fprintf(out, ":");
}

static void put_origin(struct printer *p, const struct effective *e, unsigned width)
{
    if (width < COMMENT_COLUMN)
        fprintf(p->out, "%*s", (int)(COMMENT_COLUMN - width), "");
    fputs("  # ", p->out);
    weir__print_clean(p->out, weir__effective_origin(p->c, e));
    fputc('\n', p->out);
}

/* A list whose elements are all single values stands on one line. */
static bool is_short_list(const struct effective *e)
{
    if (!e->is_list)
        return false;
    for (const struct effective *item = e->first; item; item = item->next) {
        if (!item->text || item->node->span.source != e->first->node->span.source)
            return false;
    }
    return true;
}

static unsigned put_short_list(struct printer *p, const struct effective *e)
{
    unsigned width = 2;

    fputc('[', p->out);
    for (const struct effective *item = e->first; item; item = item->next) {
        width += put_text(p->out, item, item->text);
        if (item->next)
            width += (unsigned)fprintf(p->out, ", ");
    }
    fputc(']', p->out);
    return width;
}

static void print_children(struct printer *p, const struct effective *e, unsigned depth,
                           bool first_in_line);

static void print_value(struct printer *p, const struct effective *e, unsigned depth,
                        unsigned width)
{
    if (e->text) {
        fputc(' ', p->out);
        put_origin(p, e, width + 1 + put_text(p->out, e, e->text));
    } else if (is_short_list(e)) {
        fputc(' ', p->out);
        put_origin(p, e, width + 1 + put_short_list(p, e));
    } else if (!e->first) {
        put_origin(p, e, width + (unsigned)fprintf(p->out, " {}"));
    } else {
        fputc('\n', p->out);
        print_children(p, e, depth + 1, false);
    }
}

/* `first_in_line`: the first stands behind a dash that is written already. */
static void print_children(struct printer *p, const struct effective *e, unsigned depth,
                           bool first_in_line)
{
    for (const struct effective *child = e->first; child; child = child->next) {
        unsigned width = depth * 2;

        if (is_skipped(p, child))
            continue;
        if (!first_in_line)
            fprintf(p->out, "%*s", (int)width, "");
        first_in_line = false;
        if (child->name) {
            print_value(p, child, depth, width + put_name(p->out, child->name));
        } else if (child->text || is_short_list(child) || !child->first) {
            fputc('-', p->out);
            print_value(p, child, depth, width + 1);
        } else {
            fputs("- ", p->out);
            print_children(p, child, depth + 1, true);
        }
    }
}

void weir__json_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; text && *text; text++) {
        if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            fprintf(out, "\\u%04x", (unsigned char)*text);
        else
            fputc(*text, out);
    }
    fputc('"', out);
}

static bool is_number(const struct effective *e)
{
    size_t len = strlen(e->text);

    return e->option->type == WEIR_TYPE_INT && !is_redacted(e) && len > 0 && len < 16 &&
           strspn(e->text, "0123456789") == len && (len == 1 || *e->text != '0');
}

static void print_json(struct printer *p, const struct effective *e)
{
    bool list = e->is_list, comma = false;

    if (e->text) {
        if (is_number(e) || (e->option->type == WEIR_TYPE_BOOL && !is_redacted(e)))
            fputs(e->text, p->out);
        else
            weir__json_string(p->out, e->text);
        return;
    }
    fputc(list ? '[' : '{', p->out);
    for (const struct effective *child = e->first; child; child = child->next) {
        if (is_skipped(p, child))
            continue;
        if (comma)
            fputc(',', p->out);
        comma = true;
        if (!list) {
            weir__json_string(p->out, child->name);
            fputc(':', p->out);
        }
        print_json(p, child);
    }
    fputc(list ? ']' : '}', p->out);
}

/* The next step of "listeners.web.routes[0]"; NULL when it is not one. */
static const struct effective *step(const struct effective *e, const char **path)
{
    size_t len = strcspn(*path, ".[");
    const struct effective *child = e->first;

    if (**path == '[') {
        unsigned long index = 0;
        const char *at = *path + 1;

        for (; *at >= '0' && *at <= '9' && index < 1000000; at++)
            index = index * 10 + (unsigned long)(*at - '0');
        if (*at != ']' || !e->is_list)
            return NULL;
        for (; child && index > 0; index--)
            child = child->next;
        *path = at + 1;
    } else {
        while (child && (!child->name || strncmp(child->name, *path, len) != 0 || child->name[len]))
            child = child->next;
        *path += len;
    }
    *path += **path == '.';
    return child;
}

bool weir__config_print(weir_config_context *c, FILE *out, const struct config_print *how)
{
    struct printer p = {c, out, how->only_set};
    const struct effective *e = c->effective_root;
    const char *path = how->path ? how->path : "";

    while (e && *path)
        e = step(e, &path);
    if (!e)
        return false;
    if (how->json) {
        print_json(&p, e);
        fputc('\n', out);
        return true;
    }
    if (e->text || is_short_list(e)) {
        print_value(&p, e, 0, e->name ? put_name(out, e->name) : 0);
        return true;
    }
    print_children(&p, e, 0, false);
    return true;
}
