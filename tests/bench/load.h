/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the bench's load generator (load.c says what it is). */
#ifndef WEIR_TESTS_BENCH_LOAD_H
#define WEIR_TESTS_BENCH_LOAD_H

#include <openssl/ssl.h>

#include "tests/bench/bench.h"

enum progress { GOING, DONE, FAILED };

/* What has come of a response. */
struct response {
    enum { IN_HEAD, IN_LENGTH, IN_CHUNK_SIZE, IN_CHUNK, IN_CHUNK_END, IN_END } at;

    uint64_t left; /* of the body, or of its chunk */
    uint64_t body; /* bytes so far */
    size_t head_size;
    char head[4096]; /* or a line between chunks, when they come in pieces */
};

struct client {
    int fd;
    SSL *ssl;      /* NULL: plain */
    bool secure;   /* its handshake is done */
    bool leaving;  /* it has said goodbye */
    bool active;   /* a unit is under way */
    bool switched; /* speaks WebSocket */
    int64_t began; /* the unit, ns */
    size_t written;
    struct response in;
    uint64_t number; /* of its units */
};

/* A kind of unit: begin() starts one, ready() goes on with it when the socket can. */
struct mode {
    const char *name;
    enum progress (*begin)(struct client *client);
    enum progress (*ready)(struct client *client);
};

struct options {
    const struct mode *mode;
    struct sockaddr_in address;
    unsigned connections;
    unsigned together; /* of them in the first unit */
    double seconds;
    uint64_t body;   /* bytes that a response or stream has */
    unsigned fields; /* at least so many in the head of a response */
    char request[8192];
    size_t request_size;
};

extern struct options options;
extern uint64_t received; /* bytes of bodies that were checked */
extern bool warming;      /* the units do not count yet */
extern const char *failure;

enum progress fail(const char *why);

/* Connects without blocking and watches the socket; at the next event it is connected. */
void client_connect(struct client *client, int type);
void client_close(struct client *client);
/* Bytes, 0: none now, -1: the end or a failure. */
ssize_t client_pull(struct client *client, char *buffer, size_t size);
/* Sends what is left of it; GOING: not all could be. */
enum progress client_push(struct client *client, const void *data, size_t size);

/* load-tls.c */
extern bool use_tls;
void tls_begin(const char *ca);
void tls_attach(struct client *client);
/* DONE: the connection is ready for data. */
enum progress tls_shake(struct client *client);
extern const struct mode mode_handshake, mode_resumption;

/* load-http.c */
extern const struct mode mode_http;
/* load-modes.c */
extern const struct mode mode_datagrams, mode_stream, mode_websocket;

#endif
