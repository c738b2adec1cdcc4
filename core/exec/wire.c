/* SPDX-License-Identifier: Apache-2.0 */
/* Whole messages over a blocking stream socket. */
#include "config.h"

#include "core/exec/wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

static int send_all(int fd, struct iovec *iov, int count)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)count};

    while (message.msg_iovlen) {
        ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        while (message.msg_iovlen && (size_t)n >= message.msg_iov->iov_len) {
            n -= (ssize_t)message.msg_iov->iov_len;
            message.msg_iov++;
            message.msg_iovlen--;
        }
        if (message.msg_iovlen) {
            message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + n;
            message.msg_iov->iov_len -= (size_t)n;
        }
    }
    return 0;
}

int weir__wire_send(int fd, enum wire_kind kind, int code, weir_slice name, weir_slice body,
                    uint64_t limit)
{
    struct wire_head head = {.magic = WIRE_MAGIC,
                             .kind = kind,
                             .code = code,
                             .name_len = (uint32_t)name.len,
                             .len = body.len,
                             .limit = limit};
    struct iovec iov[3] = {{&head, sizeof(head)},
                           {(void *)(uintptr_t)name.data, name.len},
                           {(void *)(uintptr_t)body.data, body.len}};

    return send_all(fd, iov, 3);
}

int weir__wire_receive(int fd, void *data, size_t len)
{
    while (len) {
        ssize_t n = recv(fd, data, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == ECONNRESET ? -ENODATA : -errno;
        if (n == 0)
            return -ENODATA;
        data = (char *)data + n;
        len -= (size_t)n;
    }
    return 0;
}

int weir__wire_receive_head(int fd, struct wire_head *head)
{
    int result = weir__wire_receive(fd, head, sizeof(*head));

    if (result == 0 && (head->magic != WIRE_MAGIC || head->name_len > WIRE_NAME_MAX))
        return -EPROTO;
    return result;
}
