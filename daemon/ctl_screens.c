/* SPDX-License-Identifier: Apache-2.0 */
/* What is more than a table: the status screen, the tree of tasks, records of the log. */
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

/* status */

static void print_listeners(const json_t *answer)
{
    const json_t *one;
    char text[300];
    size_t i;

    json_array_foreach(json_object_get(answer, "listeners"), i, one)
        printf("  %-13s %s %s (%s%s)  %lld open\n", i ? "" : "listeners", text_of(one, "name"),
               ctl_cell(json_object_get(one, "addresses"), CELL_TEXT, text, sizeof text),
               text_of(one, "protocol"), json_is_true(json_object_get(one, "tls")) ? ", TLS" : "",
               count_of(one, "connections"));
}

static void print_loops(const json_t *answer)
{
    const json_t *loops = json_object_get(answer, "loops"), *loop;
    long long slow = 0;
    double lag = 0;
    size_t i;

    printf("  %-13s %zu   busy", "loops", json_array_size(loops));
    json_array_foreach((json_t *)loops, i, loop)
    {
        double here = json_number_value(json_object_get(loop, "lag_p99"));

        printf(" %.0f %%", 100 * json_number_value(json_object_get(loop, "busy_share")));
        lag = here > lag ? here : lag;
        slow += count_of(loop, "slow_callbacks");
    }
    printf("   lag p99 %.1f ms   slow callbacks %lld\n", lag * 1e3, slow);
}

static void print_executors(const json_t *answer)
{
    const json_t *one;
    size_t i;

    json_array_foreach(json_object_get(answer, "executors"), i, one) printf(
        "  %-13s %s %lld/%lld busy, queue %lld\n", i ? "" : "executors", text_of(one, "name"),
        count_of(one, "busy"), count_of(one, "threads_max"), count_of(one, "queued"));
}

static void print_left(const json_t *one)
{
    const json_t *left = json_object_get(one, "seconds_left");

    if (left)
        printf(" (%.0f s left)", json_number_value(left));
    printf("\n");
}

/* Runtime overrides, so that nobody forgets them. */
static void print_overrides(const json_t *answer)
{
    const json_t *one;
    const char *title = "overrides";
    size_t i;

    json_array_foreach(json_object_get(answer, "overrides"), i, one)
    {
        if (json_object_get(one, "logger"))
            printf("  %-13s log level of %s is %s", title, text_of(one, "logger"),
                   text_of(one, "level"));
        else
            printf("  %-13s debug mode is %s", title,
                   json_is_true(json_object_get(one, "debug")) ? "on" : "off");
        print_left(one);
        title = "";
    }
    ctl_print_server_overrides(answer, &title);
}

int ctl_print_status(const struct ctl_arguments *arguments, const json_t *answer)
{
    const char *state = text_of(answer, "state");
    char up[60];
    bool good;

    (void)arguments;
    ctl_cell(json_object_get(answer, "uptime"), CELL_SECONDS, up, sizeof up);
    printf("● weir %s  %s   up %s   pid %lld   generation %lld (%s)\n", text_of(answer, "version"),
           state, up, count_of(answer, "pid"), count_of(answer, "generation"),
           text_of(answer, "config"));
    ctl_print_reloads(answer);
    printf("  %-13s %lld / %lld\n", "connections", count_of(answer, "connections"),
           count_of(answer, "connections_max"));
    print_listeners(answer);
    good = ctl_print_upstream_lines(answer);
    print_loops(answer);
    print_executors(answer);
    print_overrides(answer);
    if (count_of(answer, "log_dropped"))
        printf("  %-13s %lld records of the log were dropped\n", "warning",
               count_of(answer, "log_dropped"));
    ctl_blocked(answer);
    return good && strcmp(state, "serving") == 0 ? EXIT_OK : EXIT_NO;
}

/* tasks */

