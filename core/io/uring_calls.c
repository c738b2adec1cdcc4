/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepting, connecting, sending and polling by entries of the submission queue. A send never
 * happens inside the call that asks for it: the sends of an iteration go to the kernel together.
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <weir/error.h>

#include "core/base/error.h"
#include "core/base/invariant.h"
#include "core/io/accept.h"
#include "core/io/uring.h"

/* Accepting */

static void arm_accept(struct uring_backend *ur, struct io_file *file)
{
    struct uring_file *uf = uring_file_of(file);
    struct io_uring_sqe *sqe;

    if (uring_inflight(uf, URING_ACCEPT))
        return;
    sqe = weir__uring_entry(ur);
    /* Blocking, see uring.c; the peer's name is asked for later: all of a multishot would share one
       place for it. */
    io_uring_prep_multishot_accept(sqe, file->fd, NULL, NULL, SOCK_CLOEXEC);
    weir__uring_begin(uf, sqe, URING_ACCEPT);
    uf->cancelling = false;
}

void weir__uring_accept_start(struct io_backend *backend, struct io_file *file)
{
    struct uring_backend *ur = uring_of(backend);
    weir_error *error = NULL;

    if (file->accepting || file->closed)
        return;
    if (!file->registered)
        error = weir__uring_register(ur, file);
    if (error) {
        /* Told to the owner as accept would. */
        file->completed = 1;
        file->result = -weir_code_errno(weir_error_code(error));
        weir_error_unref(error);
        weir__uring_serve_later(ur, file);
        return;
    }
    file->accepting = 1;
    arm_accept(ur, file);
}

void weir__uring_accept_stop(struct io_backend *backend, struct io_file *file)
{
    struct uring_backend *ur = uring_of(backend);
    struct uring_file *uf;

    if (!file->accepting)
        return;
    file->accepting = 0;
    uf = uring_file_of(file);
    if (uring_inflight(uf, URING_ACCEPT) && !uf->cancelling) {
        uf->cancelling = true;
        weir__uring_cancel(ur, uf, URING_ACCEPT);
    }
}

static void accepted_one(struct uring_backend *ur, struct io_file *file, int fd)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof(peer);

    if (getpeername(fd, (struct sockaddr *)&peer, &length) != 0)
        length = 0; /* it has left already, which the first receive will say */
    (void)URING_CALL_OUT(ur, file, file->ops->accepted(file, fd, (struct sockaddr *)&peer, length));
}

void weir__uring_accepted(struct uring_backend *ur, struct uring_file *uf,
                          const struct io_uring_cqe *cqe)
{
    struct io_file *file = uf->file;

    if (!(cqe->flags & IORING_CQE_F_MORE))
        uf->cancelling = false;
    if (!file) {
        if (cqe->res >= 0)
            close(cqe->res);
        return;
    }
    if (cqe->res >= 0) {
        accepted_one(ur, file, cqe->res);
    } else if (!io_passing_accept_error(-cqe->res) && cqe->res != -ECANCELED &&
               cqe->res != -EAGAIN && file->accepting) {
        file->accepting = 0;
        (void)URING_CALL_OUT(ur, file, file->ops->accepted(file, cqe->res, NULL, 0));
    }
    if (uf->file && file->accepting)
        arm_accept(ur, file);
}

/* Connecting */

void weir__uring_connect(struct io_backend *backend, struct io_file *file,
                         const struct sockaddr *address, socklen_t length)
{
    struct uring_backend *ur = uring_of(backend);
    struct io_uring_sqe *sqe = weir__uring_entry(ur);

    file->connecting = 1;
    io_uring_prep_connect(sqe, file->fd, address, length);
    weir__uring_begin(uring_file_of(file), sqe, URING_CONNECT);
    /* The address is the caller's only until this returns; the kernel copies it now. */
    weir__uring_submit(ur);
}

/* Sending */

