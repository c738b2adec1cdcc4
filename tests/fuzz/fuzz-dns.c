/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of name servers: whatever a message says, what is taken from it lies within bounds, is of
 * the type that was asked for, and has its NUL; reading it twice gives the same.
 */
#include "config.h"

#include "core/net/resolver.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_corpus[] = "tests/fuzz/corpus/dns";

static const uint16_t types[] = {WEIR_DNS_A, WEIR_DNS_AAAA, WEIR_DNS_SRV, WEIR_DNS_TXT,
                                 WEIR_DNS_PTR};

static void claim_record(const answer *a, const weir_dns_record *record)
{
    const char *bytes = record->data.data;

    CLAIM(bytes[record->data.len] == '\0');
    CLAIM(a->type != WEIR_DNS_A || record->data.len == 4);
    CLAIM(a->type != WEIR_DNS_AAAA || record->data.len == 16);
    /* Names are text: what is not is written as "\\001". */
    if (a->type == WEIR_DNS_SRV || a->type == WEIR_DNS_PTR)
        CLAIM(strlen(bytes) == record->data.len && record->data.len < 1024);
}

static void claim_same(const answer *a, const answer *b)
{
    CLAIM(a->code == b->code && a->ttl == b->ttl && a->count == b->count);
    for (uint32_t i = 0; i < a->count; i++)
        CLAIM(a->list[i].data.len == b->list[i].data.len &&
              memcmp(a->list[i].data.data, b->list[i].data.data, a->list[i].data.len) == 0);
}

/* The first byte chooses the type. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint16_t type = types[(size ? data[0] : 0) % (sizeof(types) / sizeof(types[0]))];
    size_t len = size ? size - 1 : 0;
    char *block = block_of(data + (size ? 1 : 0), len);
    answer *a = weir__answer_parse((const unsigned char *)block, len, "a.test", type);
    answer *again = weir__answer_parse((const unsigned char *)block, len, "a.test", type);

    CLAIM(a && again && a->refs == 1 && a->type == type && a->count <= RESOLVER_RECORDS);
    CLAIM(a->code == 0 || (a->count == 0 && (a->code == WEIR_ENONAME || a->code == WEIR_EDNS)));
    CLAIM(a->code != 0 || a->count);
    for (uint32_t i = 0; i < a->count; i++)
        claim_record(a, &a->list[i]);
    claim_same(a, again);
    weir_dns_records_unref(a);
    weir_dns_records_unref(again);
    free(block);
    return 0;
}
