/* SPDX-License-Identifier: Apache-2.0 */
/* The units that are neither requests nor handshakes. */
#include "tests/bench/load.h"
#include "tests/bench/websocket.h"

enum { DATAGRAM = 64 };

static char buffer[1 << 20];

/* A datagram says whose and which it is. */

static void write_datagram(const struct client *client, char *data)
{
    memcpy(data, bench_pattern(client->number), DATAGRAM);
    memcpy(data, &client->number, sizeof client->number);
    memcpy(data + sizeof client->number, &client, sizeof client);
}

static enum progress datagrams_begin(struct client *client)
{
    char data[DATAGRAM];

    if (client->fd < 0)
        client_connect(client, SOCK_DGRAM);
    write_datagram(client, data);
    client->written = 0;
    return client_push(client, data, sizeof data) == DONE ? GOING : fail("a datagram was not sent");
}

static enum progress datagrams_ready(struct client *client)
{
    char data[DATAGRAM], got[DATAGRAM + 1];
    ssize_t n = client_pull(client, got, sizeof got);

    if (n == 0)
        return GOING;
    write_datagram(client, data);
    if (n != DATAGRAM || memcmp(got, data, DATAGRAM) != 0)
        return fail("a datagram came back different");
    return DONE;
}

const struct mode mode_datagrams = {"datagrams", datagrams_begin, datagrams_ready};

/* A connection that is read to its end. */

static enum progress stream_begin(struct client *client)
{
    client_connect(client, SOCK_STREAM);
    client->in.body = 0;
    return GOING;
}

static enum progress stream_ready(struct client *client)
{
    for (;;) {
        ssize_t n = client_pull(client, buffer, sizeof buffer);

        if (n == 0)
            return GOING;
        if (n < 0)
            break;
        if (!bench_is_pattern(client->in.body, buffer, (size_t)n))
            return fail("a stream has wrong bytes");
        client->in.body += (uint64_t)n;
        received += (uint64_t)n;
    }
    if (client->in.body != options.body)
        return fail("a stream has another length");
    client_close(client);
    return DONE;
}

const struct mode mode_stream = {"stream", stream_begin, stream_ready};

/* Frames of WebSocket; the first unit of a client is the switch of protocols. */

static const char upgrade[] = "GET /websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: " WS_KEY "\r\n\r\n";

static enum progress websocket_send(struct client *client)
{
    unsigned char frame[WS_MASKED], mask[4];

    memcpy(mask, &client->number, sizeof mask);
    ws_mask(bench_pattern(client->number), mask, frame);
    return client_push(client, frame, sizeof frame);
}

static enum progress websocket_begin(struct client *client)
{
    client->written = 0;
    client->in.head_size = 0;
    if (client->fd < 0) {
        client_connect(client, SOCK_STREAM);
        return GOING;
    }
    return websocket_send(client) == FAILED ? FAILED : GOING;
}

static enum progress websocket_switch(struct client *client)
{
    struct response *in = &client->in;

    if (in->head_size < 4 || memcmp(in->head + in->head_size - 4, "\r\n\r\n", 4) != 0)
        return GOING;
    if (memcmp(in->head, "HTTP/1.1 101", 12) != 0 ||
        !memmem(in->head, in->head_size, WS_ACCEPT, strlen(WS_ACCEPT)))
        return fail("the protocol was not switched");
    client->switched = true;
    return DONE;
}

static enum progress websocket_ready(struct client *client)
{
    struct response *in = &client->in;
    size_t to_write = client->switched ? WS_MASKED : sizeof upgrade - 1;
    ssize_t n;

    if (client->written < to_write) {
        enum progress progress = client->switched
                                     ? websocket_send(client)
                                     : client_push(client, upgrade, sizeof upgrade - 1);

        if (progress != DONE)
            return progress;
    }
    n = client_pull(client, in->head + in->head_size, sizeof in->head - in->head_size);
    if (n <= 0)
        return n == 0 ? GOING : fail("a connection ended inside a frame");
    in->head_size += (size_t)n;
    if (!client->switched)
        return websocket_switch(client);
    if (in->head_size < WS_PLAIN)
        return GOING;
    if (in->head_size != WS_PLAIN || memcmp(in->head, "\x81\x40", 2) != 0 ||
        !bench_is_pattern(client->number, in->head + 2, WS_DATA))
        return fail("a frame came back different");
    return DONE;
}

const struct mode mode_websocket = {"websocket", websocket_begin, websocket_ready};
