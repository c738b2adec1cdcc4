/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies, whole against cut: the same data, the same end, the same error. Four bytes choose the
 * cuts and the framing, the rest is the body. What a step did not use is presented again.
 */
#include "config.h"

#include <weir/http-message.h>

#include "tests/fuzz/fuzz.h"

const char fuzz_corpus[] = "tests/fuzz/corpus/body";

#define TRAILERS 3

struct one {
    weir_http_body body;
    weir_http_field trailers[TRAILERS];
    weir_http_result result;
    char *data;
    size_t len, used;
};

static const weir_http_limits limits = {.trailer = 60, .extension = 20};

static void start(struct one *one, uint32_t seed, size_t size)
{
    static const weir_http_framing framings[] = {WEIR_HTTP_CHUNKED, WEIR_HTTP_CHUNKED,
                                                 WEIR_HTTP_CHUNKED, WEIR_HTTP_LENGTH};
    weir_http_head head;

    weir_http_head_init(&head, NULL, 0, NULL);
    head.framing = (uint8_t)framings[seed & 3];
    head.content_length = seed >> 8 & 63;
    weir_http_body_init(&one->body, &head, &limits);
    if (seed & 4)
        weir_http_body_keep_trailers(&one->body, one->trailers, TRAILERS);
    one->data = malloc(size + 1);
    CLAIM(one->data);
    one->len = one->used = 0;
    one->result = WEIR_HTTP_MORE;
}

/* Gives [used, end) of the input, in memory of its own. */
static void feed(struct one *one, const uint8_t *data, size_t end, size_t size)
{
    char *bytes = block_of(data + one->used, end - one->used);
    weir_slice in = weir_slice_of(bytes, end - one->used), out;
    size_t used;

    do {
        one->result = weir_http_body_decode(&one->body, in, &used, &out);
        CLAIM(used <= in.len);
        CLAIM(out.len == 0 || ((const char *)out.data >= (const char *)in.data &&
                               (const char *)out.data + out.len <= (const char *)in.data + used));
        CLAIM(one->len + out.len <= size);
        if (out.len)
            memcpy(one->data + one->len, out.data, out.len);
        one->len += out.len;
        one->used += used;
        in = weir_slice_skip(in, used);
    } while (one->result == WEIR_HTTP_MORE && used > 0);
    free(bytes);
}

static void claim_same(const struct one *a, const struct one *b)
{
    CLAIM(a->result == b->result && a->body.error == b->body.error);
    CLAIM(a->len == b->len && memcmp(a->data, b->data, a->len) == 0);
    CLAIM(a->body.received == a->len && b->body.received == b->len);
    if (a->result == WEIR_HTTP_DONE)
        CLAIM(a->used == b->used);
    if (a->result == WEIR_HTTP_DONE && a->body.framing == WEIR_HTTP_CHUNKED) {
        CLAIM(a->body.trailer.field_count == b->body.trailer.field_count);
        CLAIM(a->body.trailer.present == b->body.trailer.present);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t seed = take_seed(&data, &size), cuts = seed;
    struct one whole, pieces;
    size_t len = 0;

    start(&whole, seed, size);
    start(&pieces, seed, size);
    feed(&whole, data, size, size);
    do {
        size_t piece = next_piece(&cuts);

        len = piece < size - len ? len + piece : size;
        feed(&pieces, data, len, size);
    } while (pieces.result == WEIR_HTTP_MORE && len < size);
    claim_same(&whole, &pieces);
    CLAIM(weir_http_body_eof(&whole.body) ==
          (whole.result == WEIR_HTTP_DONE ? WEIR_HTTP_DONE : WEIR_HTTP_BAD));
    free(whole.data);
    free(pieces.data);
    return 0;
}
