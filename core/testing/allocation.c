/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocations that fail by plan, and what a test leaves behind. Only the calling thread's allocations
 * are counted, so a plan is exact whatever executors and the log's writer do meanwhile.
 */
#include "config.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* Debug information, which whoever prints a backtrace keeps open. */
static bool is_elf(int fd)
{
    struct stat status;
    char magic[4];

    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
           pread(fd, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) &&
           memcmp(magic, "\177ELF", sizeof(magic)) == 0;
}

size_t weir__kit_descriptors(void)
{
    DIR *directory;
    const struct dirent *entry;
    size_t count = 0;

    /* The log's writer may be about to open some. */
    (void)weir_log_flush(WEIR_S(10));
    directory = opendir("/proc/self/fd");
    if (!directory)
        return 0;
    while ((entry = readdir(directory)))
        count += !is_elf((int)strtol(entry->d_name, NULL, 10));
    closedir(directory);
    return count;
}

/* What the descriptors are that this test opened: those numbered highest are mostly it. */
static void list_descriptors(struct text *text, size_t count)
{
    for (int fd = 1023; fd > 2 && count > 0; fd--) {
        char path[32], target[128];
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        n = readlink(path, target, sizeof(target) - 1);
        if (n <= 0 || is_elf(fd))
            continue;
        target[n] = '\0';
        text_printf(text, ", %d is %s", fd, target);
        count--;
    }
}

bool weir__kit_leaks(const weir_test *test, char *buffer, size_t size)
{
    size_t descriptors = weir__kit_descriptors(), used = strlen(buffer);
    struct text text = {.data = buffer, .size = size, .len = used};

    if (descriptors != test->descriptors) {
        text_printf(&text, "%s%zu descriptors, %zu when it began", text.len ? "; " : "",
                    descriptors, test->descriptors);
        if (descriptors > test->descriptors)
            list_descriptors(&text, descriptors - test->descriptors);
    }
    if (weir__task_homes > test->homes)
        text_printf(&text, "%sa future, a task or a coroutine is referenced", text.len ? "; " : "");
    return text.len > used;
}
