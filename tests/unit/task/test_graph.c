/* SPDX-License-Identifier: Apache-2.0 */
/* Call graphs and lists of tasks (test_graph and test_tools of asyncio as the checklist). */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/combinators.h>
#include <weir/introspection.h>
#include <weir/scope.h>

#include "core/base/symbol.h"
#include "core/task/fiber.h"
#include "tests/unit/support/support.h"

#if defined(WEIR_TSAN)
#    define MANY 500
#elif defined(WEIR_ASAN)
#    define MANY 2000
#else
#    define MANY 10000
#endif

static int inner_line, middle_line, outer_line, await_line;

/* Not inlined and not a tail call, so that each is a frame. */
static __attribute__((noinline)) weir_error *inner(weir_future *future)
{
    inner_line = __LINE__ + 1;
    WEIR_TRY(weir_await(future));
    return NULL;
}

static __attribute__((noinline)) weir_error *middle(weir_future *future)
{
    middle_line = __LINE__ + 1;
    WEIR_TRY(inner(future));
    return NULL;
}

static weir_error *outer(void *arg)
{
    outer_line = __LINE__ + 1;
    WEIR_TRY(middle(arg));
    return NULL;
}

static weir_error *await_task(void *arg)
{
    await_line = __LINE__ + 1;
    WEIR_TRY(weir_task_await(arg));
    return NULL;
}

static weir_error *graph_shows_nested_frames_and_who_awaits(void *arg)
{
    weir_auto(weir_future) f = NULL;
    weir_auto(weir_task) t = NULL;
    weir_auto(weir_task) waiter = NULL;
    weir_auto(weir_call_graph) graph = NULL;
    char text[4096], wanted[4096];

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_spawn(outer, f, &t));
    CHECK_OK(weir_spawn(await_task, t, &waiter));
    weir_task_set_name(t, "deep");
    weir_task_set_name(waiter, "waiter");
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK_OK(weir_call_graph_capture(weir_task_future(t), WEIR_CALL_GRAPH_ALL, &graph));
    CHECK(graph->is_task && strcmp(graph->function, "outer") == 0);
    CHECK(strcmp(graph->state, "pending") == 0 && graph->awaited_by_count == 1);
    CHECK(graph->frame_count == 3);
    snprintf(wanted, sizeof wanted,
             "* Task(name='deep', id=%p)\n"
             "  + Call stack:\n"
             "  |   File '%s', line %d, in inner()\n"
             "  |   File '%s', line %d, in middle()\n"
             "  |   File '%s', line %d, in outer()\n"
             "  + Awaited by:\n"
             "    * Task(name='waiter', id=%p)\n"
             "      + Call stack:\n"
             "      |   File '%s', line %d, in await_task()\n",
             (void *)t, graph->frames[0].file, inner_line, graph->frames[0].file, middle_line,
             graph->frames[0].file, outer_line, (void *)waiter, graph->frames[0].file, await_line);
    CHECK(weir_call_graph_format(graph, text, sizeof text) == strlen(wanted));
    CHECK(strcmp(text, wanted) == 0);
    CHECK(strstr(graph->frames[0].file, "test_graph.c") != NULL);
    CHECK_OK(weir_future_set_result(f, NULL, NULL));
    CHECK_OK(weir_task_await(waiter));
    return NULL;
}

static weir_error *limit_chooses_inner_or_outer_frames(void *arg)
{
    weir_auto(weir_future) f = NULL;
    weir_auto(weir_task) t = NULL;
    const char *const wanted[] = {"inner", "outer"};
    weir_call_graph *graph;

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_spawn_eager(outer, f, &t));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(weir_call_graph_capture(weir_task_future(t), i == 0 ? 1 : -1, &graph));
        EXPECT(graph->frame_count == 1 && strcmp(graph->frames[0].function, wanted[i]) == 0);
        weir_call_graph_free(graph);
    }
    CHECK_OK(weir_call_graph_capture(weir_task_future(t), 0, &graph));
    EXPECT(graph->frame_count == 0);
    weir_call_graph_free(graph);
    CHECK_OK(weir_future_set_result(f, NULL, NULL));
    CHECK_OK(weir_task_await(t));
    return NULL;
}

static __attribute__((noinline)) weir_error *capture_myself(weir_call_graph **ret)
{
    WEIR_TRY(weir_call_graph_capture(NULL, WEIR_CALL_GRAPH_ALL, ret));
    return NULL;
}

static weir_error *running_task_is_the_default(void *arg)
{
    weir_auto(weir_call_graph) graph = NULL;

    (void)arg;
    CHECK_OK(capture_myself(&graph));
    CHECK(graph->id == (uintptr_t)weir_task_current());
    CHECK(graph->frame_count == 2);
    CHECK(strcmp(graph->frames[0].function, "capture_myself") == 0);
    CHECK(strcmp(graph->frames[1].function, "running_task_is_the_default") == 0);
    return NULL;
}

