/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for PROXY headers. A trusted peer's descriptor is polled; what can be read is looked at
 * first (MSG_PEEK), and only bytes of the header are taken out: what follows belongs to TLS or the
 * protocol, whose transport is made when the header is complete.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/net/proxy_protocol.h"
#include "core/net/transport.h"

#define PROXY_TIMEOUT WEIR_S(10)

struct proxy_wait {
    struct list link; /* the server's */
    weir_server *server;
    struct io_file file;
    struct timer limit;
    weir_address peer;
    size_t len; /* of the header, taken out so far */
    char bytes[WEIR_PROXY_READ_MAX];
};

static void wait_free(struct proxy_wait *wait, bool keep_fd)
{
    weir_server *server = wait->server;
    struct io_backend *io = server->net->io;

    list_remove(&wait->link);
    server->awaited--;
    weir__timer_stop(server->net->loop, &wait->limit);
    io->ops->close(io, &wait->file, keep_fd);
    weir__free(wait);
    if (server->closed)
        weir__server_finish_if_over(server);
    else
        weir__server_update_accepting(server);
}

static void give_up(struct proxy_wait *wait, weir_error *take_error)
{
    char name[WEIR_ADDRESS_TEXT_SIZE];

    weir_address_text(&wait->peer, name, sizeof(name));
    weir__server_log_failure(wait->server, WEIR_LOG_INFO, take_error, "no PROXY header from", name);
    wait_free(wait, false);
}

static weir_error *limit_fired(struct job *job)
{
    give_up(container_of(job, struct proxy_wait, limit.job),
            WEIR_RAISE_FAST(WEIR_ETIMEDOUT, "the PROXY header is late"));
    return NULL;
}

static struct proxy_info *info_of(const struct proxy_wait *wait, size_t length)
{
    struct proxy_info *info = weir__malloc(sizeof(*info) + length);
    size_t again = 0;

    if (!info)
        return NULL;
    memcpy(info->bytes, wait->bytes, length);
    /* Once more, so that its slices point at memory that stays. */
    weir_ignore(weir_proxy_parse(weir_slice_of(info->bytes, length), &info->header, &again));
    return info;
}

static void finish(struct proxy_wait *wait, const weir_proxy_header *header, size_t length)
{
    weir_server *server = weir__server_hold(wait->server);
    const weir_address *peer = header->source.length ? &header->source : &wait->peer;
    weir_address client = *peer;
    struct proxy_info *info = info_of(wait, length);
    int fd = wait->file.fd;

    wait_free(wait, true);
    if (info)
        weir__server_take(server, fd, weir_address_sockaddr(&client), client.length, info);
    else
        close(fd);
    weir__server_release(server);
}

/* Takes out what is known to be of the header. */
static bool take_out(struct proxy_wait *wait, size_t n)
{
    ssize_t got;

    do {
        got = recv(wait->file.fd, wait->bytes + wait->len, n, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got != (ssize_t)n)
        return false;
    wait->len += n;
    return true;
}

static void on_polled(struct io_file *file, unsigned events)
{
    struct proxy_wait *wait = container_of(file, struct proxy_wait, file);
    weir_proxy_header header;
    size_t length = 0;
    weir_error *error;
    ssize_t n;

    (void)events;
    n = recv(file->fd, wait->bytes + wait->len, sizeof(wait->bytes) - wait->len,
             MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        give_up(wait, n ? weir__raise_errno(errno, "receive")
                        : WEIR_RAISE_FAST(WEIR_EEOF, "the peer left"));
        return;
    }
    error = weir_proxy_parse(weir_slice_of(wait->bytes, wait->len + (size_t)n), &header, &length);
    if (!error && !take_out(wait, length ? length - wait->len : (size_t)n))
        error = WEIR_RAISE_FAST(WEIR_EPROTOCOL, "the PROXY header cannot be read");
    if (error)
        give_up(wait, error);
    else if (length)
        finish(wait, &header, length);
}

static const struct io_file_ops wait_ops = {.polled = on_polled};

static bool is_trusted(const weir_server *server, const weir_address *peer)
{
    const struct sockaddr *address = weir_address_sockaddr(peer);

    if (!address || address->sa_family == AF_UNIX)
        return server->proxy.trust_unix;
    for (size_t i = 0; i < server->proxy.n_trusted; i++) {
        if (weir_network_contains(&server->proxy.trusted[i], peer))
            return true;
    }
    return false;
}

static weir_error *begin(struct proxy_wait *wait)
{
    weir_server *server = wait->server;
    weir_duration timeout = server->proxy.timeout.ns > 0 ? server->proxy.timeout : PROXY_TIMEOUT;
    weir_loop *loop = server->net->loop;

    if (!weir_is_forever(timeout))
        WEIR_TRY(weir__timer_start(loop, &wait->limit,
                                   weir_instant_after(weir_loop_time(loop), timeout)));
    WEIR_TRY(server->net->io->ops->poll(server->net->io, &wait->file, POLLIN));
    return NULL;
}

bool weir__proxy_awaits(weir_server *server, int fd, const struct sockaddr *peer, socklen_t length)
{
    struct proxy_wait *wait;
    weir_address address;
    weir_error *error;

    weir__address_set(&address, peer, length);
    if (!is_trusted(server, &address))
        return false;
    wait = weir__calloc(1, sizeof(*wait));
    if (!wait) {
        close(fd);
        return true;
    }
    wait->server = server;
    wait->peer = address;
    weir__timer_init(&wait->limit, limit_fired, server->file.site);
    io_file_init(&wait->file, &wait_ops, fd, server->file.site);
    list_append(&server->awaiting, &wait->link);
    server->awaited++;
    error = begin(wait);
    if (error)
        give_up(wait, error);
    return true;
}

void weir__proxy_stop(weir_server *server)
{
    weir_list_foreach_safe(wait, &server->awaiting, struct proxy_wait, link)
        wait_free(wait, false);
}

/* Of a name that is none (an unnamed Unix socket): no address. */
static weir_address named(const char *name)
{
    weir_address address = {.length = 0};
    weir_error *error = weir_address_parse(name, &address);

    weir_ignore(error);
    return address;
}

weir_error *weir_proxy_introduce(weir_transport *server, weir_proxy_version version,
                                 weir_transport *client)
{
    const weir_proxy_header *heard = weir_transport_proxy_header(client);
    weir_address from = named(weir_transport_peer_name(client));
    weir_address to = named(weir_transport_local_name(client));
    char header[WEIR_PROXY_WRITE_MAX];
    size_t n = 0;

    if (heard && heard->destination.length)
        to = heard->destination;
    WEIR_TRY(weir_proxy_write(version, &from, &to, header, sizeof(header), &n));
    WEIR_TRY(weir_transport_write(server, weir_slice_of(header, n)));
    return NULL;
}

const weir_proxy_header *weir_transport_proxy_header(const weir_transport *t)
{
    weir_check(t, TRANSPORT_MAGIC);
    return t->extra && t->extra->proxy ? &t->extra->proxy->header : NULL;
}
