/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `weir route` and `weirctl route`: who would serve a request, and why nobody else. The same question
 * and the same screen; the one asks the file, the other the running weir.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/ctl.h"

#define FIELDS_MAX 32

/* "-H 'A: b'" so often. */
static json_t *fields_json(const char *const *fields, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(fields[i]));
    return list;
}

/* The words "GET URL", or the URL alone; false: there are none, or too many. */
static bool add_request(json_t *into, const char *const *words, int n)
{
    char text[8300];

    if (n < 1 || n > 2)
        return false;
    (void)snprintf(text, sizeof text, "%s%s%s", words[0], n == 2 ? " " : "",
                   n == 2 ? words[1] : "");
    json_object_set_new(into, "request", json_string(text));
    return true;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static void print_row(const char *title, const char *name, const char *where, const char *more)
{
    printf("  %-9s %-22s %-24s %s\n", title, name, where, more);
}

static void print_upstream(const json_t *upstream)
{
    const json_t *server;
    size_t i;

    if (!upstream)
        return;
    print_row("upstream", text_of(upstream, "name"), text_of(upstream, "where"), "");
    json_array_foreach(json_object_get(upstream, "servers"), i, server)
        print_row("  server", json_string_value(server), "", "");
}

static void print_filters(const json_t *filters)
{
    const json_t *filter;
    size_t i;

    json_array_foreach(filters, i, filter) print_row("filter", json_string_value(filter), "", "");
}

static void print_others(const json_t *answer)
{
    const json_t *route;
    bool begun = false;
    size_t i;

    json_array_foreach(json_object_get(answer, "routes"), i, route)
    {
        const char *key_where = text_of(route, "key_where");

        if (json_is_true(json_object_get(route, "taken")))
            continue;
        if (!begun)
            printf("\nnot taken:\n");
        begun = true;
        printf("  %-20s %-20s %s%s%s%s\n", text_of(route, "name"), text_of(route, "where"),
               text_of(route, "why"), *key_where ? " (" : "", key_where, *key_where ? ")" : "");
    }
}

static void print_other_listeners(const json_t *answer)
{
    const json_t *listener;
    size_t i;

    printf("\nno listener takes it:\n");
    json_array_foreach(json_object_get(answer, "listeners"), i, listener)
        printf("  %-20s %-20s %s\n", text_of(listener, "name"), text_of(listener, "where"),
               text_of(listener, "why"));
}

static void print_explanation(const json_t *answer)
{
    const json_t *listener = json_object_get(answer, "listener");
    const json_t *route = json_object_get(answer, "route");
    const json_t *action = json_object_get(answer, "action");
    char more[300];

    if (!json_is_object(listener)) {
        print_other_listeners(answer);
        return;
    }
    (void)snprintf(more, sizeof more, "%s%s%s%s", text_of(listener, "protocol"),
                   json_is_true(json_object_get(listener, "tls")) ? " with TLS" : "",
                   *text_of(listener, "address") ? " on " : "", text_of(listener, "address"));
    print_row("listener", text_of(listener, "name"), text_of(listener, "where"), more);
    if (json_object_get(answer, "redirected")) {
        print_row("answer", "redirect to https", text_of(listener, "where"), "redirect_from");
    } else if (route) {
        print_row("route", text_of(route, "name"), text_of(route, "where"), "");
        print_filters(json_object_get(answer, "filters"));
        print_row("action", text_of(action, "name"), text_of(action, "where"), "");
        print_upstream(json_object_get(answer, "upstream"));
    } else {
        printf("\nno route takes it\n");
    }
    print_others(answer);
    if (json_object_get(answer, "handed_to")) {
        printf("\nhanded to:\n");
        print_explanation(json_object_get(answer, "handed_to"));
    }
}

int ctl_print_route(const struct ctl_arguments *arguments, const json_t *answer)
{
    (void)arguments;
    printf("%s from %s\n\n", text_of(answer, "request"), text_of(answer, "from"));
    print_explanation(answer);
    return json_is_true(json_object_get(answer, "served")) ? EXIT_OK : EXIT_NO;
}

bool ctl_route_params(const struct ctl_arguments *arguments, json_t *into)
{
    if (!add_request(into, arguments->words, arguments->n_words))
        return fprintf(stderr, "weirctl: route takes [METHOD] URL\n"), false;
    if (arguments->from)
        json_object_set_new(into, "from", json_string(arguments->from));
    json_object_set_new(into, "fields", fields_json(arguments->fields, arguments->n_fields));
    return true;
}

/* In the child, where plugins are loaded. */
static int explain(weir_host *host, void *arg)
{
    const struct arguments *arguments = arg;
    json_t *params = json_object(), *answer;
    char *asked, *text = NULL, why[600];
    weir_error *error;
    int code;

    if (!weir_host_load(host)) {
        weir_host_report(host, stderr, WEIR_HOST_TEXT, use_color(arguments));
        weir_host_summary(host, stderr);
        json_decref(params);
        return weir_host_exit_code(host);
    }
    (void)add_request(params, (const char *const *)arguments->rest, arguments->rest_count);
    if (arguments->from)
        json_object_set_new(params, "from", json_string(arguments->from));
    json_object_set_new(params, "fields", fields_json(arguments->fields, arguments->field_count));
    asked = json_dumps(params, JSON_COMPACT);
    error = weir_host_route(host, asked ? asked : "{}", &text);
    free(asked);
    json_decref(params);
    if (error) {
        weir_error_message(error, why, sizeof why);
        weir_error_unref(error);
        fprintf(stderr, "weir: %s\n", why);
        return EXIT_USAGE;
    }
    answer = json_loads(text, 0, NULL);
    code = json_is_true(json_object_get(answer, "served")) ? EXIT_OK : EXIT_NO;
    if (arguments->format == WEIR_HOST_JSON)
        printf("%s\n", text);
    else
        code = ctl_print_route(NULL, answer);
    json_decref(answer);
    free(text);
    return code;
}

static int run_route(const struct arguments *arguments)
{
    weir_host *host;
    int code;

    if (arguments->rest_count < 1 || arguments->rest_count > 2) {
        fprintf(stderr, "weir: usage: weir route [METHOD] URL [--from IP] [-H 'Name: value']\n");
        return EXIT_USAGE;
    }
    host = open_host(arguments);
    if (!host)
        return EXIT_SOFTWARE;
    code = weir_host_run_apart(host, explain, (void *)arguments);
    if (code < 0) {
        weir_host_report(host, stderr, WEIR_HOST_TEXT, use_color(arguments));
        weir_host_summary(host, stderr);
        code = weir_host_exit_code(host);
    }
    weir_host_free(host);
    return code;
}

const struct command command_route = {
    .name = "route",
    .synopsis = "[METHOD] URL [--from IP] [-H 'Name: value']…",
    .summary = "say who would serve a request, and why",
    .help =
        "  weir route https://example.com/admin/x\n"
        "  weir route -f site.yaml POST http://example.com/ --from 192.0.2.1\n"
        "  weir route https://example.com/ -H 'X-Version: v2' --json\n"
        "  weirctl route https://example.com/     asks the weir that runs\n"
        "\n"
        "The listener is the one whose port and TLS fit the URL. Nothing is sent anywhere.\n"
        "Connections of other protocols: tcp://host:5432, tls://host:5432.\n"
        "\n"
        "Exit status: 0 a route takes it, 1 none does, 78 something is wrong in a file, 66 the\n"
        "file cannot be read, 64 the command line.\n",
    .run = run_route,
};
