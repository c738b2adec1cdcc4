/* SPDX-License-Identifier: Apache-2.0 */
/* Thread pools (T49; runtime-semantics D9). Jobs meet at a gate instead of sleeping. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/context.h>
#include <weir/executor.h>
#include <weir/scope.h>

#include "core/base/alloc.h"
#include "core/exec/exec.h"
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

static weir_error *D9_E2_call_runs_with_an_argument_on_the_stack(void *arg)
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

static weir_error *D9_submit_gives_a_future_with_the_value(void *arg)
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

static weir_error *T49_D9_abandoned_submit_runs_and_leaves_nothing(void *arg)
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

static weir_error *T49_D9_C3_cancelled_future_removes_a_queued_job(void *arg)
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

static weir_error *T49_D9_cancelled_future_of_a_running_job_asks_it_and_drops_its_outcome(void *arg)
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

static weir_error *T49_D9_cancelled_call_of_a_queued_job_never_ran(void *arg)
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

static weir_error *T49_D9_cancelled_call_of_a_running_job_returns_with_its_outcome(void *arg)
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

static weir_error *D9_submit_to_a_full_queue_is_rejected_and_leaves_the_argument(void *arg)
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

static weir_error *D9_calls_wait_for_room_and_all_run(void *arg)
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

static weir_error *D9_jobs_run_side_by_side_up_to_the_number_of_threads(void *arg)
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

static weir_error *T49_D9_shutdown_cancels_queued_jobs_asks_running_ones_and_refuses_new(void *arg)
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

static weir_error *T49_D9_shutdown_of_a_stuck_job_ends_at_its_limit_and_names_it(void *arg)
{
    weir_auto(weir_executor) e = NULL;
    char log[1024];

    (void)arg;
    CHECK_OK(new_executor(1, 0, false, &e));
    CHECK_OK(weir_executor_submit(e, pass_gate, NULL, NULL, NULL));
    wait_for_inside(1);
    capture_log_begin();
    CHECK_CODE(weir_executor_shutdown(e, WEIR_MS(1)), WEIR_ETIMEDOUT);
    capture_log_end(log, sizeof log);
    CHECK(strstr(log, "executor 'test' did not end within 0.001 seconds: 1 job still runs: "
                      "pass_gate() at "));
    CHECK(strstr(log, "test_executor.c:"));
    CHECK_OK(end_executor(e));
    return NULL;
}

static weir_error *D9_default_executor_is_made_once_and_ends_with_its_loop(void *arg)
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

static weir_error *submit_nothing(void *arg)
{
    (void)arg;
    return NULL;
}

static atomic_int thread_stops;

static weir_error *start_fails(void *arg)
{
    return arg ? NULL : weir_raise(EACCES, "no room for %s", "threads");
}

static void count_stop(void *arg)
{
    (void)arg;
    atomic_fetch_add(&thread_stops, 1);
}

static weir_error *D9_thread_start_that_fails_breaks_the_executor(void *arg)
{
    weir_executor_options options = {WEIR_SIZED(weir_executor_options), .name = "broken",
                                     .threads = 1, .thread_start = start_fails,
                                     .thread_stop = count_stop};
    weir_auto(weir_executor) e = NULL;
    weir_auto(weir_future) f = NULL;
    weir_error *error;
    char text[256];

    (void)arg;
    reset();
    atomic_store(&thread_stops, 0);
    CHECK_OK(weir_executor_new(&options, &e));
    CHECK_OK(weir_executor_submit(e, increment, &drops, count_drop, &f));
    error = weir_await(f);
    weir_error_message(error, text, sizeof text);
    CHECK(strstr(text, "executor broken is broken, a thread did not start: no room for threads"));
    CHECK_CODE(error, EACCES);
    CHECK(atomic_load(&ran) == 0 && atomic_load(&drops) == 1);
    CHECK_CODE(weir_executor_call(e, increment, &drops), EACCES);
    CHECK_OK(weir_executor_join(e, WEIR_S(60)));
    CHECK(atomic_load(&thread_stops) == 0);
    return NULL;
}

static weir_error *D9_thread_stop_is_the_last_in_each_thread(void *arg)
{
    static int yes;
    weir_executor_options options = {WEIR_SIZED(weir_executor_options), .threads = 2,
                                     .thread_start = start_fails, .thread_stop = count_stop,
                                     .arg = &yes};
    weir_auto(weir_executor) e = NULL;

    (void)arg;
    reset();
    atomic_store(&thread_stops, 0);
    CHECK_OK(weir_executor_new(&options, &e));
    CHECK_OK(weir_executor_submit(e, pass_gate, NULL, NULL, NULL));
    CHECK_OK(weir_executor_submit(e, pass_gate, NULL, NULL, NULL));
    wait_for_inside(2);
    open_gate();
    CHECK_OK(weir_executor_join(e, WEIR_S(60)));
    CHECK(atomic_load(&thread_stops) == 2);
    return NULL;
}

static weir_error *D9_thread_is_started_only_when_none_is_idle(void *arg)
{
    weir_auto(weir_executor) e = NULL;
    int number = 0;

    (void)arg;
    CHECK_OK(new_executor(8, 0, false, &e));
    for (int i = 0; i < 20; i++) {
        CHECK_OK(weir_executor_call(e, increment, &number));
        for (unsigned idle = 0; idle < 1; sched_yield()) { /* it has come back for more */
            pthread_mutex_lock(&e->lock);
            idle = e->idle;
            pthread_mutex_unlock(&e->lock);
        }
    }
    CHECK(number == 20 && e->threads == 1);
    CHECK_OK(end_executor(e));
    return NULL;
}

