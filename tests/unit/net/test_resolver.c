/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: literals, localhost, hosts, and DNS against a server of our own in a thread, which answers
 * by name: "four.test" A only, "both.test" A and AAAA, "short.test" with a TTL of 0, "none.test" no
 * such name, "fail.test" SERVFAIL, "silent.test" nothing at all, "half.test" only that it has no AAAA.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <weir/scope.h>

#include "core/net/resolver.h"
#include "tests/unit/net/net_test.h"

/* The server */

struct dns_server {
    int fd, stop[2];
    pthread_t thread;
    atomic_int queries;
    char servers[64];
};

static struct dns_server dns;

/* The name of the question as text; its length on the wire. */
static size_t question_name(const unsigned char *wire, char *name, size_t size)
{
    size_t at = 0, len = 0;

    while (wire[at] && len + wire[at] + 2 < size) {
        if (len)
            name[len++] = '.';
        memcpy(name + len, wire + at + 1, wire[at]);
        len += wire[at];
        at += wire[at] + 1u;
    }
    name[len] = '\0';
    return at + 1;
}

static size_t put_answer(unsigned char *place, unsigned type, uint32_t ttl, const char *address)
{
    size_t len = type == 1 ? 4 : 16;
    unsigned char head[12] = {0xc0,
                              12,
                              0,
                              (unsigned char)type,
                              0,
                              1,
                              (unsigned char)(ttl >> 24),
                              (unsigned char)(ttl >> 16),
                              (unsigned char)(ttl >> 8),
                              (unsigned char)ttl,
                              0,
                              (unsigned char)len};

    memcpy(place, head, sizeof(head));
    inet_pton(type == 1 ? AF_INET : AF_INET6, address, place + sizeof(head));
    return sizeof(head) + len;
}

static void answer(const unsigned char *query, size_t len, const struct sockaddr_in *peer)
{
    unsigned char reply[512];
    unsigned type, code = 0, answers = 0;
    char name[256];
    size_t end = 12 + question_name(query + 12, name, sizeof(name)) + 4;

    (void)len;
    type = query[end - 3];
    atomic_fetch_add(&dns.queries, 1);
    memcpy(reply, query, end);
    if (strcmp(name, "silent.test") == 0 || (type == 1 && strcmp(name, "half.test") == 0))
        return;
    if (strcmp(name, "none.test") == 0)
        code = 3;
    if (strcmp(name, "fail.test") == 0)
        code = 2;
    reply[2] = 0x81;
    reply[3] = (unsigned char)(0x80 | code);
    memset(reply + 8, 0, 4);
    if (type == 1 && strcmp(name, "four.test") == 0)
        end += put_answer(reply + end, 1, 60, "127.0.0.4"), answers++;
    if (type == 1 && strcmp(name, "short.test") == 0)
        end += put_answer(reply + end, 1, 0, "127.0.0.5"), answers++;
    if (type == 1 && strcmp(name, "both.test") == 0)
        end += put_answer(reply + end, 1, 60, "127.0.0.6"), answers++;
    if (type == 28 && strcmp(name, "both.test") == 0)
        end += put_answer(reply + end, 28, 60, "::1"), answers++;
    reply[6] = 0;
    reply[7] = (unsigned char)answers;
    sendto(dns.fd, reply, end, 0, (const struct sockaddr *)peer, sizeof(*peer));
}

static void *serve_dns(void *arg)
{
    (void)arg;
    for (;;) {
        struct pollfd fds[2] = {{.fd = dns.fd, .events = POLLIN},
                                {.fd = dns.stop[0], .events = POLLIN}};
        struct sockaddr_in peer;
        socklen_t length = sizeof(peer);
        unsigned char query[512];
        ssize_t n;

        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents)
            return NULL;
        n = recvfrom(dns.fd, query, sizeof(query), 0, (struct sockaddr *)&peer, &length);
        if (n > 16)
            answer(query, (size_t)n, &peer);
    }
}

