/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "tests/unit/testing/testing_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char failure[8192];

void fail_in_cmocka(const char *text)
{
    fail_msg("%s", text);
}

static void keep(const char *text)
{
    snprintf(failure, sizeof(failure), "%s", text);
}

void keep_failures(void)
{
    failure[0] = '\0';
    weir_test_set_failure(keep);
}

const char *kept_failure(void)
{
    return failure;
}

void assert_failed_with(const char *wanted)
{
    weir_test_set_failure(fail_in_cmocka);
    if (!strstr(failure, wanted))
        fail_msg("failure \"%s\", expected \"%s\" in it", failure, wanted);
    failure[0] = '\0';
}

void assert_not_failed(void)
{
    weir_test_set_failure(fail_in_cmocka);
    if (failure[0])
        fail_msg("%s", failure);
}

int kit_setup(void **state)
{
    (void)state;
    weir_test_set_failure(fail_in_cmocka);
    return 0;
}

int kit_teardown(void **state)
{
    (void)state;
    weir_test_drop(NULL);
    weir_test_log_end();
    unsetenv("WEIR_TEST_SEED");
    return 0;
}
