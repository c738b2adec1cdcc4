/* SPDX-License-Identifier: Apache-2.0 */
/* A canary: drops the last pointers to objects that it owns. LeakSanitizer and valgrind must name the
 * call that made them. Several, because the last pointer may survive in a dead part of the stack. */
#include "config.h"

#include <weir/chunk.h>
#include <weir/error.h>

int main(void)
{
    for (int i = 0; i < 10; i++) {
        weir_buffer *buffer = NULL;

        weir_ignore(weir_buffer_new(100, &buffer));
        if (!buffer)
            return 0;
    }
    return 0;
}
