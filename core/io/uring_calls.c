/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting and sending by entries of the submission queue. A send never happens inside the call
 * that asks for it: the sends of an iteration go to the kernel together. Until they do, their owner
 * may move the bytes: a write points at what its caller has, and then at the queue's copy.
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/base/invariant.h"
#include "core/io/uring.h"

/* Connecting */

void weir__uring_connect(struct io_backend *backend, struct io_file *file,
                         const struct sockaddr *address, socklen_t length)
{
    struct uring_backend *ur = uring_of(backend);
    struct uring_file *uf = uring_file_of(file);
    struct io_uring_sqe *sqe = weir__uring_entry(ur);

    /* An unconnected socket is "hung up": what was said before does not count. */
    uf->hung = false;
    list_remove(&file->ready);
    file->connecting = 1;
    io_uring_prep_connect(sqe, file->fd, address, length);
    weir__uring_begin(uf, sqe, URING_CONNECT);
    /* The address is the caller's only until this returns; the kernel copies it now. */
    (void)weir__uring_submit(ur, false);
}

void weir__uring_connected(struct uring_backend *ur, struct uring_file *uf, int result)
{
    struct io_file *file = uf->file;

    if (!file)
        return;
    file->connecting = 0;
    if (URING_CALL_OUT(ur, file, file->ops->connected(file, result)) && !file->receiving)
        weir__uring_idle(ur, file);
}

/* Sending */

static void submit_send(struct uring_backend *ur, struct io_file *file, const struct iovec *iov,
                        int count)
{
    struct io_uring_sqe *sqe = weir__uring_entry(ur);
    size_t place = (size_t)(sqe - ur->ring.sq.sqes);
    struct uring_unsent *send = &ur->sends[place];

    weir_assert(place < URING_ENTRIES && ur->nunsent < URING_ENTRIES);
    send->iov = iov;
    if (count == 1) {
        io_uring_prep_send(sqe, file->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL);
        ur->unsent[ur->nunsent++] = (uint16_t)place;
    } else {
        send->message =
            (struct msghdr){.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
        io_uring_prep_sendmsg(sqe, file->fd, &send->message, MSG_NOSIGNAL);
    }
    weir__uring_begin(uring_file_of(file), sqe, URING_SEND);
}

/* The kernel reads a message's vectors when it takes the entry; a lone one's address stands in the
   entry, from before its owner moved the bytes. */
void weir__uring_seal_sends(struct uring_backend *ur)
{
    while (ur->nunsent > 0) {
        size_t place = ur->unsent[--ur->nunsent];

        ur->ring.sq.sqes[place].addr = (uintptr_t)ur->sends[place].iov->iov_base;
    }
}

static ssize_t write_plain(const struct io_file *file, const struct iovec *iov, int count)
{
    ssize_t n;

    do {
        n = writev(file->fd, iov, count);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t weir__uring_send(struct io_backend *backend, struct io_file *file, const struct iovec *iov,
                         int count)
{
    struct uring_backend *ur = uring_of(backend);

    weir_assert(!file->sending && !file->closed);
    if (count > IOV_MAX)
        count = IOV_MAX;
    if (file->no_socket) {
        ssize_t n = write_plain(file, iov, count);

        if (n != -EAGAIN)
            return n;
    }
    file->sending = 1;
    file->send_iov = iov;
    file->send_count = (unsigned)count & IO_SEND_MAX;
    if (file->no_socket)
        weir__uring_poll_plain(ur, file);
    else
        submit_send(ur, file, iov, count);
    return -EINPROGRESS;
}

static bool tell_sent(struct uring_backend *ur, struct io_file *file, ssize_t result)
{
    file->sending = 0;
    file->send_iov = NULL;
    return URING_CALL_OUT(ur, file, file->ops->sent(file, result));
}

void weir__uring_sent(struct uring_backend *ur, struct uring_file *uf, int result)
{
    struct io_file *file = uf->file;

    if (!file)
        return;
    if (result == -EINTR || result == -EAGAIN)
        submit_send(ur, file, file->send_iov, file->send_count);
    else
        (void)tell_sent(ur, file, result);
}

bool weir__uring_send_plain(struct uring_backend *ur, struct io_file *file)
{
    ssize_t n = write_plain(file, file->send_iov, file->send_count);

    return n == -EAGAIN || tell_sent(ur, file, n);
}
