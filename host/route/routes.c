/* SPDX-License-Identifier: Apache-2.0 */
/* Route tables while they are filled: their memory, routes, tests and slots. */
#include "config.h"

#include "host/route/routes.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)16 * 1024)

struct route_memory {
    struct route_memory *older;
    size_t used, size;
    uint64_t data[];
};

void *weir__routes_alloc(weir_routes *routes, size_t size)
{
    struct route_memory *block = routes->memory;

    size = (size + 15) & ~(size_t)15;
    if (!block || block->size - block->used < size) {
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;

        block = calloc(1, sizeof *block + room);
        if (!block)
            return NULL;
        block->size = room;
        block->older = routes->memory;
        routes->memory = block;
    }
    block->used += size;
    return (char *)block->data + block->used - size;
}

weir_error *weir__routes_new(weir_routes **ret)
{
    weir_routes *routes = calloc(1, sizeof *routes);

    if (!routes)
        return weir_raise(WEIR_ENOMEM, "routes");
    *ret = routes;
    return NULL;
}

static void drop_test(struct match_test *test)
{
    for (size_t i = 0; test->matcher->drop && i < test->n_texts; i++)
        if (test->texts[i].compiled)
            test->matcher->drop(test->texts[i].compiled);
}

static void drop_tests(const weir_route *route)
{
    for (struct match_test *test = route->tests; test; test = test->next)
        if (!test->shared)
            drop_test(test);
}

void weir__routes_free(weir_routes *routes)
{
    if (!routes)
        return;
    for (size_t i = 0; i < routes->n_routes; i++)
        drop_tests(routes->routes[i]);
    for (weir_route *holder = routes->holders; holder; holder = holder->next_holder)
        drop_tests(holder);
    for (struct route_memory *block = routes->memory, *older; block; block = older) {
        older = block->older;
        free(block);
    }
    free(routes->routes);
    free(routes->slots);
    free(routes);
}

weir_error *weir__routes_add(weir_routes *routes, const char *name, weir_route **ret)
{
    weir_route *route = weir__routes_alloc(routes, sizeof *route);
    char *copy = weir__routes_alloc(routes, strlen(name) + 1);

    if (!route || !copy)
        return weir_raise(WEIR_ENOMEM, "route");
    if (routes->n_routes == routes->room) {
        size_t room = routes->room ? routes->room * 2 : 16;
        void *grown = realloc(routes->routes, room * sizeof *routes->routes);

        if (!grown)
            return weir_raise(WEIR_ENOMEM, "route");
        routes->routes = grown;
        routes->room = room;
    }
    memcpy(copy, name, strlen(name) + 1);
    route->name = copy;
    route->number = (uint32_t)routes->n_routes;
    routes->routes[routes->n_routes++] = route;
    *ret = route;
    return NULL;
}

weir_error *weir__routes_add_holder(weir_routes *routes, weir_route **ret)
{
    weir_route *route = weir__routes_alloc(routes, sizeof *route);

    if (!route)
        return weir_raise(WEIR_ENOMEM, "route");
    route->next_holder = routes->holders;
    routes->holders = route;
    *ret = route;
    return NULL;
}

static weir_error *slot_of(weir_routes *routes, const weir_matcher *matcher, weir_slice parameter,
                           unsigned *ret)
{
    unsigned i;

    for (i = 0; i < routes->n_slots; i++)
        if (routes->slots[i].matcher == matcher &&
            weir_slice_equal(routes->slots[i].parameter, parameter))
            break;
    if (i == routes->slots_room) {
        unsigned room = i ? i * 2 : 8;
        void *grown = realloc(routes->slots, room * sizeof *routes->slots);

        if (!grown)
            return weir_raise(WEIR_ENOMEM, "route");
        routes->slots = grown;
        routes->slots_room = room;
    }
    if (i == routes->n_slots) {
        routes->slots[i].matcher = matcher;
        routes->slots[i].parameter = parameter;
        routes->n_slots++;
    }
    *ret = i;
    return NULL;
}

static void append_test(weir_route *route, struct match_test *test)
{
    struct match_test **end = &route->tests;

    while (*end)
        end = &(*end)->next;
    *end = test;
}

weir_error *weir__route_add_test(weir_routes *routes, weir_route *route,
                                 const weir_matcher *matcher, weir_slice parameter, size_t n_texts,
                                 struct match_test **ret)
{
    struct match_test *test = weir__routes_alloc(routes, sizeof *test);
    char *copy = weir__routes_alloc(routes, parameter.len + 1);

    if (test)
        test->texts = weir__routes_alloc(routes, (n_texts + 1) * sizeof *test->texts);
    if (!test || !copy || !test->texts)
        return weir_raise(WEIR_ENOMEM, "route");
    if (parameter.len)
        memcpy(copy, parameter.data, parameter.len);
    test->matcher = matcher;
    test->parameter = weir_slice_of(copy, parameter.len);
    test->n_texts = n_texts;
    WEIR_TRY(slot_of(routes, matcher, test->parameter, &test->slot));
    append_test(route, test);
    *ret = test;
    return NULL;
}

weir_error *weir__route_share_test(weir_routes *routes, weir_route *route,
                                   const struct match_test *test)
{
    struct match_test *copy = weir__routes_alloc(routes, sizeof *copy);

    if (!copy)
        return weir_raise(WEIR_ENOMEM, "route");
    *copy = *test;
    copy->shared = true;
    copy->next = NULL;
    append_test(route, copy);
    return NULL;
}
