/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of connections: a protocol that writes down what it is told, transports over socket
 * pairs whose other end the test holds, and waiting for what the loop will do.
 *
 *     struct record record = {0};
 *     int peer = -1;
 *     weir_transport *t = pair_transport(&recording, &record, &peer);
 *
 *     CHECK(send_all(peer, "hello"));
 *     UNTIL(record.received == 5);
 *     CHECK_EVENTS(&record, "made data(hello) ");
 */
#ifndef WEIR_TESTS_NET_TEST_H
#define WEIR_TESTS_NET_TEST_H

#include <string.h>
#include <unistd.h>

#include <weir/server.h>
#include <weir/stream.h>

#include "core/net/transport.h"
#include "tests/unit/support/support.h"

/* Lets the loop run until `condition` holds; fails after 10 s. */
#define UNTIL(condition)                                                      \
    do {                                                                      \
        weir_instant until_end_ = weir_instant_after(weir_now(), WEIR_S(10)); \
        while (!(condition)) {                                                \
            if (weir_now().ns > until_end_.ns)                                \
                return check_failed(WEIR_HERE, "never: " #condition);         \
            CHECK_OK(weir_sleep(WEIR_NS(0)));                                 \
        }                                                                     \
    } while (0)

#define CHECK_EVENTS(record, wanted)                                          \
    do {                                                                      \
        if (!had_events((record), (wanted)))                                  \
            return check_failed(WEIR_HERE, wrong_events((record), (wanted))); \
    } while (0)

/* Runs the loop for some iterations, to see that nothing happens in them. */
#define SETTLE()                                      \
    do {                                              \
        for (int settle_ = 0; settle_ < 5; settle_++) \
            CHECK_OK(weir_sleep(WEIR_NS(0)));         \
    } while (0)

/* Sends leave with the iteration, on epoll even at once. */
#define SENT(transport) UNTIL(weir_transport_write_buffer_size(transport) == 0)

/* What a recording protocol is to do, and what it was told. Its configuration. */
struct record {
    /* to do */
    bool keep_open;       /* on eof */
    bool no_text;         /* count data, do not write it down */
    weir_code made_fails; /* connection_made returns it */
    weir_code data_fails;
    weir_error *(*on_data)(weir_transport *t, struct record *record, weir_slice data);
    void (*on_resume)(weir_transport *t, struct record *record);
    void *arg;
    /* told */
    char events[1024];
    size_t received;
    unsigned pauses, resumes;
    bool made, eof, lost;
    weir_code reason; /* of connection_lost */
    weir_transport *transport;
};

extern const weir_protocol recording;
void note(struct record *record, const char *format, ...) WEIR_PRINTF(2, 3);
/* Under faults bytes may come in any pieces. */
bool had_events(const struct record *record, const char *wanted);
const char *wrong_events(const struct record *record, const char *wanted);

/* An open transport over one end of a socket pair; NULL when that fails. `ret_peer` non-blocking. */
weir_transport *pair_transport(const weir_protocol *protocol, const void *config, int *ret_peer);
/* Likewise over a descriptor, which moves in. */
weir_transport *fd_transport(const weir_protocol *protocol, const void *config, int fd);

/* A stream over one end; NULL when that fails. */
weir_stream *pair_stream(int *ret_peer);
/* Closes the server and its connections, waits for their end and drops it. */
weir_error *end_server(weir_server *server);

bool send_all(int fd, const char *text);
/* What can be read now: bytes, 0 the end, -1 nothing, -2 an error. */
ssize_t receive_some(int fd, void *buffer, size_t size);
/* Adds what can be read now, up to `size`; gives how many bytes there are. */
size_t receive_more(int fd, void *buffer, size_t size, size_t *got);
/* Bytes that can be read now. */
size_t unread(int fd);
/* So many chunks may be held above a limit, by what the kernel completed before it was stopped. */
size_t chunks_in_ring(void);
/* A connected, non-blocking socket to "127.0.0.1:port" or "unix:path"; -1. */
int raw_connect(const char *name);
/* Makes closing `fd` a reset. */
void close_with_reset(int fd);
/* A bound, not listening loopback port that refuses connections; the socket keeps it ours. */
int refusing_port(char *name, size_t size);

void fill_pattern(void *buffer, size_t size, size_t offset);
bool is_pattern(const void *buffer, size_t size, size_t offset);
/* An open file of such bytes, without a name; -1. */
int pattern_file(size_t size);

#endif
