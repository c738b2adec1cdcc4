/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts by ucontext, for processors without assembly of ours. Each switch costs two system calls
 * for the signal mask. The ucontext of a new stack lies at its top; that of the loop, which was not
 * made here, is saved in the frame of the call that left it.
 */
#include "config.h"

#include <stdint.h>
#include <ucontext.h>

#include "core/task/ctx.h"

/* makecontext() passes ints: a pointer goes in two halves. */
static void enter(unsigned high_entry, unsigned low_entry, unsigned high_arg, unsigned low_arg)
{
    uintptr_t entry = (uintptr_t)((uint64_t)high_entry << 32 | low_entry);
    uintptr_t arg = (uintptr_t)((uint64_t)high_arg << 32 | low_arg);

    ((void (*)(void *))entry)((void *)arg);
}

void weir__ctx_make(struct ctx *ctx, void *bottom, void *top, void (*entry)(void *), void *arg)
{
    uintptr_t place = ((uintptr_t)top - sizeof(ucontext_t)) & ~(uintptr_t)63;
    ucontext_t *first = (ucontext_t *)place;
    uint64_t entry_bits = (uintptr_t)entry;
    uint64_t arg_bits = (uintptr_t)arg;

    getcontext(first);
    first->uc_stack.ss_sp = bottom;
    first->uc_stack.ss_size = place - (uintptr_t)bottom;
    first->uc_link = NULL;
    makecontext(first, (void (*)(void))enter, 4, (unsigned)(entry_bits >> 32), (unsigned)entry_bits,
                (unsigned)(arg_bits >> 32), (unsigned)arg_bits);
    ctx->sp = first;
}

void weir__ctx_switch(struct ctx *save, const struct ctx *to)
{
    ucontext_t here;

    save->sp = &here;
    swapcontext(&here, to->sp);
}
