/* SPDX-License-Identifier: Apache-2.0 */
/* Task-local context: inheritance by snapshot, callbacks, other threads. Names are claims. */
#include "config.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <weir/context.h>
#include <weir/task.h>

#include "tests/unit/support/support.h"

static weir_context_var request = WEIR_CONTEXT_VAR("request", "none");
static weir_context_var user = WEIR_CONTEXT_VAR("user", NULL);
static int drops;

static void *copy_text(const void *text)
{
    return strdup(text);
}

static weir_context_var carried = WEIR_CONTEXT_VAR_COPIED("carried", NULL, copy_text, free);

static void count_drop(void *value)
{
    (void)value;
    drops++;
}

static bool is(const weir_context_var *var, const char *text)
{
    const char *value = weir_context_get(var);

    return value && strcmp(value, text) == 0;
}

static weir_error *variable_has_its_initial_value_until_it_is_set(void *arg)
{
    (void)arg;
    CHECK(is(&request, "none"));
    CHECK(weir_context_get(&user) == NULL);
    CHECK_OK(weir_context_set(&request, "r1", NULL));
    CHECK(is(&request, "r1") && weir_context_get(&user) == NULL);
    CHECK(weir_context_reset(&request));
    CHECK(is(&request, "none"));
    CHECK(!weir_context_reset(&request));
    return NULL;
}

static weir_error *change_in_the_child(void *arg)
{
    (void)arg;
    CHECK(is(&request, "parent"));
    CHECK_OK(weir_context_set(&request, "child", NULL));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(is(&request, "child"));
    return NULL;
}

static weir_error *child_inherits_a_snapshot(void *arg)
{
    weir_auto(weir_task) t = NULL;
    weir_auto(weir_task) u = NULL;

    (void)arg;
    CHECK_OK(weir_context_set(&request, "parent", NULL));
    CHECK_OK(weir_spawn(change_in_the_child, NULL, &t));
    CHECK_OK(weir_spawn_eager(change_in_the_child, NULL, &u));
    CHECK(is(&request, "parent"));                       /* the eager child's own is swapped out */
    CHECK_OK(weir_context_set(&request, "later", NULL)); /* not seen by the first */
    CHECK_OK(weir_task_await(t));
    CHECK_OK(weir_task_await(u));
    CHECK(is(&request, "later"));
    return NULL;
}

static weir_error *nothing(void *arg)
{
    (void)arg;
    return weir_sleep(WEIR_MS(0));
}

static weir_error *value_is_dropped_with_the_last_snapshot(void *arg)
{
    weir_auto(weir_task) t = NULL;

    (void)arg;
    drops = 0;
    CHECK_OK(weir_context_set(&request, "a", count_drop));
    CHECK_OK(weir_context_set(&request, "b", count_drop));
    CHECK(drops == 1); /* nobody else had "a" */
    CHECK_OK(weir_spawn(nothing, NULL, &t));
    CHECK_OK(weir_context_set(&request, "c", count_drop));
    CHECK(drops == 1); /* the child has "b" */
    CHECK_OK(weir_task_await(t));
    CHECK(drops == 2);
    CHECK(weir_context_reset(&request));
    CHECK(drops == 3);
    return NULL;
}

static weir_error *look(void *arg)
{
    *(bool *)arg = is(&request, "scheduled");
    return NULL;
}

static weir_error *look_at_the_end(weir_future *future, void *arg)
{
    (void)future;
    return look(arg);
}

static weir_error *callbacks_run_in_the_context_of_their_scheduling(void *arg)
{
    weir_auto(weir_future) f = NULL;
    bool soon = false, later = false, done = false;
    weir_loop *loop = weir_loop_current();

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_context_set(&request, "scheduled", NULL));
    CHECK_OK(weir_loop_call_soon(loop, look, &soon, NULL, NULL));
    CHECK_OK(weir_loop_call_later(loop, WEIR_MS(1), look, &later, NULL, NULL));
    CHECK_OK(weir_future_add_done_callback(f, look_at_the_end, &done));
    CHECK_OK(weir_context_set(&request, "changed", NULL));
    CHECK_OK(weir_future_set_result(f, NULL, NULL));
    CHECK_OK(weir_sleep(WEIR_MS(5)));
    CHECK(soon && later && done);
    CHECK(is(&request, "changed"));
    return NULL;
}

static weir_error *expect_other(void *arg)
{
    (void)arg;
    CHECK(is(&request, "other"));
    return NULL;
}

static weir_error *task_may_be_started_in_another_context(void *arg)
{
    weir_auto(weir_context) other = NULL;
    weir_auto(weir_task) t = NULL;
    weir_spawn_options options = {WEIR_SIZED(weir_spawn_options)};

    (void)arg;
    CHECK_OK(weir_context_set(&request, "other", NULL));
    other = weir_context_current();
    CHECK_OK(weir_context_set(&request, "mine", NULL));
    options.context = other;
    CHECK_OK(weir_spawn_with(expect_other, NULL, &options, &t));
    CHECK_OK(weir_task_await(t));
    CHECK(is(&request, "mine"));
    return NULL;
}

struct crossing {
    weir_context *context;
    bool carried, left_behind, gone;
};

static void *other_thread(void *arg)
{
    struct crossing *crossing = arg;
    weir_context *before = weir_context_enter(WEIR_TAKE(crossing->context));

    crossing->carried = is(&carried, "across");
    crossing->left_behind = is(&request, "none");
    weir_context_leave(before);
    crossing->gone = weir_context_get(&carried) == NULL;
    return NULL;
}

static weir_error *copy_crosses_to_another_thread(void *arg)
{
    struct crossing crossing = {0};
    pthread_t thread;

    (void)arg;
    CHECK_OK(weir_context_set(&request, "stays", NULL));
    CHECK_OK(weir_context_copy(&crossing.context));
    CHECK(crossing.context == NULL); /* nothing to carry */
    CHECK_OK(weir_context_set(&carried, "across", NULL));
    CHECK_OK(weir_context_copy(&crossing.context));
    CHECK(crossing.context != NULL);
    CHECK(pthread_create(&thread, NULL, other_thread, &crossing) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(crossing.carried && crossing.left_behind && crossing.gone);
    return NULL;
}

IN_LOOP(variable_has_its_initial_value_until_it_is_set)
IN_LOOP(child_inherits_a_snapshot)
IN_LOOP(value_is_dropped_with_the_last_snapshot)
IN_LOOP(callbacks_run_in_the_context_of_their_scheduling)
IN_LOOP(task_may_be_started_in_another_context)
IN_LOOP(copy_crosses_to_another_thread)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(variable_has_its_initial_value_until_it_is_set),
        IN_LOOP_TEST(child_inherits_a_snapshot),
        IN_LOOP_TEST(value_is_dropped_with_the_last_snapshot),
        IN_LOOP_TEST(callbacks_run_in_the_context_of_their_scheduling),
        IN_LOOP_TEST(task_may_be_started_in_another_context),
        IN_LOOP_TEST(copy_crosses_to_another_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
