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

weir_error *weir__generation_add_instance(struct generation *g, const weir_instance_ops *ops,
                                          struct plugin *plugin, const void *config,
                                          const char *path, weir_instance **ret)
{
    WEIR_TRY(weir__instance_new(ops, plugin, config, path, ret));
    (*ret)->durables = g->host->durables;
    *g->instances_end = *ret;
    g->instances_end = &(*ret)->next;
    return NULL;
}

static weir_error *build_plugin(struct generation *g, struct plugin *plugin)
{
    const weir_plugin *descriptor = plugin->descriptor;
    const struct plugin_config *said = NULL;
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
    return weir__generation_add_instance(g, descriptor->instance, plugin, plugin->config, path,
                                         &plugin->instance);
}

static weir_error *build_listener(struct generation *g, struct listener_config *said,
                                  weir_listener **ret)
{
    const weir_option_address *addresses = said->bind.items, *redirects = said->redirect_from.items;
    size_t n_redirects = weir__redirects_check(g->config, said) ? said->redirect_from.count : 0;
    weir_listener *listener;
    char path[200];

    WEIR_TRY(weir__listener_new(said->name, said->bind.count + n_redirects, g->n_loops,
                                g->host->durables, &g->host->limit, &listener));
    *ret = listener;
    said->slot = listener->slot;
    listener->protocol = said->protocol;
    listener->protocol_config = said->protocol_config;
    listener->listener_config = said->listener_config;
    listener->handshake_timeout = said->timeouts.handshake;
    listener->backlog = (int)said->backlog;
    listener->proxy = (weir_proxy_policy){WEIR_SIZED(weir_proxy_policy),
                                          .trusted = said->accept_proxy_protocol.items,
                                          .n_trusted = said->accept_proxy_protocol.count};
    listener->max_connections = said->max_connections;
    listener->inspect = weir__inspect_plan(g->config, g->registry, said);
    for (size_t i = 0; i < said->bind.count; i++)
        listener->addresses[i].field = &addresses[i];
    for (size_t i = 0; i < n_redirects; i++) {
        struct bound_address *address = &listener->addresses[said->bind.count + i];

        address->field = &redirects[i];
        address->redirects = true;
    }
    WEIR_TRY(weir__generation_build_routes(g, said, &listener->routes));
    snprintf(path, sizeof path, "listeners.%s", said->name);
    return weir__generation_add_instance(g, said->protocol->instance, said->plugin,
                                         said->protocol_config, path, &listener->instance);
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

static bool of_datagrams(const weir_listener *listener)
{
    return listener->protocol->datagram != NULL;
}

/* The same address twice would fail when it is bound; it is clear before. */
static void check_addresses(struct generation *g)
{
    for (size_t l = 0; l < g->n_listeners; l++) {
        for (size_t i = 0; i < g->listeners[l]->n_addresses; i++) {
            const weir_option_address *mine = g->listeners[l]->addresses[i].field;

            for (size_t k = 0; k <= l; k++) {
                size_t n = k == l ? i : g->listeners[k]->n_addresses;

                for (size_t j = 0; j < n; j++) {
                    const weir_option_address *other = g->listeners[k]->addresses[j].field;

                    if (of_datagrams(g->listeners[l]) != of_datagrams(g->listeners[k]))
                        continue;
                    if (!mine->text || !other->text || strcmp(mine->text, other->text) != 0 ||
                        (mine->kind == WEIR_ADDRESS_INET && mine->port == 0))
                        continue;
                    weir_config_error(g->config, mine, "%s is listened on twice", mine->text);
                    weir_config_label_also(g->config, other, "by listener `%s`",
                                           g->listeners[k]->name);
                }
            }
        }
    }
}

/* Whether the configuration of an instance is whole although something else is not. */
static bool is_good(const struct generation *g, const weir_instance *instance)
{
    for (size_t i = 0; i < weir__config_choice_count(g->config); i++) {
        const struct config_choice *chosen = weir__config_choice_at(g->config, i);

        if (chosen->choice->config == instance->config)
            return chosen->good;
    }
    return false;
}

static void check_instances(struct generation *g, bool clean)
{
    for (weir_instance *i = g->instances; i; i = i->next)
        if (i->ops && i->ops->check && (clean || is_good(g, i)))
            weir__config_check(g->config, i->ops->check, i->config, i->config);
}

static weir_error *build(struct generation *g)
{
    bool clean = weir__config_resolve(g->config) && weir__config_error_count(g->config) == 0;

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

    g->instances_end = &g->instances;
    error = build(g);
    if (!error)
        return;
    weir_error_message(error, text, sizeof text);
    weir_error_unref(error);
    weir_config_error(g->config, NULL, "%s", text);
}

void weir__generation_free(struct generation *g)
{
    if (!g)
        return;
    /* Those that started last stop first. */
    while (g->instances) {
        weir_instance **last = &g->instances;

        while ((*last)->next)
            last = &(*last)->next;
        weir__instance_free(WEIR_TAKE(*last));
    }
    for (size_t i = 0; i < g->n_listeners; i++)
        weir__listener_free(g->listeners[i]);
    for (size_t i = 0; i < g->n_upstreams; i++)
        weir__upstream_unref(g->upstreams[i]);
    if (g->top)
        WEIR_ARRAY_EACH(struct executor_config, executor, g->top->executors)
    if (executor->made)
        weir_executor_unref(executor->made);
    free(g->listeners);
    free(g->upstreams);
    free(g->upstream_configs);
    weir__config_unref(g->config);
    weir__registry_free(g->registry);
    free(g);
}
