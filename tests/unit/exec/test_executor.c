/* SPDX-License-Identifier: Apache-2.0 */
/* Thread pools (T49; runtime-semantics D9). Jobs meet at a gate instead of sleeping. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include <weir/executor.h>
#include <weir/scope.h>

#include "tests/unit/support/support.h"

/* Jobs that entered wait until it opens. */
static struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int inside;
    bool open;
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false};

static atomic_int drops, ran, saw_cancel;

static void reset(void)
{
    gate.inside = 0;
    gate.open = false;
    atomic_store(&drops, 0);
    atomic_store(&ran, 0);
    atomic_store(&saw_cancel, 0);
}

static void open_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void wait_for_inside(int count)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.inside < count)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

static weir_error *pass_gate(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&gate.lock);
    gate.inside++;
    pthread_cond_broadcast(&gate.changed);
    while (!gate.open)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    atomic_fetch_add(&ran, 1);
    return NULL;
}

static void count_drop(void *value)
{
    (void)value;
    atomic_fetch_add(&drops, 1);
}

static weir_error *increment(void *arg)
{
    ++*(int *)arg;
    atomic_fetch_add(&ran, 1);
    return NULL;
}

static weir_error *give_value(void *arg)
{
    weir_job_set_result(arg, count_drop);
    return NULL;
}

static weir_error *fails(void *arg)
{
    (void)arg;
    return weir_raise(ENOENT, "no luck in %s", "the thread");
}

static weir_error *spin_until_cancelled(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&gate.lock);
    gate.inside++;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
    while (!weir_job_cancelled())
        sched_yield();
    atomic_fetch_add(&saw_cancel, 1);
    return NULL;
}

static weir_error *new_executor(unsigned threads, size_t queue, bool reject, weir_executor **ret)
{
    weir_executor_options options = {
        WEIR_SIZED(weir_executor_options), .name = "test", .threads = threads, .queue = queue,
        .reject_when_full = reject,
    };

    reset();
    return weir_executor_new(&options, ret);
}

static weir_error *end_executor(weir_executor *executor)
{
    open_gate();
    return weir_executor_shutdown(executor, WEIR_S(60));
}

static weir_error *call_runs_with_an_argument_on_the_stack(void *arg)
{
    weir_auto(weir_executor) e = NULL;
    int number = 1;

    (void)arg;
    CHECK_OK(new_executor(2, 0, false, &e));
    CHECK_OK(weir_executor_call(e, increment, &number));
    CHECK(number == 2);
    CHECK_CODE(weir_executor_call(e, fails, NULL), ENOENT);
    CHECK_OK(end_executor(e));
    return NULL;
}

static weir_error *submit_gives_a_future_with_the_value(void *arg)
{
    weir_auto(weir_executor) e = NULL;
    weir_auto(weir_future) f = NULL;
    void *value = NULL;
    int number = 1;

    (void)arg;
    CHECK_OK(new_executor(1, 0, false, &e));
    CHECK_OK(weir_executor_submit(e, give_value, &number, NULL, &f));
    CHECK_OK(weir_await(f));
    CHECK_OK(weir_future_take_result(f, &value));
    CHECK(value == &number);
    CHECK(atomic_load(&drops) == 0);
    CHECK_OK(end_executor(e));
    return NULL;
}

static weir_error *argument_of_a_submit_is_dropped_after_its_job(void *arg)
{
    weir_auto(weir_executor) e = NULL;
    weir_auto(weir_future) f = NULL;

    (void)arg;
    CHECK_OK(new_executor(1, 0, false, &e));
    CHECK_OK(weir_executor_submit(e, fails, &drops, count_drop, &f));
    CHECK_CODE(weir_await(f), ENOENT);
    CHECK(atomic_load(&drops) == 1);
    CHECK_OK(end_executor(e));
    return NULL;
}

static weir_error *abandoned_submit_runs_and_leaves_nothing(void *arg)
{
    weir_auto(weir_executor) e = NULL;

    (void)arg;
    CHECK_OK(new_executor(1, 0, false, &e));
    CHECK_OK(weir_executor_submit(e, give_value, &drops, count_drop, NULL));
    CHECK_OK(end_executor(e));
    CHECK_OK(weir_sleep(WEIR_MS(1)));
    CHECK(atomic_load(&drops) == 2 || atomic_load(&drops) == 1);
    return NULL;
}

static weir_error *cancelled_future_removes_a_queued_job(void *arg)
{
    weir_auto(weir_executor) e = NULL;
    weir_auto(weir_future) f = NULL;
    int number = 1;

    (void)arg;
    CHECK_OK(new_executor(1, 0, false, &e));
    CHECK_OK(weir_executor_submit(e, pass_gate, NULL, NULL, NULL));
    wait_for_inside(1);
    CHECK_OK(weir_executor_submit(e, increment, &number, count_drop, &f));
    CHECK(weir_future_cancel(f));
    CHECK(atomic_load(&drops) == 1);
    CHECK_CODE(weir_await(f), WEIR_ECANCELED);
    CHECK_OK(end_executor(e));
    CHECK(number == 1);
    return NULL;
}