static int start_dns(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);

    (void)state;
    dns.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (dns.fd < 0 || pipe(dns.stop) != 0 ||
        bind(dns.fd, (struct sockaddr *)&address, length) != 0 ||
        getsockname(dns.fd, (struct sockaddr *)&address, &length) != 0)
        return 1;
    snprintf(dns.servers, sizeof(dns.servers), "127.0.0.1:%u", ntohs(address.sin_port));
    weir__hosts_path = "/dev/null";
    weir__resolv_path = "/dev/null";
    return pthread_create(&dns.thread, NULL, serve_dns, NULL);
}

static int stop_dns(void **state)
{
    (void)state;
    close(dns.stop[1]);
    pthread_join(dns.thread, NULL);
    close(dns.stop[0]);
    close(dns.fd);
    return 0;
}

/* Asking */

static weir_error *use_server(void)
{
    weir_resolver_options options = {WEIR_SIZED(weir_resolver_options), .servers = dns.servers,
                                     .timeout = WEIR_MS(100), .tries = 2};

    atomic_store(&dns.queries, 0);
    return weir_resolver_configure(weir_loop_current(), &options);
}

/* "127.0.0.4:80 [::1]:80" */
static weir_error *resolved(const char *host, const char *wanted)
{
    weir_addresses *addresses;
    char text[512] = "", name[80];

    CHECK_OK(weir_resolve(host, 80, &addresses));
    for (size_t i = 0; i < weir_addresses_count(addresses); i++) {
        size_t length, len = strlen(text);
        const struct sockaddr *address = weir_addresses_get(addresses, i, &length);

        weir__address_name(address, (socklen_t)length, name, sizeof(name));
        snprintf(text + len, sizeof(text) - len, "%s%s", len ? " " : "", name);
    }
    weir_addresses_unref(addresses);
    if (strcmp(text, wanted) != 0)
        return check_failed(WEIR_HERE, text);
    return NULL;
}

static weir_error *literals_and_localhost_need_no_server(void *arg)
{
    (void)arg;
    CHECK_OK(use_server());
    CHECK_OK(resolved("192.0.2.7", "192.0.2.7:80"));
    CHECK_OK(resolved("2001:db8::7", "[2001:db8::7]:80"));
    CHECK_OK(resolved("localhost", "127.0.0.1:80 [::1]:80"));
    CHECK_OK(resolved("App.LocalHost.", "127.0.0.1:80 [::1]:80"));
    CHECK(atomic_load(&dns.queries) == 0);
    return NULL;
}
IN_LOOP(literals_and_localhost_need_no_server)

static weir_error *an_answer_is_asked_for_once_while_it_is_good(void *arg)
{
    (void)arg;
    CHECK_OK(use_server());
    CHECK_OK(resolved("four.test", "127.0.0.4:80"));
    CHECK(atomic_load(&dns.queries) == 2); /* A and AAAA */
    CHECK_OK(resolved("FOUR.test.", "127.0.0.4:80"));
    CHECK(atomic_load(&dns.queries) == 2);
    return NULL;
}
IN_LOOP(an_answer_is_asked_for_once_while_it_is_good)

static weir_error *B6_debug_mode_tells_how_long_a_look_up_took(void *arg)
{
    weir_logger *logger = weir_logger_get("weir.dns");
    weir_addresses *addresses;
    char log[4096];

    (void)arg;
    CHECK_OK(use_server());
    capture_log_begin();
    weir_logger_set_level(logger, WEIR_LOG_DEBUG);
    weir_loop_set_debug(weir_loop_current(), true);
    CHECK_OK(weir_resolve("four.test", 80, &addresses));
    weir_addresses_unref(addresses);
    weir_loop_set_debug(weir_loop_current(), false);
    weir_logger_set_level(logger, 0);
    capture_log_end(log, sizeof(log));
    CHECK(strstr(log, "weir.dns") && strstr(log, "Getting address info of \"four.test\" took ") &&
          strstr(log, " addresses"));
    return NULL;
}
IN_LOOP(B6_debug_mode_tells_how_long_a_look_up_took)

static weir_error *families_alternate(void *arg)
{
    weir_addresses *addresses;

    (void)arg;
    CHECK_OK(use_server());
    CHECK_OK(weir_resolve("both.test", 80, &addresses));
    CHECK(weir_addresses_count(addresses) == 2);
    weir_addresses_unref(addresses);
    return NULL;
}
IN_LOOP(families_alternate)

