/* SPDX-License-Identifier: Apache-2.0 */
/* Happy eyeballs: which address is tried when, and what becomes of the others. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <weir/scope.h>

#include "core/base/alloc.h"
#include "core/net/resolver.h"
#include "tests/unit/net/dns_server.h"
#include "tests/unit/net/net_test.h"

static weir_loop *loop(void)
{
    return weir_loop_current();
}

static weir_error *use_server(weir_resolver_prefer prefer)
{
    weir_resolver_options options = {WEIR_SIZED(weir_resolver_options), .servers = dns_servers,
                                     .timeout = WEIR_S(10), .prefer = prefer};

    dns_server_reset();
    return weir_resolver_configure(loop(), &options);
}

/* Connects to `name` at the port of a server on `listen`; how long it took. */
static weir_error *timed_connect(const char *listen, const char *name, int64_t *ret_took)
{
    struct record record = {0};
    weir_server *server;
    weir_stream *s;
    weir_instant start;
    char target[80];

    CHECK_OK(weir_serve(loop(), listen, NULL, &recording, &record, &server));
    snprintf(target, sizeof(target), "%s%s", name, strrchr(weir_server_name(server), ':'));
    start = weir_now();
    CHECK_OK(weir_connect(target, NULL, &s));
    *ret_took = weir_now().ns - start.ns;
    CHECK_OK(weir_stream_close(s));
    return end_server(server);
}

static weir_error *T64_ipv4_waits_50_ms_for_ipv6_and_no_longer(void *arg)
{
    int64_t took;

    (void)arg;
    CHECK_OK(use_server(WEIR_PREFER_AUTO));
    CHECK_OK(timed_connect("127.0.0.7:0", "late6.test", &took));
    CHECK(took >= 50 * 1000000 && took < 5000 * 1000000LL);
    return NULL;
}
IN_LOOP(T64_ipv4_waits_50_ms_for_ipv6_and_no_longer)

static weir_error *T64_ipv6_waits_for_nobody(void *arg)
{
    int64_t took;

    (void)arg;
    CHECK_OK(use_server(WEIR_PREFER_AUTO));
    CHECK_OK(timed_connect("[::1]:0", "late4.test", &took));
    CHECK(took < 5000 * 1000000LL);
    return NULL;
}
IN_LOOP(T64_ipv6_waits_for_nobody)

static char hosts_path[] = "/tmp/weir-hosts-XXXXXX";

static bool use_hosts(const char *text)
{
    int fd;

    memcpy(hosts_path + strlen(hosts_path) - 6, "XXXXXX", 6);
    fd = mkstemp(hosts_path);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        return false;
    close(fd);
    weir__hosts_path = hosts_path;
    return true;
}

static void drop_hosts(void)
{
    unlink(hosts_path);
    weir__hosts_path = "/dev/null";
}

/* In which order addresses that all refuse were tried: "(127.0.0.2 (::1 …". */
static weir_error *order_of(unsigned interleave, const char *wanted)
{
    weir_connect_options options = {WEIR_SIZED(weir_connect_options), .interleave = interleave};
    char name[64], target[80], text[2048], order[256] = "";
    int holder = refusing_port(name, sizeof(name));
    weir_stream *s;
    weir_error *error;

    snprintf(target, sizeof(target), "many.hosts%s", strrchr(name, ':'));
    error = weir_connect(target, &options, &s);
    CHECK(weir_error_is(error, ECONNREFUSED));
    weir_error_print(error, text, sizeof(text));
    weir_error_unref(error);
    for (const char *at = strchr(text, '('); at; at = strchr(at + 1, '(')) {
        size_t len = strlen(order);

        if (at[1] == '1')
            snprintf(order + len, sizeof(order) - len, "%.*s ", (int)strcspn(at + 1, ":"), at + 1);
        else if (at[1] == '[')
            snprintf(order + len, sizeof(order) - len, "v6 ");
    }
    close(holder);
    if (strcmp(order, wanted) != 0)
        return check_failed(WEIR_HERE, order);
    return NULL;
}

