/* SPDX-License-Identifier: Apache-2.0 */
/* The origin of the bench: answers every request with the same bytes, as cheaply as one thread can.
 *
 * A request ends at its empty line (the load is GET only), the answer is made once at the start.
 * Level-triggered epoll, one receive and one send a request. It counts accepted connections and
 * requests, and the connections that carried a request since it was last asked; "GET /counts" answers
 * those three numbers instead, which is how the bench learns whether a contender kept its connections.
 *
 *   origin PORT BODY_BYTES [chunked]
 */
#include <arpa/inet.h>
#include <errno.h>
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
#include <unistd.h>

enum { MAX_EVENTS = 256, RECEIVE = 65536, MAX_BODY = 64 * 1024 * 1024, MAX_FD = 65536 };

struct connection {
    uint32_t tail;  /* the last four bytes received, to see the empty line across receives */
    uint32_t asked; /* requests read and not yet answered */
    size_t sent;    /* of the answer under way */
    bool writing;   /* the socket was full: waiting for EPOLLOUT */
    bool wants_counts;
    uint32_t epoch; /* in which it last carried a request */
};

static struct connection connections[MAX_FD];
static uint64_t accepted, requests, used;
static uint32_t epoch = 1; /* ends with each question for the counts */
static char *answer;
static size_t answer_size;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void make_answer(size_t body, bool chunked)
{
    char head[256];
    int head_size = chunked ? snprintf(head, sizeof head,
                                       "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                                       "Transfer-Encoding: chunked\r\n\r\n%zx\r\n",
                                       body)
                            : snprintf(head, sizeof head,
                                       "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                                       "Content-Length: %zu\r\n\r\n",
                                       body);
    const char *end = chunked ? "\r\n0\r\n\r\n" : "";
    answer_size = (size_t)head_size + body + strlen(end);
    answer = malloc(answer_size);
    if (!answer)
        fail("malloc");
    memcpy(answer, head, (size_t)head_size);
    memset(answer + head_size, 'x', body);
    memcpy(answer + head_size + body, end, strlen(end));
}

static int listen_on(const char *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0)
        fail("listen");
    return fd;
}

static void watch(int epoll, int op, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, op, fd, &event) != 0)
        fail("epoll_ctl");
}

static void accept_all(int epoll, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if (fd >= MAX_FD) {
            close(fd);
            continue;
        }
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connections[fd] = (struct connection){0};
        accepted++;
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

static bool send_counts(int fd, struct connection *c)
{
    char body[80], text[192];
    int length = snprintf(body, sizeof body, "%llu %llu %llu\n", (unsigned long long)accepted,
                          (unsigned long long)requests, (unsigned long long)used);
    used = 0;
    epoch++;
    int size = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s",
                        length, body);
    c->wants_counts = false;
    c->asked = 0;
    return send(fd, text, (size_t)size, MSG_NOSIGNAL) == size;
}

/* Sends what is owed. False: the connection is to be closed. */
static bool answer_all(int epoll, int fd, struct connection *c)
{
    if (c->wants_counts)
        return send_counts(fd, c);
    while (c->asked) {
        ssize_t n = send(fd, answer + c->sent, answer_size - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            if (!c->writing)
                watch(epoll, EPOLL_CTL_MOD, fd, EPOLLOUT);
            c->writing = true;
            return true;
        }
        if (n < 0)
            return false;
        c->sent += (size_t)n;
        if (c->sent == answer_size) {
            c->sent = 0;
            c->asked--;
            requests++;
        }
    }
    if (c->writing)
        watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN);
    c->writing = false;
    return true;
}

static void count_requests(struct connection *c, const char *data, size_t size)
{
    static const char counts[] = "GET /counts ";
    if (size > sizeof counts && memcmp(data, counts, sizeof counts - 1) == 0)
        c->wants_counts = true;
    else if (c->epoch != epoch) {
        c->epoch = epoch;
        used++;
    }
    /* The usual receive is one whole request: look at its end first. */
    if (c->tail == 0 && size >= 4 && memcmp(data + size - 4, "\r\n\r\n", 4) == 0 &&
        memmem(data, size - 1, "\r\n\r\n", 4) == NULL) {
        c->asked++;
        return;
    }
    for (size_t i = 0; i < size; i++) {
        c->tail = c->tail << 8 | (unsigned char)data[i];
        if (c->tail == 0x0d0a0d0a) {
            c->asked++;
            c->tail = 0;
        }
    }
}

static bool receive(int epoll, int fd, struct connection *c)
{
    static char buffer[RECEIVE];
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n < 0)
        return errno == EAGAIN;
    if (n == 0)
        return false;
    count_requests(c, buffer, (size_t)n);
    return answer_all(epoll, fd, c);
}

static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s PORT BODY_BYTES [chunked]\n", argv[0]);
        return 64;
    }
    size_t body = strtoul(argv[2], NULL, 10);
    bool chunked = argc > 3 && strcmp(argv[3], "chunked") == 0;
    if (body > MAX_BODY || (chunked && body == 0)) {
        fprintf(stderr, "%s: no body of %zu bytes\n", argv[0], body);
        return 64;
    }
    make_answer(body, chunked);
    signal(SIGPIPE, SIG_IGN);
    raise_limit();
    int listener = listen_on(argv[1]);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        int count = epoll_wait(epoll, events, MAX_EVENTS, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                accept_all(epoll, listener);
                continue;
            }
            struct connection *c = &connections[fd];
            bool open = c->writing ? answer_all(epoll, fd, c) : receive(epoll, fd, c);
            if (!open)
                close(fd);
        }
    }
}
