/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk bytes between two plain TCP connections go through a pipe, by splice(2), and never into this
 * process:
 *
 *     from ──splice──▶ pipe ──splice──▶ to
 *
 * A direction begins on the chunk path. When it has carried RELAY_SPLICE_AFTER chunks that were well
 * filled, and few that were not (the rest of a segment is one of them), the backend drains
 * it: what it took in advance still comes by chunks. Then reading is paused, what is queued is sent, and
 * from there on bytes are moved here, until one of the sockets would block; the backend tells when to
 * go on, without a system call for it. It goes back to the chunk path at the end of the stream, which
 * the transport then sees as ever, and when little is carried for a while. Failures end the transport
 * that they are of.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/base/error.h"
#include "core/net/relay.h"

#define PIPE_WANTED ((size_t)512 * 1024)
#define MOVE_BUDGET ((size_t)1024 * 1024) /* of one event; then others have their turn */
#define SMALL_MOVE  ((size_t)4096)
#define SMALL_MOVES 64 /* in a row: back to the chunk path */

size_t weir__relay_piece_max = SIZE_MAX;

struct relay_splice {
    struct relay *relay;
    int from;
    struct job job; /* to go on in the next iteration */
    int pipe[2];
    size_t held;    /* bytes in the pipe */
    unsigned small; /* moves in a row */
    bool starved;   /* the sender has nothing now */
    bool blocked;   /* the receiver takes no more now */
    bool ended;     /* the sender's end has been seen */
};

static weir_transport *sender(const struct relay_splice *s)
{
    return s->relay->sides[s->from];
}

static weir_transport *receiver(const struct relay_splice *s)
{
    return s->relay->sides[1 - s->from];
}

static void watch(weir_transport *t, unsigned events)
{
    t->net->io->ops->watch(t->net->io, &t->file, events);
}

