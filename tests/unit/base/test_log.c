/* SPDX-License-Identifier: Apache-2.0 */
/* Logging: levels, formats, and that nothing ever stalls who logs. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/log.h>
#include <weir/loop.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/sites.h"
#include "tests/unit/base/base_test.h"

#define THREADS 4
#define RECORDS 100

static weir_logger *logger;

/* A pipe as sink; what was written is read back. */
struct sink {
    int in, out;
    char text[1 << 18];
    size_t len;
};

static int sink_setup(void **state)
{
    struct sink *sink = calloc(1, sizeof(*sink));
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    sink->in = ends[0];
    sink->out = ends[1];
    logger = weir_logger_get("test");
    *state = sink;
    return 0;
}

static int sink_teardown(void **state)
{
    struct sink *sink = *state;

    weir_log_shutdown(WEIR_S(5));
    OK(weir_log_configure(&(weir_log_options){WEIR_SIZED(weir_log_options), .fd = 2}));
    close(sink->in);
    close(sink->out);
    free(sink);
    return 0;
}

static void log_to(struct sink *sink, weir_log_format format)
{
    OK(weir_log_configure(
        &(weir_log_options){WEIR_SIZED(weir_log_options), .fd = sink->out, .format = format}));
}

static void drain(struct sink *sink)
{
    ssize_t n;

    while ((n = read(sink->in, sink->text + sink->len, sizeof(sink->text) - 1 - sink->len)) > 0)
        sink->len += (size_t)n;
    sink->text[sink->len] = '\0';
}

static void wait_for_more(struct sink *sink)
{
    struct pollfd in = {.fd = sink->in, .events = POLLIN};

    assert_int_equal(poll(&in, 1, 10000), 1);
    drain(sink);
}

/* Everything that was logged so far. */
static const char *written(struct sink *sink)
{
    while (!weir_log_flush(WEIR_MS(1)))
        drain(sink);
    drain(sink);
    return sink->text;
}

static size_t count_of(const char *text, const char *part)
{
    size_t n = 0;

    while ((text = strstr(text, part))) {
        n++;
        text += strlen(part);
    }
    return n;
}

static void F1_a_record_becomes_a_line_of_text(void **state)
{
    const char *text;

    log_to(*state, WEIR_LOG_TEXT);
    weir_log(logger, WEIR_LOG_WARNING, "answer %d", 42);
    text = written(*state);

    /* 2026-11-21T01:49:23.123456Z */
    assert_int_equal(text[10], 'T');
    assert_int_equal(text[26], 'Z');
    assert_string_equal(text + 27, " WARNING test: answer 42\n");
}

static void times_are_utc_and_know_leap_years(void **state)
{
    static const struct {
        int64_t seconds;
        const char *text;
    } times[] = {
        {0, "1970-01-01T00:00:00.000000Z"},          {951782400, "2000-02-29T00:00:00.000000Z"},
        {951868799, "2000-02-29T23:59:59.000000Z"},  {1709164800, "2024-02-29T00:00:00.000000Z"},
        {1735689599, "2024-12-31T23:59:59.000000Z"}, {4107542400, "2100-03-01T00:00:00.000000Z"}};

    struct {
        struct log_record record;
        char texts[16];
    } made = {.record = {.level = WEIR_LOG_INFO, .message_size = 1, .body_size = 1}};

    (void)state;
    made.record.logger = logger;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        char line[128];
        struct text text = TEXT_INIT(line);

        made.record.time = times[i].seconds * 1000000000;
        weir__log_format(&text, &(struct log_style){.format = WEIR_LOG_TEXT}, &made.record);
        assert_memory_equal(line, times[i].text, 27);
    }
}

static void fields_follow_the_message(void **state)
{
    const weir_log_field fields[] = {{"peer", "127.0.0.1"}, {"user agent", "a \"b\"\n"}};

    log_to(*state, WEIR_LOG_TEXT);
    weir_log_at(WEIR_HERE, logger, WEIR_LOG_INFO, fields, 2, "hello");

    assert_string_equal(written(*state) + 27,
                        " INFO    test: hello peer=127.0.0.1 user_agent=\"a \\\"b\\\"\\n\"\n");
}

