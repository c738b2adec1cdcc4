/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of weirctl: one table, from which help, the manual page and completion are made too. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/ctl.h"

#define TABLE(name, list, ...)                                                               \
    static int name(const struct ctl_arguments *arguments, const json_t *answer)             \
    {                                                                                        \
        static const struct ctl_column columns[] = {__VA_ARGS__};                            \
                                                                                             \
        (void)arguments;                                                                     \
        ctl_table(json_object_get(answer, list), columns, sizeof columns / sizeof *columns); \
        ctl_blocked(answer);                                                                 \
        return EXIT_OK;                                                                      \
    }

TABLE(print_listeners, "listeners", {"LISTENER", "name", CELL_TEXT},
      {"PROTOCOL", "protocol", CELL_TEXT}, {"TLS", "tls", CELL_YES},
      {"OPEN", "connections", CELL_COUNT}, {"ACCEPTED", "accepted", CELL_COUNT},
      {"REFUSED", "refused", CELL_COUNT}, {"IN", "bytes_in", CELL_BYTES},
      {"OUT", "bytes_out", CELL_BYTES}, {"ADDRESSES", "addresses", CELL_TEXT})
TABLE(print_routes, "routes", {"LISTENER", "listener", CELL_TEXT}, {"ROUTE", "name", CELL_TEXT},
      {"ACTION", "action", CELL_TEXT}, {"UPSTREAM", "upstream", CELL_TEXT},
      {"WHERE", "where", CELL_TEXT}, {"MATCH", "match", CELL_TEXT})
TABLE(print_loops, "loops", {"LOOP", "name", CELL_TEXT}, {"BACKEND", "backend", CELL_TEXT},
      {"BUSY", "busy_share", CELL_SHARE}, {"LAG P50", "lag_p50", CELL_SECONDS},
      {"LAG P99", "lag_p99", CELL_SECONDS}, {"CALLBACKS", "callbacks", CELL_COUNT},
      {"EVENTS", "events", CELL_COUNT}, {"TIMERS", "timers", CELL_COUNT},
      {"TASKS", "tasks", CELL_COUNT}, {"SLOW", "slow_callbacks", CELL_COUNT},
      {"DEBUG", "debug", CELL_YES})
TABLE(print_executors, "executors", {"EXECUTOR", "name", CELL_TEXT}, {"BUSY", "busy", CELL_COUNT},
      {"THREADS", "threads", CELL_COUNT}, {"AT MOST", "threads_max", CELL_COUNT},
      {"QUEUED", "queued", CELL_COUNT}, {"AT MOST", "queue_max", CELL_COUNT},
      {"WAITING", "waiting", CELL_COUNT})
TABLE(print_dns, "dns", {"LOOP", "loop", CELL_TEXT}, {"ASKED", "queries", CELL_COUNT},
      {"HITS", "hits", CELL_COUNT}, {"SHARED", "shared", CELL_COUNT},
      {"STALE", "stale", CELL_COUNT}, {"NO NAME", "no_name", CELL_COUNT},
      {"FAILED", "failed", CELL_COUNT}, {"TIMEOUTS", "timeouts", CELL_COUNT},
      {"UNDER WAY", "in_flight", CELL_COUNT}, {"KEPT", "entries", CELL_COUNT})
TABLE(print_plugins, "plugins", {"PLUGIN", "name", CELL_TEXT}, {"VERSION", "version", CELL_TEXT},
      {"PROTOCOLS", "protocols", CELL_TEXT}, {"WHAT", "summary", CELL_TEXT})

/* conns */

static const char *sort_key;

static int by_key(const void *left, const void *right)
{
    double a = json_number_value(json_object_get(*(json_t *const *)left, sort_key));
    double b = json_number_value(json_object_get(*(json_t *const *)right, sort_key));

    return a < b ? 1 : a > b ? -1 : 0;
}

static json_t *sorted(const json_t *list)
{
    size_t n = json_array_size(list);
    json_t **items = calloc(n + 1, sizeof(json_t *)), *result = json_array();

    for (size_t i = 0; items && i < n; i++)
        items[i] = json_array_get(list, i);
    if (items)
        qsort(items, n, sizeof(json_t *), by_key);
    for (size_t i = 0; items && i < n; i++)
        json_array_append(result, items[i]);
    free(items);
    return result;
}

