/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a ClientHello (RFC 8446, 4.1.2; the same in TLS 1.2). Its bytes are taken one by one through
 * the records that carry them, so it may be cut anywhere. Each vector is bounded by the one around it:
 * `left` counts what the innermost still has.
 *
 * What a server might read in two ways is refused, so that nobody is routed by one reading and served
 * by the other: an extension that comes twice, two names, a name that is none.
 */
#include "config.h"

#include "host/inspect/client_hello.h"

#include <string.h>

#define RECORD_HANDSHAKE  22
#define RECORD_MAX        16384
#define CLIENT_HELLO      1
#define EXTENSION_SNI     0
#define EXTENSION_ALPN    16
#define SNI_HOST_NAME     0
#define RANDOM_SIZE       32
#define SESSION_ID_MAX    32
#define HELLO_HEADER_SIZE 9 /* of the record and of the message */

struct reader {
    const unsigned char *at, *end;
    size_t record; /* bytes that the record still has */
    size_t left;   /* bytes that the innermost vector still has */
    weir_look state;
};

static unsigned fail(struct reader *r, weir_look how)
{
    if (r->state == WEIR_LOOK_YES)
        r->state = how;
    return 0;
}

static unsigned next_byte(struct reader *r)
{
    if (r->at == r->end)
        return fail(r, WEIR_LOOK_MORE);
    return *r->at++;
}

/* Each byte is judged as it comes: what is no TLS is known by its first byte. */
static void read_record_header(struct reader *r)
{
    unsigned high;

    if (next_byte(r) != RECORD_HANDSHAKE || r->state != WEIR_LOOK_YES) {
        fail(r, WEIR_LOOK_NO);
        return;
    }
    if (next_byte(r) != 3 || r->state != WEIR_LOOK_YES) {
        fail(r, WEIR_LOOK_NO);
        return;
    }
    (void)next_byte(r);
    high = next_byte(r);
    r->record = high << 8 | next_byte(r);
    if (r->state == WEIR_LOOK_YES && (!r->record || r->record > RECORD_MAX))
        fail(r, WEIR_LOOK_NO);
}

static unsigned take8(struct reader *r)
{
    if (r->state != WEIR_LOOK_YES)
        return 0;
    if (!r->left)
        return fail(r, WEIR_LOOK_NO);
    if (!r->record)
        read_record_header(r);
    if (r->state != WEIR_LOOK_YES)
        return 0;
    r->left--;
    r->record--;
    return next_byte(r);
}

static unsigned take16(struct reader *r)
{
    unsigned high = take8(r);

    return high << 8 | take8(r);
}

/* Enters a vector of so many bytes; gives what the outer one has after it, for leave(). */
static size_t enter(struct reader *r, size_t length)
{
    size_t outer = r->left - length;

    if (length > r->left) {
        fail(r, WEIR_LOOK_NO);
        outer = 0;
    }
    if (r->state == WEIR_LOOK_YES)
        r->left = length;
    return outer;
}

/* All of the vector must have been used. */
static void leave(struct reader *r, size_t outer)
{
    if (r->left)
        fail(r, WEIR_LOOK_NO);
    r->left = outer;
}

static void skip(struct reader *r, size_t length)
{
    size_t outer = enter(r, length);

    while (r->left && r->state == WEIR_LOOK_YES)
        (void)take8(r);
    leave(r, outer);
}