static weir_error *T64_families_take_turns_after_the_first_ones(void *arg)
{
    (void)arg;
    CHECK(use_hosts("127.0.0.2 many.hosts\n127.0.0.3 many.hosts\n127.0.0.4 many.hosts\n"
                    "::1 many.hosts\n"));
    CHECK_OK(use_server(WEIR_PREFER_IPV4));
    CHECK_OK(order_of(0, "127.0.0.2 v6 127.0.0.3 127.0.0.4 "));
    CHECK_OK(order_of(2, "127.0.0.2 127.0.0.3 v6 127.0.0.4 "));
    drop_hosts();
    return NULL;
}
IN_LOOP(T64_families_take_turns_after_the_first_ones)

/* Listens on `bytes` and answers nobody. */
struct silent {
    int fd, fill[4];
    char port[8];
};

static bool silent_start(struct silent *silent, uint32_t host)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host)};
    socklen_t length = sizeof(in);

    silent->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(silent->fd, (struct sockaddr *)&in, length) != 0 || listen(silent->fd, 0) != 0 ||
        getsockname(silent->fd, (struct sockaddr *)&in, &length) != 0)
        return false;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    snprintf(silent->port, sizeof(silent->port), ":%u", ntohs(in.sin_port));
    for (int i = 0; i < 4; i++) {
        silent->fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(silent->fill[i], (struct sockaddr *)&in, length);
    }
    return true;
}

static void silent_stop(const struct silent *silent)
{
    for (int i = 0; i < 4; i++)
        close(silent->fill[i]);
    close(silent->fd);
}

static void never(weir_transport *transport, weir_error *take_error, void *arg)
{
    (void)transport;
    ++*(int *)arg;
    weir_ignore(take_error);
}

static weir_error *T64_cancelling_closes_the_sockets_of_all_attempts(void *arg)
{
    weir_connect_options options = {WEIR_SIZED(weir_connect_options), .attempt_delay = WEIR_MS(10)};
    struct record record = {0};
    weir_connecting *connecting;
    struct silent silent;
    weir_addresses *addresses;
    char target[80];
    size_t before;
    int calls = 0;

    (void)arg;
    CHECK(silent_start(&silent, INADDR_ANY));
    CHECK(use_hosts("127.0.0.1 many.hosts\n127.0.0.2 many.hosts\n127.0.0.3 many.hosts\n"));
    snprintf(target, sizeof(target), "many.hosts%s", silent.port);
    CHECK_OK(use_server(WEIR_PREFER_AUTO));
    CHECK_OK(weir_resolve("many.hosts", 1, &addresses)); /* the executor has its descriptors */
    weir_addresses_unref(addresses);
    before = count_descriptors();
    CHECK_OK(weir_connect_start(loop(), target, &options, &recording, &record, never, &calls,
                                &connecting));
    UNTIL(count_descriptors() == before + 3);
    weir_connecting_cancel(connecting);
    UNTIL(count_descriptors() == before);
    CHECK(calls == 0);
    drop_hosts();
    silent_stop(&silent);
    return NULL;
}
IN_LOOP(T64_cancelling_closes_the_sockets_of_all_attempts)

static weir_error *T64_delay_between_attempts_is_an_option(void *arg)
{
    weir_connect_options options = {WEIR_SIZED(weir_connect_options), .attempt_delay = WEIR_MS(20)};
    struct record record = {0};
    struct silent silent;
    weir_server *server;
    weir_stream *s;
    weir_instant start;
    char target[80], address[80];

    (void)arg;
    CHECK(silent_start(&silent, INADDR_LOOPBACK));
    CHECK(use_hosts("127.0.0.1 two.hosts\n127.0.0.3 two.hosts\n"));
    CHECK_OK(use_server(WEIR_PREFER_AUTO));
    snprintf(address, sizeof(address), "127.0.0.3%s", silent.port);
    snprintf(target, sizeof(target), "two.hosts%s", silent.port);
    CHECK_OK(weir_serve(loop(), address, NULL, &recording, &record, &server));
    start = weir_now();
    CHECK_OK(weir_connect(target, &options, &s));
    CHECK(weir_now().ns - start.ns >= 20 * 1000000);
    CHECK_OK(weir_stream_close(s));
    /* One after the other only: the second never gets its turn. */
    options.attempt_delay = WEIR_FOREVER;
    options.timeout = WEIR_MS(400);
    CHECK_CODE(weir_connect(target, &options, &s), ETIMEDOUT);
    CHECK_OK(end_server(server));
    drop_hosts();
    silent_stop(&silent);
    return NULL;
}
IN_LOOP(T64_delay_between_attempts_is_an_option)

