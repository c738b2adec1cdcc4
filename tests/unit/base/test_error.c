/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: how they are made, which way they go and how they read. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "core/base/error.h"
#include "tests/unit/base/base_test.h"

static const weir_site dial = {"use.c", "dial", 7};
static const weir_site resolve = {"use.c", "resolve_and_dial", 8};
static const weir_site start = {"use.c", "start_upstream", 9};

static weir_error *refused(void)
{
    return weir_raise_at(&dial, ECONNREFUSED, "connect to %s refused", "10.0.0.11:8080");
}

static void an_error_prints_its_message_causes_and_traces(void **state)
{
    static const char expected[] =
        "error: upstream \"app\": no server could be reached (EHOSTUNREACH)\n"
        "      at start_upstream (use.c:9)\n"
        "  because: connect to 10.0.0.11:8080 refused (ECONNREFUSED)\n"
        "      at dial (use.c:7)\n"
        "      at resolve_and_dial (use.c:8)";
    weir_error *error = weir_error_trace(refused(), &resolve);
    char text[1024];

    (void)state;
    error = weir_wrap_at(&start, error, EHOSTUNREACH, "upstream \"%s\": no server could be reached",
                         "app");
    weir_error_print(error, text, sizeof(text));

    assert_string_equal(text, expected);
    weir_error_unref(error);
}

static void hints_and_attached_errors_are_printed_below(void **state)
{
    static const char expected[] = "error: connect to 10.0.0.11:8080 refused (ECONNREFUSED)\n"
                                   "      at dial (use.c:7)\n"
                                   "  also: closing (EIO)\n"
                                   "        at start_upstream (use.c:9)\n"
                                   "  hint: is it running?";
    weir_error *error = weir_error_hint(refused(), "is %s running?", "it");
    char text[1024];

    (void)state;
    weir_error_attach(error, weir_raise_at(&start, EIO, "closing"));
    weir_error_print(error, text, sizeof(text));

    assert_string_equal(text, expected);
    weir_error_unref(error);
}

static void the_message_is_one_line_with_its_causes(void **state)
{
    weir_error *error = weir_wrap_at(&start, refused(), EIO, "connect to app");
    char text[128];

    (void)state;
    assert_int_equal(weir_error_message(error, text, sizeof(text)), 49);
    assert_string_equal(text, "connect to app: connect to 10.0.0.11:8080 refused");

    weir_error_unref(error);
}

static void a_message_too_long_for_the_buffer_says_how_long_it_is(void **state)
{
    weir_error *error = weir_raise(EIO, "twelve bytes");
    char text[7];

    (void)state;
    assert_int_equal(weir_error_message(error, text, sizeof(text)), 12);
    assert_string_equal(text, "twelve");
    assert_int_equal(weir_error_message(error, NULL, 0), 12);

    weir_error_unref(error);
}

static void control_characters_of_a_message_are_escaped(void **state)
{
    weir_error *error = weir_raise(EIO, "a\nb\x1b[31m\xff");
    char text[128];

    (void)state;
    weir_error_message(error, text, sizeof(text));

    assert_string_equal(text, "a\\nb\\x1b[31m\\xff");
    weir_error_unref(error);
}

static void a_very_long_message_is_cut_with_an_ellipsis(void **state)
{
    char longer[3000];
    char text[2048];
    weir_error *error;

    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    error = weir_raise(EIO, "%s", longer);
    weir_error_message(error, text, sizeof(text));

    assert_int_equal(strlen(text), ERROR_MESSAGE_MAX - 1);
    assert_string_equal(text + strlen(text) - 3, "…");
    weir_error_unref(error);
}

static void normal_outcomes_are_static_and_keep_their_identity(void **state)
{
    weir_error *cancelled = weir_raise(WEIR_ECANCELED, "dropped %d", 1);

    (void)state;
    assert_ptr_equal(cancelled, weir_raise(WEIR_ECANCELED, "again"));
    assert_ptr_equal(weir_error_trace(cancelled, &dial), cancelled);
    assert_ptr_equal(weir_wrap(cancelled, EIO, "in vain"), cancelled);
    assert_ptr_equal(weir_error_detach(cancelled), cancelled);
    assert_null(weir_error_site(cancelled));
}

static void the_end_of_a_stream_may_be_a_cause(void **state)
{
    weir_error *error = weir_wrap(weir_raise(WEIR_EEOF, "-"), WEIR_EINCOMPLETE, "reading a head");

    (void)state;
    assert_true(weir_error_is(error, WEIR_EINCOMPLETE));
    assert_true(weir_error_has(error, WEIR_EEOF));
    assert_false(weir_error_is(error, WEIR_EEOF));

    weir_error_unref(error);
}

static void wrapping_nothing_gives_nothing(void **state)
{
    (void)state;
    assert_null(weir_wrap(NULL, EIO, "fine"));
    assert_int_equal(weir_error_code(NULL), 0);
    assert_false(weir_error_is(NULL, 0));
}

