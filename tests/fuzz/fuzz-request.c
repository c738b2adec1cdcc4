/* SPDX-License-Identifier: Apache-2.0 */
/* Request heads, whole against cut. Four bytes choose the cuts, the rest is the head. */
#include "config.h"

#include "tests/fuzz/head.h"

const char fuzz_corpus[] = "tests/fuzz/corpus/request";

static weir_http_result parse(weir_http_head *head, weir_slice so_far, uint32_t seed)
{
    (void)seed;
    return weir_http_parse_request(head, so_far);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_head(data, size, parse);
    return 0;
}
