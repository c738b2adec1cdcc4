/* SPDX-License-Identifier: Apache-2.0 */
/* A canary: two threads add to one plain counter. ThreadSanitizer must report it. */
#include "config.h"

#include <pthread.h>
#include <stddef.h>

static int counter;

static void *add(void *arg)
{
    counter++;
    return arg;
}

int main(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, add, NULL))
        return 1;
    add(NULL);
    pthread_join(thread, NULL);
    return counter == 2 ? 0 : 1;
}
