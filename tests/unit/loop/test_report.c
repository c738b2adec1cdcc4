/* SPDX-License-Identifier: Apache-2.0 */
/* What a loop reports: failed callbacks and handlers, slow callbacks, late polls. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include <weir/callback.h>

#include "core/base/text.h"
#include "core/loop/internal.h"
#include "tests/unit/loop/loop_test.h"

static int sink[2];
static char logged[16384];

static void listen_to_log(void)
{
    sink_open(sink);
}

static const char *what_was_logged(void)
{
    sink_close(sink, logged, sizeof(logged));
    return logged;
}

static size_t times(const char *text, const char *what)
{
    size_t count = 0;

    while ((text = strstr(text, what))) {
        count++;
        text++;
    }
    return count;
}

/* A clock that only callbacks and the script move. */
static struct loop_clock clock_of_test;
static int64_t now_ns;
static int64_t script[8]; /* added at each reading, until 0 */
static size_t readings;

static int64_t read_clock(struct loop_clock *clock)
{
    (void)clock;
    if (readings < sizeof(script) / sizeof(script[0]))
        now_ns += script[readings++];
    return now_ns;
}

static void use_clock(void)
{
    now_ns = 1000;
    readings = sizeof(script) / sizeof(script[0]);
    clock_of_test = (struct loop_clock){.now = read_clock};
    weir__loop_set_clock(test.loop, &clock_of_test);
}

/* Failing callbacks */

static weir_error *fails(void *arg)
{
    (void)arg;
    return weir_raise(EIO, "callback failed");
}

static weir_exception_context seen;
static char seen_subject[256], seen_message[256];
static int traces;

static weir_error *keeps(weir_loop *loop, const weir_exception_context *context, void *arg)
{
    (void)loop;
    seen = *context;
    traces = (context->source_traceback != NULL) + 2 * (context->handle_traceback != NULL);
    snprintf(seen_subject, sizeof(seen_subject), "%s", context->subject ? context->subject : "");
    snprintf(seen_message, sizeof(seen_message), "%s", context->message);
    note(weir_error_is(context->error, EIO) ? 'e' : '?');
    return arg ? weir_raise(EPROTO, "handler failed") : NULL;
}

static void T16_the_context_tells_handle_site_and_in_debug_mode_where_it_was_made(void **state)
{
    (void)state;
    weir_loop_set_exception_handler(test.loop, keeps, NULL);
    soon(fails, NULL);
    iterate(1);
    assert_int_equal(seen.size, sizeof(seen));
    assert_string_equal(seen.subject_key, "handle");
    assert_int_equal(strncmp(seen_subject, "<Handle fails() created at ", 27), 0);
    assert_non_null(strstr(seen.site->file, "test_report.c"));
    assert_int_equal(traces, 0);
    weir_loop_set_debug(test.loop, true);
    soon(fails, NULL);
    iterate(1);
    assert_int_equal(traces, 1);
    assert_int_equal(strncmp(seen_subject, "<Handle fails((nil)) created at ", 32), 0);

    assert_string_equal(test.journal, "ee");
}

static weir_error *reports_something(void *arg)
{
    weir_exception_context context = {WEIR_SIZED(weir_exception_context), .message = "by hand",
                                      .error = arg};

    weir_loop_call_exception_handler(test.loop, &context);
    weir_ignore(arg);
    return NULL;
}

static void T16_a_report_of_a_callback_tells_in_debug_mode_where_that_was_made(void **state)
{
    (void)state;
    weir_loop_set_exception_handler(test.loop, keeps, NULL);
    weir_loop_set_debug(test.loop, true);
    OK(weir_loop_call_soon(test.loop, reports_something, weir_raise(EIO, "x"), NULL, NULL));
    iterate(1);

    assert_string_equal(seen_message, "by hand");
    assert_int_equal(traces, 2);
}

static void T16_the_default_handler_prints_message_subject_and_error(void **state)
{
    weir_error *error = weir_raise(EIO, "it broke");
    weir_exception_context context = {
        WEIR_SIZED(weir_exception_context), .message = "Something happened", .error = error,
        .subject_key = "transport",         .subject = "<Socket fd=6>",
    };

    (void)state;
    listen_to_log();
    weir_loop_call_exception_handler(test.loop, &context);
    weir_error_unref(error);
    (void)what_was_logged();

    assert_non_null(strstr(logged, " ERROR   weir: Something happened\n"
                                   "    transport: <Socket fd=6>\n"
                                   "    error: it broke (EIO)\n"));
}

