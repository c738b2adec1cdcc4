/* SPDX-License-Identifier: Apache-2.0 */
/* T11 of tasks, futures, scopes, what synchronises, combinators, contexts and introspection. */
#include "config.h"

#include <string.h>

#include <weir/combinators.h>
#include <weir/introspection.h>
#include <weir/queue.h>
#include <weir/sync.h>

#include "core/task/task.h"
#include "tests/unit/support/matrix.h"

#define COS 16

/* What the rows call, made by tasks of the loop. */
static struct objects {
    weir_loop *loop;
    weir_task *holder; /* waits for `end`, inside of the scopes */
    weir_future *future, *failed;
    weir_queue *queue;
    weir_co *cos[COS];
    size_t cos_used;
    weir_as_completed *iterator;
    weir_context *context;
    weir_timeout *timeout;
    weir_shield *shield;
    weir_group *group;
    weir_event end;
    weir_lock lock;
    weir_condition condition;
    weir_semaphore semaphore;
    weir_event event;
    weir_barrier barrier;
} object;

static int ran, dropped;
static char item, value;

/* What a call that is not refused would give. */
static struct {
    void *pointer;
    size_t number;
    weir_task *task;
    weir_future *future;
    weir_queue *queue;
    weir_as_completed *iterator;
    weir_call_graph *graph;
    weir_task_list *list;
} got;

static weir_error *runs(void *arg)
{
    (void)arg;
    ran++;
    return NULL;
}

static weir_error *nothing(void *arg)
{
    (void)arg;
    return NULL;
}

static weir_error *on_done(weir_future *future, void *arg)
{
    (void)future;
    (void)arg;
    ran++;
    return NULL;
}

static void drop(void *take_value)
{
    (void)take_value;
    dropped++;
}

static void visit(weir_task *task, void *arg)
{
    (void)task;
    (void)arg;
    ran++;
}

static bool yes(void *arg)
{
    (void)arg;
    ran++;
    return true;
}

static weir_co *next_co(void)
{
    return object.cos[object.cos_used++];
}

/* About this thread's loop */

MATRIX_REFUSED(spawn, weir_spawn(runs, NULL, &got.task))
MATRIX_REFUSED(spawn_eager, weir_spawn_eager(runs, NULL, &got.task))
MATRIX_REFUSED(spawn_with, weir_spawn_with(runs, NULL, NULL, &got.task))
MATRIX_REFUSED(future_new, weir_future_new(&got.future))
MATRIX_REFUSED(queue_new, weir_queue_new(NULL, &got.queue))

static bool thread_future_wrap(void)
{
    weir_thread_future *future = NULL;
    bool refused;

    if (weir_run_coroutine_threadsafe(object.loop, nothing, NULL, NULL, &future))
        return false;
    refused = matrix_refused(weir_thread_future_wrap(future, &got.future));
    weir_thread_future_unref(future);
    return refused;
}

/* Tasks */

MATRIX_REFUSED(task_await, weir_task_await(object.holder))
MATRIX_REFUSED(foreach_task, weir_loop_foreach_task(object.loop, visit, NULL))
MATRIX_REFUSED(co_await, weir_co_await(next_co()))
MATRIX_REFUSED(co_spawn, weir_co_spawn(next_co(), &got.task))
MATRIX_REFUSED(run_until_complete, weir_loop_run_until_complete(object.loop, object.future))

static bool task_ref(void)
{
    return weir_task_ref(object.holder) == NULL;
}

static bool task_cancel(void)
{
    return !weir_task_cancel(object.holder);
}

static bool task_uncancel(void)
{
    return weir_task_uncancel(object.holder) == 0;
}

static bool task_set_name(void)
{
    weir_task_set_name(object.holder, "mine");
    return true;
}

static bool cancel_tasks(void)
{
    weir_loop_cancel_tasks(object.loop);
    return true;
}

/* Futures */

MATRIX_REFUSED(set_result, weir_future_set_result(object.future, &value, drop))
MATRIX_REFUSED(get_result, weir_future_get_result(object.future, &got.pointer))
MATRIX_REFUSED(take_result, weir_future_take_result(object.future, &got.pointer))
MATRIX_REFUSED(add_done_callback, weir_future_add_done_callback(object.future, on_done, &item))
MATRIX_REFUSED(await, weir_await(object.future))

static bool future_ref(void)
{
    return weir_future_ref(object.future) == NULL;
}

static bool set_error(void)
{
    weir_error *error = weir_raise(WEIR_EPROTOCOL, "not for you");
    bool refused = matrix_refused(weir_future_set_error(object.future, error));

    weir_ignore(error); /* it stayed */
    return refused;
}

