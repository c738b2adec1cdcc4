/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of transports, streams and servers that nobody closed. */
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <weir/debug.h>
#include <weir/pipe.h>

#include "core/base/text.h"
#include "core/task/wait.h"
#include "tests/unit/net/net_test.h"

/* The site of the macros in `call`, which are on the line of this one. */
#define CHECK_OK_AT(site, call) \
    do {                        \
        (site) = WEIR_HERE;     \
        CHECK_OK(call);         \
    } while (0)

static weir_stream *left_open;
static int peer_end;
static const weir_site *here;

/* Every warning, whatever was warned of before. */
static int setup(void **state)
{
    weir_warnings_set(WEIR_WARNING_RESOURCE, WEIR_WARNING_ALWAYS);
    return leaks_setup(state);
}

static int teardown(void **state)
{
    weir_warnings_set(WEIR_WARNING_RESOURCE, WEIR_WARNING_ONCE);
    return leaks_teardown(state);
}

static weir_error *opens_and_leaves(void *arg)
{
    int ends[2];

    (void)arg;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    peer_end = ends[1];
    CHECK_OK_AT(here, weir_pipe_duplex_stream(ends[0], &left_open));
    return NULL;
}

/* Runs `fn` on a loop of its own and closes that by force; what was logged meanwhile. */
static const char *log_of(weir_fn fn, bool debug)
{
    static char log[8192];
    weir_task *task;
    weir_loop *loop;

    assert_ok(weir_loop_new(NULL, &loop));
    weir_loop_set_debug(loop, debug);
    assert_ok(weir__spawn(loop, WEIR_HERE, "test", fn, NULL, &task));
    capture_log_begin();
    weir_ignore(weir_loop_run_until_complete(loop, weir_task_future(task)));
    weir_task_unref(task);
    weir_loop_close_force(loop, WEIR_S(5));
    capture_log_end(log, sizeof(log));
    weir_loop_unref(loop);
    raise_recorded();
    return log;
}

static void drop_what_was_left(void)
{
    weir_stream_abort(WEIR_TAKE(left_open));
    close(peer_end);
}

static void T23_B5_K1_a_closing_loop_reports_the_transport_nobody_closed(void **state)
{
    const char *log = log_of(opens_and_leaves, false);
    char wanted[256];
    int fd = weir_stream_transport(left_open)->file.fd;

    (void)state;
    snprintf(wanted, sizeof(wanted),
             "unclosed transport <Socket fd=%d peer=unix: read=polling write=<idle, bufsize=0>> "
             "created at %s:%d",
             fd, text_site_file(here), here->line);
    assert_non_null(strstr(log, wanted));
    assert_non_null(strstr(log, "WARNING"));
    assert_non_null(strstr(log, "[RESOURCE]"));
    assert_null(strstr(log, "Object created at"));
    drop_what_was_left();
}

static void K1_debug_mode_adds_where_the_transport_was_made(void **state)
{
    const char *log;

    (void)state;
    /* No count of descriptors: whoever reads debug information keeps the file open. */
    weir_warnings_set(WEIR_WARNING_RESOURCE, WEIR_WARNING_ALWAYS);
    log = log_of(opens_and_leaves, true);
    assert_non_null(strstr(log, "unclosed transport <Socket fd="));
    assert_non_null(strstr(log, "Object created at (most recent call last):"));
    drop_what_was_left();
}

static void K1_an_aborted_transport_tells_its_peer(void **state)
{
    char byte;

    (void)state;
    (void)log_of(opens_and_leaves, false);
    assert_true(recv(peer_end, &byte, 1, MSG_DONTWAIT) <= 0);
    assert_false(recv(peer_end, &byte, 1, MSG_DONTWAIT) > 0);
    drop_what_was_left();
}

static weir_error *closes_when_cancelled(void *arg)
{
    weir_auto(weir_stream) stream = NULL;

    int ends[2];

    char byte;
    size_t n;

    (void)arg;
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    peer_end = ends[1];
    WEIR_TRY(weir_pipe_reader_stream(ends[0], &stream));
    return weir_stream_read(stream, &byte, 1, &n);
}

static weir_error *leaves_a_reader(void *arg)
{
    (void)arg;
    return weir_spawn(closes_when_cancelled, NULL, NULL);
}

static weir_error *spawns_and_goes(void *arg)
{
    WEIR_TRY(leaves_a_reader(arg));
    return weir_sleep(WEIR_NS(0));
}

static void K1_what_a_cancelled_task_closes_is_not_reported(void **state)
{
    const char *log = log_of(spawns_and_goes, false);

    (void)state;
    assert_null(strstr(log, "unclosed transport"));
    close(peer_end);
}

