/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listening socket for each loop, all at one address (SO_REUSEPORT). The first is bound before it
 * says that it shares its address: so an address that somebody else has is reported as taken, also
 * when they would share it.
 */
#include "config.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "host/listener/listener.h"

int weir__socket_fd_of(const struct bound_socket *socket, unsigned loop)
{
    return loop && loop <= socket->n_more ? socket->more[loop - 1] : socket->fd;
}

weir_error *weir__socket_multiply(struct bound_socket *socket, const weir_listener *listener)
{
    weir_server_options options = {WEIR_SIZED(weir_server_options), .backlog = listener->backlog,
                                   .reuse_port = true};
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    int on = 1;

    if (socket->inherited || listener->n_loops < 2 ||
        getsockname(socket->fd, (struct sockaddr *)&address, &length) != 0 ||
        address.ss_family == AF_UNIX)
        return NULL;
    if (setsockopt(socket->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
        return weir_raise(errno, "%s cannot be shared", socket->name);
    socket->more = calloc(listener->n_loops, sizeof *socket->more);
    if (!socket->more)
        return weir_raise(WEIR_ENOMEM, "sockets");
    while (socket->n_more + 1 < listener->n_loops) {
        WEIR_TRY(weir_listen_socket(socket->name, &options, &socket->more[socket->n_more]));
        socket->n_more++;
    }
    return NULL;
}
