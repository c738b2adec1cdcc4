/* SPDX-License-Identifier: Apache-2.0 */
/* Datagram sockets: both styles, what is queued, and what the network answers (T67). */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <weir/datagram.h>

#include "core/net/datagram.h"
#include "tests/unit/net/net_test.h"

/* A protocol that writes down what it is told; its configuration. */
struct diary {
    char events[1024];
    bool echo, no_text;
    weir_code data_fails;
    weir_error *(*on_data)(weir_datagram *d, struct diary *diary, weir_slice data,
                           const weir_datagram_info *info);
    size_t count, bytes;
    unsigned errors, pauses, resumes;
    weir_code error, reason;
    bool lost;
    weir_datagram_info last;
    void *arg;
};

static void jot(struct diary *diary, const char *format, ...) WEIR_PRINTF(2, 3);

static void jot(struct diary *diary, const char *format, ...)
{
    size_t len = strlen(diary->events);
    va_list args;

    va_start(args, format);
    vsnprintf(diary->events + len, sizeof(diary->events) - len, format, args);
    va_end(args);
}

static struct diary *diary_of(const weir_datagram *d)
{
    return (struct diary *)(uintptr_t)weir_datagram_config(d);
}

static weir_error *on_made(weir_datagram *d, void *state, const void *config)
{
    (void)state;
    EXPECT(config == diary_of(d));
    jot(diary_of(d), "made ");
    return NULL;
}

static weir_error *on_datagram(weir_datagram *d, void *state, weir_slice data,
                               const weir_datagram_info *info)
{
    struct diary *diary = diary_of(d);

    (void)state;
    diary->count++;
    diary->bytes += data.len;
    diary->last = *info;
    if (!diary->no_text)
        jot(diary, "got(%.*s) ", (int)data.len, (const char *)data.data);
    if (diary->echo)
        return weir_datagram_send_to(d, data, &info->peer);
    if (diary->on_data)
        return diary->on_data(d, diary, data, info);
    return diary->data_fails ? weir_raise(diary->data_fails, "made to fail") : NULL;
}

static void on_error(weir_datagram *d, void *state, const weir_error *error)
{
    (void)state;
    diary_of(d)->errors++;
    diary_of(d)->error = weir_error_code(error);
    jot(diary_of(d), "error(%s) ", weir_code_name(weir_error_code(error)));
}

static void on_pause(weir_datagram *d, void *state)
{
    (void)state;
    diary_of(d)->pauses++;
}

static void on_resume(weir_datagram *d, void *state)
{
    (void)state;
    diary_of(d)->resumes++;
}

static void on_lost(weir_datagram *d, void *state, const weir_error *reason)
{
    struct diary *diary = diary_of(d);

    (void)state;
    diary->lost = true;
    diary->reason = reason ? weir_error_code(reason) : 0;
    jot(diary, "lost ");
}

static const weir_datagram_protocol diarist = {
    WEIR_SIZED(weir_datagram_protocol),
    .name = "diarist",
    .state_size = 24,
    .connection_made = on_made,
    .datagram_received = on_datagram,
    .error_received = on_error,
    .pause_writing = on_pause,
    .resume_writing = on_resume,
    .connection_lost = on_lost,
};

static weir_loop *loop(void)
{
    return weir_loop_current();
}

static const char *local_name(const weir_datagram *d)
{
    static char text[WEIR_ADDRESS_TEXT_SIZE];

    weir_address_text(weir_datagram_local_address(d), text, sizeof(text));
    return text;
}

/* Straight-line sockets that know each other's address, on loopback. */
static weir_error *client_of(const weir_datagram *server, weir_datagram **ret)
{
    return weir_datagram_open(loop(), NULL, local_name(server), NULL, NULL, NULL, ret);
}

static weir_error *end(weir_datagram *d, struct diary *diary)
{
    weir_datagram_close(d);
    if (diary)
        UNTIL(diary->lost);
    weir_datagram_unref(d);
    SETTLE();
    return NULL;
}

