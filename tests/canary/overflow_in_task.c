/* SPDX-License-Identifier: Apache-2.0 */
/* A canary: a task writes past an array on its own stack. AddressSanitizer must report it: it knows
 * the stacks of tasks. */
#include "config.h"

#include "tests/unit/support/support.h"

static volatile size_t past = 16;

static weir_error *write_past(void *arg)
{
    volatile char array[16];

    (void)arg;
    array[past] = 1;
    CHECK(array[past] == 1);
    return NULL;
}

int main(void)
{
    weir_error *error = weir_run(write_past, NULL, NULL);

    return error ? 1 : 0;
}
