/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Futures: a result or an error that comes later. Bound to the loop they were made on.
 *
 * PENDING becomes, once and for ever, a result, an error, or cancelled (the error WEIR_ECANCELED).
 * A future owns its value (with a drop function) and its error. Awaiting one that failed gives each
 * waiter an error of its own with the future's as shared cause. Awaiting shared work never cancels
 * it; weir_future_cancel() does. An error that nobody took is reported when the future dies
 * (ERROR of the logger `weir`, "Future exception was never retrieved"); taking it is: awaiting,
 * asking for the result or the error, or cancelling afterwards.
 *
 * Calls belong to the loop's thread unless marked "any thread"; elsewhere they return WEIR_ETHREAD.
 *
 * Example:
 *
 *     static weir_error *answer(void *arg)
 *     {
 *         return weir_future_set_result((weir_future *)arg, NULL, NULL);
 *     }
 *
 *     weir_error *ask(void *arg);
 *     weir_error *ask(void *arg)
 *     {
 *         weir_auto(weir_future) reply = NULL;
 *
 *         (void)arg;
 *         WEIR_TRY(weir_future_new(&reply));
 *         WEIR_TRY(weir_loop_call_later(weir_loop_current(), WEIR_MS(5), answer, reply, NULL, NULL));
 *         WEIR_TRY(weir_await(reply)); // suspends this task for 5 ms
 *         return NULL;
 *     }
 */
#ifndef WEIR_FUTURE_H
#define WEIR_FUTURE_H

#include <weir/loop.h>

WEIR_BEGIN_DECLS

/** A pending future of this thread's loop, which need not run yet.
 *  Errors: WEIR_ETHREAD this thread has no loop, WEIR_ENOMEM. */
#define weir_future_new(ret) weir_future_new_at(WEIR_HERE, (ret))
WEIR_PUBLIC weir_error *weir_future_new_at(const weir_site *site, weir_future **ret) WEIR_MUST_USE;
WEIR_PUBLIC weir_future *weir_future_ref(weir_future *future);
/** Any thread: elsewhere than on the loop's the release is posted to the loop. */
WEIR_PUBLIC void weir_future_unref(weir_future *future);

/** Completes it with a value; `drop` (may be NULL) runs when the future dies with the value in it.
 *  Errors: WEIR_EINVALSTATE it is done (the message says where it was completed or cancelled):
 *  `take_value` stays with the caller; WEIR_EINVAL it is a task's. (row C4) */
#define weir_future_set_result(future, take_value, drop) \
    weir_future_set_result_at(WEIR_HERE, (future), (take_value), (drop))
WEIR_PUBLIC weir_error *weir_future_set_result_at(const weir_site *site, weir_future *future,
                                                  void *take_value,
                                                  weir_drop_fn drop) WEIR_MUST_USE;
/** Completes it with an error. Errors: as set_result: `take_error` stays with the caller. */
#define weir_future_set_error(future, take_error) \
    weir_future_set_error_at(WEIR_HERE, (future), (take_error))
WEIR_PUBLIC weir_error *weir_future_set_error_at(const weir_site *site, weir_future *future,
                                                 weir_error *take_error) WEIR_MUST_USE;
/** First completion wins: always takes; false when the future was done (value or error dropped).
 *  What to use when the other side may have cancelled. (row C5) */
#define weir_future_try_set_result(future, take_value, drop) \
    weir_future_try_set_result_at(WEIR_HERE, (future), (take_value), (drop))
WEIR_PUBLIC bool weir_future_try_set_result_at(const weir_site *site, weir_future *future,
                                               void *take_value, weir_drop_fn drop);
#define weir_future_try_set_error(future, take_error) \
    weir_future_try_set_error_at(WEIR_HERE, (future), (take_error))
WEIR_PUBLIC bool weir_future_try_set_error_at(const weir_site *site, weir_future *future,
                                              weir_error *take_error);
/** Completes it with a value from any thread, in the loop's next iteration; does nothing but drop
 *  the value when the future is done by then, or the loop closes first. It replaces scheduling
 *  weir_future_set_result() as a callback. Another thread than the loop's has a reference of its own,
 *  which it drops after this call, in this thread.
 *  Errors: WEIR_ECLOSED the loop is closed, WEIR_ENOMEM; `take_value` stays with the caller.
 *  (row C5) */
