/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of extension kinds: what a key may be is asked of the registry, and its value is parsed by
 * the entry's own table. A kind that begins with a dot belongs to the protocol of the map around:
 * ".filter" below an http listener is "http.filter".
 */
#include <config.h>
#include <string.h>

#include "host/config/internal.h"

/* Asked for each route: so the last few are kept. Both texts live as long as the context. */
static const char *below_scope(weir_config_context *c, const char *scope, const char *kind)
{
    size_t room = sizeof c->full_kinds / sizeof *c->full_kinds;
    struct full_kind *one;

    for (one = c->full_kinds; one < c->full_kinds + room; one++) {
        if (one->scope == scope && one->kind == kind)
            return one->full;
    }
    one = &c->full_kinds[c->n_full_kinds++ % room];
    *one = (struct full_kind){scope, kind, weir__arena_format(&c->arena, "%s%s", scope, kind)};
    return one->full;
}

const char *weir__full_kind(weir_config_context *c, const char *kind)
{
    const char *scope = c->frame ? c->frame->scope : NULL;

    if (*kind != '.')
        return kind;
    return scope ? below_scope(c, scope, kind) : kind + 1;
}

bool weir__find_entry(weir_config_context *c, const char *kind, const char *name,
                      struct config_entry *ret)
{
    memset(ret, 0, sizeof *ret);
    return c->lookup.find && c->lookup.find(c->lookup.arg, kind, name, ret);
}

static const char *noun_of(const char *kind)
{
    const char *dot = strrchr(kind, '.');

    return dot ? dot + 1 : kind;
}

void weir__no_such_entry(weir_config_context *c, const char *kind, const weir_config_node *node)
{
    const char *names = "", *name;
    struct suggestion s;
    struct diagnostic *d = weir__diagnose(c, CONFIG_NO_SUCH_ENTRY, node->span,
                                          "there is no %s `%s`", noun_of(kind), node->text);

    weir__diagnostic_label(c, d, "nothing loaded provides it");
    weir__suggest_begin(&s, node->text);
    for (size_t i = 0; c->lookup.name_at && (name = c->lookup.name_at(c->lookup.arg, kind, i));
         i++) {
        weir__suggest_offer(&s, name);
        names = weir__arena_format(&c->arena, i == 0 ? "%s%s" : "%s, %s", names, name);
    }
    if (s.best)
        weir__diagnostic_help(c, d, "did you mean `%s`?", s.best);
    else if (*names)
        weir__diagnostic_help(c, d, "there are: %s", names);
}

static void remember(weir_config_context *c, const char *kind, weir_choice *choice,
                     const weir_config_node *node, const weir_config_node *value)
{
    struct config_choice *slot;

    c->choices =
        weir__arena_grow(&c->arena, c->choices, c->n_choices, &c->choices_room, sizeof *c->choices);
    slot = &c->choices[c->n_choices++];
    slot->kind = kind;
    slot->choice = choice;
    slot->node = node;
    slot->value = value;
}

bool weir__fill_entry(weir_config_context *c, const char *kind, const struct config_entry *entry,
                      const weir_config_node *key, const weir_config_node *value, weir_choice *ret)
{
    void *config = weir__arena_alloc(&c->arena, entry->config_size);
    weir_option as_map = {.size = sizeof as_map, .name = key->text, .type = WEIR_TYPE_MAP};
    size_t index = c->n_choices, references = c->n_references;
    bool ok;

    ret->name = key->text;
    ret->table = entry->table;
    ret->host = entry->host;
    ret->config = config;
    remember(c, kind, ret, key, value);
    weir__position_record(c, config, key, key);
    as_map.fields = entry->options;
    ok = entry->value
             ? weir__fill_value(c, entry->value, key, value, (char *)config + entry->value->offset)
             : weir__fill_value(c, weir__option_keep(c, &as_map), key, value, config);
    c->choices[index].good = ok && c->n_references == references;
    return ok;
}

/* The only pair of a map that is not `x-…`; NULL after a report. */
static bool only_pair(weir_config_context *c, const char *kind, const weir_config_node *map,
                      size_t *ret_index)
{
    size_t found = SIZE_MAX;
    struct diagnostic *d;

    for (size_t i = 0; i < map->count; i++) {
        if (strncmp(map->keys[i]->text, "x-", 2) == 0)
            continue;
        if (found != SIZE_MAX) {
            d = weir__diagnose(c, CONFIG_CHOICE, map->keys[i]->span,
                               "`%s` stands beside `%s` in one %s", map->keys[i]->text,
                               map->keys[found]->text, noun_of(kind));
            weir__diagnostic_label(c, d, "each %s is an element of its own", noun_of(kind));
            weir__diagnostic_also(c, d, map->keys[found]->span, "the first");
            return false;
        }
        found = i;
    }
    if (found == SIZE_MAX) {
        d = weir__diagnose(c, CONFIG_CHOICE, map->span, "a %s is expected", noun_of(kind));
        weir__diagnostic_label(c, d, "nothing here");
        return false;
    }
    *ret_index = found;
    return true;
}