static void a_fast_error_is_formatted_when_it_is_printed(void **state)
{
    weir_error *error = WEIR_RAISE_FAST(WEIR_ELIMIT, "%lld of %lld bytes", 5, 4);
    weir_error *plain = WEIR_RAISE_FAST(ECONNRESET, "reset by peer");
    char text[64];

    (void)state;
    weir_error_message(error, text, sizeof(text));
    assert_string_equal(text, "5 of 4 bytes");
    weir_error_message(plain, text, sizeof(text));
    assert_string_equal(text, "reset by peer");

    weir_error_unref(error);
    weir_error_unref(plain);
}

static void fast_errors_go_on_when_the_pool_is_used_up(void **state)
{
    weir_error *held[ERROR_POOL_SIZE + 2];
    char text[64];

    (void)state;
    for (int i = 0; i < ERROR_POOL_SIZE + 2; i++)
        held[i] = WEIR_RAISE_FAST(EPROTO, "bad byte %lld", i);
    weir_error_message(held[ERROR_POOL_SIZE + 1], text, sizeof(text));

    assert_string_equal(text, "bad byte 257");
    for (int i = 0; i < ERROR_POOL_SIZE + 2; i++)
        weir_ignore(held[i]);
}

static void fast_errors_of_the_pool_do_not_allocate(void **state)
{
    weir_error *error;

    (void)state;
    weir_ignore(WEIR_RAISE_FAST(EPROTO, "first"));
    weir__alloc_fail_nth = 1;
    error = WEIR_RAISE_FAST(EPROTO, "second");

    assert_true(weir_error_is(error, EPROTO));
    assert_int_equal(weir__alloc_fail_nth, 1);
    weir__alloc_fail_nth = 0;
    weir_error_unref(error);
}

static void without_memory_an_error_is_out_of_memory(void **state)
{
    weir_error *error;

    (void)state;
    weir__alloc_fail_nth = 1;
    error = weir_raise(EIO, "text");

    assert_true(weir_error_is(error, WEIR_ENOMEM));
}

static void a_long_trace_keeps_its_start_and_counts_the_rest(void **state)
{
    weir_error *error = refused();
    char text[2048];

    (void)state;
    for (int i = 0; i < ERROR_TRACE_MAX + 3; i++)
        error = weir_error_trace(error, &resolve);
    weir_error_print(error, text, sizeof(text));

    assert_non_null(strstr(text, "\n      at 3 more"));
    weir_error_unref(error);
}

static void tracing_a_shared_error_makes_an_own_one(void **state)
{
    static const char expected[] = "error: connect to 10.0.0.11:8080 refused (ECONNREFUSED)\n"
                                   "      at dial (use.c:7)\n"
                                   "      at start_upstream (use.c:9)";
    weir_error *shared = refused();
    weir_error *mine = weir_error_trace(weir_error_ref(shared), &start);
    char text[512];

    (void)state;
    assert_ptr_not_equal(mine, shared);
    assert_ptr_equal(weir_error_cause(mine), shared);
    weir_error_print(mine, text, sizeof(text));
    assert_string_equal(text, expected);
    weir_error_message(mine, text, sizeof(text));
    assert_string_equal(text, "connect to 10.0.0.11:8080 refused");

    weir_error_unref(mine);
    weir_error_unref(shared);
}

static void *end_error(void *arg)
{
    char text[64];

    weir_error_message(arg, text, sizeof(text));
    assert_string_equal(text, "outer: bad 7");
    weir_error_unref(arg);
    return NULL;
}

static void a_detached_error_may_end_on_another_thread(void **state)
{
    weir_error *error = weir_wrap(WEIR_RAISE_FAST(EPROTO, "bad %lld", 7), EIO, "outer");
    pthread_t thread;

    (void)state;
    error = weir_error_detach(error);
    assert_int_equal(pthread_create(&thread, NULL, end_error, error), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *make_fast_error(void *arg)
{
    *(weir_error **)arg = WEIR_RAISE_FAST(EPROTO, "of a thread that ended");
    return NULL;
}

static void a_fast_error_outlives_its_thread(void **state)
{
    weir_error *error = NULL;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, make_fast_error, &error), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);

    assert_true(weir_error_is(error, EPROTO));
    weir_error_unref(error);
}

static void codes_have_names_texts_and_an_errno(void **state)
{
    (void)state;
    assert_string_equal(weir_code_name(ECONNREFUSED), "ECONNREFUSED");
    assert_string_equal(weir_code_text(ECONNREFUSED), "connection refused");
    assert_string_equal(weir_code_text(EIO), "input/output error");
    assert_string_equal(weir_code_name(WEIR_EEOF), "WEIR_EEOF");
    assert_string_equal(weir_code_text(WEIR_EEOF), "end of stream");
    assert_int_equal(weir_code_errno(WEIR_ETIMEDOUT), ETIMEDOUT);
    assert_int_equal(weir_code_errno(ENOENT), ENOENT);
    assert_string_equal(weir_code_name(1999), "UNKNOWN");
    assert_string_equal(weir_code_text(-5), "unknown error");
}

