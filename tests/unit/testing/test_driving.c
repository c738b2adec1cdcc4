/* SPDX-License-Identifier: Apache-2.0 */
/* The loop under test: virtual time, the deadlock detector, seeded order. */
#include "config.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/testing/testing_test.h"

static int64_t real_ms(void)
{
    return weir_now().ns / 1000000;
}

/* Virtual time */

static weir_error *sleeps_a_day(void *arg)
{
    int64_t *slept = arg, before = weir_loop_time(weir_loop_current()).ns;

    WEIR_CHECK_OK(weir_sleep(WEIR_S(86000)));
    *slept = weir_loop_time(weir_loop_current()).ns - before;
    return NULL;
}

static void time_jumps_when_every_task_waits(void **state)
{
    weir_test *test = KIT_NEW();
    int64_t slept = 0, began = real_ms();

    (void)state;
    weir_test_run(test, sleeps_a_day, &slept);
    assert_int_equal(slept, 86000 * 1000000000ll);
    assert_true(real_ms() - began < 10000);
    weir_test_end(test);
}

struct order {
    char text[256];
};

static void note(struct order *order, const char *what)
{
    size_t used = strlen(order->text);

    snprintf(order->text + used, sizeof(order->text) - used, "%s ", what);
}

static weir_error *every_second(void *arg)
{
    for (int i = 0; i < 3; i++) {
        WEIR_CHECK_OK(weir_sleep(WEIR_S(1)));
        note(arg, "tick");
    }
    return NULL;
}

static void advancing_does_what_is_due_in_that_time_and_no_more(void **state)
{
    struct order order = {""};
    weir_test *test = KIT_NEW();
    weir_instant began = weir_loop_time(weir_test_loop(test));

    (void)state;
    WEIR_TEST_OK(weir_spawn(every_second, &order, NULL));
    weir_test_idle(test);
    assert_string_equal(order.text, "");
    weir_test_advance(test, WEIR_MS(999));
    assert_string_equal(order.text, "");
    weir_test_advance(test, WEIR_MS(1));
    assert_string_equal(order.text, "tick ");
    assert_true(weir_test_advance_to_timer(test));
    assert_string_equal(order.text, "tick tick ");
    weir_test_advance(test, WEIR_S(60));
    assert_string_equal(order.text, "tick tick tick ");
    assert_false(weir_test_advance_to_timer(test));
    assert_int_equal(weir_loop_time(weir_test_loop(test)).ns - began.ns, 62 * 1000000000ll);
    weir_test_end(test);
}

static weir_error *runs_into_its_timeout(void *arg)
{
    WEIR_TIMEOUT(limit, WEIR_S(30));

    (void)arg;
    WEIR_CHECK_CODE(weir_sleep(WEIR_FOREVER), WEIR_ETIMEDOUT);
    return NULL;
}

static void deadlines_of_scopes_are_in_virtual_time(void **state)
{
    weir_test *test = KIT_NEW();

    (void)state;
    weir_test_run(test, runs_into_its_timeout, NULL);
    weir_test_end(test);
}

/* Outside: descriptors of the kernel, threads */

struct outside {
    int pipe[2];
    int readable;
};

static weir_error *take_byte(void *arg)
{
    struct outside *outside = arg;
    char byte;

    WEIR_CHECK(read(outside->pipe[0], &byte, 1) == 1);
    outside->readable++;
    return NULL;
}

static void *write_later(void *arg)
{
    struct pollfd none;

    poll(&none, 0, 50);
    return write(*(int *)arg, "x", 1) == 1 ? NULL : arg;
}

static weir_error *waits_for_a_descriptor(void *arg)
{
    struct outside *outside = arg;

    WEIR_CHECK_OK(weir_loop_add_reader(weir_loop_current(), outside->pipe[0], take_byte, outside));
    while (!outside->readable)
        WEIR_CHECK_OK(weir_sleep(WEIR_MS(5)));
    WEIR_CHECK(weir_loop_remove_reader(weir_loop_current(), outside->pipe[0]));
    return NULL;
}

