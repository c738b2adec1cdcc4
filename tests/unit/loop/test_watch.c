/* SPDX-License-Identifier: Apache-2.0 */
/* Watched descriptors and signals. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/text.h"
#include "tests/unit/loop/loop_test.h"

#define REFUSED(call, expected)                                   \
    do {                                                          \
        weir_error *refused_ = (call);                            \
        char message_[256] = "";                                  \
                                                                  \
        assert_non_null(refused_);                                \
        weir_error_message(refused_, message_, sizeof(message_)); \
        assert_string_equal(message_, (expected));                \
        weir_error_unref(refused_);                               \
    } while (0)

static int ends[2];

static int watch_setup(void **state)
{
    loop_setup(state);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    return 0;
}

static int watch_teardown(void **state)
{
    int result = loop_teardown(state);

    close(ends[0]);
    close(ends[1]);
    return result;
}

static void put(const char *text)
{
    assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
}

static weir_error *reads_one(void *arg)
{
    char byte;

    (void)arg;
    note(read(ends[0], &byte, 1) == 1 ? byte : '0');
    return NULL;
}

static void a_reader_is_called_as_long_as_there_is_something(void **state)
{
    (void)state;
    OK(weir_loop_add_reader(test.loop, ends[0], reads_one, NULL));
    iterate(2);
    assert_string_equal(test.journal, "");
    put("abc");
    iterate(4);

    assert_string_equal(test.journal, "abc");
}

static void a_second_reader_replaces_the_first(void **state)
{
    (void)state;
    OK(weir_loop_add_reader(test.loop, ends[0], note_arg, "x"));
    OK(weir_loop_add_reader(test.loop, ends[0], reads_one, NULL));
    put("a");
    iterate(3);

    assert_string_equal(test.journal, "a");
}

static void removing_the_reader_keeps_the_writer(void **state)
{
    (void)state;
    OK(weir_loop_add_reader(test.loop, ends[0], note_arg, "r"));
    OK(weir_loop_add_writer(test.loop, ends[0], note_arg, "w"));
    put("a");
    assert_true(weir_loop_remove_reader(test.loop, ends[0]));
    assert_false(weir_loop_remove_reader(test.loop, ends[0]));
    iterate(1);

    assert_string_equal(test.journal, "w");
    assert_true(weir_loop_remove_writer(test.loop, ends[0]));
}

static weir_error *removes_itself(void *arg)
{
    (void)arg;
    note('r');
    assert_true(weir_loop_remove_reader(test.loop, ends[0]));
    assert_true(weir_loop_remove_writer(test.loop, ends[0]));
    return NULL;
}

static void a_reader_may_remove_itself_and_the_writer_next_to_it(void **state)
{
    (void)state;
    OK(weir_loop_add_writer(test.loop, ends[0], note_arg, "w"));
    OK(weir_loop_add_reader(test.loop, ends[0], removes_itself, NULL));
    put("a");
    iterate(3);

    assert_string_equal(test.journal, "r");
}

static void the_end_of_the_peer_calls_both(void **state)
{
    (void)state;
    OK(weir_loop_add_reader(test.loop, ends[0], removes_itself, NULL));
    OK(weir_loop_add_writer(test.loop, ends[0], note_arg, "w"));
    close(ends[1]);
    ends[1] = -1;
    iterate(2);

    assert_string_equal(test.journal, "r");
}

static void D12_regular_files_are_refused(void **state)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    (void)state;
    FAILS(weir_loop_add_reader(test.loop, fd, note_arg, "a"), EPERM);
    FAILS(weir_loop_add_reader(test.loop, -1, note_arg, "a"), EBADF);
    assert_false(weir_loop_remove_reader(test.loop, fd));
    close(fd);
}

static void a_descriptor_number_may_be_used_again(void **state)
{
    int fd = ends[0];

    (void)state;
    OK(weir_loop_add_reader(test.loop, fd, reads_one, NULL));
    assert_true(weir_loop_remove_reader(test.loop, fd));
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(ends[0], fd);
    OK(weir_loop_add_reader(test.loop, fd, reads_one, NULL));
    put("b");
    iterate(2);

    assert_string_equal(test.journal, "b");
}

static void each_allocation_of_a_watch_may_fail(void **state)
{
    (void)state;
    weir__alloc_fail_nth = 1; /* the table of watches */
    FAILS(weir_loop_add_reader(test.loop, ends[0], reads_one, NULL), WEIR_ENOMEM);
    weir__alloc_fail_nth = 2; /* the watch; the table stays */
    FAILS(weir_loop_add_reader(test.loop, ends[0], reads_one, NULL), WEIR_ENOMEM);
    weir__alloc_fail_nth = 2; /* the backend's table */
    FAILS(weir_loop_add_reader(test.loop, ends[0], reads_one, NULL), WEIR_ENOMEM);
    assert_int_equal(weir__alloc_fail_nth, 0);
    assert_false(weir_loop_remove_reader(test.loop, ends[0]));
    OK(weir_loop_add_reader(test.loop, ends[0], reads_one, NULL));
    put("a");
    iterate(2);

    assert_string_equal(test.journal, "a");
}

