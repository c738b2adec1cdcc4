/* SPDX-License-Identifier: Apache-2.0 */
/* The origin of the bench: answers every request with the same bytes, as cheaply as one thread can.
 *
 * A request ends at its empty line (the load is GET only), the answer is made once at the start.
 * Level-triggered epoll, one receive and one send a request. It counts accepted connections, requests
 * and their bytes, and the connections that carried a request since it was last asked; "GET /counts"
 * answers those four numbers instead, which is how the bench learns whether a contender kept its
 * connections and passed on what the client said. A request to "/websocket" switches protocols; from
 * then on each masked frame of the bench's one size comes back unmasked.
 *
 *   origin PORT BODY_BYTES [plain|chunked|browser]      browser: with 15 fields in the head
 */
#include <errno.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/websocket.h"

enum { MAX_EVENTS = 256, RECEIVE = 65536, MAX_BODY = 64 * 1024 * 1024, MAX_FD = 65536 };

struct connection {
    uint32_t tail;  /* the last four bytes received, to see the empty line across receives */
    uint32_t asked; /* requests read and not yet answered */
    size_t sent;    /* of the answer under way */
    bool writing;   /* the socket was full: waiting for EPOLLOUT */
    bool wants_counts;
    uint32_t epoch; /* in which it last carried a request */
    bool websocket;
    uint8_t in_frame; /* bytes of a frame that are here */
    unsigned char frame[WS_MASKED];
};

static struct connection connections[MAX_FD];
static uint64_t accepted, requests, request_bytes, used;
static uint32_t epoch = 1; /* ends with each question for the counts */
static char *answer;
static size_t answer_size;

static const char browser_fields[] =
    "Date: Sat, 21 Nov 2026 08:00:00 GMT\r\n"
    "Server: origin/1.0\r\n"
    "Cache-Control: private, max-age=0, must-revalidate\r\n"
    "Expires: Sat, 21 Nov 2026 08:00:00 GMT\r\n"
    "Last-Modified: Fri, 20 Nov 2026 17:31:04 GMT\r\n"
    "ETag: \"5f2b-60a1c7d5e4f00\"\r\n"
    "Vary: Accept-Encoding, Cookie\r\n"
    "Set-Cookie: session=0123456789abcdef0123456789abcdef; Path=/; HttpOnly; SameSite=Lax\r\n"
    "X-Frame-Options: SAMEORIGIN\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: strict-origin-when-cross-origin\r\n"
    "Content-Security-Policy: default-src 'self'; img-src 'self' data:; script-src 'self'\r\n"
    "X-Request-Id: 7c1c2c6e-6d0f-4a55-9d6e-0f5b7f2a9a10\r\n";

static void make_answer(size_t body, bool chunked, bool browser)
{
    char head[2048];
    int head_size = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n%s",
                             browser ? browser_fields : "");
    const char *end = chunked ? "\r\n0\r\n\r\n" : "";

    head_size += snprintf(head + head_size, sizeof head - (size_t)head_size,
                          chunked ? "Transfer-Encoding: chunked\r\n\r\n%zx\r\n"
                                  : "Content-Length: %zu\r\n\r\n",
                          body);
    answer_size = (size_t)head_size + body + strlen(end);
    answer = malloc(answer_size);
    if (!answer)
        bench_die("malloc");
    memcpy(answer, head, (size_t)head_size);
    for (size_t i = 0; i < body; i += PATTERN_STRETCH)
        memcpy(answer + head_size + i, bench_pattern(i),
               body - i < PATTERN_STRETCH ? body - i : PATTERN_STRETCH);
    memcpy(answer + head_size + body, end, strlen(end));
}

static void watch(int epoll, int op, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};

    if (epoll_ctl(epoll, op, fd, &event) != 0)
        bench_die("epoll_ctl");
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
        bench_no_delay(fd);
        connections[fd] = (struct connection){0};
        accepted++;
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

static bool send_counts(int fd, struct connection *c)
{
    char body[100], text[192];
    int length = snprintf(body, sizeof body, "%llu %llu %llu %llu\n", (unsigned long long)accepted,
                          (unsigned long long)requests, (unsigned long long)used,
                          (unsigned long long)request_bytes);
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

/* Frames come one at a time; a frame in pieces is put together. */
static bool echo_frame(int fd, struct connection *c, const char *data, size_t size)
{
    while (size) {
        size_t wanted = (size_t)WS_MASKED - c->in_frame, n = wanted < size ? wanted : size;
        unsigned char out[WS_PLAIN];

        memcpy(c->frame + c->in_frame, data, n);
        c->in_frame += (uint8_t)n;
        data += n;
        size -= n;
        if (c->in_frame < WS_MASKED)
            return true;
        c->in_frame = 0;
        if (!ws_unmask(c->frame, out) || send(fd, out, WS_PLAIN, MSG_NOSIGNAL) != WS_PLAIN)
            return false;
    }
    return true;
}

static bool switch_protocols(int fd, struct connection *c, const char *data, size_t size)
{
    static const char reply[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Accept: " WS_ACCEPT "\r\n\r\n";

    if (!memmem(data, size, WS_KEY, strlen(WS_KEY)))
        return false;
    c->websocket = true;
    return send(fd, reply, sizeof reply - 1, MSG_NOSIGNAL) == (ssize_t)sizeof reply - 1;
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
    request_bytes += size;
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
    if (c->websocket)
        return echo_frame(fd, c, buffer, (size_t)n);
    if (n > 15 && memcmp(buffer, "GET /websocket ", 15) == 0)
        return switch_protocols(fd, c, buffer, (size_t)n);
    count_requests(c, buffer, (size_t)n);
    return answer_all(epoll, fd, c);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s PORT BODY_BYTES [plain|chunked|browser]\n", argv[0]);
        return 64;
    }
    size_t body = strtoul(argv[2], NULL, 10);
    bool chunked = argc > 3 && strcmp(argv[3], "chunked") == 0;
    bool browser = argc > 3 && strcmp(argv[3], "browser") == 0;
    if (body > MAX_BODY || (chunked && body == 0)) {
        fprintf(stderr, "%s: no body of %zu bytes\n", argv[0], body);
        return 64;
    }
    make_answer(body, chunked, browser);
    bench_begin();
    int listener = bench_listen(argv[1], SOCK_STREAM);
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
