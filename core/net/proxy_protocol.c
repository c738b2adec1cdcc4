/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing PROXY headers. Version 1 is a line of text, version 2 binary:
 *
 *     PROXY TCP4 192.0.2.1 192.0.2.2 4711 443\r\n
 *     signature (12) | version, command | family | length (2) | addresses | TLVs (type, length, value)
 *
 * Strict in what the specification fixes: balancers are programs, and whatever differs was written by
 * somebody else.
 */
#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <weir/proxy-protocol.h>

#include "core/base/error.h"
#include "core/net/address.h"

#define V1_MAX        107
#define V2_HEAD       ((size_t)16)
#define UNIX_SIZE     ((size_t)108)
#define TLV_ALPN      0x01
#define TLV_NAME      0x02
#define TLV_CRC       0x03
#define CRC_LEN       4
#define NAME_LIMIT    255
#define FAMILY_UNSPEC 0x00
#define FAMILY_TCP4   0x11
#define FAMILY_TCP6   0x21
#define FAMILY_UNIX   0x31

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static weir_error *wrong(void)
{
    return WEIR_RAISE_FAST(WEIR_EPROTOCOL, "no PROXY header, or a wrong one");
}

/* Version 1 */

/* The next word, ended by exactly one space or the end. */
static bool next_word(const char **text, char *word, size_t size)
{
    size_t len = strcspn(*text, " ");

    if (!len || len >= size)
        return false;
    memcpy(word, *text, len);
    word[len] = '\0';
    *text += len;
    if (**text == ' ')
        (*text)++;
    return true;
}

static bool parse_port(const char *word, uint16_t *ret)
{
    unsigned value = 0;

    if (!*word || strlen(word) > 5 || (word[0] == '0' && word[1]))
        return false;
    for (; *word; word++) {
        if (*word < '0' || *word > '9')
            return false;
        value = value * 10 + (unsigned)(*word - '0');
    }
    *ret = (uint16_t)value;
    return value <= UINT16_MAX;
}

static bool make_address(int family, const char *ip, const char *port, weir_address *ret)
{
    struct address address = {0};
    uint16_t number;

    if (!parse_port(port, &number) || strchr(ip, '%') ||
        !weir__address_literal(ip, number, &address) || address.any.sa_family != family)
        return false;
    weir__address_set(ret, &address.any, address.length);
    return true;
}

static weir_error *parse_line(const char *line, weir_proxy_header *header)
{
    char kind[16], from[64], to[64], from_port[8], to_port[8];
    const char *text = line + strlen("PROXY ");
    int family;

    header->version = WEIR_PROXY_V1;
    if (!next_word(&text, kind, sizeof(kind)))
        return wrong();
    if (strcmp(kind, "UNKNOWN") == 0) {
        header->local = true; /* whatever follows is to be ignored */
        return NULL;
    }
    if (strcmp(kind, "TCP4") != 0 && strcmp(kind, "TCP6") != 0)
        return wrong();
    family = kind[3] == '4' ? AF_INET : AF_INET6;
    if (!next_word(&text, from, sizeof(from)) || !next_word(&text, to, sizeof(to)) ||
        !next_word(&text, from_port, sizeof(from_port)) ||
        !next_word(&text, to_port, sizeof(to_port)) || *text || text[-1] == ' ' ||
        !make_address(family, from, from_port, &header->source) ||
        !make_address(family, to, to_port, &header->destination))
        return wrong();
    return NULL;
}

static weir_error *parse_v1(weir_slice data, weir_proxy_header *header, size_t *ret_length)
{
    static const char start[] = "PROXY ";
    const char *bytes = data.data;
    size_t n = data.len < sizeof(start) - 1 ? data.len : sizeof(start) - 1;
    size_t limit = data.len < V1_MAX ? data.len : V1_MAX;
    const char *end = memchr(bytes, '\n', limit);
    char line[V1_MAX + 1];

    if (memcmp(bytes, start, n) != 0)
        return wrong();
    if (!end)
        return data.len >= V1_MAX || memchr(bytes, '\0', limit) ? wrong() : NULL;
    n = (size_t)(end - bytes);
    if (n < sizeof(start) || bytes[n - 1] != '\r' || memchr(bytes, '\r', n - 1) ||
        memchr(bytes, '\0', n))
        return wrong();
    memcpy(line, bytes, n - 1);
    line[n - 1] = '\0';
    WEIR_TRY(parse_line(line, header));
    *ret_length = n + 1;
    return NULL;
}

/* Version 2 */

