/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listeners of datagrams. Each loop has a socket of its own at the same address (SO_REUSEPORT): the
 * kernel sends a client's datagrams always to the same one, so that what is known of a client belongs to
 * one loop. A socket that was handed in is alone, and the first loop's.
 *
 * The first socket is bound before it says that it shares its address: so an address that somebody else
 * has, even one who would share it, is reported as taken.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/listener/listener.h"

static int share(int fd)
{
    int on = 1;

    return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0 ? 0 : errno;
}

static bool is_any6(const struct sockaddr *address)
{
    return address->sa_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

/* "*" hears both families, "[::]" its own. */
static weir_error *open_socket(const char *text, const weir_address *address, bool shared,
                               int *ret_fd)
{
    const struct sockaddr *any = weir_address_sockaddr(address);
    int fd = socket(any->sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), code = 0;
    int v6_only = *text == '[';

    if (fd < 0)
        return weir_raise(errno, "cannot open a socket");
    if (is_any6(any) &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only) != 0)
        code = errno;
    if (!code && shared)
        code = share(fd);
    if (!code && bind(fd, any, address->length) != 0)
        code = errno;
    if (!code && !shared)
        code = share(fd);
    if (code) {
        close(fd);
        return weir_raise(code, "cannot bind %s", text);
    }
    *ret_fd = fd;
    return NULL;
}

/* With the port that the kernel chose. */
static weir_error *bound_to(int fd, weir_address *ret)
{
    socklen_t length = sizeof ret->bytes;

    memset(ret, 0, sizeof *ret);
    if (getsockname(fd, (struct sockaddr *)(void *)ret->bytes, &length) != 0)
        return weir_raise(errno, "a socket has no name");
    ret->length = length;
    return NULL;
}

static weir_error *bind_all(struct bound_address *address, const char *text, unsigned n_loops)
{
    weir_address where;

    WEIR_TRY(weir_address_parse(text, &where));
    WEIR_TRY(open_socket(text, &where, false, &address->fd));
    WEIR_TRY(bound_to(address->fd, &where));
    weir_address_text(&where, address->name, sizeof address->name);
    address->more = calloc(n_loops, sizeof *address->more);
    if (!address->more)
        return weir_raise(WEIR_ENOMEM, "sockets");
    while (address->n_more + 1 < n_loops) {
        WEIR_TRY(open_socket(text, &where, true, &address->more[address->n_more]));
        address->n_more++;
    }
    return NULL;
}

static bool is_datagram(int fd)
{
    socklen_t length = sizeof(int);
    int type = 0;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_DGRAM;
}

/* The one of that name, or the descriptor; a duplicate. */
static weir_error *take_handed(struct bound_address *address, const char *text)
{
    int fds[64], found = -1;
    size_t count = 0;

    if (strncmp(text, "systemd:", 8) == 0) {
        WEIR_TRY(weir_inherited_sockets(text + 8, fds, sizeof fds / sizeof *fds, &count));
        for (size_t i = 0; found < 0 && i < count && i < sizeof fds / sizeof *fds; i++)
            found = is_datagram(fds[i]) ? fds[i] : -1;
    } else {
        found = atoi(text + 3);
    }
    if (!is_datagram(found))
        return weir_raise(WEIR_EINVAL, "%s is no datagram socket", text);
    address->fd = fcntl(found, F_DUPFD_CLOEXEC, 3);
    if (address->fd < 0)
        return weir_raise(errno, "cannot take %s", text);
    address->inherited = true;
    return weir_socket_name(address->fd, address->name, sizeof address->name);
}

weir_error *weir__datagrams_bind(weir_listener *listener, size_t index, const char *text)
{
    struct bound_address *address = &listener->addresses[index];
    weir_error *error;

    if (strncmp(text, "unix:", 5) == 0)
        return weir_raise(WEIR_EUNSUPPORTED, "datagrams of Unix sockets are not listened for");
    if (strncmp(text, "systemd:", 8) == 0 || strncmp(text, "fd:", 3) == 0)
        return take_handed(address, text);
    error = bind_all(address, text, listener->n_loops);
    if (error)
        weir__address_close(address);
    return error;
}

weir_error *weir__datagrams_serve(weir_listener *listener, size_t index, struct traffic *traffic)
{
    struct bound_address *address = &listener->addresses[index];
    weir_datagram_options options = {WEIR_SIZED(weir_datagram_options), .tell_local = true};
    unsigned i = traffic->index;
    int fd = i == 0 ? address->fd : i <= address->n_more ? address->more[i - 1] : -1, own;
    weir_error *error;

    if (fd < 0)
        return NULL;
    own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (own < 0)
        return weir_raise(errno, "listening on %s", address->name);
    error = weir_datagram_of_fd(traffic->loop, own, &options, listener->protocol->datagram, NULL,
                                &listener->uses[i].datagrams[index]);
    if (error) {
        close(own);
        return error;
    }
    weir_datagram_set_context(listener->uses[i].datagrams[index], listener->slot);
    return NULL;
}

void weir__datagrams_close(weir_listener *listener, struct traffic *traffic)
{
    for (size_t i = 0; i < listener->n_addresses; i++) {
        weir_datagram *socket = WEIR_TAKE(listener->uses[traffic->index].datagrams[i]);

        if (!socket)
            continue;
        weir_datagram_close(socket);
        weir_datagram_unref(socket);
    }
}

/* What protocols see. */

weir_listener *weir_listener_acquire_socket(weir_datagram *socket)
{
    struct slot *slot = weir_datagram_context(socket);
    struct traffic *traffic = weir__traffic();
    weir_listener *listener = slot && traffic ? slot->loops[traffic->index].current : NULL;

    if (listener)
        listener->uses[traffic->index].count++;
    return listener;
}
