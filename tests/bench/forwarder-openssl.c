/* SPDX-License-Identifier: Apache-2.0 */
/* The bench's yardstick for TLS: OpenSSL towards the client, plain TCP towards the origin, nothing is
 * parsed.
 *
 * As forwarder.c, with the client's side behind an SSL: edge-triggered epoll, one connection to the
 * origin per client, opened with the client's first byte so that a handshake alone does not pay for
 * it. OpenSSL is used as a proxy would: it reads ahead, gives its buffers back while idle, and sends
 * its default number of tickets.
 *
 *   forwarder-openssl PORT ORIGIN_PORT CERTIFICATE KEY
 */
#include <errno.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include "tests/bench/bench.h"

enum { BUFFER = 65536 };

/* Bytes that a side could not take yet; while there are any, its peer is not read. */
struct rest {
    char *data;
    size_t size;
};

struct end {
    struct pair *pair;
    int fd;
    struct rest rest;
};

struct pair {
    struct end client, origin;
    SSL *ssl;
    bool shaken, dead;
    struct pair *next_dead;
};

static int epoll_fd;
static struct sockaddr_in origin;
static SSL_CTX *context;
static struct pair *dead;
static char buffer[BUFFER];

static void bury(struct pair *p)
{
    if (p->dead)
        return;
    p->dead = true;
    p->next_dead = dead;
    dead = p;
}

static void free_dead(void)
{
    while (dead) {
        struct pair *p = dead;

        dead = p->next_dead;
        SSL_free(p->ssl);
        close(p->client.fd);
        if (p->origin.fd >= 0)
            close(p->origin.fd);
        free(p->client.rest.data);
        free(p->origin.rest.data);
        free(p);
    }
}

static bool connect_origin(struct pair *p)
{
    p->origin.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return p->origin.fd >= 0 &&
           (connect(p->origin.fd, (struct sockaddr *)&origin, sizeof origin) == 0 ||
            errno == EINPROGRESS) &&
           bench_watch_edges(epoll_fd, p->origin.fd, &p->origin);
}

/* -1: the connection is at its end, 0: would block. */
static ssize_t tls_result(SSL *ssl, int result)
{
    int error;

    if (result > 0)
        return result;
    error = SSL_get_error(ssl, result);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static ssize_t tcp_result(ssize_t result)
{
    if (result > 0)
        return result;
    return result < 0 && (errno == EAGAIN || errno == ENOTCONN) ? 0 : -1;
}

static ssize_t pull(struct end *end)
{
    struct pair *p = end->pair;

    return end == &p->client ? tls_result(p->ssl, SSL_read(p->ssl, buffer, sizeof buffer))
                             : tcp_result(recv(end->fd, buffer, sizeof buffer, 0));
}

static ssize_t push(struct end *end, const char *data, size_t size)
{
    struct pair *p = end->pair;

    return end == &p->client ? tls_result(p->ssl, SSL_write(p->ssl, data, (int)size))
                             : tcp_result(send(end->fd, data, size, MSG_NOSIGNAL));
}

static bool give(struct end *to, const char *data, size_t size)
{
    while (size) {
        ssize_t n = push(to, data, size);

        if (n < 0)
            return false;
        if (n == 0) {
            to->rest.data = malloc(size);
            if (!to->rest.data)
                return false;
            memcpy(to->rest.data, data, size);
            to->rest.size = size;
            return true;
        }
        data += n;
        size -= (size_t)n;
    }
    return true;
}

/* From one end to the other until it is empty or the other is full. A short receive from the origin
 * emptied its socket; from TLS only the next call tells. */
static bool forward(struct end *from, bool ended)
{
    struct pair *p = from->pair;
    struct end *to = from == &p->client ? &p->origin : &p->client;

    while (!to->rest.data) {
        ssize_t n = pull(from);

        if (n <= 0)
            return n == 0;
        if (p->origin.fd < 0 && !connect_origin(p))
            return false;
        if (!give(to, buffer, (size_t)n))
            return false;
        if (from == &p->client ? !SSL_has_pending(p->ssl) && !ended
                               : (size_t)n < sizeof buffer && !ended)
            return true;
    }
    return true;
}

static bool flush(struct end *to)
{
    struct pair *p = to->pair;
    struct rest rest = to->rest;
    bool open;

    if (!rest.data)
        return true;
    to->rest = (struct rest){NULL, 0};
    open = give(to, rest.data, rest.size);
    free(rest.data);
    return open && (to->rest.data || forward(to == &p->client ? &p->origin : &p->client, true));
}

/* False: it failed. */
static bool shake(struct pair *p)
{
    int result = SSL_accept(p->ssl);

    p->shaken = result > 0;
    return p->shaken || tls_result(p->ssl, result) == 0;
}

static void handle(const struct epoll_event *event)
{
    struct end *end = event->data.ptr;
    struct pair *p = end->pair;
    bool open = !(event->events & (EPOLLERR | EPOLLHUP)), fresh = false;

    if (p->dead)
        return;
    if (open && !p->shaken) {
        open = shake(p);
        fresh = p->shaken;
    }
    if (open && p->shaken && (event->events & EPOLLOUT))
        open = flush(end);
    /* The handshake's last read may have taken more, which no event will tell of. */
    if (open && p->shaken && (fresh || event->events & EPOLLIN))
        open = forward(end, fresh || event->events & EPOLLRDHUP);
    if (!open) {
        if (p->shaken)
            SSL_shutdown(p->ssl);
        bury(p);
    }
}

static void accept_all(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct pair *p;

        if (fd < 0)
            return;
        p = calloc(1, sizeof *p);
        if (!p || !(p->ssl = SSL_new(context)) || SSL_set_fd(p->ssl, fd) != 1)
            bench_die("accept");
        p->client = (struct end){.pair = p, .fd = fd};
        p->origin = (struct end){.pair = p, .fd = -1};
        if (!bench_watch_edges(epoll_fd, fd, &p->client))
            bury(p);
    }
}

static void make_context(const char *certificate, const char *key)
{
    context = SSL_CTX_new(TLS_server_method());
    if (!context || SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        bench_die("TLS");
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"bench", 5);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: %s PORT ORIGIN_PORT CERTIFICATE KEY\n", argv[0]);
        return 64;
    }
    bench_begin();
    make_context(argv[3], argv[4]);
    origin = bench_address(argv[2]);
    int listener = bench_listen(argv[1], SOCK_STREAM);

    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    bench_serve(epoll_fd, listener, accept_all, handle, free_dead);
}
