/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for descriptors that the ring itself does not read. At most one poll of a file is in flight,
 * of one shot; asking again after each completion makes it level-triggered.
 *
 *   foreign    add_reader, c-ares: for what the owner wants. When that changes, the file gets a new
 *              record, and what the old one's poll still says is nobody's
 *   listener   exclusive, for loops share it; then accepted until nobody waits. Not by a multishot
 *              accept: what that had completed would be lost when the listener is closed or handed to
 *              the next generation, would exceed a limit when accepting stops, and it saves no call,
 *              for the peer's name has to be asked (docs/internals/io.md)
 *   pipe       for what its receive and send wait for, and always for its end
 *   socket     for a hangup, while no receive is in flight that would tell; and, each with a poll of
 *              its own, for what calls of somebody else wait for (io_backend_ops.watch)
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include <weir/error.h>

#include "core/base/error.h"
#include "core/base/invariant.h"
#include "core/io/uring.h"

#define BROKEN ((unsigned)(POLLERR | POLLHUP))

static void arm(struct uring_backend *ur, struct uring_file *uf, unsigned events)
{
    struct io_uring_sqe *sqe;

    if (uring_inflight(uf, URING_POLL)) {
        if (uf->polled == events)
            return;
        /* When it has completed meanwhile, what it says is compared with what is wanted now. */
        sqe = weir__uring_entry(ur);
        io_uring_prep_poll_update(sqe, (uintptr_t)uf | URING_POLL, 0, events,
                                  IORING_POLL_UPDATE_EVENTS);
        io_uring_sqe_set_data64(sqe, URING_NOTHING);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        uf->polled = (uint16_t)events;
        return;
    }
    sqe = weir__uring_entry(ur);
    io_uring_prep_poll_add(sqe, uf->file->fd, events);
    uf->polled = (uint16_t)events;
    weir__uring_begin(uf, sqe, URING_POLL);
}

static void end_poll(struct uring_backend *ur, struct io_file *file)
{
    struct uring_file *uf = uring_file_of(file);

    if (uring_inflight(uf, URING_POLL))
        weir__uring_cancel(ur, uf, URING_POLL);
    weir__uring_forget(ur, file);
}

/* Foreign descriptors */

static weir_error *renew(struct uring_backend *ur, struct io_file *file)
{
    struct uring_file *old = uring_file_of(file);
    weir_error *error;

    ur->files[file->fd] = NULL;
    error = weir__uring_register(ur, file);
    ur->files[file->fd] = file;
    if (error)
        return error;
    old->file = NULL;
    weir__uring_cancel(ur, old, URING_POLL);
    weir__uring_file_unref(ur, old);
    return NULL;
}

weir_error *weir__uring_poll(struct io_backend *backend, struct io_file *file, unsigned events)
{
    struct uring_backend *ur = uring_of(backend);

    if (!events) {
        file->poll_events = 0;
        if (file->registered)
            end_poll(ur, file);
        if (ur->current == file)
            ur->current = NULL; /* from here on its owner may free it */
        return NULL;
    }
    if (!file->registered) {
        WEIR_TRY(weir__uring_register(ur, file));
    } else if (uring_inflight(uring_file_of(file), URING_POLL)) {
        if (file->poll_events == events)
            return NULL;
        WEIR_TRY(renew(ur, file));
    }
    file->poll_events = events & IO_POLL_EVENTS;
    arm(ur, uring_file_of(file), events);
    return NULL;
}

static void polled_foreign(struct uring_backend *ur, struct io_file *file, unsigned events)
{
    events &= file->poll_events | BROKEN;
    if (events && file->ops->polled_steps)
        file->ops->polled(file, events);
    else if (events)
        (void)URING_CALL_OUT(ur, file, file->ops->polled(file, events));
    if (ur->current == file)
        arm(ur, uring_file_of(file), file->poll_events);
}

/* Listeners */

static void arm_accept(struct uring_backend *ur, struct io_file *file)
{
    uring_file_of(file)->accepts = true;
    arm(ur, uring_file_of(file), POLLIN | EPOLLEXCLUSIVE);
}

void weir__uring_accept_start(struct io_backend *backend, struct io_file *file)
{
    struct uring_backend *ur = uring_of(backend);
    weir_error *error = NULL;

    if (file->accepting || file->closed)
        return;
    list_remove(&file->ready);
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
    if (!file->accepting)
        return;
    file->accepting = 0;
    end_poll(uring_of(backend), file);
}

static void accept_some(struct uring_backend *ur, struct io_file *file)
{
    int passed = 0;

    for (int i = 0; i < IO_ACCEPTS_MAX; i++) {
        struct sockaddr_storage peer;
        socklen_t length;
        int result = weir__io_accept(file->fd, &peer, &length);
        bool there;

        if (result == -EAGAIN)
            break;
        if (weir__io_accept_passes(result) && ++passed < IO_ACCEPTS_MAX)
            continue;
        if (result < 0) {
            weir__uring_accept_stop(&ur->base, file);
            (void)URING_CALL_OUT(ur, file, file->ops->accepted(file, result, NULL, 0));
            return;
        }
        ur->accepted = result;
        there = URING_CALL_OUT(ur, file,
                               file->ops->accepted(file, result, (struct sockaddr *)&peer, length));
        ur->accepted = -1;
        if (!there || !file->accepting)
            return;
    }
    arm_accept(ur, file);
}

/* Sockets at rest */