static weir_error *T67_datagrams_keep_their_boundaries_and_name_their_sender(void *arg)
{
    struct diary diary = {.echo = true};
    weir_datagram *server, *client;
    weir_datagram_info info;
    char buffer[64];
    size_t n;

    (void)arg;
    CHECK_OK(weir_datagram_open(loop(), "127.0.0.1:0", NULL, NULL, &diarist, &diary, &server));
    CHECK_OK(client_of(server, &client));
    CHECK_OK(weir_datagram_send(client, "one", 3, NULL));
    CHECK_OK(weir_datagram_send(client, "two!", 4, NULL));
    CHECK_OK(weir_datagram_receive(client, buffer, sizeof(buffer), &n, &info));
    CHECK(n == 3 && memcmp(buffer, "one", 3) == 0 && info.full_size == 3 && !info.truncated);
    CHECK(weir_address_equal(&info.peer, weir_datagram_local_address(server)));
    CHECK_OK(weir_datagram_receive(client, buffer, sizeof(buffer), &n, NULL));
    CHECK(n == 4 && memcmp(buffer, "two!", 4) == 0);
    CHECK(weir_address_equal(&diary.last.peer, weir_datagram_local_address(client)));
    CHECK_OK(end(client, NULL));
    CHECK_OK(end(server, &diary));
    CHECK(strcmp(diary.events, "made got(one) got(two!) lost ") == 0);
    return NULL;
}
IN_LOOP(T67_datagrams_keep_their_boundaries_and_name_their_sender)

static weir_error *answer_from_where_it_came(weir_datagram *d, struct diary *diary, weir_slice data,
                                             const weir_datagram_info *info)
{
    (void)diary;
    return weir_datagram_send_from(d, data, &info->peer, &info->local);
}

/* A client that hears one address only, of a server that has all. */
static weir_error *ask_at(weir_datagram *server, const struct diary *diary, const char *address)
{
    weir_datagram *client;
    char name[WEIR_ADDRESS_TEXT_SIZE], told[WEIR_ADDRESS_TEXT_SIZE], buffer[8];
    weir_address local = *weir_datagram_local_address(server);
    const struct sockaddr_in *in = (const void *)weir_address_sockaddr(&local);
    size_t n;

    snprintf(name, sizeof(name), "%s:%d", address, ntohs(in->sin_port));
    CHECK_OK(weir_datagram_open(loop(), NULL, name, NULL, NULL, NULL, &client));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(weir_datagram_send(client, "x", 1, NULL));
        CHECK_OK(weir_datagram_receive(client, buffer, sizeof(buffer), &n, NULL));
        CHECK(n == 1 && buffer[0] == 'x');
    }
    weir_address_text(&diary->last.local, told, sizeof(told));
    CHECK(strstr(told, name) || strstr(name, "127.0.0.")); /* IPv4 comes mapped */
    return end(client, NULL);
}

static weir_error *answers_leave_from_the_address_that_was_asked(void *arg)
{
    const weir_datagram_options options = {WEIR_SIZED(weir_datagram_options), .tell_local = true};
    static const char *const any[] = {"0.0.0.0:0", "*:0", "[::]:0"};

    (void)arg;
    for (size_t i = 0; i < 3; i++) {
        struct diary diary = {.on_data = answer_from_where_it_came};
        weir_datagram *server;

        CHECK_OK(weir_datagram_open(loop(), any[i], NULL, &options, &diarist, &diary, &server));
        if (i < 2) {
            WEIR_TRY(ask_at(server, &diary, "127.0.0.7"));
            WEIR_TRY(ask_at(server, &diary, "127.0.0.1"));
        }
        if (i > 0)
            WEIR_TRY(ask_at(server, &diary, "[::1]"));
        CHECK(diary.last.local.length != 0);
        CHECK_OK(end(server, &diary));
        CHECK(diary.errors == 0);
    }
    return NULL;
}
IN_LOOP(answers_leave_from_the_address_that_was_asked)

