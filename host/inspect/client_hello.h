/* SPDX-License-Identifier: Apache-2.0 */
/* What a TLS client asks for, read from its first message without taking part in the handshake. */
#ifndef WEIR_HOST_INSPECT_CLIENT_HELLO_H
#define WEIR_HOST_INSPECT_CLIENT_HELLO_H

#include <weir/route.h>

/* Bytes that a hello may take, record headers included. Those of browsers have two thousand at most. */
#define CLIENT_HELLO_LIMIT ((size_t)16 * 1024)
/* A name has 253 characters at most. */
#define CLIENT_HELLO_NAME 256
#define CLIENT_HELLO_ALPN 256

struct client_hello {
    char sni[CLIENT_HELLO_NAME];  /* in lower case, without a dot at its end; "" when not sent */
    char alpn[CLIENT_HELLO_ALPN]; /* "h2,http/1.1", as offered; "" */
};

/* Reads a hello at the start of `bytes`, in however many records. MORE: as far as it goes it is one. NO:
 * it is none, or one that is wrong. With YES `ret` is filled. */
weir_look weir__client_hello_read(weir_slice bytes, struct client_hello *ret);
/* Whether the list of ALPN names has this one. */
bool weir__alpn_has(weir_slice list, weir_slice name);

#endif
