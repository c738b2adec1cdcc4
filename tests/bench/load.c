/* SPDX-License-Identifier: Apache-2.0 */
/* The load of the bench: clients that keep one unit of work under way each, and look at every byte of
 * the answer.
 *
 *   load MODE PORT [connections=N] [seconds=S] [body=BYTES] [fields=N] [together=N]
 *       [ca=FILE] [header=LINE]...
 *
 * A unit is a request (http), a connection with its handshake (handshake, resumption), a datagram and
 * its echo (datagrams), a connection that is read to its end (stream), or a frame and its echo
 * (websocket). With ca= the connections of http are TLS.
 *
 * First every client does one unit, so that what comes with a connection is not measured. Then the
 * program prints "ready" and waits for a line; it works for that many seconds, lets what is under way
 * come to its end, and prints what it saw as JSON. Connections stay until standard input ends. An
 * answer with a wrong byte, status or length ends the run as failed.
 */
#include "tests/bench/load.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

enum { MAX_EVENTS = 256, STUCK_SECONDS = 20, BUCKETS = 64 * 32 };

struct options options = {.connections = 64, .together = 64, .seconds = 1};
uint64_t received;
bool warming = true;
const char *failure;

static int epoll_fd;
static struct client *clients;
static unsigned n_begun, n_active;
static uint64_t units, histogram[BUCKETS];

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

enum progress fail(const char *why)
{
    if (!failure)
        failure = why;
    return FAILED;
}

void client_connect(struct client *client, int type)
{
    client->fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0)
        bench_die("socket");
    if (type == SOCK_STREAM)
        bench_no_delay(client->fd);
    if (connect(client->fd, (struct sockaddr *)&options.address, sizeof options.address) != 0 &&
        errno != EINPROGRESS)
        bench_die("connect");
    bench_watch(epoll_fd, EPOLL_CTL_ADD, client->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                client);
}

void client_close(struct client *client)
{
    SSL_free(client->ssl);
    client->ssl = NULL;
    client->secure = client->leaving = false;
    close(client->fd);
    client->fd = -1;
}

