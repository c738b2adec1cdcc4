/* SPDX-License-Identifier: Apache-2.0 */
/**
 * HTTP exchanges: one request and its response, as filters and actions see them.
 *
 * An exchange passes a chain: filters, outermost first, then exactly one action, which answers. Each
 * position sees it through a view of its own (`weir_http`), on which its configuration, state and
 * instance hang. Views live as long as the exchange; calls on one that ended return WEIR_ECLOSED.
 *
 *     request   client → filter 1 → filter 2 → action
 *     response  client ← filter 1 ← filter 2 ← action
 *
 * Two styles, both first-class. Callbacks: on_request … answer CONTINUE, SUSPEND (until
 * weir_http_resume()) or DONE, and bodies pass as slices; a NULL body callback means that bytes
 * pass without a call. Straight-line: `handle(x)` runs as a task, and only it costs one. Nothing
 * here knows whether HTTP/1.1 or HTTP/2 carries the exchange.
 *
 * Example:
 *
 *     // An action: answers with the request's body.
 *     static weir_error *handle(weir_http *x)
 *     {
 *         weir_slice body;
 *
 *         WEIR_TRY(weir_http_read_all(x, WEIR_HTTP_REQUEST, 65536, &body));
 *         return weir_http_respond(x, 200, WEIR_SLICE("text/plain"), body);
 *     }
 *
 *     static const weir_http_action mirror = {
 *         WEIR_SIZED(weir_http_action), .name = "mirror", .handle = handle};
 */
#ifndef WEIR_HTTP_H
#define WEIR_HTTP_H

#include <weir/http-message.h>
#include <weir/option.h>
#include <weir/outcome.h>
#include <weir/transport.h>

WEIR_BEGIN_DECLS

/** A view of an exchange: its position in the chain. */
typedef struct weir_http weir_http;

typedef enum weir_http_side { WEIR_HTTP_REQUEST, WEIR_HTTP_RESPONSE } weir_http_side;

typedef enum weir_http_step {
    WEIR_HTTP_STEP_CONTINUE, /**< on to the next position */
    WEIR_HTTP_STEP_SUSPEND, /**< weir_http_resume() will follow; the incoming side is paused till then */
    WEIR_HTTP_STEP_DONE, /**< this position has answered; what is behind it is not asked */
} weir_http_step;

/** A link of the chain that looks at what passes. Static. Begins as weir_extension_head. */
typedef struct weir_http_filter {
    size_t size;
    const char *name;
    const weir_option *const *options;
    size_t config_size, state_size;
    const weir_instance_ops *instance;
    const char *shorthand;

    weir_error *(*on_request)(weir_http *x, weir_http_step *ret_step);
    /** May be changed on its way: what is not passed on with weir_http_pass() is swallowed. */
    weir_error *(*on_request_body)(weir_http *x, weir_slice data, bool last);
    weir_error *(*on_response)(weir_http *x, weir_http_step *ret_step);
    weir_error *(*on_response_body)(weir_http *x, weir_slice data, bool last);
    /** The next position on that side cannot take more; only for filters that produce bytes. */
    void (*pause)(weir_http *x, weir_http_side side);
    void (*unpause)(weir_http *x, weir_http_side side);
    /** Exactly once, last; `reason` NULL: complete. Borrowed. */
    void (*ended)(weir_http *x, const weir_error *reason);
    /** Instead of the callbacks: around weir_http_next(x). */
    weir_error *(*handle)(weir_http *x);
} weir_http_filter;

/** What answers a request: the end of the chain. Static. Begins as weir_extension_head. */
typedef struct weir_http_action {
    size_t size;
    const char *name;
    const weir_option *const *options;
    size_t config_size, state_size;
    const weir_instance_ops *instance;
    const char *shorthand;

    /** The request head is there. An error is answered as weir_http_fail() would with 500. */
    weir_error *(*start)(weir_http *x);
    /** NULL: the body is read and dropped. `last` comes exactly once, also for requests without a
     *  body (an empty slice, right after start), unless the exchange ends before. */
    weir_error *(*on_request_body)(weir_http *x, weir_slice data, bool last);
    /** The client does not take the response as fast as it is produced. */
    void (*pause)(weir_http *x, weir_http_side side);
    void (*unpause)(weir_http *x, weir_http_side side);
    void (*ended)(weir_http *x, const weir_error *reason);
    /** Instead of start and on_request_body: straight-line, as a task. The exchange, and with it the
     *  next request of the connection, waits for its return. */
    weir_error *(*handle)(weir_http *x);
} weir_http_action;

