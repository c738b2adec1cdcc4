/* SPDX-License-Identifier: Apache-2.0 */
/* What sockets are told: options of both sides, sockets handed in, files and names of Unix sockets. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tests/unit/net/net_test.h"

static weir_loop *loop(void)
{
    return weir_loop_current();
}

static int option_of(int fd, int level, int option)
{
    socklen_t length = sizeof(int);
    int value = -1;

    return getsockopt(fd, level, option, &value, &length) == 0 ? value : -1;
}

static bool has_options(int fd)
{
    return option_of(fd, SOL_SOCKET, SO_KEEPALIVE) == 1 &&
           option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE) == 60 &&
           option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL) == 2 &&
           option_of(fd, IPPROTO_TCP, TCP_KEEPCNT) == 3 &&
           option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT) == 1500 &&
           option_of(fd, SOL_SOCKET, SO_RCVBUF) == 60000 &&
           option_of(fd, SOL_SOCKET, SO_SNDBUF) == 70000;
}

static const weir_socket_options settings = {
    WEIR_SIZED(weir_socket_options),
    .nagle = true,
    .keep_alive = true,
    .keep_alive_idle = WEIR_S(60),
    .keep_alive_interval = WEIR_MS(1500), /* rounded up */
    .keep_alive_count = 3,
    .user_timeout = WEIR_MS(1500),
    .receive_buffer = 30000, /* the kernel doubles it */
    .send_buffer = 35000,
};

static weir_error *socket_options_reach_both_sides(void *arg)
{
    const weir_server_options server_options = {WEIR_SIZED(weir_server_options),
                                                .socket = &settings, .defer_accept = WEIR_S(1)};
    const weir_connect_options options = {WEIR_SIZED(weir_connect_options), .socket = &settings};
    struct record record = {0};
    weir_server *server;
    weir_stream *stream;

    (void)arg;
    CHECK_OK(weir_serve(loop(), "127.0.0.1:0", &server_options, &recording, &record, &server));
    CHECK(option_of(weir_server_fd(server), IPPROTO_TCP, TCP_DEFER_ACCEPT) >= 1);
    CHECK_OK(weir_connect(weir_server_name(server), &options, &stream));
    CHECK_OK(weir_stream_write(stream, "x", 1));
    UNTIL(record.received == 1);
    CHECK(has_options(weir_stream_transport(stream)->file.fd));
    CHECK(has_options(record.transport->file.fd));
    CHECK(option_of(record.transport->file.fd, IPPROTO_TCP, TCP_NODELAY) == 0);
    CHECK(option_of(weir_stream_transport(stream)->file.fd, IPPROTO_TCP, TCP_NODELAY) == 0);
    CHECK_OK(weir_stream_close(stream));
    CHECK_OK(end_server(server));
    return NULL;
}
IN_LOOP(socket_options_reach_both_sides)

static weir_error *no_delay_is_on_unless_told_otherwise(void *arg)
{
    struct record record = {0};
    weir_server *server;
    weir_stream *stream;

    (void)arg;
    CHECK_OK(weir_serve(loop(), "127.0.0.1:0", NULL, &recording, &record, &server));
    CHECK_OK(weir_connect(weir_server_name(server), NULL, &stream));
    UNTIL(record.made);
    CHECK(option_of(record.transport->file.fd, IPPROTO_TCP, TCP_NODELAY) == 1);
    CHECK(option_of(weir_stream_transport(stream)->file.fd, IPPROTO_TCP, TCP_NODELAY) == 1);
    CHECK_OK(weir_stream_close(stream));
    CHECK_OK(end_server(server));
    return NULL;
}
IN_LOOP(no_delay_is_on_unless_told_otherwise)

static weir_error *an_option_that_the_kernel_refuses_is_named(void *arg)
{
    const weir_socket_options wrong = {WEIR_SIZED(weir_socket_options), .keep_alive_count = 100000};
    const weir_server_options options = {WEIR_SIZED(weir_server_options), .socket = &wrong};
    weir_error *error;
    char text[256];
    int fd;

    (void)arg;
    error = weir_listen_socket("127.0.0.1:0", &options, &fd);
    CHECK(error != NULL);
    weir_error_message(error, text, sizeof(text));
    CHECK(strstr(text, "keep_alive_count") != NULL);
    CHECK_CODE(error, EINVAL);
    return NULL;
}
IN_LOOP(an_option_that_the_kernel_refuses_is_named)

