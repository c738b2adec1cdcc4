/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reload as a transaction.
 *
 *   builder    reads and checks the next generation, says what differs: all that takes a while
 *   starter    prepares it: binds, opens, starts instances: all that can fail or wait
 *   control    commits it by a change of the loops (change.h), or gives it up: then nothing is changed
 *
 * The builder gives way to traffic: its thread is nice. What is started from a nice thread would be so for
 * ever (a plugin's threads, processes), hence the other one. The control loop goes on serving meanwhile. What the builder does not finish within the limit is
 * answered as failed and given up when it comes back; until then no other reload begins.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/log.h>

#include "host/access/access.h"
#include "host/generation/change.h"
#include "host/health/health.h"
#include "host/metrics/metrics.h"
#include "host/route/explain.h"

#define LIMIT        WEIR_S(10)
#define EXIT_OSERR   71
#define EXIT_TEMP    75
#define EXIT_CONFIG_ 78

struct reload {
    weir_host *host;
    struct generation *from, *to;
    bool dry_run, back; /* back: to the generation before */
    weir_host_format format;
    bool colour, built, late;
    weir_timer timer;
    weir_instant began;
    struct change *change;
    char *diagnostics, *diff, message[400];
    weir_host_reload_result result;
    weir_host_reload_fn done;
    void *arg;
};

static weir_logger *logger(void)
{
    return weir_logger_get("weir.host");
}

static weir_duration since(weir_instant when)
{
    return WEIR_NS(weir_now().ns - when.ns);
}

/* In the builder. */

static char *text_of(struct generation *g, enum config_format format, bool colour)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    weir__config_report(g->config, out, format, colour);
    return fclose(out) == 0 ? text : NULL;
}

/* "weir.yaml:12:5: error: …", the first of them, for the log and the status. */
static void first_error(struct reload *reload)
{
    char *text = text_of(reload->to, CONFIG_FORMAT_GCC, false), *line = text;

    while (line && *line && !strstr(line, "error:"))
        line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL;
    if (line) {
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(reload->message, sizeof reload->message, "%s", line);
    }
    free(text);
}

static int exit_code(const struct generation *g)
{
    int code = weir__config_exit_code(g->config);

    return code == EXIT_CONFIG_ && g->n_system_errors == weir__config_error_count(g->config)
               ? EXIT_OSERR
               : code;
}

static void add_diff(struct reload *reload)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    struct config_changes changes;

    if (!out)
        return;
    changes = weir__config_diff(reload->from->config, reload->to->config, out);
    reload->result.changes = (weir_host_changes){WEIR_SIZED(weir_host_changes), changes.hot,
                                                 changes.sockets, changes.restart};
    if (fclose(out) == 0)
        reload->diff = text;
}

/* What takes effect with the next start only is kept as it is. */
static void keep_settings(struct generation *to, const struct generation *from)
{
    to->settings.threads = from->settings.threads;
    to->settings.backend = from->settings.backend;
    to->settings.control_socket = from->settings.control_socket;
    to->settings.control_mode = from->settings.control_mode;
    to->settings.control_group = from->settings.control_group;
}

static void make(struct reload *reload)
{
    struct config_settings settings = reload->host->config_settings;
    weir_instant began = weir_now();
    struct generation *g;
    weir_error *error;

    error = weir__generation_new(reload->host, reload->from, &settings, &reload->to);
    if (error) {
        reload->result.exit_code = EXIT_OSERR;
        weir_error_message(error, reload->message, sizeof reload->message);
        weir_ignore(error);
        return;
    }
    g = reload->to;
    if (weir__generation_load(g) && weir__config_error_count(g->config) == 0 &&
        weir__generation_test(g))
        reload->result.checked = true;
    reload->result.files = weir__config_file_count(g->config);
    reload->result.checking = since(began);
    if (reload->result.checked)
        add_diff(reload);
}

/* In the starter. */

static void prepare_next(struct reload *reload)
{
    struct generation *g = reload->to;
    weir_instant began = weir_now();

    keep_settings(g, reload->from);
    weir__generation_prepare(g);
    reload->result.preparing = since(began);
    reload->result.certificates = g->top->tls.certificates.count;
    reload->result.new_sockets = g->n_new_sockets;
    for (const struct plugin *p = g->registry->plugins; p; p = p->next)
        reload->result.plugins++;
}

/* Its parts are there; sockets that were closed are bound again. */
static void prepare_back(struct reload *reload)
{
    weir_instant began = weir_now();

    weir__config_forget_errors(reload->to->config);
    reload->to->n_system_errors = 0;
    reload->to->from = reload->from;
    reload->to->n_new_sockets = 0;
    reload->result.checked = true;
    weir__generation_prepare_sockets(reload->to);
    weir__generation_prepare_access(reload->to);
    reload->to->from = NULL;
    reload->result.new_sockets = reload->to->n_new_sockets;
    reload->result.preparing = since(began);
}

