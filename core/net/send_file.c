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
 *
 * All there is to know stands in a block that the transport has while a file is under way. pump()
 * goes on until something has to be waited for: the socket (usable), room in the queue (room), the
 * executor (read_done), or the others' turn (the job). Whatever comes last, `done` is told by the job,
 * so never from inside a call.
 */
#include "config.h"

#include "core/net/send_file.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <weir/callback.h>

#include "core/base/alloc.h"
#include "core/base/chunk.h"
#include "core/net/tls.h"

#define PIECE           ((size_t)256 * 1024) /* of one sendfile() */
#define TURN            ((uint64_t)1024 * 1024)
#define SENDFILE_LEAST  ((size_t)32 * 1024)
#define READ_AT_ONCE    ((size_t)64 * 1024) /* by the executor */
#define PAGE            ((uint64_t)4096)
#define TRY_AGAIN_AFTER WEIR_MS(10)

enum file_step { GO_ON, WAIT, OVER };

struct file_sending {
    weir_transport *transport;
    int fd;
    bool direct;  /* sendfile() may be tried */
    bool pumping; /* inside pump() */
    bool blocked; /* until the socket takes more */
    bool full;    /* until the queue is no longer than `room` */
    bool over;    /* nothing is left to do but to tell */
    size_t room;
    uint64_t at, left;
    uint64_t sent;        /* or queued */
    struct job job;       /* to go on in the next iteration, or to tell */
    weir_timer again;     /* its queue is full: it is asked again */
    weir_future *reading; /* by the executor; NULL: nothing */
    weir_error *error;
    void (*done)(weir_transport *transport, uint64_t sent, weir_error *take_error, void *arg);
    void *arg;
};

ssize_t (*weir__file_sendfile)(int out, int in, off_t *offset, size_t count) = sendfile;

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

static void count(struct file_sending *f, size_t n)
{
    f->at += n;
    f->left -= n;
    f->sent += n;
}

static enum file_step fail(struct file_sending *f, weir_error *take_error)
{
    f->error = take_error;
    return OVER;
}

/* How putting bytes into the queue went; a failed send may have been told meanwhile. */
static void note(struct file_sending *f, weir_error *take_error, size_t n)
{
    if (!take_error)
        count(f, n);
    else if (f->error)
        weir_ignore(take_error);
    else
        f->error = take_error;
}

static enum file_step wait_for_room(struct file_sending *f, size_t room)
{
    f->full = true;
    f->room = room;
    return WAIT;
}

/* Straight from the page cache */

static bool may_send_directly(const struct file_sending *f, size_t len)
{
    const weir_transport *t = f->transport;

    return f->direct && len >= SENDFILE_LEAST && !t->tls && !t->file.no_socket &&
           t->net->io->ops->watch && is_resident(f->fd, f->at, len);
}

static enum file_step send_directly(struct file_sending *f, size_t len)
{
    weir_transport *t = f->transport;
    off_t offset = (off_t)f->at;
    ssize_t n;

    if (t->queue || t->sending || t->corks)
        return wait_for_room(f, 0);
    n = weir__file_sendfile(t->file.fd, f->fd, &offset, len);
    if (n > 0) {
        count(f, (size_t)n);
        t->sent += (uint64_t)n;
        transport_active(t);
        return GO_ON;
    }
    if (n == 0)
        return OVER; /* the file is shorter */
    if (errno == EAGAIN) {
        f->blocked = true;
        t->net->io->ops->watch(t->net->io, &t->file, POLLOUT);
        return WAIT;
    }
    if (errno != EINTR)
        f->direct = false; /* what is wrong, reading or sending, is told by reading and sending */
    return GO_ON;
}

/* Through chunks */

/* -EAGAIN: nothing of it is in memory; 0: the end; or bytes. */
static ssize_t queue_chunk(struct file_sending *f, size_t len)
{
    weir_transport *t = f->transport;
    weir_chunk *chunk = weir__chunk_take(net_pool(t->net));
    struct iovec iov = {.iov_len = len < WEIR_CHUNK_SIZE ? len : WEIR_CHUNK_SIZE};
    ssize_t n;

    if (!chunk)
        return -EAGAIN;
    iov.iov_base = chunk_bytes(chunk);
    n = preadv2(f->fd, &iov, 1, (off_t)f->at, RWF_NOWAIT);
    if (n < 0)
        n = -errno;
    if (n > 0) {
        weir_slice data = weir_slice_of(iov.iov_base, (size_t)n);

        note(f, weir__transport_put(t, &data, 1, data.len), data.len);
    }
    weir_chunk_unref(chunk);
    return n;
}