/* Castagnoli's CRC; `skip` to `skip` + 4 counts as zeros. */
static uint32_t crc32c(const unsigned char *bytes, size_t len, size_t skip)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < len; i++) {
        crc ^= i >= skip && i < skip + CRC_LEN ? 0 : bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static uint32_t big32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static weir_error *take_tlv(const unsigned char *all, size_t length, size_t at, size_t len,
                            weir_proxy_header *header)
{
    const unsigned char *value = all + at;

    switch (all[at - 3]) {
    case TLV_ALPN:
        header->alpn = weir_slice_of(value, len);
        return NULL;
    case TLV_NAME:
        if (!len || len > NAME_LIMIT)
            return wrong();
        header->authority = weir_slice_of(value, len);
        return NULL;
    case TLV_CRC:
        return len == CRC_LEN && big32(value) == crc32c(all, length, at) ? NULL : wrong();
    default:
        return NULL;
    }
}

static weir_error *parse_tlvs(const unsigned char *all, size_t at, size_t length,
                              weir_proxy_header *header)
{
    while (at < length) {
        size_t len;

        if (length - at < 3)
            return wrong();
        len = (size_t)all[at + 1] << 8 | all[at + 2];
        at += 3;
        if (len > length - at)
            return wrong();
        WEIR_TRY(take_tlv(all, length, at, len, header));
        at += len;
    }
    return NULL;
}

static void set_in(weir_address *address, const unsigned char *ip, const unsigned char *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET};

    memcpy(&in.sin_addr, ip, 4);
    memcpy(&in.sin_port, port, 2);
    weir__address_set(address, (const void *)&in, sizeof(in));
}

static void set_in6(weir_address *address, const unsigned char *ip, const unsigned char *port)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

    memcpy(&in6.sin6_addr, ip, 16);
    memcpy(&in6.sin6_port, port, 2);
    weir__address_set(address, (const void *)&in6, sizeof(in6));
}

static void set_unix(weir_address *address, const unsigned char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};

    memcpy(un.sun_path, path, UNIX_SIZE);
    weir__address_set(address, (const void *)&un,
                      offsetof(struct sockaddr_un, sun_path) +
                          (un.sun_path[0] ? strnlen(un.sun_path, UNIX_SIZE - 1) + 1 : UNIX_SIZE));
}

/* How many bytes the addresses take. */
static size_t address_bytes(unsigned char family)
{
    switch (family & 0xf0) {
    case 0x10:
        return 12;
    case 0x20:
        return 36;
    case 0x30:
        return UNIX_SIZE * 2;
    default:
        return 0;
    }
}

static void set_addresses(const unsigned char *all, weir_proxy_header *header)
{
    const unsigned char *at = all + V2_HEAD;

    switch (all[13]) {
    case FAMILY_TCP4:
        set_in(&header->source, at, at + 8);
        set_in(&header->destination, at + 4, at + 10);
        break;
    case FAMILY_TCP6:
        set_in6(&header->source, at, at + 32);
        set_in6(&header->destination, at + 16, at + 34);
        break;
    case FAMILY_UNIX:
        set_unix(&header->source, at);
        set_unix(&header->destination, at + UNIX_SIZE);
        break;
    default: /* of no stream that we know: as if it were local */
        header->local = true;
    }
}

static weir_error *parse_v2(weir_slice data, weir_proxy_header *header, size_t *ret_length)
{
    const unsigned char *all = data.data;
    size_t n = data.len < sizeof(signature) ? data.len : sizeof(signature);
    size_t length, taken;

    if (memcmp(all, signature, n) != 0)
        return wrong();
    if (data.len < V2_HEAD)
        return data.len > 12 && all[12] != 0x20 && all[12] != 0x21 ? wrong() : NULL;
    if ((all[12] != 0x20 && all[12] != 0x21) || all[13] >> 4 > 3 || (all[13] & 15) > 2)
        return wrong();
    length = V2_HEAD + ((size_t)all[14] << 8 | all[15]);
    if (length > WEIR_PROXY_READ_MAX)
        return WEIR_RAISE_FAST(WEIR_ELIMIT, "a PROXY header of %lld bytes", (int64_t)length);
    if (data.len < length)
        return NULL;
    header->version = WEIR_PROXY_V2;
    header->local = all[12] == 0x20;
    taken = address_bytes(all[13]);
    if (header->local || all[13] == FAMILY_UNSPEC) {
        header->local = true; /* the rest is to be skipped, whatever it is */
        *ret_length = length;
        return NULL;
    }
    if (taken > length - V2_HEAD)
        return wrong();
    set_addresses(all, header);
    WEIR_TRY(parse_tlvs(all, V2_HEAD + taken, length, header));
    *ret_length = length;
    return NULL;
}

