/* SPDX-License-Identifier: Apache-2.0 */
/* What the unit tests of core/base and core/loop share. */
#ifndef WEIR_TESTS_BASE_TEST_H
#define WEIR_TESTS_BASE_TEST_H

/* cmocka.h needs the others before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <stdio.h>

#include <weir/error.h>

#include "core/base/alloc.h"

/* `call` must succeed; prints its error when it does not. */
#define OK(call)                                                     \
    do {                                                             \
        weir_error *ok_error_ = (call);                              \
        if (ok_error_) {                                             \
            char ok_text_[2048];                                     \
            weir_error_print(ok_error_, ok_text_, sizeof(ok_text_)); \
            weir_error_unref(ok_error_);                             \
            fail_msg("%s: %s", #call, ok_text_);                     \
        }                                                            \
    } while (0)

/* `call` must fail with `code`. */
#define FAILS(call, code)                                                                         \
    do {                                                                                          \
        weir_error *fails_error_ = (call);                                                        \
        assert_string_equal(weir_code_name(weir_error_code(fails_error_)), weir_code_name(code)); \
        weir_error_unref(fails_error_);                                                           \
    } while (0)

#define MAX_ALLOCATIONS 64

/* Fails the 1st, 2nd, … allocation of `call` until it succeeds; each failure must be out of memory
   (or `other`). Counts the failures. */
#define FAIL_EACH_ALLOCATION(call, other, ret_failures)                     \
    do {                                                                    \
        unsigned long nth_;                                                 \
        for (nth_ = 1; nth_ < MAX_ALLOCATIONS; nth_++) {                    \
            weir_error *nth_error_;                                         \
            weir__alloc_fail_nth = nth_;                                    \
            nth_error_ = (call);                                            \
            weir__alloc_fail_nth = 0;                                       \
            if (!nth_error_)                                                \
                break;                                                      \
            if (!weir_error_is(nth_error_, (other)))                        \
                assert_int_equal(weir_error_code(nth_error_), WEIR_ENOMEM); \
            weir_error_unref(nth_error_);                                   \
        }                                                                   \
        assert_true(nth_ < MAX_ALLOCATIONS);                                \
        *(ret_failures) = nth_ - 1;                                         \
    } while (0)

#endif