static weir_error *T67_a_datagram_of_no_bytes_arrives_as_one(void *arg)
{
    struct diary diary = {.echo = true};
    weir_datagram *server, *client;
    char buffer[8];
    size_t n = 99;

    (void)arg;
    CHECK_OK(weir_datagram_open(loop(), "[::1]:0", NULL, NULL, &diarist, &diary, &server));
    CHECK_OK(client_of(server, &client));
    CHECK_OK(weir_datagram_send(client, NULL, 0, NULL));
    CHECK_OK(weir_datagram_receive(client, buffer, sizeof(buffer), &n, NULL));
    CHECK(n == 0 && diary.count == 1 && diary.bytes == 0);
    CHECK_OK(end(client, NULL));
    CHECK_OK(end(server, &diary));
    return NULL;
}
IN_LOOP(T67_a_datagram_of_no_bytes_arrives_as_one)

static weir_error *T67_a_truncated_datagram_says_so(void *arg)
{
    const weir_datagram_options options = {WEIR_SIZED(weir_datagram_options), .max_size = 4};
    struct diary diary = {0};
    weir_datagram *server, *client;
    weir_datagram_info info;
    char buffer[3];
    size_t n;

    (void)arg;
    CHECK_OK(weir_datagram_open(loop(), "127.0.0.1:0", NULL, &options, &diarist, &diary, &server));
    CHECK_OK(client_of(server, &client));
    CHECK_OK(weir_datagram_send(client, "123456", 6, NULL));
    UNTIL(diary.count == 1);
    CHECK(diary.bytes == 4 && diary.last.truncated && diary.last.full_size == 6);
    CHECK_OK(weir_datagram_send(client, "1234", 4, NULL));
    UNTIL(diary.count == 2);
    CHECK(diary.bytes == 8 && !diary.last.truncated);
    CHECK_OK(weir_datagram_send_to(server, weir_slice_of("abcd", 4),
                                   weir_datagram_local_address(client)));
    CHECK_OK(weir_datagram_receive(client, buffer, sizeof(buffer), &n, &info));
    CHECK(n == 3 && info.truncated && info.full_size == 4 && memcmp(buffer, "abc", 3) == 0);
    CHECK_OK(end(client, NULL));
    CHECK_OK(end(server, &diary));
    return NULL;
}
IN_LOOP(T67_a_truncated_datagram_says_so)

static weir_error *T67_an_icmp_refusal_reaches_error_received_and_the_socket_goes_on(void *arg)
{
    struct diary diary = {0};
    char name[64];
    weir_datagram *client, *late;
    int keep = refusing_port(name, sizeof(name));

    (void)arg;
    /* A TCP port that is ours says nothing of UDP, where nobody listens on it. */
    CHECK(keep >= 0);
    CHECK_OK(weir_datagram_open(loop(), NULL, name, NULL, &diarist, &diary, &client));
    CHECK_OK(weir_datagram_send_to(client, weir_slice_of("x", 1), NULL));
    UNTIL(diary.errors == 1);
    CHECK(diary.error == ECONNREFUSED && !diary.lost);
    CHECK_OK(weir_datagram_open(loop(), name, NULL, NULL, NULL, NULL, &late));
    CHECK_OK(
        weir_datagram_send_to(late, weir_slice_of("hi", 2), weir_datagram_local_address(client)));
    UNTIL(diary.count == 1);
    CHECK_OK(end(late, NULL));
    CHECK_OK(end(client, &diary));
    close(keep);
    return NULL;
}
IN_LOOP(T67_an_icmp_refusal_reaches_error_received_and_the_socket_goes_on)

static weir_error *T67_an_icmp_refusal_fails_one_receive(void *arg)
{
    weir_datagram *client;
    char name[64], buffer[8];
    size_t n;
    int keep = refusing_port(name, sizeof(name));

    (void)arg;
    CHECK_OK(weir_datagram_open(loop(), NULL, name, NULL, NULL, NULL, &client));
    CHECK_OK(weir_datagram_send(client, "x", 1, NULL));
    CHECK_CODE(weir_datagram_receive(client, buffer, sizeof(buffer), &n, NULL), ECONNREFUSED);
    {
        WEIR_TIMEOUT(patience, WEIR_MS(20));

        CHECK_CODE(weir_datagram_receive(client, buffer, sizeof(buffer), &n, NULL), WEIR_ETIMEDOUT);
    }
    CHECK_OK(end(client, NULL));
    close(keep);
    return NULL;
}
IN_LOOP(T67_an_icmp_refusal_fails_one_receive)

