/* SPDX-License-Identifier: Apache-2.0 */
/* Queues (runtime-semantics 2.5, T46). Names are claims. */
#include "config.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <weir/queue.h>
#include <weir/scope.h>

#include "core/base/alloc.h"
#include "tests/unit/support/support.h"

static int dropped;

static void count_drop(void *item)
{
    (void)item;
    dropped++;
}

static weir_error *make(weir_queue_order order, size_t limit, weir_queue **ret)
{
    weir_queue_options options = {WEIR_SIZED(weir_queue_options), .order = order, .limit = limit,
                                  .drop = count_drop};

    dropped = 0;
    return weir_queue_new(&options, ret);
}

static weir_error *let_others_run(int times)
{
    for (int i = 0; i < times; i++)
        WEIR_TRY(weir_sleep(WEIR_MS(0)));
    return NULL;
}

/* One call of another task and what came of it. */
struct call {
    weir_queue *queue;
    void *item;
    weir_code code;
    bool done;
};

static weir_error *getter(void *arg)
{
    struct call *call = arg;
    weir_error *error = weir_queue_get(call->queue, &call->item);

    call->code = weir_error_code(error);
    call->done = true;
    weir_ignore(error);
    return NULL;
}

static weir_error *putter(void *arg)
{
    struct call *call = arg;
    weir_error *error = weir_queue_put(call->queue, call->item);

    call->code = weir_error_code(error);
    call->done = true;
    weir_ignore(error);
    return NULL;
}

static weir_error *joiner(void *arg)
{
    struct call *call = arg;
    weir_error *error = weir_queue_join(call->queue);

    call->code = weir_error_code(error);
    call->done = true;
    weir_ignore(error);
    return NULL;
}

static int numbers[2000];

static bool got(weir_queue *queue, int *expected)
{
    void *item = NULL;
    weir_error *error = weir_queue_try_get(queue, &item);

    weir_ignore(error);
    return !error && item == expected;
}

static weir_error *fifo_keeps_the_order_across_its_growth(void *arg)
{
    weir_auto(weir_queue) queue = NULL;
    size_t next = 0;

    (void)arg;
    CHECK_OK(make(WEIR_QUEUE_FIFO, 0, &queue));
    CHECK(weir_queue_limit(queue) == 1024 && weir_queue_empty(queue));
    for (size_t i = 0; i < 10; i++) /* so that the ring wraps around when it grows */
        CHECK_OK(weir_queue_put(queue, &numbers[i]));
    while (next < 7)
        CHECK(got(queue, &numbers[next++]));
    for (size_t i = 10; i < 1000; i++)
        CHECK_OK(weir_queue_put(queue, &numbers[i]));
    CHECK(weir_queue_count(queue) == 993);
    while (next < 1000)
        CHECK(got(queue, &numbers[next++]));
    CHECK(weir_queue_empty(queue));
    return NULL;
}

static weir_error *lifo_gives_the_last_first(void *arg)
{
    weir_auto(weir_queue) queue = NULL;

    (void)arg;
    CHECK_OK(make(WEIR_QUEUE_LIFO, 100, &queue));
    for (size_t i = 0; i < 100; i++)
        CHECK_OK(weir_queue_put(queue, &numbers[i]));
    for (size_t i = 100; i-- > 50;)
        CHECK(got(queue, &numbers[i]));
    CHECK_OK(weir_queue_put(queue, &numbers[7]));
    CHECK(got(queue, &numbers[7]));
    CHECK(got(queue, &numbers[49]));
    return NULL;
}

struct job {
    int priority;
    int number;
};

static int by_priority(const void *one, const void *other)
{
    return ((const struct job *)one)->priority - ((const struct job *)other)->priority;
}

