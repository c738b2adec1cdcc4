/* SPDX-License-Identifier: Apache-2.0 */
/* Development mode: what a crash says, and memory that is written where it must not be. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/log.h>
#include <weir/task.h>

#include "core/base/crash.h"
#include "core/base/fd.h"
#include "tests/unit/base/base_test.h"

static char said[1 << 16];

struct end {
    bool signalled;
    int number; /* of the signal, or the exit status */
};

/* Runs `fn` in a child; `said` is what it wrote to standard error. */
static struct end run_child(void (*fn)(void))
{
    int fd = memfd_create("stderr", MFD_CLOEXEC), status;
    pid_t child;
    ssize_t n;

    assert_true(fd >= 0);
    child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        dup2(fd, STDERR_FILENO);
        dup2(fd, STDOUT_FILENO);
        for (int i = 0; i < 5; i++) /* not cmocka's */
            signal((const int[]){SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}[i], SIG_DFL);
        fn();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    n = pread(fd, said, sizeof(said) - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    close(fd);
    return (struct end){WIFSIGNALED(status),
                        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)};
}

static void expect_said(const char *words)
{
    if (!strstr(said, words))
        fail_msg("\"%s\" is not in:\n%s", words, said);
}

static weir_error *crash_in_task(void *arg)
{
    (void)arg;
    raise(SIGSEGV);
    return NULL;
}

static void crash_while_running(void)
{
    setenv("WEIR_DEV", "1", 1);
    weir_ignore(weir_run(crash_in_task, NULL, NULL));
}

static void A2_a_crash_is_told_with_its_task_and_stack(void **state)
{
    struct end end = run_child(crash_while_running);

    (void)state;
    assert_true(end.signalled);
    assert_int_equal(end.number, SIGSEGV);
    expect_said("weir: crashed by SIGSEGV in task 'Task-");
    expect_said("test_crash.c:");
    expect_said("weir: stack, innermost first (addr2line -fipe FILE OFFSET):\n  #0 ");
    expect_said("+0x");
}

static void abort_quietly(void)
{
    weir__crash_watch();
    abort();
}

static void A2_an_abort_is_told_and_still_aborts(void **state)
{
    struct end end = run_child(abort_quietly);

    (void)state;
    assert_true(end.signalled);
    assert_int_equal(end.number, SIGABRT);
    expect_said("weir: crashed by SIGABRT, thread ");
}

static weir_error *overflow(void *arg)
{
    static volatile bool enough;
    volatile char room[4096];

    if (enough)
        return NULL;
    room[0] = (char)(uintptr_t)arg;
    weir_ignore(overflow((void *)(uintptr_t)room));
    return room[0] ? NULL : weir_raise(EIO, "no");
}

static void overflow_while_running(void)
{
    setenv("WEIR_DEV", "1", 1);
    weir_ignore(weir_run(overflow, NULL, NULL));
}

static void A2_an_overflow_is_told_before_the_stack(void **state)
{
    const char *overflow_line, *crash_line;
    struct end end;

    (void)state;
#ifdef WEIR_SANITIZE
    print_message("sanitizers have handlers and stacks of their own\n");
    skip();
#endif
    end = run_child(overflow_while_running);
    assert_true(end.signalled);
    overflow_line = strstr(said, "weir: stack overflow in task 'Task-");
    crash_line = strstr(said, "weir: crashed by SIGSEGV at address 0x");
    assert_non_null(overflow_line);
    assert_non_null(crash_line);
    assert_true(overflow_line < crash_line);
}

static void not_in_development(void)
{
    unsetenv("WEIR_DEV");
    weir_ignore(weir_run(crash_in_task, NULL, NULL));
}

static void A0_A2_without_development_mode_a_crash_is_left_alone(void **state)
{
    struct end end = run_child(not_in_development);

    (void)state;
    assert_true(end.signalled || end.number != 0);
    assert_null(strstr(said, "weir: crashed"));
}

static void write_past_end(void)
{
    volatile char *memory;

    weir__alloc_guard(true);
    memory = weir__malloc(20);
    memory[20] = 1;
    weir__free((void *)(uintptr_t)memory);
}

static void write_before_begin(void)
{
    volatile char *memory;

    weir__alloc_guard(true);
    memory = weir__malloc(20);
    memory[-1] = 1;
    weir__free((void *)(uintptr_t)memory);
}

static void free_twice(void)
{
    void *memory;

    weir__alloc_guard(true);
    memory = weir__malloc(20);
    weir__free(memory);
    weir__free(memory);
}

static void write_after_free(void)
{
    volatile char *memory;

    weir__alloc_guard(true);
    memory = weir__malloc(20);
    weir__free((void *)(uintptr_t)memory);
    memory[3] = 1;
    for (int i = 0; i < 300; i++)
        weir__free(weir__malloc(8));
}

static void A2_memory_written_out_of_its_bounds_is_found_when_it_is_freed(void **state)
{
    static const struct {
        void (*fn)(void);
        const char *words;
    } cases[] = {{write_past_end, "memory was written past its end"},
                 {write_before_begin, "memory was written before its begin"},
                 {free_twice, "memory was freed twice"},
                 {write_after_free, "memory was written after it was freed"}};

    (void)state;
#ifdef WEIR_SANITIZE
    print_message("sanitizers find it first\n");
    skip();
#endif
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct end end = run_child(cases[i].fn);

        assert_true(end.signalled);
        assert_int_equal(end.number, SIGABRT);
        expect_said(cases[i].words);
    }
}

static void use_well(void)
{
    char *text;
    int *numbers;

    weir__alloc_guard(true);
    text = weir__strdup("kept");
    numbers = weir__calloc(4, sizeof(int));
    numbers[3] = 7;
    numbers = weir__reallocarray(numbers, 4000, sizeof(int));
    if (strcmp(text, "kept") != 0 || numbers[3] != 7 || (uintptr_t)numbers % 16 != 0)
        _exit(1);
    weir__free(text);
    weir__free(numbers);
    weir__free(NULL);
}

static void A2_memory_used_well_is_left_alone(void **state)
{
    struct end end = run_child(use_well);

    (void)state;
    assert_false(end.signalled);
    assert_int_equal(end.number, 0);
    assert_string_equal(said, "");
}

static void close_twice(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    setenv("WEIR_DEV", "1", 1);
    weir__close(fd);
    errno = EIO;
    weir__close(fd);
    if (errno != EIO)
        _exit(1);
    weir_log_flush(WEIR_S(5));
}

static void A2_a_descriptor_closed_twice_is_told(void **state)
{
    struct end end = run_child(close_twice);

    (void)state;
    assert_int_equal(end.number, 0);
    expect_said(" ERROR   weir: close() of descriptor ");
    expect_said(" failed: it was not open; closed twice? at ");
    assert_null(strstr(strstr(said, "failed:") + 1, "failed:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(A2_a_crash_is_told_with_its_task_and_stack),
        cmocka_unit_test(A2_an_abort_is_told_and_still_aborts),
        cmocka_unit_test(A2_an_overflow_is_told_before_the_stack),
        cmocka_unit_test(A0_A2_without_development_mode_a_crash_is_left_alone),
        cmocka_unit_test(A2_memory_written_out_of_its_bounds_is_found_when_it_is_freed),
        cmocka_unit_test(A2_memory_used_well_is_left_alone),
        cmocka_unit_test(A2_a_descriptor_closed_twice_is_told),
    };

    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
