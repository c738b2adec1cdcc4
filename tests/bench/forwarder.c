/* SPDX-License-Identifier: Apache-2.0 */
/* The bench's yardstick for plain requests: what forwarding costs when nobody looks at the bytes.
 *
 * One thread, edge-triggered epoll, one upstream connection per client connection, kept as long as
 * the client's. Whatever arrives on one side is sent to the other: receive and send for the request,
 * receive and send for the response, four calls a request plus the waits. An event is followed by one
 * receive; only one that filled the buffer is followed by another (a short one emptied the socket).
 * A side that cannot take more is waited for, and its peer is not read meanwhile.
 *
 *   forwarder PORT ORIGIN_PORT
 */
#include <errno.h>
#include <unistd.h>

#include "tests/bench/bench.h"

enum { BUFFER = 65536 };

/* One direction's end: `rest` is what its peer sent and it could not take yet. */
struct side {
    int fd;
    bool client;
    char *rest;
    size_t rest_size;
};

struct pair {
    struct side side[2];
    bool dead;
    struct pair *next_dead;
};

static int epoll_fd;
static struct sockaddr_in origin;
static struct pair *dead;
static char buffer[BUFFER];

static struct pair *pair_of(struct side *s)
{
    return (struct pair *)(void *)((char *)s - (s->client ? 0 : sizeof *s));
}

static struct side *other(struct side *s)
{
    return s->client ? s + 1 : s - 1;
}

/* Freed after the batch of events, in which its other side may still be named. */
static void bury(struct pair *p)
{
    if (p->dead)
        return;
    p->dead = true;
    close(p->side[0].fd);
    close(p->side[1].fd);
    p->next_dead = dead;
    dead = p;
}

static void free_dead(void)
{
    while (dead) {
        struct pair *p = dead;
        dead = p->next_dead;
        free(p->side[0].rest);
        free(p->side[1].rest);
        free(p);
    }
}

/* Keeps what `to` did not take. False: out of memory. */
static bool keep(struct side *to, const char *data, size_t size)
{
    to->rest = malloc(size);
    if (!to->rest)
        return false;
    memcpy(to->rest, data, size);
    to->rest_size = size;
    return true;
}

/* From one side to the other until it is empty or the other is full; `to_end`: a short receive is not
 * the last, for its end has come too. False: the pair ends. */
static bool forward(struct side *from, bool to_end)
{
    struct side *to = other(from);
    while (!to->rest) {
        ssize_t n = recv(from->fd, buffer, sizeof buffer, 0);
        if (n < 0)
            return errno == EAGAIN;
        if (n == 0)
            return false;
        ssize_t sent = send(to->fd, buffer, (size_t)n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != ENOTCONN)
            return false;
        if (sent < 0)
            sent = 0;
        if (sent < n)
            return keep(to, buffer + sent, (size_t)(n - sent));
        if ((size_t)n < sizeof buffer && !to_end)
            return true;
    }
    return true;
}

/* The side can take more: first what is kept, then what its peer has. */
static bool flush(struct side *to)
{
    if (!to->rest)
        return true;
    ssize_t sent = send(to->fd, to->rest, to->rest_size, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == ENOTCONN;
    if ((size_t)sent < to->rest_size) {
        to->rest_size -= (size_t)sent;
        memmove(to->rest, to->rest + sent, to->rest_size);
        return true;
    }
    free(to->rest);
    to->rest = NULL;
    return forward(other(to), true);
}

static void accept_all(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct pair *p = calloc(1, sizeof *p);
        int up = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (!p || up < 0)
            bench_die("accept");
        p->side[0] = (struct side){.fd = fd, .client = true};
        p->side[1] = (struct side){.fd = up};
        if ((connect(up, (struct sockaddr *)&origin, sizeof origin) != 0 && errno != EINPROGRESS) ||
            !bench_watch_edges(epoll_fd, fd, &p->side[0]) ||
            !bench_watch_edges(epoll_fd, up, &p->side[1]))
            bury(p);
    }
}

static void handle(const struct epoll_event *event)
{
    struct side *s = event->data.ptr;
    struct pair *p = pair_of(s);
    if (p->dead)
        return;
    bool open = !(event->events & (EPOLLERR | EPOLLHUP));
    if (open && (event->events & EPOLLOUT))
        open = flush(s);
    if (open && (event->events & EPOLLIN))
        open = forward(s, event->events & EPOLLRDHUP);
    if (!open)
        bury(p);
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
