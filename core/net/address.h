/* SPDX-License-Identifier: Apache-2.0 */
/* Socket addresses as text and back. Never asks DNS. Any thread. */
#ifndef WEIR_CORE_NET_ADDRESS_H
#define WEIR_CORE_NET_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <weir/address.h>

/* "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%4294967295]:65535", with its NUL */
#define ADDRESS_TEXT_MAX 80
/* "unix:" and the longest path */
#define ADDRESS_NAME_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) + 8)
/* The longest host name of DNS, with its NUL. */
#define HOST_NAME_SIZE 256

struct address {
    socklen_t length;

    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
};

/* A connection's address without the room for a path. */
union address_small {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* "host:port", "[v6]:port" or ":port" cut in two; `ret_host` without brackets, "" when missing. */
struct host_port {
    char host[HOST_NAME_SIZE];
    uint16_t port;
    bool bracketed;
};

weir_error *weir__host_port_parse(const char *text, struct host_port *ret) WEIR_MUST_USE;

/* A literal of either family ("fe80::1%eth0" included). False: it is a name. */
bool weir__address_literal(const char *host, uint16_t port, struct address *ret);

/* The path after "unix:". Errors: WEIR_EINVAL empty or too long. */
weir_error *weir__address_unix(const char *path, struct address *ret) WEIR_MUST_USE;

/* As weir_address_parse(). */
weir_error *weir__address_parse(const char *text, struct address *ret) WEIR_MUST_USE;
/* `length` bytes of a socket address. */
void weir__address_set(weir_address *address, const struct sockaddr *from, size_t length);

/* As weir_transport_peer_name() shows it. Always ends with a NUL. */
void weir__address_name(const struct sockaddr *address, socklen_t length, char *buffer,
                        size_t size);
/* Without the port; empty for Unix sockets. */
void weir__address_ip(const struct sockaddr *address, char *buffer, size_t size);

#endif
