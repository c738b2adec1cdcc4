/* SPDX-License-Identifier: Apache-2.0 */
/* Subprocesses (rows D8, D13; T85, T86, T87, K1). The children are /bin/sh and coreutils; what they
   wait for is a pipe of ours, never a time. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/debug.h>
#include <weir/process.h>
#include <weir/scope.h>

#include "core/base/alloc.h"
#include "core/base/sites.h"
#include "tests/unit/support/support.h"

#define SHELL(command, ...) \
    (&(weir_process_options){WEIR_SIZED(weir_process_options), .shell = (command), ##__VA_ARGS__})

static bool holds(weir_buffer *buffer, const char *text)
{
    weir_slice all;

    if (weir_buffer_size(buffer) == 0)
        return text[0] == '\0';
    if (!check_code(WEIR_HERE, "linear", weir_buffer_linear(buffer, &all), 0))
        return false;
    if (!weir_slice_equal(all, weir_slice_str(text)))
        print_message("got: %.*s\n", (int)all.len, (const char *)all.data);
    return weir_slice_equal(all, weir_slice_str(text));
}

/* Runs a command to its end; its output and code. */
static weir_error *run(const weir_process_options *options, weir_buffer **ret_output, int *ret_code)
{
    weir_auto(weir_process) p = NULL;

    WEIR_TRY(weir_process_spawn(options, &p));
    WEIR_TRY(weir_process_communicate(p, NULL, ret_output, NULL));
    return weir_process_wait(p, ret_code);
}

static weir_error *D13_communicate_feeds_input_and_reads_both_outputs(void *arg)
{
    weir_auto(weir_process) p = NULL;
    weir_auto(weir_buffer) out = NULL;
    weir_auto(weir_buffer) err = NULL;
    weir_communicate_options talk = {WEIR_SIZED(weir_communicate_options),
                                     .input = WEIR_SLICE_INIT("one\ntwo\n")};
    int code = -1;

    (void)arg;
    CHECK_OK(weir_process_spawn(SHELL("cat; echo bad >&2; exit 3", .input = WEIR_STDIO_PIPE,
                                      .output = WEIR_STDIO_PIPE, .error = WEIR_STDIO_PIPE),
                                &p));
    CHECK(!weir_process_exited(p, &code));
    CHECK_OK(weir_process_communicate(p, &talk, &out, &err));
    CHECK(holds(out, "one\ntwo\n"));
    CHECK(holds(err, "bad\n"));
    CHECK(weir_process_exited(p, &code) && code == 3);
    return NULL;
}

static weir_error *D13_megabytes_both_ways_do_not_block_each_other(void *arg)
{
    weir_auto(weir_process) p = NULL;
    weir_auto(weir_buffer) out = NULL;
    weir_communicate_options talk = {WEIR_SIZED(weir_communicate_options)};
    size_t size = (size_t)2 * 1024 * 1024;
    char *data = weir__calloc(1, size);
    weir_error *error;

    (void)arg;
    talk.input = weir_slice_of(data, size);
    CHECK_OK(
        weir_process_spawn(SHELL("cat", .input = WEIR_STDIO_PIPE, .output = WEIR_STDIO_PIPE), &p));
    error = weir_process_communicate(p, &talk, &out, NULL);
    weir__free(data);
    CHECK_OK(error);
    CHECK(weir_buffer_size(out) == size);
    return NULL;
}

static weir_error *D13_child_that_reads_nothing_is_no_error(void *arg)
{
    weir_auto(weir_process) p = NULL;
    weir_communicate_options talk = {WEIR_SIZED(weir_communicate_options)};
    size_t size = (size_t)1024 * 1024;
    char *data = weir__calloc(1, size);
    weir_error *error;

    (void)arg;
    talk.input = weir_slice_of(data, size);
    CHECK_OK(weir_process_spawn(SHELL("exec true", .input = WEIR_STDIO_PIPE), &p));
    error = weir_process_communicate(p, &talk, NULL, NULL);
    weir__free(data);
    CHECK_OK(error);
    return NULL;
}

