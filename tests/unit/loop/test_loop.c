/* SPDX-License-Identifier: Apache-2.0 */
/* The iteration, callbacks, handles, stopping, errors and closing. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/callback.h>
#include <weir/log.h>

#include "core/base/chunk.h"
#include "core/base/text.h"
#include "tests/unit/loop/loop_test.h"

static void T1_callbacks_run_in_the_order_of_their_calls(void **state)
{
    (void)state;
    soon(note_arg, "a");
    soon(note_arg, "b");
    soon(note_arg, "c");
    soon(stop_loop, NULL);
    OK(weir_loop_run_forever(test.loop));

    assert_string_equal(test.journal, "abc");
}

static weir_error *schedules_another(void *arg)
{
    note(*(const char *)arg);
    return weir_loop_call_soon(test.loop, note_arg, "z", NULL, NULL);
}

static void what_a_callback_schedules_waits_for_the_next_iteration(void **state)
{
    (void)state;
    soon(schedules_another, "a");
    soon(note_arg, "b");
    iterate(1);
    assert_string_equal(test.journal, "ab");
    iterate(1);

    assert_string_equal(test.journal, "abz");
}

static weir_error *schedules_itself(void *arg)
{
    return weir_loop_call_soon(test.loop, schedules_itself, arg, NULL, NULL);
}

static weir_error *reads_pipe(void *arg)
{
    char byte;

    if (read(*(int *)arg, &byte, 1) == 1)
        note(byte);
    return NULL;
}

static void T1_a_chain_of_callbacks_does_not_starve_descriptors(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    OK(weir_loop_add_reader(test.loop, ends[0], reads_pipe, &ends[0]));
    soon(schedules_itself, NULL);
    assert_int_equal(write(ends[1], "r", 1), 1);
    iterate(2);

    assert_string_equal(test.journal, "r");
    assert_true(weir_loop_remove_reader(test.loop, ends[0]));
    close(ends[0]);
    close(ends[1]);
}

static void earlier_callbacks_come_before_due_timers(void **state)
{
    (void)state;
    later(0, note_arg, "t");
    soon(note_arg, "s");
    iterate(1);

    assert_string_equal(test.journal, "st");
}

static void a_cancelled_handle_is_dropped_and_does_not_run(void **state)
{
    weir_auto(weir_handle) handle = NULL;

    (void)state;
    OK(weir_loop_call_soon(test.loop, note_arg, "a", drop_arg, &handle));
    assert_true(weir_handle_cancel(handle));
    assert_true(weir_handle_cancelled(handle));
    assert_false(weir_handle_cancel(handle));
    iterate(1);

    assert_string_equal(test.journal, "A");
}

static void a_cancelled_timer_is_dropped_and_does_not_run(void **state)
{
    weir_auto(weir_handle) handle = NULL;

    (void)state;
    OK(weir_loop_call_later(test.loop, WEIR_MS(0), note_arg, "a", drop_arg, &handle));
    assert_true(weir_handle_cancel(handle));
    iterate(1);

    assert_string_equal(test.journal, "A");
}

static weir_handle *neighbour;

static weir_error *cancels_neighbour(void *arg)
{
    (void)arg;
    note(weir_handle_cancel(neighbour) ? 'y' : 'n');
    return NULL;
}

static void a_callback_may_cancel_its_neighbour_of_the_same_iteration(void **state)
{
    (void)state;
    soon(cancels_neighbour, NULL);
    OK(weir_loop_call_soon(test.loop, note_arg, "a", drop_arg, &neighbour));
    iterate(1);

    assert_string_equal(test.journal, "Ay");
    weir_handle_unref(neighbour);
}

static void cancelling_in_its_own_callback_is_too_late(void **state)
{
    (void)state;
    OK(weir_loop_call_soon(test.loop, cancels_neighbour, NULL, NULL, &neighbour));
    iterate(1);

    assert_string_equal(test.journal, "n");
    assert_false(weir_handle_cancelled(neighbour));
    weir_handle_unref(neighbour);
}

static weir_error *unrefs_neighbour(void *arg)
{
    (void)arg;
    weir_handle_unref(neighbour);
    note('u');
    return NULL;
}

static void a_handle_may_be_unreferenced_in_its_own_callback(void **state)
{
    (void)state;
    OK(weir_loop_call_soon(test.loop, unrefs_neighbour, NULL, NULL, &neighbour));
    iterate(1);

    assert_string_equal(test.journal, "u");
}

/* A job whose struct a neighbour frees. */
struct own_job {
    struct job job;
    struct own_job *victim;
};

