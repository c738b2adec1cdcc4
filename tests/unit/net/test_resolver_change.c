/* SPDX-License-Identifier: Apache-2.0 */
/* What changes under a resolver that is in use: its settings, resolv.conf, and how old answers may be. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/net/resolver.h"
#include "tests/unit/net/dns_server.h"
#include "tests/unit/net/net_test.h"

/* Nobody answers there. */
#define NOBODY "127.0.0.1:9"

static weir_error *use(const char *servers)
{
    weir_resolver_options options = {WEIR_SIZED(weir_resolver_options), .servers = servers,
                                     .timeout = WEIR_MS(200), .tries = 2};

    return weir_resolver_configure(weir_loop_current(), &options);
}

/* 0, or the code of the error. */
static weir_code resolve(const char *host)
{
    weir_addresses *addresses = NULL;
    weir_error *error = weir_resolve(host, 80, &addresses);
    weir_code code = weir_error_code(error);

    weir_ignore(error);
    weir_addresses_unref(addresses);
    return code;
}

static weir_error *other_servers_are_asked_from_then_on(void *arg)
{
    char both[100];
    int queries;

    (void)arg;
    dns_server_reset();
    CHECK_OK(use(NOBODY));
    CHECK(resolve("four.test") != 0);
    CHECK_OK(use(dns_servers));
    CHECK(resolve("four.test") == 0);
    queries = atomic_load(&dns_queries);
    CHECK(queries >= 2);
    /* The same ones: what is known is still good. */
    CHECK_OK(use(dns_servers));
    CHECK(resolve("four.test") == 0);
    CHECK(atomic_load(&dns_queries) == queries);
    snprintf(both, sizeof(both), "%s,%s", dns_servers, NOBODY);
    CHECK_OK(use(both));
    CHECK(resolve("four.test") == 0);
    CHECK(atomic_load(&dns_queries) > queries);
    return NULL;
}
IN_LOOP(other_servers_are_asked_from_then_on)

static void note_end(weir_addresses *take, weir_error *take_error, void *arg)
{
    *(int *)arg = take ? 1 : 2;
    weir_addresses_unref(take);
    weir_ignore(take_error);
}

static weir_error *a_question_under_way_ends_as_it_began(void *arg)
{
    int ended = 0;

    (void)arg;
    dns_server_reset();
    CHECK_OK(use(dns_servers));
    CHECK_OK(weir_resolve_start(weir_loop_current(), "silent.test", 80, note_end, &ended, NULL));
    UNTIL(atomic_load(&dns_queries) >= 1);
    CHECK_OK(use(NOBODY));
    CHECK(!ended);
    UNTIL(ended);
    CHECK(ended == 2);
    return NULL;
}
IN_LOOP(a_question_under_way_ends_as_it_began)

static weir_error *a_smaller_cache_drops_what_was_not_used_for_longest(void *arg)
{
    weir_resolver_options options = {WEIR_SIZED(weir_resolver_options), .servers = dns_servers,
                                     .cache_entries = 2};
    weir_resolver_stats stats;
    int queries;

    (void)arg;
    dns_server_reset();
    CHECK_OK(use(dns_servers));
    CHECK(resolve("four.test") == 0 && resolve("both.test") == 0);
    weir_resolver_get_stats(weir_loop_current(), &stats);
    CHECK(stats.entries == 4);
    CHECK_OK(weir_resolver_configure(weir_loop_current(), &options));
    weir_resolver_get_stats(weir_loop_current(), &stats);
    CHECK(stats.entries == 2 && stats.evicted == 2);
    queries = atomic_load(&dns_queries);
    CHECK(resolve("both.test") == 0 && atomic_load(&dns_queries) == queries);
    return NULL;
}
IN_LOOP(a_smaller_cache_drops_what_was_not_used_for_longest)

static weir_error *an_expired_answer_is_not_given_longer_than_max_stale(void *arg)
{
    weir_resolver_options options = {WEIR_SIZED(weir_resolver_options),
                                     .servers = dns_servers,
                                     .min_ttl = WEIR_MS(1),
                                     .max_ttl = WEIR_MS(5),
                                     .timeout = WEIR_MS(50),
                                     .tries = 1,
                                     .max_stale = WEIR_S(100)};
    struct cache_entry *entry;
    struct resolver *r;

    (void)arg;
    dns_server_reset();
    CHECK_OK(weir_resolver_configure(weir_loop_current(), &options));
    CHECK(resolve("four.test") == 0);
    atomic_store(&dns_failing, true);
    CHECK_OK(weir_sleep(WEIR_MS(10)));
    CHECK(resolve("four.test") == 0);
    CHECK_OK(weir__resolver_of(weir_loop_current(), &r));
    entry = weir__cache_find(r->cache, "four.test", WEIR_DNS_A, weir__loop_now(r->loop));
    CHECK(entry && entry->dead == entry->expires + options.max_stale.ns);
    entry->dead -= options.max_stale.ns; /* as if that time had passed */
    CHECK(resolve("four.test") == WEIR_EDNS);
    return NULL;
}
IN_LOOP(an_expired_answer_is_not_given_longer_than_max_stale)

