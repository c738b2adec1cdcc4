/* SPDX-License-Identifier: Apache-2.0 */
/* What the environment says of debug mode, warnings and levels. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/debug.h>
#include <weir/log.h>

#include "core/base/backtrace.h"
#include "core/base/env.h"
#include "core/base/log.h"
#include "core/base/sites.h"
#include "core/base/warning.h"
#include "tests/unit/base/base_test.h"

#define CHILD_WORD "say-whether-debug"
#define NOBODY     65534

static int log_fd;
static char logged[16384];

static int log_setup(void **state)
{
    (void)state;
    weir__site_forget();
    log_fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(log_fd >= 0);
    OK(weir_log_configure(&(weir_log_options){WEIR_SIZED(weir_log_options), .fd = log_fd}));
    return 0;
}

static int log_teardown(void **state)
{
    (void)state;
    unsetenv("WEIR_DEBUG");
    unsetenv("WEIR_DEV");
    unsetenv("WEIR_WARNINGS");
    unsetenv("WEIR_LOG");
    weir__warnings_reread();
    OK(weir_log_configure(&(weir_log_options){WEIR_SIZED(weir_log_options), .fd = 2}));
    close(log_fd);
    return 0;
}

static const char *read_log(void)
{
    ssize_t n;

    assert_true(weir_log_flush(WEIR_S(10)));
    n = pread(log_fd, logged, sizeof(logged) - 1, 0);
    logged[n > 0 ? n : 0] = '\0';
    return logged;
}

static size_t count_of(const char *text, const char *part)
{
    size_t n = 0;

    for (; (text = strstr(text, part)); text += strlen(part))
        n++;
    return n;
}

static bool debug_with(const char *debug, const char *dev)
{
    unsetenv("WEIR_DEBUG");
    unsetenv("WEIR_DEV");
    if (debug)
        setenv("WEIR_DEBUG", debug, 1);
    if (dev)
        setenv("WEIR_DEV", dev, 1);
    return weir_debug_default();
}

static void T17_A0_A1_A2_the_environment_turns_debug_mode_on_and_off(void **state)
{
    static const struct {
        const char *debug, *dev;
        bool on;
    } cases[] = {
        {NULL, NULL, false},    {"1", NULL, true},  {"true", NULL, true}, {"ON", NULL, true},
        {"yes", NULL, true},    {"0", NULL, false}, {"no", NULL, false},  {"off", NULL, false},
        {"False", NULL, false}, {"", NULL, false},  {NULL, "1", true},    {NULL, "0", false},
        {"0", "1", true},       {"1", "0", true},   {"", "on", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(debug_with(cases[i].debug, cases[i].dev), cases[i].on);
    assert_string_equal(read_log(), "");
}

static void A1_a_word_that_is_no_switch_is_off_and_told_once(void **state)
{
    (void)state;
    assert_false(debug_with("maybe", NULL));
    assert_false(debug_with("maybe", NULL));
    assert_int_equal(count_of(read_log(),
                              " WARNING weir: WEIR_DEBUG=maybe is taken as off: expected "
                              "1, true, on, yes, 0, false, off or no\n"),
                     1);
}

/* A copy of this program that runs with the rights of its owner. */
static bool make_secure_copy(char *path)
{
    char buffer[65536];
    struct statvfs fs;
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to = mkstemp(path);
    ssize_t n;

    assert_true(from >= 0 && to >= 0);
    while ((n = read(from, buffer, sizeof(buffer))) > 0)
        assert_int_equal(write(to, buffer, (size_t)n), n);
    assert_int_equal(fchown(to, NOBODY, NOBODY), 0);
    assert_int_equal(fchmod(to, 04755), 0);
    assert_int_equal(fstatvfs(to, &fs), 0);
    close(from);
    close(to);
    return !(fs.f_flag & ST_NOSUID);
}

