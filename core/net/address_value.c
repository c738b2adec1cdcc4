/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and networks as values of the public interface. */
#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/invariant.h"
#include "core/net/address.h"

#define UNIX_PREFIX "unix:"

WEIR_STATIC_ASSERT(sizeof(struct sockaddr_un) <= sizeof(((weir_address *)0)->bytes),
                   "an address holds every family");
WEIR_STATIC_ASSERT(ADDRESS_NAME_MAX <= WEIR_ADDRESS_TEXT_SIZE, "and its text");

void weir__address_set(weir_address *address, const struct sockaddr *from, size_t length)
{
    if (length > sizeof(address->bytes))
        length = sizeof(address->bytes);
    memset(address->bytes, 0, sizeof(address->bytes));
    memcpy(address->bytes, from, length);
    address->length = length > sizeof(sa_family_t) ? (uint32_t)length : 0;
}

const struct sockaddr *weir_address_sockaddr(const weir_address *address)
{
    return address->length ? (const void *)address->bytes : NULL;
}

weir_error *weir__address_parse(const char *text, struct address *ret)
{
    struct host_port parsed = {0};

    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
        WEIR_TRY(weir__address_unix(text + strlen(UNIX_PREFIX), ret));
        return NULL;
    }
    WEIR_TRY(weir__host_port_parse(text, &parsed));
    if (!parsed.host[0] || strcmp(parsed.host, "*") == 0)
        (void)weir__address_literal("::", parsed.port, ret);
    else if (!weir__address_literal(parsed.host, parsed.port, ret))
        return weir_raise(WEIR_EINVAL, "\"%s\" is no IP address", parsed.host);
    return NULL;
}

weir_error *weir_address_parse(const char *text, weir_address *ret)
{
    struct address address = {0};

    WEIR_TRY(weir__address_parse(text, &address));
    weir__address_set(ret, &address.any, address.length);
    return NULL;
}

void weir_address_text(const weir_address *address, char *buffer, size_t size)
{
    const struct sockaddr *family = (const void *)address->bytes;

    if (!address->length)
        snprintf(buffer, size, UNIX_PREFIX);
    else
        weir__address_name(family, address->length, buffer, size);
}

bool weir_address_equal(const weir_address *a, const weir_address *b)
{
    const struct sockaddr *family = (const void *)a->bytes;
    const struct sockaddr_in6 *a6 = (const void *)a->bytes, *b6 = (const void *)b->bytes;

    if (a->length != b->length || a->bytes[0] != b->bytes[0])
        return false;
    if (!a->length || family->sa_family != AF_INET6)
        return memcmp(a->bytes, b->bytes, a->length) == 0;
    return memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0 &&
           a6->sin6_port == b6->sin6_port && a6->sin6_scope_id == b6->sin6_scope_id;
}

/* Networks */

static bool parse_ip(const char *text, size_t len, unsigned char ret[16], unsigned *ret_before)
{
    char copy[INET6_ADDRSTRLEN + 1];

    if (!len || len >= sizeof(copy))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    *ret_before = 0;
    if (inet_pton(AF_INET6, copy, ret) == 1)
        return true;
    *ret_before = 96;
    memset(ret, 0, 10);
    ret[10] = ret[11] = 0xff;
    return inet_pton(AF_INET, copy, ret + 12) == 1;
}

static bool parse_bits(const char *text, unsigned limit, unsigned *ret)
{
    size_t len = strspn(text, "0123456789");

    if (!len || len > 3 || text[len])
        return false;
    *ret = (unsigned)strtoul(text, NULL, 10);
    return *ret <= limit;
}

/* Whether the first `bits` agree. */
static bool same_prefix(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    if (memcmp(a, b, whole) != 0)
        return false;
    return !rest || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

weir_error *weir_network_parse(const char *text, weir_network *ret)
{
    const char *slash = strchr(text, '/');
    weir_network network = {.bits = 0};
    unsigned before, bits;

    if (!parse_ip(text, slash ? (size_t)(slash - text) : strlen(text), network.bytes, &before))
        return weir_raise(WEIR_EINVAL, "\"%s\" is no network such as 10.0.0.0/8", text);
    bits = 128 - before;
    if (slash && !parse_bits(slash + 1, 128 - before, &bits))
        return weir_raise(WEIR_EINVAL, "\"%s\": expected 0 to %u bits after the slash", text,
                          128 - before);
    network.bits = before + bits;
    for (unsigned bit = network.bits; bit < 128; bit++) {
        if (network.bytes[bit / 8] & (0x80 >> bit % 8))
            return weir_raise(WEIR_EINVAL, "\"%s\" has bits set behind its prefix", text);
    }
    *ret = network;
    return NULL;
}

bool weir_network_contains(const weir_network *network, const weir_address *address)
{
    const struct sockaddr *any = (const void *)address->bytes;
    const struct sockaddr_in *in = (const void *)address->bytes;
    const struct sockaddr_in6 *in6 = (const void *)address->bytes;
    unsigned char mapped[16] = {[10] = 0xff, [11] = 0xff};

    if (!address->length)
        return false;
    if (any->sa_family == AF_INET6)
        return same_prefix(network->bytes, in6->sin6_addr.s6_addr, network->bits);
    if (any->sa_family != AF_INET)
        return false;
    memcpy(mapped + 12, &in->sin_addr, 4);
    return same_prefix(network->bytes, mapped, network->bits);
}
