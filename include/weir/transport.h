/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Transports move bytes, protocols interpret them: the callback side of a connection.
 *
 *     connection_made → data_received* → [eof_received] → connection_lost
 *
 * connection_made comes exactly once and first, connection_lost exactly once and last; nothing is
 * called after it. An error that a callback returns aborts the connection with that error as the
 * reason. Protocol state is zeroed memory of `state_size` bytes; it is freed with the last reference
 * to the transport. Nothing here suspends (see stream.h). Calls on a lost transport return
 * WEIR_ECLOSED and touch nothing.
 *
 * A transport belongs to the thread of its loop. From another thread every call that changes it, and
 * those that make a name, are refused and reported (B2): WEIR_ETHREAD, or nothing happens; but
 * weir_transport_unref() is then done by the loop. References: the loop holds one until the connection
 * is lost; one that nobody has closed when its loop closes is reported as a RESOURCE warning (K1).
 *
 * Example:
 *
 *     static weir_error *shout(weir_transport *transport, void *state, weir_slice data)
 *     {
 *         (void)state;
 *         if (data.len > 1000)
 *             return weir_raise(WEIR_ELIMIT, "more than anybody can say at once");
 *         return weir_transport_write(transport, data);
 *     }
 *
 *     static const weir_protocol shouting = {
 *         WEIR_SIZED(weir_protocol),
 *         .name = "shouting",
 *         .data_received = shout,
 *     };
 *
 *     static weir_error *start_shouting(void *arg)
 *     {
 *         return weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &shouting, NULL,
 *                           (weir_server **)arg);
 *     }
 */
#ifndef WEIR_TRANSPORT_H
#define WEIR_TRANSPORT_H

#include <weir/callback.h>
#include <weir/chunk.h>
#include <weir/error.h>
#include <weir/loop.h>
#include <weir/socket.h>

struct sockaddr;

WEIR_BEGIN_DECLS

typedef struct weir_transport weir_transport;
typedef struct weir_stream weir_stream;
typedef struct weir_instance weir_instance;
typedef struct weir_instance_ops weir_instance_ops;
typedef struct weir_option weir_option;
typedef struct weir_subject weir_subject;
typedef struct weir_tls_context weir_tls_context;
typedef struct weir_datagram_protocol weir_datagram_protocol;

/** What a detector says of the first bytes. */
typedef enum weir_verdict { WEIR_VERDICT_NO, WEIR_VERDICT_YES, WEIR_VERDICT_MORE } weir_verdict;

/**
 * How bytes of a connection are understood. Static. Either callbacks or `serve`, not both.
 * Unset callbacks do nothing, but for eof_received: the connection is flushed and closed.
 */
typedef struct weir_protocol {
    size_t size;
    const char *name;
    const weir_option *const *options; /**< of its own block (`echo: {…}`); option.h */
    size_t config_size, state_size;
    const weir_instance_ops *instance; /**< life of its configuration; plugin.h */

    weir_error *(*connection_made)(weir_transport *transport, void *state, const void *config);
    /** `data` is borrowed until the callback returns; weir_chunk_ref(weir_chunk_of(data)) keeps it. */
    weir_error *(*data_received)(weir_transport *transport, void *state, weir_slice data);
    /** The peer sends no more. `ret_keep_open` starts as false: flush, then close. */
    weir_error *(*eof_received)(weir_transport *transport, void *state, bool *ret_keep_open);
    /** More than the high water mark is queued; may come from inside a write. */
    void (*pause_writing)(weir_transport *transport, void *state);
    void (*resume_writing)(weir_transport *transport, void *state);
    /** `reason` NULL: an orderly end. Borrowed. */
    void (*connection_lost)(weir_transport *transport, void *state, const weir_error *reason);

    /** Straight-line style: one task per connection. When it returns the core closes the stream.
     *  End of stream, timed out, cancelled and a peer that left are not logged when returned. */
    weir_error *(*serve)(weir_stream *stream, const void *config);

    /** Datagram style: listeners open datagram sockets, and this is who hears them; datagram.h. Callbacks
     *  of connections are unset. */
    const weir_datagram_protocol *datagram;

    size_t detect_limit; /**< bytes that `detect` wants at most */
    weir_verdict (*detect)(weir_slice first_bytes);

    const weir_option *const *listener_options; /**< keys directly on the listener */
    size_t listener_config_size;
    const weir_option *const *upstream_options; /**< keys directly on the upstream */
    size_t upstream_config_size;
    /** For `weir route` and `tests:`: what a request in words looks like to matchers. The first line
     *  is "GET https://example.com/a", further ones are "Name: value". What the protocol does not
     *  know of itself (client_ip, sni, alpn) is filled by the host. Errors: in words for people. */
    weir_error *(*subject_of)(const char *request, weir_subject **ret);
    void (*subject_free)(weir_subject *take_subject); /**< of what subject_of gave */
    /** For `tests:`: sends such a request over a fresh connection to a listener of this protocol, as a
     *  client would; in a task. `ret_fields` are lines "Name: value". */
    weir_error *(*ask)(weir_stream *stream, const char *request, int *ret_status,
                       weir_buffer **ret_fields);
    /** Extension kinds this protocol's routes may use as actions and filters ("http.action"). */
    const char *action_kind, *filter_kind;
    bool redirects;       /**< it asks weir_listener_redirected(): `redirect_from` is allowed */
    bool routes_required; /**< a listener of this protocol needs at least one route */

    /**
     * Buffered style, in place of data_received: bytes go into memory that the protocol supplies.
     * `hint` bytes are there; a smaller buffer is filled and asked for again. A buffer of no bytes
     * is an error that ends the connection (T63). Then buffer_updated says how many were put at its
     * start. Set both or neither.
     */
    weir_error *(*get_buffer)(weir_transport *transport, void *state, size_t hint,
                              void **ret_buffer, size_t *ret_size);
    weir_error *(*buffer_updated)(weir_transport *transport, void *state, size_t n);

    /** The time of weir_transport_set_deadline() has come. */
    weir_error *(*deadline_reached)(weir_transport *transport, void *state);
    /** Bytes of weir_transport_room() in accepted connections, for the state of a protocol that this one
     *  always gives them to, for instance. */
    size_t room;
    /** The listener that accepted the connection begins to drain: end it at the next good moment. May
     *  come more than once. */
    void (*drain)(weir_transport *transport, void *state);
} weir_protocol;