static weir_error *priority_gives_the_least_first_and_equal_ones_in_order(void *arg)
{
    weir_queue_options options = {WEIR_SIZED(weir_queue_options), .order = WEIR_QUEUE_PRIORITY,
                                  .compare = by_priority};
    weir_auto(weir_queue) queue = NULL;
    struct job jobs[300];
    struct job last = {-1, -1};

    (void)arg;
    CHECK_OK(weir_queue_new(&options, &queue));
    for (int i = 0; i < 300; i++) {
        jobs[i] = (struct job){(i * 7919) % 10, i};
        CHECK_OK(weir_queue_put(queue, &jobs[i]));
    }
    for (int i = 0; i < 300; i++) {
        void *item;
        struct job *job;

        CHECK_OK(weir_queue_get(queue, &item));
        job = item;
        CHECK(job->priority > last.priority ||
              (job->priority == last.priority && job->number > last.number));
        last = *job;
    }
    options.compare = NULL;
    CHECK_CODE(weir_queue_new(&options, &queue), WEIR_EINVAL);
    return NULL;
}

static weir_error *put_waits_for_room_and_get_for_an_item(void *arg)
{
    weir_auto(weir_queue) queue = NULL;
    struct call put = {.item = &numbers[1]}, get = {0};
    void *item;
    WEIR_GROUP(group);

    (void)arg;
    CHECK_OK(make(WEIR_QUEUE_FIFO, 1, &queue));
    put.queue = get.queue = queue;
    CHECK_OK(weir_queue_put(queue, &numbers[0]));
    CHECK(weir_queue_full(queue));
    CHECK_CODE(weir_queue_try_put(queue, &numbers[9]), WEIR_EFULL);
    CHECK_OK(weir_group_spawn(&group, putter, &put, NULL));
    CHECK_OK(let_others_run(2));
    CHECK(!put.done && weir_queue_count(queue) == 1);
    CHECK_OK(weir_queue_get(queue, &item));
    CHECK(item == &numbers[0] && weir_queue_full(queue)); /* the putter's item is in */
    CHECK_OK(weir_queue_get(queue, &item));
    CHECK(item == &numbers[1]);
    CHECK_OK(weir_group_join(&group));
    CHECK(put.done && put.code == 0);

    CHECK_CODE(weir_queue_try_get(queue, &item), WEIR_ENOTREADY);
    CHECK_OK(weir_group_spawn(&group, getter, &get, NULL));
    CHECK_OK(let_others_run(2));
    CHECK(!get.done);
    CHECK_OK(weir_queue_try_put(queue, &numbers[2]));
    CHECK(weir_queue_empty(queue)); /* handed over */
    CHECK_OK(weir_group_join(&group));
    CHECK(get.item == &numbers[2]);
    return NULL;
}

static weir_error *T46_waiting_getters_are_served_in_order(void *arg)
{
    weir_auto(weir_queue) queue = NULL;
    struct call calls[3] = {{0}};
    WEIR_GROUP(group);

    (void)arg;
    CHECK_OK(make(WEIR_QUEUE_FIFO, 10, &queue));
    for (int i = 0; i < 3; i++) {
        calls[i].queue = queue;
        CHECK_OK(weir_group_spawn(&group, getter, &calls[i], NULL));
    }
    CHECK_OK(let_others_run(2));
    for (int i = 0; i < 3; i++)
        CHECK_OK(weir_queue_put(queue, &numbers[i]));
    CHECK_OK(weir_group_join(&group));
    for (int i = 0; i < 3; i++)
        CHECK(calls[i].item == &numbers[i]);
    return NULL;
}

static weir_error *T46_cancelled_getter_takes_nothing_or_keeps_what_it_was_given(void *arg)
{
    weir_auto(weir_queue) queue = NULL;
    struct call calls[3] = {{0}};
    weir_task *tasks[3];
    WEIR_GROUP(group);

    (void)arg;
    CHECK_OK(make(WEIR_QUEUE_FIFO, 10, &queue));
    for (int i = 0; i < 3; i++) {
        calls[i].queue = queue;
        CHECK_OK(weir_group_spawn(&group, getter, &calls[i], &tasks[i]));
    }
    CHECK_OK(let_others_run(2));
    CHECK(weir_task_cancel(tasks[0])); /* waits */
    CHECK_OK(let_others_run(1));
    CHECK_OK(weir_queue_put(queue, &numbers[0]));
    CHECK(weir_task_cancel(tasks[1])); /* was given the item in this tick */
    CHECK_OK(weir_queue_put(queue, &numbers[1]));
    CHECK_OK(weir_group_join(&group));
    CHECK(calls[0].code == WEIR_ECANCELED);
    CHECK(calls[1].code == 0 && calls[1].item == &numbers[0]);
    CHECK(calls[2].code == 0 && calls[2].item == &numbers[1]);
    CHECK(weir_queue_empty(queue));
    for (int i = 0; i < 3; i++)
        weir_task_unref(tasks[i]);
    return NULL;
}

