/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The host, for the daemon, not for plugins: one configuration file brought to life.
 *
 *     WEIR_TRY(weir_host_new(&options, &host));
 *     if (!weir_host_load(host) || !weir_host_prepare(host)) {
 *         weir_host_report(host, stderr, WEIR_HOST_TEXT, isatty(2));
 *         return weir_host_exit_code(host);
 *     }
 *     WEIR_TRY(weir_host_apply(host));                log, debug, limits: process-wide
 *     … on the control loop, which runs on the main thread …
 *     WEIR_TRY(weir_host_start(host, loop));          serving when it returns
 *     … on TERM …
 *     weir_host_stop(host, weir_host_settings_of(host)->shutdown_grace, stopped, arg);
 *     … after `stopped` …
 *     weir_host_free(host);
 *
 * `weir check` is load and report; `weir check --deep` prepares as well. Loading and preparing
 * block (files, dlopen) and run on any one thread; start, stop and free belong to the control loop.
 *
 * Example:
 *
 *     // weir check -f site.yaml
 *     static int check(const char *path)
 *     {
 *         weir_host_options options = {WEIR_SIZED(weir_host_options), .config_path = path};
 *         weir_host *host;
 *         int status = 71;
 *
 *         if (weir_error_is(weir_host_new(&options, &host), WEIR_ENOMEM))
 *             return status;
 *         (void)weir_host_load(host);
 *         weir_host_report(host, stderr, WEIR_HOST_TEXT, false);
 *         weir_host_summary(host, stderr);
 *         status = weir_host_exit_code(host);
 *         weir_host_free(host);
 *         return status;
 *     }
 */
#ifndef WEIR_HOST_H
#define WEIR_HOST_H

#include <stdio.h>

#include <weir/error.h>
#include <weir/loop.h>
#include <weir/time.h>

WEIR_BEGIN_DECLS

typedef struct weir_host weir_host;

typedef struct weir_host_options {
    size_t size;
    const char *config_path;      /**< the main file */
    const char *const *sets;      /**< "log.level=debug"; NULL-ended or `set_count` */
    const char *const *set_names; /**< how each was written ("--log-level"); NULL: "--set" */
    size_t set_count;
    const char *plugin_dir; /**< NULL: where this weir was installed */
    bool plugins_in_place;  /**< open plugins without a private copy: for debuggers */
    bool
        inspect; /**< keep what weir_host_print() and weir_host_diff() show: loading takes longer */
} weir_host_options;

typedef enum weir_host_format { WEIR_HOST_TEXT, WEIR_HOST_GCC, WEIR_HOST_JSON } weir_host_format;

/** What the daemon itself needs to know of the configuration. Valid as long as the host. */
typedef struct weir_host_settings {
    size_t size;
    weir_duration shutdown_grace;
    weir_duration restart_grace; /**< when systemd stops weir to start it again */
    unsigned threads;            /**< traffic loops */
    const char *backend;
    bool debug;
    const char *control_socket; /**< path of admin.control.socket; NULL: the usual places */
    unsigned control_mode;      /**< of that file */
    const char *control_group;  /**< whose members operate; NULL: nobody's */
} weir_host_settings;

/** Counts for the last line of `weir check` and the start line. */
typedef struct weir_host_counts {
    size_t size;
    size_t listeners, routes, upstreams, servers, files, errors, warnings;
} weir_host_counts;

/** Errors: WEIR_ENOMEM. */
WEIR_PUBLIC weir_error *weir_host_new(const weir_host_options *options,
                                      weir_host **ret) WEIR_MUST_USE;
/** A host that runs must have stopped. */
WEIR_PUBLIC void weir_host_free(weir_host *host);

/** Reads the configuration, loads the plugins that it uses, parses and checks all of it. False:
 *  mistakes were found; they are in the report. Once for a host. */
WEIR_PUBLIC bool weir_host_load(weir_host *host);
/** Tries the requests of `tests` and compares who serves them with what they expect. Needs a load that
 *  went well, and a thread without a loop. False: some failed; they are in the report. */
WEIR_PUBLIC bool weir_host_test(weir_host *host);
/** Makes everything that can fail, short of starting: reads certificates, binds sockets, starts
 *  instances. Needs a load that went well. False: what failed is in the report. */
