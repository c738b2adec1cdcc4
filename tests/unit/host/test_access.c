/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The access log without a server: lines of every format for values that mean harm, conditions, and an
 * output that takes nothing. A record here has no transport.
 */
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/access/access.h"
#include "tests/unit/host/host_test.h"

#define HOSTILE "a\"b\\c\n\r\t\x1b[31m\x7f\xff\xc2\x85\xc3\xa9 z"

static weir_access_record request_record(void)
{
    return (weir_access_record){
        .size = sizeof(weir_access_record),
        .outcome = WEIR_OUTCOME_OK,
        .status = 200,
        .route = "routes[0]",
        .upstream = "app",
        .server = "10.0.0.1:80",
        .method = WEIR_SLICE("GET"),
        .duration_ns = 12345678,
        .connect_ns = 1000000,
        .first_byte_ns = 5000000,
        .retries = 1,
        .host = WEIR_SLICE("example.com"),
        .path = WEIR_SLICE("/a"),
        .proto = WEIR_SLICE("HTTP/1.1"),
        .bytes_in = 10,
        .bytes_out = 20,
    };
}

static struct access_config config_of(const char *format)
{
    return (struct access_config){.format = format, .output = "stderr", .sample = 1};
}

/* The line for a record, in a static buffer; its time is 2026-11-21 08:00:00.123 UTC. */
static const char *line_of(const struct access_config *config, const weir_access_record *record)
{
    static char line[ACCESS_LINE_MAX + 1], scratch[ACCESS_VALUE_MAX];
    struct access_stamps stamps = {.second = 0};
    struct access_entry entry = {.listener = "web",
                                 .record = record,
                                 .wall_ns = 1795248000123000000,
                                 .stamps = &stamps,
                                 .scratch = scratch};
    struct access_program *program;
    size_t len;

    assert_string_equal(message_of(weir__access_program_new(config, &program)), "");
    len = weir__access_format(program, &entry, line, ACCESS_LINE_MAX);
    weir__access_program_free(program);
    assert_int_equal(line[len - 1], '\n');
    line[len - 1] = '\0';
    assert_int_equal(strlen(line), len - 1);
    return line;
}

static const char *in_format(const char *format, const weir_access_record *record)
{
    struct access_config config = config_of(format);

    return line_of(&config, record);
}

static weir_access_record hostile_record(void)
{
    weir_access_record record = request_record();

    record.user_agent = weir_slice_of(HOSTILE "\0end", sizeof HOSTILE + 3);
    record.referer = WEIR_SLICE("\" 200 1 \"-\" \"forged");
    return record;
}

static void json_is_parsed_whatever_a_client_sends(void **state)
{
    weir_access_record record = hostile_record();
    const char *line = in_format("json", &record);
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);

    (void)state;
    assert_non_null(object);
    assert_string_equal(json_string_value(json_object_get(object, "referer")),
                        "\" 200 1 \"-\" \"forged");
    assert_non_null(strstr(line, "\"user_agent\":\"a\\\"b\\\\c\\n\\r\\t\\u001b[31m\\u007f\\ufffd"
                                 "\\u0085\xc3\xa9 z\\u0000end\""));
    assert_int_equal(json_integer_value(json_object_get(object, "status")), 200);
    assert_string_equal(json_string_value(json_object_get(object, "ts")),
                        "2026-11-21T08:00:00.123Z");
    assert_string_equal(json_string_value(json_object_get(object, "outcome")), "ok");
    assert_non_null(strstr(line, "\"duration_ms\":12.345,\"connect_ms\":1.000,"));
    assert_null(json_object_get(object, "sni"));
    json_decref(object);
}

static void a_line_is_one_line_in_every_format(void **state)
{
    static const char *const formats[] = {"common", "combined", "vhost_combined",
                                          "json",   "logfmt",   "${user_agent} ${referer}"};
    weir_access_record record = hostile_record();

    (void)state;
    record.path = WEIR_SLICE("/" HOSTILE);
    record.host = WEIR_SLICE(HOSTILE);
    record.method = WEIR_SLICE(HOSTILE);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const char *line = in_format(formats[i], &record);

        for (const char *c = line; *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                fail_msg("%s has a control character: %s", formats[i], line);
    }
}

