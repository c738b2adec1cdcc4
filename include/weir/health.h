/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Health checks: ways to ask a server whether it is well. Schedule, time limits, connections and what
 * follows from the answers are the host's; a plugin provides an extension of the kind "health_check"
 * whose table is a weir_health_check, and `upstreams.NAME.health_check.type` names it.
 *
 * Probes run on the control loop, where nothing may block. Everything here belongs to its thread.
 *
 * Example:
 *
 *     static weir_error *ask(weir_probe *probe, weir_transport *transport)
 *     {
 *         weir_probe_says(probe, "PING");
 *         weir_transport_resume_reading(transport);
 *         return weir_transport_write(transport, WEIR_SLICE("PING\r\n"));
 *     }
 *
 *     static weir_error *heard(weir_transport *transport, void *state, weir_slice data)
 *     {
 *         bool well = weir_slice_starts_with(data, WEIR_SLICE("+PONG"));
 *
 *         (void)state;
 *         weir_probe_end(weir_transport_probe(transport), well, "%s", well ? "PONG" : "another answer");
 *         return NULL;
 *     }
 *
 *     static const weir_protocol redis_probe = {
 *         WEIR_SIZED(weir_protocol), .name = "redis probe", .data_received = heard};
 *
 *     static const weir_health_check redis = {
 *         .head = {.size = sizeof redis, .name = "redis"}, .protocol = &redis_probe, .ask = ask};
 *
 *     static const weir_extension provided = {
 *         WEIR_SIZED(weir_extension), .kind = "health_check", .name = "redis", .table = &redis};
 */
#ifndef WEIR_HEALTH_H
#define WEIR_HEALTH_H

#include <weir/plugin.h>

WEIR_BEGIN_DECLS

/** One question to one server under way. */
typedef struct weir_probe weir_probe;

/** How a server is asked. Static. */
typedef struct weir_health_check {
    /** `options` are keys of `health_check` beside those that every check has; `config_size` of them,
     *  `state_size` of a probe. `instance` and `shorthand` are not used. */
    weir_extension_head head;
    const weir_protocol *protocol; /**< of the connection that the host makes for each probe */
    /** The connection is there, reading is paused. An error ends the probe; it failed. */
    weir_error *(*ask)(weir_probe *probe, weir_transport *transport);
    /** The host ends the probe (its time is up, or the server is not checked any more) and aborts the
     *  connection: no weir_probe_end() from now on. May be NULL. */
    void (*leave)(weir_probe *probe, weir_transport *transport);
} weir_health_check;

/** What is asked, for messages: "GET /healthz". */
WEIR_PUBLIC void weir_probe_says(weir_probe *probe, const char *format, ...) WEIR_PRINTF(2, 3);
/** The end, with what came of it: "503". The probe, its state and its connection go with this call. */
WEIR_PUBLIC void weir_probe_end(weir_probe *probe, bool passed, const char *format, ...)
    WEIR_PRINTF(3, 4);
/** What its options filled. */
WEIR_PUBLIC const void *weir_probe_config(const weir_probe *probe);
/** `state_size` bytes, zeroed for each probe. */
WEIR_PUBLIC void *weir_probe_state(weir_probe *probe);
/** The server, as the configuration says it: "10.0.0.11:8080". */
WEIR_PUBLIC const char *weir_probe_server(const weir_probe *probe);
/** The probe that a connection was made for; NULL when it has ended. */
WEIR_PUBLIC weir_probe *weir_transport_probe(weir_transport *transport);

WEIR_END_DECLS

#endif