/* Signals */

static void D7_a_signal_calls_its_handler_on_the_loop(void **state)
{
    (void)state;
    OK(weir_loop_add_signal_handler(test.loop, SIGUSR1, note_arg, "s"));
    raise(SIGUSR1);
    assert_string_equal(test.journal, "");
    iterate(2);

    assert_string_equal(test.journal, "s");
    assert_true(weir_loop_remove_signal_handler(test.loop, SIGUSR1));
    assert_false(weir_loop_remove_signal_handler(test.loop, SIGUSR1));
}

static weir_error *note_and_stop(void *arg)
{
    weir_loop_stop(test.loop);
    return note_arg(arg);
}

static void *kill_process(void *arg)
{
    (void)arg;
    kill(getpid(), SIGUSR1);
    return NULL;
}

static void a_signal_wakes_a_sleeping_loop(void **state)
{
    pthread_t thread;

    (void)state;
    OK(weir_loop_add_signal_handler(test.loop, SIGUSR1, note_and_stop, "s"));
    assert_int_equal(pthread_create(&thread, NULL, kill_process, NULL), 0);
    OK(weir_loop_run_forever(test.loop));
    assert_int_equal(pthread_join(thread, NULL), 0);

    assert_string_equal(test.journal, "s");
}

static void D7_no_thread_has_its_mask_changed(void **state)
{
    sigset_t mask;

    (void)state;
    OK(weir_loop_add_signal_handler(test.loop, SIGUSR1, note_arg, "s"));
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);

    assert_int_equal(sigismember(&mask, SIGUSR1), 0);
}

static void T82_D7_a_second_handler_replaces_the_first(void **state)
{
    (void)state;
    OK(weir_loop_add_signal_handler(test.loop, SIGUSR1, note_arg, "a"));
    OK(weir_loop_add_signal_handler(test.loop, SIGUSR1, note_arg, "b"));
    raise(SIGUSR1);
    iterate(2);

    assert_string_equal(test.journal, "b");
}

static int before;

static void noted_before(int signum)
{
    before = signum;
}

static void T82_D7_removing_restores_what_was_there_before(void **state)
{
    /* On the loop's stack for signals: valgrind 3.19 cannot always grow the main stack for one. */
    struct sigaction action = {.sa_handler = noted_before, .sa_flags = SA_ONSTACK}, old;

    (void)state;
    before = 0;
    assert_int_equal(sigaction(SIGUSR2, &action, &old), 0);
    OK(weir_loop_add_signal_handler(test.loop, SIGUSR2, note_arg, "s"));
    raise(SIGUSR2);
    assert_int_equal(before, 0);
    assert_true(weir_loop_remove_signal_handler(test.loop, SIGUSR2));
    raise(SIGUSR2);
    iterate(2);

    assert_int_equal(before, SIGUSR2);
    assert_string_equal(test.journal, "");
    assert_int_equal(sigaction(SIGUSR2, &old, NULL), 0);
}

