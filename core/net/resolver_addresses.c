/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of addresses and the order to try them in. Whether this machine has an IPv6 address to send
 * from is asked of the kernel's routes, by connecting a datagram socket, which sends nothing.
 */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "core/base/alloc.h"
#include "core/net/resolver.h"

struct weir_addresses *weir__addresses_new(const union address_small *list, size_t count,
                                           uint16_t port)
{
    weir_addresses *addresses =
        weir__calloc(1, sizeof(*addresses) + count * sizeof(addresses->list[0]));

    if (!addresses)
        return NULL;
    addresses->refs = 1;
    addresses->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        addresses->list[i] = list[i];
        if (list[i].any.sa_family == AF_INET6)
            addresses->list[i].in6.sin6_port = htons(port);
        else
            addresses->list[i].in.sin_port = htons(port);
    }
    return addresses;
}

size_t weir_addresses_count(const weir_addresses *addresses)
{
    return addresses->count;
}

const struct sockaddr *weir_addresses_get(const weir_addresses *addresses, size_t index,
                                          size_t *ret_length)
{
    const union address_small *address;

    weir_require(index < addresses->count, NULL);
    address = &addresses->list[index];
    *ret_length = address->any.sa_family == AF_INET6 ? sizeof(address->in6) : sizeof(address->in);
    return &address->any;
}

weir_addresses *weir_addresses_ref(weir_addresses *addresses)
{
    if (addresses)
        addresses->refs++;
    return addresses;
}

void weir_addresses_unref(weir_addresses *addresses)
{
    if (addresses && --addresses->refs == 0)
        weir__free(addresses);
}

static bool reachable(const union address_small *address)
{
    bool v6 = address->any.sa_family == AF_INET6;
    union address_small target = *address;
    int fd = socket(address->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool ok;

    if (fd < 0)
        return false;
    if (v6)
        target.in6.sin6_port = htons(53);
    else
        target.in.sin_port = htons(53);
    ok = connect(fd, &target.any, v6 ? sizeof(target.in6) : sizeof(target.in)) == 0;
    close(fd);
    return ok;
}

static size_t split(const struct found *found, sa_family_t family, union address_small *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < found->count; i++) {
        if (found->list[i].any.sa_family == family)
            ret[n++] = found->list[i];
    }
    return n;
}

void weir__addresses_order(struct found *found)
{
    union address_small v4[RESOLVER_ADDRESSES], v6[RESOLVER_ADDRESSES];
    size_t n4 = split(found, AF_INET, v4), n6 = split(found, AF_INET6, v6);
    bool v6_first = n6 && (!n4 || reachable(&v6[0]));
    size_t i4 = 0, i6 = 0, n = 0;

    if (!n4 || !n6)
        return;
    if (!v6_first)
        found->list[n++] = v4[i4++];
    while (i4 < n4 || i6 < n6) {
        if (i6 < n6)
            found->list[n++] = v6[i6++];
        if (i4 < n4)
            found->list[n++] = v4[i4++];
    }
}
