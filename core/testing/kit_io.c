/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backend of a loop under test: it stands around the loop's own, whichever that is.
 *
 *     transport ── io_file ──> kit_file ── real io_file ──> epoll, io_uring      (the kernel's)
 *                                 └────── memory_end ⇄ memory_end ── kit_file    (in memory)
 *
 * The user's io_file is this backend's; the real one knows another in its place, whose completions
 * come here first. So every operation and every completion can be made to fail, to wait or to move
 * less, by the same code for both. Bytes that must wait lie in the file's inbox.
 *
 * As for any backend, a callback may close its own file or another. `current` tells whether the file
 * whose callback runs still exists; files to be served are on a list that closing takes them from.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/chunk.h"
#include "core/base/invariant.h"
#include "core/testing/kit.h"

static struct kit_io *io_of(struct io_backend *backend)
{
    return container_of(backend, struct kit_io, base);
}

static struct kit_file *file_of_real(struct io_file *real)
{
    return container_of(real, struct kit_file, real);
}

void *weir__kit_alloc(size_t size)
{
    unsigned long plan = kit_unplan();
    void *memory = weir__calloc(1, size);

    weir__alloc_fail_nth = plan;
    if (!memory)
        abort();
    return memory;
}

uint64_t weir__kit_random(struct kit_io *io)
{
    uint64_t z = io->random += 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

void weir__kit_schedule(struct kit_file *file)
{
    if (list_empty(&file->due))
        list_append(&file->io->due, &file->due);
}

/* Files */

static const struct io_file_ops real_ops;

static weir_error *held_due(struct job *job)
{
    weir__kit_schedule(container_of(job, struct kit_file, timer.job));
    return NULL;
}

struct kit_file *weir__kit_file(struct kit_io *io, struct io_file *user)
{
    struct kit_file *file = user->backend_data;

    if (file)
        return file;
    file = weir__kit_alloc(sizeof(*file));
    file->user = user;
    file->io = io;
    file->inbox = &file->own;
    file->faults = io->faults;
    file->refusals = file->faults.refuse;
    list_init(&file->due);
    weir__timer_init(&file->timer, held_due, user->site);
    io_file_init(&file->real, &real_ops, user->fd, user->site);
    list_append(&io->files, &file->link);
    user->backend_data = file;
    return file;
}

static void backlog_drop(struct kit_file *file)
{
    while (file->backlog) {
        struct backlog *first = file->backlog;

        file->backlog = first->next;
        close(first->fd);
        weir__free(first);
    }
}

static void file_free(struct kit_file *file)
{
    if (file->io->current == file)
        file->io->current = NULL;
    file->user->backend_data = NULL;
    weir__timer_stop(file->io->loop, &file->timer);
    list_remove(&file->due);
    list_remove(&file->link);
    weir__inbox_drop(&file->own);
    backlog_drop(file);
    weir__free(file->cut);
    weir__free(file);
}

static weir_error *kit_add(struct io_backend *backend, struct io_file *user)
{
    struct kit_io *io = io_of(backend);
    struct kit_file *file = weir__kit_file(io, user);
    struct memory_end *end = weir__memory_find(io, user->fd);
    weir_error *error;

    if (end) {
        weir__memory_attach(end, file);
    } else {
        error = io->real->ops->add(io->real, &file->real);
        if (error) {
            file_free(file);
            return error;
        }
    }
    user->registered = 1;
    user->writable = 1;
    return NULL;
}

static void kit_close(struct io_backend *backend, struct io_file *user, bool keep_fd)
{
    struct kit_io *io = io_of(backend);
    struct kit_file *file = user->backend_data;

    if (user->closed)
        return;
    user->closed = 1;
    user->registered = user->receiving = user->accepting = user->sending = user->connecting = 0;
    if (file && file->end)
        weir__memory_close(io, file->end, keep_fd);
    if (file && !file->in_memory)
        io->real->ops->close(io->real, &file->real, keep_fd);
    else if (!keep_fd)
        close(user->fd);
    if (file)
        file_free(file);
}

/* Connecting, accepting, polling */

static void kit_connect(struct io_backend *backend, struct io_file *user,
                        const struct sockaddr *address, socklen_t length)
{
    struct kit_io *io = io_of(backend);
    struct kit_file *file = weir__kit_file(io, user);

    user->connecting = 1;
    io->real->ops->connect(io->real, &file->real, address, length);
}

static void real_connected(struct io_file *real, int result)
{
    struct kit_file *file = file_of_real(real);

    if (file->faults.fail_connect) {
        file->io->counts.failed++;
        result = -(file->faults.code ? file->faults.code : ECONNRESET);
    }
    file->user->connecting = 0;
    (void)KIT_CALL(file, file->user->ops->connected(file->user, result));
}

static void kit_accept_start(struct io_backend *backend, struct io_file *user)
{
    struct kit_io *io = io_of(backend);
    struct kit_file *file;

    if (user->accepting || user->closed)
        return;
    file = weir__kit_file(io, user);
    user->accepting = 1;
    file->in_memory = weir__memory_listener(io, user->fd);
    if (!file->in_memory)
        io->real->ops->accept_start(io->real, &file->real);
    if (file->backlog)
        weir__kit_schedule(file);
}

static void kit_accept_stop(struct io_backend *backend, struct io_file *user)
{
    struct kit_io *io = io_of(backend);
    struct kit_file *file = user->backend_data;

    user->accepting = 0;
    if (file && !file->in_memory)
        io->real->ops->accept_stop(io->real, &file->real);
}

/* False: the file is gone, or accepts no more. */
static bool accept_one(struct kit_file *file, int result, const struct sockaddr *peer,
                       socklen_t length)
{
    int code = result >= 0 ? weir__faults_accept(file) : -result;

    if (code) {
        if (result >= 0)
            close(result);
        kit_accept_stop(&file->io->base, file->user);
        (void)KIT_CALL(file, file->user->ops->accepted(file->user, -code, NULL, 0));
        return false;
    }
    return KIT_CALL(file, file->user->ops->accepted(file->user, result, peer, length)) &&
           file->user->accepting;
}

static void real_accepted(struct io_file *real, int result, const struct sockaddr *peer,
                          socklen_t length)
{
    (void)accept_one(file_of_real(real), result, peer, length);
}

static void accept_backlog(struct kit_file *file)
{
    static const struct sockaddr_un nobody = {.sun_family = AF_UNIX};

    while (file->backlog && file->user->accepting) {
        struct backlog *first = file->backlog;
        int fd = first->fd;

        file->backlog = first->next;
        weir__free(first);
        if (!accept_one(file, fd, (const struct sockaddr *)&nobody, sizeof(sa_family_t)))
            return;
    }
}

static weir_error *kit_poll(struct io_backend *backend, struct io_file *user, unsigned events)
{
    struct kit_io *io = io_of(backend);
    struct kit_file *file = weir__kit_file(io, user);

    WEIR_TRY(io->real->ops->poll(io->real, &file->real, events));
    user->poll_events = events & IO_POLL_EVENTS;
    return NULL;
}

static void real_polled(struct io_file *real, unsigned events)
{
    struct kit_file *file = file_of_real(real);
    struct kit_io *io = file->io;
    const struct io_file_ops *ops = file->user->ops;

    io->completions++;
    if (ops->polled_steps) {
        ops->polled(file->user, events);
        return;
    }
    io->in_real = false; /* the real backend leaves it to us to publish the step */
    (void)KIT_CALL(file, ops->polled(file->user, events));
    io->in_real = true;
}

/* What is held comes before the end. */
static bool may_hang_up(const struct kit_file *file)
{
    bool left =
        file->end ? file->inbox->ended && !file->end->peer && !file->hung_up : file->real_hung_up;

    return left && !file->user->receiving && !file->inbox->first;
}

static void hang_up(struct kit_file *file)
{
    file->user->end_seen = 1;
    file->real_hung_up = false; /* a half close comes first, then perhaps the rest */
    file->hung_up = true;
    if (file->user->ops->hangup)
        (void)KIT_CALL(file, file->user->ops->hangup(file->user));
}

static void real_hangup(struct io_file *real)
{
    struct kit_file *file = file_of_real(real);

    file->real_hung_up = true;
    file->user->result = real->result;
    if (may_hang_up(file))
        hang_up(file);
}

static const struct io_file_ops real_ops = {
    .received = weir__kit_real_received,
    .receive_ended = weir__kit_real_receive_ended,
    .accepted = real_accepted,
    .connected = real_connected,
    .sent = weir__kit_real_sent,
    .polled = real_polled,
    .polled_steps = true,
    .hangup = real_hangup,
};

/* Waiting */

static void serve(struct kit_file *file)
{
    struct kit_io *io = file->io;

    io->current = file;
    if (file->iov && !weir__kit_go_on_sending(file))
        return;
    io->current = file;
    if (file->backlog)
        accept_backlog(file);
    else if (file->inbox->first || file->inbox->ended)
        weir__kit_deliver(file);
    if (io->current == file && may_hang_up(file))
        hang_up(file);
}

static struct kit_file *next_to_serve(struct kit_io *io, const struct list *serving)
{
    struct list *link = serving->next;

    if (io->shuffle) {
        size_t count = 0, skip;

        for (const struct list *at = serving->next; at != serving; at = at->next)
            count++;
        for (skip = weir__kit_random(io) % count; skip > 0; skip--)
            link = link->next;
    }
    return container_of(link, struct kit_file, due);
}

static void feed_starved(struct kit_io *io)
{
    weir_list_foreach(file, &io->files, struct kit_file, link) {
        if (!file->in_memory)
            file->user->readable = file->real.readable;
        if (file->starved && chunk_pool_has_room(io->base.pool)) {
            file->starved = false;
            weir__kit_schedule(file);
        }
    }
}

static bool interrupted(struct kit_io *io)
{
    unsigned every = io->faults.interrupt_every;

    if (!every || ++io->waits % (every < 2 ? 2 : every) != 0)
        return false;
    io->counts.interrupted++;
    return true;
}

/* A signal ends the waiting: what epoll would have told stays with the kernel, and a ring has been
   given its entries by then. */
static weir_error *submit_only(struct kit_io *io)
{
    int events;

    if (strcmp(io->real->ops->name, "io_uring") != 0)
        return NULL;
    io->real->pool = io->base.pool;
    return io->real->ops->wait(io->real, 0, &events);
}

static weir_error *kit_wait(struct io_backend *backend, int64_t timeout_ns, int *ret_events)
{
    struct kit_io *io = io_of(backend);

    io->skipping = interrupted(io);
    weir_list_foreach(file, &io->files, struct kit_file, link)
        weir__kit_refresh_cut(file);
    if (io->skipping) {
        *ret_events = 0;
        return submit_only(io);
    }
    io->real->pool = backend->pool;
    io->real->observer = backend->observer;
    io->real->observer_arg = backend->observer_arg;
    WEIR_TRY(io->real->ops->wait(io->real, weir__kit_io_ready(io) ? 0 : timeout_ns, ret_events));
    return NULL;
}

static void kit_dispatch(struct io_backend *backend)
{
    struct kit_io *io = io_of(backend);
    struct list serving;

    if (io->skipping)
        return;
    io->in_real = true;
    io->real->ops->dispatch(io->real);
    io->in_real = false;
    weir__memory_sweep(io);
    feed_starved(io);
    list_init(&serving);
    list_splice(&serving, &io->due);
    while (!list_empty(&serving)) {
        struct kit_file *file = next_to_serve(io, &serving);

        list_remove(&file->due);
        serve(file);
        io->current = NULL;
    }
    step_end(backend->step);
}

static void kit_wake(struct io_backend *backend)
{
    struct kit_io *io = io_of(backend);

    io->real->ops->wake(io->real);
}

static bool kit_has_unread(const struct io_backend *backend, const struct io_file *user)
{
    struct kit_io *io = io_of((struct io_backend *)(uintptr_t)backend);
    struct kit_file *file = user->backend_data;

    return file && !file->in_memory && io->real->ops->has_unread(io->real, &file->real);
}

bool weir__kit_io_ready(const struct kit_io *io)
{
    if (!list_empty(&io->due))
        return true;
    if (!chunk_pool_has_room(io->base.pool))
        return false;
    weir_list_foreach(file, (struct list *)(uintptr_t)&io->files, struct kit_file, link) {
        if (file->starved)
            return true;
    }
    return false;
}

size_t weir__kit_io_interests(const struct kit_io *io)
{
    return io->real->ops->interests(io->real);
}

static size_t kit_interests(const struct io_backend *backend)
{
    return weir__kit_io_interests(io_of((struct io_backend *)(uintptr_t)backend));
}

/* Life */

static void kit_destroy(struct io_backend *backend)
{
    struct kit_io *io = io_of(backend);

    while (!list_empty(&io->files))
        file_free(container_of(io->files.next, struct kit_file, link));
    weir__memory_done(io);
    io->real->ops->destroy(io->real);
    if (io->chunks_left)
        *io->chunks_left = io->base.pool->live;
    weir__free(io);
}

static weir_error *kit_create(struct io_backend **ret)
{
    (void)ret;
    return weir_raise(WEIR_EUNSUPPORTED, "the backend of a test stands around a loop's own");
}

static const struct io_backend_ops kit_ops = {
    .name = "test",
    .create = kit_create,
    .destroy = kit_destroy,
    .add = kit_add,
    .close = kit_close,
    .receive_start = weir__kit_receive_start,
    .receive_stop = weir__kit_receive_stop,
    .accept_start = kit_accept_start,
    .accept_stop = kit_accept_stop,
    .connect = kit_connect,
    .send = weir__kit_send,
    .shutdown = weir__kit_shutdown,
    .poll = kit_poll,
    .wait = kit_wait,
    .dispatch = kit_dispatch,
    .wake = kit_wake,
    .has_unread = kit_has_unread,
    .interests = kit_interests,
};

weir_error *weir__kit_io_new(weir_loop *loop, uint64_t seed, struct kit_io **ret)
{
    struct kit_io *io = weir__kit_alloc(sizeof(*io));

    io->base.ops = &kit_ops;
    io->real = weir__loop_io(loop);
    io->base.step = io->real->step;
    io->loop = loop;
    io->random = seed;
    list_init(&io->files);
    list_init(&io->due);
    list_init(&io->ends);
    weir__loop_set_io(loop, &io->base);
    *ret = io;
    return NULL;
}
