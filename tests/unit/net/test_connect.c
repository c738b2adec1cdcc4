/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting: how it fails, which address wins, and who owns the outcome. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <weir/scope.h>

#include "core/net/resolver.h"
#include "tests/unit/net/net_test.h"

static weir_loop *loop(void)
{
    return weir_loop_current();
}

static weir_error *connect_message(const char *target, const weir_connect_options *options,
                                   weir_code code, const char *wanted)
{
    char text[512];
    weir_stream *s;
    weir_error *error = weir_connect(target, options, &s);

    CHECK(error);
    CHECK(weir_error_is(error, code));
    weir_error_message(error, text, sizeof(text));
    weir_error_unref(error);
    if (strcmp(text, wanted) != 0)
        return check_failed(WEIR_HERE, text);
    return NULL;
}

static weir_error *refused_connection_names_target_and_cause(void *arg)
{
    char name[64], wanted[160];
    int holder = refusing_port(name, sizeof(name));

    (void)arg;
    snprintf(wanted, sizeof(wanted), "connect to %s: connection refused", name);
    CHECK_OK(connect_message(name, NULL, ECONNREFUSED, wanted));
    close(holder);
    CHECK_OK(connect_message("unix:/nowhere/at/all", NULL, ENOENT,
                             "connect to unix:/nowhere/at/all: no such file or directory"));
    CHECK_OK(connect_message("localhost", NULL, WEIR_EINVAL,
                             "connect to localhost: \"localhost\": expected HOST:PORT, got no "
                             "port"));
    return NULL;
}
IN_LOOP(refused_connection_names_target_and_cause)

struct outcome {
    weir_transport *transport;
    weir_error *error;
    int calls;
};

static void take_outcome(weir_transport *transport, weir_error *take_error, void *arg)
{
    struct outcome *outcome = arg;

    outcome->calls++;
    outcome->transport = transport;
    outcome->error = take_error;
}

static weir_error *done_comes_once_never_inside_with_reading_paused(void *arg)
{
    struct record there = {0}, here = {0};
    struct outcome outcome = {0};
    weir_server *server;

    (void)arg;
    CHECK_OK(weir_serve(loop(), "127.0.0.1:0", NULL, &recording, &there, &server));
    CHECK_OK(weir_connect_start(loop(), weir_server_name(server), NULL, &recording, &here,
                                take_outcome, &outcome, NULL));
    CHECK(outcome.calls == 0);
    UNTIL(outcome.calls);
    CHECK(outcome.transport && !outcome.error);
    CHECK(here.made);
    CHECK(!weir_transport_is_reading(outcome.transport));
    UNTIL(there.made);
    CHECK_OK(weir_transport_write(there.transport, WEIR_SLICE("hi")));
    SETTLE();
    CHECK(here.received == 0);
    weir_transport_resume_reading(outcome.transport);
    UNTIL(here.received == 2);
    CHECK(outcome.calls == 1);
    weir_transport_close(outcome.transport);
    UNTIL(here.lost);
    CHECK_OK(end_server(server));
    return NULL;
}
IN_LOOP(done_comes_once_never_inside_with_reading_paused)

static weir_error *failure_to_done_owns_the_error(void *arg)
{
    struct record here = {0};
    struct outcome outcome = {0};
    char name[64];
    int holder = refusing_port(name, sizeof(name));

    (void)arg;
    CHECK_OK(
        weir_connect_start(loop(), name, NULL, &recording, &here, take_outcome, &outcome, NULL));
    UNTIL(outcome.calls);
    CHECK(!outcome.transport);
    CHECK_CODE(outcome.error, ECONNREFUSED);
    CHECK_EVENTS(&here, "");
    close(holder);
    return NULL;
}
IN_LOOP(failure_to_done_owns_the_error)

static weir_error *T64_cancelled_attempt_calls_nobody(void *arg)
{
    struct record there = {0}, here = {0};
    struct outcome outcome = {0};
    weir_connecting *connecting;
    weir_server *server;

    (void)arg;
    CHECK_OK(weir_serve(loop(), "127.0.0.1:0", NULL, &recording, &there, &server));
    CHECK_OK(weir_connect_start(loop(), weir_server_name(server), NULL, &recording, &here,
                                take_outcome, &outcome, &connecting));
    weir_connecting_cancel(connecting);
    CHECK_OK(weir_connect_start(loop(), weir_server_name(server), NULL, &recording, &here,
                                take_outcome, &outcome, &connecting));
    CHECK_OK(weir_sleep(WEIR_NS(0)));
    weir_connecting_cancel(connecting);
    SETTLE();
    CHECK(outcome.calls == 0);
    CHECK_OK(end_server(server));
    return NULL;
}
IN_LOOP(T64_cancelled_attempt_calls_nobody)

