/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks: ten thousand tasks, guards, the budget of guards, overflow (T88, T92). Names are claims. */
#include "config.h"

#undef _FORTIFY_SOURCE /* its longjmp refuses what T93 is about */

#include <errno.h>
#include <fenv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/introspection.h>
#include <weir/scope.h>

#include "core/task/fiber.h"
#include "core/task/stack.h"
#include "core/task/task.h"
#include "tests/unit/support/support.h"

#ifdef HAVE_VALGRIND_VALGRIND_H
#    include <valgrind/valgrind.h>
#else
#    define RUNNING_ON_VALGRIND 0
#endif

/* clang's thread sanitizer takes 145 KB for each; address sanitizer poisons 256 KiB for each. */
#if defined(WEIR_TSAN)
#    define MANY 1000
#elif defined(WEIR_ASAN)
#    define MANY 2000
#else
#    define MANY 10000
#endif

static size_t woken;

static weir_error *wait_for_it(void *future)
{
    WEIR_TRY(weir_await(future));
    woken++;
    return NULL;
}

static weir_error *many_tasks_wait_for_one_future(void *arg)
{
    weir_auto(weir_future) f = NULL;
    WEIR_GROUP(group);

    (void)arg;
    woken = 0;
    CHECK_OK(weir_future_new(&f));
    for (int i = 0; i < MANY; i++)
        CHECK_OK(weir_group_spawn(&group, wait_for_it, f, NULL));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(woken == 0);
    CHECK_OK(weir_future_set_result(f, NULL, NULL));
    CHECK_OK(weir_group_join(&group));
    CHECK(woken == MANY);
    return NULL;
}

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    size_t total = 0, resident = 0;

    if (!file)
        return 0;
    if (fscanf(file, "%zu %zu", &total, &resident) != 2)
        resident = 0;
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static weir_error *T92_suspended_shallow_task_is_one_resident_page(void *arg)
{
    weir_auto(weir_future) f = NULL;
    size_t before, after;
    WEIR_GROUP(group);

    (void)arg;
    if (STACK_SIZE_DEFAULT != 64 * 1024 || RUNNING_ON_VALGRIND)
        return NULL; /* frames are larger under sanitizers, valgrind's own pages count */
    CHECK_OK(weir_future_new(&f));
    before = resident_bytes();
    for (int i = 0; i < MANY; i++)
        CHECK_OK(weir_group_spawn(&group, wait_for_it, f, NULL));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    after = resident_bytes();
    CHECK(after - before < (size_t)MANY * 4400);
    CHECK_OK(weir_future_set_result(f, NULL, NULL));
    CHECK_OK(weir_group_join(&group));
    CHECK(resident_bytes() < before + (size_t)MANY * 400); /* idle stacks are given back */
    return NULL;
}

static weir_error *use_much_stack(void *arg)
{
    volatile char deep[32 * 1024];

    for (size_t i = 0; i < sizeof deep; i += 64)
        deep[i] = 1;
    deep[sizeof deep - 1] = 1;
    WEIR_TRY(weir_sleep(WEIR_MS(0)));
    *(int *)arg += deep[sizeof deep - 1];
    return NULL;
}

static weir_error *half_of_a_stack_may_be_used(void *arg)
{
    int sum = 0;

    (void)arg;
    {
        WEIR_GROUP(group);
        for (int i = 0; i < 100; i++)
            CHECK_OK(weir_group_spawn(&group, use_much_stack, &sum, NULL));
        CHECK_OK(weir_group_join(&group));
    }
    CHECK(sum == 100);
    return NULL;
}

static weir_error *never(void *arg)
{
    (void)arg;
    WEIR_TRY(weir_sleep(WEIR_FOREVER));
    return NULL;
}

static weir_error *spawn_to_the_budget(void *arg)
{
    weir_error *error = NULL;
    char text[512];
    int spawned = 0;

    (void)arg;
    while (!error && spawned < 200) {
        error = weir_spawn(never, NULL, NULL);
        spawned += !error;
    }
    CHECK(spawned == 49); /* this task has the fiftieth */
    CHECK(weir_error_is(error, WEIR_EFULL));
    weir_error_print(error, text, sizeof text);
    weir_error_unref(error);
    CHECK(strstr(text, "vm.max_map_count") != NULL);
    return NULL;
}

