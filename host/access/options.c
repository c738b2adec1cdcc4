/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `log.access`, and what is wrong in it, with the caret under the very word: a template that names a
 * field which does not exist, a condition that compares what cannot be compared.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "host/access/access.h"
#include "host/config/codes.h"
#include "host/config/internal.h"

static const char *const format_words[] = {"off",  "common", "combined", "vhost_combined",
                                           "json", "logfmt", NULL};

/* The place of a word within a scalar; the whole scalar where it cannot be told. */
static struct span span_of_word(const weir_config_node *node, const char *word, size_t len)
{
    weir_slice text = weir__span_text(node->span);
    struct span span = node->span;
    const char *start = text.data, *found = text.len ? memmem(start, text.len, word, len) : NULL;

    if (!found)
        return span;
    for (const char *c = start; c < found; c++)
        span.column += ((unsigned char)*c & 0xC0) != 0x80;
    span.end_line = span.line;
    span.end_column = span.column + (uint32_t)len;
    return span;
}

static bool is_planned(const char *name, size_t len)
{
    for (size_t i = 0; weir__access_field_planned[i]; i++)
        if (strlen(weir__access_field_planned[i]) == len &&
            memcmp(weir__access_field_planned[i], name, len) == 0)
            return true;
    return false;
}

static void suggest_field(weir_config_context *c, struct diagnostic *d, const char *name,
                          size_t len, bool variable)
{
    char word[64];
    struct suggestion s;

    (void)snprintf(word, sizeof word, "%.*s", (int)(len < 63 ? len : 63), name);
    weir__suggest_begin(&s, word);
    for (size_t i = 0; weir__access_field_names[i]; i++)
        weir__suggest_offer(&s, weir__access_field_names[i]);
    if (s.best)
        weir__diagnostic_help(c, d, "did you mean `%s%s%s`?", variable ? "${" : "", s.best,
                              variable ? "}" : "");
}

static void report_field(weir_config_context *c, const weir_config_node *node, const char *name,
                         size_t len)
{
    char word[96];
    struct span span;
    struct diagnostic *d;

    (void)snprintf(word, sizeof word, "${%.*s}", (int)(len < 80 ? len : 80), name);
    span = span_of_word(node, word, strlen(word));
    if (is_planned(name, len)) {
        weir__not_built(c, span, word);
        return;
    }
    d = weir__diagnose(c, CONFIG_WORD, span, "there is no `%s` in a record of the access log",
                       word);
    weir__diagnostic_label(c, d, "not a field; weir.yaml(5) lists them");
    suggest_field(c, d, name, len, true);
}

static void report_format(weir_config_context *c, const weir_config_node *node)
{
    struct diagnostic *d =
        weir__diagnose(c, CONFIG_WORD, node->span, "`%s` is not a format of the access log",
                       weir__node_shown(c, node));
    struct suggestion s;

    weir__diagnostic_label(c, d,
                           "expected off, common, combined, vhost_combined, json, logfmt, or a "
                           "template with ${client_ip} and the like");
    weir__suggest_begin(&s, node->text);
    for (size_t i = 0; format_words[i]; i++)
        weir__suggest_offer(&s, format_words[i]);
    if (s.best)
        weir__diagnostic_help(c, d, "did you mean `%s`?", s.best);
}

static bool check_format(weir_config_context *c, const weir_config_node *node, void *field)
{
    const char *at = *(const char **)field;
    bool ok = true, is_field, is_template = strstr(at, "${") != NULL;
    weir_slice part;
    size_t word;

    if (weir__choose_word(format_words, at, &word))
        return true;
    if (!is_template) {
        report_format(c, node);
        return false;
    }
    while (weir__access_template_next(&at, &part, &is_field)) {
        if (!is_field || weir__access_field(part.data, part.len) != ACCESS_FIELD_COUNT)
            continue;
        report_field(c, node, part.data, part.len);
        ok = false;
    }
    return ok;
}

static bool parse_condition(weir_config_context *c, const weir_config_node *node, void *field)
{
    const char *text = weir_config_node_text(node), *meant;
    char why[200];
    struct access_filter *filter;
    struct diagnostic *d;

    if (weir_config_node_get_kind(node) != WEIR_NODE_SCALAR || !*text) {
        weir_config_error_at(c, node, "`exclude` takes conditions, as path=/health* or status<400");
        return false;
    }
    filter = weir__access_filter_new(text, why, sizeof why, &meant);
    if (filter) {
        weir__access_filter_free(filter);
        *(const char **)field = weir_config_strdup(c, text);
        return true;
    }
    if (meant) {
        size_t len = strcspn(meant, "=<>! ");

        d = weir__diagnose(c, CONFIG_WORD, span_of_word(node, meant, len), "%s", why);
        suggest_field(c, d, meant, len, false);
    } else {
        weir_config_error_at(c, node, "%s", why);
    }
    return false;
}

static bool parse_output(weir_config_context *c, const weir_config_node *node, void *field)
{
    const char *text = weir_config_node_text(node);

    if (weir_config_node_get_kind(node) != WEIR_NODE_SCALAR) {
        weir_config_error_at(c, node, "`output` takes auto, stderr, stdout or a path");
        return false;
    }
    if (strcmp(text, "auto") == 0 || strcmp(text, "stderr") == 0 || strcmp(text, "stdout") == 0) {
        *(const char **)field = weir_config_strdup(c, text);
        return true;
    }
    return weir_config_parse(c, node, WEIR_ELEMENT(WEIR_TYPE_PATH, const char *), field);
}

bool weir__access_is_off(const struct access_config *config)
{
    return strcmp(config->format, "off") == 0;
}

const weir_option *const weir__access_options[] = {
    WEIR_OPTION_TEMPLATE(struct access_config, format, "json",
                         "off, common, combined, vhost_combined, json, logfmt, or a template: "
                         "'${client_ip} ${method} ${path} ${status} ${duration_ms}'",
                         .parse = check_format, .primary = true),
    WEIR_OPTION_CUSTOM(
        struct access_config, output, parse_output, "auto",
        "Where lines go: stderr, stdout or a file; auto is stderr at a terminal, else "
        "/var/log/weir/access.log"),
    WEIR_OPTION_LIST(struct access_config, fields, int,
                     WEIR_ELEMENT(WEIR_TYPE_ENUM, int, .words = weir__access_field_names,
                                  .planned_words = weir__access_field_planned),
                     NULL,
                     "What json and logfmt lines have, in this order; most fields when not set",
                     .optional = true, .max = ACCESS_FIELD_COUNT,
                     .example = "[ts, method, path, status, outcome]"),
    WEIR_OPTION_NUMBER(struct access_config, sample, "100%",
                       "Share of the records that are written; what did not end well always is",
                       .min = 0, .max = 1),
    WEIR_OPTION_LIST(struct access_config, exclude, const char *,
                     WEIR_ELEMENT(WEIR_TYPE_CUSTOM, const char *, .parse = parse_condition), NULL,
                     "Records that are not written: conditions that hold together, as "
                     "\"status<400 path=/health*\"",
                     .optional = true, .example = "[path=/health*]"),
    NULL,
};
