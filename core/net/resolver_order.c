/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In which order to try addresses: RFC 6724 §6 with its default policy table. Which source address
 * belongs to a destination the kernel says, by a datagram socket that is connected to it and sends
 * nothing. Rules about deprecated, home and transported addresses (3, 4, 7) would need more of the
 * kernel than it is worth to know.
 */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "core/net/resolver.h"

struct policy {
    unsigned char prefix[16];
    unsigned bits, precedence, label;
};

/* RFC 6724 §2.1, the longest prefixes first. */
static const struct policy policies[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, 50, 0},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 35, 4},
    {{0}, 96, 1, 3},
    {{0x20, 0x01}, 32, 5, 5},
    {{0x20, 0x02}, 16, 30, 2},
    {{0x3f, 0xfe}, 16, 1, 12},
    {{0xfe, 0xc0}, 10, 1, 11},
    {{0xfc}, 7, 3, 13},
    {{0}, 0, 40, 1},
};

/* What the rules look at. */
struct ranked {
    union address_small address;
    unsigned char bytes[16], source[16];
    const struct policy *policy, *source_policy;
    unsigned scope, source_scope;
    bool usable, preferred;
};

static unsigned common_bits(const unsigned char *a, const unsigned char *b, unsigned max)
{
    unsigned n = 0;

    while (n < max && !((a[n / 8] ^ b[n / 8]) >> (7 - n % 8) & 1))
        n++;
    return n;
}

/* IPv4 addresses as mapped ones. */
static void to_bytes(const union address_small *address, unsigned char bytes[16])
{
    memset(bytes, 0, 16);
    if (address->any.sa_family == AF_INET6) {
        memcpy(bytes, &address->in6.sin6_addr, 16);
        return;
    }
    bytes[10] = bytes[11] = 0xff;
    memcpy(bytes + 12, &address->in.sin_addr, 4);
}

static const struct policy *policy_of(const unsigned char *bytes)
{
    const struct policy *policy = policies;

    while (common_bits(policy->prefix, bytes, policy->bits) < policy->bits)
        policy++;
    return policy;
}

/* RFC 6724 §3: 2 link-local, 5 site-local, 14 global; multicast says it itself. */
static unsigned scope_of(const unsigned char *bytes)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff}, loopback[16] = {[15] = 1};

    if (memcmp(bytes, mapped, 12) == 0)
        return bytes[12] == 127 || (bytes[12] == 169 && bytes[13] == 254) ? 2 : 14;
    if (bytes[0] == 0xff)
        return bytes[1] & 15;
    if ((bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) || memcmp(bytes, loopback, 16) == 0)
        return 2;
    return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0xc0 ? 5 : 14;
}

static bool ask_kernel(const union address_small *destination, union address_small *ret)
{
    union address_small target = *destination;
    bool v6 = target.any.sa_family == AF_INET6;
    socklen_t length = v6 ? sizeof(target.in6) : sizeof(target.in), got = sizeof(*ret);
    int fd = socket(target.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool ok;

    if (fd < 0)
        return false;
    if (v6)
        target.in6.sin6_port = htons(53);
    else
        target.in.sin_port = htons(53);
    ok = connect(fd, &target.any, length) == 0 && getsockname(fd, &ret->any, &got) == 0;
    close(fd);
    return ok;
}

static void rank(struct ranked *r, const union address_small *address, sa_family_t preferred,
                 source_fn source_of)
{
    union address_small source = {.any.sa_family = address->any.sa_family};

    r->address = *address;
    r->preferred = address->any.sa_family == preferred;
    to_bytes(address, r->bytes);
    r->policy = policy_of(r->bytes);
    r->scope = scope_of(r->bytes);
    r->usable = source_of(address, &source);
    if (!r->usable)
        return;
    to_bytes(&source, r->source);
    r->source_policy = policy_of(r->source);
    r->source_scope = scope_of(r->source);
}

/* 1: the first of the two has it and the second has not; -1 the other way round. */
static int more(unsigned a, unsigned b)
{
    return (a > b) - (a < b);
}

/* Positive: `a` before `b`. */
static int compare(const struct ranked *a, const struct ranked *b)
{
    int order = more(a->usable, b->usable); /* rule 1 */

    if (!order)
        order = more(a->preferred, b->preferred); /* the configuration */
    if (!order && a->usable)
        order = more(a->scope == a->source_scope, b->scope == b->source_scope); /* 2 */
    if (!order && a->usable)
        order = more(a->policy->label == a->source_policy->label,
                     b->policy->label == b->source_policy->label); /* 5 */
    if (!order)
        order = more(a->policy->precedence, b->policy->precedence); /* 6 */
    if (!order)
        order = more(b->scope, a->scope); /* 8 */
    if (!order && a->usable && a->address.any.sa_family == AF_INET6 &&
        b->address.any.sa_family == AF_INET6)
        order = more(common_bits(a->bytes, a->source, 64), common_bits(b->bytes, b->source, 64));
    return order;
}

static sa_family_t family_of(weir_resolver_prefer prefer)
{
    if (prefer == WEIR_PREFER_IPV4)
        return AF_INET;
    return prefer == WEIR_PREFER_IPV6 ? AF_INET6 : AF_UNSPEC;
}

void weir__addresses_sort(struct address_list *list, weir_resolver_prefer prefer,
                          source_fn source_of)
{
    struct ranked ranked[RESOLVER_ADDRESSES];

    if (list->count < 2)
        return;
    /* By insertion: it is stable (rule 10), and there are few. */
    for (size_t i = 0; i < list->count; i++) {
        struct ranked r;
        size_t k = i;

        rank(&r, &list->list[i], family_of(prefer), source_of ? source_of : ask_kernel);
        for (; k && compare(&r, &ranked[k - 1]) > 0; k--)
            ranked[k] = ranked[k - 1];
        ranked[k] = r;
    }
    for (size_t i = 0; i < list->count; i++)
        list->list[i] = ranked[i].address;
}
