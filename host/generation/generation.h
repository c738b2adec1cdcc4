/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A generation: the parts that one configuration became. It is built completely (load, prepare)
 * before loops see it. What changes at run time is not here but in durable objects (slots, servers).
 *
 * The host holds the generation in force, the durable objects, the registry and the traffic loops.
 */
#ifndef WEIR_HOST_GENERATION_GENERATION_H
#define WEIR_HOST_GENERATION_GENERATION_H

#include <pthread.h>

#include <weir/callback.h>
#include <weir/host.h>
#include <weir/server.h>

#include "host/config/config.h"
#include "host/generation/durable.h"
#include "host/generation/traffic.h"
#include "host/listener/listener.h"
#include "host/plugin/plugin.h"
#include "host/schema/schema.h"

struct generation {
    weir_host *host;
    struct registry *registry;
    size_t n_system_errors; /* of the errors: what the system refused */
    weir_host_settings settings;
    weir_config_context *config;
    struct config_top *top;
    weir_listener **listeners;
    size_t n_listeners;
    weir_upstream **upstreams; /* those without a name are last */
    struct upstream_config **upstream_configs;
    size_t n_upstreams, upstreams_room;
    weir_instance *instances, **instances_end; /* in the order in which they start */
    size_t n_routes;
    unsigned n_loops;
};

struct traffic_thread {
    struct traffic traffic;
    weir_host *host;
    pthread_t thread;
    bool started, ended, told;
    weir_error *error;
    weir_server **servers;
    size_t n_servers, n_open;
};

enum host_state {
    HOST_NEW,
    HOST_REFUSED,
    HOST_LOADED,
    HOST_PREPARED,
    HOST_RUNNING,
    HOST_STOPPING,
    HOST_STOPPED
};

struct weir_host {
    enum host_state state;
    char *config_path, *plugin_dir;
    bool plugins_in_place;
    struct durable_map *durables;
    struct generation *generation; /* in force, or on the way to be the first */
    struct connection_limit limit;
    struct tls_watch *tls; /* files of certificates; NULL: none */
    struct weir_tls_tickets *tickets;
    struct health *health; /* checks of servers; NULL while it does not run */
    weir_executor *executor;
    struct memory_watch *memory; /* NULL: no limit */

    weir_loop *control;
    struct traffic_thread *threads;
    unsigned n_threads;
    pthread_mutex_t mutex; /* for n_ready */
    pthread_cond_t ready;
    unsigned n_ready, n_ended;
    weir_timer deadline;
    bool has_deadline, aborted;
    bool logs_access; /* its settings of the access log are in force */
    bool serving; /* atomic: all threads began well */
    weir_fn stopped;
    void *stopped_arg;
};

/* build.c */
void weir__generation_build(struct generation *g);
void weir__generation_free(struct generation *g);
weir_error *weir__generation_add_instance(struct generation *g, const weir_instance_ops *ops,
                                          struct plugin *plugin, const void *config,
                                          const char *path, weir_instance **ret) WEIR_MUST_USE;
/* build_upstreams.c: makes the parts and points references at them. */
weir_error *weir__generation_build_upstreams(struct generation *g) WEIR_MUST_USE;
/* build_routes.c */
weir_error *weir__generation_build_routes(struct generation *g,
                                          const struct listener_config *config,
                                          weir_routes **ret) WEIR_MUST_USE;
/* prepare.c */
void weir__generation_prepare(struct generation *g);
/* tls.c: the contexts of listeners and upstreams. */
void weir__generation_prepare_tls(struct generation *g);
/* log.c */
weir_error *weir__log_apply(const struct log_config *log) WEIR_MUST_USE;
/* settings.c */
unsigned weir__processor_count(void);
/* "max 100000" or "150000 100000" to processors, rounded up; 0: no limit or no such text. */
unsigned weir__cpu_quota(const char *cpu_max);
void weir__generation_settle(struct generation *g);

#endif
