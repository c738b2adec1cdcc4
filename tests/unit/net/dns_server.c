/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/unit/net/dns_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/net/resolver.h"

#define MESSAGE 8192

atomic_int dns_queries, dns_tcp, dns_flip;
atomic_bool dns_down, dns_failing;
char dns_servers[64];

static int udp, tcp, stop[2];
static pthread_t thread;

struct reply {
    unsigned char bytes[MESSAGE];
    size_t len;
    unsigned answers, authorities, code;
    bool truncated, drop;
};

/* The name of the question as text; its length on the wire. */
static size_t question_name(const unsigned char *wire, char *name, size_t size)
{
    size_t at = 0, len = 0;

    while (wire[at] && len + wire[at] + 2 < size) {
        if (len)
            name[len++] = '.';
        memcpy(name + len, wire + at + 1, wire[at]);
        len += wire[at];
        at += wire[at] + 1u;
    }
    name[len] = '\0';
    return at + 1;
}

static void put(struct reply *r, const void *bytes, size_t len)
{
    memcpy(r->bytes + r->len, bytes, len);
    r->len += len;
}

static void put16(struct reply *r, unsigned value)
{
    put(r, (unsigned char[]){(unsigned char)(value >> 8), (unsigned char)value}, 2);
}

static size_t wire_name(const char *name, unsigned char *wire)
{
    size_t len = 0;

    while (*name) {
        size_t label = strcspn(name, ".");

        wire[len++] = (unsigned char)label;
        memcpy(wire + len, name, label);
        len += label;
        name += label + (name[label] == '.');
    }
    wire[len++] = 0;
    return len;
}

/* `owner` NULL: the name of the question. */
static void put_record(struct reply *r, const char *owner, unsigned type, uint32_t ttl,
                       const void *data, size_t len)
{
    unsigned char wire[256];

    if (owner)
        put(r, wire, wire_name(owner, wire));
    else
        put16(r, 0xc00c);
    put16(r, type);
    put16(r, 1);
    put16(r, ttl >> 16);
    put16(r, ttl & 0xffff);
    put16(r, (unsigned)len);
    put(r, data, len);
    r->answers++;
}

static void put_a(struct reply *r, const char *owner, uint32_t ttl, unsigned last)
{
    put_record(r, owner, 1, ttl, (unsigned char[]){127, 0, 0, (unsigned char)last}, 4);
}

static void put_alias(struct reply *r, const char *owner, const char *target, uint32_t ttl)
{
    unsigned char wire[256];

    put_record(r, owner, 5, ttl, wire, wire_name(target, wire));
}

static void put_srv(struct reply *r, unsigned priority, unsigned port, const char *target)
{
    unsigned char data[300] = {0, (unsigned char)priority,    0,
                               5, (unsigned char)(port >> 8), (unsigned char)port};

    put_record(r, NULL, 33, 60, data, 6 + wire_name(target, data + 6));
}

static void put_soa(struct reply *r, uint32_t minimum)
{
    unsigned char data[22] = {0, 0, [21] = (unsigned char)minimum};

    put_record(r, "test", 6, 300, data, sizeof(data));
    r->answers--;
    r->authorities++;
}

static void put_many(struct reply *r, unsigned n, bool by_tcp)
{
    if (!by_tcp)
        r->truncated = true;
    for (unsigned i = 1; by_tcp && i <= n; i++)
        put_a(r, NULL, 60, i);
}

static void answer_a(struct reply *r, const char *name, bool by_tcp)
{
    static const struct {
        const char *name;
        unsigned last, ttl;
    } simple[] = {{"four.test", 4, 60},  {"short.test", 5, 0},  {"both.test", 6, 60},
                  {"late6.test", 7, 60}, {"wrong.test", 8, 60}, {"host.one.test", 9, 60},
                  {"brief.test", 11, 1}};

    for (size_t i = 0; i < sizeof(simple) / sizeof(simple[0]); i++)
        if (strcmp(name, simple[i].name) == 0)
            put_a(r, NULL, simple[i].ttl, simple[i].last);
    if (strcmp(name, "flip.test") == 0)
        put_a(r, NULL, 1, (unsigned)atomic_load(&dns_flip));
    if (strcmp(name, "big.test") == 0)
        put_many(r, 40, by_tcp);
    if (strcmp(name, "many.test") == 0)
        put_many(r, 100, by_tcp);
    if (strcmp(name, "alias.test") == 0) { /* out of order, as servers may */
        put_a(r, "end.test", 60, 4);
        put_alias(r, "middle.test", "end.test", 20);
        put_alias(r, NULL, "middle.test", 40);
    }
    if (strcmp(name, "extra.test") == 0) {
        put_a(r, "victim.test", 60, 66);
        put_a(r, NULL, 60, 10);
        put_a(r, "extra.test.evil.test", 60, 67);
    }
    if (strcmp(name, "broken.test") == 0) {
        put_a(r, NULL, 60, 1);
        r->bytes[r->len - 5] = 200;
    }
}

static void answer_name(struct reply *r, const char *name, unsigned type, bool by_tcp)
{
    static const unsigned char v6[16] = {[15] = 1};

    if (strcmp(name, "none.test") == 0 || strstr(name, "missing")) {
        r->code = 3;
        put_soa(r, 1);
    }
    if (strcmp(name, "loop.test") == 0)
        put_alias(r, NULL, "loop.test", 60);
    if (type == 1)
        answer_a(r, name, by_tcp);
    if (type == 28 && (strcmp(name, "both.test") == 0 || strcmp(name, "late4.test") == 0))
        put_record(r, NULL, 28, 60, v6, 16);
    if (type == 33 && strcmp(name, "_app._tcp.test") == 0) {
        put_srv(r, 20, 8081, "second.test");
        put_srv(r, 10, 8080, "First.test");
    }
    if (type == 16 && strcmp(name, "text.test") == 0)
        put_record(r, NULL, 16, 60, "\x05hello\x06 world", 13);
    if (type == 12 && strcmp(name, "4.0.0.127.in-addr.arpa") == 0) {
        unsigned char wire[64];

        put_record(r, NULL, 12, 60, wire, wire_name("four.test", wire));
    }
}

