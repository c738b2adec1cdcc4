/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single values: a scalar's text into the C type of its option.
 *
 * The option alone says what the text means; YAML's own guesses about numbers and booleans play no
 * part. Every refusal says what was expected where the value stands.
 */
#include <config.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"

struct diagnostic *weir__value_error(weir_config_context *c, int code, const weir_config_node *node,
                                     const char *format, ...)
{
    struct diagnostic *d;
    va_list args;

    va_start(args, format);
    d = weir__diagnose_v(c, code, node->span, format, args);
    va_end(args);
    return d;
}

static bool refuse(weir_config_context *c, const weir_option *option, const weir_config_node *node,
                   const char *what, const char *label)
{
    const char *shown = weir__node_shown(c, node);
    struct diagnostic *d =
        *option->name ? weir__value_error(c, CONFIG_VALUE, node, "`%s` takes %s, not `%s`",
                                          option->name, what, shown)
                      : weir__value_error(c, CONFIG_VALUE, node, "`%s` is not %s", shown, what);

    weir__diagnostic_label(c, d, "%s", label);
    return false;
}

bool weir__choose_word(const char *const *words, const char *text, size_t *ret_index)
{
    for (size_t i = 0; words && words[i]; i++) {
        if (strcmp(words[i], text) == 0) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

static bool fill_bool(weir_config_context *c, const weir_option *option,
                      const weir_config_node *node, bool *ret)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off", NULL};
    size_t index;

    if (!weir__choose_word(words, node->text, &index))
        return refuse(c, option, node, "true or false", "expected true, false, yes, no, on or off");
    *ret = index % 2 == 0;
    return true;
}

/* Both 0: what fits; a maximum below the minimum: none. */
static void limits_of(const weir_option *option, int64_t largest, int64_t *ret_min,
                      int64_t *ret_max)
{
    bool none = option->min == 0 && option->max == 0;

    *ret_min = option->min;
    *ret_max = none || option->max < option->min ? largest : option->max;
}

static void store_int(void *field, size_t width, int64_t value)
{
    int32_t v32 = (int32_t)value;
    int16_t v16 = (int16_t)value;
    int8_t v8 = (int8_t)value;

    if (width == 1)
        memcpy(field, &v8, 1);
    else if (width == 2)
        memcpy(field, &v16, 2);
    else if (width == 4)
        memcpy(field, &v32, 4);
    else
        memcpy(field, &value, 8);
}

static bool fill_int(weir_config_context *c, const weir_option *option,
                     const weir_config_node *node, void *field)
{
    int64_t least, most;
    long long value;
    size_t word;
    char *end;

    if (weir__choose_word(option->words, node->text, &word)) {
        store_int(field, option->width, WEIR_INT_WORD(word));
        return true;
    }
    limits_of(option,
              option->width == 1   ? INT8_MAX
              : option->width == 2 ? INT16_MAX
              : option->width == 4 ? INT32_MAX
                                   : INT64_MAX,
              &least, &most);
    errno = 0;
    value = strtoll(node->text, &end, 10);
    if (!node->len || *end || !(isdigit((unsigned char)*node->text) || *node->text == '-'))
        return refuse(
            c, option, node, "a number",
            option->words && option->words[0]
                ? weir__arena_format(&c->arena, "expected a number, or `%s`", option->words[0])
                : "expected a number");
    if (errno == ERANGE || value < least || value > most)
        return refuse(c, option, node, "a number in range",
                      most == INT64_MAX
                          ? weir__arena_format(&c->arena, "at least %lld", (long long)least)
                          : weir__arena_format(&c->arena, "expected %lld to %lld", (long long)least,
                                               (long long)most));
    store_int(field, option->width, value);
    return true;
}

static bool fill_number(weir_config_context *c, const weir_option *option,
                        const weir_config_node *node, double *ret)
{
    char *end;
    double value = strtod(node->text, &end);
    int64_t least, most;

    limits_of(option, INT64_MAX, &least, &most);
    if (strcmp(end, "%") == 0 && end != node->text) {
        value /= 100;
        end++;
    }
    if (!isdigit((unsigned char)*node->text) || *end || !isfinite(value))
        return refuse(c, option, node, "a number", "expected a number: 0.25 or 25%");
    if (value < (double)least || value > (double)most)
        return refuse(c, option, node, "a number in range",
                      weir__arena_format(&c->arena, "expected %lld to %lld", (long long)least,
                                         (long long)most));
    *ret = value;
    return true;
}

static const char *show_duration(weir_config_context *c, int64_t ns)
{
    if (ns % 1000000000 == 0)
        return weir__arena_format(&c->arena, "%llds", (long long)(ns / 1000000000));
    if (ns % 1000000 == 0)
        return weir__arena_format(&c->arena, "%lldms", (long long)(ns / 1000000));
    return weir__arena_format(&c->arena, "%lldns", (long long)ns);
}

/* "1:30" as people write it on clocks, "5 s" as in a letter; NULL when it is neither. */
static const char *likely_duration(weir_config_context *c, const char *text)
{
    unsigned a, b, seconds;
    char *tight, *to;
    int64_t ns;
    int end = 0;

    if (sscanf(text, "%4u:%2u:%2u%n", &a, &b, &seconds, &end) == 3 && !text[end])
        return weir__arena_format(&c->arena, "%uh%um%us", a, b, seconds);
    if (sscanf(text, "%4u:%2u%n", &a, &b, &end) == 2 && !text[end])
        return weir__arena_format(&c->arena, "%um%us", a, b);
    tight = to = weir__arena_dup(&c->arena, text, strlen(text));
    for (const char *at = text; *at; at++)
        if (*at != ' ')
            *to++ = *at;
    *to = '\0';
    return strchr(text, ' ') && !weir__duration_parse(tight, &ns) ? tight : NULL;
}

static bool fill_duration(weir_config_context *c, const weir_option *option,
                          const weir_config_node *node, weir_duration *ret)
{
    const char *problem, *clock;
    struct diagnostic *d;
    int64_t ns, least, most;
    size_t word;

    if (weir__choose_word(option->words, node->text, &word)) {
        ret->ns = WEIR_INT_WORD(word);
        return true;
    }
    problem = weir__duration_parse(node->text, &ns);
    if (problem && strcmp(problem, "unit") == 0) {
        d = weir__value_error(c, CONFIG_UNIT, node, "a duration needs a unit");
        clock = likely_duration(c, node->text);
        if (clock)
            weir__diagnostic_label(c, d, "write `%s`", clock);
        else
            weir__diagnostic_label(c, d, "write `%ss` or `%sms`", weir__node_shown(c, node),
                                   weir__node_shown(c, node));
        return false;
    }
    if (problem)
        return refuse(c, option, node, "a duration", problem);
    limits_of(option, INT64_MAX, &least, &most);
    if (ns != INT64_MAX && (ns < least || ns > most))
        return refuse(c, option, node, "a duration in range",
                      most == INT64_MAX
                          ? weir__arena_format(&c->arena, "at least %s", show_duration(c, least))
                          : weir__arena_format(&c->arena, "expected %s to %s",
                                               show_duration(c, least), show_duration(c, most)));
    ret->ns = ns;
    return true;
}

static bool fill_size(weir_config_context *c, const weir_option *option,
                      const weir_config_node *node, uint64_t *ret)
{
    const char *problem;
    int64_t least, most;
    uint64_t value;
    size_t word;

    if (weir__choose_word(option->words, node->text, &word)) {
        *ret = WEIR_SIZE_WORD(word);
        return true;
    }
    problem = weir__size_parse(node->text, &value);
    if (problem)
        return refuse(c, option, node, "a size", problem);
    limits_of(option, INT64_MAX, &least, &most);
    if (value < (uint64_t)least || value > (uint64_t)most)
        return refuse(c, option, node, "a size in range",
                      most == INT64_MAX
                          ? weir__arena_format(&c->arena, "at least %lld bytes", (long long)least)
                          : weir__arena_format(&c->arena, "expected %lld to %lld bytes",
                                               (long long)least, (long long)most));
    *ret = value;
    return true;
}

static bool fill_rate(weir_config_context *c, const weir_option *option,
                      const weir_config_node *node, weir_rate *ret)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"s", 1000000000},
                 {"m", 60000000000},
                 {"min", 60000000000},
                 {"h", 3600000000000},
                 {"d", 86400000000000}};

    unsigned long long count;
    char *end;

    errno = 0;
    count = strtoull(node->text, &end, 10);
    if (isdigit((unsigned char)*node->text) && *end == '/' && !errno && count <= INT64_MAX) {
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
            if (strcmp(end + 1, units[i].name) == 0) {
                ret->count = count;
                ret->per.ns = units[i].ns;
                return true;
            }
        }
    }
    return refuse(c, option, node, "a rate", "expected a rate: 20/s, 100/m, 1000/h");
}

