/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unknown keys: what may be meant.
 *
 * First, whether the very key is at home one level up or down, since wrong indentation is the
 * commonest YAML mistake; then the words people bring from other servers; then the nearest spelling;
 * then what there is, if it is little.
 * A key that is meant counts as given, so that neither it nor what stands below it is reported as
 * missing as well; nor is a choice, since the unknown key may be it.
 */
#include <config.h>
#include <string.h>

#include "host/config/internal.h"

/* So many settings of a map are named when none is near. */
#define SETTINGS_LISTED 8

static const weir_option *find_in(weir_config_context *c, const weir_option *const *options,
                                  const char *name)
{
    const weir_option *option;

    for (size_t i = 0; (option = weir__option_at(c, options, i)) != NULL; i++) {
        if (!option->inlined && strcmp(option->name, name) == 0)
            return option;
    }
    return NULL;
}

/* The enclosing map that knows the key. */
static const struct frame *find_above(weir_config_context *c, const struct frame *frame,
                                      const char *name)
{
    for (frame = frame->parent; frame; frame = frame->parent) {
        for (size_t p = 0; p < frame->n_parts; p++) {
            if (find_in(c, frame->parts[p].options, name))
                return frame;
        }
    }
    return NULL;
}

/* The option of this map whose own maps know the key. */
static const weir_option *find_below(weir_config_context *c, const struct frame *frame,
                                     const char *name)
{
    const weir_option *option;

    for (size_t p = 0; p < frame->n_parts; p++) {
        for (size_t i = 0; (option = weir__option_at(c, frame->parts[p].options, i)) != NULL; i++) {
            const weir_option *const *fields =
                option->element ? option->element->fields : option->fields;

            if (!option->planned && fields && find_in(c, fields, name))
                return option;
        }
    }
    return NULL;
}

static const char *article(const char *noun)
{
    return strchr("aeiou", *noun) ? "an" : "a";
}

/* "an upstream", "`timeouts`", "the top level" */
static const char *place_name(weir_config_context *c, const struct frame *frame)
{
    const char *kind = frame->kind;
    const char *dot = kind ? strrchr(kind, '.') : NULL;

    if (dot)
        kind = dot + 1;
    if (kind)
        return weir__arena_format(&c->arena, "%s %s", article(kind), kind);
    return weir__frame_name(c, frame);
}

static void offer_all(weir_config_context *c, const struct frame *frame, struct suggestion *s)
{
    const weir_option *option;
    const char *name;

    for (size_t p = 0; p < frame->n_parts; p++) {
        for (size_t i = 0; (option = weir__option_at(c, frame->parts[p].options, i)) != NULL; i++) {
            const char *kind;

            if (!option->inlined) {
                weir__suggest_offer(s, option->name);
                continue;
            }
            kind = weir__full_kind(c, option->kind);
            for (size_t k = 0;
                 c->lookup.name_at && (name = c->lookup.name_at(c->lookup.arg, kind, k)); k++)
                weir__suggest_offer(s, name);
        }
    }
}

/* The names below the key that is meant are not defined now: whoever refers to them is right. */
static void lose_names(weir_config_context *c, const weir_option *option)
{
    if (option->type == WEIR_TYPE_NAMED && option->kind &&
        c->n_lost < sizeof c->lost / sizeof *c->lost)
        c->lost[c->n_lost++] = option->kind;
    for (const weir_option *const *field = option->fields;
         option->type == WEIR_TYPE_MAP && field && *field; field++)
        lose_names(c, *field);
}

/* The meant option is not missing. */
static void mark_meant(weir_config_context *c, struct frame *frame, const char *name)
{
    const weir_option *option;

    for (size_t p = 0; p < frame->n_parts; p++) {
        struct table_use *part = &frame->parts[p];

        for (size_t i = 0;
             i < CONFIG_MAX_FIELDS && (option = weir__option_at(c, part->options, i)) != NULL;
             i++) {
            if (option->inlined || strcmp(option->name, name) != 0)
                continue;
            part->seen[i / 64] |= UINT64_C(1) << (i % 64);
            lose_names(c, option);
        }
    }
}

static void hide_secret(weir_config_context *c, const struct frame *frame,
                        const weir_config_node *key, const char *meant)
{
    ptrdiff_t at = weir__node_index(frame->node, key->text);

    for (size_t p = 0; meant && at >= 0 && p < frame->n_parts; p++) {
        const weir_option *option = find_in(c, frame->parts[p].options, meant);

        if (option && option->secret)
            weir__redact(c, frame->node->items[at]);
    }
}

/* "`format`, `output`, …" of a map with few settings; NULL: they are many, or plugins bring some. */
static const char *settings_of(weir_config_context *c, const struct frame *frame)
{
    const weir_option *option;
    const char *list = NULL;
    size_t n = 0;

    for (size_t p = 0; p < frame->n_parts; p++) {
        for (size_t i = 0; (option = weir__option_at(c, frame->parts[p].options, i)) != NULL; i++) {
            if (option->inlined || (!option->planned && ++n > SETTINGS_LISTED))
                return NULL;
            if (!option->planned)
                list = weir__arena_format(&c->arena, "%s%s`%s`", list ? list : "", list ? ", " : "",
                                          option->name);
        }
    }
    return list;
}

void weir__unknown_key(weir_config_context *c, struct frame *frame, const weir_config_node *key)
{
    const struct frame *above = find_above(c, frame, key->text);
    const weir_option *below = above ? NULL : find_below(c, frame, key->text);
    const char *settings;
    struct suggestion s;
    struct diagnostic *d;

    d = weir__diagnose(c, CONFIG_UNKNOWN_KEY, key->span, "unknown key `%s` %s %s", key->text,
                       frame->parent ? "in" : "at", weir__frame_name(c, frame));
    weir__diagnostic_label(c, d, "not a setting of %s", place_name(c, frame));
    if (frame->parent && frame->key && frame->key->span.source != NULL)
        weir__diagnostic_also(
            c, d, frame->key->span, "in this %s",
            frame->kind ? place_name(c, frame) + strcspn(place_name(c, frame), " ") + 1 : "map");
    frame->excused = true;
    weir__suggest_begin(&s, key->text);
    offer_all(c, frame, &s);
    if (above)
        weir__diagnostic_help(c, d, "`%s` belongs to %s; here you are in %s", key->text,
                              place_name(c, above), place_name(c, frame));
    else if (below)
        weir__diagnostic_help(c, d, "`%s` belongs into `%s`, one level further in", key->text,
                              below->name);
    else if (s.best)
        weir__diagnostic_help(c, d, "did you mean `%s`?", s.best);
    else if ((settings = settings_of(c, frame)) != NULL)
        weir__diagnostic_help(c, d, "there are %s", settings);
    if (s.best)
        mark_meant(c, frame, s.best);
    hide_secret(c, frame, key, s.best);
    d->see = frame->parent ? c->section : NULL;
}
