/* SPDX-License-Identifier: Apache-2.0 */
/* Servers of upstreams: the table, their part of the status screen, and what operators say of them. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/ctl.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static long long count_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

/* "12 s", "6 m", "2 h", "4 d". */
static const char *age_text(const json_t *seconds, char *buffer, size_t size)
{
    double s = json_number_value(seconds);

    if (s < 60)
        (void)snprintf(buffer, size, "%.0f s", s);
    else if (s < 3600)
        (void)snprintf(buffer, size, "%.0f m", s / 60);
    else if (s < 86400)
        (void)snprintf(buffer, size, "%.0f h", s / 3600);
    else
        (void)snprintf(buffer, size, "%.0f d", s / 86400);
    return buffer;
}

/* What a peer answered must not reach a terminal as it is. */
static const char *clean(const json_t *object, const char *key, char *buffer, size_t size)
{
    return ctl_cell(json_object_get(object, key), CELL_TEXT, buffer, size);
}

/* The table */

static void add_row(json_t *rows, const json_t *upstream, json_t *server)
{
    const json_t *check = json_object_get(server, "check");
    const char *why = text_of(server, "reason"), *last = text_of(check, "last");
    const char *state = text_of(server, "override");
    char text[100];

    json_object_set(server, "upstream", json_object_get(upstream, "name"));
    json_object_set_new(server, "why", json_string(*why ? why : *last ? last : "-"));
    if (json_object_get(server, "weight_override"))
        (void)snprintf(text, sizeof text, "%s%sweight %lld", state, *state ? ", " : "",
                       count_of(server, "weight_override"));
    else
        (void)snprintf(text, sizeof text, "%s", *state ? state : "-");
    json_object_set_new(server, "said", json_string(text));
    if (json_object_get(server, "since"))
        json_object_set_new(
            server, "for",
            json_string(age_text(json_object_get(server, "since"), text, sizeof text)));
    json_array_append(rows, server);
}

int ctl_print_upstreams(const struct ctl_arguments *arguments, const json_t *answer)
{
    static const struct ctl_column columns[] = {
        {"UPSTREAM", "upstream", CELL_TEXT},    {"SERVER", "address", CELL_TEXT},
        {"STATE", "state", CELL_TEXT},          {"FOR", "for", CELL_TEXT},
        {"OVERRIDE", "said", CELL_TEXT},        {"WEIGHT", "weight", CELL_COUNT},
        {"CONNS", "connections", CELL_COUNT},   {"IDLE", "idle", CELL_COUNT},
        {"NEXT TRY", "next_try", CELL_SECONDS}, {"WHY", "why", CELL_TEXT}};
    json_t *rows = json_array();
    const json_t *upstream;
    json_t *server;
    size_t i, k;

    (void)arguments;
    json_array_foreach(json_object_get(answer, "upstreams"), i, upstream)
        json_array_foreach(json_object_get(upstream, "servers"), k, server)
            add_row(rows, upstream, server);
    ctl_table(rows, columns, sizeof columns / sizeof *columns);
    json_decref(rows);
    ctl_blocked(answer);
    return EXIT_OK;
}

/* The status screen */

/* "✗ 10.0.0.12:8080 down 6 m: GET /healthz → 503 (3 of 3)" */
static void print_not_up(const json_t *server)
{
    const json_t *since = json_object_get(server, "since");
    char text[300];

    printf("  ✗ %s %s", text_of(server, "address"), text_of(server, "state"));
    if (since)
        printf(" %s", age_text(since, text, sizeof text));
    if (*text_of(server, "reason"))
        printf(": %s", clean(server, "reason", text, sizeof text));
}

bool ctl_print_upstream_lines(const json_t *answer)
{
    const json_t *upstream, *server;
    size_t i, k;
    bool good = true;

    json_array_foreach(json_object_get(answer, "upstreams"), i, upstream)
    {
        printf("  %-13s %s %lld/%lld up", i ? "" : "upstreams", text_of(upstream, "name"),
               count_of(upstream, "up"), count_of(upstream, "of"));
        json_array_foreach(json_object_get(upstream, "servers"), k, server)
        {
            if (strcmp(text_of(server, "state"), "up") == 0)
                continue;
            print_not_up(server);
            good = good && strcmp(text_of(server, "state"), "down") != 0;
        }
        printf("\n");
    }
    return good;
}

static void print_override(const char **title, const json_t *upstream, const json_t *server,
                           const char *what, const char *by, const char *age)
{
    char who[100], when[40];

    printf("  %-13s %s/%s %s (by %s, %s ago)\n", *title, text_of(upstream, "name"),
           text_of(server, "address"), what, clean(server, by, who, sizeof who),
           age_text(json_object_get(server, age), when, sizeof when));
    *title = "";
}

void ctl_print_server_overrides(const json_t *answer, const char **title)
{
    const json_t *upstream, *server;
    char text[40];
    size_t i, k;

    json_array_foreach(json_object_get(answer, "upstreams"), i, upstream)
        json_array_foreach(json_object_get(upstream, "servers"), k, server)
    {
        if (json_object_get(server, "override"))
            print_override(title, upstream, server, text_of(server, "override"), "override_by",
                           "override_age");
        (void)snprintf(text, sizeof text, "weight %lld", count_of(server, "weight_override"));
        if (json_object_get(server, "weight_override"))
            print_override(title, upstream, server, text, "weight_by", "weight_age");
    }
}

/* drain, disable, enable, weight */

bool ctl_server_params(const struct ctl_arguments *arguments, json_t *into)
{
    double wait;

    if (strcmp(arguments->verb, "weight") == 0 && !arguments->reset && arguments->n_words < 2)
        return fprintf(stderr, "weirctl: usage: weirctl weight UPSTREAM/SERVER WEIGHT|--reset\n"),
               false;
    if (arguments->wait) {
        if (!ctl_read_time(arguments->wait, &wait))
            return fprintf(stderr, "weirctl: --wait is a time, as in 90s, 5m or 1h\n"), false;
        json_object_set_new(into, "wait", json_real(wait));
    }
    json_object_set_new(into, "server", json_string(arguments->words[0]));
    if (arguments->n_words > 1)
        json_object_set_new(into, "weight", json_string(arguments->words[1]));
    if (arguments->reset)
        json_object_set_new(into, "reset", json_true());
    return true;
}

int ctl_print_server(const struct ctl_arguments *arguments, const json_t *answer)
{
    long long left = count_of(answer, "connections");
    const json_t *waited = json_object_get(answer, "waited");
    char time[40], text[300];

    printf("%s/%s is %s", text_of(answer, "upstream"), text_of(answer, "address"),
           text_of(answer, "state"));
    if (json_object_get(answer, "weight_override") || strcmp(arguments->verb, "weight") == 0)
        printf(", weight %lld", count_of(answer, "weight"));
    if (*text_of(answer, "reason"))
        printf(": %s", clean(answer, "reason", text, sizeof text));
    if (waited)
        (void)ctl_cell(waited, CELL_SECONDS, time, sizeof time);
    if (waited && !left)
        printf(": no connection is left, after %s", time);
    else if (waited)
        printf(": %lld connections are left after %s", left, time);
    printf("\n");
    ctl_blocked(answer);
    return waited && left ? EXIT_NO : EXIT_OK;
}

int ctl_print_waiting(const json_t *record)
{
    long long left = count_of(record, "connections");

    printf("%s: %lld connection%s left\n", text_of(record, "server"), left,
           left == 1 ? " is" : "s are");
    return fflush(stdout) ? EXIT_OSERR : EXIT_OK;
}