static weir_error *T67_another_peer_than_the_connected_one_is_refused(void *arg)
{
    weir_datagram *a, *b, *c, *open;

    (void)arg;
    CHECK_OK(weir_datagram_open(loop(), "127.0.0.1:0", NULL, NULL, NULL, NULL, &a));
    CHECK_OK(weir_datagram_open(loop(), "127.0.0.1:0", NULL, NULL, NULL, NULL, &b));
    CHECK_OK(client_of(a, &c));
    CHECK_CODE(weir_datagram_send_to(c, weir_slice_of("x", 1), weir_datagram_local_address(b)),
               WEIR_EINVAL);
    CHECK_OK(weir_datagram_send_to(c, weir_slice_of("x", 1), weir_datagram_local_address(a)));
    CHECK_CODE(weir_datagram_send_to(a, weir_slice_of("x", 1), NULL), EDESTADDRREQ);
    CHECK_CODE(weir_datagram_send_to(c, weir_slice_of("x", WEIR_DATAGRAM_MAX + 1), NULL), EMSGSIZE);
    CHECK_CODE(weir_datagram_open(loop(), NULL, NULL, NULL, NULL, NULL, &open), WEIR_EINVAL);
    CHECK_OK(end(a, NULL));
    CHECK_OK(end(b, NULL));
    CHECK_OK(end(c, NULL));
    return NULL;
}
IN_LOOP(T67_another_peer_than_the_connected_one_is_refused)

/* What a socket pair's peer does not read fills the kernel's queue, and then ours. */
static weir_error *T67_what_does_not_fit_is_queued_in_order_and_counted(void *arg)
{
    struct diary diary = {.no_text = true};
    weir_datagram *d;
    unsigned sent = 0, seen = 0;
    unsigned number;
    int ends[2];

    (void)arg;
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK_OK(weir_datagram_of_fd(loop(), ends[0], NULL, &diarist, &diary, &d));
    weir_datagram_set_write_limits(d, 300, 100, 1000);
    while (weir_datagram_write_buffer_size(d) == 0) {
        sent++;
        CHECK_OK(weir_datagram_send_to(d, weir_slice_of(&sent, sizeof(sent)), NULL));
    }
    CHECK(weir_datagram_write_buffer_size(d) == sizeof(sent) + WEIR_DATAGRAM_OVERHEAD);
    while (!diary.pauses) {
        sent++;
        CHECK_OK(weir_datagram_send_to(d, weir_slice_of(&sent, sizeof(sent)), NULL));
    }
    /* Five times 68 is the first that is more than 300. */
    CHECK(weir_datagram_write_buffer_size(d) == 5 * (sizeof(sent) + WEIR_DATAGRAM_OVERHEAD));
    CHECK_CODE(weir_datagram_send_to(d, weir_slice_of(&diary, 900), NULL), WEIR_EFULL);
    weir_datagram_close(d);
    CHECK_CODE(weir_datagram_send_to(d, weir_slice_of("x", 1), NULL), WEIR_ECLOSED);
    while (seen < sent) {
        if (recv(ends[1], &number, sizeof(number), 0) == (ssize_t)sizeof(number)) {
            seen++;
            CHECK(number == seen);
        } else {
            CHECK_OK(weir_sleep(WEIR_NS(0)));
        }
    }
    UNTIL(diary.lost);
    CHECK(diary.reason == 0 && diary.pauses == 1);
    weir_datagram_unref(d);
    close(ends[1]);
    return NULL;
}
IN_LOOP(T67_what_does_not_fit_is_queued_in_order_and_counted)

