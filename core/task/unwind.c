/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stack of a suspended task is walked from the registers that weir__ctx_switch() left on it,
 * without running on it or touching it: its frames may be few bytes above the guard.
 */
#include "config.h"

#include "core/task/unwind.h"

#include <dlfcn.h>
#include <string.h>

#include "core/task/task.h"

bool weir__code_place(const void *address, bool entry, struct code_place *ret)
{
    Dl_info info = {0};

    (void)entry;
    memset(ret, 0, sizeof *ret);
    if (dladdr(address, &info) && info.dli_sname) {
        struct text text = text_over(ret->function, sizeof ret->function);

        text_add(&text, info.dli_sname);
    }
    return false;
}

size_t weir__task_frames(const weir_task *task, void **addresses, size_t max)
{
    (void)task;
    (void)addresses;
    (void)max;
    return 0;
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

static void print_frame(struct text *text, size_t number, const struct code_place *place,
                        const char *indent)
{
    text_printf(text, "%s#%zu %s", indent, number, place->function[0] ? place->function : "?");
    if (place->line)
        text_printf(text, " %s:%d", place->file, place->line);
    text_add(text, "\n");
}

void weir__task_print_stack(struct text *text, const weir_task *task, const char *indent)
{
    void *addresses[UNWIND_MAX];
    size_t count = weir__task_frames(task, addresses, UNWIND_MAX), inner = 0;
    struct code_place place;

    while (inner < count && weir__code_place(addresses[inner], false, &place) && place.library)
        inner++;
    for (size_t i = count; i-- > inner;) {
        weir__code_place(addresses[i], false, &place);
        if (!place.library)
            print_frame(text, i - inner, &place, indent);
    }
}