static char lower(unsigned byte)
{
    return (char)(byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte);
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

static void read_name(struct reader *r, size_t length, char ret[CLIENT_HELLO_NAME])
{
    size_t outer = enter(r, length), n = 0;

    if (!length || length >= CLIENT_HELLO_NAME || *ret)
        fail(r, WEIR_LOOK_NO);
    while (r->left && r->state == WEIR_LOOK_YES) {
        char c = lower(take8(r));

        if (r->state == WEIR_LOOK_YES && !is_name_byte(c))
            fail(r, WEIR_LOOK_NO);
        ret[n++] = c;
    }
    if (n > 1 && ret[n - 1] == '.')
        n--;
    ret[n] = '\0';
    leave(r, outer);
}

static void read_server_names(struct reader *r, struct client_hello *hello)
{
    size_t outer = enter(r, take16(r));

    if (!r->left)
        fail(r, WEIR_LOOK_NO);
    while (r->left && r->state == WEIR_LOOK_YES) {
        unsigned type = take8(r), length = take16(r);

        if (type == SNI_HOST_NAME)
            read_name(r, length, hello->sni);
        else
            skip(r, length);
    }
    leave(r, outer);
}

/* One that no file can name is left out: clients offer such to keep servers used to them (RFC 8701). */
static void read_protocol(struct reader *r, struct client_hello *hello, size_t *used)
{
    size_t length = take8(r), outer = enter(r, length), begin = *used + (*used != 0);
    bool named = length && begin + length < CLIENT_HELLO_ALPN;

    if (!length)
        fail(r, WEIR_LOOK_NO);
    for (size_t i = 0; r->left && r->state == WEIR_LOOK_YES; i++) {
        unsigned byte = take8(r);

        named = named && byte > ' ' && byte < 127 && byte != ',';
        if (named)
            hello->alpn[begin + i] = (char)byte;
    }
    leave(r, outer);
    if (!named || r->state != WEIR_LOOK_YES) {
        hello->alpn[*used] = '\0';
        return;
    }
    if (*used)
        hello->alpn[*used] = ',';
    *used = begin + length;
    hello->alpn[*used] = '\0';
}

static void read_protocols(struct reader *r, struct client_hello *hello)
{
    size_t outer = enter(r, take16(r)), used = 0;

    if (!r->left)
        fail(r, WEIR_LOOK_NO);
    while (r->left && r->state == WEIR_LOOK_YES)
        read_protocol(r, hello, &used);
    leave(r, outer);
}

static void read_extensions(struct reader *r, struct client_hello *hello)
{
    size_t all = enter(r, take16(r));
    bool sni = false, alpn = false;

    while (r->left && r->state == WEIR_LOOK_YES) {
        unsigned type = take16(r), length = take16(r);
        size_t outer = enter(r, length);

        if ((type == EXTENSION_SNI && sni) || (type == EXTENSION_ALPN && alpn))
            fail(r, WEIR_LOOK_NO);
        sni |= type == EXTENSION_SNI;
        alpn |= type == EXTENSION_ALPN;
        if (type == EXTENSION_SNI)
            read_server_names(r, hello);
        else if (type == EXTENSION_ALPN)
            read_protocols(r, hello);
        else
            skip(r, r->left);
        leave(r, outer);
    }
    leave(r, all);
}

static void read_hello(struct reader *r, struct client_hello *hello)
{
    unsigned length;

    if (take8(r) != CLIENT_HELLO)
        fail(r, WEIR_LOOK_NO);
    length = take8(r) << 16;
    length |= take16(r);
    if (length > CLIENT_HELLO_LIMIT - HELLO_HEADER_SIZE)
        fail(r, WEIR_LOOK_NO);
    (void)enter(r, length);
    if (take8(r) != 3)
        fail(r, WEIR_LOOK_NO);
    skip(r, 1 + RANDOM_SIZE);
    length = take8(r);
    if (length > SESSION_ID_MAX)
        fail(r, WEIR_LOOK_NO);
    skip(r, length);
    length = take16(r);
    if (length < 2 || length % 2)
        fail(r, WEIR_LOOK_NO);
    skip(r, length);
    length = take8(r);
    if (!length)
        fail(r, WEIR_LOOK_NO);
    skip(r, length);
    if (r->left) /* before TLS 1.2 there may be none */
        read_extensions(r, hello);
    leave(r, 0);
}

weir_look weir__client_hello_read(weir_slice bytes, struct client_hello *ret)
{
    struct client_hello hello = {"", ""};
    struct reader r = {.at = bytes.data,
                       .end = (const unsigned char *)bytes.data + bytes.len,
                       .left = SIZE_MAX,
                       .state = WEIR_LOOK_YES};

    if (!bytes.len)
        return WEIR_LOOK_MORE;
    read_hello(&r, &hello);
    if (r.state == WEIR_LOOK_MORE && bytes.len >= CLIENT_HELLO_LIMIT)
        return WEIR_LOOK_NO;
    if (r.state == WEIR_LOOK_YES)
        *ret = hello;
    return r.state;
}

bool weir__alpn_has(weir_slice list, weir_slice name)
{
    const char *at = list.data, *end = at + list.len;

    while (list.len && at <= end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;

        if (weir_slice_equal(weir_slice_of(at, (size_t)(stop - at)), name))
            return true;
        at = stop + 1;
    }
    return false;
}
