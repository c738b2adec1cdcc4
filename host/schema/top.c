/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The top level and the process-wide settings. What is planned and not built is in the tables too:
 * its use is one error that says so, and tests/config/not-built.txt holds the list.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "host/access/access.h"
#include "host/schema/schema.h"

const char *const weir__log_levels[] = {"trace", "debug",    "info", "warning",
                                        "error", "critical", "off",  NULL};

int weir__log_level_at(int index)
{
    static const int levels[] = {WEIR_LOG_TRACE, WEIR_LOG_DEBUG,    WEIR_LOG_INFO, WEIR_LOG_WARNING,
                                 WEIR_LOG_ERROR, WEIR_LOG_CRITICAL, WEIR_LOG_OFF};

    return levels[index];
}

static const char *const auto_word[] = {"auto", NULL};
/* In the order of enum log_format_word. */
static const char *const log_formats[] = {"auto", "text", "logfmt", "json", "journal", NULL};
static const char *const off_word[] = {"off", NULL};
static const char *const backends[] = {"auto", "epoll", "io_uring", NULL};
static const char *const executor_types[] = {"threads", NULL};
static const char *const executor_types_planned[] = {"processes", NULL};
/* In the order of weir_warning_action. */
static const char *const warning_actions[] = {"ignore", "once", "always", "abort", NULL};
static const char *const on_full_words[] = {"wait", "reject", NULL};

static bool output_parse(weir_config_context *context, const weir_config_node *node, void *field)
{
    const char *text = weir_config_node_text(node);

    if (weir_config_node_get_kind(node) != WEIR_NODE_SCALAR) {
        weir_config_error_at(context, node, "`output` takes auto, stderr, journal or a path");
        return false;
    }
    if (!strcmp(text, "syslog")) {
        weir_config_not_built(context, field, text);
        return false;
    }
    if (!strcmp(text, "auto") || !strcmp(text, "stderr") || !strcmp(text, "journal")) {
        *(const char **)field = weir_config_strdup(context, text);
        return true;
    }
    return weir_config_parse(context, node, WEIR_ELEMENT(WEIR_TYPE_PATH, const char *), field);
}

WEIR_OPTIONS(
    log_options,
    WEIR_OPTION_ENUM(struct log_config, level, weir__log_levels, "info",
                     "What is logged: this level and above"),
    WEIR_OPTION_NAMED_VALUES(struct log_config, levels, struct log_level_config,
                             WEIR_ELEMENT_AT(WEIR_TYPE_ENUM, struct log_level_config, level,
                                             .words = weir__log_levels),
                             "Levels of single loggers; a name without `weir.` or `plugin.` in "
                             "front means `weir.NAME`",
                             .any_name = true, .example = "{tls: debug, plugin.echo: trace}"),
    WEIR_OPTION_ENUM(
        struct log_config, format, log_formats, "auto",
        "auto is text on a terminal, journal where stderr is systemd's journal, logfmt "
        "elsewhere"),
    WEIR_OPTION_CUSTOM(struct log_config, output, output_parse, "auto",
                       "Where records go: stderr, systemd's journal, or a file",
                       .reload = WEIR_RELOAD_RESTART),
    WEIR_OPTION_OPTIONAL_MAP(struct log_config, access, struct access_config, weir__access_options,
                             "The access log: a line for each request and connection; absent: off",
                             .optional = true));

WEIR_OPTIONS(debug_options,
             WEIR_OPTION_BOOL(struct debug_config, enabled, "true", "Debug mode of the loops",
                              .primary = true),
             WEIR_OPTION_DURATION(struct debug_config, slow_callback, "100ms",
                                  "A callback that takes this long is logged"),
             WEIR_OPTION_INT(struct debug_config, backtrace_depth, "8",
                             "Frames kept of where tasks, coroutines and futures were made",
                             .min = 1, .max = 64),
             WEIR_OPTION_ENUM(struct debug_config, warnings, warning_actions, "once",
                              "What happens when something is left unclosed, unread or never "
                              "awaited; once: for each line that made it"),
             WEIR_OPTION_PLANNED("plugins", "Only these plugins"));

WEIR_OPTIONS(limits_options,
             WEIR_OPTION_SIZE_OR(struct limits_config, connections, auto_word, "auto",
                                 "Client connections at most; auto leaves room for as many to "
                                 "servers under open_files"),
             WEIR_OPTION_SIZE_OR(struct limits_config, open_files, auto_word, "auto",
                                 "Descriptors; auto is the hard limit",
                                 .reload = WEIR_RELOAD_RESTART),
             WEIR_OPTION_SIZE(struct limits_config, coroutine_stack, NULL,
                              "Stack of a task; 64KiB when not set", .optional = true, .min = 16384,
                              .max = 64 << 20, .reload = WEIR_RELOAD_RESTART),
             WEIR_OPTION_SIZE_OR(struct limits_config, memory, off_word, "off",
                                 "Resident memory; while weir holds more, new connections are "
                                 "refused; looked at once a second",
                                 .reload = WEIR_RELOAD_RESTART));

