/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Subprocesses (rows D8, D13; runtime-semantics §2.12): start a program, talk to it through pipes,
 * wait for its end. Any loop in any thread; no signal handler, no waitpid() of other people's
 * children: each child is watched through a pidfd of its own.
 *
 * That the process has exited and that its pipes have come to their end are two events: a
 * grandchild that keeps a pipe open delays the second, never weir_process_wait(). Do not wait for a
 * process whose output pipe nobody reads: it may be waiting for you. weir_process_communicate()
 * does all of it.
 *
 * A child has no descriptor but its three standard ones and those in `pass_fds`, no blocked signals,
 * and default dispositions. Starting one blocks the loop for the time of an exec: 0.1 to 0.8 ms
 * measured, whatever the size of the process; a program on a slow disk takes longer.
 *
 * Example:
 *
 *     static weir_error *first_line(void *arg)
 *     {
 *         const char *const argv[] = {"uname", "-r", NULL};
 *         weir_process_options options = {WEIR_SIZED(weir_process_options), .argv = argv,
 *                                         .output = WEIR_STDIO_PIPE};
 *         weir_auto(weir_process) process = NULL;
 *         weir_auto(weir_buffer) output = NULL;
 *         int code = 0;
 *
 *         (void)arg;
 *         WEIR_TRY(weir_process_spawn(&options, &process));
 *         WEIR_TRY(weir_process_communicate(process, NULL, &output, NULL));
 *         WEIR_TRY(weir_process_wait(process, &code));
 *         return code ? weir_raise(WEIR_EINCOMPLETE, "uname: %d", code) : NULL;
 *     }
 */
#ifndef WEIR_PROCESS_H
#define WEIR_PROCESS_H

#include <weir/stream.h>

WEIR_BEGIN_DECLS

/** A started program. Belongs to the thread of its loop. */
typedef struct weir_process weir_process;

/** What becomes of a standard descriptor of the child; 0 and above: this descriptor of ours, which
 *  stays ours. */
enum {
    WEIR_STDIO_INHERIT = 0, /**< default: the child's is ours of the same number */
    WEIR_STDIO_DEVNULL = -1,
    WEIR_STDIO_PIPE = -2,   /**< a stream or transport on our side */
    WEIR_STDIO_STDOUT = -3, /**< of `error` only: where `output` goes */
};

typedef struct weir_process_options {
    size_t size;
    const char *const *argv;  /**< NULL-ended; argv[0] is searched in PATH (the child's) */
    const char *shell;        /**< instead of argv: a command line for /bin/sh -c */
    int input, output, error; /**< WEIR_STDIO_…, or a descriptor above 0 of ours to be used */
    const char *const *env;   /**< NULL-ended "NAME=value"; NULL: inherited */
    const char *cwd;          /**< NULL: inherited */
    const int *pass_fds;      /**< descriptors from 3 on that the child has under the same number */
    size_t pass_fds_count;    /**< at most 60 */
    bool new_session;         /**< setsid(): also a new group, no terminal */
    bool new_group;           /**< a process group of its own */
    /** Called on the loop, once, when the process has exited (not before spawn returned); may be
     *  NULL. The process is borrowed; an error goes to the exception handler. */
    weir_error *(*exited)(weir_process *process, void *arg);
    void *arg;
    /** Callback style: WEIR_STDIO_PIPE makes a transport with this protocol instead of a stream. */
    const weir_protocol *input_protocol, *output_protocol, *error_protocol;
    const void *protocol_config; /**< of all three; borrowed for the life of the transports */
} weir_process_options;

/**
 * Starts a program on the loop of this thread; one reference for the caller. Does not suspend; in a
 * task that is cancelled it starts nothing. When a pipe cannot be set up the child is killed and
 * reaped before the error returns. Thread of a loop.
 * Errors: errno of the exec (ENOENT, EACCES, …) or of chdir, with the name in the message;
 * WEIR_EINVAL neither or both of argv and shell, or a wrong descriptor; WEIR_ECANCELED,
 * WEIR_ETIMEDOUT; WEIR_ETHREAD; EMFILE; WEIR_ENOMEM.
 */
