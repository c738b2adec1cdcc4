/* SPDX-License-Identifier: Apache-2.0 */
/* Process pools (row D11; T52, T85). The program is its own worker; a module is loaded too. */
#include "config.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "core/base/sites.h"
#include "core/exec/process_pool.h"
#include "tests/unit/exec/worker_jobs.h"
#include "tests/unit/support/support.h"

static weir_error *new_pool(unsigned processes, bool kill_on_cancel, weir_process_pool **ret)
{
    weir_process_pool_options options = {WEIR_SIZED(weir_process_pool_options), .name = "test",
                                         .processes = processes, .kill_on_cancel = kill_on_cancel,
                                         .result_limit = (size_t)1024 * 1024};

    return weir_process_pool_new(&options, ret);
}

static bool holds(weir_buffer *buffer, const char *expected)
{
    weir_slice all;

    return check_code(WEIR_HERE, "linear", weir_buffer_linear(buffer, &all), 0) &&
           weir_slice_equal(all, weir_slice_str(expected));
}

static weir_error *pid_of(weir_process_pool *pool, int *ret)
{
    weir_auto(weir_buffer) result = NULL;

    WEIR_TRY(weir_process_pool_call(pool, "pid", WEIR_SLICE(""), &result));
    memcpy(ret, weir_buffer_first(result).data, sizeof(*ret));
    return NULL;
}

static bool no_children(void)
{
    return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD;
}

static weir_error *D11_E2_job_is_looked_up_by_name_in_another_process(void *arg)
{
    weir_auto(weir_process_pool) pool = NULL;
    weir_auto(weir_buffer) result = NULL;
    int pid = 0;

    (void)arg;
    CHECK_OK(new_pool(1, false, &pool));
    CHECK_OK(weir_process_pool_call(pool, "echo", WEIR_SLICE("there and back"), &result));
    CHECK(holds(result, "there and back"));
    CHECK_OK(pid_of(pool, &pid));
    CHECK(pid > 0 && pid != getpid());
    CHECK_CODE(weir_process_pool_call(pool, "nobody", WEIR_SLICE(""), NULL), WEIR_ENONAME);
    CHECK_OK(weir_process_pool_join(pool, WEIR_S(60)));
    CHECK(no_children());
    return NULL;
}

static weir_error *D11_submit_gives_a_future_with_the_result(void *arg)
{
    weir_auto(weir_process_pool) pool = NULL;
    weir_auto(weir_future) future = NULL;
    void *value = NULL;

    (void)arg;
    CHECK_OK(new_pool(1, false, &pool));
    CHECK_OK(weir_process_pool_submit(pool, "echo", WEIR_SLICE("later"), &future));
    CHECK_OK(weir_await(future));
    CHECK_OK(weir_future_get_result(future, &value));
    CHECK(holds(value, "later"));
    CHECK_OK(weir_process_pool_join(pool, WEIR_S(60)));
    return NULL;
}

static weir_error *D11_errors_come_as_code_and_message(void *arg)
{
    weir_auto(weir_process_pool) pool = NULL;
    weir_error *error;
    char text[256];

    (void)arg;
    CHECK_OK(new_pool(1, false, &pool));
    error = weir_process_pool_call(pool, "fails", WEIR_SLICE("luck"), NULL);
    weir_error_message(error, text, sizeof text);
    CHECK(strcmp(text, "no luck here") == 0);
    CHECK_CODE(error, ENOENT);
    CHECK_OK(weir_process_pool_join(pool, WEIR_S(60)));
    return NULL;
}

static weir_error *D11_arguments_and_results_have_a_limit(void *arg)
{
    weir_auto(weir_process_pool) pool = NULL;
    weir_auto(weir_buffer) result = NULL;
    size_t size = (size_t)1024 * 1024;
    char *bytes = calloc(1, size + 1);
    weir_error *small = NULL, *big;

    (void)arg;
    CHECK_OK(new_pool(1, false, &pool));
    big = weir_process_pool_call(pool, "echo", weir_slice_of(bytes, size + 1), NULL);
    small = weir_process_pool_call(pool, "echo", weir_slice_of(bytes, size), &result);
    free(bytes);
    CHECK_CODE(big, WEIR_ELIMIT);
    CHECK_OK(small);
    CHECK(weir_buffer_size(result) == size);
    CHECK_OK(weir_process_pool_join(pool, WEIR_S(60)));
    return NULL;
}