ssize_t client_pull(struct client *client, char *buffer, size_t size)
{
    ssize_t n;
    int error;

    if (!client->ssl) {
        n = recv(client->fd, buffer, size, 0);
        return n > 0 ? n : n < 0 && errno == EAGAIN ? 0 : -1;
    }
    n = SSL_read(client->ssl, buffer, (int)size);
    if (n > 0)
        return n;
    error = SSL_get_error(client->ssl, (int)n);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

enum progress client_push(struct client *client, const void *data, size_t size)
{
    const char *rest = (const char *)data + client->written;
    size_t left = size - client->written;
    ssize_t n;

    if (client->ssl) {
        n = SSL_write(client->ssl, rest, (int)left);
        if (n <= 0)
            return SSL_get_error(client->ssl, (int)n) == SSL_ERROR_WANT_WRITE
                       ? GOING
                       : fail("a TLS connection broke while sending");
    } else {
        n = send(client->fd, rest, left, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == ENOTCONN ? GOING
                                                        : fail("a connection broke while sending");
    }
    client->written += (size_t)n;
    return client->written == size ? DONE : GOING;
}

/* Buckets of a 32nd of a power of two. */
static void count_latency(int64_t ns)
{
    uint64_t value = ns > 32 ? (uint64_t)ns : 32;
    unsigned power = 63 - (unsigned)__builtin_clzll(value);

    histogram[power * 32 + (value >> (power - 5) & 31)]++;
}

static double percentile(double share)
{
    uint64_t wanted = (uint64_t)((double)units * share), seen = 0;

    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if (seen > wanted)
            return (double)((uint64_t)(32 + i % 32) << (i / 32 - 5)) / 1e9;
    }
    return 0;
}

static void begin(struct client *client, int64_t end)
{
    client->began = now_ns();
    if (client->began >= end) {
        client->active = false;
        n_active--;
        return;
    }
    client->number++;
    options.mode->begin(client);
}

/* A warm client has done one unit; then the next ones begin theirs. */
static void ended(struct client *client, int64_t end)
{
    if (!warming) {
        units++;
        count_latency(now_ns() - client->began);
        begin(client, end);
        return;
    }
    client->active = false;
    n_active--;
}

static void start(struct client *client, int64_t end)
{
    client->active = true;
    n_active++;
    begin(client, end);
}

static void turn(int64_t end)
{
    struct epoll_event events[MAX_EVENTS];
    int count = epoll_wait(epoll_fd, events, MAX_EVENTS, 1000);
    static int64_t last;

    if (count > 0)
        last = now_ns();
    else if (last && now_ns() - last > (int64_t)STUCK_SECONDS * 1000000000)
        fail("an answer did not come");
    for (int i = 0; i < count && !failure; i++) {
        struct client *client = events[i].data.ptr;

        if (!client->active) {
            if (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                fail("an idle connection was closed");
            continue;
        }
        if (options.mode->ready(client) == DONE)
            ended(client, end);
    }
}

/* One unit each, only so many at a time: a contender may keep what its busiest moment took. */
static void warm_up(void)
{
    while (!failure && (n_begun < options.connections || n_active)) {
        while (n_begun < options.connections && n_active < options.together && !failure)
            start(&clients[n_begun++], INT64_MAX);
        turn(INT64_MAX);
    }
}

static void work(void)
{
    int64_t began = now_ns(), end = began + (int64_t)(options.seconds * 1e9);

    for (unsigned i = 0; i < options.connections && !failure; i++)
        start(&clients[i], end);
    while (!failure && n_active)
        turn(end);
    printf("{\"units\": %llu, \"seconds\": %.6f, \"bytes\": %llu, \"p50\": %.9f, \"p99\": %.9f",
           (unsigned long long)units, (double)(now_ns() - began) / 1e9,
           (unsigned long long)received, percentile(0.5), percentile(0.99));
}

static const struct mode *mode_of(const char *name)
{
    static const struct mode *const modes[] = {&mode_http,      &mode_handshake, &mode_resumption,
                                               &mode_datagrams, &mode_stream,    &mode_websocket};

    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(modes[i]->name, name) == 0)
            return modes[i];
    fprintf(stderr, "load: no mode %s\n", name);
    exit(64);
}

static void add_header(const char *line)
{
    int n = snprintf(options.request + options.request_size,
                     sizeof options.request - options.request_size, "%s\r\n", line);

    options.request_size += (size_t)n;
    if (options.request_size >= sizeof options.request)
        bench_die("too many headers");
}

static const char *value_of(const char *argument, const char *name)
{
    size_t length = strlen(name);

    return strncmp(argument, name, length) == 0 && argument[length] == '=' ? argument + length + 1
                                                                           : NULL;
}

static void parse(int argc, char **argv)
{
    const char *value;

    options.mode = mode_of(argv[1]);
    options.address = bench_address(argv[2]);
    add_header("GET / HTTP/1.1");
    add_header("Host: localhost");
    for (int i = 3; i < argc; i++) {
        if ((value = value_of(argv[i], "connections")))
            options.connections = (unsigned)strtoul(value, NULL, 10);
        else if ((value = value_of(argv[i], "together")))
            options.together = (unsigned)strtoul(value, NULL, 10);
        else if ((value = value_of(argv[i], "seconds")))
            options.seconds = strtod(value, NULL);
        else if ((value = value_of(argv[i], "body")))
            options.body = strtoull(value, NULL, 10);
        else if ((value = value_of(argv[i], "fields")))
            options.fields = (unsigned)strtoul(value, NULL, 10);
        else if ((value = value_of(argv[i], "ca")))
            tls_begin(value);
        else if ((value = value_of(argv[i], "header")))
            add_header(value);
        else
            fprintf(stderr, "load: %s is ignored\n", argv[i]);
    }
    add_header("");
}

int main(int argc, char **argv)
{
    char line[16];

    if (argc < 3) {
        fprintf(stderr, "usage: %s MODE PORT [NAME=VALUE]...\n", argv[0]);
        return 64;
    }
    bench_begin();
    parse(argc, argv);
    clients = calloc(options.connections, sizeof *clients);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!clients || epoll_fd < 0)
        bench_die("load");
    for (unsigned i = 0; i < options.connections; i++)
        clients[i].fd = -1;
    warm_up();
    warming = false;
    received = 0;
    if (!failure) {
        printf("ready\n");
        fflush(stdout);
        if (!fgets(line, sizeof line, stdin))
            return 0;
        work();
        printf(", \"failed\": ");
    } else {
        printf("{\"failed\": ");
    }
    printf(failure ? "\"%s\"}\n" : "null}\n", failure);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin))
        ;
    return failure ? 1 : 0;
}