static void splice_free(struct relay_splice *s)
{
    s->relay->splices[s->from] = NULL;
    weir__job_cancel(&s->job);
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

/* Gives a side back to the backend, but for what the other direction waits for. */
static void unwatch(const struct relay *relay, int side)
{
    const struct relay_splice *from_it = relay->splices[side], *to_it = relay->splices[1 - side];

    watch(relay->sides[side], 0);
    if (from_it && from_it->starved)
        watch(relay->sides[side], POLLIN);
    if (to_it && to_it->blocked)
        watch(relay->sides[side], POLLOUT);
}

/* Back to the chunk path; the pipe is empty. */
static void leave(struct relay_splice *s)
{
    struct relay *relay = s->relay;
    int from = s->from;

    splice_free(s);
    unwatch(relay, 0);
    unwatch(relay, 1);
    restore_marks(relay, 1 - from);
    relay->sides[from]->spliced = false;
    weir_transport_resume_reading(relay->sides[from]);
}

static ssize_t move(int from, int to, size_t size)
{
    ssize_t n;

    if (size > weir__relay_piece_max)
        size = weir__relay_piece_max;
    do {
        n = splice(from, NULL, to, NULL, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* Into the empty pipe: bytes, 0 at the end, -errno. */
static ssize_t take(struct relay_splice *s)
{
    weir_transport *from = sender(s);
    ssize_t n = move(from->file.fd, s->pipe[1], PIPE_WANTED);

    if (n > 0) {
        s->held = (size_t)n;
        from->received += (uint64_t)n;
        transport_active(from);
    } else if (n == 0) {
        s->ended = true;
    }
    return n;
}

/* As far as the receiver takes it now: 0 or -errno. */
static ssize_t give(struct relay_splice *s)
{
    weir_transport *to = receiver(s);

    while (s->held) {
        ssize_t n = move(s->pipe[0], to->file.fd, s->held);

        if (n == -EAGAIN) {
            s->blocked = true;
            return 0;
        }
        if (n <= 0)
            return n ? n : -EPIPE;
        s->held -= (size_t)n;
        to->sent += (uint64_t)n;
        transport_active(to);
    }
    return 0;
}

/* Until something would block, the end, or the others' turn. False: a side has failed, and is lost. */
static bool move_some(struct relay_splice *s, size_t *moved)
{
    ssize_t n = 0;

    while (*moved < MOVE_BUDGET && !s->blocked) {
        if (!s->held) {
            if (s->ended)
                return true;
            n = take(s);
            s->starved = n == -EAGAIN;
            if (s->starved || n == 0)
                return true;
            if (n < 0) {
                weir__transport_lose(sender(s), weir__raise_errno((int)n, "receive"));
                return false;
            }
            *moved += (size_t)n;
        }
        n = give(s);
        if (n < 0) {
            weir__transport_lose(receiver(s), weir__raise_errno((int)n, "send"));
            return false;
        }
    }
    return true;
}

static void go_on(struct relay_splice *s)
{
    size_t moved = 0;

    if (!sender(s) || !receiver(s) || sender(s)->status >= TRANSPORT_LOST ||
        receiver(s)->status >= TRANSPORT_LOST)
        return;
    if (!move_some(s, &moved))
        return;
    s->small = moved < SMALL_MOVE && !s->blocked ? s->small + 1 : 0;
    if (!s->held && (s->ended || s->small > SMALL_MOVES))
        leave(s);
    else if (s->blocked)
        watch(receiver(s), POLLOUT);
    else if (s->starved)
        watch(sender(s), POLLIN);
    else
        weir__loop_ready(sender(s)->net->loop, &s->job);
}

static weir_error *run_on(struct job *job)
{
    go_on(container_of(job, struct relay_splice, job));
    return NULL;
}

void weir__relay_usable(weir_transport *t, unsigned events)
{
    struct relay_side *side = t->state;
    struct relay *relay = side->relay;
    int index = side->index;

    /* Moving may lose a transport, but never frees the relay: that is told later. */
    if ((events & POLLIN) && relay->splices[index]) {
        relay->splices[index]->starved = false;
        go_on(relay->splices[index]);
    }
    if ((events & POLLOUT) && relay->splices[1 - index]) {
        relay->splices[1 - index]->blocked = false;
        go_on(relay->splices[1 - index]);
    }
}

static bool can_splice(const weir_transport *t)
{
    return !t->tls && !t->file.no_socket && !t->input && !t->eof_seen &&
           t->status == TRANSPORT_OPEN && !t->reason && t->net->io->ops->watch;
}

void weir__relay_carried(struct relay *relay, int from, weir_transport *t, size_t len)
{
    weir_transport *to = relay->sides[1 - from];

    if (relay->no_splice || relay->wants_splice[from] || relay->splices[from])
        return;
    if (len < RELAY_BULKY) {
        relay->bulk[from] -= relay->bulk[from] < 2 ? relay->bulk[from] : 2;
        return;
    }
    if (++relay->bulk[from] < RELAY_SPLICE_AFTER)
        return;
    if (!can_splice(t) || to->tls || to->file.no_socket) {
        relay->no_splice = true;
        return;
    }
    relay->wants_splice[from] = true;
    relay->drained[from] = false;
    t->net->io->ops->drain(t->net->io, &t->file);
}

void weir__relay_drained(weir_transport *t)
{
    struct relay_side *side = t->state;
    struct relay *relay = side->relay;
    int from = side->index;
    weir_transport *to = relay->sides[1 - from];

    if (!to || !relay->wants_splice[from])
        return;
    relay->drained[from] = true;
    relay->high[1 - from] = to->high;
    relay->low[1 - from] = to->low;
    weir_transport_pause_reading(t);
    /* Pauses now, and resumes when all has been sent: then it starts. */
    if (to->queue)
        weir_transport_set_write_limits(to, 0, 0, 0);
    else if (!weir__relay_splice_start(relay, from))
        weir_transport_resume_reading(t);
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
    *s = (struct relay_splice){.relay = relay, .from = from};
    job_init(&s->job, run_on, t->file.site);
    relay->splices[from] = s;
    if (pipe2(s->pipe, O_NONBLOCK | O_CLOEXEC) != 0) {
        s->pipe[0] = -1;
        splice_free(s);
        return false;
    }
    (void)fcntl(s->pipe[1], F_SETPIPE_SZ, (int)PIPE_WANTED); /* else it is smaller */
    t->spliced = true;
    weir_transport_pause_reading(t);
    weir__loop_ready(t->net->loop, &s->job);
    return true;
}

bool weir__relay_splice_start(struct relay *relay, int from)
{
    if (!relay->wants_splice[from] || !relay->drained[from])
        return false;
    relay->wants_splice[from] = false;
    relay->bulk[from] = 0;
    if (begin(relay, from))
        return true;
    relay->no_splice = true;
    restore_marks(relay, 1 - from);
    return false;
}

void weir__relay_splice_end(struct relay *relay)
{
    for (int i = 0; i < 2; i++) {
        if (relay->splices[i])
            splice_free(relay->splices[i]);
    }
    for (int i = 0; i < 2; i++) {
        weir_transport *t = relay->sides[i];

        if (!t)
            continue;
        t->spliced = false;
        if (!t->file.closed && t->net->io->ops->watch)
            watch(t, 0);
    }
}
