/* SPDX-License-Identifier: Apache-2.0 */
/* Which backend a loop gets: where io_uring works, and in children whose kernel refuses it. */
#include "config.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/loop/loop_test.h"

/* What a child found: its exit status. */
enum found { FOUND_EPOLL = 10, FOUND_URING, FOUND_REFUSAL, FOUND_OTHER };

static char refusal[512];

static enum found look(const char *name)
{
    weir_loop_options options = {WEIR_SIZED(weir_loop_options), .backend = name};
    enum found found = FOUND_OTHER;
    weir_loop *loop;
    weir_error *error = weir_loop_new(&options, &loop);

    if (error) {
        found = weir_error_code(error) == WEIR_EUNSUPPORTED ? FOUND_REFUSAL : FOUND_OTHER;
        weir_error_print(error, refusal, sizeof(refusal));
        weir_error_unref(error);
        return found;
    }
    if (strcmp(weir_loop_backend(loop), "epoll") == 0)
        found = FOUND_EPOLL;
    else if (strcmp(weir_loop_backend(loop), "io_uring") == 0)
        found = FOUND_URING;
    if (!weir_loop_backend_reason(loop)[0])
        found = FOUND_OTHER;
    OK(weir_loop_close(loop));
    weir_loop_unref(loop);
    return found;
}

/* As Docker's default profile does: io_uring_setup() fails, all else is as ever. */
static bool forbid_uring(int code)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((unsigned)code & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* In a child of its own, for a probe is made once in a process. `expected` is to be in the refusal. */
static int in_child(int forbidden, const char *name, const char *expected)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        enum found found;

        if (forbidden && !forbid_uring(forbidden))
            _exit(1);
        found = look(name);
        if (expected && !strstr(refusal, expected)) {
            (void)!write(2, refusal, strlen(refusal));
            found = FOUND_OTHER;
        }
        _exit(found);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int choice_setup(void **state)
{
    (void)state;
    return unsetenv("WEIR_BACKEND");
}

static void auto_is_epoll_and_a_name_is_obeyed(void **state)
{
    int asked = in_child(0, "io_uring", NULL);

    (void)state;
    assert_true(asked == FOUND_URING || asked == FOUND_REFUSAL);

    assert_int_equal(in_child(0, "auto", NULL), FOUND_EPOLL);
    assert_int_equal(in_child(0, NULL, NULL), FOUND_EPOLL);
    assert_int_equal(in_child(0, "epoll", NULL), FOUND_EPOLL);
}

static void where_io_uring_does_not_work_auto_serves_all_the_same(void **state)
{
    (void)state;
    assert_int_equal(in_child(EPERM, "auto", NULL), FOUND_EPOLL);
    assert_int_equal(in_child(EPERM, "epoll", NULL), FOUND_EPOLL);
    assert_int_equal(in_child(ENOSYS, "auto", NULL), FOUND_EPOLL);
}

static void io_uring_by_name_is_refused_in_words(void **state)
{
    (void)state;
    assert_int_equal(in_child(EPERM, "io_uring", "io_uring does not work here"), FOUND_REFUSAL);
    assert_int_equal(in_child(EPERM, "io_uring", "EPERM"), FOUND_REFUSAL);

    assert_int_equal(in_child(ENOSYS, "io_uring", "Linux 6.1"), FOUND_REFUSAL);
    assert_int_equal(in_child(ENOMEM, "io_uring", "ulimit -l"), FOUND_REFUSAL);
}

static void the_environment_speaks_for_auto_only(void **state)
{
    (void)state;
    assert_int_equal(setenv("WEIR_BACKEND", "epoll", 1), 0);
    assert_int_equal(in_child(0, "auto", NULL), FOUND_EPOLL);
    assert_int_equal(in_child(EPERM, "io_uring", "EPERM"), FOUND_REFUSAL);
    assert_int_equal(setenv("WEIR_BACKEND", "io_uring", 1), 0);
    assert_int_equal(in_child(EPERM, "auto", "EPERM"), FOUND_REFUSAL);

    assert_int_equal(in_child(EPERM, "epoll", NULL), FOUND_EPOLL);
}

static void an_unknown_name_is_refused_with_those_there_are(void **state)
{
    (void)state;
    assert_int_equal(in_child(0, "kqueue", "expected \"auto\", \"epoll\" or \"io_uring\""),
                     FOUND_REFUSAL);
}

#define CHOICE_TEST(name) cmocka_unit_test_setup(name, choice_setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHOICE_TEST(auto_is_epoll_and_a_name_is_obeyed),
        CHOICE_TEST(where_io_uring_does_not_work_auto_serves_all_the_same),
        CHOICE_TEST(io_uring_by_name_is_refused_in_words),
        CHOICE_TEST(the_environment_speaks_for_auto_only),
        CHOICE_TEST(an_unknown_name_is_refused_with_those_there_are),
    };

    return cmocka_run_group_tests_name("choice of a backend", tests, NULL, NULL);
}