static void combined_is_what_log_analysers_read(void **state)
{
    weir_access_record record = request_record();

    (void)state;
    record.path = WEIR_SLICE("/a");
    record.user_agent = WEIR_SLICE("curl/8 \"x\"");
    record.head_bytes_out = 15; /* of 20 */
    assert_string_equal(in_format("common", &record),
                        "- - - [21/Nov/2026:08:00:00 +0000] \"GET /a HTTP/1.1\" 200 5");
    assert_string_equal(in_format("combined", &record),
                        "- - - [21/Nov/2026:08:00:00 +0000] \"GET /a HTTP/1.1\" 200 5 \"-\" "
                        "\"curl/8 \\\"x\\\"\"");
    assert_string_equal(in_format("vhost_combined", &record),
                        "example.com:0 - - - [21/Nov/2026:08:00:00 +0000] \"GET /a HTTP/1.1\" 200 "
                        "5 \"-\" \"curl/8 \\\"x\\\"\"");
}

static void a_query_belongs_to_the_uri_and_not_to_the_path(void **state)
{
    static const char target[] = "/a?token=1";
    weir_access_record record = request_record();

    (void)state;
    record.path = weir_slice_of(target, 2);
    record.query = weir_slice_of(target + 3, 7);
    assert_string_equal(in_format("${path} ${query} ${uri} ${request}", &record),
                        "/a token=1 /a?token=1 GET /a?token=1 HTTP/1.1");
    assert_null(strstr(in_format("json", &record), "token"));
}

static void logfmt_quotes_only_what_needs_it(void **state)
{
    struct access_config config = config_of("logfmt");
    int fields[] = {ACCESS_PATH, ACCESS_STATUS, ACCESS_USER_AGENT, ACCESS_REFERER};
    weir_access_record record = request_record();

    (void)state;
    config.fields = (weir_array){fields, 4};
    record.user_agent = WEIR_SLICE("a b=c\n");
    assert_string_equal(line_of(&config, &record), "path=/a status=200 user_agent=\"a b=c\\x0a\"");
}

static void connections_have_what_applies_to_them(void **state)
{
    weir_access_record record = {.size = sizeof record,
                                 .outcome = WEIR_OUTCOME_CLIENT_GONE,
                                 .duration_ns = 1500000,
                                 .sni = WEIR_SLICE("db.example"),
                                 .alpn = WEIR_SLICE("postgresql")};

    (void)state;
    assert_string_equal(
        in_format("json", &record),
        "{\"ts\":\"2026-11-21T08:00:00.123Z\",\"listener\":\"web\",\"bytes_in\":0,\"bytes_out\":0,"
        "\"duration_ms\":1.500,\"retries\":0,\"outcome\":\"client.gone\",\"sni\":\"db.example\","
        "\"alpn\":\"postgresql\"}");
    assert_string_equal(in_format("${client_ip} \"${request}\" ${status} ${outcome} $$5", &record),
                        "- \"-\" - client.gone $5");
}

static void the_longest_values_still_make_whole_json(void **state)
{
    static char bad[40000];
    weir_access_record record = request_record();
    json_t *object;

    (void)state;
    memset(bad, 1, sizeof bad);
    record.path = record.host = record.user_agent = record.referer = record.request_id =
        record.query = record.sni = record.alpn = record.proto = record.method =
            weir_slice_of(bad, sizeof bad);
    object = json_loads(in_format("json", &record), 0, NULL);
    assert_non_null(object);
    assert_true(json_string_length(json_object_get(object, "path")) > 600);
    json_decref(object);
}

static bool fits(const char *text, const weir_access_record *record)
{
    char why[200], scratch[ACCESS_VALUE_MAX];
    const char *meant;
    struct access_stamps stamps = {.second = 0};
    struct access_entry entry = {
        .listener = "web", .record = record, .stamps = &stamps, .scratch = scratch};
    struct access_filter *filter = weir__access_filter_new(text, why, sizeof why, &meant);
    bool result;

    assert_non_null(filter);
    result = weir__access_filter_fits(filter, &entry);
    weir__access_filter_free(filter);
    return result;
}