static void T16_without_a_message_there_is_a_default_one(void **state)
{
    weir_exception_context context = {WEIR_SIZED(weir_exception_context)};

    (void)state;
    listen_to_log();
    weir_loop_call_exception_handler(test.loop, &context);
    (void)what_was_logged();

    assert_non_null(strstr(logged, " ERROR   weir: Unhandled exception in event loop\n"));
}

static void T16_a_handler_that_fails_is_reported_with_what_it_was_told(void **state)
{
    (void)state;
    weir_loop_set_exception_handler(test.loop, keeps, "fail");
    listen_to_log();
    soon(fails, NULL);
    iterate(1);
    (void)what_was_logged();

    assert_non_null(strstr(logged, " ERROR   weir: Unhandled error in exception handler\n"
                                   "    context: Exception in callback fails() scheduled at "));
    assert_non_null(strstr(logged, "    error: handler failed (EPROTO)\n"));
    assert_non_null(strstr(logged, " ERROR   weir: Exception in callback fails() scheduled at "));
    assert_non_null(strstr(logged, "    error: callback failed (EIO)\n"));
}

static weir_error *broken_default(weir_loop *loop, const weir_exception_context *context)
{
    (void)loop;
    (void)context;
    return weir_raise(ENOSPC, "default failed");
}

static void T16_a_default_handler_that_fails_is_a_line_in_the_log(void **state)
{
    (void)state;
    weir__loop_set_default_handler(test.loop, broken_default);
    listen_to_log();
    soon(fails, NULL);
    iterate(1);
    (void)what_was_logged();
    assert_non_null(strstr(logged, " ERROR   weir: Exception in default exception handler\n"
                                   "    error: default failed (ENOSPC)\n"));
    weir_loop_set_exception_handler(test.loop, keeps, "fail");
    listen_to_log();
    soon(fails, NULL);
    iterate(1);
    (void)what_was_logged();

    assert_non_null(strstr(logged, " ERROR   weir: Exception in default exception handler while "
                                   "handling an unexpected error in custom exception handler\n"));
}

static weir_error *calls_back(weir_loop *loop, const weir_exception_context *context, void *arg)
{
    (void)arg;
    note('c');
    soon(note_arg, "s");
    weir_loop_default_exception_handler(loop, context);
    if (strlen(test.journal) < 4)
        weir_loop_call_exception_handler(loop, context);
    return NULL;
}

static void T16_a_handler_may_call_the_loop(void **state)
{
    (void)state;
    weir_loop_set_exception_handler(test.loop, calls_back, NULL);
    listen_to_log();
    soon(fails, NULL);
    iterate(2);
    (void)what_was_logged();

    assert_string_equal(test.journal, "ccccssss");
    assert_int_equal(times(logged, "Exception in callback fails()"), 4);
}

static weir_error *ends_all(weir_loop *loop, const weir_exception_context *context, void *arg)
{
    (void)loop;
    (void)arg;
    (void)weir_error_code(context->error);
    return weir_raise(WEIR_EFATAL, "no more");
}

static void T16_a_fatal_error_of_a_handler_ends_the_run(void **state)
{
    (void)state;
    weir_loop_set_exception_handler(test.loop, ends_all, NULL);
    soon(fails, NULL);
    FAILS(weir_loop_run_forever(test.loop), WEIR_EFATAL);
}

static void T8_errors_of_embedded_callbacks_and_timers_name_them(void **state)
{
    weir_callback callback;
    weir_timer timer;

    (void)state;
    weir_loop_set_exception_handler(test.loop, keeps, NULL);
    weir_callback_init(&callback, test.loop, fails, NULL);
    weir_callback_schedule(&callback);
    iterate(1);
    assert_int_equal(strncmp(seen_message, "Exception in callback fails() scheduled at ", 43), 0);
    seen_message[0] = '\0';
    weir_timer_init(&timer, test.loop, fails, NULL);
    weir_timer_start(&timer, WEIR_NS(0));
    iterate(1);

    assert_int_equal(strncmp(seen_message, "Exception in callback fails() scheduled at ", 43), 0);
}

