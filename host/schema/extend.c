/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How tables grow: a listener takes the tables of the protocol that it names, an upstream those of
 * every protocol that has some, a plugin its own. A plugin whose protocol is named is loaded on
 * demand, so that `protocol: tcp` is all that there is to say.
 */
#include "config.h"

#include <string.h>

#include "host/inspect/inspect.h"
#include "host/schema/schema.h"

static __thread struct registry *registry;

void weir__schema_begin(struct registry *r)
{
    registry = r;
}

struct registry *weir__schema_registry(void)
{
    return registry;
}

/* A copy of an option that the configuration owns. */
static const weir_option *const *table_of(weir_config_context *context, const weir_option *option)
{
    weir_option *copy = weir_config_alloc(context, sizeof *copy);
    const weir_option **table = weir_config_alloc(context, 2 * sizeof *table);

    *copy = *option;
    table[0] = copy;
    return table;
}

static const weir_option *const nothing[] = {NULL};

/* `name: {…}` filling `base` by `fields`. */
static void add_block(weir_config_context *context, const char *name,
                      const weir_option *const *fields, void *base, const char *owner)
{
    weir_option option = {WEIR_SIZED(weir_option), .name = name, .type = WEIR_TYPE_MAP,
                          .fields = fields ? fields : nothing};

    weir_config_add_options(context, table_of(context, &option), base, owner);
}

/* A known key whose value is not looked at. */
static void add_any(weir_config_context *context, const char *name, void *base)
{
    weir_option option = {WEIR_SIZED(weir_option), .name = name, .type = WEIR_TYPE_ANY,
                          .optional = true};

    weir_config_add_options(context, table_of(context, &option), base, NULL);
}

static const char *text_at(weir_config_context *context, const weir_config_node *node,
                           const char *key, weir_option_type type)
{
    const weir_config_node *value = weir_config_node_find(node, key);
    weir_option option = {WEIR_SIZED(weir_option), .name = key, .type = type,
                          .width = sizeof(const char *)};
    const char *text = NULL;

    if (!value || weir_config_node_get_kind(value) != WEIR_NODE_SCALAR)
        return NULL;
    return weir_config_parse(context, value, &option, &text) ? text : NULL;
}

/* What a listener speaks. A key that is nearly right counts too: it is reported as unknown, and what the
 * protocol provides shall not be unknown as well. */
static const char *protocol_of(weir_config_context *context, const weir_config_node *listener)
{
    const char *name = text_at(context, listener, "protocol", WEIR_TYPE_STRING);

    for (size_t i = 0; !name && i < weir_config_node_count(listener); i++) {
        const weir_config_node *key = weir_config_node_key(listener, i);

        if (key && weir__config_is_near(weir_config_node_text(key), "protocol"))
            name = text_at(context, listener, weir_config_node_text(key), WEIR_TYPE_STRING);
    }
    return name ? name : "http";
}

/* plugins */

static void load_quietly(const char *name, const char *path)
{
    struct plugin *plugin;

    weir_ignore(weir__registry_load(registry, name, path, &plugin));
}

/* Names in `inspect:` that a plugin of that name may stand behind. */
static void load_inspectors(const weir_config_node *inspect)
{
    bool list = inspect && weir_config_node_get_kind(inspect) == WEIR_NODE_LIST;

    for (size_t i = 0; inspect && i < (list ? weir_config_node_count(inspect) : 1); i++) {
        const char *name =
            weir_config_node_text(list ? weir_config_node_item(inspect, i) : inspect);

        if (*name && !weir__inspector_is_own(name) && !weir__registry_plugin(registry, name) &&
            weir__registry_has_file(registry, name))
            load_quietly(name, NULL);
    }
}

