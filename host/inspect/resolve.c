/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the file to what connections use: names in `inspect:` become inspectors, and what cannot work
 * of `handoff:` is told: TLS within TLS, a circle, a listener that nothing reaches.
 */
#include "config.h"

#include "host/inspect/resolve.h"

#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"

/* inspect */

static bool use(struct inspector_entry *ret, const weir_inspector *inspector)
{
    ret->name = inspector->name;
    ret->inspector = inspector;
    ret->limit = inspector->limit;
    return true;
}

static bool find(const struct registry *registry, const char *name, struct inspector_entry *ret)
{
    const weir_protocol *protocol;
    struct plugin *plugin;

    for (const weir_inspector *const *own = weir__inspectors; *own; own++)
        if (!strcmp((*own)->name, name))
            return use(ret, *own);
    for (plugin = registry->plugins; plugin; plugin = plugin->next)
        for (const weir_inspector *const *i = plugin->descriptor->inspectors; i && *i; i++)
            if (!strcmp((*i)->name, name))
                return use(ret, *i);
    protocol = weir__registry_protocol(registry, name, &plugin);
    if (!protocol || !protocol->detect)
        return false;
    *ret = (struct inspector_entry){
        .name = protocol->name, .detect = protocol->detect, .limit = protocol->detect_limit};
    return true;
}

static void offer(struct suggestion *s, const struct registry *registry)
{
    for (const weir_inspector *const *own = weir__inspectors; *own; own++)
        weir__suggest_offer(s, (*own)->name);
    for (const struct plugin *plugin = registry->plugins; plugin; plugin = plugin->next) {
        for (const weir_inspector *const *i = plugin->descriptor->inspectors; i && *i; i++)
            weir__suggest_offer(s, (*i)->name);
        for (const weir_protocol *const *p = plugin->descriptor->protocols; p && *p; p++)
            if ((*p)->detect)
                weir__suggest_offer(s, (*p)->name);
    }
}

static void report_unknown(weir_config_context *c, const struct registry *registry,
                           const char *const *item)
{
    struct suggestion s;
    struct plugin *plugin;

    weir_config_error(c, item, "there is no inspector `%s`", *item);
    if (weir__registry_protocol(registry, *item, &plugin)) {
        weir_config_label(c, "the protocol of that name cannot tell its own first bytes");
        return;
    }
    weir_config_label(c, "neither of weir nor of a plugin that is loaded");
    weir__suggest_begin(&s, *item);
    offer(&s, registry);
    if (s.best)
        weir_config_help(c, "did you mean `%s`?", s.best);
    else
        weir_config_help(c, "tls, ssh, postgres, or a protocol that can tell its own first bytes");
}

static bool is_doubled(const char *const *items, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (items[k] && !strcmp(items[k], items[i]))
            return true;
    return false;
}

const struct inspect_plan *weir__inspect_plan(weir_config_context *c,
                                              const struct registry *registry,
                                              const struct listener_config *said)
{
    const char *const *items = said->inspect.items;
    size_t n = said->inspect.count;
    struct inspect_plan *plan;
    struct inspector_entry *entries;

    if (!n)
        return NULL;
    if (said->protocol->datagram) {
        weir_config_error(c, &said->inspect, "datagrams are not inspected");
        return NULL;
    }
    plan = weir_config_alloc(c, sizeof *plan);
    entries = weir_config_alloc(c, n * sizeof *entries);
    for (size_t i = 0; i < n; i++) {
        struct inspector_entry *entry = &entries[plan->n_entries];

        if (!items[i])
            continue; /* reported */
        if (is_doubled(items, i)) {
            weir_config_error(c, &items[i], "`%s` stands in `inspect` twice", items[i]);
        } else if (!find(registry, items[i], entry)) {
            report_unknown(c, registry, &items[i]);
        } else {
            if (!entry->limit || entry->limit > INSPECT_LIMIT_MAX)
                entry->limit = INSPECT_LIMIT_MAX;
            plan->n_entries++;
        }
    }
    plan->entries = entries;
    plan->timeout = said->inspect_timeout;
    return plan;
}

/* redirect_from */

bool weir__redirects_check(weir_config_context *c, const struct listener_config *said)
{
    if (!said->redirect_from.count)
        return true;
    if (!said->protocol->redirects) {
        weir_config_error(c, &said->redirect_from, "`%s` sends nobody elsewhere",
                          said->protocol->name);
        weir_config_label(c, "`redirect_from` is for listeners of HTTP");
    } else if (!said->tls) {
        weir_config_error(c, &said->redirect_from,
                          "listener `%s` has no `tls`: there is nothing to redirect to",
                          said->name);
    } else if (!said->bind.count) {
        weir_config_error(c, &said->redirect_from,
                          "listener `%s` has no `bind`: there is nothing to redirect to",
                          said->name);
    } else {
        return true;
    }
    return false;
}

/* handoff */

struct edge {
    size_t from, to; /* listeners */
    const weir_config_node *node;
};

struct graph {
    weir_config_context *c;
    const struct listener_config *listeners;
    size_t n_listeners;
    const struct config_reference **references; /* to listeners, by the address of the field */
    size_t n_references;
    struct edge *edges;
    size_t n_edges;
    unsigned char *marks;
};

