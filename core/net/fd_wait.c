/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks that wait for a descriptor of somebody else: a watch of the loop for as long as the call
 * lasts. Its callback wakes the task and stays in force until the task has run, so it is taken out
 * by whoever comes first: the callback, or the interruption.
 */
#include "config.h"

#include <weir/pipe.h>

#include "core/loop/loop.h"
#include "core/task/wait.h"

struct fd_wait {
    struct waiter waiter;
    weir_loop *loop;
    int fd;
    bool write;
};

static void stop_watching(const struct fd_wait *wait)
{
    if (wait->write)
        (void)weir_loop_remove_writer(wait->loop, wait->fd);
    else
        (void)weir_loop_remove_reader(wait->loop, wait->fd);
}

static weir_error *is_ready(void *arg)
{
    struct fd_wait *wait = arg;

    stop_watching(wait);
    weir__wait_wake(&wait->waiter);
    return NULL;
}

static bool detach(struct waiter *waiter)
{
    stop_watching(container_of(waiter, struct fd_wait, waiter));
    return true;
}

static weir_error *wait_for(const weir_site *site, int fd, bool write)
{
    struct fd_wait wait = {.fd = fd, .write = write};

    WEIR_TRY(weir__wait_begin(&wait.waiter));
    wait.loop = weir_loop_current();
    if (weir__loop_watched(wait.loop, fd, write))
        return weir_raise(WEIR_EBUSY, "somebody waits for descriptor %d to be %s already", fd,
                          write ? "writable" : "readable");
    if (write)
        WEIR_TRY(weir_loop_add_writer_at(site, "is_ready", wait.loop, fd, is_ready, &wait));
    else
        WEIR_TRY(weir_loop_add_reader_at(site, "is_ready", wait.loop, fd, is_ready, &wait));
    return weir__wait(&wait.waiter, detach);
}

weir_error *weir_fd_wait_readable_at(const weir_site *site, int fd)
{
    return wait_for(site, fd, false);
}

weir_error *weir_fd_wait_writable_at(const weir_site *site, int fd)
{
    return wait_for(site, fd, true);
}