/** One more reference, returned. It keeps the memory, not the connection. NULL for NULL. */
WEIR_PUBLIC weir_transport *weir_transport_ref(weir_transport *transport);
/** Drops a reference (NULL: nothing); from another thread the loop does it. */
WEIR_PUBLIC void weir_transport_unref(weir_transport *transport);
/** The loop it belongs to. Borrowed. */
WEIR_PUBLIC weir_loop *weir_transport_loop(const weir_transport *transport);

/**
 * Queues bytes; tries to send at once where the backend can. A slice of this loop's chunk pool is
 * kept by reference, other memory is copied. All or nothing.
 * Errors: WEIR_ECLOSED (lost, closing, or after write_eof), WEIR_EFULL past the hard limit, WEIR_EBUSY
 * a file is being sent, WEIR_ENOTREADY before the connection is made, WEIR_EUNSUPPORTED the reading
 * side of a pipe, WEIR_ETHREAD, WEIR_ENOMEM. A send that fails later arrives through connection_lost.
 */
WEIR_PUBLIC weir_error *weir_transport_write(weir_transport *transport,
                                             weir_slice data) WEIR_MUST_USE;
/** Several pieces as one write, in one system call where possible. Errors: as of write; WEIR_EINVAL
 *  their lengths overflow. */
WEIR_PUBLIC weir_error *weir_transport_writev(weir_transport *transport, const weir_slice *slices,
                                              size_t count) WEIR_MUST_USE;
/** As write, without a copy: `release(owner)` is called once the bytes are no longer needed, also
 *  on error, and maybe before this returns. */
WEIR_PUBLIC weir_error *weir_transport_write_owned(weir_transport *transport, weir_slice data,
                                                   weir_drop_fn release, void *owner) WEIR_MUST_USE;

/** A file to be sent. */
typedef struct weir_send_file_options {
    size_t size;
    int fd; /**< open for reading; stays the caller's, who keeps it open until `done` or a cancel */
    uint64_t offset; /**< bytes from its beginning; its own position is neither used nor moved */
    uint64_t length; /**< bytes; INT64_MAX - `offset`: up to its end */
    /**
     * Called exactly once, later, on the loop's thread and before connection_lost, when all has been
     * sent or queued. `sent` counts those bytes: fewer than `length` without an error mean that the
     * file is shorter. Writing is allowed again. Owns the error: the connection's (EPIPE, ECONNRESET,
     * …, WEIR_ECLOSED), or of reading (EIO, EISDIR, …), after which the connection is still open, and
     * a peer that was promised more has to be let know by an abort.
     */
    void (*done)(weir_transport *transport, uint64_t sent, weir_error *take_error, void *arg);
    void *arg;
} weir_send_file_options;