static int by_field(const void *left, const void *right)
{
    const struct config_reference *const *a = left, *const *b = right;

    return (*a)->field < (*b)->field ? -1 : (*a)->field > (*b)->field;
}

static void collect_references(struct graph *g)
{
    size_t n = weir__config_reference_count(g->c);

    g->references = weir_config_alloc(g->c, (n + 1) * sizeof *g->references);
    for (size_t i = 0; i < n; i++) {
        const struct config_reference *reference = weir__config_reference_at(g->c, i);

        if (!strcmp(reference->kind, "listener") && reference->target)
            g->references[g->n_references++] = reference;
    }
    qsort(g->references, g->n_references, sizeof *g->references, by_field);
    g->edges = weir_config_alloc(g->c, (g->n_references + 1) * sizeof *g->edges);
}

/* References that stand in the settings of an action. */
static void add_edges(struct graph *g, size_t from, const weir_choice *action)
{
    const struct provided *provided = action->host;
    const char *begin = action->config, *end;
    size_t low = 0, high = g->n_references;

    if (!provided || !begin)
        return;
    end = begin + provided->head->config_size;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if ((const char *)g->references[middle]->field < begin)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < g->n_references && (const char *)g->references[low]->field < end; low++) {
        const struct listener_config *to = g->references[low]->target;

        g->edges[g->n_edges++] =
            (struct edge){from, (size_t)(to - g->listeners), g->references[low]->node};
    }
}

static void add_routes(struct graph *g, size_t from, const weir_array *routes)
{
    WEIR_ARRAY_EACH(const struct route_config, route, *routes)
    {
        add_edges(g, from, &route->action);
        add_routes(g, from, &route->routes);
    }
}

/* Which listeners may get connections whose TLS ends in an earlier one. */
static void check_tls(struct graph *g)
{
    bool changed = true;

    while (changed) {
        changed = false;
        for (size_t i = 0; i < g->n_edges; i++) {
            const struct edge *edge = &g->edges[i];

            if (g->marks[edge->to] || (!g->marks[edge->from] && !g->listeners[edge->from].tls))
                continue;
            g->marks[edge->to] = 1;
            changed = true;
        }
    }
    for (size_t i = 0; i < g->n_edges; i++) {
        const struct edge *edge = &g->edges[i];

        if (!g->listeners[edge->to].tls || (!g->marks[edge->from] && !g->listeners[edge->from].tls))
            continue;
        weir_config_error_at(g->c, edge->node, "listener `%s` would put TLS into TLS",
                             g->listeners[edge->to].name);
        weir_config_label_also(g->c, &g->listeners[edge->to].tls, "TLS begins here");
    }
}

enum { NEW, BEING_VISITED, VISITED };

static void visit(struct graph *g, size_t at)
{
    g->marks[at] = BEING_VISITED;
    for (size_t i = 0; i < g->n_edges; i++) {
        const struct edge *edge = &g->edges[i];

        if (edge->from != at)
            continue;
        if (g->marks[edge->to] == BEING_VISITED)
            weir_config_error_at(g->c, edge->node,
                                 "connections would go in a circle: listener `%s`",
                                 g->listeners[edge->to].name);
        else if (g->marks[edge->to] == NEW)
            visit(g, edge->to);
    }
    g->marks[at] = VISITED;
}

static void check_reach(struct graph *g, bool known)
{
    for (size_t i = 0; i < g->n_listeners; i++) {
        bool reached = g->listeners[i].bind.count != 0;

        for (size_t k = 0; k < g->n_edges && !reached; k++)
            reached = g->edges[k].to == i;
        if (!reached && known)
            weir_config_warning(g->c, g->listeners[i].name, "listener `%s` is reached by nobody",
                                g->listeners[i].name);
    }
}

static void check_datagrams(const struct graph *g)
{
    for (size_t i = 0; i < g->n_listeners; i++) {
        const struct listener_config *said = &g->listeners[i];

        if (!said->protocol || !said->protocol->datagram)
            continue;
        if (said->tls)
            weir_config_error(g->c, &said->tls, "`tls` is for connections, not for datagrams");
        if (said->accept_proxy_protocol.count)
            weir_config_error(g->c, &said->accept_proxy_protocol,
                              "`accept_proxy_protocol` is for connections, not for datagrams");
    }
}

static void check_targets(struct graph *g)
{
    for (size_t i = 0; i < g->n_edges; i++) {
        const struct listener_config *to = &g->listeners[g->edges[i].to];

        if (to->protocol && to->protocol->datagram)
            weir_config_error_at(g->c, g->edges[i].node,
                                 "listener `%s` takes datagrams, no connections", to->name);
    }
}

void weir__inspect_check(weir_config_context *c, const weir_array *listeners)
{
    struct graph g = {.c = c, .listeners = listeners->items, .n_listeners = listeners->count};
    size_t n = weir__config_error_count(c);

    collect_references(&g);
    g.marks = weir_config_alloc(c, g.n_listeners + 1);
    for (size_t i = 0; g.n_references && i < g.n_listeners; i++)
        add_routes(&g, i, &g.listeners[i].routes);
    check_datagrams(&g);
    check_targets(&g);
    check_tls(&g);
    memset(g.marks, NEW, g.n_listeners);
    for (size_t i = 0; i < g.n_listeners; i++)
        if (g.marks[i] == NEW)
            visit(&g, i);
    check_reach(&g, n == 0);
}