static weir_error *cancelled_future_of_a_running_job_asks_it_and_drops_its_outcome(void *arg)
{
    weir_auto(weir_executor) e = NULL;
    weir_auto(weir_future) f = NULL;

    (void)arg;
    CHECK_OK(new_executor(1, 0, false, &e));
    CHECK_OK(weir_executor_submit(e, spin_until_cancelled, &drops, count_drop, &f));
    wait_for_inside(1);
    CHECK(weir_future_cancel(f));
    CHECK(weir_future_cancelled(f));
    CHECK_OK(end_executor(e));
    CHECK(atomic_load(&saw_cancel) == 1);
    CHECK_OK(weir_sleep(WEIR_MS(1)));
    CHECK(atomic_load(&drops) == 1);
    return NULL;
}

struct call {
    weir_executor *executor;
    weir_fn fn;
    int number;
    weir_code code, after;
};

static weir_error *make_call(void *arg)
{
    struct call *call = arg;
    weir_error *error = weir_executor_call(call->executor, call->fn, &call->number);

    call->code = weir_error_code(error);
    weir_error_unref(error);
    error = weir_check_cancelled();
    call->after = weir_error_code(error);
    weir_error_unref(error);
    return NULL;
}

static weir_error *cancelled_call_of_a_queued_job_never_ran(void *arg)
{
    weir_auto(weir_executor) e = NULL;
    weir_auto(weir_task) t = NULL;
    struct call call = {.fn = increment};

    (void)arg;
    CHECK_OK(new_executor(1, 0, false, &e));
    call.executor = e;
    CHECK_OK(weir_executor_submit(e, pass_gate, NULL, NULL, NULL));
    wait_for_inside(1);
    CHECK_OK(weir_spawn(make_call, &call, &t));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(t));
    CHECK_OK(weir_task_await(t));
    CHECK(call.code == WEIR_ECANCELED && call.number == 0);
    CHECK_OK(end_executor(e));
    CHECK(call.number == 0);
    return NULL;
}

static weir_error *cancelled_call_of_a_running_job_returns_with_its_outcome(void *arg)
{
    weir_auto(weir_executor) e = NULL;
    weir_auto(weir_task) t = NULL;
    struct call call = {.fn = spin_until_cancelled};

    (void)arg;
    CHECK_OK(new_executor(1, 0, false, &e));
    call.executor = e;
    CHECK_OK(weir_spawn(make_call, &call, &t));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    wait_for_inside(1);
    CHECK(weir_task_cancel(t));
    CHECK_OK(weir_task_await(t));
    CHECK(atomic_load(&saw_cancel) == 1);
    CHECK(call.code == 0 && call.after == WEIR_ECANCELED);
    CHECK_OK(end_executor(e));
    return NULL;
}

static weir_error *call_with_an_expired_deadline_queues_nothing(void *arg)
{
    weir_auto(weir_executor) e = NULL;
    int number = 0;

    (void)arg;
    CHECK_OK(new_executor(1, 0, false, &e));
    {
        WEIR_TIMEOUT(limit, WEIR_MS(0));
        CHECK_CODE(weir_executor_call(e, increment, &number), WEIR_ETIMEDOUT);
    }
    CHECK_OK(end_executor(e));
    CHECK(number == 0);
    return NULL;
}

static weir_error *submit_to_a_full_queue_is_rejected_and_leaves_the_argument(void *arg)
{
    weir_auto(weir_executor) e = NULL;

    (void)arg;
    CHECK_OK(new_executor(1, 2, false, &e));
    CHECK_OK(weir_executor_submit(e, pass_gate, NULL, NULL, NULL));
    wait_for_inside(1);
    CHECK_OK(weir_executor_submit(e, pass_gate, NULL, NULL, NULL));
    CHECK_OK(weir_executor_submit(e, pass_gate, NULL, NULL, NULL));
    CHECK_CODE(weir_executor_submit(e, pass_gate, &drops, count_drop, NULL), WEIR_EREJECTED);
    CHECK(atomic_load(&drops) == 0);
    open_gate();
    CHECK_OK(end_executor(e));
    return NULL;
}

