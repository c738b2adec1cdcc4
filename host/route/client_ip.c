/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The matcher `client_ip`: networks and single addresses, IPv4 as mapped IPv6 so that both live in
 * one index. It is host/'s own, for every protocol.
 */
#include "config.h"

#include <arpa/inet.h>
#include <string.h>

#include <weir/config.h>

#include "host/route/routes.h"

/* An address as text to 16 bytes; the number of bits that stand before it: 96 for IPv4. */
static bool address_parse(const char *text, size_t len, unsigned char ret[16], unsigned *ret_before)
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char copy[INET6_ADDRSTRLEN + 1];

    if (!len || len >= sizeof copy)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    *ret_before = 0;
    if (memchr(copy, ':', len))
        return inet_pton(AF_INET6, copy, ret) == 1;
    *ret_before = 96;
    memcpy(ret, mapped, sizeof mapped);
    return inet_pton(AF_INET, copy, ret + sizeof mapped) == 1;
}

static bool bits_parse(const char *text, size_t len, unsigned limit, unsigned *ret)
{
    unsigned bits = 0;

    if (!len || len > 3)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        bits = bits * 10 + (unsigned)(text[i] - '0');
    }
    *ret = bits;
    return bits <= limit;
}

bool weir__cidr_parse(const char *text, size_t len, unsigned char ret_key[17], bool *ret_loose)
{
    const char *slash = memchr(text, '/', len);
    size_t address_len = slash ? (size_t)(slash - text) : len;
    unsigned char address[16];
    unsigned before, bits;

    if (!address_parse(text, address_len, address, &before))
        return false;
    bits = 128 - before;
    if (slash && !bits_parse(slash + 1, len - address_len - 1, 128 - before, &bits))
        return false;
    bits += before;
    *ret_loose = false;
    for (unsigned i = bits; i < 128; i++) {
        unsigned char bit = (unsigned char)(0x80u >> (i % 8));

        *ret_loose |= (address[i / 8] & bit) != 0;
        address[i / 8] &= (unsigned char)~bit;
    }
    memcpy(ret_key, address, 16);
    ret_key[16] = (unsigned char)bits;
    return true;
}

static bool compile(weir_config_context *context, weir_slice parameter, weir_slice text,
                    weir_match_key *ret_key, void **ret_compiled)
{
    unsigned char *key = weir_config_alloc(context, 17);
    bool loose;

    (void)parameter;
    (void)ret_compiled;
    if (!weir__cidr_parse(text.data, text.len, key, &loose)) {
        weir_config_error(context, NULL, "`%.*s` is no IP address or network", (int)text.len,
                          (const char *)text.data);
        weir_config_label(context, "such as 10.0.0.0/8 or fd00::/8");
        return false;
    }
    if (loose)
        weir_config_warning(context, NULL, "`%.*s` has bits set behind its prefix length",
                            (int)text.len, (const char *)text.data);
    ret_key->mode = WEIR_MATCH_CIDR;
    ret_key->key = weir_slice_of(key, 17);
    return true;
}

static bool extract(const weir_subject *subject, weir_slice parameter, weir_slice *ret)
{
    static __thread unsigned char address[16];
    unsigned before;

    (void)parameter;
    if (!address_parse(subject->client_ip.data, subject->client_ip.len, address, &before))
        return false;
    *ret = weir_slice_of(address, sizeof address);
    return true;
}

const weir_matcher weir__client_ip_matcher = {
    WEIR_SIZED(weir_matcher),
    .name = "client_ip",
    .modes = WEIR_MATCH_CIDR,
    .rank = 10,
    .doc = "The client's address, or networks it is in: 10.0.0.0/8, fd00::/8",
    .compile = compile,
    .extract = extract,
};