static weir_error *T67_a_send_waits_for_room_and_a_cancelled_one_sends_nothing(void *arg)
{
    weir_datagram *d;
    char buffer[256] = "";
    unsigned sent = 0, seen = 0;
    int ends[2];

    (void)arg;
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK_OK(weir_datagram_of_fd(loop(), ends[0], NULL, NULL, NULL, &d));
    weir_datagram_set_write_limits(d, 0, 0, 0);
    for (;;) {
        WEIR_TIMEOUT(patience, WEIR_MS(20));
        weir_error *error = weir_datagram_send(d, buffer, sizeof(buffer), NULL);

        if (error) {
            CHECK_CODE(error, WEIR_ETIMEDOUT);
            break;
        }
        sent++;
    }
    while (seen < sent) {
        if (recv(ends[1], buffer, sizeof(buffer), 0) > 0)
            seen++;
        else
            CHECK_OK(weir_sleep(WEIR_NS(0)));
    }
    CHECK_OK(weir_datagram_send(d, "end", 3, NULL));
    CHECK(recv(ends[1], buffer, sizeof(buffer), 0) == 3);
    CHECK_OK(end(d, NULL));
    close(ends[1]);
    return NULL;
}
IN_LOOP(T67_a_send_waits_for_room_and_a_cancelled_one_sends_nothing)

static weir_error *a_batch_is_echoed_in_order_and_whole(void *arg)
{
    struct diary diary = {.echo = true, .no_text = true};
    weir_datagram *server, *client;
    unsigned char piece[700];
    size_t n;

    (void)arg;
    CHECK_OK(weir_datagram_open(loop(), "127.0.0.1:0", NULL, NULL, &diarist, &diary, &server));
    CHECK_OK(client_of(server, &client));
    for (size_t i = 0; i < 100; i++) {
        fill_pattern(piece, sizeof(piece), i);
        CHECK_OK(weir_datagram_send(client, piece, 600 + i, NULL));
    }
    for (size_t i = 0; i < 100; i++) {
        CHECK_OK(weir_datagram_receive(client, piece, sizeof(piece), &n, NULL));
        CHECK(n == 600 + i && is_pattern(piece, n, i));
    }
    CHECK_OK(end(client, NULL));
    CHECK_OK(end(server, &diary));
    return NULL;
}
IN_LOOP(a_batch_is_echoed_in_order_and_whole)

static weir_error *close_both(weir_datagram *d, struct diary *diary, weir_slice data,
                              const weir_datagram_info *info)
{
    (void)data;
    weir_ignore(weir_datagram_send_to(d, weir_slice_of("bye", 3), &info->peer));
    weir_datagram_close(d);
    if (diary->arg)
        weir_datagram_close(diary->arg);
    return NULL;
}

static weir_error *closing_inside_a_batch_sends_what_was_said_and_ends_it(void *arg)
{
    struct diary diary = {.on_data = close_both};
    weir_datagram *server, *client, *other;
    char buffer[8];
    size_t n;

    (void)arg;
    CHECK_OK(weir_datagram_open(loop(), "127.0.0.1:0", NULL, NULL, &diarist, &diary, &server));
    CHECK_OK(weir_datagram_open(loop(), "127.0.0.1:0", NULL, NULL, NULL, NULL, &other));
    diary.arg = other;
    CHECK_OK(client_of(server, &client));
    CHECK_OK(weir_datagram_send(client, "a", 1, NULL));
    CHECK_OK(weir_datagram_send(client, "b", 1, NULL));
    CHECK_OK(weir_datagram_receive(client, buffer, sizeof(buffer), &n, NULL));
    CHECK(n == 3);
    UNTIL(diary.lost);
    CHECK(strcmp(diary.events, "made got(a) lost ") == 0);
    CHECK_CODE(weir_datagram_receive(other, buffer, sizeof(buffer), &n, NULL), WEIR_ECLOSED);
    weir_datagram_unref(other);
    weir_datagram_unref(server);
    CHECK_OK(end(client, NULL));
    return NULL;
}
IN_LOOP(closing_inside_a_batch_sends_what_was_said_and_ends_it)