static const char *list_words(weir_config_context *c, const char *const *words)
{
    const char *text = "";

    for (size_t i = 0; words && words[i]; i++)
        text = weir__arena_format(&c->arena, i == 0 ? "%s%s" : "%s, %s", text, words[i]);
    return text;
}

static bool fill_enum(weir_config_context *c, const weir_option *option,
                      const weir_config_node *node, int *ret)
{
    struct suggestion s;
    struct diagnostic *d;
    size_t index;

    if (weir__choose_word(option->planned_words, node->text, &index)) {
        weir__not_built(c, node->span, node->text);
        return false;
    }
    if (weir__choose_word(option->words, node->text, &index)) {
        *ret = (int)index;
        return true;
    }
    d = *option->name ? weir__value_error(c, CONFIG_WORD, node, "`%s` is not a word of `%s`",
                                          weir__node_shown(c, node), option->name)
                      : weir__value_error(c, CONFIG_WORD, node, "`%s` is not one of the words",
                                          weir__node_shown(c, node));
    weir__diagnostic_label(c, d, "expected %s", list_words(c, option->words));
    weir__suggest_begin(&s, node->text);
    for (size_t i = 0; option->words && option->words[i]; i++)
        weir__suggest_offer(&s, option->words[i]);
    if (s.best)
        weir__diagnostic_help(c, d, "did you mean `%s`?", s.best);
    return false;
}

