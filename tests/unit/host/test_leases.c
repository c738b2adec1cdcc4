/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases against real servers on loopback: what is kept, what is not, where a retry goes. Everything
 * runs on one loop; servers are small protocols of the test.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/future.h>
#include <weir/scope.h>
#include <weir/server.h>
#include <weir/task.h>

#include "host/generation/durable.h"
#include "host/upstream/upstream.h"
#include "tests/unit/host/host_test.h"

static struct durable_map *durables;
static weir_upstream *upstream;
static struct traffic traffic;
static weir_server *server;
static weir_transport *server_side; /* of the latest connection */
static unsigned accepted, lost;
static weir_future *on_lost, *on_server_lost;

/* The server: keeps what it accepts, answers nothing. */

static weir_error *server_made(weir_transport *transport, void *state, const void *config)
{
    (void)state;
    (void)config;
    server_side = transport;
    accepted++;
    return NULL;
}

static void server_lost(weir_transport *transport, void *state, const weir_error *reason)
{
    (void)state;
    (void)reason;
    if (server_side == transport)
        server_side = NULL;
    if (on_server_lost)
        weir_future_try_set_result(on_server_lost, NULL, NULL);
}

static const weir_protocol silent = {WEIR_SIZED(weir_protocol), .name = "silent",
                                     .connection_made = server_made,
                                     .connection_lost = server_lost};

/* The upstream protocol. */

struct client {
    unsigned uses;
};

static weir_error *client_received(weir_transport *transport, void *state, weir_slice data)
{
    (void)state;
    (void)data;
    /* Nobody asked for it. */
    weir_upstream_discard(transport);
    weir_transport_abort(transport, NULL);
    return NULL;
}

static void client_lost(weir_transport *transport, void *state, const weir_error *reason)
{
    (void)transport;
    (void)state;
    (void)reason;
    lost++;
    if (on_lost)
        weir_future_try_set_result(on_lost, NULL, NULL);
}

static const weir_protocol client = {
    WEIR_SIZED(weir_protocol), .name = "client", .state_size = sizeof(struct client),
    .data_received = client_received, .connection_lost = client_lost};
static const weir_upstream_protocol speaks = {WEIR_SIZED(weir_upstream_protocol), .name = "client",
                                              .protocol = &client};
static const weir_lease_options lease_options = {WEIR_SIZED(weir_lease_options),
                                                 .protocol = &speaks};

/* A socket that is bound and not listened on: connections are refused. */
static int dead_address(char *address, size_t size)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&in, len) ||
        getsockname(fd, (struct sockaddr *)&in, &len))
        abort();
    snprintf(address, size, "127.0.0.1:%u", ntohs(in.sin_port));
    return fd;
}

static weir_error *make_upstream(const char *const *addresses, size_t n, unsigned keepalive,
                                 unsigned retries, weir_duration idle)
{
    struct upstream_spec spec = {.name = "app",
                                 .addresses = addresses,
                                 .n_addresses = n,
                                 .connect_timeout = WEIR_S(5),
                                 .response_timeout = WEIR_S(5),
                                 .idle_timeout = idle,
                                 .keepalive = keepalive,
                                 .retries = retries,
                                 .n_loops = 1};

    return weir__upstream_new(&spec, durables, &upstream);
}

struct claim {
    weir_error *(*body)(const char *address);
    const char *listen;
};

static weir_error *run_claim(void *arg)
{
    const struct claim *claim = arg;
    weir_error *error;
    WEIR_TIMEOUT(all, WEIR_S(20));

    accepted = lost = 0;
    on_lost = on_server_lost = NULL;
    traffic = (struct traffic){.loop = weir_loop_current()};
    weir__traffic_enter(&traffic);
    WEIR_TRY(weir__durable_map_new(&durables));
    WEIR_TRY(weir_serve(traffic.loop, claim->listen, NULL, &silent, NULL, &server));
    error = claim->body(weir_server_name(server));
    on_lost = on_server_lost = NULL;
    if (upstream) {
        weir__upstream_clear_pools(upstream, &traffic);
        weir__upstream_unref(upstream);
        upstream = NULL;
    }
    weir_server_close(server);
    weir_server_abort_connections(server);
    weir_ignore(weir_server_wait_closed(server));
    weir_server_unref(server);
    weir__traffic_leave(&traffic);
    return error;
}

static void run(weir_error *(*body)(const char *address), const char *listen)
{
    struct claim claim = {body, listen};

    run_task(run_claim, &claim);
    weir__durable_map_free(durables);
}