static weir_error *frees_victim(struct job *job)
{
    struct own_job *mine = container_of(job, struct own_job, job);

    note('f');
    weir__job_cancel(&mine->victim->job);
    free(mine->victim);
    free(mine);
    return NULL;
}

static void a_job_may_free_itself_and_its_neighbour(void **state)
{
    struct own_job *first = calloc(1, sizeof(*first)), *second = calloc(1, sizeof(*second));

    (void)state;
    job_init(&first->job, frees_victim, WEIR_HERE);
    job_init(&second->job, frees_victim, WEIR_HERE);
    first->victim = second;
    weir__loop_ready(test.loop, &first->job);
    weir__loop_ready(test.loop, &second->job);
    weir__loop_ready(test.loop, &second->job);
    iterate(2);

    assert_string_equal(test.journal, "f");
}

static void T3_stopping_before_the_run_grants_one_iteration(void **state)
{
    (void)state;
    soon(schedules_another, "a");
    weir_loop_stop(test.loop);
    OK(weir_loop_run_forever(test.loop));

    assert_string_equal(test.journal, "a");
    iterate(1);
    assert_string_equal(test.journal, "az");
}

static weir_error *fails(void *arg)
{
    (void)arg;
    return weir_raise(EIO, "callback failed");
}

static weir_error *takes_errors(weir_loop *loop, const weir_exception_context *context, void *arg)
{
    char expected[128];

    snprintf(expected, sizeof(expected),
             "Exception in callback fails() scheduled at %s:%d: EIO (callback failed)",
             text_site_file(context->site), context->site->line);
    assert_ptr_equal(loop, test.loop);
    assert_true(weir_error_is(context->error, EIO));
    assert_non_null(strstr(context->site->file, "test_loop.c"));
    assert_string_equal(context->message, expected);
    assert_string_equal(context->subject_key, "handle");
    note(*(const char *)arg);
    return NULL;
}

static void T8_T16_errors_of_callbacks_go_to_the_exception_handler(void **state)
{
    (void)state;
    weir_loop_set_exception_handler(test.loop, takes_errors, "e");
    soon(fails, NULL);
    soon(note_arg, "a");
    iterate(1);

    assert_string_equal(test.journal, "ea");
}

static weir_error *runs_nested(void *arg)
{
    (void)arg;
    FAILS(weir_loop_run_forever(test.loop), WEIR_EBUSY);
    FAILS(weir_loop_close(test.loop), WEIR_EBUSY);
    assert_ptr_equal(weir_loop_current(), test.loop);
    note('x');
    return NULL;
}

static void T9_T10_D1_a_running_loop_is_neither_run_again_nor_closed(void **state)
{
    (void)state;
    soon(runs_nested, NULL);
    iterate(1);

    assert_string_equal(test.journal, "x");
    assert_null(weir_loop_current());
}

static void a_thread_has_one_loop(void **state)
{
    weir_loop *second = NULL;

    (void)state;
    FAILS(weir_loop_new(NULL, &second), WEIR_EBUSY);
    assert_null(second);
}

static void *calls_from_elsewhere(void *arg)
{
    weir_handle *handle = NULL;

    (void)arg;
    FAILS(weir_loop_call_soon(test.loop, note_arg, "a", NULL, &handle), WEIR_ETHREAD);
    FAILS(weir_loop_call_later(test.loop, WEIR_S(1), note_arg, "a", NULL, NULL), WEIR_ETHREAD);
    FAILS(weir_loop_add_reader(test.loop, 0, note_arg, "a"), WEIR_ETHREAD);
    FAILS(weir_loop_add_signal_handler(test.loop, 10, note_arg, "a"), WEIR_ETHREAD);
    FAILS(weir_loop_run_forever(test.loop), WEIR_ETHREAD);
    FAILS(weir_loop_close(test.loop), WEIR_ETHREAD);
    assert_null(handle);
    assert_null(weir_loop_current());
    return NULL;
}

