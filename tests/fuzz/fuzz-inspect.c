/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First bytes of a connection: what inspectors find, what they consume and what they answer depends on
 * the bytes alone, not on how they were cut; what they publish are names.
 */
#include "config.h"

#include "host/inspect/client_hello.h"
#include "host/inspect/inspect.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_corpus[] = "tests/fuzz/corpus/inspect";

static const struct inspector_entry entries[] = {
    {"postgres", &weir__inspect_postgres, NULL, CLIENT_HELLO_LIMIT},
    {"tls", &weir__inspect_tls, NULL, CLIENT_HELLO_LIMIT},
    {"ssh", &weir__inspect_ssh, NULL, 4},
};
static const struct inspect_plan plan = {entries, 3, {0}};

struct found {
    enum inspect_end end;
    size_t consumed, replied;
    char reply[64];
    struct weir_inspection inspection;
};

static weir_error *note_reply(void *arg, weir_slice data)
{
    struct found *found = arg;

    CLAIM(found->replied + data.len <= sizeof(found->reply));
    memcpy(found->reply + found->replied, data.data, data.len);
    found->replied += data.len;
    return NULL;
}

/* `seed` 0: whole. */
static void look(const uint8_t *data, size_t size, uint32_t seed, struct found *ret)
{
    size_t have = 0;

    memset(ret, 0, sizeof(*ret));
    ret->inspection = (struct weir_inspection){.plan = &plan, .reply = note_reply, .arg = ret};
    ret->end = INSPECT_MORE;
    while (ret->end == INSPECT_MORE && have < size) {
        size_t n = seed ? next_piece(&seed) : size, consumed;
        char *block;

        have = n < size - have ? have + n : size;
        block = block_of(data + ret->consumed, have - ret->consumed);
        ret->end = weir__inspection_look(
            &ret->inspection, weir_slice_of(block, have - ret->consumed), false, &consumed);
        CLAIM(consumed <= have - ret->consumed);
        ret->consumed += consumed;
        free(block);
    }
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void claim_same(const struct found *a, const struct found *b)
{
    const struct inspect_facts *x = &a->inspection.facts, *y = &b->inspection.facts;

    CLAIM(a->end == b->end && a->consumed == b->consumed && a->replied == b->replied);
    CLAIM(memcmp(a->reply, b->reply, a->replied) == 0);
    for (size_t i = 0; i < INSPECT_FACTS; i++)
        CLAIM(same_text(x->texts[i], y->texts[i]));
    CLAIM(x->send == y->send && x->expect == y->expect);
    CLAIM(!x->send || memcmp(x->preamble, y->preamble, x->send + x->expect) == 0);
}

static void claim_names(const struct inspect_facts *facts)
{
    const char *sni = facts->texts[WEIR_FACT_SNI], *alpn = facts->texts[WEIR_FACT_ALPN];

    for (const char *c = sni; c && *c; c++)
        CLAIM((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || strchr("-_.", *c));
    for (const char *c = alpn; c && *c; c++)
        CLAIM(*c > ' ' && *c < 127);
    CLAIM(!sni || (*sni && strlen(sni) < CLIENT_HELLO_NAME));
    CLAIM(!alpn || (*alpn && strlen(alpn) < CLIENT_HELLO_ALPN));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t seed = take_seed(&data, &size);
    struct found whole, pieces;

    look(data, size, 0, &whole);
    look(data, size, seed ? seed : 1, &pieces);
    claim_same(&whole, &pieces);
    claim_names(&whole.inspection.facts);
    CLAIM(whole.end != INSPECT_TIMEOUT && whole.end != INSPECT_ENDED);
    CLAIM(whole.end != INSPECT_KNOWN || whole.inspection.facts.texts[WEIR_FACT_PROTOCOL]);
    weir__facts_free(&whole.inspection.facts);
    weir__facts_free(&pieces.inspection.facts);
    return 0;
}