static void conditions_hold_together(void **state)
{
    weir_access_record record = request_record();

    (void)state;
    record.path = WEIR_SLICE("/health/live");
    assert_true(fits("status=200", &record));
    assert_true(fits("  status>=200   status<300 path=/health* ", &record));
    assert_false(fits("status>=200 path=/healt", &record));
    assert_true(fits("path=*/live", &record));
    assert_true(fits("path=/*h*l*e", &record));
    assert_false(fits("path=/*x*", &record));
    assert_true(fits("duration_ms>12.3 duration_ms<12.4", &record));
    assert_true(fits("referer=", &record));
    assert_true(fits("outcome!=client.gone route=routes[0]", &record));
    record.status = 0;
    assert_false(fits("status<400", &record));
    assert_true(fits("status!=200", &record));
}

static void what_is_no_condition_is_told(void **state)
{
    static const char *const wrong[][2] = {
        {"", "a condition is missing, as status>=500"},
        {"stauts=1", "there is no field `stauts`"},
        {"status", "`status` is compared with nothing: status=VALUE is meant"},
        {"status=", "`status` is a number, and `` is none"},
        {"status=20x", "`status` is a number, and `20x` is none"},
        {"path>/a", "`path` is a text, which is only = or !="},
        {"status=1 =2", "there is no field ``"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char why[200];
        const char *meant;

        assert_null(weir__access_filter_new(wrong[i][0], why, sizeof why, &meant));
        assert_string_equal(why, wrong[i][1]);
    }
}

/* The writer. */

static void record_some(unsigned n)
{
    weir_access_record record = request_record();

    for (unsigned i = 0; i < n; i++)
        weir__access_record("web", NULL, &record);
}

static size_t lines_in(const char *path)
{
    FILE *file = fopen(path, "r");
    size_t n = 0;

    assert_non_null(file);
    for (int c, last = '\n'; (c = fgetc(file)) != EOF || last != '\n'; last = c) {
        if (c == EOF)
            fail_msg("the last line of %s is cut", path);
        n += c == '\n';
    }
    fclose(file);
    return n;
}

static void begin(const char *output, const char *format)
{
    struct access_config config = config_of(format);

    config.output = output;
    assert_string_equal(message_of(weir__access_apply(&config)), "");
    assert_true(weir__access_on());
}

static void every_record_is_written_once(void **state)
{
    char path[300];
    uint64_t dropped = weir__access_dropped(), records = weir__access_records();

    snprintf(path, sizeof path, "%s/access.log", (char *)*state);
    begin(path, "json");
    for (unsigned i = 0; i < 50; i++) {
        record_some(100);
        assert_true(weir__access_flush(WEIR_S(10)));
    }
    weir__access_shutdown(WEIR_S(5));
    assert_false(weir__access_on());
    assert_int_equal(lines_in(path), 5000);
    assert_int_equal(weir__access_dropped(), dropped);
    assert_int_equal(weir__access_records(), records + 5000);
}

static void a_file_that_was_moved_away_is_opened_again(void **state)
{
    char path[300], moved[320];

    snprintf(path, sizeof path, "%s/moved.log", (char *)*state);
    snprintf(moved, sizeof moved, "%s.1", path);
    begin(path, "logfmt");
    record_some(3);
    assert_true(weir__access_flush(WEIR_S(10)));
    assert_int_equal(rename(path, moved), 0);
    record_some(2);
    assert_string_equal(message_of(weir__access_reopen()), "");
    record_some(4);
    weir__access_shutdown(WEIR_S(5));
    assert_int_equal(lines_in(moved), 5);
    assert_int_equal(lines_in(path), 4);
}

static void a_full_disk_delays_nobody_and_is_counted(void **state)
{
    uint64_t dropped = weir__access_dropped(), taken = weir__access_records();

    (void)state;
    begin("/dev/full", "json");
    record_some(20000);
    assert_true(weir__access_dropped() > dropped);
    assert_int_equal(weir__access_dropped() - dropped + weir__access_records() - taken, 20000);
    weir__access_shutdown(WEIR_MS(100));
    assert_int_equal(weir__access_dropped() - dropped, 20000);
}

static void a_pipe_that_nobody_reads_delays_nobody(void **state)
{
    char path[300], buffer[65536];
    uint64_t dropped = weir__access_dropped();
    size_t in_pipe = 0;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "%s/fifo", (char *)*state);
    assert_int_equal(mkfifo(path, 0600), 0);
    begin(path, "common");
    record_some(100000);
    assert_true(weir__access_dropped() > dropped);
    fd = open(path, O_RDONLY | O_NONBLOCK);
    /* Somebody reads at last: what comes is whole lines. */
    while (in_pipe < 200000) {
        n = read(fd, buffer, sizeof buffer);
        in_pipe += n > 0 ? (size_t)n : 0;
        if (n <= 0)
            (void)weir__access_flush(WEIR_MS(50));
    }
    weir__access_shutdown(WEIR_MS(100));
    close(fd);
}

