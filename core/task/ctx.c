/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first frame of a new stack, laid out as the assembly of weir__ctx_switch() leaves a suspended
 * one, so that the first switch to it is like any other. Floating-point control words are those of
 * the thread that makes the context.
 */
#include "config.h"

#include "core/task/ctx.h"

#include <stdint.h>
#include <string.h>

void weir__ctx_entry(void);

#if defined(__x86_64__)

/* Words from the stack pointer: control words, r15, r14, r13, r12, rbx, rbp, where to go on. */
void weir__ctx_make(struct ctx *ctx, void *bottom, void *top, void (*entry)(void *), void *arg)
{
    /* Two words more, so that the entry runs with the alignment that a call leaves. */
    uint64_t *frame = (uint64_t *)top - 10;
    uint32_t mxcsr;
    uint16_t control;

    (void)bottom;
    __asm__("stmxcsr %0" : "=m"(mxcsr));
    __asm__("fnstcw %0" : "=m"(control));
    memset(frame, 0, 10 * sizeof *frame);
    frame[0] = mxcsr | (uint64_t)control << 32;
    frame[3] = (uint64_t)(uintptr_t)arg;
    frame[4] = (uint64_t)(uintptr_t)entry;
    frame[7] = (uint64_t)(uintptr_t)weir__ctx_entry;
    ctx->sp = frame;
}

#elif defined(__aarch64__)

/* Words from the stack pointer: x19 … x28, x29, x30, d8 … d15, FPCR, unused. */
void weir__ctx_make(struct ctx *ctx, void *bottom, void *top, void (*entry)(void *), void *arg)
{
    uint64_t *frame = (uint64_t *)top - 22;
    uint64_t control;

    (void)bottom;
    __asm__("mrs %0, fpcr" : "=r"(control));
    memset(frame, 0, 22 * sizeof *frame);
    frame[0] = (uint64_t)(uintptr_t)entry;
    frame[1] = (uint64_t)(uintptr_t)arg;
    frame[11] = (uint64_t)(uintptr_t)weir__ctx_entry;
    frame[20] = control;
    ctx->sp = frame;
}

#endif
