/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Servers: listening sockets whose connections get a protocol, and the tasks that serve them.
 *
 * The connections of a server, and the tasks of its protocol's `serve`, belong to it: closing the
 * server leaves them be, close_connections() and abort_connections() end them, wait_closed() waits for
 * the last of them, weir_server_shutdown() does all of it in bounded time. A connection whose `serve`
 * returned is flushed and closed.
 *
 * What fails before a connection's protocol has begun (no memory, its connection_made, TLS, the
 * `accepted` hook) ends that connection alone and is always logged, ten times in ten seconds at most;
 * what was not shown is counted and said (B6). Without descriptors accepting rests and is tried again;
 * one line says so.
 *
 * Servers belong to the thread of their loop; other threads are refused (B2), but for unref, which is
 * posted. A server that is dropped, or left to its loop's close, without weir_server_close() is
 * reported as a RESOURCE warning (K1).
 *
 * Example:
 *
 *     static weir_error *echo(weir_stream *stream, const void *config)
 *     {
 *         (void)config;
 *         for (;;) {
 *             weir_slice slice;
 *
 *             WEIR_TRY(weir_stream_read_slice(stream, &slice));
 *             if (!slice.len)
 *                 return NULL;
 *             WEIR_TRY(weir_stream_write_slice(stream, slice));
 *         }
 *     }
 *
 *     static const weir_protocol echoing = {
 *         WEIR_SIZED(weir_protocol), .name = "echo", .serve = echo};
 *
 *     static weir_error *serve_for_a_minute(void *arg)
 *     {
 *         weir_auto(weir_server) server = NULL;
 *
 *         (void)arg;
 *         WEIR_TRY(weir_serve(weir_loop_current(), "*:7777", NULL, &echoing, NULL, &server));
 *         weir_error *error = weir_sleep(WEIR_S(60));
 *         weir_error *late = weir_server_shutdown(server, WEIR_S(10));
 *
 *         weir_ignore(late);
 *         return error;
 *     }
 */
#ifndef WEIR_SERVER_H
#define WEIR_SERVER_H

#include <weir/proxy-protocol.h>
#include <weir/socket.h>
#include <weir/transport.h>

WEIR_BEGIN_DECLS

typedef struct weir_server weir_server;

typedef struct weir_server_options {
    size_t size;
    int backlog; /**< 0: 4096 (the kernel bounds it) */
    /** The socket shares its address with others, and the kernel spreads connections over them. A server of
     *  such a socket takes what waits for it before it closes: nobody else would. */
    bool reuse_port;
    int unix_mode;                   /**< of a Unix socket's file; 0: by umask */
    weir_tls_context *tls;           /**< server context; NULL: plain. Referenced */
    weir_duration handshake_timeout; /**< 0: 10 s */
    size_t max_connections;          /**< accepting pauses at it; 0: no limit of its own */
    /**
     * Called for each connection before connection_made, with TLS after its handshake; may set context and instance, and choose
     * another protocol and configuration than the server's (`protocol` and `config` come with the
     * server's own). An error refuses the connection.
     */
    weir_error *(*accepted)(weir_transport *transport, const weir_protocol **protocol,
                            const void **config, void *arg);
    void *arg;
    const weir_socket_options *socket; /**< of the connections; socket.h. Copied */
    const weir_proxy_policy *proxy;    /**< who sends PROXY headers; NULL: nobody. Copied */
    bool v6_only;               /**< "*" and a bare port hear IPv6 only; "[::]" does anyway */
    weir_duration defer_accept; /**< connections come when they have bytes, or after so long */
    size_t max_handshakes; /**< TLS: accepting pauses while so many are under way; 0: no limit */
    size_t max_handshakes_per_address; /**< TLS: past it connections are refused; IPv6 counts by
                                            /64. 0: no limit */
    /** Called once for each connection with TLS when its handshake is over, or was not begun; for
        counting. What was agreed on: weir_transport_tls_info(). */
    void (*handshake_over)(weir_transport *transport, weir_tls_result result, weir_duration took,
                           void *arg);
    /** Asked after each accepted connection: true leaves those that come next to the other loops
        that share the socket, for a millisecond. NULL: takes what it gets. */
    bool (*has_enough)(void *arg);
    size_t room; /**< bytes of weir_transport_room() in each connection, for `accepted` */
} weir_server_options;

/**
 * Opens a listening socket: "127.0.0.1:8080", "[::1]:8080", "*:8080" or "8080" (dual stack),
 * "unix:/run/x.sock", "unix:@name" (abstract). Port 0 lets the kernel choose. Blocks for no name:
 * hosts must be literals. The file of a Unix socket on which nobody listens any more is replaced;
 * what is no socket, or answers, is EADDRINUSE (T66). Sockets that the process was started with are
 * duplicated, and stay the program's: "fd:3", "systemd:web" (the one that has this name; its options
 * are its owner's). The descriptor is non-blocking and close-on-exec. Any thread.
 * Errors: EADDRINUSE and other errno values, WEIR_EINVAL for the text and for a descriptor that is no
 * listening stream socket, ENOENT systemd passed no such socket.
 */
