/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The io_uring backend from inside.
 *
 *   uring.c          the ring: submitting, waiting, delivering; files and their end
 *   uring_ring.c     making a ring, and whether it works on this kernel
 *   uring_receive.c  the ring of buffers, and multishot receives that fill them
 *   uring_calls.c    connect and send
 *   uring_poll.c     polls: of foreign descriptors, listeners, pipes and idle sockets
 *
 * What the kernel still works on must outlive an io_file, which its owner may free as soon as it is
 * closed. So each file has a record of its own, counted by the operations in flight; an operation's
 * user_data is the record's address with the operation's kind in the low bits.
 */
#ifndef WEIR_CORE_IO_URING_H
#define WEIR_CORE_IO_URING_H

#include <liburing.h>

#include "core/base/chunk.h"
#include "core/io/common.h"

#define URING_ENTRIES     256  /* of the submission queue; a full one is submitted early */
#define URING_COMPLETIONS 4096 /* of the completion queue */
#define URING_BUFFERS     128  /* chunks that lie ready for any receive; a power of two */
#define URING_GROUP       1    /* the number of the buffer ring */

enum uring_kind {
    URING_RECEIVE,
    URING_CONNECT,
    URING_SEND,
    URING_POLL,
    URING_WATCH_IN,
    URING_WATCH_OUT,
    URING_WAKE,
    URING_NOTHING, /* a cancel or a close: nobody waits for its result */
    URING_KINDS,
};

#define URING_KIND_MASK ((uintptr_t)15)

/* Of the fields of struct uring_file. */
#define URING_TAKEN_MASK     0xfffffu
#define URING_ITERATION_MASK 0xfffu

/* Bytes that came while the owner had stopped, or above its share of an iteration. */
struct uring_held {
    struct uring_held *next;
    weir_chunk *chunk;
    size_t len;
};

/* The kernel's side of an io_file. Idle connections have one each. */
struct uring_file {
    struct io_file *file; /* NULL: closed, what still completes is thrown away */
    struct uring_held *held, *last_held;
    int result;
    unsigned taken : 20;   /* bytes delivered in this iteration: IO_RECEIVE_BUDGET and a chunk */
    unsigned took_at : 12; /* the iteration of `taken`, its low bits */
    uint16_t nheld;
    uint16_t polled;     /* events of the poll in flight */
    uint8_t refs;        /* one for the file, one for each operation in flight */
    uint8_t inflight;    /* bits by enum uring_kind */
    bool cancelling : 1; /* the multishot in flight was asked to end */
    bool ended : 1;      /* the stream is over; `result` waits to be delivered */
    bool hung : 1;       /* seen while receiving was stopped: the connection is over */
    bool accepts : 1;    /* the poll in flight is of a listener */
};

struct uring_backend {
    struct io_backend base;
    struct io_uring ring;
    bool has_ring;
    bool enabled; /* bound to the thread that runs the loop, from its first submission on */
    int wakefd;
    uint32_t iteration;
    struct io_file **files; /* by descriptor: each registered once */
    size_t nfiles;
    size_t records;          /* those that are not freed yet */
    struct list ready;       /* files to be served without a completion */
    struct list starved;     /* receives that ended for want of a buffer, in order */
    struct list idle;        /* sockets that nobody receives from: to be watched for a hangup */
    struct io_file *current; /* whose callback runs; NULL once it was closed */
    int accepted;            /* just now: known to be a socket */

    struct io_uring_buf_ring *buffers;
    weir_chunk *chunks[URING_BUFFERS]; /* NULL: its place in the ring is empty */
    uint16_t empty[URING_BUFFERS];
    unsigned nempty;
    bool receives;            /* somebody has: a loop without takes no chunks */
    struct uring_held *spare; /* freed records of held bytes */

    /* Sends whose bytes may still move, by their places in the submission queue, which stay theirs
       until the kernel has read them. */
    struct uring_unsent {
        const struct iovec *iov;
        struct msghdr message;
    } sends[URING_ENTRIES];

    uint16_t unsent[URING_ENTRIES];
    unsigned nunsent;
};

static inline struct uring_backend *uring_of(struct io_backend *backend)
{
    return container_of(backend, struct uring_backend, base);
}

static inline struct uring_file *uring_file_of(const struct io_file *file)
{
    return file->backend_data;
}

static inline bool uring_inflight(const struct uring_file *uf, enum uring_kind kind)
{
    return uf->inflight & 1u << kind;
}

