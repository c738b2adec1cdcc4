/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of code as functions and source lines. Slow, allocates, reads files: never on a loop. */
#ifndef WEIR_CORE_BASE_SYMBOL_H
#define WEIR_CORE_BASE_SYMBOL_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/text.h"

#define FRAMES_MAX 96

struct frame {
    char function[96]; /* "?": unknown */
    char file[160];    /* "": unknown */
    int line;
    bool internal; /* of libweir's core */
    bool system;   /* of libc, the loader, a sanitizer's runtime */
};

/* The functions at each address, inlined ones as frames of their own, innermost first. Addresses are
   of instructions after a call (`returns`), but the first one of what a signal interrupted.
   Returns how many. */
size_t weir__symbols_find(void *const *addresses, size_t count, bool returns, struct frame *frames,
                          size_t max);
/* "main t.c:9", "sleep" */
void weir__frame_print(struct text *text, const struct frame *frame);
/* Code was unmapped or mapped. */
void weir__symbols_forget(void);
/* Around fork(). */
void weir__symbols_lock(void);
void weir__symbols_unlock(void);

#endif
