/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inspectors that weir has itself.
 *
 *   tls       reads the ClientHello: sni, alpn
 *   ssh       the version line that an SSH client begins with (RFC 4253, 4.2)
 *   postgres  a client of PostgreSQL: plain, asking for TLS first (before libpq 17), or with TLS at
 *             once (ALPN postgresql)
 *
 * Who asks PostgreSQL for TLS waits for one byte before it says more, so weir gives the answer that the
 * server would have given, and has the server asked when there is one: it must answer the same.
 */
#include "config.h"

#include <string.h>

#include "host/inspect/client_hello.h"
#include "host/inspect/inspect.h"

static bool publish(weir_inspection *inspection, weir_fact fact, const char *text)
{
    weir_error *error = *text ? weir_inspection_set(inspection, fact, weir_slice_str(text)) : NULL;

    if (!error)
        return true;
    weir_ignore(error);
    return false;
}

static weir_look publish_hello(weir_inspection *inspection, const struct client_hello *hello)
{
    return publish(inspection, WEIR_FACT_SNI, hello->sni) &&
                   publish(inspection, WEIR_FACT_ALPN, hello->alpn)
               ? WEIR_LOOK_YES
               : WEIR_LOOK_NO;
}

static weir_look look_for_tls(weir_inspection *inspection, weir_slice bytes)
{
    struct client_hello hello;
    weir_look look = weir__client_hello_read(bytes, &hello);

    return look == WEIR_LOOK_YES ? publish_hello(inspection, &hello) : look;
}

const weir_inspector weir__inspect_tls = {
    WEIR_SIZED(weir_inspector), .name = "tls", .limit = CLIENT_HELLO_LIMIT,
    .doc = "A TLS client: the name it asks for, the protocols it offers", .look = look_for_tls};

static weir_look look_for_ssh(weir_inspection *inspection, weir_slice bytes)
{
    static const char begins[] = "SSH-";
    size_t n = bytes.len < sizeof begins - 1 ? bytes.len : sizeof begins - 1;

    (void)inspection;
    if (memcmp(bytes.data, begins, n) != 0)
        return WEIR_LOOK_NO;
    return n == sizeof begins - 1 ? WEIR_LOOK_YES : WEIR_LOOK_MORE;
}

const weir_inspector weir__inspect_ssh = {WEIR_SIZED(weir_inspector), .name = "ssh", .limit = 4,
                                          .doc = "An SSH client", .look = look_for_ssh};

/* PostgreSQL: a length of four bytes, then what is asked for. */
#define PG_HEAD          8
#define PG_PROTOCOL      3 /* the high half of the version */
#define PG_CANCEL        80877102u
#define PG_SSL           80877103u
#define PG_GSS           80877104u
#define PG_CANCEL_LENGTH 16
#define PG_STARTUP_MAX   10000

static weir_look answer(weir_inspection *inspection, weir_slice request, weir_slice reply, bool tls)
{
    weir_error *error = NULL;

    if (tls) {
        error = weir_inspection_preamble(inspection, request, reply);
        if (!error)
            error = weir_inspection_set(inspection, WEIR_FACT_PROTOCOL, WEIR_SLICE("postgres"));
    }
    if (!error)
        error = weir_inspection_reply(inspection, reply);
    if (error) {
        weir_ignore(error);
        return WEIR_LOOK_NO;
    }
    weir_inspection_consume(inspection, request.len);
    return WEIR_LOOK_AGAIN;
}

static weir_look look_at_request(weir_inspection *inspection, weir_slice bytes)
{
    const unsigned char *b = bytes.data;
    uint32_t length, code;

    /* No request is so long that its first two bytes say anything. */
    if (b[0] || (bytes.len > 1 && b[1]))
        return WEIR_LOOK_NO;
    if (bytes.len < PG_HEAD)
        return WEIR_LOOK_MORE;
    length = (uint32_t)b[2] << 8 | b[3];
    code = (uint32_t)b[4] << 24 | (uint32_t)b[5] << 16 | (uint32_t)b[6] << 8 | b[7];
    if (code == PG_SSL && length == PG_HEAD)
        return answer(inspection, weir_slice_of(b, PG_HEAD), WEIR_SLICE("S"), true);
    if (code == PG_GSS && length == PG_HEAD)
        return answer(inspection, weir_slice_of(b, PG_HEAD), WEIR_SLICE("N"), false);
    if ((code == PG_CANCEL && length == PG_CANCEL_LENGTH) ||
        (code >> 16 == PG_PROTOCOL && length > PG_HEAD && length <= PG_STARTUP_MAX))
        return WEIR_LOOK_YES;
    return WEIR_LOOK_NO;
}

static weir_look look_for_postgres(weir_inspection *inspection, weir_slice bytes)
{
    bool answered = weir_slice_equal(weir_inspection_fact(inspection, WEIR_FACT_PROTOCOL),
                                     WEIR_SLICE("postgres"));
    struct client_hello hello;
    weir_look look;

    if (!answered && *(const unsigned char *)bytes.data == 0)
        return look_at_request(inspection, bytes);
    look = weir__client_hello_read(bytes, &hello);
    if (look != WEIR_LOOK_YES)
        return look;
    if (!answered && !weir__alpn_has(weir_slice_str(hello.alpn), WEIR_SLICE("postgresql")))
        return WEIR_LOOK_NO;
    return publish_hello(inspection, &hello);
}

const weir_inspector weir__inspect_postgres = {
    WEIR_SIZED(weir_inspector), .name = "postgres", .limit = CLIENT_HELLO_LIMIT,
    .doc = "A PostgreSQL client: with TLS, also asked for first, the name it asks for",
    .look = look_for_postgres};
