/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of datagrams of one size, which leave as one message: the peer gets what it would have got one
 * by one.
 */
#include "config.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <weir/datagram.h>

#include "core/net/datagram.h"
#include "tests/unit/net/net_test.h"

/* Sends everything back; what has come. */
struct mirror {
    size_t count;
    unsigned errors;
};

static weir_error *on_datagram(weir_datagram *d, void *state, weir_slice data,
                               const weir_datagram_info *info)
{
    struct mirror *mirror = (struct mirror *)(uintptr_t)weir_datagram_config(d);

    (void)state;
    mirror->count++;
    return weir_datagram_send_from(d, data, &info->peer, &info->local);
}

static void on_error(weir_datagram *d, void *state, const weir_error *error)
{
    (void)state;
    (void)error;
    ((struct mirror *)(uintptr_t)weir_datagram_config(d))->errors++;
}

static const weir_datagram_protocol mirroring = {
    WEIR_SIZED(weir_datagram_protocol),
    .name = "mirror",
    .datagram_received = on_datagram,
    .error_received = on_error,
};

static weir_error *begin(const char *address, struct mirror *mirror, weir_datagram **ret)
{
    CHECK_OK(weir_datagram_open(weir_loop_current(), address, NULL, NULL, &mirroring, mirror, ret));
    return NULL;
}

static weir_error *end(weir_datagram *d)
{
    weir_datagram_close(d);
    weir_datagram_unref(d);
    SETTLE();
    return NULL;
}

/* A socket of a client that talks to `d` alone; -1. */
static int client_of(const weir_datagram *d)
{
    const struct sockaddr *to = (const void *)d->local.bytes;
    int fd = socket(to->sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, to, d->local.length) == 0)
        return fd;
    close(fd);
    return -1;
}

/* The sizes, each datagram filled with its number. */
static bool say(int fd, const size_t *sizes, size_t count)
{
    static char bytes[2000];

    for (size_t i = 0; i < count; i++) {
        memset(bytes, (int)('A' + i), sizes[i]);
        if (send(fd, bytes, sizes[i], 0) != (ssize_t)sizes[i])
            return false;
    }
    return true;
}

/* Comes back as it was said. */
static weir_error *hear(int fd, const size_t *sizes, size_t count)
{
    static char bytes[2000];

    for (size_t i = 0; i < count; i++) {
        ssize_t n;

        UNTIL((n = recv(fd, bytes, sizeof(bytes), 0)) >= 0);
        CHECK((size_t)n == sizes[i]);
        CHECK(!n || (bytes[0] == (char)('A' + i) && bytes[n - 1] == (char)('A' + i)));
    }
    CHECK(recv(fd, bytes, sizeof(bytes), 0) < 0);
    return NULL;
}

static weir_error *T67_datagrams_of_any_sizes_keep_their_bounds_and_order(void *arg)
{
    /* Runs of all, with a shorter end, with a longer one; empty ones; larger than a packet. */
    static const size_t sizes[][8] = {
        {64, 64, 64, 64, 64, 64, 64, 64},          {100, 100, 100, 7, 100, 100, 100, 100},
        {1200, 1200, 1200, 1452, 1452, 1, 1, 1},   {0, 0, 5, 5, 0, 5, 5, 0},
        {1453, 1453, 1453, 1999, 1999, 64, 64, 1},
    };
    static const char *const addresses[] = {"127.0.0.1:0", "0.0.0.0:0", "[::1]:0"};

    (void)arg;
    for (size_t a = 0; a < 3; a++) {
        struct mirror mirror = {0};
        weir_datagram *d;
        int fd;

        CHECK_OK(begin(addresses[a], &mirror, &d));
        fd = client_of(d);
        CHECK(fd >= 0);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            CHECK(say(fd, sizes[i], 8));
            CHECK_OK(hear(fd, sizes[i], 8));
        }
        CHECK(mirror.count == 40 && !mirror.errors);
        CHECK(!d->no_runs && !d->queue);
        close(fd);
        CHECK_OK(end(d));
    }
    return NULL;
}
IN_LOOP(T67_datagrams_of_any_sizes_keep_their_bounds_and_order)

