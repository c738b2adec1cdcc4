/* SPDX-License-Identifier: Apache-2.0 */
/*
 * T11: public calls on objects of a loop from where they are not allowed. A row is one call; it says
 * whether it was refused with an error, or, for calls that return none, whether it did nothing. The
 * rows are run by a thread without a loop and by a task of another thread's loop; with the loop of the
 * objects running (its thread stands still in a task) and stopped; in debug and in release mode. A
 * task of the loop then looks whether the objects are as they were.
 *
 * To add a call: a function that makes it, and a row. tests/lint/threads knows the public calls that
 * are in no matrix.
 */
#ifndef WEIR_TESTS_MATRIX_H
#define WEIR_TESTS_MATRIX_H

#include "tests/unit/support/support.h"

enum matrix_kind {
    MATRIX_REFUSES,  /* with WEIR_ETHREAD, and debug mode reports it */
    MATRIX_SUSPENDS, /* the same; outside of tasks with WEIR_ENOTASK, of which there is no report */
    MATRIX_IGNORES,  /* returns no error: reported in every mode */
    MATRIX_HERE, /* is about this thread's loop, of which there is none: WEIR_ETHREAD, no report */
};

struct matrix_row {
    const char *operation; /* "weir_future_cancel()", as reports name it */
    bool (*refused)(void); /* or did nothing */
    enum matrix_kind kind;
};

struct matrix {
    const struct matrix_row *rows;
    size_t count;
    /* Tasks of the loop; what `set_up` starts may go on. */
    weir_fn set_up, unharmed, tear_down;
};

/* True: refused as the row that runs says. */
bool matrix_refused(weir_error *take_error);
/* Runs all rows in this mode; fails the test for each that does not hold. */
void matrix_run(const struct matrix *matrix, bool debug, bool running);

#define MATRIX_REFUSED(name, call)   \
    static bool name(void)           \
    {                                \
        return matrix_refused(call); \
    }

/* The four tests of a folder, `area` in their names. */
#define MATRIX_TESTS(area, matrix)                                                  \
    static void T11_B2_##area##_in_release_mode_with_the_loop_stopped(void **state) \
    {                                                                               \
        (void)state;                                                                \
        matrix_run((matrix), false, false);                                         \
    }                                                                               \
    static void T11_B2_##area##_in_release_mode_with_the_loop_running(void **state) \
    {                                                                               \
        (void)state;                                                                \
        matrix_run((matrix), false, true);                                          \
    }                                                                               \
    static void T11_B2_##area##_in_debug_mode_with_the_loop_stopped(void **state)   \
    {                                                                               \
        (void)state;                                                                \
        matrix_run((matrix), true, false);                                          \
    }                                                                               \
    static void T11_B2_##area##_in_debug_mode_with_the_loop_running(void **state)   \
    {                                                                               \
        (void)state;                                                                \
        matrix_run((matrix), true, true);                                           \
    }

#endif
