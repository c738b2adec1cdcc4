/* SPDX-License-Identifier: Apache-2.0 */
/* Processes from inside: process.c is the child, process_pipes.c our side of its descriptors,
   process_talk.c communicate. Everything belongs to the thread of the loop. */
#ifndef WEIR_CORE_NET_PROCESS_H
#define WEIR_CORE_NET_PROCESS_H

#include <weir/process.h>

#include "core/base/invariant.h"
#include "core/loop/loop.h"

#define PROCESS_MAGIC WEIR_MAGIC('p', 'r', 'o', 'c')
#define PROCESS_FDS   3

struct weir_process {
    uint32_t magic;
    unsigned refs;    /* 0: dropped while it ran; it goes when it is reaped */
    weir_loop *loop;  /* NULL: closed */
    struct list link; /* in the loop's slot */
    const weir_site *site;
    weir_backtrace *origin; /* debug mode */
    int pid, code;
    bool exited;
    struct io_file file; /* the pidfd */
    struct job job;      /* reaps */
    struct list waits;
    weir_error *(*on_exit)(weir_process *process, void *arg);
    void *arg;
    weir_stream *streams[PROCESS_FDS];
    weir_transport *transports[PROCESS_FDS];
};

/* Descriptors of a child while it is being started. */
struct process_fds {
    int child[PROCESS_FDS];  /* what it gets */
    int parent[PROCESS_FDS]; /* our ends of its pipes; -1: none */
    int opened[PROCESS_FDS]; /* to be closed here once it has them; -1: none */
};

/* Errors: WEIR_EINVAL, errno. Nothing is left open on failure. */
weir_error *weir__process_fds_open(struct process_fds *fds,
                                   const weir_process_options *options) WEIR_MUST_USE;
void weir__process_fds_close_child(struct process_fds *fds);
void weir__process_fds_close(struct process_fds *fds);
/* Makes streams and transports of our ends. */
weir_error *weir__process_pipes(weir_process *process, const weir_process_options *options,
                                struct process_fds *fds) WEIR_MUST_USE;
void weir__process_pipes_end(weir_process *process);

#endif
