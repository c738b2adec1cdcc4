/* SPDX-License-Identifier: Apache-2.0 */
/* Eager spawns, names, options, lists of tasks (test_eager_task_factory's checklist). Names are claims. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weir/scope.h>
#include <weir/task.h>

#include "core/base/symbol.h"
#include "tests/unit/support/support.h"

static int turns; /* of the loop, while a task counts them */

static weir_error *count_turns(void *arg)
{
    (void)arg;
    for (;;) {
        turns++;
        WEIR_TRY(weir_sleep(WEIR_MS(0)));
    }
}

static weir_error *add_one(void *arg)
{
    ++*(int *)arg;
    return NULL;
}

static weir_error *eager_body_that_does_not_suspend_is_done_without_a_turn_of_the_loop(void *arg)
{
    weir_auto(weir_task) t = NULL;
    int n = 0;

    (void)arg;
    turns = 0;
    CHECK_OK(weir_spawn(count_turns, NULL, NULL));
    CHECK_OK(weir_spawn_eager(add_one, &n, &t));
    CHECK(n == 1 && weir_task_done(t) && turns == 0);
    CHECK_OK(weir_task_await(t)); /* done: no suspension either */
    CHECK(turns == 0);
    return NULL;
}

struct stages {
    int stage;
    weir_task *inner, *outer;
    weir_future *future;
};

static weir_error *suspend_in_the_middle(void *arg)
{
    struct stages *stages = arg;

    stages->inner = weir_task_current();
    stages->stage = 1;
    WEIR_TRY(weir_sleep(WEIR_MS(0)));
    stages->stage = 2;
    return NULL;
}

static weir_error *eager_body_runs_up_to_its_first_suspension(void *arg)
{
    weir_auto(weir_task) t = NULL;
    weir_task *me = weir_task_current();
    struct stages stages = {0};

    (void)arg;
    CHECK_OK(weir_spawn_eager(suspend_in_the_middle, &stages, &t));
    CHECK(stages.stage == 1 && !weir_task_done(t));
    CHECK(stages.inner == t);         /* it was the current task meanwhile */
    CHECK(weir_task_current() == me); /* and now I am again */
    CHECK_OK(weir_task_await(t));
    CHECK(stages.stage == 2);
    return NULL;
}

static weir_error *spawn_one_more(void *arg)
{
    struct stages *stages = arg;

    CHECK_OK(weir_spawn_eager(suspend_in_the_middle, stages, &stages->outer));
    CHECK(stages->stage == 1);
    WEIR_TRY(weir_task_await(stages->outer));
    return NULL;
}

static weir_error *eager_spawns_nest(void *arg)
{
    weir_auto(weir_task) t = NULL;
    struct stages stages = {0};

    (void)arg;
    CHECK_OK(weir_spawn_eager(spawn_one_more, &stages, &t));
    CHECK(stages.stage == 1 && stages.inner == stages.outer);
    CHECK_OK(weir_task_await(t));
    CHECK(stages.stage == 2);
    weir_task_unref(stages.outer);
    return NULL;
}

static weir_error *fail_at_once(void *arg)
{
    (void)arg;
    return weir_raise(EIO, "at once");
}

static weir_error *error_of_an_eager_body_is_that_of_the_task_not_of_the_spawn(void *arg)
{
    weir_auto(weir_task) t = NULL;

    (void)arg;
    CHECK_OK(weir_spawn_eager(fail_at_once, NULL, &t));
    CHECK(weir_task_done(t));
    CHECK_CODE(weir_task_await(t), EIO);
    CHECK_OK(weir_spawn_eager(fail_at_once, NULL, NULL));
    CHECK(reports() == 1); /* H1: nobody can take it */
    return NULL;
}

static weir_error *sleep_for_ever(void *arg)
{
    ((struct stages *)arg)->stage = 1;
    return weir_sleep(WEIR_FOREVER);
}

static weir_error *cancel_of_an_eager_task(void *arg)
{
    weir_auto(weir_task) done = NULL;
    weir_auto(weir_task) blocked = NULL;
    struct stages stages = {0};
    int n = 0;

    (void)arg;
    CHECK_OK(weir_spawn_eager(add_one, &n, &done));
    CHECK(!weir_task_cancel(done)); /* too late */
    CHECK_OK(weir_task_await(done));
    CHECK_OK(weir_spawn_eager(sleep_for_ever, &stages, &blocked));
    CHECK(weir_task_cancel(blocked));
    CHECK_CODE(weir_task_await(blocked), WEIR_ECANCELED);
    CHECK(stages.stage == 1);
    return NULL;
}

static weir_error *finish_my_future(void *arg)
{
    struct stages *stages = arg;

    return weir_future_set_result(stages->future, NULL, NULL);
}