void weir__schema_load_plugins(weir_config_context *context, const weir_config_node *root)
{
    const weir_config_node *plugins = weir_config_node_find(root, "plugins");
    const weir_config_node *listeners = weir_config_node_find(root, "listeners");
    const weir_config_node *admin = weir_config_node_find(root, "admin");

    for (size_t i = 0; plugins && i < weir_config_node_count(plugins); i++) {
        const weir_config_node *key = weir_config_node_key(plugins, i);
        const weir_config_node *value = weir_config_node_item(plugins, i);

        if (key)
            load_quietly(weir_config_node_text(key),
                         text_at(context, value, "path", WEIR_TYPE_PATH));
    }
    if (admin && weir_config_node_find(admin, "http") && weir__registry_has_file(registry, "admin"))
        load_quietly("admin", NULL);
    for (size_t i = 0; listeners && i < weir_config_node_count(listeners); i++) {
        const char *name = protocol_of(context, weir_config_node_item(listeners, i));
        struct plugin *plugin;

        if (!weir__registry_protocol(registry, name, &plugin) &&
            weir__registry_has_file(registry, name))
            load_quietly(name, NULL);
        load_inspectors(weir_config_node_find(weir_config_node_item(listeners, i), "inspect"));
    }
}

void weir__plugin_extend(weir_config_context *context, const weir_config_node *node, void *map)
{
    struct plugin_config *plugin = map;
    const char *optional = text_at(context, node, "optional", WEIR_TYPE_STRING);
    bool may_lack = optional && (!strcmp(optional, "true") || !strcmp(optional, "yes") ||
                                 !strcmp(optional, "on"));
    weir_error *error = weir__registry_load(
        registry, plugin->name, text_at(context, node, "path", WEIR_TYPE_PATH), &plugin->plugin);
    char text[600];

    if (!error) {
        const weir_plugin *descriptor = plugin->plugin->descriptor;

        plugin->config = weir_config_alloc(context, descriptor->config_size);
        add_block(context, "config", descriptor->options, plugin->config, plugin->plugin->owner);
        return;
    }
    weir_error_message(error, text, sizeof text);
    weir_error_unref(error);
    if (may_lack)
        weir_config_warning(context, plugin, "%s", text);
    else
        weir_config_error(context, plugin, "%s", text);
    add_any(context, "config", map);
}

/* upstreams */

void weir__upstream_extend(weir_config_context *context, const weir_config_node *node, void *map)
{
    struct upstream_config *upstream = map;
    size_t n = 0;

    (void)node;
    for (struct plugin *plugin = registry->plugins; plugin; plugin = plugin->next)
        for (const weir_protocol *const *p = plugin->descriptor->protocols; p && *p; p++)
            n += (*p)->upstream_options != NULL;
    upstream->protocols = weir_config_alloc(context, (n + 1) * sizeof *upstream->protocols);
    for (struct plugin *plugin = registry->plugins; plugin; plugin = plugin->next) {
        for (const weir_protocol *const *p = plugin->descriptor->protocols; p && *p; p++) {
            void *config;

            if (!(*p)->upstream_options)
                continue;
            config = weir_config_alloc(context, (*p)->upstream_config_size);
            weir_config_add_options(context, (*p)->upstream_options, config, plugin->owner);
            upstream->protocols[upstream->n_protocols++] =
                (struct upstream_protocol_config){*p, config};
        }
    }
}

/* listeners and routes */

WEIR_OPTIONS(route_options,
             WEIR_OPTION_STRING(struct route_config, name, NULL,
                                "For logs and metrics; routes[N] when not set", .optional = true),
             WEIR_OPTION_ANY_OF(struct route_config, match, ".match",
                                "What must fit, all of it; everything fits when not set",
                                .optional = true),
             WEIR_OPTION_PLANNED("use", "Filters"));

#define ROUTES_DOC "The first whose match fits is taken"
#define ROUTE_ELEMENT                                                                          \
    WEIR_ELEMENT(WEIR_TYPE_MAP, struct route_config, .kind = "route", .fields = route_options, \
                 .extend = weir__route_extend)
WEIR_OPTIONS(route_action, WEIR_OPTION_ONE_OF(struct route_config, action, ".action",
                                              "What the route does", .inlined = true));