static inline bool uring_kernel_has_work(const struct uring_backend *ur)
{
    return IO_URING_READ_ONCE(*ur->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/* A submission entry; submits what there is when the queue is full. */
struct io_uring_sqe *weir__uring_entry(struct uring_backend *ur);
/* Gives the kernel what was asked for; with `complete` it also ends what was cancelled. */
int weir__uring_submit(struct uring_backend *ur, bool complete);
/* Marks `sqe` as an operation of the file. */
void weir__uring_begin(struct uring_file *uf, struct io_uring_sqe *sqe, enum uring_kind kind);
weir_error *weir__uring_register(struct uring_backend *ur, struct io_file *file) WEIR_MUST_USE;
void weir__uring_forget(struct uring_backend *ur, struct io_file *file);
/* Asks the operation in flight to end; its completion tells when it has. */
void weir__uring_cancel(struct uring_backend *ur, struct uring_file *uf, enum uring_kind kind);
void weir__uring_file_unref(struct uring_backend *ur, struct uring_file *uf);
void weir__uring_serve_later(struct uring_backend *ur, struct io_file *file);

#define URING_CALL_OUT(ur, file, call) IO_CALL_OUT(&(ur)->base, (ur)->current, file, call)

/* uring_ring.c */
/* 0 or an errno. A ring that weir__uring_enable() binds to a thread. */
int weir__uring_ring_create(struct io_uring *ring, unsigned entries, unsigned completions);
int weir__uring_enable(struct uring_backend *ur);
/* Registers `memory` for `count` buffers of group URING_GROUP; 0 or an errno. */
int weir__uring_register_buffers(struct io_uring *ring, unsigned count,
                                 struct io_uring_buf_ring **ret);
void weir__uring_unregister_buffers(struct io_uring *ring, unsigned count,
                                    struct io_uring_buf_ring *buffers);

/* uring_receive.c */
int weir__uring_buffers_create(struct uring_backend *ur);
void weir__uring_buffers_destroy(struct uring_backend *ur);
/* Puts chunks into the empty places; re-arms the starved while there are some. */
void weir__uring_buffers_refill(struct uring_backend *ur);
void weir__uring_received(struct uring_backend *ur, struct uring_file *uf,
                          const struct io_uring_cqe *cqe);
/* Delivers what is held, then arms the receive again. */
void weir__uring_receive_serve(struct uring_backend *ur, struct io_file *file);
void weir__uring_held_drop(struct uring_backend *ur, struct uring_file *uf);
void weir__uring_receive_start(struct io_backend *backend, struct io_file *file);
void weir__uring_receive_stop(struct io_backend *backend, struct io_file *file);
void weir__uring_drain(struct io_backend *backend, struct io_file *file);
bool weir__uring_has_unread(const struct io_backend *backend, const struct io_file *file);

/* uring_calls.c */
void weir__uring_seal_sends(struct uring_backend *ur);
void weir__uring_connect(struct io_backend *backend, struct io_file *file,
                         const struct sockaddr *address, socklen_t length);
void weir__uring_connected(struct uring_backend *ur, struct uring_file *uf, int result);
ssize_t weir__uring_send(struct io_backend *backend, struct io_file *file, const struct iovec *iov,
                         int count);
void weir__uring_sent(struct uring_backend *ur, struct uring_file *uf, int result);
/* Writes the pending send of a pipe. False: the file is gone. */
bool weir__uring_send_plain(struct uring_backend *ur, struct io_file *file);

/* uring_poll.c */
void weir__uring_accept_start(struct io_backend *backend, struct io_file *file);
void weir__uring_accept_stop(struct io_backend *backend, struct io_file *file);
weir_error *weir__uring_poll(struct io_backend *backend, struct io_file *file,
                             unsigned events) WEIR_MUST_USE;
/* Watches a pipe for what its receive and send wait for. */
void weir__uring_poll_plain(struct uring_backend *ur, struct io_file *file);
/* A socket that nobody receives from: it will be watched, unless that changes in this iteration. */
void weir__uring_idle(struct uring_backend *ur, struct io_file *file);
void weir__uring_watch_idle(struct uring_backend *ur);
/* While nobody receives: a hangup. False: the file is gone. */
bool weir__uring_hung_up(struct uring_backend *ur, struct io_file *file, int result);
void weir__uring_watch(struct io_backend *backend, struct io_file *file, unsigned events);
void weir__uring_watched(struct uring_backend *ur, struct uring_file *uf, enum uring_kind kind,
                         int result);
void weir__uring_polled(struct uring_backend *ur, struct uring_file *uf, int result);

#endif
