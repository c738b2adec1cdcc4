/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Debug mode's companions: warnings with categories, backtraces of where objects were made, and the
 * watchdog, which sees a loop that blocks while it still blocks.
 *
 * Debug mode itself is a property of a loop: weir_loop_options.debug, weir_run_options.debug,
 * weir_loop_set_debug(), else what the environment said when the loop was made:
 *
 *   WEIR_DEBUG     1, true, on, yes or 0, false, off, no, empty (any case)
 *   WEIR_DEV       the same; debug mode, RESOURCE and RUNTIME warnings always, a report of crashes
 *                  (SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT) with the running task and the stack,
 *                  guarded and poisoned memory, failed close() of descriptors
 *   WEIR_WARNINGS  see weir_warnings_configure()
 *   WEIR_LOG       see weir_log_set_levels()
 *
 * Words that are none of these are told once in the log and count as not said. Programs that run
 * with more rights than their user (set-uid) ignore the environment.
 *
 * Warnings are independent of debug mode: what was left unclosed is a RESOURCE warning in every mode,
 * and the action of its category decides what becomes of it.
 *
 * Example:
 *
 *     static weir_error *server(void *arg)
 *     {
 *         (void)arg;
 *         WEIR_TRY(weir_watchdog_start(&(weir_watchdog_options){
 *             WEIR_SIZED(weir_watchdog_options), .warn = WEIR_MS(100), .error = WEIR_S(1)}));
 *         return weir_sleep(WEIR_S(1));
 *     }
 *
 *     int main(void)
 *     {
 *         weir_error *error = weir_warnings_configure("resource=abort");
 *
 *         weir_ignore(error);
 *         error = weir_run(server, NULL, NULL);
 *         weir_watchdog_stop();
 *         weir_ignore(error);
 *         return 0;
 *     }
 */
#ifndef WEIR_DEBUG_H
#define WEIR_DEBUG_H

#include <weir/base.h>
#include <weir/time.h>

WEIR_BEGIN_DECLS

/** Return addresses of a call stack; see weir_exception_context. Owned by the object it is of. */
typedef struct weir_backtrace weir_backtrace;

/** Whether a loop that is made now is in debug mode when its options leave it open: by WEIR_DEBUG or
 *  WEIR_DEV. Read at each call. Any thread. (A1, A2) */
WEIR_PUBLIC bool weir_debug_default(void);

/** How many frames a creation backtrace keeps from now on: 1 to 64; 0: 10 again. Any thread. */
WEIR_PUBLIC void weir_debug_set_backtrace_depth(unsigned frames);

/** What a warning is about. (A6) */
typedef enum weir_warning {
    WEIR_WARNING_RESOURCE,    /**< left unclosed: transports, servers, loops, processes */
    WEIR_WARNING_RUNTIME,     /**< coroutines never awaited, executors that do not end */
    WEIR_WARNING_DEPRECATION, /**< calls that will go */
} weir_warning;

/** What becomes of the warnings of a category. */
typedef enum weir_warning_action {
    WEIR_WARNING_IGNORE,
    WEIR_WARNING_ONCE,   /**< once for each site: the default */
    WEIR_WARNING_ALWAYS, /**< the default under WEIR_DEV */
    WEIR_WARNING_ABORT,  /**< logged, flushed, then abort(): for CI */
} weir_warning_action;

/** The action of a category, from now on. An unknown category is ignored. Any thread. (A6) */
WEIR_PUBLIC void weir_warnings_set(weir_warning category, weir_warning_action action);
WEIR_PUBLIC weir_warning_action weir_warnings_get(weir_warning category);

/** Actions from words, as WEIR_WARNINGS has them: "always" for all categories, or
 *  "resource=always,runtime=abort,deprecation=ignore". Words: ignore, once, always, abort.
 *  WEIR_EINVAL names the first wrong word, and nothing is changed. Any thread. */
WEIR_PUBLIC weir_error *weir_warnings_configure(const char *words) WEIR_MUST_USE;

/** Emits a warning through the logger `weir` at WARNING, as the action of its category says.
 *  `site` is what "once" counts by: where the object was made; NULL is never counted. `created` (may
 *  be NULL, borrowed) is printed below the message. Any thread. */
WEIR_PUBLIC void weir_warn_at(const weir_site *site, weir_warning category,
                              const weir_backtrace *created, const char *format, ...)
    WEIR_PRINTF(4, 5);

/** When the watchdog speaks. A limit of 0 takes its default. */
typedef struct weir_watchdog_options {
    size_t size;
    weir_duration warn;  /**< a step that blocks longer is a WARNING; 250 ms by default */
    weir_duration error; /**< and an ERROR when it goes on this long; 5 s by default */
} weir_watchdog_options;

/**
 * Starts the process's one watchdog thread, which looks at all loops, also at those made later, and
 * logs through `weir.watchdog` when a callback or the step of a task blocks its loop: while it still
 * blocks, with the stack of that moment; again past the error limit; and when it ends. A loop that
 * waits for events is not blocked. Called again, it changes the limits. (E1)
 *
 * To take the stack it sends SIGURG to the loop's thread; a handler that the program had for SIGURG
 * is called as well, for signals that are not the watchdog's. A system call that the signal
 * interrupts is restarted, except those that never are (nanosleep, poll: EINTR).
 *
 * Errors: WEIR_EINVAL (limits below 10 ms, or warn above error), errno of pthread_create().
 * `options` NULL: all defaults. Any thread.
 */
WEIR_PUBLIC weir_error *weir_watchdog_start(const weir_watchdog_options *options) WEIR_MUST_USE;
/** Ends the watchdog thread; nothing when there is none. Any thread. */
WEIR_PUBLIC void weir_watchdog_stop(void);

WEIR_END_DECLS

#endif
