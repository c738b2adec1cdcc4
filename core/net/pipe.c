/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transports over descriptors that the program already has. One direction is closed from the
 * beginning: a reader has "sent" its end, a writer has "been told" the peer's; what the two halves
 * of a connection do then (a reader that ends is lost, a writer that half-closes is closed) follows.
 *
 * O_NONBLOCK belongs to the open file description, which a pipe or terminal shares with other
 * processes. Those are opened again through /proc/self/fd, and the new description takes the number
 * of the old one. Sockets cannot be opened again, and a pty's master or another device would be a
 * new one: there the flag is set as it is.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/pipe.h>

#include "core/net/stream.h"
#include "core/net/transport.h"

enum pipe_side { PIPE_READER, PIPE_WRITER, PIPE_DUPLEX };

static const char *const side_words[] = {"reading", "writing", "reading and writing"};

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "a regular file";
    case S_IFDIR:
        return "a directory";
    case S_IFBLK:
        return "a block device";
    case S_IFIFO:
    case S_IFSOCK:
    case S_IFCHR:
        return NULL;
    default:
        return "of a kind";
    }
}

static weir_error *check_socket(int fd)
{
    socklen_t length = sizeof(int);
    int type = 0, listening = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0)
        return weir_raise(errno, "descriptor %d", fd);
    if (type != SOCK_STREAM)
        return weir_raise(WEIR_EINVAL, "descriptor %d is a socket that is no stream", fd);
    length = sizeof(int);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening)
        return weir_error_hint(weir_raise(WEIR_EINVAL, "descriptor %d is a listening socket", fd),
                               "weir_server_new() serves it");
    return NULL;
}

static weir_error *check_descriptor(int fd, enum pipe_side side, mode_t *ret_mode, int *ret_flags)
{
    struct stat status;
    int flags, access;

    if (fstat(fd, &status) != 0)
        return weir_raise(errno, "descriptor %d", fd);
    if (kind_of(status.st_mode))
        return weir_error_hint(weir_raise(WEIR_EINVAL,
                                          "descriptor %d is %s that cannot be waited for", fd,
                                          kind_of(status.st_mode)),
                               "file work belongs in an executor: weir_executor_call()");
    if (S_ISSOCK(status.st_mode))
        WEIR_TRY(check_socket(fd));
    flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return weir_raise(errno, "descriptor %d", fd);
    access = flags & O_ACCMODE;
    if ((side != PIPE_WRITER && access == O_WRONLY) || (side != PIPE_READER && access == O_RDONLY))
        return weir_raise(WEIR_EINVAL, "descriptor %d is not open for %s", fd, side_words[side]);
    *ret_mode = status.st_mode;
    *ret_flags = flags;
    return NULL;
}

/* Opening it again gives the same pipe or terminal, not another one. */
static bool can_be_reopened(int fd, mode_t mode)
{
    unsigned number;

    if (S_ISFIFO(mode))
        return true;
    return S_ISCHR(mode) && isatty(fd) && ioctl(fd, TIOCGPTN, &number) != 0;
}

