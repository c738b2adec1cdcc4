/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a piece of a file that is not in memory: in a thread of the loop's executor for files. The
 * job has a descriptor and memory of its own, so that it may outlive whoever wanted it.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <weir/executor.h>

#include "core/base/alloc.h"
#include "core/net/send_file.h"

struct read_job {
    int fd; /* its own: the caller's may be closed before the job begins */
    uint64_t at;
    size_t len;
};

static weir_error *read_piece(void *arg)
{
    const struct read_job *job = arg;
    struct file_piece *piece = weir__malloc(sizeof(*piece) + job->len);
    ssize_t n;

    if (!piece)
        return weir_raise(WEIR_ENOMEM, "reading a file to be sent");
    do {
        n = pread(job->fd, piece->bytes, job->len, (off_t)job->at);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        weir_error *error = weir_raise(errno, "reading a file to be sent");

        weir__free(piece);
        return error;
    }
    piece->len = (size_t)n;
    weir_job_set_result(piece, weir__free);
    return NULL;
}

static void drop_read_job(void *arg)
{
    struct read_job *job = arg;

    close(job->fd);
    weir__free(job);
}

static weir_error *submit(weir_loop *loop, struct read_job *job, weir_future **ret)
{
    weir_executor *executor;

    WEIR_TRY(weir_loop_executor(loop, WEIR_EXECUTOR_FILE, &executor));
    WEIR_TRY(weir_executor_submit(executor, read_piece, job, drop_read_job, ret));
    return NULL;
}

weir_error *weir__file_read(weir_loop *loop, int fd, uint64_t at, size_t len, weir_future **ret)
{
    struct read_job *job = weir__malloc(sizeof(*job));
    weir_error *error;

    if (!job)
        return weir_raise(WEIR_ENOMEM, "reading a file to be sent");
    *job = (struct read_job){.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0), .at = at, .len = len};
    if (job->fd < 0) {
        error = weir_raise(errno, "reading a file to be sent");
        weir__free(job);
        return error;
    }
    error = submit(loop, job, ret);
    if (error)
        drop_read_job(job);
    return error;
}
