/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes between two configurations, setting by setting, and what each change does to a running
 * daemon. Names are compared with names and elements of lists of maps with those in the same place;
 * a list of single values loses and gains values.
 */
#include <config.h>
#include <stdio.h>
#include <string.h>

#include "host/config/effective.h"

#define SHOWN_MAX 80  /* bytes of a value */
#define AROUND    20  /* of them before what changes */
#define LIST_MAX  240 /* bytes of the values that a list gains and loses */

struct differ {
    weir_config_context *c; /* of the second: for texts */
    FILE *out;
    struct config_changes changes;
};

/* Where a value stands; in words only once it has changed: most have not. */
struct place {
    const struct place *around; /* NULL: the whole configuration */
    const char *name;           /* NULL: the element at `index` */
    size_t index;
    bool is_element; /* of that name */
};

static const char *words(struct differ *d, const struct place *place)
{
    const char *around;

    if (!place->around)
        return "";
    around = words(d, place->around);
    if (!place->name)
        return weir__arena_format(&d->c->arena, "%s[%zu]", around, place->index);
    if (place->is_element)
        return weir__arena_format(&d->c->arena, "%s[%s]", around, place->name);
    return weir__arena_format(&d->c->arena, *around ? "%s.%s" : "%s%s", around, place->name);
}

static struct place below(const struct place *around, const struct effective *e, size_t index)
{
    return (struct place){around, e->name, index, false};
}

static weir_reload reload_of(const struct effective *e)
{
    for (; e; e = e->parent) {
        if (e->option && e->option->reload != WEIR_RELOAD_HOT)
            return e->option->reload;
    }
    return WEIR_RELOAD_HOT;
}

static const char *count_change(struct differ *d, weir_reload reload)
{
    if (reload == WEIR_RELOAD_RESTART)
        return d->changes.restart++, "needs restart: not applied";
    if (reload == WEIR_RELOAD_SOCKET)
        return d->changes.sockets++, "opens or closes sockets";
    return d->changes.hot++, "hot";
}

static void print_line(struct differ *d, char mark, const char *path, const char *what,
                       const char *effect)
{
    fprintf(d->out, "%c ", mark);
    weir__print_clean(d->out, path);
    fprintf(d->out, "%*s  ", strlen(path) < 30 ? (int)(30 - strlen(path)) : 0, "");
    weir__print_clean(d->out, what);
    fprintf(d->out, "%*s  %s\n", strlen(what) < 32 ? (int)(32 - strlen(what)) : 0, "", effect);
}

/* The beginning of the character at that byte. */
static size_t floor_of_character(const char *text, size_t at)
{
    while (at && ((unsigned char)text[at] & 0xc0) == 0x80)
        at--;
    return at;
}

static size_t put_escaped(char *out, unsigned char c)
{
    static const char letters[] = "\n\t\r\"\\", names[] = "ntr\"\\";
    const char *known = c ? strchr(letters, c) : NULL;

    if (known) {
        out[0] = '\\';
        out[1] = names[known - letters];
        return 2;
    }
    if (c < 0x20 || c == 0x7f) {
        (void)snprintf(out, 5, "\\x%02x", c);
        return 4;
    }
    out[0] = (char)c;
    return 1;
}

/* A value from there on, in one line: with control characters in quotes, as YAML writes it. */
static const char *from_there(struct differ *d, const char *text, size_t from)
{
    char buffer[SHOWN_MAX * 4 + 1];
    size_t len = 0, end = from + strnlen(text + from, SHOWN_MAX + 1);
    bool cut = end - from > SHOWN_MAX, quoted = false;

    if (cut)
        end = floor_of_character(text, end - 1);
    for (size_t i = from; i < end; i++)
        quoted |= (unsigned char)text[i] < 0x20 || text[i] == 0x7f;
    for (size_t i = from; i < end; i++) {
        if (quoted)
            len += put_escaped(buffer + len, (unsigned char)text[i]);
        else
            buffer[len++] = text[i];
    }
    return weir__arena_format(&d->c->arena, "%s%s%.*s%s%s", from ? "…" : "", quoted ? "\"" : "",
                              (int)len, buffer, quoted ? "\"" : "", cut ? "…" : "");
}

