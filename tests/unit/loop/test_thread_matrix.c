/* SPDX-License-Identifier: Apache-2.0 */
/*
 * T11: every public call that changes something, from a thread that is not the loop's, in debug and
 * in release mode, with the loop running and stopped. A row is one call; it says whether it returned
 * WEIR_ETHREAD, or, for calls that return no error, whether it did nothing. Then the log is looked at:
 * debug mode reports each call; release mode once a site, or once a call where that is not known, and
 * leaves it to the error where there is no site to say it once by.
 *
 * To add an API: a function that makes the call on `object`, and a row.
 */
#include "config.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include <weir/callback.h>

#include "core/base/sites.h"
#include "tests/unit/loop/loop_test.h"

/* What the rows call, made by the loop's thread. */
struct objects {
    weir_loop *loop;
    weir_callback idle, scheduled;
    weir_timer stopped, started;
    weir_handle *soon, *timed;
    int fd;
};

static struct objects object;

static weir_error *nothing(void *arg)
{
    (void)arg;
    return NULL;
}

static weir_error *keeps_nothing(weir_loop *loop, const weir_exception_context *context, void *arg)
{
    (void)loop;
    (void)context;
    (void)arg;
    return NULL;
}

/* True: refused with WEIR_ETHREAD. */
static bool refused(weir_error *take_error)
{
    bool is = weir_error_is(take_error, WEIR_ETHREAD);

    weir_error_unref(take_error);
    return is;
}

#define REFUSED_CALL(name, call) \
    static bool name(void)       \
    {                            \
        return refused(call);    \
    }

REFUSED_CALL(call_soon, weir_loop_call_soon(object.loop, nothing, NULL, NULL, NULL))
REFUSED_CALL(call_later, weir_loop_call_later(object.loop, WEIR_S(1), nothing, NULL, NULL, NULL))
REFUSED_CALL(call_at, weir_loop_call_at(object.loop, weir_now(), nothing, NULL, NULL, NULL))
REFUSED_CALL(add_reader, weir_loop_add_reader(object.loop, object.fd, nothing, NULL))
REFUSED_CALL(add_writer, weir_loop_add_writer(object.loop, object.fd, nothing, NULL))
REFUSED_CALL(add_signal, weir_loop_add_signal_handler(object.loop, 10, nothing, NULL))
REFUSED_CALL(forward_signal, weir_loop_forward_signal(object.loop, 10, nothing, NULL))
REFUSED_CALL(run_forever, weir_loop_run_forever(object.loop))
REFUSED_CALL(close_loop, weir_loop_close(object.loop))

static bool remove_reader(void)
{
    return !weir_loop_remove_reader(object.loop, object.fd);
}

static bool remove_writer(void)
{
    return !weir_loop_remove_writer(object.loop, object.fd);
}

static bool remove_signal(void)
{
    return !weir_loop_remove_signal_handler(object.loop, 12);
}

static bool close_force(void)
{
    weir_loop_close_force(object.loop, WEIR_NS(0));
    return !weir__loop_closed(object.loop);
}

static bool set_handler(void)
{
    weir_loop_set_exception_handler(object.loop, keeps_nothing, NULL);
    return true;
}

static bool call_handler(void)
{
    weir_exception_context context = {WEIR_SIZED(weir_exception_context), .message = "reported"};

    weir_loop_call_exception_handler(object.loop, &context);
    return true;
}

static bool set_slow(void)
{
    weir_loop_set_slow_callback(object.loop, WEIR_NS(0));
    return true;
}

static bool set_overshoot(void)
{
    weir_loop_set_poll_overshoot(object.loop, WEIR_NS(0));
    return true;
}

static bool metrics_get(void)
{
    weir_loop_metrics metrics = {WEIR_SIZED(weir_loop_metrics), .iterations = UINT64_MAX};

    weir_loop_metrics_get(object.loop, &metrics);
    return metrics.iterations == UINT64_MAX;
}

static bool cancel_soon(void)
{
    return !weir_handle_cancel(object.soon);
}

static bool cancel_timed(void)
{
    return !weir_handle_cancel(object.timed);
}

static bool schedule(void)
{
    weir_callback_schedule(&object.idle);
    return true;
}

static bool cancel_callback(void)
{
    return !weir_callback_cancel(&object.scheduled);
}

static bool start_timer(void)
{
    weir_timer_start(&object.stopped, WEIR_NS(0));
    return !weir_timer_running(&object.stopped);
}

static bool stop_timer(void)
{
    return !weir_timer_stop(&object.started);
}

