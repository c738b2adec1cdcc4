/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host [ ":" port ], as Host and the authority of a target say it: a registered name (which takes
 * in IPv4 addresses), or an IPv6 address in brackets. User information has no place in either.
 */
#include "config.h"

#include <arpa/inet.h>

#include <weir/http-values.h>

#include "http/message/scan.h"

static bool is_ipv6(const char *p, size_t len)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (len >= sizeof(text) || memchr(p, '\0', len))
        return false;
    memcpy(text, p, len);
    text[len] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

/* The end of the name at [p, end), or NULL. */
static const char *name_end(const char *p, const char *end)
{
    const char *begin = p;

    if (p < end && *p == '[') {
        const char *bracket = memchr(p, ']', (size_t)(end - p));

        return bracket && is_ipv6(p + 1, (size_t)(bracket - p - 1)) ? bracket + 1 : NULL;
    }
    for (;;) {
        p = weir__scan_class(p, end, WEIR__REG_NAME);
        if (p == end || *p != '%')
            return p > begin ? p : NULL;
        if (end - p < 3 || !weir__is(p[1], WEIR__HEX) || !weir__is(p[2], WEIR__HEX))
            return NULL;
        p += 3;
    }
}

static bool is_port(const char *p, const char *end)
{
    unsigned port = 0;

    for (; p < end; p++) {
        if (!weir__is(*p, WEIR__DIGIT))
            return false;
        port = port * 10 + (unsigned)(*p - '0');
        if (port > 65535)
            return false;
    }
    return true;
}

bool weir_http_is_host(weir_slice text)
{
    const char *begin = text.data, *end = begin + text.len;
    const char *p = name_end(begin, end);

    return p && (p == end || (*p == ':' && is_port(p + 1, end)));
}

void weir_http_host_split(weir_slice host, weir_slice *ret_name, int *ret_port)
{
    const char *begin = host.data, *end = begin + host.len, *p = end;
    int port = -1;

    while (p > begin && weir__is(p[-1], WEIR__DIGIT))
        p--;
    if (p > begin && p[-1] == ':') {
        if (p < end)
            port = 0;
        for (const char *q = p; q < end && port <= 65535; q++)
            port = port * 10 + (*q - '0');
        end = p - 1;
    }
    *ret_name = weir_slice_of(begin, (size_t)(end - begin));
    *ret_port = port;
}