#define CLAIM(name, listen)        \
    static void name(void **state) \
    {                              \
        (void)state;               \
        run(name##_body, listen);  \
    }

#define LOCAL "127.0.0.1:0"

static weir_error *one_server(const char *address)
{
    return make_upstream(&address, 1, 4, 1, WEIR_S(60));
}

static weir_error *a_connection_that_is_given_back_is_leased_again_body(const char *address)
{
    weir_lease *lease;
    weir_transport *first;

    WEIR_TRY(one_server(address));
    WEIR_TRY(weir_lease_take(upstream, &lease_options, &lease));
    CHECK(!weir_lease_reused(lease));
    CHECK(!strcmp(weir_lease_server(lease), address));
    CHECK(!weir_transport_is_reading(weir_lease_transport(lease)));
    first = weir_lease_transport(lease);
    ((struct client *)weir_lease_state(lease))->uses = 7;
    weir_lease_release(lease, WEIR_OUTCOME_OK, true);
    WEIR_TRY(weir_lease_take(upstream, &lease_options, &lease));
    CHECK(weir_lease_reused(lease));
    CHECK(weir_lease_transport(lease) == first);
    CHECK(((struct client *)weir_lease_state(lease))->uses == 7);
    CHECK(!weir_transport_is_reading(first));
    weir_lease_release(lease, WEIR_OUTCOME_OK, true);
    CHECK(accepted == 1);
    return NULL;
}

static void not_called(weir_lease *lease, weir_error *take_error, void *arg)
{
    (void)lease;
    (void)arg;
    weir_ignore(take_error);
    abort();
}

static weir_error *the_quick_way_gives_an_idle_connection_at_once_body(const char *address)
{
    weir_lease *lease, *other;

    WEIR_TRY(one_server(address));
    CHECK(!weir_lease_try(upstream, &lease_options, not_called, NULL, &lease));
    WEIR_TRY(weir_lease_take(upstream, &lease_options, &lease));
    weir_lease_release(lease, WEIR_OUTCOME_OK, true);
    CHECK(weir_lease_try(upstream, &lease_options, not_called, NULL, &lease));
    CHECK(weir_lease_transport(lease) != NULL);
    CHECK(!weir_lease_try(upstream, &lease_options, not_called, NULL, &other));
    weir_lease_release(lease, WEIR_OUTCOME_OK, true);
    return NULL;
}

static weir_error *a_connection_that_is_not_reusable_is_ended_body(const char *address)
{
    weir_auto(weir_future) gone = NULL;
    weir_lease *lease;

    WEIR_TRY(one_server(address));
    WEIR_TRY(weir_future_new(&gone));
    on_server_lost = gone;
    WEIR_TRY(weir_lease_take(upstream, &lease_options, &lease));
    weir_lease_release(lease, WEIR_OUTCOME_UPSTREAM_RESPONSE_BAD, false);
    WEIR_TRY(weir_await(gone));
    WEIR_TRY(weir_lease_take(upstream, &lease_options, &lease));
    CHECK(!weir_lease_reused(lease));
    weir_lease_release(lease, WEIR_OUTCOME_OK, true);
    CHECK(accepted == 2);
    return NULL;
}

static weir_error *
an_idle_connection_that_its_server_closes_leaves_the_pool_body(const char *address)
{
    weir_auto(weir_future) gone = NULL;
    weir_lease *lease;

    WEIR_TRY(one_server(address));
    WEIR_TRY(weir_future_new(&gone));
    WEIR_TRY(weir_lease_take(upstream, &lease_options, &lease));
    weir_lease_release(lease, WEIR_OUTCOME_OK, true);
    CHECK(upstream->servers[0]->pools[0].n_idle == 1);
    on_lost = gone;
    while (!server_side)
        WEIR_TRY(weir_sleep(WEIR_NS(0)));
    weir_transport_close(server_side);
    WEIR_TRY(weir_await(gone));
    WEIR_TRY(weir_sleep(WEIR_NS(0)));
    CHECK(upstream->servers[0]->pools[0].n_idle == 0);
    return NULL;
}

static weir_error *bytes_that_nobody_asked_for_end_an_idle_connection_body(const char *address)
{
    weir_auto(weir_future) gone = NULL;
    weir_lease *lease;

    WEIR_TRY(one_server(address));
    WEIR_TRY(weir_future_new(&gone));
    WEIR_TRY(weir_lease_take(upstream, &lease_options, &lease));
    weir_lease_release(lease, WEIR_OUTCOME_OK, true);
    on_lost = gone;
    while (!server_side)
        WEIR_TRY(weir_sleep(WEIR_NS(0)));
    WEIR_TRY(weir_transport_write(server_side, WEIR_SLICE("HTTP/1.1 408\r\n")));
    WEIR_TRY(weir_await(gone));
    CHECK(upstream->servers[0]->pools[0].n_idle == 0);
    CHECK(!weir_lease_try(upstream, &lease_options, not_called, NULL, &lease));
    return NULL;
}

static weir_error *no_more_connections_are_kept_than_said_body(const char *address)
{
    weir_lease *one, *two;

    WEIR_TRY(make_upstream(&address, 1, 1, 1, WEIR_S(60)));
    WEIR_TRY(weir_lease_take(upstream, &lease_options, &one));
    WEIR_TRY(weir_lease_take(upstream, &lease_options, &two));
    weir_lease_release(one, WEIR_OUTCOME_OK, true);
    weir_lease_release(two, WEIR_OUTCOME_OK, true);
    CHECK(upstream->servers[0]->pools[0].n_idle == 1);
    return NULL;
}

static weir_error *an_idle_connection_ends_after_its_time_body(const char *address)
{
    weir_auto(weir_future) gone = NULL;
    weir_lease *lease;

    WEIR_TRY(make_upstream(&address, 1, 4, 1, WEIR_MS(5)));
    WEIR_TRY(weir_future_new(&gone));
    WEIR_TRY(weir_lease_take(upstream, &lease_options, &lease));
    on_lost = gone;
    weir_lease_release(lease, WEIR_OUTCOME_OK, true);
    WEIR_TRY(weir_await(gone));
    CHECK(upstream->servers[0]->pools[0].n_idle == 0);
    return NULL;
}

static weir_error *a_server_that_refuses_is_passed_over_at_once_body(const char *address)
{
    char dead[64];
    int fd = dead_address(dead, sizeof dead);
    const char *const addresses[] = {dead, address};
    weir_lease *lease;

    WEIR_TRY(make_upstream(addresses, 2, 4, 1, WEIR_S(60)));
    WEIR_TRY(weir_lease_take(upstream, &lease_options, &lease));
    CHECK(!strcmp(weir_lease_server(lease), address));
    CHECK(weir_lease_retries(lease) == 1);
    weir_lease_release(lease, WEIR_OUTCOME_OK, true);
    for (int i = 0; i < 3; i++) {
        WEIR_TRY(weir_lease_take(upstream, &lease_options, &lease));
        CHECK(weir_lease_reused(lease));
        CHECK(weir_lease_retries(lease) == 0);
        weir_lease_release(lease, WEIR_OUTCOME_OK, true);
    }
    close(fd);
    return NULL;
}

static weir_error *without_retries_the_refusal_is_told_body(const char *address)
{
    char dead[64];
    int fd = dead_address(dead, sizeof dead);
    const char *const addresses[] = {dead, address};
    weir_lease *lease = NULL;
    weir_error *error;

    WEIR_TRY(make_upstream(addresses, 2, 4, 0, WEIR_S(60)));
    error = weir_lease_take(upstream, &lease_options, &lease);
    CHECK(weir_outcome_of_connect(error) == WEIR_OUTCOME_UPSTREAM_CONNECT_REFUSED);
    weir_error_unref(error);
    close(fd);
    return NULL;
}

static weir_error *a_retry_goes_to_another_server_body(const char *address)
{
    weir_server *second;
    const char *addresses[2] = {address};
    char first[100];
    weir_lease *lease;
    weir_error *error;

    WEIR_TRY(weir_serve(traffic.loop, LOCAL, NULL, &silent, NULL, &second));
    addresses[1] = weir_server_name(second);
    WEIR_TRY(make_upstream(addresses, 2, 4, 1, WEIR_S(60)));
    WEIR_TRY(weir_lease_take(upstream, &lease_options, &lease));
    snprintf(first, sizeof first, "%s", weir_lease_server(lease));
    WEIR_TRY(weir_lease_retry(lease, WEIR_OUTCOME_UPSTREAM_RESET));
    CHECK(strcmp(first, weir_lease_server(lease)) != 0);
    CHECK(weir_lease_retries(lease) == 1);
    error = weir_lease_retry(lease, WEIR_OUTCOME_UPSTREAM_RESET);
    CHECK(weir_error_is(error, WEIR_ELIMIT));
    weir_error_unref(error);
    weir_lease_release(lease, WEIR_OUTCOME_UPSTREAM_RESET, false);
    weir_server_close(second);
    weir_server_abort_connections(second);
    weir_server_unref(second);
    return NULL;
}

static weir_error *a_dead_pooled_connection_is_replaced_and_not_counted_body(const char *address)
{
    weir_lease *lease;

    WEIR_TRY(make_upstream(&address, 1, 4, 0, WEIR_S(60)));
    WEIR_TRY(weir_lease_take(upstream, &lease_options, &lease));
    weir_lease_release(lease, WEIR_OUTCOME_OK, true);
    WEIR_TRY(weir_lease_take(upstream, &lease_options, &lease));
    CHECK(weir_lease_reused(lease));
    WEIR_TRY(weir_lease_retry(lease, WEIR_OUTCOME_UPSTREAM_RESET));
    CHECK(!weir_lease_reused(lease));
    CHECK(weir_lease_retries(lease) == 0);
    CHECK(!strcmp(weir_lease_server(lease), address));
    weir_lease_release(lease, WEIR_OUTCOME_OK, true);
    return NULL;
}

static weir_error *a_lease_released_while_it_connects_calls_nobody_body(const char *address)
{
    weir_lease *lease;

    WEIR_TRY(one_server(address));
    WEIR_TRY(weir_lease_start(upstream, &lease_options, not_called, NULL, &lease));
    CHECK(weir_lease_transport(lease) == NULL);
    weir_lease_release(lease, WEIR_OUTCOME_CLIENT_GONE, false);
    for (int i = 0; i < 5; i++)
        WEIR_TRY(weir_sleep(WEIR_MS(1)));
    return NULL;
}

static weir_error *
a_lease_released_before_it_is_told_goes_back_to_the_pool_body(const char *address)
{
    weir_lease *lease;

    WEIR_TRY(one_server(address));
    WEIR_TRY(weir_lease_take(upstream, &lease_options, &lease));
    weir_lease_release(lease, WEIR_OUTCOME_OK, true);
    WEIR_TRY(weir_lease_start(upstream, &lease_options, not_called, NULL, &lease));
    weir_lease_release(lease, WEIR_OUTCOME_CLIENT_GONE, false);
    CHECK(upstream->servers[0]->pools[0].n_idle == 1);
    return NULL;
}

static weir_error *servers_on_unix_sockets_are_reached_body(const char *address)
{
    weir_lease *lease;

    CHECK(!strncmp(address, "unix:", 5));
    WEIR_TRY(one_server(address));
    WEIR_TRY(weir_lease_take(upstream, &lease_options, &lease));
    weir_lease_release(lease, WEIR_OUTCOME_OK, true);
    return NULL;
}

static weir_error *a_draining_loop_keeps_nothing_body(const char *address)
{
    weir_lease *lease;

    WEIR_TRY(one_server(address));
    WEIR_TRY(weir_lease_take(upstream, &lease_options, &lease));
    traffic.draining = true;
    weir_lease_release(lease, WEIR_OUTCOME_OK, true);
    CHECK(upstream->servers[0]->pools[0].n_idle == 0);
    return NULL;
}

CLAIM(a_connection_that_is_given_back_is_leased_again, LOCAL)
CLAIM(the_quick_way_gives_an_idle_connection_at_once, LOCAL)
CLAIM(a_connection_that_is_not_reusable_is_ended, LOCAL)
CLAIM(an_idle_connection_that_its_server_closes_leaves_the_pool, LOCAL)
CLAIM(bytes_that_nobody_asked_for_end_an_idle_connection, LOCAL)
CLAIM(no_more_connections_are_kept_than_said, LOCAL)
CLAIM(an_idle_connection_ends_after_its_time, LOCAL)
CLAIM(a_server_that_refuses_is_passed_over_at_once, LOCAL)
CLAIM(without_retries_the_refusal_is_told, LOCAL)
CLAIM(a_retry_goes_to_another_server, LOCAL)
CLAIM(a_dead_pooled_connection_is_replaced_and_not_counted, LOCAL)
CLAIM(a_lease_released_while_it_connects_calls_nobody, LOCAL)
CLAIM(a_lease_released_before_it_is_told_goes_back_to_the_pool, LOCAL)
CLAIM(a_draining_loop_keeps_nothing, LOCAL)

static void servers_on_unix_sockets_are_reached(void **state)
{
    char *folder = new_folder(), listen[200];

    (void)state;
    snprintf(listen, sizeof listen, "unix:%s/socket", folder);
    run(servers_on_unix_sockets_are_reached_body, listen);
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_that_is_given_back_is_leased_again),
        cmocka_unit_test(the_quick_way_gives_an_idle_connection_at_once),
        cmocka_unit_test(a_connection_that_is_not_reusable_is_ended),
        cmocka_unit_test(an_idle_connection_that_its_server_closes_leaves_the_pool),
        cmocka_unit_test(bytes_that_nobody_asked_for_end_an_idle_connection),
        cmocka_unit_test(no_more_connections_are_kept_than_said),
        cmocka_unit_test(an_idle_connection_ends_after_its_time),
        cmocka_unit_test(a_server_that_refuses_is_passed_over_at_once),
        cmocka_unit_test(without_retries_the_refusal_is_told),
        cmocka_unit_test(a_retry_goes_to_another_server),
        cmocka_unit_test(a_dead_pooled_connection_is_replaced_and_not_counted),
        cmocka_unit_test(a_lease_released_while_it_connects_calls_nobody),
        cmocka_unit_test(a_lease_released_before_it_is_told_goes_back_to_the_pool),
        cmocka_unit_test(servers_on_unix_sockets_are_reached),
        cmocka_unit_test(a_draining_loop_keeps_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
