/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O interface is completion-shaped: its users say what they want done with a descriptor and
 * are called back with the outcome; they never see readiness. One table of functions per backend.
 *
 *   io_file      a descriptor registered with one loop's backend, embedded in its user
 *   receiving    runs until stopped (multishot): each completion hands over a chunk and a range
 *   accepting    likewise: each completion hands over a new non-blocking, close-on-exec socket
 *   sending      one operation at a time per file; tried at once where the backend can
 *   polling      for descriptors that somebody else reads (add_reader, c-ares)
 *
 * An iteration waits, which collects, and dispatches, which delivers; the loop runs what was queued
 * before in between. Callbacks run on the loop's thread from dispatch() only, never from inside the
 * call that asked. Results are byte counts or -errno.
 */
#ifndef WEIR_CORE_IO_IO_H
#define WEIR_CORE_IO_IO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <weir/chunk.h>

#include "core/base/list.h"

struct io_backend;
struct io_file;
struct job;

/* What a loop runs right now, for who looks from outside (the watchdog, a signal handler). A step is
   one callback, one step of a task or one completion; a few plain stores each. */
struct step {
    _Atomic uint32_t number;         /* another for each step; even between phases of the loop */
    _Atomic(const struct job *) job; /* NULL: a completion. May be freed while it runs */
    _Atomic(const weir_site *) site; /* who made it; may be NULL */
};

static inline void step_begin(struct step *step, const struct job *job, const weir_site *site)
{
    uint32_t number = atomic_load_explicit(&step->number, memory_order_relaxed);

    atomic_store_explicit(&step->job, job, memory_order_relaxed);
    atomic_store_explicit(&step->site, site, memory_order_relaxed);
    atomic_store_explicit(&step->number, (number + 2) | 1, memory_order_relaxed);
}

/* After the last step of a phase. */
static inline void step_end(struct step *step)
{
    uint32_t number = atomic_load_explicit(&step->number, memory_order_relaxed);

    atomic_store_explicit(&step->number, (number | 1) + 1, memory_order_relaxed);
}

/* Where a file's completions go. Static tables; unused members are NULL. */
struct io_file_ops {
    /* `take_chunk` holds `len` bytes at `offset`; one reference moves to the callee. */
    void (*received)(struct io_file *file, weir_chunk *take_chunk, size_t offset, size_t len);
    /* The stream ended (0) or receiving failed (-errno); receiving has stopped. */
    void (*receive_ended)(struct io_file *file, int result);
    /* A new connection, or -errno; EMFILE and its kin pause accepting, the owner re-arms. */
    void (*accepted)(struct io_file *file, int result, const struct sockaddr *peer,
                     socklen_t peer_length);
    void (*connected)(struct io_file *file, int result);
    /* The pending send moved `result` bytes (at least 1) or failed. */
    void (*sent)(struct io_file *file, ssize_t result);
    /* POLLIN | POLLOUT | POLLERR | POLLHUP, level-triggered; what is no longer wanted left out. */
    void (*polled)(struct io_file *file, unsigned events);
    bool polled_steps; /* `polled` publishes its steps itself: it runs callbacks of users */
    /* Hangup of the peer (RDHUP/HUP) seen while receiving is stopped; may be NULL. `file->result`
       is the -errno with which receiving failed, where the backend took it from the socket. */
    void (*hangup)(struct io_file *file);
    /* Of io_backend_ops.drain and .watch. */
    void (*drained)(struct io_file *file);
    void (*usable)(struct io_file *file, unsigned events);
};

#define IO_POLL_EVENTS 0x7fu
#define IO_SEND_MAX    0x7ffu

/* Embedded in its user; fields belong to the backend. */
struct io_file {
    const struct io_file_ops *ops;
    int fd;
    unsigned registered : 1; /* known to the kernel */
    unsigned receiving : 1;  /* the owner wants data */
    unsigned readable : 1;   /* epoll: readiness seen and not used up */
    unsigned writable : 1;   /* epoll: no EAGAIN since */
    unsigned sending : 1;    /* a send is pending */
    unsigned connecting : 1;
    unsigned accepting : 1;
    unsigned end_seen : 1; /* RDHUP or HUP reported */
    unsigned closed : 1;
    unsigned no_socket : 1;   /* found out by ENOTSOCK: read and write instead of recv and send */
    unsigned completed : 1;   /* epoll: `result` waits to be delivered to `connected` */
    unsigned draining : 1;    /* `drained` is owed */
    unsigned watch_in : 1;    /* `usable` is owed when it can be read */
    unsigned watch_out : 1;   /* likewise, written */
    unsigned poll_events : 7; /* io_poll(): what the owner wants */
    unsigned send_count : 11; /* of send_iov; at most IOV_MAX */
    int result;
    uint32_t generation;          /* epoll: tells events of an earlier user of the descriptor */
    struct list ready;            /* epoll: queue of files to be served again this iteration */
    const struct iovec *send_iov; /* the pending send; the owner keeps it until `sent` */
    const weir_site *site;        /* who made it, for slow-callback reports; the owner sets it */
    void *backend_data; /* io_uring: state that outlives the file until completions are in */
};

