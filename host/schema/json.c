/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON Schema (draft 7, which yaml-language-server reads). It is for editors: it knows keys,
 * words, units and shorthands; what needs the whole configuration is for `weir check`. Whatever
 * stands in one file may be completed by another, so nothing is required at the top.
 */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "host/config/effective.h"
#include "host/schema/tree.h"

struct writer {
    weir_config_context *c;
    FILE *out;
};

static void schema_of(struct writer *w, const struct setting *s);

static void text(struct writer *w, const char *key, const char *value)
{
    fputc(',', w->out);
    weir__json_string(w->out, key);
    fputc(':', w->out);
    weir__json_string(w->out, value);
}

static void words(struct writer *w, const char *const *list)
{
    for (bool comma = false; list && *list; list++, comma = true) {
        if (comma)
            fputc(',', w->out);
        weir__json_string(w->out, *list);
    }
}

/* Values that are numbers or words; `pattern` is of the text. */
static void pattern(struct writer *w, const char *expression)
{
    fputs("{\"type\":\"string\",\"pattern\":", w->out);
    weir__json_string(w->out, expression);
    fputc('}', w->out);
}

static void integer(struct writer *w, const weir_option *option)
{
    fputs("{\"type\":\"integer\"", w->out);
    if (option->min || option->max) {
        fprintf(w->out, ",\"minimum\":%" PRId64, option->min);
        if (option->max)
            fprintf(w->out, ",\"maximum\":%" PRId64, option->max);
    }
    fputc('}', w->out);
}

static void scalar(struct writer *w, const weir_option *option)
{
    fputs("\"anyOf\":[", w->out);
    switch (option->type) {
    case WEIR_TYPE_BOOL:
        fputs("{\"enum\":[true,false,\"yes\",\"no\",\"on\",\"off\",\"true\",\"false\"]}", w->out);
        break;
    case WEIR_TYPE_INT:
        integer(w, option);
        break;
    case WEIR_TYPE_NUMBER:
        fputs("{\"type\":\"number\"},", w->out);
        pattern(w, "^[0-9]+([.][0-9]+)?%?$");
        break;
    case WEIR_TYPE_DURATION:
        fputs("{\"enum\":[0,\"off\",\"0\",false]},", w->out);
        pattern(w, "^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h|d))+$");
        break;
    case WEIR_TYPE_SIZE:
        fputs("{\"type\":\"integer\",\"minimum\":0},", w->out);
        pattern(w, "^(off|[0-9]+([.][0-9]+)?([kKMGT]i?B|B)?)$");
        break;
    case WEIR_TYPE_RATE:
        pattern(w, "^[0-9]+/[0-9]*(s|m|h|d)$");
        break;
    case WEIR_TYPE_ENUM:
        break;
    case WEIR_TYPE_ADDRESS:
        if (option->listen)
            fputs("{\"type\":\"integer\",\"minimum\":0,\"maximum\":65535},", w->out);
        pattern(w, option->listen ? "." : ":");
        break;
    case WEIR_TYPE_CUSTOM:
    case WEIR_TYPE_ANY:
        fputs("true", w->out);
        break;
    default:
        fputs("{\"type\":[\"string\",\"number\",\"boolean\"]}", w->out);
    }
    if (option->words && *option->words) {
        fprintf(w->out, "%s{\"enum\":[", option->type == WEIR_TYPE_ENUM ? "" : ",");
        words(w, option->words);
        fputs("]}", w->out);
    }
    fputs(",{\"$ref\":\"#/definitions/expansion\"}]", w->out);
}

/* What a value that is not a map sets. */
static const struct setting *primary_of(const struct setting *s)
{
    for (const struct setting *child = s->first; child; child = child->next) {
        if (s->option->shorthand ? strcmp(child->name, s->option->shorthand) == 0
                                 : child->option->primary)
            return child;
    }
    return NULL;
}

static bool is_needed(const struct setting *s)
{
    return s->option->required ||
           (!s->option->optional && !s->option->default_text &&
            (s->option->type < WEIR_TYPE_MAP || s->option->type >= WEIR_TYPE_REF) &&
            s->option->type != WEIR_TYPE_ANY);
}

static void properties(struct writer *w, const struct setting *s, bool root)
{
    bool comma = false;

    fputs("{\"type\":\"object\",\"additionalProperties\":false,"
          "\"patternProperties\":{\"^x-\":true,\"^<<$\":true},\"properties\":{",
          w->out);
    for (const struct setting *child = s->first; child; child = child->next) {
        if (child->option->planned)
            continue;
        if (comma)
            fputc(',', w->out);
        comma = true;
        weir__json_string(w->out, child->name);
        fputc(':', w->out);
        schema_of(w, child);
    }
    fputs("}", w->out);
    comma = false;
    for (const struct setting *child = root || s->choice ? NULL : s->first; child;
         child = child->next) {
        if (!is_needed(child) || child->option->planned)
            continue;
        fputs(comma ? "," : ",\"required\":[", w->out);
        comma = true;
        weir__json_string(w->out, child->name);
    }
    fputs(comma ? "]}" : "}", w->out);
}