static void capture_outside_of_tasks_is_refused(void **state)
{
    weir_call_graph *graph;

    (void)state;
    assert_code(weir_call_graph_capture(NULL, WEIR_CALL_GRAPH_ALL, &graph), WEIR_ENOTASK);
}

static weir_error *plain_future_is_awaited_by_all_its_waiters(void *arg)
{
    weir_auto(weir_future) f = NULL;
    weir_auto(weir_task) a = NULL;
    weir_auto(weir_task) b = NULL;
    weir_auto(weir_call_graph) graph = NULL;

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_spawn_eager(outer, f, &a));
    CHECK_OK(weir_spawn_eager(outer, f, &b));
    CHECK_OK(weir_call_graph_capture(f, WEIR_CALL_GRAPH_ALL, &graph));
    CHECK(!graph->is_task && graph->awaited_by_count == 2);
    CHECK(graph->awaited_by[0]->id == (uintptr_t)a && graph->awaited_by[1]->id == (uintptr_t)b);
    CHECK_OK(weir_future_set_result(f, NULL, NULL));
    CHECK_OK(weir_task_await(a));
    CHECK_OK(weir_task_await(b));
    return NULL;
}

static weir_error *child_of_a_group_is_awaited_by_the_groups_task(void *arg)
{
    weir_auto(weir_future) f = NULL;
    weir_task *t = NULL;
    weir_call_graph *graph = NULL;
    WEIR_GROUP(group);

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_group_spawn(&group, outer, f, &t));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK_OK(weir_call_graph_capture(weir_task_future(t), 0, &graph));
    EXPECT(graph->awaited_by_count == 1 &&
           graph->awaited_by[0]->id == (uintptr_t)weir_task_current());
    weir_call_graph_free(graph);
    CHECK_OK(weir_future_set_result(f, NULL, NULL));
    CHECK_OK(weir_group_join(&group));
    weir_task_unref(t);
    return NULL;
}

static weir_error *gather_it(void *arg)
{
    weir_future *const futures[] = {weir_task_future(arg)};

    return weir_gather_futures(futures, 1, NULL, NULL);
}

static weir_error *wait_for_it(void *arg)
{
    weir_future *const futures[] = {weir_task_future(arg)};
    size_t done = 0;

    return weir_wait(futures, 1, WEIR_FOREVER, WEIR_ALL_COMPLETED, &done);
}

static weir_error *gather_and_wait_are_edges_too(void *arg)
{
    weir_auto(weir_future) f = NULL;
    weir_auto(weir_task) t = NULL;
    weir_auto(weir_task) gathers = NULL;
    weir_auto(weir_task) waits = NULL;
    weir_auto(weir_call_graph) graph = NULL;

    (void)arg;
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_spawn_eager(outer, f, &t));
    CHECK_OK(weir_spawn_eager(gather_it, t, &gathers));
    CHECK_OK(weir_spawn_eager(wait_for_it, t, &waits));
    CHECK_OK(weir_call_graph_capture(weir_task_future(t), WEIR_CALL_GRAPH_ALL, &graph));
    CHECK(graph->awaited_by_count == 2);
    CHECK(graph->awaited_by[0]->id == (uintptr_t)gathers);
    CHECK(graph->awaited_by[1]->id == (uintptr_t)waits);
    CHECK_OK(weir_future_set_result(f, NULL, NULL));
    CHECK_OK(weir_task_await(gathers));
    CHECK_OK(weir_task_await(waits));
    return NULL;
}

static weir_error *await_other(void *arg)
{
    return weir_task_await(*(weir_task **)arg);
}

static weir_error *cycle_is_marked_and_printed_apart(void *arg)
{
    weir_task *a = NULL, *b = NULL;
    weir_call_graph *graph = NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    (void)arg;
    CHECK(file != NULL);
    CHECK_OK(weir_spawn(await_other, &b, &a));
    CHECK_OK(weir_spawn(await_other, &a, &b));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK_OK(weir_call_graph_capture(weir_task_future(a), 0, &graph));
    EXPECT(graph->awaited_by_count == 1);
    EXPECT(graph->awaited_by[0]->awaited_by_count == 1);
    EXPECT(graph->awaited_by[0]->awaited_by[0]->id == (uintptr_t)a);
    EXPECT(graph->awaited_by[0]->awaited_by[0]->cycle);
    EXPECT(graph->awaited_by[0]->awaited_by[0]->awaited_by_count == 0);
    weir_call_graph_free(graph);
    weir_loop_print_tasks(weir_loop_current(), file);
    fclose(file);
    EXPECT(strstr(text, "cycle:\n") != NULL && strstr(text, "(see above)") != NULL);
    free(text);
    CHECK(weir_task_cancel(a));
    CHECK_CODE(weir_task_await(a), WEIR_ECANCELED);
    CHECK_CODE(weir_task_await(b), WEIR_ECANCELED);
    weir_task_unref(a);
    weir_task_unref(b);
    return NULL;
}