/* 0 or errno. */
static int reopen(int fd, int flags)
{
    char path[40];
    int descriptor_flags = fcntl(fd, F_GETFD);
    int fresh, code = 0;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    fresh = open(path, (flags & (O_ACCMODE | O_APPEND)) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fresh < 0)
        return errno;
    if (dup3(fresh, fd, descriptor_flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
        code = errno;
    close(fresh);
    return code;
}

static weir_error *make_nonblocking(int fd, mode_t mode, int flags)
{
    int code;

    if (flags & O_NONBLOCK)
        return NULL;
    if (can_be_reopened(fd, mode)) {
        code = reopen(fd, flags);
        if (!code)
            return NULL;
        if (S_ISCHR(mode))
            return weir_error_hint(weir_raise(WEIR_EUNSUPPORTED,
                                              "descriptor %d is a terminal, opening it again: %s",
                                              fd, weir_code_text(code)),
                                   "others share it; pass a descriptor that is already O_NONBLOCK");
    }
    if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return weir_raise(errno, "making descriptor %d non-blocking", fd);
    return NULL;
}

static void close_one_direction(weir_transport *t, enum pipe_side side)
{
    if (side == PIPE_READER) {
        t->read_only = true;
        t->eof_queued = t->eof_sent = true;
    } else if (side == PIPE_WRITER) {
        t->write_only = true;
        t->eof_seen = t->eof_told = true;
        t->stops |= STOP_EOF;
    }
}

static weir_error *device_refused(weir_error *take_error, int fd)
{
    if (!weir_error_is(take_error, EPERM))
        return take_error;
    weir_ignore(take_error);
    return weir_error_hint(
        weir_raise(EPERM, "descriptor %d is a device that cannot be waited for", fd),
        "/dev/null and its like never block: read and write them directly");
}

static weir_error *pipe_new(const weir_site *site, const char *operation, weir_loop *loop, int fd,
                            enum pipe_side side, const weir_protocol *protocol, const void *config,
                            weir_transport **ret)
{
    struct transport_new options = {
        .fd = fd,
        .protocol = protocol,
        .config = config,
        .site = site,
        .state = TRANSPORT_CONNECTING,
    };
    weir_transport *t;
    weir_error *error;
    mode_t mode = 0;
    int flags = 0;

    WEIR_TRY(weir__loop_check_call(loop, operation, site));
    WEIR_TRY(weir__net_of(loop, &options.net));
    WEIR_TRY(check_descriptor(fd, side, &mode, &flags));
    WEIR_TRY(make_nonblocking(fd, mode, flags));
    error = weir__transport_new(&options, &t);
    if (error)
        return device_refused(error, fd);
    t->file.no_socket = !S_ISSOCK(mode);
    close_one_direction(t, side);
    weir__transport_open(t);
    if (ret)
        *ret = t;
    return NULL;
}

weir_error *weir_pipe_reader_at(const weir_site *site, weir_loop *loop, int take_fd,
                                const weir_protocol *protocol, const void *config,
                                weir_transport **ret)
{
    return pipe_new(site, __func__, loop, take_fd, PIPE_READER, protocol, config, ret);
}

weir_error *weir_pipe_writer_at(const weir_site *site, weir_loop *loop, int take_fd,
                                const weir_protocol *protocol, const void *config,
                                weir_transport **ret)
{
    return pipe_new(site, __func__, loop, take_fd, PIPE_WRITER, protocol, config, ret);
}

weir_error *weir_pipe_duplex_at(const weir_site *site, weir_loop *loop, int take_fd,
                                const weir_protocol *protocol, const void *config,
                                weir_transport **ret)
{
    return pipe_new(site, __func__, loop, take_fd, PIPE_DUPLEX, protocol, config, ret);
}

/* Streams */

static weir_error *stream_new(const weir_site *site, int fd, enum pipe_side side, weir_stream **ret)
{
    weir_transport *t;

    if (!weir__thread_loop)
        return weir_raise(WEIR_ETHREAD, "this thread has no loop");
    WEIR_TRY(
        pipe_new(site, __func__, weir__thread_loop, fd, side, &weir__stream_protocol, NULL, &t));
    *ret = weir__stream_adopt(t);
    return NULL;
}

weir_error *weir_pipe_reader_stream_at(const weir_site *site, int take_fd, weir_stream **ret)
{
    return stream_new(site, take_fd, PIPE_READER, ret);
}

weir_error *weir_pipe_writer_stream_at(const weir_site *site, int take_fd, weir_stream **ret)
{
    return stream_new(site, take_fd, PIPE_WRITER, ret);
}

weir_error *weir_pipe_duplex_stream_at(const weir_site *site, int take_fd, weir_stream **ret)
{
    return stream_new(site, take_fd, PIPE_DUPLEX, ret);
}