static weir_error *T46_cancelled_putter_puts_nothing_or_has_put(void *arg)
{
    weir_auto(weir_queue) queue = NULL;
    struct call calls[3] = {{0}};
    weir_task *tasks[3];
    WEIR_GROUP(group);

    (void)arg;
    CHECK_OK(make(WEIR_QUEUE_FIFO, 1, &queue));
    CHECK_OK(weir_queue_put(queue, &numbers[9]));
    for (int i = 0; i < 3; i++) {
        calls[i].queue = queue;
        calls[i].item = &numbers[i];
        CHECK_OK(weir_group_spawn(&group, putter, &calls[i], &tasks[i]));
    }
    CHECK_OK(let_others_run(2));
    CHECK(weir_task_cancel(tasks[0]));
    CHECK_OK(let_others_run(1));
    CHECK(got(queue, &numbers[9]));
    CHECK(weir_task_cancel(tasks[1])); /* its item is in already */
    CHECK(got(queue, &numbers[1]));
    CHECK(got(queue, &numbers[2]));
    CHECK_OK(weir_group_join(&group));
    CHECK(calls[0].code == WEIR_ECANCELED && calls[1].code == 0 && calls[2].code == 0);
    CHECK(weir_queue_empty(queue));
    for (int i = 0; i < 3; i++)
        weir_task_unref(tasks[i]);
    return NULL;
}

static weir_error *join_waits_until_every_item_is_done(void *arg)
{
    weir_auto(weir_queue) queue = NULL;
    struct call join = {0};
    char text[512];
    bool done;
    WEIR_GROUP(group);

    (void)arg;
    CHECK_OK(make(WEIR_QUEUE_FIFO, 10, &queue));
    join.queue = queue;
    CHECK_OK(weir_queue_join(queue)); /* nothing was put */
    CHECK_OK(weir_queue_put(queue, &numbers[0]));
    CHECK_OK(weir_queue_put(queue, &numbers[1]));
    CHECK_OK(weir_group_spawn(&group, joiner, &join, NULL));
    CHECK(got(queue, &numbers[0]) && got(queue, &numbers[1]));
    CHECK(weir_queue_task_done(queue));
    CHECK_OK(let_others_run(2));
    CHECK(!join.done);
    CHECK(weir_queue_task_done(queue));
    CHECK_OK(weir_group_join(&group));
    CHECK(join.done && join.code == 0);
    capture_log_begin();
    done = weir_queue_task_done(queue);
    capture_log_end(text, sizeof text);
    CHECK(!done);
    CHECK(strstr(text, "weir_queue_task_done() called more often") != NULL);
    return NULL;
}

static weir_error *T46_shutdown_lets_getters_drain_the_queue(void *arg)
{
    weir_auto(weir_queue) queue = NULL;
    struct call put = {.item = &numbers[2]};
    void *item;
    WEIR_GROUP(group);

    (void)arg;
    CHECK_OK(make(WEIR_QUEUE_FIFO, 2, &queue));
    put.queue = queue;
    CHECK_OK(weir_queue_put(queue, &numbers[0]));
    CHECK_OK(weir_queue_put(queue, &numbers[1]));
    CHECK_OK(weir_group_spawn(&group, putter, &put, NULL));
    CHECK_OK(let_others_run(2));
    weir_queue_shutdown(queue, WEIR_QUEUE_DRAIN);
    CHECK_OK(weir_group_join(&group));
    CHECK(put.code == WEIR_ECLOSED);
    CHECK_CODE(weir_queue_put(queue, &numbers[3]), WEIR_ECLOSED);
    CHECK_CODE(weir_queue_try_put(queue, &numbers[3]), WEIR_ECLOSED);
    CHECK_OK(weir_queue_get(queue, &item));
    CHECK(item == &numbers[0]);
    CHECK_OK(weir_queue_try_get(queue, &item));
    CHECK(item == &numbers[1]);
    CHECK_CODE(weir_queue_get(queue, &item), WEIR_ECLOSED);
    CHECK_CODE(weir_queue_try_get(queue, &item), WEIR_ECLOSED);
    CHECK(weir_queue_task_done(queue) && weir_queue_task_done(queue));
    CHECK_OK(weir_queue_join(queue));
    CHECK(dropped == 0);
    return NULL;
}

