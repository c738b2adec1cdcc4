/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `tests:`: requests and what is expected of them. Each is explained as `weir route` would, and what
 * differs is an error at the expectation; where weir itself is to answer, it is asked. Only the first
 * difference of a test is told: the others mostly follow from it.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/config/codes.h"
#include "host/route/explain.h"

struct testing {
    struct generation *g;
    weir_config_context *c;
    const struct test_config *said;
    const struct explanation *e;
};

static void report(struct testing *t, const void *field, const char *expected, const char *what)
{
    weir__config_error_code(t->c, CONFIG_TEST_FAILED, field, "`%s` %s, not `%s`", t->said->request,
                            what, expected);
    weir_config_label(t->c, "expected here");
}

/* Why the route that is expected does not take it. */
static void help_with_route(struct testing *t, const struct explanation *e, const char *name)
{
    for (size_t i = 0; i < e->n_routes; i++) {
        const struct explained_route *route = &e->routes[i];
        char why[1000], place[300];

        if (strcmp(route->name, name) != 0)
            continue;
        weir__config_where(t->c, route->field ? route->field : route->said, place, sizeof place);
        if (route->fits) {
            weir_config_help(t->c, "`%s` (%s) would take it, and comes later", name, place);
            return;
        }
        weir__explain_route(route, why, sizeof why);
        weir_config_help(t->c, "of `%s`: %s (%s)", name, why, place);
        return;
    }
    weir_config_help(t->c, "no route of listener `%s` has the name `%s`", e->listener->said->name,
                     name);
}

static bool check_listener(struct testing *t)
{
    const char *wanted = t->said->expect.listener;
    char found[200];

    if (!wanted)
        return true;
    for (const struct explanation *e = t->e; e; e = e->handed_to)
        if (e->listener && strcmp(e->listener->said->name, wanted) == 0)
            return true;
    (void)snprintf(found, sizeof found, "comes to listener `%s`",
                   t->e->listener ? t->e->listener->said->name : "");
    report(t, &t->said->expect.listener, wanted, t->e->listener ? found : "comes to no listener");
    for (size_t i = 0; i < t->e->n_listeners; i++) {
        const struct explained_listener *listener = &t->e->listeners[i];

        if (strcmp(listener->said->name, wanted) != 0)
            continue;
        weir__explain_listener(t->e, listener, found, sizeof found);
        weir_config_label_also(t->c, listener->said, "%s", found);
    }
    return false;
}

static bool check_route(struct testing *t)
{
    const struct explanation *end = weir__explanation_end(t->e);
    const char *wanted = t->said->expect.route;
    char found[300];

    if (!wanted)
        return true;
    for (const struct explanation *e = t->e; e; e = e->handed_to)
        if (e->route && strcmp(e->route->name, wanted) == 0)
            return true;
    (void)snprintf(found, sizeof found, "is taken by route `%s`",
                   end->route ? end->route->name : "");
    report(t, &t->said->expect.route, wanted, end->route ? found : "is taken by no route");
    if (end->route)
        weir_config_label_also(t->c, end->route->said, "this one takes it");
    if (end->listener)
        help_with_route(t, end, wanted);
    else
        weir_config_help(t->c, "no listener takes %s:// on port %u", end->request.scheme,
                         end->request.port);
    return false;
}

static bool check_upstream(struct testing *t)
{
    const struct explanation *end = weir__explanation_end(t->e);
    const char *wanted = t->said->expect.upstream, *name = NULL;
    char found[300];

    if (!wanted)
        return true;
    if (end->servers)
        name = end->servers->name;
    if (name && strcmp(name, wanted) == 0)
        return true;
    (void)snprintf(found, sizeof found, "goes to upstream `%s`", name ? name : "");
    report(t, &t->said->expect.upstream, wanted, name ? found : "goes to no upstream");
    if (end->route)
        weir_config_label_also(t->c, end->route->said, "this route takes it");
    return false;
}

/* The first value of a field in lines "Name: value"; false: there is none. */
static bool find_field(weir_slice lines, const char *name, weir_slice *ret)
{
    size_t len = strlen(name);

    while (lines.len) {
        const char *line = lines.data, *end = memchr(line, '\n', lines.len);
        size_t n = end ? (size_t)(end - line) : lines.len;

        if (n > len + 1 && line[len] == ':' && strncasecmp(line, name, len) == 0) {
            *ret = weir_slice_skip(weir_slice_of(line, n), len + 2);
            return true;
        }
        lines = weir_slice_skip(lines, end ? n + 1 : n);
    }
    return false;
}