static weir_error *a_short_ttl_is_kept_for_the_minimum(void *arg)
{
    weir_resolver_options options = {WEIR_SIZED(weir_resolver_options), .servers = dns.servers,
                                     .min_ttl = WEIR_MS(30)};

    (void)arg;
    atomic_store(&dns.queries, 0);
    CHECK_OK(weir_resolver_configure(weir_loop_current(), &options));
    CHECK_OK(resolved("short.test", "127.0.0.5:80"));
    CHECK_OK(resolved("short.test", "127.0.0.5:80"));
    CHECK(atomic_load(&dns.queries) == 2);
    CHECK_OK(weir_sleep(WEIR_MS(40)));
    CHECK_OK(resolved("short.test", "127.0.0.5:80"));
    CHECK(atomic_load(&dns.queries) == 4);
    return NULL;
}
IN_LOOP(a_short_ttl_is_kept_for_the_minimum)

static weir_error *no_such_name_is_remembered(void *arg)
{
    weir_addresses *addresses;

    (void)arg;
    CHECK_OK(use_server());
    CHECK_CODE(weir_resolve("none.test", 80, &addresses), WEIR_ENONAME);
    CHECK(atomic_load(&dns.queries) == 2);
    CHECK_CODE(weir_resolve("none.test", 80, &addresses), WEIR_ENONAME);
    CHECK(atomic_load(&dns.queries) == 2);
    return NULL;
}
IN_LOOP(no_such_name_is_remembered)

static weir_error *a_failing_server_is_no_missing_name_and_not_remembered(void *arg)
{
    weir_addresses *addresses;
    int queries;

    (void)arg;
    CHECK_OK(use_server());
    CHECK_CODE(weir_resolve("fail.test", 80, &addresses), WEIR_EDNS);
    queries = atomic_load(&dns.queries);
    CHECK(queries >= 2);
    CHECK_CODE(weir_resolve("fail.test", 80, &addresses), WEIR_EDNS);
    CHECK(atomic_load(&dns.queries) > queries);
    return NULL;
}
IN_LOOP(a_failing_server_is_no_missing_name_and_not_remembered)

static weir_error *silence_times_out(void *arg)
{
    weir_addresses *addresses;

    (void)arg;
    CHECK_OK(use_server());
    CHECK_CODE(weir_resolve("silent.test", 80, &addresses), WEIR_ETIMEDOUT);
    return NULL;
}
IN_LOOP(silence_times_out)

static weir_error *silence_about_one_family_is_no_missing_name(void *arg)
{
    weir_addresses *addresses;

    (void)arg;
    CHECK_OK(use_server());
    CHECK_CODE(weir_resolve("half.test", 80, &addresses), WEIR_ETIMEDOUT);
    return NULL;
}
IN_LOOP(silence_about_one_family_is_no_missing_name)

static void count_done(weir_addresses *take, weir_error *take_error, void *arg)
{
    ++*(int *)arg;
    weir_addresses_unref(take);
    weir_ignore(take_error);
}

static weir_error *all_who_ask_share_one_look_up_and_may_leave_it(void *arg)
{
    weir_resolving *leaving;
    int done = 0, left = 0;

    (void)arg;
    CHECK_OK(use_server());
    CHECK_OK(weir_resolve_start(weir_loop_current(), "four.test", 80, count_done, &done, NULL));
    CHECK_OK(weir_resolve_start(weir_loop_current(), "four.test", 81, count_done, &left, &leaving));
    CHECK_OK(weir_resolve_start(weir_loop_current(), "four.test", 82, count_done, &done, NULL));
    CHECK(done == 0);
    weir_resolving_cancel(leaving);
    UNTIL(done == 2);
    SETTLE();
    CHECK(left == 0);
    CHECK(atomic_load(&dns.queries) == 2);
    return NULL;
}
IN_LOOP(all_who_ask_share_one_look_up_and_may_leave_it)

