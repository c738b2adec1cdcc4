/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `health_check`: what every check has, and what its type adds. The type is the host's own (tcp), or an
 * extension of the kind "health_check" that a plugin provides; the plugin of that name is loaded when it
 * is not there yet.
 */
#include "config.h"

#include "host/health/health.h"

#include <string.h>

#include "host/schema/schema.h"

static const char *const proxy_versions[] = {"off", "v1", "v2", NULL};

const weir_option *const weir__health_options[] = {
    WEIR_OPTION_STRING(struct health_check_config, type, "http",
                       "What is asked: http, tcp (whether a connection is taken), or a plugin's"),
    WEIR_OPTION_DURATION(struct health_check_config, interval, "5s",
                         "From one check of a server to the next, more or less",
                         .min = WEIR_OPTION_MS(10), .max = WEIR_OPTION_S(86400)),
    WEIR_OPTION_DURATION(struct health_check_config, timeout, "2s",
                         "A check that takes longer has failed", .min = WEIR_OPTION_MS(1),
                         .max = WEIR_OPTION_S(3600)),
    WEIR_OPTION_INT(struct health_check_config, rise, "2",
                    "So many in a row that pass bring a server back", .min = 1, .max = 1000),
    WEIR_OPTION_INT(
        struct health_check_config, fall, "3",
        "So many in a row that fail take a server out; it is up until then, also at the "
        "start",
        .min = 1, .max = 1000),
    WEIR_OPTION_INT(struct health_check_config, port, NULL,
                    "Where to ask; the server's own port when not set", .optional = true, .min = 1,
                    .max = 65535),
    WEIR_OPTION_ENUM(
        struct health_check_config, proxy_protocol, proxy_versions, "off",
        "Begin each check's connection with a PROXY header that speaks for weir itself "
        "(UNKNOWN, LOCAL), for servers that want one: off, v1, v2"),
    NULL,
};

static struct provided *find(const struct registry *registry, const char *type)
{
    for (struct provided *p = registry->provided; p; p = p->next)
        if (!strcmp(p->extension->kind, "health_check") && !strcmp(p->extension->name, type))
            return p;
    return NULL;
}

static struct provided *find_or_load(struct registry *registry, const char *type)
{
    struct provided *p = find(registry, type);
    struct plugin *plugin;

    if (!p && weir__registry_has_file(registry, type)) {
        weir_ignore(weir__registry_load(registry, type, NULL, &plugin));
        p = find(registry, type);
    }
    return p;
}

/* It is read before the map is filled, for it says what else the map may hold. */
static const char *type_of(weir_config_context *context, const weir_config_node *node)
{
    static const weir_option option = {WEIR_SIZED(weir_option), .name = "type",
                                       .type = WEIR_TYPE_STRING, .width = sizeof(const char *)};
    const weir_config_node *value = weir_config_node_find(node, "type");
    const char *text = NULL;

    if (!value || weir_config_node_get_kind(value) != WEIR_NODE_SCALAR)
        return "http";
    return weir_config_parse(context, value, &option, &text) ? text : "http";
}

void weir__health_extend(weir_config_context *context, const weir_config_node *node, void *map)
{
    struct health_check_config *check = map;
    const char *type = type_of(context, node);
    struct provided *p;

    if (strcmp(type, "tcp") == 0) {
        check->way = &weir__health_tcp;
        return;
    }
    p = find_or_load(weir__schema_registry(), type);
    if (!p) {
        weir_config_error_at(context, weir_config_node_find(node, "type") ?: node,
                             "there is no health check `%s`", type);
        weir_config_help(context, "write `type: http` or `type: tcp`");
        return;
    }
    check->way = p->extension->table;
    if (p->head->options) {
        check->config = weir_config_alloc(context, p->head->config_size + 1);
        weir_config_add_options(context, p->head->options, check->config, p->owner);
    }
}

const struct health_spec *weir__upstream_health_of(weir_config_context *context,
                                                   const struct upstream_config *upstream)
{
    const struct health_check_config *check = upstream->health_check;
    struct health_spec *spec;

    if (!check || !check->way)
        return NULL;
    if (check->proxy_protocol && upstream->tls && upstream->tls->enabled)
        weir_config_error(context, &check->proxy_protocol,
                          "a PROXY header stands before TLS, which upstream `%s` speaks",
                          upstream->name);
    spec = weir_config_alloc(context, sizeof *spec);
    *spec = (struct health_spec){.way = check->way,
                                 .config = check->config,
                                 .interval = check->interval,
                                 .timeout = check->timeout,
                                 .rise = check->rise,
                                 .fall = check->fall,
                                 .port = check->port,
                                 .proxy = check->proxy_protocol};
    return spec;
}