static weir_error *connection_made_that_fails_fails_the_connect(void *arg)
{
    struct record there = {0}, here = {.made_fails = EPERM};
    struct outcome outcome = {0};
    weir_server *server;

    (void)arg;
    CHECK_OK(weir_serve(loop(), "127.0.0.1:0", NULL, &recording, &there, &server));
    CHECK_OK(weir_connect_start(loop(), weir_server_name(server), NULL, &recording, &here,
                                take_outcome, &outcome, NULL));
    UNTIL(outcome.calls);
    CHECK(!outcome.transport);
    CHECK_CODE(outcome.error, EPERM);
    UNTIL(here.lost);
    CHECK_EVENTS(&here, "made lost(EPERM) ");
    CHECK_OK(end_server(server));
    return NULL;
}
IN_LOOP(connection_made_that_fails_fails_the_connect)

/* A listener whose queue is full answers nothing to further SYNs. */
static int silent_listener(char *name, size_t size, int *fill, int count)
{
    int fd = refusing_port(name, size);

    if (fd < 0 || listen(fd, 0) != 0)
        return -1;
    for (int i = 0; i < count; i++) {
        struct address address;
        struct host_port parsed;

        weir_ignore(weir__host_port_parse(name, &parsed));
        (void)weir__address_literal(parsed.host, parsed.port, &address);
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fill[i], &address.any, address.length);
    }
    return fd;
}

static weir_error *timeout_covers_the_whole_and_names_the_target(void *arg)
{
    weir_connect_options options = {WEIR_SIZED(weir_connect_options), .timeout = WEIR_MS(50)};
    char name[64], wanted[160];
    int fill[4];
    int silent = silent_listener(name, sizeof(name), fill, 4);

    (void)arg;
    snprintf(wanted, sizeof(wanted), "connect to %s: timed out after 50 ms", name);
    CHECK_OK(connect_message(name, &options, ETIMEDOUT, wanted));
    for (int i = 0; i < 4; i++)
        close(fill[i]);
    close(silent);
    return NULL;
}
IN_LOOP(timeout_covers_the_whole_and_names_the_target)

static weir_error *T40_T64_interrupted_connect_leaves_nothing_behind(void *arg)
{
    char name[64];
    weir_stream *s;
    int fill[4];
    int silent = silent_listener(name, sizeof(name), fill, 4);

    (void)arg;
    {
        WEIR_TIMEOUT(soon, WEIR_MS(5));
        CHECK_CODE(weir_connect(name, NULL, &s), WEIR_ETIMEDOUT);
    }
    for (int i = 0; i < 4; i++)
        close(fill[i]);
    close(silent);
    return NULL;
}
IN_LOOP(T40_T64_interrupted_connect_leaves_nothing_behind)

/* Several addresses, by a hosts file of ours. */

static char hosts_path[] = "/tmp/weir-hosts-XXXXXX";

static bool write_hosts(const char *text)
{
    int fd;

    snprintf(hosts_path, sizeof(hosts_path), "/tmp/weir-hosts-XXXXXX");
    fd = mkstemp(hosts_path);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        return false;
    close(fd);
    weir__hosts_path = hosts_path;
    weir__resolv_path = "/dev/null";
    return true;
}

static weir_error *T64_next_address_is_tried_at_once_when_one_refuses(void *arg)
{
    struct record record = {0};
    weir_server *server;
    weir_stream *s;
    weir_instant start;
    char target[64];

    (void)arg;
    CHECK(write_hosts("127.0.0.9 two.test\n127.0.0.1 two.test # the second\n"));
    CHECK_OK(weir_serve(loop(), "127.0.0.1:0", NULL, &recording, &record, &server));
    snprintf(target, sizeof(target), "two.test%s", strchr(weir_server_name(server), ':'));
    start = weir_now();
    CHECK_OK(weir_connect(target, NULL, &s));
    CHECK(weir_now().ns - start.ns < 200 * 1000000);
    CHECK(strcmp(weir_transport_peer_name(weir_stream_transport(s)), weir_server_name(server)) ==
          0);
    CHECK_OK(weir_stream_close(s));
    CHECK_OK(end_server(server));
    unlink(hosts_path);
    return NULL;
}
IN_LOOP(T64_next_address_is_tried_at_once_when_one_refuses)

static weir_error *T64_silent_address_gets_a_quarter_of_a_second(void *arg)
{
    struct record record = {0};
    weir_server *server;
    weir_stream *s;
    weir_instant start;
    char name[64], address[64];
    int fill[4], silent = silent_listener(name, sizeof(name), fill, 4);
    int64_t took;

    (void)arg;
    CHECK(write_hosts("127.0.0.1 two.test\n127.0.0.3 two.test\n"));
    snprintf(address, sizeof(address), "127.0.0.3%s", strchr(name, ':'));
    CHECK_OK(weir_serve(loop(), address, NULL, &recording, &record, &server));
    snprintf(address, sizeof(address), "two.test%s", strchr(name, ':'));
    start = weir_now();
    CHECK_OK(weir_connect(address, NULL, &s));
    took = weir_now().ns - start.ns;
    CHECK(took >= 250 * 1000000 && took < 2000 * 1000000LL);
    CHECK_OK(weir_stream_close(s));
    CHECK_OK(end_server(server));
    for (int i = 0; i < 4; i++)
        close(fill[i]);
    close(silent);
    unlink(hosts_path);
    return NULL;
}
IN_LOOP(T64_silent_address_gets_a_quarter_of_a_second)

