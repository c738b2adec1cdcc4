/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocations that fail by plan, and what a test leaves behind. Only the calling thread's allocations
 * are counted, so a plan is exact whatever executors and the log's writer do meanwhile.
 */
#include "config.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "core/base/text.h"
#include "core/task/task.h"
#include "core/testing/kit.h"

static __thread bool planned, reached;

void weir_test_fail_allocation(unsigned long nth)
{
    /* Switching the plan off keeps what is known of it. */
    if (planned)
        reached = weir__alloc_fail_nth == 0;
    if (nth)
        reached = false;
    planned = nth != 0;
    weir__alloc_fail_nth = nth;
}

bool weir_test_allocation_failed(void)
{
    if (planned)
        reached = weir__alloc_fail_nth == 0;
    return reached;
}

bool weir_test_next_allocation(unsigned long nth)
{
    bool again = nth == 1 || weir_test_allocation_failed();

    weir_test_fail_allocation(0);
    reached = false;
    return again;
}

size_t weir__kit_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    size_t count = 0;

    if (!directory)
        return 0;
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

bool weir__kit_leaks(const weir_test *test, char *buffer, size_t size)
{
    size_t descriptors = weir__kit_descriptors(), used = strlen(buffer);
    struct text text = {.data = buffer, .size = size, .len = used};

    if (descriptors != test->descriptors)
        text_printf(&text, "%s%zu descriptors, %zu when it began", text.len ? "; " : "",
                    descriptors, test->descriptors);
    if (weir__task_homes > test->homes)
        text_printf(&text, "%sa future, a task or a coroutine is referenced", text.len ? "; " : "");
    return text.len > used;
}
