/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a request to who would serve it.
 *
 * The listener: the one that listens on the URL's port and speaks TLS where the URL does; a listener of
 * a protocol that routes connections unopened fits both. The route: what the index finds. Why the others
 * lose: their tests, one by one, beside the places where the configuration says them. The flat table
 * of a listener has the routes in the order of the file, so walking both together pairs them.
 */
#include "config.h"

#include "host/route/explain.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX    16
#define HANDOVER_MAX 4

/* Listeners. */

static unsigned port_of_name(const char *name)
{
    const char *colon = strncmp(name, "unix:", 5) == 0 ? NULL : strrchr(name, ':');

    return colon ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;
}

const weir_option_address *weir__listener_said_at(const struct listener_config *said, size_t index)
{
    const weir_option_address *bind = said->bind.items, *redirects = said->redirect_from.items;

    if (index < said->bind.count)
        return &bind[index];
    index -= said->bind.count;
    return index < said->redirect_from.count ? &redirects[index] : NULL;
}

/* Whether an address takes connections to the port: 2 it is the very address, 1 yes, 0 no, -1 it is
 * not known before it is bound. */
static int address_takes(const struct explained_listener *listener, size_t i,
                         const struct route_request *request)
{
    const weir_option_address *said = weir__listener_said_at(listener->said, i);
    const char *bound = listener->part && i < listener->part->n_addresses
                            ? weir__address_name(&listener->part->addresses[i])
                            : "";
    unsigned port = port_of_name(bound);

    if (said->kind == WEIR_ADDRESS_UNIX)
        return 0;
    if (!port && said->kind == WEIR_ADDRESS_INET)
        port = said->port;
    if (!port)
        return -1;
    if (port != request->port)
        return 0;
    return said->kind == WEIR_ADDRESS_INET && said->host && strcmp(said->host, request->host) == 0
               ? 2
               : 1;
}

/* It routes connections as they come, without a look at what is inside. */
static bool is_opaque(const struct listener_config *said)
{
    return said->protocol && !said->protocol->subject_of;
}

static enum listener_fit fit_of(struct explained_listener *listener,
                                const struct route_request *request, int *ret_rank)
{
    const struct listener_config *said = listener->said;
    bool http = strcmp(request->scheme, request->tls ? "https" : "http") == 0;
    bool datagrams = said->protocol && said->protocol->datagram;
    int best = 0;

    *ret_rank = 0;
    for (size_t i = 0; weir__listener_said_at(said, i); i++) {
        int takes = address_takes(listener, i, request);

        if (takes > best || (takes < 0 && best == 0)) {
            best = takes;
            listener->address = i;
            listener->redirects = i >= said->bind.count;
        }
    }
    if (!best)
        return LISTENER_OTHER_PORT;
    if (!said->protocol || (!http && !is_opaque(said)) ||
        datagrams != (strcmp(request->scheme, "udp") == 0))
        return LISTENER_OTHER_PROTOCOL;
    if (said->tls && !request->tls && !listener->redirects)
        return LISTENER_NEEDS_TLS;
    if (request->tls && (listener->redirects || (!said->tls && !is_opaque(said))))
        return LISTENER_IS_PLAIN;
    *ret_rank = best < 0 ? 1 : best == 2 ? 3 : 2;
    return best < 0 ? LISTENER_MAY_FIT : LISTENER_FITS;
}

static const weir_listener *part_of(const struct generation *g, const struct listener_config *said)
{
    for (size_t i = 0; i < g->n_listeners; i++)
        if (strcmp(g->listeners[i]->name, said->name) == 0)
            return g->listeners[i];
    return NULL;
}