WEIR_OPTIONS(
    runtime_options,
    WEIR_OPTION_INT_OR(struct runtime_config, threads, auto_word, "auto",
                       "Traffic loops; auto is one for each processor that may be used", .min = 1,
                       .max = HOST_MAX_LOOPS - 1, .reload = WEIR_RELOAD_RESTART),
    WEIR_OPTION_ENUM(struct runtime_config, backend, backends, "auto",
                     "Who does the I/O; auto is epoll", .reload = WEIR_RELOAD_RESTART),
    WEIR_OPTION_DURATION(struct runtime_config, shutdown_grace, "30s",
                         "Connections have this long to end when weir stops"),
    WEIR_OPTION_MAP(struct runtime_config, limits, limits_options, "Limits"),
    WEIR_OPTION_CUSTOM(struct runtime_config, cpu_affinity, weir__affinity_parse, "off",
                       "Traffic loops stay on processors: off, auto (those that weir may "
                       "use) or a list, as in \"0-3,8\"; the first loop on the first of them",
                       .reload = WEIR_RELOAD_RESTART),
    WEIR_OPTION_DURATION(struct runtime_config, restart_grace, "5s",
                         "The same when systemd restarts weir: who connects meanwhile waits"),
    WEIR_OPTION_STRING(struct runtime_config, user, NULL,
                       "Who to become after the sockets are bound, when root starts weir "
                       "without systemd; low ports can still be bound by a reload",
                       .optional = true, .reload = WEIR_RELOAD_RESTART),
    WEIR_OPTION_STRING(struct runtime_config, group, NULL,
                       "The group to become; that of `user` when not set", .optional = true,
                       .reload = WEIR_RELOAD_RESTART),
    WEIR_OPTION_PATH(struct runtime_config, pid_file, NULL,
                     "Where to write the number of the process, without systemd", .optional = true,
                     .reload = WEIR_RELOAD_RESTART));

WEIR_OPTIONS(executor_options,
             WEIR_OPTION_ENUM(struct executor_config, type, executor_types, "threads",
                              "Threads or processes", .planned_words = executor_types_planned),
             WEIR_OPTION_INT_OR(struct executor_config, threads, auto_word, "auto",
                                "Threads at most; auto is processors + 4, at most 32", .min = 1,
                                .max = 1024),
             WEIR_OPTION_INT(struct executor_config, queue, "1024", "Jobs that wait at most",
                             .min = 1, .max = 1000000),
             WEIR_OPTION_ENUM(struct executor_config, on_full, on_full_words, "wait",
                              "What a job does when the queue is full"));

/* Octal digits, as chmod takes them. */
static bool mode_parse(weir_config_context *context, const weir_config_node *node, void *field)
{
    const char *text = weir_config_node_text(node);
    char *end = NULL;
    unsigned long mode =
        weir_config_node_get_kind(node) == WEIR_NODE_SCALAR && *text ? strtoul(text, &end, 8) : 0;

    if (!end || *end || !mode || mode > 0777) {
        weir_config_error_at(context, node, "`mode` is the mode of a file, as in \"0660\"");
        return false;
    }
    *(uint32_t *)field = (uint32_t)mode;
    return true;
}

WEIR_OPTIONS(control_options,
             WEIR_OPTION_PATH(struct control_config, socket, NULL,
                              "Where weirctl finds the daemon; /run/weir/control.sock when not set",
                              .optional = true, .reload = WEIR_RELOAD_RESTART),
             WEIR_OPTION_CUSTOM(struct control_config, mode, mode_parse, "0660",
                                "Of the socket's file", .reload = WEIR_RELOAD_RESTART),
             WEIR_OPTION_STRING(struct control_config, group, NULL,
                                "Its members may reload, drain and change log levels; root and "
                                "weir's own user may everything",
                                .optional = true, .reload = WEIR_RELOAD_RESTART));

WEIR_OPTIONS(admin_options,
             WEIR_OPTION_MAP(struct admin_config, control, control_options, "The control socket"),
             WEIR_OPTION_OPTIONAL_MAP(struct admin_config, http, struct admin_http_config,
                                      weir__admin_http_options,
                                      "Metrics, health and facts over HTTP; absent: closed",
                                      .optional = true, .extend = weir__admin_extend));

const weir_option *const weir__top_options[] = {
    WEIR_OPTION_INT(struct config_top, version, NULL, "Version of the file format: 1", .min = 1,
                    .example = "1"),
    WEIR_OPTION_AS(struct config_top, version, "include", WEIR_TYPE_ANY,
                   .doc = "Further files, read before this one is parsed", .optional = true),
    WEIR_OPTION_MAP(struct config_top, log, log_options, "Logging"),
    WEIR_OPTION_OPTIONAL_MAP(struct config_top, debug, struct debug_config, debug_options,
                             "Debug mode: true, or a map of its settings", .optional = true),
    WEIR_OPTION_MAP(struct config_top, runtime, runtime_options, "Threads and limits"),
    WEIR_OPTION_MAP(struct config_top, resolver, weir__resolver_options, "Name resolution"),
    WEIR_OPTION_NAMED(struct config_top, executors, struct executor_config, "executor",
                      executor_options, "Pools for blocking work"),
    WEIR_OPTION_MAP(struct config_top, tls, weir__tls_options, "Certificates and versions"),
    WEIR_OPTION_NAMED(struct config_top, plugins, struct plugin_config, "plugin",
                      weir__plugin_options, "Plugins to load", .extend = weir__plugin_extend),
    WEIR_OPTION_NAMED(struct config_top, upstreams, struct upstream_config, "upstream",
                      weir__upstream_options, "Groups of servers", .extend = weir__upstream_extend),
    WEIR_OPTION_NAMED(struct config_top, listeners, struct listener_config, "listener",
                      weir__listener_options, "What is listened on",
                      .extend = weir__listener_extend),
    WEIR_OPTION_LIST(
        struct config_top, tests, struct test_config,
        WEIR_ELEMENT(WEIR_TYPE_MAP, struct test_config, .fields = weir__test_options), NULL,
        "Requests and what is expected of them; `weir check`, starts and reloads try them",
        .optional = true),
    WEIR_OPTION_PLANNED("telemetry", "Metrics and tracing"),
    WEIR_OPTION_MAP(struct config_top, admin, admin_options, "How weir is looked into"),
    NULL,
};