static const char *value(struct differ *d, const char *text)
{
    return from_there(d, text, 0);
}

/* Two values that differ: of long ones what is behind the beginning that they share. */
static const char *two_values(struct differ *d, const char *a, const char *b)
{
    size_t from = 0;

    while (a[from] && a[from] == b[from])
        from++;
    from = from > SHOWN_MAX / 2 ? floor_of_character(a, from - AROUND) : 0;
    return weir__arena_format(&d->c->arena, "%s → %s", from_there(d, a, from),
                              from_there(d, b, from));
}

/* What a list gains and loses: "- a + b … and 7 more". */
struct exchange {
    const char *text;
    size_t more;
};

static void exchange_add(struct differ *d, struct exchange *x, char mark, const char *text)
{
    if (strlen(x->text) > LIST_MAX)
        x->more++;
    else
        x->text = weir__arena_format(&d->c->arena, "%s%s%c %s", x->text, *x->text ? " " : "", mark,
                                     value(d, text));
}

static const char *exchange_end(struct differ *d, const struct exchange *x)
{
    return x->more ? weir__arena_format(&d->c->arena, "%s … and %zu more", x->text, x->more)
                   : x->text;
}

/* A value in one line: "[a, b]", "bind *:8081", "3 settings". */
static const char *shown(struct differ *d, const struct effective *e)
{
    const struct effective *bind = weir__effective_child(e, "bind");
    const char *text = "";

    if (e->text)
        return value(d, e->text);
    if (bind)
        return weir__arena_format(&d->c->arena, "bind %s", shown(d, bind));
    if (!e->is_list)
        return e->count == 0 ? "{}"
                             : weir__arena_format(&d->c->arena, "%zu setting%s", e->count,
                                                  e->count == 1 ? "" : "s");
    for (const struct effective *item = e->first; item && strlen(text) < 100; item = item->next)
        text = weir__arena_format(&d->c->arena, "%s%s%s", text, *text ? ", " : "",
                                  item->text ? value(d, item->text) : "{…}");
    return text;
}

static bool binds(const struct effective *e)
{
    return e->option && e->parent && e->parent->name && strcmp(e->parent->name, "listeners") == 0 &&
           weir__effective_child(e, "bind") != NULL;
}

static void one_sided(struct differ *d, char mark, const struct effective *e,
                      const struct place *place)
{
    weir_reload reload = binds(e) ? WEIR_RELOAD_SOCKET : reload_of(e);
    const char *effect = count_change(d, reload);

    if (binds(e))
        effect = mark == '+' ? "binds a new socket" : "drains its connections, then closes";
    print_line(d, reload == WEIR_RELOAD_RESTART ? '!' : mark, words(d, place), shown(d, e), effect);
}

static void changed(struct differ *d, const struct effective *e, const struct place *place,
                    const char *what)
{
    weir_reload reload = reload_of(e);

    print_line(d, reload == WEIR_RELOAD_RESTART ? '!' : '~', words(d, place), what,
               count_change(d, reload));
}

static bool has_value(const struct effective *list, const char *text)
{
    for (const struct effective *e = list->first; e; e = e->next) {
        if (e->text && strcmp(e->text, text) == 0)
            return true;
    }
    return false;
}

static bool is_flat(const struct effective *e)
{
    const struct effective *child = e->first;

    while (child && child->text)
        child = child->next;
    return e->is_list && !child;
}

/* Of texts that tables hold, the addresses are the same in both. */
static bool same_text(const char *a, const char *b)
{
    return a == b || strcmp(a, b) == 0;
}

static void compare_lists(struct differ *d, const struct effective *a, const struct effective *b,
                          const struct place *place)
{
    const struct effective *x = a->first, *y = b->first;
    struct exchange exchange = {"", 0};

    while (x && y && same_text(x->text, y->text)) {
        x = x->next;
        y = y->next;
    }
    if (!x && !y)
        return;
    for (x = a->first; x; x = x->next) {
        if (!has_value(b, x->text))
            exchange_add(d, &exchange, '-', x->text);
    }
    for (y = b->first; y; y = y->next) {
        if (!has_value(a, y->text))
            exchange_add(d, &exchange, '+', y->text);
    }
    changed(d, b, place, *exchange.text ? exchange_end(d, &exchange) : "another order");
}

