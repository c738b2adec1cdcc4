/* SPDX-License-Identifier: Apache-2.0 */
/* Lists, dates, entity tags, ranges and hosts. */
#include "config.h"

#include <weir/http-values.h>

#include "tests/unit/http/message.h"

#define S(text) WEIR_SLICE(text)

static void a_list_gives_its_elements_without_space_and_without_empty_ones(void **state)
{
    weir_slice rest = S(" ,a , b\t,, \"x,\\\",y\" ,c"), item;

    (void)state;
    assert_true(weir_http_list_next(&rest, &item));
    assert_slice(item, "a");
    assert_true(weir_http_list_next(&rest, &item));
    assert_slice(item, "b");
    assert_true(weir_http_list_next(&rest, &item));
    assert_slice(item, "\"x,\\\",y\"");
    assert_true(weir_http_list_next(&rest, &item));
    assert_slice(item, "c");
    assert_false(weir_http_list_next(&rest, &item));
    assert_false(weir_http_list_next(&rest, &item));
}

static void a_list_of_nothing_has_no_elements(void **state)
{
    weir_slice rest = S(", ,\t"), item;

    (void)state;
    assert_false(weir_http_list_next(&rest, &item));
    rest = S("");
    assert_false(weir_http_list_next(&rest, &item));
}

static void an_open_quote_takes_the_rest_of_a_list(void **state)
{
    weir_slice rest = S("a, \"b, c\\"), item;

    (void)state;
    assert_true(weir_http_list_next(&rest, &item));
    assert_true(weir_http_list_next(&rest, &item));
    assert_slice(item, "\"b, c\\");
    assert_false(weir_http_list_next(&rest, &item));
}

static void a_list_is_searched_without_regard_to_case(void **state)
{
    (void)state;
    assert_true(weir_http_list_has(S("foo,  ClOsE ,bar"), S("close")));
    assert_false(weir_http_list_has(S("closed, clos"), S("close")));
    assert_false(weir_http_list_has(S("\"close\""), S("close")));
}

static void dates_are_written_as_imf_fixdate(void **state)
{
    char date[WEIR_HTTP_DATE_LEN];

    (void)state;
    weir_http_date_format(date, 784111777);
    assert_memory_equal(date, "Sun, 06 Nov 1994 08:49:37 GMT", 29);
    weir_http_date_format(date, 0);
    assert_memory_equal(date, "Thu, 01 Jan 1970 00:00:00 GMT", 29);
    weir_http_date_format(date, 951782400);
    assert_memory_equal(date, "Tue, 29 Feb 2000 00:00:00 GMT", 29);
    weir_http_date_format(date, 4107542399);
    assert_memory_equal(date, "Sun, 28 Feb 2100 23:59:59 GMT", 29);
    weir_http_date_format(date, 4107542400);
    assert_memory_equal(date, "Mon, 01 Mar 2100 00:00:00 GMT", 29);
    weir_http_date_format(date, INT64_MAX);
    assert_memory_equal(date, "Fri, 31 Dec 9999 23:59:59 GMT", 29);
    weir_http_date_format(date, INT64_MIN);
    assert_memory_equal(date, "Thu, 01 Jan 1970 00:00:00 GMT", 29);
}

static void expect_date(weir_slice text, int64_t expected)
{
    int64_t seconds = -1;

    assert_true(weir_http_date_parse(text, 1763600000, &seconds));
    assert_true(seconds == expected);
}

