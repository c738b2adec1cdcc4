/* SPDX-License-Identifier: Apache-2.0 */
/* `weir explain KEY.PATH`: what a setting is, in words. */
#include "config.h"

#include <string.h>

#include "host/config/internal.h"
#include "host/schema/tree.h"

static const char *words_of(weir_config_context *c, const char *const *list)
{
    const char *text = "";

    for (; list && *list; list++)
        text = weir__arena_format(&c->arena, *text ? "%s, %s" : "%s%s", text, *list);
    return text;
}

static const char *scalar_type(const weir_option *option)
{
    static const char *const names[] = {
        [WEIR_TYPE_ANY] = "anything",
        [WEIR_TYPE_BOOL] = "true or false",
        [WEIR_TYPE_INT] = "number",
        [WEIR_TYPE_NUMBER] = "number or percentage",
        [WEIR_TYPE_STRING] = "text",
        [WEIR_TYPE_DURATION] = "duration (250ms, 5s, 1m30s; off)",
        [WEIR_TYPE_SIZE] = "size (16KiB, 10MB)",
        [WEIR_TYPE_RATE] = "rate (20/s)",
        [WEIR_TYPE_ENUM] = "word",
        [WEIR_TYPE_PATH] = "path",
        [WEIR_TYPE_PEM] = "path of a PEM file, or its text",
        [WEIR_TYPE_ADDRESS] = "address (host:port, unix:/path)",
        [WEIR_TYPE_MAP] = "map",
        [WEIR_TYPE_ONE_OF] = "map of one key",
        [WEIR_TYPE_ANY_OF] = "map",
        [WEIR_TYPE_REF] = "name",
        [WEIR_TYPE_TEMPLATE] = "text, in which ${word} stands for something",
        [WEIR_TYPE_CUSTOM] = "value",
    };
    const char *name = option->type <= WEIR_TYPE_CUSTOM ? names[option->type] : NULL;

    return name ? name : "value";
}

const char *weir__setting_type(weir_config_context *c, const struct setting *s)
{
    const weir_option *option = s->option;
    const char *name = scalar_type(option);

    if (option->type == WEIR_TYPE_ENUM)
        return weir__arena_format(&c->arena, "one of %s", words_of(c, option->words));
    if (option->type == WEIR_TYPE_LIST)
        return s->recursive
                   ? "list of maps"
                   : weir__arena_format(&c->arena, "list: %s", weir__setting_type(c, s->element));
    if (option->type == WEIR_TYPE_NAMED)
        return option->element ? weir__arena_format(&c->arena, "map of names: %s",
                                                    weir__setting_type(c, s->element))
                               : "map of names";
    if (option->type == WEIR_TYPE_REF)
        return weir__arena_format(&c->arena, "name of %s%s%s",
                                  strchr("aeiou", *option->kind) ? "an " : "a ", option->kind,
                                  option->address ? ", an address or a URL" : "");
    if (option->words && *option->words)
        return weir__arena_format(&c->arena, "%s, or %s", name, words_of(c, option->words));
    return name;
}

static void print_range(weir_config_context *c, const weir_option *option, FILE *out)
{
    (void)c;
    if (option->type != WEIR_TYPE_INT && option->type != WEIR_TYPE_SIZE &&
        option->type != WEIR_TYPE_DURATION)
        return;
    if (!option->min && !option->max)
        return;
    if (option->type == WEIR_TYPE_DURATION)
        fprintf(out, "  range     from %lld ms", (long long)(option->min / 1000000));
    else
        fprintf(out, "  range     from %lld", (long long)option->min);
    if (option->max && option->type == WEIR_TYPE_DURATION)
        fprintf(out, " to %lld ms", (long long)(option->max / 1000000));
    else if (option->max)
        fprintf(out, " to %lld", (long long)option->max);
    fputc('\n', out);
}

static void print_keys(const struct setting *s, FILE *out)
{
    const struct setting *in = s->element ? s->element : s;

    for (const struct setting *child = in->first; child; child = child->next)
        fprintf(out, "%s%-18s %s%s\n", child == in->first ? "\nKeys:\n  " : "  ", child->name,
                child->option->doc ? child->option->doc : "",
                child->option->planned ? " (not built yet)" : "");
}

void weir__setting_explain(weir_config_context *c, const struct setting *s, const char *path,
                           FILE *out)
{
    static const char *const reloads[] = {"takes effect with a reload",
                                          "a reload opens or closes a socket",
                                          "needs a restart; a reload keeps the old value"};
    const weir_option *option = s->option;

    fprintf(out, "%s\n  %s\n\n", path, option->doc ? option->doc : "");
    fprintf(out, "  type      %s\n", weir__setting_type(c, s));
    if (option->default_text)
        fprintf(out, "  default   %s\n", option->default_text);
    else if (option->required || (!option->optional && option->type < WEIR_TYPE_MAP))
        fputs("  default   none: it has to be set\n", out);
    print_range(c, option, out);
    fprintf(out, "  change    %s\n", reloads[option->reload]);
    if (option->secret)
        fputs("  secret    is never shown\n", out);
    if (option->planned)
        fputs("  planned   known, but not built yet\n", out);
    if (option->example)
        fprintf(out, "  example   %s: %s\n", option->name, option->example);
    if (option->help)
        fprintf(out, "  note      %s\n", option->help);
    if (s->owner)
        fprintf(out, "  from      %s\n", s->owner);
    print_keys(s, out);
}
