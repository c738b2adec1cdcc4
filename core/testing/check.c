/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks. A failure inside a task must not leave its stack by longjmp, so it is recorded here, for the
 * whole process since checks are made in any thread, and raised by whoever drives the loop. The
 * first failure is kept; what fails after it mostly follows from it.
 */
#include "config.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/testing/kit.h"

#define FAILURE_MAX 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char first_failure[FAILURE_MAX];
static atomic_bool recorded;
static void (*_Atomic on_failure)(const char *text);

static void record(const char *text)
{
    pthread_mutex_lock(&lock);
    if (!atomic_load(&recorded)) {
        snprintf(first_failure, sizeof(first_failure), "%s", text);
        atomic_store(&recorded, true);
    }
    pthread_mutex_unlock(&lock);
}

bool weir__check_recorded(void)
{
    return atomic_load(&recorded);
}

const char *weir__check_take(void)
{
    return atomic_exchange(&recorded, false) ? first_failure : NULL;
}

void weir_test_set_failure(void (*fail)(const char *text))
{
    atomic_store(&on_failure, fail);
}

void weir__check_fail(const weir_test *test, const char *format, ...)
{
    static __thread char message[FAILURE_MAX];
    struct text text = TEXT_INIT(message);
    void (*fail)(const char *) = atomic_load(&on_failure);
    va_list args;

    va_start(args, format);
    text_vprintf(&text, format, args);
    va_end(args);
    if (test)
        text_printf(&text, "\nseed %llu: WEIR_TEST_SEED=%llu repeats it",
                    (unsigned long long)test->seed, (unsigned long long)test->seed);
    if (fail) {
        fail(message);
        return;
    }
    (void)weir_log_flush(WEIR_S(1));
    fprintf(stderr, "%s\n", message);
    abort();
}

weir_error *weir_test_check_failed(const weir_site *site, const char *what)
{
    char message[FAILURE_MAX];
    weir_task *task = weir_task_current();

    if (site) {
        snprintf(message, sizeof(message), "%s:%d: %s", text_site_file(site), site->line, what);
        record(message);
    }
    if (task)
        (void)weir_task_cancel(task);
    return weir_raise(WEIR_ECANCELED, "a check failed");
}

static bool wrong(const weir_site *site, const char *format, ...) WEIR_PRINTF(2, 3);

static bool wrong(const weir_site *site, const char *format, ...)
{
    char message[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    weir_ignore(weir_test_check_failed(site, message));
    return false;
}

bool weir_test_check_code(const weir_site *site, const char *what, weir_error *take_error,
                          weir_code code)
{
    weir_code got = weir_error_code(take_error);
    char text[1024] = "";

    if (got == code) {
        weir_ignore(take_error);
        return true;
    }
    if (take_error)
        weir_error_message(take_error, text, sizeof(text));
    weir_ignore(take_error);
    return wrong(site, "%s: expected %s, got %s%s%s", what, code ? weir_code_name(code) : "success",
                 got ? weir_code_name(got) : "success", text[0] ? ": " : "", text);
}

bool weir_test_check_int(const weir_site *site, const char *what, long long got, long long wanted)
{
    return got == wanted || wrong(site, "%s is %lld, expected %lld", what, got, wanted);
}

bool weir_test_check_text(const weir_site *site, const char *what, const char *got,
                          const char *wanted)
{
    if (got == wanted || (got && wanted && strcmp(got, wanted) == 0))
        return true;
    return wrong(site, "%s is \"%s\", expected \"%s\"", what, got ? got : "(null)",
                 wanted ? wanted : "(null)");
}

void weir_test_raise_recorded(void)
{
    const char *failure = weir__check_take();

    if (failure)
        weir__check_fail(weir__test_current, "%s", failure);
}

void weir_test_forget_failure(void)
{
    (void)weir__check_take();
}