static void logfmt_quotes_what_needs_it(void **state)
{
    log_to(*state, WEIR_LOG_LOGFMT);
    weir_log(logger, WEIR_LOG_INFO, "two words");

    assert_non_null(strstr(written(*state), "Z level=info logger=test msg=\"two words\"\n"));
}

static void json_is_one_object_per_line(void **state)
{
    static const weir_site site = {"../../x/f.c", "f", 7};
    const weir_log_field field = {"k", "v\xff"};
    const char *text;

    log_to(*state, WEIR_LOG_JSON);
    weir_log_error_at(&site, logger, WEIR_LOG_ERROR, weir_raise_at(&site, EIO, "bad"), "m\n");
    weir_log_at(&site, logger, WEIR_LOG_INFO, &field, 1, "second");
    text = written(*state);

    assert_memory_equal(text, "{\"time\":\"", 9);
    assert_non_null(strstr(text, "Z\",\"level\":\"error\",\"logger\":\"test\",\"message\":\"m\\n\","
                                 "\"error\":\"error: bad (EIO)\\n      at f (x/f.c:7)\","
                                 "\"source\":\"x/f.c:7\"}\n"));
    assert_non_null(strstr(text, "\"message\":\"second\",\"k\":\"v\\ufffd\","));
    assert_int_equal(count_of(text, "\n"), 2);
}

static void an_error_stands_below_its_message(void **state)
{
    static const weir_site site = {"f.c", "f", 7};

    log_to(*state, WEIR_LOG_TEXT);
    weir_log_error_at(&site, logger, WEIR_LOG_ERROR, weir_raise_at(&site, EIO, "bad\nthing"),
                      "request failed");

    assert_string_equal(written(*state) + 27, " ERROR   test: request failed\n"
                                              "    error: bad\\nthing (EIO)\n"
                                              "          at f (f.c:7)\n");
}

static void the_journal_prefix_is_on_every_line(void **state)
{
    static const weir_site site = {"f.c", "f", 7};
    struct sink *sink = *state;

    OK(weir_log_configure(&(weir_log_options){WEIR_SIZED(weir_log_options), .fd = sink->out,
                                              .priority_prefix = true}));
    weir_log_error_at(&site, logger, WEIR_LOG_ERROR, weir_raise_at(&site, EIO, "bad"), "m");

    assert_string_equal(written(sink),
                        "<3>test: m\n<3>    error: bad (EIO)\n<3>          at f (f.c:7)\n");
}

static void F1_F2_F3_levels_are_inherited_from_the_nearest_ancestor(void **state)
{
    weir_logger *tree = weir_logger_get("tree"), *leaf = weir_logger_get("tree.branch.leaf");

    (void)state;
    assert_int_equal(weir_logger_level(leaf), WEIR_LOG_INFO);
    weir_logger_set_level(tree, WEIR_LOG_ERROR);
    assert_int_equal(weir_logger_level(leaf), WEIR_LOG_ERROR);
    weir_logger_set_level(weir_logger_get("tree.branch"), WEIR_LOG_DEBUG);
    assert_true(weir_logger_enabled(leaf, WEIR_LOG_DEBUG));
    weir_logger_set_level(weir_logger_get("tree.branch"), 0);
    assert_int_equal(weir_logger_level(leaf), WEIR_LOG_ERROR);
    weir_logger_set_level(tree, 0);

    assert_int_equal(weir_logger_level(leaf), WEIR_LOG_INFO);
    assert_ptr_equal(weir_logger_get("tree"), tree);
    assert_string_equal(weir_logger_name(leaf), "tree.branch.leaf");
}

