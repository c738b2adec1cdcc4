/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completions over io_uring.
 *
 * Whatever is asked for during an iteration becomes an entry of the submission queue; one system
 * call submits them all and waits. A receive is asked for once (multishot) and completes for ever,
 * into chunks that lie ready for any connection. With DEFER_TASKRUN the kernel completes things only
 * inside that call, and a flag says whether it has anything to do, so that a loop whose callbacks
 * keep it busy makes no system call at all until there is I/O.
 *
 * Closing asks the kernel to cancel what is in flight and to close, in the same submission, so a
 * descriptor lives until the end of the iteration.
 */
#include "config.h"

#include "core/io/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/error.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/base/fd.h"
#include "core/base/invariant.h"

/* Submitting */

/* Short of memory the kernel takes nothing for a while; what it owes may have to be taken first. */
#define SUBMIT_TRIES 1000

int weir__uring_submit(struct uring_backend *ur, bool complete)
{
    int code = ur->enabled ? 0 : -weir__uring_enable(ur);

    if (code < 0)
        return code;
    weir__uring_seal_sends(ur);
    for (int tries = 0; tries < SUBMIT_TRIES; tries++) {
        code = complete ? io_uring_submit_and_get_events(&ur->ring) : io_uring_submit(&ur->ring);
        if (code >= 0 || (code != -EINTR && code != -EAGAIN && code != -EBUSY))
            break;
        complete = true;
    }
    return code;
}

struct io_uring_sqe *weir__uring_entry(struct uring_backend *ur)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ur->ring);

    if (weir_likely(sqe != NULL))
        return sqe;
    (void)weir__uring_submit(ur, false);
    sqe = io_uring_get_sqe(&ur->ring);
    weir_assert(sqe);
    return sqe;
}

void weir__uring_begin(struct uring_file *uf, struct io_uring_sqe *sqe, enum uring_kind kind)
{
    weir_assert(!uring_inflight(uf, kind));
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)uf | (uint64_t)kind);
    uf->inflight = (uint8_t)(uf->inflight | 1u << kind);
    uf->refs++;
}

void weir__uring_cancel(struct uring_backend *ur, struct uring_file *uf, enum uring_kind kind)
{
    struct io_uring_sqe *sqe = weir__uring_entry(ur);

    io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)uf | (uint64_t)kind, 0);
    io_uring_sqe_set_data64(sqe, URING_NOTHING);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

void weir__uring_file_unref(struct uring_backend *ur, struct uring_file *uf)
{
    if (--uf->refs)
        return;
    weir__uring_held_drop(ur, uf);
    weir__free(uf);
    ur->records--;
}

void weir__uring_serve_later(struct uring_backend *ur, struct io_file *file)
{
    if (list_empty(&file->ready))
        list_append(&ur->ready, &file->ready);
}

/* Registration */

WEIR_STATIC_ASSERT(sizeof(struct uring_file) <= 40, "an idle connection stays small");

/* Some devices are never "ready" (/dev/null), which only epoll says. */
static int check_device(int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    int code = epfd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event) != 0 ? errno : 0;

    if (epfd >= 0)
        close(epfd);
    return code;
}

/* The ring would wait for a regular file as little as epoll does. */
static int kind_of_descriptor(int fd, bool *ret_socket)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return errno;
    *ret_socket = S_ISSOCK(status.st_mode);
    if (S_ISCHR(status.st_mode))
        return check_device(fd);
    return S_ISREG(status.st_mode) || S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode) ? EPERM
                                                                                         : 0;
}

