/* SPDX-License-Identifier: Apache-2.0 */
/* Connections whose first bytes are looked at before TLS takes them as its own. */
#include "config.h"

#include <errno.h>
#include <sys/socket.h>

#include "tests/unit/net/tls_test.h"

static struct {
    weir_tls_context *context;
    const void *config; /* of the protocol within TLS */
    size_t wants;       /* bytes, before it decides */
    weir_duration timeout;
    char looked[4096];
    size_t n;
    unsigned done, lost;
    weir_code failure, refused;
} at;

static void within(weir_transport *t, weir_error *take_error, void *arg)
{
    (void)arg;
    at.done++;
    at.failure = weir_error_code(take_error);
    if (take_error)
        weir_ignore(take_error);
    else
        weir_ignore(weir_transport_set_protocol(t, &recording, at.config, WEIR_SLICE(""), NULL));
}

static void waiting_lost(weir_transport *t, void *state, const weir_error *reason)
{
    (void)t;
    (void)state;
    (void)reason;
    at.lost++;
}

static const weir_protocol waiting = {WEIR_SIZED(weir_protocol), .name = "waiting",
                                      .connection_lost = waiting_lost};

static weir_error *look(weir_transport *t, void *state, weir_slice data)
{
    weir_error *error;

    (void)state;
    if (at.n + data.len > sizeof at.looked)
        return weir_raise(WEIR_ELIMIT, "too much for the test");
    memcpy(at.looked + at.n, data.data, data.len);
    at.n += data.len;
    if (at.n < at.wants)
        return NULL;
    WEIR_TRY(weir_transport_set_protocol(t, &waiting, NULL, weir_slice_of(at.looked, at.n), NULL));
    error = weir_transport_accept_tls(t, at.context, at.timeout, within, NULL);
    at.refused = weir_error_code(error);
    if (error)
        weir_transport_close(t);
    weir_ignore(error);
    return NULL;
}

static const weir_protocol looking = {WEIR_SIZED(weir_protocol), .name = "looking",
                                      .data_received = look};

static weir_error *begin(size_t wants, const void *config, weir_server **ret)
{
    memset(&at, 0, sizeof at);
    at.wants = wants;
    at.config = config;
    WEIR_TRY(server_context(&ec, &at.context));
    return weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &looking, NULL, ret);
}

static weir_error *end(weir_server *server)
{
    weir_tls_context_unref(at.context);
    return end_server(server);
}

/* The hello in two parts, of which the second comes when the first was looked at. */
static weir_error *hello_in_two(size_t first, size_t wants)
{
    struct record record = {0};
    weir_server *server;
    struct raw_tls raw;

    CHECK_OK(begin(wants, &record, &server));
    CHECK(raw_tls_begin(&raw, weir_server_name(server), 0));
    CHECK(!raw_tls_send(&raw, first));
    UNTIL(at.n == first);
    CHECK(at.done == 0);
    UNTIL(raw_tls_handshake(&raw));
    UNTIL(record.made);
    CHECK(at.done == 1 && at.failure == 0);
    CHECK(SSL_write(raw.ssl, "hello", 5) == 5);
    CHECK(raw_tls_send(&raw, 0));
    UNTIL(record.received == 5);
    SSL_shutdown(raw.ssl);
    CHECK(raw_tls_send(&raw, 0));
    UNTIL(record.lost);
    CHECK_EVENTS(&record, "made data(hello) eof lost ");
    raw_tls_end(&raw);
    return end(server);
}

static weir_error *bytes_looked_at_are_the_beginning_of_the_handshake(void *arg)
{
    static const size_t first[] = {1, 4, 5, 6, 100, 200};

    (void)arg;
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        WEIR_TRY(hello_in_two(first[i], 1)); /* the rest comes to TLS itself */
        WEIR_TRY(hello_in_two(first[i], first[i] + 1));
    }
    return NULL;
}
IN_LOOP(bytes_looked_at_are_the_beginning_of_the_handshake)

static weir_error *what_is_no_tls_fails_once_and_loses_the_connection(void *arg)
{
    weir_server *server;
    int fd;

    (void)arg;
    CHECK_OK(begin(1, NULL, &server));
    fd = raw_connect(weir_server_name(server));
    CHECK(send_all(fd, "GET / HTTP/1.1\r\n\r\n"));
    UNTIL(at.lost);
    CHECK(at.done == 1 && at.failure == WEIR_ETLS && at.lost == 1);
    close(fd);
    return end(server);
}
IN_LOOP(what_is_no_tls_fails_once_and_loses_the_connection)

static weir_error *T70_silence_after_the_first_bytes_has_its_deadline(void *arg)
{
    weir_server *server;
    int fd;

    (void)arg;
    CHECK_OK(begin(1, NULL, &server));
    at.timeout = WEIR_MS(30);
    fd = raw_connect(weir_server_name(server));
    CHECK(send_all(fd, "\x16\x03\x01"));
    UNTIL(at.lost);
    CHECK(at.done == 1 && at.failure == ETIMEDOUT);
    close(fd);
    return end(server);
}
IN_LOOP(T70_silence_after_the_first_bytes_has_its_deadline)

static weir_error *end_after_the_first_bytes_is_found_by_the_handshake(void *arg)
{
    weir_server *server;
    int fd;

    (void)arg;
    CHECK_OK(begin(3, NULL, &server));
    fd = raw_connect(weir_server_name(server));
    CHECK(send_all(fd, "\x16\x03\x01"));
    CHECK(shutdown(fd, SHUT_WR) == 0);
    UNTIL(at.lost);
    CHECK(at.done == 1 && at.failure == WEIR_ETLS);
    close(fd);
    return end(server);
}
IN_LOOP(end_after_the_first_bytes_is_found_by_the_handshake)

static weir_error *context_of_clients_accepts_nobody(void *arg)
{
    weir_server *server;
    weir_tls_context *mine;
    char byte;
    int fd;

    (void)arg;
    CHECK_OK(begin(1, NULL, &server));
    mine = at.context;
    CHECK_OK(client_context(ca.certificate, &at.context));
    fd = raw_connect(weir_server_name(server));
    CHECK(send_all(fd, "x"));
    UNTIL(receive_some(fd, &byte, 1) == 0);
    CHECK(at.refused == WEIR_EINVAL && at.done == 0);
    close(fd);
    weir_tls_context_unref(mine);
    return end(server);
}
IN_LOOP(context_of_clients_accepts_nobody)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(bytes_looked_at_are_the_beginning_of_the_handshake),
        IN_LOOP_TEST(what_is_no_tls_fails_once_and_loses_the_connection),
        IN_LOOP_TEST(T70_silence_after_the_first_bytes_has_its_deadline),
        IN_LOOP_TEST(end_after_the_first_bytes_is_found_by_the_handshake),
        IN_LOOP_TEST(context_of_clients_accepts_nobody),
    };

    return cmocka_run_group_tests_name("tls_upgrade", tests, tls_test_begin, tls_test_end);
}
