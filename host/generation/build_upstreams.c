/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upstreams of the configuration: the named ones, and those that an address in a reference stands
 * for, of which each address has one, named by it. Then every reference points at its part.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/generation/generation.h"

static weir_error *make(struct generation *g, struct upstream_config *config,
                        const struct content *content)
{
    struct part *part;
    struct upstream_spec spec = {
        .name = config->name,
        .n_addresses = config->servers.count,
        .balance = (enum balance)config->balance,
        .hash_key = weir__upstream_hash_key_of(config),
        .health = weir__upstream_health_of(g->config, config),
        .speaks_tls = config->tls && config->tls->enabled,
        .slow_start = weir_is_forever(config->slow_start) ? WEIR_NS(0) : config->slow_start,
        .resolve_interval =
            weir_is_forever(config->resolve_interval) ? WEIR_NS(0) : config->resolve_interval,
        .connect_timeout = config->connect_timeout,
        .response_timeout = config->response_timeout,
        .idle_timeout = config->idle_timeout,
        .keepalive = config->keepalive,
        .retries = config->retries,
        .server_name = config->tls ? config->tls->server_name : NULL,
        .protocol_configs = config->protocols,
        .n_protocol_configs = config->n_protocols,
        .n_loops = g->n_loops,
    };
    const struct server_config *servers = config->servers.items;
    const char **addresses =
        weir_config_alloc(g->config, (spec.n_addresses + 1) * sizeof *addresses);
    uint32_t *weights = weir_config_alloc(g->config, (spec.n_addresses + 1) * sizeof *weights);

    for (size_t i = 0; i < spec.n_addresses; i++) {
        addresses[i] = servers[i].address.text;
        weights[i] = servers[i].weight;
    }
    spec.addresses = addresses;
    spec.weights = weights;
    WEIR_TRY(weir__upstream_new(&spec, g->host->durables, &config->part));
    WEIR_TRY(weir__generation_add_part(g, &weir__upstream_part, config->name, content, config->part,
                                       &part));
    config->part->part = part;
    return NULL;
}

static weir_error *make_room(struct generation *g)
{
    if (g->n_upstreams == g->upstreams_room) {
        size_t room = g->upstreams_room ? g->upstreams_room * 2 : 16;
        void *parts = realloc(g->upstreams, room * sizeof *g->upstreams);
        void *configs;

        if (parts)
            g->upstreams = parts;
        configs = parts ? realloc(g->upstream_configs, room * sizeof *g->upstream_configs) : NULL;
        if (!configs)
            return weir_raise(WEIR_ENOMEM, "upstream");
        g->upstream_configs = configs;
        g->upstreams_room = room;
    }
    return NULL;
}

static weir_error *add(struct generation *g, struct upstream_config *config,
                       const weir_config_node *node)
{
    struct content content = weir__generation_content(g, node);
    struct part *same = weir__generation_same(g, &weir__upstream_part, config->name, &content);

    weir__upstream_check(g->config, config);
    WEIR_TRY(make_room(g));
    if (same) {
        config->part = same->object;
        WEIR_TRY(weir__generation_take(g, same));
    } else {
        WEIR_TRY(make(g, config, &content));
    }
    g->upstream_configs[g->n_upstreams] = config;
    g->upstreams[g->n_upstreams++] = config->part;
    return NULL;
}

/* All defaults, from the tables; `servers`, the first option, has none. */
static bool fill_defaults(struct generation *g, struct upstream_config *config)
{
    weir_config_context *c = g->config;
    bool ok = weir__config_parse(c, NULL, weir__upstream_options + 1, config);

    config->protocols = weir_config_alloc(c, 64 * sizeof *config->protocols);
    for (struct plugin *plugin = g->registry->plugins; plugin; plugin = plugin->next) {
        for (const weir_protocol *const *p = plugin->descriptor->protocols; p && *p; p++) {
            void *filled;

            if (!(*p)->upstream_options || config->n_protocols == 64)
                continue;
            filled = weir_config_alloc(c, (*p)->upstream_config_size);
            ok = weir__config_parse(c, NULL, (*p)->upstream_options, filled) && ok;
            config->protocols[config->n_protocols++] =
                (struct upstream_protocol_config){*p, filled};
        }
    }
    return ok;
}

static weir_error *add_unnamed(struct generation *g, const struct config_reference *reference,
                               weir_upstream **ret)
{
    bool tls = !strcmp(reference->scheme, "https");
    struct upstream_config *config;
    struct server_config *server;
    struct part *known;
    char name[400];

    snprintf(name, sizeof name, "%s%s", tls ? "https://" : "", reference->address.text);
    known = weir__part_find(&g->parts, &weir__upstream_part, name);
    if (known) {
        *ret = known->object;
        return NULL;
    }
    config = weir_config_alloc(g->config, sizeof *config);
    server = weir_config_alloc(g->config, sizeof *server);
    if (!fill_defaults(g, config))
        return weir_raise(WEIR_ECONFIG, "an upstream needs settings that an address cannot give");
    config->name = weir_config_strdup(g->config, name);
    server->address = reference->address;
    server->weight = 1;
    config->servers = (weir_array){server, 1};
    if (tls) {
        struct upstream_tls_config *said = weir_config_alloc(g->config, sizeof *said);

        said->enabled = said->verify = true;
        config->tls = said;
    }
    WEIR_TRY(add(g, config, NULL));
    *ret = config->part;
    return NULL;
}

static void note(struct generation *g, const struct config_reference *reference,
                 const weir_upstream *upstream)
{
    weir__content_note(g->notes, reference->node, &upstream->part->content, upstream->part);
}

/* Of what is no part itself: its content counts where it is referred to. */
static void note_content(struct generation *g, const struct config_reference *reference)
{
    bool certificate = !strcmp(reference->kind, "certificate");
    const weir_config_node *all =
        certificate ? weir__generation_node(g, "tls", "certificates") : NULL;
    struct content content;

    if (!all || !reference->name)
        return;
    weir__content_begin(&content);
    weir__content_node(&content, NULL, weir_config_node_find(all, reference->name));
    weir__content_note(g->notes, reference->node, &content, NULL);
}

static weir_error *point(struct generation *g, struct config_reference *reference)
{
    weir_config_context *c = g->config;
    weir_upstream *part;

    if (strcmp(reference->kind, "upstream") != 0) {
        *reference->field = (void *)reference->target;
        return NULL;
    }
    if (reference->name) {
        *reference->field = part = ((struct upstream_config *)reference->target)->part;
        note(g, reference, part);
        return NULL;
    }
    if (*reference->url_path && strcmp(reference->url_path, "/") != 0) {
        weir_config_error_at(c, reference->node, "an upstream's address has no path");
        weir_config_label(c, "`%s` would be ignored", reference->url_path);
        return NULL;
    }
    WEIR_TRY(add_unnamed(g, reference, &part));
    *reference->field = part;
    note(g, reference, part);
    return NULL;
}

weir_error *weir__generation_build_upstreams(struct generation *g)
{
    /* Upstreams refer to certificates themselves. */
    for (size_t i = 0; i < weir__config_reference_count(g->config); i++)
        note_content(g, weir__config_reference_at(g->config, i));
    WEIR_ARRAY_EACH(struct upstream_config, upstream, g->top->upstreams)
    WEIR_TRY(add(g, upstream, weir__generation_node(g, "upstreams", upstream->name)));
    for (size_t i = 0; i < weir__config_reference_count(g->config); i++)
        WEIR_TRY(point(g, weir__config_reference_at(g->config, i)));
    return NULL;
}
