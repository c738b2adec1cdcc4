/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A head parsed whole and in pieces, in memory that moves with each piece: the outcome must be the
 * same, and everything it points to must lie inside of the head and be clean.
 */
#ifndef WEIR_TESTS_FUZZ_HEAD_H
#define WEIR_TESTS_FUZZ_HEAD_H

#include <weir/http-message.h>

#include "tests/fuzz/fuzz.h"

#define FIELDS 8

struct one {
    weir_http_head head;
    weir_http_field fields[FIELDS];
    weir_http_result result;
    char *bytes;
};

typedef weir_http_result (*parse_fn)(weir_http_head *head, weir_slice so_far, uint32_t seed);

static const weir_http_limits fuzz_limits = {.line = 120, .head = 400};

static inline void claim_inside(weir_slice slice, const struct one *one)
{
    const char *p = slice.data;

    if (!p || slice.len == 0 || slice.len == 1) /* may be constant: "/" or "*" */
        return;
    CLAIM(p >= one->bytes && p + slice.len <= one->bytes + one->head.length);
    CLAIM(!memchr(p, '\r', slice.len) && !memchr(p, '\n', slice.len) && !memchr(p, 0, slice.len));
}

static inline void claim_sound(const struct one *one)
{
    const weir_http_head *head = &one->head;

    CLAIM(head->length <= fuzz_limits.head && head->length >= 16);
    CLAIM(memcmp(one->bytes + head->length - 4, "\r\n\r\n", 4) == 0 || head->field_count == 0);
    CLAIM(memcmp(one->bytes + head->length - 2, "\r\n", 2) == 0);
    CLAIM(head->field_count <= FIELDS);
    claim_inside(head->target, one);
    claim_inside(head->host, one);
    claim_inside(head->path, one);
    claim_inside(head->query, one);
    claim_inside(head->reason, one);
    for (size_t i = 0; i < head->field_count; i++) {
        const weir_http_field *field = &one->fields[i];

        CLAIM(field->name_len > 0);
        claim_inside(weir_http_field_name(field), one);
        claim_inside(weir_http_field_value(field), one);
        CLAIM(field->id == (unsigned)weir_http_name_of(weir_http_field_name(field)));
        if (field->flags & WEIR_HTTP_FIELD_PLAIN)
            CLAIM(memcmp(field->value + field->value_len, "\r\n", 2) == 0 &&
                  memcmp(field->name + field->name_len, ": ", 2) == 0);
    }
    if (weir_http_head_has(head, WEIR_HTTP_TRANSFER_ENCODING))
        CLAIM(!weir_http_head_has(head, WEIR_HTTP_CONTENT_LENGTH));
    if (head->framing == WEIR_HTTP_LENGTH)
        CLAIM(head->has_content_length && head->content_length <= INT64_MAX);
}

static inline void claim_same(const struct one *a, const struct one *b)
{
    const weir_http_head *x = &a->head, *y = &b->head;

    CLAIM(a->result == b->result && x->error == y->error);
    if (a->result != WEIR_HTTP_DONE)
        return;
    CLAIM(x->length == y->length && x->framing == y->framing && x->status == y->status);
    CLAIM(x->content_length == y->content_length && x->keep_alive == y->keep_alive);
    CLAIM(x->present == y->present && x->repeated == y->repeated);
    CLAIM(x->field_count == y->field_count && x->upgrade_asked == y->upgrade_asked);
    CLAIM(weir_slice_equal(x->target, y->target) && weir_slice_equal(x->host, y->host));
    CLAIM(weir_slice_equal(x->path, y->path) && weir_slice_equal(x->query, y->query));
    CLAIM(weir_slice_equal(x->reason, y->reason) && weir_slice_equal(x->upgrade, y->upgrade));
    for (size_t i = 0; i < x->field_count; i++) {
        const weir_http_field *f = &a->fields[i], *g = &b->fields[i];

        CLAIM(weir_slice_equal(weir_http_field_name(f), weir_http_field_name(g)));
        CLAIM(weir_slice_equal(weir_http_field_value(f), weir_http_field_value(g)));
        CLAIM(f->id == g->id && f->flags == g->flags);
    }
}

static inline void fuzz_head(const uint8_t *data, size_t size, parse_fn parse)
{
    uint32_t seed = take_seed(&data, &size), cuts = seed;
    struct one whole, pieces;
    size_t len = 0;

    weir_http_head_init(&whole.head, whole.fields, FIELDS, &fuzz_limits);
    weir_http_head_init(&pieces.head, pieces.fields, FIELDS, &fuzz_limits);
    whole.bytes = block_of(data, size);
    whole.result = parse(&whole.head, weir_slice_of(whole.bytes, size), seed);
    pieces.bytes = block_of(data, 0);
    do {
        size_t piece = next_piece(&cuts);

        len = piece < size - len ? len + piece : size;
        free(pieces.bytes);
        pieces.bytes = block_of(data, len);
        pieces.result = parse(&pieces.head, weir_slice_of(pieces.bytes, len), seed);
    } while (pieces.result == WEIR_HTTP_MORE && len < size);
    claim_same(&whole, &pieces);
    if (whole.result == WEIR_HTTP_DONE) {
        claim_sound(&whole);
        claim_sound(&pieces);
    }
    free(whole.bytes);
    free(pieces.bytes);
}

#endif
