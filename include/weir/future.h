/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Futures: a result or an error that comes later. Bound to the loop they were made on.
 *
 * A future owns its value (with a drop function) and its error. Awaiting one that failed gives each
 * waiter an error of its own with the future's as shared cause. Awaiting shared work never cancels
 * it; weir_future_cancel() does. An error that nobody took is logged when the future dies.
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
WEIR_PUBLIC void weir_future_unref(weir_future *future);

/** Errors: WEIR_EINVALSTATE it is done: `take_value` stays with the caller. */
WEIR_PUBLIC weir_error *weir_future_set_result(weir_future *future, void *take_value,
                                               weir_drop_fn drop) WEIR_MUST_USE;
/** Errors: WEIR_EINVALSTATE it is done: `take_error` stays with the caller. */
WEIR_PUBLIC weir_error *weir_future_set_error(weir_future *future,
                                              weir_error *take_error) WEIR_MUST_USE;
/** First completion wins: always takes; false when the future was done (value or error dropped). */
WEIR_PUBLIC bool weir_future_try_set_result(weir_future *future, void *take_value,
                                            weir_drop_fn drop);
WEIR_PUBLIC bool weir_future_try_set_error(weir_future *future, weir_error *take_error);
/** Makes it fail with WEIR_ECANCELED (for a task's future: asks the task). False: it was done. */
WEIR_PUBLIC bool weir_future_cancel(weir_future *future);

/** Whether it has its result or error; cancelled: whether that error is WEIR_ECANCELED. */
WEIR_PUBLIC bool weir_future_done(const weir_future *future);
WEIR_PUBLIC bool weir_future_cancelled(const weir_future *future);
/** The value, borrowed until the future dies. Errors: its own; WEIR_ENOTREADY. */
WEIR_PUBLIC weir_error *weir_future_get_result(weir_future *future,
                                               void **ret_borrowed) WEIR_MUST_USE;
/** The value, once. Errors: its own; WEIR_ENOTREADY; WEIR_EINVALSTATE it was taken. */
WEIR_PUBLIC weir_error *weir_future_take_result(weir_future *future, void **ret) WEIR_MUST_USE;

/** Calls `fn(future, arg)` by the loop, never inside this call, once the future is done. */
WEIR_PUBLIC weir_error *weir_future_add_done_callback(weir_future *future,
                                                      weir_error *(*fn)(weir_future *, void *),
                                                      void *arg) WEIR_MUST_USE;
/** How many callbacks of this pair were removed. */
WEIR_PUBLIC size_t weir_future_remove_done_callback(weir_future *future,
                                                    weir_error *(*fn)(weir_future *, void *),
                                                    void *arg);

/** Suspends the task until the future is done; returns its error.
 *  Errors: its own; WEIR_ECANCELED, WEIR_ETIMEDOUT of the task; WEIR_ENOTASK; WEIR_EDEADLK. */
WEIR_PUBLIC weir_error *weir_await(weir_future *future) WEIR_MUST_USE;

WEIR_DEFINE_CLEANUP(weir_future, weir_future_unref)

WEIR_END_DECLS

#endif
