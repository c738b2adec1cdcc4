/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A context plus what the sanitizers must be told about its stack. Outside of sanitizer builds
 * fiber_switch() is weir__ctx_switch() and nothing else.
 */
#ifndef WEIR_CORE_TASK_FIBER_H
#define WEIR_CORE_TASK_FIBER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/task/ctx.h"

#if defined(__SANITIZE_ADDRESS__)
#    define WEIR_ASAN 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer)
#        define WEIR_ASAN 1
#    endif
#endif
#if defined(__SANITIZE_THREAD__)
#    define WEIR_TSAN 1
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define WEIR_TSAN 1
#    endif
#endif

#ifdef WEIR_ASAN
#    include <sanitizer/asan_interface.h>
#    include <sanitizer/common_interface_defs.h>
#endif
#ifdef WEIR_TSAN
#    include <sanitizer/tsan_interface.h>
#endif

struct fiber {
    struct ctx ctx;
#ifdef WEIR_ASAN
    const void *bottom;
    size_t size;
    void *fake_stack;
#endif
#ifdef WEIR_TSAN
    void *tsan;
#endif
};

/* The stack that runs now, before it switches to a fiber for the first time. */
static inline void fiber_adopt(struct fiber *fiber)
{
    (void)fiber;
#ifdef WEIR_TSAN
    fiber->tsan = __tsan_get_current_fiber();
#endif
}

static inline void fiber_make(struct fiber *fiber, void *bottom, void *top, void (*entry)(void *),
                              void *arg)
{
    weir__ctx_make(&fiber->ctx, bottom, top, entry, arg);
#ifdef WEIR_ASAN
    fiber->bottom = bottom;
    fiber->size = (size_t)((char *)top - (char *)bottom);
#endif
#ifdef WEIR_TSAN
    fiber->tsan = __tsan_create_fiber(0);
#endif
}

/* After the last switch away from it. */
static inline void fiber_done(struct fiber *fiber)
{
    (void)fiber;
#ifdef WEIR_TSAN
    __tsan_destroy_fiber(fiber->tsan);
#endif
}

/* `last`: `from` is never continued. */
static inline void fiber_switch(struct fiber *from, struct fiber *to, bool last)
{
    (void)last;
#ifdef WEIR_ASAN
    __sanitizer_start_switch_fiber(last ? NULL : &from->fake_stack, to->bottom, to->size);
#endif
#ifdef WEIR_TSAN
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
    weir__ctx_switch(&from->ctx, &to->ctx);
#ifdef WEIR_ASAN
    __sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
#endif
}

/* The first thing on a new fiber; learns where the stack is that it came from. */
static inline void fiber_entered(struct fiber *from)
{
    (void)from;
#ifdef WEIR_ASAN
    __sanitizer_finish_switch_fiber(NULL, &from->bottom, &from->size);
#endif
}

#endif
