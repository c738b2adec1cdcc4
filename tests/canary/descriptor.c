/* SPDX-License-Identifier: Apache-2.0 */
/* A canary: a test opens a descriptor and forgets it. The leak count around each test must fail it. */
#include "config.h"

#include <fcntl.h>

#include "tests/unit/support/support.h"

static void a_test_that_leaves_a_descriptor_open(void **state)
{
    (void)state;
    assert_true(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {ON_MAIN_TEST(a_test_that_leaves_a_descriptor_open)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