static weir_error *T46_immediate_shutdown_drops_items_and_wakes_all(void *arg)
{
    weir_auto(weir_queue) queue = NULL;
    weir_auto(weir_queue) empty = NULL;
    struct call join = {0}, get = {0};
    void *item;
    WEIR_GROUP(group);

    (void)arg;
    CHECK_OK(make(WEIR_QUEUE_FIFO, 10, &empty));
    CHECK_OK(make(WEIR_QUEUE_FIFO, 10, &queue));
    for (int i = 0; i < 3; i++)
        CHECK_OK(weir_queue_put(queue, &numbers[i]));
    CHECK_OK(weir_queue_get(queue, &item)); /* one is worked on */
    join.queue = queue;
    get.queue = empty;
    CHECK_OK(weir_group_spawn(&group, joiner, &join, NULL));
    CHECK_OK(weir_group_spawn(&group, getter, &get, NULL));
    CHECK_OK(let_others_run(2));
    weir_queue_shutdown(queue, WEIR_QUEUE_DRAIN);
    weir_queue_shutdown(queue, WEIR_QUEUE_IMMEDIATE);
    weir_queue_shutdown(empty, WEIR_QUEUE_IMMEDIATE);
    CHECK(dropped == 2 && weir_queue_empty(queue));
    CHECK_OK(let_others_run(2));
    CHECK(get.done && get.code == WEIR_ECLOSED);
    CHECK(!join.done);
    CHECK(weir_queue_task_done(queue));
    CHECK_OK(weir_group_join(&group));
    CHECK(join.done && join.code == 0);
    CHECK_CODE(weir_queue_get(queue, &item), WEIR_ECLOSED);
    return NULL;
}

static weir_error *what_is_left_is_dropped_with_the_queue(void *arg)
{
    weir_queue *queue = NULL;

    (void)arg;
    for (int order = WEIR_QUEUE_FIFO; order <= WEIR_QUEUE_LIFO; order += 2) {
        CHECK_OK(make((weir_queue_order)order, 10, &queue));
        for (int i = 0; i < 5; i++)
            CHECK_OK(weir_queue_put(queue, &numbers[i]));
        CHECK(weir_queue_ref(queue) == queue);
        weir_queue_unref(queue);
        CHECK(dropped == 0);
        weir_queue_unref(queue);
        CHECK(dropped == 5);
    }
    return NULL;
}

static weir_error *T46_queue_lives_as_long_as_somebody_waits_in_it(void *arg)
{
    weir_queue *queue = NULL;
    struct call get = {0};
    WEIR_GROUP(group);

    (void)arg;
    CHECK_OK(make(WEIR_QUEUE_FIFO, 10, &queue));
    get.queue = queue;
    CHECK_OK(weir_group_spawn(&group, getter, &get, NULL));
    CHECK_OK(let_others_run(2));
    weir_queue_unref(queue);
    weir_group_cancel(&group);
    CHECK_OK(weir_group_join(&group));
    CHECK(get.code == WEIR_ECANCELED);
    return NULL;
}

static weir_error *growth_without_memory_leaves_the_item_with_the_caller(void *arg)
{
    weir_auto(weir_queue) queue = NULL;
    size_t failures = 0;
    void *item;

    (void)arg;
    CHECK_OK(make(WEIR_QUEUE_FIFO, WEIR_QUEUE_UNBOUNDED, &queue));
    for (int i = 0; i < 100; i++) {
        weir_error *error;

        weir__alloc_fail_nth = 1;
        error = weir_queue_put(queue, &numbers[i]);
        weir__alloc_fail_nth = 0;
        if (error) {
            failures++;
            CHECK_CODE(error, WEIR_ENOMEM);
            CHECK_OK(weir_queue_put(queue, &numbers[i]));
        }
    }
    CHECK(failures == 4); /* 16, 32, 64, 128 */
    for (int i = 0; i < 100; i++) {
        CHECK_OK(weir_queue_get(queue, &item));
        CHECK(item == &numbers[i]);
    }
    return NULL;
}