static weir_error *choose_listener(struct explanation *e)
{
    const struct generation *g = e->generation;
    int best = 0;

    e->listeners = calloc(g->top->listeners.count + 1, sizeof *e->listeners);
    if (!e->listeners)
        return weir_raise(WEIR_ENOMEM, "listeners");
    WEIR_ARRAY_EACH(const struct listener_config, said, g->top->listeners)
    {
        struct explained_listener *listener = &e->listeners[e->n_listeners++];
        int rank;

        listener->said = said;
        listener->part = part_of(g, said);
        listener->fit = fit_of(listener, &e->request, &rank);
        if (listener->part && rank > best) {
            best = rank;
            e->listener = listener;
        }
    }
    return NULL;
}

void weir__explain_listener(const struct explanation *explanation,
                            const struct explained_listener *listener, char *text, size_t size)
{
    const struct route_request *request = &explanation->request;

    switch (listener->fit) {
    case LISTENER_FITS:
    case LISTENER_MAY_FIT:
        if (listener == explanation->listener)
            (void)snprintf(text, size, "it takes port %u", request->port);
        else
            (void)snprintf(text, size, "another listener fits better");
        break;
    case LISTENER_OTHER_PORT:
        (void)snprintf(text, size, "it does not listen on port %u", request->port);
        break;
    case LISTENER_NEEDS_TLS:
        (void)snprintf(text, size, "it speaks TLS, and %s:// does not", request->scheme);
        break;
    case LISTENER_IS_PLAIN:
        (void)snprintf(text, size, "it speaks no TLS, and %s:// does", request->scheme);
        break;
    case LISTENER_OTHER_PROTOCOL:
        (void)snprintf(text, size, "it speaks %s, and the URL is %s://",
                       listener->said->protocol ? listener->said->protocol->name : "nothing",
                       request->scheme);
        break;
    }
}

/* What matchers look at. */

static bool is_address(const char *host)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static weir_error *make_subject(struct explanation *e)
{
    const weir_protocol *protocol = e->listener->said->protocol;
    weir_subject *subject;

    if (protocol->subject_of) {
        WEIR_TRY(protocol->subject_of(e->request.words, &e->subject));
    } else {
        e->subject = calloc(1, sizeof *e->subject);
        if (!e->subject)
            return weir_raise(WEIR_ENOMEM, "subject");
        e->subject->size = sizeof *e->subject;
        if (strcmp(e->request.scheme, "tcp") != 0)
            e->subject->protocol = weir_slice_str(e->request.tls ? "tls" : e->request.scheme);
    }
    subject = e->subject;
    subject->client_ip = weir_slice_str(e->from);
    if (e->request.tls && !is_address(e->request.host))
        subject->sni = weir_slice_str(e->request.host);
    return NULL;
}

static void drop_subject(struct explanation *e)
{
    const weir_protocol *protocol = e->listener ? e->listener->said->protocol : NULL;

    if (protocol && protocol->subject_of && protocol->subject_free)
        protocol->subject_free(e->subject);
    else
        free(e->subject);
}

/* Routes. */

struct walk {
    struct explanation *e;
    const weir_routes *routes;
    const struct route_config *chain[CHAIN_MAX]; /* the routes around, and the route itself */
    size_t depth, number;
};

struct key {
    const char *name, *parameter;
    const void *field;
    const weir_array *texts;
};

/* The i-th test of a route, as the file has it: the keys of the routes around it come first. */
static bool key_at(const struct walk *walk, size_t index, struct key *ret)
{
    for (size_t depth = 0; depth < walk->depth; depth++) {
        WEIR_ARRAY_EACH(const weir_choice, choice, walk->chain[depth]->match)
        {
            const weir_matcher *matcher = choice->table;

            if (!matcher || !matcher->compile)
                continue;
            if (!matcher->parameter) {
                const struct match_texts *said = choice->config;

                *ret = (struct key){choice->name, NULL, choice->config, &said->texts};
                if (index-- == 0)
                    return true;
                continue;
            }
            WEIR_ARRAY_EACH(const struct match_parameter, said,
                            ((const struct match_parameters *)choice->config)->parameters)
            {
                *ret = (struct key){choice->name, said->name, said, &said->texts};
                if (index-- == 0)
                    return true;
            }
        }
    }
    return false;
}

