/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core's own settings, as structs that the option tables fill (configuration.md §1.4). What a
 * protocol adds to a listener or an upstream hangs on the entry, filled by the protocol's tables.
 */
#ifndef WEIR_HOST_SCHEMA_SCHEMA_H
#define WEIR_HOST_SCHEMA_SCHEMA_H

#include "host/config/config.h"
#include "host/plugin/plugin.h"
#include "host/process/process.h"
#include "host/upstream/upstream.h"

struct access_config;

struct log_level_config {
    const char *name;
    int level; /* index in weir__log_levels */
};

enum log_format_word {
    LOG_FORMAT_AUTO,
    LOG_FORMAT_TEXT,
    LOG_FORMAT_LOGFMT,
    LOG_FORMAT_JSON,
    LOG_FORMAT_JOURNAL
};

struct log_config {
    int level;
    weir_array levels;
    int format;
    const char *output;                 /* "auto", "stderr", "journal" or a path */
    const struct access_config *access; /* NULL: off */
};

struct debug_config {
    bool enabled;
    weir_duration slow_callback;
    uint32_t backtrace_depth;
    int warnings; /* a weir_warning_action, of all categories */
};

#define BACKEND_EPOLL    1
#define BACKEND_IO_URING 2

struct limits_config {
    uint64_t connections;     /* WEIR_SIZE_WORD(0): auto */
    uint64_t open_files;      /* likewise */
    uint64_t coroutine_stack; /* 0: as the core has it */
    uint64_t memory;          /* WEIR_SIZE_WORD(0): off */
};

struct runtime_config {
    int64_t threads; /* WEIR_INT_WORD(0): auto */
    int backend;
    weir_duration shutdown_grace, restart_grace;
    struct limits_config limits;
    struct affinity_config cpu_affinity;
    const char *user, *group, *pid_file; /* NULL: not said */
};

struct resolver_cache_config {
    uint64_t max_entries;
    weir_duration min_ttl, max_ttl, negative_ttl, max_stale;
};

#define RESOLVER_MAX_SERVERS 16

struct resolver_config {
    weir_array servers; /* of const char *: with their ports */
    weir_duration timeout;
    uint32_t tries;
    int prefer; /* of weir_resolver_prefer */
    struct resolver_cache_config cache;
};

struct executor_config {
    const char *name;
    int type;
    int64_t threads; /* WEIR_INT_WORD(0): auto */
    uint32_t queue;
    int on_full; /* 0 wait, 1 reject */
    weir_executor *made;
};

struct certificate_config {
    const char *name;
    weir_pem certificate, key;
    const char *password, *ocsp;
};

#define TLS_PROFILE_MODERN 1
#define TLS_PROFILE_CUSTOM 2

struct tls_config {
    weir_array certificates;
    int profile;
    weir_array protocols;       /* of int: 0 is 1.2, 1 is 1.3 */
    weir_array ciphers, groups; /* of int: in weir__tls_ciphers, weir__tls_groups */
    bool session_tickets;
    const char *key_log; /* NULL: none */
};

struct plugin_config {
    const char *name;
    const char *path; /* NULL: of the plugin folder */
    struct executor_config *executor;
    bool optional;
    /* host's: */
    struct plugin *plugin; /* NULL: it could not be loaded */
    void *config;
};

struct slot;

struct server_config {
    weir_option_address address;
    uint32_t weight;
};

struct upstream_tls_config {
    bool enabled;
    const char *ca, *server_name;
    bool verify;
    const struct certificate_config *certificate; /* NULL: none is shown */
    weir_array alpn;                              /* of const char * */
};

struct health_check_config {
    const char *type;
    weir_duration interval, timeout;
    uint32_t rise, fall, port; /* port 0: the server's */
    int proxy_protocol;        /* weir_proxy_version; 0: none */
    /* host's: */
    const struct weir_health_check *way;
    void *config;
};

struct upstream_config {
    const char *name;
    weir_array servers;
    int balance; /* an enum balance */
    weir_hash_key hash_key;
    weir_duration slow_start, resolve_interval;
    weir_duration connect_timeout, response_timeout, idle_timeout;
    uint32_t keepalive, retries;
    const struct upstream_tls_config *tls;
    const struct health_check_config *health_check; /* NULL: none */
    /* host's: */
    struct upstream_protocol_config *protocols;
    size_t n_protocols;
    weir_upstream *part;
};

struct listener_tls_config {
    weir_array certificates; /* of struct certificate_config * */
    int min_version;         /* 0: 1.2, 1: 1.3 */
    weir_array alpn;         /* of const char * */
    const char *client_ca;
    int client_auth; /* 0 off, 1 optional, 2 required */
    uint32_t max_handshakes, max_handshakes_per_address;
};

struct listener_timeouts_config {
    weir_duration handshake;
};

