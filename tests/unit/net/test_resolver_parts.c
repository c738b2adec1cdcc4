/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the resolver: files, names to ask for, the cache, messages, the order of addresses. */
#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/net/resolver.h"
#include "tests/unit/net/net_test.h"

static void write_file(char *path, const char *text)
{
    int fd = mkstemp(path);

    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void hosts_and_resolv_conf_are_read(void **state)
{
    char hosts[] = "/tmp/weir-hosts-XXXXXX", resolv[] = "/tmp/weir-resolv-XXXXXX";
    struct name_files *files;
    struct address_list found;

    (void)state;
    write_file(hosts, "# comment\n127.0.0.8\tApp.Test app # x\n\n::8 app.test\nbad line\n");
    write_file(resolv, "nameserver 192.0.2.1\nnameserver fe80::1%lo\nnameserver 2001:db8::1 # x\n"
                       "nameserver no\nsearch One.test two.test\noptions rotate ndots:3\n");
    files = weir__name_files_read(hosts, resolv);
    assert_non_null(files);
    assert_string_equal(files->servers, "192.0.2.1:53,[2001:db8::1]:53");
    assert_int_equal(files->domain_count, 2);
    assert_string_equal(files->domains[0], "one.test");
    assert_int_equal(files->ndots, 3);
    assert_int_equal(weir__name_files_find(files, "app.test", &found), 2);
    assert_int_equal(found.list[0].any.sa_family, AF_INET); /* the file's order */
    assert_int_equal(weir__name_files_find(files, "app", &found), 1);
    assert_int_equal(weir__name_files_find(files, "line", &found), 0);
    assert_true(weir__name_files_current(&files->hosts_mark, &files->resolv_mark, hosts, resolv));
    unlink(hosts);
    assert_false(weir__name_files_current(&files->hosts_mark, &files->resolv_mark, hosts, resolv));
    weir__name_files_free(files);
    unlink(resolv);
}

static void check_candidates(const struct name_files *files, const char *name, const char *wanted)
{
    char all[512] = "", one[HOST_NAME_SIZE];

    for (unsigned n = 0; weir__name_candidate(files, name, n, one); n++)
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s ", one);
    assert_string_equal(all, wanted);
}

static void names_to_ask_for_follow_search_and_ndots(void **state)
{
    char a[] = "a.test", b[] = "b.test";
    struct name_files files = {.domains = {a, b}, .domain_count = 2, .ndots = 1};

    (void)state;
    check_candidates(&files, "host", "host.a.test host.b.test host ");
    check_candidates(&files, "x.host", "x.host x.host.a.test x.host.b.test ");
    check_candidates(&files, "host.", "host ");
    files.ndots = 2;
    check_candidates(&files, "x.host", "x.host.a.test x.host.b.test x.host ");
    files.domain_count = 0;
    check_candidates(&files, "host", "host ");
}

static bool is_kept(struct cache *cache, const char *name, int64_t now)
{
    return weir__cache_find(cache, name, WEIR_DNS_A, now) != NULL;
}

static void the_cache_drops_what_was_not_used_for_longest(void **state)
{
    struct cache *cache = weir__cache_new(2);
    answer *none = weir__answer_failed(WEIR_DNS_A, WEIR_ENONAME, NULL);

    (void)state;
    weir__cache_put(cache, "a", none, 100, 100);
    weir__cache_put(cache, "b", none, 100, 100);
    assert_true(is_kept(cache, "a", 0));
    assert_null(weir__cache_find(cache, "a", WEIR_DNS_AAAA, 0));
    weir__cache_put(cache, "c", none, 100, 100);
    assert_true(is_kept(cache, "a", 99));
    assert_false(is_kept(cache, "b", 0));
    assert_false(is_kept(cache, "c", 100));
    assert_int_equal(cache->evicted, 1);
    weir__cache_expire(cache, 0);
    assert_int_equal(cache->count, 0);
    weir__cache_free(cache);
    weir_dns_records_unref(none);
}

/* Every prefix of a good message, and every byte of it made another: no read beyond it (ASan), no end
   without an answer. */
static void messages_of_strangers_are_read_within_their_bounds(void **state)
{
    static const unsigned char good[] =
        "\x12\x34\x81\x80\0\1\0\3\0\1\0\0"
        "\1a\4test\0\0\x21\0\1"
        "\xc0\x0c\0\5\0\1\0\0\0\x3c\0\4\1b\xc0\x0e"
        "\xc0\x24\0\x21\0\1\0\0\0\x3c\0\x0a\0\1\0\2\0\3\1c\xc0\x0e"
        "\xc0\x24\0\x10\0\1\0\0\0\x3c\0\4\3abc"
        "\xc0\x0e\0\6\0\1\0\0\0\x3c\0\x16\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\7";
    size_t len = sizeof(good) - 1;
    answer *a = weir__answer_parse(good, len, "a.test", WEIR_DNS_SRV);

    (void)state;
    assert_int_equal(a->code, 0);
    assert_int_equal(a->count, 1);
    assert_string_equal(a->list[0].data.data, "c.test");
    weir_dns_records_unref(a);
    for (size_t n = 0; n <= len; n++) {
        unsigned char *part = malloc(n ? n : 1);

        memcpy(part, good, n);
        weir_dns_records_unref(weir__answer_parse(part, n, "a.test", WEIR_DNS_SRV));
        free(part);
    }
    for (size_t n = 0; n < len; n++) {
        static const unsigned char values[] = {0, 1, 63, 64, 0x7f, 0xc0, 0xff};

        for (size_t v = 0; v < sizeof(values); v++) {
            unsigned char *other = malloc(len);

            memcpy(other, good, len);
            other[n] = values[v];
            weir_dns_records_unref(weir__answer_parse(other, len, "a.test", WEIR_DNS_SRV));
            weir_dns_records_unref(weir__answer_parse(other, len, "a.test", WEIR_DNS_TXT));
            free(other);
        }
    }
}

static void a_name_that_points_to_itself_or_forward_is_malformed(void **state)
{
    static const unsigned char itself[] = "\x12\x34\x81\x80\0\0\0\1\0\0\0\0"
                                          "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1";
    static const unsigned char forward[] = "\x12\x34\x81\x80\0\0\0\1\0\0\0\0"
                                           "\xc0\x1c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1\1a\0";
    answer *a;

    (void)state;
    alarm(30); /* a reader that follows it never ends */
    a = weir__answer_parse(itself, sizeof(itself) - 1, "a", WEIR_DNS_A);
    assert_int_equal(a->code, WEIR_ENONAME);
    weir_dns_records_unref(a);
    a = weir__answer_parse(forward, sizeof(forward) - 1, "a", WEIR_DNS_A);
    assert_int_equal(a->code, WEIR_ENONAME);
    weir_dns_records_unref(a);
    alarm(0);
}

/* Order. Sources as a machine with 192.0.2.1, 10.0.0.1, 2001:db8::1 and fe80::1 would choose them. */

static bool v6_missing;

static bool fake_source(const union address_small *destination, union address_small *ret)
{
    const unsigned char *b;
    const char *source;

    memset(ret, 0, sizeof(*ret));
    ret->any.sa_family = destination->any.sa_family;
    if (destination->any.sa_family == AF_INET) {
        b = (const void *)&destination->in.sin_addr;
        source = b[0] == 127 ? "127.0.0.1" : b[0] == 10 ? "10.0.0.1" : "192.0.2.1";
        return inet_pton(AF_INET, source, &ret->in.sin_addr) == 1;
    }
    if (v6_missing)
        return false;
    b = destination->in6.sin6_addr.s6_addr;
    source = b[0] == 0xfe                                        ? "fe80::1"
             : IN6_IS_ADDR_LOOPBACK(&destination->in6.sin6_addr) ? "::1"
                                                                 : "2001:db8::1";
    return inet_pton(AF_INET6, source, &ret->in6.sin6_addr) == 1;
}

static void check_order(const char *given, const char *wanted, weir_resolver_prefer prefer)
{
    struct address_list list = {.count = 0};
    char text[512] = "", copy[512], *save = NULL;

    snprintf(copy, sizeof(copy), "%s", given);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        struct address address;

        assert_true(weir__address_literal(word, 0, &address));
        memset(&list.list[list.count], 0, sizeof(list.list[0]));
        memcpy(&list.list[list.count++], &address.in6, address.length);
    }
    weir__addresses_sort(&list, prefer, fake_source);
    for (size_t i = 0; i < list.count; i++) {
        char one[80];

        weir__address_ip(&list.list[i].any, one, sizeof(one));
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "", one);
    }
    assert_string_equal(text, wanted);
}

