/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners, their routes as the file has them, and the connections that are open. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "host/status/status.h"

static json_t *listener_addresses(const weir_listener *listener)
{
    json_t *addresses = json_array();

    for (size_t i = 0; i < listener->n_addresses; i++)
        json_array_append_new(addresses, json_string(weir__address_name(&listener->addresses[i])));
    return addresses;
}

static const void *listener_field(const weir_host *host, const char *name)
{
    WEIR_ARRAY_EACH(const struct listener_config, said, host->generation->top->listeners)
    if (strcmp(said->name, name) == 0)
        return said;
    return NULL;
}

static void add_counters(const weir_listener *listener, json_t *into)
{
    uint64_t accepted = 0, refused = 0, in = 0, out = 0;

    for (unsigned i = 0; i < listener->slot->n_loops; i++) {
        const struct listener_counters *c = &listener->slot->loops[i].counters;

        accepted += __atomic_load_n(&c->accepted, __ATOMIC_RELAXED);
        refused += __atomic_load_n(&c->refused, __ATOMIC_RELAXED);
        in += __atomic_load_n(&c->bytes_in, __ATOMIC_RELAXED);
        out += __atomic_load_n(&c->bytes_out, __ATOMIC_RELAXED);
    }
    json_object_set_new(into, "connections", weir__status_count(weir__slot_open(listener->slot)));
    json_object_set_new(into, "accepted", weir__status_count(accepted));
    json_object_set_new(into, "refused", weir__status_count(refused));
    json_object_set_new(into, "bytes_in", weir__status_count(in));
    json_object_set_new(into, "bytes_out", weir__status_count(out));
}

static json_t *listeners(const struct question *question, json_t *const *shares, unsigned n)
{
    const struct generation *g = question->generation;
    json_t *list = json_array();

    (void)shares, (void)n;
    for (size_t i = 0; i < g->n_listeners; i++) {
        const weir_listener *listener = g->listeners[i];
        json_t *one = json_pack(
            "{s:s, s:s, s:b, s:o, s:o}", "name", listener->name, "protocol",
            listener->protocol->name, "tls", listener->tls != NULL, "addresses",
            listener_addresses(listener), "where",
            weir__status_where(question->host, listener_field(question->host, listener->name)));

        add_counters(listener, one);
        json_array_append_new(list, one);
    }
    return json_pack("{s:o}", "listeners", list);
}

const struct question_kind weir__ask_listeners = {
    .question = {.name = "listeners"},
    .finish = listeners,
};

/* Routes. */

static void add_text(json_t *list, const char *parameter, const weir_array *texts)
{
    const char *const *items = texts->items;
    char text[300];

    for (size_t i = 0; i < texts->count; i++) {
        (void)snprintf(text, sizeof text, "%s%s%s", parameter ? parameter : "",
                       parameter ? ": " : "", items[i]);
        json_array_append_new(list, json_string(text));
    }
}

/* {"host": ["example.com"], "header": ["X-A: b"]} */
static json_t *match_of(const struct route_config *said)
{
    json_t *match = json_object();

    WEIR_ARRAY_EACH(const weir_choice, choice, said->match)
    {
        const weir_matcher *matcher = choice->table;
        json_t *texts = json_array();

        if (!matcher->parameter)
            add_text(texts, NULL, &((const struct match_texts *)choice->config)->texts);
        else
            WEIR_ARRAY_EACH(const struct match_parameter, one,
                            ((const struct match_parameters *)choice->config)->parameters)
        add_text(texts, one->name, &one->texts);
        json_object_set_new(match, choice->name, texts);
    }
    return match;
}

/* What its action refers to: {"upstream": "app"}. */
static void add_references(const weir_host *host, const struct route_config *said, json_t *into)
{
    const struct provided *provided = said->action.host;
    const char *config = said->action.config;

    for (size_t i = 0; provided && i < weir__config_reference_count(host->generation->config);
         i++) {
        const struct config_reference *reference =
            weir__config_reference_at(host->generation->config, i);
        const char *field = (const char *)reference->field;

        if (field >= config && field < config + provided->head->config_size)
            json_object_set_new(
                into, reference->kind,
                json_string(reference->name ? reference->name : reference->address.text));
    }
}

static void add_routes(const struct question *question, const char *listener,
                       const weir_array *routes, const char *around, json_t *list)
{
    size_t i = 0;

    WEIR_ARRAY_EACH(const struct route_config, said, *routes)
    {
        char place[256];
        json_t *one;

        (void)snprintf(place, sizeof place, "%s%sroutes[%zu]", around, *around ? "." : "", i++);
        one = json_pack("{s:s, s:s, s:o, s:s?, s:o}", "listener", listener, "name",
                        said->name ? said->name : place, "match", match_of(said), "action",
                        said->routes.count ? NULL : said->action.name, "where",
                        weir__status_where(question->host, said));
        add_references(question->host, said, one);
        json_array_append_new(list, one);
        if (said->routes.count)
            add_routes(question, listener, &said->routes, place, list);
    }
}

static json_t *routes(const struct question *question, json_t *const *shares, unsigned n)
{
    json_t *list = json_array();

    (void)shares, (void)n;
    WEIR_ARRAY_EACH(const struct listener_config, said, question->generation->top->listeners)
    add_routes(question, said->name, &said->routes, "", list);
    return json_pack("{s:o}", "routes", list);
}

const struct question_kind weir__ask_routes = {
    .question = {.name = "routes"},
    .finish = routes,
};