struct route_config {
    const char *name;
    weir_array match; /* of weir_choice */
    weir_choice action;
    weir_array routes; /* of struct route_config */
};

struct listener_config {
    const char *name;
    weir_array bind; /* of weir_option_address */
    const char *protocol_name;
    const struct listener_tls_config *tls;
    struct listener_timeouts_config timeouts;
    uint32_t backlog;
    weir_array accept_proxy_protocol; /* of weir_network */
    weir_array redirect_from;         /* of weir_option_address */
    weir_array inspect;               /* of const char * */
    weir_duration inspect_timeout;
    uint64_t max_connections; /* 0: no limit of its own */
    bool reuse_port;
    weir_array routes;
    /* host's: */
    const weir_protocol *protocol;
    struct plugin *plugin;
    void *protocol_config, *listener_config; /* of `echo: {…}`; of the keys on the listener */
    struct slot *slot;                       /* where `handoff` finds it */
};

struct control_config {
    const char *socket; /* NULL: the usual places */
    uint32_t mode;
    const char *group; /* NULL: nobody's */
};

struct admin_http_config {
    weir_array bind; /* of weir_option_address */
    /* host's: */
    struct listener_config listener;
};

struct admin_config {
    struct control_config control;
    struct admin_http_config *http; /* NULL: closed */
};

struct test_field_config {
    const char *name, *value;
};

struct test_expect_config {
    const char *listener, *route, *upstream; /* NULL: not said */
    int64_t status;                          /* 0: not said */
    weir_array header;                       /* of struct test_field_config */
};

struct test_config {
    const char *request, *from;
    weir_array header; /* of struct test_field_config */
    struct test_expect_config expect;
};

struct config_top {
    int64_t version;
    struct log_config log;
    const struct debug_config *debug; /* NULL: not said */
    struct runtime_config runtime;
    struct resolver_config resolver;
    weir_array executors, plugins, upstreams, listeners;
    weir_array tests; /* of struct test_config */
    struct tls_config tls;
    struct admin_config admin;
};

/* tls.c */
extern const weir_option *const weir__tls_options[], *const weir__listener_tls_options[],
                                                         *const weir__upstream_tls_options[];
extern const char *const weir__tls_ciphers[], *const weir__tls_groups[];
/* Across the settings of `tls`. */
void weir__tls_check(weir_config_context *context, const struct tls_config *tls);
/* resolver.c */
extern const weir_option *const weir__resolver_options[];
/* On the loop's thread. Errors: as weir_resolver_configure(). */
weir_error *weir__resolver_configure(const struct resolver_config *said,
                                     weir_loop *loop) WEIR_MUST_USE;

extern const char *const weir__log_levels[];
/* weir_log_level of an index of weir__log_levels. */
int weir__log_level_at(int index);

extern const weir_option *const weir__top_options[];
extern const weir_option *const weir__plugin_options[];
extern const weir_option *const weir__upstream_options[];
extern const weir_option *const weir__listener_options[];
extern const weir_option *const weir__executor_options[];
extern const weir_option *const weir__test_options[];
/* What `extend` may add, for the tree of all settings. */
extern const weir_option *const weir__route_choices[];
extern const weir_option *const weir__listener_routes[];

/* Tables may load plugins while they are used: from this registry, by this thread. NULL ends it. */
void weir__schema_begin(struct registry *registry);
struct registry *weir__schema_registry(void);
/* Loads what the document names, so that tables of one part may be needed by an earlier one. What
 * fails is reported where it is parsed. */
void weir__schema_load_plugins(weir_config_context *context, const weir_config_node *root);
/* admin.c */
extern const weir_option *const weir__admin_http_options[];
void weir__admin_extend(weir_config_context *context, const weir_config_node *node, void *map);
/* The listener that `admin.http` stands for; NULL: it is closed. */
struct listener_config *weir__admin_listener(struct config_top *top);
/* parts.c: across the settings of an upstream. */
void weir__upstream_check(weir_config_context *context, const struct upstream_config *upstream);
/* What its balancer looks at; `source` NULL: nothing. */
weir_hash_key weir__upstream_hash_key_of(const struct upstream_config *upstream);
/* health.c */
extern const weir_option *const weir__health_options[];
/* How its servers are checked; NULL: not at all. */
const struct health_spec *weir__upstream_health_of(weir_config_context *context,
                                                   const struct upstream_config *upstream);
/* WEIR_OPTION `extend` functions. */
void weir__plugin_extend(weir_config_context *context, const weir_config_node *node, void *map);
void weir__upstream_extend(weir_config_context *context, const weir_config_node *node, void *map);
void weir__health_extend(weir_config_context *context, const weir_config_node *node, void *map);
void weir__listener_extend(weir_config_context *context, const weir_config_node *node, void *map);
void weir__route_extend(weir_config_context *context, const weir_config_node *node, void *map);

#endif