weir_error *weir_proxy_parse(weir_slice data, weir_proxy_header *ret, size_t *ret_length)
{
    weir_proxy_header header = {.version = WEIR_PROXY_V1};
    size_t length = 0;

    if (data.len && *(const char *)data.data == signature[0])
        WEIR_TRY(parse_v2(data, &header, &length));
    else if (data.len)
        WEIR_TRY(parse_v1(data, &header, &length));
    if (length)
        *ret = header;
    *ret_length = length;
    return NULL;
}

/* Writing */

/* As IPv4 where it is that. */
static int family_of(const weir_address *address, weir_address *plain)
{
    const struct sockaddr_in6 *in6 = (const void *)address->bytes;
    unsigned char port[2];

    *plain = *address;
    if (!address->length)
        return AF_UNSPEC;
    if (in6->sin6_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        memcpy(port, &in6->sin6_port, 2);
        set_in(plain, &in6->sin6_addr.s6_addr[12], port);
        return AF_INET;
    }
    return in6->sin6_family;
}

static const void *ip_of(const weir_address *address, uint16_t *ret_port)
{
    const struct sockaddr_in *in = (const void *)address->bytes;
    const struct sockaddr_in6 *in6 = (const void *)address->bytes;

    *ret_port = in->sin_port;
    return in->sin_family == AF_INET ? (const void *)&in->sin_addr : &in6->sin6_addr;
}

static size_t write_v1(int family, const weir_address *from, const weir_address *to, char *buffer,
                       size_t size)
{
    char a[INET6_ADDRSTRLEN], b[INET6_ADDRSTRLEN];
    uint16_t from_port, to_port;

    if (family != AF_INET && family != AF_INET6)
        return (size_t)snprintf(buffer, size, "PROXY UNKNOWN\r\n");
    inet_ntop(family, ip_of(from, &from_port), a, sizeof(a));
    inet_ntop(family, ip_of(to, &to_port), b, sizeof(b));
    return (size_t)snprintf(buffer, size, "PROXY TCP%c %s %s %u %u\r\n",
                            family == AF_INET ? '4' : '6', a, b, ntohs(from_port), ntohs(to_port));
}

static char *put(char *at, const void *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

static char *put_path(char *at, const weir_address *address)
{
    size_t offset = offsetof(struct sockaddr_un, sun_path);

    memset(at, 0, UNIX_SIZE);
    memcpy(at, (const char *)address->bytes + offset, address->length - offset);
    return at + UNIX_SIZE;
}

static size_t write_v2(int family, const weir_address *from, const weir_address *to, char *buffer)
{
    size_t ip_len = family == AF_INET ? 4 : 16;
    uint16_t from_port, to_port;
    char *at = put(buffer, signature, sizeof(signature)) + 4;
    size_t length;

    buffer[12] = 0x21;
    if (family == AF_UNIX) {
        buffer[13] = FAMILY_UNIX;
        at = put_path(put_path(at, from), to);
    } else if (family == AF_INET || family == AF_INET6) {
        buffer[13] = family == AF_INET ? FAMILY_TCP4 : FAMILY_TCP6;
        at = put(at, ip_of(from, &from_port), ip_len);
        at = put(at, ip_of(to, &to_port), ip_len);
        at = put(put(at, &from_port, 2), &to_port, 2);
    } else {
        buffer[12] = 0x20;
        buffer[13] = FAMILY_UNSPEC;
    }
    length = (size_t)(at - buffer) - V2_HEAD;
    buffer[14] = (char)(length >> 8);
    buffer[15] = (char)length;
    return V2_HEAD + length;
}

weir_error *weir_proxy_write(weir_proxy_version version, const weir_address *source,
                             const weir_address *destination, char *buffer, size_t size,
                             size_t *ret_n)
{
    weir_address from, to;
    int family = family_of(source, &from);

    if (size < WEIR_PROXY_WRITE_MAX)
        return weir_raise(WEIR_ELIMIT, "a PROXY header needs %d bytes of room",
                          WEIR_PROXY_WRITE_MAX);
    if (family_of(destination, &to) != family)
        family = AF_UNSPEC;
    if (version == WEIR_PROXY_V1)
        *ret_n = write_v1(family, &from, &to, buffer, size);
    else
        *ret_n = write_v2(family, &from, &to, buffer);
    return NULL;
}
