/* SPDX-License-Identifier: Apache-2.0 */
/*
 * add_reader and add_writer: one watch per descriptor with two directions. Readiness runs the
 * direction's job where it is delivered, the reader first; it is level-triggered, so what the callback
 * leaves unread is reported again. Error and hang-up count as ready both ways, as they do for select.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "core/base/alloc.h"
#include "core/base/mutate.h"
#include "core/loop/internal.h"

struct direction {
    struct job job;
    weir_loop *loop;
    const char *name;
    weir_fn fn; /* NULL: not watched */
    void *arg;
};

struct watch {
    struct io_file file;
    struct direction reader, writer;
};

static weir_error *direction_run(struct job *job)
{
    struct direction *direction = container_of(job, struct direction, job);
    weir_loop *loop = direction->loop;
    const weir_site *site = job->site;
    const char *name = direction->name;
    weir_error *error = direction->fn(direction->arg);

    if (weir_unlikely(error != NULL))
        weir__callback_failed(loop, name, site, NULL, error);
    return NULL;
}

/* The reader may remove the watch, which clears `delivering`. */
static void watch_polled(struct io_file *file, unsigned events)
{
    struct watch *watch = container_of(file, struct watch, file);
    weir_loop *loop = watch->reader.loop;

    loop->delivering = watch;
    if (watch->reader.fn && (events & (POLLIN | POLLERR | POLLHUP)))
        weir__loop_run_job(loop, &watch->reader.job);
    if (loop->delivering == watch && watch->writer.fn && (events & (POLLOUT | POLLERR | POLLHUP)))
        weir__loop_run_job(loop, &watch->writer.job);
    loop->delivering = NULL;
}

static const struct io_file_ops watch_ops = {.polled = watch_polled, .polled_steps = true};

static weir_error *watches_reach(weir_loop *loop, int fd)
{
    size_t count = loop->nwatches ? loop->nwatches : 32;
    struct watch **watches;

    if (fd < 0)
        return weir_raise(EBADF, "descriptor %d", fd);
    if ((size_t)fd < loop->nwatches)
        return NULL;
    while (count <= (size_t)fd)
        count *= 2;
    watches = weir__reallocarray(loop->watches, count, sizeof(watches[0]));
    if (!watches)
        return weir_raise(WEIR_ENOMEM, " ");
    memset(watches + loop->nwatches, 0, (count - loop->nwatches) * sizeof(watches[0]));
    loop->watches = watches;
    loop->nwatches = count;
    return NULL;
}

static weir_error *watch_find_or_make(weir_loop *loop, const weir_site *site, int fd,
                                      struct watch **ret)
{
    struct watch *watch;

    WEIR_TRY(watches_reach(loop, fd));
    watch = loop->watches[fd];
    if (!watch) {
        watch = weir__calloc(1, sizeof(*watch));
        if (!watch)
            return weir_raise(WEIR_ENOMEM, " ");
        io_file_init(&watch->file, &watch_ops, fd, site);
        job_init(&watch->reader.job, direction_run, site);
        job_init(&watch->writer.job, direction_run, site);
        watch->reader.loop = watch->writer.loop = loop;
        loop->watches[fd] = watch;
    }
    *ret = watch;
    return NULL;
}

static unsigned wanted(const struct watch *watch)
{
    return (watch->reader.fn ? (unsigned)POLLIN : 0) | (watch->writer.fn ? (unsigned)POLLOUT : 0);
}

/* Tells the backend what is wanted now; a watch that wants nothing ends. */
static weir_error *watch_update(weir_loop *loop, struct watch *watch)
{
    unsigned events = wanted(watch);
    weir_error *error = NULL;

    if (events != watch->file.poll_events)
        error = loop->io->ops->poll(loop->io, &watch->file, events);
    if (events == 0) {
        loop->watches[watch->file.fd] = NULL;
        if (loop->delivering == watch)
            loop->delivering = NULL;
        loop->io->ops->close(loop->io, &watch->file, true);
        weir__free(watch);
    }
    return error;
}

