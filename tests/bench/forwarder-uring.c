/* SPDX-License-Identifier: Apache-2.0 */
/* What forwarder.c costs on io_uring: multishot receives into a ring of buffers, each buffer sent from
 * where it lies and then given back; all sends of a turn go with the wait for the next.
 *
 * One send is in flight per side, so that bytes keep their order; what comes meanwhile waits in the
 * side's list of buffers. A pair that ended is freed with its last completion.
 *
 *   forwarder-uring PORT ORIGIN_PORT
 */
#include <errno.h>
#include <liburing.h>
#include <unistd.h>

#include "tests/bench/bench.h"

enum { ENTRIES = 1024, BUFFERS = 1024, BUFFER = 16384, GROUP = 1, NONE = 0xffff };

/* In the low bits of a side's address. */
enum operation { RECEIVED, SENT };

/* Where `first` to `last` wait to be sent, the first of them being under way. */
struct side {
    struct pair *pair;
    int fd;
    uint16_t first, last;
    bool starved;  /* its receive ended for want of buffers */
    bool last_one; /* its peer has ended: with the last buffer that waits the pair does */
    struct side *next_starved;
};

struct pair {
    struct side side[2];
    unsigned in_flight;
    bool ended;
};

static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static char *memory;
static uint16_t next_of[BUFFERS];
static unsigned size_of[BUFFERS];
static struct side *starved;
static struct sockaddr_in origin;

static struct io_uring_sqe *prepare(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

    if (!sqe) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    if (!sqe)
        bench_die("io_uring");
    return sqe;
}

static void receive(struct side *s)
{
    struct io_uring_sqe *sqe = prepare();

    io_uring_prep_recv_multishot(sqe, s->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = GROUP;
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)s | RECEIVED);
    s->pair->in_flight++;
}

static void send_first(struct side *s)
{
    struct io_uring_sqe *sqe = prepare();

    io_uring_prep_send(sqe, s->fd, memory + (size_t)s->first * BUFFER, size_of[s->first],
                       MSG_NOSIGNAL | MSG_WAITALL);
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)s | SENT);
    s->pair->in_flight++;
}

static void give_back(uint16_t buffer)
{
    io_uring_buf_ring_add(buffers, memory + (size_t)buffer * BUFFER, BUFFER, buffer,
                          io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(buffers, 1);
    while (starved) {
        struct side *s = starved;

        starved = s->next_starved;
        s->starved = false;
        if (!s->pair->ended)
            receive(s);
        s->pair->in_flight--;
    }
}

static void end(struct pair *p)
{
    if (p->ended)
        return;
    p->ended = true;
    shutdown(p->side[0].fd, SHUT_RDWR);
    shutdown(p->side[1].fd, SHUT_RDWR);
}

static void received(struct side *s, const struct io_uring_cqe *cqe)
{
    struct pair *p = s->pair;
    struct side *to = s == &p->side[0] ? &p->side[1] : &p->side[0];
    bool more = cqe->flags & IORING_CQE_F_MORE;

    if (cqe->res > 0) {
        uint16_t buffer = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

        size_of[buffer] = (unsigned)cqe->res;
        next_of[buffer] = NONE;
        if (p->ended) {
            give_back(buffer);
        } else if (to->first == NONE) {
            to->first = to->last = buffer;
            send_first(to);
        } else {
            next_of[to->last] = buffer;
            to->last = buffer;
        }
    } else if (cqe->res == -ENOBUFS && !p->ended) {
        s->starved = true;
        s->next_starved = starved;
        starved = s;
        p->in_flight++; /* holds the pair */
        return;
    } else if (cqe->res == 0 && to->first != NONE) {
        to->last_one = true;
        return;
    } else {
        end(p);
    }
    if (!more && !p->ended)
        receive(s);
}

static void sent(struct side *s, int result)
{
    uint16_t buffer = s->first;

    if (result < (int)size_of[buffer])
        end(s->pair);
    s->first = next_of[buffer];
    give_back(buffer);
    while (s->pair->ended && s->first != NONE) {
        buffer = s->first;
        s->first = next_of[buffer];
        give_back(buffer);
    }
    if (s->first != NONE)
        send_first(s);
    else if (s->last_one)
        end(s->pair);
}

static void accept_next(int listener)
{
    struct io_uring_sqe *sqe = prepare();

    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, 0);
}

static void accepted(int fd)
{
    struct pair *p = calloc(1, sizeof *p);
    int up = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (!p || up < 0 || connect(up, (struct sockaddr *)&origin, sizeof origin) != 0)
        bench_die("accept");
    for (int i = 0; i < 2; i++) {
        p->side[i] = (struct side){.pair = p, .fd = i ? up : fd, .first = NONE, .last = NONE};
        bench_no_delay(p->side[i].fd);
        receive(&p->side[i]);
    }
}

static void handle(const struct io_uring_cqe *cqe, int listener)
{
    struct side *s = (struct side *)(uintptr_t)(cqe->user_data & ~(uint64_t)7);
    struct pair *p;

    if (!s) {
        if (cqe->res >= 0)
            accepted(cqe->res);
        if (!(cqe->flags & IORING_CQE_F_MORE))
            accept_next(listener);
        return;
    }
    p = s->pair;
    if ((cqe->user_data & 7) == SENT)
        sent(s, cqe->res);
    else
        received(s, cqe);
    if ((cqe->user_data & 7) == SENT || !(cqe->flags & IORING_CQE_F_MORE))
        p->in_flight--;
    if (p->ended && !p->in_flight) {
        close(p->side[0].fd);
        close(p->side[1].fd);
        free(p);
    }
}

static void make_ring(void)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                     .cq_entries = 4 * ENTRIES};
    struct io_uring_buf_reg reg = {.ring_entries = BUFFERS, .bgid = GROUP};
    void *entries = NULL, *bytes = NULL;

    if (io_uring_queue_init_params(ENTRIES, &ring, &params) < 0 ||
        posix_memalign(&entries, 4096, BUFFERS * sizeof(struct io_uring_buf)) != 0 ||
        posix_memalign(&bytes, 4096, (size_t)BUFFERS * BUFFER) != 0)
        bench_die("io_uring");
    buffers = entries;
    memory = bytes;
    reg.ring_addr = (uint64_t)(uintptr_t)entries;
    io_uring_buf_ring_init(buffers);
    if (io_uring_register_buf_ring(&ring, &reg, 0) != 0)
        bench_die("io_uring_register_buf_ring");
    for (uint16_t i = 0; i < BUFFERS; i++)
        give_back(i);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s PORT ORIGIN_PORT\n", argv[0]);
        return 64;
    }
    bench_begin();
    origin = bench_address(argv[2]);
    int listener = bench_listen(argv[1], SOCK_STREAM);

    make_ring();
    accept_next(listener);
    for (;;) {
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;

        io_uring_submit_and_wait(&ring, 1);
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            handle(cqe, listener);
            seen++;
        }
        io_uring_cq_advance(&ring, seen);
    }
}