static char *copy_of(weir_slice value)
{
    return strndup(value.len ? value.data : "", value.len);
}

static void find_reason(const struct walk *walk, struct explained_route *into)
{
    size_t i = 0;

    into->fits = true;
    for (const struct match_test *test = into->route->tests; test; test = test->next, i++) {
        weir_slice value = {NULL, 0};
        struct key key = {NULL, NULL, NULL, NULL};

        if (weir__route_test(walk->routes, walk->e->subject, test, &into->has_value, &value))
            continue;
        into->fits = false;
        into->test = test;
        if (key_at(walk, i, &key)) {
            into->key = key.name;
            into->parameter = key.parameter;
            into->field = key.field;
            into->texts = key.texts;
        }
        if (test->matcher->modes & WEIR_MATCH_CIDR)
            value = walk->e->subject->client_ip;
        into->value = copy_of(value);
        return;
    }
}

static weir_error *look_at(struct walk *walk, const weir_array *list, const char *around)
{
    size_t i = 0;

    WEIR_ARRAY_EACH(const struct route_config, said, *list)
    {
        struct explained_route *into;
        char place[256];

        (void)snprintf(place, sizeof place, "%s%sroutes[%zu]", around, *around ? "." : "", i++);
        if (walk->depth == CHAIN_MAX)
            return weir_raise(WEIR_ELIMIT, "routes are nested more than %d deep", CHAIN_MAX);
        walk->chain[walk->depth++] = said;
        if (said->routes.count) {
            WEIR_TRY(look_at(walk, &said->routes, place));
        } else if (walk->number < walk->routes->n_routes) {
            into = &walk->e->routes[walk->e->n_routes++];
            into->said = said;
            into->name = strdup(said->name ? said->name : place);
            into->route = walk->routes->routes[walk->number++];
            find_reason(walk, into);
        }
        walk->depth--;
    }
    return NULL;
}

static weir_error *choose_route(struct explanation *e)
{
    const weir_routes *routes = e->listener->part->routes;
    const weir_route *found = weir_routes_find(routes, e->subject);
    struct walk walk = {.e = e, .routes = routes};

    e->routes = calloc(routes->n_routes + 1, sizeof *e->routes);
    if (!e->routes)
        return weir_raise(WEIR_ENOMEM, "routes");
    WEIR_TRY(look_at(&walk, &e->listener->said->routes, ""));
    for (size_t i = 0; i < e->n_routes; i++) {
        if (!e->routes[i].name)
            return weir_raise(WEIR_ENOMEM, "routes");
        if (e->routes[i].route == found)
            e->route = &e->routes[i];
    }
    return NULL;
}

