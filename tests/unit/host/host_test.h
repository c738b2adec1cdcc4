/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka for the tests of host/. */
#ifndef WEIR_TESTS_HOST_TEST_H
#define WEIR_TESTS_HOST_TEST_H

/* cmocka.h needs the others before it. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#endif