#define weir_process_spawn(options, ret) weir_process_spawn_at(WEIR_HERE, (options), (ret))
WEIR_PUBLIC weir_error *weir_process_spawn_at(const weir_site *site,
                                              const weir_process_options *options,
                                              weir_process **ret) WEIR_MUST_USE;
WEIR_PUBLIC weir_process *weir_process_ref(weir_process *process);
/** The last reference ends its pipes. A process that still runs is killed and reaped in the
 *  background, with a RESOURCE warning: `unclosed process <Process pid=… running>` (row K1). */
WEIR_PUBLIC void weir_process_unref(weir_process *process);

/** Its number; after the exit somebody else may have it. */
WEIR_PUBLIC int weir_process_pid(const weir_process *process);
/** False: it runs. `ret_code` (may be NULL): the exit status, or minus the signal that killed it;
 *  255 and a WARNING when somebody else reaped it. */
WEIR_PUBLIC bool weir_process_exited(const weir_process *process, int *ret_code);
/** Suspends until it has exited, whoever still holds its pipes; any number of tasks may wait. A
 *  cancellation leaves it running. Errors: WEIR_ECANCELED, WEIR_ETIMEDOUT, WEIR_ENOTASK;
 *  WEIR_ECLOSED its loop was closed. */
WEIR_PUBLIC weir_error *weir_process_wait(weir_process *process, int *ret_code) WEIR_MUST_USE;

/** Our side of the child's descriptor 0, 1 or 2 as a stream; NULL when that is no pipe. Borrowed. */
WEIR_PUBLIC weir_stream *weir_process_stream(weir_process *process, int fd);
/** The same with a protocol: its transport; NULL when there is none. Borrowed. */
WEIR_PUBLIC weir_transport *weir_process_transport(weir_process *process, int fd);
/** Closes the child's input after what is queued, so that it sees the end. Suspends. */
WEIR_PUBLIC weir_error *weir_process_close_input(weir_process *process) WEIR_MUST_USE;

typedef struct weir_communicate_options {
    size_t size;
    weir_slice input;     /**< for the child's input pipe, which is then closed */
    size_t limit;         /**< bytes of each output; 0: 16 MiB */
    weir_duration linger; /**< after the exit, for pipes that a grandchild holds open; 0: 1 s */
} weir_communicate_options;

/**
 * Writes the input, reads both outputs and waits for the exit, all at a time; that the child does
 * not read its input is no error. `options`, `ret_output` and `ret_error` may be NULL; outputs that
 * are no pipes are empty buffers. Any error kills the child and waits until it is reaped: so a
 * WEIR_TIMEOUT around the call bounds the child too.
 * Errors: WEIR_ELIMIT more output; WEIR_ECANCELED, WEIR_ETIMEDOUT, WEIR_ENOTASK; of the pipes.
 */
WEIR_PUBLIC weir_error *weir_process_communicate(weir_process *process,
                                                 const weir_communicate_options *options,
                                                 weir_buffer **ret_output,
                                                 weir_buffer **ret_error) WEIR_MUST_USE;

/** Sends a signal, never to another process that got the number: nothing happens after the exit.
 *  Errors: WEIR_EINVAL no such signal; EPERM. */
WEIR_PUBLIC weir_error *weir_process_send_signal(weir_process *process, int signum) WEIR_MUST_USE;
/** SIGTERM and SIGKILL. */
WEIR_PUBLIC void weir_process_terminate(weir_process *process);
WEIR_PUBLIC void weir_process_kill(weir_process *process);

/** `<Process pid=4711 running>`, `<Process pid=4711 returncode=-9>`; as snprintf. */
WEIR_PUBLIC size_t weir_process_repr(const weir_process *process, char *buffer, size_t size);

WEIR_DEFINE_CLEANUP(weir_process, weir_process_unref)

WEIR_END_DECLS

#endif
