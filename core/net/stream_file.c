/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending an open file. Never waits for a disk on the loop's thread:
 *
 *   in memory, plain connection   sendfile(2), when cachestat(2) says so of the whole piece
 *   in memory                     read into a chunk of the pool (preadv2 with RWF_NOWAIT)
 *   not in memory                 read by the loop's executor for files; what follows it is then
 *                                 there by read-ahead
 *
 * sendfile takes 0.4 of the CPU time of reading and sending a large file (docs/BENCH.md), and needs
 * that nothing is queued before it; so small pieces are read. It raises SIGPIPE, which nobody can
 * keep from it, so it is left to programs which ignore that.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <weir/executor.h>

#include "core/base/alloc.h"
#include "core/base/chunk.h"
#include "core/base/error.h"
#include "core/net/stream.h"
#include "core/task/task.h"

#define PIECE          ((size_t)256 * 1024)
#define SENDFILE_LEAST ((size_t)32 * 1024)
#define PAGE           ((uint64_t)4096)

struct file_sending {
    weir_stream *stream;
    int fd;
    uint64_t at, left;
    uint64_t sent; /* handed to the transport */
    bool no_sendfile;
    bool alone;         /* the water marks are 0: sendfile is under way */
    uint32_t high, low; /* to be restored */
};

/* Since Linux 6.5, and newer than Debian 12's headers; a kernel without it says ENOSYS. */
#ifndef SYS_cachestat
#    define SYS_cachestat 451
#endif

struct page_range {
    uint64_t offset, length;
};

