/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks that are started and not awaited run side by side, not one after the other: prints (3), (2),
 * then "Pending tasks at exit: {create}", because the loop stops before (1) is due, and at its close
 *
 *     ERROR   weir: Task was destroyed but it is pending!
 *         task: <Task pending name='Task-2' fn=create … suspended at … created at …>
 */
#include <stdio.h>

#include <weir/weir.h>

static weir_error *create(void *arg)
{
    weir_task_set_name(weir_task_current(), "create");
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

static void show(weir_task *task, void *arg)
{
    printf("%s{%s}", (const char *)arg, weir_task_name(task));
}

static weir_error *test(void *loop)
{
    WEIR_TRY(weir_spawn(create, NULL, NULL)); /* BUG: nobody awaits these three */
    WEIR_TRY(weir_spawn(write_into, NULL, NULL));
    WEIR_TRY(weir_spawn(close_file, NULL, NULL));
    WEIR_TRY(weir_sleep(WEIR_MS(60)));
    weir_loop_stop(loop);
    return NULL;
}

int main(void)
{
    weir_auto(weir_loop) loop = NULL;

    weir_ignore(weir_loop_new(NULL, &loop));
    weir_ignore(weir_spawn(test, loop, NULL));
    weir_ignore(weir_loop_run_forever(loop));
    weir_ignore(weir_loop_foreach_task(loop, show, "Pending tasks at exit: "));
    printf("\n");
    weir_loop_close_force(loop, WEIR_S(1));
    return 0;
}
