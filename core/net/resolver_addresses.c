/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of addresses. */
#include "config.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/net/resolver.h"

struct weir_addresses *weir__addresses_new(const struct address_list *list, uint16_t port,
                                           weir_duration ttl)
{
    weir_addresses *addresses =
        weir__calloc(1, sizeof(*addresses) + list->count * sizeof(addresses->list[0]));

    if (!addresses)
        return NULL;
    addresses->refs = 1;
    addresses->count = (uint32_t)list->count;
    addresses->ttl = ttl;
    for (size_t i = 0; i < list->count; i++) {
        addresses->list[i] = list->list[i];
        if (list->list[i].any.sa_family == AF_INET6)
            addresses->list[i].in6.sin6_port = htons(port);
        else
            addresses->list[i].in.sin_port = htons(port);
    }
    return addresses;
}

bool weir__address_same(const struct sockaddr *a, const struct sockaddr *b)
{
    const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
    const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;

    if (a->sa_family != b->sa_family)
        return false;
    if (a->sa_family == AF_INET)
        return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
    return a->sa_family == AF_INET6 && a6->sin6_scope_id == b6->sin6_scope_id &&
           memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
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

bool weir_addresses_has(const weir_addresses *addresses, const struct sockaddr *address)
{
    for (uint32_t i = 0; i < addresses->count; i++)
        if (weir__address_same(&addresses->list[i].any, address))
            return true;
    return false;
}

weir_duration weir_addresses_ttl(const weir_addresses *addresses)
{
    return addresses->ttl;
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
