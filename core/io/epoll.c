/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completions over epoll.
 *
 * A transport's descriptor is registered once, edge-triggered, for everything; after that the kernel
 * is asked nothing about it but its bytes. What an edge said is kept in the file (`readable`,
 * `writable`, `end_seen`) until a call used it up:
 *
 *   receive   recv into a fresh chunk; a short read used the readiness up (no second call to see
 *             EAGAIN), unless the end was announced: then until the 0. A stopped receive keeps
 *             `readable`; starting again serves it from the `ready` list, with no system call more.
 *   send      tried at once; a short write or EAGAIN waits for the next edge.
 *   accept    level-triggered and EPOLLEXCLUSIVE, for loops share a listening socket.
 *   poll      level-triggered, for descriptors that others read.
 *
 * An event carries descriptor and generation, not a pointer: a file that a neighbour closed in the
 * same batch, or whose description lives on in a forked child, is recognised and ignored. Hence
 * close(2) needs no epoll_ctl before it.
 */
#include "config.h"

#include "core/io/epoll.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <weir/error.h>

#include "core/base/alloc.h"
#include "core/base/chunk.h"
#include "core/base/error.h"
#include "core/base/fd.h"
#include "core/base/invariant.h"
#include "core/io/common.h"
#include "core/io/syscall.h"

#define EVENTS_MAX 256
#define WAKE_DATA  UINT64_MAX
#define DELIVERIES 64 /* after so many, what waited for them is sent */

struct epoll_backend {
    struct io_backend base;
    int epfd;
    int wakefd;
    bool has_pwait2;
    uint32_t generation;
    struct io_file **files; /* by descriptor; NULL: nobody's */
    size_t nfiles;
    struct list ready;       /* files to be served without an event */
    struct list starved;     /* files that wait for a chunk, first come first served */
    struct io_file *current; /* whose callback runs; NULL once it was closed */
    int nevents, next_event; /* collected, and how many of them are delivered */
    struct epoll_event events[EVENTS_MAX];
};

static struct epoll_backend *epoll_of(struct io_backend *backend)
{
    return container_of(backend, struct epoll_backend, base);
}

/* Registration */

static uint64_t event_data(const struct io_file *file)
{
    return (uint64_t)file->generation << 32 | (uint32_t)file->fd;
}

static int control(struct epoll_backend *ep, int operation, const struct io_file *file,
                   uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u64 = event_data(file)};

    return epoll_ctl(ep->epfd, operation, file->fd, &event) == 0 ? 0 : errno;
}

static weir_error *register_error(struct epoll_backend *ep, int code, int fd)
{
    return weir__io_register_error(code, fd, (size_t)fd < ep->nfiles ? ep->files[fd] : NULL);
}

static weir_error *file_register(struct epoll_backend *ep, struct io_file *file, uint32_t events)
{
    int code;

    if (file->fd < 0)
        return weir_raise(EBADF, "descriptor %d", file->fd);
    if (!weir__io_files_reach(&ep->files, &ep->nfiles, file->fd))
        return weir_raise(WEIR_ENOMEM, " ");
    file->generation = ++ep->generation;
    code = control(ep, EPOLL_CTL_ADD, file, events);
    if (code)
        return register_error(ep, code, file->fd);
    ep->files[file->fd] = file;
    file->registered = 1;
    return NULL;
}

static void file_forget(struct epoll_backend *ep, struct io_file *file)
{
    if (file->registered && ep->files[file->fd] == file)
        ep->files[file->fd] = NULL;
    file->registered = 0;
}

static weir_error *ep_add(struct io_backend *backend, struct io_file *file)
{
    struct epoll_backend *ep = epoll_of(backend);

    WEIR_TRY(file_register(ep, file, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET));
    file->writable = 1;
    return NULL;
}

