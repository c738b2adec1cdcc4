/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of datagram sockets. They are polled rather than handed to the backend's receive and send:
 * a datagram needs its peer and its boundaries, which a stream's operations do not have, and one
 * recvmmsg for up to 32 of them costs less than a completion each; so both backends do the same.
 *
 *     OPEN ──> CLOSING (flushes) ──> LOST (descriptor closed) ──> DEAD (connection_lost was called)
 */
#include "config.h"

#include "core/net/datagram.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/backtrace.h"

#define FLUSH_LIMIT WEIR_S(60)

/* The end */

static weir_error *run_lost(struct job *job)
{
    weir_datagram *d = container_of(job, weir_datagram, job);

    d->status = DATAGRAM_DEAD;
    list_remove(&d->link);
    if (d->made && d->protocol && d->protocol->connection_lost)
        d->protocol->connection_lost(d, d->state, d->reason);
    if (d->reason && d->made && d->protocol && !weir__net_is_quiet(d->reason)) {
        char repr[WEIR_ADDRESS_TEXT_SIZE * 3];

        weir_datagram_repr(d, repr, sizeof(repr));
        weir_log_error(d->net->logger, WEIR_LOG_ERROR, weir_error_ref(d->reason), "%s: %s failed",
                       d->protocol->name ? d->protocol->name : "datagram", repr);
    }
    weir__datagram_release(d);
    return NULL;
}

static void shut_down(weir_datagram *d)
{
    struct io_backend *io = d->net->io;

    io->ops->close(io, &d->file, false);
    weir__timer_stop(d->net->loop, &d->limit);
    weir__datagram_queue_drop(d);
    list_remove(&d->corked);
    weir__unix_path_remove(&d->path);
}

void weir__datagram_lose(weir_datagram *d, weir_error *take_reason)
{
    if (d->status >= DATAGRAM_LOST) {
        weir_ignore(take_reason);
        return;
    }
    d->status = DATAGRAM_LOST;
    d->reason = take_reason;
    shut_down(d);
    weir__datagram_wake_reader(d);
    weir__datagram_wake_writers(d);
    weir__loop_ready(d->net->loop, &d->job);
}

void weir__datagram_leave(weir_datagram *d)
{
    weir__job_cancel(&d->job);
    if (d->status < DATAGRAM_LOST)
        shut_down(d);
    d->status = DATAGRAM_DEAD;
    list_remove(&d->link);
    weir__datagram_release(d);
}

static weir_error *limit_fired(struct job *job)
{
    weir__datagram_lose(container_of(job, weir_datagram, limit.job),
                        weir_raise(WEIR_ETIMEDOUT, "what was queued could not be sent"));
    return NULL;
}

#define datagram_allows(d) (!(d)->net->loop || weir__loop_allows((d)->net->loop))

void weir_datagram_close(weir_datagram *d)
{
    weir_check(d, DATAGRAM_MAGIC);
    if (!datagram_allows(d) || d->status != DATAGRAM_OPEN)
        return;
    if (!d->queue) {
        weir__datagram_lose(d, NULL);
        return;
    }
    d->status = DATAGRAM_CLOSING;
    weir__datagram_update_poll(d);
    weir_ignore(weir__timer_start(d->net->loop, &d->limit,
                                  weir_instant_after(weir_loop_time(d->net->loop), FLUSH_LIMIT)));
}

void weir_datagram_abort(weir_datagram *d, weir_error *take_reason)
{
    weir_check(d, DATAGRAM_MAGIC);
    if (!datagram_allows(d))
        weir_ignore(take_reason);
    else
        weir__datagram_lose(d, take_reason);
}

bool weir_datagram_is_closing(const weir_datagram *d)
{
    weir_check(d, DATAGRAM_MAGIC);
    return d->status != DATAGRAM_OPEN;
}

