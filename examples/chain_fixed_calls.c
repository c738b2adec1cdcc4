/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What chain.c wanted, second way: plain calls.  A call of a function that suspends is its await, so
 * the three run one after the other.  Prints (1), (2), (3) and "Pending tasks at exit: 0".
 */
#include <stdio.h>

#include <weir/weir.h>

static weir_error *create(void)
{
    WEIR_TRY(weir_sleep(WEIR_MS(90))); /* three "seconds" */
    printf("(1) create file\n");
    return NULL;
}

static weir_error *write_into(void)
{
    WEIR_TRY(weir_sleep(WEIR_MS(30)));
    printf("(2) write into file\n");
    return NULL;
}

static weir_error *close_file(void)
{
    printf("(3) close file\n");
    return NULL;
}

static weir_error *test(void *loop)
{
    WEIR_TRY(create());
    WEIR_TRY(write_into());
    WEIR_TRY(close_file());
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