WEIR_PUBLIC weir_error *weir_listen_socket(const char *address, const weir_server_options *options,
                                           int *ret_fd) WEIR_MUST_USE;
/**
 * The descriptors that systemd passed under a FileDescriptorName (LISTEN_PID, LISTEN_FDS,
 * LISTEN_FDNAMES; "unknown" without a name; NULL: all): as many as fit `fds`; `ret_count` is how many there are.
 * They stay the program's. Errors: ENOENT none; the message lists the names that were passed. Any
 * thread that does not change the environment.
 */
WEIR_PUBLIC weir_error *weir_inherited_sockets(const char *name, int *fds, size_t size,
                                               size_t *ret_count) WEIR_MUST_USE;
/** "127.0.0.1:8080" of a bound socket, into `buffer`. Any thread. */
WEIR_PUBLIC weir_error *weir_socket_name(int fd, char *buffer, size_t size) WEIR_MUST_USE;

/**
 * Serves connections of a listening socket on this loop; several loops may share one socket. The
 * server keeps `fd` open with a duplicate of its own. Accepting starts at once. `options` are copied,
 * `protocol` and `config` must live until weir_server_wait_closed() says so. The reference is the
 * caller's. Errors: errno of the descriptor (EBADF, ENOTSOCK, EMFILE), WEIR_ECLOSED the loop is closed,
 * WEIR_ETHREAD, WEIR_ENOMEM.
 */
#define weir_server_new(loop, fd, options, protocol, config, ret) \
    weir_server_new_at(WEIR_HERE, (loop), (fd), (options), (protocol), (config), (ret))
WEIR_PUBLIC weir_error *weir_server_new_at(const weir_site *site, weir_loop *loop, int fd,
                                           const weir_server_options *options,
                                           const weir_protocol *protocol, const void *config,
                                           weir_server **ret) WEIR_MUST_USE;
/** weir_listen_socket() and weir_server_new() in one. Errors: of both. */
#define weir_serve(loop, address, options, protocol, config, ret) \
    weir_serve_at(WEIR_HERE, (loop), (address), (options), (protocol), (config), (ret))
WEIR_PUBLIC weir_error *weir_serve_at(const weir_site *site, weir_loop *loop, const char *address,
                                      const weir_server_options *options,
                                      const weir_protocol *protocol, const void *config,
                                      weir_server **ret) WEIR_MUST_USE;
/** One more reference, returned. */
WEIR_PUBLIC weir_server *weir_server_ref(weir_server *server);
/** Dropping the last reference of a server that serves still is a mistake: a RESOURCE warning says
 *  so, then it is closed and its connections are aborted (K1). */
WEIR_PUBLIC void weir_server_unref(weir_server *server);
/** The server's own descriptor; -1 once closed. Borrowed. */
WEIR_PUBLIC int weir_server_fd(const weir_server *server);
/** "127.0.0.1:8080" with the port the kernel chose. Valid as long as the server. */
WEIR_PUBLIC const char *weir_server_name(const weir_server *server);
/** How it looks in reports, as snprintf: `<Server serving fd=5 address=127.0.0.1:8080 connections=3>`;
 *  closed, and resting (at max_connections, or without descriptors), in place of serving. */
WEIR_PUBLIC size_t weir_server_repr(const weir_server *server, char *buffer, size_t size);
/** Those that are not lost yet, or whose tasks still run. */
WEIR_PUBLIC size_t weir_server_connections(const weir_server *server);

/** Stops accepting; connections go on. The path of a Unix socket it made is removed. */
WEIR_PUBLIC void weir_server_close(weir_server *server);
/** Closes, in an orderly way, each connection: what is queued is sent, then it is lost, and its tasks are cancelled. */
WEIR_PUBLIC void weir_server_close_connections(weir_server *server);
/** Aborts each connection. */
WEIR_PUBLIC void weir_server_abort_connections(weir_server *server);
/** Calls `fn` for each connection; `fn` may close it. */
WEIR_PUBLIC void weir_server_foreach(weir_server *server, void (*fn)(weir_transport *, void *),
                                     void *arg);
/** Suspends until it is closed, its last connection is lost and the last task of a connection (serve,
 *  weir_transport_spawn()) has ended: then nothing uses `config` any more. Bounded by WEIR_TIMEOUT only.
 *  Errors: WEIR_ECANCELED, WEIR_ETIMEDOUT, WEIR_ENOTASK, WEIR_ETHREAD. */
WEIR_PUBLIC weir_error *weir_server_wait_closed(weir_server *server) WEIR_MUST_USE;
/** Closes, waits so long for the connections to end by themselves, then aborts those that have not,
 *  and waits for their end: the straight-line way to stop. WEIR_FOREVER waits as long as it takes. */
WEIR_PUBLIC weir_error *weir_server_shutdown(weir_server *server,
                                             weir_duration grace) WEIR_MUST_USE;
/** Calls `fn(arg)` once, by the loop, at the same moment. */
WEIR_PUBLIC void weir_server_on_closed(weir_server *server, weir_fn fn, void *arg);

WEIR_DEFINE_CLEANUP(weir_server, weir_server_unref)

WEIR_END_DECLS

#endif