static void T88_spawn_past_the_budget_of_guards_is_refused_and_names_the_setting(void **state)
{
    (void)state;
    weir__stack_limits.no_guard_advice = true;
    weir__stack_limits.mapping_budget = 100;
    run_in_loop(spawn_to_the_budget, NULL);
    weir__stack_limits.no_guard_advice = false;
    weir__stack_limits.mapping_budget = 0;
}

static void stacks_of_a_closed_loop_are_returned_to_the_budget(void **state)
{
    T88_spawn_past_the_budget_of_guards_is_refused_and_names_the_setting(state);
    T88_spawn_past_the_budget_of_guards_is_refused_and_names_the_setting(state);
}

static __attribute__((noinline)) int overflow_the_stack(int depth)
{
    volatile char frame[1024];

    frame[0] = (char)depth;
    return overflow_the_stack(depth + 1) + frame[0];
}

static weir_error *run_over(void *arg)
{
    *(volatile int *)arg = overflow_the_stack(0);
    return NULL;
}

static weir_error *start_what_runs_over(void *arg)
{
    weir_auto(weir_task) t = NULL;

    WEIR_TRY(weir_spawn(run_over, arg, &t));
    WEIR_TRY(weir_task_await(t));
    return NULL;
}

/* Runs in a child process; what it says on standard error goes to `text`. */
static int overflow_in_a_child(bool no_guard_advice, char *text, size_t size)
{
    int ends[2], status = 0, number = 0;
    size_t used = 0;
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit no_core = {0, 0};

        setrlimit(RLIMIT_CORE, &no_core);
        dup2(ends[1], STDERR_FILENO);
        weir__stack_limits.no_guard_advice = no_guard_advice;
        weir_ignore(weir_run(start_what_runs_over, &number, NULL));
        _exit(0);
    }
    close(ends[1]);
    while (used < size - 1 && (n = read(ends[0], text + used, size - 1 - used)) > 0)
        used += (size_t)n;
    text[used] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* T88 */