static weir_error *stale_for_ever_is_no_overflow(void *arg)
{
    weir_resolver_options options = {WEIR_SIZED(weir_resolver_options), .servers = dns_servers,
                                     .min_ttl = WEIR_MS(1), .max_ttl = WEIR_MS(5),
                                     .max_stale = WEIR_FOREVER};

    (void)arg;
    dns_server_reset();
    CHECK_OK(weir_resolver_configure(weir_loop_current(), &options));
    CHECK(resolve("four.test") == 0);
    CHECK_OK(weir_sleep(WEIR_MS(10)));
    atomic_store(&dns_failing, true);
    CHECK(resolve("four.test") == 0);
    return NULL;
}
IN_LOOP(stale_for_ever_is_no_overflow)

/* resolv.conf */

static bool write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    return file && fputs(text, file) >= 0 && fclose(file) == 0;
}

static weir_error *a_changed_search_list_is_used(void *arg)
{
    char path[] = "/tmp/weir-resolv-XXXXXX";
    struct resolver *r;

    (void)arg;
    dns_server_reset();
    close(mkstemp(path));
    CHECK(write_text(path, "search missing.test\n"));
    weir__resolv_path = path;
    CHECK_OK(use(dns_servers));
    CHECK(resolve("host") == WEIR_ENONAME);
    CHECK(write_text(path, "search one.test missing.test\n"));
    CHECK_OK(weir__resolver_of(weir_loop_current(), &r));
    r->looked_at -= RESOLVER_FILES_FRESH.ns; /* as if that time had passed */
    CHECK(resolve("host") == 0);
    weir__resolv_path = "/dev/null";
    unlink(path);
    return NULL;
}
IN_LOOP(a_changed_search_list_is_used)

static weir_error *changed_name_servers_get_a_channel_of_their_own(void *arg)
{
    char path[] = "/tmp/weir-resolv-XXXXXX";
    weir_resolver_stats stats;
    struct resolver *r;
    answer *none;

    (void)arg;
    close(mkstemp(path));
    CHECK(write_text(path, "nameserver 127.0.0.250\noptions ndots:1\n"));
    weir__resolv_path = path;
    CHECK_OK(use(NULL));
    CHECK_OK(weir__resolver_of(weir_loop_current(), &r));
    CHECK(resolve("four.test") != 0);
    CHECK(r->dns && strcmp(r->files->servers, "127.0.0.250:53") == 0);
    /* An answer of the old ones, and that there is none. */
    none = weir__answer_failed(WEIR_DNS_A, WEIR_ENONAME, NULL);
    weir__cache_put(r->cache, "gone.test", none, INT64_MAX, INT64_MAX);
    weir_dns_records_unref(none);
    CHECK(write_text(path, "nameserver 127.0.0.251\nnameserver ::1\n"));
    r->looked_at -= RESOLVER_FILES_FRESH.ns;
    CHECK(resolve("192.0.2.1") == 0 && resolve("four.test") != 0);
    CHECK(strcmp(r->files->servers, "127.0.0.251:53,[::1]:53") == 0);
    weir_resolver_get_stats(weir_loop_current(), &stats);
    CHECK(stats.files == 2 && stats.entries == 0);
    weir__resolv_path = "/dev/null";
    unlink(path);
    return NULL;
}
IN_LOOP(changed_name_servers_get_a_channel_of_their_own)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(other_servers_are_asked_from_then_on),
        IN_LOOP_TEST(a_question_under_way_ends_as_it_began),
        IN_LOOP_TEST(a_smaller_cache_drops_what_was_not_used_for_longest),
        IN_LOOP_TEST(an_expired_answer_is_not_given_longer_than_max_stale),
        IN_LOOP_TEST(stale_for_ever_is_no_overflow),
        IN_LOOP_TEST(a_changed_search_list_is_used),
        IN_LOOP_TEST(changed_name_servers_get_a_channel_of_their_own),
    };

    return cmocka_run_group_tests_name("resolver changes", tests, dns_server_start,
                                       dns_server_stop);
}
