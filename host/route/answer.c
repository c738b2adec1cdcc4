/* SPDX-License-Identifier: Apache-2.0 */
/* An explanation as JSON: the answer of `weir route --json` and of the control socket. */
#include "config.h"

#include <string.h>

#include "host/route/explain.h"

static json_t *where(const struct explanation *e, const void *field)
{
    char place[600];

    weir__config_where(e->generation->config, field, place, sizeof place);
    return json_string(place);
}

static json_t *listener_json(const struct explanation *e)
{
    const struct explained_listener *listener = e->listener;
    const weir_option_address *said;
    const char *address;

    if (!listener)
        return json_null();
    said = weir__listener_said_at(listener->said, listener->address);
    address = said ? said->text : NULL;
    if (listener->part->n_addresses > listener->address &&
        *weir__address_name(&listener->part->addresses[listener->address]))
        address = weir__address_name(&listener->part->addresses[listener->address]);
    return json_pack("{s:s, s:s, s:b, s:s?, s:o}", "name", listener->said->name, "protocol",
                     listener->said->protocol->name, "tls", listener->said->tls != NULL, "address",
                     address, "where", where(e, listener->said));
}

static json_t *listeners_json(const struct explanation *e)
{
    json_t *list = json_array();

    for (size_t i = 0; i < e->n_listeners; i++) {
        const struct explained_listener *listener = &e->listeners[i];
        char why[300];

        if (listener == e->listener)
            continue;
        weir__explain_listener(e, listener, why, sizeof why);
        json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "name", listener->said->name,
                                              "why", why, "where", where(e, listener->said)));
    }
    return list;
}

static json_t *texts_json(const weir_array *texts)
{
    const char *const *items = texts ? texts->items : NULL;
    json_t *list = json_array();

    for (size_t i = 0; texts && i < texts->count; i++)
        json_array_append_new(list, json_string(items[i]));
    return list;
}

static json_t *route_json(const struct explanation *e, const struct explained_route *route)
{
    json_t *one = json_pack("{s:s, s:o, s:b, s:b}", "name", route->name, "where",
                            where(e, route->said), "fits", route->fits, "taken", route == e->route);
    char why[1000] = "";

    if (!route->fits) {
        weir__explain_route(route, why, sizeof why);
        json_object_set_new(one, "key", json_string(route->key));
        if (route->parameter)
            json_object_set_new(one, "parameter", json_string(route->parameter));
        json_object_set_new(one, "takes", texts_json(route->texts));
        if (route->has_value)
            json_object_set_new(one, "value", json_string(route->value));
        json_object_set_new(one, "key_where", where(e, route->field));
    } else if (route != e->route && e->route) {
        (void)snprintf(why, sizeof why, "it would take it, and comes after `%s`", e->route->name);
    }
    if (*why)
        json_object_set_new(one, "why", json_string(why));
    return one;
}

static json_t *routes_json(const struct explanation *e)
{
    json_t *list = json_array();

    for (size_t i = 0; i < e->n_routes; i++)
        json_array_append_new(list, route_json(e, &e->routes[i]));
    return list;
}

static json_t *filters_json(const struct explanation *e)
{
    json_t *list = json_array();
    const weir_extension_head *head;

    for (size_t i = 0; (head = weir_route_filter(e->route->route, i, NULL)); i++)
        json_array_append_new(list, json_string(head->name));
    return list;
}

static json_t *upstream_json(const struct explanation *e)
{
    const struct config_reference *reference = e->upstream;
    json_t *servers = json_array();

    if (e->servers)
        WEIR_ARRAY_EACH(const struct server_config, server, e->servers->servers)
    json_array_append_new(servers, json_string(server->address.text));
    return json_pack("{s:s, s:o, s:o}", "name",
                     e->servers ? e->servers->name : reference->address.text, "servers", servers,
                     "where", where(e, reference->name ? reference->target : e->route->said));
}

static void add_route(const struct explanation *e, json_t *into)
{
    const struct explained_route *route = e->route;

    json_object_set_new(into, "routes", routes_json(e));
    if (!route)
        return;
    json_object_set_new(
        into, "route",
        json_pack("{s:s, s:o}", "name", route->name, "where", where(e, route->said)));
    json_object_set_new(into, "filters", filters_json(e));
    json_object_set_new(into, "action",
                        json_pack("{s:s, s:o}", "name", route->said->action.name, "where",
                                  where(e, route->said->action.config)));
    if (e->upstream)
        json_object_set_new(into, "upstream", upstream_json(e));
}

json_t *weir__explanation_json(const struct explanation *e)
{
    size_t line = strcspn(e->request.words, "\n");
    json_t *answer = json_pack("{s:s%, s:s, s:b, s:o, s:o}", "request", e->request.words, line,
                               "from", e->from, "served", weir__explanation_is_served(e),
                               "listener", listener_json(e), "listeners", listeners_json(e));

    if (e->listener && e->listener->redirects)
        json_object_set_new(answer, "redirected", json_true());
    else if (e->listener)
        add_route(e, answer);
    if (e->handed_to)
        json_object_set_new(answer, "handed_to", weir__explanation_json(e->handed_to));
    return answer;
}
