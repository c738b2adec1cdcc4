/* SPDX-License-Identifier: Apache-2.0 */
/* Response heads, whole against cut. Four bytes choose the cuts and the request, the rest is the
 * head. */
#include "config.h"

#include "tests/fuzz/head.h"

const char fuzz_corpus[] = "tests/fuzz/corpus/response";

static weir_http_result parse(weir_http_head *head, weir_slice so_far, uint32_t seed)
{
    return weir_http_parse_response(head, so_far, (weir_http_method)(seed % WEIR_HTTP_METHOD_COUNT),
                                    seed >> 5 & 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_head(data, size, parse);
    return 0;
}