static bool try_set_result(void)
{
    return !weir_future_try_set_result(object.future, &value, NULL);
}

static bool try_set_error(void)
{
    return !weir_future_try_set_error(object.future, weir_raise(WEIR_EPROTOCOL, "no"));
}

static bool future_cancel(void)
{
    return !weir_future_cancel(object.future);
}

static bool future_error(void)
{
    return weir_future_error(object.failed) == NULL;
}

static bool remove_done_callback(void)
{
    return weir_future_remove_done_callback(object.future, on_done, NULL) == 0;
}

/* Scopes */

MATRIX_REFUSED(group_spawn, weir_group_spawn(object.group, runs, NULL, &got.task))
MATRIX_REFUSED(group_spawn_with, weir_group_spawn_with(object.group, runs, NULL, NULL, &got.task))
MATRIX_REFUSED(group_spawn_co, weir_group_spawn_co(object.group, next_co(), &got.task))
MATRIX_REFUSED(group_next, weir_group_next(object.group, &got.task))
MATRIX_REFUSED(group_join, weir_group_join(object.group))

static bool timeout_leave(void)
{
    weir_timeout_leave(object.timeout);
    return true;
}

static bool timeout_reschedule(void)
{
    weir_timeout_reschedule(object.timeout, WEIR_NS(0));
    return true;
}

static bool timeout_reschedule_at(void)
{
    weir_timeout_reschedule_at(object.timeout, (weir_instant){0});
    return true;
}

static bool shield_leave(void)
{
    weir_shield_leave(object.shield);
    return true;
}

static bool group_leave(void)
{
    weir_group_leave(object.group);
    return true;
}

static bool group_set_policy(void)
{
    weir_group_set_policy(object.group, WEIR_GROUP_COLLECT);
    return true;
}

static bool group_cancel(void)
{
    weir_group_cancel(object.group);
    return true;
}

/* What synchronises */

MATRIX_REFUSED(lock_acquire, weir_lock_acquire(&object.lock))
MATRIX_REFUSED(event_wait, weir_event_wait(&object.event))
MATRIX_REFUSED(condition_wait, weir_condition_wait(&object.condition))
MATRIX_REFUSED(condition_wait_for, weir_condition_wait_for(&object.condition, yes, NULL))
MATRIX_REFUSED(semaphore_acquire, weir_semaphore_acquire(&object.semaphore))
MATRIX_REFUSED(barrier_wait, weir_barrier_wait(&object.barrier, &got.number))

static bool lock_try_acquire(void)
{
    return !weir_lock_try_acquire(&object.lock);
}

static bool lock_release(void)
{
    return !weir_lock_release(&object.lock);
}

static bool event_set(void)
{
    weir_event_set(&object.event);
    return true;
}

static bool event_clear(void)
{
    weir_event_clear(&object.event);
    return true;
}

static bool condition_notify(void)
{
    return !weir_condition_notify(&object.condition, 1);
}

static bool semaphore_try_acquire(void)
{
    return !weir_semaphore_try_acquire(&object.semaphore);
}

static bool semaphore_release(void)
{
    return !weir_semaphore_release(&object.semaphore);
}

static bool barrier_reset(void)
{
    weir_barrier_reset(&object.barrier);
    return true;
}

static bool barrier_abort(void)
{
    weir_barrier_abort(&object.barrier);
    return true;
}

/* Queues */

MATRIX_REFUSED(queue_put, weir_queue_put(object.queue, &item))
MATRIX_REFUSED(queue_try_put, weir_queue_try_put(object.queue, &item))
MATRIX_REFUSED(queue_get, weir_queue_get(object.queue, &got.pointer))
MATRIX_REFUSED(queue_try_get, weir_queue_try_get(object.queue, &got.pointer))
MATRIX_REFUSED(queue_join, weir_queue_join(object.queue))

static bool queue_ref(void)
{
    return weir_queue_ref(object.queue) == NULL;
}

static bool queue_task_done(void)
{
    return !weir_queue_task_done(object.queue);
}

static bool queue_shutdown(void)
{
    weir_queue_shutdown(object.queue, WEIR_QUEUE_IMMEDIATE);
    return true;
}

/* Combinators */

