/* SPDX-License-Identifier: Apache-2.0 */
/* Calls from other threads. */
#include "config.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "tests/unit/loop/loop_test.h"

/* Fewer posts where each costs a hundred times as much. */
#define THREADS 16
#ifdef WEIR_SANITIZE
#    define POSTS 5000
#else
#    define POSTS 100000
#endif

struct poster {
    pthread_t thread;
    int next_expected; /* the loop's */
    int wrong;
};

static struct poster posters[THREADS];
static int total;

struct post {
    struct poster *poster;
    int number;
};

static struct post posts[THREADS][POSTS];

static weir_error *count_post(void *arg)
{
    struct post *post = arg;

    post->poster->wrong += post->number != post->poster->next_expected++;
    if (++total == THREADS * POSTS)
        weir_loop_stop(test.loop);
    return NULL;
}

static void *post_many(void *arg)
{
    struct poster *poster = arg;
    struct post *mine = posts[poster - posters];

    for (int i = 0; i < POSTS; i++) {
        mine[i] = (struct post){poster, i};
        OK(weir_loop_call_soon_threadsafe(test.loop, count_post, &mine[i], NULL));
    }
    return NULL;
}

static void T12_D3_posts_of_many_threads_all_run_each_in_its_order(void **state)
{
    weir_loop_metrics metrics = {WEIR_SIZED(weir_loop_metrics)};

    (void)state;
    total = 0;
    for (int i = 0; i < THREADS; i++) {
        posters[i] = (struct poster){0};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]), 0);
    }
    OK(weir_loop_run_forever(test.loop));
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(posters[i].thread, NULL), 0);
        assert_int_equal(posters[i].wrong, 0);
        assert_int_equal(posters[i].next_expected, POSTS);
    }
    assert_int_equal(total, THREADS * POSTS);
    /* At most one wake-up a drain, and at most one drain an iteration. */
    weir_loop_metrics_get(test.loop, &metrics);
    assert_int_equal(metrics.posts, THREADS * POSTS);
    assert_true(metrics.wakeups <= metrics.iterations);
}

/* One post at a time: the loop goes to sleep before the next. */
static atomic_int turns;
static pthread_mutex_t turn_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_done = PTHREAD_COND_INITIALIZER;

static weir_error *take_turn(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&turn_lock);
    atomic_fetch_add(&turns, 1);
    pthread_cond_signal(&turn_done);
    pthread_mutex_unlock(&turn_lock);
    return NULL;
}

static void *ping(void *arg)
{
    (void)arg;
    for (int i = 1; i <= 2000; i++) {
        OK(weir_loop_call_soon_threadsafe(test.loop, take_turn, NULL, NULL));
        pthread_mutex_lock(&turn_lock);
        while (atomic_load(&turns) < i)
            pthread_cond_wait(&turn_done, &turn_lock);
        pthread_mutex_unlock(&turn_lock);
    }
    weir_loop_stop(test.loop);
    return NULL;
}

static void D3_a_sleeping_loop_is_woken_by_each_post_and_by_stop(void **state)
{
    pthread_t thread;

    (void)state;
    atomic_store(&turns, 0);
    assert_int_equal(pthread_create(&thread, NULL, ping, NULL), 0);
    OK(weir_loop_run_forever(test.loop));
    assert_int_equal(pthread_join(thread, NULL), 0);

    assert_int_equal(atomic_load(&turns), 2000);
}

static void a_post_from_the_loops_own_thread_joins_the_queue(void **state)
{
    (void)state;
    OK(weir_loop_call_soon_threadsafe(test.loop, note_arg, "a", NULL));
    OK(weir_loop_call_soon_threadsafe(test.loop, note_arg, "b", NULL));
    iterate(1);

    assert_string_equal(test.journal, "ab");
}

static atomic_int accepted, ran_or_dropped;

static weir_error *count_run(void *arg)
{
    (void)arg;
    atomic_fetch_add(&ran_or_dropped, 1);
    return NULL;
}

static void count_drop(void *arg)
{
    (void)arg;
    atomic_fetch_add(&ran_or_dropped, 1);
}

static void *post_until_closed(void *arg)
{
    weir_loop *loop = arg;

    for (;;) {
        weir_error *error = weir_loop_call_soon_threadsafe(loop, count_run, NULL, count_drop);

        if (error) {
            assert_true(weir_error_is(error, WEIR_ECLOSED));
            weir_error_unref(error);
            weir_loop_unref(loop);
            return NULL;
        }
        atomic_fetch_add(&accepted, 1);
    }
}

static void T13_D3_what_was_accepted_runs_or_is_dropped_when_the_loop_closes_meanwhile(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    atomic_store(&accepted, 0);
    atomic_store(&ran_or_dropped, 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, post_until_closed, weir_loop_ref(test.loop)), 0);
    while (atomic_load(&ran_or_dropped) < 1000)
        iterate(1);
    OK(weir_loop_close(test.loop));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);

    assert_int_equal(atomic_load(&ran_or_dropped), atomic_load(&accepted));
}

/* Cancelling */

static void T14_D3_a_handle_cancelled_before_its_turn_is_dropped(void **state)
{
    weir_handle *handle;

    (void)state;
    OK(weir_loop_call_soon_threadsafe_handle(test.loop, note_arg, "a", drop_arg, &handle));
    assert_true(weir_handle_cancel(handle));
    assert_string_equal(test.journal, "A");
    assert_true(weir_handle_cancelled(handle));
    assert_false(weir_handle_cancel(handle));
    iterate(2);

    assert_string_equal(test.journal, "A");
    weir_handle_unref(handle);
}

static weir_handle *own;

