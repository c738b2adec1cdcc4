/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two lanes of multiply-and-mix over the words of a text: 128 bits, so that two contents which differ
 * are not taken for one another.
 */
#include "host/config/content.h"

#include <config.h>
#include <stdlib.h>
#include <string.h>

#include "host/config/internal.h"

struct note {
    const weir_config_node *node;
    struct content content;
    void *mark;
};

struct content_notes {
    size_t n_slots; /* a power of two, never full */
    struct note slots[];
};

size_t weir__pointer_hash(const void *pointer)
{
    return (size_t)((uintptr_t)pointer * (uint64_t)0x9e3779b97f4a7c15u >> 24);
}

static uint64_t mix(uint64_t h, uint64_t word, uint64_t factor)
{
    h = (h ^ word) * factor;
    return h ^ h >> 29;
}

void weir__content_number(struct content *content, uint64_t number)
{
    content->a = mix(content->a, number, 0x9e3779b97f4a7c15u);
    content->b = mix(content->b + number, content->a, 0xc2b2ae3d27d4eb4fu);
}

void weir__content_begin(struct content *content)
{
    *content = (struct content){0x243f6a8885a308d3u, 0x13198a2e03707344u};
}

bool weir__content_equal(const struct content *a, const struct content *b)
{
    return a->a == b->a && a->b == b->b;
}

void weir__content_bytes(struct content *content, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    uint64_t word = 0;

    weir__content_number(content, len);
    for (; len >= sizeof word; at += sizeof word, len -= sizeof word) {
        memcpy(&word, at, sizeof word);
        weir__content_number(content, word);
    }
    word = 0;
    if (len)
        memcpy(&word, at, len);
    weir__content_number(content, word);
}

void weir__content_text(struct content *content, const char *text)
{
    weir__content_number(content, text != NULL);
    if (text)
        weir__content_bytes(content, text, strlen(text));
}

void weir__content_pointer(struct content *content, const void *pointer)
{
    weir__content_number(content, (uintptr_t)pointer);
}

weir_error *weir__content_notes_new(size_t room, struct content_notes **ret)
{
    size_t n = 16;
    struct content_notes *notes;

    while (n < room * 2)
        n *= 2;
    notes = calloc(1, sizeof *notes + n * sizeof *notes->slots);
    if (!notes)
        return weir_raise(WEIR_ENOMEM, "configuration");
    notes->n_slots = n;
    *ret = notes;
    return NULL;
}

void weir__content_notes_free(struct content_notes *notes)
{
    free(notes);
}

static size_t slot_of(const struct content_notes *notes, const weir_config_node *node)
{
    size_t at = weir__pointer_hash(node) & (notes->n_slots - 1);

    while (notes->slots[at].node && notes->slots[at].node != node)
        at = (at + 1) & (notes->n_slots - 1);
    return at;
}

void weir__content_note(struct content_notes *notes, const weir_config_node *node,
                        const struct content *content, void *mark)
{
    struct note *note = &notes->slots[slot_of(notes, node)];

    if (note->node && weir__content_equal(&note->content, content))
        return; /* an alias */
    note->node = node;
    note->mark = mark;
    note->content.a += content->a;
    note->content.b += content->b;
}

static void add_scalar(struct content *content, const weir_config_node *node)
{
    weir__content_number(content, (uint64_t)node->plain + 2);
    weir__content_bytes(content, node->text ? node->text : "", node->len);
    weir__content_text(content, node->span.source ? node->span.source->folder : NULL);
}

static bool is_ignored(const weir_config_node *map, size_t index)
{
    return strncmp(map->keys[index]->text, "x-", 2) == 0;
}

struct reading {
    const struct content_notes *notes;
    void (*meet)(void *arg, void *mark);
    void *arg;
};

static void read_note(struct content *content, const struct reading *r,
                      const weir_config_node *node)
{
    const struct note *note = &r->notes->slots[slot_of(r->notes, node)];

    if (!note->node)
        return;
    weir__content_number(content, note->content.a);
    weir__content_number(content, note->content.b);
    if (r->meet && note->mark)
        r->meet(r->arg, note->mark);
}

static void read_node(struct content *content, const struct reading *r,
                      const weir_config_node *node)
{
    weir__content_number(content, node ? (uint64_t)node->kind + 1 : 0);
    if (!node || node->recursive)
        return;
    if (r->notes)
        read_note(content, r, node);
    if (node->kind == WEIR_NODE_SCALAR) {
        add_scalar(content, node);
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        if (node->kind == WEIR_NODE_MAP) {
            if (is_ignored(node, i))
                continue;
            weir__content_bytes(content, node->keys[i]->text, node->keys[i]->len);
        }
        read_node(content, r, node->items[i]);
    }
    weir__content_number(content, node->count);
}

void weir__content_node(struct content *content, const struct content_notes *notes,
                        const weir_config_node *node)
{
    struct reading r = {.notes = notes};

    read_node(content, &r, node);
}

void weir__content_node_met(struct content *content, const struct content_notes *notes,
                            const weir_config_node *node, void (*meet)(void *arg, void *mark),
                            void *arg)
{
    struct reading r = {notes, meet, arg};

    read_node(content, &r, node);
}
