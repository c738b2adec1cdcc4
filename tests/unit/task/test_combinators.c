/* SPDX-License-Identifier: Apache-2.0 */
/* wait_for, gather, wait, as_completed, shield, race (T21, T36, T37, C2, C3, C7). Names are claims. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include <weir/combinators.h>

#include "core/base/alloc.h"
#include "tests/unit/support/support.h"

/* What one call does: sleeps, and then fails, swallows what cut it short, or gives itself. */
struct call {
    weir_duration sleep;
    weir_code fails;    /* with this, when not cut short */
    weir_code cleanup;  /* with this, when cut short */
    bool swallows;      /* succeeds when cut short */
    weir_duration tidy; /* shielded, when cut short */
    bool started, ended, cut;
};

static int clock_of_ends;

static weir_error *end_of_cut(struct call *call, weir_error *error)
{
    call->cut = true;
    if (call->tidy.ns) {
        WEIR_SHIELD(shield, WEIR_S(10));
        CHECK_OK(weir_sleep(call->tidy));
    }
    call->ended = true;
    clock_of_ends++;
    if (!call->swallows && !call->cleanup)
        return error;
    weir_ignore(error);
    if (call->cleanup)
        return weir_raise(call->cleanup, "failed in its clean-up");
    weir_task_set_result(call, NULL);
    return NULL;
}

static weir_error *run_call(void *arg)
{
    struct call *call = arg;
    weir_error *error;

    call->started = true;
    error = weir_sleep(call->sleep);
    if (error)
        return end_of_cut(call, error);
    call->ended = true;
    clock_of_ends++;
    if (call->fails)
        return weir_raise(call->fails, "failed");
    weir_task_set_result(call, NULL);
    return NULL;
}

static weir_error *T36_C2_wait_for_gives_what_the_call_returned(void *arg)
{
    struct call good = {.sleep = WEIR_MS(1)}, bad = {.sleep = WEIR_MS(1), .fails = ENOENT};

    (void)arg;
    CHECK_OK(weir_wait_for(weir_co(run_call, &good), WEIR_S(100)));
    CHECK_OK(weir_wait_for(weir_co(run_call, &good), WEIR_FOREVER));
    CHECK_CODE(weir_wait_for(weir_co(run_call, &bad), WEIR_S(100)), ENOENT);
    CHECK(good.ended && bad.ended);
    return NULL;
}