static weir_error *built(void *arg);

static void back_to_control(struct reload *reload, weir_fn fn)
{
    weir_ignore(weir_loop_call_soon_threadsafe(reload->host->control, fn, reload, NULL));
}

/* The last step off the loops. */
static void report(struct reload *reload)
{
    if (reload->to) {
        reload->to->from = NULL;
        reload->result.exit_code = exit_code(reload->to);
        reload->result.errors = weir__config_error_count(reload->to->config);
        reload->result.warnings = weir__config_warning_count(reload->to->config);
        if (reload->result.errors)
            first_error(reload);
        reload->diagnostics =
            text_of(reload->to, (enum config_format)reload->format, reload->colour);
    }
    back_to_control(reload, built);
}

static weir_error *prepare(void *arg)
{
    struct reload *reload = arg;

    if (reload->back)
        prepare_back(reload);
    else
        prepare_next(reload);
    report(reload);
    return NULL;
}

/* On the control loop, of which the starter's thread comes. */
static weir_error *start_to_prepare(void *arg)
{
    struct reload *reload = arg;
    weir_host *host = reload->host;
    weir_error *error;

    if (reload->late || host->state != HOST_RUNNING) {
        reload->to->from = NULL;
        return built(reload);
    }
    error = weir_executor_submit(host->starter, prepare, reload, NULL, NULL);
    if (!error)
        return NULL;
    reload->result.exit_code = EXIT_OSERR;
    weir_error_message(error, reload->message, sizeof reload->message);
    weir_ignore(error);
    reload->to->from = NULL;
    return built(reload);
}

static weir_error *build(void *arg)
{
    struct reload *reload = arg;

    make(reload);
    if (reload->result.checked)
        back_to_control(reload, start_to_prepare);
    else
        report(reload);
    return NULL;
}

/* On the control loop. */

static void reload_free(struct reload *reload)
{
    struct hlist dead;

    hlist_init(&dead);
    weir__generation_unref(reload->to, &dead);
    weir__generation_unref(reload->from, &dead);
    weir__host_destroy(reload->host, &dead);
    free(reload->diagnostics);
    free(reload->diff);
    free(reload);
}

static void tell(struct reload *reload)
{
    weir_host_reload_fn done = reload->done;

    reload->done = NULL;
    reload->result.diagnostics = reload->diagnostics ? reload->diagnostics : "";
    reload->result.diff = reload->diff ? reload->diff : "";
    reload->result.message = reload->message;
    reload->result.generation = reload->host->generation->number;
    reload->result.took = since(reload->began);
    weir__metrics_loaded(reload->host->generation->number, reload->result.exit_code == 0);
    if (done)
        done(reload->arg, &reload->result);
}

static void finish(struct reload *reload)
{
    weir_timer_stop(&reload->timer);
    reload->host->reload = NULL;
    tell(reload);
    reload_free(reload);
}

/* Sockets that the new generation has not are closed, whoever may want them back. */
static void close_sockets(const struct generation *from, const struct generation *to)
{
    for (size_t l = 0; l < to->n_listeners; l++)
        for (size_t i = 0; i < to->listeners[l]->n_addresses; i++)
            to->listeners[l]->addresses[i].socket->wanted = to->number;
    for (size_t l = 0; l < from->n_listeners; l++) {
        for (size_t i = 0; i < from->listeners[l]->n_addresses; i++) {
            struct bound_socket *socket = from->listeners[l]->addresses[i].socket;

            if (socket && socket->wanted != to->number)
                weir__socket_close(socket);
        }
    }
}

static weir_error *committed(weir_host *host, struct generation *from, struct generation *to)
{
    struct hlist dead;

    hlist_init(&dead);
    weir__generation_unref(host->previous, &dead);
    host->previous = from; /* the host's reference */
    host->generation = weir__generation_ref(to);
    weir__host_destroy(host, &dead);
    weir__generation_committed(to, from);
    close_sockets(from, to);
    WEIR_TRY(weir__health_set(host->health, to->upstreams, to->n_upstreams));
    return weir__host_reapply(host, from, to);
}

static void change_done(void *arg, weir_error *take_error)
{
    struct reload *reload = arg;
    weir_error *error = take_error;

    if (error) {
        reload->result.exit_code = EXIT_OSERR;
        weir_error_message(error, reload->message, sizeof reload->message);
    } else {
        reload->result.committed = true;
        error = committed(reload->host, reload->from, reload->to);
        if (error)
            weir_log_error(logger(), WEIR_LOG_ERROR, weir_error_ref(error),
                           "a setting of the new configuration cannot be put into force");
    }
    weir_ignore(error);
    finish(reload);
}

