/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `${env:NAME}`, `${env:NAME:-default}`, `${file:/path}`, `${cred:NAME}` and `$$` in values.
 *
 * A value is expanded when an option reads it, so nothing under an unused `x-` key is. The result is
 * text for the option's type, never YAML again; positions stay those of the file. What came from a
 * file or a credential is a secret from then on.
 */
#include <config.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/config/internal.h"

struct text {
    char *bytes;
    size_t len, room;
};

static void append(weir_config_context *c, struct text *t, const char *bytes, size_t len)
{
    if (!t->bytes || len > t->room - t->len) {
        size_t room = (t->len + len) * 2 + 32;
        char *larger = weir__arena_alloc(&c->arena, room + 1);

        if (t->len)
            memcpy(larger, t->bytes, t->len);
        t->bytes = larger;
        t->room = room;
    }
    if (len)
        memcpy(t->bytes + t->len, bytes, len);
    t->len += len;
    t->bytes[t->len] = '\0';
}

weir_slice weir__span_text(struct span span)
{
    weir_slice line = weir__source_line(span.source, span.line);
    const unsigned char *text = line.data;
    size_t from = 0, to;
    uint32_t column = 0;

    for (; from < line.len && column < span.column; from++) {
        if (from + 1 >= line.len || (text[from + 1] & 0xc0) != 0x80)
            column++;
    }
    for (to = from; to < line.len; to++) {
        if (span.end_line == span.line && column >= span.end_column)
            break;
        if (to + 1 >= line.len || (text[to + 1] & 0xc0) != 0x80)
            column++;
    }
    return weir_slice_of(text + from, to - from);
}

/* A reference in a node's text. Its span is looked for only when it is reported. */
struct place {
    const weir_config_node *node;
    const char *text;
    size_t len;
};

/* Where a reference stands inside its node's text; the whole node when it cannot be told. */
static struct span span_inside(const struct place *place)
{
    const weir_config_node *node = place->node;
    const char *reference = place->text;
    size_t len = place->len;
    struct span span = node->span;
    weir_slice text;
    const char *bytes, *found;
    uint32_t column = 0;

    if (!span.source)
        return span;
    text = weir__span_text(span);
    bytes = text.data;
    found = len <= text.len ? memmem(bytes, text.len, reference, len) : NULL;
    if (!found)
        return span;
    for (const char *s = bytes; s < found; s++)
        column += ((unsigned char)*s & 0xc0) != 0x80;
    span.column += column;
    for (const char *s = found; s < found + len; s++)
        column += ((unsigned char)*s & 0xc0) != 0x80;
    span.end_line = span.line;
    span.end_column = node->span.column + column;
    return span;
}

static bool expand_env(weir_config_context *c, struct text *out, const char *what,
                       const struct place *place)
{
    const char *fallback = strstr(what, ":-");
    const char *value;
    char *name =
        weir__arena_dup(&c->arena, what, fallback ? (size_t)(fallback - what) : strlen(what));
    struct diagnostic *d;

    value = c->settings.getenv ? c->settings.getenv(c->settings.getenv_arg, name) : getenv(name);
    if (value && (*value || !fallback)) {
        append(c, out, value, strlen(value));
        return true;
    }
    if (fallback) {
        append(c, out, fallback + 2, strlen(fallback + 2));
        return true;
    }
    d = weir__diagnose(c, CONFIG_UNSET, span_inside(place),
                       "the environment variable `%s` is not set", name);
    weir__diagnostic_label(c, d, "not set, and no default");
    weir__diagnostic_help(c, d, "give it a default: ${env:%s:-value}", name);
    return false;
}

static bool read_secret(weir_config_context *c, struct text *out, const char *path,
                        const struct place *place, bool check_mode)
{
    char *text, buffer[128];
    struct diagnostic *d;
    unsigned mode;
    size_t len;
    int error = weir__read_file(path, CONFIG_MAX_SECRET_FILE, &c->arena, &text, &len, &mode);

    if (error || memchr(text, '\0', len)) {
        d = weir__diagnose(c, CONFIG_UNSET, span_inside(place), "cannot read `%s`: %s", path,
                           !error           ? "it holds a zero byte"
                           : error == EFBIG ? "larger than 64 KiB"
                                            : strerror_r(error, buffer, sizeof buffer));
        weir__diagnostic_label(c, d, "not readable");
        return false;
    }
    if (check_mode && (mode & (S_IRGRP | S_IROTH))) {
        d = weir__diagnose(c, CONFIG_SECRET_FILE, span_inside(place), "others can read `%s`", path);
        weir__diagnostic_help(c, d, "chmod 600 %s", path);
    }
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    append(c, out, text, len);
    return true;
}

