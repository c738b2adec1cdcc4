/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Socket addresses and networks as values. Nothing here asks DNS: hosts are literals; names are for
 * weir_resolve(). Any thread.
 *
 * Example:
 *
 *     static weir_error *is_ours(const char *peer, bool *ret)
 *     {
 *         weir_address address;
 *         weir_network ours;
 *
 *         WEIR_TRY(weir_address_parse(peer, &address));
 *         WEIR_TRY(weir_network_parse("10.0.0.0/8", &ours));
 *         *ret = weir_network_contains(&ours, &address);
 *         return NULL;
 *     }
 */
#ifndef WEIR_ADDRESS_H
#define WEIR_ADDRESS_H

#include <weir/error.h>

struct sockaddr;

WEIR_BEGIN_DECLS

/** A socket address of any family: a value, copied as such. */
typedef struct weir_address {
    uint64_t bytes[16]; /**< a struct sockaddr, `length` bytes; zeros behind it */
    uint32_t length;    /**< 0: none, as of an unnamed Unix socket */
} weir_address;

/** Enough for any address, with its NUL. */
#define WEIR_ADDRESS_TEXT_SIZE 128

/**
 * "192.0.2.1:53", "[2001:db8::1]:53", "*:53" (all of IPv6 and IPv4), "unix:/run/x.sock", "unix:@name"
 * (abstract). Literals only. Errors: WEIR_EINVAL.
 */
WEIR_PUBLIC weir_error *weir_address_parse(const char *text, weir_address *ret) WEIR_MUST_USE;
/** The same text again, cut to `size`; "unix:" for none. */
WEIR_PUBLIC void weir_address_text(const weir_address *address, char *buffer, size_t size);
/** Same family, address and port. */
WEIR_PUBLIC bool weir_address_equal(const weir_address *a, const weir_address *b);
/** For system calls; NULL when there is none. Borrowed from `address`. */
WEIR_PUBLIC const struct sockaddr *weir_address_sockaddr(const weir_address *address);

/** Addresses that begin alike. IPv4 and the same mapped into IPv6 are one. */
typedef struct weir_network {
    unsigned char bytes[16]; /**< of IPv6, or IPv4 mapped into it */
    unsigned bits;           /**< how many of them count */
} weir_network;

/** "10.0.0.0/8", "2001:db8::/32", or one address. Errors: WEIR_EINVAL, also for bits set behind the
 *  prefix: "10.0.0.1/8". */
WEIR_PUBLIC weir_error *weir_network_parse(const char *text, weir_network *ret) WEIR_MUST_USE;
/** Whether the IP of an address is in it; never for Unix sockets. */
WEIR_PUBLIC bool weir_network_contains(const weir_network *network, const weir_address *address);

WEIR_END_DECLS

#endif