static bool check_answer(struct testing *t, const struct rehearsal *answer)
{
    const struct test_expect_config *expect = &t->said->expect;
    char found[700], wanted[32];
    weir_slice lines, value;

    if (expect->status && expect->status != answer->status) {
        (void)snprintf(found, sizeof found, "is answered with status %d", answer->status);
        (void)snprintf(wanted, sizeof wanted, "%d", (int)expect->status);
        report(t, &expect->status, wanted, found);
        return false;
    }
    weir_error *error = weir_buffer_linear(answer->fields, &lines);

    if (error) {
        weir_ignore(error);
        return true;
    }
    WEIR_ARRAY_EACH(const struct test_field_config, field, expect->header)
    {
        bool has = find_field(lines, field->name, &value);

        if (has && weir_slice_equal(value, weir_slice_str(field->value)))
            continue;
        (void)snprintf(found, sizeof found, "is answered with%s `%s%.*s`", has ? "" : "out a field",
                       field->name, has ? (int)value.len + 2 : 0,
                       has ? (const char *)value.data - 2 : "");
        report(t, &field->value, field->value, found);
        return false;
    }
    return true;
}

static bool refuse(struct testing *t, const void *field, weir_error *take_error)
{
    char text[600];

    weir_error_message(take_error, text, sizeof text);
    weir_error_unref(take_error);
    weir__config_error_code(t->c, CONFIG_TEST_FAILED, field, "`%s`: %s", t->said->request, text);
    return false;
}

static bool check_own_answer(struct testing *t)
{
    const struct test_expect_config *expect = &t->said->expect;
    const struct explanation *end = weir__explanation_end(t->e);
    const void *field =
        expect->status ? (const void *)&expect->status : (const void *)expect->header.items;
    struct rehearsal answer = {0};
    weir_error *error;
    bool good;

    if (!expect->status && !expect->header.count)
        return true;
    if (end->upstream) {
        weir__config_error_code(t->c, CONFIG_TEST_FAILED, field,
                                "`%s` is answered by upstream `%s`, not by weir itself",
                                t->said->request, end->servers ? end->servers->name : "");
        weir_config_help(t->c, "`status` and `header` are for what weir answers; `upstream` says "
                               "who answers the rest");
        return false;
    }
    if (!end->listener)
        return refuse(t, field,
                      weir_raise(ENOENT, "no listener takes %s:// on port %u", end->request.scheme,
                                 end->request.port));
    error = weir__rehearse(t->e, &answer);
    if (error)
        return refuse(t, field, error);
    good = check_answer(t, &answer);
    weir_buffer_unref(answer.fields);
    return good;
}

static weir_error *fields_of(const struct test_config *said, char **ret)
{
    char *lines = strdup("");

    WEIR_ARRAY_EACH(const struct test_field_config, field, said->header)
    {
        char *more = NULL;

        if (!lines || strpbrk(field->value, "\r\n") ||
            asprintf(&more, "%s%s: %s\n", lines, field->name, field->value) < 0)
            more = NULL;
        free(lines);
        lines = more;
        if (!lines)
            return weir_raise(WEIR_EINVAL, "`%s` cannot be a header", field->name);
    }
    *ret = lines;
    return lines ? NULL : weir_raise(WEIR_ENOMEM, "test");
}

static bool run_test(struct generation *g, const struct test_config *said)
{
    struct testing t = {.g = g, .c = g->config, .said = said};
    struct route_question question = {.request = said->request, .from = said->from};
    const struct test_expect_config *expect = &said->expect;
    struct explanation *e = NULL;
    char *lines = NULL;
    weir_error *error;
    bool good;

    if (!expect->listener && !expect->route && !expect->upstream && !expect->status &&
        !expect->header.count) {
        weir__config_error_code(t.c, CONFIG_TEST_FAILED, expect, "`%s`: nothing is expected",
                                said->request);
        weir_config_help(t.c, "say one of listener, route, upstream, status and header");
        return false;
    }
    error = fields_of(said, &lines);
    question.fields = lines;
    if (!error)
        error = weir__route_explain(g, &question, &e);
    free(lines);
    if (error)
        return refuse(&t, &said->request, error);
    t.e = e;
    good = check_listener(&t) && check_route(&t) && check_upstream(&t) && check_own_answer(&t);
    weir__explanation_free(e);
    return good;
}

struct running {
    struct generation *g;
    size_t failed;
};

static void run_all(void *arg)
{
    struct running *running = arg;

    WEIR_ARRAY_EACH(const struct test_config, said, running->g->top->tests)
    running->failed += !run_test(running->g, said);
}

bool weir__generation_test(struct generation *g)
{
    struct running running = {g, 0};

    if (!g->top || !g->top->tests.count)
        return true;
    return weir__config_guard(g->config, run_all, &running) && !running.failed;
}
