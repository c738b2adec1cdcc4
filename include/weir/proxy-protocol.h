/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The PROXY protocol, versions 1 and 2: what a balancer says of its client before the first byte of
 * the connection. Servers hear it by weir_server_options.proxy; here is what reads and writes it.
 * Any thread.
 *
 * Example:
 *
 *     // Who speaks behind a balancer whose first bytes these are; empty when more are needed.
 *     static weir_error *client_of(weir_slice bytes, char *name, size_t size)
 *     {
 *         weir_proxy_header header;
 *         size_t length;
 *
 *         name[0] = '\0';
 *         WEIR_TRY(weir_proxy_parse(bytes, &header, &length));
 *         if (length)
 *             weir_address_text(&header.source, name, size);
 *         return NULL;
 *     }
 */
#ifndef WEIR_PROXY_PROTOCOL_H
#define WEIR_PROXY_PROTOCOL_H

#include <weir/address.h>
#include <weir/slice.h>
#include <weir/time.h>

WEIR_BEGIN_DECLS

typedef struct weir_transport weir_transport;

/** The longest header that is read; version 1 has at most 107 bytes. */
#define WEIR_PROXY_READ_MAX 4096
/** Room for any header that is written. */
#define WEIR_PROXY_WRITE_MAX 256

typedef enum weir_proxy_version { WEIR_PROXY_V1 = 1, WEIR_PROXY_V2 = 2 } weir_proxy_version;

/** What a header says. Slices lie in the bytes that were parsed. */
typedef struct weir_proxy_header {
    weir_proxy_version version;
    /** LOCAL and UNKNOWN: the balancer speaks for itself, or does not know. No addresses. */
    bool local;
    weir_address source, destination; /**< length 0 when there are none */
    weir_slice authority;             /**< the host name that the client asked for (v2, SNI) */
    weir_slice alpn;
} weir_proxy_header;

/**
 * Reads a header at the start of `data`. `ret_length`: its bytes; 0 when more are needed to tell.
 * Unknown TLVs are passed over; a CRC32c is verified. Errors: WEIR_EPROTOCOL this is none, or a wrong
 * one; WEIR_ELIMIT longer than WEIR_PROXY_READ_MAX.
 */
WEIR_PUBLIC weir_error *weir_proxy_parse(weir_slice data, weir_proxy_header *ret,
                                         size_t *ret_length) WEIR_MUST_USE;
/**
 * Writes a header. Addresses of different families, or one missing: UNKNOWN or LOCAL. IPv4 mapped
 * into IPv6 is written as IPv4. Errors: WEIR_ELIMIT less than WEIR_PROXY_WRITE_MAX bytes of room.
 */
WEIR_PUBLIC weir_error *weir_proxy_write(weir_proxy_version version, const weir_address *source,
                                         const weir_address *destination, char *buffer, size_t size,
                                         size_t *ret_n) WEIR_MUST_USE;

/**
 * Writes to `server`, a fresh connection, who the client of `client` is: its peer, and the address
 * that it came to. Errors: as weir_transport_write().
 */
WEIR_PUBLIC weir_error *weir_proxy_introduce(weir_transport *server, weir_proxy_version version,
                                             weir_transport *client) WEIR_MUST_USE;

/**
 * Who may say for whom it connects. A connection from a trusted network must begin with a header (of
 * at most `timeout`, before TLS); its client is then the connection's peer everywhere. Others are
 * taken as they are: what they say is for the protocol, and no header.
 */
typedef struct weir_proxy_policy {
    size_t size;
    const weir_network *trusted; /**< must live as long as the server */
    size_t n_trusted;
    bool trust_unix;       /**< connections over Unix sockets */
    weir_duration timeout; /**< for the whole header; 0: 10 s */
} weir_proxy_policy;

/** The header that an accepted connection began with; NULL: none. Valid as long as the transport. */
WEIR_PUBLIC const weir_proxy_header *weir_transport_proxy_header(const weir_transport *transport);

WEIR_END_DECLS

#endif