static weir_error *D13_output_over_the_limit_kills_the_child(void *arg)
{
    weir_auto(weir_process) p = NULL;
    weir_communicate_options talk = {WEIR_SIZED(weir_communicate_options), .limit = 1000};
    int code = 0;

    (void)arg;
    CHECK_OK(weir_process_spawn(SHELL("exec yes", .output = WEIR_STDIO_PIPE), &p));
    CHECK_CODE(weir_process_communicate(p, &talk, NULL, NULL), WEIR_ELIMIT);
    CHECK(weir_process_exited(p, &code) && (code == -SIGKILL || code == -SIGPIPE));
    return NULL;
}

static weir_error *D13_program_that_is_not_there_is_an_error_of_spawn(void *arg)
{
    const char *const argv[] = {"weir-no-such-program", NULL};
    const char *const denied[] = {"/etc/passwd", NULL};
    const char *const right[] = {"true", NULL};
    weir_process_options options = {WEIR_SIZED(weir_process_options), .argv = argv};
    weir_process *p = NULL;

    (void)arg;
    CHECK_CODE(weir_process_spawn(&options, &p), ENOENT);
    options.argv = denied;
    CHECK_CODE(weir_process_spawn(&options, &p), EACCES);
    options.argv = right;
    options.cwd = "/no/such/folder";
    CHECK_CODE(weir_process_spawn(&options, &p), ENOENT);
    options.cwd = NULL;
    options.shell = "true";
    CHECK_CODE(weir_process_spawn(&options, &p), WEIR_EINVAL);
    options.argv = NULL;
    options.output = WEIR_STDIO_STDOUT;
    CHECK_CODE(weir_process_spawn(&options, &p), WEIR_EINVAL);
    options.output = 999;
    CHECK_CODE(weir_process_spawn(&options, &p), WEIR_EINVAL);
    CHECK(p == NULL);
    return NULL;
}

static weir_error *D13_environment_folder_and_session_are_as_asked(void *arg)
{
    const char *const env[] = {"PATH=/bin:/usr/bin", "COLOUR=green", NULL};
    weir_auto(weir_buffer) out = NULL;
    weir_auto(weir_buffer) session = NULL;
    int code = 0;

    (void)arg;
    CHECK_OK(run(SHELL("echo $COLOUR $HOME; pwd; echo err >&2", .output = WEIR_STDIO_PIPE,
                       .error = WEIR_STDIO_STDOUT, .env = env, .cwd = "/usr"),
                 &out, &code));
    CHECK(holds(out, "green\n/usr\nerr\n"));
    CHECK_OK(run(SHELL("set -- $(cat /proc/$$/stat); [ $1 = $5 ] && [ $1 = $6 ] && echo own",
                       .output = WEIR_STDIO_PIPE, .new_session = true),
                 &session, &code));
    CHECK(holds(session, "own\n"));
    return NULL;
}

static weir_error *T85_D13_child_has_no_descriptor_but_those_passed(void *arg)
{
    int fds[2], passed[1], above;
    weir_auto(weir_buffer) out = NULL;
    char expected[64];
    int code = 0;

    (void)arg;
    CHECK(pipe(fds) == 0); /* without CLOEXEC */
    passed[0] = fcntl(fds[1], F_DUPFD, 40);
    CHECK(passed[0] >= 40);
    above = fcntl(fds[1], F_DUPFD, 50);
    CHECK(above >= 50);
    snprintf(expected, sizeof expected, "0\n1\n2\n%d\n", passed[0]);
    weir_error *error =
        run(SHELL("n=0; while [ $n -lt 64 ]; do [ -e /proc/$$/fd/$n ] && echo $n; n=$((n+1)); done",
                  .output = WEIR_STDIO_PIPE, .pass_fds = passed, .pass_fds_count = 1),
            &out, &code);
    close(fds[0]);
    close(fds[1]);
    close(passed[0]);
    close(above);
    CHECK_OK(error);
    CHECK(holds(out, expected));
    return NULL;
}

