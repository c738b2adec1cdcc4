/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From filled structs to parts. Nothing is opened here: what this finds wrong is wrong in the file.
 * Matchers compile even when other things are wrong, so that one run shows as much as it can; parts
 * that lean on others are only made when all of those are right.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/generation/generation.h"
#include "host/inspect/resolve.h"

static void settle(struct content *content, const weir_config_node *node)
{
    weir__content_begin(content);
    weir__content_node(content, NULL, node);
}

/* What every part depends on: the builds of the plugins, their settings, and the executors. */
static void settle_base(struct generation *g)
{
    weir__content_begin(&g->base);
    for (struct plugin *plugin = g->registry->plugins; plugin; plugin = plugin->next)
        weir__content_pointer(&g->base, plugin->descriptor);
    weir__content_node(&g->base, NULL, weir__generation_node(g, "plugins", NULL));
    weir__content_node(&g->base, NULL, weir__generation_node(g, "executors", NULL));
    settle(&g->log, weir__generation_node(g, "log", NULL));
    settle(&g->debug, weir__generation_node(g, "debug", NULL));
    settle(&g->resolver, weir__generation_node(g, "resolver", NULL));
}

static weir_error *build_plugin(struct generation *g, struct plugin *plugin)
{
    const weir_plugin *descriptor = plugin->descriptor;
    const struct plugin_config *said = NULL;
    weir_instance *instance;
    char path[200];

    WEIR_ARRAY_EACH(const struct plugin_config, p, g->top->plugins)
    if (p->plugin == plugin)
        said = p;
    if (said) {
        plugin->config = said->config;
    } else if (descriptor->options) {
        void *config = weir_config_alloc(g->config, descriptor->config_size);

        /* Loaded on demand: its settings have their defaults. */
        weir__config_parse(g->config, NULL, descriptor->options, config);
        plugin->config = config;
    }
    snprintf(path, sizeof path, "plugins.%s", descriptor->name);
    return weir__generation_add_instance(
        g,
        &(struct instance_spec){
            .ops = descriptor->instance, .plugin = plugin, .config = plugin->config, .path = path},
        &instance);
}

/* Listeners */

static void fill_listener(struct generation *g, weir_listener *listener,
                          const struct listener_config *said)
{
    const weir_option_address *addresses = said->bind.items, *redirects = said->redirect_from.items;

    listener->protocol = said->protocol;
    listener->protocol_config = said->protocol_config;
    listener->listener_config = said->listener_config;
    listener->handshake_timeout = said->timeouts.handshake;
    listener->backlog = (int)said->backlog;
    listener->proxy = (weir_proxy_policy){WEIR_SIZED(weir_proxy_policy),
                                          .trusted = said->accept_proxy_protocol.items,
                                          .n_trusted = said->accept_proxy_protocol.count};
    listener->max_connections = said->max_connections;
    listener->reuse_port = said->reuse_port;
    listener->inspect = weir__inspect_plan(g->config, g->registry, said);
    for (size_t i = 0; i < said->bind.count; i++)
        listener->addresses[i].field = &addresses[i];
    for (size_t i = said->bind.count; i < listener->n_addresses; i++) {
        listener->addresses[i].field = &redirects[i - said->bind.count];
        listener->addresses[i].redirects = true;
    }
}

/* What a listener refers to, met while its content is read. */
struct referring {
    struct generation *g;
    struct part **parts;
    size_t count, room;
    bool failed;
};

static void meet(void *arg, void *mark)
{
    struct referring *r = arg;
    struct part *part = mark;

    if (part->met == r->g->meeting || r->failed)
        return;
    part->met = r->g->meeting;
    if (r->count == r->room) {
        void *grown = realloc(r->parts, (r->room + 8) * 2 * sizeof(struct part *));

        r->failed = !grown;
        if (!grown)
            return;
        r->parts = grown;
        r->room = (r->room + 8) * 2;
    }
    r->parts[r->count++] = part;
}

static weir_error *make_listener(struct generation *g, const struct listener_config *said,
                                 const weir_config_node *node, const struct content *content,
                                 const struct referring *r, weir_listener **ret)
{
    size_t n_redirects = weir__redirects_check(g->config, said) ? said->redirect_from.count : 0;
    weir_listener *listener;
    char path[200];

    WEIR_TRY(weir__listener_new(said->name, said->bind.count + n_redirects, g->n_loops,
                                g->host->durables, &g->host->limit, &listener));
    WEIR_TRY(weir__generation_add_part(g, &weir__listener_part, said->name, content, listener,
                                       &listener->part));
    *ret = listener;
    fill_listener(g, listener, said);
    for (size_t i = 0; i < r->count; i++)
        WEIR_TRY(weir__part_add_below(listener->part, r->parts[i]));
    WEIR_TRY(weir__generation_build_routes(g, said, listener));
    snprintf(path, sizeof path, "listeners.%s", said->name);
    return weir__generation_add_instance(
        g,
        &(struct instance_spec){.ops = said->protocol->instance,
                                .plugin = said->plugin,
                                .config = said->protocol_config,
                                .node =
                                    node ? weir_config_node_find(node, said->protocol->name) : NULL,
                                .path = path,
                                .owner = listener},
        &listener->instance);
}