static weir_error *eager_task_completes_what_its_spawner_then_awaits(void *arg)
{
    weir_auto(weir_future) f = NULL;
    struct stages stages = {0};

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    stages.future = f;
    CHECK_OK(weir_spawn_eager(finish_my_future, &stages, NULL));
    CHECK(weir_future_done(f));
    CHECK_OK(weir_await(f));
    return NULL;
}

static weir_error *await_the_parent(void *arg)
{
    return weir_task_await(arg);
}

static weir_error *spawn_who_awaits_me(void *arg)
{
    return weir_spawn_eager(await_the_parent, weir_task_current(), (weir_task **)arg);
}

static weir_error *eager_child_may_await_its_spawner(void *arg)
{
    weir_auto(weir_task) parent = NULL;
    weir_task *child = NULL;

    (void)arg;
    CHECK_OK(weir_spawn(spawn_who_awaits_me, &child, &parent));
    CHECK_OK(weir_task_await(parent));
    CHECK_OK(weir_task_await(child));
    weir_task_unref(child);
    return NULL;
}

static weir_error *eager_spawn_in_a_callback(void *arg)
{
    struct stages *stages = arg;
    weir_error *error = weir_spawn_eager(suspend_in_the_middle, stages, &stages->outer);

    EXPECT(stages->stage == 1);
    EXPECT(weir_task_current() == NULL);
    return error;
}

static weir_error *eager_spawn_works_outside_of_tasks(void *arg)
{
    struct stages stages = {0};

    (void)arg;
    CHECK_OK(
        weir_loop_call_soon(weir_loop_current(), eager_spawn_in_a_callback, &stages, NULL, NULL));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK_OK(weir_task_await(stages.outer));
    CHECK(stages.stage == 2);
    weir_task_unref(stages.outer);
    return NULL;
}

static weir_error *nested_stacks(void *arg)
{
    int depth = *(int *)arg - 1;

    if (depth > 0) {
        weir_auto(weir_task) t = NULL;

        WEIR_TRY(weir_spawn_eager(nested_stacks, &depth, &t));
        WEIR_TRY(weir_task_await(t));
    }
    return weir_sleep(WEIR_MS(0));
}

static weir_error *hundred_nested_eager_spawns_use_a_stack_each(void *arg)
{
    weir_auto(weir_task) t = NULL;
    int depth = 100;

    (void)arg;
    CHECK_OK(weir_spawn_eager(nested_stacks, &depth, &t));
    CHECK_OK(weir_task_await(t));
    return NULL;
}

static weir_error *options_name_a_task(void *arg)
{
    weir_auto(weir_task) t = NULL;
    weir_spawn_options options = {WEIR_SIZED(weir_spawn_options), .name = "reader", .eager = true};
    struct stages stages = {0};

    (void)arg;
    CHECK_OK(weir_spawn_with(suspend_in_the_middle, &stages, &options, &t));
    CHECK(stages.stage == 1);
    CHECK(strcmp(weir_task_name(t), "reader") == 0);
    CHECK_OK(weir_task_await(t));
    return NULL;
}

static weir_error *default_names_count_up(void *arg)
{
    weir_auto(weir_task) a = NULL;
    weir_auto(weir_task) b = NULL;
    unsigned long first, second;
    int n = 0;

    (void)arg;
    CHECK_OK(weir_spawn(add_one, &n, &a));
    CHECK_OK(weir_spawn(add_one, &n, &b));
    CHECK(sscanf(weir_task_name(a), "Task-%lu", &first) == 1);
    CHECK(sscanf(weir_task_name(b), "Task-%lu", &second) == 1);
    CHECK(second > first); /* blocks of numbers may end between */
    CHECK_OK(weir_task_await(a));
    CHECK_OK(weir_task_await(b));
    return NULL;
}

static void note_task(weir_task *task, void *arg)
{
    struct stages *stages = arg;

    stages->stage++;
    if (task == weir_task_current())
        stages->outer = task;
    else
        stages->inner = task;
}

static weir_error *all_tasks_of_a_loop_are_those_that_are_not_done(void *arg)
{
    weir_auto(weir_task) t = NULL;
    struct stages stages = {0}, other = {0};
    int n = 0;

    (void)arg;
    CHECK_OK(weir_spawn_eager(add_one, &n, NULL)); /* done */
    CHECK_OK(weir_spawn_eager(suspend_in_the_middle, &other, &t));
    CHECK(weir_loop_task_count(weir_loop_current()) == 2);
    CHECK_OK(weir_loop_foreach_task(weir_loop_current(), note_task, &stages));
    CHECK(stages.stage == 2 && stages.outer == weir_task_current() && stages.inner == t);
    CHECK_OK(weir_task_await(t));
    CHECK(weir_loop_task_count(weir_loop_current()) == 1);
    return NULL;
}