static void time_passes_really_while_a_descriptor_is_waited_for(void **state)
{
    struct outside outside = {.readable = 0};
    weir_test *test;
    pthread_t thread;
    int64_t began = real_ms(), virtual;

    (void)state;
    assert_int_equal(pipe(outside.pipe), 0);
    test = KIT_NEW();
    virtual = weir_loop_time(weir_test_loop(test)).ns;
    assert_int_equal(pthread_create(&thread, NULL, write_later, &outside.pipe[1]), 0);
    weir_test_run(test, waits_for_a_descriptor, &outside);
    virtual = (weir_loop_time(weir_test_loop(test)).ns - virtual) / 1000000;
    pthread_join(thread, NULL);
    assert_true(real_ms() - began >= 50);
    assert_in_range(virtual, 20, real_ms() - began + 1);
    weir_test_end(test);
    close(outside.pipe[0]);
    close(outside.pipe[1]);
}

static void a_test_that_advances_does_not_wait_for_descriptors(void **state)
{
    struct outside outside = {.readable = 0};
    struct order order = {""};
    weir_test *test;
    int64_t began = real_ms();

    (void)state;
    assert_int_equal(pipe(outside.pipe), 0);
    test = KIT_NEW();
    WEIR_TEST_OK(weir_loop_add_reader(weir_test_loop(test), outside.pipe[0], take_byte, &outside));
    WEIR_TEST_OK(weir_spawn(every_second, &order, NULL));
    weir_test_advance(test, WEIR_S(3600));
    assert_string_equal(order.text, "tick tick tick ");
    assert_int_equal(outside.readable, 0);
    assert_int_equal(write(outside.pipe[1], "x", 1), 1);
    weir_test_idle(test);
    assert_int_equal(outside.readable, 1);
    assert_true(real_ms() - began < 10000);
    assert_true(weir_loop_remove_reader(weir_test_loop(test), outside.pipe[0]));
    weir_test_end(test);
    close(outside.pipe[0]);
    close(outside.pipe[1]);
}

static weir_error *again_and_again(void *arg)
{
    return weir_loop_call_soon(weir_loop_current(), again_and_again, arg, NULL, NULL);
}

static void a_loop_that_never_rests_fails(void **state)
{
    weir_test *test = KIT_NEW(.real_limit = WEIR_MS(20));

    (void)state;
    WEIR_TEST_OK(weir_loop_call_soon(weir_test_loop(test), again_and_again, NULL, NULL, NULL));
    keep_failures();
    weir_test_idle(test);
    assert_failed_with("does not come to rest");
    weir_test_drop(test);
}

static weir_error *sleeps_over_a_descriptor(void *arg)
{
    struct outside *outside = arg;

    WEIR_CHECK_OK(weir_loop_add_reader(weir_loop_current(), outside->pipe[0], take_byte, outside));
    WEIR_CHECK_OK(weir_sleep(WEIR_S(3600)));
    WEIR_CHECK(weir_loop_remove_reader(weir_loop_current(), outside->pipe[0]));
    return NULL;
}

static void time_jumps_over_a_silent_descriptor_after_its_grace(void **state)
{
    struct outside outside = {.readable = 0};
    weir_test *test;
    int64_t began = real_ms();

    (void)state;
    assert_int_equal(pipe(outside.pipe), 0);
    test = KIT_NEW(.io_grace = WEIR_MS(10));
    weir_test_run(test, sleeps_over_a_descriptor, &outside);
    assert_true(real_ms() - began < 10000);
    assert_int_equal(outside.readable, 0);
    weir_test_end(test);
    close(outside.pipe[0]);
    close(outside.pipe[1]);
}

struct posting {
    weir_test *test;
    weir_loop *loop;
    weir_future *future;
};