static bool fill_string(weir_config_context *c, const weir_option *option,
                        const weir_config_node *node, const char **ret)
{
    if (strlen(node->text) != node->len)
        return refuse(c, option, node, "text", "it holds a zero byte");
    if (option->min > 0 && node->len < (uint64_t)option->min)
        return refuse(c, option, node, "a longer text",
                      weir__arena_format(&c->arena, "at least %lld bytes", (long long)option->min));
    if (option->max > 0 && node->len > (uint64_t)option->max)
        return refuse(c, option, node, "a shorter text",
                      weir__arena_format(&c->arena, "at most %lld bytes", (long long)option->max));
    *ret = node->text;
    return true;
}

static bool fill_path(weir_config_context *c, const weir_option *option,
                      const weir_config_node *node, const char **ret)
{
    const char *folder = node->span.source ? node->span.source->folder : "";
    const char *text = node->text;

    if (!*text || strlen(text) != node->len)
        return refuse(c, option, node, "a path", "expected a path");
    while (strncmp(text, "./", 2) == 0)
        text += 2;
    if (*text == '/' || !*folder)
        *ret = text;
    else
        *ret = weir__arena_format(&c->arena, "%s%s%s", folder, strcmp(folder, "/") == 0 ? "" : "/",
                                  text);
    return true;
}

static bool fill_pem(weir_config_context *c, const weir_option *option,
                     const weir_config_node *node, weir_pem *ret)
{
    weir_pem pem = {NULL, NULL};

    if (strstr(node->text, "-----BEGIN"))
        pem.text = node->text;
    else if (strchr(node->text, '\n') || node->secret)
        return refuse(c, option, node, "a path or PEM text", "no `-----BEGIN` in it");
    else if (!fill_path(c, option, node, &pem.path))
        return false;
    *ret = pem;
    return true;
}

bool weir__fill_scalar(weir_config_context *c, const weir_option *option,
                       const weir_config_node *node, void *field)
{
    /* A path to a key is no secret; a key written out is. */
    if (option->secret && option->type == WEIR_TYPE_PEM && strstr(node->text, "-----BEGIN"))
        weir__redact(c, (weir_config_node *)node);
    switch (option->type) {
    case WEIR_TYPE_BOOL:
        return fill_bool(c, option, node, field);
    case WEIR_TYPE_INT:
        return fill_int(c, option, node, field);
    case WEIR_TYPE_NUMBER:
        return fill_number(c, option, node, field);
    case WEIR_TYPE_DURATION:
        return fill_duration(c, option, node, field);
    case WEIR_TYPE_SIZE:
        return fill_size(c, option, node, field);
    case WEIR_TYPE_RATE:
        return fill_rate(c, option, node, field);
    case WEIR_TYPE_ENUM:
        return fill_enum(c, option, node, field);
    case WEIR_TYPE_PATH:
        return fill_path(c, option, node, field);
    case WEIR_TYPE_PEM:
        return fill_pem(c, option, node, field);
    case WEIR_TYPE_ADDRESS:
        return weir__fill_address(c, option, node, field);
    case WEIR_TYPE_REF:
        return weir__fill_reference(c, option, node, field);
    default:
        return fill_string(c, option, node, field);
    }
}
