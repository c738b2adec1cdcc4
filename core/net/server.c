/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers. Each accepted socket becomes a transport of the server's list; after the TLS handshake,
 * if there is one, the `accepted` hook has its say and the protocol begins.
 *
 * When the process has no descriptor left, accepting rests for a moment instead of spinning, with
 * one line in the log. If that does not help, the reserve descriptor is given up to accept one
 * connection and close it, so that clients are told rather than left to wait.
 */
#include "config.h"

#include "core/net/server.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/net/address.h"
#include "core/net/tls.h"
#include "core/net/transport.h"

#define UNIX_PREFIX "unix:"

static weir_server *server_of(struct io_file *file)
{
    return container_of(file, weir_server, file);
}

/* Accepting */

static void update_accepting(weir_server *server)
{
    struct io_backend *io = server->net->io;
    size_t max = server->options.max_connections;
    bool wanted = !server->closed && (!max || server->count < max);

    if (server->closed || timer_running(&server->retry) || wanted == server->file.accepting)
        return;
    if (wanted)
        io->ops->accept_start(io, &server->file);
    else
        io->ops->accept_stop(io, &server->file);
}

static void refuse(weir_server *server, weir_transport *t, weir_error *take_error)
{
    weir_log_error(server->net->logger, WEIR_LOG_INFO, take_error,
                   "%s: connection %llu from %s was refused", server->name,
                   (unsigned long long)t->id, weir_transport_peer_name(t));
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

    if (!take_error) {
        begin(server, t);
        return;
    }
    /* The peer's doing, and anybody's: no more than information. */
    weir_log_error(server->net->logger, WEIR_LOG_INFO, take_error,
                   "%s: TLS handshake with %s failed", server->name, weir_transport_peer_name(t));
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

    WEIR_TRY(weir__tls_start(t, &start));
    return NULL;
}

static void take_connection(weir_server *server, int fd, const struct sockaddr *peer,
                            socklen_t length)
{
    struct transport_new options = {
        .net = server->net,
        .fd = fd,
        .protocol = server->protocol,
        .config = server->config,
        .peer = peer,
        .peer_length = length,
        .site = server->file.site,
        .state = server->options.tls ? TRANSPORT_HANDSHAKE : TRANSPORT_CONNECTING,
    };
    weir_transport *t;
    weir_error *error = weir__transport_new(&options, &t);

    if (error) {
        close(fd);
        weir_log_error(server->net->logger, WEIR_LOG_ERROR, error,
                       "%s: a connection could not be taken", server->name);
        return;
    }
    list_remove(&t->link);
    list_append(&server->transports, &t->link);
    t->server = weir_server_ref(server);
    server->count++;
    if (!server->options.tls) {
        begin(server, t);
        return;
    }
    error = start_handshake(server, t);
    if (error)
        refuse(server, t, error);
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

static weir_error *retry_fired(struct timer *timer)
{
    weir_server *server = container_of(timer, weir_server, retry);

    open_reserve(server);
    update_accepting(server);
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
    take_connection(server, result, peer, length);
    update_accepting(server);
}

static const struct io_file_ops server_file_ops = {.accepted = on_accepted};

/* Life */

static weir_error *run_closed(struct job *job)
{
    weir_server *server = container_of(job, weir_server, closed_job);
    weir_error *error = NULL;
    weir_fn fn = server->on_closed;

    server->on_closed = NULL;
    list_remove(&server->link);
    if (fn)
        error = fn(server->on_closed_arg);
    weir_server_unref(server);
    return error;
}

struct server_wait {
    struct waiter waiter;
    struct list link;
};

static void finish_if_over(weir_server *server)
{
    if (!server->closed || server->count || server->over)
        return;
    server->over = true;
    weir_list_foreach(wait, &server->waits, struct server_wait, link)
        weir__wait_wake(&wait->waiter);
    weir__loop_ready(server->net->loop, &server->closed_job);
}

void weir__server_connection_lost(weir_server *server)
{
    server->count--;
    if (server->closed)
        finish_if_over(server);
    else
        update_accepting(server);
}

weir_error *weir_server_new_at(const weir_site *site, weir_loop *loop, int fd,
                               const weir_server_options *options, const weir_protocol *protocol,
                               const void *config, weir_server **ret)
{
    char name[ADDRESS_NAME_MAX];
    struct net *net;
    weir_server *server;
    int own;

    WEIR_TRY(weir__net_of(loop, &net));
    WEIR_TRY(weir_socket_name(fd, name, sizeof(name)));
    own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return weir_raise(errno, "serving %s", name);
    server = weir__calloc(1, sizeof(*server) + strlen(name) + 1);
    if (!server) {
        close(own);
        return weir_raise(WEIR_ENOMEM, "server");
    }
    memcpy(server->name, name, strlen(name) + 1);
    server->magic = SERVER_MAGIC;
    server->refs = 2;
    server->net = weir__net_ref(net);
    server->protocol = protocol;
    server->config = config;
    if (options)
        memcpy(&server->options, options,
               options->size && options->size < sizeof(*options) ? options->size
                                                                 : sizeof(*options));
    weir_tls_context_ref(server->options.tls);
    list_init(&server->transports);
    list_init(&server->waits);
    job_init(&server->closed_job, run_closed, site);
    weir__timer_init(&server->retry, retry_fired, site);
    server->reserve = -1;
    open_reserve(server);
    io_file_init(&server->file, &server_file_ops, own, site);
    list_append(&net->servers, &server->link);
    update_accepting(server);
    *ret = server;
    return NULL;
}

weir_error *weir_serve_at(const weir_site *site, weir_loop *loop, const char *address,
                          const weir_server_options *options, const weir_protocol *protocol,
                          const void *config, weir_server **ret)
{
    weir_server *server = NULL;
    weir_error *error;
    int fd;

    WEIR_TRY(weir_listen_socket(address, options, &fd));
    error = weir_server_new_at(site, loop, fd, options, protocol, config, &server);
    close(fd);
    if (!error)
        error = weir__server_own_path(server, address);
    if (error) {
        if (server) {
            weir_server_close(server);
            weir_server_unref(server);
        }
        return weir_error_trace(error, WEIR_HERE);
    }
    *ret = server;
    return NULL;
}

weir_error *weir__server_own_path(weir_server *server, const char *address)
{
    const char *path = address + strlen(UNIX_PREFIX);
    struct stat status;

    if (strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) != 0)
        return NULL;
    server->path = weir__strdup(path);
    if (!server->path)
        return weir_raise(WEIR_ENOMEM, "server");
    if (stat(path, &status) == 0) {
        server->path_device = status.st_dev;
        server->path_inode = status.st_ino;
    }
    return NULL;
}