static bool is_silent(const char *name, unsigned type)
{
    return atomic_load(&dns_down) || strcmp(name, "silent.test") == 0 ||
           (type == 1 && (strcmp(name, "half.test") == 0 || strcmp(name, "late4.test") == 0)) ||
           (type == 28 && strcmp(name, "late6.test") == 0);
}

/* Sends what is sent before the right answer. */
static void lie(const struct reply *r, const char *name, const struct sockaddr_in *peer)
{
    struct reply wrong = *r;

    if (strcmp(name, "wrong.test") == 0) {
        wrong.bytes[0] ^= 0x5a;
        wrong.bytes[r->len - 1] = 66;
    } else if (strcmp(name, "other.test") == 0) {
        wrong.bytes[13] ^= 1; /* the question */
    } else {
        return;
    }
    sendto(udp, wrong.bytes, wrong.len, 0, (const struct sockaddr *)peer, sizeof(*peer));
}

static void build(const unsigned char *query, struct reply *r, char *name, bool by_tcp)
{
    unsigned type;

    memset(r, 0, sizeof(*r));
    r->len = 12 + question_name(query + 12, name, 256) + 4;
    memcpy(r->bytes, query, r->len);
    type = query[r->len - 3];
    atomic_fetch_add(&dns_queries, 1);
    if (by_tcp)
        atomic_fetch_add(&dns_tcp, 1);
    r->drop = is_silent(name, type);
    if (atomic_load(&dns_failing) || strcmp(name, "fail.test") == 0)
        r->code = 2;
    else
        answer_name(r, name, type, by_tcp);
    r->bytes[2] = r->truncated ? 0x83 : 0x81;
    r->bytes[3] = (unsigned char)(0x80 | r->code);
    r->bytes[6] = 0;
    r->bytes[7] = (unsigned char)r->answers;
    r->bytes[8] = 0;
    r->bytes[9] = (unsigned char)r->authorities;
    r->bytes[10] = r->bytes[11] = 0;
}

static void serve_udp(void)
{
    struct sockaddr_in peer;
    socklen_t length = sizeof(peer);
    unsigned char query[512];
    ssize_t n = recvfrom(udp, query, sizeof(query), 0, (struct sockaddr *)&peer, &length);
    struct reply r;
    char name[256];

    if (n <= 16)
        return;
    build(query, &r, name, false);
    if (!r.drop)
        lie(&r, name, &peer);
    if (!r.drop && strcmp(name, "other.test") != 0)
        sendto(udp, r.bytes, r.len, 0, (struct sockaddr *)&peer, sizeof(peer));
}

static void serve_tcp(void)
{
    int fd = accept(tcp, NULL, NULL);
    unsigned char query[514];
    struct reply r;
    char name[256];

    if (fd >= 0 && recv(fd, query, 2, MSG_WAITALL) == 2) {
        size_t len = (size_t)query[0] << 8 | query[1];

        if (len > 16 && len < 512 && recv(fd, query, len, MSG_WAITALL) == (ssize_t)len) {
            build(query, &r, name, true);
            unsigned char head[2] = {(unsigned char)(r.len >> 8), (unsigned char)r.len};

            if (send(fd, head, 2, MSG_NOSIGNAL) == 2)
                (void)!send(fd, r.bytes, r.len, MSG_NOSIGNAL);
        }
    }
    if (fd >= 0)
        close(fd);
}

static void *serve(void *arg)
{
    (void)arg;
    for (;;) {
        struct pollfd fds[3] = {{.fd = udp, .events = POLLIN},
                                {.fd = tcp, .events = POLLIN},
                                {.fd = stop[0], .events = POLLIN}};

        if (poll(fds, 3, -1) < 0)
            continue;
        if (fds[2].revents)
            return NULL;
        if (fds[0].revents)
            serve_udp();
        if (fds[1].revents)
            serve_tcp();
    }
}

void dns_server_reset(void)
{
    atomic_store(&dns_queries, 0);
    atomic_store(&dns_tcp, 0);
    atomic_store(&dns_down, false);
    atomic_store(&dns_failing, false);
}

/* A port that is free for both. */
static bool bind_both(struct sockaddr_in *address)
{
    for (int i = 0; i < 20; i++) {
        socklen_t length = sizeof(*address);

        address->sin_port = 0;
        tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (bind(tcp, (struct sockaddr *)address, length) == 0 &&
            getsockname(tcp, (struct sockaddr *)address, &length) == 0 && listen(tcp, 8) == 0 &&
            bind(udp, (struct sockaddr *)address, length) == 0)
            return true;
        close(tcp);
        close(udp);
    }
    return false;
}

int dns_server_start(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    (void)state;
    if (pipe(stop) != 0 || !bind_both(&address))
        return 1;
    snprintf(dns_servers, sizeof(dns_servers), "127.0.0.1:%u", ntohs(address.sin_port));
    weir__hosts_path = "/dev/null";
    weir__resolv_path = "/dev/null";
    return pthread_create(&thread, NULL, serve, NULL);
}

int dns_server_stop(void **state)
{
    (void)state;
    close(stop[1]);
    pthread_join(thread, NULL);
    close(stop[0]);
    close(udp);
    close(tcp);
    return 0;
}
