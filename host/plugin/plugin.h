/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugins: opening the file, the registry of what is provided, and instances (the life of one
 * configuration of a provided thing).
 */
#ifndef WEIR_HOST_PLUGIN_PLUGIN_H
#define WEIR_HOST_PLUGIN_PLUGIN_H

#include <weir/executor.h>
#include <weir/plugin.h>

#include "host/config/config.h"
#include "host/generation/traffic.h"

struct durable_map;
struct part;

#define HOST_NOTE_SIZE 128

/* open.c: code that was loaded once stays for the life of the process; the same build is used again. */
/* `in_place` opens the file itself instead of a private copy. Errors: WEIR_EPLUGIN in words. */
weir_error *weir__plugin_open(const char *name, const char *path, bool in_place,
                              const weir_plugin **ret) WEIR_MUST_USE;
/* Refuses a descriptor that this weir cannot use. */
weir_error *weir__plugin_check(const weir_plugin *plugin, const char *name) WEIR_MUST_USE;

/* An extension as the configuration's front end sees it. */
struct provided {
    struct provided *next;
    struct plugin *plugin;
    const weir_extension *extension;
    const weir_extension_head *head;
    weir_option option;
    const char *owner;
};

struct plugin {
    struct plugin *next;
    const weir_plugin *descriptor;
    char *owner; /* "plugin `http`" */
    const void *config;
    weir_executor *executor; /* borrowed; NULL: the default one */
};

struct registry {
    char *plugin_dir;
    bool in_place;
    char *note; /* not NULL: HOST_NOTE_SIZE bytes for the name of the plugin being loaded */
    struct plugin *plugins; /* in the order of loading */
    struct provided *provided;
};

/* registry.c */
weir_error *weir__registry_new(const char *plugin_dir, bool in_place,
                               struct registry **ret) WEIR_MUST_USE;
void weir__registry_free(struct registry *registry);
/* Loads NAME.so of the plugin folder, or `path`; a plugin that is there already is found. */
weir_error *weir__registry_load(struct registry *registry, const char *name, const char *path,
                                struct plugin **ret) WEIR_MUST_USE;
/* Adds a descriptor that is not in a file. */
weir_error *weir__registry_add(struct registry *registry, const weir_plugin *descriptor,
                               struct plugin **ret) WEIR_MUST_USE;
struct plugin *weir__registry_plugin(const struct registry *registry, const char *name);
const weir_protocol *weir__registry_protocol(const struct registry *registry, const char *name,
                                             struct plugin **ret_plugin);
/* Whether the plugin folder has NAME.so. */
bool weir__registry_has_file(const struct registry *registry, const char *name);
struct config_lookup weir__registry_lookup(struct registry *registry);

/* What the value of a match key fills: `host: [a, b]`, or with parameters `header: { Name: [a] }`. */
struct match_texts {
    weir_array texts; /* of const char * */
};

struct match_parameter {
    const char *name;
    weir_array texts;
};

struct match_parameters {
    weir_array parameters; /* of struct match_parameter */
};

/* instance.c */
struct weir_instance {
    weir_instance *next;          /* of those made while a generation is built */
    weir_instance *next_own;      /* of a listener's that have no state */
    struct part *part;            /* NULL: it has no state, and goes with its listener */
    const weir_instance_ops *ops; /* may be NULL */
    const void *config;
    void *state;
    void **loop_states;
    bool *loop_started;
    unsigned n_loops;
    bool started, committed;
    char *path;
    weir_logger *logger;
    weir_executor *executor;
    struct durable_map *durables;
    void **kept; /* durable states that it has asked for, each once */
    size_t n_kept, kept_room;
    const char *plugin_name;
    struct plugin *plugin;
};

weir_error *weir__instance_new(const weir_instance_ops *ops, struct plugin *plugin,
                               const void *config, const char *path,
                               weir_instance **ret) WEIR_MUST_USE;
void weir__instance_free(weir_instance *instance);
/* Whether it lives on its own: has a state, or is told of its life. */
bool weir__instance_has_life(const weir_instance_ops *ops);
/* `old`: the one it replaces; NULL: none. */
weir_error *weir__instance_start(weir_instance *instance, const weir_instance *old,
                                 unsigned n_loops) WEIR_MUST_USE;
void weir__instance_commit(weir_instance *instance, const weir_instance *old);
/* On the loop's thread. */
weir_error *weir__instance_loop_start(weir_instance *instance,
                                      struct traffic *traffic) WEIR_MUST_USE;
void weir__instance_loop_stop(weir_instance *instance, struct traffic *traffic);

#endif