/* In debug mode: a callback that reads until there is no more would stop the loop. */
static weir_error *check_nonblocking(const weir_loop *loop, int fd)
{
    int flags;

    if (!loop->debug || MUTATED(B6))
        return NULL;
    flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && !(flags & O_NONBLOCK))
        return weir_raise(WEIR_EINVAL, "descriptor %d must be non-blocking", fd);
    return NULL;
}

static weir_error *watch_add(const weir_site *site, const char *name, weir_loop *loop, int fd,
                             bool write, weir_fn fn, void *arg)
{
    struct watch *watch = NULL;
    struct direction *direction;
    weir_error *error;

    WEIR_TRY(
        weir__loop_check_call(loop, write ? "weir_loop_add_writer" : "weir_loop_add_reader", site));
    if (!fn)
        return weir_raise(WEIR_EINVAL, "a callback is needed, not NULL");
    WEIR_TRY(check_nonblocking(loop, fd));
    WEIR_TRY(watch_find_or_make(loop, site, fd, &watch));
    direction = write ? &watch->writer : &watch->reader;
    if (!direction->fn) {
        direction->fn = fn;
        error = watch_update(loop, watch);
        if (error) {
            direction->fn = NULL;
            weir_ignore(watch_update(loop, watch));
            return error;
        }
    }
    direction->fn = fn;
    direction->arg = arg;
    direction->name = name;
    direction->job.site = site;
    return NULL;
}

static bool watch_remove(weir_loop *loop, int fd, bool write)
{
    struct watch *watch;
    struct direction *direction;

    watch = fd >= 0 && (size_t)fd < loop->nwatches ? loop->watches[fd] : NULL;
    if (!watch)
        return false;
    direction = write ? &watch->writer : &watch->reader;
    if (!direction->fn)
        return false;
    direction->fn = NULL;
    weir__job_cancel(&direction->job);
    weir_ignore(watch_update(loop, watch));
    return true;
}

bool weir__loop_watched(const weir_loop *loop, int fd, bool write)
{
    const struct watch *watch;

    if (fd < 0 || (size_t)fd >= loop->nwatches || !loop->watches[fd])
        return false;
    watch = loop->watches[fd];
    return (write ? watch->writer.fn : watch->reader.fn) != NULL;
}

weir_error *weir_loop_add_reader_at(const weir_site *site, const char *name, weir_loop *loop,
                                    int fd, weir_fn fn, void *arg)
{
    return watch_add(site, name, loop, fd, false, fn, arg);
}

weir_error *weir_loop_add_writer_at(const weir_site *site, const char *name, weir_loop *loop,
                                    int fd, weir_fn fn, void *arg)
{
    return watch_add(site, name, loop, fd, true, fn, arg);
}

bool weir_loop_remove_reader(weir_loop *loop, int fd)
{
    if (loop->closed || !weir__loop_allows(loop))
        return false;
    return watch_remove(loop, fd, false);
}

bool weir_loop_remove_writer(weir_loop *loop, int fd)
{
    if (loop->closed || !weir__loop_allows(loop))
        return false;
    return watch_remove(loop, fd, true);
}

void weir__watches_close(weir_loop *loop)
{
    for (size_t fd = 0; fd < loop->nwatches; fd++) {
        struct watch *watch = loop->watches[fd];

        if (!watch)
            continue;
        watch->reader.fn = watch->writer.fn = NULL;
        weir_ignore(watch_update(loop, watch));
    }
    weir__free(loop->watches);
    loop->watches = NULL;
    loop->nwatches = 0;
}

static const char *direction_name(const struct job *job)
{
    return container_of((struct job *)(uintptr_t)job, struct direction, job)->name;
}

static struct job_kind direction_kind = {
    .run = direction_run,
    .label = "Handle",
    .name = direction_name,
};

void weir__watch_kinds_register(void)
{
    weir__job_kind_register(&direction_kind);
}
