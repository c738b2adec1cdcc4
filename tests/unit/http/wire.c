/* SPDX-License-Identifier: Apache-2.0 */
/* The other end of connections under test. */
#include "config.h"

#include "tests/unit/http/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_NS (INT64_C(10) * 1000000000)

weir_loop *wire_loop;

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void assert_done(weir_error *error)
{
    char text[256];

    if (!error)
        return;
    weir_error_message(error, text, sizeof text);
    weir_error_unref(error);
    fail_msg("failed: %s", text);
}

int wire_setup(void **state)
{
    (void)state;
    weir_ignore(weir_loop_new(NULL, &wire_loop));
    return wire_loop ? 0 : -1;
}

int wire_teardown(void **state)
{
    weir_error *error;
    char text[256];

    (void)state;
    for (int i = 0; i < 50; i++)
        turn();
    error = weir_loop_close(wire_loop);
    if (error) {
        weir_error_message(error, text, sizeof text);
        print_error("the loop does not close: %s\n", text);
        weir_error_unref(error);
        weir_loop_close_force(wire_loop, WEIR_S(1));
    }
    weir_loop_unref(wire_loop);
    wire_loop = NULL;
    return error ? -1 : 0;
}

static weir_error *stop(void *arg)
{
    weir_loop_stop(arg);
    return NULL;
}

void turn(void)
{
    for (int i = 0; i < 3; i++) {
        assert_done(weir_loop_call_soon(wire_loop, stop, wire_loop, NULL, NULL));
        assert_done(weir_loop_run_forever(wire_loop));
    }
}

/* Gives the kernel, timers and other threads a moment. */
static void breathe(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    (void)poll(&poll_fd, 1, 1);
}

void turn_until(bool (*condition)(void *arg), void *arg)
{
    int64_t deadline = now_ns() + PATIENCE_NS;

    for (turn(); !condition(arg); turn()) {
        if (now_ns() > deadline)
            fail_msg("it does not happen");
        breathe(-1);
    }
}

void turn_for(int milliseconds)
{
    int64_t deadline = now_ns() + milliseconds * INT64_C(1000000);

    do {
        turn();
        breathe(-1);
    } while (now_ns() < deadline);
}

static struct wire *wire_new(int fd)
{
    struct wire *wire = calloc(1, sizeof *wire);
    int on = 1;

    assert_non_null(wire);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    wire->fd = fd;
    wire->capacity = 1024;
    wire->data = calloc(1, wire->capacity);
    assert_non_null(wire->data);
    return wire;
}

struct wire *wire_connect(weir_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_port =
        htons((uint16_t)strtoul(strrchr(weir_server_name(server), ':') + 1, NULL, 10));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return wire_new(fd);
}

int wire_listen(char address[64])
{
    weir_server_options options = {.size = sizeof options};
    int fd;

    assert_done(weir_listen_socket("127.0.0.1:0", &options, &fd));
    assert_done(weir_socket_name(fd, address, 64));
    return fd;
}

static bool has_come(void *arg)
{
    struct pollfd poll_fd = {.fd = *(int *)arg, .events = POLLIN};

    return poll(&poll_fd, 1, 0) == 1;
}

struct wire *wire_accept(int listening)
{
    turn_until(has_come, &listening);
    return wire_new(accept(listening, NULL, NULL));
}

void wire_free(struct wire *wire)
{
    close(wire->fd);
    free(wire->data);
    free(wire);
}

void wire_send(struct wire *wire, const void *data, size_t len)
{
    int64_t deadline = now_ns() + PATIENCE_NS;
    const char *at = data;

    while (len) {
        ssize_t n = send(wire->fd, at, len, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            return; /* the peer has closed: what it said before is what counts */
        if (n < 0) {
            turn();
            wire_take(wire);
            if (now_ns() > deadline)
                fail_msg("the peer does not read");
            continue;
        }
        at += n;
        len -= (size_t)n;
    }
}

void wire_say(struct wire *wire, const char *text)
{
    wire_send(wire, text, strlen(text));
}

bool wire_take(struct wire *wire)
{
    ssize_t n;

    if (wire->ended || wire->reset)
        return false;
    if (wire->capacity - wire->len < 65536 + 1) {
        wire->capacity = wire->capacity * 2 + 65536;
        wire->data = realloc(wire->data, wire->capacity);
        assert_non_null(wire->data);
    }
    n = recv(wire->fd, wire->data + wire->len, 65536, 0);
    if (n > 0)
        wire->len += (size_t)n;
    wire->data[wire->len] = '\0';
    wire->ended = n == 0;
    wire->reset = n < 0 && errno != EAGAIN;
    return n > 0;
}

/* Turns until what was received satisfies, or it cannot any more. */
static void take_until(struct wire *wire, bool (*enough)(const struct wire *, const void *),
                       const void *arg)
{
    int64_t deadline = now_ns() + PATIENCE_NS;

    while (!enough(wire, arg)) {
        turn();
        if (wire_take(wire))
            continue;
        if (enough(wire, arg))
            return;
        if (wire->ended || wire->reset || now_ns() > deadline)
            fail_msg("%s after %zu bytes: %s",
                     wire->ended ? "end" : (wire->reset ? "reset" : "nothing more"), wire->len,
                     wire->len < 4000 ? wire->data : "");
        breathe(wire->fd);
    }
}

static bool has_text(const struct wire *wire, const void *arg)
{
    const char *text = arg;

    return memmem(wire->data, wire->len, text, strlen(text)) != NULL;
}

void wire_until(struct wire *wire, const char *text)
{
    take_until(wire, has_text, text);
}

static bool has_bytes(const struct wire *wire, const void *arg)
{
    return wire->len >= *(const size_t *)arg;
}

void wire_until_bytes(struct wire *wire, size_t len)
{
    take_until(wire, has_bytes, &len);
}

static bool has_ended(const struct wire *wire, const void *arg)
{
    (void)arg;
    return wire->ended || wire->reset;
}

void wire_until_end(struct wire *wire)
{
    take_until(wire, has_ended, NULL);
}

void wire_clear(struct wire *wire)
{
    wire->len = 0;
    wire->data[0] = '\0';
}

size_t count_of(const char *text, const char *what)
{
    size_t count = 0;

    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        count++;
    return count;
}