static weir_error *cancelled_look_up_leaves_nothing_behind(void *arg)
{
    weir_addresses *addresses;

    (void)arg;
    CHECK_OK(use_server());
    {
        WEIR_TIMEOUT(soon, WEIR_MS(20));
        CHECK_CODE(weir_resolve("silent.test", 80, &addresses), WEIR_ETIMEDOUT);
    }
    CHECK_OK(resolved("four.test", "127.0.0.4:80"));
    return NULL;
}
IN_LOOP(cancelled_look_up_leaves_nothing_behind)

static weir_error *names_that_cannot_be_are_refused_at_once(void *arg)
{
    char long_name[400];
    weir_addresses *addresses;

    (void)arg;
    memset(long_name, 'a', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    CHECK_CODE(weir_resolve("", 80, &addresses), WEIR_EINVAL);
    CHECK_CODE(weir_resolve(long_name, 80, &addresses), WEIR_EINVAL);
    return NULL;
}
IN_LOOP(names_that_cannot_be_are_refused_at_once)

/* Parts */

static void hosts_and_resolv_conf_are_read(void **state)
{
    char hosts[] = "/tmp/weir-hosts-XXXXXX", resolv[] = "/tmp/weir-resolv-XXXXXX";
    const char hosts_text[] = "# comment\n127.0.0.8\tApp.Test app # x\n\n::8 app.test\nbad line\n";
    const char resolv_text[] = "nameserver 192.0.2.1\nnameserver 2001:db8::1 # x\nnameserver no\n"
                               "search one.test two.test\noptions rotate ndots:3\n";
    struct name_files *files;
    struct found found;
    int h = mkstemp(hosts), r = mkstemp(resolv);

    (void)state;
    assert_int_equal(write(h, hosts_text, strlen(hosts_text)), strlen(hosts_text));
    assert_int_equal(write(r, resolv_text, strlen(resolv_text)), strlen(resolv_text));
    close(h);
    close(r);
    files = weir__name_files_read(hosts, resolv);
    assert_non_null(files);
    assert_string_equal(files->servers, "192.0.2.1:53,[2001:db8::1]:53");
    assert_int_equal(files->domain_count, 2);
    assert_string_equal(files->domains[1], "two.test");
    assert_int_equal(files->ndots, 3);
    assert_int_equal(weir__name_files_find(files, "app.test", &found), 2);
    assert_int_equal(weir__name_files_find(files, "app", &found), 1);
    assert_int_equal(weir__name_files_find(files, "line", &found), 0);
    weir__name_files_free(files);
    unlink(hosts);
    unlink(resolv);
}

static void the_cache_drops_what_was_not_used_for_longest(void **state)
{
    struct cache *cache = weir__cache_new(2);
    struct found found = {.code = WEIR_ENONAME};

    (void)state;
    weir__cache_put(cache, "a", 100, &found);
    weir__cache_put(cache, "b", 100, &found);
    assert_true(weir__cache_get(cache, "a", 0, &found));
    weir__cache_put(cache, "c", 100, &found);
    assert_true(weir__cache_get(cache, "a", 99, &found));
    assert_false(weir__cache_get(cache, "b", 0, &found));
    assert_false(weir__cache_get(cache, "c", 100, &found));
    weir__cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(literals_and_localhost_need_no_server),
        IN_LOOP_TEST(an_answer_is_asked_for_once_while_it_is_good),
        IN_LOOP_TEST(B6_debug_mode_tells_how_long_a_look_up_took),
        IN_LOOP_TEST(families_alternate),
        IN_LOOP_TEST(a_short_ttl_is_kept_for_the_minimum),
        IN_LOOP_TEST(no_such_name_is_remembered),
        IN_LOOP_TEST(a_failing_server_is_no_missing_name_and_not_remembered),
        IN_LOOP_TEST(silence_times_out),
        IN_LOOP_TEST(silence_about_one_family_is_no_missing_name),
        IN_LOOP_TEST(all_who_ask_share_one_look_up_and_may_leave_it),
        IN_LOOP_TEST(cancelled_look_up_leaves_nothing_behind),
        IN_LOOP_TEST(names_that_cannot_be_are_refused_at_once),
        ON_MAIN_TEST(hosts_and_resolv_conf_are_read),
        ON_MAIN_TEST(the_cache_drops_what_was_not_used_for_longest),
    };

    return cmocka_run_group_tests_name("resolver", tests, start_dns, stop_dns);
}