static weir_error *set_future(void *arg)
{
    weir_future *future = arg;

    return weir_future_set_result(future, NULL, NULL);
}

static void *post_later(void *arg)
{
    struct posting *posting = arg;
    struct pollfd none;

    poll(&none, 0, 100);
    weir_ignore(weir_loop_call_soon_threadsafe(posting->loop, set_future, posting->future, NULL));
    return NULL;
}

static weir_error *waits_for_a_post(void *arg)
{
    struct posting *posting = arg;
    pthread_t thread;

    WEIR_CHECK_OK(weir_future_new(&posting->future));
    posting->loop = weir_loop_current();
    weir_test_external_begin(posting->test);
    WEIR_CHECK(pthread_create(&thread, NULL, post_later, posting) == 0);
    WEIR_CHECK_OK(weir_await(posting->future));
    weir_test_external_end(posting->test);
    pthread_join(thread, NULL);
    weir_future_unref(posting->future);
    return NULL;
}

static void what_is_declared_external_is_waited_for(void **state)
{
    struct posting posting = {.test = KIT_NEW()};

    (void)state;
    weir_test_run(posting.test, waits_for_a_post, &posting);
    weir_test_end(posting.test);
}

/* A job lasts longer than the moment of listening before a deadlock is declared. */
static weir_error *takes_a_while(void *arg)
{
    struct pollfd none;

    (void)arg;
    poll(&none, 0, 60);
    return NULL;
}

static weir_error *calls_an_executor(void *arg)
{
    weir_executor_options options = {WEIR_SIZED(weir_executor_options), .threads = 1};
    weir_executor *executor;
    weir_error *error;

    (void)arg;
    WEIR_CHECK_OK(weir_executor_new(&options, &executor));
    error = weir_executor_call(executor, takes_a_while, NULL);
    weir_ignore(weir_executor_shutdown(executor, WEIR_S(10)));
    weir_executor_unref(executor);
    WEIR_CHECK_OK(error);
    return NULL;
}

static void a_job_of_an_executor_is_waited_for(void **state)
{
    weir_test *test = KIT_NEW();

    (void)state;
    weir_test_run(test, calls_an_executor, NULL);
    weir_test_end(test);
}

/* Deadlocks */

static weir_error *waits_for_nobody(void *arg)
{
    weir_auto(weir_future) never = NULL;

    (void)arg;
    WEIR_TRY(weir_future_new(&never));
    WEIR_TRY(weir_await(never));
    return NULL;
}

static weir_error *waits_for_the_other(void *arg)
{
    weir_task **other = arg;

    WEIR_TRY(weir_sleep(WEIR_S(1)));
    WEIR_TRY(weir_task_await(*other));
    return NULL;
}

static weir_error *wait_for_each_other(void *arg)
{
    weir_task *tasks[2] = {NULL, NULL};
    weir_error *error;

    (void)arg;
    WEIR_TRY(weir_spawn(waits_for_the_other, &tasks[1], &tasks[0]));
    WEIR_TRY(weir_spawn(waits_for_the_other, &tasks[0], &tasks[1]));
    weir_task_set_name(tasks[0], "philosopher");
    weir_task_set_name(tasks[1], "sophist");
    error = weir_task_await(tasks[0]);
    (void)weir_task_cancel(tasks[0]);
    (void)weir_task_cancel(tasks[1]);
    weir_ignore(weir_sleep(WEIR_NS(0)));
    weir_task_unref(tasks[0]);
    weir_task_unref(tasks[1]);
    return error;
}

static void a_deadlock_ends_the_run_and_names_every_task(void **state)
{
    weir_test *test = KIT_NEW();
    char text[4096];
    weir_error *error;

    (void)state;
    error = weir_test_try(test, wait_for_each_other, NULL);
    weir_error_message(error, text, sizeof(text));
    assert_int_equal(weir_error_code(error), WEIR_EDEADLK);
    weir_ignore(error);
    assert_non_null(strstr(text, "wait_for_each_other"));
    assert_non_null(strstr(text, "philosopher"));
    assert_non_null(strstr(text, "sophist"));
    assert_non_null(strstr(text, "test_driving.c"));
    weir_test_idle(test);
    weir_test_end(test);
}

