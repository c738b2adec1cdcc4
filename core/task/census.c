/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How deep stacks are used, by spawn site: a stack is painted before its task starts, and what is
 * still paint when it has ended was never touched.
 */
#include "config.h"

#include <pthread.h>
#include <string.h>

#include <weir/introspection.h>

#include "core/task/task.h"

#define PAINT     0xC5
#define SITES_MAX 1024

_Atomic bool weir__census_on;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static weir_stack_use uses[SITES_MAX];
static size_t use_count;

static char *bottom_of(const weir_task *task)
{
    const struct stack_pool *pool = &task->future.home->stacks;

    return weir__stack_base(pool, task->stack) + pool->guard;
}

void weir__census_paint(const weir_task *task)
{
    char *bottom = bottom_of(task);

    memset(bottom, PAINT, (size_t)((const char *)task - bottom));
}

/* Frames that ended may have left poison of the address sanitizer. */
__attribute__((no_sanitize("address", "thread"))) static size_t used_bytes(const weir_task *task)
{
    const uint64_t *word = (const uint64_t *)(const void *)bottom_of(task);
    const uint64_t *end = (const uint64_t *)(const void *)task;

    while (word < end && *word == UINT64_C(0x0101010101010101) * PAINT)
        word++;
    return (size_t)((const char *)end - (const char *)word);
}

static weir_stack_use *use_of(const weir_task *task)
{
    for (size_t i = 0; i < use_count; i++) {
        if (uses[i].site == task->future.site)
            return &uses[i];
    }
    if (use_count == SITES_MAX)
        return NULL;
    uses[use_count] = (weir_stack_use){.site = task->future.site, .function = task->fn_name};
    return &uses[use_count++];
}

void weir__census_count(const weir_task *task)
{
    size_t used = used_bytes(task);
    size_t size = (size_t)((const char *)task - bottom_of(task));
    weir_stack_use *use;

    if (used == size)
        return; /* not painted: it started before the census */
    pthread_mutex_lock(&lock);
    use = use_of(task);
    if (use) {
        use->tasks++;
        use->size = size;
        if (used > use->highest)
            use->highest = used;
    }
    pthread_mutex_unlock(&lock);
}

void weir_stack_census_start(void)
{
    pthread_mutex_lock(&lock);
    use_count = 0;
    pthread_mutex_unlock(&lock);
    weir__census_on = true;
}

void weir_stack_census_stop(void)
{
    weir__census_on = false;
}

size_t weir_stack_census(weir_stack_use *ret, size_t max)
{
    size_t count;

    pthread_mutex_lock(&lock);
    count = use_count;
    if (count)
        memcpy(ret, uses, (count < max ? count : max) * sizeof *ret);
    pthread_mutex_unlock(&lock);
    return count;
}