/* Its own node, and for TLS what all listeners have in common. */
static struct content listener_content(struct generation *g, const struct listener_config *said,
                                       const weir_config_node *node, struct referring *r)
{
    const weir_config_node *tls = said->tls ? weir__generation_node(g, "tls", NULL) : NULL;
    struct content content = g->base;

    g->meeting++;
    weir__content_node_met(&content, g->notes, node, meet, r);
    for (size_t i = 0; tls && i < weir_config_node_count(tls); i++)
        if (strcmp(weir_config_node_text(weir_config_node_key(tls, i)), "certificates") != 0)
            weir__content_node(&content, g->notes, weir_config_node_item(tls, i));
    return content;
}

static weir_error *build_listener(struct generation *g, struct listener_config *said,
                                  weir_listener **ret)
{
    const weir_config_node *node = weir__generation_node(g, "listeners", said->name);
    struct referring r = {.g = g};
    struct content content = listener_content(g, said, node, &r);
    struct part *part = weir__generation_same(g, &weir__listener_part, said->name, &content);
    weir_error *error;

    if (part) {
        *ret = part->object;
        g->n_routes += (*ret)->routes->n_routes;
        error = weir__generation_take(g, part);
    } else if (r.failed) {
        error = weir_raise(WEIR_ENOMEM, "listener");
    } else {
        error = make_listener(g, said, node, &content, &r, ret);
    }
    free(r.parts);
    if (!error)
        said->slot = (*ret)->slot;
    return error;
}

static weir_error *build_listeners(struct generation *g)
{
    struct listener_config *admin = weir__admin_listener(g->top);

    g->listeners = calloc(g->top->listeners.count + 2, sizeof(weir_listener *));
    if (!g->listeners)
        return weir_raise(WEIR_ENOMEM, "listeners");
    WEIR_ARRAY_EACH(struct listener_config, said, g->top->listeners)
    {
        weir_listener *listener = NULL;
        weir_error *error;

        if (!said->protocol)
            continue; /* reported */
        error = build_listener(g, said, &listener);
        if (listener)
            g->listeners[g->n_listeners++] = listener;
        WEIR_TRY(error);
    }
    if (admin) {
        weir_listener *listener = NULL;
        weir_error *error = build_listener(g, admin, &listener);

        if (listener)
            g->listeners[g->n_listeners++] = listener;
        WEIR_TRY(error);
    }
    return NULL;
}

/* The same address twice would fail when it is bound; it is clear before. */
struct listened {
    const weir_option_address *address;
    const char *listener;
    size_t order;
    bool datagram;
};

static int by_text(const void *left, const void *right)
{
    const struct listened *a = left, *b = right;
    int order = a->datagram - b->datagram;

    if (!order)
        order = strcmp(a->address->text, b->address->text);
    return order ? order : a->order < b->order ? -1 : a->order > b->order;
}

static void add_listened(const struct listener_config *said, const weir_array *addresses,
                         struct listened *all, size_t *count)
{
    WEIR_ARRAY_EACH(const weir_option_address, address, *addresses)
    if (address->text && (address->kind != WEIR_ADDRESS_INET || address->port != 0)) {
        all[*count] = (struct listened){address, said->name, *count,
                                        said->protocol && said->protocol->datagram};
        ++*count;
    }
}

static void check_addresses(struct generation *g)
{
    struct listened *all;
    size_t room = 1, count = 0;

    WEIR_ARRAY_EACH(const struct listener_config, said, g->top->listeners)
    room += said->bind.count + said->redirect_from.count;
    all = weir_config_alloc(g->config, room * sizeof *all);
    WEIR_ARRAY_EACH(const struct listener_config, said, g->top->listeners)
    {
        add_listened(said, &said->bind, all, &count);
        add_listened(said, &said->redirect_from, all, &count);
    }
    qsort(all, count, sizeof *all, by_text);
    for (size_t i = 1; i < count; i++) {
        if (all[i].datagram != all[i - 1].datagram ||
            strcmp(all[i].address->text, all[i - 1].address->text) != 0)
            continue;
        weir_config_error(g->config, all[i].address, "%s is listened on twice",
                          all[i].address->text);
        weir_config_label_also(g->config, all[i - 1].address, "by listener `%s`",
                               all[i - 1].listener);
    }
}

/* Whether the configuration of an instance is whole although something else is not. */
static bool is_good(const struct generation *g, const weir_instance *instance)
{
    const struct config_choice *chosen = weir__config_choice_of(g->config, instance->config);

    return chosen && chosen->good;
}

static void check_instances(struct generation *g, bool clean)
{
    for (weir_instance *i = g->made; i; i = i->next)
        if (i->ops && i->ops->check && (clean || is_good(g, i)))
            weir__config_check(g->config, i->ops->check, i->config, i->config);
}

static weir_error *build(struct generation *g)
{
    bool clean = weir__config_resolve(g->config) && weir__config_error_count(g->config) == 0;

    settle_base(g);
    weir__generation_limit_origins(g);
    WEIR_TRY(weir__content_notes_new(weir__config_reference_count(g->config), &g->notes));
    if (clean)
        WEIR_TRY(weir__generation_build_upstreams(g));
    for (struct plugin *plugin = g->registry->plugins; plugin; plugin = plugin->next)
        WEIR_TRY(build_plugin(g, plugin));
    WEIR_TRY(build_listeners(g));
    weir__inspect_check(g->config, &g->top->listeners);
    check_addresses(g);
    weir__tls_check(g->config, &g->top->tls);
    check_instances(g, clean && weir__config_error_count(g->config) == 0);
    return NULL;
}

void weir__generation_build(struct generation *g)
{
    weir_error *error;
    char text[400];

    error = build(g);
    if (!error)
        return;
    weir_error_message(error, text, sizeof text);
    weir_error_unref(error);
    weir_config_error(g->config, NULL, "%s", text);
}
