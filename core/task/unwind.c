/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stack of a suspended task is walked from the registers that weir__ctx_switch() left on it,
 * without running on it or touching it: its frames may be few bytes above the guard. With ucontext
 * only the site that the suspending call told is known.
 */
#include "config.h"

#include "core/task/unwind.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "core/base/cfi.h"
#include "core/base/symbol.h"
#include "core/task/task.h"

struct search {
    void *const *addresses;
    size_t count, max, found;
    bool returns;
    struct frame *frames;
};

static void *run_search(void *arg)
{
    struct search *search = arg;

    search->found = weir__symbols_find(search->addresses, search->count, search->returns,
                                       search->frames, search->max);
    return NULL;
}

/* In a thread that only searches: no handler of the program's runs there. */
static void search_elsewhere(struct search *search)
{
    sigset_t all, before;
    pthread_t thread;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, run_search, search) == 0)
        pthread_join(thread, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

size_t weir__task_symbols(void *const *addresses, size_t count, bool returns, struct frame *frames,
                          size_t max)
{
    struct search search = {addresses, count, max, 0, returns, frames};

    if (weir__current_task)
        search_elsewhere(&search);
    else
        run_search(&search);
    return search.found;
}

static void take_frame(struct code_place *place, const struct frame *frame)
{
    struct text function = text_over(place->function, sizeof place->function);
    struct text file = text_over(place->file, sizeof place->file);

    text_add(&function, frame->function);
    text_add(&file, frame->file);
    place->line = frame->line;
    place->library = frame->internal || frame->system;
}

bool weir__code_place(const void *address, bool entry, struct code_place *ret)
{
    void *addresses[1] = {(void *)(uintptr_t)address};
    struct frame frames[8];
    size_t count = weir__task_symbols(addresses, 1, !entry, frames, 8);

    memset(ret, 0, sizeof *ret);
    if (count == 0)
        return false;
    /* Inlined functions come first; an entry is the last one's, a call is the first one's. */
    take_frame(ret, &frames[entry ? count - 1 : 0]);
    return ret->line != 0;
}

#if defined(__x86_64__) && !defined(WEIR_CTX_UCONTEXT)
/* See ctx-x86_64.S: the frame pointer is the seventh word, the address the eighth. */
__attribute__((no_sanitize("address", "thread"))) static size_t
suspended_frames(const struct ctx *ctx, void **addresses, size_t max)
{
    const uintptr_t *frame = ctx->sp;

    return (size_t)weir__cfi_walk_from(frame[7], (uintptr_t)(frame + 8), frame[6], addresses,
                                       (int)max);
}
#elif defined(__aarch64__) && !defined(WEIR_CTX_UCONTEXT)
/* See ctx-aarch64.S: x29 and x30 are words 10 and 11 of 22. */
__attribute__((no_sanitize("address", "thread"))) static size_t
suspended_frames(const struct ctx *ctx, void **addresses, size_t max)
{
    const uintptr_t *frame = ctx->sp;

    return (size_t)weir__cfi_walk_from(frame[11], (uintptr_t)(frame + 22), frame[10], addresses,
                                       (int)max);
}
#else
static size_t suspended_frames(const struct ctx *ctx, void **addresses, size_t max)
{
    (void)ctx;
    (void)addresses;
    (void)max;
    return 0;
}
#endif

size_t weir__task_frames(const weir_task *task, void **addresses, size_t max)
{
    if (task == weir__current_task)
        return (size_t)weir__cfi_walk(addresses, (int)max, 0, 0);
    /* A spawner of eager tasks that runs further up stands in a switch, too. */
    if (task->state == TASK_DONE)
        return 0;
    return suspended_frames(&task->fiber.ctx, addresses, max);
}

bool weir__task_suspended_at(const weir_task *task, struct code_place *ret)
{
    void *addresses[UNWIND_MAX];
    size_t count = weir__task_frames(task, addresses, UNWIND_MAX);

    for (size_t i = 0; i < count; i++) {
        if (weir__code_place(addresses[i], false, ret) && !ret->library)
            return true;
    }
    return false;
}

void weir__task_print_stack(struct text *text, const weir_task *task)
{
    _Alignas(
        weir_backtrace) char memory[sizeof(weir_backtrace) + BACKTRACE_DEPTH_MAX * sizeof(void *)];
    weir_backtrace *trace = (weir_backtrace *)memory;

    trace->count = (unsigned char)weir__task_frames(task, trace->addresses, BACKTRACE_DEPTH_MAX);
    weir__backtrace_defer(text, trace);
}
