/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the test kit, shared by the files of core/testing. Nothing else includes it.
 *
 *   test.c        a test: its loop, driving it, its end
 *   clock.c       virtual time, and when nothing can happen any more
 *   check.c       checks inside tasks, and how a failure leaves
 *   kit_io.c      the backend around the loop's own: files, and what passes through
 *   kit_bytes.c   what is received and sent through it
 *   faults.c      what goes wrong with a file, and when
 *   memory_io.c   connections in memory: descriptors that belong to this backend alone
 *   pair.c        transports, streams and servers over them
 *   allocation.c  allocations that fail, and what leaks
 *   capture.c     log records and reports as values
 */
#ifndef WEIR_CORE_TESTING_KIT_H
#define WEIR_CORE_TESTING_KIT_H

#include <weir/testing.h>

#include "core/base/alloc.h"
#include "core/base/list.h"
#include "core/io/io.h"
#include "core/loop/loop.h"

#define KIT_WINDOW ((size_t)64 * 1024)

struct kit_io;

/* Bytes that arrived and are not delivered yet. */
struct held {
    struct held *next;
    int64_t due; /* by the loop's clock */
    size_t len, used;
    char bytes[];
};

struct inbox {
    struct held *first, *last;
    size_t bytes;
    int64_t busy_until; /* bandwidth: when the last byte held has arrived */
    bool ended;         /* after the bytes: `result` */
    bool end_told;
    int result;
};

/* One end of a connection in memory. `fd` is one of a pair of sockets over which nothing is sent: it
   makes the end a descriptor with a number, a name and options of its own. */
struct memory_end {
    struct list link;
    int fd;
    uint64_t inode;
    struct memory_end *peer; /* NULL: closed */
    struct kit_file *file;   /* NULL: nobody reads it yet */
    struct inbox inbox;
    bool shut; /* this end sends no more */
    bool reset;
};

/* A connection that a server has not accepted yet. */
struct backlog {
    struct backlog *next;
    int fd;
};

/* A file of the loop under test. */
struct kit_file {
    struct io_file *user;
    struct kit_io *io;
    struct list link;    /* of all */
    struct list due;     /* to be looked at in the next wait */
    struct io_file real; /* how the real backend knows it; not for memory */
    struct memory_end *end;
    struct inbox own, *inbox; /* memory: the end's */
    struct backlog *backlog;
    struct timer timer; /* bytes held are due */
    weir_test_faults faults;
    const struct iovec *iov; /* a send that waits here */
    int count;
    struct iovec *cut;          /* part of a send, which the real backend was given */
    const struct iovec *cut_of; /* while that is pending: the whole */
    int ncut;
    unsigned refusals; /* of the next send, still to come */
    size_t sends, receives, accepts;
    size_t sent, received; /* bytes */
    bool in_memory;        /* an end, or a server's socket of memory connections */
    bool starved;          /* waits for a chunk */
    bool reset;
    bool real_hung_up; /* the real backend said so */
    bool hung_up;      /* told, of an end in memory */
};

struct kit_io {
    struct io_backend base;
    struct io_backend *real;
    weir_loop *loop;
    struct list files, due, ends;
    struct kit_file *current; /* whose callback runs; NULL once it was closed */
    weir_test_faults faults;  /* of files to come */
    weir_test_fault_counts counts;
    uint64_t random;
    bool shuffle;
    bool in_real;  /* its callbacks run */
    bool skipping; /* this iteration's wait was interrupted */
    size_t waits, completions;
    uint64_t listeners[16]; /* inodes of sockets whose connections are in memory */
    size_t nlisteners;
    size_t *chunks_left; /* told at the end: those that somebody still holds */
};

struct weir_test {
    weir_loop *loop;
    struct kit_io *io;
    struct loop_clock clock;
    weir_test_options options;
    uint64_t seed;
    int64_t now; /* virtual */
    /* driving */
    int64_t run_until; /* virtual; INT64_MAX: no limit */
    int64_t real_end;  /* of the run, by the real clock */
    int64_t really_since;
    bool really;    /* the loop waits for something outside, in real time */
    bool no_jump;   /* stop where time would have to pass */
    bool advancing; /* time passes because the test says so */
    bool nothing_due;
    bool stuck, late;
    bool patient, quiet; /* a last moment of listening has begun, at this progress */
    uint64_t patient_at, quiet_at;
    unsigned externals;
    /* the state before */
    size_t descriptors, homes;
    char tasks[3072]; /* of the run that ended without hope, a line each */
    size_t chunks_left;
    /* reports to the exception handler */
    size_t reports;
    char report[256];
};

/* Memory of the kit's own does not count as an allocation of the code under test. */
static inline unsigned long kit_unplan(void)
{
    unsigned long plan = weir__alloc_fail_nth;

    weir__alloc_fail_nth = 0;
    return plan;
}

/* Zeroed; ends the process without memory. */
void *weir__kit_alloc(size_t size) __attribute__((malloc, returns_nonnull));

