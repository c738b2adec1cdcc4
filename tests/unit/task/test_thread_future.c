/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks started from other threads (T48; runtime-semantics D5, D6). Names are claims. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include <weir/task.h>

#include "tests/unit/support/support.h"

static atomic_int drops;

static void count_drop(void *value)
{
    (void)value;
    atomic_fetch_add(&drops, 1);
}

struct world {
    weir_loop *loop;
    pthread_t thread;
    weir_future *done; /* the loop's side waits for the thread's end */
    weir_error *(*talk)(struct world *world);
    weir_error *outcome;
};

static weir_error *thread_has_ended(void *arg)
{
    struct world *world = arg;

    return weir_future_set_result(world->done, NULL, NULL);
}

static void *run_thread(void *arg)
{
    struct world *world = arg;

    world->outcome = world->talk(world);
    EXPECT(weir_loop_call_soon_threadsafe(world->loop, thread_has_ended, world, NULL) == NULL);
    return NULL;
}

/* Runs `talk` in a thread of its own while the loop runs. */
static weir_error *with_a_thread(void *arg)
{
    struct world *world = arg;
    weir_auto(weir_future) done = NULL;

    CHECK_OK(weir_future_new(&done));
    world->loop = weir_loop_current();
    world->done = done;
    CHECK(pthread_create(&world->thread, NULL, run_thread, world) == 0);
    CHECK_OK(weir_await(done));
    CHECK(pthread_join(world->thread, NULL) == 0);
    CHECK_OK(world->outcome);
    return NULL;
}

static weir_error *give_the_argument(void *arg)
{
    WEIR_TRY(weir_sleep(WEIR_MS(1)));
    weir_task_set_result(arg, count_drop);
    return NULL;
}

static weir_error *fails(void *arg)
{
    (void)arg;
    return weir_raise(ENOENT, "no luck");
}

static weir_error *sleep_for_ever(void *arg)
{
    (void)arg;
    WEIR_TRY(weir_sleep(WEIR_FOREVER));
    return NULL;
}

static weir_error *get_a_value(struct world *world)
{
    weir_thread_future *f = NULL;
    void *value = NULL;
    int number = 5;

    CHECK_OK(weir_run_coroutine_threadsafe(world->loop, give_the_argument, &number, NULL, &f));
    CHECK_OK(weir_thread_future_result(f, WEIR_S(60), &value));
    CHECK(value == &number);
    weir_thread_future_unref(f);
    return NULL;
}

static void T48_D5_value_comes_to_the_other_thread(void **state)
{
    struct world world = {.talk = get_a_value};

    (void)state;
    atomic_store(&drops, 0);
    run_in_loop(with_a_thread, &world);
    assert_int_equal(atomic_load(&drops), 1);
}

static weir_error *get_an_error(struct world *world)
{
    weir_thread_future *f = NULL;

    CHECK_OK(weir_run_coroutine_threadsafe(world->loop, fails, &drops, count_drop, &f));
    CHECK_CODE(weir_thread_future_result(f, WEIR_S(60), NULL), ENOENT);
    CHECK_CODE(weir_thread_future_result(f, WEIR_S(60), NULL), ENOENT);
    weir_thread_future_unref(f);
    return NULL;
}

static void T48_D5_error_comes_to_the_other_thread_and_the_argument_is_dropped(void **state)
{
    struct world world = {.talk = get_an_error};

    (void)state;
    atomic_store(&drops, 0);
    run_in_loop(with_a_thread, &world);
    assert_int_equal(atomic_load(&drops), 1);
}

/* D6 */
static weir_error *time_out_then_cancel(struct world *world)
{
    weir_thread_future *f = NULL;

    CHECK_OK(weir_run_coroutine_threadsafe(world->loop, sleep_for_ever, NULL, NULL, &f));
    CHECK_CODE(weir_thread_future_result(f, WEIR_MS(2), NULL), WEIR_ETIMEDOUT);
    weir_thread_future_cancel(f);
    CHECK_CODE(weir_thread_future_result(f, WEIR_S(60), NULL), WEIR_ECANCELED);
    weir_thread_future_unref(f);
    return NULL;
}

static void T48_D6_timeout_leaves_the_task_which_can_be_cancelled(void **state)
{
    struct world world = {.talk = time_out_then_cancel};

    (void)state;
    run_in_loop(with_a_thread, &world);
}

static weir_error *cancel_at_once(struct world *world)
{
    weir_thread_future *f = NULL;

    CHECK_OK(weir_run_coroutine_threadsafe(world->loop, sleep_for_ever, NULL, NULL, &f));
    weir_thread_future_cancel(f);
    CHECK_CODE(weir_thread_future_result(f, WEIR_S(60), NULL), WEIR_ECANCELED);
    weir_thread_future_unref(f);
    return NULL;
}

static void cancel_right_after_the_start_is_not_lost(void **state)
{
    struct world world = {.talk = cancel_at_once};

    (void)state;
    run_in_loop(with_a_thread, &world);
}