static void a_deadlock_fails_the_test_with_its_seed(void **state)
{
    weir_test *test = KIT_NEW(.seed = 4711);

    (void)state;
    keep_failures();
    weir_test_run(test, waits_for_nobody, NULL);
    assert_failed_with("nothing can happen any more");
    weir_test_drop(test);

    test = KIT_NEW(.seed = 4711);
    keep_failures();
    weir_test_run(test, waits_for_nobody, NULL);
    assert_failed_with("WEIR_TEST_SEED=4711");
    weir_test_end(test);
}

static weir_error *ticks_for_ever(void *arg)
{
    (void)arg;
    for (;;)
        WEIR_TRY(weir_sleep(WEIR_S(1)));
}

static weir_error *spins(void *arg)
{
    (void)arg;
    for (;;)
        WEIR_TRY(weir_sleep(WEIR_NS(0)));
}

static void a_run_that_never_waits_ends_at_its_real_limit(void **state)
{
    weir_test *test = KIT_NEW(.real_limit = WEIR_MS(20));
    weir_error *error;

    (void)state;
    error = weir_test_try(test, spins, NULL);
    assert_int_equal(weir_error_code(error), WEIR_ELIMIT);
    weir_ignore(error);
    weir_test_end(test);
}

static void a_run_beyond_its_limit_ends(void **state)
{
    weir_test *test = KIT_NEW(.limit = WEIR_S(100));
    weir_error *error;

    (void)state;
    error = weir_test_try(test, ticks_for_ever, NULL);
    assert_int_equal(weir_error_code(error), WEIR_ELIMIT);
    weir_ignore(error);
    weir_test_end(test);
}

/* Seeds */

struct trace {
    char text[1024];
    unsigned started;
};

static weir_error *letter(void *arg)
{
    struct trace *trace = arg;
    char name = (char)('a' + trace->started++);

    for (int i = 0; i < 3; i++) {
        size_t used = strlen(trace->text);

        snprintf(trace->text + used, sizeof(trace->text) - used, "%c@%lld ", name,
                 (long long)(weir_loop_time(weir_loop_current()).ns / 1000000));
        WEIR_TRY(weir_sleep(WEIR_MS(name % 3)));
    }
    return NULL;
}

static weir_error *letters(void *arg)
{
    WEIR_GROUP(group);

    for (int i = 0; i < 8; i++)
        WEIR_CHECK_OK(weir_group_spawn(&group, letter, arg, NULL));
    WEIR_CHECK_OK(weir_group_join(&group));
    return NULL;
}

/* What eight tasks did, when, under this seed (0: FIFO); with a connection whose pieces vary. */
static void trace_of(uint64_t seed, struct trace *trace)
{
    weir_test *test = KIT_NEW(.seed = seed, .shuffle = seed != 0);

    *trace = (struct trace){.started = 0};
    weir_test_run(test, letters, trace);
    weir_test_end(test);
}

static void T94_a_run_is_deterministic_under_its_seed(void **state)
{
    static struct trace first, again, other, fifo;

    (void)state;
    trace_of(7, &first);
    trace_of(7, &again);
    trace_of(8, &other);
    trace_of(0, &fifo);
    assert_string_equal(first.text, again.text);
    assert_string_not_equal(first.text, other.text);
    assert_string_not_equal(first.text, fifo.text);
    assert_string_equal(
        strncmp(fifo.text, "a@1000000 b@1000000 c@1000000 ", 30) == 0 ? "" : fifo.text, "");
}

