/* SPDX-License-Identifier: Apache-2.0 */
/* A server from inside. */
#ifndef WEIR_CORE_NET_SERVER_H
#define WEIR_CORE_NET_SERVER_H

#include <weir/server.h>

#include "core/net/net.h"
#include "core/net/unix_path.h"
#include "core/task/wait.h"

#define SERVER_MAGIC WEIR_MAGIC('s', 'r', 'v', 'r')

/* Without descriptors or memory: how long accepting rests, and how often that is logged. */
#define ACCEPT_RETRY WEIR_MS(100)
/* With more connections than the other loops: how long accepting is left to them. */
#define ACCEPT_YIELD     WEIR_MS(1)
#define ACCEPT_LOG_EVERY WEIR_S(10)
/* Failures of single connections that are logged in that time. */
#define ACCEPT_FAILURES_LOGGED 10

struct weir_server {
    uint32_t magic;
    uint32_t refs;
    /* Of them ours: one of the loop's until it is closed and its last connection is lost, and one
       of each transport. What is more is the users'. */
    uint32_t holds;
    struct net *net;
    struct io_file file;
    struct list link;
    struct list transports;
    struct tls_limit *handshakes; /* NULL: without limits */
    size_t count;
    weir_server_options options;
    bool nagle;
    weir_proxy_policy proxy; /* n_trusted 0 and not trust_unix: none */
    struct list awaiting;    /* connections whose PROXY header is not there yet */
    size_t awaited;
    const weir_protocol *protocol;
    const void *config;
    struct timer retry;
    struct job closed_job;
    struct list waits; /* tasks in weir_server_wait_closed() */
    weir_fn on_closed;
    void *on_closed_arg;
    int reserve;       /* a descriptor to give up when there are no more; -1 */
    unsigned failures; /* of accept, in a row */
    int64_t logged_at;
    int64_t failures_since; /* of the accept path: a few are logged, the others counted */
    unsigned failures_logged;
    uint64_t failures_hidden;
    weir_backtrace *created; /* debug mode */
    bool closed;             /* accepts no more */
    bool over;               /* closed, and the last connection is lost */
    struct unix_path path;   /* the Unix socket file to remove */
    char name[];
};

/* Accepting (server_accept.c). `fd` moves in. */
void weir__server_accept_init(weir_server *server, int fd, const weir_site *site);
/* Starts or stops it, as the state of server and loop wants. */
void weir__server_update_accepting(weir_server *server);
/* Takes all connections that wait, for a server that closes. */
void weir__server_accept_waiting(weir_server *server);
struct proxy_info;
/* Makes a connection of an accepted socket; both move in. `take_proxy`: NULL without a header. */
void weir__server_take(weir_server *server, int fd, const struct sockaddr *peer, socklen_t length,
                       struct proxy_info *take_proxy);
/* Unless too many failed lately. Always takes. */
void weir__server_log_failure(weir_server *server, int level, weir_error *take_error,
                              const char *what, const char *peer);
/* How many failures the log did not show. */
void weir__server_say_hidden(weir_server *server);

/* Closed, and nothing of it is left: those who wait are told. */
void weir__server_finish_if_over(weir_server *server);
/* Its last step when a connection is lost. */
void weir__server_connection_lost(weir_server *server);
/* Logs that a connection could not begin, unless too many are. Always takes. */
void weir__server_refused(weir_server *server, weir_transport *t, weir_error *take_error);
weir_server *weir__server_hold(weir_server *server);
void weir__server_release(weir_server *server);
/* Says that nobody closed it (repr.c). */
void weir__server_warn_unclosed(const weir_server *server);
/* For a loop that closes: forgets everything without callbacks. */
void weir__server_leave(weir_server *server);
/* Remembers the socket file, so that closing removes that very file. */
weir_error *weir__server_own_path(weir_server *server, const char *address) WEIR_MUST_USE;

#endif