static void addresses_are_ordered_as_rfc_6724_says(void **state)
{
    (void)state;
    v6_missing = false;
    /* 6: native IPv6 before IPv4 */
    check_order("198.51.100.1 2001:db8:1::1", "2001:db8:1::1 198.51.100.1", WEIR_PREFER_AUTO);
    /* 2 and 8: the smaller scope, when the source has it too */
    check_order("2001:db8:1::1 fe80::2", "fe80::2 2001:db8:1::1", WEIR_PREFER_AUTO);
    /* 5: 6to4 has another label than the source */
    check_order("2002:c633:6401::1 2001:db8:1::1", "2001:db8:1::1 2002:c633:6401::1",
                WEIR_PREFER_AUTO);
    /* 5: a unique local address without a source of its kind comes after IPv4 */
    check_order("fd00::1 198.51.100.1", "198.51.100.1 fd00::1", WEIR_PREFER_AUTO);
    /* 9: the longer common prefix */
    check_order("2001:db9::1 2001:db8:0:1::1", "2001:db8:0:1::1 2001:db9::1", WEIR_PREFER_AUTO);
    /* 10: else as they came */
    check_order("198.51.100.2 198.51.100.1 10.1.1.1", "198.51.100.2 198.51.100.1 10.1.1.1",
                WEIR_PREFER_AUTO);
    check_order("2001:db8:1::1 198.51.100.1", "198.51.100.1 2001:db8:1::1", WEIR_PREFER_IPV4);
    /* 8 without 9 */
    check_order("198.51.100.1 127.0.0.1 ::1", "::1 127.0.0.1 198.51.100.1", WEIR_PREFER_IPV6);
    /* 1: nothing to send from */
    v6_missing = true;
    check_order("2001:db8:1::1 198.51.100.1", "198.51.100.1 2001:db8:1::1", WEIR_PREFER_AUTO);
    check_order("2001:db8:1::1 198.51.100.1", "198.51.100.1 2001:db8:1::1", WEIR_PREFER_IPV6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_MAIN_TEST(hosts_and_resolv_conf_are_read),
        ON_MAIN_TEST(names_to_ask_for_follow_search_and_ndots),
        ON_MAIN_TEST(the_cache_drops_what_was_not_used_for_longest),
        ON_MAIN_TEST(messages_of_strangers_are_read_within_their_bounds),
        ON_MAIN_TEST(a_name_that_points_to_itself_or_forward_is_malformed),
        ON_MAIN_TEST(addresses_are_ordered_as_rfc_6724_says),
    };

    return cmocka_run_group_tests_name("resolver parts", tests, NULL, NULL);
}
