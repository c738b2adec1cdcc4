/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues. Two rows of waiting tasks, of which at most one is not empty:
 *
 *     getters wait: the store is empty      a put hands its item to the first of them
 *     putters wait: the store is full       a get takes one item and stores that of the first putter
 *
 * Whoever waits has the item (or the place for it) on its own stack, so neither side allocates, and a
 * waiter that was served is out of its row at that moment: a later cancellation finds nothing to undo.
 *
 * The store is one array: a ring (FIFO), a stack (LIFO) or a heap ordered by `compare` and the number
 * of the put (PRIORITY).
 */
#include "config.h"

#include <string.h>

#include <weir/queue.h>

#include "core/base/alloc.h"
#include "core/base/invariant.h"
#include "core/task/sync.h"
#include "core/task/task.h"

#define QUEUE_MAGIC   WEIR_MAGIC('q', 'u', 'e', 'u')
#define LIMIT_DEFAULT 1024
#define CAPACITY_MIN  16

struct weir_queue {
    uint32_t magic;
    unsigned refs;
    struct task_home *home;
    enum weir_queue_order order;
    bool shut;
    void **items;
    uint64_t *numbers; /* PRIORITY: of the put, beside its item */
    size_t capacity;   /* a power of two */
    size_t head;       /* FIFO: the first item */
    size_t count;
    size_t limit;
    size_t unfinished;
    uint64_t puts;
    int (*compare)(const void *, const void *);
    weir_drop_fn drop;
    struct sync getters, putters, joiners;
};

struct queue_wait {
    struct sync_wait row;
    void *item;
};

static weir_error *grow(weir_queue *queue)
{
    size_t capacity = queue->capacity ? queue->capacity * 2 : CAPACITY_MIN;
    void **items = weir__reallocarray(queue->items, capacity, sizeof *items);
    uint64_t *numbers;

    if (!items)
        return weir_raise(WEIR_ENOMEM, "queue");
    queue->items = items;
    if (queue->order == WEIR_QUEUE_PRIORITY) {
        numbers = weir__reallocarray(queue->numbers, capacity, sizeof *numbers);
        if (!numbers)
            return weir_raise(WEIR_ENOMEM, "queue");
        queue->numbers = numbers;
    }
    /* the ring was full: what had wrapped around goes behind the rest */
    for (size_t i = 0; i < queue->head; i++)
        items[queue->capacity + i] = items[i];
    queue->capacity = capacity;
    return NULL;
}

static bool comes_before(const weir_queue *queue, size_t one, size_t other)
{
    int order = queue->compare(queue->items[one], queue->items[other]);

    return order < 0 || (order == 0 && queue->numbers[one] < queue->numbers[other]);
}

static void swap(weir_queue *queue, size_t one, size_t other)
{
    void *item = queue->items[one];
    uint64_t number = queue->numbers[one];

    queue->items[one] = queue->items[other];
    queue->numbers[one] = queue->numbers[other];
    queue->items[other] = item;
    queue->numbers[other] = number;
}