WEIR_OPTIONS(route_nested, WEIR_OPTION_LIST(struct route_config, routes, struct route_config,
                                            ROUTE_ELEMENT, NULL, ROUTES_DOC, .required = true));
WEIR_OPTIONS(routes_required, WEIR_OPTION_LIST(struct listener_config, routes, struct route_config,
                                               ROUTE_ELEMENT, NULL, ROUTES_DOC, .required = true));
WEIR_OPTIONS(routes_optional, WEIR_OPTION_LIST(struct listener_config, routes, struct route_config,
                                               ROUTE_ELEMENT, NULL, ROUTES_DOC, .optional = true));

const weir_option *const weir__route_choices[] = {
    WEIR_OPTION_ONE_OF(struct route_config, action, ".action", "What the route does",
                       .inlined = true),
    WEIR_OPTION_LIST(struct route_config, routes, struct route_config, ROUTE_ELEMENT, NULL,
                     ROUTES_DOC),
    NULL,
};
const weir_option *const weir__listener_routes[] = {
    WEIR_OPTION_LIST(struct listener_config, routes, struct route_config, ROUTE_ELEMENT, NULL,
                     ROUTES_DOC, .optional = true),
    NULL,
};

void weir__route_extend(weir_config_context *context, const weir_config_node *node, void *map)
{
    bool nested = weir_config_node_find(node, "routes") != NULL;

    weir_config_add_options(context, nested ? route_nested : route_action, map, NULL);
}

static void report_no_protocol(weir_config_context *context, const weir_config_node *value,
                               const struct listener_config *listener, const char *name)
{
    bool has_file = weir__registry_has_file(registry, name);
    struct plugin *plugin;
    weir_error *error = has_file ? weir__registry_load(registry, name, NULL, &plugin) : NULL;
    char text[600];

    if (error) {
        weir_error_message(error, text, sizeof text);
        weir_error_unref(error);
    }
    if (value)
        weir_config_error_at(context, value, "there is no protocol `%s`", name);
    else
        weir_config_error(context, listener, "there is no protocol `%s`", name);
    if (error)
        weir_config_label(context, "%s", text);
    else if (has_file)
        weir_config_label(context, "plugin `%s` provides no protocol of that name", name);
    else
        weir_config_label(context,
                          "no plugin that is loaded provides it, and %s/%s.so does not exist",
                          registry->plugin_dir, name);
}

/* Kinds of "http.action" stand in front of ".match" as "http". */
static void set_scope(weir_config_context *context, const weir_protocol *protocol)
{
    const char *dot = protocol->action_kind ? strchr(protocol->action_kind, '.') : NULL;
    char scope[64];
    size_t len = dot ? (size_t)(dot - protocol->action_kind) : strlen(protocol->name);

    if (len >= sizeof scope)
        len = sizeof scope - 1;
    memcpy(scope, dot ? protocol->action_kind : protocol->name, len);
    scope[len] = '\0';
    weir_config_set_scope(context, scope);
}

void weir__listener_extend(weir_config_context *context, const weir_config_node *node, void *map)
{
    struct listener_config *listener = map;
    const char *name = protocol_of(context, node);
    const weir_protocol *protocol;

    protocol = weir__registry_protocol(registry, name, &listener->plugin);
    if (!protocol) {
        report_no_protocol(context, weir_config_node_find(node, "protocol"), listener, name);
        add_any(context, "routes", map);
        add_any(context, name, map);
        return;
    }
    listener->protocol = protocol;
    set_scope(context, protocol);
    if (protocol->action_kind)
        weir_config_add_options(
            context, protocol->routes_required ? routes_required : routes_optional, map, NULL);
    listener->protocol_config = weir_config_alloc(context, protocol->config_size);
    add_block(context, protocol->name, protocol->options, listener->protocol_config,
              listener->plugin->owner);
    listener->listener_config = weir_config_alloc(context, protocol->listener_config_size);
    if (protocol->listener_options)
        weir_config_add_options(context, protocol->listener_options, listener->listener_config,
                                listener->plugin->owner);
}
