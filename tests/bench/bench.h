/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs of the bench share: sockets on loopback, and the bytes that bodies are made of.
 *
 * A body is a stretch of one endless pattern, so that whoever receives it can tell not only how much
 * came but whether it was the right bytes in the right order. Its period is odd and not near a power
 * of two: a lost, doubled or swapped buffer shows.
 */
#ifndef WEIR_TESTS_BENCH_H
#define WEIR_TESTS_BENCH_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { PATTERN_PERIOD = 251, PATTERN_STRETCH = 1 << 20 };

static inline _Noreturn void bench_die(const char *what)
{
    perror(what);
    exit(1);
}

static inline void bench_begin(void)
{
    struct rlimit limit;

    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* At least PATTERN_STRETCH bytes of it, from any offset of the endless pattern. */
static inline const char *bench_pattern(uint64_t offset)
{
    static char bytes[PATTERN_PERIOD + PATTERN_STRETCH];

    if (!bytes[0])
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (char)(1 + i % PATTERN_PERIOD);
    return bytes + offset % PATTERN_PERIOD;
}

static inline bool bench_is_pattern(uint64_t offset, const char *data, size_t size)
{
    while (size) {
        size_t piece = size < PATTERN_STRETCH ? size : PATTERN_STRETCH;

        if (memcmp(data, bench_pattern(offset), piece) != 0)
            return false;
        offset += piece;
        data += piece;
        size -= piece;
    }
    return true;
}

static inline struct sockaddr_in bench_address(const char *port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A bound socket of `type`, listening if it is a stream's. */
static inline int bench_listen(const char *port, int type)
{
    struct sockaddr_in address = bench_address(port);
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        (type == SOCK_STREAM && listen(fd, 4096) != 0))
        bench_die("listen");
    return fd;
}

static inline void bench_no_delay(int fd)
{
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static inline void bench_watch(int epoll, int op, int fd, uint32_t events, void *with)
{
    struct epoll_event event = {.events = events, .data.ptr = with};

    if (epoll_ctl(epoll, op, fd, &event) != 0)
        bench_die("epoll_ctl");
}

/* A connection whose changes alone are told, in both directions. */
static inline bool bench_watch_edges(int epoll, int fd, void *with)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = with};

    bench_no_delay(fd);
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* For ever: `handle` for what is watched with a pointer, `accept_all` for the listener, and `after`
 * each batch of events. */
static inline _Noreturn void bench_serve(int epoll, int listener, void (*accept_all)(int listener),
                                         void (*handle)(const struct epoll_event *event),
                                         void (*after)(void))
{
    bench_watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(epoll, events, 256, -1);

        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                handle(&events[i]);
            else
                accept_all(listener);
        }
        after();
    }
}

#endif