/**
 * Sends part of an open file behind what is queued, and calls `done`. Never waits for a disk on this
 * thread: what is in memory goes by sendfile(2) or through chunks (over TLS always), the rest is read
 * by the loop's executor for files. No more than the high water mark is queued.
 *
 * Until `done` nothing else is written (WEIR_EBUSY), and the protocol hears pause_writing, unless it
 * is all done at once; resume_writing follows as ever. Reading goes on. weir_transport_close() sends
 * the file to its end first. sendfile(2) raises SIGPIPE in programs that do not ignore it; there it
 * is not used.
 * Errors: WEIR_EBUSY a file is under way; WEIR_ECLOSED; WEIR_EINVAL no such place; WEIR_ENOMEM;
 * WEIR_ETHREAD. `done` is not called then.
 *
 *     static void sent(weir_transport *transport, uint64_t sent, weir_error *take_error, void *arg)
 *     {
 *         struct reply *reply = arg;
 *
 *         close(reply->fd);
 *         if (take_error || sent < reply->length)
 *             weir_transport_abort(transport, take_error);
 *         else
 *             weir_transport_close(transport);
 *     }
 *
 *     weir_send_file_options options = {WEIR_SIZED(weir_send_file_options), .fd = reply->fd,
 *                                       .length = reply->length, .done = sent, .arg = reply};
 *     WEIR_TRY(weir_transport_send_file(transport, &options));
 */
WEIR_PUBLIC weir_error *
weir_transport_send_file(weir_transport *transport,
                         const weir_send_file_options *options) WEIR_MUST_USE;
/** Ends it where it is; `done` is not called. Gives how many bytes were sent or queued: if that is
 *  not all, the peer has got part of it. May call resume_writing. Thread of the loop. Without a file
 *  nothing happens. */
WEIR_PUBLIC uint64_t weir_transport_cancel_file(weir_transport *transport);
/** Half-close: no more writes; the peer sees the end after what is queued. With TLS: close_notify.
 *  Again: nothing happens. Errors: as of write. */
WEIR_PUBLIC weir_error *weir_transport_write_eof(weir_transport *transport) WEIR_MUST_USE;
/** Holds writes back until the matching uncork, to send them together. Nests. */
WEIR_PUBLIC void weir_transport_cork(weir_transport *transport);
WEIR_PUBLIC void weir_transport_uncork(weir_transport *transport);

/** One idempotent flag; eof_received waits too. Bytes in flight inside the backend may still come
 *  in at most the chunk limit. */
WEIR_PUBLIC void weir_transport_pause_reading(weir_transport *transport);
WEIR_PUBLIC void weir_transport_resume_reading(weir_transport *transport);
/** Whether the protocol would be given bytes now: open, not paused, the peer has not ended. */
WEIR_PUBLIC bool weir_transport_is_reading(const weir_transport *transport);

/** Orderly: stops reading, sends what is queued (given up when no byte moves for 60 s), closes;
 *  connection_lost(NULL) follows. Allowed in any callback and any state. */
WEIR_PUBLIC void weir_transport_close(weir_transport *transport);
/** At once: drops what is queued, and resets a TCP connection. `take_reason` (NULL: none) reaches
 *  connection_lost. */
WEIR_PUBLIC void weir_transport_abort(weir_transport *transport, weir_error *take_reason);
/** It is closed or closing, by whomever, or its peer is known to be gone: writes fail. */
WEIR_PUBLIC bool weir_transport_is_closing(const weir_transport *transport);

/** `high` queued bytes (64 KiB) pause writing, `low` (high / 4) resume it; a write beyond `hard`
 *  (16 MiB; 0: leave) fails. pause when size > high, resume when size ≤ low. */
WEIR_PUBLIC void weir_transport_set_write_limits(weir_transport *transport, size_t high, size_t low,
                                                 size_t hard);
/** Bytes that are queued here; of TLS the encrypted ones. What the kernel holds does not count. */
WEIR_PUBLIC size_t weir_transport_write_buffer_size(const weir_transport *transport);
/** Aborts with WEIR_ETIMEDOUT after this long without a byte in either direction. */
WEIR_PUBLIC void weir_transport_set_idle_timeout(weir_transport *transport, weir_duration limit);
/**
 * The protocol's own timer: its `deadline_reached` is called after this long, once, between other
 * callbacks. Set again it counts from now, which costs O(1) for a later deadline. WEIR_FOREVER, another
 * protocol and the loss of the connection end it. A connection has one; it takes no memory of its own,
 * where a weir_timer takes 80 bytes.
 */
WEIR_PUBLIC void weir_transport_set_deadline(weir_transport *transport, weir_duration after);