static weir_error *T36_C2_wait_for_0_or_less_never_starts_the_call(void *arg)
{
    struct call call = {.sleep = WEIR_MS(1)};
    char text[512];

    (void)arg;
    capture_log_begin();
    CHECK_CODE(weir_wait_for(weir_co(run_call, &call), WEIR_MS(0)), WEIR_ETIMEDOUT);
    CHECK_CODE(weir_wait_for(weir_co(run_call, &call), WEIR_MS(-5)), WEIR_ETIMEDOUT);
    capture_log_end(text, sizeof text);
    CHECK(!call.started);
    CHECK(strstr(text, "never awaited") == NULL);
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static weir_error *T36_C2_wait_for_waits_for_the_clean_up_of_what_it_cut_short(void *arg)
{
    struct call call = {.sleep = WEIR_S(100), .tidy = WEIR_MS(5)};
    weir_instant start = weir_loop_time(weir_loop_current());

    (void)arg;
    CHECK_CODE(weir_wait_for(weir_co(run_call, &call), WEIR_MS(1)), WEIR_ETIMEDOUT);
    CHECK(call.ended && call.cut);
    CHECK(weir_loop_time(weir_loop_current()).ns - start.ns == WEIR_MS(6).ns);
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static weir_error *T36_C2_wait_for_passes_on_an_error_of_the_clean_up(void *arg)
{
    struct call call = {.sleep = WEIR_S(100), .cleanup = EIO};

    (void)arg;
    CHECK_CODE(weir_wait_for(weir_co(run_call, &call), WEIR_MS(1)), EIO);
    return NULL;
}

static weir_error *T36_C2_wait_for_gives_the_value_of_a_call_that_finished_all_the_same(void *arg)
{
    struct call call = {.sleep = WEIR_S(100), .swallows = true};

    (void)arg;
    CHECK_OK(weir_wait_for(weir_co(run_call, &call), WEIR_MS(1)));
    CHECK(call.cut);
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static weir_error *waiter_for(void *arg)
{
    return weir_wait_for(weir_co(run_call, arg), WEIR_MS(1));
}

static weir_error *T36_C2_cancellation_from_outside_wins_over_the_limit(void *arg)
{
    struct call call = {.sleep = WEIR_S(100)};
    weir_auto(weir_task) task = NULL;

    (void)arg;
    CHECK_OK(weir_spawn(waiter_for, &call, &task));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(task));
    CHECK_CODE(weir_task_await(task), WEIR_ECANCELED);
    CHECK(call.cut && weir_task_cancelling(task) == 1);
    return NULL;
}

static weir_error *T36_C2_cancelled_caller_starts_nothing(void *arg)
{
    struct call call = {.sleep = WEIR_MS(0)};
    weir_co *co = weir_co(run_call, &call);
    weir_co *gathered[] = {weir_co(run_call, &call), weir_co(run_call, &call)};
    weir_co *raced[] = {weir_co(run_call, &call)};

    (void)arg;
    (void)weir_task_cancel(weir_task_current());
    CHECK_CODE(weir_wait_for(co, WEIR_MS(0)), WEIR_ECANCELED);
    CHECK_CODE(weir_gather(gathered, 2, NULL, NULL), WEIR_ECANCELED);
    CHECK_CODE(weir_staggered_race(raced, 1, WEIR_MS(1), NULL, NULL, NULL), WEIR_ECANCELED);
    (void)weir_task_uncancel(weir_task_current());
    CHECK(!call.started);
    return NULL;
}

static void make_cos(struct call *calls, size_t count, weir_co **ret)
{
    for (size_t i = 0; i < count; i++)
        ret[i] = weir_co(run_call, &calls[i]);
}

static weir_error *T37_gather_gives_results_in_the_order_of_the_arguments(void *arg)
{
    struct call calls[6] = {{.sleep = WEIR_MS(3)}, {.sleep = WEIR_MS(1)}, {.sleep = WEIR_MS(2)},
                            {.sleep = WEIR_MS(0)}, {.sleep = WEIR_MS(1)}, {.sleep = WEIR_MS(0)}};
    void *values[6];
    weir_co *cos[6];

    (void)arg;
    make_cos(calls, 6, cos);
    CHECK_OK(weir_gather(cos, 6, values, NULL));
    for (int i = 0; i < 6; i++)
        CHECK(values[i] == &calls[i]);
    CHECK_OK(weir_gather(NULL, 0, NULL, NULL));
    return NULL;
}

static weir_error *T37_gather_lets_siblings_go_on_after_the_first_error(void *arg)
{
    struct call calls[3] = {{.sleep = WEIR_MS(4)},
                            {.sleep = WEIR_MS(2), .fails = EIO},
                            {.sleep = WEIR_MS(1), .fails = ENOENT}};
    weir_auto(weir_error) error = NULL;
    char text[1024];
    weir_co *cos[3];

    (void)arg;
    make_cos(calls, 3, cos);
    error = weir_gather(cos, 3, NULL, NULL);
    CHECK(weir_error_is(error, ENOENT)); /* the first in time */
    weir_error_print(error, text, sizeof text);
    CHECK(strstr(text, "EIO") != NULL); /* the other one is attached */
    CHECK(calls[0].ended && !calls[0].cut);
    CHECK(reports() == 0);
    return NULL;
}

static weir_error *T37_T21_H1_gather_gives_all_errors_when_asked_for(void *arg)
{
    struct call calls[3] = {{.sleep = WEIR_MS(1)}, {.fails = EIO}, {.fails = ENOENT}};
    weir_error *errors[3];
    void *values[3];
    weir_co *cos[3];

    (void)arg;
    make_cos(calls, 3, cos);
    CHECK_OK(weir_gather(cos, 3, values, errors));
    CHECK(values[0] == &calls[0] && !values[1] && !values[2]);
    CHECK(errors[0] == NULL);
    CHECK_CODE(errors[1], EIO);
    CHECK_CODE(errors[2], ENOENT);
    CHECK(reports() == 0);
    return NULL;
}

struct gathering {
    struct call *calls;
    size_t count;
    weir_error **errors;
    bool returned;
};

static weir_error *gatherer(void *arg)
{
    struct gathering *gathering = arg;
    weir_co *cos[8];
    weir_error *error;

    make_cos(gathering->calls, gathering->count, cos);
    error = weir_gather(cos, gathering->count, NULL, gathering->errors);
    gathering->returned = true;
    return error;
}

static weir_error *T37_C3_cancelled_gather_cancels_all_and_waits_for_them(void *arg)
{
    struct call calls[2] = {{.sleep = WEIR_S(100), .tidy = WEIR_MS(3)}, {.sleep = WEIR_S(100)}};
    struct gathering gathering = {calls, 2, NULL, false};
    weir_auto(weir_task) task = NULL;

    (void)arg;
    CHECK_OK(weir_spawn(gatherer, &gathering, &task));
    CHECK_OK(weir_sleep(WEIR_MS(1)));
    CHECK(weir_task_cancel(task));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(calls[1].ended && !gathering.returned); /* the first one is still busy */
    CHECK_CODE(weir_task_await(task), WEIR_ECANCELED);
    CHECK(calls[0].cut && calls[1].cut && calls[0].ended);
    return NULL;
}

static weir_error *T37_child_cancelled_by_itself_does_not_cancel_gather(void *arg)
{
    struct call calls[2] = {{.fails = WEIR_ECANCELED}, {.sleep = WEIR_MS(2)}};
    weir_error *errors[2];
    weir_co *cos[2];

    (void)arg;
    make_cos(calls, 2, cos);
    CHECK_OK(weir_gather(cos, 2, NULL, errors));
    CHECK_CODE(errors[0], WEIR_ECANCELED);
    CHECK(errors[1] == NULL && !calls[1].cut);
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static weir_error *deadline_around_gather_is_returned_unless_all_succeeded(void *arg)
{
    struct call one = {.sleep = WEIR_S(100)}, other = {.sleep = WEIR_S(100), .swallows = true};
    void *value = NULL;
    weir_co *cos[1];

    (void)arg;
    {
        WEIR_TIMEOUT(limit, WEIR_MS(1));
        make_cos(&one, 1, cos);
        CHECK_CODE(weir_gather(cos, 1, NULL, NULL), WEIR_ETIMEDOUT);
        CHECK(one.cut);
    }
    {
        WEIR_TIMEOUT(limit, WEIR_MS(1));
        make_cos(&other, 1, cos);
        CHECK_OK(weir_gather(cos, 1, &value, NULL)); /* completion wins */
        CHECK(value == &other);
        CHECK_CODE(weir_sleep(WEIR_MS(0)), WEIR_ETIMEDOUT);
    }
    return NULL;
}

static weir_error *gather_without_memory_leaves_nothing_behind(void *arg)
{
    struct call calls[6] = {{.sleep = WEIR_MS(1)}};
    weir_co *cos[6];

    (void)arg;
    make_cos(calls, 6, cos);
    weir__alloc_fail_nth = 1;
    CHECK_CODE(weir_gather(cos, 6, NULL, NULL), WEIR_ENOMEM);
    weir__alloc_fail_nth = 0;
    CHECK(!calls[0].started);
    return NULL;
}

static weir_error *T37_duplicates_in_gather_run_once(void *arg)
{
    struct call call = {.sleep = WEIR_MS(1)};
    weir_auto(weir_task) task = NULL;
    weir_future *futures[3];
    void *values[3];

    (void)arg;
    clock_of_ends = 0;
    CHECK_OK(weir_spawn(run_call, &call, &task));
    futures[0] = futures[1] = futures[2] = weir_task_future(task);
    CHECK_OK(weir_gather_futures(futures, 3, values, NULL));
    CHECK(values[0] == &call && values[1] == &call && values[2] == &call);
    CHECK(clock_of_ends == 1);
    return NULL;
}

static weir_error *T30_C3_waiting_for_futures_never_cancels_them(void *arg)
{
    struct call call = {.sleep = WEIR_MS(5)};
    weir_auto(weir_task) task = NULL;
    weir_future *future;
    size_t done = 7;

    (void)arg;
    CHECK_OK(weir_spawn(run_call, &call, &task));
    future = weir_task_future(task);
    {
        WEIR_TIMEOUT(limit, WEIR_MS(1));
        CHECK_CODE(weir_gather_futures(&future, 1, NULL, NULL), WEIR_ETIMEDOUT);
        CHECK_CODE(weir_wait(&future, 1, WEIR_FOREVER, WEIR_ALL_COMPLETED, &done), WEIR_ETIMEDOUT);
    }
    CHECK(done == 7);
    CHECK_OK(weir_task_await(task));
    CHECK(!call.cut);
    return NULL;
}

/* Starts `count` calls of one array as tasks. */
static weir_error *start(struct call *calls, size_t count, weir_task **tasks, weir_future **futures)
{
    for (size_t i = 0; i < count; i++) {
        WEIR_TRY(weir_spawn(run_call, &calls[i], &tasks[i]));
        futures[i] = weir_task_future(tasks[i]);
    }
    return NULL;
}

static void let_go(weir_task **tasks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        weir_task_unref(WEIR_TAKE(tasks[i]));
}

static weir_error *wait_ends_as_its_condition_says(void *arg)
{
    struct call calls[3] = {
        {.sleep = WEIR_MS(1)}, {.sleep = WEIR_MS(4), .fails = EIO}, {.sleep = WEIR_MS(12)}};
    weir_task *tasks[3];
    weir_future *futures[3];
    size_t done = 0;

    (void)arg;
    CHECK_OK(start(calls, 3, tasks, futures));
    CHECK_OK(weir_wait(futures, 3, WEIR_MS(0), WEIR_ALL_COMPLETED, &done));
    CHECK(done == 0);
    CHECK_OK(weir_wait(futures, 3, WEIR_FOREVER, WEIR_FIRST_COMPLETED, &done));
    CHECK(done == 1 && weir_future_done(futures[0]));
    CHECK_OK(weir_wait(futures, 3, WEIR_FOREVER, WEIR_FIRST_COMPLETED, &done));
    CHECK(done == 1); /* one that is done is enough */
    CHECK_OK(weir_wait(futures, 3, WEIR_FOREVER, WEIR_FIRST_ERROR, &done));
    CHECK(done == 2 && weir_future_done(futures[1]));
    CHECK_OK(weir_wait(futures, 3, WEIR_US(10), WEIR_ALL_COMPLETED, &done));
    CHECK(done == 2);
    CHECK_OK(weir_wait(futures, 3, WEIR_FOREVER, WEIR_ALL_COMPLETED, &done));
    CHECK(done == 3);
    CHECK_CODE(weir_wait(futures, 0, WEIR_FOREVER, WEIR_ALL_COMPLETED, &done), WEIR_EINVAL);
    let_go(tasks, 3);
    CHECK(reports() == 0);
    return NULL;
}

static weir_error *cancelled_future_is_no_error_to_wait(void *arg)
{
    struct call calls[2] = {{.sleep = WEIR_S(100)}, {.sleep = WEIR_MS(2)}};
    weir_task *tasks[2];
    weir_future *futures[2];
    size_t done = 0;

    (void)arg;
    CHECK_OK(start(calls, 2, tasks, futures));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(tasks[0]));
    CHECK_OK(weir_wait(futures, 2, WEIR_FOREVER, WEIR_FIRST_ERROR, &done));
    CHECK(done == 2);
    let_go(tasks, 2);
    return NULL;
}

/* Waits for one failing task in a way, forgets it; how many reports came of that. */
static weir_error *reports_after_wait(weir_wait_until until, size_t *ret)
{
    struct call call = {.fails = EIO};
    weir_task *task;
    weir_future *future;
    size_t before = reports();

    WEIR_TRY(start(&call, 1, &task, &future));
    WEIR_TRY(weir_wait(&future, 1, WEIR_FOREVER, until, NULL));
    let_go(&task, 1);
    *ret = reports() - before;
    return NULL;
}

static weir_error *T21_H1_wait_takes_no_error_but_for_first_error(void *arg)
{
    size_t count = 9;

    (void)arg;
    CHECK_OK(reports_after_wait(WEIR_ALL_COMPLETED, &count));
    CHECK(count == 1);
    CHECK_OK(reports_after_wait(WEIR_FIRST_COMPLETED, &count));
    CHECK(count == 1);
    CHECK_OK(reports_after_wait(WEIR_FIRST_ERROR, &count));
    CHECK(count == 0);
    return NULL;
}

static weir_error *as_completed_gives_each_once_in_the_order_of_ends(void *arg)
{
    struct call calls[5] = {{.sleep = WEIR_MS(6)},
                            {.sleep = WEIR_MS(1)},
                            {.sleep = WEIR_MS(4), .fails = EIO},
                            {.sleep = WEIR_MS(2)},
                            {.sleep = WEIR_MS(0)}};
    static const int order[] = {4, 1, 3, 2, 0};
    weir_auto(weir_as_completed) iterator = NULL;
    weir_task *tasks[5];
    weir_future *futures[6], *next;

    (void)arg;
    CHECK_OK(start(calls, 5, tasks, futures));
    futures[5] = futures[0];
    CHECK_OK(weir_as_completed_new(futures, 6, WEIR_FOREVER, &iterator));
    for (int i = 0; i < 5; i++) {
        CHECK_OK(weir_as_completed_next(iterator, &next));
        CHECK(next == futures[order[i]]);
        if (order[i] == 2)
            CHECK_CODE(weir_await(next), EIO);
        weir_future_unref(next);
    }
    CHECK_OK(weir_as_completed_next(iterator, &next));
    CHECK(next == NULL);
    let_go(tasks, 5);
    CHECK(reports() == 0);
    return NULL;
}

static weir_error *as_completed_times_out_for_each_that_remains(void *arg)
{
    struct call calls[2] = {{.sleep = WEIR_MS(0)}, {.sleep = WEIR_MS(8)}};
    weir_auto(weir_as_completed) iterator = NULL;
    weir_task *tasks[2];
    weir_future *futures[2], *next = NULL;

    (void)arg;
    CHECK_OK(start(calls, 2, tasks, futures));
    CHECK_OK(weir_as_completed_new(futures, 2, WEIR_MS(2), &iterator));
    CHECK_OK(weir_as_completed_next(iterator, &next));
    CHECK(next == futures[0]);
    weir_future_unref(next);
    CHECK_CODE(weir_as_completed_next(iterator, &next), WEIR_ETIMEDOUT);
    CHECK_CODE(weir_as_completed_next(iterator, &next), WEIR_ETIMEDOUT);
    CHECK_OK(weir_task_await(tasks[1])); /* it went on */
    CHECK_OK(weir_as_completed_next(iterator, &next));
    CHECK(next == futures[1]);
    weir_future_unref(next);
    let_go(tasks, 2);
    return NULL;
}

static weir_error *shielding(void *arg)
{
    return weir_shield_await(arg);
}

static weir_error *T30_C7_shielded_task_outlives_its_cancelled_waiter(void *arg)
{
    struct call call = {.sleep = WEIR_MS(3)};
    weir_auto(weir_task) inner = NULL;
    weir_auto(weir_task) outer = NULL;

    (void)arg;
    CHECK_OK(weir_spawn(run_call, &call, &inner));
    CHECK_OK(weir_spawn(shielding, inner, &outer));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(outer));
    CHECK_CODE(weir_task_await(outer), WEIR_ECANCELED);
    CHECK(!call.cut && !call.ended);
    CHECK_OK(weir_shield_await(inner));
    CHECK(call.ended && !call.cut);
    return NULL;
}

static weir_error *C7_failure_after_the_waiter_left_is_reported_once(void *arg)
{
    struct call call = {.sleep = WEIR_MS(2), .fails = EIO};
    weir_auto(weir_task) inner = NULL;
    weir_auto(weir_task) outer = NULL;

    (void)arg;
    CHECK_OK(weir_spawn(run_call, &call, &inner));
    CHECK_OK(weir_spawn(shielding, inner, &outer));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(outer));
    CHECK_CODE(weir_task_await(outer), WEIR_ECANCELED);
    weir_task_unref(WEIR_TAKE(inner)); /* the loop holds it */
    for (int i = 0; i < 1000 && !reports(); i++)
        CHECK_OK(weir_sleep(WEIR_MS(1)));
    CHECK(call.ended);
    CHECK(reports() == 1);
    CHECK(strstr(last_report(), "exception in shielded future") != NULL);
    return NULL;
}