WEIR_PUBLIC bool weir_host_prepare(weir_host *host);
/**
 * Runs `fn(host, arg)` in a child process and gives its exit status (its result, 0 to 255), so that a
 * plugin which crashes or hangs harms nobody: then the result is -1 and the report says which one.
 * What the function did to `host` is lost with the child. For a process of one thread.
 */
WEIR_PUBLIC int weir_host_run_apart(weir_host *host, int (*fn)(weir_host *host, void *arg),
                                    void *arg);
/** Diagnostics, sorted by place; warnings too. Writes nothing when there are none. */
WEIR_PUBLIC void weir_host_report(weir_host *host, FILE *out, weir_host_format format, bool colour);
/** "ok: 3 listeners, 4 routes, 1 upstream (2 servers), 2 files", or "weir: 2 errors, 0 warnings in
 *  3 files; nothing was changed"; with the end of the line. */
WEIR_PUBLIC void weir_host_summary(weir_host *host, FILE *out);
/** 0; 64 a --set does not parse; 66 the main file cannot be read; 71 the system refuses what is
 *  asked (an address is in use); 78 anything wrong in a file. */
WEIR_PUBLIC int weir_host_exit_code(const weir_host *host);
WEIR_PUBLIC weir_host_counts weir_host_counts_of(const weir_host *host);
/** After a load that went well; where a load failed, what it could read of `admin`. */
WEIR_PUBLIC const weir_host_settings *weir_host_settings_of(const weir_host *host);

/** What a diagnostic's code means and what to do about it; NULL: there is no such code. Any thread. */
WEIR_PUBLIC const char *weir_host_explain(int code);
/** The i-th code there is; 0 past the last. Any thread. */
WEIR_PUBLIC int weir_host_code_at(size_t index);

typedef struct weir_host_print_options {
    size_t size;
    const char *path; /**< "listeners.web", "listeners.web.routes[0]"; NULL: everything */
    bool only_set;    /**< leave out what has its default */
    bool json;        /**< one JSON value instead of YAML with origins */
} weir_host_print_options;

/** What is in force and where each value came from; secrets are not shown. Of a host made with
 *  `inspect`, after a load. False: there is nothing at that path. */
WEIR_PUBLIC bool weir_host_print(weir_host *host, FILE *out,
                                 const weir_host_print_options *options);

/** How many settings differ, by what a reload does about them. */
typedef struct weir_host_changes {
    size_t size;
    size_t hot;     /**< take effect */
    size_t sockets; /**< open or close sockets */
    size_t restart; /**< are kept as they were */
} weir_host_changes;

/** A line for each setting that differs. Both made with `inspect` and loaded. */
WEIR_PUBLIC weir_host_changes weir_host_diff(weir_host *from, weir_host *to, FILE *out);

/** The JSON Schema of configuration files, with the settings of every plugin in the plugin folder.
 *  Needs no load. */
WEIR_PUBLIC void weir_host_schema(weir_host *host, FILE *out);
/** What a setting is: "upstreams.retries". False: there is none; what was meant is in `out`. */
WEIR_PUBLIC bool weir_host_explain_setting(weir_host *host, const char *path, FILE *out);

/**
 * Who would serve a request: `params` and the answer are JSON, as those of the question "route" of
 * <weir/inspect.h>, which asks a running host. `ret` is to be freed. Needs a load that went well.
 * Errors: WEIR_EINVAL what is wrong with the request, in words; WEIR_ENOMEM.
 */
WEIR_PUBLIC weir_error *weir_host_route(weir_host *host, const char *params,
                                        char **ret) WEIR_MUST_USE;

/** Puts the process-wide settings into force: log output, format and levels, open files. */
WEIR_PUBLIC weir_error *weir_host_apply(weir_host *host) WEIR_MUST_USE;
/** Opens the files of the log and of the access log again, after they were moved away. On failure the
 *  old ones stay in use. */
WEIR_PUBLIC weir_error *weir_host_reopen(weir_host *host) WEIR_MUST_USE;

typedef struct weir_access_follower weir_access_follower;
/** Reads the access log along, whatever its format is and though it be off: from now on `take` gets each
 *  record that `filter` lets through ("status>=500 route=app"; NULL: all) as a line of JSON without its
 *  end, in the thread that has it: a traffic loop, for which nothing must block. Followers begin and end
 *  one at a time, on one thread.
 *  Errors: WEIR_EINVAL the filter is none, and why; WEIR_ENOMEM. */
WEIR_PUBLIC weir_error *
weir_host_follow_access(const char *filter, void (*take)(void *arg, const char *line, size_t len),
                        void *arg, weir_access_follower **ret) WEIR_MUST_USE;