static ssize_t write_plain(struct io_file *file, const struct iovec *iov, int count)
{
    ssize_t n;

    do {
        n = writev(file->fd, iov, count);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static void submit_send(struct uring_backend *ur, struct io_file *file, const struct iovec *iov,
                        int count)
{
    struct io_uring_sqe *sqe = weir__uring_entry(ur);
    struct uring_unsent *unsent = &ur->unsent[ur->nunsent++];

    unsent->sqe = sqe;
    unsent->iov = iov;
    if (count == 1) {
        io_uring_prep_send(sqe, file->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL);
    } else {
        unsent->message =
            (struct msghdr){.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
        io_uring_prep_sendmsg(sqe, file->fd, &unsent->message, MSG_NOSIGNAL);
    }
    weir__uring_begin(uring_file_of(file), sqe, URING_SEND);
}

/* The kernel reads a message's vectors when it is submitted; a lone one's address stands in the
   entry, from before its owner moved the bytes to where they may stay. */
void weir__uring_seal_sends(struct uring_backend *ur)
{
    for (unsigned i = 0; i < ur->nunsent; i++) {
        const struct uring_unsent *unsent = &ur->unsent[i];

        if (unsent->sqe->opcode == IORING_OP_SEND)
            unsent->sqe->addr = (uint64_t)(uintptr_t)unsent->iov->iov_base;
    }
    ur->nunsent = 0;
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
    file->send_count = count;
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

/* Polling */

static void arm_poll(struct uring_backend *ur, struct uring_file *uf, unsigned events)
{
    struct io_uring_sqe *sqe;

    if (uring_inflight(uf, URING_POLL)) {
        /* For something else: its completion, which this brings about, arms it anew. */
        if (uf->polled != events)
            weir__uring_cancel(ur, uf, URING_POLL);
        return;
    }
    if (!events)
        return;
    sqe = weir__uring_entry(ur);
    io_uring_prep_poll_add(sqe, uf->file->fd, events);
    uf->polled = events;
    weir__uring_begin(uf, sqe, URING_POLL);
}

static unsigned plain_events(const struct io_file *file)
{
    return (file->receiving ? (unsigned)POLLIN : 0) | (file->sending ? (unsigned)POLLOUT : 0);
}

void weir__uring_poll_plain(struct uring_backend *ur, struct io_file *file)
{
    arm_poll(ur, uring_file_of(file), plain_events(file));
}

weir_error *weir__uring_poll(struct io_backend *backend, struct io_file *file, unsigned events)
{
    struct uring_backend *ur = uring_of(backend);

    if (!file->registered) {
        if (!events)
            return NULL;
        WEIR_TRY(weir__uring_register(ur, file));
    }
    file->poll_events = (unsigned short)events;
    arm_poll(ur, uring_file_of(file), events);
    if (!events)
        weir__uring_forget(ur, file);
    return NULL;
}

/* A pipe that is not polled for its owner but for a receive or a send of ours. */
static void plain_ready(struct uring_backend *ur, struct io_file *file, unsigned events)
{
    const unsigned broken = POLLERR | POLLHUP;

    if (file->sending && (events & (POLLOUT | broken))) {
        ssize_t n = write_plain(file, file->send_iov, file->send_count);

        if (n != -EAGAIN && !tell_sent(ur, file, n))
            return;
    }
    if (file->receiving && (events & (POLLIN | broken))) {
        weir__uring_receive_serve(ur, file);
        if (ur->current != file)
            return;
    }
    weir__uring_poll_plain(ur, file);
}

void weir__uring_polled(struct uring_backend *ur, struct uring_file *uf, int result)
{
    struct io_file *file = uf->file;
    unsigned events = result > 0 ? (unsigned)result : 0;

    if (!file)
        return;
    if (result < 0 && result != -ECANCELED)
        events = POLLERR;
    if (file->no_socket && !file->poll_events) {
        plain_ready(ur, file, events);
        return;
    }
    events &= file->poll_events | POLLERR | POLLHUP;
    if (events && file->ops->polled_steps)
        file->ops->polled(file, events);
    else if (events)
        (void)URING_CALL_OUT(ur, file, file->ops->polled(file, events));
    if (uf->file)
        arm_poll(ur, uf, file->poll_events);
}