static void what_is_excluded_or_not_sampled_is_not_written(void **state)
{
    const char *exclude[] = {"status<300 path=/a"};
    struct access_config config = config_of("common");
    weir_access_record record = request_record();
    char path[300];

    snprintf(path, sizeof path, "%s/some.log", (char *)*state);
    config.output = path;
    config.exclude = (weir_array){exclude, 1};
    assert_string_equal(message_of(weir__access_apply(&config)), "");
    record_some(10);
    record.path = WEIR_SLICE("/b");
    weir__access_record("web", NULL, &record);
    config.exclude.count = 0;
    config.sample = 0.25;
    assert_string_equal(message_of(weir__access_apply(&config)), "");
    assert_int_equal(lines_in(path), 1);
    for (unsigned i = 0; i < 4000; i++) {
        weir__access_record("web", NULL, &record);
        if (i % 200 == 0)
            (void)weir__access_flush(WEIR_S(5));
    }
    assert_true(weir__access_flush(WEIR_S(10)));
    assert_in_range(lines_in(path), 800, 1200);
    record.outcome = WEIR_OUTCOME_UPSTREAM_RESET;
    assert_int_equal(truncate(path, 0), 0);
    for (unsigned i = 0; i < 100; i++)
        weir__access_record("web", NULL, &record);
    weir__access_shutdown(WEIR_S(5));
    assert_int_equal(lines_in(path), 100);
}

static void *write_until_told(void *arg)
{
    bool *over = arg;

    while (!__atomic_load_n(over, __ATOMIC_ACQUIRE))
        record_some(10);
    return NULL;
}

static void formats_change_while_loops_write(void **state)
{
    static const char *const formats[] = {"json", "common", "logfmt", "${ts} ${path}"};
    pthread_t threads[3];
    uint64_t records = weir__access_records();
    bool over = false;
    char path[300];

    snprintf(path, sizeof path, "%s/changing.log", (char *)*state);
    begin(path, "json");
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_until_told, &over), 0);
    for (unsigned i = 0; i < 40; i++) {
        begin(path, formats[i % 4]);
        if (i % 8 == 7)
            assert_string_equal(message_of(weir__access_apply(NULL)), "");
    }
    begin(path, "json");
    while (weir__access_records() == records)
        (void)weir__access_flush(WEIR_MS(10)); /* threads may begin late */
    __atomic_store_n(&over, true, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    weir__access_shutdown(WEIR_S(5));
    assert_true(lines_in(path) > 0);
}

static void an_output_that_cannot_be_opened_changes_nothing(void **state)
{
    struct access_config config = config_of("json");
    char path[300];

    snprintf(path, sizeof path, "%s/good.log", (char *)*state);
    begin(path, "json");
    config.output = "/nonexistent/access.log";
    assert_string_equal(message_of(weir__access_apply(&config)),
                        "cannot open the access log /nonexistent/access.log");
    record_some(1);
    weir__access_shutdown(WEIR_S(5));
    assert_int_equal(lines_in(path), 1);
}

enum escape { ESCAPE_JSON, ESCAPE_TEXT, ESCAPE_LOGFMT };

