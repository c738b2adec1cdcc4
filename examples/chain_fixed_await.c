/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What chain.c wanted, first way: each task is awaited before the next one starts.  Prints (1), (2),
 * (3) and "Pending tasks at exit: 0".
 */
#include <stdio.h>

#include <weir/weir.h>

static weir_error *create(void *arg)
{
    WEIR_TRY(weir_sleep(WEIR_MS(90))); /* three "seconds" */
    printf("(1) create file\n");
    return arg;
}

static weir_error *write_into(void *arg)
{
    WEIR_TRY(weir_sleep(WEIR_MS(30)));
    printf("(2) write into file\n");
    return arg;
}

static weir_error *close_file(void *arg)
{
    printf("(3) close file\n");
    return arg;
}

static weir_error *test(void *loop)
{
    weir_fn steps[] = {create, write_into, close_file};

    for (int i = 0; i < 3; i++) {
        weir_auto(weir_task) task = NULL;

        WEIR_TRY(weir_spawn(steps[i], NULL, &task));
        WEIR_TRY(weir_task_await(task));
    }
    weir_loop_stop(loop);
    return NULL;
}

int main(void)
{
    weir_auto(weir_loop) loop = NULL;

    weir_ignore(weir_loop_new(NULL, &loop));
    weir_ignore(weir_spawn(test, loop, NULL));
    weir_ignore(weir_loop_run_forever(loop));
    printf("Pending tasks at exit: %zu\n", weir_loop_task_count(loop));
    weir_loop_close_force(loop, WEIR_S(1));
    return 0;
}
