/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of isolated threads (row D10; T51). */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <weir/isolate.h>
#include <weir/scope.h>

#include "core/base/alloc.h"
#include "tests/unit/support/support.h"

static atomic_int started, stopped;
static const void *seen_argument;

static weir_error *echo(weir_slice argument, weir_buffer *result)
{
    return weir_buffer_append(result, argument);
}

static weir_error *remember(weir_slice argument, weir_buffer *result)
{
    seen_argument = argument.data;
    return weir_buffer_append(result, argument);
}

static weir_error *fails(weir_slice argument, weir_buffer *result)
{
    (void)result;
    return weir_raise(ENOENT, "no %.*s here", (int)argument.len, (const char *)argument.data);
}

/* How often this worker was called. */
static weir_error *count(weir_slice argument, weir_buffer *result)
{
    int *state = weir_isolate_state();

    (void)argument;
    ++*state;
    return weir_buffer_append(result, weir_slice_of(state, sizeof(*state)));
}

static weir_error *sleeps(weir_slice argument, weir_buffer *result)
{
    weir_chunk *chunk = NULL;

    WEIR_TRY(weir_sleep(WEIR_MS(1)));
    WEIR_TRY(weir_chunk_new(WEIR_CHUNK_SIZE, &chunk)); /* of this thread's loop */
    memset(weir_chunk_data(chunk), 'x', WEIR_CHUNK_SIZE);
    weir_error *error =
        weir_buffer_append(result, weir_slice_of(weir_chunk_data(chunk), WEIR_CHUNK_SIZE));
    weir_chunk_unref(chunk);
    return error ? error : weir_buffer_append(result, argument);
}

static weir_error *start(void **ret_state)
{
    int *state = weir__calloc(1, sizeof(*state));

    if (!state)
        return weir_raise(WEIR_ENOMEM, "state");
    atomic_fetch_add(&started, 1);
    *ret_state = state;
    return NULL;
}

static void stop(void *state)
{
    atomic_fetch_add(&stopped, 1);
    weir__free(state);
}

static weir_error *start_fails(void **ret_state)
{
    (void)ret_state;
    return weir_raise(EACCES, "no interpreter");
}

static const weir_named_job jobs[] = {{"echo", echo},   {"remember", remember}, {"fails", fails},
                                      {"count", count}, {"sleeps", sleeps},     {NULL, NULL}};
static const weir_job_table table = {WEIR_SIZED(weir_job_table), .jobs = jobs, .start = start,
                                     .stop = stop};
static const weir_job_table broken = {WEIR_SIZED(weir_job_table), .jobs = jobs,
                                      .start = start_fails};

static weir_error *new_pool(const weir_job_table *jobs_of, bool with_loop, weir_isolate_pool **ret)
{
    weir_isolate_options options = {WEIR_SIZED(weir_isolate_options), .table = jobs_of,
                                    .threads = 1, .with_loop = with_loop,
                                    .result_limit = (size_t)32 * 1024};

    atomic_store(&started, 0);
    atomic_store(&stopped, 0);
    return weir_isolate_pool_new(&options, ret);
}

static bool holds(weir_buffer *buffer, weir_slice expected)
{
    weir_slice all;

    return check_code(WEIR_HERE, "linear", weir_buffer_linear(buffer, &all), 0) &&
           weir_slice_equal(all, expected);
}

static weir_error *T51_D10_arguments_and_results_are_copies(void *arg)
{
    weir_auto(weir_isolate_pool) pool = NULL;
    weir_auto(weir_buffer) result = NULL;
    weir_auto(weir_future) future = NULL;
    void *value = NULL;
    char bytes[] = "mine";

    (void)arg;
    CHECK_OK(new_pool(&table, false, &pool));
    CHECK_OK(weir_isolate_submit(pool, "remember", weir_slice_str(bytes), &future));
    bytes[0] = 'M'; /* the job has its own by now, whenever it runs */
    CHECK_OK(weir_await(future));
    CHECK_OK(weir_future_take_result(future, &value));
    result = value;
    CHECK(seen_argument != bytes);
    CHECK(holds(result, WEIR_SLICE("mine")));
    CHECK_OK(weir_isolate_pool_join(pool, WEIR_S(60)));
    return NULL;
}

static weir_error *T51_D10_errors_come_as_code_and_message(void *arg)
{
    weir_auto(weir_isolate_pool) pool = NULL;
    weir_error *error;
    char text[256];

    (void)arg;
    CHECK_OK(new_pool(&table, false, &pool));
    error = weir_isolate_call(pool, "fails", WEIR_SLICE("luck"), NULL);
    weir_error_message(error, text, sizeof text);
    CHECK(strcmp(text, "no luck here") == 0);
    CHECK(weir_error_cause(error) == NULL);
    CHECK_CODE(error, ENOENT);
    CHECK_CODE(weir_isolate_call(pool, "nobody", WEIR_SLICE(""), NULL), WEIR_ENONAME);
    CHECK_OK(weir_isolate_pool_join(pool, WEIR_S(60)));
    return NULL;
}