static void T16_without_memory_a_report_is_still_made(void **state)
{
    (void)state;
    listen_to_log();
    iterate(1); /* the backend takes its buffers with the first wait */
    soon(fails, NULL);
    weir__alloc_fail_nth = 1; /* the error itself */
    iterate(1);
    weir__alloc_fail_nth = 0;
    (void)what_was_logged();

    assert_non_null(strstr(logged, "Exception in callback fails() scheduled at "));
    assert_non_null(strstr(logged, ": WEIR_ENOMEM"));
}

/* Slow callbacks */

static int64_t takes;

static weir_error *is_slow(void *arg)
{
    (void)arg;
    now_ns += takes;
    return NULL;
}

static int slow_line;

static void run_slow(int64_t ns)
{
    takes = ns;
    slow_line = __LINE__ + 1;
    soon(is_slow, NULL);
    iterate(1);
}

static void T18_B4_a_slow_callback_is_logged_from_the_threshold_on(void **state)
{
    char expected[256];

    (void)state;
    use_clock();
    weir_loop_set_debug(test.loop, true);
    listen_to_log();
    run_slow(99999999);
    assert_int_equal(times(what_was_logged(), "Executing"), 0);
    listen_to_log();
    run_slow(100000000); /* equality counts */
    run_slow(120000000);
    (void)what_was_logged();
    snprintf(expected, sizeof(expected),
             " WARNING weir: Executing <Handle is_slow((nil)) created at %s:%d> took 0.100 "
             "seconds\n",
             text_site_file(WEIR_HERE), slow_line);

    assert_non_null(strstr(logged, expected));
    assert_non_null(strstr(logged, " took 0.120 seconds\n"));
    assert_int_equal(times(logged, "Executing"), 2);
}

static void T18_B4_a_threshold_of_nothing_logs_all_and_one_for_ever_none(void **state)
{
    (void)state;
    use_clock();
    weir_loop_set_debug(test.loop, true);
    weir_loop_set_slow_callback(test.loop, WEIR_NS(0));
    listen_to_log();
    run_slow(0);
    assert_int_equal(times(what_was_logged(), "Executing <Handle is_slow("), 1);
    weir_loop_set_slow_callback(test.loop, WEIR_FOREVER);
    listen_to_log();
    run_slow((int64_t)3600 * 1000000000);

    assert_int_equal(times(what_was_logged(), "Executing"), 0);
}

static void T18_B4_without_debug_mode_nothing_is_measured(void **state)
{
    (void)state;
    use_clock();
    listen_to_log();
    run_slow(200000000);

    assert_int_equal(times(what_was_logged(), "Executing"), 0);
}

static weir_error *is_slow_and_gone(void *arg)
{
    takes = 100000000;
    (void)is_slow(NULL);
    free(arg);
    return NULL;
}

static void T18_B4_a_callback_that_frees_itself_is_named(void **state)
{
    weir_callback *callback = malloc(sizeof(*callback));

    (void)state;
    use_clock();
    weir_loop_set_debug(test.loop, true);
    weir_callback_init(callback, test.loop, is_slow_and_gone, callback);
    weir_callback_schedule(callback);
    listen_to_log();
    iterate(1);

    assert_int_equal(times(what_was_logged(), "Executing <Callback is_slow_and_gone() created at "),
                     1);
}

static weir_error *turns_debug_on(void *arg)
{
    weir_loop_set_debug(test.loop, true);
    return is_slow(arg);
}

static void T17_A4_a_switch_takes_effect_with_the_next_callback(void **state)
{
    (void)state;
    use_clock();
    takes = 100000000;
    listen_to_log();
    soon(turns_debug_on, NULL); /* not measured: it began without */
    soon(is_slow, NULL);
    iterate(1);
    (void)what_was_logged();

    assert_int_equal(times(logged, "Executing"), 1);
    assert_non_null(strstr(logged, "Executing <Handle is_slow("));
}

/* Late polls */

/* A wait of at most a millisecond for a timer that is due in 50 ms. */
static void poll_that_took(int64_t ns)
{
    readings = 0;
    memset(script, 0, sizeof(script));
    script[1] = ns; /* between the readings before and after the wait */
    OK(weir__loop_run_once(test.loop, 50000000));
}

