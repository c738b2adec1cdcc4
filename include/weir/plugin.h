/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The plugin kit: all that a plugin may include, and the one symbol it exports.
 *
 * ABI 0.1: nothing is promised before 1.0, plugin and server must match exactly.
 *
 *     static const weir_protocol hello = { WEIR_SIZED(weir_protocol), .name = "hello", … };
 *     WEIR_PLUGIN(.name = "hello", .version = "0.1.0", .summary = "Greets, then echoes",
 *                 .protocols = WEIR_LIST(&hello));
 *
 * Descriptor macros are for C and C++20; everything else also compiles as C++17.
 *
 * Example:
 *
 *     static weir_error *serve(weir_stream *stream, const void *config)
 *     {
 *         (void)config;
 *         return weir_stream_printf(stream, "hello\n");
 *     }
 *
 *     static const weir_protocol hello = {WEIR_SIZED(weir_protocol), .name = "hello", .serve = serve};
 *
 *     WEIR_PLUGIN(.name = "hello", .version = "0.1.0", .summary = "Greets", .protocols = WEIR_LIST(&hello));
 */
#ifndef WEIR_PLUGIN_H
#define WEIR_PLUGIN_H

#include <weir/listener.h>
#include <weir/option.h>
#include <weir/outcome.h>
#include <weir/route.h>
#include <weir/upstream.h>
#include <weir/weir.h>

WEIR_BEGIN_DECLS

#define WEIR_ABI_MAJOR 0
#define WEIR_ABI_MINOR 1

/**
 * The life of one configuration of a provided thing (a protocol on a listener, an action of a
 * route, a plugin as a whole). Config is immutable and belongs to the instance; a changed one is a
 * new instance. All members are optional.
 */
struct weir_instance_ops {
    size_t size;
    size_t state_size;      /**< shared by all threads: the plugin locks */
    size_t loop_state_size; /**< one for each traffic loop: no lock */
    /** Across fields, in the executor; reports with weir_config_error(). */
    void (*check)(weir_config_context *context, const void *config);
    /** Before the configuration is published, in the executor; may fail. `old_state` is that of the
     *  instance it replaces, or NULL. */
    weir_error *(*start)(weir_instance *instance, void *state, const void *config, void *old_state);
    weir_error *(*loop_start)(weir_instance *instance, void *loop_state, weir_loop *loop);
    void (*loop_stop)(weir_instance *instance, void *loop_state, weir_loop *loop);
    /** After publication; cannot fail. */
    void (*commit)(weir_instance *instance, void *state, void *old_state);
    /** With the last user. */
    void (*stop)(weir_instance *instance, void *state);
};

/** Any thread. */
WEIR_PUBLIC const void *weir_instance_config(const weir_instance *instance);
/** Any thread; the plugin locks what it shares. */
WEIR_PUBLIC void *weir_instance_state(const weir_instance *instance);
/** Of the current loop; NULL on threads that are no traffic loop. */
WEIR_PUBLIC void *weir_instance_loop_state(const weir_instance *instance);
/** "listeners.web", "listeners.web.routes[2]"; for messages. Any thread. */
WEIR_PUBLIC const char *weir_instance_path(const weir_instance *instance);
/** `plugin.NAME`. Any thread. */
WEIR_PUBLIC weir_logger *weir_instance_logger(const weir_instance *instance);
/** For blocking work of the plugin. Borrowed. */
WEIR_PUBLIC weir_executor *weir_instance_executor(const weir_instance *instance);
/**
 * State that outlives configurations, found by kind and identity: made zeroed (and by `make`, when
 * given) on first use. It stays while an instance that asked for it lives: across reloads, as the
 * instance that follows asks before the one before it ends. Then it is dropped. Any thread.
 */
WEIR_PUBLIC weir_error *weir_durable_get(weir_instance *instance, const char *kind,
                                         const char *identity, size_t size,
                                         weir_error *(*make)(void *state), weir_drop_fn drop,
                                         void **ret_state) WEIR_MUST_USE;

/** Something that a protocol lets others add to: an "http.action", an "http.filter". `table` begins
 *  with `size_t size; const char *name;` then options, config_size and instance, as
 *  weir_extension_head does. */
typedef struct weir_extension {
    size_t size;
    const char *kind, *name;
    const void *table;
} weir_extension;

/** How every extension's table begins. */
typedef struct weir_extension_head {
    size_t size;
    const char *name;
    const weir_option *const *options;
    size_t config_size, state_size;
    const weir_instance_ops *instance;
    const char *shorthand; /**< the option that a scalar stands for (`proxy: app`); may be NULL */
} weir_extension_head;

/** What a plugin is. Lists hold pointers and end with NULL; unset ones are empty. */
typedef struct weir_plugin {
    size_t size;
    uint16_t abi_major, abi_minor;
    const char *name, *version, *summary;
    const weir_option *const *options; /**< of `plugins.NAME.config` */
    size_t config_size;
    const weir_instance_ops *instance;
    const weir_protocol *const *protocols;
    const weir_matcher *const *matchers;
    const weir_inspector *const *inspectors;
    const weir_upstream_protocol *const *upstream_protocols;
    const weir_extension *const *extensions;
} weir_plugin;

/** Defines the descriptor; once per plugin, at file scope. */
#ifdef __cplusplus
#    define WEIR_PLUGIN_EXTERN_ extern "C"
#else
#    define WEIR_PLUGIN_EXTERN_ extern
#endif
#define WEIR_PLUGIN(...)                                                                      \
    WEIR_PLUGIN_EXTERN_ WEIR_PUBLIC const weir_plugin weir_plugin_v1;                         \
    const weir_plugin weir_plugin_v1 = {WEIR_SIZED(weir_plugin), .abi_major = WEIR_ABI_MAJOR, \
                                        .abi_minor = WEIR_ABI_MINOR, __VA_ARGS__}

WEIR_END_DECLS

#endif
