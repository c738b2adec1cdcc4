/* SPDX-License-Identifier: Apache-2.0 */
/* Checks, what a test leaves behind, allocations that fail, and the log as values. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/testing/testing_test.h"

/* Checks */

static weir_error *deep(int depth)
{
    if (depth > 0)
        return deep(depth - 1);
    WEIR_CHECK(depth != 0);
    return NULL;
}

static weir_error *fails_deep_inside(void *arg)
{
    bool *cleaned = arg;
    weir_error *error = deep(50);

    *cleaned = true;
    return error;
}

static void a_check_in_a_task_fails_on_the_main_stack_after_the_task_cleaned_up(void **state)
{
    weir_test *test = KIT_NEW(.seed = 12);
    bool cleaned = false;

    (void)state;
    keep_failures();
    weir_test_run(test, fails_deep_inside, &cleaned);
    assert_true(cleaned);
    assert_non_null(strstr(kept_failure(), "test_kit.c:"));
    assert_non_null(strstr(kept_failure(), "depth != 0"));
    assert_failed_with("WEIR_TEST_SEED=12");
    weir_test_end(test);
}

static weir_error *fails_soon(void *arg)
{
    (void)arg;
    WEIR_CHECK_OK(weir_sleep(WEIR_MS(1)));
    WEIR_CHECK_INT(1 + 1, 3);
    return NULL;
}

static weir_error *waits_while_another_fails(void *arg)
{
    WEIR_TRY(weir_spawn(fails_soon, arg, NULL));
    WEIR_TRY(weir_sleep(WEIR_FOREVER));
    return NULL;
}

static void a_check_in_another_task_ends_the_run(void **state)
{
    weir_test *test = KIT_NEW();

    (void)state;
    keep_failures();
    weir_test_run(test, waits_while_another_fails, NULL);
    assert_failed_with("1 + 1 is 2, expected 3");
    weir_test_drop(test);
}

static weir_error *checks_of_every_kind(void *arg)
{
    WEIR_CHECK_TEXT("a", "a");
    WEIR_CHECK_INT(7, 7);
    WEIR_CHECK_CODE(weir_raise(ENOENT, "no file"), ENOENT);
    switch (*(int *)arg) {
    case 0:
        WEIR_CHECK_TEXT("got", "wanted");
        break;
    case 1:
        WEIR_CHECK_OK(weir_raise(ENOENT, "no file %d", 7));
        break;
    case 2:
        WEIR_CHECK_CODE(NULL, WEIR_EEOF);
        break;
    case 3:
        WEIR_EXPECT(*(int *)arg == 4);
        break;
    case 4:
        return weir_raise(EIO, "by itself");
    }
    return NULL;
}

static void a_failure_tells_what_was_got_and_what_was_wanted(void **state)
{
    static const char *const wanted[] = {
        "\"got\" is \"got\", expected \"wanted\"", "expected success, got ENOENT: no file 7",
        "NULL: expected WEIR_EEOF, got success",   "*(int *)arg == 4",
        "checks_of_every_kind: EIO: by itself",
    };

    (void)state;
    for (int i = 0; i < 5; i++) {
        weir_test *test = KIT_NEW();

        keep_failures();
        weir_test_run(test, checks_of_every_kind, &i);
        assert_failed_with(wanted[i]);
        weir_test_end(test);
    }
}

/* cmocka leaves a test by longjmp; the next one must not find the loop of the last. */
static void a_test_that_was_left_is_dropped_by_the_next(void **state)
{
    weir_test *test;

    (void)state;
    (void)KIT_NEW();
    test = KIT_NEW();
    weir_test_end(test);
}

static weir_error *fails_in_a_callback(void *arg)
{
    (void)arg;
    return weir_raise(EIO, "of a callback");
}

static void reports_to_the_exception_handler_are_counted(void **state)
{
    weir_test *test = KIT_NEW();

    (void)state;
    WEIR_TEST_OK(weir_loop_call_soon(weir_test_loop(test), fails_in_a_callback, NULL, NULL, NULL));
    weir_test_idle(test);
    assert_int_equal(weir_test_reports(test), 1);
    assert_non_null(strstr(weir_test_last_report(test), "callback"));
    weir_test_end(test);
}

/* Leaks */

static weir_error *never_ends(void *arg)
{
    (void)arg;
    WEIR_TRY(weir_sleep(WEIR_FOREVER));
    return NULL;
}

static weir_chunk *kept_chunk;

static weir_error *keep_chunk(weir_transport *t, void *state, weir_slice data)
{
    (void)t;
    (void)state;
    kept_chunk = weir_chunk_ref(weir_chunk_of(data));
    return NULL;
}

static const weir_protocol idle = {
    WEIR_SIZED(weir_protocol),
    .name = "idle",
    .data_received = keep_chunk,
};

static void leak_task(weir_test *test)
{
    (void)test;
    WEIR_TEST_OK(weir_spawn(never_ends, NULL, NULL));
}