struct page_counts {
    uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

/* Whether a piece can be sent without waiting for a disk. */
static bool is_resident(int fd, uint64_t offset, size_t len)
{
    struct page_range range = {offset, len};
    struct page_counts counts;
    uint64_t pages = (offset + len - 1) / PAGE - offset / PAGE + 1;

    return syscall(SYS_cachestat, fd, &range, &counts, 0) == 0 && counts.cached >= pages;
}

static bool sigpipe_is_ignored(void)
{
    struct sigaction action;

    return sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler != SIG_DFL;
}

static void begin_alone(struct file_sending *f)
{
    weir_transport *t = f->stream->transport;

    if (f->alone)
        return;
    f->alone = true;
    f->high = t->high;
    f->low = t->low;
    weir_transport_set_write_limits(t, 0, 0, 0);
}

static void end_alone(struct file_sending *f)
{
    weir_transport *t = f->stream->transport;

    if (!f->alone)
        return;
    f->alone = false;
    if (!t->file.closed)
        t->net->io->ops->watch(t->net->io, &t->file, 0);
    weir_transport_set_write_limits(t, f->high, f->low, 0);
}

static void count(struct file_sending *f, size_t n)
{
    f->at += n;
    f->left -= n;
    f->sent += n;
}

static weir_error *wait_until_usable(struct file_sending *f)
{
    weir_stream *stream = f->stream;
    weir_transport *t = stream->transport;

    stream->blocked = true;
    t->net->io->ops->watch(t->net->io, &t->file, POLLOUT);
    while (stream->blocked && !stream->lost)
        WEIR_TRY(weir__stream_wait_to_write(stream));
    return NULL;
}

void weir__stream_usable(weir_transport *t)
{
    weir_stream *stream = t->state;

    stream->blocked = false;
    weir__stream_wake_writers(stream);
}

/* One call. `ret_end`: the file is shorter. */
static weir_error *send_directly(struct file_sending *f, size_t len, bool *ret_end)
{
    weir_transport *t = f->stream->transport;
    off_t offset = (off_t)f->at;
    ssize_t n;

    begin_alone(f);
    WEIR_TRY(weir__stream_wait_for_room(f->stream));
    WEIR_TRY(weir__transport_writable(t, "weir_stream_send_file"));
    n = sendfile(t->file.fd, f->fd, &offset, len);
    if (n > 0) {
        count(f, (size_t)n);
        t->sent += (uint64_t)n;
        transport_active(t);
        return NULL;
    }
    if (n == 0) {
        *ret_end = true;
        return NULL;
    }
    if (errno == EAGAIN)
        return wait_until_usable(f);
    if (errno != EINTR)
        f->no_sendfile =
            true; /* what is wrong, reading or sending, is told by reading and sending */
    return NULL;
}

/* Reads what is in memory into chunks and writes them. -EAGAIN: nothing is; 0: the end; or bytes. */
static weir_error *send_resident(struct file_sending *f, size_t len, ssize_t *ret_n)
{
    weir_transport *t = f->stream->transport;
    weir_chunk *chunk = weir__chunk_take(net_pool(t->net));
    struct iovec iov = {.iov_len = len < WEIR_CHUNK_SIZE ? len : WEIR_CHUNK_SIZE};
    weir_error *error = NULL;

    if (!chunk) {
        *ret_n = -EAGAIN;
        return NULL;
    }
    iov.iov_base = chunk_bytes(chunk);
    *ret_n = preadv2(f->fd, &iov, 1, (off_t)f->at, RWF_NOWAIT);
    if (*ret_n < 0)
        *ret_n = -errno;
    if (*ret_n > 0)
        error = weir_transport_write(t, weir_slice_of(iov.iov_base, (size_t)*ret_n));
    weir_chunk_unref(chunk);
    if (!error && *ret_n > 0)
        count(f, (size_t)*ret_n);
    return error;
}

struct read_job {
    int fd;
    uint64_t at;
    size_t len;
    char *bytes;
    ssize_t n;
};

static weir_error *read_piece(void *arg)
{
    struct read_job *job = arg;

    do {
        job->n = pread(job->fd, job->bytes, job->len, (off_t)job->at);
    } while (job->n < 0 && errno == EINTR);
    return job->n < 0 ? weir_raise(errno, "reading a file to be sent") : NULL;
}

static weir_error *send_from_disk(struct file_sending *f, size_t len, bool *ret_end)
{
    weir_transport *t = f->stream->transport;
    struct read_job job = {f->fd, f->at, len, weir__malloc(len), 0};
    weir_executor *executor;
    weir_error *error;

    if (!job.bytes)
        return weir_raise(WEIR_ENOMEM, "reading a file to be sent");
    error = weir_loop_executor(t->net->loop, WEIR_EXECUTOR_FILE, &executor);
    if (!error)
        error = weir_executor_call(executor, read_piece, &job);
    if (error || job.n == 0) {
        *ret_end = !error;
        weir__free(job.bytes);
        return error;
    }
    WEIR_TRY(weir_transport_write_owned(t, weir_slice_of(job.bytes, (size_t)job.n), weir__free,
                                        job.bytes));
    count(f, (size_t)job.n);
    return NULL;
}

static weir_error *send_by_reading(struct file_sending *f, size_t len, bool *ret_end)
{
    weir_transport *t = f->stream->transport;
    size_t most = len;
    ssize_t n = 1;

    end_alone(f);
    WEIR_TRY(weir__stream_wait_for_room(f->stream));
    weir_transport_cork(t);
    for (size_t done = 0; n > 0 && done < most && !t->write_paused && t->queued <= t->high;
         done += n > 0 ? (size_t)n : 0) {
        weir_error *error = send_resident(f, most - done, &n);

        if (error) {
            weir_transport_uncork(t);
            return error;
        }
    }
    weir_transport_uncork(t);
    *ret_end = n == 0;
    if (n < 0 && f->left)
        return send_from_disk(f, f->left < PIECE / 4 ? (size_t)f->left : PIECE / 4, ret_end);
    return NULL;
}

static bool may_send_directly(const struct file_sending *f, size_t len)
{
    const weir_transport *t = f->stream->transport;

    return !f->no_sendfile && len >= SENDFILE_LEAST && !t->tls && !t->file.no_socket &&
           t->net->io->ops->watch && !t->corks && is_resident(f->fd, f->at, len);
}

static weir_error *send_pieces(struct file_sending *f)
{
    bool end = false;

    while (f->left && !end) {
        size_t len = f->left < PIECE ? (size_t)f->left : PIECE;

        if (f->stream->lost)
            return weir__stream_lost(f->stream);
        if (may_send_directly(f, len))
            WEIR_TRY(send_directly(f, len, &end));
        else
            WEIR_TRY(send_by_reading(f, len, &end));
        weir__task_budget();
    }
    return NULL;
}

weir_error *weir_stream_send_file(weir_stream *stream, int fd, uint64_t offset, uint64_t len,
                                  uint64_t *ret_sent)
{
    struct file_sending f = {.stream = stream, .fd = fd, .at = offset, .left = len};
    weir_error *error;

    if (offset > INT64_MAX || len > INT64_MAX - offset)
        return weir_raise(WEIR_EINVAL, "a file has no such place");
    WEIR_TRY(weir__stream_enter_write(stream, __func__));
    WEIR_TRY(weir__stream_wait_for_room(stream));
    f.no_sendfile = !sigpipe_is_ignored();
    stream->writing = true;
    error = send_pieces(&f);
    end_alone(&f);
    if (error && f.sent)
        stream->broken = true;
    stream->writing = false;
    weir__stream_wake_writers(stream);
    if (!error && ret_sent)
        *ret_sent = f.sent;
    return error;
}