static weir_error *C7_inner_cancelled_by_others_ends_the_shield_cancelled(void *arg)
{
    struct call call = {.sleep = WEIR_S(100)};
    weir_auto(weir_task) inner = NULL;

    (void)arg;
    CHECK_OK(weir_spawn(run_call, &call, &inner));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(inner));
    CHECK_CODE(weir_shield_await(inner), WEIR_ECANCELED);
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static weir_error *race(struct call *calls, size_t count, weir_duration delay, size_t *winner,
                        void **value, weir_error **errors)
{
    weir_co *cos[8];

    make_cos(calls, count, cos);
    return weir_staggered_race(cos, count, delay, winner, value, errors);
}

static weir_error *race_is_won_by_the_first_and_the_others_never_start(void *arg)
{
    struct call calls[2] = {{.sleep = WEIR_MS(1)}, {.sleep = WEIR_MS(1)}};
    weir_error *errors[2];
    void *value = NULL;
    size_t winner = 9;
    char text[512];

    (void)arg;
    capture_log_begin();
    CHECK_OK(race(calls, 2, WEIR_S(100), &winner, &value, errors));
    capture_log_end(text, sizeof text);
    CHECK(winner == 0 && value == &calls[0] && !calls[1].started);
    CHECK(!errors[0] && !errors[1]);
    CHECK(strstr(text, "never awaited") == NULL);
    CHECK_CODE(race(calls, 0, WEIR_S(1), NULL, NULL, NULL), WEIR_EINVAL);
    return NULL;
}

