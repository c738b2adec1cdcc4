/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The row "switch": what entering a task and coming back costs, without the queues around it.
 *
 *     bare COUNT     the assembly and nothing else
 *     task COUNT     a task's job is run and suspends, over and over
 *
 * An operation is there and back, two switches. Both go through one call on each side, as a switch
 * always does: where a call returns to after a switch is what the processor cannot predict, and that
 * costs more than the switch. Linked with the inside of the library.
 */
#include "config.h"

#include <sys/mman.h>

#include <weir/weir.h>

#include "core/task/task.h"
#include "measure.h"

static struct ctx outside, inside;

static __attribute__((noinline)) void leave(void)
{
    weir__ctx_switch(&inside, &outside);
    __asm__ volatile("");
}

static __attribute__((noinline)) void enter(void)
{
    weir__ctx_switch(&outside, &inside);
    __asm__ volatile("");
}

static void (*volatile enter_by_pointer)(void) = enter;

static void come_back(void *arg)
{
    (void)arg;
    for (;;)
        leave();
}

static void bare(uint64_t count)
{
    const size_t size = 65536;
    char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct measure began;

    if (stack == MAP_FAILED)
        measure_fail("mmap");
    weir__ctx_make(&inside, stack, stack + size, come_back, NULL);
    began = measure_begin();
    for (uint64_t i = 0; i < count; i++)
        enter_by_pointer();
    measure_end(began, count);
}

static bool enough;

static weir_error *suspend_for_ever(void *arg)
{
    weir_task *self = weir_task_current();

    (void)arg;
    while (!enough)
        weir__task_suspend(self);
    return NULL;
}

static weir_error *task(uint64_t count)
{
    weir_loop *loop;
    weir_task *task;
    struct measure began;

    WEIR_TRY(weir_loop_new(NULL, &loop));
    WEIR_TRY(weir_spawn(suspend_for_ever, NULL, &task));
    weir__job_cancel(&task->job);
    began = measure_begin();
    for (uint64_t i = 0; i < count; i++)
        weir_ignore(task->job.run(&task->job));
    measure_end(began, count);
    enough = true;
    weir_ignore(task->job.run(&task->job));
    weir_task_unref(task);
    WEIR_TRY(weir_loop_close(loop));
    weir_loop_unref(loop);
    return NULL;
}

int main(int argc, char **argv)
{
    uint64_t count = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
    weir_error *error = NULL;

    if (count && strcmp(argv[1], "bare") == 0)
        bare(count);
    else if (count && strcmp(argv[1], "task") == 0)
        error = task(count);
    else
        return 64;
    return weir_error_code(error) != 0;
}