#define weir_future_post_result(future, take_value, drop) \
    weir_future_post_result_at(WEIR_HERE, (future), (take_value), (drop))
WEIR_PUBLIC weir_error *weir_future_post_result_at(const weir_site *site, weir_future *future,
                                                   void *take_value,
                                                   weir_drop_fn drop) WEIR_MUST_USE;
/** Makes it fail with WEIR_ECANCELED (for a task's future: asks the task, whose end decides).
 *  False: it was done. Either way an error that it may have counts as taken. (rows C1, H1) */
#define weir_future_cancel(future) weir_future_cancel_at(WEIR_HERE, (future))
WEIR_PUBLIC bool weir_future_cancel_at(const weir_site *site, weir_future *future);
/** As weir_future_cancel(), from any thread, in the loop's next iteration; about references as
 *  weir_future_post_result(). Errors: WEIR_ECLOSED, WEIR_ENOMEM. (row D4) */
#define weir_future_cancel_threadsafe(future) weir_future_cancel_threadsafe_at(WEIR_HERE, (future))
WEIR_PUBLIC weir_error *weir_future_cancel_threadsafe_at(const weir_site *site,
                                                         weir_future *future) WEIR_MUST_USE;

/** Whether it has its result or error; cancelled: whether that error is WEIR_ECANCELED. */
WEIR_PUBLIC bool weir_future_done(const weir_future *future);
WEIR_PUBLIC bool weir_future_cancelled(const weir_future *future);
/** The value, borrowed until the future dies. Errors: its own; WEIR_ENOTREADY. */
WEIR_PUBLIC weir_error *weir_future_get_result(weir_future *future,
                                               void **ret_borrowed) WEIR_MUST_USE;
/** The value, once. Errors: its own; WEIR_ENOTREADY; WEIR_EINVALSTATE it was taken. */
WEIR_PUBLIC weir_error *weir_future_take_result(weir_future *future, void **ret) WEIR_MUST_USE;
/** Its error, borrowed until the future dies, and from now on taken; NULL: pending, or a result. */
WEIR_PUBLIC const weir_error *weir_future_error(weir_future *future);

/** Calls `fn(future, arg)` by the loop, never inside this call, once the future is done (also when
 *  it is already). Callbacks run in the order they were added, may add and remove others, and an
 *  error of one goes to the exception handler and does not touch the next. */
#define weir_future_add_done_callback(future, fn, arg) \
    weir_future_add_done_callback_at(WEIR_HERE, #fn, (future), (fn), (arg))
WEIR_PUBLIC weir_error *weir_future_add_done_callback_at(const weir_site *site, const char *name,
                                                         weir_future *future,
                                                         weir_error *(*fn)(weir_future *, void *),
                                                         void *arg) WEIR_MUST_USE;
/** How many callbacks of this pair were removed; those that the future's end has scheduled already
 *  run. */
WEIR_PUBLIC size_t weir_future_remove_done_callback(weir_future *future,
                                                    weir_error *(*fn)(weir_future *, void *),
                                                    void *arg);

/** Suspends the task until the future is done; returns its error. One that is done costs no
 *  suspension. Waiting never cancels the future.
 *  Errors: its own; WEIR_ECANCELED, WEIR_ETIMEDOUT of the task; WEIR_ENOTASK; WEIR_ETHREAD it
 *  belongs to another loop; WEIR_EDEADLK it is the running task's own. */
#define weir_await(future) weir_await_at(WEIR_HERE, (future))
WEIR_PUBLIC weir_error *weir_await_at(const weir_site *site, weir_future *future) WEIR_MUST_USE;

/** "<Future pending cb=[on_done()] created at t.c:7>", as snprintf. Of a task's: as
 *  weir_task_repr(). */
WEIR_PUBLIC size_t weir_future_repr(const weir_future *future, char *buffer, size_t size);

WEIR_DEFINE_CLEANUP(weir_future, weir_future_unref)

WEIR_END_DECLS

#endif