static void T19_B3_a_poll_that_returns_late_is_a_warning(void **state)
{
    (void)state;
    use_clock();
    listen_to_log();
    poll_that_took(412118000);
    poll_that_took(150000000); /* exactly the threshold more: not yet */
    poll_that_took(150000001);
    (void)what_was_logged();

    assert_non_null(strstr(logged, " WARNING weir: poll 50.000 ms took 412.118 ms: 0 events "
                                   "(overshoot 362.118 ms)\n"));
    assert_int_equal(times(logged, "poll"), 2);
}

static void T19_B3_the_threshold_may_be_set(void **state)
{
    (void)state;
    use_clock();
    weir_loop_set_poll_overshoot(test.loop, WEIR_MS(1));
    listen_to_log();
    poll_that_took(51000001);
    assert_int_equal(times(what_was_logged(), "poll"), 1);
    weir_loop_set_poll_overshoot(test.loop, WEIR_FOREVER);
    listen_to_log();
    poll_that_took((int64_t)3600 * 1000000000);

    assert_int_equal(times(what_was_logged(), "poll"), 0);
}

static void T19_B3_an_idle_loop_with_a_timer_of_a_second_says_nothing(void **state)
{
    (void)state;
    use_clock();
    weir_loop_set_debug(test.loop, true);
    listen_to_log();
    for (int i = 0; i < 3; i++)
        poll_that_took(50000000);

    assert_int_equal(times(what_was_logged(), "poll"), 0);
}

static void B3_in_debug_mode_polls_are_debug_lines_ten_a_second_at_most(void **state)
{
    (void)state;
    use_clock();
    weir_loop_set_debug(test.loop, true);
    weir_logger_set_level(weir_logger_get("weir"), WEIR_LOG_DEBUG);
    now_ns = 1000000000;
    listen_to_log();
    poll_that_took(50000000);
    poll_that_took(20000000);
    poll_that_took(20000000);
    poll_that_took(60000000);
    (void)what_was_logged();
    weir_logger_set_level(weir_logger_get("weir"), 0);

    assert_int_equal(times(logged, "poll 50.000 ms took 50.000 ms: 0 events (0 polls"), 1);
    assert_int_equal(times(logged, "poll 50.000 ms took 60.000 ms: 0 events (2 polls"), 1);
    assert_int_equal(times(logged, "poll 50.000"), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(T16_the_context_tells_handle_site_and_in_debug_mode_where_it_was_made),
        LOOP_TEST(T16_a_report_of_a_callback_tells_in_debug_mode_where_that_was_made),
        LOOP_TEST(T16_the_default_handler_prints_message_subject_and_error),
        LOOP_TEST(T16_without_a_message_there_is_a_default_one),
        LOOP_TEST(T16_a_handler_that_fails_is_reported_with_what_it_was_told),
        LOOP_TEST(T16_a_default_handler_that_fails_is_a_line_in_the_log),
        LOOP_TEST(T16_a_handler_may_call_the_loop),
        LOOP_TEST(T16_a_fatal_error_of_a_handler_ends_the_run),
        LOOP_TEST(T8_errors_of_embedded_callbacks_and_timers_name_them),
        LOOP_TEST(T16_without_memory_a_report_is_still_made),
        LOOP_TEST(T18_B4_a_slow_callback_is_logged_from_the_threshold_on),
        LOOP_TEST(T18_B4_a_threshold_of_nothing_logs_all_and_one_for_ever_none),
        LOOP_TEST(T18_B4_without_debug_mode_nothing_is_measured),
        LOOP_TEST(T18_B4_a_callback_that_frees_itself_is_named),
        LOOP_TEST(T17_A4_a_switch_takes_effect_with_the_next_callback),
        LOOP_TEST(T19_B3_a_poll_that_returns_late_is_a_warning),
        LOOP_TEST(T19_B3_the_threshold_may_be_set),
        LOOP_TEST(T19_B3_an_idle_loop_with_a_timer_of_a_second_says_nothing),
        LOOP_TEST(B3_in_debug_mode_polls_are_debug_lines_ten_a_second_at_most),
    };

    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