static inline void io_file_init(struct io_file *file, const struct io_file_ops *ops, int fd,
                                const weir_site *site)
{
    *file = (struct io_file){.ops = ops, .fd = fd, .site = site};
    list_init(&file->ready);
}

static inline bool io_file_is_active(const struct io_file *file)
{
    return file->receiving || file->accepting || file->connecting || file->sending ||
           file->poll_events || file->watch_in || file->watch_out;
}

/* How much one file may receive per iteration before the others have their turn. */
#define IO_RECEIVE_BUDGET ((size_t)256 * 1024)

struct io_backend_ops {
    const char *name;
    weir_error *(*create)(struct io_backend **ret);
    void (*destroy)(struct io_backend *backend);

    /* Registers an open, non-blocking descriptor of a file set up by io_file_init(). It stays the
       owner's when this fails. Errors: EPERM a regular file, WEIR_EBUSY registered already. */
    weir_error *(*add)(struct io_backend *backend, struct io_file *file);
    /* Ends all operations without further callbacks and closes the descriptor (`keep_fd`: only
       forgets it). The io_file may be freed on return. */
    void (*close)(struct io_backend *backend, struct io_file *file, bool keep_fd);

    void (*receive_start)(struct io_backend *backend, struct io_file *file);
    void (*receive_stop)(struct io_backend *backend, struct io_file *file);
    void (*accept_start)(struct io_backend *backend, struct io_file *file);
    void (*accept_stop)(struct io_backend *backend, struct io_file *file);
    void (*connect)(struct io_backend *backend, struct io_file *file,
                    const struct sockaddr *address, socklen_t length);
    /* Stream sockets, pipes and the like. Bytes sent at once (possibly fewer than asked), -errno, or
       -EINPROGRESS: `sent` follows, and the vectors and bytes must stay until then or until the
       file is closed. Until this iteration ends the vectors may be pointed at a copy. */
    ssize_t (*send)(struct io_backend *backend, struct io_file *file, const struct iovec *iov,
                    int count);
    /* Half-close: the peer sees the end after what was sent. Not while a send is pending. */
    void (*shutdown)(struct io_backend *backend, struct io_file *file);
    /* For who moves bytes of an added stream socket by calls of its own. Before the first: receiving
       goes on as long as the backend has taken bytes in advance, and no longer; then `drained` is
       called, once, which is to stop receiving. It may come late: not while receiving is stopped. */
    void (*drain)(struct io_backend *backend, struct io_file *file);
    /* After a call of one's own had to wait (EAGAIN): `usable` is called, once for each of POLLIN and
       POLLOUT, when it is worth another try. 0: no more calls, the file is the backend's again. */
    void (*watch)(struct io_backend *backend, struct io_file *file, unsigned events);
    /* Level-triggered interest (POLLIN | POLLOUT) of a foreign descriptor, which needs no add();
       0 ends it. Errors as add(). */
    weir_error *(*poll)(struct io_backend *backend, struct io_file *file, unsigned events);

    /* Waits at most `timeout_ns` (-1: for ever, 0: does not wait) and collects completions. Calls
       nobody. Gives how many events came. */
    weir_error *(*wait)(struct io_backend *backend, int64_t timeout_ns, int *ret_events);
    /* Delivers what was collected, and what became deliverable since without an event. A file that
       was closed in between gets nothing, nor does a later user of its descriptor. */
    void (*dispatch)(struct io_backend *backend);
    /* Ends a wait; any thread, async-signal-safe. */
    void (*wake)(struct io_backend *backend);
    /* Whether bytes may have come that nobody received; closing a socket over them resets it. */
    bool (*has_unread)(const struct io_backend *backend, const struct io_file *file);
    /* Files with an active receive, accept, connect, send, poll or watch: what may still bring an event. */
    size_t (*interests)(const struct io_backend *backend);
};

/* Sees each completion being delivered (debug mode measures them). */
struct io_observer {
    void (*before)(void *arg);
    void (*after)(void *arg, const weir_site *site);
};

struct chunk_pool;

struct io_backend {
    const struct io_backend_ops *ops;
    struct chunk_pool *pool;            /* where received bytes go; set by the loop */
    const struct io_observer *observer; /* NULL: none */
    void *observer_arg;
    /* Completions that dispatch() has yet to deliver, where sends do not go together anyway: who has
       little to send may wait for `delivered`, which follows the last, and now and then one before. */
    unsigned undelivered;
    void (*delivered)(void *arg); /* NULL: nobody waits */
    void *delivered_arg;
    struct step *step; /* published around each completion; set by the loop */
    const char *why;   /* this backend was chosen; static */
};

extern const struct io_backend_ops weir__io_epoll;
extern const struct io_backend_ops weir__io_uring; /* where liburing is */
/* Whether io_uring does here what a loop needs: 0 or an errno. Tried once. */
int weir__io_uring_probe(void);

/* By name, "auto" included. Errors: WEIR_EUNSUPPORTED, which says why in words. */
weir_error *weir__io_backend_new(const char *name, struct io_backend **ret) WEIR_MUST_USE;

#endif
