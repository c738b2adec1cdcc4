/* SPDX-License-Identifier: Apache-2.0 */
/* T11 of executors, pools and processes. Pools take calls from every thread: a task of any loop may
   call(), a thread without a loop may not submit(). */
#include "config.h"

#include <signal.h>

#include <weir/isolate.h>
#include <weir/process-pool.h>
#include <weir/process.h>

#include "core/net/process.h"
#include "tests/unit/support/matrix.h"

static struct objects {
    weir_loop *loop;
    weir_executor *executor, *of_loop;
    weir_isolate_pool *isolates;
    weir_process_pool *processes;
    weir_process *process; /* cat: runs until its input ends */
    unsigned refs;
} object;

static weir_future *got_future;
static weir_executor *got_executor;
static weir_process *got_process;
static weir_buffer *got_buffer;

static weir_error *runs(void *arg)
{
    return check_failed(WEIR_HERE, arg ? "ran" : "ran without");
}

static weir_error *named(weir_slice argument, weir_buffer *result)
{
    return weir_buffer_append(result, argument);
}

static const weir_named_job jobs[] = {{"named", named}, {NULL, NULL}};
static const weir_job_table table = {WEIR_SIZED(weir_job_table), .jobs = jobs};
static const char *const cat[] = {"cat", NULL};
static const weir_process_options cat_options = {WEIR_SIZED(weir_process_options), .argv = cat,
                                                 .input = WEIR_STDIO_PIPE,
                                                 .output = WEIR_STDIO_DEVNULL};

/* About this thread's loop */

MATRIX_REFUSED(submit, weir_executor_submit(object.executor, runs, NULL, NULL, &got_future))
MATRIX_REFUSED(isolate_submit,
               weir_isolate_submit(object.isolates, "named", WEIR_SLICE(""), &got_future))
MATRIX_REFUSED(pool_submit,
               weir_process_pool_submit(object.processes, "named", WEIR_SLICE(""), &got_future))
MATRIX_REFUSED(process_spawn, weir_process_spawn(&cat_options, &got_process))

/* About this task, of which there is none */

static bool no_task(weir_error *take_error)
{
    bool refused = weir_error_is(take_error, WEIR_ENOTASK);

    weir_ignore(take_error);
    return refused;
}

static bool executor_call(void)
{
    return no_task(weir_executor_call(object.executor, runs, NULL));
}

static bool executor_join(void)
{
    return no_task(weir_executor_join(object.executor, WEIR_S(1)));
}

static bool to_thread(void)
{
    return no_task(weir_to_thread(runs, NULL));
}

static bool isolate_call(void)
{
    return no_task(weir_isolate_call(object.isolates, "named", WEIR_SLICE(""), &got_buffer));
}

static bool isolate_join(void)
{
    return no_task(weir_isolate_pool_join(object.isolates, WEIR_S(1)));
}

static bool pool_call(void)
{
    return no_task(weir_process_pool_call(object.processes, "named", WEIR_SLICE(""), &got_buffer));
}

static bool pool_join(void)
{
    return no_task(weir_process_pool_join(object.processes, WEIR_S(1)));
}

/* About the other loop */

MATRIX_REFUSED(loop_executor, weir_loop_executor(object.loop, WEIR_EXECUTOR_FILE, &got_executor))
MATRIX_REFUSED(default_executor, weir_loop_default_executor(object.loop, &got_executor))
MATRIX_REFUSED(process_wait, weir_process_wait(object.process, NULL))
MATRIX_REFUSED(close_input, weir_process_close_input(object.process))
MATRIX_REFUSED(communicate, weir_process_communicate(object.process, NULL, &got_buffer, NULL))
MATRIX_REFUSED(send_signal, weir_process_send_signal(object.process, SIGKILL))

static bool set_executor(void)
{
    weir_loop_set_executor(object.loop, WEIR_EXECUTOR_DEFAULT, NULL);
    return true;
}

static bool set_default_executor(void)
{
    weir_loop_set_default_executor(object.loop, NULL);
    return true;
}

static bool process_ref(void)
{
    return weir_process_ref(object.process) == NULL;
}

static bool terminate(void)
{
    weir_process_terminate(object.process);
    return true;
}

static bool kill_process(void)
{
    weir_process_kill(object.process);
    return true;
}