static weir_error *T85_D7_child_has_no_masks_and_default_dispositions(void *arg)
{
    weir_auto(weir_buffer) out = NULL;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
    sigset_t block, before;
    weir_error *error;
    int code = 0;

    (void)arg;
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &block, &before);
    sigaction(SIGPIPE, &ignore, &old);
    error = run(SHELL("exec grep -E '^Sig(Blk|Ign)' /proc/self/status", .output = WEIR_STDIO_PIPE),
                &out, &code);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    sigaction(SIGPIPE, &old, NULL);
    CHECK_OK(error);
    CHECK(holds(out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"));
    return NULL;
}

static weir_error *T86_D13_grandchild_with_the_pipe_does_not_delay_wait(void *arg)
{
    weir_auto(weir_process) p = NULL;
    int hold[2], passed[1], code = -1;
    char text[16];
    size_t n = 0;

    (void)arg;
    CHECK(pipe2(hold, O_CLOEXEC) == 0);
    passed[0] = fcntl(hold[0], F_DUPFD_CLOEXEC, 9);
    CHECK(passed[0] == 9);
    CHECK_OK(
        weir_process_spawn(SHELL("(read line <&9; echo late) & exit 7", .output = WEIR_STDIO_PIPE,
                                 .pass_fds = passed, .pass_fds_count = 1),
                           &p));
    close(hold[0]);
    close(passed[0]);
    CHECK_OK(weir_process_wait(p, &code)); /* the grandchild still waits for a line */
    CHECK(code == 7);
    CHECK(write(hold[1], "\n", 1) == 1);
    close(hold[1]);
    CHECK_OK(weir_stream_read_line(weir_process_stream(p, 1), text, sizeof text, &n));
    CHECK(strcmp(text, "late") == 0);
    CHECK_OK(weir_stream_read(weir_process_stream(p, 1), text, sizeof text, &n));
    CHECK(n == 0);
    return NULL;
}

static weir_error *T86_D13_communicate_waits_for_a_grandchild_only_so_long(void *arg)
{
    weir_auto(weir_process) p = NULL;
    weir_auto(weir_buffer) out = NULL;
    weir_communicate_options talk = {WEIR_SIZED(weir_communicate_options), .linger = WEIR_MS(20)};
    int hold[2], passed[1];
    weir_error *error;

    (void)arg;
    CHECK(pipe2(hold, O_CLOEXEC) == 0);
    passed[0] = fcntl(hold[0], F_DUPFD_CLOEXEC, 9);
    CHECK(passed[0] == 9);
    CHECK_OK(
        weir_process_spawn(SHELL("echo now; (read line <&9) & exit 0", .output = WEIR_STDIO_PIPE,
                                 .pass_fds = passed, .pass_fds_count = 1),
                           &p));
    close(hold[0]);
    close(passed[0]);
    error = weir_process_communicate(p, &talk, &out, NULL);
    close(hold[1]);
    CHECK_OK(error);
    CHECK(holds(out, "now\n"));
    return NULL;
}

static weir_error *T86_C3_deadline_of_communicate_kills_and_reaps_the_child(void *arg)
{
    weir_auto(weir_process) p = NULL;
    int code = 0;

    (void)arg;
    CHECK_OK(weir_process_spawn(
        SHELL("exec cat", .input = WEIR_STDIO_PIPE, .output = WEIR_STDIO_PIPE), &p));
    {
        weir_process *q = p;
        WEIR_TIMEOUT(limit, WEIR_MS(20));

        /* the child's input is ours until feed closes it, so hold it by a stopped child */
        CHECK_OK(weir_process_send_signal(q, SIGSTOP));
        CHECK_CODE(weir_process_communicate(q, NULL, NULL, NULL), WEIR_ETIMEDOUT);
    }
    CHECK(weir_process_exited(p, &code) && code == -SIGKILL);
    return NULL;
}

static weir_error *wait_for(void *arg)
{
    return weir_process_wait(arg, NULL);
}

static weir_error *C3_D13_cancelled_wait_leaves_the_process_running(void *arg)
{
    weir_auto(weir_process) p = NULL;
    weir_auto(weir_task) one = NULL;
    weir_auto(weir_task) two = NULL;
    int code = 0;

    (void)arg;
    CHECK_OK(weir_process_spawn(SHELL("exec cat", .input = WEIR_STDIO_PIPE), &p));
    CHECK_OK(weir_spawn(wait_for, p, &one));
    CHECK_OK(weir_spawn(wait_for, p, &two));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(weir_task_cancel(one));
    CHECK_CODE(weir_task_await(one), WEIR_ECANCELED);
    CHECK(!weir_process_exited(p, NULL));
    CHECK_OK(weir_process_close_input(p));
    CHECK_OK(weir_task_await(two));
    CHECK(weir_process_exited(p, &code) && code == 0);
    return NULL;
}

static weir_error *spawn_cancelled(void *arg)
{
    weir_process *p = NULL;

    (void)weir_task_cancel(weir_task_current());
    CHECK_CODE(weir_process_spawn(SHELL("true"), &p), WEIR_ECANCELED);
    *(bool *)arg = p == NULL;
    return NULL;
}

static weir_error *C3_D13_spawn_in_a_cancelled_task_starts_nothing(void *arg)
{
    weir_auto(weir_task) task = NULL;
    bool nothing = false;

    (void)arg;
    CHECK_OK(weir_spawn(spawn_cancelled, &nothing, &task));
    CHECK_OK(weir_task_await(task));
    CHECK(nothing);
    return NULL;
}

static weir_error *D13_signals_reach_the_process_and_nothing_after_its_end(void *arg)
{
    weir_auto(weir_process) p = NULL;
    weir_auto(weir_process) q = NULL;
    char text[64];
    int code = 0;

    (void)arg;
    CHECK_OK(weir_process_spawn(SHELL("exec cat", .input = WEIR_STDIO_PIPE), &p));
    CHECK_CODE(weir_process_send_signal(p, 4711), WEIR_EINVAL);
    weir_process_terminate(p);
    CHECK_OK(weir_process_wait(p, &code));
    CHECK(code == -SIGTERM);
    CHECK_OK(weir_process_send_signal(p, SIGKILL));
    CHECK_OK(weir_process_spawn(SHELL("exec cat", .input = WEIR_STDIO_PIPE), &q));
    weir_process_kill(q);
    CHECK_OK(weir_process_wait(q, &code));
    CHECK(code == -SIGKILL);
    weir_process_repr(q, text, sizeof text);
    CHECK(strstr(text, "returncode=-9>") && strncmp(text, "<Process pid=", 13) == 0);
    return NULL;
}

static weir_error *note_exit(weir_process *process, void *arg)
{
    int *code = arg;

    (void)weir_process_exited(process, code);
    return NULL;
}

static weir_error *D13_exited_is_called_once_on_the_loop(void *arg)
{
    weir_auto(weir_process) p = NULL;
    int code = -1;

    (void)arg;
    CHECK_OK(weir_process_spawn(SHELL("exit 5", .exited = note_exit, .arg = &code), &p));
    CHECK(code == -1);
    CHECK_OK(weir_process_wait(p, NULL));
    CHECK_OK(weir_sleep(WEIR_MS(0)));
    CHECK(code == 5);
    return NULL;
}

static size_t received;

static weir_error *count_bytes(weir_transport *transport, void *state, weir_slice data)
{
    (void)transport;
    (void)state;
    received += data.len;
    return NULL;
}

static weir_error *D13_callback_style_hands_the_output_to_a_protocol(void *arg)
{
    static const weir_protocol counter = {WEIR_SIZED(weir_protocol), .name = "counter",
                                          .data_received = count_bytes};
    weir_auto(weir_process) p = NULL;

    (void)arg;
    received = 0;
    CHECK_OK(weir_process_spawn(
        SHELL("echo 12345", .output = WEIR_STDIO_PIPE, .output_protocol = &counter), &p));
    CHECK(weir_process_transport(p, 1) && !weir_process_stream(p, 1));
    CHECK_OK(weir_process_wait(p, NULL));
    while (received < 6)
        CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

static weir_error *T87_D8_process_reaped_by_somebody_else_has_code_255(void *arg)
{
    weir_auto(weir_process) p = NULL;
    char log[512];
    int code = 0, status = 0;

    (void)arg;
    CHECK_OK(weir_process_spawn(SHELL("exit 3"), &p));
    CHECK(waitpid(weir_process_pid(p), &status, 0) == weir_process_pid(p));
    capture_log_begin();
    CHECK_OK(weir_process_wait(p, &code));
    capture_log_end(log, sizeof log);
    CHECK(code == 255);
    CHECK(strstr(log, "WARNING") && strstr(log, "was reaped by somebody else"));
    return NULL;
}

static weir_error *T23_K1_process_dropped_while_it_runs_is_reported_and_killed(void *arg)
{
    weir_process *p = NULL;
    char log[512], expected[64];
    int pid;

    (void)arg;
    weir__site_forget();
    CHECK_OK(weir_process_spawn(SHELL("exec cat", .input = WEIR_STDIO_PIPE), &p));
    pid = weir_process_pid(p);
    capture_log_begin();
    weir_process_unref(p);
    capture_log_end(log, sizeof log);
    snprintf(expected, sizeof expected, "unclosed process <Process pid=%d running>", pid);
    CHECK(strstr(log, expected) && strstr(log, "[RESOURCE]"));
    while (kill(pid, 0) == 0) /* until it is reaped */
        CHECK_OK(weir_sleep(WEIR_MS(0)));
    return NULL;
}

/* One that the end of its input does not end. */
static weir_error *spawn_and_leave(void *arg)
{
    CHECK_OK(weir_process_spawn(SHELL("exec sleep 1000", .input = WEIR_STDIO_PIPE), arg));
    return NULL;
}

static void K1_D8_loop_that_closes_over_a_process_reports_kills_and_reaps_it(void **state)
{
    weir_process *p = NULL;
    char log[1024];
    int code = 0;

    (void)state;
    weir__site_forget();
    capture_log_begin();
    run_in_loop(spawn_and_leave, &p);
    capture_log_end(log, sizeof log);
    assert_non_null(strstr(log, "unclosed process <Process pid="));
    assert_true(weir_process_exited(p, &code));
    assert_int_equal(code, -SIGKILL);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    weir_process_unref(p);
}

static void *run_other_loop(void *arg)
{
    weir_error *error =
        weir_run(D13_signals_reach_the_process_and_nothing_after_its_end, NULL, NULL);

    *(weir_code *)arg = weir_error_code(error);
    weir_ignore(error);
    return NULL;
}

static void D8_processes_work_on_the_loop_of_any_thread(void **state)
{
    pthread_t threads[2];
    weir_code codes[2] = {-1, -1};

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_other_loop, &codes[i]), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(codes[i], 0);
    }
    raise_recorded();
}

