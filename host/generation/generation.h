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
#include "host/generation/part.h"
#include "host/generation/traffic.h"
#include "host/listener/listener.h"
#include "host/plugin/plugin.h"
#include "host/schema/schema.h"

struct access_change;

/* Counted by the control loop. What it points at in `origin` and in parts lives as long. */
struct generation {
    unsigned refs;
    unsigned number;
    weir_host *host;
    const struct generation *from; /* while it is built: whose parts may be taken; NULL: none */
    struct origin *origin;
    struct content base; /* of what every part depends on */
    struct content log, debug, resolver;
    struct content_notes *notes;
    unsigned too_old; /* parts of this generation and those before it are made anew */
    unsigned meeting;
    struct part_table parts;
    weir_instance *made,
        **made_end;              /* while it is built: instances in the order in which they start */
    weir_config_context *config; /* the origin's, as is the next */
    struct registry *registry;
    struct config_top *top;
    weir_host_settings settings;
    bool loaded;
    size_t n_system_errors; /* of the errors: what the system refused */
    weir_listener **listeners;
    size_t n_listeners;
    weir_upstream **upstreams; /* those without a name are last */
    struct upstream_config **upstream_configs;
    size_t n_upstreams, upstreams_room;
    weir_executor *executor;      /* the default one */
    struct access_change *access; /* prepared, until it is in force; NULL: as it was */
    size_t n_routes;
    unsigned n_loops;
    /* For the report of a reload. */
    unsigned n_new_sockets;
    int64_t loaded_at; /* CLOCK_REALTIME, ns; 0: never in force */
};

struct traffic_thread {
    struct traffic traffic;
    weir_host *host;
    pthread_t thread;
    bool started, ended, told;
    weir_error *error;
    /* Of the loop: */
    const struct generation *generation; /* in force */
    struct hlist servings;
    size_t n_open; /* servers that accept, or have connections */
    unsigned swaps;
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

struct change;
struct reload;
struct tls_watched;

struct weir_host {
    enum host_state state;
    char *config_path, *plugin_dir;
    struct config_settings config_settings;
    bool plugins_in_place;
    struct durable_map *durables;
    struct generation *generation; /* in force, or on the way to be the first */
    struct connection_limit limit;
    struct tls_watch *tls; /* files of certificates; NULL: none */
    struct weir_tls_tickets *tickets;
    struct health *health;       /* checks of servers; NULL while it does not run */
    struct memory_watch *memory; /* NULL: no limit */
    struct hlist parts;          /* that were on the loops once */
    struct change *first;        /* while it starts */
    struct generation *previous; /* NULL: none; for weir_host_rollback() */
    struct reload *reload;       /* under way */
    weir_executor *builder;      /* one thread that gives way to traffic: loads, destroys */
    weir_executor *starter;      /* one thread for what may wait: prepares */
    unsigned n_loops, last_number;