/* The value alone, without the quotes of JSON; `room` is all that there is of the line. */
static size_t escaped(enum escape escape, const char *value, size_t len, char *out, size_t room)
{
    struct line line = {out, out + room};

    if (escape == ESCAPE_JSON)
        line_json(&line, weir_slice_of(value, len), ACCESS_VALUE_MAX);
    else if (escape == ESCAPE_TEXT)
        line_escaped(&line, weir_slice_of(value, len), ACCESS_VALUE_MAX);
    else
        line_logfmt(&line, weir_slice_of(value, len), ACCESS_VALUE_MAX);
    assert_true(line.at <= line.end);
    return (size_t)(line.at - out);
}

/* Long values are looked at many bytes at a time: what a byte becomes must not depend on its place. */
static void a_byte_is_escaped_alike_wherever_it_stands(void **state)
{
    char alone[16], value[40], out[120], expected[120];

    (void)state;
    for (int escape = ESCAPE_JSON; escape <= ESCAPE_LOGFMT; escape++) {
        for (int byte = 0; byte < 256; byte++) {
            char one = (char)byte;
            size_t n = escaped(escape, &one, 1, alone, sizeof alone);
            size_t quotes = alone[0] == '"' && n >= 2; /* JSON always, logfmt where it must */

            for (size_t len = 1; len <= sizeof value; len++) {
                for (size_t at = 0; at < len; at++) {
                    size_t total = n + len - 1, got;

                    memset(value, 'a', len);
                    value[at] = one;
                    memset(expected, 'a', total);
                    if (quotes)
                        expected[0] = expected[total - 1] = '"';
                    memcpy(expected + quotes + at, alone + quotes, n - 2 * quotes);
                    got = escaped(escape, value, len, out, sizeof out);
                    assert_int_equal(got, total);
                    assert_memory_equal(out, expected, total);
                }
            }
        }
    }
}

static void a_line_that_is_too_short_is_never_overrun(void **state)
{
    char value[40], *out;

    (void)state;
    memset(value, 'a', sizeof value);
    for (int escape = ESCAPE_JSON; escape <= ESCAPE_LOGFMT; escape++) {
        for (size_t room = 0; room < 2 * sizeof value; room++) {
            struct line line;

            out = malloc(room + 1); /* its end is the sanitizer's to watch */
            assert_true(escaped(escape, value, sizeof value, out, room) <= room);
            line = (struct line){out, out + room};
            line_number(&line, UINT64_MAX);
            line_milliseconds(&line, UINT64_MAX);
            line_put_short(&line, "\"first_byte_ms\":\0\0\0\0\0\0\0\0", 16);
            assert_true(line.at <= line.end);
            free(out);
        }
    }
}

static int set_up(void **state)
{
    *state = new_folder();
    return 0;
}

static int take_down(void **state)
{
    weir__access_shutdown(WEIR_S(1));
    remove_folder(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_parsed_whatever_a_client_sends),
        cmocka_unit_test(a_line_is_one_line_in_every_format),
        cmocka_unit_test(combined_is_what_log_analysers_read),
        cmocka_unit_test(a_query_belongs_to_the_uri_and_not_to_the_path),
        cmocka_unit_test(logfmt_quotes_only_what_needs_it),
        cmocka_unit_test(connections_have_what_applies_to_them),
        cmocka_unit_test(the_longest_values_still_make_whole_json),
        cmocka_unit_test(a_byte_is_escaped_alike_wherever_it_stands),
        cmocka_unit_test(a_line_that_is_too_short_is_never_overrun),
        cmocka_unit_test(conditions_hold_together),
        cmocka_unit_test(what_is_no_condition_is_told),
        cmocka_unit_test_setup_teardown(every_record_is_written_once, set_up, take_down),
        cmocka_unit_test_setup_teardown(a_file_that_was_moved_away_is_opened_again, set_up,
                                        take_down),
        cmocka_unit_test_setup_teardown(a_full_disk_delays_nobody_and_is_counted, set_up,
                                        take_down),
        cmocka_unit_test_setup_teardown(a_pipe_that_nobody_reads_delays_nobody, set_up, take_down),
        cmocka_unit_test_setup_teardown(what_is_excluded_or_not_sampled_is_not_written, set_up,
                                        take_down),
        cmocka_unit_test_setup_teardown(formats_change_while_loops_write, set_up, take_down),
        cmocka_unit_test_setup_teardown(an_output_that_cannot_be_opened_changes_nothing, set_up,
                                        take_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