/* kit_io.c */
weir_error *weir__kit_io_new(weir_loop *loop, uint64_t seed, struct kit_io **ret) WEIR_MUST_USE;
/* Something waits to be delivered, whatever the time. */
bool weir__kit_io_ready(const struct kit_io *io);
/* Files of the kernel from which something may come. */
size_t weir__kit_io_interests(const struct kit_io *io);
struct kit_file *weir__kit_file(struct kit_io *io, struct io_file *user);
/* In the next wait. */
void weir__kit_schedule(struct kit_file *file);
uint64_t weir__kit_random(struct kit_io *io);

/* Runs a callback of the user, as a completion; within the real backend's that has been published
   already. False: the file is gone. */
#define KIT_CALL(file_, call)                                     \
    (__extension__({                                              \
        struct kit_io *io_ = (file_)->io;                         \
        const struct io_observer *observer_ = io_->base.observer; \
        const weir_site *site_ = (file_)->user->site;             \
        bool published_ = io_->in_real;                           \
        io_->current = (file_);                                   \
        io_->completions++;                                       \
        if (!published_)                                          \
            step_begin(io_->base.step, NULL, site_);              \
        if (observer_ && !published_)                             \
            observer_->before(io_->base.observer_arg);            \
        call;                                                     \
        if (observer_ && !published_)                             \
            observer_->after(io_->base.observer_arg, site_);      \
        io_->current == (file_);                                  \
    }))

/* kit_bytes.c */
void weir__kit_receive_start(struct io_backend *backend, struct io_file *user);
void weir__kit_receive_stop(struct io_backend *backend, struct io_file *user);
void weir__kit_real_received(struct io_file *real, weir_chunk *take_chunk, size_t offset,
                             size_t len);
void weir__kit_real_receive_ended(struct io_file *real, int result);
/* Gives the user what the inbox has for now. */
void weir__kit_deliver(struct kit_file *file);
ssize_t weir__kit_send(struct io_backend *backend, struct io_file *user, const struct iovec *iov,
                       int count);
/* Before the real backend looks: where the bytes of a pending send lie may have changed. */
void weir__kit_refresh_cut(struct kit_file *file);
/* False: the file is gone. */
bool weir__kit_go_on_sending(struct kit_file *file);
void weir__kit_real_sent(struct io_file *real, ssize_t result);
void weir__kit_shutdown(struct io_backend *backend, struct io_file *user);

/* faults.c */
void weir__faults_copy(weir_test_faults *to, const weir_test_faults *given);
/* Whether received bytes must go through the inbox. */
bool weir__faults_hold(const struct kit_file *file);
/* The errno with which this operation fails; 0: it does not. */
int weir__faults_send(struct kit_file *file);
int weir__faults_receive(struct kit_file *file);
int weir__faults_accept(struct kit_file *file);
/* How many of `n` bytes are moved at once. */
size_t weir__faults_part(struct kit_file *file, size_t most, size_t n);
void weir__inbox_push(struct kit_io *io, struct inbox *inbox, const weir_test_faults *faults,
                      const void *bytes, size_t n);
void weir__inbox_drop(struct inbox *inbox);
void weir__inbox_end(struct inbox *inbox, int result);
/* Takes bytes that are due, at most `size`. */
size_t weir__inbox_take(struct inbox *inbox, int64_t now, void *bytes, size_t size);
/* Bytes that are due. */
size_t weir__inbox_due(const struct inbox *inbox, int64_t now);

/* memory_io.c */
weir_error *weir__memory_pair(struct kit_io *io, int ends[2]) WEIR_MUST_USE;
/* NULL: not one of ours. */
struct memory_end *weir__memory_find(struct kit_io *io, int fd);
void weir__memory_attach(struct memory_end *end, struct kit_file *file);
/* Bytes, -errno or -EAGAIN. */
ssize_t weir__memory_send(struct kit_file *file, const struct iovec *iov, int count, size_t limit);
void weir__memory_shutdown(struct memory_end *end);
/* The connection breaks in the middle. */
void weir__memory_reset(struct memory_end *end);
/* `keep`: the descriptor goes on without this file. */
void weir__memory_close(struct kit_io *io, struct memory_end *end, bool keep);
/* Bytes of the end were taken: who sends to it may go on. */
void weir__memory_taken(struct memory_end *end);
/* Ends whose descriptor was closed before anybody took it up. */
void weir__memory_sweep(struct kit_io *io);
void weir__memory_done(struct kit_io *io);
bool weir__memory_listener(const struct kit_io *io, int fd);
/* A connection for a server of this loop. */
weir_error *weir__memory_connect(struct kit_io *io, struct io_file *server,
                                 int *ret_fd) WEIR_MUST_USE;

/* clock.c */
void weir__kit_clock_init(weir_test *test);
/* What the tasks wait for, for people. */
void weir__kit_list_tasks(weir_test *test, const char *separator, char *buffer, size_t size);

/* check.c */
/* The first failure that was recorded, or NULL; forgets it. */
const char *weir__check_take(void);
bool weir__check_recorded(void);
void weir__check_fail(const weir_test *test, const char *format, ...) WEIR_PRINTF(2, 3);

/* allocation.c */
size_t weir__kit_descriptors(void);
/* Describes what is left after the loop was closed; false: nothing. */
bool weir__kit_leaks(const weir_test *test, char *buffer, size_t size);

/* The test of this thread; NULL: none. */
extern __thread weir_test *weir__test_current;

#endif
