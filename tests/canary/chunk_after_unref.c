/* SPDX-License-Identifier: Apache-2.0 */
/* A canary: writes to a chunk whose last reference is gone. The pool still holds the memory, so only
 * its poison can tell AddressSanitizer. */
#include "config.h"

#include <weir/chunk.h>

#include "tests/unit/support/support.h"

static weir_error *write_late(void *arg)
{
    weir_chunk *chunk = NULL;
    volatile char *data;

    (void)arg;
    CHECK_OK(weir_chunk_new(100, &chunk));
    data = weir_chunk_data(chunk);
    data[0] = 1;
    weir_chunk_unref(chunk);
    data[0] = 2;
    return NULL;
}

int main(void)
{
    weir_error *error = weir_run(write_late, NULL, NULL);

    return error ? 1 : 0;
}
