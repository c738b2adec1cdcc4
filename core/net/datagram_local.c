/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of our addresses a datagram came to, and which one an answer leaves from: a socket of all
 * addresses would answer from the one that the route to the peer prefers, and the peer, or a firewall,
 * would not know it. Sockets of both families say IPv4 in IPv6's clothes, here too.
 */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "core/net/address.h"
#include "core/net/datagram.h"

static int family_of(const weir_datagram *d)
{
    struct sockaddr head;

    memcpy(&head, d->local.bytes, sizeof(head));
    return head.sa_family;
}

int weir__datagram_tell_local(int fd)
{
    socklen_t length = sizeof(int);
    int family = AF_UNSPEC, on = 1, result = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) != 0)
        return errno;
    if (family == AF_INET)
        result = setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
    else if (family == AF_INET6)
        result = setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
    return result == 0 ? 0 : errno;
}

static in_port_t port_of(const weir_datagram *d)
{
    struct sockaddr_in in; /* IPv6 has it in the same place */

    memcpy(&in, d->local.bytes, sizeof(in));
    return in.sin_port;
}

void weir__datagram_read_local(const weir_datagram *d, struct msghdr *message, weir_address *ret)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = port_of(d)};
            struct in_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof(info));
            in.sin_addr = info.ipi_addr;
            weir__address_set(ret, (const void *)&in, sizeof(in));
            return;
        }
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = port_of(d)};
            struct in6_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof(info));
            in6.sin6_addr = info.ipi6_addr;
            if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
                in6.sin6_scope_id = info.ipi6_ifindex;
            weir__address_set(ret, (const void *)&in6, sizeof(in6));
            return;
        }
    }
}

void weir__datagram_write_local(const weir_datagram *d, const struct in6_addr *from,
                                struct msghdr *message, void *control)
{
    bool v4 = family_of(d) == AF_INET;
    size_t size = v4 ? sizeof(struct in_pktinfo) : sizeof(struct in6_pktinfo);
    struct cmsghdr *c;

    memset(control, 0, DATAGRAM_CONTROL);
    message->msg_control = control;
    message->msg_controllen = CMSG_SPACE(size);
    c = CMSG_FIRSTHDR(message);
    c->cmsg_level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
    c->cmsg_type = v4 ? IP_PKTINFO : IPV6_PKTINFO;
    c->cmsg_len = CMSG_LEN(size);
    if (v4) {
        struct in_pktinfo info = {0};

        memcpy(&info.ipi_spec_dst, &from->s6_addr[12], sizeof(info.ipi_spec_dst));
        memcpy(CMSG_DATA(c), &info, sizeof(info));
    } else {
        struct in6_pktinfo info = {.ipi6_addr = *from};

        memcpy(CMSG_DATA(c), &info, sizeof(info));
    }
}

/* IPv4 mapped. False: nothing is said, or it cannot be the source of this socket. */
static bool source_of(const weir_datagram *d, const weir_address *local, struct in6_addr *ret)
{
    const struct sockaddr *any;

    if (!local || !local->length)
        return false;
    any = (const void *)local->bytes;
    if (any->sa_family == AF_INET6 && family_of(d) == AF_INET6) {
        *ret = ((const struct sockaddr_in6 *)(const void *)any)->sin6_addr;
        return true;
    }
    if (any->sa_family != AF_INET || family_of(d) == AF_UNIX)
        return false;
    memset(ret, 0, sizeof(*ret));
    ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
    memcpy(&ret->s6_addr[12], &((const struct sockaddr_in *)(const void *)any)->sin_addr,
           sizeof(struct in_addr));
    return true;
}

weir_error *weir_datagram_send_from(weir_datagram *d, weir_slice data, const weir_address *peer,
                                    const weir_address *local)
{
    struct in6_addr from;

    weir_check(d, DATAGRAM_MAGIC);
    return weir__datagram_send(d, data, peer, source_of(d, local, &from) ? &from : NULL);
}

weir_error *weir_datagram_send_to(weir_datagram *d, weir_slice data, const weir_address *peer)
{
    return weir__datagram_send(d, data, peer, NULL);
}