struct call {
    weir_process_pool *pool;
    const char *name;
    weir_code code;
};

static weir_error *make_call(void *arg)
{
    struct call *call = arg;
    weir_error *error = weir_process_pool_call(call->pool, call->name, WEIR_SLICE(""), NULL);

    call->code = weir_error_code(error);
    weir_ignore(error);
    return NULL;
}

static weir_error *T52_D11_killed_worker_fails_its_job_and_the_others_go_on(void *arg)
{
    weir_auto(weir_process_pool) pool = NULL;
    struct call calls[12];
    weir_error *error;
    char text[256];

    (void)arg;
    CHECK_OK(new_pool(2, false, &pool));
    error = weir_process_pool_call(pool, "crash", WEIR_SLICE(""), NULL);
    weir_error_message(error, text, sizeof text);
    CHECK(strstr(text, "job \"crash\": worker process ") &&
          strstr(text, " of pool test was killed by SIGKILL"));
    CHECK_CODE(error, WEIR_EWORKER);
    error = weir_process_pool_call(pool, "exit", WEIR_SLICE(""), NULL);
    weir_error_message(error, text, sizeof text);
    CHECK(strstr(text, " of pool test exited with status 3"));
    CHECK_CODE(error, WEIR_EWORKER);
    {
        WEIR_GROUP(group);
        for (int i = 0; i < 12; i++) {
            calls[i] = (struct call){.pool = pool, .name = i % 3 == 0 ? "crash" : "echo"};
            CHECK_OK(weir_group_spawn(&group, make_call, &calls[i], NULL));
        }
        CHECK_OK(weir_group_join(&group));
    }
    for (int i = 0; i < 12; i++)
        CHECK(calls[i].code == (i % 3 == 0 ? WEIR_EWORKER : 0));
    CHECK_OK(weir_process_pool_join(pool, WEIR_S(60)));
    CHECK(no_children());
    return NULL;
}

static weir_error *T52_D11_idle_worker_that_was_killed_is_replaced_unnoticed(void *arg)
{
    weir_auto(weir_process_pool) pool = NULL;
    siginfo_t info;
    int first = 0, second = 0;

    (void)arg;
    CHECK_OK(new_pool(1, false, &pool));
    CHECK_OK(pid_of(pool, &first));
    kill(first, SIGKILL);
    CHECK(waitid(P_PID, (id_t)first, &info, WEXITED | WNOWAIT) == 0);
    CHECK_OK(pid_of(pool, &second));
    CHECK(second != first);
    CHECK_OK(weir_process_pool_join(pool, WEIR_S(60)));
    return NULL;
}

static weir_error *D11_worker_is_replaced_after_so_many_jobs(void *arg)
{
    weir_auto(weir_process_pool) pool = NULL;
    weir_process_pool_options options = {WEIR_SIZED(weir_process_pool_options), .processes = 1,
                                         .jobs_per_worker = 2, .retries = 1};
    int pids[3] = {0};

    (void)arg;
    CHECK_OK(weir_process_pool_new(&options, &pool));
    for (int i = 0; i < 3; i++)
        CHECK_OK(pid_of(pool, &pids[i]));
    CHECK(pids[0] == pids[1] && pids[1] != pids[2]);
    CHECK_CODE(weir_process_pool_call(pool, "exit", WEIR_SLICE(""), NULL), WEIR_EWORKER);
    CHECK_OK(weir_process_pool_join(pool, WEIR_S(60)));
    return NULL;
}

/* Suspends until a worker runs a job. */
static weir_error *until_running(weir_process_pool *pool)
{
    for (bool running = false; !running;) {
        pthread_mutex_lock(&pool->lock);
        running = !list_empty(&pool->running);
        pthread_mutex_unlock(&pool->lock);
        WEIR_TRY(weir_sleep(WEIR_MS(0)));
    }
    return NULL;
}