void weir__datagram_error(weir_datagram *d, weir_error *take_error)
{
    if (!d->protocol) {
        if (d->failure)
            weir_ignore(d->failure);
        d->failure = take_error;
        weir__datagram_wake_reader(d);
        return;
    }
    if (d->protocol->error_received)
        d->protocol->error_received(d, d->state, take_error);
    weir_ignore(take_error);
}

/* References */

static void free_if_unused(weir_datagram *d)
{
    if (d->refs)
        return;
    weir_assert(d->status == DATAGRAM_DEAD);
    weir_ignore(d->reason);
    weir_ignore(d->failure);
    weir__backtrace_free(d->created);
    weir__net_unref(d->net);
    weir_magic_clear(d);
    weir__free(d);
}

void weir__datagram_release(weir_datagram *d)
{
    d->refs--;
    d->holds--;
    free_if_unused(d);
}

weir_datagram *weir_datagram_ref(weir_datagram *d)
{
    if (!d)
        return NULL;
    weir_check(d, DATAGRAM_MAGIC);
    if (!datagram_allows(d))
        return NULL;
    d->refs++;
    return d;
}

static void drop_datagram(void *d)
{
    weir_datagram_unref(d);
}

static weir_error *release_datagram(void *d)
{
    weir_datagram_unref(d);
    return NULL;
}

void weir_datagram_unref(weir_datagram *d)
{
    if (!d)
        return;
    weir_check(d, DATAGRAM_MAGIC);
    if (d->net->loop && d->net->loop != weir__thread_loop) {
        weir__net_release_elsewhere(d->net, release_datagram, drop_datagram, d);
        return;
    }
    /* Nobody could close it any more. */
    if (d->refs - 1 == d->holds && d->status == DATAGRAM_OPEN) {
        weir__datagram_warn_unclosed(d);
        weir__datagram_lose(d, NULL);
    }
    d->refs--;
    free_if_unused(d);
}

/* Opening */

static int set_int(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : errno;
}

static bool is_any6(const struct address *address)
{
    return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr);
}

/* 0 or errno. */
static int set_options(int fd, const struct address *local, const weir_datagram_options *options)
{
    int code = 0;

    if (options->reuse_port)
        code = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (!code && options->broadcast)
        code = set_int(fd, SOL_SOCKET, SO_BROADCAST, 1);
    if (!code && options->receive_buffer)
        code = set_int(fd, SOL_SOCKET, SO_RCVBUF, options->receive_buffer);
    if (!code && options->send_buffer)
        code = set_int(fd, SOL_SOCKET, SO_SNDBUF, options->send_buffer);
    if (!code && options->tell_local)
        code = weir__datagram_tell_local(fd);
    if (!code && is_any6(local))
        code = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->v6_only);
    return code;
}

static int bind_local(int fd, const struct address *local, int family)
{
    struct sockaddr unnamed = {.sa_family = AF_UNIX};

    if (local->length && family == AF_UNIX)
        return weir__unix_bind(fd, local, SOCK_DGRAM, 0);
    if (local->length)
        return bind(fd, &local->any, local->length) == 0 ? 0 : errno;
    /* A name of the kernel's choice, to which the other side can answer. */
    if (family == AF_UNIX)
        return bind(fd, &unnamed, sizeof(sa_family_t)) == 0 ? 0 : errno;
    return 0;
}

static weir_error *open_error(int code, const char *local, const char *remote)
{
    return weir_raise(code, "datagram socket %s%s%s: %s", local ? local : "", remote ? " to " : "",
                      remote ? remote : "", weir_code_text(code));
}