void weir__uring_idle(struct uring_backend *ur, struct io_file *file)
{
    if (file->ops->hangup && !file->no_socket && list_empty(&file->ready))
        list_append(&ur->idle, &file->ready);
}

/* The kernel tells of RDHUP whether asked or not, so a poll of one shot would come back at once until
   HUP follows. This one stays, and tells of each change. */
static void watch_for_hangup(struct uring_backend *ur, struct io_file *file)
{
    struct uring_file *uf = uring_file_of(file);
    struct io_uring_sqe *sqe = weir__uring_entry(ur);

    io_uring_prep_poll_multishot(sqe, file->fd, POLLRDHUP);
    uf->polled = POLLRDHUP;
    weir__uring_begin(uf, sqe, URING_POLL);
}

void weir__uring_watch_idle(struct uring_backend *ur)
{
    while (!list_empty(&ur->idle)) {
        struct io_file *file = container_of(ur->idle.next, struct io_file, ready);
        struct uring_file *uf = uring_file_of(file);

        list_remove(&file->ready);
        if (!file->receiving && !file->connecting && !uf->hung &&
            !uring_inflight(uf, URING_RECEIVE) && !uring_inflight(uf, URING_POLL))
            watch_for_hangup(ur, file);
    }
}

bool weir__uring_hung_up(struct uring_backend *ur, struct io_file *file, int result)
{
    /* What is held comes before the end. */
    if (uring_file_of(file)->held)
        return true;
    file->result = result;
    return !file->ops->hangup || URING_CALL_OUT(ur, file, file->ops->hangup(file));
}

static void polled_socket(struct uring_backend *ur, struct io_file *file, unsigned events)
{
    struct uring_file *uf = uring_file_of(file);

    if (file->receiving || file->connecting) {
        /* The receive tells. When it stops, what there is will be told by a new poll. */
        if (uring_inflight(uf, URING_POLL))
            weir__uring_cancel(ur, uf, URING_POLL);
        return;
    }
    if (events & BROKEN)
        uf->hung = true;
    if ((events & (BROKEN | POLLRDHUP)) && !weir__uring_hung_up(ur, file, 0))
        return;
    if (!file->receiving)
        weir__uring_idle(ur, file);
}

/* Sockets whose bytes others move */

static void arm_watch(struct uring_backend *ur, struct uring_file *uf, enum uring_kind kind)
{
    struct io_uring_sqe *sqe;

    if (uring_inflight(uf, kind))
        return; /* being cancelled: asked again when that is over */
    sqe = weir__uring_entry(ur);
    io_uring_prep_poll_add(sqe, uf->file->fd, kind == URING_WATCH_IN ? POLLIN : POLLOUT);
    weir__uring_begin(uf, sqe, kind);
}

static void end_watch(struct uring_backend *ur, struct uring_file *uf, enum uring_kind kind)
{
    if (uring_inflight(uf, kind))
        weir__uring_cancel(ur, uf, kind);
}

void weir__uring_watch(struct io_backend *backend, struct io_file *file, unsigned events)
{
    struct uring_backend *ur = uring_of(backend);
    struct uring_file *uf = uring_file_of(file);

    if (events & POLLIN) {
        file->watch_in = 1;
        arm_watch(ur, uf, URING_WATCH_IN);
    }
    if (events & POLLOUT) {
        file->watch_out = 1;
        arm_watch(ur, uf, URING_WATCH_OUT);
    }
    if (!events) {
        file->watch_in = file->watch_out = 0;
        end_watch(ur, uf, URING_WATCH_IN);
        end_watch(ur, uf, URING_WATCH_OUT);
    }
}

void weir__uring_watched(struct uring_backend *ur, struct uring_file *uf, enum uring_kind kind,
                         int result)
{
    struct io_file *file = uf->file;
    bool in = kind == URING_WATCH_IN;

    if (!file || !(in ? file->watch_in : file->watch_out))
        return;
    if (result == -ECANCELED) {
        arm_watch(ur, uf, kind);
        return;
    }
    if (in)
        file->watch_in = 0;
    else
        file->watch_out = 0;
    (void)URING_CALL_OUT(ur, file, file->ops->usable(file, in ? POLLIN : POLLOUT));
}

/* Pipes and terminals */

void weir__uring_poll_plain(struct uring_backend *ur, struct io_file *file)
{
    const struct uring_file *uf = uring_file_of(file);
    unsigned events =
        (file->receiving ? (unsigned)POLLIN : 0) | (file->sending ? (unsigned)POLLOUT : 0);

    if (events || !uf->hung)
        arm(ur, uring_file_of(file), events);
}

static void polled_plain(struct uring_backend *ur, struct io_file *file, unsigned events)
{
    if (events & BROKEN)
        uring_file_of(file)->hung = true;
    if (file->sending && (events & (POLLOUT | BROKEN)) && !weir__uring_send_plain(ur, file))
        return;
    if (file->receiving && (events & (POLLIN | BROKEN)))
        weir__uring_receive_serve(ur, file);
    else if (!file->receiving && (events & BROKEN) && !weir__uring_hung_up(ur, file, 0))
        return;
    if (ur->current == file)
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
    if (file->poll_events)
        polled_foreign(ur, file, events);
    else if (uf->accepts)
        accept_some(ur, file);
    else if (file->no_socket)
        polled_plain(ur, file, events);
    else
        polled_socket(ur, file, events);
}
