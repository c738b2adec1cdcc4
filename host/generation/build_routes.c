/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The route table of a listener. Nested routes are laid out flat, in order: each takes the tests of
 * the routes around it and its own, so that "first match wins" needs no tree.
 */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "host/generation/generation.h"
#include "host/route/routes.h"

struct builder {
    struct generation *generation;
    weir_config_context *context;
    weir_routes *routes;
    weir_listener *listener;
};

struct compiling {
    const weir_matcher *matcher;
    weir_slice parameter, text;
    struct compiled_text *into;
    bool ok;
};

static void compile(weir_config_context *context, const void *config)
{
    struct compiling *job = (struct compiling *)config;

    job->ok = job->matcher->compile(context, job->parameter, job->text, &job->into->key,
                                    &job->into->compiled);
}

/* Every text of one key. Those that do not compile have been reported. */
static weir_error *add_test(struct builder *b, weir_route *route, const weir_matcher *matcher,
                            const char *parameter, const weir_array *texts)
{
    const char *const *items = texts->items;
    struct match_test *test;
    size_t n = 0;

    WEIR_TRY(weir__route_add_test(b->routes, route, matcher, weir_slice_str(parameter),
                                  texts->count, &test));
    for (size_t i = 0; i < texts->count; i++) {
        struct compiling job = {matcher, test->parameter, weir_slice_str(items[i]), &test->texts[n],
                                false};

        if (!items[i])
            continue;
        weir__config_check(b->context, compile, &job, &items[i]);
        n += job.ok;
    }
    test->n_texts = n;
    return NULL;
}

static weir_error *add_tests(struct builder *b, weir_route *route, const weir_array *match)
{
    WEIR_ARRAY_EACH(const weir_choice, choice, *match)
    {
        const weir_matcher *matcher = choice->table;

        if (!matcher || !matcher->compile)
            continue;
        if (!matcher->parameter) {
            const struct match_texts *said = choice->config;

            WEIR_TRY(add_test(b, route, matcher, NULL, &said->texts));
            continue;
        }
        WEIR_ARRAY_EACH(const struct match_parameter, said,
                        ((const struct match_parameters *)choice->config)->parameters)
        WEIR_TRY(add_test(b, route, matcher, said->name, &said->texts));
    }
    return NULL;
}

/* Looked for only where it matters. */
static const weir_config_node *action_node(const struct builder *b, const struct route_config *said)
{
    const struct provided *provided = said->action.host;
    const struct config_choice *choice =
        weir__instance_has_life(provided->head->instance)
            ? weir__config_choice_of(b->context, said->action.config)
            : NULL;

    return choice ? choice->value : NULL;
}

static weir_error *add_action(struct builder *b, weir_route *route, const struct route_config *said,
                              const char *place)
{
    const struct provided *provided = said->action.host;
    char path[300];

    if (!provided)
        return NULL; /* reported */
    snprintf(path, sizeof path, "listeners.%s.%s", b->listener->name, place);
    route->action = said->action.table;
    return weir__generation_add_instance(b->generation,
                                         &(struct instance_spec){.ops = provided->head->instance,
                                                                 .plugin = provided->plugin,
                                                                 .config = said->action.config,
                                                                 .node = action_node(b, said),
                                                                 .path = path,
                                                                 .owner = b->listener},
                                         &route->instance);
}

static weir_error *add_routes(struct builder *b, const weir_array *list, const weir_route *around,
                              const char *prefix);

static weir_error *add_route(struct builder *b, const struct route_config *said,
                             const weir_route *around, const char *place)
{
    const char *name = said->name ? said->name : place;
    weir_route *route;

    if (said->routes.count)
        WEIR_TRY(weir__routes_add_holder(b->routes, &route));
    else
        WEIR_TRY(weir__routes_add(b->routes, name, &route));
    for (const struct match_test *test = around ? around->tests : NULL; test; test = test->next)
        WEIR_TRY(weir__route_share_test(b->routes, route, test));
    WEIR_TRY(add_tests(b, route, &said->match));
    if (!said->routes.count)
        return add_action(b, route, said, place);
    return add_routes(b, &said->routes, route, place);
}

static weir_error *add_routes(struct builder *b, const weir_array *list, const weir_route *around,
                              const char *prefix)
{
    size_t i = 0;

    WEIR_ARRAY_EACH(const struct route_config, said, *list)
    {
        char place[256];

        snprintf(place, sizeof place, "%s%sroutes[%zu]", prefix, *prefix ? "." : "", i++);
        WEIR_TRY(add_route(b, said, around, place));
    }
    return NULL;
}

weir_error *weir__generation_build_routes(struct generation *g,
                                          const struct listener_config *config,
                                          weir_listener *listener)
{
    struct builder b = {g, g->config, NULL, listener};

    WEIR_TRY(weir__routes_new(&b.routes));
    listener->routes = b.routes;
    WEIR_TRY(add_routes(&b, &config->routes, NULL, ""));
    WEIR_TRY(weir__routes_seal(b.routes));
    g->n_routes += b.routes->n_routes;
    return NULL;
}