static weir_error *T95_D13_no_memory_at_any_point_leaves_no_child(void *arg)
{
    bool failed = true;

    (void)arg;
    for (unsigned long n = 1; failed && n < 200; n++) {
        weir_process *p = NULL;
        weir_error *error;

        weir__alloc_fail_nth = n;
        error = weir_process_spawn(
            SHELL("exec cat", .input = WEIR_STDIO_PIPE, .output = WEIR_STDIO_PIPE), &p);
        failed = weir__alloc_fail_nth == 0;
        weir__alloc_fail_nth = 0;
        if (error) {
            CHECK(p == NULL);
            CHECK_CODE(error, WEIR_ENOMEM);
            continue;
        }
        weir_process_kill(p);
        error = weir_process_wait(p, NULL);
        weir_process_unref(p);
        CHECK_OK(error);
    }
    CHECK(!failed);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    return NULL;
}

IN_LOOP(D13_communicate_feeds_input_and_reads_both_outputs)
IN_LOOP(D13_megabytes_both_ways_do_not_block_each_other)
IN_LOOP(D13_child_that_reads_nothing_is_no_error)
IN_LOOP(D13_output_over_the_limit_kills_the_child)
IN_LOOP(D13_program_that_is_not_there_is_an_error_of_spawn)
IN_LOOP(D13_environment_folder_and_session_are_as_asked)
IN_LOOP(T85_D13_child_has_no_descriptor_but_those_passed)
IN_LOOP(T85_D7_child_has_no_masks_and_default_dispositions)
IN_LOOP(T86_D13_grandchild_with_the_pipe_does_not_delay_wait)
IN_LOOP(T86_D13_communicate_waits_for_a_grandchild_only_so_long)
IN_LOOP(T86_C3_deadline_of_communicate_kills_and_reaps_the_child)
IN_LOOP(C3_D13_cancelled_wait_leaves_the_process_running)
IN_LOOP(C3_D13_spawn_in_a_cancelled_task_starts_nothing)
IN_LOOP(D13_signals_reach_the_process_and_nothing_after_its_end)
IN_LOOP(D13_exited_is_called_once_on_the_loop)
IN_LOOP(D13_callback_style_hands_the_output_to_a_protocol)
IN_LOOP(T87_D8_process_reaped_by_somebody_else_has_code_255)
IN_LOOP(T23_K1_process_dropped_while_it_runs_is_reported_and_killed)
IN_LOOP(T95_D13_no_memory_at_any_point_leaves_no_child)

