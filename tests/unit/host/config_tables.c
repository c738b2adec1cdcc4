/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of configuration.md in small: enough keys of each shape to try every option type, with a
 * registry of two protocols' worth of filters, actions and matchers.
 */
#include "config.h"

#include "tests/unit/host/config_tables.h"

#include <stdlib.h>
#include <string.h>

static const char *const levels[] = {"trace",   "debug", "info",     "notice",
                                     "warning", "error", "critical", NULL};
static const char *const formats[] = {"auto", "text", "json", NULL};
static const char *const planned_formats[] = {"journal", NULL};
static const char *const balances[] = {"round_robin", "least_conn", NULL};
static const char *const automatic[] = {"auto", NULL};
static const char *const off[] = {"off", NULL};
static const char *const health_types[] = {"http", "tcp", NULL};

typedef struct test_top top;

WEIR_OPTIONS(log_options,
             WEIR_FIELD_(top, log.level, "level", WEIR_TYPE_ENUM, 1, .words = levels,
                         .default_text = "info", .doc = "Least severe messages"),
             WEIR_FIELD_(top, log.format, "format", WEIR_TYPE_ENUM, 1, .words = formats,
                         .default_text = "auto", .doc = "How", .planned_words = planned_formats),
             WEIR_FIELD_(top, log.levels, "levels", WEIR_TYPE_NAMED, 1,
                         .element_size = sizeof(struct test_level),
                         .element = WEIR_ELEMENT_AT(WEIR_TYPE_ENUM, struct test_level, level,
                                                    .words = levels),
                         .doc = "Per logger", .any_name = true));
WEIR_OPTIONS(debug_options,
             WEIR_FIELD_(top, debug.enabled, "enabled", WEIR_TYPE_BOOL, 1, .default_text = "true",
                         .doc = "On", .primary = true),
             WEIR_FIELD_(top, debug.slow_callback, "slow_callback", WEIR_TYPE_DURATION, 1,
                         .default_text = "100ms", .doc = "Slow", .min = WEIR_OPTION_MS(1)),
             WEIR_FIELD_(top, debug.backtrace_depth, "backtrace_depth", WEIR_TYPE_INT, 1,
                         .default_text = "8", .doc = "Frames", .min = 0, .max = 64));
WEIR_OPTIONS(runtime_options,
             WEIR_FIELD_(top, runtime.threads, "threads", WEIR_TYPE_INT, 1, .words = automatic,
                         .default_text = "auto", .doc = "Loops", .min = 1, .max = 1024),
             WEIR_FIELD_(top, runtime.memory, "memory", WEIR_TYPE_SIZE, 1, .words = off,
                         .default_text = "off", .doc = "Limit", .min = 65536),
             WEIR_FIELD_(top, runtime.ratio, "ratio", WEIR_TYPE_NUMBER, 1, .default_text = "0.5",
                         .doc = "Share", .min = 0, .max = 1),
             WEIR_FIELD_(top, runtime.rate, "rate", WEIR_TYPE_RATE, 1, .default_text = "20/s",
                         .doc = "Rate"));
WEIR_OPTIONS(certificate_options,
             WEIR_OPTION_PEM(struct test_certificate, certificate, NULL, "Chain"),
             WEIR_OPTION_PEM(struct test_certificate, key, NULL, "Key", .secret = true));
WEIR_OPTIONS(tls_options,
             WEIR_FIELD_(top, tls.certificates, "certificates", WEIR_TYPE_NAMED, 1,
                         .element_size = sizeof(struct test_certificate), .kind = "certificate",
                         .fields = certificate_options, .doc = "Certificates"),
             WEIR_OPTION_PLANNED("session_tickets", "Later"));
WEIR_OPTIONS(server_options, WEIR_OPTION_ADDRESS(struct test_server, address, NULL, "Where"),
             WEIR_OPTION_INT(struct test_server, weight, "1", "Share", .min = 1, .max = 100));
WEIR_OPTIONS(health_options,
             WEIR_OPTION_ENUM(struct test_health, type, health_types, "http", "How"),
             WEIR_OPTION_STRING(struct test_health, path, "/", "What"),
             WEIR_OPTION_DURATION(struct test_health, interval, "5s", "How often"));