static weir_error *built(void *arg)
{
    struct reload *reload = arg;
    weir_host *host = reload->host;
    weir_error *error;

    reload->built = true;
    weir_timer_stop(&reload->timer);
    if (reload->late || host->state != HOST_RUNNING) {
        if (reload->done && !reload->result.exit_code)
            reload->result.exit_code = EXIT_TEMP;
        finish(reload);
        return NULL;
    }
    if (reload->result.exit_code || reload->dry_run) {
        finish(reload);
        return NULL;
    }
    error = weir__change_new(host, reload->from, reload->to, &reload->change);
    if (error) {
        change_done(reload, error);
        return NULL;
    }
    weir__change_start(reload->change, change_done, reload);
    return NULL;
}

/* The builder works on the rest of it still, so nothing of that is touched here. */
static weir_error *too_late(void *arg)
{
    struct reload *reload = arg;
    weir_host_reload_fn done = reload->done;
    char message[100];
    weir_host_reload_result result = {WEIR_SIZED(weir_host_reload_result),
                                      .exit_code = EXIT_TEMP,
                                      .message = message,
                                      .diagnostics = "",
                                      .diff = "",
                                      .generation = reload->host->generation->number,
                                      .took = since(reload->began)};

    if (reload->built)
        return NULL;
    reload->late = true;
    (void)snprintf(message, sizeof message,
                   "preparing has not come to an end within %d s: it is given up",
                   (int)(LIMIT.ns / 1000000000));
    reload->done = NULL;
    if (done)
        done(reload->arg, &result);
    return NULL;
}

static weir_error *begin(weir_host *host, struct reload *take)
{
    weir_error *error = weir__host_make_threads(host);

    take->host = host;
    take->began = weir_now();
    take->result.size = sizeof take->result;
    take->from = weir__generation_ref(host->generation);
    weir_timer_init(&take->timer, host->control, too_late, take);
    if (!error)
        error = take->back ? weir_executor_submit(host->starter, prepare, take, NULL, NULL)
                           : weir_executor_submit(host->builder, build, take, NULL, NULL);
    if (error) {
        reload_free(take);
        return error;
    }
    weir_timer_start(&take->timer, LIMIT);
    host->reload = take;
    return NULL;
}

static weir_error *check_state(const weir_host *host)
{
    if (host->state != HOST_RUNNING)
        return weir_raise(WEIR_EINVALSTATE, "the host does not run");
    if (host->reload)
        return weir_raise(WEIR_EBUSY, "another reload is running%s",
                          host->reload->late ? ", which has not come back" : "");
    return NULL;
}

weir_error *weir_host_reload(weir_host *host, const weir_host_reload_options *options,
                             weir_host_reload_fn done, void *arg)
{
    struct reload *reload;

    WEIR_TRY(check_state(host));
    reload = calloc(1, sizeof *reload);
    if (!reload)
        return weir_raise(WEIR_ENOMEM, "reload");
    reload->dry_run = options->dry_run;
    reload->format = options->format;
    reload->colour = options->colour;
    reload->done = done;
    reload->arg = arg;
    return begin(host, reload);
}

weir_error *weir_host_rollback(weir_host *host, weir_host_reload_fn done, void *arg)
{
    struct reload *reload;

    WEIR_TRY(check_state(host));
    if (!host->previous)
        return weir_raise(ENOENT, "there is no generation before this one");
    reload = calloc(1, sizeof *reload);
    if (!reload)
        return weir_raise(WEIR_ENOMEM, "rollback");
    reload->back = true;
    reload->to = weir__generation_ref(host->previous);
    reload->done = done;
    reload->arg = arg;
    return begin(host, reload);
}

uint64_t weir__listener_pins(const weir_listener *listener)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < listener->n_loops; i++)
        sum += __atomic_load_n(&listener->uses[i].connections, __ATOMIC_RELAXED);
    return sum;
}

static uint64_t pinned(const weir_host *host)
{
    uint64_t sum = 0;

    for (const struct hlist *at = host->parts.next; at != &host->parts; at = at->next) {
        const struct part *part = HLIST_ENTRY(at, struct part, link);

        if (part->kind == &weir__listener_part && !part->active)
            sum += weir__listener_pins(part->object);
    }
    return sum;
}

bool weir_host_generation_of(const weir_host *host, weir_host_generation *ret)
{
    const struct generation *g = host->generation;

    if (!g || !g->number)
        return false;
    *ret = (weir_host_generation){WEIR_SIZED(weir_host_generation),
                                  .number = g->number,
                                  .previous = host->previous ? host->previous->number : 0,
                                  .loaded_at = g->loaded_at,
                                  .files = weir__config_file_count(g->config),
                                  .pinned = pinned(host)};
    return true;
}
