/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections in memory. Bytes that one end sends lie in the inbox of the other until it receives them;
 * how many may lie there is the sender's window, so a peer that never reads stops its sender as a
 * full socket buffer does.
 *
 * Each end has a real descriptor, one of a pair of Unix sockets that carries no byte: so names,
 * socket options, passing on and counting of descriptors work as for any connection. What happens to
 * the descriptor behind our back is found out: an end is known by the inode of its socket, and
 * aborting is told from closing by SO_LINGER, which is how transports ask TCP for a reset.
 */
#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/testing/kit.h"

static uint64_t inode_of(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

static struct memory_end *end_new(struct kit_io *io, int fd)
{
    struct memory_end *end = weir__kit_alloc(sizeof(*end));

    end->fd = fd;
    end->inode = inode_of(fd);
    list_append(&io->ends, &end->link);
    return end;
}

weir_error *weir__memory_pair(struct kit_io *io, int ends[2])
{
    struct memory_end *a, *b;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        return weir_raise(errno, "a connection in memory");
    a = end_new(io, ends[0]);
    b = end_new(io, ends[1]);
    a->peer = b;
    b->peer = a;
    return NULL;
}

struct memory_end *weir__memory_find(struct kit_io *io, int fd)
{
    uint64_t inode = inode_of(fd);

    weir_list_foreach(end, &io->ends, struct memory_end, link) {
        if (end->inode == inode && !end->file) {
            end->fd = fd; /* it may have been duplicated */
            return end;
        }
    }
    return NULL;
}

void weir__memory_attach(struct memory_end *end, struct kit_file *file)
{
    end->file = file;
    file->end = end;
    file->inbox = &end->inbox;
    file->in_memory = true;
}

/* Something changed for the file of an end, if it has one. */
static void look_at(struct memory_end *end)
{
    if (end && end->file)
        weir__kit_schedule(end->file);
}

static size_t room_of(const struct kit_file *file)
{
    size_t window = file->faults.window ? file->faults.window : KIT_WINDOW;
    size_t used = file->end->peer->inbox.bytes;

    return used < window ? window - used : 0;
}

ssize_t weir__memory_send(struct kit_file *file, const struct iovec *iov, int count, size_t limit)
{
    struct memory_end *end = file->end, *peer = end->peer;
    size_t done = 0, room;

    if (end->reset)
        return -ECONNRESET;
    if (!peer || end->shut)
        return -EPIPE;
    room = room_of(file);
    if (!room)
        return -EAGAIN;
    if (room < limit)
        limit = room;
    for (int i = 0; i < count && done < limit; i++) {
        size_t n = iov[i].iov_len < limit - done ? iov[i].iov_len : limit - done;
        const weir_test_faults *faults = peer->file ? &peer->file->faults : &file->io->faults;

        if (n)
            weir__inbox_push(file->io, &peer->inbox, faults, iov[i].iov_base, n);
        done += n;
    }
    look_at(peer);
    return (ssize_t)done;
}

void weir__memory_taken(struct memory_end *end)
{
    if (end->peer && end->peer->file && end->peer->file->iov)
        weir__kit_schedule(end->peer->file);
}

void weir__memory_shutdown(struct memory_end *end)
{
    end->shut = true;
    if (!end->peer)
        return;
    weir__inbox_end(&end->peer->inbox, 0);
    look_at(end->peer);
}

/* What arrived before is received before the reset is. */
static void reset_end(struct memory_end *end)
{
    end->reset = true;
    if (end->inbox.ended && !end->inbox.end_told)
        end->inbox.result = -ECONNRESET;
    weir__inbox_end(&end->inbox, -ECONNRESET);
    look_at(end);
}

void weir__memory_reset(struct memory_end *end)
{
    reset_end(end);
    if (end->peer)
        reset_end(end->peer);
}

/* What the peer sees of an end that goes. */
static void leave_peer(struct memory_end *end, bool reset)
{
    struct memory_end *peer = end->peer;

    if (!peer)
        return;
    peer->peer = NULL;
    end->peer = NULL;
    if (reset)
        reset_end(peer);
    else
        weir__inbox_end(&peer->inbox, 0);
    look_at(peer);
}

static void end_free(struct memory_end *end, bool reset)
{
    leave_peer(end, reset);
    if (end->file) {
        end->file->end = NULL;
        end->file->inbox = &end->file->own;
    }
    weir__inbox_drop(&end->inbox);
    list_remove(&end->link);
    weir__free(end);
}

static bool asked_to_reset(int fd)
{
    struct linger linger = {0};
    socklen_t length = sizeof(linger);

    return getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length) == 0 && linger.l_onoff &&
           linger.l_linger == 0;
}

void weir__memory_close(struct kit_io *io, struct memory_end *end, bool keep)
{
    (void)io;
    if (keep) {
        end->file->end = NULL;
        end->file->inbox = &end->file->own;
        end->file = NULL;
    } else {
        end_free(end, asked_to_reset(end->fd));
    }
}

void weir__memory_sweep(struct kit_io *io)
{
    weir_list_foreach_safe(end, &io->ends, struct memory_end, link) {
        if (!end->file && inode_of(end->fd) != end->inode)
            end_free(end, false);
    }
}

void weir__memory_done(struct kit_io *io)
{
    while (!list_empty(&io->ends))
        end_free(container_of(io->ends.next, struct memory_end, link), false);
}

/* Servers */

bool weir__memory_listener(const struct kit_io *io, int fd)
{
    uint64_t inode = inode_of(fd);

    for (size_t i = 0; i < io->nlisteners; i++) {
        if (io->listeners[i] == inode)
            return true;
    }
    return false;
}

/* A socket with a name of its own, which the kernel chooses, on which nobody else connects. */
static weir_error *listening_socket(struct kit_io *io, int *ret_fd)
{
    struct sockaddr_un any = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int code;

    if (fd < 0)
        return weir_raise(errno, "a server in memory");
    if (bind(fd, (struct sockaddr *)&any, sizeof(sa_family_t)) != 0 || listen(fd, 1) != 0) {
        code = errno;
        close(fd);
        return weir_raise(code, "a server in memory");
    }
    if (io->nlisteners == sizeof(io->listeners) / sizeof(io->listeners[0])) {
        close(fd);
        return weir_raise(WEIR_EFULL, "a test has at most %zu servers in memory", io->nlisteners);
    }
    io->listeners[io->nlisteners++] = inode_of(fd);
    *ret_fd = fd;
    return NULL;
}

weir_error *weir_test_serve(weir_test *test, const weir_server_options *options,
                            const weir_protocol *protocol, const void *config, weir_server **ret)
{
    weir_error *error;
    int fd = -1;

    WEIR_TRY(listening_socket(test->io, &fd));
    error = weir_server_new(test->loop, fd, options, protocol, config, ret);
    close(fd); /* the server has a duplicate */
    return error;
}

weir_error *weir__memory_connect(struct kit_io *io, struct io_file *server, int *ret_fd)
{
    struct kit_file *file = weir__kit_file(io, server);
    struct backlog *entry, **last = &file->backlog;
    int ends[2];

    WEIR_TRY(weir__memory_pair(io, ends));
    entry = weir__kit_alloc(sizeof(*entry));
    entry->fd = ends[1];
    while (*last)
        last = &(*last)->next;
    *last = entry;
    weir__kit_schedule(file);
    *ret_fd = ends[0];
    return NULL;
}
