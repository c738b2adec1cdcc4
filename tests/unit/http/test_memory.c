/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an idle keep-alive connection of an HTTP server holds, by the allocator's count. In the daemon
 * the listener's record comes on top (host/listener/listener.c asserts its size).
 */
#include "config.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/http/wire.h"

#define WARM_UP 100
#define COUNT   400
/* The block is 480 bytes; the rest is a timer's entry, a place by descriptor, and what the two arrays have
   in reserve. Records of io_uring are 48 bytes. */
#define IDLE_MAX   560
#define URING_MORE 48
#define REQUEST    "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

static int clients[WARM_UP + COUNT];
static unsigned n_clients;

static weir_error *answer(weir_http *x, void *arg)
{
    (void)arg;
    return weir_http_respond(x, 200, WEIR_SLICE("text/plain"), WEIR_SLICE("hello\n"));
}

static const weir_http_server_events events = {WEIR_SIZED(weir_http_server_events),
                                               .request = answer};

/* As large as the http plugin's. */
struct small {
    void *words[3];
};

static weir_error *made(weir_transport *transport, void *state, const void *config)
{
    static const weir_http_server_options options = {WEIR_SIZED(weir_http_server_options)};

    (void)state, (void)config;
    assert_non_null(weir_transport_peer_name(transport));
    return weir_http_serve(transport, &options, &events, NULL, WEIR_SLICE(""));
}

static const weir_protocol small = {
    WEIR_SIZED(weir_protocol),          .name = "small",
    .state_size = sizeof(struct small), .connection_made = made,
    .room = WEIR_HTTP_SERVER_ROOM,
};

static bool has_answer(void *arg)
{
    char bytes[512];
    ssize_t n = recv(*(int *)arg, bytes, sizeof bytes, MSG_DONTWAIT);

    return n > 0 && memcmp(bytes, "HTTP/1.1 200", 12) == 0;
}

static size_t held_after(weir_server *server, unsigned count)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    address.sin_port =
        htons((uint16_t)strtoul(strrchr(weir_server_name(server), ':') + 1, NULL, 10));
    for (unsigned i = 0; i < count; i++) {
        int *fd = &clients[n_clients++];

        *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(*fd, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(send(*fd, REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL), sizeof REQUEST - 1);
        turn_until(has_answer, fd);
    }
    turn();
    return mallinfo2().uordblks;
}

static bool all_gone(void *arg)
{
    return weir_server_connections(arg) == 0;
}

static void http_idle_connections_are_small(void **state)
{
    weir_server *server;
    const char *backend = getenv("WEIR_BACKEND");
    size_t before, after, most = IDLE_MAX;

    (void)state;
#ifdef WEIR_SANITIZE
    print_message("the allocators of sanitizers count otherwise\n");
    skip();
#endif
    if (getenv("WEIR_DEV") || getenv("WEIR_TEST_FAULTS")) {
        print_message("guarded blocks are larger\n");
        skip();
    }
    assert_done(weir_serve(wire_loop, "127.0.0.1:0", NULL, &small, NULL, &server));
    before = held_after(server, WARM_UP);
    after = held_after(server, COUNT);
    print_message("%zu bytes for an idle connection\n", (after - before) / COUNT);
    if (backend && strcmp(backend, "io_uring") == 0)
        most += URING_MORE;
    assert_in_range((after - before) / COUNT, 100, most);
    while (n_clients)
        close(clients[--n_clients]);
    turn_until(all_gone, server);
    weir_server_close(server);
    weir_server_unref(server);
    turn();
}

/* What threads keep of freed blocks would count as used. */
static void without_caches_of_malloc(char **argv)
{
    if (getenv("GLIBC_TUNABLES"))
        return;
    setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
    execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(http_idle_connections_are_small, wire_setup, wire_teardown),
    };

    (void)argc;
    without_caches_of_malloc(argv);
    return cmocka_run_group_tests_name("http_memory", tests, NULL, NULL);
}
