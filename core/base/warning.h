/* SPDX-License-Identifier: Apache-2.0 */
/* Warnings with lines of their own below the message; else weir_warn_at(). */
#ifndef WEIR_CORE_BASE_WARNING_H
#define WEIR_CORE_BASE_WARNING_H

#include <weir/debug.h>

/* `body`: "Coroutine created at (most recent call last):\n" and weir__backtrace_defer(). */
void weir__warn_body_at(const weir_site *site, weir_warning category, const char *body,
                        const char *format, ...) WEIR_PRINTF(4, 5);

/* For tests: the defaults and the environment again. */
void weir__warnings_reread(void);

#endif