static void D7_signals_that_cannot_be_caught_are_refused(void **state)
{
    (void)state;
    FAILS(weir_loop_add_signal_handler(test.loop, SIGKILL, note_arg, "a"), WEIR_EINVAL);
    FAILS(weir_loop_add_signal_handler(test.loop, 0, note_arg, "a"), WEIR_EINVAL);
    FAILS(weir_loop_add_signal_handler(test.loop, 1000, note_arg, "a"), WEIR_EINVAL);
    FAILS(weir_loop_add_signal_handler(test.loop, 32, note_arg, "a"), WEIR_EINVAL);
    REFUSED(weir_loop_add_signal_handler(test.loop, SIGKILL, note_arg, "a"),
            "signal 9 (SIGKILL) cannot be caught");
    REFUSED(weir_loop_add_signal_handler(test.loop, SIGSTOP, note_arg, "a"),
            "signal 19 (SIGSTOP) cannot be caught");
    REFUSED(weir_loop_add_signal_handler(test.loop, 1000, note_arg, "a"),
            "there is no signal 1000");
    REFUSED(weir_loop_add_signal_handler(test.loop, SIGUSR1, NULL, "a"),
            "a callback is needed, not NULL");
}

static weir_error *count_signal(void *arg)
{
    (void)arg;
    note('s');
    return NULL;
}

static void T82_D7_a_burst_is_counted_and_coalesced(void **state)
{
    (void)state;
    OK(weir_loop_add_signal_handler(test.loop, SIGUSR1, count_signal, NULL));
    for (int i = 0; i < 50; i++)
        raise(SIGUSR1);
    iterate(3);

    assert_int_equal(weir_loop_signal_count(test.loop, SIGUSR1), 50);
    assert_string_equal(test.journal, "s");
    assert_true(weir_loop_remove_signal_handler(test.loop, SIGUSR1));
    assert_int_equal(weir_loop_signal_count(test.loop, SIGUSR1), 0);
}

static void *forwards(void *arg)
{
    weir_loop *loop;

    (void)arg;
    OK(weir_loop_new(NULL, &loop));
    REFUSED(weir_loop_add_signal_handler(loop, SIGUSR2, note_arg, "f"),
            "loop \"loop\" is not the main thread's");
    OK(weir_loop_forward_signal(loop, SIGUSR2, note_arg, "f"));
    kill(getpid(), SIGUSR2);
    while (weir_loop_signal_count(loop, SIGUSR2) == 0 || !test.journal[0])
        OK(weir__loop_run_once(loop, 1000000));
    OK(weir_loop_close(loop));
    weir_loop_unref(loop);
    return NULL;
}

static void T82_D7_other_loops_get_signals_only_when_forwarded(void **state)
{
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, forwards, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);

    assert_string_equal(test.journal, "f");
}

static void B6_callbacks_are_needed_and_in_debug_mode_nonblocking_descriptors(void **state)
{
    char expected[64];
    int blocking[2];

    (void)state;
    assert_int_equal(pipe2(blocking, O_CLOEXEC), 0);
    REFUSED(weir_loop_add_reader(test.loop, blocking[0], NULL, NULL),
            "a callback is needed, not NULL");
    OK(weir_loop_add_reader(test.loop, blocking[0], note_arg, "a"));
    assert_true(weir_loop_remove_reader(test.loop, blocking[0]));
    weir_loop_set_debug(test.loop, true);
    snprintf(expected, sizeof(expected), "descriptor %d must be non-blocking", blocking[0]);
    REFUSED(weir_loop_add_reader(test.loop, blocking[0], note_arg, "a"), expected);
    snprintf(expected, sizeof(expected), "descriptor %d must be non-blocking", blocking[1]);
    REFUSED(weir_loop_add_writer(test.loop, blocking[1], note_arg, "a"), expected);
    OK(weir_loop_add_reader(test.loop, ends[0], note_arg, "a"));
    assert_true(weir_loop_remove_reader(test.loop, ends[0]));
    close(blocking[0]);
    close(blocking[1]);
}