static bool is_secret_change(const struct effective *a, const struct effective *b)
{
    return (a->node->secret || b->node->secret) && a->node->kind == WEIR_NODE_SCALAR &&
           b->node->kind == WEIR_NODE_SCALAR && strcmp(a->node->text, b->node->text) != 0;
}

static void compare(struct differ *d, const struct effective *a, const struct effective *b,
                    const struct place *place);

/* What tells an element from its neighbours: the address of a server. */
static const char *identity(const struct effective *item)
{
    for (const struct effective *child = item->first; child; child = child->next) {
        if (child->option && child->option->primary && child->text)
            return child->text;
    }
    return NULL;
}

static bool has_identities(const struct effective *list)
{
    const struct effective *item = list->first;

    while (item && identity(item))
        item = item->next;
    return !item;
}

static const struct effective *same_in(const struct effective *list, const char *name)
{
    const struct effective *item = list->first;

    while (item && strcmp(identity(item), name) != 0)
        item = item->next;
    return item;
}

static void compare_identities(struct differ *d, const struct effective *a,
                               const struct effective *b, const struct place *place)
{
    struct exchange exchange = {"", 0};

    for (const struct effective *x = a->first; x; x = x->next) {
        if (!same_in(b, identity(x)))
            exchange_add(d, &exchange, '-', identity(x));
    }
    for (const struct effective *y = b->first; y; y = y->next) {
        const struct effective *x = same_in(a, identity(y));

        if (x)
            compare(d, x, y, &(struct place){place, identity(y), 0, true});
        else
            exchange_add(d, &exchange, '+', identity(y));
    }
    if (*exchange.text)
        changed(d, b, place, exchange_end(d, &exchange));
}

/* The child of this name, which mostly is the one after that found before. */
static const struct effective *same_child(const struct effective *in, const char *name,
                                          const struct effective **next)
{
    const struct effective *found = *next;

    if (!found || !found->name || !same_text(found->name, name))
        found = weir__effective_child(in, name);
    if (found)
        *next = found->next;
    return found;
}

static void compare_children(struct differ *d, const struct effective *a, const struct effective *b,
                             const struct place *place)
{
    const struct effective *x = a->first, *y = b->first, *next = a->first;
    struct place here;
    size_t index = 0;

    if (b->is_list && has_identities(a) && has_identities(b)) {
        compare_identities(d, a, b, place);
        return;
    }
    if (b->is_list) {
        for (; x || y; index++) {
            here = below(place, x ? x : y, index);
            if (x && y)
                compare(d, x, y, &here);
            else
                one_sided(d, x ? '-' : '+', x ? x : y, &here);
            x = x ? x->next : NULL;
            y = y ? y->next : NULL;
        }
        return;
    }
    for (; y; y = y->next) {
        const struct effective *same = same_child(a, y->name, &next);

        here = below(place, y, 0);
        if (same)
            compare(d, same, y, &here);
        else
            one_sided(d, '+', y, &here);
    }
    next = b->first;
    for (; x; x = x->next) {
        here = below(place, x, 0);
        if (!same_child(b, x->name, &next))
            one_sided(d, '-', x, &here);
    }
}

static void compare(struct differ *d, const struct effective *a, const struct effective *b,
                    const struct place *place)
{
    if (a->text && b->text) {
        if (is_secret_change(a, b))
            changed(d, b, place, "another secret");
        else if (!same_text(a->text, b->text))
            changed(d, b, place, two_values(d, a->text, b->text));
    } else if (a->text || b->text || a->is_list != b->is_list) {
        changed(d, b, place, weir__arena_format(&d->c->arena, "%s → %s", shown(d, a), shown(d, b)));
    } else if (is_flat(a) && is_flat(b)) {
        compare_lists(d, a, b, place);
    } else {
        compare_children(d, a, b, place);
    }
}

struct config_changes weir__config_diff(weir_config_context *from, weir_config_context *to,
                                        FILE *out)
{
    struct differ d = {.c = to, .out = out};
    struct place whole = {NULL, NULL, 0, false};

    if (from->effective_root && to->effective_root)
        compare(&d, from->effective_root, to->effective_root, &whole);
    return d.changes;
}
