/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams in straight-line style: a receive reads from the kernel into the caller's memory, and
 * waits for poll only when there is nothing. Poll stays armed between receives, until it speaks
 * while nobody waits.
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/error.h"
#include "core/net/datagram.h"

void weir__datagram_wake_reader(const weir_datagram *d)
{
    if (d->reader)
        weir__wait_wake(&d->reader->waiter);
}

void weir__datagram_wake_writers(const weir_datagram *d)
{
    weir_list_foreach(wait, &d->writers, struct datagram_wait, link)
        weir__wait_wake(&wait->waiter);
}

static weir_error *enter(const weir_datagram *d, const char *operation)
{
    weir_check(d, DATAGRAM_MAGIC);
    if (!d->net->loop)
        return WEIR_RAISE_FAST(WEIR_ECLOSED, "the socket's loop is closed");
    WEIR_TRY(weir__loop_check_call(d->net->loop, operation, NULL));
    return weir__wait_check();
}

static weir_error *lost(const weir_datagram *d)
{
    if (d->reason)
        return weir_error_share(d->reason);
    return WEIR_RAISE_FAST(WEIR_ECLOSED, "the socket is closed");
}

/* Receiving */

static bool detach_reader(struct waiter *waiter)
{
    (void)waiter;
    return true;
}

static weir_error *wait_readable(weir_datagram *d)
{
    struct datagram_wait wait;
    weir_error *error = weir__wait_begin(&wait.waiter);

    if (error)
        return error;
    d->reader = &wait;
    weir__datagram_update_poll(d);
    error = weir__wait(&wait.waiter, detach_reader);
    d->reader = NULL;
    return error;
}

/* 1: there is one; 0: nothing now; -errno. */
static int receive_now(const weir_datagram *d, void *buffer, size_t size, size_t *ret_n,
                       weir_datagram_info *info)
{
    struct iovec iov = {buffer, size < d->max_size ? size : d->max_size};
    struct sockaddr_storage peer;
    _Alignas(struct cmsghdr) char control[DATAGRAM_CONTROL];
    struct msghdr message = {.msg_name = &peer, .msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    do {
        message.msg_namelen = sizeof(peer);
        message.msg_control = d->tells_local ? control : NULL;
        message.msg_controllen = d->tells_local ? sizeof(control) : 0;
        n = recvmsg(d->file.fd, &message, MSG_DONTWAIT | MSG_TRUNC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    weir__address_set(&info->peer, (const struct sockaddr *)&peer, message.msg_namelen);
    if (d->tells_local)
        weir__datagram_read_local(d, &message, &info->local);
    info->full_size = (size_t)n;
    info->truncated = (message.msg_flags & MSG_TRUNC) != 0;
    *ret_n = info->truncated ? iov.iov_len : (size_t)n;
    return 1;
}

weir_error *weir_datagram_receive(weir_datagram *d, void *buffer, size_t size, size_t *ret_n,
                                  weir_datagram_info *ret_info)
{
    weir_datagram_info info = {.full_size = 0};
    size_t n = 0;
    int result;

    WEIR_TRY(enter(d, __func__));
    if (d->protocol)
        return weir_raise(WEIR_EINVAL, "the socket's protocol receives");
    if (d->reader)
        return WEIR_RAISE_FAST(WEIR_EBUSY, "another task receives from the socket");
    for (;;) {
        if (d->failure)
            return WEIR_TAKE(d->failure);
        if (d->status != DATAGRAM_OPEN)
            return lost(d);
        result = receive_now(d, buffer, size, &n, &info);
        if (result)
            break;
        WEIR_TRY(wait_readable(d));
    }
    if (result < 0)
        return weir__raise_errno(result, "receive");
    *ret_n = n;
    if (ret_info)
        *ret_info = info;
    weir__task_budget();
    return NULL;
}

/* Sending */

static bool detach_writer(struct waiter *waiter)
{
    list_remove(&container_of(waiter, struct datagram_wait, waiter)->link);
    return true;
}

weir_error *weir_datagram_send(weir_datagram *d, const void *data, size_t len,
                               const weir_address *peer)
{
    WEIR_TRY(enter(d, __func__));
    while (d->status == DATAGRAM_OPEN && d->write_paused) {
        struct datagram_wait wait;

        WEIR_TRY(weir__wait_begin(&wait.waiter));
        list_append(&d->writers, &wait.link);
        WEIR_TRY(weir__wait(&wait.waiter, detach_writer));
        list_remove(&wait.link);
    }
    if (d->status != DATAGRAM_OPEN)
        return lost(d);
    WEIR_TRY(weir_datagram_send_to(d, weir_slice_of(data, len), peer));
    weir__task_budget();
    return NULL;
}
