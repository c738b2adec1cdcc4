/* SPDX-License-Identifier: Apache-2.0 */
/* One intrusive, circular list. A node knows whether it is linked; removing re-initialises it. */
#ifndef WEIR_CORE_BASE_LIST_H
#define WEIR_CORE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define LIST_INIT(name)  \
    {                    \
        &(name), &(name) \
    }

/* The struct around a member; a pointer of another type than the member's does not compile. */
#define container_of(pointer, type, member)                                   \
    (__extension__({                                                          \
        __typeof__(((type *)0)->member) *container_member_ = (pointer);       \
        (type *)(void *)((char *)container_member_ - offsetof(type, member)); \
    }))

/* NULL at the head, which is no entry. */
#define LIST_ENTRY_OR_NULL(node, head, type, member) \
    ((node) == (head) ? NULL : container_of(node, type, member))

#define weir_list_foreach(entry, head, type, member)                                        \
    for (type *entry = LIST_ENTRY_OR_NULL((head)->next, head, type, member); entry != NULL; \
         entry = LIST_ENTRY_OR_NULL(entry->member.next, head, type, member))

/* The current entry may be removed and freed, not the next one. */
#define LIST_AFTER(entry, head, type, member) \
    ((entry) ? LIST_ENTRY_OR_NULL((entry)->member.next, head, type, member) : NULL)
#define weir_list_foreach_safe(entry, head, type, member)                    \
    for (type *entry = LIST_ENTRY_OR_NULL((head)->next, head, type, member), \
              *entry##_next_ = LIST_AFTER(entry, head, type, member);        \
         entry != NULL;                                                      \
         entry = entry##_next_, entry##_next_ = LIST_AFTER(entry, head, type, member))

static inline void list_init(struct list *node)
{
    node->next = node->prev = node;
}

/* Of a head: is it empty? Of a node: is it unlinked? */
static inline bool list_empty(const struct list *node)
{
    return node->next == node;
}

static inline void list_insert_before(struct list *position, struct list *node)
{
    node->prev = position->prev;
    node->next = position;
    position->prev->next = node;
    position->prev = node;
}

static inline void list_append(struct list *head, struct list *node)
{
    list_insert_before(head, node);
}

static inline void list_prepend(struct list *head, struct list *node)
{
    list_insert_before(head->next, node);
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Moves all of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#endif