static int print_conns(const struct ctl_arguments *arguments, const json_t *answer)
{
    static const struct ctl_column columns[] = {
        {"CONN", "id", CELL_COUNT},          {"LISTENER", "listener", CELL_TEXT},
        {"PROTOCOL", "protocol", CELL_TEXT}, {"LOOP", "loop", CELL_COUNT},
        {"AGE", "age", CELL_SECONDS},        {"IN", "bytes_in", CELL_BYTES},
        {"OUT", "bytes_out", CELL_BYTES},    {"QUEUED", "queued", CELL_BYTES},
        {"PEER", "peer", CELL_TEXT}};
    json_t *rows;

    sort_key = !arguments->top ? "id" : strcmp(arguments->top, "bytes") == 0 ? "bytes_out" : "age";
    rows = sorted(json_object_get(answer, "conns"));
    ctl_table(rows, columns, sizeof columns / sizeof *columns);
    printf("%zu of %lld open connections\n", json_array_size(rows),
           (long long)json_integer_value(json_object_get(answer, "open")));
    json_decref(rows);
    ctl_blocked(answer);
    return EXIT_OK;
}

static bool conns_params(const struct ctl_arguments *arguments, json_t *into)
{
    char *end = NULL;
    long limit = arguments->limit ? strtol(arguments->limit, &end, 10) : 0;

    if (arguments->top && strcmp(arguments->top, "bytes") != 0 &&
        strcmp(arguments->top, "age") != 0)
        return fprintf(stderr, "weirctl: --top is bytes or age\n"), false;
    if (end && (*end || limit < 1))
        return fprintf(stderr, "weirctl: --limit is a number of connections\n"), false;
    if (limit)
        json_object_set_new(into, "limit", json_integer(limit));
    return true;
}

static bool conn_params(const struct ctl_arguments *arguments, json_t *into)
{
    char *end;
    long long id = strtoll(arguments->words[0], &end, 10);

    if (*end || id < 1)
        return fprintf(stderr, "weirctl: a connection is said by its number, as `conns` has it\n"),
               false;
    json_object_set_new(into, "id", json_integer(id));
    return true;
}

static void print_field(const json_t *one, const char *title, const char *key, enum ctl_cell cell)
{
    char text[320];

    if (json_object_get(one, key))
        printf("  %-10s %s\n", title, ctl_cell(json_object_get(one, key), cell, text, sizeof text));
}

static int print_conn(const struct ctl_arguments *arguments, const json_t *answer)
{
    const json_t *one = json_object_get(answer, "conn"), *tls = json_object_get(one, "tls_info");

    ctl_blocked(answer);
    if (!json_is_true(json_object_get(answer, "found")))
        return printf("connection %s is not open\n", arguments->words[0]), EXIT_NO;
    print_field(one, "listener", "listener", CELL_TEXT);
    print_field(one, "protocol", "protocol", CELL_TEXT);
    print_field(one, "peer", "peer", CELL_TEXT);
    print_field(one, "local", "local", CELL_TEXT);
    print_field(one, "age", "age", CELL_SECONDS);
    print_field(one, "in", "bytes_in", CELL_BYTES);
    print_field(one, "out", "bytes_out", CELL_BYTES);
    print_field(one, "queued", "queued", CELL_BYTES);
    print_field(tls, "tls", "version", CELL_TEXT);
    print_field(tls, "cipher", "cipher", CELL_TEXT);
    print_field(tls, "sni", "sni", CELL_TEXT);
    print_field(tls, "alpn", "alpn", CELL_TEXT);
    print_field(tls, "resumed", "resumed", CELL_YES);
    print_field(one, "loop", "loop", CELL_COUNT);
    print_field(one, "reading", "reading", CELL_YES);
    print_field(one, "handoffs", "handoffs", CELL_COUNT);
    /* No: it was begun by a configuration that is not in force any more. */
    print_field(one, "current", "current", CELL_YES);
    print_field(one, "transport", "transport", CELL_TEXT);
    return EXIT_OK;
}

/* Levels and debug mode. */

