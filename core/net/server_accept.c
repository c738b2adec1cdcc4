/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepting: each new socket becomes a transport; after the TLS handshake, if there is one, the
 * `accepted` hook has its say and the protocol begins. What fails on the way is always logged, but
 * only so often: anybody can cause it (B6).
 *
 * When the process has no descriptor left, accepting rests for a moment instead of spinning, with
 * one line in the log. If that does not help, the reserve descriptor is given up to accept one
 * connection and close it, so that clients are told rather than left to wait.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/mutate.h"
#include "core/net/address.h"
#include "core/net/proxy_protocol.h"
#include "core/net/server.h"
#include "core/net/tls.h"
#include "core/net/transport.h"

static weir_server *server_of(struct io_file *file)
{
    return container_of(file, weir_server, file);
}

void weir__server_say_hidden(weir_server *server)
{
    if (server->failures_hidden)
        weir_log(server->net->logger, WEIR_LOG_WARNING, "%s: %llu more connections could not begin",
                 server->name, (unsigned long long)server->failures_hidden);
    server->failures_hidden = 0;
}

void weir__server_update_accepting(weir_server *server)
{
    struct io_backend *io = server->net->io;
    size_t max = server->options.max_connections;
    bool wanted = !server->closed && !server->net->closing &&
                  (!max || server->count + server->awaited < max) &&
                  !weir__tls_limit_reached(server);

    if (server->closed || timer_running(&server->retry) || wanted == server->file.accepting)
        return;
    if (wanted)
        io->ops->accept_start(io, &server->file);
    else
        io->ops->accept_stop(io, &server->file);
}

/* Anybody can cause these, as often as they like. */
static bool may_log(weir_server *server)
{
    int64_t now = weir__loop_now(server->net->loop);

    if (MUTATED(B6))
        return false;
    if (!server->failures_since || now - server->failures_since >= ACCEPT_LOG_EVERY.ns) {
        weir__server_say_hidden(server);
        server->failures_since = now;
        server->failures_logged = 0;
    }
    if (server->failures_logged < ACCEPT_FAILURES_LOGGED) {
        server->failures_logged++;
        return true;
    }
    server->failures_hidden++;
    return false;
}

void weir__server_log_failure(weir_server *server, int level, weir_error *take_error,
                              const char *what, const char *peer)
{
    if (may_log(server))
        weir_log_error(server->net->logger, level, take_error, "%s: %s %s", server->name, what,
                       peer);
    else
        weir_ignore(take_error);
}

void weir__server_refused(weir_server *server, weir_transport *t, weir_error *take_error)
{
    weir__server_log_failure(server, WEIR_LOG_ERROR, take_error,
                             "Error on transport creation for incoming connection from",
                             weir_transport_peer_name(t));
}

/* By `accepted`: whoever set it has its reasons. */
static void refuse(weir_server *server, weir_transport *t, weir_error *take_error)
{
    weir__server_log_failure(server, WEIR_LOG_INFO, take_error, "refused the connection from",
                             weir_transport_peer_name(t));
    weir__transport_lose(t, NULL);
}

/* TLS, if any, is up. */
static void begin(weir_server *server, weir_transport *t)
{
    const weir_protocol *protocol = server->protocol;
    const void *config = server->config;
    weir_error *error = NULL;

    if (server->options.accepted)
        error = server->options.accepted(t, &protocol, &config, server->options.arg);
    if (!error && t->status >= TRANSPORT_LOST)
        return;
    t->config = config;
    if (!error && protocol != server->protocol)
        error = weir__transport_install(t, protocol, config);
    if (error)
        refuse(server, t, error);
    else
        weir__transport_open(t);
}

static void handshake_done(weir_transport *t, weir_error *take_error, void *arg)
{
    weir_server *server = arg;
    weir_duration took;
    weir_tls_result result = weir__tls_result(t->tls, &took);

    weir__tls_limit_leave(server, t);
    if (server->options.handshake_over)
        server->options.handshake_over(t, result, took, server->options.arg);
    if (!take_error) {
        begin(server, t);
        return;
    }
    /* The peer's doing, and anybody's: no more than information. */
    weir__server_log_failure(server, WEIR_LOG_INFO, take_error, "TLS handshake failed with",
                             weir_transport_peer_name(t));
}

static weir_error *start_handshake(weir_server *server, weir_transport *t)
{
    weir_duration limit = server->options.handshake_timeout;
    struct tls_start start = {
        .context = server->options.tls,
        .timeout = limit.ns ? limit : TLS_HANDSHAKE_TIMEOUT,
        .done = handshake_done,
        .arg = server,
    };

    WEIR_TRY(weir__tls_limit_check(server, t));
    WEIR_TRY(weir__tls_start(t, &start));
    weir__tls_limit_enter(server, t);
    return NULL;
}

/* Part of the transport from now on. */
static bool keep_proxy(weir_transport *t, struct proxy_info *take_proxy)
{
    if (!take_proxy)
        return true;
    if (!weir__transport_extra(t)) {
        weir__free(take_proxy);
        return false;
    }
    t->extra->proxy = take_proxy;
    return true;
}

/* In the block of each connection. */
static size_t room_of(const weir_server *server, const struct sockaddr *peer)
{
    const weir_protocol *protocol = server->protocol;
    size_t room = server->options.room;

    if (protocol->size >= offsetof(weir_protocol, room) + sizeof(protocol->room))
        room += protocol->room;
    if (peer->sa_family == AF_INET)
        room += PEER_NAME_ROOM_V4;
    else if (peer->sa_family == AF_INET6)
        room += PEER_NAME_ROOM_V6;
    return room;
}

