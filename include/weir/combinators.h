/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Waiting for several things, or for one within a time: wait_for, gather, wait, as_completed, shield
 * and the staggered race. Prefer a group (WEIR_GROUP) where children are started one by one.
 *
 * Two kinds of arguments. A `weir_co` is a call that has not started; who takes it owns it, runs it
 * and has ended it before it returns: nothing that a combinator started outlives the call, so the
 * arguments of the calls may live in the caller's frame. Calls that are not started are dropped
 * without report. Futures (of tasks: weir_task_future()) are borrowed; awaiting them never cancels
 * them.
 *
 * All belong to one loop and suspend. Errors of each, beside its own: WEIR_ENOTASK; WEIR_ECANCELED,
 * WEIR_ETIMEDOUT or the error of a group's child, of the calling task, with which nothing was started
 * when they were pending on entry; WEIR_ENOMEM; WEIR_ETHREAD a future belongs to another loop. With
 * an error no `ret_` is touched.
 *
 * Example:
 *
 *     static weir_error *ask(void *arg)
 *     {
 *         WEIR_TRY(weir_sleep(WEIR_MS(1)));
 *         weir_task_set_result(arg, NULL);
 *         return NULL;
 *     }
 *
 *     weir_error *ask_both(void *arg)
 *     {
 *         int one = 1, two = 2;
 *         weir_co *both[] = {weir_co(ask, &one), weir_co(ask, &two)};
 *         void *answers[2];
 *         (void)arg;
 *         WEIR_TRY(weir_gather(both, 2, answers, NULL));
 *         WEIR_TRY(weir_wait_for(weir_co(ask, &one), WEIR_S(5)));
 *         return NULL;
 *     }
 */
#ifndef WEIR_COMBINATORS_H
#define WEIR_COMBINATORS_H

#include <weir/scope.h>

WEIR_BEGIN_DECLS

/**
 * Runs the call in this task, for at most `limit`. When that is over, its suspending calls return
 * WEIR_ETIMEDOUT; this returns when it has ended, clean-up included, with what it returned: usually
 * that error, another one of its clean-up, or NULL when it finished all the same. A limit of 0 or
 * less: the call does not start and WEIR_ETIMEDOUT is returned. WEIR_FOREVER: weir_co_await(). A
 * result set with weir_task_set_result() is that of this task. Always takes.
 */
#define weir_wait_for(co, limit) weir_wait_for_at(WEIR_HERE, (co), (limit))
WEIR_PUBLIC weir_error *weir_wait_for_at(const weir_site *site, weir_co *take_co,
                                         weir_duration limit) WEIR_MUST_USE;

/**
 * Starts all calls as tasks and waits until all have ended; an error of one does not end the others
 * (that is what a group does). `ret_values` (may be NULL) gets the results in the order of the
 * arguments, which move out. `ret_errors` NULL: returns the error that came first, further ones
 * attached, and no values. Else each call's error or NULL is stored there, owned by the caller, the
 * values of those without one beside it, and NULL is returned. A call that ended cancelled by itself
 * has failed with WEIR_ECANCELED. A cancellation or expiry of the caller cancels all, and is returned
 * once they have ended, unless every one of them succeeded nevertheless. Always takes.
 */
#define weir_gather(take_cos, count, ret_values, ret_errors) \
    weir_gather_at(WEIR_HERE, (take_cos), (count), (ret_values), (ret_errors))
WEIR_PUBLIC weir_error *weir_gather_at(const weir_site *site, weir_co *const *take_cos,
                                       size_t count, void **ret_values,
                                       weir_error **ret_errors) WEIR_MUST_USE;
/** As weir_gather(), over futures: the values stay with them, and a cancellation of the caller ends
 *  the waiting only. One future may stand in several places. */
#define weir_gather_futures(futures, count, ret_borrowed_values, ret_errors) \
    weir_gather_futures_at(WEIR_HERE, (futures), (count), (ret_borrowed_values), (ret_errors))
WEIR_PUBLIC weir_error *weir_gather_futures_at(const weir_site *site, weir_future *const *futures,
                                               size_t count, void **ret_borrowed_values,
                                               weir_error **ret_errors) WEIR_MUST_USE;