/**
 * Gives the connection to another protocol, whose connection_made is called at once and which then
 * receives `rest`, the unused end of the current slice. The old protocol is called no more; its
 * state lives as long as the transport. Reading is paused by the hand-over when `rest` is not used
 * up, never lost. `config` must live as long as the connection. `ret_state` may be NULL.
 * Errors: WEIR_ECLOSED, WEIR_EBUSY a file is being sent, WEIR_ETHREAD, WEIR_ENOMEM (then it is lost).
 */
WEIR_PUBLIC weir_error *weir_transport_set_protocol(weir_transport *transport,
                                                    const weir_protocol *protocol,
                                                    const void *config, weir_slice rest,
                                                    void **ret_state) WEIR_MUST_USE;
/** The present protocol, its state (`state_size` bytes, as long as the transport) and its
 *  configuration. Borrowed. */
WEIR_PUBLIC const weir_protocol *weir_transport_protocol(const weir_transport *transport);
WEIR_PUBLIC void *weir_transport_state(const weir_transport *transport);
WEIR_PUBLIC const void *weir_transport_config(const weir_transport *transport);
/** Starts a task that belongs to the connection: holds a reference, is cancelled when it is lost. What
 *  it returns is logged, unless it says that the connection or the task ended. Errors: WEIR_ECLOSED,
 *  WEIR_ETHREAD, WEIR_ENOMEM. */