static weir_error *race_starts_the_next_one_when_the_last_failed(void *arg)
{
    struct call calls[3] = {{.fails = EIO}, {.fails = ENOENT}, {.sleep = WEIR_MS(1)}};
    weir_error *errors[3];
    size_t winner = 9;

    (void)arg;
    CHECK_OK(race(calls, 3, WEIR_FOREVER, &winner, NULL, errors));
    CHECK(winner == 2);
    CHECK_CODE(errors[0], EIO);
    CHECK_CODE(errors[1], ENOENT);
    CHECK(errors[2] == NULL);
    return NULL;
}

static weir_error *race_starts_the_next_one_after_the_delay_and_ends_the_losers(void *arg)
{
    struct call calls[3] = {
        {.sleep = WEIR_S(100), .tidy = WEIR_MS(2)}, {.sleep = WEIR_MS(1)}, {.sleep = WEIR_MS(1)}};
    weir_error *errors[3];
    size_t winner = 9;

    (void)arg;
    CHECK_OK(race(calls, 3, WEIR_MS(20), &winner, NULL, errors));
    CHECK(winner == 1 && calls[0].cut && calls[0].ended && !calls[2].started);
    CHECK_CODE(errors[0], WEIR_ECANCELED);
    CHECK(!errors[1] && !errors[2]);
    return NULL;
}