static weir_error *calls_wait_for_room_and_all_run(void *arg)
{
    weir_auto(weir_executor) e = NULL;
    struct call calls[8];

    (void)arg;
    CHECK_OK(new_executor(1, 1, false, &e));
    CHECK_OK(weir_executor_submit(e, pass_gate, NULL, NULL, NULL));
    wait_for_inside(1);
    {
        WEIR_GROUP(group);
        for (int i = 0; i < 8; i++) {
            calls[i] = (struct call){.executor = e, .fn = increment};
            CHECK_OK(weir_group_spawn(&group, make_call, &calls[i], NULL));
        }
        CHECK_OK(weir_sleep(WEIR_MS(0)));
        CHECK(atomic_load(&ran) == 0);
        open_gate();
        CHECK_OK(weir_group_join(&group));
    }
    for (int i = 0; i < 8; i++)
        CHECK(calls[i].number == 1 && calls[i].code == 0);
    CHECK_OK(end_executor(e));
    return NULL;
}

static weir_error *cancelled_call_that_waited_for_room_leaves_no_trace(void *arg)
{
    weir_auto(weir_executor) e = NULL;
    weir_auto(weir_task) t = NULL;
    struct call call = {.fn = increment};

    (void)arg;
    CHECK_OK(new_executor(1, 1, false, &e));
    call.executor = e;
    CHECK_OK(weir_executor_submit(e, pass_gate, NULL, NULL, NULL));
    wait_for_inside(1);
    CHECK_OK(weir_executor_submit(e, pass_gate, NULL, NULL, NULL));
    CHECK_OK(weir_spawn(make_call, &call, &t));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(t));
    CHECK_OK(weir_task_await(t));
    CHECK(call.code == WEIR_ECANCELED);
    CHECK_OK(end_executor(e));
    CHECK(atomic_load(&ran) <= 2 && call.number == 0);
    return NULL;
}

static weir_error *call_to_a_full_queue_that_rejects_is_rejected(void *arg)
{
    weir_auto(weir_executor) e = NULL;
    int number = 0;

    (void)arg;
    CHECK_OK(new_executor(1, 1, true, &e));
    CHECK_OK(weir_executor_submit(e, pass_gate, NULL, NULL, NULL));
    wait_for_inside(1);
    CHECK_OK(weir_executor_submit(e, pass_gate, NULL, NULL, NULL));
    CHECK_CODE(weir_executor_call(e, increment, &number), WEIR_EREJECTED);
    CHECK_OK(end_executor(e));
    return NULL;
}

static weir_error *jobs_run_side_by_side_up_to_the_number_of_threads(void *arg)
{
    weir_auto(weir_executor) e = NULL;

    (void)arg;
    CHECK_OK(new_executor(4, 0, false, &e));
    for (int i = 0; i < 4; i++)
        CHECK_OK(weir_executor_submit(e, pass_gate, NULL, NULL, NULL));
    wait_for_inside(4);
    CHECK_OK(end_executor(e));
    CHECK(atomic_load(&ran) == 4);
    return NULL;
}

static weir_error *shutdown_cancels_queued_jobs_asks_running_ones_and_refuses_new(void *arg)
{
    weir_auto(weir_executor) e = NULL;
    weir_auto(weir_future) running = NULL;
    weir_auto(weir_future) queued = NULL;
    int number = 0;

    (void)arg;
    CHECK_OK(new_executor(1, 0, false, &e));
    CHECK_OK(weir_executor_submit(e, spin_until_cancelled, NULL, NULL, &running));
    wait_for_inside(1);
    CHECK_OK(weir_executor_submit(e, increment, &number, NULL, &queued));
    CHECK_OK(weir_executor_shutdown(e, WEIR_S(60)));
    CHECK_OK(weir_await(running));
    CHECK_CODE(weir_await(queued), WEIR_ECANCELED);
    CHECK(number == 0);
    CHECK_CODE(weir_executor_call(e, increment, &number), WEIR_ECLOSED);
    CHECK_CODE(weir_executor_submit(e, increment, &number, NULL, NULL), WEIR_ECLOSED);
    return NULL;
}

static weir_error *shutdown_of_a_stuck_job_ends_at_its_limit(void *arg)
{
    weir_auto(weir_executor) e = NULL;

    (void)arg;
    CHECK_OK(new_executor(1, 0, false, &e));
    CHECK_OK(weir_executor_submit(e, pass_gate, NULL, NULL, NULL));
    wait_for_inside(1);
    CHECK_CODE(weir_executor_shutdown(e, WEIR_MS(1)), WEIR_ETIMEDOUT);
    CHECK_OK(end_executor(e));
    return NULL;
}

static weir_error *default_executor_is_made_once_and_ends_with_its_loop(void *arg)
{
    weir_executor *one = NULL, *two = NULL;
    int number = 0;

    (void)arg;
    CHECK_OK(weir_loop_default_executor(weir_loop_current(), &one));
    CHECK_OK(weir_loop_default_executor(weir_loop_current(), &two));
    CHECK(one == two);
    CHECK_OK(weir_executor_call(one, increment, &number));
    CHECK(number == 1);
    return NULL;
}