static void *use_elsewhere(void *arg)
{
    weir_queue *queue = arg;
    void *item;

    assert_code(weir_queue_try_put(queue, &numbers[0]), WEIR_ETHREAD);
    assert_code(weir_queue_try_get(queue, &item), WEIR_ETHREAD);
    (void)weir_queue_task_done(queue);
    weir_queue_shutdown(queue, WEIR_QUEUE_IMMEDIATE);
    weir_queue_unref(queue);
    return NULL;
}

static weir_error *T47_T11_queue_refuses_other_threads_but_for_unref(void *arg)
{
    weir_auto(weir_queue) queue = NULL;
    pthread_t thread;
    char text[1024];

    (void)arg;
    CHECK_OK(make(WEIR_QUEUE_FIFO, 10, &queue));
    CHECK_OK(weir_queue_put(queue, &numbers[5]));
    capture_log_begin();
    CHECK(pthread_create(&thread, NULL, use_elsewhere, weir_queue_ref(queue)) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    capture_log_end(text, sizeof text);
    CHECK(strstr(text, "bound to a different event loop") != NULL);
    CHECK_OK(let_others_run(2));
    CHECK(got(queue, &numbers[5]));
    return NULL;
}

static void queue_without_a_loop_is_refused(void **state)
{
    weir_queue *queue = NULL;

    (void)state;
    assert_code(weir_queue_new(NULL, &queue), WEIR_ETHREAD);
}

IN_LOOP(fifo_keeps_the_order_across_its_growth)
IN_LOOP(lifo_gives_the_last_first)
IN_LOOP(priority_gives_the_least_first_and_equal_ones_in_order)
IN_LOOP(put_waits_for_room_and_get_for_an_item)
IN_LOOP(T46_waiting_getters_are_served_in_order)
IN_LOOP(T46_cancelled_getter_takes_nothing_or_keeps_what_it_was_given)
IN_LOOP(T46_cancelled_putter_puts_nothing_or_has_put)
IN_LOOP(join_waits_until_every_item_is_done)
IN_LOOP(T46_shutdown_lets_getters_drain_the_queue)
IN_LOOP(T46_immediate_shutdown_drops_items_and_wakes_all)
IN_LOOP(what_is_left_is_dropped_with_the_queue)
IN_LOOP(T46_queue_lives_as_long_as_somebody_waits_in_it)
IN_LOOP(growth_without_memory_leaves_the_item_with_the_caller)
IN_LOOP(T47_T11_queue_refuses_other_threads_but_for_unref)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(fifo_keeps_the_order_across_its_growth),
        IN_LOOP_TEST(lifo_gives_the_last_first),
        IN_LOOP_TEST(priority_gives_the_least_first_and_equal_ones_in_order),
        IN_LOOP_TEST(put_waits_for_room_and_get_for_an_item),
        IN_LOOP_TEST(T46_waiting_getters_are_served_in_order),
        IN_LOOP_TEST(T46_cancelled_getter_takes_nothing_or_keeps_what_it_was_given),
        IN_LOOP_TEST(T46_cancelled_putter_puts_nothing_or_has_put),
        IN_LOOP_TEST(join_waits_until_every_item_is_done),
        IN_LOOP_TEST(T46_shutdown_lets_getters_drain_the_queue),
        IN_LOOP_TEST(T46_immediate_shutdown_drops_items_and_wakes_all),
        IN_LOOP_TEST(what_is_left_is_dropped_with_the_queue),
        IN_LOOP_TEST(T46_queue_lives_as_long_as_somebody_waits_in_it),
        IN_LOOP_TEST(growth_without_memory_leaves_the_item_with_the_caller),
        IN_LOOP_TEST(T47_T11_queue_refuses_other_threads_but_for_unref),
        ON_MAIN_TEST(queue_without_a_loop_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
