/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a program: the one place between clone and exec. Any thread; blocks it until the exec has
 * succeeded or failed (well under a millisecond when the program is in the page cache).
 */
#ifndef WEIR_CORE_EXEC_SPAWN_H
#define WEIR_CORE_EXEC_SPAWN_H

#include <sys/types.h>

#include <weir/error.h>

#define SPAWN_FDS_MAX 64

/* `target` in the child is what `source` is here; they may be equal. All others are closed. */
struct spawn_fd {
    int source, target;
};

struct spawn {
    const char *file; /* searched in PATH unless it has a slash */
    const char *const *argv;
    const char *const *env; /* NULL: this process's */
    const char *cwd;        /* NULL: this process's */
    const struct spawn_fd *fds;
    size_t nfds;
    bool new_session, new_group;
    int death_signal; /* when the calling thread ends; 0: none */
};

/* The child has no descriptor but `fds`, an empty signal mask, and default dispositions.
   Errors: errno of the exec or of a preparation, with what was tried; WEIR_ENOMEM. */
weir_error *weir__spawn_process(const struct spawn *spawn, pid_t *ret_pid,
                                int *ret_pidfd) WEIR_MUST_USE;

/* Reaps a child: its return code (negative: the signal). False: it runs (only without `block`).
   `ret_code` 255 and `ret_lost`: somebody else reaped it. */
bool weir__spawn_reap(int pidfd, bool block, int *ret_code, bool *ret_lost);
/* Errors (ESRCH) mean that it has ended: not an error here. Async-signal-safe. */
int weir__spawn_signal(int pidfd, int signum);
/* SIGTERM with a number for its handler. */
void weir__spawn_ask(int pidfd, int number);
/* "killed by SIGKILL", "exited with status 3". */
size_t weir__spawn_describe(int code, char *buffer, size_t size);

#endif
