/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PROXY headers: what is read does not depend on how much is there, its slices lie in it, and its
 * addresses survive being written and read again.
 */
#include "config.h"

#include <weir/proxy-protocol.h>

#include "tests/fuzz/fuzz.h"

const char fuzz_corpus[] = "tests/fuzz/corpus/proxy";

static void claim_within(weir_slice part, const char *block, size_t size)
{
    const char *bytes = part.data;

    CLAIM(!part.len || (bytes >= block && bytes + part.len <= block + size));
}

/* A shorter piece needs more, or tells the same. */
static void claim_prefixes(const char *block, size_t length, size_t step)
{
    for (size_t n = 0; n < length; n += step) {
        char *piece = block_of(block, n);
        weir_proxy_header header;
        size_t have = 99;
        weir_error *error = weir_proxy_parse(weir_slice_of(piece, n), &header, &have);

        CLAIM(!error && have == 0);
        free(piece);
    }
}

static void claim_round_trip(const weir_proxy_header *header)
{
    char buffer[WEIR_PROXY_WRITE_MAX];
    weir_proxy_header again;
    size_t n = 0, length = 0;
    weir_error *error = weir_proxy_write(WEIR_PROXY_V2, &header->source, &header->destination,
                                         buffer, sizeof(buffer), &n);

    CLAIM(!error);
    error = weir_proxy_parse(weir_slice_of(buffer, n), &again, &length);
    CLAIM(!error && length == n && n <= sizeof(buffer));
    if (again.local || weir_address_sockaddr(&header->source) == NULL)
        return;
    error = weir_proxy_write(WEIR_PROXY_V2, &again.source, &again.destination, buffer,
                             sizeof(buffer), &length);
    CLAIM(!error && length == n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *block = block_of(data, size);
    weir_proxy_header header;
    size_t length = 0;
    weir_error *error = weir_proxy_parse(weir_slice_of(block, size), &header, &length);

    CLAIM(length <= size && (!error || !length));
    weir_ignore(error);
    if (length) {
        claim_within(header.authority, block, length);
        claim_within(header.alpn, block, length);
        CLAIM(!header.local || !header.source.length);
        claim_prefixes(block, length, length > 64 ? 7 : 1);
        claim_round_trip(&header);
    }
    free(block);
    return 0;
}
