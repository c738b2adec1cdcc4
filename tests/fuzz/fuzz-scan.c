/* SPDX-License-Identifier: Apache-2.0 */
/* The accelerated scanners against their scalar twins, from every start. */
#include "config.h"

#include "http/message/scan.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_corpus[] = "tests/fuzz/corpus/scan";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = block_of(data, size);

    for (const char *p = bytes; p <= bytes + size; p++) {
        CLAIM(weir__scan_value(p, bytes + size) == weir__scan_value_scalar(p, bytes + size));
        CLAIM(weir__scan_name(p, bytes + size) == weir__scan_class(p, bytes + size, WEIR__TOKEN));
    }
    free(bytes);
    return 0;
}