bool ctl_read_time(const char *text, double *ret)
{
    char *end;
    double time = strtod(text, &end);

    time *= strcmp(end, "s") == 0    ? 1
            : strcmp(end, "m") == 0  ? 60
            : strcmp(end, "h") == 0  ? 3600
            : strcmp(end, "ms") == 0 ? 0.001
                                     : -1;
    *ret = time;
    return time > 0;
}

static bool add_time(const struct ctl_arguments *arguments, json_t *into)
{
    double time;

    if (!arguments->time)
        return true;
    if (!ctl_read_time(arguments->time, &time))
        return fprintf(stderr, "weirctl: --for is a time, as in 90s, 10m or 1h\n"), false;
    json_object_set_new(into, "for", json_real(time));
    return true;
}

static bool log_params(const struct ctl_arguments *arguments, json_t *into)
{
    if (strcmp(arguments->words[0], "level") != 0)
        return fprintf(stderr, "weirctl: usage: weirctl log level [LOGGER] LEVEL [--for TIME]\n"),
               false;
    if (arguments->n_words == 3)
        json_object_set_new(into, "logger", json_string(arguments->words[1]));
    json_object_set_new(into, "level", json_string(arguments->words[arguments->n_words - 1]));
    return add_time(arguments, into);
}

static int print_level(const struct ctl_arguments *arguments, const json_t *answer)
{
    printf("%s logs %s and above%s%s\n", json_string_value(json_object_get(answer, "logger")),
           json_string_value(json_object_get(answer, "level")), arguments->time ? ", for " : "",
           arguments->time ? arguments->time : "");
    return EXIT_OK;
}

static bool debug_params(const struct ctl_arguments *arguments, json_t *into)
{
    bool on = strcmp(arguments->words[0], "on") == 0;

    if (!on && strcmp(arguments->words[0], "off") != 0)
        return fprintf(stderr, "weirctl: debug is on or off\n"), false;
    json_object_set_new(into, "on", json_boolean(on));
    return add_time(arguments, into);
}

static int print_debug(const struct ctl_arguments *arguments, const json_t *answer)
{
    printf("debug mode is %s%s%s\n", json_is_true(json_object_get(answer, "debug")) ? "on" : "off",
           arguments->time ? ", for " : "", arguments->time ? arguments->time : "");
    return EXIT_OK;
}

static bool logs_params(const struct ctl_arguments *arguments, json_t *into)
{
    if (!arguments->follow)
        return fprintf(stderr, "weirctl: usage: weirctl logs -f [--level LEVEL]\n"), false;
    if (arguments->level)
        json_object_set_new(into, "level", json_string(arguments->level));
    return true;
}

static bool access_params(const struct ctl_arguments *arguments, json_t *into)
{
    if (!arguments->follow)
        return fprintf(stderr, "weirctl: usage: weirctl access -f [--filter CONDITIONS]\n"), false;
    if (arguments->filter)
        json_object_set_new(into, "filter", json_string(arguments->filter));
    return true;
}

/* The rest. */

static bool tasks_params(const struct ctl_arguments *arguments, json_t *into)
{
    json_object_set_new(into, "stack", json_boolean(arguments->stack));
    return true;
}

static bool dns_params(const struct ctl_arguments *arguments, json_t *into)
{
    json_object_set_new(into, "cache", json_boolean(arguments->cache));
    return true;
}

static bool flush_params(const struct ctl_arguments *arguments, json_t *into)
{
    if (arguments->n_words)
        json_object_set_new(into, "name", json_string(arguments->words[0]));
    return true;
}

static int print_flushed(const struct ctl_arguments *arguments, const json_t *answer)
{
    (void)arguments;
    printf("%lld answers are forgotten\n",
           (long long)json_integer_value(json_object_get(answer, "flushed")));
    return EXIT_OK;
}

static bool stop_params(const struct ctl_arguments *arguments, json_t *into)
{
    json_object_set_new(into, "now", json_boolean(arguments->now));
    return true;
}

static int print_stop(const struct ctl_arguments *arguments, const json_t *answer)
{
    (void)arguments;
    printf("stopping: %lld connections are drained\n",
           (long long)json_integer_value(json_object_get(answer, "draining")));
    return EXIT_OK;
}