/* Debug information stays open once a report has read it. */
static int read_debug_information(void **state)
{
    void *address = (void *)(uintptr_t)count_turns;
    struct frame frame;

    (void)state;
    return weir__symbols_find(&address, 1, false, &frame, 1) ? 0 : -1;
}

IN_LOOP(eager_body_that_does_not_suspend_is_done_without_a_turn_of_the_loop)
IN_LOOP(eager_body_runs_up_to_its_first_suspension)
IN_LOOP(eager_spawns_nest)
IN_LOOP(error_of_an_eager_body_is_that_of_the_task_not_of_the_spawn)
IN_LOOP(cancel_of_an_eager_task)
IN_LOOP(eager_task_completes_what_its_spawner_then_awaits)
IN_LOOP(eager_child_may_await_its_spawner)
IN_LOOP(eager_spawn_works_outside_of_tasks)
IN_LOOP(hundred_nested_eager_spawns_use_a_stack_each)
IN_LOOP(options_name_a_task)
IN_LOOP(default_names_count_up)
IN_LOOP(all_tasks_of_a_loop_are_those_that_are_not_done)

static weir_error *T38_eager_children_run_inside_of_their_spawn(void *arg)
{
    weir_spawn_options options = {WEIR_SIZED(weir_spawn_options), .name = "quick", .eager = true};
    weir_auto(weir_task) done = NULL;
    weir_auto(weir_task) given = NULL;
    int n = 0;
    WEIR_GROUP(group);

    (void)arg;
    turns = 0;
    CHECK_OK(weir_group_spawn_with(&group, count_turns, NULL, NULL, NULL));
    CHECK_OK(weir_group_spawn_with(&group, add_one, &n, &options, NULL));
    CHECK(n == 1);
    CHECK_OK(weir_group_spawn_with(&group, add_one, &n, &options, &done));
    CHECK(n == 2 && turns == 0 && weir_task_done(done));
    CHECK(strcmp(weir_task_name(done), "quick") == 0);
    CHECK_OK(weir_group_next(&group, &given));
    CHECK(given == done && turns == 0);
    weir_group_cancel(&group);
    CHECK_OK(weir_group_join(&group));
    return NULL;
}

static weir_error *fails_at_once(void *arg)
{
    (void)arg;
    return weir_raise(WEIR_EPROTOCOL, "at once");
}

static weir_error *T38_error_of_an_eager_child_is_the_next_of_the_body(void *arg)
{
    weir_spawn_options options = {WEIR_SIZED(weir_spawn_options), .eager = true};
    WEIR_GROUP(group);

    (void)arg;
    CHECK_OK(weir_group_spawn_with(&group, fails_at_once, NULL, &options, NULL));
    CHECK_CODE(weir_sleep(WEIR_MS(0)), WEIR_EPROTOCOL);
    CHECK_CODE(weir_group_spawn_with(&group, fails_at_once, NULL, &options, NULL), WEIR_EPROTOCOL);
    CHECK_CODE(weir_group_join(&group), WEIR_EPROTOCOL);
    return NULL;
}

IN_LOOP(T38_eager_children_run_inside_of_their_spawn)
IN_LOOP(T38_error_of_an_eager_child_is_the_next_of_the_body)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(eager_body_that_does_not_suspend_is_done_without_a_turn_of_the_loop),
        IN_LOOP_TEST(eager_body_runs_up_to_its_first_suspension),
        IN_LOOP_TEST(eager_spawns_nest),
        IN_LOOP_TEST(error_of_an_eager_body_is_that_of_the_task_not_of_the_spawn),
        IN_LOOP_TEST(cancel_of_an_eager_task),
        IN_LOOP_TEST(eager_task_completes_what_its_spawner_then_awaits),
        IN_LOOP_TEST(eager_child_may_await_its_spawner),
        IN_LOOP_TEST(eager_spawn_works_outside_of_tasks),
        IN_LOOP_TEST(hundred_nested_eager_spawns_use_a_stack_each),
        IN_LOOP_TEST(options_name_a_task),
        IN_LOOP_TEST(T38_eager_children_run_inside_of_their_spawn),
        IN_LOOP_TEST(T38_error_of_an_eager_child_is_the_next_of_the_body),
        IN_LOOP_TEST(default_names_count_up),
        IN_LOOP_TEST(all_tasks_of_a_loop_are_those_that_are_not_done),
    };

    return cmocka_run_group_tests(tests, read_debug_information, NULL);
}
