/* SPDX-License-Identifier: Apache-2.0 */
/* Backtraces: the user's frame first, through code of every shape, as functions and lines. */
#include "config.h"

#include <errno.h>
#include <execinfo.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unwind.h>

#include <weir/log.h>
#include <weir/task.h>

#include "core/base/backtrace.h"
#include "core/base/cfi.h"
#include "core/base/error.h"
#include "core/base/symbol.h"
#include "tests/unit/base/base_test.h"

#define NOINLINE __attribute__((noinline))

static volatile int sink;
static weir_backtrace *taken;
static int taken_line;

static NOINLINE void inner(void)
{
    taken_line = __LINE__ + 1;
    taken = weir__backtrace_capture();
    sink++;
}

static NOINLINE void outer(void)
{
    inner();
    sink++;
}

static NOINLINE void with_alloca(size_t size)
{
    volatile char *room = __builtin_alloca(size);

    room[size - 1] = 1;
    outer();
    sink += room[size - 1];
}

static int compare(const void *a, const void *b)
{
    if (!taken)
        with_alloca(100 + (size_t) * (const int *)a);
    return *(const int *)a - *(const int *)b;
}

/* Through libc and a frame of varying size. */
static void take(void)
{
    int values[] = {3, 1, 2};

    weir__backtrace_free(WEIR_TAKE(taken));
    qsort(values, 3, sizeof(values[0]), compare);
}

static NOINLINE int walk(void **addresses)
{
    int count = weir__cfi_walk(addresses, 40, 0, 0);

    sink++;
    return count;
}

struct unwound {
    void **addresses;
    int count;
};

static _Unwind_Reason_Code unwind_step(struct _Unwind_Context *context, void *arg)
{
    struct unwound *unwound = arg;

    if (unwound->count == 40 || _Unwind_GetIP(context) == 0)
        return _URC_END_OF_STACK;
    unwound->addresses[unwound->count++] = (void *)_Unwind_GetIP(context);
    return _URC_NO_REASON;
}

/* Not backtrace(), which AddressSanitizer replaces. */
static NOINLINE int unwind(void **addresses)
{
    struct unwound unwound = {addresses, 0};

    _Unwind_Backtrace(unwind_step, &unwound);
    sink++;
    return unwound.count;
}

static NOINLINE void compare_walks(size_t size)
{
    volatile char *room = __builtin_alloca(size);
    void *quick[40], *thorough[40];
    int n = walk(quick), m = unwind(thorough);

    room[0] = 0;
    /* The first frame is walk() or unwind(), the second this function at two lines. */
    assert_int_equal(n, m);
    assert_true(n > 3);
    for (int i = 2; i < n; i++)
        assert_ptr_equal(quick[i], thorough[i]);
}

/* Two frames that are found by a frame pointer: the outer one's was saved by the inner one. */
static NOINLINE void compare_deeper(size_t size)
{
    volatile char *room = __builtin_alloca(size + 100);

    room[1] = 0;
    compare_walks(size);
    sink += room[1];
}

static void a_quick_walk_finds_the_frames_that_libgcc_finds(void **state)
{
    (void)state;
    for (size_t size = 16; size < 5000; size += 1000)
        compare_deeper(size); /* learned at the first, remembered for the others */
    weir__cfi_forget();
    compare_deeper(32);
}

static void a_capture_is_quick_enough_for_every_spawn(void **state)
{
    struct timespec begin, end;
    int64_t quick, thorough;
    void *addresses[16];

    (void)state;
    take();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    for (int i = 0; i < 10000; i++)
        sink += weir__cfi_walk(addresses, 10, 0, 0);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    quick = (end.tv_sec - begin.tv_sec) * 1000000000 + end.tv_nsec - begin.tv_nsec;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    for (int i = 0; i < 10000; i++)
        sink += backtrace(addresses, 10);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    thorough = (end.tv_sec - begin.tv_sec) * 1000000000 + end.tv_nsec - begin.tv_nsec;
    print_message("# capture of 10 frames: %ld ns, backtrace(): %ld ns\n", (long)quick / 10000,
                  (long)thorough / 10000);
#if defined(__x86_64__) && !defined(WEIR_SANITIZE)
    assert_true(quick * 3 < thorough);
#endif
}

/* "inner tests/unit/base/test_backtrace.c:23" */
static void expect_frame(char *text, size_t size, const char *function, int line)
{
    snprintf(text, size, " %s %s:%d\n", function, text_site_file(&(weir_site){.file = __FILE__}),
             line);
}

static void frames_are_printed_with_function_and_line_outermost_first(void **state)
{
    char printed[4096] = "", wanted[256];
    struct text text = TEXT_INIT(printed);
    const char *main_frame, *inner_frame;

    (void)state;
    take();
    weir__backtrace_print(&text, taken);

    expect_frame(wanted, sizeof(wanted), "#0 inner", taken_line);
#ifdef HAVE_LIBDW
    inner_frame = strstr(printed, wanted);
    assert_non_null(inner_frame);
    main_frame = strstr(printed, " take ");
    assert_non_null(strstr(printed, "#1 outer "));
    assert_non_null(strstr(printed, "#2 with_alloca "));
    assert_non_null(strstr(printed, "#3 compare "));
    assert_true(!main_frame || main_frame < inner_frame);
    assert_null(strstr(printed, "weir__backtrace_capture"));
#else
    (void)main_frame;
    (void)inner_frame;
#endif
}