static weir_error *a_star_of_v6_only_leaves_ipv4_to_others(void *arg)
{
    const weir_server_options options = {WEIR_SIZED(weir_server_options), .v6_only = true};
    char name[32], four_name[48];
    int six, four;

    (void)arg;
    CHECK_OK(weir_listen_socket("*:0", &options, &six));
    CHECK_OK(weir_socket_name(six, name, sizeof(name)));
    CHECK(strncmp(name, "[::]:", 5) == 0);
    snprintf(four_name, sizeof(four_name), "0.0.0.0:%s", name + 5);
    CHECK_OK(weir_listen_socket(four_name, NULL, &four));
    close(six);
    close(four);
    return NULL;
}
IN_LOOP(a_star_of_v6_only_leaves_ipv4_to_others)

static weir_error *several_sockets_share_an_address_with_reuse_port(void *arg)
{
    const weir_server_options options = {WEIR_SIZED(weir_server_options), .reuse_port = true};
    char name[64];
    int a, b, c;

    (void)arg;
    CHECK_OK(weir_listen_socket("127.0.0.1:0", &options, &a));
    CHECK_OK(weir_socket_name(a, name, sizeof(name)));
    CHECK_OK(weir_listen_socket(name, &options, &b));
    CHECK_CODE(weir_listen_socket(name, NULL, &c), EADDRINUSE);
    close(a);
    close(b);
    return NULL;
}
IN_LOOP(several_sockets_share_an_address_with_reuse_port)

static weir_error *talk(const char *target, struct record *record)
{
    weir_stream *stream;

    CHECK_OK(weir_connect(target, NULL, &stream));
    CHECK_OK(weir_stream_write(stream, "hi", 2));
    UNTIL(record->received == 2);
    CHECK_OK(weir_stream_close(stream));
    record->received = 0;
    return NULL;
}

static weir_error *T66_abstract_names_leave_no_file(void *arg)
{
    struct record record = {0};
    weir_server *server, *second;
    char name[64];

    (void)arg;
    snprintf(name, sizeof(name), "unix:@weir-test-%d", (int)getpid());
    CHECK_OK(weir_serve(loop(), name, NULL, &recording, &record, &server));
    CHECK(strcmp(weir_server_name(server), name) == 0);
    CHECK_OK(talk(name, &record));
    CHECK_CODE(weir_serve(loop(), name, NULL, &recording, &record, &second), EADDRINUSE);
    CHECK_OK(end_server(server));
    return NULL;
}
IN_LOOP(T66_abstract_names_leave_no_file)

static weir_error *T66_what_is_no_socket_is_not_replaced_nor_removed(void *arg)
{
    char folder[] = "/tmp/weir-endpoints-XXXXXX", name[64], moved[64];
    struct record record = {0};
    weir_server *server;
    struct stat status;
    int fd;

    (void)arg;
    CHECK(mkdtemp(folder) != NULL);
    snprintf(name, sizeof(name), "unix:%s/s", folder);
    fd = open(name + 5, O_CREAT | O_WRONLY, 0600);
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK_CODE(weir_serve(loop(), name, NULL, &recording, &record, &server), EADDRINUSE);
    CHECK(lstat(name + 5, &status) == 0 && S_ISREG(status.st_mode));
    CHECK(unlink(name + 5) == 0);
    /* Another file has the name when it closes: it is not ours to remove. */
    CHECK_OK(weir_serve(loop(), name, NULL, &recording, &record, &server));
    snprintf(moved, sizeof(moved), "%s/old", folder);
    CHECK(rename(name + 5, moved) == 0);
    fd = open(name + 5, O_CREAT | O_WRONLY, 0600);
    CHECK(fd >= 0 && close(fd) == 0);
    CHECK_OK(end_server(server));
    CHECK(lstat(name + 5, &status) == 0 && S_ISREG(status.st_mode));
    CHECK(unlink(name + 5) == 0 && unlink(moved) == 0 && rmdir(folder) == 0);
    return NULL;
}
IN_LOOP(T66_what_is_no_socket_is_not_replaced_nor_removed)