static void print_stack(const json_t *task, int depth)
{
    const json_t *frame;
    size_t i;

    json_array_foreach(json_object_get(task, "stack"), i, frame)
    {
        const char *file = text_of(frame, "file");

        if (*file)
            printf("%*s  in %s  %s:%lld\n", depth * 2, "", text_of(frame, "function"), file,
                   count_of(frame, "line"));
        else
            printf("%*s  in %s\n", depth * 2, "", text_of(frame, "function"));
    }
}

static void print_task(const json_t *task, int depth)
{
    const char *waits = text_of(task, "waits_at");

    printf("%*s%s  %s  %s  loop %lld  created %s%s%s\n", depth * 2, "", text_of(task, "name"),
           text_of(task, "function"), text_of(task, "state"), count_of(task, "loop"),
           text_of(task, "created"), *waits ? "  waits at " : "", waits);
    print_stack(task, depth);
}

static bool awaits(const json_t *awaited, const json_t *waiter)
{
    const json_t *id;
    size_t i;

    json_array_foreach(json_object_get(awaited, "awaited_by"), i,
                       id) if (json_integer_value(id) == count_of(waiter, "id")) return true;
    return false;
}

/* Below each task those that it awaits; a circle ends at its depth. */
static void print_below(const json_t *tasks, const json_t *waiter, int depth)
{
    const json_t *task;
    size_t i;

    if (depth > 32)
        return;
    json_array_foreach((json_t *)tasks, i, task)
    {
        if (!awaits(task, waiter))
            continue;
        print_task(task, depth);
        print_below(tasks, task, depth + 1);
    }
}

int ctl_print_tasks(const struct ctl_arguments *arguments, const json_t *answer)
{
    const json_t *tasks = json_object_get(answer, "tasks"), *task;
    size_t i;

    json_array_foreach((json_t *)tasks, i, task)
    {
        if (!arguments->tree) {
            print_task(task, 0);
        } else if (!json_array_size(json_object_get(task, "awaited_by"))) {
            print_task(task, 0);
            print_below(tasks, task, 1);
        }
    }
    printf("%zu task%s\n", json_array_size(tasks), json_array_size(tasks) == 1 ? "" : "s");
    ctl_blocked(answer);
    return EXIT_OK;
}

/* tls */

/* Those with a warning; the exit status says whether there are any. */
static int print_warnings(const json_t *certificates)
{
    const json_t *one;
    int status = EXIT_OK;
    size_t i;

    json_array_foreach(certificates, i, one)
    {
        if (!*text_of(one, "warning"))
            continue;
        printf("certificate %s: %s\n", text_of(one, "name"), text_of(one, "warning"));
        status = EXIT_NO;
    }
    return status;
}

int ctl_print_tls(const struct ctl_arguments *arguments, const json_t *answer)
{
    static const struct ctl_column shown[] = {
        {"CERTIFICATE", "name", CELL_TEXT}, {"LISTENER", "listener", CELL_TEXT},
        {"KEY", "key", CELL_TEXT},          {"DAYS LEFT", "days_left", CELL_COUNT},
        {"SUBJECT", "subject", CELL_TEXT},  {"ISSUER", "issuer", CELL_TEXT}};
    static const struct ctl_column counted[] = {
        {"LISTENER", "listener", CELL_TEXT}, {"HANDSHAKES", "done", CELL_COUNT},
        {"TLS 1.2", "tls_1_2", CELL_COUNT},  {"RESUMED", "tls_1_2_resumed", CELL_COUNT},
        {"TLS 1.3", "tls_1_3", CELL_COUNT},  {"RESUMED", "tls_1_3_resumed", CELL_COUNT},
        {"FAILED", "failed", CELL_COUNT}};
    const json_t *certificates = json_object_get(answer, "certificates");
    char words[200];

    (void)arguments;
    ctl_table(certificates, shown, sizeof shown / sizeof *shown);
    printf("\n");
    ctl_table(json_object_get(answer, "handshakes"), counted, sizeof counted / sizeof *counted);
    printf("\nTLS of the kernel: %s; it is not used\n",
           ctl_cell(json_object_get(json_object_get(answer, "kernel"), "words"), CELL_TEXT, words,
                    sizeof words));
    ctl_blocked(answer);
    return print_warnings(certificates);
}