static void remove_path(weir_server *server)
{
    struct stat status;

    if (server->path && lstat(server->path, &status) == 0 && status.st_dev == server->path_device &&
        status.st_ino == server->path_inode)
        unlink(server->path);
    weir__free(server->path);
    server->path = NULL;
}

static void stop(weir_server *server)
{
    struct io_backend *io = server->net->io;

    server->closed = true;
    weir__timer_stop(server->net->loop, &server->retry);
    remove_path(server);
    io->ops->close(io, &server->file, false);
    if (server->reserve >= 0)
        close(server->reserve);
    server->reserve = -1;
}

void weir_server_close(weir_server *server)
{
    weir_check(server, SERVER_MAGIC);
    if (server->closed)
        return;
    stop(server);
    finish_if_over(server);
}

void weir__server_leave(weir_server *server)
{
    if (!server->closed)
        stop(server);
    weir__job_cancel(&server->closed_job);
    list_remove(&server->link);
    server->over = true;
    weir_server_unref(server);
}

weir_server *weir_server_ref(weir_server *server)
{
    if (server) {
        weir_check(server, SERVER_MAGIC);
        server->refs++;
    }
    return server;
}

void weir_server_unref(weir_server *server)
{
    if (!server)
        return;
    weir_check(server, SERVER_MAGIC);
    if (--server->refs)
        return;
    weir_tls_context_unref(server->options.tls);
    weir__net_unref(server->net);
    weir_magic_clear(server);
    weir__free(server);
}

int weir_server_fd(const weir_server *server)
{
    weir_check(server, SERVER_MAGIC);
    return server->closed ? -1 : server->file.fd;
}

const char *weir_server_name(const weir_server *server)
{
    weir_check(server, SERVER_MAGIC);
    return server->name;
}

size_t weir_server_connections(const weir_server *server)
{
    weir_check(server, SERVER_MAGIC);
    return server->count;
}

/* Connections */

void weir_server_foreach(weir_server *server, void (*fn)(weir_transport *, void *), void *arg)
{
    weir_check(server, SERVER_MAGIC);
    weir_list_foreach_safe(t, &server->transports, weir_transport, link)
        fn(t, arg);
}

static void close_one(weir_transport *t, void *arg)
{
    (void)arg;
    weir_transport_close(t);
}

static void abort_one(weir_transport *t, void *arg)
{
    (void)arg;
    weir_transport_abort(t, NULL);
}

void weir_server_close_connections(weir_server *server)
{
    weir_server_foreach(server, close_one, NULL);
}

void weir_server_abort_connections(weir_server *server)
{
    weir_server_foreach(server, abort_one, NULL);
}

static bool forget_wait(struct waiter *waiter)
{
    struct server_wait *wait = container_of(waiter, struct server_wait, waiter);

    list_remove(&wait->link);
    return true;
}

weir_error *weir_server_wait_closed(weir_server *server)
{
    struct server_wait wait;
    weir_error *error;

    weir_check(server, SERVER_MAGIC);
    WEIR_TRY(weir__wait_check());
    if (server->over)
        return NULL;
    WEIR_TRY(weir__wait_begin(&wait.waiter));
    list_append(&server->waits, &wait.link);
    weir_server_ref(server);
    error = weir__wait(&wait.waiter, forget_wait);
    list_remove(&wait.link);
    weir_server_unref(server);
    return error;
}

void weir_server_on_closed(weir_server *server, weir_fn fn, void *arg)
{
    weir_check(server, SERVER_MAGIC);
    server->on_closed = fn;
    server->on_closed_arg = arg;
    if (server->over && !job_queued(&server->closed_job)) {
        weir_server_ref(server);
        weir__loop_ready(server->net->loop, &server->closed_job);
    }
}