static weir_error *read_done(weir_future *future, void *arg);

static enum file_step read_elsewhere(struct file_sending *f)
{
    size_t len = f->left < READ_AT_ONCE ? (size_t)f->left : READ_AT_ONCE;
    weir_error *error = weir__file_read(f->transport->net->loop, f->fd, f->at, len, &f->reading);

    if (!error) {
        error = weir_future_add_done_callback(f->reading, read_done, f);
    } else if (weir_error_is(error, WEIR_EREJECTED)) {
        weir_ignore(error);
        weir_timer_start(&f->again, TRY_AGAIN_AFTER);
        return WAIT;
    }
    return error ? fail(f, error) : WAIT;
}

static enum file_step send_by_reading(struct file_sending *f, size_t len)
{
    weir_transport *t = f->transport;
    ssize_t n = 1;

    if (t->queued > t->high)
        return wait_for_room(f, t->low);
    weir_transport_cork(t);
    for (size_t left = len; left && n > 0 && !f->error && t->queued <= t->high; left -= (size_t)n) {
        n = queue_chunk(f, left);
        if (n <= 0)
            break;
    }
    weir_transport_uncork(t);
    if (f->error || n == 0)
        return OVER;
    return n < 0 ? read_elsewhere(f) : GO_ON;
}

/* Going on */

static void stop(struct file_sending *f)
{
    weir_transport *t = f->transport;

    weir__job_cancel(&f->job);
    weir_timer_stop(&f->again);
    if (f->reading) {
        weir_future_remove_done_callback(f->reading, read_done, f);
        (void)weir_future_cancel(f->reading);
        weir_future_unref(WEIR_TAKE(f->reading));
    }
    if (f->blocked && !t->file.closed)
        t->net->io->ops->watch(t->net->io, &t->file, 0);
    f->blocked = f->full = false;
}

static void end(struct file_sending *f)
{
    stop(f);
    f->over = true;
    weir__loop_ready(f->transport->net->loop, &f->job);
}

static enum file_step send_some(struct file_sending *f)
{
    const weir_transport *t = f->transport;
    size_t len = f->left < PIECE ? (size_t)f->left : PIECE;

    if (t->status >= TRANSPORT_LOST || t->reason)
        return WAIT; /* the transport tells */
    return may_send_directly(f, len) ? send_directly(f, len) : send_by_reading(f, len);
}

static void pump(struct file_sending *f)
{
    uint64_t until = f->sent + TURN;
    enum file_step step = GO_ON;

    f->pumping = true;
    while (step == GO_ON && !f->error && f->left && f->sent < until)
        step = send_some(f);
    f->pumping = false;
    if (f->over || (step == WAIT && !f->error))
        return;
    if (step == OVER || f->error || !f->left)
        end(f);
    else
        weir__loop_ready(f->transport->net->loop, &f->job);
}

static weir_error *read_done(weir_future *future, void *arg)
{
    struct file_sending *f = arg;
    weir_transport *t = f->transport;
    void *value = NULL;
    struct file_piece *piece;
    size_t n;

    f->error = weir_future_take_result(future, &value);
    weir_future_unref(WEIR_TAKE(f->reading));
    piece = value;
    n = f->error ? 0 : piece->len;
    if (!n) {
        weir__free(piece);
        end(f); /* it cannot be read, or is shorter */
        return NULL;
    }
    f->pumping = true;
    note(f, weir__transport_put_owned(t, weir_slice_of(piece->bytes, n), weir__free, piece), n);
    pump(f);
    return NULL;
}

static weir_error *ask_again(void *arg)
{
    pump(arg);
    return NULL;
}

void weir__file_room(weir_transport *t)
{
    struct file_sending *f = t->sending_file;

    if (f->pumping || !f->full || t->queued > f->room ||
        (!f->room && (t->queue || t->sending || t->corks)))
        return;
    f->full = false;
    pump(f);
}