static weir_error *abandon(struct world *world)
{
    weir_thread_future *f = NULL;

    CHECK_OK(weir_run_coroutine_threadsafe(world->loop, give_the_argument, &drops, count_drop, &f));
    weir_thread_future_unref(f);
    return NULL;
}

static void abandoned_task_runs_and_its_value_is_dropped(void **state)
{
    struct world world = {.talk = abandon};

    (void)state;
    atomic_store(&drops, 0);
    run_in_loop(with_a_thread, &world);
    assert_int_equal(atomic_load(&drops) >= 1, 1);
}

static weir_error *wait_for_myself(void *arg)
{
    weir_thread_future *f = NULL;

    (void)arg;
    CHECK_OK(weir_run_coroutine_threadsafe(weir_loop_current(), fails, NULL, NULL, &f));
    CHECK_CODE(weir_thread_future_result(f, WEIR_S(60), NULL), WEIR_EDEADLK);
    weir_thread_future_unref(f);
    CHECK_OK(weir_sleep(WEIR_MS(1)));
    return NULL;
}

/* D5 */
static void T48_D5_waiting_on_the_loops_own_thread_is_refused(void **state)
{
    (void)state;
    run_in_loop(wait_for_myself, NULL);
}

static void T48_D5_loop_that_closes_first_settles_as_closed_and_drops_the_argument(void **state)
{
    weir_thread_future *f = NULL;
    weir_loop *loop = NULL;

    (void)state;
    atomic_store(&drops, 0);
    assert_ok(weir_loop_new(NULL, &loop));
    assert_ok(weir_run_coroutine_threadsafe(loop, fails, &drops, count_drop, &f));
    assert_ok(weir_loop_close(loop));
    assert_int_equal(atomic_load(&drops), 1);
    assert_code(weir_thread_future_result(f, WEIR_S(60), NULL), WEIR_ECLOSED);
    weir_thread_future_unref(f);
    assert_code(weir_run_coroutine_threadsafe(loop, fails, &drops, count_drop, &f), WEIR_ECLOSED);
    assert_int_equal(atomic_load(&drops), 1);
    weir_loop_unref(loop);
}

static weir_error *value_after_a_while(void *arg)
{
    WEIR_TRY(weir_sleep(WEIR_MS(30)));
    weir_task_set_result(arg, NULL);
    return NULL;
}

static weir_error *time_out_then_get(struct world *world)
{
    weir_thread_future *f = NULL;
    void *value = NULL;
    int number = 5;

    CHECK_OK(weir_run_coroutine_threadsafe(world->loop, value_after_a_while, &number, NULL, &f));
    CHECK(!weir_thread_future_done(f));
    CHECK_CODE(weir_thread_future_result(f, WEIR_MS(1), &value), WEIR_ETIMEDOUT);
    CHECK_OK(weir_thread_future_result(f, WEIR_S(60), &value));
    CHECK(value == &number && weir_thread_future_done(f));
    CHECK(!weir_thread_future_cancel(f)); /* too late */
    weir_thread_future_unref(f);
    return NULL;
}

static void T48_D6_value_can_be_had_after_a_timeout(void **state)
{
    struct world world = {.talk = time_out_then_get};

    (void)state;
    run_in_loop(with_a_thread, &world);
}

static weir_error *wait_then_cancel(struct world *world)
{
    weir_thread_future *f = NULL;
    void *value = NULL;
    int number = 5;

    CHECK_OK(weir_run_coroutine_threadsafe(world->loop, sleep_for_ever, NULL, NULL, &f));
    CHECK_CODE(weir_thread_future_wait_or_cancel(f, WEIR_MS(5), NULL), WEIR_ETIMEDOUT);
    CHECK(weir_thread_future_done(f));
    weir_thread_future_unref(f);
    CHECK_OK(weir_run_coroutine_threadsafe(world->loop, give_the_argument, &number, NULL, &f));
    CHECK_OK(weir_thread_future_wait_or_cancel(f, WEIR_S(60), &value));
    CHECK(value == &number);
    weir_thread_future_unref(f);
    return NULL;
}

static void T48_D6_wait_or_cancel_ends_the_task_when_the_time_is_over(void **state)
{
    struct world world = {.talk = wait_then_cancel};

    (void)state;
    atomic_store(&drops, 0);
    run_in_loop(with_a_thread, &world);
    assert_int_equal(atomic_load(&drops), 1);
}

static atomic_int called;

static void note_the_call(weir_thread_future *future, void *arg)
{
    (void)arg;
    if (weir_thread_future_done(future))
        atomic_fetch_add(&called, 1);
}