/* Drops what was collected about a file and not delivered yet. */
static void forget_collected(struct epoll_backend *ep, const struct io_file *file)
{
    for (int i = ep->next_event; i < ep->nevents; i++) {
        if (ep->events[i].data.u64 == event_data(file))
            ep->events[i].data.u64 = WAKE_DATA;
    }
}

static void serve_later(struct epoll_backend *ep, struct io_file *file)
{
    if (list_empty(&file->ready))
        list_append(&ep->ready, &file->ready);
}

static void ep_close(struct io_backend *backend, struct io_file *file, bool keep_fd)
{
    struct epoll_backend *ep = epoll_of(backend);

    if (file->closed)
        return;
    if (file->registered && (keep_fd || file->accepting || file->poll_events))
        (void)control(ep, EPOLL_CTL_DEL, file, 0);
    file_forget(ep, file);
    list_remove(&file->ready);
    file->closed = 1;
    file->receiving = file->accepting = file->sending = file->connecting = 0;
    file->draining = file->watch_in = file->watch_out = 0;
    if (ep->current == file)
        ep->current = NULL;
    if (!keep_fd)
        weir__close(file->fd);
}

#define CALL_OUT(ep, file, call) IO_CALL_OUT(&(ep)->base, (ep)->current, file, call)

/* Receiving */

static void receive_ended(struct epoll_backend *ep, struct io_file *file, int result)
{
    file->receiving = 0;
    file->readable = 0;
    (void)CALL_OUT(ep, file, file->ops->receive_ended(file, result));
}

static ssize_t receive_once(struct io_file *file, void *data)
{
    ssize_t n;

    do {
        n = file->no_socket ? read(file->fd, data, WEIR_CHUNK_SIZE)
                            : io_recv(file->fd, data, WEIR_CHUNK_SIZE, MSG_DONTWAIT);
        if (n < 0 && errno == ENOTSOCK && !file->no_socket) {
            file->no_socket = 1;
            errno = EINTR;
        }
    } while (n < 0 && errno == EINTR);
    return n;
}

static void receive(struct epoll_backend *ep, struct io_file *file)
{
    size_t taken = 0;

    while (file->receiving && file->readable) {
        weir_chunk *chunk;
        ssize_t n;

        if (taken >= IO_RECEIVE_BUDGET) {
            serve_later(ep, file);
            return;
        }
        chunk = weir__chunk_take(ep->base.pool);
        if (weir_unlikely(!chunk)) {
            list_remove(&file->ready);
            list_append(&ep->starved, &file->ready);
            return;
        }
        n = receive_once(file, chunk_bytes(chunk));
        if (weir_unlikely(n <= 0)) {
            int code = n < 0 ? errno : 0;

            weir_chunk_unref(chunk);
            if (code == EAGAIN)
                file->readable = 0;
            else
                receive_ended(ep, file, -code);
            return;
        }
        /* A pipe or terminal may return less than there is; a stream socket does not. */
        if ((size_t)n < WEIR_CHUNK_SIZE && !file->end_seen && !file->no_socket)
            file->readable = 0;
        taken += (size_t)n;
        if (!CALL_OUT(ep, file, file->ops->received(file, chunk, 0, (size_t)n)))
            return;
    }
}

static void ep_receive_start(struct io_backend *backend, struct io_file *file)
{
    if (file->closed || file->receiving)
        return;
    file->receiving = 1;
    if (file->readable)
        serve_later(epoll_of(backend), file);
}

static void ep_receive_stop(struct io_backend *backend, struct io_file *file)
{
    (void)backend;
    file->receiving = 0;
    if (!file->completed && !file->draining)
        list_remove(&file->ready);
}

/* Nothing is received in advance. */
static void ep_drain(struct io_backend *backend, struct io_file *file)
{
    file->draining = 1;
    serve_later(epoll_of(backend), file);
}

static bool tell_drained(struct epoll_backend *ep, struct io_file *file)
{
    file->draining = 0;
    return CALL_OUT(ep, file, file->ops->drained(file));
}

