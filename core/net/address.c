/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses as people write them. IPv6 literals stand in brackets where a port follows; an IPv4
 * address that came in through a dual-stack socket (::ffff:192.0.2.1) is shown as IPv4, which is
 * what the peer calls itself.
 */
#include "config.h"

#include "core/net/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIX_PREFIX "unix:"

static bool parse_port(const char *text, uint16_t *ret)
{
    unsigned value = 0;

    if (!*text || strlen(text) > 5)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (unsigned)(*text - '0');
    }
    if (value > 65535)
        return false;
    *ret = (uint16_t)value;
    return true;
}

weir_error *weir__host_port_parse(const char *text, struct host_port *ret)
{
    const char *colon = strrchr(text, ':');
    const char *start = text;
    struct host_port parsed = {0};
    size_t len;

    if (!colon)
        return weir_raise(WEIR_EINVAL, "\"%s\": expected HOST:PORT, got no port", text);
    if (!parse_port(colon + 1, &parsed.port))
        return weir_raise(WEIR_EINVAL, "\"%s\": port must be 0-65535, got \"%s\"", text, colon + 1);
    len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && colon[-1] == ']') {
        start++;
        len -= 2;
        parsed.bracketed = true;
    } else if (memchr(text, ':', len)) {
        return weir_raise(WEIR_EINVAL,
                          "\"%s\": an IPv6 address with a port stands in brackets, "
                          "as in [::1]:%u",
                          text, parsed.port);
    }
    if (len >= sizeof(parsed.host))
        return weir_raise(WEIR_EINVAL, "the host name is too long: %zu bytes", len);
    memcpy(parsed.host, start, len);
    *ret = parsed;
    return NULL;
}

static bool literal_v6(const char *host, struct in6_addr *ret_address, uint32_t *ret_scope)
{
    char text[INET6_ADDRSTRLEN];
    const char *percent = strchr(host, '%');
    size_t len = percent ? (size_t)(percent - host) : strlen(host);

    if (len >= sizeof(text))
        return false;
    memcpy(text, host, len);
    text[len] = '\0';
    if (inet_pton(AF_INET6, text, ret_address) != 1)
        return false;
    *ret_scope = 0;
    if (percent) {
        *ret_scope = if_nametoindex(percent + 1);
        if (!*ret_scope)
            *ret_scope = (uint32_t)strtoul(percent + 1, NULL, 10);
    }
    return true;
}

bool weir__address_literal(const char *host, uint16_t port, struct address *ret)
{
    struct address address = {0};

    if (inet_pton(AF_INET, host, &address.in.sin_addr) == 1) {
        address.in.sin_family = AF_INET;
        address.in.sin_port = htons(port);
        address.length = sizeof(address.in);
    } else if (literal_v6(host, &address.in6.sin6_addr, &address.in6.sin6_scope_id)) {
        address.in6.sin6_family = AF_INET6;
        address.in6.sin6_port = htons(port);
        address.length = sizeof(address.in6);
    } else {
        return false;
    }
    *ret = address;
    return true;
}

weir_error *weir__address_unix(const char *path, struct address *ret)
{
    size_t len = strlen(path);

    if (len == 0)
        return weir_raise(WEIR_EINVAL, "\"unix:\": expected a path after it");
    if (len >= sizeof(ret->un.sun_path))
        return weir_raise(WEIR_EINVAL,
                          "the path of a Unix socket has at most %zu bytes, this one %zu: %s",
                          sizeof(ret->un.sun_path) - 1, len, path);
    memset(ret, 0, sizeof(*ret));
    ret->un.sun_family = AF_UNIX;
    memcpy(ret->un.sun_path, path, len + 1);
    ret->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    if (path[0] == '@') {
        ret->un.sun_path[0] = '\0'; /* an abstract name: no file, and its length counts */
        ret->length--;
    }
    return NULL;
}

static const struct in6_addr *v4_mapped(const struct sockaddr *address)
{
    const struct sockaddr_in6 *in6 = (const void *)address;

    return IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) ? &in6->sin6_addr : NULL;
}

void weir__address_ip(const struct sockaddr *address, char *buffer, size_t size)
{
    const struct sockaddr_in *in = (const void *)address;
    const struct sockaddr_in6 *in6 = (const void *)address;
    const struct in6_addr *mapped;
    size_t len;

    buffer[0] = '\0';
    if (address->sa_family == AF_INET) {
        inet_ntop(AF_INET, &in->sin_addr, buffer, (socklen_t)size);
    } else if (address->sa_family == AF_INET6) {
        mapped = v4_mapped(address);
        if (mapped) {
            inet_ntop(AF_INET, &mapped->s6_addr[12], buffer, (socklen_t)size);
            return;
        }
        inet_ntop(AF_INET6, &in6->sin6_addr, buffer, (socklen_t)size);
        len = strlen(buffer);
        if (in6->sin6_scope_id && IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr))
            snprintf(buffer + len, size - len, "%%%u", in6->sin6_scope_id);
    }
}

static void unix_name(const struct sockaddr *address, socklen_t length, char *buffer, size_t size)
{
    const struct sockaddr_un *un = (const void *)address;
    size_t offset = offsetof(struct sockaddr_un, sun_path);

    if (length <= offset)
        snprintf(buffer, size, UNIX_PREFIX);
    else if (un->sun_path[0] == '\0')
        snprintf(buffer, size, UNIX_PREFIX "@%.*s", (int)(length - offset - 1), un->sun_path + 1);
    else
        snprintf(buffer, size, UNIX_PREFIX "%.*s", (int)(length - offset), un->sun_path);
}

void weir__address_name(const struct sockaddr *address, socklen_t length, char *buffer, size_t size)
{
    char ip[ADDRESS_TEXT_MAX];

    if (address->sa_family == AF_INET) {
        weir__address_ip(address, ip, sizeof(ip));
        snprintf(buffer, size, "%s:%u", ip,
                 ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)address;

        weir__address_ip(address, ip, sizeof(ip));
        snprintf(buffer, size, v4_mapped(address) ? "%s:%u" : "[%s]:%u", ip, ntohs(in6->sin6_port));
    } else if (address->sa_family == AF_UNIX) {
        unix_name(address, length, buffer, size);
    } else {
        snprintf(buffer, size, "family %d", address->sa_family);
    }
}