static inline __attribute__((always_inline)) void inlined(void)
{
    inner();
}

static NOINLINE void around_inlined(void)
{
    inlined();
    sink += 2; /* another function than outer() to the linker, too */
}

static void an_inlined_function_is_a_frame_of_its_own(void **state)
{
    char printed[4096] = "";
    struct text text = TEXT_INIT(printed);

    (void)state;
    weir__backtrace_free(WEIR_TAKE(taken));
    around_inlined();
    weir__backtrace_print(&text, taken);
#ifdef HAVE_LIBDW
    assert_non_null(strstr(printed, "#1 inlined "));
    assert_non_null(strstr(printed, "#2 around_inlined "));
#endif
}

static void the_depth_bounds_what_is_printed(void **state)
{
    char printed[4096] = "";
    struct text text = TEXT_INIT(printed);

    (void)state;
    weir__backtrace_set_depth(2);
    take();
    weir__backtrace_set_depth(0);
    weir__backtrace_print(&text, taken);
    assert_non_null(strstr(printed, "#1 "));
    assert_true(taken->count <= 2 + BACKTRACE_INNER);
}

static void a_deferred_backtrace_prints_the_same_lines(void **state)
{
    char direct[4096] = "", deferred[2048] = "before\n", expanded[4096] = "";
    struct text text = TEXT_INIT(direct), body = TEXT_INIT(deferred), all = TEXT_INIT(expanded);

    (void)state;
    take();
    text_add(&text, "before\n");
    weir__backtrace_print(&text, taken);
    text_add(&text, "after");
    body.len = strlen(deferred);
    weir__backtrace_defer(&body, taken);
    text_add(&body, "after");
    assert_true(backtrace_deferred(deferred));
    weir__backtrace_expand(&all, deferred);

    assert_string_equal(expanded, direct);
}

static void addresses_of_nothing_print_a_question_mark(void **state)
{
    char expanded[256] = "";
    struct text all = TEXT_INIT(expanded);

    (void)state;
    weir__backtrace_expand(&all, "\x01"
                                 "10 zz\n!");
    assert_string_equal(expanded, "  #0 ?\n!");
}

static NOINLINE weir_error *bug(void)
{
    weir_error *error = weir_raise(EIO, "not consumed");

    sink++; /* not the caller's frame in place of this one */
    return error;
}

static void H1_in_debug_mode_an_error_knows_the_stack_that_raised_it(void **state)
{
    char printed[4096];
    weir_error *error;

    (void)state;
    error = bug();
    weir_error_print(error, printed, sizeof(printed));
    assert_null(strstr(printed, "error raised at"));
    weir_error_unref(error);

    weir__thread_debug = true;
    error = bug();
    weir__thread_debug = false;
    weir_error_print(error, printed, sizeof(printed));
    assert_non_null(strstr(printed, "\nerror raised at (most recent call last):\n  #"));
#ifdef HAVE_LIBDW
    assert_non_null(strstr(printed, "#0 bug "));
#endif
    weir_error_unref(weir_error_detach(error));
}

static weir_error *print_in_task(void *arg)
{
    weir_error *error = bug();

    weir_error_print(error, arg, 4096);
    weir_error_unref(error);
    return NULL;
}

/* libdw needs more stack than a task has. */
static void H1_a_task_may_print_an_error_with_its_backtrace(void **state)
{
    weir_run_options options = {WEIR_SIZED(weir_run_options), .debug = WEIR_DEBUG_ON};
    char printed[4096] = "";
    weir_error *error = weir_run(print_in_task, printed, &options);

    (void)state;
    OK(error);
#ifdef HAVE_LIBDW
    assert_non_null(strstr(printed, "#0 bug "));
    assert_non_null(strstr(printed, "#1 print_in_task "));
#endif
}

static int free_taken(void **state)
{
    (void)state;
    weir__backtrace_free(WEIR_TAKE(taken));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quick_walk_finds_the_frames_that_libgcc_finds),
        cmocka_unit_test(a_capture_is_quick_enough_for_every_spawn),
        cmocka_unit_test(frames_are_printed_with_function_and_line_outermost_first),
        cmocka_unit_test(an_inlined_function_is_a_frame_of_its_own),
        cmocka_unit_test(the_depth_bounds_what_is_printed),
        cmocka_unit_test(a_deferred_backtrace_prints_the_same_lines),
        cmocka_unit_test(addresses_of_nothing_print_a_question_mark),
        cmocka_unit_test(H1_in_debug_mode_an_error_knows_the_stack_that_raised_it),
        cmocka_unit_test(H1_a_task_may_print_an_error_with_its_backtrace),
    };

    return cmocka_run_group_tests_name("backtrace", tests, NULL, free_taken);
}