MATRIX_REFUSED(wait_for, weir_wait_for(next_co(), WEIR_S(1)))
MATRIX_REFUSED(gather, weir_gather(&object.cos[object.cos_used++], 1, NULL, NULL))
MATRIX_REFUSED(gather_futures, weir_gather_futures(&object.future, 1, NULL, NULL))
MATRIX_REFUSED(wait_some, weir_wait(&object.future, 1, WEIR_S(1), WEIR_ALL_COMPLETED, &got.number))
MATRIX_REFUSED(as_completed_new, weir_as_completed_new(&object.future, 1, WEIR_S(1), &got.iterator))
MATRIX_REFUSED(as_completed_next, weir_as_completed_next(object.iterator, &got.future))
MATRIX_REFUSED(shield_await, weir_shield_await(object.holder))
MATRIX_REFUSED(staggered_race, weir_staggered_race(&object.cos[object.cos_used++], 1, WEIR_S(1),
                                                   &got.number, NULL, NULL))

/* Contexts and introspection */

static bool context_ref(void)
{
    return weir_context_ref(object.context) == NULL;
}

static bool context_unref(void)
{
    weir_context_unref(object.context);
    return true;
}

static bool context_enter(void)
{
    weir_context *before = weir_context_enter(object.context);
    bool empty = weir_context_current() == NULL;

    weir_context_leave(before);
    return empty;
}

MATRIX_REFUSED(call_graph, weir_call_graph_capture(object.future, 1, &got.graph))
MATRIX_REFUSED(task_list, weir_task_list_capture(object.loop, 1, &got.list))

static bool print_tasks(void)
{
    FILE *file = fopen("/dev/null", "w");

    weir_loop_print_tasks(object.loop, file);
    fclose(file);
    return true;
}