WEIR_OPTIONS(upstream_options,
             WEIR_OPTION_LIST(struct test_upstream, servers, struct test_server,
                              WEIR_ELEMENT(WEIR_TYPE_MAP, struct test_server,
                                           .fields = server_options, .kind = "server",
                                           .shorthand = "address"),
                              NULL, "Servers", .required = true),
             WEIR_OPTION_ENUM(struct test_upstream, balance, balances, "round_robin", "How"),
             WEIR_OPTION_OPTIONAL_MAP(struct test_upstream, health_check, struct test_health,
                                      health_options, "Checks"),
             WEIR_OPTION_DURATION(struct test_upstream, connect_timeout, "5s", "Patience"),
             WEIR_OPTION_INT(struct test_upstream, keepalive, "64", "Idle connections"),
             WEIR_OPTION_STRING(struct test_upstream, password, NULL, "Secret", .optional = true,
                                .secret = true));
WEIR_OPTIONS(listener_tls_options,
             WEIR_OPTION_LIST(struct test_listener_tls, certificates, void *,
                              WEIR_ELEMENT(WEIR_TYPE_REF, void *, .kind = "certificate"), NULL,
                              "Which", .required = true));
WEIR_OPTIONS(route_options,
             WEIR_OPTION_STRING(struct test_route, name, NULL, "Name", .optional = true),
             WEIR_OPTION_ANY_OF(struct test_route, match, ".matcher", "When"),
             WEIR_OPTION_LIST(struct test_route, use, weir_choice,
                              WEIR_ELEMENT(WEIR_TYPE_ONE_OF, weir_choice, .kind = ".filter"), NULL,
                              "Filters"),
             WEIR_OPTION_ONE_OF(struct test_route, action, ".action", "What", .inlined = true));
WEIR_OPTIONS(listener_options,
             WEIR_OPTION_LIST(struct test_listener, bind, weir_option_address,
                              WEIR_ELEMENT(WEIR_TYPE_ADDRESS, weir_option_address, .listen = true),
                              NULL, "Where"),
             WEIR_OPTION_STRING(struct test_listener, protocol, "http", "What"),
             WEIR_OPTION_OPTIONAL_MAP(struct test_listener, tls, struct test_listener_tls,
                                      listener_tls_options, "TLS"),
             WEIR_OPTION_LIST(struct test_listener, use, weir_choice,
                              WEIR_ELEMENT(WEIR_TYPE_ONE_OF, weir_choice, .kind = ".filter"), NULL,
                              "Filters"),
             WEIR_OPTION_LIST(struct test_listener, routes, struct test_route,
                              WEIR_ELEMENT(WEIR_TYPE_MAP, struct test_route, .kind = "route",
                                           .fields = route_options),
                              NULL, "Routes"),
             WEIR_FIELD_(struct test_listener, timeouts, "timeouts", WEIR_TYPE_MAP, 1,
                         .fields = ((const weir_option *const[]){
                             WEIR_ELEMENT_("handshake", WEIR_TYPE_DURATION, 0,
                                           sizeof(weir_duration), .default_text = "10s"),
                             NULL})),
             WEIR_OPTION_PLANNED("inspect", "Later"));
WEIR_OPTIONS(http_timeout_options,
             WEIR_ELEMENT_("header", WEIR_TYPE_DURATION, 0, sizeof(weir_duration),
                           .default_text = "10s"),
             WEIR_ELEMENT_("body", WEIR_TYPE_DURATION, sizeof(weir_duration), sizeof(weir_duration),
                           .default_text = "30s"));
WEIR_OPTIONS(http_options, WEIR_OPTION_SIZE_OR(struct test_http, max_body, off, "off", "Limit"),
             WEIR_OPTION_MAP(struct test_http, timeouts, http_timeout_options, "Patience"));

static void extend_listener(weir_config_context *c, const weir_config_node *node, void *map)
{
    const weir_config_node *protocol = weir_config_node_find(node, "protocol");
    const char *name = protocol ? weir_config_node_text(protocol) : "http";
    struct test_listener *listener = map;

    weir_config_set_scope(c, name);
    if (strcmp(name, "http") == 0) {
        struct test_http *http = weir_config_alloc(c, sizeof *http);

        listener->http = http;
        weir_config_add_options(c, http_options, http, "plugin `http`");
    }
}

