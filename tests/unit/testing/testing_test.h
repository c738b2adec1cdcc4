/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the test kit: a failure of the kit under test is kept as text instead of failing, when
 * the test asks for it.
 */
#ifndef WEIR_TESTS_TESTING_TEST_H
#define WEIR_TESTS_TESTING_TEST_H

/* cmocka.h needs the others before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <weir/testing.h>

/* Failures of the kit fail the cmocka test. */
void fail_in_cmocka(const char *text);
/* Failures are kept from now on; gives the last, "" if there is none. */
void keep_failures(void);
const char *kept_failure(void);
/* Fails unless the kept failure contains this. Then failures fail again. */
void assert_failed_with(const char *wanted);
void assert_not_failed(void);

int kit_setup(void **state);
int kit_teardown(void **state);
#define KIT_TEST(test) cmocka_unit_test_setup_teardown(test, kit_setup, kit_teardown)

/* A test with these options: KIT_NEW(.seed = 7) */
#define KIT_NEW(...) \
    weir_test_new(&(weir_test_options){WEIR_SIZED(weir_test_options), ##__VA_ARGS__})
#define KIT_FAULTS(...) (&(weir_test_faults){WEIR_SIZED(weir_test_faults), ##__VA_ARGS__})

#endif