static int run_child(const char *path)
{
    char *const arguments[] = {(char *)(uintptr_t)path, (char *)(uintptr_t)CHILD_WORD, NULL};
    int status;
    pid_t child = fork();

    if (child == 0) {
        execv(path, arguments);
        _exit(9);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void T17_A1_a_program_with_more_rights_than_its_user_ignores_the_environment(void **state)
{
    char path[] = "/tmp/weir-test-XXXXXX";
    bool allowed;

    (void)state;
    if (geteuid() != 0)
        skip();
    allowed = make_secure_copy(path);
    setenv("WEIR_DEBUG", "1", 1);
    setenv("WEIR_WARNINGS", "always", 1);
    assert_int_equal(run_child("/proc/self/exe"), 3);
    if (allowed)
        assert_int_equal(run_child(path), 0);
    unlink(path);
    if (!allowed)
        skip();
}

static void warn_here(int n)
{
    for (int i = 0; i < n; i++)
        weir_warn_at(WEIR_HERE, WEIR_WARNING_RESOURCE, NULL, "unclosed thing %d", i);
}

static void A6_a_warning_is_logged_once_per_site_with_its_category(void **state)
{
    (void)state;
    assert_int_equal(weir_warnings_get(WEIR_WARNING_RESOURCE), WEIR_WARNING_ONCE);
    warn_here(2);
    weir_warn_at(WEIR_HERE, WEIR_WARNING_RESOURCE, NULL, "another");
    weir_warn_at(WEIR_HERE, WEIR_WARNING_RUNTIME, NULL, "untagged");
    read_log();
    assert_int_equal(count_of(logged, " WARNING weir [RESOURCE]: unclosed thing 0\n"), 1);
    assert_int_equal(count_of(logged, "unclosed thing 1"), 0);
    assert_int_equal(count_of(logged, " WARNING weir [RESOURCE]: another\n"), 1);
    assert_int_equal(count_of(logged, " WARNING weir: untagged\n"), 1);
}

static void A6_always_repeats_and_ignore_is_silent(void **state)
{
    (void)state;
    weir_warnings_set(WEIR_WARNING_RESOURCE, WEIR_WARNING_ALWAYS);
    warn_here(2);
    weir_warnings_set(WEIR_WARNING_RESOURCE, WEIR_WARNING_IGNORE);
    weir_warn_at(WEIR_HERE, WEIR_WARNING_RESOURCE, NULL, "unheard");
    read_log();
    assert_int_equal(count_of(logged, "unclosed thing"), 2);
    assert_int_equal(count_of(logged, "unheard"), 0);
}

static void A6_the_backtrace_of_the_object_stands_below_the_warning(void **state)
{
    weir_backtrace *created = weir__backtrace_capture();
    const char *lines;

    (void)state;
    weir_warn_at(WEIR_HERE, WEIR_WARNING_RESOURCE, created, "unclosed");
    lines = strstr(read_log(), "unclosed\n    Object created at (most recent call last):\n      #");
    weir__backtrace_free(created);
    assert_non_null(lines);
#ifdef HAVE_LIBDW
    assert_non_null(strstr(lines, "#0 A6_the_backtrace_of_the_object_stands_below_the_warning "));
#endif
}

static void no_core_file(void)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGABRT, SIG_DFL);
}