void weir__server_take(weir_server *server, int fd, const struct sockaddr *peer, socklen_t length,
                       struct proxy_info *take_proxy)
{
    struct transport_new options = {
        .net = server->net,
        .fd = fd,
        .protocol = server->protocol,
        .config = server->config,
        .peer = peer,
        .peer_length = length,
        .site = server->file.site,
        .nagle = server->nagle,
        .room = room_of(server, peer),
        .state = server->options.tls ? TRANSPORT_HANDSHAKE : TRANSPORT_CONNECTING,
    };
    char name[ADDRESS_NAME_MAX];
    weir_transport *t;
    weir_error *error = weir__transport_new(&options, &t);

    if (error) {
        close(fd);
        weir__free(take_proxy);
        weir__address_name(peer, length, name, sizeof(name));
        weir__server_log_failure(server, WEIR_LOG_ERROR, error,
                                 "Error on transport creation for incoming connection from", name);
        return;
    }
    list_remove(&t->link);
    list_append(&server->transports, &t->link);
    t->server = weir__server_hold(server);
    server->count++;
    if (!keep_proxy(t, take_proxy)) {
        weir__transport_lose(t, weir_raise(WEIR_ENOMEM, "connection"));
        return;
    }
    if (!server->options.tls) {
        begin(server, t);
        return;
    }
    error = start_handshake(server, t);
    if (error && server->options.handshake_over)
        server->options.handshake_over(
            t, weir_error_has(error, WEIR_ELIMIT) ? WEIR_TLS_LIMITED : WEIR_TLS_FAILED, WEIR_NS(0),
            server->options.arg);
    if (weir_error_has(error, WEIR_ELIMIT)) {
        refuse(server, t, error);
    } else if (error) {
        weir__server_refused(server, t, error);
        weir__transport_lose(t, NULL);
    }
}

static void open_reserve(weir_server *server)
{
    if (server->reserve < 0)
        server->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Accepts one connection in place of the reserve and ends it. */
static void shed_one(weir_server *server)
{
    int fd;

    if (server->reserve < 0)
        return;
    close(server->reserve);
    server->reserve = -1;
    fd = accept4(server->file.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    open_reserve(server);
}

static void accept_failed(weir_server *server, int code)
{
    int64_t now = weir__loop_now(server->net->loop);
    weir_error *error;

    if (!server->logged_at || now - server->logged_at >= ACCEPT_LOG_EVERY.ns) {
        weir_log(server->net->logger, WEIR_LOG_ERROR, "%s: accepting rests: %s (%s)", server->name,
                 weir_code_text(code), weir_code_name(code));
        server->logged_at = now;
    }
    if (server->failures++ && (code == EMFILE || code == ENFILE))
        shed_one(server);
    error = weir__timer_start(server->net->loop, &server->retry,
                              weir_instant_after((weir_instant){now}, ACCEPT_RETRY));
    if (error)
        weir__loop_report(server->net->loop, server->file.site, "server cannot accept any more",
                          error);
}

/* The kernel wakes whichever loop waits first, so that one could get nearly all connections. */
static void leave_to_others(weir_server *server)
{
    struct io_backend *io = server->net->io;
    weir_instant now = {weir__loop_now(server->net->loop)};
    weir_error *error;

    if (server->closed || !server->file.accepting ||
        !server->options.has_enough(server->options.arg))
        return;
    error =
        weir__timer_start(server->net->loop, &server->retry, weir_instant_after(now, ACCEPT_YIELD));
    if (error)
        weir_error_unref(error); /* it goes on as before */
    else
        io->ops->accept_stop(io, &server->file);
}

static weir_error *retry_fired(struct job *job)
{
    weir_server *server = container_of(job, weir_server, retry.job);

    open_reserve(server);
    weir__server_update_accepting(server);
    return NULL;
}

static void on_accepted(struct io_file *file, int result, const struct sockaddr *peer,
                        socklen_t length)
{
    weir_server *server = server_of(file);

    if (result < 0) {
        accept_failed(server, -result);
        return;
    }
    server->failures = 0;
    if (!weir__proxy_awaits(server, result, peer, length))
        weir__server_take(server, result, peer, length, NULL);
    weir__server_update_accepting(server);
    if (server->options.has_enough)
        leave_to_others(server);
}

/* As far as they came before the close. */
void weir__server_accept_waiting(weir_server *server)
{
    struct sockaddr_storage peer;

    for (;;) {
        socklen_t length = sizeof(peer);
        int fd = accept4(server->file.fd, (struct sockaddr *)&peer, &length,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0 && errno == EINTR)
            continue;
        if (fd < 0)
            return;
        if (!weir__proxy_awaits(server, fd, (struct sockaddr *)&peer, length))
            weir__server_take(server, fd, (struct sockaddr *)&peer, length, NULL);
    }
}

static const struct io_file_ops server_file_ops = {.accepted = on_accepted};

void weir__server_accept_init(weir_server *server, int fd, const weir_site *site)
{
    weir__timer_init(&server->retry, retry_fired, site);
    server->reserve = -1;
    open_reserve(server);
    io_file_init(&server->file, &server_file_ops, fd, site);
}