static void on_nothing(struct io_file *file, int result)
{
    (void)file;
    (void)result;
}

static void D12_a_descriptor_of_a_transport_is_refused_and_named(void **state)
{
    static const struct io_file_ops ops = {.receive_ended = on_nothing};
    struct io_backend *io = weir__loop_io(test.loop);
    struct io_file file;
    char expected[128];
    int line = __LINE__ + 3;

    (void)state;
    io_file_init(&file, &ops, ends[0], WEIR_HERE);
    OK(io->ops->add(io, &file));
    snprintf(expected, sizeof(expected), "descriptor %d is used by a transport created at %s:%d",
             ends[0], text_site_file(WEIR_HERE), line);
    REFUSED(weir_loop_add_reader(test.loop, ends[0], note_arg, "a"), expected);
    io->ops->close(io, &file, true);
    OK(weir_loop_add_reader(test.loop, ends[0], note_arg, "a"));
    assert_true(weir_loop_remove_reader(test.loop, ends[0]));
}

static void *second_loop(void *arg)
{
    weir_loop *loop;

    (void)arg;
    OK(weir_loop_new(NULL, &loop));
    FAILS(weir_loop_add_signal_handler(loop, SIGUSR1, note_arg, "x"), WEIR_ENOTMAIN);
    FAILS(weir_loop_forward_signal(loop, SIGUSR1, note_arg, "x"), WEIR_EBUSY);
    assert_false(weir_loop_remove_signal_handler(loop, SIGUSR1));
    OK(weir_loop_close(loop));
    weir_loop_unref(loop);
    return NULL;
}

static void T82_D7_one_loop_has_a_signal(void **state)
{
    pthread_t thread;

    (void)state;
    OK(weir_loop_add_signal_handler(test.loop, SIGUSR1, note_arg, "s"));
    assert_int_equal(pthread_create(&thread, NULL, second_loop, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void T84_D7_a_forked_child_has_the_dispositions_from_before(void **state)
{
    int status;
    pid_t child;

    (void)state;
    OK(weir_loop_add_signal_handler(test.loop, SIGUSR1, note_arg, "s"));
    child = fork();
    if (child == 0) {
        raise(SIGUSR1); /* the default ends the process */
        _exit(7);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    iterate(2);

    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGUSR1);
    assert_string_equal(test.journal, "");
}

#define WATCH_TEST(name) cmocka_unit_test_setup_teardown(name, watch_setup, watch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCH_TEST(T82_D7_a_burst_is_counted_and_coalesced),
        WATCH_TEST(T82_D7_other_loops_get_signals_only_when_forwarded),
        WATCH_TEST(B6_callbacks_are_needed_and_in_debug_mode_nonblocking_descriptors),
        WATCH_TEST(D12_a_descriptor_of_a_transport_is_refused_and_named),
        WATCH_TEST(a_reader_is_called_as_long_as_there_is_something),
        WATCH_TEST(a_second_reader_replaces_the_first),
        WATCH_TEST(removing_the_reader_keeps_the_writer),
        WATCH_TEST(a_reader_may_remove_itself_and_the_writer_next_to_it),
        WATCH_TEST(the_end_of_the_peer_calls_both),
        WATCH_TEST(D12_regular_files_are_refused),
        WATCH_TEST(a_descriptor_number_may_be_used_again),
        WATCH_TEST(each_allocation_of_a_watch_may_fail),
        WATCH_TEST(D7_a_signal_calls_its_handler_on_the_loop),
        WATCH_TEST(a_signal_wakes_a_sleeping_loop),
        WATCH_TEST(D7_no_thread_has_its_mask_changed),
        WATCH_TEST(T82_D7_a_second_handler_replaces_the_first),
        WATCH_TEST(T82_D7_removing_restores_what_was_there_before),
        WATCH_TEST(D7_signals_that_cannot_be_caught_are_refused),
        WATCH_TEST(T82_D7_one_loop_has_a_signal),
        WATCH_TEST(T84_D7_a_forked_child_has_the_dispositions_from_before),
    };

    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