static void the_seed_comes_from_the_environment(void **state)
{
    weir_test *test;

    (void)state;
    setenv("WEIR_TEST_SEED", "99", 1);
    test = KIT_NEW(.seed = 7);
    assert_int_equal(weir_test_seed(test), 99);
    weir_test_end(test);
}

/* A race: whoever runs second finds the other's mark. */
static weir_error *add_one(void *arg)
{
    int *value = arg, read = *value;

    WEIR_TRY(weir_sleep(WEIR_NS(0)));
    *value = read + 1;
    return NULL;
}

static weir_error *double_it(void *arg)
{
    *(int *)arg *= 2;
    return NULL;
}

static weir_error *racing(void *arg)
{
    WEIR_GROUP(group);

    WEIR_TRY(weir_group_spawn(&group, double_it, arg, NULL));
    WEIR_TRY(weir_group_spawn(&group, add_one, arg, NULL));
    WEIR_TRY(weir_group_join(&group));
    WEIR_CHECK(*(int *)arg == 3); /* only when double_it runs before the read */
    return NULL;
}

static weir_error *race_scenario(weir_test *test, void *arg)
{
    int value = 1;

    ++*(unsigned *)arg;
    WEIR_TRY(weir_test_try(test, racing, &value));
    return NULL;
}

static void exploring_finds_the_order_that_fails_and_names_its_seed(void **state)
{
    unsigned runs = 0, again = 0;
    char text[1024], *seed;
    weir_error *error;

    (void)state;
    error = weir_test_explore(race_scenario, &runs, 100, NULL);
    assert_non_null(error);
    weir_error_message(error, text, sizeof(text));
    weir_ignore(error);
    seed = strstr(text, "WEIR_TEST_SEED=");
    assert_non_null(seed);
    assert_non_null(strstr(text, "*(int *)arg == 3"));
    assert_true(runs < 100);

    setenv("WEIR_TEST_SEED", seed + strlen("WEIR_TEST_SEED="), 1);
    error = weir_test_explore(race_scenario, &again, 100, NULL);
    assert_non_null(error);
    weir_ignore(error);
    assert_int_equal(again, 1);
}

static weir_error *fine_scenario(weir_test *test, void *arg)
{
    static struct trace trace;

    ++*(unsigned *)arg;
    trace = (struct trace){.started = 0};
    WEIR_TRY(weir_test_try(test, letters, &trace));
    return NULL;
}

static void exploring_runs_every_seed_of_a_scenario_that_holds(void **state)
{
    unsigned runs = 0;

    (void)state;
    WEIR_TEST_OK(weir_test_explore(fine_scenario, &runs, 20, NULL));
    assert_int_equal(runs, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(time_jumps_when_every_task_waits),
        KIT_TEST(advancing_does_what_is_due_in_that_time_and_no_more),
        KIT_TEST(deadlines_of_scopes_are_in_virtual_time),
        KIT_TEST(time_passes_really_while_a_descriptor_is_waited_for),
        KIT_TEST(time_jumps_over_a_silent_descriptor_after_its_grace),
        KIT_TEST(a_test_that_advances_does_not_wait_for_descriptors),
        KIT_TEST(a_loop_that_never_rests_fails),
        KIT_TEST(what_is_declared_external_is_waited_for),
        KIT_TEST(a_job_of_an_executor_is_waited_for),
        KIT_TEST(a_deadlock_ends_the_run_and_names_every_task),
        KIT_TEST(a_deadlock_fails_the_test_with_its_seed),
        KIT_TEST(a_run_beyond_its_limit_ends),
        KIT_TEST(a_run_that_never_waits_ends_at_its_real_limit),
        KIT_TEST(T94_a_run_is_deterministic_under_its_seed),
        KIT_TEST(the_seed_comes_from_the_environment),
        KIT_TEST(exploring_finds_the_order_that_fails_and_names_its_seed),
        KIT_TEST(exploring_runs_every_seed_of_a_scenario_that_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