static void K1_ignored_warnings_are_silent(void **state)
{
    const char *log;

    (void)state;
    weir_warnings_set(WEIR_WARNING_RESOURCE, WEIR_WARNING_IGNORE);
    log = log_of(opens_and_leaves, false);
    assert_null(strstr(log, "unclosed transport"));
    drop_what_was_left();
}

/* Servers */

#define SERVE_AT(site, record, ret) \
    CHECK_OK_AT(site, weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &recording, record, ret))

static weir_error *K1_a_server_dropped_unclosed_is_reported_and_closed(void *arg)
{
    static struct record record;
    char log[2048], name[64], wanted[256];
    weir_server *server;
    const weir_site *site;
    int client;

    (void)arg;
    record = (struct record){0};
    SERVE_AT(site, &record, &server);
    snprintf(name, sizeof(name), "%s", weir_server_name(server));
    client = raw_connect(name);
    UNTIL(record.made);
    snprintf(wanted, sizeof(wanted),
             "unclosed server <Server serving fd=%d address=%s connections=1> created at %s:%d",
             weir_server_fd(server), name, text_site_file(site), site->line);
    capture_log_begin();
    weir_server_unref(server);
    capture_log_end(log, sizeof(log));
    CHECK(strstr(log, wanted));
    UNTIL(record.lost);
    close(client);
    client = raw_connect(name);
    CHECK(client < 0);
    return NULL;
}

static void in_loop_dropped_server(void **state)
{
    (void)state;
    run_in_loop(K1_a_server_dropped_unclosed_is_reported_and_closed, NULL);
}

static weir_error *K1_a_closed_server_is_dropped_in_silence(void *arg)
{
    static struct record record;
    weir_server *server;
    char log[1024];

    (void)arg;
    record = (struct record){0};
    capture_log_begin();
    CHECK_OK(weir_serve(weir_loop_current(), "127.0.0.1:0", NULL, &recording, &record, &server));
    weir_server_ref(server);
    weir_server_unref(server);
    weir_server_close(server);
    CHECK_OK(weir_server_wait_closed(server));
    weir_server_unref(server);
    capture_log_end(log, sizeof(log));
    CHECK(!strstr(log, "unclosed server"));
    return NULL;
}

static void in_loop_closed_server(void **state)
{
    (void)state;
    run_in_loop(K1_a_closed_server_is_dropped_in_silence, NULL);
}

static void T23_B5_K1_a_closing_loop_reports_the_server_nobody_closed(void **state)
{
    struct record record = {0};
    weir_loop *mine;
    weir_server *server;
    char text[512];

    (void)state;
    assert_ok(weir_loop_new(NULL, &mine));
    assert_ok(weir_serve(mine, "127.0.0.1:0", NULL, &recording, &record, &server));
    capture_log_begin();
    weir_loop_close_force(mine, WEIR_S(1));
    capture_log_end(text, sizeof(text));
    assert_non_null(strstr(text, "unclosed server <Server serving fd="));
    weir_server_unref(server);
    weir_loop_unref(mine);
}

/* Abort, in a process of its own */

static const char *const abort_argument = "leave-a-transport-open";

static void aborts(void)
{
    weir_warnings_set(WEIR_WARNING_RESOURCE, WEIR_WARNING_ABORT);
    (void)log_of(opens_and_leaves, false);
}

static void T23_B5_K1_the_policy_abort_aborts(void **state)
{
    int status = 0;
    pid_t pid = fork();

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        dup2(null, 1);
        dup2(null, 2);
        execl("/proc/self/exe", "test_unclosed", abort_argument, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(T23_B5_K1_a_closing_loop_reports_the_transport_nobody_closed),
        cmocka_unit_test(K1_debug_mode_adds_where_the_transport_was_made),
        TEST(K1_an_aborted_transport_tells_its_peer),
        TEST(K1_what_a_cancelled_task_closes_is_not_reported),
        TEST(K1_ignored_warnings_are_silent),
        {"K1_a_server_dropped_unclosed_is_reported_and_closed", in_loop_dropped_server, setup,
         teardown, NULL},
        {"K1_a_closed_server_is_dropped_in_silence", in_loop_closed_server, setup, teardown, NULL},
        TEST(T23_B5_K1_a_closing_loop_reports_the_server_nobody_closed),
        TEST(T23_B5_K1_the_policy_abort_aborts),
    };

    if (argc > 1 && strcmp(argv[1], abort_argument) == 0) {
        aborts();
        return 0;
    }
    return cmocka_run_group_tests_name("unclosed", tests, NULL, NULL);
}
