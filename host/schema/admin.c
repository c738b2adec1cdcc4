/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `admin.http`: a listener of the protocol `admin`, which the plugin of that name provides, as anybody
 * may write one below `listeners`; its keys are `bind` and those of the protocol. Absent: closed.
 */
#include "config.h"

#include "host/schema/schema.h"

const weir_option *const weir__admin_http_options[] = {
    WEIR_OPTION_LIST(struct admin_http_config, bind, weir_option_address,
                     WEIR_ELEMENT(WEIR_TYPE_ADDRESS, weir_option_address, .listen = true), NULL,
                     "Addresses to listen on; whoever reaches them may look", .required = true,
                     .primary = true, .reload = WEIR_RELOAD_SOCKET, .example = "127.0.0.1:9090"),
    WEIR_OPTION_PLANNED("dashboard", "The page for people"),
    NULL,
};

/* What listeners have where nothing is said. */
#define BACKLOG   4096
#define HANDSHAKE WEIR_S(10)

void weir__admin_extend(weir_config_context *context, const weir_config_node *node, void *map)
{
    struct admin_http_config *http = map;
    struct listener_config *listener = &http->listener;
    const weir_protocol *protocol =
        weir__registry_protocol(weir__schema_registry(), "admin", &listener->plugin);

    if (!protocol) {
        weir_config_error_at(context, node,
                             "`http` needs the plugin `admin`, which is not in the plugin folder");
        return;
    }
    listener->name = "admin.http";
    listener->protocol_name = protocol->name;
    listener->protocol = protocol;
    listener->protocol_config = weir_config_alloc(context, protocol->config_size);
    listener->listener_config = weir_config_alloc(context, protocol->listener_config_size);
    listener->backlog = BACKLOG;
    listener->timeouts.handshake = HANDSHAKE;
    if (protocol->options)
        weir_config_add_options(context, protocol->options, listener->protocol_config,
                                listener->plugin->owner);
}

struct listener_config *weir__admin_listener(struct config_top *top)
{
    struct admin_http_config *http = top->admin.http;

    if (!http || !http->listener.protocol)
        return NULL;
    http->listener.bind = http->bind;
    return &http->listener;
}