static weir_error *T67_runs_of_several_peers_do_not_mix(void *arg)
{
    static const size_t sizes[] = {300, 300, 300, 300};
    struct mirror mirror = {0};
    weir_datagram *d;
    int clients[3];

    (void)arg;
    CHECK_OK(begin("127.0.0.1:0", &mirror, &d));
    for (int i = 0; i < 3; i++) {
        clients[i] = client_of(d);
        CHECK(clients[i] >= 0 && say(clients[i], sizes, 4));
    }
    for (int i = 0; i < 3; i++) {
        CHECK_OK(hear(clients[i], sizes, 4));
        close(clients[i]);
    }
    CHECK_OK(end(d));
    return NULL;
}
IN_LOOP(T67_runs_of_several_peers_do_not_mix)

/* The kernel takes no runs of sockets without checksums. */
static weir_error *T67_what_the_kernel_refuses_goes_one_by_one(void *arg)
{
    static const size_t sizes[] = {300, 300, 300, 20};
    struct mirror mirror = {0};
    weir_datagram *d;
    int fd, on = 1;

    (void)arg;
    CHECK_OK(begin("127.0.0.1:0", &mirror, &d));
    fd = client_of(d);
    CHECK(fd >= 0);
    CHECK(setsockopt(d->file.fd, SOL_SOCKET, SO_NO_CHECK, &on, sizeof(on)) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK(say(fd, sizes, 4));
        CHECK_OK(hear(fd, sizes, 4));
        CHECK(d->no_runs && !mirror.errors);
    }
    close(fd);
    CHECK_OK(end(d));
    return NULL;
}
IN_LOOP(T67_what_the_kernel_refuses_goes_one_by_one)

static weir_error *a_run_is_of_one_size_peer_and_source(void *arg)
{
    struct datagram_entry e[5];

    (void)arg;
    memset(e, 0, sizeof(e));
    for (size_t i = 0; i < 5; i++) {
        e[i].len = 100;
        e[i].next = i < 4 ? &e[i + 1] : NULL;
    }
    CHECK(weir__datagram_run(&e[0], 32) == 5 && weir__datagram_run(&e[0], 3) == 3);
    CHECK(weir__datagram_run(&e[4], 32) == 1);
    e[2].len = 99; /* the last may be shorter */
    CHECK(weir__datagram_run(&e[0], 32) == 3);
    e[2].len = 101;
    CHECK(weir__datagram_run(&e[0], 32) == 2);
    e[2].len = 100;
    e[3].has_from = true;
    CHECK(weir__datagram_run(&e[0], 32) == 3);
    e[4].has_from = true;
    CHECK(weir__datagram_run(&e[3], 32) == 2);
    e[4].from.s6_addr[15] = 1;
    CHECK(weir__datagram_run(&e[3], 32) == 1);
    e[3].has_from = e[4].has_from = false;
    CHECK_OK(weir_address_parse("127.0.0.1:5", &e[1].peer));
    CHECK(weir__datagram_run(&e[0], 32) == 1 && weir__datagram_run(&e[1], 32) == 1);
    e[0].peer = e[2].peer = e[1].peer;
    CHECK(weir__datagram_run(&e[0], 32) == 3);
    CHECK_OK(weir_address_parse("127.0.0.1:6", &e[2].peer));
    CHECK(weir__datagram_run(&e[0], 32) == 2);
    for (size_t i = 0; i < 5; i++)
        e[i].len = 1453;
    CHECK(weir__datagram_run(&e[3], 32) == 1);
    return NULL;
}
IN_LOOP(a_run_is_of_one_size_peer_and_source)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T67_datagrams_of_any_sizes_keep_their_bounds_and_order),
        IN_LOOP_TEST(T67_runs_of_several_peers_do_not_mix),
        IN_LOOP_TEST(T67_what_the_kernel_refuses_goes_one_by_one),
        IN_LOOP_TEST(a_run_is_of_one_size_peer_and_source),
    };

    return cmocka_run_group_tests_name("datagram runs", tests, NULL, NULL);
}
