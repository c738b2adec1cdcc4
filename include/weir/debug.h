/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Debug mode's companions: warnings with categories, and backtraces of where objects were made.
 *
 * Debug mode itself is a property of a loop (weir_loop_set_debug(), WEIR_DEBUG, WEIR_DEV,
 * weir_run_options.debug). Warnings are independent of it: what was left unclosed is a RESOURCE
 * warning in every mode, and the action of its category decides what becomes of it.
 */
#ifndef WEIR_DEBUG_H
#define WEIR_DEBUG_H

#include <weir/base.h>

WEIR_BEGIN_DECLS

/** Return addresses of a call stack; see weir_exception_context. Owned by the object it is of. */
typedef struct weir_backtrace weir_backtrace;

typedef enum weir_warning {
    WEIR_WARNING_RESOURCE,    /**< left unclosed: transports, servers, loops, processes */
    WEIR_WARNING_RUNTIME,     /**< coroutines never awaited, executors that do not end */
    WEIR_WARNING_DEPRECATION, /**< calls that will go */
} weir_warning;

typedef enum weir_warning_action {
    WEIR_WARNING_IGNORE,
    WEIR_WARNING_ONCE,   /**< once for each site: the default */
    WEIR_WARNING_ALWAYS, /**< the default under WEIR_DEV */
    WEIR_WARNING_ABORT,  /**< logged, then abort(): for CI */
} weir_warning_action;

/** Any thread. */
WEIR_PUBLIC void weir_warnings_set(weir_warning category, weir_warning_action action);
WEIR_PUBLIC weir_warning_action weir_warnings_get(weir_warning category);

/** Emits a warning through the logger `weir` at WARNING, as the action of its category says.
 *  `site` is what "once" counts by: where the object was made. `created` (may be NULL) is printed
 *  below the message. Any thread. */
WEIR_PUBLIC void weir_warn_at(const weir_site *site, weir_warning category,
                              const weir_backtrace *created, const char *format, ...)
    WEIR_PRINTF(4, 5);

WEIR_END_DECLS

#endif