static weir_error *race_that_all_lose_returns_every_error(void *arg)
{
    struct call calls[3] = {
        {.sleep = WEIR_MS(1), .fails = EIO}, {.fails = ENOENT}, {.fails = EPERM}};
    weir_auto(weir_error) error = NULL;
    char text[2048];

    (void)arg;
    error = race(calls, 3, WEIR_MS(0), NULL, NULL, NULL);
    CHECK(error != NULL);
    weir_error_print(error, text, sizeof text);
    CHECK(strstr(text, "EIO") && strstr(text, "ENOENT") && strstr(text, "EPERM"));
    CHECK(reports() == 0);
    return NULL;
}

static weir_error *only_the_first_of_several_winners_wins(void *arg)
{
    struct call calls[2] = {{.sleep = WEIR_S(100), .swallows = true}, {.sleep = WEIR_MS(1)}};
    size_t winner = 9;
    void *value = NULL;

    (void)arg;
    CHECK_OK(race(calls, 2, WEIR_MS(0), &winner, &value, NULL));
    CHECK(winner == 1 && value == &calls[1] && calls[0].cut);
    return NULL;
}

static weir_error *racer(void *arg)
{
    return race(arg, 2, WEIR_MS(0), NULL, NULL, NULL);
}

static weir_error *C3_cancelled_race_ends_its_runners(void *arg)
{
    struct call calls[2] = {{.sleep = WEIR_S(100), .tidy = WEIR_MS(2)}, {.sleep = WEIR_S(100)}};
    weir_auto(weir_task) task = NULL;

    (void)arg;
    CHECK_OK(weir_spawn(racer, calls, &task));
    CHECK_OK(weir_sleep(WEIR_MS(1)));
    CHECK(weir_task_cancel(task));
    CHECK_CODE(weir_task_await(task), WEIR_ECANCELED);
    CHECK(calls[0].ended && calls[1].ended);
    return NULL;
}