static weir_error *T69_a_listening_descriptor_handed_in_stays_the_callers(void *arg)
{
    struct record record = {0};
    weir_server *server;
    char name[64], text[32];
    int fd, other[2];

    (void)arg;
    CHECK_OK(weir_listen_socket("127.0.0.1:0", NULL, &fd));
    CHECK_OK(weir_socket_name(fd, name, sizeof(name)));
    snprintf(text, sizeof(text), "fd:%d", fd);
    CHECK_OK(weir_serve(loop(), text, NULL, &recording, &record, &server));
    CHECK(strcmp(weir_server_name(server), name) == 0);
    CHECK_OK(talk(name, &record));
    CHECK_OK(end_server(server));
    CHECK(fcntl(fd, F_GETFD) >= 0);
    CHECK_OK(weir_serve(loop(), text, NULL, &recording, &record, &server));
    CHECK_OK(talk(name, &record));
    CHECK_OK(end_server(server));
    close(fd);
    CHECK_CODE(weir_serve(loop(), text, NULL, &recording, &record, &server), EBADF);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, other) == 0);
    snprintf(text, sizeof(text), "fd:%d", other[0]);
    CHECK_CODE(weir_serve(loop(), text, NULL, &recording, &record, &server), WEIR_EINVAL);
    CHECK_CODE(weir_serve(loop(), "fd:x", NULL, &recording, &record, &server), WEIR_EINVAL);
    close(other[0]);
    close(other[1]);
    return NULL;
}
IN_LOOP(T69_a_listening_descriptor_handed_in_stays_the_callers)

static void set_passed(const char *pid, const char *count, const char *names)
{
    EXPECT(setenv("LISTEN_PID", pid, 1) == 0);
    EXPECT(setenv("LISTEN_FDS", count, 1) == 0);
    EXPECT(setenv("LISTEN_FDNAMES", names, 1) == 0);
}

/* A listening socket whose descriptor is in nobody's way. */
static int listen_above(int least)
{
    int fd = -1, moved;

    weir_ignore(weir_listen_socket("127.0.0.1:0", NULL, &fd));
    moved = fcntl(fd, F_DUPFD_CLOEXEC, least);
    close(fd);
    return moved;
}

/* Descriptors 3 and 4 are what systemd passes; the test program may have them in use. */
static weir_error *sockets_of_systemd_are_found_by_name(void *arg)
{
    char mine[32], text[256];
    int saved3 = fcntl(3, F_DUPFD_CLOEXEC, 100), saved4 = fcntl(4, F_DUPFD_CLOEXEC, 100);
    int web = listen_above(100), admin = listen_above(100), opened, fds[4];
    weir_error *error;
    size_t count = 0;

    (void)arg;
    CHECK(dup3(web, 3, O_CLOEXEC) == 3 && dup3(admin, 4, O_CLOEXEC) == 4);
    snprintf(mine, sizeof(mine), "%d", (int)getpid());
    set_passed(mine, "2", "web:admin");
    CHECK_OK(weir_listen_socket("systemd:admin", NULL, &opened));
    {
        char a[64], b[64];

        CHECK_OK(weir_socket_name(opened, a, sizeof(a)));
        CHECK_OK(weir_socket_name(admin, b, sizeof(b)));
        CHECK(strcmp(a, b) == 0 && (fcntl(opened, F_GETFD) & FD_CLOEXEC));
    }
    close(opened);
    error = weir_listen_socket("systemd:api", NULL, &opened);
    weir_error_message(error, text, sizeof(text));
    CHECK(strstr(text, "web, admin") != NULL);
    CHECK_CODE(error, ENOENT);
    set_passed(mine, "2", "web:web");
    CHECK_OK(weir_inherited_sockets("web", fds, 4, &count));
    CHECK(count == 2 && fds[0] == 3 && fds[1] == 4);
    CHECK_CODE(weir_listen_socket("systemd:web", NULL, &opened), WEIR_EINVAL);
    /* Meant for another process. */
    set_passed("1", "2", "web:admin");
    CHECK_CODE(weir_listen_socket("systemd:web", NULL, &opened), ENOENT);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    close(web);
    close(admin);
    CHECK(saved3 < 0 ? close(3) == 0 : dup3(saved3, 3, O_CLOEXEC) == 3);
    CHECK(saved4 < 0 ? close(4) == 0 : dup3(saved4, 4, O_CLOEXEC) == 4);
    if (saved3 >= 0)
        close(saved3);
    if (saved4 >= 0)
        close(saved4);
    return NULL;
}

