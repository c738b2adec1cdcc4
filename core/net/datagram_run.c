/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs: datagrams of one size, one after the other to one peer, which the kernel takes as one message
 * and cuts apart on its way out (UDP_SEGMENT). It costs half of one message each (docs/BENCH.md), and
 * nobody sees a difference: the last of a run may be shorter. What does not fit through an Ethernet
 * stays out, as do local sockets; a socket that the kernel refuses it once does without.
 */
#include "config.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>

#include "core/net/datagram.h"

/* Larger ones may not fit into a packet, and are refused then: 1500 less the headers of IPv6 and UDP. */
#define SEGMENT_MAX ((size_t)1452)

bool weir__datagram_has_runs(const weir_datagram *d)
{
    const struct sockaddr *local = (const void *)d->local.bytes;

    return !d->no_runs && d->local.length && local->sa_family != AF_UNIX;
}

static bool goes_with(const struct datagram_entry *first, const struct datagram_entry *next)
{
    return next->len && next->len <= first->len && next->has_from == first->has_from &&
           (!next->has_from || memcmp(&next->from, &first->from, sizeof(next->from)) == 0) &&
           (next->peer.length ? weir_address_equal(&next->peer, &first->peer)
                              : !first->peer.length);
}

size_t weir__datagram_run(const struct datagram_entry *first, size_t most)
{
    size_t count = 1;

    if (!first->len || first->len > SEGMENT_MAX)
        return 1;
    for (const struct datagram_entry *last = first;
         count < most && last->len == first->len && last->next && goes_with(first, last->next);
         last = last->next)
        count++;
    return count;
}

void weir__datagram_write_run(struct msghdr *message, void *control, size_t size)
{
    const uint16_t segment = (uint16_t)size;
    char *at = (char *)control + message->msg_controllen;
    struct cmsghdr *c = (struct cmsghdr *)(void *)at;

    memset(at, 0, CMSG_SPACE(sizeof(segment)));
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof(segment));
    memcpy(CMSG_DATA(c), &segment, sizeof(segment));
    message->msg_control = control;
    message->msg_controllen += CMSG_SPACE(sizeof(segment));
}

void weir__datagram_run_refused(weir_datagram *d, int code)
{
    d->no_runs |= code == EINVAL || code == EIO || code == EMSGSIZE || code == EOPNOTSUPP;
}