/* The next edge tells: whatever was said before has been used up. */
static void ep_watch(struct io_backend *backend, struct io_file *file, unsigned events)
{
    (void)backend;
    if (events & POLLIN) {
        file->watch_in = 1;
        file->readable = 0;
    }
    if (events & POLLOUT) {
        file->watch_out = 1;
        file->writable = 0;
    }
    if (!events) {
        file->watch_in = file->watch_out = 0;
        file->readable = file->writable = 1; /* unknown: the next call finds out */
    }
}

/* False: the file is gone. */
static bool tell_usable(struct epoll_backend *ep, struct io_file *file)
{
    unsigned events = (file->watch_in && file->readable ? (unsigned)POLLIN : 0) |
                      (file->watch_out && file->writable ? (unsigned)POLLOUT : 0);

    if (!events)
        return true;
    if (events & POLLIN)
        file->watch_in = 0;
    if (events & POLLOUT)
        file->watch_out = 0;
    return CALL_OUT(ep, file, file->ops->usable(file, events));
}

/* Sending */

static ssize_t send_once(struct io_file *file, const struct iovec *iov, int count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    ssize_t n;

    do {
        if (file->no_socket)
            n = writev(file->fd, iov, count);
        else if (count == 1)
            n = io_send(file->fd, iov->iov_base, iov->iov_len, flags);
        else
            n = io_sendmsg(file->fd, &message, flags);
        if (n < 0 && errno == ENOTSOCK && !file->no_socket) {
            file->no_socket = 1;
            errno = EINTR;
        }
    } while (n < 0 && errno == EINTR);
    return n;
}

static size_t iov_total(const struct iovec *iov, int count)
{
    size_t total = 0;

    for (int i = 0; i < count; i++)
        total += iov[i].iov_len;
    return total;
}

/* Bytes, -errno, or -EAGAIN and `writable` is off. */
static ssize_t try_send(struct io_file *file, const struct iovec *iov, int count)
{
    ssize_t n = send_once(file, iov, count);

    if (n < 0) {
        n = -errno;
        if (n == -EAGAIN)
            file->writable = 0;
    } else if ((size_t)n < iov_total(iov, count)) {
        file->writable = 0; /* the kernel's buffer is full: an edge will come */
    }
    return n;
}

static ssize_t ep_send(struct io_backend *backend, struct io_file *file, const struct iovec *iov,
                       int count)
{
    ssize_t n;

    (void)backend;
    weir_assert(!file->sending && !file->closed);
    if (count > IOV_MAX)
        count = IOV_MAX;
    if (file->writable) {
        n = try_send(file, iov, count);
        if (n != -EAGAIN)
            return n;
    }
    file->sending = 1;
    file->send_iov = iov;
    file->send_count = (unsigned)count & IO_SEND_MAX;
    return -EINPROGRESS;
}

/* False: the file is gone. */
static bool send_pending(struct epoll_backend *ep, struct io_file *file)
{
    ssize_t n = try_send(file, file->send_iov, file->send_count);

    if (n == -EAGAIN)
        return true;
    file->sending = 0;
    file->send_iov = NULL;
    return CALL_OUT(ep, file, file->ops->sent(file, n));
}

static void ep_shutdown(struct io_backend *backend, struct io_file *file)
{
    (void)backend;
    (void)shutdown(file->fd, SHUT_WR);
}

/* Connecting */

static void ep_connect(struct io_backend *backend, struct io_file *file,
                       const struct sockaddr *address, socklen_t length)
{
    struct epoll_backend *ep = epoll_of(backend);
    int code = connect(file->fd, address, length) == 0 ? 0 : errno;

    file->connecting = 1;
    /* An unconnected socket is "hung up" and "writable": what was said before does not count. */
    forget_collected(ep, file);
    file->readable = file->end_seen = 0;
    file->writable = 1;
    if (code == EINPROGRESS || code == EINTR)
        return;
    file->completed = 1;
    file->result = -code;
    serve_later(ep, file);
}