    weir_loop *control;
    struct traffic_thread *threads;
    unsigned n_threads;
    pthread_mutex_t mutex; /* for n_ready */
    pthread_cond_t ready;
    unsigned n_ready, n_ended;
    weir_timer deadline;
    bool has_deadline, aborted;
    bool serving;     /* atomic: all threads began well */
    bool logs_access; /* its settings of the access log are in force */
    weir_fn stopped;
    void *stopped_arg;
};

/* generation.c */
weir_error *weir__generation_new(weir_host *host, const struct generation *from,
                                 const struct config_settings *settings,
                                 struct generation **ret) WEIR_MUST_USE;
struct generation *weir__generation_ref(struct generation *g);
/* What only it kept goes to `dead`. */
void weir__generation_unref(struct generation *g, struct hlist *dead);
/* The same where nothing runs. */
void weir__generation_free(struct generation *g);

/* Reads, parses, checks, builds. False: what is wrong is in its report. */
bool weir__generation_load(struct generation *g);

/* It is in force: instances are told, `before` is the one that was (NULL: none). */
void weir__generation_committed(struct generation *g, const struct generation *before);

/* reload.c: connections that run with it. */
uint64_t weir__listener_pins(const weir_listener *listener);
/* settings.c: the process-wide settings that differ; what needs a restart stays as it was. */
weir_error *weir__host_reapply(weir_host *host, const struct generation *from,
                               struct generation *to) WEIR_MUST_USE;

/* destroy.c: the builder and the starter, once. */
weir_error *weir__host_make_threads(weir_host *host) WEIR_MUST_USE;
/* Destroys what is in the list, now or by the builder. */
void weir__host_destroy(weir_host *host, struct hlist *dead);
void weir__host_end_generations(weir_host *host);

/* build.c */
void weir__generation_build(struct generation *g);

/* An instance of `owner`'s, or of the generation (NULL): that of the generation before, when its
 * content `node` (and all that it depends on) did not change. */
struct instance_spec {
    const weir_instance_ops *ops;
    struct plugin *plugin;
    const void *config;
    const weir_config_node *node;
    const char *path;
    weir_listener *owner;
};

weir_error *weir__generation_add_instance(struct generation *g, const struct instance_spec *spec,
                                          weir_instance **ret) WEIR_MUST_USE;
/* A part of the generation before that has this content; NULL: none. */
struct part *weir__generation_same(const struct generation *g, const struct part_kind *kind,
                                   const char *key, const struct content *content);
void weir__generation_limit_origins(struct generation *g);
/* Whether it was made by this generation, not taken. */
bool weir__generation_made(const struct generation *g, const struct part *part);
/* Takes it, and what it points at. */
weir_error *weir__generation_take(struct generation *g, struct part *part) WEIR_MUST_USE;
/* Makes one of the object, which it destroys when it cannot; the reference is the generation's. */
weir_error *weir__generation_add_part(struct generation *g, const struct part_kind *kind,
                                      const char *key, const struct content *content,
                                      void *take_object, struct part **ret) WEIR_MUST_USE;
/* "listeners", "web"; `name` NULL: the section. NULL: there is none. */
const weir_config_node *weir__generation_node(const struct generation *g, const char *section,
                                              const char *name);
/* The content of a part: what all depend on, and the node. */
struct content weir__generation_content(const struct generation *g, const weir_config_node *node);
extern const struct part_kind weir__listener_part, weir__upstream_part, weir__instance_part,
    weir__tls_part;

/* build_upstreams.c: makes the parts and points references at them. */
weir_error *weir__generation_build_upstreams(struct generation *g) WEIR_MUST_USE;
/* build_routes.c */
weir_error *weir__generation_build_routes(struct generation *g,
                                          const struct listener_config *config,
                                          weir_listener *listener) WEIR_MUST_USE;
/* The instance of the generation before that stood in the same place; NULL: none. */
const weir_instance *weir__generation_replaced(const struct generation *g,
                                               const weir_instance *instance);
/* prepare.c */
void weir__generation_prepare(struct generation *g);
/* Sockets only: binds what is not bound. */
void weir__generation_prepare_sockets(struct generation *g);
/* The access log, where what is said of it changed: the file is open, and g->access is to be committed. */
void weir__generation_prepare_access(struct generation *g);
/* tls.c: the contexts of listeners and upstreams. */
void weir__generation_prepare_tls(struct generation *g);

/* tls_parts.c */
struct tls_plan {
    struct part *owner; /* the listener's, or the upstream's */
    struct content content;
    char key[440];
};

/* `section`: "listeners" or "upstreams". */
void weir__tls_part_begin(struct tls_plan *plan, const struct generation *g, const char *section,
                          const char *name, struct part *owner);
/* A reference to the context of the generation before, of the same content; NULL: there is none. */
weir_tls_context *weir__tls_part_take(struct generation *g, const struct tls_plan *plan);
weir_error *weir__tls_part_keep(struct generation *g, const struct tls_plan *plan,
                                weir_tls_context *context,
                                struct tls_watched **take_watched) WEIR_MUST_USE;
/* run.c: the last server is closed: the loop ends. */
void weir__loop_finish(struct traffic_thread *thread);
/* log.c */
weir_error *weir__log_apply(const struct log_config *log) WEIR_MUST_USE;
/* settings.c: what a loop has of its own. `from` NULL: the start. */
weir_error *weir__loop_settings(struct traffic_thread *thread, const struct generation *from,
                                const struct generation *to) WEIR_MUST_USE;
unsigned weir__processor_count(void);
/* "max 100000" or "150000 100000" to processors, rounded up; 0: no limit or no such text. */
unsigned weir__cpu_quota(const char *cpu_max);
void weir__generation_settle(struct generation *g);

#endif
