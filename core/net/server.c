/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers. Each accepted socket becomes a transport of the server's list; it ends with the last
 * connection, or when the loop closes over it. What accepting does is in server_accept.c.
 */
#include "config.h"

#include "core/net/server.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <weir/scope.h>

#include "core/base/alloc.h"
#include "core/base/backtrace.h"
#include "core/base/error.h"
#include "core/net/address.h"
#include "core/net/proxy_protocol.h"
#include "core/net/socket_options.h"
#include "core/net/tls.h"
#include "core/net/transport.h"

#define UNIX_PREFIX "unix:"

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
    weir__server_release(server);
    return error;
}

struct server_wait {
    struct waiter waiter;
    struct list link;
};

void weir__server_finish_if_over(weir_server *server)
{
    if (!server->closed || server->count || server->awaited || server->over)
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
        weir__server_finish_if_over(server);
    else
        weir__server_update_accepting(server);
}

/* Connections inherit them; of a socket that was handed in, as far as they can be set. */
static void apply_options(weir_server *server, int fd)
{
    weir_socket_options settings = weir__socket_options_of(server->options.socket);
    socklen_t length = sizeof(int);
    const char *what;
    int family = AF_UNSPEC;

    weir_tls_context_ref(server->options.tls);
    if (server->options.socket && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) == 0)
        (void)weir__socket_options_apply(fd, family, true, &settings, &what);
    server->nagle = settings.nagle;
    server->options.socket = NULL;
    if (server->options.proxy)
        memcpy(&server->proxy, server->options.proxy,
               server->options.proxy->size < sizeof(server->proxy) ? server->options.proxy->size
                                                                   : sizeof(server->proxy));
    server->options.proxy = NULL;
}

weir_error *weir_server_new_at(const weir_site *site, weir_loop *loop, int fd,
                               const weir_server_options *options, const weir_protocol *protocol,
                               const void *config, weir_server **ret)
{
    char name[ADDRESS_NAME_MAX];
    struct net *net;
    weir_server *server;
    weir_error *error;
    int own;

    WEIR_TRY(weir__loop_check_call(loop, __func__, site));
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
    server->holds = 1;
    if (weir_unlikely(weir__thread_debug))
        server->created = weir__backtrace_capture();
    server->net = weir__net_ref(net);
    server->protocol = protocol;
    server->config = config;
    if (options)
        memcpy(&server->options, options,
               options->size && options->size < sizeof(*options) ? options->size
                                                                 : sizeof(*options));
    error = weir__tls_limit_new(&server->options, &server->handshakes);
    if (error) {
        close(own);
        weir__backtrace_free(server->created);
        weir__net_unref(net);
        weir__free(server);
        return error;
    }
    apply_options(server, own);
    list_init(&server->transports);
    list_init(&server->waits);
    list_init(&server->awaiting);
    job_init(&server->closed_job, run_closed, site);
    weir__server_accept_init(server, own, site);
    list_append(&net->servers, &server->link);
    weir__server_update_accepting(server);
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

    WEIR_TRY(weir__loop_check_call(loop, __func__, site));
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
    struct address path;

    if (strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX)) != 0)
        return NULL;
    WEIR_TRY(weir__address_unix(address + strlen(UNIX_PREFIX), &path));
    WEIR_TRY(weir__unix_path_own(&server->path, &path));
    return NULL;
}

static void stop(weir_server *server)
{
    struct io_backend *io = server->net->io;

    server->closed = true;
    weir__server_say_hidden(server);
    weir__timer_stop(server->net->loop, &server->retry);
    weir__unix_path_remove(&server->path);
    io->ops->close(io, &server->file, false);
    if (server->reserve >= 0)
        close(server->reserve);
    server->reserve = -1;
}

void weir_server_close(weir_server *server)
{
    weir_check(server, SERVER_MAGIC);
    if (server->net->loop && !weir__loop_allows(server->net->loop))
        return;
    if (server->closed)
        return;
    if (server->options.reuse_port)
        weir__server_accept_waiting(server);
    stop(server);
    weir__server_finish_if_over(server);
}

void weir__server_leave(weir_server *server)
{
    weir__proxy_stop(server);
    if (!server->closed)
        stop(server);
    weir__job_cancel(&server->closed_job);
    list_remove(&server->link);
    server->over = true;
    weir__server_release(server);
}

weir_server *weir_server_ref(weir_server *server)
{
    if (!server)
        return NULL;
    weir_check(server, SERVER_MAGIC);
    if (server->net->loop && !weir__loop_allows(server->net->loop))
        return NULL;
    server->refs++;
    return server;
}

static void free_if_unused(weir_server *server)
{
    if (server->refs)
        return;
    weir_tls_context_unref(server->options.tls);
    weir__free(server->handshakes);
    weir__backtrace_free(server->created);
    weir__net_unref(server->net);
    weir_magic_clear(server);
    weir__free(server);
}

weir_server *weir__server_hold(weir_server *server)
{
    server->refs++;
    server->holds++;
    return server;
}

void weir__server_release(weir_server *server)
{
    if (!server)
        return;
    weir_check(server, SERVER_MAGIC);
    server->refs--;
    server->holds--;
    free_if_unused(server);
}

/* Nobody can close it any more. */
static void dropped_unclosed(weir_server *server)
{
    weir__server_warn_unclosed(server);
    weir_server_abort_connections(server);
    weir_server_close(server);
}

static void drop_server(void *server)
{
    weir_server_unref(server);
}

static weir_error *release_server(void *server)
{
    weir_server_unref(server);
    return NULL;
}

void weir_server_unref(weir_server *server)
{
    if (!server)
        return;
    weir_check(server, SERVER_MAGIC);
    if (server->net->loop && server->net->loop != weir__thread_loop) {
        weir__net_release_elsewhere(server->net, release_server, drop_server, server);
        return;
    }
    if (server->refs - 1 == server->holds && !server->closed)
        dropped_unclosed(server);
    server->refs--;
    free_if_unused(server);
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
    if (server->net->loop && !weir__loop_allows(server->net->loop))
        return;
    weir_list_foreach_safe(t, &server->transports, weir_transport, link)
        fn(t, arg);
}

static bool allows(const weir_server *server)
{
    weir_check(server, SERVER_MAGIC);
    return server->net->loop == weir__thread_loop;
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
    if (allows(server))
        weir__proxy_stop(server);
    weir_server_foreach(server, close_one, NULL);
}

void weir_server_abort_connections(weir_server *server)
{
    if (allows(server))
        weir__proxy_stop(server);
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
    if (server->net->loop)
        WEIR_TRY(weir__loop_check_thread(server->net->loop));
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

weir_error *weir_server_shutdown(weir_server *server, weir_duration grace)
{
    weir_error *error;

    weir_check(server, SERVER_MAGIC);
    if (server->net->loop)
        WEIR_TRY(weir__loop_check_thread(server->net->loop));
    weir_server_close(server);
    {
        WEIR_TIMEOUT(patience, grace);

        error = weir_server_wait_closed(server);
        if (!error || !weir_timeout_expired(&patience))
            return error;
    }
    weir_ignore(error);
    weir_server_abort_connections(server);
    return weir_server_wait_closed(server);
}

void weir_server_on_closed(weir_server *server, weir_fn fn, void *arg)
{
    weir_check(server, SERVER_MAGIC);
    if (server->net->loop && !weir__loop_allows(server->net->loop))
        return;
    server->on_closed = fn;
    server->on_closed_arg = arg;
    if (server->over && !job_queued(&server->closed_job)) {
        (void)weir__server_hold(server);
        weir__loop_ready(server->net->loop, &server->closed_job);
    }
}
