/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system calls of a steady connection, without being cancellation points of threads: in a
 * program with threads libc switches cancellation on and off around each, two locked instructions
 * every time (30 of 60 instructions). None of them blocks, and nobody cancels a loop's
 * thread. Sanitizers see the calls of libc only, so with them those are used.
 */
#ifndef WEIR_CORE_IO_SYSCALL_H
#define WEIR_CORE_IO_SYSCALL_H

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if !defined(WEIR_SANITIZE) && defined(SYS_recvfrom) && defined(SYS_sendto)
#    define IO_DIRECT_CALLS 1
#else
#    define IO_DIRECT_CALLS 0
#endif

static inline ssize_t io_recv(int fd, void *data, size_t size, int flags)
{
#if IO_DIRECT_CALLS
    return syscall(SYS_recvfrom, fd, data, size, flags, NULL, NULL);
#else
    return recv(fd, data, size, flags);
#endif
}

static inline ssize_t io_send(int fd, const void *data, size_t size, int flags)
{
#if IO_DIRECT_CALLS
    return syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
#else
    return send(fd, data, size, flags);
#endif
}

static inline ssize_t io_sendmsg(int fd, const struct msghdr *message, int flags)
{
#if IO_DIRECT_CALLS
    return syscall(SYS_sendmsg, fd, message, flags);
#else
    return sendmsg(fd, message, flags);
#endif
}

#endif