static weir_error *T64_a_local_address_of_another_family_is_said(void *arg)
{
    weir_connect_options options = {WEIR_SIZED(weir_connect_options), .local_address = "127.0.0.1"};
    char text[256];
    weir_stream *s;
    weir_error *error = weir_connect("[::1]:9", &options, &s);

    (void)arg;
    CHECK(weir_error_is(error, EAFNOSUPPORT));
    weir_error_message(error, text, sizeof(text));
    weir_error_unref(error);
    CHECK(strstr(text, "the local address is of another family"));
    return NULL;
}
IN_LOOP(T64_a_local_address_of_another_family_is_said)

/* Every allocation on the way fails once: an error or success, never a hang, a crash or a leak. */
static weir_error *want_of_memory_ends_as_an_error_wherever_it_comes(void *arg)
{
    struct record record = {0};
    weir_server *server;
    char target[80];
    bool reached = true;

    (void)arg;
    CHECK_OK(weir_serve(loop(), "127.0.0.6:0", NULL, &recording, &record, &server));
    snprintf(target, sizeof(target), "both.test%s", strrchr(weir_server_name(server), ':'));
    CHECK_OK(use_server(WEIR_PREFER_AUTO));
    for (unsigned long nth = 1; reached && nth < 200; nth++) {
        WEIR_TIMEOUT(limit, WEIR_S(5));
        weir_stream *s = NULL;
        weir_error *error;

        weir_resolver_flush(loop(), NULL);
        weir__alloc_fail_nth = nth;
        error = weir_connect(target, NULL, &s);
        reached = weir__alloc_fail_nth == 0;
        weir__alloc_fail_nth = 0;
        CHECK(!weir_timeout_expired(&limit));
        weir_ignore(error);
        if (!error)
            CHECK_OK(weir_stream_close(s));
        CHECK(error || s);
    }
    CHECK(!reached);
    return end_server(server);
}
IN_LOOP(want_of_memory_ends_as_an_error_wherever_it_comes)

static weir_error *want_of_memory_in_a_query_ends_as_an_error(void *arg)
{
    bool reached = true;

    (void)arg;
    CHECK_OK(use_server(WEIR_PREFER_AUTO));
    for (unsigned long nth = 1; reached && nth < 200; nth++) {
        WEIR_TIMEOUT(limit, WEIR_S(5));
        weir_dns_records *records = NULL;
        weir_error *error;

        weir_resolver_flush(loop(), NULL);
        weir__alloc_fail_nth = nth;
        error = weir_dns_query("_app._tcp.test", WEIR_DNS_SRV, &records);
        reached = weir__alloc_fail_nth == 0;
        weir__alloc_fail_nth = 0;
        CHECK(!weir_timeout_expired(&limit));
        CHECK(error || records);
        weir_ignore(error);
        weir_dns_records_unref(records);
    }
    CHECK(!reached);
    return NULL;
}
IN_LOOP(want_of_memory_in_a_query_ends_as_an_error)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T64_ipv4_waits_50_ms_for_ipv6_and_no_longer),
        IN_LOOP_TEST(T64_ipv6_waits_for_nobody),
        IN_LOOP_TEST(T64_families_take_turns_after_the_first_ones),
        IN_LOOP_TEST(T64_cancelling_closes_the_sockets_of_all_attempts),
        IN_LOOP_TEST(T64_delay_between_attempts_is_an_option),
        IN_LOOP_TEST(T64_a_local_address_of_another_family_is_said),
        IN_LOOP_TEST(want_of_memory_ends_as_an_error_wherever_it_comes),
        IN_LOOP_TEST(want_of_memory_in_a_query_ends_as_an_error),
    };

    return cmocka_run_group_tests_name("eyeballs", tests, dns_server_start, dns_server_stop);
}