static void map(struct writer *w, const struct setting *s)
{
    const struct setting *primary = primary_of(s);

    fputs("\"anyOf\":[", w->out);
    properties(w, s, false);
    if (primary) {
        fputc(',', w->out);
        schema_of(w, primary);
    } else if (s->option->parse) {
        fputs(",{\"type\":[\"string\",\"number\",\"boolean\",\"array\"]}", w->out);
    } else if (s->choice && s->option->type == WEIR_TYPE_ONE_OF) {
        fputs(",{\"type\":\"string\"}", w->out);
    }
    if (!primary && !s->option->parse)
        fputs(",{\"type\":\"null\"}", w->out);
    fputc(']', w->out);
}

static void list(struct writer *w, const struct setting *s)
{
    bool routes = s->recursive || strcmp(s->name, "routes") == 0;

    fputs("\"anyOf\":[{\"type\":\"array\",\"items\":", w->out);
    for (int i = 0; i < 2; i++) {
        if (routes)
            fputs("{\"$ref\":\"#/definitions/route\"}", w->out);
        else
            schema_of(w, s->element);
        fputs(i == 0 ? "}," : ",{\"type\":\"null\"}]", w->out);
    }
}

static void named(struct writer *w, const struct setting *s)
{
    const char *names = s->option->any_name ? "." : "^([a-z][a-z0-9_-]*|x-.*|<<)$";

    fputs("\"type\":[\"object\",\"null\"],\"propertyNames\":{\"pattern\":", w->out);
    weir__json_string(w->out, names);
    fputs("},\"patternProperties\":{\"^(x-|<<$)\":true,\"^(?!x-|<<$)\":", w->out);
    if (s->option->element)
        schema_of(w, s->element);
    else {
        fputs("{\"anyOf\":[", w->out);
        properties(w, s->element, false);
        fputs(",{\"type\":\"null\"}]}", w->out);
    }
    fputc('}', w->out);
}

static void annotations(struct writer *w, const struct setting *s)
{
    static const char *const reloads[] = {"hot", "socket", "restart"};
    const weir_option *option = s->option;

    if (option->doc && *s->name)
        text(w, "description", option->doc);
    if (option->default_text)
        text(w, "default", option->default_text);
    if (option->example) {
        fputs(",\"examples\":[", w->out);
        weir__json_string(w->out, option->example);
        fputc(']', w->out);
    }
    if (option->deprecated)
        text(w, "deprecationMessage", option->help ? option->help : "will go in a later version");
    if (*s->name)
        text(w, "x-type", weir__setting_type(w->c, s));
    if (option->reload != WEIR_RELOAD_HOT)
        text(w, "x-reload", reloads[option->reload]);
    if (s->owner)
        text(w, "x-provider", s->owner);
    if (option->since)
        text(w, "x-since", option->since);
}

static void schema_of(struct writer *w, const struct setting *s)
{
    fputc('{', w->out);
    switch (s->option->type) {
    case WEIR_TYPE_MAP:
    case WEIR_TYPE_ONE_OF:
    case WEIR_TYPE_ANY_OF:
        map(w, s);
        break;
    case WEIR_TYPE_LIST:
        list(w, s);
        break;
    case WEIR_TYPE_NAMED:
        named(w, s);
        break;
    default:
        scalar(w, s->option);
    }
    annotations(w, s);
    fputc('}', w->out);
}

/* The first list of routes: its element is the definition that all of them refer to. */
static const struct setting *find_route(const struct setting *s)
{
    const struct setting *found = NULL;

    if (!s || (strcmp(s->name, "routes") == 0 && s->element))
        return s ? s->element : NULL;
    for (const struct setting *child = s->first; child && !found; child = child->next)
        found = find_route(child);
    return found ? found : find_route(s->element);
}

void weir__settings_json(weir_config_context *c, const struct setting *root, FILE *out)
{
    const struct setting *route = find_route(root);
    struct writer w = {c, out};

    fputs("{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"title\":\"weir.yaml\","
          "\"anyOf\":[",
          out);
    properties(&w, root, true);
    fputs("],\"definitions\":{\"expansion\":{\"type\":\"string\","
          "\"pattern\":\"[$][{](env|file|cred):\"},\"route\":",
          out);
    if (route)
        schema_of(&w, route);
    else
        fputs("true", out);
    fputs("}}\n", out);
}
