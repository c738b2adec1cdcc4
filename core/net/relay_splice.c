/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk bytes between two plain TCP connections go through a pipe, by splice(2), and never into this
 * process:
 *
 *     from ──splice──▶ pipe ──splice──▶ to
 *
 * A direction begins on the chunk path. After RELAY_SPLICE_AFTER full chunks in a row its reading is
 * paused, what is queued is sent, and then duplicates of both descriptors are polled here. It goes
 * back to the chunk path at the end of the stream, which the transport then sees as ever, and when
 * little is carried for a while. Failures end the transport that they are of.
 *
 * Only over epoll, whose paused transports have received nothing that was not delivered; io_uring may
 * hold bytes which completed before the pause.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/net/relay.h"

#define PIPE_WANTED   ((size_t)512 * 1024)
#define MOVE_BUDGET   ((size_t)1024 * 1024) /* of one event; then others have their turn */
#define SMALL_MOVE    ((size_t)4096)
#define SMALL_MOVES   64 /* in a row: back to the chunk path */
#define NOTHING_MOVED ((ssize_t)-EAGAIN)

struct relay_splice {
    struct relay *relay;
    int from;
    struct io_backend *io;
    struct io_file in, out; /* duplicates */
    int pipe[2];
    size_t room, held; /* of the pipe; bytes in it */
    unsigned small;    /* moves in a row */
    bool blocked;      /* the receiver takes no more now */
    bool ended;        /* the sender's end has been seen */
};

static weir_transport *sender(const struct relay_splice *s)
{
    return s->relay->sides[s->from];
}

static weir_transport *receiver(const struct relay_splice *s)
{
    return s->relay->sides[1 - s->from];
}

static void splice_free(struct relay_splice *s)
{
    s->relay->splices[s->from] = NULL;
    if (s->in.fd >= 0)
        s->io->ops->close(s->io, &s->in, false);
    if (s->out.fd >= 0)
        s->io->ops->close(s->io, &s->out, false);
    if (s->pipe[0] >= 0) {
        close(s->pipe[0]);
        close(s->pipe[1]);
    }
    weir__free(s);
}

static void restore_marks(struct relay *relay, int side)
{
    weir_transport_set_write_limits(relay->sides[side], relay->high[side], relay->low[side], 0);
}

/* Back to the chunk path; the pipe is empty. */
static void leave(struct relay_splice *s)
{
    struct relay *relay = s->relay;
    int from = s->from;

    splice_free(s);
    restore_marks(relay, 1 - from);
    relay->sides[from]->spliced = false;
    weir_transport_resume_reading(relay->sides[from]);
}

static weir_error *poll_for(struct relay_splice *s, struct io_file *file, unsigned events)
{
    return file->poll_events == events ? NULL : s->io->ops->poll(s->io, file, events);
}

static void stop_polling(struct relay_splice *s)
{
    weir_ignore(poll_for(s, &s->in, 0));
    weir_ignore(poll_for(s, &s->out, 0));
}

