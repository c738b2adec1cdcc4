/* SPDX-License-Identifier: Apache-2.0 */
/* Names: literals, localhost, and DNS against the server of dns_server.h. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include <weir/executor.h>
#include <weir/scope.h>

#include "core/net/resolver.h"
#include "tests/unit/net/dns_server.h"
#include "tests/unit/net/net_test.h"

/* Asking */

static weir_error *use_server(void)
{
    weir_resolver_options options = {WEIR_SIZED(weir_resolver_options), .servers = dns_servers,
                                     .timeout = WEIR_MS(100), .tries = 2};

    dns_server_reset();
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
    CHECK(atomic_load(&dns_queries) == 0);
    return NULL;
}
IN_LOOP(literals_and_localhost_need_no_server)

static weir_error *an_answer_is_asked_for_once_while_it_is_good(void *arg)
{
    (void)arg;
    CHECK_OK(use_server());
    CHECK_OK(resolved("four.test", "127.0.0.4:80"));
    CHECK(atomic_load(&dns_queries) == 2); /* A and AAAA */
    CHECK_OK(resolved("FOUR.test.", "127.0.0.4:80"));
    CHECK(atomic_load(&dns_queries) == 2);
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
    weir_resolver_options options = {WEIR_SIZED(weir_resolver_options), .servers = dns_servers,
                                     .min_ttl = WEIR_MS(30)};

    (void)arg;
    dns_server_reset();
    CHECK_OK(weir_resolver_configure(weir_loop_current(), &options));
    CHECK_OK(resolved("short.test", "127.0.0.5:80"));
    CHECK_OK(resolved("short.test", "127.0.0.5:80"));
    CHECK(atomic_load(&dns_queries) == 2);
    CHECK_OK(weir_sleep(WEIR_MS(40)));
    CHECK_OK(resolved("short.test", "127.0.0.5:80"));
    CHECK(atomic_load(&dns_queries) == 3); /* that there is no AAAA is known for longer */
    return NULL;
}
IN_LOOP(a_short_ttl_is_kept_for_the_minimum)

