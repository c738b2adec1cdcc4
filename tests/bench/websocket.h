/* SPDX-License-Identifier: Apache-2.0 */
/* The WebSocket frames of the bench: one text frame of WS_DATA bytes each way, as RFC 6455 has them. */
#ifndef WEIR_TESTS_BENCH_WEBSOCKET_H
#define WEIR_TESTS_BENCH_WEBSOCKET_H

#include <stdbool.h>
#include <string.h>

enum { WS_DATA = 64, WS_PLAIN = 2 + WS_DATA, WS_MASKED = 6 + WS_DATA };

/* The pair of the RFC's example (1.3), so that nobody needs SHA-1. */
#define WS_KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/* From a client: masked. */
static inline void ws_mask(const char *data, const unsigned char mask[4], unsigned char *frame)
{
    frame[0] = 0x81;
    frame[1] = 0x80 | WS_DATA;
    memcpy(frame + 2, mask, 4);
    for (int i = 0; i < WS_DATA; i++)
        frame[6 + i] = (unsigned char)data[i] ^ mask[i % 4];
}

/* The answer to a client's frame: the same text. False: it is not such a frame. */
static inline bool ws_unmask(const unsigned char *frame, unsigned char *plain)
{
    if (frame[0] != 0x81 || frame[1] != (0x80 | WS_DATA))
        return false;
    plain[0] = 0x81;
    plain[1] = WS_DATA;
    for (int i = 0; i < WS_DATA; i++)
        plain[2 + i] = frame[6 + i] ^ frame[2 + i % 4];
    return true;
}

#endif
