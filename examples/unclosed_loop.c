/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop that is made and dropped without weir_loop_close().  weir says so and closes it:
 *
 *     WARNING weir [RESOURCE]: unclosed event loop <Loop running=0 closed=0 debug=0>
 *             created at unclosed_loop.c:17
 */
#include <stdio.h>

#include <weir/weir.h>

int main(void)
{
    weir_loop *loop = NULL;
    weir_error *error;

    error = weir_loop_new(NULL, &loop);
    printf("a loop: %s\n", error ? "no" : "yes");
    weir_error_unref(error);
    weir_loop_unref(loop);
    return 0;
}