static weir_error *no_such_name_is_remembered(void *arg)
{
    weir_addresses *addresses;

    (void)arg;
    CHECK_OK(use_server());
    CHECK_CODE(weir_resolve("none.test", 80, &addresses), WEIR_ENONAME);
    CHECK(atomic_load(&dns_queries) == 2);
    CHECK_CODE(weir_resolve("none.test", 80, &addresses), WEIR_ENONAME);
    CHECK(atomic_load(&dns_queries) == 2);
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
    queries = atomic_load(&dns_queries);
    CHECK(queries >= 2);
    CHECK_CODE(weir_resolve("fail.test", 80, &addresses), WEIR_EDNS);
    CHECK(atomic_load(&dns_queries) > queries);
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
    CHECK(atomic_load(&dns_queries) == 2);
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

/* More from one answer */

static weir_error *first_of(const char *name, const char *wanted, size_t count)
{
    weir_auto(weir_addresses) addresses = NULL;
    const struct sockaddr *address;
    size_t length;
    char text[80];

    CHECK_OK(weir_resolve(name, 80, &addresses));
    address = weir_addresses_get(addresses, 0, &length);
    weir__address_name(address, (socklen_t)length, text, sizeof(text));
    if (strcmp(text, wanted) != 0)
        return check_failed(WEIR_HERE, text);
    CHECK(weir_addresses_count(addresses) == count);
    return NULL;
}

static weir_error *aliases_are_followed_in_any_order_and_the_least_ttl_counts(void *arg)
{
    weir_auto(weir_addresses) addresses = NULL;

    (void)arg;
    CHECK_OK(use_server());
    CHECK_OK(weir_resolve("alias.test", 80, &addresses));
    CHECK(weir_addresses_count(addresses) == 1);
    CHECK(weir_addresses_ttl(addresses).ns <= WEIR_S(20).ns &&
          weir_addresses_ttl(addresses).ns > WEIR_S(15).ns);
    return NULL;
}
IN_LOOP(aliases_are_followed_in_any_order_and_the_least_ttl_counts)

static weir_error *a_loop_of_aliases_is_no_address(void *arg)
{
    weir_addresses *addresses;

    (void)arg;
    CHECK_OK(use_server());
    CHECK_CODE(weir_resolve("loop.test", 80, &addresses), WEIR_ENONAME);
    return NULL;
}
IN_LOOP(a_loop_of_aliases_is_no_address)

static weir_error *records_of_other_names_are_not_believed(void *arg)
{
    weir_addresses *addresses;

    (void)arg;
    CHECK_OK(use_server());
    CHECK_OK(first_of("extra.test", "127.0.0.10:80", 1));
    CHECK_CODE(weir_resolve("victim.test", 80, &addresses), WEIR_ENONAME);
    return NULL;
}
IN_LOOP(records_of_other_names_are_not_believed)

static weir_error *an_answer_with_a_wrong_id_or_question_is_dropped(void *arg)
{
    weir_addresses *addresses;

    (void)arg;
    CHECK_OK(use_server());
    CHECK_OK(first_of("wrong.test", "127.0.0.8:80", 1));
    CHECK_CODE(weir_resolve("other.test", 80, &addresses), WEIR_ETIMEDOUT);
    return NULL;
}
IN_LOOP(an_answer_with_a_wrong_id_or_question_is_dropped)

static weir_error *a_truncated_answer_is_asked_for_by_tcp_and_bounded(void *arg)
{
    (void)arg;
    CHECK_OK(use_server());
    CHECK_OK(first_of("big.test", "127.0.0.1:80", 40));
    CHECK(atomic_load(&dns_tcp) >= 1);
    CHECK_OK(first_of("many.test", "127.0.0.1:80", RESOLVER_RECORDS));
    return NULL;
}
IN_LOOP(a_truncated_answer_is_asked_for_by_tcp_and_bounded)

static weir_error *a_malformed_record_is_no_address(void *arg)
{
    weir_addresses *addresses;

    (void)arg;
    CHECK_OK(use_server());
    CHECK_CODE(weir_resolve("broken.test", 80, &addresses), WEIR_ENONAME);
    return NULL;
}
IN_LOOP(a_malformed_record_is_no_address)

/* Records */

static weir_error *srv_records_come_by_priority(void *arg)
{
    weir_auto(weir_dns_records) records = NULL;
    const weir_dns_record *record;

    (void)arg;
    CHECK_OK(use_server());
    CHECK_OK(weir_dns_query("_app._tcp.TEST", WEIR_DNS_SRV, &records));
    CHECK(weir_dns_records_count(records) == 2);
    record = weir_dns_records_get(records, 0);
    CHECK(record->priority == 10 && record->weight == 5 && record->port == 8080);
    CHECK(strcmp(record->data.data, "first.test") == 0 && record->ttl == 60);
    CHECK(weir_dns_records_get(records, 1)->port == 8081);
    return NULL;
}
IN_LOOP(srv_records_come_by_priority)

static weir_error *txt_strings_are_joined_and_ptr_takes_an_address(void *arg)
{
    weir_auto(weir_dns_records) text = NULL;
    weir_auto(weir_dns_records) name = NULL;
    weir_dns_records *none;

    (void)arg;
    CHECK_OK(use_server());
    CHECK_OK(weir_dns_query("text.test", WEIR_DNS_TXT, &text));
    CHECK(weir_slice_equal(weir_dns_records_get(text, 0)->data, WEIR_SLICE("hello world")));
    CHECK_OK(weir_dns_query("127.0.0.4", WEIR_DNS_PTR, &name));
    CHECK(weir_slice_equal(weir_dns_records_get(name, 0)->data, WEIR_SLICE("four.test")));
    CHECK_CODE(weir_dns_query("2001:db8::1", WEIR_DNS_PTR, &none), WEIR_ENONAME);
    CHECK_CODE(weir_dns_query("four.test", WEIR_DNS_TXT, &none), WEIR_ENONAME);
    CHECK_CODE(weir_dns_query("fail.test", WEIR_DNS_TXT, &none), WEIR_EDNS);
    CHECK_CODE(weir_dns_query("four.test", (weir_dns_type)99, &none), WEIR_EINVAL);
    return NULL;
}
IN_LOOP(txt_strings_are_joined_and_ptr_takes_an_address)

static void count_records(weir_dns_records *take, weir_error *take_error, void *arg)
{
    ++*(int *)arg;
    weir_dns_records_unref(take);
    weir_ignore(take_error);
}

static weir_error *a_query_may_be_left(void *arg)
{
    weir_dns_querying *querying;
    weir_dns_records *records;
    int done = 0;

    (void)arg;
    CHECK_OK(use_server());
    CHECK_OK(weir_dns_query_start(weir_loop_current(), "text.test", WEIR_DNS_TXT, count_records,
                                  &done, &querying));
    weir_dns_querying_cancel(querying);
    {
        WEIR_TIMEOUT(soon, WEIR_MS(20));
        CHECK_CODE(weir_dns_query("silent.test", WEIR_DNS_TXT, &records), WEIR_ETIMEDOUT);
    }
    SETTLE();
    CHECK(done == 0);
    return NULL;
}
IN_LOOP(a_query_may_be_left)

/* The cache */

static weir_error *what_the_soa_says_bounds_how_long_a_missing_name_is_remembered(void *arg)
{
    weir_resolver_options options = {WEIR_SIZED(weir_resolver_options), .servers = dns_servers,
                                     .min_ttl = WEIR_MS(20), .negative_ttl = WEIR_MS(60)};
    weir_addresses *addresses;

    (void)arg;
    dns_server_reset();
    CHECK_OK(weir_resolver_configure(weir_loop_current(), &options));
    CHECK_CODE(weir_resolve("none.test", 80, &addresses), WEIR_ENONAME);
    CHECK_CODE(weir_resolve("none.test", 80, &addresses), WEIR_ENONAME);
    CHECK(atomic_load(&dns_queries) == 2);
    CHECK_OK(weir_sleep(WEIR_MS(70)));
    CHECK_CODE(weir_resolve("none.test", 80, &addresses), WEIR_ENONAME);
    CHECK(atomic_load(&dns_queries) == 4);
    return NULL;
}
IN_LOOP(what_the_soa_says_bounds_how_long_a_missing_name_is_remembered)

static weir_error *an_expired_answer_is_better_than_a_failing_server(void *arg)
{
    weir_resolver_options options = {WEIR_SIZED(weir_resolver_options),
                                     .servers = dns_servers,
                                     .min_ttl = WEIR_MS(1),
                                     .max_ttl = WEIR_MS(5),
                                     .timeout = WEIR_MS(50),
                                     .tries = 1};
    weir_resolver_stats stats;
    int queries;

    (void)arg;
    dns_server_reset();
    CHECK_OK(weir_resolver_configure(weir_loop_current(), &options));
    CHECK_OK(resolved("four.test", "127.0.0.4:80"));
    CHECK_OK(weir_sleep(WEIR_MS(10)));
    atomic_store(&dns_failing, true);
    CHECK_OK(resolved("four.test", "127.0.0.4:80"));
    queries = atomic_load(&dns_queries);
    CHECK_OK(resolved("four.test", "127.0.0.4:80")); /* at once: they failed a moment ago */
    weir_resolver_get_stats(weir_loop_current(), &stats);
    CHECK(stats.stale >= 2 && stats.failed >= 1);
    CHECK(atomic_load(&dns_queries) - queries <= 1); /* AAAA was never there: asked again */
    return NULL;
}
IN_LOOP(an_expired_answer_is_better_than_a_failing_server)

static weir_error *without_stale_answers_a_failing_server_is_an_error(void *arg)
{
    weir_resolver_options options = {WEIR_SIZED(weir_resolver_options), .servers = dns_servers,
                                     .min_ttl = WEIR_MS(1), .max_ttl = WEIR_MS(5),
                                     .max_stale = WEIR_S(-1)};
    weir_addresses *addresses;

    (void)arg;
    dns_server_reset();
    CHECK_OK(weir_resolver_configure(weir_loop_current(), &options));
    CHECK_OK(resolved("four.test", "127.0.0.4:80"));
    CHECK_OK(weir_sleep(WEIR_MS(10)));
    atomic_store(&dns_failing, true);
    CHECK_CODE(weir_resolve("four.test", 80, &addresses), WEIR_EDNS);
    return NULL;
}
IN_LOOP(without_stale_answers_a_failing_server_is_an_error)

static bool count_visit(const weir_dns_cached *cached, void *arg)
{
    if (strcmp(cached->name, "four.test") == 0 && cached->type == WEIR_DNS_A && cached->left.ns > 0)
        ++*(int *)arg;
    return true;
}

static weir_error *the_cache_can_be_seen_counted_and_flushed(void *arg)
{
    weir_resolver_stats stats;
    int seen = 0;

    (void)arg;
    CHECK_OK(use_server());
    weir_resolver_get_stats(weir_loop_current(), &stats);
    CHECK(stats.queries == 0 && stats.entries == 0);
    CHECK_OK(resolved("four.test", "127.0.0.4:80"));
    CHECK_OK(resolved("four.test", "127.0.0.4:80"));
    weir_resolver_get_stats(weir_loop_current(), &stats);
    CHECK(stats.queries == 2 && stats.hits == 2 && stats.no_name == 1 && stats.entries == 2);
    CHECK(stats.in_flight == 0 && stats.files == 1);
    weir_resolver_each(weir_loop_current(), count_visit, &seen);
    CHECK(seen == 1);
    CHECK(weir_resolver_flush(weir_loop_current(), "both.test") == 0);
    CHECK(weir_resolver_flush(weir_loop_current(), "four.test") == 2);
    CHECK_OK(resolved("four.test", "127.0.0.4:80"));
    CHECK(atomic_load(&dns_queries) == 4);
    CHECK(weir_resolver_flush(weir_loop_current(), NULL) == 2);
    return NULL;
}
IN_LOOP(the_cache_can_be_seen_counted_and_flushed)

static weir_error *too_many_questions_at_a_time_are_refused(void *arg)
{
    weir_resolver_options options = {WEIR_SIZED(weir_resolver_options), .servers = dns_servers,
                                     .timeout = WEIR_MS(50), .tries = 1, .max_queries = 2};
    weir_addresses *addresses;
    int done = 0;

    (void)arg;
    dns_server_reset();
    CHECK_OK(weir_resolver_configure(weir_loop_current(), &options));
    CHECK_OK(weir_resolve_start(weir_loop_current(), "silent.test", 1, count_done, &done, NULL));
    CHECK_CODE(weir_resolve("four.test", 80, &addresses), WEIR_EFULL);
    UNTIL(done == 1);
    CHECK_OK(resolved("four.test", "127.0.0.4:80"));
    return NULL;
}
IN_LOOP(too_many_questions_at_a_time_are_refused)

static weir_error *servers_that_are_no_addresses_are_refused(void *arg)
{
    weir_resolver_options options = {WEIR_SIZED(weir_resolver_options), .servers = "dns.test:53"};

    (void)arg;
    CHECK_CODE(weir_resolver_configure(weir_loop_current(), &options), WEIR_EINVAL);
    options.servers = "127.0.0.1:5353,[::1]:5353,::1";
    CHECK_OK(weir_resolver_configure(weir_loop_current(), &options));
    return NULL;
}
IN_LOOP(servers_that_are_no_addresses_are_refused)

/* Files */

static bool write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    return file && fputs(text, file) >= 0 && fclose(file) == 0;
}

