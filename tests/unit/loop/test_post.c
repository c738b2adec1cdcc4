/* SPDX-License-Identifier: Apache-2.0 */
/* Calls from other threads. */
#include "config.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "tests/unit/loop/loop_test.h"

#define THREADS 4
#define POSTS   20000

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(T12_D3_posts_of_many_threads_all_run_each_in_its_order),
        LOOP_TEST(D3_a_sleeping_loop_is_woken_by_each_post_and_by_stop),
        LOOP_TEST(a_post_from_the_loops_own_thread_joins_the_queue),
        LOOP_TEST(T13_D3_what_was_accepted_runs_or_is_dropped_when_the_loop_closes_meanwhile),
    };

    return cmocka_run_group_tests_name("post", tests, NULL, NULL);
}
