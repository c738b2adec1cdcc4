/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A probe: a connection of its own to the server, and the question that its check asks there. It ends
 * once: by an answer, by a failure, when its time is up, or with its check.
 */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/proxy-protocol.h>

#include "host/health/health.h"

struct weir_probe {
    struct check *check;
    weir_upstream *upstream; /* a reference: whose spec it began with */
    weir_instant started;
    weir_connecting *connecting;
    weir_transport *transport; /* a reference */
    char says[80];             /* what is asked */
    void *state;
};

/* What hangs on the connection, and outlives the probe. */
struct probe_mark {
    const void *kind;
    weir_probe *probe; /* NULL: it has ended */
};

static const char mark_kind = 0;

static const struct health_spec *spec_of(const weir_probe *probe)
{
    return probe->upstream->health;
}

/* The end. */

static void probe_free(weir_probe *probe, bool orderly)
{
    if (probe->connecting)
        weir_connecting_cancel(probe->connecting);
    if (probe->transport) {
        struct probe_mark *mark = weir_transport_context(probe->transport);

        mark->probe = NULL;
        if (orderly)
            weir_transport_close(probe->transport);
        else
            weir_transport_abort(probe->transport, NULL);
        weir_transport_unref(probe->transport);
    }
    weir__upstream_unref(probe->upstream);
    free(probe->state);
    free(probe);
}

static void end(weir_probe *probe, bool passed, const char *separator, const char *what)
{
    struct check *check = probe->check;
    weir_duration took = {weir_now().ns - probe->started.ns};
    char text[200];

    (void)snprintf(text, sizeof text, "%s%s%s", probe->says, *probe->says ? separator : "", what);
    probe_free(probe, passed);
    weir__health_count(check, passed, text, took);
}

static void leave(weir_probe *probe)
{
    if (probe->transport && spec_of(probe)->way->leave)
        spec_of(probe)->way->leave(probe, probe->transport);
}

static void end_error(weir_probe *probe, weir_error *take_error)
{
    char text[160];

    weir_error_message(take_error, text, sizeof text);
    weir_error_unref(take_error);
    end(probe, false, ": ", text);
}

void weir__probe_cancel(weir_probe *probe)
{
    leave(probe);
    probe_free(probe, false);
}

void weir__probe_expired(weir_probe *probe)
{
    int64_t ms = spec_of(probe)->timeout.ns / 1000000;
    char text[80];

    if (ms % 1000)
        (void)snprintf(text, sizeof text, "no answer within %lld ms", (long long)ms);
    else
        (void)snprintf(text, sizeof text, "no answer within %lld s", (long long)ms / 1000);
    leave(probe);
    end(probe, false, ": ", text);
}

/* The beginning. */

/* The check speaks for itself, not for a client: no addresses, which is UNKNOWN in v1 and LOCAL in v2. */
static weir_error *introduce(const weir_probe *probe)
{
    static const weir_address nobody;
    char header[WEIR_PROXY_WRITE_MAX];
    size_t n;

    WEIR_TRY(weir_proxy_write((weir_proxy_version)spec_of(probe)->proxy, &nobody, &nobody, header,
                              sizeof header, &n));
    return weir_transport_write(probe->transport, weir_slice_of(header, n));
}

static void connected(weir_transport *transport, weir_error *take_error, void *arg)
{
    weir_probe *probe = arg;
    struct probe_mark *mark = take_error ? NULL : calloc(1, sizeof *mark);
    weir_error *error;

    probe->connecting = NULL;
    if (!take_error && !mark) {
        weir_transport_abort(transport, NULL);
        take_error = weir_raise(WEIR_ENOMEM, "health check");
    }
    if (take_error) {
        end_error(probe, take_error);
        return;
    }
    *mark = (struct probe_mark){&mark_kind, probe};
    weir_transport_set_context(transport, mark, free);
    probe->transport = weir_transport_ref(transport);
    error = spec_of(probe)->proxy ? introduce(probe) : NULL;
    /* It may end the probe. */
    if (!error)
        error = spec_of(probe)->way->ask(probe, transport);
    if (error)
        end_error(probe, error);
}

/* "10.0.0.1:8080", with the check's port when it has its own; sockets of the file system have none. */
static void target_of(const weir_probe *probe, char *text, size_t size)
{
    const char *address = probe->check->server->address, *colon = strrchr(address, ':');
    unsigned port = spec_of(probe)->port;

    if (!port || !colon || strncmp(address, "unix:", 5) == 0)
        (void)snprintf(text, size, "%s", address);
    else
        (void)snprintf(text, size, "%.*s:%u", (int)(colon - address), address, port);
}

static weir_error *begin(weir_probe *probe)
{
    const struct health_spec *spec = spec_of(probe);
    /* The check's own limit comes first. */
    weir_connect_options options = {
        WEIR_SIZED(weir_connect_options), .timeout = WEIR_NS(spec->timeout.ns + 1000000000),
        .tls = probe->upstream->tls, .server_name = probe->upstream->server_name};
    char target[512];

    target_of(probe, target, sizeof target);
    if (spec->way->head.state_size) {
        probe->state = calloc(1, spec->way->head.state_size);
        if (!probe->state)
            return weir_raise(WEIR_ENOMEM, "health check");
    }
    return weir_connect_start(probe->check->health->loop, target, &options, spec->way->protocol,
                              spec->config, connected, probe, &probe->connecting);
}

void weir__probe_start(struct check *check)
{
    weir_probe *probe = calloc(1, sizeof *probe);
    weir_error *error;

    check->health->n_probes++;
    if (!probe) { /* nothing is said of the server */
        weir__health_count(check, !check->server->checked_down, "no memory to ask", WEIR_NS(0));
        return;
    }
    check->probe = probe;
    probe->check = check;
    probe->upstream = weir__upstream_ref(check->upstream);
    probe->started = weir_now();
    error = begin(probe);
    if (error)
        end_error(probe, error);
}

/* What checks call. */

void weir_probe_says(weir_probe *probe, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(probe->says, sizeof probe->says, format, args);
    va_end(args);
}

void weir_probe_end(weir_probe *probe, bool passed, const char *format, ...)
{
    char text[160];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    end(probe, passed, " → ", text);
}

const void *weir_probe_config(const weir_probe *probe)
{
    return spec_of(probe)->config;
}

void *weir_probe_state(weir_probe *probe)
{
    return probe->state;
}

const char *weir_probe_server(const weir_probe *probe)
{
    return probe->check->server->address;
}

weir_probe *weir_transport_probe(weir_transport *transport)
{
    const struct probe_mark *mark = weir_transport_context(transport);

    return mark && mark->kind == &mark_kind ? mark->probe : NULL;
}

/* The built-in one: whoever takes the connection is well. */

static weir_error *ask_tcp(weir_probe *probe, weir_transport *transport)
{
    (void)transport;
    weir_probe_end(probe, true, "connected");
    return NULL;
}

static const weir_protocol silent = {WEIR_SIZED(weir_protocol), .name = "health check"};
static const weir_option *const no_options[] = {NULL};

const weir_health_check weir__health_tcp = {
    .head = {.size = sizeof weir__health_tcp, .name = "tcp", .options = no_options},
    .protocol = &silent,
    .ask = ask_tcp,
};
