/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backtraces of where an object was made, taken in debug mode only: return addresses now (about 5 ns
 * a frame, cfi.c), function and file:line (libdw, symbol.c) when somebody prints them. In the body of
 * a log record they stay addresses until the log's writer thread prints them: a loop must not read
 * debug information.
 */
#ifndef WEIR_CORE_BASE_BACKTRACE_H
#define WEIR_CORE_BASE_BACKTRACE_H

#include <stddef.h>

#include <weir/debug.h>

#include "core/base/text.h"

#define BACKTRACE_DEPTH     10 /* as asyncio's DEBUG_STACK_DEPTH */
#define BACKTRACE_DEPTH_MAX 64
#define BACKTRACE_INNER     8 /* frames of ours below the user's, when they cannot be told apart */

struct weir_backtrace {
    unsigned char count;
    void *addresses[]; /* innermost first */
};

/* Of the caller, innermost frames of the library left out. NULL without memory. Through coroutines.
   Freed by weir__backtrace_free(); NULL is fine. Not for signal handlers. */
weir_backtrace *weir__backtrace_capture(void);
void weir__backtrace_free(weir_backtrace *take_backtrace);

/* "Object created at (most recent call last):" is the caller's; this appends a line a frame,
   "  #1 main t.c:9\n", outermost first. Slow: reads debug information. */
void weir__backtrace_print(struct text *text, const weir_backtrace *backtrace);
/* The same for the body of a log record, whose writer prints the lines. Quick. */
void weir__backtrace_defer(struct text *text, const weir_backtrace *backtrace);
/* Replaces what weir__backtrace_defer() put into a body. */
void weir__backtrace_expand(struct text *text, const char *body);
static inline bool backtrace_deferred(const char *body);

/* Frames kept from now on; 0: BACKTRACE_DEPTH. */
void weir__backtrace_set_depth(unsigned frames);
/* After code was unmapped (dlclose): what is known of its addresses is forgotten. */
void weir__backtrace_forget(void);
/* Loads what capturing needs, so that a first capture in a signal handler allocates nothing. */
void weir__backtrace_prime(void);

/* inline definitions */

#define BACKTRACE_MARK '\x01'

static inline bool backtrace_deferred(const char *body)
{
    return strchr(body, BACKTRACE_MARK) != NULL;
}

#endif