static weir_error *D10_each_worker_has_a_state_from_start_to_stop(void *arg)
{
    weir_auto(weir_isolate_pool) pool = NULL;
    int expected[] = {1, 2, 3};

    (void)arg;
    CHECK(weir_isolate_state() == NULL);
    CHECK_OK(new_pool(&table, false, &pool));
    for (int i = 0; i < 3; i++) {
        weir_auto(weir_buffer) result = NULL;

        CHECK_OK(weir_isolate_call(pool, "count", WEIR_SLICE(""), &result));
        CHECK(holds(result, weir_slice_of(&expected[i], sizeof(int))));
    }
    CHECK_OK(weir_isolate_pool_join(pool, WEIR_S(60)));
    CHECK(atomic_load(&started) == 1 && atomic_load(&stopped) == 1);
    return NULL;
}

static weir_error *D10_job_in_a_loop_of_its_own_may_suspend(void *arg)
{
    weir_auto(weir_isolate_pool) pool = NULL;
    weir_auto(weir_buffer) result = NULL;
    weir_buffer *first = NULL;
    char log[1024];

    (void)arg;
    CHECK_OK(new_pool(&table, true, &pool));
    CHECK_OK(weir_isolate_call(pool, "sleeps", WEIR_SLICE("end"), &first));
    CHECK(weir_buffer_size(first) == WEIR_CHUNK_SIZE + 3);
    capture_log_begin();
    weir_buffer_unref(first); /* holds no chunk of the other loop */
    capture_log_end(log, sizeof log);
    CHECK(log[0] == '\0');
    CHECK_OK(weir_isolate_call(pool, "sleeps", WEIR_SLICE("end"), &result));
    CHECK_OK(weir_isolate_pool_join(pool, WEIR_S(60)));
    CHECK(*(const char *)weir_buffer_first(result).data == 'x'); /* outlives that loop */
    return NULL;
}

static weir_error *D10_start_that_fails_breaks_the_pool(void *arg)
{
    weir_auto(weir_isolate_pool) pool = NULL;

    (void)arg;
    CHECK_OK(new_pool(&broken, true, &pool));
    CHECK_CODE(weir_isolate_call(pool, "echo", WEIR_SLICE("a"), NULL), EACCES);
    CHECK_CODE(weir_isolate_call(pool, "echo", WEIR_SLICE("a"), NULL), EACCES);
    CHECK_OK(weir_isolate_pool_join(pool, WEIR_S(60)));
    return NULL;
}

static weir_error *D10_arguments_and_results_have_a_limit(void *arg)
{
    weir_auto(weir_isolate_pool) pool = NULL;
    static char big[(size_t)32 * 1024 + 1];

    (void)arg;
    CHECK_OK(new_pool(&table, true, &pool));
    CHECK_CODE(weir_isolate_call(pool, "echo", weir_slice_of(big, sizeof big), NULL), WEIR_ELIMIT);
    CHECK_CODE(weir_isolate_call(pool, "sleeps", weir_slice_of(big, sizeof big - 1), NULL),
               WEIR_ELIMIT);
    CHECK_OK(weir_isolate_pool_join(pool, WEIR_S(60)));
    return NULL;
}

static weir_error *T95_D10_no_memory_for_a_call_is_its_error(void *arg)
{
    weir_auto(weir_isolate_pool) pool = NULL;
    bool failed = true;

    (void)arg;
    CHECK_OK(new_pool(&table, false, &pool));
    for (unsigned long n = 1; failed && n < 100; n++) {
        weir_auto(weir_future) future = NULL;
        weir_error *error;

        weir__alloc_fail_nth = n;
        error = weir_isolate_submit(pool, "echo", WEIR_SLICE("a"), &future);
        failed = weir__alloc_fail_nth == 0;
        weir__alloc_fail_nth = 0;
        if (error)
            CHECK_CODE(error, WEIR_ENOMEM);
        else
            CHECK_OK(weir_await(future));
    }
    CHECK(!failed);
    CHECK_OK(weir_isolate_pool_join(pool, WEIR_S(60)));
    return NULL;
}

IN_LOOP(T51_D10_arguments_and_results_are_copies)
IN_LOOP(T51_D10_errors_come_as_code_and_message)
IN_LOOP(D10_each_worker_has_a_state_from_start_to_stop)
IN_LOOP(D10_job_in_a_loop_of_its_own_may_suspend)
IN_LOOP(D10_start_that_fails_breaks_the_pool)
IN_LOOP(D10_arguments_and_results_have_a_limit)
IN_LOOP(T95_D10_no_memory_for_a_call_is_its_error)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(T51_D10_arguments_and_results_are_copies),
        IN_LOOP_TEST(T51_D10_errors_come_as_code_and_message),
        IN_LOOP_TEST(D10_each_worker_has_a_state_from_start_to_stop),
        IN_LOOP_TEST(D10_job_in_a_loop_of_its_own_may_suspend),
        IN_LOOP_TEST(D10_start_that_fails_breaks_the_pool),
        IN_LOOP_TEST(D10_arguments_and_results_have_a_limit),
        IN_LOOP_TEST(T95_D10_no_memory_for_a_call_is_its_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