typedef enum weir_wait_until {
    WEIR_FIRST_COMPLETED, /**< at least one is done */
    WEIR_FIRST_ERROR,     /**< one has failed, being cancelled not counted; or all are done */
    WEIR_ALL_COMPLETED,   /**< all are done */
} weir_wait_until;

/**
 * Waits for some of several futures, at most `limit` (0: looks only), and cancels nothing. Reaching
 * the limit is no error. `ret_done` (may be NULL) gets how many are done; which ones,
 * weir_future_done() tells. Errors stay with the futures and count as taken only where WEIR_FIRST_ERROR
 * looked at them. Errors: WEIR_EINVAL `count` is 0.
 */
#define weir_wait(futures, count, limit, until, ret_done) \
    weir_wait_at(WEIR_HERE, (futures), (count), (limit), (until), (ret_done))
WEIR_PUBLIC weir_error *weir_wait_at(const weir_site *site, weir_future *const *futures,
                                     size_t count, weir_duration limit, weir_wait_until until,
                                     size_t *ret_done) WEIR_MUST_USE;

/** Several futures in the order in which they are done. Made, used and freed by tasks of one loop. */
typedef struct weir_as_completed weir_as_completed;

/** References the futures until they were given out; each once, also when it stands in several
 *  places. `limit` is for all together and counts from now. Does not suspend. */
WEIR_PUBLIC weir_error *weir_as_completed_new(weir_future *const *futures, size_t count,
                                              weir_duration limit,
                                              weir_as_completed **ret) WEIR_MUST_USE;
/** Suspends until a further one is done and gives it, a reference; NULL when none is left. Its error
 *  is for the caller to take. Errors: WEIR_ETIMEDOUT the limit is over, each time; WEIR_EBUSY another
 *  task waits here. */
#define weir_as_completed_next(iterator, ret_future) \
    weir_as_completed_next_at(WEIR_HERE, (iterator), (ret_future))
WEIR_PUBLIC weir_error *weir_as_completed_next_at(const weir_site *site,
                                                  weir_as_completed *iterator,
                                                  weir_future **ret_future) WEIR_MUST_USE;
/** Lets go of those that were not given out; they go on. */
WEIR_PUBLIC void weir_as_completed_free(weir_as_completed *take_iterator);

/**
 * Waits for a task that must go on when the waiter is cancelled; as any await it does not cancel the
 * task. When the waiter had to leave and the task fails later with an error nobody takes, that is
 * reported at once: "exception in shielded future". Returns the task's error. (To keep your own code
 * from being cancelled, use WEIR_SHIELD.)
 */
#define weir_shield_await(task) weir_shield_await_at(WEIR_HERE, (task))
WEIR_PUBLIC weir_error *weir_shield_await_at(const weir_site *site, weir_task *task) WEIR_MUST_USE;

/**
 * Starts the first call, and the next one when the last started has failed or `delay` has passed
 * (WEIR_FOREVER: only when it failed). The first to succeed wins; the others are cancelled and have
 * ended when this returns. `ret_winner` gets its place, `ret_value` its result, which moves out.
 * `ret_errors` (count entries, owned by the caller) gets the errors of the others, NULL for those
 * that never started; each of the three may be NULL. Always takes.
 * Errors: of the first call, those of the others attached, when all failed; WEIR_EINVAL `count` is 0.
 */
#define weir_staggered_race(take_cos, count, delay, ret_winner, ret_value, ret_errors)         \
    weir_staggered_race_at(WEIR_HERE, (take_cos), (count), (delay), (ret_winner), (ret_value), \
                           (ret_errors))
WEIR_PUBLIC weir_error *weir_staggered_race_at(const weir_site *site, weir_co *const *take_cos,
                                               size_t count, weir_duration delay,
                                               size_t *ret_winner, void **ret_value,
                                               weir_error **ret_errors) WEIR_MUST_USE;

WEIR_DEFINE_CLEANUP(weir_as_completed, weir_as_completed_free)

WEIR_END_DECLS

#endif
