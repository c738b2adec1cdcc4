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
#include <limits.h>
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
           IN6_IS_ADDR_UNSPECIFIED(
               &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
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
    if (is_any6(any) && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only) != 0)
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

static weir_error *bind_all(struct bound_socket *address, const char *text, unsigned n_loops)
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
static weir_error *take_handed(struct bound_socket *address, const char *text)
{
    int fds[64], found = -1;
    size_t count = 0;

    if (strncmp(text, "systemd:", 8) == 0) {
        WEIR_TRY(weir_inherited_sockets(text + 8, fds, sizeof fds / sizeof *fds, &count));
        for (size_t i = 0; found < 0 && i < count && i < sizeof fds / sizeof *fds; i++)
            found = is_datagram(fds[i]) ? fds[i] : -1;
    } else {
        char *end;
        long number = strtol(text + 3, &end, 10);

        found = end > text + 3 && !*end && number >= 0 && number <= INT_MAX ? (int)number : -1;
    }
    if (!is_datagram(found))
        return weir_raise(WEIR_EINVAL, "%s is no datagram socket", text);
    address->fd = fcntl(found, F_DUPFD_CLOEXEC, 3);
    if (address->fd < 0)
        return weir_raise(errno, "cannot take %s", text);
    address->inherited = true;
    return weir_socket_name(address->fd, address->name, sizeof address->name);
}

weir_error *weir__datagrams_bind(struct bound_socket *socket, const weir_listener *listener)
{
    const char *text = socket->text;
    weir_error *error;

    socket->datagram = true;
    if (strncmp(text, "unix:", 5) == 0)
        return weir_raise(WEIR_EUNSUPPORTED, "datagrams of Unix sockets are not listened for");
    if (strncmp(text, "systemd:", 8) == 0 || strncmp(text, "fd:", 3) == 0)
        return take_handed(socket, text);
    error = bind_all(socket, text, listener->n_loops);
    if (error)
        weir__socket_close(socket);
    return error;
}

/* A socket on its loop. */
struct datagram_socket {
    struct hlist link; /* in slot_loop->datagrams */
    weir_datagram *socket;
    const weir_datagram_protocol *protocol;
    char name[sizeof((struct bound_socket *)0)->name];
};

static void close_socket(struct datagram_socket *open)
{
    hlist_remove(&open->link);
    weir_datagram_abort(open->socket, NULL);
    weir_datagram_unref(open->socket);
    free(open);
}

static struct datagram_socket *find_socket(const weir_listener *listener, struct slot_loop *local,
                                           const char *name)
{
    for (struct hlist *at = local->datagrams.next; at != &local->datagrams; at = at->next) {
        struct datagram_socket *open = HLIST_ENTRY(at, struct datagram_socket, link);

        if (open->protocol == listener->protocol->datagram && !strcmp(open->name, name))
            return open;
    }
    return NULL;
}

static weir_error *open_on(weir_listener *listener, const struct bound_socket *address,
                           struct traffic *traffic, struct slot_loop *local)
{
    weir_datagram_options options = {WEIR_SIZED(weir_datagram_options), .tell_local = true};
    unsigned i = traffic->index;
    int fd = i == 0 ? address->fd : i <= address->n_more ? address->more[i - 1] : -1, own;
    struct datagram_socket *open;
    weir_error *error;

    if (fd < 0)
        return NULL;
    open = calloc(1, sizeof *open);
    if (!open)
        return weir_raise(WEIR_ENOMEM, "listening on %s", address->name);
    own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    error = own < 0 ? weir_raise(errno, "listening on %s", address->name) : NULL;
    open->protocol = listener->protocol->datagram;
    memcpy(open->name, address->name, sizeof open->name);
    if (!error)
        error =
            weir_datagram_of_fd(traffic->loop, own, &options, open->protocol, NULL, &open->socket);
    if (error) {
        if (own >= 0)
            close(own);
        free(open);
        return error;
    }
    weir_datagram_set_context(open->socket, listener->slot);
    hlist_append(&local->datagrams, &open->link);
    return NULL;
}

static bool has_address(const weir_listener *listener, const struct datagram_socket *open)
{
    for (size_t i = 0; i < listener->n_addresses; i++)
        if (open->protocol == listener->protocol->datagram &&
            !strcmp(weir__address_name(&listener->addresses[i]), open->name))
            return true;
    return false;
}

weir_error *weir__datagrams_serve(weir_listener *listener, struct traffic *traffic)
{
    struct slot_loop *local = &listener->slot->loops[traffic->index];
    struct hlist *at = local->datagrams.next;

    while (at != &local->datagrams) {
        struct datagram_socket *open = HLIST_ENTRY(at, struct datagram_socket, link);

        at = at->next;
        if (!has_address(listener, open))
            close_socket(open);
    }
    for (size_t i = 0; i < listener->n_addresses; i++)
        if (!find_socket(listener, local, weir__address_name(&listener->addresses[i])))
            WEIR_TRY(open_on(listener, listener->addresses[i].socket, traffic, local));
    return NULL;
}

bool weir__datagrams_close(struct slot *slot, struct traffic *traffic)
{
    struct slot_loop *local = &slot->loops[traffic->index];
    bool any = !hlist_empty(&local->datagrams);

    while (!hlist_empty(&local->datagrams))
        close_socket(HLIST_ENTRY(local->datagrams.next, struct datagram_socket, link));
    return any;
}

/* What protocols see. */

weir_listener *weir_listener_acquire_socket(weir_datagram *socket)
{
    struct slot *slot = weir_datagram_context(socket);
    struct traffic *traffic = weir__traffic();
    weir_listener *listener = slot && traffic ? slot->loops[traffic->index].current : NULL;

    if (listener)
        weir__listener_use(listener, traffic->index);
    return listener;
}

weir_error *weir_listener_session_begins(weir_listener *listener)
{
    struct traffic *traffic = weir__traffic();
    struct slot_loop *local = &listener->slot->loops[traffic->index];

    WEIR_TRY(weir__slot_admit(listener->slot, local));
    HOST_COUNT(local->counters.accepted, 1);
    HOST_COUNT(local->counters.open, 1);
    return NULL;
}

void weir_listener_session_ends(weir_listener *listener, uint64_t bytes_in, uint64_t bytes_out)
{
    struct traffic *traffic = weir__traffic();
    struct listener_counters *counters = &listener->slot->loops[traffic->index].counters;

    HOST_COUNT(counters->open, -1);
    HOST_COUNT(counters->bytes_in, bytes_in);
    HOST_COUNT(counters->bytes_out, bytes_out);
    __atomic_sub_fetch(&listener->slot->open, 1, __ATOMIC_RELAXED);
}

weir_instance *weir_listener_instance(const weir_listener *listener)
{
    return listener->instance;
}