static void dates_are_read_in_three_formats(void **state)
{
    (void)state;
    expect_date(S("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
    expect_date(S("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
    expect_date(S("Sun Nov  6 08:49:37 1994"), 784111777);
    expect_date(S("Tue, 29 Feb 2000 00:00:00 GMT"), 951782400);
    expect_date(S("Fri, 31 Dec 9999 23:59:59 GMT"), 253402300799);
    expect_date(S("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
}

static void a_year_of_two_digits_is_the_nearest(void **state)
{
    (void)state;
    expect_date(S("Thursday, 01-Jan-70 00:00:00 GMT"), 3155760000);
    expect_date(S("Friday, 01-Jan-76 00:00:00 GMT"), 189302400);
    expect_date(S("Thursday, 01-Jan-26 00:00:00 GMT"), 1767225600);
}

static void every_day_of_four_centuries_survives_writing_and_reading(void **state)
{
    bool same = true;

    (void)state;
    for (int64_t day = 0; day < 146097; day++) {
        char date[WEIR_HTTP_DATE_LEN];
        int64_t seconds = -1;

        weir_http_date_format(date, day * 86400 + day % 86400);
        same = same && weir_http_date_parse(weir_slice_of(date, sizeof(date)), 0, &seconds) &&
               seconds == day * 86400 + day % 86400;
    }
    assert_true(same);
}

#define NO_DATE(text)                                              \
    do {                                                           \
        int64_t seconds_;                                          \
        assert_false(weir_http_date_parse(S(text), 0, &seconds_)); \
    } while (0)

static void what_is_not_a_date_is_not_read(void **state)
{
    (void)state;
    NO_DATE("");
    NO_DATE("Sun, 06 Nov 1994 08:49:37 GM");
    NO_DATE("Sun, 06 Nov 1994 08:49:37 UTC");
    NO_DATE("Sun, 06 Nov 1994 08:49:37 GMT ");
    NO_DATE("Sun, 31 Nov 1994 08:49:37 GMT");
    NO_DATE("Sun, 29 Feb 1900 08:49:37 GMT");
    NO_DATE("Sun, 00 Nov 1994 08:49:37 GMT");
    NO_DATE("Sun, 06 Nov 1994 24:49:37 GMT");
    NO_DATE("Sun, 06 Nov 1994 08:60:37 GMT");
    NO_DATE("Sun, 06 nov 1994 08:49:37 GMT");
    NO_DATE("Xun, 06 Nov 1994 08:49:37 GMT");
    NO_DATE("Sun, -6 Nov 1994 08:49:37 GMT");
    NO_DATE("Sunday, 06-Nov-1994 08:49:37 GMT");
    NO_DATE("Sun Nov 6 08:49:37 1994");
    NO_DATE("1994-11-06T08:49:37Z");
}

static void entity_tags_are_recognised(void **state)
{
    (void)state;
    assert_true(weir_http_is_etag(S("\"\"")));
    assert_true(weir_http_is_etag(S("W/\"a,b\\\"")));
    assert_true(weir_http_is_etag(S("\"\xe9\"")));
    assert_false(weir_http_is_etag(S("")));
    assert_false(weir_http_is_etag(S("W/")));
    assert_false(weir_http_is_etag(S("a")));
    assert_false(weir_http_is_etag(S("\"a")));
    assert_false(weir_http_is_etag(S("\"a\"b")));
    assert_false(weir_http_is_etag(S("w/\"a\"")));
    assert_false(weir_http_is_etag(S("\"a b\"")));
}

static void entity_tags_match_weakly_or_strongly(void **state)
{
    (void)state;
    assert_true(weir_http_etag_matches(S("\"a\", W/\"b\""), S("\"b\""), true));
    assert_false(weir_http_etag_matches(S("\"a\", W/\"b\""), S("\"b\""), false));
    assert_false(weir_http_etag_matches(S("\"b\""), S("W/\"b\""), false));
    assert_true(weir_http_etag_matches(S("\"x\" ,\"b\""), S("\"b\""), false));
    assert_true(weir_http_etag_matches(S("*"), S("\"b\""), false));
    assert_true(weir_http_etag_matches(S("\"a\\\",\"b,c\""), S("\"b,c\""), true));
    assert_false(weir_http_etag_matches(S("\"B\""), S("\"b\""), true));
    assert_false(weir_http_etag_matches(S("\"a\" \"b\""), S("\"b\""), true));
    assert_false(weir_http_etag_matches(S("junk, \"b\""), S("\"b\""), true));
    assert_false(weir_http_etag_matches(S(""), S("\"b\""), true));
}

static void expect_range(weir_slice value, uint64_t size, uint64_t first, uint64_t last)
{
    weir_http_range ranges[4];
    size_t count = 0;

    assert_int_equal(weir_http_range_parse(value, size, ranges, 4, &count), WEIR_HTTP_RANGE_OK);
    assert_int_equal(count, 1);
    assert_int_equal(ranges[0].first, first);
    assert_int_equal(ranges[0].last, last);
}

static void a_range_is_cut_to_the_size(void **state)
{
    (void)state;
    expect_range(S("bytes=0-0"), 10, 0, 0);
    expect_range(S("Bytes=2-5"), 10, 2, 5);
    expect_range(S("bytes=2-"), 10, 2, 9);
    expect_range(S("bytes=2-99999999999999999999999"), 10, 2, 9);
    expect_range(S("bytes=-3"), 10, 7, 9);
    expect_range(S("bytes=-30"), 10, 0, 9);
    expect_range(S("bytes= ,9-9, "), 10, 9, 9);
    expect_range(S("bytes=0-1,10-"), 10, 0, 1);
}

static void several_ranges_are_given_in_order(void **state)
{
    weir_http_range ranges[4];
    size_t count = 0;

    (void)state;
    assert_int_equal(weir_http_range_parse(S("bytes=8-9, 0-1,-5"), 20, ranges, 4, &count),
                     WEIR_HTTP_RANGE_OK);
    assert_int_equal(count, 3);
    assert_int_equal(ranges[1].first, 0);
    assert_int_equal(ranges[2].first, 15);
}

static void expect_range_result(weir_slice value, uint64_t size, weir_http_range_result expected)
{
    weir_http_range ranges[4];
    size_t count;

    assert_int_equal(weir_http_range_parse(value, size, ranges, 4, &count), expected);
}

static void a_range_outside_is_not_satisfiable(void **state)
{
    (void)state;
    expect_range_result(S("bytes=10-"), 10, WEIR_HTTP_RANGE_UNSATISFIABLE);
    expect_range_result(S("bytes=99999999999999999999-"), UINT64_MAX,
                        WEIR_HTTP_RANGE_UNSATISFIABLE);
    expect_range_result(S("bytes=-0"), 10, WEIR_HTTP_RANGE_UNSATISFIABLE);
    expect_range_result(S("bytes=0-"), 0, WEIR_HTTP_RANGE_UNSATISFIABLE);
    expect_range_result(S("bytes=-1"), 0, WEIR_HTTP_RANGE_UNSATISFIABLE);
}

static void odd_or_greedy_ranges_are_ignored(void **state)
{
    (void)state;
    expect_range_result(S(""), 10, WEIR_HTTP_RANGE_IGNORE);
    expect_range_result(S("bytes="), 10, WEIR_HTTP_RANGE_IGNORE);
    expect_range_result(S("bytes"), 10, WEIR_HTTP_RANGE_IGNORE);
    expect_range_result(S("lines=0-1"), 10, WEIR_HTTP_RANGE_IGNORE);
    expect_range_result(S("bytes=5-2"), 10, WEIR_HTTP_RANGE_IGNORE);
    expect_range_result(S("bytes=-"), 10, WEIR_HTTP_RANGE_IGNORE);
    expect_range_result(S("bytes=a-2"), 10, WEIR_HTTP_RANGE_IGNORE);
    expect_range_result(S("bytes=1-2x"), 10, WEIR_HTTP_RANGE_IGNORE);
    expect_range_result(S("bytes=1"), 10, WEIR_HTTP_RANGE_IGNORE);
    expect_range_result(S("bytes=0-1,1-2"), 10, WEIR_HTTP_RANGE_IGNORE);
    expect_range_result(S("bytes=0-0,2-2,4-4,6-6,8-8"), 10, WEIR_HTTP_RANGE_IGNORE);
    expect_range_result(S("bytes=0-,0-,0-"), 10, WEIR_HTTP_RANGE_IGNORE);
}

static void hosts_are_names_addresses_and_ports(void **state)
{
    (void)state;
    assert_true(weir_http_is_host(S("a")));
    assert_true(weir_http_is_host(S("PROBE.Test:65535")));
    assert_true(weir_http_is_host(S("a.test:")));
    assert_true(weir_http_is_host(S("127.0.0.1:80")));
    assert_true(weir_http_is_host(S("[::1]")));
    assert_true(weir_http_is_host(S("[2001:db8::1]:443")));
    assert_true(weir_http_is_host(S("a_b-c~d%41.test")));
}

static void other_things_are_not_hosts(void **state)
{
    (void)state;
    assert_false(weir_http_is_host(S("")));
    assert_false(weir_http_is_host(S(":80")));
    assert_false(weir_http_is_host(S("a b")));
    assert_false(weir_http_is_host(S("a/x")));
    assert_false(weir_http_is_host(S("u@a")));
    assert_false(weir_http_is_host(S("a:80:81")));
    assert_false(weir_http_is_host(S("a:http")));
    assert_false(weir_http_is_host(S("a:65536")));
    assert_false(weir_http_is_host(S("a:99999999999999999999")));
    assert_false(weir_http_is_host(S("[::1")));
    assert_false(weir_http_is_host(S("[::1]x")));
    assert_false(weir_http_is_host(S("[::g]")));
    assert_false(weir_http_is_host(S("[]")));
    assert_false(weir_http_is_host(S("[::1\0]")));
    assert_false(weir_http_is_host(S("[v1.a]")));
    assert_false(weir_http_is_host(S("::1")));
    assert_false(weir_http_is_host(S("a#x")));
    assert_false(weir_http_is_host(S("a\\x")));
    assert_false(weir_http_is_host(S("<a>")));
    assert_false(weir_http_is_host(S("a%zz")));
    assert_false(weir_http_is_host(S("a%4")));
    assert_false(weir_http_is_host(S("a,b")));
    assert_false(weir_http_is_host(S("caf\xc3\xa9")));
}

static void expect_split(weir_slice host, const char *name, int port)
{
    weir_slice ret_name;
    int ret_port;

    weir_http_host_split(host, &ret_name, &ret_port);
    assert_true(weir_slice_equal(ret_name, weir_slice_str(name)));
    assert_int_equal(ret_port, port);
}

static void a_host_is_split_into_name_and_port(void **state)
{
    (void)state;
    expect_split(S("a.test"), "a.test", -1);
    expect_split(S("a.test:"), "a.test", -1);
    expect_split(S("a.test:0080"), "a.test", 80);
    expect_split(S("127.0.0.1"), "127.0.0.1", -1);
    expect_split(S("[::1]"), "[::1]", -1);
    expect_split(S("[::1]:8080"), "[::1]", 8080);
    expect_split(S("123"), "123", -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_gives_its_elements_without_space_and_without_empty_ones),
        cmocka_unit_test(a_list_of_nothing_has_no_elements),
        cmocka_unit_test(an_open_quote_takes_the_rest_of_a_list),
        cmocka_unit_test(a_list_is_searched_without_regard_to_case),
        cmocka_unit_test(dates_are_written_as_imf_fixdate),
        cmocka_unit_test(dates_are_read_in_three_formats),
        cmocka_unit_test(a_year_of_two_digits_is_the_nearest),
        cmocka_unit_test(every_day_of_four_centuries_survives_writing_and_reading),
        cmocka_unit_test(what_is_not_a_date_is_not_read),
        cmocka_unit_test(entity_tags_are_recognised),
        cmocka_unit_test(entity_tags_match_weakly_or_strongly),
        cmocka_unit_test(a_range_is_cut_to_the_size),
        cmocka_unit_test(several_ranges_are_given_in_order),
        cmocka_unit_test(a_range_outside_is_not_satisfiable),
        cmocka_unit_test(odd_or_greedy_ranges_are_ignored),
        cmocka_unit_test(hosts_are_names_addresses_and_ports),
        cmocka_unit_test(other_things_are_not_hosts),
        cmocka_unit_test(a_host_is_split_into_name_and_port),
    };

    return cmocka_run_group_tests_name("http/values", tests, NULL, NULL);
}