static weir_error *T50_D9_dns_is_not_starved_by_64_blocking_file_jobs(void *arg)
{
    weir_loop *loop = weir_loop_current();
    weir_executor *file = NULL, *dns = NULL, *cpu = NULL;
    int number = 0;

    (void)arg;
    reset();
    CHECK_OK(weir_loop_executor(loop, WEIR_EXECUTOR_FILE, &file));
    CHECK_OK(weir_loop_executor(loop, WEIR_EXECUTOR_DNS, &dns));
    CHECK_OK(weir_loop_executor(loop, WEIR_EXECUTOR_CPU, &cpu));
    for (int i = 0; i < 64; i++)
        CHECK_OK(weir_executor_submit(file, pass_gate, NULL, NULL, NULL));
    wait_for_inside((int)file->threads_max); /* all of its threads are blocked */
    CHECK_OK(weir_executor_call(dns, increment, &number));
    CHECK_OK(weir_executor_call(cpu, increment, &number));
    CHECK_OK(weir_to_thread(increment, &number));
    CHECK(number == 3);
    open_gate();
    return NULL;
}

static weir_error *D9_stuck_job_is_logged_once_with_its_function_and_site(void *arg)
{
    weir_executor_options options = {WEIR_SIZED(weir_executor_options), .name = "slow",
                                     .threads = 1, .stuck_after = WEIR_MS(5)};
    weir_auto(weir_executor) e = NULL;
    char log[1024] = "", *first;

    (void)arg;
    reset();
    CHECK_OK(weir_executor_new(&options, &e));
    capture_log_begin();
    CHECK_OK(weir_executor_submit(e, pass_gate, NULL, NULL, NULL));
    wait_for_inside(1);
    for (int i = 0; i < 4; i++) {
        CHECK_OK(weir_sleep(WEIR_MS(10)));
        CHECK_OK(weir_executor_submit(e, pass_gate, NULL, NULL, NULL)); /* is looked at too */
    }
    capture_log_end(log, sizeof log);
    first = strstr(log, "executor slow: job pass_gate() at ");
    CHECK(first && strstr(first, "test_executor.c:") && strstr(first, " has been running for 0.0"));
    CHECK(!strstr(first + 1, "executor slow: job"));
    CHECK_OK(end_executor(e));
    return NULL;
}

static void *copy_text(const void *value)
{
    return (void *)(uintptr_t)value;
}

static weir_context_var request = WEIR_CONTEXT_VAR_COPIED("request", NULL, copy_text, NULL);