static void B2_other_threads_are_refused(void **state)
{
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, calls_from_elsewhere, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void backends_are_named_and_unknown_ones_refused(void **state)
{
    struct io_backend *io = NULL;

    (void)state;
    /* WEIR_BACKEND may have chosen another one. */
    assert_true(strcmp(weir_loop_backend(test.loop), "epoll") == 0 ||
                strcmp(weir_loop_backend(test.loop), "io_uring") == 0);
    FAILS(weir__io_backend_new("kqueue", &io), WEIR_EUNSUPPORTED);
    assert_null(io);
}

/* Closing */

static weir_error *asks_again(void *arg)
{
    (void)arg;
    return NULL;
}

static void drop_and_call(void *arg)
{
    drop_arg(arg);
    FAILS(weir_loop_call_soon(test.loop, asks_again, NULL, NULL, NULL), WEIR_ECLOSED);
}

static void closing_drops_what_never_ran(void **state)
{
    weir_handle *handle;

    (void)state;
    OK(weir_loop_call_soon(test.loop, note_arg, "a", drop_and_call, NULL));
    OK(weir_loop_call_later(test.loop, WEIR_S(9), note_arg, "b", drop_and_call, &handle));
    OK(weir_loop_call_later(test.loop, WEIR_FOREVER, note_arg, "c", drop_and_call, NULL));
    OK(weir_loop_call_soon_threadsafe(test.loop, note_arg, "d", drop_arg));
    OK(weir_loop_close(test.loop));

    assert_string_equal(test.journal, "ADBC");
    assert_true(weir_handle_cancelled(handle));
    assert_false(weir_handle_cancel(handle));
    weir_handle_unref(handle);
}

static void T10_a_closed_loop_refuses_each_call_and_closes_again(void **state)
{
    (void)state;
    OK(weir_loop_close(test.loop));
    OK(weir_loop_close(test.loop));

    FAILS(weir_loop_call_soon(test.loop, note_arg, "a", NULL, NULL), WEIR_ECLOSED);
    FAILS(weir_loop_call_soon_threadsafe(test.loop, note_arg, "a", NULL), WEIR_ECLOSED);
    FAILS(weir_loop_call_later(test.loop, WEIR_S(1), note_arg, "a", NULL, NULL), WEIR_ECLOSED);
    FAILS(weir_loop_call_at(test.loop, weir_now(), note_arg, "a", NULL, NULL), WEIR_ECLOSED);
    FAILS(weir_loop_add_reader(test.loop, 0, note_arg, "a"), WEIR_ECLOSED);
    FAILS(weir_loop_add_writer(test.loop, 0, note_arg, "a"), WEIR_ECLOSED);
    FAILS(weir_loop_add_signal_handler(test.loop, 10, note_arg, "a"), WEIR_ECLOSED);
    FAILS(weir_loop_forward_signal(test.loop, 10, note_arg, "a"), WEIR_ECLOSED);
    FAILS(weir_loop_run_forever(test.loop), WEIR_ECLOSED);
    weir_loop_close_force(test.loop, WEIR_NS(0));
    weir_loop_set_debug(test.loop, true);
    assert_false(weir_loop_get_debug(test.loop));
    assert_false(weir_loop_remove_reader(test.loop, 0));
    assert_false(weir_loop_remove_writer(test.loop, 0));
    assert_false(weir_loop_remove_signal_handler(test.loop, 10));
    weir_loop_stop(test.loop);
    assert_string_equal(weir_loop_backend(test.loop), "closed");
}

struct upper {
    int live;
    bool obeys;
    bool destroyed;
};

static void upper_cancel(weir_loop *loop, void *state)
{
    struct upper *upper = state;

    (void)loop;
    note('c');
    if (upper->obeys)
        upper->live = 0;
}

static size_t upper_live(weir_loop *loop, void *state, char *buffer, size_t size)
{
    struct upper *upper = state;

    (void)loop;
    snprintf(buffer, size, "task \"main\"");
    return (size_t)upper->live;
}

static void upper_destroy(weir_loop *loop, void *state)
{
    (void)loop;
    ((struct upper *)state)->destroyed = true;
}

static const struct loop_slot_ops upper_ops = {
    .cancel_all = upper_cancel, .live = upper_live, .destroy = upper_destroy};

static void closing_names_what_still_lives(void **state)
{
    struct upper upper = {.live = 1};
    weir_error *error;
    char text[256];

    (void)state;
    weir__loop_set_slot(test.loop, LOOP_SLOT_TASKS, &upper, &upper_ops);
    error = weir_loop_close(test.loop);
    weir_error_message(error, text, sizeof(text));

    assert_true(weir_error_is(error, WEIR_EBUSY));
    assert_string_equal(text, "loop \"loop\" still has 1 live: task \"main\"");
    weir_error_unref(error);
    upper.live = 0;
    OK(weir_loop_close(test.loop));
    assert_true(upper.destroyed);
}

static void forced_closing_cancels_and_closes(void **state)
{
    struct upper upper = {.live = 1, .obeys = true};

    (void)state;
    weir__loop_set_slot(test.loop, LOOP_SLOT_NET, &upper, &upper_ops);
    soon(note_arg, "a");
    weir_loop_close_force(test.loop, WEIR_S(30));

    assert_string_equal(test.journal, "ca");
    assert_true(upper.destroyed);
    assert_true(weir__loop_closed(test.loop));
}

static weir_error *ends_upper(void *arg)
{
    ((struct upper *)arg)->live = 0;
    return NULL;
}

static void forced_closing_returns_when_the_last_one_ends(void **state)
{
    struct upper upper = {.live = 1};

    (void)state;
    weir__loop_set_slot(test.loop, LOOP_SLOT_TASKS, &upper, &upper_ops);
    OK(weir_loop_call_later(test.loop, WEIR_MS(2), ends_upper, &upper, NULL, NULL));
    weir_loop_close_force(test.loop, WEIR_FOREVER); /* would not return otherwise */

    assert_true(upper.destroyed);
}

static void forced_closing_leaks_what_ignores_it(void **state)
{
    struct upper upper = {.live = 1};

    (void)state;
    weir_logger_set_level(weir_logger_get("weir"), WEIR_LOG_OFF);
    weir__loop_set_slot(test.loop, LOOP_SLOT_NET, &upper, &upper_ops);
    weir_loop_close_force(test.loop, WEIR_MS(1));
    weir_logger_set_level(weir_logger_get("weir"), 0);

    assert_false(upper.destroyed);
    assert_true(weir__loop_closed(test.loop));
    weir_loop_unref(test.loop); /* the reference that was left to the leaked */
}

static void T23_K2_a_loop_that_nobody_closed_is_reported_and_closed(void **state)
{
    char text[4096], expected[256];
    weir_loop *loop;
    int ends[2], line;

    (void)state;
    OK(weir_loop_close(test.loop));
    line = __LINE__ + 1;
    OK(weir_loop_new(NULL, &loop));
    OK(weir_loop_call_later(loop, WEIR_S(9), note_arg, "a", drop_arg, NULL));
    snprintf(expected, sizeof(expected),
             "] WARNING weir: unclosed event loop <Loop running=0 closed=0 debug=0> created at "
             "%s:%d\n",
             text_site_file(WEIR_HERE), line);
    sink_open(ends);
    weir_loop_unref(loop);
    sink_close(ends, text, sizeof(text));

    assert_string_equal(test.journal, "A");
    assert_non_null(strstr(text, strchr(expected, 'u')));
    assert_non_null(strstr(text, " WARNING weir"));
    assert_non_null(strstr(text, "RESOURCE"));
}

static weir_loop *volatile of_parent; /* reachable in the child, where it cannot be freed */

static int in_child(void)
{
    weir_loop *own = NULL;
    weir_error *error = weir_loop_call_soon(test.loop, note_arg, "a", NULL, NULL);

    if (!weir_error_is(error, WEIR_EFORKED))
        return 1;
    weir_error_unref(error);
    error = weir_loop_call_soon_threadsafe(test.loop, note_arg, "a", NULL);
    if (!weir_error_is(error, WEIR_EFORKED))
        return 2;
    weir_error_unref(error);
    if (weir_loop_current())
        return 3;
    error = weir_loop_new(NULL, &own);
    if (error)
        return 4;
    of_parent = test.loop;
    test.loop = own;
    error = weir_loop_call_soon(own, stop_loop, NULL, NULL, NULL);
    if (error || (error = weir_loop_run_forever(own)) || (error = weir_loop_close(own)))
        return 5;
    weir_loop_unref(own);
    return 0;
}

static void T84_a_forked_child_is_refused_and_may_have_its_own(void **state)
{
    int status;
    pid_t child = fork();

    (void)state;
    if (child == 0)
        _exit(in_child());
    assert_int_equal(waitpid(child, &status, 0), child);

    assert_int_equal(status, 0);
    soon(note_arg, "p");
    iterate(1);
    assert_string_equal(test.journal, "p");
}

static weir_error *make_and_close(void)
{
    weir_loop *loop;

    WEIR_TRY(weir_loop_new(NULL, &loop));
    weir_ignore(weir_loop_close(loop));
    weir_loop_unref(loop);
    return NULL;
}

static void each_allocation_of_a_new_loop_may_fail(void **state)
{
    unsigned long failures;

    (void)state;
    OK(weir_loop_close(test.loop));
    FAIL_EACH_ALLOCATION(make_and_close(), WEIR_ENOMEM, &failures);

    assert_int_equal(failures, 6);
}

static void without_memory_scheduling_fails_and_keeps_the_argument(void **state)
{
    (void)state;
    weir__alloc_fail_nth = 1;
    FAILS(weir_loop_call_soon_threadsafe(test.loop, note_arg, "a", drop_arg), WEIR_ENOMEM);
    weir__alloc_fail_nth = 1;
    FAILS(weir_loop_call_soon(test.loop, note_arg, "a", drop_arg, NULL), WEIR_ENOMEM);
    weir__alloc_fail_nth = 2; /* the handle, then the heap of timers */
    FAILS(weir_loop_call_later(test.loop, WEIR_S(1), note_arg, "a", drop_arg, NULL), WEIR_ENOMEM);
    weir__alloc_fail_nth = 0;

    assert_string_equal(test.journal, "");
}

/* Debug mode */

static struct loop_clock fake_clock;
static int64_t fake_now;

static int64_t read_fake(struct loop_clock *clock)
{
    (void)clock;
    return fake_now;
}

static void T18_B4_in_debug_mode_slow_callbacks_are_named(void **state)
{
    char text[4096];
    int ends[2];

    (void)state;
    sink_open(ends);
    weir_loop_set_slow_callback(test.loop, WEIR_NS(0));
    soon(note_arg, "a");
    iterate(1);
    weir_loop_set_debug(test.loop, true);
    assert_true(weir_loop_get_debug(test.loop));
    OK(weir_loop_call_soon(test.loop, note_arg, "b", NULL, NULL));
    iterate(1);
    weir_loop_set_debug(test.loop, false);
    sink_close(ends, text, sizeof(text));

    assert_non_null(strstr(text, " WARNING weir: Executing <Handle note_arg("));
    assert_non_null(strstr(text, " took 0.0"));
    assert_non_null(strstr(text, " seconds\n"));
    assert_null(strstr(strstr(text, "took") + 4, "took"));
}

static void T16_C5_the_error_of_a_callback_is_logged_with_its_name_and_site(void **state)
{
    char text[4096], expected[256];
    int ends[2];

    (void)state;
    sink_open(ends);
    soon(fails, NULL); /* in this line */
    snprintf(expected, sizeof(expected),
             " ERROR   weir: Exception in callback fails() scheduled at %s:%d: EIO (callback "
             "failed)\n    handle: <Handle fails() created at %s:%d>\n    error: callback failed "
             "(EIO)\n",
             text_site_file(WEIR_HERE), __LINE__ - 5, text_site_file(WEIR_HERE), __LINE__ - 5);
    iterate(1);
    sink_close(ends, text, sizeof(text));

    assert_non_null(strstr(text, expected));
}

static void T17_A0_A3_debug_mode_comes_from_the_environment_unless_an_option_says(void **state)
{
    weir_loop_options options = {WEIR_SIZED(weir_loop_options), .debug = WEIR_DEBUG_OFF};

    (void)state;
    OK(weir_loop_close(test.loop));
    weir_loop_unref(test.loop);
    setenv("WEIR_DEBUG", "1", 1);
    OK(weir_loop_new(NULL, &test.loop));
    assert_true(weir_loop_get_debug(test.loop));
    OK(weir_loop_close(test.loop));
    weir_loop_unref(test.loop);
    OK(weir_loop_new(&options, &test.loop));
    assert_false(weir_loop_get_debug(test.loop));
    OK(weir_loop_close(test.loop));
    weir_loop_unref(test.loop);
    setenv("WEIR_DEBUG", "0", 1);
    OK(weir_loop_new(NULL, &test.loop));
    assert_false(weir_loop_get_debug(test.loop));
    unsetenv("WEIR_DEBUG");
}

static weir_error *remembers_time(void *arg)
{
    *(int64_t *)arg = weir_loop_time(test.loop).ns;
    fake_now += 1000;
    return NULL;
}

static void the_clock_is_read_once_for_all_callbacks(void **state)
{
    int64_t first = 0, second = 0;

    (void)state;
    fake_now = 5000;
    fake_clock = (struct loop_clock){.now = read_fake};
    weir__loop_set_clock(test.loop, &fake_clock);
    OK(weir_loop_call_soon(test.loop, remembers_time, &first, NULL, NULL));
    OK(weir_loop_call_soon(test.loop, remembers_time, &second, NULL, NULL));
    iterate(1);

    assert_int_equal(first, 5000);
    assert_int_equal(second, 5000);
    weir__loop_set_clock(test.loop, NULL);
}

static void embedded_callbacks_are_scheduled_once_and_cancelled(void **state)
{
    weir_callback a, b;

    (void)state;
    weir_callback_init(&a, test.loop, note_arg, "a");
    weir_callback_init(&b, test.loop, note_arg, "b");
    weir_callback_schedule(&a);
    weir_callback_schedule(&b);
    weir_callback_schedule(&a);
    assert_true(weir_callback_cancel(&b));
    assert_false(weir_callback_cancel(&b));
    iterate(1);

    assert_string_equal(test.journal, "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(T1_callbacks_run_in_the_order_of_their_calls),
        LOOP_TEST(what_a_callback_schedules_waits_for_the_next_iteration),
        LOOP_TEST(T1_a_chain_of_callbacks_does_not_starve_descriptors),
        LOOP_TEST(earlier_callbacks_come_before_due_timers),
        LOOP_TEST(a_cancelled_handle_is_dropped_and_does_not_run),
        LOOP_TEST(a_cancelled_timer_is_dropped_and_does_not_run),
        LOOP_TEST(a_callback_may_cancel_its_neighbour_of_the_same_iteration),
        LOOP_TEST(cancelling_in_its_own_callback_is_too_late),
        LOOP_TEST(a_handle_may_be_unreferenced_in_its_own_callback),
        LOOP_TEST(a_job_may_free_itself_and_its_neighbour),
        LOOP_TEST(T3_stopping_before_the_run_grants_one_iteration),
        LOOP_TEST(T8_T16_errors_of_callbacks_go_to_the_exception_handler),
        LOOP_TEST(T9_T10_D1_a_running_loop_is_neither_run_again_nor_closed),
        LOOP_TEST(a_thread_has_one_loop),
        LOOP_TEST(B2_other_threads_are_refused),
        LOOP_TEST(backends_are_named_and_unknown_ones_refused),
        LOOP_TEST(closing_drops_what_never_ran),
        LOOP_TEST(T10_a_closed_loop_refuses_each_call_and_closes_again),
        LOOP_TEST(closing_names_what_still_lives),
        LOOP_TEST(forced_closing_cancels_and_closes),
        LOOP_TEST(forced_closing_returns_when_the_last_one_ends),
        LOOP_TEST(forced_closing_leaks_what_ignores_it),
        LOOP_TEST(T23_K2_a_loop_that_nobody_closed_is_reported_and_closed),
        LOOP_TEST(T84_a_forked_child_is_refused_and_may_have_its_own),
        LOOP_TEST(each_allocation_of_a_new_loop_may_fail),
        LOOP_TEST(without_memory_scheduling_fails_and_keeps_the_argument),
        LOOP_TEST(T18_B4_in_debug_mode_slow_callbacks_are_named),
        LOOP_TEST(T16_C5_the_error_of_a_callback_is_logged_with_its_name_and_site),
        LOOP_TEST(T17_A0_A3_debug_mode_comes_from_the_environment_unless_an_option_says),
        LOOP_TEST(the_clock_is_read_once_for_all_callbacks),
        LOOP_TEST(embedded_callbacks_are_scheduled_once_and_cancelled),
    };

    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