static void F3_level_names_are_parsed(void **state)
{
    int level = 0;

    (void)state;
    assert_true(weir_log_level_parse("Warning", &level));
    assert_int_equal(level, WEIR_LOG_WARNING);
    assert_true(weir_log_level_parse("warn", &level));
    assert_true(weir_log_level_parse("off", &level));
    assert_int_equal(level, WEIR_LOG_OFF);
    assert_false(weir_log_level_parse("loud", &level));
    assert_int_equal(level, WEIR_LOG_OFF);
    assert_string_equal(weir_log_level_name(WEIR_LOG_WARNING), "warning");
    assert_string_equal(weir_log_level_name(25), "info");
}

static void F2_at_the_default_level_debug_is_not_written_and_info_is(void **state)
{
    log_to(*state, WEIR_LOG_TEXT);
    weir_log(logger, WEIR_LOG_DEBUG, "unseen");
    weir_log(logger, WEIR_LOG_INFO, "seen");

    assert_null(strstr(written(*state), "unseen"));
}

static void log_much(size_t count)
{
    for (size_t i = 0; i < count; i++)
        weir_log(logger, WEIR_LOG_INFO, "record number %zu, with enough text to fill", i);
}

/* Until the pipe is full. */
static void stall(void)
{
    do {
        log_much(100);
    } while (weir_log_flush(WEIR_MS(20)));
}

static void F4_a_sink_that_nobody_reads_never_stalls_who_logs(void **state)
{
    struct sink *sink = *state;
    uint64_t dropped = weir_log_dropped();
    char line[64];

    log_to(sink, WEIR_LOG_TEXT);
    stall();
    log_much(20000);
    assert_true(weir_log_dropped() > dropped);
    written(sink);

    weir_log(logger, WEIR_LOG_INFO, "after the stall");
    written(sink);
    /* The report of the drops follows when the rings are empty. */
    while (!strstr(sink->text, " records dropped "))
        wait_for_more(sink);
    assert_non_null(strstr(sink->text, "record number 0,"));
    assert_non_null(strstr(sink->text, " WARNING weir.log: "));
    snprintf(line, sizeof(line), " records dropped (sink fd %d slow)\n", sink->out);
    assert_non_null(strstr(sink->text, line));
    assert_non_null(strstr(sink->text, "after the stall"));
}

/* The sum of all "N records dropped". */
static uint64_t said_dropped(const char *text)
{
    uint64_t sum = 0;

    while ((text = strstr(text, " WARNING weir.log: "))) {
        text += strlen(" WARNING weir.log: ");
        sum += strtoull(text, NULL, 10);
    }
    return sum;
}

static void F4_what_is_said_to_be_dropped_and_what_arrives_is_all_there_was(void **state)
{
    struct sink *sink = *state;
    uint64_t dropped = weir_log_dropped();

    log_to(sink, WEIR_LOG_TEXT);
    for (int i = 0; i < 5000; i++)
        weir_log(logger, WEIR_LOG_INFO, "one of five thousand");
    written(sink);
    dropped = weir_log_dropped() - dropped;
    assert_true(dropped > 0);
    while (said_dropped(sink->text) < dropped)
        wait_for_more(sink);

    assert_int_equal(said_dropped(sink->text), dropped);
    assert_int_equal(count_of(sink->text, "one of five thousand\n") + dropped, 5000);
}

static void F4_an_error_is_not_dropped_for_what_came_before_it(void **state)
{
    struct sink *sink = *state;
    uint64_t dropped;

    log_to(sink, WEIR_LOG_TEXT);
    stall();
    log_much(2000);
    dropped = weir_log_dropped();
    weir_log(logger, WEIR_LOG_ERROR, "this must be known");
    assert_int_equal(weir_log_dropped(), dropped);
    weir_log(logger, WEIR_LOG_INFO, "this need not");
    assert_int_equal(weir_log_dropped(), dropped + 1);

    assert_non_null(strstr(written(sink), " ERROR   test: this must be known\n"));
}