static weir_error *cancels_itself(void *arg)
{
    (void)arg;
    note(weir_handle_cancel(own) ? 'y' : 'n');
    return NULL;
}

static void T14_D3_in_its_own_callback_it_is_too_late_and_does_not_wait(void **state)
{
    (void)state;
    OK(weir_loop_call_soon_threadsafe_handle(test.loop, cancels_itself, NULL, NULL, &own));
    iterate(1);

    assert_string_equal(test.journal, "n");
    assert_false(weir_handle_cancelled(own));
    weir_handle_unref(own);
}

static sem_t entered, let_go, returned;
static atomic_int ended, cancel_said;

static weir_error *runs_until_let_go(void *arg)
{
    (void)arg;
    sem_post(&entered); /* for each of the two threads */
    sem_post(&entered);
    wait_for_event(&let_go);
    atomic_store(&ended, 1);
    weir_loop_stop(test.loop);
    return NULL;
}

static void *cancels_while_it_runs(void *arg)
{
    weir_handle *handle = arg;

    wait_for_event(&entered);
    atomic_store(&cancel_said, weir_handle_cancel(handle) ? 1 : 2);
    sem_post(&returned);
    assert_int_equal(atomic_load(&ended), 1); /* it waited for the end */
    return NULL;
}

static void *lets_go(void *arg)
{
    struct timespec end;

    (void)arg;
    wait_for_event(&entered);
    /* It would return early, if it were wrong. */
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += 10000000;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    assert_int_equal(sem_timedwait(&returned, &end), -1);
    assert_int_equal(atomic_load(&cancel_said), 0);
    sem_post(&let_go);
    return NULL;
}

static void T14_D3_another_thread_waits_for_a_callback_that_runs(void **state)
{
    pthread_t canceller, other;
    weir_handle *handle;

    (void)state;
    assert_int_equal(sem_init(&entered, 0, 0), 0);
    assert_int_equal(sem_init(&let_go, 0, 0), 0);
    assert_int_equal(sem_init(&returned, 0, 0), 0);
    OK(weir_loop_call_soon_threadsafe_handle(test.loop, runs_until_let_go, NULL, NULL, &handle));
    assert_int_equal(pthread_create(&canceller, NULL, cancels_while_it_runs, handle), 0);
    assert_int_equal(pthread_create(&other, NULL, lets_go, NULL), 0);
    OK(weir_loop_run_forever(test.loop));
    assert_int_equal(pthread_join(canceller, NULL), 0);
    assert_int_equal(pthread_join(other, NULL), 0);

    assert_int_equal(atomic_load(&cancel_said), 2);
    weir_handle_unref(handle);
}

static atomic_int raced_ran, raced_dropped, raced_cancelled;

static weir_error *raced_run(void *arg)
{
    (void)arg;
    atomic_fetch_add(&raced_ran, 1);
    return NULL;
}

static void raced_drop(void *arg)
{
    (void)arg;
    atomic_fetch_add(&raced_dropped, 1);
}

static void *posts_and_cancels(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2000; i++) {
        weir_handle *handle;

        OK(weir_loop_call_soon_threadsafe_handle(test.loop, raced_run, NULL, raced_drop, &handle));
        atomic_fetch_add(&raced_cancelled, weir_handle_cancel(handle));
        weir_handle_unref(handle);
    }
    weir_loop_stop(test.loop);
    return NULL;
}

static void T14_D3_each_handle_runs_or_is_dropped_never_both(void **state)
{
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, posts_and_cancels, NULL), 0);
    OK(weir_loop_run_forever(test.loop));
    assert_int_equal(pthread_join(thread, NULL), 0);
    iterate(2);

    assert_int_equal(atomic_load(&raced_ran) + atomic_load(&raced_dropped), 2000);
    assert_int_equal(atomic_load(&raced_dropped), atomic_load(&raced_cancelled));
}

/* More than the blocks that a loop keeps, and a last one that is not full. */
#define MORE_THAN_KEPT (200 * 128 + 1)

static void count_dropped_post(void *arg)
{
    ++*(int *)arg;
}

static weir_error *never_run(void *arg)
{
    (void)arg;
    fail();
    return NULL;
}

static void *posts_and_ends(void *arg)
{
    for (int i = 0; i < MORE_THAN_KEPT; i++)
        OK(weir_loop_call_soon_threadsafe(test.loop, never_run, arg, count_dropped_post));
    return NULL;
}

static void D3_posts_of_a_thread_that_has_ended_are_dropped_with_the_loop(void **state)
{
    pthread_t thread;
    int dropped = 0;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, posts_and_ends, &dropped), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    OK(weir_loop_close(test.loop));
    assert_int_equal(dropped, MORE_THAN_KEPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(T12_D3_posts_of_many_threads_all_run_each_in_its_order),
        LOOP_TEST(D3_a_sleeping_loop_is_woken_by_each_post_and_by_stop),
        LOOP_TEST(T14_D3_a_handle_cancelled_before_its_turn_is_dropped),
        LOOP_TEST(T14_D3_in_its_own_callback_it_is_too_late_and_does_not_wait),
        LOOP_TEST(T14_D3_another_thread_waits_for_a_callback_that_runs),
        LOOP_TEST(T14_D3_each_handle_runs_or_is_dropped_never_both),
        LOOP_TEST(D3_posts_of_a_thread_that_has_ended_are_dropped_with_the_loop),
        LOOP_TEST(a_post_from_the_loops_own_thread_joins_the_queue),
        LOOP_TEST(T13_D3_what_was_accepted_runs_or_is_dropped_when_the_loop_closes_meanwhile),
    };

    return cmocka_run_group_tests_name("post", tests, NULL, NULL);
}