static void leak_transport(weir_test *test)
{
    WEIR_TEST_OK(weir_test_pair(test, &idle, NULL, &idle, NULL, NULL, NULL));
}

static weir_server *kept_server;

static void leak_server(weir_test *test)
{
    WEIR_TEST_OK(weir_test_serve(test, NULL, &idle, NULL, &kept_server));
}

static void leak_chunk(weir_test *test)
{
    weir_transport *a, *b;

    WEIR_TEST_OK(weir_test_pair(test, &idle, NULL, &idle, NULL, &a, &b));
    WEIR_TEST_OK(weir_transport_write(a, weir_slice_of("x", 1)));
    weir_test_idle(test);
    weir_transport_close(a);
}

static weir_future *kept_future;
static int kept_fd;

static void leak_future(weir_test *test)
{
    (void)test;
    WEIR_TEST_OK(weir_future_new(&kept_future));
}

static void leak_descriptor(weir_test *test)
{
    (void)test;
    kept_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(kept_fd >= 0);
}

static void assert_leak(void (*leak)(weir_test *test), const char *wanted)
{
    weir_test *test;

    weir_test_log_begin();
    test = KIT_NEW();
    leak(test);
    keep_failures();
    weir_test_end(test);
    weir_test_log_end();
    assert_failed_with(wanted);
}

static void what_a_test_leaves_behind_fails_it_by_name(void **state)
{
    (void)state;
    assert_leak(leak_task, "never_ends");
    assert_leak(leak_transport, "idle");
    assert_leak(leak_server, "unix:");
    weir_server_unref(kept_server);
    assert_leak(leak_chunk, "1 chunks are held");
    weir_chunk_unref(kept_chunk);
    assert_leak(leak_future, "future");
    weir_future_unref(kept_future);
    assert_leak(leak_descriptor, "descriptors");
    close(kept_fd);
}

/* Allocations */

static void each_allocation_fails_once(void **state)
{
    unsigned long failed = 0, runs = 0;

    (void)state;
    WEIR_TEST_EACH_ALLOCATION(nth)
    {
        weir_test *test = KIT_NEW();
        weir_future *future = NULL;
        weir_error *error;

        runs++;
        weir_test_fail_allocation(nth);
        error = weir_future_new(&future);
        weir_test_fail_allocation(0);
        if (error)
            failed++;
        assert_true(!error || weir_error_is(error, WEIR_ENOMEM));
        assert_int_equal(weir_test_allocation_failed(), error != NULL);
        weir_ignore(error);
        if (future)
            weir_future_unref(future);
        weir_test_end(test);
    }
    assert_true(failed > 0);
    assert_int_equal(runs, failed + 1);
}

static weir_error *answer_line(weir_stream *stream, const void *config)
{
    char line[64];
    size_t n;

    (void)config;
    WEIR_TRY(weir_stream_read_line(stream, line, sizeof(line), &n));
    WEIR_TRY(weir_stream_printf(stream, "you said %s\n", line));
    return NULL;
}

static const weir_protocol answering = {
    WEIR_SIZED(weir_protocol),
    .name = "answering",
    .serve = answer_line,
};

struct accepting {
    weir_test *test;
    weir_server *server;
    weir_stream *peer;
    unsigned long plan; /* from when the peer has written; 0: none */
};

static weir_error *connects(void *arg)
{
    struct accepting *accepting = arg;

    WEIR_CHECK_OK(weir_test_connect(accepting->test, accepting->server, &accepting->peer));
    WEIR_CHECK_OK(weir_stream_write(accepting->peer, "weir\n", 5));
    if (accepting->plan)
        weir_test_fail_allocation(accepting->plan);
    accepting->plan = 0;
    return NULL;
}

static weir_error *reads_the_answer(void *arg)
{
    struct accepting *accepting = arg;
    char line[64];
    size_t n;

    WEIR_TRY(weir_stream_read_line(accepting->peer, line, sizeof(line), &n));
    WEIR_CHECK_TEXT(line, "you said weir");
    return NULL;
}

/* A round with one failure, planned where `early` says: the whole server, or only what accepting and
   serving the connection allocate. False: the server or the client's own end could not be made. */
static bool round_with_failure(struct accepting *accepting, unsigned long nth, bool early)
{
    weir_error *error;

    if (early)
        weir_test_fail_allocation(nth);
    else
        accepting->plan = nth;
    error = weir_test_serve(accepting->test, NULL, &answering, NULL, &accepting->server);
    if (!error)
        error = weir_test_try(accepting->test, connects, accepting);
    if (error) {
        weir_test_fail_allocation(0);
        assert_true(weir_test_allocation_failed());
        assert_true(weir_error_is(error, WEIR_ENOMEM) || weir_error_is(error, WEIR_ECANCELED));
        weir_ignore(error);
        weir_test_forget_failure();
        return false;
    }
    weir_test_advance(accepting->test, WEIR_S(1));
    weir_test_fail_allocation(0);
    error = weir_test_try(accepting->test, reads_the_answer, accepting);
    weir_test_raise_recorded();
    assert_false(weir_error_is(error, WEIR_EDEADLK));
    assert_true(!error || weir_test_allocation_failed());
    weir_ignore(error);
    weir_stream_abort(WEIR_TAKE(accepting->peer));
    return true;
}

