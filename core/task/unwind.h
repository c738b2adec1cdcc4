/* SPDX-License-Identifier: Apache-2.0 */
/* The C stacks of suspended tasks, and code addresses as places. Slow: for reports only. */
#ifndef WEIR_CORE_TASK_UNWIND_H
#define WEIR_CORE_TASK_UNWIND_H

#include <weir/task.h>

#include "core/base/symbol.h"
#include "core/base/text.h"

#define UNWIND_MAX 64

struct code_place {
    char function[128];
    char file[256];
    int line;     /* 0: unknown */
    bool library; /* of the runtime itself, not of its user */
};

/* Of a function's entry, or of a return address (the call before it). False: nothing is known but
   perhaps the function's name. */
bool weir__code_place(const void *address, bool entry, struct code_place *ret);

/* Return addresses of a task's frames, innermost first; of the running task: of the caller. */
size_t weir__task_frames(const weir_task *task, void **addresses, size_t max);

/* The innermost frame that is not the runtime's. */
bool weir__task_suspended_at(const weir_task *task, struct code_place *ret);

/* weir__symbols_find(), which needs more stack than a task has: in a thread of its own when called in
   a task. */
size_t weir__task_symbols(void *const *addresses, size_t count, bool returns, struct frame *frames,
                          size_t max);

/* For the body of a log record, whose writer prints a line a frame, outermost first. */
void weir__task_print_stack(struct text *text, const weir_task *task);

#endif
