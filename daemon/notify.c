/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd: READY, STATUS, STOPPING, more time while draining, the watchdog, listening sockets that
 * outlive the process.
 *
 * The watchdog is fed only when every loop has turned since the last time: half-way through its limit
 * each traffic loop is asked to answer (the control loop turns, or it would not ask). When one does
 * not, nothing is sent and the log names it; at the limit systemd sends SIGABRT.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifdef WEIR_WITH_SYSTEMD
#    include <systemd/sd-daemon.h>
#endif

#include "daemon/run.h"

#define STATUS_EVERY WEIR_S(10)
#define DRAIN_EVERY  WEIR_S(1)
#define STATUS_SIZE  600

struct notify {
    struct daemon *daemon;
    weir_timer watchdog, status;
    weir_duration every; /* between pings; 0: there is no watchdog */
    bool asked;
    char last[STATUS_SIZE];
};

#ifdef WEIR_WITH_SYSTEMD

static void tell(const char *text)
{
    (void)sd_notify(0, text);
}

/* Until PID 1 has read what was sent: the client that waits for the reload ends after it. */
static void barrier(void)
{
    (void)sd_notify_barrier(0, 1000000);
}

static bool is_there(void)
{
    return getenv("NOTIFY_SOCKET") != NULL;
}

/* How often the watchdog wants to hear of us. */
static weir_duration watchdog_period(void)
{
    uint64_t us;

    return sd_watchdog_enabled(0, &us) > 0 ? WEIR_US((int64_t)us / 2) : WEIR_NS(0);
}

#else

static void tell(const char *text)
{
    (void)text;
}

static void barrier(void) {}

static bool is_there(void)
{
    return false;
}

static weir_duration watchdog_period(void)
{
    return WEIR_NS(0);
}

#endif

static void turned(void *arg, char *take_json, weir_error *take_error)
{
    struct daemon *daemon = arg;
    json_t *answer = take_json ? json_loads(take_json, 0, NULL) : NULL;
    const json_t *blocked = json_object_get(answer, "blocked");

    if (answer && !blocked)
        tell("WATCHDOG=1");
    for (size_t i = 0; i < json_array_size(blocked); i++)
        weir_log(daemon->logger, WEIR_LOG_ERROR,
                 "loop %s has not turned for half of WatchdogSec: systemd is not told that we live",
                 json_string_value(json_array_get(blocked, i)));
    if (daemon->notify)
        daemon->notify->asked = false;
    json_decref(answer);
    free(take_json);
    weir_ignore(take_error);
}

static weir_error *feed(void *arg)
{
    struct notify *notify = arg;
    weir_error *error;

    weir_timer_start(&notify->watchdog, notify->every);
    if (notify->asked)
        return NULL;
    notify->asked = true;
    error = weir_host_ask(notify->daemon->host, "ping", NULL,
                          WEIR_NS(notify->every.ns - notify->every.ns / 8), turned, notify->daemon);
    if (error)
        notify->asked = false;
    weir_ignore(error);
    return NULL;
}

static void describe(const struct daemon *daemon, char *text, size_t size)
{
    unsigned long long open = weir_host_connections(daemon->host);
    weir_host_counts n = weir_host_counts_of(daemon->host);
    int64_t left = (daemon->stopping_until.ns - weir_now().ns + 999999999) / 1000000000;
    const char *rejected = daemon->reloads ? reloads_rejected(daemon) : NULL;
    weir_host_generation generation;

    if (!daemon->stopping)
        (void)snprintf(text, size,
                       "serving: %zu listener%s, %zu upstream%s, %llu connection%s, generation "
                       "%u%s%.300s",
                       n.listeners, n.listeners == 1 ? "" : "s", n.upstreams,
                       n.upstreams == 1 ? "" : "s", open, open == 1 ? "" : "s",
                       weir_host_generation_of(daemon->host, &generation) ? generation.number : 0,
                       rejected ? "; last reload REJECTED " : "", rejected ? rejected : "");
    else if (daemon->stopping_until.ns)
        (void)snprintf(text, size, "draining %llu connection%s, %lld s left", open,
                       open == 1 ? "" : "s", (long long)(left > 0 ? left : 0));
    else
        (void)snprintf(text, size, "draining %llu connection%s", open, open == 1 ? "" : "s");
}

void notify_status(struct notify *notify, const char *text)
{
    char line[STATUS_SIZE + 20];

    if (!notify || strcmp(notify->last, text) == 0)
        return;
    (void)snprintf(notify->last, sizeof notify->last, "%s", text);
    (void)snprintf(line, sizeof line, "STATUS=%s", text);
    tell(line);
}

/* Draining asks for the time that is left, never for more than shutdown_grace in all. */
static weir_error *say_status(void *arg)
{
    struct notify *notify = arg;
    const struct daemon *daemon = notify->daemon;
    char text[STATUS_SIZE];
    int64_t left = daemon->stopping_until.ns - weir_now().ns;

    describe(daemon, text, sizeof text);
    notify_status(notify, text);
    if (daemon->stopping && daemon->stopping_until.ns && left > 0) {
        (void)snprintf(text, sizeof text, "EXTEND_TIMEOUT_USEC=%lld",
                       (long long)left / 1000 + 5000000);
        tell(text);
    }
    weir_timer_start(&notify->status, daemon->stopping ? DRAIN_EVERY : STATUS_EVERY);
    return NULL;
}

weir_error *notify_new(struct daemon *daemon, struct notify **ret)
{
    struct notify *notify;

    *ret = NULL;
    if (!is_there())
        return NULL;
    notify = calloc(1, sizeof *notify);
    if (!notify)
        return weir_raise(WEIR_ENOMEM, "systemd");
    notify->daemon = daemon;
    notify->every = watchdog_period();
    weir_timer_init(&notify->watchdog, daemon->loop, feed, notify);
    weir_timer_init(&notify->status, daemon->loop, say_status, notify);
    *ret = notify;
    return NULL;
}

void notify_free(struct notify *notify)
{
    if (!notify)
        return;
    weir_timer_stop(&notify->watchdog);
    weir_timer_stop(&notify->status);
    free(notify);
}

void notify_ready(struct notify *notify)
{
    char text[STATUS_SIZE], line[STATUS_SIZE + 20];

    if (!notify)
        return;
    store_sockets(notify->daemon);
    describe(notify->daemon, text, sizeof text);
    (void)snprintf(line, sizeof line, "READY=1\nSTATUS=%s", text);
    tell(line);
    (void)snprintf(notify->last, sizeof notify->last, "%s", text);
    weir_timer_start(&notify->status, STATUS_EVERY);
    if (notify->every.ns)
        weir_timer_start(&notify->watchdog, notify->every);
}

void notify_reloading(struct notify *notify)
{
    char text[160];

    if (!notify)
        return;
    (void)snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reloading",
                   (long long)(weir_now().ns / 1000));
    tell(text);
}

/* However it went: without READY the unit would stay in reloading for ever. */
void notify_reloaded(struct notify *notify, const char *rejected)
{
    char text[200], line[600];

    if (!notify)
        return;
    if (!rejected)
        store_sockets(notify->daemon);
    describe(notify->daemon, text, sizeof text);
    (void)snprintf(line, sizeof line, "READY=1\nSTATUS=%s", text);
    tell(line);
    (void)snprintf(notify->last, sizeof notify->last, "%s", text);
    barrier();
}

void notify_stopping(struct notify *notify)
{
    if (!notify)
        return;
    tell("STOPPING=1");
    weir_timer_stop(&notify->status);
    weir_ignore(say_status(notify));
}
