/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept in a connection's own block: the peer's address, states, and what whoever accepted it wants. */
#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "tests/unit/net/net_test.h"

/* As the http plugin does: a small state, and room for that of the protocol it brings. */
#define ROOM_OF_SERVER   56
#define ROOM_OF_PROTOCOL 72

struct small {
    void *words[3];
};

struct large {
    void *words[8];
};

static struct {
    weir_transport *transport;
    char *context, *first, *second, *third;
    unsigned made, lost;
} seen;

static bool is_zero(const char *memory, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (memory[i])
            return false;
    }
    return true;
}

static weir_error *large_made(weir_transport *t, void *state, const void *config)
{
    (void)t, (void)config;
    seen.made++;
    EXPECT(is_zero(state, sizeof(struct large)));
    memset(state, 0xa5, sizeof(struct large));
    return NULL;
}

static void large_lost(weir_transport *t, void *state, const weir_error *reason)
{
    (void)t, (void)state, (void)reason;
    seen.lost++;
}

static const weir_protocol large = {
    WEIR_SIZED(weir_protocol),          .name = "large",
    .state_size = sizeof(struct large), .connection_made = large_made,
    .connection_lost = large_lost,
};

static weir_error *small_made(weir_transport *t, void *state, const void *config)
{
    void *ret;

    (void)config;
    EXPECT(is_zero(state, sizeof(struct small)));
    memset(state, 0x5a, sizeof(struct small));
    seen.first = state;
    WEIR_TRY(weir_transport_set_protocol(t, &large, NULL, weir_slice_of(NULL, 0), &ret));
    seen.second = ret;
    WEIR_TRY(weir_transport_set_protocol(t, &large, NULL, weir_slice_of(NULL, 0), &ret));
    seen.third = ret;
    seen.transport = t;
    return NULL;
}

static const weir_protocol small = {
    WEIR_SIZED(weir_protocol),     .name = "small",          .state_size = sizeof(struct small),
    .connection_made = small_made, .room = ROOM_OF_PROTOCOL,
};

static weir_error *keep(weir_transport *t, const weir_protocol **protocol, const void **config,
                        void *arg)
{
    (void)protocol, (void)config, (void)arg;
    seen.context = weir_transport_room(t, ROOM_OF_SERVER);
    EXPECT(seen.context && is_zero(seen.context, ROOM_OF_SERVER));
    memset(seen.context, 0xff, ROOM_OF_SERVER);
    return NULL;
}

static bool near(const char *memory)
{
    return weir__transport_in_block(seen.transport, memory);
}

static weir_error *serve_one(const char *address, weir_server **ret, int *ret_peer)
{
    weir_server_options options = {WEIR_SIZED(weir_server_options), .accepted = keep,
                                   .room = ROOM_OF_SERVER};

    memset(&seen, 0, sizeof(seen));
    CHECK_OK(weir_serve(weir_loop_current(), address, &options, &small, NULL, ret));
    *ret_peer = raw_connect(weir_server_name(*ret));
    UNTIL(seen.transport);
    return NULL;
}

static weir_error *end_one(weir_server *server, int peer)
{
    close(peer);
    UNTIL(seen.lost == 1);
    weir_server_close(server);
    CHECK_OK(weir_server_wait_closed(server));
    weir_server_unref(server);
    return NULL;
}

static weir_error *what_asked_for_room_lies_in_the_block(void *arg)
{
    weir_server *server;
    const char *name;
    char wanted[64];
    size_t length;
    int peer;

    (void)arg;
    CHECK_OK(serve_one("127.0.0.1:0", &server, &peer));
    CHECK(near(seen.context) && near(seen.first) && near(seen.second));
    CHECK((uintptr_t)seen.second % 16 == 0 && (uintptr_t)seen.context % 8 == 0);
    /* What was not asked for is elsewhere. */
    CHECK(seen.made == 2 && !near(seen.third));
    name = weir_transport_peer_name(seen.transport);
    CHECK(near(name) && strncmp(name, "127.0.0.1:", 10) == 0);
    CHECK(weir_transport_room(seen.transport, 32) == NULL);
    /* Nobody has written over anybody. */
    CHECK(is_zero((char *)memset(seen.context, 0, ROOM_OF_SERVER), ROOM_OF_SERVER));
    CHECK((unsigned char)seen.second[0] == 0xa5 && (unsigned char)seen.second[63] == 0xa5);
    CHECK(seen.first[0] == 0x5a && seen.first[sizeof(struct small) - 1] == 0x5a);
    snprintf(wanted, sizeof(wanted), "127.0.0.1:%u",
             ntohs(((const struct sockaddr_in *)(const void *)weir_transport_peer_address(
                        seen.transport, &length))
                       ->sin_port));
    CHECK(strcmp(name, wanted) == 0 && length == sizeof(struct sockaddr_in));
    return end_one(server, peer);
}
IN_LOOP(what_asked_for_room_lies_in_the_block)

static weir_error *an_address_of_ipv6_has_its_place(void *arg)
{
    weir_server *server;
    const struct sockaddr_in6 *address;
    size_t length;
    int peer;

    (void)arg;
    CHECK_OK(serve_one("[::1]:0", &server, &peer));
    address = (const struct sockaddr_in6 *)(const void *)weir_transport_peer_address(seen.transport,
                                                                                     &length);
    CHECK(length == sizeof(*address) && address->sin6_family == AF_INET6 &&
          IN6_IS_ADDR_LOOPBACK(&address->sin6_addr));
    CHECK(near(weir_transport_peer_name(seen.transport)) && near(seen.context));
    CHECK(strncmp(weir_transport_peer_name(seen.transport), "[::1]:", 6) == 0);
    CHECK((const char *)address + length <= seen.first);
    return end_one(server, peer);
}
IN_LOOP(an_address_of_ipv6_has_its_place)

static weir_error *a_connection_without_room_works_all_the_same(void *arg)
{
    struct record record = {0};
    int peer = -1;
    weir_transport *t = pair_transport(&recording, &record, &peer);

    (void)arg;
    CHECK(t != NULL && weir_transport_room(t, 8) == NULL);
    memset(&seen, 0, sizeof(seen));
    CHECK_OK(weir_transport_set_protocol(t, &large, NULL, weir_slice_of(NULL, 0), NULL));
    CHECK(seen.made == 1);
    CHECK(!weir__transport_in_block(t, weir_transport_state(t)));
    close(peer);
    UNTIL(seen.lost == 1);
    return NULL;
}
IN_LOOP(a_connection_without_room_works_all_the_same)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(what_asked_for_room_lies_in_the_block),
        IN_LOOP_TEST(an_address_of_ipv6_has_its_place),
        IN_LOOP_TEST(a_connection_without_room_works_all_the_same),
    };

    return cmocka_run_group_tests_name("room", tests, NULL, NULL);
}
