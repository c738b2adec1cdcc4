/* SPDX-License-Identifier: Apache-2.0 */
/* The bench's yardstick for UDP: one receive and one send per datagram and direction.
 *
 * Each client (address and port) has a connected socket towards the origin, found by a hash of the
 * client's address. Sockets are drained, then waited for by level-triggered epoll.
 *
 *   forwarder-udp PORT ORIGIN_PORT
 */
#include <unistd.h>

#include "tests/bench/bench.h"

enum { MAX_EVENTS = 256, SLOTS = 65536, BUFFER = 65536 };

struct session {
    struct sockaddr_in client;
    int fd;
    struct session *next; /* of the same slot */
};

static int epoll_fd, listener;
static struct sockaddr_in origin;
static struct session *slots[SLOTS];
static char buffer[BUFFER];

static struct session *session_of(const struct sockaddr_in *client)
{
    struct session **slot = &slots[client->sin_port ^ (client->sin_addr.s_addr >> 16)], *s = *slot;

    while (s && (s->client.sin_port != client->sin_port ||
                 s->client.sin_addr.s_addr != client->sin_addr.s_addr))
        s = s->next;
    if (s)
        return s;
    s = calloc(1, sizeof *s);
    if (!s)
        bench_die("session");
    s->client = *client;
    s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&origin, sizeof origin) != 0)
        bench_die("session");
    bench_watch(epoll_fd, EPOLL_CTL_ADD, s->fd, EPOLLIN, s);
    s->next = *slot;
    *slot = s;
    return s;
}

static void from_clients(void)
{
    struct sockaddr_in client;
    socklen_t length = sizeof client;
    ssize_t n;

    while ((n = recvfrom(listener, buffer, sizeof buffer, 0, (struct sockaddr *)&client,
                         &length)) >= 0) {
        (void)!send(session_of(&client)->fd, buffer, (size_t)n, 0);
        length = sizeof client;
    }
}

/* One datagram answers one: no second receive finds that there is no other. */
static void from_origin(const struct session *s)
{
    ssize_t n = recv(s->fd, buffer, sizeof buffer, 0);

    if (n >= 0)
        (void)!sendto(listener, buffer, (size_t)n, 0, (const struct sockaddr *)&s->client,
                      sizeof s->client);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s PORT ORIGIN_PORT\n", argv[0]);
        return 64;
    }
    bench_begin();
    origin = bench_address(argv[2]);
    listener = bench_listen(argv[1], SOCK_DGRAM);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    bench_watch(epoll_fd, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        int count = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);

        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                from_origin(events[i].data.ptr);
            else
                from_clients();
        }
    }
}
