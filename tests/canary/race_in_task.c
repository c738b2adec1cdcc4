/* SPDX-License-Identifier: Apache-2.0 */
/* A canary: a task and a plain thread add to one counter. ThreadSanitizer must report it, with the
 * task's own function on the stack: it follows the switch of stacks. */
#include "config.h"

#include <pthread.h>

#include "tests/unit/support/support.h"

static int counter;

static void *add_in_thread(void *arg)
{
    counter++;
    return arg;
}

static weir_error *add_in_task(void *arg)
{
    pthread_t thread;

    (void)arg;
    CHECK(pthread_create(&thread, NULL, add_in_thread, NULL) == 0);
    counter++;
    CHECK(pthread_join(thread, NULL) == 0);
    return NULL;
}

int main(void)
{
    weir_error *error = weir_run(add_in_task, NULL, NULL);

    return error ? 1 : 0;
}