static weir_error *open_socket(const char *local_text, const char *remote_text,
                               const weir_datagram_options *options, struct address *local,
                               int *ret_fd)
{
    struct address remote = {0};
    int family, fd, code;

    if (!local_text && !remote_text)
        return weir_raise(WEIR_EINVAL, "a datagram socket needs a local or a remote address");
    if (local_text)
        WEIR_TRY(weir__address_parse(local_text, local));
    if (remote_text)
        WEIR_TRY(weir__address_parse(remote_text, &remote));
    if (local_text && remote_text && local->any.sa_family != remote.any.sa_family)
        return weir_raise(WEIR_EINVAL, "%s and %s are of different families", local_text,
                          remote_text);
    family = local_text ? local->any.sa_family : remote.any.sa_family;
    fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return open_error(errno, local_text, remote_text);
    code = set_options(fd, local, options);
    if (!code)
        code = bind_local(fd, local, family);
    if (!code && remote_text && connect(fd, &remote.any, remote.length) != 0)
        code = errno;
    if (code) {
        close(fd);
        return open_error(code, local_text, remote_text);
    }
    *ret_fd = fd;
    return NULL;
}

static void get_names(weir_datagram *d)
{
    struct address address = {.length = sizeof(address.un)};

    if (getsockname(d->file.fd, &address.any, &address.length) == 0)
        weir__address_set(&d->local, &address.any, address.length);
    address.length = sizeof(address.un);
    if (getpeername(d->file.fd, &address.any, &address.length) != 0)
        return;
    d->connected = true;
    weir__address_set(&d->remote, &address.any, address.length);
}

static weir_datagram *datagram_new(const weir_site *site, struct net *net, int fd,
                                   const weir_datagram_options *options,
                                   const weir_datagram_protocol *protocol)
{
    weir_datagram *d = weir__calloc(1, sizeof(*d) + (protocol ? protocol->state_size : 0));

    if (!d)
        return NULL;
    d->magic = DATAGRAM_MAGIC;
    d->refs = 2;
    d->holds = 1;
    d->net = weir__net_ref(net);
    d->protocol = protocol;
    d->max_size =
        options->max_size && options->max_size < DATAGRAM_ROOM ? options->max_size : DATAGRAM_ROOM;
    d->tells_local = options->tell_local;
    d->high = DATAGRAM_HIGH_DEFAULT;
    d->low = DATAGRAM_HIGH_DEFAULT / 4;
    d->hard = DATAGRAM_HARD_DEFAULT;
    d->queue_end = &d->queue;
    list_init(&d->corked);
    list_init(&d->writers);
    job_init(&d->job, run_lost, site);
    weir__timer_init(&d->limit, limit_fired, site);
    io_file_init(&d->file, &weir__datagram_file_ops, fd, site);
    get_names(d);
    if (weir_unlikely(weir__thread_debug))
        d->created = weir__backtrace_capture();
    return d;
}

/* From here on nothing fails; what the protocol says comes by connection_lost. */
static void begin(weir_datagram *d, const void *config)
{
    weir_error *error = NULL;

    d->config = config;
    d->made = true;
    list_append(&d->net->datagrams, &d->link);
    if (d->protocol && d->protocol->connection_made)
        error = d->protocol->connection_made(d, d->state, config);
    if (error)
        weir__datagram_lose(d, error);
    else
        weir__datagram_update_poll(d);
}

static weir_error *make(const weir_site *site, struct net *net, int fd,
                        const weir_datagram_options *options,
                        const weir_datagram_protocol *protocol, const void *config,
                        const struct address *local, weir_datagram **ret)
{
    struct io_backend *io = net->io;
    weir_datagram *d = datagram_new(site, net, fd, options, protocol);
    weir_error *error = NULL;

    if (!d)
        return weir_raise(WEIR_ENOMEM, "datagram socket");
    if (local)
        error = weir__unix_path_own(&d->path, local);
    /* Tried here, so that it need not be able to fail later. */
    if (!error)
        error = io->ops->poll(io, &d->file, POLLIN);
    if (error) {
        d->status = DATAGRAM_DEAD;
        d->refs = 0;
        weir__unix_path_remove(&d->path);
        list_init(&d->link);
        free_if_unused(d);
        return error;
    }
    begin(d, config);
    *ret = d;
    return NULL;
}