#define weir_transport_spawn(transport, fn, arg) \
    weir_transport_spawn_at(WEIR_HERE, #fn, (transport), (fn), (arg))
WEIR_PUBLIC weir_error *weir_transport_spawn_at(const weir_site *site, const char *name,
                                                weir_transport *transport, weir_fn fn,
                                                void *arg) WEIR_MUST_USE;

/** The instance whose configuration the connection runs with; NULL outside the daemon. Borrowed. */
WEIR_PUBLIC weir_instance *weir_transport_instance(const weir_transport *transport);
WEIR_PUBLIC void weir_transport_set_instance(weir_transport *transport, weir_instance *instance);
/** Another configuration of the same protocol from now on. The program's, or the daemon's; on a
 *  connection of a protocol with `serve`, which has its own still, a mistake. Borrowed. */
WEIR_PUBLIC void weir_transport_set_config(weir_transport *transport, const void *config);
/** A pointer of whoever accepted or opened the connection (the daemon's record of it). `drop` runs
 *  with the transport's last reference. */
WEIR_PUBLIC void weir_transport_set_context(weir_transport *transport, void *context,
                                            weir_drop_fn drop);
WEIR_PUBLIC void *weir_transport_context(const weir_transport *transport);
/** The context if it was set with this `drop`: whose it is shows without a look into it. */
WEIR_PUBLIC void *weir_transport_context_of(const weir_transport *transport, weir_drop_fn drop);
/**
 * Zeroed memory in the connection's own block, as long as it lives, for pointers and what is no larger;
 * NULL when what `room` of its protocol and its server asked for is used up. It saves the overhead of
 * a block where connections idle by the thousand; the state of weir_transport_set_protocol() looks for it first.
 */
WEIR_PUBLIC void *weir_transport_room(weir_transport *transport, size_t size);

/** "192.0.2.1:4711", "[2001:db8::1]:4711", "unix:/run/x.sock", "unix:" for an unnamed one; of a pipe
 *  "pipe:[4711]" or the path of the FIFO or terminal. Made once. */
WEIR_PUBLIC const char *weir_transport_peer_name(weir_transport *transport);
WEIR_PUBLIC const char *weir_transport_local_name(weir_transport *transport);
/** The peer's address without the port; empty for Unix sockets. Made once. */
WEIR_PUBLIC weir_slice weir_transport_peer_ip(weir_transport *transport);
/** Borrowed; of Unix sockets and pipes only a family, AF_UNSPEC. `ret_length` in bytes. */
WEIR_PUBLIC const struct sockaddr *weir_transport_peer_address(const weir_transport *transport,
                                                               size_t *ret_length);
/** Since the connection was made, on the wire: of TLS the encrypted bytes. */
WEIR_PUBLIC uint64_t weir_transport_bytes_received(const weir_transport *transport);
WEIR_PUBLIC uint64_t weir_transport_bytes_sent(const weir_transport *transport);
/**
 * How it looks in reports, as snprintf: `<Socket [closing|closed] fd=6 peer=127.0.0.1:4711 read=polling
 * write=<idle, bufsize=0>>`; TLS, PipeReader, PipeWriter and Pipe in place of Socket.
 */
WEIR_PUBLIC size_t weir_transport_repr(const weir_transport *transport, char *buffer, size_t size);
/** Process-wide, never reused; for logs. */
WEIR_PUBLIC uint64_t weir_transport_id(const weir_transport *transport);

/** What TLS agreed on; all NULL without TLS. Valid as long as the transport. */
typedef struct weir_tls_info {
    const char *version; /**< "TLSv1.3" */
    const char *cipher;
    const char *alpn;        /**< agreed protocol, or NULL */
    const char *server_name; /**< SNI of the client, or NULL */
    bool resumed;
} weir_tls_info;

/** How a TLS handshake ended. */
typedef enum weir_tls_result {
    WEIR_TLS_DONE,
    WEIR_TLS_TIMEOUT,           /**< not done within its limit */
    WEIR_TLS_LEFT,              /**< the peer ended the connection */
    WEIR_TLS_REFUSED,           /**< the peer sent an alert: it does not trust us, for instance */
    WEIR_TLS_UNVERIFIED,        /**< the peer's certificate is missing or not trusted */
    WEIR_TLS_NOTHING_IN_COMMON, /**< no version, cipher, group or ALPN protocol */
    WEIR_TLS_NOT_TLS,           /**< the peer speaks something else, HTTP for instance */
    WEIR_TLS_LIMITED,           /**< too many handshakes of its address: not begun */
    WEIR_TLS_ABORTED,           /**< this side ended the connection */
    WEIR_TLS_FAILED,            /**< anything else */
    WEIR_TLS_RESULT_COUNT
} weir_tls_result;

/** "done", "timeout", "left", "refused", "unverified", "nothing_in_common", "not_tls", "limited",
 *  "aborted", "failed". */
WEIR_PUBLIC const char *weir_tls_result_name(weir_tls_result result);

/** How the handshake ended, and how long it took. In the `done` of weir_transport_accept_tls() only. */
WEIR_PUBLIC weir_tls_result weir_transport_tls_result(const weir_transport *transport,
                                                      weir_duration *ret_took);

/** What the handshake agreed on; false without TLS, or before its end. */
WEIR_PUBLIC bool weir_transport_tls_info(const weir_transport *transport, weir_tls_info *ret);

typedef struct weir_connect_options {
    size_t size;
    weir_duration timeout;     /**< name, connect and TLS together; 0: 30 s */
    weir_tls_context *tls;     /**< client context; NULL: plain. Referenced for the connection */
    const char *server_name;   /**< to verify; NULL: the target's host */
    const char *local_address; /**< to bind to, without a port; only for targets of its family */
    const weir_socket_options *socket; /**< socket.h; NULL: the defaults. Copied */
    /** RFC 8305: the next address is tried when the last one had this long; 0: 250 ms; at least
     *  10 ms; WEIR_FOREVER: only when it has failed. */
    weir_duration attempt_delay;
    unsigned interleave; /**< so many addresses of the first family before turns begin; 0: 1 */
} weir_connect_options;

/** A connection attempt under way. */
typedef struct weir_connecting weir_connecting;

/**
 * Connects to "host:port", "[2001:db8::1]:443", "unix:/run/x.sock" or "unix:@name"; names through the loop's
 * resolver, several addresses by happy eyeballs. Calls `done` exactly once, never inside this call:
 * with a transport whose protocol had its connection_made and whose reading is paused (the taker
 * resumes), or with the error, which it owns. The transport then belongs to its protocol.
 * `ret` NULL: not cancellable.
 * Errors for `done`, each with the target in its message: of the kernel (ECONNREFUSED, …), ETIMEDOUT
 * the whole took too long, WEIR_ENONAME, WEIR_EDNS, WEIR_ETLS.
 */
#define weir_connect_start(loop, target, options, protocol, config, done, arg, ret)             \
    weir_connect_start_at(WEIR_HERE, (loop), (target), (options), (protocol), (config), (done), \
                          (arg), (ret))
WEIR_PUBLIC weir_error *
weir_connect_start_at(const weir_site *site, weir_loop *loop, const char *target,
                      const weir_connect_options *options, const weir_protocol *protocol,
                      const void *config,
                      void (*done)(weir_transport *transport, weir_error *take_error, void *arg),
                      void *arg, weir_connecting **ret) WEIR_MUST_USE;
/** Ends the attempt; `done` is not called. Not after `done`. */
WEIR_PUBLIC void weir_connecting_cancel(weir_connecting *connecting);

WEIR_DEFINE_CLEANUP(weir_transport, weir_transport_unref)

WEIR_END_DECLS

#endif