static bool fill_chosen(weir_config_context *c, const char *kind, const weir_config_node *key,
                        const weir_config_node *value, weir_choice *ret)
{
    struct config_entry entry;

    if (!weir__find_entry(c, kind, key->text, &entry)) {
        weir__no_such_entry(c, kind, key);
        return false;
    }
    if (entry.planned) {
        weir__not_built(c, key->span, key->text);
        return false;
    }
    return weir__fill_entry(c, kind, &entry, key, value, ret);
}

bool weir__fill_one_of(weir_config_context *c, const weir_option *option,
                       const weir_config_node *node, weir_choice *ret)
{
    const char *kind = weir__full_kind(c, option->kind);
    weir_config_node *nothing;
    size_t index;

    if (node->kind == WEIR_NODE_MAP)
        return only_pair(c, kind, node, &index) &&
               fill_chosen(c, kind, node->keys[index], node->items[index], ret);
    if (node->kind == WEIR_NODE_SCALAR && !weir__node_is_empty(node)) { /* a name: all defaults */
        nothing = weir__node_new(c, WEIR_NODE_MAP, node->span);
        return fill_chosen(c, kind, node, nothing, ret);
    }
    weir__diagnostic_label(
        c, weir__value_error(c, CONFIG_SHAPE, node, "a %s is expected here", noun_of(kind)),
        "expected its name as a key");
    return false;
}

bool weir__fill_any_of(weir_config_context *c, const weir_option *option,
                       const weir_config_node *node, weir_array *ret)
{
    const char *kind = weir__full_kind(c, option->kind);
    weir_choice *items;
    size_t count = 0;
    bool ok = true;

    if (weir__node_is_empty(node))
        return true;
    if (node->kind != WEIR_NODE_MAP) {
        weir__diagnostic_label(
            c, weir__value_error(c, CONFIG_SHAPE, node, "`%s` takes a map of keys", option->name),
            "expected a map");
        return false;
    }
    items = weir__arena_alloc(&c->arena, node->count * sizeof *items);
    for (size_t i = 0; i < node->count; i++) {
        const weir_config_node *key = node->keys[i];
        struct diagnostic *d;

        if (strncmp(key->text, "x-", 2) == 0)
            continue;
        if (key->duplicate_of) {
            d = weir__diagnose(c, CONFIG_DUPLICATE, key->span, "`%s` stands twice", key->text);
            weir__diagnostic_label(c, d, "again here");
            weir__diagnostic_also(c, d, key->duplicate_of->span, "first here");
            ok = false;
            continue;
        }
        if (fill_chosen(c, kind, key, node->items[i], &items[count]))
            count++;
        else
            ok = false;
    }
    ret->items = items;
    ret->count = count;
    return ok;
}

/* A hash table by address, made when it is first asked for. */
static void index_choices(weir_config_context *c)
{
    size_t n = 16;

    while (n < c->n_choices * 2)
        n *= 2;
    c->choice_slots = weir__arena_alloc(&c->arena, n * sizeof *c->choice_slots);
    c->n_choice_slots = n;
    c->n_choices_indexed = c->n_choices;
    for (size_t i = 0; i < c->n_choices; i++) {
        size_t at = weir__pointer_hash(c->choices[i].choice->config) & (n - 1);

        while (c->choice_slots[at])
            at = (at + 1) & (n - 1);
        c->choice_slots[at] = (uint32_t)i + 1;
    }
}

const struct config_choice *weir__config_choice_of(weir_config_context *c, const void *config)
{
    size_t at;

    if (!c->choice_slots || c->n_choices_indexed != c->n_choices)
        index_choices(c);
    at = weir__pointer_hash(config) & (c->n_choice_slots - 1);
    for (; c->choice_slots[at]; at = (at + 1) & (c->n_choice_slots - 1))
        if (c->choices[c->choice_slots[at] - 1].choice->config == config)
            return &c->choices[c->choice_slots[at] - 1];
    return NULL;
}
