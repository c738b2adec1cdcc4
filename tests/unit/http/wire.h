/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of connections: a real loop, sockets over loopback, and the other end of each written
 * out in bytes by the test itself, on the main stack. Nothing waits for time: turn() runs the loop
 * until nothing more happens, the *_until_* calls until what they name has happened (or 10 s).
 */
#ifndef WEIR_TESTS_HTTP_WIRE_H
#define WEIR_TESTS_HTTP_WIRE_H

/* cmocka.h needs the others before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/http-connection.h>
#include <weir/server.h>

/* What a raw peer has received. */
struct wire {
    int fd;
    char *data; /* NUL-ended */
    size_t len, capacity;
    bool ended; /* orderly */
    bool reset;
};

/* The loop of the test; made by setup, closed and checked by teardown. */
extern weir_loop *wire_loop;
int wire_setup(void **state);
int wire_teardown(void **state);

void assert_done(weir_error *error);

/* Lets the loop run: what is ready now, and what that brings. */
void turn(void);
/* Until `condition(arg)`; fails the test after 10 s. */
void turn_until(bool (*condition)(void *arg), void *arg);
/* For at least that long; for what must not happen, and for timeouts under test. */
void turn_for(int milliseconds);

/* Connects to a server of the loop. */
struct wire *wire_connect(weir_server *server);
/* A listening socket of the test on 127.0.0.1, and its address. */
int wire_listen(char address[64]);
/* Takes a connection that the loop has made to it. */
struct wire *wire_accept(int listening);
void wire_free(struct wire *wire);

/* All of it, with turns as needed. */
void wire_send(struct wire *wire, const void *data, size_t len);
void wire_say(struct wire *wire, const char *text);
/* Takes what has come; true: something did. */
bool wire_take(struct wire *wire);
/* Until `text` has come, anywhere. */
void wire_until(struct wire *wire, const char *text);
void wire_until_bytes(struct wire *wire, size_t len);
/* Until the peer has ended, in order or not. */
void wire_until_end(struct wire *wire);
/* Forgets what was received. */
void wire_clear(struct wire *wire);
size_t count_of(const char *text, const char *what);

#endif