static const struct matrix_row rows[] = {
    {"weir_spawn()", spawn, MATRIX_HERE},
    {"weir_spawn_eager()", spawn_eager, MATRIX_HERE},
    {"weir_spawn_with()", spawn_with, MATRIX_HERE},
    {"weir_future_new()", future_new, MATRIX_HERE},
    {"weir_queue_new()", queue_new, MATRIX_HERE},
    {"weir_thread_future_wrap()", thread_future_wrap, MATRIX_HERE},
    {"weir_await()", task_await, MATRIX_SUSPENDS},
    {"weir_loop_foreach_task()", foreach_task, MATRIX_REFUSES},
    {"weir_co_await()", co_await, MATRIX_REFUSES},
    {"weir_co_spawn()", co_spawn, MATRIX_REFUSES},
    {"weir_loop_run_until_complete()", run_until_complete, MATRIX_REFUSES},
    {"weir_task_ref()", task_ref, MATRIX_IGNORES},
    {"weir_task_cancel()", task_cancel, MATRIX_IGNORES},
    {"weir_task_uncancel()", task_uncancel, MATRIX_IGNORES},
    {"weir_task_set_name()", task_set_name, MATRIX_IGNORES},
    {"weir_loop_cancel_tasks()", cancel_tasks, MATRIX_IGNORES},
    {"weir_future_set_result()", set_result, MATRIX_REFUSES},
    {"weir_future_set_error()", set_error, MATRIX_REFUSES},
    {"weir_future_get_result()", get_result, MATRIX_REFUSES},
    {"weir_future_take_result()", take_result, MATRIX_REFUSES},
    {"weir_future_add_done_callback()", add_done_callback, MATRIX_REFUSES},
    {"weir_await()", await, MATRIX_SUSPENDS},
    {"weir_future_ref()", future_ref, MATRIX_IGNORES},
    {"weir_future_try_set_result()", try_set_result, MATRIX_IGNORES},
    {"weir_future_try_set_error()", try_set_error, MATRIX_IGNORES},
    {"weir_future_cancel()", future_cancel, MATRIX_IGNORES},
    {"weir_future_error()", future_error, MATRIX_IGNORES},
    {"weir_future_remove_done_callback()", remove_done_callback, MATRIX_IGNORES},
    {"weir_group_spawn()", group_spawn, MATRIX_REFUSES},
    {"weir_group_spawn_with()", group_spawn_with, MATRIX_REFUSES},
    {"weir_group_spawn_co()", group_spawn_co, MATRIX_REFUSES},
    {"weir_group_next()", group_next, MATRIX_REFUSES},
    {"weir_group_join()", group_join, MATRIX_REFUSES},
    {"weir_timeout_leave()", timeout_leave, MATRIX_IGNORES},
    {"weir_timeout_reschedule()", timeout_reschedule, MATRIX_IGNORES},
    {"weir_timeout_reschedule()", timeout_reschedule_at, MATRIX_IGNORES},
    {"weir_shield_leave()", shield_leave, MATRIX_IGNORES},
    {"weir_group_leave()", group_leave, MATRIX_IGNORES},
    {"weir_group_set_policy()", group_set_policy, MATRIX_IGNORES},
    {"weir_group_cancel()", group_cancel, MATRIX_IGNORES},
    {"weir_lock_acquire()", lock_acquire, MATRIX_SUSPENDS},
    {"weir_event_wait()", event_wait, MATRIX_SUSPENDS},
    {"weir_condition_wait()", condition_wait, MATRIX_SUSPENDS},
    {"weir_condition_wait_for()", condition_wait_for, MATRIX_REFUSES},
    {"weir_semaphore_acquire()", semaphore_acquire, MATRIX_SUSPENDS},
    {"weir_barrier_wait()", barrier_wait, MATRIX_SUSPENDS},
    {"weir_lock_try_acquire()", lock_try_acquire, MATRIX_IGNORES},
    {"weir_lock_release()", lock_release, MATRIX_IGNORES},
    {"weir_event_set()", event_set, MATRIX_IGNORES},
    {"weir_event_clear()", event_clear, MATRIX_IGNORES},
    {"weir_condition_notify()", condition_notify, MATRIX_IGNORES},
    {"weir_semaphore_try_acquire()", semaphore_try_acquire, MATRIX_IGNORES},
    {"weir_semaphore_release()", semaphore_release, MATRIX_IGNORES},
    {"weir_barrier_reset()", barrier_reset, MATRIX_IGNORES},
    {"weir_barrier_abort()", barrier_abort, MATRIX_IGNORES},
    {"weir_queue_put()", queue_put, MATRIX_SUSPENDS},
    {"weir_queue_try_put()", queue_try_put, MATRIX_REFUSES},
    {"weir_queue_get()", queue_get, MATRIX_SUSPENDS},
    {"weir_queue_try_get()", queue_try_get, MATRIX_REFUSES},
    {"weir_queue_join()", queue_join, MATRIX_SUSPENDS},
    {"weir_queue_ref()", queue_ref, MATRIX_IGNORES},
    {"weir_queue_task_done()", queue_task_done, MATRIX_IGNORES},
    {"weir_queue_shutdown()", queue_shutdown, MATRIX_IGNORES},
    {"weir_co_await()", wait_for, MATRIX_SUSPENDS},
    {"weir_co_spawn()", gather, MATRIX_SUSPENDS},
    {"weir_gather_futures()", gather_futures, MATRIX_REFUSES},
    {"weir_wait()", wait_some, MATRIX_REFUSES},
    {"weir_as_completed_new()", as_completed_new, MATRIX_REFUSES},
    {"weir_as_completed_next()", as_completed_next, MATRIX_REFUSES},
    {"weir_await()", shield_await, MATRIX_SUSPENDS},
    {"weir_co_spawn()", staggered_race, MATRIX_SUSPENDS},
    {"weir_context_ref()", context_ref, MATRIX_IGNORES},
    {"weir_context_unref()", context_unref, MATRIX_IGNORES},
    {"weir_context_enter()", context_enter, MATRIX_IGNORES},
    {"weir_call_graph_capture()", call_graph, MATRIX_REFUSES},
    {"weir_task_list_capture()", task_list, MATRIX_REFUSES},
    {"weir_task_list_capture()", print_tasks, MATRIX_REFUSES},
};

/* The objects */

static weir_error *hold(void *arg)
{
    WEIR_TIMEOUT(timeout, WEIR_S(60));
    WEIR_SHIELD(shield, WEIR_S(60));
    WEIR_GROUP(group);

    (void)arg;
    object.timeout = &timeout;
    object.shield = &shield;
    object.group = &group;
    CHECK_OK(weir_event_wait(&object.end));
    CHECK(weir_timeout_when(&timeout).ns > weir_now().ns);
    CHECK(!weir_timeout_expired(&timeout));
    {
        WEIR_TIMEOUT(inner, WEIR_S(60)); /* the scopes are as they were */
        CHECK_OK(weir_group_spawn(&group, runs, NULL, NULL));
    }
    CHECK_OK(weir_group_join(&group));
    return NULL;
}

static weir_error *make_synchronisers(void)
{
    weir_lock_init(&object.lock);
    weir_condition_init(&object.condition, &object.lock);
    weir_semaphore_init_bounded(&object.semaphore, 2);
    weir_event_init(&object.event);
    weir_event_init(&object.end);
    weir_barrier_init(&object.barrier, 2);
    CHECK_OK(weir_lock_acquire(&object.lock));
    CHECK(weir_condition_notify(&object.condition, 1));
    CHECK_OK(weir_semaphore_acquire(&object.semaphore));
    weir_event_clear(&object.event);
    weir_barrier_reset(&object.barrier);
    CHECK_OK(weir_queue_new(NULL, &object.queue));
    CHECK_OK(weir_queue_put(object.queue, &item));
    return NULL;
}