static int print_health(const struct ctl_arguments *arguments, const json_t *answer)
{
    (void)arguments;
    printf("%s: %s\n", json_is_true(json_object_get(answer, "ready")) ? "ready" : "not ready",
           json_string_value(json_object_get(answer, "why")));
    return json_is_true(json_object_get(answer, "ready")) ? EXIT_OK : EXIT_NO;
}

static int print_reopen(const struct ctl_arguments *arguments, const json_t *answer)
{
    (void)arguments, (void)answer;
    printf("log files are open again\n");
    return EXIT_OK;
}

const struct ctl_verb ctl_verbs[] = {
    {"status", NULL, "", "one screen: state, listeners, upstreams, loops, overrides",
     "Exit status: 0 serving and every server is up or taken out by hand, 1 degraded.\n", 0, 0,
     NULL, "status", NULL, ctl_print_status},
    {"health", NULL, "", "for scripts: 0 ready, 1 not, one line why",
     "  weirctl health && echo ready\n", 0, 0, NULL, "health", NULL, print_health},
    {"listeners", NULL, "", "what is listened on, with counters", "  weirctl listeners\n", 0, 0,
     NULL, "listeners", NULL, print_listeners},
    {"routes", NULL, "", "routes in the order in which they are tried", "  weirctl routes\n", 0, 0,
     NULL, "routes", NULL, print_routes},
    {"route", NULL, "[METHOD] URL [--from IP] [-H 'Name: value']…",
     "who would serve a request, and why nobody else",
     "  weirctl route https://example.com/admin/x\n"
     "  weirctl route POST http://example.com/ --from 192.0.2.1 -H 'X-Version: v2'\n"
     "Nothing is sent anywhere. Exit status: 0 a route takes it, 1 none does.\n",
     1, 2, " from header ", "route", ctl_route_params, ctl_print_route},
    {"upstreams", "servers", "", "servers: state, since when and why, weight, connections",
     "  weirctl upstreams\n", 0, 0, NULL, "upstreams", NULL, ctl_print_upstreams},
    {"conns", NULL, "[--top bytes|age] [--limit N]", "open connections of clients",
     "  weirctl conns --top bytes    those that got most first\n"
     "  weirctl conns --limit 50     at most 50 of each loop (1000)\n",
     0, 0, " top limit ", "conns", conns_params, print_conns},
    {"conn", NULL, "ID", "one connection: bytes, TLS, whether it is read",
     "  weirctl conn 4711    a number of `conns`, or `conn` of the access log\n"
     "`current: no` says that a configuration before this one keeps it. Exit status: 1 it is not "
     "open.\n",
     1, 1, NULL, "conn", conn_params, print_conn},
    {"drain", NULL, "UPSTREAM/SERVER [--wait TIME] [--reset]",
     "no new requests to a server; what is under way ends",
     "  weirctl drain app/10.0.0.11:8080\n"
     "  weirctl drain app/10.0.0.11:8080 --wait 5m    until no connection is left there\n"
     "It holds through reloads until the server's settings in the file change, `enable` or --reset.\n"
     "Exit status: with --wait 1 when connections are left.\n",
     1, 1, " wait reset ", "drain", ctl_server_params, ctl_print_server},
    {"disable", NULL, "UPSTREAM/SERVER [--reset]", "takes a server out",
     "  weirctl disable app/10.0.0.11:8080\n", 1, 1, " reset ", "disable", ctl_server_params,
     ctl_print_server},
    {"enable", NULL, "UPSTREAM/SERVER [--reset]", "ends drain and disable, and forgets failures",
     "  weirctl enable app/10.0.0.11:8080\n"
     "  weirctl enable app/10.0.0.11:8080 --reset    and what was said of its weight\n",
     1, 1, " reset ", "enable", ctl_server_params, ctl_print_server},
    {"weight", NULL, "UPSTREAM/SERVER WEIGHT|--reset", "another share of the requests",
     "  weirctl weight app/10.0.0.11:8080 50\n"
     "  weirctl weight app/10.0.0.11:8080 --reset    as the configuration says\n"
     "0 is no share at all. The others have theirs from the configuration: 1 unless it says more.\n",
     1, 2, " reset ", "weight", ctl_server_params, ctl_print_server},
    {"log", NULL, "level [LOGGER] LEVEL [--for TIME]", "how much is logged",
     "  weirctl log level debug --for 10m\n"
     "  weirctl log level tls trace --for 90s\n"
     "LOGGER without `weir.` or `plugin.` in front means weir.LOGGER.\n",
     2, 3, " for ", "log.level", log_params, print_level},
    {"logs", NULL, "-f [--level LEVEL]", "reads the log along",
     "  weirctl logs -f --level warning\nWhat is not read in time is dropped and counted.\n", 0, 0,
     " follow level ", "logs", logs_params, NULL},
    {"access", NULL, "-f [--filter CONDITIONS]", "reads requests and connections along",
     "  weirctl access -f --filter 'status>=500 route=app'\n"
     "  weirctl access -f --filter 'path=/api/* duration_ms>250' --json\n"
     "Conditions are those of log.access.exclude, and hold together; no file is needed, and the\n"
     "access log may be off. What is not read in time is dropped and counted.\n",
     0, 0, " follow filter ", "access", access_params, NULL},
    {"debug", NULL, "on|off [--for TIME]", "debug mode of all loops",
     "  weirctl debug on --for 10m\n", 1, 1, " for ", "debug", debug_params, print_debug},
    {"tasks", "ps", "[--tree] [--stack]", "tasks: who waits where",
     "  weirctl tasks --stack    with the C stack of each\n"
     "  weirctl pstree           who awaits whom\n",
     0, 0, " tree stack ", "tasks", tasks_params, ctl_print_tasks},
    {"loops", NULL, "", "event loops: busy, lag, slow callbacks", "  weirctl loops\n", 0, 0, NULL,
     "loops", NULL, print_loops},
    {"executors", NULL, "", "pools for blocking work", "  weirctl executors\n", 0, 0, NULL,
     "executors", NULL, print_executors},
    {"dns", NULL, "[--cache]", "name resolution of each loop",
     "  weirctl dns --cache --json    with the answers that are kept\n", 0, 0, " cache ", "dns",
     dns_params, print_dns},
    {"tls", NULL, "", "certificates in force, when they expire, and how handshakes ended",
     "  weirctl tls\n"
     "Exit status: 1 when a certificate is not what clients take: expired, for instance.\n",
     0, 0, NULL, "tls", NULL, ctl_print_tls},
    {"dns-flush", NULL, "[NAME]", "forgets answers that are kept",
     "  weirctl dns-flush app.internal\n", 0, 1, NULL, "dns.flush", flush_params, print_flushed},
    {"memory", NULL, "", "memory and descriptors of the process", "  weirctl memory\n", 0, 0, NULL,
     "memory", NULL, ctl_print_memory},
    {"plugins", NULL, "", "plugins that are loaded", "  weirctl plugins\n", 0, 0, NULL, "plugins",
     NULL, print_plugins},
    {"reload", NULL, "[--dry-run] [--confirm TIME] [--wait drained]",
     "reads the configuration again, and puts it into force",
     "  weirctl reload\n"
     "  weirctl reload --dry-run        says what would change, and whether it can\n"
     "  weirctl reload --confirm 60s    goes back by itself unless `weirctl confirm` comes\n"
     "  weirctl reload --wait drained   until no connection needs the old configuration\n"
     "All or nothing: what is wrong is said, and the old configuration serves on. Exit status: 0;\n"
     "78 the configuration was rejected, 66 it cannot be read, 71 the system refused something\n"
     "(an address in use), 75 another reload is running, 77 you may not.\n",
     0, 0, " dry-run confirm wait ", "reload", ctl_reload_params, ctl_print_reload},
    {"rollback", NULL, "", "puts the configuration before into force again",
     "  weirctl rollback\nExit status: as of reload.\n", 0, 0, NULL, "rollback", NULL,
     ctl_print_reload},
    {"confirm", NULL, "", "the reload that waits for it stays", "  weirctl confirm\n", 0, 0, NULL,
     "confirm", NULL, ctl_print_confirm},
    {"reopen", NULL, "", "opens log files again, after logrotate moved them", "  weirctl reopen\n",
     0, 0, NULL, "reopen", NULL, print_reopen},
    {"stop", NULL, "[--now]", "drains and stops; --now ends at once", "  weirctl stop\n", 0, 0,
     " now ", "stop", stop_params, print_stop},
    {0},
};
