/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Listeners as protocols see them: an immutable part of the configuration in force.
 *
 * An HTTP connection acquires its listener at each request and so follows a reload; a tunnel
 * acquires once. Uses are counted for each loop without atomics.
 *
 * Example:
 *
 *     static weir_error *connection_made(weir_transport *transport, void *state, const void *config)
 *     {
 *         weir_listener *listener = weir_listener_acquire(transport);
 *         weir_access_record record = {WEIR_SIZED(weir_access_record), .outcome = WEIR_OUTCOME_DENIED};
 *
 *         (void)state, (void)config;
 *         if (!listener)
 *             return NULL;
 *         if (weir_listener_draining(listener)) {
 *             if (!weir_listener_count(listener, record.outcome)) // its access log wants more
 *                 weir_listener_record(listener, transport, &record);
 *             weir_transport_close(transport);
 *         }
 *         weir_listener_release(listener);
 *         return NULL;
 *     }
 */
#ifndef WEIR_LISTENER_H
#define WEIR_LISTENER_H

#include <weir/outcome.h>
#include <weir/route.h>
#include <weir/transport.h>

WEIR_BEGIN_DECLS

typedef struct weir_listener weir_listener;

/** The part now in force for the listener that accepted this connection; to be released. NULL: the
 *  connection was not accepted by a listener, or its listener is gone. */
WEIR_PUBLIC weir_listener *weir_listener_acquire(weir_transport *transport);
WEIR_PUBLIC void weir_listener_release(weir_listener *listener);
WEIR_PUBLIC const char *weir_listener_name(const weir_listener *listener);
WEIR_PUBLIC const weir_routes *weir_listener_routes(const weir_listener *listener);
/** The protocol's `listener_options`, filled. */
WEIR_PUBLIC const void *weir_listener_config(const weir_listener *listener);
/** The server is stopping, or this listener is: end connections at the next good moment. */
WEIR_PUBLIC bool weir_listener_draining(const weir_listener *listener);
/** Called once, by the loop, for each of its connections when draining begins: `fn` is given by
 *  the protocol for connections that wait idly. Replaces an earlier one of the same connection. */
WEIR_PUBLIC void weir_listener_on_drain(weir_transport *transport,
                                        void (*fn)(weir_transport *transport, void *arg),
                                        void *arg);

/** One record of the access log and of the counters: what happened to a request or connection.
 *  Slices are borrowed for the call. */
typedef struct weir_access_record {
    size_t size;
    weir_outcome outcome;
    const weir_error *reason; /**< what went wrong, in detail; NULL: nothing */
    const char *route;        /**< NULL: none */
    const char *upstream;     /**< NULL: none */
    const char *server;       /**< NULL: none */
    weir_slice method, host, path, proto, referer, user_agent;
    int status;
    uint64_t bytes_in, bytes_out;
    int64_t duration_ns, connect_ns, first_byte_ns;
    unsigned retries;
} weir_access_record;

/** Counts an outcome when that is all there is to do. False: it did not count, a log wants to know
 *  more, so it is weir_listener_record() that should be called. */
WEIR_PUBLIC bool weir_listener_count(weir_listener *listener, weir_outcome outcome) WEIR_MUST_USE;
/** Counts and, where the access log is on, logs it. Allocates nothing. */
WEIR_PUBLIC void weir_listener_record(weir_listener *listener, weir_transport *transport,
                                      const weir_access_record *record);

WEIR_END_DECLS

#endif
