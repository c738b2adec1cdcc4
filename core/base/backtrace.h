/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backtraces of where an object was made, taken in debug mode only: return addresses now, function
 * and file:line (libdw) when somebody prints them, which the log's writer thread does.
 */
#ifndef WEIR_CORE_BASE_BACKTRACE_H
#define WEIR_CORE_BASE_BACKTRACE_H

#include <stddef.h>

#include <weir/debug.h>

#include "core/base/text.h"

#define BACKTRACE_DEPTH 10 /* as asyncio's DEBUG_STACK_DEPTH */

struct weir_backtrace {
    unsigned char count;
    void *addresses[BACKTRACE_DEPTH]; /* innermost first */
};

/* Of the caller, innermost frames of the library left out. NULL without memory. By CFI, through
   coroutines. Freed by weir__backtrace_free(); NULL is fine. */
weir_backtrace *weir__backtrace_capture(void);
void weir__backtrace_free(weir_backtrace *take_backtrace);

/* "Object created at (most recent call last):" is the caller's; this appends a line a frame,
   "  #1 main t.c:9\n", outermost first. Slow: reads debug information. */
void weir__backtrace_print(struct text *text, const weir_backtrace *backtrace);

#endif