weir_error *weir__uring_register(struct uring_backend *ur, struct io_file *file)
{
    struct uring_file *uf;
    bool socket = file->fd == ur->accepted;
    int code;

    if (file->fd < 0)
        return weir_raise(EBADF, "descriptor %d", file->fd);
    code = socket ? 0 : kind_of_descriptor(file->fd, &socket);
    if (code)
        return weir__io_register_error(code, file->fd, NULL);
    if (!weir__io_files_reach(&ur->files, &ur->nfiles, file->fd))
        return weir_raise(WEIR_ENOMEM, " ");
    if (ur->files[file->fd])
        return weir__io_register_error(EEXIST, file->fd, ur->files[file->fd]);
    uf = weir__calloc(1, sizeof(*uf));
    if (!uf)
        return weir_raise(WEIR_ENOMEM, " ");
    ur->records++;
    uf->file = file;
    uf->refs = 1;
    file->backend_data = uf;
    file->registered = 1;
    file->no_socket = !socket;
    ur->files[file->fd] = file;
    return NULL;
}

static weir_error *ur_add(struct io_backend *backend, struct io_file *file)
{
    struct uring_backend *ur = uring_of(backend);

    WEIR_TRY(weir__uring_register(ur, file));
    file->writable = 1;
    if (file->no_socket)
        weir__uring_poll_plain(ur, file);
    else
        weir__uring_idle(ur, file);
    return NULL;
}

void weir__uring_forget(struct uring_backend *ur, struct io_file *file)
{
    struct uring_file *uf = uring_file_of(file);

    ur->files[file->fd] = NULL;
    file->registered = 0;
    file->backend_data = NULL;
    uf->file = NULL;
    weir__uring_held_drop(ur, uf);
    weir__uring_file_unref(ur, uf);
}

/* What is in flight ends, and then the descriptor is closed, in the submission of this iteration;
   unless the kernel would read memory that the owner frees next (a send), or an address must be free
   again (a listener). */
static void end_operations(struct uring_backend *ur, struct io_file *file, bool close_fd)
{
    struct uring_file *uf = uring_file_of(file);
    bool at_once = uf->accepts || uring_inflight(uf, URING_SEND);

    for (unsigned kind = 0; kind < URING_WAKE; kind++) {
        if (uring_inflight(uf, (enum uring_kind)kind))
            weir__uring_cancel(ur, uf, (enum uring_kind)kind);
    }
    if (close_fd) {
        struct io_uring_sqe *sqe = weir__uring_entry(ur);

        io_uring_prep_close(sqe, file->fd);
        io_uring_sqe_set_data64(sqe, URING_NOTHING);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    }
    if (at_once || (!close_fd && !file->poll_events))
        (void)weir__uring_submit(ur, true);
}

static void ur_close(struct io_backend *backend, struct io_file *file, bool keep_fd)
{
    struct uring_backend *ur = uring_of(backend);

    if (file->closed)
        return;
    list_remove(&file->ready);
    file->closed = 1;
    file->receiving = file->accepting = file->sending = file->connecting = 0;
    file->draining = file->watch_in = file->watch_out = 0;
    if (ur->current == file)
        ur->current = NULL;
    if (file->registered && uring_file_of(file)->inflight)
        end_operations(ur, file, !keep_fd);
    else if (!keep_fd)
        weir__close(file->fd);
    if (file->registered)
        weir__uring_forget(ur, file);
}

/* Waiting and delivering */

static void arm_wake(struct uring_backend *ur)
{
    struct io_uring_sqe *sqe = weir__uring_entry(ur);

    io_uring_prep_poll_multishot(sqe, ur->wakefd, POLLIN);
    io_uring_sqe_set_data64(sqe, URING_WAKE);
}

static int submit_and_wait(struct uring_backend *ur, int64_t timeout_ns)
{
    struct __kernel_timespec timeout = {.tv_sec = timeout_ns / 1000000000,
                                        .tv_nsec = timeout_ns % 1000000000};
    struct io_uring_cqe *cqe;
    int code = ur->enabled ? 0 : -weir__uring_enable(ur);

    if (code < 0)
        return code;
    weir__uring_seal_sends(ur);
    if (io_uring_cq_ready(&ur->ring))
        timeout_ns = 0;
    if (timeout_ns < 0)
        return io_uring_submit_and_wait(&ur->ring, 1);
    if (timeout_ns > 0)
        return io_uring_submit_and_wait_timeout(&ur->ring, &cqe, 1, &timeout, NULL);
    if (!io_uring_sq_ready(&ur->ring) && !uring_kernel_has_work(ur))
        return 0;
    return io_uring_submit_and_get_events(&ur->ring);
}