void weir__explain_route(const struct explained_route *route, char *text, size_t size)
{
    const char *const *items = route->texts ? route->texts->items : NULL;
    size_t n = route->texts ? route->texts->count : 0, used;
    char name[200];

    (void)snprintf(name, sizeof name, "%s%s%s", route->key ? route->key : "its match",
                   route->parameter ? " " : "", route->parameter ? route->parameter : "");
    if (!route->has_value)
        used = (size_t)snprintf(text, size, "the request has no %s; it takes", name);
    else
        used = (size_t)snprintf(text, size, "%s is `%s`, not", name, route->value);
    for (size_t i = 0; i < n && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s `%s`", i ? " or" : "", items[i]);
}

/* What the action of a route refers to. */

static const struct config_reference *
reference_of(const struct generation *g, const struct route_config *said, const char *kind)
{
    const struct provided *provided = said->action.host;
    const char *config = said->action.config;

    for (size_t i = 0; provided && i < weir__config_reference_count(g->config); i++) {
        const struct config_reference *reference = weir__config_reference_at(g->config, i);
        const char *field = (const char *)reference->field;

        if (field >= config && field < config + provided->head->config_size &&
            strcmp(reference->kind, kind) == 0)
            return reference;
    }
    return NULL;
}

/* An upstream that is named, or the one that stands for an address. */
static const struct upstream_config *servers_of(const struct generation *g,
                                                const struct config_reference *reference)
{
    if (reference->name)
        return reference->target;
    for (size_t i = 0; i < g->n_upstreams; i++)
        if (g->upstreams[i] == *reference->field)
            return g->upstream_configs[i];
    return NULL;
}

static weir_error *explain_at(struct explanation *e, unsigned depth);

/* The listener that a route hands its connections to looks at the same request. */
static weir_error *hand_over(struct explanation *e, const struct listener_config *to,
                             unsigned depth)
{
    struct explanation *next;

    if (depth == HANDOVER_MAX)
        return weir_raise(WEIR_ELIMIT, "connections are handed over more than %d times",
                          HANDOVER_MAX);
    next = calloc(1, sizeof *next);
    if (!next)
        return weir_raise(WEIR_ENOMEM, "explanation");
    e->handed_to = next;
    next->generation = e->generation;
    next->request = e->request;
    next->request.words = strdup(e->request.words);
    next->from = strdup(e->from);
    if (!next->request.words || !next->from)
        return weir_raise(WEIR_ENOMEM, "explanation");
    WEIR_TRY(choose_listener(next));
    next->listener = NULL;
    for (size_t i = 0; i < next->n_listeners; i++)
        if (next->listeners[i].said == to && next->listeners[i].part)
            next->listener = &next->listeners[i];
    return explain_at(next, depth + 1);
}

static weir_error *explain_at(struct explanation *e, unsigned depth)
{
    const struct config_reference *listener;

    if (!e->listener || e->listener->redirects)
        return NULL;
    WEIR_TRY(make_subject(e));
    WEIR_TRY(choose_route(e));
    if (!e->route)
        return NULL;
    e->upstream = reference_of(e->generation, e->route->said, "upstream");
    if (e->upstream)
        e->servers = servers_of(e->generation, e->upstream);
    listener = reference_of(e->generation, e->route->said, "listener");
    return listener && listener->target ? hand_over(e, listener->target, depth) : NULL;
}

weir_error *weir__route_explain(const struct generation *g, const struct route_question *question,
                                struct explanation **ret)
{
    const char *from = question->from ? question->from : "127.0.0.1";
    struct explanation *e;
    weir_error *error;

    if (!is_address(from))
        return weir_raise(WEIR_EINVAL, "`%s` is no IP address", from);
    e = calloc(1, sizeof *e);
    if (!e)
        return weir_raise(WEIR_ENOMEM, "explanation");
    e->generation = g;
    e->from = strdup(from);
    error = e->from ? weir__route_request_parse(question, &e->request)
                    : weir_raise(WEIR_ENOMEM, "explanation");
    if (!error)
        error = choose_listener(e);
    if (!error)
        error = explain_at(e, 0);
    if (error) {
        weir__explanation_free(e);
        return error;
    }
    *ret = e;
    return NULL;
}

bool weir__explanation_is_served(const struct explanation *explanation)
{
    const struct explanation *end = weir__explanation_end(explanation);

    return end->route || (end->listener && end->listener->redirects);
}

const struct explanation *weir__explanation_end(const struct explanation *explanation)
{
    while (explanation->handed_to)
        explanation = explanation->handed_to;
    return explanation;
}

void weir__explanation_free(struct explanation *explanation)
{
    if (!explanation)
        return;
    weir__explanation_free(explanation->handed_to);
    drop_subject(explanation);
    for (size_t i = 0; i < explanation->n_routes; i++) {
        free(explanation->routes[i].name);
        free(explanation->routes[i].value);
    }
    free(explanation->routes);
    free(explanation->listeners);
    free(explanation->from);
    weir__route_request_done(&explanation->request);
    free(explanation);
}