/* Whatever fails while a connection is accepted and served costs that connection, no more: its peer
   sees an answer or an end, and the next connection is served. */
static void accept_with_failure(unsigned long nth, bool early)
{
    struct accepting accepting = {.test = KIT_NEW()};
    bool served = round_with_failure(&accepting, nth, early);

    if (!served && accepting.peer)
        weir_stream_abort(WEIR_TAKE(accepting.peer));
    if (served) {
        weir_test_run(accepting.test, connects, &accepting);
        weir_test_run(accepting.test, reads_the_answer, &accepting);
        weir_stream_abort(accepting.peer);
    }
    if (accepting.server) {
        weir_server_close(accepting.server);
        weir_server_unref(accepting.server);
    }
    weir_test_end(accepting.test);
}

static void T95_an_allocation_that_fails_on_the_accept_path_costs_one_connection(void **state)
{
    unsigned long counts[2] = {0, 0};

    (void)state;
    weir_test_log_begin();
    for (int early = 0; early < 2; early++) {
        WEIR_TEST_EACH_ALLOCATION(nth)
        {
            accept_with_failure(nth, early);
            counts[early] = nth - 1;
        }
    }
    weir_test_log_end();
    /* The transport, what most never need, its task; before them server, tasks, stacks, vectors. */
    assert_in_range(counts[0], 3, 50);
    assert_in_range(counts[1], counts[0] + 3, 100);
}

/* The log */

static void records_are_found_by_logger_level_and_text(void **state)
{
    char text[1024];

    (void)state;
    weir_test_log_begin();
    weir_log(weir_logger_get("kit.a"), WEIR_LOG_WARNING, "one \"quoted\" %d", 1);
    weir_log(weir_logger_get("kit.b"), WEIR_LOG_INFO, "two");
    weir_log_error(weir_logger_get("kit.b"), WEIR_LOG_ERROR, weir_raise(ENOENT, "the cause"),
                   "three");
    assert_int_equal(weir_test_logged(NULL, 0, NULL), 3);
    assert_int_equal(weir_test_logged("kit.b", 0, NULL), 2);
    assert_int_equal(weir_test_logged("kit.a", WEIR_LOG_WARNING, "one \"quoted\" 1"), 1);
    assert_int_equal(weir_test_logged("kit.a", WEIR_LOG_INFO, NULL), 0);
    assert_int_equal(weir_test_logged("kit.b", WEIR_LOG_ERROR, "the cause"), 1);
    assert_int_equal(weir_test_logged(NULL, 0, "four"), 0);
    assert_int_equal(weir_test_log_text(text, sizeof(text)), 3);
    assert_non_null(strstr(text, "two"));
    weir_test_log_end();
}

static void warnings_are_captured_each_time(void **state)
{
    weir_warning_action before = weir_warnings_get(WEIR_WARNING_RESOURCE);

    (void)state;
    weir_test_log_begin();
    for (int i = 0; i < 2; i++)
        weir_warn_at(WEIR_HERE, WEIR_WARNING_RESOURCE, NULL, "unclosed thing");
    weir_warn_at(WEIR_HERE, WEIR_WARNING_DEPRECATION, NULL, "old thing");
    assert_int_equal(weir_test_warned(WEIR_WARNING_RESOURCE, "unclosed thing"), 2);
    assert_int_equal(weir_test_warned(WEIR_WARNING_RESOURCE, "old thing"), 0);
    assert_int_equal(weir_test_warned(WEIR_WARNING_DEPRECATION, "old thing"), 1);
    weir_test_log_end();
    assert_int_equal(weir_warnings_get(WEIR_WARNING_RESOURCE), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(a_check_in_a_task_fails_on_the_main_stack_after_the_task_cleaned_up),
        KIT_TEST(a_check_in_another_task_ends_the_run),
        KIT_TEST(a_failure_tells_what_was_got_and_what_was_wanted),
        KIT_TEST(a_test_that_was_left_is_dropped_by_the_next),
        KIT_TEST(reports_to_the_exception_handler_are_counted),
        KIT_TEST(what_a_test_leaves_behind_fails_it_by_name),
        KIT_TEST(each_allocation_fails_once),
        KIT_TEST(T95_an_allocation_that_fails_on_the_accept_path_costs_one_connection),
        KIT_TEST(records_are_found_by_logger_level_and_text),
        KIT_TEST(warnings_are_captured_each_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