static weir_error *the_search_list_leads_to_a_name_unless_it_ends_with_a_dot(void *arg)
{
    char path[] = "/tmp/weir-resolv-XXXXXX";
    weir_addresses *addresses;

    (void)arg;
    close(mkstemp(path));
    CHECK(write_text(path, "search missing.test one.test\n"));
    weir__resolv_path = path;
    CHECK_OK(use_server());
    CHECK_OK(resolved("host", "127.0.0.9:80"));
    CHECK(atomic_load(&dns_queries) == 4); /* host.missing.test, host.one.test */
    CHECK_OK(resolved("four.test", "127.0.0.4:80"));
    CHECK(atomic_load(&dns_queries) == 6); /* a dot: itself first */
    CHECK_CODE(weir_resolve("host.", 80, &addresses), WEIR_ENONAME);
    weir__resolv_path = "/dev/null";
    unlink(path);
    return NULL;
}
IN_LOOP(the_search_list_leads_to_a_name_unless_it_ends_with_a_dot)

static weir_error *a_changed_hosts_file_is_read_again_and_an_unchanged_one_is_not(void *arg)
{
    char path[] = "/tmp/weir-hosts-XXXXXX";
    weir_resolver_stats stats;
    struct resolver *r;

    (void)arg;
    close(mkstemp(path));
    CHECK(write_text(path, "127.0.0.20 app.hosts\n"));
    weir__hosts_path = path;
    CHECK_OK(use_server());
    CHECK_OK(resolved("app.hosts", "127.0.0.20:80"));
    CHECK_OK(weir__resolver_of(weir_loop_current(), &r));
    r->looked_at -= RESOLVER_FILES_FRESH.ns; /* as if that time had passed */
    CHECK_OK(resolved("app.hosts", "127.0.0.20:80"));
    weir_resolver_get_stats(weir_loop_current(), &stats);
    CHECK(stats.files == 1);
    CHECK(write_text(path, "127.0.0.201 app.hosts other\n"));
    r->looked_at -= RESOLVER_FILES_FRESH.ns;
    CHECK_OK(resolved("app.hosts", "127.0.0.201:80"));
    weir_resolver_get_stats(weir_loop_current(), &stats);
    CHECK(stats.files == 2 && atomic_load(&dns_queries) == 0);
    weir__hosts_path = "/dev/null";
    unlink(path);
    return NULL;
}
IN_LOOP(a_changed_hosts_file_is_read_again_and_an_unchanged_one_is_not)

