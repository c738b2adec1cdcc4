/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Descriptors that the program already has: pipes, FIFOs, sockets and character devices (terminals,
 * serial lines) as transports and streams, and waiting for a bare descriptor (rows D12, K1).
 *
 * A pipe has one direction, so each call names the side that is wanted:
 *
 *   reader   receives; a write returns WEIR_EUNSUPPORTED. Its end is eof_received, then
 *            connection_lost, as of a connection whose write side is finished
 *   writer   sends; a read returns WEIR_EUNSUPPORTED. That the other side closed is noticed at once:
 *            connection_lost with EPIPE when bytes were still queued, with NULL when none were
 *   duplex   both: connected sockets, terminals, serial lines
 *
 * The descriptor becomes the transport's on success, which closes it; on failure it stays the
 * caller's. Its number does not change. It is made non-blocking without disturbing others that
 * share it: of a pipe or terminal this process gets an open file description of its own (through
 * /proc/self/fd), so that the shell's terminal and the other users of an inherited pipe stay as they
 * are. Where a terminal cannot be opened again, the call fails rather than change it.
 *
 * Writing to a pipe whose reader has gone raises SIGPIPE; weir_run() ignores it unless told not to.
 * A program without weir_run() should do the same.
 *
 * Example:
 *
 *     static weir_error *count_lines(void *arg)
 *     {
 *         size_t *lines = arg, n;
 *         weir_auto(weir_stream) in = NULL;
 *         char line[4096];
 *
 *         WEIR_TRY(weir_pipe_reader_stream(0, &in));
 *         for (;;) {
 *             weir_error *error = weir_stream_read_line(in, line, sizeof(line), &n);
 *
 *             if (weir_error_is(error, WEIR_EEOF)) {
 *                 weir_ignore(error);
 *                 return weir_stream_close(WEIR_TAKE(in));
 *             }
 *             WEIR_TRY(error);
 *             ++*lines;
 *         }
 *     }
 */
#ifndef WEIR_PIPE_H
#define WEIR_PIPE_H

#include <weir/stream.h>

WEIR_BEGIN_DECLS

/**
 * Makes a transport with `protocol` over `take_fd`. connection_made has been called when this
 * returns (an error of it reaches connection_lost); data comes from the loop, never from inside this
 * call. `ret` (may be NULL) is borrowed: the loop holds the transport until it is lost. A protocol
 * with `serve` works too. Thread of `loop`.
 *
 * Errors: EBADF not an open descriptor, WEIR_EINVAL a regular file, a directory (hint: file work
 * belongs in an executor), a listening or datagram socket, a descriptor opened for the other
 * direction; EPERM a device that cannot be waited for, such as /dev/null; WEIR_EBUSY the loop
 * watches this descriptor already; WEIR_EUNSUPPORTED a terminal that cannot be opened again;
 * WEIR_ETHREAD, WEIR_ECLOSED, WEIR_ENOMEM.
 */
#define weir_pipe_reader(loop, take_fd, protocol, config, ret) \
    weir_pipe_reader_at(WEIR_HERE, (loop), (take_fd), (protocol), (config), (ret))
WEIR_PUBLIC weir_error *weir_pipe_reader_at(const weir_site *site, weir_loop *loop, int take_fd,
                                            const weir_protocol *protocol, const void *config,
                                            weir_transport **ret) WEIR_MUST_USE;
/** As weir_pipe_reader(), for writing. weir_transport_write_eof() closes it after what is queued. */
#define weir_pipe_writer(loop, take_fd, protocol, config, ret) \
    weir_pipe_writer_at(WEIR_HERE, (loop), (take_fd), (protocol), (config), (ret))
WEIR_PUBLIC weir_error *weir_pipe_writer_at(const weir_site *site, weir_loop *loop, int take_fd,
                                            const weir_protocol *protocol, const void *config,
                                            weir_transport **ret) WEIR_MUST_USE;
/** As weir_pipe_reader(), in both directions. */
#define weir_pipe_duplex(loop, take_fd, protocol, config, ret) \
    weir_pipe_duplex_at(WEIR_HERE, (loop), (take_fd), (protocol), (config), (ret))
WEIR_PUBLIC weir_error *weir_pipe_duplex_at(const weir_site *site, weir_loop *loop, int take_fd,
                                            const weir_protocol *protocol, const void *config,
                                            weir_transport **ret) WEIR_MUST_USE;

/**
 * The same as streams of this thread's loop, which belong to the caller (weir_stream_close()).
 * These calls do not suspend. Errors: as above; WEIR_ETHREAD this thread has no loop.
 */
#define weir_pipe_reader_stream(take_fd, ret) \
    weir_pipe_reader_stream_at(WEIR_HERE, (take_fd), (ret))
WEIR_PUBLIC weir_error *weir_pipe_reader_stream_at(const weir_site *site, int take_fd,
                                                   weir_stream **ret) WEIR_MUST_USE;
#define weir_pipe_writer_stream(take_fd, ret) \
    weir_pipe_writer_stream_at(WEIR_HERE, (take_fd), (ret))
WEIR_PUBLIC weir_error *weir_pipe_writer_stream_at(const weir_site *site, int take_fd,
                                                   weir_stream **ret) WEIR_MUST_USE;
#define weir_pipe_duplex_stream(take_fd, ret) \
    weir_pipe_duplex_stream_at(WEIR_HERE, (take_fd), (ret))
WEIR_PUBLIC weir_error *weir_pipe_duplex_stream_at(const weir_site *site, int take_fd,
                                                   weir_stream **ret) WEIR_MUST_USE;

/**
 * Suspends the task until `fd` may be read from (written to) without blocking, or has failed or
 * been hung up. For descriptors of other libraries, which stay theirs; non-blocking, not a
 * transport's. To wait no longer than so long, use WEIR_TIMEOUT. Nothing is left registered when
 * the call returns, cancelled or not; the descriptor must stay open until then (D12, T40).
 *
 * Errors: WEIR_ECANCELED, WEIR_ETIMEDOUT, WEIR_ENOTASK; WEIR_EBUSY another task or a callback of
 * weir_loop_add_reader() (add_writer) has this direction; EBADF; EPERM a regular file.
 */
#define weir_fd_wait_readable(fd) weir_fd_wait_readable_at(WEIR_HERE, (fd))
WEIR_PUBLIC weir_error *weir_fd_wait_readable_at(const weir_site *site, int fd) WEIR_MUST_USE;
#define weir_fd_wait_writable(fd) weir_fd_wait_writable_at(WEIR_HERE, (fd))
WEIR_PUBLIC weir_error *weir_fd_wait_writable_at(const weir_site *site, int fd) WEIR_MUST_USE;

WEIR_END_DECLS

#endif