/* What hangs on the view. */

/** The filled options of this filter or action. */
WEIR_PUBLIC const void *weir_http_config(const weir_http *x);
/** `state_size` zeroed bytes for this exchange. */
WEIR_PUBLIC void *weir_http_state(const weir_http *x);
/** Zeroed bytes that live as long as the exchange, `ended` included; NULL without memory. Small pieces
 *  cost no allocation. */
WEIR_PUBLIC void *weir_http_alloc(weir_http *x, size_t size);
WEIR_PUBLIC weir_instance *weir_http_instance(const weir_http *x);
/** The client's connection. Borrowed. */
WEIR_PUBLIC weir_transport *weir_http_transport(const weir_http *x);
/** The pointer the server's owner gave with weir_http_begin(). */
WEIR_PUBLIC void *weir_http_context(const weir_http *x);

/* The request and the response. Slices are valid until the exchange ends; those of changed fields
 * until they are changed again. */

/** As the client sent them. */
WEIR_PUBLIC weir_slice weir_http_request_method(const weir_http *x);
WEIR_PUBLIC weir_slice weir_http_request_target(const weir_http *x);
/** As routes see it: percent-decoded where that is safe, dot segments removed. */
WEIR_PUBLIC weir_slice weir_http_request_path(const weir_http *x);
WEIR_PUBLIC weir_slice weir_http_request_query(const weir_http *x);
/** Host and port of the request, lower case. */
WEIR_PUBLIC weir_slice weir_http_request_authority(const weir_http *x);
/** "http" or "https". */
WEIR_PUBLIC weir_slice weir_http_request_scheme(const weir_http *x);
/** The head as parsed, for what forwards it; the request's is always there. Borrowed. */
WEIR_PUBLIC const weir_http_head *weir_http_request_head(const weir_http *x);
/** Status of the response; 0 before its head. */
WEIR_PUBLIC int weir_http_status(const weir_http *x);

/** The first field of that name. False: there is none. */
WEIR_PUBLIC bool weir_http_header(const weir_http *x, weir_http_side side, const char *name,
                                  weir_slice *ret_value);
/** Replaces all fields of that name. Both are copied. Errors: WEIR_EINVAL not a legal field,
 *  WEIR_ELIMIT, WEIR_ECLOSED the head has left. */
WEIR_PUBLIC weir_error *weir_http_set_header(weir_http *x, weir_http_side side, const char *name,
                                             weir_slice value) WEIR_MUST_USE;
WEIR_PUBLIC weir_error *weir_http_add_header(weir_http *x, weir_http_side side, const char *name,
                                             weir_slice value) WEIR_MUST_USE;
WEIR_PUBLIC weir_error *weir_http_remove_header(weir_http *x, weir_http_side side,
                                                const char *name) WEIR_MUST_USE;

/* Callback style. */

/** After SUSPEND: goes on, or fails the exchange with the error. Always takes. */
WEIR_PUBLIC void weir_http_resume(weir_http *x, weir_error *take_error);
/** Hands body bytes to the next position on that side. A chunk of this loop is kept by reference. */
WEIR_PUBLIC weir_error *weir_http_pass(weir_http *x, weir_http_side side,
                                       weir_slice data) WEIR_MUST_USE;
/** Stops what comes in on that side, for this position; idempotent. */
WEIR_PUBLIC void weir_http_pause(weir_http *x, weir_http_side side);
WEIR_PUBLIC void weir_http_unpause(weir_http *x, weir_http_side side);

