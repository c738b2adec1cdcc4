/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other end of the echo rows: CONNECTIONS round trips of 64 bytes at a time, each checked, for
 * some seconds; prints how many there were. Before that it goes round every connection a few times,
 * says "ready" and waits for a line, so that the runner can look at the server's CPU time.
 *
 *     load PORT CONNECTIONS SECONDS
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure.h"

static char message[MESSAGE], received[MESSAGE];

static int dial(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        measure_fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void send_message(int fd)
{
    if (send(fd, message, MESSAGE, MSG_NOSIGNAL) != MESSAGE)
        measure_fail("send");
}

static void receive_message(int fd)
{
    if (recv(fd, received, MESSAGE, MSG_WAITALL) != MESSAGE ||
        memcmp(message, received, MESSAGE) != 0) {
        fprintf(stderr, "load: what came back is not what was sent\n");
        exit(1);
    }
}

static uint64_t serve_some(int epoll)
{
    struct epoll_event events[256];
    int count = epoll_wait(epoll, events, 256, 1000);

    for (int i = 0; i < count; i++) {
        receive_message(events[i].data.fd);
        send_message(events[i].data.fd);
    }
    return count > 0 ? (uint64_t)count : 0;
}

int main(int argc, char **argv)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC), connections;
    uint64_t trips = 0;
    int64_t end;
    struct measure began;

    if (argc != 4)
        return 64;
    connections = (int)strtol(argv[2], NULL, 10);
    memset(message, 'x', sizeof message);
    for (int i = 0; i < connections; i++) {
        int fd = dial((uint16_t)strtol(argv[1], NULL, 10));
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
        send_message(fd);
    }
    while (trips < 10 * (uint64_t)connections)
        trips += serve_some(epoll);
    printf("ready\n");
    fflush(stdout);
    if (getchar() == EOF)
        return 1;
    trips = 0;
    began = measure_begin();
    end = began.wall + (int64_t)(strtod(argv[3], NULL) * 1e9);
    while (measure_clock(CLOCK_MONOTONIC) < end)
        trips += serve_some(epoll);
    measure_end(began, trips);
    return trips == 0;
}
