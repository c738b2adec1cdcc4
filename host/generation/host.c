/* SPDX-License-Identifier: Apache-2.0 */
/* The host as the daemon sees it: load, prepare, report; what runs is in run.c. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/access/access.h"
#include "host/generation/generation.h"
#include "host/generation/tls_watch.h"
#include "host/metrics/metrics.h"
#include "host/route/explain.h"

/* Reports of sanitizers name functions by the file that the loader knows: not by a copy in memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define SANITIZED true
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#        define SANITIZED true
#    endif
#endif
#ifndef SANITIZED
#    define SANITIZED false
#endif

static weir_error *init(weir_host *host, const weir_host_options *options)
{
    host->config_path = strdup(options->config_path);
    host->plugin_dir = strdup(options->plugin_dir ? options->plugin_dir : WEIR_PLUGINDIR);
    if (!host->config_path || !host->plugin_dir)
        return weir_raise(WEIR_ENOMEM, "host");
    host->plugins_in_place = options->plugins_in_place || SANITIZED;
    host->config_settings = (struct config_settings){.path = host->config_path,
                                                     .sets = options->sets,
                                                     .set_names = options->set_names,
                                                     .n_sets = options->set_count,
                                                     .trace = options->inspect,
                                                     .version = 1};
    WEIR_TRY(weir__durable_map_new(&host->durables));
    return weir__generation_new(host, NULL, &host->config_settings, &host->generation);
}

weir_error *weir_host_new(const weir_host_options *options, weir_host **ret)
{
    weir_host *host = calloc(1, sizeof *host);
    weir_error *error;

    if (!host)
        return weir_raise(WEIR_ENOMEM, "host");
    pthread_mutex_init(&host->mutex, NULL);
    pthread_cond_init(&host->ready, NULL);
    hlist_init(&host->parts);
    error = init(host, options);
    if (error) {
        weir_host_free(host);
        return error;
    }
    *ret = host;
    return NULL;
}

void weir_host_free(weir_host *host)
{
    if (!host)
        return;
    weir_watchdog_stop();
    weir__process_end();
    weir__tls_watch_stop(host->tls);
    weir__host_end_generations(host);
    weir__tls_watch_free(host->tls);
    if (host->logs_access)
        weir__access_shutdown(WEIR_S(2));
    weir_tls_tickets_unref(host->tickets);
    weir__durable_map_free(host->durables);
    pthread_cond_destroy(&host->ready);
    pthread_mutex_destroy(&host->mutex);
    for (unsigned i = 0; i < host->n_threads; i++)
        weir__metrics_free(&host->threads[i].traffic);
    free(host->threads);
    free(host->config_path);
    free(host->plugin_dir);
    free(host);
}

bool weir_host_load(weir_host *host)
{
    if (host->state != HOST_NEW)
        return false;
    host->state = weir__generation_load(host->generation) ? HOST_LOADED : HOST_REFUSED;
    return host->state == HOST_LOADED;
}

bool weir_host_test(weir_host *host)
{
    if (host->state != HOST_LOADED && host->state != HOST_PREPARED)
        return false;
    return weir__generation_test(host->generation);
}

bool weir_host_prepare(weir_host *host)
{
    if (host->state != HOST_LOADED)
        return false;
    weir__generation_prepare(host->generation);
    if (weir__config_error_count(host->generation->config)) {
        host->state = HOST_REFUSED;
        return false;
    }
    host->state = HOST_PREPARED;
    return true;
}

void weir_host_report(weir_host *host, FILE *out, weir_host_format format, bool colour)
{
    static const enum config_format formats[] = {CONFIG_FORMAT_TEXT, CONFIG_FORMAT_GCC,
                                                 CONFIG_FORMAT_JSON};

    weir__config_report(host->generation->config, out, formats[format], colour);
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

void weir_host_summary(weir_host *host, FILE *out)
{
    weir_host_counts n = weir_host_counts_of(host);

    if (n.errors || host->state == HOST_REFUSED) {
        weir__config_summary(host->generation->config, out, "nothing was changed");
        return;
    }
    fprintf(out, "ok: %zu listener%s, %zu route%s, %zu upstream%s (%zu server%s), %zu file%s\n",
            n.listeners, plural(n.listeners), n.routes, plural(n.routes), n.upstreams,
            plural(n.upstreams), n.servers, plural(n.servers), n.files, plural(n.files));
}

int weir_host_exit_code(const weir_host *host)
{
    int code = weir__config_exit_code(host->generation->config);

    /* The file is right, and the system refuses what it asks. */
    return code == 78 && host->generation->n_system_errors ==
                             weir__config_error_count(host->generation->config)
               ? 71
               : code;
}

weir_host_counts weir_host_counts_of(const weir_host *host)
{
    const struct generation *g = host->generation;
    weir_host_counts counts = {WEIR_SIZED(weir_host_counts),
                               .listeners = g->n_listeners,
                               .routes = g->n_routes,
                               .upstreams = g->n_upstreams,
                               .files = weir__config_file_count(g->config),
                               .errors = weir__config_error_count(g->config),
                               .warnings = weir__config_warning_count(g->config)};

    for (size_t i = 0; i < g->n_upstreams; i++)
        counts.servers += g->upstreams[i]->n_servers;
    return counts;
}

const weir_host_settings *weir_host_settings_of(const weir_host *host)
{
    return &host->generation->settings;
}

uint64_t weir_host_connections(const weir_host *host)
{
    const struct generation *g = host->generation;
    uint64_t open = 0;

    for (size_t i = 0; i < g->n_listeners; i++)
        open += weir__slot_open(g->listeners[i]->slot);
    return open;
}

bool weir_host_endpoint_at(const weir_host *host, size_t index, weir_host_endpoint *ret)
{
    const struct generation *g = host->generation;

    for (size_t i = 0; i < g->n_listeners; i++) {
        const weir_listener *listener = g->listeners[i];

        if (index >= listener->n_addresses) {
            index -= listener->n_addresses;
            continue;
        }
        *ret = (weir_host_endpoint){.listener = listener->name,
                                    .protocol = listener->protocol->name,
                                    .address = weir__address_name(&listener->addresses[index]),
                                    .tls = listener->tls != NULL};
        return true;
    }
    return false;
}

bool weir_host_socket_at(const weir_host *host, size_t index, weir_host_socket *ret)
{
    const struct generation *g = host->generation;

    for (size_t i = 0; i < g->n_listeners; i++) {
        const weir_listener *listener = g->listeners[i];
        const struct bound_address *address = listener->addresses + index;

        if (index >= listener->n_addresses) {
            index -= listener->n_addresses;
            continue;
        }
        *ret = (weir_host_socket){listener->name, weir__address_name(address),
                                  weir__address_fd(address),
                                  address->socket && address->socket->inherited};
        return true;
    }
    return false;
}

void weir_host_keep_sockets(weir_host *host)
{
    for (size_t i = 0; i < host->generation->n_listeners; i++)
        for (size_t k = 0; k < host->generation->listeners[i]->n_addresses; k++)
            if (host->generation->listeners[i]->addresses[k].socket)
                host->generation->listeners[i]->addresses[k].socket->kept = true;
}

const char *weir_host_explain(int code)
{
    return weir__config_explain(code);
}

int weir_host_code_at(size_t index)
{
    return weir__config_code_at(index);
}
