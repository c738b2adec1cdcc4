/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that look like the daemon's, for tests of the front end alone. */
#ifndef TESTS_CONFIG_TABLES_H
#define TESTS_CONFIG_TABLES_H

#include "host/config/config.h"

/* cmocka.h wants these before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* clang-format on */

struct test_level {
    const char *name;
    int level;
};

struct test_server {
    weir_option_address address;
    int weight;
};

struct test_health {
    int type;
    const char *path;
    weir_duration interval;
};

struct test_upstream {
    const char *name;
    weir_array servers;
    int balance;
    struct test_health *health_check;
    weir_duration connect_timeout;
    int64_t keepalive;
    const char *password;
};

struct test_certificate {
    const char *name;
    weir_pem certificate, key;
};

struct test_header {
    const char *name, *value;
};

struct test_headers {
    weir_array set;
};

struct test_proxy {
    const struct test_upstream *upstream;
    weir_duration idle_timeout;
};

struct test_static {
    const char *root;
};

struct test_route {
    const char *name;
    weir_array match, use;
    weir_choice action;
};

struct test_http {
    uint64_t max_body;

    struct {
        weir_duration header, body;
    } timeouts;
};

struct test_listener {
    const char *name;
    weir_array bind;
    const char *protocol;

    struct test_listener_tls {
        weir_array certificates;
    } * tls;

    weir_array use, routes;

    struct {
        weir_duration handshake;
    } timeouts;
    const struct test_http *http;
};

struct test_top {
    struct {
        int level, format;
        weir_array levels;
    } log;

    struct {
        bool enabled;
        weir_duration slow_callback;
        uint16_t backtrace_depth;
    } debug;

    struct {
        int64_t threads;
        uint64_t memory;
        double ratio;
        weir_rate rate;
    } runtime;

    struct {
        weir_array certificates;
    } tls;

    weir_array upstreams, listeners;
};

/* A parsed configuration, resolved; the caller unrefs it. `top` is NULL when nothing was read. */
weir_config_context *test_config_load(const struct config_settings *settings,
                                      struct test_top **ret_top);
/* From text; `sets` may be NULL. */
weir_config_context *test_config_text(const char *text, struct test_top **ret_top);
/* What weir__config_report() prints; freed by the caller. */
char *test_config_report(weir_config_context *c, enum config_format format);

#endif