static weir_error *look_at_request(void *arg)
{
    *(const char **)arg = weir_context_get(&request);
    return weir_context_set(&request, (void *)(uintptr_t) "changed", NULL);
}

static weir_error *D9_E2_job_sees_a_copy_of_its_callers_context(void *arg)
{
    const char *seen = NULL;

    (void)arg;
    CHECK_OK(weir_context_set(&request, (void *)(uintptr_t) "r-17", NULL));
    CHECK_OK(weir_to_thread(look_at_request, &seen));
    CHECK(seen && strcmp(seen, "r-17") == 0);
    CHECK(strcmp(weir_context_get(&request), "r-17") == 0);
    CHECK(weir_context_reset(&request));
    return NULL;
}

static weir_error *D9_jobs_are_owed_to_the_loop_until_they_end(void *arg)
{
    weir_auto(weir_executor) e = NULL;
    weir_auto(weir_future) f = NULL;
    size_t before = weir__loop_externals(weir_loop_current());

    (void)arg;
    CHECK_OK(new_executor(1, 0, false, &e));
    CHECK_OK(weir_executor_submit(e, pass_gate, NULL, NULL, &f));
    CHECK(weir__loop_externals(weir_loop_current()) == before + 1);
    open_gate();
    CHECK_OK(weir_await(f));
    CHECK(weir__loop_externals(weir_loop_current()) == before);
    CHECK_OK(end_executor(e));
    return NULL;
}

/* Of a forked child: 0 when it was refused. */
static void exit_with(weir_error *take_error)
{
    bool refused = weir_error_is(take_error, WEIR_EFORKED);

    weir_ignore(take_error);
    _exit(refused ? 0 : 1);
}

static void T84_D9_executor_of_the_parent_is_refused_in_a_forked_child(void **state)
{
    weir_executor *e = NULL;
    int status = -1;
    pid_t pid;

    (void)state;
    weir_ignore(weir_run(submit_nothing, NULL, NULL)); /* the fork hooks are there */
    assert_ok(weir_executor_new(NULL, &e));
    pid = fork();
    if (pid == 0)
        exit_with(weir_executor_shutdown(e, WEIR_S(1)));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    weir_executor_unref(e);
}

