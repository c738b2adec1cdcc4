/* SPDX-License-Identifier: Apache-2.0 */
/* A datagram socket from inside. */
#ifndef WEIR_CORE_NET_DATAGRAM_H
#define WEIR_CORE_NET_DATAGRAM_H

#include <netinet/in.h>

#include <weir/datagram.h>

#include "core/net/net.h"
#include "core/net/unix_path.h"
#include "core/task/wait.h"

#define DATAGRAM_MAGIC WEIR_MAGIC('d', 'g', 'r', 'm')
/* Datagrams of one system call. */
#define DATAGRAM_BATCH 32
/* The longest that any socket receives: that of a Unix socket is bounded by its send buffer. */
#define DATAGRAM_ROOM ((size_t)64 * 1024)

#define DATAGRAM_HIGH_DEFAULT ((size_t)64 * 1024)
#define DATAGRAM_HARD_DEFAULT ((size_t)16 * 1024 * 1024)

enum datagram_status { DATAGRAM_OPEN, DATAGRAM_CLOSING, DATAGRAM_LOST, DATAGRAM_DEAD };

/* One that waits to be sent. */
struct datagram_entry {
    struct datagram_entry *next;
    char *data; /* allocated; or lies in the batch's area: then only up to the end of the batch */
    size_t len;
    bool borrowed;
    bool has_from;
    struct in6_addr from; /* which of our addresses; IPv4 mapped */
    weir_address peer;    /* length 0: the remote */
};

struct datagram_wait {
    struct waiter waiter;
    struct list link;
};

struct weir_datagram {
    uint32_t magic;
    uint32_t refs;
    uint32_t holds; /* of them ours: the loop's until it is dead, a batch's */
    struct net *net;
    struct io_file file;
    struct list link;   /* net->datagrams */
    struct list corked; /* the batch's list of sockets with something to send */
    struct job job;     /* connection_lost */
    struct timer limit; /* of flushing while closing */
    const weir_datagram_protocol *protocol;
    const void *config;
    void *context;
    weir_address local, remote;
    size_t max_size;
    struct datagram_entry *queue, **queue_end;
    size_t queued; /* counted with their overheads */
    size_t high, low, hard;
    struct datagram_wait *reader;
    struct list writers;
    weir_error *failure; /* no protocol: for the next receive */
    weir_error *reason;
    struct unix_path path;
    weir_backtrace *created; /* debug mode */
    uint8_t status;          /* enum datagram_status */
    bool connected : 1;      /* `remote`, whose length is 0 when it has no name */
    bool made : 1;
    bool paused : 1;
    bool tells_local : 1;
    bool write_paused : 1;
    bool blocked : 1; /* the kernel had no room: waits for POLLOUT */
    bool no_runs : 1; /* the kernel has refused one */
    void *state[] __attribute__((aligned(16)));
};

/* Phase one of the end. Always takes. */
void weir__datagram_lose(weir_datagram *d, weir_error *take_reason);
/* Tells the protocol, or keeps it for the next receive. Always takes. */
void weir__datagram_error(weir_datagram *d, weir_error *take_error);
/* For a loop that closes: ends it without callbacks. */
void weir__datagram_leave(weir_datagram *d);
void weir__datagram_release(weir_datagram *d);
/* What poll is to tell, as things stand. */
void weir__datagram_update_poll(weir_datagram *d);
void weir__datagram_warn_unclosed(const weir_datagram *d);

/* Moving datagrams (datagram_io.c) */

extern const struct io_file_ops weir__datagram_file_ops;
/* Sends what is queued, as far as there is room. */
void weir__datagram_flush(weir_datagram *d);
void weir__datagram_queue_drop(weir_datagram *d);
void weir__datagram_marks(weir_datagram *d);
struct datagram_batch;
/* Made with a loop's first datagram socket. */
weir_error *weir__datagram_batch_of(struct net *net, struct datagram_batch **ret) WEIR_MUST_USE;
void weir__datagram_batch_free(struct datagram_batch *batch);

/* Which of our addresses (datagram_local.c). Room for the control message of either family. */
#define DATAGRAM_CONTROL CMSG_SPACE(sizeof(struct in6_pktinfo))
/* Asks the kernel to say it. 0 or errno. */
int weir__datagram_tell_local(int fd);
/* weir_datagram_send_to(), and where from; NULL: the kernel chooses (datagram_io.c). */
weir_error *weir__datagram_send(weir_datagram *d, weir_slice data, const weir_address *peer,
                                const struct in6_addr *from) WEIR_MUST_USE;
/* What it said, with the port of the socket; length 0: nothing. */
void weir__datagram_read_local(const weir_datagram *d, struct msghdr *message, weir_address *ret);
/* Says it to the kernel; `control` has DATAGRAM_CONTROL bytes. */
void weir__datagram_write_local(const weir_datagram *d, const struct in6_addr *from,
                                struct msghdr *message, void *control);

/* Runs (datagram_run.c). Whether the socket may send some. */
bool weir__datagram_has_runs(const weir_datagram *d);
/* How many of the queue, from `first` on, may go as one message; 1: only it. */
size_t weir__datagram_run(const struct datagram_entry *first, size_t most);
/* Says so in the message, behind what its control says already. */
void weir__datagram_write_run(struct msghdr *message, void *control, size_t size);
void weir__datagram_run_refused(weir_datagram *d, int code);
#define DATAGRAM_RUN_CONTROL CMSG_SPACE(sizeof(uint16_t))

/* Wakes whoever waits in a suspending call (datagram_task.c). */
void weir__datagram_wake_reader(const weir_datagram *d);
void weir__datagram_wake_writers(const weir_datagram *d);

#endif