/* logs */

static void print_bytes(const char *title, const json_t *object, const char *key, const char *what)
{
    char text[32];

    if (json_object_get(object, key))
        printf("  %-12s %10s  %s\n", title,
               ctl_cell(json_object_get(object, key), CELL_BYTES, text, sizeof text), what);
}

int ctl_print_memory(const struct ctl_arguments *arguments, const json_t *answer)
{
    const json_t *heap = json_object_get(answer, "heap");
    const json_t *descriptors = json_object_get(answer, "descriptors");

    (void)arguments;
    print_bytes("resident", answer, "rss", "in memory, shared pages counted whole");
    print_bytes("share", answer, "pss", "shared pages counted by their share");
    print_bytes("private", answer, "private", "written, and nobody else's");
    print_bytes("swapped", answer, "swap", "");
    print_bytes("heap", heap, "used", "allocated");
    print_bytes("", heap, "free", "kept for later");
    printf("  %-12s %10lld  of %lld\n", "descriptors",
           (long long)json_integer_value(json_object_get(descriptors, "open")),
           (long long)json_integer_value(json_object_get(descriptors, "limit")));
    printf("  %-12s %10lld\n", "connections",
           (long long)json_integer_value(json_object_get(answer, "connections")));
    return EXIT_OK;
}

static const char *word_of(const json_t *record, const char *key, char *buffer, size_t size)
{
    const json_t *value = json_object_get(record, key);

    return value ? ctl_cell(value, CELL_TEXT, buffer, size) : "-";
}

static int print_dropped(const json_t *dropped)
{
    printf("… %lld records were not read in time\n", (long long)json_integer_value(dropped));
    return EXIT_OK;
}

/* "08:00:00.123 192.0.2.7 GET example.org/a 200 upstream.reset 12.3 ms app 10.0.0.1:80" */
int ctl_print_access(const json_t *record)
{
    const json_t *dropped = json_object_get(record, "dropped");
    char time[60], client[140], method[40], host[300], path[1000], outcome[60], up[200],
        server[200];

    if (dropped)
        return print_dropped(dropped);
    (void)word_of(record, "ts", time, sizeof time);
    printf("%.12s %s %s %s%s", strlen(time) > 11 ? time + 11 : "-",
           word_of(record, "client_ip", client, sizeof client),
           json_object_get(record, "method") ? word_of(record, "method", method, sizeof method)
                                             : "connection",
           json_object_get(record, "host") ? word_of(record, "host", host, sizeof host) : "",
           json_object_get(record, "path") ? word_of(record, "path", path, sizeof path) : "");
    if (json_object_get(record, "status"))
        printf(" %lld", (long long)json_integer_value(json_object_get(record, "status")));
    printf(" %s %.1f ms %s %s\n", word_of(record, "outcome", outcome, sizeof outcome),
           json_number_value(json_object_get(record, "duration_ms")),
           word_of(record, "upstream", up, sizeof up),
           word_of(record, "server", server, sizeof server));
    return fflush(stdout) ? EXIT_OSERR : EXIT_OK;
}

int ctl_print_record(const json_t *record)
{
    const json_t *dropped = json_object_get(record, "dropped");
    char time[60], level[30], logger[200], message[2000];

    if (dropped)
        return print_dropped(dropped);
    ctl_cell(json_object_get(record, "time"), CELL_TEXT, time, sizeof time);
    ctl_cell(json_object_get(record, "level"), CELL_TEXT, level, sizeof level);
    ctl_cell(json_object_get(record, "logger"), CELL_TEXT, logger, sizeof logger);
    ctl_cell(json_object_get(record, "message"), CELL_TEXT, message, sizeof message);
    printf("%s %-8s %s: %s\n", time, level, logger, message);
    return fflush(stdout) ? EXIT_OSERR : EXIT_OK;
}