/** A whole response. `type` empty: no Content-Type. Fields set before on the response side go
 *  with it. */
WEIR_PUBLIC weir_error *weir_http_respond(weir_http *x, int status, weir_slice type,
                                          weir_slice body) WEIR_MUST_USE;
/** The head; `length` -1: unknown. Then weir_http_pass() (or _write()) and respond_end(). */
WEIR_PUBLIC weir_error *weir_http_respond_head(weir_http *x, int status,
                                               int64_t length) WEIR_MUST_USE;
/** The head of another message, as an origin sent it: fields but for hop-by-hop ones go over as
 *  they are, framing is made anew. With `first_body`, bytes that came with it, in one send. */
WEIR_PUBLIC weir_error *weir_http_respond_message(weir_http *x, const weir_http_head *head,
                                                  weir_slice first_body) WEIR_MUST_USE;
/** Errors: WEIR_EINCOMPLETE fewer bytes were passed than announced (the connection is closed). */
WEIR_PUBLIC weir_error *weir_http_respond_end(weir_http *x) WEIR_MUST_USE;
/**
 * After respond_head() with a length: so many bytes of an open file from `offset` on, then the end, as
 * by respond_end(), all without a wait for a disk (weir_transport_send_file()). `fd` stays the
 * caller's, who keeps it open until `ended`. Nothing else is passed. A file that cannot be read, or is
 * shorter, fails the exchange (WEIR_OUTCOME_PLUGIN_ERROR); the client sees fewer bytes than announced.
 * Errors: WEIR_EINVAL the response has no length, or the file no such place; WEIR_ECLOSED;
 * WEIR_EINVALSTATE before the head; WEIR_ENOMEM.
 */
WEIR_PUBLIC weir_error *weir_http_respond_file(weir_http *x, int fd, uint64_t offset) WEIR_MUST_USE;
/** An interim response (100, 103) of `head`; dropped for clients that cannot take one. `head` NULL:
 *  100, if the client waits for it; weir_http_read() does so by itself. */
WEIR_PUBLIC weir_error *weir_http_respond_interim(weir_http *x,
                                                  const weir_http_head *head) WEIR_MUST_USE;
/**
 * Ends the exchange as failed: with a response of `status` while its head has not left, else by
 * closing the connection so that the client cannot take the response for complete. Logs nothing;
 * `outcome` is what is recorded. Always takes.
 */
WEIR_PUBLIC void weir_http_fail(weir_http *x, int status, weir_outcome outcome,
                                weir_error *take_error);
/** What is recorded for an exchange that ends without fail; OK by default. */
WEIR_PUBLIC void weir_http_set_outcome(weir_http *x, weir_outcome outcome);
/**
 * Sends 101 (or the 2xx of CONNECT) of `head` and turns the client's connection into a tunnel to
 * `other`, which has sent `rest` already. Takes a reference to `other` and closes both in the end.
 */
WEIR_PUBLIC weir_error *weir_http_upgrade(weir_http *x, const weir_http_head *head,
                                          weir_transport *other, weir_slice rest) WEIR_MUST_USE;

/* Straight-line style: these suspend the task of handle(). */

/** Runs what is behind; returns at the response head, which is still unsent and leaves when
 *  handle() returns or writes. */
WEIR_PUBLIC weir_error *weir_http_next(weir_http *x) WEIR_MUST_USE;
/** The next body bytes, empty at the end; valid until the next read of that side. */
WEIR_PUBLIC weir_error *weir_http_read(weir_http *x, weir_http_side side,
                                       weir_slice *ret) WEIR_MUST_USE;
/** All that remains. Errors: WEIR_ELIMIT more than `limit`. */
WEIR_PUBLIC weir_error *weir_http_read_all(weir_http *x, weir_http_side side, size_t limit,
                                           weir_slice *ret) WEIR_MUST_USE;
/** Body bytes of the response, after respond_head(); waits for room. */
WEIR_PUBLIC weir_error *weir_http_write(weir_http *x, weir_slice data) WEIR_MUST_USE;

WEIR_END_DECLS

#endif
