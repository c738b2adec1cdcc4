/* SPDX-License-Identifier: Apache-2.0 */
/* An intrusive, circular list; host/ may not include core/. */
#ifndef WEIR_HOST_GENERATION_LIST_H
#define WEIR_HOST_GENERATION_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct hlist {
    struct hlist *next, *prev;
};

#define HLIST_ENTRY(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void hlist_init(struct hlist *node)
{
    node->next = node->prev = node;
}

static inline bool hlist_empty(const struct hlist *head)
{
    return head->next == head;
}

static inline void hlist_insert(struct hlist *before, struct hlist *node)
{
    node->prev = before->prev;
    node->next = before;
    before->prev->next = node;
    before->prev = node;
}

static inline void hlist_append(struct hlist *head, struct hlist *node)
{
    hlist_insert(head, node);
}

static inline void hlist_prepend(struct hlist *head, struct hlist *node)
{
    hlist_insert(head->next, node);
}

static inline void hlist_remove(struct hlist *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    hlist_init(node);
}

/* Moves all of `from` to the end of `to`. */
static inline void hlist_splice(struct hlist *to, struct hlist *from)
{
    if (hlist_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    hlist_init(from);
}

#endif