void weir__file_usable(weir_transport *t)
{
    struct file_sending *f = t->sending_file;

    if (!f->blocked)
        return;
    f->blocked = false;
    pump(f);
}

void weir__file_failed(weir_transport *t)
{
    struct file_sending *f = t->sending_file;

    if (f->over)
        return;
    weir_error_unref(f->error);
    f->error = weir_error_share(t->reason);
    end(f);
}

/* The end */

static void forget(weir_transport *t)
{
    weir__free(WEIR_TAKE(t->sending_file));
    t->has_file = false;
}

/* An orderly close that waited for the file would make less of it look whole. */
static bool must_abort(const struct file_sending *f)
{
    return f->transport->status == TRANSPORT_CLOSING && (f->error || f->left);
}

/* What was put off until the file is sent. */
static void go_on_without(weir_transport *t, bool abort)
{
    if (t->status == TRANSPORT_OPEN) {
        weir__transport_marks(t);
    } else if (t->status == TRANSPORT_CLOSING && abort) {
        weir_transport_abort(t, NULL);
    } else if (t->status == TRANSPORT_CLOSING && !t->has_file) {
        if (t->tls)
            weir__tls_close_notify(t->tls);
        weir__transport_flush(t);
    }
}

static void tell(struct file_sending *f)
{
    weir_transport *t = weir_transport_ref(f->transport);
    struct file_sending told = *f;
    bool abort = must_abort(f);

    forget(t);
    told.done(t, told.sent, told.error, told.arg);
    go_on_without(t, abort);
    weir_transport_unref(t);
}

static weir_error *run(struct job *job)
{
    struct file_sending *f = container_of(job, struct file_sending, job);

    if (f->over)
        tell(f);
    else
        pump(f);
    return NULL;
}

void weir__file_stop(weir_transport *t)
{
    stop(t->sending_file);
}

void weir__file_lost(weir_transport *t)
{
    struct file_sending *f = t->sending_file;

    stop(f);
    if (!f->over && !f->error)
        f->error = t->reason ? weir_error_share(t->reason)
                             : WEIR_RAISE_FAST(WEIR_ECLOSED, "the connection is closed");
    tell(f);
}

void weir__file_free(weir_transport *t)
{
    weir_ignore(t->sending_file->error);
    forget(t);
}

/* The beginning */

static weir_error *begin(weir_transport *t, const weir_send_file_options *options)
{
    struct file_sending *f = weir__calloc(1, sizeof(*f));

    if (!f)
        return weir_raise(WEIR_ENOMEM, "sending a file");
    f->transport = t;
    f->fd = options->fd;
    f->at = options->offset;
    f->left = options->length;
    f->direct = sigpipe_is_ignored();
    f->done = options->done;
    f->arg = options->arg;
    job_init(&f->job, run, t->file.site);
    weir_timer_init(&f->again, t->net->loop, ask_again, f);
    t->sending_file = f;
    t->has_file = true;
    return NULL;
}

weir_error *weir_transport_send_file(weir_transport *t, const weir_send_file_options *options)
{
    const uint64_t most = INT64_MAX;

    WEIR_TRY(weir__transport_writable(t, __func__));
    if (options->offset > most || options->length > most - options->offset)
        return weir_raise(WEIR_EINVAL, "a file has no such place");
    if (!options->done)
        return weir_raise(WEIR_EINVAL, "sending a file: nobody to tell");
    WEIR_TRY(begin(t, options));
    pump(t->sending_file);
    if (t->status == TRANSPORT_OPEN && !t->sending_file->over && !t->write_paused) {
        t->write_paused = true;
        if (t->protocol->pause_writing)
            t->protocol->pause_writing(t, t->state);
    }
    return NULL;
}

uint64_t weir_transport_cancel_file(weir_transport *t)
{
    struct file_sending *f;
    uint64_t sent;
    bool abort;

    weir_check(t, TRANSPORT_MAGIC);
    if (!transport_allows(t) || !t->has_file)
        return 0;
    f = t->sending_file;
    sent = f->sent;
    abort = must_abort(f);
    if (t->status < TRANSPORT_LOST)
        stop(f);
    weir__file_free(t);
    go_on_without(t, abort);
    return sent;
}
