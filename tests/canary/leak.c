/* SPDX-License-Identifier: Apache-2.0 */
/* A canary: drops the last pointer to an object that it owns. LeakSanitizer and valgrind must name
 * the call that made it. */
#include "config.h"

#include <weir/chunk.h>

static void forget(void)
{
    weir_buffer *buffer = NULL;

    weir_ignore(weir_buffer_new(100, &buffer));
}

/* The pointer must not survive in a register or a dead part of the stack. */
static __attribute__((noinline)) int wipe(void)
{
    volatile char rubbish[4096];

    for (size_t i = 0; i < sizeof rubbish; i++)
        rubbish[i] = (char)i;
    return rubbish[7];
}

int main(void)
{
    forget();
    return wipe() == 7 ? 0 : 1;
}