static void sockets_of_systemd_have_names(void **state)
{
    (void)state;
    assert_ok(sockets_of_systemd_are_found_by_name(NULL));
}

/* Two listeners in a burst: neither waits until the other's queue is empty. */
static weir_error *T62_listeners_take_turns_in_a_burst(void *arg)
{
    struct record record[2] = {{.no_text = true}, {.no_text = true}};
    weir_server *server[2];
    int peers[2][100];
    size_t least = 100;

    (void)arg;
    for (int s = 0; s < 2; s++)
        CHECK_OK(weir_serve(loop(), "127.0.0.1:0", NULL, &recording, &record[s], &server[s]));
    for (int i = 0; i < 100; i++) {
        for (int s = 0; s < 2; s++) {
            peers[s][i] = raw_connect(weir_server_name(server[s]));
            CHECK(peers[s][i] >= 0);
        }
    }
    /* When one of them has all, the other has most. */
    while (weir_server_connections(server[0]) < 100 && weir_server_connections(server[1]) < 100)
        CHECK_OK(weir_sleep(WEIR_NS(0)));
    for (int s = 0; s < 2; s++) {
        if (weir_server_connections(server[s]) < least)
            least = weir_server_connections(server[s]);
    }
    CHECK(least >= 68);
    for (int i = 0; i < 100; i++) {
        close(peers[0][i]);
        close(peers[1][i]);
    }
    CHECK_OK(end_server(server[0]));
    CHECK_OK(end_server(server[1]));
    return NULL;
}
IN_LOOP(T62_listeners_take_turns_in_a_burst)

/* Connections that were reset before anybody accepted them are no failures of the server. */
static weir_error *T62_connections_reset_in_the_queue_do_no_harm(void *arg)
{
    struct record record = {0};
    weir_server *server;
    char name[64];
    int fd;

    (void)arg;
    CHECK_OK(weir_listen_socket("127.0.0.1:0", NULL, &fd));
    CHECK_OK(weir_socket_name(fd, name, sizeof(name)));
    for (int i = 0; i < 5; i++)
        close_with_reset(raw_connect(name));
    CHECK_OK(weir_server_new(loop(), fd, NULL, &recording, &record, &server));
    close(fd);
    UNTIL(record.made);
    UNTIL(weir_server_connections(server) == 0);
    record.received = 0;
    CHECK_OK(talk(name, &record));
    CHECK_OK(end_server(server));
    return NULL;
}
IN_LOOP(T62_connections_reset_in_the_queue_do_no_harm)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(socket_options_reach_both_sides),
        IN_LOOP_TEST(no_delay_is_on_unless_told_otherwise),
        IN_LOOP_TEST(an_option_that_the_kernel_refuses_is_named),
        IN_LOOP_TEST(a_star_of_v6_only_leaves_ipv4_to_others),
        IN_LOOP_TEST(several_sockets_share_an_address_with_reuse_port),
        IN_LOOP_TEST(T66_abstract_names_leave_no_file),
        IN_LOOP_TEST(T66_what_is_no_socket_is_not_replaced_nor_removed),
        IN_LOOP_TEST(T69_a_listening_descriptor_handed_in_stays_the_callers),
        cmocka_unit_test(sockets_of_systemd_have_names),
        IN_LOOP_TEST(T62_listeners_take_turns_in_a_burst),
        IN_LOOP_TEST(T62_connections_reset_in_the_queue_do_no_harm),
    };

    return cmocka_run_group_tests_name("endpoints", tests, NULL, NULL);
}
