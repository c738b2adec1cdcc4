/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Queues between the tasks of one loop: first in first out, by priority, or last in first out; bounded
 * unless told otherwise.
 *
 * An item is a pointer that moves in with a put and out with a get; what is left when the queue goes
 * is given to its drop function. Putting and getting go by moment: with WEIR_ECANCELED or
 * WEIR_ETIMEDOUT nothing was put (the caller keeps the item) and nothing was taken; an item that was
 * handed to a waiting getter is returned even when a cancellation came in the same iteration.
 * Getters and putters are served in the order of arrival. Neither call allocates, but for the growth
 * of the ring up to its limit.
 *
 * A queue belongs to the loop it was made on. Errors of every call that can fail: WEIR_ETHREAD from
 * another thread; of those that suspend also WEIR_ENOTASK, WEIR_ECANCELED, WEIR_ETIMEDOUT, the error
 * of a group's child.
 *
 * Example:
 *
 *     weir_error *consumer(void *queue)
 *     {
 *         for (;;) {
 *             void *item;
 *             weir_error *error = weir_queue_get(queue, &item);
 *             if (weir_error_is(error, WEIR_ECLOSED)) { // shut down and empty
 *                 weir_ignore(error);
 *                 return NULL;
 *             }
 *             WEIR_TRY(error);
 *             free(item);
 *             (void)weir_queue_task_done(queue);
 *         }
 *     }
 *
 *     weir_error *producer(void *arg)
 *     {
 *         weir_queue_options options = {WEIR_SIZED(weir_queue_options), .limit = 100, .drop = free};
 *         weir_auto(weir_queue) queue = NULL;
 *         (void)arg;
 *         WEIR_TRY(weir_queue_new(&options, &queue));
 *         WEIR_GROUP(group);
 *         WEIR_TRY(weir_group_spawn(&group, consumer, queue, NULL));
 *         WEIR_TRY(weir_queue_put(queue, strdup("hello")));
 *         WEIR_TRY(weir_queue_join(queue));
 *         weir_queue_shutdown(queue, WEIR_QUEUE_DRAIN);
 *         WEIR_TRY(weir_group_join(&group));
 *         return NULL;
 *     }
 */
#ifndef WEIR_QUEUE_H
#define WEIR_QUEUE_H

#include <weir/task.h>

WEIR_BEGIN_DECLS

typedef struct weir_queue weir_queue;

typedef enum weir_queue_order {
    WEIR_QUEUE_FIFO,     /**< first in, first out */
    WEIR_QUEUE_PRIORITY, /**< the least by `compare` first; equal ones in the order of their puts */
    WEIR_QUEUE_LIFO,     /**< last in, first out */
} weir_queue_order;

/** `limit`: as many items as memory holds. For producers that are bounded by something else. */
#define WEIR_QUEUE_UNBOUNDED SIZE_MAX

typedef struct weir_queue_options {
    size_t size;
    weir_queue_order order;
    size_t limit;                                       /**< items; 0: 1024 */
    int (*compare)(const void *one, const void *other); /**< PRIORITY: as of qsort(); required */
    weir_drop_fn drop; /**< for what is left; NULL: nothing to free */
} weir_queue_options;

typedef enum weir_queue_shutdown_mode {
    WEIR_QUEUE_DRAIN,     /**< items that are in may still be got */
    WEIR_QUEUE_IMMEDIATE, /**< they are dropped, and count as done */
} weir_queue_shutdown_mode;

/** A queue of this thread's loop, which need not run yet. `options` NULL: FIFO of 1024 items.
 *  Errors: WEIR_ETHREAD this thread has no loop, WEIR_EINVAL, WEIR_ENOMEM. */
WEIR_PUBLIC weir_error *weir_queue_new(const weir_queue_options *options,
                                       weir_queue **ret) WEIR_MUST_USE;
WEIR_PUBLIC weir_queue *weir_queue_ref(weir_queue *queue);
/** The last reference drops the items that are left. Tasks that wait hold one. */
WEIR_PUBLIC void weir_queue_unref(weir_queue *queue);

/** Suspends until there is room. Errors: WEIR_ECLOSED shut down, WEIR_ENOMEM; the caller keeps the
 *  item with every error. */
#define weir_queue_put(queue, take_item) weir_queue_put_at(WEIR_HERE, (queue), (take_item))
WEIR_PUBLIC weir_error *weir_queue_put_at(const weir_site *site, weir_queue *queue,
                                          void *take_item) WEIR_MUST_USE;
/** As weir_queue_put(), never suspends; also from callbacks. Errors: WEIR_EFULL, WEIR_ECLOSED,
 *  WEIR_ENOMEM. */
WEIR_PUBLIC weir_error *weir_queue_try_put(weir_queue *queue, void *take_item) WEIR_MUST_USE;
/** Suspends until there is an item. Errors: WEIR_ECLOSED shut down and empty. */
#define weir_queue_get(queue, ret_item) weir_queue_get_at(WEIR_HERE, (queue), (ret_item))
WEIR_PUBLIC weir_error *weir_queue_get_at(const weir_site *site, weir_queue *queue,
                                          void **ret_item) WEIR_MUST_USE;
/** As weir_queue_get(), never suspends; also from callbacks. Errors: WEIR_ENOTREADY empty,
 *  WEIR_ECLOSED shut down and empty. */
WEIR_PUBLIC weir_error *weir_queue_try_get(weir_queue *queue, void **ret_item) WEIR_MUST_USE;

/** Says that the work on an item that was got is done. False: more often than items were put, or the
 *  wrong thread; that is logged. */
#define weir_queue_task_done(queue) weir_queue_task_done_at(WEIR_HERE, (queue))
WEIR_PUBLIC bool weir_queue_task_done_at(const weir_site *site, weir_queue *queue);
/** Suspends until every item that was put is done. */
#define weir_queue_join(queue) weir_queue_join_at(WEIR_HERE, (queue))
WEIR_PUBLIC weir_error *weir_queue_join_at(const weir_site *site, weir_queue *queue) WEIR_MUST_USE;

/**
 * No more puts: they fail with WEIR_ECLOSED, those that wait too. Gets fail with WEIR_ECLOSED once
 * the queue is empty. May be called again, to go from DRAIN to IMMEDIATE.
 */
#define weir_queue_shutdown(queue, mode) weir_queue_shutdown_at(WEIR_HERE, (queue), (mode))
WEIR_PUBLIC void weir_queue_shutdown_at(const weir_site *site, weir_queue *queue,
                                        weir_queue_shutdown_mode mode);

/** Items in the queue. */
WEIR_PUBLIC size_t weir_queue_count(const weir_queue *queue);
WEIR_PUBLIC size_t weir_queue_limit(const weir_queue *queue);
WEIR_PUBLIC bool weir_queue_empty(const weir_queue *queue);
WEIR_PUBLIC bool weir_queue_full(const weir_queue *queue);

WEIR_DEFINE_CLEANUP(weir_queue, weir_queue_unref)

WEIR_END_DECLS

#endif