WEIR_OPTIONS(
    top_options, WEIR_ELEMENT_("version", WEIR_TYPE_ANY, 0, 0, .doc = "Format", .example = "1"),
    WEIR_ELEMENT_("include", WEIR_TYPE_ANY, 0, 0, .doc = "Files", .optional = true),
    WEIR_ELEMENT_("log", WEIR_TYPE_MAP, 0, 0, .fields = log_options, .doc = "Log"),
    WEIR_ELEMENT_("debug", WEIR_TYPE_MAP, 0, 0, .fields = debug_options, .default_text = "false",
                  .doc = "Debug"),
    WEIR_ELEMENT_("runtime", WEIR_TYPE_MAP, 0, 0, .fields = runtime_options, .doc = "Runtime"),
    WEIR_ELEMENT_("tls", WEIR_TYPE_MAP, 0, 0, .fields = tls_options, .doc = "TLS"),
    WEIR_ELEMENT_("tests", WEIR_TYPE_ANY, 0, 0, .doc = "Tests", .optional = true),
    WEIR_OPTION_NAMED(top, upstreams, struct test_upstream, "upstream", upstream_options, "To"),
    WEIR_OPTION_NAMED(top, listeners, struct test_listener, "listener", listener_options, "From",
                      .extend = extend_listener),
    WEIR_OPTION_PLANNED("resolver", "Later"));

WEIR_OPTIONS(proxy_options,
             WEIR_OPTION_REF(struct test_proxy, upstream, "upstream", NULL, "To", .address = true,
                             .primary = true),
             WEIR_OPTION_DURATION(struct test_proxy, idle_timeout, "75s", "Patience"));
WEIR_OPTIONS(static_options, WEIR_OPTION_PATH(struct test_static, root, NULL, "Folder"));
WEIR_OPTIONS(headers_options,
             WEIR_OPTION_NAMED_VALUES(struct test_headers, set, struct test_header,
                                      WEIR_ELEMENT_AT(WEIR_TYPE_TEMPLATE, struct test_header, value,
                                                      .doc = "Value"),
                                      "Headers", .any_name = true));
WEIR_OPTIONS(no_options, NULL);

static const struct {
    const char *kind, *name;
    struct config_entry entry;
} registry[] = {
    {"http.action", "proxy", {.options = proxy_options, .config_size = sizeof(struct test_proxy)}},
    {"http.action",
     "static",
     {.options = static_options, .config_size = sizeof(struct test_static)}},
    {"http.action", "reject", {.options = no_options}},
    {"tcp.action", "proxy", {.options = proxy_options, .config_size = sizeof(struct test_proxy)}},
    {"http.filter",
     "headers",
     {.options = headers_options, .config_size = sizeof(struct test_headers)}},
    {"http.filter", "rate_limit", {.planned = true}},
    {"http.matcher",
     "path",
     {.value = WEIR_ELEMENT(WEIR_TYPE_LIST, weir_array, .element_size = sizeof(char *),
                            .element = WEIR_ELEMENT(WEIR_TYPE_STRING, char *, .doc = "")),
      .config_size = sizeof(weir_array)}},
    {"http.matcher", "sni", {.planned = true}},
};

static bool find(void *arg, const char *kind, const char *name, struct config_entry *ret)
{
    (void)arg;
    for (size_t i = 0; i < sizeof registry / sizeof registry[0]; i++) {
        if (strcmp(registry[i].kind, kind) == 0 && strcmp(registry[i].name, name) == 0) {
            *ret = registry[i].entry;
            return true;
        }
    }
    return false;
}

static const char *name_at(void *arg, const char *kind, size_t index)
{
    (void)arg;
    for (size_t i = 0; i < sizeof registry / sizeof registry[0]; i++) {
        if (strcmp(registry[i].kind, kind) == 0 && index-- == 0)
            return registry[i].name;
    }
    return NULL;
}

weir_config_context *test_config_load(const struct config_settings *settings,
                                      struct test_top **ret_top)
{
    static const struct config_lookup lookup = {find, name_at, NULL};
    weir_config_context *c;
    weir_error *error = weir__config_new(settings, &c);

    *ret_top = NULL;
    if (error)
        abort();
    weir__config_set_lookup(c, &lookup);
    if (weir__config_load(c)) {
        *ret_top = weir_config_alloc(c, sizeof **ret_top);
        weir__config_parse(c, weir__config_root(c), top_options, *ret_top);
        weir__config_resolve(c);
    }
    return c;
}

weir_config_context *test_config_text(const char *text, struct test_top **ret_top)
{
    struct config_settings settings = {.path = "weir.yaml", .text = text, .version = 1};

    return test_config_load(&settings, ret_top);
}

char *test_config_report(weir_config_context *c, enum config_format format)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        abort();
    weir__config_report(c, out, format, false);
    fclose(out);
    return text;
}