/** `take` is called no more when this returns. */
WEIR_PUBLIC void weir_host_unfollow_access(weir_access_follower *take_follower);
/**
 * Starts the traffic loops, each in a thread of its own, and returns when all of them serve; logs
 * a line for each listener. Blocks for milliseconds. `control` is the loop of this thread.
 */
WEIR_PUBLIC weir_error *weir_host_start(weir_host *host, weir_loop *control) WEIR_MUST_USE;
/** Stops accepting, lets connections end, at most `grace`, then aborts them. `stopped(arg)` is
 *  called once by the control loop when every traffic loop has ended. A second call shortens the
 *  grace and replaces nothing else. */
WEIR_PUBLIC void weir_host_stop(weir_host *host, weir_duration grace, weir_fn stopped, void *arg);

typedef struct weir_host_reload_options {
    size_t size;
    bool dry_run;            /**< everything but the commit */
    weir_host_format format; /**< of the diagnostics */
    bool colour;
} weir_host_reload_options;

/** How a reload went. Strings are borrowed for the call. */
typedef struct weir_host_reload_result {
    size_t size;
    int exit_code; /**< 0, those of weir_host_exit_code(), 75: it did not come to an end in time */
    bool committed;
    unsigned generation;     /**< in force now */
    const char *message;     /**< the first error in a line; "" */
    const char *diagnostics; /**< "" when there is nothing to say */
    const char *diff;        /**< lines of weir_host_diff(), where both were made with `inspect` */
    weir_host_changes changes;
    bool checked; /**< what the files say is right */
    size_t files, certificates, plugins, new_sockets, errors, warnings;
    weir_duration checking, preparing, took;
} weir_host_reload_result;

typedef void (*weir_host_reload_fn)(void *arg, const weir_host_reload_result *result);

/**
 * Reads the configuration again, prepares it off the loops, and commits it; or changes nothing.
 * `done` is called once by the control loop, not before this returns. A reload waits at most 10 s for
 * whatever may hang.
 * Errors: WEIR_EBUSY another one is running; WEIR_EINVALSTATE the host does not run; WEIR_ENOMEM.
 */
WEIR_PUBLIC weir_error *weir_host_reload(weir_host *host, const weir_host_reload_options *options,
                                         weir_host_reload_fn done, void *arg) WEIR_MUST_USE;
/** Puts the generation before into force again; the present one becomes the one before.
 *  Errors: as above; ENOENT there is none. */
WEIR_PUBLIC weir_error *weir_host_rollback(weir_host *host, weir_host_reload_fn done,
                                           void *arg) WEIR_MUST_USE;

typedef struct weir_host_generation {
    size_t size;
    unsigned number, previous; /**< 0: there is none before */
    int64_t loaded_at;         /**< CLOCK_REALTIME, nanoseconds */
    size_t files;
    uint64_t pinned; /**< connections that run with parts which are not in force any more */
} weir_host_generation;

/** The generation in force. False: none is. */
WEIR_PUBLIC bool weir_host_generation_of(const weir_host *host, weir_host_generation *ret);

/** Open connections of all listeners at this moment. */
WEIR_PUBLIC uint64_t weir_host_connections(const weir_host *host);

/** An address that is listened on. Strings live as long as the host. */
typedef struct weir_host_endpoint {
    const char *listener, *protocol;
    const char *address; /**< "127.0.0.1:8080" with the port that the kernel chose */
    bool tls;
} weir_host_endpoint;

/** The i-th of them, after prepare; false past the last. */
WEIR_PUBLIC bool weir_host_endpoint_at(const weir_host *host, size_t index,
                                       weir_host_endpoint *ret);

/** A listening socket. The descriptor is the host's. */
typedef struct weir_host_socket {
    const char *listener, *address;
    int fd;
    bool inherited; /**< the process was started with it */
} weir_host_socket;

/** The i-th of them, after prepare and until the stop; false past the last. Sockets that systemd
 *  passed under a listener's name, or without one, are used where they have the listener's address. */
WEIR_PUBLIC bool weir_host_socket_at(const weir_host *host, size_t index, weir_host_socket *ret);
/** Somebody else keeps the sockets open from now on: files of Unix sockets stay when weir stops. */
WEIR_PUBLIC void weir_host_keep_sockets(weir_host *host);

WEIR_END_DECLS

#endif