static ssize_t move(int from, int to, size_t size)
{
    ssize_t n;

    do {
        n = splice(from, NULL, to, NULL, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* Bytes, 0 at the end, -errno. A full pipe says EAGAIN too. */
static ssize_t take(struct relay_splice *s)
{
    ssize_t n = move(s->in.fd, s->pipe[1], s->room - s->held);

    if (n > 0) {
        s->held += (size_t)n;
        sender(s)->received += (uint64_t)n;
        transport_active(sender(s));
    }
    return n;
}

static ssize_t give(struct relay_splice *s)
{
    ssize_t n = move(s->pipe[0], s->out.fd, s->held);

    if (n > 0) {
        s->held -= (size_t)n;
        receiver(s)->sent += (uint64_t)n;
        transport_active(receiver(s));
    }
    return n;
}

static void fail(struct relay_splice *s, weir_transport *t, ssize_t code, bool sending)
{
    stop_polling(s);
    weir__transport_lose(t, sending ? weir__raise_errno((int)code, "send")
                                    : weir__raise_errno((int)code, "receive"));
}

/* False: one of them has failed. */
static bool move_some(struct relay_splice *s, size_t *moved)
{
    while (*moved < MOVE_BUDGET) {
        ssize_t n = NOTHING_MOVED, m = NOTHING_MOVED;

        if (!s->ended && s->held < s->room)
            n = take(s);
        if (n == 0)
            s->ended = true;
        if (n < 0 && n != -EAGAIN) {
            fail(s, sender(s), n, false);
            return false;
        }
        if (s->held && !s->blocked) {
            m = give(s);
            s->blocked = m == -EAGAIN || s->held > 0;
            if (m < 0 && m != -EAGAIN) {
                fail(s, receiver(s), m, true);
                return false;
            }
        }
        *moved += m > 0 ? (size_t)m : 0;
        /* Poll is level-triggered: it says whether there is more. */
        if (s->blocked || s->ended || n < (ssize_t)(s->room / 2))
            return true;
    }
    return true;
}

static void go_on(struct relay_splice *s, bool writable)
{
    weir_error *error;
    size_t moved = 0;

    if (!sender(s) || !receiver(s) || sender(s)->status >= TRANSPORT_LOST ||
        receiver(s)->status >= TRANSPORT_LOST) {
        stop_polling(s);
        return;
    }
    if (writable)
        s->blocked = false;
    if (!move_some(s, &moved))
        return;
    s->small = moved < SMALL_MOVE && !s->blocked ? s->small + 1 : 0;
    if (!s->held && (s->ended || s->small > SMALL_MOVES)) {
        leave(s);
        return;
    }
    error = poll_for(s, &s->in, s->blocked || s->ended ? 0 : POLLIN);
    if (!error)
        error = poll_for(s, &s->out, s->blocked ? POLLOUT : 0);
    if (error)
        weir__transport_lose(sender(s), error);
}

static void in_polled(struct io_file *file, unsigned events)
{
    (void)events;
    go_on(container_of(file, struct relay_splice, in), false);
}

static void out_polled(struct io_file *file, unsigned events)
{
    (void)events;
    go_on(container_of(file, struct relay_splice, out), true);
}

static const struct io_file_ops in_ops = {.polled = in_polled};
static const struct io_file_ops out_ops = {.polled = out_polled};

static bool can_splice(const weir_transport *t)
{
    return !t->tls && !t->file.no_socket && !t->input && !t->eof_seen &&
           t->status == TRANSPORT_OPEN && !t->reason && strcmp(t->net->io->ops->name, "epoll") == 0;
}

void weir__relay_carried(struct relay *relay, int from, weir_transport *t, size_t len)
{
    weir_transport *to = relay->sides[1 - from];

    if (relay->no_splice || relay->wants_splice[from] || relay->splices[from])
        return;
    if (len < WEIR_CHUNK_SIZE) {
        relay->full_chunks[from] = 0;
        return;
    }
    if (++relay->full_chunks[from] < RELAY_SPLICE_AFTER)
        return;
    if (!can_splice(t) || to->tls || to->file.no_socket) {
        relay->no_splice = true;
        return;
    }
    relay->wants_splice[from] = true;
    relay->high[1 - from] = to->high;
    relay->low[1 - from] = to->low;
    if (!to->queue && weir__relay_splice_start(relay, from))
        return;
    /* Pauses now, and resumes when all has been sent: then it starts. */
    if (to->queue)
        weir_transport_set_write_limits(to, 0, 0, 0);
}

static bool armed(struct relay_splice *s)
{
    weir_error *error = poll_for(s, &s->in, POLLIN);
    bool fine = !error;

    weir_ignore(error);
    return fine;
}

static bool open_all(struct relay_splice *s)
{
    int size;

    if (pipe2(s->pipe, O_NONBLOCK | O_CLOEXEC) != 0) {
        s->pipe[0] = s->pipe[1] = -1;
        return false;
    }
    size = fcntl(s->pipe[1], F_SETPIPE_SZ, (int)PIPE_WANTED);
    if (size < 0)
        size = fcntl(s->pipe[1], F_GETPIPE_SZ);
    s->room = size > 0 ? (size_t)size : 4096;
    s->in.fd = fcntl(sender(s)->file.fd, F_DUPFD_CLOEXEC, 0);
    s->out.fd = fcntl(receiver(s)->file.fd, F_DUPFD_CLOEXEC, 0);
    return s->in.fd >= 0 && s->out.fd >= 0;
}

static bool begin(struct relay *relay, int from)
{
    weir_transport *t = relay->sides[from], *to = relay->sides[1 - from];
    struct relay_splice *s;

    if (!can_splice(t) || to->status != TRANSPORT_OPEN || to->reason || to->eof_queued)
        return false;
    s = weir__calloc(1, sizeof(*s));
    if (!s)
        return false;
    *s = (struct relay_splice){.relay = relay, .from = from, .io = t->net->io, .pipe = {-1, -1}};
    io_file_init(&s->in, &in_ops, -1, t->file.site);
    io_file_init(&s->out, &out_ops, -1, to->file.site);
    relay->splices[from] = s;
    if (!open_all(s) || !armed(s)) {
        splice_free(s);
        return false;
    }
    t->spliced = true;
    weir_transport_pause_reading(t);
    return true;
}

bool weir__relay_splice_start(struct relay *relay, int from)
{
    if (!relay->wants_splice[from])
        return false;
    relay->wants_splice[from] = false;
    relay->full_chunks[from] = 0;
    if (begin(relay, from))
        return true;
    relay->no_splice = true;
    restore_marks(relay, 1 - from);
    return false;
}

void weir__relay_splice_end(struct relay *relay)
{
    for (int i = 0; i < 2; i++) {
        if (!relay->splices[i])
            continue;
        splice_free(relay->splices[i]);
        if (relay->sides[i])
            relay->sides[i]->spliced = false;
    }
}
