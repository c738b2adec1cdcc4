/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Switching between stacks. A context is the stack pointer of a suspended stack, on top of which
 * lie the registers that the ABI makes a callee keep, floating-point control words among them.
 * No signal mask, no system call. x86-64 and AArch64 in assembly, ucontext elsewhere.
 */
#ifndef WEIR_CORE_TASK_CTX_H
#define WEIR_CORE_TASK_CTX_H

#include <stddef.h>

struct ctx {
    void *sp;
};

/* Prepares a context which calls `entry(arg)` on [bottom, top) when first switched to. `entry`
   never returns. `top` is aligned to 16 bytes. */
void weir__ctx_make(struct ctx *ctx, void *bottom, void *top, void (*entry)(void *), void *arg);

/* Stores the running context in `save` and continues `to`. */
void weir__ctx_switch(struct ctx *save, const struct ctx *to);

#endif