static weir_error *T95_D9_no_memory_for_a_job_is_its_error(void *arg)
{
    weir_auto(weir_executor) e = NULL;
    bool failed = true;

    (void)arg;
    CHECK_OK(new_executor(1, 0, false, &e));
    for (unsigned long n = 1; failed && n < 100; n++) {
        weir_auto(weir_future) f = NULL;
        weir_error *error;

        weir__alloc_fail_nth = n;
        error = weir_executor_submit(e, give_value, NULL, NULL, &f);
        failed = weir__alloc_fail_nth == 0;
        weir__alloc_fail_nth = 0;
        if (error)
            CHECK_CODE(error, WEIR_ENOMEM);
        else
            CHECK_OK(weir_await(f));
    }
    CHECK(!failed);
    CHECK_OK(end_executor(e));
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

IN_LOOP(D9_thread_start_that_fails_breaks_the_executor)
IN_LOOP(D9_thread_stop_is_the_last_in_each_thread)
IN_LOOP(D9_thread_is_started_only_when_none_is_idle)
IN_LOOP(T50_D9_dns_is_not_starved_by_64_blocking_file_jobs)
IN_LOOP(D9_stuck_job_is_logged_once_with_its_function_and_site)
IN_LOOP(D9_E2_job_sees_a_copy_of_its_callers_context)
IN_LOOP(D9_jobs_are_owed_to_the_loop_until_they_end)
IN_LOOP(T95_D9_no_memory_for_a_job_is_its_error)
IN_LOOP(D9_E2_call_runs_with_an_argument_on_the_stack)
IN_LOOP(D9_submit_gives_a_future_with_the_value)
IN_LOOP(argument_of_a_submit_is_dropped_after_its_job)
IN_LOOP(T49_D9_abandoned_submit_runs_and_leaves_nothing)
IN_LOOP(T49_D9_C3_cancelled_future_removes_a_queued_job)
IN_LOOP(T49_D9_cancelled_future_of_a_running_job_asks_it_and_drops_its_outcome)
IN_LOOP(T49_D9_cancelled_call_of_a_queued_job_never_ran)
IN_LOOP(T49_D9_cancelled_call_of_a_running_job_returns_with_its_outcome)
IN_LOOP(call_with_an_expired_deadline_queues_nothing)
IN_LOOP(D9_submit_to_a_full_queue_is_rejected_and_leaves_the_argument)
IN_LOOP(D9_calls_wait_for_room_and_all_run)
IN_LOOP(cancelled_call_that_waited_for_room_leaves_no_trace)
IN_LOOP(call_to_a_full_queue_that_rejects_is_rejected)
IN_LOOP(D9_jobs_run_side_by_side_up_to_the_number_of_threads)
IN_LOOP(T49_D9_shutdown_cancels_queued_jobs_asks_running_ones_and_refuses_new)
IN_LOOP(T49_D9_shutdown_of_a_stuck_job_ends_at_its_limit_and_names_it)
IN_LOOP(D9_default_executor_is_made_once_and_ends_with_its_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(D9_thread_start_that_fails_breaks_the_executor),
        IN_LOOP_TEST(D9_thread_stop_is_the_last_in_each_thread),
        IN_LOOP_TEST(D9_thread_is_started_only_when_none_is_idle),
        IN_LOOP_TEST(T50_D9_dns_is_not_starved_by_64_blocking_file_jobs),
        IN_LOOP_TEST(D9_stuck_job_is_logged_once_with_its_function_and_site),
        IN_LOOP_TEST(D9_E2_job_sees_a_copy_of_its_callers_context),
        IN_LOOP_TEST(D9_jobs_are_owed_to_the_loop_until_they_end),
        IN_LOOP_TEST(T95_D9_no_memory_for_a_job_is_its_error),
        ON_MAIN_TEST(T84_D9_executor_of_the_parent_is_refused_in_a_forked_child),
        IN_LOOP_TEST(D9_E2_call_runs_with_an_argument_on_the_stack),
        IN_LOOP_TEST(D9_submit_gives_a_future_with_the_value),
        IN_LOOP_TEST(argument_of_a_submit_is_dropped_after_its_job),
        IN_LOOP_TEST(T49_D9_abandoned_submit_runs_and_leaves_nothing),
        IN_LOOP_TEST(T49_D9_C3_cancelled_future_removes_a_queued_job),
        IN_LOOP_TEST(T49_D9_cancelled_future_of_a_running_job_asks_it_and_drops_its_outcome),
        IN_LOOP_TEST(T49_D9_cancelled_call_of_a_queued_job_never_ran),
        IN_LOOP_TEST(T49_D9_cancelled_call_of_a_running_job_returns_with_its_outcome),
        IN_LOOP_TEST(call_with_an_expired_deadline_queues_nothing),
        IN_LOOP_TEST(D9_submit_to_a_full_queue_is_rejected_and_leaves_the_argument),
        IN_LOOP_TEST(D9_calls_wait_for_room_and_all_run),
        IN_LOOP_TEST(cancelled_call_that_waited_for_room_leaves_no_trace),
        IN_LOOP_TEST(call_to_a_full_queue_that_rejects_is_rejected),
        IN_LOOP_TEST(D9_jobs_run_side_by_side_up_to_the_number_of_threads),
        IN_LOOP_TEST(T49_D9_shutdown_cancels_queued_jobs_asks_running_ones_and_refuses_new),
        IN_LOOP_TEST(T49_D9_shutdown_of_a_stuck_job_ends_at_its_limit_and_names_it),
        IN_LOOP_TEST(D9_default_executor_is_made_once_and_ends_with_its_loop),
        ON_MAIN_TEST(job_that_outlives_its_loop_is_ended_by_its_thread),
        ON_MAIN_TEST(executor_dropped_over_a_running_job_is_freed_by_its_last_thread),
        ON_MAIN_TEST(job_functions_outside_a_job_do_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
