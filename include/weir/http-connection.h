/* SPDX-License-Identifier: Apache-2.0 */
/**
 * HTTP/1.1 connections: the server side, which turns a transport into exchanges (http.h), and the
 * client side, which sends one request at a time and reports its response. Neither knows where
 * connections come from: the http plugin brings listeners, routes and upstreams together with them.
 *
 * Example:
 *
 *     static weir_error *request(weir_http *x, void *arg)
 *     {
 *         (void)arg;
 *         return weir_http_respond(x, 200, WEIR_SLICE("text/plain"), WEIR_SLICE("hello\n"));
 *     }
 *
 *     static const weir_http_server_events events = {WEIR_SIZED(weir_http_server_events),
 *                                                    .request = request};
 *
 *     static weir_error *connection_made(weir_transport *transport, void *state, const void *config)
 *     {
 *         static const weir_http_server_options options = {WEIR_SIZED(weir_http_server_options)};
 *
 *         (void)state, (void)config;
 *         return weir_http_serve(transport, &options, &events, NULL, WEIR_SLICE(""));
 *     }
 *
 *     static const weir_protocol hello = {
 *         WEIR_SIZED(weir_protocol), .name = "hello", .connection_made = connection_made};
 */
#ifndef WEIR_HTTP_CONNECTION_H
#define WEIR_HTTP_CONNECTION_H

#include <weir/http.h>
#include <weir/time.h>

WEIR_BEGIN_DECLS

/* Server. */

/** What is known of an exchange when it has ended; for access logs. Borrowed for the call. */
typedef struct weir_http_summary {
    size_t size;
    weir_outcome outcome;
    const weir_error *reason; /**< NULL: complete */
    int status;               /**< 0: no response was sent */
    uint64_t bytes_in, bytes_out;
    uint64_t head_bytes_out; /**< of bytes_out: the head of the response, and of interim ones */
    int64_t duration_ns;     /**< from the first byte of the request */
} weir_http_summary;

/** How a server speaks. Durations of 0 take the default. */
typedef struct weir_http_server_options {
    size_t size;
    uint64_t max_header;          /**< bytes of a head; 0: 32 KiB */
    uint64_t max_body;            /**< bytes; 0: no limit */
    weir_duration header_timeout; /**< from the first byte of a request to its head: 10 s */
    weir_duration body_timeout;   /**< between reads of a body: 30 s */
    weir_duration idle_timeout;   /**< between requests: 75 s */
    weir_duration write_timeout;  /**< without progress of a response: 30 s */
    const char *server_name;      /**< of the Server field: "weir"; "" for none */
    uint16_t max_fields;          /**< 0: 100 */
} weir_http_server_options;

/** Whom a server tells. Static. */
typedef struct weir_http_server_events {
    size_t size;
    /**
     * A request head has come: leads it somewhere by weir_http_begin(), or answers on `x` itself.
     * An error fails the exchange with 500.
     */
    weir_error *(*request)(weir_http *x, void *arg);
    /** Exactly once for each exchange, last, also for requests that were refused before `request`. */
    void (*ended)(weir_http *x, const weir_http_summary *summary, void *arg);
    /** The connection is lost. Last. */
    void (*closed)(weir_transport *transport, void *arg);
} weir_http_server_events;

/** For `room` of a protocol whose connection_made calls weir_http_serve(): what that needs. */
#define WEIR_HTTP_SERVER_ROOM 72

/**
 * Makes a connection speak HTTP: from a protocol's connection_made, which it replaces. `rest`:
 * bytes received already. `options` must live as long as the connection, or until replaced.
 */
WEIR_PUBLIC weir_error *weir_http_serve(weir_transport *transport,
                                        const weir_http_server_options *options,
                                        const weir_http_server_events *events, void *arg,
                                        weir_slice rest) WEIR_MUST_USE;
/** Other options from now on; to be called from `request`. */
WEIR_PUBLIC void weir_http_server_set_options(weir_http *x,
                                              const weir_http_server_options *options);
/** Leads the exchange to its action. `config`, `instance` and `context` hang on its view. */
WEIR_PUBLIC weir_error *weir_http_begin(weir_http *x, const weir_http_action *action,
                                        const void *config, weir_instance *instance,
                                        void *context) WEIR_MUST_USE;