struct blockers {
    atomic_int entered;
    sem_t leave;
};

static weir_error *block(void *arg)
{
    struct blockers *b = arg;
    struct timespec limit; /* of a test that fails */

    atomic_fetch_add(&b->entered, 1);
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 30;
    while (sem_timedwait(&b->leave, &limit) != 0 && errno == EINTR)
        ;
    return NULL;
}

static weir_error *T50_names_are_resolved_while_file_jobs_block(void *arg)
{
    static struct blockers b;
    weir_future *jobs[128];
    weir_executor *files, *other;

    (void)arg;
    sem_init(&b.leave, 0, 0);
    atomic_store(&b.entered, 0);
    CHECK_OK(weir_loop_executor(weir_loop_current(), WEIR_EXECUTOR_FILE, &files));
    CHECK_OK(weir_loop_default_executor(weir_loop_current(), &other));
    for (int i = 0; i < 128; i++)
        CHECK_OK(weir_executor_submit(i % 2 ? files : other, block, &b, NULL, &jobs[i]));
    UNTIL(atomic_load(&b.entered) >= 2);
    CHECK_OK(use_server());
    {
        WEIR_TIMEOUT(soon, WEIR_S(5));
        CHECK_OK(resolved("four.test", "127.0.0.4:80"));
    }
    for (int i = 0; i < 128; i++)
        sem_post(&b.leave);
    for (int i = 0; i < 128; i++) {
        CHECK_OK(weir_await(jobs[i]));
        weir_future_unref(jobs[i]);
    }
    return NULL;
}
IN_LOOP(T50_names_are_resolved_while_file_jobs_block)

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
        IN_LOOP_TEST(aliases_are_followed_in_any_order_and_the_least_ttl_counts),
        IN_LOOP_TEST(a_loop_of_aliases_is_no_address),
        IN_LOOP_TEST(records_of_other_names_are_not_believed),
        IN_LOOP_TEST(an_answer_with_a_wrong_id_or_question_is_dropped),
        IN_LOOP_TEST(a_truncated_answer_is_asked_for_by_tcp_and_bounded),
        IN_LOOP_TEST(a_malformed_record_is_no_address),
        IN_LOOP_TEST(srv_records_come_by_priority),
        IN_LOOP_TEST(txt_strings_are_joined_and_ptr_takes_an_address),
        IN_LOOP_TEST(a_query_may_be_left),
        IN_LOOP_TEST(what_the_soa_says_bounds_how_long_a_missing_name_is_remembered),
        IN_LOOP_TEST(an_expired_answer_is_better_than_a_failing_server),
        IN_LOOP_TEST(without_stale_answers_a_failing_server_is_an_error),
        IN_LOOP_TEST(the_cache_can_be_seen_counted_and_flushed),
        IN_LOOP_TEST(too_many_questions_at_a_time_are_refused),
        IN_LOOP_TEST(servers_that_are_no_addresses_are_refused),
        IN_LOOP_TEST(the_search_list_leads_to_a_name_unless_it_ends_with_a_dot),
        IN_LOOP_TEST(a_changed_hosts_file_is_read_again_and_an_unchanged_one_is_not),
        IN_LOOP_TEST(T50_names_are_resolved_while_file_jobs_block),
    };

    return cmocka_run_group_tests_name("resolver", tests, dns_server_start, dns_server_stop);
}