static weir_error *T64_all_refused_names_the_first_and_attaches_the_others(void *arg)
{
    char name[64], target[64], wanted[200], text[1024];
    int holder = refusing_port(name, sizeof(name));
    weir_error *error;
    weir_stream *s;

    (void)arg;
    CHECK(write_hosts("127.0.0.9 two.test\n127.0.0.1 two.test\n"));
    snprintf(target, sizeof(target), "two.test%s", strchr(name, ':'));
    error = weir_connect(target, NULL, &s);
    CHECK(weir_error_is(error, ECONNREFUSED));
    weir_error_message(error, text, sizeof(text));
    snprintf(wanted, sizeof(wanted), "connect to %s (127.0.0.9%s): connection refused", target,
             strchr(name, ':'));
    CHECK(strncmp(text, wanted, strlen(wanted)) == 0);
    weir_error_print(error, text, sizeof(text));
    CHECK(strstr(text, "(127.0.0.1"));
    weir_error_unref(error);
    close(holder);
    unlink(hosts_path);
    return NULL;
}
IN_LOOP(T64_all_refused_names_the_first_and_attaches_the_others)

static weir_error *local_address_is_bound(void *arg)
{
    weir_connect_options options = {WEIR_SIZED(weir_connect_options),
                                    .local_address = "127.0.0.77"};
    struct record record = {0};
    weir_server *server;
    weir_stream *s;

    (void)arg;
    CHECK_OK(weir_serve(loop(), "127.0.0.1:0", NULL, &recording, &record, &server));
    CHECK_OK(weir_connect(weir_server_name(server), &options, &s));
    UNTIL(record.made);
    CHECK(weir_slice_equal(weir_transport_peer_ip(record.transport), WEIR_SLICE("127.0.0.77")));
    CHECK_OK(weir_stream_close(s));
    CHECK_OK(end_server(server));
    return NULL;
}
IN_LOOP(local_address_is_bound)

static weir_error *unix_sockets_connect(void *arg)
{
    struct record record = {0};
    char directory[] = "/tmp/weir-net-XXXXXX", address[80];
    weir_server *server;
    weir_stream *s;

    (void)arg;
    CHECK(mkdtemp(directory));
    snprintf(address, sizeof(address), "unix:%s/s", directory);
    CHECK_OK(weir_serve(loop(), address, NULL, &recording, &record, &server));
    CHECK_OK(weir_connect(address, NULL, &s));
    CHECK_OK(weir_stream_write(s, "hello", 5));
    UNTIL(record.received == 5);
    CHECK(strcmp(weir_transport_peer_name(weir_stream_transport(s)), address) == 0);
    CHECK_OK(weir_stream_close(s));
    CHECK_OK(end_server(server));
    rmdir(directory);
    return NULL;
}
IN_LOOP(unix_sockets_connect)

static void closing_a_loop_by_force_tells_who_still_connects(void **state)
{
    struct record here = {0};
    struct outcome outcome = {0};
    char name[64];
    weir_loop *mine;
    int fill[4], silent;

    (void)state;
    silent = silent_listener(name, sizeof(name), fill, 4);
    assert_ok(weir_loop_new(NULL, &mine));
    assert_ok(
        weir_connect_start(mine, name, NULL, &recording, &here, take_outcome, &outcome, NULL));
    weir_loop_close_force(mine, WEIR_S(1));
    assert_int_equal(outcome.calls, 1);
    assert_code(outcome.error, WEIR_ECANCELED);
    weir_loop_unref(mine);
    for (int i = 0; i < 4; i++)
        close(fill[i]);
    close(silent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(refused_connection_names_target_and_cause),
        IN_LOOP_TEST(done_comes_once_never_inside_with_reading_paused),
        IN_LOOP_TEST(failure_to_done_owns_the_error),
        IN_LOOP_TEST(T64_cancelled_attempt_calls_nobody),
        IN_LOOP_TEST(connection_made_that_fails_fails_the_connect),
        IN_LOOP_TEST(timeout_covers_the_whole_and_names_the_target),
        IN_LOOP_TEST(T40_T64_interrupted_connect_leaves_nothing_behind),
        IN_LOOP_TEST(T64_next_address_is_tried_at_once_when_one_refuses),
        IN_LOOP_TEST(T64_silent_address_gets_a_quarter_of_a_second),
        IN_LOOP_TEST(T64_all_refused_names_the_first_and_attaches_the_others),
        IN_LOOP_TEST(local_address_is_bound),
        IN_LOOP_TEST(unix_sockets_connect),
        ON_MAIN_TEST(closing_a_loop_by_force_tells_who_still_connects),
    };

    return cmocka_run_group_tests_name("connect", tests, NULL, NULL);
}