static weir_datagram_options options_of(const weir_datagram_options *given)
{
    weir_datagram_options options = {WEIR_SIZED(weir_datagram_options)};

    if (given)
        memcpy(&options, given,
               given->size && given->size < sizeof(options) ? given->size : sizeof(options));
    return options;
}

weir_error *weir_datagram_open_at(const weir_site *site, weir_loop *loop, const char *local,
                                  const char *remote, const weir_datagram_options *given,
                                  const weir_datagram_protocol *protocol, const void *config,
                                  weir_datagram **ret)
{
    weir_datagram_options options = options_of(given);
    struct datagram_batch *batch;
    struct address address = {0};
    weir_error *error;
    struct net *net;
    int fd = -1;

    WEIR_TRY(weir__loop_check_call(loop, __func__, site));
    WEIR_TRY(weir__net_of(loop, &net));
    WEIR_TRY(weir__datagram_batch_of(net, &batch));
    WEIR_TRY(open_socket(local, remote, &options, &address, &fd));
    error = make(site, net, fd, &options, protocol, config, &address, ret);
    if (!error)
        return NULL;
    if (address.any.sa_family == AF_UNIX && address.un.sun_path[0])
        (void)unlink(address.un.sun_path);
    close(fd);
    return weir_error_trace(error, WEIR_HERE);
}

/* A socket that was made by somebody else has its options already. */
static const char *superfluous(const weir_datagram_options *options)
{
    if (options->reuse_port)
        return "reuse_port";
    if (options->broadcast)
        return "broadcast";
    if (options->v6_only)
        return "v6_only";
    if (options->receive_buffer)
        return "receive_buffer";
    return options->send_buffer ? "send_buffer" : NULL;
}

weir_error *weir_datagram_of_fd_at(const weir_site *site, weir_loop *loop, int fd,
                                   const weir_datagram_options *given,
                                   const weir_datagram_protocol *protocol, const void *config,
                                   weir_datagram **ret)
{
    weir_datagram_options options = options_of(given);
    struct datagram_batch *batch;
    socklen_t length = sizeof(int);
    struct net *net;
    int type = 0;

    WEIR_TRY(weir__loop_check_call(loop, __func__, site));
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0)
        return weir_raise(errno, "descriptor %d", fd);
    if (type != SOCK_DGRAM)
        return weir_raise(WEIR_EINVAL, "descriptor %d is no datagram socket", fd);
    if (superfluous(&options))
        return weir_raise(WEIR_EINVAL, "%s is an option of sockets that are opened here",
                          superfluous(&options));
    type = options.tell_local ? weir__datagram_tell_local(fd) : 0;
    if (type)
        return weir_raise(type, "descriptor %d", fd);
    WEIR_TRY(weir__net_of(loop, &net));
    WEIR_TRY(weir__datagram_batch_of(net, &batch));
    return make(site, net, fd, &options, protocol, config, NULL, ret);
}

/* Asking */

weir_loop *weir_datagram_loop(const weir_datagram *d)
{
    weir_check(d, DATAGRAM_MAGIC);
    return d->net->loop;
}

const weir_address *weir_datagram_local_address(const weir_datagram *d)
{
    weir_check(d, DATAGRAM_MAGIC);
    return &d->local;
}

const weir_address *weir_datagram_remote_address(const weir_datagram *d)
{
    weir_check(d, DATAGRAM_MAGIC);
    return &d->remote;
}

void *weir_datagram_state(const weir_datagram *d)
{
    weir_check(d, DATAGRAM_MAGIC);
    return (void *)(uintptr_t)d->state;
}

void weir_datagram_set_context(weir_datagram *d, void *context)
{
    weir_check(d, DATAGRAM_MAGIC);
    d->context = context;
}

void *weir_datagram_context(const weir_datagram *d)
{
    weir_check(d, DATAGRAM_MAGIC);
    return d->context;
}

const void *weir_datagram_config(const weir_datagram *d)
{
    weir_check(d, DATAGRAM_MAGIC);
    return d->config;
}