static weir_error *D11_cancelled_job_is_asked_and_its_outcome_wins(void *arg)
{
    weir_auto(weir_process_pool) pool = NULL;
    weir_auto(weir_task) task = NULL;
    struct call call = {.name = "until_asked", .code = -1};

    (void)arg;
    CHECK_OK(new_pool(1, false, &pool));
    call.pool = pool;
    CHECK_OK(weir_spawn(make_call, &call, &task));
    CHECK_OK(until_running(pool));
    CHECK(weir_task_cancel(task));
    CHECK_OK(weir_task_await(task));
    CHECK(call.code == 0);
    CHECK_OK(weir_process_pool_call(pool, "echo", WEIR_SLICE("a"), NULL));
    CHECK_OK(weir_process_pool_join(pool, WEIR_S(60)));
    return NULL;
}

static weir_error *D11_kill_on_cancel_ends_a_job_that_does_not_listen(void *arg)
{
    weir_auto(weir_process_pool) pool = NULL;
    weir_auto(weir_task) task = NULL;
    struct call call = {.name = "for_ever", .code = -1};

    (void)arg;
    CHECK_OK(new_pool(1, true, &pool));
    call.pool = pool;
    CHECK_OK(weir_spawn(make_call, &call, &task));
    CHECK_OK(until_running(pool));
    CHECK(weir_task_cancel(task));
    CHECK_OK(weir_task_await(task));
    CHECK(call.code == WEIR_ECANCELED);
    CHECK_OK(weir_process_pool_call(pool, "echo", WEIR_SLICE("a"), NULL));
    CHECK_OK(weir_process_pool_join(pool, WEIR_S(60)));
    CHECK(no_children());
    return NULL;
}

static weir_error *D11_shutdown_kills_what_still_runs_at_its_limit_and_names_it(void *arg)
{
    weir_auto(weir_process_pool) pool = NULL;
    weir_auto(weir_future) future = NULL;
    char log[1024];

    (void)arg;
    weir__site_forget();
    CHECK_OK(new_pool(1, false, &pool));
    CHECK_OK(weir_process_pool_submit(pool, "for_ever", WEIR_SLICE(""), &future));
    CHECK_OK(until_running(pool));
    capture_log_begin();
    CHECK_CODE(weir_process_pool_join(pool, WEIR_MS(20)), WEIR_ETIMEDOUT);
    capture_log_end(log, sizeof log);
    CHECK(strstr(log, "process pool 'test' did not end within 0.020 seconds: 1 job was killed: "
                      "for_ever() at "));
    CHECK_CODE(weir_await(future), WEIR_ECANCELED);
    CHECK(no_children());
    CHECK_CODE(weir_process_pool_call(pool, "echo", WEIR_SLICE(""), NULL), WEIR_ECLOSED);
    return NULL;
}

static weir_error *T85_D11_worker_has_no_descriptors_and_masks_of_ours(void *arg)
{
    weir_auto(weir_process_pool) pool = NULL;
    weir_auto(weir_buffer) result = NULL;
    int fds[2];
    weir_error *error;

    (void)arg;
    CHECK(pipe(fds) == 0); /* without CLOEXEC */
    CHECK_OK(new_pool(1, false, &pool));
    error = weir_process_pool_call(pool, "look", WEIR_SLICE(""), &result);
    close(fds[0]);
    close(fds[1]);
    CHECK_OK(error);
    CHECK(holds(result, "4 descriptors, 0 masked"));
    CHECK_OK(weir_process_pool_join(pool, WEIR_S(60)));
    return NULL;
}

static weir_error *D11_module_is_loaded_by_its_path(void *arg)
{
    const char *folder = getenv("WEIR_BUILDDIR");
    weir_process_pool_options options = {WEIR_SIZED(weir_process_pool_options), .processes = 1};
    weir_auto(weir_process_pool) pool = NULL;
    weir_auto(weir_process_pool) none = NULL;
    weir_auto(weir_buffer) result = NULL;
    char path[4096], program[4096];

    (void)arg;
    snprintf(path, sizeof path, "%s/tests/unit/exec/.libs/worker_module.so", folder ? folder : ".");
    snprintf(program, sizeof program, "%s/weir-worker", folder ? folder : ".");
    options.module = path;
    options.program = program; /* it is installed elsewhere later */
    CHECK_OK(weir_process_pool_new(&options, &pool));
    CHECK_OK(weir_process_pool_call(pool, "echo", WEIR_SLICE("module"), &result));
    CHECK(holds(result, "module"));
    CHECK_OK(weir_process_pool_join(pool, WEIR_S(60)));
    options.module = "/no/such/module.so";
    CHECK_OK(weir_process_pool_new(&options, &none));
    CHECK_CODE(weir_process_pool_call(none, "echo", WEIR_SLICE(""), NULL), WEIR_EPLUGIN);
    CHECK_OK(weir_process_pool_join(none, WEIR_S(60)));
    CHECK(no_children());
    return NULL;
}

