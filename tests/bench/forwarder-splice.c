/* SPDX-License-Identifier: Apache-2.0 */
/* The bench's yardstick for bulk bytes: what relaying costs when they never enter the process.
 *
 * As forwarder.c, with a pipe of 512 KiB per direction and splice(2) in place of receive and send;
 * pipes of ended pairs are kept for the next ones.
 *
 *   forwarder-splice PORT ORIGIN_PORT
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/bench/bench.h"

enum { PIPE = 512 * 1024, SPARES_MAX = 256 };

struct end {
    struct pair *pair;
    int fd;
    bool ended; /* sends no more */
};

/* What `from` sent goes through this pipe. */
struct lane {
    int pipe[2];
    size_t held;
};

struct pair {
    struct end end[2];
    struct lane lane[2]; /* lane[i] carries from end[i] */
    bool dead;
    struct pair *next_dead;
};

static int epoll_fd;
static struct sockaddr_in origin;
static struct pair *dead;
static struct lane spares[SPARES_MAX];
static size_t n_spares;

static void bury(struct pair *p)
{
    if (p->dead)
        return;
    p->dead = true;
    p->next_dead = dead;
    dead = p;
}

static void close_lane(const struct lane *lane)
{
    if (!lane->held && n_spares < SPARES_MAX) {
        spares[n_spares++] = *lane;
        return;
    }
    close(lane->pipe[0]);
    close(lane->pipe[1]);
}

static void open_lane(struct lane *lane)
{
    if (n_spares) {
        *lane = spares[--n_spares];
        return;
    }
    if (pipe2(lane->pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        bench_die("pipe");
    (void)fcntl(lane->pipe[1], F_SETPIPE_SZ, PIPE);
}

static void free_dead(void)
{
    while (dead) {
        struct pair *p = dead;

        dead = p->next_dead;
        for (int i = 0; i < 2; i++) {
            close(p->end[i].fd);
            close_lane(&p->lane[i]);
        }
        free(p);
    }
}

/* Fills the pipe of end[i] and empties it again, until one of the sockets would block. False: the
 * pair has failed. */
static bool move(struct pair *p, int i)
{
    struct lane *lane = &p->lane[i];
    struct end *from = &p->end[i], *to = &p->end[1 - i];

    for (;;) {
        ssize_t n;

        if (!lane->held && !from->ended) {
            n = splice(from->fd, NULL, lane->pipe[1], NULL, PIPE,
                       SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
            if (n < 0)
                return errno == EAGAIN;
            from->ended = n == 0;
            lane->held = (size_t)n;
        }
        if (!lane->held) {
            shutdown(to->fd, SHUT_WR);
            if (to->ended)
                bury(p);
            return true;
        }
        n = splice(lane->pipe[0], NULL, to->fd, NULL, lane->held,
                   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n < 0)
            return errno == EAGAIN || errno == ENOTCONN;
        lane->held -= (size_t)n;
    }
}

static void handle(const struct epoll_event *event)
{
    struct end *end = event->data.ptr;
    struct pair *p = end->pair;
    int i = end == &p->end[1];
    bool open = !(event->events & EPOLLERR);

    if (p->dead)
        return;
    if (open && (event->events & EPOLLOUT))
        open = move(p, 1 - i);
    if (open && !p->dead && (event->events & (EPOLLIN | EPOLLRDHUP)))
        open = move(p, i);
    if (!open)
        bury(p);
}

static void accept_all(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct pair *p;

        if (fd < 0)
            return;
        p = calloc(1, sizeof *p);
        if (!p)
            bench_die("accept");
        p->end[0] = (struct end){.pair = p, .fd = fd};
        p->end[1] = (struct end){
            .pair = p, .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
        open_lane(&p->lane[0]);
        open_lane(&p->lane[1]);
        if ((connect(p->end[1].fd, (struct sockaddr *)&origin, sizeof origin) != 0 &&
             errno != EINPROGRESS) ||
            !bench_watch_edges(epoll_fd, p->end[0].fd, &p->end[0]) ||
            !bench_watch_edges(epoll_fd, p->end[1].fd, &p->end[1]))
            bury(p);
    }
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

    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    bench_serve(epoll_fd, listener, accept_all, handle, free_dead);
}
