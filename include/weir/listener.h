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
 *             weir_listener_record(listener, transport, &record);
 *             weir_transport_close(transport);
 *         }
 *         weir_listener_release(listener);
 *         return NULL;
 *     }
 */
#ifndef WEIR_LISTENER_H
#define WEIR_LISTENER_H

#include <weir/datagram.h>
#include <weir/outcome.h>
#include <weir/route.h>
#include <weir/transport.h>

WEIR_BEGIN_DECLS

typedef struct weir_listener weir_listener;

/** The part now in force for the listener that accepted this connection; to be released. The connection
 *  is moved to it: its protocol's configuration and instance are the part's from now on, unless the
 *  protocol has `serve`, whose task keeps what it was started with. NULL: the connection was not
 *  accepted by a listener, its listener is gone, or has another protocol by now. */
WEIR_PUBLIC weir_listener *weir_listener_acquire(weir_transport *transport);
WEIR_PUBLIC void weir_listener_release(weir_listener *listener);
WEIR_PUBLIC const char *weir_listener_name(const weir_listener *listener);
WEIR_PUBLIC const weir_routes *weir_listener_routes(const weir_listener *listener);
/** The protocol's `listener_options`, filled. */
WEIR_PUBLIC const void *weir_listener_config(const weir_listener *listener);
/** The server is stopping, or this listener is: end connections at the next good moment. Those that wait
 *  idly are told by `drain` of their protocol. */
WEIR_PUBLIC bool weir_listener_draining(const weir_listener *listener);

/** What a connection is, for weir_routes_find(): the client's address, and what `inspect` found out or TLS
 *  agreed on. `message` stays. Borrowed as long as the connection, or until it is handed over. */
WEIR_PUBLIC void weir_listener_describe(weir_transport *transport, weir_subject *subject);
/** No route takes the connection: what that is called, and why, as far as inspection knows (NULL: there is
 *  nothing more to say). */
WEIR_PUBLIC weir_error *weir_listener_unrouted(weir_transport *transport,
                                               weir_outcome *ret_outcome) WEIR_MUST_USE;
/** The connection came to one of the listener's `redirect_from`, and is in the clear: its client is to be
 *  sent to the listener's own port (0: it has none). Only for protocols that say `redirects`. */
WEIR_PUBLIC bool weir_listener_redirected(weir_transport *transport, unsigned *ret_port);
/** What an inspector promised the client in the server's name: whoever passes the client's bytes on
 *  sends `ret_send` first and takes `ret_expect` from the answer. False: nothing. Borrowed likewise. */
WEIR_PUBLIC bool weir_listener_preamble(weir_transport *transport, weir_slice *ret_send,
                                        weir_slice *ret_expect);

/** For datagrams: the part now in force for the listener that opened the socket; to be released. NULL: it
 *  is gone, or nobody's. */
WEIR_PUBLIC weir_listener *weir_listener_acquire_socket(weir_datagram *socket);
/** One more client, or whatever the protocol takes for a connection: counted, and limited by
 *  max_connections, as those are. Errors: WEIR_ELIMIT; it is counted as such. */
WEIR_PUBLIC weir_error *weir_listener_session_begins(weir_listener *listener) WEIR_MUST_USE;
WEIR_PUBLIC void weir_listener_session_ends(weir_listener *listener, uint64_t bytes_in,
                                            uint64_t bytes_out);
/** Of the protocol's own block of settings. Borrowed. */
WEIR_PUBLIC weir_instance *weir_listener_instance(const weir_listener *listener);

/** Another listener; an option of type REF and kind "listener" stores a pointer to one. */
typedef struct weir_handoff weir_handoff;
/**
 * Gives the connection to another listener, where it goes on as if it had been accepted there, with what
 * was received and not taken: it is counted there, TLS begins there when that listener has it, then its
 * inspection, then its protocol. The caller's protocol is called no more; its state stays. On failure it
 * keeps the connection, and is to end it.
 * Errors: WEIR_ECLOSED the listener is gone, WEIR_ELIMIT it has max_connections, or it is one of many
 * handings over; WEIR_EINVALSTATE TLS into TLS; WEIR_ENOMEM.
 */
WEIR_PUBLIC weir_error *weir_listener_hand_over(weir_transport *transport,
                                                const weir_handoff *to) WEIR_MUST_USE;

/** What happened to a request or connection: for the counters, and for the access log. What does not
 *  apply stays zero. Slices and strings are borrowed for the call, but for the three names. */
typedef struct weir_access_record {
    size_t size;
    weir_outcome outcome;
    int status;           /**< 0: none was sent */
    const char *route;    /**< NULL: none */
    const char *upstream; /**< NULL: none */
    /** NULL: none. Of weir_lease_server(): such names stay, and counters go by their address. */
    const char *server;
    weir_slice method; /**< empty: it is no request */
    int64_t duration_ns, connect_ns, first_byte_ns;
    unsigned retries;
    /* From here on for the log only. */
    const weir_error *reason; /**< what went wrong, in detail; NULL: nothing */
    weir_slice host, path, query, proto, referer, user_agent, request_id;
    weir_slice sni, alpn; /**< empty: those of the client's TLS connection, if it is one */
    uint64_t bytes_in, bytes_out;
    uint64_t head_bytes_out; /**< of bytes_out: heads, which logs in Apache's formats leave out */
    weir_slice client_ip;    /**< of datagrams; empty: the connection's */
} weir_access_record;

/** A request begins; as many ends must follow (weir_listener_request_ends()). For the metrics. */
WEIR_PUBLIC void weir_listener_request_begins(weir_listener *listener);
WEIR_PUBLIC void weir_listener_request_ends(weir_listener *listener);
/** Counts, by the first part of the record. False: a log wants to know the rest too, in
 *  weir_listener_log(). Allocates when a route or a server is met for the first time only. */
WEIR_PUBLIC bool weir_listener_count(weir_listener *listener,
                                     const weir_access_record *record) WEIR_MUST_USE;
/** Logs what was counted, where a log wants it. Allocates nothing, waits for nobody. */
WEIR_PUBLIC void weir_listener_log(weir_listener *listener, weir_transport *transport,
                                   const weir_access_record *record);
/** Counts and logs. */
WEIR_PUBLIC void weir_listener_record(weir_listener *listener, weir_transport *transport,
                                      const weir_access_record *record);

WEIR_END_DECLS

#endif