static const struct row {
    const char *operation; /* in the report */
    bool (*call)(void);    /* true: refused, or did nothing */
    bool silent;           /* in release mode */
} rows[] = {
    {"weir_loop_call_soon()", call_soon, false},
    {"weir_loop_call_later()", call_later, false},
    {"weir_loop_call_at()", call_at, false},
    {"weir_loop_add_reader()", add_reader, false},
    {"weir_loop_add_writer()", add_writer, false},
    {"weir_loop_add_signal_handler()", add_signal, false},
    {"weir_loop_forward_signal()", forward_signal, false},
    {"weir_loop_run_forever()", run_forever, true},
    {"weir_loop_close()", close_loop, true},
    {"weir_loop_remove_reader()", remove_reader, false},
    {"weir_loop_remove_writer()", remove_writer, false},
    {"weir_loop_remove_signal_handler()", remove_signal, false},
    {"weir_loop_close_force()", close_force, false},
    {"weir_loop_set_exception_handler()", set_handler, false},
    {"weir_loop_call_exception_handler()", call_handler, false},
    {"weir_loop_set_slow_callback()", set_slow, false},
    {"weir_loop_set_poll_overshoot()", set_overshoot, false},
    {"weir_loop_metrics_get()", metrics_get, false},
    {"weir_handle_cancel()", cancel_soon, false},
    {"weir_handle_cancel()", cancel_timed, false},
    {"weir_callback_schedule()", schedule, false},
    {"weir_callback_cancel()", cancel_callback, false},
    {"weir_timer_start()", start_timer, false},
    {"weir_timer_stop()", stop_timer, false},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static size_t allowed; /* rows that were not refused */
static char *reports;  /* what the log has, all rows */
static char text[65536];
static int sink[2];
static sem_t started, finished;

static void *calls_all(void *arg)
{
    (void)arg;
    allowed = 0;
    for (size_t i = 0; i < ROWS; i++) {
        if (!rows[i].call()) {
            print_error("%s was not refused\n", rows[i].operation);
            allowed++;
        }
    }
    sem_post(&finished);
    return NULL;
}

/* Runs on the loop while the other thread makes its calls: the loop is running, and still. */
static weir_error *waits_for_the_calls(void *arg)
{
    (void)arg;
    sem_post(&started);
    wait_for_event(&finished);
    weir_loop_stop(test.loop);
    return NULL;
}

static void *calls_all_once_it_runs(void *arg)
{
    wait_for_event(&started);
    return calls_all(arg);
}

static void make_objects(int fd)
{
    object.loop = test.loop;
    object.fd = fd;
    weir_callback_init(&object.idle, test.loop, nothing, NULL);
    weir_callback_init(&object.scheduled, test.loop, nothing, NULL);
    weir_timer_init(&object.stopped, test.loop, nothing, NULL);
    weir_timer_init(&object.started, test.loop, nothing, NULL);
    weir_timer_start(&object.started, WEIR_S(60));
    OK(weir_loop_add_reader(test.loop, fd, nothing, NULL));
    OK(weir_loop_add_signal_handler(test.loop, 12, nothing, NULL));
    OK(weir_loop_call_later(test.loop, WEIR_S(60), nothing, NULL, NULL, &object.timed));
}

/* In this order a running loop has them still queued while the calls are made. */
static void queue_objects(void)
{
    OK(weir_loop_call_soon(test.loop, nothing, NULL, NULL, &object.soon));
    weir_callback_schedule(&object.scheduled);
}

static void drop_objects(void)
{
    assert_true(weir_timer_stop(&object.started));
    assert_true(weir_loop_remove_reader(test.loop, object.fd));
    assert_true(weir_loop_remove_signal_handler(test.loop, 12));
    assert_true(weir_handle_cancel(object.timed));
    weir_handle_unref(object.timed);
    weir_handle_unref(object.soon);
}

static size_t times(const char *what)
{
    size_t count = 0;

    for (const char *at = reports; (at = strstr(at, what)); at++)
        count++;
    return count;
}

/* Each report names the call and the two threads. */
static void check_reports(bool debug)
{
    for (size_t i = 0; i < ROWS; i++) {
        char line[256];
        size_t expected = 0;

        for (size_t k = 0; k < ROWS; k++)
            expected += strcmp(rows[i].operation, rows[k].operation) == 0;
        if (!debug)
            expected = rows[i].silent ? 0 : 1;
        snprintf(line, sizeof(line),
                 "Non-thread-safe operation invoked on an event loop other than the current one: "
                 "%s from tid ",
                 rows[i].operation);
        if (times(line) != expected)
            print_error("%s: %zu reports, expected %zu\n", rows[i].operation, times(line),
                        expected);
        assert_int_equal(times(line), expected);
    }
}

static void run_matrix(bool debug, bool running)
{
    int pipe_ends[2];
    pthread_t thread;

    assert_int_equal(pipe2(pipe_ends, O_NONBLOCK | O_CLOEXEC), 0);
    weir__site_forget();
    assert_int_equal(sem_init(&started, 0, 0), 0);
    assert_int_equal(sem_init(&finished, 0, 0), 0);
    weir_loop_set_debug(test.loop, debug);
    weir_loop_set_slow_callback(test.loop, WEIR_FOREVER);
    make_objects(pipe_ends[0]);
    sink_open(sink);
    assert_true(fcntl(sink[1], F_SETPIPE_SZ, (int)sizeof(text) * 2) > 0);
    if (running)
        soon(waits_for_the_calls, NULL);
    queue_objects();
    assert_int_equal(
        pthread_create(&thread, NULL, running ? calls_all_once_it_runs : calls_all, NULL), 0);
    if (running)
        OK(weir_loop_run_forever(test.loop));
    assert_int_equal(pthread_join(thread, NULL), 0);
    sink_close(sink, text, sizeof(text));
    reports = text;
    iterate(1);
    drop_objects();
    weir_loop_set_debug(test.loop, false);
    close(pipe_ends[0]);
    close(pipe_ends[1]);

    assert_int_equal(allowed, 0);
    check_reports(debug);
}

static void T11_B2_in_release_mode_with_the_loop_stopped(void **state)
{
    (void)state;
    run_matrix(false, false);
}

static void T11_B2_in_release_mode_with_the_loop_running(void **state)
{
    (void)state;
    run_matrix(false, true);
}

static void T11_B2_in_debug_mode_with_the_loop_stopped(void **state)
{
    (void)state;
    run_matrix(true, false);
}

static void T11_B2_in_debug_mode_with_the_loop_running(void **state)
{
    (void)state;
    run_matrix(true, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(T11_B2_in_release_mode_with_the_loop_stopped),
        LOOP_TEST(T11_B2_in_release_mode_with_the_loop_running),
        LOOP_TEST(T11_B2_in_debug_mode_with_the_loop_stopped),
        LOOP_TEST(T11_B2_in_debug_mode_with_the_loop_running),
    };

    return cmocka_run_group_tests_name("thread matrix", tests, NULL, NULL);
}