static weir_error *tree_has_those_who_wait_above_whom_they_await(void *arg)
{
    weir_auto(weir_future) f = NULL;
    weir_auto(weir_task) t = NULL;
    weir_auto(weir_task) waiter = NULL;
    char *text = NULL, *above, *below;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    (void)arg;
    CHECK(file != NULL);
    CHECK_OK(weir_future_new(&f));
    CHECK_OK(weir_spawn(outer, f, &t));
    weir_task_set_name(t, "below");
    CHECK_OK(weir_spawn(await_task, t, &waiter));
    weir_task_set_name(waiter, "above");
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    weir_loop_print_tasks(weir_loop_current(), file);
    fclose(file);
    above = strstr(text, "└── above await_task ");
    below = strstr(text, "\n    └── below outer ");
    EXPECT(above && below && above < below);
    EXPECT(strstr(text, "inner ") != NULL);
    free(text);
    CHECK_OK(weir_future_set_result(f, NULL, NULL));
    CHECK_OK(weir_task_await(waiter));
    return NULL;
}

static weir_error *keep_busy(void *arg)
{
    for (unsigned i = 0; !*(bool *)arg; i++)
        WEIR_TRY(weir_sleep(i % 2 ? WEIR_MS(0) : WEIR_MS(1)));
    return NULL;
}

static weir_error *T96_dump_while_many_tasks_run_is_consistent(void *arg)
{
    bool stop = false;
    WEIR_GROUP(group);

    (void)arg;
    for (int i = 0; i < MANY; i++)
        CHECK_OK(weir_group_spawn(&group, keep_busy, &stop, NULL));
    for (int round = 0; round < 3; round++) {
        weir_task_list *list = NULL;
        size_t waiting = 0;

        CHECK_OK(weir_sleep(WEIR_MS(1)));
        CHECK_OK(weir_task_list_capture(weir_loop_current(), WEIR_CALL_GRAPH_ALL, &list));
        EXPECT(list->count == MANY + 1);
        for (size_t i = 1; i < list->count; i++) {
            const weir_task_info *task = &list->tasks[i];

            EXPECT(task->awaited_by_count == 1 && task->awaited_by[0] == 0);
            EXPECT(strcmp(task->function, "keep_busy") == 0);
            waiting += task->frame_count == 1 && strcmp(task->frames[0].function, "keep_busy") == 0;
        }
        EXPECT(waiting == MANY);
        weir_task_list_free(list);
    }
    stop = true;
    CHECK_OK(weir_group_join(&group));
    return NULL;
}

static int read_debug_information(void **state)
{
    void *address = (void *)(uintptr_t)keep_busy;
    struct frame frame;

    (void)state;
    return weir__symbols_find(&address, 1, false, &frame, 1) ? 0 : -1;
}

IN_LOOP(graph_shows_nested_frames_and_who_awaits)
IN_LOOP(limit_chooses_inner_or_outer_frames)
IN_LOOP(running_task_is_the_default)
IN_LOOP(plain_future_is_awaited_by_all_its_waiters)
IN_LOOP(child_of_a_group_is_awaited_by_the_groups_task)
IN_LOOP(gather_and_wait_are_edges_too)
IN_LOOP(cycle_is_marked_and_printed_apart)
IN_LOOP(tree_has_those_who_wait_above_whom_they_await)
IN_LOOP(T96_dump_while_many_tasks_run_is_consistent)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(graph_shows_nested_frames_and_who_awaits),
        IN_LOOP_TEST(limit_chooses_inner_or_outer_frames),
        IN_LOOP_TEST(running_task_is_the_default),
        ON_MAIN_TEST(capture_outside_of_tasks_is_refused),
        IN_LOOP_TEST(plain_future_is_awaited_by_all_its_waiters),
        IN_LOOP_TEST(child_of_a_group_is_awaited_by_the_groups_task),
        IN_LOOP_TEST(gather_and_wait_are_edges_too),
        IN_LOOP_TEST(cycle_is_marked_and_printed_apart),
        IN_LOOP_TEST(tree_has_those_who_wait_above_whom_they_await),
        IN_LOOP_TEST(T96_dump_while_many_tasks_run_is_consistent),
    };

    return cmocka_run_group_tests(tests, read_debug_information, NULL);
}