static const struct matrix_row rows[] = {
    {"weir_executor_submit()", submit, MATRIX_HERE},
    {"weir_isolate_submit()", isolate_submit, MATRIX_HERE},
    {"weir_process_pool_submit()", pool_submit, MATRIX_HERE},
    {"weir_process_spawn()", process_spawn, MATRIX_HERE},
    {"weir_executor_call()", executor_call, MATRIX_HERE},
    {"weir_executor_join()", executor_join, MATRIX_HERE},
    {"weir_to_thread()", to_thread, MATRIX_HERE},
    {"weir_isolate_call()", isolate_call, MATRIX_HERE},
    {"weir_isolate_pool_join()", isolate_join, MATRIX_HERE},
    {"weir_process_pool_call()", pool_call, MATRIX_HERE},
    {"weir_process_pool_join()", pool_join, MATRIX_HERE},
    {"weir_loop_executor()", loop_executor, MATRIX_REFUSES},
    {"weir_loop_executor()", default_executor, MATRIX_REFUSES},
    {"weir_process_wait()", process_wait, MATRIX_REFUSES},
    {"weir_process_close_input()", close_input, MATRIX_REFUSES},
    {"weir_process_communicate()", communicate, MATRIX_SUSPENDS},
    {"weir_process_send_signal()", send_signal, MATRIX_REFUSES},
    {"weir_loop_set_executor()", set_executor, MATRIX_IGNORES},
    {"weir_loop_set_executor()", set_default_executor, MATRIX_IGNORES},
    {"weir_process_ref()", process_ref, MATRIX_IGNORES},
    {"weir_process_terminate()", terminate, MATRIX_IGNORES},
    {"weir_process_kill()", kill_process, MATRIX_IGNORES},
};

static weir_error *set_up(void *arg)
{
    weir_isolate_options isolates = {WEIR_SIZED(weir_isolate_options), .table = &table};
    weir_process_pool_options processes = {WEIR_SIZED(weir_process_pool_options),
                                           .program = "/bin/true"};

    (void)arg;
    object = (struct objects){.loop = weir_loop_current()};
    CHECK_OK(weir_executor_new(NULL, &object.executor));
    CHECK_OK(weir_loop_default_executor(object.loop, &object.of_loop));
    CHECK_OK(weir_isolate_pool_new(&isolates, &object.isolates));
    CHECK_OK(weir_process_pool_new(&processes, &object.processes));
    CHECK_OK(weir_process_spawn(&cat_options, &object.process));
    object.refs = object.process->refs;
    return NULL;
}

static weir_error *unharmed(void *arg)
{
    weir_executor *executor;
    int code;

    (void)arg;
    CHECK_OK(weir_loop_default_executor(object.loop, &executor));
    CHECK(executor == object.of_loop);
    CHECK(object.process->refs == object.refs);
    CHECK(!weir_process_exited(object.process, NULL));
    CHECK(weir_process_stream(object.process, 0) != NULL);
    CHECK_OK(weir_process_close_input(object.process));
    CHECK_OK(weir_process_wait(object.process, &code));
    CHECK(code == 0); /* no signal reached it */
    return NULL;
}

static weir_error *tear_down(void *arg)
{
    (void)arg;
    weir_process_unref(object.process);
    CHECK_OK(weir_process_pool_join(object.processes, WEIR_S(5)));
    weir_process_pool_unref(object.processes);
    CHECK_OK(weir_isolate_pool_join(object.isolates, WEIR_S(5)));
    weir_isolate_pool_unref(object.isolates);
    CHECK_OK(weir_executor_join(object.executor, WEIR_S(5)));
    weir_executor_unref(object.executor);
    return NULL;
}

static const struct matrix matrix = {rows, sizeof(rows) / sizeof(rows[0]), set_up, unharmed,
                                     tear_down};

MATRIX_TESTS(executors, &matrix)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_MAIN_TEST(T11_B2_executors_in_release_mode_with_the_loop_stopped),
        ON_MAIN_TEST(T11_B2_executors_in_release_mode_with_the_loop_running),
        ON_MAIN_TEST(T11_B2_executors_in_debug_mode_with_the_loop_stopped),
        ON_MAIN_TEST(T11_B2_executors_in_debug_mode_with_the_loop_running),
    };

    return cmocka_run_group_tests_name("thread matrix of executors", tests, NULL, NULL);
}