static weir_error *an_error_of_datagram_received_ends_the_socket_with_it(void *arg)
{
    struct diary diary = {.data_fails = WEIR_EPROTOCOL};
    weir_datagram *server, *client;
    char log[1024];

    (void)arg;
    capture_log_begin();
    CHECK_OK(weir_datagram_open(loop(), "127.0.0.1:0", NULL, NULL, &diarist, &diary, &server));
    CHECK_OK(client_of(server, &client));
    CHECK_OK(weir_datagram_send(client, "a", 1, NULL));
    UNTIL(diary.lost);
    CHECK(diary.reason == WEIR_EPROTOCOL);
    weir_datagram_unref(server);
    CHECK_OK(end(client, NULL));
    capture_log_end(log, sizeof(log));
    CHECK(strstr(log, "diarist: <Datagram closed") != NULL);
    return NULL;
}
IN_LOOP(an_error_of_datagram_received_ends_the_socket_with_it)

static weir_error *paused_reading_delivers_nothing_until_resumed(void *arg)
{
    struct diary diary = {0};
    weir_datagram *server, *client;

    (void)arg;
    CHECK_OK(weir_datagram_open(loop(), "127.0.0.1:0", NULL, NULL, &diarist, &diary, &server));
    CHECK_OK(client_of(server, &client));
    weir_datagram_pause_reading(server);
    CHECK_OK(weir_datagram_send(client, "a", 1, NULL));
    SETTLE();
    CHECK(diary.count == 0);
    weir_datagram_resume_reading(server);
    UNTIL(diary.count == 1);
    CHECK_OK(end(client, NULL));
    CHECK_OK(end(server, &diary));
    return NULL;
}
IN_LOOP(paused_reading_delivers_nothing_until_resumed)

static weir_error *a_star_hears_both_families_unless_told_otherwise(void *arg)
{
    const weir_datagram_options v6_only = {WEIR_SIZED(weir_datagram_options), .v6_only = true};
    struct diary diary = {.echo = true}, deaf = {0};
    weir_datagram *server, *client, *strict;
    const struct sockaddr_in6 *any;
    char name[64], buffer[8];
    size_t n;

    (void)arg;
    CHECK_OK(weir_datagram_open(loop(), "*:0", NULL, NULL, &diarist, &diary, &server));
    any = (const void *)weir_address_sockaddr(weir_datagram_local_address(server));
    snprintf(name, sizeof(name), "127.0.0.1:%u", ntohs(any->sin6_port));
    CHECK_OK(weir_datagram_open(loop(), NULL, name, NULL, NULL, NULL, &client));
    CHECK_OK(weir_datagram_send(client, "4", 1, NULL));
    CHECK_OK(weir_datagram_receive(client, buffer, sizeof(buffer), &n, NULL));
    weir_address_text(&diary.last.peer, name, sizeof(name));
    CHECK(strncmp(name, "127.0.0.1:", 10) == 0);
    /* An IPv4 address is understood by a socket of both families. */
    CHECK_OK(
        weir_datagram_send_to(server, weir_slice_of("x", 1), weir_datagram_local_address(client)));
    CHECK_OK(weir_datagram_receive(client, buffer, sizeof(buffer), &n, NULL));
    CHECK_OK(end(client, NULL));
    CHECK_OK(weir_datagram_open(loop(), "*:0", NULL, &v6_only, &diarist, &deaf, &strict));
    any = (const void *)weir_address_sockaddr(weir_datagram_local_address(strict));
    snprintf(name, sizeof(name), "127.0.0.1:%u", ntohs(any->sin6_port));
    CHECK_OK(weir_datagram_open(loop(), NULL, name, NULL, NULL, NULL, &client));
    CHECK_OK(weir_datagram_send(client, "4", 1, NULL));
    CHECK_CODE(weir_datagram_receive(client, buffer, sizeof(buffer), &n, NULL), ECONNREFUSED);
    CHECK(deaf.count == 0);
    CHECK_OK(end(client, NULL));
    CHECK_OK(end(strict, &deaf));
    CHECK_OK(end(server, &diary));
    return NULL;
}
IN_LOOP(a_star_hears_both_families_unless_told_otherwise)