static bool connect_done(struct epoll_backend *ep, struct io_file *file, int result)
{
    file->connecting = 0;
    file->completed = 0;
    return CALL_OUT(ep, file, file->ops->connected(file, result));
}

static int socket_error(int fd)
{
    int code = 0;
    socklen_t length = sizeof(code);

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &length) != 0)
        return errno;
    return code;
}

/* Accepting */

static void ep_accept_stop(struct io_backend *backend, struct io_file *file)
{
    struct epoll_backend *ep = epoll_of(backend);

    if (!file->accepting)
        return;
    file->accepting = 0;
    (void)control(ep, EPOLL_CTL_DEL, file, 0);
    file_forget(ep, file);
}

static void ep_accept_start(struct io_backend *backend, struct io_file *file)
{
    struct epoll_backend *ep = epoll_of(backend);
    weir_error *error;

    if (file->accepting || file->closed)
        return;
    if (file->registered) {
        (void)control(ep, EPOLL_CTL_DEL, file, 0);
        file_forget(ep, file);
    }
    error = file_register(ep, file, EPOLLIN | EPOLLEXCLUSIVE);
    file->accepting = 1;
    if (error) {
        /* Out of kernel memory: tell the owner as accept would. */
        file->accepting = 0;
        file->completed = 1;
        file->result = -weir_code_errno(weir_error_code(error));
        weir_error_unref(error);
        serve_later(ep, file);
    }
}

static void accept_some(struct epoll_backend *ep, struct io_file *file)
{
    int passed = 0;

    for (int i = 0; i < IO_ACCEPTS_MAX && file->accepting; i++) {
        struct sockaddr_storage peer;
        socklen_t length;
        int result = weir__io_accept(file->fd, &peer, &length);

        if (result == -EAGAIN)
            return;
        if (weir__io_accept_passes(result) && ++passed < IO_ACCEPTS_MAX)
            continue;
        if (result < 0) {
            /* Without descriptors or memory a level-triggered socket would spin. */
            ep_accept_stop(&ep->base, file);
            (void)CALL_OUT(ep, file, file->ops->accepted(file, result, NULL, 0));
            return;
        }
        if (!CALL_OUT(ep, file,
                      file->ops->accepted(file, result, (struct sockaddr *)&peer, length)))
            return;
    }
}

/* Polling */

static weir_error *ep_poll(struct io_backend *backend, struct io_file *file, unsigned events)
{
    struct epoll_backend *ep = epoll_of(backend);
    uint32_t wanted = (events & POLLIN ? EPOLLIN : 0u) | (events & POLLOUT ? EPOLLOUT : 0u);
    int code;

    if (!events) {
        if (file->registered)
            (void)control(ep, EPOLL_CTL_DEL, file, 0);
        file_forget(ep, file);
    } else if (!file->registered) {
        WEIR_TRY(file_register(ep, file, wanted));
    } else {
        code = control(ep, EPOLL_CTL_MOD, file, wanted);
        if (code)
            return register_error(ep, code, file->fd);
    }
    file->poll_events = events & IO_POLL_EVENTS;
    return NULL;
}

static unsigned poll_events_of(uint32_t events)
{
    return (events & EPOLLIN ? (unsigned)POLLIN : 0) | (events & EPOLLOUT ? (unsigned)POLLOUT : 0) |
           (events & EPOLLERR ? (unsigned)POLLERR : 0) |
           (events & EPOLLHUP ? (unsigned)POLLHUP : 0);
}

/* Waiting and delivering */

/* An edge of a stream; the order is connect, receive, send, so that bytes which arrived before a
   reset are delivered before the reset is. */