static weir_error *fails_below(void)
{
    return weir_raise(EIO, "below");
}

static weir_error *passes_on(void)
{
    WEIR_TRY(fails_below());
    return NULL;
}

static void try_returns_early_and_notes_its_line(void **state)
{
    weir_error *error = passes_on();
    char text[512];

    (void)state;
    weir_error_print(error, text, sizeof(text));

    assert_non_null(strstr(text, "at fails_below ("));
    assert_non_null(strstr(text, "at passes_on ("));
    weir_error_unref(error);
}

static void reading_a_wrapper_counts_for_its_cause(void **state)
{
    weir_error *cause = refused();
    weir_error *error = weir_wrap(weir_error_ref(cause), EIO, "outer");

    (void)state;
    assert_true(weir__error_was_read(cause));
    assert_false(weir__error_was_read(error));

    weir_ignore(error);
    weir_error_unref(cause);
}

static weir_error *times_out(void)
{
    return weir_raise(WEIR_ETIMEDOUT, "its message is dropped");
}

static weir_error *passes(void)
{
    WEIR_TRY(times_out());
    return NULL;
}

static weir_error *passes_further(void)
{
    WEIR_TRY(passes());
    return NULL;
}

static uint64_t task_number;

static uint64_t running_number(void)
{
    return task_number;
}

static void in_debug_mode_a_static_error_tells_the_way_it_came_in_this_task(void **state)
{
    uint64_t (*before)(void) = weir__running_task_number;
    char text[1024], other[1024];
    weir_error *timed_out = times_out();

    (void)state;
    weir__running_task_number = running_number;
    weir__thread_debug = true;
    task_number = 1;
    weir_ignore(passes_further());
    weir_ignore(passes_further()); /* what came before the last is not its way */
    task_number = 2;
    weir_ignore(times_out());
    weir_error_print(times_out(), other, sizeof(other));
    weir__error_about(1);
    assert_int_equal(weir__error_about(0), 1);
    task_number = 1;
    weir_error_print(timed_out, text, sizeof(text));
    weir__thread_debug = false;
    weir__running_task_number = before;

    assert_non_null(strstr(text, "timed out (WEIR_ETIMEDOUT)\n      at times_out ("));
    assert_non_null(strstr(text, ")\n      at passes ("));
    assert_non_null(strstr(text, ")\n      at passes_further ("));
    assert_null(strstr(strstr(text, "at passes (") + 1, "at passes ("));
    assert_null(strstr(other, "at passes"));
}

static void without_debug_mode_a_static_error_has_no_way(void **state)
{
    char text[256];

    (void)state;
    weir_error_print(passes_further(), text, sizeof(text));
    assert_null(strstr(text, "at "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_prints_its_message_causes_and_traces),
        cmocka_unit_test(hints_and_attached_errors_are_printed_below),
        cmocka_unit_test(the_message_is_one_line_with_its_causes),
        cmocka_unit_test(a_message_too_long_for_the_buffer_says_how_long_it_is),
        cmocka_unit_test(control_characters_of_a_message_are_escaped),
        cmocka_unit_test(a_very_long_message_is_cut_with_an_ellipsis),
        cmocka_unit_test(normal_outcomes_are_static_and_keep_their_identity),
        cmocka_unit_test(the_end_of_a_stream_may_be_a_cause),
        cmocka_unit_test(wrapping_nothing_gives_nothing),
        cmocka_unit_test(a_fast_error_is_formatted_when_it_is_printed),
        cmocka_unit_test(fast_errors_go_on_when_the_pool_is_used_up),
        cmocka_unit_test(fast_errors_of_the_pool_do_not_allocate),
        cmocka_unit_test(without_memory_an_error_is_out_of_memory),
        cmocka_unit_test(a_long_trace_keeps_its_start_and_counts_the_rest),
        cmocka_unit_test(tracing_a_shared_error_makes_an_own_one),
        cmocka_unit_test(a_detached_error_may_end_on_another_thread),
        cmocka_unit_test(a_fast_error_outlives_its_thread),
        cmocka_unit_test(codes_have_names_texts_and_an_errno),
        cmocka_unit_test(try_returns_early_and_notes_its_line),
        cmocka_unit_test(reading_a_wrapper_counts_for_its_cause),
        cmocka_unit_test(in_debug_mode_a_static_error_tells_the_way_it_came_in_this_task),
        cmocka_unit_test(without_debug_mode_a_static_error_has_no_way),
    };

    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
