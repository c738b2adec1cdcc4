/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A test: the loop of its thread with the kit's clock and backend, driven one iteration at a time from
 * the main stack, so that a failure can be seen between two iterations and leave by longjmp there.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/chunk.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "core/task/task.h"
#include "core/testing/kit.h"

#define LIMIT_DEFAULT      WEIR_S(86400)
#define REAL_LIMIT_DEFAULT WEIR_S(60)
/* How long tasks have to end after a failure. */
#define AFTER_FAILURE WEIR_S(5)
#define CLOSE_GRACE   WEIR_S(5)

__thread weir_test *weir__test_current;

static void fill_options(weir_test_options *to, const weir_test_options *given)
{
    if (given)
        memcpy(to, given, given->size && given->size < sizeof(*to) ? given->size : sizeof(*to));
    to->size = sizeof(*to);
    if (!to->limit.ns)
        to->limit = LIMIT_DEFAULT;
    if (!to->real_limit.ns)
        to->real_limit = REAL_LIMIT_DEFAULT;
}

static uint64_t seed_of(const weir_test_options *options)
{
    const char *text = secure_getenv("WEIR_TEST_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : 0;

    if (!seed)
        seed = options->seed;
    return seed ? seed : 1;
}

/* What is made once in a process, so that it is not taken for a leak of the first test. */
static void warm_up(void)
{
    static bool done;
    weir_loop *loop;

    if (done || weir__thread_loop)
        return;
    done = true;
    if (!weir_loop_new(NULL, &loop)) {
        weir_loop_close_force(loop, WEIR_NS(0));
        weir_loop_unref(loop);
    }
    (void)weir_log_flush(WEIR_S(5));
}

static weir_error *on_report(weir_loop *loop, const weir_exception_context *context, void *arg)
{
    weir_test *test = arg;
    struct text text = TEXT_INIT(test->report);

    (void)loop;
    test->reports++;
    test->report[0] = '\0';
    text_add(&text, context->message ? context->message : "");
    (void)weir_error_code(context->error);
    return NULL;
}

weir_test *weir_test_new(const weir_test_options *options)
{
    weir_test *test;
    weir_error *error;

    weir_test_drop(NULL);
    weir_test_fail_allocation(0);
    (void)weir__check_take();
    warm_up();
    test = weir__kit_alloc(sizeof(*test));
    fill_options(&test->options, options);
    test->seed = seed_of(&test->options);
    test->descriptors = weir__kit_descriptors();
    test->homes = weir__task_homes;
    error = weir_loop_new(test->options.loop, &test->loop);
    if (!error)
        error = weir__kit_io_new(test->loop, test->seed, &test->io);
    if (error) {
        char text[512];

        weir_error_message(error, text, sizeof(text));
        weir_ignore(error);
        weir__free(test);
        weir__check_fail(NULL, "weir_test_new: %s", text);
        abort();
    }
    weir__test_current = test;
    test->io->chunks_left = &test->chunks_left;
    test->io->shuffle = test->options.shuffle;
    if (test->options.shuffle)
        weir__loop_set_shuffle(test->loop, test->seed);
    weir__kit_clock_init(test);
    weir_loop_set_exception_handler(test->loop, on_report, test);
    return test;
}

weir_loop *weir_test_loop(const weir_test *test)
{
    return test->loop;
}

uint64_t weir_test_seed(const weir_test *test)
{
    return test->seed;
}

uint64_t weir_test_random(weir_test *test)
{
    return weir__kit_random(test->io);
}

size_t weir_test_reports(const weir_test *test)
{
    return test->reports;
}

const char *weir_test_last_report(const weir_test *test)
{
    return test->report;
}

void weir_test_external_begin(weir_test *test)
{
    test->externals++;
}

void weir_test_external_end(weir_test *test)
{
    if (test->externals)
        test->externals--;
}

/* Driving */

static int64_t now_of(weir_test *test)
{
    return weir_loop_time(test->loop).ns;
}

static void run_begin(weir_test *test)
{
    test->stuck = test->late = false;
    test->patient = test->quiet = false;
    test->run_until = weir_instant_after((weir_instant){now_of(test)}, test->options.limit).ns;
    test->real_end = weir_instant_after(weir_now(), test->options.real_limit).ns;
}

static void run_end(weir_test *test)
{
    test->run_until = test->real_end = INT64_MAX;
}

static void iterate(weir_test *test, int64_t max_wait)
{
    weir_error *error = weir__loop_run_once(test->loop, max_wait);

    if (error) {
        char text[256];

        weir_error_message(error, text, sizeof(text));
        weir_ignore(error);
        weir__check_fail(test, "the loop of the test cannot run: %s", text);
        abort();
    }
}

/* Until the task is done, or there is no use in going on. */
static void drive(weir_test *test, weir_task *task)
{
    bool told = false;

    while (!weir_task_done(task) && !test->stuck && !test->late) {
        iterate(test, -1);
        if (weir_now().ns > test->real_end)
            test->late = true;
        if (weir__check_recorded() && !told) {
            told = true;
            (void)weir_task_cancel(task);
            test->real_end = weir_instant_after(weir_now(), AFTER_FAILURE).ns;
            test->run_until = weir_instant_after((weir_instant){now_of(test)}, AFTER_FAILURE).ns;
        }
    }
}

static const char stuck_text[] =
    "nothing can happen any more: no timer runs, nothing outside is awaited, and these tasks wait";
static const char late_text[] = "it takes longer than the limit of the test; its tasks";

static weir_error *hopeless(weir_test *test)
{
    char tasks[sizeof(test->tasks)] = "";

    weir__kit_list_tasks(test, "; ", tasks, sizeof(tasks));
    weir__kit_list_tasks(test, "\n    ", test->tasks, sizeof(test->tasks));
    if (test->stuck)
        return weir_raise(WEIR_EDEADLK, "%s: %s", stuck_text, tasks);
    return weir_raise(WEIR_ELIMIT, "%s: %s", late_text, tasks);
}

weir_error *weir_test_try_at(const weir_site *site, const char *name, weir_test *test, weir_fn fn,
                             void *arg)
{
    weir_auto(weir_task) task = NULL;
    weir_error *error = NULL;

    WEIR_TRY(weir__spawn(test->loop, site, name, fn, arg, &task));
    run_begin(test);
    drive(test, task);
    if (!weir_task_done(task)) {
        error = hopeless(test);
        /* It gets a chance to clean up. */
        (void)weir_task_cancel(task);
        run_begin(test);
        test->run_until = weir_instant_after((weir_instant){now_of(test)}, AFTER_FAILURE).ns;
        test->real_end = weir_instant_after(weir_now(), AFTER_FAILURE).ns;
        drive(test, task);
    }
    run_end(test);
    if (!error)
        error = weir__future_error(&task->future);
    else if (weir_task_done(task))
        weir_ignore(weir__future_error(&task->future));
    if (!error && weir__check_recorded())
        error = weir_raise(WEIR_ECANCELED, "a check failed");
    return error;
}

void weir_test_run_at(const weir_site *site, const char *name, weir_test *test, weir_fn fn,
                      void *arg)
{
    weir_error *error;
    weir_code code;
    char text[1024] = "";

    test->tasks[0] = '\0';
    error = weir_test_try_at(site, name, test, fn, arg);
    code = weir_error_code(error);
    if (error)
        weir_error_message(error, text, sizeof(text));
    weir_ignore(error);
    if (weir__check_recorded())
        weir_test_raise_recorded();
    else if (test->tasks[0])
        weir__check_fail(test, "%s:%d: %s: %s:\n    %s", text_site_file(site), site->line, name,
                         code == WEIR_EDEADLK ? stuck_text : late_text, test->tasks);
    else if (code)
        weir__check_fail(test, "%s:%d: %s: %s: %s", text_site_file(site), site->line, name,
                         weir_code_name(code), text);
}

void weir_test_idle(weir_test *test)
{
    unsigned quiet = 0;

    run_begin(test);
    test->no_jump = true;
    /* The first quiet iteration looks for what the kernel has; the second has seen it. */
    while (quiet < 2 && weir_now().ns < test->real_end) {
        size_t before = test->io->completions;

        test->nothing_due = false;
        iterate(test, -1);
        quiet = test->nothing_due && test->io->completions == before ? quiet + 1 : 0;
    }
    test->no_jump = false;
    run_end(test);
    weir_test_raise_recorded();
    if (quiet < 2)
        weir__check_fail(test, "something happens all the time: the loop does not come to rest");
}

void weir_test_advance(weir_test *test, weir_duration duration)
{
    int64_t end = weir_instant_after((weir_instant){now_of(test)}, duration).ns, now;

    weir_test_idle(test);
    run_begin(test);
    test->run_until = INT64_MAX;
    test->advancing = true;
    while ((now = now_of(test)) < end && !test->late && weir_now().ns < test->real_end)
        iterate(test, end - now);
    test->advancing = false;
    run_end(test);
    if (now < end)
        weir__check_fail(test, "the time could not pass within the real limit of the test");
    weir_test_idle(test);
}

bool weir_test_advance_to_timer(weir_test *test)
{
    int64_t next;

    weir_test_idle(test);
    next = weir__loop_next_deadline(test->loop);
    if (next == INT64_MAX)
        return false;
    weir_test_advance(test, WEIR_NS(next - now_of(test)));
    return true;
}

/* The end */

void weir_test_drop(weir_test *take_test)
{
    weir_test *test = take_test ? take_test : weir__test_current;

    if (!test)
        return;
    weir_test_fail_allocation(0);
    test->no_jump = test->advancing = false;
    if (!weir__loop_closed(test->loop))
        weir_loop_close_force(test->loop, CLOSE_GRACE);
    weir_loop_unref(test->loop);
    if (weir__test_current == test)
        weir__test_current = NULL;
    weir__free(test);
}

void weir_test_end(weir_test *take_test)
{
    weir_test *test = take_test;
    char what[3072] = "";
    struct text text = TEXT_INIT(what);
    weir_error *error;
    weir_test copy;

    weir_test_fail_allocation(0);
    weir_test_idle(test);
    error = weir_loop_close(test->loop);
    if (error) {
        weir_error_message(error, what, sizeof(what));
        text.len = strlen(what);
        weir_ignore(error);
        weir_loop_close_force(test->loop, CLOSE_GRACE);
    }
    if (test->chunks_left)
        text_printf(&text, "%s%zu chunks are held", text.len ? "; " : "", test->chunks_left);
    weir_loop_unref(test->loop);
    weir__test_current = NULL;
    copy = *test;
    weir__free(test);
    (void)weir__kit_leaks(&copy, what, sizeof(what));
    if (what[0])
        weir__check_fail(&copy, "left by the test: %s", what);
}

/* Exploring */

static weir_error *named(weir_error *take_error, uint64_t seed)
{
    char text[3072];

    weir_error_message(take_error, text, sizeof(text));
    weir_ignore(take_error);
    return weir_raise(ECANCELED, "with seed %llu (WEIR_TEST_SEED=%llu repeats it): %s",
                      (unsigned long long)seed, (unsigned long long)seed, text);
}

weir_error *weir_test_explore(weir_error *(*scenario)(weir_test *test, void *arg), void *arg,
                              unsigned count, const weir_test_options *given)
{
    weir_test_options options = {WEIR_SIZED(weir_test_options)};
    uint64_t first;

    fill_options(&options, given);
    options.shuffle = true;
    first = options.seed ? options.seed : 1;
    if (secure_getenv("WEIR_TEST_SEED"))
        count = 1;
    for (unsigned i = 0; i < count; i++) {
        weir_test *test;
        weir_error *error;
        uint64_t seed;

        options.seed = first + i;
        test = weir_test_new(&options);
        seed = test->seed;
        error = scenario(test, arg);
        if (error) {
            const char *failure = weir__check_take();

            weir_test_drop(test);
            if (failure) {
                weir_ignore(error);
                error = weir_raise(ECANCELED, "%s", failure);
            }
            return named(error, seed);
        }
        weir_test_raise_recorded();
        weir_test_end(test);
    }
    return NULL;
}