static weir_error *D11_program_that_is_no_worker_is_an_error_of_the_job(void *arg)
{
    weir_process_pool_options options = {WEIR_SIZED(weir_process_pool_options), .processes = 1};
    weir_auto(weir_process_pool) wrong = NULL;
    weir_auto(weir_process_pool) none = NULL;

    (void)arg;
    options.program = "/bin/false";
    CHECK_OK(weir_process_pool_new(&options, &wrong));
    CHECK_CODE(weir_process_pool_call(wrong, "echo", WEIR_SLICE(""), NULL), WEIR_EWORKER);
    CHECK_OK(weir_process_pool_join(wrong, WEIR_S(60)));
    options.program = "/no/such/program";
    CHECK_OK(weir_process_pool_new(&options, &none));
    CHECK_CODE(weir_process_pool_call(none, "echo", WEIR_SLICE(""), NULL), ENOENT);
    CHECK_OK(weir_process_pool_join(none, WEIR_S(60)));
    weir__worker_main_called = false;
    CHECK_CODE(weir_process_pool_new(NULL, &none), WEIR_EINVALSTATE);
    weir__worker_main_called = true;
    return NULL;
}

IN_LOOP(D11_E2_job_is_looked_up_by_name_in_another_process)
IN_LOOP(D11_submit_gives_a_future_with_the_result)
IN_LOOP(D11_errors_come_as_code_and_message)
IN_LOOP(D11_arguments_and_results_have_a_limit)
IN_LOOP(T52_D11_killed_worker_fails_its_job_and_the_others_go_on)
IN_LOOP(T52_D11_idle_worker_that_was_killed_is_replaced_unnoticed)
IN_LOOP(D11_worker_is_replaced_after_so_many_jobs)
IN_LOOP(D11_cancelled_job_is_asked_and_its_outcome_wins)
IN_LOOP(D11_kill_on_cancel_ends_a_job_that_does_not_listen)
IN_LOOP(D11_shutdown_kills_what_still_runs_at_its_limit_and_names_it)
IN_LOOP(T85_D11_worker_has_no_descriptors_and_masks_of_ours)
IN_LOOP(D11_module_is_loaded_by_its_path)
IN_LOOP(D11_program_that_is_no_worker_is_an_error_of_the_job)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(D11_E2_job_is_looked_up_by_name_in_another_process),
        IN_LOOP_TEST(D11_submit_gives_a_future_with_the_result),
        IN_LOOP_TEST(D11_errors_come_as_code_and_message),
        IN_LOOP_TEST(D11_arguments_and_results_have_a_limit),
        IN_LOOP_TEST(T52_D11_killed_worker_fails_its_job_and_the_others_go_on),
        IN_LOOP_TEST(T52_D11_idle_worker_that_was_killed_is_replaced_unnoticed),
        IN_LOOP_TEST(D11_worker_is_replaced_after_so_many_jobs),
        IN_LOOP_TEST(D11_cancelled_job_is_asked_and_its_outcome_wins),
        IN_LOOP_TEST(D11_kill_on_cancel_ends_a_job_that_does_not_listen),
        IN_LOOP_TEST(D11_shutdown_kills_what_still_runs_at_its_limit_and_names_it),
        IN_LOOP_TEST(T85_D11_worker_has_no_descriptors_and_masks_of_ours),
        IN_LOOP_TEST(D11_module_is_loaded_by_its_path),
        IN_LOOP_TEST(D11_program_that_is_no_worker_is_an_error_of_the_job),
    };

    weir_worker_main(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
