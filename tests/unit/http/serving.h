/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of the loop under test whose requests go to the action that their path names, with the
 * record of what it told its owner. Responses carry no Date and no Server, so that they can be
 * written down.
 */
#ifndef WEIR_TESTS_HTTP_SERVING_H
#define WEIR_TESTS_HTTP_SERVING_H

#include "tests/unit/http/wire.h"

#define CLOSE_TEXT "Connection: close\r\n"

struct serving {
    weir_server *server;
    weir_http_server_options options;
    weir_transport *last; /* the newest connection; borrowed */
    unsigned begun, ended, closed;
    weir_http_summary summary; /* of the last that ended; `reason` NULL */
    weir_code reason;
    char target[256]; /* of the last that ended */
};

/* "/NAME": its action; others are answered 404. */
struct serving_action {
    const char *path;
    const weir_http_action *action;
};

extern struct serving serving;
/* NULL-ended, by the test. */
extern const struct serving_action serving_actions[];

int serving_setup(void **state);
int serving_teardown(void **state);
/* Until so many exchanges have ended. */
void until_ended(unsigned count);
/* As wire_until_end() and friends on what a fresh client gets for `request`, without the Date fields. The
   result is the wire's data. */
struct wire *ask(const char *request);
void strip_dates(struct wire *wire);

#endif