static weir_error *submit_and_leave(void *arg)
{
    weir_executor *e = *(weir_executor **)arg;

    CHECK_OK(weir_executor_submit(e, pass_gate, &drops, count_drop, NULL));
    wait_for_inside(1);
    return NULL;
}

static void job_that_outlives_its_loop_is_ended_by_its_thread(void **state)
{
    weir_executor *e = NULL;

    (void)state;
    assert_ok(new_executor(1, 0, false, &e));
    run_in_loop(submit_and_leave, &e);
    assert_int_equal(atomic_load(&drops), 0);
    open_gate();
    assert_ok(weir_executor_shutdown(e, WEIR_S(60)));
    assert_int_equal(atomic_load(&drops), 1);
    weir_executor_unref(e);
}

static void executor_dropped_over_a_running_job_is_freed_by_its_last_thread(void **state)
{
    weir_executor *e = NULL;

    (void)state;
    assert_ok(new_executor(2, 0, false, &e));
    run_in_loop(submit_and_leave, &e);
    weir_executor_unref(e);
    open_gate();
    while (atomic_load(&drops) == 0)
        sched_yield();
}

static void job_functions_outside_a_job_do_nothing(void **state)
{
    (void)state;
    reset();
    assert_false(weir_job_cancelled());
    weir_job_set_result(&drops, count_drop);
    assert_int_equal(atomic_load(&drops), 1);
}

IN_LOOP(call_runs_with_an_argument_on_the_stack)
IN_LOOP(submit_gives_a_future_with_the_value)
IN_LOOP(argument_of_a_submit_is_dropped_after_its_job)
IN_LOOP(abandoned_submit_runs_and_leaves_nothing)
IN_LOOP(cancelled_future_removes_a_queued_job)
IN_LOOP(cancelled_future_of_a_running_job_asks_it_and_drops_its_outcome)
IN_LOOP(cancelled_call_of_a_queued_job_never_ran)
IN_LOOP(cancelled_call_of_a_running_job_returns_with_its_outcome)
IN_LOOP(call_with_an_expired_deadline_queues_nothing)
IN_LOOP(submit_to_a_full_queue_is_rejected_and_leaves_the_argument)
IN_LOOP(calls_wait_for_room_and_all_run)
IN_LOOP(cancelled_call_that_waited_for_room_leaves_no_trace)
IN_LOOP(call_to_a_full_queue_that_rejects_is_rejected)
IN_LOOP(jobs_run_side_by_side_up_to_the_number_of_threads)
IN_LOOP(shutdown_cancels_queued_jobs_asks_running_ones_and_refuses_new)
IN_LOOP(shutdown_of_a_stuck_job_ends_at_its_limit)
IN_LOOP(default_executor_is_made_once_and_ends_with_its_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(call_runs_with_an_argument_on_the_stack),
        IN_LOOP_TEST(submit_gives_a_future_with_the_value),
        IN_LOOP_TEST(argument_of_a_submit_is_dropped_after_its_job),
        IN_LOOP_TEST(abandoned_submit_runs_and_leaves_nothing),
        IN_LOOP_TEST(cancelled_future_removes_a_queued_job),
        IN_LOOP_TEST(cancelled_future_of_a_running_job_asks_it_and_drops_its_outcome),
        IN_LOOP_TEST(cancelled_call_of_a_queued_job_never_ran),
        IN_LOOP_TEST(cancelled_call_of_a_running_job_returns_with_its_outcome),
        IN_LOOP_TEST(call_with_an_expired_deadline_queues_nothing),
        IN_LOOP_TEST(submit_to_a_full_queue_is_rejected_and_leaves_the_argument),
        IN_LOOP_TEST(calls_wait_for_room_and_all_run),
        IN_LOOP_TEST(cancelled_call_that_waited_for_room_leaves_no_trace),
        IN_LOOP_TEST(call_to_a_full_queue_that_rejects_is_rejected),
        IN_LOOP_TEST(jobs_run_side_by_side_up_to_the_number_of_threads),
        IN_LOOP_TEST(shutdown_cancels_queued_jobs_asks_running_ones_and_refuses_new),
        IN_LOOP_TEST(shutdown_of_a_stuck_job_ends_at_its_limit),
        IN_LOOP_TEST(default_executor_is_made_once_and_ends_with_its_loop),
        ON_MAIN_TEST(job_that_outlives_its_loop_is_ended_by_its_thread),
        ON_MAIN_TEST(executor_dropped_over_a_running_job_is_freed_by_its_last_thread),
        ON_MAIN_TEST(job_functions_outside_a_job_do_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
