/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers: one 4-ary heap of (deadline, sequence, timer), the keys in the entries, so that sifting
 * reads no timer. A timer knows its position.
 *
 * Restarting with a later deadline only writes it into the timer: the entry keeps its earlier key
 * and, when it reaches the top, moves to where it belongs (an inactivity deadline that each byte
 * pushes on costs two stores). Stopping removes the entry. A due timer leaves the heap and waits in
 * a list as a job until its turn in the iteration, so that whoever runs before it may still stop it.
 */
#include "config.h"

#include <string.h>

#include "core/base/alloc.h"
#include "core/loop/internal.h"

#define ARITY    4
#define HEAP_MIN 64

static bool before(const struct heap_entry *a, const struct heap_entry *b)
{
    if (a->deadline != b->deadline)
        return a->deadline < b->deadline;
    return (int32_t)(a->sequence - b->sequence) < 0;
}

static void place(struct timer_heap *heap, size_t index, struct heap_entry entry)
{
    heap->entries[index] = entry;
    entry.timer->position = (uint32_t)index + 1;
}

static void sift_up(struct timer_heap *heap, size_t index, struct heap_entry entry)
{
    while (index > 0) {
        size_t parent = (index - 1) / ARITY;

        if (!before(&entry, &heap->entries[parent]))
            break;
        place(heap, index, heap->entries[parent]);
        index = parent;
    }
    place(heap, index, entry);
}

static void sift_down(struct timer_heap *heap, size_t index, struct heap_entry entry)
{
    for (;;) {
        size_t child = index * ARITY + 1, least = child;
        size_t end = child + ARITY < heap->count ? child + ARITY : heap->count;

        if (child >= heap->count)
            break;
        while (++child < end) {
            if (before(&heap->entries[child], &heap->entries[least]))
                least = child;
        }
        if (!before(&heap->entries[least], &entry))
            break;
        place(heap, index, heap->entries[least]);
        index = least;
    }
    place(heap, index, entry);
}

static void heap_remove(struct timer_heap *heap, struct timer *timer)
{
    size_t index = timer->position - 1;
    struct heap_entry last = heap->entries[--heap->count];

    timer->position = 0;
    if (index == heap->count)
        return;
    if (index > 0 && before(&last, &heap->entries[(index - 1) / ARITY]))
        sift_up(heap, index, last);
    else
        sift_down(heap, index, last);
}

static bool heap_grow(struct timer_heap *heap)
{
    /* By a quarter: idle connections have a timer each, and what is not used is theirs to pay. */
    size_t capacity = heap->capacity + (heap->capacity < HEAP_MIN ? HEAP_MIN : heap->capacity / 4);
    struct heap_entry *entries =
        weir__reallocarray(heap->entries, capacity, sizeof(heap->entries[0]));

    if (!entries)
        return false;
    heap->entries = entries;
    heap->capacity = capacity;
    return true;
}

weir_error *weir__timer_arm(weir_loop *loop, struct timer *timer, weir_instant when)
{
    struct timer_heap *heap = &loop->timers;

    if (timer_put_off(heap, timer, when.ns))
        return NULL;
    if (timer->position) {
        timer->sequence = ++heap->sequence;
        timer->deadline = when.ns;
        sift_up(heap, timer->position - 1, (struct heap_entry){when.ns, timer->sequence, timer});
        return NULL;
    }
    if (weir_unlikely(heap->count == heap->capacity) && !heap_grow(heap))
        return weir_raise(WEIR_ENOMEM, " ");
    timer->sequence = ++heap->sequence;
    timer->deadline = when.ns;
    heap->count++;
    sift_up(heap, heap->count - 1, (struct heap_entry){when.ns, timer->sequence, timer});
    return NULL;
}

weir_error *weir__timer_start(weir_loop *loop, struct timer *timer, weir_instant when)
{
    WEIR_TRY(weir__timer_arm(loop, timer, when));
    weir__job_cancel(&timer->job);
    return NULL;
}

void weir__timer_disarm(weir_loop *loop, struct timer *timer)
{
    if (timer->position)
        heap_remove(&loop->timers, timer);
}

void weir__timer_stop(weir_loop *loop, struct timer *timer)
{
    weir__timer_disarm(loop, timer);
    weir__job_cancel(&timer->job);
}

void weir__timers_due(weir_loop *loop, int64_t now)
{
    struct timer_heap *heap = &loop->timers;

    while (heap->count > 0 && heap->entries[0].deadline <= now) {
        struct heap_entry top = heap->entries[0];
        struct timer *timer = top.timer;

        if (timer->sequence != top.sequence || timer->deadline != top.deadline) {
            /* Restarted since: to its new place, which is not before this one. */
            top.deadline = timer->deadline;
            top.sequence = timer->sequence;
            sift_down(heap, 0, top);
            continue;
        }
        heap_remove(heap, timer);
        if (!job_queued(&timer->job))
            list_append(&loop->due, &timer->job.link);
        loop->metrics.timers++;
        weir__loop_count(&loop->metrics.lag, now - top.deadline);
        loop->metrics.lag_total.ns += now - top.deadline;
    }
}

int64_t weir__loop_next_deadline(const weir_loop *loop)
{
    return loop->timers.count ? loop->timers.entries[0].deadline : INT64_MAX;
}

void weir__timers_done(struct timer_heap *heap)
{
    for (size_t i = 0; i < heap->count; i++)
        heap->entries[i].timer->position = 0;
    weir__free(heap->entries);
    *heap = (struct timer_heap){0};
}