static weir_error *ur_wait(struct io_backend *backend, int64_t timeout_ns, int *ret_events)
{
    struct uring_backend *ur = uring_of(backend);
    int code;

    ur->iteration++;
    weir__uring_buffers_refill(ur);
    weir__uring_watch_idle(ur);
    if (!list_empty(&ur->ready))
        timeout_ns = 0;
    code = submit_and_wait(ur, timeout_ns);
    /* EBUSY, EAGAIN: the completion queue is full, or memory short; delivering helps both. */
    if (code < 0 && code != -EINTR && code != -ETIME && code != -EBUSY && code != -EAGAIN)
        return weir_raise(-code, "io_uring_enter");
    *ret_events = (int)io_uring_cq_ready(&ur->ring);
    return NULL;
}

static void complete(struct uring_backend *ur, const struct io_uring_cqe *cqe)
{
    enum uring_kind kind = (enum uring_kind)(cqe->user_data & URING_KIND_MASK);
    struct uring_file *uf = (struct uring_file *)(uintptr_t)(cqe->user_data & ~URING_KIND_MASK);

    if (kind == URING_NOTHING)
        return;
    if (kind == URING_WAKE) {
        if (!(cqe->flags & IORING_CQE_F_MORE))
            arm_wake(ur);
        return;
    }
    uf->refs++; /* for this function */
    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        uf->inflight = (uint8_t)(uf->inflight & ~(1u << kind));
        weir__uring_file_unref(ur, uf);
    }
    ur->current = uf->file;
    if (kind == URING_RECEIVE)
        weir__uring_received(ur, uf, cqe);
    else if (kind == URING_SEND)
        weir__uring_sent(ur, uf, cqe->res);
    else if (kind == URING_POLL)
        weir__uring_polled(ur, uf, cqe->res);
    else if (kind == URING_WATCH_IN || kind == URING_WATCH_OUT)
        weir__uring_watched(ur, uf, kind, cqe->res);
    else
        weir__uring_connected(ur, uf, cqe->res);
    ur->current = NULL;
    weir__uring_file_unref(ur, uf);
}

static void serve(struct uring_backend *ur, struct io_file *file)
{
    ur->current = file;
    if (file->completed) {
        file->completed = 0;
        (void)URING_CALL_OUT(ur, file, file->ops->accepted(file, file->result, NULL, 0));
    } else {
        weir__uring_receive_serve(ur, file);
    }
    ur->current = NULL;
}

static void ur_dispatch(struct io_backend *backend)
{
    struct uring_backend *ur = uring_of(backend);
    unsigned count = io_uring_cq_ready(&ur->ring);
    struct list serving;

    list_init(&serving);
    list_splice(&serving, &ur->ready);
    while (count-- > 0) {
        struct io_uring_cqe *ready, cqe;

        if (io_uring_peek_cqe(&ur->ring, &ready) != 0)
            break;
        cqe = *ready;
        io_uring_cqe_seen(&ur->ring, ready);
        complete(ur, &cqe);
    }
    while (!list_empty(&serving)) {
        struct io_file *file = container_of(serving.next, struct io_file, ready);

        list_remove(&file->ready);
        serve(ur, file);
    }
    step_end(backend->step);
}

static void ur_shutdown(struct io_backend *backend, struct io_file *file)
{
    (void)backend;
    (void)shutdown(file->fd, SHUT_WR);
}