static void T88_overflow_is_reported_by_task_and_size_and_ends_the_process(void **state)
{
    static char text[65536];
    int status = overflow_in_a_child(false, text, sizeof text);

    (void)state;
    assert_non_null(strstr(text, "(run_over, created at"));
    assert_non_null(strstr(text, "test_stack.c"));
    assert_non_null(strstr(text, "bytes is used up"));
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void overflow_into_a_guard_by_mprotect_is_reported_too(void **state)
{
    static char text[65536];
    int status = overflow_in_a_child(true, text, sizeof text);

    (void)state;
    assert_non_null(strstr(text, "(run_over, created at"));
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static weir_error *round_upwards(void *arg)
{
    (void)arg;
    fesetround(FE_UPWARD);
    WEIR_TRY(weir_sleep(WEIR_MS(0)));
    CHECK(fegetround() == FE_UPWARD);
    return NULL;
}

/* T89 */
static weir_error *T89_rounding_mode_belongs_to_the_task(void *arg)
{
    weir_auto(weir_task) t = NULL;

    (void)arg;
    CHECK_OK(weir_spawn(round_upwards, NULL, &t));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(fegetround() == FE_TONEAREST);
    CHECK_OK(weir_task_await(t));
    CHECK(fegetround() == FE_TONEAREST);
    return NULL;
}

static weir_error *spoil_errno(void *arg)
{
    errno = *(int *)arg;
    WEIR_TRY(weir_sleep(WEIR_MS(0)));
    CHECK(errno == *(int *)arg);
    return NULL;
}

static weir_error *T89_errno_belongs_to_the_task(void *arg)
{
    weir_auto(weir_task) a = NULL;
    weir_auto(weir_task) b = NULL;
    int one = ENOENT, two = EPERM;

    (void)arg;
    CHECK_OK(weir_spawn(spoil_errno, &one, &a));
    CHECK_OK(weir_spawn(spoil_errno, &two, &b));
    CHECK_OK(weir_task_await(a));
    CHECK_OK(weir_task_await(b));
    return NULL;
}

static const weir_stack_use *use_of(const char *function)
{
    static weir_stack_use uses[64];
    size_t count = weir_stack_census(uses, 64);

    for (size_t i = 0; i < count && i < 64; i++) {
        if (strcmp(uses[i].function, function) == 0)
            return &uses[i];
    }
    return NULL;
}

static weir_error *use_little_stack(void *arg)
{
    (void)arg;
    return NULL;
}

static weir_error *T91_census_tells_the_deepest_use_of_each_spawn_site(void *arg)
{
    const weir_stack_use *much, *little;
    int sum = 0;

    (void)arg;
    weir_stack_census_start();
    {
        WEIR_GROUP(group);

        for (int i = 0; i < 3; i++)
            CHECK_OK(weir_group_spawn(&group, use_much_stack, &sum, NULL));
        CHECK_OK(weir_group_spawn(&group, use_little_stack, NULL, NULL));
        CHECK_OK(weir_group_join(&group));
    }
    weir_stack_census_stop();
    much = use_of("use_much_stack");
    CHECK(much && much->tasks == 3 && much->highest > 32 * 1024 && much->highest < much->size);
    little = use_of("use_little_stack");
    CHECK(little && little->tasks == 1 && little->highest > 0 && little->highest < 8 * 1024);
    return NULL;
}

static void enter_and_forget(weir_timeout *scope)
{
    weir_timeout_enter(scope, WEIR_S(1), WEIR_HERE);
}

static weir_error *return_from_inside_a_scope(void *arg)
{
    weir_timeout scope = {{0}};

    (void)arg;
    enter_and_forget(&scope);
    return NULL;
}

static jmp_buf way_out;

static weir_error *leave_by_longjmp(void *arg)
{
    (void)arg;
    longjmp(way_out, 1);
}

static weir_error *just_sleep(void *arg)
{
    (void)arg;
    return weir_sleep(WEIR_MS(0));
}

/* Its frame lives while the eager task runs, so the jump itself works. */
static weir_error *spawn_what_jumps_back(void *arg)
{
    (void)arg;
    if (setjmp(way_out) == 0)
        weir_ignore(weir_spawn_eager(leave_by_longjmp, NULL, NULL));
    return weir_spawn(just_sleep, NULL, NULL);
}

static void run_with_a_longjmp(void)
{
    weir_loop *loop = NULL;

    weir_ignore(weir_loop_new(NULL, &loop));
    weir_ignore(weir_loop_call_soon(loop, spawn_what_jumps_back, NULL, NULL, NULL));
    weir_ignore(weir_loop_run_forever(loop));
}

static void run_with_a_scope_left_open(void)
{
    weir_ignore(weir_run(return_from_inside_a_scope, NULL, NULL));
}

/* Runs in a child process, whose standard error goes to `text`; returns how it ended. */
static int run_in_a_child(void (*run)(void), char *text, size_t size)
{
    int ends[2], status = 0;
    size_t used = 0;
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit no_core = {0, 0};

        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        run();
        _exit(0);
    }
    close(ends[1]);
    while (used < size - 1 && (n = read(ends[0], text + used, size - 1 - used)) > 0)
        used += (size_t)n;
    text[used] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void T93_return_with_an_open_scope_names_the_task(void **state)
{
    static char text[16384];
    int status = run_in_a_child(run_with_a_scope_left_open, text, sizeof text);

    (void)state;
    assert_non_null(strstr(text, "(return_from_inside_a_scope, created at "));
    assert_non_null(strstr(text, "without leaving it"));
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void T93_longjmp_out_of_a_task_is_reported_at_the_next_step(void **state)
{
    static char text[16384];
    int status;

    (void)state;
#ifdef WEIR_SANITIZE
    print_message("the longjmp of sanitizers knows one stack\n");
    skip();
#endif
    status = run_in_a_child(run_with_a_longjmp, text, sizeof text);
    assert_non_null(strstr(text, "(leave_by_longjmp, created at "));
    assert_non_null(strstr(text, "was left by longjmp"));
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Where the running task's stack begins: its canary lies just below. */
static uintptr_t lowest_byte(void)
{
    const struct stack_pool *pool = &weir__current_task->future.home->stacks;

    return (uintptr_t)weir__stack_base(pool, weir__current_task->stack) + pool->guard;
}

static __attribute__((noinline)) int run_down_to(uintptr_t lowest)
{
    volatile char frame[64];

    frame[0] = 1;
    return (uintptr_t)frame < lowest ? 0 : run_down_to(lowest) + frame[0];
}

/* Half a page too deep, into nothing but what lies unused below the stack. */
static weir_error *run_over_a_canary(void *arg)
{
    (void)arg;
    (void)run_down_to(lowest_byte() - 2048);
    return NULL;
}

static weir_error *run_almost_over(void *arg)
{
    (void)arg;
    (void)run_down_to(lowest_byte() + 4096);
    return weir_sleep(WEIR_MS(0));
}

static weir_error *start_what_runs_over_a_canary(void *arg)
{
    weir_auto(weir_task) t = NULL;

    WEIR_TRY(weir_spawn(run_over_a_canary, arg, &t));
    return weir_task_await(t);
}

static weir_error *run_without_guards(weir_fn fn)
{
    weir_loop_options loop = {WEIR_SIZED(weir_loop_options), .no_stack_guards = true};
    weir_run_options options = {WEIR_SIZED(weir_run_options), .loop = &loop};

    return weir_run(fn, NULL, &options);
}

static void run_over_without_guards(void)
{
    weir_ignore(run_without_guards(start_what_runs_over_a_canary));
}

static void T88_overflow_without_guards_is_reported_at_the_next_switch(void **state)
{
    static char text[16384];
    int status;

    (void)state;
#ifdef WEIR_SANITIZE
    print_message("frames of sanitizers leap over a canary\n");
    skip();
#endif
    status = run_in_a_child(run_over_without_guards, text, sizeof text);
    assert_non_null(strstr(text, "(run_over_a_canary, created at"));
    assert_non_null(strstr(text, "bytes is used up"));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void T88_without_guards_a_stack_may_be_used_to_its_end(void **state)
{
    (void)state;
    for (int turn = 0; turn < 3; turn++)
        assert_ok(run_without_guards(run_almost_over));
}

static void T88_without_guards_there_is_no_budget(void **state)
{
    (void)state;
    weir__stack_limits.no_guard_advice = true;
    weir__stack_limits.mapping_budget = 1;
    assert_ok(run_without_guards(run_almost_over));
    weir__stack_limits.no_guard_advice = false;
    weir__stack_limits.mapping_budget = 0;
}

IN_LOOP(T89_errno_belongs_to_the_task)
IN_LOOP(T91_census_tells_the_deepest_use_of_each_spawn_site)
IN_LOOP(many_tasks_wait_for_one_future)
IN_LOOP(T92_suspended_shallow_task_is_one_resident_page)
IN_LOOP(half_of_a_stack_may_be_used)
IN_LOOP(T89_rounding_mode_belongs_to_the_task)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LOOP_TEST(many_tasks_wait_for_one_future),
        IN_LOOP_TEST(T92_suspended_shallow_task_is_one_resident_page),
        IN_LOOP_TEST(half_of_a_stack_may_be_used),
        IN_LOOP_TEST(T89_rounding_mode_belongs_to_the_task),
        IN_LOOP_TEST(T89_errno_belongs_to_the_task),
        IN_LOOP_TEST(T91_census_tells_the_deepest_use_of_each_spawn_site),
        ON_MAIN_TEST(T93_return_with_an_open_scope_names_the_task),
        ON_MAIN_TEST(T93_longjmp_out_of_a_task_is_reported_at_the_next_step),
        ON_MAIN_TEST(T88_spawn_past_the_budget_of_guards_is_refused_and_names_the_setting),
        ON_MAIN_TEST(stacks_of_a_closed_loop_are_returned_to_the_budget),
        ON_MAIN_TEST(T88_overflow_is_reported_by_task_and_size_and_ends_the_process),
        ON_MAIN_TEST(overflow_into_a_guard_by_mprotect_is_reported_too),
        ON_MAIN_TEST(T88_overflow_without_guards_is_reported_at_the_next_switch),
        ON_MAIN_TEST(T88_without_guards_a_stack_may_be_used_to_its_end),
        ON_MAIN_TEST(T88_without_guards_there_is_no_budget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