static void deliver_stream(struct epoll_backend *ep, struct io_file *file, uint32_t events)
{
    if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
        file->writable = 1;
    if (file->connecting && !file->completed && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) &&
        !connect_done(ep, file, -socket_error(file->fd)))
        return;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))
        file->readable = 1;
    if (events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP))
        file->end_seen = 1;
    if (file->receiving && file->readable)
        receive(ep, file);
    if (ep->current == file && file->sending && file->writable && !send_pending(ep, file))
        return;
    if (ep->current == file && (file->watch_in || file->watch_out) && !tell_usable(ep, file))
        return;
    if (ep->current == file && !file->receiving && !file->connecting &&
        (events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) && file->ops->hangup)
        (void)CALL_OUT(ep, file, file->ops->hangup(file));
}

static void deliver_poll(struct epoll_backend *ep, struct io_file *file, uint32_t events)
{
    unsigned wanted = file->poll_events | (unsigned)POLLERR | (unsigned)POLLHUP;
    unsigned there = poll_events_of(events) & wanted;

    if (!there)
        return;
    if (file->ops->polled_steps)
        file->ops->polled(file, there);
    else
        (void)CALL_OUT(ep, file, file->ops->polled(file, there));
}

static void deliver(struct epoll_backend *ep, const struct epoll_event *event)
{
    uint32_t fd = (uint32_t)event->data.u64;
    uint32_t generation = (uint32_t)(event->data.u64 >> 32);
    struct io_file *file;

    if (event->data.u64 == WAKE_DATA)
        return; /* edge-triggered: it need not be read */
    file = ep->files[fd];
    if (!file || file->generation != generation)
        return;
    ep->current = file;
    if (file->poll_events)
        deliver_poll(ep, file, event->events);
    else if (file->accepting)
        accept_some(ep, file);
    else
        deliver_stream(ep, file, event->events);
    ep->current = NULL;
}

/* A file of the ready list: a connect that ended at once, or a receive that goes on. */
static void serve(struct epoll_backend *ep, struct io_file *file)
{
    ep->current = file;
    if (file->completed && file->connecting) {
        (void)connect_done(ep, file, file->result);
    } else if (file->completed) {
        file->completed = 0;
        (void)CALL_OUT(ep, file, file->ops->accepted(file, file->result, NULL, 0));
    } else if (!file->draining || tell_drained(ep, file)) {
        receive(ep, file);
    }
    ep->current = NULL;
}

static int wait_for_events(struct epoll_backend *ep, int64_t timeout_ns)
{
    int ms;

    if (timeout_ns > 0 && ep->has_pwait2) {
        struct timespec timeout = {.tv_sec = timeout_ns / 1000000000,
                                   .tv_nsec = timeout_ns % 1000000000};

        return epoll_pwait2(ep->epfd, ep->events, EVENTS_MAX, &timeout, NULL);
    }
    /* Rounded up: waking before the timer is due would poll again and again. */
    if (timeout_ns > (int64_t)(INT_MAX - 1) * 1000000)
        ms = INT_MAX;
    else
        ms = timeout_ns < 0 ? -1 : (int)((timeout_ns + 999999) / 1000000);
    return epoll_wait(ep->epfd, ep->events, EVENTS_MAX, ms);
}

static weir_error *ep_wait(struct io_backend *backend, int64_t timeout_ns, int *ret_events)
{
    struct epoll_backend *ep = epoll_of(backend);
    int n;

    if (weir_unlikely(!list_empty(&ep->starved)) && chunk_pool_has_room(backend->pool))
        list_splice(&ep->ready, &ep->starved);
    n = wait_for_events(ep, list_empty(&ep->ready) ? timeout_ns : 0);
    if (n < 0 && errno != EINTR)
        return weir_raise(errno, "epoll_wait");
    ep->nevents = n > 0 ? n : 0;
    ep->next_event = 0;
    *ret_events = ep->nevents;
    return NULL;
}

