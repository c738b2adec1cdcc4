/* SPDX-License-Identifier: Apache-2.0 */
/* Starting and ending one worker process, by the thread of the pool that uses it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/exec/process_pool.h"
#include "core/exec/spawn.h"
#include "core/exec/wire.h"

#define NSEC_PER_MSEC 1000000

static void set_receive_limit(int fd, weir_duration limit)
{
    struct timeval tv = {.tv_sec = limit.ns / 1000000000, .tv_usec = limit.ns % 1000000000 / 1000};

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

static weir_error *start_program(weir_process_pool *pool, struct pool_worker *worker, int null,
                                 int peer)
{
    const char *const argv[] = {pool->argv0, WIRE_ARGUMENT, pool->module, NULL};
    const struct spawn_fd fds[] = {{null, STDIN_FILENO},
                                   {STDOUT_FILENO, STDOUT_FILENO},
                                   {STDERR_FILENO, STDERR_FILENO},
                                   {peer, WIRE_FD}};
    const struct spawn spawn = {.file = pool->program,
                                .argv = argv,
                                .fds = fds,
                                .nfds = sizeof(fds) / sizeof(fds[0]),
                                .death_signal = SIGKILL};
    pid_t pid = 0;

    WEIR_TRY(weir__spawn_process(&spawn, &pid, &worker->pidfd));
    worker->pid = pid;
    return NULL;
}

/* Its first words: that it is ready, or why not. */
static weir_error *hear_hello(weir_process_pool *pool, struct pool_worker *worker)
{
    char text[NAMED_ERROR_MAX], how[64];
    struct wire_head head;
    int result, pid = worker->pid;

    set_receive_limit(worker->fd, pool->start_limit);
    result = weir__wire_receive_head(worker->fd, &head);
    if (!result && (head.kind != WIRE_HELLO || head.len >= sizeof(text)))
        result = -EPROTO;
    if (!result)
        result = weir__wire_receive(worker->fd, text, (size_t)head.len);
    set_receive_limit(worker->fd, WEIR_NS(0));
    if (!result && head.code == 0)
        return NULL;
    if (!result) {
        text[head.len] = '\0';
        (void)weir__pool_worker_end(worker, WEIR_S(1));
        return weir__named_restore(head.code, text, "a worker process");
    }
    weir__spawn_describe(weir__pool_worker_end(worker, WEIR_NS(0)), how, sizeof(how));
    if (result == -EAGAIN)
        return weir_raise(WEIR_EWORKER, "worker process %d of pool %s was not ready in time", pid,
                          pool->executor->name);
    return weir_raise(WEIR_EWORKER, "worker process %d of pool %s %s before it was ready", pid,
                      pool->executor->name, how);
}

weir_error *weir__pool_worker_start(weir_process_pool *pool, struct pool_worker *worker)
{
    int ends[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
    weir_error *error;

    if (null < 0)
        return weir_raise(errno, "open /dev/null");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        error = weir_raise(errno, "socket pair of a worker process");
        close(null);
        return error;
    }
    *worker = (struct pool_worker){.fd = ends[0], .pidfd = -1};
    error = start_program(pool, worker, null, ends[1]);
    close(null);
    close(ends[1]);
    if (error) {
        close(ends[0]);
        return error;
    }
    return hear_hello(pool, worker);
}

bool weir__pool_worker_alive(const struct pool_worker *worker)
{
    struct pollfd pollfd = {.fd = worker->pidfd, .events = POLLIN};

    return worker->pid && poll(&pollfd, 1, 0) == 0;
}

int weir__pool_worker_end(struct pool_worker *worker, weir_duration limit)
{
    struct pollfd pollfd = {.fd = worker->pidfd, .events = POLLIN};
    int code = 0;
    bool lost;

    if (!worker->pid)
        return 0;
    close(worker->fd);
    if (poll(&pollfd, 1, (int)(limit.ns / NSEC_PER_MSEC)) <= 0)
        (void)weir__spawn_signal(worker->pidfd, SIGKILL);
    (void)weir__spawn_reap(worker->pidfd, true, &code, &lost);
    close(worker->pidfd);
    worker->pid = 0;
    return code;
}
