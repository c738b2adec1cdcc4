/* SPDX-License-Identifier: Apache-2.0 */
/* A canary: writes one byte past the end of a block. AddressSanitizer and valgrind must report it. */
#include "config.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    volatile char *block = malloc((size_t)argc + 15);

    (void)argv;
    if (!block)
        return 1;
    block[argc + 15] = 1;
    free((void *)block);
    return 0;
}