static void sift_up(weir_queue *queue, size_t at)
{
    while (at && comes_before(queue, at, (at - 1) / 2)) {
        swap(queue, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static void sift_down(weir_queue *queue)
{
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child + 1 < queue->count && comes_before(queue, child + 1, child))
            child++;
        if (child >= queue->count || !comes_before(queue, child, at))
            return;
        swap(queue, at, child);
        at = child;
    }
}

/* There is room. */
static void store(weir_queue *queue, void *item)
{
    size_t at = queue->count++;

    if (queue->order == WEIR_QUEUE_FIFO) {
        queue->items[(queue->head + at) & (queue->capacity - 1)] = item;
        return;
    }
    queue->items[at] = item;
    if (queue->order == WEIR_QUEUE_PRIORITY) {
        queue->numbers[at] = queue->puts++;
        sift_up(queue, at);
    }
}

/* It is not empty. */
static void *fetch(weir_queue *queue)
{
    void *item;

    queue->count--;
    if (queue->order == WEIR_QUEUE_LIFO)
        return queue->items[queue->count];
    item = queue->items[queue->head];
    if (queue->order == WEIR_QUEUE_FIFO) {
        queue->head = (queue->head + 1) & (queue->capacity - 1);
    } else {
        swap(queue, 0, queue->count);
        sift_down(queue);
    }
    return item;
}

static struct queue_wait *first_of(struct sync *row)
{
    struct sync_wait *wait = weir__sync_grant(row);

    return wait ? container_of(wait, struct queue_wait, row) : NULL;
}

static weir_error *check_options(const weir_queue_options *options)
{
    if (options->order > WEIR_QUEUE_LIFO)
        return weir_raise(WEIR_EINVAL, "no such order of a queue");
    if (options->order == WEIR_QUEUE_PRIORITY && !options->compare)
        return weir_raise(WEIR_EINVAL, "a queue by priority needs `compare`");
    return NULL;
}

static void row_init(struct sync *row, const weir_loop *loop)
{
    row->loop = loop;
    list_init(&row->waiters);
}

weir_error *weir_queue_new(const weir_queue_options *given, weir_queue **ret)
{
    weir_queue_options options = {.limit = LIMIT_DEFAULT};
    struct task_home *home;
    weir_queue *queue;

    if (given)
        memcpy(&options, given, given->size < sizeof options ? given->size : sizeof options);
    WEIR_TRY(check_options(&options));
    WEIR_TRY(weir__task_home_here(&home));
    queue = weir__calloc(1, sizeof *queue);
    if (!queue)
        return weir_raise(WEIR_ENOMEM, "queue");
    queue->magic = QUEUE_MAGIC;
    queue->refs = 1;
    queue->home = home;
    home->refs++;
    queue->order = options.order;
    queue->limit = options.limit ? options.limit : LIMIT_DEFAULT;
    queue->compare = options.compare;
    queue->drop = options.drop;
    row_init(&queue->getters, home->loop);
    row_init(&queue->putters, home->loop);
    row_init(&queue->joiners, home->loop);
    *ret = queue;
    return NULL;
}

weir_queue *weir_queue_ref(weir_queue *queue)
{
    if (queue) {
        weir_check(queue, QUEUE_MAGIC);
        if (!weir__task_home_allows(queue->home))
            return NULL;
        queue->refs++;
    }
    return queue;
}

static void drop_items(weir_queue *queue)
{
    while (queue->count) {
        void *item = fetch(queue);

        if (queue->drop)
            queue->drop(item);
    }
}

static weir_error *unref_at_home(void *queue)
{
    weir_queue_unref(queue);
    return NULL;
}

void weir_queue_unref(weir_queue *queue)
{
    weir_loop *loop;

    if (!queue)
        return;
    weir_check(queue, QUEUE_MAGIC);
    loop = __atomic_load_n(&queue->home->loop, __ATOMIC_RELAXED);
    if (loop && loop != weir__thread_loop) {
        weir_ignore(weir_loop_call_soon_threadsafe(loop, unref_at_home, queue, NULL));
        return;
    }
    if (queue->refs > 1) {
        queue->refs--;
        return;
    }
    drop_items(queue); /* while the reference still holds: a drop function may look */
    weir__task_home_unref(queue->home);
    weir_magic_clear(queue);
    weir__free(queue->items);
    weir__free(queue->numbers);
    weir__free(queue);
}

static bool is_full(const weir_queue *queue)
{
    return queue->count >= queue->limit;
}

/* Without waiting. WEIR_EFULL is left to the caller: the queue is not full. */
static weir_error *put_now(weir_queue *queue, void *take_item)
{
    struct queue_wait *getter = first_of(&queue->getters);

    if (getter) {
        getter->item = take_item;
    } else {
        if (__builtin_expect(queue->count == queue->capacity, 0))
            WEIR_TRY(grow(queue));
        store(queue, take_item);
    }
    queue->unfinished++;
    return NULL;
}

/* The queue is not empty. */
static void *get_now(weir_queue *queue)
{
    void *item = fetch(queue);
    struct queue_wait *putter = first_of(&queue->putters);

    if (putter) {
        store(queue, putter->item);
        queue->unfinished++;
    }
    return item;
}

/* What is waited in must not go meanwhile. */
static weir_error *wait_in(weir_queue *queue, struct sync *row, struct sync_wait *wait,
                           const weir_site *site)
{
    weir_auto(weir_queue) held = weir_queue_ref(queue);

    WEIR_TRY(weir__sync_wait(row, wait, site));
    if (wait->failed)
        return weir_raise(wait->failed, "the queue is shut down");
    return NULL;
}

weir_error *weir_queue_put_at(const weir_site *site, weir_queue *queue, void *take_item)
{
    struct queue_wait wait;

    WEIR_TRY(weir__wait_begin(&wait.row.waiter));
    WEIR_TRY(weir__task_home_check_call(queue->home, __func__, site));
    if (queue->shut)
        return weir_raise(WEIR_ECLOSED, "the queue is shut down");
    if (!is_full(queue)) {
        WEIR_TRY(put_now(queue, take_item));
        weir__task_budget();
        return NULL;
    }
    wait.item = take_item;
    WEIR_TRY(wait_in(queue, &queue->putters, &wait.row, site));
    return NULL;
}

weir_error *weir_queue_try_put(weir_queue *queue, void *take_item)
{
    WEIR_TRY(weir__task_home_check(queue->home));
    if (queue->shut)
        return weir_raise(WEIR_ECLOSED, "the queue is shut down");
    if (is_full(queue))
        return WEIR_RAISE_FAST(WEIR_EFULL, "the queue is full (%lld)", (int64_t)queue->limit);
    return put_now(queue, take_item);
}

weir_error *weir_queue_get_at(const weir_site *site, weir_queue *queue, void **ret_item)
{
    struct queue_wait wait;

    WEIR_TRY(weir__wait_begin(&wait.row.waiter));
    WEIR_TRY(weir__task_home_check_call(queue->home, __func__, site));
    if (queue->count) {
        *ret_item = get_now(queue);
        weir__task_budget();
        return NULL;
    }
    if (queue->shut)
        return weir_raise(WEIR_ECLOSED, "the queue is shut down");
    WEIR_TRY(wait_in(queue, &queue->getters, &wait.row, site));
    *ret_item = wait.item;
    return NULL;
}

weir_error *weir_queue_try_get(weir_queue *queue, void **ret_item)
{
    WEIR_TRY(weir__task_home_check(queue->home));
    if (!queue->count && queue->shut)
        return weir_raise(WEIR_ECLOSED, "the queue is shut down");
    if (!queue->count)
        return WEIR_RAISE_FAST(WEIR_ENOTREADY, "the queue is empty");
    *ret_item = get_now(queue);
    return NULL;
}

static void finished(weir_queue *queue, size_t count)
{
    queue->unfinished -= count;
    if (!queue->unfinished)
        weir__sync_grant_all(&queue->joiners, 0);
}

bool weir_queue_task_done_at(const weir_site *site, weir_queue *queue)
{
    if (!weir__sync_bound(&queue->joiners, "queue", __func__, site))
        return false;
    if (queue->unfinished <= queue->count) {
        weir__sync_misuse(site, "weir_queue_task_done() called more often than items were got");
        return false;
    }
    finished(queue, 1);
    return true;
}

weir_error *weir_queue_join_at(const weir_site *site, weir_queue *queue)
{
    struct sync_wait wait;

    WEIR_TRY(weir__wait_begin(&wait.waiter));
    WEIR_TRY(weir__task_home_check_call(queue->home, __func__, site));
    if (!queue->unfinished) {
        weir__task_budget();
        return NULL;
    }
    WEIR_TRY(wait_in(queue, &queue->joiners, &wait, site));
    return NULL;
}

void weir_queue_shutdown_at(const weir_site *site, weir_queue *queue, weir_queue_shutdown_mode mode)
{
    weir_auto(weir_queue) held = NULL;

    if (!weir__sync_bound(&queue->joiners, "queue", __func__, site))
        return;
    held = weir_queue_ref(queue); /* a drop function may let the last one go */
    queue->shut = true;
    weir__sync_grant_all(&queue->putters, WEIR_ECLOSED);
    if (mode == WEIR_QUEUE_IMMEDIATE && queue->count) {
        size_t dropped = queue->count;

        drop_items(queue);
        finished(queue, dropped);
    }
    weir__sync_grant_all(&queue->getters, WEIR_ECLOSED);
}

size_t weir_queue_count(const weir_queue *queue)
{
    return queue->count;
}

size_t weir_queue_limit(const weir_queue *queue)
{
    return queue->limit;
}

bool weir_queue_empty(const weir_queue *queue)
{
    return queue->count == 0;
}

bool weir_queue_full(const weir_queue *queue)
{
    return is_full(queue);
}