static weir_error *options_reach_the_kernel(void *arg)
{
    const weir_datagram_options options = {
        WEIR_SIZED(weir_datagram_options), .reuse_port = true,   .broadcast = true,
        .receive_buffer = 10000,           .send_buffer = 12000,
    };
    const weir_datagram_options plain = {WEIR_SIZED(weir_datagram_options)};
    const int wanted[][2] = {
        {SO_REUSEPORT, 1}, {SO_BROADCAST, 1}, {SO_RCVBUF, 20000}, {SO_SNDBUF, 24000}};
    weir_datagram *a, *b, *c;
    char name[WEIR_ADDRESS_TEXT_SIZE];

    (void)arg;
    CHECK_OK(weir_datagram_open(loop(), "127.0.0.1:0", NULL, &options, NULL, NULL, &a));
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        socklen_t length = sizeof(int);
        int value = 0;

        CHECK(getsockopt(a->file.fd, SOL_SOCKET, wanted[i][0], &value, &length) == 0);
        CHECK(value == wanted[i][1]);
    }
    snprintf(name, sizeof(name), "%s", local_name(a));
    CHECK_OK(weir_datagram_open(loop(), name, NULL, &options, NULL, NULL, &b));
    CHECK_CODE(weir_datagram_open(loop(), name, NULL, &plain, NULL, NULL, &c), EADDRINUSE);
    CHECK_OK(end(a, NULL));
    CHECK_OK(end(b, NULL));
    return NULL;
}
IN_LOOP(options_reach_the_kernel)

static weir_error *T66_unix_datagram_files_are_taken_over_and_removed(void *arg)
{
    char folder[] = "/tmp/weir-datagram-XXXXXX", name[64], buffer[8];
    struct diary diary = {.echo = true};
    weir_datagram *server, *client, *second;
    struct address address;
    struct stat status;
    size_t n;
    int dead;

    (void)arg;
    CHECK(mkdtemp(folder) != NULL);
    snprintf(name, sizeof(name), "unix:%s/s", folder);
    CHECK_OK(weir__address_unix(name + 5, &address));
    dead = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(bind(dead, &address.any, address.length) == 0);
    close(dead);
    CHECK_OK(weir_datagram_open(loop(), name, NULL, NULL, &diarist, &diary, &server));
    CHECK_CODE(weir_datagram_open(loop(), name, NULL, NULL, NULL, NULL, &second), EADDRINUSE);
    /* Unnamed clients get a name, so that they can be answered. */
    CHECK_OK(client_of(server, &client));
    CHECK_OK(weir_datagram_send(client, "hi", 2, NULL));
    CHECK_OK(weir_datagram_receive(client, buffer, sizeof(buffer), &n, NULL));
    CHECK(n == 2);
    CHECK_OK(end(client, NULL));
    CHECK_OK(end(server, &diary));
    CHECK(lstat(name + 5, &status) != 0 && errno == ENOENT);
    CHECK(rmdir(folder) == 0);
    return NULL;
}
IN_LOOP(T66_unix_datagram_files_are_taken_over_and_removed)

static weir_error *T69_a_socket_that_is_refused_stays_the_callers(void *arg)
{
    const weir_datagram_options options = {WEIR_SIZED(weir_datagram_options), .broadcast = true};
    weir_datagram *d;
    int ends[2];

    (void)arg;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK_CODE(weir_datagram_of_fd(loop(), ends[0], NULL, NULL, NULL, &d), WEIR_EINVAL);
    CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) == 0);
    CHECK_CODE(weir_datagram_of_fd(loop(), ends[0], &options, NULL, NULL, &d), WEIR_EINVAL);
    CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
    CHECK_CODE(weir_datagram_of_fd(loop(), 9999, NULL, NULL, NULL, &d), EBADF);
    return NULL;
}
IN_LOOP(T69_a_socket_that_is_refused_stays_the_callers)

static weir_error *a_receive_ends_when_its_socket_is_closed(void *arg)
{
    weir_datagram *d = arg;
    char buffer[8];
    size_t n;

    CHECK_CODE(weir_datagram_receive(d, buffer, sizeof(buffer), &n, NULL), WEIR_ECLOSED);
    return NULL;
}