static void T23_A6_abort_logs_the_warning_and_aborts(void **state)
{
    int status;
    pid_t child;

    (void)state;
    child = fork();
    if (child == 0) {
        no_core_file();
        weir_warnings_set(WEIR_WARNING_RESOURCE, WEIR_WARNING_ABORT);
        warn_here(1);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_int_equal(count_of(read_log(), " WARNING weir [RESOURCE]: unclosed thing 0\n"), 1);
}

static void A6_the_environment_sets_actions_by_category(void **state)
{
    (void)state;
    setenv("WEIR_WARNINGS", "resource=always,Runtime=abort", 1);
    weir__warnings_reread();
    assert_int_equal(weir_warnings_get(WEIR_WARNING_RESOURCE), WEIR_WARNING_ALWAYS);
    assert_int_equal(weir_warnings_get(WEIR_WARNING_RUNTIME), WEIR_WARNING_ABORT);
    assert_int_equal(weir_warnings_get(WEIR_WARNING_DEPRECATION), WEIR_WARNING_ONCE);
    setenv("WEIR_WARNINGS", "ignore", 1);
    weir__warnings_reread();
    assert_int_equal(weir_warnings_get(WEIR_WARNING_DEPRECATION), WEIR_WARNING_IGNORE);
    assert_int_equal(weir_warnings_get((weir_warning)7), WEIR_WARNING_IGNORE);
}

static void A2_A6_development_mode_shows_every_unclosed_object(void **state)
{
    (void)state;
    setenv("WEIR_DEV", "1", 1);
    weir__warnings_reread();
    assert_int_equal(weir_warnings_get(WEIR_WARNING_RESOURCE), WEIR_WARNING_ALWAYS);
    setenv("WEIR_WARNINGS", "resource=ignore", 1);
    weir__warnings_reread();
    assert_int_equal(weir_warnings_get(WEIR_WARNING_RESOURCE), WEIR_WARNING_IGNORE);
}

static void A6_words_that_are_no_actions_are_refused_whole(void **state)
{
    (void)state;
    setenv("WEIR_WARNINGS", "resource=always,runtime=loud", 1);
    weir__warnings_reread();
    assert_int_equal(weir_warnings_get(WEIR_WARNING_RESOURCE), WEIR_WARNING_ONCE);
    assert_non_null(strstr(read_log(), " WARNING weir: WEIR_WARNINGS=resource=always,runtime=loud "
                                       "is not understood and ignored\n"
                                       "    error: unknown warning action \"loud\": expected "
                                       "ignore, once, always or abort (WEIR_EINVAL)\n"));
    FAILS(weir_warnings_configure("sauce=always"), WEIR_EINVAL);
    FAILS(weir_warnings_configure(NULL), WEIR_EINVAL);
    OK(weir_warnings_configure(""));
}

static void F3_A5_the_environment_sets_levels_of_loggers(void **state)
{
    weir_logger *quiet = weir_logger_get("env.quiet"), *loud = weir_logger_get("env.quiet.loud"),
                *other = weir_logger_get("other");

    (void)state;
    setenv("WEIR_LOG", "error,env.quiet=warning,env.quiet.loud=debug", 1);
    weir__log_reread_environment();
    assert_int_equal(weir_logger_level(quiet), WEIR_LOG_WARNING);
    assert_int_equal(weir_logger_level(loud), WEIR_LOG_DEBUG);
    assert_int_equal(weir_logger_level(other), WEIR_LOG_ERROR);
    OK(weir_log_set_levels("INFO,"));
    assert_int_equal(weir_logger_level(other), WEIR_LOG_INFO);
    assert_int_equal(weir_logger_level(loud), WEIR_LOG_DEBUG);
}

static void F3_a_wrong_part_of_the_levels_is_named_and_nothing_set(void **state)
{
    weir_logger *logger = weir_logger_get("env.wrong");
    char message[512];
    weir_error *error;

    (void)state;
    error = weir_log_set_levels("env.wrong=debug,weir=loud");
    weir_error_message(error, message, sizeof(message));
    weir_error_unref(error);
    assert_non_null(strstr(message, "\"weir=loud\" in the levels of loggers: no level; expected"));
    assert_int_equal(weir_logger_level(logger), WEIR_LOG_INFO);
    setenv("WEIR_LOG", "=debug", 1);
    weir__log_reread_environment();
    assert_non_null(
        strstr(read_log(), "WEIR_LOG is ignored: \"=debug\": no logger before the =\n"));
    FAILS(weir_log_set_levels(NULL), WEIR_EINVAL);
}

#define DEBUG_TEST(name) cmocka_unit_test_setup_teardown(name, log_setup, log_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        DEBUG_TEST(T17_A0_A1_A2_the_environment_turns_debug_mode_on_and_off),
        DEBUG_TEST(A1_a_word_that_is_no_switch_is_off_and_told_once),
        DEBUG_TEST(T17_A1_a_program_with_more_rights_than_its_user_ignores_the_environment),
        DEBUG_TEST(A6_a_warning_is_logged_once_per_site_with_its_category),
        DEBUG_TEST(A6_always_repeats_and_ignore_is_silent),
        DEBUG_TEST(A6_the_backtrace_of_the_object_stands_below_the_warning),
        DEBUG_TEST(T23_A6_abort_logs_the_warning_and_aborts),
        DEBUG_TEST(A6_the_environment_sets_actions_by_category),
        DEBUG_TEST(A2_A6_development_mode_shows_every_unclosed_object),
        DEBUG_TEST(A6_words_that_are_no_actions_are_refused_whole),
        DEBUG_TEST(F3_A5_the_environment_sets_levels_of_loggers),
        DEBUG_TEST(F3_a_wrong_part_of_the_levels_is_named_and_nothing_set),
    };

    if (argc == 2 && strcmp(argv[1], CHILD_WORD) == 0)
        _exit((weir_debug_default() ? 1 : 0) |
              (weir_warnings_get(WEIR_WARNING_RUNTIME) == WEIR_WARNING_ALWAYS ? 2 : 0));
    return cmocka_run_group_tests_name("debug", tests, NULL, NULL);
}