static void F4_the_time_is_that_of_the_call(void **state)
{
    struct sink *sink = *state;
    struct timespec now;
    char line[64] = "";
    struct text text = TEXT_INIT(line);

    struct {
        struct log_record record;
        char texts[16];
    } made = {.record = {.level = WEIR_LOG_INFO, .message_size = 1, .body_size = 1}};

    log_to(sink, WEIR_LOG_TEXT);
    stall();
    weir_log(logger, WEIR_LOG_ERROR, "at this time");
    clock_gettime(CLOCK_REALTIME, &now);
    poll(NULL, 0, 20);
    made.record.logger = logger;
    made.record.time = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    weir__log_format(&text, &(struct log_style){.format = WEIR_LOG_TEXT}, &made.record);
    written(sink);
    assert_true(memcmp(strstr(sink->text, " ERROR   test: at this time") - 27, line, 27) <= 0);
}

static void F4_in_synchronous_mode_a_record_is_written_when_the_call_returns(void **state)
{
    struct sink *sink = *state;

    OK(weir_log_configure(
        &(weir_log_options){WEIR_SIZED(weir_log_options), .fd = sink->out, .synchronous = true}));
    for (int i = 0; i < 100; i++) {
        weir_log(logger, WEIR_LOG_INFO, "number %d.", i);
        drain(sink);
        assert_int_equal(count_of(sink->text, "\n"), i + 1);
    }
}