static weir_error *closing_wakes_a_task_that_receives(void *arg)
{
    weir_datagram *d;
    weir_task *task;
    char buffer[8];
    size_t n;

    (void)arg;
    CHECK_OK(weir_datagram_open(loop(), "127.0.0.1:0", NULL, NULL, NULL, NULL, &d));
    CHECK_OK(weir_spawn(a_receive_ends_when_its_socket_is_closed, d, &task));
    SETTLE();
    CHECK_CODE(weir_datagram_receive(d, buffer, sizeof(buffer), &n, NULL), WEIR_EBUSY);
    weir_datagram_close(d);
    CHECK_OK(weir_task_await(task));
    weir_task_unref(task);
    weir_datagram_unref(d);
    SETTLE();
    return NULL;
}
IN_LOOP(closing_wakes_a_task_that_receives)

static weir_error *K1_a_dropped_socket_is_reported(void *arg)
{
    weir_datagram *d;
    char log[2048];

    (void)arg;
    weir_warnings_set(WEIR_WARNING_RESOURCE, WEIR_WARNING_ALWAYS);
    capture_log_begin();
    CHECK_OK(weir_datagram_open(loop(), "127.0.0.1:0", NULL, NULL, NULL, NULL, &d));
    weir_datagram_unref(d);
    capture_log_end(log, sizeof(log));
    weir_warnings_set(WEIR_WARNING_RESOURCE, WEIR_WARNING_ONCE);
    CHECK(strstr(log, "unclosed socket <Datagram fd=") != NULL);
    SETTLE();
    return NULL;
}
IN_LOOP(K1_a_dropped_socket_is_reported)

static void addresses_read_as_they_are_written(void **state)
{
    static const char *const texts[] = {"192.0.2.1:53", "[2001:db8::1]:53", "unix:/run/x.sock",
                                        "unix:@name"};
    weir_address a, b;
    char text[WEIR_ADDRESS_TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_ok(weir_address_parse(texts[i], &a));
        weir_address_text(&a, text, sizeof(text));
        assert_string_equal(text, texts[i]);
        assert_ok(weir_address_parse(texts[i], &b));
        assert_true(weir_address_equal(&a, &b));
    }
    assert_ok(weir_address_parse("192.0.2.1:54", &b));
    assert_false(weir_address_equal(&a, &b));
    assert_code(weir_address_parse("example.org:53", &a), WEIR_EINVAL);
    assert_code(weir_address_parse("unix:", &a), WEIR_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T67_datagrams_keep_their_boundaries_and_name_their_sender),
        IN_LOOP_TEST(answers_leave_from_the_address_that_was_asked),
        IN_LOOP_TEST(T67_a_datagram_of_no_bytes_arrives_as_one),
        IN_LOOP_TEST(T67_a_truncated_datagram_says_so),
        IN_LOOP_TEST(T67_an_icmp_refusal_reaches_error_received_and_the_socket_goes_on),
        IN_LOOP_TEST(T67_an_icmp_refusal_fails_one_receive),
        IN_LOOP_TEST(T67_another_peer_than_the_connected_one_is_refused),
        IN_LOOP_TEST(T67_what_does_not_fit_is_queued_in_order_and_counted),
        IN_LOOP_TEST(T67_a_send_waits_for_room_and_a_cancelled_one_sends_nothing),
        IN_LOOP_TEST(a_batch_is_echoed_in_order_and_whole),
        IN_LOOP_TEST(closing_inside_a_batch_sends_what_was_said_and_ends_it),
        IN_LOOP_TEST(an_error_of_datagram_received_ends_the_socket_with_it),
        IN_LOOP_TEST(paused_reading_delivers_nothing_until_resumed),
        IN_LOOP_TEST(a_star_hears_both_families_unless_told_otherwise),
        IN_LOOP_TEST(options_reach_the_kernel),
        IN_LOOP_TEST(T66_unix_datagram_files_are_taken_over_and_removed),
        IN_LOOP_TEST(T69_a_socket_that_is_refused_stays_the_callers),
        IN_LOOP_TEST(closing_wakes_a_task_that_receives),
        IN_LOOP_TEST(K1_a_dropped_socket_is_reported),
        ON_MAIN_TEST(addresses_read_as_they_are_written),
    };

    return cmocka_run_group_tests_name("datagram", tests, NULL, NULL);
}
