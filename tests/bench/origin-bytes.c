/* SPDX-License-Identifier: Apache-2.0 */
/* The origins of the rows that are not HTTP: one that sends every connection a stretch of the pattern
 * and closes it, and one that sends every datagram back.
 *
 *   origin-bytes PORT stream BYTES
 *   origin-bytes PORT datagrams
 */
#include <errno.h>
#include <unistd.h>

#include "tests/bench/bench.h"

enum { MAX_EVENTS = 256, DATAGRAM = 65536 };

struct connection {
    int fd;
    uint64_t sent;
};

static uint64_t size;

static void accept_all(int epoll, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct connection *c;

        if (fd < 0)
            return;
        c = calloc(1, sizeof *c);
        if (!c)
            bench_die("accept");
        c->fd = fd;
        bench_watch(epoll, EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLET, c);
    }
}

static void pour(struct connection *c)
{
    while (c->sent < size) {
        uint64_t left = size - c->sent;
        ssize_t n = send(c->fd, bench_pattern(c->sent),
                         left < PATTERN_STRETCH ? (size_t)left : PATTERN_STRETCH, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            break;
        c->sent += (uint64_t)n;
    }
    close(c->fd);
    free(c);
}

static void serve_streams(const char *port)
{
    int listener = bench_listen(port, SOCK_STREAM), epoll = epoll_create1(EPOLL_CLOEXEC);

    bench_watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        int count = epoll_wait(epoll, events, MAX_EVENTS, -1);

        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                pour(events[i].data.ptr);
            else
                accept_all(epoll, listener);
        }
    }
}

static void echo_datagrams(const char *port)
{
    static char buffer[DATAGRAM];
    struct sockaddr_in address = bench_address(port), from;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
        bench_die("bind");
    for (;;) {
        socklen_t length = sizeof from;
        ssize_t n = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &length);

        if (n >= 0)
            (void)!sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&from, length);
    }
}

int main(int argc, char **argv)
{
    bench_begin();
    if (argc == 4 && strcmp(argv[2], "stream") == 0) {
        size = strtoull(argv[3], NULL, 10);
        serve_streams(argv[1]);
    } else if (argc == 3 && strcmp(argv[2], "datagrams") == 0) {
        echo_datagrams(argv[1]);
    }
    fprintf(stderr, "usage: %s PORT stream BYTES | PORT datagrams\n", argv[0]);
    return 64;
}