static void read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

    text[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

static void F4_a_file_is_opened_again_after_it_was_moved(void **state)
{
    char folder[] = "/tmp/weir-log-XXXXXX", path[64], moved[64], text[512];

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/log", folder);
    snprintf(moved, sizeof(moved), "%s/log.1", folder);
    OK(weir_log_configure(&(weir_log_options){WEIR_SIZED(weir_log_options), .path = path}));
    weir_log(logger, WEIR_LOG_INFO, "first");
    assert_true(weir_log_flush(WEIR_S(10)));
    assert_int_equal(rename(path, moved), 0);
    weir_log(logger, WEIR_LOG_INFO, "second");
    OK(weir_log_reopen());
    weir_log(logger, WEIR_LOG_INFO, "third");
    assert_true(weir_log_flush(WEIR_S(10)));
    read_file(moved, text, sizeof(text));
    assert_non_null(strstr(text, "first\n"));
    assert_non_null(strstr(text, "second\n"));
    read_file(path, text, sizeof(text));
    assert_null(strstr(text, "second\n"));
    assert_non_null(strstr(text, "third\n"));
    unlink(path);
    unlink(moved);
    rmdir(folder);
    FAILS(weir_log_configure(&(weir_log_options){WEIR_SIZED(weir_log_options), .path = path}),
          ENOENT);
}

struct heard {
    char text[4096];
    size_t len;
    int level;
};

static void hear(void *arg, int level, const char *lines, size_t len)
{
    struct heard *heard = arg;

    assert_true(heard->len + len < sizeof(heard->text));
    memcpy(heard->text + heard->len, lines, len);
    heard->len += len;
    heard->level = level;
}

static void F4_a_function_gets_every_record_until_it_is_removed(void **state)
{
    static struct heard heard;
    weir_log_sink *sink;

    log_to(*state, WEIR_LOG_TEXT);
    OK(weir_log_add_sink(hear, &heard, WEIR_LOG_LOGFMT, &sink));
    weir_log(logger, WEIR_LOG_WARNING, "to both");
    weir_log_remove_sink(sink);
    weir_log(logger, WEIR_LOG_WARNING, "to one");

    assert_non_null(strstr(written(*state), "to one\n"));
    assert_int_equal(heard.level, WEIR_LOG_WARNING);
    assert_non_null(strstr(heard.text, " level=warning logger=test msg=\"to both\"\n"));
    assert_null(strstr(heard.text, "to one"));
    FAILS(weir_log_add_sink(NULL, NULL, WEIR_LOG_TEXT, &sink), WEIR_EINVAL);
    weir_log_remove_sink(NULL);
}

static void F4_shutting_down_on_a_stalled_sink_keeps_its_limit(void **state)
{
    struct sink *sink = *state;

    log_to(sink, WEIR_LOG_TEXT);
    stall();
    weir_log_shutdown(WEIR_MS(1));
    weir_log(logger, WEIR_LOG_INFO, "wakes a new writer");
    written(sink);

    assert_non_null(strstr(sink->text, "wakes a new writer"));
}

static void after_a_shutdown_records_are_written_again(void **state)
{
    log_to(*state, WEIR_LOG_TEXT);
    weir_log(logger, WEIR_LOG_INFO, "before");
    weir_log_shutdown(WEIR_S(10));
    weir_log(logger, WEIR_LOG_INFO, "after");

    assert_non_null(strstr(written(*state), "before"));
    assert_non_null(strstr(written(*state), "after"));
}

static void *log_from_thread(void *arg)
{
    for (int i = 0; i < RECORDS; i++)
        weir_log(logger, WEIR_LOG_INFO, "thread %d record %d.", *(int *)arg, i);
    return NULL;
}

static void F4_records_of_many_threads_all_arrive_in_their_order(void **state)
{
    pthread_t threads[THREADS];
    int names[THREADS];
    const char *text, *at;

    log_to(*state, WEIR_LOG_TEXT);
    for (int i = 0; i < THREADS; i++) {
        names[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, log_from_thread, &names[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    text = written(*state);

    assert_int_equal(count_of(text, "\n"), THREADS * RECORDS);
    at = strstr(text, "thread 2 record 0.");
    assert_non_null(at);
    assert_non_null(strstr(at, "thread 2 record 99."));
}

static void the_ring_of_an_ended_thread_serves_the_next(void **state)
{
    int name = 0;
    size_t rings[2] = {0, 0};

    log_to(*state, WEIR_LOG_TEXT);
    for (int round = 0; round < 20; round++) {
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, log_from_thread, &name), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        written(*state);
        weir_log_shutdown(WEIR_S(10)); /* the writer has seen that the thread is gone */
        for (struct log_ring *ring = weir__log_rings(); ring; ring = ring->next)
            rings[round > 0]++;
        if (round > 0) {
            assert_int_equal(rings[1], rings[0]);
            rings[1] = 0;
        }
    }
}

static void F4_a_forked_child_logs_for_itself_only(void **state)
{
    struct sink *sink = *state;
    int status;
    pid_t child;

    log_to(sink, WEIR_LOG_TEXT);
    weir_log(logger, WEIR_LOG_INFO, "of the parent");
    child = fork();
    if (child == 0) {
        weir_log(logger, WEIR_LOG_INFO, "of the child");
        _exit(weir_log_flush(WEIR_S(10)) ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);

    written(sink);
    assert_int_equal(count_of(sink->text, "of the parent"), 1);
    assert_int_equal(count_of(sink->text, "of the child"), 1);
}

static void F4_what_was_logged_is_written_when_the_program_exits(void **state)
{
    struct sink *sink = *state;
    int status;
    pid_t child;

    log_to(sink, WEIR_LOG_TEXT);
    child = fork();
    if (child == 0) {
        close(STDOUT_FILENO); /* cmocka's buffered output is the parent's */
        close(STDERR_FILENO);
        weir_log(logger, WEIR_LOG_INFO, "last words");
        exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);

    drain(sink);
    assert_int_equal(count_of(sink->text, "last words"), 1);
}

static weir_error *make_unread(void)
{
    return weir_raise(EIO, "nobody looks");
}

static void an_error_that_dies_unread_is_logged_once_per_site(void **state)
{
    weir_logger *errors = weir_logger_get("weir.error");

    log_to(*state, WEIR_LOG_TEXT);
    weir__site_forget();
    weir_error_unref(make_unread()); /* DEBUG is off */
    weir_logger_set_level(errors, WEIR_LOG_DEBUG);
    weir_error_unref(make_unread());
    weir_error_unref(make_unread());
    weir_ignore(make_unread());
    weir_logger_set_level(errors, 0);

    assert_int_equal(count_of(written(*state), " DEBUG   weir.error: error dropped unread: "
                                               "nobody looks (EIO), made at "),
                     1);
}

static void in_debug_mode_an_unread_error_is_a_warning(void **state)
{
    log_to(*state, WEIR_LOG_TEXT);
    weir__site_forget();
    weir__thread_debug = true;
    weir_error_unref(make_unread());
    weir__thread_debug = false;

    assert_int_equal(count_of(written(*state), " WARNING weir.error: error dropped unread: "), 1);
}

static void a_thread_without_memory_for_a_ring_counts_its_records(void **state)
{
    uint64_t dropped = weir_log_dropped();

    (void)state;
    weir__log_count_lost();

    assert_int_equal(weir_log_dropped(), dropped + 1);
}

struct ticks {
    weir_loop *loop;
    int left;
};

/* A loop whose every step logs more than the pipe and the ring hold. */
static weir_error *tick(void *arg)
{
    struct ticks *ticks = arg;

    log_much(2000);
    if (--ticks->left == 0) {
        weir_loop_stop(ticks->loop);
        return NULL;
    }
    return weir_loop_call_later(ticks->loop, WEIR_MS(1), tick, ticks, NULL, NULL);
}

static void F4_timers_of_a_loop_fire_while_its_log_is_stuck(void **state)
{
    struct sink *sink = *state;
    struct ticks ticks = {.left = 20};
    uint64_t dropped = weir_log_dropped();

    log_to(sink, WEIR_LOG_TEXT);
    stall();
    OK(weir_loop_new(NULL, &ticks.loop));
    OK(weir_loop_call_soon(ticks.loop, tick, &ticks, NULL, NULL));
    OK(weir_loop_run_forever(ticks.loop)); /* nobody reads the pipe: it would never return */
    OK(weir_loop_close(ticks.loop));
    weir_loop_unref(ticks.loop);
    assert_int_equal(ticks.left, 0);
    assert_true(weir_log_dropped() - dropped > 30000);

    dropped = weir_log_dropped() - dropped;
    written(sink);
    while (said_dropped(sink->text) < dropped)
        wait_for_more(sink);
    assert_int_equal(said_dropped(sink->text), dropped);
}

#define SINK_TEST(name) cmocka_unit_test_setup_teardown(name, sink_setup, sink_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SINK_TEST(F1_a_record_becomes_a_line_of_text),
        SINK_TEST(times_are_utc_and_know_leap_years),
        SINK_TEST(fields_follow_the_message),
        SINK_TEST(logfmt_quotes_what_needs_it),
        SINK_TEST(json_is_one_object_per_line),
        SINK_TEST(an_error_stands_below_its_message),
        SINK_TEST(the_journal_prefix_is_on_every_line),
        SINK_TEST(F1_F2_F3_levels_are_inherited_from_the_nearest_ancestor),
        SINK_TEST(F3_level_names_are_parsed),
        SINK_TEST(F2_at_the_default_level_debug_is_not_written_and_info_is),
        SINK_TEST(F4_a_sink_that_nobody_reads_never_stalls_who_logs),
        SINK_TEST(F4_what_is_said_to_be_dropped_and_what_arrives_is_all_there_was),
        SINK_TEST(F4_timers_of_a_loop_fire_while_its_log_is_stuck),
        SINK_TEST(F4_an_error_is_not_dropped_for_what_came_before_it),
        SINK_TEST(F4_the_time_is_that_of_the_call),
        SINK_TEST(F4_in_synchronous_mode_a_record_is_written_when_the_call_returns),
        SINK_TEST(F4_a_file_is_opened_again_after_it_was_moved),
        SINK_TEST(F4_a_function_gets_every_record_until_it_is_removed),
        SINK_TEST(F4_shutting_down_on_a_stalled_sink_keeps_its_limit),
        SINK_TEST(after_a_shutdown_records_are_written_again),
        SINK_TEST(F4_records_of_many_threads_all_arrive_in_their_order),
        SINK_TEST(the_ring_of_an_ended_thread_serves_the_next),
        SINK_TEST(F4_a_forked_child_logs_for_itself_only),
        SINK_TEST(F4_what_was_logged_is_written_when_the_program_exits),
        SINK_TEST(an_error_that_dies_unread_is_logged_once_per_site),
        SINK_TEST(in_debug_mode_an_unread_error_is_a_warning),
        SINK_TEST(a_thread_without_memory_for_a_ring_counts_its_records),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