/** For `ended`: the context given to weir_http_begin(), NULL when it was not called. */
WEIR_PUBLIC void *weir_http_begun_context(const weir_http *x);
/** Ends the connection at the next good moment: at once when idle, else after the response under
 *  way, which says `Connection: close` if its head has not left. A draining listener does this itself. */
WEIR_PUBLIC void weir_http_server_drain(weir_transport *transport);

/**
 * A request that came over no connection, as those look at it who match requests (a protocol's
 * `subject_of`); what answers on it gets WEIR_ECLOSED. `head` is complete with its empty line, and is
 * copied. Errors: WEIR_EPROTOCOL it is no request, WEIR_ENOMEM.
 */
WEIR_PUBLIC weir_error *weir_http_request_new(weir_slice head, weir_http **ret) WEIR_MUST_USE;
WEIR_PUBLIC void weir_http_request_free(weir_http *take_request);

/* Client. */

/** A connection to an origin: the state of weir_http_client_protocol on a transport. */
typedef struct weir_http_client weir_http_client;

/** The protocol of such connections, for weir_upstream_protocol and weir_connect_start(). */
WEIR_PUBLIC extern const weir_protocol weir_http_client_protocol;

/** What a request leads to. Static table. `failed` or a call with `last` is the end. All slices and
 *  heads are borrowed for the call. */
typedef struct weir_http_client_events {
    size_t size;
    /** An interim response (1xx but 101). May be NULL. */
    void (*interim)(void *arg, const weir_http_head *head);
    /** The head, with what has come of the body. Of an upgrade (framing TUNNEL) `first_body` is the
     *  first bytes of the other protocol, and `last` is true. */
    void (*response)(void *arg, const weir_http_head *head, weir_slice first_body, bool last);
    void (*body)(void *arg, weir_slice data, bool last);
    /** No complete response will come; `outcome` says why. Borrowed. The transport is, or will be
     *  lost. */
    void (*failed)(void *arg, weir_outcome outcome, const weir_error *reason);
    /** The origin does not read as fast as the body is sent. May be NULL. */
    void (*pause)(void *arg);
    void (*unpause)(void *arg);
} weir_http_client_events;

/** How the body of a request is framed. */
typedef struct weir_http_client_request {
    size_t size;
    weir_http_method method;
    bool upgrade;                   /**< it asks to upgrade, so 101 is legal */
    weir_http_framing framing;      /**< NO_BODY, LENGTH or CHUNKED, as the head says */
    uint64_t content_length;        /**< with LENGTH */
    const weir_http_limits *limits; /**< of the response; NULL: defaults */
    uint16_t max_fields;            /**< 0: 100 */
    weir_duration response_timeout; /**< to the head, then between reads; 0: 60 s */
} weir_http_client_request;

/**
 * Sends a head, complete with its empty line, and the first bytes of body. One request at a time.
 * Starts reading. Errors: WEIR_ECLOSED, WEIR_EBUSY a request is under way.
 */
WEIR_PUBLIC weir_error *weir_http_client_send(weir_http_client *client,
                                              const weir_http_client_request *request,
                                              weir_slice head, weir_slice first_body, bool last,
                                              const weir_http_client_events *events,
                                              void *arg) WEIR_MUST_USE;
/** More body, framed as the request says. Errors: WEIR_EINVAL more or fewer bytes than announced. */
WEIR_PUBLIC weir_error *weir_http_client_send_body(weir_http_client *client, weir_slice data,
                                                   bool last) WEIR_MUST_USE;
/** Stops and goes on reading the response. */
WEIR_PUBLIC void weir_http_client_pause(weir_http_client *client);
WEIR_PUBLIC void weir_http_client_unpause(weir_http_client *client);
/** No more events for the request under way. Its connection is then not reusable. */
WEIR_PUBLIC void weir_http_client_detach(weir_http_client *client);
/** The last exchange is complete in both directions and both sides keep the connection. */
WEIR_PUBLIC bool weir_http_client_reusable(const weir_http_client *client);
/** Whether the origin has answered anything to the request under way. */
WEIR_PUBLIC bool weir_http_client_answered(const weir_http_client *client);

WEIR_END_DECLS

#endif