static weir_error *set_up(void *arg)
{
    static weir_context_var var = WEIR_CONTEXT_VAR("matrix", NULL);

    (void)arg;
    object = (struct objects){.loop = weir_loop_current()};
    ran = dropped = 0;
    CHECK_OK(make_synchronisers());
    CHECK_OK(weir_future_new(&object.future));
    CHECK_OK(weir_future_add_done_callback(object.future, on_done, NULL));
    CHECK_OK(weir_future_new(&object.failed));
    CHECK_OK(weir_future_set_error(object.failed, weir_raise(WEIR_EPROTOCOL, "its own")));
    CHECK_OK(weir_as_completed_new(&object.future, 1, WEIR_FOREVER, &object.iterator));
    CHECK_OK(weir_context_set(&var, &value, NULL));
    object.context = weir_context_current();
    CHECK(weir_context_reset(&var));
    CHECK_OK(weir_spawn(hold, NULL, &object.holder));
    CHECK_OK(weir_sleep(WEIR_NS(0)));
    CHECK(object.group != NULL);
    for (size_t i = 0; i < COS; i++)
        object.cos[i] = weir_co(runs, NULL);
    return NULL;
}

static weir_error *unharmed_synchronisers(void)
{
    CHECK(weir_lock_locked(&object.lock));
    CHECK(weir_semaphore_value(&object.semaphore) == 1);
    CHECK(!weir_event_is_set(&object.event));
    CHECK(!weir_barrier_broken(&object.barrier) && weir_barrier_waiting(&object.barrier) == 0);
    CHECK(weir_queue_count(object.queue) == 1);
    CHECK_OK(weir_queue_try_get(object.queue, &got.pointer));
    CHECK(got.pointer == &item);
    CHECK(weir_queue_task_done(object.queue));
    return NULL;
}

static weir_error *unharmed(void *arg)
{
    char *found = NULL;

    (void)arg;
    CHECK(ran == 0 && dropped == 0);
    CHECK_OK(unharmed_synchronisers());
    CHECK(!weir_task_done(object.holder) && weir_task_cancelling(object.holder) == 0);
    CHECK(strncmp(weir_task_name(object.holder), "Task-", 5) == 0);
    CHECK(object.holder->future.refs == 2); /* ours and its own */
    CHECK(object.future->refs == 2);        /* ours and the iterator's */
    CHECK(!weir_future_done(object.future));
    CHECK(!object.failed->error_seen);
    CHECK_OK(weir_future_set_result(object.future, &value, drop));
    CHECK_OK(weir_as_completed_next(object.iterator, &got.future));
    CHECK(got.future == object.future);
    weir_future_unref(WEIR_TAKE(got.future));
    CHECK_OK(weir_future_get_result(object.future, (void **)&found));
    CHECK(found == &value);
    CHECK_OK(weir_sleep(WEIR_NS(0)));
    CHECK(ran == 1); /* the one done callback */
    return NULL;
}

static weir_error *tear_down(void *arg)
{
    (void)arg;
    CHECK(weir_future_error(object.failed) != NULL);
    weir_event_set(&object.end);
    CHECK_OK(weir_task_await(object.holder));
    CHECK(ran == 2); /* and the child */
    weir_task_unref(object.holder);
    weir_as_completed_free(object.iterator);
    weir_future_unref(object.future);
    weir_future_unref(object.failed);
    weir_queue_unref(object.queue);
    weir_context_unref(object.context);
    CHECK(dropped == 1);
    while (object.cos_used < COS)
        weir_co_discard(next_co());
    return NULL;
}

static const struct matrix matrix = {rows, sizeof(rows) / sizeof(rows[0]), set_up, unharmed,
                                     tear_down};

MATRIX_TESTS(tasks, &matrix)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_MAIN_TEST(T11_B2_tasks_in_release_mode_with_the_loop_stopped),
        ON_MAIN_TEST(T11_B2_tasks_in_release_mode_with_the_loop_running),
        ON_MAIN_TEST(T11_B2_tasks_in_debug_mode_with_the_loop_stopped),
        ON_MAIN_TEST(T11_B2_tasks_in_debug_mode_with_the_loop_running),
    };

    return cmocka_run_group_tests_name("thread matrix of tasks", tests, NULL, NULL);
}