int main(void)
{
    const struct CMUnitTest tests[] = {

        IN_LOOP_TEST(D13_communicate_feeds_input_and_reads_both_outputs),
        IN_LOOP_TEST(D13_megabytes_both_ways_do_not_block_each_other),
        IN_LOOP_TEST(D13_child_that_reads_nothing_is_no_error),
        IN_LOOP_TEST(D13_output_over_the_limit_kills_the_child),
        IN_LOOP_TEST(D13_program_that_is_not_there_is_an_error_of_spawn),
        IN_LOOP_TEST(D13_environment_folder_and_session_are_as_asked),
        IN_LOOP_TEST(T85_D13_child_has_no_descriptor_but_those_passed),
        IN_LOOP_TEST(T85_D7_child_has_no_masks_and_default_dispositions),
        IN_LOOP_TEST(T86_D13_grandchild_with_the_pipe_does_not_delay_wait),
        IN_LOOP_TEST(T86_D13_communicate_waits_for_a_grandchild_only_so_long),
        IN_LOOP_TEST(T86_C3_deadline_of_communicate_kills_and_reaps_the_child),
        IN_LOOP_TEST(C3_D13_cancelled_wait_leaves_the_process_running),
        IN_LOOP_TEST(C3_D13_spawn_in_a_cancelled_task_starts_nothing),
        IN_LOOP_TEST(D13_signals_reach_the_process_and_nothing_after_its_end),
        IN_LOOP_TEST(D13_exited_is_called_once_on_the_loop),
        IN_LOOP_TEST(D13_callback_style_hands_the_output_to_a_protocol),
        IN_LOOP_TEST(T87_D8_process_reaped_by_somebody_else_has_code_255),
        IN_LOOP_TEST(T23_K1_process_dropped_while_it_runs_is_reported_and_killed),
        IN_LOOP_TEST(T95_D13_no_memory_at_any_point_leaves_no_child),
        ON_MAIN_TEST(K1_D8_loop_that_closes_over_a_process_reports_kills_and_reaps_it),
        ON_MAIN_TEST(D8_processes_work_on_the_loop_of_any_thread),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