static bool expand_file(weir_config_context *c, struct text *out, const char *path,
                        const struct place *place)
{
    if (*path != '/') {
        struct diagnostic *d = weir__diagnose(c, CONFIG_EXPANSION, span_inside(place),
                                              "`${file:…}` takes an absolute path");

        weir__diagnostic_label(c, d, "does not begin with `/`");
        return false;
    }
    return read_secret(c, out, path, place, true);
}

static bool expand_credential(weir_config_context *c, struct text *out, const char *name,
                              const struct place *place)
{
    const char *folder = c->settings.getenv
                             ? c->settings.getenv(c->settings.getenv_arg, "CREDENTIALS_DIRECTORY")
                             : getenv("CREDENTIALS_DIRECTORY");
    struct diagnostic *d;

    if (!*name || strchr(name, '/')) {
        d = weir__diagnose(c, CONFIG_EXPANSION, span_inside(place),
                           "a credential is named without a path");
        weir__diagnostic_label(c, d, "not a name");
        return false;
    }
    if (!folder || !*folder) {
        d = weir__diagnose(c, CONFIG_UNSET, span_inside(place), "there is no credential `%s`",
                           name);
        weir__diagnostic_label(c, d, "CREDENTIALS_DIRECTORY is not set");
        weir__diagnostic_help(c, d, "systemd sets it: LoadCredential=%s:/path in the unit", name);
        return false;
    }
    return read_secret(c, out, weir__arena_format(&c->arena, "%s/%s", folder, name), place, false);
}

/* One `${…}` whose inside is `what`. */
static bool expand_one(weir_config_context *c, weir_config_node *node, struct text *out,
                       const char *what, const struct place *place)
{
    struct diagnostic *d;

    if (strncmp(what, "env:", 4) == 0) {
        node->variable = weir__arena_dup(&c->arena, what + 4, strcspn(what + 4, ":"));
        return expand_env(c, out, what + 4, place);
    }
    if (strncmp(what, "file:", 5) == 0 || strncmp(what, "cred:", 5) == 0) {
        node->redaction = what;
        node->secret = true;
        return *what == 'f' ? expand_file(c, out, what + 5, place)
                            : expand_credential(c, out, what + 5, place);
    }
    d = weir__diagnose(c, CONFIG_EXPANSION, span_inside(place),
                       "`${%s}` does not say where it comes from", what);
    weir__diagnostic_label(c, d, "expected env:, file: or cred:");
    weir__diagnostic_help(c, d, "write `${env:NAME}` for an environment variable, `$$` for a `$`");
    return false;
}

static bool has_scheme(const char *what)
{
    return strncmp(what, "env:", 4) == 0 || strncmp(what, "file:", 5) == 0 ||
           strncmp(what, "cred:", 5) == 0;
}

static bool expand_text(weir_config_context *c, weir_config_node *node, bool template_words,
                        struct text *out)
{
    const char *at = node->text, *dollar;

    for (; (dollar = strchr(at, '$')) != NULL; at = dollar) {
        const char *end;
        char *what;

        append(c, out, at, (size_t)(dollar - at));
        if (dollar[1] == '$') {
            append(c, out, "$$", template_words ? 2 : 1);
            dollar += 2;
            continue;
        }
        end = dollar[1] == '{' ? strchr(dollar, '}') : NULL;
        if (dollar[1] == '{' && !end) {
            struct place place = {node, dollar, 2};
            struct diagnostic *d =
                weir__diagnose(c, CONFIG_EXPANSION, span_inside(&place), "`${` is never closed");

            weir__diagnostic_label(c, d, "write `$$` for a dollar sign");
            return false;
        }
        if (!end) {
            append(c, out, dollar++, 1);
            continue;
        }
        what = weir__arena_dup(&c->arena, dollar + 2, (size_t)(end - dollar - 2));
        if (template_words && !has_scheme(what))
            append(c, out, dollar, (size_t)(end + 1 - dollar));
        else if (!expand_one(c, node, out, what,
                             &(struct place){node, dollar, (size_t)(end + 1 - dollar)}))
            return false;
        dollar = end + 1;
    }
    append(c, out, at, strlen(at));
    return true;
}

bool weir__expand(weir_config_context *c, weir_config_node *node, bool template_words)
{
    struct text out = {NULL, 0, 0};

    if (node->kind != WEIR_NODE_SCALAR || node->expanded || !strchr(node->text, '$'))
        return !node->failed;
    node->expanded = true;
    if (!expand_text(c, node, template_words, &out)) {
        node->failed = true;
        return false;
    }
    node->text = out.bytes;
    node->len = out.len;
    return true;
}

const char *weir__node_shown(weir_config_context *c, const weir_config_node *node)
{
    if (node->redaction)
        return weir__arena_format(&c->arena, "<redacted: %s>", node->redaction);
    if (node->secret)
        return "<redacted>";
    if (node->len > 80)
        return weir__arena_format(&c->arena, "%.77s…", node->text);
    return node->text;
}