IN_VIRTUAL_TIME(T36_C2_wait_for_gives_what_the_call_returned)
IN_VIRTUAL_TIME(T36_C2_wait_for_0_or_less_never_starts_the_call)
IN_VIRTUAL_TIME(T36_C2_wait_for_waits_for_the_clean_up_of_what_it_cut_short)
IN_VIRTUAL_TIME(T36_C2_wait_for_passes_on_an_error_of_the_clean_up)
IN_VIRTUAL_TIME(T36_C2_wait_for_gives_the_value_of_a_call_that_finished_all_the_same)
IN_VIRTUAL_TIME(T36_C2_cancellation_from_outside_wins_over_the_limit)
IN_VIRTUAL_TIME(T36_C2_cancelled_caller_starts_nothing)
IN_VIRTUAL_TIME(T37_gather_gives_results_in_the_order_of_the_arguments)
IN_VIRTUAL_TIME(T37_gather_lets_siblings_go_on_after_the_first_error)
IN_VIRTUAL_TIME(T37_T21_H1_gather_gives_all_errors_when_asked_for)
IN_VIRTUAL_TIME(T37_C3_cancelled_gather_cancels_all_and_waits_for_them)
IN_VIRTUAL_TIME(T37_child_cancelled_by_itself_does_not_cancel_gather)
IN_VIRTUAL_TIME(deadline_around_gather_is_returned_unless_all_succeeded)
IN_VIRTUAL_TIME(gather_without_memory_leaves_nothing_behind)
IN_VIRTUAL_TIME(T37_duplicates_in_gather_run_once)
IN_VIRTUAL_TIME(T30_C3_waiting_for_futures_never_cancels_them)
IN_VIRTUAL_TIME(wait_ends_as_its_condition_says)
IN_VIRTUAL_TIME(cancelled_future_is_no_error_to_wait)
IN_VIRTUAL_TIME(T21_H1_wait_takes_no_error_but_for_first_error)
IN_VIRTUAL_TIME(as_completed_gives_each_once_in_the_order_of_ends)
IN_VIRTUAL_TIME(as_completed_times_out_for_each_that_remains)
IN_VIRTUAL_TIME(T30_C7_shielded_task_outlives_its_cancelled_waiter)
IN_VIRTUAL_TIME(C7_failure_after_the_waiter_left_is_reported_once)
IN_VIRTUAL_TIME(C7_inner_cancelled_by_others_ends_the_shield_cancelled)
IN_VIRTUAL_TIME(race_is_won_by_the_first_and_the_others_never_start)
IN_VIRTUAL_TIME(race_starts_the_next_one_when_the_last_failed)
IN_VIRTUAL_TIME(race_starts_the_next_one_after_the_delay_and_ends_the_losers)
IN_VIRTUAL_TIME(race_that_all_lose_returns_every_error)
IN_VIRTUAL_TIME(only_the_first_of_several_winners_wins)
IN_VIRTUAL_TIME(C3_cancelled_race_ends_its_runners)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T36_C2_wait_for_gives_what_the_call_returned),
        IN_LOOP_TEST(T36_C2_wait_for_0_or_less_never_starts_the_call),
        IN_LOOP_TEST(T36_C2_wait_for_waits_for_the_clean_up_of_what_it_cut_short),
        IN_LOOP_TEST(T36_C2_wait_for_passes_on_an_error_of_the_clean_up),
        IN_LOOP_TEST(T36_C2_wait_for_gives_the_value_of_a_call_that_finished_all_the_same),
        IN_LOOP_TEST(T36_C2_cancellation_from_outside_wins_over_the_limit),
        IN_LOOP_TEST(T36_C2_cancelled_caller_starts_nothing),
        IN_LOOP_TEST(T37_gather_gives_results_in_the_order_of_the_arguments),
        IN_LOOP_TEST(T37_gather_lets_siblings_go_on_after_the_first_error),
        IN_LOOP_TEST(T37_T21_H1_gather_gives_all_errors_when_asked_for),
        IN_LOOP_TEST(T37_C3_cancelled_gather_cancels_all_and_waits_for_them),
        IN_LOOP_TEST(T37_child_cancelled_by_itself_does_not_cancel_gather),
        IN_LOOP_TEST(deadline_around_gather_is_returned_unless_all_succeeded),
        IN_LOOP_TEST(gather_without_memory_leaves_nothing_behind),
        IN_LOOP_TEST(T37_duplicates_in_gather_run_once),
        IN_LOOP_TEST(T30_C3_waiting_for_futures_never_cancels_them),
        IN_LOOP_TEST(wait_ends_as_its_condition_says),
        IN_LOOP_TEST(cancelled_future_is_no_error_to_wait),
        IN_LOOP_TEST(T21_H1_wait_takes_no_error_but_for_first_error),
        IN_LOOP_TEST(as_completed_gives_each_once_in_the_order_of_ends),
        IN_LOOP_TEST(as_completed_times_out_for_each_that_remains),
        IN_LOOP_TEST(T30_C7_shielded_task_outlives_its_cancelled_waiter),
        IN_LOOP_TEST(C7_failure_after_the_waiter_left_is_reported_once),
        IN_LOOP_TEST(C7_inner_cancelled_by_others_ends_the_shield_cancelled),
        IN_LOOP_TEST(race_is_won_by_the_first_and_the_others_never_start),
        IN_LOOP_TEST(race_starts_the_next_one_when_the_last_failed),
        IN_LOOP_TEST(race_starts_the_next_one_after_the_delay_and_ends_the_losers),
        IN_LOOP_TEST(race_that_all_lose_returns_every_error),
        IN_LOOP_TEST(only_the_first_of_several_winners_wins),
        IN_LOOP_TEST(C3_cancelled_race_ends_its_runners),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