static void ep_dispatch(struct io_backend *backend)
{
    struct epoll_backend *ep = epoll_of(backend);
    struct list serving;

    list_init(&serving);
    list_splice(&serving, &ep->ready);
    while (ep->next_event < ep->nevents) {
        backend->undelivered = (unsigned)(ep->nevents - ep->next_event - 1);
        deliver(ep, &ep->events[ep->next_event++]);
        if (backend->undelivered % DELIVERIES == 0 && backend->delivered)
            backend->delivered(backend->delivered_arg);
    }
    while (!list_empty(&serving)) {
        struct io_file *file = container_of(serving.next, struct io_file, ready);

        list_remove(&file->ready);
        serve(ep, file);
    }
    step_end(backend->step);
}

static void ep_wake(struct io_backend *backend)
{
    uint64_t one = 1;
    int saved = errno;
    ssize_t ignored = write(epoll_of(backend)->wakefd, &one, sizeof(one));

    (void)ignored;
    errno = saved;
}

/* Without a call: what an edge said and no receive has used up. */
static bool ep_has_unread(const struct io_backend *backend, const struct io_file *file)
{
    (void)backend;
    return file->readable;
}

static size_t ep_interests(const struct io_backend *backend)
{
    const struct epoll_backend *ep =
        container_of((struct io_backend *)(uintptr_t)backend, struct epoll_backend, base);
    size_t count = 0;

    for (size_t fd = 0; fd < ep->nfiles; fd++) {
        const struct io_file *file = ep->files[fd];

        count += file && io_file_is_active(file);
    }
    return count;
}

/* Life */

static void ep_destroy(struct io_backend *backend)
{
    struct epoll_backend *ep = epoll_of(backend);

    if (ep->wakefd >= 0)
        close(ep->wakefd);
    if (ep->epfd >= 0)
        close(ep->epfd);
    weir__free(ep->files);
    weir__free(ep);
}

/* Too old a kernel, a seccomp filter, valgrind: any failure means that it is not to be used. */
static bool probe_pwait2(struct epoll_backend *ep)
{
    struct timespec none = {0};

    return epoll_pwait2(ep->epfd, ep->events, 1, &none, NULL) >= 0;
}

static weir_error *ep_create(struct io_backend **ret)
{
    struct epoll_event wake = {.events = EPOLLIN | EPOLLET, .data.u64 = WAKE_DATA};
    struct epoll_backend *ep = weir__calloc(1, sizeof(*ep));
    int code;

    if (!ep)
        return weir_raise(WEIR_ENOMEM, " ");
    ep->base.ops = &weir__io_epoll;
    list_init(&ep->ready);
    list_init(&ep->starved);
    ep->wakefd = -1;
    ep->epfd = epoll_create1(EPOLL_CLOEXEC);
    if (ep->epfd < 0)
        goto fail;
    ep->has_pwait2 = probe_pwait2(ep);
    ep->wakefd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (ep->wakefd < 0 || epoll_ctl(ep->epfd, EPOLL_CTL_ADD, ep->wakefd, &wake) != 0)
        goto fail;
    *ret = &ep->base;
    return NULL;

fail:
    code = errno;
    ep_destroy(&ep->base);
    return weir_raise(code, "making an epoll instance for the loop");
}

void weir__epoll_forget_pwait2(struct io_backend *backend)
{
    epoll_of(backend)->has_pwait2 = false;
}

const struct io_backend_ops weir__io_epoll = {
    .name = "epoll",
    .create = ep_create,
    .destroy = ep_destroy,
    .add = ep_add,
    .close = ep_close,
    .receive_start = ep_receive_start,
    .receive_stop = ep_receive_stop,
    .accept_start = ep_accept_start,
    .accept_stop = ep_accept_stop,
    .connect = ep_connect,
    .send = ep_send,
    .shutdown = ep_shutdown,
    .drain = ep_drain,
    .watch = ep_watch,
    .poll = ep_poll,
    .wait = ep_wait,
    .dispatch = ep_dispatch,
    .wake = ep_wake,
    .has_unread = ep_has_unread,
    .interests = ep_interests,
};