static void ur_wake(struct io_backend *backend)
{
    uint64_t one = 1;
    int saved = errno;
    ssize_t ignored = write(uring_of(backend)->wakefd, &one, sizeof(one));

    (void)ignored;
    errno = saved;
}

static size_t ur_interests(const struct io_backend *backend)
{
    const struct uring_backend *ur =
        container_of((struct io_backend *)(uintptr_t)backend, struct uring_backend, base);
    size_t count = 0;

    for (size_t fd = 0; fd < ur->nfiles; fd++) {
        const struct io_file *file = ur->files[fd];

        count += file && io_file_is_active(file);
    }
    return count;
}

/* Life */

#define DRAIN_TRIES 100

/* What in-flight operations refer to must be there until the kernel lets go of it. */
static void drain(struct uring_backend *ur)
{
    struct io_uring_sqe *sqe;
    struct io_uring_cqe *cqe;

    for (size_t fd = 0; fd < ur->nfiles; fd++) {
        if (ur->files[fd])
            weir__uring_forget(ur, ur->files[fd]);
    }
    sqe = weir__uring_entry(ur);
    io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
    io_uring_sqe_set_data64(sqe, URING_NOTHING);
    for (int tries = 0; tries < DRAIN_TRIES; tries++) {
        if (weir__uring_submit(ur, true) < 0)
            return;
        while (io_uring_peek_cqe(&ur->ring, &cqe) == 0) {
            struct io_uring_cqe seen = *cqe;

            io_uring_cqe_seen(&ur->ring, cqe);
            if ((seen.user_data & URING_KIND_MASK) != URING_WAKE)
                complete(ur, &seen);
        }
        if (!ur->records)
            return;
    }
}

static void ur_destroy(struct io_backend *backend)
{
    struct uring_backend *ur = uring_of(backend);

    if (ur->has_ring) {
        drain(ur);
        weir__uring_buffers_destroy(ur);
        io_uring_queue_exit(&ur->ring);
    }
    while (ur->spare) {
        struct uring_held *held = ur->spare;

        ur->spare = held->next;
        weir__free(held);
    }
    if (ur->wakefd >= 0)
        close(ur->wakefd);
    weir__free(ur->files);
    weir__free(ur);
}

static weir_error *ur_create(struct io_backend **ret)
{
    struct uring_backend *ur = weir__calloc(1, sizeof(*ur));
    int code;

    if (!ur)
        return weir_raise(WEIR_ENOMEM, " ");
    ur->base.ops = &weir__io_uring;
    list_init(&ur->ready);
    list_init(&ur->starved);
    list_init(&ur->idle);
    ur->accepted = -1;
    ur->wakefd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    code = ur->wakefd < 0 ? errno
                          : weir__uring_ring_create(&ur->ring, URING_ENTRIES, URING_COMPLETIONS);
    ur->has_ring = !code;
    if (!code)
        code = weir__uring_buffers_create(ur);
    if (code) {
        ur_destroy(&ur->base);
        return weir_raise(code, "making an io_uring for the loop");
    }
    arm_wake(ur);
    *ret = &ur->base;
    return NULL;
}

const struct io_backend_ops weir__io_uring = {
    .name = "io_uring",
    .create = ur_create,
    .destroy = ur_destroy,
    .add = ur_add,
    .close = ur_close,
    .receive_start = weir__uring_receive_start,
    .receive_stop = weir__uring_receive_stop,
    .accept_start = weir__uring_accept_start,
    .accept_stop = weir__uring_accept_stop,
    .connect = weir__uring_connect,
    .send = weir__uring_send,
    .shutdown = ur_shutdown,
    .drain = weir__uring_drain,
    .watch = weir__uring_watch,
    .poll = weir__uring_poll,
    .wait = ur_wait,
    .dispatch = ur_dispatch,
    .wake = ur_wake,
    .has_unread = weir__uring_has_unread,
    .interests = ur_interests,
};