static weir_error *add_callbacks(struct world *world)
{
    weir_thread_future *f = NULL;

    CHECK_OK(weir_run_coroutine_threadsafe(world->loop, value_after_a_while, NULL, NULL, &f));
    CHECK_OK(weir_thread_future_add_done_callback(f, note_the_call, NULL));
    CHECK_OK(weir_thread_future_add_done_callback(f, note_the_call, NULL));
    CHECK(atomic_load(&called) == 0);
    CHECK_OK(weir_thread_future_result(f, WEIR_S(60), NULL));
    while (atomic_load(&called) < 2) /* the loop's thread calls them after it has told us */
        sched_yield();
    CHECK_OK(weir_thread_future_add_done_callback(f, note_the_call, NULL));
    CHECK(atomic_load(&called) == 3);
    weir_thread_future_unref(f);
    return NULL;
}

static void D6_callbacks_run_where_it_completes_or_at_once(void **state)
{
    struct world world = {.talk = add_callbacks};

    (void)state;
    atomic_store(&called, 0);
    run_in_loop(with_a_thread, &world);
}

static weir_error *await_a_wrapped_one(void *arg)
{
    weir_auto(weir_thread_future) source = NULL;
    weir_auto(weir_future) wrapped = NULL;
    weir_loop *loop = arg;
    void *value = NULL;
    int number = 5;

    CHECK_OK(weir_run_coroutine_threadsafe(loop, give_the_argument, &number, NULL, &source));
    CHECK_OK(weir_thread_future_wrap(source, &wrapped));
    CHECK_OK(weir_await(wrapped));
    CHECK_OK(weir_future_get_result(wrapped, &value));
    CHECK(value == &number);
    return NULL;
}

static weir_error *cancel_a_wrapped_one(void *arg)
{
    weir_auto(weir_thread_future) source = NULL;
    weir_auto(weir_future) wrapped = NULL;
    weir_loop *loop = arg;

    CHECK_OK(weir_run_coroutine_threadsafe(loop, sleep_for_ever, NULL, NULL, &source));
    CHECK_OK(weir_thread_future_wrap(source, &wrapped));
    CHECK(weir_future_cancel(wrapped));
    CHECK_CODE(weir_await(wrapped), WEIR_ECANCELED);
    while (!weir_thread_future_done(source))
        CHECK_OK(weir_sleep(WEIR_MS(1)));
    CHECK_CODE(weir_thread_future_result(source, WEIR_MS(0), NULL), WEIR_ECANCELED);
    return NULL;
}

struct other_loop {
    weir_loop *_Atomic loop;
    pthread_t thread;
};

static void *run_other_loop(void *arg)
{
    struct other_loop *other = arg;
    weir_loop *loop = NULL;

    if (weir_loop_new(NULL, &loop))
        return NULL;
    atomic_store(&other->loop, weir_loop_ref(loop));
    weir_ignore(weir_loop_run_forever(loop));
    weir_loop_cancel_tasks(loop);
    weir_loop_close_force(loop, WEIR_S(10));
    weir_loop_unref(loop);
    return NULL;
}

static weir_error *with_another_loop(weir_fn fn)
{
    struct other_loop other = {.loop = NULL};
    weir_error *error;

    CHECK(pthread_create(&other.thread, NULL, run_other_loop, &other) == 0);
    while (!atomic_load(&other.loop))
        CHECK_OK(weir_sleep(WEIR_MS(1)));
    error = fn(atomic_load(&other.loop));
    weir_loop_stop(atomic_load(&other.loop));
    CHECK(pthread_join(other.thread, NULL) == 0);
    weir_loop_unref(atomic_load(&other.loop));
    return error;
}

static weir_error *D6_thread_future_is_awaited_as_a_future_of_this_loop(void *arg)
{
    (void)arg;
    return with_another_loop(await_a_wrapped_one);
}

static weir_error *D6_cancel_of_the_wrapped_future_reaches_the_task(void *arg)
{
    (void)arg;
    return with_another_loop(cancel_a_wrapped_one);
}

IN_LOOP(D6_thread_future_is_awaited_as_a_future_of_this_loop)
IN_LOOP(D6_cancel_of_the_wrapped_future_reaches_the_task)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_MAIN_TEST(T48_D5_value_comes_to_the_other_thread),
        ON_MAIN_TEST(T48_D5_error_comes_to_the_other_thread_and_the_argument_is_dropped),
        ON_MAIN_TEST(T48_D6_timeout_leaves_the_task_which_can_be_cancelled),
        ON_MAIN_TEST(cancel_right_after_the_start_is_not_lost),
        ON_MAIN_TEST(abandoned_task_runs_and_its_value_is_dropped),
        ON_MAIN_TEST(T48_D5_waiting_on_the_loops_own_thread_is_refused),
        ON_MAIN_TEST(T48_D5_loop_that_closes_first_settles_as_closed_and_drops_the_argument),
        ON_MAIN_TEST(T48_D6_value_can_be_had_after_a_timeout),
        ON_MAIN_TEST(T48_D6_wait_or_cancel_ends_the_task_when_the_time_is_over),
        ON_MAIN_TEST(D6_callbacks_run_where_it_completes_or_at_once),
        IN_LOOP_TEST(D6_thread_future_is_awaited_as_a_future_of_this_loop),
        IN_LOOP_TEST(D6_cancel_of_the_wrapped_future_reaches_the_task),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
